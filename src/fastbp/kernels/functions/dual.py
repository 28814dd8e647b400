"""Dual numbers: the user's own functions and their derivatives, compiled into loops over panels.

A dual number is a value and a slope. A function of numbers, given the dual number (x, 1), computes f(x) and, by the
chain rule at each of its operations, f'(x): exact to rounding, also where it compares, branches or loops. Numba
compiles the user's function for this type; the operations are those of the tables below, made of `elementwise`, so the
loop around it runs at the full width of the vector unit: np.tanh and math.exp of a plain float are calls of the C
library, one number at a time (a step with such an activation took 14 times as long as with the built-in one).

Taken instead of the complex step, which knows neither comparison nor abs, and of rewriting the function's source, which
lambdas and interactive sessions do not have.
"""

from __future__ import annotations

import builtins
import inspect
import math
import operator
import sys
import types as python
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.dispatcher import Dispatcher
from numba.core.typeconv import Conversion
from numba.extending import intrinsic, lower_cast, models, overload, register_model

from .. import elementwise
from ..compile import EXACT, JIT, scalar

# --------------------------------------------------------------------- rules: value and derivative of one operation


@scalar
def _times(slope: Any, dx: Any) -> Any:
    """Return slope · dx, and 0 where dx is 0, though the slope be infinite; where dx is a constant 0, nothing."""
    return type(dx)(0.0) if dx == type(dx)(0.0) else slope * dx


@scalar
def _absolute(x: Any) -> Any:
    r = type(x)
    return abs(x), r(1.0) if x > r(0.0) else (r(-1.0) if x < r(0.0) else r(0.0))


@scalar
def _negative(x: Any) -> Any:
    return -x, type(x)(-1.0)


@scalar
def _positive(x: Any) -> Any:
    return x, type(x)(1.0)


@scalar
def _square(x: Any) -> Any:
    return x * x, x + x


@scalar
def _sqrt(x: Any) -> Any:
    r = type(x)
    root = r(np.sqrt(x))
    return root, r(0.5) / root


@scalar
def _exp(x: Any) -> Any:
    y = elementwise.exp(x)
    return y, y


@scalar
def _exp2(x: Any) -> Any:
    r = type(x)
    y = elementwise.exp(x * r(0.6931471805599453))
    return y, y * r(0.6931471805599453)


@scalar
def _expm1(x: Any) -> Any:
    y = elementwise.expm1(x)
    return y, y + type(x)(1.0)


@scalar
def _log(x: Any) -> Any:
    return elementwise.log(x), type(x)(1.0) / x


@scalar
def _log2(x: Any) -> Any:
    r = type(x)
    return elementwise.log(x) * r(1.4426950408889634), r(1.4426950408889634) / x


@scalar
def _log10(x: Any) -> Any:
    r = type(x)
    return elementwise.log(x) * r(0.4342944819032518), r(0.4342944819032518) / x


@scalar
def _log1p(x: Any) -> Any:
    r = type(x)
    return elementwise.log1p(x), r(1.0) / (r(1.0) + x)


@scalar
def _sin(x: Any) -> Any:
    return elementwise.sine_cosine(x)


@scalar
def _cos(x: Any) -> Any:
    sine, cosine = elementwise.sine_cosine(x)
    return cosine, -sine


@scalar
def _tan(x: Any) -> Any:
    sine, cosine = elementwise.sine_cosine(x)
    y = sine / cosine
    return y, type(x)(1.0) + y * y


@scalar
def _sinh(x: Any) -> Any:
    r = type(x)
    less = elementwise.expm1(abs(x))
    whole = less + r(1.0)
    y = r(0.5) * (less + (less / whole if less < r(1e30) else r(1.0)))
    return y if x > r(0.0) else -y, r(0.5) * (whole + r(1.0) / whole)


@scalar
def _cosh(x: Any) -> Any:
    sine, cosine = _sinh(x)
    return cosine, sine


@scalar
def _tanh(x: Any) -> Any:
    return elementwise.tanh_slope(x)


@scalar
def _arctan(x: Any) -> Any:
    r = type(x)
    return r(math.atan(x)), r(1.0) / (r(1.0) + x * x)


@scalar
def _arcsinh(x: Any) -> Any:
    r = type(x)
    return r(math.asinh(x)), r(1.0) / r(np.sqrt(r(1.0) + x * x))


@scalar
def _erf(x: Any) -> Any:
    r = type(x)
    return r(math.erf(x)), r(1.1283791670955126) * elementwise.exp(-x * x)


@scalar
def _sum(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    return x + y, dx + dy


@scalar
def _difference(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    return x - y, dx - dy


@scalar
def _product(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    return x * y, _times(y, dx) + _times(x, dy)


@scalar
def _quotient(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    q = x / y
    return q, (dx - _times(q, dy)) / y


@scalar
def _maximum(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    return (x, dx) if x >= y or x != x else (y, dy)


@scalar
def _minimum(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    return (x, dx) if x <= y or x != x else (y, dy)


@scalar
def _power(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    r = type(x)
    z = r(x**y)
    return z, _times(y * r(x ** (y - r(1.0))), dx) + _times(z * elementwise.log(x), dy)


@scalar
def _whole_power(x: Any, n: int) -> Any:
    """Return xⁿ and n xⁿ⁻¹ by products, for a number n that is known when the function is compiled."""
    r = type(x)
    less = r(1.0)
    for _ in range(abs(n) - 1):
        less = less * x
    if n > 0:
        return less * x, r(n) * less
    y = r(1.0) / (less * x)
    return y, r(n) * y / x


UNARY: dict[str, Any] = {
    "absolute": _absolute, "arcsinh": _arcsinh, "arctan": _arctan, "cos": _cos, "cosh": _cosh, "erf": _erf,
    "exp": _exp, "exp2": _exp2, "expm1": _expm1, "fabs": _absolute, "log": _log, "log10": _log10, "log1p": _log1p,
    "log2": _log2, "negative": _negative, "positive": _positive, "sin": _sin, "sinh": _sinh, "sqrt": _sqrt,
    "square": _square, "tan": _tan, "tanh": _tanh,
}
"""NumPy's name -> rule(x), which gives value and derivative."""

BINARY: dict[str, Any] = {
    "add": _sum, "subtract": _difference, "multiply": _product, "divide": _quotient, "maximum": _maximum,
    "minimum": _minimum, "power": _power,
}
"""NumPy's name -> rule(x, y, dx, dy), which gives value and slope."""

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")

OTHER_NAMES: dict[str, tuple[Any, ...]] = {
    "absolute": (builtins.abs,), "arcsinh": (math.asinh,), "arctan": (math.atan,), "negative": (operator.neg,),
    "positive": (operator.pos,), "add": (operator.add,), "subtract": (operator.sub,), "multiply": (operator.mul,),
    "divide": (operator.truediv,), "maximum": (builtins.max,), "minimum": (builtins.min,),
    "power": (operator.pow, math.pow),
}
"""What else the operations are called in Python, beside the same name in `math`."""


def _called(name: str) -> list[Any]:
    """Return every function that a rule stands for."""
    found = [getattr(np, name, None), getattr(math, name, None), *OTHER_NAMES.get(name, ())]
    return [function for function in found if function is not None]


# ------------------------------------------------------------------------------------------- the type in Numba

if JIT:
    OPTIONS = {"error_model": "numpy", "fastmath": EXACT, "forceinline": True, "no_cpython_wrapper": True,
               "no_cfunc_wrapper": True}

    class DualType(types.Type):  # type: ignore[misc]
        """Numba's type of a dual number; a plain number becomes one where the two meet, with slope 0."""

        def __init__(self, real: Any) -> None:
            self.real = real
            super().__init__(f"dual({real})")

        def can_convert_from(self, typing: Any, other: Any) -> Any:
            """Take any number."""
            return Conversion.safe if isinstance(other, (types.Number, types.Boolean)) else None

        def unify(self, typing: Any, other: Any) -> Any:
            """Be the type of a variable that holds now a dual, now a plain number."""
            return self if isinstance(other, (types.Number, types.Boolean)) else None

    @register_model(DualType)
    class _DualModel(models.StructModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, [("value", kind.real), ("slope", kind.real)])

    @lower_cast(types.Number, DualType)
    @lower_cast(types.Boolean, DualType)
    def _lift(context: Any, builder: Any, source: Any, target: Any, number: Any) -> Any:
        made = cgutils.create_struct_proxy(target)(context, builder)
        made.value = context.cast(builder, number, source, target.real)
        made.slope = context.get_constant(target.real, 0.0)
        return made._getvalue()

    @intrinsic
    def dual(typing: Any, value: Any, slope: Any) -> Any:
        """Make a dual number."""
        kind = DualType(value)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            made = cgutils.create_struct_proxy(kind)(context, builder)
            made.value, made.slope = arguments
            return made._getvalue()

        return kind(value, value), generate

    def _part(name: str) -> Any:
        def take(typing: Any, x: Any, like: Any) -> Any:
            real = getattr(like, "real", like)
            kind = x if isinstance(x, DualType) else DualType(real)

            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                number = context.cast(builder, arguments[0], signature.args[0], kind)
                return getattr(cgutils.create_struct_proxy(kind)(context, builder, number), name)

            return real(x, like), generate

        return intrinsic(take)

    value_of, slope_of = _part("value"), _part("slope")

    def _mixed(*kinds: Any) -> Any:
        """Return which of the operands of an operation is dual, if all are numbers."""
        numbers = all(isinstance(kind, (DualType, types.Number, types.Boolean)) for kind in kinds)
        places = [place for place, kind in enumerate(kinds) if isinstance(kind, DualType)]
        return places[0] if numbers and places else None

    def _unary(rule: Any) -> Any:
        def typed(x: Any) -> Any:
            def run(x: Any) -> Any:
                value, slope = rule(value_of(x, x))
                return dual(value, _times(slope, slope_of(x, x)))

            return run if isinstance(x, DualType) else None

        return typed

    def _binary(rule: Any) -> Any:
        def typed(x: Any, y: Any) -> Any:
            def first(x: Any, y: Any) -> Any:
                value, slope = rule(value_of(x, x), value_of(y, x), slope_of(x, x), slope_of(y, x))
                return dual(value, slope)

            def second(x: Any, y: Any) -> Any:
                value, slope = rule(value_of(x, y), value_of(y, y), slope_of(x, y), slope_of(y, y))
                return dual(value, slope)

            return {None: None, 0: first, 1: second}[_mixed(x, y)]

        return typed

    def _typed_power(x: Any, y: Any) -> Any:
        if isinstance(x, DualType) and isinstance(y, types.IntegerLiteral) and 0 < abs(y.literal_value) <= 16:
            n = y.literal_value

            def whole(x: Any, y: Any) -> Any:
                value, slope = _whole_power(value_of(x, x), n)
                return dual(value, _times(slope, slope_of(x, x)))

            return whole
        return _binary(_power)(x, y)

    def _comparison(compare: Any) -> Any:
        def typed(x: Any, y: Any) -> Any:
            def first(x: Any, y: Any) -> Any:
                return compare(value_of(x, x), value_of(y, x))

            def second(x: Any, y: Any) -> Any:
                return compare(value_of(x, y), value_of(y, y))

            return {None: None, 0: first, 1: second}[_mixed(x, y)]

        return typed

    def _typed_where(condition: Any, x: Any, y: Any) -> Any:
        def run(condition: Any, x: Any, y: Any) -> Any:
            return x if condition else y

        return run if isinstance(condition, types.Boolean) and _mixed(x, y) is not None else None

    def _typed_clip(a: Any, a_min: Any, a_max: Any) -> Any:
        def run(a: Any, a_min: Any, a_max: Any) -> Any:
            return min(max(a, a_min), a_max)

        return run if _mixed(a, a_min, a_max) is not None else None

    for _name, _rule in UNARY.items():
        for _function in _called(_name):
            overload(_function, jit_options=OPTIONS)(_unary(_rule))
    IN_PLACE = {"add": operator.iadd, "subtract": operator.isub, "multiply": operator.imul,
                "divide": operator.itruediv, "power": operator.ipow}
    for _name, _rule in BINARY.items():
        for _function in {*_called(_name), IN_PLACE.get(_name, _called(_name)[0])}:
            overload(_function, jit_options=OPTIONS, prefer_literal=_name == "power")(
                _typed_power if _name == "power" else _binary(_rule))
    for _name in COMPARISONS:
        overload(getattr(operator, _name), jit_options=OPTIONS)(_comparison(getattr(operator, _name)))
    overload(np.where, jit_options=OPTIONS)(_typed_where)
    overload(np.clip, jit_options=OPTIONS)(_typed_clip)


# ----------------------------------------------------------------------------------- the same in plain Python

else:

    class dual:  # type: ignore[no-redef]
        """A dual number of plain Python, for NUMBA_DISABLE_JIT=1."""

        def __init__(self, value: Any, slope: Any) -> None:
            self.value, self.slope = value, slope

        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> Any:
            name = {"greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq",
                    "not_equal": "ne"}.get(ufunc.__name__, ufunc.__name__)
            if name in COMPARISONS:
                return getattr(operator, name)(*(value_of(x, self.value) for x in inputs))
            return _apply(name, inputs)

        def __array_function__(self, function: Any, kinds: Any, arguments: Any, options: Any) -> Any:
            if function is np.where:
                return arguments[1] if arguments[0] else arguments[2]
            if function is np.clip:
                return _apply("minimum", (_apply("maximum", arguments[:2]), arguments[2]))
            return NotImplemented

    def value_of(x: Any, like: Any) -> Any:
        """Return the value of a dual or plain number, of the type of ``like``."""
        return x.value if isinstance(x, dual) else type(like)(x)

    def slope_of(x: Any, like: Any) -> Any:
        """Return the slope of a dual number; 0 for a plain one."""
        return x.slope if isinstance(x, dual) else type(like)(0)

    def _apply(name: str, inputs: Any) -> Any:
        like = next(x for x in inputs if isinstance(x, dual)).value
        values, slopes = [value_of(x, like) for x in inputs], [slope_of(x, like) for x in inputs]
        if name in UNARY:
            value, slope = UNARY[name](*values)
            return dual(value, _times(slope, slopes[0]))
        if name == "power" and isinstance(inputs[1], int) and 0 < abs(inputs[1]) <= 16:
            value, slope = _whole_power(values[0], inputs[1])
            return dual(value, _times(slope, slopes[0]))
        if name not in BINARY:
            raise TypeError(f"No implementation of {name} for dual numbers")
        return dual(*BINARY[name](*values, *slopes))

    def _method(name: str, reflected: bool) -> Any:
        def method(*inputs: Any) -> Any:
            return _apply(name, inputs[::-1] if reflected else inputs)

        return method

    def _compared(compare: Any) -> Any:
        return lambda x, y: compare(x.value, value_of(y, x.value))

    for _name in (*UNARY, *BINARY):
        for _function in OTHER_NAMES.get(_name, ()):
            if _function.__module__ == "_operator" or _function is builtins.abs:
                _operator = _function.__name__.strip("_")
                setattr(dual, f"__{_operator}__", _method(_name, reflected=False))
                setattr(dual, f"__r{_operator}__", _method(_name, reflected=True))
    for _name in COMPARISONS:
        setattr(dual, f"__{_name}__", _compared(getattr(operator, _name)))

    _IN_MATH = {id(getattr(math, name)): name for name in (*UNARY, *BINARY) if hasattr(math, name)} | {
        id(function): name for name, functions in OTHER_NAMES.items() for function in functions
        if function.__module__ == "math"}

    def _with_duals(thing: Any) -> Any:
        """Return the module `math`, or a function of it, as one that takes dual numbers too."""
        if thing is math:
            return python.SimpleNamespace(**{name: _with_duals(member) for name, member in vars(math).items()})
        if id(thing) in _IN_MATH:
            return lambda *inputs: (_apply(_IN_MATH[id(thing)], inputs)
                                    if any(isinstance(x, dual) for x in inputs) else thing(*inputs))
        return thing


LIBRARIES = frozenset({"numba", "numpy", "scipy", *sys.stdlib_module_names})
"""Modules whose numbers nobody changes, and whose functions Numba knows by the module."""


class Fixed:
    """What a user's function refers to, as it is now: closures, globals, defaults, and the functions that it calls.

    Numba reads them when it compiles a function, for each dtype when that is first used, and plain Python reads them at
    each call; so a loop's variable in a closure would be the last one.
    """

    def __init__(self) -> None:
        self.done: dict[int, tuple[Any, Any]] = {}
        """What functions and modules became, by the number of the original: they may refer to each other."""

    def of(self, value: Any, names: frozenset[str] = frozenset()) -> tuple[Any, Any]:
        """Return what a value will stay, and a key that tells it from others; ``names`` are those asked of a module."""
        if inspect.ismodule(value) and value.__name__.partition(".")[0] not in LIBRARIES:
            return self._module(value, names)
        if id(value) in self.done:
            return self.done[id(value)]
        if inspect.isfunction(value):
            return self._function(value)
        if JIT and isinstance(value, Dispatcher) and getattr(value, "_can_compile", True):  # else it has been compiled
            return self._function(value.py_func, value)
        if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
            return value.copy(), (value.dtype.str, value.shape, value.tobytes())
        if type(value) in (tuple, list):
            parts = [self.of(part) for part in value]
            return type(value)(part for part, _ in parts), (type(value), *(key for _, key in parts))
        plain = value is None or isinstance(value, (bool, int, float, complex, str, bytes))
        return value, (type(value), repr(value)) if plain else ("itself", id(value))

    def _function(self, function: Any, compiled: Any = None) -> tuple[Any, Any]:
        code, cells = function.__code__, tuple(python.CellType() for _ in function.__closure__ or ())
        names = _names(code)
        known: dict[str, Any] = {name: function.__globals__[name] for name in ("__builtins__", "__name__")
                                 if name in function.__globals__}
        plain = made = python.FunctionType(code, known, function.__name__, None, cells)
        plain.__defaults__, key = self.of(function.__defaults__)
        plain.__kwdefaults__, plain.__qualname__ = function.__kwdefaults__, function.__qualname__
        keys: list[Any] = [code, key, repr(function.__kwdefaults__)]
        if compiled is not None:
            made = numba.jit(**compiled.targetoptions)(plain)
            keys.append(repr(sorted(compiled.targetoptions.items())))
        self.done[id(function if compiled is None else compiled)] = made, ("again", len(self.done))
        for name in sorted(names & function.__globals__.keys() - known.keys()):
            known[name], key = self.of(function.__globals__[name], names)
            keys += [name, key]
        for cell, given in zip(cells, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # an empty one
                cell.cell_contents, key = self.of(given.cell_contents, names)
                keys.append(key)
        return made, tuple(keys)

    def _module(self, module: Any, names: frozenset[str]) -> tuple[Any, Any]:
        if id(module) not in self.done:
            made = python.ModuleType(module.__name__)
            vars(made)["__getattr__"] = partial(getattr, module)  # what it makes when it is asked
            self.done[id(module)] = made, None
        made, keys = self.done[id(module)][0], [module.__name__]
        for name in sorted(names & vars(module).keys() - vars(made).keys()):
            vars(made)[name] = None  # begun
            vars(made)[name], key = self.of(vars(module)[name], names)
            keys += [name, key]
        return made, tuple(keys)


def _names(code: python.CodeType) -> frozenset[str]:
    """Return the names that code uses, and that of the functions within it."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, python.CodeType)]
    return frozenset(code.co_names).union(*inner)


def _prepared(function: Callable[..., Any]) -> Any:
    """Return the user's function as one of dual numbers."""
    if JIT:
        return numba.njit(**OPTIONS)(function) if inspect.isfunction(function) else function
    if not inspect.isfunction(function):
        return _with_duals(function)
    known = {name: _with_duals(thing) for name, thing in function.__globals__.items()}
    return python.FunctionType(function.__code__, known, None, function.__defaults__, function.__closure__)


def _loop(function: Any) -> Any:
    options = {"nogil": True, "error_model": "numpy", "fastmath": EXACT, "no_cfunc_wrapper": True}
    return numba.njit(**options)(function) if JIT else function


# -------------------------------------------------------------------------------------------------------- loops


def activation(function: Callable[..., Any], derivative: Callable[..., Any] | None) -> Any:
    """Make the panel loop of a user's φ(net): outputs, and slopes by the user's φ' or by dual numbers.

    Closures are never cached by Numba, so it is compiled in every process that uses it.
    """
    f, d, given = _prepared(function), _prepared(derivative or function), derivative is not None

    def loop(panel: Any, slope: Any, neurons: int) -> None:
        one = type(panel[0])(1)
        for i in range(panel.size):
            x = dual(panel[i], one)
            o = f(x)
            slope[i] = value_of(d(x), one) if given else slope_of(o, one)
            panel[i] = value_of(o, one)

    return _loop(loop)


def cost(function: Callable[..., Any], derivative: Callable[..., Any] | None) -> Any:
    """Make the panel loop of a user's C(y, o), and of ∂C/∂o by the user's own function or by dual numbers."""
    f, d, given = _prepared(function), _prepared(derivative or function), derivative is not None

    def loop(out: Any, target: Any, delta: Any, neurons: int, parameter: Any) -> None:
        one = type(out[0])(1)
        for i in range(out.size):
            y, o = dual(target[i], type(out[0])(0)), dual(out[i], one)
            c = f(y, o)
            delta[i] *= value_of(d(y, o), one) if given else slope_of(c, one)
            target[i] = value_of(c, one)

    return _loop(loop)


def plain_activation(function: Callable[..., Any], derivative: Callable[..., Any]) -> Any:
    """Make the panel loop of functions that dual numbers cannot go through, with a derivative."""
    f, d = _compiled(function), _compiled(derivative)

    def loop(panel: Any, slope: Any, neurons: int) -> None:
        real = type(panel[0])
        for i in range(panel.size):
            x = panel[i]
            slope[i] = real(d(x))
            panel[i] = real(f(x))

    return _loop(loop)


def plain_cost(function: Callable[..., Any], derivative: Callable[..., Any]) -> Any:
    """Make the panel loop of a cost that dual numbers cannot go through, with its derivative."""
    f, d = _compiled(function), _compiled(derivative)

    def loop(out: Any, target: Any, delta: Any, neurons: int, parameter: Any) -> None:
        real = type(out[0])
        for i in range(out.size):
            y, o = target[i], out[i]
            delta[i] *= real(d(y, o))
            target[i] = real(f(y, o))

    return _loop(loop)


DIFFERENCE_STEP = 2.0**-7
"""Exact in binary, so that x ± step rounds nothing. In double, for tanh: 1e-14 by rounding, 4e-15 by the step."""

DIFFERENCE_STEPS = 7
"""How many are tried, each an eighth of the one before: the last is 2⁻²⁵, where rounding takes half the digits."""


def activation_curvature(function: Callable[..., Any], derivative: Callable[..., Any] | None,
                         curvature: Callable[..., Any] | None, plain: bool) -> Any:
    """Make the panel loop of a user's φ''(net): the one given, by dual numbers from a φ', or by differences of φ'.

    ``plain`` tells that dual numbers cannot go through the user's functions. φ'' overwrites the first panel.
    """
    def carried(y: Any, x: Any) -> Any:
        return f(dual(x, type(x)(1)))

    f = _prepared(derivative or function)
    own = None if curvature is None else _ignoring_target(curvature)
    given = None if derivative is None or not plain else _ignoring_target(derivative)
    bend = _bend(_inner(carried), own, given, derivative is not None)

    def loop(net: Any, out: Any, slope: Any) -> None:
        real = type(net[0])
        for i in range(net.size):
            net[i] = real(bend(np.float64(0.0), np.float64(net[i])))

    return _loop(loop)


def cost_curvature(function: Callable[..., Any], derivative: Callable[..., Any] | None,
                   curvature: Callable[..., Any] | None, plain: bool) -> Any:
    """Make the panel loop that multiplies ``delta`` by a user's ∂²C/∂o², found as in `activation_curvature`."""
    def carried(y: Any, o: Any) -> Any:
        return f(dual(y, type(y)(0)), dual(o, type(o)(1)))

    f = _prepared(derivative or function)
    own = None if curvature is None else _compiled(curvature)
    given = None if derivative is None or not plain else _compiled(derivative)
    bend = _bend(_inner(carried), own, given, derivative is not None)

    def loop(out: Any, target: Any, delta: Any, parameter: Any) -> None:
        real = type(out[0])
        for i in range(out.size):
            delta[i] *= real(bend(np.float64(target[i]), np.float64(out[i])))

    return _loop(loop)


def _bend(carried: Any, own: Any, slope: Any, differentiated: bool) -> Any:
    """Return a second derivative as a function of (y, x).

    It is ``own`` if there is one, the slope of the dual number ``carried`` if that is a derivative already, else
    differences of the plain derivative ``slope``, or of the slope of ``carried``.
    """
    def by_dual(y: Any, x: Any) -> Any:
        return slope_of(carried(y, x), x)

    if own is not None:
        return own
    once = _inner(by_dual)
    if differentiated and slope is None:
        return once
    d = once if slope is None else slope
    first_step, steps = DIFFERENCE_STEP, DIFFERENCE_STEPS

    def by_differences(y: Any, x: Any) -> Any:
        # Central differences of orders 8 and 6 over the same points: where these step over a singularity or a kink,
        # the two disagree. Rounding grows with the slope: measured against it, or small steps that see nothing at all
        # would agree best, on 0.
        h, best, least, size = first_step, np.nan, np.inf, 0.0
        for _ in range(steps):
            above = d(y, x + h)
            one, two = above - d(y, x - h), d(y, x + 2 * h) - d(y, x - 2 * h)
            three, four = d(y, x + 3 * h) - d(y, x - 3 * h), d(y, x + 4 * h) - d(y, x - 4 * h)
            found = (4 / 5 * one - 1 / 5 * two + 4 / 105 * three - 1 / 280 * four) / h
            size = abs(above)
            error = abs(found - (3 / 4 * one - 3 / 20 * two + 1 / 60 * three) / h)
            if error < least:
                best, least = found, error
            if error <= 1e-10 * (abs(found) + size):
                break
            h /= 8
        return 0.0 if least > 0.01 * abs(best) + 1e-8 * size else best  # NaN where no difference is a number

    return _inner(by_differences)


def _ignoring_target(function: Callable[..., Any]) -> Any:
    """Return a function of x as one of (y, x), plain numbers."""
    f = _compiled(function)
    return _inner(lambda y, x: f(x))


def _inner(function: Any) -> Any:
    return numba.njit(**OPTIONS)(function) if JIT else function


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile a user's plain function; one that is compiled already, or a ufunc, is called as it is."""
    return numba.njit(error_model="numpy")(function) if JIT and inspect.isfunction(function) else function

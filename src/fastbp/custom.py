"""Activations and costs of the user's own: plain scalar functions, compiled into the loops that the core calls."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from . import activations, costs, initializers
from .kernels.compile import options
from .util import callers
from .util.names import Names, plain

Array = npt.NDArray[np.float64]
Output = str | activations.Activation | Callable[[Any], Any] | Sequence[
    str | activations.Activation | Callable[[Any], Any]]
"""Activations of the output layer, as a user gives them."""

GRID = np.linspace(-2.9, 3.1, 41) + 0.0123
"""Where derivatives are checked: off the round numbers, where kinks are."""

STEP = 1e-5
"""Of the central differences that they are checked by."""

FOOT, LINE = np.linspace(0.9, 0.2, 8), np.linspace(-0.5, 0.7, 8)
"""A line through eight outputs, along which a cost of all of them is checked."""

MOST_COLUMNS = 1 << 20
"""Of Y, that a cost of all outputs may read: more are no targets of a sample."""

POINTS = np.concatenate([GRID, 4 * GRID])
"""Where a function's values tell it from another one of its name."""

_compiled: dict[Any, tuple[Any, ...]] = {}
"""What was made of functions, by their code and all that they refer to. Numba never frees machine code, 1 MB and more
for a function and a dtype: what is registered once more, as in a notebook, takes none."""


def register_activation(function: Callable[[Any], Any], derivative: Callable[[Any], Any] | None = None, *,
                        second_derivative: Callable[[Any], Any] | None = None, name: str | None = None,
                        initializer: str = "glorot_uniform") -> activations.Activation:
    """Register an activation of your own; networks then ask for it by name.

    Parameters
    ----------
    function : callable
        φ(net), a function of one number that Numba can compile: arithmetic, comparisons, branches, loops, ``math`` or
        ``numpy`` functions. exp, log, tanh, sin and their like are computed by fastbp's own functions, which run in
        vectors as the built-in activations do.
    derivative : callable, optional
        φ'(net). Without it the slope is computed by dual numbers: the chain rule at each operation, exact to rounding,
        also through ``abs``, ``max``, comparisons and branches. Where an intermediate result overflows the slope is
        NaN, as infinity over infinity is.
    second_derivative : callable, optional
        φ''(net), which only Hessians and training on derivatives ask for. Without it, a ``derivative`` is carried on by
        dual numbers, exactly; without either, φ'' is taken by differences of the slope over steps of 1/128, good to
        about 1e-13 where the function varies over lengths of about 1, and over smaller ones, to fewer digits, where two
        formulas disagree, as near a singularity or a kink; it is 0 where they never agree, as at a kink. It is compiled
        when it is first used.
    name : str, optional
        By default the function's own.
    initializer : str, default "glorot_uniform"
        The initializer that ``init="auto"`` picks for its layers.

    Returns
    -------
    Activation
        Its row in the catalogue.

    Raises
    ------
    ValueError
        If the name is one of a built-in activation's, Numba cannot compile the function (the message gives its reason),
        or a derivative differs from central differences (the message gives the point and both values).
    TypeError
        If a function is not callable.

    Warns
    -----
    UserWarning
        If the compiled loop takes one number at a time; the message says why.

    Notes
    -----
    It is compiled in each process, once for each dtype that is used, with the values that it refers to now: closures,
    globals and arrays may change later. Files and pickles hold its name, and some of its values, by which they tell it
    from another function of that name: register it before loading; a pickle's network says what is missing when it is
    used. A name may be registered again; networks made before keep the function that it stood for. Machine code is
    never freed, about 1 MB for a function and a dtype, but the same function takes it once, whatever it is called.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> bent = fastbp.register_activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, name="bent")
    >>> net = fastbp.Network((2, 8, 1), activation="bent", seed=0)
    """
    _plain(function, "φ(net)")
    name = _name(function, name, activations.ACTIVATIONS, activations.NAMES, "activation")
    row = _activation(function, derivative, second_derivative, name, initializers.named(initializer))
    activations.ACTIVATIONS[name] = row
    return row


def _activation(function: Callable[[Any], Any], derivative: Callable[[Any], Any] | None,
                second_derivative: Callable[[Any], Any] | None, name: str, initializer: str) -> activations.Activation:
    _callable("derivative", derivative)
    _callable("second_derivative", second_derivative)
    from .kernels.functions import dual  # on use: it teaches Numba a type, which takes a moment

    def values(loop: Any, x: Array) -> tuple[Array, Array]:
        out, slope = x.copy(), np.empty_like(x)
        loop(out, slope, 1)
        return out, slope

    def compiled(function: Any, derivative: Any, second_derivative: Any) -> tuple[Any, ...]:
        loop, plain = _checked(name, dual.activation, dual.plain_activation, function, derivative, [values])
        second = dual.activation_second_derivative(function, derivative, second_derivative, plain)
        if second_derivative is not None:
            given = GRID.copy()
            second(given, given, given)
            _check_second_derivative(name, partial(values, loop), given)
        return loop, second, _fingerprint(loop, [values])

    loop, second, found = _once(compiled, "activation", function, derivative, second_derivative)
    _warn_if_slow(name, loop)
    return activations.Activation(name, "your own", "your own" if derivative else "by dual numbers", initializer, None,
                                  loop, second, found)


def register_cost(function: Callable[..., Any], derivative: Callable[..., Any] | None = None, *,
                  second_derivative: Callable[[Any, Any], Any] | None = None, name: str | None = None,
                  output: str = "identity", whole: bool = False, columns: int | None = None) -> costs.Cost:
    """Register a cost of your own; networks then ask for it by name.

    Parameters
    ----------
    function : callable
        C(y, o) of one output: the target comes first. Summed over outputs, averaged over samples. With further
        arguments, C(y, o, a, b), a cost with data of its own: a and b are numbers of the sample, in columns of Y behind
        the n_L targets. With ``whole`` C(y, o) of all outputs of a sample.
    derivative : callable, optional
        ∂C/∂o as a function of (y, o). Without it, by dual numbers in o, see `register_activation`.
    second_derivative : callable, optional
        ∂²C/∂o² as a function of (y, o), for Hessians only. Without it as in `register_activation`.
    name : str, optional
        By default the function's own.
    output : str, default "identity"
        The activation of the output layer when none is named.
    whole : bool, default False
        Whether y and o are all numbers of a sample, taken by index: ``o[j]``, ``len(o)``, ``y[0]``. The derivative is
        that by dual numbers, which takes a call of the function for each output.
    columns : int, optional
        With ``whole``, the columns of Y; by default as many as outputs.

    Returns
    -------
    Cost
        Its row in the catalogue.

    Raises
    ------
    ValueError, TypeError
        As `register_activation`.

    Notes
    -----
    Costs with data of their own, or of all outputs, are for methods of first order: no Hessians, no
    Levenberg–Marquardt, no metrics of the catalogue. An index outside gives NaN.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> cauchy = fastbp.register_cost(lambda y, o: np.log(1 + (o - y) ** 2), name="cauchy")
    >>> net = fastbp.Network((2, 8, 1), cost="cauchy", seed=0)

    A policy gradient, with the action taken and its advantage in Y, and softmax as the output:

    >>> def policy(y, o):
    ...     return -y[1] * np.log(o[int(y[0])])
    >>> _ = fastbp.register_cost(policy, whole=True, columns=2, output="softmax")
    >>> net = fastbp.Network((4, 16, 3), cost="policy", seed=0)
    >>> X, actions, advantages = np.zeros((5, 4)), [0, 2, 1, 1, 0], [0.5, -1.0, 2.0, 0.1, -0.3]
    >>> round(net.train_on_batch(X, np.stack([actions, advantages], axis=1)), 2)  # 0.26 log 3
    0.29
    """
    _plain(function, "C(y, o)")
    name = _name(function, name, costs.COSTS, costs.NAMES, "cost")
    row = _cost(function, derivative, second_derivative, name, output, whole, columns)
    costs.COSTS[name] = row
    return row


def whole_cost(function: Callable[[Any, Any], Any], *, columns: int | None = None,
               output: str = "identity") -> costs.Cost:
    """Return a cost of all outputs of a sample at once, for ``Network(cost=…)``, without registering it.

    Parameters
    ----------
    function : callable
        C(y, o) of all numbers of a sample, taken by index, see `register_cost` with ``whole``.
    columns : int, optional
        Columns of Y; by default as many as outputs.
    output : str, default "identity"
        The activation of the output layer when none is named.

    Returns
    -------
    Cost
        It is in no catalogue: a network with it cannot be saved, nor used once it is unpickled.

    Raises
    ------
    ValueError, TypeError
        As `register_cost`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> def angle(y, o):  # between the two directions of a sample
    ...     return 1 - (y[0] * o[0] + y[1] * o[1]) / np.sqrt((o[0] ** 2 + o[1] ** 2) * (y[0] ** 2 + y[1] ** 2))
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> net = fastbp.Network((2, 16, 2), cost=fastbp.whole_cost(angle), seed=0).fit(X, X[:, ::-1], epochs=50)
    >>> net.cost(X, X[:, ::-1]) < 0.01
    True
    """
    _plain(function, "C(y, o)")
    return _cost(function, None, None, _unregistered(function, "cost"), output, True, columns)


def given_cost(function: Callable[..., Any]) -> costs.Cost:
    """Return a row for a function that is given to a network directly; it is in no catalogue."""
    _plain(function, "C(y, o)")
    try:
        return _cost(function, None, None, _unregistered(function, "cost"), "identity", False, None)
    except ValueError as error:
        raise ValueError(f"{error}; a function of all outputs at once, which takes them by index, is given as "
                         "cost=fastbp.whole_cost(function)") from error


def _unregistered(function: Any, kind: str) -> str:
    """Return what a function is called that is in no catalogue: no name of one begins so."""
    return f"<{getattr(function, '__name__', kind).strip('<>')}>"


def given(activation: Any) -> Any:
    """Return activations as a network looks them up, with a row for each function that is given directly."""
    if callable(activation):
        _plain(activation, "φ(net)")
        return _activation(activation, None, None, _unregistered(activation, "activation"), "glorot_uniform")
    return list(map(given, activation)) if isinstance(activation, (list, tuple)) else activation


def given_output(output: Any, count: int) -> Any:
    """Return that of so many outputs: of a sequence, with one for each, the activation that they are together.

    Raises
    ------
    ValueError
        If they make none.
    """
    found = given(output)
    if isinstance(found, list) and len(found) != count:
        raise ValueError(f"output has {len(found)} activations, expected one, or {count}: one for each output")
    return activations.mixed(found) if isinstance(found, list) else found


def _cost(function: Callable[..., Any], derivative: Callable[..., Any] | None,
          second_derivative: Callable[..., Any] | None, name: str, output: str, whole: bool,
          columns: int | None) -> costs.Cost:
    output = activations.get(output).name
    _callable("derivative", derivative)
    _callable("second_derivative", second_derivative)
    if not isinstance(whole, bool):
        raise TypeError(f"whole is {whole!r}, expected True or False")
    if columns is not None:
        number = isinstance(columns, (int, np.integer)) and not isinstance(columns, bool)
        if not (whole and number and 1 <= columns <= MOST_COLUMNS):
            raise ValueError(f"columns is {columns!r}, expected with whole=True a number of columns of Y, from 1 to "
                             f"{MOST_COLUMNS}")
    if whole:
        if derivative is not None or second_derivative is not None:
            raise ValueError("a derivative is given, but that of a cost of all outputs is computed by dual numbers: "
                             "leave it out")
        return _of_outputs(function, name, output, -1 if columns is None else int(columns))
    extra = _further(function)
    if extra:
        return _with_columns(function, derivative, second_derivative, name, output, extra)
    from .kernels.functions import dual  # on use: it teaches Numba a type, which takes a moment

    def values(loop: Any, o: Array, y: float = 0.25) -> tuple[Array, Array]:
        target, slope = np.full_like(o, y), np.ones_like(o)
        loop(o.copy(), target, slope, 1, np.zeros(1))
        return target, slope

    tables = [values, partial(values, y=1.0)]

    def compiled(function: Any, derivative: Any, second_derivative: Any) -> tuple[Any, ...]:
        loop, plain = _checked(name, dual.cost, dual.plain_cost, function, derivative, tables)
        second = dual.cost_second_derivative(function, derivative, second_derivative, plain)
        if second_derivative is not None:
            for y in (0.25, 1.0):
                given = np.ones_like(GRID)
                second(GRID.copy(), np.full_like(GRID, y), given, 1, np.zeros(1))
                _check_second_derivative(f"{name} at y = {y}", partial(values, loop, y=y), given)
        return loop, second, _fingerprint(loop, tables)

    loop, second, found = _once(compiled, "cost", function, derivative, second_derivative)
    _warn_if_slow(name, loop)
    return costs.Cost(name, loop, "your own", "your own" if derivative else "by dual numbers", output,
                      second_derivative=second, values=found)


def _further(function: Any) -> int:
    """Return how many arguments a function takes beside y and o."""
    try:
        parameters = list(inspect.signature(getattr(function, "py_func", function)).parameters.values())
    except (TypeError, ValueError):  # of NumPy's and others that are not Python
        return 0
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 0
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.default is each.empty
               for each in parameters) - 2


def _with_columns(function: Any, derivative: Any, second_derivative: Any, name: str, output: str,
                  extra: int) -> costs.Cost:
    """Return the row of a cost C(y, o, a, …)."""
    if extra < 0:
        raise ValueError(f"{name} takes {extra + 2} arguments, expected y and o, and what else it reads of a sample")
    if second_derivative is not None:
        raise ValueError("second_derivative is given, but nothing of second order takes costs with data of their own: "
                         "leave it out")
    from .kernels.functions import dual

    def values(loop: Any, o: Array, y: float = 0.25) -> tuple[Array, Array]:
        target, slope = np.concatenate([np.full_like(o, y), 0.5 + 0.25 * np.arange(extra)]), np.ones_like(o)
        loop(o.copy(), target, slope, o.size, np.zeros(4))  # one sample, with so many outputs
        return target[: o.size], slope

    tables = [values, partial(values, y=1.0)]

    def compiled(function: Any, derivative: Any) -> tuple[Any, ...]:
        def make(function: Any, derivative: Any) -> Any:
            return dual.cost_with_columns(function, derivative, extra)

        loop, _ = _checked(name, make, make, function, derivative, tables)
        return loop, _fingerprint(loop, tables)

    loop, found = _once(compiled, f"cost with {extra}", function, derivative)
    return costs.Cost(name, loop, "your own", "your own" if derivative else "by dual numbers", output, values=found,
                      extra=extra)


def _of_outputs(function: Any, name: str, output: str, columns: int) -> costs.Cost:
    """Return the row of a cost C(y, o) of all outputs of a sample."""
    from .kernels.functions import dual

    def values(loop: Any, x: Array, y: float = 0.25) -> tuple[Array, Array]:
        """Along a line through the outputs."""
        found, slopes, target = np.empty_like(x), np.empty_like(x), np.full(max(LINE.size, columns), y)
        for i, part in enumerate(x):
            out, delta = FOOT + part * LINE, np.ones_like(LINE)
            target[: LINE.size] = y
            loop(out, target, delta, LINE.size, np.zeros(4))
            found[i], slopes[i] = target[0], delta @ LINE
        return found, slopes

    tables = [values, partial(values, y=1.0)]

    def compiled(function: Any) -> tuple[Any, ...]:
        def make(function: Any, derivative: Any) -> Any:
            return dual.cost_of_outputs(function, columns)

        loop, _ = _checked(name, make, make, function, None, tables, "it is C(y, o) of numbers that it takes by index, "
                           "o[j] and y[j], in loops over range(len(o)) where there are many")
        return loop, _fingerprint(loop, tables)

    loop, found = _once(compiled, f"cost of {columns}", function)
    return costs.Cost(name, loop, "your own", "by dual numbers", output, values=found, whole=columns)


def _once(make: Callable[..., tuple[Any, ...]], kind: str, *functions: Any) -> tuple[Any, ...]:
    """Compile functions as they are now, unless the same ones have been before."""
    from .kernels.functions import dual

    fixed = dual.Fixed()
    now, keys = zip(*map(fixed.of, functions), strict=True)
    if (kind, keys) not in _compiled:
        _compiled[kind, keys] = make(*now)
    return _compiled[kind, keys]


def _fingerprint(loop: Any, tables: list[Any]) -> bytes:
    """Return values that tell a function from another one."""
    with np.errstate(all="ignore"):
        return b"".join(table(loop, POINTS)[0].tobytes() for table in tables)


def _warn_if_slow(name: str, loop: Any) -> None:
    if why := options.one_by_one(loop):
        warnings.warn(f"{name} is computed one number at a time, several times slower than a built-in function: {why}",
                      stacklevel=callers.stacklevel())


def _plain(function: Any, what: str) -> None:
    """Raise TypeError if this is none of the functions that Numba compiles."""
    _required("function", function)
    if (inspect.isclass(function) or inspect.ismethod(function) or isinstance(function, partial)
            or inspect.isfunction(type(function).__call__) and not hasattr(function, "py_func")):
        raise TypeError(f"function is {function!r}, which Numba does not compile, expected a plain function {what}: "
                        "write one, by def or lambda; it may refer to numbers and arrays around it")


def _required(name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{name} is {function!r}, expected a function")


def _callable(name: str, function: Any) -> None:
    if function is not None:
        _required(name, function)


def _name(function: Any, name: str | None, catalogue: dict[str, Any], names: Names, kind: str) -> str:
    found = getattr(function, "__name__", "<lambda>") if name is None else name
    if not isinstance(found, str) or not found or found.startswith("<") or "|" in found:
        raise ValueError(f"name is {name!r}: this {kind} needs a name of its own, for instance name='bent'")
    if activations.is_parametric(found):
        raise ValueError(f"{found!r} is the name of a parametric activation: choose another name")
    if found in catalogue and catalogue[found].formula != "your own":
        raise ValueError(f"{found!r} is a built-in {kind}: choose another name")
    if (other := names.accepted.get(plain(found))) is not None:
        raise ValueError(f"{found!r} is another name of the built-in {kind} {other!r}: choose another name")
    return found


def _checked(name: str, make: Any, make_plain: Any, function: Any, derivative: Any,
             tables: list[Any], instead: str = "give derivative=") -> tuple[Any, bool]:
    """Compile functions into a loop on dual numbers, or, if they come with a derivative, else on plain ones; check it.

    ``tables`` compute values and slopes by a loop on a grid, ``instead`` says what to do about a function without
    derivative that cannot be differentiated. Returns the loop, and whether it is one on plain numbers.
    """
    loop, plain = make(function, derivative), False
    try:
        found = _values(loop, tables)
    except Exception as error:
        if derivative is None:
            raise ValueError(f"{name}: this function cannot be differentiated: {options.reason(error)}; "
                             f"{instead}") from error
        loop, plain = make_plain(function, derivative), True
        try:
            found = _values(loop, tables)
        except Exception as second:
            raise ValueError(f"{name}: this function cannot be compiled: {options.reason(second)}") from second
    for slope, above, below in found:
        _check(name, slope, (above - below) / (2 * STEP), derivative is not None)
    return loop, plain


def _values(loop: Any, tables: list[Any]) -> list[tuple[Array, Array, Array]]:
    """Return for each table the slopes on the grid, and the values STEP above and below; this compiles the loop."""
    with np.errstate(all="ignore"):
        return [(table(loop, GRID)[1], table(loop, GRID + STEP)[0], table(loop, GRID - STEP)[0]) for table in tables]


def _check_second_derivative(name: str, values: Callable[[Array], tuple[Array, Array]], given: Array) -> None:
    """Compare the second derivative that was given, on the grid, with central differences of the first."""
    with np.errstate(all="ignore"):
        expected = (values(GRID + STEP)[1] - values(GRID - STEP)[1]) / (2 * STEP)
    _check(name, given, expected, True, "second derivative")


def _check(name: str, slope: Array, expected: Array, given: bool, what: str = "derivative") -> None:
    """Compare slopes with central differences wherever both are finite."""
    with np.errstate(all="ignore"):
        off = np.abs(slope - expected) / (1 + np.abs(expected))
    if not np.isfinite(off).any():
        raise ValueError(f"{name}: neither value nor derivative is finite anywhere between -3 and 3")
    off[~np.isfinite(off)] = 0
    worst = int(off.argmax())
    if off[worst] > 1e-5:
        whose = f"the {what} that was given is" if given else "the slope is"
        raise ValueError(f"{name}: at {GRID[worst]:.4g} {whose} {slope[worst]:.6g}, but central differences give "
                         f"{expected[worst]:.6g}")

"""Rules: value and derivative of one operation, made of `elementwise`; and what the operations are called."""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any

import numpy as np

from ... import elementwise
from ...compile import scalar


@scalar
def times(slope: Any, dx: Any) -> Any:
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
    return x * y, times(y, dx) + times(x, dy)


@scalar
def _quotient(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    q = x / y
    return q, (dx - times(q, dy)) / y


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
    return z, times(y * r(x ** (y - r(1.0))), dx) + times(z * elementwise.log(x), dy)


@scalar
def whole_power(x: Any, n: int) -> Any:
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


def called(name: str) -> list[Any]:
    """Return every function that a rule stands for."""
    found = [getattr(np, name, None), getattr(math, name, None), *OTHER_NAMES.get(name, ())]
    return [function for function in found if function is not None]

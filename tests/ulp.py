"""Measure the error of functions of one element in units in the last place, against mpmath.

Used by the tests and by ``bench/ulp_table.py``. Beside it a dense search, of many more arguments, against formulas in
the next wider type of NumPy: the worst arguments are too rare for the thousands that mpmath can judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
from numba import njit

from fastbp.kernels import elementwise
from fastbp.kernels.compile import JIT
from fastbp.kernels.functions import activations, softmax

mp.mp.dps = 40
HALF = mp.mpf(1) / 2


def phi(x: mp.mpf) -> mp.mpf:
    """Return the normal distribution function."""
    return mp.erfc(-x / mp.sqrt(2)) / 2


def density(x: mp.mpf) -> mp.mpf:
    """Return the normal density."""
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def logistic(x: mp.mpf) -> mp.mpf:
    """Return 1/(1 + exp(-x))."""
    return 1 / (1 + mp.exp(-x))


def softplus(x: mp.mpf) -> mp.mpf:
    """Return log(1 + exp(x))."""
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


SELU_ALPHA = -mp.sqrt(2 / mp.pi) / (mp.erfc(mp.sqrt(HALF)) * mp.exp(HALF) - 1)
SELU_SCALE = (
    (1 - mp.erfc(mp.sqrt(HALF)) * mp.sqrt(mp.e))
    * mp.sqrt(2 * mp.pi)
    / mp.sqrt(
        2 * mp.erfc(mp.sqrt(2)) * mp.e**2
        + mp.pi * mp.erfc(mp.sqrt(HALF)) ** 2 * mp.e
        - 2 * (2 + mp.pi) * mp.erfc(mp.sqrt(HALF)) * mp.sqrt(mp.e)
        + mp.pi
        + 2
    )
)


def clip(x: mp.mpf, low: int, high: int) -> mp.mpf:
    """Limit x."""
    return min(max(x, mp.mpf(low)), mp.mpf(high))


Exact = Callable[[Any], Any]


class Case(NamedTuple):
    """A function, where its error is measured, and the results that count as tiny."""

    exact: Exact
    low: tuple[float, float]
    """Lower end of the arguments, float32 and float64."""
    high: tuple[float, float]
    tiny: tuple[float, float] = (2.0**-126, 2.0**-1022)
    """Results below this are only compared to within it."""
    corners: tuple[float, ...] = ()
    """Arguments around which to look closely."""
    kinks: tuple[float, ...] = ()
    """Where φ' or φ'' jumps."""
    limits: bool = True
    """Whether it tends to something at both ends, infinity too."""


BIG = (3.4e38, 1.79e308)
LOW = (-3.4e38, -1.79e308)
LN2 = 0.6931471805599453
STEPS = tuple(LN2 * (k + 0.5) for k in (-126, -20, -2, -1, 0, 1, 20, 126))
TURNS = tuple(float(mp.pi / 4 * k) for k in (-3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 1000, 4444, 12732))

ELEMENTS: dict[str, Case] = {
    "exp": Case(mp.exp, (-110, -760), (88.72, 709.78), corners=STEPS),
    "expm1": Case(mp.expm1, (-110, -760), (88.72, 709.78), corners=STEPS),
    "tanh": Case(mp.tanh, (-110, -760), (110, 760), corners=STEPS),
    "logistic": Case(logistic, (-110, -760), (110, 760), corners=STEPS),
    "softplus": Case(softplus, (-110, -760), BIG, corners=STEPS),
    "log": Case(mp.log, (0, 0), BIG, corners=(0.5, 0.7071067811865476, 1.0, 1.4142135623730951, 2.0)),
    "log1p": Case(mp.log1p, (-1, -1), BIG, corners=(-0.5, -0.2928932188134524, 0.41421356237309503, 1.0, 1e9)),
    "log1p_unit": Case(mp.log1p, (0, 0), (1, 1)),
    "sin": Case(mp.sin, (-1e4, -1e6), (1e4, 1e6), corners=TURNS, limits=False),
    "cos": Case(mp.cos, (-1e4, -1e6), (1e4, 1e6), corners=TURNS, limits=False),
}

# silu, gelu and mish are a product with a factor that underflows before they do
PRODUCT = (2.0**-118, 2.0**-1010)
ACTIVATIONS: dict[str, tuple[Case, Exact]] = {
    "identity": (Case(lambda x: x, LOW, BIG), lambda x: mp.mpf(1)),
    "logistic": (ELEMENTS["logistic"], lambda x: logistic(x) * logistic(-x)),
    "tanh": (ELEMENTS["tanh"], lambda x: mp.sech(x) ** 2),
    "relu": (Case(lambda x: max(x, mp.mpf(0)), LOW, BIG, kinks=(0,)), lambda x: mp.mpf(x > 0)),
    "leaky_relu": (
        Case(lambda x: x if x > 0 else x / 100, LOW, BIG, kinks=(0,)),
        lambda x: mp.mpf(1) if x > 0 else mp.mpf(1) / 100,
    ),
    "elu": (
        Case(lambda x: x if x > 0 else mp.expm1(x), LOW, BIG, kinks=(0,)),
        lambda x: mp.exp(min(x, mp.mpf(0))),
    ),
    "selu": (
        Case(lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * mp.expm1(x)), LOW, (3.2e38, 1.7e308), kinks=(0,)),
        lambda x: SELU_SCALE * (1 if x > 0 else SELU_ALPHA * mp.exp(x)),
    ),
    "softplus": (ELEMENTS["softplus"], logistic),
    "softsign": (Case(lambda x: x / (1 + abs(x)), LOW, BIG, kinks=(0,)), lambda x: 1 / (1 + abs(x)) ** 2),
    "silu": (
        Case(lambda x: x * logistic(x), (-110, -760), (110, 760), PRODUCT, STEPS),
        lambda x: logistic(x) * (1 + x * logistic(-x)),
    ),
    "gelu": (
        Case(lambda x: x * phi(x), (-20, -45), (20, 45), PRODUCT, (-1.0, -0.5, 0.5, 1.0)),
        lambda x: phi(x) + x * density(x),
    ),
    "mish": (
        Case(lambda x: x * mp.tanh(softplus(x)), (-110, -760), (110, 760), PRODUCT, STEPS),
        lambda x: mp.tanh(softplus(x)) + x * mp.sech(softplus(x)) ** 2 * logistic(x),
    ),
    "hard_tanh": (Case(lambda x: clip(x, -1, 1), (-9, -9), (9, 9), kinks=(-1, 1)), lambda x: mp.mpf(abs(x) < 1)),
    "hard_sigmoid": (
        Case(lambda x: clip(x / 6 + HALF, 0, 1), (-9, -9), (9, 9), kinks=(-3, 3)),
        lambda x: mp.mpf(abs(x) < 3) / 6,
    ),
    "gaussian": (Case(lambda x: mp.exp(-x * x), (-11, -30), (11, 30)), lambda x: -2 * x * mp.exp(-x * x)),
    "sin": (ELEMENTS["sin"], mp.cos),
    "exp": (ELEMENTS["exp"], mp.exp),
}


@cache
def over_array(name: str) -> Callable[[Any, Any], None]:
    """Return a loop that applies an element function to a whole array, as a kernel would."""
    function = getattr(elementwise, name)

    def loop(x: Any, y: Any) -> None:
        for i in range(x.size):
            y[i] = function(x[i])

    return njit(error_model="numpy")(loop) if JIT else loop


def evaluate(name: str, x: Any) -> Any:
    """Apply an element function to an array."""
    y = np.empty_like(x)
    with np.errstate(all="ignore"):  # compiled code raises no flags; plain NumPy scalars warn
        over_array(name)(x, y)
    return y


def activate(name: str, net: Any, neurons: int = 1) -> tuple[Any, Any]:
    """Apply an activation: outputs and slopes."""
    out, slope = net.copy(), np.full_like(net, np.nan)
    with np.errstate(all="ignore"):
        getattr(softmax if name == "softmax" else activations, name)(out, slope, neurons)
    return out, slope


FAR = mp.mpf(10) ** 30


def limit(function: Exact, end: int, dtype: Any) -> Any:
    """Return what a function tends to at -1 or 1 times infinity: what it is far out, rounded to 0 or infinity there."""
    found = function(end * FAR)
    return dtype(0 if abs(found) < 1 / FAR ** HALF else mp.sign(found) * mp.inf if abs(found) > FAR**HALF else found)


def arguments(case: Case, dtype: Any, count: int, seed: int = 0) -> Any:
    """Draw arguments: over all bit patterns, uniform over several widths, and beside the corners."""
    rng = np.random.default_rng(seed)
    double = dtype == np.float64
    low, high = case.low[double], case.high[double]
    info = np.finfo(dtype)
    part = count // 4
    exponents = rng.uniform(float(info.minexp), float(info.maxexp) - 1e-3, 4 * part)
    patterns = rng.choice([-1.0, 1.0], 4 * part) * 2.0**exponents
    pools = [patterns[(patterns > low) & (patterns < high)][:part]]
    pools.append(rng.choice([-1.0, 1.0], part) * 2.0 ** rng.uniform(-15, 8, part))
    widths = (1.5, 12.0, 110.0, 1e6 if double else 1e4)
    pools += [rng.uniform(max(low, -w), min(high, w), part // 2) for w in widths]
    x = np.concatenate(pools).astype(dtype)
    for corner in case.corners:
        near = np.asarray(corner, dtype)
        beside = [near]
        for way in (-np.inf, np.inf):
            step = near
            for _ in range(6):
                step = np.nextafter(step, dtype(way))
                beside.append(step)
        x = np.concatenate([x, np.array(beside, dtype)])
    return x[(x > low) & (x < high)]


def errors(exact: list[Any], got: Any, tiny: float) -> Any:
    """Return |got - exact| in ulp of exact; below ``tiny`` in units of tiny."""
    info = np.finfo(got.dtype)
    result = np.empty(got.size)
    for i, (e, g) in enumerate(zip(exact, got, strict=True)):
        if abs(e) < tiny:
            unit = mp.mpf(tiny)
        else:
            unit = mp.ldexp(1, int(mp.floor(mp.log(abs(e), 2))) - info.nmant)
        result[i] = float(abs(mp.mpf(float(g)) - e) / unit)
    return result


def element_errors(name: str, dtype: Any, count: int, seed: int = 0) -> tuple[Any, Any]:
    """Return arguments and errors in ulp of an element function."""
    case = ELEMENTS[name]
    x = arguments(case, dtype, count, seed)
    exact = [case.exact(mp.mpf(float(v))) for v in x]
    return x, errors(exact, evaluate(name, x), case.tiny[dtype == np.float64])


def activation_errors(name: str, dtype: Any, count: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return nets, errors of the outputs in ulp, and errors of the slopes in eps times max(1, |slope|)."""
    case, derivative = ACTIVATIONS[name]
    x = arguments(case, dtype, count, seed)
    points = [mp.mpf(float(v)) for v in x]
    out, slope = activate(name, x)
    of_out = errors([case.exact(p) for p in points], out, case.tiny[dtype == np.float64])
    eps = np.finfo(dtype).eps
    exact = [derivative(p) for p in points]
    of_slope = [float(abs(mp.mpf(float(s)) - e) / (eps * max(1, abs(e)))) for s, e in zip(slope, exact, strict=True)]
    return x, of_out, np.array(of_slope)


# -------------------------------------------------------------------------------------------------- dense search

WIDER = {np.float32: np.float64, np.float64: np.longdouble}
WIDE_ENOUGH = {dtype: np.finfo(wide).nmant >= np.finfo(dtype).nmant + 10 for dtype, wide in WIDER.items()}
"""Whether the wider type judges errors to a thousandth of an ulp; on some platforms a long double is a float64."""


def wide_constant(value: mp.mpf) -> Any:
    """Return a constant as a long double; an array of float64 times it is one too."""
    return np.longdouble(mp.nstr(value, 25))


def wide_gaussian(x: Any) -> Any:
    """Return exp(-x**2): in a wide square an error of one rounding would count x**2 times, so the square is split."""
    head = x.astype(np.float32).astype(x.dtype)
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def wide_gelu(x: Any) -> Any:
    """Return x Phi(x), by mpmath for long doubles, which have no erfc."""
    if x.dtype == np.float64:
        return x * np.array([math.erfc(v) for v in -x / math.sqrt(2)]) / 2
    return x * np.array([np.longdouble(mp.nstr(phi(mp.mpf(float(v))), 25)) for v in x])


WIDE: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, x / 100),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: (
        wide_constant(SELU_SCALE) * np.where(x > 0, x, wide_constant(SELU_ALPHA) * np.expm1(np.minimum(x, 0)))
    ),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": wide_gelu,
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip((x + 3) / 6, 0, 1),
    "gaussian": wide_gaussian,
    "sin": np.sin,
    "exp": np.exp,
}
"""Formulas without cancellation, for arrays of the wider type; the arguments are those of ``ACTIVATIONS``."""


def dense_errors(name: str, dtype: Any, count: int, seed: int = 0) -> tuple[Any, Any]:
    """Return nets and errors of the outputs in ulp, as ``activation_errors``, against the wider type.

    For gelu in float64, which mpmath judges, a fortieth of ``count``.
    """
    case = ACTIVATIONS[name][0]
    double = dtype == np.float64
    x = arguments(case, dtype, count // 40 if name == "gelu" and double else count, seed)
    exact = WIDE[name](x.astype(WIDER[dtype]))
    _, exponent = np.frexp(exact)
    unit = np.ldexp(np.ones_like(exact), exponent - 1 - np.finfo(dtype).nmant)
    unit = np.where(np.abs(exact) < case.tiny[double], case.tiny[double], unit)
    return x, (np.abs(activate(name, x)[0] - exact) / unit).astype(float)

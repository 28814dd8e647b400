"""The loops of the second derivatives of the user's activations and costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compile import scalar
from .number import compiled_loop, dual, on_duals, on_numbers, slope_of

DIFFERENCE_STEP = 2.0**-7
"""Exact in binary, so that x ± step rounds nothing. In double, for tanh: 1e-14 by rounding, 4e-15 by the step."""

DIFFERENCE_STEPS = 7
"""How many are tried, each an eighth of the one before: the last is 2⁻²⁵, where rounding takes half the digits."""


def activation_second_derivative(function: Callable[..., Any], derivative: Callable[..., Any] | None,
                         second_derivative: Callable[..., Any] | None, plain: bool) -> Any:
    """Make the panel loop of a user's φ''(net): the one given, by dual numbers from a φ', or by differences of φ'.

    ``plain`` tells that dual numbers cannot go through the user's functions. φ'' overwrites the first panel.
    """
    def carried(y: Any, x: Any) -> Any:
        return f(dual(x, type(x)(1)))

    f = on_duals(derivative or function)
    own = None if second_derivative is None else _ignoring_target(second_derivative)
    given = None if derivative is None or not plain else _ignoring_target(derivative)
    second = _second_derivative(scalar(carried), own, given, derivative is not None)

    def loop(net: Any, out: Any, slope: Any) -> None:
        real = type(net[0])
        for i in range(net.size):
            net[i] = real(second(np.float64(0.0), np.float64(net[i])))

    return compiled_loop(loop)


def cost_second_derivative(function: Callable[..., Any], derivative: Callable[..., Any] | None,
                   second_derivative: Callable[..., Any] | None, plain: bool) -> Any:
    """Make the panel loop that multiplies ``delta`` by a user's ∂²C/∂o², found as in `activation_second_derivative`."""
    def carried(y: Any, o: Any) -> Any:
        return f(dual(y, type(y)(0)), dual(o, type(o)(1)))

    f = on_duals(derivative or function)
    own = None if second_derivative is None else on_numbers(second_derivative)
    given = None if derivative is None or not plain else on_numbers(derivative)
    second = _second_derivative(scalar(carried), own, given, derivative is not None)

    def loop(out: Any, target: Any, delta: Any, neurons: Any, parameter: Any) -> None:
        real = type(out[0])
        for i in range(out.size):
            delta[i] *= real(second(np.float64(target[i]), np.float64(out[i])))

    return compiled_loop(loop)


def _second_derivative(carried: Any, own: Any, slope: Any, differentiated: bool) -> Any:
    """Return a second derivative as a function of (y, x).

    It is ``own`` if there is one, the slope of the dual number ``carried`` if that is a derivative already, else
    differences of the plain derivative ``slope``, or of the slope of ``carried``.
    """
    def by_dual(y: Any, x: Any) -> Any:
        return slope_of(carried(y, x), x)

    if own is not None:
        return own
    once = scalar(by_dual)
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

    return scalar(by_differences)


def _ignoring_target(function: Callable[..., Any]) -> Any:
    """Return a function of x as one of (y, x), plain numbers."""
    f = on_numbers(function)
    return scalar(lambda y, x: f(x))

"""The loops of the user's activations and costs, with slopes by the user's functions or by dual numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .number import compiled_loop, dual, on_duals, on_numbers, slope_of, value_of


def activation(function: Callable[..., Any], derivative: Callable[..., Any] | None) -> Any:
    """Make the panel loop of a user's φ(net): outputs, and slopes by the user's φ' or by dual numbers.

    Closures are never cached by Numba, so it is compiled in every process that uses it.
    """
    f, d, given = on_duals(function), on_duals(derivative or function), derivative is not None

    def loop(panel: Any, slope: Any, neurons: int) -> None:
        one = type(panel[0])(1)
        for i in range(panel.size):
            x = dual(panel[i], one)
            o = f(x)
            slope[i] = value_of(d(x), one) if given else slope_of(o, one)
            panel[i] = value_of(o, one)

    return compiled_loop(loop)


def cost(function: Callable[..., Any], derivative: Callable[..., Any] | None) -> Any:
    """Make the panel loop of a user's C(y, o), and of ∂C/∂o by the user's own function or by dual numbers."""
    f, d, given = on_duals(function), on_duals(derivative or function), derivative is not None

    def loop(out: Any, target: Any, delta: Any, neurons: int, parameter: Any) -> None:
        one = type(out[0])(1)
        for i in range(out.size):
            y, o = dual(target[i], type(out[0])(0)), dual(out[i], one)
            c = f(y, o)
            delta[i] *= value_of(d(y, o), one) if given else slope_of(c, one)
            target[i] = value_of(c, one)

    return compiled_loop(loop)


def plain_activation(function: Callable[..., Any], derivative: Callable[..., Any]) -> Any:
    """Make the panel loop of functions that dual numbers cannot go through, with a derivative."""
    f, d = on_numbers(function), on_numbers(derivative)

    def loop(panel: Any, slope: Any, neurons: int) -> None:
        real = type(panel[0])
        for i in range(panel.size):
            x = panel[i]
            slope[i] = real(d(x))
            panel[i] = real(f(x))

    return compiled_loop(loop)


def plain_cost(function: Callable[..., Any], derivative: Callable[..., Any]) -> Any:
    """Make the panel loop of a cost that dual numbers cannot go through, with its derivative."""
    f, d = on_numbers(function), on_numbers(derivative)

    def loop(out: Any, target: Any, delta: Any, neurons: int, parameter: Any) -> None:
        real = type(out[0])
        for i in range(out.size):
            y, o = target[i], out[i]
            delta[i] *= real(d(y, o))
            target[i] = real(f(y, o))

    return compiled_loop(loop)

"""The loops of the user's costs that read more than a target for each output: further columns of Y, or all at once.

The panel of targets has a row for each output at least; costs go to its first numbers, as many as outputs
(`kernels.functions.costs`), in the places of rows that have been read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...compile import scalar
from ...ir import lanes, least, pointer, view
from .number import compiled_loop, dual, dual_row, on_duals, plain_row, slope_of, value_of


def cost_with_columns(function: Callable[..., Any], derivative: Callable[..., Any] | None, extra: int) -> Any:
    """Make the panel loop of a user's C(y, o, a, …), whose ``extra`` further numbers are those of the sample."""
    f, d, given = on_duals(function), on_duals(derivative or function), derivative is not None
    more = _numbers(extra)

    def loop(out: Any, target: Any, delta: Any, neurons: int, parameter: Any) -> None:
        real = type(out[0])
        one, width = real(1), least(lanes(out), out.size // neurons)
        strips = out.size // (neurons * width)
        rows = target.size // (strips * width)
        for s in range(strips):
            for j in range(neurons):
                at, read = (s * neurons + j) * width, (s * rows + j) * width
                behind = (s * rows + neurons) * width
                for v in range(width):
                    y, o = dual(target[read + v], real(0)), dual(out[at + v], one)
                    own = more(target, behind + v, width)
                    c = f(y, o, *own)
                    delta[at + v] *= value_of(d(y, o, *own), one) if given else slope_of(c, one)
                    target[at + v] = value_of(c, one)

    return compiled_loop(loop)


def _numbers(count: int) -> Any:
    """Return a function that reads so many numbers of a sample as a tuple of dual numbers."""
    if count == 0:
        return scalar(lambda target, at, step: ())
    rest = _numbers(count - 1)

    def numbers(target: Any, at: Any, step: Any) -> Any:
        return (dual(target[at], type(target[0])(0)), *rest(target, at + step, step))

    return scalar(numbers)


def cost_of_outputs(function: Callable[..., Any], columns: int) -> Any:
    """Make the panel loop of a user's C(y, o) of all outputs of a sample, by index; ``columns`` -1: a target for each.

    The slope by each output is that of a call of its own, in which that output is a dual number with slope 1.
    """
    f = on_duals(function)

    def loop(out: Any, target: Any, delta: Any, neurons: int, parameter: Any) -> None:
        real = type(out[0])
        one, width, known = real(1), least(lanes(out), out.size // neurons), neurons if columns < 0 else columns
        strips = out.size // (neurons * width)
        rows = target.size // (strips * width)
        for s in range(strips):
            first, size = s * neurons * width, neurons * width
            for v in range(width):
                y = plain_row(pointer(view(target, s * rows * width + v, rows * width - v)), width, -1, known)
                cost = real(0)
                for j in range(neurons):
                    c = f(y, dual_row(pointer(view(out, first + v, size - v)), width, j, neurons))
                    delta[first + j * width + v] *= slope_of(c, one)
                    cost = value_of(c, one)
                for j in range(neurons):
                    target[first + j * width + v] = cost if j == 0 else real(0)

    return compiled_loop(loop)

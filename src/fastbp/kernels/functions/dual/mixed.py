"""The loops of an output layer whose outputs have activations of their own: runs of outputs that have the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...compile import Kernel, scalar
from ...ir import lanes, least, view
from .number import compiled_loop

Runs = Sequence[tuple[Any, int]]
"""What is called for how many outputs, from the first to the last."""


def mixed_activation(runs: Runs) -> Callable[..., None]:
    """Make the panel loop of φ_j(net_j); no cache holds it, as it is with functions of the user's own."""
    apply = _activations(runs, 0)

    def loop(panel: Any, slope: Any, neurons: int) -> None:
        width = least(lanes(panel), panel.size // neurons)
        for s in range(panel.size // (neurons * width)):
            apply(panel, slope, s * neurons * width, width)

    return compiled_loop(loop)  # type: ignore[no-any-return]


def mixed_second_derivative(runs: Runs) -> Callable[..., None]:
    """Make the panel loop of φ_j''(net_j)."""
    apply, neurons = _second_derivatives(runs, 0), sum(count for _, count in runs)

    def loop(net: Any, out: Any, slope: Any) -> None:
        width = least(lanes(net), net.size // neurons)
        for s in range(net.size // (neurons * width)):
            apply(net, out, slope, s * neurons * width, width)

    return compiled_loop(loop)  # type: ignore[no-any-return]


def _called(kernel: Any) -> Any:
    """Return what compiled code calls of a kernel: a loop of the catalogue, or one around the user's function."""
    return kernel.compiled if isinstance(kernel, Kernel) else kernel


def _activations(runs: Runs, first: int) -> Any:
    """Return a function that calls one run after the other, as Numba knows no list of functions."""
    if not runs:
        return scalar(lambda panel, slope, at, width: None)
    function, count, rest = _called(runs[0][0]), runs[0][1], _activations(runs[1:], first + runs[0][1])

    def apply(panel: Any, slope: Any, at: Any, width: Any) -> None:
        start, size = at + first * width, count * width
        function(view(panel, start, size), view(slope, start, size), count)
        rest(panel, slope, at, width)

    return scalar(apply)


def _second_derivatives(runs: Runs, first: int) -> Any:
    if not runs:
        return scalar(lambda net, out, slope, at, width: None)
    function, count, rest = _called(runs[0][0]), runs[0][1], _second_derivatives(runs[1:], first + runs[0][1])

    def apply(net: Any, out: Any, slope: Any, at: Any, width: Any) -> None:
        start, size = at + first * width, count * width
        function(view(net, start, size), view(out, start, size), view(slope, start, size))
        rest(net, out, slope, at, width)

    return scalar(apply)

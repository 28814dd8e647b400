"""Print the error and the time of every element function and activation as a table.

Run as ``python bench/ulp_table.py [--points 20000] [--dense 5000000] [--write docs/explanation/accuracy.md]``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite.binding import get_host_cpu_name
from numba import njit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import ulp  # noqa: E402

from fastbp.kernels.functions import activations, softmax  # noqa: E402

SIZE = 1024  # both panels stay in the first-level cache
ROUNDS = 100
HEAD = """# Accuracy and speed of the element functions

Written by `bench/ulp_table.py`; do not edit. Largest error found in units in the last place (ulp) against mpmath,
{points} arguments per function and type: over all bit patterns, over several intervals, and beside the places where
an argument reduction changes. The column dense is the largest error in a search of {dense} such arguments against
the next wider type (float64, long double; gelu in float64 against mpmath, a fortieth of the arguments). Times are
nanoseconds per element on one core ({cpu}), panels in the first-level cache; the time to refill the panels is taken
off. The machine is shared: trust ratios.

The demands, 2.5 ulp in float32 and 3 ulp in float64, are met by every activation wherever its output is not tiny, and
`fastbp.activations` states a bound for each that holds in the dense search. Tiny is a result below the smallest normal
number, 2**-126 (float32) or 2**-1022 (float64): there it may be flushed to 0 (exp, expm1, tanh, log and log1p keep
it). For silu, gelu and mish tiny is below 2**-118 (2**-1010): silu and mish become 0 below net = -87.7 (-708.7), where
exp(net) is no longer normal, gelu below -13.2 (-37.6), where exp(-net**2/2) is not. The bounds for sin and cos hold
for |x| up to 1e4 (float32), 1e6 (float64). Softmax has no bound: its exponent net_j - m is itself rounded.

The slope column is the error of phi' in eps times max(1, |phi'|).

"""


@njit(error_model="numpy")
def refill(panel: Any, slope: Any, source: Any, rounds: int) -> None:
    """Do what ``timed`` does, but for the function."""
    for _ in range(rounds):
        for i in range(source.size):
            panel[i] = source[i]
            slope[i] = source[i]


def in_loop(function: Callable[..., None]) -> Callable[..., None]:
    """Return a compiled loop of refills and calls."""

    @njit(error_model="numpy")
    def timed(panel: Any, slope: Any, source: Any, rounds: int) -> None:
        for _ in range(rounds):
            for i in range(source.size):
                panel[i] = source[i]
                slope[i] = source[i]
            function(panel, slope, 8)

    return timed


def element_panel(name: str) -> Callable[..., None]:
    """Return an element function the shape of an activation."""
    loop = ulp.over_array(name)

    @njit(error_model="numpy")
    def panel_of(panel: Any, slope: Any, neurons: int) -> None:
        loop(slope, panel)

    return panel_of


def nanoseconds(function: Callable[..., None], dtype: Any) -> float:
    """Time a panel function per element: the least of many, less the refill."""
    source = np.random.default_rng(0).uniform(0.01, 0.99, SIZE).astype(dtype)
    panel, slope = source.copy(), source.copy()

    def least(timed: Callable[..., None]) -> float:
        timed(panel, slope, source, 1)
        best = float("inf")
        for _ in range(40):
            start = time.perf_counter()
            timed(panel, slope, source, ROUNDS)
            best = min(best, time.perf_counter() - start)
        return best

    return (least(in_loop(function)) - least(refill)) / ROUNDS / SIZE * 1e9


def rows(points: int, dense: int) -> Iterator[str]:
    """Return the lines of the table."""
    yield "| element function | float32 ulp | float64 ulp | float32 ns | float64 ns |"
    yield "|---|---|---|---|---|"
    for name in ulp.ELEMENTS:
        error = [ulp.element_errors(name, dtype, points, 7)[1].max() for dtype in (np.float32, np.float64)]
        spent = [nanoseconds(element_panel(name), dtype) for dtype in (np.float32, np.float64)]
        yield f"| {name} | {error[0]:.2f} | {error[1]:.2f} | {spent[0]:.2f} | {spent[1]:.2f} |"
    yield ""
    yield (
        "| activation (output and slope) | float32 ulp | dense | slope | float64 ulp | dense | slope "
        "| float32 ns | float64 ns |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name in (*ulp.ACTIVATIONS, "softmax", "softmax_backward"):
        cells = [""] * 6
        if name in ulp.ACTIVATIONS:
            cells = []
            for dtype in (np.float32, np.float64):
                _, out, slope = ulp.activation_errors(name, dtype, points, 7)
                searched = ulp.dense_errors(name, dtype, dense, 7)[1].max() if ulp.WIDE_ENOUGH[dtype] else np.nan
                cells += [f"{e:.2f}" for e in (out.max(), searched, slope.max())]
        function = getattr(softmax if name.startswith("softmax") else activations, name)
        cells += [f"{nanoseconds(function, dtype):.2f}" for dtype in (np.float32, np.float64)]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Read the arguments, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20000)
    parser.add_argument("--dense", type=int, default=5_000_000)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    lines = []
    for line in rows(options.points, options.dense):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        head = HEAD.format(points=options.points, dense=options.dense, cpu=get_host_cpu_name())
        options.write.write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

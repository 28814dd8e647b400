"""Where the time of a fit went: what ``fit(profile=True)`` leaves in ``history.profile``."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.model import Model
from ..kernels import layout, tables
from ..kernels.ir import WHOLE
from ..kernels.ir.peak import pair_tiles, reading, single_tiles

PHASES = ("gather", "forward", "activation", "cost", "backward", "gradient", "update", "waiting")
"""Names of the phases, in the order of their codes."""

PRODUCTS = {tables.PHASE_FORWARD, tables.PHASE_BACKWARD, tables.PHASE_GRADIENT}
"""Phases that multiply and add once for each weight and sample."""

PEAK_INPUTS = 200
"""Length of the sums: weights, inputs and outputs of the tile take 33 KB of a 32 or 48 KB cache with AVX-512."""


class Row(NamedTuple):
    """One phase of one layer."""

    layer: int
    """From 1."""
    phase: str
    seconds: float
    """Mean over the threads."""
    gflops: float
    """GFLOP/s of all threads together, two operations a multiply-add; NaN where there are no products."""
    share_of_peak: float
    """Of the threads' multiply-add peak."""


class Profile(NamedTuple):
    """Where the time went, per layer and phase."""

    rows: list[Row]
    seconds: float
    """In compiled code, a thread."""
    samples: int
    """Samples that went forward and back."""
    threads: int
    peak: float
    """Multiply-add peak of one core, GFLOP/s."""

    def __str__(self) -> str:
        lines = [f"{self.samples} samples in {self.seconds:.4g} s on {self.threads} thread(s); "
                 f"peak {self.peak:.0f} GFLOP/s a core", "layer  phase       share of time   GFLOP/s  share of peak"]
        for row in self.rows:
            speed = "" if np.isnan(row.gflops) else f"{row.gflops:10.1f}{row.share_of_peak:15.0%}"
            lines.append(f"{row.layer:5d}  {row.phase:12s}{row.seconds / self.seconds:13.1%}{speed}")
        return "\n".join(lines)


def clock(network: Model, threads: int) -> npt.NDArray[np.int64]:
    """Allocate the cells that the kernels write their ticks to."""
    return np.zeros(threads * (1 + (len(network.layers) - 1) * tables.PHASE_COUNT), np.int64)


def read(network: Model, cells: npt.NDArray[np.int64], threads: int, samples: int, precision: str) -> Profile:
    """Make a profile of all that a clock has counted.

    Parameters
    ----------
    network
        The network that was trained.
    cells
        The clock.
    threads
        How many have trained it.
    samples
        Samples that went forward and back.
    precision
        That of the products.
    """
    peak, second = multiply_add_peak(precision), ticks_per_second()
    sizes, layers = network._architecture.sizes, len(network.layers) - 1
    spent = cells.reshape(threads, -1)[:, 1:].reshape(threads, layers, tables.PHASE_COUNT).mean(axis=0) / second
    rows = []
    for layer, phase in np.argwhere(spent > 0):
        work = 2 * sizes[layer] * sizes[layer + 1] * samples
        gflops = work / spent[layer, phase] / 1e9 if phase in PRODUCTS else np.nan
        rows.append(Row(int(layer) + 1, PHASES[phase], float(spent[layer, phase]), float(gflops),
                        float(gflops / (peak * threads))))
    return Profile(rows, float(spent.sum()), samples, threads, peak)


def ticks_per_second() -> float:
    """Measure the rate of the processor's clock against the system's."""
    reading()
    start, first = time.perf_counter(), reading()
    time.sleep(0.02)
    last, end = reading(), time.perf_counter()
    return float((last - first) / (end - start))


def multiply_add_peak(precision: str = "float32", rounds: int = 10) -> float:
    """Measure the multiply-add peak of one core: what the vector tile reaches on data in the L1 cache.

    Parameters
    ----------
    precision : {"float32", "float64", "bfloat16"}
    rounds : int, default 10
        The best of so many counts; each takes about 10 ms.

    Returns
    -------
    float
        GFLOP/s, two operations a multiply-add.
    """
    pairs = precision == "bfloat16"  # whatever bits the numbers below are of
    tiles: Any = pair_tiles if pairs else single_tiles
    dtype = "float32" if pairs else precision
    width = layout.lanes(dtype)
    generator = np.random.default_rng(0)
    weights = layout.aligned(WHOLE * PEAK_INPUTS, dtype)
    panels = layout.aligned(2 * (PEAK_INPUTS + WHOLE) * width, dtype)
    weights[:], panels[:] = generator.random(weights.size), generator.random(panels.size)
    bias = np.zeros(WHOLE, dtype)
    flop = 2 * WHOLE * 2 * width * PEAK_INPUTS * (2 if pairs else 1)
    tiles(weights, panels, bias, PEAK_INPUTS, 1)
    repetitions, best = 1, np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        tiles(weights, panels, bias, PEAK_INPUTS, repetitions)
        taken = time.perf_counter() - start
        best = min(best, taken / repetitions)
        repetitions = max(1, min(int(0.01 / best), 10**6))
    return flop / best / 1e9

"""The multiply-add peak: what the vector tile reaches on data that lie in the L1 cache, on one core.

``python -m bench.peak`` prints it for both dtypes. Shares of it survive a change of machine; times do not.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from fastbp.kernels import layout, simd
from fastbp.kernels._jit import kernel
from fastbp.kernels.simd import lanes

INPUTS = 200
"""Length of the sums: weights, inputs and outputs of the tile take 33 KB of a 32 or 48 KB cache with AVX-512."""


@kernel
def tiles(weights, panels, bias, n_in, repetitions):
    """Compute the net inputs (1) of eight neurons for two strips, over and over; overwrites the end of ``panels``."""
    lane = lanes(panels)
    for _ in range(repetitions):
        simd.forward_8x2(weights, 0, n_in, 1, panels, 0, n_in * lane, 2 * n_in * lane, 8 * lane, n_in, bias, 0, 8)


def multiply_add_peak(dtype: npt.DTypeLike = "float32", rounds: int = 10) -> float:
    """Measure the peak of one core: the best of some short rounds.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    rounds : int, default 10
        Each takes about 10 ms.

    Returns
    -------
    float
        GFLOP/s, two operations a multiply-add.
    """
    width = layout.lanes(dtype)
    generator = np.random.default_rng(0)
    weights, panels = layout.aligned(8 * INPUTS, dtype), layout.aligned((2 * INPUTS + 16) * width, dtype)
    weights[:], panels[:] = generator.random(weights.size), generator.random(panels.size)
    bias = np.zeros(8, dtype)
    flop = 2 * 8 * 2 * width * INPUTS
    repetitions = 10**9 // flop
    tiles(weights, panels, bias, INPUTS, 1)
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        tiles(weights, panels, bias, INPUTS, repetitions)
        best = min(best, time.perf_counter() - start)
    return repetitions * flop / best / 1e9


if __name__ == "__main__":
    for name in ("float32", "float64"):
        print(f"{name}: {multiply_add_peak(name):.1f} GFLOP/s on one core")

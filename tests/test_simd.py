"""The tiles' small companions: transposes, views, atomic operations, calls by address; and the layout."""

import threading

import numpy as np
import pytest

from fastbp.kernels import codes, layout, simd
from fastbp.kernels._jit import JIT, VECTOR_BYTES, address, kernel
from fastbp.kernels.simd import view
from helpers import DTYPES, few


@kernel
def transposed(source, target):
    simd.transpose(source, 3, target, 5)


@kernel
def doubled(values):
    part = view(values, 2, 4)
    for i in range(part.size):
        part[i] *= 2


@kernel
def called(where, values):
    simd.call(where, (values,))


@kernel
def counted(cells, index, times):
    for _ in range(times):
        simd.atomic_add(cells, index, 1)
    return simd.atomic_load(cells, index)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose(dtype, rng):
    n = layout.lanes(dtype)
    assert n * np.dtype(dtype).itemsize == VECTOR_BYTES
    source, target = rng.normal(size=n * n + 9).astype(dtype), np.full(n * n + 9, 5, dtype)
    transposed(source, target)
    square = source[3 : 3 + n * n].reshape(n, n)
    assert (target[5 : 5 + n * n].reshape(n, n) == square.T).all()
    assert (target[:5] == 5).all() and (target[5 + n * n :] == 5).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_view_and_call(dtype):
    values = np.arange(8).astype(dtype)
    doubled(values)
    called(address(doubled, "f", dtype), values)
    assert (values == [0, 1, 8, 12, 16, 20, 6, 7]).all()


def test_atomic_addition_loses_nothing():
    cells, times = np.zeros(24, np.int64), few(200_000, 500)
    counted(cells, 8, 1)
    threads = [threading.Thread(target=counted, args=(cells, 8, times)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(cells, 8, 0) == 3 * times + 1
    assert cells.sum() == cells[8]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 5, 2), (17, 4, 33, 1)], ids=str)
def test_panels_do_not_overlap(sizes, bias, dtype):
    """Every panel of a plan has its own place, inside the one allocation, on a whole vector."""
    lane = layout.lanes(dtype)
    for block in (1, lane, 3 * lane - 1):
        for backward in (True, False):
            plan = layout.plan(sizes, dtype, bias, block, backward=backward)
            samples = -(-block // lane) * lane
            places = [(plan.layers[0, codes.SOURCE], sizes[0] * samples), (plan.cells[codes.ONES], lane),
                      (plan.cells[codes.TARGET], sizes[-1] * samples), (plan.cells[codes.WEIGHT], samples),
                      (plan.cells[codes.COST], samples)]
            for row in plan.layers:
                places += [(row[codes.OUT], row[codes.N_OUT] * samples), (row[codes.DELTA], row[codes.N_OUT] * samples)]
                if row[codes.ACROSS] >= 0:
                    places.append((row[codes.ACROSS], -(-row[codes.N_IN] // lane) * lane * samples))
            used = np.zeros(plan.panels.size, int)
            for start, size in places:
                assert start >= 0 and start % lane == 0
                used[start : start + size] += 1
            assert used.max() == 1 and sum(size for _, size in places) == used.sum()
            assert (used[-lane * lane :] == 0).all(), "the slack that transposes read"
            assert plan.panels.ctypes.data % 64 == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_hold_whole_strips(dtype):
    lane = layout.lanes(dtype)
    for sizes in ((1, 1), (784, 128, 10), (2048, 2048, 2048)):
        for batch in (1, lane, lane + 1, 300, 10**6):
            block = layout.block_samples(sizes, dtype, batch)
            assert block % lane == 0 and lane <= block <= layout.LARGEST_BLOCK
            assert block < batch + lane, "no room for samples that never come"


@pytest.mark.skipif(not JIT, reason="lanes are 16 bytes without the JIT, by definition")
def test_lanes_follow_the_processor():
    """No vector instruction is wider than the lanes, and a wide target is used."""
    from llvmlite.binding import get_host_cpu_features
    from numba import config

    if config.CPU_NAME is None and config.CPU_FEATURES is None:
        features = get_host_cpu_features()
        if features.get("avx2"):
            assert VECTOR_BYTES >= 32

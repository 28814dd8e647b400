"""The tiles' small companions: transposes, views, atomic operations, calls by address; and the layout."""

import os
import platform
import threading

import llvmlite.binding as llvm
import numpy as np
import pytest
from helpers import DTYPES, close, few, network, plan_of

from fastbp.kernels import ir, layout, tables
from fastbp.kernels.compile import JIT, VECTOR_BYTES, address, by_address, kernel, vector_unit
from fastbp.kernels.compile.arguments import Floats
from fastbp.kernels.ir import view

CANARY = 77.0


@kernel
def transposed(source, target, rows):
    ir.transpose(source, 3, target, 5, rows)


@by_address()
def doubled(values: Floats) -> None:
    """Double four numbers."""
    part = view(values, 2, 4)
    for i in range(part.size):
        part[i] *= 2


@kernel
def called(where, values):
    ir.call(doubled, where, values)


@kernel
def copied(source, valid, target):
    ir.copy_vector(source, 2, valid, target, 3)


@kernel
def copied_tile(source, target):
    ir.copy_tile(source, 2, target, 3)


@kernel
def multiplied(first, second, target):
    ir.multiply_vector(first, 2, second, 5, target, 3)


@kernel
def dotted(weights, row, rows, biases, bias, panels, x, size, out):
    ir.dot_rows(weights, 1, row, rows, biases, bias, panels, x, size, out)


@kernel
def summed(weights, row, rows, panels, d, t, valid):
    ir.sum_columns(weights, 1, row, rows, panels, d, t, valid)


@kernel
def added(target, rows, size, panels, d, x, scale, add):
    ir.rank_one(target, 1, rows, size, panels, d, x, scale, add)


@kernel
def counted(cells, index, times):
    for _ in range(times):
        ir.atomic_add(cells, index, 1)
    return ir.atomic_load(cells, index)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose(dtype, rng):
    n = layout.lanes(dtype)
    assert n * np.dtype(dtype).itemsize == VECTOR_BYTES
    source, target = rng.normal(size=n * n + 9).astype(dtype), np.full(n * n + 9, 5, dtype)
    square = source[3 : 3 + n * n].reshape(n, n)
    for rows in (1, n - 1, n, n + 3):
        target[:] = 5
        transposed(source, target, rows)
        stored = min(rows, n) * n
        assert (target[5 : 5 + stored] == square.T.ravel()[:stored]).all()
        assert (target[:5] == 5).all() and (target[5 + stored :] == 5).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_view_and_call(dtype):
    values = np.arange(8).astype(dtype)
    doubled(values)
    called(address(doubled, np.dtype(dtype)), values)
    assert (values == [0, 1, 8, 12, 16, 20, 6, 7]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies(dtype, rng):
    n = layout.lanes(dtype)
    source = rng.normal(size=60).astype(dtype)
    for valid in (1, n - 1, n, n + 5):
        target = np.full(60, 5, dtype)
        copied(source, valid, target)
        expected = np.where(np.arange(n) < valid, source[2 : 2 + n], 0)
        assert (target[3 : 3 + n] == expected).all() and (np.delete(target, range(3, 3 + n)) == 5).all()
    target = np.full(60, 5, dtype)
    copied_tile(source, target)
    assert (target[3 : 3 + ir.WHOLE] == source[2 : 2 + ir.WHOLE]).all()
    assert (np.delete(target, range(3, 3 + ir.WHOLE)) == 5).all()
    target, second = np.full(60, 5, dtype), rng.normal(size=60).astype(dtype)
    multiplied(source, second, target)
    assert (target[3 : 3 + n] == source[2 : 2 + n] * second[5 : 5 + n]).all()
    assert (np.delete(target, range(3, 3 + n)) == 5).all()


SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 64, 100]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_dot_rows(size, dtype, rng):
    """Up to DOT_ROWS neurons at once; what is written behind them stays within DOT_ROWS numbers."""
    D = ir.DOT_ROWS
    for rows in (1, 2, D - 1, D, D + 4):
        valid = min(rows, D)
        W = np.full(1 + valid * size, np.nan, dtype)  # nothing behind the last row may be read and used
        W[1:] = rng.normal(size=valid * size)
        biases = rng.normal(size=valid).astype(dtype)
        panels = np.full(20 + size + 2 * D, CANARY, dtype)
        panels[10 : 10 + size] = rng.normal(size=size)
        for bias in (0, -1):
            dotted(W, size, rows, biases, bias, panels, 10, size, 15 + size)
            expected = W[1:].reshape(valid, size).astype(float) @ panels[10 : 10 + size] + (biases if bias == 0 else 0)
            close(panels[15 + size :][:valid], expected, dtype)
            assert (panels[:10] == CANARY).all() and (panels[10 + size : 15 + size] == CANARY).all()
            assert (panels[15 + size + D :] == CANARY).all()


@pytest.mark.skipif(not JIT, reason="the plain twin leaves the order of additions to NumPy")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [2, 4])
def test_short_rows_have_the_bits_of_longer_ones(size, dtype, rng):
    """Rows that lie several in a vector, with zeros behind them, and a distance apart: the same sums to the bit."""
    rows, length = ir.DOT_ROWS - 1, 7
    padded = np.zeros((rows, length), dtype)
    padded[:, :size] = rng.normal(size=(rows, size))
    biases = rng.normal(size=rows).astype(dtype)
    panels = np.zeros(20 + ir.DOT_ROWS, dtype)
    panels[:size] = rng.normal(size=size)
    for bias in (0, -1):
        found = []
        for weights, row, n in ((padded[:, :size], size, size), (padded, length, length), (padded, length, size)):
            dotted(np.append(0, weights).astype(dtype), row, rows, biases, bias, panels, 0, n, 16)
            found.append(panels[16 : 16 + rows].copy())
        assert (found[0] == found[1]).all() and (found[0] == found[2]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("valid", [*SIZES, 200])
def test_sum_columns(valid, dtype, rng):
    """delta_k = phi'(net_k) sum_j w_jk delta_j for up to COLUMN_VECTORS vectors of k."""
    wide = min(valid, ir.COLUMN_VECTORS * layout.lanes(dtype))
    for rows in (1, 2, 9):
        W = rng.normal(size=1 + rows * valid).astype(dtype)
        panels = np.full(40 + valid, CANARY, dtype)
        panels[5 : 5 + rows] = rng.normal(size=rows)
        panels[20 : 20 + valid] = rng.normal(size=valid)
        before = panels.copy()
        summed(W, valid, rows, panels, 5, 20, valid)
        expected = before[20 : 20 + wide] * (panels[5 : 5 + rows].astype(float) @ W[1:].reshape(rows, valid)[:, :wide])
        close(panels[20 : 20 + wide], expected, dtype)
        panels[20 : 20 + wide] = before[20 : 20 + wide]
        assert (panels == before).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_rank_one(size, dtype, rng):
    for rows in (1, 2, 5):
        for add in (0, 1):
            target = rng.normal(size=1 + rows * size + 9).astype(dtype)
            target[1] = target[1] if add else np.nan  # overwritten, not multiplied by 0
            before = target.copy()
            panels = rng.normal(size=20 + size).astype(dtype)
            kept = panels.copy()
            added(target, rows, size, panels, 2, 12, np.dtype(dtype).type(-0.25), add)
            old = before[1 : 1 + rows * size].reshape(rows, size).astype(float) if add else 0
            expected = old - 0.25 * np.outer(kept[2 : 2 + rows].astype(float), kept[12 : 12 + size])
            close(target[1 : 1 + rows * size].reshape(rows, size), expected, dtype)
            assert (panels == kept).all() and target[0] == before[0]
            assert (target[1 + rows * size :] == before[1 + rows * size :]).all()


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
            plan = plan_of(network(sizes, dtype=dtype, bias=bias), block, backward=backward)
            samples = -(-block // lane) * lane
            places = [(plan.layers[0, tables.LAYER_SOURCE], sizes[0] * samples),
                      (plan.cells[tables.CELL_TARGET], sizes[-1] * samples), (plan.cells[tables.CELL_WEIGHT], samples),
                      (plan.cells[tables.CELL_COST], samples)]
            for row in plan.layers:
                places += [(row[tables.LAYER_OUT], row[tables.LAYER_N_OUT] * samples),
                           (row[tables.LAYER_DELTA], row[tables.LAYER_N_OUT] * samples)]
                assert row[tables.LAYER_PACKS] == 0
                if row[tables.LAYER_TRANSPOSED] >= 0:
                    places.append((row[tables.LAYER_TRANSPOSED], -(-row[tables.LAYER_N_IN] // lane) * lane
                                   * (samples + 1)))
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


@pytest.mark.parametrize("triple, cpu, features, unit", [
    ("x86_64-unknown-linux-gnu", "generic", "", (16, 16)), ("x86_64-unknown-linux-gnu", "nehalem", "", (16, 16)),
    ("x86_64-unknown-linux-gnu", "haswell", "", (32, 16)), ("x86_64-unknown-linux-gnu", "znver4", "", (64, 32)),
    ("x86_64-unknown-linux-gnu", "znver4", "-avx512f", (32, 16)),
    ("x86_64-unknown-linux-gnu", "haswell", "+avx512f,+evex512", (64, 32)),  # LLVM 20 asks for both, LLVM 22 for one
    ("aarch64-unknown-linux-gnu", "neoverse-n1", "", (16, 32)), ("arm64-apple-macosx", "apple-m1", "", (16, 32)),
])
def test_lanes_follow_the_target(triple, cpu, features, unit):
    """What counts are the features that code is compiled for, not the name of the CPU."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features)
    assert vector_unit(machine) == unit


@pytest.mark.skipif(not JIT, reason="lanes are 16 bytes without the JIT, by definition")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of CPUs of this kind")
def test_settings_choose_the_lanes(run_python):
    """A name with empty features is that CPU; the name alone keeps the features of this one, as Numba does."""
    script = "from fastbp.kernels import compile, ir; print(compile.VECTOR_BYTES, ir.WHOLE, ir.LANES_COLUMNS)"

    def chosen(name, features):
        return run_python(script, environment={"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}).split()

    assert chosen("haswell", "") == ["32", "6", "2"] and chosen("nehalem", "") == ["16", "6", "2"]
    assert chosen("generic", None) == ["16", "6", "2"]
    assert chosen("haswell", None) == chosen(None, None)


@pytest.mark.skipif(not JIT or os.name == "nt", reason="plain Python claims nothing; the guard page takes mprotect")
@pytest.mark.parametrize("columns", [3, 8, 20, 33])
def test_claiming_weights_writes_no_others(columns, run_python):
    """Another thread may be updating what lies behind: here it is a page that nobody may touch."""
    run_python(f"""
import ctypes, mmap
import numpy as np
from fastbp.kernels import ir
from fastbp.kernels.compile import kernel

@kernel
def claimed(weights, columns):
    for k in range(0, columns, 2 * ir.lanes(weights)):
        ir.own_tile(weights, k, columns, columns - k)

page, numbers = mmap.PAGESIZE, ir.WHOLE * {columns}
for dtype in ("float32", "float64"):
    memory = mmap.mmap(-1, 3 * page)
    whole = np.frombuffer(memory, np.uint8)
    weights = whole[: 2 * page].view(dtype)[-numbers:]
    weights[:] = np.arange(numbers)
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(whole.ctypes.data + 2 * page), ctypes.c_size_t(page), 0) == 0
    claimed(weights, {columns})
    assert (weights == np.arange(numbers)).all()
""")

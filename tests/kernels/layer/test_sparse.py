"""Products of non-zeros against those of the same numbers dense, in plain NumPy; and nothing beside them is written."""

import numpy as np
import pytest
from helpers import DTYPES, close, few, readonly, to_panel

from fastbp.kernels import layout
from fastbp.kernels.compile import JIT
from fastbp.kernels.layer import sparse

NO_ORDER = np.empty(0, np.int64)


@pytest.fixture(autouse=True)
def fewer_columns(monkeypatch):
    """Without machine code constants can be changed, and the plain loops take less time."""
    if not JIT:
        monkeypatch.setattr(sparse, "COLUMNS", 2048)
        monkeypatch.setattr(sparse, "PAIR_COLUMNS", 1024)


class Block:
    """Samples of a sparse matrix as kernels see them, and a workspace with NaN everywhere, and behind its end."""

    def __init__(self, rng, n, n_in, n_out, dtype, density, rows=3):
        X = (rng.normal(size=(n + rows, n_in)) * (rng.uniform(size=(n + rows, n_in)) < density)).astype(dtype)
        X[rows] = 0
        self.order, self.n, self.n_in, self.n_out = rng.permutation(n + rows)[:n], n, n_in, n_out
        self.X, self.lane = X[self.order], layout.lanes(dtype)
        self.strips = -(-n // self.lane)
        places = [np.flatnonzero(row) for row in X]
        starts = np.cumsum([len(X) + 1, *map(len, places)])
        self.structure = np.concatenate([starts, *places]).astype(np.int64)
        self.values = readonly(np.concatenate([row[found] for row, found in zip(X, places, strict=True)]))
        self.ranges, self.places = np.full((2, 2 * self.strips * self.lane), -1)
        sparse.find_rows(self.structure, self.order, 0, n, self.ranges, 0, self.strips * self.lane)
        self.panel = self.strips * self.lane * n_out
        self.scratch, self.size = self.panel, sparse.scratch_size(self.lane, self.strips * self.lane)
        self.panels = np.full(self.panel + self.size + self.lane**2, np.nan, dtype)

    def assert_untouched(self):
        assert np.isnan(self.panels[self.panel + self.size :]).all()


WIDE = few(4200 * 64 // layout.VECTOR_BYTES, 2100)
"""More columns than are taken at a time."""

SIZES = [(1, 1, 1), (19, 7, 1), (16, 40, 17), (33, 130, few(40, 35)), (5, WIDE, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_net_inputs(size, dtype, rng):
    """Strip by strip, as several threads take them, all bits are those of one call; padding repeats the last sample."""
    n, n_in, n_out = size
    for density, bias in ((0.05, True), (0.4, False), (0.0, True)):
        block = Block(rng, n, n_in, n_out, dtype, density)
        parameters = rng.normal(size=n_out * (n_in + 1)).astype(dtype)
        W, b = parameters[: n_out * n_in].reshape(n_out, n_in), parameters[n_out * n_in :] * bias
        found = []
        for shares in ([(0, block.strips)], [(s, s + 1) for s in range(block.strips)]):
            for first, last in shares:
                sparse.forward(parameters, 0, W.size if bias else -1, block.panels, 0, n_in, n_out, block.values,
                               block.structure, block.ranges, block.places, n, first, last, block.scratch)
            block.assert_untouched()
            found.append(block.panels[: block.panel].copy())
        assert (found[0] == found[1]).all()
        rows = found[0].reshape(block.strips, n_out, block.lane).transpose(0, 2, 1).reshape(-1, n_out)
        close(rows[:n], block.X.astype("float64") @ W.T.astype("float64") + b, dtype)
        assert (rows[n:] == rows[n - 1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_gradients(size, dtype, rng):
    """Of neurons in any shares; added to what is there, or instead of it."""
    n, n_in, n_out = size
    for density in (0.05, 0.4):
        block = Block(rng, n, n_in, n_out, dtype, density)
        delta = rng.normal(size=(n, n_out)).astype(dtype)
        panel = to_panel(delta)
        panel[np.isnan(panel)] = 0  # padding has no weight
        block.panels[: block.panel] = panel
        expected = delta.T.astype("float64") @ block.X
        before = rng.normal(size=n_out * n_in).astype(dtype)
        found = np.concatenate([before, before[:7]])
        for accumulate in (0, 1):
            step = max(1, block.lane - 3 * accumulate)
            for j in range(0, n_out, step):
                sparse.gradient(block.panels, 0, n_in, n_out, block.values, block.structure, block.ranges, block.places,
                                block.strips, j, min(j + step, n_out), found, j * n_in, accumulate, block.scratch)
            close(found[: n_out * n_in].reshape(n_out, n_in), expected * (1 + accumulate), dtype)
            assert (found[n_out * n_in :] == before[:7]).all()
        block.assert_untouched()


def test_rows_are_found_by_their_order(rng):
    block = Block(rng, 11, 9, 1, "float32", 0.3)
    for i in range(11):
        begin, end = block.ranges[2 * i : 2 * i + 2]
        assert (block.structure[begin:end] == np.flatnonzero(block.X[i])).all()
        first = block.structure[0]
        assert (block.values[begin - first : end - first] == block.X[i][block.X[i] != 0]).all()
    assert (block.ranges[22:] == 0).all()
    sparse.find_rows(block.structure, NO_ORDER, 3, 5, block.ranges, 0, 2)
    assert (block.ranges[:4] == block.structure[[3, 4, 4, 5]]).all()

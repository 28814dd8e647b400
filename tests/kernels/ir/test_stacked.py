"""The tiles of a stack of networks: products of vectors, each sum in its order, and nothing written beside them."""

import numpy as np
import pytest
from helpers import DTYPES, close, few

from fastbp.kernels import ir, layout
from fastbp.kernels.compile import kernel

CANARY = 77.0


@kernel
def forward(A, a, a_row, a_step, B, b, b_column, b_step, size, C, c, c_row, c_column, biases, bias, rows, columns):
    ir.stacked_forward(A, a, a_row, a_step, B, b, b_column, b_step, size, C, c, c_row, c_column, biases, bias, rows,
                       columns)


@kernel
def backward(A, a, a_row, a_step, B, b, b_column, b_step, size, C, c, c_row, c_column, biases, bias, rows, columns):
    ir.stacked_backward(A, a, a_row, a_step, B, b, b_column, b_step, size, C, c, c_row, c_column, biases, bias, rows,
                        columns)


@kernel
def gradient(A, a, a_row, a_step, B, b, b_column, b_step, size, C, c, c_row, c_column, biases, bias, rows, columns):
    ir.stacked_gradient(A, a, a_row, a_step, B, b, b_column, b_step, size, C, c, c_row, c_column, biases, bias, rows,
                        columns)


@kernel
def summed(D, d, d_step, A, a, a_step, samples, G, g):
    ir.stacked_lanes_sum(D, d, d_step, A, a, a_step, samples, G, g)


SHAPES = [(1, n) for n in range(1, ir.STACKED_WIDE + 1)] + [(m, n) for m in range(2, ir.STACKED_ROWS + 1)
                                                           for n in range(1, ir.STACKED_COLUMNS + 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("tile", [forward, backward, gradient])
def test_a_tile_of_products(tile, rows, columns, dtype, rng):
    lane = layout.lanes(dtype)
    for size, biased in ((1, True), (few(7, 2), False)):
        A, B = (rng.normal(size=(count, size, lane)).astype(dtype) for count in (rows, columns))
        biases = rng.normal(size=(rows, lane)).astype(dtype)
        place = rng.normal(size=(rows, columns, lane)).astype(dtype)
        C = np.full(3 + place.size + 5, CANARY, dtype)
        C[3:-5] = place.ravel()
        given = np.concatenate([np.full(2, CANARY, dtype), biases.ravel()])
        tile(A.ravel(), 0, size * lane, lane, B.ravel(), 0, size * lane, lane, size, C, 3, columns * lane, lane, given,
             2 if biased else -1, rows, columns)
        products = np.einsum("mrv,nrv->mnv", A.astype(float), B.astype(float))
        expected = {forward: products + (biases[:, None] if biased else 0), backward: products * place,
                    gradient: products}[tile]
        close(C[3:-5].reshape(expected.shape), expected, dtype)
        assert (C[:3] == CANARY).all() and (C[-5:] == CANARY).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ones", [False, True])
def test_a_sum_over_lanes_keeps_its_order(dtype, ones, rng):
    """Products with powers of two are exact, so that a fused multiply-add rounds as an addition does."""
    lane, others = layout.lanes(dtype), []
    for samples in (1, lane - 1, lane, lane + 1, 2 * lane, 3 * lane + 2):
        D = rng.normal(size=(samples, lane)).astype(dtype)
        A = 2.0 ** rng.integers(-2, 3, (samples, lane)).astype(dtype)
        G = np.full(lane + 4, CANARY, dtype)
        summed(D.ravel(), 0, lane, A.ravel(), 0, 0 if ones else lane, samples, G, 2)
        sums = np.zeros((lane, lane), dtype)
        for s in range(samples):
            sums[s % lane] += D[s] if ones else D[s] * A[s]
        while len(sums) > 1:
            sums = sums[0::2] + sums[1::2]
        assert np.array_equal(G[2:-2], sums[0])
        assert (G[[0, 1, -2, -1]] == CANARY).all()
        others.append(not np.array_equal(sums[0], (D if ones else D * A).sum(axis=0)))
    assert any(others)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_not_minus_nothing(dtype):
    lane = layout.lanes(dtype)
    minus, zero, G = np.full(lane, -1e-30, dtype), np.full(lane, 1e-30 if dtype == "float32" else 1e-300, dtype), \
        np.ones(lane, dtype)
    minus = minus if dtype == "float32" else np.full(lane, -1e-300)
    gradient(minus, 0, 0, 0, zero, 0, 0, 0, 1, G, 0, 0, 0, G, -1, 1, 1)
    assert not np.signbit(G).any() and not G.any()

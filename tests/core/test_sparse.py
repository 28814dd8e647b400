"""Sparse inputs: the same bits as from the same numbers dense, and nothing the user gave is changed."""

import numpy as np
import pytest
from helpers import DTYPES, few, network
from scipy import sparse

from fastbp import Network
from fastbp.core.arrays import rows
from fastbp.core.samples import SparseRows, flattened
from fastbp.kernels import layout
from fastbp.kernels.layer import gather
from fastbp.kernels.layout import NO_STRUCTURE


def matrix(rng, n, n_in, dtype):
    """A quarter of the numbers, a row and a column without any."""
    X = rng.normal(size=(n, n_in)) * (rng.uniform(size=(n, n_in)) < 0.25)
    X[n // 2] = 0
    X[:, n_in // 2] = 0
    return X.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_in", [1, 7, 16, 37])
@pytest.mark.parametrize("across", [False, True])
def test_a_block_is_gathered_as_if_it_were_dense(n_in, across, dtype, rng):
    n, width = 41, layout.lanes(dtype)
    X = matrix(rng, n, n_in, dtype)
    order, strips = rng.permutation(n), -(-19 // width)
    sizes = strips * width * n_in, -(-n_in // width) * width * (strips * width + 1)
    panels = np.full((2, sum(sizes) + width * width), np.nan, dtype)
    found = rows(sparse.csr_array(X), n_in, np.dtype(dtype))
    where = sizes[0] if across else -1
    dense = gather.gather_transposed if across else gather.gather
    dense(X.reshape(-1), NO_STRUCTURE, order, 11, 30, n_in, panels[0], 0, where, strips, 0, strips)
    gather.gather_sparse(*flattened(found, found.values.dtype), order, 11, 30, n_in, panels[1], 0, where, strips, 0,
                         strips)
    assert (panels[1, : sizes[0]] == panels[0, : sizes[0]]).all()
    if across:
        copies = panels[:, sizes[0] : sum(sizes)].reshape(2, -(-n_in // width), strips * width + 1, width)
        copies = copies[:, :, :19].transpose(0, 2, 1, 3).reshape(2, 19, -1)[..., :n_in]
        assert (copies[1] == copies[0]).all() and (copies[1] == X[order[11:30]]).all()
    assert np.isnan(panels[1, sum(sizes) :]).all(), "it writes nothing beside its panel"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.coo_array])
def test_fit_and_predict_give_the_bits_of_the_dense_matrix(container, dtype, rng):
    n = few(150, 40)
    X, y = matrix(rng, n, 33, dtype), rng.integers(0, 3, n)
    S = container(X)
    before, weights = S.copy(), rng.uniform(size=n)
    nets = [Network((33, 9, 3), cost="cross_entropy", dtype=dtype, seed=1) for _ in range(2)]
    for net, inputs in zip(nets, (X, S), strict=True):
        net.fit(inputs, y, epochs=3, batch_size=32, sample_weight=weights, validation=0.2)
    assert (nets[0].parameters == nets[1].parameters).all()
    assert (nets[0].history.validation_cost == nets[1].history.validation_cost).all()
    assert (nets[0].predict(S) == nets[0].predict(X)).all()
    assert nets[0].cost(S, y) == nets[0].cost(X, y)
    assert (nets[0].gradient(S, y) == nets[0].gradient(X, y)).all()
    assert (before != S).nnz == 0


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_batches_of_one_and_full_batches(optimizer, batch_size, rng):
    """A batch of one has samples in lanes, where a dense one has neurons in lanes: the same to rounding."""
    X, Y = matrix(rng, 30, 5, "float64"), rng.normal(size=(30, 2))
    nets = [Network((5, 4, 2), dtype="float64", seed=1) for _ in range(2)]
    for net, inputs in zip(nets, (X, sparse.csr_array(X)), strict=True):
        net.fit(inputs, Y, epochs=3, batch_size=None if optimizer == "lbfgs" else batch_size, optimizer=optimizer)
    np.testing.assert_allclose(nets[1].parameters, nets[0].parameters, rtol=1e-9, atol=1e-12)


def test_numbers_of_one_place_add_up_and_columns_need_no_order(rng):
    X = sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3))
    net = Network((3, 2), dtype="float64", seed=0)
    assert (net.predict(X) == net.predict(np.array([[2.0, 0, 5], [0, 0, 0]]))).all()
    assert (X.indices == [2, 0, 2]).all()


def test_parts_of_a_sparse_matrix(rng):
    X = matrix(rng, 20, 6, "float32")
    part = rows(sparse.csr_array(X), 6, np.dtype("float32"))[3:11]
    assert isinstance(part, SparseRows) and len(part) == 8
    again = sparse.csr_array((part.values, part.columns, part.starts), shape=(8, 6))
    assert (again.toarray() == X[3:11]).all()


@pytest.mark.parametrize(("X", "message"), [
    (sparse.csr_array(np.ones((4, 3))), r"X has shape \(4, 3\), expected \(n_samples, 2\)"),
    (sparse.csr_array((0, 2)), "no rows"),
    (sparse.csr_array([[1.0, 2.0], [0, 0], [0, 3], [0, np.inf]]), "X holds inf in row 3: expected finite numbers"),
])  # fmt: skip
def test_what_does_not_fit_is_named(X, message):
    with pytest.raises(ValueError, match=message):
        Network((2, 1)).fit(X, np.zeros(X.shape[0]))


def test_other_numbers_and_other_methods():
    net = Network((2, 1))
    with pytest.raises(TypeError, match="dtype complex128"):
        net.predict(sparse.csr_array([[1j, 1]]))
    with pytest.raises(TypeError, match="use X.toarray"):
        net.jacobian(sparse.csr_array([[1.0, 1]]))
    for call in (net.fit, net.cost, net.cost_and_gradient):
        with pytest.raises(TypeError, match="and target_jacobian is given: they do not go together"):
            call(sparse.csr_array([[1.0, 1]]), [[1.0]], target_jacobian=np.ones((1, 2)))


def test_a_matrix_that_would_fill_the_memory_is_not_made_dense(rng):
    """2 million rows of 1000 would be 16 GB; their 2 million numbers and places take 50 MB."""
    n = few(2_000_000, 200_000)
    columns = rng.integers(0, 1000, n)
    X = sparse.csr_array((np.ones(n), columns, np.arange(n + 1)), shape=(n, 1000))
    net = Network((1000, 1), dtype="float64", seed=0)
    first = few(n, 300)
    out = net.predict(X[:first])
    assert (out[:100, 0] == net.weights[0][0, columns[:100]]).all()
    assert len(out) == first


def test_infinity_is_passed_on_by_predict_and_refused_by_fits_as_in_a_dense_x(rng):
    X = np.where(rng.random((20, 60)) < 0.05, 1.0, 0.0)
    X[3, 7] = np.inf
    net = network((60, 4, 2), ["relu"], dtype="float64")
    for weight in (net.weights[0][:, 7].copy(), 0.0):  # 0 times infinity is NaN
        net.weights[0][:, 7] = weight
        for given in (sparse.csr_array(X), sparse.csr_array(X).tocsc()):
            np.testing.assert_array_equal(net.predict(given), net.predict(X))
            for call in (net.fit, net.cost, net.gradient):
                for each in (given, X):
                    with pytest.raises(ValueError, match="X holds inf in row 3: expected finite numbers"):
                        call(each, np.zeros((20, 2)))

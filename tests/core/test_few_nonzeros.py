"""Sparse inputs with few non-zeros, whose products are of these alone: what the same numbers give dense."""

import numpy as np
import pytest
from helpers import DTYPES, ROUNDING, few
from scipy import sparse

import fastbp
from fastbp import Network, Regularization, fit_many
from fastbp.core import arrays, workspaces
from fastbp.core.request import Request
from fastbp.kernels import layout, tables


def matrix(rng, n, n_in, dtype="float32", density=0.05):
    """A row and a column without any number, and one row full of them."""
    X = rng.normal(size=(n, n_in)) * (rng.uniform(size=(n, n_in)) < density)
    X[n // 2], X[:, n_in // 2] = 0, 0
    X[1] = rng.normal(size=n_in)
    X[:, -1] = 0
    return X.astype(dtype)


def pair(sizes, monkeypatch, S, *calls, **settings):
    """Return what calls of a network give with products of non-zeros, and with blocks that are made dense."""
    found = []
    for share in (layout.FEW_NONZEROS, 0.0):
        monkeypatch.setattr(layout, "FEW_NONZEROS", share)
        net = Network(sizes, seed=1, **settings)
        found.append([call(net, S) for call in calls])
    monkeypatch.undo()
    return zip(*found, strict=True)


def fitted(Y, **settings):
    """Return a call that trains, and gives the parameters and all costs."""
    def call(net, S):
        net.fit(S, Y, **settings)
        assert S is None or sparse.issparse(S)
        return np.concatenate([net.parameters, net.history.cost])

    return call


def test_products_are_of_few_nonzeros_only():
    """By the share of all numbers that are stored and not 0; parts are computed as the whole is."""
    def taken(stored, n_in=100):
        X = np.zeros((2, n_in))
        X[0, :stored] = 1
        return arrays.rows(sparse.csr_array(X), n_in, np.dtype("float32"))

    assert taken(19).few and taken(0).few and not taken(20).few and not taken(100).few
    assert taken(19)[:1].few and not taken(20)[1:].few
    zeros = sparse.csr_array(np.ones((2, 10)))
    zeros.data[1:] = 0
    assert arrays.rows(zeros, 10, np.dtype("float32")).few and zeros.nnz == 20


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_weights_that_are_not_finite_count_where_there_is_a_number(optimizer, rng):
    """As in SciPy's products; a fit looks at all parameters, and ends as with dense rows."""
    X = matrix(rng, 40, 30, "float64")
    S, y, empty = sparse.csr_array(X), rng.normal(size=40), X.shape[1] - 1
    for column, reached in ((empty, np.zeros(40, bool)), (0, X[:, 0] != 0)):
        net = Network((30, 4, 1), seed=0, dtype="float64")
        net.weights[0][2, column] = np.nan
        assert (np.isnan(S @ net.weights[0][2]) == reached).all()
        assert (np.isnan(net.predict(S)[:, 0]) == reached).all() and np.isnan(net.predict(X)).all()
        for inputs in (S, X):
            with pytest.raises(fastbp.DivergenceError):
                net.copy().fit(inputs, y, epochs=2, optimizer=optimizer)


def test_no_panel_is_as_wide_as_the_matrix(rng):
    """30,000 columns of 200 samples would take 48 MB."""
    net = Network((30_000, 2), seed=0)
    for backward in (False, True):
        request = Request(200, backward, sparse=True, few_nonzeros=True)
        lanes = layout.lanes("float32")
        assert workspaces.shared(net._architecture).block(request)[0] == -(-200 // lanes) * lanes
        with net._borrow(request) as (plan, _):
            assert plan.panels.nbytes < 2e6 and plan.layers[0, tables.LAYER_SOURCE] == -1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(35, 3), (70, 18, 3), (few(4500, 90), 5, 4, 3)])
def test_cost_gradient_predictions_and_fits(sizes, dtype, rng, monkeypatch):
    n = few(75, 21)
    X, y, w = matrix(rng, n, sizes[0], dtype), rng.integers(0, 3, n), rng.uniform(size=n)
    calls = [lambda net, S: net.predict(S), lambda net, S: net.cost(S, y, w), lambda net, S: net.gradient(S, y, w),
             lambda net, S: net.predict(S[:3]), fitted(y, epochs=2, batch_size=16, sample_weight=w),
             fitted(y, epochs=1, batch_size=1), fitted(y, epochs=2, optimizer="lbfgs"),
             fitted(y, epochs=1, batch_size=20, threads=3, validation=0.3, shuffle=False)]
    for found, dense in pair(sizes, monkeypatch, sparse.csr_array(X), *calls, cost="cross_entropy", dtype=dtype):
        np.testing.assert_allclose(found, dense, rtol=50 * ROUNDING[dtype], atol=20 * ROUNDING[dtype])
    net = Network(sizes, cost="cross_entropy", dtype=dtype, seed=1)
    assert (net.predict(sparse.csr_array(X)) == net.predict(X)).all(), "the sums have one order"
    np.testing.assert_allclose(net.gradient(sparse.csr_array(X), y), net.gradient(X, y), atol=ROUNDING[dtype])


@pytest.mark.parametrize("optimizer", [fastbp.SGD(momentum=0.9), "adam", "rprop", "conjugategradient"], ids=str)
def test_the_trajectory_is_that_of_dense_blocks(optimizer, rng, monkeypatch):
    """Of every weight, those of columns without a non-zero in the batch included, which momenta move on."""
    n = few(60, 20)
    X, Y = matrix(rng, n, 40, "float64"), rng.normal(size=(n, 2))
    batches = {} if optimizer in ("rprop", "conjugategradient") else {"batch_size": 16}
    call = fitted(Y, epochs=2, optimizer=optimizer, **batches)
    for found, dense in pair((40, few(20, 9), 2), monkeypatch, sparse.csr_array(X), call, dtype="float64"):
        np.testing.assert_allclose(found, dense, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("settings", [
    {"l2": 1e-2, "dropout": 0.3}, {"l1": 1e-3, "max_norm": 0.5, "clip_norm": 0.1}, {"input_noise": 0.2, "l2": 1e-3},
    {"weight_decay": 0.1, "non_negative": True, "clip_value": 0.01}, {"label_smoothing": 0.1, "per_sample": False},
], ids=str)  # fmt: skip
def test_regularisation(settings, rng, monkeypatch):
    """Noise of inputs leaves no number 0: there the blocks are dense, to the last bit."""
    n = few(60, 20)
    X, y = matrix(rng, n, 90), rng.integers(0, 3, n)
    call = fitted(y, epochs=2, batch_size=13, threads=2, regularization=Regularization(**settings))
    for found, dense in pair((90, few(20, 7), 3), monkeypatch, sparse.csr_array(X), call, cost="cross_entropy"):
        np.testing.assert_allclose(found, dense, rtol=1e-4, atol=1e-6)
        assert "input_noise" not in settings or (found == dense).all()


def test_parametric_activations_and_groups(rng, monkeypatch):
    n = few(60, 20)
    X, Y = matrix(rng, n, 90), rng.normal(size=(n, 1))
    groups = fastbp.Adam(rate_factors={"weights[0]": 0.5})
    calls = fitted(Y, epochs=2, batch_size=16), fitted(Y, epochs=2, batch_size=16, optimizer=groups)
    for found, dense in pair((90, few(20, 7), 1), monkeypatch, sparse.csr_array(X), *calls,
                             activation=fastbp.parametric("leaky_relu")):
        np.testing.assert_allclose(found, dense, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_any_number_of_threads(dtype, rng):
    n = few(300, 35)
    X, y = sparse.csr_array(matrix(rng, n, 90, dtype)), rng.integers(0, 3, n)
    found = []
    for threads in few((1, 2, 3, 5), (1, 2)):
        net = Network((90, few(35, 7), 3), cost="cross_entropy", dtype=dtype, seed=1)
        net.fit(X, y, epochs=few(2, 1), batch_size=few(70, 17), threads=threads)
        net.fit(X, y, epochs=few(2, 1), optimizer="lbfgs", threads=threads)
        found.append(net.parameters)
    assert all((parameters == found[0]).all() for parameters in found[1:])


def test_batches_of_several_blocks(rng, monkeypatch):
    """The gradient is added up over blocks, which are larger than dense ones: to rounding."""
    n = few(5000, 300)
    monkeypatch.setattr(layout, "LARGEST_BLOCK", few(2048, 256))
    X, Y = sparse.random_array((n, 50), density=0.04, format="csr", rng=rng), rng.normal(size=(n, 1))
    net = Network((50, 6, 1), dtype="float64", seed=1)
    cost, gradient = net.cost_and_gradient(X, Y)
    expected = net.cost_and_gradient(X.toarray(), Y)
    assert cost == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-13)
    assert (net.predict(X) == net.predict(X.toarray())).all()
    assert (net.predict(X[n // 2 :]) == net.predict(X)[n // 2 :]).all()


def test_numbers_that_are_no_numbers(rng):
    """NaN in a row gives NaN in its outputs, and in no others; a fit takes none."""
    X = sparse.csr_array(matrix(rng, 40, 60))
    net = Network((60, 5, 2), seed=1)
    plain = net.predict(X)
    X.data[X.indptr[7]] = np.nan
    found = net.predict(X)
    assert np.isnan(found[7]).all() and (np.delete(found, 7, 0) == np.delete(plain, 7, 0)).all()
    with pytest.raises(ValueError, match="X holds nan in row 7: expected finite numbers"):
        net.fit(X, np.zeros((40, 2)))
    none = sparse.csr_array((40, 60), dtype="float32")
    assert (net.predict(none) == net.predict(none.toarray())).all()
    assert np.isfinite(net.fit(none, np.ones((40, 2)), epochs=2, batch_size=7).history.cost).all()
    assert net.predict(none[:0]).shape == (0, 2)


def test_nothing_depends_on_how_few_nonzeros_are_stored(rng):
    X = matrix(rng, 30, 80, "float64")
    csr, y = sparse.csr_array(X), rng.normal(size=30)
    backwards = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(csr.indptr[:-1], csr.indptr[1:], strict=True)])
    twice = np.tile(backwards, 2)
    rows = np.repeat(np.arange(30), np.diff(csr.indptr))
    zeros = sparse.csr_array(np.ones((30, 80)))
    zeros.data[:] = X.reshape(-1)
    wide = csr.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    forms = [csr, wide, zeros, csr.tocsc(), csr.tolil(), csr.todok(), sparse.csr_matrix(X),
             sparse.csr_array((csr.data[backwards], csr.indices[backwards], csr.indptr), shape=X.shape),
             sparse.coo_array((csr.data[twice] / 2, (rows[twice], csr.indices[twice])), shape=X.shape)]
    found = []
    for S in forms:
        net = Network((80, 6, 1), dtype="float64", seed=1).fit(S, y, epochs=2, batch_size=8)
        found.append(np.concatenate([net.parameters, net.predict(S).reshape(-1)]))
    assert (csr.indices[backwards] != csr.indices).any() and len(zeros.data) > csr.nnz
    assert all((values == found[0]).all() for values in found)


@pytest.mark.parametrize(("name", "place", "value", "message"), [
    ("indices", 5, 900, r"indices\[5\] is 900, expected 0 to 89"), ("indices", 0, -1, r"indices\[0\] is -1"),
    ("indptr", 3, 0, r"indptr\[3\] is 0, expected .* must not decrease"),
    ("indptr", 30, 10**6, r"indptr\[30\] is 1000000"),
])  # fmt: skip
def test_places_that_lead_outside_are_named_before_anything_is_changed(name, place, value, message, rng):
    X = sparse.csr_array(matrix(rng, 30, 90))
    array = getattr(X, name).copy()
    array[place] = value
    setattr(X, name, array)
    net = Network((90, 4, 1), seed=1)
    before = net.parameters.copy()
    for call in (net.predict, lambda X: net.fit(X, np.ones(30)), lambda X: net.cost(X, np.ones(30)),
                 lambda X: net.gradient(X, np.ones(30))):
        with pytest.raises(ValueError, match=message):
            call(X)
    assert (net.parameters == before).all()


def test_a_matrix_that_changes_while_it_is_read_leads_nowhere_else(rng):
    """Kernels go by copies of columns and rows; a callback overwrites those of the user's."""
    X, y = sparse.csr_array(matrix(rng, 30, 90)), np.ones(30)
    expected = Network((90, 4, 1), seed=1).fit(X, y, epochs=3, batch_size=8)

    def destroy(record):
        X.indices[:], X.indptr[:] = 10**8, 10**8

    found = Network((90, 4, 1), seed=1).fit(X, y, epochs=3, batch_size=8, callbacks=[destroy])
    assert (found.parameters == expected.parameters).all()


def test_rows_that_are_picked(rng):
    """`fit_many` on rows of one matrix: the bits of fits on these rows alone."""
    X, y = sparse.csr_array(matrix(rng, 60, 90)), rng.integers(0, 3, 60)
    rows = [rng.integers(0, 60, 40) for _ in range(3)]
    nets = [Network((90, 7, 3), cost="cross_entropy", seed=i) for i in range(3)]
    alone = [net.copy().fit(X[part], y[part], epochs=2, batch_size=16) for net, part in zip(nets, rows, strict=True)]
    fit_many(nets, X, y, rows=rows, epochs=2, batch_size=16, metrics=["accuracy"])
    for net, one in zip(nets, alone, strict=True):
        assert (net.parameters == one.parameters).all()


def test_the_profile_knows_the_products_of_the_first_layer(rng):
    X, y = sparse.csr_array(matrix(rng, 200, 90)), rng.normal(size=200)
    net = Network((90, 20, 1), seed=1).fit(X, y, epochs=3, batch_size=50, profile=True)
    phases = {(row.layer, row.phase) for row in net.history.profile.rows}
    assert {(1, "forward"), (1, "gradient"), (2, "forward"), (2, "gradient")} <= phases

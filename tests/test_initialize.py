"""First parameters that are fitted to data: `Network.initialize`, against the algorithms as they are printed."""

import pickle

import naive
import numpy as np
import pytest
from helpers import DTYPES, few
from scipy.sparse import csr_array

from fastbp import Network, fit_many, initializers, parametric

METHODS = list(initializers.FITTED_INITIALIZERS)


N = few(300, 40)


def inputs(rng, n=N, dtype="float64"):
    """Columns of very different means and sizes."""
    return (rng.normal(size=(n, 5)) * [1, 3, 0.1, 40, 1] + [0, 5, -1, 100, 2]).astype(dtype)


def net_inputs(net, X):
    """Those of each layer, without biases and with."""
    outs = [X.astype(float), *(net.layer_outputs(X, layer + 1).astype(float) for layer in range(len(net.layers) - 2))]
    return [(out @ W.T.astype(float), out @ W.T.astype(float) + (b if b.size else 0))
            for out, W, b in zip(outs, net.weights, net.biases, strict=True)]


def twin_lsuv(net, X, rng):
    """Mishkin & Matas 2016, algorithm 1: orthonormal weights, then W /= sqrt(Var(B)) until the variance is near 1."""
    found, out = [], X
    for n_out, name in zip(net.layers[1:], net.activations, strict=True):
        W = initializers.INITIALIZERS["orthogonal"](rng, n_out, out.shape[1])
        for _ in range(10):
            B = out @ W.T
            if abs(B.var() - 1) < 1e-12:
                break
            W = W / np.sqrt(B.var())
        found.append((W, np.zeros(n_out)))
        out = naive.ACTIVATIONS[name][0](out @ W.T)
    return found


def twin_realmlp(net, X, rng):
    """Neuron by neuron, in the order in which numbers are drawn layer by layer."""
    found, out = [], X
    for n_out, name in zip(net.layers[1:], net.activations, strict=True):
        W, b = rng.normal(size=(n_out, out.shape[1])), np.empty(n_out)
        for j in range(n_out):
            W[j] /= np.sqrt(np.mean((out @ W[j] - np.mean(out @ W[j])) ** 2))
        rows, shares = rng.integers(len(X), size=(5, n_out)), rng.exponential(size=(5, n_out))
        for j in range(n_out):
            b[j] = -sum(share * (out[row] @ W[j]) for share, row in zip(shares[:, j], rows[:, j], strict=True))
            b[j] /= sum(shares[:, j])
        found.append((W, b))
        out = naive.ACTIVATIONS[name][0](out @ W.T + b)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_like_the_algorithm(method, rng):
    X = inputs(rng)
    net = Network((5, 9, 7, 2), "mish", seed=4, dtype="float64")
    twin = {"lsuv": twin_lsuv, "realmlp": twin_realmlp}[method](net, X, net.copy().generator)
    assert net.initialize(X, method) is net
    for (W, b), found, biases in zip(twin, net.weights, net.biases, strict=True):
        np.testing.assert_allclose(found, W, rtol=0, atol=1e-10 * np.abs(W).max())
        np.testing.assert_allclose(biases, b, rtol=0, atol=1e-10 * (1 + np.abs(b).max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_net_inputs_have_variance_1(bias, dtype, rng):
    X = inputs(rng, dtype=dtype)
    net = Network((5, 9, 7, 2), ("relu", parametric("mish", alpha=0.5)), seed=4, bias=bias, dtype=dtype)
    net.alphas[1][:] = 7
    for plain, _ in net_inputs(net.initialize(X), X):
        np.testing.assert_allclose(plain.std(axis=0), 1, rtol=1e-3 if dtype == "float32" else 1e-9)
    assert (net.alphas[1] == 0.5).all() and all((b != 0).all() for b in net.biases if b.size)
    for plain, whole in net_inputs(net.initialize(X, "LSUV"), X):
        assert abs(plain.std() - 1) < (1e-3 if dtype == "float32" else 1e-9)
        np.testing.assert_array_equal(plain, whole)


def test_neurons_bend_among_the_data(rng):
    """A bias is minus a mean of net inputs, so these have both signs."""
    X = inputs(rng)
    for _, whole in net_inputs(Network((5, 40, 40, 1), "relu", seed=4, dtype="float64").initialize(X), X):
        assert (whole.min(axis=0) < 0).all() and (whole.max(axis=0) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_seeds_and_training(method, rng):
    X = inputs(rng, dtype="float32")
    Y = np.sin(X[:, :1])
    nets = [Network((5, 8, 1), seed=seed).initialize(X, method) for seed in (1, 1, 2)]
    assert (nets[0].parameters == nets[1].parameters).all() and (nets[0].parameters != nets[2].parameters).any()
    twins = [net.copy() for net in nets]
    assert fit_many(nets, X, Y, epochs=2) == [None] * 3
    for net, twin in zip(nets, twins, strict=True):
        assert (net.parameters == twin.fit(X, Y, epochs=2).parameters).all()
        assert (pickle.loads(pickle.dumps(net)).parameters == net.parameters).all()
    assert (nets[0].reset(1).parameters == Network((5, 8, 1), seed=1).parameters).all()


def test_a_training_is_forgotten(rng):
    X = inputs(rng, dtype="float32")
    net = Network((5, 8, 1), seed=1).fit(X, X[:, :1], epochs=3)
    net.initialize(X)
    assert len(net.history) == 0 and net._progress is None
    net.fit(X, X[:, :1], epochs=2, resume=True)
    assert len(net.history) == 2


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_sampled(method, rng):
    X = inputs(rng, 500)
    net = Network((5, 6, 1), "relu", seed=3, dtype="float64")
    generator = net.copy().generator
    chosen = np.sort(generator.choice(500, 20, replace=False))
    other = net.copy()
    other.generator = generator
    net.initialize(X, method, rows=20)
    np.testing.assert_array_equal(other.initialize(X[chosen], method).parameters, net.parameters)
    np.testing.assert_array_equal(Network((5, 6, 1), "relu", seed=3, dtype="float64").initialize(X, method, rows=500)
                                  .parameters, Network((5, 6, 1), "relu", seed=3, dtype="float64")
                                  .initialize(X, method).parameters)


@pytest.mark.parametrize("rows", [7, 2048])
def test_sparse_rows(rows, rng):
    X = inputs(rng)
    X[rng.random(X.shape) < 0.6] = 0
    one, other = (Network((5, 6, 1), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.initialize(X, rows=rows).parameters,
                                  other.initialize(csr_array(X), rows=rows).parameters)


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_vary(method, rng):
    """Constant inputs, dead neurons and one row: weights stay as they are drawn, and all is finite."""
    for X in (np.full((9, 3), 1e4), np.zeros((9, 3)), rng.normal(size=(1, 3))):
        net = Network((3, 6, 4, 2), "relu", seed=3).initialize(X, method)
        assert np.isfinite(net.parameters).all() and 0 < np.abs(net.weights[0]).max() < 10


def test_outputs_without_targets_begin_with_0(rng):
    X = inputs(rng)
    net = Network((5, 6, 4), cost="gaussian_nll", seed=3, dtype="float64").initialize(X)
    assert (net.weights[-1][2:] == 0).all() and (net.biases[-1][2:] == 0).all() and (net.weights[-1][:2] != 0).all()


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda net, X: net.initialize(X[:, :4]), ValueError, r"X has shape \(40, 4\), expected \(n_samples, 5\)"),
    (lambda net, X: net.initialize(X * np.nan), ValueError, "X holds nan"),
    (lambda net, X: net.initialize(X[:0]), ValueError, "no rows"),
    (lambda net, X: net.initialize(X, "he_normal"), ValueError, r"did you mean Network\(init=...\)"),
    (lambda net, X: net.initialize(X, "lsvu"), ValueError, "did you mean 'lsuv'"),
    (lambda net, X: net.initialize(X, 3), TypeError, "method is 3, expected one of the names lsuv, realmlp"),
    (lambda net, X: net.initialize(X, rows=0), ValueError, "rows is 0, expected at least 1"),
    (lambda net, X: net.initialize(X, rows=2.5), TypeError, "rows is 2.5, expected a whole number"),
    (lambda net, X: net.initialize(X * 1e300, rows=9), ValueError, "outputs of a layer overflow"),
    (lambda net, X: net.initialize(X, rows=9), ValueError, "read-only"),
], ids=range(10))  # fmt: skip
def test_errors_leave_the_network_as_it_was(call, error, says, rng):
    X = inputs(rng, 40)
    net = Network((5, 6, 1), "exp", seed=3, dtype="float64").fit(X / 100, X[:, :1], epochs=1)
    net.parameters.flags.writeable = says != "read-only"
    before = net.parameters.copy(), net.generator.bit_generator.state, len(net.history), net._progress
    with pytest.raises(error, match=says):
        call(net, X)
    assert (net.parameters == before[0]).all() and net.generator.bit_generator.state == before[1]
    assert len(net.history) == before[2] and net._progress is before[3]


def test_it_is_refused_while_the_network_is_fitted(rng):
    X = inputs(rng, 40, "float32")
    net = Network((5, 6, 1), seed=3)
    with pytest.raises(RuntimeError, match="being fitted already"):
        net.fit(X, X[:, :1], epochs=1, callbacks=[lambda record: record.network.initialize(X)])

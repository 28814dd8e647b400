"""JᵀJ without J, its rows, and the second derivative along a step: complex step on the naive twin."""

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, naive_gradient, naive_layers, network, real_data

from fastbp.derivatives import gauss_newton
from fastbp.kernels import layout

CANONICAL = [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy"), ("exp", "poisson")]
SQUARED = [(output, "squared_error") for output in ("identity", "tanh", "logistic", "softmax", "relu")]
SHAPES = [(1, 1), (3, 2), (2, 5, 3), (4, 7, 5, 2), (3, 9, 1, 6, 6)]


def matrix(net, X, Y, weights=None, threads=1):
    """The whole of what is computed as a triangle."""
    found = np.full((net.n_parameters, net.n_parameters), np.nan)
    gauss_newton.normal_matrix(net, net._samples(X, Y, weights), found, threads)
    lower = np.tril(found)
    return lower + np.tril(lower, -1).T


def expected(net, X, weights=None):
    return naive.gauss_newton(net.parameters.astype(np.float64), net.layers, net.bias, X.astype(np.float64),
                              net.activations, net.cost_function.name != "squared_error", weights)


def test_the_twin_is_the_hessian_of_a_linear_network(rng):
    """Where net^L is linear in the parameters nothing is left out: differences of the exact gradient."""
    for output, cost in [*CANONICAL, ("identity", "squared_error")]:
        net = network((3, 4), (), output, cost, dtype="float64")
        X, Y = real_data(rng, cost, output, 6, 3, 4)
        columns = []
        for i in range(net.n_parameters):
            moved = [net.copy(), net.copy()]
            moved[0].parameters[i] += 1e-5
            moved[1].parameters[i] -= 1e-5
            columns.append((naive_gradient(moved[0], X, Y) - naive_gradient(moved[1], X, Y)) / 2e-5)
        np.testing.assert_allclose(expected(net, X), np.stack(columns), atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), CANONICAL + SQUARED)
def test_every_pair(output, cost, dtype, rng):
    net = network((3, 5, 4), "tanh", output, cost, dtype=dtype)
    X, Y = real_data(rng, cost, output, few(37, 5), 3, 4, dtype)
    weights = rng.uniform(0, 2, len(X))
    X_before, parameters = X.copy(), net.parameters.copy()
    for w in (None, weights):
        samples = net._samples(X, Y, w)
        close(matrix(net, X, Y, w), expected(net, X, w), dtype, 5)
        J = gauss_newton.jacobian_rows(net, samples, samples.total_weight).astype(np.float64)
        close(J.T @ J, expected(net, X, w), dtype, 5)
    assert (X == X_before).all() and (net.parameters == parameters).all()


def test_class_indices(rng):
    net = network((3, 5, 4), cost="cross_entropy", dtype="float64")
    X = rng.normal(size=(11, 3))
    close(matrix(net, X, rng.integers(0, 4, 11)), expected(net, X))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_every_depth(shape, bias, rng):
    net = network(shape, bias=bias, dtype="float64")
    X, Y = real_data(rng, "squared_error", None, few(21, 3), shape[0], shape[-1])
    close(matrix(net, X, Y), expected(net, X))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", few([1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 255, 256, 257, 700], [1, 5]))
def test_jacobian_of_outputs_and_threads(n, dtype, rng, monkeypatch):
    """Around the edges of lanes, pieces and blocks, 61 parameters: no multiple of anything."""
    monkeypatch.setattr(gauss_newton, "LARGEST_PIECE", 3 * layout.lanes(dtype))
    net = laid_out(network((1, 20, 1), dtype=dtype), block=16 * layout.lanes(dtype))
    X, Y = real_data(rng, "squared_error", None, n, 1, 1, dtype)
    J = net.parameter_jacobian(X)[:, 0].astype(np.float64)
    found = matrix(net, X, Y)
    close(found, J.T @ J / n, dtype, 2)
    close(net.gradient(X, Y), J.T @ (net.predict(X).astype(np.float64) - Y)[:, 0] / n, dtype, 5)
    for threads in (2, 3):
        assert (matrix(net, X, Y, threads=threads) == found).all()


def test_more_parameters_than_a_piece_holds(rng):
    if not (shape := few((9, 40, 3), ())):
        pytest.skip("as many products take minutes in plain Python")
    net = network(shape, dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 150, 9, 3)
    J = net.parameter_jacobian(X).reshape(-1, net.n_parameters)
    close(matrix(net, X, Y), J.T @ J / 150)
    assert (matrix(net, X, Y, threads=2) == matrix(net, X, Y)).all()


def test_chunks_between_which_an_interrupt_is_seen(rng, monkeypatch):
    net = network((2, 4, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, few(900, 200), 2, 1)
    whole = matrix(net, X, Y)
    monkeypatch.setattr(gauss_newton, "CHUNK_WORK", 1)
    assert (matrix(net, X, Y) == whole).all()


@pytest.mark.parametrize("output", ["identity", "tanh", "softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_second_derivative_along_a_step(output, dtype, rng):
    net = laid_out(network((3, 5, 4, 2), "tanh", output, dtype=dtype), block=4 * layout.lanes(dtype))
    X, Y = real_data(rng, "squared_error", None, few(41, 9), 3, 2, dtype)
    weights, step, share = rng.uniform(0, 2, len(X)), rng.normal(size=net.n_parameters), 0.3
    found = gauss_newton.directional_second_derivative(net, net._samples(X, Y, weights), step, share)
    w = net.parameters.astype(np.float64)

    def outputs(t):
        return naive.forward(naive.unflatten(w + t * step, net.layers), X.astype(np.float64), net.activations).out[-1]

    along = outputs(1e-30j).imag / 1e-30
    second = 2 * ((outputs(share) - outputs(0.0)) / share - along) / share
    J = net.parameter_jacobian(X).astype(np.float64)
    close(found, np.einsum("s,sj,sjp->p", naive.shares(len(X), weights), second, J), dtype, few(20, 50))


def test_substitution(rng):
    A = rng.normal(size=(13, 9))
    M = A.T @ A
    M[np.triu_indices(9, 1)] = np.nan  # never read
    b = rng.normal(size=9)
    close(gauss_newton.solve(np.tril(np.linalg.cholesky(A.T @ A)), b), np.linalg.solve(A.T @ A, b), factor=100)
    L = gauss_newton.factorise(np.where(np.isnan(M), 0, M))
    close(L @ L.T, A.T @ A)


def test_naive_layers_are_those_of_the_network(rng):
    net = network((2, 3, 1), dtype="float64")
    X = rng.normal(size=(4, 2))
    close(naive.forward(naive_layers(net), X, net.activations).out[-1], net.predict(X))

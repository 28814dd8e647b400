"""Covariance, intervals, leverage: linear regression in closed form, and coverage on simulated data."""

import copy
import math
import pickle

import numpy as np
import pytest
from helpers import DTYPES, close, few, naive_layers, network, real_data

from fastbp import BayesianRegularization, LevenbergMarquardt, Network, Regularization
from fastbp.core import arrays
from fastbp.derivatives import gauss_newton, uncertainty
from fastbp.derivatives.uncertainty import student
from fastbp.util import machine

# ----------------------------------------------------------------------------------------------- Student's distribution

FREEDOMS = [1.0, 1.5, 2.0, 3.0, 4.0, 7.7, 30.0, 57.0, 58.0, 600.0, 1001.0, 1e7]


@pytest.mark.parametrize("probability", [0.55, 0.75, 0.9, 0.975, 0.999, 1 - 1e-6])
def test_student_where_the_quantile_has_a_formula(probability):
    p = probability
    assert math.isclose(student(p, 1.0), math.tan(math.pi * (p - 0.5)), rel_tol=1e-9)
    assert math.isclose(student(p, 2.0), (2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel_tol=1e-9)
    q = math.acos(math.sqrt(4 * p * (1 - p))) / 3
    four = 2 * math.sqrt(math.cos(math.acos(math.sqrt(4 * p * (1 - p))) / 3) / math.sqrt(4 * p * (1 - p)) - 1)
    assert 0 < q < 1 and math.isclose(student(p, 4.0), four, rel_tol=1e-8)


def test_student_of_many_degrees_is_normal():
    assert math.isclose(student(0.975, 1e12), 1.959963984540054, rel_tol=1e-11)
    below, above = student(0.975, 1000 - 1e-9), student(0.975, 1000.0)
    assert math.isclose(below, above, rel_tol=1e-10), "where the formula changes"


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_student_against_scipy(freedom):
    stats = pytest.importorskip("scipy.stats")
    for p in (0.5001, 0.6, 0.975, 0.9999):
        assert math.isclose(student(p, freedom), stats.t.ppf(p, freedom), rel_tol=1e-7)


# ---------------------------------------------------------------------------------------------------- linear regression


def regression(rng, n=40, weighted=False, dtype="float64"):
    """A linear network at its minimum, its matrix of regressors, samples and weights."""
    X, Y = real_data(rng, "squared_error", None, n, 3, 1, dtype)
    weights = rng.uniform(0.2, 3, n) if weighted else np.ones(n)
    net = Network((3, 1), dtype=dtype, seed=0)
    net.fit(X, Y, epochs=100, optimizer=LevenbergMarquardt(), sample_weight=weights)
    return net, np.column_stack([X, np.ones(n)]).astype(np.float64), X, Y, weights


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_weighted_linear_regression(weighted, dtype, rng):
    """Covariance σ²(AᵀWA)⁻¹ with weights of mean 1, leverages, and intervals of an unseen sample."""
    net, A, X, Y, weights = regression(rng, weighted=weighted, dtype=dtype)
    n = len(A)
    w = weights / weights.mean()
    inverse = np.linalg.inv(A.T @ (w[:, None] * A))
    e = (net.predict(X).astype(np.float64) - Y)[:, 0]
    variance = (w * e * e).sum() / (n - 4)
    posterior = net.posterior(X, Y, weights)
    close(posterior.covariance, variance * inverse, dtype, 10)
    h = w * np.einsum("ij,jk,ik->i", A, inverse, A)
    close(posterior.leverage(X, weights), h, dtype, 10)
    close(posterior.leverage(X[5:9], weights[5:9]), h[5:9], dtype, 10)
    exact = dict(rel_tol=1e-4 if dtype == "float32" else 1e-10)
    assert math.isclose(posterior.effective_parameters, 4, **exact)
    assert math.isclose(posterior.degrees_of_freedom, n - 4, **exact)
    close(posterior.noise_variance, variance, dtype, 10)
    new = rng.normal(size=(7, 3)).astype(dtype)
    a = np.column_stack([new, np.ones(7)])
    spread = np.einsum("ij,jk,ik->i", a, variance * inverse, a)
    for noise in (True, False):
        half = student(0.95, n - 4.0) * np.sqrt(spread + variance * noise)
        low, high = posterior.predict_interval(new, 0.9, noise=noise)
        assert low.shape == high.shape == (7, 1) and low.dtype == np.float64
        close((high - low)[:, 0] / 2, half, dtype, 10)
        close((high + low)[:, 0] / 2, net.predict(new)[:, 0], dtype, 10)


def ridge(l2):
    """The same penalty on all parameters."""
    return Regularization(l2=l2, penalize_biases=True)


PENALTIES = {
    "weights": dict(l2=0.2),
    "biases too": dict(l2=0.2, penalize_biases=True),
    "per_sample": dict(l2=5.0, per_sample=True),
    "frozen": dict(trainable=np.array([True, False, True, True])),
    "frozen, with a penalty": dict(l2=0.2, trainable=np.array([True, True, False, False])),
    "weights, and a column twice": dict(l2=0.2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", PENALTIES)
def test_ridge_regression_with_a_diagonal_penalty(name, weighted, dtype, rng):
    """(AᵀWA/Σw + D)⁻¹ of the columns that are trained, at the minimum that the same regularization leads to."""
    given, n, total = Regularization(**PENALTIES[name]), 40, 40.0
    X, Y = real_data(rng, "squared_error", None, n, 3, 1, dtype)
    if "twice" in name:
        X[:, 1] = X[:, 0]  # whose weights the penalty alone tells apart
    weights = rng.uniform(0.2, 3, n) if weighted else None
    net = network((3, 1), dtype=dtype)
    net.fit(X, Y, epochs=100, optimizer=LevenbergMarquardt(), sample_weight=weights, regularization=given)
    w = np.ones(n) if weights is None else weights
    total = w.sum()
    A, trained = np.column_stack([X, np.ones(n)]).astype(np.float64), np.ones(4, bool)
    D = np.array([1.0, 1.0, 1.0, given.penalize_biases]) * given.l2 / (total if given.per_sample else 1.0)
    if given.trainable is not None:
        trained = given.trainable
    T, M = A[:, trained], A[:, trained].T @ (w[:, None] * A[:, trained]) / total
    inverse = np.linalg.inv(M + np.diag(D[trained]))
    gamma = np.trace(inverse @ M)
    e = (net.predict(X).astype(np.float64) - Y)[:, 0]
    variance = n * (w * e * e).sum() / total / (n - gamma)
    expected = np.zeros((4, 4))
    expected[np.ix_(trained, trained)] = variance / n * inverse
    posterior = net.posterior(X, Y, weights, regularization=given)
    close(posterior.covariance, expected, dtype, 10)
    low, high = posterior.predict_interval(X, 0.9)
    spread = np.einsum("ij,jk,ik->i", A, expected, A)
    close((high - low)[:, 0] / 2, student(0.95, n - gamma) * np.sqrt(spread + variance), dtype, 10)
    h = w / total * np.einsum("ij,jk,ik->i", T, inverse, T)
    close(posterior.leverage(X, weights), h, dtype, 10)
    assert math.isclose(posterior.effective_parameters, gamma, rel_tol=1e-4 if dtype == "float32" else 1e-10)


def test_ridge_regression(rng):
    """The posterior of MacKay: (βAᵀA + αI)⁻¹ with the α and β that training found."""
    n = 50
    X = rng.normal(size=(n, 8)) * np.geomspace(2, 0.05, 8)
    Y = X @ rng.normal(size=(8, 1)) + 0.3 * rng.normal(size=(n, 1))
    net = Network((8, 1), dtype="float64", seed=0).fit(X, Y, epochs=few(300, 200), optimizer=BayesianRegularization())
    alpha, beta = (net.history.diagnostics[name][-1] for name in ("alpha", "beta"))
    A, l2 = np.column_stack([X, np.ones(n)]), alpha / (beta * n)
    expected = np.linalg.inv(beta * A.T @ A + alpha * np.eye(9))
    posterior = net.posterior(X, Y, regularization=ridge(l2))
    np.testing.assert_allclose(posterior.covariance, expected, rtol=1e-3, atol=1e-6)
    gamma = posterior.effective_parameters
    np.testing.assert_allclose(gamma, net.history.diagnostics["effective_parameters"][-1], rtol=1e-3)
    H = A @ np.linalg.inv(A.T @ A + n * l2 * np.eye(9)) @ A.T
    close(posterior.leverage(X), np.diag(H))
    assert math.isclose(gamma, np.trace(H), rel_tol=1e-9)


def test_logistic_regression_has_the_inverse_of_fishers_information(rng):
    X = rng.normal(size=(80, 2))
    Y = (rng.uniform(size=80) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
    net = Network((2, 1), cost="binary_cross_entropy", dtype="float64", seed=0)
    net.fit(X, Y, epochs=30, optimizer="levenbergmarquardt")
    A, p = np.column_stack([X, np.ones(80)]), net.predict(X)
    posterior = net.posterior(X, Y)
    close(posterior.covariance, np.linalg.inv(A.T @ ((p * (1 - p))[:, None] * A)), factor=100)
    close(posterior.leverage(X).sum(), 3.0)
    assert posterior.noise_variance == 1 and posterior.degrees_of_freedom == math.inf


def test_what_the_data_do_not_determine_is_left_out(rng):
    """A column twice: predictions and leverage are those of the regression with it once."""
    net, A, X, Y, _ = regression(rng)
    twice = Network((4, 1), dtype="float64", seed=0)
    wide = np.column_stack([X, X[:, 2]])
    twice.fit(wide, Y, epochs=100, optimizer=LevenbergMarquardt())
    found, expected = twice.posterior(wide, Y), net.posterior(X, Y)
    assert found.effective_parameters == 4
    close(found.leverage(wide), expected.leverage(X), factor=1e3)
    for a, b in zip(found.predict_interval(wide), expected.predict_interval(X), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.linalg.matrix_rank(found.covariance) == 4


# ------------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), [
    ("identity", "squared_error"), ("softmax", "squared_error"), ("softmax", "cross_entropy"), ("exp", "poisson"),
])
def test_leverages_sum_to_the_effective_parameters(output, cost, dtype, rng, monkeypatch):
    monkeypatch.setattr(uncertainty, "CHUNK_BYTES", 8 * 3 * 40 * 7)  # several chunks
    net = network((2, 4, 3), "tanh", output, cost, dtype=dtype)
    X, Y = real_data(rng, cost, output, 33, 2, 3, dtype)
    weights = rng.uniform(0, 2, 33)
    for l2 in (1e-3, 0.1):
        posterior = net.posterior(X, Y, weights, regularization=ridge(l2))
        h = posterior.leverage(X, weights)
        assert h.shape == (33,) and (h >= 0).all() and (h <= 3).all()
        assert math.isclose(h.sum(), posterior.effective_parameters, rel_tol=1e-3)
    found = [net.posterior(X, Y, regularization=ridge(l2)).effective_parameters for l2 in (1.0, 0.1)]
    assert found[0] < found[1] < net.n_parameters


def test_interval_of_a_network_by_the_delta_method(rng):
    net = network((2, 5, 3), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 60, 2, 3)
    posterior = net.posterior(X, Y, regularization=ridge(0.01))
    C = posterior.covariance
    freedom = 180 - posterior.effective_parameters
    assert posterior.degrees_of_freedom == freedom
    variance = 120 * net.cost(X, Y) / freedom
    new = rng.normal(size=(4, 2))
    J = net.parameter_jacobian(new)
    half = student(0.975, freedom) * np.sqrt(np.einsum("njp,pq,njq->nj", J, C, J) + variance)
    low, high = posterior.predict_interval(new)
    close((high - low) / 2, half, factor=10)
    one = posterior.predict_interval(new[0])
    assert one[0].shape == (3,)
    np.testing.assert_allclose(one[0], low[0], rtol=1e-9)


def test_coverage():
    """Simulated data from a network of the same shape: 95 % intervals hold new targets, within binomial bounds.

    Over m data sets one new target each, a share p = 0.95 of m is expected with standard deviation √(mp(1−p)); four of
    them either way, since linearisation adds a little error of its own. Half the level must miss by far.
    """
    if not (sets := few(400, 0)):
        pytest.skip("hundreds of fits take minutes in plain Python")
    rng, inside, half = np.random.default_rng(3), 0, 0
    truth = Network((1, 3, 1), dtype="float64", seed=5)
    truth.parameters *= 1.5
    for _ in range(sets):
        X = rng.uniform(-2, 2, (60, 1))
        Y = truth.predict(X) + 0.05 * rng.normal(size=(60, 1))
        net = truth.copy().fit(X, Y, epochs=30, optimizer=LevenbergMarquardt())
        posterior = net.posterior(X, Y)
        x = rng.uniform(-1.8, 1.8, (1, 1))
        y = truth.predict(x) + 0.05 * rng.normal(size=(1, 1))
        (low, high), (lower, upper) = posterior.predict_interval(x), posterior.predict_interval(x, 0.475)
        inside += bool(low[0, 0] <= y[0, 0] <= high[0, 0])
        half += bool(lower[0, 0] <= y[0, 0] <= upper[0, 0])
    for count, p in ((inside, 0.95), (half, 0.475)):
        assert abs(count - sets * p) <= 4 * math.sqrt(sets * p * (1 - p)), (count, p)


def test_nothing_is_changed_and_the_covariance_is_read_only(rng):
    net = network((2, 3, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 50, 2, 1)
    before = net.parameters.copy()
    posterior = net.posterior(X, Y)
    first, covariance = posterior.predict_interval(X), posterior.covariance.copy()
    with pytest.raises(ValueError, match="read-only"):
        posterior.covariance[:] = 0
    posterior.leverage(X)[:] = 0
    X_, Y_ = X.copy(), Y.copy()
    Y[:] = 0  # of no effect any more
    np.testing.assert_array_equal(posterior.predict_interval(X), first)
    np.testing.assert_array_equal(posterior.covariance, covariance)
    np.testing.assert_array_equal(net.posterior(X_, Y_).covariance, covariance)
    assert (net.parameters == before).all()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
                         ids=["copy", "deepcopy", "pickle"])
@pytest.mark.parametrize("asked", [False, True])
def test_a_posterior_can_be_copied_and_pickled(asked, again, rng):
    net = network((2, 3, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 50, 2, 1)
    posterior = net.posterior(X, Y)
    if asked:
        posterior.covariance.sum()
    other = again(posterior)
    np.testing.assert_array_equal(other.covariance, posterior.covariance)
    np.testing.assert_array_equal(other.leverage(X), posterior.leverage(X))
    np.testing.assert_array_equal(other.predict_interval(X), posterior.predict_interval(X))
    for name in ("effective_parameters", "degrees_of_freedom", "noise_variance"):
        assert getattr(other, name) == getattr(posterior, name)
    with pytest.raises(ValueError, match="read-only"):
        other.covariance[:] = 0


def test_the_eigenvalues_are_computed_once(rng, monkeypatch):
    net, calls = network((2, 3, 1), dtype="float64"), []
    eigh, matrix = np.linalg.eigh, gauss_newton.normal_matrix
    monkeypatch.setattr(np.linalg, "eigh", lambda *given: calls.append("eigh") or eigh(*given))
    monkeypatch.setattr(gauss_newton, "normal_matrix", lambda *given: calls.append("matrix") or matrix(*given))
    X, Y = real_data(rng, "squared_error", None, 50, 2, 1)
    posterior = net.posterior(X, Y)
    for _ in range(2):
        posterior.predict_interval(X), posterior.leverage(X)
        assert posterior.covariance is posterior.covariance
    assert calls == ["matrix", "eigh"]


@pytest.mark.parametrize(("call", "says"), [
    (lambda net, X, Y: net.posterior(X, Y).predict_interval(X, 95),
     "level is 95, expected a probability between 0 and 1"),
    (lambda net, X, Y: net.posterior(X, Y).predict_interval(X, math.nan), "level is nan"),
    (lambda net, X, Y: net.posterior(X, Y, regularization=Regularization(l2=[1.0])),
     "l2 has 1 values, expected 2: one for each layer"),
    (lambda net, X, Y: net.posterior(X, Y, regularization=Regularization(trainable=[True] * 12)),
     "trainable has 12 values, expected 2, one for each layer, or 13"),
    (lambda net, X, Y: net.posterior(X[:, :1], Y), r"X has shape \(9, 1\)"),
    (lambda net, X, Y: net.posterior(X, Y).leverage(X[:, :1]), r"X has shape \(9, 1\)"),
    (lambda net, X, Y: net.posterior(X, Y, np.ones(3)), r"sample_weight has shape \(3,\)"),
    (lambda net, X, Y: net.posterior(X, Y).leverage(X, np.ones(3)), r"sample_weight has shape \(3,\)"),
    (lambda net, X, Y: net.posterior(X[:4], Y[:4]).covariance, r"4 samples of 1 outputs leave .* degrees of freedom"),
    (lambda net, X, Y: net.posterior(X[:4], Y[:4]).noise_variance, "give more samples, or train with a penalty"),
    (lambda net, X, Y: net.posterior(X[:4], Y[:4]).predict_interval(X), "4 samples of 1 outputs leave"),
    (lambda net, X, Y: net.posterior(X, Y * 1e200, regularization=ridge(1.0)).covariance,
     "the variance of the noise not finite: scale"),
    (lambda net, X, Y: Network((2, 1), cost="huber").posterior(X, Y), "JᵀJ of fastbp.huber.*squared_error"),
    (lambda net, X, Y: Network((2, 1), cost="poisson").posterior(X, abs(Y)).predict_interval(X),
     "is for regression with squared_error"),
])  # fmt: skip
def test_what_does_not_fit(call, says, rng):
    net = network((2, 3, 1), dtype="float64")
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=says):
        call(net, rng.normal(size=(9, 2)), rng.normal(size=(9, 1)))


def test_without_a_degree_of_freedom_there_is_all_that_needs_none(rng):
    net = network((2, 3, 1), dtype="float64")
    X = rng.normal(size=(4, 2))
    posterior = net.posterior(X, rng.normal(size=(4, 1)))
    assert math.isclose(posterior.effective_parameters, 4) and abs(posterior.degrees_of_freedom) < 1e-9
    close(posterior.leverage(X), np.ones(4), factor=1e3)


def test_other_parameters_have_another_posterior(rng):
    net = network((2, 3, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 50, 2, 1)
    posterior = net.posterior(X, Y)
    covariance, before = posterior.covariance.copy(), net.parameters.copy()
    for change in (lambda: net.parameters.__setitem__(0, net.parameters[0] + 1e-9), lambda: net.reset(0)):
        change()
        for call in (posterior.predict_interval, posterior.leverage):
            with pytest.raises(ValueError, match=r"parameters have changed since .* call posterior\(X, Y\) with the"):
                call(X)
        net.posterior(X, Y).predict_interval(X)
    assert (posterior.covariance == covariance).all()
    net.parameters = before
    posterior.predict_interval(X)


def test_memory_is_computed_first(monkeypatch):
    monkeypatch.setattr(machine, "physical_memory", lambda: 2 * 56 * 13**2 - 2)
    with pytest.raises(ValueError, match="JᵀJ of 13 parameters .* 9.46e\\+03 bytes"):
        Network((1, 4, 1)).posterior([[0.0]], [[0.0]])
    assert Network((1, 3, 1)).posterior([[0.0]], [[0.0]]).leverage([[0.0]]).shape == (1,)


def test_outputs_that_overflow(rng):
    net = Network((1, 1), output="exp", dtype="float64")
    net.parameters[:] = 800.0, 0.0
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="JᵀJ is not finite"):
        net.posterior([[1.0], [2.0]], [[1.0], [2.0]])


def test_twins_agree_on_what_a_row_of_j_is(rng):
    net = network((2, 3, 2), dtype="float64")
    X = rng.normal(size=(5, 2))
    samples = arrays.inputs_only(net._architecture, X, None)
    close(gauss_newton.jacobian_rows(net, samples, 1.0), net.parameter_jacobian(X).reshape(10, -1))
    assert len(naive_layers(net)) == 2

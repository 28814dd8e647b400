"""Levenberg–Marquardt and Bayesian regularisation: one step by hand, minima, what is recorded, what is refused."""

import json
import math
import re

import numpy as np
import pytest
from helpers import DTYPES, close, few, network, real_data
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

from fastbp import (
    BayesianRegularization,
    Checkpoint,
    DivergenceError,
    LevenbergMarquardt,
    Network,
    Regularization,
    optimizers,
)
from fastbp.core import objective, penalties
from fastbp.optimizers.levenberg_marquardt import ByParameters, BySamples
from fastbp.util import machine

PLAIN = LevenbergMarquardt(geodesic_acceleration=False)
METHODS = [LevenbergMarquardt(), PLAIN, BayesianRegularization()]


def sinc(n, dtype="float64"):
    x = np.linspace(-10, 10, n).reshape(-1, 1)
    return (x / 5).astype(dtype), np.sinc(x / np.pi).astype(dtype)


def noisy(rng, n, dtype="float64"):
    """A smooth function of one input, with noise of variance 0.01."""
    X = rng.uniform(-2, 2, (n, 1))
    return X.astype(dtype), (np.sin(2 * X) + 0.1 * rng.normal(size=(n, 1))).astype(dtype)


def system(net, X, Y, kind, weights=None):
    samples = net._samples(X, Y, weights)
    return kind(objective.Evaluation(net, samples, 1, lambda g: objective.cost_and_gradient(net, samples, g)))


def by_hand(net, X, Y, steps, damping=1e-3):
    """The method of Madsen, Nielsen & Tingleff (2004), algorithm 3.16, from the Jacobian; for one output."""
    net = net.copy()

    def cost():
        return 0.5 * float(np.square(net.predict(X) - Y).mean())

    growth, current, path = 2.0, None, []
    for _ in range(steps):
        J, E = net.parameter_jacobian(X)[:, 0], cost()
        A, g = J.T @ J / len(X), J.T @ (net.predict(X) - Y)[:, 0] / len(X)
        current = damping * A.diagonal().max() if current is None else current
        while True:
            step = np.linalg.solve(A + current * np.eye(len(g)), -g)
            net.parameters += step
            if (found := cost()) < E:
                gain = (E - found) / (0.5 * step @ (current * step - g))
                current, growth = current * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
                break
            net.parameters -= step
            current, growth = current * growth, growth * 2
        path.append(found)
    return path


def test_steps_by_hand():
    X, Y = sinc(100)
    net = Network((1, 5, 1), dtype="float64", seed=0)
    path = by_hand(net, X, Y, 12)
    net.fit(X, Y, epochs=12, optimizer=PLAIN)
    np.testing.assert_allclose(net.history.cost, path, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_both_forms_give_the_same_step(dtype, weighted, rng):
    """Fewer rows of J than parameters, where JᵀJ alone is singular, and more."""
    for n in few([5, 16, 30], [5, 30]):
        net = network((2, 6, 2), dtype=dtype)
        X, Y = real_data(rng, "squared_error", None, n, 2, 2, dtype)
        weights = rng.uniform(0.1, 2, n) if weighted else None
        right = net.gradient(X, Y, weights).astype(np.float64)
        own, other = system(net, X, Y, ByParameters, weights), system(net, X, Y, BySamples, weights)
        close(other.largest, own.largest, dtype, 5)
        for damping in (1e-6 if dtype == "float64" else 1e-3, 1e-2, 10.0):
            own.factorise(damping)
            other.factorise(damping)
            close(other.solve(right), own.solve(right), dtype, 1e3)
        few_values, all_values = np.sort(other.eigenvalues())[::-1], np.sort(own.eigenvalues())[::-1]
        shared = min(len(few_values), len(all_values))
        close(few_values[:shared], all_values[:shared], dtype, 5)


def test_small_damping_does_not_cancel(rng):
    """(b − Jᵀ…Jb)/λ loses what λ is smaller than; the refined solution still solves the equations."""
    net = network((3, 20, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 12, 3, 1)
    form, right = system(net, X, Y, BySamples), net.gradient(X, Y)
    form.factorise(1e-9)
    x = form.solve(right)
    residual = form.rows.T @ (form.rows @ x) + 1e-9 * x - right
    assert np.abs(residual).max() < 1e-9 * np.abs(right).max()


def test_the_form_is_chosen_by_the_rows(monkeypatch):
    used = []
    for kind in (BySamples, ByParameters):
        known = kind.__init__
        monkeypatch.setattr(kind, "__init__", lambda self, evaluate, kind=kind, known=known: (
            used.append(kind), known(self, evaluate))[1])
    X, Y = sinc(30)
    Network((1, 10, 1), dtype="float64", seed=0).fit(X, Y, epochs=1, optimizer=PLAIN)
    Network((1, 9, 1), dtype="float64", seed=0).fit(X, Y, epochs=1, optimizer=PLAIN)
    assert used == [BySamples, ByParameters]


@pytest.mark.parametrize("method", [LevenbergMarquardt(), PLAIN], ids=str)
@pytest.mark.parametrize("n", few([20, 200], [12, 30]))
def test_sinc(method, n):
    X, Y = sinc(n)
    net = Network((1, 8, 1), dtype="float64", seed=1).fit(X, Y, epochs=few(60, 10), optimizer=method)
    assert net.history.cost[-1] == net.cost(X, Y)
    assert (np.diff(net.history.cost) < 0).all()
    assert net.history.cost[-1] < few(1e-5, 5e-3)


def test_bent_steps_go_through_a_narrow_valley():
    if not (epochs := few(80, 0)):
        pytest.skip("as many steps take minutes in plain Python")
    X, Y = sinc(400)
    costs = [Network((1, 12, 1), dtype="float64", seed=3).fit(X, Y, epochs=epochs, optimizer=method).history.cost
             for method in (LevenbergMarquardt(), PLAIN)]
    assert costs[0][-1] < 0.2 * costs[1][-1]


@pytest.mark.parametrize("method", METHODS[:2], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_xor(method, dtype):
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    solved = 0
    for seed in range(5):
        net = Network((2, 4, 1), dtype=dtype, seed=seed).fit(X, Y, epochs=60, optimizer=method)
        solved += net.history.cost[-1] < (1e-10 if dtype == "float64" else 1e-8)
    assert solved == 5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), [
    ("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy"), ("exp", "poisson"),
])
def test_linear_networks_reach_their_minimum_in_few_steps(output, cost, dtype, rng):
    """Convex costs: iteratively reweighted least squares, which converges quadratically."""
    n = few(60, 25)
    X, Y = real_data(rng, cost, output, n, 3, 3, dtype)
    weights = rng.uniform(0.1, 2, n)
    net = Network((3, 3), output=output, cost=cost, dtype=dtype, seed=0)
    net.fit(X, Y, epochs=15, optimizer=LevenbergMarquardt(), sample_weight=weights)
    assert np.abs(net.gradient(X, Y, weights)).max() < (1e-7 if dtype == "float64" else 1e-3)  # √ε of the cost


@pytest.mark.parametrize("cost", ["cross_entropy", "binary_cross_entropy", "poisson"])
def test_matched_costs_fall(cost, rng):
    X, Y = real_data(rng, cost, None, few(80, 20), 2, 3)
    net = Network((2, few(6, 3), 3), cost=cost, dtype="float64", seed=0)
    before = net.cost(X, Y)
    net.fit(X, Y, epochs=few(25, 4), optimizer="levenbergmarquardt")
    assert (np.diff(net.history.cost) < 0).all() and net.history.cost[-1] < before - 0.01


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_minimum_ends_training(dtype, rng):
    """Linear regression with weighted samples, where the minimum is known."""
    X, Y = real_data(rng, "squared_error", None, 40, 4, 2, dtype)
    weights = rng.uniform(0.1, 2, 40)
    weights[:3] = 0
    net = Network((4, 2), dtype=dtype, seed=0)
    net.fit(X, Y, epochs=1000, optimizer=LevenbergMarquardt(), sample_weight=weights)
    assert len(net.history) < 60
    root = np.sqrt(weights)[:, None]
    exact = np.linalg.lstsq(root * np.column_stack([X, np.ones(40)]), root * Y, rcond=None)[0]
    np.testing.assert_allclose(np.column_stack([net.weights[0], net.biases[0]]), exact.T,
                               atol=1e-7 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize("method", METHODS[:2], ids=str)
def test_where_there_is_nothing_to_gain_nothing_changes(method):
    net = Network((2, 3, 1), dtype="float64", seed=0)
    X = np.ones((50, 2))
    Y, before = net.predict(X), net.parameters.copy()
    net.fit(X, Y, epochs=9, optimizer=method)
    assert (net.parameters == before).all() and len(net.history) == 1 and net.history.cost[0] == 0


def test_an_empty_jacobian_ends_training():
    net = Network((2, 3, 1), "relu", "relu", dtype="float64", init="zeros")
    net.parameters[:] = -1
    net.fit(np.ones((50, 2)), np.ones(50), epochs=9, optimizer="levenbergmarquardt")
    assert len(net.history) == 1 and (net.parameters == -1).all()


def test_costs_that_overflow_are_steps_not_made(rng):
    """Outputs are exp: a step too long gives infinity, and is tried again with more damping."""
    X = rng.normal(size=(60, 2))
    Y = rng.poisson(50 * np.exp(2 * X[:, :1]))
    net = Network((2, 6, 1), cost="poisson", dtype="float64", seed=0)
    net.fit(X, Y, epochs=few(30, 10), optimizer=LevenbergMarquardt(damping=1e-12))
    assert np.isfinite(net.history.cost).all() and (np.diff(net.history.cost) < 0).all()


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("output", ["exp", "identity"])
def test_an_infinite_cost_is_divergence(method, output):
    net = Network((1, 1), output=output, dtype="float64")
    net.parameters[:] = before = (800.0, 0.0) if output == "exp" else (1e200, 0.0)
    with pytest.raises(DivergenceError), np.errstate(over="ignore"):  # which NumPy reports with the JIT off
        net.fit(np.ones((9, 1)), np.ones(9), epochs=3, optimizer=method)
    assert (net.parameters == before).all()


@pytest.mark.parametrize("method", METHODS[:2], ids=str)
def test_a_sample_of_weight_0_may_overflow(method, rng):
    X, Y = rng.normal(size=(30, 1)), rng.uniform(0.5, 2, 30)
    wide, weights = np.append(X, [[1e4]]).reshape(-1, 1), np.append(np.ones(30), 0.0)
    net, other = (Network((1, 1), output="exp", dtype="float64", seed=3) for _ in range(2))
    net.parameters[:] = other.parameters[:] = 0.5, 0.0
    with np.errstate(over="ignore"):
        assert net.predict([[1e4]]) == np.inf
        net.fit(wide, np.append(Y, 1.0), epochs=5, optimizer=method, sample_weight=weights)
    other.fit(X, Y, epochs=5, optimizer=method)
    np.testing.assert_allclose(net.parameters, other.parameters, rtol=1e-6)


# ------------------------------------------------------------------------------------------------- in the training loop


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("n", few([12, 90], [12, 30]))
def test_resumption_and_threads_change_no_bit(method, n, tmp_path, rng):
    X, Y = noisy(rng, n)
    whole = Network((1, 6, 1), dtype="float64", seed=1).fit(X, Y, epochs=7, optimizer=method)
    first = Network((1, 6, 1), dtype="float64", seed=1)
    first.fit(X, Y, epochs=4, optimizer=method, threads=2, callbacks=[Checkpoint(tmp_path / "net", 3)])
    for net, done in ((first, 4), (Network.load(tmp_path / "net"), 3)):
        assert len(net.history) == done
        net.fit(X, Y, epochs=7 - done, resume=True)
        assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()
        assert net.history.diagnostics.keys() == whole.history.diagnostics.keys()
        for name, values in whole.history.diagnostics.items():
            assert (net.history.diagnostics[name] == values).all()


@pytest.mark.parametrize("diagnostics", [5, None, [], ["alpha"]], ids=str)
def test_a_file_whose_diagnostics_are_corrupt(diagnostics, tmp_path, rng):
    X, Y = noisy(rng, 12)
    net = Network((1, 2, 1), dtype="float64", seed=1).fit(X, Y, epochs=2, optimizer=BayesianRegularization())
    net.save(tmp_path / "net", training=True)
    with safe_open(tmp_path / "net", framework="numpy") as content:
        header = json.loads(content.metadata()["fastbp"])
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    assert header["training"]["diagnostics"] == ["damping", "effective_parameters", "alpha", "beta", "evidence"]
    header["training"]["diagnostics"] = diagnostics
    (tmp_path / "net").write_bytes(to_bytes(tensors, {"fastbp": json.dumps(header)}))
    with pytest.raises(ValueError, match="corrupt training"):
        Network.load(tmp_path / "net")


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_an_interrupt_leaves_the_parameters_between_steps(method, monkeypatch, rng):
    X, Y = noisy(rng, few(60, 25))
    net, calls, known = Network((1, 6, 1), dtype="float64", seed=1), [], objective.Evaluation.__call__

    def interrupted(evaluation, gradient):
        calls.append(0)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return known(evaluation, gradient)

    monkeypatch.setattr(objective.Evaluation, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, epochs=50, optimizer=method)
    assert 0 < len(net.history) < 7
    assert net.cost(X, Y) == net.history.cost[-1]


def test_records_show_the_damping():
    X, Y = sinc(60)
    seen = []
    Network((1, 4, 1), dtype="float64", seed=0).fit(X, Y, epochs=5, optimizer=PLAIN, callbacks=[seen.append])
    assert [record.updates for record in seen] == [1, 2, 3, 4, 5]
    assert all(a.diagnostics["damping"] / b.diagnostics["damping"] <= 3.0001 for a,
               b in zip(seen, seen[1:], strict=False))


@pytest.mark.parametrize(("make", "says"), [
    (lambda: LevenbergMarquardt(damping=0), "LevenbergMarquardt: damping is 0, expected a positive number"),
    (lambda: BayesianRegularization(damping=math.nan), "BayesianRegularization: damping is nan"),
])  # fmt: skip
def test_bad_settings(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(("arguments", "options", "says"), [
    ({}, {"batch_size": 32}, "LevenbergMarquardt takes all samples in a step, but batch_size is 32 .*'adam'"),
    ({}, {"batch_size": 1}, "LevenbergMarquardt takes all samples in a step, but batch_size is 1 .*'adam'"),
    ({}, {"profile": True}, "profile=True"),
    ({"cost": "huber"}, {}, r"is for the costs .* has fastbp.huber\(delta=1.0\) with identity: use 'lbfgs'$"),
    ({"cost": "mse"}, {}, "has 'mean_squared_error' with identity: use 'lbfgs', or cost='squared_error', which"),
    ({"cost": "binary_cross_entropy", "output": "softsign"}, {}, "'binary_cross_entropy' with softsign: use 'lbfgs'"),
])
def test_what_does_not_fit(arguments, options, says):
    net = Network((1, 1), seed=0, **arguments)
    X, Y = sinc(64)
    net.fit(X, abs(Y), epochs=2, optimizer="sgd")
    before, history = net.parameters.copy(), net.history
    with pytest.raises(ValueError, match=says):
        net.fit(X, abs(Y), optimizer="levenbergmarquardt", **options)
    assert (net.parameters == before).all() and net.history is history


def test_memory_is_computed_before_training(monkeypatch):
    """Half of the machine's memory is the bound; one byte less is an error that says what it would take."""
    X, Y = sinc(64)
    for layers, numbers in (((1, 4, 1), 3 * 13**2), ((1, 40, 1), 2 * 64 * 121 + 3 * 64**2)):
        net = Network(layers, dtype="float64", seed=0)
        monkeypatch.setattr(machine, "physical_memory", lambda n=numbers: 2 * 8 * n)
        net.fit(X, Y, epochs=1, optimizer=PLAIN)
        history, before = net.history, net.parameters.copy()
        monkeypatch.setattr(machine, "physical_memory", lambda n=numbers: 2 * 8 * n - 2)
        says = re.escape(f"{net.n_parameters} parameters and 64 samples needs {8.0 * numbers:.3g} bytes")
        with pytest.raises(ValueError, match=says + ".* use 'lbfgs'"):
            net.fit(X, Y, optimizer=PLAIN)
        assert net.history is history and (net.parameters == before).all()


def test_names():
    assert optimizers.get("levenbergmarquardt") == LevenbergMarquardt()
    assert optimizers.get("bayesianregularization") == BayesianRegularization()
    assert BayesianRegularization() != LevenbergMarquardt()


# ------------------------------------------------------------------------------------------------------------- Bayesian


def ridge_evidence(A, y, alpha, beta):
    """Return log P(y | α, β) of linear regression in closed form: y is normal with covariance 1/β + AAᵀ/α."""
    C = np.eye(len(y)) / beta + A @ A.T / alpha
    return -0.5 * (np.linalg.slogdet(2 * np.pi * C)[1] + y @ np.linalg.solve(C, y))


@pytest.mark.parametrize("n", [9, 60])
def test_linear_regression_in_closed_form(n, rng):
    """MacKay's fixed point of ridge regression, by the eigenvalues of AᵀA; more parameters than samples, and fewer."""
    X = rng.normal(size=(n, 12)) * np.geomspace(3, 0.1, 12)
    Y = X @ rng.normal(size=12) * 0.5 + 0.3 * rng.normal(size=n)
    net = Network((12, 1), dtype="float64", seed=0).fit(X, Y, epochs=few(500, 300), optimizer=BayesianRegularization())
    A = np.column_stack([X, np.ones(n)])
    alpha, beta = 1.0, 1.0
    for _ in range(20_000):
        w = np.linalg.solve(beta * A.T @ A + alpha * np.eye(13), beta * A.T @ Y)
        values = beta * np.linalg.eigvalsh(A.T @ A).clip(0)
        gamma = (values / (values + alpha)).sum()
        before, alpha = alpha, gamma / (w @ w)
        beta = (n - gamma) / np.square(A @ w - Y).sum()
        if abs(alpha - before) < 1e-13 * alpha:
            break
    diagnostics = {name: values[-1] for name, values in net.history.diagnostics.items()}
    np.testing.assert_allclose(diagnostics["alpha"], alpha, rtol=1e-4)
    np.testing.assert_allclose(diagnostics["beta"], beta, rtol=1e-4)
    np.testing.assert_allclose(diagnostics["effective_parameters"], gamma, rtol=1e-4)
    np.testing.assert_allclose(diagnostics["evidence"], ridge_evidence(A, Y, alpha, beta), rtol=1e-6)
    np.testing.assert_allclose(np.append(net.weights[0], net.biases[0]), w, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_found_and_not_learned(dtype, rng):
    X, Y = noisy(rng, few(150, 25), dtype)
    net = Network((1, few(20, 4), 1), dtype=dtype, seed=0)
    net.fit(X, Y, epochs=few(150, 12), optimizer=BayesianRegularization())
    diagnostics = net.history.diagnostics
    assert (diagnostics["effective_parameters"] > 0).all()
    assert (diagnostics["effective_parameters"] < net.n_parameters).all()
    assert diagnostics["evidence"][-1] > diagnostics["evidence"][0]
    if few(True, False):
        assert 4 < diagnostics["effective_parameters"][-1] < 16
        assert 60 < diagnostics["beta"][-1] < 170  # 1/σ² = 100
        clean = np.linspace(-2, 2, 200).reshape(-1, 1)
        other = Network((1, 20, 1), dtype=dtype, seed=0).fit(X, Y, epochs=150, optimizer=LevenbergMarquardt())
        mine, theirs = (np.square(n.predict(clean) - np.sin(2 * clean)).mean() for n in (net, other))
        assert mine < 0.5 * theirs


def test_other_costs_have_no_noise_to_estimate(rng):
    n = few(120, 30)
    X = rng.normal(size=(n, 2))
    Y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=n) > 0).astype(float)
    net = Network((2, few(8, 4), 1), cost="binary_cross_entropy", dtype="float64", seed=0)
    net.fit(X, Y, epochs=few(100, 12), optimizer=BayesianRegularization())
    diagnostics = net.history.diagnostics
    assert (diagnostics["beta"] == 1).all()
    assert 2 < diagnostics["effective_parameters"][-1] < net.n_parameters
    assert ((net.predict(X) > 0.5) == Y).mean() > 0.8


def test_weights_count_by_their_ratios(rng):
    X, Y = noisy(rng, 40)
    weights = rng.uniform(0.5, 2, 40)
    runs = []
    for scale, extra in ((1.0, 0), (1024.0, 0), (1.0, 1)):
        inputs, targets = np.vstack([X, np.full((extra, 1), 0.7)]), np.vstack([Y, np.full((extra, 1), 9.0)])
        net = Network((1, 5, 1), dtype="float64", seed=0)
        net.fit(inputs, targets, epochs=10, optimizer=BayesianRegularization(),
                sample_weight=np.append(scale * weights, [0.0] * extra))
        runs.append(net.history.diagnostics)
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name])
        np.testing.assert_allclose(runs[0][name], runs[2][name], rtol=1e-6)  # a sample of weight 0 is none


def test_a_perfect_fit_stays_finite():
    X = np.linspace(-1, 1, 20).reshape(-1, 1)
    net = Network((1, 1), dtype="float64", seed=0)
    net.fit(X, 2 * X, epochs=100, optimizer=BayesianRegularization())
    assert all(np.isfinite(values).all() for values in net.history.diagnostics.values())
    np.testing.assert_allclose(net.weights[0], 2, rtol=1e-3)


@pytest.mark.parametrize(("optimizer", "names"), [
    ("adam", []), ("rprop", []), ("quickprop", []), ("lbfgs", ["step_length"]), ("conjugategradient", ["step_length"]),
    ("scaledconjugategradient", ["step_length"]), ("levenbergmarquardt", ["damping"]),
])
def test_diagnostics_of_other_methods(optimizer, names):
    X, Y = sinc(20)
    seen = []
    net = Network((1, 2, 1), seed=0).fit(X, Y, epochs=2, optimizer=optimizer, callbacks=[seen.append])
    assert list(net.history.diagnostics) == names and net.history.table().shape == (len(net.history), 4 + len(names))
    for name in names:
        assert [record.diagnostics[name] for record in seen] == net.history.diagnostics[name].tolist()


def test_total_weight():
    net = Network((1, 1))
    X, Y = sinc(3)
    samples = net._samples(X, Y, None)
    assert samples.total_weight == 3 == samples.counted
    samples = net._samples(X, Y, [0, 0.5, 2])
    assert samples.total_weight == 2.5 and samples.counted == 2
    assert {"levenbergmarquardt", "bayesianregularization"} < optimizers.BATCH_METHODS.keys()


# -------------------------------------------------------------------------------------------------- with regularisation


@pytest.mark.parametrize("n", [6, 40])
def test_l2_is_ridge_regression(n, rng):
    """Its second derivatives belong to the matrix, so that a parabola's minimum is reached in few steps."""
    X, Y = rng.normal(size=(n, 8)), rng.normal(size=(n, 1))
    net = Network((8, 1), dtype="float64", seed=0)
    net.fit(X, Y, epochs=12, optimizer=LevenbergMarquardt(), regularization=Regularization(l2=0.5))
    A, penalty = np.column_stack([X, np.ones(n)]), np.diag([0.5] * 8 + [0.0])
    exact = np.linalg.solve(A.T @ A / n + penalty, A.T @ Y[:, 0] / n)
    np.testing.assert_allclose(net.parameters, exact, atol=1e-7)


@pytest.mark.parametrize("regularization", [
    Regularization(l2=(0.3, 0.2)), Regularization(l2=0.3, penalize_biases=True),
    Regularization(l2=2.0, per_sample=True),
    Regularization(l2=2.0, per_sample=True, penalize_biases=True),
], ids=range(4))  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
def test_second_derivatives_of_the_penalty(regularization, bias):
    """Differences of its slopes, which are linear."""
    net, slopes = network((2, 3, 2), bias=bias, dtype="float64"), []
    for w in (net.parameters, net.parameters + 1.0):
        slopes.append(np.zeros(net.n_parameters))
        penalties.penalty(regularization, net._architecture, w, 7.0)(slopes[-1])
    close(penalties.second_derivatives(regularization, net._architecture, 7.0), slopes[1] - slopes[0])


@pytest.mark.parametrize("method", METHODS[:2], ids=str)
@pytest.mark.parametrize("n", [8, 50])
@pytest.mark.parametrize("by", ["layer", "parameter"])
def test_what_is_not_trained_stays(method, n, by, rng):
    X, Y = noisy(rng, n)
    net = Network((1, 5, 1), dtype="float64", seed=0)
    mask = np.arange(16) % 3 > 0 if by == "parameter" else np.arange(16) >= 10
    before = net.parameters.copy()
    net.fit(X, Y, epochs=8, optimizer=method,
            regularization=Regularization(trainable=mask if by == "parameter" else (False, True), l2=1e-4))
    assert (net.parameters[~mask] == before[~mask]).all() and (net.parameters[mask] != before[mask]).all()
    assert (np.diff(net.history.cost) < 0).all()
    if by == "layer":  # the last layer is linear, so its minimum is known
        H = np.column_stack([np.tanh(X @ net.weights[0].T + net.biases[0]), np.ones(n)])
        exact = np.linalg.solve(H.T @ H / n + np.diag([1e-4] * 5 + [0.0]), H.T @ Y[:, 0] / n)
        np.testing.assert_allclose(H @ net.parameters[10:], H @ exact, atol=1e-3)


@pytest.mark.parametrize(("method", "options", "says"), [
    (BayesianRegularization(), {"regularization": Regularization(l2=1.0)}, "finds the penalty .* itself: leave l2"),
    (BayesianRegularization(), {"regularization": Regularization(l1=1.0)}, "finds the penalty .* itself: leave l2"),
    (BayesianRegularization(), {"regularization": Regularization(trainable=(True, False))}, "leave l2, l1 and trainab"),
    (PLAIN, {"regularization": Regularization(dropout=0.5)}, "dropout changes .* and LevenbergMarquardt compares them"),
    (PLAIN, {"regularization": Regularization(max_norm=1.0)}, "max_norm changes the steps"),
    (PLAIN, {"target_jacobian": np.ones((64, 1, 1))}, "LevenbergMarquardt does not take target_jacobian: use 'lbfgs'"),
])  # fmt: skip
def test_settings_that_do_not_go_together(method, options, says):
    X, Y = sinc(64)
    with pytest.raises(ValueError, match=says):
        Network((1, 3, 1), seed=0).fit(X, Y, optimizer=method, **options)


def test_sparse_inputs_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match="LevenbergMarquardt does not take a sparse X: use 'lbfgs'"):
        Network((3, 1), seed=0).fit(sparse.csr_matrix(np.eye(3)), np.ones(3), optimizer=PLAIN)

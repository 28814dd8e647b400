"""The cost of which two outputs describe a target: derivatives, curvature, every way to train, refusals."""

import copy
import inspect
import pickle

import naive
import numba
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, naive_cost, naive_gradient, naive_layers, network

import fastbp
from fastbp import SGD, Adam, DivergenceError, Network, gaussian_nll, jit
from fastbp.core.objective import cost_and_gradient
from fastbp.derivatives import first, gauss_newton
from fastbp.kernels import layout, tables
from fastbp.kernels.compile import JIT

STEP = 1e-30j
BETAS = [0.0, 0.5, 1.0]
SHAPES = [(1, 2), (3, 4), (2, 5, 6), (4, 7, 5, 2), (3, 9, 1, 17, 8), (19, 33, 4)]
FULL_BATCH = ["lbfgs", "conjugategradient", "scaledconjugategradient", "levenbergmarquardt", "bayesianregularization"]


def made(shape, beta=0.0, **options):
    return network(shape, cost=gaussian_nll(beta), **{"dtype": "float64", **options})


def data(rng, net, n):
    X, Y = rng.normal(size=(n, net.layers[0])), rng.normal(size=(n, net.layers[-1] // 2))
    return X.astype(net.dtype), Y.astype(net.dtype)


def test_it_is_the_density_of_a_normal_distribution(rng):
    """But for its constant: log p = −C − ½ log 2π."""
    y, mu, sigma = 0.3, -0.4, 1.7
    logarithm = -((y - mu) ** 2) / (2 * sigma**2) - np.log(sigma * np.sqrt(2 * np.pi))
    net = Network((1, 2), cost="gaussian_nll", dtype="float64", init=[([[0.0], [0.0]], [mu, 2 * np.log(sigma)])])
    assert -net.cost([[1.0]], [y]) - 0.5 * np.log(2 * np.pi) == pytest.approx(logarithm, rel=1e-14)


@pytest.mark.parametrize(("dtype", "least"), [("float32", -80.0), ("float64", -700.0)])
def test_how_small_a_variance_may_be(dtype, least):
    net = Network((1, 2), cost="gaussian_nll", dtype=dtype)
    net.parameters[:] = 0, 0, 1, least
    assert net.cost([[0.0]], [1.0]) == pytest.approx(least / 2, rel=1e-6)
    assert np.isfinite(net.gradient([[0.0]], [1.001])).all()
    net.parameters[3] = 2 * least
    assert net.cost([[0.0]], [1.001]) == np.inf, "that is for the fit to see, which is not clipped"


# --------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient(shape, beta, dtype, rng):
    net = made(shape, beta, dtype=dtype)
    X, Y = data(rng, net, few(53, 5))
    weights = rng.uniform(0.1, 2, len(X)).astype(dtype)
    E, gradient = net.cost_and_gradient(X, Y, weights)
    close(E, naive_cost(net, X, Y, weights), dtype)
    close(gradient, naive_gradient(net, X, Y, weights), dtype)
    assert net.cost(X, Y, weights) == E
    if dtype == "float64" and beta == 0 and net.n_parameters < few(300, 100):
        by_step = naive.complex_step_gradient(net.parameters, net.layers, True, X, Y, net.activations, "gaussian_nll",
                                              weights)
        close(gradient, by_step)


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_several_blocks(bias, by_lanes, rng):
    net = laid_out(made((3, 9, 17, 6), bias=bias), by_lanes=by_lanes, block=2 * layout.lanes("float64"))
    X, Y = data(rng, net, few(101, 13))
    close(net.gradient(X, Y), naive_gradient(net, X, Y))
    close(net.cost(X, Y), naive_cost(net, X, Y))


METHODS = [name for name, found in vars(first).items()
           if inspect.isfunction(found) and next(iter(inspect.signature(found).parameters), None) == "self"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", METHODS)
def test_derivatives_of_outputs_and_of_each_pairs_cost(name, dtype, rng):
    net = made((3, 5, 4), dtype=dtype)
    X, Y = data(rng, net, few(37, 5))
    U, V = (rng.normal(size=(len(X), k)).astype(dtype) for k in (4, 3))
    parameters = list(inspect.signature(getattr(first, name)).parameters.values())[1:]
    given = [{"X": X, "Y": Y, "U": U, "V": V}[each.name] for each in parameters if each.default is each.empty]
    close(getattr(net, name)(*given), naive.DERIVATIVES[name](net, *(a.astype(float) for a in given)), dtype, 5)


def test_weighted_slopes_sample_by_sample(rng):
    net = made((3, 5, 4), 0.5)
    X, Y = data(rng, net, 9)
    rows = [naive_gradient(net, X[i : i + 1], Y[i : i + 1]) for i in range(9)]
    close(net.per_sample_gradient(X, Y), np.stack(rows))
    passed = naive.forward(naive_layers(net), X, net.activations)
    deltas = naive.deltas(naive_layers(net), passed, Y, net.activations, "gaussian_nll", None, 0.5)
    close(net.input_gradient(X, Y), 9 * deltas[0] @ net.weights[0])
    for found, expected in zip(net.trace(X, Y).delta, deltas, strict=True):
        close(found, expected)
    for found, expected in zip(net.mean_abs_delta(X, Y), deltas, strict=True):
        close(found, np.abs(expected).sum(axis=0))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", [(1, 2), (3, 4), (2, 5, 6), (4, 5, 4, 2)], ids=str)
def test_training_on_slopes_of_the_mean(shape, beta, rng):
    """∂μ/∂x has targets, ∂s/∂x has none."""
    net = made(shape, beta)
    X, Y = data(rng, net, few(29, 5))
    J, weights = rng.normal(size=(len(X), Y.shape[1], X.shape[1])), rng.uniform(0.1, 2, len(X))

    def objective(parameters, weight):
        layers = naive.unflatten(parameters, net.layers)
        return naive.sobolev_cost(layers, X, Y, J, weight, net.activations, "gaussian_nll", weights)

    cost, gradient = net.cost_and_gradient(X, Y, weights, target_jacobian=J, jacobian_weight=0.7)
    assert cost == pytest.approx(objective(net.parameters, 0.7), rel=1e-12)
    steps = [net.parameters + STEP * e for e in np.eye(net.n_parameters)]
    slopes = np.array([(objective(step, 0.7) - objective(step, 0.0)).imag / STEP.imag for step in steps])
    close(gradient, slopes + naive_gradient(net, X, Y, weights))
    if net.layers[-1] == 2:
        assert net.cost(X, Y, target_jacobian=J[:, 0]) == net.cost(X, Y, target_jacobian=J)


# ----------------------------------------------------------------------------------------------------- curvature


def hessian(net, X, Y, weights=None):
    """Each row by complex step on the naive gradient."""
    rows = []
    for e in np.eye(net.n_parameters):
        layers = naive.unflatten(net.parameters + STEP * e, net.layers, net.bias)
        found = naive.gradient(layers, X, Y, net.activations, "gaussian_nll", weights, 0.0)
        rows.append(naive.flatten(found, net.bias).imag / STEP.imag)
    return np.stack(rows)


def information(net, X, weights=None):
    """Mean JᵀFJ: J by complex step, F = diag(1/σ², ½)."""
    parameters, columns = net.parameters.astype(float), []
    for e in np.eye(net.n_parameters):
        layers = naive.unflatten(parameters + STEP * e, net.layers, net.bias)
        columns.append(naive.forward(layers, X.astype(float), net.activations).out[-1].imag / STEP.imag)
    s = naive.forward(naive_layers(net), X.astype(float), net.activations).out[-1][:, net.layers[-1] // 2 :]
    F = np.hstack([np.exp(-s), np.full_like(s, 0.5)])
    J = np.stack(columns, axis=-1)
    return np.einsum("n,njp,nj,njq->pq", naive.shares(len(X), weights), J, F, J)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 2), (3, 4), (2, 5, 6), (4, 5, 3, 2)], ids=str)
def test_hessian_and_its_products(shape, bias, rng):
    net = made(shape, bias=bias)
    X, Y = data(rng, net, few(37, 5))
    weights, v = rng.uniform(0.1, 2, len(X)), rng.normal(size=net.n_parameters)
    for w in (None, weights):
        H = hessian(net, X, Y, w)
        close(net.hessian_vector_product(X, Y, v, w), H @ v)
        close(net.hessian(X, Y, w), H)
        assert np.abs(net.hessian_diagonal(X, Y, w) - np.diag(H)).max() <= 1e-12 * np.abs(H).max()
        close(net.gauss_newton_vector_product(X, Y, v, w), information(net, X, w) @ v)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gauss_newton_matrix_is_fishers_information(dtype, rng):
    net = made((3, 6, 4), dtype=dtype)
    X, Y = data(rng, net, few(37, 5))
    for w in (None, rng.uniform(0, 2, len(X))):
        samples, expected, found = net._samples(X, Y, w), information(net, X, w), np.zeros([net.n_parameters] * 2)
        gauss_newton.normal_matrix(net, samples, found)
        close(np.tril(found), np.tril(expected), dtype, 5)
        J = gauss_newton.jacobian_rows(net, samples, samples.total_weight).astype(float)
        assert J.shape == (4 * len(X), net.n_parameters)
        close(J.T @ J, expected, dtype, 5)
    posterior = made((3, 4)).posterior(X, Y)
    close(np.linalg.inv(posterior.covariance), len(X) * information(posterior.network, X), factor=100)
    assert posterior.degrees_of_freedom == np.inf and posterior.noise_variance == 1
    with pytest.raises(ValueError, match="predict_interval is for regression with squared_error"):
        posterior.predict_interval(X)


def test_single_precision_second_derivatives(rng):
    net, twin = made((3, 16, 9, 4), dtype="float32"), made((3, 16, 9, 4))
    twin.parameters[:] = net.parameters
    X, Y = data(rng, net, few(200, 9))
    v = rng.normal(size=net.n_parameters).astype("float32")
    for name in ("hessian_vector_product", "gauss_newton_vector_product"):
        close(getattr(net, name)(X, Y, v), getattr(twin, name)(X, Y, v), "float32", 2)
    close(net.hessian_diagonal(X, Y), twin.hessian_diagonal(X, Y), "float32", 2)


@pytest.mark.parametrize("kind", [tables.KIND_PLAIN, tables.KIND_HESSIAN, tables.KIND_GAUSS_NEWTON,
                                  tables.KIND_DIAGONAL])
def test_the_same_bits_with_more_threads(kind, rng):
    net = laid_out(made((5, 9, 11, 6)), block=3 * layout.lanes("float64"))
    X, Y = data(rng, net, few(77, 13))
    samples, v, found = net._samples(X, Y), rng.normal(size=net.n_parameters), []
    for threads in (1, 2, 3):
        result = np.zeros(net.n_parameters)
        cost_and_gradient(net, samples, result, threads, kind=kind, direction=v)
        found.append(result.tobytes())
    assert found == [found[0]] * 3


def test_samples_of_weight_0_count_nothing_though_their_cost_overflows(rng):
    net, rest = made((2, 2)), np.arange(9) != 4
    X, Y = data(rng, net, 9)
    X[4], net.weights[0][1], v = 30, -15, rng.normal(size=net.n_parameters)
    weights = np.where(rest, 1.0, 0.0)
    assert net.cost(X, Y) == np.inf
    close(net.gradient(X, Y, weights), net.gradient(X[rest], Y[rest]))
    close(net.hessian_vector_product(X, Y, v, weights), net.hessian_vector_product(X[rest], Y[rest], v))
    close(net.gauss_newton_vector_product(X, Y, v, weights), net.gauss_newton_vector_product(X[rest], Y[rest], v))
    close(net.hessian_diagonal(X, Y, weights), net.hessian_diagonal(X[rest], Y[rest]))


# ------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 7, 16, 40])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_fit_is_that_of_the_twin(beta, batch, dtype, rng):
    net = made((2, 5, 4), beta, dtype=dtype)
    X, Y = data(rng, net, 40)
    weights = rng.uniform(0.5, 1.5, 40)
    for method, twin in ((SGD(0.02), naive.SGD(0.02)), (Adam(0.01), naive.Adam(0.01))):
        one, key = copy.deepcopy(net), int(net.copy().generator.integers(2**63 - 1))
        orders = [naive.permutation(40, key, epoch) for epoch in range(3)]
        w, curve = naive.train(net.parameters.astype(float), net.layers, True, X.astype(float), Y.astype(float),
                               net.activations, "gaussian_nll", twin, batch, orders, weights, beta)
        one.fit(X, Y, epochs=3, batch_size=batch, optimizer=method, sample_weight=weights)
        close(one.parameters, w, dtype, 20)
        close(one.history.cost, curve, dtype, 20)


@pytest.mark.parametrize("method", [*FULL_BATCH, "rprop", "quickprop"])
def test_full_batch_methods_find_the_most_likely_normal_distribution(method, rng):
    """With biases alone: mean and variance of the targets."""
    Y, X = rng.normal(size=(40, 2)) * [0.5, 2.0] + [1.0, -0.5], np.zeros((40, 1))
    net = Network((1, 4), cost="gaussian_nll", dtype="float64", seed=0)
    net.fit(X, Y, epochs=400, optimizer=fastbp.Quickprop(0.2) if method == "quickprop" else method)
    if method == "bayesianregularization":  # which has a penalty
        assert net.biases[0] == pytest.approx(np.hstack([Y.mean(axis=0), np.log(Y.var(axis=0))]), abs=0.1)
        return
    assert net.biases[0] == pytest.approx(np.hstack([Y.mean(axis=0), np.log(Y.var(axis=0))]), abs=1e-5)
    assert net.history.cost[-1] == pytest.approx(0.5 * (1 + np.log(Y.var(axis=0))).sum(), rel=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", FULL_BATCH[:4])
def test_full_batch_methods_end_at_a_minimum(method, dtype, rng):
    net = made((2, 4), dtype=dtype)
    X = rng.normal(size=(60, 2))
    Y = X @ [[1.0, -1], [0.5, 2]] + rng.normal(size=(60, 2)) * np.exp(0.3 * X)
    net.fit(X, Y, epochs=few(300, 100), optimizer=method)
    assert np.linalg.norm(net.gradient(X, Y)) < {"float32": 2e-3, "float64": 1e-5}[dtype]
    if dtype == "float64":
        assert np.linalg.eigvalsh(net.hessian(X, Y)).min() > 0


def test_evidence_of_a_negative_cost(rng):
    """The sum of the costs goes into it as it is."""
    net, X = Network((1, 2), cost="gaussian_nll", dtype="float64", seed=0), rng.normal(size=(30, 1))
    Y = 0.5 * X + 0.01 * rng.normal(size=(30, 1))
    net.fit(X, Y, epochs=30, optimizer="levenbergmarquardt")
    w, summed = net.parameters.copy(), 30 * net.cost(X, Y)
    assert summed < -30
    eigenvalues = np.linalg.eigvalsh(30 * information(net, X))
    net.fit(X, Y, epochs=1, optimizer="bayesianregularization")
    alpha, found = (net.history.diagnostics[name][0] for name in ("alpha", "evidence"))
    expected = 0.5 * (4 * np.log(alpha) - np.log(eigenvalues + alpha).sum() - alpha * w @ w) - summed
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.skipif(not JIT, reason="hundreds of steps with thousands of samples take minutes in plain Python")
@pytest.mark.parametrize("method", ["lbfgs", "levenbergmarquardt", "adam", "beta"])
def test_mean_and_deviation_are_found_again(method, rng):
    """With y = sin(3x) + σ(x)ε and log σ = x − 1; the cost then is near the entropy, E log σ + ½ without a constant."""
    def drawn(n):
        X = rng.uniform(-1, 1, (n, 1))
        return X, np.sin(3 * X) + np.exp(X - 1) * rng.normal(size=(n, 1))

    (X, Y), (X_new, Y_new) = drawn(4000), drawn(100_000)
    net = Network((1, 12, 2), cost=gaussian_nll(0.5 if method == "beta" else 0.0), dtype="float64", seed=0)
    if method in ("adam", "beta"):
        net.fit(X, Y, epochs=600, optimizer=Adam(fastbp.schedules.Cosine(0.02, 600)))
    else:
        net.fit(X, Y, epochs=200, optimizer=method)
    grid = np.linspace(-0.95, 0.95, 100)[:, None]
    (mean, s), sigma = net.predict(grid).T, np.exp(grid[:, 0] - 1)
    assert np.sqrt(np.mean(((mean - np.sin(3 * grid[:, 0])) / sigma) ** 2)) < 0.12
    assert np.sqrt(np.mean((s / 2 - np.log(sigma)) ** 2)) < 0.06
    entropy = -1 + 0.5
    assert net.cost(X, Y) == pytest.approx(entropy, abs=0.04)
    assert net.cost(X_new, Y_new) == pytest.approx(entropy, abs=0.02)


@pytest.mark.parametrize("batch", [1, 8])
def test_resumed_saved_and_copied_trainings_go_on_with_the_same_bits(batch, rng, tmp_path):
    net = made((2, 5, 4), 0.5, dtype="float32")
    X, Y = data(rng, net, 30)
    whole, halves = net.copy(), net.copy()
    whole.fit(X, Y, epochs=6, batch_size=batch)
    halves.fit(X, Y, epochs=3, batch_size=batch)
    halves.save(tmp_path / "net", training=True)
    for again in (halves, Network.load(tmp_path / "net"), pickle.loads(pickle.dumps(halves)), copy.deepcopy(halves)):
        assert str(again.cost_function) == "fastbp.gaussian_nll(beta=0.5)" and again.cost_function == net.cost_function
        assert again.cost_function.reweighted
        again.fit(X, Y, epochs=3, batch_size=batch, resume=True)
        np.testing.assert_array_equal(again.parameters, whole.parameters)
    plain = Network((1, 2), cost="gaussian_nll")
    plain.save(tmp_path / "plain")
    assert Network.load(tmp_path / "plain").cost_function == plain.cost_function == gaussian_nll(0)
    assert repr(plain) == "Network((1, 2), cost=fastbp.gaussian_nll(beta=0.0))"


def test_validation_class_of_inputs_and_regularisation(rng):
    sparse = pytest.importorskip("scipy.sparse")
    net = made((6, 8, 2))
    X, Y = data(rng, net, 60)
    X[X < 0.5] = 0
    one, two = net.copy(), net.copy()
    one.fit(X[:48], Y[:48, 0], epochs=3, validation=(X[48:], Y[48:]), threads=2)
    two.fit(sparse.csr_array(X), Y, epochs=3, validation=0.2)
    np.testing.assert_array_equal(one.parameters, two.parameters)
    np.testing.assert_array_equal(one.history.validation_cost, two.history.validation_cost)
    assert one.history.validation_cost[-1] == one.cost(X[48:], Y[48:])
    net.fit(X, Y, epochs=3, regularization=fastbp.Regularization(l2=0.01, dropout=0.2, input_noise=0.1))
    assert np.isfinite(net.history.cost).all()
    with pytest.raises(ValueError, match="label_smoothing"):
        net.fit(X, Y, regularization=fastbp.Regularization(label_smoothing=0.1))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fit_whose_variance_vanishes_ends_in_an_error_with_finite_parameters(batch):
    """Targets that are met exactly: log σ² falls for ever."""
    net, X, Y = Network((1, 2), cost="gaussian_nll", seed=0), np.zeros((4, 1)), np.zeros(4)
    with pytest.raises(DivergenceError):
        net.fit(X, Y, epochs=100, batch_size=batch, optimizer=SGD(10.0))
    assert net.biases[0][1] < -60 and np.isfinite(net.parameters).all() and np.isfinite(net.history.cost).all()


@pytest.mark.parametrize("method", FULL_BATCH)
def test_full_batch_methods_end_where_no_lower_cost_is_a_number(method):
    net, X, Y = Network((1, 2), cost="gaussian_nll", dtype="float32", seed=0), [[0.0], [1.0]], [0.0, 1.0]
    net.fit(X, Y, epochs=500, optimizer=method)
    assert np.isfinite(net.parameters).all() and np.isfinite(net.history.cost).all()
    assert net.history.cost[-1] < 0 and net.history.cost[-1] == pytest.approx(net.cost(X, Y), rel=1e-6)


def test_first_weights():
    sizes = (3, 5, 8)
    net, twin = Network(sizes, cost="gaussian_nll", seed=4), Network(sizes, seed=4)
    np.testing.assert_array_equal(net.weights[1][:4], twin.weights[1][:4])
    np.testing.assert_array_equal(net.weights[0], twin.weights[0])
    assert (net.weights[1][4:] == 0).all() and (net.biases[1] == 0).all()
    assert (net.predict(np.ones(3))[4:] == 0).all()
    assert (net.fit(np.ones((4, 3)), np.ones((4, 4))).weights[1][4:] != 0).any()
    assert (net.reset(4).parameters == Network(sizes, cost="gaussian_nll", seed=4).parameters).all()
    assert (Network(sizes, cost="gaussian_nll", init="he_normal", seed=4).weights[1][4:] != 0).all()
    given = [np.ones((5, 3)), (np.full((8, 5), 2.0), np.arange(8.0))]
    np.testing.assert_array_equal(Network(sizes, cost="gaussian_nll", init=given).biases[1], np.arange(8))
    assert (Network(sizes, cost="gaussian_nll", init=["he_normal", "auto"], seed=4).weights[1][4:] == 0).all()
    assert (Network(sizes, cost="gaussian_nll", bias=False, seed=4).weights[1][4:] == 0).all()


# ---------------------------------------------------------------------------------------------- in compiled code


@numba.njit
def in_compiled_code(model, state, X, Y, gradient, slopes, work):
    E = fastbp.jit.cost_and_gradient(model, X[0], Y[0], gradient, work)
    batch = fastbp.jit.cost_and_gradient_batch(model, X, Y, gradient, work)
    fastbp.jit.input_gradient(model, X[0], Y[0], slopes, work)
    one = fastbp.jit.train_one(model, state, X[0], Y[0], work)
    return E, batch, one, fastbp.jit.train_batch(model, state, X, Y, work)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_compiled_code(beta, dtype, rng):
    net = made((3, 6, 4), beta, dtype=dtype)
    X, Y = data(rng, net, few(37, 5))
    model, twin = net.compiled(16), net.copy()
    gradient, slopes, work = np.empty_like(net.parameters), np.empty_like(X[0]), jit.workspace(model)
    jit.check(model, x=X[0], y=Y[0], X=X, Y=Y)
    expected = net.gradient(X, Y), net.input_gradient(X[:1], Y[:1])[0]
    found = in_compiled_code(model, jit.state(model, "sgd"), X, Y, gradient, slopes, work)
    close(gradient, expected[0], dtype, 5)
    close(slopes, expected[1], dtype, 5)
    close(found[:2], [twin.cost(X[:1], Y[:1]), twin.cost(X, Y)], dtype, 5)
    twin.fit(X[:1], Y[:1], epochs=1, batch_size=1, optimizer="sgd")
    close(found[2:], [twin.history.cost[0], twin.cost(X, Y)], dtype, 5)
    twin.fit(X, Y, epochs=1, batch_size=len(X), optimizer="sgd")
    close(net.parameters, twin.parameters, dtype, 5)


def test_sizes_of_targets_in_compiled_code(rng):
    net = made((3, 6, 4))
    X, Y = data(rng, net, 5)
    model, gradient = net.compiled(), np.zeros(net.n_parameters)
    state, work, four = jit.state(model), jit.workspace(model), np.zeros((5, 4))
    before = net.parameters.copy()
    assert np.isnan(jit.functions.cost_and_gradient(model, X[0], four[0], gradient, work))
    assert np.isnan(jit.functions.cost_and_gradient_batch(model, X, four, gradient, work))
    assert np.isnan(jit.functions.input_gradient(model, X[0], four[0], X[1].copy(), work))
    assert np.isnan(jit.functions.train_one(model, state, X[0], four[0], work))
    assert np.isnan(jit.functions.train_batch(model, state, X, four, work))
    assert (gradient == 0).all() and (net.parameters == before).all()
    with pytest.raises(ValueError, match=r"y has shape \(4,\), expected \(2,\)"):
        jit.check(model, y=four[0])
    jit.check(model, u=four[0], out=four)


def test_outputs_in_c(rng):
    net = made((3, 6, 4))
    x, out = rng.normal(size=3), np.empty(4)
    net.cfunc().ctypes(*(a.ctypes.data_as(net.cfunc().ctypes.argtypes[0]) for a in (x, out)))
    close(out, net.predict(x), factor=5)


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("method", [*FULL_BATCH, "rprop"])
def test_what_compares_costs_refuses_a_weighted_gradient(method, rng):
    net = made((2, 4, 2), 0.5)
    X, Y = data(rng, net, 20)
    before = net.parameters.copy(), net.generator.bit_generator.state, net.history
    with pytest.raises(ValueError, match=r"needs a cost and its gradient, but that of fastbp.gaussian_nll\(beta=0.5\) "
                                         "is weighted, .* cost='gaussian_nll', or train with 'adam'"):
        net.fit(X, Y, optimizer=method)
    np.testing.assert_array_equal(net.parameters, before[0])
    assert net.generator.bit_generator.state == before[1] and net.history is before[2]


def test_second_derivatives_refuse_a_weighted_gradient(rng):
    net = made((2, 4, 2), 0.5)
    X, Y = data(rng, net, 20)
    for name, more in (("hessian_vector_product", [np.ones(net.n_parameters)]), ("hessian", []), ("posterior", []),
                       ("gauss_newton_vector_product", [np.ones(net.n_parameters)]), ("hessian_diagonal", [])):
        with pytest.raises(ValueError, match=f"{name} needs a cost and its gradient"):
            getattr(net, name)(X, Y, *more)


@pytest.mark.parametrize("method", [fastbp.Rprop(variant="irprop-"), fastbp.Rprop(variant="rprop+"),
                                    fastbp.Rprop(variant="rprop-"), fastbp.Quickprop(), *fastbp.optimizers.RULES],
                         ids=str)
def test_what_looks_at_slopes_alone_takes_it(method, rng):
    net = made((2, 4, 2), 0.5)
    X, Y = data(rng, net, 20)
    net.fit(X, Y, epochs=2, optimizer=method)
    assert np.isfinite(net.history.cost).all()
    if not isinstance(method, str):
        assert net.history.cost[-1] == net.cost(X, Y) == pytest.approx(naive_cost(net, X, Y)), "the plain likelihood"


@pytest.mark.parametrize("beta", [-0.1, 1.5, np.nan, np.inf, "0.5", None, {}, True])
def test_beta_is_a_number_from_0_to_1(beta):
    with pytest.raises(ValueError, match="beta must be a number from 0 to 1"):
        gaussian_nll(beta)


def test_outputs_that_do_not_go_with_it():
    for outputs in (1, 3):
        with pytest.raises(ValueError, match=f"layers end with {outputs}, expected an even number: gaussian_nll has "
                                             f"two .* use {2 * outputs}$"):
            Network((2, outputs), cost="gaussian_nll")
    for output in ("tanh", "softmax", "exp"):
        with pytest.raises(ValueError, match=f"output is '{output}', expected 'identity' with gaussian_nll"):
            Network((2, 4), output=output, cost=gaussian_nll())
    assert Network((2, 4), output="linear", cost=gaussian_nll()).activations == ("identity",)


def test_targets_of_another_shape(rng):
    net, X = Network((2, 4), cost="gaussian_nll"), np.zeros((5, 2))
    for Y in (np.zeros((5, 4)), np.zeros(5), np.zeros((5, 1)), np.zeros((4, 2))):
        with pytest.raises(ValueError, match=r"Y has shape .*, expected \(5, 2\): X has 5 rows and the network 4 "
                                             "outputs, two for each target of gaussian_nll"):
            net.fit(X, Y)
    with pytest.raises(ValueError, match="Y holds nan"):
        net.cost(X, np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match=r"target_jacobian has shape \(5, 4, 2\), expected \(5, 2, 2\): X has 5 rows, "
                                         "the network 2 targets and 2 inputs"):
        net.fit(X, np.zeros((5, 2)), target_jacobian=np.zeros((5, 4, 2)))
    one = Network((2, 2), cost="gaussian_nll", dtype="float64")
    X, Y = rng.normal(size=(5, 2)), rng.normal(size=5)
    assert one.cost(X, Y) == one.cost(X, Y[:, None])
    assert one.cost(X[:1], Y[0]) == one.cost(X[:1], Y[:1])

"""Hessian-vector and Gauss-Newton products, the Hessian and its diagonal: complex step on the naive gradient."""

import naive
import numpy as np
import pytest
from helpers import ACTIVATIONS, PAIRS, close, few, laid_out, naive_layers, network, real_data

import fastbp
from fastbp import Network, activations, costs, huber, quantile
from fastbp.kernels import layout, tables
from fastbp.util import machine

STEP = 1e-30j
SHAPES = [(1, 1), (3, 2), (2, 5, 3), (4, 7, 5, 2), (3, 9, 1, 17, 6), (19, 33, 4)]


def moved_gradient(net, X, Y, v, weights=None):
    """H v: the derivative of the naive gradient along v, exact to rounding."""
    layers = naive.unflatten(net.parameters + STEP * v, net.layers, net.bias)
    cost = net.cost_function
    found = naive.gradient(layers, X, Y, net.activations, cost.name, weights, cost.parameter)
    return naive.flatten(found, net.bias).imag / STEP.imag


def hessian(net, X, Y, weights=None):
    return np.stack([moved_gradient(net, X, Y, e, weights) for e in np.eye(net.n_parameters)])


def gauss_newton(net, X, Y, v, weights=None):
    """J^T B J v, with every column of J by complex step, and B = d2C/do2 by complex step of dC/do."""
    name, output, cost = net.cost_function.name, net.activations[-1], net.cost_function
    canonical = output in cost.pairs
    columns = []
    for e in np.eye(net.n_parameters):
        moved = naive.unflatten(net.parameters + STEP * e, net.layers, net.bias)
        passed = naive.forward(moved, X, net.activations)
        columns.append((passed.net if canonical else passed.out)[-1].imag / STEP.imag)
    J = np.stack(columns, axis=-1)
    change = J @ v
    passed = naive.forward(naive_layers(net), X, net.activations)
    if canonical:
        change = naive.ACTIVATIONS[output][0](passed.net[-1] + STEP * change).imag / STEP.imag
    else:
        parameter = naive.PARAMETERS.get(name) if cost.parameter is None else cost.parameter
        change = change * naive.COSTS[name][1](Y, passed.out[-1] + STEP, parameter).imag / STEP.imag
    return np.einsum("n,njp,nj->p", naive.shares(len(X), weights), J, change)


def agrees(net, X, Y, v, weights=None):
    H = hessian(net, X, Y, weights)
    scale = np.abs(H).max()
    assert np.abs(net.hessian_vector_product(X, Y, v, weights) - H @ v).max() <= 1e-12 * scale * np.abs(v).sum()
    assert np.abs(net.hessian_diagonal(X, Y, weights) - np.diag(H)).max() <= 1e-12 * scale
    G = gauss_newton(net, X, Y, v, weights)
    assert np.abs(net.gauss_newton_vector_product(X, Y, v, weights) - G).max() <= 1e-12 * max(np.abs(G).max(), 1e-3)


@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_every_pair(output, cost, rng):
    net = network((2, 4, 3), "tanh", output, cost, dtype="float64")
    X, Y = real_data(rng, cost, output, few(19, 5), 2, 3)
    agrees(net, X, Y, rng.normal(size=net.n_parameters), rng.uniform(0.1, 2, len(X)))


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_every_activation(hidden, rng):
    net = network((2, 4, 3, 2), hidden, "softmax", dtype="float64")
    net.parameters *= 0.5  # so that exp of exp of exp stays finite
    X, Y = real_data(rng, "squared_error", None, few(21, 5), 2, 2)
    agrees(net, X, Y, rng.normal(size=net.n_parameters))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_every_depth(shape, bias, rng):
    net = network(shape, "tanh", "logistic", bias=bias, dtype="float64")
    X, Y = real_data(rng, "squared_error", None, few(53, 5), shape[0], shape[-1])
    if net.n_parameters < few(300, 100):
        agrees(net, X, Y, rng.normal(size=net.n_parameters))
    else:
        v = rng.normal(size=net.n_parameters)
        close(net.hessian_vector_product(X, Y, v), moved_gradient(net, X, Y, v))


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_every_product_kernel_on_several_blocks_and_threads(by_lanes, packed, rng):
    net = laid_out(network((5, 9, 11, 3), "tanh", "softmax", "cross_entropy", dtype="float64"), by_lanes=by_lanes,
                   packs=packed, block=3 * layout.lanes("float64"))
    X, Y = real_data(rng, "cross_entropy", None, few(77, 13), 5, 3)
    v = rng.normal(size=net.n_parameters)
    close(net.hessian_vector_product(X, Y, v), moved_gradient(net, X, Y, v))
    samples = net._samples(X, Y, None)
    for kind in (tables.KIND_HESSIAN, tables.KIND_GAUSS_NEWTON, tables.KIND_DIAGONAL):
        found = []
        for threads in (1, 2, 3, 7):
            result = np.zeros(net.n_parameters)
            fastbp.core.objective.cost_and_gradient(net, samples, result, threads, kind=kind, direction=v)
            found.append(result.tobytes())
        assert found == [found[0]] * 4
    diagonal = [moved_gradient(net, X, Y, e)[i] for i, e in enumerate(np.eye(net.n_parameters))]
    close(net.hessian_diagonal(X, Y), diagonal)


@pytest.mark.parametrize("cost", [huber(0.3), quantile(0.9)], ids=str)
def test_costs_with_a_parameter(cost, rng):
    net = network((2, 5, 2), cost=cost, dtype="float64")
    X, Y = real_data(rng, cost.name, None, 20, 2, 2)
    agrees(net, X, Y, rng.normal(size=net.n_parameters))


def test_class_indices(rng):
    net = network((3, 6, 4), cost="cross_entropy", dtype="float64")
    X, labels = rng.normal(size=(11, 3)), rng.integers(0, 4, 11)
    v = rng.normal(size=net.n_parameters)
    close(net.hessian_vector_product(X, labels, v), moved_gradient(net, X, np.eye(4)[labels], v))
    close(net.gauss_newton_vector_product(X, labels, v), gauss_newton(net, X, np.eye(4)[labels], v))


@pytest.mark.parametrize(("output", "cost"), [(None, "squared_error"), ("softmax", "squared_error"),
                                              ("softmax", "cross_entropy"), ("tanh", "log_cosh")])
def test_single_precision(output, cost, rng):
    net = network((3, 16, 9, 4), "gelu", output, cost)
    twin = network((3, 16, 9, 4), "gelu", output, cost, dtype="float64")
    twin.parameters[:] = net.parameters
    X, Y = real_data(rng, cost, output, few(200, 9), 3, 4, "float32")
    v = rng.normal(size=net.n_parameters).astype("float32")
    for name in ("hessian_vector_product", "gauss_newton_vector_product"):
        found = getattr(net, name)(X, Y, v)
        assert found.dtype == np.float32
        close(found, getattr(twin, name)(X, Y, v), "float32", 2)
    close(net.hessian_diagonal(X, Y), twin.hessian_diagonal(X, Y), "float32", 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("output", "cost", "x", "y"), [
    ("hard_sigmoid", "binary_cross_entropy", -5.0, 1.0), ("hard_sigmoid", "binary_cross_entropy", 5.0, 0.0),
    ("relu", "cross_entropy", -5.0, 1.0), ("relu", "poisson", -5.0, 3.0)])
def test_outputs_at_the_end_of_their_range(output, cost, x, y, dtype):
    """The second derivative of the cost is huge there, and the slope 0: their product must be 0, not NaN."""
    net = Network((1, 1), output=output, cost=cost, dtype=dtype)
    net.parameters[:] = 1, 0
    X, Y, v = np.array([[x]]), np.array([[y]]), np.ones(2)
    for found in (net.hessian_vector_product(X, Y, v), net.gauss_newton_vector_product(X, Y, v),
                  net.hessian_diagonal(X, Y)):
        assert (found == 0).all()


def test_the_whole_hessian(rng):
    net = network((2, 4, 3), cost="cross_entropy", dtype="float64")
    X, Y = real_data(rng, "cross_entropy", None, 30, 2, 3)
    weights = rng.uniform(0.1, 2, 30)
    before = X.copy(), Y.copy(), weights.copy(), net.parameters.copy()
    H = net.hessian(X, Y, weights)
    close(H, hessian(net, X, Y, weights))
    assert (H == H.T).all()
    assert all((a == b).all() for a, b in zip(before, (X, Y, weights, net.parameters), strict=True))


def test_gauss_newton_is_the_hessian_where_the_network_is_linear(rng):
    net = network((3, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2)
    v = rng.normal(size=net.n_parameters)
    close(net.gauss_newton_vector_product(X, Y, v), net.hessian_vector_product(X, Y, v))
    inputs = np.hstack([X, np.ones((30, 1))])
    close(net.hessian_diagonal(X, Y)[:3], (inputs**2).mean(axis=0)[:3])


def test_samples_of_weight_0_count_nothing_though_their_cost_overflows(rng):
    for output in ("identity", "softmax"):
        net = network((2, 4, 2), "exp", output, dtype="float64")
        X, Y = rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
        v, weights, rest = rng.normal(size=net.n_parameters), np.ones(9), np.arange(9) != 4
        Y[4], weights[4] = np.inf, 0
        samples = net._samples(X, np.where(np.isinf(Y), 0, Y), weights)
        samples.targets[4] = np.inf  # validation lets no infinity pass
        for name, kind in (("hessian_vector_product", tables.KIND_HESSIAN), ("gauss_newton_vector_product",
                                                                       tables.KIND_GAUSS_NEWTON)):
            found = np.zeros(net.n_parameters)
            fastbp.core.objective.cost_and_gradient(net, samples, found, 1, kind=kind, direction=v)
            close(found, getattr(net, name)(X[rest], Y[rest], v))


@pytest.mark.parametrize(("given", "dtype"), [(True, "float64"), (False, "float64"), (False, "float32")])
def test_functions_of_the_users_own(given, dtype, rng):
    try:
        if given:
            fastbp.register_activation(lambda x: np.tanh(x), lambda x: 1 / np.cosh(x) ** 2,
                                       second_derivative=lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2, name="my_tanh")
            fastbp.register_cost(lambda y, o: np.log(np.cosh(o - y)), name="my_cost",
                                 second_derivative=lambda y, o: 1 / np.cosh(o - y) ** 2)
        else:
            fastbp.register_activation(lambda x: np.tanh(x), name="my_tanh")
            fastbp.register_cost(lambda y, o: np.log(np.cosh(o - y)), lambda y, o: np.tanh(o - y), name="my_cost")
        mine = network((2, 6, 5, 2), "my_tanh", cost="my_cost", dtype=dtype)
        twin = network((2, 6, 5, 2), "tanh", cost="log_cosh", dtype=dtype)
        twin.parameters[:] = mine.parameters
        X, Y = real_data(rng, "squared_error", None, few(40, 8), 2, 2, dtype)
        v = rng.normal(size=mine.n_parameters)
        close(mine.hessian_vector_product(X, Y, v), twin.hessian_vector_product(X, Y, v), dtype, 2)
    finally:
        activations.ACTIVATIONS.pop("my_tanh", None)
        costs.COSTS.pop("my_cost", None)


@pytest.fixture
def forgotten():
    """Take what a test registers out of the catalogues again."""
    before = dict(activations.ACTIVATIONS), dict(costs.COSTS)
    yield
    for catalogue, rows in zip((activations.ACTIVATIONS, costs.COSTS), before, strict=True):
        catalogue.clear()
        catalogue.update(rows)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of plain Python, beyond the singularity
def test_differences_near_a_singularity(rng, forgotten):
    row = fastbp.register_cost(lambda y, o: o - y * np.log(o), name="counts", output="exp")
    o = np.geomspace(1e-5, 100, few(200, 40))
    target, delta = rng.integers(1, 9, o.size).astype(float), np.ones(o.size)
    row.second_derivative(o, target, delta, 1, np.zeros(1))
    np.testing.assert_allclose(delta, target / o**2, rtol=1e-6)
    mine, twin = (network((1, 1), cost=cost, output="exp", dtype="float64") for cost in ("counts", "poisson"))
    X, Y = np.log([[0.0273], [0.3], [4.0]]), np.array([[2.0], [1.0], [7.0]])
    for net in (mine, twin):
        net.parameters[:] = 1, 0
    np.testing.assert_allclose(mine.hessian(X, Y), twin.hessian(X, Y), rtol=1e-9)


@pytest.mark.parametrize("function", [lambda x: max(x, 0.0), lambda x: abs(x) * 1e-3 + x, lambda x: 1e6 * x],
                         ids=["max", "abs", "straight"])
def test_differences_near_a_kink(function, forgotten):
    row = fastbp.register_activation(function, name="kinked")
    distances = np.array([0, 1e-9, 1e-7, 1e-5, 1e-3, 0.005, 0.01, 0.02, 0.03, 1])
    net = np.concatenate([-distances, distances])
    row.second_derivative(net, net, net)
    assert (net == 0).all()


def test_differences_of_a_steep_function_that_hardly_bends(forgotten):
    """Over small steps nothing but rounding is seen of it."""
    row = fastbp.register_activation(lambda x: 1e9 * x + 0.01 * x**3, name="steep")
    net = np.linspace(-2, 2, 9)
    expected = 0.06 * net
    row.second_derivative(net, net, net)
    np.testing.assert_allclose(net, expected, atol=1e-4)


def test_differences_of_nothing_are_nothing(forgotten):
    row = fastbp.register_activation(lambda x: np.tanh(x), name="my_tanh")
    net = np.array([np.nan, 0.5])
    row.second_derivative(net, net, net)
    assert np.isnan(net[0]) and np.isfinite(net[1])


def test_a_wrong_second_derivative_is_refused():
    with pytest.raises(ValueError, match=r"bent: at .* the second derivative that was given is .* central differences"):
        fastbp.register_activation(lambda x: x**3, lambda x: 3 * x**2, second_derivative=lambda x: 5 * x, name="bent")
    with pytest.raises(ValueError, match=r"bent at y = 0.25: at .* the second derivative that was given is"):
        fastbp.register_cost(lambda y, o: (o - y) ** 2, lambda y, o: 2 * (o - y), second_derivative=lambda y, o: 1.0,
                             name="bent")
    with pytest.raises(TypeError, match="second_derivative is 3, expected a function"):
        fastbp.register_activation(lambda x: x**3, lambda x: 3 * x**2, second_derivative=3, name="bent")
    assert "bent" not in activations.ACTIVATIONS and "bent" not in costs.COSTS


def test_bad_directions_and_hessians_that_are_too_large(monkeypatch):
    net, X, Y = Network((3, 4, 2)), np.zeros((2, 3)), np.zeros((2, 2))
    for method in (net.hessian_vector_product, net.gauss_newton_vector_product):
        with pytest.raises(ValueError, match=r"v has shape \(3,\), expected \(26,\): one number for each parameter"):
            method(X, Y, np.zeros(3))
        with pytest.raises(ValueError, match="v holds nan"):
            method(X, Y, np.full(26, np.nan))
    monkeypatch.setattr(machine, "physical_memory", lambda: 2000)
    with pytest.raises(ValueError, match="Hessian of 26 parameters needs 2.7e.03 bytes.*use hessian_vector_product"):
        net.hessian(X, Y)

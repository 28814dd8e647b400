"""Training on derivatives: cost and gradient by complex step on the naive objective, fits, what it is good for."""

import naive
import numpy as np
import pytest
from helpers import ACTIVATIONS, PAIRS, close, few, laid_out, naive_layers, network, real_data

import fastbp
from fastbp import Network, huber
from fastbp.core.objective import cost_and_gradient
from fastbp.core.request import Request
from fastbp.kernels import layout, tables
from fastbp.kernels.compile import JIT
from fastbp.schedules import Cosine
from fastbp.util import machine

STEP = 1e-30j
SHAPES = [(1, 1), (3, 2), (2, 5, 3), (4, 7, 5, 2), (3, 9, 1, 6), (19, 5, 2)]


def objective(net, parameters, X, Y, J, weight, weights=None):
    layers = naive.unflatten(parameters, net.layers, net.bias)
    cost = net.cost_function
    return naive.sobolev_cost(layers, X, Y, J, weight, net.activations, cost.name, weights, cost.parameter)


def stepped(net, X, Y, J, weight, weights=None):
    """The gradient of the naive objective, exact to rounding."""
    moved = [objective(net, net.parameters + STEP * e, X, Y, J, weight, weights).imag / STEP.imag
             for e in np.eye(net.n_parameters)]
    return np.array(moved)


def slopes(rng, net, n):
    return rng.normal(size=(n, net.layers[-1], net.layers[0]))


def agrees(net, X, Y, rng, weights=None, weight=0.7):
    J = slopes(rng, net, len(X))
    cost, gradient = net.cost_and_gradient(X, Y, weights, target_jacobian=J, jacobian_weight=weight)
    close(gradient, stepped(net, X, Y, J, weight, weights))
    expected = objective(net, net.parameters, X, Y, J, weight, weights)
    assert cost == pytest.approx(expected, rel=1e-12)
    assert net.cost(X, Y, weights, target_jacobian=J, jacobian_weight=weight) == pytest.approx(expected, rel=1e-12)


def test_the_twin_takes_the_right_derivatives(rng):
    net = network((3, 5, 4), "gelu", "softmax", dtype="float64")
    X, layers = rng.normal(size=(7, 3)), naive_layers(net)
    moved = [naive.forward(layers, X + STEP * e, net.activations).out[-1].imag / STEP.imag for e in np.eye(3)]
    close(naive.target_jacobian(layers, X, net.activations), np.stack(moved, axis=2))


@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_every_pair(output, cost, rng):
    net = network((2, 4, 3), "tanh", output, cost, dtype="float64")
    X, Y = real_data(rng, cost, output, few(19, 5), 2, 3)
    agrees(net, X, Y, rng, rng.uniform(0.1, 2, len(X)))


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_every_activation(hidden, rng):
    net = network((2, 4, 3, 2), hidden, "softmax", dtype="float64")
    net.parameters *= 0.5  # so that exp of exp of exp stays finite
    X, Y = real_data(rng, "squared_error", None, few(21, 5), 2, 2)
    agrees(net, X, Y, rng)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_every_depth(shape, bias, rng):
    net = network(shape, "tanh", "logistic", bias=bias, dtype="float64")
    X, Y = real_data(rng, "squared_error", None, few(21, 3), shape[0], shape[-1])
    agrees(net, X, Y, rng)


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_every_product_kernel_on_several_blocks_and_threads(by_lanes, packed, rng):
    net = laid_out(network((5, 9, 8, 3), "tanh", "softmax", "cross_entropy", dtype="float64"), by_lanes=by_lanes,
                   packs=packed, block=3 * layout.lanes("float64"))
    X, Y = real_data(rng, "cross_entropy", None, few(77, 13), 5, 3)
    agrees(net, X, Y, rng)
    samples, found = net._samples(X, Y, None, slopes(rng, net, len(X)), 0.3), []
    for threads in (1, 2, 3, 7):
        gradient = np.zeros(net.n_parameters)
        found.append((cost_and_gradient(net, samples, gradient, threads), gradient.tobytes()))
    assert found == [found[0]] * 4


def test_class_indices_and_a_cost_with_a_parameter(rng):
    net = network((3, 6, 4), cost="cross_entropy", dtype="float64")
    X, labels = rng.normal(size=(11, 3)), rng.integers(0, 4, 11)
    J = slopes(rng, net, 11)
    close(net.gradient(X, labels, target_jacobian=J), stepped(net, X, np.eye(4)[labels], J, 1.0))
    net = network((2, 5, 2), cost=huber(0.3), dtype="float64")
    X, Y = real_data(rng, "huber", None, 20, 2, 2)
    agrees(net, X, Y, rng)


@pytest.mark.parametrize(("output", "cost"), [(None, "squared_error"), ("softmax", "cross_entropy")])
def test_single_precision(output, cost, rng):
    net = network((3, 16, 9, 4), "gelu", output, cost)
    twin = network((3, 16, 9, 4), "gelu", output, cost, dtype="float64")
    twin.parameters[:] = net.parameters
    X, Y = real_data(rng, cost, output, few(200, 9), 3, 4, "float32")
    J = slopes(rng, net, len(X)).astype("float32")
    close(net.gradient(X, Y, target_jacobian=J), twin.gradient(X, Y, target_jacobian=J), "float32", 2)


def test_one_output_takes_rows_and_nothing_is_changed(rng):
    net = network((3, 4, 1), dtype="float64")
    X, Y, J = rng.normal(size=(9, 3)), rng.normal(size=9), rng.normal(size=(9, 3))
    before = X.copy(), Y.copy(), J.copy()
    cost = net.cost(X, Y, target_jacobian=J)
    assert cost == net.cost(X, Y, target_jacobian=J[:, None, :])
    net.fit(X, Y, epochs=2, batch_size=4, target_jacobian=J)
    assert all((a == b).all() for a, b in zip(before, (X, Y, J), strict=True))


def test_weight_0_is_training_on_values(rng):
    X, Y, J = rng.normal(size=(50, 3)), rng.normal(size=(50, 2)), rng.normal(size=(50, 2, 3))
    net, twin = Network((3, 8, 2), dtype="float64", seed=0), Network((3, 8, 2), dtype="float64", seed=0)
    net.fit(X, Y, epochs=3, batch_size=16, target_jacobian=J, jacobian_weight=0)
    twin.fit(X, Y, epochs=3, batch_size=16)
    close(net.parameters, twin.parameters, factor=10)
    close(net.history.cost, twin.history.cost, factor=10)


@pytest.mark.parametrize("method", [fastbp.SGD(0.05), fastbp.SGD(0.02, 0.9), fastbp.Adam(0.01)], ids=str)
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_fits_follow_the_plain_curve(batch, method, rng):
    """Ten steps beside the same rule on complex-step gradients."""
    net = network((2, 5, 2), dtype="float64")
    n = few(23, 7)
    X, Y, J = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), rng.normal(size=(n, 2, 2))
    weights = rng.uniform(0.1, 2, n)
    rule = naive.Adam(0.01) if isinstance(method, fastbp.Adam) else naive.SGD(method.learning_rate, method.momentum)
    w, twin = net.parameters.copy(), net.copy()
    for _ in range(2):
        for start in range(0, n, batch):
            rows = slice(start, start + batch)
            twin.parameters[:] = w
            w = rule.step(w, stepped(twin, X[rows], Y[rows], J[rows], 0.5, weights[rows]))
    net.fit(X, Y, epochs=2, batch_size=batch, optimizer=method, sample_weight=weights, shuffle=False,
            target_jacobian=J, jacobian_weight=0.5)
    close(net.parameters, w, factor=100)


def test_bits_do_not_depend_on_threads_nor_on_a_pause(rng):
    X, Y, J = rng.normal(size=(90, 3)), rng.normal(size=(90, 2)), rng.normal(size=(90, 2, 3))

    def fitted(threads, *parts):
        net = Network((3, 16, 2), seed=1)
        for i, epochs in enumerate(parts):
            net.fit(X, Y, epochs=epochs, batch_size=40, threads=threads, target_jacobian=J, resume=i > 0)
        return net.parameters.tobytes()

    alone = fitted(1, 4)
    assert fitted(2, 4) == fitted(3, 4) == fitted(1, 1, 3) == alone


def test_full_batch_methods_lower_the_same_cost(rng):
    net = Network((2, 8, 1), dtype="float64", seed=0)
    X = rng.uniform(-1, 1, (few(60, 8), 2))
    Y, J = np.sin(X).sum(axis=1), np.cos(X)
    net.fit(X, Y, epochs=few(30, 3), optimizer="lbfgs", target_jacobian=J)
    assert net.history.cost[-1] == pytest.approx(net.cost(X, Y, target_jacobian=J), rel=1e-12)
    assert net.history.cost[-1] < few(1e-3, 0.5)


def test_validation_costs_count_slopes_where_they_are_given(rng):
    net = Network((2, 4, 1), dtype="float64", seed=0)
    X, Y, J = rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), rng.normal(size=(20, 1, 2))
    for kept, expected in (((X, Y), lambda: net.cost(X, Y)),
                           ((X, Y, J), lambda: net.cost(X, Y, target_jacobian=J, jacobian_weight=2)),
                           (0.25, lambda: net.cost(X[15:], Y[15:], target_jacobian=J[15:], jacobian_weight=2))):
        net.fit(X, Y, epochs=1, target_jacobian=J, jacobian_weight=2, validation=kept)
        assert net.history.validation_cost[-1] == pytest.approx(expected(), rel=1e-12)


@pytest.mark.skipif(not JIT, reason="3000 epochs take minutes in plain Python")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_slopes_make_up_for_samples(seed):
    """Nine points of two periods of a sine with their slopes, beside the same nine without: 20, 16 and 13 times.

    The learning rate falls to 0: at a constant one the last steps decide, and with them the last bits. Points that
    lie as far below 0 as above would leave it to rounding when, if ever, the weights leave their symmetry.
    """
    X, between = (np.linspace(-6, 6.5, n)[:, None] for n in (9, 400))
    errors = []
    for J in (None, np.cos(X)):
        net = Network((1, 32, 1), dtype="float64", seed=seed)
        net.fit(X, np.sin(X), epochs=3000, batch_size=9, optimizer=fastbp.Adam(Cosine(0.01, 3000)), target_jacobian=J)
        errors.append(np.sqrt(np.mean((net.predict(between) - np.sin(between)) ** 2)))
    assert errors[1] < 0.1 * errors[0]
    assert errors[1] < 0.01


@pytest.mark.parametrize(("given", "error", "message"), [
    ({"target_jacobian": np.zeros((4, 3))}, ValueError,
     r"target_jacobian has shape \(4, 3\), expected \(4, 2, 3\): X has 4 rows, the network 2 outputs and 3 inputs"),
    ({"target_jacobian": np.full((4, 2, 3), np.nan)}, ValueError, "target_jacobian holds nan in row 0"),
    ({"target_jacobian": [["a"]]}, TypeError, "target_jacobian has dtype"),
    ({"target_jacobian": np.zeros((4, 2, 3)), "jacobian_weight": -1}, ValueError, "jacobian_weight is -1, exp"),
    ({"target_jacobian": np.zeros((4, 2, 3)), "jacobian_weight": "1"}, TypeError, "jacobian_weight is '1', exp"),
    ({"target_jacobian": np.zeros((4, 2, 3)), "profile": True}, ValueError, "leave out target_jacobian"),
])
def test_bad_arguments_change_nothing(given, error, message):
    net = Network((3, 4, 2), seed=0)
    before = net.parameters.copy()
    with pytest.raises(error, match=message):
        net.fit(np.zeros((4, 3)), np.zeros((4, 2)), **given)
    assert (net.parameters == before).all()


def test_the_workspace_does_not_grow_with_the_samples():
    for layers in ((3, 8, 1), (100, 8, 1)):
        net = Network(layers)
        for kind in (tables.KIND_SOBOLEV, tables.KIND_HESSIAN):
            blocks = []
            for n in (10_000, 10_000_000):
                with net._borrow(Request(n, kind=kind)) as (plan, block):
                    blocks.append((block, plan.panels.size))
            assert blocks[0] == blocks[1]
            together = blocks[0][0] * (1 + net._architecture.directions(kind))
            assert together <= max(2048, layout.lanes("float32") * (1 + layers[0]))


def test_a_workspace_larger_than_the_machine_is_refused(monkeypatch):
    net = Network((3, 4, 1))
    monkeypatch.setattr(machine, "physical_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"along 3 inputs needs a workspace.*train on values alone"):
        net.cost(np.zeros((4, 3)), np.zeros(4), target_jacobian=np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"expected \(4, 1, 3\) or \(4, 3\)"):
        net.cost(np.zeros((4, 3)), np.zeros(4), target_jacobian=np.zeros(4))


def test_regularised(rng):
    """Penalties join this cost as they join any other, in a fit and in its gradient."""
    net = Network((2, 5, 1), dtype="float64", seed=0)
    X, Y = rng.normal(size=(20, 2)), rng.normal(size=(20, 1))
    J, penalised = slopes(rng, net, 20), fastbp.Regularization(l2=0.3)
    plain = net.cost_and_gradient(X, Y, target_jacobian=J)
    cost, gradient = net.cost_and_gradient(X, Y, target_jacobian=J, regularization=penalised)
    assert cost == pytest.approx(plain[0] + 0.15 * sum((W**2).sum() for W in net.weights), rel=1e-12)
    start = net.parameters.copy()
    net.fit(X, Y, epochs=1, batch_size=20, optimizer=fastbp.SGD(0.01), target_jacobian=J, regularization=penalised)
    close(net.parameters, start - 0.01 * gradient)


@pytest.mark.parametrize("setting", [{"dropout": 0.5}, {"input_noise": 0.1}, {"label_smoothing": 0.1}])
def test_what_changes_samples_is_refused(setting, rng):
    net = Network((2, 5, 3), cost="cross_entropy", seed=0)
    X, Y, regularization = rng.normal(size=(9, 2)), np.arange(9) % 3, fastbp.Regularization(**setting)
    J = slopes(rng, net, 9)
    for use in (net.fit, net.cost_and_gradient):
        with pytest.raises(ValueError, match=f"{next(iter(setting))} changes the samples"):
            use(X, Y, target_jacobian=J, regularization=regularization)

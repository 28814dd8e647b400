"""Network.gradient, for every activation with every cost that makes sense of it: naive twin and complex step."""

import naive
import numpy as np
import pytest
from helpers import ACTIVATIONS, DTYPES, PAIRS, close, few, laid_out, naive_cost, naive_gradient, network, real_data

from fastbp import Network, huber, quantile
from fastbp.kernels import layout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_output_and_cost(output, cost, dtype, rng, largest):
    net = network((3, 6, 4), "tanh", output, cost, dtype=dtype)
    X, Y = real_data(rng, cost, output, few(37, 9), 3, 4, dtype)
    weights = rng.uniform(0.1, 2, len(X)).astype(dtype)
    E, gradient = net.cost_and_gradient(X, Y, weights)
    worst = close(gradient, naive_gradient(net, X, Y, weights), dtype)
    largest(f"relative difference of gradients to the naive twin, {dtype}", worst)
    close(E, naive_cost(net, X, Y, weights), dtype)
    if dtype == "float64":
        by_step = naive.complex_step_gradient(net.parameters, net.layers, True, X, Y, net.activations, cost, weights)
        largest("relative difference of gradients to complex step", close(gradient, by_step, dtype))
    assert net.cost(X, Y, weights) == E


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_hidden(hidden, dtype, rng, largest):
    net = network((4, 7, 5, 2), hidden, dtype=dtype)
    X, Y = real_data(rng, "squared_error", None, few(37, 9), 4, 2, dtype)
    worst = close(net.gradient(X, Y), naive_gradient(net, X, Y), dtype)
    largest(f"relative difference of gradients to the naive twin, {dtype}", worst)
    if dtype == "float64":
        by_step = naive.complex_step_gradient(net.parameters, net.layers, True, X, Y, net.activations, "squared_error")
        largest("relative difference of gradients to complex step", close(net.gradient(X, Y), by_step, dtype))


@pytest.mark.parametrize("cost", [huber(0.3), huber(5.0), quantile(0.1), quantile(0.9)], ids=str)
def test_costs_with_a_parameter(cost, rng):
    net = network((2, 5, 2), cost=cost, dtype="float64")
    X, Y = real_data(rng, cost.name, None, 40, 2, 2)
    close(net.gradient(X, Y), naive_gradient(net, X, Y))
    close(net.cost(X, Y), naive_cost(net, X, Y))


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_mixed_layers_and_several_blocks(bias, by_lanes, rng):
    net = network((3, 9, 1, 17, 2), ("relu", "sin", "mish"), "softsign", "log_cosh", bias=bias, dtype="float64")
    laid_out(net, by_lanes=by_lanes, block=2 * layout.lanes("float64"))
    X, Y = real_data(rng, "log_cosh", None, few(101, 13), 3, 2)
    E, gradient = net.cost_and_gradient(X, Y)
    close(gradient, naive_gradient(net, X, Y))
    close(E, naive_cost(net, X, Y))


@pytest.mark.parametrize("n", few([511, 512, 513, 2047, 2048, 2049, 4500], [31, 33]))
def test_the_edges_of_blocks(n, rng):
    net = network((2, 4, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, n, 2, 1)
    E, gradient = net.cost_and_gradient(X, Y)
    close(gradient, naive_gradient(net, X, Y))
    close(E, naive_cost(net, X, Y))
    close(net.predict(X), naive.forward(naive.unflatten(net.parameters, net.layers), X, net.activations).out[-1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net_input", [1000.0, -1000.0, 80.0, -80.0, 0.0])
def test_cross_entropies_far_out(net_input, dtype):
    """Canonical links start from net inputs: no log of 0. C = max(net, 0) - y net, and net_max - net_y, out there."""
    far = abs(net_input) >= 80
    net = Network((1, 1), cost="binary_cross_entropy", dtype=dtype)
    net.parameters[:] = net_input, 0
    for y in (0.0, 1.0, 0.25):
        expected = max(net_input, 0) - y * net_input + (0 if far else np.log(2))
        assert net.cost([[1.0]], [[y]]) == pytest.approx(expected, rel=1e-6)
        o = 0.5 if not far else float(net_input > 0)
        assert net.gradient([[1.0]], [[y]]) == pytest.approx([o - y] * 2, abs=1e-6)
    net = Network((1, 2), cost="cross_entropy", dtype=dtype)
    net.parameters[:] = net_input, -net_input, 0, 0
    for label in (0, 1):
        net_y = net_input if label == 0 else -net_input
        assert net.cost([[1.0]], [label]) == pytest.approx(abs(net_input) - net_y + (0 if far else np.log(2)), rel=1e-6)
        assert np.isfinite(net.gradient([[1.0]], [label])).all()


def test_unmatched_pairs_are_not_cancelled(rng):
    """O - y as delta is right for canonical links only: logistic with squared error is not one."""
    net = network((2, 1), output="logistic", cost="squared_error", dtype="float64")
    X, Y = real_data(rng, "binary_cross_entropy", None, 20, 2, 1)
    o = net.predict(X)
    close(net.gradient(X, Y)[-1], ((o - Y) * o * (1 - o)).mean())


def test_relu_has_slope_0_at_0():
    net = Network((1, 1, 1), "relu", dtype="float64", init="zeros")
    net.weights[1][:] = 1
    assert (net.gradient([[1.0]], [[5.0]])[:2] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_is_reported_as_such(dtype):
    net = Network((1, 1), dtype=dtype)
    net.parameters[:] = np.finfo(dtype).max / 4, 0
    assert net.cost([[2.0]], [[0.0]]) == np.inf
    net.parameters[0] = np.nan
    assert np.isnan(net.cost([[2.0]], [[0.0]]))
    assert np.isnan(net.gradient([[2.0]], [[0.0]])).all()

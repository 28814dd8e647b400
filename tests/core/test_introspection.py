"""What a network shows of itself: traces as views, outputs of any layer, mean |δ| of neurons, a summary."""


import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, naive_layers, network, real_data

from fastbp import Network
from fastbp.kernels import layout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 16, 37])
def test_views_of_a_trace(n, dtype, rng):
    net = network((3, 5, 4, 2), dtype=dtype)
    X, Y = real_data(rng, "squared_error", None, n, 3, 2, dtype)
    rows, found = net.trace(X, Y), net.trace(X, Y, views=True)
    lanes = layout.lanes(dtype)
    for field in ("net", "out", "delta"):
        for view, array in zip(getattr(found, field), getattr(rows, field), strict=True):
            assert view.shape == (-(-n // lanes), lanes, array.shape[1])
            np.testing.assert_array_equal(view.reshape(-1, array.shape[1])[:n], array)
    panels = [array.base for array in found.net + found.out + found.delta]
    assert all(base is not None and np.shares_memory(base, panels[0]) for base in panels), "one workspace, no copy"
    assert not any(np.shares_memory(a, b) for a in found.net for b in found.out)
    for delta in found.delta:
        assert (delta.reshape(-1, delta.shape[2])[n:] == 0).all()
    for gradient, expected in zip(found.gradient, rows.gradient, strict=True):
        np.testing.assert_array_equal(gradient.weights, expected.weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, few(900, 40)])
def test_outputs_of_each_layer(n, dtype, rng):
    net = network((3, 7, 5, 4), ("tanh", "relu"), cost="cross_entropy", dtype=dtype)
    X, _ = real_data(rng, "cross_entropy", None, n, 3, 4, dtype)
    _, expected = naive.forward(naive_layers(net), X.astype(float), net.activations)
    for layer in (1, 2, 3):
        found = net.layer_outputs(X, layer)
        close(found, expected[layer], dtype, 5)
        np.testing.assert_array_equal(net.layer_outputs(X, layer - 4), found)
    np.testing.assert_array_equal(net.layer_outputs(X, -1), net.predict(X))
    np.testing.assert_array_equal(net.layer_outputs(X[0], 2), net.layer_outputs(X[:1], 2)[0])


@pytest.mark.parametrize("layer", [0, 3, -3])
def test_layers_that_are_none(layer):
    with pytest.raises(ValueError, match="layer is"):
        Network((2, 3, 1)).layer_outputs(np.zeros((4, 2)), layer)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("cost", "weighted"), [("squared_error", False), ("huber", True), ("cross_entropy", True)])
def test_mean_abs_delta_is_the_mean_of_each_pairs_delta(cost, weighted, dtype, rng):
    """δ_j is ∂E/∂b_j (6), which the gradients of single pairs hold too."""
    net = network((3, 6, 4), cost=cost, dtype=dtype)
    X, Y = real_data(rng, cost, None, few(700, 40), 3, 4, dtype)
    weights = rng.uniform(0, 2, len(X)) if weighted else None
    gradients = np.abs(net.per_sample_gradient(X, Y).astype(float))
    means = np.average(gradients, axis=0, weights=weights)
    for found, n, start in zip(net.mean_abs_delta(X, Y, weights), (6, 4), (18, 48), strict=True):
        assert found.dtype == np.float64
        close(found, means[start : start + n], dtype, 5)


def test_mean_abs_delta_of_class_indices(rng):
    net = network((3, 6, 4), cost="cross_entropy", dtype="float64")
    X, labels = rng.normal(size=(20, 3)), rng.integers(0, 4, 20)
    for found, expected in zip(net.mean_abs_delta(X, labels), net.mean_abs_delta(X, np.eye(4)[labels]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_neuron_that_feeds_nothing_has_none(rng):
    net = network((3, 6, 4), dtype="float64")
    net.weights[1][:, 2] = 0
    X, Y = real_data(rng, "squared_error", None, 20, 3, 4)
    found = net.mean_abs_delta(X, Y)[0]
    assert found[2] == 0 and (np.delete(found, 2) > 0).all()


def test_summary():
    found = Network((784, 128, 10), ["relu"], cost="cross_entropy", bias=False, dtype="float64").summary()
    assert found.inputs == 784 and found.dtype == "float64" and found.cost == "'cross_entropy'"
    assert found.layers[0] == (128, "relu", 100_352, 100_352, 802_816)
    assert (found.parameters, found.multiply_adds, found.bytes) == (101_632, 101_632, 813_056)
    lines = repr(found).splitlines()
    assert lines[-2].split() == ["sum", "101,632", "101,632", "813,056"] and len(lines) == 8
    assert lines[-1] == "cost 'cross_entropy', float64"

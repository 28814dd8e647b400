"""The reference is checked first: its derivatives by complex step, its permutation by counting."""

import numpy as np
import pytest
from helpers import ACTIVATIONS, COSTS, PAIRS, few, real_data, real_outputs

import naive


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_is_the_derivative(name, rng):
    x = rng.normal(scale=2, size=few(200, 40))
    phi, slope = naive.ACTIVATIONS[name]
    by_step = phi(x + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(slope(x), by_step, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", COSTS)
def test_cost_derivative(name, rng):
    _, Y = real_data(rng, name, None, 50, 1, 3)
    o = real_outputs(rng, name, Y.shape)
    C, slope = naive.COSTS[name]
    parameter = naive.PARAMETERS.get(name)
    np.testing.assert_allclose(slope(Y, o, parameter), C(Y, o + 1e-30j, parameter).imag / 1e-30, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_gradient_by_complex_step(output, cost, rng):
    sizes, activations = (3, 4, 3), ("tanh", output)
    X, Y = real_data(rng, cost, output, 5, 3, 3)
    w, weights = rng.normal(scale=0.7, size=31), rng.uniform(0.1, 2, 5)
    g = naive.flatten(naive.gradient(naive.unflatten(w, sizes), X, Y, activations, cost, weights))
    by_step = naive.complex_step_gradient(w, sizes, True, X, Y, activations, cost, weights)
    assert np.abs(g - by_step).max() <= 1e-13 * np.abs(by_step).max()


def test_permutation_twin_is_one():
    assert sorted(naive.permutation(100, 5, 2)) == list(range(100))


def test_the_twin_of_bfloat16_is_that_of_the_rest_where_nothing_is_rounded(rng, monkeypatch):
    monkeypatch.setattr(naive.bfloat16, "rounded", lambda values: np.asarray(values, float))
    layers = [(rng.normal(size=(4, 3)), rng.normal(size=4)), (rng.normal(size=(2, 4)), rng.normal(size=2))]
    X, Y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    found, out = naive.bfloat16.gradient(layers, X, Y, ("tanh", "identity"), "squared_error")
    expected = naive.gradient(layers, X, Y, ("tanh", "identity"), "squared_error")
    assert np.allclose(naive.flatten(found), naive.flatten(expected), rtol=1e-12)
    assert np.allclose(out, naive.forward(layers, X, ("tanh", "identity")).out[-1], rtol=1e-12)


def test_rounding_to_bfloat16_takes_the_nearest():
    grid = (np.arange(1, 0x7F80, dtype=np.uint32) << np.uint32(16)).view(np.float32)[0x7F:].astype(float)
    values = np.random.default_rng(0).normal(size=50).astype(np.float32)
    nearest = grid[np.abs(grid[None] - np.abs(values)[:, None]).argmin(axis=1)] * np.sign(values)
    assert (naive.rounded(values) == nearest).all()

"""Activations and costs of the user's own, beside the built-in ones that they repeat."""

import doctest
import math

import numpy as np
import pytest
from helpers import DTYPES, close, few, network, real_data

import fastbp
from fastbp import activations, costs, custom, jit


@pytest.fixture(autouse=True)
def forget():
    """Leave the catalogues as they were."""
    before = dict(activations.ACTIVATIONS), dict(costs.COSTS)
    yield
    for catalogue, rows in zip((activations.ACTIVATIONS, costs.COSTS), before, strict=True):
        catalogue.clear()
        catalogue.update(rows)


def pair(rng, dtype, **own):
    """Two networks with the same parameters, one with the functions of ours, and data."""
    mine = network((3, 6, 5, 2), dtype=dtype, **own)
    X, Y = real_data(rng, "squared_error", None, few(40, 8), 3, 2, dtype)
    return mine, X, Y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("derivative", [None, lambda x: 1 / np.cosh(x) ** 2], ids=["by step", "given"])
def test_an_activation_like_tanh(derivative, dtype, rng):
    row = fastbp.activation(lambda x: np.tanh(x), derivative, name="my_tanh")
    assert activations.get("my_tanh") is row
    mine, X, Y = pair(rng, dtype, hidden="my_tanh", output="my_tanh")
    twin = network((3, 6, 5, 2), "tanh", "tanh", dtype=dtype)
    twin.parameters[:] = mine.parameters
    close(mine.predict(X), twin.predict(X), dtype, 5)
    close(mine.gradient(X, Y), twin.gradient(X, Y), dtype, 5)
    close(mine.jacobian(X), twin.jacobian(X), dtype, 5)
    model, out = mine.compiled(), np.empty(2, dtype)
    assert jit.forward(model, X[0], out, jit.workspace(model))
    close(out, twin.predict(X)[0], dtype, 5)
    for net in (mine, twin):
        net.fit(X, Y, epochs=3, batch_size=8, shuffle=False)
    close(mine.parameters, twin.parameters, dtype, 50)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("derivative", [None, lambda y, o: o - y], ids=["by step", "given"])
def test_a_cost_like_the_squared_error(derivative, dtype, rng):
    fastbp.cost(lambda y, o: (o - y) ** 2 / 2, derivative, name="half_square")
    mine, X, Y = pair(rng, dtype, cost="half_square")
    twin = network((3, 6, 5, 2), dtype=dtype)
    weights = rng.uniform(0.1, 2, len(X))
    close(mine.cost(X, Y, weights), twin.cost(X, Y, weights), dtype, 5)
    close(mine.gradient(X, Y, weights), twin.gradient(X, Y, weights), dtype, 5)
    close(mine.input_gradient(X, Y), twin.input_gradient(X, Y), dtype, 5)


def test_a_kink_with_its_derivative(rng):
    fastbp.activation(lambda x: x if x > 0 else 0.2 * x, lambda x: 1.0 if x > 0 else 0.2, name="steep")
    net = fastbp.Network((1, 1), output="steep", dtype="float64")
    net.parameters[:] = 1, 0
    close(net.predict([[2.0], [-2.0]]).ravel(), [2, -0.4])
    close(net.jacobian([[2.0], [-2.0]]).ravel(), [1, 0.2])


def test_names_are_saved_and_must_be_registered(tmp_path, rng):
    def bent(x):
        return (np.sqrt(x * x + 1) - 1) / 2 + x

    fastbp.activation(bent)
    fastbp.cost(lambda y, o: np.log(1 + (o - y) ** 2), name="cauchy", output="bent")
    net = fastbp.Network((3, 4, 2), "bent", cost="cauchy", dtype="float64", seed=0)
    assert net.activations == ("bent", "bent")
    X = rng.normal(size=(5, 3))
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(fastbp.Network.load(tmp_path / "net").predict(X), net.predict(X))
    np.testing.assert_array_equal(net.copy().predict(X), net.predict(X))
    del activations.ACTIVATIONS["bent"]
    with pytest.raises(ValueError, match="unknown activation 'bent'.*fastbp.activation"):
        fastbp.Network.load(tmp_path / "net")
    fastbp.activation(bent)
    del costs.COSTS["cauchy"]
    with pytest.raises(ValueError, match="unknown cost 'cauchy'"):
        fastbp.Network.load(tmp_path / "net")


@pytest.mark.parametrize(("call", "message"), [
    (lambda: fastbp.activation(np.tanh, lambda x: 1 - np.tanh(x), name="wrong"),
     r"wrong: at -?\d.* given gives .*, central differences"),
    (lambda: fastbp.activation(lambda x: abs(x), name="wrong"), "complex step, which needs an analytic function"),
    (lambda: fastbp.activation(lambda x: math.tanh(x), name="wrong"), "cannot be compiled: .*derivative="),
    (lambda: fastbp.activation(lambda x: x.nothing, lambda x: x, name="wrong"), "cannot be compiled: .*nothing"),
    (lambda: fastbp.activation(lambda x: x), "needs a name"),
    (lambda: fastbp.activation(lambda x: x, name="tanh"), "'tanh' is a built-in activation"),
    (lambda: fastbp.activation(lambda x: x, name="wrong", initializer="none"), "unknown init 'none'"),
    (lambda: fastbp.activation(lambda x: x * np.nan, lambda x: x, name="wrong"), "finite anywhere"),
    (lambda: fastbp.cost(lambda y, o: o * y, lambda y, o: o, name="wrong"), "wrong at y = .* given gives"),
    (lambda: fastbp.cost(lambda y, o: o, name="huber"), "'huber' is a built-in cost"),
    (lambda: fastbp.cost(lambda y, o: o, name="wrong", output="none"), "unknown activation"),
])
def test_what_cannot_be_registered(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert "wrong" not in activations.ACTIVATIONS and "wrong" not in costs.COSTS


@pytest.mark.parametrize("arguments", [(3,), (lambda x: x, 3)])
def test_what_is_no_function(arguments):
    with pytest.raises(TypeError, match="3, expected a function"):
        fastbp.activation(*arguments, name="wrong")


def test_the_examples_of_its_documentation():
    assert not doctest.testmod(custom).failed

"""Activations and costs of the user's own, beside the built-in ones that they repeat."""

import doctest
import math

import numba
import numpy as np
import pytest
from helpers import DTYPES, close, few, network, real_data

import fastbp
from fastbp import activations, costs, custom, jit
from fastbp.kernels._jit import JIT


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
@pytest.mark.parametrize("derivative", [None, lambda x: 1 / np.cosh(x) ** 2], ids=["by duals", "given"])
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
@pytest.mark.parametrize("derivative", [None, lambda y, o: o - y], ids=["by duals", "given"])
def test_a_cost_like_the_squared_error(derivative, dtype, rng):
    fastbp.cost(lambda y, o: (o - y) ** 2 / 2, derivative, name="half_square")
    mine, X, Y = pair(rng, dtype, cost="half_square")
    twin = network((3, 6, 5, 2), dtype=dtype)
    weights = rng.uniform(0.1, 2, len(X))
    close(mine.cost(X, Y, weights), twin.cost(X, Y, weights), dtype, 5)
    close(mine.gradient(X, Y, weights), twin.gradient(X, Y, weights), dtype, 5)
    close(mine.input_gradient(X, Y), twin.input_gradient(X, Y), dtype, 5)


def numerical(function, x):
    """Differences of eighth order: exact to about 1e-12 where f is smooth."""
    h = 0.01
    factors = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    return sum(c * (function(x + k * h) - function(x - k * h)) for k, c in factors.items()) / h


def own_slopes(function, x, dtype="float64"):
    """φ and φ' of a function without derivative, at each of x."""
    panel, slope = np.array(x, dtype), np.empty(len(x), dtype)
    with np.errstate(all="ignore"):
        fastbp.activation(function, name="own").kernel(panel, slope, 1)
    return panel, slope


GROUPS = {
    "exponentials": lambda x: np.exp(x) * np.exp2(x) - np.expm1(x) + math.exp(-x) / math.expm1(x),
    "logarithms": lambda x: np.log(x) * np.log2(x) + np.log10(x) / np.log1p(x) - math.log(x),
    "hyperbolic": lambda x: np.sinh(x) - np.cosh(x) * np.tanh(x) + math.tanh(x) * math.sinh(-x),
    "circular": lambda x: np.sin(x) + np.cos(x) / np.tan(x) - math.sin(x) * math.cos(2 * x),
    "signs": lambda x: abs(-x) * np.abs(x) + math.fabs(x) - np.absolute(x - 5) + (+x),
    "roots": lambda x: np.sqrt(x) + np.square(x) - math.sqrt(1 + x) / x,
    "sums": lambda x: (2 + x) * (x + 3) - (4 - x) / (x - 7) + 5 / x + np.add(x, 1) - np.multiply(2, x),
    "powers": lambda x: x**2 - x**5 / 100 + x**-3 + 1 / x**1,
}

SLOW_GROUPS = {
    "powers of any kind": lambda x: x**2.5 + 2.0**x - math.pow(x, x) + np.power(x, 0.5),
    "of the library": lambda x: np.arctan(x) + math.asinh(x) * math.erf(x) - np.arcsinh(x) * math.atan(x),
}


@pytest.mark.parametrize("name", GROUPS | SLOW_GROUPS)
@pytest.mark.filterwarnings("ignore:own is computed one number at a time")
def test_slopes_by_dual_numbers(name):
    function = (GROUPS | SLOW_GROUPS)[name]
    x = np.linspace(1.1, 2.4, 40)
    values = np.array([function(number) for number in x])
    slopes = np.array([numerical(function, number) for number in x])
    found, slope = own_slopes(function, x)
    assert (np.abs(found - values) <= 1e-13 * np.abs(values).max()).all()
    assert (np.abs(slope - slopes) <= 2e-10 * np.abs(slopes).max()).all()


@pytest.mark.parametrize(("function", "x", "slopes"), [
    (lambda x: abs(x), [-2, 0, 3], [-1, 0, 1]),
    (lambda x: max(x, 0), [-2, 1, 3], [0, 1, 1]),
    (lambda x: min(max(-1.0, x), 1.0), [-2, 0.5, 3], [0, 1, 0]),
    (lambda x: np.maximum(0.1 * x, x) - np.minimum(x, 2), [-2, 1, 3], [-0.9, 0, 1]),
    (lambda x: np.clip(x, -1, 2), [-2, 1, 3], [0, 1, 0]),
    (lambda x: np.where(x >= 1, x * x, 2 * x), [-2, 1, 3], [2, 2, 6]),
    (lambda x: x if x > 0 else 0.2 * x, [-2, 1, 3], [0.2, 1, 1]),
    (lambda x: 0.0 if x <= -1 or x == 2 else 3 * x, [-2, 1, 2], [0, 3, 0]),
    (lambda x: 1.0, [-2, 1, 3], [0, 0, 0]),
], ids=["abs", "max", "nested", "maximum", "clip", "where", "branch", "conditions", "constant"])
def test_kinks(function, x, slopes):
    found, slope = own_slopes(function, x, "float32")
    np.testing.assert_allclose(found, [function(number) for number in x], rtol=1e-6)
    np.testing.assert_allclose(slope, slopes, rtol=1e-6)


@pytest.mark.parametrize("function", [
    lambda x: np.maximum(x, 0.0), lambda x: np.maximum(0.0, x), lambda x: np.minimum(x, 6.0),
    lambda x: np.minimum(6.0, x), lambda x: np.clip(x, -1.0, 1.0),
], ids=["maximum", "maximum of the second", "minimum", "minimum of the second", "clip"])
def test_what_is_no_number_stays_none(function, rng):
    """As NumPy has it: NaN in a row gives NaN in its outputs, not those of a limit."""
    fastbp.activation(function, name="limited")
    net = fastbp.Network((2, 3, 1), "limited", dtype="float64", seed=0)
    X = rng.normal(size=(20, 2))
    X[7, 1] = np.nan
    assert (np.isnan(net.predict(X)).ravel() == (np.arange(20) == 7)).all()


def test_loops_closures_and_functions_of_ones_own():
    degree = 4
    half = numba.njit(lambda x: x / 2)

    def series(x):
        total, term = 0.0, 1.0
        for n in range(1, degree):
            term *= x / n
            total += term
        return half(total)

    x = np.linspace(-2, 2, 9)
    found, slope = own_slopes(series, x)
    close(found, (x + x**2 / 2 + x**3 / 6) / 2)
    close(slope, (1 + x + x**2 / 2) / 2)


def test_a_target_has_no_slope(rng):
    """At y = 0 the slope of log(y) is infinite, but nothing of it belongs to ∂C/∂o."""
    row = fastbp.cost(lambda y, o: np.sqrt(y) * o + o, name="mixed")
    target, delta = np.array([0.0, 4.0]), np.ones(2)
    with np.errstate(all="ignore"):
        row.kernel(np.array([3.0, 5.0]), target, delta, 1, np.zeros(1))
    close(target, [3, 15])
    close(delta, [1, 3])


def halved(x):
    while abs(x) > 0.5:
        x = x / 2
    return x


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize(("function", "why"), [
    (halved, "its branches or loops differ from number to number"),
    (lambda x: math.erf(x), "it calls erf of the C library"),
    (lambda x: (x * x + 1) ** 0.25, "it calls pow of the C library"),
])
def test_what_is_not_vectorised_says_so(function, why):
    with pytest.warns(UserWarning, match=f"slow is computed one number at a time.*{why}"):
        fastbp.activation(function, name="slow")


def test_what_duals_cannot_do_goes_with_its_derivative():
    fastbp.activation(lambda x: np.floor(x) * 0 + x, lambda x: 1.0, name="straight")
    fastbp.cost(lambda y, o: np.rint(y) * 0 + o, lambda y, o: 1.0, name="plain")
    net = fastbp.Network((1, 1), output="straight", cost="plain", dtype="float64")
    net.parameters[:] = 2, 0.5
    close(net.predict([[3.0]]).ravel(), [6.5])
    close(net.gradient([[3.0]], [[1.0]]), [3, 1])


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


def test_a_network_keeps_the_functions_that_it_was_made_with(tmp_path):
    fastbp.activation(lambda x: 2 * x, lambda x: 2.0, curvature=lambda x: 0.0, name="mine")
    net = fastbp.Network((1, 1, 1), "mine", output="mine", dtype="float64", bias=False)
    net.parameters[:] = 1
    X, Y = np.array([[1.0], [2.0]]), np.zeros((2, 1))
    close(net.predict(X), 4 * X)  # its workspace goes back to the pool
    fastbp.activation(lambda x: x**3, lambda x: 3 * x**2, curvature=lambda x: 6 * x, name="mine")
    for same in (net, net.copy()):
        close(same.predict(X), 4 * X)
        close(same.predict(X[0]), [4])
        close(same.cost(X, Y), 20)
        close(same.jacobian(X).ravel(), [4, 4])
        close(same.hessian(X, Y), [[40, 80], [80, 40]])
        model, out = same.compiled(), np.empty(1)
        assert jit.forward(model, X[1], out, jit.workspace(model))
        close(out, [8])
        call = same.cfunc().ctypes
        call(*(array.ctypes.data_as(call.argtypes[0]) for array in (X[1], out)))
        close(out, [8])
    net.save(tmp_path / "net")
    for new in (fastbp.Network((1, 1, 1), "mine", output="mine", dtype="float64", bias=False),
                fastbp.Network.load(tmp_path / "net")):
        new.parameters[:] = 1
        close(new.predict(X), X**9)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: fastbp.activation(np.tanh, lambda x: 1 - np.tanh(x), name="wrong"),
     r"wrong: at -?\d.* given is .*, but central differences give"),
    (lambda: fastbp.activation(lambda x: np.floor(x) * x, name="wrong"),
     "cannot be differentiated: No implementation of .*floor.*; give derivative="),
    (lambda: fastbp.activation(lambda x: x.nothing, lambda x: x, name="wrong"), "cannot be compiled: .*nothing"),
    (lambda: fastbp.activation(lambda x: x), "needs a name"),
    (lambda: fastbp.activation(lambda x: x, name="tanh"), "'tanh' is a built-in activation"),
    (lambda: fastbp.activation(lambda x: x, name="wrong", initializer="none"), "unknown init 'none'"),
    (lambda: fastbp.activation(lambda x: x * np.nan, lambda x: x, name="wrong"), "finite anywhere"),
    (lambda: fastbp.cost(lambda y, o: o * y, lambda y, o: o, name="wrong"), "wrong: at .* given is"),
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

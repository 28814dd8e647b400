"""Activations and costs of the user's own, beside the built-in ones that they repeat."""

import copy
import math
import os
import pickle
import types

import numba
import numpy as np
import pytest
from helpers import DTYPES, close, compiled_only, few, network, real_data

import fastbp
from fastbp import activations, costs, jit
from fastbp.kernels.compile import JIT
from fastbp.persistence import networks


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
    row = fastbp.register_activation(lambda x: np.tanh(x), derivative, name="my_tanh")
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
    fastbp.register_cost(lambda y, o: (o - y) ** 2 / 2, derivative, name="half_square")
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
        fastbp.register_activation(function, name="own").kernel(panel, slope, 1)
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
    fastbp.register_activation(function, name="limited")
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


def test_what_kernels_do_without():
    """A user's function is compiled with all of Numba's passes: a function within it, what depends on None."""
    scale = None

    def bent(x):
        def square(t):
            return t * t

        if scale is None:
            return square(x)
        return square(x) * scale

    x = np.linspace(-2, 2, 9)
    found, slope = own_slopes(bent, x)
    close(found, x**2)
    close(slope, 2 * x)


def test_a_target_has_no_slope(rng):
    """At y = 0 the slope of log(y) is infinite, but nothing of it belongs to ∂C/∂o."""
    row = fastbp.register_cost(lambda y, o: np.sqrt(y) * o + o, name="mixed")
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
        fastbp.register_activation(function, name="slow")


def test_what_duals_cannot_do_goes_with_its_derivative():
    fastbp.register_activation(lambda x: np.floor(x) * 0 + x, lambda x: 1.0, name="straight")
    fastbp.register_cost(lambda y, o: np.rint(y) * 0 + o, lambda y, o: 1.0, name="plain")
    net = fastbp.Network((1, 1), output="straight", cost="plain", dtype="float64")
    net.parameters[:] = 2, 0.5
    close(net.predict([[3.0]]).ravel(), [6.5])
    close(net.gradient([[3.0]], [[1.0]]), [3, 1])


def test_a_kink_with_its_derivative(rng):
    fastbp.register_activation(lambda x: x if x > 0 else 0.2 * x, lambda x: 1.0 if x > 0 else 0.2, name="steep")
    net = fastbp.Network((1, 1), output="steep", dtype="float64")
    net.parameters[:] = 1, 0
    close(net.predict([[2.0], [-2.0]]).ravel(), [2, -0.4])
    close(net.jacobian([[2.0], [-2.0]]).ravel(), [1, 0.2])


def test_names_are_saved_and_must_be_registered(tmp_path, rng):
    def bent(x):
        return (np.sqrt(x * x + 1) - 1) / 2 + x

    fastbp.register_activation(bent)
    fastbp.register_cost(lambda y, o: np.log(1 + (o - y) ** 2), name="cauchy", output="bent")
    net = fastbp.Network((3, 4, 2), "bent", cost="cauchy", dtype="float64", seed=0)
    assert net.activations == ("bent", "bent")
    X = rng.normal(size=(5, 3))
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(fastbp.Network.load(tmp_path / "net").predict(X), net.predict(X))
    np.testing.assert_array_equal(net.copy().predict(X), net.predict(X))
    del activations.ACTIVATIONS["bent"]
    with pytest.raises(ValueError, match="unknown activation 'bent'.*fastbp.register_activation"):
        fastbp.Network.load(tmp_path / "net")
    fastbp.register_activation(bent)
    del costs.COSTS["cauchy"]
    with pytest.raises(ValueError, match="unknown cost 'cauchy'"):
        fastbp.Network.load(tmp_path / "net")


def test_a_network_keeps_the_functions_that_it_was_made_with(tmp_path):
    fastbp.register_activation(lambda x: 2 * x, lambda x: 2.0, second_derivative=lambda x: 0.0, name="mine")
    net = fastbp.Network((1, 1, 1), "mine", output="mine", dtype="float64", bias=False)
    net.parameters[:] = 1
    X, Y = np.array([[1.0], [2.0]]), np.zeros((2, 1))
    close(net.predict(X), 4 * X)  # its workspace goes back to the pool
    fastbp.register_activation(lambda x: x**3, lambda x: 3 * x**2, second_derivative=lambda x: 6 * x, name="mine")
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
    for twin in (copy.copy(net), copy.deepcopy(net), copy.deepcopy([net, net])[1]):
        close(twin.predict(X), 4 * X)
        close(twin.fit(X, Y, epochs=1).reset(0).gradient(X, Y), net.copy().reset(0).gradient(X, Y))
    new = fastbp.Network((1, 1, 1), "mine", output="mine", dtype="float64", bias=False)
    new.parameters[:] = 1
    close(new.predict(X), X**9)
    net.save(tmp_path / "net")
    with pytest.raises(ValueError, match="saved by a network with another function: in this process the activation "
                                         "mine gives other values"):
        fastbp.Network.load(tmp_path / "net")
    fastbp.register_activation(lambda x: x + x, name="mine")  # written otherwise, it is the same
    close(fastbp.Network.load(tmp_path / "net").predict(X), 4 * X)


def by_closure(k):
    return lambda x: k * np.tanh(x)


def in_a_loop():
    for k in (1.0, 2.0, 3.0):
        yield lambda x: k * np.tanh(x), k  # noqa: B023


def by_global():
    global FACTOR, TABLE
    for FACTOR in (1.0, 2.0, 3.0):  # noqa: B007
        TABLE = np.array([FACTOR])
        yield lambda x: FACTOR * np.tanh(x), FACTOR  # noqa: B023
        yield lambda x: TABLE[0] * np.tanh(x), FACTOR  # noqa: B023
        TABLE[0] = 77


def through_another_function():
    global FACTOR, TWIN
    for FACTOR in (1.0, 2.0):  # noqa: B007
        inner = numba.njit(lambda x: FACTOR * np.tanh(x))  # noqa: B023
        TWIN = numba.njit(lambda x: inner(x) + 0 * x)  # noqa: B023
        yield lambda x: inner(x), FACTOR  # noqa: B023
        yield lambda x: TWIN(x), FACTOR  # noqa: B023
        yield inner, FACTOR


def by_default():
    for k in (1.0, 2.0, 3.0):
        yield lambda x, k=k: k * np.tanh(x), k


def by_module():
    settings, inner = types.ModuleType("settings"), types.ModuleType("settings.inner")
    settings.inner = inner
    settings.twice = numba.njit(lambda x: inner.k * np.tanh(x))
    for settings.k in (1.0, 2.0):
        inner.k = settings.k
        yield lambda x: settings.k * np.tanh(x), settings.k
        yield lambda x: settings.inner.k * np.tanh(x), settings.k
        yield lambda x: settings.twice(x), settings.k


@pytest.mark.parametrize("functions", [in_a_loop, by_global, through_another_function, by_default, by_module])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_a_function_refers_to_is_what_it_was(functions, dtype):
    """Numba reads it when it compiles, for float32 long after the registration."""
    nets, factors = [], []
    for function, factor in functions():
        fastbp.register_activation(function, name="late")
        nets.append(fastbp.Network((1, 1), output="late", bias=False, dtype=dtype, init="zeros"))
        factors.append(factor)
    for net, factor in zip(nets, factors, strict=True):
        net.parameters[:] = 1
        close(net.predict([[1.0]]), [[factor * np.tanh(1)]], dtype)
        close(net.jacobian([[1.0]]), [[[factor / np.cosh(1) ** 2]]], dtype)
        close(net.copy().hessian([[1.0]], [[factor]]).ravel(),
              [factor**2 / np.cosh(1) ** 4 - 2 * factor**2 * (np.tanh(1) - 1) * np.tanh(1) / np.cosh(1) ** 2],
              dtype, 50)


@pytest.mark.parametrize("dtype", DTYPES)
def test_costs_and_derivatives_of_a_loop_are_of_their_own(dtype):
    costs_of, nets = [], []
    for k in (1.0, 2.0, 3.0):
        costs_of.append(fastbp.register_cost(lambda y, o: k * (o - y) ** 2, lambda y, o: 2 * k * (o - y),  # noqa: B023
                                    second_derivative=lambda y, o: 2 * k + 0 * o, name="weighted"))  # noqa: B023
        nets.append(fastbp.Network((1, 1), cost=costs_of[-1], bias=False, dtype=dtype, init="zeros"))
    for k, net in zip((1.0, 2.0, 3.0), nets, strict=True):
        close(net.cost([[1.0]], [[1.0]]), k, dtype)
        close(net.gradient([[1.0]], [[1.0]]), [-2 * k], dtype)
        close(net.hessian([[1.0]], [[1.0]]), [[2 * k]], dtype)


@pytest.mark.filterwarnings("ignore:cube is computed one number at a time")
def test_functions_that_call_themselves_and_empty_closures():
    @numba.njit
    def power(x, n):
        return x if n <= 1 else x * power(x, n - 1)

    if False:
        nothing = 1  # noqa: F841

    def cube(x):
        if x != x:
            return x
        return power(x, 3)

    row = fastbp.register_activation(cube, lambda x: 3 * x * x, name="cube")
    panel, slope = np.array([2.0]), np.empty(1)
    row.kernel(panel, slope, 1)
    close(panel, [8])


def test_the_same_function_is_compiled_once():
    """Numba never frees machine code."""
    def rows(k, scale):
        return (fastbp.register_activation(by_closure(k), name="a"),
                fastbp.register_activation(by_closure(k), name="b"),
                fastbp.register_cost(lambda y, o: scale[0] * k * (o - y) ** 2, name="c"))

    first, again, other = rows(1.5, np.ones(2)), rows(1.5, np.ones(2)), rows(2.5, np.full(2, 3.0))
    assert first[0].kernel is first[1].kernel
    for one, same, another in zip(first, again, other, strict=True):
        assert one.kernel is same.kernel and one.values == same.values
        assert one.second_derivative is same.second_derivative
        assert one.kernel is not another.kernel and one.values != another.values
    assert again[1].name == "b" and activations.get("b") is other[1]


@pytest.mark.filterwarnings("ignore:slow is computed one number at a time")
@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_a_slow_function_says_so_again():
    for _ in range(2):
        with pytest.warns(UserWarning, match="slow is computed one number at a time"):
            fastbp.register_activation(halved, name="slow")


def halved_error(y, o):
    e = o - y
    while abs(e) > 0.5:
        e = e / 2
    return e * e


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize("make", [
    lambda: fastbp.register_activation(halved, name="slow"),
    lambda: fastbp.Network((1, 2, 1), activation=halved),
    lambda: fastbp.Network((1, 2, 1), activation=[halved]),
    lambda: fastbp.Network((1, 1), output=[halved]),
    lambda: fastbp.Network((1, 1), cost=halved_error),
])
def test_the_warning_of_a_slow_function_names_the_user_s_line(make):
    with pytest.warns(UserWarning, match="is computed one number at a time") as caught:
        make()
    assert [(found.filename, found.lineno) for found in caught] == [(__file__, make.__code__.co_firstlineno)]


def own_network():
    fastbp.register_activation(by_closure(2.0), name="twofold")
    fastbp.register_cost(lambda y, o: np.log(1 + (o - y) ** 2), name="cauchy", output="twofold")
    net = fastbp.Network((2, 3, 1), "twofold", cost="cauchy", dtype="float64", seed=0)
    return net, np.array([[0.5, -1.0], [2.0, 1.0]])


USES = {
    "predict": lambda net, X: net.predict(X), "one": lambda net, X: net.predict(X[0]),
    "fit": lambda net, X: net.fit(X, X[:, :1], epochs=1), "cost": lambda net, X: net.cost(X, X[:, :1]),
    "gradient": lambda net, X: net.gradient(X, X[:, :1]), "jacobian": lambda net, X: net.jacobian(X),
    "hessian": lambda net, X: net.hessian(X, X[:, :1]), "trace": lambda net, X: net.trace(X, X[:, :1]),
    "outputs": lambda net, X: net.layer_outputs(X, 1), "compiled": lambda net, X: net.compiled(),
    "cfunc": lambda net, X: net.cfunc(), "reset": lambda net, X: net.reset(1),
    "copy": lambda net, X: net.copy().predict(X),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("lost", "message"), [
    (lambda: activations.ACTIVATIONS.pop("twofold"),
     "there is no activation 'twofold' in this process.*"
     r"call fastbp.register_activation\(..., name='twofold'\) here too"),
    (lambda: costs.COSTS.pop("cauchy"), "there is no cost 'cauchy' in this process.*call fastbp.register_cost"),
    (lambda: fastbp.register_activation(by_closure(2.0001), name="twofold"),
     "activation 'twofold' is another function in this"),
    (lambda: fastbp.register_cost(lambda y, o: (o - y) ** 2, name="cauchy"),
     "cost 'cauchy' is another function in this"),
], ids=["no activation", "no cost", "another activation", "another cost"])
def test_a_pickle_says_what_is_missing_when_it_is_used(lost, message, use):
    """Not when it is unpickled: an error there ends the worker of a pool, which then waits for ever."""
    net, X = own_network()
    data, before = pickle.dumps(net), net.parameters.copy()
    lost()
    again = pickle.loads(data)
    assert repr(again) == repr(net) and again.activations == net.activations
    assert again.architecture() == net.architecture() and again.summary() == net.summary()
    with pytest.raises(ValueError, match=message):
        USES[use](again, X)
    assert (again.parameters == before).all() and again._progress is None
    third = pickle.loads(pickle.dumps(again))  # as it goes back to the process that it came from
    own_network()
    for twin in (again, third, pickle.loads(data)):
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))


def test_a_file_says_what_is_missing(tmp_path):
    net, X = own_network()
    data = pickle.dumps(net)
    net.save(tmp_path / "net")
    fastbp.register_cost(lambda y, o: (o - y) ** 2, name="cauchy")
    with pytest.raises(ValueError, match="the cost cauchy gives other values"):
        fastbp.Network.load(tmp_path / "net")
    with pytest.raises(ValueError, match="another function"):
        pickle.loads(data).save(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    own_network()
    np.testing.assert_array_equal(fastbp.Network.load(tmp_path / "net").predict(X), net.predict(X))


@pytest.mark.parametrize("functions", [3, {}, {"activation twofold": 3}, {"activation twofold": "xyz"}])
def test_a_file_whose_functions_are_none(functions, tmp_path, monkeypatch):
    net, _ = own_network()
    monkeypatch.setattr(networks, "fingerprints", lambda network: functions)
    net.save(tmp_path / "net")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has a corrupt header"):
        fastbp.Network.load(tmp_path / "net")


def test_a_kernel_that_is_missing_says_so_itself():
    net, _ = own_network()
    row, cost = pickle.dumps(net._architecture.activations[0]), pickle.dumps(net.cost_function)
    assert pickle.loads(row) is net._architecture.activations[0] and pickle.loads(cost) is net.cost_function
    del activations.ACTIVATIONS["twofold"], costs.COSTS["cauchy"]
    with pytest.raises(ValueError, match="no activation 'twofold'"):
        pickle.loads(row).kernel(np.zeros(1), np.zeros(1), 1)
    lost = pickle.loads(cost)
    assert (lost.name, lost.output, lost.targets, str(lost)) == ("cauchy", "twofold", costs.ANY, "'cauchy'")
    with pytest.raises(ValueError, match="no cost 'cauchy'"):
        lost.second_derivative()


def test_functions_are_equal_where_they_are_the_same():
    """Not where two of them have a name in common, as all lambdas have."""
    nets = [fastbp.Network((1, 2, 1), lambda x, a=a: a * x, cost=lambda y, o, a=a: a * (o - y) ** 2, seed=0)
            for a in (1.0, 2.0)]
    for net, other in zip(nets, nets[::-1], strict=True):
        assert repr(copy.deepcopy(net)) == repr(copy.copy(net)) == repr(net) == repr(other)
        lost = pickle.loads(pickle.dumps(net))
        for one, two, missing, again in zip(*map(functions_of, (net, other, lost, pickle.loads(pickle.dumps(lost)))),
                                            strict=True):
            assert one == one and one != two and one != missing and missing == again
            assert len({one, two, missing, again}) == 3
            assert missing != pickle.loads(pickle.dumps(two))
    assert fastbp.huber(2.0) == fastbp.huber(2.0) != fastbp.huber(3.0)
    assert costs.by_output(nets[0].cost_function) == costs.by_output(nets[0].cost_function) != costs.by_output(
        nets[1].cost_function)


def functions_of(net):
    return net._architecture.activations[0], net.cost_function


@compiled_only
@pytest.mark.parametrize("pool", ["Pool", "ProcessPoolExecutor", "loky"])
def test_a_worker_that_does_not_know_a_function(pool, tmp_path, run_python):
    """The error reaches the caller, and with the same function registered in the worker it computes the same."""
    if pool == "loky":
        pytest.importorskip("joblib", reason="comes with scikit-learn, in the test extra")
    (tmp_path / "worker.py").write_text("""
import numpy as np, fastbp
def register():
    fastbp.register_activation(lambda x: 2 * np.tanh(x), name="twofold")
def use(net):
    return net.predict([[0.5, -1.0]])
def register_and_use(net):
    register()
    return use(net)
""")
    script = f"""
import concurrent.futures, multiprocessing, numpy as np, fastbp, worker
worker.register()
net = fastbp.Network((2, 3, 1), "twofold", dtype="float64", seed=0)
def run(function):
    context = multiprocessing.get_context("spawn")
    if {pool!r} == "Pool":
        with context.Pool(1) as pool:
            return pool.map_async(function, [net]).get(timeout=60)[0]
    if {pool!r} == "loky":
        import joblib
        return joblib.Parallel(2)([joblib.delayed(function)(net)] * 2)[0]
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(function, net).result(timeout=60)
if __name__ == "__main__":
    try:
        run(worker.use)
    except ValueError as error:
        assert "no activation 'twofold' in this process" in str(error), error
    else:
        raise AssertionError("no error")
    assert (run(worker.register_and_use) == worker.use(net)).all()
    print("done")
"""
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert "done" in run_python(script, environment={"PYTHONPATH": path})


@pytest.mark.parametrize(("call", "message"), [
    (lambda: fastbp.register_activation(np.tanh, lambda x: 1 - np.tanh(x), name="wrong"),
     r"wrong: at -?\d.* given is .*, but central differences give"),
    (lambda: fastbp.register_activation(lambda x: np.floor(x) * x, name="wrong"),
     "cannot be differentiated: No implementation of .*floor.*; give derivative="),
    (lambda: fastbp.register_activation(lambda x: x.nothing, lambda x: x, name="wrong"),
     "cannot be compiled: .*nothing"),
    (lambda: fastbp.register_activation(lambda x: x), "needs a name"),
    (lambda: fastbp.register_activation(lambda x: x, name="tanh"), "'tanh' is a built-in activation"),
    (lambda: fastbp.register_activation(lambda x: x, name="wrong", initializer="none"), "unknown init 'none'"),
    (lambda: fastbp.register_activation(lambda x: x * np.nan, lambda x: x, name="wrong"), "finite anywhere"),
    (lambda: fastbp.register_cost(lambda y, o: o * y, lambda y, o: o, name="wrong"), "wrong: at .* given is"),
    (lambda: fastbp.register_cost(lambda y, o: o, name="huber"), "'huber' is a built-in cost"),
    (lambda: fastbp.register_cost(lambda y, o: o, name="wrong", output="none"), "unknown activation"),
])
def test_what_cannot_be_registered(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert "wrong" not in activations.ACTIVATIONS and "wrong" not in costs.COSTS


@pytest.mark.parametrize("arguments", [(3,), (lambda x: x, 3)])
def test_what_is_no_function(arguments):
    with pytest.raises(TypeError, match="3, expected a function"):
        fastbp.register_activation(*arguments, name="wrong")

"""Costs that read more than a target for each output, functions given directly, and outputs of several kinds."""

import copy
import functools
import pickle
import warnings

import naive
import numpy as np
import pytest
from helpers import close, compiled_only, few, naive_layers, network

import fastbp
from fastbp import Network, activations, costs

N = few(37, 9)


@pytest.fixture(autouse=True)
def catalogues():
    """Leave them as they were."""
    before = dict(activations.ACTIVATIONS), dict(costs.COSTS)
    yield
    for catalogue, known in zip((activations.ACTIVATIONS, costs.COSTS), before, strict=True):
        catalogue.clear()
        catalogue.update(known)


def option(y, o, weight, shift):
    """Weighted, and with a shift that only some samples have."""
    return weight * np.log(1 + (o - y - shift) ** 2)


def option_slope(y, o, weight, shift):
    e = o - y - shift
    return weight * 2 * e / (1 + e**2)


def policy(y, o):
    return -y[1] * np.log(o[int(y[0])])


def distance(y, o):
    """All outputs of a sample together."""
    total = 0.0
    for j in range(len(o)):
        total += (o[j] - y[j]) ** 2
    return np.sqrt(1 + total)


def agree(net, X, Y, C, slope):
    """Cost and gradients beside those of a cost's values (n,) and slopes (n, n_L) of one's own."""
    out = net.predict(X).reshape(len(X), -1).astype(float)
    cost, gradient = net.cost_and_gradient(X, Y)
    close(cost, C(out).mean(), net.dtype)
    U = slope(out)
    close(gradient, net.parameter_vjp(X, U) / len(X), net.dtype, factor=4)
    close(net.input_gradient(X, Y), net.vjp(X, U), net.dtype, factor=4)
    close(net.per_sample_gradient(X, Y).mean(axis=0), gradient, net.dtype, factor=4)
    work, found = fastbp.jit.workspace(model := net.compiled()), np.empty_like(net.parameters)
    Y = Y.astype(net.dtype)
    close(fastbp.jit.cost_and_gradient_batch(model, X, Y, found, work), cost, net.dtype, factor=4)
    close(found, gradient, net.dtype, factor=4)
    one = fastbp.jit.cost_and_gradient(model, X[0], Y[0], found, work)  # neurons in lanes
    close([one], C(out)[:1], net.dtype, factor=4)
    close(found, net.per_sample_gradient(X[0], Y[0]), net.dtype, factor=8)
    assert np.isnan(fastbp.jit.functions.cost_and_gradient(model, X[0], Y[0, :-1].copy(), found, work))


def test_a_cost_with_columns_of_its_own(rng):
    fastbp.register_cost(option)
    X, Y = rng.normal(size=(N, 3)), rng.normal(size=(N, 4))
    y, a, b = Y[:, :2], Y[:, 2:3], Y[:, 3:]
    agree(network((3, 5, 2), cost="option", dtype="float64"), X, Y, lambda o: option(y, o, a, b).sum(axis=1),
          lambda o: option_slope(y, o, a, b))
    other = fastbp.register_cost(option, option_slope, name="sloped")
    assert (other.extra, other.columns(5)) == (2, 7)
    close(Network((3, 5, 2), cost="sloped", dtype="float64", seed=0).gradient(X, Y),
          Network((3, 5, 2), cost="option", dtype="float64", seed=0).gradient(X, Y))


def test_a_cost_of_all_outputs(rng):
    fastbp.register_cost(distance, whole=True)
    fastbp.register_cost(policy, whole=True, columns=2, output="softmax")
    X, Y = rng.normal(size=(N, 3)), rng.normal(size=(N, 4))

    def root(o):
        return np.sqrt(1 + ((o - Y) ** 2).sum(axis=1))

    agree(network((3, 5, 4), cost="distance", dtype="float64"), X, Y, root, lambda o: (o - Y) / root(o)[:, None])
    rows, action, advantage = np.arange(N), rng.integers(4, size=N), rng.normal(size=N)
    slopes = np.zeros((N, 4))

    def slope(o):
        slopes[rows, action] = -advantage / o[rows, action]
        return slopes

    agree(network((3, 5, 4), cost="policy", dtype="float64"), X, np.stack([action, advantage], axis=1),
          lambda o: -advantage * np.log(o[rows, action]), slope)


@pytest.mark.parametrize("batch, threads", [(1, 1), (8, 2), (N, 1)])
def test_they_are_trained_with(batch, threads, rng):
    """Beside a built-in cost, written once more; rows may be missing as a whole, and have weights."""
    fastbp.register_cost(lambda y, o, w: w * 0.5 * (o - y) ** 2, name="weighted")
    X, Y, w = rng.normal(size=(N, 3)), rng.normal(size=(N, 2)), rng.uniform(0.5, 2, N)
    fits = dict(epochs=3, batch_size=batch, threads=threads, validation=0.25, optimizer="sgd")
    one = network((3, 5, 2), cost="weighted", dtype="float64").fit(X, np.column_stack([Y, np.ones(N)]), **fits)
    other = network((3, 5, 2), dtype="float64").fit(X, Y, **fits)
    close(one.parameters, other.parameters)
    close(one.history.validation_cost, other.history.validation_cost)
    data, known = np.column_stack([Y, w]), np.arange(N) % 4 != 1
    data[~known] = np.nan
    fits.pop("validation")
    net = network((3, 5, 2), cost="weighted", dtype="float64").fit(X, data, missing="ignore", shuffle=False, **(
        fits | {"batch_size": N}))
    same = network((3, 5, 2), cost="weighted", dtype="float64").fit(X[known], data[known], shuffle=False, **(
        fits | {"batch_size": N}))
    close(net.parameters, same.parameters)
    step = one.copy()
    step.train_on_batch(X, np.column_stack([Y, w]))
    one.fit(X, np.column_stack([Y, w]), epochs=1, batch_size=N, resume=True)
    close(step.parameters, one.parameters)


def test_slopes_of_a_cost_with_data(rng):
    fastbp.register_cost(lambda y, o, w: w * 0.5 * (o - y) ** 2, name="weighted")
    X, Y, J = rng.normal(size=(N, 3)), rng.normal(size=(N, 2)), rng.normal(size=(N, 2, 3))
    one, other = network((3, 4, 2), cost="weighted", dtype="float64"), network((3, 4, 2), dtype="float64")
    found = one.cost_and_gradient(X, np.column_stack([Y, np.ones(N)]), target_jacobian=J)
    expected = other.cost_and_gradient(X, Y, target_jacobian=J)
    close(found[0], expected[0])
    close(found[1], expected[1])


@pytest.mark.parametrize("call, wrong", [
    (lambda: fastbp.register_cost(policy, whole=1), "whole is 1"),
    (lambda: fastbp.register_cost(policy, columns=2), "columns is 2, expected with whole=True"),
    (lambda: fastbp.register_cost(policy, whole=True, columns=2**20 + 1), "columns is 1048577, .* from 1 to 1048576"),
    (lambda: fastbp.whole_cost(policy, columns=10**8), "columns is 100000000, expected"),
    (lambda: fastbp.whole_cost(policy, columns=True), "columns is True"),
    (lambda: fastbp.whole_cost(policy, columns=2.0), "columns is 2.0"),
    (lambda: fastbp.register_cost(policy, option_slope, whole=True, columns=2), "computed by dual numbers"),
    (lambda: fastbp.register_cost(option, second_derivative=option), "second_derivative is given"),
    (lambda: fastbp.register_cost(lambda y: y, name="one"), "takes 1 arguments, expected y and o"),
    (lambda: fastbp.register_cost(lambda y, o: o[50], name="far", whole=True), "neither value nor derivative"),
    (lambda: fastbp.register_cost(lambda y, o: sum(o), name="summed", whole=True), "cannot be"),
    (lambda: fastbp.whole_cost(lambda y, o: o - y), "it is C.y, o. of numbers that it takes by index"),
    (lambda: made().fit(np.zeros((5, 3)), np.zeros((5, 2))), r"Y has shape \(5, 2\), expected \(5, 4\).*reads 4"),
    (lambda: made().fit(np.zeros((5, 3)), np.zeros((5, 4)), optimizer="lm"), "'option' reads further columns"),
    (lambda: made().hessian_diagonal(np.zeros((5, 3)), np.zeros((5, 4))), "reads further columns"),
    (lambda: made().fit(np.zeros((5, 3)), np.zeros((5, 4)), metrics=["r2"]),
     "metric 'r2' is for costs of one output.*a function of your own.* cost.X, Y."),
    (lambda: made().score(np.zeros((5, 3)), np.zeros((5, 4))), "metric 'r2' .*: give a function of your own"),
    (lambda: made().fit(np.zeros((5, 3)), np.eye(5, 4) * np.nan, missing="ignore"), "is missing in part|no target"),
    (lambda: made().cost(np.zeros((5, 3)), np.zeros((5, 4)), np.arange(10).reshape(5, 2)), "weights of single outputs"),
])
def test_what_they_are_not_for(call, wrong):
    with pytest.raises((ValueError, TypeError), match=wrong):
        call()


def test_metrics_of_ones_own_see_the_columns(rng):
    X, Y = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    seen = []
    net = made()
    assert net.score(X, Y, metric=noting(seen)) == 1.0
    (y, o), = seen
    np.testing.assert_array_equal(y, Y.astype(net.dtype))
    np.testing.assert_array_equal(o, net.predict(X))


def noting(seen):
    def noted(y_true, y_pred):
        seen.append((y_true, y_pred))
        return 1
    return noted


def made():
    fastbp.register_cost(option)
    return Network((3, 5, 2), cost="option")


class Callable:
    def __call__(self, y, o):
        return (o - y) ** 2

    def method(self, y, o):
        return (o - y) ** 2


@pytest.mark.parametrize("take", [
    fastbp.register_cost, fastbp.whole_cost, lambda f: Network((3, 2), cost=f), fastbp.register_activation,
    lambda f: Network((3, 4, 2), f), lambda f: Network((3, 2), output=["identity", f]),
])
@pytest.mark.parametrize("function", [functools.partial(option, weight=1, shift=0), Callable(), Callable().method,
                                      Callable])
def test_what_is_no_function_that_numba_compiles(take, function):
    with pytest.raises(TypeError, match="^function is .*, which Numba does not compile, expected a plain function"):
        take(function)


@pytest.mark.parametrize("take", [fastbp.register_cost, fastbp.whole_cost, fastbp.register_activation])
def test_none_is_no_function(take):
    with pytest.raises(TypeError, match="^function is None, expected a function"):
        take(None)


def test_columns_may_be_a_number_of_numpys():
    cost = fastbp.whole_cost(lambda y, o: (o[0] - y[2]) ** 2, columns=np.int64(3))
    net = network((3, 1), cost=cost, dtype="float64")
    X, Y = np.eye(3), np.arange(9.0).reshape(3, 3)
    close(net.cost(X, Y), np.mean((net.predict(X)[:, 0] - Y[:, 2]) ** 2))


def test_functions_may_be_given_directly(rng, tmp_path):
    def swell(x):
        return x + 0.5 * np.tanh(x)

    def quartic(y, o):
        return 0.25 * (o - y) ** 4

    X, Y = rng.normal(size=(N, 3)), rng.normal(size=(N, 2))
    net = Network((3, 5, 2), activation=swell, cost=quartic, dtype="float64", seed=0)
    known = set(activations.ACTIVATIONS) | set(costs.COSTS)
    named = Network((3, 5, 2), activation=fastbp.register_activation(swell), cost=fastbp.register_cost(quartic),
                    dtype="float64", seed=0)
    assert {"<swell>", "<quartic>"}.isdisjoint(known) and net.activations[0] == "<swell>"
    for each in (net, copy.deepcopy(net), Network((3, 5, 2), activation=[swell], cost=quartic, dtype="float64",
                                                  seed=0)):
        np.testing.assert_array_equal(each.gradient(X, Y), named.gradient(X, Y))
    with pytest.raises(ValueError, match="given to the network as a function.*register"):
        net.save(tmp_path / "net")
    assert not (tmp_path / "net").exists()
    lost = pickle.loads(pickle.dumps(net))
    with pytest.raises(ValueError, match="activation <swell> was given .* as a function.*register it"):
        lost.predict(X)
    assert repr(net).startswith("<Network(") and Network((3, 2), output=lambda x: x).activations == ("<lambda>",)
    with pytest.raises(ValueError, match="needs a name"):
        fastbp.register_cost(quartic, name="<q>")
    with pytest.raises(ValueError, match="cannot be"):
        Network((3, 2), cost=lambda y, o: o.nonsense)


def test_a_cost_of_all_outputs_may_be_given_directly(rng, tmp_path):
    fastbp.register_cost(distance, whole=True)
    fastbp.register_cost(policy, whole=True, columns=2, output="softmax")
    known = set(costs.COSTS)
    X, Y = rng.normal(size=(N, 3)), rng.normal(size=(N, 4))
    actions = np.stack([rng.integers(4, size=N), rng.normal(size=N)], axis=1)
    for cost, name, targets in ((fastbp.whole_cost(distance), "distance", Y), (
            fastbp.whole_cost(policy, columns=2, output="softmax"), "policy", actions)):
        net, named = (network((3, 5, 4), cost=each, dtype="float64") for each in (cost, name))
        assert net.activations == named.activations and net.cost_function.name == f"<{name}>"
        for twin in (net, copy.deepcopy(net)):
            np.testing.assert_array_equal(twin.gradient(X, targets), named.gradient(X, targets))
        net.fit(X, targets, epochs=2)
        np.testing.assert_array_equal(net.parameters, named.fit(X, targets, epochs=2).parameters)
        with pytest.raises(ValueError, match="given to the network as a function.*register"):
            net.save(tmp_path / "net")
    assert set(costs.COSTS) == known
    for call, wrong in ((lambda: Network((3, 4), cost=distance), r"cost=fastbp.whole_cost\(function\)"),
                        (lambda: fastbp.whole_cost(distance, columns=0), "columns is 0"),
                        (lambda: fastbp.whole_cost("mse"), "function is 'mse', expected a function")):
        with pytest.raises((ValueError, TypeError), match=wrong):
            call()


def test_a_pickle_finds_its_cost_again_and_the_columns_that_it_reads(rng):
    """Also where weights of single outputs stand between the two."""
    X, Y = rng.normal(size=(N, 3)), rng.uniform(1, 2, (N, 4))
    holes = np.where(rng.random((N, 2)) < 0.3, np.nan, Y[:, :2])

    def cauchy(y, o):
        return np.log(1 + (o - y) ** 2)

    for function, calls in ((option, [lambda net: net.cost(X, Y)]),
                            (cauchy, [lambda net: net.cost(X, Y[:, :2]),
                                      lambda net: net.cost(X, holes, missing="ignore")])):
        fastbp.register_cost(function)
        net = network((3, 5, 2), cost=function.__name__, dtype="float64")
        expected = [call(net) for call in calls]
        data = pickle.dumps(net)
        del costs.COSTS[function.__name__]
        again = pickle.loads(data)
        for call in calls:
            with pytest.raises(ValueError, match="there is no cost .* in this process"):
                call(again)
        fastbp.register_cost(function)
        for net in (again, pickle.loads(pickle.dumps(again))):
            close([call(net) for call in calls], expected)


def test_single_outputs_have_activations_of_their_own(rng, tmp_path):
    names = ["identity", "softplus", "softplus", "tanh"]
    for dtype in few(["float32", "float64"], ["float64"]):
        net = network((3, 5, 4), output=names, dtype=dtype)
        X, Y = rng.normal(size=(N, 3)).astype(dtype), rng.normal(size=(N, 4)).astype(dtype)
        before = network((3, 5, 4), output="identity", dtype=dtype).predict(X).astype(float)
        expected = np.stack([naive.ACTIVATIONS[name][0](column) for name, column in zip(names, before.T, strict=True)],
                            axis=1)
        close(net.predict(X), expected, dtype)
        close(net.predict(X[0]), expected[0], dtype)
        slopes = np.stack([naive.ACTIVATIONS[name][1](column) for name, column in zip(names, before.T, strict=True)],
                          axis=1)
        U = (expected - Y) * slopes
        plain = network((3, 5, 4), output="identity", dtype=dtype)
        close(net.gradient(X, Y), plain.parameter_vjp(X, U) / N, dtype, factor=8)
    direction = rng.normal(size=net.n_parameters)
    step, at = 1e-5, net.parameters.copy()
    sides = []
    for sign in (1, -1):
        net.parameters = at + sign * step * direction
        sides.append(net.gradient(X, Y))
    net.parameters = at
    close(net.hessian_vector_product(X, Y, direction), (sides[0] - sides[1]) / (2 * step), factor=1e4)
    net.fit(X, Y, epochs=2, batch_size=1).save(tmp_path / "net")
    for other in (Network.load(tmp_path / "net"), pickle.loads(pickle.dumps(net)), net.copy()):
        np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert net.activations[-1] == "identity|softplus|softplus|tanh"
    assert eval(repr(net), {"Network": Network}).activations == net.activations
    assert Network((3, 2), output=["tanh", "tanh"]).activations == ("tanh",)
    for given, wrong in ((["tanh"] * 3 + ["softplus"], "output has 4 activations"),
                         (["tanh"] * 3, "output has 3 activations"), (["tanh", "softmax"], "'softmax'"),
                         (["tanh", "oops"], "oops"), ([], "has 0 activations"),
                         (["parametric(mish)", "tanh"], "no parameters")):
        with pytest.raises(ValueError, match=wrong):
            Network((3, 2), output=given)
    with pytest.raises(ValueError, match="for the output layer only"):
        Network((3, 2, 2), activation="tanh|identity")


@compiled_only
def test_a_function_of_the_users_among_them(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = Network((3, 2), output=["identity", lambda x: x * x + 1], seed=0, dtype="float64")
    X = rng.normal(size=(9, 3))
    identity, squared = (X @ net.weights[0].T).T
    close(net.predict(X), np.stack([identity, squared**2 + 1], axis=1))
    assert len(naive_layers(net)) == 1


@pytest.mark.parametrize(("names", "message"), [
    ([], "no activation 'bent' in this process.*name='bent'"), (["bent"], "'bent' is another function"),
])
def test_a_pickle_names_the_function_that_is_missing_among_them(names, message):
    fastbp.register_activation(lambda x: x * x + 1, name="bent")
    data = pickle.dumps(Network((3, 2), output=["identity", "bent"], seed=0))
    del activations.ACTIVATIONS["bent"]
    for name in names:
        fastbp.register_activation(lambda x: 3 * x, name=name)
    with pytest.raises(ValueError, match=message):
        pickle.loads(data).predict(np.zeros((1, 3)))


def test_ensembles_compare_targets_and_nothing_that_stands_behind_them(rng, tmp_path):
    fastbp.register_cost(option)
    fastbp.register_cost(policy, whole=True, columns=2, output="softmax")
    X, Y = rng.normal(size=(N, 3)), rng.uniform(1, 2, (N, 4))
    net = network((3, 2), cost="option", dtype="float64")
    ensemble = fastbp.Ensemble.folds(net, X, Y, k=2, seed=0, epochs=1)
    missed = ((ensemble.oob_predictions - Y[:, :2]) ** 2).sum(axis=0) / ((Y[:, :2] - Y[:, :2].mean(axis=0)) ** 2).sum(
        axis=0)
    close(ensemble.oob_score, 1 - missed.mean())
    ensemble.calibrate(X, Y).save(tmp_path / "ensemble")
    again = fastbp.Ensemble.load(tmp_path / "ensemble")
    for method in ("cv+", "split"):
        np.testing.assert_array_equal(again.predict_interval(X, 0.6, method), ensemble.predict_interval(X, 0.6, method))
    net = network((3, 2), cost="policy", dtype="float64")
    actions = np.stack([np.arange(N) % 2, np.ones(N)], axis=1)
    for call in (lambda: fastbp.Ensemble.folds(net, X, actions, k=2, epochs=1),
                 lambda: fastbp.Ensemble.bootstrap(net, X, actions, n=2, epochs=1),
                 lambda: fastbp.Ensemble([net]).calibrate(X, actions)):
        with pytest.raises(ValueError, match="'policy' reads 2 numbers of Y"):
            call()

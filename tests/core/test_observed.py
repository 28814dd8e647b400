"""Samples of which a part is known or counts: weights of single outputs, missing targets, slopes without values."""

import naive
import numpy as np
import pytest
from helpers import COSTS, DTYPES, close, compiled_only, few, naive_layers, network, real_data

import fastbp
from fastbp import Network, costs

NAN = np.nan
ROWS, PLACES = few((133, 12), (11, 4))
LAYERS = (3, 5, 4)
OF_OUTPUTS = [cost for cost in COSTS if costs.COSTS[cost].targets != costs.CLASSES]


def mean_of_elements(net, X, Y, W):
    """Cost and ∂E/∂o by the formula of the documentation, and by these the gradient; Y holds numbers where W is 0."""
    row, m = net.cost_function, Y.shape[1]
    value, slope = naive.COSTS[row.name]
    with np.errstate(all="ignore"):
        out = net.predict(X).reshape(len(X), -1).astype(np.float64)
        C, dC = value(Y, out, row.parameter), slope(Y, out, row.parameter)
    factors = np.where(W > 0, W, 0) * (m / W.sum())
    U = np.hstack([factors] * (out.shape[1] // m)) * dC
    return (factors * C).sum(), net.parameter_vjp(X, U)


def data(rng, cost, n=ROWS, dtype="float64"):
    X, Y = real_data(rng, cost, None, n, 3, 4)
    W = rng.uniform(0.2, 2, Y.shape) * (rng.random(Y.shape) < 0.6)
    W[3], W[4] = 0, [0, 0, 0.5, 0]  # a row of which nothing counts
    return X.astype(dtype), Y.astype(dtype), W.astype(dtype)


@pytest.mark.parametrize("dtype", few(DTYPES, ["float64"]))
@pytest.mark.parametrize("cost", OF_OUTPUTS)
def test_weights_of_outputs(cost, dtype, rng):
    X, Y, W = data(rng, cost, dtype=dtype)
    net = network(LAYERS, cost=cost, dtype=dtype)
    expected, gradient = mean_of_elements(net, X, Y, W)
    found = net.cost_and_gradient(X, Y, W)
    close([found[0], net.cost(X, Y, W)], [expected] * 2, dtype)
    close(found[1], gradient, dtype, factor=4)
    close(net.gradient(X, Y, np.repeat(W[:, 2:3] + 1, 4, axis=1)), net.gradient(X, Y, W[:, 2] + 1), dtype)
    # NaN is weight 0, whatever stands there
    holes = np.where(W > 0, Y, NAN)
    cost_of_holes, of_holes = net.cost_and_gradient(X, holes, missing="ignore")
    expected, gradient = mean_of_elements(net, X, Y, (W > 0).astype(float))
    close(cost_of_holes, expected, dtype)
    close(of_holes, gradient, dtype, factor=4)
    both = net.cost(X, holes, 1 + X[:, 0] ** 2, missing="ignore")
    close(both, mean_of_elements(net, X, Y, (W > 0) * (1 + X[:, :1] ** 2))[0], dtype)


def test_a_canonical_link_and_one_that_is_none_and_softmax(rng):
    for cost, output in (("binary_cross_entropy", "hard_sigmoid"), ("squared_error", "softmax")):
        X, Y, W = data(rng, cost)
        net = network(LAYERS, output=output, cost=cost, dtype="float64")
        found, (expected, gradient) = net.cost_and_gradient(X, Y, W), mean_of_elements(net, X, Y, W)
        close(found[0], expected)
        close(found[1], gradient, factor=4)


def test_a_target_of_two_outputs_has_one_weight(rng):
    net = network((3, 5, 4), cost=fastbp.gaussian_nll(0.5), dtype="float64")
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    W = rng.uniform(0, 2, Y.shape) * (rng.random(Y.shape) < 0.7)
    expected, gradient = mean_of_elements(net, X, Y, W)
    found = net.cost_and_gradient(X, np.where(W > 0, Y, NAN), W, missing="ignore")
    close(found[0], expected)
    close(found[1], gradient, factor=4)


@pytest.mark.parametrize("batch, threads", few([(1, 1), (7, 2), (40, 1), (40, 2)], [(1, 1), (7, 2)]))
def test_fits_with_missing_rows_are_fits_without_them(batch, threads, rng):
    """One output, or all of a row: then what is left has the same sums."""
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    known = np.arange(40) % (8 if batch == 40 else 1) != 3
    holes = np.where(known[:, None], Y, NAN)
    fits = dict(epochs=2, batch_size=batch, shuffle=False, threads=threads)
    one = network((3, 5, 2), dtype="float64").fit(X, holes, missing="ignore", **fits)
    other = network((3, 5, 2), dtype="float64").fit(X[known], Y[known], **fits)
    close(one.parameters, other.parameters)
    close(one.history.cost, other.history.cost)
    classes = np.where(known, rng.integers(2, size=40), NAN)
    one = network((3, 5, 2), cost="cross_entropy", dtype="float64").fit(X, classes, missing="ignore", **fits)
    other = network((3, 5, 2), cost="cross_entropy", dtype="float64").fit(X[known], classes[known], **fits)
    close(one.parameters, other.parameters)
    rows = np.where(known[:, None], np.eye(2)[np.where(known, classes, 0).astype(int)], NAN)
    close(network((3, 5, 2), cost="cross_entropy", dtype="float64").fit(X, rows, missing="ignore", **fits).parameters,
          other.parameters)


@compiled_only
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs", "rprop"])
def test_every_kind_of_steps_learns_what_is_known(optimizer, rng):
    X = rng.uniform(-1, 1, (60, 2))
    Y = np.stack([X[:, 0] + X[:, 1], X[:, 0] - X[:, 1]], axis=1)
    holes = Y.copy()
    holes[::2, 0] = holes[1::2, 1] = NAN
    net = Network((2, 2), dtype="float64", seed=0).fit(X, holes, missing="ignore", epochs=300, optimizer=optimizer if
                                                       optimizer != "sgd" else fastbp.SGD(0.3), validation=(X, holes))
    close(net.weights[0], [[1, 1], [1, -1]], factor=1e9)
    assert net.history.validation_cost[-1] < 1e-5


def test_validation_profiles_and_picked_orders(rng):
    X, Y, W = data(rng, "squared_error", 40)
    holes = np.where(W > 0, Y, NAN)
    one = network(LAYERS, dtype="float64").fit(X, holes, missing="ignore", epochs=3, batch_size=8, validation=0.25)
    two = network(LAYERS, dtype="float64").fit(X[:30], holes[:30], missing="ignore", epochs=3, batch_size=8,
                                               validation=(X[30:], holes[30:]))
    np.testing.assert_array_equal(one.parameters, two.parameters)
    np.testing.assert_array_equal(one.history.validation_cost, two.history.validation_cost)
    close(one.history.validation_cost[-1], one.cost(X[30:], holes[30:], missing="ignore"))


def test_steps_of_actions_that_were_taken(rng):
    """The deep Q-network's step: one target a row."""
    X, Q = rng.normal(size=(16, 3)), np.full((16, 4), NAN)
    Q[np.arange(16), rng.integers(4, size=16)] = rng.normal(size=16)
    for wanted in (Q, np.where(np.arange(16)[:, None] % 5 == 2, NAN, Q)):
        one, other = network(LAYERS, dtype="float64"), network(LAYERS, dtype="float64")
        cost = one.train_on_batch(X, wanted, missing="ignore")
        other.fit(X, wanted, missing="ignore", epochs=1, batch_size=16, shuffle=False)
        close(cost, other.history.cost[0])
        close(one.parameters, other.parameters)
        one.train_on_batch(X, np.nan_to_num(Q))  # plain steps go on with the same state
        other.train_on_batch(X, np.nan_to_num(Q))
        close(one.parameters, other.parameters)
    net = network((3, 2), cost="cross_entropy", dtype="float64")
    other = net.copy()
    classes = np.where(np.arange(16) % 3 == 0, NAN, 1)
    net.train_on_batch(X, classes, missing="ignore")
    other.train_on_batch(X[np.arange(16) % 3 != 0], np.ones(16 - 6))
    np.testing.assert_array_equal(net.parameters, other.parameters)


def slopes(net, X, Y, J, W, factors):
    """The cost with targets of slopes by the documentation: means over rows, of slopes, of elements of values."""
    known = ~np.isnan(J)
    missed = factors * np.where(known, net.jacobian(X).reshape(J.shape) - np.nan_to_num(J), 0) ** 2
    values = 0.0 if Y is None else (W * 0.5 * (net.predict(X) - np.nan_to_num(Y)) ** 2).sum() * W.shape[1] / W.sum()
    return values + missed.sum() / (2 * len(X))


def difference(cost, net, count=PLACES):
    """The gradient by central differences, of some parameters."""
    found, places = [], np.linspace(0, net.n_parameters - 1, count).astype(int)
    for k in places:
        before = net.parameters[k]
        sides = []
        for step in (1e-5, -1e-5):
            net.parameters[k] = before + step
            sides.append(cost())
        net.parameters[k] = before
        found.append((sides[0] - sides[1]) / 2e-5)
    return np.array(found), places


def test_slopes_some_of_which_are_known(rng):
    net = network((3, 5, 2), dtype="float64")
    n = few(37, 9)
    X, Y, J = rng.normal(size=(n, 3)), rng.normal(size=(n, 2)), rng.normal(size=(n, 2, 3))
    assert net.cost(X, Y, target_jacobian=J, jacobian_weight=0.3) == pytest.approx(
        naive.sobolev_cost(naive_layers(net), X, Y, J, 0.3, net.activations, "squared_error"), rel=1e-12)
    J[rng.random(J.shape) < 0.4], J[5] = NAN, NAN
    W = (rng.random(Y.shape) < 0.6).astype(float)
    W[7] = 0  # its slopes count
    holes, factors = np.where(W > 0, Y, NAN), np.array([[0.5, 2, 0], [1, 0.1, 3]])
    for Y_given, weight, own in ((holes, 0.7, W), (holes, factors, W), (None, factors, W), (Y, 0.2, np.ones_like(W))):
        settings = dict(target_jacobian=J, jacobian_weight=weight, missing="ignore")
        found, gradient = net.cost_and_gradient(X, Y_given, **settings)
        close(found, slopes(net, X, Y_given, J, own, weight))
        close(net.cost(X, Y_given, **settings), found)
        expected, places = difference(lambda y=Y_given, s=settings: net.cost(X, y, **s), net)
        close(gradient[places], expected, factor=1e4)
    full = np.nan_to_num(J)
    close(net.gradient(X, Y, target_jacobian=full, jacobian_weight=np.full((2, 3), 0.7)),
          net.gradient(X, Y, target_jacobian=full, jacobian_weight=0.7))
    weighted = net.cost(X, holes, 1 + X[:, 0] ** 2, target_jacobian=full, missing="ignore")
    weights = 1 + X[:, 0] ** 2
    of_slopes = (weights * ((net.jacobian(X) - full) ** 2).sum(axis=(1, 2))).sum() / weights.sum() / 2
    close(weighted, mean_of_elements(net, X, Y, W * weights[:, None])[0] + of_slopes)


@compiled_only
def test_a_function_is_learned_from_its_slopes_alone(rng):
    X = rng.uniform(-1, 1, (200, 2))
    J = np.stack([2 * X[:, 0], np.where(np.arange(200) < 100, X[:, 1], NAN)], axis=1)
    net = Network((2, 12, 1), dtype="float64", seed=0)
    net.fit(X, target_jacobian=J, missing="ignore", epochs=150, optimizer="lbfgs", validation=(X, None, J))
    assert net.history.validation_cost[-1] < 1e-3
    assert np.abs(net.jacobian(X)[:, 0] - np.stack([2 * X[:, 0], X[:, 1]], axis=1)).max() < 0.3


def test_what_is_masked_is_missing(rng):
    X, Y, J = rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), rng.normal(size=(9, 2, 3))
    hidden, slopes = rng.random(Y.shape) < 0.4, rng.random(J.shape) < 0.4
    net = network((3, 4, 2), dtype="float64")
    found = net.cost(X, np.ma.array(Y, mask=hidden), missing="ignore")
    assert found == net.cost(X, np.where(hidden, NAN, Y), missing="ignore") != net.cost(X, Y)
    found = net.cost(X, Y, target_jacobian=np.ma.array(J, mask=slopes), missing="ignore")
    assert found == net.cost(X, Y, target_jacobian=np.where(slopes, NAN, J), missing="ignore")
    by_blocks, ends = {"missing": "ignore", "memory": 600, "epochs": 1, "batch_size": 2}, set()
    for targets in (np.ma.array(Y, mask=hidden), np.where(hidden, NAN, Y)):
        one, many = net.copy(), net.copy()
        one.fit(X, targets, **by_blocks)
        fastbp.fit_many([many], X, targets, **by_blocks)
        ends |= {one.parameters.tobytes(), many.parameters.tobytes()}
    assert len(ends) == 1
    classes, rows = np.ma.array([0, 1, 1, 0, 1, 0, 1, 0, 1], mask=np.arange(9) % 3 == 0), np.arange(9) % 3 != 0
    net = network((3, 2), cost="cross_entropy", dtype="float64")
    close(net.cost(X, classes, missing="ignore"), net.cost(X[rows], classes.data[rows]))
    with pytest.raises(ValueError, match="Y has masked entries.*missing='ignore' takes them for not observed"):
        net.fit(X, classes)


@pytest.mark.parametrize("given, wrong", [
    (dict(Y=np.full((9, 2), NAN)), "Y holds nan in row 0.*missing='ignore'"),
    (dict(X=np.full((9, 3), NAN)), "X holds nan in row 0.*impute such rows$"),
    (dict(Y=np.full((9, 2), NAN), missing="ignore"), "no target counts"),
    (dict(missing="drop"), "missing is 'drop', expected None, or 'ignore'"),
    (dict(Y=np.full((9, 2), np.inf), missing="ignore"), "Y holds inf"),
    (dict(sample_weight=np.ones((9, 3))), r"sample_weight has shape \(9, 3\), expected \(9,\), .* or \(9, 2\)"),
    (dict(sample_weight=-np.ones((9, 2))), "no negative weight"),
    (dict(sample_weight=np.zeros((9, 2))), "sample_weight is 0"),
    (dict(Y=None), "Y is None: there are no targets"),
    (dict(sample_weight=np.ones((9, 2)) * [1, 2], cost="cross_entropy", Y=np.eye(2)[[0, 1, 0] * 3]),
     "compares all classes of a row"),
    (dict(sample_weight=np.ones((9, 2)) * [1, 2], cost="cross_entropy", Y=[0, 1, 0] * 3), "compares all classes"),
    (dict(target_jacobian=np.full((9, 2, 3), NAN)), "target_jacobian holds nan"),
    (dict(target_jacobian=np.zeros((9, 2, 3)), jacobian_weight=[1.0, 2, 3]), r"jacobian_weight has shape \(3,\)"),
    (dict(target_jacobian=np.zeros((9, 2, 3)), jacobian_weight=-np.ones((2, 3))), "jacobian_weight holds -1"),
    (dict(Y=np.full((9, 2), NAN), missing="ignore", memory="1MB"), "no target counts"),
    (dict(missing=np.ones(3)), "missing is array.*expected None, or 'ignore'"),
    (dict(sample_weight=np.ones((9, 2)) * [1, 2], optimizer="lm"), "one weight a sample"),
    (dict(sample_weight=np.ones((9, 2)) * [1, 2], metrics=[("own", lambda y, o: 0.0)]), "'own' compares all targets"),
    (dict(sample_weight=np.ones((9, 2)) * [1, 2], metrics=["accuracy"], cost="binary_cross_entropy"),
     "'accuracy' compares all targets.*use 'auc', 'cross_entropy'"),
    (dict(Y=None, target_jacobian=np.zeros((9, 2, 3)), metrics=["r2"]), "none is known"),
])
def test_what_does_not_fit_is_said_before_anything_changes(given, wrong):
    settings = {"X": np.zeros((9, 3)), "Y": np.zeros((9, 2)), "epochs": 1} | given
    net = Network((3, 2), cost=settings.pop("cost", "squared_error"), seed=0)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=wrong):
        net.fit(settings.pop("X"), settings.pop("Y"), **settings)
    np.testing.assert_array_equal(net.parameters, before)
    assert len(net.history) == 0


@pytest.mark.parametrize("batch", [1, 8, 40])
def test_weights_of_either_sign_are_factors(batch, rng):
    """The mean of w C over the samples of a batch; a step of plain gradient descent by its gradient."""
    X, Y, w = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.normal(size=40)
    net, other = network((3, 5, 2), dtype="float64"), network((3, 5, 2), dtype="float64")
    net.fit(X, Y, sample_weight=w, signed_weights=True, epochs=1, batch_size=batch, shuffle=False, optimizer="sgd")
    costs_of_batches = []
    for start in range(0, 40, batch):
        rows = slice(start, start + batch)
        e = other.predict(X[rows]) - Y[rows]
        costs_of_batches.append((w[rows] * 0.5 * (e**2).sum(axis=1)).mean())
        other.train_on_output_gradients(X[rows], w[rows, None] * e / len(e), optimizer="sgd")
    close(net.parameters, other.parameters)
    close(net.history.cost, [np.mean(costs_of_batches)])


def test_weights_of_either_sign_are_asked_for_by_name(rng):
    X, Y, w = rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), np.linspace(-1, 1, 9)
    net = network((3, 2), dtype="float64")
    before = net.parameters.copy()
    for settings, wrong in ((dict(), "no negative weight"), (dict(signed_weights="yes"), "expected True or False"),
                            (dict(signed_weights=True, missing="ignore"), "all targets"),
                            (dict(signed_weights=True, validation=0.5), "fraction as validation"),
                            (dict(signed_weights=True, validation=np.float32(0.5)), "fraction as validation"),
                            (dict(signed_weights=True, metrics=["r2"]), "metrics are means by weights"),
                            (dict(signed_weights=True, optimizer="lm"), "not negative"),
                            (dict(signed_weights=True, memory="1MB"), "read by blocks")):
        with pytest.raises((ValueError, TypeError), match=wrong):
            net.fit(X, Y, sample_weight=w, **settings)
    with pytest.raises(ValueError, match="expected .9,.: one number for each sample"):
        net.fit(X, Y, sample_weight=w[:8], signed_weights=True)
    np.testing.assert_array_equal(net.parameters, before)


def test_cotangents_of_outputs_and_of_slopes(rng):
    """Of Σ u o + Σ v ∂o/∂x, whose values are those of `predict` and `jacobian`; and a step by them."""
    net = network((3, 5, 2), dtype="float64")
    X, U, V = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2)), rng.normal(size=(ROWS, 2, 3))
    found = net.parameter_vjp(X, U, V)
    expected, places = difference(lambda: (U * net.predict(X)).sum() + (V * net.jacobian(X)).sum(), net)
    close(found[places], expected, factor=1e4)
    close(net.parameter_vjp(X, U, 0 * V), net.parameter_vjp(X, U))
    before, rate = net.parameters.copy(), 0.01
    net.train_on_output_gradients(X, U, V, optimizer=fastbp.SGD(rate))
    close(net.parameters, before - rate * found)
    single = network((3, 1), dtype="float64")
    close(single.parameter_vjp(X, U[:, 0], V[:, 0]), single.parameter_vjp(X, U[:, :1], V[:, :1]))
    for given, wrong in ((V[:, :1], "U_jacobian has shape"), (V * np.nan, "U_jacobian holds nan")):
        with pytest.raises(ValueError, match=wrong):
            net.train_on_output_gradients(X, U, given)
    with pytest.raises(ValueError, match="U_jacobian knows no parameters of activations"):
        Network((3, 2, 2), fastbp.parametric("mish")).parameter_vjp(X, U, V)


def test_functions_of_one_name_are_weighed_as_they_are(rng):
    """Functions without a name are all called the same."""
    X, Y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    Y[0, 0] = NAN
    one = Network((3, 2), cost=lambda y, o: (o - y) ** 2, dtype="float64", seed=0)
    ten = Network((3, 2), cost=lambda y, o: 10 * (o - y) ** 2, dtype="float64", seed=0)
    for found, other in zip(*(net.cost_and_gradient(X, Y, missing="ignore") for net in (ten, one)), strict=True):
        close(found, 10 * np.asarray(other))

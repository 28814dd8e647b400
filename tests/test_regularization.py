"""Regularisation beside its plain twin: penalties of the weights."""

from itertools import pairwise

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, network, real_data

from fastbp import LBFGS, SGD, Adam, AdamW, ConjugateGradient, Network, Regularization, Rprop, ScaledConjugateGradient

SIZES = few([(3, 9, 2), (17, 33, 21, 3), (5, 130, 140, 3)], [(3, 9, 2), (2, 3, 4, 1)])
"""Layers updated at once, and by slices; below and above a lane."""

PENALTIES = {
    "l2": dict(l2=0.1),
    "l1": dict(l1=0.03),
    "both": dict(l2=0.1, l1=0.03),
    "by layer": dict(l2="ramp", l1="ramp"),
    "biases": dict(l2=0.1, l1=0.03, penalize_biases=True),
    "averaged": dict(l2=2.0, l1=0.5, averaged=True),
}


def settings(name, layers):
    """Regularization's own arguments, and the twin's (parameters, weight) -> (value, slopes)."""
    given = dict(PENALTIES[name])
    for i, key in enumerate(("l2", "l1")):
        if given.get(key) == "ramp":
            given[key] = tuple(0.05 * (i + l) for l in range(layers))  # noqa: E741 the layer's number
    return given


def twin(given, sizes, bias):
    factors = [given.get(key, 0.0) for key in ("l2", "l1")]
    factors = [f if isinstance(f, tuple) else (f,) * (len(sizes) - 1) for f in factors]

    def penalty(w, weight):
        value, slopes = naive.penalty(w, sizes, bias, *factors, given.get("penalize_biases", False))
        if not given.get("averaged"):
            return value, slopes
        return (value / weight, slopes / weight) if weight > 0 else (0.0, 0.0 * slopes)

    return penalty


def orders(net, n, epochs, shuffle):
    """The permutations that a fit of this network is going to take."""
    key = int(net.copy().generator.integers(2**63 - 1))
    return [naive.permutation(n, key, e) if shuffle else np.arange(n) for e in range(epochs)]


STEPS = {
    "weight_decay": dict(weight_decay=3.0),
    "weight_decay by layer, of biases": dict(weight_decay="ramp", penalize_biases=True, l2=0.1),
    "max_norm": dict(max_norm=0.7),
    "max_norm by layer": dict(max_norm="ramp", l1=0.01),
    "non_negative": dict(non_negative=True, max_norm=0.7),
    "non_negative by layer": dict(non_negative="ramp"),
    "clip_value": dict(clip_value=0.02, l2=0.1),
    "clip_norm": dict(clip_norm=0.5, l2=0.1),
    "clip_both": dict(clip_norm=0.5, clip_value=0.1, trainable="mask"),
    "frozen layer": dict(trainable="layers", l2=0.1, weight_decay=1.0, non_negative=True),
    "frozen weights": dict(trainable="mask", l2=0.1, weight_decay=1.0, max_norm=0.7),
}


def step_settings(name, sizes, bias):
    """Regularization's own arguments, and those of naive.Regular."""
    given, layers = dict(STEPS[name]), len(sizes) - 1
    count = sum((n + bias) * m for n, m in pairwise(sizes))
    ramps = {"weight_decay": [1.0 * l for l in range(layers)],  # noqa: E741 the layer's number
             "max_norm": [None, *(0.4 * l for l in range(1, layers))],  # noqa: E741
             "non_negative": [l == layers - 1 for l in range(layers)]}  # noqa: E741
    given |= {key: ramps[key] for key, value in given.items() if value == "ramp"}
    flat = None
    if given.get("trainable") == "layers":
        given["trainable"] = [l != 0 for l in range(layers)]  # noqa: E741
        flat = naive.flatten([(np.full((m, n), t), np.full(m, t))
                              for (n, m), t in zip(pairwise(sizes), given["trainable"], strict=True)], bias)
    elif given.get("trainable") == "mask":
        given["trainable"] = flat = np.random.default_rng(1).random(count) < 0.6
    twins = {key: value if isinstance(value, list) else [value] * layers
             for key, value in given.items() if key in ("weight_decay", "max_norm", "non_negative")}
    twins["decay"] = twins.pop("weight_decay", None)
    return given, twins | dict(trainable=flat, biases=given.get("penalize_biases", False),
                               clip_value=given.get("clip_value", np.inf), clip_norm=given.get("clip_norm", np.inf))


def fitted(sizes, given, optimizer, rule, *, constraints=None, bias=True, dtype="float64", batch=5, n=13, epochs=3,
           weights=None, shuffle=True, threads=None):
    """Fit a network and its twin: (network, parameters and curve of the twin)."""
    rng = np.random.default_rng(sum(sizes))
    net = network(sizes, dtype=dtype, bias=bias)
    X, Y = real_data(rng, "squared_error", None, n, sizes[0], sizes[-1], dtype)
    rule = naive.Regular(rule(0.01), sizes, bias, **constraints or {})
    expected = naive.train(net.parameters.astype(float), sizes, bias, X.astype(float), Y.astype(float),
                           net.activations, "squared_error", rule, batch, orders(net, n, epochs, shuffle),
                           weights, penalty=twin(given, sizes, bias))
    net.fit(X, Y, epochs=epochs, batch_size=batch, optimizer=optimizer, shuffle=shuffle, sample_weight=weights,
            threads=threads, regularization=Regularization(**given))
    return net, *expected


def test_the_twin(rng):
    """Slopes of the naive penalty by complex step, where no weight is 0."""
    sizes, l2, l1 = (3, 4, 2), (0.3, 0.1), (0.2, 0.7)
    w = rng.normal(size=26)
    for biases in (True, False):
        _, slopes = naive.penalty(w, sizes, True, l2, l1, biases)
        for i in range(w.size):
            shifted = w.astype(complex)
            shifted[i] += 1e-30j
            value, _ = naive.penalty(shifted, sizes, True, l2, l1, biases)
            assert abs(value.imag / 1e-30 - slopes[i]) < 1e-14


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_penalties(sizes, name):
    """Parameters and recorded costs, ragged batches of unequal weight, one of them 0."""
    weights = np.array([1, 2, 0.5, 1, 1, 3, 0.1, 1, 1, 1, 0, 0, 0])
    given = settings(name, len(sizes) - 1)
    for shuffle, bias in ((True, True), (False, False)):
        net, expected, curve = fitted(sizes, given, Adam(0.01), naive.Adam, bias=bias, weights=weights,
                                      shuffle=shuffle)
        close(net.parameters, expected, factor=100)
        close(net.history.cost, curve)


@pytest.mark.parametrize("name", ["both", "averaged"])
@pytest.mark.parametrize(("optimizer", "rule"), [(SGD(0.01), naive.SGD), (Adam(0.01), naive.Adam)],
                         ids=["sgd", "adam"])
def test_online(optimizer, rule, name):
    """Batches of one sample, of which one weighs nothing."""
    weights = np.array([1, 2, 0, 0.5, 1, 3.0])
    for sizes in ((3, 9, 2), few((40, 70, 2), (4, 2))):
        net, expected, curve = fitted(sizes, settings(name, len(sizes) - 1), optimizer, rule, batch=1, n=6,
                                      weights=weights)
        close(net.parameters, expected, factor=100)
        close(net.history.cost, curve)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_steps(sizes, name):
    """What is done around the rule: parameters and recorded costs, in mini-batches and online."""
    for batch, bias in ((5, True), (5, False), (1, True)):
        given, constraints = step_settings(name, sizes, bias)
        plain = network(sizes, dtype="float64", bias=bias).parameters
        net, expected, curve = fitted(sizes, given, Adam(0.01), naive.Adam, constraints=constraints, bias=bias,
                                      batch=batch, epochs=2)
        close(net.parameters, expected, factor=100)
        close(net.history.cost, curve)
        if constraints["trainable"] is not None:
            assert (net.parameters[~constraints["trainable"]] == plain[~constraints["trainable"]]).all()
        if given.get("non_negative") is True and constraints["trainable"] is None:
            assert min(W.min() for W in net.weights) == 0


@pytest.mark.parametrize("batch", [1, 5])
def test_single_precision(batch):
    net, expected, curve = fitted((17, 33, 21, 3), settings("both", 3), SGD(0.01), naive.SGD, dtype="float32",
                                  batch=batch)
    close(net.parameters, expected, "float32")
    close(net.history.cost, curve, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("sizes", "name"), few([(SIZES[1], "clip_both"), (SIZES[-1], "frozen weights"),
                                                 (SIZES[-1], "clip_norm")], [(SIZES[0], "clip_both")]), ids=str)
def test_threads(sizes, name, dtype):
    """The same bits for any number of threads, in one call of many epochs and in one call each."""
    found = set()
    for threads in (1, 2, 3):
        given, constraints = step_settings(name, sizes, True)
        net, _, _ = fitted(sizes, given, Adam(0.01), naive.Adam, constraints=constraints, dtype=dtype, epochs=2,
                           threads=threads)
        found.add((net.parameters.tobytes(), net.history.cost.tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cost_and_gradient(name, dtype, rng):
    sizes, weights = (3, 9, 2), np.array([1, 2, 0.5, 1])
    net = network(sizes, dtype=dtype)
    X, Y = real_data(rng, "squared_error", None, 4, 3, 2, dtype)
    given = settings(name, 2)
    for weight in (None, weights):
        value, slopes = twin(given, sizes, True)(net.parameters.astype(float), 4 if weight is None else weight.sum())
        E, g = net.cost_and_gradient(X, Y, weight)
        cost, gradient = net.cost_and_gradient(X, Y, weight, regularization=Regularization(**given))
        close(cost, E + value, dtype)
        close(gradient, g + slopes, dtype)


METHODS = [LBFGS(), ConjugateGradient(), ScaledConjugateGradient(), Rprop()]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_full_batch_methods(method, rng):
    """They come to the minimum of the penalised cost, which for a linear network is ridge regression's."""
    X = rng.normal(size=(40, 3))
    Y = X @ [[1.0], [-2.0], [0.5]] + 0.1 * rng.normal(size=(40, 1))
    net = Network((3, 1), bias=False, dtype="float64", seed=1)
    net.fit(X, Y, epochs=60, optimizer=method, regularization=Regularization(l2=0.3))
    expected = np.linalg.solve(X.T @ X / 40 + 0.3 * np.eye(3), X.T @ Y / 40)
    assert np.abs(net.parameters - expected.ravel()).max() < 1e-5
    cost, gradient = net.cost_and_gradient(X, Y, regularization=Regularization(l2=0.3))
    assert abs(net.history.cost[-1] - cost) < 1e-14 and np.abs(gradient).max() < 1e-5
    assert cost > net.cost(X, Y)


def test_l1_brings_weights_to_zero(rng):
    """Of ten inputs two matter: the others' weights end within a step of 0."""
    X = rng.normal(size=(200, 10))
    Y = 2 * X[:, 0] - X[:, 1]
    net = Network((10, 1), dtype="float64", seed=1)
    net.fit(X, Y, epochs=200, batch_size=200, optimizer=SGD(0.05), regularization=Regularization(l1=0.1))
    W = net.weights[0].ravel()
    assert np.abs(W[2:]).max() < 0.01 and abs(W[0] - 1.9) < 0.05 and abs(W[1] + 0.9) < 0.05


def test_nothing_is_a_plain_fit():
    """A regularisation of zeros gives the bits of none, and so does one on a resumed fit."""
    X, Y = np.ones((8, 2)), np.zeros(8)
    plain = Network((2, 3, 1), seed=1).fit(X, Y, epochs=4)
    zeros = Network((2, 3, 1), seed=1).fit(X, Y, epochs=4, regularization=Regularization())
    assert plain.parameters.tobytes() == zeros.parameters.tobytes()


def test_resumption(tmp_path):
    """Two halves give the bits of the whole, through a file; a plain fit may follow."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 2)), rng.normal(size=20)
    settings = dict(batch_size=6, optimizer=AdamW(0.01), regularization=Regularization(l2=0.1, l1=(0.0, 0.2)))
    whole = Network((2, 5, 1), seed=1).fit(X, Y, epochs=4, **settings)
    half = Network((2, 5, 1), seed=1).fit(X, Y, epochs=2, **settings)
    half.save(tmp_path / "half", training=True)
    half = Network.load(tmp_path / "half").fit(X, Y, epochs=2, resume=True, **settings)
    assert half.parameters.tobytes() == whole.parameters.tobytes()
    assert half.history.cost.tobytes() == whole.history.cost.tobytes()
    half.fit(X, Y, epochs=1, batch_size=6, resume=True)
    assert len(half.history.cost) == 5


@pytest.mark.parametrize(("given", "message"), [
    (dict(l2=-1), "l2 is -1, expected a number that is not negative"),
    (dict(l1=float("nan")), "l1 is nan, expected a number that is not negative"),
    (dict(l2="much"), "l2 is 'much', expected a number that is not negative"),
    (dict(l2=(0.1, -0.1)), r"l2\[1\] is -0.1, expected a number that is not negative"),
    (dict(weight_decay=-0.1), "weight_decay is -0.1, expected a number that is not negative"),
    (dict(max_norm=0), "max_norm is 0, expected a positive number"),
    (dict(max_norm=[1.0, -1.0]), r"max_norm\[1\] is -1.0, expected a positive number"),
    (dict(non_negative=1), "non_negative is 1, expected True or False"),
    (dict(penalize_biases="yes"), "penalize_biases is 'yes', expected True or False"),
    (dict(averaged=None), "averaged is None, expected True or False"),
    (dict(clip_value=-1.0), "clip_value is -1.0, expected a positive number"),
    (dict(clip_norm=0), "clip_norm is 0, expected a positive number"),
    (dict(trainable=[1, 0]), r"trainable is \[1, 0\], expected True or False for each layer, or a flat boolean mask"),
    (dict(trainable=[False, False]), "trainable is False throughout: nothing would be trained"),
])
def test_bad_settings(given, message):
    with pytest.raises(ValueError, match="Regularization: " + message):
        Regularization(**given)


def test_settings_that_do_not_fit_the_network():
    net = Network((2, 3, 1), seed=1)
    before = net.parameters.copy()
    for call in (net.fit, net.cost_and_gradient):
        with pytest.raises(ValueError, match="l1 has 3 values, expected 2: one for each layer"):
            call(np.ones((4, 2)), np.ones(4), regularization=Regularization(l1=[1, 2, 3]))
        with pytest.raises(ValueError, match="trainable has 3 values, expected 2, one for each layer, or 13, one for"):
            call(np.ones((4, 2)), np.ones(4), regularization=Regularization(trainable=[True, False, True]))
        with pytest.raises(TypeError, match=r"regularization is 0.1, expected a fastbp.Regularization"):
            call(np.ones((4, 2)), np.ones(4), regularization=0.1)
    assert (net.parameters == before).all() and not len(net.history.cost)


@pytest.mark.parametrize(("name", "value"), [("weight_decay", 0.1), ("max_norm", [None, 1.0]), ("non_negative", True),
                                             ("clip_value", 1.0), ("clip_norm", 1.0)])
def test_full_batch_methods_refuse_what_changes_steps(name, value):
    net = Network((2, 3, 1), seed=1)
    before = net.parameters.copy()
    message = f"{name} changes the steps of the optimizer, which LBFGS computes .* use l2, l1 or trainable with it, or"
    with pytest.raises(ValueError, match=message):
        net.fit(np.ones((4, 2)), np.ones(4), optimizer="lbfgs", regularization=Regularization(**{name: value}))
    assert (net.parameters == before).all()
    net.fit(np.ones((4, 2)), np.ones(4), optimizer="lbfgs", epochs=1, regularization=Regularization(l2=0.1))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("mask", [[False, True], np.arange(13) % 3 > 0], ids=["layers", "weights"])
def test_full_batch_methods_keep_what_is_frozen(mask, method, rng):
    """The gradient of what is frozen is 0, so that no method moves it, and the others reach their minimum."""
    X = rng.normal(size=(30, 2))
    Y = np.sin(X[:, 0]) * X[:, 1]
    net = network((2, 3, 1), dtype="float64")
    before, settings = net.parameters.copy(), Regularization(l2=0.01, trainable=mask)
    frozen = ~(np.repeat(mask, (9, 4)) if len(mask) == 2 else mask)
    net.fit(X, Y, epochs=200, optimizer=method, regularization=settings)
    assert (net.parameters[frozen] == before[frozen]).all() and (net.parameters[~frozen] != before[~frozen]).all()
    _, gradient = net.cost_and_gradient(X, Y, regularization=settings)
    assert (gradient[frozen] == 0).all() and np.abs(gradient).max() < 1e-3


def test_divergence_is_noticed():
    from fastbp import DivergenceError

    net = Network((2, 3, 1), seed=1)
    with pytest.raises(DivergenceError):
        net.fit(np.ones((4, 2)), np.ones(4), epochs=500, optimizer=SGD(3.0), regularization=Regularization(l2=10.0))
    assert np.isfinite(net.parameters).all()

"""Regularisation beside its plain twin: penalties of the weights."""

import gc
from itertools import pairwise

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, from_panel, laid_out, naive_cost, naive_layers, network, plan_of, real_data

from fastbp import (
    LBFGS,
    SGD,
    Adam,
    AdamW,
    ConjugateGradient,
    DivergenceError,
    Network,
    Regularization,
    Rprop,
    ScaledConjugateGradient,
    quantile,
)
from fastbp.core import penalties
from fastbp.kernels import layout, tables
from fastbp.kernels.passes import noise

SIZES = few([(3, 9, 2), (17, 33, 21, 3), (5, 130, 140, 3)], [(3, 9, 2), (2, 3, 4, 1)])
"""Layers updated at once, and by slices; below and above a lane."""

PENALTIES = {
    "l2": dict(l2=0.1),
    "l1": dict(l1=0.03),
    "both": dict(l2=0.1, l1=0.03),
    "by layer": dict(l2="ramp", l1="ramp"),
    "biases": dict(l2=0.1, l1=0.03, penalize_biases=True),
    "per_sample": dict(l2=2.0, l1=0.5, per_sample=True),
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
        if not given.get("per_sample"):
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


@pytest.mark.parametrize("name", ["both", "per_sample"])
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


NOISES = {
    "dropout": dict(dropout=0.4),
    "dropout by layer": dict(dropout=(0.0, 0.7), l2=0.1),
    "input_noise": dict(input_noise=0.3),
    "label_smoothing": dict(label_smoothing=0.2),
    "all": dict(dropout=(0.2, 0.1), input_noise=0.1, label_smoothing=0.1),
}


def noisy_twin(net, X, Y, given, optimizer, batch, epochs, classes):
    """Train by complex step, with the masks and the noise of the plain generator: (parameters, curve)."""
    given, hidden, lanes = dict(given), net.layers[1:-1], layout.lanes(net.dtype)
    rates, smooth = given.get("dropout", 0.0), given.get("label_smoothing", 0.0)
    rates = rates if isinstance(rates, tuple) else (rates,) * len(hidden)
    penalty = twin({key: given[key] for key in given if key == "l2"}, net.layers, net.bias)
    key = int(net.copy().generator.integers(2**63 - 1))
    w, curve = net.parameters.astype(float), []
    for epoch in range(epochs):
        order = naive.permutation(len(X), key, epoch) if batch < len(X) else np.arange(len(X))
        total = 0.0
        for begin in range(0, len(X), batch):
            rows = order[begin : begin + batch]
            n = len(rows)
            noise = naive.normal(key, epoch, begin, n, X.shape[1], lanes)
            masks = [naive.mask(rate, key, epoch, l + 1, begin, n, size, lanes)  # noqa: E741 the layer's number
                     for l, (rate, size) in enumerate(zip(rates, hidden, strict=True))] + [1]  # noqa: E741
            data = X[rows] + given.get("input_noise", 0.0) * noise, (1 - smooth) * Y[rows] + smooth / classes
            own = net.layers, net.bias
            settings = net.activations, net.cost_function.name, None, net.cost_function.parameter, masks
            value, slopes = penalty(w, n)
            total += n * (naive.mean_cost(naive.unflatten(w, *own), *data, *settings) + value)
            w = optimizer.step(w, slopes + naive.complex_step_gradient(w, *own, *data, *settings))
        curve.append(total / len(X))
    return w, np.array(curve)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize(("cost", "batch"), [("cross_entropy", 1), ("cross_entropy", 19), ("binary_cross_entropy", 7)])
def test_noise(cost, batch, name, rng):
    """Training with the very masks and numbers that the plain generator gives, batches of a strip and a half too."""
    n = few(23, 4 if batch == 1 else 8)
    net = network((3, 5, 4, 2), dtype="float64", cost=cost)
    X, Y = real_data(rng, cost, None, n, 3, 2)
    expected, curve = noisy_twin(net, X, Y, NOISES[name], naive.Adam(0.01), batch, 2, 2)
    net.fit(X, Y, epochs=2, batch_size=batch, optimizer=Adam(0.01), regularization=Regularization(**NOISES[name]))
    close(net.parameters, expected, factor=100)
    close(net.history.cost, curve, factor=100)


def test_class_indices_are_smoothed(rng):
    X, labels = rng.normal(size=(12, 3)), rng.integers(0, 4, 12)
    nets = [network((3, 5, 4), cost="cross_entropy").fit(X, Y, epochs=2, batch_size=5, shuffle=False,
                                                         regularization=Regularization(label_smoothing=0.1))
            for Y in (labels, np.eye(4)[labels])]
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    found = nets[0].cost_and_gradient(X, labels, regularization=Regularization(label_smoothing=0.1))
    expected = nets[0].cost_and_gradient(X, 0.9 * np.eye(4)[labels] + 0.025)
    close(found[0], expected[0], "float32")
    close(found[1], expected[1], "float32")
    nets[0].fit(X, labels, epochs=2, optimizer="lbfgs", regularization=Regularization(label_smoothing=0.1))
    close(nets[0].history.cost[-1], nets[0].cost(X, 0.9 * np.eye(4)[labels] + 0.025), "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_lanes", [True, False])
def test_noise_does_not_depend_on_threads(by_lanes, dtype):
    """Nor on the gradient's tile, which reads the inputs from the panel or from its transposed copy; several blocks."""
    rng, found = np.random.default_rng(1), set()
    X, Y = real_data(rng, "cross_entropy", None, few(150, 20), 7, 3, dtype)
    for threads in (1, 2, 3):
        net = network((7, few(19, 5), 6, 3), dtype=dtype, cost="cross_entropy")
        laid_out(net, by_lanes=by_lanes, block=2 * layout.lanes(dtype))
        net.fit(X, Y, epochs=2, batch_size=len(X) // 2, threads=threads, regularization=Regularization(**NOISES["all"]))
        found.add((net.parameters.tobytes(), net.history.cost.tobytes()))
    assert len(found) == 1


def test_both_gradient_tiles_see_the_noise(rng):
    X, Y = real_data(rng, "squared_error", None, 40, 7, 2)
    found = []
    for by_lanes in (True, False):
        net = laid_out(network((7, 9, 2), dtype="float64"), by_lanes=by_lanes)
        net.fit(X, Y, epochs=3, batch_size=13, regularization=Regularization(dropout=0.3, input_noise=0.5))
        found.append(net.parameters)
    close(*found, factor=100)


def noise_of(settings, layer, samples, neurons, dtype, key=3, epoch=0):
    """What `before_layer` does to a panel of ones (outputs and slopes) or to inputs of 0: (samples, neurons) each."""
    progress = np.zeros(tables.PROGRESS_COUNT, np.int64)
    progress[tables.PROGRESS_EPOCH] = epoch
    plan = plan_of(network((neurons, neurons, 1), dtype=dtype), samples, noise_key=key,
                   regularization=Regularization(**settings), progress=progress)
    row, width = plan.layers[layer], layout.lanes(dtype)
    strips, size = samples // width, samples * neurons
    offsets = (row[tables.LAYER_SOURCE], row[tables.LAYER_DELTA_BELOW]) if layer > 0 else (row[tables.LAYER_SOURCE],)
    first = [plan.panels[offset : offset + size] for offset in offsets]
    for panel in first:
        panel[:] = int(layer > 0)
    noise.before_layer(plan.layers, plan.cells, plan.cost_parameter, plan.panels, layer, 0, strips, 0, strips)
    return [from_panel(panel, samples, neurons) for panel in first]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_statistics_of_dropout(rate, dtype):
    """The share that is kept overall, by neuron, by sample; neighbours and epochs are independent.

    All bounds are five standard deviations of a binomial; the draw is fixed, so none can flicker.
    """
    samples, neurons = few((1024, 50), (64, 12))
    out, slope = noise_of(dict(dropout=rate), 1, samples, neurons, dtype)
    assert (out == slope).all()
    kept = out > 0
    assert np.unique(out).size == 2 and abs(out.max() - 1 / (1 - rate)) < 1e-6 / (1 - rate)

    def fair(events, probability, size):
        return (np.abs(events - probability) <= 5 * np.sqrt(probability * (1 - probability) / size)).all()

    assert fair(kept.mean(), 1 - rate, kept.size)
    assert fair(kept.mean(axis=0), 1 - rate, samples) and fair(kept.mean(axis=1), 1 - rate, neurons)
    both = (1 - rate) ** 2
    assert fair((kept[:, 1:] & kept[:, :-1]).mean(), both, kept.size)
    assert fair((kept[1:] & kept[:-1]).mean(), both, kept.size)
    for other in (dict(epoch=1), dict(key=4)):
        again = noise_of(dict(dropout=rate), 1, samples, neurons, dtype, **other)[0] > 0
        assert fair((kept & again).mean(), both, kept.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics_of_input_noise(dtype):
    """Moments of a normal distribution, and its distribution function (Kolmogorov & Smirnov, 0.1 % level)."""
    samples, neurons = few((1024, 50), (64, 12))
    found = np.sort(noise_of(dict(input_noise=2.0), 0, samples, neurons, dtype)[0].ravel().astype(float) / 2)
    n = found.size
    assert abs(found.mean()) < 5 / np.sqrt(n) and abs(found.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((found**4).mean() - 3) < 5 * np.sqrt(96 / n)
    steps = np.arange(n + 1) / n
    expected = np.array([naive.distribution(x) for x in found])
    assert max((steps[1:] - expected).max(), (expected - steps[:-1]).max()) < 1.95 / np.sqrt(n)


def test_nothing_is_dropped_outside_training(rng):
    """Validation costs and predictions are those of the network as it stands."""
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2)
    net = network((3, 8, 2), dtype="float64")
    settings = Regularization(dropout=0.9, input_noise=1.0, l2=0.1)
    net.fit(X, Y, epochs=3, validation=(X, Y), regularization=settings)
    close(net.history.validation_cost[-1], naive_cost(net, X, Y))
    close(net.predict(X), naive.forward(naive_layers(net), X, net.activations).out[-1])
    assert net.cost_and_gradient(X, Y, regularization=settings)[0] == net.cost_and_gradient(
        X, Y, regularization=Regularization(l2=0.1))[0]


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
    settings = dict(batch_size=6, optimizer=AdamW(0.01), regularization=Regularization(
        l2=0.1, l1=(0.0, 0.2), dropout=0.3, input_noise=0.1, clip_norm=1.0, trainable=np.arange(21) > 3))
    whole = Network((2, 5, 1), seed=1).fit(X, Y, epochs=4, **settings)
    half = Network((2, 5, 1), seed=1).fit(X, Y, epochs=2, **settings)
    half.save(tmp_path / "half", training=True)
    half = Network.load(tmp_path / "half").fit(X, Y, epochs=2, resume=True, **settings)
    assert half.parameters.tobytes() == whole.parameters.tobytes()
    assert half.history.cost.tobytes() == whole.history.cost.tobytes()
    shuffled = Network((2, 5, 1), seed=2).fit(X, Y, epochs=4, **settings)
    assert shuffled.parameters.tobytes() != whole.parameters.tobytes()
    half.fit(X, Y, epochs=1, batch_size=6, resume=True)
    assert len(half.history.cost) == 5


@pytest.mark.parametrize(("given", "message"), [
    (dict(l2=-1), "l2 is -1, expected a number that is not negative"),
    (dict(l2=np.array(0.1)), r"l2 is array\(0.1\), expected a number that is not negative"),
    (dict(l1=float("nan")), "l1 is nan, expected a number that is not negative"),
    (dict(l2="much"), "l2 is 'much', expected a number that is not negative"),
    (dict(l2=(0.1, -0.1)), r"l2\[1\] is -0.1, expected a number that is not negative"),
    (dict(weight_decay=-0.1), "weight_decay is -0.1, expected a number that is not negative"),
    (dict(max_norm=0), "max_norm is 0, expected a positive number"),
    (dict(max_norm=[1.0, -1.0]), r"max_norm\[1\] is -1.0, expected a positive number"),
    (dict(non_negative=1), "non_negative is 1, expected True or False"),
    (dict(penalize_biases="yes"), "penalize_biases is 'yes', expected True or False"),
    (dict(per_sample=None), "per_sample is None, expected True or False"),
    (dict(clip_value=-1.0), "clip_value is -1.0, expected a positive number"),
    (dict(clip_norm=0), "clip_norm is 0, expected a positive number"),
    (dict(dropout=1.0), "dropout is 1.0, expected a number from 0 up to, not including, 1"),
    (dict(dropout=[0.5, -0.5]), r"dropout\[1\] is -0.5, expected a number from 0 up to, not including, 1"),
    (dict(input_noise=-0.1), "input_noise is -0.1, expected a number that is not negative"),
    (dict(label_smoothing=1.5), "label_smoothing is 1.5, expected a number from 0 up to, not including, 1"),
    (dict(trainable=[1, 0]), r"trainable is \[1, 0\], expected True or False for each layer, or a flat boolean mask"),
    (dict(trainable=np.ma.array([True, True], mask=[True, False])), "trainable has masked entries"),
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
        with pytest.raises(ValueError, match="dropout has 2 values, expected 1: one for each hidden layer"):
            call(np.ones((4, 2)), np.ones(4), regularization=Regularization(dropout=[0.1, 0.2]))
        with pytest.raises(ValueError, match="label_smoothing is for classes, .* is squared_error: use cross_entropy"):
            call(np.ones((4, 2)), np.ones(4), regularization=Regularization(label_smoothing=0.1))
    with pytest.raises(ValueError, match="dropout acts on hidden layers, and the network has none: use input_noise"):
        Network((2, 1)).fit(np.ones((4, 2)), np.ones(4), regularization=Regularization(dropout=0.1))
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


@pytest.mark.parametrize(("name", "value"), [("dropout", 0.5), ("input_noise", 0.1)])
def test_full_batch_methods_refuse_what_changes_the_cost(name, value):
    net = Network((2, 3, 1), seed=1)
    before = net.parameters.copy()
    message = f"{name} changes the cost from one evaluation to the next, and Rprop compares them: use l2 or l1 with it"
    with pytest.raises(ValueError, match=message):
        net.fit(np.ones((4, 2)), np.ones(4), optimizer="rprop", regularization=Regularization(**{name: value}))
    assert (net.parameters == before).all() and not len(net.history.cost)


def test_levenberg_marquardt_takes_a_penalty(rng):
    X = rng.normal(size=(40, 3))
    Y = np.sin(X[:, 0])
    net, settings = Network((3, 4, 1), dtype="float64", seed=1), Regularization(l2=0.01)
    net.fit(X, Y, epochs=200, optimizer="levenbergmarquardt", regularization=settings)
    assert np.abs(net.cost_and_gradient(X, Y, regularization=settings)[1]).max() < 1e-6


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
    net = Network((2, 3, 1), seed=1)
    with pytest.raises(DivergenceError):
        net.fit(np.ones((4, 2)), np.ones(4), epochs=500, optimizer=SGD(3.0), regularization=Regularization(l2=10.0))
    assert np.isfinite(net.parameters).all()


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_the_record_tells_the_penalty_from_the_rest(optimizer, rng):
    """Of the epoch's one batch: with the parameters before its update, or after the step of a full-batch method."""
    X, Y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    net = Network((3, 4, 2), dtype="float64", seed=0)
    seen = [sum((W**2).sum() for W in net.weights) * 0.5 * 0.3]
    records = []

    def listen(record):
        records.append(record)
        seen.append(sum((W**2).sum() for W in net.weights) * 0.5 * 0.3)

    net.fit(X, Y, epochs=3, batch_size=10, optimizer=optimizer, callbacks=[listen],
            regularization=Regularization(l2=0.3))
    expected = seen[:-1] if optimizer == "sgd" else seen[1:]
    np.testing.assert_allclose([record.penalty for record in records], expected, rtol=1e-12)
    plain = records[:0]
    net.fit(X, Y, epochs=1, optimizer=optimizer, callbacks=[plain.append])
    assert plain[0].penalty == 0


def test_the_norm_to_clip_is_taken_in_double():
    """Of slopes whose squares are beyond float32: the step is as long as it is told to be."""
    net = Network((1, 1), activation="identity", cost=quantile(0.5), seed=0)
    before = net.parameters.copy()
    net.fit(np.float32([[1e25]]), np.float32([[0]]), epochs=1, batch_size=2, optimizer=SGD(1.0),
            regularization=Regularization(clip_norm=1.0))
    assert np.linalg.norm(net.parameters - before) == pytest.approx(1, rel=1e-6)


def test_a_table_that_is_kept_is_that_of_one_regularization_and_network():
    """Not the one of other settings, of another network, rule or state, nor the array that a fit has written to."""
    mild, strong = Regularization(l2=0.1), Regularization(l2=0.2)
    small, large = (network(sizes)._architecture for sizes in ((3, 5, 2), (3, 6, 2)))
    hyper, masked = np.arange(1.0, tables.HYPER_COUNT + 1), Regularization(trainable=[True] * 31 + [False])
    asked = [(mild, small, {}), (strong, small, {}), (mild, large, {}), (mild, small, {"rule": 7}),
             (mild, small, {"total": 8}), (mild, small, {"ungrouped": 10}),
             (masked, small, {}), (masked, small, {"fixed": 9})]
    first = [penalties.numbers(one, other, hyper, **more) for one, other, more in asked]
    shapes = {(found.size, found.tobytes()) for found in first}
    assert len(shapes) == len(asked)
    expected = [found.copy() for found in first]
    for found in first:
        found[:] = np.nan
    for (one, other, more), wanted in zip(asked, expected, strict=True):
        assert penalties.numbers(one, other, hyper, **more).tobytes() == wanted.tobytes()  # -1 is a NaN
    kept = penalties._TABLES[small]
    assert set(kept) >= {mild, strong}
    count = len(kept)
    del strong, asked, one
    gc.collect()
    assert len(kept) == count - 1

"""Metrics of samples that are read by blocks: the plain twin's, of what `predict` says."""

import math

import numpy as np
import pytest
from helpers import compiled_only, few
from naive import metrics as naive

import fastbp
from fastbp import Adam, EarlyStopping, Network, data
from fastbp.core.shards import Team
from fastbp.core.streamed import Streamed
from fastbp.data.source import source
from fastbp.metrics import METRICS
from fastbp.training.metrics import Metrics

N = few(700, 60)
OF_NUMBERS = ["r2", "mae", "mse", "rmse"]


def numbers(rng, m=2):
    X = rng.normal(size=(N, 3))
    Y = 1e3 + np.sin(X[:, :m])  # far from 0: squares of deviations must not cancel
    return Network((3, 4, m), dtype="float64", seed=1), X, Y, OF_NUMBERS


def gaussian(rng):
    _, X, Y, names = numbers(rng)
    return Network((3, 4, 4), cost="gaussian_nll", dtype="float64", seed=1), X, Y - 1e3, names


def labels(rng):
    net = Network((3, 4, 4), cost="cross_entropy", dtype="float64", seed=1)
    return net, rng.normal(size=(N, 3)), rng.integers(0, 4, N), ["accuracy", "cross_entropy"]


def probabilities(rng):
    net = Network((3, 4, 2), cost="binary_cross_entropy", dtype="float64", seed=1)
    return net, rng.normal(size=(N, 3)), rng.integers(0, 2, (N, 2)), ["accuracy", "cross_entropy", *OF_NUMBERS]


def twin(name, net, X, Y, weights=None):
    o, exclusive = net.predict(X).reshape(len(X), -1), net.cost_function.name == "cross_entropy"
    y = Y if exclusive else np.asarray(Y, float).reshape(len(Y), -1)
    o = o if exclusive else o[:, : y.shape[1]]
    return naive.METRICS[name](y, o, np.ones(len(X)) if weights is None else weights, exclusive)


@pytest.mark.parametrize("kind", [numbers, gaussian, labels, probabilities])
def test_values_are_those_of_all_outputs(kind, rng):
    """Of the rows that validate, of the training rows where there are none, and by their weights; as a score, too."""
    net, X, Y, names = kind(rng)
    weights = rng.uniform(0, 2, N) * (rng.random(N) < 0.7)
    weights[-N // 10 :] += 0.1
    kept = N - round(0.2 * N)
    asked = [*names, f"training_{names[0]}"]

    def check(record):
        for name, value in record.metrics.items():
            rows = slice(None, kept) if name.startswith("training_") else slice(kept, None)
            expected = twin(name.removeprefix("training_"), record.network, X[rows], Y[rows], weights[rows])
            assert value == pytest.approx(expected, rel=1e-11)
            seen.append(name)

    seen = []
    net.fit(data.rows(X), Y, sample_weight=weights, epochs=2, batch_size=8, memory=few(9000, 2500), validation=0.2,
            metrics=asked, callbacks=[check])
    assert seen == 2 * asked
    for name in names:
        expected = twin(name, net, X, Y, weights)
        found = net.score(X, Y, weights, metric=name, memory=few(3000, 1000))
        assert found == pytest.approx(expected, rel=1e-11)
    blocks = data.Stream(lambda: ((X[i : i + 50], Y[i : i + 50], weights[i : i + 50]) for i in range(0, N, 50)))
    found = net.score(blocks, metric=names[0], memory=few(3000, 1000))
    assert found == pytest.approx(twin(names[0], net, X, Y, weights))
    assert net.score(data.rows(X), Y) == net.score(X, Y)  # which fits, and is loaded


def test_they_change_no_bit_and_are_watched(rng):
    net, X, Y, _ = numbers(rng, 1)
    Y = (Y - 1e3)[:, 0]
    settings = {"epochs": few(12, 4), "batch_size": 16, "memory": few(9000, 2500), "optimizer": Adam(0.05)}
    plain = net.copy().fit(X, Y, **settings, validation=0.2)
    measured = net.copy().fit(X, Y, **settings, validation=0.2, metrics=["r2"])
    assert measured.parameters.tobytes() == plain.parameters.tobytes()
    assert measured.history.cost.tobytes() == plain.history.cost.tobytes()
    stopping = EarlyStopping(1, metric="r2")
    net.fit(X, Y, **settings, validation=(data.rows(X), Y), metrics=["r2"], callbacks=[stopping])
    assert net.score(X, Y) == pytest.approx(net.history.metrics["r2"].max(), rel=1e-12)


def test_what_is_not_defined_is_nan(rng):
    net, X, _, names = numbers(rng, 1)
    flat = np.full(N, 3.0)
    assert net.score(X, flat, memory=few(3000, 1000)) == net.score(X, flat) == 0
    net.parameters[:] = 0
    assert net.score(X, 0 * flat, memory=few(3000, 1000)) == net.score(X, 0 * flat) == 1
    net.biases[-1][:] = np.inf
    assert all(math.isnan(net.score(X, flat, metric=name, memory=few(3000, 1000))) for name in names)


def own(y_true, y_pred, sample_weight):
    assert not y_true.flags.writeable and not y_pred.flags.writeable
    return float((sample_weight * np.abs(y_true.reshape(len(y_true), -1)[:, 0] - y_pred[:, 0])).max())


@compiled_only
@pytest.mark.parametrize("kind", [labels, probabilities])
def test_what_asks_for_all_outputs_has_the_bits_of_memory(kind, rng):
    """With weights of which some are 0, of validating and training rows, of streams; and the twin's value."""
    net, X, Y, names = kind(rng)
    X[5:9] = X[4]  # ties
    weights = rng.uniform(0, 2, N) * (rng.random(N) < 0.7)
    weights[20:40] = 0  # pieces that weigh nothing
    weights[-N // 10 :] += 0.1
    kept = N - round(0.2 * N)
    asked = ["auc", own, names[0], "training_auc"]
    memory = 150_000

    seen = []
    given = {"sample_weight": weights, "epochs": 2, "batch_size": 8, "validation": 0.2, "memory": memory}
    blocks = data.Stream(lambda: ((X[i : i + 50], Y[i : i + 50], weights[i : i + 50]) for i in range(0, N, 50)))
    wide = np.pad(X, ((0, 0), (0, 60)))  # so that outputs fit, and rows do not
    other = fastbp.Network((63, *net.layers[1:]), cost=net.cost_function, dtype="float64", seed=1)
    other.fit(wide, Y, **given, metrics=asked, callbacks=[lambda record: seen.append(list(record.metrics))])
    plain = fastbp.Network(other.layers, cost=net.cost_function, dtype="float64", seed=1).fit(wide, Y, **given)
    assert seen == 2 * [["auc", "own", names[0], "training_auc"]]
    assert plain.parameters.tobytes() == other.parameters.tobytes()
    for metric in ("auc", own):
        found = other.score(wide, Y, weights, metric=metric, memory=memory)
        assert found == other.score(wide, Y, weights, metric=metric)
    assert other.score(wide, Y, weights, metric="auc", memory=memory) == \
        pytest.approx(twin("auc", other, wide, Y, weights), rel=1e-12)
    assert other.score(wide, Y, metric="auc", memory=memory) == other.score(wide, Y, metric="auc")
    for rows, name in ((slice(kept), "training_auc"), (slice(kept, None), "auc")):
        assert other.history.metrics[name][-1] == other.score(wide[rows], Y[rows], weights[rows], metric="auc")
    assert net.score(blocks, metric="auc", memory=memory) == net.score(X, Y, weights, metric="auc")


def test_what_asks_for_all_outputs_is_refused_where_they_do_not_fit(rng):
    net, X, Y, _ = probabilities(rng)
    before, given = net.parameters.copy(), {"epochs": 1, "batch_size": 8, "memory": few(9000, 2500)}

    def own(y_true, y_pred):
        return 0.0

    for metric, said in (("auc", "'auc' asks .*: of .* give memory=.*, use 'accuracy', 'cross_entropy', or fewer"),
                         (own, "'own' asks .*: of .* give memory=.*, use 'r2', 'mae', 'mse', 'rmse', or fewer")):
        with pytest.raises(ValueError, match=said):
            net.fit(X, Y, **given, metrics=[metric])
        with pytest.raises(ValueError, match=said):
            net.score(X, Y, metric=metric, memory=few(3000, 1000))
    with pytest.raises(ValueError, match="X holds nan in row 7"):
        net.score(np.where(np.arange(N)[:, None] == 7, np.nan, X), Y, memory=few(3000, 1000))
    wide = np.pad(X, ((0, 0), (0, 60)))
    with pytest.raises(ValueError, match="sample_weight is 0 for every sample"):
        fastbp.Network((63, 2), cost="binary_cross_entropy").score(wide, Y, np.zeros(N), metric="auc",
                                                                  memory=few(150_000, 20_000))
    with pytest.raises(ValueError, match="'auc' asks for all outputs .*, but processes share the samples: use 'acc"):
        Metrics(["auc"]).check_blocks(
            Streamed(net._architecture, source(X, Y, None), "1GB", team=Team()), None)
    assert net.parameters.tobytes() == before.tobytes()
    net.fit(X, Y, **given, validation=(X, Y), metrics=["auc", own])
    assert list(net.history.metrics) == ["auc", "own"]
    assert [name for name, metric in METRICS.items() if metric.means is None] == ["auc"]
    with pytest.raises(TypeError, match="Y is missing"):
        fastbp.Network((3, 1)).score(X, memory=few(3000, 1000))


def test_targets_that_are_missing_in_part_are_refused(rng):
    net, X, Y, names = numbers(rng)
    before, memory = net.parameters.copy(), few(9000, 2500)
    partly = np.where(np.arange(2 * N).reshape(N, 2) % 5 == 0, np.nan, Y)
    with pytest.raises(ValueError, match="metrics compare all targets of a sample, but some are missing"):
        net.fit(X, partly, epochs=1, batch_size=1, memory=memory, missing="ignore", metrics=names)
    assert net.parameters.tobytes() == before.tobytes()
    blocks, whole = net.copy(), net.copy()
    for each, budget in ((blocks, memory), (whole, None)):
        each.fit(X, partly, epochs=2, batch_size=1, shuffle=False, memory=budget, missing="ignore")
    assert np.allclose(blocks.parameters, whole.parameters, rtol=1e-12, atol=0)

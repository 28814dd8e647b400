"""Metrics of a fit: recorded beside the cost, watched, resumed, saved; and they change no bit of it."""

import math
import pickle
import signal

import numpy as np
import pytest
from helpers import few, network, real_data
from naive import metrics as naive
from scipy.sparse import csr_array

import fastbp
from fastbp import SGD, Adam, Checkpoint, EarlyStopping, History, Network, ProgressBar, Record, fit_many
from fastbp.metrics import METRICS
from fastbp.optimizers import OPTIMIZERS
from fastbp.schedules import ReduceOnPlateau

from .test_many import same
from .test_stacked import stacks  # noqa: F401  a fixture

OF_CLASSES = [name for name, metric in METRICS.items() if metric.of_classes]
OF_NUMBERS = [name for name, metric in METRICS.items() if not metric.of_classes]
N = 40


def numbers(rng, dtype, m=2):
    X, Y = real_data(rng, "squared_error", None, N, 3, m, dtype)
    return network((3, 5, m), dtype=dtype), X, Y, OF_NUMBERS, False


def one_number(rng, dtype):
    net, X, Y, names, exclusive = numbers(rng, dtype, 1)
    return net, X, Y[:, 0], names, exclusive


def gaussian(rng, dtype):
    _, X, Y, names, exclusive = numbers(rng, dtype)
    return network((3, 5, 4), cost="gaussian_nll", dtype=dtype), X, Y, names, exclusive


def counts(rng, dtype):
    X, Y = real_data(rng, "poisson", None, N, 3, 2, dtype)
    return network((3, 5, 2), cost="poisson", output="exp", dtype=dtype), X, Y, OF_NUMBERS, False


def labels(rng, dtype):
    net = network((3, 5, 4), cost="cross_entropy", output="softmax", dtype=dtype)
    return net, rng.normal(size=(N, 3)), rng.integers(0, 4, N), OF_CLASSES, True


def rows(rng, dtype):
    net, X, Y, names, exclusive = labels(rng, dtype)
    return net, X, np.eye(4)[Y], names, exclusive


def probabilities(rng, dtype, m=2):
    net = network((3, 5, m), cost="binary_cross_entropy", output="logistic", dtype=dtype)
    return net, rng.normal(size=(N, 3)), rng.integers(0, 2, (N, m)), [*METRICS], False


def yes_or_no(rng, dtype):
    return probabilities(rng, dtype, 1)


KINDS = [numbers, one_number, gaussian, counts, labels, rows, probabilities, yes_or_no]


def expected(name, net, X, Y, weights, exclusive):
    """The plain twin, of what `predict` says."""
    o, y = net.predict(X).reshape(len(X), -1).astype(float), np.asarray(Y)
    y = y if y.ndim == 2 or exclusive else y.reshape(-1, 1)
    o = o[:, : y.shape[1]] if not exclusive else o
    return naive.METRICS[name](y, o, np.ones(len(X)) if weights is None else weights, exclusive)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("validation", [None, "pair", 0.3])
def test_values_are_those_of_the_samples_that_validate(kind, validation, dtype, rng):
    """And by the samples' weights; of the training samples where there are no others, or the name says so."""
    net, X, Y, names, exclusive = kind(rng, dtype)
    weights, seen = rng.uniform(0.5, 2, N).astype(dtype), []
    mine = (X[28:], Y[28:], weights[28:]) if validation else (X, Y, weights)
    mine = (*mine[:2], None) if validation == "pair" else mine
    train = (X[:28], Y[:28], weights[:28]) if validation else (X, Y, weights)
    asked = [*names, f"training_{names[0]}"]

    def check(record):
        assert list(record.metrics) == asked
        for name in names:
            found = record.metrics[name]
            assert type(found) is float
            assert found == pytest.approx(expected(name, net, *mine, exclusive), rel=1e-6, abs=1e-6, nan_ok=True)
        assert record.metrics[asked[-1]] == pytest.approx(expected(names[0], net, *train, exclusive), rel=1e-6)
        seen.append(record.metrics)

    if validation == "pair":
        net.fit(*train[:2], sample_weight=train[2], validation=mine[:2], epochs=3, metrics=asked, callbacks=[check])
    else:
        net.fit(X, Y, sample_weight=weights, validation=validation, epochs=3, metrics=asked, callbacks=[check])
    assert len(seen) == 3 and list(net.history.metrics) == asked
    for name in asked:
        assert net.history.metrics[name].tolist() == [metrics[name] for metrics in seen]


@pytest.mark.parametrize("validation", [None, 0.25])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_metrics_change_no_bit(optimizer, validation, rng):
    _, X, Y, names, _ = numbers(rng, "float32")
    plain, measured = (network((3, 5, 2)) for _ in range(2))
    epochs = few(8, 2)
    plain.fit(X, Y, epochs=epochs, optimizer=optimizer, validation=validation)
    measured.fit(X, Y, epochs=epochs, optimizer=optimizer, validation=validation, metrics=names, threads=2)
    assert (plain.parameters == measured.parameters).all()
    assert np.array_equal(plain.history.cost, measured.history.cost)
    assert np.array_equal(plain.history.validation_cost, measured.history.validation_cost, equal_nan=True)
    assert plain.history.metrics == {} and all(np.isfinite(v).all() for v in measured.history.metrics.values())


def test_with_all_that_a_fit_takes(rng):
    """Sparse inputs, dropout, batches of one, targets of slopes: the value is that of `predict`."""
    _, X, Y, _, _ = numbers(rng, "float32")
    X[rng.random(X.shape) < 0.5] = 0
    net = network((3, 5, 2))
    for settings in (dict(batch_size=1), dict(batch_size=7, regularization=fastbp.Regularization(dropout=0.5)),
                     dict(target_jacobian=rng.normal(size=(N, 2, 3))), dict(shuffle=lambda order: order.sort())):
        net.fit(X, Y, epochs=2, metrics=["mse"], **settings)
        assert net.history.metrics["mse"][-1] == pytest.approx(np.square(net.predict(X) - Y).mean(), rel=1e-6)
    dense = network((3, 5, 2)).fit(X, Y, epochs=2, metrics=["mse"])
    sparse = network((3, 5, 2)).fit(csr_array(X), Y, epochs=2, metrics=["mse"], validation=0.2)
    assert sparse.history.metrics["mse"][-1] == pytest.approx(
        np.square(sparse.predict(X[32:]) - Y[32:]).mean(), rel=1e-6) and len(dense.history.metrics["mse"]) == 2


def test_outputs_that_are_not_finite_have_no_metric(rng):
    """The validation cost may overflow, where the parameters are finite: nothing warns."""
    net = Network((1, 1), init="zeros", seed=0)
    X = np.full((4, 1), 1e38, "float32")
    net.fit(np.ones((4, 1)), np.ones(4), epochs=1, optimizer=SGD(50.0), batch_size=4, validation=(X, np.ones(4)),
            metrics=["mse", ("largest", lambda y, p: p.max())])
    assert math.isnan(net.history.metrics["mse"][0]) and math.isinf(net.history.metrics["largest"][0])


# ------------------------------------------------------------------------------------------------- functions of a user

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_what_a_function_is_given(kind, weighted, rng):
    net, X, Y, _, exclusive = kind(rng, "float32")
    weights, calls = rng.uniform(0.5, 2, N) if weighted else None, []

    def mine(y_true, y_pred, sample_weight=3):
        calls.append((y_true, y_pred, sample_weight))
        assert not y_true.flags.writeable and not y_pred.flags.writeable
        return 1

    def plain(y_true, y_pred):
        assert y_true is calls[-1][0] and y_pred is calls[-1][1]
        return np.float32(0.5)

    net.fit(X, Y, sample_weight=weights, epochs=2, metrics=[mine, plain, ("training_own", mine)])
    y, o, w = calls[-1]
    outputs = net.predict(X).reshape(len(X), -1)
    assert np.array_equal(o, outputs[:, 0] if outputs.shape[1] == 1 else outputs) and o.dtype == np.float32
    assert np.array_equal(y, Y[:, 0] if Y.ndim == 2 and Y.shape[1] == 1 else Y.astype(y.dtype))
    assert y.dtype == (np.int64 if kind is labels else np.float32)
    assert w is None if weights is None else np.array_equal(w, weights.astype("float32"))
    assert {name: values.tolist() for name, values in net.history.metrics.items()} == {
        "mine": [1.0, 1.0], "plain": [0.5, 0.5], "training_own": [1.0, 1.0]}


def test_those_of_scikit_learn_serve(rng):
    theirs = pytest.importorskip("sklearn.metrics")
    net, X, Y, _, _ = one_number(rng, "float32")
    weights = rng.uniform(0.5, 2, N).astype("float32")
    own = [theirs.explained_variance_score, ("median", theirs.median_absolute_error), ("their_r2", theirs.r2_score)]
    net.fit(X, Y, sample_weight=weights, epochs=3, metrics=[*own, "r2"])
    found = net.history.metrics
    assert list(found) == ["explained_variance_score", "median", "their_r2", "r2"]
    assert found["their_r2"] == pytest.approx(found["r2"], rel=1e-5)
    assert found["median"][-1] == pytest.approx(
        theirs.median_absolute_error(Y, net.predict(X), sample_weight=weights), rel=1e-6)
    with pytest.raises(ValueError, match=r"function called 'r2_score', .* fastbp's own 'r2': .* \('my_r2', function\)"):
        net.fit(X, Y, metrics=[theirs.r2_score])


def failing(after):
    """A function that fails in its call number ``after``."""
    calls = []

    def mine(y_true, y_pred):
        calls.append(0)
        if len(calls) == after:
            raise LookupError("mine")
        return float(len(calls))

    return mine


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "rprop", Adam(ReduceOnPlateau(0.01, metric="r2"))], ids=str)
@pytest.mark.parametrize("validation", [None, 0.2])
def test_a_function_that_raises_leaves_a_whole_epoch(optimizer, validation, rng):
    """As a callback that raises: the epoch is recorded, without metrics, and a fit that resumes has the same bits."""
    _, X, Y, _, _ = numbers(rng, "float32")
    settings = dict(optimizer=optimizer, validation=validation)
    net, whole = network((3, 5, 2)), network((3, 5, 2)).fit(X, Y, epochs=5, metrics=["r2"], **settings)
    stopping, called = EarlyStopping(50, restore_best=False), []
    with pytest.raises(LookupError, match="mine"):
        net.fit(X, Y, epochs=5, metrics=["r2", ("own", failing(3))], callbacks=[stopping, called.append], **settings)
    assert len(net.history) == 3 and len(called) == 2 and not net._lock.locked()
    assert np.array_equal(net.history.metrics["own"], [1, 2, np.nan], equal_nan=True)
    assert np.isnan(net.history.metrics["r2"]).tolist() == [False, False, True]
    assert np.array_equal(net.history.validation_cost, whole.history.validation_cost[:3], equal_nan=True)
    assert np.isfinite(net.history.validation_cost).all() == (validation is not None)
    net.fit(X, Y, epochs=2, metrics=["r2"], resume=True, validation=validation)
    assert (net.parameters == whole.parameters).all()
    assert np.array_equal(net.history.cost, whole.history.cost)


@pytest.mark.parametrize("value", [None, "0.5", True, np.True_, 1j, [0.5], np.ones(2), np.ones(1), 10**400, object()],
                         ids=repr)
def test_what_is_no_number_is_an_error(value, rng):
    net, X, Y, _, _ = numbers(rng, "float32")
    with pytest.raises(TypeError, match="metric 'own' returned .*, expected a number"):
        net.fit(X, Y, epochs=4, metrics=[("own", lambda y, p: value)])
    assert len(net.history) == 1 and not net._lock.locked()


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int8(3), np.array(4.0), math.nan, -math.inf], ids=repr)
def test_numbers_of_any_kind(value, rng):
    net, X, Y, _, _ = numbers(rng, "float32")
    net.fit(X, Y, epochs=1, metrics=[("own", lambda y, p: value)])
    assert np.array_equal(net.history.metrics["own"], [float(value)], equal_nan=True)


def test_ctrl_c_in_a_function(rng):
    net, X, Y, _, _ = numbers(rng, "float32")
    twin = net.copy().fit(X, Y, epochs=5)

    def interrupt(y_true, y_pred):
        if len(net.history) == 2:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, epochs=5, metrics=[interrupt])
    assert len(net.history) == 3 and not net._lock.locked()
    assert (net.fit(X, Y, epochs=2, resume=True).parameters == twin.parameters).all()


def test_a_function_that_writes_or_fits_harms_nothing(rng):
    net, X, Y, _, _ = numbers(rng, "float32")
    before = Y.copy()
    for own, error in ((lambda y, p: y.fill(0), ValueError), (lambda y, p: p.fill(0), ValueError),
                       (lambda y, p: net.fit(X, Y), RuntimeError)):
        with pytest.raises(error):
            net.fit(X, Y, epochs=2, metrics=[("own", own)])
        assert len(net.history) == 1 and (Y == before).all() and not net._lock.locked()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_targets_that_a_callback_overwrites(rng):
    """Class indices by which something is looked up are copies."""
    net, X, Y, names, _ = labels(rng, "float32")
    net.fit(X, Y, epochs=3, metrics=names, callbacks=[lambda record: Y.fill(10**9)])
    assert len(net.history) == 3


# -------------------------------------------------------------------------------------------------------------- errors

def third(y, p, w):
    return 0.0


WRONG = [
    ("r2", TypeError, r"metrics is 'r2', expected a list of names and functions, for instance metrics=\['r2'"),
    (third, TypeError, "metrics is <function third"),
    ({"r2": third}, TypeError, "metrics is {'r2'"),
    (3, TypeError, "metrics is 3, expected a list"),
    (["r2", "acuracy"], ValueError, "unknown metric 'acuracy': did you mean 'accuracy'"),
    (["r2", 3], TypeError, r"metrics\[1\] is 3, expected a name, a function of"),
    (["r2", None], TypeError, r"metrics\[1\] is None"),
    (["r2", ("a", 3)], TypeError, r"metrics\[1\] is \('a', 3\)"),
    ([(3, third)], TypeError, r"which has no name to be recorded under: give a pair \(name, function\)"),
    ([lambda y, p: 0.0], TypeError, r"metrics\[0\] is <function <lambda>.*, which has no name"),
    ([("", lambda y, p: 0.0)], TypeError, "which has no name"),
    ([third], TypeError, r"metrics\[0\], the function 'third', takes \(y, p, w\), expected \(y_true, y_pred\) or"),
    ([("own", lambda y: 0.0)], TypeError, "the function 'own', takes"),
    (["r2", "R2_score"], ValueError, r"metrics\[1\] is recorded as 'r2', and so is another one"),
    ([("own", max), ("own", min)], ValueError, r"metrics\[1\] is recorded as 'own'"),
    ([("Log Loss", max)], ValueError, "a function called 'Log Loss', which is a name of fastbp's own 'cross_entropy'"),
    ([("training_r2", max)], ValueError, "a function called 'training_r2', which is a name"),
    (["accuracy"], ValueError, "'accuracy' judges classes, but the cost is 'squared_error', for numbers: use 'r2'"),
    (["training_auc"], ValueError, "metric 'training_auc' judges classes"),
]


@pytest.mark.parametrize(("metrics", "kind", "message"), WRONG, ids=[row[2][:30] for row in WRONG])
def test_what_cannot_be_recorded_is_an_error_before_anything_is_changed(metrics, kind, message, rng):
    net, X, Y, _, _ = numbers(rng, "float32")
    before, other = net.parameters.copy(), network((3, 5, 2), seed=1)
    with pytest.raises(kind, match=message):
        net.fit(X, Y, metrics=metrics)
    with pytest.raises(kind, match=message):
        fit_many([other, net], X, Y, metrics=metrics)
    assert (net.parameters == before).all() and not len(net.history) and not len(other.history)


def test_numbers_are_not_for_classes(rng):
    net, X, Y, _, _ = labels(rng, "float32")
    with pytest.raises(ValueError, match="metric 'mae' judges numbers, but the cost is 'cross_entropy', for classes"):
        net.fit(X, Y, metrics=["mae"])


@pytest.mark.parametrize("watching", [
    dict(callbacks=[EarlyStopping(metric="r2")]), dict(optimizer=Adam(ReduceOnPlateau(0.1, metric="r2"))),
], ids=["EarlyStopping", "ReduceOnPlateau"])
def test_what_is_watched_must_be_recorded(watching, rng):
    net, X, Y, _, _ = numbers(rng, "float32")
    for metrics in ((), ["mae"], ["training_r2"]):
        with pytest.raises(ValueError, match="(EarlyStopping|Adam) watches the metric 'r2', but metrics is"):
            net.fit(X, Y, metrics=metrics, **watching)
    assert not len(net.history)
    net.fit(X, Y, epochs=1, metrics=["R2"], **watching)


# ------------------------------------------------------------------------------------------------------------- watching

def record(epoch, net, **metrics):
    return Record(epoch, 1.0, None, 0.0, net, 0, 0.1, lambda: 1.0, lambda rate: None, metrics=metrics)


def play(stopping, name, values):
    """Feed values of a metric to a callback; give the epoch in which it stops, the best, and what is put back."""
    net = network((1, 1))
    with stopping:
        for epoch, value in enumerate(values, 1):
            net.parameters[:] = epoch
            if stopping(record(epoch, net, **{name: value})):
                break
        else:
            epoch = None
    return epoch, stopping.best_epoch, stopping.best_value, net.parameters[0]


@pytest.mark.parametrize(("settings", "name", "values", "stops", "best", "value"), [
    (dict(metric="r2"), "r2", [0.1, 0.5, 0.4, 0.5, 0.9], 4, 2, 0.5),
    (dict(metric="r2", best="last"), "r2", [0.1, 0.5, 0.4, 0.5, 0.9], 4, 4, 0.5),
    (dict(metric="mae"), "mae", [0.5, 0.1, 0.4, 0.3, 0.0], 4, 2, 0.1),
    (dict(metric="mae", best="last"), "mae", [0.5, 0.1, 0.1, 0.3, 0.0], 4, 3, 0.1),
    (dict(metric="own", higher_is_better=True), "own", [1, 3, 2, 2], 4, 2, 3),
    (dict(metric="own", higher_is_better=False, best="last"), "own", [2, 1, 1, 1], 4, 4, 1),
    (dict(metric="accuracy", best="last"), "accuracy", [0.5, 0.5, 0.6, 0.6], None, 4, 0.6),
    (dict(metric="auc"), "auc", [math.nan, math.inf, 0.5, 0.6], 2, 0, -math.inf),
    (dict(metric="auc", best="last"), "auc", [0.5, math.nan, math.inf], 3, 1, 0.5),
    (dict(metric="r2", min_delta=0.2), "r2", [0.1, 0.25, 0.29, 0.5], 3, 3, 0.29),
])
def test_early_stopping_by_a_metric(settings, name, values, stops, best, value):
    for _ in range(2):  # a second fit begins anew
        found = play(EarlyStopping(2, **settings), name, values)
        assert found[:2] == (stops, best) and found[2] == value
        assert found[3] == (best or (stops or len(values)))


def test_the_last_best_epoch_of_the_cost():
    net = network((1, 1))
    for best, expected_epoch in (("first", 2), ("last", 3)):
        stopping = EarlyStopping(9, best=best)
        with stopping:
            for epoch, cost in enumerate([2.0, 1.0, 1.0, 3.0], 1):
                stopping(record(epoch, net)._replace(cost=cost))
        assert stopping.best_epoch == expected_epoch and stopping.best_value == 1.0
        assert stopping.seen.waited == 2, "a tie is no progress"
    with pytest.raises(ValueError, match="EarlyStopping: best is 'both', expected one of 'first', 'last'"):
        EarlyStopping(best="both")


def checkered():
    """Two classes that a small network learns to tell apart, with labels that are wrong here and there."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 2)).astype("float32")
    return X, ((X[:, 0] * X[:, 1] > 0) ^ (rng.random(120) < 0.1)).astype(int)


@pytest.mark.parametrize("best", ["first", "last"])
def test_the_parameters_of_the_best_epoch_are_put_back(best):
    X, Y = checkered()
    net, kept = network((2, 8, 2), cost="cross_entropy", output="softmax"), []
    stopping = EarlyStopping(100, metric="accuracy", best=best)
    net.fit(X, Y, epochs=30, optimizer=Adam(0.003), validation=0.1, metrics=["accuracy"],
            callbacks=[stopping, lambda record: kept.append(record.network.parameters.copy())])
    values = net.history.metrics["accuracy"]
    ties = np.flatnonzero(values == values.max())
    assert len(ties) > 1, "a metric as coarse as this has ties"
    assert stopping.best_epoch == 1 + (ties[0] if best == "first" else ties[-1])
    assert (net.parameters == kept[stopping.best_epoch - 1]).all()
    assert (net.predict(X[108:]).argmax(axis=1) == Y[108:]).mean() == pytest.approx(stopping.best_value)


@pytest.mark.parametrize("cut", [2, 6])
def test_a_checkpoint_goes_on_with_metrics_and_what_was_seen(cut, tmp_path):
    X, Y = checkered()
    whole, first = (network((2, 8, 2), cost="cross_entropy", output="softmax") for _ in range(2))
    settings = dict(validation=0.3, metrics=["accuracy", "auc", ("own", lambda y, p: next(values))])
    rate, path = ReduceOnPlateau(0.05, 0.5, 2, metric="auc"), tmp_path / "net"

    def watchers():
        return [EarlyStopping(50, metric="accuracy", best="last"),
                EarlyStopping(9, metric="own", higher_is_better=True)]

    values, watching = iter([*range(4), *[0] * 60]), watchers()
    whole.fit(X, Y, epochs=60, optimizer=Adam(rate), callbacks=watching, **settings)
    last = len(whole.history)
    assert last == 13
    values = iter([*range(4), *[0] * 60])

    def kill(record):
        if record.epoch == cut + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.fit(X, Y, epochs=60, optimizer=Adam(rate), callbacks=[*watchers(), kill, Checkpoint(path, cut)],
                  **settings)
    loaded, found = Network.load(path), watchers()
    values = iter([*range(4), *[0] * 60][cut:])
    assert list(loaded.history.metrics) == ["accuracy", "auc", "own"] and len(loaded.history) == cut
    with pytest.raises(ValueError, match="Adam watches the metric 'auc', but metrics is"):
        loaded.fit(X, Y, resume=True, epochs=2)
    loaded.fit(X, Y, epochs=60 - cut, callbacks=found, resume=True, **settings)
    assert same(loaded, whole)
    for mine, theirs in zip(found, watching, strict=True):
        assert (mine.best_epoch, mine.best_value, mine.seen.waited) == (theirs.best_epoch, theirs.best_value,
                                                                       theirs.seen.waited)


def test_who_watches_something_else_begins_to_wait_anew():
    """A cost of 0.2 is no accuracy: what an EarlyStopping has seen is that of its own."""
    X, Y = checkered()
    net = network((2, 8, 2), cost="cross_entropy", output="softmax")
    net.fit(X, Y, epochs=3, metrics=["accuracy"], callbacks=[EarlyStopping(50)])
    for stopping in (EarlyStopping(50, metric="accuracy"), EarlyStopping(50)):
        net.fit(X, Y, epochs=2, resume=True, metrics=["accuracy"], callbacks=[stopping])
        history = net.history.metrics["accuracy"] if stopping.metric else -net.history.cost
        assert stopping.best_epoch == len(net.history) - 1 + np.argmax(history[-2:])


@pytest.mark.parametrize(("name", "higher", "values", "rates"), [
    ("r2", None, [0.1, 0.2, 0.2, 0.1, 0.3], [0.8, 0.8, 0.8, 0.4, 0.4]),
    ("mae", None, [0.5, 0.2, 0.3, 0.4, 0.1], [0.8, 0.8, 0.8, 0.4, 0.4]),
    ("own", True, [1, 2, 2, 2, 2], [0.8, 0.8, 0.8, 0.4, 0.4]),
    ("own", False, [1, 2, 2, 2, 2], [0.8, 0.8, 0.4, 0.4, 0.2]),
    ("r2", None, [math.nan, 0.2, math.nan, math.nan, 0.1], [0.8, 0.8, 0.8, 0.4, 0.4]),
])
def test_the_rate_falls_where_a_metric_rests(name, higher, values, rates):
    method = SGD(ReduceOnPlateau(0.8, 0.5, patience=2, metric=name, higher_is_better=higher))
    hyper, found = method.hyper(), []
    for value in values:
        method.on_epoch_end(hyper, 0, 1.0, {name: value})
        found.append(hyper[fastbp.kernels.tables.HYPER_RATE])
    assert found == rates


# ------------------------------------------------------------------------------------------------------ many networks

@pytest.mark.parametrize("threads", few([1, 2, 3], [2]))
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("validated", [False, True])
def test_many_networks_have_the_metrics_of_fits_of_their_own(validated, sparse, threads, rng):
    """Of rows that are picked, where they lie: weights, class indices, callbacks that watch."""
    X = rng.normal(size=(60, 3)).astype("float32")
    X[rng.random(X.shape) < 0.3] = 0
    Y, weights, given = rng.integers(0, 3, 60), rng.uniform(0.1, 2, 60), csr_array(X) if sparse else X
    hidden = [(5,), (4, 6), (), (5,)]
    together, alone = ([Network((3, *sizes, 3), cost="cross_entropy", seed=i) for i, sizes in enumerate(hidden)]
                       for _ in range(2))
    picks = [rng.integers(0, 60, 50 - 5 * i) for i in range(len(hidden))]
    kept = [rng.permutation(60)[:20] for _ in hidden]
    metrics = ["accuracy", "auc", ("own", lambda y, p, sample_weight: p[0, 0] + y[-1]), "training_cross_entropy"]
    epochs = few(5, 2)

    def watch(i):
        return [EarlyStopping(2, metric="auc", best="last")]

    fit_many(together, given, Y, rows=picks, sample_weight=weights, validation_rows=kept if validated else None,
             epochs=epochs, metrics=metrics, callbacks=watch, threads=threads)
    for i, (net, twin) in enumerate(zip(together, alone, strict=True)):
        own, other = picks[i], kept[i]
        twin.fit(given[own], Y[own], sample_weight=weights[own], epochs=epochs, metrics=metrics, callbacks=watch(i),
                 validation=(given[other], Y[other]) if validated else None)
        assert same(net, twin) and list(net.history.metrics) == list(twin.history.metrics)


def test_many_networks_of_numbers(rng):
    X, Y = real_data(rng, "squared_error", None, 60, 3, 2, "float32")
    together, alone = ([Network((3, 4, 2), seed=i) for i in range(3)] for _ in range(2))
    rows = [rng.integers(0, 60, 30) for _ in together]
    fit_many(together, X, Y, rows=rows, epochs=3, metrics=iter(["r2", "rmse"]), threads=2)
    for net, twin, own in zip(together, alone, rows, strict=True):
        assert same(net, twin.fit(X[own], Y[own], epochs=3, metrics=["r2", "rmse"]))
        assert net.history.metrics["rmse"][-1] == pytest.approx(
            np.sqrt(np.square(net.predict(X[own]) - Y[own]).mean(axis=0)).mean(), rel=1e-6)


def test_a_stack_has_no_metrics_and_keeps_those_of_before(stacks, rng):  # noqa: F811
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    nets, twins = ([Network((3, 4, 2), seed=i) for i in range(4)] for _ in range(2))
    fit_many(nets, X, Y, epochs=2, metrics=["r2"], threads=1)
    assert stacks == [] and all(len(net.history.metrics["r2"]) == 2 for net in nets)
    fit_many(nets, X, Y, epochs=2, resume=True, threads=1)
    assert stacks == [4]
    for net, twin in zip(nets, twins, strict=True):
        twin.fit(X, Y, epochs=2, metrics=["r2"]).fit(X, Y, epochs=2, resume=True)
        assert same(net, twin) and np.isnan(net.history.metrics["r2"]).tolist() == [False, False, True, True]


def test_one_network_whose_metric_fails(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    nets = [Network((3, 4, 2), seed=i, cost="absolute_error" if i == 1 else "squared_error") for i in range(3)]

    def own(y, p):
        raise LookupError("mine")

    errors = fit_many(nets, X, Y, epochs=2, metrics=[own], on_error="keep")
    assert [type(error) for error in errors] == [LookupError] * 3 and [len(net.history) for net in nets] == [1] * 3
    with pytest.raises(LookupError, match=r"mine\nThis concerns networks\[0\]"):
        fit_many(nets, X, Y, epochs=2, metrics=[own], threads=1)
    nets[1] = Network((3, 4, 2), cost="binary_cross_entropy")
    with pytest.raises(ValueError, match=r"judges classes(.|\n)*networks\[0\]"):
        fit_many(nets, X, np.ones((30, 2)), metrics=["accuracy"])


# ----------------------------------------------------------------------------------------------------------- the record

def test_a_fit_that_resumes_may_ask_for_others(rng, tmp_path):
    net, X, Y, _, _ = numbers(rng, "float32")
    net.fit(X, Y, epochs=2)
    for metrics, epochs in ((["r2"], 2), ((), 1), (["mae", "r2"], 1)):
        net.fit(X, Y, epochs=epochs, metrics=metrics, resume=True)
    missing = {name: np.isnan(values).tolist() for name, values in net.history.metrics.items()}
    assert missing == {"r2": [True, True, False, False, True, False], "mae": [True] * 5 + [False]}
    net.save(tmp_path / "net", training=True)
    for other in (Network.load(tmp_path / "net"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert same(net, other) and list(other.history.metrics) == ["r2", "mae"]
    table = net.history.table()
    assert table.shape == (6, 6) and np.array_equal(table[:, 5], net.history.metrics["mae"], equal_nan=True)
    again = History(table, metrics=["r2", "mae"])
    assert np.array_equal(again.table(), table, equal_nan=True)
    with pytest.raises(ValueError, match=r"rows have shape \(6, 6\), expected \(epochs, 5\)"):
        History(table, metrics=["r2"])
    assert net.fit(X, Y, epochs=1).history.metrics == {}, "a new fit begins a new record"


def test_metrics_stand_behind_diagnostics(rng, tmp_path):
    X, Y = real_data(rng, "squared_error", None, N, 3, 1, "float64")
    net = network((3, 4, 1), dtype="float64").fit(X, Y, epochs=3, optimizer="bayesianregularization", metrics=["r2"])
    assert net.history.table().shape == (3, 4 + len(net.history.diagnostics) + 1) and net.history.diagnostics
    net.save(tmp_path / "net", training=True)
    loaded = Network.load(tmp_path / "net")
    assert same(net, loaded) and loaded.history.metrics.keys() == {"r2"}
    assert list(loaded.history.diagnostics) == list(net.history.diagnostics)


def test_a_bar_shows_them(rng):
    pytest.importorskip("tqdm")
    with ProgressBar(3, 10) as bar:
        shown = []
        bar._bar.set_postfix = lambda figures, refresh: shown.append(figures)
        bar(record(1, None, r2=0.98765))
    assert shown[0]["r2"] == "0.9877"


def test_a_metric_is_drawn(rng):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    net, X, Y, _, _ = numbers(rng, "float32")
    net.fit(X, Y, epochs=3, validation=0.2, metrics=["r2", "training_r2", "mae"])
    axes = net.history.plot(metric="r2")
    assert [line.get_label() for line in axes.get_lines()] == ["training_r2", "r2"]
    assert (axes.get_lines()[1].get_ydata() == net.history.metrics["r2"]).all() and axes.get_ylabel() == "r2"
    assert len(net.history.plot(plt.subplots()[1], metric="mae").get_lines()) == 1
    assert net.history.plot().get_ylabel() == "cost"
    with pytest.raises(ValueError, match="metric is 'auc', but 'r2', 'training_r2', 'mae' has been recorded"):
        net.history.plot(metric="auc")
    plt.close("all")


@pytest.mark.parametrize("make", [numbers, gaussian, counts, probabilities])
def test_each_output_is_compared_where_it_is_known(make, rng):
    net, X, Y, names, exclusive = make(rng, "float64")
    names, m = [name for name in names if METRICS[name].by_output], np.shape(Y)[1]
    W = rng.uniform(0.5, 2, (N, m)) * (rng.random((N, m)) < 0.7)
    W[0, 0] = 0
    out = net.predict(X)[:, :m]

    def mean(name, weights):
        found = []
        for j in range(m):
            known = weights[:, j] > 0
            found.append(naive.METRICS[name](Y[known, j : j + 1], out[known, j : j + 1], weights[known, j], exclusive))
        return np.mean(found)

    holes, ones = np.where(W > 0, Y, np.nan), (W > 0).astype(float)
    for name in names:
        assert net.score(X, Y, W, metric=name) == pytest.approx(mean(name, W), rel=1e-10)
        assert net.score(X, holes, metric=name, missing="ignore") == pytest.approx(mean(name, ones), rel=1e-10)
        same = net.score(X, Y, np.repeat(W[:, :1] + 1, m, axis=1), metric=name)
        assert same == pytest.approx(net.score(X, Y, W[:, 0] + 1, metric=name), rel=1e-12)
    seen = []
    net.fit(X, holes, epochs=1, missing="ignore", metrics=names, callbacks=[lambda record: seen.append(record.metrics)])
    out = net.predict(X)[:, :m]
    assert list(seen[0]) == names
    for name, value in seen[0].items():
        assert value == pytest.approx(mean(name, ones), rel=1e-10)
    stopping = fastbp.EarlyStopping(metric=names[0])
    net.fit(X, Y, epochs=2, validation=(X, holes), missing="ignore", metrics=names, callbacks=[stopping])
    assert stopping.best_epoch and all(len(values) == 2 for values in net.history.metrics.values())


def test_what_is_not_known_of_any_output_is_left_out(rng):
    net = network((3, 5, 2), dtype="float64")
    X, Y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    Y[:, 1] = Y[:4, 0] = np.nan
    e = net.predict(X)[4:, 0] - Y[4:, 0]
    assert net.score(X, Y, metric="mse", missing="ignore") == pytest.approx(np.mean(e**2))
    with pytest.raises(ValueError, match="no target counts"):
        net.score(X, np.full((9, 2), np.nan), missing="ignore")
    net.parameters[-1] = np.inf
    assert np.isnan(net.score(X, np.where(np.eye(9, 2) > 0, np.nan, 0), metric="mse", missing="ignore"))


@pytest.mark.parametrize("classes", [False, True])
def test_functions_do_not_see_samples_without_targets(classes, rng):
    """In place of these is a 0, that is a class and a number; in memory, by blocks and in many fits."""
    net = network((60, 3), cost="cross_entropy") if classes else network((60, 1))
    X, y = rng.normal(size=(12, 60)), rng.integers(0, 3, 12).astype(float)
    W, known = np.ones(12), np.arange(12) % 3 > 0
    known[-1] = W[-1] = 0
    y[:-1][~known[:-1]] = np.nan
    seen = []

    def own(y_true, y_pred, sample_weight):
        seen.append((y_true, y_pred, sample_weight))
        return 0.0

    given = {"epochs": 1, "batch_size": 2, "missing": "ignore", "metrics": [own]}
    for more in ({}, {"memory": 3000}):
        net.fit(X, y, sample_weight=W, **given, **more)
        net.fit(X, y, validation=(X, np.where(known, y, np.nan)), **given, **more)
    fastbp.fit_many([net], X, y, sample_weight=W, **given)
    assert len(seen) == 5
    for y_true, y_pred, weights in seen:
        np.testing.assert_array_equal(y_true, y[known])
        assert len(y_pred) == known.sum() and (weights == 1).all()
    np.testing.assert_array_equal(seen[-1][1], net.predict(X)[known].reshape(seen[-1][1].shape))

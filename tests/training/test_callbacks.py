"""Stopping, and checkpoints from which a killed training goes on with the same bits."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from helpers import few, network, real_data
from safetensors import safe_open
from safetensors.numpy import save_file

import fastbp
from fastbp import (
    SGD,
    Adam,
    Checkpoint,
    DivergenceError,
    EarlyStopping,
    GradientNorm,
    MaxUpdates,
    Network,
    ProgressBar,
    Record,
    TargetCost,
    TimeLimit,
    schedules,
)
from fastbp.training import together
from fastbp.training.callbacks import Patient
from fastbp.util import disk


@pytest.fixture
def data(rng):
    return real_data(rng, "squared_error", None, 40, 2, 1, "float32")


def record(epoch, cost, net, validation=None, seconds=0.0, updates=0):
    return Record(epoch, cost, validation, seconds, net, updates, 0.1, lambda: 1.0, lambda rate: None)


def play(stopping, costs):
    """Feed costs to a callback, epoch by epoch; give the epoch in which it stops, or None."""
    net = network((1, 1))
    with stopping:
        for epoch, cost in enumerate(costs, 1):
            net.parameters[:] = epoch
            if stopping(record(epoch, cost, net)):
                break
        else:
            epoch = None
    return epoch, net.parameters[0]


@pytest.mark.parametrize(("stopping", "costs", "stops", "best"), [
    (EarlyStopping(2), [5, 4, 4, 4, 1], 4, 2),
    (EarlyStopping(2), [5, 4, 4, 3, 6, 3, 1], 6, 4),
    (EarlyStopping(2), [5, 4, 3, 2], None, 4),
    (EarlyStopping(3), [5, 4, 6, 7], None, 2),
    (EarlyStopping(2, min_delta=1), [5, 4.5, 3.9, 3.5, 3.0, 1], 5, 5),
    (EarlyStopping(1), [math.nan, 3], 1, 1),
    (EarlyStopping(2), [-math.inf, 5, math.nan, 4, math.inf, -math.inf], 6, 4),
    (EarlyStopping(2, restore_best=False), [5, 4, 4, 4, 1], 4, 4),
], ids=range(8))  # fmt: skip
def test_early_stopping(stopping, costs, stops, best):
    for _ in range(2):  # a second fit begins anew
        assert play(stopping, costs) == (stops, best)


def test_early_stopping_knows_the_best_epoch():
    stopping = EarlyStopping(2)
    play(stopping, [5, 3, 4, 4])
    assert (stopping.best_epoch, stopping.best_value) == (2, 3)


def test_early_stopping_watches_one_fit_at_a_time(data):
    """Also from another thread: the second fit is an error before anything is changed, and the first goes on."""
    X, Y = data
    stopping, first, second = EarlyStopping(50), network((2, 3, 1)), network((2, 3, 1)).fit(X, Y, epochs=2)
    before, errors = second.parameters.copy(), []

    def fit_second():
        try:
            second.fit(X, Y, epochs=3, callbacks=[stopping])
        except RuntimeError as error:
            errors.append(str(error))

    def in_a_thread(record):
        if record.epoch == 3:
            thread = threading.Thread(target=fit_second)
            thread.start()
            thread.join()

    alone = network((2, 3, 1)).fit(X, Y, epochs=6, callbacks=[EarlyStopping(50)])
    first.fit(X, Y, epochs=6, callbacks=[stopping, in_a_thread])
    assert len(errors) == 1 and "give each fit one of its own" in errors[0]
    assert (second.parameters == before).all() and len(second.history) == 2
    assert (first.parameters == alone.parameters).all() and stopping.best_epoch == 6
    fit_second()
    assert len(errors) == 1 and len(second.history) == 3


def test_early_stopping_leaves_the_parameters_of_the_best_validation_cost(data):
    X, Y = data
    net, kept = network((2, 8, 1)), []
    stopping = EarlyStopping(5)
    net.fit(X, Y, epochs=500, optimizer=Adam(0.05), validation=(X[:9], Y[:9] + 0.5),
            callbacks=[stopping, lambda record: kept.append(record.network.parameters.copy())])
    best = int(np.argmin(net.history.validation_cost))
    assert len(net.history) == best + 6 < 500
    assert (net.parameters == kept[best]).all() and not (net.parameters == kept[-1]).all()
    assert net.cost(X[:9], Y[:9] + 0.5) == stopping.best_value == net.history.validation_cost[best]


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # of NumPy 2.5
@pytest.mark.parametrize("change", [
    lambda parameters: setattr(parameters, "shape", (1, -1)), lambda parameters: parameters.setflags(write=False),
], ids=["shape", "flags"])
def test_early_stopping_restores_whatever_becomes_of_the_array_that_shows_parameters(change, data, tmp_path):
    X, Y = data
    net, alone, stopping = network((2, 4, 1)), network((2, 4, 1)), EarlyStopping(3)
    settings = dict(epochs=30, optimizer=Adam(0.1), validation=(X[:9], Y[:9] + 0.5))
    alone.fit(X, Y, callbacks=[EarlyStopping(3)], **settings)
    net.fit(X, Y, callbacks=[lambda record: change(record.network.parameters), stopping], **settings)
    assert len(net.history) == len(alone.history) > stopping.best_epoch
    assert (net.parameters.ravel() == alone.parameters).all()
    assert stopping.seen.parameters.shape == (net.n_parameters,)


def test_early_stopping_restores_after_divergence(data):
    X, Y = data
    net, stopping = network((2, 4, 1)), EarlyStopping(100)
    with pytest.raises(DivergenceError), np.errstate(over="ignore", invalid="ignore"):
        net.fit(X, Y, epochs=50, batch_size=8, callbacks=[stopping],
                optimizer=SGD(lambda t: 0.05 if t < 5 else 1.0 if t < 7 else 1e30))
    assert stopping.best_epoch == 5 + np.argmin(net.history.cost[4:]) > 0
    assert np.isfinite(net.parameters).all()


def test_the_other_limits(data):
    X, Y = data
    net = network((2, 4, 1))
    net.fit(X, Y, epochs=100, batch_size=9, callbacks=[MaxUpdates(12)])
    assert len(net.history) == 3, "5 updates an epoch"
    net.fit(X, Y, epochs=10_000, callbacks=[TimeLimit(0.05)])
    seconds = net.history.seconds
    assert seconds[-1] >= 0.05 and (seconds[:-1] < 0.05).all()
    target = net.cost(X, Y) * 0.9
    net.fit(X, Y, epochs=10_000, optimizer=Adam(0.02), callbacks=[TargetCost(target)])
    assert net.history.cost[-1] <= target and (net.history.cost[:-1] > target).all()
    assert TargetCost(1.0)(record(1, 0.5, net, validation=2.0)) is False
    assert TargetCost(1.0)(record(1, 2.0, net, validation=1.0)) is True


@pytest.mark.parametrize(("answer", "epochs"), [(True, 1), (np.True_, 1), (np.False_, 3), (1, 3), ("no", 3)])
def test_true_stops_whether_pythons_or_numpys(answer, epochs, data):
    assert len(network((2, 4, 1)).fit(*data, epochs=3, callbacks=[lambda record: answer]).history) == epochs


@pytest.mark.parametrize("method", ["lbfgs", "rprop", "quickprop", SGD(0.05)], ids=str)
def test_gradient_norm(method, data):
    """The norm is that of the full gradient after the epoch, whatever the batches; the first small one stops."""
    X, Y = data
    Y = 0.1 * Y + X[:, :1]
    weights, seen = np.linspace(0.5, 2, 40), []
    net = network((2, 4, 1), dtype="float64")
    limit = 0.02

    def check(record):
        seen.append(record.gradient_norm())
        assert seen[-1] == pytest.approx(np.linalg.norm(net.gradient(X, Y, weights)), rel=1e-12)

    net.fit(X, Y, epochs=300, optimizer=method, sample_weight=weights, callbacks=[check, GradientNorm(limit)])
    assert seen[-1] <= limit < min(seen[:-1]) and len(seen) < 300


def test_gradient_norm_looks_every_few_epochs(data):
    looks = []
    look = GradientNorm(0.5, every=3)
    for epoch in range(1, 10):
        found = record(epoch, 1.0, None)._replace(gradient_norm=lambda: looks.append(0) or 0.6)
        assert look(found) is False
    assert len(looks) == 3
    assert look(record(10, 1.0, None)._replace(gradient_norm=lambda: 0.4)) is False
    assert look(record(12, 1.0, None)._replace(gradient_norm=lambda: 0.5)) is True
    assert look(record(12, 1.0, None)._replace(gradient_norm=lambda: math.nan)) is False


def halve(record):
    record.set_learning_rate(record.learning_rate / 2)


@pytest.mark.parametrize("settings", [dict(batch_size=7), dict(batch_size=1), dict(batch_size=40),
                                      dict(batch_size=7, regularization=fastbp.Regularization(l2=0.1, clip_norm=1.0))])
def test_a_callback_sets_the_rate_of_the_following_epochs(settings, data):
    """As a schedule would: the same rates in the record, the same bits."""
    rates = []
    told = network((2, 4, 1)).fit(*data, epochs=5, optimizer=SGD(0.2), **settings,
                                  callbacks=[halve, lambda record: rates.append(record.learning_rate)])
    followed = network((2, 4, 1)).fit(*data, epochs=5, optimizer=SGD(lambda t: 0.2 / 2**t), **settings)
    assert rates == [0.2, 0.1, 0.05, 0.025, 0.0125]
    assert (told.parameters == followed.parameters).all()


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_fit_that_resumes_goes_on_with_the_rate_that_was_set(kind, data, tmp_path):
    """In memory and from a file, by name and by the same optimizer; another rate of the optimizer's acts."""
    path, rates = tmp_path / "net", []

    def note(record):
        rates.append(record.learning_rate)

    def once(record):
        if record.epoch == 2:
            record.set_learning_rate(np.float32(0.25))

    first = network((2, 4, 1)).fit(*data, epochs=3, optimizer=kind(0.5), callbacks=[once, Checkpoint(path)])
    for net, optimizer in ((first.copy(), None), (first, kind(0.5)), (Network.load(path), None)):
        net.fit(*data, epochs=1, optimizer=optimizer, resume=True, callbacks=[note])
    Network.load(path).fit(*data, epochs=1, optimizer=kind(0.125), resume=True, callbacks=[note])
    assert rates == [0.25, 0.25, 0.25, 0.125]


def test_a_plateau_goes_on_from_the_rate_that_was_set(data):
    rates = []
    plateau = schedules.ReduceOnPlateau(0.5, 0.5, patience=2, min_delta=100.0)  # the first epoch alone is progress

    def once(record):
        rates.append(record.learning_rate)
        if record.epoch == 1:
            record.set_learning_rate(0.125)

    network((2, 4, 1)).fit(*data, epochs=6, optimizer=SGD(plateau), callbacks=[once])
    assert rates == [0.5, 0.125, 0.125, 0.0625, 0.0625, 0.03125]


@pytest.mark.parametrize(("optimizer", "rate", "message"), [
    (SGD(0.1), -1.0, "SGD: learning_rate is -1.0, expected a number that is not negative"),
    (Adam(0.1), math.nan, "Adam: learning_rate is nan, expected a number that is not negative"),
    (Adam(0.1), "0.1", "Adam: learning_rate is '0.1', expected a number that is not negative"),
    (Adam(schedules.Step(0.1, 2)), 0.1, "Adam: the schedule Step.* would overwrite what a callback sets: give"),
    (SGD(lambda t: 0.1), 0.1, "SGD: the schedule <function .*give a number as learning_rate"),
    ("lbfgs", 0.1, "LBFGS has no learning rate that a callback could set: use 'sgd', 'adam' or another"),
    ("rprop", 0.1, "Rprop has no learning rate"),
    ("quickprop", 0.1, "Quickprop has no learning rate"),
], ids=str)
def test_a_rate_that_cannot_be_set_is_an_error(optimizer, rate, message, data):
    net = network((2, 4, 1))
    with pytest.raises(ValueError, match=message):
        net.fit(*data, epochs=3, optimizer=optimizer, callbacks=[lambda record: record.set_learning_rate(rate)])
    assert len(net.history) == 1


def test_context_managers_are_left_by_an_error_too(data):
    class Listener:
        def __init__(self):
            self.seen = []

        def __enter__(self):
            self.seen.append("enter")
            return self

        def __call__(self, record):
            self.seen.append(record.epoch)
            if record.epoch == 2:
                raise KeyError("mine")

        def __exit__(self, *error):
            self.seen.append(error[0])

    listener = Listener()
    with pytest.raises(KeyError, match="mine"):
        network((2, 4, 1)).fit(*data, epochs=5, callbacks=[listener])
    assert listener.seen == ["enter", 1, 2, KeyError]


@pytest.mark.parametrize(("make", "says"), [
    (lambda: EarlyStopping(0), "EarlyStopping: patience is 0"),
    (lambda: EarlyStopping(3, -1), "EarlyStopping: min_delta is -1"),
    (lambda: TargetCost("low"), "TargetCost: cost is 'low', expected a number"),
    (lambda: TimeLimit(0), "TimeLimit: seconds is 0, expected a positive"),
    (lambda: MaxUpdates(1.5), "MaxUpdates: updates is 1.5"),
    (lambda: Checkpoint("x", 0), "Checkpoint: every is 0"),
    (lambda: GradientNorm(-1), "GradientNorm: norm is -1, expected a number that is not negative"),
    (lambda: GradientNorm(1, 0), "GradientNorm: every is 0, expected a whole number"),
], ids=range(8))  # fmt: skip
def test_bad_settings(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# ---------------------------------------------------------------------------------------------------------- checkpoints

METHODS = [
    SGD(0.05, 0.9, nesterov=True),
    Adam(schedules.WarmUp(schedules.Cosine(np.float32(0.05), 4), 3)),
    Adam(schedules.ReduceOnPlateau(0.1, 0.5, 2)),
]


@pytest.mark.parametrize("method", METHODS, ids=range(3))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_checkpoint_goes_on_bit_for_bit(method, dtype, data, tmp_path):
    X, Y = data
    path = tmp_path / "net"
    whole = network((2, 6, 1), dtype=dtype).fit(X, Y, epochs=11, batch_size=7, optimizer=method)
    first = network((2, 6, 1), dtype=dtype)
    first.fit(X, Y, epochs=6, batch_size=7, optimizer=method, callbacks=[Checkpoint(path, 4)])
    loaded = Network.load(path)
    assert loaded.history.epoch.tolist() == [1, 2, 3, 4]
    loaded.fit(X, Y, epochs=7, batch_size=7, resume=True)
    assert (loaded.parameters == whole.parameters).all()
    assert (loaded.history.cost == whole.history.cost).all() and len(loaded.history) == 11
    loaded.fit(X, Y, epochs=2)  # a new fit draws its key from the generator
    whole.fit(X, Y, epochs=2)
    assert (loaded.parameters == whole.parameters).all()


def overfitting():
    """Samples whose validation cost falls for some epochs, and rises then."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 2)).astype("float32")
    Y = np.sin(X.sum(axis=1, keepdims=True)) + rng.normal(0, 0.5, (40, 1)).astype("float32")
    return X[:30], Y[:30], (X[30:], Y[30:])


def stoppers():
    return [EarlyStopping(4), EarlyStopping(7, min_delta=0.05, restore_best=False)]


@pytest.mark.parametrize("cut", [2, 6, 9])
def test_early_stopping_goes_on_from_a_checkpoint(cut, tmp_path):
    """Killed after any epoch, the training ends in the same epoch with the same best parameters as without."""
    (X, Y, other), path = overfitting(), tmp_path / "net"
    whole, first = network((2, 8, 1)), network((2, 8, 1))
    options = {"optimizer": Adam(0.05), "validation": other}
    expected = stoppers()
    whole.fit(X, Y, epochs=200, callbacks=expected, **options)
    last = len(whole.history)
    assert 9 < last < 200 and 1 < expected[0].best_epoch == last - 4

    def kill(record):
        if record.epoch == cut + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # the checkpoint stands first: it is called last all the same
        first.fit(X, Y, epochs=200, callbacks=[Checkpoint(path, cut), *stoppers(), kill], **options)
    loaded, found = Network.load(path), stoppers()
    assert len(loaded.history) == cut
    loaded.fit(X, Y, epochs=200 - cut, callbacks=found, validation=other, resume=True)
    assert len(loaded.history) == last
    assert (loaded.parameters == whole.parameters).all()
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.best_epoch, mine.best_value, mine.seen.waited) == (theirs.best_epoch, theirs.best_value,
                                                                       theirs.seen.waited)


def test_a_training_that_had_stopped_stays_so(tmp_path):
    """Killed between its last checkpoint and its end; but who goes on in the same process, waits anew."""
    (X, Y, other), path = overfitting(), tmp_path / "net"
    net = network((2, 8, 1))
    net.fit(X, Y, epochs=200, optimizer=Adam(0.05), validation=other, callbacks=[Checkpoint(path), EarlyStopping(4)])
    last, loaded = len(net.history), Network.load(path)
    assert not (loaded.parameters == net.parameters).all()
    loaded.fit(X, Y, epochs=50, validation=other, callbacks=[EarlyStopping(4)], resume=True)
    assert len(loaded.history) == last < 200 and (loaded.parameters == net.parameters).all()
    for again in (net, loaded):
        again.fit(X, Y, epochs=50, validation=other, callbacks=[EarlyStopping(4)], resume=True)
        assert len(again.history) >= last + 4


def test_a_plain_file_has_no_training(data, tmp_path):
    net = network((2, 4, 1)).fit(*data, epochs=3)
    net.save(tmp_path / "plain")
    net.reset(0).save(tmp_path / "fresh", training=True)
    for name in ("plain", "fresh"):
        loaded = Network.load(tmp_path / name)
        assert len(loaded.history) == 0 and loaded._progress is None


def test_a_function_as_schedule_cannot_be_saved(data, tmp_path):
    with pytest.raises(ValueError, match="cannot be saved: give the optimizer a schedule of fastbp.schedules"):
        network((2, 4, 1)).fit(*data, optimizer=Adam(lambda t: 0.1), callbacks=[Checkpoint(tmp_path / "net")])
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("make", [
    lambda path: EarlyStopping(),
    lambda path: EarlyStopping(np.int64(3), np.float32(0.5), restore_best=False),
    lambda path: GradientNorm(1e-3, 7),
    lambda path: TargetCost(np.float64(0.25)),
    lambda path: TimeLimit(60),
    lambda path: MaxUpdates(10**6),
    lambda path: Checkpoint(path / "net", every=3),
])
def test_a_repr_makes_the_callback_again(make, tmp_path):
    callback = make(tmp_path)
    again = eval(repr(callback), dict(vars(fastbp)))
    assert type(again) is type(callback) and repr(again) == repr(callback)
    settings = [name for name in vars(callback) if name not in ("seen", "_network")]
    assert settings and all(getattr(again, name) == getattr(callback, name) for name in settings)


def test_a_progress_bar_shows_where_it_is():
    pytest.importorskip("tqdm")
    with ProgressBar(7, 100) as bar:
        assert repr(bar) == "<ProgressBar at epoch 0 of 7>"


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        Checkpoint(tmp_path / "nowhere" / "net")


@pytest.mark.parametrize("settings, optimizer, wrong", [
    ({"activation": lambda x: x}, "adam", "<lambda> was given to the network as a function"),
    ({"cost": lambda y, o: (o - y) ** 2}, "lbfgs", "<lambda> was given to the network as a function"),
    ({}, Adam(lambda epoch: 0.1), "cannot be saved: give the optimizer a schedule of fastbp.schedules"),
])
def test_what_cannot_be_saved_is_said_before_a_fit(settings, optimizer, wrong, data, tmp_path):
    X, Y = data
    net = Network((2, 4, 1), seed=0, **settings).fit(X, Y, epochs=1)
    before, state, path = net.parameters.copy(), net.generator.bit_generator.state, tmp_path / "net"
    for fit in (lambda: net.fit(X, Y, optimizer=optimizer, callbacks=[Checkpoint(path)]),
                lambda: fastbp.fit_many([net], X, Y, optimizer=optimizer, callbacks=lambda i: [Checkpoint(path)]),
                lambda: together.fit(net, X, Y, None, None, "lbfgs", False, rank=0, size=1, talk=lambda mine: [mine],
                                     epochs=1, callbacks=[Checkpoint(path)], bar=False, threads=None,
                                     regularization=None, metrics=None, memory=None, check_finite=True)
                if settings else net.fit(X, Y, optimizer=optimizer, callbacks=[Checkpoint(path)])):
        with pytest.raises(ValueError, match=wrong):
            fit()
    assert (net.parameters == before).all() and len(net.history) == 1 and not list(tmp_path.iterdir())
    assert net.generator.bit_generator.state == state


def test_a_failing_write_keeps_the_last_checkpoint(data, tmp_path, monkeypatch):
    X, Y = data
    net, path, written = network((2, 4, 1)), tmp_path / "net", disk.write

    def full(where, content):
        if net.history.epoch[-1] == 3:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
                written(where, content)
        written(where, content)

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(OSError, match="No space left"):
        net.fit(X, Y, epochs=5, callbacks=[Checkpoint(path)])
    assert [file.name for file in tmp_path.iterdir()] == ["net"]
    assert Network.load(path).history.epoch.tolist() == [1, 2]
    whole = network((2, 4, 1)).fit(X, Y, epochs=5)
    assert (net.fit(X, Y, epochs=2, resume=True).parameters == whole.parameters).all()


def change(path, edit):
    with safe_open(path, framework="numpy") as content:
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        header = json.loads(content.metadata()["fastbp"])
    edit(tensors, header["training"])
    save_file(tensors, path, {"fastbp": json.dumps(header)})


def deep(levels):
    """A schedule that many others lead to."""
    schedule = 0.1
    for _ in range(levels):
        schedule = {"kind": "warmup", "learning_rate": schedule, "epochs": 2}
    return schedule


def row(column, value):
    """Write a number into the last row of the history."""
    def edit(tensors, training):
        tensors["training.history"][-1, column] = value

    return edit


def state(**changes):
    """Change the state of the generator."""
    def edit(tensors, training):
        inner = training["generator"]["state"]
        for name, value in changes.items():
            (inner if name in inner else training["generator"])[name] = value

    return edit


def cast(name, dtype):
    """Store a tensor as another dtype."""
    return lambda tensors, training: tensors.update({name: tensors[name].astype(dtype)})


@pytest.mark.parametrize("edit", [
    lambda tensors, training: tensors.pop("training.state"),
    lambda tensors, training: tensors.pop("training.history"),
    lambda tensors, training: tensors.update({"training.state": np.zeros(3, np.float32)}),
    lambda tensors, training: tensors.update({"training.history": np.zeros(3)}),
    lambda tensors, training: tensors.update({"training.history": tensors["training.history"][:1]}),
    lambda tensors, training: tensors.update({"training.worst": np.zeros(3, np.float32)}),
    lambda tensors, training: tensors["weights.0"].fill(np.nan),
    cast("training.state", np.complex64), cast("training.history", np.float32), cast("training.best.0", np.float64),
    row(0, 2.5), row(0, 1), row(0, 3), row(0, np.nan), row(0, -1), row(1, np.nan), row(1, np.inf), row(3, -1),
    row(3, np.nan),
    lambda tensors, training: training.pop("key"),
    lambda tensors, training: training.update(key=-1),
    lambda tensors, training: training.update(key=2**63 - 1),
    lambda tensors, training: training.update(key=True),
    lambda tensors, training: training.update(key=1.0),
    lambda tensors, training: training.update(epochs="many"),
    lambda tensors, training: training.update(epochs=-1),
    lambda tensors, training: training.update(epochs=3),
    lambda tensors, training: training.update(epochs=2**63),
    lambda tensors, training: training.update(more=1),
    lambda tensors, training: training.update(diagnostics=["gamma"]),
    lambda tensors, training: training.update(diagnostics="gamma"),
    lambda tensors, training: training.update(diagnostics=[["gamma"]]),
    lambda tensors, training: training.pop("metrics"),
    lambda tensors, training: training.update(metrics=["r2"]),
    lambda tensors, training: training.update(metrics="r2"),
    lambda tensors, training: training.update(metrics=[None]),
    lambda tensors, training: training.update(metrics=["r2", "r2"]),
    lambda tensors, training: training["stopping"][0].update(metric=1),
    lambda tensors, training: training.update(generator={"bit_generator": "PCG64"}),
    lambda tensors, training: training.update(generator=5),
    state(state=-1), state(state=2**128), state(state=1.5), state(inc=4), state(has_uint32=2), state(has_uint32=None),
    state(uinteger=2**32), state(bit_generator="MT19937"),
    lambda tensors, training: training.update(optimizer={"kind": "adamant"}),
    lambda tensors, training: training.update(optimizer={"kind": "sgd"}),
    lambda tensors, training: training.update(optimizer={"kind": "lbfgs", "memory": 10**400}),
    lambda tensors, training: training.update(optimizer=deep(1)),
    lambda tensors, training: training["optimizer"].pop("beta1"),
    lambda tensors, training: training["optimizer"].update(beta1=2),
    lambda tensors, training: training["optimizer"].update(beta1=[0.9]),
    lambda tensors, training: training["optimizer"].update(epsilon_hat=1),
    lambda tensors, training: training["optimizer"].update(gamma=2),
    lambda tensors, training: training["optimizer"].update(learning_rate=-1),
    lambda tensors, training: training["optimizer"].update(learning_rate=10**400),
    lambda tensors, training: training["optimizer"].update(learning_rate="0.1"),
    lambda tensors, training: training["optimizer"].update(learning_rate={"kind": "step"}),
    lambda tensors, training: training["optimizer"].update(
        learning_rate={"kind": "onecycle", "learning_rate": 0.1, "epochs": 10**400}),
    lambda tensors, training: training["optimizer"].update(learning_rate=deep(18)),
    lambda tensors, training: training["optimizer"].update(learning_rate=deep(400)),
    lambda tensors, training: training.update(numbers=5),
    lambda tensors, training: training["numbers"].pop("power1"),
    lambda tensors, training: training["numbers"].update(power3=1),
    lambda tensors, training: training["numbers"].update(power1=1.5),
    lambda tensors, training: training["numbers"].update(power2=math.nan),
    lambda tensors, training: training["numbers"].update(learning_rate=-1),
    lambda tensors, training: training["numbers"].update(learning_rate=math.inf),
    lambda tensors, training: training["numbers"].update(learning_rate=10**400),
    lambda tensors, training: training["numbers"].update(learning_rate=True),
    lambda tensors, training: training.update(stopping=5),
    lambda tensors, training: training.update(stopping=[]),
    lambda tensors, training: training.update(stopping=[[1, 1, 1, 0]]),
    lambda tensors, training: training["stopping"][0].pop("mark"),
    lambda tensors, training: training["stopping"][0].update(epoch=math.nan),
    lambda tensors, training: training["stopping"][0].update(epoch=3),
    lambda tensors, training: training["stopping"][0].update(epoch=0),
    lambda tensors, training: training["stopping"][0].update(least=math.nan),
    lambda tensors, training: training["stopping"][0].update(mark="1"),
    lambda tensors, training: training["stopping"][0].update(waited=math.inf),
    lambda tensors, training: training["stopping"][0].update(waited=0.5),
    lambda tensors, training: tensors.update({"training.best.1": tensors["training.best.0"]}),
    lambda tensors, training: tensors.update({"training.best.0": np.zeros(3, np.float32)}),
    lambda tensors, training: tensors["training.best.0"].fill(np.nan),
], ids=lambda edit: None)  # fmt: skip
def test_a_corrupt_training_is_named(edit, data, tmp_path):
    path = tmp_path / "net"
    network((2, 4, 1)).fit(*data, epochs=2, callbacks=[Checkpoint(path), EarlyStopping()])
    change(path, edit)
    with pytest.raises(ValueError, match="net has a corrupt training"):
        Network.load(path)


SCRIPT = """
import sys, numpy as np, fastbp
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3)).astype("float32"); Y = np.sin(X.sum(axis=1))
path, last = sys.argv[1], int(sys.argv[2])
try:
    net = fastbp.Network.load(path)
except FileNotFoundError:
    net = fastbp.Network((3, 9, 1), seed=5)
done = len(net.history)
print("ready", flush=True)
net.fit(X, Y, epochs=last - done, optimizer=fastbp.Adam(fastbp.schedules.Exponential(0.02, 0.999)), resume=True,
        callbacks=[fastbp.Checkpoint(path)])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no signal that cannot be caught")
def test_a_training_killed_again_and_again(tmp_path):
    """Processes are killed while they save after each epoch; the last one has the bits of one uninterrupted fit."""
    epochs, delays = 4000, [0.05, 0.11, 0.02, 0.17]
    path, kills = tmp_path / "net", 0
    for delay in delays:
        child = subprocess.Popen([sys.executable, "-c", SCRIPT, path, str(epochs)], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not path.exists() or path.stat().st_mtime_ns == before:  # compiled, and saving
            assert child.poll() is None
            time.sleep(0.005)
        time.sleep(delay)
        child.kill()
        child.stdout.close()
        kills += child.wait() == -signal.SIGKILL
        assert 0 < len(Network.load(path).history) <= epochs
    assert kills == len(delays)
    rest = len(Network.load(path).history) + 5
    subprocess.run([sys.executable, "-c", SCRIPT, path, str(rest)], check=True, stdout=subprocess.PIPE)
    found = Network.load(path)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype("float32")
    whole = Network((3, 9, 1), seed=5)
    whole.fit(X, np.sin(X.sum(axis=1)), epochs=rest, optimizer=Adam(schedules.Exponential(0.02, 0.999)))
    assert (found.parameters == whole.parameters).all() and (found.history.cost == whole.history.cost).all()


class Watcher(Patient):
    """Stops after so many epochs, and is content to be called for some of them."""

    def __init__(self, epochs, patience):
        self.epochs, self.most, self.costs, self.calls = epochs, patience, [], 0

    def patience(self):
        return max(1, min(self.most, self.epochs - len(self.costs)))

    def passed(self, costs):
        self.costs += costs

    def __call__(self, record):
        self.costs.append(record.cost)
        self.calls += 1
        assert record.epoch == len(self.costs)
        return record.epoch == self.epochs


@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_patient_callback_is_called_after_some_epochs(batch_size, data):
    """It sees all costs, orders are those of a call an epoch, rows that are picked too, and the bits are the same."""
    X, Y = data
    rows = np.arange(len(X))[::-2]
    found = []
    for patience in (1, 4):
        watchers, nets = [Watcher(9, patience) for _ in range(2)], [Network((2, 5, 1), seed=s) for s in range(2)]
        drawn = [np.random.default_rng(s) for s in range(2)]
        nets[0].fit(X, Y, epochs=50, batch_size=batch_size, shuffle=drawn[0].shuffle, callbacks=[watchers[0]])
        fastbp.fit_many([nets[1]], X, Y, rows=rows, epochs=50, batch_size=batch_size, shuffle=drawn[1].shuffle,
                        callbacks=lambda i, watcher=watchers[1]: [watcher])
        for watcher, net in zip(watchers, nets, strict=True):
            assert watcher.costs == net.history.cost.tolist()
            assert watcher.calls == 9 if patience == 1 else watcher.calls < few(9, 10)  # a slow call comes back sooner
            assert np.array_equal(net.history.epoch, np.arange(1, 10))
        found.append([*(net.parameters for net in nets), *(rng.integers(1 << 40) for rng in drawn),
                      *(np.array(watcher.costs) for watcher in watchers)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_patient_callback_beside_another_one_is_called_after_each_epoch(data):
    """So are listeners that others have: validation and further callbacks come back to Python in any case."""
    for more in ({"validation": 0.3}, {"callbacks": [Watcher(9, 4), lambda record: None]}):
        callbacks = more.setdefault("callbacks", [Watcher(9, 4)])
        Network((2, 5, 1), seed=0).fit(*data, epochs=50, **more)
        assert callbacks[0].calls == len(callbacks[0].costs) == 9

"""Learning rates that change: the formulas at hand-computed points, and that training follows them, resumed too."""

import math

import naive
import numpy as np
import pytest
from helpers import network, real_data

import fastbp
from fastbp import SGD, Adam, AdamW, Regularization, schedules
from fastbp.schedules import (
    Chain,
    Cosine,
    CosLog,
    Exponential,
    Function,
    InverseScaling,
    OneCycle,
    ReduceOnPlateau,
    Step,
    WarmUp,
)


@pytest.mark.parametrize(("schedule", "points"), [
    (Step(0.4, 3), {0: 0.4, 2: 0.4, 3: 0.04, 5: 0.04, 6: 0.004}),
    (Step(1.0, 2, 0.5), {0: 1, 1: 1, 2: 0.5, 7: 0.125}),
    (Exponential(0.1, 0.5), {0: 0.1, 1: 0.05, 4: 0.00625}),
    (InverseScaling(0.3), {0: 0.3, 3: 0.15, 8: 0.1}),
    (InverseScaling(0.3, 1), {0: 0.3, 1: 0.15, 2: 0.1}),
    (Cosine(1.0, 4), {0: 1, 1: 0.5 + math.sqrt(0.125), 2: 0.5, 4: 1, 6: 0.5}),
    (Cosine(1.0, 2, 0.2, lengthen=2), {0: 1, 1: 0.6, 2: 1, 4: 0.6, 6: 1, 10: 0.6, 14: 1}),
    (WarmUp(0.4, 3), {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 50: 0.4}),
    (WarmUp(Exponential(0.4, 0.5), 1), {0: 0.2, 1: 0.4, 2: 0.2, 3: 0.1}),
    (OneCycle(1.0, 11, rise=2 / 11, start=2, end=4), {0: 0.5, 1: 0.75, 2: 1, 6: 0.625, 10: 0.25, 99: 0.25}),
    (OneCycle(1.0, 3, rise=0, end=10), {0: 1, 1: 0.55, 2: 0.1, 3: 0.1}),
    (OneCycle(1.0, 1, end=10), {0: 1 / 25, 1: 0.1}),
    (Cosine(1.0, 4, flat=0.5), {0: 1, 2: 1, 3: 0.5, 4: 1}),
    (CosLog(2.0, 15, per="epoch"), {0: 0, 1: 0, 3: 0, 7: 0, 15: 0, 99: 0,
                                    5: 1 - math.cos(2 * math.pi * math.log2(6))}),
    (CosLog(2.0, 3, waves=1, per="epoch"), {0: 0, 1: 1 - math.cos(2 * math.pi * math.log2(4 / 3)), 3: 0}),
    (Chain([0.5, Step(0.4, 1, 0.5), lambda t: 7 + t], [2, 3]), {0: 0.5, 1: 0.5, 2: 0.4, 3: 0.2, 4: 0.1, 5: 7, 9: 11}),
], ids=str)  # fmt: skip
def test_points(schedule, points):
    for epoch, rate in points.items():
        assert schedule(epoch) == pytest.approx(rate, rel=1e-12), epoch


UNITS = [(Cosine(0.3), naive.cosine), (Cosine(0.3, lowest=0.1, flat=0.5), naive.flat_cosine),
         (CosLog(0.3), naive.coslog), (OneCycle(0.3), naive.one_cycle), (WarmUp(Cosine(0.3), 2), naive.warm_up),
         (Chain([0.2, Cosine(0.3)], [3]), naive.chain)]
"""Curves as long as the fit, and their twins: functions of (t, of how many, how many are an epoch)."""


@pytest.mark.parametrize(("schedule", "twin"), UNITS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_curves_as_long_as_the_fit(schedule, twin):
    """By epochs and by updates, of which seven are an epoch."""
    for epoch in (1, 7):
        for t in range(12 * epoch):
            assert schedule(t, 12 * epoch, epoch) == pytest.approx(twin(t, 12 * epoch, epoch), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("kind", [Step(0.4, 2, 0.5), Exponential(0.1, 0.5), InverseScaling(0.3), Cosine(1.0, 4),
                                  Cosine(1.0, 2, 0.2, lengthen=2), CosLog(0.2, 5)], ids=str)
def test_where_an_epoch_begins_both_units_agree(kind):
    for t in range(14):
        assert kind(6 * t, 84, 6) == pytest.approx(kind(t, 14), rel=1e-12, abs=1e-14)


def test_shown_as_written():
    assert repr(WarmUp(Cosine(0.1), 2)) == ("WarmUp(learning_rate=Cosine(learning_rate=0.1, epochs=None, lowest=0.0, "
                                            "lengthen=1, flat=0.0), epochs=2)")
    assert repr(CosLog(0.1, per="epoch")) == "CosLog(learning_rate=0.1, epochs=None, waves=4, per='epoch')"


def test_units():
    assert [s.unit for s in (Cosine(0.1), CosLog(0.1), Function(max), WarmUp(0.1, 2), WarmUp(CosLog(0.1), 2),
                             Chain([0.1, Cosine(0.1, per="update")], [2]), WarmUp(Cosine(0.1), 0.5, per="update"))] == [
        "epoch", "update", "update", "epoch", "update", "update", "update"]


def rates(net, X, Y, epochs, **options):
    found = []
    net.fit(X, Y, epochs=epochs, callbacks=[lambda record: found.append(record.learning_rate)], **options)
    return found


@pytest.mark.parametrize("batch", [1, 8])
def test_training_has_the_rate_of_each_epoch(batch, rng):
    """With plain gradient descent, an epoch at a time with these rates gives the same bits."""
    X, Y = real_data(rng, "squared_error", None, 20, 2, 1, "float32")
    one, other = network((2, 4, 1)), network((2, 4, 1))
    schedule = Step(0.2, 2, 0.5)
    one.fit(X, Y, epochs=5, batch_size=batch, optimizer=SGD(schedule), shuffle=False)
    for rate in (0.2, 0.2, 0.1, 0.1, 0.05):
        other.fit(X, Y, epochs=1, batch_size=batch, optimizer=SGD(rate), shuffle=False)
    assert (one.parameters == other.parameters).all()


def test_any_callable_and_records(rng):
    X, Y = real_data(rng, "squared_error", None, 20, 2, 1, "float32")
    net = network((2, 4, 1))
    assert rates(net, X, Y, 3, optimizer=Adam(lambda t: 0.1 / (1 + t))) == [0.1, 0.05, 0.1 / 3]
    assert rates(net, X, Y, 3, optimizer=Adam(0.5)) == [0.5] * 3


@pytest.mark.parametrize("rate", [WarmUp(Cosine(0.1, 3), 2), ReduceOnPlateau(0.3, 0.5, 2, min_delta=0.01)], ids=str)
def test_resume_continues(rate, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 2, 1, "float32")
    whole, halves = network((2, 4, 1)), network((2, 4, 1))
    expected = rates(whole, X, Y, 12, optimizer=Adam(rate))
    found = rates(halves, X, Y, 5, optimizer=Adam(rate)) + rates(halves, X, Y, 7, resume=True)
    assert found == expected and len(set(expected)) > 2
    assert (whole.parameters == halves.parameters).all()


def test_plateau_counts_epochs_without_progress():
    method = SGD(ReduceOnPlateau(0.8, 0.5, patience=2, min_delta=0.1, lowest=0.3))
    hyper, found = method.hyper(), []
    for cost in (5.0, 4.0, 3.95, 3.85, 3.8, 3.8, 3.75, 3.75, 1.0, 1.0):
        method.on_epoch_end(hyper, 0, cost)
        found.append(hyper[0])
    assert found == [0.8, 0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.3, 0.3, 0.3]


@pytest.mark.parametrize("first", [np.nan, np.inf, -np.inf])
def test_a_plateau_sees_progress_after_a_cost_that_is_not_finite(first):
    method = SGD(ReduceOnPlateau(0.8, 0.5, patience=2))
    hyper, found = method.hyper(), []
    for cost in (first, 5.0, 4.0, first, 3.0, 3.0, first):
        method.on_epoch_end(hyper, 0, cost)
        found.append(hyper[0])
    assert found == [0.8] * 6 + [0.4]


def test_a_rate_too_small_for_a_number_is_0():
    assert InverseScaling(0.1, 200)(10**4) == 0


def test_plateau_watches_the_validation_cost(rng):
    """The training cost falls, that of the validation set is made to rise: the rate falls."""
    X, Y = real_data(rng, "squared_error", None, 40, 2, 1, "float32")
    net = network((2, 4, 1))
    found = rates(net, X, Y, 6, optimizer=SGD(ReduceOnPlateau(0.05, 0.5, 2)), batch_size=40, validation=(X, 3 - 5 * Y))
    assert (np.diff(net.history.cost) < 0).all() and (np.diff(net.history.validation_cost) > 0).all()
    assert found == [0.05, 0.05, 0.05, 0.025, 0.025, 0.0125]


def test_divergence_names_the_rate_in_use(rng):
    X, Y = real_data(rng, "squared_error", None, 20, 2, 1, "float32")
    with pytest.raises(fastbp.DivergenceError) as caught, np.errstate(over="ignore", invalid="ignore"):
        network((2, 4, 1)).fit(X, Y, epochs=20, batch_size=5, optimizer=SGD(lambda t: 0.01 if t < 3 else 1e30))
    assert caught.value.learning_rate == 1e30 and caught.value.epoch == 4


def test_a_bad_rate_says_when_and_keeps_the_epochs(rng):
    X, Y = real_data(rng, "squared_error", None, 20, 2, 1, "float32")
    net = network((2, 4, 1))
    with pytest.raises(ValueError, match="gave the learning rate -1 after 2 epochs"):
        net.fit(X, Y, epochs=5, optimizer=SGD(lambda t: 0.1 if t < 2 else -1))
    assert len(net.history) == 2


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Step(0, 3), "Step: learning_rate is 0, expected a positive"),
    (lambda: Step(0.1, 0), "Step: every is 0, expected a whole number, at least 1"),
    (lambda: Step(0.1, 2.5), "Step: every is 2.5"),
    (lambda: Exponential(0.1, 1.5), "Exponential: factor is 1.5, expected a number above 0, up to 1"),
    (lambda: InverseScaling(0.1, -1), "InverseScaling: power is -1"),
    (lambda: Cosine(0.1, 5, 0.2), "Cosine: lowest is 0.2, expected at most the learning rate 0.1"),
    (lambda: Cosine(0.1, True), "Cosine: epochs is True"),
    (lambda: WarmUp("0.1", 3), "WarmUp: learning_rate is '0.1'"),
    (lambda: WarmUp(ReduceOnPlateau(0.1), 3), r"WarmUp: learning_rate is ReduceOnPlateau"),
    (lambda: OneCycle(0.1, 5, rise=1), "OneCycle: rise is 1"),
    (lambda: OneCycle(0.1, 5, start=0.5), "OneCycle: start is 0.5, expected a number of at least 1"),
    (lambda: ReduceOnPlateau(0.1, patience=0), "ReduceOnPlateau: patience is 0"),
    (lambda: Adam("cosine"), r"Adam: learning_rate is a kind of schedule, expected a positive number or a schedule "
                             r"with its settings: fastbp.schedules.Cosine\(learning_rate, epochs, lowest, lengthen, "
                             r"per, flat\)"),
    (lambda: Adam("one_cycle"), r"schedules.OneCycle\("),
    (lambda: Adam(Step), r"expected .*: fastbp.schedules.Step\("),
    (lambda: Adam("exponent"), "unknown schedule 'exponent': did you mean 'exponential'"),
    (lambda: Adam(lambda t: "high"), "Adam: the schedule .* gave the learning rate 'high' after 0 epochs"),
    (lambda: Adam(lambda t: float("nan")), "gave the learning rate nan"),
    (lambda: Adam(None), "Adam: learning_rate is None"),
    (lambda: Cosine(0.1, per="batch"), "Cosine: per is 'batch', expected one of 'epoch', 'update'"),
    (lambda: Cosine(0.1, flat=1), "Cosine: flat is 1, expected a number from 0 up to"),
    (lambda: Cosine(0.1, lengthen=2), "Cosine: lengthen is 2, and epochs is None"),
    (lambda: Cosine(0.1, 0.5), "Cosine: epochs is 0.5, expected a whole number"),
    (lambda: Cosine(0.1)(3), "Cosine: epochs is None, which is as long as the fit, and none is known"),
    (lambda: CosLog(0.1, waves=33), "CosLog: waves is 33"),
    (lambda: WarmUp(0.1, None), "WarmUp: epochs is nan"),
    (lambda: WarmUp(Cosine(0.1, per="update"), 2, per="epoch"), "WarmUp: per is 'epoch', and within it 'update'"),
    (lambda: Chain([0.1, 0.2], []), "Chain: 2 schedules have 0 lengths"),
    (lambda: Chain(0.1, 3), "Chain: schedules is 0.1, expected a sequence"),
    (lambda: Chain([0.1, ReduceOnPlateau(0.1)], [3]), r"Chain: schedules\[1\] is ReduceOnPlateau"),
    (lambda: Chain([-0.1, 0.2], [3]), r"Chain: schedules\[0\] is -0.1"),
    (lambda: Function(3), "Function: function is 3, expected a callable"),
    (lambda: AdamW(0.1, weight_decay=Step), r"AdamW: weight_decay is a kind of schedule.*Step\("),
    (lambda: AdamW(0.1, weight_decay=lambda t: -1), "AdamW: the schedule .* gave the weight decay -1 after 0 epochs"),
    (lambda: AdamW(0.1, weight_decay=ReduceOnPlateau(0.1)), "AdamW: weight_decay is ReduceOnPlateau"),
    (lambda: Regularization(dropout=Cosine(1.5)), "Regularization: the schedule Cosine.* gave the dropout 1.5 at most, "
                                                  "expected a number from 0 up to, not including, 1"),
    (lambda: Regularization(l2=(0.1, Cosine)), r"Regularization: l2\[1\] is a kind of schedule"),
    (lambda: Regularization(max_norm=Cosine(0.5)), "Regularization: max_norm is Cosine"),
], ids=str)  # fmt: skip
def test_bad_settings(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_exported():
    assert fastbp.schedules is schedules

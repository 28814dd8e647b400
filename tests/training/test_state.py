"""The optimizer's state by name, parameters that follow those of another network, and the range test."""

import numpy as np
import pytest
from helpers import close, compiled_only, network

import fastbp
from fastbp import Network
from fastbp.optimizers import RULES


@pytest.fixture
def data(rng):
    return rng.normal(size=(12, 3)), rng.normal(size=(12, 2))


def test_what_adam_keeps_is_what_its_equations_say(data):
    X, Y = data
    net = network((3, 4, 2), dtype="float64")
    assert net.optimizer_state() == {}
    m = v = 0.0
    for _ in range(3):
        g = net.gradient(X, Y)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        net.train_on_batch(X, Y, optimizer=fastbp.Adam(0.01))
    state = net.optimizer_state()
    assert set(state) == {"learning_rate", "power1", "power2", "m", "v"}
    close(state["m"], m)
    close(state["v"], v)
    close([state["learning_rate"], state["power1"], state["power2"]], [0.01, 0.9**3, 0.999**3])
    state["m"][:] = 7  # a copy
    close(net.optimizer_state()["m"], m)


@pytest.mark.parametrize("rule", [*RULES, fastbp.SGD(0.01, momentum=0.9)])
def test_a_state_that_is_written_is_gone_on_with(rule, data):
    X, Y = data
    net = network((3, 4, 2), dtype="float64").fit(X, Y, epochs=2, batch_size=5, optimizer=rule)
    other = network((3, 4, 2), dtype="float64").fit(X, -Y, epochs=3, batch_size=12, optimizer=rule)
    rows = [value for value in net.optimizer_state().values() if np.ndim(value)]
    assert len(rows) == net._progress.optimizer.slots
    other.set_optimizer_state(**net.optimizer_state())
    other.move_to(net)
    for each in (net, other):
        each.train_on_batch(X, Y)
        each.train_on_batch(X, Y)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    for name, value in net.optimizer_state().items():
        np.testing.assert_array_equal(value, other.optimizer_state()[name])


@pytest.mark.parametrize("rule", RULES)
def test_squares_are_those_that_stay_positive(rule, data):
    net = network((3, 4, 2), dtype="float64")
    for sign in (1, -1, 1):
        net.train_on_batch(data[0], 10 * sign * data[1], optimizer=rule)
    state = net.optimizer_state()
    assert {name for name, row in state.items() if np.ndim(row) and row.min() >= 0} == RULES[rule].squares


def test_what_does_not_fit_changes_nothing(data):
    X, Y = data
    net = network((3, 4, 2))
    with pytest.raises(ValueError, match="no training to go on from"):
        net.set_optimizer_state(learning_rate=1.0)
    net.train_on_batch(X, Y)
    before = net.optimizer_state()
    for given, wrong in ((dict(learning_rate=0.5, w=1), "Adam keeps no 'w', expected one of learning_rate, power1"),
                         (dict(learning_rate=-1), "learning_rate"), (dict(power1=2.0), "power1"),
                         (dict(learning_rate=0.5, m=np.zeros(3)), r"m has shape \(3,\), expected \(26,\)"),
                         (dict(m=np.full(26, np.nan)), "m holds nan"),
                         (dict(m=np.ones(26), v=-np.ones(26)), "v holds -1.0, expected no negative number")):
        with pytest.raises(ValueError, match=wrong):
            net.set_optimizer_state(**given)
    for name, value in before.items():
        np.testing.assert_array_equal(value, net.optimizer_state()[name])
    scheduled = network((3, 4, 2)).fit(X, Y, epochs=2, optimizer=fastbp.Adam(fastbp.schedules.Cosine(0.1)))
    with pytest.raises(ValueError, match="would overwrite"):
        scheduled.set_optimizer_state(power1=0.5, learning_rate=0.5)
    assert scheduled.optimizer_state()["power1"] != 0.5
    assert set(network((3, 2)).fit(X, Y, epochs=2, optimizer="lbfgs").optimizer_state()) == {
        "step_length", "steps", "pairs"}
    net.fit(X, Y, epochs=1, callbacks=[lambda record: seen.append(record.network.optimizer_state()["learning_rate"])])
    with pytest.raises(RuntimeError, match="being fitted.*record.set_learning_rate"):
        net.fit(X, Y, epochs=1, callbacks=[lambda record: net.set_optimizer_state(learning_rate=0.1)])
    assert seen == [pytest.approx(0.001)]


seen: list[float] = []


def test_a_target_network_follows(rng):
    net, target = network((3, 4, 2), seed=1, dtype="float64"), network((3, 4, 2), seed=2)
    before, aim = target.parameters.copy(), net.parameters.copy()
    target.move_to(net, 0.25)
    close(target.parameters, 0.75 * before + 0.25 * aim, "float32")
    target.move_to(net)
    np.testing.assert_array_equal(target.parameters, aim.astype("float32"))
    target.move_to(net, 0)
    np.testing.assert_array_equal(net.parameters, aim)
    for other, tau, wrong in ((net, 1.5, "tau is 1.5"), (network((3, 5, 2)), 1.0, "other has layers"),
                              (3, 1.0, "other is 3"),
                              (network((3, 4, 2), "relu"), 1.0, "other has layers"),
                              (Network((3, 4, 2), bias=False), 1.0, "built as this network")):
        with pytest.raises((ValueError, TypeError), match=wrong):
            target.move_to(other, tau)
    target.parameters.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        target.move_to(net)


@compiled_only
def test_the_range_of_learning_rates(rng):
    X = rng.uniform(-1, 1, (300, 2))
    Y = (X[:, :1] * X[:, 1:])
    net = network((2, 16, 1))
    before, state = net.parameters.copy(), net.generator.bit_generator.state
    found = net.learning_rate_range(X, Y, steps=120, largest=100.0, optimizer="sgd")
    np.testing.assert_array_equal(net.parameters, before)
    assert net.generator.bit_generator.state == state and net.optimizer_state() == {} and not len(net.history)
    assert len(found.rates) == len(found.costs) == len(found.smoothed) < 120  # it ends where the cost explodes
    close(found.rates, np.geomspace(1e-6, 100, 120)[: len(found.rates)])
    mean = 0.0
    for i, cost in enumerate(found.costs):
        mean = 0.9 * mean + 0.1 * cost
        assert found.smoothed[i] == pytest.approx(mean / (1 - 0.9 ** (i + 1)))
    assert found.suggested == found.rates[found.smoothed.argmin()] / 10 and 1e-3 < found.suggested < 1
    trained = net.copy().fit(X, Y, epochs=10, optimizer=fastbp.SGD(found.suggested))
    assert trained.history.cost[-1] < 0.5 * net.cost(X, Y)
    for settings, wrong in ((dict(smallest=0), "smallest is 0"), (dict(largest=1e-9), "largest is"),
                            (dict(steps=3), "steps is 3"), (dict(optimizer="lbfgs"), "LBFGS works on the full batch"),
                            (dict(smallest=1e20, largest=1e30, optimizer="sgd"), "the first steps")):
        with pytest.raises(ValueError, match=wrong):
            net.learning_rate_range(X, Y, **settings)


@compiled_only
def test_its_picture(rng):
    pytest.importorskip("matplotlib").use("Agg")
    X = rng.uniform(-1, 1, (60, 2))
    display = fastbp.plots.LearningRateDisplay.from_network(network((2, 4, 1)), X, X[:, 0], steps=30)
    assert display.ax_.get_xscale() == "log" and display.ax_.get_xlabel() == "learning rate"
    line = display.ax_.lines[1]
    np.testing.assert_array_equal(line.get_xdata(), display.found.rates)
    np.testing.assert_array_equal(line.get_ydata(), display.found.smoothed)
    text = display.ax_.get_legend().texts[2].get_text()
    assert display.plot() is display and f"{display.found.suggested:.2g}" in text
    with pytest.raises(TypeError, match="found is 3, expected what Network.learning_rate_range returns"):
        fastbp.plots.LearningRateDisplay(3)

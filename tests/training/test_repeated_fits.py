"""Fits like an earlier one: what is kept from fit to fit spares time, and nothing else."""

import copy
import pickle
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

import fastbp
from fastbp import Adam, Network, Regularization
from fastbp.kernels import layout, tables
from fastbp.kernels.compile import JIT, Typed, kernel
from fastbp.schedules import Cosine
from fastbp.training.progress import LARGEST_KEY, new_key

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(40, 3)).astype("float32"), RNG.normal(size=(40, 2)).astype("float32")
WEIGHTS = RNG.uniform(0.5, 1.5, 40)
GAPS = np.where(RNG.random(Y.shape) < 0.2, np.nan, Y)

CALLS = [
    {}, {}, {"optimizer": Adam(0.02)}, {"optimizer": Adam(0.02, beta1=0.5)}, {"optimizer": "sgd"}, {},
    {"optimizer": fastbp.AdamW(0.01, weight_decay=0.3)},
    {"optimizer": fastbp.AdamW(0.01, rate_factors={"biases": 0.0})},
    {"optimizer": Adam(Cosine(0.1, per="update"))}, {"optimizer": Adam(lambda epoch: 0.1 / (1 + epoch))}, {},
    {"batch_size": 1}, {"batch_size": 7}, {"batch_size": 7, "shuffle": False}, {"batch_size": 40},
    {"batch_size": 7, "sample_weight": WEIGHTS}, {"batch_size": 7}, {"batch_size": 7, "rows": 20},
    {"regularization": Regularization(l2=0.1, dropout=0.5)}, {"regularization": Regularization(clip_norm=0.01)}, {},
    {"Y": GAPS, "missing": "ignore"}, {}, {"X": scipy.sparse.csr_array(X * (X > 1.5))}, {},
    {"resume": True}, {"resume": True, "optimizer": Adam(0.5)}, {"validation": 0.3}, {"threads": 2}, {"profile": True},
    {},
    {"optimizer": "lbfgs"}, {}, {"assign": 0.5}, {}, {"target_jacobian": np.zeros((40, 2, 3))}, {},
]
"""Each beside the ones before it: what one keeps must not reach the next."""


def bits_of_all(forgets):
    """Return the parameters after each call of one network, and its costs."""
    net, found = Network((3, 5, 2), seed=3), []
    for call in CALLS:
        if forgets:
            net._workspaces.arrangements.clear()
        settings = {"epochs": 2, "batch_size": 16, **call}
        if settings.get("optimizer") == "lbfgs":
            del settings["batch_size"]
        n = settings.pop("rows", 40)
        inputs, targets = settings.pop("X", X), settings.pop("Y", Y)
        if "assign" in settings:
            net.parameters = np.full(net.n_parameters, settings.pop("assign"))
        net.fit(inputs[:n], targets[:n], **settings)
        found.append((net.parameters.copy(), net.history.cost))
    return found


def test_nothing_stale_is_taken_over():
    kept, anew = bits_of_all(False), bits_of_all(True)
    for call, (parameters, costs), (expected, expected_costs) in zip(CALLS, kept, anew, strict=True):
        assert np.array_equal(parameters, expected) and np.array_equal(costs, expected_costs), call


def test_what_is_kept_holds_nothing_of_one_fit():
    """One entry for fits alike, whatever their optimizer's settings; none where something is bound to the plan."""
    net = Network((3, 6, 2), seed=0)
    kept = net._workspaces.arrangements
    for optimizer in (Adam(0.1), Adam(0.2), "adam"):
        net.fit(X, Y, epochs=1, optimizer=optimizer)
    assert len(kept) == 1
    (arrangement,) = kept.values()
    assert {type(cell) for cell in arrangement} == {int, list} and len(arrangement.pool) == 1
    net.fit(X, Y, epochs=1, regularization=Regularization(l2=0.1))
    net.fit(X, Y, epochs=1, optimizer=Adam(Cosine(0.1, per="update")))
    net.fit(X, Y, epochs=1, optimizer=Adam(rate_factors={"biases": 2.0}))
    net.fit(X, GAPS, epochs=1, missing="ignore")
    assert len(kept) == 1
    net.fit(X, Y, epochs=1, sample_weight=WEIGHTS)
    assert len(kept) == 2


def test_fits_that_shuffle_take_the_workspace_of_one_that_did_not():
    """It is completed: there is no second one beside it, and the next fit finds it as it needs it."""
    net = Network((3, 11, 2), seed=0).fit(X, Y, epochs=1, shuffle=False)
    (arrangement,) = net._workspaces.arrangements.values()
    (plan,) = arrangement.pool
    for _ in range(2):
        net.fit(X, Y, epochs=1)
        assert len(arrangement.pool) == 1 and arrangement.pool[0] is plan and plan.cells[tables.CELL_SHUFFLE] != 0


def test_a_workspace_is_given_back_however_a_fit_ends():
    net = Network((3, 7, 2), seed=0).fit(X, Y, epochs=1)
    (arrangement,) = net._workspaces.arrangements.values()

    def fail(record):
        assert not arrangement.pool, "borrowed while the fit lasts"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        net.fit(X, Y, epochs=2, callbacks=[fail])
    assert len(arrangement.pool) == 1
    with pytest.raises(fastbp.DivergenceError):
        net.fit(X, Y, epochs=300, optimizer=fastbp.SGD(1e30))
    assert len(arrangement.pool) == 1


def test_what_an_optimizer_keeps_is_no_setting():
    """Neither shown nor pickled, and of these settings alone; what a fit writes to is its own."""
    method, fresh = Adam(0.1, beta1=0.5), Adam(0.1, beta1=0.5)
    Network((3, 5, 2), seed=0).fit(X, Y, epochs=2, optimizer=method)
    assert vars(method).keys() > vars(fresh).keys()
    assert method == fresh and repr(method) == repr(fresh) and np.array_equal(method.hyper(), fresh.hyper())
    for other in (pickle.loads(pickle.dumps(method)), copy.deepcopy(method), copy.copy(method)):
        assert other == method and vars(other).keys() == vars(Adam(0.1, beta1=0.5)).keys()
    assert replace(method, beta1=0.9).hyper()[tables.HYPER_BETA1] == 0.9
    assert replace(method, learning_rate=Cosine(0.1, per="update")).followed and not method.followed


def test_a_function_is_asked_for_the_first_rate_of_each_fit():
    rates = iter([0.5, 0.25, 0.25, 0.125, 0.125, 0.0625])
    method = Adam(lambda epoch: next(rates))
    assert [method.hyper()[tables.HYPER_RATE] for _ in range(2)] == [0.25, 0.25] and next(rates) == 0.125


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937])
def test_keys_are_those_of_numpy(bits):
    """And so is what is drawn behind them."""
    net, other = Network((1, 1), seed=0), np.random.Generator(bits(7))
    net.generator = np.random.Generator(bits(7))
    for count in (0, 1, 2, 3) * 100:
        ours, theirs = [one.integers(10, size=count, dtype="i4") for one in (net.generator, other)]  # halves of 64 bits
        assert (ours == theirs).all()
        assert new_key(net) == other.integers(LARGEST_KEY)
    assert net.generator.standard_normal() == other.standard_normal()


def test_a_repeated_fit_looks_at_its_data_before_it_changes_anything():
    net = Network((3, 8, 2), seed=0).fit(X, Y, epochs=1)
    before, history, state = net.parameters.copy(), net.history, net.generator.bit_generator.state
    bad = X.copy()
    bad[3, 1] = np.nan
    for inputs, targets, settings in ((bad, Y, {}), (X, Y[:-1], {}), (X[:, :2], Y, {}), (X, bad[:, :2], {}),
                                      (X, Y, {"epochs": 0}), (X, Y, {"batch_size": 0}), (X, Y, {"callbacks": [3]})):
        with pytest.raises((ValueError, TypeError)):
            net.fit(inputs, targets, **{"epochs": 1, **settings})
    assert np.array_equal(net.parameters, before) and net.history is history
    assert net.generator.bit_generator.state == state
    net.parameters.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        net.fit(X, Y, epochs=1)


def test_networks_alike_fit_side_by_side():
    """Each in a workspace of its own, with the bits of a fit alone."""
    alone = Network((3, 9, 2), seed=1).fit(X, Y, epochs=4).parameters
    networks = [Network((3, 9, 2), seed=1) for _ in range(4)]
    threads = [threading.Thread(target=lambda net=net: [net.reset(1).fit(X, Y, epochs=4) for _ in range(2)])
               for net in networks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(net.parameters, alone) for net in networks)


def test_a_refused_fit_leaves_ctrl_c_and_the_lock_as_they_were():
    net, handler = Network((3, 4, 2), seed=0), signal.getsignal(signal.SIGINT)

    def again(record):
        with pytest.raises(RuntimeError, match="being fitted already"):
            net.fit(X, Y, epochs=1)

    net.fit(X, Y, epochs=2, callbacks=[again])
    assert signal.getsignal(signal.SIGINT) is handler
    net.fit(X, Y, epochs=1)


def test_types_are_looked_at_once_for_each_dtype():
    asked = []

    @kernel
    def add(task, array):
        array[0] += task.samples

    class Noted(Typed):
        def _first(self, dtype, *arguments):
            asked.append(dtype)
            return super()._first(dtype, *arguments)

    task, noted = layout.Task(2, 1, 1, 0, 0, 0, 1, 0, 1), Noted(add)
    for dtype in ("float32", "float64", "float32", "float32", "float64"):
        array = np.zeros(3, dtype)
        noted.of(array.dtype)(task, array)
        assert array[0] == 2
    assert asked == [np.float32, np.float64]
    assert JIT or noted.of(np.dtype("f")) is add

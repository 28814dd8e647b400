"""Stacks of networks, one in each lane: each has the bits of a fit of its own, parameters, state and history."""

import signal
import threading

import numpy as np
import pytest
from helpers import few, real_data

import fastbp
from fastbp import Network, fit_many
from fastbp.kernels import layout
from fastbp.kernels.compile import JIT
from fastbp.optimizers import RULES
from fastbp.training import many, stacked

from .test_many import same


@pytest.fixture
def stacks(monkeypatch):
    """Have networks stacked however few there are; the number of networks of each stack."""
    found = []
    run = stacked.Stack.run

    def noted(self, hold):
        found.append(len(self.members))
        return run(self, hold)

    monkeypatch.setattr(many, "STACK_STEPS", 0)
    monkeypatch.setattr(many, "STACK_LANES", 0)
    monkeypatch.setattr(stacked, "STACK_BYTES", 2**24)
    monkeypatch.setattr(stacked.Stack, "run", noted)
    return found


def sizes_of_stacks(count, dtype="float32"):
    """How many networks each stack of so many of one shape has; a single one is trained alone."""
    lanes = layout.lanes(dtype)
    whole, rest = divmod(count, lanes)
    return [rest] * (rest > 1) + [lanes] * whole


def twins(count, sizes, **options):
    return ([Network(sizes, seed=i, **options) for i in range(count)] for _ in range(2))


def check(together, alone, X, Y, rows=None, weights=None, threads=2, **settings):
    """Compare a call with fits of their own."""
    fit_many(together, X, Y, rows=rows, sample_weight=weights, threads=threads, **settings)
    for i, net in enumerate(alone):
        own = slice(None) if rows is None else rows[i]
        net.fit(X[own], Y[own], sample_weight=None if weights is None else weights[own], **settings)
        assert same(net, together[i])
        assert np.array_equal(net._progress.state, together[i]._progress.state)
        assert np.array_equal(net._progress.hyper, together[i]._progress.hyper)
        assert net._progress.epochs == together[i]._progress.epochs


SHAPES = [(2, 8, 1), (1, 3, 2), (9, 17, 5), (3, 1), (6, 4, 4, 4, 3), (few(40, 20), 5, 1), (2, few(70, 6), 2)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [2, 10, 33, 64, 1000])
@pytest.mark.parametrize("sizes", SHAPES)
def test_bits_of_every_shape_and_batch(sizes, batch, dtype, stacks, rng):
    """Layers whose gradients are summed one sample after the other, and by lanes; batches that fill no vector."""
    n = few(75, 11)
    X, Y = real_data(rng, "squared_error", None, n, sizes[0], sizes[-1], dtype)
    count = layout.lanes(dtype) + 3
    together, alone = twins(count, sizes, dtype=dtype, bias=sizes != (1, 3, 2))
    check(together, alone, X, Y, epochs=few(4, 1), batch_size=batch)
    assert sorted(stacks) == sizes_of_stacks(count, dtype)


@pytest.mark.parametrize("rule", RULES)
def test_bits_of_every_rule(rule, stacks, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 4, 2, "float32")
    together, alone = twins(few(9, 3), (4, 7, 2))
    rows = [rng.integers(0, 30, 21) for _ in together]
    check(together, alone, X, Y, rows, weights=rng.uniform(0, 2, 30), epochs=few(5, 2), batch_size=8, optimizer=rule)
    assert sorted(stacks) == sizes_of_stacks(len(together))


KINDS = [("cross_entropy", None, "labels"), ("cross_entropy", None, "shares"), ("squared_error", "softmax", "shares"),
         ("binary_cross_entropy", None, "shares"), ("poisson", None, "counts"), (fastbp.huber(0.5), "relu", "real"),
         ("binary_cross_entropy", "softplus", "shares"), ("gaussian_nll", None, "half"),
         (fastbp.gaussian_nll(0.5), None, "half")]


@pytest.mark.parametrize(("cost", "output", "targets"), KINDS, ids=str)
def test_bits_of_outputs_and_costs(cost, output, targets, stacks, rng):
    """Canonical links and others, softmax with another cost, class indices, two outputs for each target."""
    X = rng.normal(size=(40, 3)).astype("float32")
    Y = {"labels": lambda: rng.integers(0, 4, 40), "shares": lambda: rng.dirichlet(np.ones(4), 40),
         "counts": lambda: rng.poisson(2.0, (40, 4)), "real": lambda: rng.normal(size=(40, 4)),
         "half": lambda: rng.normal(size=(40, 2))}[targets]()
    together, alone = twins(few(8, 2), (3, 6, 4), activation="relu", cost=cost, output=output)
    check(together, alone, X, Y, [rng.permutation(40)[:37] for _ in together], epochs=few(4, 2), batch_size=7)
    assert sorted(stacks) == sizes_of_stacks(len(together))


@pytest.mark.parametrize("shuffle", [True, False])
def test_resumed_halves(shuffle, stacks, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 4, 2, "float32")
    together, alone = twins(few(9, 3), (4, 7, 2))
    for optimizer in (fastbp.Adam(0.01), fastbp.Adam(0.003)):
        fit_many(together, X, Y, epochs=3, batch_size=8, optimizer=optimizer, resume=True, shuffle=shuffle)
    for net, twin in zip(together, alone, strict=True):
        for optimizer in (fastbp.Adam(0.01), fastbp.Adam(0.003)):
            twin.fit(X, Y, epochs=3, batch_size=8, optimizer=optimizer, resume=True, shuffle=shuffle)
        assert same(net, twin)
    assert sorted(stacks) == sorted(2 * sizes_of_stacks(len(together)))
    fit_many(together[:2], X, Y, epochs=1, resume=True)
    fit_many(together[1:], X, Y, epochs=1, resume=True)  # of which one has gone further
    alone[0].fit(X, Y, epochs=1, resume=True)
    alone[1].fit(X, Y, epochs=2, resume=True)
    alone[2].fit(X, Y, epochs=1, resume=True)
    assert all(map(same, together[:3], alone[:3]))


def test_networks_that_cannot_be_stacked_stand_beside(stacks, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 4, 2, "float32")
    together, alone = twins(12, (4, 3, 2))
    settings = {"epochs": [3] * 11 + [2], "batch_size": [8] * 3 + [1, 9] + [8] * 7,
                "optimizer": ["adam"] * 5 + ["sgd", "lbfgs"] + ["adam"] * 5,
                "regularization": [None] * 8 + [fastbp.Regularization(l2=0.1)] + [None] * 3}
    settings["batch_size"][6] = None
    fit_many(together, X, Y, threads=2, **settings)
    for i, (net, twin) in enumerate(zip(together, alone, strict=True)):
        assert same(net, twin.fit(X, Y, **{name: values[i] for name, values in settings.items()}))
    assert sorted(stacks) == sizes_of_stacks(6)


def test_large_networks_and_small_work_are_not_stacked(stacks, rng, monkeypatch):
    X, Y = real_data(rng, "squared_error", None, 30, 4, 2, "float32")
    monkeypatch.setattr(stacked, "STACK_BYTES", 2**15)
    together, alone = twins(4, (4, 200, 2))
    check(together, alone, X, Y, epochs=1, batch_size=30)
    monkeypatch.setattr(many, "STACK_STEPS", 10**6)
    together, alone = twins(4, (4, 3, 2))
    check(together, alone, X, Y, epochs=1, batch_size=30)
    assert not stacks


@pytest.mark.parametrize("when", ["at once", "later"])
def test_one_lane_diverges(when, stacks, rng):
    """By its own rows: a target that is too large for float32 once it is squared."""
    X, Y = real_data(rng, "squared_error", None, 40, 4, 1, "float32")
    Y[39] = 3e19 if when == "at once" else 1e9
    optimizer = fastbp.SGD(0.05 if when == "at once" else 0.02)
    rows = [np.arange(20)] * 3 + [np.arange(20, 40)] + [np.arange(5, 25)] * 3
    together, alone = twins(7, (4, 3, 1), activation="relu")
    errors = fit_many(together, X, Y, rows=rows, epochs=6, batch_size=4, optimizer=optimizer, on_error="keep")
    for i, (net, twin) in enumerate(zip(together, alone, strict=True)):
        try:
            twin.fit(X[rows[i]], Y[rows[i]], epochs=6, batch_size=4, optimizer=optimizer)
            assert errors[i] is None
        except fastbp.DivergenceError as error:
            assert i == 3 and str(errors[i]) == str(error) and errors[i].epoch == error.epoch
            assert net._progress is None
        assert same(net, twin)
    assert sorted(stacks) == sizes_of_stacks(7) and isinstance(errors[3], fastbp.DivergenceError)


@pytest.mark.skipif(not JIT, reason="plain kernels are interrupted anywhere, compiled ones are not")
def test_ctrl_c_leaves_whole_updates(stacks, rng):
    X, Y = real_data(rng, "squared_error", None, 64, 3, 1, "float32")
    together, alone = twins(5, (3, 4, 1))
    others, _ = twins(5, (3, 4, 1))
    fit_many(others, X, Y, epochs=1, batch_size=64, threads=1)  # compiled by now
    stacks.clear()
    timer = threading.Timer(0.5, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))

    def begin(index):
        if index == 4:
            timer.start()
        return []

    with pytest.raises(KeyboardInterrupt):
        fit_many(together, X, Y, epochs=10**9, batch_size=64, callbacks=begin, threads=1)
    timer.join()
    done = [len(net.history) for net in together]
    assert len(stacks) == 1 and len(set(done[: stacks[0]])) == 1 and done[0] > 0 and not any(done[stacks[0] :])
    for net, twin in zip(together, alone, strict=True):
        assert not net._lock.locked()
        epochs = len(net.history)
        if epochs:
            assert same(net, twin.fit(X, Y, epochs=epochs, batch_size=64))
        net.fit(X, Y, epochs=1, resume=True)
        assert len(net.history) == epochs + 1


@pytest.mark.parametrize("on_error", ["raise", "keep"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_stack_that_cannot_be_made(threads, on_error, stacks, rng, monkeypatch):
    """It is the error of its networks, whichever thread has it; the others end as they would."""
    X, Y = real_data(rng, "squared_error", None, 30, 4, 2, "float32")
    together, alone = (nets + [Network((4, 200, 2), seed=0)] for nets in twins(3, (4, 3, 2)))
    monkeypatch.setattr(stacked, "STACK_BYTES", 2**17)

    def fail(*arguments, **others):
        raise MemoryError("no more")

    monkeypatch.setattr(stacked.link, "stacked", fail)
    settings = {"epochs": 2, "threads": threads, "on_error": on_error}
    if on_error == "raise":
        with pytest.raises(MemoryError, match=r"no more\n(.*\n)*This concerns networks\[0\]"):
            fit_many(together, X, Y, **settings)
    else:
        errors = fit_many(together, X, Y, **settings)
        assert [type(error) for error in errors] == [MemoryError] * 3 + [type(None)]
    assert len(together[3].history) in ((2,) if on_error == "keep" else (0, 2))
    for net, twin in zip(together, alone, strict=True):
        assert not net._lock.locked()
        assert same(net, twin.fit(X, Y, epochs=2) if len(net.history) else twin)


def test_a_network_that_is_locked_leaves_its_lane(stacks, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 4, 2, "float32")
    together, alone = twins(4, (4, 3, 2))
    with together[1]._fitting():
        errors = fit_many(together, X, Y, epochs=2, on_error="keep")
    assert isinstance(errors[1], RuntimeError) and errors.count(None) == 3 and sum(stacks) == 3
    for i in (0, 2, 3):
        assert same(together[i], alone[i].fit(X, Y, epochs=2))
    assert not len(together[1].history)

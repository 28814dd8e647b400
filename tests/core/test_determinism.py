"""Same seed, same data: the same bits, for any number of threads. And properties that hold for every network."""

import functools

import numpy as np
import pytest
import scipy.sparse
from helpers import ACTIVATIONS, DTYPES, close, few, laid_out, network, real_data
from hypothesis import given
from hypothesis import strategies as st

import fastbp
from fastbp import SGD, Adam, Network, Regularization, encoders
from fastbp.core import link, objective
from fastbp.kernels import layout, tables
from fastbp.kernels.compile import JIT
from fastbp.kernels.layer import dense, gather
from fastbp.kernels.passes import own_weights, relay, rounds
from fastbp.util import machine

NETS = few([((1, 1), 7), ((3, 9, 2), 5), ((17, 33, 5), 100), ((40, 70, 60, 10), 64), ((5, 130, 300, 3), 33)],
           [((1, 1), 7), ((3, 9, 2), 5)])
"""(sizes, batch): ragged batches of less than a strip to several, layers below and above what is packed."""


def fitted(sizes, batch, dtype, threads, method, n, choices=None, **options):
    rng = np.random.default_rng(0)
    net = laid_out(Network(sizes, "tanh", dtype=dtype, seed=3, **options), **(choices or {}))
    X, Y = real_data(rng, net.cost_function.name, None, n, sizes[0], sizes[-1], dtype)
    net.fit(X, Y, epochs=few(3, 2), batch_size=batch, optimizer=method, threads=threads, validation=0.25,
            sample_weight=rng.uniform(0.1, 1, n))
    return net.parameters.tobytes(), net.history.cost.tobytes(), net.history.validation_cost.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [Adam(), SGD(0.01), SGD(0.01, 0.9)], ids=str)
@pytest.mark.parametrize(("sizes", "batch"), NETS, ids=str)
def test_threads(sizes, batch, method, dtype):
    alone = fitted(sizes, batch, dtype, 1, method, 2 * batch + 3)
    assert fitted(sizes, batch, dtype, 1, method, 2 * batch + 3) == alone
    for threads in (2, 3):
        assert fitted(sizes, batch, dtype, threads, method, 2 * batch + 3) == alone


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_threads_on_several_blocks(packed, by_lanes):
    n, choices = few(230, 20), {"by_lanes": by_lanes, "packs": packed, "block": 2 * layout.lanes("float32")}
    alone = fitted((7, 21, 19, 3), n // 2, "float32", 1, Adam(), n, choices)
    for threads in (2, 3, 5):
        assert fitted((7, 21, 19, 3), n // 2, "float32", threads, Adam(), n, choices) == alone


ROUNDS = {
    "plain": {},
    "clipped, dropout": dict(regularization=Regularization(clip_norm=0.1, dropout=0.2, l2=0.01)),
    "weighted classes": dict(output="softmax", cost="cross_entropy", sample_weight=True),
    "parametric": dict(activation=fastbp.parametric("tanh")),
    "encoders": dict(encoders=[encoders.Periodic((0, 2, 3), 2), encoders.OneHot(1, 4)], scaling=True),
    "a rate per update": dict(optimizer=Adam(fastbp.schedules.Cosine(0.01, per="update"))),
    "full batch": dict(optimizer="lbfgs", batch_size=None),
    "derivatives": dict(target_jacobian=True),
    "sparse": dict(sparse=True),
}


@pytest.mark.parametrize("room", [2, 64], ids=["several rounds", "one round"])
@pytest.mark.parametrize("case", ROUNDS)
def test_rounds_of_a_team(case, room, rng, monkeypatch):
    """Threads that take whole blocks add up gradients and costs as one thread does; what is left they share."""
    given = dict(ROUNDS[case])
    made = {name: given.pop(name) for name in ("output", "cost", "activation", "encoders", "scaling")
            if name in given}
    n, block = few(300, 25), few(2, 1) * layout.lanes("float32")
    X, Y = rng.normal(size=(n, 4)).astype("f"), rng.normal(size=(n, 3)).astype("f")
    X[:, 1] = rng.integers(0, 4, n)
    Y = rng.integers(0, 3, n) if "cost" in made else Y
    if given.get("sample_weight"):
        given["sample_weight"] = rng.uniform(0.1, 1, n)
    if given.get("target_jacobian"):
        given["target_jacobian"] = rng.normal(size=(n, 3, 4))
    if given.pop("sparse", False):
        X = scipy.sparse.csr_matrix(X * (X > 0))
    found = set()
    for threads in (1, 2, 3):
        net = laid_out(Network((4, 9, 3), seed=1, **made), block=block)
        monkeypatch.setattr(layout, "ROUND_BYTES", room * threads * net.n_parameters * 4)
        net.fit(X, Y, epochs=2, threads=threads, **{"batch_size": n - n // 5} | given)
        found.add((net.parameters.tobytes(), net.history.cost.tobytes()))
        [plan] = [plan for pool in net._workspaces._pools.values() for plan in pool]
        most = min(room * threads, tables.MOST_BLOCKS // threads * threads) if threads > 1 else 0
        assert plan.cells[tables.CELL_MOST_BLOCKS] == most
    assert len(found) == 1


RELAYS = {
    "plain": {},
    "no bias": dict(bias=False),
    "weighted classes": dict(output="softmax", cost="cross_entropy", sample_weight=True),
    "dropout": dict(regularization=Regularization(dropout=0.2, l2=0.01)),
    "a rate per update": dict(optimizer=Adam(fastbp.schedules.Cosine(0.01, per="update"))),
    "full batch": dict(optimizer="lbfgs", batch_size=None),
}


@pytest.mark.parametrize("case", RELAYS)
def test_two_threads_hand_sums_on(case, rng, monkeypatch):
    """Sums that go on from those of another thread are those of one thread; by lanes, one thread sums all samples.

    The last batch of an epoch has one strip, so that there is nothing to hand on.
    """
    given = dict(RELAYS[case])
    made = {name: given.pop(name) for name in ("output", "cost", "bias") if name in given}
    lane = layout.lanes("float32")
    n = few(2 * (7 * lane - 3) + 2, 2 * (2 * lane - 3) + 2)
    X, Y = rng.normal(size=(n, 18)).astype("f"), rng.normal(size=(n, 3)).astype("f")
    Y = rng.integers(0, 3, n) if "cost" in made else Y
    if given.get("sample_weight"):
        given["sample_weight"] = rng.uniform(0.1, 1, n)
    known = X[: 3 * lane], Y[: 3 * lane]  # in whose last pass the second thread has twice as much to do as the first
    found, relays = set(), []
    monkeypatch.setattr(layout, "hands_on", lambda *_: True)
    monkeypatch.setattr(layout, "sums_lanes", lambda n_in, n_out, *_: n_out == 3)
    for threads in (1, 2):
        net = laid_out(Network((18, few(150, 9), few(17, 5), 3), "tanh", seed=1, **made), packs=False)
        net.fit(X, Y, epochs=few(3, 1), threads=threads, validation=known, **{"batch_size": n // 2 - 1} | given)
        found.add((net.parameters.tobytes(), net.history.cost.tobytes(), net.history.validation_cost.tobytes()))
        plans = [plan for pool in net._workspaces._pools.values() for plan in pool]
        relays.append(any(plan.cells[tables.CELL_HANDED] > 0 for plan in plans))
        assert all(plan.cells[tables.CELL_PARTS_TAKEN] == plan.cells[tables.CELL_PARTS_HANDED] for plan in plans)
    assert len(found) == 1 and relays == [False, True]


@pytest.mark.skipif(JIT, reason="compiled kernels raise nothing")
@pytest.mark.parametrize("broken", [dense.gradient, dense.gradient_on], ids=["first", "second"])
def test_a_thread_that_fails_in_a_relay_leaves_none_waiting(broken, rng, monkeypatch):
    monkeypatch.setattr(layout, "hands_on", lambda *_: True)
    net, real = laid_out(Network((4, 30, 3), seed=1), by_lanes=False), relay.call
    X, Y = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    fit = functools.partial(net.fit, X, Y, epochs=2, batch_size=60, threads=2)
    with monkeypatch.context() as patch:
        patch.setattr(relay, "call", lambda kernel, *given: 1 / 0 if kernel is broken else real(kernel, *given))
        with pytest.raises(ZeroDivisionError):
            fit()
    fit()


@pytest.fixture
def owning(monkeypatch):
    """Have two threads keep weights of the first layer of their own, wherever they can."""
    monkeypatch.setattr(layout, "owns_weights", lambda *_: True)
    monkeypatch.setattr(layout, "hands_on", lambda *_: False)


OWNED = {
    "plain": {},
    "few neurons": dict(hidden=5),
    "no bias": dict(bias=False),
    "weighted classes": dict(output="softmax", cost="cross_entropy", sample_weight=True),
    "α": dict(activation=fastbp.parametric("relu")),
    "dropout": dict(regularization=Regularization(dropout=0.2, l2=0.01)),
    "clipped": dict(regularization=Regularization(clip_norm=0.1)),
    "full batch": dict(optimizer="lbfgs", batch_size=None),
    "sparse": dict(sparse=True),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", OWNED)
@pytest.mark.usefixtures("owning")
def test_two_threads_have_weights_of_their_own(case, dtype, rng, monkeypatch):
    """A thread's neurons of the first layer sum over all samples' inputs what one thread would, in its order.

    The last batch of an epoch has one strip, which one thread takes.
    """
    given = dict(OWNED[case])
    made = {name: given.pop(name) for name in ("output", "cost", "bias", "activation") if name in given}
    lane, hidden = layout.lanes(dtype), given.pop("hidden", few(37, 9))
    n = few(2 * (7 * lane - 3) + 2, 2 * (3 * lane - 1) + 2)
    X, Y = rng.normal(size=(n, 18)), rng.normal(size=(n, 3))
    Y = rng.integers(0, 3, n) if "cost" in made else Y
    if given.get("sample_weight"):
        given["sample_weight"] = rng.uniform(0.1, 1, n)
    if given.pop("sparse", False):
        X = scipy.sparse.csr_matrix(X * (X > 0))
    found, owned = set(), []
    monkeypatch.setattr(layout, "sums_lanes", lambda n_in, n_out, *_: n_out == 3)
    for threads in (1, 2):
        net = laid_out(Network((18, hidden, 3), seed=1, dtype=dtype, **made), packs=False)
        net.fit(X, Y, epochs=few(3, 1), threads=threads, **{"batch_size": n // 2 - 1} | given)
        found.add((net.parameters.tobytes(), net.history.cost.tobytes()))
        plans = [plan for pool in net._workspaces._pools.values() for plan in pool]
        owned.append(any(plan.cells[tables.CELL_OWN_APART] > 0 for plan in plans))
    assert len(found) == 1 and owned == [False, True]


@pytest.mark.usefixtures("owning")
@pytest.mark.parametrize("settings", [
    [dict(batch_size=1), dict(batch_size=2)],
    [dict(batch_size=40), dict(batch_size=40, regularization=Regularization(input_noise=0.1))],
], ids=["one sample", "noise"])
def test_fits_that_need_the_one_panel_of_inputs_share_it(settings, rng):
    """`online.run` reads it, and noise is added to it, a thread's samples each; of one strip a thread seems alone."""
    found, X, Y = set(), rng.normal(size=(70, 4)), rng.normal(size=(70, 3))
    for threads in (1, 2):
        net = laid_out(Network((4, 9, 3), seed=1), by_lanes=False)
        for own in settings:
            net.fit(X, Y, epochs=2, threads=threads, **own)
        found.add(net.parameters.tobytes())
    assert len(found) == 1


@pytest.mark.usefixtures("owning")
def test_blocks_in_pieces_are_shared(rng, monkeypatch):
    """Of a piece a thread has some strips only, as one of a team has of a block."""
    n = 6 * layout.lanes("float64")
    found, X, Y = set(), rng.normal(size=(n, 4)), rng.normal(size=(n, 3))
    for pieces, threads in ((1, 1), (3, 1), (3, 2)):
        net = laid_out(Network((4, 9, 3), seed=1), by_lanes=False)
        monkeypatch.setattr(machine, "PIECE_WORK", 2 * net._architecture.work * n // (3 * pieces * threads) + 1)
        net.fit(X, Y, epochs=2, batch_size=n, threads=threads)
        found.add(net.parameters.tobytes())
    assert len(found) == 1


@pytest.mark.skipif(JIT, reason="compiled kernels raise nothing")
@pytest.mark.parametrize("thread", [0, 1])
@pytest.mark.usefixtures("owning")
def test_a_thread_that_fails_before_its_samples_leaves_none_waiting(thread, rng, monkeypatch):
    net, real = laid_out(Network((4, 30, 3), seed=1), by_lanes=False), own_weights.call
    X, Y = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    fit = functools.partial(net.fit, X, Y, epochs=2, batch_size=60, threads=2)

    def broken(kernel, *given):
        if kernel is dense.forward_some and (given[9] > 0) == bool(thread):
            raise ZeroDivisionError
        return real(kernel, *given)

    with monkeypatch.context() as patch:
        patch.setattr(own_weights, "call", broken)
        with pytest.raises(ZeroDivisionError):
            fit()
    fit()


@pytest.mark.parametrize("several", [False, True], ids=["blocks", "rounds"])
def test_a_clipped_fit_after_one_that_was_interrupted(several, rng, monkeypatch):
    """Of which it takes the cells: the barrier between its halves of phase 2 is not given up before it begins."""
    monkeypatch.setattr(layout, "owns_weights", lambda *_: False)
    net = laid_out(Network((4, 30, 3), seed=1), block=layout.lanes("float64") if several else None)
    X, Y = rng.normal(size=(90, 4)), rng.normal(size=(90, 3))
    real, found = objective.run_pass, []

    def interrupted(threads, plan, *given):
        real(threads, plan, *given)
        link.release(plan)  # as it does for what is raised when the kernel comes back
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(objective, "run_pass", interrupted)
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, epochs=2, batch_size=90, threads=2)
    for threads in (1, 2):
        net.reset(1)
        net.fit(X, Y, epochs=3, batch_size=90, threads=threads, regularization=Regularization(clip_norm=0.1))
        found.append(net.parameters.tobytes())
        plans = [plan for pool in net._workspaces._pools.values() for plan in pool]
        assert not any(plan.cells[tables.CELL_MIDWAY + tables.BARRIER_ABANDONED] for plan in plans)
    assert found[0] == found[1]


def test_a_clipped_fit_is_no_relay(rng, monkeypatch):
    """There a thread measures the gradient of its neurons before all of it is there."""
    monkeypatch.setattr(layout, "hands_on", lambda *_: True)
    found, X, Y = set(), rng.normal(size=(70, 4)), rng.normal(size=(70, 3))
    for threads in (1, 2):
        net = laid_out(Network((4, 9, 3), seed=1), by_lanes=False)
        net.fit(X, Y, epochs=2, batch_size=40, threads=threads, regularization=Regularization(clip_norm=0.1))
        found.add(net.parameters.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_tables_of_embeddings_have_the_bits_of_one_thread(dtype, rng):
    """Their gradients are added up sample by sample through all blocks, which sums of blocks are not."""
    n = few(2000, 60)
    X, Y = np.column_stack((rng.integers(0, 2, n), rng.normal(size=n))), rng.normal(size=(n, 2))
    found = []
    for threads in (1, 2, 3):
        net = laid_out(Network((2, 5, 2), dtype=dtype, seed=1, encoders=[
            encoders.Embedding(0, 2, 8), encoders.Identity(1)]), block=few(2, 1) * layout.lanes(dtype))
        net.fit(X, Y, epochs=1, batch_size=n, optimizer=SGD(8.0), threads=threads)
        found.append(net.encoder_parameters[0]["table"].tobytes())
    assert found[1] == found[0] and found[2] == found[0]


@pytest.mark.skipif(JIT, reason="calls are counted where kernels are plain Python")
def test_rounds_of_a_batch_weigh_it_once(rng, monkeypatch):
    """Each thread adds up the weights of a batch as it begins: in each round it would take longer than the round."""
    n, weighed, real = 25, [], rounds.call
    net = laid_out(Network((2, 3, 1), seed=1), block=layout.lanes("float32"))
    monkeypatch.setattr(layout, "ROUND_BYTES", 2 * net.n_parameters * 4)

    def counted(kernel, *given):
        if kernel is gather.total_weight:
            weighed.append(kernel)
        return real(kernel, *given)

    monkeypatch.setattr(rounds, "call", counted)
    net.fit(rng.normal(size=(n, 2)), rng.normal(size=n), sample_weight=rng.uniform(0.1, 1, n), epochs=2, batch_size=n,
            threads=2)
    assert len(weighed) == 2 * 2, "threads and batches"


def test_a_workspace_is_for_as_many_threads_as_it_was_made_for():
    """Each thread packs into a scratch of its own: what one thread has used is not enough for three."""
    found, sizes = [], few((40, 41, 3), (5, 6, 2))
    for counts in ((1, 3), (1, 1)):
        rng, net = np.random.default_rng(0), laid_out(Network(sizes, seed=1), packs=True)
        X, Y = real_data(rng, "squared_error", None, 64, sizes[0], sizes[-1], "float32")
        for threads in counts:
            net.fit(X, Y, epochs=1, batch_size=64, threads=threads)
        assert sum(map(len, net._workspaces._pools.values())) == len(set(counts))
        found.append(net.parameters.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(("output", "cost"), [(None, "cross_entropy"), ("softmax", "squared_error"),
                                              (None, "log_cosh")])
def test_threads_more_than_strips(output, cost):
    """Threads that get no sample and no neuron do no harm."""
    settings = dict(output=output, cost=cost)
    alone = fitted((3, 4, 2), 3, "float32", 1, Adam(), 10, **settings)
    assert fitted((3, 4, 2), 3, "float32", 6, Adam(), 10, **settings) == alone


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_threads_on_any_activation(name, dtype):
    """A share ends in the middle of what alone is one loop: its rest is scalar there, and vectors here."""
    batch = 5 * layout.lanes(dtype) - 1
    net = [network((3, 7, 2), name, dtype=dtype, seed=1) for _ in range(3)]
    X, Y = real_data(np.random.default_rng(0), "squared_error", None, 2 * batch, 3, 2, dtype)
    found = {n.fit(X, Y, epochs=1, batch_size=batch, optimizer=SGD(0.01, 0.9), threads=threads).parameters.tobytes()
             for n, threads in zip(net, (1, 2, 4), strict=True)}
    assert len(found) == 1


def test_without_a_number_of_threads():
    assert fitted((3, 9, 2), 5, "float32", None, Adam(), 12) == fitted((3, 9, 2), 5, "float32", 3, Adam(), 12)


def test_seeds_differ():
    X, Y = np.ones((4, 2)), np.zeros(4)
    assert (Network((2, 1), seed=1).fit(X, Y, epochs=1).parameters
            != Network((2, 1), seed=2).fit(X, Y, epochs=1).parameters).any()


shapes = st.lists(st.integers(1, few(20, 6)), min_size=2, max_size=4)
seeds = st.integers(0, 2**32 - 1)


def case(sizes, seed, dtype="float64", n=None):
    rng = np.random.default_rng(seed)
    names = rng.choice(["tanh", "logistic", "gelu", "sin"], len(sizes) - 2)
    net = network(tuple(sizes), tuple(names), dtype=dtype, seed=seed)
    X, Y = real_data(rng, "squared_error", None, n or int(rng.integers(1, few(50, 9))), sizes[0], sizes[-1], dtype)
    return rng, net, X, Y


@given(sizes=shapes.filter(lambda s: len(s) > 2), seed=seeds)
def test_permuting_hidden_neurons_changes_nothing(sizes, seed):
    rng, net, X, Y = case(sizes, seed)
    layer = int(rng.integers(len(sizes) - 2))
    order = rng.permutation(sizes[layer + 1])
    other = net.copy()
    other.weights[layer][:] = net.weights[layer][order]
    other.biases[layer][:] = net.biases[layer][order]
    other.weights[layer + 1][:] = net.weights[layer + 1][:, order]
    close(other.predict(X), net.predict(X))
    close(other.cost(X, Y), net.cost(X, Y))
    gradients = net.gradient(X, Y), other.gradient(X, Y)
    for chosen in gradients[1:]:
        holder = net.copy()
        holder.parameters[:] = chosen
        found = holder.weights[layer].copy()
        holder.parameters[:] = gradients[0]
        close(found, holder.weights[layer][order])


@given(sizes=shapes, seed=seeds)
def test_the_gradient_is_the_mean_of_the_samples_gradients(sizes, seed):
    rng, net, X, Y = case(sizes, seed)
    weights = rng.uniform(0.1, 1, len(X))
    singles = np.stack([net.gradient(x[None], y[None]) for x, y in zip(X, Y, strict=True)])
    close(net.gradient(X, Y), singles.mean(axis=0), factor=5)
    close(net.gradient(X, Y, weights), weights @ singles / weights.sum(), factor=5)


@given(sizes=shapes, seed=seeds, dtype=st.sampled_from(DTYPES))
def test_predict_agrees_with_the_training_pass(sizes, seed, dtype):
    _, net, X, Y = case(sizes, seed, dtype)
    out = net.trace(X, Y).out[-1]
    assert (net.predict(X) == out).all()
    close(np.stack([net.predict(x) for x in X]), out, dtype)


@given(sizes=shapes, seed=seeds, dtype=st.sampled_from(DTYPES), threads=st.integers(2, 4))
def test_any_number_of_threads(sizes, seed, dtype, threads):
    rng, net, X, Y = case(sizes, seed, dtype)
    other, batch = net.copy(), int(rng.integers(1, 40))
    net.fit(X, Y, epochs=2, batch_size=batch, threads=1)
    other.fit(X, Y, epochs=2, batch_size=batch, threads=threads)
    assert net.parameters.tobytes() == other.parameters.tobytes()


@given(seed=seeds, name=st.sampled_from(ACTIVATIONS))
def test_the_order_of_samples_matters_to_rounding_only(seed, name):
    rng = np.random.default_rng(seed)
    net = network((3, 5, 2), name, dtype="float64", seed=seed)
    X, Y = real_data(rng, "squared_error", None, 20, 3, 2)
    order = rng.permutation(20)
    assert (net.predict(X)[order] == net.predict(X[order])).all()
    close(net.gradient(X[order], Y[order]), net.gradient(X, Y), factor=5)

"""A fit that several processes share, with threads in their place: they come to the same end, also where one fails."""

import threading

import numpy as np
import pytest
from helpers import compiled_only, few

import fastbp
from fastbp import Network, mpi
from fastbp.core.shards import Team
from fastbp.kernels import random
from fastbp.training import averaged, large_batches, together


class Table:
    """Where threads hear what all have said; who waits longer than 20 s fails."""

    def __init__(self, size):
        self.said, self.heard, self.rounds = [None] * size, [None] * size, 0
        self.barrier = threading.Barrier(size, self.collect, timeout=20)

    def collect(self):
        self.heard, self.rounds = list(self.said), self.rounds + 1

    def talk_of(self, rank):
        def talk(mine):
            self.said[rank] = mine
            self.barrier.wait()
            return self.heard
        return talk


def shared(size, inputs, targets, *, networks=None, dtype="float32", **each):
    """Fit in so many threads; ``each`` are functions of the rank. Returns networks and errors."""
    table, errors = Table(size), [None] * size
    networks = networks or [Network((3, 6, 1), dtype=dtype, seed=2) for _ in range(size)]
    settings = {"optimizer": "lbfgs", "resume": False, "epochs": 4, "callbacks": (), "bar": False, "threads": 1,
                "regularization": None, "metrics": None, "memory": None, "check_finite": True}

    def work(rank):
        own = settings | {"X": inputs, "Y": targets, "sample_weight": None, "validation": None} \
            | {name: value(rank) for name, value in each.items()}
        try:
            together.fit(networks[rank], own.pop("X"), own.pop("Y"), own.pop("sample_weight"), own.pop("validation"),
                         own.pop("optimizer"), own.pop("resume"), rank=rank, size=size, talk=table.talk_of(rank),
                         **own)
        except Exception as error:
            errors[rank] = error

    threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return networks, errors


@pytest.fixture
def data(rng):
    X = rng.normal(size=(81, 3)).astype("float32")
    return X, np.sin(X[:, :1] * X[:, 1:2])


@compiled_only
def test_all_have_the_same_bits(data):
    alone, errors = shared(1, *data)
    assert errors == [None]
    for size in (2, 3):
        networks, errors = shared(size, *data)
        assert errors == [None] * size
        for net in networks:
            assert net.parameters.tobytes() == alone[0].parameters.tobytes()
            assert net.history.cost.tobytes() == alone[0].history.cost.tobytes()


@compiled_only
def test_targets_that_are_missing_count_for_none(data):
    """Also where a process has none that is known; the steps are those in memory."""
    X, Y = data
    Y = np.where(np.random.default_rng(1).random(Y.shape) < 0.3, np.nan, Y)
    Y[:45] = np.nan  # all of process 0, of two
    found = []
    for size in (1, 2, 3):
        networks, errors = shared(size, X, Y, missing=lambda rank: "ignore")
        assert errors == [None] * size
        found += [net.parameters.tobytes() for net in networks]
    assert len(found) == 6 and len(set(found)) == 1
    expected = Network((3, 6, 1), seed=2).fit(X, Y, optimizer="lbfgs", epochs=4, missing="ignore")
    np.testing.assert_allclose(networks[0].parameters, expected.parameters, atol=1e-4)
    _, errors = shared(2, X, Y)
    assert "Y holds nan in row" in str(errors[0])


@compiled_only
def test_bits_do_not_depend_on_who_has_which_rows(data):
    cuts, found = (0, 30, 31, 31, 60, 81, 81, 81, 81), []
    for owners in [(0,) * 8, (0, 1, 0, 1, 0, 0, 0, 0), (2, 0, 1, 0, 1, 1, 1, 1), (1, 0, 2, 2, 0, 0, 0, 0)]:
        networks, errors = shared(max(owners) + 1, *data, owners=lambda rank, owners=owners: owners,
                                  cuts=lambda rank: cuts)
        assert errors == [None] * len(networks)
        found += [net.parameters.tobytes() for net in networks]
    assert len(found) == 9 and len(set(found)) == 1


def test_callbacks_of_the_first_hold_for_all(data):
    called, kept = [], Network((3, 6, 1), seed=9).parameters

    def callbacks(rank):
        def change(record):
            called.append(rank)
            if record.epoch == 2:
                record.network.parameters[:] = kept
            return rank == 0 and record.epoch == 4
        return [change, fastbp.EarlyStopping(50)]

    networks, errors = shared(2, *data, callbacks=callbacks, validation=lambda rank: 0.1)
    assert errors == [None, None] and called == [0] * 4
    assert [len(net.history) for net in networks] == [4, 4]
    assert networks[0].parameters.tobytes() == networks[1].parameters.tobytes()


@compiled_only
def test_where_one_fails_all_end(data):
    X, Y = data
    bad = X.copy()
    bad[-1] = np.nan

    def raises(rank):
        def callback(record):
            raise ZeroDivisionError("mine")
        return [callback]

    others = "process {} of 3 has failed, and says why; this one, {}, ends with it"
    for each, who, what in [({"X": lambda rank: bad}, 2, "X holds nan in row 80"),
                            ({"callbacks": raises}, 0, "mine"),
                            ({"Y": lambda rank: Y[: 81 - rank // 2]}, 2, "Y has shape"),
                            ({"epochs": lambda rank: -1 if rank == 1 else 5}, 1, "epochs")]:
        networks, errors = shared(3, X, Y, **each)
        for rank, error in enumerate(errors):
            assert (what if rank == who else others.format(who, rank)) in str(error)
        if who:
            first = Network((3, 6, 1), seed=2).parameters
            assert all(np.array_equal(net.parameters, first) and not net.history for net in networks)


@compiled_only
def test_what_differs_is_said_to_all(data):
    X, Y = data
    _, errors = shared(2, X, Y, epochs=lambda rank: 3 + rank)
    assert all("process 1 of 2 is not where process 0 is" in str(error) for error in errors)
    _, errors = shared(2, X, Y, callbacks=lambda rank: [fastbp.TimeLimit(60)] * rank)
    assert all("process 1 of 2 is not where process 0 is" in str(error) for error in errors)
    table = Table(2)
    pair = [together.Companions(Network((3, 6, 1), seed=rank), rank, 2, table.talk_of(rank)) for rank in range(2)]
    found = []

    def say(one):
        with pytest.raises(RuntimeError, match="the network of process 1 of 2 has other parameters") as caught:
            one.gather(np.ones((1, 2)))
        one.fail()  # nobody listens any more
        found.append(caught)

    other = threading.Thread(target=say, args=(pair[1],), daemon=True)
    other.start()
    say(pair[0])
    other.join(20)
    assert len(found) == 2 and table.rounds == 1


def locally(parts, **settings):
    """Local training in a thread for each pair X, Y; returns networks and errors."""
    table, size = Table(len(parts)), len(parts)
    networks, errors = [Network((3, 6, 1), seed=2) for _ in parts], [None] * size
    given = {"optimizer": "adam", "epochs": 3, "batch_size": 8, "steps": 2, "resume": False} | settings

    def work(rank):
        own = dict(given)
        X, Y, *weights = parts[rank]
        try:
            averaged.fit(networks[rank], X, Y, weights[0] if weights else None, own.pop("optimizer"),
                         own.pop("resume"), rank=rank, size=size, talk=table.talk_of(rank), threads=1,
                         most=max(len(part[0]) for part in parts), regularization=None, **own)
        except Exception as error:
            errors[rank] = error

    threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return networks, errors


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_averages_after_each_step_are_a_step_of_all(momentum):
    """Steps and moments of SGD are linear in the gradient, and so is their mean: that of weighted samples."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(60, 3))
    Y, weights = np.sin(X[:, :1]), rng.uniform(0.1, 2, 60)
    method, cuts = fastbp.SGD(0.1, momentum=momentum), [0, 10, 35, 60, 60]
    expected = Network((3, 6, 1), seed=2).fit(X, Y, sample_weight=weights, epochs=5, batch_size=60, optimizer=method)
    parts = [(X[a:b], Y[a:b], weights[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    networks, errors = locally(parts, optimizer=method, epochs=5, batch_size=30, steps=1)
    assert errors == [None] * 4
    for net in networks:
        assert net.parameters.tobytes() == networks[0].parameters.tobytes()
        assert np.allclose(net.parameters, expected.parameters, rtol=1e-4, atol=1e-5)
        assert np.allclose(net._progress.state, expected._progress.state, rtol=1e-4, atol=1e-5)
        assert np.allclose(net.history.cost, expected.history.cost, rtol=1e-4)


@compiled_only
def test_local_training_learns_and_ends_together(data):
    X, Y = data
    parts = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    networks, errors = locally(parts, epochs=200, optimizer=fastbp.Adam(0.02))
    assert errors == [None, None] and networks[0].parameters.tobytes() == networks[1].parameters.tobytes()
    assert networks[0].cost(X, Y) < 0.3 * networks[0].history.cost[0] and networks[0]._progress.epochs == 200
    alone, _ = locally([(X, Y)], epochs=2)
    assert len(alone[0].history) == 2
    bad = X[20:].copy()
    bad[3] = np.inf
    for settings, second, said in [({}, bad, "X holds inf in row 3"), ({"optimizer": "rprop"}, X[20:], "all samples"),
                                   ({"steps": 0}, X[20:], "average_every"),
                                   ({"optimizer": fastbp.SGD(fastbp.schedules.Cosine(0.1, 9))}, X[20:], "schedule")]:
        _, errors = locally([parts[0], (second, Y[20:])], **settings)
        assert said in str(errors[1]) and errors[0] is not None
    _, errors = locally([(X[:20], Y[:20], np.zeros(20)), (X[20:], Y[20:], np.zeros(61))])
    assert all("sample_weight is 0 for every sample" in str(error) for error in errors)


def test_batches_are_as_even_as_can_be():
    """Of all rows, and of those of each shard; each row is in one of them."""
    for cuts in ([0, 7, 8, 8, 31, 40], [0, 1, 2, 3], [0, 100]):
        for count in (1, 2, 3, 7, cuts[-1]):
            taken, sizes = [], np.zeros((len(cuts) - 1, count), int)
            for shard, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False)):
                for batch in range(count):
                    rows = large_batches.rows_of_batch(np.arange(b - a)[::-1], a, batch, count)
                    taken += (a + rows).tolist()
                    sizes[shard, batch] = len(rows)
            assert sorted(taken) == list(range(cuts[-1]))
            assert np.ptp(sizes.sum(0)) <= 1 and (np.ptp(sizes, axis=1) <= 1).all()


LARGE = [("adam", None), (fastbp.AdamW(0.01, rate_factors={"biases": 0.5}), fastbp.Regularization(l2=0.01, max_norm=1)),
         (fastbp.SGD(fastbp.schedules.OneCycle(0.3, 20), momentum=0.9),
          fastbp.Regularization(clip_norm=0.02, weight_decay=0.1, trainable=(False, True)))]


@pytest.mark.parametrize("method, regularization", LARGE)
def test_large_batches_have_the_same_bits(data, method, regularization):
    """With all rows in a batch they are the steps of one process, but for the order of sums."""
    X, Y = data
    weights = np.random.default_rng(3).uniform(0.5, 2, 81)
    epochs = few(4, 2)
    given = {"optimizer": lambda rank: method, "regularization": lambda rank: regularization,
             "sample_weight": lambda rank: weights, "epochs": lambda rank: epochs}
    for batch_size in (None, 20):
        found = []
        for size in few((1, 2, 3), (1, 2)):
            networks, errors = shared(size, X, Y, batch_size=lambda rank, size=batch_size: size, **given)
            assert errors == [None] * size
            found += [net.parameters.tobytes() + net.history.cost.tobytes() for net in networks]
        assert len(set(found)) == 1
        net = networks[0]
        assert net._progress.epochs == len(net.history) == epochs
        if batch_size is None:
            expected = Network((3, 6, 1), seed=2).fit(X, Y, sample_weight=weights, optimizer=method, epochs=epochs,
                                                      batch_size=81, regularization=regularization)
            assert np.allclose(net.parameters, expected.parameters, rtol=1e-5, atol=1e-6)
            assert np.allclose(net.history.cost, expected.history.cost, rtol=1e-5)


def test_large_batches_are_those_of_each_shard(data):
    """Adam (Kingma & Ba 2015, algorithm 1) written out, on the mean gradient of rows that are picked by hand."""
    X, Y = data[0].astype("d"), data[1].astype("d")
    weights, cuts = np.random.default_rng(3).uniform(0, 2, 81), (0, 30, 31, 31, 81)
    weights[:9] = 0
    given = {"optimizer": lambda rank: fastbp.Adam(0.05), "sample_weight": lambda rank: weights,
             "batch_size": lambda rank: 20, "cuts": lambda rank: cuts}
    networks, errors = shared(2, X, Y, owners=lambda rank: (0, 1, 1, 0), epochs=lambda rank: 2, dtype="float64",
                              **given)
    assert errors == [None, None]
    net = Network((3, 6, 1), dtype="float64", seed=2)
    key, m, v, costs = networks[0]._progress.key, np.zeros(net.n_parameters), np.zeros(net.n_parameters), []
    for epoch in range(2):
        order, total = [], 0.0
        for shard, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False)):
            mine = np.empty(b - a, np.int64)
            random.shuffle(mine, key, epoch + 2**32 * shard)
            order += (a + mine).tolist()
        for batch in range(5):
            rows = order[batch::5]
            cost, gradient = net.cost_and_gradient(X[rows], Y[rows], weights[rows])
            total += cost * weights[rows].sum()
            t = 5 * epoch + batch + 1
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            net.parameters[:] -= 0.05 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        costs.append(total / weights.sum())
    assert np.allclose(networks[0].parameters, net.parameters, rtol=1e-10, atol=1e-12)
    assert np.allclose(networks[0].history.cost, costs, rtol=1e-12)


@compiled_only
def test_large_batches_go_on_and_hear_callbacks(data):
    """A fit that resumes has the bits of a longer one; a learning rate that the first process sets holds for all."""
    given = {"optimizer": lambda rank: "adam", "batch_size": lambda rank: 16, "missing": lambda rank: "ignore"}
    Y = np.where(np.random.default_rng(1).random(data[1].shape) < 0.3, np.nan, data[1])
    longer, _ = shared(2, data[0], Y, **given)
    short, _ = shared(2, data[0], Y, epochs=lambda rank: 1, **given)
    networks, errors = shared(2, data[0], Y, networks=short, epochs=lambda rank: 3, resume=lambda rank: True, **given)
    assert errors == [None, None] and len(networks[0].history) == 4
    assert all(net.parameters.tobytes() == longer[0].parameters.tobytes() for net in networks)

    def slower(record):
        record.set_learning_rate(0.0)

    found, errors = shared(2, *data, callbacks=lambda rank: [slower], validation=lambda rank: 0.2, **given)
    assert errors == [None, None] and found[0].parameters.tobytes() == found[1].parameters.tobytes()
    assert np.ptp(found[1].history.validation_cost) == 0 and found[1]._progress.learning_rate == 0

    def steep(record):
        record.gradient_norm()

    _, errors = shared(2, *data, callbacks=lambda rank: [steep], **given)
    assert "gradient_norm takes a pass" in str(errors[0]) and "process 0 of 2 has failed" in str(errors[1])
    _, errors = shared(2, *data, optimizer=lambda rank: fastbp.SGD(1e30), batch_size=lambda rank: 16)
    assert all(isinstance(error, fastbp.DivergenceError) for error in errors)


def test_where_one_is_lost_within_an_epoch_all_are_as_before_it(data, monkeypatch):
    calls, honest, given = [], together.Companions.gather, {"optimizer": lambda rank: fastbp.Adam(0.1),
                                                            "batch_size": lambda rank: 16}

    def gather(self, mine):
        calls.append(self.rank)
        if self.rank == 1 and calls.count(1) == 10:  # the rows, 6 batches of an epoch, and the third of the next one
            raise ConnectionError("lost")
        return honest(self, mine)

    longer, _ = shared(2, *data, epochs=lambda rank: 2, **given)
    with monkeypatch.context() as patched:
        patched.setattr(together.Companions, "gather", gather)
        networks, errors = shared(2, *data, **given)
    assert "process 1 of 2 has failed" in str(errors[0]) and str(errors[1]) == "lost"
    assert [len(net.history) for net in networks] == [1, 1]
    shared(2, *data, networks=networks, resume=lambda rank: True, epochs=lambda rank: 1, **given)
    assert all(net.parameters.tobytes() == longer[0].parameters.tobytes() for net in networks)


def test_large_batches_refuse_what_they_cannot_do(data):
    X, Y = data
    bad = X.copy()
    bad[-1] = np.nan
    stream = fastbp.data.Stream(lambda: iter([data]))
    others = "process {} of 2 has failed, and says why; this one, {}, ends with it"
    dropout = fastbp.Regularization(dropout=0.1)
    for each, who, what in [({"regularization": lambda rank: dropout}, None, "dropout draws"),
                            ({"memory": lambda rank: "16MB" if rank else 100}, 0, "memory is 100 bytes, but an opt"),
                            ({"batch_size": lambda rank: 16 - 8 * rank}, None, "batches here, but not in all"),
                            ({"batch_size": lambda rank: 0}, None, "batch_size is 0"),
                            ({"X": lambda rank: stream, "Y": lambda rank: None}, None, "X is a Stream"),
                            ({"X": lambda rank: bad}, 1, "X holds nan in row 80")]:
        networks, errors = shared(2, X, Y, **({"optimizer": lambda rank: "adam"} | each))
        for rank, error in enumerate(errors):
            said = [what, others.format(1 - rank, rank)] if who is None else [
                what if rank == who else others.format(who, rank)]
            assert any(one in str(error) for one in said), error
        assert any(what in str(error) for error in errors)
        first = Network((3, 6, 1), seed=2).parameters
        assert all(np.array_equal(net.parameters, first) and not net.history and net._progress is None
                   for net in networks)


def test_shards_that_lie_apart_have_the_same_sum(rng):
    values = rng.normal(size=(8, 3)) * 10.0 ** rng.integers(-8, 8, (8, 1))
    expected = Team(count=8).summed(3, lambda shard: values[shard].copy())
    for owners in [(0, 1, 0, 1, 1, 1, 0, 0), (1, 0, 0, 0, 0, 0, 0, 0), (2, 1, 0, 0, 1, 2, 2, 2)]:
        size, parts = max(owners) + 1, []

        def collect(mine, parts=parts):
            parts.append(mine)
            return np.concatenate(parts)

        for rank in range(size):
            team = Team(rank, size, collect, 8, owners, (0, 2, 2, 3, 4, 5, 6, 7, 9))
            if rank < size - 1:
                with pytest.raises(ValueError, match="gather returned shape"):
                    team.summed(3, lambda shard: values[shard].copy())
        assert team.summed(3, lambda shard: values[shard].copy()).tobytes() == expected.tobytes()
    assert [team.rows(9, shard) for shard in (0, 1, 7)] == [(0, 2), (2, 2), (7, 9)]
    for settings in ({"owners": (0,) * 8, "size": 2}, {"owners": (0, 1)}, {"cuts": (0, 1)},
                     {"cuts": (0, 2, 1, 3, 4, 5, 6, 7, 8)}):
        with pytest.raises(ValueError, match="Team: (owners|cuts) is"):
            Team(**{"count": 8} | settings)


class Two:
    """A communicator of two processes, this one and another that gives what it is told."""

    def __init__(self, other):
        self.other = other

    def allgather(self, mine):
        return [mine, self.other]

    def Get_rank(self):
        return 0


@pytest.mark.parametrize("other, wrong", [
    ([((5, 2), "<f4"), ((5, 1), "<f4")], r"X has shape \(5, 2\) in process 1 and \(9, 3\) in process 0, expected"),
    ([((5, 3), "<f4"), ((5,), "<f4")], r"Y has shape \(5,\) in process 1 and \(9, 1\) in process 0"),
    ([((5, 3), "<f4"), ((5, 1), "<f4"), ((5,), "<f4")], r"in processes \[1\] of 2.* give numpy.ones\(len\(X\)\)"),
])
def test_rows_of_processes_that_do_not_belong_together(other, wrong):
    with pytest.raises(ValueError, match=wrong):
        mpi._joined(Two(other), (np.zeros((9, 3)), np.zeros((9, 1)), None), None)


def test_a_process_may_have_no_rows():
    (X, Y, weights), owners, cuts = mpi._joined(Two([((0, 3), "<f8"), ((0, 1), "<f8")]),
                                                (np.zeros((9, 3)), np.zeros((9, 1)), None), None)
    assert (X.shape, Y.shape, weights, owners, cuts) == ((9, 3), (9, 1), None, (0, 1), (0, 9, 9))

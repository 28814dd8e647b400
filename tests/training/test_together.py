"""A fit that several processes share, with threads in their place: they come to the same end, also where one fails."""

import threading

import numpy as np
import pytest
from helpers import compiled_only

import fastbp
from fastbp import Network, mpi
from fastbp.core.shards import Team
from fastbp.training import averaged, together


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


def shared(size, inputs, targets, **each):
    """Fit in so many threads; ``each`` are functions of the rank. Returns networks and errors."""
    table, networks, errors = Table(size), [Network((3, 6, 1), seed=2) for _ in range(size)], [None] * size
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


def test_mini_batches_are_refused(data):
    for size in (1, 2):
        _, errors = shared(size, *data, optimizer=lambda rank: "adam")
        assert all("Adam takes mini-batches" in str(error) for error in errors)


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

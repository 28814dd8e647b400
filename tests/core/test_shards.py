"""Sums over shards: the same bits for any number of processes, which take the same steps."""

import multiprocessing
import sys

import numpy as np
import pytest
from helpers import compiled_only

from fastbp import Network, data
from fastbp.core import objective
from fastbp.core.conversion import fixed
from fastbp.core.shards import Team
from fastbp.core.streamed import Streamed
from fastbp.data.source import source
from fastbp.training.fit import fit


def pairwise(values):
    """Neighbours in pairs, pairs of pairs ..."""
    while len(values) > 1:
        values = [a + b for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


@pytest.mark.parametrize("count", [1, 8, 64])
def test_sums_are_pairwise_for_any_number_of_processes(count, rng):
    values = rng.normal(size=(count, 5)) * 10.0 ** rng.integers(-8, 8, (count, 5))
    expected = pairwise(list(values))
    for size in {1, min(2, count), min(3, count), min(7, count), count}:
        every = np.concatenate([Team(rank, size, count=count).branches() for rank in range(size)])
        assert every[0, 0] == 0 and every[-1, 1] == count  # in order, and nothing is left out
        assert np.array_equal(every[1:, 0], every[:-1, 1])
        parts = []

        def collect(mine, parts=parts):
            parts.append(mine)
            return np.concatenate(parts)

        def of_shard(shard):
            return values[shard].copy()

        for rank in range(size - 1):  # of whom none has everything
            with pytest.raises(ValueError, match="gather returned shape"):
                Team(rank, size, collect, count).summed(5, of_shard)
        found = Team(size - 1, size, collect, count).summed(5, of_shard)
        assert found.tobytes() == expected.tobytes()


def test_rows_are_shared_out_once():
    for n in (1, 63, 64, 1000):
        team = Team()
        rows = [row for shard in range(team.count) for row in range(*team.rows(n, shard))]
        assert rows == list(range(n))


def test_what_lies_in_memory_as_kernels_read_it_is_not_copied(rng, monkeypatch):
    from fastbp.data.base import ArrayRows

    X, Y = rng.normal(size=(300, 3)).astype("float32"), rng.normal(size=(300, 1)).astype("float32")
    labels = (Y > 0).astype("float32")
    net, classes = Network((3, 4, 1), seed=0), Network((3, 4, 2), cost="cross_entropy", seed=0)
    expected, read = net.cost(X, Y), ArrayRows.read
    copied = []
    monkeypatch.setattr(ArrayRows, "read", lambda self, *rows: (copied.append(self.name), read(self, *rows))[1])

    def cost(network, *given, weights=None):
        copied.clear()
        found = Streamed(network._architecture, source(*given, weights), team=Team(count=4))
        return objective.cost_and_gradient(network, found, np.empty(0, "float32")), set(copied)

    for given, names in [((X, Y), set()), ((data.rows([X[:75], X[75:225], X[225:]]), Y), set()),
                         ((X.astype("float64"), Y), {"X"}), ((np.asfortranarray(X), Y), {"X"}),
                         ((data.rows([X[:90], X[90:]]), Y), {"the source[0]", "the source[1]"})]:
        found, read_names = cost(net, *given)
        assert abs(found - expected) < 1e-6 and read_names == names
    assert cost(net, X, Y)[0] == cost(net, X.astype("float64"), Y)[0] == cost(net, X, Y, weights=np.ones(300))[0]
    assert cost(classes, X, labels)[1] == {"Y"}  # class indices are copied, since compiled code goes where they say
    array = X.copy()
    view = fixed(array[10:])
    with pytest.raises(ValueError, match="resize"):
        array.resize((1, 3), refcheck=False)
    assert view.shape == (290, 3)


def test_teams_that_cannot_be():
    for settings in ({"count": 6}, {"rank": 2, "size": 2}, {"rank": -1}, {"size": 65}, {"rank": 0, "size": 0}):
        with pytest.raises(ValueError, match="Team: "):
            Team(**settings)


def train(team, X, Y, method):
    """Cost and gradient, then a fit, in one process of several."""
    net = Network((3, 6, 1), seed=2)
    samples = Streamed(net._architecture, source(X, Y, None), 9000, team=team)
    gradient = np.empty(net.n_parameters, net.dtype)
    cost = objective.cost_and_gradient(net, samples, gradient)
    fit(net, X, Y, None, None, method, False, epochs=4, batch_size=None, callbacks=(), bar=False, shuffle=True,
        threads=1, profile=False, regularization=None, jacobian=(None, 1.0), metrics=None, memory=9000, team=team)
    return cost, gradient.tobytes(), net.parameters.tobytes(), net.history.cost.tobytes()


def work(connection, rank, size, X, Y, methods):
    def gather(mine):
        connection.send(mine)
        return connection.recv()

    try:
        found = [train(Team(rank, size, gather), X, Y, method) for method in methods]
    except Exception as error:
        found = repr(error)
    connection.send(found)


def shared(size, X, Y, methods):
    """What so many processes answer, whose sums go through this one."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(size)]
    workers = [context.Process(target=work, args=(pipes[rank][1], rank, size, X, Y, methods), daemon=True)
               for rank in range(size)]
    for worker in workers:
        worker.start()
    while True:
        sent = []
        for mine, _ in pipes:
            assert mine.poll(30), "a process has not answered"
            sent.append(mine.recv())
        if not isinstance(sent[0], np.ndarray):
            break
        for mine, _ in pipes:
            mine.send(np.concatenate(sent))
    for worker in workers:
        worker.join(30)
    return sent


@compiled_only
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_one_two_and_three_processes_take_the_same_steps(rng):
    X = rng.normal(size=(1001, 3)).astype("float32")
    Y, methods = np.sin(X[:, :1] * X[:, 1:2]), ["lbfgs", "levenbergmarquardt", "rprop"]
    expected = [train(Team(), X, Y, method) for method in methods]  # also compiles, before there are processes
    for size in (1, 2, 3):
        assert shared(size, X, Y, methods) == [expected] * size
    net = Network((3, 6, 1), seed=2)
    assert expected[0][0] == pytest.approx(net.cost(X, Y), rel=1e-6)
    X[-1] = np.nan  # which the last process meets
    first, last = shared(2, X, Y, methods)
    assert "X holds nan in row 1000" in last and "process 1 of 2 has failed, and says why; this one, 0" in first

"""What workers of a Dask cluster say to each other, and what they know of partitions; Dask itself is not needed."""

import secrets
import socket
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import compiled_only

import fastbp.dask
import fastbp.mpi
from fastbp import Network
from fastbp.core.shards import EndedWithOthers
from fastbp.dask import many, parts, wire

pytestmark = compiled_only


def connected(size, work, strangers=()):
    """Call work(wire) in a thread for each of some processes; return what they return or raise."""
    token, found = secrets.token_bytes(wire.TOKEN_BYTES), [None] * size
    address = wire.listen(token)
    for hello in strangers:
        with socket.create_connection(address, timeout=5) as one:
            one.sendall(hello)

    def run(rank):
        one = None
        try:
            one = wire.Wire(token, rank, size, address, 20)
            found[rank] = work(one)
        except Exception as error:
            found[rank] = error
        finally:
            if one is not None:
                one.close()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert token not in wire._open
    return found


def test_each_hears_all_in_the_order_of_ranks():
    def work(one):
        said = [one.talk(np.full(10 ** (5 * one.rank // 2), one.rank + 0.5)) for _ in range(3)]
        return [(each.size, float(each[0])) for each in said[-1]]

    expected = [(1, 0.5), (100, 1.5), (100000, 2.5)]
    assert connected(3, work, strangers=[b"GET / HTTP/1.0\r\n\r\n", b"x" * 40, b""]) == [expected] * 3
    assert connected(1, lambda one: [each.tolist() for each in one.talk(np.ones(2))]) == [[[1.0, 1.0]]]


@pytest.mark.parametrize("who", [0, 1, 2])
def test_one_that_goes_ends_the_others(who):
    def work(one):
        one.talk(np.ones(2))
        if one.rank != who:
            one.talk(np.ones(2))

    found = connected(3, work)
    assert found[who] is None
    for rank in {0, 1, 2} - {who}:
        assert isinstance(found[rank], EndedWithOthers) and "has lost the connection" in str(found[rank])


def test_a_fit_is_stopped_from_outside():
    def work(one):
        if one.rank:
            wire.stop(one.token)
        else:
            one.talk(np.ones(2))

    assert isinstance(connected(2, work)[0], EndedWithOthers)


def test_one_that_still_waits_for_others_is_stopped():
    token = secrets.token_bytes(wire.TOKEN_BYTES)
    address = wire.listen(token)
    wire._open[token][0].close()  # as `stop` does it, at any moment
    with pytest.raises(EndedWithOthers, match="process 0 of 2 was stopped while it connected"):
        wire.Wire(token, 0, 2, address, 20)
    assert token not in wire._open


def test_one_alone_is_stopped_too():
    def work(one):
        wire.stop(one.token)
        one.talk(np.ones(2))

    assert "it was stopped" in str(connected(1, work)[0])


def test_who_listens_after_the_end_is_closed():
    token = secrets.token_bytes(wire.TOKEN_BYTES)
    wire.stop(token)  # a Ctrl-C overtakes the call that asks the worker to listen
    with pytest.raises(EndedWithOthers, match="the fit was stopped"):
        wire.listen(token)
    assert token not in wire._open


def test_who_does_not_come_is_named():
    token = secrets.token_bytes(wire.TOKEN_BYTES)
    address = wire.listen(token)
    with pytest.raises(EndedWithOthers, match=r"processes \[1, 2\] of 3 have not come within 0.1 s"):
        wire.Wire(token, 0, 3, address, 0.1)
    wire.stop(token)
    with pytest.raises(ValueError, match="the cluster is encrypted"):
        wire.listen(token, SimpleNamespace(address="tls://127.0.0.1:8786"))
    with pytest.raises(EndedWithOthers, match="process 1 cannot reach process 0"):
        wire.Wire(token, 1, 3, address, 0.1)
    with pytest.raises(EndedWithOthers, match="started anew"):
        wire.Wire(token, 0, 3, address, 0.1)


def test_partitions_elsewhere_are_counted_and_not_read():
    own = {i: parts.make_part(i, None, np.full((n, 2), i), np.arange(n)) for i, n in enumerate((3, 0, 2))}
    known = [parts.describe(own[i]) for i in range(3)]
    X, y = parts.joined({2: own[2]}, known)
    assert X.shape == (5, 2) and y.shape == (5,) and np.array_equal(X.read(3, 5), [[2, 2], [2, 2]])
    with pytest.raises(RuntimeError, match="rows 0 to 1 of y lie in another process"):
        y.read(0, 1)
    with pytest.raises(ValueError, match="partition 4 of y has 2 rows, but that of X has 3"):
        parts.make_part(4, None, np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(TypeError, match="partition 4 of X has dtype"):
        parts.make_part(4, None, np.array([["a"]]), np.zeros(1))


def test_tasks_last_two_seconds_and_become_small_at_the_end():
    size = many._size
    assert [size(1e-4, share) for share in (5000, 100, 3)] == [4992, 64, 64]  # full stacks, many in each
    assert [size(0.013, share) for share in (500, 100, 3)] == [144, 96, 16]  # full stacks
    assert [size(0.1, share) for share in (500, 10, 0.2)] == [20, 10, 1] and size(5.0, 500) == 1
    assert size(0.0, 128.0) == 128


def test_networks_of_a_task_have_the_bits_of_their_own_fits():
    X = np.random.default_rng(0).normal(size=(40, 2))
    nets = [Network((2, 3, 1), seed=i) for i in range(3)]
    each = {"epochs": [1, 2, 3], "batch_size": [None] * 3, "optimizer": ["sgd"] * 3, "shuffle": [True] * 3,
            "regularization": [None] * 3, "rows": [None, [50], range(9)], "validation_rows": [None] * 3,
            "sample_weight": [None] * 3, "X": X, "Y": X[:, :1]}
    trained, errors, seconds = many._train(nets, first=7, callbacks=lambda index: [seen(index)], metrics=None,
                                           missing=None, resume=False, memory=None, each=each)
    assert [len(net.history) for net in trained] == [1, 0, 3] and seconds > 0
    assert errors[0] is errors[2] is None and errors[1].__notes__ == ["This concerns networks[8]."]
    other = Network((2, 3, 1), seed=9)
    parts.take_over(other, trained[2])
    alone = Network((2, 3, 1), seed=2).fit(X[:9], X[:9, :1], epochs=3, optimizer="sgd")
    assert other.parameters.tobytes() == alone.parameters.tobytes() and len(other.history) == 3
    assert SEEN == [7, 9, 9, 9]


SEEN = []


def seen(index):
    return lambda record: SEEN.append(index)


def test_a_missing_library_is_named(monkeypatch):
    net = Network((1, 1), seed=0)
    for name in ("dask", "distributed", "mpi4py", "mpi4py.MPI"):
        monkeypatch.setitem(sys.modules, name, None)
    for call, extra in [(lambda: fastbp.dask.fit(net, 1, 1), "dask"), (lambda: fastbp.dask.predict(net, 1), "dask"),
                        (lambda: fastbp.dask.fit_many([net], 1, 1), "dask"),
                        (lambda: fastbp.mpi.fit(net, 1, 1), "mpi")]:
        with pytest.raises(ImportError, match=rf"pip install fastbp\[{extra}\]"):
            call()

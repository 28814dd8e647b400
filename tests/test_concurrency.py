"""Threads of the user's own, and forks."""

import os
import sys
import threading

import numpy as np
import pytest
from helpers import few, real_data

from fastbp import Network, team
from fastbp.kernels import codes


def data(n=None):
    n = n or few(2000, 40)
    return real_data(np.random.default_rng(0), "squared_error", None, n, 3, 2, "float32")


@pytest.mark.parametrize("threads", [1, 2])
def test_two_threads_fit_two_networks(threads):
    X, Y = data()
    alone = [Network((3, 8, 2), seed=s).fit(X, Y, epochs=5, threads=1).parameters for s in range(3)]
    nets = [Network((3, 8, 2), seed=s) for s in range(3)]
    workers = [threading.Thread(target=net.fit, args=(X, Y), kwargs=dict(epochs=5, threads=threads)) for net in nets]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((net.parameters == expected).all() for net, expected in zip(nets, alone, strict=True))


def test_two_threads_that_fit_the_same_network():
    X, Y = data(40)
    net = Network((3, 8, 2), seed=1)
    inside, done = threading.Event(), threading.Event()

    def wait(record):
        inside.set()
        done.wait(30)

    worker = threading.Thread(target=net.fit, args=(X, Y), kwargs=dict(epochs=2, callbacks=[wait]))
    worker.start()
    assert inside.wait(60)
    before = net.parameters.copy()
    for attempt in (lambda: net.fit(X, Y), lambda: net.reset(0)):
        with pytest.raises(RuntimeError, match="being fitted already .by another thread"):
            attempt()
    assert (net.parameters == before).all()
    done.set()
    worker.join()
    assert (net.parameters == Network((3, 8, 2), seed=1).fit(X, Y, epochs=2).parameters).all()
    net.fit(X, Y, epochs=1)


def test_a_callback_cannot_fit_its_own_network():
    X, Y = data(40)
    net = Network((3, 2))
    for attempt in (lambda record: record.network.fit(X, Y), lambda record: record.network.reset()):
        with pytest.raises(RuntimeError, match="already .by another thread, or by the fit that called this"):
            net.fit(X, Y, callbacks=[attempt])
    net.fit(X, Y, epochs=1)


def test_threads_predict_with_one_network():
    X, _ = data(few(3000, 30))
    net = Network((3, 16, 2), seed=0)
    expected, row = net.predict(X), net.predict(X[0])
    wrong = []

    def work():
        for _ in range(few(50, 2)):
            if (net.predict(X) != expected).any() or (net.predict(X[0]) != row).any():
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_forked_after_a_fit_can_fit(threads, run_python):
    script = f"""
import os, sys
import numpy as np
from fastbp import Network
rng = np.random.default_rng(0)
X, Y = rng.normal(size=({few(1000, 40)}, 3)), rng.normal(size=({few(1000, 40)}, 2))
def fit(seed):
    return Network((3, 8, 2), seed=seed).fit(X, Y, epochs=3, threads={threads}).parameters.sum()
fit(0)
expected = fit(1)
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(0 if fit(1) == expected else 1)
    children.append(child)
assert fit(1) == expected
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done")
"""
    assert "done" in run_python(script, timeout=100)


def test_no_thread_outlives_a_fit():
    X, Y = data(40)
    before = threading.active_count()
    Network((3, 8, 2)).fit(X, Y, epochs=2, threads=3)
    assert threading.active_count() == before


def test_a_failing_member_ends_the_team():
    """Whichever thread fails, the others leave the barrier, and the failure is raised in the caller."""
    for culprit in range(3):
        left = []

        def work(thread, barrier, culprit=culprit, left=left):
            if thread == culprit:
                raise KeyError("mine")
            while not barrier[codes.ABANDONED]:
                pass
            left.append(thread)

        with pytest.raises(KeyError, match="mine"):
            team.run(3, work)
        assert sorted(left) == sorted({0, 1, 2} - {culprit})


@pytest.mark.parametrize(("threads", "batch_work", "pass_work", "strips", "expected"), [
    (1, 10**9, 10**9, 100, {1}),
    (5, 1, 1, 1, {5}),
    (None, 1, 10**9, 100, {1}),
    (None, 10**9, 1, 100, {1}),
    (None, 10**9, 10**12, 1, {1}),
    (None, 10**9, 10**12, 100, {min(team.processors(), 100)}),
])
def test_size_of_a_team(threads, batch_work, pass_work, strips, expected):
    assert team.size(threads, batch_work, pass_work, strips) in expected


def test_processors():
    assert 1 <= team.processors() <= (os.cpu_count() or sys.maxsize)

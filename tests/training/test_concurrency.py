"""Threads of the user's own, and forks."""

import os
import sys
import threading

import numpy as np
import pytest
from helpers import few, real_data

from fastbp import Network
from fastbp.core import thread_team
from fastbp.kernels import tables
from fastbp.kernels.compile import JIT, guard
from fastbp.util import machine


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


@pytest.mark.parametrize(("first", "meanwhile"), [("adam", "sgd"), ("amsgrad", "lbfgs"), ("lbfgs", None)])
def test_a_fit_that_resumes_sees_that_another_one_came_between(first, meanwhile, run_python):
    """Arguments are looked at before the network is locked; what resumes would write behind another method's state."""
    assert run_python(f"""
import numpy as np
import fastbp
X = np.random.default_rng(0).normal(size=(40, 30))
net = fastbp.Network((30, 200, 2), seed=0).fit(X, X[:, :2], optimizer={first!r}, epochs=2)

class Slow:
    def __array__(self, *arguments, **more):  # as a thread would, while the numbers are converted
        net.reset(1)
        if {meanwhile!r}:
            net.fit(X, X[:, :2], optimizer={meanwhile!r}, epochs=3)
        self.left = net.parameters.copy(), net.history
        return X

slow = Slow()
try:
    net.fit(slow, X[:, :2], epochs=20, resume=True)
except RuntimeError as error:
    assert (net.parameters == slow.left[0]).all() and net.history is slow.left[1]
    print(error)
""").startswith("this network has been fitted or reset while its arguments were looked at")


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


MANY_FIRST_FITS = """
import os, sys, threading, types
import numba
import numpy as np
from fastbp import Network
class Watched(types.ModuleType):
    def __setattr__(self, name, value):
        assert name != "CACHE_DIR", "one thread writes what others read meanwhile"
        super().__setattr__(name, value)
numba.config.__class__ = Watched
sys.setswitchinterval(1e-5)
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 3)), rng.uniform(size=(12, 2))
kinds = [("tanh", "squared_error", "adam"), ("relu", "absolute_error", "sgd"), ("elu", "poisson", "rprop"),
         ("gelu", "binary_cross_entropy", "lbfgs"), ("softplus", "huber", "adagrad"), ("silu", "log_cosh", "nadam"),
         ("logistic", "quantile", "rmsprop"), ("softsign", "squared_error", "conjugategradient")]
def fit(kind, seed=0):
    activation, cost, optimizer = kind
    return Network((3, 4, 2), activation, cost=cost, seed=seed).fit(X, Y, epochs=2, optimizer=optimizer).parameters
found, start = {}, threading.Barrier(len(kinds))
def work(kind):
    start.wait()
    found[kind] = fit(kind)
threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert all((found[kind] == fit(kind)).all() for kind in kinds)
print(os.listdir())
"""


def test_first_fits_in_many_threads(run_python, tmp_path, monkeypatch):
    """Each needs kernels that no other has compiled: nothing is written but to the folder of machine code."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), str(tmp_path / "home"))
    environment = {"NUMBA_CACHE_DIR": None, **homes}
    assert run_python(MANY_FIRST_FITS, timeout=400, environment=environment) == "[]\n"
    assert os.listdir() == []
    if JIT:
        (folder,) = (path for path in (tmp_path / "home").glob("**/fastbp/*") if path.name != guard.NAME)
        assert {path.parent for path in (tmp_path / "home").rglob("*.nb*")} == {folder}
        before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        run_python(MANY_FIRST_FITS, timeout=400, environment=environment)
        assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_forked_while_a_thread_compiles_can_compile(run_python, tmp_path):
    """The child has no such thread: what it was compiling would stay locked, half done, and without a collector."""
    script = """
import gc, os, signal, threading, warnings
import numpy as np
from fastbp import Network
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12 on
X, Y = np.ones((8, 3)), np.ones((8, 2))
def fit(activation):
    return Network((3, 4, 2), activation, seed=0).fit(X, Y, epochs=1)
def work():
    for activation in ("tanh", "relu", "elu", "gelu"):
        fit(activation)
worker = threading.Thread(target=work)
worker.start()
children = []
while worker.is_alive() and len(children) < 6:
    worker.join(0.3)
    child = os.fork()
    if child == 0:
        signal.alarm(100)  # ends it where it hangs
        fit("softsign")
        os._exit(0 if gc.isenabled() else 1)
    children.append(child)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
worker.join()
print("done", len(children))
"""
    assert "done" in run_python(script, timeout=300, environment={"NUMBA_CACHE_DIR": str(tmp_path)})


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
            while not barrier[tables.BARRIER_ABANDONED]:
                pass
            left.append(thread)

        with pytest.raises(KeyError, match="mine"):
            thread_team.run(3, work)
        assert sorted(left) == sorted({0, 1, 2} - {culprit})


@pytest.mark.parametrize(("threads", "batch_work", "pass_work", "strips", "expected"), [
    (1, 10**9, 10**9, 100, {1}),
    (5, 1, 1, 1, {5}),
    (None, 1, 10**9, 100, {1}),
    (None, 10**9, 1, 100, {1}),
    (None, 10**9, 10**12, 1, {1}),
    (None, 10**9, 10**12, 100, {min(machine.processors(), 100)}),
])
def test_size_of_a_team(threads, batch_work, pass_work, strips, expected):
    assert thread_team.size(threads, batch_work, pass_work, lambda: strips) in expected


def test_processors():
    assert 1 <= machine.processors() <= (os.cpu_count() or sys.maxsize)

"""Processes that come to a cold cache together: each kernel is compiled once, and nobody waits for ever."""

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from helpers import compiled_only

import fastbp
from fastbp.kernels.compile import guard
from fastbp.kernels.compile.guard import Guard
from fastbp.kernels.compile.interrupts import Held

pytest.importorskip("fcntl")


class Elsewhere:
    """Another process, which has the lock of an entry until told to give it back, and lives until it is killed."""

    def __init__(self, folder, name):
        (started, begun), (told, self._tell), (self._heard, gone) = os.pipe(), os.pipe(), os.pipe()
        self._child = os.fork()
        if self._child == 0:
            own = Guard(folder)
            own.take(name, lambda: False)
            os.write(begun, b"x")
            os.read(told, 1)
            own.give_back(name)
            os.write(gone, b"x")
            signal.pause()
        os.read(started, 1)

    def give_back(self):
        os.write(self._tell, b"x")
        os.read(self._heard, 1)

    def kill(self):
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)


@compiled_only
def test_one_has_the_lock_and_others_wait(tmp_path, monkeypatch):
    waits, own, other = [], Guard(str(tmp_path)), Elsewhere(str(tmp_path), "a")
    sleep = SimpleNamespace(sleep=waits.append, monotonic=lambda: sum(waits))  # a clock that goes on as one waits
    monkeypatch.setattr(guard, "time", sleep)
    own.take("b", lambda: False)
    assert not waits  # another entry
    own.take("a", lambda: len(waits) == 3)
    assert len(waits) == 3  # which is there by now
    monkeypatch.setattr(sleep, "sleep", lambda seconds: waits.append(seconds) or len(waits) < 6 or other.give_back())
    own.take("a", lambda: False)
    assert len(waits) == 6 and sum(waits) < guard.WAIT_SECONDS
    other.kill()

    other = Elsewhere(str(tmp_path), "c")
    monkeypatch.setattr(sleep, "sleep", waits.append)
    begun = sum(waits)
    own.take("c", lambda: False)
    assert sum(waits) - begun >= guard.WAIT_SECONDS  # and gives up
    waits.clear()
    monkeypatch.setattr(sleep, "sleep", lambda seconds: waits.append(seconds) or signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), Held():
        with Held():
            own.take("c", lambda: False)
        assert len(waits) == 1  # Ctrl-C ends the wait, though it is answered later
        monkeypatch.setattr(sleep, "sleep", waits.append)
        own.take("c", lambda: False)
        assert len(waits) == 2  # and the wait for the next entry
    signal.signal(signal.SIGINT, before)
    other.kill()  # a lock ends with its process
    own.take("c", lambda: False)
    assert len(waits) == 2


@compiled_only
def test_where_there_are_no_locks_nobody_waits(tmp_path, monkeypatch):
    Guard(str(tmp_path / "missing")).take("a", lambda: False)
    monkeypatch.setattr(guard, "fcntl", None)
    Guard(str(tmp_path)).take("a", lambda: False)
    Guard(str(tmp_path)).give_back("a")


COLD = """
from fastbp.kernels.compile import cache, address
from fastbp.kernels.updates import rules
import numpy as np, time
made, save = [], cache.Entries.save_overload
def counted(self, sig, data):
    made.append(self.name)
    save(self, sig, data)
cache.Entries.save_overload = counted
address(rules.sgd, np.dtype("float32"))
print(len(made))
"""


@compiled_only
def test_each_kernel_is_compiled_by_one_of_two_processes(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    workers = [subprocess.Popen([sys.executable, "-c", COLD], env=environment, stdout=subprocess.PIPE, text=True)
               for _ in range(2)]
    assert sum(int(worker.communicate()[0]) for worker in workers) == 1
    assert not any(worker.returncode for worker in workers)
    lock, folder = sorted((tmp_path / "fastbp").iterdir())
    assert lock.name == guard.NAME and len(list(folder.iterdir())) == 1


@compiled_only
def test_warm_up_leaves_a_network_as_it_is():
    net = fastbp.Network((3, 5, 2), cost="cross_entropy", seed=0)
    before, state, running = net.parameters.copy(), net.generator.bit_generator.state, threading.active_count()
    assert fastbp.warm_up(net, optimizer="sgd", batch_size=8, threads=1) > 0
    assert (net.parameters == before).all() and net.generator.bit_generator.state == state and not len(net.history)
    assert threading.active_count() <= running
    assert fastbp.warm_up({"layers": (2, 3, 1), "dtype": "float32"}, optimizer="lbfgs") > 0
    for wrong, message in (({"network": 3}, "expected a Network"), ({"network": net, "epochs": 3}, "no argument 'ep"),
                           ({"network": net, "optimizer": "oops"}, "oops"), ({"network": net, "rows": 0}, "rows is 0")):
        with pytest.raises((TypeError, ValueError), match=message):
            fastbp.warm_up(**wrong)

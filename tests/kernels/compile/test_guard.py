"""Processes that come to a cold cache together: each kernel is compiled once, and nobody waits for ever."""

import os
import subprocess
import sys
import threading
import time

import pytest
from helpers import compiled_only

import fastbp
from fastbp.kernels.compile import guard
from fastbp.kernels.compile.guard import Guard

pytest.importorskip("fcntl")


def held_elsewhere(folder, name, seconds):
    """Another process takes a lock, says so, and gives it back after some time."""
    started, begun = os.pipe()
    child = os.fork()
    if child == 0:
        own = Guard(folder)
        own.take(name, lambda: False)
        os.write(begun, b"x")
        time.sleep(seconds)
        own.give_back(name)
        time.sleep(seconds)
        os._exit(0)
    os.read(started, 1)
    return child


@compiled_only
def test_one_has_the_lock_and_others_wait(tmp_path, monkeypatch):
    child, own, start = held_elsewhere(str(tmp_path), "a", 0.3), Guard(str(tmp_path)), time.monotonic()
    own.take("b", lambda: False)  # another entry
    assert time.monotonic() - start < 0.2
    own.take("a", lambda: True)  # which is there by now
    assert time.monotonic() - start < 0.25
    own.take("a", lambda: False)
    assert 0.2 < time.monotonic() - start < 10
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.05)
    os.waitpid(child, 0)
    child = held_elsewhere(str(tmp_path), "c", 0.3)
    Guard(str(tmp_path)).take("c", lambda: False)  # and gives up
    os.kill(child, 9)  # a lock ends with its process
    os.waitpid(child, 0)
    monkeypatch.setattr(guard, "WAIT_SECONDS", 30.0)
    start = time.monotonic()
    own.take("c", lambda: False)
    assert time.monotonic() - start < 10


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
    (folder,) = (tmp_path / "fastbp").iterdir()
    assert len(list(folder.glob("*.nbc"))) == 1 and (folder / ".lock").exists()


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

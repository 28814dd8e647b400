"""Processes that come to a cold cache together: each kernel is compiled once, and nobody waits for ever."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import compiled_only

import fastbp
from fastbp.kernels.compile import guard
from fastbp.kernels.compile.guard import Guard
from fastbp.kernels.compile.interrupts import Held

pytest.importorskip("fcntl")


class Windows:
    """What `msvcrt.locking` does, to Microsoft's page of _locking: bytes from where a file stands, by 31 bits.

    A region is refused while any handle has it, also that which asks; what is unlocked must have been locked.
    """

    LK_UNLCK, LK_NBLCK = 0, 2

    def __init__(self):
        self.regions = {}

    def locking(self, file, mode, count):
        place = os.lseek(file, 0, os.SEEK_CUR)
        assert count == 1 and place < 2**31
        if mode == self.LK_NBLCK and place not in self.regions:
            self.regions[place] = file
        elif mode == self.LK_UNLCK and self.regions.get(place) == file:
            del self.regions[place]
        else:
            raise PermissionError(13, "Permission denied")

    def end(self, process):
        """Let go of what a process has that dies."""
        self.regions = {place: file for place, file in self.regions.items() if file != process._file}


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
    monkeypatch.chdir(tmp_path)
    Guard("").take("a", lambda: False)  # a process that keeps no machine code
    Guard("").give_back("a")
    monkeypatch.setattr(guard, "fcntl", None)
    Guard(str(tmp_path)).take("a", lambda: False)
    Guard(str(tmp_path)).give_back("a")
    assert not os.listdir(tmp_path)


@compiled_only
def test_locks_of_windows(tmp_path, monkeypatch):
    """By a module that does what Windows' is said to do: each guard has a handle of its own, as a process has."""
    waits, system = [], Windows()
    own, other = Guard(str(tmp_path)), Guard(str(tmp_path))
    sleep = SimpleNamespace(sleep=waits.append, monotonic=lambda: sum(waits))
    for name, module in (("fcntl", None), ("msvcrt", system), ("time", sleep)):
        monkeypatch.setattr(guard, name, module)
    other.take("a", lambda: False)
    other.take("a", lambda: False)  # of its own: it was given back by nobody where a compilation has failed
    own.take("b", lambda: False)
    assert not waits and len(system.regions) == 2
    own.take("a", lambda: len(waits) == 3)
    assert len(waits) == 3  # which is there by now
    own.give_back("a")  # another's
    assert len(system.regions) == 2
    monkeypatch.setattr(sleep, "sleep", lambda seconds: waits.append(seconds) or len(waits) < 6 or other.give_back("a"))
    own.take("a", lambda: False)
    assert len(waits) == 6 and set(system.regions.values()) == {own._file}
    own.give_back("a")
    own.give_back("a")
    other.take("a", lambda: False)
    monkeypatch.setattr(sleep, "sleep", lambda seconds: waits.append(seconds) or signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), Held():
        own.take("a", lambda: False)
        assert len(waits) == 7  # Ctrl-C ends the wait, though it is answered later
    signal.signal(signal.SIGINT, before)
    monkeypatch.setattr(sleep, "sleep", waits.append)
    begun = sum(waits)
    own.take("a", lambda: False)
    assert sum(waits) - begun >= guard.WAIT_SECONDS  # and gives up
    count = len(waits)
    system.end(other)
    own.take("a", lambda: False)
    assert len(waits) == count and set(system.regions.values()) == {own._file}


@compiled_only
@pytest.mark.parametrize("reused", [False, True])
def test_a_daemon_that_has_closed_all_files_opens_its_own(reused, tmp_path, monkeypatch):
    """What has the number by now is another's: it is neither locked nor closed."""
    own = Guard(str(tmp_path))
    own.take("a", lambda: False)
    number = own._file
    os.close(number)
    if reused:
        theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        assert theirs == number
    monkeypatch.setattr(guard, "time", SimpleNamespace(sleep=pytest.fail, monotonic=lambda: 0.0))
    own.give_back("a")
    own.take("a", lambda: False)
    assert own._is_open() and os.stat(own.path).st_ino == os.fstat(own._file).st_ino
    if reused:
        locks = Path("/proc/locks").read_text() if os.path.exists("/proc/locks") else ""
        assert own._file != number and f":{os.fstat(theirs).st_ino} " not in locks
        os.close(theirs)


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

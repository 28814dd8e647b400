"""Python threads over kernels that release the interpreter lock."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from ..kernels.compile import address
from ..kernels.compile.interrupts import Held
from ..kernels.layout import Task
from ..kernels.passes.barrier import stand
from ..kernels.tables import BARRIER_ABANDONED, BARRIER_COUNT, BARRIER_STAND, BARRIER_YIELD
from ..util import machine


def size(threads: int | None, batch_work: int, pass_work: int, strips: Callable[[], int]) -> int:
    """Return the number of threads for a pass: as many as its work pays for.

    Parameters
    ----------
    threads
        How many there may be at most, as the user said; None for as many as there are processors.
    batch_work, pass_work
        Multiply-adds of a mini-batch, and of all that is done in one call.
    strips
        Returns the number of vectors of samples in a block: more threads than these have nothing to do in phase 1.
    """
    if batch_work < machine.STEP_WORK or pass_work < machine.PASS_WORK:
        return 1
    most = machine.processors() if threads is None else threads
    return max(1, min(most, strips(), batch_work * 2 // machine.STEP_WORK))


def chunks(samples: int, block: int, work: int, most: int = 2**62) -> Iterable[slice]:
    """Return the rows for each call of a kernel that takes them block by block: whole blocks, for about CHUNK_SECONDS.

    Parameters
    ----------
    samples
        Rows in all.
    block
        Rows in a block.
    work
        Multiply-adds a row.
    most
        Rows in a call, unless a block has more.
    """
    return (slice(0, samples),) if 0 < samples <= block else _chunks(samples, block, work, max(1, most // block))


def _chunks(samples: int, block: int, work: int, most: int) -> Iterator[slice]:
    begin, blocks = 0, max(1, min(machine.CHUNK_WORK // (work * block), most))
    while begin < samples:
        start, end = time.perf_counter(), min(begin + blocks * block, samples)
        yield slice(begin, end)
        seconds = max(time.perf_counter() - start, 1e-9)
        begin, blocks = end, max(1, min(int(blocks * machine.CHUNK_SECONDS / seconds), 8 * blocks, most))


class Pieces:
    """Phase 1 of a block in several calls of the kernel, where Ctrl-C would wait too long; phase 2 follows in the last.

    Nothing is changed before phase 2, so a fit that is interrupted in between has taken whole steps only.
    """

    def __init__(self, work: int, threads: int) -> None:
        """Split phase 1 of a block of so many multiply-adds, of which it does two thirds."""
        self.count, self.now = -(-2 * work // (3 * machine.PIECE_WORK * threads)) or 1, 0

    def of(self, task: Task) -> Task:
        """Return the task of the next call."""
        return task._replace(pieces=self.count, piece=self.now, blocks=1) if self.count > 1 else task

    def called(self) -> bool:
        """Note that it has been made; return whether the block has come to its end."""
        self.now = (self.now + 1) % self.count
        return self.now == 0


TRIED_AFTER = 0.1
"""Seconds of fits of a kind after which it is asked whether a team is worth it: two calls and what they begin with."""


class Tuner:
    """Chooses between a thread team and one thread alone, by how long a block has taken each of them lately.

    Where another process keeps a processor busy, the rest of a team waits for the one that shares it: 64-100-10 took
    2.1 times as long with two threads as with one (``python -m bench.busy_core``); and where a machine runs the two on
    cores without a common L3 cache, 4-120-84-2 in batches of 32 takes 2.1 times as long. Once fits have taken
    TRIED_AFTER, what is slower is tried again in calls 4, 8, 16, 32 ..., a team in every eighth, since what disturbed
    it may have passed, on an eighth of a call's blocks; never where a call has fewer than eight: tried from the second
    call on, short fits and large networks lost up to half of their speed. So the next fit of the same kind goes on with
    what the last one has learned (`Workspaces.tuners`).
    """

    def __init__(self, threads: int) -> None:
        self.threads, self.calls, self.seconds, self.trying = threads, 0, 0.0, False
        self.due = self.slower = False
        self.block_seconds: dict[int, float] = {}

    def choose(self, blocks: int) -> int:
        """Return the number of threads for the next call, of so many blocks."""
        if self.threads == 1:
            return 1
        self.calls += 1
        if not self.block_seconds:
            return self.threads
        better = min(self.block_seconds, key=lambda threads: self.block_seconds[threads])
        self.due |= self.calls % (8 if better == 1 else 64) == 0 or self.calls & (self.calls - 1) == 0
        whole = blocks >= 8 and blocks * self.block_seconds[better] > machine.CHUNK_SECONDS / 2
        self.trying = self.due and whole and self.seconds > TRIED_AFTER
        if not self.trying:
            return better
        self.due = False
        return 1 if better == self.threads else self.threads

    def took(self, threads: int, blocks: int, seconds: float) -> None:
        """Learn how long a call was."""
        if self.threads == 1:
            return
        self.seconds += seconds
        spent = seconds / blocks
        last = self.block_seconds.get(threads, spent)
        some = machine.CHUNK_SECONDS / 8
        if self.trying or blocks * last >= some:
            self.slower = False
        else:  # the first of a fit, where starting threads counts; two that are long in turn are slower by now
            before, self.slower = self.slower, seconds >= some
            if not (before and self.slower):
                return
        # less than was known is believed at once: more may be what was compiled, or a thread that began late
        self.block_seconds[threads] = min(spent, 0.5 * (last + spent))


ALONE: npt.NDArray[np.int64] = np.zeros(BARRIER_COUNT, np.int64)
"""The barrier of a thread that waits for no other: nothing reads or writes it."""


@functools.cache
def yield_address() -> int:
    """Return the address of the operating system's function that lets another thread run."""
    library = ctypes.windll.kernel32 if sys.platform == "win32" else ctypes.CDLL(None)  # type: ignore[attr-defined,unused-ignore]
    function = library.SwitchToThread if sys.platform == "win32" else library.sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def stand_address() -> int:
    """Return the address of the kernel by which threads wait, which knows no numbers of a network."""
    return address(stand, np.dtype("f"))


def run(threads: int, work: Callable[[int, npt.NDArray[np.int64]], None]) -> None:
    """Call ``work(thread, barrier)`` for every thread of a team, this one as number 0, and wait for all.

    No thread outlives the call, so a process may fork afterwards. If anything is raised in one of them, the barrier
    tells the others to give up, and it is raised here.
    """
    if threads == 1:
        work(0, ALONE)
        return
    barrier = np.zeros(BARRIER_COUNT, np.int64)
    barrier[BARRIER_YIELD], barrier[BARRIER_STAND] = yield_address(), stand_address()
    failures: list[BaseException] = []

    def help_out(thread: int) -> None:
        try:
            work(thread, barrier)
        except BaseException as failure:
            barrier[BARRIER_ABANDONED] = 1
            failures.append(failure)

    helpers = [threading.Thread(target=help_out, args=(i,), daemon=True) for i in range(1, threads)]
    with Held() as hold:  # Ctrl-C while one starts or is waited for would leave it at work
        try:
            for helper in helpers:
                helper.start()
            with hold.open():
                work(0, barrier)
        except BaseException:
            barrier[BARRIER_ABANDONED] = 1
            raise
        finally:
            for helper in helpers:
                if helper.ident is not None:
                    helper.join()
    if failures:
        raise failures[0]

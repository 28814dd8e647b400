"""A thread that reads ahead: it fills a buffer while what another one holds is used."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from ..kernels.compile.interrupts import Held

J = TypeVar("J")
B = TypeVar("B")
F = TypeVar("F")
T = TypeVar("T")

LOOK_SECONDS = 0.2
"""How long to wait before looking whether the thread lives: also for Ctrl-C, where a wait with no end sees none."""

END_SECONDS = 5.0
"""How long the end of a fit waits for a read that does not come back."""


class Stopped(Exception):
    """Nobody waits for what is read."""


class Reader(Generic[J, B, F]):
    """Fills buffers for jobs in their order, in a thread of its own, from `start` to `close`.

    Both are to be called while Ctrl-C waits, or the thread might be left at work.

    Parameters
    ----------
    jobs : iterable
        Asked for in the thread.
    fill : callable
        Called with a buffer, a job, and a function that raises `Stopped` once nobody waits any more; returns what
        `next` is to return.
    buffers : sequence
        Two to read ahead.
    """

    def __init__(self, jobs: Iterable[J], fill: Callable[[B, J, Callable[[], None]], F],
                 buffers: Sequence[B]) -> None:
        self._jobs, self._fill, self._held = jobs, fill, -1
        self._buffers = list(buffers)
        self._free: SimpleQueue[int] = SimpleQueue()
        self._full: SimpleQueue[tuple[int, tuple[J, F] | BaseException | None]] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fastbp reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        for i in range(len(self._buffers)):
            self._free.put(i)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after the read that it is in, if it has begun."""
        self._stopping.set()
        self._free.put(-1)
        if self._thread.ident is not None:
            self._thread.join(END_SECONDS)
        self._buffers.clear()
        if self._thread.is_alive():
            warnings.warn(f"a read has not come back for {END_SECONDS:g} s: its thread is left behind, and ends with "
                          "it", RuntimeWarning, stacklevel=2)

    def during(self, use: Callable[[], T]) -> T:
        """Call a function while the thread reads ahead, and return what it returns; the thread ends with it."""
        with Held() as hold:
            try:
                self.start()
                with hold.open():
                    return use()
            finally:
                self.close()

    def _check(self) -> None:
        if self._stopping.is_set():
            raise Stopped

    def _work(self) -> None:
        try:
            for job in self._jobs:
                number = self._free.get()
                self._check()
                self._full.put((number, (job, self._fill(self._buffers[number], job, self._check))))
            self._full.put((-1, None))
        except Stopped:
            pass
        except BaseException as error:
            self._full.put((-1, error))

    def next(self) -> tuple[J, F] | None:
        """Put the last buffer back, and return the next job with what its buffer holds; None behind the last.

        What was raised while it was read is raised here.
        """
        if self._held >= 0:
            self._free.put(self._held)
            self._held = -1
        while True:
            try:
                number, found = self._full.get(timeout=LOOK_SECONDS)
                break
            except Empty:
                if not self._thread.is_alive() and self._full.empty():
                    raise RuntimeError("the thread that reads has ended without a word") from None
        if isinstance(found, BaseException):
            raise found
        if found is None:
            self._full.put((-1, None))  # for who asks again
            return None
        self._held = number
        return found

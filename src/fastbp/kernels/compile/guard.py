"""A lock for each entry of machine code on disk: of processes that want the same, one compiles and the others wait."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable

from .interrupts import interrupted

try:
    import fcntl
except ImportError:  # Windows: each process compiles for itself
    fcntl = None  # type: ignore[assignment]

WAIT_SECONDS = 30.0
"""A process that waits so long compiles for itself: the one that has the lock may have been stopped."""

NAME = ".lock"
"""The file that all locks are on, each on a byte of its own, far behind its end: one file for all versions."""


class Guard:
    """The locks that this process takes; they are the process's, and end with it.

    Parameters
    ----------
    folder : str
        Where the folders of machine code lie.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME)
        self._file = -1
        """Never closed: to close any of a file ends all locks that a process has on it (POSIX)."""

    def _place(self, name: str) -> int:
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")

    def take(self, name: str, ready: Callable[[], bool]) -> None:
        """Take the lock of an entry, or wait until it is ``ready``, which another process sees to, or Ctrl-C comes.

        Where there are no locks (a folder that nothing can be written to, another system) it returns at once.
        """
        if fcntl is None:
            return
        try:
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            end, pause = time.monotonic() + WAIT_SECONDS, 0.002
            while time.monotonic() < end:
                try:
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._place(name))
                    return
                except (BlockingIOError, PermissionError):  # another process has it
                    time.sleep(pause)
                    pause = min(2 * pause, 0.05)
                if ready() or interrupted():
                    return
        except OSError:
            return

    def give_back(self, name: str) -> None:
        """Let others have the lock of an entry, if this process has it."""
        if fcntl is not None and self._file >= 0:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._place(name))

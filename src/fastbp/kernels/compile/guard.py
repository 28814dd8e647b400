"""A lock for each entry of machine code on disk: of processes that want the same, one compiles and the others wait."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from .interrupts import interrupted


def _module(name: str) -> Any:
    """Return a module of this system's, or None on another one."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, msvcrt = _module("fcntl"), _module("msvcrt")
"""Locks of POSIX, and of Windows; where there are neither, each process compiles for itself."""

WAIT_SECONDS = 30.0
"""A process that waits so long compiles for itself: the one that has the lock may have been stopped."""

NAME = ".lock"
"""The file that all locks are on, each on a byte of its own, far behind its end: one file for all versions."""


class Guard:
    """The locks that this process takes; they are the process's, and end with it.

    Parameters
    ----------
    folder : str
        Where the folders of machine code lie; empty where none is kept, and then there are no locks.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME) if folder else ""  # no file: the current directory is not ours
        self._file, self._opened = -1, (0, 0)
        """Never closed: to close any of a file ends all locks that a process has on it (POSIX)."""
        self._held: set[int] = set()
        """On Windows, where a lock is refused to the process that has it."""
        self._moving = threading.Lock()  # on Windows, where a lock is on the byte at which the file stands

    def _place(self, name: str) -> int:
        """Return the byte of an entry; Windows counts them by 31 bits."""
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") & 0x7FFFFFFF

    def _is_open(self) -> bool:
        """Whether the file is: a daemon closes all that its process had, and what it opens then has the same number."""
        try:
            found = os.fstat(self._file)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._opened

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        found = os.fstat(self._file)
        self._opened = found.st_dev, found.st_ino
        self._held.clear()

    def _lock(self, place: int) -> None:
        """Lock a byte; raises PermissionError or BlockingIOError where another process has."""
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            return
        with self._moving:
            if place not in self._held:
                os.lseek(self._file, place, os.SEEK_SET)
                msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
                self._held.add(place)

    def _unlock(self, place: int) -> None:
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
            return
        with self._moving:
            if place in self._held:
                self._held.remove(place)
                os.lseek(self._file, place, os.SEEK_SET)
                msvcrt.locking(self._file, msvcrt.LK_UNLCK, 1)

    def take(self, name: str, ready: Callable[[], bool]) -> None:
        """Take the lock of an entry, or wait until it is ``ready``, which another process sees to, or Ctrl-C comes.

        Where there are no locks (a folder that nothing can be written to, another system) it returns at once.
        """
        if fcntl is None and msvcrt is None:
            return
        try:
            if not self._is_open():
                self._open()
            end, pause = time.monotonic() + WAIT_SECONDS, 0.002
            while time.monotonic() < end:
                try:
                    self._lock(self._place(name))
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
        if (fcntl is not None or msvcrt is not None) and self._is_open():
            with contextlib.suppress(OSError):
                self._unlock(self._place(name))

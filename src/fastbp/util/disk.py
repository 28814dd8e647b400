"""Replacing a file as a whole: ``path`` holds the old or the new content, whenever the process dies."""

from __future__ import annotations

import errno
import math
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from . import machine

LEFT_BEHIND = re.compile(r"\.fastbp\.[0-9a-f]{16}")
"""Names of files that are being written."""

STALE = 3600.0
"""Seconds without a write after which such a file belongs to a save that was killed."""

_swept: dict[Path, float] = {}
"""When folders were last looked through for such files."""


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that ``path`` holds the old or the new content whole, whenever the process dies.

    The content goes to a temporary file in the same folder, is synced, and renamed. A symbolic link stays a link, and
    what it leads to is replaced; the mode of a file that is replaced is kept.
    """
    try:
        target = Path(os.path.realpath(path))
        mode = _mode(target)
        name = target.with_name(f".fastbp.{secrets.token_hex(8)}")
        try:
            with open(name, "xb") as file:  # not tempfile, which would hide the file from others
                made = os.stat(name)
                if mode not in (None, stat.S_IMODE(made.st_mode)):
                    os.chmod(name, mode)
                _sweep(target.parent, made.st_mtime)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        if os.name == "posix":  # the rename itself must reach the disk
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:  # the system names the temporary file, or none where a disk is full
        error.filename = os.fspath(path)
        del error.filename2
        raise


def read(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Return the content of an ordinary file, or its first bytes, ``most``; a device might have no end.

    Raises
    ------
    TypeError
        If it is no path.
    OSError
        If it cannot be read, or is no ordinary file.
    ValueError
        If the content does not fit into a quarter of the machine's memory.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is {path!r}, expected a str or a path")
    found = os.stat(path)  # before it is opened: that of a pipe waits for a writer
    if not stat.S_ISREG(found.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: it is no ordinary file", os.fspath(path))
    if most is None and found.st_size > (room := machine.physical_memory() // 4):
        raise ValueError(f"{os.fspath(path)} has {found.st_size} bytes, expected at most {room}, a quarter of the "
                         "machine's memory")
    with open(path, "rb") as file:
        return file.read(found.st_size if most is None else most)


def _mode(target: Path) -> int | None:
    """Return the mode of a file that will be replaced, None where there is none."""
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        code = errno.EISDIR if stat.S_ISDIR(found) else errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: it is no ordinary file, and cannot be replaced by one")
    return stat.S_IMODE(found)


def _sweep(folder: Path, now: float) -> None:
    """Remove what killed saves have left in a folder, by the clock of its file system: once an hour, since it is read.

    A younger file may belong to a save that is going on.
    """
    if now - _swept.get(folder, -math.inf) < STALE:
        return
    _swept[folder] = now
    with suppress(OSError), os.scandir(folder) as entries:  # some folders may be written to, not read
        for entry in entries:
            if LEFT_BEHIND.fullmatch(entry.name):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < now - STALE:
                        os.unlink(entry)

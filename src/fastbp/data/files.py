"""Rows in files that are read, not mapped: what is cut short meanwhile is then an error, and memory stays bounded."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import Joined, Rows, fill

Array = npt.NDArray[Any]
Mark = tuple[int, ...]
"""By what a file is known to be the one that it was."""


def mark(status: os.stat_result) -> Mark:
    """Return by what a file is known to be the one that it was: which it is, its size, when it was written."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class FileRows(Rows):
    """Rows of an array that lies in a file in C order.

    The file is opened for each read, so that none stays open, and must be the one that it was at first.
    """

    def __init__(self, path: str | os.PathLike[str], offset: int, shape: tuple[int, ...], dtype: np.dtype[Any],
                 name: str, *, written: bool = False) -> None:
        self.path, self.offset, self.shape, self.dtype, self.name = os.fspath(path), offset, shape, dtype, name
        self.written = written
        """Whether it may be written meanwhile."""
        status = os.stat(self.path)
        self.mark = mark(status)
        if offset + math.prod(shape) * dtype.itemsize > status.st_size:
            raise ValueError(f"{name} ends after {status.st_size} bytes, expected {offset} and {math.prod(shape)} "
                             f"numbers of {dtype}, {shape}: the file has been cut short")

    def read(self, start: int, stop: int) -> Array:
        """Return some rows."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._read(start, stop, out)
        return out

    def read_into(self, start: int, stop: int, out: Array) -> None:
        """Overwrite an array by some rows: at once where its numbers are of the same kind."""
        if out.dtype == self.dtype and out.flags.c_contiguous and out.shape[1:] == self.shape[1:]:
            self._read(start, stop, out)
        else:
            fill(out, self.read(start, stop), self.name, start)

    def announce(self, start: int, stop: int) -> None:
        """Have the system fetch these rows meanwhile, where it can be asked for that."""
        if hasattr(os, "posix_fadvise"):
            with open(self.path, "rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), self.offset + start * self.row_bytes, (stop - start) * self.row_bytes,
                                 os.POSIX_FADV_WILLNEED)

    def overlaps(self, out: Array) -> bool:
        """Return whether an array is a memory map of the file."""
        base: Any = out
        while isinstance(base, np.ndarray):
            name = base.filename if isinstance(base, np.memmap) else None
            if name is not None and os.path.exists(name) and os.path.samefile(name, self.path):
                return True
            base = base.base
        return False

    def _read(self, start: int, stop: int, out: Array) -> None:
        if not out.size:
            return
        with open(self.path, "rb", buffering=0) as file:
            now = mark(os.fstat(file.fileno()))
            if now[:2] != self.mark[:2] or not self.written and now != self.mark:
                raise ValueError(f"{self.name} has changed since it was opened ({self.mark[2]} bytes, now {now[2]}): "
                                 "leave files alone while they are read")
            file.seek(self.offset + start * self.row_bytes)
            view, done = out.data.cast("B"), 0
            while done < len(view):
                count = file.readinto(view[done:])
                if not count:
                    raise ValueError(f"{self.name} ends in the middle of rows {start} to {stop - 1}, after "
                                     f"{done // self.row_bytes} of them: it has been cut short")
                done += count


def mapped(source: np.memmap[Any, Any], name: str) -> FileRows | None:
    """Return the rows of a memory map, to be read from its file; None where they are not those that the map has."""
    if not (source.flags.c_contiguous and source.dtype.kind in "fiub" and source.mode in ("r", "r+", "w+")
            and source.size and source.filename is not None and source.ndim in (1, 2)):
        return None
    root: Any = source
    while isinstance(root, np.ndarray) and root.base is not None:
        root = root.base
    if not isinstance(root, mmap.mmap):
        return None
    # NumPy maps from a whole page before the offset, which all views of a map keep: that of the first is what counts
    begun = source.offset - source.offset % mmap.ALLOCATIONGRANULARITY
    inside = source.__array_interface__["data"][0] - np.frombuffer(root, np.uint8).__array_interface__["data"][0]
    try:
        found = FileRows(source.filename, begun + inside, source.shape, source.dtype, name, written=True)
        n = source.shape[0]
        alike = all(found.read(i, i + 1).tobytes() == source[i : i + 1].tobytes() for i in (0, n // 2, n - 1))
    except (OSError, ValueError):
        return None
    return found if alike else None


def header(path: Path) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """Return where the numbers of a .npy file begin, their shape and dtype; nothing of them is read."""
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, kind = reader(file)
            offset = file.tell()
    except ValueError as error:
        raise ValueError(f"{path} is no whole .npy file: {error}") from error
    if kind.kind not in "fiub":
        raise TypeError(f"{path} has dtype {kind}, expected numbers (float, integer or bool)")
    if by_columns and len(shape) == 2 and min(shape) > 1:
        raise ValueError(f"{path} is in Fortran order, so that no row lies together: write it anew by "
                         "numpy.save(path, numpy.ascontiguousarray(array))")
    if not 1 <= len(shape) <= 2 or min(shape) < 0:
        raise ValueError(f"{path} has shape {shape}, expected (n,) or (n, m)")
    return offset, shape, kind


def npy(path: str | os.PathLike[str]) -> Rows:
    """Return the rows of a .npy file, or of all in a directory, in the order of their names.

    Parameters
    ----------
    path : str or path
        A file, or a directory with files ``*.npy``, of (n,) or (n, m) each and with as many columns.

    Returns
    -------
    Rows
        One file's rows behind the other's.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError, TypeError
        If there is no such file, one is not whole, in Fortran order, not of numbers, or has other columns.

    Notes
    -----
    Files are sorted by their names as text: part-2.npy comes behind part-10.npy, part-02.npy before it.

    Examples
    --------
    >>> import numpy as np, fastbp, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         np.save(f"{folder}/part-{i}.npy", np.full((10, 2), i))
    ...     fastbp.data.npy(folder).shape
    (30, 2)
    """
    place = Path(path)
    files = sorted(place.glob("*.npy")) if place.is_dir() else [place]
    if not files:
        raise ValueError(f"{place} has no files *.npy")
    parts: list[Rows] = []
    for file in files:
        offset, shape, kind = header(file)
        parts.append(FileRows(file, offset, shape, kind, str(file)))
    return parts[0] if len(parts) == 1 else Joined(parts, str(place))

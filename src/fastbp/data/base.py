"""Rows of numbers that are read a stretch at a time, wherever they lie."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PART_BYTES = 2**22
"""Bytes that are read at a time where all rows are read in one pass."""


class Rows:
    """Rows of numbers that are read a stretch at a time: what `rows`, `npy` and `parquet` return.

    Attributes
    ----------
    shape : tuple of int
        (n,) or (n, m).
    dtype : numpy.dtype
        Of the numbers where they lie.
    name : str
        What errors call it.
    units : int or ndarray of int64
        Rows that can only be read together, chunks of a compressed file for instance: as many as this, or from each of
        these numbers to the next. 1 where any rows can be read alone.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> fastbp.data.rows(np.zeros((100, 3), "float32"))
    <ArrayRows of the source: (100, 3) float32>
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str
    units: int | npt.NDArray[np.int64] = 1

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name}: {self.shape} {self.dtype}>"

    @property
    def ndim(self) -> int:
        """1 or 2."""
        return len(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row where it lies."""
        return self.dtype.itemsize * (self.shape[1] if len(self.shape) == 2 else 1)

    def read(self, start: int, stop: int) -> Array:
        """Return the rows from ``start`` to before ``stop``, (stop - start,) or (stop - start, m)."""
        raise NotImplementedError

    def announce(self, start: int, stop: int) -> None:
        """Take note that these rows are read next: a disk may begin to fetch them."""

    def read_into(self, start: int, stop: int, out: Array) -> None:
        """Overwrite ``out``, (stop - start, m) of any dtype, by rows; with one column, of either shape."""
        fill(out, self.read(start, stop), self.name, start)

    def lying(self, start: int, stop: int, kind: np.dtype[Any]) -> Array | None:
        """Return rows where they lie in memory, if that is as numbers of this dtype and in C order; else None."""
        return None

    def overlaps(self, out: Array) -> bool:
        """Return whether what is written to an array may change rows that are yet to be read."""
        return False

    def forget(self) -> None:
        """Let go of what is kept of the last read."""


def fill(out: Array, found: Any, name: str, start: int) -> None:
    """Overwrite an array by what was read for it, if it is as many numbers."""
    if isinstance(found, np.ma.MaskedArray) and np.ma.is_masked(found):
        raise ValueError(f"{name} has masked entries in rows {start} to {start + len(out) - 1}: leave out such rows, "
                         "or fill them with numbers")
    array = np.asarray(found)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype} in row {start}, expected numbers (float, integer or bool)")
    if array.shape != out.shape:
        if array.size != out.size or array.shape[:1] != out.shape[:1] or min(array.ndim, out.ndim) != 1:
            raise ValueError(f"{name} gave shape {array.shape} for rows {start} to {start + len(out) - 1}, expected "
                             f"{out.shape}: the data end early, or have changed since they were opened")
        array = array.reshape(out.shape)
    with np.errstate(all="ignore"):  # what overflows float32 becomes infinite, and is named as such
        np.copyto(out, array, casting="unsafe")


def shape_of(name: str, value: Any) -> tuple[int, ...]:
    """Return the shape of what has rows, or say why it has none."""
    shape: Any = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not 1 <= len(shape) <= 2 \
            or not all(isinstance(size, (int, np.integer)) and size >= 0 for size in shape):
        raise ValueError(f"{name} has shape {shape}, expected (n,) or (n, m)")
    return tuple(int(size) for size in shape)


class ArrayRows(Rows):
    """Rows of whatever has ``.shape`` and ``[a:b]``.

    The chunk of a compressed file of which some rows were read last is kept: it is decoded as a whole each time, and
    what is read at a time is often less.
    """

    def __init__(self, source: Any, name: str) -> None:
        self.source, self.name, self.shape = source, name, shape_of(name, source)
        try:
            self.dtype = np.dtype(getattr(source, "dtype", np.float64))
        except TypeError:  # a kind of another library's, as PyTorch's: what NumPy makes of it is seen as it is read
            self.dtype = np.dtype(np.float64)
        self._unit, chunks = 1, getattr(source, "chunks", None)  # of HDF5 and zarr
        if isinstance(chunks, tuple) and chunks and isinstance(chunks[0], int) and chunks[0] > 0:
            self.units = self._unit = min(chunks[0], max(self.shape[0], 1))
        self._last: tuple[int, Any] = -1, None
        self._lock = threading.Lock()  # a fit and its validation may read the same

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayRows, (self.source, self.name)

    def read(self, start: int, stop: int) -> Array:
        """Return some rows."""
        if (now := tuple(self.source.shape)) != self.shape:
            raise ValueError(f"{self.name} has shape {now}, but had {self.shape} when it was opened: it has changed "
                             "while it was read")
        with self._lock:
            first, last = -(-start // self._unit) * self._unit, stop // self._unit * self._unit
            if last < first:
                return self._of_chunk(start, stop)
            found = [self._of_chunk(start, first)] if start < first else []
            if first < last or start == stop:
                found.append(self.source[first:last])
            if last < stop:
                found.append(self._of_chunk(last, stop))
            return found[0] if len(found) == 1 else np.concatenate(found)

    def _of_chunk(self, start: int, stop: int) -> Array:
        """Return some rows of one chunk."""
        unit, number = self._unit, start // self._unit
        if self._last[0] != number:
            self._last = -1, None  # before there is another one
            self._last = number, self.source[number * unit : min((number + 1) * unit, self.shape[0])]
        rows: Array = self._last[1][start - number * unit : stop - number * unit]
        return rows

    def lying(self, start: int, stop: int, kind: np.dtype[Any]) -> Array | None:
        """Return rows of an array that has not changed; of a memory map none, whose pages would count as memory."""
        array = self.source
        if type(array) is not np.ndarray or array.dtype != kind or array.shape != self.shape \
                or not (array.flags.c_contiguous and array.flags.aligned):
            return None
        return array[start:stop]

    def overlaps(self, out: Array) -> bool:
        """Return whether they lie in the same memory."""
        return isinstance(self.source, np.ndarray) and np.may_share_memory(out, self.source)

    def forget(self) -> None:
        """Let go of the last chunk."""
        with self._lock:
            self._last = -1, None


class Flattened:
    """What has ``.shape`` (n, a, b) and ``[a:b]``, with the numbers of a row behind each other."""

    def __init__(self, source: Any) -> None:
        self.source, self.dtype, chunks = source, source.dtype, getattr(source, "chunks", None)
        self.shape = int(source.shape[0]), int(np.prod(source.shape[1:]))
        self.chunks = chunks[:1] if isinstance(chunks, tuple) else None

    def __getitem__(self, rows: slice) -> Array:
        return np.asarray(self.source[rows]).reshape(-1, self.shape[1])


class Elsewhere(Rows):
    """Rows that lie in another process: they are counted, and not read."""

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike, name: str) -> None:
        self.shape, self.dtype, self.name = shape, np.dtype(dtype), name

    def read(self, start: int, stop: int) -> Array:
        """Refuse to read."""
        raise RuntimeError(f"rows {start} to {stop} of {self.name} lie in another process")


class Joined(Rows):
    """Rows of several, one behind the other."""

    def __init__(self, parts: Sequence[Rows], name: str) -> None:
        if not parts:
            raise ValueError(f"{name} has no parts, expected at least one")
        self.parts, self.name = [part for part in parts if part.shape[0]] or [parts[0]], name
        for i, part in enumerate(self.parts):
            if part.shape[1:] != self.parts[0].shape[1:]:
                raise ValueError(f"{part.name} has shape {part.shape}, but {self.parts[0].name} has "
                                 f"{self.parts[0].shape}: expected as many columns in part {i} as in the first")
        self.starts = np.cumsum([0, *(part.shape[0] for part in self.parts)])
        self.shape = int(self.starts[-1]), *self.parts[0].shape[1:]
        self.dtype = np.result_type(*(part.dtype for part in self.parts))
        if any(not isinstance(part.units, int) or part.units > 1 for part in self.parts):
            self.units = np.concatenate([*(edges(part)[:-1] + start for part, start in
                                           zip(self.parts, self.starts[:-1], strict=True)), self.starts[-1:]])

    def read(self, start: int, stop: int) -> Array:
        """Return some rows."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self.read_into(start, stop, out)
        return out

    def read_into(self, start: int, stop: int, out: Array) -> None:
        """Overwrite an array by some rows."""
        for part, first, begin, end in self._stretches(start, stop):
            part.read_into(begin, end, out[first + begin - start : first + end - start])

    def announce(self, start: int, stop: int) -> None:
        """Pass it on."""
        for part, _, begin, end in self._stretches(start, stop):
            part.announce(begin, end)

    def lying(self, start: int, stop: int, kind: np.dtype[Any]) -> Array | None:
        """Return rows that are all in one part, and lie in memory there."""
        stretches = list(self._stretches(start, stop))
        return stretches[0][0].lying(*stretches[0][2:], kind) if len(stretches) == 1 else None

    def overlaps(self, out: Array) -> bool:
        """Return whether one of the parts does."""
        return any(part.overlaps(out) for part in self.parts)

    def forget(self) -> None:
        """Pass it on."""
        for part in self.parts:
            part.forget()

    def _stretches(self, start: int, stop: int) -> Iterator[tuple[Rows, int, int, int]]:
        """Yield the parts in which some rows lie: where each begins, and which of its own rows they are."""
        at, number = start, int(np.searchsorted(self.starts, start, "right")) - 1
        while at < stop:
            first, end = int(self.starts[number]), min(stop, int(self.starts[number + 1]))
            yield self.parts[number], first, at - first, end - first
            at, number = end, number + 1


WINDOW_BYTES = 2**18
"""Rows that are picked are read together where they lie within so many bytes."""


class Picked(Rows):
    """Rows of another source, by their numbers: in any order, some perhaps more than once.

    Parameters
    ----------
    source : Rows
    picked : ndarray of int, (m,)
        It is not copied, and looked at as it is read.
    """

    def __init__(self, source: Rows, picked: npt.NDArray[Any]) -> None:
        self.source, self.picked, self.name, self.dtype = source, picked, source.name, source.dtype
        self.shape = len(picked), *source.shape[1:]
        self._window = max(1, WINDOW_BYTES // max(source.row_bytes, 1))

    def read(self, start: int, stop: int) -> Array:
        """Return some rows, each stretch of the source read once."""
        numbers = np.array(self.picked[start:stop], np.int64)
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if not numbers.size:
            return out
        if numbers.min() < 0 or numbers.max() >= self.source.shape[0]:
            raise ValueError(f"rows holds {numbers.min()} to {numbers.max()}, expected 0 to "
                             f"{self.source.shape[0] - 1}: it has changed meanwhile")
        order = np.argsort(numbers, kind="stable")
        for some in np.split(order, np.flatnonzero(np.diff(numbers[order] // self._window)) + 1):
            first, last = int(numbers[some[0]]), int(numbers[some[-1]])
            out[some] = self.source.read(first, last + 1)[numbers[some] - first]
        return out

    def overlaps(self, out: Array) -> bool:
        """Return whether what is picked from does."""
        return self.source.overlaps(out)

    def forget(self) -> None:
        """Pass it on."""
        self.source.forget()


def edges(source: Rows) -> npt.NDArray[np.int64]:
    """Return where what is read together begins, and where the last ends."""
    if isinstance(source.units, int):
        return np.append(np.arange(0, source.shape[0], source.units), source.shape[0])
    return source.units

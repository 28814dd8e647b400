"""What a fit reads by blocks: rows of X, of Y and of weights, side by side."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import PART_BYTES, ArrayRows, Flattened, Joined, Rows, shape_of
from .files import mapped
from .stream import Pass, Stream

Array = npt.NDArray[Any]


def rows(source: Any, name: str = "the source") -> Rows:
    """Return the rows of anything that has ``.shape`` and ``[a:b]``, to be read a stretch at a time.

    Parameters
    ----------
    source : array_like, or an object with ``.shape`` and ``[a:b]``
        (n,) or (n, m) numbers: an array, a memory map, an h5py dataset, a zarr array, what `npy` and `parquet` return;
        or a list of such, one behind the other. A memory map is read from its file, where that has the same rows.
    name : str, optional
        What errors call it.

    Returns
    -------
    Rows
        Nothing has been read yet.

    Raises
    ------
    ValueError, TypeError
        If there is no such shape, or it is a sparse matrix, a masked array or a frame.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> fastbp.data.rows([np.zeros((5, 2)), np.ones((3, 2))]).shape
    (8, 2)
    """
    if isinstance(source, Rows):
        return source
    if isinstance(source, (list, tuple)) and source and all(getattr(part, "shape", ()) for part in source):
        return Joined([rows(part, f"{name}[{i}]") for i, part in enumerate(source)], name)
    if isinstance(source, np.memmap) and (found := mapped(source, name)) is not None:
        return found
    if isinstance(source, (list, tuple)):
        source = np.asarray(source)
    if isinstance(source, Stream):
        raise TypeError(f"{name} is a Stream, whose blocks hold X and Y: it goes to fit, cost, gradient, score and "
                        "predict alone, as X")
    if (instead := adapter(source)) is not None:
        raise TypeError(f"{name} is of type {type(source).__name__}: give {instead}")
    if hasattr(source, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix, which is in memory anyway: leave `memory` out, or use toarray()")
    if hasattr(source, "iloc"):
        raise TypeError(f"{name} is a frame, of type {type(source).__name__}: use its to_numpy(), or "
                        "fastbp.data.parquet where it comes from a file")
    if not hasattr(source, "__getitem__"):
        raise TypeError(f"{name} is of type {type(source).__name__}, expected something with .shape and [a:b]")
    shape_of(name, source)
    return ArrayRows(source, name)


def adapter(value: Any) -> str | None:
    """Return what makes a source of a path, a dataset of Arrow's or a function, as a user would write it."""
    if isinstance(value, (str, os.PathLike)):
        return "fastbp.data.npy(path) of .npy files, fastbp.data.parquet(path, columns) of Parquet files"
    if hasattr(value, "schema") and hasattr(value, "to_batches"):
        return "fastbp.data.parquet(dataset, columns), with the names of the columns"
    if inspect.isroutine(value):
        return "fastbp.data.Stream(function), whose iterator has blocks (X, Y), and no Y"
    return None


class Blocks:
    """Rows of X, Y and weights, which can be read anywhere.

    Attributes
    ----------
    rows : int
    units : int or ndarray
        What is read together, see `Rows`: of X, or of Y where X can be read anywhere.
    row_bytes : int
        Bytes of a sample where it lies.
    slopes : Rows or None
        Targets of ∂o/∂x, those of a sample behind each other.
    every : tuple of Rows
        All that is read of a sample.
    anywhere : bool
        Whether rows can be read in any order.
    """

    anywhere = True

    def __init__(self, X: Rows, Y: Rows, weights: Rows | None, first: int = 0, stop: int | None = None,
                 slopes: Rows | None = None) -> None:
        self.parts, self.slopes = (X, Y) if weights is None else (X, Y, weights), slopes
        self.every = self.parts if slopes is None else (*self.parts, slopes)
        for name, part in (*zip(("Y", "sample_weight"), self.parts[1:], strict=False), ("target_jacobian", slopes)):
            if part is not None and part.shape[0] != X.shape[0]:
                raise ValueError(f"{name} has shape {part.shape}, but X has {X.shape}: expected as many rows")
        self.begin, self.rows = first, (X.shape[0] if stop is None else stop) - first
        self.row_bytes = sum(part.row_bytes for part in self.every)
        units = next((part.units for part in self.every if not isinstance(part.units, int) or part.units > 1), 1)
        if not isinstance(units, int):
            units = np.unique(np.clip(units - first, 0, self.rows))
        self.units = units

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of X, Y and weights, without the rows."""
        return tuple(part.shape[1:] for part in self.parts)

    def part(self, first: int, stop: int) -> Blocks:
        """Return some of these rows."""
        weights = self.parts[2] if len(self.parts) == 3 else None
        return Blocks(self.parts[0], self.parts[1], weights, self.begin + first, self.begin + stop, self.slopes)

    def open(self) -> Blocks:
        """Return what reads: this, which remembers nothing."""
        return self

    def announce(self, start: int, stop: int) -> None:
        """Take note that these rows are read next."""
        for part in self.every:
            part.announce(self.begin + start, self.begin + stop)

    def read(self, start: int, stop: int, out: Sequence[Array | None]) -> None:
        """Overwrite arrays by rows of X, Y and weights; None of what is not to be read."""
        for part, array in zip(self.parts, out, strict=True):
            if array is not None:
                part.read_into(self.begin + start, self.begin + stop, array)

    def read_slopes(self, start: int, stop: int, out: Array) -> None:
        """Overwrite an array, (stop - start, m), by targets of ∂o/∂x."""
        assert self.slopes is not None
        self.slopes.read_into(self.begin + start, self.begin + stop, out)

    def lying(self, start: int, stop: int, kind: np.dtype[Any]) -> list[Array | None]:
        """Return rows of X, Y and weights where they lie in memory as that dtype and in C order; None where not."""
        return [part.lying(self.begin + start, self.begin + stop, kind) for part in self.parts]

    def forget(self) -> None:
        """Let go of what is kept of the last read."""
        for part in self.every:
            part.forget()


class Flow:
    """The samples of a `Stream`, which come in one order."""

    anywhere, units, slopes = False, 1, None

    def __init__(self, stream: Stream) -> None:
        self.stream, self.begin, self.rows = stream, 0, stream.rows
        self.row_bytes = sum(part.dtype.itemsize * (part.shape[1] if part.ndim == 2 else 1) for part in stream.first)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of X, Y and weights, without the rows."""
        return tuple(part.shape[1:] for part in self.stream.first)

    def part(self, first: int, stop: int) -> Flow:
        """Refuse to take a part."""
        raise ValueError("validation is a fraction, but X is a Stream, whose rows come in one order only: give "
                         "validation=(X, Y)")

    def open(self) -> Pass:
        """Return what reads."""
        return Pass(self.stream)

    def lying(self, start: int, stop: int, kind: np.dtype[Any]) -> list[Array | None]:
        """Return that nothing lies in memory."""
        return [None] * len(self.stream.first)

    def forget(self) -> None:
        """Do nothing: a pass is kept by who reads it."""


Source = Blocks | Flow
"""What samples are read from."""


def source(X: Any, Y: Any, weights: Any, slopes: Any = None, of_each: tuple[int, int] | None = None) -> Source:
    """Return what samples are read from: a `Stream` alone, or rows of X and Y, perhaps with weights and ∂o/∂x.

    ``of_each`` is the shape of ∂o/∂x of a sample, where it is not one behind another.
    """
    if isinstance(X, Stream):
        if Y is not None or weights is not None:
            raise TypeError("X is a Stream, whose blocks hold X, Y and weights: leave Y and sample_weight out")
        if slopes is not None:
            raise TypeError("target_jacobian is given, but X is a Stream, whose blocks hold none: give X, Y and "
                            "target_jacobian as rows, see fastbp.data.rows")
        return Flow(X)
    if Y is None:
        raise TypeError("Y is missing: expected the targets of X" + (
            "; slopes alone are learned of arrays in memory only" if slopes is not None else ""))
    return Blocks(rows(X, "X"), rows(Y, "Y"), None if weights is None else rows(weights, "sample_weight"),
                  slopes=None if slopes is None else rows(_flattened(slopes, of_each), "target_jacobian"))


def _flattened(value: Any, of_each: tuple[int, int] | None) -> Any:
    """Return what may have shape (n, a, b) with the numbers of a row behind each other."""
    if isinstance(value, (list, tuple)) and value and all(getattr(part, "shape", ()) for part in value):
        return [_flattened(part, of_each) for part in value]
    if isinstance(value, (list, tuple)):
        value = np.asarray(value)
    shape: Any = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or len(shape) != 3:
        return value
    if of_each is not None and shape[1:] != of_each:  # the transposed ones have as many numbers
        raise ValueError(f"target_jacobian has shape {shape}, expected {(shape[0], *of_each)}: a row for each output, "
                         "and in it a number for each input")
    flat = isinstance(value, np.ndarray) and value.flags.c_contiguous
    return value.reshape(shape[0], -1) if flat and shape[0] else Flattened(value)


MEMORY = "256MB"
"""What sources may take where nobody says."""

SOURCES = Rows, Stream
"""What can only be read by blocks."""


def in_memory(X: Any, Y: Any, memory: Any = None, slopes: Any = None) -> bool:
    """Return whether samples are taken as arrays: none is a source or a list of such, and no budget is given."""
    if memory is not None or slopes is not None and _is_source(slopes):
        return False
    return (type(X) is np.ndarray or not _is_source(X)) and (type(Y) is np.ndarray or not _is_source(Y))


def _is_source(value: Any) -> bool:
    return isinstance(value, SOURCES) or isinstance(value, (list, tuple)) and isinstance((*value[:1], None)[0], SOURCES)


def loaded(value: Any, name: str, kind: np.dtype[Any]) -> list[Array]:
    """Return what has rows in memory, as numbers of this dtype; of a `Stream` X, Y and perhaps weights."""
    if isinstance(value, Stream):
        arrays = [np.empty((value.rows, *part.shape[1:]), kind) for part in value.first]
        Pass(value).read(0, value.rows, arrays)
        return arrays
    found = rows(value, name)
    out, some = np.empty(found.shape, kind), max(1, PART_BYTES // max(found.row_bytes, 1))
    for start in range(0, len(out), some):
        stop = min(start + some, len(out))
        found.read_into(start, stop, out[start:stop])
    found.forget()
    return [out]


def beyond_memory(value: Any) -> bool:
    """Return whether something need not lie in memory: a source, a memory map, or what is no array, frame or list."""
    if isinstance(value, SOURCES) or isinstance(value, np.memmap):
        return True
    return (hasattr(value, "shape") and hasattr(value, "__getitem__") and not isinstance(value, np.ndarray)
            and not hasattr(value, "tocsr") and not hasattr(value, "iloc"))

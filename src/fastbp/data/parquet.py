"""Rows of Parquet files: columns by name, row groups as blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..util.optional import require
from .base import Rows
from .files import mark

Array = npt.NDArray[Any]


class ParquetRows(Rows):
    """Some columns of Parquet files, one behind the other."""

    def __init__(self, files: Sequence[str], columns: Sequence[str], name: str, *, flat: bool) -> None:
        library = require("pyarrow.parquet", "parquet")
        self.files, self.columns, self.name, self._last = list(files), list(columns), name, (-1, np.empty(0))
        self.marks = [mark(os.stat(file)) for file in self.files]
        self.metadata = []
        self.groups: list[tuple[int, int]] = []
        """File and row group of each block."""
        kinds, starts = [], [0]
        for i, file in enumerate(self.files):
            try:
                found = library.ParquetFile(file)
            except (ValueError, OSError) as error:
                raise ValueError(f"{file} is no whole Parquet file: {error}") from error
            with found:
                schema, metadata = found.schema_arrow, found.metadata
            for column in self.columns:
                if column not in schema.names:
                    raise ValueError(f"{file} has no column {column!r}; its columns are {', '.join(schema.names)}")
                try:
                    kinds.append(np.dtype(schema.field(column).type.to_pandas_dtype()))
                except NotImplementedError:
                    kinds.append(np.dtype(object))
                if kinds[-1].kind not in "fiub":
                    raise TypeError(f"column {column!r} of {file} is {schema.field(column).type}, expected numbers")
            self.metadata.append(metadata)
            for group in range(metadata.num_row_groups):
                if rows := metadata.row_group(group).num_rows:
                    self.groups.append((i, group))
                    starts.append(starts[-1] + rows)
        self.units = self.starts = np.array(starts, np.int64)
        self.dtype = np.result_type(*kinds)
        self.shape = (starts[-1],) if flat else (starts[-1], len(self.columns))

    def read(self, start: int, stop: int) -> Array:
        """Return some rows; the row group that was read last is kept."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        at, block = start, int(np.searchsorted(self.starts, start, "right")) - 1
        while at < stop:
            last, found = self._last  # together, since a fit and its validation may read the same
            if last != block:
                found = self._group(block)
                self._last = block, found
            first, end = int(self.starts[block]), min(stop, int(self.starts[block + 1]))
            out[at - start : end - start] = found[at - first : end - first]
            at, block = end, block + 1
        return out

    def forget(self) -> None:
        """Let go of the last row group."""
        self._last = -1, np.empty(0)

    def _group(self, block: int) -> Array:
        """Read a row group."""
        file, group = self.groups[block]
        path = self.files[file]
        if mark(os.stat(path)) != self.marks[file]:
            raise ValueError(f"{path} has changed since it was opened: leave files alone while they are read")
        with require("pyarrow.parquet", "parquet").ParquetFile(path, metadata=self.metadata[file]) as found:
            table = found.read_row_group(group, self.columns, use_threads=False)  # no thread outlives a fit
        out = np.empty((table.num_rows, *self.shape[1:]), self.dtype)
        for i, name in enumerate(self.columns):
            column = table.column(name)
            if column.null_count and self.dtype.kind != "f":
                raise ValueError(f"column {name!r} of {path} has no number in {column.null_count} rows of row group "
                                 f"{group}: fill them, or leave such rows out")
            out.reshape(len(out), -1)[:, i] = column.to_numpy()
        return out


def parquet(source: Any, columns: str | Sequence[str]) -> Rows:
    """Return columns of Parquet files, by name; their row groups are read one at a time.

    Parameters
    ----------
    source : str, path, list of these, or pyarrow.dataset.Dataset
        A file, a directory with files ``*.parquet``, read in the order of their names, or files in the order given.
        Of a dataset its files are taken, all rows of them; columns that are only in their paths are not there.
    columns : str or list of str
        Names of the columns, in the order of the network's inputs. One name that is not in a list gives rows of shape
        (n,), for targets and weights.

    Returns
    -------
    Rows
        A missing number is NaN in columns of floats, and an error in others.

    Raises
    ------
    ImportError
        Without pyarrow (``pip install fastbp[parquet]``).
    ValueError, TypeError
        If there is no file, no such column, or one does not hold numbers.

    Examples
    --------
    >>> import fastbp, pyarrow, pyarrow.parquet, tempfile
    >>> path = tempfile.mkdtemp() + "/measured.parquet"
    >>> table = pyarrow.table({"day": [1, 2, 3], "heat": [20.0, 25.0, 22.0], "yield": [0.5, 0.7, 0.6]})
    >>> pyarrow.parquet.write_table(table, path)
    >>> X, Y = fastbp.data.parquet(path, ["heat", "day"]), fastbp.data.parquet(path, "yield")
    >>> X.shape, Y.shape
    ((3, 2), (3,))
    >>> net = fastbp.Network((2, 4, 1), seed=0).fit(X, Y, epochs=1, memory="256MB")
    """
    if isinstance(source, (str, os.PathLike)):
        place = Path(source)
        files = [str(file) for file in sorted(place.glob("*.parquet"))] if place.is_dir() else [str(place)]
    elif isinstance(found := getattr(source, "files", source), (list, tuple)):
        files = [os.fspath(file) for file in found]
    else:
        raise TypeError(f"source is of type {type(source).__name__}, expected a path, a list of paths or a "
                        "pyarrow.dataset.Dataset of files")
    if not files:
        raise ValueError(f"{source} has no files *.parquet")
    flat = isinstance(columns, str)
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"columns is {columns!r}, expected a name or a list of names")
    return ParquetRows(files, names, files[0] if len(files) == 1 else str(source), flat=flat)

"""Means and standard deviations of columns in one pass, and rows that are standardised as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import PART_BYTES, Rows
from .source import SOURCES, rows
from .stream import Stream

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Subtracts each column's mean and divides by its standard deviation; `standardizer` makes one from data.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (m,)
        The scale of a column that is constant is 1.
    count : int
        Rows that they are from.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.random.default_rng(0).normal(5, 2, size=(1000, 3))
    >>> standard = fastbp.data.standardizer(fastbp.data.rows(X))
    >>> bool(np.allclose(standard.mean, X.mean(axis=0)))
    True
    >>> standard.transform(X).std(axis=0).round(6)  # of a source: rows that are standardised as they are read
    array([1., 1., 1.])
    """

    mean: Doubles
    scale: Doubles
    count: int

    def transform(self, X: Any) -> Any:
        """Return standardised rows.

        Parameters
        ----------
        X : Rows, Stream or array_like, shape (n, m)
            What `fastbp.data` reads stays where it is, and is standardised as it is read; an array at once.

        Returns
        -------
        Rows, Stream or ndarray of float64
            As X is.

        Raises
        ------
        ValueError
            If X has not as many columns.
        """
        if isinstance(X, Stream):
            return Stream(lambda: ((self.transform(block[0]), *block[1:]) for block in X.factory()), X._rows)
        shape = X.shape if isinstance(X, Rows) else np.shape(X)
        if len(shape) != 2 or shape[1] != len(self.mean):
            raise ValueError(f"X has shape {shape}, expected (n, {len(self.mean)}), the columns that were standardised")
        return Standardized(X, self) if isinstance(X, Rows) else (np.asarray(X, np.float64) - self.mean) / self.scale


class Standardized(Rows):
    """Rows that are standardised as they are read."""

    def __init__(self, source: Rows, standardizer: Standardizer) -> None:
        self.source, self.standardizer, self.units = source, standardizer, source.units
        self.shape, self.name, self.dtype = source.shape, source.name, np.dtype(np.float64)

    def read(self, start: int, stop: int) -> Array:
        """Return some rows."""
        out = np.empty((stop - start, *self.shape[1:]))
        self.source.read_into(start, stop, out)
        out -= self.standardizer.mean
        out /= self.standardizer.scale
        return out

    def announce(self, start: int, stop: int) -> None:
        """Pass it on."""
        self.source.announce(start, stop)

    def overlaps(self, out: Array) -> bool:
        """Return whether what is standardised does."""
        return self.source.overlaps(out)

    def forget(self) -> None:
        """Pass it on."""
        self.source.forget()


def standardizer(X: Any) -> Standardizer:
    """Compute mean and standard deviation of each column in one pass over rows that need not fit into memory.

    Parts of 4 MB have means and sums of squares of their own, which are put together pair by pair (Chan, Golub &
    LeVeque 1979, equation 2.1): so nothing cancels where a mean is far from 0.

    Parameters
    ----------
    X : Rows, Stream, or what `rows` takes; shape (n, m)
        Inputs. Of a Stream its X.

    Returns
    -------
    Standardizer

    Raises
    ------
    ValueError, TypeError
        If there are no rows, a number is not finite, or X cannot be read.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = 50 + 3 * np.random.default_rng(0).normal(size=(1000, 2))
    >>> scaler = fastbp.data.standardizer(X)
    >>> bool(np.allclose(scaler.mean, X.mean(axis=0)) and np.allclose(scaler.scale, X.std(axis=0)))
    True
    >>> scaler.transform(fastbp.data.rows(X)).shape
    (1000, 2)
    """
    total, mean, squares, shift = 0, np.zeros(0), np.zeros(0), np.zeros(0)
    if not isinstance(X, SOURCES):
        X = rows(X, "X")
    for start, part in _parts(X):
        if not (finite := np.isfinite(part).all(axis=1)).all():
            row = int(np.argmin(finite))
            raise ValueError(f"X holds {part[row][~np.isfinite(part[row])][0]} in row {start + row}: expected finite "
                             "numbers; remove or impute such rows")
        shift = part[0].copy() if total == 0 else shift
        part -= shift  # so that means are small, and round little
        count, own = len(part), part.mean(axis=0)
        part -= own
        around = np.einsum("ij,ij->j", part, part)
        if total == 0:
            total, mean, squares = count, own, around
            continue
        step, both = own - mean, total + count
        mean = mean + step * (count / both)
        squares = squares + around + step**2 * (total * count / both)
        total = both
    if total == 0:
        raise ValueError("X has no rows, expected at least one")
    mean, variance = shift + mean, squares / total
    constant = variance <= (10 * np.finfo(np.float64).eps * mean) ** 2  # what rounding leaves of a constant's squares
    return Standardizer(mean, np.where(constant, 1.0, np.sqrt(variance)), total)


def _parts(X: Rows | Stream) -> Any:
    """Yield parts of X in double, each with the number of its first row."""
    if isinstance(X, Stream):
        at = 0
        for block in X.blocks():
            yield at, block[0].astype(np.float64)
            at += len(block[0])
        return
    if len(X.shape) != 2:
        raise ValueError(f"X has shape {X.shape}, expected (n, m)")
    some = max(1, PART_BYTES // (8 * max(X.shape[1], 1)))
    for start in range(0, X.shape[0], some):
        part = np.empty((min(some, X.shape[0] - start), X.shape[1]))
        X.read_into(start, start + len(part), part)
        yield start, part

"""Sparse matrices of SciPy, looked at before their indices lead anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .conversion import numbers

Array = npt.NDArray[Any]


def canonical(X: Any) -> Any:
    """Return a sparse matrix as CSR in the one form that depends on its numbers alone, or say what is wrong with it.

    SciPy keeps matrices whose indices point anywhere, and neither its own conversions nor kernels look where they go.
    Here every index is within range, a row's columns ascend, none is there twice and no 0 is stored. What says where
    numbers belong is a copy, which the user cannot change; the numbers may be the user's own.
    """
    if X.ndim != 2:  # of which each caller says that it is no matrix
        return X
    form, (n, m) = getattr(X, "format", None), X.shape
    if form == "coo":
        for name, places, size in zip(("row", "col"), X.coords, X.shape, strict=True):
            _check_places(name, _places(name, places, len(X.data)), size)
    elif form == "csc":
        _structure(X, m, n)
    elif form == "bsr":
        blocks = X.data.shape[1:]
        if len(blocks) != 2 or 0 in blocks or n % blocks[0] or m % blocks[1]:
            raise _malformed(f"data has shape {X.data.shape}, expected blocks that fill ({n}, {m})")
        _structure(X, n // blocks[0], m // blocks[1], 3)
    elif form == "dia":
        _places("offsets", X.offsets, len(X.data))
    elif form == "lil":
        if not len(X.rows) == len(X.data) == n:
            raise _malformed(f"it has {len(X.rows)} rows of columns and {len(X.data)} of numbers, expected {n}")
        for i, (places, data) in enumerate(zip(X.rows, X.data, strict=True)):
            if len(places) != len(data):
                raise _malformed(f"row {i} has {len(places)} columns for {len(data)} numbers")
    try:
        csr = X.tocsr()
    except OverflowError as error:  # of places in lists of Python's numbers
        raise _malformed(f"an index is beyond those of SciPy ({error})") from error
    starts, columns = _structure(csr, n, m)
    csr = type(csr)((numbers("X", csr.data)[: len(columns)], columns, starts), shape=csr.shape)
    if not csr.has_canonical_format or np.count_nonzero(csr.data) < len(columns):
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    return csr


def _structure(X: Any, n: int, size: int, ndim: int = 1) -> tuple[Array, Array]:
    """Return copies of where the n rows of a compressed matrix begin and of its numbers' places, 0 to size − 1."""
    if X.data.ndim != ndim:
        raise _malformed(f"data has shape {X.data.shape}, expected as many numbers as there are indices")
    starts = _places("indptr", X.indptr, n + 1)
    stored = min(len(X.indices), len(X.data))
    before = np.concatenate([[0], starts[:-1]])
    wrong = (starts < before) | (starts > stored)
    wrong[0] |= starts[0] != 0
    if wrong.any():
        i = int(wrong.argmax())
        expected = f"{before[i]} to {stored}, since it must not decrease, and there are {stored} numbers" if i else "0"
        raise _malformed(f"indptr[{i}] is {starts[i]}, expected {expected}")
    places = _places("indices", X.indices, len(X.indices))[: starts[-1]]
    _check_places("indices", places, size)
    return starts, places


def _places(name: str, value: Any, size: int) -> Array:
    """Return a copy of so many indices."""
    array = np.array(value)
    if array.dtype.kind not in "iu" or array.shape != (size,):
        raise _malformed(f"{name} has dtype {array.dtype} and shape {array.shape}, expected {size} integers")
    return array if array.dtype in (np.int32, np.int64) else array.astype(np.int64)


def _check_places(name: str, places: Array, size: int) -> None:
    if places.size and not (places.min() >= 0 and places.max() < size):
        i = int(((places < 0) | (places >= size)).argmax())
        raise _malformed(f"{name}[{i}] is {places[i]}, expected 0 to {size - 1}")


def _malformed(what: str) -> ValueError:
    return ValueError(f"X is a malformed sparse matrix: {what}; build it anew from indices that fit")

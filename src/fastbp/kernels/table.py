"""How a table of numbers that Python and the kernels share is declared: all of them stand in `tables`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


class Table:
    """The cells of an array, in order: their names, meanings, and how many numbers each takes.

    Iterating gives the index of each cell, to be unpacked into names in capitals beside the declaration.

    Parameters
    ----------
    cells : mapping of str to str
        Name of each cell and what it means.
    numbers : dtype, default int64
        What the array holds.
    start : int, default 0
        Where the first cell lies: another table may lie before it in the same array.
    widths : mapping of str to int, optional
        Numbers that a cell takes where it takes more than one.
    others : mapping of str to dtype, optional
        Cells whose 64 bits are of another kind than the array's: addresses in an array of float64.

    Attributes
    ----------
    count : int
        Numbers in a row.
    dtype : dtype
        A structure with a field for each cell.
    """

    def __init__(self, cells: Mapping[str, str], numbers: npt.DTypeLike = np.int64, *, start: int = 0,
                 widths: Mapping[str, int] | None = None, others: Mapping[str, npt.DTypeLike] | None = None) -> None:
        self.meanings, self.start, self._widths = dict(cells), start, dict(widths or {})
        fields: list[Any] = []
        for name in cells:
            kind, width = np.dtype((others or {}).get(name, numbers)), self._widths.get(name, 1)
            fields.append((name, kind) if width == 1 else (name, kind, (width,)))
        self.dtype = np.dtype(fields)
        self.count = self.dtype.itemsize // 8

    def __iter__(self) -> Iterator[int]:
        at = self.start
        for name in self.meanings:
            yield at
            at += self._widths.get(name, 1)

    def view(self, array: npt.NDArray[Any]) -> npt.NDArray[np.void]:
        """Return the same memory with a field for each cell: one record, or one for each row of a table.

        Parameters
        ----------
        array : ndarray of 64-bit numbers
            That the table is in, or (n, count).
        """
        return array[..., self.start : self.start + self.count].view(self.dtype)[..., 0]

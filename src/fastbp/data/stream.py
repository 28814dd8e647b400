"""Samples that come one after the other, from an iterator that a function of the user's makes for each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import fill

Array = npt.NDArray[Any]
Block = tuple[Any, ...]
"""(X, Y) or (X, Y, sample_weight)."""


class Stream:
    """Blocks of samples from a factory: a function that returns a new iterator of them for each pass.

    Blocks come in the iterator's own order, so rows are shuffled within a group of them only, and not between groups:
    let the factory open files in another order each time it is called, or use sources that can be read anywhere.

    Parameters
    ----------
    factory : callable
        Called without arguments for each pass, also in a thread of the fit's, and while another iterator of it is in
        use; returns an iterable of blocks (X, Y) or (X, Y, sample_weight), arrays of any number of rows.
    rows : int, optional
        Rows in a pass. None counts them, in a pass of its own, when they are asked for.

    Raises
    ------
    TypeError, ValueError
        If the factory cannot be called, its first block is none, or ``rows`` is no number of rows.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> def factory():
    ...     for i in range(5):
    ...         x = np.random.default_rng(i).normal(size=(100, 2))
    ...         yield x, x[:, :1] * x[:, 1:]
    >>> net = fastbp.Network((2, 8, 1), seed=0).fit(fastbp.data.Stream(factory), epochs=2)
    >>> len(net.history)
    2
    """

    def __init__(self, factory: Callable[[], Iterable[Block]], rows: int | None = None) -> None:
        if not callable(factory):
            raise TypeError(f"Stream: factory is of type {type(factory).__name__}, expected a function that returns an "
                            "iterator of blocks (X, Y): an iterator itself ends with the first pass")
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 1):
            raise ValueError(f"Stream: rows is {rows!r}, expected a number of rows, at least 1")
        self.factory, self._rows = factory, None if rows is None else int(rows)
        first = next(self.blocks(), None)
        if first is None:
            raise ValueError("Stream: the factory's iterator has no rows, expected blocks (X, Y)")
        self.first = tuple(np.empty((0, *part.shape[1:]), part.dtype) for part in first)
        """What the blocks are made of: shapes and dtypes of the first."""

    def __repr__(self) -> str:
        return f"<Stream of {'some' if self._rows is None else self._rows} rows>"

    @property
    def rows(self) -> int:
        """How many rows a pass has; counted where it is not known."""
        if self._rows is None:
            self._rows = sum(len(block[0]) for block in self.blocks())
        return self._rows

    def blocks(self) -> Iterator[tuple[Array, ...]]:
        """Yield the blocks of a new pass that have rows, as arrays."""
        width = 0
        for i, block in enumerate(self.factory()):
            if not isinstance(block, (tuple, list)) or len(block) not in (2, 3):
                raise TypeError(f"Stream: block {i} is of type {type(block).__name__}, expected a pair (X, Y) or a "
                                "triple (X, Y, sample_weight)")
            arrays = tuple(np.asarray(part) for part in block)
            if arrays[0].ndim != 2 or any(part.shape[:1] != arrays[0].shape[:1] for part in arrays):
                raise ValueError(f"Stream: block {i} has shapes {', '.join(str(part.shape) for part in arrays)}, "
                                 "expected (n, n_0) of X, and as many rows of Y and sample_weight")
            if len(arrays) != (width := width or len(arrays)):
                raise ValueError(f"Stream: block {i} has {len(arrays)} arrays, but the first one {width}: give a "
                                 "sample_weight with all blocks, or with none")
            if len(arrays[0]):
                yield arrays


class Pass:
    """A pass over a stream: rows are read in their order, from the first on, again and again."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._blocks: Iterator[tuple[Array, ...]] = iter(())
        self._held: tuple[Array, ...] = ()
        self._at = self._taken = 0

    def announce(self, start: int, stop: int) -> None:
        """Ask for nothing: blocks come as they come."""

    def read(self, start: int, stop: int, out: Sequence[Array | None]) -> None:
        """Overwrite arrays by rows, None of what is not to be read; those from 0 begin a new pass."""
        if start == 0:
            self._blocks, self._held, self._at, self._taken = self.stream.blocks(), (), 0, 0
        assert start == self._at
        while self._at < stop:
            if not self._held or self._taken == len(self._held[0]):
                block = next(self._blocks, None)
                if block is None:
                    raise ValueError(f"Stream: this pass ended after {self._at} rows, expected {self.stream.rows}, as "
                                     "in the first")
                if len(block) != len(out):
                    raise ValueError(f"Stream: the block behind row {self._at} has {len(block)} arrays, expected "
                                     f"{len(out)}, as in the first")
                self._held, self._taken = block, 0
            count = min(stop - self._at, len(self._held[0]) - self._taken)
            place = slice(self._at - start, self._at - start + count)
            for name, part, found in zip(("X", "Y", "sample_weight")[: len(out)], out, self._held, strict=True):
                if part is not None:
                    fill(part[place], found[self._taken : self._taken + count], name, self._at)
            self._at, self._taken = self._at + count, self._taken + count
        if stop == self.stream.rows and (self._taken < len(self._held[0]) or next(self._blocks, None) is not None):
            raise ValueError(f"Stream: this pass has more than {self.stream.rows} rows, as many as were "
                             "expected")

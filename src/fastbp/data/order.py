"""Which rows come in which group: blocks in a random order, several of them a group (CorgiPile, Xu et al. 2022).

The order is a function of key and epoch alone. A group is cut after whole batches, wherever a block ends, so that an
epoch has as many batches as one over rows in memory. Rows within a group are shuffled by the kernels as those of an
epoch are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

GOLDEN = 0x9E3779B97F4A7C15
"""2⁶⁴ divided by the golden ratio, odd (Steele, Lea & Flood 2014)."""

BLOCKS = 32
"""Blocks in a group, where rows can be read anywhere: so many classes that lie apart can meet in one."""

GROUP = 2**32
"""Group g of epoch e is shuffled as epoch e + 2³²g is: the first as the epoch itself."""


class Group(NamedTuple):
    """Rows that are in memory together."""

    epoch: int
    number: int
    pieces: list[tuple[int, int]]
    """Where they come from, each the first row and the one behind the last."""

    @property
    def rows(self) -> int:
        """How many."""
        return sum(stop - start for start, stop in self.pieces)


def mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64 bits (the finaliser of SplitMix64), as `kernels.random.mix` does."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def permutation(n: int, key: int, epoch: int) -> Integers:
    """Return the numbers 0 … n − 1 in an order that depends on key and epoch only: sorted by their random numbers."""
    keys = np.array([(~key + epoch * GOLDEN) % 2**64], np.uint64)
    counters = np.arange(n, dtype=np.uint64) * np.uint64(GOLDEN)
    return np.argsort(mix(mix(keys) + counters), kind="stable").astype(np.int64)


def blocks(rows: int, size: int, units: int | Integers) -> Integers:
    """Return where blocks of about ``size`` rows begin, and where the last ends, without cutting what is read together.

    ``units`` is as `Rows.units`: a block is as many of them as fit, and at least one.
    """
    if isinstance(units, int):
        size = max(size // units, 1) * units
        return np.append(np.arange(0, rows, size), rows)
    found = [0]
    for before, after in zip(units[:-1].tolist(), units[1:].tolist(), strict=True):
        if after - found[-1] > size and before > found[-1]:
            found.append(before)
    return np.array([*found, rows], np.int64)


class Order:
    """The groups of an epoch.

    Parameters
    ----------
    starts : ndarray
        Where blocks begin, and where the last ends.
    group : int
        Rows in a group.
    key : int or None
        Of the random order; None takes the blocks as they lie.
    """

    def __init__(self, starts: Integers, group: int, key: int | None) -> None:
        self.starts, self.group, self.key, self.rows = starts, group, key, int(starts[-1])

    @property
    def count(self) -> int:
        """Groups in an epoch."""
        return -(-self.rows // self.group)

    def groups(self, epoch: int) -> list[Group]:
        """Return the groups of an epoch; where one holds all, the blocks lie in it as they come."""
        first, last = self.starts[:-1], self.starts[1:]
        if self.key is not None and self.count > 1:
            order = permutation(len(first), self.key, epoch)
            first, last = first[order], last[order]
        found: list[Group] = []
        pieces: list[tuple[int, int]] = []
        room = self.group
        for start, stop in zip(first.tolist(), last.tolist(), strict=True):
            while start < stop:
                end = min(stop, start + room)
                pieces.append((start, end))
                room -= end - start
                start = end
                if room == 0:
                    found.append(Group(epoch, len(found), pieces))
                    pieces, room = [], self.group
        if pieces:
            found.append(Group(epoch, len(found), pieces))
        return found

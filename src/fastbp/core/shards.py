"""Sums over shards of the samples, in an order that does not depend on how many processes compute them.

Samples are cut into as many shards as are stated once, and shards are added in pairs, pairs of pairs and so on. A
process computes the sums of some neighbouring shards, as far as these make whole branches of that tree; what all
processes have is gathered, and each of them adds up the rest of the tree. So one process, two or ten get the same bits,
and take the same decisions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..kernels.compile.cached import cached_property

Doubles = npt.NDArray[np.float64]
Node = tuple[int, int]
"""A branch: its first shard, and the one behind its last."""

COUNT = 64
"""Shards, unless another number is stated: a power of 2, and more than processes."""


class EndedWithOthers(RuntimeError):
    """A process ends because another one has; the cause is there."""


def _alone(mine: Doubles) -> Doubles:
    """Gather what one process has."""
    return mine


@dataclass(frozen=True)
class Team:
    """Which shards this process has, and how it learns what others have computed.

    Parameters
    ----------
    rank, size : int
        Number of this process, and of all.
    gather : callable
        Called with this process's sums, (k, m) float64, returns those of all processes, one behind the other in the
        order of their ranks. All processes call it together, with the same m.
    count : int
        Shards, a power of 2.
    owners : tuple of int, optional
        Rank of the process that has each shard. By default the shards of a process are neighbours, as many as others
        have.
    cuts : tuple of int, optional
        First row of each shard, and behind these the number of rows. By default shards have as many rows.
    """

    rank: int = 0
    size: int = 1
    gather: Callable[[Doubles], Doubles] = field(default=_alone, compare=False)
    count: int = COUNT
    owners: tuple[int, ...] | None = None
    cuts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.count & (self.count - 1):
            raise ValueError(f"Team: count is {self.count}, expected a power of 2")
        if not 0 <= self.rank < self.size <= self.count:
            raise ValueError(f"Team: rank {self.rank} of {self.size} processes with {self.count} shards, expected "
                             "ranks from 0, and no more processes than shards")
        if self.owners is not None and (len(self.owners) != self.count or set(self.owners) != set(range(self.size))):
            raise ValueError(f"Team: owners is {self.owners}, expected a rank for each of {self.count} shards, and a "
                             f"shard for each of {self.size} processes")
        if self.cuts is not None and (len(self.cuts) != self.count + 1 or list(self.cuts) != sorted(self.cuts)):
            raise ValueError(f"Team: cuts is {self.cuts}, expected the first rows of {self.count} shards and the "
                             "number of rows, in ascending order")

    def shards(self, rank: int | None = None) -> Sequence[int]:
        """Return the shards of a process, this one by default, in their order."""
        number = self.rank if rank is None else rank
        if self.owners is None:
            return range(self.count * number // self.size, self.count * (number + 1) // self.size)
        return [shard for shard, owner in enumerate(self.owners) if owner == number]

    def rows(self, n: int, shard: int) -> tuple[int, int]:
        """Return the first of n rows that is in a shard, and the one behind the last."""
        if self.cuts is None:
            return n * shard // self.count, n * (shard + 1) // self.count
        return self.cuts[shard], self.cuts[shard + 1]

    def branches(self, rank: int | None = None) -> list[Node]:
        """Return the largest branches of the tree that a process has all shards of."""
        return self._branches[self.rank if rank is None else rank]

    @cached_property
    def _branches(self) -> list[list[Node]]:
        return [_branches(0, self.count, self.shards(rank)) for rank in range(self.size)]

    def summed(self, size: int, of_shard: Callable[[int], Doubles]) -> Doubles:
        """Return the sum over all shards, (size,).

        ``of_shard`` is called with the numbers of this process's shards, in their order; what it returns is
        overwritten. Where it raises, the other processes are told, so that none waits for this one.
        """
        mine = np.full((len(self.branches()), size), np.nan)
        try:
            for row, branch in zip(mine, self.branches(), strict=True):
                row[:] = _total(*branch, of_shard)
        except BaseException:
            if self.size > 1:
                self._gathered(mine, failed=True)
            raise
        return self.reduce(mine)

    def reduce(self, mine: Doubles) -> Doubles:
        """Return the sum over all shards, (m,), from the sums of this process's `branches`, (k, m)."""
        if self.size == 1:
            alone: Doubles = mine[0]
            return alone
        everything, owners = self._gathered(mine, failed=False)
        failed = sorted({owner for owner, row in zip(owners, everything, strict=True) if row[-1] != 0})
        if failed:
            raise EndedWithOthers(f"process {failed[0]} of {self.size} has failed, and says why; this one, "
                                  f"{self.rank}, ends with it")
        nodes = [branch for rank in range(self.size) for branch in self.branches(rank)]
        return _joined(0, self.count, dict(zip(nodes, everything[:, :-1], strict=True)))

    def _gathered(self, mine: Doubles, *, failed: bool) -> tuple[Doubles, list[int]]:
        """Return the rows of all processes, behind each whether that one has failed, and whose they are."""
        owners = [rank for rank in range(self.size) for _ in self.branches(rank)]
        everything = self.gather(np.column_stack((mine, np.full(len(mine), float(failed)))))
        if everything.shape != (len(owners), mine.shape[1] + 1):
            raise ValueError(f"Team: gather returned shape {everything.shape}, expected "
                             f"{(len(owners), mine.shape[1] + 1)}: the sums of all processes, in the order of their "
                             "ranks")
        return everything, owners


def _branches(low: int, high: int, shards: Sequence[int]) -> list[Node]:
    if len(shards) == high - low:
        return [(low, high)]
    if not shards:
        return []
    middle = (low + high) // 2
    place = bisect_left(shards, middle)
    return _branches(low, middle, shards[:place]) + _branches(middle, high, shards[place:])


def _total(low: int, high: int, of_shard: Callable[[int], Doubles]) -> Doubles:
    if high - low == 1:
        return of_shard(low)
    middle = (low + high) // 2
    found = _total(low, middle, of_shard)
    found += _total(middle, high, of_shard)
    return found


def _joined(low: int, high: int, known: dict[Node, Doubles]) -> Doubles:
    if (low, high) in known:
        return known[low, high].copy()
    middle = (low + high) // 2
    found = _joined(low, middle, known)
    found += _joined(middle, high, known)
    return found

"""Samples that are read by blocks: what a group holds, what is checked of it, and sums over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..costs import CLASSES
from ..data.base import Rows
from ..data.order import BLOCKS, Group, Order, blocks
from ..data.reader import Reader
from ..data.source import MEMORY, Blocks, Source
from ..kernels import layout, tables
from ..kernels.layout import NOT_SHUFFLED
from ..util import machine
from ..util.settings import memory as memory_of
from . import arrays, observed
from .architecture import Architecture
from .conversion import fixed
from .request import Request
from .samples import Samples
from .shards import Team

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

READ_BYTES, PIECE_BYTES = 4 * 2**20, 8 * 2**20
"""What is read at a time, and what a pass for cost or gradient has in memory twice, of larger budgets than 16 times
as much: more makes no call cheaper."""


class Sums(NamedTuple):
    """Sums over all samples."""

    values: Doubles
    """Of what was computed, by weights."""
    weight: float
    counted: int
    """Samples that weigh anything."""

    @property
    def mean(self) -> Doubles:
        """What was computed, as the mean over the samples."""
        with np.errstate(all="ignore"):
            return self.values / self.weight


class Streamed:
    """A user's samples that are read by blocks, and checked when they are read first.

    Parameters
    ----------
    architecture : Architecture
    source : Source
    memory : int or str
        Bytes that buffers may take, or text like "256MB".
    check : bool
        Whether numbers are looked at when they are read first.
    team : Team, optional
        With whom sums over all are shared: each process reads its own shards.
    missing : {None, "ignore"}
        Whether NaN among targets is what has not been observed.
    jacobian_weight : float
        λ of the costs of ∂o/∂x, if the source has targets of these.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit the network.
    """

    picked = None
    sparse = signed = False

    def __init__(self, architecture: Architecture, source: Source, memory: Any = MEMORY, check: bool = True,
                 team: Team | None = None, missing: Any = None, jacobian_weight: Any = 1.0) -> None:
        self.architecture, self.source, self.checked = architecture, source, not check
        self.memory, self.team = memory_of("memory", memory), Team() if team is None else team
        self.shared = team is not None
        """Whether processes have parts of them."""
        n_in, n, (X, Y, *weights) = architecture.layers[0], source.rows, source.shapes
        if X != (n_in,):
            raise ValueError(f"X has shape {(n, *X)}, expected (n_samples, {n_in}): the network has {n_in} inputs")
        if n == 0:
            raise ValueError(f"X has shape {(n, *X)}: no rows; expected at least one sample")
        wanted, classes = architecture.target_columns, architecture.layers[-1]
        self.labels = architecture.cost.targets == CLASSES and classes > 1 and Y in ((), (1,))
        if not self.labels and Y != (wanted,) and not (wanted == 1 and Y == ()):
            raise ValueError(f"Y has shape {(n, *Y)}, expected ({n}, {wanted})" + (
                f", or ({n},) class indices" if architecture.cost.targets == CLASSES else ""))
        if self.labels and classes > 2**24 and architecture.dtype == np.float32:
            raise ValueError(f"{classes} classes cannot be told apart in float32: use dtype='float64'")
        self.flat = architecture.n_targets == 1 and Y == ()
        count = architecture.n_targets
        if weights and weights[0] not in ((), (count,)):
            raise ValueError(f"sample_weight has shape {(n, *weights[0])}, expected ({n},), one for each row of X, or "
                             f"({n}, {count}), one for each target")
        self.missing = observed.checked(missing)
        self.partly = self.missing or weights[:1] not in ([], [()])
        """Whether targets may be missing, or have weights of their own."""
        one = self.labels or count == 1 or architecture.cost.by_rows
        self.cost = observed.weighted_cost(architecture) if self.partly and not one else None
        """The network's with weights of single outputs, where these may differ in a row."""
        self.weighted = bool(weights) or self.partly
        self.width = 1 if self.labels else wanted if self.cost is None else self.cost.columns(classes)
        self.slopes = 0 if source.slopes is None else count * n_in
        """Numbers of a sample among targets of ∂o/∂x."""
        self.jacobian = self._jacobian(0)
        self.jacobian_weight = 0.0
        if source.slopes is not None:
            self._check_slopes(source.slopes, jacobian_weight)
            self.jacobian_weight = arrays.jacobian_weight(jacobian_weight)
        self.weights = np.empty(0, architecture.dtype)
        self.total_weight, self.counted = float("nan"), 0
        """Of all samples, once a pass has summed something."""

    def _check_slopes(self, found: Rows, weight: Any) -> None:
        """Raise ValueError if targets of ∂o/∂x do not fit, or not all have the same weight."""
        n_in, count, shape = self.architecture.layers[0], self.architecture.n_targets, found.shape
        if shape[1:] != (self.slopes,) and not (self.slopes == 1 and shape[1:] == ()):
            raise ValueError(f"target_jacobian has {shape[1] if shape[1:] else 1} numbers a row, expected {count} · "
                             f"{n_in}, of ({len(self)}, {count}, {n_in})")
        if self.partly or np.ndim(weight):
            raise ValueError("target_jacobian is given, and samples are read by blocks, where it goes with all "
                             "targets, one weight a sample, and a jacobian_weight that is a number: leave out missing "
                             "and other weights, or give arrays in memory")
        self.architecture.check_tangents("target_jacobian")

    def _jacobian(self, rows: int) -> Array | None:
        """Return room for targets of ∂o/∂x, if there are any."""
        layers, count = self.architecture.layers, self.architecture.n_targets
        return np.empty((rows, count, layers[0]), self.architecture.dtype) if self.slopes else None

    @property
    def kind(self) -> int:
        """What a pass over them computes, see `Samples.kind`."""
        return tables.KIND_SOBOLEV if self.slopes else tables.KIND_PLAIN

    @property
    def usual(self) -> bool:
        """Whether they have one target of each output, see `Samples.usual`."""
        return self.cost is None and not self.slopes

    def __len__(self) -> int:
        return self.source.rows

    # ----------------------------------------------------------------------------------------------------- the budget

    @property
    def row_bytes(self) -> int:
        """Bytes of a sample in memory."""
        numbers = self.architecture.layers[0] + self.width + self.weighted + self.slopes
        return self.architecture.dtype.itemsize * numbers

    @property
    def _unit(self) -> int:
        """Most rows that are read together."""
        units = self.source.units
        return units if isinstance(units, int) else int(np.diff(units).max(initial=1))

    @property
    def _apart(self) -> int:
        """Bytes that are not for groups: what is read at a time, decoded where it must be, and validation."""
        unit = self._unit
        return max(self.memory // 4, self.memory // 8 + (2 * unit * self.source.row_bytes if unit > 1 else 0))

    @property
    def fits(self) -> bool:
        """Whether all of it fits into memory, with an order."""
        return len(self) * (self.row_bytes + 8) + self._apart <= self.memory

    def group(self, batch: int) -> int:
        """Return the number of rows in a group: whole batches, two groups and an order of one in the budget."""
        row = 2 * self.row_bytes + 8
        rows = min((self.memory - self._apart) // row, len(self)) // batch * batch
        if rows <= 0:
            needed = batch * row * 4 // 3 + max(0, self._apart - self.memory // 4) * 4 // 3
            left = max(self.memory - self._apart, 0)
            raise ValueError(f"memory is {self.memory} bytes, of which {left} are left for two groups of whole "
                             f"batches, {batch} samples of {self.row_bytes} bytes each: give at least {needed} bytes, "
                             "or a smaller batch_size")
        return rows

    def in_order(self, group: int, key: int | None) -> Order:
        """Return the groups of epochs; a source that comes in one order has no other."""
        size = max(1, group // BLOCKS)
        if len(self) // size > machine.physical_memory() // 64:
            raise ValueError(f"X has {len(self)} rows, which are too many blocks of {size}: give more memory than "
                             f"{self.memory} bytes")
        return Order(blocks(len(self), size, self.source.units), group, key if self.source.anywhere else None)

    def buffers(self, rows: int) -> list[Samples]:
        """Return two buffers for so many rows."""
        kind, n_in = self.architecture.dtype, self.architecture.layers[0]
        return [Samples(np.empty((rows, n_in), kind), np.empty(rows if self.labels else (rows, self.width), kind),
                        self.labels, np.empty(rows if self.weighted else 0, kind), self._jacobian(rows),
                        self.jacobian_weight, cost=self.cost) for _ in range(2)]

    # --------------------------------------------------------------------------------------------------------- reading

    def load(self) -> Samples:
        """Return all of it in memory, checked as a user's arrays are."""
        n, kind = len(self), self.architecture.dtype
        found = [np.empty((n, *shape), np.float64 if self.labels and k == 1 else kind)
                 for k, shape in enumerate(self.source.shapes)]
        reader = self.source.open()
        for start, stop in self._parts(0, n):
            reader.read(start, stop, [part[start:stop] for part in found])
        jacobian = self._jacobian(n)
        if jacobian is not None:
            for start, stop in self._parts(0, n):
                self._read_slopes(start, stop, jacobian[start:stop])
        X, Y, weights = found[0], found[1], found[2] if found[2:] else None
        if self.partly:
            missing = "ignore" if self.missing else None
            return observed.samples(self.architecture, X, Y, weights, None, 1.0, missing, sparse=False)
        return arrays.samples(self.architecture, X, Y, weights, jacobian, self.jacobian_weight, sparse=False,
                              empty=False)

    @property
    def own_bytes(self) -> int:
        """Bytes that `load_shard` copies for all shards of this process, and an order of their rows."""
        total, widths = 0, (self.architecture.layers[0], self.width, 1)
        for start, stop in (self.team.rows(len(self), shard) for shard in self.team.shards()):
            if start < stop:
                lying = self._lying(Group(0, 0, [(start, stop)]))
                there = sum(width for width, array in zip(widths, lying, strict=False) if array is not None)
                total += (stop - start) * (self.row_bytes + 8 - self.architecture.dtype.itemsize * there)
        return total

    def load_shard(self, shard: int) -> Samples:
        """Return the rows of a shard, checked; what lies in memory as kernels read it stays there."""
        start, stop = self.team.rows(len(self), shard)
        buffer = self.buffers(stop - start)[0]
        if start == stop:
            return buffer
        checked = self.checked
        reader = self.reader([Group(0, 0, [(start, stop)])], [buffer], unchecked=lambda group: checked)
        found = reader.during(reader.next)
        assert found is not None
        return found[1]

    def _read_slopes(self, start: int, stop: int, out: Array) -> None:
        """Overwrite targets of ∂o/∂x by those of some rows."""
        assert isinstance(self.source, Blocks)
        self.source.read_slopes(start, stop, out.reshape(stop - start, self.slopes))

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield what is read at a time of some rows."""
        some = max(1, min(READ_BYTES, self.memory // 16) // max(self.source.row_bytes, self.row_bytes))
        for first in range(start, stop, some):
            yield first, min(first + some, stop)

    def reader(self, groups: Iterable[Group], buffers: list[Samples], *,
               unchecked: Callable[[Group], bool]) -> Reader[Group, Samples, Samples]:
        """Return what reads groups ahead into buffers, and gives the samples of each.

        Numbers that lie in memory as kernels read them stay there, if a group is of one piece. Class indices are always
        copied and looked at, other numbers are looked at unless a group is ``unchecked``.
        """
        source, classes = self.source.open(), self.architecture.layers[-1]

        def fill(buffer: Samples, group: Group, look: Callable[[], None]) -> Samples:
            at, skip = 0, unchecked(group)
            samples, lying = buffer.part(slice(0, group.rows)), self._lying(group)
            for name, there in zip(("inputs", "targets", "weights"), lying, strict=False):
                if there is not None:
                    setattr(samples, name, there.reshape(getattr(samples, name).shape))
            for piece, following in zip_longest(group.pieces, group.pieces[1:]):
                if following is not None:
                    source.announce(*following)
                for start, stop in self._parts(*piece):
                    look()
                    part = samples.part(slice(at, at + stop - start))
                    first = self.source.begin + start
                    if self.partly:
                        self._fill_partly(source, start, stop, part, lying[0] is None, not skip)
                    else:
                        out = part.inputs, part.targets.reshape(stop - start, *self.source.shapes[1]), part.weights
                        source.read(start, stop, [array if there is None else None  # type: ignore[misc]
                                                  for array, there in zip(out, lying, strict=False)])
                        if self.labels:
                            arrays.class_indices(part.targets, classes, first)
                        if part.jacobian is not None:
                            self._read_slopes(start, stop, part.jacobian)
                        if not skip:
                            arrays.part(self.architecture, part, first)
                    at += stop - start
            return samples

        return Reader(groups, fill, buffers)

    def _lying(self, group: Group) -> list[Array | None]:
        """Return X, Y and perhaps weights of a group where they lie in memory as kernels read them; None where not."""
        found: list[Array | None] = [None] * len(self.source.shapes)
        if len(group.pieces) == 1:
            found = [None if there is None else fixed(there)
                     for there in self.source.lying(*group.pieces[0], self.architecture.dtype)]
            if self.partly:
                found[1:] = [None] * (len(found) - 1)
            if self.labels:
                found[1] = None
        return found

    def _fill_partly(self, source: Any, start: int, stop: int, part: Samples, inputs: bool, check: bool) -> None:
        """Read some rows, of X where it does not lie in memory, whose targets may be missing or have weights."""
        arrays = [np.empty((stop - start, *shape), self.architecture.dtype) for shape in self.source.shapes[1:]]
        source.read(start, stop, [part.inputs if inputs else None, *arrays])
        Y = arrays[0].reshape(-1) if self.labels else arrays[0].reshape(stop - start, -1)
        observed.fill(self.architecture, part, Y, arrays[1] if arrays[1:] else None, self.missing,
                      self.source.begin + start, check)

    def no_weight(self) -> ValueError:
        """Return the error that nothing weighs anything."""
        if self.missing:
            return ValueError("no target counts: all are missing, or have weight 0; expected one at least")
        return ValueError("sample_weight is 0 for every sample, expected at least one positive weight")

    # ------------------------------------------------------------------------------------------------- sums over all

    def piece(self) -> int:
        """Return the number of rows that a pass for cost or gradient has in memory at a time."""
        return max(1, min(PIECE_BYTES, self.memory // 16) // self.row_bytes)

    def sums(self, size: int, compute: Callable[[Samples], Doubles], buffers: list[Samples] | None = None) -> Sums:
        """Sum, by weights and in the order of shards, what is the mean of some samples, (size,).

        ``compute`` is called with pieces of this process's shards, and may overwrite what it has returned.
        """
        team, most = self.team, self.piece()
        shards = team.shards()
        if not self.source.anywhere and len(shards) < team.count:
            raise ValueError("X is a Stream, which is read from its first row on: it cannot be shared by processes")
        pieces = (Group(shard, at, [(at, min(at + most, stop))]) for shard in shards
                  for start, stop in (team.rows(len(self), shard),) for at in range(start, stop, most))
        buffers = buffers or self.buffers(min(most, len(self)))
        checked = self.checked
        reader = self.reader(pieces, buffers, unchecked=lambda group: checked)
        held: tuple[Group, Samples] | None = None

        def of_shard(shard: int) -> Doubles:
            nonlocal held
            found = np.zeros(size + 2)
            while (held := held or reader.next()) is not None and held[0].epoch == shard:
                samples = held[1]
                weight = samples.total_weight
                if weight > 0:
                    found[:size] += weight * compute(samples)
                found[size:] += weight, samples.counted
                held = None
            return found

        total = reader.during(lambda: team.summed(size + 2, of_shard))
        if total[size] == 0:
            raise self.no_weight()
        self.checked, self.total_weight, self.counted = True, float(total[size]), int(total[size + 1])
        return Sums(total[:size], self.total_weight, self.counted)

    def in_pieces(self, use: Callable[[int, Samples], None]) -> None:
        """Call a function with each piece of all samples, in their order, and the number of its first row."""
        most, checked = self.piece(), self.checked
        pieces = (Group(0, at, [(at, min(at + most, len(self)))]) for at in range(0, len(self), most))
        reader = self.reader(pieces, self.buffers(min(most, len(self))), unchecked=lambda group: checked)

        def read() -> None:
            while (found := reader.next()) is not None:
                use(found[0].number, found[1])

        reader.during(read)
        self.checked = True

    # ------------------------------------------------------------------------------------- what passes ask of samples

    def part(self, rows: slice) -> Streamed:
        """Return some rows."""
        start, stop, _ = rows.indices(len(self))
        return Streamed(self.architecture, self.source.part(start, stop), self.memory, not self.checked,
                        self.team if self.shared else None, "ignore" if self.missing else None,
                        self.jacobian_weight)

    def request(self, batch: int, threads: int = 1, kind: int | None = None) -> Request:
        """Return what a pass forward and back needs for batches of them."""
        return Request(batch, True, threads, self.kind if kind is None else kind, False, self.weighted, cost=self.cost,
                       jacobian=self.jacobian, jacobian_weight=self.jacobian_weight)

    def order(self) -> npt.NDArray[np.int64]:
        """Return no order: each group has its own."""
        return NOT_SHUFFLED

    def data(self, order: npt.NDArray[np.int64] = NOT_SHUFFLED) -> layout.Data:
        """Return what kernels read before there is a group: nothing."""
        return self.nothing().data(order)

    def nothing(self) -> Samples:
        """Return what they are in memory, without rows."""
        return self.buffers(0)[0]

"""The samples of the fits of `fit_many` that need not lie in memory: loaded if there is room, else read by blocks."""

from __future__ import annotations

import math
from typing import Any

from ..core import observed
from ..core.streamed import Streamed
from ..data.base import Picked
from ..data.source import MEMORY, Blocks, Source, beyond_memory, in_memory, loaded, source
from ..data.stream import Stream
from ..util.settings import memory as memory_of
from .progress import Trainable
from .shared_samples import Given, SharedSamples, indices


def samples_of(networks: list[Trainable], X: Any, Y: Any, weights: Any, rows: Any, validation_rows: Any, missing: bool,
               memory: Any, threads: int) -> tuple[SharedSamples | SharedSources, float]:
    """Return the samples of all networks, and the bytes that are left for orders of those that are in memory."""
    given = networks, X, Y, weights, rows, validation_rows, missing
    if in_memory(X, Y, memory):
        return SharedSamples(*given), math.inf
    sources = SharedSources(*given, memory=memory_of("memory", MEMORY if memory is None else memory))
    left = sources.room(threads)
    return (sources, 0.0) if left is None else (sources.loaded(), left)


class SharedSources(Given):
    """The sources of all networks: each fit loads its own when it begins, if that fits, or reads it by blocks.

    Parameters
    ----------
    memory : int
        Bytes that a fit may take for its samples, as by itself; so fits are done in turn.
    """

    def __init__(self, *given: Any, memory: int) -> None:
        super().__init__(*given)
        if self.missing is not None:
            self.Y = [self._once(("holes", id(Y)), observed.with_holes, Y) for Y in self.Y]
        self.memory = memory

    def samples(self, i: int) -> Streamed:
        """Return what network i is trained on, of which nothing has been read yet."""
        return self._streamed(i, "rows", self.rows[i], self.weights[i])

    def validation(self, i: int) -> Streamed | None:
        """Return what network i is validated with."""
        rows = self.validation_rows[i]
        return None if rows is None else self._streamed(i, "validation_rows", rows, None)

    def _source(self, i: int, weights: Any) -> Source:
        X, Y = self.X[i], self.Y[i]
        found: Source = self._once((id(X), id(Y), id(weights)), source, X, Y, weights)
        return found

    def _streamed(self, i: int, name: str, rows: Any, weights: Any) -> Streamed:
        found = self._source(i, weights)
        if rows is not None:
            found = self._picked(found, name, rows)
        return Streamed(self.networks[i]._architecture, found, self.memory, missing=self.missing)

    def _picked(self, every: Source, name: str, rows: Any) -> Source:
        if not isinstance(every, Blocks):
            raise ValueError(f"{name} is given, but X is a Stream, whose rows come in one order, and do not fit into "
                             f"memory, {self.memory} bytes: leave it out, give more memory, or a factory of those rows")
        picked = self._once((name, id(rows), every.rows), indices, name, rows, every.rows)
        X, Y, weights = (None if part is None else Picked(part, picked) for part in (*every.parts, None)[:3])
        assert X is not None
        assert Y is not None
        return Blocks(X, Y, weights)

    # ---------------------------------------------------------------------------------------------- all in memory

    def room(self, threads: int) -> int | None:
        """Return the bytes that are left where all samples are in memory at a time; None where they are not to be.

        They are where each fit alone would load its own, so that it has the bits of that, and there is room for all,
        and for an order of the samples in each thread.
        """
        needed, order = dict[tuple[int, Any], int](), 0
        for i, network in enumerate(self.networks):
            try:
                whole = Streamed(network._architecture, self._source(i, self.weights[i]), self.memory,
                                 missing=self.missing)
                own = [whole] if isinstance(self.X[i], Stream) else [self.samples(i), self.validation(i)]
            except (ValueError, TypeError):
                return None  # it is raised again where the network is named
            if not all(each is None or each.fits for each in own):
                return None
            for value, numbers in self._sizes(i, whole.source):
                needed[id(value), network.dtype] = numbers * network.dtype.itemsize
            order = max(order, 16 * max(len(each) for each in own if each is not None))
        left = self.memory - self.memory // 4 - sum(needed.values())
        return left if left >= threads * order else None

    def _sizes(self, i: int, found: Source) -> list[tuple[Any, int]]:
        """Return what is to be loaded for network i, each with its count of numbers."""
        counts = [found.rows * math.prod(shape) for shape in found.shapes]
        if isinstance(self.X[i], Stream):
            return [(self.X[i], sum(counts))]
        given = self.X[i], self.Y[i], self.weights[i]
        return [(value, count) for value, count in zip(given, counts, strict=False) if beyond_memory(value)]

    def loaded(self) -> SharedSamples:
        """Return all samples in memory; arrays that lie there stay where they are."""
        X, Y, weights = (list(each) for each in zip(*map(self._loaded, range(len(self.networks))), strict=True))
        kinds = {network.dtype for network in self.networks}
        one = len(kinds) == 1 and not (self.several_inputs or self.several_targets)
        return SharedSamples(self.networks, X[0] if one else X, Y[0] if one else Y, weights, self.rows,
                             self.validation_rows, self.missing is not None)

    def _loaded(self, i: int) -> tuple[Any, Any, Any]:
        """Return X, Y and weights of network i in memory, sources as numbers of its dtype."""
        kind = self.networks[i].dtype

        def found(value: Any, name: str) -> list[Any]:
            if not beyond_memory(value):
                return [value]
            arrays: list[Any] = self._once(("loaded", id(value), kind), loaded, value, name, kind)
            return arrays

        X, *others = found(self.X[i], "X")
        if others:
            return X, others[0], others[1] if others[1:] else None
        return X, *found(self.Y[i], "Y"), *found(self.weights[i], "sample_weight")

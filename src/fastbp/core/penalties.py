"""What a regularisation is to the kernels: a table over the flat buffer, what is fixed, second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ..kernels import tables
from ..kernels.tables import (
    FACTOR,
    FACTOR_COLUMNS,
    REGULAR,
    REGULAR_TABLE,
    SEGMENT,
    SEGMENT_COLUMNS,
    SEGMENT_DECAY,
    SEGMENT_L1,
    SEGMENT_L2,
)
from ..kernels.updates import penalties as kernels
from ..regularization import Regularization
from ..schedules import number
from .architecture import Architecture

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]

SHORT = 32
"""Neurons with at most so many weights have a cell for each of them, and no sums: those would take longer."""


class Stretch(NamedTuple):
    """A part of the flat buffer whose parameters have the same factors."""

    begin: int
    end: int
    rate: float
    """Factor of the learning rate."""
    decay: float
    """Factor of decoupled weight decay."""


class Place(NamedTuple):
    """A number of the table that follows a schedule."""

    setting: str
    """Name of the setting."""
    schedule: Callable[..., float]
    cell: int
    factor: float
    """What its values are multiplied by."""


PULLS = {"l2": SEGMENT_L2, "l1": SEGMENT_L1, "weight_decay": SEGMENT_DECAY}
"""Settings that pull at weights, and their columns."""


def _decay_factor(factors: Sequence[Stretch], begin: int) -> float:
    """Return what the decay λ of a stretch is multiplied by, where a step takes μλ: the factors of both."""
    return next((row.rate * row.decay for row in factors if row.begin <= begin < row.end), 1.0)


class Segment(NamedTuple):
    """A row of the table: the cells of `tables.SEGMENT`."""

    begin: int
    end: int
    row: int
    piece: int
    cell: int
    l2: float = 0.0
    l1: float = 0.0
    decay: float = 0.0
    largest: float = 0.0
    non_negative: float = 0.0
    trained: float = 1.0

    def continues(self, before: Segment) -> bool:
        """Return whether it could begin where another row of the table ends."""
        alone = self.largest or max(self.piece, before.piece) > 1
        return self.begin == before.end and not alone and self[SEGMENT_L2:] == before[SEGMENT_L2:]


def numbers(regularization: Regularization, architecture: Architecture, hyper: Numbers, *, rule: int = 0,
            total: int = 0, fixed: int = 0, factors: Sequence[Stretch] = (), ungrouped: int = 0) -> Numbers:
    """Return what `kernels.updates.penalties` reads: an optimizer's numbers, and behind them those of the penalties.

    Parameters
    ----------
    regularization
        One that fits the architecture.
    architecture
        Of the network.
    hyper
        The optimizer's numbers; they are copied.
    rule, total
        Addresses of the update rule and of `kernels.updates.penalties.total`, or 0 for penalties alone.
    fixed
        Where in the state the values of fixed parameters lie, if there are any.
    factors, ungrouped
        Factors of groups of parameters, of all stretches of the flat buffer; and then the address of the rule that
        ``kernels.updates.groups.update``, at ``rule``, calls.
    """
    if factors:
        found = _table(regularization, architecture, rule, total, fixed, ungrouped, factors)
    else:
        kept = _TABLES.setdefault(architecture, WeakKeyDictionary()).setdefault(regularization, {})
        asked = rule, total, fixed, ungrouped
        if asked not in kept:
            kept[asked] = _table(regularization, architecture, *asked)
        found = kept[asked].copy()
    found[: tables.HYPER_COUNT] = hyper
    found[tables.HYPER_BATCH_WEIGHT] = 1  # which `online` writes only where samples have weights
    return found


_TABLES: WeakKeyDictionary[Architecture, WeakKeyDictionary[Regularization, dict[tuple[int, ...], Numbers]]] = \
    WeakKeyDictionary()
"""What `numbers` has made without factors, none of which can change: 16 µs of each fit."""


def _table(regularization: Regularization, architecture: Architecture, rule: int, total: int, fixed: int,
           ungrouped: int, factors: Sequence[Stretch] = ()) -> Numbers:
    """Return these numbers without those of an optimizer."""
    sizes, count = architecture.sizes, len(architecture.sizes) - 1
    masked = regularization.trainable is not None and len(regularization.trainable) != count
    trained: Any = (True,) * count if regularization.trainable is None or masked else regularization.trainable
    pulls = [regularization.of_layers(name, count) for name in PULLS]
    largest = [bound or 0.0 for bound in regularization.of_layers("max_norm", count)]
    non_negative = regularization.of_layers("non_negative", count)
    rows: list[Segment] = []
    cells, alone, clips = 0, False, bool(regularization.clip_norm)
    if architecture.encoding is not None and clips:  # the squares of their gradients
        for begin, units, unit in architecture.encoding.segments():
            piece = unit if unit > SHORT else 1
            rows.append(Segment(begin, begin + units * unit, unit, piece, cells))
            cells += units * unit // piece
    starts = zip(architecture.weights, architecture.biases, architecture.alphas, strict=True)
    for layer, (w, b, a) in enumerate(starts):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        for begin, length in ((w, n_in), (b, 1), (a, 1)):
            if begin < 0:
                continue
            pulled = begin == w or begin == b and regularization.penalize_biases
            if not pulled and trained[layer] and not clips:
                continue
            given: list[Any] = [pull[layer] for pull in pulls] if pulled else [0.0, 0.0, 0.0]
            scheduled, penalized = any(map(callable, given)), any(map(callable, given[:2]))
            l2, l1, decay = map(number, given)
            if decay and factors:
                decay *= _decay_factor(factors, begin)
            bound, sign = (largest[layer], float(non_negative[layer])) if begin == w else (0.0, 0.0)
            if not (scheduled or l2 or l1 or decay or bound or sign or not trained[layer] or clips):
                continue
            piece = length if length > SHORT else 1
            row = Segment(begin, begin + length * n_out, length, piece, cells, l2, l1,
                          decay, bound, sign, float(trained[layer]))
            if l2 or l1 or penalized or clips:
                cells += length * n_out // piece
            if rows and not scheduled and not alone and row.continues(rows[-1]):
                rows[-1] = rows[-1]._replace(end=row.end)
            else:
                rows.append(row)
            alone = scheduled  # such a row has numbers of its own
    behind = REGULAR_TABLE + SEGMENT_COLUMNS * len(rows)
    start_of_cells = behind + FACTOR_COLUMNS * len(factors)
    first = start_of_cells + cells
    found = np.zeros(first + cells)
    found[REGULAR.start : REGULAR_TABLE].view(REGULAR.dtype)[0] = (
        rule, total, regularization.per_sample, regularization.clip_value or 0.0, regularization.clip_norm or 0.0,
        fixed if masked else -1, len(rows), behind, len(factors), ungrouped, first)
    found[REGULAR_TABLE:behind].view(SEGMENT.dtype)[:] = [row._replace(cell=row.cell + first) for row in rows]
    for start, stretch in zip(range(behind, start_of_cells, FACTOR_COLUMNS), factors, strict=True):
        own = FACTOR.view(found[start : start + FACTOR_COLUMNS])
        own["begin"], own["end"], own["rate"], own["decay"] = stretch
    return found


def followed(regularization: Regularization, architecture: Architecture, table: Numbers,
             factors: Sequence[Stretch] = ()) -> Iterator[Place]:
    """Yield which numbers of a table that `numbers` has made follow a schedule."""
    count = len(architecture.layers) - 1
    layers = {place: i for i, place in enumerate(architecture.weights)}
    if regularization.penalize_biases:
        layers |= {place: i for i, place in enumerate(architecture.biases)}
    for i in range(int(REGULAR.view(table)["segments"])):
        start = REGULAR_TABLE + i * SEGMENT_COLUMNS
        begin = int(SEGMENT.view(table[start : start + SEGMENT_COLUMNS])["begin"])
        for name, column in PULLS.items() if begin in layers else ():
            value = regularization.of_layers(name, count)[layers[begin]]
            if callable(value):
                factor = _decay_factor(factors, begin) if column == SEGMENT_DECAY else 1.0
                yield Place(name, value, start + column, factor)


def fixed(regularization: Regularization, parameters: Array) -> Array:
    """Return the values of single parameters that are fixed, NaN for the others; empty where none is."""
    if regularization.trainable is None or len(regularization.trainable) != parameters.size:
        return parameters[:0]
    return np.where(regularization.trainable, np.array(np.nan, parameters.dtype), parameters)


def untrained(regularization: Regularization, architecture: Architecture) -> npt.NDArray[np.bool_]:
    """Return which parameters stay as they are."""
    trainable, total = regularization.trainable, architecture.n_parameters
    if trainable is None:
        return np.zeros(total, np.bool_)
    if len(trainable) == total:
        return ~np.asarray(trainable)
    of_layers = np.repeat(np.asarray(trainable), np.diff([*architecture.weights, total]))
    return ~np.concatenate((np.ones(architecture.weights[0], np.bool_), of_layers))  # encoders come first


def second_derivatives(regularization: Regularization, architecture: Architecture, weight: float) -> Numbers:
    """Return the penalty's second derivatives for a batch of this total weight, laid out like the parameters."""
    sizes, found = architecture.sizes, np.zeros(architecture.n_parameters)
    for layer, l2 in enumerate(regularization.of_layers("l2", len(sizes) - 1)):
        w, b = architecture.weights[layer], architecture.biases[layer]
        found[w : w + sizes[layer] * sizes[layer + 1]] = l2
        if b >= 0 and regularization.penalize_biases:
            found[b : b + sizes[layer + 1]] = l2
    return found / weight if regularization.per_sample else found


def penalty(regularization: Regularization, architecture: Architecture, parameters: Array,
            weight: float) -> Callable[[Array], float]:
    """Return the function that computes a batch's penalty and adds its gradient to another, if that has room."""
    table, kept = numbers(regularization, architecture, np.zeros(tables.HYPER_COUNT)), fixed(regularization, parameters)
    table[[tables.HYPER_BATCH_WEIGHT, tables.REGULAR_CLIP]] = weight, 0.0
    sums = table[REGULAR.view(table)["penalties"] :]

    def penalize(gradient: Array) -> float:
        sums[:] = 0
        kernels.update(parameters, gradient if gradient.size else np.zeros_like(parameters), kept, 0, parameters.size,
                       0, table)
        return float(sums.sum()) / weight

    return penalize

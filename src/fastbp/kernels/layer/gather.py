"""How samples get into panels and out of them: rows by index, from arrays and sparse matrices; labels; weights."""

from ..compile import VECTOR_BYTES, by_address, inline
from ..compile.arguments import Doubles, Floats, IntegerPointer, Integers, ReadOnly
from ..ir import FEW, copy_vector, gather_few, gather_square, lanes, least, stack, transpose, view
from ..tables import (
    CELL_GATHER,
    CELL_GATHER_INPUTS,
    CELL_GATHER_LABELS,
    CELL_GATHER_TARGETS,
    CELL_GATHER_WEIGHTS,
    CELL_SCATTER,
    CELL_TARGET_COLUMNS,
    CELL_TOTAL_WEIGHT,
    HYPER_BATCH_WEIGHT,
)
from .dense import column

MOST_LANES = VECTOR_BYTES // 4
"""Numbers in a vector of the narrower dtype."""


@inline
def gather_strip(rows, order, one, end, n, panels, place, starts, lane):
    """Bring the rows of the samples order[one:end], as many as a strip takes, to ``place``; overwrites ``starts``."""
    if order.size > 0 and one + lane <= end:  # in vectors, as the choices of the other loop cannot be
        mine = view(order, one, lane)
        for v in range(lane):
            starts[v] = mine[v] * n
    else:
        for v in range(lane):
            i = least(one + v, end - 1)
            starts[v] = (order[i] if order.size > 0 else i) * n
    k = 0
    while k + 2 * FEW < n:
        k += gather_square(rows, starts, k, n - k, panels, place + k * lane)
    while k < n:
        k += gather_few(rows, starts, k, n - k, panels, place + k * lane)


@by_address(CELL_GATHER)
def gather(rows: ReadOnly, structure: IntegerPointer, order: Integers, begin: int, end: int, n: int, panels: Floats,
           target: int, transposed: int, strips: int, first: int, last: int) -> None:
    """Bring rows order[begin:end] into strips first..last of a panel.

    An empty order takes the rows as they come. A lane past the end repeats the last sample, so that padding is finite
    wherever the samples are.

    The copy at ``transposed`` is for `gather_transposed`, which stands in for this. Dense rows have no ``structure``,
    so any pointer will do: it is for `gather_sparse`, and where it gathers targets the cells of the plan, for
    `gather_columns`.
    """
    lane = lanes(panels)
    starts = stack(begin, MOST_LANES)
    for s in range(first, last):
        gather_strip(rows, order, begin + s * lane, end, n, panels, target + s * n * lane, starts, lane)


@by_address(CELL_GATHER_INPUTS)
def gather_transposed(rows: ReadOnly, structure: IntegerPointer, order: Integers, begin: int, end: int, n: int,
                      panels: Floats, target: int, transposed: int, strips: int, first: int, last: int) -> None:
    """Do what `gather` does, by way of the panel's copy with neurons in lanes, which is made too.

    So rows are read one after the other, which the processor foresees; sixteen at a time it does not.
    """
    lane = lanes(panels)
    for s in range(first, last):
        for v in range(lane):
            i = least(begin + s * lane + v, end - 1)
            row = (order[i] if order.size > 0 else i) * n
            place = transposed + (s * lane + v) * lane
            for k in range(0, n, lane):
                copy_vector(rows, row + k, n - k, panels, place)
                place += column(strips, lane)
        place = transposed + s * lane * lane
        for k in range(0, n, lane):
            transpose(panels, place, panels, target + (s * n + k) * lane, n - k)
            place += column(strips, lane)


@by_address(CELL_GATHER_INPUTS)
def gather_sparse(values: ReadOnly, structure: IntegerPointer, order: Integers, begin: int, end: int, n: int,
                  panels: Floats, target: int, transposed: int, strips: int, first: int, last: int) -> None:
    """Do what `gather` does with the rows of a sparse matrix (CSR), of which a block is made dense.

    ``structure`` is that of `layout.Data`. Values of one place add up.
    """
    lane = lanes(panels)
    for s in range(first, last):
        strip = view(panels, target + s * n * lane, n * lane)
        for i in range(strip.size):
            strip[i] = 0
        if transposed >= 0:
            for k in range(0, n, lane):
                square = view(panels, transposed + s * lane * lane + k // lane * column(strips, lane), lane * lane)
                for i in range(square.size):
                    square[i] = 0
        for v in range(lane):
            row = least(begin + s * lane + v, end - 1)
            if order.size > 0:
                row = order[row]
            for i in range(structure[row], structure[row + 1]):
                k, value = structure[i], values[i - structure[0]]
                strip[k * lane + v] += value
                if transposed >= 0:
                    panels[transposed + k // lane * column(strips, lane) + (s * lane + v) * lane
                           + k % lane] += value


@by_address(CELL_GATHER_TARGETS)
def gather_columns(rows: ReadOnly, structure: IntegerPointer, order: Integers, begin: int, end: int, n: int,
                   panels: Floats, target: int, transposed: int, strips: int, first: int, last: int) -> None:
    """Do what `gather` does with rows of fewer numbers than a panel has, n; leaves its other rows.

    ``structure`` points to the cells of the plan, which say how many.
    """
    lane, columns = lanes(panels), structure[CELL_TARGET_COLUMNS]
    for s in range(first, last):
        strip = view(panels, target + s * n * lane, columns * lane)
        for v in range(lane):
            i = least(begin + s * lane + v, end - 1)
            row = (order[i] if order.size > 0 else i) * columns
            for k in range(columns):
                strip[k * lane + v] = rows[row + k]


@by_address(CELL_GATHER_LABELS)
def gather_labels(labels: ReadOnly, order: Integers, begin: int, end: int, classes: int, panels: Floats, target: int,
                  first: int, last: int) -> None:
    """One-hot targets from class indices, for strips first..last."""
    lane, whole = lanes(panels), type(begin)
    size = classes * lane
    strips = view(panels, target + first * size, (last - first) * size)
    for i in range(strips.size):
        strips[i] = 0
    for v in range((last - first) * lane):
        i = least(begin + first * lane + v, end - 1)
        label = whole(labels[order[i] if order.size > 0 else i])
        strips[v // lane * size + label * lane + v % lane] = 1


@by_address(CELL_GATHER_WEIGHTS)
def gather_weights(weights: ReadOnly, order: Integers, begin: int, end: int, total: float, panels: Floats, target: int,
                   first: int, last: int) -> None:
    """Each sample's share of the mean, w/Σw, for strips first..last; 0 in padding lanes, and all 0 if Σw is."""
    lane = lanes(panels)
    row = view(panels, target + first * lane, (last - first) * lane)
    real = type(row[0])
    share = 1.0 / total if total > 0.0 else 0.0
    for v in range(row.size):
        i = begin + first * lane + v
        if i >= end:
            row[v] = real(0)
        elif weights.size == 0:
            row[v] = real(share)
        else:
            row[v] = real(float(weights[order[i] if order.size > 0 else i]) * share)


@by_address(CELL_TOTAL_WEIGHT)
def total_weight(weights: ReadOnly, order: Integers, begin: int, end: int, hyper: Doubles) -> None:
    """Overwrite the weight of the batch in ``hyper`` with that of samples order[begin:end]; every thread does."""
    total = 0.0
    for i in range(begin, end):
        total += float(weights[order[i] if order.size > 0 else i])
    hyper[HYPER_BATCH_WEIGHT] = total


@by_address(CELL_TOTAL_WEIGHT)
def count(weights: ReadOnly, order: Integers, begin: int, end: int, hyper: Doubles) -> None:
    """Do what `total_weight` does where weights of both signs are factors: the mean is one over so many samples."""
    hyper[HYPER_BATCH_WEIGHT] = float(end - begin)


@by_address(CELL_SCATTER)
def scatter(panels: Floats, source: int, n: int, begin: int, end: int, rows: Floats) -> None:
    """Write a panel's samples begin..end as rows of the flat array ``rows``, (samples, n)."""
    lane = lanes(panels)
    for i in range(begin, end):
        s, v = (i - begin) // lane, (i - begin) % lane
        strip = view(panels, source + s * n * lane, n * lane)
        row = view(rows, i * n, n)
        for j in range(n):
            row[j] = strip[j * lane + v]

"""The first layer's products from the non-zeros of X alone: net_j and the gradient, neurons in lanes.

A row of X with few non-zeros reads few weights of a neuron, far from each other. So COLUMNS are taken at a time: the
weights of one or two vectors of neurons for these are transposed, so that neurons are in lanes, and each non-zero then
adds one product a vector. The gradient goes the same way back. Weights are read row by row, once a block of samples,
and those of columns of which no sample has a non-zero are left out, a 64th of COLUMNS at a time.

Sums have the order of those of `dense`, from the bias on over ascending columns, and over ascending samples: products
with 0 are left out, which changes no bit of a finite sum.

The columns of a row ascend, and are all there are (`core.sparse`). Those of sample i of a block stand in ``structure``
from ranges[2i] to ranges[2i + 1], none for padding. places[2i] and places[2i + 1] are where its non-zeros of the
present columns begin and end; a sweep begins with column 0 and leaves none out.
"""

from ..compile import VECTOR_BYTES, by_address, inline
from ..compile.arguments import Floats, IntegerPointer, Integers, ReadOnly
from ..ir import (
    copy_vector,
    gather_square,
    lanes,
    least,
    pointer,
    scatter_square,
    spread_nonzeros,
    stack,
    sum_nonzeros,
    transpose,
    view,
)
from ..layout import SCRATCH_BYTES
from ..tables import CELL_SPARSE_FORWARD, CELL_SPARSE_GRADIENT, CELL_SPARSE_RANGES
from .gather import MOST_LANES

COLUMNS, PAIR_COLUMNS = SCRATCH_BYTES // VECTOR_BYTES, SCRATCH_BYTES // VECTOR_BYTES // 2
"""Columns that are taken at a time, with one vector of neurons and with two. The fewer, the more often a row's next
non-zero is none of them, which the processor does not foresee."""


def scratch_size(lane: int, samples: int) -> int:
    """Return the numbers in a thread's scratch: weights or sums of columns, net inputs or deltas of a block."""
    return (COLUMNS + 2 + 2 * samples) * lane


@inline
def advance(structure, ranges, places, first, last, k0, k1, part):
    """Move samples on to the non-zeros of columns k0 to k1; return a bit for each ``part`` columns that have any."""
    touched = 0
    for i in range(first, last):
        p, end = places[2 * i + 1] if k0 > 0 else ranges[2 * i], ranges[2 * i + 1]
        places[2 * i] = p
        while p < end and structure[p] < k1:
            touched |= 1 << (structure[p] - k0) // part
            p += 1
        places[2 * i + 1] = p
    return touched


@by_address(CELL_SPARSE_RANGES)
def find_rows(structure: IntegerPointer, order: Integers, begin: int, end: int, ranges: IntegerPointer, first: int,
              last: int) -> None:
    """Overwrite where the non-zeros of samples order[begin:end] stand, for samples first..last of a block."""
    for i in range(first, last):
        ranges[2 * i] = ranges[2 * i + 1] = 0
        if begin + i < end:
            row = order[begin + i] if order.size > 0 else begin + i
            ranges[2 * i], ranges[2 * i + 1] = structure[row], structure[row + 1]


@by_address(CELL_SPARSE_FORWARD)
def forward(parameters: Floats, weights: int, bias: int, panels: Floats, target: int, n_in: int, n_out: int,
            values: ReadOnly, structure: IntegerPointer, ranges: IntegerPointer, places: IntegerPointer, samples: int,
            first: int, last: int, scratch: int) -> None:
    """net_j = Σ_k w_jk x_k + b_j (1) for strips first..last; overwrites the panel at ``target`` (n_out rows).

    Strips are padded with copies of the last of the block's ``samples``.
    """
    lane, structure = lanes(panels), pointer(structure)  # from Python it comes as an array
    begin, end, base = first * lane, least(last * lane, samples), structure[0]
    part, pair = PAIR_COLUMNS // 64, (PAIR_COLUMNS + 1) * lane
    nets, apart = scratch + 2 * pair, (last - first) * lane * lane
    starts = stack(begin, MOST_LANES)
    for j0 in range(0, n_out, 2 * lane):
        vectors = 2 if j0 + lane < n_out else 1
        for v in range(vectors):
            j = j0 + v * lane
            for i in range(end - begin):
                copy_vector(parameters, bias + j if bias >= 0 else weights, n_out - j if bias >= 0 else 0, panels,
                            nets + v * apart + i * lane)
        for k0 in range(0, n_in, PAIR_COLUMNS):
            k1 = least(k0 + PAIR_COLUMNS, n_in)
            touched = advance(structure, ranges, places, begin, end, k0, k1, part)
            for v in range(vectors):
                for m in range(lane):
                    starts[m] = weights + least(j0 + v * lane + m, n_out - 1) * n_in
                for k in range(k0, k1, lane):
                    if touched >> (k - k0) // part & 1 != 0:
                        gather_square(parameters, starts, k, n_in - k, panels, scratch + v * pair + (k - k0) * lane)
            for i in range(begin, end):
                p, count = places[2 * i], places[2 * i + 1] - places[2 * i]
                if count > 0:
                    sum_nonzeros(values, p - base, structure, p, count, k0, panels, scratch, pair,
                                 nets + (i - begin) * lane, apart, vectors)
        for v in range(vectors):
            j, net = j0 + v * lane, nets + v * apart
            for i in range(end - begin, (last - first) * lane):
                copy_vector(panels, net + (end - begin - 1) * lane, lane, panels, net + i * lane)
            for s in range(first, last):
                transpose(panels, net + (s - first) * lane * lane, panels, target + (s * n_out + j) * lane, n_out - j)


@by_address(CELL_SPARSE_GRADIENT)
def gradient(panels: Floats, delta: int, n_in: int, n_out: int, values: ReadOnly, structure: IntegerPointer,
             ranges: IntegerPointer, places: IntegerPointer, strips: int, j0: int, j1: int, gradient: Floats,
             start: int, accumulate: int, scratch: int) -> None:
    """∂E/∂w_jk = Σ_samples δ_j x_k (6) for neurons j0..j1, as many as a vector has lanes at most.

    Overwrites their rows, which begin at ``start`` of ``gradient``, or adds to them.
    """
    lane, structure = lanes(panels), pointer(structure)
    samples, base, part = strips * lane, structure[0], COLUMNS // 64
    deltas = scratch + COLUMNS * lane
    for s in range(strips):
        transpose(panels, delta + (s * n_out + j0) * lane, panels, deltas + s * lane * lane, lane)
    for k0 in range(0, n_in, COLUMNS):
        k1 = least(k0 + COLUMNS, n_in)
        touched = advance(structure, ranges, places, 0, samples, k0, k1, part)
        for k in range(k0, k1, lane):
            if touched >> (k - k0) // part & 1 != 0:
                sums = view(panels, scratch + (k - k0) * lane, lane * lane)
                for i in range(sums.size):
                    sums[i] = 0
        for i in range(samples):
            p, count = places[2 * i], places[2 * i + 1] - places[2 * i]
            if count > 0:
                spread_nonzeros(values, p - base, structure, p, count, k0, panels, deltas + i * lane, scratch)
        if accumulate == 0 and touched != -1:
            for j in range(j1 - j0):
                row = view(gradient, start + j * n_in + k0, k1 - k0)
                for i in range(row.size):
                    row[i] = 0
        for k in range(k0, k1, lane):
            if touched >> (k - k0) // part & 1 != 0:
                scatter_square(panels, scratch + (k - k0) * lane, gradient, start + k, n_in, j1 - j0, k1 - k,
                               accumulate)

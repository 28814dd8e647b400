"""The loops of `dense` with operands of products in bfloat16, in their places: what they read and write is float32.

Each rounds its own operands, two to a number of the scratch (`ir.bfloat16`), before it multiplies: panels once, weights
sweep by sweep, so that these stay in L2 until all strips have met them. A step rounds each number once or twice and
multiplies it a hundred times. So no rounded copy of the weights outlives a product, and whatever changes parameters
(rules, constraints, callbacks) need not know of one. Biases are added, and their gradients summed, in float32.
"""

import math

from ..compile import VECTOR_BYTES, by_address, inline
from ..compile.arguments import Floats, IntegerPointer, Integers, ReadOnly
from ..ir import (
    WHOLE,
    backward_pairs,
    forward_pairs,
    gradient_pairs,
    join_columns,
    join_lanes,
    join_rows,
    least,
    most,
    stack,
    transpose_pairs,
)
from ..layout import SCRATCH_BYTES
from ..tables import CELL_BACKWARD, CELL_FORWARD, CELL_GATHER_INPUTS, CELL_GRADIENT, CELL_TRANSPOSE
from .dense import before_tile
from .gather import gather_strip

LANES = VECTOR_BYTES // 4
"""Float32 in a vector: no other dtype has products in bfloat16."""

GROUP = math.lcm(LANES, WHOLE)
"""Columns of weights that `backward` rounds side by side: whole vectors and whole tiles."""

PACKED = 4
"""Such groups that it takes together: more of a row for each time that its page is looked up."""


def scratch_size(widest, strips):
    """Return the numbers of a scratch: pairs of so many strips of the widest layer, behind them a sweep of weights."""
    pairs = (widest + 1) // 2
    return strips * pairs * LANES + max(SCRATCH_BYTES // 4, GROUP * apart(pairs), WHOLE * strips * (LANES // 2))


@inline
def fitting(pairs, multiple):
    """Return how many neurons with so many pairs each fit SCRATCH_BYTES: a multiple, at least that."""
    return most(SCRATCH_BYTES // (pairs * 4) // multiple * multiple, multiple)


@inline
def apart(pairs):
    """Return the distance of rows of so many pairs: whole vectors, an odd number of them.

    At a power of two a tile's rows would compete for a few sets of the cache.
    """
    return ((pairs + LANES - 1) // LANES | 1) * LANES


@inline
def column(strips):
    """Return the distance between vectors of neurons in a panel that `transpose_panel` writes, see `dense.column`."""
    return (strips * (LANES // 2) + 1) * LANES


@inline
def join_neurons(panels, source, target, n, first, last):
    """Round strips first..last of a panel of n rows to pairs of neurons, one strip behind the other."""
    for s in range(first, last):
        row = source + s * n * LANES
        for _ in range(n // 2):
            join_rows(panels, row, row + LANES, LANES, panels, target)
            row += 2 * LANES
            target += LANES
        if n % 2 != 0:
            join_rows(panels, row, -1, LANES, panels, target)
            target += LANES


@by_address(CELL_FORWARD)
def forward(parameters: Floats, weights: int, bias: int, panels: Floats, source: int, target: int, n_in: int,
            n_out: int, first: int, last: int, scratch: int) -> None:
    """net_j = Σ_k w_jk o_k + b_j (1), as `dense.forward`; overwrites the scratch."""
    pairs, strip = (n_in + 1) // 2, n_out * LANES
    packed, row, some = scratch + (last - first) * pairs * LANES, apart(pairs), fitting(apart(pairs), WHOLE)
    for j0 in range(0, n_out, some):
        j1 = least(j0 + some, n_out)
        for j in range(j0, j1):
            for k in range(0, n_in, 2 * LANES):
                join_columns(parameters, weights + j * n_in + k, n_in - k, panels, packed + (j - j0) * row + k // 2)
        s = first
        while s < last:
            vectors, pairs_at = 2 if s + 2 <= last else 1, scratch + (s - first) * pairs * LANES
            if j0 == 0:
                join_neurons(panels, source, pairs_at, n_in, s, s + vectors)
            j = j0
            while j < j1:
                j += forward_pairs(panels, packed + (j - j0) * row, row, 1, panels,
                                   pairs_at, pairs * LANES, target + s * strip + j * LANES, strip, pairs, parameters,
                                   bias + j if bias >= 0 else -1, j1 - j, vectors)
            s += vectors


@by_address(CELL_BACKWARD)
def backward(parameters: Floats, weights: int, panels: Floats, source: int, target: int, n_in: int, n_out: int,
             first: int, last: int, scratch: int) -> None:
    """δ_k = φ'(net_k) Σ_j w_jk δ_j (5), as `dense.backward`; overwrites the scratch."""
    pairs, strip = (n_out + 1) // 2, n_in * LANES
    packed, some, wide = scratch + (last - first) * pairs * LANES, fitting(pairs, GROUP), PACKED * GROUP
    for k0 in range(0, n_in, some):
        k1 = least(k0 + some, n_in)
        for start in range(k0, k1, wide):
            for i in range(pairs):
                row = weights + 2 * i * n_in
                for k in range(start, least(start + wide, k1), LANES):
                    join_rows(parameters, row + k, row + n_in + k if 2 * i + 1 < n_out else -1, n_in - k, panels,
                              packed + ((k - k0) // GROUP * pairs + i) * GROUP + (k - k0) % GROUP)
        s = first
        while s < last:
            vectors, pairs_at = 2 if s + 2 <= last else 1, scratch + (s - first) * pairs * LANES
            if k0 == 0:
                join_neurons(panels, source, pairs_at, n_out, s, s + vectors)
            k = k0
            while k < k1:
                k += backward_pairs(panels, packed + (k - k0) // GROUP * GROUP * pairs + (k - k0) % GROUP, 1, GROUP,
                                    panels, pairs_at, pairs * LANES, target + s * strip + k * LANES, strip, pairs,
                                    k1 - k, vectors)
            s += vectors


@inline
def transpose_strip(panels, source, target, n, strips, s):
    """Round one strip of a panel to pairs of samples, with neurons in lanes."""
    place = target + s * (LANES // 2) * LANES
    for k in range(0, n, LANES):
        transpose_pairs(panels, source + (s * n + k) * LANES, panels, place)
        place += column(strips)


@by_address(CELL_TRANSPOSE)
def transpose_panel(panels: Floats, source: int, target: int, n: int, strips: int, first: int, last: int) -> None:
    """Round strips first..last of a panel of n rows to [vector of neurons][pair of samples][lane], for `gradient`."""
    for s in range(first, last):
        transpose_strip(panels, source, target, n, strips, s)


@by_address(CELL_GRADIENT)
def gradient(panels: Floats, delta: int, transposed: int, n_in: int, n_out: int, strips: int, j0: int, j1: int,
             gradient: Floats, weights: int, accumulate: int, scratch: int, rows: ReadOnly, order: Integers, ahead: int,
             ahead_end: int, count: int, parameters: Floats, owned: int) -> None:
    """∂E/∂w_jk = Σ_samples δ_j o_k (6) for neurons j0..j1, as `dense.gradient`; overwrites the scratch."""
    half, vector = LANES // 2, column(strips)
    some = fitting(count * half, WHOLE)
    for i0 in range(j0, j1, some):
        i1 = least(i0 + some, j1)
        for i in range(i0, i1):
            place = scratch + ((i - i0) // WHOLE * count * WHOLE + (i - i0) % WHOLE) * half
            for s in range(count):
                join_lanes(panels, delta + (s * n_out + i) * LANES, panels, place + s * WHOLE * half)
        for k in range(0, n_in, 2 * LANES):
            j = i0
            while j < i1:
                if j + WHOLE <= i1:
                    before_tile(rows, order, ahead, ahead_end, n_in, n_out, j, k, LANES, parameters, owned)
                d = scratch + ((j - i0) // WHOLE * count * WHOLE + (j - i0) % WHOLE) * half
                j += gradient_pairs(panels, d, half, WHOLE * half, panels, transposed + k // LANES * vector, vector,
                                    count, -1, gradient, weights + j * n_in + k, n_in, n_in - k, accumulate, i1 - j)


@by_address(CELL_GATHER_INPUTS)
def gather(rows: ReadOnly, structure: IntegerPointer, order: Integers, begin: int, end: int, n: int, panels: Floats,
           target: int, transposed: int, strips: int, first: int, last: int) -> None:
    """Do what `gather.gather` does; the copy for `gradient`, if there is one, is that of `transpose_panel`."""
    starts = stack(begin, LANES)
    for s in range(first, last):
        gather_strip(rows, order, begin + s * LANES, end, n, panels, target + s * n * LANES, starts, LANES)
        if transposed >= 0:
            transpose_strip(panels, target, transposed, n, strips, s)

"""The per-neuron loops of a dense layer, samples in lanes: net_j, δ_j and the gradient, tile by tile.

A strip is one vector of samples; a panel of n neurons holds n rows a strip. Each loop takes neurons WHOLE or up to four
at a time and strips two or one at a time; an element's sum runs in the same order whichever tile it falls in, so the
result does not depend on how strips and neurons are shared among threads.

Where a layer outgrows the caches, the operand that is broadcast is first copied tile by tile to a thread's own scratch:
read in place, 2048 floats apart, its numbers compete for a few sets of the cache (105 GFLOP/s against 225, measured).
"""

from ..compile import by_address, inline
from ..compile.arguments import Floats, Integers, ReadOnly
from ..ir import (
    LANES_COLUMNS,
    WHOLE,
    backward_tile,
    copy_tile,
    copy_vector,
    forward_row,
    forward_tile,
    gradient_on_tile,
    gradient_tile,
    lanes,
    lanes_4x1,
    lanes_4xn,
    least,
    most,
    own_tile,
    prefetch,
    sum_samples,
    transpose,
)
from ..layout import SCRATCH_BYTES
from ..tables import (
    CELL_BACKWARD,
    CELL_BIAS_GRADIENT,
    CELL_FORWARD,
    CELL_FORWARD_SOME,
    CELL_GRADIENT,
    CELL_GRADIENT_BY_LANES,
    CELL_GRADIENT_ON,
    CELL_TRANSPOSE,
)

PACKED = 4 * WHOLE
"""Columns of weights that `backward` packs together: more of a row for each time that its cache line and page are
looked up (512 neurons, 32 samples: 190 GFLOP/s, and 140 where each tile was packed by itself)."""


@inline
def sweep(size, itemsize):
    """Return how many neurons with ``size`` numbers each fit SCRATCH_BYTES: a multiple of WHOLE, at least that."""
    return most(SCRATCH_BYTES // (size * itemsize) // WHOLE * WHOLE, WHOLE)


@inline
def column(strips, lane):
    """Return the distance between vectors of neurons in a panel with neurons in lanes.

    One vector more than the samples take: at a power of two all the stores of a row would go to one set of the cache
    (20 µs to gather 64 rows of 784, against 8).
    """
    return (strips * lane + 1) * lane


@inline
def forward_neurons(parameters, weights, bias, panels, source, target, n_in, n_out, begin, end, first, last):
    """(1) of neurons begin..end for strips first..last."""
    lane = lanes(panels)
    step, rows = n_in * lane, n_out * lane
    some = sweep(n_in, parameters.itemsize)
    j0 = begin
    while j0 < end:
        j1 = least(j0 + some, end)
        s = first
        while s < last:
            vectors = 2 if s + 2 <= last else 1
            a, c = source + s * step, target + s * rows
            j = j0
            while j < j1:
                j += forward_tile(parameters, weights + j * n_in, n_in, 1, panels, a, step, c + j * lane, rows, n_in,
                                  parameters, bias + j if bias >= 0 else -1, j1 - j, vectors)
            s += vectors
        j0 = j1


@by_address(CELL_FORWARD)
def forward(parameters: Floats, weights: int, bias: int, panels: Floats, source: int, target: int, n_in: int,
            n_out: int, first: int, last: int, scratch: int) -> None:
    """net_j = Σ_k w_jk o_k + b_j (1) for strips first..last; overwrites the panel at ``target`` (n_out rows).

    The scratch is for `bfloat16.forward`, which stands in for this.
    """
    rows = n_out * lanes(panels)
    while n_out == 1 and last - first > 2:
        first += forward_row(parameters, weights, panels, source + first * n_in * lanes(panels), n_in * lanes(panels),
                             target + first * rows, rows, n_in, parameters, bias, last - first)
    forward_neurons(parameters, weights, bias, panels, source, target, n_in, n_out, 0, n_out, first, last)


@by_address(CELL_FORWARD_SOME)
def forward_some(parameters: Floats, weights: int, bias: int, panels: Floats, source: int, target: int, n_in: int,
                 n_out: int, j0: int, j1: int, strips: int) -> None:
    """net_j = Σ_k w_jk o_k + b_j (1) of neurons j0..j1 for all strips; overwrites them in the panel at ``target``."""
    forward_neurons(parameters, weights, bias, panels, source, target, n_in, n_out, j0, j1, 0, strips)


@by_address(CELL_BACKWARD)
def backward(parameters: Floats, weights: int, panels: Floats, source: int, target: int, n_in: int, n_out: int,
             first: int, last: int, scratch: int) -> None:
    """δ_k = φ'(net_k) Σ_j w_jk δ_j (5) for strips first..last.

    The panel at ``target`` (n_in rows a strip) holds φ'(net) and is overwritten with δ; the panel at ``source`` holds
    the n_out deltas that the layer's neurons feed. The scratch is for `backward_packed`, which stands in for this.
    """
    lane = lanes(panels)
    step, rows = n_out * lane, n_in * lane
    some = sweep(n_out, parameters.itemsize)
    k0 = 0
    while k0 < n_in:
        k1 = least(k0 + some, n_in)
        s = first
        while s < last:
            vectors = 2 if s + 2 <= last else 1
            a, c = source + s * step, target + s * rows
            k = k0
            while k < k1:
                k += backward_tile(parameters, weights + k, 1, n_in, panels, a, step, c + k * lane, rows, n_out, k1 - k,
                                   vectors)
            s += vectors
        k0 = k1


@by_address(CELL_BACKWARD)
def backward_packed(parameters: Floats, weights: int, panels: Floats, source: int, target: int, n_in: int, n_out: int,
                    first: int, last: int, scratch: int) -> None:
    """Do what `backward` does where layers outgrow the caches: overwrites the scratch, or packs nothing if that is -1.

    Of its own, since no network needs it whose layers are small, and a third of it is the packing.
    """
    lane = lanes(panels)
    step, rows = n_out * lane, n_in * lane
    some = sweep(n_out, parameters.itemsize)
    k0 = 0
    while k0 < n_in:
        k1 = least(k0 + some, n_in)
        packed = k0
        if scratch >= 0:
            while packed + WHOLE <= k1:
                wide = least(PACKED, (k1 - packed) // WHOLE * WHOLE)
                for j in range(n_out):
                    for k in range(0, wide, WHOLE):
                        copy_tile(parameters, weights + j * n_in + packed + k, panels,
                                  scratch + (packed - k0 + k) * n_out + j * WHOLE)
                packed += wide
        s = first
        while s < last:
            vectors = 2 if s + 2 <= last else 1
            a, c = source + s * step, target + s * rows
            k = k0
            while k < k1:
                numbers, place, apart = parameters, weights + k, n_in
                if k < packed:
                    numbers, place, apart = panels, scratch + (k - k0) * n_out, WHOLE
                k += backward_tile(numbers, place, 1, apart, panels, a, step, c + k * lane, rows, n_out, k1 - k,
                                   vectors)
            s += vectors
        k0 = k1


@by_address(CELL_TRANSPOSE)
def transpose_panel(panels: Floats, source: int, target: int, n: int, strips: int, first: int, last: int) -> None:
    """Copy strips first..last of a panel of n rows to [vector of neurons][sample][lane], for `gradient`."""
    lane = lanes(panels)
    for s in range(first, last):
        place = target + s * lane * lane
        for k in range(0, n, lane):
            transpose(panels, source + (s * n + k) * lane, panels, place, lane)
            place += column(strips, lane)


@inline
def before_tile(rows, order, ahead, ahead_end, n_in, n_out, j, k, lane, parameters, owned):
    """Have ready what follows a tile of `gradient`, neurons j to j + WHOLE and two vectors of columns from k on.

    Of rows order[ahead:ahead_end] of the inputs, which are needed next, those columns are asked for, each neuron its
    share, so that `gather` need not wait for the memory (7 of 175 µs at 784-128-10). Of the weights at ``owned``,
    unless that is negative, the tile's are taken from other cores (`own_tile`).
    """
    if ahead < ahead_end:
        for i in range(ahead + (ahead_end - ahead) * j // n_out, ahead + (ahead_end - ahead) * (j + WHOLE) // n_out):
            row = (order[i] if order.size > 0 else i) * n_in
            prefetch(rows, row + k)
            prefetch(rows, row + k + lane)
            if k + 2 * lane >= n_in:  # unless X begins at a line, the end of a row lies on one more
                prefetch(rows, row + n_in - 1)
    own_tile(parameters, owned + j * n_in + k if owned >= 0 else -1, n_in, n_in - k)


@by_address(CELL_GRADIENT)
def gradient(panels: Floats, delta: int, transposed: int, n_in: int, n_out: int, strips: int, j0: int, j1: int,
             gradient: Floats, weights: int, accumulate: int, scratch: int, rows: ReadOnly, order: Integers, ahead: int,
             ahead_end: int, count: int, parameters: Floats, owned: int) -> None:
    """∂E/∂w_jk = Σ_samples δ_j o_k (6) for neurons j0..j1, from outputs with neurons in lanes.

    Overwrites rows j0..j1 of W^l's part of ``gradient``, or adds to them. Overwrites the scratch, or packs nothing if
    that is -1. What comes next is asked for between the tiles: `before_tile`.
    """
    lane = lanes(panels)
    vector = column(strips, lane)
    some = sweep(count * lane, panels.itemsize)
    i0 = j0
    while i0 < j1:
        i1 = least(i0 + some, j1)
        start, tile, strip = delta + i0 * lane, WHOLE * lane, n_out * lane
        if scratch >= 0:
            for i in range(i0, i1):
                place = scratch + ((i - i0) // WHOLE * count * WHOLE + (i - i0) % WHOLE) * lane
                for s in range(count):
                    copy_vector(panels, delta + (s * n_out + i) * lane, lane, panels, place + s * WHOLE * lane)
            start, tile, strip = scratch, count * WHOLE * lane, WHOLE * lane
        for k in range(0, n_in, 2 * lane):
            j = i0
            while j < i1:
                if j + WHOLE <= i1:
                    before_tile(rows, order, ahead, ahead_end, n_in, n_out, j, k, lane, parameters, owned)
                d = start + (j - i0) // WHOLE * tile + (j - i0) % WHOLE * lane
                j += gradient_tile(panels, d, lane, strip, panels, transposed + k // lane * vector, vector, count, -1,
                                   gradient, weights + j * n_in + k, n_in, n_in - k, accumulate, i1 - j)
        i0 = i1


@by_address(CELL_GRADIENT_ON)
def gradient_on(panels: Floats, delta: int, transposed: int, n_in: int, n_out: int, strips: int, j0: int, j1: int,
                gradient: Floats, weights: int, accumulate: int, rows: ReadOnly, order: Integers, ahead: int,
                ahead_end: int, first: int, handed: int, parameters: Floats, owned: int) -> None:
    """Go on with the sums of `gradient` over strips before the ``first``, which lie at ``handed`` in the panels."""
    lane = lanes(panels)
    vector = column(strips, lane)
    for k in range(0, n_in, 2 * lane):
        j = j0
        while j < j1:
            if j + WHOLE <= j1:
                before_tile(rows, order, ahead, ahead_end, n_in, n_out, j, k, lane, parameters, owned)
            place = j * n_in + k
            j += gradient_on_tile(panels, delta + (first * n_out + j) * lane, lane, n_out * lane, panels,
                                  transposed + first * lane * lane + k // lane * vector, vector, strips - first,
                                  handed + place, gradient, weights + place, n_in, n_in - k, accumulate, j1 - j)


@by_address(CELL_GRADIENT_BY_LANES)
def gradient_by_lanes(panels: Floats, delta: int, out: int, out_strip: int, n_in: int, n_out: int, strips: int, j0: int,
                      j1: int, gradient: Floats, weights: int, bias: int, accumulate: int) -> None:
    """The same from outputs with samples in lanes, each sum over lanes taken last; ``out_strip`` apart.

    Unless ``bias`` is negative also ∂E/∂b_j = Σ_samples δ_j, from the deltas that are at hand.
    """
    lane = lanes(panels)
    d_strip = n_out * lane
    for j in range(j0, j1, 4):
        d, g, b = delta + j * lane, weights + j * n_in, bias + j if bias >= 0 else -1
        if n_in == 1:
            lanes_4x1(panels, d, d_strip, panels, out, out_strip, strips, gradient, g, 1, b, accumulate, j1 - j, 1)
        else:
            for k in range(0, n_in, LANES_COLUMNS):
                lanes_4xn(panels, d, d_strip, panels, out + k * lane, out_strip, strips, gradient, g + k, n_in,
                          b if k == 0 else -1, accumulate, j1 - j, n_in - k)


@by_address(CELL_BIAS_GRADIENT)
def bias_gradient(panels: Floats, delta: int, n_out: int, strips: int, j0: int, j1: int, gradient: Floats, bias: int,
                  accumulate: int) -> None:
    """∂E/∂b_j = Σ_samples δ_j (6) for neurons j0..j1: overwrites them in b^l's part of ``gradient``, or adds to it."""
    lane = lanes(panels)
    for j in range(j0, j1, lane):
        sum_samples(panels, delta + j * lane, n_out * lane, strips, gradient, bias + j, accumulate, j1 - j)

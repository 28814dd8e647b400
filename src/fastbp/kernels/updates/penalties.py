"""What a regularised fit does around its update rule (7), on a slice of the flat buffers.

`update` has the signature of a rule and stands in its place, so that a plain fit knows nothing of it. What it needs
lies behind the rule's numbers in ``hyper``, see `tables`: a table with a row for each stretch of the flat buffer that
something is done to, W^l or b^l or some of them together, and cells for penalties: one for each neuron, or for each
weight where a neuron has few. A cell is added to by one thread, so that sums have one order.

To clip the norm of the gradient takes all of it before any update: `measure` and `update_clipped` do the same in two
halves, with a barrier between them (`epoch.my_neurons_clipped`).
"""

import math

from .. import prototypes
from ..compile import by_address, inline, scalar
from ..compile.arguments import DoublePointer, Doubles, Floats
from ..elementwise import wide
from ..ir import call, to_bits, view
from ..tables import (
    HYPER_BATCH_WEIGHT,
    HYPER_RATE,
    REGULAR_AVERAGED,
    REGULAR_CLIP,
    REGULAR_CLIP_NORM,
    REGULAR_FIXED,
    REGULAR_PENALTIES,
    REGULAR_RULE,
    REGULAR_SEGMENTS,
    REGULAR_TABLE,
    SEGMENT_BEGIN,
    SEGMENT_CELL,
    SEGMENT_COLUMNS,
    SEGMENT_DECAY,
    SEGMENT_END,
    SEGMENT_L1,
    SEGMENT_L2,
    SEGMENT_LARGEST,
    SEGMENT_NON_NEGATIVE,
    SEGMENT_PIECE,
    SEGMENT_ROW,
    SEGMENT_TRAINED,
    SUM_EPOCH_COST,
    SUM_EPOCH_PENALTY,
    SUM_EPOCH_WEIGHT,
)


@inline
def first_cell(first, hyper, row):
    """Return the cell of the piece that begins at a place of the flat buffer."""
    pieces = (first - to_bits(hyper[row + SEGMENT_BEGIN])) // to_bits(hyper[row + SEGMENT_PIECE])
    return to_bits(hyper[row + SEGMENT_CELL]) + pieces


@scalar
def pulled(slope, w, pull, push):
    """∂E/∂w + λ₂w + λ₁sign(w), with the same bits wherever a slice begins."""
    return slope + (pull * w + (push if w > type(w)(0) else -push if w < type(w)(0) else w))


@scalar
def charged(cell, w, half, whole):
    """Add a weight's λ₂w²/2 + λ₁|w|, likewise."""
    return cell + (half * (w * w) + whole * abs(w))


@inline
def penalize(parameters, gradient, first, end, shift, hyper, row):
    """∂E/∂w += λ₂w + λ₁sign(w); adds λ₂w²/2 + λ₁|w|, times the weight of the batch, to the pieces' cells."""
    l2, l1 = hyper[row + SEGMENT_L2], hyper[row + SEGMENT_L1]
    if l2 == 0.0 and l1 == 0.0:
        return
    real = type(parameters[0])
    weight, share = hyper[HYPER_BATCH_WEIGHT], 1.0
    if hyper[REGULAR_AVERAGED] != 0.0:
        share = 1.0 / weight if weight > 0.0 else 0.0
        weight = 1.0 if weight > 0.0 else 0.0
    pull, push, length = real(l2 * share), real(l1 * share), to_bits(hyper[row + SEGMENT_PIECE])
    cell, half, whole = first_cell(first, hyper, row), 0.5 * l2 * weight, l1 * weight
    if length == 1:
        n = end - first
        p, g, cells = view(parameters, first, n), view(gradient, first - shift, n), view(hyper, cell, n)
        for k in range(n):
            g[k] = pulled(g[k], p[k], pull, push)
            cells[k] = charged(cells[k], float(p[k]), half, whole)
        return
    for i in range(first, end, length):
        p, g = view(parameters, i, length), view(gradient, i - shift, length)
        squares, sizes = real(0), real(0)
        if l1 == 0.0:
            for k in range(length):
                w = p[k]
                g[k] += pull * w
                squares += w * w
        else:
            for k in range(length):
                w = p[k]
                g[k] = pulled(g[k], w, pull, push)
                squares += w * w
                sizes += abs(w)
        hyper[cell] += half * float(squares) + whole * float(sizes)
        cell += 1


@inline
def constrain(parameters, first, end, hyper, row):
    """After the rule: w ≥ 0, |w_j| ≤ c neuron by neuron."""
    n = end - first
    real = type(parameters[0])
    p = view(parameters, first, n)
    if hyper[row + SEGMENT_NON_NEGATIVE] != 0.0:
        for i in range(n):
            p[i] = real(0) if p[i] < real(0) else p[i]
    if hyper[row + SEGMENT_LARGEST] > 0.0:
        length, largest = to_bits(hyper[row + SEGMENT_ROW]), hyper[row + SEGMENT_LARGEST]
        for i in range(0, n, length):
            w = view(p, i, length)
            squares = real(0)
            for k in range(length):
                squares += w[k] * w[k]
            if float(squares) > largest * largest:
                scale = real(largest / math.sqrt(float(squares)))
                for k in range(length):
                    w[k] *= scale


@inline
def overlap(start, stop, hyper, segment):
    """Return the segment's row of the table, and its part of a slice."""
    row = REGULAR_TABLE + segment * SEGMENT_COLUMNS
    return row, max(start, to_bits(hyper[row + SEGMENT_BEGIN])), min(stop, to_bits(hyper[row + SEGMENT_END]))


@inline
def before(parameters, gradient, state, start, stop, shift, hyper):
    """Make ∂E/∂w what the rule is to see: with its penalty, clipped, 0 where a parameter is fixed."""
    real, part = type(parameters[0]), view(gradient, start - shift, stop - start)
    for segment in range(to_bits(hyper[REGULAR_SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        if first < end:
            penalize(parameters, gradient, first, end, shift, hyper, row)
            if hyper[row + SEGMENT_TRAINED] == 0.0:
                g = view(gradient, first - shift, end - first)
                for i in range(g.size):
                    g[i] = real(0)
    if hyper[REGULAR_CLIP] > 0.0:
        limit = real(hyper[REGULAR_CLIP])
        for i in range(part.size):
            slope = part[i]
            part[i] = limit if slope > limit else -limit if slope < -limit else slope
    if to_bits(hyper[REGULAR_FIXED]) >= 0:
        fixed = view(state, to_bits(hyper[REGULAR_FIXED]) + start, stop - start)
        for i in range(part.size):
            part[i] = real(0) if fixed[i] == fixed[i] else part[i]


@inline
def finish(parameters, gradient, state, start, stop, shift, hyper):
    """Decay, the rule, and the constraints, on a slice; fixed parameters stay as they were.

    The rule takes neighbouring segments at once: in a small network its own beginning costs more than its loop.
    """
    rule, begin = to_bits(hyper[REGULAR_RULE]), start
    for segment in range(to_bits(hyper[REGULAR_SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        if first < end and hyper[row + SEGMENT_TRAINED] == 0.0:
            if begin < first:
                call(prototypes.update_rule, rule, parameters, gradient, state, begin, first, shift, hyper)
            begin = end
        elif first < end and hyper[row + SEGMENT_DECAY] > 0.0:
            rest = type(parameters[0])(1.0 - hyper[HYPER_RATE] * hyper[row + SEGMENT_DECAY])
            p = view(parameters, first, end - first)
            for i in range(p.size):
                p[i] *= rest
    if begin < stop:
        call(prototypes.update_rule, rule, parameters, gradient, state, begin, stop, shift, hyper)
    for segment in range(to_bits(hyper[REGULAR_SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        if first < end and hyper[row + SEGMENT_TRAINED] != 0.0:
            constrain(parameters, first, end, hyper, row)
    if to_bits(hyper[REGULAR_FIXED]) >= 0:
        p, fixed = view(parameters, start, stop - start), view(state, to_bits(hyper[REGULAR_FIXED]) + start,
                                                               stop - start)
        for i in range(p.size):
            p[i] = fixed[i] if fixed[i] == fixed[i] else p[i]


@by_address()
def update(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
           hyper: Doubles) -> None:
    """The rule at address ``hyper[REGULAR_RULE]`` with penalties before it and constraints behind it.

    Without a rule it adds that of the penalties to ``gradient``, which is 0 where a parameter is fixed.
    """
    before(parameters, gradient, state, start, stop, shift, hyper)
    if to_bits(hyper[REGULAR_RULE]) != 0:
        finish(parameters, gradient, state, start, stop, shift, hyper)


@by_address()
def measure(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
            hyper: Doubles) -> None:
    """What `update` does before its rule; overwrites the cells of the pieces' Σ_k (∂E/∂w_jk)²."""
    before(parameters, gradient, state, start, stop, shift, hyper)
    count = hyper.size - to_bits(hyper[REGULAR_PENALTIES])
    for segment in range(to_bits(hyper[REGULAR_SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        length, cell = to_bits(hyper[row + SEGMENT_PIECE]), first_cell(first, hyper, row) - count
        if length == 1 and first < end:
            part, cells = view(gradient, first - shift, end - first), view(hyper, cell, end - first)
            for k in range(part.size):
                cells[k] = wide(part[k]) * wide(part[k])
            continue
        for i in range(first, end, length):
            part, squares = view(gradient, i - shift, length), 0.0
            for k in range(length):
                squares += wide(part[k]) * wide(part[k])  # beyond float32 from 1e19 on
            hyper[cell] = squares
            cell += 1


@by_address()
def update_clipped(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
                   hyper: Doubles) -> None:
    """What `update` does from its rule on, after ∂E/∂w has been measured: scaled so that its norm is at most c."""
    count, squares = hyper.size - to_bits(hyper[REGULAR_PENALTIES]), 0.0
    cells = view(hyper, to_bits(hyper[REGULAR_PENALTIES]) - count, count)
    for i in range(count):
        squares += cells[i]
    if squares > hyper[REGULAR_CLIP_NORM] * hyper[REGULAR_CLIP_NORM]:
        scale = type(parameters[0])(hyper[REGULAR_CLIP_NORM] / math.sqrt(squares))
        part = view(gradient, start - shift, stop - start)
        for i in range(part.size):
            part[i] *= scale
    finish(parameters, gradient, state, start, stop, shift, hyper)


@by_address()
def total(hyper: Doubles, sums: DoublePointer) -> None:
    """Add the penalties of an epoch's batches to its cost, leave their mean beside it, and begin anew."""
    penalty, first = 0.0, to_bits(hyper[REGULAR_PENALTIES])
    cells = view(hyper, first, hyper.size - first)
    for i in range(cells.size):
        penalty += cells[i]
        cells[i] = 0.0
    sums[SUM_EPOCH_COST] += penalty
    sums[SUM_EPOCH_PENALTY] = penalty / sums[SUM_EPOCH_WEIGHT] if sums[SUM_EPOCH_WEIGHT] > 0.0 else 0.0

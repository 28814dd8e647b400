"""What a regularised fit does around its update rule (7), on a slice of the flat buffers.

`update` has the signature of a rule and stands in its place, so that a plain fit knows nothing of it. What it needs
lies behind the rule's numbers in ``hyper``, see `codes`: a table with a row for each W^l and b^l, and a number for each
neuron, to which the penalty of its row is added, always whole and by one thread, so that sums have one order.

To clip the norm of the gradient takes all of it before any update: `measure` and `update_clipped` do the same in two
halves, with a barrier between them (`epoch.my_neurons_clipped`).
"""

import math

from ._jit import inline, kernel
from .codes import (
    AVERAGED,
    BATCH_WEIGHT,
    BEGIN,
    CELL,
    CLIP,
    CLIP_NORM,
    DECAY,
    END,
    FIXED,
    L1,
    L2,
    LARGEST,
    NON_NEGATIVE,
    PENALTIES,
    RATE,
    ROW,
    RULE,
    SEGMENT_COLUMNS,
    SEGMENTS,
    TABLE,
    TRAINED,
)
from .simd import call, to_bits, view


@inline
def penalize(parameters, gradient, first, end, shift, hyper, row):
    """∂E/∂w += λ₂w + λ₁sign(w); adds λ₂w²/2 + λ₁|w|, times the weight of the batch, to the neurons' cells."""
    l2, l1 = hyper[row + L2], hyper[row + L1]
    if l2 == 0.0 and l1 == 0.0:
        return
    real = type(parameters[0])
    weight, share = hyper[BATCH_WEIGHT], 1.0
    if hyper[AVERAGED] != 0.0:
        share = 1.0 / weight if weight > 0.0 else 0.0
        weight = 1.0 if weight > 0.0 else 0.0
    pull, push, length = real(l2 * share), real(l1 * share), to_bits(hyper[row + ROW])
    cell = to_bits(hyper[row + CELL]) + (first - to_bits(hyper[row + BEGIN])) // length
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
                g[k] += pull * w + (push if w > real(0) else -push if w < real(0) else w)
                squares += w * w
                sizes += abs(w)
        hyper[cell] += weight * (0.5 * l2 * float(squares) + l1 * float(sizes))
        cell += 1


@inline
def prepare(parameters, gradient, state, first, end, shift, hyper, row):
    """Make ∂E/∂w what the rule is to see: with its penalty, clipped, 0 where a parameter is fixed."""
    n = end - first
    real = type(parameters[0])
    penalize(parameters, gradient, first, end, shift, hyper, row)
    g = view(gradient, first - shift, n)
    if hyper[CLIP] > 0.0:
        limit = real(hyper[CLIP])
        for i in range(n):
            slope = g[i]
            g[i] = limit if slope > limit else -limit if slope < -limit else slope
    if hyper[row + TRAINED] == 0.0:
        for i in range(n):
            g[i] = real(0)
    elif to_bits(hyper[FIXED]) >= 0:
        fixed = view(state, to_bits(hyper[FIXED]) + first, n)
        for i in range(n):
            g[i] = real(0) if fixed[i] == fixed[i] else g[i]


@inline
def constrain(parameters, state, first, end, hyper, row):
    """After the rule: w ≥ 0, |w_j| ≤ c neuron by neuron, fixed parameters as they were."""
    n = end - first
    real = type(parameters[0])
    p = view(parameters, first, n)
    if hyper[row + NON_NEGATIVE] != 0.0:
        for i in range(n):
            p[i] = real(0) if p[i] < real(0) else p[i]
    if hyper[row + LARGEST] > 0.0:
        length, largest = to_bits(hyper[row + ROW]), hyper[row + LARGEST]
        for i in range(0, n, length):
            w = view(p, i, length)
            squares = real(0)
            for k in range(length):
                squares += w[k] * w[k]
            if float(squares) > largest * largest:
                scale = real(largest / math.sqrt(float(squares)))
                for k in range(length):
                    w[k] *= scale
    if to_bits(hyper[FIXED]) >= 0:
        fixed = view(state, to_bits(hyper[FIXED]) + first, n)
        for i in range(n):
            p[i] = fixed[i] if fixed[i] == fixed[i] else p[i]


@inline
def overlap(start, stop, hyper, segment):
    """Give the segment's row of the table, and its part of a slice."""
    row = TABLE + segment * SEGMENT_COLUMNS
    return row, max(start, to_bits(hyper[row + BEGIN])), min(stop, to_bits(hyper[row + END]))


@inline
def before(parameters, gradient, state, start, stop, shift, hyper):
    """Prepare a slice of the gradient."""
    for segment in range(to_bits(hyper[SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        if first < end:
            prepare(parameters, gradient, state, first, end, shift, hyper, row)


@inline
def finish(parameters, gradient, state, start, stop, shift, hyper):
    """Decay, the rule, and the constraints, on a slice.

    The rule takes neighbouring segments at once: in a small network its own beginning costs more than its loop.
    """
    rule, begin = to_bits(hyper[RULE]), start
    for segment in range(to_bits(hyper[SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        if first < end and hyper[row + TRAINED] == 0.0:
            if begin < first:
                call(rule, parameters, gradient, state, begin, first, shift, hyper)
            begin = end
        elif first < end and hyper[row + DECAY] > 0.0:
            rest = type(parameters[0])(1.0 - hyper[RATE] * hyper[row + DECAY])
            p = view(parameters, first, end - first)
            for i in range(p.size):
                p[i] *= rest
    if begin < stop:
        call(rule, parameters, gradient, state, begin, stop, shift, hyper)
    for segment in range(to_bits(hyper[SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        if first < end and hyper[row + TRAINED] != 0.0:
            constrain(parameters, state, first, end, hyper, row)


@kernel
def update(parameters, gradient, state, start, stop, shift, hyper):
    """The rule at address ``hyper[RULE]`` with penalties before it and constraints behind it.

    Without a rule it adds the slopes of the penalties to ``gradient``, which is 0 where a parameter is fixed.
    """
    before(parameters, gradient, state, start, stop, shift, hyper)
    if to_bits(hyper[RULE]) != 0:
        finish(parameters, gradient, state, start, stop, shift, hyper)


@kernel
def measure(parameters, gradient, state, start, stop, shift, hyper):
    """What `update` does before its rule; overwrites the cells of the neurons' Σ_k (∂E/∂w_jk)²."""
    before(parameters, gradient, state, start, stop, shift, hyper)
    neurons = hyper.size - to_bits(hyper[PENALTIES])
    for segment in range(to_bits(hyper[SEGMENTS])):
        row, first, end = overlap(start, stop, hyper, segment)
        length = to_bits(hyper[row + ROW])
        cell = to_bits(hyper[row + CELL]) - neurons + (first - to_bits(hyper[row + BEGIN])) // length
        for i in range(first, end, length):
            slopes, squares = view(gradient, i - shift, length), 0.0
            for k in range(length):
                squares += float(slopes[k]) * float(slopes[k])  # which would go beyond float32 from 1e19 on
            hyper[cell] = squares
            cell += 1


@kernel
def update_clipped(parameters, gradient, state, start, stop, shift, hyper):
    """What `update` does from its rule on, after ∂E/∂w has been measured: scaled so that its norm is at most c."""
    neurons, squares = hyper.size - to_bits(hyper[PENALTIES]), 0.0
    for i in range(to_bits(hyper[PENALTIES]) - neurons, to_bits(hyper[PENALTIES])):
        squares += hyper[i]
    if squares > hyper[CLIP_NORM] * hyper[CLIP_NORM]:
        scale = type(parameters[0])(hyper[CLIP_NORM] / math.sqrt(squares))
        slopes = view(gradient, start - shift, stop - start)
        for i in range(slopes.size):
            slopes[i] *= scale
    finish(parameters, gradient, state, start, stop, shift, hyper)

"""What a regularised fit does around its update rule (7), on a slice of the flat buffers.

`update` has the signature of a rule and stands in its place, so that a plain fit knows nothing of it. What it needs
lies behind the rule's numbers in ``hyper``, see `codes`: a table with a row for each W^l and b^l, and a number for each
neuron, to which the penalty of its row is added, always whole and by one thread, so that sums have one order.
"""

from ._jit import kernel
from .codes import AVERAGED, BATCH_WEIGHT, BEGIN, CELL, END, L1, L2, ROW, RULE, SEGMENT_COLUMNS, SEGMENTS, TABLE
from .simd import call, to_bits, view


@kernel
def update(parameters, gradient, state, start, stop, shift, hyper):
    """∂E/∂w += λ₂w + λ₁sign(w), then the rule at address ``hyper[RULE]``, or none if that is 0.

    Adds λ₂w²/2 + λ₁|w|, times the weight of the batch, to the cells of the neurons' penalties. With ``hyper[AVERAGED]``
    the weight of the batch divides the penalty, and thus its gradient.
    """
    rule = to_bits(hyper[RULE])
    real = type(parameters[0])
    weight, share = hyper[BATCH_WEIGHT], 1.0
    if hyper[AVERAGED] != 0.0:
        share = 1.0 / weight if weight > 0.0 else 0.0
        weight = 1.0 if weight > 0.0 else 0.0
    for segment in range(to_bits(hyper[SEGMENTS])):
        row = TABLE + segment * SEGMENT_COLUMNS
        begin, length = to_bits(hyper[row + BEGIN]), to_bits(hyper[row + ROW])
        first, end = max(start, begin), min(stop, to_bits(hyper[row + END]))
        if first >= end:
            continue
        l2, l1 = hyper[row + L2], hyper[row + L1]
        if l2 != 0.0 or l1 != 0.0:
            pull, push = real(l2 * share), real(l1 * share)
            cell = to_bits(hyper[row + CELL]) + (first - begin) // length
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
        if rule != 0:
            call(rule, parameters, gradient, state, first, end, shift, hyper)

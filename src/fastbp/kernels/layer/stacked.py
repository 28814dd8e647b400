"""The loops of a dense layer for a stack of networks, one in each lane.

A panel of n neurons holds n vectors a sample, weights and gradient a vector a parameter. Every sum has the order of its
counterpart in `dense`: over k in (1), over j in (5), in (6) over samples one after the other, or lane by lane and then
over pairs of lanes, as the layer of a single network would take them.
"""

from ..compile import inline
from ..ir import (
    FEW,
    STACKED_COLUMNS,
    STACKED_ROWS,
    STACKED_WIDE,
    gather_few,
    gather_square,
    lanes,
    least,
    stack,
    stacked_backward,
    stacked_forward,
    stacked_gradient,
    stacked_lanes_sum,
    view,
)
from .gather import MOST_LANES


@inline
def tile_columns(rows):
    """Return how many columns a tile of so many rows has."""
    return STACKED_COLUMNS if rows > 1 else STACKED_WIDE


@inline
def gather_stack(rows, order, apart, begin, samples, n, panels, target, neurons):
    """Bring row order[v·apart + begin + s] of each network v, n numbers, to the first n neurons of sample s of a panel.

    Overwrites these, and leaves the panel's other ``neurons``.
    """
    lane = lanes(panels)
    starts = stack(begin, MOST_LANES)
    for s in range(samples):
        for v in range(lane):
            starts[v] = order[v * apart + begin + s] * n
        place, k = target + s * neurons * lane, 0
        while k + 2 * FEW < n:
            k += gather_square(rows, starts, k, n - k, panels, place + k * lane)
        while k < n:
            k += gather_few(rows, starts, k, n - k, panels, place + k * lane)


@inline
def gather_stack_labels(labels, order, apart, begin, samples, classes, panels, target):
    """One-hot targets from the class indices of each network's samples; overwrites the panel."""
    lane, whole = lanes(panels), type(begin)
    strips = view(panels, target, samples * classes * lane)
    for i in range(strips.size):
        strips[i] = 0
    for s in range(samples):
        for v in range(lane):
            label = whole(labels[order[v * apart + begin + s]])
            strips[(s * classes + label) * lane + v] = 1


@inline
def gather_stack_weights(weights, order, apart, begin, samples, totals, panels, target):
    """Each sample's share of its network's mean, w/Σw with Σw in ``totals``; 0 where that is. Overwrites the panel."""
    lane = lanes(panels)
    row = view(panels, target, samples * lane)
    real = type(row[0])
    for v in range(lane):
        share = 1.0 / totals[v] if totals[v] > 0.0 else 0.0
        for s in range(samples):
            if weights.size == 0:
                row[s * lane + v] = real(share)
            else:
                row[s * lane + v] = real(float(weights[order[v * apart + begin + s]]) * share)


@inline
def forward(parameters, weights, bias, panels, source, target, n_in, n_out, samples):
    """net_j = Σ_k w_jk o_k + b_j (1) for all samples; overwrites the panel at ``target``."""
    lane = lanes(panels)
    j = 0
    while j < n_out:
        rows = least(n_out - j, STACKED_ROWS)
        columns = tile_columns(rows)
        for s in range(0, samples, columns):
            stacked_forward(parameters, (weights + j * n_in) * lane, n_in * lane, lane,
                            panels, source + s * n_in * lane, n_in * lane, lane, n_in,
                            panels, target + (s * n_out + j) * lane, lane, n_out * lane,
                            parameters, (bias + j) * lane if bias >= 0 else -1, rows, least(columns, samples - s))
        j += rows


@inline
def backward(parameters, weights, panels, source, target, n_in, n_out, samples):
    """δ_k = φ'(net_k) Σ_j w_jk δ_j (5) for all samples; ``target`` holds φ'(net) and is overwritten with δ."""
    lane = lanes(panels)
    k = 0
    while k < n_in:
        rows = least(n_in - k, STACKED_ROWS)
        columns = tile_columns(rows)
        for s in range(0, samples, columns):
            stacked_backward(parameters, (weights + k) * lane, lane, n_in * lane,
                             panels, source + s * n_out * lane, n_out * lane, lane, n_out,
                             panels, target + (s * n_in + k) * lane, lane, n_in * lane,
                             parameters, -1, rows, least(columns, samples - s))
        k += rows


@inline
def gradient(panels, delta, out, n_in, n_out, samples, gradient, weights):
    """∂E/∂w_jk = Σ_samples δ_j o_k (6), one sample after the other; overwrites W's part of ``gradient``."""
    lane = lanes(panels)
    j = 0
    while j < n_out:
        rows = least(n_out - j, STACKED_ROWS)
        columns = tile_columns(rows)
        for k in range(0, n_in, columns):
            stacked_gradient(panels, delta + j * lane, lane, n_out * lane,
                             panels, out + k * lane, lane, n_in * lane, samples,
                             gradient, (weights + j * n_in + k) * lane, n_in * lane, lane,
                             gradient, -1, rows, least(columns, n_in - k))
        j += rows


@inline
def gradient_by_lanes(panels, delta, out, n_in, n_out, samples, gradient, weights):
    """The same in the order of `dense.gradient_by_lanes`: samples v, v + lanes, … first, then pairs of these sums."""
    lane = lanes(panels)
    for j in range(n_out):
        for k in range(n_in):
            stacked_lanes_sum(panels, delta + j * lane, n_out * lane, panels, out + k * lane, n_in * lane, samples,
                              gradient, (weights + j * n_in + k) * lane)


@inline
def bias_gradient(panels, delta, n_out, samples, gradient, biases):
    """∂E/∂b_j = Σ_samples δ_j, in that order; overwrites b's part of ``gradient``."""
    lane = lanes(panels)
    for j in range(n_out):
        stacked_lanes_sum(panels, delta + j * lane, n_out * lane, panels, delta, 0, samples, gradient,
                          (biases + j) * lane)

"""Softmax (equation 2), the one activation whose outputs depend on each other, and products with its derivatives."""

from __future__ import annotations

from ..compile import VECTOR_BYTES, by_address
from ..compile.arguments import Floats
from ..elementwise import decay
from ..tables import CELL_JACOBIAN, CELL_SOFTMAX_SECOND, LAYER_ACTIVATION


@by_address(LAYER_ACTIVATION)
def softmax(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- exp(net_j - m)/sum_i exp(net_i - m), m the largest net, sample by sample; slope <- 1.

    Panel element (s, j, v), strip, neuron and lane, is at (s * neurons + j) * lanes + v; a panel of one number a neuron
    is a single sample. The first row of each strip of slope serves as workspace. The Jacobian is a kernel of its own,
    ``softmax_backward``.
    """
    r = type(panel[0])
    lanes = min(VECTOR_BYTES // panel.itemsize, panel.size // neurons)
    strip = neurons * lanes
    for s in range(panel.size // strip):
        outs = panel[s * strip : (s + 1) * strip]
        work = slope[s * strip : s * strip + lanes]
        for v in range(lanes):
            work[v] = outs[v]
        for j in range(1, neurons):
            row = outs[j * lanes : (j + 1) * lanes]
            for v in range(lanes):
                work[v] = row[v] if row[v] > work[v] else work[v]
        for j in range(neurons):
            row = outs[j * lanes : (j + 1) * lanes]
            for v in range(lanes):
                row[v] = decay(row[v] - work[v])[0]
        for v in range(lanes):
            work[v] = r(0.0)
        for j in range(neurons):
            row = outs[j * lanes : (j + 1) * lanes]
            for v in range(lanes):
                work[v] += row[v]
        for v in range(lanes):
            work[v] = r(1.0) / work[v]
        for j in range(neurons):
            row = outs[j * lanes : (j + 1) * lanes]
            for v in range(lanes):
                row[v] *= work[v]
    for i in range(slope.size):
        slope[i] = r(1.0)


@by_address(CELL_JACOBIAN)
def softmax_backward(out: Floats, delta: Floats, neurons: int) -> None:
    """Overwrite delta_j <- o_j (delta_j - sum_i delta_i o_i), sample by sample; the layout is that of ``softmax``."""
    r = type(out[0])
    lanes = min(VECTOR_BYTES // out.itemsize, out.size // neurons)
    strip = neurons * lanes
    for s in range(out.size // strip):
        outs = out[s * strip : (s + 1) * strip]
        deltas = delta[s * strip : (s + 1) * strip]
        # No row is free to hold the sums of all lanes, so they are taken lane by lane: this is the unmatched path.
        for v in range(lanes):
            total = r(0.0)
            for j in range(neurons):
                total += deltas[j * lanes + v] * outs[j * lanes + v]
            for j in range(neurons):
                i = j * lanes + v
                deltas[i] = outs[i] * (deltas[i] - total)


@by_address(CELL_SOFTMAX_SECOND)
def softmax_second(second: Floats, out: Floats, tangent: Floats, cotangent: Floats, neurons: int) -> None:
    """Add p_j (a_j - sum_i a_i o_i) - o_j sum_i a_i p_i to second_j, sample by sample: sum_i a_i o_i derived twice.

    Once with respect to net_j, and once along the direction in which the outputs change by p, the tangent; a is the
    cotangent. The layout is that of ``softmax``.
    """
    r = type(out[0])
    lanes = min(VECTOR_BYTES // out.itemsize, out.size // neurons)
    strip = neurons * lanes
    for s in range(out.size // strip):
        o, p = out[s * strip : (s + 1) * strip], tangent[s * strip : (s + 1) * strip]
        a, b = cotangent[s * strip : (s + 1) * strip], second[s * strip : (s + 1) * strip]
        for v in range(lanes):
            mean, change = r(0.0), r(0.0)
            for j in range(neurons):
                mean += a[j * lanes + v] * o[j * lanes + v]
                change += a[j * lanes + v] * p[j * lanes + v]
            for j in range(neurons):
                i = j * lanes + v
                b[i] += p[i] * (a[i] - mean) - o[i] * change

"""Softmax (equation 2), the one activation whose outputs depend on each other, and products with its derivatives."""

from __future__ import annotations

from ..compile import by_address, by_element
from ..compile.arguments import Floats
from ..elementwise import decay
from ..ir import lanes, largest_row, least, multiply_by_row, subtract_row, sum_rows
from ..tables import CELL_JACOBIAN, CELL_SOFTMAX_SECOND, LAYER_ACTIVATION


@by_element(LAYER_ACTIVATION)
def softmax(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- exp(net_j - m)/sum_i exp(net_i - m), m the largest net, sample by sample; slope <- 1.

    Panel element (s, j, v), strip, neuron and lane, is at (s * neurons + j) * lanes + v; a panel of one number a neuron
    is a single sample. What is costly runs over the whole panel, since LLVM makes no vectors of loops as short as a
    strip is wide. The numbers that belong to a sample lie in ``slope``, one behind the other. The Jacobian is a kernel
    of its own, ``softmax_backward``.
    """
    r = type(panel[0])
    width = least(lanes(panel), panel.size // neurons)
    samples = panel.size // (neurons * width) * width
    for s in range(0, samples, width):
        largest_row(panel, s * neurons, neurons, width, slope, s)
        subtract_row(panel, s * neurons, neurons, width, slope, s)
    for i in range(panel.size):
        panel[i] = decay(panel[i])[0]
    for s in range(0, samples, width):
        sum_rows(panel, s * neurons, neurons, width, slope, s)
    for s in range(samples):
        slope[s] = r(1.0) / slope[s]
    for s in range(0, samples, width):
        multiply_by_row(panel, s * neurons, neurons, width, slope, s)
    for i in range(slope.size):
        slope[i] = r(1.0)


@by_address(CELL_JACOBIAN)
def softmax_backward(out: Floats, delta: Floats, neurons: int) -> None:
    """Overwrite delta_j <- o_j (delta_j - sum_i delta_i o_i), sample by sample; the layout is that of ``softmax``."""
    r = type(out[0])
    width = least(lanes(out), out.size // neurons)
    strip = neurons * width
    for s in range(out.size // strip):
        outs = out[s * strip : (s + 1) * strip]
        deltas = delta[s * strip : (s + 1) * strip]
        # No row is free to hold the sums of all lanes, so they are taken lane by lane: this is the unmatched path.
        for v in range(width):
            total = r(0.0)
            for j in range(neurons):
                total += deltas[j * width + v] * outs[j * width + v]
            for j in range(neurons):
                i = j * width + v
                deltas[i] = outs[i] * (deltas[i] - total)


@by_address(CELL_SOFTMAX_SECOND)
def softmax_second(second: Floats, out: Floats, tangent: Floats, cotangent: Floats, neurons: int) -> None:
    """Add p_j (a_j - sum_i a_i o_i) - o_j sum_i a_i p_i to second_j, sample by sample: sum_i a_i o_i derived twice.

    Once with respect to net_j, and once along the direction in which the outputs change by p, the tangent; a is the
    cotangent. The layout is that of ``softmax``.
    """
    r = type(out[0])
    width = least(lanes(out), out.size // neurons)
    strip = neurons * width
    for s in range(out.size // strip):
        o, p = out[s * strip : (s + 1) * strip], tangent[s * strip : (s + 1) * strip]
        a, b = cotangent[s * strip : (s + 1) * strip], second[s * strip : (s + 1) * strip]
        for v in range(width):
            mean, change = r(0.0), r(0.0)
            for j in range(neurons):
                mean += a[j * width + v] * o[j * width + v]
                change += a[j * width + v] * p[j * width + v]
            for j in range(neurons):
                i = j * width + v
                b[i] += p[i] * (a[i] - mean) - o[i] * change

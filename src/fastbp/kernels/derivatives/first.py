"""Derivatives of the outputs and of the cost, sample by sample: tangents pushed forward, cotangents pulled back.

A workspace of 2s strips serves s strips of samples. Strips 0..s of the panels hold the usual pass: inputs, outputs and
φ'(net). Strips s..2s hold what moves through the layers: tangents in the out panels, cotangents in the delta panels.
The slopes stay as they are, so one forward pass serves as many directions as a Jacobian has.
"""

import math

from .. import prototypes
from ..compile import by_address, kernel
from ..compile.arguments import Floats, Integers, ReadOnly, Table
from ..ir import call, lanes, panel, rank_one, row, view
from ..layer import dense, gather
from ..passes import backprop
from ..tables import (
    CELL_FORWARD_SLOPES,
    CELL_JACOBIAN,
    CELL_OUTER,
    CELL_PULLBACK,
    CELL_PUSHFORWARD,
    CELL_ROWS,
    CELL_SCRATCH,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PACKS,
    LAYER_SOURCE,
    LAYER_WEIGHTS,
)


@by_address(CELL_FORWARD_SLOPES)
def forward_slopes(layers: Table, cells: Integers, panels: Floats, parameters: Floats, inputs: ReadOnly,
                   order: Integers, begin: int, end: int, strips: int) -> None:
    """(1)(2) for samples begin..end; overwrites the out panels and, with φ'(net), the delta panels."""
    call(gather.gather, cells, inputs, order, begin, end, layers[0, LAYER_N_IN], panels, layers[0, LAYER_SOURCE], -1,
         strips, 0, strips)
    for layer in range(layers.shape[0]):
        n = layers[layer, LAYER_N_OUT]
        call(dense.forward, cells, parameters, layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES], panels,
             layers[layer, LAYER_SOURCE], layers[layer, LAYER_OUT], layers[layer, LAYER_N_IN], n, 0, strips)
        call(prototypes.activation, row(layers, layer), panel(panels, layers[layer, LAYER_OUT], n, 0, strips),
             panel(panels, layers[layer, LAYER_DELTA], n, 0, strips), n)


@by_address(CELL_PUSHFORWARD)
def pushforward(layers: Table, cells: Integers, panels: Floats, parameters: Floats, strips: int) -> None:
    """Tangents: ȯ_j = φ'(net_j) Σ_k w_jk ȯ_k, from strips s..2s of the input panel to those of every out panel."""
    top = layers.shape[0] - 1
    for layer in range(top + 1):
        n = layers[layer, LAYER_N_OUT]
        call(dense.forward, cells, parameters, layers[layer, LAYER_WEIGHTS], -1, panels, layers[layer, LAYER_SOURCE],
             layers[layer, LAYER_OUT], layers[layer, LAYER_N_IN], n, strips, 2 * strips)
        tangent = panel(panels, layers[layer, LAYER_OUT], n, strips, 2 * strips)
        slope = panel(panels, layers[layer, LAYER_DELTA], n, 0, strips)
        if layer == top and cells[CELL_JACOBIAN] != 0:  # symmetric, so it serves both directions
            call(prototypes.jacobian_product, cells, panel(panels, layers[layer, LAYER_OUT], n, 0, strips), tangent, n)
        else:
            for i in range(tangent.size):
                tangent[i] *= slope[i]


@by_address(CELL_PULLBACK)
def pullback(layers: Table, cells: Integers, panels: Floats, parameters: Floats, strips: int, bottom: int) -> None:
    """Cotangents (4)(5): from ∂/∂o^L in strips s..2s of the top delta panel to δ in those of all others.

    With ``bottom`` = 1 also to ∂/∂x in strips s..2s of the input panel.
    """
    top = layers.shape[0] - 1
    n = layers[top, LAYER_N_OUT]
    delta = panel(panels, layers[top, LAYER_DELTA], n, strips, 2 * strips)
    if cells[CELL_JACOBIAN] != 0:
        call(prototypes.jacobian_product, cells, panel(panels, layers[top, LAYER_OUT], n, 0, strips), delta, n)
    else:
        slope = panel(panels, layers[top, LAYER_DELTA], n, 0, strips)
        for i in range(delta.size):
            delta[i] *= slope[i]
    for layer in range(top, -bottom, -1):
        n = layers[layer, LAYER_N_IN]
        target = layers[layer, LAYER_DELTA_BELOW] if layer > 0 else layers[0, LAYER_SOURCE]
        delta = panel(panels, target, n, strips, 2 * strips)
        if layer > 0:
            slope = panel(panels, target, n, 0, strips)
            for i in range(delta.size):
                delta[i] = slope[i]
        else:
            for i in range(delta.size):
                delta[i] = 1
        call(dense.backward, cells, parameters, layers[layer, LAYER_WEIGHTS], panels, layers[layer, LAYER_DELTA],
             target, n, layers[layer, LAYER_N_OUT], strips, 2 * strips, -1)


@kernel
def scatter(panels, source, n, samples, rows, start, stride, down):
    """Write neuron j of sample i, of the panel at ``source``, to rows[start + i·stride + j·down]."""
    lane = lanes(panels)
    for i in range(samples):
        s, v = i // lane, i % lane
        strip = view(panels, source + s * n * lane, n * lane)
        for j in range(n):
            rows[start + i * stride + j * down] = strip[j * lane + v]


@kernel
def vjp(layers, cells, panels, parameters, inputs, order, cotangents, samples, block, out):
    """Σ_j u_j ∂o_j/∂x_k of each sample; overwrites ``out``, flat (samples, n_0)."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in, n_out = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT]
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
        call(gather.gather, cells, cotangents, order, begin - strips * lane, end, n_out, panels,
             layers[top, LAYER_DELTA], -1, strips, strips, 2 * strips)
        call(pullback, cells, layers, cells, panels, parameters, strips, 1)
        scatter(panels, layers[0, LAYER_SOURCE] + strips * lane * n_in, n_in, end - begin, out, begin * n_in, n_in, 1)


@kernel
def jvp(layers, cells, panels, parameters, inputs, order, tangents, samples, block, out):
    """Σ_k ∂o_j/∂x_k v_k of each sample; overwrites ``out``, flat (samples, n_L)."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in, n_out = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT]
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
        call(gather.gather, cells, tangents, order, begin - strips * lane, end, n_in, panels, layers[0, LAYER_SOURCE],
             -1, strips, strips, 2 * strips)
        call(pushforward, cells, layers, cells, panels, parameters, strips)
        scatter(panels, layers[top, LAYER_OUT] + strips * lane * n_out, n_out, end - begin, out, begin * n_out, n_out,
                1)


@kernel
def unit(panels, start, n, first, last, j):
    """Overwrite strips first..last of a panel of n rows: row j with 1, the others with 0."""
    lane = lanes(panels)
    whole = panel(panels, start, n, first, last)
    for i in range(whole.size):
        whole[i] = 1 if i // lane % n == j else 0


@kernel
def jacobian(layers, cells, panels, parameters, inputs, order, samples, block, by_rows, out):
    """∂o_j/∂x_k of each sample; overwrites ``out``, flat (samples, n_L, n_0).

    Row by row with cotangents if ``by_rows`` = 1, else column by column with tangents.
    """
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in, n_out = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT]
    size = n_in * n_out
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
        if by_rows != 0:
            for j in range(n_out):
                unit(panels, layers[top, LAYER_DELTA], n_out, strips, 2 * strips, j)
                call(pullback, cells, layers, cells, panels, parameters, strips, 1)
                scatter(panels, layers[0, LAYER_SOURCE] + strips * lane * n_in, n_in, end - begin, out,
                        begin * size + j * n_in, size, 1)
        else:
            for k in range(n_in):
                unit(panels, layers[0, LAYER_SOURCE], n_in, strips, 2 * strips, k)
                call(pushforward, cells, layers, cells, panels, parameters, strips)
                scatter(panels, layers[top, LAYER_OUT] + strips * lane * n_out, n_out, end - begin, out,
                        begin * size + k, size, n_in)


@kernel
def input_gradient(layers, cells, cost_parameter, panels, parameters, inputs, targets, order, samples, block, labels,
                   none, out):
    """∂E/∂x_k = Σ_j w_jk δ_j of each sample's own cost E; overwrites ``out``, flat (samples, n_0)."""
    lane, n_in = lanes(panels), layers[0, LAYER_N_IN]
    scratch = cells[CELL_SCRATCH] if layers[0, LAYER_PACKS] != 0 else -1
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(backprop.my_samples, cells, layers, cells, cost_parameter, panels, parameters, inputs, targets, none,
             order, begin, end, 1.0, labels, 1, strips, 0, strips, cells[CELL_SCRATCH],
             order, 0)  # the order is empty: no clock
        slope = panel(panels, layers[0, LAYER_SOURCE], n_in, 0, strips)
        for i in range(slope.size):
            slope[i] = 1
        call(dense.backward, cells, parameters, layers[0, LAYER_WEIGHTS], panels, layers[0, LAYER_DELTA],
             layers[0, LAYER_SOURCE], n_in, layers[0, LAYER_N_OUT], 0, strips, scratch)
        scatter(panels, layers[0, LAYER_SOURCE], n_in, end - begin, out, begin * n_in, n_in, 1)


@by_address(CELL_ROWS)
def panel_rows(panels: Floats, source: int, n: int, first: int, samples: int, rows: Floats, start: int) -> None:
    """Copy a panel of n rows, from strip ``first`` on, to rows[start:], (samples, n)."""
    scatter(panels, source + first * n * lanes(panels), n, samples, rows, start, n, 1)


@by_address(CELL_OUTER)
def outer_products(layers: Table, cells: Integers, panels: Floats, first: int, samples: int, rows: Floats, out: Floats,
                   start: int, stride: int) -> None:
    """∂/∂w_jk = δ_j o_k, ∂/∂b_j = δ_j (6) sample by sample, with the δ of strips ``first`` on.

    Overwrites out[start + i·stride:] for sample i, laid out like the parameters, and ``rows``, which has room for the
    outputs and deltas of a block of the widest pair of layers.
    """
    one = type(panels[0])(1)
    for layer in range(layers.shape[0]):
        n_in, n_out = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT]
        w, b = layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES]
        deltas = samples * n_in
        call(panel_rows, cells, panels, layers[layer, LAYER_SOURCE], n_in, 0, samples, rows, 0)
        call(panel_rows, cells, panels, layers[layer, LAYER_DELTA], n_out, first, samples, rows, deltas)
        for i in range(samples):
            d, place = deltas + i * n_out, start + i * stride
            rank_one(out, place + w, n_out, n_in, rows, d, i * n_in, one, 0)
            if b >= 0:
                slopes, delta = view(out, place + b, n_out), view(rows, d, n_out)
                for j in range(n_out):
                    slopes[j] = delta[j]


@kernel
def per_sample_gradient(layers, cells, cost_parameter, panels, parameters, inputs, targets, order, samples, block,
                        labels, none, rows, out):
    """∂E/∂parameters of each sample's own cost E; overwrites ``out``, flat (samples, parameters), and ``rows``."""
    lane = lanes(panels)
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(backprop.my_samples, cells, layers, cells, cost_parameter, panels, parameters, inputs, targets, none,
             order, begin, end, 1.0, labels, 1, strips, 0, strips, cells[CELL_SCRATCH], order, 0)
        call(outer_products, cells, layers, cells, panels, 0, end - begin, rows, out, begin * parameters.size,
             parameters.size)


@kernel
def parameter_jacobian(layers, cells, panels, parameters, inputs, order, samples, block, rows, out):
    """∂o_j/∂parameters of each sample; overwrites ``out``, flat (samples, n_L, parameters), and ``rows``."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_out = layers[top, LAYER_N_OUT]
    size = n_out * parameters.size
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
        for j in range(n_out):
            unit(panels, layers[top, LAYER_DELTA], n_out, strips, 2 * strips, j)
            call(pullback, cells, layers, cells, panels, parameters, strips, 0)
            call(outer_products, cells, layers, cells, panels, strips, end - begin, rows, out,
                 begin * size + j * parameters.size, size)


@kernel
def squares(panels, source, n, first, last, sums):
    """Σ_j v_j² of each sample over a panel of n rows; overwrites ``sums``. Doubles, since squares of float32 vanish."""
    lane = lanes(panels)
    double = type(sums[0])
    for s in range(first, last):
        strip, total = view(panels, source + s * n * lane, n * lane), view(sums, (s - first) * lane, lane)
        for v in range(lane):
            total[v] = 0.0
        for j in range(n):
            row = view(strip, j * lane, lane)
            for v in range(lane):
                total[v] += double(row[v]) * double(row[v])


@kernel
def gradient_norms(layers, cells, cost_parameter, panels, parameters, inputs, targets, order, samples, block, labels,
                   none, work, out):
    """‖∂E/∂parameters‖² = Σ_l ‖δ^l‖² (‖o^{l-1}‖² + 1) of each sample's own cost; overwrites ``out`` with its root.

    The 1 stands for the biases. ``work`` has room for three numbers a sample of a block, and is overwritten.
    """
    lane = lanes(panels)
    room = work.size // 3
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(backprop.my_samples, cells, layers, cells, cost_parameter, panels, parameters, inputs, targets, none,
             order, begin, end, 1.0, labels, 1, strips, 0, strips, cells[CELL_SCRATCH], order, 0)
        total, delta, out_below = view(work, 0, room), view(work, room, room), view(work, 2 * room, room)
        for i in range(room):
            total[i] = 0.0
        for layer in range(layers.shape[0]):
            squares(panels, layers[layer, LAYER_DELTA], layers[layer, LAYER_N_OUT], 0, strips, delta)
            squares(panels, layers[layer, LAYER_SOURCE], layers[layer, LAYER_N_IN], 0, strips, out_below)
            bias = 1.0 if layers[layer, LAYER_BIASES] >= 0 else 0.0
            for i in range(room):
                total[i] += delta[i] * (out_below[i] + bias)
        for i in range(end - begin):
            out[begin + i] = math.sqrt(total[i])

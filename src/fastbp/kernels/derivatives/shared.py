"""What the derivatives of outputs and cost have in common: the passes, and the loop over blocks of samples.

A workspace of 2s strips serves s strips of samples. Strips 0..s of the panels hold the usual pass: inputs, outputs and
φ'(net). Strips s..2s hold what moves through the layers: tangents in the out panels, cotangents in the delta panels.
φ' stays as it is, so one forward pass serves as many directions as a Jacobian has. (In `second` cotangents overwrite
it, as in a step of training: a sample has one, and `second.pullback` brings it back together with those of tangents.)

A derivative is a kernel with the arguments of `prototypes.block`, which `by_blocks` calls for a block of samples.
"""

from .. import prototypes
from ..compile import by_address, inline, kernel
from ..compile.arguments import Floats, Integers, ReadOnly, Table
from ..ir import call, lanes, panel, pointer, rank_one, row, view
from ..layer import dense, gather, parametric
from ..tables import (
    CELL_FORWARD_SLOPES,
    CELL_GATHER_INPUTS,
    CELL_JACOBIAN,
    CELL_OUTER,
    CELL_PULLBACK,
    CELL_PUSHFORWARD,
    CELL_PUSHFORWARD_TANGENTS,
    CELL_ROWS,
    CELL_WEIGH,
    LAYER_ALPHAS,
    LAYER_BIASES,
    LAYER_CHANGE,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_NET,
    LAYER_OUT,
    LAYER_PARAMETRIC,
    LAYER_PARAMETRIC_BACKWARD,
    LAYER_SOURCE,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
)


@inline
def panel_row(panels, start, n, s, j):
    """Return the row of neuron j in strip s of a panel of n rows."""
    lane = lanes(panels)
    return view(panels, start + (s * n + j) * lane, lane)


@kernel
def by_blocks(block_kernel, layers, cells, cost_parameter, panels, parameters, inputs, given, weights, total, samples,
              block, labels, rows, out):
    """Call the kernel at address ``block_kernel`` for all samples, block by block."""
    lane, order = lanes(panels), view(cells, 0, 0)  # the samples as they come
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        call(prototypes.block, block_kernel, layers, cells, cost_parameter, panels, parameters, inputs, given, weights,
             total, order, begin, end, (end - begin + lane - 1) // lane, labels, rows, out)


@by_address(CELL_FORWARD_SLOPES)
def forward_slopes(layers: Table, cells: Integers, panels: Floats, parameters: Floats, inputs: ReadOnly,
                   order: Integers, begin: int, end: int, strips: int) -> None:
    """(1)(2) for samples begin..end; overwrites the out panels and, with φ'(net), the delta panels."""
    call(gather.gather, cells[CELL_GATHER_INPUTS], inputs, pointer(order), order, begin, end, layers[0, LAYER_N_IN],
         panels, layers[0, LAYER_SOURCE], layers[0, LAYER_TRANSPOSED], strips, 0, strips)
    for layer in range(layers.shape[0]):
        n = layers[layer, LAYER_N_OUT]
        call(dense.forward, cells, parameters, layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES], panels,
             layers[layer, LAYER_SOURCE], layers[layer, LAYER_OUT], layers[layer, LAYER_N_IN], n, 0, strips, -1)
        if layers[layer, LAYER_PARAMETRIC] != 0:
            call(parametric.activate, row(layers, layer), row(layers, layer), panels, parameters, 0, strips, 0)
        else:
            call(prototypes.activation, row(layers, layer), panel(panels, layers[layer, LAYER_OUT], n, 0, strips),
                 panel(panels, layers[layer, LAYER_DELTA], n, 0, strips), n)


@by_address(CELL_PUSHFORWARD)
def pushforward(layers: Table, cells: Integers, panels: Floats, parameters: Floats, strips: int) -> None:
    """Tangents: ȯ_j = φ'(net_j) Σ_k w_jk ȯ_k, from strips s..2s of the input panel to those of every out panel."""
    for layer in range(layers.shape[0]):
        n = layers[layer, LAYER_N_OUT]
        call(dense.forward, cells, parameters, layers[layer, LAYER_WEIGHTS], -1, panels, layers[layer, LAYER_SOURCE],
             layers[layer, LAYER_OUT], layers[layer, LAYER_N_IN], n, strips, 2 * strips, -1)
        by_slope(layers, cells, panels, layer, 0, strips, panel(panels, layers[layer, LAYER_OUT], n, strips,
                                                                2 * strips))


@by_address(CELL_PUSHFORWARD_TANGENTS)
def pushforward_tangents(layers: Table, cells: Integers, panels: Floats, parameters: Floats, direction: Floats,
                         moved: int, bottom: int, tangents: int, strips: int, first: int, last: int) -> None:
    """Tangents ṅet_j = Σ_k w_jk ȯ_k, and with ``moved`` = 1 + Σ_k v_jk o_k + v_j; ȯ_j = φ'(net_j) ṅet_j.

    Those of strips first..last along direction i lie in strips i·s + first..i·s + last. From layer ``bottom`` up;
    overwrites the tangents in out and net panels, or in delta panels where a workspace has no net panels. `pushforward`
    is the part of it that tangents of inputs need; to compile all of it takes a fifth of their first use.
    """
    lane, top = lanes(panels), layers.shape[0] - 1
    together = max(tangents, 1) if last - first == strips else 1  # directions that adjoin
    for layer in range(bottom, top + 1):
        n_in, n = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT]
        w, b = layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES]
        source, net_at = layers[layer, LAYER_SOURCE], layers[layer, LAYER_NET]
        if net_at < 0:
            net_at = layers[layer, LAYER_DELTA]
        if moved != 0 and layer == 0:  # the inputs stay where they are
            call(dense.forward, cells, direction, w, b, panels, source, net_at + strips * n * lane, n_in, n, first,
                 last, -1)
        else:
            for i in range(1, tangents + 1, together):
                call(dense.forward, cells, parameters, w, -1, panels, source, net_at, n_in, n, i * strips + first,
                     (i + together - 1) * strips + last, -1)
        if moved != 0 and layer > 0:
            call(dense.forward, cells, direction, w, b, panels, source, layers[layer, LAYER_OUT] + strips * n * lane,
                 n_in, n, first, last, -1)
            net = panel(panels, net_at, n, strips + first, strips + last)
            more = panel(panels, layers[layer, LAYER_OUT], n, strips + first, strips + last)
            for k in range(net.size):
                net[k] += more[k]
        out = panel(panels, layers[layer, LAYER_OUT], n, first, last)
        slope = panel(panels, layers[layer, LAYER_DELTA], n, first, last)
        for i in range(1, tangents + 1):
            net = panel(panels, net_at, n, i * strips + first, i * strips + last)
            tangent = panel(panels, layers[layer, LAYER_OUT], n, i * strips + first, i * strips + last)
            if layer == top and cells[CELL_JACOBIAN] != 0:
                for k in range(net.size):
                    tangent[k] = net[k]
                call(prototypes.jacobian_product, cells, out, tangent, n)
            else:
                for k in range(net.size):
                    tangent[k] = slope[k] * net[k]


@inline
def by_slope(layers, cells, panels, layer, first, last, values):
    """Multiply a panel of tangents or cotangents, which overwrites it, by φ'(net) of strips first..last of a layer.

    For an output that is not element-wise, by its Jacobian: that is symmetric, so it serves both directions.
    """
    n = layers[layer, LAYER_N_OUT]
    if layer == layers.shape[0] - 1 and cells[CELL_JACOBIAN] != 0:
        call(prototypes.jacobian_product, cells, panel(panels, layers[layer, LAYER_OUT], n, first, last), values, n)
    else:
        slope = panel(panels, layers[layer, LAYER_DELTA], n, first, last)
        for i in range(values.size):
            values[i] *= slope[i]


@by_address(CELL_PULLBACK)
def pullback(layers: Table, cells: Integers, panels: Floats, parameters: Floats, strips: int, bottom: int) -> None:
    """Cotangents (5): from δ^L in strips s..2s of the top delta panel to δ in those of all others.

    With ``bottom`` = 1 also to ∂/∂x in strips s..2s of the input panel.
    """
    for layer in range(layers.shape[0] - 1, -bottom, -1):
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
        if layer > 0 and layers[layer - 1, LAYER_PARAMETRIC_BACKWARD] != 0:
            call(parametric.backward, row(layers, layer - 1), row(layers, layer - 1), panels, strips, strips,
                 2 * strips, 0)


@inline
def from_outputs(layers, cells, panels, parameters, strips, bottom):
    """From ∂/∂o^L in strips s..2s of the top cotangent panel to δ^L (4), and by `pullback` to all others."""
    top = layers.shape[0] - 1
    if layers[top, LAYER_PARAMETRIC_BACKWARD] != 0:
        call(parametric.backward, row(layers, top), row(layers, top), panels, strips, strips, 2 * strips, 0)
    else:
        delta = panel(panels, layers[top, LAYER_DELTA], layers[top, LAYER_N_OUT], strips, 2 * strips)
        by_slope(layers, cells, panels, top, 0, strips, delta)
    call(pullback, cells, layers, cells, panels, parameters, strips, bottom)


@by_address(CELL_WEIGH)
def weigh(panels: Floats, weight: int, start: int, n: int, low: int, first: int, last: int) -> None:
    """Multiply strips of a panel, from ``low`` on, by the shares in the mean of the samples in strips first..last.

    Weight 0 gives 0, also where a number is not finite.
    """
    zero = type(panels[0])(0)
    for s in range(first, last):
        w = panel_row(panels, weight, 1, s, 0)
        for j in range(n):
            some = panel_row(panels, start, n, low + s - first, j)
            for v in range(some.size):
                some[v] = w[v] * some[v] if w[v] > zero else zero


@inline
def unit(panels, start, n, first, last, j):
    """Overwrite strips first..last of a panel of n rows: row j with 1, the others with 0."""
    lane = lanes(panels)
    whole = panel(panels, start, n, first, last)
    for i in range(whole.size):
        whole[i] = 1 if i // lane % n == j else 0


@inline
def scatter(panels, source, n, samples, rows, start, stride, down):
    """Write neuron j of sample i, of the panel at ``source``, to rows[start + i·stride + j·down]."""
    lane = lanes(panels)
    for i in range(samples):
        s, v = i // lane, i % lane
        strip = view(panels, source + s * n * lane, n * lane)
        for j in range(n):
            rows[start + i * stride + j * down] = strip[j * lane + v]


@by_address(CELL_ROWS)
def panel_rows(panels: Floats, source: int, n: int, first: int, samples: int, rows: Floats, start: int) -> None:
    """Copy a panel of n rows, from strip ``first`` on, to rows[start:], (samples, n)."""
    scatter(panels, source + first * n * lanes(panels), n, samples, rows, start, n, 1)


@by_address(CELL_OUTER)
def outer_products(layers: Table, cells: Integers, panels: Floats, first: int, samples: int, rows: Floats, out: Floats,
                   start: int, stride: int) -> None:
    """∂/∂w_jk = δ_j o_k, ∂/∂b_j = δ_j (6), and ∂/∂α_j, sample by sample, with the δ of strips ``first`` on.

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
                biases, delta = view(out, place + b, n_out), view(rows, d, n_out)
                for j in range(n_out):
                    biases[j] = delta[j]
        if layers[layer, LAYER_ALPHAS] >= 0:
            call(panel_rows, cells, panels, layers[layer, LAYER_CHANGE], n_out, first, samples, rows, deltas)
            for i in range(samples):
                alphas = view(out, start + i * stride + layers[layer, LAYER_ALPHAS], n_out)
                change = view(rows, deltas + i * n_out, n_out)
                for j in range(n_out):
                    alphas[j] = change[j]

"""JᵀJ without J: the Gauss–Newton matrix of the mean cost, accumulated block by block; and what goes with it.

A row of J belongs to a sample s and an output c: √ω_s uᵀ∂net^L/∂parameters, where ω_s is the sample's share of the mean
and the u of all c make up the second derivative of the cost with respect to net^L, Σ_c u uᵀ. As in `derivatives`, a
workspace of 2s strips serves s strips of samples: strips s..2s of the delta panels hold what is pulled back.
"""

import math

from .. import prototypes, tables
from ..compile import by_address, kernel
from ..compile.arguments import Doubles, Floats, Integers, ReadOnly, Table
from ..ir import WHOLE, call, copy_vector, gradient_tile, lanes, multiply_vector, panel, pointer, row, view, wait
from ..layer import dense, gather
from ..layer.dense import column
from ..passes.barrier import stand
from ..tables import (
    CELL_FISHER,
    CELL_ROOT,
    CELL_TARGET,
    CELL_WEIGHT,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_SOURCE,
    LAYER_WEIGHTS,
)
from . import shared


@kernel
def root(out, slope, share, delta, neurons, c, which):
    """δ_j = √ω u_j for output c; overwrites ``delta``, of as many strips as ``share`` has.

    With s = φ'(net): u_c = s for the squared error, √s for a canonical link, where s is the cost's second derivative,
    and where s is Fisher's information (`forward_pass`).
    For softmax with outputs p, √p_j 1_jc − p_j √p_c with its partner, since these make up diag(p) − ppᵀ, and the row
    p_c (1_jc − p_j) of its Jacobian with the squared error. Weight 0 gives 0, also where outputs overflow.
    """
    lane, real = lanes(out), type(out[0])
    zero, one = real(0), real(1)
    for s in range(share.size // lane):
        weight, size = view(share, s * lane, lane), neurons * lane
        o, d, mine = view(out, s * size, size), view(delta, s * size, size), view(slope, (s * neurons + c) * lane, lane)
        own = view(o, c * lane, lane)
        for j in range(neurons):
            p, row = view(o, j * lane, lane), view(d, j * lane, lane)
            here = one if j == c else zero
            for v in range(lane):
                if which == tables.ROOT_SLOPE:
                    u = here * mine[v]
                elif which == tables.ROOT_OF_SLOPE:
                    u = here * real(math.sqrt(mine[v]))
                elif which == tables.ROOT_FISHER:
                    u = here * real(math.sqrt(p[v])) - p[v] * real(math.sqrt(own[v]))
                else:
                    u = own[v] * (here - p[v])
                row[v] = real(math.sqrt(weight[v])) * u if weight[v] > zero else zero


@kernel
def forward_pass(layers, cells, panels, parameters, inputs, weights, order, begin, end, total, strips):
    """(1)(2) with φ' for samples begin..end, and each one's share ω of the mean, w/``total``.

    Where Fisher's information stands in for ∂²C/∂o², it multiplies φ'(net^L), of which `root` then takes the root.
    """
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
    address = pointer(cells)[CELL_FISHER]
    if address != 0:
        output = row(layers, layers.shape[0] - 1)
        n = output[LAYER_N_OUT]
        call(prototypes.fisher, address, panel(panels, output[LAYER_OUT], n, 0, strips),
             panel(panels, output[LAYER_DELTA], n, 0, strips), n)
    call(gather.gather_weights, cells, weights, order, begin, end, total, panels, cells[CELL_WEIGHT], 0, strips)


@kernel
def backward_pass(layers, cells, panels, parameters, strips, c):
    """δ of every layer for output c, from its `root` down."""
    top = layers.shape[0] - 1
    n = layers[top, LAYER_N_OUT]
    root(panel(panels, layers[top, LAYER_OUT], n, 0, strips), panel(panels, layers[top, LAYER_DELTA], n, 0, strips),
         panel(panels, cells[CELL_WEIGHT], 1, 0, strips), panel(panels, layers[top, LAYER_DELTA], n, strips,
                                                                2 * strips), n, c, cells[CELL_ROOT])
    call(shared.pullback, cells, layers, cells, panels, parameters, strips, 0)


@kernel
def products(layers, panels, strips, first, last, size, rows):
    """δ_j o_k and δ_j (6) of every sample in strips first..last: a panel of ``size`` rows, laid out as parameters are.

    Overwrites the beginning of ``rows`` but for the rows behind the parameters.
    """
    lane = lanes(panels)
    for layer in range(layers.shape[0]):
        n_in, n_out = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT]
        w, b = layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES]
        for s in range(first, last):
            out, target = layers[layer, LAYER_SOURCE] + s * n_in * lane, (s - first) * size * lane
            delta = layers[layer, LAYER_DELTA] + (strips + s) * n_out * lane
            place = target + w * lane
            for j in range(n_out):
                for k in range(n_in):
                    multiply_vector(panels, delta + j * lane, panels, out + k * lane, rows, place + k * lane)
                place += n_in * lane
            if b >= 0:
                for j in range(n_out):
                    copy_vector(panels, delta + j * lane, lane, rows, target + (b + j) * lane)


@kernel
def add_squares(rows, size, transposed, tile, strips, n, matrix, thread, threads):
    """matrix_ij += Σ_samples r_i r_j for j ≤ i: a panel of ``size`` rows, the first n of which count, times itself.

    ``transposed`` is where its transposed copy lies in ``rows``, ``tile`` where sums of WHOLE × 2 vectors are put. A
    thread has every ``threads``-th column of tiles. The sums over a panel are in the panel's own precision, their total
    is double.
    """
    lane = lanes(rows)
    wide, vector = 2 * lane, column(strips, lane)
    for k in range(thread * wide, n, threads * wide):
        columns = min(wide, n - k)
        for j in range(k // WHOLE * WHOLE, n, WHOLE):
            gradient_tile(rows, j * lane, lane, size * lane, rows, transposed + k // lane * vector, vector, strips,
                          -1, rows, tile, wide, wide, 0, WHOLE)
            for m in range(min(WHOLE, n - j)):
                total, part = view(matrix, (j + m) * n + k, columns), view(rows, tile + m * wide, columns)
                for v in range(columns):
                    total[v] += part[v]


@kernel
def normal_matrix(thread, threads, layers, cells, panels, parameters, inputs, weights, order, begin, end, total, block,
                  rows, size, piece, matrix, barrier):
    """matrix_ij += (JᵀJ)_ij for j ≤ i, over samples begin..end; above the diagonal it is left in any state.

    Every thread of a team calls it: the first one makes the rows of J, all of them multiply. ``rows`` has room for
    ``piece`` strips of rows, padded to ``size``, for their transposed copy, and for a tile of sums for each thread.
    """
    lane, n, n_out = lanes(panels), parameters.size, layers[layers.shape[0] - 1, LAYER_N_OUT]
    transposed = piece * size * lane
    tile = transposed + size // lane * column(piece, lane) + thread * WHOLE * 2 * lane
    for start in range(begin, end, block):
        stop = min(start + block, end)
        strips = (stop - start + lane - 1) // lane
        if thread == 0:
            forward_pass(layers, cells, panels, parameters, inputs, weights, order, start, stop, total, strips)
        for c in range(n_out):
            if thread == 0:
                backward_pass(layers, cells, panels, parameters, strips, c)
            for first in range(0, strips, piece):
                some = min(piece, strips - first)
                if thread == 0:
                    products(layers, panels, strips, first, first + some, size, rows)
                    call(dense.transpose_panel, cells, rows, 0, transposed, size, some, 0, some)
                if not wait(stand, barrier, threads):
                    return
                add_squares(rows, size, transposed, tile, some, n, matrix, thread, threads)
                if not wait(stand, barrier, threads):
                    return


@by_address()
def jacobian_rows(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                  inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                  end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """J itself, as `prototypes.block` has it: (samples, n_L, parameters)."""
    n_out = layers[layers.shape[0] - 1, LAYER_N_OUT]
    size = n_out * parameters.size
    forward_pass(layers, cells, panels, parameters, inputs, weights, order, begin, end, total, strips)
    for c in range(n_out):
        backward_pass(layers, cells, panels, parameters, strips, c)
        call(shared.outer_products, cells, layers, cells, panels, strips, end - begin, rows, out,
             begin * size + c * parameters.size, size)


@kernel
def directional_second_derivative(layers, cells, panels, parameters, ahead, direction, part, inputs, weights, order,
                                  samples, total, block, gradient):
    """Jᵀö as the parameters move along ``direction``, for the squared error; overwrites ``gradient``.

    ö ≈ 2((o₊ − o)/h − ȯ)/h, from the outputs at the point ``ahead``, h = ``part`` of the way.
    It is not for `shared.by_blocks`: it sums over blocks, and takes three vectors of parameters.
    """
    lane, top = lanes(panels), layers.shape[0] - 1
    n_top, near, real = layers[top, LAYER_N_OUT], 1.0 / part, type(panels[0])
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        out, later = panel(panels, layers[top, LAYER_OUT], n_top, 0, strips), panel(panels, cells[CELL_TARGET], n_top,
                                                                                    0, strips)
        call(shared.forward_slopes, cells, layers, cells, panels, ahead, inputs, order, begin, end, strips)
        for i in range(out.size):
            later[i] = out[i]
        forward_pass(layers, cells, panels, parameters, inputs, weights, order, begin, end, total, strips)
        call(shared.pushforward_tangents, cells, layers, cells, panels, parameters, direction, 1, 0, 1, strips, 0,
             strips)
        tangent = panel(panels, layers[top, LAYER_OUT], n_top, strips, 2 * strips)
        delta = panel(panels, layers[top, LAYER_DELTA], n_top, strips, 2 * strips)
        for i in range(delta.size):
            delta[i] = real(2 * near) * (real(near) * (later[i] - out[i]) - tangent[i])
        shared.by_slope(layers, cells, panels, top, 0, strips, delta)
        call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n_top, strips, 0, strips)
        call(shared.pullback, cells, layers, cells, panels, parameters, strips, 0)
        for layer in range(top + 1):
            n_in, n_out = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT]
            delta_at = layers[layer, LAYER_DELTA] + strips * n_out * lane
            call(dense.gradient_by_lanes, cells, panels, delta_at, layers[layer, LAYER_SOURCE], n_in * lane, n_in,
                 n_out, strips, 0, n_out, gradient, layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES],
                 1 if begin > 0 else 0)


@kernel
def substitute(factor, x):
    """x ← (LLᵀ)⁻¹x with the lower triangle L, flat; rows only are read, forwards and back."""
    n = x.size
    for i in range(n):
        row, known = view(factor, i * n, i + 1), view(x, 0, i)
        total = 0.0
        for k in range(i):
            total += row[k] * known[k]
        x[i] = (x[i] - total) / row[i]
    for i in range(n - 1, -1, -1):
        row, rest = view(factor, i * n, i + 1), view(x, 0, i)
        x[i] /= row[i]
        value = x[i]
        for k in range(i):
            rest[k] -= row[k] * value

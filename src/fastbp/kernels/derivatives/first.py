"""Derivatives of the outputs and of the cost, sample by sample: what `shared.by_blocks` calls for a block of samples.

Each has the arguments of `prototypes.block`, and overwrites rows begin..end of ``out``.
"""

import math
from typing import Any

from ..compile import VECTOR_BYTES, by_address, inline, scalar
from ..compile.arguments import Doubles, Floats, Integers, ReadOnly, Table
from ..elementwise import wide
from ..ir import array_at, call, lanes, panel, pointer, stack, view
from ..layer import dense, gather
from ..passes import backprop
from ..tables import (
    CELL_SCRATCH,
    LAYER_ALPHAS,
    LAYER_BIASES,
    LAYER_CHANGE,
    LAYER_COTANGENT,
    LAYER_DELTA,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PACKS,
    LAYER_SOURCE,
    LAYER_WEIGHTS,
)
from . import shared

MOST_LANES = VECTOR_BYTES // 4
"""Numbers in a vector of the narrower dtype."""

TWO_SIDES = 2 * MOST_LANES
"""And in two of them."""


@by_address()
def vjp(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats, inputs: ReadOnly,
        given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int, end: int, strips: int,
        labels: int, rows: Floats, out: Floats) -> None:
    """Σ_j u_j ∂o_j/∂x_k of each sample, whose u is given: (samples, n_0)."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in = layers[0, LAYER_N_IN]
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
    call(gather.gather, cells, given, pointer(order), order, begin - strips * lane, end, layers[top, LAYER_N_OUT],
         panels, layers[top, LAYER_COTANGENT], -1, strips, strips, 2 * strips)
    shared.from_outputs(layers, cells, panels, parameters, strips, 1)
    call(gather.scatter, cells, panels, layers[0, LAYER_SOURCE] + strips * lane * n_in, n_in, begin, end, out)


@by_address()
def jvp(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats, inputs: ReadOnly,
        given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int, end: int, strips: int,
        labels: int, rows: Floats, out: Floats) -> None:
    """Σ_k ∂o_j/∂x_k v_k of each sample, whose v is given: (samples, n_L)."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_out = layers[top, LAYER_N_OUT]
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
    call(gather.gather, cells, given, pointer(order), order, begin - strips * lane, end, layers[0, LAYER_N_IN],
         panels, layers[0, LAYER_SOURCE], -1, strips, strips, 2 * strips)
    call(shared.pushforward, cells, layers, cells, panels, parameters, strips)
    call(gather.scatter, cells, panels, layers[top, LAYER_OUT] + strips * lane * n_out, n_out, begin, end, out)


@by_address()
def jacobian_by_rows(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                     inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                     end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂o_j/∂x_k of each sample, a cotangent for each output j: (samples, n_L, n_0)."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in, n_out = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT]
    size = n_in * n_out
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
    for j in range(n_out):
        shared.unit(panels, layers[top, LAYER_COTANGENT], n_out, strips, 2 * strips, j)
        shared.from_outputs(layers, cells, panels, parameters, strips, 1)
        shared.scatter(panels, layers[0, LAYER_SOURCE] + strips * lane * n_in, n_in, end - begin, out,
                       begin * size + j * n_in, size, 1)


@by_address()
def jacobian_by_columns(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                        inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                        end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂o_j/∂x_k of each sample, a tangent for each input k: (samples, n_L, n_0)."""
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in, n_out = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT]
    size = n_in * n_out
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
    for k in range(n_in):
        shared.unit(panels, layers[0, LAYER_SOURCE], n_in, strips, 2 * strips, k)
        call(shared.pushforward, cells, layers, cells, panels, parameters, strips)
        shared.scatter(panels, layers[top, LAYER_OUT] + strips * lane * n_out, n_out, end - begin, out,
                       begin * size + k, size, n_in)


@inline
def backpropagate(layers, cells, cost_parameter, panels, parameters, inputs, targets, weights, total, order, begin, end,
                  strips, labels):
    """(1)-(5): forward, to each sample's cost and back; ``weights`` and ``total`` are such that each has its own."""
    # the order is empty: it will also do for the structure of sparse rows, of which there are none, and for no clock
    call(backprop.my_samples, cells, layers, cells, cost_parameter, panels, parameters, inputs, pointer(order), targets,
         weights, order, begin, end, total, labels, 1, strips, 0, strips, cells[CELL_SCRATCH], order, 0)


@by_address()
def input_gradient(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                   inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                   end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂E/∂x_k = Σ_j w_jk δ_j of each sample's own cost E, whose target is given: (samples, n_0)."""
    n_in = layers[0, LAYER_N_IN]
    backpropagate(layers, cells, cost_parameter, panels, parameters, inputs, given, weights, total, order, begin, end,
                  strips, labels)
    slope = panel(panels, layers[0, LAYER_SOURCE], n_in, 0, strips)
    for i in range(slope.size):
        slope[i] = 1
    call(dense.backward, cells, parameters, layers[0, LAYER_WEIGHTS], panels, layers[0, LAYER_DELTA],
         layers[0, LAYER_SOURCE], n_in, layers[0, LAYER_N_OUT], 0, strips,
         cells[CELL_SCRATCH] if layers[0, LAYER_PACKS] != 0 else -1)
    call(gather.scatter, cells, panels, layers[0, LAYER_SOURCE], n_in, begin, end, out)


@by_address()
def per_sample_gradient(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                        inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                        end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂E/∂parameters of each sample's own cost E, whose target is given: (samples, parameters)."""
    backpropagate(layers, cells, cost_parameter, panels, parameters, inputs, given, weights, total, order, begin, end,
                  strips, labels)
    call(shared.outer_products, cells, layers, cells, panels, 0, end - begin, rows, out, begin * parameters.size,
         parameters.size)


@by_address()
def parameter_jacobian(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                       inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                       end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂o_j/∂parameters of each sample: (samples, n_L, parameters)."""
    top = layers.shape[0] - 1
    n_out = layers[top, LAYER_N_OUT]
    size = n_out * parameters.size
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)
    for j in range(n_out):
        shared.unit(panels, layers[top, LAYER_COTANGENT], n_out, strips, 2 * strips, j)
        shared.from_outputs(layers, cells, panels, parameters, strips, 0)
        call(shared.outer_products, cells, layers, cells, panels, strips, end - begin, rows, out,
             begin * size + j * parameters.size, size)


@scalar
def with_square(total: float, x: Any) -> float:
    """Add x², as it comes: in double, since squares of float32 vanish."""
    return total + wide(x) * wide(x)


@by_address()
def gradient_norms(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                   inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                   end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """‖∂E/∂parameters‖ of each sample's own cost, whose target is given: (samples,).

    Its square is Σ_l ‖δ^l‖² (‖o^{l-1}‖² + 1), where the 1 stands for the biases, and ‖∂E/∂α^l‖² where there are α.
    """
    lane = lanes(panels)
    backpropagate(layers, cells, cost_parameter, panels, parameters, inputs, given, weights, total, order, begin, end,
                  strips, labels)
    squares, whole = array_at(stack(0.0, TWO_SIDES), TWO_SIDES), array_at(stack(0.0, MOST_LANES), lane)
    for s in range(strips):
        for v in range(lane):
            whole[v] = 0.0
        for layer in range(layers.shape[0]):
            for side in range(2):  # of δ, and of what it multiplies
                n = layers[layer, LAYER_N_OUT if side == 0 else LAYER_N_IN]
                strip = panel(panels, layers[layer, LAYER_DELTA if side == 0 else LAYER_SOURCE], n, s, s + 1)
                some = view(squares, side * lane, lane)
                for v in range(lane):
                    some[v] = 0.0
                for j in range(n):
                    numbers = view(strip, j * lane, lane)
                    for v in range(lane):
                        some[v] = with_square(some[v], numbers[v])
            bias = 1.0 if layers[layer, LAYER_BIASES] >= 0 else 0.0
            for v in range(lane):
                whole[v] += squares[v] * (squares[lane + v] + bias)
            if layers[layer, LAYER_ALPHAS] >= 0:
                n = layers[layer, LAYER_N_OUT]
                strip = panel(panels, layers[layer, LAYER_CHANGE], n, s, s + 1)
                for j in range(n):
                    numbers = view(strip, j * lane, lane)
                    for v in range(lane):
                        whole[v] = with_square(whole[v], numbers[v])
        for v in range(min(lane, end - begin - s * lane)):
            out[begin + s * lane + v] = math.sqrt(whole[v])

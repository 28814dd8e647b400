"""Derivatives by the columns of X where encoders read them; by codes they are 0.

What `first` computes by the inputs of the first layer goes on through the encoders, in reverse mode. Each has the
arguments of `prototypes.block`, and overwrites rows begin..end of ``out``.
"""

from ..compile import by_address, inline
from ..compile.arguments import Doubles, Floats, Integers, ReadOnly, Table
from ..ir import call, lanes, panel, pointer
from ..layer import gather
from ..passes import encoded
from ..tables import (
    ENCODING_DELTA,
    ENCODING_N_IN,
    ENCODING_SLOPES,
    LAYER_COTANGENT,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_SOURCE,
)
from . import first, shared


@inline
def forward(layers, cells, panels, parameters, inputs, order, begin, end, strips):
    """Encode samples begin..end, and (1)(2); overwrites the out panels and, with φ'(net), the delta panels."""
    encoded.bring_in(layers, cells, panels, parameters, inputs, order, begin, end, strips, 0, strips)
    call(shared.forward_slopes, cells, layers, cells, panels, parameters, inputs, order, begin, end, strips)


@inline
def to_columns(layers, cells, panels, parameters, strips):
    """From ∂/∂o^L in strips s..2s of the top cotangent panel to ∂/∂x in the panel of slopes."""
    stage = encoded.encoding(cells)
    shared.from_outputs(layers, cells, panels, parameters, strips, 1)
    n = layers[0, LAYER_N_IN]
    delta, found = panel(panels, stage[ENCODING_DELTA], n, 0, strips), panel(panels, layers[0, LAYER_SOURCE], n, strips,
                                                                             2 * strips)
    for i in range(delta.size):
        delta[i] = found[i]
    encoded.unscale(stage, panels, parameters, 0, strips)
    call(encoded.slopes, cells, stage, panels, parameters, 0, strips)


@by_address()
def vjp(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats, inputs: ReadOnly,
        given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int, end: int, strips: int,
        labels: int, rows: Floats, out: Floats) -> None:
    """Σ_j u_j ∂o_j/∂x_k of each sample, whose u is given: (samples, n_0)."""
    top, stage = layers.shape[0] - 1, encoded.encoding(cells)
    forward(layers, cells, panels, parameters, inputs, order, begin, end, strips)
    call(gather.gather, cells, given, pointer(order), order, begin - strips * lanes(panels), end,
         layers[top, LAYER_N_OUT], panels, layers[top, LAYER_COTANGENT], -1, strips, strips, 2 * strips)
    to_columns(layers, cells, panels, parameters, strips)
    call(gather.scatter, cells, panels, stage[ENCODING_SLOPES], stage[ENCODING_N_IN], begin, end, out)


@by_address()
def jacobian(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
             inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int, end: int,
             strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂o_j/∂x_k of each sample, a cotangent for each output j: (samples, n_L, n_0)."""
    top, stage = layers.shape[0] - 1, encoded.encoding(cells)
    n_in, n_out = stage[ENCODING_N_IN], layers[top, LAYER_N_OUT]
    forward(layers, cells, panels, parameters, inputs, order, begin, end, strips)
    for j in range(n_out):
        shared.unit(panels, layers[top, LAYER_COTANGENT], n_out, strips, 2 * strips, j)
        to_columns(layers, cells, panels, parameters, strips)
        shared.scatter(panels, stage[ENCODING_SLOPES], n_in, end - begin, out, (begin * n_out + j) * n_in, n_in * n_out,
                       1)


@by_address()
def input_gradient(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                   inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int,
                   end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """∂E/∂x_k of each sample's own cost E, whose target is given: (samples, n_0)."""
    stage = encoded.encoding(cells)
    first.backpropagate(layers, cells, cost_parameter, panels, parameters, inputs, given, weights, total, order, begin,
                        end, strips, labels)
    call(encoded.slopes, cells, stage, panels, parameters, 0, strips)
    call(gather.scatter, cells, panels, stage[ENCODING_SLOPES], stage[ENCODING_N_IN], begin, end, out)

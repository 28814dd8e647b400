"""The forward pass alone, over many samples, and the check that numbers are finite."""

from .. import prototypes
from ..compile import by_address, kernel
from ..compile.arguments import Floats, IntegerPointer, Integers, ReadOnly, Table
from ..ir import call, lanes, least, panel, pointer, row
from ..layer import dense, gather, parametric
from ..tables import (
    CELL_GATHER_INPUTS,
    CELL_SCRATCH,
    ENTRY_FORWARD_MANY,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PARAMETRIC,
    LAYER_SOURCE,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
)


@by_address(ENTRY_FORWARD_MANY)
def predict(layers: Table, cells: Integers, panels: Floats, parameters: Floats, inputs: ReadOnly,
            structure: IntegerPointer, order: Integers, samples: int, block: int,
            outputs: Floats) -> None:
    """o^L = f^L(W^L … f^1(W^1 x + b^1) … + b^L) (1)(2), block by block; overwrites ``outputs``, flat (samples, n_L)."""
    lane = lanes(panels)
    top = layers.shape[0] - 1
    for begin in range(0, samples, block):
        end = least(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(gather.gather, cells[CELL_GATHER_INPUTS], inputs, pointer(structure), order, begin, end,
             layers[0, LAYER_N_IN], panels, layers[0, LAYER_SOURCE], layers[0, LAYER_TRANSPOSED], strips, 0, strips)
        for layer in range(top + 1):
            n = layers[layer, LAYER_N_OUT]
            if layers[layer, LAYER_SOURCE] >= 0:
                call(dense.forward, cells, parameters, layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES],
                     panels, layers[layer, LAYER_SOURCE], layers[layer, LAYER_OUT], layers[layer, LAYER_N_IN], n, 0,
                     strips, cells[CELL_SCRATCH])
            if layers[layer, LAYER_PARAMETRIC] != 0:
                call(parametric.activate, row(layers, layer), row(layers, layer), panels, parameters, 0, strips, 0)
                continue
            out = panel(panels, layers[layer, LAYER_OUT], n, 0, strips)
            slope = panel(panels, layers[layer, LAYER_DELTA], n, 0, strips)
            call(prototypes.activation, row(layers, layer), out, slope, n)
        call(gather.scatter, cells, panels, layers[top, LAYER_OUT], layers[top, LAYER_N_OUT], begin, end, outputs)


@kernel
def all_finite(values):
    """Return whether there is no NaN and no infinity: x·0 is then 0 for each."""
    nothing = 0.0
    for i in range(values.size):
        nothing += values[i] * 0.0
    return nothing == 0.0

"""The forward pass alone, over many samples, and the check that numbers are finite."""

from ._jit import kernel
from .codes import ACROSS, ACTIVATION, BIASES, DELTA, FORWARD, INPUTS, N_IN, N_OUT, OUT, SCATTER, SOURCE, WEIGHTS
from .simd import call, lanes, least, panel


@kernel
def predict(layers, cells, panels, parameters, inputs, order, samples, block, outputs):
    """o^L = f^L(W^L … f^1(W^1 x + b^1) … + b^L) (1)(2), block by block; overwrites ``outputs``, flat (samples, n_L)."""
    lane = lanes(panels)
    top = layers.shape[0] - 1
    for begin in range(0, samples, block):
        end = least(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(cells[INPUTS], inputs, order, begin, end, layers[0, N_IN], panels, layers[0, SOURCE],
             layers[0, ACROSS], strips, 0, strips)
        for layer in range(top + 1):
            n = layers[layer, N_OUT]
            call(cells[FORWARD], parameters, layers[layer, WEIGHTS], layers[layer, BIASES], panels,
                 layers[layer, SOURCE], layers[layer, OUT], layers[layer, N_IN], n, 0, strips)
            out = panel(panels, layers[layer, OUT], n, 0, strips)
            slope = panel(panels, layers[layer, DELTA], n, 0, strips)
            call(layers[layer, ACTIVATION], out, slope, n)
        call(cells[SCATTER], panels, layers[top, OUT], layers[top, N_OUT], begin, end, outputs)


@kernel
def all_finite(values):
    """Tell whether there is no NaN and no infinity: x·0 is then 0 for each."""
    nothing = 0.0
    for i in range(values.size):
        nothing += values[i] * 0.0
    return nothing == 0.0

"""The forward pass alone, over many samples or one, and the check that numbers are finite."""

from ._jit import kernel
from .backprop import panel
from .codes import ACTIVATION, BIASES, DELTA, FORWARD, GATHER, N_IN, N_OUT, OUT, SCATTER, SOURCE, WEIGHTS
from .simd import call, lanes, view


@kernel
def predict(layers, cells, panels, parameters, inputs, order, samples, block, outputs):
    """o^L = f^L(W^L … f^1(W^1 x + b^1) … + b^L) (1)(2), block by block; overwrites ``outputs``, flat (samples, n_L)."""
    lane = lanes(panels)
    top = layers.shape[0] - 1
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(cells[GATHER], (inputs, order, begin, end, layers[0, N_IN], panels, layers[0, SOURCE], -1, strips, 0,
                             strips))
        for layer in range(top + 1):
            row = layers[layer]
            n = row[N_OUT]
            call(cells[FORWARD], (parameters, row[WEIGHTS], row[BIASES], panels, row[SOURCE], row[OUT], row[N_IN], n, 0,
                                  strips))
            out, slope = panel(panels, row[OUT], n, 0, strips), panel(panels, row[DELTA], n, 0, strips)
            call(row[ACTIVATION], (out, slope, n))
        call(cells[SCATTER], (panels, layers[top, OUT], layers[top, N_OUT], begin, end, outputs))


@kernel
def predict_one(layers, panels, parameters, x, output):
    """The same for one sample, neurons in lanes; overwrites ``output`` (n_L)."""
    top = layers.shape[0] - 1
    nothing = type(parameters[0])(0)
    source = x
    for layer in range(top + 1):
        row = layers[layer]
        n_in, n_out, b = row[N_IN], row[N_OUT], row[BIASES]
        out = view(panels, row[OUT], n_out)
        for j in range(n_out):
            w = view(parameters, row[WEIGHTS] + j * n_in, n_in)
            net = parameters[b + j] if b >= 0 else nothing
            for k in range(n_in):
                net += w[k] * source[k]
            out[j] = net
        call(row[ACTIVATION], (out, view(panels, row[DELTA], n_out), n_out))
        source = out
    for j in range(output.size):
        output[j] = source[j]


@kernel
def all_finite(values):
    """Tell whether there is no NaN and no infinity: x·0 is then 0 for each."""
    nothing = 0.0
    for i in range(values.size):
        nothing += values[i] * 0.0
    return nothing == 0.0

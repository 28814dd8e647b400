"""What is random in a regularised fit, and label smoothing: done to the panels of a block before each layer.

Every number is a function of a key, the epoch, the layer, the sample's place in the epoch and the neuron, so that bits
depend neither on threads nor on where a fit was interrupted. Each strip has a stream of its own; its word i serves the
elements i of both halves of the strip, 32 bits each. The loops are functions of their own: inlined into their caller
they run one by one (0.8 ns an output to drop, against 0.18).
"""

import math

from . import elementwise
from ._jit import inline, kernel
from .codes import (
    ACROSS,
    DELTA_BELOW,
    DROPOUT,
    EPOCH,
    INPUT_NOISE,
    KEY,
    N_IN,
    N_OUT,
    PROGRESS,
    SMOOTH_BASE,
    SMOOTH_SHARE,
    SOURCE,
    TARGET,
    TURN,
)
from .random import GOLDEN, mix
from .simd import call, lanes, view, wrapped

WORD = 0xFFFFFFFF
"""32 bits."""


@inline
def stream(key, epoch, layer, position):
    """Give the stream of the strip that begins with the epoch's sample number ``position``."""
    return mix(wrapped(mix(wrapped(mix(wrapped(~key + wrapped(epoch * GOLDEN))) + layer)) + wrapped(position * GOLDEN)))


@kernel
def drop(out, slope, rate, start):
    """Each output becomes 0 with probability p, else o/(1 − p), and so do its slopes (Srivastava et al. 2014).

    The quotient keeps the expected net inputs of the next layer, so that prediction needs no correction.
    """
    real, half = type(out[0]), out.size // 2
    limit = int(rate * 4294967296.0)
    scale = real(4294967296.0 / (4294967296.0 - limit))
    out_low, out_high = view(out, 0, half), view(out, half, half)
    slope_low, slope_high = view(slope, 0, half), view(slope, half, half)
    for i in range(half):
        word = mix(wrapped(start + wrapped(i * GOLDEN)))
        low = scale if (word & WORD) >= limit else real(0)
        high = scale if ((word >> 32) & WORD) >= limit else real(0)
        out_low[i] *= low
        slope_low[i] *= low
        out_high[i] *= high
        slope_high[i] *= high


@kernel
def disturb(inputs, deviation, start):
    """Add normal numbers of this standard deviation, two a word (Box & Muller 1958); none is beyond 6.7 deviations."""
    real, half = type(inputs[0]), inputs.size // 2
    inputs_low, inputs_high = view(inputs, 0, half), view(inputs, half, half)
    size, unit, turn = real(deviation), real(2.0**-32), real(2.0 * math.pi * 2.0**-32)
    for i in range(half):
        word = mix(wrapped(start + wrapped(i * GOLDEN)))
        radius = size * math.sqrt(real(-2) * elementwise.log(real(((word >> 32) & WORD) + 1) * unit))
        sine, cosine = elementwise.sine_cosine(real(word & WORD) * turn)
        inputs_low[i] += radius * cosine
        inputs_high[i] += radius * sine


@kernel
def before_layer(layers, cells, settings, panels, layer, begin, strips, first, last):
    """Overwrite what the layer is to see of strips first..last of a block beginning with the epoch's sample ``begin``.

    The first layer: inputs with noise, and smoothed targets, (1 − ε)y + ε/n. The others: outputs and slopes of the
    layer below, some of them dropped. ``settings`` are the cells behind a cost's parameter, see `codes`.
    """
    lane, n = lanes(panels), layers[layer, N_IN]
    source, epoch = layers[layer, SOURCE], cells[PROGRESS + EPOCH]
    if layer > 0:
        if settings[DROPOUT + layer - 1] > 0.0:
            for s in range(first, last):
                drop(view(panels, source + s * n * lane, n * lane),
                     view(panels, layers[layer, DELTA_BELOW] + s * n * lane, n * lane),
                     settings[DROPOUT + layer - 1], stream(cells[KEY], epoch, layer, begin + s * lane))
        return
    if settings[INPUT_NOISE] > 0.0:
        for s in range(first, last):
            disturb(view(panels, source + s * n * lane, n * lane), settings[INPUT_NOISE],
                    stream(cells[KEY], epoch, 0, begin + s * lane))
        if layers[0, ACROSS] >= 0:
            call(cells[TURN], panels, source, layers[0, ACROSS], n, strips, first, last)
    if settings[SMOOTH_BASE] > 0.0:
        size = layers[layers.shape[0] - 1, N_OUT] * lane
        target = view(panels, cells[TARGET] + first * size, (last - first) * size)
        share, base = type(target[0])(settings[SMOOTH_SHARE]), type(target[0])(settings[SMOOTH_BASE])
        for i in range(target.size):
            target[i] = share * target[i] + base

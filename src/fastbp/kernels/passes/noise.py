"""What is random in a regularised fit, and label smoothing: done to the panels of a block before each layer.

Every number is a function of a key, the epoch, the layer, where its block begins in the epoch, and its place in the
panel, so that bits depend neither on threads nor on where a fit was interrupted. One loop goes over all strips of a
thread. The loops are functions of their own: inlined into their caller they run one by one.
"""

import math

import numpy as np

from ..compile import by_address, inline, kernel, scalar
from ..compile.arguments import Doubles, Floats, IntegerPointer, Table
from ..ir import array_at, array_at_address, call, from_bits, is_single, lanes, pointer, to_bits, view, wrapped
from ..layer import dense
from ..random import GOLDEN, STEP, hashed, low, mix
from ..tables import (
    CELL_COUNT,
    CELL_KEY,
    CELL_NOISE,
    CELL_PROGRESS,
    CELL_TARGET,
    COST_DROPOUT,
    COST_INPUT_NOISE,
    COST_SMOOTH_BASE,
    COST_SMOOTH_SHARE,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_SOURCE,
    LAYER_TRANSPOSED,
    PROGRESS_COUNT,
    PROGRESS_EPOCH,
)


@inline
def stream(key, epoch, layer, begin):
    """Return the two keys, in one word, of the block that begins with the epoch's sample number ``begin``."""
    return mix(wrapped(mix(wrapped(mix(wrapped(~key + wrapped(epoch * GOLDEN))) + layer)) + wrapped(begin * GOLDEN)))


@kernel
def drop_out(out, slope, rate, keys, start):
    """Each output becomes 0 with probability p, else o/(1 − p), and so do its slopes (Srivastava et al. 2014).

    The quotient keeps the expected net inputs of the next layer, so that prediction needs no correction. ``start`` is
    the number of the first output in its block.
    """
    real, counter, key = type(out[0]), low(keys + start * STEP), low(keys >> 32)
    limit = low(int(rate * 4294967296.0))
    scale = real(4294967296.0 / (4294967296.0 - limit))
    for i in range(out.size):
        kept = scale if hashed(counter, key) >= limit else real(0)
        counter = low(counter + STEP)
        out[i] *= kept
        slope[i] *= kept


@scalar
def squared_radius(x):
    """−2 log(x/2³¹) for ½ ≤ x ≤ 2³¹, to 2e-5: a polynomial of what exponent and fraction of x are."""
    real = type(x)
    if is_single(x):
        width, mask, one = 23, 0x7FFFFF, 0x3F800000
    else:
        width, mask, one = 52, 0xFFFFFFFFFFFFF, 0x3FF0000000000000
    bits = to_bits(x)
    exponent, f = real(bits >> width), from_bits((bits & mask) | one, x) - real(1.5)
    p = real(-0.062209763) * f + real(0.11092018)
    p = p * f + real(-0.19605309)
    p = p * f + real(0.44326597)
    p = p * f + real(-1.333393)
    p = p * f + real(-0.81091356)
    return abs(p + (real(2.0 * math.log(2.0)) * (real((one >> width) + 31) - exponent)))


@scalar
def quarter_turns(x):
    """sin(πx/2) and cos(πx/2) for |x| ≤ 1, to 7e-6."""
    real, z = type(x), x * x
    s = real(-0.004371312) * z + real(0.07950118)
    s = s * z + real(-0.64592624)
    s = s * z + real(1.5707952)
    c = real(-0.01909602) * z + real(0.25258073)
    c = c * z + real(-1.2334847)
    c = c * z + real(0.9999933)
    return x * s, c


@kernel
def add_noise(inputs, deviation, keys, start):
    """Add normal numbers of this standard deviation (Box & Muller 1958), from pairs of 32 bits; none is beyond 6.7.

    The first gives the radius, and its sign a reflection; the second, with its sign, an angle of at most a quarter
    turn. The polynomials (minimax) shift no probability by more than 1e-5, which a billion numbers would not show;
    exact functions took 1.7 times as long.
    """
    others = mix(wrapped(keys + GOLDEN))
    counter, key = low(keys + start * STEP), low(keys >> 32)
    other, other_key = low(others + start * STEP), low(others >> 32)
    real = type(inputs[0])
    size, unit = real(deviation), real(2.0**-31)
    for i in range(inputs.size // 2):
        distance = real(np.int32(hashed(counter, key))) + real(0.5)
        radius = size * math.sqrt(squared_radius(abs(distance)))
        sine, cosine = quarter_turns(real(np.int32(hashed(other, other_key))) * unit)
        inputs[2 * i] += math.copysign(radius, distance) * cosine
        inputs[2 * i + 1] += radius * sine
        counter, other = low(counter + STEP), low(other + STEP)


@by_address(CELL_NOISE)
def before_layer(layers: Table, cells: IntegerPointer, settings: Doubles, panels: Floats, layer: int, begin: int,
                 strips: int, first: int, last: int) -> None:
    """Overwrite what the layer is to see of strips first..last of a block beginning with the epoch's sample ``begin``.

    The first layer: inputs with noise, and smoothed targets, (1 − ε)y + ε/n. The others: outputs and slopes of the
    layer below, some of them dropped. ``settings`` are the cells behind a cost's parameter, see `tables`.
    """
    lane, n = lanes(panels), layers[layer, LAYER_N_IN]
    # where nothing is random there is no progress, and none is looked at
    progress = array_at_address(array_at(pointer(cells), CELL_COUNT), cells[CELL_PROGRESS], PROGRESS_COUNT)
    source = layers[layer, LAYER_SOURCE]
    start, size = first * n * lane, (last - first) * n * lane
    if layer > 0:
        if settings[COST_DROPOUT + layer - 1] > 0.0:
            drop_out(view(panels, source + start, size), view(panels, layers[layer, LAYER_DELTA_BELOW] + start, size),
                     settings[COST_DROPOUT + layer - 1],
                     stream(cells[CELL_KEY], progress[PROGRESS_EPOCH], layer, begin), start)
        return
    if settings[COST_INPUT_NOISE] > 0.0:
        add_noise(view(panels, source + start, size), settings[COST_INPUT_NOISE],
                  stream(cells[CELL_KEY], progress[PROGRESS_EPOCH], 0, begin), start // 2)
        if layers[0, LAYER_TRANSPOSED] >= 0:
            call(dense.transpose_panel, cells, panels, source, layers[0, LAYER_TRANSPOSED], n, strips, first, last)
    if settings[COST_SMOOTH_BASE] > 0.0:
        size = layers[layers.shape[0] - 1, LAYER_N_OUT] * lane
        target = view(panels, cells[CELL_TARGET] + first * size, (last - first) * size)
        share, base = type(target[0])(settings[COST_SMOOTH_SHARE]), type(target[0])(settings[COST_SMOOTH_BASE])
        for i in range(target.size):
            target[i] = share * target[i] + base

"""What encoders make of the columns of X, strip by strip, and the gradients of their parameters.

A row of `tables.ENCODER` says where an encoder's numbers lie; its columns are read from the panel of X, rows of one
vector of samples each. `categories` turn any number into a row of a table, so that no code leads outside of it. The
periodic encoder is two small layers a column, with the tiles of `dense`: cosines of several frequencies, and a linear
map of them. Each unit of parameters (a category, a column, a factor) is one thread's, which sums over all samples in
one order.
"""

import math
from typing import Any

from ..compile import VECTOR_BYTES, by_address, inline, scalar
from ..compile.arguments import Floats, IntegerPointer
from ..elementwise import sine_cosine
from ..ir import (
    LANES_COLUMNS,
    backward_tile,
    clip_line,
    copy_vector,
    forward_tile,
    from_bits,
    gather_few,
    lanes,
    lanes_4x1,
    lanes_4xn,
    scale_vector,
    stack,
    sum_samples,
    view,
)
from ..tables import (
    ENCODER_COLUMNS,
    ENCODER_COUNT,
    ENCODER_ENCODE,
    ENCODER_FIRST,
    ENCODER_GRADIENT,
    ENCODER_KEPT,
    ENCODER_LIST,
    ENCODER_PARAMETERS,
    ENCODER_SIZE,
    ENCODER_SLOPE,
    ENCODER_UNIT,
    ENCODING_DELTA,
    ENCODING_ENCODED,
    ENCODING_N_IN,
    ENCODING_RAW,
    ENCODING_SLOPES,
    ENCODING_WIDTH,
)

MOST_LANES = VECTOR_BYTES // 4
"""Numbers in a vector of the narrower dtype."""


@inline
def column_place(panels, stage, k, s):
    """Return where column k of X lies in strip s."""
    return stage[ENCODING_RAW] + (s * stage[ENCODING_N_IN] + k) * lanes(panels)


@inline
def place(panels, here, stage, s):
    """Return where the encoded numbers of an encoder begin in strip s."""
    return stage[ENCODING_ENCODED] + (s * stage[ENCODING_WIDTH] + here[ENCODER_FIRST]) * lanes(panels)


@inline
def slope_place(panels, stage, k, s):
    """Return where the derivatives by column k lie in strip s."""
    return stage[ENCODING_SLOPES] + (s * stage[ENCODING_N_IN] + k) * lanes(panels)


@inline
def delta_place(panels, here, stage, s):
    """Return where δ of the encoded numbers of an encoder begins in strip s."""
    return stage[ENCODING_DELTA] + (s * stage[ENCODING_WIDTH] + here[ENCODER_FIRST]) * lanes(panels)


@scalar
def category(x: Any, count: int) -> int:
    """Return the category of a code; ``count`` for what is none of 0 … count − 1, NaN too."""
    return int(x) if x >= type(x)(0) and x < type(x)(count) else count


@by_address(ENCODER_ENCODE)
def identity(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
             last: int) -> None:
    """The columns as they are."""
    lane = lanes(panels)
    for s in range(first, last):
        for i in range(here[ENCODER_COLUMNS]):
            copy_vector(panels, column_place(panels, stage, stage[here[ENCODER_LIST] + i], s), lane, panels,
                        place(panels, here, stage, s) + i * lane)


@by_address(ENCODER_SLOPE)
def identity_slope(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
                   last: int) -> None:
    """δ of each column."""
    lane, one = lanes(panels), type(panels[0])(1)
    for s in range(first, last):
        for i in range(here[ENCODER_COLUMNS]):
            scale_vector(panels, delta_place(panels, here, stage, s) + i * lane, one, panels,
                         slope_place(panels, stage, stage[here[ENCODER_LIST] + i], s), 1)


@by_address(ENCODER_ENCODE)
def one_hot(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
            last: int) -> None:
    """1 for the category, 0 for the others; all 0 where it is missing."""
    lane, count = lanes(panels), here[ENCODER_COUNT]
    for s in range(first, last):
        x = view(panels, column_place(panels, stage, stage[here[ENCODER_LIST]], s), lane)
        encoded = view(panels, place(panels, here, stage, s), count * lane)
        for i in range(encoded.size):
            encoded[i] = 0
        for v in range(lane):
            code = category(x[v], count)
            if code < count:
                encoded[code * lane + v] = 1


@by_address(ENCODER_ENCODE)
def embedding(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
              last: int) -> None:
    """The category's row of the table, the last row where it is missing."""
    lane, count, size = lanes(panels), here[ENCODER_COUNT], here[ENCODER_SIZE]
    starts = stack(first, MOST_LANES)
    for s in range(first, last):
        x, target = view(panels, column_place(panels, stage, stage[here[ENCODER_LIST]], s), lane), place(panels, here,
                                                                                                       stage, s)
        for v in range(lane):
            starts[v] = here[ENCODER_PARAMETERS] + category(x[v], count) * size
        k = 0
        while k < size:
            k += gather_few(parameters, starts, k, size - k, panels, target + k * lane)


@by_address(ENCODER_GRADIENT)
def embedding_gradient(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats,
                       gradient: Floats, strips: int, accumulate: int, begin: int, end: int) -> None:
    """∂E/∂(row c) = Σ δ over the samples of category c, for rows begin..end."""
    lane, count, size = lanes(panels), here[ENCODER_COUNT], here[ENCODER_SIZE]
    rows = view(gradient, here[ENCODER_PARAMETERS] + begin * size, (end - begin) * size)
    if accumulate == 0:
        for i in range(rows.size):
            rows[i] = 0
    for s in range(strips):
        x = view(panels, column_place(panels, stage, stage[here[ENCODER_LIST]], s), lane)
        delta = view(panels, delta_place(panels, here, stage, s), size * lane)
        for v in range(lane):
            code = category(x[v], count)
            if begin <= code < end:
                for k in range(size):
                    rows[(code - begin) * size + k] += delta[k * lane + v]


@inline
def bin_of(stage, at, bins, t, real):
    """Return the lower edge of bin t of the column at ``at``, 1/width, and the limits of its number."""
    low, high = from_bits(stage[at + 2 + t], 0.0), from_bits(stage[at + 3 + t], 0.0)
    return (real(low), real(1.0 / (high - low)), real(0.0 if t > 0 else -math.inf),
            real(1.0 if t < bins - 1 else math.inf))


@by_address(ENCODER_ENCODE)
def piecewise_linear(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
                     last: int) -> None:
    """(x − b_t)/(b_{t+1} − b_t) for each bin, limited to 0 … 1, but not below the first edge nor above the last."""
    lane = lanes(panels)
    real = type(panels[0])
    for s in range(first, last):
        at, start = here[ENCODER_LIST], place(panels, here, stage, s)
        for _ in range(here[ENCODER_COLUMNS]):
            x, bins = column_place(panels, stage, stage[at], s), stage[at + 1] - 1
            for t in range(bins):
                edge, scale, floor, roof = bin_of(stage, at, bins, t, real)
                clip_line(panels, x, edge, scale, floor, roof, panels, start + t * lane)
            at += bins + 3
            start += bins * lane


@by_address(ENCODER_SLOPE)
def piecewise_linear_slope(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
                           last: int) -> None:
    """δ_t/(b_{t+1} − b_t) of the bin that x lies in; at an edge of the one above."""
    lane = lanes(panels)
    real = type(panels[0])
    for s in range(first, last):
        at, start = here[ENCODER_LIST], delta_place(panels, here, stage, s)
        for _ in range(here[ENCODER_COLUMNS]):
            x, bins = view(panels, column_place(panels, stage, stage[at], s), lane), stage[at + 1] - 1
            found = view(panels, slope_place(panels, stage, stage[at], s), lane)
            for t in range(bins):
                edge, scale, floor, roof = bin_of(stage, at, bins, t, real)
                delta = view(panels, start + t * lane, lane)
                for v in range(found.size):
                    u = (x[v] - edge) * scale
                    found[v] += real(0) if u < floor or u >= roof else delta[v] * scale
            at += bins + 3
            start += bins * lane


@inline
def kept(panels, here, i, s):
    """Return where column i of a periodic encoder has the cosines, −sines and 2πx of strip s, one behind the other."""
    rows = 2 * here[ENCODER_COUNT] + 1
    return here[ENCODER_KEPT] + (s * here[ENCODER_COLUMNS] + i) * rows * lanes(panels)


@by_address(ENCODER_ENCODE)
def periodic(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
             last: int) -> None:
    """(W₂ cos(2πx w₁ + b₁) + b₂, x) of each column; overwrites what it keeps, too."""
    lane, count, size = lanes(panels), here[ENCODER_COUNT], here[ENCODER_SIZE]
    real = type(panels[0])
    turn, linear = real(2.0 * math.pi), size - 1
    for s in range(first, last):
        for i in range(here[ENCODER_COLUMNS]):
            x, at = column_place(panels, stage, stage[here[ENCODER_LIST] + i], s), kept(panels, here, i, s)
            w, angle = here[ENCODER_PARAMETERS] + i * here[ENCODER_UNIT], at + 2 * count * lane
            scale_vector(panels, x, turn, panels, angle, 0)
            m = 0
            while m < count:
                m += forward_tile(parameters, w + m, 1, 1, panels, angle, 0, at + m * lane, 0, 1, parameters,
                                  w + count + m, count - m, 1)
            cosines, slopes = view(panels, at, count * lane), view(panels, at + count * lane, count * lane)
            for k in range(cosines.size):
                sine, cosine = sine_cosine(cosines[k])
                cosines[k], slopes[k] = cosine, -sine
            target = place(panels, here, stage, s) + i * size * lane
            w += 2 * count
            j = 0
            while j < linear:
                j += forward_tile(parameters, w + j * count, count, 1, panels, at, 0, target + j * lane, 0, count,
                                  parameters, w + linear * count + j, linear - j, 1)
            copy_vector(panels, x, lane, panels, target + linear * lane)


@by_address(ENCODER_SLOPE)
def periodic_slope(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
                   last: int) -> None:
    """δ of x itself and Σ_m 2πw_m γ_m; γ = −sin · W₂ᵀδ overwrites the cosines."""
    lane, count, size = lanes(panels), here[ENCODER_COUNT], here[ENCODER_SIZE]
    turn, one, linear = type(panels[0])(2.0 * math.pi), type(panels[0])(1), size - 1
    for s in range(first, last):
        for i in range(here[ENCODER_COLUMNS]):
            w, at = here[ENCODER_PARAMETERS] + i * here[ENCODER_UNIT], kept(panels, here, i, s)
            start = delta_place(panels, here, stage, s) + i * size * lane
            products, sines = view(panels, at, count * lane), view(panels, at + count * lane, count * lane)
            for k in range(products.size):
                products[k] = sines[k]
            m = 0
            while m < count:
                m += backward_tile(parameters, w + 2 * count + m, 1, count, panels, start, 0, at + m * lane, 0, linear,
                                   count - m, 1)
            found = slope_place(panels, stage, stage[here[ENCODER_LIST] + i], s)
            scale_vector(panels, start + linear * lane, one, panels, found, 1)
            for m in range(count):
                scale_vector(panels, at + m * lane, turn * parameters[w + m], panels, found, 1)


@by_address(ENCODER_GRADIENT)
def periodic_gradient(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats,
                      gradient: Floats, strips: int, accumulate: int, begin: int, end: int) -> None:
    """∂E/∂W₂ = Σ δ cosᵀ, ∂E/∂b₂ = Σ δ, ∂E/∂w₁ = Σ 2πxγ, ∂E/∂b₁ = Σ γ; γ = −sin · W₂ᵀδ overwrites the −sines."""
    lane, count, size = lanes(panels), here[ENCODER_COUNT], here[ENCODER_SIZE]
    apart, delta_apart = here[ENCODER_COLUMNS] * (2 * count + 1) * lane, stage[ENCODING_WIDTH] * lane
    linear = size - 1
    for i in range(begin, end):
        w = here[ENCODER_PARAMETERS] + i * here[ENCODER_UNIT]
        at, delta = kept(panels, here, i, 0), stage[ENCODING_DELTA] + (here[ENCODER_FIRST] + i * size) * lane
        slopes, w2 = at + count * lane, w + 2 * count
        for p in range(0, linear, 4):
            for m in range(0, count, LANES_COLUMNS):
                lanes_4xn(panels, delta + p * lane, delta_apart, panels, at + m * lane, apart, strips, gradient,
                          w2 + p * count + m, count, w2 + linear * count + p if m == 0 else -1, accumulate, linear - p,
                          count - m)
        for s in range(strips):
            m = 0
            while m < count:
                m += backward_tile(parameters, w2 + m, 1, count, panels, delta + s * delta_apart, 0,
                                   slopes + s * apart + m * lane, 0, linear, count - m, 1)
        for m in range(0, count, 4):
            some = slopes + m * lane
            lanes_4x1(panels, some, apart, panels, at + 2 * count * lane, apart, strips, gradient, w + m, 1,
                      w + count + m, accumulate, count - m, 1)


@by_address(ENCODER_GRADIENT)
def scaling_gradient(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats,
                     gradient: Floats, strips: int, accumulate: int, begin: int, end: int) -> None:
    """∂E/∂s_k = Σ δ_k e_k, from the products that `encoded.my_samples` has left in place of the encoded numbers e."""
    lane = lanes(panels)
    for k in range(begin, end, lane):
        sum_samples(panels, stage[ENCODING_ENCODED] + k * lane, stage[ENCODING_WIDTH] * lane, strips, gradient,
                    here[ENCODER_PARAMETERS] + k, accumulate, end - k)

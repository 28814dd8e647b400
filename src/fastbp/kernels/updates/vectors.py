"""Loops over whole flat buffers for the full-batch methods. Sums are double: theirs cancel."""

from ..compile import by_address, kernel
from ..compile.arguments import DoublePointer, FloatPointer
from ..elementwise import wide
from ..ir import least

BLOCK = 2048
"""Numbers of a vector that stay in cache while those of many others pass by."""


@kernel
def dot(a, b):
    """Σ aᵢbᵢ."""
    total = 0.0
    for i in range(a.size):
        total += wide(a[i]) * wide(b[i])
    return total


@kernel
def combine(out, a, x, b, y):
    """out ← ax + by; x, y or both may be ``out`` itself."""
    first, second = type(out[0])(a), type(out[0])(b)
    for i in range(out.size):
        out[i] = first * x[i] + second * y[i]


@by_address()
def products(rows: FloatPointer, memory: int, count: int, n: int, a: FloatPointer, b: FloatPointer,
             with_a: DoublePointer, with_b: DoublePointer) -> None:
    """Σ_i r_i a_i and Σ_i r_i b_i of the first ``count`` of some vectors of n numbers: overwrites the sums.

    The vectors lie one after the other, as many as ``memory``. Each is read once, and four at a time, which four does
    not depend on ``count``, nor does any bit of a sum.
    """
    some = memory // 4 * 4
    for k in range(memory):
        with_a[k], with_b[k] = 0.0, 0.0
    for begin in range(0, n, BLOCK):
        end = least(begin + BLOCK, n)
        for k in range(0, least(some, count), 4):
            x0, x1, x2, x3, y0, y1, y2, y3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(begin, end):
                x, y, j = wide(a[i]), wide(b[i]), k * n + i
                r0, r1, r2, r3 = wide(rows[j]), wide(rows[j + n]), wide(rows[j + 2 * n]), wide(rows[j + 3 * n])
                x0 += r0 * x
                x1 += r1 * x
                x2 += r2 * x
                x3 += r3 * x
                y0 += r0 * y
                y1 += r1 * y
                y2 += r2 * y
                y3 += r3 * y
            with_a[k] += x0
            with_a[k + 1] += x1
            with_a[k + 2] += x2
            with_a[k + 3] += x3
            with_b[k] += y0
            with_b[k + 1] += y1
            with_b[k + 2] += y2
            with_b[k + 3] += y3
        for k in range(some, count):
            x0, y0 = 0.0, 0.0
            for i in range(begin, end):
                r0 = wide(rows[k * n + i])
                x0 += r0 * wide(a[i])
                y0 += r0 * wide(b[i])
            with_a[k] += x0
            with_b[k] += y0


@by_address()
def mix(out: FloatPointer, n: int, a: float, x: FloatPointer, rows: FloatPointer, weights: DoublePointer,
        count: int) -> None:
    """out ← ax + Σ_k w_k r_k of so many vectors of n numbers that lie one after the other.

    Four at a time: one at a time, reading and writing ``out`` for each, took 2.3 times as long.
    """
    real = type(out[0])
    first = real(a)
    for begin in range(0, n, BLOCK):
        end = least(begin + BLOCK, n)
        for i in range(begin, end):
            out[i] = first * x[i]
        for k in range(0, count - 3, 4):
            w0, w1, w2, w3 = real(weights[k]), real(weights[k + 1]), real(weights[k + 2]), real(weights[k + 3])
            if w0 == real(0) and w1 == real(0) and w2 == real(0) and w3 == real(0):
                continue
            for i in range(begin, end):
                j = k * n + i
                out[i] += (w0 * rows[j] + w1 * rows[j + n]) + (w2 * rows[j + 2 * n] + w3 * rows[j + 3 * n])
        for k in range(count // 4 * 4, count):
            w0 = real(weights[k])
            for i in range(begin, end):
                out[i] += w0 * rows[k * n + i]


@kernel
def rprop(parameters, gradient, sizes, previous, moved, up, down, smallest, largest, signs_only, retreat):
    """Δw = −sign(∂E/∂w)Δ, each Δ growing while its slope keeps its sign (Igel & Hüsken 2003, figures 1 to 4).

    Where the sign has changed, Δ shrinks, and with ``signs_only`` the step is made all the same (Rprop−), else it is
    taken back with ``retreat`` (Rprop+, iRprop+) or left out (iRprop−).
    """
    real = type(parameters[0])
    zero, grow, shrink, least, most = real(0), real(up), real(down), real(smallest), real(largest)
    for i in range(parameters.size):
        slope, size = gradient[i], sizes[i]
        product = slope * previous[i]
        if product > zero:
            size = min(size * grow, most)
        elif product < zero:
            size = max(size * shrink, least)
        move = -size if slope > zero else size if slope < zero else -slope
        if product < zero and not signs_only:
            move = -moved[i] if retreat else zero
            slope = zero
        sizes[i], previous[i], moved[i] = size, slope, move
        parameters[i] += move


@kernel
def quickprop(parameters, gradient, previous, moved, rate, growth):
    """Δw to the minimum of a parabola through the last two slopes, at most ``growth`` times the last Δw (Fahlman 1988).

    Overwrites parameters, the slopes kept in ``previous`` and the steps kept in ``moved``.
    """
    real = type(parameters[0])
    zero, most = real(0), real(growth)
    share, step = most / (real(1) + most), real(rate)
    for i in range(parameters.size):
        slope, last, before = gradient[i], moved[i], previous[i]
        # where the slope has hardly fallen, the parabola's minimum is farther than ``growth``, or it has none
        far = slope >= share * before if last < zero else slope <= share * before
        ahead = most * last if far else slope / (before - slope) * last
        passed = slope * last > zero
        move = (zero if passed else -step * slope) + (ahead if last != zero else zero)
        previous[i], moved[i] = slope, move
        parameters[i] += move

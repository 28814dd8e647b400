"""Loops over whole flat buffers for the full-batch methods. Sums are double: theirs cancel."""

from ..compile import inline, kernel
from ..elementwise import wide
from ..ir import view

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


@inline
def products(rows, count, a, b, with_a, with_b):
    """Σ_i r_i a_i and Σ_i r_i b_i of the first ``count`` of vectors that lie one after the other: overwrites the sums.

    Each vector is read once, and four at a time, which four does not depend on ``count``, nor does any bit of a sum.
    """
    n, some = a.size, with_a.size // 4 * 4
    for k in range(with_a.size):
        with_a[k], with_b[k] = 0.0, 0.0
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        x, y = view(a, begin, size), view(b, begin, size)
        for k in range(0, min(some, count), 4):
            r0, r1 = view(rows, k * n + begin, size), view(rows, (k + 1) * n + begin, size)
            r2, r3 = view(rows, (k + 2) * n + begin, size), view(rows, (k + 3) * n + begin, size)
            x0, x1, x2, x3, y0, y1, y2, y3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(size):
                p, q = wide(x[i]), wide(y[i])
                x0 += float(r0[i]) * p
                x1 += float(r1[i]) * p
                x2 += float(r2[i]) * p
                x3 += float(r3[i]) * p
                y0 += float(r0[i]) * q
                y1 += float(r1[i]) * q
                y2 += float(r2[i]) * q
                y3 += float(r3[i]) * q
            with_a[k] += x0
            with_a[k + 1] += x1
            with_a[k + 2] += x2
            with_a[k + 3] += x3
            with_b[k] += y0
            with_b[k + 1] += y1
            with_b[k + 2] += y2
            with_b[k + 3] += y3
        for k in range(some, count):
            r, first, second = view(rows, k * n + begin, size), 0.0, 0.0
            for i in range(size):
                first += float(r[i]) * wide(x[i])
                second += float(r[i]) * wide(y[i])
            with_a[k] += first
            with_b[k] += second


@inline
def mix(out, a, x, rows, weights):
    """out ← ax + Σ_k w_k r_k of vectors that lie one after the other.

    Four at a time: one at a time, reading and writing ``out`` for each, took 2.3 times as long.
    """
    real, n, count = type(out[0]), out.size, weights.size
    first = real(a)
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        o = view(out, begin, size)
        y = view(x, begin, size)
        for i in range(size):
            o[i] = first * y[i]
        for k in range(0, count - 3, 4):
            w0, w1, w2, w3 = real(weights[k]), real(weights[k + 1]), real(weights[k + 2]), real(weights[k + 3])
            if w0 == real(0) and w1 == real(0) and w2 == real(0) and w3 == real(0):
                continue
            r0, r1 = view(rows, k * n + begin, size), view(rows, (k + 1) * n + begin, size)
            r2, r3 = view(rows, (k + 2) * n + begin, size), view(rows, (k + 3) * n + begin, size)
            for i in range(size):
                o[i] += (w0 * r0[i] + w1 * r1[i]) + (w2 * r2[i] + w3 * r3[i])
        for k in range(count // 4 * 4, count):
            w, r = real(weights[k]), view(rows, k * n + begin, size)
            for i in range(size):
                o[i] += w * r[i]


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

"""Loops over whole flat buffers for the full-batch methods. Sums are double: theirs cancel."""

from ._jit import kernel
from .simd import view

BLOCK = 4096
"""Numbers of a vector that stay in cache while those of many others pass by."""


@kernel
def dot(a, b):
    """Σ aᵢbᵢ."""
    total = 0.0
    for i in range(a.size):
        total += float(a[i]) * float(b[i])
    return total


@kernel
def combine(out, a, x, b, y):
    """Out ← ax + by; x, y or both may be ``out`` itself."""
    first, second = type(out[0])(a), type(out[0])(b)
    for i in range(out.size):
        out[i] = first * x[i] + second * y[i]


@kernel
def products(rows, a, b, with_a, with_b):
    """Σ_i r_i a_i and Σ_i r_i b_i of vectors that lie one after the other, each read once; overwrites as many sums."""
    n = a.size
    count = rows.size // n
    for k in range(count):
        with_a[k], with_b[k] = 0.0, 0.0
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        x, y = view(a, begin, size), view(b, begin, size)
        for k in range(count):
            r, first, second = view(rows, k * n + begin, size), 0.0, 0.0
            for i in range(size):
                first += float(r[i]) * float(x[i])
                second += float(r[i]) * float(y[i])
            with_a[k] += first
            with_b[k] += second


@kernel
def mix(out, a, x, rows, weights):
    """Out ← ax + Σ_k w_k r_k of vectors that lie one after the other, without those whose weight is 0."""
    n = out.size
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        o = view(out, begin, size)
        combine(o, a, view(x, begin, size), 0.0, o)
        for k in range(weights.size):
            if weights[k] != 0.0:
                combine(o, 1.0, o, weights[k], view(rows, k * n + begin, size))


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

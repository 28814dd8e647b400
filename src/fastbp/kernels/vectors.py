"""Loops over whole flat buffers for the full-batch methods. Sums are double: theirs cancel."""

from ._jit import kernel


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
def two_loops(direction, gradient, steps, changes, alphas, count, newest):
    """D ← −H∂E/∂w from the last steps s and changes of gradient y, rows of ``steps``, ``changes`` (Nocedal 1980).

    Algorithm 7.4 of Nocedal & Wright (2006) for pairs with s·y = 1, H⁰ = 1/y·y of the newest; overwrites ``alphas``,
    one a pair.
    """
    real, rows = type(direction[0]), steps.shape[0]
    for i in range(direction.size):
        direction[i] = -gradient[i]
    for k in range(count):
        row = (newest - k) % rows
        alphas[k] = dot(steps[row], direction)
        combine(direction, 1.0, direction, -alphas[k], changes[row])
    if count > 0:
        scale = real(1.0 / dot(changes[newest], changes[newest]))
        for i in range(direction.size):
            direction[i] *= scale
    for k in range(count - 1, -1, -1):
        row = (newest - k) % rows
        beta = alphas[k] - dot(changes[row], direction)
        combine(direction, 1.0, direction, beta, steps[row])


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

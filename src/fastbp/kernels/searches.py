"""Full-batch steps along a line: what `epoch.run` does between two passes over all samples.

A pass gives cost and gradient of one point. `next_point`, which stands in a plan where mini-batches have
`record.end_epoch`, says where the next pass goes: farther along the line, back, or along a new one. So a team of
threads takes many steps in one call, and may come back after any block, since all that is going on lies in arrays:
``state`` (rows laid out like the parameters), a few ``numbers``, both kept from fit to fit, and ``search``, which is
not.

A method is this search and a direction, two kernels called by address, (parameters, state, numbers, search):
one overwrites the direction and ``search[ALPHA]``, the first length to try, and nothing else that is kept, so that an
interrupted step can be done again with the same bits; the other takes note of a step that was made.
``numbers[MADE]`` is 0 at a (re)start.
"""

import math

from ._jit import by_address, inline
from .codes import (
    DIVERGED,
    DONE,
    EPOCH,
    EPOCH_COST,
    EPOCH_PENALTY,
    EPOCH_WEIGHT,
    FIRST_EPOCH,
    HYPER_CELLS,
    OWN,
    PAUSED,
    RATE,
    RUNNING,
    STATUS,
    SUM_CELLS,
    TOTAL,
    UPDATES,
)
from .elementwise import wide
from .simd import call, to_bits, view
from .vectors import combine, dot, mix, products

GRADIENT, DIRECTION, START, BEFORE, OWN_ROW = range(5)
"""Rows of state: ∂E/∂w, the direction, parameters and gradient before the step, the method's own."""

REACHED, MADE, KEPT, MEMORY = range(OWN, OWN + 4)
"""Numbers: the cost where the last step ended, steps since a (re)start, and of L-BFGS pairs since then and how many
it remembers. The learning rate's cell holds the length of the last step."""
LAST_SLOPE = KEPT
"""Of conjugate gradients: the slope along the last direction, where it began."""

DOING, LEFT, STEPS, PENALTY, DIRECT, REMEMBER, PENALIZE = range(SUM_CELLS, SUM_CELLS + 7)
"""Cells of ``search``, the first of which are those of `layout.Learner.sums`: what the pass is for, steps until the
next pause, steps of this fit, the penalty in ``numbers[REACHED]``; addresses, as bits, of the direction's two kernels
and of `regular.update`."""
CURVATURE, EPSILON, ALPHA, TRIES, BRACKETED, START_COST, START_SLOPE = range(PENALIZE + 1, PENALIZE + 8)
"""c₂ of the Wolfe conditions; the resolution of the dtype; how far along the line the pass goes, how many have gone,
1.0 if a minimum lies between LOW and HIGH, cost and slope where the line begins."""
LOW_ALPHA, LOW_COST, LOW_SLOPE, HIGH_ALPHA, HIGH_COST, HIGH_SLOPE = range(START_SLOPE + 1, START_SLOPE + 7)
"""The lowest point, which is where the line begins at first, and the other end of the interval."""
KNOWN = HIGH_SLOPE + 1
"""How many pairs of L-BFGS have their products in the tables behind it, see `lbfgs_direction`."""
SEARCH_CELLS = KNOWN + 1

FRESH, RESTING, SEARCHING, RETURNING = range(4)
"""What a pass is for: where a fit begins; none, a step has ended; along the line; back to its lowest point."""

GOES_ON, FOUND, LOWEST, NOTHING = range(4)
"""What becomes of a line."""

DECREASE = 1e-4
"""c₁ of the Wolfe conditions."""

MOST_TRIES = 25
"""Passes along one line."""


@inline
def interpolate(a, cost_a, slope_a, b, cost_b, slope_b):
    """Minimise the cubic through two points (Nocedal & Wright 2006, eq. 3.59), kept off the ends of the interval."""
    width, part = b - a, 0.5
    if cost_b * 0.0 != 0.0 or slope_b * 0.0 != 0.0:
        return a + 0.1 * width
    d1 = slope_a + slope_b - 3.0 * (cost_b - cost_a) / width
    square = d1 * d1 - slope_a * slope_b
    if square >= 0.0:
        d2 = math.copysign(math.sqrt(square), width)
        bottom = slope_b - slope_a + 2.0 * d2
        if bottom != 0.0:
            part = 1.0 - (slope_b + d2 - d1) / bottom
    return a + min(max(part, 0.1), 0.9) * width


@inline
def extrapolate(a, slope_a, b, slope_b):
    """Go on from b, which is lower than a and still falls: where the slope would vanish, 1.1 to 10 times as far."""
    fall = slope_b - slope_a
    reach = b - slope_b * (b - a) / fall if fall > 0.0 else math.inf
    return min(max(reach, 1.1 * b), 10.0 * b)


@inline
def judge(search, cost, slope):
    """Take note of a point of the line, overwrite ALPHA by the next to try, and say what becomes of the line.

    FOUND has E ≤ E₀ + c₁αE₀' and |E'| ≤ c₂|E₀'|, the strong Wolfe conditions (Nocedal & Wright 2006, algorithms 3.5 and
    3.6). Where tries end, or the slope promises less across the interval than the cost's last digit, the LOWEST point
    is taken if it fulfils the first of them, at once (FOUND) if it is this one.
    """
    alpha = search[ALPHA]
    search[TRIES] += 1.0
    low_enough = cost <= search[START_COST] + DECREASE * alpha * search[START_SLOPE] and slope * 0.0 == 0.0
    if not low_enough or (search[LOW_ALPHA] > 0.0 and cost > search[LOW_COST]):
        search[HIGH_ALPHA], search[HIGH_COST], search[HIGH_SLOPE], search[BRACKETED] = alpha, cost, slope, 1.0
    else:
        if abs(slope) <= -search[CURVATURE] * search[START_SLOPE]:
            return FOUND
        if search[BRACKETED] == 0.0 and slope < 0.0:
            search[ALPHA] = extrapolate(search[LOW_ALPHA], search[LOW_SLOPE], alpha, slope)
        elif search[BRACKETED] == 0.0 or slope * (search[HIGH_ALPHA] - alpha) >= 0.0:
            search[HIGH_ALPHA], search[HIGH_COST] = search[LOW_ALPHA], search[LOW_COST]
            search[HIGH_SLOPE], search[BRACKETED] = search[LOW_SLOPE], 1.0
        search[LOW_ALPHA], search[LOW_COST], search[LOW_SLOPE] = alpha, cost, slope
    ends = search[TRIES] >= MOST_TRIES
    if search[BRACKETED] != 0.0:
        low, high = search[LOW_ALPHA], search[HIGH_ALPHA]
        width = abs(high - low)
        search[ALPHA] = interpolate(low, search[LOW_COST], search[LOW_SLOPE], high, search[HIGH_COST],
                                    search[HIGH_SLOPE])
        ends |= width * abs(search[START_SLOPE]) <= search[EPSILON] * abs(search[START_COST])
        ends |= width <= 1e-12 * max(high, low)
    if not ends:
        return GOES_ON
    if search[LOW_ALPHA] == 0.0:
        return NOTHING
    search[ALPHA] = search[LOW_ALPHA]
    return FOUND if search[LOW_ALPHA] == alpha else LOWEST


@inline
def row(state, index, n):
    """Give a row of state."""
    return view(state, index * n, n)


@inline
def end_step(parameters, numbers, progress, search, costs, status):
    """Record a step, and tell `epoch.run` to come back: with a ``status``, or for a pause; or diverged."""
    nothing = numbers[REACHED] * 0.0
    for i in range(parameters.size):
        nothing += parameters[i] * 0.0
    if nothing != 0.0:
        progress[STATUS] = DIVERGED
        return
    costs[progress[EPOCH] - progress[FIRST_EPOCH]] = numbers[REACHED]
    search[STEPS] += 1.0
    search[LEFT] -= 1.0
    search[EPOCH_PENALTY] = search[PENALTY]
    search[DOING] = RESTING
    progress[EPOCH] += 1
    progress[UPDATES] = int(search[STEPS])  # where `epoch.run` counts passes
    progress[STATUS] = PAUSED if status == RUNNING and search[LEFT] <= 0.0 else status


@by_address
def next_point(parameters, state, numbers, progress, search, costs, update, epoch):
    """Take the cost and the gradient of a pass, and overwrite the parameters by the next point to look at.

    Overwrites state, numbers and search; where a step ends, also progress and ``costs``, and at the end of the last one
    the parameters stay.
    """
    n = parameters.size
    gradient, direction = row(state, GRADIENT, n), row(state, DIRECTION, n)
    start, before = row(state, START, n), row(state, BEFORE, n)
    doing, cost = search[DOING], 0.0
    if doing != RESTING:
        if numbers.size > HYPER_CELLS:
            penalize, total = to_bits(search[PENALIZE]), to_bits(numbers[TOTAL])
            call(penalize, parameters, gradient, state, 0, n, 0, numbers)
            call(total, numbers, search)
        cost = search[EPOCH_COST] / search[EPOCH_WEIGHT] if search[EPOCH_WEIGHT] > 0.0 else 0.0
        search[EPOCH_COST] = 0.0
        search[EPOCH_WEIGHT] = 0.0
    if doing == FRESH:
        numbers[REACHED], search[PENALTY], search[DOING] = cost, search[EPOCH_PENALTY], RESTING
    elif doing != RESTING:
        verdict = judge(search, cost, dot(gradient, direction)) if doing == SEARCHING else FOUND
        if verdict == GOES_ON or verdict == LOWEST:
            search[DOING] = SEARCHING if verdict == GOES_ON else RETURNING
            combine(parameters, 1.0, start, search[ALPHA], direction)
            return
        if verdict == FOUND and cost < numbers[REACHED]:  # in its last digit the first condition lets equal costs pass
            numbers[REACHED], numbers[RATE], search[PENALTY] = cost, search[ALPHA], search[EPOCH_PENALTY]
            remember = to_bits(search[REMEMBER])
            call(remember, parameters, state, numbers, search)
            numbers[MADE] += 1.0
            end_step(parameters, numbers, progress, search, costs, RUNNING)
        else:
            for i in range(n):
                parameters[i], gradient[i] = start[i], before[i]
            if numbers[MADE] == 0.0:
                end_step(parameters, numbers, progress, search, costs, DONE)
            numbers[MADE], search[DOING] = 0.0, RESTING  # along the gradient, where the direction leads nowhere
    if progress[STATUS] != RUNNING:
        return
    for i in range(n):
        start[i], before[i] = parameters[i], gradient[i]
    direct, slope = to_bits(search[DIRECT]), 0.0
    for _ in range(2):
        call(direct, parameters, state, numbers, search)
        slope = dot(gradient, direction)
        if slope < 0.0 or numbers[MADE] == 0.0:
            break
        numbers[MADE] = 0.0
    if not slope < 0.0:
        end_step(parameters, numbers, progress, search, costs, DONE)
        return
    search[DOING], search[TRIES], search[BRACKETED] = SEARCHING, 0.0, 0.0
    search[START_COST], search[START_SLOPE] = numbers[REACHED], slope
    search[LOW_ALPHA], search[LOW_COST], search[LOW_SLOPE] = 0.0, numbers[REACHED], slope
    combine(parameters, 1.0, start, search[ALPHA], direction)


@by_address
def set_out(address, parameters, state, numbers, progress, search, costs):
    """Call `next_point` where a step has ended and another follows: no pass is needed for its first point."""
    call(address, parameters, state, numbers, progress, search, costs, 0, 0)


@inline
def downhill(direction, gradient):
    """Overwrite the direction by −∂E/∂w; give a step length that moves the parameters by 1 at most."""
    combine(direction, -1.0, gradient, 0.0, gradient)
    return 1.0 / max(math.sqrt(dot(gradient, gradient)), 1.0)


@by_address
def lbfgs_direction(parameters, state, numbers, search):
    """−H∂E/∂w from the last steps s and changes of gradient y with s·y = 1, H⁰ = 1/y·y of the newest (Nocedal 1980).

    Algorithm 7.4 of Nocedal & Wright (2006), whose vectors are all combinations of the gradient and the pairs: with the
    products of these (Chen, Wang & Zhou 2014) it runs over numbers, and every vector is read twice. s_k·y_i and y_k·y_i
    stay in tables from step to step.
    """
    n, memory = parameters.size, int(numbers[MEMORY])
    gradient, direction = row(state, GRADIENT, n), row(state, DIRECTION, n)
    if numbers[MADE] == 0.0 or numbers[KEPT] == 0.0:  # a step whose pair was refused tells no curvature
        search[KNOWN], search[ALPHA] = 0.0, downhill(direction, gradient)
        return
    search[ALPHA] = 1.0
    kept = int(numbers[KEPT])
    count = min(kept, memory)
    square = memory * memory
    tables = view(search, SEARCH_CELLS, search.size - SEARCH_CELLS)  # of older pairs by younger ones
    step_change, change_change = view(tables, 0, square), view(tables, square, square)
    slopes, column = view(tables, 2 * square, 2 * memory), view(tables, 2 * square + 2 * memory, memory)
    weights = view(tables, 2 * square + 3 * memory, 2 * memory)  # slopes and weights: first of steps, then of changes
    for pair in range(max(min(int(search[KNOWN]), kept - 1), kept - count), kept):
        place = pair % memory
        for half in range(2):
            products(view(state, (OWN_ROW + half * memory) * n, memory * n), count, gradient,
                     row(state, OWN_ROW + memory + place, n), view(slopes, half * memory, memory), column)
            for k in range(count):
                tables[half * square + k * memory + place] = column[k]
    search[KNOWN] = float(kept)
    newest = (kept - 1) % memory
    scale = 1.0 / change_change[newest * memory + newest]
    for i in range(2 * memory):
        weights[i] = 0.0
    for age in range(count):
        k = (kept - 1 - age) % memory
        alpha = -slopes[k]
        for younger in range(age):
            i = (kept - 1 - younger) % memory
            alpha += weights[memory + i] * step_change[k * memory + i]
        weights[k], weights[memory + k] = alpha, -alpha
    for k in range(memory):
        weights[memory + k] *= scale
    for age in range(count - 1, -1, -1):
        k = (kept - 1 - age) % memory
        beta = -scale * slopes[memory + k]
        for other in range(count):
            i = (kept - 1 - other) % memory
            if other <= age:
                beta += weights[memory + i] * change_change[k * memory + i]
            else:
                beta += weights[memory + i] * change_change[i * memory + k] + weights[i] * step_change[i * memory + k]
        weights[k] -= beta
    mix(direction, -scale, gradient, view(state, OWN_ROW * n, 2 * memory * n), weights)


@by_address
def lbfgs_pair(parameters, state, numbers, search):
    """Keep s and y, scaled to s·y = 1, which leaves H as it is; not where their product is too small to divide by."""
    n, memory = parameters.size, int(numbers[MEMORY])
    gradient, start, before = row(state, GRADIENT, n), row(state, START, n), row(state, BEFORE, n)
    if numbers[MADE] == 0.0:
        numbers[KEPT] = 0.0
    product, fall = 0.0, 0.0
    for i in range(n):
        s = wide(parameters[i] - start[i])
        product += s * float(gradient[i] - before[i])
        fall -= s * float(before[i])
    if product > search[EPSILON] * max(fall, 0.0):
        pair, scale = int(numbers[KEPT]) % memory, type(parameters[0])(1.0 / math.sqrt(product))
        step, change = row(state, OWN_ROW + pair, n), row(state, OWN_ROW + memory + pair, n)
        for i in range(n):
            step[i], change[i] = scale * (parameters[i] - start[i]), scale * (gradient[i] - before[i])
        numbers[KEPT] += 1.0


@by_address
def conjugate_direction(parameters, state, numbers, search):
    """−g + βd with β after Polak and Ribière, at least 0 (Nocedal & Wright 2006, eq. 5.45); −g where (5.52) says so."""
    n = parameters.size
    gradient, direction = row(state, GRADIENT, n), row(state, DIRECTION, n)
    last_gradient, last = row(state, OWN_ROW, n), row(state, OWN_ROW + 1, n)
    square, overlap = dot(gradient, gradient), dot(gradient, last_gradient)
    if numbers[MADE] == 0.0 or abs(overlap) >= 0.2 * square:
        search[ALPHA] = downhill(direction, gradient)
    else:
        beta = max((square - overlap) / dot(last_gradient, last_gradient), 0.0)
        combine(direction, -1.0, gradient, beta, last)
    slope = dot(gradient, direction)
    if numbers[MADE] != 0.0 and slope < 0.0:  # as much to first order as the last step brought (the same, p. 59)
        search[ALPHA] = numbers[RATE] * numbers[LAST_SLOPE] / slope


@by_address
def conjugate_note(parameters, state, numbers, search):
    """Keep the direction, and gradient and slope from before the step."""
    n = parameters.size
    direction, before = row(state, DIRECTION, n), row(state, BEFORE, n)
    last_gradient, last = row(state, OWN_ROW, n), row(state, OWN_ROW + 1, n)
    for i in range(n):
        last_gradient[i], last[i] = before[i], direction[i]
    numbers[LAST_SLOPE] = search[START_SLOPE]

"""Full-batch steps along a line: what `epoch.run` does between two passes over all samples.

A pass gives cost and gradient of one point. `next_point`, which stands in a plan where mini-batches have
`record.end_epoch`, says where the next pass goes: farther along the line, back, or along a new one. So a team of
threads takes many steps in one call, and may come back after any block, since all that is going on lies in arrays:
``state`` (rows laid out like the parameters), a few ``numbers``, both kept from fit to fit, and ``search``, which is
not.

A method is this search and a direction, two kernels called by address, (parameters, state, numbers, search):
one overwrites the direction and ``search[SEARCH_ALPHA]``, the first length to try, and nothing else that is kept, so
that an interrupted step can be done again with the same bits; the other takes note of a step that was made.
``numbers[HYPER_STEPS]`` is 0 at a (re)start.
"""

import math

from .. import prototypes
from ..compile import by_address, inline, kernel
from ..compile.arguments import Doubles, Floats, Integers
from ..elementwise import wide
from ..ir import call, to_bits, view
from ..tables import (
    CELL_END_EPOCH,
    DOING_FRESH,
    DOING_RESTING,
    DOING_RETURNING,
    DOING_SEARCHING,
    HYPER_COST,
    HYPER_COUNT,
    HYPER_LAST_SLOPE,
    HYPER_MEMORY,
    HYPER_PAIRS,
    HYPER_STEP_LENGTH,
    HYPER_STEPS,
    LINE_FOUND,
    LINE_GOES_ON,
    LINE_LOWEST,
    LINE_NOTHING,
    PROGRESS_EPOCH,
    PROGRESS_FIRST_EPOCH,
    PROGRESS_STATUS,
    PROGRESS_UPDATES,
    REGULAR_TOTAL,
    ROW_BEFORE,
    ROW_DIRECTION,
    ROW_GRADIENT,
    ROW_OWN,
    ROW_START,
    SEARCH_ALPHA,
    SEARCH_BRACKETED,
    SEARCH_COUNT,
    SEARCH_CURVATURE,
    SEARCH_DIRECT,
    SEARCH_DOING,
    SEARCH_EPSILON,
    SEARCH_HIGH_ALPHA,
    SEARCH_HIGH_COST,
    SEARCH_HIGH_SLOPE,
    SEARCH_KNOWN,
    SEARCH_LEFT,
    SEARCH_LOW_ALPHA,
    SEARCH_LOW_COST,
    SEARCH_LOW_SLOPE,
    SEARCH_PENALIZE,
    SEARCH_PENALTY,
    SEARCH_REMEMBER,
    SEARCH_START_COST,
    SEARCH_START_SLOPE,
    SEARCH_STEPS,
    SEARCH_TRIES,
    STATUS_DIVERGED,
    STATUS_DONE,
    STATUS_PAUSED,
    STATUS_RUNNING,
    SUM_EPOCH_COST,
    SUM_EPOCH_PENALTY,
    SUM_EPOCH_WEIGHT,
)
from ..updates.vectors import combine, dot, mix, products
from . import record

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
    """Take note of a point of the line, overwrite SEARCH_ALPHA by the next to try, and say what becomes of the line.

    LINE_FOUND has E ≤ E₀ + c₁αE₀' and |E'| ≤ c₂|E₀'|, the strong Wolfe conditions (Nocedal & Wright 2006, algorithms
    3.5 and 3.6). Where tries end, or the slope promises less across the interval than the cost's last digit, the
    LINE_LOWEST point is taken if it fulfils the first of them, at once (LINE_FOUND) if it is this one.
    """
    alpha = search[SEARCH_ALPHA]
    search[SEARCH_TRIES] += 1.0
    most = search[SEARCH_START_COST] + DECREASE * alpha * search[SEARCH_START_SLOPE]
    low_enough = cost <= most and slope * 0.0 == 0.0
    if not low_enough or (search[SEARCH_LOW_ALPHA] > 0.0 and cost > search[SEARCH_LOW_COST]):
        search[SEARCH_HIGH_ALPHA], search[SEARCH_HIGH_COST], search[SEARCH_HIGH_SLOPE] = alpha, cost, slope
        search[SEARCH_BRACKETED] = 1.0
    else:
        if abs(slope) <= -search[SEARCH_CURVATURE] * search[SEARCH_START_SLOPE]:
            return LINE_FOUND
        if search[SEARCH_BRACKETED] == 0.0 and slope < 0.0:
            search[SEARCH_ALPHA] = extrapolate(search[SEARCH_LOW_ALPHA], search[SEARCH_LOW_SLOPE], alpha, slope)
        elif search[SEARCH_BRACKETED] == 0.0 or slope * (search[SEARCH_HIGH_ALPHA] - alpha) >= 0.0:
            search[SEARCH_HIGH_ALPHA], search[SEARCH_HIGH_COST] = search[SEARCH_LOW_ALPHA], search[SEARCH_LOW_COST]
            search[SEARCH_HIGH_SLOPE], search[SEARCH_BRACKETED] = search[SEARCH_LOW_SLOPE], 1.0
        search[SEARCH_LOW_ALPHA], search[SEARCH_LOW_COST], search[SEARCH_LOW_SLOPE] = alpha, cost, slope
    ends = search[SEARCH_TRIES] >= MOST_TRIES
    if search[SEARCH_BRACKETED] != 0.0:
        low, high = search[SEARCH_LOW_ALPHA], search[SEARCH_HIGH_ALPHA]
        width = abs(high - low)
        search[SEARCH_ALPHA] = interpolate(low, search[SEARCH_LOW_COST], search[SEARCH_LOW_SLOPE], high,
                                           search[SEARCH_HIGH_COST], search[SEARCH_HIGH_SLOPE])
        ends |= width * abs(search[SEARCH_START_SLOPE]) <= search[SEARCH_EPSILON] * abs(search[SEARCH_START_COST])
        ends |= width <= 1e-12 * max(high, low)
    if not ends:
        return LINE_GOES_ON
    if search[SEARCH_LOW_ALPHA] == 0.0:
        return LINE_NOTHING
    search[SEARCH_ALPHA] = search[SEARCH_LOW_ALPHA]
    return LINE_FOUND if search[SEARCH_LOW_ALPHA] == alpha else LINE_LOWEST


@inline
def row(state, index, n):
    """Return a row of state."""
    return view(state, index * n, n)


@inline
def end_step(parameters, numbers, progress, search, costs, status):
    """Record a step, and tell `epoch.run` to come back: with a ``status``, or for a pause; or diverged."""
    nothing = numbers[HYPER_COST] * 0.0
    for i in range(parameters.size):
        nothing += parameters[i] * 0.0
    if nothing != 0.0:
        progress[PROGRESS_STATUS] = STATUS_DIVERGED
        return
    costs[progress[PROGRESS_EPOCH] - progress[PROGRESS_FIRST_EPOCH]] = numbers[HYPER_COST]
    search[SEARCH_STEPS] += 1.0
    search[SEARCH_LEFT] -= 1.0
    search[SUM_EPOCH_PENALTY] = search[SEARCH_PENALTY]
    search[SEARCH_DOING] = DOING_RESTING
    progress[PROGRESS_EPOCH] += 1
    progress[PROGRESS_UPDATES] = int(search[SEARCH_STEPS])  # where `epoch.run` counts passes
    progress[PROGRESS_STATUS] = STATUS_PAUSED if status == STATUS_RUNNING and search[SEARCH_LEFT] <= 0.0 else status


@by_address(CELL_END_EPOCH)
def next_point(parameters: Floats, state: Floats, numbers: Doubles, progress: Integers, search: Doubles, costs: Doubles,
               update: int, epoch: int) -> None:
    """Take the cost and the gradient of a pass, and overwrite the parameters by the next point to look at.

    Overwrites state, numbers and search; where a step ends, also progress and ``costs``, and at the end of the last one
    the parameters stay.
    """
    n = parameters.size
    gradient, direction = row(state, ROW_GRADIENT, n), row(state, ROW_DIRECTION, n)
    start, before = row(state, ROW_START, n), row(state, ROW_BEFORE, n)
    doing, cost = search[SEARCH_DOING], 0.0
    if doing != DOING_RESTING:
        if numbers.size > HYPER_COUNT:
            penalize, total = to_bits(search[SEARCH_PENALIZE]), to_bits(numbers[REGULAR_TOTAL])
            call(prototypes.update_rule, penalize, parameters, gradient, state, 0, n, 0, numbers)
            call(prototypes.total_penalty, total, numbers, search)
        cost = search[SUM_EPOCH_COST] / search[SUM_EPOCH_WEIGHT] if search[SUM_EPOCH_WEIGHT] > 0.0 else 0.0
        search[SUM_EPOCH_COST] = 0.0
        search[SUM_EPOCH_WEIGHT] = 0.0
    if doing == DOING_FRESH:
        numbers[HYPER_COST], search[SEARCH_PENALTY] = cost, search[SUM_EPOCH_PENALTY]
        search[SEARCH_DOING] = DOING_RESTING
    elif doing != DOING_RESTING:
        verdict = judge(search, cost, dot(gradient, direction)) if doing == DOING_SEARCHING else LINE_FOUND
        if verdict == LINE_GOES_ON or verdict == LINE_LOWEST:
            search[SEARCH_DOING] = DOING_SEARCHING if verdict == LINE_GOES_ON else DOING_RETURNING
            combine(parameters, 1.0, start, search[SEARCH_ALPHA], direction)
            return
        # in its last digit the first condition lets equal costs pass
        if verdict == LINE_FOUND and cost < numbers[HYPER_COST]:
            numbers[HYPER_COST], numbers[HYPER_STEP_LENGTH] = cost, search[SEARCH_ALPHA]
            search[SEARCH_PENALTY] = search[SUM_EPOCH_PENALTY]
            remember = to_bits(search[SEARCH_REMEMBER])
            call(prototypes.direction, remember, parameters, state, numbers, search)
            numbers[HYPER_STEPS] += 1.0
            end_step(parameters, numbers, progress, search, costs, STATUS_RUNNING)
        else:
            for i in range(n):
                parameters[i], gradient[i] = start[i], before[i]
            if numbers[HYPER_STEPS] == 0.0:
                end_step(parameters, numbers, progress, search, costs, STATUS_DONE)
            # along the gradient, where the direction leads nowhere
            numbers[HYPER_STEPS], search[SEARCH_DOING] = 0.0, DOING_RESTING
    if progress[PROGRESS_STATUS] != STATUS_RUNNING:
        return
    for i in range(n):
        start[i], before[i] = parameters[i], gradient[i]
    direct, slope = to_bits(search[SEARCH_DIRECT]), 0.0
    for _ in range(2):
        call(prototypes.direction, direct, parameters, state, numbers, search)
        slope = dot(gradient, direction)
        if slope < 0.0 or numbers[HYPER_STEPS] == 0.0:
            break
        numbers[HYPER_STEPS] = 0.0
    if not slope < 0.0:
        end_step(parameters, numbers, progress, search, costs, STATUS_DONE)
        return
    search[SEARCH_DOING], search[SEARCH_TRIES], search[SEARCH_BRACKETED] = DOING_SEARCHING, 0.0, 0.0
    search[SEARCH_START_COST], search[SEARCH_START_SLOPE] = numbers[HYPER_COST], slope
    search[SEARCH_LOW_ALPHA], search[SEARCH_LOW_COST], search[SEARCH_LOW_SLOPE] = 0.0, numbers[HYPER_COST], slope
    combine(parameters, 1.0, start, search[SEARCH_ALPHA], direction)


@kernel
def set_out(address, parameters, state, numbers, progress, search, costs):
    """Call `next_point` where a step has ended and another follows: no pass is needed for its first point."""
    call(record.end_epoch, address, parameters, state, numbers, progress, search, costs, 0, 0)


@inline
def downhill(direction, gradient):
    """Overwrite the direction by −∂E/∂w; give a step length that moves the parameters by 1 at most."""
    combine(direction, -1.0, gradient, 0.0, gradient)
    return 1.0 / max(math.sqrt(dot(gradient, gradient)), 1.0)


@by_address()
def lbfgs_direction(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """−H∂E/∂w from the last steps s and changes of gradient y with s·y = 1, H⁰ = 1/y·y of the newest (Nocedal 1980).

    Algorithm 7.4 of Nocedal & Wright (2006), whose vectors are all combinations of the gradient and the pairs: with the
    products of these (Chen, Wang & Zhou 2014) it runs over numbers, and every vector is read twice. s_k·y_i and y_k·y_i
    stay in tables from step to step.
    """
    n, memory = parameters.size, int(numbers[HYPER_MEMORY])
    gradient, direction = row(state, ROW_GRADIENT, n), row(state, ROW_DIRECTION, n)
    if numbers[HYPER_STEPS] == 0.0 or numbers[HYPER_PAIRS] == 0.0:  # a step whose pair was refused tells no curvature
        search[SEARCH_KNOWN], search[SEARCH_ALPHA] = 0.0, downhill(direction, gradient)
        return
    search[SEARCH_ALPHA] = 1.0
    kept = int(numbers[HYPER_PAIRS])
    count = min(kept, memory)
    square = memory * memory
    tables = view(search, SEARCH_COUNT, search.size - SEARCH_COUNT)  # of older pairs by younger ones
    step_change, change_change = view(tables, 0, square), view(tables, square, square)
    slopes, column = view(tables, 2 * square, 2 * memory), view(tables, 2 * square + 2 * memory, memory)
    weights = view(tables, 2 * square + 3 * memory, 2 * memory)  # slopes and weights: first of steps, then of changes
    for pair in range(max(min(int(search[SEARCH_KNOWN]), kept - 1), kept - count), kept):
        place = pair % memory
        for half in range(2):
            products(view(state, (ROW_OWN + half * memory) * n, memory * n), count, gradient,
                     row(state, ROW_OWN + memory + place, n), view(slopes, half * memory, memory), column)
            for k in range(count):
                tables[half * square + k * memory + place] = column[k]
    search[SEARCH_KNOWN] = float(kept)
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
    mix(direction, -scale, gradient, view(state, ROW_OWN * n, 2 * memory * n), weights)


@by_address()
def lbfgs_pair(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """Keep s and y, scaled to s·y = 1, which leaves H as it is; not where their product is too small to divide by."""
    n, memory = parameters.size, int(numbers[HYPER_MEMORY])
    gradient, start, before = row(state, ROW_GRADIENT, n), row(state, ROW_START, n), row(state, ROW_BEFORE, n)
    if numbers[HYPER_STEPS] == 0.0:
        numbers[HYPER_PAIRS] = 0.0
    product, fall = 0.0, 0.0
    for i in range(n):
        s = wide(parameters[i] - start[i])
        product += s * float(gradient[i] - before[i])
        fall -= s * float(before[i])
    if product > search[SEARCH_EPSILON] * max(fall, 0.0):
        pair, scale = int(numbers[HYPER_PAIRS]) % memory, type(parameters[0])(1.0 / math.sqrt(product))
        step, change = row(state, ROW_OWN + pair, n), row(state, ROW_OWN + memory + pair, n)
        for i in range(n):
            step[i], change[i] = scale * (parameters[i] - start[i]), scale * (gradient[i] - before[i])
        numbers[HYPER_PAIRS] += 1.0


@by_address()
def conjugate_direction(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """−g + βd with β after Polak and Ribière, at least 0 (Nocedal & Wright 2006, eq. 5.45); −g where (5.52) says so."""
    n = parameters.size
    gradient, direction = row(state, ROW_GRADIENT, n), row(state, ROW_DIRECTION, n)
    last_gradient, last = row(state, ROW_OWN, n), row(state, ROW_OWN + 1, n)
    square, overlap = dot(gradient, gradient), dot(gradient, last_gradient)
    if numbers[HYPER_STEPS] == 0.0 or abs(overlap) >= 0.2 * square:
        search[SEARCH_ALPHA] = downhill(direction, gradient)
    else:
        beta = max((square - overlap) / dot(last_gradient, last_gradient), 0.0)
        combine(direction, -1.0, gradient, beta, last)
    slope = dot(gradient, direction)
    if numbers[HYPER_STEPS] != 0.0 and slope < 0.0:  # as much to first order as the last step brought (the same, p. 59)
        search[SEARCH_ALPHA] = numbers[HYPER_STEP_LENGTH] * numbers[HYPER_LAST_SLOPE] / slope


@by_address()
def conjugate_note(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """Keep the direction, and gradient and slope from before the step."""
    n = parameters.size
    direction, before = row(state, ROW_DIRECTION, n), row(state, ROW_BEFORE, n)
    last_gradient, last = row(state, ROW_OWN, n), row(state, ROW_OWN + 1, n)
    for i in range(n):
        last_gradient[i], last[i] = before[i], direction[i]
    numbers[HYPER_LAST_SLOPE] = search[SEARCH_START_SLOPE]

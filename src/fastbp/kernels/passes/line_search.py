"""Full-batch steps along a line: what `epoch.run` does between two passes over all samples.

A pass gives cost and gradient of one point. `next_point`, which stands in a plan where mini-batches have
`record.end_epoch`, says where the next pass goes: farther along the line, back, or along a new one. So a team of
threads takes many steps in one call, and may come back after any block, since all that is going on lies in arrays:
``state`` (rows laid out like the parameters), a few ``numbers``, both kept from fit to fit, and ``search``, which is
not.

A method is this search and a direction, two kernels of `directions` called by address.
"""

import math

from .. import prototypes
from ..compile import by_address, inline, inner, kernel
from ..compile.arguments import DoublePointer, Doubles, Floats, IntegerPointer
from ..ir import call, least, most, part, pointer, to_bits
from ..tables import (
    CELL_END_EPOCH,
    DOING_FRESH,
    DOING_RESTING,
    DOING_RETURNING,
    DOING_SEARCHING,
    HYPER_COST,
    HYPER_COUNT,
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
    ROW_START,
    SEARCH_ALPHA,
    SEARCH_BRACKETED,
    SEARCH_C2,
    SEARCH_DIRECT,
    SEARCH_DOING,
    SEARCH_EPSILON,
    SEARCH_HIGH_ALPHA,
    SEARCH_HIGH_COST,
    SEARCH_HIGH_SLOPE,
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
from ..updates.vectors import combine, dot
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
    return a + least(most(part, 0.1), 0.9) * width


@inline
def extrapolate(a, slope_a, b, slope_b):
    """Go on from b, which is lower than a and still falls: where the slope would vanish, 1.1 to 10 times as far."""
    fall = slope_b - slope_a
    reach = b - slope_b * (b - a) / fall if fall > 0.0 else math.inf
    return least(most(reach, 1.1 * b), 10.0 * b)


@inner
def judge(search, cost, slope):
    """Take note of a point of the line, overwrite SEARCH_ALPHA by the next to try, and say what becomes of the line.

    LINE_FOUND has E ≤ E₀ + c₁αE₀' and |E'| ≤ c₂|E₀'|, the strong Wolfe conditions (Nocedal & Wright 2006, algorithms
    3.5 and 3.6). Where tries end, or the slope promises less across the interval than the cost's last digit, the
    LINE_LOWEST point is taken if it fulfils the first of them, at once (LINE_FOUND) if it is this one.
    """
    alpha = search[SEARCH_ALPHA]
    search[SEARCH_TRIES] += 1.0
    allowed = search[SEARCH_START_COST] + DECREASE * alpha * search[SEARCH_START_SLOPE]
    low_enough = cost <= allowed and slope * 0.0 == 0.0
    if not low_enough or (search[SEARCH_LOW_ALPHA] > 0.0 and cost > search[SEARCH_LOW_COST]):
        search[SEARCH_HIGH_ALPHA], search[SEARCH_HIGH_COST], search[SEARCH_HIGH_SLOPE] = alpha, cost, slope
        search[SEARCH_BRACKETED] = 1.0
    else:
        if abs(slope) <= -search[SEARCH_C2] * search[SEARCH_START_SLOPE]:
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
        ends |= width <= 1e-12 * most(high, low)
    if not ends:
        return LINE_GOES_ON
    if search[SEARCH_LOW_ALPHA] == 0.0:
        return LINE_NOTHING
    search[SEARCH_ALPHA] = search[SEARCH_LOW_ALPHA]
    return LINE_FOUND if search[SEARCH_LOW_ALPHA] == alpha else LINE_LOWEST


@inline
def cost_of_pass(parameters, gradient, state, numbers, sums, search):
    """Return the mean cost of the pass that has ended, with the penalties, whose gradient is added to that of it."""
    if numbers.size > HYPER_COUNT:
        penalize, total = to_bits(search[SEARCH_PENALIZE]), to_bits(numbers[REGULAR_TOTAL])
        call(prototypes.update_rule, penalize, parameters, gradient, state, 0, parameters.size, 0, numbers)
        call(prototypes.total_penalty, total, numbers, pointer(sums))
    cost = sums[SUM_EPOCH_COST] / sums[SUM_EPOCH_WEIGHT] if sums[SUM_EPOCH_WEIGHT] > 0.0 else 0.0
    sums[SUM_EPOCH_COST] = 0.0
    sums[SUM_EPOCH_WEIGHT] = 0.0
    return cost


@inner
def end_step(parameters, numbers, progress, sums, search, costs, last):
    """Record a step, and tell `epoch.run` to come back: where it was the ``last``, or for a pause; or diverged.

    No caller gives a constant for ``last``: Numba would compile all of it for True, for False and for both.
    """
    nothing = numbers[HYPER_COST] * 0.0
    for i in range(parameters.size):
        nothing += parameters[i] * 0.0
    if nothing != 0.0:
        progress[PROGRESS_STATUS] = STATUS_DIVERGED
        return
    costs[progress[PROGRESS_EPOCH] - progress[PROGRESS_FIRST_EPOCH]] = numbers[HYPER_COST]
    search[SEARCH_STEPS] += 1.0
    search[SEARCH_LEFT] -= 1.0
    sums[SUM_EPOCH_PENALTY] = search[SEARCH_PENALTY]
    search[SEARCH_DOING] = DOING_RESTING
    progress[PROGRESS_EPOCH] += 1
    whole = type(progress[PROGRESS_UPDATES])
    progress[PROGRESS_UPDATES] = whole(search[SEARCH_STEPS])  # where `epoch.run` counts passes
    progress[PROGRESS_STATUS] = STATUS_DONE if last else STATUS_PAUSED if search[SEARCH_LEFT] <= 0.0 else STATUS_RUNNING


@by_address(CELL_END_EPOCH)
def next_point(parameters: Floats, best: Floats, state: Floats, numbers: Doubles, progress: IntegerPointer,
               sums: DoublePointer, search: Doubles, costs: Doubles, update: int, epoch: int) -> None:
    """Take the cost and the gradient of a pass, and overwrite the parameters by the next point to look at.

    Overwrites state, numbers, sums and search; where a step ends, also progress and ``costs``, and at the end of the
    last one the parameters stay.
    """
    n, line, figures = parameters.size, pointer(search), pointer(numbers)
    gradient, direction = part(state, ROW_GRADIENT, n), part(state, ROW_DIRECTION, n)
    start, before = part(state, ROW_START, n), part(state, ROW_BEFORE, n)
    doing, cost = line[SEARCH_DOING], 0.0
    if doing != DOING_RESTING:
        cost = cost_of_pass(parameters, gradient, state, numbers, sums, line)
    if doing == DOING_FRESH:
        figures[HYPER_COST], line[SEARCH_PENALTY] = cost, sums[SUM_EPOCH_PENALTY]
        line[SEARCH_DOING] = DOING_RESTING
    elif doing != DOING_RESTING:
        verdict = judge(line, cost, dot(gradient, direction)) if doing == DOING_SEARCHING else LINE_FOUND
        if verdict == LINE_GOES_ON or verdict == LINE_LOWEST:
            line[SEARCH_DOING] = DOING_SEARCHING if verdict == LINE_GOES_ON else DOING_RETURNING
            combine(parameters, 1.0, start, line[SEARCH_ALPHA], direction)
            return
        # in its last digit the first condition lets equal costs pass
        found = verdict == LINE_FOUND and cost < figures[HYPER_COST]
        if found:
            figures[HYPER_COST], figures[HYPER_STEP_LENGTH] = cost, line[SEARCH_ALPHA]
            line[SEARCH_PENALTY] = sums[SUM_EPOCH_PENALTY]
            remember = to_bits(line[SEARCH_REMEMBER])
            call(prototypes.direction, remember, parameters, state, numbers, search)
            figures[HYPER_STEPS] += 1.0
        else:
            for i in range(n):
                parameters[i], gradient[i] = start[i], before[i]
        if found or figures[HYPER_STEPS] == 0.0:
            end_step(parameters, figures, progress, sums, line, costs, not found)
        if not found:  # along the gradient, where the direction leads nowhere
            figures[HYPER_STEPS], line[SEARCH_DOING] = 0.0, DOING_RESTING
    if progress[PROGRESS_STATUS] != STATUS_RUNNING:
        return
    for i in range(n):
        start[i], before[i] = parameters[i], gradient[i]
    direct, slope = to_bits(line[SEARCH_DIRECT]), 0.0
    for _ in range(2):
        call(prototypes.direction, direct, parameters, state, numbers, search)
        slope = dot(gradient, direction)
        if slope < 0.0 or figures[HYPER_STEPS] == 0.0:
            break
        figures[HYPER_STEPS] = 0.0
    nowhere = not slope < 0.0
    if nowhere:
        end_step(parameters, figures, progress, sums, line, costs, nowhere)
        return
    line[SEARCH_DOING], line[SEARCH_TRIES], line[SEARCH_BRACKETED] = DOING_SEARCHING, 0.0, 0.0
    line[SEARCH_START_COST], line[SEARCH_START_SLOPE] = figures[HYPER_COST], slope
    line[SEARCH_LOW_ALPHA], line[SEARCH_LOW_COST], line[SEARCH_LOW_SLOPE] = 0.0, figures[HYPER_COST], slope
    combine(parameters, 1.0, start, line[SEARCH_ALPHA], direction)


@kernel
def set_out(address, parameters, best, state, numbers, progress, sums, search, costs):
    """Call `next_point` where a step has ended and another follows: no pass is needed for its first point."""
    call(record.end_epoch, address, parameters, best, state, numbers, pointer(progress), pointer(sums), search, costs,
         0, 0)

"""Full-batch steps to where Moré and Thuente (1994) stop, as L-BFGS-B takes them without bounds: SciPy's iterates.

What `line_search.next_point` is, with the search, restarts and ends of Zhu, Byrd, Lu & Nocedal (1997): the same points
to rounding, and so the iterates of scikit-learn. Directions are those of `directions.lbfgs_direction`, which equal
theirs where no bound is met.
"""

import math

from .. import prototypes
from ..compile import by_address, inline, inner
from ..compile.arguments import DoublePointer, Doubles, Floats, IntegerPointer
from ..ir import call, least, most, part, pointer, to_bits, view
from ..tables import (
    CELL_END_EPOCH,
    DOING_FRESH,
    DOING_RESTING,
    DOING_SEARCHING,
    HYPER_COST,
    HYPER_PAIRS,
    HYPER_STEP_LENGTH,
    HYPER_STEPS,
    LINE_FOUND,
    LINE_GOES_ON,
    OUTCOME_EVALUATIONS,
    OUTCOME_FLAT,
    OUTCOME_LOST,
    OUTCOME_NONE,
    OUTCOME_STEADY,
    PROGRESS_STATUS,
    ROW_BEFORE,
    ROW_DIRECTION,
    ROW_GRADIENT,
    ROW_START,
    SEARCH_ALPHA,
    SEARCH_BRACKETED,
    SEARCH_C2,
    SEARCH_DIRECT,
    SEARCH_DOING,
    SEARCH_HIGH_ALPHA,
    SEARCH_HIGH_COST,
    SEARCH_HIGH_SLOPE,
    SEARCH_LOW_ALPHA,
    SEARCH_LOW_COST,
    SEARCH_LOW_SLOPE,
    SEARCH_PENALTY,
    SEARCH_REMEMBER,
    SEARCH_START_COST,
    SEARCH_START_SLOPE,
    SEARCH_TRIES,
    STATUS_DONE,
    STATUS_RUNNING,
    SUM_EPOCH_PENALTY,
    WOLFE_COST_TOLERANCE,
    WOLFE_COUNT,
    WOLFE_EVALUATIONS,
    WOLFE_ITERATIONS,
    WOLFE_LAST_WIDTH,
    WOLFE_LEAST,
    WOLFE_MOST,
    WOLFE_MOST_EVALUATIONS,
    WOLFE_OUTCOME,
    WOLFE_SLOPE_TOLERANCE,
    WOLFE_STAGE,
    WOLFE_WIDTH,
)
from ..updates.vectors import combine, dot
from .line_search import cost_of_pass, end_step

DECREASE = 1e-3
"""μ of the condition of decrease, L-BFGS-B's ``ftol``."""

MOST_TRIES = 20
"""Passes along one line."""

LONGEST = 1e10
"""The longest step."""


@inline
def cubic(a, cost_a, slope_a, b, cost_b, slope_b, real_root):
    """Return γ and θ of the cubic through two points, which vanishes nowhere unless γ² ≥ 0 (or is taken for 0)."""
    theta = 3.0 * (cost_a - cost_b) / (b - a) + slope_a + slope_b
    scale = most(abs(theta), most(abs(slope_a), abs(slope_b)))
    square = (theta / scale) * (theta / scale) - (slope_a / scale) * (slope_b / scale)
    if real_root:
        square = most(0.0, square)
    return scale * math.sqrt(square), theta


@inline
def next_trial(search, alpha, cost, slope, low_cost, low_slope, high_cost, high_slope, shortest, longest):
    """Return the next step (Moré & Thuente 1994, section 4), and whether a minimum lies between two points by now."""
    low, high, bracketed = search[SEARCH_LOW_ALPHA], search[SEARCH_HIGH_ALPHA], search[SEARCH_BRACKETED]
    if cost > low_cost:  # case 1: a minimum lies between
        gamma, theta = cubic(low, low_cost, low_slope, alpha, cost, slope, False)
        if alpha < low:
            gamma = -gamma
        by_cubic = low + ((gamma - low_slope) + theta) / (((gamma - low_slope) + gamma) + slope) * (alpha - low)
        by_costs = low + ((low_slope / ((low_cost - cost) / (alpha - low) + low_slope)) / 2.0) * (alpha - low)
        nearer = abs(by_cubic - low) < abs(by_costs - low)
        return (by_cubic if nearer else by_cubic + (by_costs - by_cubic) / 2.0), 1.0
    if slope * (low_slope / abs(low_slope)) < 0.0:  # case 2: lower, and the slope has another sign
        gamma, theta = cubic(low, low_cost, low_slope, alpha, cost, slope, False)
        if alpha > low:
            gamma = -gamma
        by_cubic = alpha + ((gamma - slope) + theta) / (((gamma - slope) + gamma) + low_slope) * (low - alpha)
        by_slopes = alpha + (slope / (slope - low_slope)) * (low - alpha)
        return (by_cubic if abs(by_cubic - alpha) > abs(by_slopes - alpha) else by_slopes), 1.0
    if abs(slope) < abs(low_slope):  # case 3: lower, and the slope falls less
        gamma, theta = cubic(low, low_cost, low_slope, alpha, cost, slope, True)
        if alpha > low:
            gamma = -gamma
        ratio = ((gamma - slope) + theta) / ((gamma + (low_slope - slope)) + gamma)
        falls = ratio < 0.0 and gamma != 0.0
        by_cubic = alpha + ratio * (low - alpha) if falls else longest if alpha > low else shortest
        by_slopes = alpha + (slope / (slope - low_slope)) * (low - alpha)
        cubic_is_nearer = abs(by_cubic - alpha) < abs(by_slopes - alpha)
        if bracketed != 0.0:
            found, bound = by_cubic if cubic_is_nearer else by_slopes, alpha + 0.66 * (high - alpha)
            return (least(bound, found) if alpha > low else most(bound, found)), bracketed
        farther = by_cubic if abs(by_cubic - alpha) > abs(by_slopes - alpha) else by_slopes
        return most(shortest, least(longest, farther)), bracketed
    if bracketed != 0.0:  # case 4: lower, and the slope falls as much
        gamma, theta = cubic(alpha, cost, slope, high, high_cost, high_slope, False)
        if alpha > high:
            gamma = -gamma
        return alpha + ((gamma - slope) + theta) / (((gamma - slope) + gamma) + high_slope) * (high - alpha), bracketed
    return (longest if alpha > low else shortest), bracketed


@inner
def try_point(search, wolfe, cost, slope):
    """Take note of a point of the line, overwrite SEARCH_ALPHA by the next one, and say what becomes of the line.

    LINE_FOUND has E ≤ E₀ + μαE₀' and |E'| ≤ η|E₀'|, or lies where rounding lets nothing better be found.
    """
    alpha, start_slope = search[SEARCH_ALPHA], search[SEARCH_START_SLOPE]
    search[SEARCH_TRIES] += 1.0
    wolfe[WOLFE_EVALUATIONS] += 1.0
    asked = DECREASE * start_slope
    enough = search[SEARCH_START_COST] + alpha * asked
    if wolfe[WOLFE_STAGE] == 1.0 and cost <= enough and slope >= 0.0:
        wolfe[WOLFE_STAGE] = 2.0
    shortest, longest, bracketed = wolfe[WOLFE_LEAST], wolfe[WOLFE_MOST], search[SEARCH_BRACKETED] != 0.0
    found = bracketed and (alpha <= shortest or alpha >= longest or longest - shortest <= 0.1 * longest)
    found |= alpha == LONGEST and cost <= enough and slope <= asked
    found |= alpha == 0.0 and (cost > enough or slope >= asked)
    if found or (cost <= enough and abs(slope) <= search[SEARCH_C2] * -start_slope):
        return LINE_FOUND
    # the first stage looks for a minimum of the cost less what is asked of it
    less = asked if wolfe[WOLFE_STAGE] == 1.0 and cost <= search[SEARCH_LOW_COST] and cost > enough else 0.0
    low, high = search[SEARCH_LOW_ALPHA], search[SEARCH_HIGH_ALPHA]
    cost_there, slope_there = cost - alpha * less, slope - less
    low_cost, low_slope = search[SEARCH_LOW_COST] - low * less, search[SEARCH_LOW_SLOPE] - less
    step, bracket = next_trial(search, alpha, cost_there, slope_there, low_cost, low_slope,
                               search[SEARCH_HIGH_COST] - high * less, search[SEARCH_HIGH_SLOPE] - less, shortest,
                               longest)
    if cost_there > low_cost:
        search[SEARCH_HIGH_ALPHA], search[SEARCH_HIGH_COST], search[SEARCH_HIGH_SLOPE] = alpha, cost, slope
    else:
        if slope_there * (low_slope / abs(low_slope)) < 0.0:
            search[SEARCH_HIGH_ALPHA], search[SEARCH_HIGH_COST] = low, search[SEARCH_LOW_COST]
            search[SEARCH_HIGH_SLOPE] = search[SEARCH_LOW_SLOPE]
        search[SEARCH_LOW_ALPHA], search[SEARCH_LOW_COST], search[SEARCH_LOW_SLOPE] = alpha, cost, slope
    search[SEARCH_BRACKETED] = bracket
    low, high = search[SEARCH_LOW_ALPHA], search[SEARCH_HIGH_ALPHA]
    if bracket != 0.0:
        if abs(high - low) >= 0.66 * wolfe[WOLFE_LAST_WIDTH]:
            step = low + 0.5 * (high - low)
        wolfe[WOLFE_LAST_WIDTH], wolfe[WOLFE_WIDTH] = wolfe[WOLFE_WIDTH], abs(high - low)
        shortest, longest = least(low, high), most(low, high)
    else:
        shortest, longest = step + 1.1 * (step - low), step + 4.0 * (step - low)
    step = least(most(step, 0.0), LONGEST)
    if bracket != 0.0 and (step <= shortest or step >= longest or longest - shortest <= 0.1 * longest):
        if low == alpha and search[SEARCH_TRIES] < MOST_TRIES:
            return LINE_FOUND  # as it would be if it were looked at once more
        step = low
    wolfe[WOLFE_LEAST], wolfe[WOLFE_MOST], search[SEARCH_ALPHA] = shortest, longest, step
    return LINE_GOES_ON


@inline
def outcome(gradient, numbers, search, wolfe):
    """Say whether a step, or a first pass, was the last: too many passes, no slope, or no lower cost to speak of."""
    if wolfe[WOLFE_EVALUATIONS] > wolfe[WOLFE_MOST_EVALUATIONS] and wolfe[WOLFE_ITERATIONS] > 0.0:
        return OUTCOME_EVALUATIONS
    largest = 0.0
    for i in range(gradient.size):  # NaN is passed over
        slope = abs(float(gradient[i]))
        largest = slope if slope > largest else largest
    if largest <= wolfe[WOLFE_SLOPE_TOLERANCE]:
        return OUTCOME_FLAT
    last, cost = search[SEARCH_START_COST], numbers[HYPER_COST]
    some = wolfe[WOLFE_COST_TOLERANCE] * most(most(abs(last), abs(cost)), 1.0)
    if wolfe[WOLFE_ITERATIONS] > 0.0 and last - cost <= some:
        return OUTCOME_STEADY
    return OUTCOME_NONE


@by_address(CELL_END_EPOCH)
def next_iterate(parameters: Floats, best: Floats, state: Floats, numbers: Doubles, progress: IntegerPointer,
                 sums: DoublePointer, search: Doubles, costs: Doubles, update: int, epoch: int) -> None:
    """Take the cost and the gradient of a pass, and overwrite the parameters by the next point to look at.

    Overwrites what `line_search.next_point` does, and WOLFE at the end of the search.
    """
    n, wolfe = parameters.size, pointer(view(search, search.size - WOLFE_COUNT, WOLFE_COUNT))
    line, figures = pointer(search), pointer(numbers)
    gradient, direction = part(state, ROW_GRADIENT, n), part(state, ROW_DIRECTION, n)
    start, before = part(state, ROW_START, n), part(state, ROW_BEFORE, n)
    doing, failed = line[SEARCH_DOING], False
    if doing != DOING_RESTING:
        cost = cost_of_pass(parameters, gradient, state, numbers, sums, line)
        if doing == DOING_FRESH:
            figures[HYPER_COST], line[SEARCH_PENALTY] = cost, sums[SUM_EPOCH_PENALTY]
            wolfe[WOLFE_ITERATIONS] = 0.0
            wolfe[WOLFE_EVALUATIONS] += 1.0
        else:
            verdict = try_point(line, wolfe, cost, dot(gradient, direction))
            failed = verdict == LINE_GOES_ON and line[SEARCH_TRIES] >= MOST_TRIES
            if verdict == LINE_GOES_ON and not failed:
                combine(parameters, 1.0, start, line[SEARCH_ALPHA], direction)
                return
            if not failed:
                figures[HYPER_COST], figures[HYPER_STEP_LENGTH] = cost, line[SEARCH_ALPHA]
                line[SEARCH_PENALTY] = sums[SUM_EPOCH_PENALTY]
                call(prototypes.direction, to_bits(line[SEARCH_REMEMBER]), parameters, state, numbers, search)
                figures[HYPER_STEPS] += 1.0
                wolfe[WOLFE_ITERATIONS] += 1.0
                end_step(parameters, figures, progress, sums, line, costs, failed)
        line[SEARCH_DOING] = DOING_RESTING
    if progress[PROGRESS_STATUS] != STATUS_RUNNING:
        return
    if not failed:
        wolfe[WOLFE_OUTCOME] = outcome(gradient, figures, line, wolfe)
        if wolfe[WOLFE_OUTCOME] != OUTCOME_NONE:
            progress[PROGRESS_STATUS] = STATUS_DONE
            return
        for i in range(n):
            start[i], before[i] = parameters[i], gradient[i]
    slope = 0.0
    while True:
        if failed:  # back, and along −∂E/∂w, unless the line was that
            for i in range(n):
                parameters[i], gradient[i] = start[i], before[i]
            if figures[HYPER_STEPS] == 0.0 or figures[HYPER_PAIRS] == 0.0:
                wolfe[WOLFE_OUTCOME], progress[PROGRESS_STATUS] = OUTCOME_LOST, STATUS_DONE
                return
            figures[HYPER_STEPS] = 0.0
        call(prototypes.direction, to_bits(line[SEARCH_DIRECT]), parameters, state, numbers, search)
        slope = dot(gradient, direction)
        failed = not slope < 0.0
        if not failed:
            break
    alpha = 1.0
    if wolfe[WOLFE_ITERATIONS] == 0.0:
        alpha = least(1.0 / math.sqrt(dot(direction, direction)), LONGEST)
    line[SEARCH_ALPHA], line[SEARCH_DOING] = alpha, DOING_SEARCHING
    line[SEARCH_TRIES], line[SEARCH_BRACKETED] = 0.0, 0.0
    line[SEARCH_START_COST], line[SEARCH_START_SLOPE] = figures[HYPER_COST], slope
    line[SEARCH_LOW_ALPHA], line[SEARCH_LOW_COST], line[SEARCH_LOW_SLOPE] = 0.0, figures[HYPER_COST], slope
    line[SEARCH_HIGH_ALPHA], line[SEARCH_HIGH_COST], line[SEARCH_HIGH_SLOPE] = 0.0, figures[HYPER_COST], slope
    wolfe[WOLFE_STAGE], wolfe[WOLFE_WIDTH], wolfe[WOLFE_LAST_WIDTH] = 1.0, LONGEST, 2.0 * LONGEST
    wolfe[WOLFE_LEAST], wolfe[WOLFE_MOST] = 0.0, 5.0 * alpha
    combine(parameters, 1.0, start, alpha, direction)

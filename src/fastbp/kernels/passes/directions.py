"""Directions of full-batch steps along a line, two kernels for each method: `line_search` calls them by address.

One overwrites the direction and ``search[SEARCH_ALPHA]``, the first length to try, and nothing else that is kept, so
that an interrupted step can be done again with the same bits; the other takes note of a step that was made.
``numbers[HYPER_STEPS]`` is 0 at a (re)start.
"""

import math

from ..compile import by_address, inline
from ..compile.arguments import Doubles, Floats
from ..elementwise import wide
from ..ir import call, least, most, part, pointer, to_bits, view
from ..tables import (
    HYPER_LAST_SLOPE,
    HYPER_MEMORY,
    HYPER_PAIRS,
    HYPER_STEP_LENGTH,
    HYPER_STEPS,
    ROW_BEFORE,
    ROW_DIRECTION,
    ROW_GRADIENT,
    ROW_OWN,
    ROW_START,
    SEARCH_ALPHA,
    SEARCH_COUNT,
    SEARCH_EPSILON,
    SEARCH_KNOWN,
    SEARCH_START_SLOPE,
)
from ..updates.vectors import combine, dot, mix, products

PRODUCTS, MIX, PAIRS = SEARCH_COUNT, SEARCH_COUNT + 1, SEARCH_COUNT + 2
"""Behind the numbers of a search: of L-BFGS the addresses of `vectors.products` and `vectors.mix`, and its tables. By
name both would be compiled within `lbfgs_direction` once more, a fifth of what its first fit takes longer."""


@inline
def downhill(direction, gradient):
    """Overwrite the direction by −∂E/∂w; give a step length that moves the parameters by 1 at most."""
    combine(direction, -1.0, gradient, 0.0, gradient)
    return 1.0 / most(math.sqrt(dot(gradient, gradient)), 1.0)


@by_address()
def lbfgs_direction(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """−H∂E/∂w from the last steps s and changes of gradient y with s·y = 1, H⁰ = 1/y·y of the newest (Nocedal 1980).

    Algorithm 7.4 of Nocedal & Wright (2006), whose vectors are all combinations of the gradient and the pairs: with the
    products of these (Chen, Wang & Zhou 2014) it runs over numbers, and every vector is read twice. s_k·y_i and y_k·y_i
    stay in tables from step to step.
    """
    n, line, figures = parameters.size, pointer(search), pointer(numbers)
    whole = type(n)
    memory = whole(figures[HYPER_MEMORY])
    gradient, direction = part(state, ROW_GRADIENT, n), part(state, ROW_DIRECTION, n)
    if figures[HYPER_STEPS] == 0.0 or figures[HYPER_PAIRS] == 0.0:  # a step whose pair was refused tells no curvature
        line[SEARCH_KNOWN], line[SEARCH_ALPHA] = 0.0, downhill(direction, gradient)
        return
    line[SEARCH_ALPHA] = 1.0
    kept = whole(figures[HYPER_PAIRS])
    count = least(kept, memory)
    square = memory * memory
    step_change = pointer(view(search, PAIRS, square))  # of older pairs by younger ones, and so the next
    change_change = pointer(view(search, PAIRS + square, square))
    slopes = pointer(view(search, PAIRS + 2 * square, 2 * memory))
    column = pointer(view(search, PAIRS + 2 * square + 2 * memory, memory))
    weights = pointer(view(search, PAIRS + 2 * square + 3 * memory, 2 * memory))  # of steps, then of changes
    for pair in range(most(least(whole(line[SEARCH_KNOWN]), kept - 1), kept - count), kept):
        place = pair % memory
        change = pointer(part(state, ROW_OWN + memory + place, n))
        for half in range(2):
            call(products, to_bits(line[PRODUCTS]), pointer(view(state, (ROW_OWN + half * memory) * n, memory * n)),
                 memory, count, n, pointer(gradient), change,
                 pointer(view(search, PAIRS + 2 * square + half * memory, memory)), column)
            for k in range(count):
                line[PAIRS + half * square + k * memory + place] = column[k]
    line[SEARCH_KNOWN] = float(kept)
    newest = (kept - 1) % memory
    scale = 1.0 / change_change[newest * memory + newest]
    for i in range(2 * memory):
        weights[i] = 0.0
    k, last = newest, memory - 1
    for age in range(count):  # of such a short loop over places k % memory LLVM makes vectors, slower and much longer
        alpha, i = -slopes[k], newest
        for _ in range(age):
            alpha += weights[memory + i] * step_change[k * memory + i]
            i = i - 1 if i > 0 else last
        weights[k], weights[memory + k] = alpha, -alpha
        k = k - 1 if k > 0 else last
    for i in range(memory):
        weights[memory + i] *= scale
    for age in range(count - 1, -1, -1):
        k = k + 1 if k < last else 0
        beta, i = -scale * slopes[memory + k], newest
        for _ in range(age + 1):
            beta += weights[memory + i] * change_change[k * memory + i]
            i = i - 1 if i > 0 else last
        for _ in range(age + 1, count):
            beta += weights[memory + i] * change_change[i * memory + k] + weights[i] * step_change[i * memory + k]
            i = i - 1 if i > 0 else last
        weights[k] -= beta
    call(mix, to_bits(line[MIX]), pointer(direction), n, -scale, pointer(gradient),
         pointer(view(state, ROW_OWN * n, 2 * memory * n)), weights, 2 * memory)


@by_address()
def lbfgs_note(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """Keep s and y, scaled to s·y = 1, which leaves H as it is; not where their product is too small to divide by."""
    n, numbers = parameters.size, pointer(numbers)
    whole = type(n)
    memory = whole(numbers[HYPER_MEMORY])
    gradient, start, before = part(state, ROW_GRADIENT, n), part(state, ROW_START, n), part(state, ROW_BEFORE, n)
    if numbers[HYPER_STEPS] == 0.0:
        numbers[HYPER_PAIRS] = 0.0
    product, fall = 0.0, 0.0
    for i in range(n):
        s = wide(parameters[i] - start[i])
        product += s * float(gradient[i] - before[i])
        fall -= s * float(before[i])
    if product > search[SEARCH_EPSILON] * most(fall, 0.0):
        pair, scale = whole(numbers[HYPER_PAIRS]) % memory, type(parameters[0])(1.0 / math.sqrt(product))
        step, change = part(state, ROW_OWN + pair, n), part(state, ROW_OWN + memory + pair, n)
        for i in range(n):
            step[i], change[i] = scale * (parameters[i] - start[i]), scale * (gradient[i] - before[i])
        numbers[HYPER_PAIRS] += 1.0


@by_address()
def conjugate_direction(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """−g + βd with β after Polak and Ribière, at least 0 (Nocedal & Wright 2006, eq. 5.45); −g where (5.52) says so."""
    n = parameters.size
    gradient, direction = part(state, ROW_GRADIENT, n), part(state, ROW_DIRECTION, n)
    last_gradient, last = part(state, ROW_OWN, n), part(state, ROW_OWN + 1, n)
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
    direction, before = part(state, ROW_DIRECTION, n), part(state, ROW_BEFORE, n)
    last_gradient, last = part(state, ROW_OWN, n), part(state, ROW_OWN + 1, n)
    for i in range(n):
        last_gradient[i], last[i] = before[i], direction[i]
    numbers[HYPER_LAST_SLOPE] = search[SEARCH_START_SLOPE]

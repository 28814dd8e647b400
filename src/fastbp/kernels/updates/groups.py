"""Update rules (7) of which groups of parameters have their own learning rate and decay: factors by stretch.

`update` has the signature of a rule and stands in its place, alone or beneath `penalties.update`; a rule itself knows
nothing of groups. A parameter has the same factors whichever slice it comes in, so that its bits do not depend on
threads.
"""

from .. import prototypes
from ..compile import by_address
from ..compile.arguments import Doubles, Floats
from ..ir import array_at, call, pointer, stack, to_bits
from ..tables import (
    FACTOR_BEGIN,
    FACTOR_COLUMNS,
    FACTOR_DECAY,
    FACTOR_END,
    FACTOR_RATE,
    HYPER_COUNT,
    HYPER_RATE,
    HYPER_WEIGHT_DECAY,
    REGULAR_FACTORS,
    REGULAR_N_FACTORS,
    REGULAR_UNGROUPED,
)


@by_address()
def update(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
           hyper: Doubles) -> None:
    """The rule at address ``hyper[REGULAR_UNGROUPED]``, μ and λ times the factors of each stretch of the slice."""
    hyper, own = pointer(hyper), stack(0.0, HYPER_COUNT)
    for i in range(HYPER_COUNT):
        own[i] = hyper[i]
    numbers, rule, row = array_at(own, HYPER_COUNT), to_bits(hyper[REGULAR_UNGROUPED]), to_bits(hyper[REGULAR_FACTORS])
    for _ in range(to_bits(hyper[REGULAR_N_FACTORS])):
        first, end = max(start, to_bits(hyper[row + FACTOR_BEGIN])), min(stop, to_bits(hyper[row + FACTOR_END]))
        if first < end:
            own[HYPER_RATE] = hyper[HYPER_RATE] * hyper[row + FACTOR_RATE]
            own[HYPER_WEIGHT_DECAY] = hyper[HYPER_WEIGHT_DECAY] * hyper[row + FACTOR_DECAY]
            call(prototypes.update_rule, rule, parameters, gradient, state, first, end, shift, numbers)
        row += FACTOR_COLUMNS

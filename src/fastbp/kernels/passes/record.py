"""What a pass writes down: costs of batches and epochs, divergence, the last finite parameters."""

from .. import prototypes
from ..compile import by_address, inline
from ..compile.arguments import DoublePointer, Doubles, Floats, IntegerPointer
from ..ir import call, to_bits
from ..tables import (
    CELL_END_EPOCH,
    HYPER_COUNT,
    PROGRESS_EPOCH,
    PROGRESS_FIRST_EPOCH,
    PROGRESS_STATUS,
    PROGRESS_UPDATES,
    REGULAR_TOTAL,
    STATUS_DIVERGED,
    STATUS_RUNNING,
    SUM_BATCH_COST,
    SUM_EPOCH_COST,
    SUM_EPOCH_WEIGHT,
)


@inline
def batch_cost(panels, start, count):
    """Return the sum of so many numbers of a panel."""
    cost = 0.0
    for i in range(count):
        cost += float(panels[start + i])
    return cost


@inline
def end_batch(progress, sums, update, weight):
    """Add a batch's mean cost, of samples with a total weight, to the epoch's; notice divergence."""
    cost = sums[SUM_BATCH_COST]
    sums[SUM_EPOCH_COST] += cost * weight
    sums[SUM_EPOCH_WEIGHT] += weight
    sums[SUM_BATCH_COST] = 0.0
    progress[PROGRESS_UPDATES] += 1
    # Not isfinite: Numba asks whether x − x is a number, which fast-math folds to 0, also for infinity.
    if update != 0 and cost * 0.0 != 0.0:
        progress[PROGRESS_STATUS] = STATUS_DIVERGED


@by_address(CELL_END_EPOCH)
def end_epoch(parameters: Floats, best: Floats, state: Floats, hyper: Doubles, progress: IntegerPointer,
              sums: DoublePointer, search: Doubles, costs: Doubles, update: int, epoch: int) -> None:
    """Record the epoch's mean cost and keep its parameters in ``best``, unless one of them is no longer finite."""
    if update != 0:
        if hyper.size > HYPER_COUNT:
            total = to_bits(hyper[REGULAR_TOTAL])
            call(prototypes.total_penalty, total, hyper, sums)
        nothing = sums[SUM_EPOCH_COST] * 0.0  # inf·0 and NaN·0 are NaN
        for i in range(parameters.size):
            nothing += parameters[i] * 0.0
        if nothing == 0.0:
            for i in range(parameters.size):
                best[i] = parameters[i]
        else:
            progress[PROGRESS_STATUS] = STATUS_DIVERGED
    if progress[PROGRESS_STATUS] == STATUS_RUNNING:
        mean = sums[SUM_EPOCH_COST] / sums[SUM_EPOCH_WEIGHT] if sums[SUM_EPOCH_WEIGHT] > 0.0 else 0.0
        costs[epoch - progress[PROGRESS_FIRST_EPOCH]] = mean
        sums[SUM_EPOCH_COST] = 0.0
        sums[SUM_EPOCH_WEIGHT] = 0.0
        progress[PROGRESS_EPOCH] = epoch + 1

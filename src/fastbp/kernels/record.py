"""What a pass writes down: costs of batches and epochs, divergence, the last finite parameters."""

from ._jit import by_address, inline
from .codes import (
    BATCH_COST,
    DIVERGED,
    EPOCH,
    EPOCH_COST,
    EPOCH_WEIGHT,
    FIRST_EPOCH,
    HYPER_CELLS,
    RUNNING,
    STATUS,
    TOTAL,
    UPDATES,
)
from .simd import call, pointer, to_bits


@inline
def end_batch(progress, sums, update, weight):
    """Add a batch's mean cost, of samples with a total weight, to the epoch's; notice divergence."""
    cost = sums[BATCH_COST]
    sums[EPOCH_COST] += cost * weight
    sums[EPOCH_WEIGHT] += weight
    sums[BATCH_COST] = 0.0
    progress[UPDATES] += 1
    # Not isfinite: Numba asks whether x − x is a number, which fast-math folds to 0, also for infinity.
    if update != 0 and cost * 0.0 != 0.0:
        progress[STATUS] = DIVERGED


@by_address
def end_epoch(parameters, best, hyper, progress, sums, costs, update, epoch):
    """Record the epoch's mean cost and keep its parameters in ``best``, unless one of them is no longer finite."""
    progress, running = pointer(progress), pointer(sums)
    if update != 0:
        if hyper.size > HYPER_CELLS:
            total = to_bits(hyper[TOTAL])
            call(total, hyper, sums)
        nothing = running[EPOCH_COST] * 0.0  # inf·0 and NaN·0 are NaN
        for i in range(parameters.size):
            nothing += parameters[i] * 0.0
        if nothing == 0.0:
            for i in range(parameters.size):
                best[i] = parameters[i]
        else:
            progress[STATUS] = DIVERGED
    if progress[STATUS] == RUNNING:
        mean = running[EPOCH_COST] / running[EPOCH_WEIGHT] if running[EPOCH_WEIGHT] > 0.0 else 0.0
        costs[epoch - progress[FIRST_EPOCH]] = mean
        running[EPOCH_COST] = 0.0
        running[EPOCH_WEIGHT] = 0.0
        progress[EPOCH] = epoch + 1

"""What a pass writes down: costs of batches and epochs, divergence, the last finite parameters."""

import math

from ._jit import inline
from .codes import DIVERGED, EPOCH_COST, EPOCH_WEIGHT, FIRST_EPOCH, STATUS, UPDATES


@inline
def end_batch(learner, cost, weight):
    """Add a batch's mean cost, of samples with a total weight, to the epoch's; notice divergence."""
    learner.sums[EPOCH_COST] += cost * weight
    learner.sums[EPOCH_WEIGHT] += weight
    learner.progress[UPDATES] += 1
    if not math.isfinite(cost):
        learner.progress[STATUS] = DIVERGED


@inline
def end_epoch(parameters, learner, epoch):
    """Record the epoch's mean cost; keep a copy of the parameters while they are finite."""
    weight = learner.sums[EPOCH_WEIGHT]
    learner.costs[epoch - learner.progress[FIRST_EPOCH]] = learner.sums[EPOCH_COST] / weight if weight > 0.0 else 0.0
    learner.sums[EPOCH_COST] = 0.0
    learner.sums[EPOCH_WEIGHT] = 0.0
    if learner.update != 0:
        nothing = 0.0  # inf·0 and NaN·0 are NaN
        for i in range(parameters.size):
            nothing += parameters[i] * 0.0
        if nothing == 0.0:
            for i in range(parameters.size):
                learner.best[i] = parameters[i]
        else:
            learner.progress[STATUS] = DIVERGED

"""Steps of an update rule whose batches processes share: each sums over its part, and all take the same step.

The gradient of a batch is the sum over shards, in the order of these (`Team`), and each process applies the rule to
all parameters: so one process, two or ten have the same bits. What is in a batch depends on key, epoch and shards
alone: a shard's rows are shuffled among themselves, and every k-th of them is in the same of k batches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import objective
from ..core.conversion import readonly
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..data.order import GROUP
from ..kernels import layout, prototypes, random, tables
from ..kernels.compile import address
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes.predict import all_finite
from ..kernels.tables import REGULAR
from ..kernels.updates import groups
from ..kernels.updates import penalties as regular
from ..optimizers import Optimizer, UpdateRule
from ..regularization import Regularization
from . import ahead, by_blocks
from .ahead import Ahead
from .steps import Fit, Steps, regularized

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@functools.singledispatch
def steps_of(optimizer: Optimizer, fit: Fit) -> Steps:
    """Return the steps with which an optimizer trains on samples that a team shares."""
    return by_blocks.steps_of(optimizer, fit)


def check(samples: Streamed, regularization: Regularization | None) -> None:
    """Raise ValueError if large batches of these samples cannot be trained on like this."""
    if not samples.source.anywhere:
        raise ValueError("X is a Stream, which is read from its first row on: it cannot be shared by processes")
    for name in Regularization.of_samples:
        if regularization is not None and regularization.is_set(name):
            raise ValueError(f"Regularization: {name} draws random numbers by a row's place in its batch, which shards "
                             "do not know: leave it out, or train in one process")
    if (needed := samples.own_bytes) > samples.memory:
        raise ValueError(f"memory is {samples.memory} bytes, but an optimizer for mini-batches takes rows in any order "
                         f"and so holds those of this process, which take {needed} bytes beside the arrays that lie in "
                         "memory in the network's dtype: give as much, or more processes; or use 'lbfgs' or another "
                         "full-batch method, which reads them by blocks")


def rows_of_batch(order: Integers, first: int, batch: int, count: int) -> Integers:
    """Return what one of ``count`` batches takes of a shard's rows in this order.

    The shard's first row is number ``first`` of all. A batch takes every ``count``-th row, and the next shard goes on
    where this one ends: so neither batches nor their parts of a shard differ by more than a row.
    """
    return np.ascontiguousarray(order[(batch - first) % count :: count])


@steps_of.register(UpdateRule)
class LargeBatches(Steps):
    """An update rule after each batch that processes share.

    Attributes
    ----------
    count : int
        Batches in an epoch.
    shards : dict of int to Samples
        Those of this process.
    """

    def __init__(self, optimizer: UpdateRule, fit: Fit) -> None:
        super().__init__(fit)
        network, samples, first = fit.network, fit.samples, fit.progress.epochs
        assert isinstance(samples, Streamed)
        self.samples, n = samples, len(samples)
        self.count = -(-n // min(fit.batch_size, n))
        self.shards: dict[int, Samples] = {}
        self.load()
        self.batch, self.before = 0, first * self.count
        self.orders: dict[int, Integers] = {}
        self.kept: list[npt.NDArray[Any]] = []
        numbers, state = self.arrange(optimizer)
        self.learner = layout.learner(np.zeros(network.n_parameters, network.dtype), state=state, hyper=numbers,
                                      best=network._parameters.copy())
        self.learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = first
        most = max(-(-(stop - start) // self.count) for start, stop in
                   (samples.team.rows(n, shard) for shard in range(samples.team.count)))
        self.evaluate = fit.stack.enter_context(
            objective.evaluation_of_rows(network, samples, most, fit.threads, fit.regularization))

    def load(self) -> None:
        """Read the rows of this process; look whether all have as many batches, and take the key of the first shard's.

        Raises
        ------
        RuntimeError
            If another process has other batches.
        """
        samples, progress, team = self.samples, self.fit.progress, self.samples.team

        def of_shard(shard: int) -> Doubles:
            part = self.shards[shard] = samples.load_shard(shard)
            key = (0, 0) if shard else divmod(progress.key, 2**32)
            return np.array([part.total_weight, part.counted, self.count, *key])

        total = team.summed(5, of_shard)
        if total[2] != team.count * self.count:
            raise RuntimeError(f"an epoch has {self.count} batches here, but not in all processes: expected the same "
                               "call of fit in all, with the same arguments")
        if total[0] == 0:
            raise samples.no_weight()
        samples.checked, samples.total_weight, samples.counted = True, float(total[0]), int(total[1])
        progress.key = int(total[3]) * 2**32 + int(total[4])

    def arrange(self, optimizer: UpdateRule) -> tuple[Doubles, npt.NDArray[Any]]:
        """Find out which kernels make a step; return the numbers and the state that these read."""
        fit, network = self.fit, self.network
        progress, regularization, factors = fit.progress, fit.regularization, optimizer.stretches(network._architecture)
        numbers, state = progress.hyper, progress.state
        self.kernels: list[Callable[..., Any]] = [optimizer.rule]
        if factors or regularization is not None:
            numbers, state = regularized(fit, address(optimizer.rule, network.dtype, prototypes.update_rule), factors)
        if factors:
            self.kernels = [groups.update]
        if regularization is not None:
            clipped = regularization.clip_norm is not None
            self.kernels = [regular.measure, regular.update_clipped] if clipped else [regular.update]
        self.ahead = Ahead(ahead.places(optimizer, regularization, network._architecture, numbers, factors),
                           self.count, fit.last * self.count)
        return numbers, state

    @property
    def updates(self) -> int:
        """Return how many there have been, those of earlier fits included that it goes on with."""
        return self.before + int(self.learner.progress[tables.PROGRESS_UPDATES])

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Take one step; where it is interrupted, none."""
        if self.count > 1 and self.batch == 0:
            self.shuffle(int(self.learner.progress[tables.PROGRESS_EPOCH]))
            self.kept = [each.copy() for each in self.changing]
        found = self.samples.team.summed(2 + self.network.n_parameters, self.of_shard)
        with self.fit.hold.shut(), np.errstate(all="ignore"):  # where numbers leave the finite it diverges
            self.step(float(found[0]), float(found[1]), found[2:])

    def shuffle(self, epoch: int) -> None:
        """Have an order of each shard for an epoch."""
        for shard, part in self.shards.items():
            order = self.orders.setdefault(shard, np.empty(len(part), np.int64))
            random.shuffle(order, self.fit.progress.key, epoch + shard * GROUP)

    def of_shard(self, shard: int) -> Doubles:
        """Return the sums of a shard's part of the batch: cost, weight and gradient."""
        part, rows, gradient = self.shards[shard], NOT_SHUFFLED, self.learner.gradient
        found = np.zeros(2 + gradient.size)
        if self.count > 1:
            first, _ = self.samples.team.rows(len(self.samples), shard)
            rows = rows_of_batch(self.orders[shard], first, self.batch, self.count)
        weight = self.weight(part, rows)
        if weight > 0:
            found[0], found[1] = weight * self.evaluate(part, rows, gradient), weight
            np.multiply(gradient, weight, out=found[2:])
        return found

    def weight(self, part: Samples, rows: Integers) -> float:
        """Return the sum of the weights of these rows, or how many they are; `Samples.pick` would take 6 µs."""
        if self.count == 1:
            return part.total_weight
        return float(part.weights[rows].sum(dtype=np.float64)) if part.weights.size else float(rows.size)

    def step(self, cost: float, weight: float, slopes: Doubles) -> None:
        """Apply the rule to a batch's sums; end an epoch with its last batch."""
        learner, parameters = self.learner, self.network._parameters
        numbers, place, sums = learner.hyper, learner.progress, learner.sums
        learner.gradient[:] = slopes / weight if weight > 0 else 0.0
        self.ahead.write(self.updates, numbers)
        numbers[[tables.HYPER_POWER1, tables.HYPER_POWER2]] *= numbers[[tables.HYPER_BETA1, tables.HYPER_BETA2]]
        numbers[tables.HYPER_BATCH_WEIGHT] = weight
        for kernel in self.kernels:
            kernel(parameters, learner.gradient, learner.state, 0, parameters.size, 0, numbers)
        sums[tables.SUM_EPOCH_COST] += cost
        sums[tables.SUM_EPOCH_WEIGHT] += weight
        place[tables.PROGRESS_UPDATES] += 1
        self.batch = (self.batch + 1) % self.count
        if not math.isfinite(cost) or self.batch == 0 and not all_finite(readonly(parameters)):
            place[tables.PROGRESS_STATUS] = tables.STATUS_DIVERGED
        elif self.batch == 0:
            self.end_epoch()

    def end_epoch(self) -> None:
        """Record the epoch's mean cost, with the mean of its batches' penalties."""
        learner = self.learner
        numbers, sums, penalty = learner.hyper, learner.sums, 0.0
        if numbers.size > tables.HYPER_COUNT:
            penalties = numbers[REGULAR.view(numbers)["penalties"] :]
            penalty, penalties[:] = float(penalties.sum()), 0.0
        weight = sums[tables.SUM_EPOCH_WEIGHT]
        learner.costs[0] = (sums[tables.SUM_EPOCH_COST] + penalty) / weight
        sums[:] = 0.0
        sums[tables.SUM_EPOCH_PENALTY] = penalty / weight
        learner.best[:] = self.network._parameters
        learner.progress[tables.PROGRESS_EPOCH] += 1

    @property
    def changing(self) -> tuple[npt.NDArray[Any], ...]:
        """What steps overwrite and a later fit goes on from."""
        return self.network._parameters, self.learner.state, self.learner.hyper

    def settle(self) -> None:
        """Go back to where an epoch has begun that has not ended: a fit that resumes has the bits of a longer one."""
        if self.batch and self.learner.progress[tables.PROGRESS_STATUS] != tables.STATUS_DIVERGED:
            for each, kept in zip(self.changing, self.kept, strict=True):
                each[:] = kept

    def restore(self) -> None:
        """Go back to the last epoch that left all finite."""
        self.network._parameters[:] = self.learner.best

    def gradient_norm(self) -> float:
        """Raise RuntimeError: it takes a pass of all processes, and callbacks are called in one."""
        raise RuntimeError("gradient_norm takes a pass over all samples, which processes share, but a callback is "
                           "called in one of them: leave it out, or use 'lbfgs' or another full-batch method")

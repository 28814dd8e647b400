"""Steps with samples that are read by blocks: mini-batches group after group, and searches whose passes are sums."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import link, objective
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..data.order import GROUP, Group
from ..kernels import layout, tables
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes import line_search
from ..kernels.tables import ROW_GRADIENT
from ..optimizers import Optimizer, UpdateRule
from ..optimizers.line_search import LineSearch
from . import steps
from .line_search import LineSearches
from .minibatch import MiniBatches
from .steps import Fit, Steps

Array = npt.NDArray[Any]


@functools.singledispatch
def steps_of(optimizer: Optimizer, fit: Fit) -> Steps:
    """Return the steps with which an optimizer trains on samples that are read by blocks."""
    return steps.steps_of(optimizer, fit)  # those in Python ask for cost and gradient, wherever these come from


@steps_of.register(UpdateRule)
class GroupedBatches(MiniBatches):
    """An update rule after each mini-batch of a group, while a thread reads the next group.

    To the kernels a group is an epoch of its own, whose number is unlike those of all others, so that its rows are
    shuffled and its neurons dropped out in a way of their own. The record that the loop reads is another one, to which
    a group is added when it has ended.
    """

    def __init__(self, optimizer: UpdateRule, fit: Fit) -> None:
        samples, first = fit.samples, fit.progress.epochs
        assert isinstance(samples, Streamed)
        super().__init__(optimizer, fit)
        self.samples, batch = samples, self.task.batch
        self.shuffles = fit.shuffle is True and batch < len(samples)
        self.order = samples.in_order(samples.group(batch), fit.progress.key if self.shuffles else None)
        self.inner = self.learner._replace(best=self.learner.best.copy(), costs=np.zeros(1))
        self.learner = self.learner._replace(progress=self.inner.progress.copy(), sums=self.inner.sums.copy(),
                                             costs=np.zeros(1))
        self.group: Group | None = None
        self.weight = self.group_weight = 0.0
        self.rows_taken, order, checked = 0, self.order, samples.checked
        self.indices = np.empty(order.group if self.shuffles else 0, np.int64)
        groups = (group for epoch in range(first, fit.last) for group in order.groups(epoch))
        self.reader = samples.reader(groups, samples.buffers(order.group),
                                     unchecked=lambda group: checked or group.epoch > first)
        self.reading = False

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Take some of a group."""
        hold = self.fit.hold
        if not self.reading:
            with hold.shut():
                self.reading = True
                self.reader.start()
        if self.group is None:
            found = self.reader.next()
            assert found is not None
            group, samples = found
            weight = samples.total_weight
            if weight + (self.weight if group.number else 0.0) == 0 and group.number + 1 == self.order.count:
                raise self.samples.no_weight()
            with hold.shut():
                self.begin(group, samples, weight)
        if self.ahead.places:
            self.ahead.look(self.updates, min(self.blocks, last * self.ahead.epoch - self.updates))
        self.call()
        with hold.shut():
            self.note()

    @property
    def written(self) -> layout.Learner:
        """What the kernel writes to, for which each group is an epoch."""
        return self.inner

    def begin(self, group: Group, samples: Samples, weight: float) -> None:
        """Begin with a group, whose rows are in memory."""
        self.group, self.group_weight = group, weight
        self.data = samples.data(self.indices[: group.rows])
        if samples.jacobian is not None:
            link.read_jacobian(self.plan, samples.jacobian)
        number = group.epoch + group.number * GROUP
        self.task, self.end = self.task._replace(samples=group.rows), number + 1
        self.inner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = number

    def settle(self) -> None:
        """End the thread that reads; leave the buffers, since a callback may keep a record, and with it these steps."""
        self.reader.close()
        self.data, self.indices = self.data._replace(inputs=np.empty(0), targets=np.empty(0), weights=np.empty(0),
                                                     order=NOT_SHUFFLED), NOT_SHUFFLED

    def note(self) -> None:
        """Add a group that has ended to the record that the loop reads."""
        inner, place, sums = self.inner, self.learner.progress, self.learner.sums
        place[[tables.PROGRESS_UPDATES, tables.PROGRESS_STATUS]] = \
            inner.progress[[tables.PROGRESS_UPDATES, tables.PROGRESS_STATUS]]
        group = self.group
        if group is None or inner.progress[tables.PROGRESS_EPOCH] == inner.progress[tables.PROGRESS_FIRST_EPOCH]:
            return
        self.group, self.rows_taken = None, self.rows_taken + group.rows
        if group.number == 0:
            self.weight, sums[:] = 0.0, 0.0
        self.weight += self.group_weight
        if self.group_weight > 0:  # means of the groups so far, one of which alone keeps its bits
            share = self.group_weight / self.weight
            sums[tables.SUM_EPOCH_COST] += (inner.costs[0] - sums[tables.SUM_EPOCH_COST]) * share
            penalty = inner.sums[tables.SUM_EPOCH_PENALTY]
            sums[tables.SUM_EPOCH_PENALTY] += (penalty - sums[tables.SUM_EPOCH_PENALTY]) * share
        if group.number + 1 == self.order.count:
            self.learner.costs[0] = sums[tables.SUM_EPOCH_COST]
            self.learner.best[:] = self.network._parameters
            place[tables.PROGRESS_EPOCH] = group.epoch + 1

    def finished(self, progress: Any) -> list[float]:
        """Return the costs of epochs that are done, a group included that ended as the call was interrupted."""
        self.note()
        return super().finished(progress)

    def taken(self, first: int) -> int:
        """Return the number of samples that went forward and back."""
        return self.rows_taken + int(self.inner.progress[tables.PROGRESS_POSITION])

    @property
    def updates(self) -> int:
        """Return how many there have been."""
        return self.before + int(self.inner.progress[tables.PROGRESS_UPDATES])


@steps_of.register(LineSearch)
class SummedLineSearches(LineSearches):
    """Steps along a line, between whose passes `line_search.next_point` is called from here."""

    def __init__(self, optimizer: LineSearch, fit: Fit) -> None:
        super().__init__(optimizer, fit)
        samples = fit.samples
        assert isinstance(samples, Streamed)
        self.samples, self.buffers = samples, samples.buffers(min(samples.piece(), len(samples)))
        fit.stack.callback(self.buffers.clear)

    def call(self) -> None:
        """Sum cost and gradient over all samples, and go to the next point."""
        network, learner = self.network, self.learner
        found = objective.sums(network, self.samples, self.fit.threads, self.fit.regularization, True, self.buffers)
        with self.fit.hold.shut():
            self.rows[ROW_GRADIENT] = found.mean[1:]
            learner.sums[tables.SUM_EPOCH_COST], learner.sums[tables.SUM_EPOCH_WEIGHT] = found.values[0], found.weight
            learner.hyper[tables.HYPER_BATCH_WEIGHT] = found.weight
            line_search.set_out(self.plan.cells[tables.CELL_END_EPOCH], network._parameters, learner.best,
                                learner.state, learner.hyper, learner.progress, learner.sums, learner.search,
                                learner.costs)

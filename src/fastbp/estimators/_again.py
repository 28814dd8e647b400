"""One epoch of `partial_fit` after another, on small batches of one size: what a fit has to find out is found out once.

A fit of one epoch on 32 rows takes ten times as long as its step: it looks at its settings, writes the table of the
penalties, and makes what the kernel writes to. All of that is the same from call to call, and is kept.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import numpy as np

from ..core.samples import Samples
from ..kernels import tables
from ..kernels.layout import Plan
from ..kernels.tables import HYPER_COUNT
from ..network import Network
from ..optimizers import UpdateRule
from ..training.callbacks import Callback
from ..training.errors import DivergenceError
from ..training.fit import Training
from ..training.history import Record
from ..training.metrics import Metrics
from ..training.minibatch import MiniBatches
from ..training.steps import Fit, Reorder

MOST_NUMBERS = 1 << 15
"""Of X, and parameters, for which it is kept: with more, the step takes longer than its beginning, and what is kept,
two copies of the parameters, takes memory."""

NOTHING = np.empty(0)
NO_SAMPLES = Samples(NOTHING, NOTHING, False, NOTHING)
"""What is kept of samples: the user may resize an array, or close the file that it lies in, when a call has ended."""


class Bound(NamedTuple):
    """A workspace, and the plan in which it is bound to the steps."""

    pool: list[Plan]
    """Where it is borrowed, and goes back."""
    plan: Plan
    bound: Plan
    block: int
    """Samples in a block."""


class Again:
    """Epochs with the same settings, each of which begins and ends as a fit with ``resume=True`` does.

    Parameters
    ----------
    network : Network
        Its training is gone on with, which has no schedules and calls nothing of the user's.
    samples : Samples
        Dense ones; all others will be as many.
    like : tuple
        What tells these epochs from others.
    **settings
        As in `training.fit.Training`.
    """

    def __init__(self, network: Network, samples: Samples, like: tuple[Any, ...], **settings: Any) -> None:
        self.network, self.like = network, like
        optimizer = settings.pop("optimizer")
        self.training = training = Training(network, optimizer, True, callbacks=(), metrics=Metrics(None), **settings)
        training.check(samples)
        assert isinstance(training.method, UpdateRule)
        with network._fitting() as hold, ExitStack() as stack:
            self.progress = training.begin(samples)
            about = Fit(network, samples, self.progress, 0, training.batch_size, training.shuffle, training.threads,
                        False, training.regularization, hold, training.bfloat16)
            about.chunk, about.stack = 1, stack
            self.steps = MiniBatches(training.method, about)
            self.fresh = self.steps.numbers.copy()
            self.bound: Bound | None = None
            self.steps.settle()

    def goes_on(self, network: Network, like: tuple[Any, ...]) -> bool:
        """Whether a network's training is this one, in the arrays that it was in: `Network.fit` may replace them."""
        progress = self.progress
        return like == self.like and network._progress is progress and progress.state is self.steps.state

    def epoch(self, samples: Samples, shuffle: bool | Reorder, watch: Callback) -> None:
        """Train for an epoch, and have its record looked at; raises what a fit raises."""
        network, progress, steps, began = self.network, self.progress, self.steps, time.perf_counter()
        place, method = steps.place, progress.optimizer
        with network._fitting() as hold, ExitStack() as stack:
            if network._progress is not progress:
                self.training.begin(samples)  # which says so
            self._begin(samples, shuffle, stack)
            last = progress.epochs + 1

            def ended() -> list[Record]:
                """Record the epoch, once it has ended."""
                found = []
                for cost in steps.finished(progress):
                    seconds, diagnostics = time.perf_counter() - began, method.diagnostics(progress.hyper)
                    network.history.append(last, cost, None, seconds, diagnostics)
                    progress.epochs = last
                    found.append(Record(last, cost, None, seconds, network, int(place[tables.PROGRESS_UPDATES]),
                                        progress.learning_rate, steps.gradient_norm, progress.set_learning_rate,
                                        float(steps.learner.sums[tables.SUM_EPOCH_PENALTY]), diagnostics))
                return found

            try:
                while progress.epochs < last:
                    with hold.open():
                        steps.run(last, bool)
                    for record in ended():
                        with hold.open():
                            watch(record)
                    if place[tables.PROGRESS_STATUS] == tables.STATUS_DIVERGED:
                        raise DivergenceError(progress.epochs + 1, progress.learning_rate)
            finally:  # Ctrl-C may come anywhere: what is trained belongs to the record
                if place[tables.PROGRESS_STATUS] == tables.STATUS_DIVERGED:
                    steps.restore()
                    network._progress = None  # the optimizer's state is not finite either
                steps.settle()
                ended()
                self._let_go()

    def _let_go(self) -> None:
        """Keep nothing of the samples."""
        steps = self.steps
        steps.fit.samples = NO_SAMPLES
        steps.data = steps.data._replace(inputs=NOTHING, targets=NOTHING, weights=NOTHING)

    def _begin(self, samples: Samples, shuffle: bool | Reorder, stack: ExitStack) -> None:
        """Have the steps be what new ones are."""
        network, progress, steps = self.network, self.progress, self.steps
        numbers, learner, about, place = steps.numbers, steps.learner, steps.fit, steps.place
        numbers[HYPER_COUNT:], numbers[:HYPER_COUNT] = self.fresh[HYPER_COUNT:], progress.hyper
        if about.regularization is not None:
            numbers[tables.HYPER_BATCH_WEIGHT] = self.fresh[tables.HYPER_BATCH_WEIGHT]
        progress.hyper, progress.stopping, learner.best[:] = numbers[:HYPER_COUNT], [], network._parameters
        for sums in (learner.gradient, learner.sums, learner.costs, place):
            sums[:] = 0
        place[tables.PROGRESS_EPOCH] = place[tables.PROGRESS_FIRST_EPOCH] = progress.epochs
        steps.before, steps.ordered = progress.epochs * steps.ahead.epoch, progress.epochs
        about.samples, about.stack = samples, stack
        if steps.threads > 1:
            steps.tuner = steps.tuned()
        if callable(shuffle):
            steps.reorder, steps.positions = shuffle, np.arange(len(samples))
        steps.data = samples.data(steps.data.order)
        self._borrow(stack)

    def _borrow(self, stack: ExitStack) -> None:
        """Borrow a workspace; the one of the last epoch, if it is there, with what was bound to it."""
        steps, known = self.steps, self.bound
        if known is not None:
            with suppress(IndexError):  # other threads have all there are
                plan = known.pool.pop()
                if plan is known.plan:
                    stack.callback(known.pool.append, plan)
                    steps.work_in(known.bound, known.block)
                    return
                known.pool.append(plan)
        borrowed = steps.borrow(steps.request())
        self.bound = Bound(borrowed.pool, borrowed.plan, steps.plan, steps.task.block)

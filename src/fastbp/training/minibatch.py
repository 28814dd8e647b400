"""Steps of an update rule: one after each mini-batch, in the order that a shuffle gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.objective import gradient_norm
from ..core.penalties import Stretch
from ..core.request import Request
from ..core.samples import Samples
from ..core.workspaces import Arrangement
from ..kernels import layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.updates import groups, rules
from ..kernels.updates import penalties as regular
from ..optimizers import UpdateRule
from . import ahead
from . import profile as profiling
from .ahead import Ahead
from .steps import CHUNK_EPOCHS, CompiledSteps, Fit, Reorder, regularized, steps_of

ORDERS_AHEAD = 1 << 17
"""Numbers of samples in the orders that a function makes before a call of the kernel, if there are several orders."""


@steps_of.register(UpdateRule)
class MiniBatches(CompiledSteps):
    """An update rule after each mini-batch.

    Attributes
    ----------
    pool : list of Plan or None
        Where the plan goes when the fit ends, if it is that of an earlier fit.
    """

    pool: list[layout.Plan] | None = None

    def __init__(self, optimizer: UpdateRule, fit: Fit) -> None:
        network, progress, samples, regularization = fit.network, fit.progress, fit.samples, fit.regularization
        n, first = len(samples), progress.epochs
        batch = fit.batch_size if fit.batch_size < n else n
        self.place = np.zeros(tables.PROGRESS_COUNT, np.int64)
        epoch = -(-n // batch)
        self.ahead, self.before = Ahead([], epoch, fit.last * epoch), first * epoch
        self.reorder = fit.shuffle if callable(fit.shuffle) else None
        self.shuffles = self.reorder is not None or fit.shuffle is True and batch < n  # else there is but one order
        if self.reorder is not None:  # orders lie behind the present one, and how long each is
            self.positions, self.ordered = np.arange(n), first
            self.orders_ahead = max(1, min(fit.chunk, ORDERS_AHEAD // n))
            order = np.full(n * (1 + self.orders_ahead) + 1, n)
        else:
            order = samples.order() if self.shuffles else NOT_SHUFFLED
        factors = optimizer.stretches(network._architecture)
        self.plain = optimizer.rule is rules.sgd and regularization is None and not factors
        self.online = (batch == 1 and samples.usual and not fit.bfloat16 and network._architecture.encoding is None
                       and (regularization is None or regularization.online))
        super().__init__(fit, batch, self.request, order)
        usual = (isinstance(samples, Samples) and samples.usual and self.threads == 1 and regularization is None
                 and not factors and not optimizer.followed)
        like = (optimizer.rule, batch, samples.weights.size > 0, samples.picked is None, fit.bfloat16,
                self.reorder is None)
        update = self.arranged(like) if usual else 0
        if not update:
            update = self.arrange(optimizer, factors, like if usual else None)
        best = network._parameters.copy()
        self.learner = layout.learner(
            np.zeros(best.size, best.dtype), self.state, self.numbers, update, best, self.place,
            epochs=fit.chunk if fit.chunk < CHUNK_EPOCHS else CHUNK_EPOCHS,
            clock=profiling.clock(network, self.threads) if fit.profile else layout.NO_CLOCK)
        self.place[tables.PROGRESS_EPOCH] = self.place[tables.PROGRESS_FIRST_EPOCH] = first
        if fit.profile:
            fit.stack.callback(lambda: setattr(network.history, "profile", profiling.read(
                network, self.learner.clock, self.threads, self.taken(first),
                "bfloat16" if fit.bfloat16 else network.dtype.name)))

    def request(self) -> Request:
        """Return what the passes need, but for numbers that follow schedules."""
        fit = self.fit
        request = fit.samples.request(self.batch)
        request.bfloat16, request.regularization = fit.bfloat16, fit.regularization
        request.noise_key, request.progress, request.shuffles = fit.progress.key, self.place, self.shuffles
        request.ordered = self.reorder is not None
        return request

    def arranged(self, like: tuple[Any, ...]) -> int:
        """Take a workspace of an earlier fit like this one, if there is one; return the address of its rule, else 0."""
        known = self.network._workspaces.arrangements.get(like)
        if known is None:
            return 0
        try:
            plan = known.pool.pop()
        except IndexError:  # other threads have all there are
            return 0
        if self.shuffles and plan.cells[tables.CELL_SHUFFLE] == 0:  # of a fit that does not: `arrange` adds it
            known.pool.append(plan)
            return 0
        self.pool = known.pool
        self.work_in(plan, known.block)
        self.numbers, self.state = self.fit.progress.hyper, self.fit.progress.state
        return known.update

    def arrange(self, optimizer: UpdateRule, factors: list[Stretch], like: tuple[Any, ...] | None) -> int:
        """Find out what to call and borrow a workspace; return the address of the rule.

        What a fit needs that nothing of its own is bound to is kept for those ``like`` it: half of a fit's fixed cost.
        """
        network, progress, regularization = self.network, self.fit.progress, self.fit.regularization
        update = address(optimizer.rule, network.dtype, prototypes.update_rule)
        self.numbers, self.state = progress.hyper, progress.state
        if factors or regularization is not None:  # a rule of ours takes its place, and calls it
            self.numbers, self.state = regularized(self.fit, update, factors)
        if factors:
            update = address(groups.update, network.dtype, prototypes.update_rule)
        if regularization is not None:
            clipped = regularization.clip_norm is not None
            update = address(regular.update_clipped if clipped else regular.update, network.dtype,
                             prototypes.update_rule)
        request = self.request()
        places = ahead.places(optimizer, regularization, network._architecture, self.numbers, factors)
        if places:
            self.ahead = Ahead(places, self.ahead.epoch, self.ahead.total)
            request.scheduled = self.ahead.table
        borrowed = self.borrow(request)
        self.ahead.write_to(self.numbers, self.plan.cost_parameter)
        if like is not None:
            network._workspaces.arrangements[like] = Arrangement(self.task.block, borrowed.pool, update)
        return update

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Take some."""
        learner = self.learner
        epoch = learner.progress.item(tables.PROGRESS_EPOCH)
        end = min(epoch + len(learner.costs), last)
        if self.reorder is not None:
            if epoch == self.ordered:
                self.reorder_samples(epoch, min(end - epoch, self.orders_ahead))
            end = min(end, self.ordered)
        self.end = end
        if self.ahead.places:
            self.ahead.look(self.updates, min(self.blocks, end * self.ahead.epoch - self.updates))
        self.call()

    def settle(self) -> None:
        """Give back the workspace that `arranged` has taken."""
        if self.pool is not None:
            self.pool.append(self.plan)
            self.pool = None

    def taken(self, first: int) -> int:
        """Return the number of samples that went forward and back since this epoch."""
        place = self.learner.progress
        return int((place[tables.PROGRESS_EPOCH] - first) * len(self.fit.samples) + place[tables.PROGRESS_POSITION])

    @property
    def updates(self) -> int:
        """Return how many there have been, those of earlier fits included that it goes on with."""
        return self.before + int(self.learner.progress[tables.PROGRESS_UPDATES])

    def reorder_samples(self, epoch: int, count: int) -> None:
        """Take the samples of so many epochs in the orders that the user's function makes, each of the one before."""
        assert self.reorder is not None
        n, picked = self.positions.size, self.fit.samples.picked
        for order in self.data.order[n : n * (1 + count)].reshape(count, n):
            self.positions = _reordered(self.reorder, self.positions)
            order[:] = self.positions if picked is None else picked[self.positions]
        self.ordered, self.task = epoch + count, self.task._replace(key=epoch)

    def restore(self) -> None:
        """Go back to the last epoch that left all finite."""
        self.network._parameters[:] = self.learner.best

    def gradient_norm(self) -> float:
        """Compute ‖∂E/∂w‖, with the penalties of the last update."""
        regularization = self.fit.regularization
        if regularization is not None and regularization.follows:
            regularization = regularization.at(max(self.updates - 1, 0), self.ahead.total, self.ahead.epoch)
        return gradient_norm(self.network, self.fit.samples, self.fit.threads, regularization)


def _reordered(reorder: Reorder, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Call the user's function with a copy of the samples' numbers, which it may keep; return those that it wrote."""
    given = positions.copy()
    reorder(given)
    if given.shape != positions.shape:
        raise ValueError(f"shuffle left sample indices of shape {given.shape}, expected {positions.shape}: overwrite "
                         "them in place")
    found = given.copy()  # by which kernels index, so this is what is looked at
    if found.min() < 0 or found.max() >= found.size:
        raise ValueError(f"shuffle wrote sample indices from {found.min()} to {found.max()}, expected 0 to "
                         f"{found.size - 1}")
    return found

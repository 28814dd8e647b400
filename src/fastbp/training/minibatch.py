"""Steps of an update rule: one after each mini-batch, in the order that a shuffle gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..core.objective import gradient_norm
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


@steps_of.register(UpdateRule)
class MiniBatches(CompiledSteps):
    """An update rule after each mini-batch."""

    def __init__(self, optimizer: UpdateRule, fit: Fit) -> None:
        network, progress, regularization, n = fit.network, fit.progress, fit.regularization, len(fit.samples)
        batch, first = min(fit.batch_size, n), progress.epochs
        self.reorder = fit.shuffle if callable(fit.shuffle) else None
        shuffles = fit.shuffle is True and batch < n  # a batch of all samples has no order
        place = np.zeros(tables.PROGRESS_COUNT, np.int64)
        request = fit.samples.request(batch)
        request.bfloat16 = fit.bfloat16
        request.regularization, request.noise_key, request.progress = regularization, progress.key, place
        update = address(optimizer.rule, network.dtype, prototypes.update_rule)
        numbers, state, factors = progress.hyper, progress.state, optimizer.stretches(network._architecture)
        if factors or regularization is not None:  # a rule of ours takes its place, and calls it
            numbers, state = regularized(fit, update, factors)
        if factors:
            update = address(groups.update, network.dtype, prototypes.update_rule)
        if regularization is not None:
            clipped = regularization.clip_norm is not None
            update = address(regular.update_clipped if clipped else regular.update, network.dtype,
                             prototypes.update_rule)
        places = ahead.places(optimizer, regularization, network._architecture, numbers, factors)
        epoch = -(-n // batch)
        self.ahead, self.before = Ahead(places, epoch, fit.last * epoch), first * epoch
        request.scheduled = self.ahead.table if places else None
        super().__init__(fit, request, fit.samples.order() if shuffles or self.reorder else NOT_SHUFFLED)
        self.ahead.write_to(numbers, self.plan.cost_parameter)
        self.learner = layout.learner(
            np.zeros(network.n_parameters, network.dtype), state=state, hyper=numbers, update=update,
            best=network._parameters.copy(), progress=place, epochs=min(fit.chunk, CHUNK_EPOCHS),
            clock=profiling.clock(network, self.threads) if fit.profile else layout.NO_CLOCK)
        place[tables.PROGRESS_EPOCH] = place[tables.PROGRESS_FIRST_EPOCH] = first
        if fit.profile:
            fit.stack.callback(lambda: setattr(network.history, "profile", profiling.read(
                network, self.learner.clock, self.threads, self.taken(first),
                "bfloat16" if fit.bfloat16 else network.dtype.name)))
        self.positions = np.arange(n) if self.reorder else NOT_SHUFFLED
        self.task = self.task._replace(shuffle=int(shuffles), key=progress.key,
                                       plain=int(optimizer.rule is rules.sgd and regularization is None
                                                 and not factors))
        self.online = (batch == 1 and fit.samples.kind == tables.KIND_PLAIN and not fit.samples.sparse
                       and fit.samples.cost is None and not fit.samples.signed and not fit.bfloat16
                       and network._architecture.encoding is None
                       and (regularization is None or regularization.online))

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Take some."""
        learner = self.learner
        if self.reorder and learner.progress[tables.PROGRESS_POSITION] == 0:
            self.reorder_samples()
        end = min(int(learner.progress[tables.PROGRESS_EPOCH]) + len(learner.costs), last)
        self.task = self.task._replace(epochs=end)
        if self.ahead.places:
            self.ahead.look(self.updates, min(self.blocks, end * self.ahead.epoch - self.updates))
        self.call()

    def taken(self, first: int) -> int:
        """Return the number of samples that went forward and back since this epoch."""
        place = self.learner.progress
        return int((place[tables.PROGRESS_EPOCH] - first) * len(self.fit.samples) + place[tables.PROGRESS_POSITION])

    @property
    def updates(self) -> int:
        """Return how many there have been, those of earlier fits included that it goes on with."""
        return self.before + int(self.learner.progress[tables.PROGRESS_UPDATES])

    def reorder_samples(self) -> None:
        """Take the samples in the order that the user's function makes of the last one."""
        assert self.reorder is not None
        self.positions = _reordered(self.reorder, self.positions)
        picked = self.fit.samples.picked
        self.data.order[: self.positions.size] = self.positions if picked is None else picked[self.positions]

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

"""Steps of an update rule: one after each mini-batch, in the order that a shuffle gives."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import numpy.typing as npt

from ..core.objective import gradient_norm
from ..core.samples import Samples
from ..kernels import layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.updates import penalties as regular
from ..kernels.updates import rules
from ..optimizers import UpdateRule
from ..regularization import Regularization
from . import profile as profiling
from .progress import Progress, Trainable
from .steps import CHUNK_EPOCHS, CompiledSteps, Reorder, regularized


class MiniBatches(CompiledSteps):
    """An update rule after each mini-batch."""

    def __init__(self, stack: ExitStack, network: Trainable, samples: Samples, progress: Progress, *, batch: int,
                 epochs: int, shuffle: bool | Reorder, threads: int | None, profile: bool,
                 regularization: Regularization | None) -> None:
        assert isinstance(progress.optimizer, UpdateRule)
        rule, n, first = progress.optimizer.rule, len(samples), progress.epochs
        self.reorder = shuffle if callable(shuffle) else None
        shuffle = shuffle if callable(shuffle) else shuffle and batch < n  # a batch of all samples has no order
        request = samples.request(batch)._replace(regularization=regularization, noise_key=progress.key)
        super().__init__(stack, network, samples, request, epochs, threads, np.arange(n) if shuffle else NOT_SHUFFLED)
        self.threads, self.regularization = threads, regularization
        update = address(rule, network.dtype, prototypes.update_rule)
        numbers, state, place = progress.hyper, progress.state, np.zeros(tables.PROGRESS_COUNT, np.int64)
        if regularization is not None:  # a rule of ours takes its place, and calls it
            numbers, state = regularized(network, regularization, progress, update)
            clipped = regularization.clip_norm is not None
            update = address(regular.update_clipped if clipped else regular.update, network.dtype,
                             prototypes.update_rule)
            # `noise` reads the epoch
            place = self.plan.cells[tables.CELL_PROGRESS : tables.CELL_PROGRESS + tables.PROGRESS_COUNT]
        self.learner = layout.Learner(
            gradient=np.zeros(network.n_parameters, network.dtype),
            state=state,
            hyper=numbers,
            update=update,
            best=network._parameters.copy(),
            progress=place,
            sums=np.zeros(tables.SUM_COUNT),
            costs=np.zeros(min(epochs, CHUNK_EPOCHS)),
            clock=profiling.clock(network, self.members) if profile else layout.NO_CLOCK,
        )
        place[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = first
        if profile:
            stack.callback(lambda: setattr(network.history, "profile", profiling.read(
                network, self.learner.clock, self.members, int((place[tables.PROGRESS_EPOCH] - first) * n
                                                               + place[tables.PROGRESS_POSITION]))))
        self.task = self.task._replace(shuffle=int(shuffle is True), key=progress.key,
                                       plain=int(rule is rules.sgd and regularization is None))
        self.online = (batch == 1 and samples.kind == tables.KIND_PLAIN and not samples.sparse
                       and (regularization is None or regularization.online))

    def run(self, end: int) -> None:
        """Take some."""
        if self.reorder and self.learner.progress[tables.PROGRESS_POSITION] == 0:
            _reorder(self.reorder, self.data.order[: len(self.samples)])
        self.task = self.task._replace(epochs=end)
        self.call()

    def restore(self) -> None:
        """Go back to the last epoch that left all finite."""
        self.network._parameters[:] = self.learner.best

    def gradient_norm(self) -> float:
        """Compute ‖∂E/∂w‖."""
        return gradient_norm(self.network, self.samples, self.threads, self.regularization)


def _reorder(reorder: Reorder, order: npt.NDArray[np.int64]) -> None:
    """Let the user's function overwrite a copy of the order, since it may keep it, and see that it names samples."""
    given = order.copy()
    reorder(given)
    if given.shape != order.shape:
        raise ValueError(f"shuffle left sample indices of shape {given.shape}, expected {order.shape}: overwrite them "
                         "in place")
    order[:] = given  # by which kernels index, so this is what is looked at
    if order.min() < 0 or order.max() >= order.size:
        raise ValueError(f"shuffle wrote sample indices from {order.min()} to {order.max()}, expected 0 to "
                         f"{order.size - 1}")

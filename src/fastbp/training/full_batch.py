"""Steps of a full-batch method that is written in Python."""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np

from ..core.objective import evaluation, norm
from ..core.samples import Samples, readonly
from ..kernels import layout, tables
from ..kernels.passes.predict import all_finite
from ..kernels.tables import ROW_GRADIENT
from ..optimizers.base import BatchMethod
from ..regularization import Regularization
from .progress import Progress, Trainable
from .steps import Steps


class FullBatch(Steps):
    """Steps of a method that is written in Python: one a call."""

    def __init__(self, stack: ExitStack, network: Trainable, samples: Samples, progress: Progress, *,
                 threads: int | None, regularization: Regularization | None) -> None:
        self.network, self.numbers = network, progress.hyper
        self.evaluate = stack.enter_context(evaluation(network, samples, threads, regularization))
        assert isinstance(progress.optimizer, BatchMethod)
        self.method, self.nothing = progress.optimizer, np.empty(0, network.dtype)
        self.rows = progress.state.reshape(-1, network.n_parameters)
        self.learner = layout.Learner(self.rows[ROW_GRADIENT], progress.state, self.numbers, 0,
                                      network._parameters.copy(), np.zeros(tables.PROGRESS_COUNT, np.int64),
                                      np.zeros(tables.SUM_COUNT), np.zeros(1))
        self.learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = progress.epochs
        with np.errstate(all="ignore"):  # where numbers leave the finite a method stops or diverges
            self.method.begin(self.evaluate, self.rows, self.numbers)

    def run(self, end: int) -> None:
        """Do one, whose cost is the one after it."""
        learner, parameters = self.learner, self.network._parameters
        epoch = int(learner.progress[tables.PROGRESS_EPOCH])
        start, rows, numbers = parameters.copy(), self.rows.copy(), self.numbers.copy()
        try:
            with np.errstate(all="ignore"):
                self.ended = not self.method.step(self.evaluate, parameters, self.rows, self.numbers)
            learner.costs[0] = cost = self.method.cost(self.numbers)
            if self.evaluate.penalize is not None:
                learner.sums[tables.SUM_EPOCH_PENALTY] = self.evaluate.penalize(self.nothing)
            if math.isfinite(cost) and all_finite(readonly(parameters)):
                learner.best[:] = parameters
                learner.progress[tables.PROGRESS_UPDATES] += 1
                learner.progress[tables.PROGRESS_EPOCH] = epoch + 1
            else:
                learner.progress[tables.PROGRESS_STATUS] = tables.STATUS_DIVERGED
        except BaseException:
            if learner.progress[tables.PROGRESS_EPOCH] == epoch:
                parameters[:], self.rows[:], self.numbers[:] = start, rows, numbers
            raise

    def restore(self) -> None:
        """Go back to the last step that left all finite."""
        self.network._parameters[:] = self.learner.best

    def restart(self) -> None:
        """Compute cost and gradient, and forget the way to other parameters."""
        with np.errstate(all="ignore"):
            self.method.restart(self.evaluate, self.rows, self.numbers)
        self.ended = False

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖, computed anew where a callback has changed the parameters."""
        gradient = self.rows[ROW_GRADIENT]
        if self.changed():
            self.evaluate(gradient := np.empty_like(gradient))
        return norm(gradient)

"""Steps of a full-batch method that is written in Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..core.conversion import readonly
from ..core.objective import evaluation, norm
from ..kernels import layout, tables
from ..kernels.passes.predict import all_finite
from ..kernels.tables import ROW_GRADIENT
from ..optimizers.base import BatchMethod
from .steps import Fit, Steps, steps_of


@steps_of.register(BatchMethod)
class FullBatch(Steps):
    """Steps of a method that is written in Python: one a call."""

    restarts = True

    def __init__(self, method: BatchMethod, fit: Fit) -> None:
        super().__init__(fit)
        network, progress = fit.network, fit.progress
        self.evaluate = fit.stack.enter_context(evaluation(network, fit.samples, fit.threads, fit.regularization))
        self.method, self.numbers, self.nothing = method, progress.hyper, np.empty(0, network.dtype)
        self.rows = progress.state.reshape(-1, network.n_parameters)
        self.learner = layout.learner(self.rows[ROW_GRADIENT], state=progress.state, hyper=self.numbers,
                                      best=network._parameters.copy())
        self.learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = progress.epochs
        with np.errstate(all="ignore"):  # where numbers leave the finite a method stops or diverges
            self.method.begin(self.evaluate, self.rows, self.numbers)

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
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

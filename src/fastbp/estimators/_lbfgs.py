"""A fit by SciPy's L-BFGS-B, whose loop becomes steps of `training.loop`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from ..core.objective import evaluation, norm
from ..kernels import layout, tables
from ..optimizers import BatchMethod
from ..training.history import Record
from ..training.steps import Fit, Steps, steps_of
from ._base import _MLP, NOT_FINITE, _Samples
from ._training import Training

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ScipyLBFGS(BatchMethod):
    """SciPy's L-BFGS-B. Nothing of it is kept that a later fit could go on from.

    Parameters
    ----------
    tol : float
        It stops where no slope is larger.
    max_fun : int
        Evaluations at most.

    Attributes
    ----------
    result : OptimizeResult
        What `scipy.optimize.minimize` found in the last fit; beside it the ``penalty`` there, and whether a callback
        has ``stopped`` it.
    """

    tol: float
    max_fun: int
    result: scipy.optimize.OptimizeResult = field(default_factory=scipy.optimize.OptimizeResult, compare=False)
    resumes = False


@steps_of.register(ScipyLBFGS)
class ScipySteps(Steps):
    """Iterations of `scipy.optimize.minimize`, which calls back after each; it begins anew if a callback moves."""

    restarts = True

    def __init__(self, method: ScipyLBFGS, fit: Fit) -> None:
        super().__init__(fit)
        self.method, self.evaluations, self.moved = method, 0, False
        self.evaluate = fit.stack.enter_context(evaluation(fit.network, fit.samples, fit.threads, fit.regularization))
        parameters = fit.network._parameters
        self.learner = layout.learner(np.empty_like(parameters), hyper=fit.progress.hyper, best=parameters.copy())
        self.searching = False

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Minimise, up to this iteration at most."""
        parameters, learner, method = self.network._parameters, self.learner, self.method
        stopped = self.moved = False

        def evaluate(x: Array) -> tuple[float, Array]:
            self.searching = True
            parameters[:] = x
            cost = self.evaluate(learner.gradient)
            return cost, learner.gradient.astype(np.float64)

        def iterated(intermediate_result: Any) -> None:  # SciPy looks at the name of the argument
            nonlocal stopped
            with self.fit.hold.shut():
                parameters[:] = learner.best[:] = intermediate_result.x
                self.searching, learner.costs[0] = False, intermediate_result.fun
                learner.sums[tables.SUM_EPOCH_PENALTY] = self.penalty()
                learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_UPDATES]] += 1
                stopped = epochs_ended()
            if stopped or self.moved:
                raise StopIteration

        found = scipy.optimize.minimize(
            evaluate, parameters.astype(np.float64), method="L-BFGS-B", jac=True, callback=iterated,
            options={"maxfun": method.max_fun - self.evaluations, "gtol": method.tol,
                     "maxiter": last - int(learner.progress[tables.PROGRESS_EPOCH])})
        self.evaluations += found.nfev
        self.settle()
        method.result.update(found, penalty=self.penalty(), stopped=stopped)
        self.ended = stopped or not self.moved or self.evaluations >= method.max_fun

    def penalty(self) -> float:
        """Return the penalty at the present parameters."""
        return 0.0 if self.evaluate.penalize is None else self.evaluate.penalize(self.learner.state)

    def settle(self) -> None:
        """Go back to the last iterate from where a search has come since."""
        if self.searching:
            self.network._parameters[:], self.searching = self.learner.best, False

    def restart(self) -> None:
        """Have SciPy begin anew where a callback has put the parameters."""
        self.learner.best[:], self.moved = self.network._parameters, True

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖, computed anew where a callback has changed the parameters."""
        gradient = self.learner.gradient
        if self.changed():
            self.evaluate(gradient := np.empty_like(gradient))
        return norm(gradient)


class Iterations(Training):
    """Up to max_iter iterations of SciPy's L-BFGS-B: scikit-learn's stopping rule, limits and messages."""

    def __init__(self, mlp: _MLP, data: _Samples, kept: _Samples | None) -> None:
        if np.any(mlp.dropout):
            raise ValueError("solver='lbfgs' cannot follow a loss that is drawn anew each time: with dropout use "
                             "solver='adam' or another one for mini-batches")
        self.method = ScipyLBFGS(mlp.tol, mlp.max_fun)
        self.offset = mlp._offset(data)
        self.other_offset = 0.0 if kept is None else mlp._offset(replace(kept, weight=None))
        super().__init__(mlp, data, kept, epochs=mlp.max_iter, optimizer=self.method,
                         end_of_epoch=self.end_of_iteration)

    def end_of_iteration(self, record: Record) -> None:
        """Keep the losses."""
        mlp, other = self.mlp, record.validation_cost
        mlp.n_iter_ += 1
        mlp._record(mlp._loss(record.cost, record.penalty, self.offset),
                    None if other is None else mlp._loss(other, 0.0, self.other_offset))

    def end(self, error: BaseException | None) -> None:
        """Say why it has stopped, and keep the loss there."""
        mlp, found = self.mlp, self.method.result
        if error is not None:
            raise error
        if not np.isfinite(self.network.parameters).all():
            raise ValueError(NOT_FINITE)
        if found.status != 0 and not found.stopped:  # by a callback, which SciPy takes for a failure
            self.messages.append((f"lbfgs failed to converge after {mlp.n_iter_} iteration(s) (status={found.status}): "
                                  f"{found.message}. Allow more than max_iter={mlp.max_iter} and "
                                  f"max_fun={mlp.max_fun}, or scale the data, as standardize=True does",
                                  ConvergenceWarning))
        mlp.loss_ = mlp.best_loss_ = mlp._loss(float(found.fun), found.penalty, self.offset)

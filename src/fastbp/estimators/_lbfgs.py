"""A fit by L-BFGS-B, whose iterates are SciPy's, and so scikit-learn's, but whose loop is compiled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..kernels import tables
from ..kernels.passes import more_thuente
from ..optimizers.line_search import LBFGS
from ..training.errors import DivergenceError
from ..training.history import Record
from ..training.line_search import LineSearches
from ..training.steps import steps_of
from ._base import _MLP, NOT_FINITE, _Samples
from ._training import Training

COST_TOLERANCE = 2.220446049250313e-09
"""``ftol`` of SciPy's L-BFGS-B, which scikit-learn leaves as it is."""

MOST_EVALUATIONS = 2**53
"""Of which float64 still knows each; more never come, whatever ``max_fun`` says."""

LOST = 2
"""SciPy's status where a line leads nowhere; 1 is a limit that was reached, 0 the end."""


@dataclass(frozen=True)
class ScipyLBFGS(LBFGS):
    """L-BFGS-B of SciPy, without bounds. Nothing of it is kept that a later fit could go on from.

    Parameters
    ----------
    memory : int, default 10
        Pairs of steps and changes of gradient that it remembers.
    tol : float
        It stops where no slope is larger.
    max_fun : int
        No step begins after more evaluations.

    Attributes
    ----------
    result : dict
        Of the last fit: the ``cost`` where it ended, the ``penalty`` in it, and the ``outcome`` (`tables.OUTCOME_NONE`
        and so on).
    """

    tol: float = 1e-4
    max_fun: int = 15000
    result: dict[str, Any] = field(default_factory=dict, compare=False)
    next_point = staticmethod(more_thuente.next_iterate)
    resumes = False
    reports = {}

    @property
    def cells(self) -> int:
        """Products of the pairs, and what the search keeps."""
        return super().cells + tables.WOLFE_COUNT

    def search(self, dtype: np.dtype[Any], penalize: int = 0) -> Any:
        """Return the numbers of a search that is about to begin."""
        found = super().search(dtype, penalize)
        wolfe = tables.WOLFE.view(found[-tables.WOLFE_COUNT :])
        wolfe["slope_tolerance"], wolfe["cost_tolerance"] = self.tol, COST_TOLERANCE
        wolfe["most_evaluations"] = min(self.max_fun, MOST_EVALUATIONS)
        return found


@steps_of.register(ScipyLBFGS)
class ScipySteps(LineSearches):
    """Its steps, which tell at their end how it has come."""

    def settle(self) -> None:
        """Go back to the last iterate, and say why it is the last."""
        super().settle()
        search, method = self.learner.search, self.fit.progress.optimizer
        assert isinstance(method, ScipyLBFGS)
        method.result.update(cost=float(self.learner.hyper[tables.HYPER_COST]),
                             penalty=float(search[tables.SEARCH_PENALTY]),
                             outcome=int(tables.WOLFE.view(search[-tables.WOLFE_COUNT :])["outcome"]))


class Iterations(Training):
    """Up to max_iter iterations of L-BFGS-B: scikit-learn's stopping rule, limits and messages."""

    def __init__(self, mlp: _MLP, data: _Samples, kept: _Samples | None) -> None:
        if mlp._drops:
            raise ValueError("solver='lbfgs' cannot follow a loss that is drawn anew each time: with dropout use "
                             "solver='adam' or another one for mini-batches")
        self.method = ScipyLBFGS(tol=float(mlp.tol), max_fun=mlp.max_fun)
        self.offset = mlp._offset(data)
        self.other_offset = 0.0 if kept is None else mlp._offset(replace(kept, weight=None))
        # a loss of several outputs needs the penalty of each iteration, which the history does not keep
        self.listens = bool(mlp.verbose) or mlp._loss(0.0, 1.0, 0.0) != 0.0
        super().__init__(mlp, data, kept, epochs=mlp.max_iter, optimizer=self.method,
                         end_of_epoch=self.end_of_iteration if self.listens else None)

    def end_of_iteration(self, record: Record) -> None:
        """Keep the losses."""
        self.record(record.cost, record.penalty, record.validation_cost)

    def record(self, cost: float, penalty: float, validation_cost: float | None) -> None:
        """Keep the losses of an iteration."""
        mlp = self.mlp
        mlp.n_iter_ += 1
        mlp._record(mlp._loss(cost, penalty, self.offset),
                    None if validation_cost is None else mlp._loss(validation_cost, 0.0, self.other_offset))

    def end(self, error: BaseException | None) -> None:
        """Say why it has stopped, and keep the loss there."""
        mlp, found, history = self.mlp, self.method.result, self.network.history
        if not self.listens and found:  # else this fit has not begun, and the history is another's
            validation = [None] * len(history) if self.kept is None else history.validation_cost.tolist()
            for cost, other in zip(history.cost.tolist(), validation, strict=True):
                self.record(cost, 0.0, other)
        if isinstance(error, DivergenceError) or error is None and not np.isfinite(self.network.parameters).all():
            raise ValueError(NOT_FINITE) from error
        if error is not None:
            raise error
        status, why = self.status()
        if status != 0:
            self.messages.append((f"lbfgs failed to converge after {mlp.n_iter_} iteration(s) (status={status}): "
                                  f"{why}. Allow more than max_iter={mlp.max_iter} and "
                                  f"max_fun={mlp.max_fun}, or scale the data, as standardize=True does",
                                  ConvergenceWarning))
        mlp.loss_ = mlp.best_loss_ = mlp._loss(found["cost"], found["penalty"], self.offset)

    def status(self) -> tuple[int, str]:
        """Return SciPy's status, and what it says of it."""
        outcome = self.method.result["outcome"]
        if outcome == tables.OUTCOME_LOST:
            return LOST, "ABNORMAL: no lower loss along the line"
        if outcome == tables.OUTCOME_EVALUATIONS:
            return 1, "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"
        if outcome == tables.OUTCOME_NONE and self.mlp.n_iter_ == self.mlp.max_iter:
            return 1, "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
        return 0, ""  # or a callback has stopped it

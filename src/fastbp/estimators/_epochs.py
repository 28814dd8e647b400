"""A fit by epochs: an optimizer of fastbp, and after each epoch what scikit-learn does then."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from ..network import Network
from ..optimizers import BatchMethod, UpdateRule
from ..training.callbacks import Patient
from ..training.errors import DivergenceError
from ..training.history import Record
from ._again import MOST_NUMBERS, Again
from ._base import _MLP, NOT_FINITE, Score, _Samples
from ._training import Training

SMALLEST_RATE = 1e-6
"""Where ``learning_rate="adaptive"`` gives up."""


MOST_PATIENCE = 1024
"""Epochs between two looks at the costs, where nothing else ends a fit."""


class _EndOfEpoch(Patient):
    """What scikit-learn does after an epoch, as a callback: the record, the stopping rule, the learning rate."""

    def __init__(self, mlp: _MLP, samples: int, score: Score | None, offset: float, other_offset: float) -> None:
        self.mlp, self.samples, self.score = mlp, samples, score
        self.offset, self.other_offset, self.stopped = offset, other_offset, False
        sinks = mlp.solver == "sgd" and mlp.learning_rate == "invscaling"
        parts = mlp.n_outputs_ > 1 and mlp._network.cost_function.least_squares  # the loss has the penalty apart
        self.looks = score is not None or bool(mlp.verbose) or sinks or parts
        """Whether each epoch asks for a call."""

    def patience(self) -> int:
        """Return after how many epochs at least it might stop the fit, or change the learning rate."""
        if self.looks:
            return 1
        return int(max(1, min(self.mlp.n_iter_no_change - self.mlp._no_improvement_count + 1, MOST_PATIENCE)))

    def passed(self, costs: list[float]) -> None:
        """Record epochs after which nothing is to be done, and see whether the loss still falls."""
        for cost in costs:
            self._count(cost, 0.0, None)
            self._watch_loss()

    def _count(self, cost: float, penalty: float, other: float | None) -> None:
        mlp = self.mlp
        mlp.n_iter_ += 1
        mlp.t_ += self.samples
        mlp._record(mlp._loss(cost, penalty, self.offset),
                    None if other is None else mlp._loss(other, 0.0, self.other_offset))

    def _watch_loss(self) -> None:
        mlp = self.mlp
        self._wait(not (math.isfinite(mlp.loss_) and mlp.loss_ <= mlp.best_loss_ - mlp.tol))
        if -math.inf < mlp.loss_ < mlp.best_loss_:
            mlp.best_loss_ = mlp.loss_

    def _wait(self, waiting: bool) -> None:
        self.mlp._no_improvement_count = self.mlp._no_improvement_count + 1 if waiting else 0

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        mlp = self.mlp
        self._count(record.cost, record.penalty, record.validation_cost)
        if self.score is None:
            self._watch_loss()
        else:
            score = self.score(record)
            mlp.validation_scores_.append(score)
            if mlp.verbose:
                print(f"Validation score: {score:f}")
            self._wait(not (math.isfinite(score) and score >= mlp.best_validation_score_ + mlp.tol))
            if mlp.best_validation_score_ < score < math.inf:
                mlp.best_validation_score_ = score
                mlp._best_parameters = record.network.parameters.copy()
        sgd = mlp.solver == "sgd"
        if sgd and mlp.learning_rate == "invscaling":
            record.set_learning_rate(_rate(mlp))
        if mlp._no_improvement_count <= mlp.n_iter_no_change:
            return False
        what = "Training loss" if self.score is None else "Validation score"
        told = f"{what} did not improve more than tol={mlp.tol:f} for {mlp.n_iter_no_change} consecutive epochs."
        if not (sgd and mlp.learning_rate == "adaptive"):
            return self._stop(told)
        if record.learning_rate <= SMALLEST_RATE:
            return self._stop(told + " Learning rate too small.")
        record.set_learning_rate(record.learning_rate / 5)
        mlp._no_improvement_count = 0
        if mlp.verbose:
            print(f"{told} Setting learning rate to {record.learning_rate / 5:f}")
        return False

    def _stop(self, told: str) -> bool:
        self.stopped = True
        if self.mlp.verbose:
            print(told + " Stopping.")
        return True


class Epochs(Training):
    """Up to max_iter epochs, or one of `partial_fit`: scikit-learn's stopping rule, warnings and early stopping."""

    def __init__(self, mlp: _MLP, data: _Samples, kept: _Samples | None, incremental: bool = False) -> None:
        network: Network = mlp._network
        score: Score | None = None
        if mlp.early_stopping:
            if incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            if kept is None:
                data, kept = _split(mlp, data)
            own = kept.own()
            if own.weight is not None and not own.weight.any():
                raise ValueError(f"all {len(own)} samples kept back for early stopping have weight 0: give "
                                 "validation_data, a larger validation_fraction or another random_state")
            score = mlp._scorer(own)
        if bool(mlp.early_stopping) is (getattr(mlp, "validation_scores_", None) is None):
            mlp._begin_watch(mlp.early_stopping)  # the last fit looked at the other one, or there was none
        optimizer, batch, self.begun, clipped = mlp._make_optimizer(), None, network._progress, False
        if not isinstance(optimizer, BatchMethod):
            batch = 200 if mlp.batch_size == "auto" else int(mlp.batch_size)
            clipped = mlp.batch_size != "auto" and batch > len(data)
        going = self.begun if incremental and self.begun is getattr(mlp, "_begun", None) else None  # ours alone
        if going is not None and not optimizer.takes_over(going.optimizer):
            going = None  # another kind begins anew
        if going is not None:
            if optimizer is not going.optimizer:
                going.go_on_with(optimizer)
            if mlp.solver == "sgd" and mlp.learning_rate != "adaptive":
                going.set_learning_rate(_rate(mlp))
        self.watch = _EndOfEpoch(mlp, len(data), score, mlp._offset(data), 0 if kept is None else
                                 mlp._offset(replace(kept, weight=None)))
        self.incremental = incremental
        super().__init__(mlp, data, kept, epochs=1 if incremental else mlp.max_iter, batch_size=batch,
                         optimizer=optimizer, resume=going is not None, end_of_epoch=self.watch,
                         shuffle=mlp._random_state.shuffle if mlp.shuffle and batch else False)
        if clipped:
            self.messages.append(("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                                  UserWarning))

    def train(self, data: _Samples) -> None:
        """Train it by a fit; where `partial_fit` is called again and again, by what an earlier call has left."""
        mlp, network, like = self.mlp, self.network, self._like(data)
        again: Again | None = getattr(mlp, "_again", None)
        if like is None or again is None or not again.goes_on(network, like):
            before, mlp._like = getattr(mlp, "_like", None), like
            if like is None or like != before:
                super().train(data)
                return
            again = None
        samples = network._samples(data.X, self.shaped(data.targets))
        if again is None:
            again = mlp._again = Again(network, samples, like, threads=mlp.n_threads, **self.settings)
        again.epoch(samples, self.settings["shuffle"], self.watch)

    def _like(self, data: _Samples) -> tuple[Any, ...] | None:
        """Return what it has in common with calls that are like it; None where each is a fit of its own."""
        mlp, settings = self.mlp, self.settings
        if (not self.resume or not self.incremental or mlp.callbacks or mlp.progress or data.weight is not None
                or type(data.X) is not np.ndarray or data.X.size > MOST_NUMBERS
                or self.network.n_parameters > MOST_NUMBERS or isinstance(mlp.dropout, (list, tuple))
                or isinstance(mlp.solver, UpdateRule) and (mlp.solver.has_schedule or mlp.solver.followed)):
            return None
        return (len(data), settings["batch_size"], settings["optimizer"], settings["regularization"],
                settings["precision"], mlp.n_threads, callable(settings["shuffle"]))

    def end(self, error: BaseException | None) -> None:
        """Warn of what has not converged, or diverged; go back to the best weights."""
        mlp = self.mlp
        try:
            if isinstance(error, DivergenceError):
                if not mlp.early_stopping:
                    raise ValueError(NOT_FINITE) from error
                mlp.n_iter_ += 1
                mlp._record(math.nan, math.nan)
                mlp.validation_scores_.append(math.nan)
                self.messages.append((f"Stochastic Optimizer: {error}", ConvergenceWarning))
            elif isinstance(error, KeyboardInterrupt):
                if not self.incremental and self.network._progress is not self.begun:
                    self.watch.passed(self.network.history.cost[mlp.n_iter_ :].tolist())
                self.messages.append(("Training interrupted by user.", UserWarning))
            elif error is not None:
                raise error
            elif mlp.n_iter_ == mlp.max_iter and not self.watch.stopped and not self.incremental:
                self.messages.append((f"Stochastic Optimizer: Maximum iterations ({mlp.max_iter}) reached and the "
                                      "optimization hasn't converged yet.", ConvergenceWarning))
        finally:
            mlp._begun = self.network._progress
            if mlp.early_stopping and (mlp.n_iter_ > 0 or mlp._begun is not self.begun):
                self.network.parameters[:] = mlp._best_parameters


def _rate(mlp: _MLP) -> float:
    """Return the learning rate of "sgd" after the samples seen so far."""
    if mlp.learning_rate != "invscaling":
        return float(mlp.learning_rate_init)
    try:
        return float(mlp.learning_rate_init / (mlp.t_ + 1) ** mlp.power_t)
    except OverflowError:  # of Python's power
        return 0.0


def _split(mlp: _MLP, data: _Samples) -> tuple[_Samples, _Samples]:
    """Keep back validation_fraction of the samples, those that scikit-learn keeps."""
    targets = data.targets if data.rows is None else data.targets[data.rows]
    stratify = targets == 1 if is_classifier(mlp) and mlp.n_outputs_ == 1 else None
    splits = ShuffleSplit if stratify is None else StratifiedShuffleSplit  # what train_test_split asks after 120 µs
    train, kept = next(splits(n_splits=1, test_size=mlp.validation_fraction, random_state=mlp._random_state).split(
        np.empty((len(data), 0)), stratify))
    if len(kept) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your "
                         "dataset.")
    return data.part(train), data.part(kept)

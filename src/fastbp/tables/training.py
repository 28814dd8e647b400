"""The members' fits: folds, the best epoch of each, and what they say of the rows that they have not seen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..encoders import Encoder
from ..ensembles.ensemble import Ensemble
from ..ensembles.held_out import BOOTSTRAP, CALIBRATION, FOLDS, HeldOut, hold_out
from ..ensembles.resampling import dealt
from ..network import Network
from ..training.callbacks import Callback, EarlyStopping, ProgressBar
from ..training.history import Record
from ..training.many import fit_many
from ..util import machine
from . import recipe as recipes
from .columns import Floats
from .recipe import Recipe

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

INITIAL_ROWS = 2048
"""Rows that first parameters are fitted to: `Network.initialize` takes no more, and a copy of all is spared."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as networks see them: those to learn from, and behind them those of X_val, if it was given."""

    matrix: Floats
    targets: Array
    """Standardised numbers (n, outputs), or class indices (n,)."""
    weights: npt.NDArray[np.float64] | None
    n_own: int
    """How many are not of X_val."""

    @property
    def has_validation(self) -> bool:
        """Whether there are rows of X_val."""
        return self.n_own < len(self.matrix)


@dataclass(frozen=True, eq=False)
class Trained:
    """What a fit has led to."""

    ensemble: Ensemble
    held_out: HeldOut
    rows: Indices
    """Which rows, of those that were given, ``held_out`` is of."""
    unseen: Booleans
    """Which member has not seen which of all rows, (members, rows)."""
    best_epochs: npt.NDArray[np.int64]
    costs: npt.NDArray[np.float64]
    """Of training and validation, the mean over the members of each epoch that all have, (2, epochs)."""


class Deadline:
    """How far a fit is: by its epochs or by its time, whichever is further; at the end of the time it stops.

    What schedules are told, and a callback of one fit, whose time begins when it is entered.
    """

    def __init__(self, seconds: float, epochs: int) -> None:
        self.seconds, self.epochs = seconds, epochs
        self.begin = time.perf_counter()

    def __enter__(self) -> Deadline:
        self.begin = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def part(self, epoch: int) -> float:
        """Return which part of the fit is done after so many epochs; at first the learning rate is at its highest."""
        done: float = max(epoch / self.epochs, self._passed(), recipes.FIRST_PEAK)
        return min(done, 1.0)

    def _passed(self) -> float:
        return (time.perf_counter() - self.begin) / self.seconds

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        return self._passed() >= 1


class BestEpoch(EarlyStopping):
    """Keeps the averaged parameters of the best epoch, and stops after a wave of the learning rate without one.

    The average of the parameters over the epochs, in which each epoch before counts `recipe.AVERAGE` of the next one,
    is what each epoch is judged by: its cost of the rows kept back, with weights where these are given.
    """

    def __init__(self, rows: tuple[Floats, Array, Array | None], part: Callable[[int], float]) -> None:
        super().__init__(sys.maxsize, best="last")
        self.rows, self.part, self.waves = rows, part, list(recipes.WAVE_ENDS)
        self.costs: list[tuple[float, float]] = []
        self.average: Array | None = None
        self.before = 0

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        parameters = record.network._parameters
        own = parameters.copy()
        share = min(recipes.AVERAGE, len(self.costs) / (len(self.costs) + recipes.WARM_UP))
        self.average = own if self.average is None else share * self.average + (1 - share) * own
        parameters[:] = self.average
        try:
            cost = record.network.cost(*self.rows)
            super().__call__(record._replace(validation_cost=cost))
        finally:
            parameters[:] = own
        self.costs.append((record.cost, cost))
        if not (self.waves and self.part(record.epoch) >= self.waves[0]):
            return False
        del self.waves[0]
        begin, self.before = self.before, record.epoch
        return self.best_epoch <= begin <= record.epoch - recipes.LEAST_WAVE


class Printed:
    """Prints the costs of every so many epochs."""

    def __init__(self, every: int, member: str) -> None:
        self.every, self.member = every, member

    def __call__(self, record: Record) -> None:
        """Print those of an epoch."""
        if record.epoch % self.every == 0:
            print(f"{self.member}epoch {record.epoch}: training {record.cost:.5g}, "
                  f"validation {record.validation_cost:.5g}, {record.seconds:.1f} s")


def fold_of(n_rows: int, n_folds: int, classes: Indices | None, generator: np.random.Generator) -> Indices:
    """Return the fold of each row, dealt out in a random order, class by class; −1 for a class's only row.

    Such a row is never kept back: a network that has not seen a class can say nothing of it.
    """
    order = generator.permutation(n_rows)
    if classes is not None:
        order = order[np.bincount(classes)[classes[order]] > 1]
    return dealt(n_rows, order, n_folds, classes)


def unseen_rows(rows: Rows, n_members: int, n_folds: int, stratify: bool, generator: np.random.Generator) -> Booleans:
    """Return which member keeps back which row, (members, rows): that of a fold each, or X_val."""
    unseen = np.zeros((n_members, len(rows.matrix)), np.bool_)
    if rows.has_validation:
        unseen[:, rows.n_own :] = True
        return unseen
    n_folds = min(n_folds, rows.n_own)
    fold = fold_of(rows.n_own, n_folds, rows.targets if stratify else None, generator)
    if fold.max() < 0:  # each row has a class of its own
        fold = fold_of(rows.n_own, n_folds, None, generator)
    n_folds = int(fold.max()) + 1
    for i in range(n_members):
        unseen[i] = fold == i % n_folds
    return unseen


def train(rows: Rows, recipe: Recipe, cost: str, n_outputs: int, encoders: Sequence[Encoder], *,
          n_members: int, n_folds: int, generator: np.random.Generator, stratify: bool, callbacks: Any,
          time_limit: float | None, verbose: int, progress: bool, threads: int | None) -> Trained:
    """Train the members, each on all rows but those it keeps back, by which its best epoch is chosen."""
    unseen = unseen_rows(rows, n_members, n_folds, stratify, generator)
    networks = [recipe.network(rows.matrix.shape[1], n_outputs, cost, int(generator.integers(2**63)), encoders)
                for _ in range(n_members)]

    def of_member(i: int) -> list[Callback]:
        own: list[Callback] = []
        if verbose:
            own.append(Printed(verbose, f"member {i}, " if n_members > 1 else ""))
        if progress and n_members == 1:
            own.append(ProgressBar(recipe.epochs, int((~unseen[i]).sum())))
        return [*own, *_of_user(callbacks, i)]

    best = _fit(networks, rows, recipe, unseen, generator, time_limit, threads, of_member, progress and n_members > 1)
    ensemble = Ensemble(networks)
    known = np.flatnonzero(unseen.any(axis=0))
    held = _hold_out(ensemble, rows, known, unseen[:, known])
    shortest = min(len(found.costs) for found in best)
    costs = np.mean([found.costs[:shortest] for found in best], axis=0).T
    return Trained(ensemble, held, known, unseen, np.array([found.best_epoch for found in best]), costs)


def better_encoders(candidates: Sequence[Sequence[Encoder]], rows: Rows, recipe: Recipe, cost: str, n_outputs: int, *,
                    n_folds: int, generator: np.random.Generator, stratify: bool, time_limit: float | None,
                    threads: int | None) -> int:
    """Return which encoders rows that are kept back speak for: by a network of few epochs for each, of one seed."""
    unseen = np.repeat(unseen_rows(rows, 1, n_folds, stratify, generator), len(candidates), axis=0)
    short, seed = recipe.of_trial(), int(generator.integers(2**63))
    networks = [short.network(rows.matrix.shape[1], n_outputs, cost, seed, encoders) for encoders in candidates]
    best = _fit(networks, rows, short, unseen, generator, time_limit, threads)
    return int(np.argmin([found.best_value for found in best]))


def _fit(networks: Sequence[Network], rows: Rows, recipe: Recipe, unseen: Booleans, generator: np.random.Generator,
         time_limit: float | None, threads: int | None, callbacks: Callable[[int], list[Callback]] = lambda i: [],
         progress: bool = False) -> list[BestEpoch]:
    """Train networks on rows that are not unseen to them, and return what was their best epoch by the others."""
    learned, kept = [np.flatnonzero(~own) for own in unseen], [np.flatnonzero(own) for own in unseen]
    for network, own in zip(networks, learned, strict=True):
        network.initialize(rows.matrix[_some(own, generator)])
    deadlines = [None if time_limit is None else Deadline(_share(time_limit, len(networks), threads), recipe.epochs)
                 for _ in networks]
    parts = [None if deadline is None else deadline.part for deadline in deadlines]
    best = [BestEpoch((rows.matrix[own], rows.targets[own], None if rows.weights is None else rows.weights[own]),
                      part or (lambda epoch: epoch / recipe.epochs)) for own, part in zip(kept, parts, strict=True)]

    def of_network(i: int) -> list[Callback]:
        deadline = deadlines[i]
        return [best[i], *([] if deadline is None else [deadline]), *callbacks(i)]

    fit_many(networks, rows.matrix, rows.targets, rows=learned, sample_weight=rows.weights, validation_rows=kept,
             epochs=recipe.epochs, batch_size=recipe.batch_size,
             optimizer=[recipe.optimizer(network, part) for network, part in zip(networks, parts, strict=True)],
             regularization=[recipe.regularization(part) for part in parts], callbacks=of_network, threads=threads,
             progress=progress)
    return best


def _some(rows: Indices, generator: np.random.Generator) -> Indices:
    """Return as many of these rows as first parameters are fitted to."""
    return rows if len(rows) <= INITIAL_ROWS else generator.choice(rows, INITIAL_ROWS, replace=False)


def _share(seconds: float, n_members: int, threads: int | None) -> float:
    """Return the seconds for each member, of which as many as there are threads are trained at once."""
    at_once = min(n_members, machine.processors() if threads is None else threads)
    return seconds / -(-n_members // at_once)


def _of_user(callbacks: Iterable[Callback] | Callable[[int], Iterable[Callback]] | None, i: int) -> list[Callback]:
    """Return the user's callbacks for a member: those of a list, or what a function returns for its index."""
    if callbacks is None:
        return []
    if not callable(callbacks):
        return list(callbacks)
    own = callbacks(i)
    if not isinstance(own, (list, tuple)):
        raise TypeError(f"callbacks({i}) returns {own!r}, expected a list of callbacks for that network: one function "
                        "that is called after each epoch is given as callbacks=[function]")
    return list(own)


def _hold_out(ensemble: Ensemble, rows: Rows, known: Indices, unseen: Booleans) -> HeldOut:
    """Have the members predict what they have not seen, and let the ensemble know."""
    samples = ensemble.networks[0]._samples(rows.matrix[known], rows.targets[known],
                                            None if rows.weights is None else rows.weights[known], sparse=True)
    if unseen.all():
        ensemble._calibration = hold_out(ensemble, samples, CALIBRATION, np.ones((len(unseen), 1), np.bool_))
        return ensemble._calibration
    folds = bool((unseen.sum(axis=0) == 1).all())
    ensemble._resample = hold_out(ensemble, samples, FOLDS if folds else BOOTSTRAP, unseen)
    return ensemble._resample



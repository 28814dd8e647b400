"""Rows that members of an ensemble have not been trained on: what these predict of them, beside the truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.samples import Samples
from ..costs import Cost
from ..kernels.compile.cached import cached_property
from ..metrics import Compared, accuracy, r2
from .members import BERNOULLI, DISTRIBUTION, QUIET, Array, Doubles, Members, outputs, parts

FOLDS, BOOTSTRAP, CALIBRATION = "folds", "bootstrap", "calibration"
"""How rows came to be unseen."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows, and what those members predict of each that have not seen it."""

    origin: str
    """`FOLDS`, `BOOTSTRAP` or `CALIBRATION`."""
    unseen: npt.NDArray[np.bool_]
    """Which members have not seen which row, (B, rows); (B, 1) where none has seen any."""
    targets: Array
    """(rows, n_targets) float64, or class indices (rows,) int64."""
    predictions: Doubles
    """The mean over the members that have not seen the row, (rows, n_targets); NaN where all have."""
    weights: Doubles
    """(rows,), or (0,) where all weigh the same; scores alone use them."""
    digest: str
    """Of the parameters of the members that have predicted."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which rows some member has not seen."""
        return np.broadcast_to(self.unseen.any(axis=0), len(self.targets))

    @cached_property
    def patterns(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
        """Return the sets of members that have not seen a row, (P, B), and which of them belongs to each known row.

        With folds there are k of them, with rows to calibrate one, with a bootstrap about as many as rows.
        """
        every = np.broadcast_to(self.unseen, (len(self.unseen), len(self.targets)))[:, self.known]
        masks, which = np.unique(every.T, axis=0, return_inverse=True)
        return masks, which.reshape(-1)

    def check_parameters(self, members: Members) -> None:
        """Raise if the members are no longer those that have predicted."""
        if digest(members) != self.digest:
            again = "calibrate(X, Y)" if self.origin == CALIBRATION else f"Ensemble.{self.origin}"
            raise ValueError("the parameters of the networks have changed since they predicted the rows that they had "
                             f"not seen, and intervals would be those of other networks: use {again} again")


def digest(members: Members) -> str:
    """Return a hash of all parameters."""
    found = hashlib.blake2b(digest_size=16)
    for network in members.networks:
        found.update(np.ascontiguousarray(network.parameters).data)
    return found.hexdigest()


@QUIET
def hold_out(members: Members, samples: Samples, origin: str, unseen: npt.NDArray[np.bool_]) -> HeldOut:
    """Have the members predict the rows that they have not seen."""
    found = np.empty((len(samples), members._n_targets))
    for part, given in parts(members, samples.inputs):
        some = unseen if unseen.shape[1] == 1 else unseen[:, part]
        found[part] = unseen_means(members, given, some.T)
    return HeldOut(origin, unseen, _targets(members, samples), found, samples.weights.astype(np.float64),
                   digest(members))


def check_targets(cost: Cost) -> None:
    """Raise ValueError if Y holds other numbers than the targets that predictions are compared with."""
    if cost.whole > 0:
        raise ValueError(f"rows that networks have not seen are to be compared with their targets, but {cost} reads "
                         f"{cost.whole} numbers of Y, of which nobody knows what they are: train with fit_many, and "
                         "make an Ensemble of the networks")


def unseen_means(members: Members, part: Any, unseen: npt.NDArray[np.bool_]) -> Doubles:
    """Return for each row the mean over its own members, ``unseen`` (rows or 1, B): (rows, n_targets)."""
    total = np.zeros((len(part), members._n_targets))
    for own, out in zip(unseen.T, outputs(members, part, False), strict=True):
        np.add(total, out[:, : members._n_targets], out=total, where=own[:, None])
    total /= unseen.sum(axis=1)[:, None]
    return total


def pattern_means(members: Members, part: Any, single: bool, masks: npt.NDArray[np.bool_]) -> Doubles:
    """Return for each row the mean over each set of members, ``masks`` (P, B): (P, rows, n_targets)."""
    total = np.zeros((len(masks), len(part), members._n_targets))
    for own, out in zip(masks.T, outputs(members, part, single), strict=True):
        np.add(total, out[:, : members._n_targets], out=total, where=own[:, None, None])
    total /= masks.sum(axis=1)[:, None, None]
    return total


def _targets(members: Members, samples: Samples) -> Array:
    """Return targets as `HeldOut.targets` has them; rows of probabilities that are no classes stay."""
    if samples.labels:
        return samples.targets.astype(np.int64)
    targets = samples.targets[:, : members._n_targets].astype(np.float64)  # behind them stands what costs read beside
    if members._kind == DISTRIBUTION and ((targets == 1).sum(axis=1) == 1).all():
        classes: Array = targets.argmax(axis=1)
        return classes
    return targets


@QUIET
def score(members: Members, held: HeldOut) -> float:
    """Return R² or accuracy on the rows that some member has not seen."""
    known = held.known
    weights = held.weights[known] if held.weights.size else np.ones(np.count_nonzero(known))
    if not weights.any():
        return float("nan")
    compared = Compared(held.targets[known], held.predictions[known], weights, members._kind == DISTRIBUTION)
    return accuracy(compared) if members._kind in (DISTRIBUTION, BERNOULLI) else r2(compared)

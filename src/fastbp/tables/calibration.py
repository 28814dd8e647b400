"""Probabilities that are right as often as they say: the temperature of the members' logits, from rows not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..ensembles.ensemble import Ensemble
from ..ensembles.members import Doubles, outputs, parts

HOTTEST = 16.0
"""log T lies between ±16: there a softmax is that of equal logits, or of the largest alone."""

PRIOR_ROWS = 20
"""Rows that the temperature is learned from beside those that were kept back, and that say 1: where all of these, which
may be few, are told rightly, it would be 0, and the first wrong one cost a fortune."""

HALVINGS = 40
"""Of that interval: log T to 3·10⁻¹¹."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""A probability that float32 has made 0 counts as this one, or its logarithm would be infinite."""


def mean_logits(ensemble: Ensemble, matrix: npt.NDArray[np.float32],
                unseen: npt.NDArray[np.bool_] | None = None) -> Doubles:
    """Return the mean over the members of log p, (rows, classes); of those alone that have not seen a row.

    The mean of logarithms keeps the members' sharpness, where that of probabilities is blunter than each of them: so
    the temperature of members by themselves serves their mean.
    """
    found = np.empty((len(matrix), ensemble.networks[0].layers[-1]))
    for part, given in parts(ensemble, matrix):
        total = np.zeros((len(given), found.shape[1]))
        for i, out in enumerate(outputs(ensemble, given, False)):
            logits = np.log(np.maximum(out, SMALLEST).astype(np.float64))
            np.add(total, logits, out=total, where=True if unseen is None else unseen[i, part, None])
        counts: Any = len(ensemble) if unseen is None else unseen[:, part].sum(axis=0)[:, None]
        found[part] = total / counts
    return found


def softmax(logits: Doubles) -> Doubles:
    """Return the probabilities of logits, along the last axis."""
    powers: Doubles = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def temperature(logits: Doubles, classes: npt.NDArray[np.int64], weights: Doubles | None) -> float:
    """Return the T > 0 with which softmax(logits/T) has the lowest log-loss (Guo et al. 2017, section 4.2).

    With u = −log T the log-loss is convex in eᵘ: its derivative is 0 where the mean of Σ_j l_j softmax(eᵘl)_j is that
    of l_y, which bisection finds between ±16. `PRIOR_ROWS` more rows have classes that are distributed as softmax(l).
    """
    prior = PRIOR_ROWS / (PRIOR_ROWS + len(logits))
    reached = (1 - prior) * np.average(logits[np.arange(len(classes)), classes], weights=weights) \
        + prior * np.average((logits * softmax(logits)).sum(axis=1), weights=weights)
    low, high = -HOTTEST, HOTTEST
    for _ in range(HALVINGS):
        u = (low + high) / 2
        expected = np.average((logits * softmax(np.exp(u) * logits)).sum(axis=1), weights=weights)
        low, high = (low, u) if expected > reached else (u, high)
    return float(np.exp(-(low + high) / 2))


def calibrated(logits: Doubles, heat: float, n_rows: int) -> Doubles:
    """Return probabilities at a temperature, mixed with 1/(n + 1) of all classes alike, n being the rows it is from.

    As in Laplace's rule of succession: of n rows nobody can tell that a class has less than about 1/n, and no
    probability is 0.
    """
    share = 1 / (n_rows + 1)
    mixed: Doubles = (1 - share) * softmax(logits / heat) + share / logits.shape[1]
    return mixed

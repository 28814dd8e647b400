"""Bounds and quantiles of numbers that hold as often as they say, from rows that members have not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ..ensembles.ensemble import Ensemble
from ..ensembles.held_out import HeldOut, pattern_means
from ..ensembles.members import Doubles, parts


def rank(q: float, n: int) -> int:
    """Return which of n misses in order, from 1, is at quantile q: ⌈q(n+1)⌉ from ½ on, ⌊q(n+1)⌋ below, outwards."""
    exact = Fraction(str(float(q))) * (n + 1)
    return math.ceil(exact) if q >= 0.5 else math.floor(exact)


def quantiles(ensemble: Ensemble, held: HeldOut, matrix: npt.NDArray[np.float32], levels: Sequence[float]) -> Doubles:
    """Return quantiles of new targets, (levels, rows, outputs); −∞ and ∞ where there are too few rows for a level.

    With the signed misses R_i = y_i − f_{-i}(x_i) of the rows that some members have not seen, and f_{-i}(x) what
    those say of a new x, the quantile q is the `rank`-th smallest of f_{-i}(x) + R_i.
    """
    held.check_parameters(ensemble)
    known = held.known
    misses = (held.targets - held.predictions)[known]  # (n, outputs)
    masks, which = held.patterns
    n, width = misses.shape
    ranks = [rank(q, n) for q in levels]
    found = np.empty((len(levels), len(matrix), width))
    in_order = np.sort(misses, axis=0)
    for part, given in parts(ensemble, matrix, (n + len(masks)) * width if len(masks) > 1 else width):
        means = pattern_means(ensemble, given, False, masks)
        values = means[which] + misses[:, None] if len(masks) > 1 else None
        if values is not None:
            values.sort(axis=0)
        for level, k in enumerate(ranks):
            if not 1 <= k <= n:
                found[level, part] = -np.inf if k < 1 else np.inf
            else:
                found[level, part] = means[0] + in_order[k - 1] if values is None else values[k - 1]
    return found


def spread(ensemble: Ensemble, held: HeldOut, matrix: npt.NDArray[np.float32]) -> Doubles:
    """Return a standard deviation of new targets, (rows, outputs): √(mean R_i² + the variance of the members)."""
    noise = np.square(held.targets - held.predictions)[held.known].mean(axis=0)
    deviation: Doubles = np.sqrt(noise + np.square(ensemble.std(matrix)))
    return deviation

"""Quantiles of a mixture of normal distributions, one a member (Lakshminarayanan et al. 2017, section 2.4)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

HALVINGS = 60
"""Of the bracket of a root: to fewer than the digits of a double."""

_erf: Any = np.frompyfunc(math.erf, 1, 1)


def mixture_quantiles(outputs: Doubles, probabilities: Doubles) -> Doubles:
    """Return the root y of (1/B) Σ_m Φ((y − μ_m)/σ_m) = q for each q, (Q, rows, targets).

    It lies between the least and the largest of the members' own quantiles, and is found by halving that.

    Parameters
    ----------
    outputs : ndarray, shape (B, rows, 2 targets)
        μ of each target, then log σ².
    probabilities : ndarray, shape (Q,)
        q; 0 and 1 give −∞ and ∞.
    """
    targets = outputs.shape[2] // 2
    means, widths = outputs[..., :targets], np.exp(0.5 * outputs[..., targets:])
    found = np.empty((len(probabilities), *means.shape[1:]))
    for root, q in zip(found, probabilities, strict=True):
        if q in (0, 1):
            root[...] = np.inf if q else -np.inf
            continue
        own = means + widths * NormalDist().inv_cdf(float(q))
        low, high = own.min(axis=0), own.max(axis=0)
        for _ in range(HALVINGS):
            middle = low + 0.5 * (high - low)
            share = 0.5 * (1 + _erf((middle - means) / (widths * math.sqrt(2))).astype(np.float64)).mean(axis=0)
            low, high = np.where(share < q, middle, low), np.where(share < q, high, middle)
        root[...] = low + 0.5 * (high - low)
    return found

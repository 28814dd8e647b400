"""Intervals and sets that hold new targets as often as they promise, from rows that members have not seen.

All three methods are one count. With R_i the miss of row i by the members that have not seen it, and f_{-i}(x) what
those say of a new x, the bounds are the k-th smallest of f_{-i}(x) − R_i and the k-th largest of f_{-i}(x) + R_i,
k = ⌊α(n+1)⌋, α = 1 − level. Where one network has not seen row i this is CV+; where several have not, jackknife+ after
bootstrap; where none has seen any, f_{-i} is the ensemble itself, and it is split conformal prediction.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..util.settings import is_number
from .held_out import BOOTSTRAP, CALIBRATION, FOLDS, HeldOut, pattern_means
from .members import BERNOULLI, DISTRIBUTION, QUIET, Array, Doubles, Members, parts, rows
from .predictions import check_probabilities

Booleans = npt.NDArray[np.bool_]

ORIGINS = {"split": CALIBRATION, "cv+": FOLDS, "jackknife+ab": BOOTSTRAP}
"""Method -> the rows that it needs."""

SOURCES = {"split": "calibrate(X, Y) with rows that no network has seen", "cv+": "Ensemble.folds",
           "jackknife+ab": "Ensemble.bootstrap"}
"""Method -> where these come from."""


class Informed(Members):
    """Members of which it is known what they predict of rows that they have not seen."""

    _resample: HeldOut | None = None
    _calibration: HeldOut | None = None


def tail(level: float, n: int) -> int:
    """Return k = ⌊α(n+1)⌋, of the decimal number that was written, by which (1 − 0.9)·100 is 10 and not a bit less."""
    return math.floor((1 - Fraction(str(float(level)))) * (n + 1))


def _checked(level: Any, held: HeldOut) -> float:
    if not (is_number(level) and 0 < level < 1):
        raise ValueError(f"level is {level!r}, expected a probability between 0 and 1, for instance 0.9")
    if held.origin != CALIBRATION and level <= 0.5:
        raise ValueError(f"level is {level!r}, but what rows of {held.origin} promise is 2 level − 1: use a level "
                         "above 0.5, or calibrate(X, Y)")
    return float(level)


def _held_out(members: Informed, method: Any) -> HeldOut:
    """Return the rows that a method needs, and by default those that are there."""
    found = {held.origin: held for held in (members._resample, members._calibration) if held is not None}
    if method is None:
        if not found:
            raise ValueError("this ensemble knows no rows that its networks have not seen: make it with Ensemble.folds "
                             "or Ensemble.bootstrap, or call calibrate(X, Y) with rows that no network has seen")
        held = found.get(CALIBRATION) or next(iter(found.values()))
    elif not isinstance(method, str) or method not in ORIGINS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(map(repr, ORIGINS))}, or None")
    elif ORIGINS[method] not in found:
        raise ValueError(f"method {method!r} needs {SOURCES[method]}"
                         + (f"; this ensemble has rows of {', '.join(found)}" if found else ""))
    else:
        held = found[ORIGINS[method]]
    held.check_parameters(members)
    return held


@QUIET
def predict_interval(self: Informed, X: npt.ArrayLike, level: float = 0.9,
                     method: Literal["split", "cv+", "jackknife+ab"] | None = None) -> tuple[Doubles, Doubles]:
    """Compute an interval that holds a new target with a probability that is promised, whatever the networks are.

    It takes rows to be exchangeable, as drawn independently from one distribution, and nothing else: of n rows the
    misses ``R_i = |y_i − f_{-i}(x_i)|`` are known, where f_{-i} is the mean of the networks that have not seen row i.
    With α = 1 − level and k = ⌊α(n+1)⌋ the bounds are the k-th smallest of f_{-i}(x) − R_i and the k-th largest of
    f_{-i}(x) + R_i.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.
    level : float, default 0.9
        Between 0 and 1; above 0.5 for ``"cv+"`` and ``"jackknife+ab"``.
    method : {"split", "cv+", "jackknife+ab"}, optional
        Which rows are taken; None takes those that are there, of `calibrate` before all others. "split" takes the rows
        of `calibrate`, where f_{-i} is the ensemble and the interval f(x) ± the k-th largest of R_i (Papadopoulos et
        al. 2002); "cv+" those of `Ensemble.folds` (Barber et al. 2021, section 3); "jackknife+ab" those of
        `Ensemble.bootstrap` that some network has not seen (Kim et al. 2020).

    Returns
    -------
    low, high : ndarray of float64, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)
        In the units of the targets, for each output by itself; of a mixture, (n_samples, n_L/2). Where α(n+1) < 1 the n
        rows are too few for the level, and the bounds infinite.

    Raises
    ------
    ValueError, TypeError
        If X does not fit, or ``level`` is no such number; if the networks are for classes, the rows of the method are
        not there, or the networks' parameters have changed since.

    Notes
    -----
    The promise, on average over the rows that are known and the new one: "split" holds a new target with probability
    ``level`` at least (and at most level + 1/(n+1) where no two misses are equal). "cv+" with k folds: 1 − 2α −
    min(2(1 − 1/k)/(n/k + 1), (1 − k/n)/(k + 1)) at least (Barber et al. 2021, theorem 4). "jackknife+ab": 1 − 2α at
    least, if the number of networks is drawn from a binomial distribution (Kim et al. 2020, theorem 1). Both come to
    about ``level`` in practice. It is no promise for each x alone.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X, noise = rng.uniform(-1, 1, (300, 1)), rng.normal(0, 0.1, (300, 1))
    >>> network = fastbp.Network((1, 8, 1), dtype="float64")
    >>> ensemble = fastbp.Ensemble.folds(network, X[:200], (X**2 + noise)[:200], k=5, seed=0, epochs=50,
    ...                                  optimizer="lbfgs")
    >>> low, high = ensemble.predict_interval(X[200:], level=0.9)
    >>> inside = (low <= (X**2 + noise)[200:]) & ((X**2 + noise)[200:] <= high)
    >>> bool(0.82 < inside.mean() < 0.98)
    True
    """
    if self._kind in (DISTRIBUTION, BERNOULLI):
        raise ValueError("predict_interval is for numbers, and these networks are for classes: use predict_set")
    held = _held_out(self, method)
    inputs, single = rows(self, X)
    known = held.known
    misses = np.abs(held.targets - held.predictions)[known][:, None]  # (n, 1, targets)
    masks, which = held.patterns
    k = tail(_checked(level, held), len(misses))
    low, high = np.empty((2, len(inputs), self._n_targets))
    if len(masks) == 1 and k > 0:  # the same misses lie around every prediction
        misses, which = -_smallest(-misses, k)[None], np.zeros(1, np.intp)
        k = 1
    for part, given in parts(self, inputs, (len(misses) + len(masks)) * self._n_targets):
        means = pattern_means(self, given, single, masks)
        low[part] = _smallest(means[which] - misses, k)
        high[part] = -_smallest(-(means[which] + misses), k)
    return self._shown(low, single), self._shown(high, single)


def _smallest(values: Doubles, k: int) -> Doubles:
    """Return the k-th smallest along the first axis, −∞ for k = 0, NaN where one is; overwrites the values."""
    if k == 0:
        return np.full(values.shape[1:], -np.inf)
    unknown = np.isnan(values).any(axis=0)
    values.partition(k - 1, axis=0)
    return np.where(unknown, np.nan, values[k - 1])


def lac(probabilities: Doubles) -> Doubles:
    """Return 1 − p of each class, along the last axis (Sadinle et al. 2019)."""
    return 1 - probabilities


def aps(probabilities: Doubles) -> Doubles:
    """Return the sum of p over all classes down to each, the most probable first (Romano et al. 2020)."""
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    found = np.empty_like(probabilities)
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=-1), axis=-1)
    np.put_along_axis(found, order, sums, axis=-1)
    return found


SCORES = {"lac": lac, "aps": aps}


def _distribution(kind: str, probabilities: Array) -> Doubles:
    """Return the probability of each class, along the last axis; one output is that of the second of two."""
    p = probabilities.astype(np.float64)
    return np.concatenate([1 - p, p], axis=-1) if kind == BERNOULLI else p


@QUIET
def predict_set(self: Informed, X: npt.ArrayLike, level: float = 0.9,
                method: Literal["lac", "aps"] = "lac") -> Booleans:
    """Compute a set of classes that holds the true one with a probability that is promised, whatever the networks are.

    As in `predict_interval`, of n rows the scores E_i = s(x_i, y_i; p_{-i}) are known, with p_{-i} the mean
    probabilities of the networks that have not seen row i. A class y is in the set of x if fewer than level (n+1) of
    the rows have E_i < s(x, y; p_{-i}) (Romano et al. 2020, section 2).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.
    level : float, default 0.9
        Between 0 and 1; above 0.5 for networks of `Ensemble.folds` and `Ensemble.bootstrap`.
    method : {"lac", "aps"}, default "lac"
        "lac": s = 1 − p_y; the smallest sets on average, which may be empty where no class is probable (Sadinle et al.
        2019). "aps": s = the sum of p over all classes from the most probable down to y; sets grow where the networks
        are unsure, and hold the most probable class always (Romano et al. 2020, without their random number: sets are
        somewhat larger, and the same in each call).

    Returns
    -------
    ndarray of bool, shape (n_samples, classes), or (classes,) for one row of shape (n_0,)
        Whether a class is in the set. There are n_L classes; for binary_cross_entropy two, of which the output is the
        probability of the second. All of them where α(n+1) < 1: then the n rows are too few for the level.

    Raises
    ------
    ValueError, TypeError
        If X does not fit, ``level`` is no such number, or there is no such method; if the networks are not for classes,
        or have several outputs that are each a probability; if their targets were probabilities and no classes; if no
        rows are known that networks have not seen, or the parameters have changed since.

    Notes
    -----
    The rows are those of `calibrate` where there are any, with the promise of ``level`` at least; else those of
    `Ensemble.folds`, with the promise of ``"cv+"`` in `predict_interval` (Romano et al. 2020, section 2), or of
    `Ensemble.bootstrap`. Both come to about ``level`` in practice, to more where the networks of an ensemble differ.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> Y = rng.integers(3, size=400)
    >>> X = rng.normal(size=(400, 2)) + 2 * np.eye(3)[Y][:, :2]
    >>> network = fastbp.Network((2, 8, 3), cost="cross_entropy", dtype="float64")
    >>> ensemble = fastbp.Ensemble.folds(network, X[:200], Y[:200], k=5, stratify=True, seed=0, epochs=100,
    ...                                  optimizer=fastbp.Adam(0.01))
    >>> sets = ensemble.predict_set(X[200:], level=0.9)
    >>> bool(0.82 < sets[np.arange(200), Y[200:]].mean() < 0.98)
    True
    """
    if self._kind not in (DISTRIBUTION, BERNOULLI):
        raise ValueError("predict_set is for classes, and these networks are for numbers: use predict_interval")
    if self._kind == BERNOULLI and self._n_out > 1:
        raise ValueError(f"predict_set is for one class of several, and these networks have {self._n_out} outputs that "
                         "are each a probability by itself: use cost 'cross_entropy', or a network for each output")
    check_probabilities(self, "predict_set")
    if not isinstance(method, str) or method not in SCORES:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(map(repr, SCORES))}")
    held, kind, of = _held_out(self, None), self._kind, SCORES[method]
    known = held.known
    misses = _class_scores(of(_distribution(kind, held.predictions[known])), held.targets[known])[:, None, None]
    masks, which = held.patterns
    if method == "aps":  # of the whole ensemble, too: last, so that no row is told to it
        masks = np.concatenate([masks, np.ones((1, len(self._networks)), np.bool_)])
    most = len(misses) + 1 - tail(_checked(level, held), len(misses))  # ⌈level (n+1)⌉
    inputs, single = rows(self, X)
    classes = max(self._n_out, 2)
    found = np.empty((len(inputs), classes), np.bool_)
    for part, given in parts(self, inputs, (len(misses) + 2 * len(masks)) * classes):
        p = _distribution(kind, pattern_means(self, given, single, masks))
        found[part] = (misses < of(p)[which]).sum(axis=0) < most
        if method == "aps":
            np.put_along_axis(found[part], p[-1].argmax(axis=-1)[:, None], True, axis=-1)
    return found[0] if single else found


def _class_scores(scores: Doubles, targets: Array) -> Doubles:
    """Return the score of the true class of each row."""
    if targets.ndim == 2 and targets.shape[1] > 1 or not np.isin(targets, np.arange(scores.shape[-1])).all():
        raise ValueError("predict_set needs to know the class of each row, but the networks were given targets that "
                         "are probabilities: give class indices or one-hot rows")
    return scores[np.arange(len(targets)), targets.reshape(-1).astype(np.int64)]

"""What the members of an ensemble say of new rows: their mean, how far they differ, and which part is noise.

Sums run over the members in their order, in float64, so results depend on nothing but members and rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.conversion import numbers
from ..core.samples import SparseRows
from .members import BERNOULLI, DISTRIBUTION, GAUSSIAN, QUIET, Array, Doubles, Members, outputs, parts, rows
from .mixture import mixture_quantiles


class Uncertainty(NamedTuple):
    """How uncertain an ensemble is, and of what; see `Ensemble.uncertainty`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> found = ensemble.uncertainty(X)
    >>> found.total.shape, bool((found.knowledge == found.total).all())  # these networks tell no noise
    ((100, 1), True)
    """

    total: Doubles
    """Of a new target."""
    data: Doubles
    """What would be left if the members agreed: noise in the targets."""
    knowledge: Doubles
    """What more data there would take away: the members' disagreement."""


@QUIET
def predict(self: Members, X: npt.ArrayLike) -> Array:
    """Compute the mean of the members' outputs.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.

    Returns
    -------
    ndarray of the networks' dtype, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)
        (1/B) Σ_m o_m over the B members, summed in float64: for classes the mean of their probabilities. Of members
        with cost ``"gaussian_nll"``, whose n_L outputs are μ and log σ² of n_L/2 targets, the mean of the mixture,
        (1/B) Σ_m μ_m, shape (n_samples, n_L/2) (Lakshminarayanan et al. 2017, section 2.4).

    Raises
    ------
    ValueError, TypeError
        If X does not fit.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> bool(np.allclose(ensemble.predict(X), np.mean([net.predict(X) for net in networks], axis=0)))
    True
    """
    inputs, single = rows(self, X)
    found = np.empty((len(inputs), self._n_targets), self.dtype)
    for part, given in parts(self, inputs):
        found[part] = mean(self, given, single)
    return self._shown(found, single)  # type: ignore[no-any-return]


def mean(members: Members, part: Array | SparseRows, single: bool = False) -> Doubles:
    """Return the mean of the members' outputs, (rows, n_L), of the mixture (rows, n_L/2)."""
    total = np.zeros((len(part), members._n_targets))
    for out in outputs(members, part, single):
        total += out[:, : members._n_targets]
    total /= len(members._networks)
    return total


@QUIET
def predict_all(self: Members, X: npt.ArrayLike) -> Array:
    """Compute the outputs of each member.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.

    Returns
    -------
    ndarray of the networks' dtype, shape (B, n_samples, n_L), or (B, n_L) for one row of shape (n_0,)
        The outputs of member m at index m, as its own `Network.predict` computes them.

    Raises
    ------
    ValueError, TypeError
        If X does not fit.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> ensemble.predict_all(X).shape
    (3, 100, 1)
    """
    inputs, single = rows(self, X)
    found = np.empty((len(self._networks), len(inputs), self._n_out), self.dtype)
    for part, given in parts(self, inputs):
        for of_member, out in zip(found, outputs(self, given, single), strict=True):
            of_member[part] = out
    if self.flat and self._n_out == 1:
        found = found[..., 0]
    return found[:, 0] if single else found


class Moments(NamedTuple):
    """Mean and variances of the members' answers, (rows, targets)."""

    mean: Doubles
    noise: Doubles
    """The mean of the variances that they tell themselves; 0 where they tell none."""
    spread: Doubles
    """The variance of their means."""


def moments(members: Members, part: Array | SparseRows, single: bool) -> Moments:
    """Return mean and variances in one pass over the members (Welford 1962)."""
    size = len(part), members._n_targets
    average, spread, noise = np.zeros(size), np.zeros(size), np.zeros(size)
    for number, out in enumerate(outputs(members, part, single), 1):
        means = out[:, : size[1]].astype(np.float64)
        step = means - average
        average += step / number
        spread += step * (means - average)
        if members._kind == GAUSSIAN:
            noise += np.exp(out[:, size[1] :], dtype=np.float64)
    count = len(members._networks)
    return Moments(average, noise / count, spread / count)


@QUIET
def std(self: Members, X: npt.ArrayLike) -> Doubles:
    """Compute how far the members differ: the standard deviation of their outputs.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)
        √((1/B) Σ_m (o_m − ō)²), of probabilities for classes. 0 for an ensemble of one. Of members with cost
        ``"gaussian_nll"`` that of the mixture, √((1/B) Σ_m σ_m² + (1/B) Σ_m (μ_m − μ̄)²), which holds the noise of the
        targets too, shape (n_samples, n_L/2).

    Raises
    ------
    ValueError, TypeError
        If X does not fit.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> bool(ensemble.std([4.0])[0] > ensemble.std([0.5])[0])  # there were no data at 4
    True
    """
    inputs, single = rows(self, X)
    found = np.empty((len(inputs), self._n_targets))
    for part, given in parts(self, inputs):
        _, noise, spread = moments(self, given, single)
        found[part] = np.sqrt(noise + spread)
    return self._shown(found, single)  # type: ignore[no-any-return]


@QUIET
def quantiles(self: Members, X: npt.ArrayLike, q: float | Sequence[float] | Array) -> Doubles:
    """Compute quantiles of the members' outputs.

    They tell how far the members differ, not where targets lie: for that see `predict_interval`. Members with cost
    ``"gaussian_nll"`` say where targets lie, and there these are the quantiles of their mixture.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.
    q : float or sequence of float
        Probabilities from 0 to 1.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)
        Between two members by linear interpolation, as `numpy.quantile` does. Of a mixture, whose shape is
        (n_samples, n_L/2), the root of (1/B) Σ_m Φ((y − μ_m)/σ_m) = q by bisection. A sequence of
        probabilities gives one such array for each, along a first axis.

    Raises
    ------
    ValueError, TypeError
        If X does not fit, or q holds what is no probability.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> ensemble.quantiles(X, [0.1, 0.9]).shape
    (2, 100, 1)
    """
    wanted = numbers("q", q).astype(np.float64)
    if wanted.ndim > 1 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise ValueError(f"q is {q!r}, expected probabilities from 0 to 1, for instance 0.5 or [0.05, 0.95]")
    inputs, single = rows(self, X)
    found = np.empty((wanted.size, len(inputs), self._n_targets))
    members = len(self._networks)
    for part, given in parts(self, inputs, members * self._n_out):
        every = np.empty((members, len(given), self._n_out))
        for of_member, out in zip(every, outputs(self, given, single), strict=True):
            of_member[...] = out
        if self._kind == GAUSSIAN:
            found[:, part] = mixture_quantiles(every, np.ravel(wanted))
        else:
            found[:, part] = np.quantile(every, np.ravel(wanted), axis=0)
    if self.flat:
        found = found[..., 0]
    found = found[:, 0] if single else found
    return found[0] if wanted.ndim == 0 else found


def entropy(kind: str, probabilities: Array) -> Doubles:
    """Return −Σ p log p of each row of classes, (rows,), or of each output that is a probability, (rows, n_L); nats."""
    p = probabilities.astype(np.float64)
    if kind == DISTRIBUTION:
        total: Doubles = _surprise(p).sum(axis=1)
        return total
    return _surprise(p) + _surprise(1 - p)


def _surprise(p: Doubles) -> Doubles:
    """Return −p log p, 0 at 0."""
    return -p * np.log(p, out=np.zeros_like(p), where=p > 0)


def check_probabilities(members: Members, what: str) -> None:
    """Raise where outputs for classes are no probabilities by their activation."""
    wanted = {DISTRIBUTION: ("softmax",), BERNOULLI: ("logistic", "hard_sigmoid")}[members._kind]
    for i, network in enumerate(members._networks):
        if network.activations[-1] not in wanted:
            raise ValueError(f"{what} of classes is for probabilities, but networks[{i}] has the output "
                             f"{network.activations[-1]!r}: use {wanted[0]!r}, which goes with its cost "
                             f"{network.cost_function}")


@QUIET
def uncertainty(self: Members, X: npt.ArrayLike) -> Uncertainty:
    """Compute how uncertain a new target is, and how much of that is noise and how much ignorance.

    For regression they are variances, total = data + knowledge with knowledge (1/B) Σ_m (μ_m − μ̄)² and data
    (1/B) Σ_m σ_m² (Lakshminarayanan et al. 2017, section 2.4). Members that tell no variance, those of any cost but
    ``"gaussian_nll"``, have a data part of 0: what noise there is shows in `predict_interval` alone.

    For classes they are entropies in nats: total H((1/B) Σ_m p_m), data (1/B) Σ_m H(p_m), and knowledge their
    difference, the mutual information of class and member (Depeweg et al. 2018, section 3).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs, as in `Network.predict`; they may be sparse.

    Returns
    -------
    Uncertainty
        A NamedTuple of total, data and knowledge, ndarrays of float64: for regression of shape (n_samples, n_targets),
        for cross_entropy (n_samples,), for binary_cross_entropy (n_samples, n_L), since there each output is a question
        of its own. For one row of shape (n_0,) without the first axis.

    Raises
    ------
    ValueError, TypeError
        If X does not fit, or outputs for classes are no probabilities: of another activation than softmax, logistic or
        hard_sigmoid.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> total, data, knowledge = ensemble.uncertainty(X)
    >>> bool(np.allclose(total, ensemble.std(X) ** 2))
    True
    """
    inputs, single = rows(self, X)
    n, kind, members = len(inputs), self._kind, len(self._networks)
    classes = kind in (DISTRIBUTION, BERNOULLI)
    if classes:
        check_probabilities(self, "uncertainty")
    found = np.empty((3, n) if kind == DISTRIBUTION else (3, n, self._n_targets))
    for part, given in parts(self, inputs):
        if classes:
            average, data = np.zeros((len(given), self._n_out)), np.zeros(found[0, part].shape)
            for out in outputs(self, given, single):
                average += out
                data += entropy(kind, out)
            total, data = entropy(kind, average / members), data / members
            found[:, part] = total, data, np.maximum(total - data, 0)
        else:
            _, noise, spread = moments(self, given, single)
            found[:, part] = noise + spread, noise, spread
    return Uncertainty(*(self._shown(values, single) for values in found))

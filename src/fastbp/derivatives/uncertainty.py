"""What JᵀJ tells of a trained network: how well the data determine parameters and predictions.

All of it takes the network for linear in its parameters near the present ones, which should therefore be a minimum of
the cost (Bates & Watts 1988, chapter 2; Seber & Wild 1989, chapter 5). The eigenvalues of JᵀJ, of the mean cost,
are λ_i; those below rounding count as 0, and along their vectors the data say nothing. The penalty that the network was
trained with goes into all of it: ½wᵀDw on the mean cost, with D the diagonal matrix that the l2 of a `Regularization`
makes; parameters that were not trainable have no part in it, as if they were constants.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import arrays, forward, objective, penalties
from ..core.model import Model
from ..core.samples import Samples
from ..kernels.compile.cached import cached_property
from ..regularization import Regularization
from ..util import machine
from ..util.settings import is_number
from . import gauss_newton

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

CHUNK_BYTES = 16 * 2**20
"""Rows of J that are in memory at once."""

FARTHEST = 12.0
"""No quantile lies beyond where the freedom is large: in double its probability is 1."""


class Spectrum(NamedTuple):
    """JᵀJ + D of the mean cost by those of its eigenvectors that data or penalty determine."""

    values: Doubles
    vectors: Doubles
    """With 0 for parameters that are not trained."""
    penalty: Doubles
    """The diagonal of D."""

    @property
    def effective(self) -> float:
        """γ = tr (JᵀJ + D)⁻¹JᵀJ = Σ_i (1 − v_iᵀDv_i/μ_i), with μ_i and v_i those of JᵀJ + D."""
        return float((1 - self.penalty @ np.square(self.vectors) / self.values).sum())

    def inverse_root(self) -> Doubles:
        """Return R with RRᵀ = (JᵀJ + D)⁻¹."""
        return self.vectors / np.sqrt(self.values)


def _spectrum(network: Model, samples: Samples, regularization: Regularization | None) -> Spectrum:
    network.cost_function.check_gradient("posterior")
    network.cost_function.refuse_data("posterior")
    network._architecture.check_second_order("posterior")
    regularization = network._regularization(regularization)
    if regularization is not None:
        regularization.check_penalties("posterior")
    size = network.n_parameters
    if 7 * 8 * size**2 > machine.physical_memory() // 2:
        raise ValueError(f"JᵀJ of {size} parameters and its eigenvectors need {56.0 * size**2:.3g} bytes, more than "
                         "half of this machine's memory: use a smaller network")
    if not gauss_newton.supported(network):
        raise ValueError(f"JᵀJ of {network.cost_function} with {network.activations[-1]} is no matrix of second "
                         "derivatives: use squared_error, gaussian_nll, or a cost with its partner")
    matrix = np.empty((size, size))
    gauss_newton.normal_matrix(network, samples, matrix)
    penalty, trained = np.zeros(size), np.ones(size, np.bool_)
    if regularization is not None:
        penalty = penalties.second_derivatives(regularization, network._architecture, samples.total_weight)
        trained = ~penalties.untrained(regularization, network._architecture)
    matrix = matrix[np.ix_(trained, trained)]
    if not np.isfinite(matrix).all():  # before LAPACK, which may not come to an end with it
        raise ValueError("JᵀJ is not finite: the outputs of the network overflow")
    values, vectors = np.linalg.eigh(matrix)
    known = values > values[-1] * size * np.finfo(network.dtype).eps
    values, vectors = values[known], vectors[:, known]
    if penalty[trained].any():
        values, vectors = np.linalg.eigh((vectors * values) @ vectors.T + np.diag(penalty[trained]))
        known = values > values[-1] * size * np.finfo(np.float64).eps
        values, vectors = values[known], vectors[:, known]
    whole = np.zeros((size, len(values)))
    whole[trained] = vectors
    return Spectrum(values, whole, penalty)


def _spread(network: Model, samples: Samples, total: float, root: Doubles) -> Doubles:
    """Return ‖jR‖² for each row j of J, whose samples share in ``total``."""
    some = max(CHUNK_BYTES // (8 * network.layers[-1] * network.n_parameters), 1)
    parts = [np.empty(0)]
    for begin in range(0, len(samples), some):
        rows = gauss_newton.jacobian_rows(network, samples.part(slice(begin, begin + some)), total)
        parts.append(np.square(rows.astype(np.float64) @ root).sum(axis=1))
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the training samples tell of a network's parameters: the normal distribution about the present ones.

    `Network.posterior` makes it. It belongs to the parameters that the network had then; once the network is trained
    further, `leverage` and `predict_interval` are errors, and the numbers stay what they were.

    Attributes
    ----------
    network : Network
        That it belongs to.
    effective_parameters : float
        γ = tr (JᵀJ + D)⁻¹JᵀJ, from 0 to n_parameters: how many parameters the samples determine (MacKay 1992; Moody
        1992). Without a penalty the rank of J.
    degrees_of_freedom : float
        n·n_L − γ, those of `noise_variance`, where n counts the samples that weigh anything. Infinite for gaussian_nll
        and for a cost with its partner, which know their noise.
    noise_variance : float
        σ² = 2nE/(n·n_L − γ) for squared_error, with E the mean cost; 1 for the others. A ValueError where no degree
        of freedom is left.
    covariance : ndarray of float64, shape (n_parameters, n_parameters)
        σ²/n (JᵀJ + D)⁻¹, but for squared_error the inverse of Fisher's information: in the squares of the parameters'
        units, laid out like `Network.parameters`; read-only. Without a penalty it is the pseudo-inverse:
        it has nothing along directions that the data do not determine, where the variance is unknown, not 0. Raises as
        ``noise_variance`` does.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (200, 1))
    >>> Y = 2 * X + 0.1 * rng.normal(size=X.shape)
    >>> net = fastbp.Network((1, 1), dtype="float64", seed=0).fit(X, Y, epochs=10, optimizer="lm")
    >>> posterior = net.posterior(X, Y)
    >>> round(posterior.effective_parameters, 6), bool(0.09 < posterior.noise_variance**0.5 < 0.11)
    (2.0, True)
    >>> low, high = posterior.predict_interval([[0.5]], 0.95)
    >>> bool(low < 1 < high)
    True
    >>> posterior.covariance.shape, round(float(posterior.leverage(X).sum()), 6)  # the sum of all leverages is γ
    ((2, 2), 2.0)
    """

    network: Model
    effective_parameters: float
    degrees_of_freedom: float
    _parameters: Array = field(repr=False)
    """Those that it belongs to."""
    _root: Doubles = field(repr=False)
    """R with RRᵀ = (JᵀJ + D)⁻¹."""
    _cost: float = field(repr=False)
    """E; NaN where the noise has no variance to estimate."""
    _counted: int = field(repr=False)
    """n."""
    _total_weight: float = field(repr=False)

    @property
    def noise_variance(self) -> float:
        """σ²."""
        n, freedom = self._counted, self.degrees_of_freedom
        if freedom == math.inf:
            return 1.0
        if freedom < 1:
            raise ValueError(f"{n} samples of {self.network.layers[-1]} outputs leave {freedom:.3g} degrees of "
                             f"freedom beside {self.effective_parameters:.3g} effective parameters: give more samples, "
                             "or train with a penalty and give its regularization")
        variance = 2 * n * self._cost / freedom
        if not math.isfinite(variance):
            raise ValueError(f"the mean cost of these samples is {self._cost:.3g}, and the variance of the noise not "
                             "finite: scale the targets to about one")
        return variance

    @cached_property
    @np.errstate(under="ignore")
    def covariance(self) -> Doubles:
        """σ²/n (JᵀJ + D)⁻¹."""
        root = self._root * math.sqrt(self.noise_variance / self._counted)
        covariance: Doubles = root @ root.T
        covariance.flags.writeable = False
        return covariance

    @np.errstate(under="ignore")
    def leverage(self, X: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Doubles:
        """Compute how far each sample pulls the network towards itself: its diagonal block of J(JᵀJ + D)⁻¹Jᵀ, summed.

        Parameters
        ----------
        X, sample_weight : array_like
            The samples that `Network.posterior` was given, or some of them, with the weights that they had there.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            From 0 to n_L each, summed over the outputs of a sample; over all samples the sum is
            ``effective_parameters``.

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit, or the network's parameters have changed.
        """
        self._check_parameters()
        samples = arrays.inputs_only(self.network._architecture, X, sample_weight)
        spread = _spread(self.network, samples, self._total_weight, self._root)
        summed: Doubles = spread.reshape(len(samples), -1).sum(axis=1)
        return summed

    @np.errstate(under="ignore")
    def predict_interval(self, X: npt.ArrayLike, level: float = 0.95, *,
                         noise: bool = True) -> tuple[Doubles, Doubles]:
        """Compute the interval in which a new target lies with a given probability.

        o ± t √(σ² + j C jᵀ) with j = ∂o/∂parameters, C their covariance and t the quantile of Student's distribution
        for the degrees of freedom of σ² (Seber & Wild 1989, chapter 5).

        Parameters
        ----------
        X : array_like, shape (n_samples, n_0) or (n_0,)
            Inputs.
        level : float, default 0.95
            Probability, between 0 and 1.
        noise : bool, default True
            Whether for a new target, noise included, whose variance is that of a sample of average weight; False for
            the mean of such targets, without σ² under the root.

        Returns
        -------
        low, high : ndarray of float64, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)
            In the units of the targets.

        Raises
        ------
        ValueError, TypeError
            If X does not fit, or ``level`` is no probability; if the network is not for regression (squared_error),
            no degrees of freedom are left for the noise, or the network's parameters have changed.
        """
        if not (is_number(level) and 0 < level < 1):
            raise ValueError(f"level is {level!r}, expected a probability between 0 and 1, for instance 0.95")
        network = self.network
        if not network.cost_function.least_squares:
            raise ValueError("predict_interval is for regression with squared_error, the network has "
                             f"{network.cost_function}")
        self._check_parameters()
        variance = self.noise_variance
        samples = arrays.inputs_only(network._architecture, X, None, empty=True)
        spread = _spread(network, samples, 1.0, self._root) * (variance / self._counted)
        width = student(0.5 + level / 2, self.degrees_of_freedom) * np.sqrt(spread + (variance if noise else 0.0))
        out = forward.predict(network, X).astype(np.float64)
        width = width.reshape(out.shape)[()]
        return out - width, out + width

    def _check_parameters(self) -> None:
        if not np.array_equal(self._parameters, self.network.parameters):
            raise ValueError("the network's parameters have changed since this posterior was computed: call "
                             "posterior(X, Y) with the training samples again")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "covariance"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what was pickled, in arrays of our own, as a network does."""
        self.__dict__.update(state)
        self.__dict__.update(_parameters=np.array(self._parameters), _root=np.array(self._root))


@np.errstate(under="ignore")
def posterior(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *,
              regularization: Regularization | None = None) -> Posterior:
    """Compute from JᵀJ at the training samples how well they determine parameters and predictions.

    Parameters
    ----------
    X, Y, sample_weight : array_like
        The samples that the network was trained with, as in `fit`. Weights are the inverse variances of the samples'
        noise, up to a factor; those of weight 0 are not counted.
    regularization : Regularization, optional
        That of the fit. Its l2 is the penalty ½wᵀDw beside the mean cost, by layer, of weights alone or of biases too,
        per sample or not; with it the covariance is that of the posterior distribution (MacKay 1992). Parameters that
        are not ``trainable`` have none. After `BayesianRegularization` it is ``Regularization(l2=alpha / (beta * n),
        penalize_biases=True)``, with the last alpha and beta of ``history.diagnostics``.

    Returns
    -------
    Posterior
        Covariance of the parameters, leverage of samples, effective number of parameters, intervals for predictions.

    Raises
    ------
    ValueError, TypeError
        If arrays or regularization do not fit the network, the cost has no Gauss–Newton matrix, or this would not fit
        into half of this machine's memory.

    Notes
    -----
    Of the regularization l2 and trainable count. An l1 has no second derivative, so here it is as if it were not there;
    the rest, weight_decay too, is no penalty on the cost.

    Outputs are taken to have noise of one variance each: scale the targets so. Time grows with n_parameters² times
    samples, and n_parameters³.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 2))
    >>> Y = X[:, 0] - X[:, 1] + 0.1 * rng.normal(size=50)
    >>> net = fastbp.Network((2, 1), dtype="float64", seed=0).fit(X, Y, optimizer="levenbergmarquardt")
    >>> posterior = net.posterior(X, Y)
    >>> round(posterior.effective_parameters, 6), round(posterior.degrees_of_freedom, 6)
    (3.0, 47.0)
    >>> low, high = posterior.predict_interval([2.0, 1.0], 0.99)
    >>> bool(low < 1 < high)
    True
    """
    self._architecture.refuse_encoders("posterior")
    samples, parameters = self._samples(X, Y, sample_weight), self.parameters.copy()
    spectrum = _spectrum(self, samples, regularization)
    freedom, cost = math.inf, math.nan
    if self.cost_function.least_squares:
        freedom = samples.counted * self.layers[-1] - spectrum.effective
        cost = objective.cost_and_gradient(self, samples, np.empty(0, self.dtype))
    return Posterior(self, spectrum.effective, freedom, parameters, spectrum.inverse_root(), cost, samples.counted,
                     samples.total_weight)


@functools.cache
def _quadrature() -> tuple[Doubles, Doubles]:
    """Return points in (0, 1) and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return 0.5 * (nodes + 1), 0.5 * weights


def student(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution, for a probability above ½ and at least 1 degree of freedom.

    With t = √ν tan θ the distribution function is ½ + Γ((ν+1)/2)/(√π Γ(ν/2)) ∫₀^θ cos^(ν−1), whose integrand is smooth;
    θ by bisection. To 7 digits up to a probability of 0.9999; the tail beyond loses some.
    """
    if freedom < 1000:
        gammas = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    else:  # where the difference would cancel (Abramowitz & Stegun 1964, 6.1.47)
        small = 1 / freedom
        gammas = math.sqrt(freedom / 2) * (1 - small / 4 + small**2 / 32 + 5 * small**3 / 128)
    points, weights = _quadrature()
    low, high = 0.0, min(math.pi / 2, FARTHEST / math.sqrt(freedom))
    while low < (middle := 0.5 * (low + high)) < high:
        power = np.exp(0.5 * (freedom - 1) * np.log1p(-(np.sin(middle * points) ** 2)))
        area = gammas / math.sqrt(math.pi) * middle * float(weights @ power)
        low, high = (middle, high) if area < probability - 0.5 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)

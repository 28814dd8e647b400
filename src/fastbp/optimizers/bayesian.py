"""Levenberg–Marquardt with a penalty whose weight the data choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.model import Model
from ..core.objective import Evaluation
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels.tables import HYPER_ALPHA, HYPER_BETA, HYPER_COST, HYPER_EFFECTIVE_PARAMETERS, HYPER_EVIDENCE
from ..regularization import Regularization
from ..util.settings import not_negative
from .base import Array, Numbers
from .levenberg_marquardt import LevenbergMarquardt

Doubles = npt.NDArray[np.float64]

SETTLED = 1e-6
"""Relative change of α and β below which they have settled."""

FIRST_RIDGE, FASTEST = 1e-6, 2.0
"""The first α/(βn), as a part of the largest eigenvalue of JᵀJ, and how fast it may grow from one step to the next.
Coming from below it stops at the α that leaves most to the data; set free at once, before the network has learned
anything, α grew so large that nothing was learned any more (sin(2x) with noise 0.1, 61 parameters: γ 1.8, not 9)."""

LEAST = 1e-200
"""In place of a sum of squares that is 0, so that α and β stay finite."""

SMALLEST = float(np.finfo(np.float64).tiny)
"""α and β lie between this and its inverse, so that their logarithms are finite."""


@dataclass(frozen=True)
class BayesianRegularization(LevenbergMarquardt):
    """Levenberg–Marquardt with a penalty on the parameters whose weight the data choose (MacKay 1992).

    It lowers βE_D + αE_W, with E_D the summed cost and E_W = ½‖w‖² over all parameters, biases too. Before each step α
    and β are set anew from JᵀJ there (Foresee & Hagan 1997): with λ_i the eigenvalues of βJᵀJ of the summed cost, the
    effective number of parameters is γ = Σ λ_i/(λ_i + α), and α = γ/2E_W, β = (N − γ)/2E_D, where N counts samples
    times outputs. For costs other than squared_error, which have no noise to estimate, β is 1. It stops by itself when
    α and β have settled and no lower sum is to be found.

    The ratio α/β begins small and at most doubles in a step, so that the data are learned before the penalty bites.

    ``history.diagnostics`` tells for each epoch ``effective_parameters`` γ, ``alpha``, ``beta``, and ``evidence``, the
    logarithm of the probability of the targets given α and β (MacKay 1992), all where its step began;
    ``history.cost`` is the cost E alone, after the step. It may rise as α grows, while the sum falls: `EarlyStopping`,
    which would take that for an end and go back to weights with less of a penalty, needs ``validation`` here.

    Parameters
    ----------
    damping, geodesic_acceleration
        As for `LevenbergMarquardt`.

    Raises
    ------
    ValueError
        As for `LevenbergMarquardt`.

    Notes
    -----
    A penalty on all parameters alike asks for inputs and targets scaled to about one. Sample weights count by their
    ratios: their mean stands for one sample.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-2, 2, (100, 1))
    >>> y = np.sin(2 * x) + 0.1 * rng.normal(size=x.shape)
    >>> net = fastbp.Network((1, 10, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, y, epochs=100, optimizer=fastbp.BayesianRegularization())
    >>> bool(0.07 < net.history.diagnostics["beta"][-1] ** -0.5 < 0.13)  # the noise
    True
    """

    reports = LevenbergMarquardt.reports | {
        "effective_parameters": HYPER_EFFECTIVE_PARAMETERS, "alpha": HYPER_ALPHA, "beta": HYPER_BETA,
        "evidence": HYPER_EVIDENCE}
    varying = LevenbergMarquardt.varying | {"alpha": (not_negative, HYPER_ALPHA), "beta": (not_negative, HYPER_BETA)}

    def check(self, network: Model, samples: Samples | Streamed, regularization: Regularization | None,
              memory: int) -> None:
        """See that there is no other penalty."""
        super().check(network, samples, regularization, memory)
        if regularization is not None and (regularization.penalizes or regularization.trainable is not None):
            raise ValueError("BayesianRegularization finds the penalty of all parameters itself: leave l2, l1 and "
                             "trainable out of the regularization, or use 'levenbergmarquardt' with them")

    def step(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Set α and β, then go to a lower βE_D + αE_W."""
        system = self._system(evaluate)
        if not math.isfinite(system.largest * parameters.size + numbers[HYPER_COST]):  # a bound of the eigenvalues
            return False
        before = numbers[[HYPER_ALPHA, HYPER_BETA]]
        samples = evaluate.samples.counted
        self._weigh(evaluate, parameters, numbers, system.eigenvalues(), samples)
        ridge = float(numbers[HYPER_ALPHA] / (numbers[HYPER_BETA] * samples))
        moved = self._descend(evaluate, parameters, rows, numbers, system, ridge)
        return moved or not np.allclose(numbers[[HYPER_ALPHA, HYPER_BETA]], before, rtol=SETTLED, atol=0)

    def _weigh(self, evaluate: Evaluation, parameters: Array, numbers: Numbers, eigenvalues: Doubles,
               samples: int) -> None:
        """Write γ with the present α and β, those that follow, and the evidence for these."""
        size, noisy = parameters.size, evaluate.model.cost_function.least_squares
        rows = samples * evaluate.model.layers[-1]
        square = max(float(np.square(parameters, dtype=np.float64).sum()), LEAST)
        summed = samples * float(numbers[HYPER_COST])
        if noisy:  # other costs may be negative
            summed = max(summed, LEAST)
        alpha, beta = numbers[[HYPER_ALPHA, HYPER_BETA]]
        ridge = alpha / (beta * samples) if beta > 0 else FIRST_RIDGE * float(eigenvalues.max())
        gamma = float((eigenvalues / (eigenvalues + max(ridge, LEAST))).sum())
        freedom = max(rows - gamma, rows * np.finfo(np.float64).eps)  # γ is N to rounding where all is determined
        beta = min(max(freedom / (2 * summed), SMALLEST), 1 / SMALLEST) if noisy else 1.0
        alpha = min(max(min(gamma / square, FASTEST * ridge * beta * samples), SMALLEST), 1 / SMALLEST)
        logarithms = np.log(np.minimum(beta * samples * eigenvalues + alpha, 1 / SMALLEST)).sum()
        logarithms += (size - eigenvalues.size) * math.log(alpha)
        evidence = 0.5 * (size * math.log(alpha) - logarithms - alpha * square) - beta * summed
        if noisy:
            evidence += 0.5 * rows * math.log(beta / (2 * math.pi))
        numbers[[HYPER_ALPHA, HYPER_BETA, HYPER_EFFECTIVE_PARAMETERS, HYPER_EVIDENCE]] = alpha, beta, gamma, evidence


METHODS = (BayesianRegularization,)

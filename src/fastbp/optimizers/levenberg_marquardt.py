"""Levenberg–Marquardt: damped Gauss–Newton steps, for small networks.

It works with JᵀJ, the Gauss–Newton matrix of the mean cost (`derivatives.gauss_newton`), or with JJᵀ where that is
smaller. Between two steps it remembers scalars only, so that a resumed training goes on with the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ..core import penalties
from ..core.model import Model
from ..core.objective import Evaluation
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..derivatives import gauss_newton
from ..kernels.tables import HYPER_COST, HYPER_DAMPING, HYPER_GROWTH, ROW_GRADIENT
from ..regularization import Regularization
from ..util.settings import flag, not_negative, positive
from .base import Array, BatchMethod, Numbers

Doubles = npt.NDArray[np.float64]

PART = 0.3
"""Of a step, where outputs are looked at for their second derivative: nearer to its beginning their differences lose
their meaning in float32, farther from it what they leave out grows. From 0.03 to 0.3 made no difference in float64."""

SHARD_MATRICES = 10
"""Matrices that sums over shards keep at a time: one on each of the seven floors of their tree, and what is added."""

MOST_ACCELERATION = 0.75
"""2‖a‖/‖v‖ up to which ½a is added to a step v (Transtrum & Sethna 2012)."""


class BySamples:
    """Solves (JᵀJ + D)x = b, D diagonal, by way of JD⁻¹Jᵀ, for fewer rows of J than parameters."""

    def __init__(self, evaluate: Evaluation) -> None:
        samples = evaluate.samples
        assert isinstance(samples, Samples)
        rows = gauss_newton.jacobian_rows(evaluate.model, samples, samples.total_weight)
        self.rows: Doubles = rows.astype(np.float64, copy=False)
        self.penalty, self.fixed = _regularized(evaluate)
        self.rows[:, self.fixed] = 0
        self.largest = float(np.einsum("ij,ij->j", self.rows, self.rows).max())

    def factorise(self, damping: float) -> None:
        """Prepare for a λ."""
        self.damping = self.penalty + damping
        matrix: Doubles = (self.rows / self.damping) @ self.rows.T
        np.fill_diagonal(matrix, matrix.diagonal() + 1)
        self.factor = gauss_newton.factorise(matrix)

    def _woodbury(self, right: Doubles) -> Doubles:
        x: Doubles = right / self.damping
        inner: Doubles = self.rows.T @ gauss_newton.solve(self.factor, self.rows @ x)
        return x - inner / self.damping

    def solve(self, right: Doubles) -> Doubles:
        """Return x = D⁻¹(b − Jᵀ(1 + JD⁻¹Jᵀ)⁻¹JD⁻¹b), refined twice, since the difference cancels where D is small."""
        x = self._woodbury(right)
        for _ in range(2):
            x += self._woodbury(right - self.damping * x - self.rows.T @ (self.rows @ x))
        return x

    def eigenvalues(self) -> Doubles:
        """Return those of JᵀJ that need not be 0."""
        return np.linalg.eigvalsh(self.rows @ self.rows.T).clip(0)


class ByParameters:
    """Solves (JᵀJ + D)x = b, D diagonal, by Cholesky's factors."""

    def __init__(self, evaluate: Evaluation) -> None:
        size = evaluate.model.n_parameters
        self.matrix = np.empty((size, size))
        gauss_newton.normal_matrix(evaluate.model, evaluate.samples, self.matrix, evaluate.threads)
        self.penalty, self.fixed = _regularized(evaluate)
        self.matrix[self.fixed] = self.matrix[:, self.fixed] = 0
        self.diagonal = self.matrix.diagonal().copy()
        self.largest = float(self.diagonal.max())

    def factorise(self, damping: float) -> None:
        """Prepare for a λ."""
        np.fill_diagonal(self.matrix, self.diagonal + self.penalty + damping)
        self.factor = gauss_newton.factorise(self.matrix)

    def solve(self, right: Doubles) -> Doubles:
        """Return x."""
        return gauss_newton.solve(self.factor, right)

    def eigenvalues(self) -> Doubles:
        """Return those of JᵀJ."""
        np.fill_diagonal(self.matrix, self.diagonal)
        return np.linalg.eigvalsh(self.matrix).clip(0)


def _regularized(evaluate: Evaluation) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Return the second derivatives of the penalty, and which parameters stay as they are."""
    architecture, regularization = evaluate.model._architecture, evaluate.regularization
    if regularization is None:
        return np.zeros(architecture.n_parameters), np.zeros(architecture.n_parameters, np.bool_)
    return (penalties.second_derivatives(regularization, architecture, evaluate.samples.total_weight),
            penalties.untrained(regularization, architecture))


def _by_samples(network: Model, samples: Samples | Streamed) -> bool:
    return isinstance(samples, Samples) and len(samples) * network.layers[-1] < network.n_parameters


@dataclass(frozen=True)
class LevenbergMarquardt(BatchMethod):
    """Gauss–Newton steps, damped as far as the last ones were trusted (Levenberg 1944; Marquardt 1963).

    Each epoch is one step with all samples: (JᵀJ + λI)v = −∂E/∂w, with JᵀJ the Gauss–Newton matrix of the mean cost.
    A step that would not lower the cost is not made, but tried again with a larger λ; how the cost went down, beside
    what the parabola foretold, sets the next λ (Nielsen 1999; Madsen, Nielsen & Tingleff 2004, algorithm 3.16). For
    small networks: time grows with n_parameters² times samples, memory with n_parameters². It stops by itself when no
    lower cost is to be found.

    For squared_error, and for the canonical links softmax and cross_entropy, logistic and binary_cross_entropy, exp and
    poisson, whose matrix is that of generalised Gauss–Newton (Schraudolph 2002); for gaussian_nll with Fisher's
    information, so that the steps are damped natural gradients (Amari 1998; Martens 2020). Of `Regularization` it takes
    l2, which goes into the matrix, l1, trainable and label_smoothing.

    Parameters
    ----------
    damping : float, default 1e-3
        The first λ, as a multiple of the largest diagonal element of JᵀJ.
    geodesic_acceleration : bool, default True
        With squared_error, correct each step by the second derivative of the outputs along it, v + ½a with
        (JᵀJ + λI)a = −Jᵀd²o/dt² (Transtrum & Sethna 2012). Two passes forward and one back, for which a narrow valley
        takes far fewer steps.

    Raises
    ------
    ValueError
        If ``damping`` is not positive; in `Network.fit`, if the cost has no such matrix, or if its bytes, computed
        before training begins, would be more than half of this machine's memory.

    Notes
    -----
    Where a network has more parameters than there are samples times outputs, JJᵀ takes the place of JᵀJ. Sums over
    samples are in the network's dtype block by block, totals and factors in double. The factors are LAPACK's, whose
    last digits may depend on how many threads its library takes.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-2, 2, 100)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, np.sin(2 * x), epochs=50, optimizer=fastbp.LevenbergMarquardt())
    >>> bool(net.cost(x, np.sin(2 * x)) < 1e-3)
    True
    """

    damping: float = 1e-3
    geodesic_acceleration: bool = True
    slots = 1
    reports = {"damping": HYPER_DAMPING}
    checks = {"damping": positive, "geodesic_acceleration": flag}
    varying = {"damping": (not_negative, HYPER_DAMPING), "growth": (not_negative, HYPER_GROWTH)}

    def check(self, network: Model, samples: Samples | Streamed, regularization: Regularization | None,
              memory: int) -> None:
        """See that cost, samples and memory will do."""
        name = type(self).__name__
        network._architecture.refuse_encoders(name)
        if samples.jacobian is not None or samples.sparse:
            given = "target_jacobian" if samples.jacobian is not None else "a sparse X"
            raise ValueError(f"{name} does not take {given}: use 'lbfgs' with it")
        if samples.cost is not None or samples.signed:
            raise ValueError(f"{name} takes one weight a sample, which is not negative, and all its targets: use "
                             "'lbfgs' with others")
        network.cost_function.refuse_data(name)
        network._architecture.check_second_order(name)
        if not gauss_newton.supported(network):
            cost = network.cost_function
            other = ", or cost='squared_error', which is least at the same weights" if \
                cost.name == "mean_squared_error" else ""
            raise ValueError(
                f"{name} is for the costs squared_error and gaussian_nll(0), and for one with its partner (softmax and "
                "cross_entropy, logistic and binary_cross_entropy, exp and poisson), but the network has "
                f"{cost} with {network.activations[-1]}: use 'lbfgs'{other}")
        rows, size = len(samples) * network.layers[-1], network.n_parameters
        if _by_samples(network, samples):
            what = f"rows of J, 2 x {rows} x {size}, and 3 matrices of {rows} x {rows}"
            needed = 2 * rows * size + 3 * rows**2
            needed += rows * size if network.dtype == np.float32 else 0
        else:
            count = 3 if isinstance(samples, Samples) else 3 + SHARD_MATRICES
            what, needed = f"{count} matrices of {size} x {size}", count * size**2
        if 8 * needed > memory:
            raise ValueError(f"{name} on {size} parameters and {len(samples)} samples needs {8.0 * needed:.3g} bytes "
                             f"({what} numbers), more than half of this machine's memory, {memory:.3g}: use 'lbfgs', "
                             "which needs some times the parameters")

    def write_changes(self, former: Self, hyper: Numbers, epochs: int) -> None:
        """Begin with another first λ."""
        if self.damping != former.damping:
            hyper[HYPER_GROWTH] = 0

    def step(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Go to a lower cost."""
        return self._descend(evaluate, parameters, rows, numbers, self._system(evaluate), 0.0)

    def _system(self, evaluate: Evaluation) -> BySamples | ByParameters:
        return (BySamples if _by_samples(evaluate.model, evaluate.samples) else ByParameters)(evaluate)

    def _descend(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers,
                 system: BySamples | ByParameters, ridge: float) -> bool:
        """Lower E + ½ridge‖w‖² by one step, with as much damping as that takes; False if nothing lowers it."""
        gradient, start = rows[ROW_GRADIENT], parameters.astype(np.float64)
        before, slope = gradient.copy(), gradient + ridge * start
        cost = float(numbers[HYPER_COST]) + 0.5 * ridge * float(start @ start)
        damping, growth = float(numbers[HYPER_DAMPING]), float(numbers[HYPER_GROWTH])
        if growth == 0:
            damping, growth = self.damping * system.largest, 2.0
        accelerate = self.geodesic_acceleration and evaluate.model.cost_function.least_squares
        while 0 < damping < math.inf:
            if (steps := self._steps(evaluate, system, slope, damping + ridge, accelerate)) is not None:
                straight, step = steps
                parameters[:] = start + step
                if (parameters == start).all():
                    break
                found = evaluate(gradient)
                now = parameters.astype(np.float64)
                total = found + 0.5 * ridge * float(now @ now)
                if total < cost:
                    foretold = 0.5 * (straight @ (damping * straight - slope))  # NumPy's number: it may underflow to 0
                    damping *= max(1 / 3, 1 - (2 * min((cost - total) / foretold, 1.0) - 1) ** 3)
                    numbers[[HYPER_COST, HYPER_DAMPING, HYPER_GROWTH]] = found, damping, 2.0
                    return True
                parameters[:] = start
            damping, growth = damping * growth, growth * 2
        parameters[:], gradient[:] = start, before
        return False

    def _steps(self, evaluate: Evaluation, system: BySamples | ByParameters, slope: Doubles, damping: float,
               accelerate: bool) -> tuple[Doubles, Doubles] | None:
        """Return the step v and the one to make, v + ½a; None where rounding leaves no positive definite matrix."""
        try:
            system.factorise(damping)
        except np.linalg.LinAlgError:
            return None
        v = -system.solve(slope)
        if accelerate:
            second = gauss_newton.directional_second_derivative(evaluate.model, evaluate.samples, v, PART)
            a = -system.solve(np.where(system.fixed, 0.0, second.astype(np.float64)))
            if 2 * np.linalg.norm(a) <= MOST_ACCELERATION * np.linalg.norm(v):
                return v, v + 0.5 * a
        return v, v


METHODS = (LevenbergMarquardt,)

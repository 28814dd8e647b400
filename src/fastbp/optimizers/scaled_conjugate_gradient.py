"""Conjugate gradients that step by the second derivative along the direction, without a line search."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.objective import Evaluation
from ..kernels.tables import (
    HYPER_COST,
    HYPER_CURVATURE,
    HYPER_REFUSED,
    HYPER_SCALE,
    HYPER_STEP_LENGTH,
    HYPER_STEPS,
    ROW_BEFORE,
    ROW_DIRECTION,
    ROW_GRADIENT,
    ROW_OWN,
    ROW_START,
)
from ..kernels.updates import vectors
from ..util.settings import between, finite, not_negative, whole
from .base import Array, BatchMethod, Numbers


def _downhill(rows: Array) -> None:
    """Overwrite the direction by −∂E/∂w."""
    vectors.combine(rows[ROW_DIRECTION], -1.0, rows[ROW_GRADIENT], 0.0, rows[ROW_GRADIENT])


@dataclass(frozen=True)
class ScaledConjugateGradient(BatchMethod):
    """Conjugate gradients with a trust region in place of a line search (Møller 1993).

    Each epoch is one step with all samples, of two gradients: the second one tells the curvature along the direction. A
    step that would not lower the cost is not made. It stops by itself when no lower cost is to be found.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-2, 2, 100)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, np.sin(2 * x), epochs=200, optimizer=fastbp.ScaledConjugateGradient())
    >>> bool(net.cost(x, np.sin(2 * x)) < 1e-3)
    True
    """

    slots = ROW_OWN
    reports = {"step_length": HYPER_STEP_LENGTH}
    varying = {
        "step_length": (not_negative, HYPER_STEP_LENGTH),
        "scale": (between(0, math.inf), HYPER_SCALE),
        "curvature": (finite, HYPER_CURVATURE),
        "steps": (whole(0), HYPER_STEPS),
        "refused": (whole(0, 1), HYPER_REFUSED),
    }

    def begin(self, evaluate: Evaluation, rows: Array, numbers: Numbers) -> None:
        """Compute cost and gradient; the first λ is 1e-6."""
        super().begin(evaluate, rows, numbers)
        if numbers[HYPER_SCALE] == 0:
            numbers[HYPER_SCALE] = 1e-6

    def restart(self, evaluate: Evaluation, rows: Array, numbers: Numbers) -> None:
        """Begin anew along the gradient; λ stays."""
        numbers[[HYPER_STEPS, HYPER_REFUSED]] = 0
        super().restart(evaluate, rows, numbers)

    def step(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Go along a direction as far as curvature and λ say; a new direction after a step that was made."""
        gradient, direction, start, before = rows[ROW_GRADIENT], rows[ROW_DIRECTION], rows[ROW_START], rows[ROW_BEFORE]
        # NumPy's numbers: what is divided by may underflow to 0
        scale, made = numbers[HYPER_SCALE], int(numbers[HYPER_STEPS])
        if made % parameters.size == 0:
            _downhill(rows)
        start[:], before[:], cost = parameters, gradient, numbers[HYPER_COST]
        square, slope = vectors.dot(direction, direction), vectors.dot(gradient, direction)
        if not (slope < 0 < square and math.isfinite(square + slope)):
            if made % parameters.size == 0:
                return False
            numbers[HYPER_STEPS] = 0
            return True
        if numbers[HYPER_REFUSED] == 0:  # the last step was made, so that there is no curvature yet
            sigma = math.sqrt(np.finfo(rows.dtype).eps) / math.sqrt(square)
            vectors.combine(parameters, 1.0, start, sigma, direction)
            evaluate(gradient)
            along = (vectors.dot(gradient, direction) - slope) / sigma
            # where the cost overflows λ alone tells how far
            numbers[HYPER_CURVATURE] = along if math.isfinite(along) else 0.0
        curvature = numbers[HYPER_CURVATURE] + scale * square
        if curvature <= 0:
            scale = 2 * (scale - curvature / square)
            curvature = numbers[HYPER_CURVATURE] + scale * square
        alpha = -slope / curvature
        vectors.combine(parameters, 1.0, start, alpha, direction)
        found = evaluate(gradient)
        gain = 2 * curvature * (cost - found) / np.float64(slope * slope)  # 1 where the cost is the parabola
        stuck = not found < cost and np.array_equal(parameters, start)
        numbers[HYPER_SCALE] = scale
        if found < cost:
            beta = (vectors.dot(gradient, gradient) - vectors.dot(gradient, before)) / -slope
            vectors.combine(direction, -1.0, gradient, beta, direction)
            numbers[[HYPER_COST, HYPER_STEP_LENGTH, HYPER_STEPS, HYPER_REFUSED]] = found, alpha, made + 1, 0
        else:
            parameters[:], gradient[:], numbers[HYPER_REFUSED] = start, before, 1
        if gain >= 0.75:
            numbers[HYPER_SCALE] = max(scale / 4, 1e-15)
        elif not gain >= 0.25:
            numbers[HYPER_SCALE] = scale + curvature * (1 - gain) / square if math.isfinite(gain) else 10 * scale + 1
        return not stuck


METHODS = (ScaledConjugateGradient,)

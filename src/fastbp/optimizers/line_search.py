"""Full-batch methods: direction × step rule over the cost and gradient of all samples, on flat buffers.

A method's step begins where cost and gradient are known, and ends so. Its state is rows laid out like the parameters,
the gradient first, and a few numbers, both kept by the training as other optimizers' are: so they are saved and
resumed. A new direction with the line search is a `LineSearch` with two kernels, and runs compiled; other methods are a
`BatchMethod` with `step`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from ..kernels import prototypes, tables
from ..kernels.compile import address
from ..kernels.passes import line_search
from ..kernels.tables import (
    HYPER_BEGUN,
    HYPER_COST,
    HYPER_CURVATURE,
    HYPER_LAST_COST,
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
from ..util.settings import Check, between, choice, count, finite, not_negative, plain_numbers, positive, whole
from .base import Optimizer

if TYPE_CHECKING:
    from ..core.samples import Samples
    from ..network import Network
    from ..regularization import Regularization

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


class Evaluate(Protocol):
    """Overwrites a gradient, and gives the cost, at the present parameters; knows of which network and samples."""

    network: Network
    samples: Samples
    threads: int | None
    regularization: Regularization | None

    def __call__(self, gradient: Array) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class BatchMethod(Optimizer):
    """What full-batch methods share."""

    checks: ClassVar[dict[str, Check]] = {}
    """What each setting must be."""

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name, check in self.checks.items():
            check(self, name, getattr(self, name))

    def check(self, network: Network, samples: Samples, regularization: Regularization | None, memory: int) -> None:
        """Raise ValueError, before anything is changed, if it cannot train this network in so many bytes."""

    def begin(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Compute cost and gradient where a fit begins or goes on."""
        numbers[HYPER_COST] = evaluate(rows[ROW_GRADIENT])

    def restart(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Begin anew at parameters that no step has led to, without what is remembered of the way to others."""
        self.begin(evaluate, rows, numbers)

    def cost(self, numbers: Numbers) -> float:
        """Return the cost where the last step ended."""
        return float(numbers[HYPER_COST])

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Overwrite parameters, state and numbers; False if there is nothing left to gain."""
        raise NotImplementedError


def _downhill(rows: Array) -> None:
    """Overwrite the direction by −∂E/∂w."""
    vectors.combine(rows[ROW_DIRECTION], -1.0, rows[ROW_GRADIENT], 0.0, rows[ROW_GRADIENT])


@dataclass(frozen=True)
class LineSearch(BatchMethod):
    """A direction, and a step to where the strong Wolfe conditions hold along it: `kernels.passes.line_search`."""

    direct: ClassVar[Any] = None
    remember: ClassVar[Any] = None
    """The kernels of the direction."""
    curvature: ClassVar[float] = 0.9
    """c₂ of the Wolfe conditions."""
    reports = {"step_length": HYPER_STEP_LENGTH}
    varying = {"step_length": (not_negative, HYPER_STEP_LENGTH), "steps": (whole(0), tables.HYPER_STEPS)}

    @property
    def cells(self) -> int:
        """Numbers that the direction needs during a fit."""
        return 0

    def search(self, dtype: np.dtype[Any], penalize: int = 0) -> Numbers:
        """Return the numbers of a search that is about to begin; with a regularisation it is told what to call."""
        found = np.zeros(tables.SEARCH_COUNT + self.cells)
        found[[tables.SEARCH_CURVATURE, tables.SEARCH_EPSILON]] = self.curvature, np.finfo(dtype).eps
        found.view(np.int64)[[tables.SEARCH_DIRECT, tables.SEARCH_REMEMBER, tables.SEARCH_PENALIZE]] = (
            *(address(kernel, dtype, prototypes.direction) for kernel in (self.direct, self.remember)), penalize)
        return found


@dataclass(frozen=True)
class LBFGS(LineSearch):
    """L-BFGS with a line search to the strong Wolfe conditions (Nocedal 1980; Liu & Nocedal 1989).

    Each epoch is one step with all samples. It stops by itself when no lower cost is to be found.

    Parameters
    ----------
    memory : int, default 10
        Pairs of steps and changes of gradient that it remembers.

    Raises
    ------
    ValueError
        If the number is out of range.
    """

    memory: int = 10
    checks = {"memory": count}
    varying = LineSearch.varying | {"pairs": (whole(0), tables.HYPER_PAIRS)}
    direct = staticmethod(line_search.lbfgs_direction)
    remember = staticmethod(line_search.lbfgs_pair)

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Buffers of state."""
        return tables.ROW_OWN + 2 * self.memory

    @property
    def cells(self) -> int:
        """Products of the pairs."""
        return 2 * self.memory**2 + 5 * self.memory

    def hyper(self) -> Numbers:
        """Return the numbers that it begins with."""
        found = super().hyper()
        found[tables.HYPER_MEMORY] = self.memory
        return found

    def check(self, network: Network, samples: Samples, regularization: Regularization | None, memory: int) -> None:
        """See that the pairs fit into memory."""
        needed = self.slots * network.n_parameters * network.dtype.itemsize + 8 * self.cells
        if needed > memory:
            raise ValueError(f"LBFGS: memory={self.memory} on {network.n_parameters} parameters needs {needed:.3g} "
                             f"bytes, more than half of this machine's memory, {memory:.3g}: remember fewer pairs")


@dataclass(frozen=True)
class ConjugateGradient(LineSearch):
    """Nonlinear conjugate gradients after Polak and Ribière, β ≥ 0, restarted where directions lose conjugacy.

    Nocedal & Wright (2006), algorithm 5.4 with (5.45) and the restart (5.52). Each epoch is one step with all samples.
    It stops by itself when no lower cost is to be found.
    """

    slots = tables.ROW_OWN + 2
    curvature = 0.1
    varying = LineSearch.varying | {"last_slope": (finite, tables.HYPER_LAST_SLOPE)}
    direct = staticmethod(line_search.conjugate_direction)
    remember = staticmethod(line_search.conjugate_note)


@dataclass(frozen=True)
class ScaledConjugateGradient(BatchMethod):
    """Conjugate gradients with a trust region in place of a line search (Møller 1993).

    Each epoch is one step with all samples, of two gradients: the second one tells the curvature along the direction. A
    step that would not lower the cost is not made. It stops by itself when no lower cost is to be found.
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

    def begin(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Compute cost and gradient; the first λ is 1e-6."""
        super().begin(evaluate, rows, numbers)
        if numbers[HYPER_SCALE] == 0:
            numbers[HYPER_SCALE] = 1e-6

    def restart(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Begin anew along the gradient; λ stays."""
        numbers[[HYPER_STEPS, HYPER_REFUSED]] = 0
        super().restart(evaluate, rows, numbers)

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
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
            bent = (vectors.dot(gradient, direction) - slope) / sigma
            # where the cost overflows λ alone tells how far
            numbers[HYPER_CURVATURE] = bent if math.isfinite(bent) else 0.0
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


@dataclass(frozen=True)
class Rprop(BatchMethod):
    """Resilient backpropagation: of the gradient it takes the signs only (Riedmiller & Braun 1993).

    Each epoch is one step with all samples. The four variants are those that Igel & Hüsken (2003) compare.

    Parameters
    ----------
    first_step : float, default 0.1
        Δ of each parameter at the beginning.
    increase, decrease : float, default 1.2 and 0.5
        η⁺ > 1 where the slope keeps its sign, η⁻ in (0, 1) where it changes.
    smallest, largest : float, default 1e-6 and 50
        Bounds of Δ.
    variant : {"irprop+", "irprop-", "rprop+", "rprop-"}, default "irprop+"
        Where a slope's sign has changed: with "+" the last step is taken back, by iRprop+ only if the cost has risen;
        with "i" the next change of sign is left unseen, and where nothing is taken back no step is made.

    Raises
    ------
    ValueError
        If a number is out of range, or there is no such variant.
    """

    first_step: float = 0.1
    increase: float = 1.2
    decrease: float = 0.5
    smallest: float = 1e-6
    largest: float = 50.0
    variant: str = "irprop+"
    slots = 4
    checks = (dict.fromkeys(("first_step", "increase", "decrease", "smallest", "largest"), positive)
              | {"variant": choice("irprop+", "irprop-", "rprop+", "rprop-")})
    varying = {"last_cost": (finite, HYPER_LAST_COST), "begun": (whole(0, 1), HYPER_BEGUN)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.decrease < 1 < self.increase:
            raise ValueError(f"Rprop: decrease and increase are {self.decrease!r} and {self.increase!r}, expected one "
                             "below and one above 1")
        if not self.smallest <= self.first_step <= self.largest:
            raise ValueError(f"Rprop: first_step is {self.first_step!r}, expected {self.smallest!r} to "
                             f"{self.largest!r}, smallest to largest")

    def write_changes(self, former: Self, hyper: Numbers, epochs: int) -> None:
        """Begin with another first step."""
        if self.first_step != former.first_step:
            hyper[HYPER_BEGUN] = 0

    def restart(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Begin anew without last slopes and steps; every Δ stays."""
        rows[2:] = 0
        super().restart(evaluate, rows, numbers)
        numbers[HYPER_LAST_COST] = numbers[HYPER_COST]

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Move every parameter by its own Δ."""
        gradient, sizes, previous, moved = rows
        if numbers[HYPER_BEGUN] == 0:
            sizes[:], numbers[HYPER_BEGUN], numbers[HYPER_LAST_COST] = self.first_step, 1, numbers[HYPER_COST]
        retreat = (self.variant == "rprop+"
                   or self.variant == "irprop+" and bool(numbers[HYPER_COST] > numbers[HYPER_LAST_COST]))
        vectors.rprop(parameters, gradient, sizes, previous, moved, float(self.increase), float(self.decrease),
                      float(self.smallest), float(self.largest), self.variant == "rprop-", retreat)
        numbers[HYPER_LAST_COST] = numbers[HYPER_COST]
        numbers[HYPER_COST] = evaluate(gradient)
        return True


@dataclass(frozen=True)
class Quickprop(BatchMethod):
    """For each parameter a step to the minimum of a parabola, seen from its last two slopes (Fahlman 1988, section 3).

    Each epoch is one step with all samples. The weight decay of the paper is left out.

    Parameters
    ----------
    learning_rate : float, default 0.1
        μ > 0 of the first step, −μ ∂E/∂w, which is also added to a later one unless that one passed a minimum.
    growth : float, default 1.75
        > 1: how many times longer than the last one a step may be.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float = 0.1
    growth: float = 1.75
    slots = 3
    checks = {"learning_rate": positive, "growth": positive}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.growth <= 1:
            raise ValueError(f"Quickprop: growth is {self.growth!r}, expected a number above 1, for instance 1.75")

    def restart(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Begin anew without last slopes and steps."""
        rows[1:] = 0
        super().restart(evaluate, rows, numbers)

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Move every parameter as far as its own slopes say."""
        gradient, previous, moved = rows
        numbers[tables.HYPER_RATE] = self.learning_rate
        vectors.quickprop(parameters, gradient, previous, moved, float(self.learning_rate), float(self.growth))
        numbers[HYPER_COST] = evaluate(gradient)
        return True


BATCH_METHODS: dict[str, type[BatchMethod]] = {
    kind.__name__.lower(): kind for kind in (LBFGS, ConjugateGradient, ScaledConjugateGradient, Rprop, Quickprop)
}
"""Lower-case name -> class."""

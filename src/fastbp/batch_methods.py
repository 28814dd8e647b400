"""Full-batch methods: direction × step rule over the cost and gradient of all samples, on flat buffers.

A method's step begins where cost and gradient are known, and ends so. Its state is rows laid out like the parameters,
the gradient first, and a few numbers, both kept by the training as other optimizers' are: so they are saved and
resumed. A new direction with the line search is `LineSearch` with `direct`, and `remember` if it learns from steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .checks import Check, count, positive
from .kernels import codes, vectors
from .method import Optimizer

if TYPE_CHECKING:
    from .network import Network
    from .regularization import Regularization
    from .training import Samples

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


class Evaluate(Protocol):
    """Overwrites a gradient, and gives the cost, at the present parameters; knows of which network and samples."""

    network: Network
    samples: Samples
    threads: int | None
    regularization: Regularization | None

    def __call__(self, gradient: Array) -> float: ...  # noqa: D102


GRADIENT, DIRECTION, START, BEFORE, OWN_ROW = range(5)
"""Rows of state: ∂E/∂w, the direction, parameters and gradient before the step, the method's own."""

COST, FIRST, SECOND, THIRD, FOURTH = range(codes.OWN, codes.OWN + 5)
"""Numbers: the cost, and what the method remembers. The learning rate's cell holds the length of the last step."""

DECREASE = 1e-4
"""c₁ of the Wolfe conditions."""

MOST_EVALUATIONS = 25
"""In one line search."""


@dataclass(frozen=True)
class BatchMethod(Optimizer):
    """What full-batch methods share."""

    checks: ClassVar[dict[str, Check]] = {}
    """What each setting must be."""

    def __post_init__(self) -> None:
        for name, check in self.checks.items():
            check(self, name, getattr(self, name))

    def check(self, network: Network, samples: Samples, regularization: Regularization | None, memory: int) -> None:
        """Raise ValueError, before anything is changed, if it cannot train this network in so many bytes."""

    def begin(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Compute cost and gradient where a fit begins or goes on."""
        numbers[COST] = evaluate(rows[GRADIENT])

    def cost(self, numbers: Numbers) -> float:
        """Give the cost where the last step ended."""
        return float(numbers[COST])

    def overwritten(self, numbers: Numbers) -> list[int]:
        """Give the rows that the next step may overwrite, which are put back where it is interrupted."""
        return list(range(self.slots))

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Overwrite parameters, state and numbers; False if there is nothing left to gain."""
        raise NotImplementedError


class Point(NamedTuple):
    """A point of a line search: how far along, cost, slope along the direction."""

    alpha: float
    cost: float
    slope: float


def interpolate(a: Point, b: Point) -> float:
    """Minimise the cubic through two points (Nocedal & Wright 2006, eq. 3.59), kept off the ends of the interval."""
    width = b.alpha - a.alpha
    if not (math.isfinite(b.cost) and math.isfinite(b.slope)):
        return a.alpha + 0.1 * width
    d1 = a.slope + b.slope - 3 * (b.cost - a.cost) / width
    square = d1 * d1 - a.slope * b.slope
    part = 0.5
    if square >= 0:
        d2 = math.copysign(math.sqrt(square), width)
        bottom = b.slope - a.slope + 2 * d2
        if bottom != 0:
            part = 1 - (b.slope + d2 - d1) / bottom
    return a.alpha + min(max(part, 0.1), 0.9) * width


def extrapolate(a: Point, b: Point) -> float:
    """Go on from b, which is lower than a and still falls: where the slope would vanish, 1.1 to 10 times as far."""
    fall = b.slope - a.slope
    reach = b.alpha - b.slope * (b.alpha - a.alpha) / fall if fall > 0 else math.inf
    return min(max(reach, 1.1 * b.alpha), 10 * b.alpha)


def strong_wolfe(along: Callable[[float], Point], start: Point, first: float, curvature: float,
                 resolution: float = 0.0) -> Point | None:
    """Find a point with E ≤ E₀ + c₁αE₀' and |E'| ≤ c₂|E₀'| (Nocedal & Wright 2006, algorithms 3.5 and 3.6).

    Parameters
    ----------
    along
        Goes to α, and gives cost and slope there.
    start
        α = 0; its slope is negative.
    first
        The first α to try.
    curvature
        c₂.
    resolution
        Of the cost: an interval across which its slope promises less is searched no further.

    Returns
    -------
    Point or None
        The last one that ``along`` was called for; the lowest one found where no point fulfils the second condition;
        None where none is low enough.
    """
    low, high, alpha = start, None, first
    for _ in range(MOST_EVALUATIONS):
        here = along(alpha)
        if not here.cost <= start.cost + DECREASE * alpha * start.slope or (low is not start and here.cost > low.cost):
            high = here
        else:
            if abs(here.slope) <= -curvature * start.slope:
                return here
            before, low = low, here
            if high is None and here.slope < 0:
                alpha = extrapolate(before, here)
                continue
            if high is None or here.slope * (high.alpha - here.alpha) >= 0:
                high = before
        width = abs(high.alpha - low.alpha)
        if width * abs(start.slope) <= resolution or width <= 1e-12 * max(high.alpha, low.alpha):
            break
        alpha = interpolate(low, high)
    return along(low.alpha) if low is not start else None


@dataclass(frozen=True)
class LineSearch(BatchMethod):
    """A direction, and a step to where the strong Wolfe conditions hold along it."""

    slots = OWN_ROW
    curvature: ClassVar[float] = 0.9
    """c₂ of the Wolfe conditions."""

    def direct(self, rows: Array, numbers: Numbers) -> float:
        """Overwrite the direction; give the first step length to try. ``numbers[FIRST]`` is 0 at a (re)start."""
        raise NotImplementedError

    def remember(self, parameters: Array, rows: Array, numbers: Numbers) -> None:
        """Take note of a step that was made."""
        numbers[FIRST] += 1

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Take a step along the direction, or along the gradient where that leads nowhere."""
        gradient, direction, start, before = rows[GRADIENT], rows[DIRECTION], rows[START], rows[BEFORE]
        start[:], before[:], cost = parameters, gradient, float(numbers[COST])

        def along(alpha: float) -> Point:
            vectors.combine(parameters, 1.0, start, alpha, direction)
            found = evaluate(gradient)
            return Point(alpha, found, vectors.dot(gradient, direction))

        resolution, found = float(np.finfo(rows.dtype).eps) * abs(cost), None
        while True:
            first = self.direct(rows, numbers)
            slope = vectors.dot(gradient, direction)
            if slope < 0:
                found = strong_wolfe(along, Point(0.0, cost, slope), first, self.curvature, resolution)
            if found is not None and found.cost < cost:  # in its last digit the first condition lets equal costs pass
                numbers[COST], numbers[codes.RATE] = found.cost, found.alpha
                self.remember(parameters, rows, numbers)
                return True
            parameters[:], gradient[:] = start, before
            if numbers[FIRST] == 0:
                return False
            numbers[FIRST] = 0


def _downhill(rows: Array) -> float:
    """Overwrite the direction by −∂E/∂w; give a step length that moves the parameters by 1 at most."""
    vectors.combine(rows[DIRECTION], -1.0, rows[GRADIENT], 0.0, rows[GRADIENT])
    return 1.0 / max(math.sqrt(vectors.dot(rows[GRADIENT], rows[GRADIENT])), 1.0)


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

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Buffers of state."""
        return OWN_ROW + 2 * self.memory

    def direct(self, rows: Array, numbers: Numbers) -> float:
        """Overwrite the direction by −H∂E/∂w."""
        if numbers[FIRST] == 0:
            numbers[SECOND] = 0
            return _downhill(rows)
        steps, changes = self._pairs(rows)
        pairs = int(numbers[SECOND])
        vectors.two_loops(rows[DIRECTION], rows[GRADIENT], steps, changes, np.empty(self.memory),
                          min(pairs, self.memory), (pairs - 1) % self.memory)
        return 1.0

    def overwritten(self, numbers: Numbers) -> list[int]:
        """Leave out the pairs that stay: the next takes the place of the oldest, or of the first after a restart."""
        places = {0, int(numbers[SECOND]) % self.memory}
        return [*range(OWN_ROW), *(OWN_ROW + half + pair for half in (0, self.memory) for pair in places)]

    def _pairs(self, rows: Array) -> tuple[Array, Array]:
        return rows[OWN_ROW : OWN_ROW + self.memory], rows[OWN_ROW + self.memory :]

    def remember(self, parameters: Array, rows: Array, numbers: Numbers) -> None:
        """Keep s and y, unless their product is too small to divide by."""
        super().remember(parameters, rows, numbers)
        s, y = rows[START], rows[BEFORE]
        vectors.combine(s, 1.0, parameters, -1.0, s)
        fall = -vectors.dot(s, y)
        vectors.combine(y, 1.0, rows[GRADIENT], -1.0, y)
        product = vectors.dot(s, y)
        if product > np.finfo(rows.dtype).eps * max(fall, 0.0):
            steps, changes = self._pairs(rows)  # scaled to s·y = 1: one factor for both leaves H as it is
            pair, scale = int(numbers[SECOND]) % self.memory, 1 / math.sqrt(product)
            vectors.combine(steps[pair], scale, s, 0.0, s)
            vectors.combine(changes[pair], scale, y, 0.0, y)
            numbers[SECOND] += 1


@dataclass(frozen=True)
class ConjugateGradient(LineSearch):
    """Nonlinear conjugate gradients after Polak and Ribière, β ≥ 0, restarted where directions lose conjugacy.

    Nocedal & Wright (2006), algorithm 5.4 with (5.45) and the restart (5.52). Each epoch is one step with all samples.
    It stops by itself when no lower cost is to be found.
    """

    slots = OWN_ROW + 1
    curvature = 0.1

    def direct(self, rows: Array, numbers: Numbers) -> float:
        """Overwrite the direction by −g + βd."""
        gradient, direction, last = rows[GRADIENT], rows[DIRECTION], rows[OWN_ROW]
        square, overlap, begins = vectors.dot(gradient, gradient), vectors.dot(gradient, last), numbers[FIRST] == 0
        first = 0.0
        if begins or abs(overlap) >= 0.2 * square:
            first = _downhill(rows)
        else:
            beta = max((square - overlap) / vectors.dot(last, last), 0.0)
            vectors.combine(direction, -1.0, gradient, beta, direction)
        slope = vectors.dot(gradient, direction)
        if not begins and slope < 0:  # as much to first order as the last step brought (Nocedal & Wright, p. 59)
            first = float(numbers[codes.RATE] * numbers[SECOND] / slope)
        numbers[SECOND] = slope
        return first

    def remember(self, parameters: Array, rows: Array, numbers: Numbers) -> None:
        """Keep the gradient from before the step."""
        super().remember(parameters, rows, numbers)
        rows[OWN_ROW] = rows[BEFORE]


@dataclass(frozen=True)
class ScaledConjugateGradient(BatchMethod):
    """Conjugate gradients with a trust region in place of a line search (Møller 1993).

    Each epoch is one step with all samples, of two gradients: the second one tells the curvature along the direction. A
    step that would not lower the cost is not made. It stops by itself when no lower cost is to be found.
    """

    slots = OWN_ROW

    def begin(self, evaluate: Evaluate, rows: Array, numbers: Numbers) -> None:
        """Compute cost and gradient; the first λ is 1e-6."""
        super().begin(evaluate, rows, numbers)
        if numbers[FIRST] == 0:
            numbers[FIRST] = 1e-6

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Go along a direction as far as curvature and λ say; a new direction after a step that was made."""
        gradient, direction, start, before = rows[GRADIENT], rows[DIRECTION], rows[START], rows[BEFORE]
        scale, made = float(numbers[FIRST]), int(numbers[THIRD])
        if made % parameters.size == 0:
            _downhill(rows)
        start[:], before[:], cost = parameters, gradient, float(numbers[COST])
        square, slope = vectors.dot(direction, direction), vectors.dot(gradient, direction)
        if slope >= 0:
            if made % parameters.size == 0:
                return False
            numbers[THIRD] = 0
            return True
        if numbers[FOURTH] == 0:  # the last step was made, so that there is no curvature yet
            sigma = math.sqrt(np.finfo(rows.dtype).eps) / math.sqrt(square)
            vectors.combine(parameters, 1.0, start, sigma, direction)
            evaluate(gradient)
            numbers[SECOND] = (vectors.dot(gradient, direction) - slope) / sigma
        curvature = float(numbers[SECOND]) + scale * square
        if curvature <= 0:
            scale = 2 * (scale - curvature / square)
            curvature = float(numbers[SECOND]) + scale * square
        alpha = -slope / curvature
        vectors.combine(parameters, 1.0, start, alpha, direction)
        found = evaluate(gradient)
        gain = 2 * curvature * (cost - found) / (slope * slope)  # 1 where the cost is the parabola
        stuck = not found < cost and np.array_equal(parameters, start)
        numbers[FIRST] = scale
        if found < cost:
            beta = (vectors.dot(gradient, gradient) - vectors.dot(gradient, before)) / -slope
            vectors.combine(direction, -1.0, gradient, beta, direction)
            numbers[COST], numbers[codes.RATE], numbers[THIRD], numbers[FOURTH] = found, alpha, made + 1, 0
        else:
            parameters[:], gradient[:], numbers[FOURTH] = start, before, 1
        if gain >= 0.75:
            numbers[FIRST] = max(scale / 4, 1e-15)
        elif not gain >= 0.25:
            numbers[FIRST] = scale + curvature * (1 - gain) / square if math.isfinite(gain) else 10 * scale + 1
        return not stuck


@dataclass(frozen=True)
class Rprop(BatchMethod):
    """Resilient backpropagation: of the gradient it takes the signs only (Riedmiller & Braun 1993).

    Each epoch is one step with all samples. The four variants of Igel & Hüsken (2003): iRprop+ as it stands, iRprop−
    with ``retreat=False``, Rprop+ with ``improved=False``, Rprop− with both.

    Parameters
    ----------
    first_step : float, default 0.1
        Δ of each parameter at the beginning.
    increase, decrease : float, default 1.2 and 0.5
        η⁺ > 1 where the slope keeps its sign, η⁻ in (0, 1) where it changes.
    smallest, largest : float, default 1e-6 and 50
        Bounds of Δ.
    retreat : bool, default True
        Take the last step back where the slope's sign has changed; with ``improved`` only if the cost has risen.
    improved : bool, default True
        After a change of sign, leave the next one unseen and, where nothing is taken back, make no step.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    first_step: float = 0.1
    increase: float = 1.2
    decrease: float = 0.5
    smallest: float = 1e-6
    largest: float = 50.0
    retreat: bool = True
    improved: bool = True
    slots = 4
    checks = dict.fromkeys(("first_step", "increase", "decrease", "smallest", "largest"), positive)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.decrease < 1 < self.increase:
            raise ValueError(f"Rprop: decrease and increase are {self.decrease!r} and {self.increase!r}, expected one "
                             "below and one above 1")
        if not self.smallest <= self.first_step <= self.largest:
            raise ValueError(f"Rprop: first_step is {self.first_step!r}, expected {self.smallest!r} to "
                             f"{self.largest!r}, smallest to largest")

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Move every parameter by its own Δ."""
        gradient, sizes, previous, moved = rows
        if numbers[SECOND] == 0:
            sizes[:], numbers[SECOND], numbers[FIRST] = self.first_step, 1, numbers[COST]
        retreat = self.retreat and (not self.improved or numbers[COST] > numbers[FIRST])
        vectors.rprop(parameters, gradient, sizes, previous, moved, float(self.increase), float(self.decrease),
                      float(self.smallest), float(self.largest), not self.improved and not self.retreat, bool(retreat))
        numbers[FIRST] = numbers[COST]
        numbers[COST] = evaluate(gradient)
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

    def step(self, evaluate: Evaluate, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Move every parameter as far as its own slopes say."""
        gradient, previous, moved = rows
        numbers[codes.RATE] = self.learning_rate
        vectors.quickprop(parameters, gradient, previous, moved, float(self.learning_rate), float(self.growth))
        numbers[COST] = evaluate(gradient)
        return True


BATCH_METHODS: dict[str, type[BatchMethod]] = {
    kind.__name__.lower(): kind for kind in (LBFGS, ConjugateGradient, ScaledConjugateGradient, Rprop, Quickprop)
}
"""Lower-case name -> class."""

"""Steps that each parameter takes by what its own slope has done lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..core.objective import Evaluation
from ..kernels import tables
from ..kernels.tables import HYPER_BEGUN, HYPER_COST, HYPER_LAST_COST
from ..kernels.updates import vectors
from ..util.settings import choice, finite, positive, whole
from .base import Array, BatchMethod, Numbers


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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-2, 2, 100)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, np.sin(2 * x), epochs=200, optimizer=fastbp.Rprop())
    >>> bool(net.cost(x, np.sin(2 * x)) < 1e-3)
    True
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

    @property
    def compares_costs(self) -> bool:
        """Whether a step is taken back by what it did to the cost."""
        return self.variant == "irprop+"

    def write_changes(self, former: Self, hyper: Numbers, epochs: int) -> None:
        """Begin with another first step."""
        if self.first_step != former.first_step:
            hyper[HYPER_BEGUN] = 0

    def restart(self, evaluate: Evaluation, rows: Array, numbers: Numbers) -> None:
        """Begin anew without last slopes and steps; every Δ stays."""
        rows[2:] = 0
        super().restart(evaluate, rows, numbers)
        numbers[HYPER_LAST_COST] = numbers[HYPER_COST]

    def step(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers) -> bool:
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-2, 2, 100)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, np.sin(2 * x), epochs=400, optimizer=fastbp.Quickprop(0.5))
    >>> bool(net.cost(x, np.sin(2 * x)) < 1e-2)
    True
    """

    learning_rate: float = 0.1
    growth: float = 1.75
    slots = 3
    checks = {"learning_rate": positive, "growth": positive}

    @property
    def compares_costs(self) -> bool:
        """It looks at slopes only."""
        return False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.growth <= 1:
            raise ValueError(f"Quickprop: growth is {self.growth!r}, expected a number above 1, for instance 1.75")

    def restart(self, evaluate: Evaluation, rows: Array, numbers: Numbers) -> None:
        """Begin anew without last slopes and steps."""
        rows[1:] = 0
        super().restart(evaluate, rows, numbers)

    def step(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Move every parameter as far as its own slopes say."""
        gradient, previous, moved = rows
        numbers[tables.HYPER_RATE] = self.learning_rate
        vectors.quickprop(parameters, gradient, previous, moved, float(self.learning_rate), float(self.growth))
        numbers[HYPER_COST] = evaluate(gradient)
        return True


METHODS = (Rprop, Quickprop)

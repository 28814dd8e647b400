"""Optimizers: frozen dataclasses that check their settings and say which update rule (7) to run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .kernels import codes, updates
from .naming import lookup


def _positive(owner: object, name: str, value: float) -> None:
    if not (isinstance(value, (int, float, np.number)) and value > 0 and math.isfinite(value)):
        raise ValueError(f"{type(owner).__name__}: {name} is {value!r}, expected a positive number")


def _fraction(owner: object, name: str, value: float) -> None:
    if not (isinstance(value, (int, float, np.number)) and 0 <= value < 1):
        raise ValueError(f"{type(owner).__name__}: {name} is {value!r}, expected a number from 0 up to, not including, "
                         "1")


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer has: a learning rate, an update rule, and slots of state laid out like the parameters."""

    learning_rate: float = 1e-3
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _positive(self, "learning_rate", self.learning_rate)

    @property
    def rule(self) -> Any:
        """The kernel of `fastbp.kernels.updates` that it runs."""
        raise NotImplementedError

    def hyper(self) -> npt.NDArray[np.float64]:
        """Give the numbers that the rule reads, as laid out in `fastbp.kernels.codes`."""
        numbers = np.zeros(codes.HYPER_CELLS)
        numbers[codes.RATE] = self.learning_rate
        numbers[[codes.POWER1, codes.POWER2]] = 1.0
        return numbers


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent (7), with momentum.

    Parameters
    ----------
    learning_rate : float, default 0.01
        μ > 0.
    momentum : float, default 0
        β in [0, 1): v ← βv − μ ∂E/∂w, Δw = v (Polyak 1964). 0 is plain gradient descent, which keeps no state.
    nesterov : bool, default False
        Look ahead: Δw = βv − μ ∂E/∂w with the new v (Nesterov 1983; Bengio et al. 2013, eq. 7).

    Raises
    ------
    ValueError
        If a number is out of range, or ``nesterov`` is asked for without momentum.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _fraction(self, "momentum", self.momentum)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD: nesterov=True needs a momentum above 0, for instance momentum=0.9")

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Buffers of state: the velocity, if there is momentum."""
        return int(self.momentum > 0)

    @property
    def rule(self) -> Any:
        """The kernel that it runs."""
        if self.momentum == 0:
            return updates.sgd
        return updates.nesterov if self.nesterov else updates.momentum

    def hyper(self) -> npt.NDArray[np.float64]:
        """Give the numbers that the rule reads."""
        numbers = super().hyper()
        numbers[codes.OWN] = self.momentum
        return numbers


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1).

    Parameters
    ----------
    learning_rate : float, default 1e-3
        μ > 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the running means of g and g², in [0, 1).
    epsilon : float, default 1e-8
        Added to √v̂.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    slots: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _fraction(self, "beta1", self.beta1)
        _fraction(self, "beta2", self.beta2)
        _positive(self, "epsilon", self.epsilon)

    @property
    def rule(self) -> Any:
        """The kernel that it runs."""
        return updates.adam

    def hyper(self) -> npt.NDArray[np.float64]:
        """Give the numbers that the rule reads."""
        numbers = super().hyper()
        numbers[[codes.BASE1, codes.BASE2, codes.OWN]] = self.beta1, self.beta2, self.epsilon
        return numbers


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam}
"""Lower-case name -> class; the name stands for the defaults."""


def get(optimizer: str | Optimizer) -> Optimizer:
    """Look up an optimizer by name; an instance is given back as it is.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    return lookup("optimizer", optimizer, OPTIMIZERS)()

"""What all optimizers have in common: slots of state laid out like the parameters, and scalars that have names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..core.architecture import Architecture
from ..core.model import Model
from ..core.objective import Evaluation
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels import tables
from ..kernels.tables import HYPER_COST, ROW_GRADIENT
from ..regularization import Regularization
from ..util.settings import Check, plain_numbers

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer has: slots of state laid out like the parameters, and a few numbers."""

    slots: ClassVar[int] = 0
    """Buffers of state."""
    slot_names: ClassVar[tuple[str, ...]] = ()
    """What they are called, in their order, where a user may read and write them."""
    varying: ClassVar[dict[str, tuple[Check, int]]] = {}
    """What changes in `hyper` while it trains and a later fit goes on from: what each number must be, and its cell."""

    resumes: ClassVar[bool] = True
    """Whether a later fit can go on from its state and numbers."""
    reports: ClassVar[dict[str, int]] = {}
    """What a record holds of each epoch in its diagnostics, by name, and its cell in `hyper`."""

    def hyper(self) -> Numbers:
        """Return the numbers that it begins with, as laid out in `fastbp.kernels.tables`."""
        return np.zeros(tables.HYPER_COUNT)

    def varied(self, hyper: Numbers) -> dict[str, float]:
        """Return by name what has changed in the numbers, for a file."""
        return {name: float(hyper[cell]) for name, (_, cell) in self.varying.items()}

    def resumed(self, numbers: Mapping[str, Any]) -> Numbers:
        """Return the numbers to go on with: those of the settings, and what had changed.

        Parameters
        ----------
        numbers
            What `varied` has given, by name, from a file.

        Returns
        -------
        ndarray of float64
            As `hyper` gives them.

        Raises
        ------
        ValueError
            If a number is missing, unknown or out of range.
        """
        if set(numbers) != set(self.varying):
            raise ValueError(f"{type(self).__name__}: its numbers are {sorted(numbers)}, expected "
                             f"{sorted(self.varying)}")
        hyper = self.hyper()
        for name, (check, cell) in self.varying.items():
            check(self, name, numbers[name])
            hyper[cell] = numbers[name]
        return hyper

    @property
    def has_schedule(self) -> bool:
        """Whether something has to be done between epochs."""
        return False

    def check_names(self, architecture: Architecture) -> None:
        """Raise ValueError if a setting names parameters that the network does not have."""

    def takes_over(self, former: Optimizer) -> bool:
        """Whether it can go on with the state of another one: of the same kind, and of the same size."""
        return type(self) is type(former) and self.slots == former.slots

    def write_changes(self, former: Self, hyper: Numbers, epochs: int) -> None:
        """Write settings that differ from a former one's into the numbers that it has left after so many epochs."""

    def set_learning_rate(self, hyper: Numbers, rate: float) -> None:
        """Write the learning rate of the epochs that follow."""
        raise ValueError(f"{type(self).__name__} has no learning rate that a callback could set: use 'sgd', 'adam' or "
                         "another optimizer for mini-batches")

    def diagnostics(self, hyper: Numbers) -> dict[str, float]:
        """Return what an epoch's record holds beside costs, time and learning rate, by name."""
        return {name: float(hyper[cell]) for name, cell in self.reports.items()}

    def foresee(self, hyper: Numbers, epochs: int, total: int) -> None:
        """Write what depends on how long the fit is that begins after so many epochs, and ends after ``total``."""

    @property
    def watches(self) -> str | None:
        """The metric that it watches, if any."""
        return None

    def on_epoch_end(self, hyper: Numbers, epochs: int, cost: float,
                     metrics: Mapping[str, float] = MappingProxyType({}), total: int | None = None) -> None:
        """Change the numbers for the next epoch, after epochs of ``total``, the last with this cost and metrics."""


@dataclass(frozen=True)
class BatchMethod(Optimizer):
    """A method that takes all samples in a step: its state is rows laid out like the parameters, the gradient first.

    A step begins where cost and gradient are known, and ends so. Rows and scalars are kept by the training as those of
    other optimizers are: so they are saved and resumed.
    """

    checks: ClassVar[dict[str, Check]] = {}
    """What each setting must be."""

    @property
    def compares_costs(self) -> bool:
        """Whether its steps depend on costs, whose gradient must then be theirs."""
        return True

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name, check in self.checks.items():
            check(self, name, getattr(self, name))

    def check(self, network: Model, samples: Samples | Streamed, regularization: Regularization | None,
              memory: int) -> None:
        """Raise ValueError, before anything is changed, if it cannot train this network in so many bytes."""

    def begin(self, evaluate: Evaluation, rows: Array, numbers: Numbers) -> None:
        """Compute cost and gradient where a fit begins or goes on."""
        numbers[HYPER_COST] = evaluate(rows[ROW_GRADIENT])

    def restart(self, evaluate: Evaluation, rows: Array, numbers: Numbers) -> None:
        """Begin anew at parameters that no step has led to, without what is remembered of the way to others."""
        self.begin(evaluate, rows, numbers)

    def cost(self, numbers: Numbers) -> float:
        """Return the cost where the last step ended."""
        return float(numbers[HYPER_COST])

    def step(self, evaluate: Evaluation, parameters: Array, rows: Array, numbers: Numbers) -> bool:
        """Overwrite parameters, state and numbers; False if there is nothing left to gain."""
        raise NotImplementedError

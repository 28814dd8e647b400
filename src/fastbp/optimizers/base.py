"""What optimizers have in common: all of them, those that take all samples in a step, and those for mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from .. import schedules
from ..core.architecture import Architecture
from ..core.model import Model
from ..core.objective import Evaluation
from ..core.penalties import Stretch
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels import tables
from ..kernels.compile.cached import cached_property
from ..kernels.tables import HYPER_COST, ROW_GRADIENT
from ..regularization import Regularization
from ..util.settings import Check, between, not_negative, plain_numbers, shown
from .groups import Factors, stretches

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]

GROUPED = "rate_factors", "decay_factors"
"""Settings by groups of parameters, which all rules have."""


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer has: slots of state laid out like the parameters, and a few numbers."""

    slots: ClassVar[int] = 0
    """Buffers of state."""
    slot_names: ClassVar[tuple[str, ...]] = ()
    """What they are called, in their order, where a user may read and write them."""
    squares: ClassVar[frozenset[str]] = frozenset()
    """Those of them that are means or sums of squares, and so not negative."""
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


class Followed(NamedTuple):
    """A number of an optimizer that follows a schedule from update to update."""

    setting: str
    schedule: Callable[..., float]
    cell: int


@dataclass(frozen=True)
class UpdateRule(Optimizer):
    """An optimizer for mini-batches: a learning rate, and a rule that the training kernels apply after each.

    Parameters
    ----------
    learning_rate : float or schedule
        μ > 0.
    rate_factors : mapping of str to float, optional
        Factors of the learning rate, not negative, by names of groups of parameters: "weights", "biases" or "alphas"
        for those of all layers, "weights[0]" for those of the first one, "layers[-1]" for all of the last one. Where
        several names stand for the same parameters, their factors are multiplied; without a name the factor is 1.
    decay_factors : mapping of str to float, optional
        The same for decoupled weight decay: that of the rule (`AdamW`, `Lion`) and of `Regularization`. A step takes
        the share μλ from a weight, with both factors in it.

    Raises
    ------
    ValueError
        If a number is out of range; by `Network.fit` also if the network has no parameters of a name.

    Examples
    --------
    Biases learn ten times more slowly, without decay:

    >>> import fastbp
    >>> method = fastbp.AdamW(0.01, rate_factors={"biases": 0.1}, decay_factors={"biases": 0.0})

    The NTK parametrisation (Jacot, Gabriel & Hongler 2018) with Adam, whose step does not depend on the size of slopes:
    weights W/√n of a layer of n inputs with W's learning rate and decay.

    >>> net = fastbp.Network((4, 64, 64, 1), seed=0)
    >>> ntk = {f"weights[{i}]": n**-0.5 for i, n in enumerate(net.layers[:-1])}
    >>> method = fastbp.AdamW(0.1, rate_factors=ntk, decay_factors={name: 1 / f for name, f in ntk.items()})
    """

    learning_rate: schedules.LearningRate = 1e-3
    rate_factors: Mapping[str, float] | None = field(default=None, kw_only=True)
    decay_factors: Mapping[str, float] | None = field(default=None, kw_only=True)
    settings: ClassVar[dict[str, tuple[Check, int]]] = {}
    """Each number beside the learning rate: what it must be, and its cell in `hyper`."""
    rule: ClassVar[Any] = None
    """The kernel of `fastbp.kernels.updates.rules` that it runs."""
    scheduled: ClassVar[tuple[str, ...]] = ("weight_decay",)
    """Settings beside the learning rate that may follow a schedule."""

    def __init_subclass__(cls) -> None:
        """Have what is left out left out where an optimizer is shown, in every class."""
        cls.__repr__ = UpdateRule.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return shown(self, GROUPED)

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name in GROUPED:
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else Factors(self, name, given))
        schedules.check_rate(self, self.learning_rate)
        for name, (check, _) in self.settings.items():
            if name in self.scheduled:
                schedules.check(self, name, getattr(self, name), check)
            else:
                check(self, name, getattr(self, name))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what follows from the settings; a class of the user's may have set more than these."""
        return {name: value for name, value in vars(self).items()
                if not isinstance(getattr(type(self), name, None), cached_property)}

    def hyper(self) -> npt.NDArray[np.float64]:
        """Return the numbers that the rule reads, as laid out in `fastbp.kernels.tables`."""
        numbers = self._constants.copy()
        numbers[tables.HYPER_RATE] = schedules.first(self, self.learning_rate)
        return numbers

    @cached_property
    def _constants(self) -> npt.NDArray[np.float64]:
        """Return these numbers without the learning rate, which a function of the user's own may tell."""
        numbers = super().hyper()
        numbers[tables.HYPER_WAITED] = -1
        numbers[tables.HYPER_POWER1] = numbers[tables.HYPER_POWER2] = 1.0
        for name, (_, cell) in self.settings.items():
            numbers[cell] = schedules.number(getattr(self, name))
        return numbers

    @cached_property
    def followed(self) -> list[Followed]:
        """Return the numbers that follow a schedule from update to update."""
        found = []
        for name in self.scheduled:
            if name in self.settings and callable(schedule := getattr(self, name)):
                found.append(Followed(name, schedule, self.settings[name][1]))
        if schedules.within_epochs(self.learning_rate):
            assert callable(self.learning_rate)
            found.append(Followed("learning_rate", self.learning_rate, tables.HYPER_RATE))
        return found

    def stretches(self, architecture: Architecture) -> list[Stretch]:
        """Return the factors of all parameters in order; empty where all are 1.

        Raises
        ------
        ValueError
            If the network has no parameters of a name.
        """
        if self.rate_factors is None and self.decay_factors is None:
            return []
        return stretches(self, self.rate_factors, self.decay_factors, architecture)

    def check_names(self, architecture: Architecture) -> None:
        """Raise ValueError if a factor names parameters that the network does not have."""
        self.stretches(architecture)

    def foresee(self, hyper: npt.NDArray[np.float64], epochs: int, total: int) -> None:
        """Write the learning rate with which a curve begins that may be as long as the fit."""
        if isinstance(self.learning_rate, schedules.Curve):
            hyper[tables.HYPER_RATE] = schedules.first(self, self.learning_rate, epochs, total)

    def write_changes(self, former: Self, hyper: npt.NDArray[np.float64], epochs: int) -> None:
        """Write the settings, and a learning rate or schedule that is not the former one's."""
        for name, (_, cell) in self.settings.items():
            hyper[cell] = schedules.number(getattr(self, name))
        if self.learning_rate != former.learning_rate:
            hyper[tables.HYPER_RATE] = schedules.first(self, self.learning_rate, epochs)
            hyper[tables.HYPER_WAITED] = -1

    def set_learning_rate(self, hyper: npt.NDArray[np.float64], rate: float) -> None:
        """Write the learning rate of the epochs that follow, unless a schedule would overwrite it."""
        if callable(self.learning_rate):
            unit = "update" if schedules.within_epochs(self.learning_rate) else "epoch"
            raise ValueError(f"{type(self).__name__}: the schedule {self.learning_rate!r} gives each {unit} its "
                             "learning rate, and would overwrite what a callback sets: give a number as learning_rate")
        not_negative(self, "learning_rate", rate)
        hyper[tables.HYPER_RATE] = rate

    @property
    def varying(self) -> dict[str, tuple[Check, int]]:  # type: ignore[override]
        """The learning rate, the running powers of β₁ and β₂ where there are any, and what a schedule remembers."""
        found: dict[str, tuple[Check, int]] = {"learning_rate": (not_negative, tables.HYPER_RATE)}
        if "beta1" in self.settings:
            found |= {"power1": (between(0, 1), tables.HYPER_POWER1), "power2": (between(0, 1), tables.HYPER_POWER2)}
        if isinstance(self.learning_rate, schedules.ReduceOnPlateau):
            found |= self.learning_rate.varying
        return found

    @cached_property
    def has_schedule(self) -> bool:
        """Whether the learning rate changes between epochs: it is such a schedule, see `fastbp.schedules`."""
        return (callable(self.learning_rate) and not schedules.within_epochs(self.learning_rate)
                or isinstance(self.learning_rate, schedules.ReduceOnPlateau))

    @property
    def watches(self) -> str | None:
        """The metric that its schedule watches, if any."""
        return self.learning_rate.metric if isinstance(self.learning_rate, schedules.ReduceOnPlateau) else None

    def on_epoch_end(self, hyper: npt.NDArray[np.float64], epochs: int, cost: float,
                     metrics: Mapping[str, float] = MappingProxyType({}), total: int | None = None) -> None:
        """Write the learning rate of the next epoch, after epochs of ``total``, the last with this cost and metrics."""
        schedules.follow(self, self.learning_rate, hyper, epochs, cost, metrics, total)

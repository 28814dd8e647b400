"""Schedules: learning rates that change from epoch to epoch, given to an optimizer for its ``learning_rate``.

A schedule is called with the number t of epochs that are done, 0 before the first, and gives the learning rate of the
epoch that begins. Any callable of that kind serves: ``fastbp.Adam(lambda t: 0.01 / (1 + t))``. `ReduceOnPlateau`
watches the cost or a metric instead. A number costs nothing: the kernel then comes back to Python for a chunk of epochs
at a time, with a schedule after each.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .kernels.tables import HYPER_BEST_COST, HYPER_RATE, HYPER_WAITED
from .metrics import direction
from .util.names import lookup, names
from .util.settings import (
    Check,
    between,
    count,
    fraction,
    is_number,
    not_negative,
    plain_numbers,
    positive,
    share,
    whole,
)


@dataclass(frozen=True)
class Schedule:
    """What schedules share: their settings are Python's numbers, so that a float32 one does not make sums float32."""

    def __post_init__(self) -> None:
        plain_numbers(self)


@dataclass(frozen=True)
class Step(Schedule):
    """μ·factorᵏ after every k·``every`` epochs.

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epochs.
    every : int
        Epochs between two steps.
    factor : float, default 0.1
        Above 0, up to 1.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        count(self, "every", self.every)
        share(self, "factor", self.factor)

    def __call__(self, epoch: int) -> float:
        """Return the learning rate after so many epochs."""
        return float(self.learning_rate * self.factor ** (epoch // self.every))


@dataclass(frozen=True)
class Exponential(Schedule):
    """μ·factorᵗ.

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epoch.
    factor : float
        Above 0, up to 1.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        share(self, "factor", self.factor)

    def __call__(self, epoch: int) -> float:
        """Return the learning rate after so many epochs."""
        return float(self.learning_rate * self.factor**epoch)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """μ/(t + 1)ᵖ (Robbins & Monro 1951 ask for ½ < p ≤ 1).

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epoch.
    power : float, default 0.5
        p > 0.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float
    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        positive(self, "power", self.power)

    def __call__(self, epoch: int) -> float:
        """Return the learning rate after so many epochs."""
        try:
            return float(self.learning_rate / (epoch + 1.0) ** self.power)
        except OverflowError:  # of Python's power
            return 0.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from μ down to ``lowest``, again and again (Loshchilov & Hutter 2017, eq. 5).

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epoch and after each restart.
    epochs : int
        Length of the first half wave; the number of epochs of the whole fit makes one without restart.
    lowest : float, default 0
        Not negative, at most μ.
    lengthen : int, default 1
        Each half wave is so many times as long as the one before.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float
    epochs: int
    lowest: float = 0.0
    lengthen: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        count(self, "epochs", self.epochs)
        not_negative(self, "lowest", self.lowest)
        count(self, "lengthen", self.lengthen)
        if self.lowest > self.learning_rate:
            raise ValueError(f"Cosine: lowest is {self.lowest!r}, expected at most the learning rate "
                             f"{self.learning_rate!r}")

    def __call__(self, epoch: int) -> float:
        """Return the learning rate after so many epochs."""
        length = self.epochs
        if self.lengthen == 1:
            epoch %= length
        while epoch >= length:
            epoch -= length
            length *= self.lengthen
        return float(_between(self.learning_rate, self.lowest, epoch / length))


def _between(first: float, last: float, part: float) -> float:
    """Return the point of half a cosine from ``first`` (part 0) to ``last`` (part 1)."""
    return last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * part))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight line up to a learning rate, or to the beginning of another schedule (Goyal et al. 2017, section 2.2).

    Parameters
    ----------
    learning_rate : float or schedule
        μ after the warm-up, or the schedule that begins then.
    epochs : int
        Length of the warm-up; epoch t has the share (t + 1)/(epochs + 1) of the learning rate that it leads to.

    Raises
    ------
    ValueError
        If a number is out of range, or ``learning_rate`` is `ReduceOnPlateau`, whose first rate cannot change.
    """

    learning_rate: float | Callable[[int], float]
    epochs: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.learning_rate):
            positive(self, "learning_rate", self.learning_rate)
        count(self, "epochs", self.epochs)

    def __call__(self, epoch: int) -> float:
        """Return the learning rate after so many epochs."""
        later = self.learning_rate(max(epoch - self.epochs, 0)) if callable(self.learning_rate) else self.learning_rate
        return float(later * min((epoch + 1) / (self.epochs + 1), 1.0))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up to the highest learning rate, and half a cosine down to almost 0 (after Smith & Topin 2019).

    Parameters
    ----------
    learning_rate : float
        The highest, > 0.
    epochs : int
        Length of the cycle: the number of epochs of the whole fit. What comes later has the lowest learning rate.
    rise : float, default 0.3
        Share of the epochs in which it rises, in [0, 1).
    start, end : float, default 25 and 250,000
        How many times smaller than the highest the first and the last learning rate are; at least 1.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: float
    epochs: int
    rise: float = 0.3
    start: float = 25.0
    end: float = 250_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        count(self, "epochs", self.epochs)
        fraction(self, "rise", self.rise)
        for name in ("start", "end"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 1):
                raise ValueError(f"OneCycle: {name} is {value!r}, expected a number of at least 1")

    def __call__(self, epoch: int) -> float:
        """Return the learning rate after so many epochs."""
        highest, top, last = self.learning_rate, self.rise * self.epochs, self.epochs - 1
        if epoch < top:
            return float(_between(highest / self.start, highest, epoch / top))
        part = (epoch - top) / (last - top) if epoch < last else 1.0
        return float(_between(highest, highest / self.end, part))


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """μ is multiplied by a factor whenever the cost has not gone down for some epochs.

    It watches the validation cost where there is one, else the training cost; or a metric.

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epochs.
    factor : float, default 0.1
        Above 0, up to 1.
    patience : int, default 10
        Epochs without progress after which μ falls.
    min_delta : float, default 0
        Progress is a cost below the best so far by more than this, or a metric that is better by more.
    lowest : float, default 0
        μ does not fall below it.
    metric : str, optional
        The name of a metric to watch in place of the cost, one of those that ``fit(metrics=...)`` records.
    higher_is_better : bool, optional
        Whether more of the metric is better: to be said of a function of your own, known of all others.

    Raises
    ------
    ValueError
        If a number is out of range, or it is not known whether more of the metric is better; in `Network.fit`, if it
        does not record the metric.
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    lowest: float = 0.0
    metric: str | None = None
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "metric", direction(self, self.metric, self.higher_is_better)[0])
        positive(self, "learning_rate", self.learning_rate)
        share(self, "factor", self.factor)
        count(self, "patience", self.patience)
        not_negative(self, "min_delta", self.min_delta)
        not_negative(self, "lowest", self.lowest)

    @property
    def varying(self) -> dict[str, tuple[Check, int]]:
        """What it remembers, with the optimizer's numbers: what each must be, and its cell.

        A metric of which more is better is negated there.
        """
        return {"best_cost": (between(-math.inf, math.inf), HYPER_BEST_COST),
                "waited": (whole(-1, self.patience - 1), HYPER_WAITED)}

    def watch(self, hyper: npt.NDArray[np.float64], cost: float, values: Mapping[str, float]) -> None:
        """Take note of an epoch's cost or metric; what it remembers lies in ``hyper``, with the optimizer's numbers."""
        if self.metric is not None:  # there is none where a function of the user's has raised
            cost = direction(self, self.metric, self.higher_is_better)[1] * values.get(self.metric, math.nan)
        if hyper[HYPER_WAITED] < 0:
            hyper[HYPER_BEST_COST], hyper[HYPER_WAITED] = math.inf, 0
        if -math.inf < cost < hyper[HYPER_BEST_COST] - self.min_delta:
            hyper[HYPER_BEST_COST], hyper[HYPER_WAITED] = cost, 0
            return
        hyper[HYPER_WAITED] += 1
        if hyper[HYPER_WAITED] == self.patience:
            hyper[HYPER_RATE] = min(max(hyper[HYPER_RATE] * self.factor, self.lowest), hyper[HYPER_RATE])
            hyper[HYPER_WAITED] = 0


SCHEDULES = {kind.__name__.lower(): kind
             for kind in (Step, Exponential, InverseScaling, Cosine, WarmUp, OneCycle, ReduceOnPlateau)}
"""Lower-case name -> class."""

NAMES = names(
    SCHEDULES,
    {
        "step": "step_lr step_decay",
        "exponential": "exponential_lr exponential_decay",
        "inversescaling": "invscaling inverse_time_decay inverse_sqrt",
        "cosine": "cosine_annealing cosine_annealing_lr cosine_annealing_warm_restarts cosine_decay "
                  "cosine_decay_restarts cosine_decay_schedule sgdr",
        "warmup": "linear_warmup",
        "onecycle": "one_cycle_lr cosine_onecycle_schedule",
        "reduceonplateau": "reduce_lr_on_plateau plateau adaptive",
    },
    {
        "a number": "constant constant_lr constant_schedule",
        "a function of the number of epochs so far": "lambda_lr multiplicative_lr join_schedules sequential_lr chained",
        "'step'": "multistep multistep_lr piecewise piecewise_constant piecewise_constant_decay "
                  "piecewise_constant_schedule",
        "fastbp.schedules.WarmUp(fastbp.schedules.Cosine(...), epochs)":
            "warmup_cosine_decay_schedule warmup_cosine cosine_warmup",
        "fastbp.schedules.WarmUp(fastbp.schedules.InverseScaling(...), epochs)": "noam",
        "'onecycle'": "cyclic cyclic_lr triangular",
        "'inversescaling'": "polynomial polynomial_lr polynomial_decay polynomial_schedule linear_schedule optimal",
    },
)
"""What other libraries call them."""

LearningRate = float | Callable[[int], float] | ReduceOnPlateau
"""What an optimizer takes."""


def check(owner: object, rate: Any) -> None:
    """Check an optimizer's learning rate, a schedule by its first one."""
    if isinstance(rate, str) and rate.strip("0123456789."):  # a name, not a number in quotes
        rate = lookup("schedule", rate, SCHEDULES, NAMES)
    if rate in SCHEDULES.values():
        raise ValueError(f"{type(owner).__name__}: learning_rate is a kind of schedule, expected a positive number or "
                         f"a schedule with its settings: fastbp.schedules.{rate.__name__}("
                         f"{', '.join(inspect.signature(rate).parameters)})")
    if callable(rate):
        _called(owner, rate, 0)
    elif not isinstance(rate, ReduceOnPlateau):
        positive(owner, "learning_rate", rate)


def first(owner: object, rate: LearningRate, epochs: int = 0) -> float:
    """Return the learning rate of the first epoch, or of the first that it has after so many."""
    if callable(rate):
        return _called(owner, rate, epochs)
    return float(rate.learning_rate if isinstance(rate, ReduceOnPlateau) else rate)


def follow(owner: object, rate: LearningRate, hyper: npt.NDArray[np.float64], epochs: int, cost: float,
           values: Mapping[str, float]) -> None:
    """Write the learning rate of the next epoch into ``hyper``, after epochs the last of which has this cost."""
    if isinstance(rate, ReduceOnPlateau):
        rate.watch(hyper, cost, values)
    elif callable(rate):
        hyper[HYPER_RATE] = _called(owner, rate, epochs)


def _called(owner: object, rate: Callable[[int], float], epochs: int) -> float:
    value = rate(epochs)
    if not (is_number(value) and value >= 0):
        raise ValueError(f"{type(owner).__name__}: the schedule {rate!r} gave the learning rate {value!r} after "
                         f"{epochs} epochs, expected a number that is not negative")
    return float(value)

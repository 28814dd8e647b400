"""Schedules that are made of others, and of functions of the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..util.settings import not_negative, plain_number, positive
from .curves import EPOCH, UPDATE, Curve


def _unit_of(owner: Curve, parts: Sequence[Any]) -> str:
    """Return what is counted where parts that count themselves have to go together."""
    units = {part.per for part in parts if isinstance(part, Curve)} - {None}
    if len(units | {owner.per} - {None}) > 1:
        raise ValueError(f"{type(owner).__name__}: per is {owner.per!r}, and within it "
                         f"{' and '.join(map(repr, sorted(map(str, units))))}: give per to the outer one alone")
    usual = {part.unit for part in parts if isinstance(part, Curve)}
    return owner.per or (UPDATE if UPDATE in usual else EPOCH)


def _value(part: Any, done: int, total: int | None, epoch: int) -> float:
    """Return the value of a number, of a curve or of a function, so long after it has begun."""
    if isinstance(part, Curve):
        return float(part(done, total, epoch))
    return float(part(done) if callable(part) else part)


def _highest(part: Any) -> float:
    if isinstance(part, Curve):
        return part.highest
    return math.nan if callable(part) else float(part)


@dataclass(frozen=True)
class WarmUp(Curve):
    """A straight line up to a learning rate, or to the beginning of another schedule (Goyal et al. 2017, section 2.2).

    Parameters
    ----------
    learning_rate : float or schedule
        μ after the warm-up, or the schedule that begins then; where that is as long as the fit, it ends with the fit.
    epochs : int
        Length of the warm-up; with updates any positive number. Epoch t has the share (t + 1)/(epochs + 1) of the
        learning rate that it leads to; and so has update t, with the number of updates in so many epochs.
    per : {"epoch", "update"}, optional
        How often the value changes; by default as that of the schedule within.

    Raises
    ------
    ValueError
        If a number is out of range, or ``learning_rate`` is `ReduceOnPlateau`, whose first rate cannot change.

    Examples
    --------
    >>> from fastbp.schedules import Exponential, WarmUp
    >>> rate = WarmUp(Exponential(0.1, 0.5), 4)
    >>> [round(rate(t), 6) for t in (0, 1, 3, 4, 5)]
    [0.02, 0.04, 0.08, 0.1, 0.05]
    """

    learning_rate: float | Callable[..., float]
    epochs: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.learning_rate):
            positive(self, "learning_rate", self.learning_rate)
        _unit_of(self, [self.learning_rate])
        self._check_length("epochs", math.nan if self.epochs is None else self.epochs)

    @property
    def unit(self) -> str:
        """What it counts: "epoch" or "update"."""
        return _unit_of(self, [self.learning_rate])

    @property
    def highest(self) -> float:
        """A value that it never exceeds; NaN where it is not known."""
        return _highest(self.learning_rate)

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        length = self._length(self.epochs, total, epoch)
        rest = None if total is None else max(total - length, 1)
        later = _value(self.learning_rate, max(done - length, 0), rest, epoch)
        return float(later * min((done + 1) / (length + 1), 1.0))


@dataclass(frozen=True)
class Chain(Curve):
    """One schedule after the other, each from its own beginning.

    Parameters
    ----------
    schedules : sequence of float or schedule
        What is followed, in order; a number stays as it is. One that is as long as the fit is as long as its own part.
    epochs : sequence of int
        Lengths of all parts but the last, which takes what is left; with updates any positive numbers.
    per : {"epoch", "update"}, optional
        How often the value changes; by default as that of the schedules within.

    Raises
    ------
    ValueError
        If a number is out of range, or there are not as many lengths as schedules but one.

    Examples
    --------
    >>> from fastbp.schedules import Chain, Cosine
    >>> rate = Chain([0.1, Cosine(0.02)], [10])
    >>> [rate(t, 30) for t in (0, 9, 10, 20)]
    [0.1, 0.1, 0.02, 0.01]
    """

    schedules: Sequence[float | Callable[..., float]]
    epochs: Sequence[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("schedules", "epochs"):
            given = getattr(self, name)
            sequence = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
            if not sequence or getattr(given, "ndim", 1) != 1:
                raise ValueError(f"Chain: {name} is {given!r}, expected a sequence")
            object.__setattr__(self, name, tuple(map(plain_number, given)))
        if not self.schedules or len(self.epochs) != len(self.schedules) - 1:
            raise ValueError(f"Chain: {len(self.schedules)} schedules have {len(self.epochs)} lengths, expected one "
                             "for each but the last")
        for i, part in enumerate(self.schedules):
            if not callable(part):
                not_negative(self, f"schedules[{i}]", part)
        _unit_of(self, self.schedules)
        for i, epochs in enumerate(self.epochs):
            self._check_length(f"epochs[{i}]", math.nan if epochs is None else epochs)

    @property
    def unit(self) -> str:
        """What it counts: "epoch" or "update"."""
        return _unit_of(self, self.schedules)

    @property
    def highest(self) -> float:
        """A value that it never exceeds; NaN where it is not known."""
        values = [_highest(part) for part in self.schedules]
        return math.nan if any(map(math.isnan, values)) else max(values)

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        for part, epochs in zip(self.schedules, self.epochs, strict=False):
            length = self._length(epochs, total, epoch)
            if done < length:
                return _value(part, done, length, epoch)
            done, total = done - length, None if total is None else max(total - length, 1)
        return _value(self.schedules[-1], done, total, epoch)


@dataclass(frozen=True)
class Function(Curve):
    """A function of your own that gives each update its value.

    Any callable that takes the number of epochs done is a schedule as it is; this one is told of updates, and how long
    the fit is. It is called ahead of time, for some thousand updates at once, and so cannot look at what they bring.

    Parameters
    ----------
    function : callable
        ``function(done, total)`` is called with the number of updates that are done, 0 before the first, and that of
        the whole fit, and returns the value.
    per : {"update", "epoch"}, optional
        Whether it is updates that it is told; by default they are.

    Raises
    ------
    ValueError
        If ``function`` cannot be called.

    Examples
    --------
    >>> import fastbp
    >>> falling = fastbp.schedules.Function(lambda done, total: 0.01 * (1 - done / total))
    >>> X = [[-1.0], [0.0], [1.0]]
    >>> net = fastbp.Network((1, 8, 1), seed=0).fit(X, X, epochs=5, optimizer=fastbp.Adam(falling))
    """

    function: Callable[[int, int], float]
    usual = UPDATE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise ValueError(f"Function: function is {self.function!r}, expected a callable: lambda done, total: ...")

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many updates of ``total``, or after so many epochs."""
        if total is None:
            total = self._length(None, total, epoch)
        return self.function(done, total)

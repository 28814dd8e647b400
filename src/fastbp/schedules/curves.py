"""Curves: values that are a function of time alone, learning rates above all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ..util.settings import (
    LARGEST_WHOLE,
    choice,
    count,
    fraction,
    is_number,
    not_negative,
    optional,
    plain_numbers,
    positive,
    share,
    shown,
)

EPOCH, UPDATE = "epoch", "update"
"""How often a value changes."""


@dataclass(frozen=True)
class Schedule:
    """What schedules share: their settings are Python's numbers, so that a float32 one does not make sums float32."""

    def __post_init__(self) -> None:
        plain_numbers(self)


@dataclass(frozen=True)
class Curve(Schedule):
    """A function of time, which is counted in epochs or in updates."""

    per: str | None = field(default=None, kw_only=True)
    usual: ClassVar[str] = EPOCH
    """What ``per`` is where it is None."""

    def __init_subclass__(cls) -> None:
        """Have every class shown without ``per`` where that is left out."""
        cls.__repr__ = Curve.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return shown(self, ("per",))

    def __post_init__(self) -> None:
        super().__post_init__()
        optional(choice(EPOCH, UPDATE))(self, "per", self.per)

    @property
    def unit(self) -> str:
        """What it counts: "epoch" or "update"."""
        return self.per or self.usual

    @property
    def highest(self) -> float:
        """A value that it never exceeds; NaN where it is not known."""
        return float(getattr(self, "learning_rate", math.nan))

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        raise NotImplementedError

    def _length(self, epochs: float | None, total: int | None, epoch: int) -> int:
        """Return how many epochs or updates a number of epochs is, None being all of them."""
        if epochs is not None:
            return max(round(min(epochs * epoch, LARGEST_WHOLE)), 1)
        if total is None:
            raise ValueError(f"{type(self).__name__}: epochs is None, which is as long as the fit, and none is known: "
                             "give epochs, or call it with the number of all epochs")
        return max(total, 1)

    def _check_length(self, name: str, value: float | None) -> None:
        """Accept whole numbers of epochs, and parts of them where updates are counted."""
        optional(positive if self.unit == UPDATE else count)(self, name, value)


@dataclass(frozen=True)
class Step(Curve):
    """μ·factorᵏ after every k·``every`` epochs.

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epochs.
    every : int
        Epochs between two steps; with ``per="update"`` any positive number.
    factor : float, default 0.1
        Above 0, up to 1.
    per : {"epoch", "update"}, optional
        How often the value changes; by default from epoch to epoch.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from fastbp.schedules import Step
    >>> [Step(0.1, every=10, factor=0.5)(t) for t in (0, 9, 10, 20)]
    [0.1, 0.1, 0.05, 0.025]
    """

    learning_rate: float
    every: float
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        (positive if self.unit == UPDATE else count)(self, "every", self.every)
        share(self, "factor", self.factor)

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        return float(self.learning_rate * self.factor ** (done // self._length(self.every, total, epoch)))


@dataclass(frozen=True)
class Exponential(Curve):
    """μ·factorᵗ, t in epochs.

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epoch.
    factor : float
        Above 0, up to 1.
    per : {"epoch", "update"}, optional
        How often the value changes; by default from epoch to epoch. With updates t grows by parts of an epoch.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from fastbp.schedules import Exponential
    >>> [Exponential(0.1, 0.5)(t) for t in (0, 1, 2)]
    [0.1, 0.05, 0.025]
    """

    learning_rate: float
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        share(self, "factor", self.factor)

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        return float(self.learning_rate * self.factor ** (done / epoch))


@dataclass(frozen=True)
class InverseScaling(Curve):
    """μ/(t + 1)ᵖ, t in epochs (Robbins & Monro 1951 ask for ½ < p ≤ 1).

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epoch.
    power : float, default 0.5
        p > 0.
    per : {"epoch", "update"}, optional
        How often the value changes; by default from epoch to epoch. With updates t grows by parts of an epoch.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from fastbp.schedules import InverseScaling
    >>> [InverseScaling(0.1)(t) for t in (0, 3, 99)]
    [0.1, 0.05, 0.01]
    """

    learning_rate: float
    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        positive(self, "power", self.power)

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        try:
            return float(self.learning_rate / (done / epoch + 1.0) ** self.power)
        except OverflowError:  # of Python's power
            return 0.0


@dataclass(frozen=True)
class Cosine(Curve):
    """Half a cosine from μ down to ``lowest``, once or again and again (Loshchilov & Hutter 2017, eq. 5).

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epoch and after each restart.
    epochs : int, optional
        Length of the first half wave; with ``per="update"`` any positive number. None is as long as the fit, one half
        wave without restart.
    lowest : float, default 0
        Not negative, at most μ.
    lengthen : int, default 1
        Each half wave is so many times as long as the one before.
    flat : float, default 0
        In [0, 1): the share of each half wave in which the value stays at μ before it falls. With ½ it is the flat_cos
        of Holzmüller et al. (2024) for dropout and weight decay that fade.
    per : {"epoch", "update"}, optional
        How often the value changes; by default from epoch to epoch.

    Raises
    ------
    ValueError
        If a number is out of range, or half waves are to lengthen and ``epochs`` is None.

    Examples
    --------
    >>> from fastbp.schedules import Cosine
    >>> [Cosine(0.2, 4)(t) for t in (0, 2, 4)]
    [0.2, 0.1, 0.2]
    >>> [Cosine(0.2, flat=0.5, per="update")(t, 80) for t in (0, 40, 60, 80)]
    [0.2, 0.2, 0.1, 0.0]
    """

    learning_rate: float
    epochs: float | None = None
    lowest: float = 0.0
    lengthen: int = 1
    flat: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        self._check_length("epochs", self.epochs)
        not_negative(self, "lowest", self.lowest)
        count(self, "lengthen", self.lengthen)
        fraction(self, "flat", self.flat)
        if self.lowest > self.learning_rate:
            raise ValueError(f"Cosine: lowest is {self.lowest!r}, expected at most the learning rate "
                             f"{self.learning_rate!r}")
        if self.epochs is None and self.lengthen > 1:
            raise ValueError(f"Cosine: lengthen is {self.lengthen}, and epochs is None, one half wave as long as the "
                             "fit: give the length of the first one as epochs")

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        length = self._length(self.epochs, total, epoch)
        if self.epochs is None:
            done = min(done, length)
        elif self.lengthen == 1:
            done %= length
        while done >= length and self.epochs is not None:
            done -= length
            length *= self.lengthen
        part = max(done / length - self.flat, 0.0) / (1.0 - self.flat)
        return float(_between(self.learning_rate, self.lowest, part))


def _between(first: float, last: float, part: float) -> float:
    """Return the point of half a cosine from ``first`` (part 0) to ``last`` (part 1)."""
    return last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * part))


@dataclass(frozen=True)
class CosLog(Curve):
    """μ/2·(1 − cos(2π log₂(1 + (2ⁿ − 1)t))), t from 0 to 1: n waves, each twice as long as the one before.

    With the four waves of the default it is coslog4 (Holzmüller, Grinsztajn & Steinwart 2024, "Better by default",
    section 3.3): the rate goes up and down again and again, and ends at 0.

    Parameters
    ----------
    learning_rate : float
        μ > 0, the highest value.
    epochs : int, optional
        How long it takes to the end; with updates any positive number. None is as long as the fit. Later the value
        is 0.
    waves : int, default 4
        n, from 1 to 32.
    per : {"epoch", "update"}, optional
        How often the value changes; by default from update to update, since an epoch is long beside the first wave,
        and the first value is 0.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import fastbp
    >>> rate = fastbp.schedules.CosLog(0.04)
    >>> [round(rate(update, 1500), 6) for update in (0, 100, 300, 700, 1500)]  # between two waves
    [0.0, 0.0, 0.0, 0.0, 0.0]
    >>> X = [[-1.0], [0.0], [1.0]]
    >>> net = fastbp.Network((1, 8, 1), seed=0).fit(X, X, epochs=50, optimizer=fastbp.Adam(rate, beta2=0.95))
    """

    learning_rate: float
    epochs: float | None = None
    waves: int = 4
    usual = UPDATE

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        self._check_length("epochs", self.epochs)
        count(self, "waves", self.waves)
        if self.waves > 32:
            raise ValueError(f"CosLog: waves is {self.waves!r}, expected a whole number from 1 to 32")

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        part = min(done / self._length(self.epochs, total, epoch), 1.0)
        waves = math.log2(1.0 + (2**self.waves - 1) * part)
        return float(0.5 * self.learning_rate * (1.0 - math.cos(2.0 * math.pi * waves)))


@dataclass(frozen=True)
class OneCycle(Curve):
    """Half a cosine up to the highest learning rate, and half a cosine down to almost 0 (after Smith & Topin 2019).

    Parameters
    ----------
    learning_rate : float
        The highest, > 0.
    epochs : int, optional
        Length of the cycle; with ``per="update"`` any positive number. None is as long as the fit. What comes later has
        the lowest learning rate.
    rise : float, default 0.3
        Share of the epochs in which it rises, in [0, 1).
    start, end : float, default 25 and 250,000
        How many times smaller than the highest the first and the last learning rate are; at least 1.
    per : {"epoch", "update"}, optional
        How often the value changes; by default from epoch to epoch.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from fastbp.schedules import OneCycle
    >>> rate = OneCycle(0.1, 10)
    >>> [round(rate(t), 6) for t in (0, 3, 10)]
    [0.004, 0.1, 0.0]
    """

    learning_rate: float
    epochs: float | None = None
    rise: float = 0.3
    start: float = 25.0
    end: float = 250_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "learning_rate", self.learning_rate)
        self._check_length("epochs", self.epochs)
        fraction(self, "rise", self.rise)
        for name in ("start", "end"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 1):
                raise ValueError(f"OneCycle: {name} is {value!r}, expected a number of at least 1")

    def __call__(self, done: int, total: int | None = None, epoch: int = 1) -> float:
        """Return the value after so many epochs of ``total``, or after so many updates, ``epoch`` of them in each."""
        length = self._length(self.epochs, total, epoch)
        highest, top, last = self.learning_rate, self.rise * length, length - 1
        if done < top:
            return float(_between(highest / self.start, highest, done / top))
        part = (done - top) / (last - top) if done < last else 1.0
        return float(_between(highest, highest / self.end, part))

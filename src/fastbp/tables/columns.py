"""What a column is and how it was learned: a number, a category, a date, or of no use; and the inputs made of it.

number
    One input, robustly scaled and smoothly clipped (Holzmüller et al. 2024): with the quartiles q of the
    finite values u = (x − q½)/(q¾ − q¼), or 2(x − q½)/(max − min) where the quartiles are equal, and the input is
    u/√(1 + (u/3)²). So nothing is ever beyond ±3, and infinite values are at the ends. Whole numbers are numbers,
    however few they are; durations are seconds. Where pieces are asked for, they end at quantiles of the input, the
    outer ones at ±3, so that nothing goes on in a line beyond them.
category
    Of two levels −1 and +1; of more the code of the level. Missing and unseen ones are 0 with two levels, else −1.
    Levels that fewer than `LEAST_ROWS` rows have, and all beyond the `MOST_LEVELS` most frequent, share a code, and
    so do then unseen ones. Booleans are categories.
date
    A number, and the sine and cosine of the time of the year, of the week and of the day (UTC), those that vary.

What the network makes of numbers and codes, its encoders do (`matrix.Table.encoders`).

A column that has missing values when it is learned has one more input, 1 where missing: a missing number stands at the
median, a missing date at the median too with sines and cosines 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .frames import BOOLEAN, DATE, MIXED, NUMBER, TEXT, Doubles, Values

Floats = npt.NDArray[np.float32]

CLIP = 3.0
"""Where the smooth clip ends (Holzmüller et al. 2024)."""

MOST_LEVELS = 256
"""Levels with a code of their own: of hotel_rates' 426 the rarer ones share one; a text that differs in each of
50,000 rows makes no table of 50,000 rows."""

LEAST_ROWS = 2
"""Rows that a level with a code of its own has: one row's code would be that row's name."""

NEIGHBOURS = 8
"""Numbers that differ by no more than so many roundings of their dtype are one number: what is left is the noise of
sums, which scaling would blow up."""

LARGEST_WHOLE = 2.0**53
"""Up to which float64 has all whole numbers."""

DAY = 86400.0

CYCLES = {"year": 365.2425 * DAY, "week": 7 * DAY, "day": DAY}
"""Seconds; of the week from a Thursday on, since 1970 began with one, which is all the same to a sine and a cosine."""

MOST_EDGES = 257
"""Of the pieces of a number."""

LEAST_WIDTH = 1e-4
"""Of a piece: a narrower one would be a step, and float32 has no slope for one of no width."""

SPREAD = 1e-6
"""What the sine and cosine of a cycle vary by, at least, or it is left out: dates at midnight have no time of day."""


@dataclass(frozen=True)
class Column:
    """What was learned of a column.

    Attributes
    ----------
    name : str
        In the frame, or ``"x3"`` for the fourth of an array.
    holds : str
        What it held: number, boolean, text, mixed, date or duration.
    missing, infinite, rows : int
        How many of so many rows were, when it was learned.
    """

    name: str
    holds: str
    missing: int
    infinite: int
    rows: int
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        counts = self.missing, self.infinite, self.rows
        if not (isinstance(self.name, str) and self.holds in PLURALS and {type(count) for count in counts} == {int}
                and 0 <= min(counts) and self.missing + self.infinite <= self.rows):
            raise ValueError(f"a column called {self.name!r} that holds {self.holds!r}, with {counts} missing, "
                             "infinite and all values, is none")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that are made of it."""
        return (*self._own(), *((f"{self.name} is missing",) if self._tells_missing else ()))

    @property
    def _tells_missing(self) -> bool:
        return 0 < self.missing < self.rows

    @property
    def encoding(self) -> str:
        """What was done with it, in words."""
        raise NotImplementedError

    def _own(self) -> Sequence[str]:
        """Names of the inputs without the one for missing values."""
        raise NotImplementedError

    def fill(self, values: Values, out: Floats) -> None:
        """Overwrite ``out`` (rows, inputs) with the inputs of some rows.

        Raises ValueError if they hold something else than what was learned.
        """
        self.check(values)
        if self._tells_missing:
            out[:, -1] = values.missing
            out = out[:, :-1]
        self._fill(values, out)

    def _fill(self, values: Values, out: Floats) -> None:
        raise NotImplementedError

    def check(self, values: Values) -> None:
        """Raise unless the values are of the kind that was learned; a column without values is of any."""
        if self.holds == MIXED and values.kind in (NUMBER, BOOLEAN):
            return  # some rows of such a column may be numbers only
        if alike(self.holds) != alike(values.kind) and not values.missing.all():
            raise ValueError(f"column {self.name!r} held {PLURALS[self.holds]} when the model was fitted, and holds "
                             f"{PLURALS[values.kind]} now")

    def described(self) -> dict[str, Any]:
        """Return it as plain values, for a file."""
        return {"kind": self.kind, **asdict(self)}


CONSTANT, ALL_MISSING, ALL_DIFFERENT = WHY = "constant", "all missing", "a level of its own in each row"
"""Why a column is not used."""

PLURALS = {"number": "numbers", "boolean": "booleans", "text": "texts", "mixed": "numbers and texts", "date": "dates",
           "duration": "durations"}


def alike(kind: str) -> str:
    """Return the kind, of which booleans are numbers too, and mixed objects texts."""
    return {BOOLEAN: NUMBER, MIXED: TEXT}.get(kind, kind)


@dataclass(frozen=True)
class Unused(Column):
    """A column that tells rows apart by nothing but where it is missing, and ``why``."""

    why: str
    kind = "unused"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.why not in WHY:
            raise ValueError(f"why is {self.why!r}, expected {', '.join(map(repr, WHY))}")

    @property
    def encoding(self) -> str:
        """Why it is left out."""
        return f"whether it is missing; else {self.why}" if self._tells_missing else f"left out: {self.why}"

    def _own(self) -> Sequence[str]:
        return ()

    def _fill(self, values: Values, out: Floats) -> None:
        pass

    def check(self, values: Values) -> None:
        """Refuse nothing: such a column is not looked at."""


@dataclass(frozen=True)
class Number(Column):
    """A number, scaled by ``scale`` around ``center`` and smoothly clipped."""

    center: float
    scale: float
    edges: tuple[float, ...] = ()
    """Of the pieces, none or three and more, of the scaled and clipped number."""
    kind = "number"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scale(self.center, self.scale)
        if len(self.edges) not in (0, *range(3, MOST_EDGES + 1)) or {type(edge) for edge in self.edges} - {float} \
                or not all(low < high for low, high in pairwise((-math.inf, *self.edges, math.inf))):
            raise ValueError(f"edges are {self.edges!r}, expected none, or three to {MOST_EDGES} that rise")

    @property
    def encoding(self) -> str:
        """What was done with it."""
        pieces = f"; and {len(self.edges) - 1} pieces" if self.edges else ""
        centered = f"{self.name} {'+' if self.center < 0 else '−'} {abs(self.center):.4g}"
        return f"({centered}) × {self.scale:.4g}, clipped smoothly at ±3{pieces}"

    def _own(self) -> Sequence[str]:
        return (self.name,)

    def _fill(self, values: Values, out: Floats) -> None:
        out[:, 0] = clipped(values.numbers, self.center, self.scale)

    def in_pieces(self, values: Values, count: int) -> Number:
        """Return it with so many pieces between quantiles, the outer ones up to ±3; fewer where quantiles agree.

        None where no quantile is within the range, as of a number with two values.
        """
        x = clipped(values.numbers[np.isfinite(values.numbers)], self.center, self.scale)
        if not len(x):
            return self
        inner, edges = np.quantile(x, np.arange(1, count) / count, method="inverted_cdf"), [-CLIP]
        for quantile in inner[(x.min() < inner) & (inner < x.max())].tolist():
            if quantile - edges[-1] > LEAST_WIDTH and CLIP - quantile > LEAST_WIDTH:
                edges.append(quantile)
        return replace(self, edges=(*edges, CLIP)) if len(edges) > 1 else self


@dataclass(frozen=True)
class Category(Column):
    """A category; ``rest`` says that rare levels, which are not among ``levels``, share a code."""

    levels: tuple[str, ...] | tuple[float, ...]
    rest: bool
    kind = "category"

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = str if self.holds in (TEXT, MIXED) else float
        if {type(level) for level in self.levels} != {wanted} or len(set(self.levels)) < len(self.levels) \
                or len(self.levels) + self.rest < 2:
            raise ValueError(f"levels are {self.levels!r}, expected two different ones or more, each a "
                             f"{wanted.__name__}")
        if type(self.rest) is not bool:
            raise ValueError(f"rest is {self.rest!r}, expected a boolean")

    @property
    def encoding(self) -> str:
        """What was done with it."""
        if self._signed:
            return f"−1 for {self._label(0)}, +1 for {self._label(1)}"
        return f"codes of {len(self.levels)} levels" + (", and one for all rare ones" if self.rest else "")

    @property
    def n_codes(self) -> int:
        """How many codes there are; 0 of two levels, which are −1 and +1."""
        return 0 if self._signed else len(self.levels) + self.rest

    @property
    def _signed(self) -> bool:
        return len(self.levels) == 2 and not self.rest

    @property
    def _tells_missing(self) -> bool:
        """A missing category has a code of its own."""
        return False

    def _label(self, i: int) -> str:
        level = self.levels[i]
        if isinstance(level, str):
            return level
        return str(bool(level)) if self.holds == BOOLEAN else f"{level:g}"

    def _own(self) -> Sequence[str]:
        return (self.name,)

    def codes(self, values: Values) -> npt.NDArray[np.int64]:
        """Return the place of each row's level, that of the rest, or −1 where it is missing, or unseen without one."""
        place = {level: i for i, level in enumerate(self.levels)}
        unknown = len(self.levels) if self.rest else -1
        keys = values.as_texts() if self.holds == MIXED else values.keys()
        found = np.fromiter((place.get(key, unknown) for key in keys), np.int64, len(values.numbers))
        found[values.missing] = -1
        return found

    def _fill(self, values: Values, out: Floats) -> None:
        codes = self.codes(values)
        out[:, 0] = np.array([-1.0, 1.0, 0.0])[codes] if self._signed else codes


@dataclass(frozen=True)
class Date(Column):
    """A date: a number of seconds since 1970, and sines and cosines of the ``cycles`` that vary."""

    center: float
    scale: float
    cycles: tuple[str, ...]
    kind = "date"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scale(self.center, self.scale)
        if not set(self.cycles) <= set(CYCLES) or len(set(self.cycles)) < len(self.cycles):
            raise ValueError(f"cycles are {self.cycles!r}, expected some of {', '.join(CYCLES)}")

    @property
    def encoding(self) -> str:
        """What was done with it."""
        return "time, clipped smoothly" + "".join(f"; sine and cosine of the {cycle}" for cycle in self.cycles)

    def _own(self) -> Sequence[str]:
        return [self.name, *(f"{function} of the {cycle} of {self.name}" for cycle in self.cycles
                             for function in ("sine", "cosine"))]

    def _fill(self, values: Values, out: Floats) -> None:
        out[:, 0] = clipped(values.numbers, self.center, self.scale)
        for i, cycle in enumerate(self.cycles):
            out[:, 1 + 2 * i : 3 + 2 * i] = np.nan_to_num(cyclic(values.numbers, cycle))


KINDS: dict[str, type[Column]] = {kind.kind: kind for kind in (Unused, Number, Category, Date)}


def _check_scale(center: float, scale: float) -> None:
    if not ({type(center), type(scale)} == {float} and math.isfinite(center) and 0 < scale < math.inf):
        raise ValueError(f"center is {center!r} and scale {scale!r}, expected a number and a positive one")


def clipped(x: Doubles, center: float, scale: float) -> Doubles:
    """Return u/√(1 + (u/3)²) = 3 sin(arctan(u/3)), u = scale (x − center), which is ±3 for ±∞; 0 for NaN."""
    with np.errstate(over="ignore"):
        return np.nan_to_num(CLIP * np.sin(np.arctan(scale * (x - center) / CLIP)))


def cyclic(seconds: Doubles, cycle: str) -> Doubles:
    """Return sine and cosine of the place in a cycle, (n, 2); NaN where it is missing."""
    angle = 2 * np.pi / CYCLES[cycle] * np.remainder(seconds, CYCLES[cycle])
    return np.column_stack([np.sin(angle), np.cos(angle)])


# --------------------------------------------------------------------------------------------------------- learning


def learn(name: str, values: Values, is_category: bool) -> Column:
    """Return what a column is: ``is_category`` says that the user calls it one."""
    missing = values.missing
    known = values.numbers[~missing]
    finite = known[np.isfinite(known)]
    facts: dict[str, Any] = {"name": name, "holds": values.kind, "missing": int(missing.sum()),
                             "infinite": len(known) - len(finite), "rows": len(missing)}
    if not len(known):
        return Unused(**facts, why=ALL_MISSING)
    if is_category or values.declared or values.kind in (TEXT, MIXED, BOOLEAN):
        return _category(facts, values, missing)
    if not len(finite) or not (spread := float(finite.max()) - float(finite.min())) > NEIGHBOURS * values.rounding \
            * float(np.abs(finite).max()):
        if len(set(known[~np.isfinite(known)].tolist())) + (len(finite) > 0) < 2:
            return Unused(**facts, why=CONSTANT)
        center = float(np.median(finite)) if len(finite) else 0.0  # infinite values are all that differs
        return Number(**facts, center=center, scale=1.0)
    center, scale = _robust(name, finite, spread)
    if values.kind == DATE:
        cycles = tuple(cycle for cycle in CYCLES if np.ptp(cyclic(finite, cycle), axis=0).max() > SPREAD)
        return Date(**facts, center=center, scale=scale, cycles=cycles)
    return Number(**facts, center=center, scale=scale)


def _robust(name: str, finite: Doubles, spread: float) -> tuple[float, float]:
    """Return median and 1/(q¾ − q¼), or 2/(max − min) where these are equal; of numbers that differ."""
    low, center, high = (float(q) for q in np.quantile(finite, (0.25, 0.5, 0.75)))
    with np.errstate(over="ignore"):
        scale = 1 / (high - low) if high > low and math.isfinite(high - low) else 2 / spread
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"column {name!r} has numbers from {finite.min():g} to {finite.max():g}, which cannot be "
                         "scaled within float64: scale that column first")
    return center, scale


def _category(facts: dict[str, Any], values: Values, missing: npt.NDArray[np.bool_]) -> Column:
    finite = values.numbers[np.isfinite(values.numbers)]
    if values.texts is None and not values.rounding and np.abs(finite).max(initial=0) > LARGEST_WHOLE:
        raise ValueError(f"column {facts['name']!r} is a category and has whole numbers beyond 2^53, which float64 "
                         "does not tell apart: make texts of them")
    counts = Counter(key for key, without in zip(values.keys(), missing, strict=True) if not without)
    if len(counts) < 2:
        return Unused(**facts, why=CONSTANT)
    if len(counts) == 2:
        return Category(**facts, levels=tuple(sorted(counts)), rest=False)
    frequent = sorted((key for key in counts if counts[key] >= LEAST_ROWS), key=lambda key: (-counts[key], key))
    levels = tuple(sorted(frequent[:MOST_LEVELS]))
    if not levels:
        return Unused(**facts, why=ALL_DIFFERENT)
    return Category(**facts, levels=levels, rest=len(levels) < len(counts))

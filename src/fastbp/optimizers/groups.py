"""Groups of parameters: factors of learning rate and decay by the names of ranges of the flat buffer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.architecture import Architecture
from ..core.penalties import Stretch
from ..util.settings import not_negative, plain_number

NAME = re.compile(r"([a-z]+)(?:\[(-?\d{1,9})\])?")
"""Of a kind of parameters, or of those of one layer."""

OF_LAYERS = "weights", "biases", "alphas"
"""Kinds that "layers[0]" stands for."""


class Factors(Mapping[str, float]):
    """Names of groups of parameters and their factors: a mapping that does not change.

    Parameters
    ----------
    owner : object
        The optimizer that they belong to, for messages.
    setting : str
        What they are called there.
    given : mapping of str to float
        Factors that are not negative, by name; or pairs of these.

    Raises
    ------
    ValueError
        If it is no mapping, a name is none, or a factor is out of range.
    """

    def __init__(self, owner: object, setting: str, given: Any) -> None:
        try:
            pairs = dict(given)
        except (TypeError, ValueError):
            raise ValueError(f"{type(owner).__name__}: {setting} is {given!r}, expected factors by name, for instance "
                             '{"biases": 0.1, "weights[0]": 2.0}') from None
        for name, factor in pairs.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ValueError(f"{type(owner).__name__}: {setting} has the name {name!r}, expected that of a kind of "
                                 'parameters, such as "biases", or of those of one layer, "biases[0]"')
            not_negative(owner, f"{setting}[{name!r}]", factor)
        self._factors: dict[str, float] = {name: plain_number(factor) for name, factor in pairs.items()}

    def __getitem__(self, name: str) -> float:
        return self._factors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._factors)

    def __len__(self) -> int:
        return len(self._factors)

    def __hash__(self) -> int:
        return hash(frozenset(self._factors.items()))

    def __repr__(self) -> str:
        return repr(self._factors)


def _named(ranges: Mapping[str, slice], name: str) -> list[str]:
    """Return the ranges that a name stands for; none where there is nothing of that name."""
    kind, index = NAME.fullmatch(name).groups()  # type: ignore[union-attr]
    if index is None:
        return [one for one in ranges if one.partition("[")[0] == kind]
    kinds = OF_LAYERS if kind == "layers" else (kind,)
    numbers = [int(one.partition("[")[2][:-1]) for one in ranges if one.partition("[")[0] in kinds and "[" in one]
    place = int(index) + (max(numbers, default=-1) + 1 if int(index) < 0 else 0)
    return [f"{of}[{place}]" for of in kinds if f"{of}[{place}]" in ranges]


def stretches(owner: object, rate: Mapping[str, float] | None, decay: Mapping[str, float] | None,
              architecture: Architecture) -> list[Stretch]:
    """Return the factors of all parameters, from the first to the last, neighbours with the same ones together.

    Empty where all factors are 1. Where several names stand for the same parameters, their factors are multiplied.

    Raises
    ------
    ValueError
        If the network has no parameters of a name.
    """
    ranges = architecture.named_ranges
    product = {one: [1.0, 1.0] for one in ranges}
    for column, (setting, factors) in enumerate((("rate_factors", rate), ("decay_factors", decay))):
        for name, factor in (factors or {}).items():
            if not (found := _named(ranges, name)):
                kinds = ", ".join(dict.fromkeys(one.partition("[")[0] for one in ranges))
                raise ValueError(f"{type(owner).__name__}: {setting} names {name!r}, which the network does not have: "
                                 f"it has {kinds}, each layer's under its number from 0 up ({', '.join(ranges)}), and "
                                 'layers[0] … for all of a layer')
            for one in found:
                product[one][column] *= factor
    rows: list[Stretch] = []
    for one, (of_rate, of_decay) in product.items():
        if not math.isfinite(of_rate * of_decay):
            raise ValueError(f"{type(owner).__name__}: the factors of {one} multiply to {of_rate!r} and {of_decay!r}, "
                             "expected finite numbers")
        here = Stretch(ranges[one].start, ranges[one].stop, of_rate, of_decay)
        if rows and rows[-1][2:] == here[2:]:
            rows[-1] = rows[-1]._replace(end=here.end)
        else:
            rows.append(here)
    return [] if all(row[2:] == (1.0, 1.0) for row in rows) else rows

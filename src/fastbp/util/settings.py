"""Checks of single settings, as optimizers, schedules and callbacks have them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any

import numpy as np

Check = Callable[[object, str, Any], None]
"""Called with the object, the setting's name and its value; raises ValueError if the value will not do."""

LARGEST_WHOLE = 2**53
"""Up to here a float64 tells every whole number from the next."""


def is_number(value: Any) -> bool:
    """Return whether a value is one finite real number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def _fail(owner: object, name: str, value: Any, expected: str) -> None:
    raise ValueError(f"{type(owner).__name__}: {name} is {value!r}, expected {expected}")


def plain_number(value: Any) -> Any:
    """Return a number of NumPy's as Python's, so that sums stay double and it is shown as it is written."""
    return value.item() if isinstance(value, np.generic) else value


def fields_of(owner: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, without what it keeps beside them."""
    return {field.name: getattr(owner, field.name) for field in fields(owner)}


def plain_numbers(owner: object) -> None:
    """Make the settings of a frozen dataclass Python's numbers, where they are NumPy's."""
    for name, value in fields_of(owner).items():
        if isinstance(value, np.generic):
            object.__setattr__(owner, name, value.item())


def shown(owner: object, seldom: Collection[str]) -> str:
    """Return an object as it would be written; what is seldom set comes last, and is left out where it is None."""
    given = {name: value for name, value in fields_of(owner).items() if name not in seldom or value is not None}
    order = sorted(given, key=seldom.__contains__)
    return f"{type(owner).__name__}({', '.join(f'{name}={given[name]!r}' for name in order)})"


def finite(owner: object, name: str, value: Any) -> None:
    """Accept finite numbers."""
    if not is_number(value):
        _fail(owner, name, value, "a finite number")


def between(low: float, high: float) -> Check:
    """Return a check that accepts numbers in a range, its ends included; not NaN."""

    def check(owner: object, name: str, value: Any) -> None:
        if not ((isinstance(value, (float, np.floating)) or is_number(value)) and low <= value <= high):
            _fail(owner, name, value, f"a number from {low} to {high}")

    return check


def positive(owner: object, name: str, value: Any) -> None:
    """Accept numbers above 0."""
    if not (is_number(value) and value > 0):
        _fail(owner, name, value, "a positive number")


def not_negative(owner: object, name: str, value: Any) -> None:
    """Accept numbers from 0 up."""
    if not (is_number(value) and value >= 0):
        _fail(owner, name, value, "a number that is not negative")


def fraction(owner: object, name: str, value: Any) -> None:
    """Accept numbers from 0 up to, not including, 1."""
    if not (is_number(value) and 0 <= value < 1):
        _fail(owner, name, value, "a number from 0 up to, not including, 1")


def share(owner: object, name: str, value: Any) -> None:
    """Accept numbers above 0 and up to 1."""
    if not (is_number(value) and 0 < value <= 1):
        _fail(owner, name, value, "a number above 0, up to 1")


def count(owner: object, name: str, value: Any) -> None:
    """Accept whole numbers from 1 up."""
    if not (isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1):
        _fail(owner, name, value, "a whole number, at least 1")


def whole(low: int, high: int = LARGEST_WHOLE) -> Check:
    """Return a check that accepts whole numbers in a range, also as floats."""

    def check(owner: object, name: str, value: Any) -> None:
        if not (is_number(value) and low <= value <= high and value == int(value)):
            _fail(owner, name, value, f"a whole number from {low} to {high}")

    return check


def choice(*known: str) -> Check:
    """Return a check that accepts some names."""

    def check(owner: object, name: str, value: Any) -> None:
        if not isinstance(value, str) or value not in known:
            _fail(owner, name, value, f"one of {', '.join(map(repr, known))}")

    return check


def text(owner: object, name: str, value: Any) -> None:
    """Accept strings."""
    if not isinstance(value, str):
        _fail(owner, name, value, "a text")


def flag(owner: object, name: str, value: Any) -> None:
    """Accept True and False."""
    if not isinstance(value, (bool, np.bool_)):
        _fail(owner, name, value, "True or False")


def optional(check: Check) -> Check:
    """Accept None, and what another check accepts."""

    def pass_none(owner: object, name: str, value: Any) -> None:
        if value is not None:
            check(owner, name, value)

    return pass_none


UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
"""What stands before the B of bytes."""


def memory(name: str, value: Any) -> int:
    """Return a number of bytes, given as such or as text: "256MB", "1.5 GiB".

    Raises
    ------
    ValueError, TypeError
        If it is neither, or not at least 1.
    """
    if isinstance(value, str):
        found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]i?|)b?\s*", value.casefold())
        size = float(found[1]) * UNITS[found[2]] if found else math.nan
    elif is_number(value):
        size = float(value)
    else:
        raise TypeError(f"{name} is {value!r}, expected bytes, as a number or like '256MB'")
    if not 1 <= size < LARGEST_WHOLE:
        raise ValueError(f"{name} is {value!r}, expected bytes, as a number from 1 up or like '256MB'")
    return int(size)

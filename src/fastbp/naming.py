"""Looking things up by name, with an error that helps."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def lookup(kind: str, name: object, known: Mapping[str, T]) -> T:
    """Give ``known[name]``.

    Raises
    ------
    ValueError
        If there is no such name; the message gives the nearest one and all of them.
    TypeError
        If ``name`` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind} is {name!r}, expected one of the names {', '.join(sorted(known))}")
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, 1, 0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(sorted(known))}")

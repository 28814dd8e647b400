"""Looking things up by name: the names of other libraries are known too, and an error helps."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np

T = TypeVar("T")


class Missing:
    """The kernel of a function of the user's own that a pickle names, and that this process does not know.

    It takes the place of an error while unpickling, which would end a worker of a pool, with nobody told why.
    """

    def __init__(self, kind: str, name: str, known: bool) -> None:
        if name.startswith("<"):
            self.why = (f"{kind} {name} was given to the network as a function, which a pickle does not hold: register "
                        f"it (fastbp.register_{kind}), and build the network with its name")
            return
        here = f"{kind} {name!r} is another function" if known else f"there is no {kind} {name!r}"
        self.why = (f"{here} in this process, unlike in the one that the network comes from: call "
                    f"fastbp.register_{kind}(..., name={name!r}) here too, with the same function, for instance in the "
                    "module that a worker imports, or in the initializer of its pool")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Missing) and other.why == self.why

    def __hash__(self) -> int:
        return hash(self.why)

    def __call__(self, *arguments: object) -> NoReturn:
        """Say what is missing."""
        raise ValueError(self.why)


def same(values: bytes, others: bytes) -> bool:
    """Whether two functions of users gave the same numbers, to rounding; built-in functions have none."""
    if len(values) != len(others):
        return False
    return bool(np.allclose(np.frombuffer(values), np.frombuffer(others), 1e-9, 1e-9, equal_nan=True))


class Names(NamedTuple):
    """What the entries of a catalogue are called, each name plain: without case, spaces, underscores and hyphens."""

    accepted: Mapping[str, str] = {}
    """Plain name -> the name in the catalogue."""
    hints: Mapping[str, str] = {}
    """Plain name of what is not there -> what comes near it, and how near."""


NO_OTHERS = Names()


def names(known: Iterable[str], synonyms: Mapping[str, str], hints: Mapping[str, str]) -> Names:
    """Return what the entries of a catalogue are called: their own names, synonyms, and hints for what is not there.

    Parameters
    ----------
    known
        The names in the catalogue. What a user adds to it later goes by its exact name only, so that no file or pickle
        with such a name ever finds something else.
    synonyms
        Name in the catalogue -> the other names of the same thing, separated by spaces.
    hints
        What to propose, as text -> names of what the catalogue lacks, separated by spaces.
    """
    accepted = {plain(name): name for name in known}
    accepted.update((plain(other), name) for name, others in synonyms.items() for other in others.split())
    return Names(accepted, {plain(other): hint for hint, others in hints.items() for other in others.split()})


def plain(name: str) -> str:
    """Return a name without what libraries differ in: case, underscores, spaces and hyphens; Rprop- keeps its minus."""
    return re.sub(r"_|\s|-(?=\w)", "", name).casefold()


def canonical(kind: str, name: object, known: Mapping[str, object], names: Names = NO_OTHERS) -> str:
    """Return the name in the catalogue ``known`` for any name of the same thing.

    Raises
    ------
    ValueError
        If there is no such name; the message gives the nearest one, by meaning or else by a slip of the pen, and all.
    TypeError
        If ``name`` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind} is {name!r}, expected one of the names {', '.join(sorted(known))}")
    if name in known:
        return str.__str__(name)  # of NumPy's strings and enumerations, too, the plain text
    short = plain(name)
    if short in names.accepted:
        return names.accepted[short]
    spelled = {plain(own): own for own in known} | dict(names.accepted)
    near = difflib.get_close_matches(short, spelled, 1, 0.7)
    hint = names.hints.get(short) or (repr(spelled[near[0]]) if near else "")
    raise ValueError(f"unknown {kind} {name!r}: {f'did you mean {hint}? ' if hint else ''}"
                     f"Known: {', '.join(sorted(known))}")


def lookup(kind: str, name: object, known: Mapping[str, T], names: Names = NO_OTHERS) -> T:
    """Return ``known[name]``, by any name of it; raises as `canonical` does."""
    return known[canonical(kind, name, known, names)]

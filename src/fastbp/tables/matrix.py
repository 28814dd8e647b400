"""A user's table as one float32 matrix, by what was learned of its columns, and the encoders that read it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..encoders import Embedding, Encoder, Identity, OneHot, Periodic, PiecewiseLinear
from ..util import machine
from .columns import KINDS, Category, Column, Date, Floats, Number, learn
from .frames import Frame

FROM_DTYPE = "from_dtype"

ROWS_A_PIECE = 8
"""Rows of a piece of a number, at least: fewer would be learned by heart."""

LEAST_PIECES = 3
"""Of a number, or there are none."""

MOST_ONE_HOT = 64
"""Codes that are read as one-hot; of more a row of a table is learned. See docs/explanation/tables.md."""

EMBEDDING_SIZE = 8
"""Numbers in a row of such a table: RealMLP's."""


class ColumnDescription(NamedTuple):
    """What was done with a column."""

    name: str
    """Its name, or ``"x3"`` for the fourth column of an array."""
    kind: str
    """number, category, date or unused."""
    holds: str
    """What it held: number, boolean, text, mixed (numbers among texts), date or duration."""
    missing: int
    """Rows where it was missing, of those that were fitted."""
    infinite: int
    """Rows where it was infinite."""
    inputs: tuple[str, ...]
    """Names of the inputs of the network that are made of it."""
    encoding: str
    """How they are made."""


class ColumnDescriptions(tuple[ColumnDescription, ...]):
    """What was done with each column, in the order of the columns: a tuple that prints as a table."""

    def __repr__(self) -> str:
        rows = [("column", "kind", "missing", "inputs", "how")]
        rows += [(found.name, f"{found.holds} → {found.kind}" if found.holds != found.kind else found.kind,
                  str(found.missing), str(len(found.inputs)), found.encoding) for found in self]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
                         for row in rows)


class Table:
    """What was learned of the columns of a table.

    Attributes
    ----------
    columns : tuple of Column
    names : tuple of str or None
        Of the columns, where the table was a frame.
    places : list of slice
        Where in the matrix the inputs of each column are.
    """

    def __init__(self, columns: Sequence[Column], named: bool) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns) if named else None
        ends = np.cumsum([0, *(len(column.inputs) for column in self.columns)])
        self.places = [slice(int(begin), int(end)) for begin, end in zip(ends[:-1], ends[1:], strict=True)]
        self.width = max(int(ends[-1]), 1)
        """Columns of the matrix: one of zeros where there is nothing to learn from."""

    @classmethod
    def learn(cls, frame: Frame, categorical_features: Any, n_pieces: int = 0) -> Table:
        """Look at the columns of a table.

        Parameters
        ----------
        frame : Frame
        categorical_features : "from_dtype", None, or a sequence of names, indices or booleans
            Which columns are categories beside those that can be nothing else.
        n_pieces : int, default 0
            Pieces of each number, at most: fewer where rows are few.
        """
        chosen = chosen_columns(frame, categorical_features)
        names = frame.names or [f"x{i}" for i in range(frame.n_columns)]
        columns = [learn(names[i], frame.column(i), i in chosen) for i in range(frame.n_columns)]
        n_pieces = min(n_pieces, frame.n_rows // ROWS_A_PIECE)
        if n_pieces >= LEAST_PIECES:
            columns = [column.in_pieces(frame.column(i), n_pieces) if isinstance(column, Number) else column
                       for i, column in enumerate(columns)]
        return cls(columns, frame.names is not None)

    @property
    def has_pieces(self) -> bool:
        """Whether a number is divided."""
        return any(isinstance(column, Number) and column.edges for column in self.columns)

    def undivided(self) -> Table:
        """Return it without pieces of numbers."""
        return Table([replace(column, edges=()) if isinstance(column, Number) else column for column in self.columns],
                     self.names is not None)

    @property
    def codes(self) -> dict[int, int]:
        """Which columns of the matrix hold codes, and how many."""
        return {place.start: column.n_codes for column, place in zip(self.columns, self.places, strict=True)
                if isinstance(column, Category) and column.n_codes}

    def encoders(self, n_frequencies: int) -> tuple[Encoder, ...]:
        """Return what reads the matrix, every column of it at least once.

        Numbers and times are read as periodic functions of so many frequencies, or else as they are, numbers also by
        their pieces; codes one-hot, or from a table where there are many; everything else as it is.
        """
        pieces, waves, codes = {}, [], self.codes
        for column, place in zip(self.columns, self.places, strict=True):
            if isinstance(column, Number) and column.edges:
                pieces[place.start] = column.edges
            if isinstance(column, (Number, Date)) and n_frequencies:
                waves.append(place.start)
        plain = [i for i in range(self.width) if i not in codes and i not in waves]
        found: list[Encoder] = [Periodic(waves, n_frequencies)] if waves else []
        found += [PiecewiseLinear(tuple(pieces), tuple(pieces.values()))] if pieces else []
        found += [Identity(plain)] if plain else []
        return (*found, *(OneHot(i, count) if count <= MOST_ONE_HOT else Embedding(i, count, EMBEDDING_SIZE)
                          for i, count in codes.items()))

    def matrix(self, frame: Frame) -> Floats:
        """Return the inputs of some rows, (n_rows, width); the frame's columns are found by name, if they have any."""
        order = self._order(frame)
        needed, memory = 4 * frame.n_rows * self.width, machine.physical_memory()
        if needed > memory:
            raise ValueError(f"{frame.n_rows} rows of {self.width} inputs need {needed:.3g} bytes, this machine has "
                             f"{memory:.3g}")
        out = np.zeros((frame.n_rows, self.width), np.float32)
        for column, place, i in zip(self.columns, self.places, order, strict=True):
            if place.stop > place.start:
                column.fill(frame.column(i), out[:, place])
        return out

    def _order(self, frame: Frame) -> Iterable[int]:
        """Return which column of a frame is which of those that were learned."""
        own, given = self.names, frame.names
        if own is not None and given is not None:
            unseen, missing = sorted(set(given) - set(own)), sorted(set(own) - set(given))
            if unseen or missing:
                message = "The feature names should match those that were passed during fit.\n"
                for names, what in ((unseen, "unseen at fit time"), (missing, "seen at fit time, yet now missing")):
                    if names:
                        message += f"Feature names {what}:\n" + "".join(f"- {name}\n" for name in names[:5])
                        message += "- ...\n" * (len(names) > 5)
                raise ValueError(message)
            place = {name: i for i, name in enumerate(given)}
            return [place[name] for name in own]
        if given is not None:
            warnings.warn("X has feature names, but the model was fitted without feature names: columns are taken in "
                          "their order", UserWarning, stacklevel=4)
        elif own is not None:
            warnings.warn("X does not have valid feature names, but the model was fitted with feature names: columns "
                          "are taken in their order", UserWarning, stacklevel=4)
        return range(len(self.columns))

    def describe(self) -> ColumnDescriptions:
        """Return what was done with each column."""
        return ColumnDescriptions(
            ColumnDescription(column.name, column.kind, column.holds, column.missing, column.infinite, column.inputs,
                              column.encoding) for column in self.columns)

    def described(self) -> dict[str, Any]:
        """Return all of it as plain values, for a file."""
        return {"columns": [column.described() for column in self.columns], "named": self.names is not None}


def made(description: dict[str, Any]) -> Table:
    """Make a table of what `Table.described` says; whatever else a file may hold raises."""
    columns = []
    for told in description["columns"]:
        settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                    for name, value in told.items()}
        columns.append(KINDS[settings.pop("kind")](**settings))
    if not columns:
        raise ValueError("a table has columns, one at least")
    return Table(columns, bool(description["named"]))


def chosen_columns(frame: Frame, categorical_features: Any) -> set[int]:
    """Return which columns the user calls categories, by index."""
    if categorical_features is None or isinstance(categorical_features, str) and categorical_features == FROM_DTYPE:
        return set()
    what = f"categorical_features is {categorical_features!r}, expected {FROM_DTYPE!r}, or "
    if isinstance(categorical_features, str) or not hasattr(categorical_features, "__len__"):
        raise ValueError(what + "a list of names, of indices, or a boolean for each column")
    given = list(categorical_features)
    if given and all(isinstance(value, (bool, np.bool_)) for value in given):
        if len(given) != frame.n_columns:
            raise ValueError(what + f"as a mask {frame.n_columns} booleans, one for each column: there are "
                             f"{len(given)}")
        return {i for i, value in enumerate(given) if value}
    if given and all(isinstance(value, str) for value in given):
        names = frame.names
        if names is None:
            raise ValueError(what + "indices or a mask: the columns of X have no names")
        if strange := sorted(set(given) - set(names)):
            raise ValueError(what + f"names of columns of X: {', '.join(strange)} are not among them")
        return {names.index(name) for name in given}
    if not all(isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)) for value in given):
        raise ValueError(what + "names, indices or booleans, all of one kind")
    if strange_ones := [int(i) for i in given if not -frame.n_columns <= i < frame.n_columns]:
        raise ValueError(what + f"indices of columns: {strange_ones} are none, X has {frame.n_columns}")
    return {int(i) % frame.n_columns for i in given}

"""The public catalogue of encoders: what the columns of X become before the first layer reads them.

Each names the columns that it reads; its numbers stand in the order of the encoders, column after column. What an
encoder learns lies in `Network.parameters`, before the first layer's weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .kernels.layer import encoders as kernels
from .util.settings import count, plain_numbers, positive, whole

__all__ = ["ENCODERS", "Embedding", "Encoder", "Identity", "OneHot", "Periodic", "PiecewiseLinear"]

Array = npt.NDArray[Any]

MOST_CATEGORIES = 2**24
"""Up to here a float32 tells every code from the next."""


@dataclass(frozen=True)
class Encoder:
    """What all encoders have in common; use one of `ENCODERS`.

    Attributes
    ----------
    reads : tuple of int
        The columns of X that it reads.
    width : int
        The numbers that it makes of them.
    units, unit : int
        Its parameters are so many units (a category, a column) of so many numbers each.
    """

    encode: ClassVar[Any] = kernels.identity
    """The kernel that computes its numbers."""
    gradient: ClassVar[Any] = None
    """The kernel that sums the gradient of its parameters, if it has any."""
    slope: ClassVar[Any] = None
    """The kernel that adds its part of derivatives by the columns, if they are numbers."""
    reads_codes: ClassVar[bool] = False
    """Whether its column holds codes of categories, and not numbers."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone, which the constructor looks at again."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def reads(self) -> tuple[int, ...]:
        """The columns of X that it reads."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """The numbers that it makes of them."""
        raise NotImplementedError

    @property
    def units(self) -> int:
        """How many parts of its parameters threads may share."""
        return 0

    @property
    def unit(self) -> int:
        """Numbers in such a part."""
        return 0

    @property
    def counts(self) -> tuple[int, int]:
        """What kernels count: categories or frequencies, and the numbers of a category or a column."""
        return 0, 1

    @property
    def kept(self) -> int:
        """Numbers that it keeps of each sample for its gradient."""
        return 0

    def check(self, kind: np.dtype[Any]) -> None:
        """Raise ValueError if it does not work in a dtype."""

    def listed(self) -> list[int]:
        """Return the columns as kernels read them, with what belongs to each."""
        return list(self.reads)

    def draw(self, generator: np.random.Generator) -> Array:
        """Return first parameters, (units, unit)."""
        return np.empty((0, 0))

    def views(self, parameters: Array) -> dict[str, Array]:
        """Return parts of its parameters, (units, unit), by name."""
        return {}


def _columns(owner: Encoder, value: Any) -> tuple[int, ...]:
    """Return the columns that an encoder reads: one, or a sequence of them."""
    several = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
    found = tuple(value) if several and getattr(value, "ndim", 1) == 1 else (value,)
    if not found:
        raise ValueError(f"{type(owner).__name__}: columns is empty, expected the numbers of columns of X")
    return tuple(_column(owner, f"columns[{i}]" if several else "columns", one) for i, one in enumerate(found))


def _column(owner: Encoder, name: str, value: Any) -> int:
    """Return the number of a column."""
    whole(0)(owner, name, value)
    return int(value)


@dataclass(frozen=True)
class _Numeric(Encoder):
    """An encoder of columns of numbers."""

    columns: Sequence[int] | int

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _columns(self, self.columns))

    @property
    def reads(self) -> tuple[int, ...]:
        """The columns of X that it reads."""
        assert isinstance(self.columns, tuple)
        return self.columns


@dataclass(frozen=True)
class Identity(_Numeric):
    """Columns as they are: e = x.

    Parameters
    ----------
    columns : int or sequence of int
        The columns of X, from 0.

    Raises
    ------
    ValueError
        If there are none, or one is no whole number from 0 up.

    Examples
    --------
    >>> Identity([0, 2]).width
    2
    """

    slope = kernels.identity_slope

    @property
    def width(self) -> int:
        """As many numbers."""
        return len(self.reads)


@dataclass(frozen=True)
class _Categorical(Encoder):
    """An encoder of one column of codes: 0 … categories − 1; NaN, −1 and any higher code stand for a missing one."""

    column: int
    categories: int
    reads_codes = True

    def __post_init__(self) -> None:
        plain_numbers(self)
        object.__setattr__(self, "column", _column(self, "column", self.column))
        whole(1, MOST_CATEGORIES)(self, "categories", self.categories)
        object.__setattr__(self, "categories", int(self.categories))

    @property
    def reads(self) -> tuple[int, ...]:
        """The column of X that it reads."""
        return (self.column,)

    @property
    def counts(self) -> tuple[int, int]:
        """Categories, and the numbers of each."""
        return self.categories, self.width


@dataclass(frozen=True)
class OneHot(_Categorical):
    """A number for each category: e_c = 1 for that of the sample, else 0.

    Parameters
    ----------
    column : int
        The column of X that holds codes, whole numbers from 0 to ``categories`` − 1. NaN, −1, and any higher number
        mean that the category is missing or unseen: all e are 0 then.
    categories : int
        How many there are, at most 2²⁴.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import fastbp, numpy as np
    >>> net = fastbp.Network((2, 1), encoders=[Identity(0), OneHot(1, categories=3)], seed=1)
    >>> net.encoded_size, net.weights[0].shape
    (4, (1, 4))
    >>> net.predict([[0.5, 2], [0.5, np.nan]]).shape
    (2, 1)
    """

    encode = kernels.one_hot

    @property
    def width(self) -> int:
        """A number for each category."""
        return self.categories


@dataclass(frozen=True)
class Embedding(_Categorical):
    """A row of a table for each category, and one for a missing one; the table is learned.

    Parameters
    ----------
    column : int
        The column of X that holds codes, whole numbers from 0 to ``categories`` − 1. NaN, −1, and any higher number
        mean that the category is missing or unseen: they read the last row.
    categories : int
        How many there are, at most 2²⁴.
    size : int, default 8
        Numbers in a row.

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    Rows of categories begin at N(0, 1), as in RealMLP (Holzmüller, Grinsztajn & Steinwart 2024, arXiv 2407.04491);
    that of a missing one at 0, their mean, since where nothing is missing in training it stays what it was. ``table``
    in `Network.encoder_parameters` is (categories + 1, size).

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((1, 8, 1), encoders=[Embedding(0, categories=50, size=4)], seed=1)
    >>> net.encoder_parameters[0]["table"].shape
    (51, 4)
    """

    size: int = 8
    encode = kernels.embedding
    gradient = kernels.embedding_gradient

    def __post_init__(self) -> None:
        super().__post_init__()
        count(self, "size", self.size)

    @property
    def width(self) -> int:
        """Numbers in a row of the table."""
        return self.size

    @property
    def units(self) -> int:
        """Rows of the table."""
        return self.categories + 1

    @property
    def unit(self) -> int:
        """Numbers in a row."""
        return self.size

    def draw(self, generator: np.random.Generator) -> Array:
        """Return a table of N(0, 1), the last row 0."""
        found = np.zeros((self.units, self.unit))
        found[:-1] = generator.normal(size=(self.categories, self.size))
        return found

    def views(self, parameters: Array) -> dict[str, Array]:
        """Return the table."""
        return {"table": parameters}


@dataclass(frozen=True)
class Periodic(_Numeric):
    """The embedding PBLD: for each column e = (W₂ cos(2πx w₁ + b₁) + b₂, x), all but x learned.

    Parameters
    ----------
    columns : int or sequence of int
        The columns of X, from 0.
    frequencies : int, default 16
        Cosines of each column: the length of w₁ and b₁.
    size : int, default 4
        Numbers that each column becomes, x among them: W₂ has one row less. At least 2.
    scale : float, default 0.1
        Standard deviation of the first w₁, which says how fast the cosines change with x.

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    From RealMLP (Holzmüller, Grinsztajn & Steinwart 2024, arXiv 2407.04491), after the embedding PLR of
    Gorishniy, Rubachev & Babenko (2022, section 3.3), with a phase, no nonlinearity behind the linear map, and x beside
    it. First parameters: w₁ ~ N(0, scale²), b₁ ~ U[−π, π], W₂ and b₂ ~ U[−1/√frequencies, 1/√frequencies]. X is to be
    scaled before, so that most of it lies within ±3. In `Network.encoder_parameters` these are ``frequencies`` and
    ``phases``, (columns, frequencies), ``weights``, (columns, size − 1, frequencies), and ``biases``, (columns,
    size − 1).

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((3, 32, 1), encoders=[Periodic([0, 1, 2])], scaling=True, seed=1)
    >>> net.encoded_size
    12
    >>> {name: part.shape for name, part in net.encoder_parameters[0].items()}
    {'frequencies': (3, 16), 'phases': (3, 16), 'weights': (3, 3, 16), 'biases': (3, 3)}
    """

    frequencies: int = 16
    size: int = 4
    scale: float = 0.1
    encode = kernels.periodic
    gradient = kernels.periodic_gradient
    slope = kernels.periodic_slope

    def __post_init__(self) -> None:
        plain_numbers(self)
        super().__post_init__()
        count(self, "frequencies", self.frequencies)
        count(self, "size", self.size)
        if self.size < 2:
            raise ValueError(f"Periodic: size is {self.size}, expected at least 2: x itself is one of its numbers")
        positive(self, "scale", self.scale)
        object.__setattr__(self, "scale", float(self.scale))

    @property
    def width(self) -> int:
        """``size`` numbers for each column."""
        return len(self.reads) * self.size

    @property
    def counts(self) -> tuple[int, int]:
        """Cosines and numbers of a column."""
        return self.frequencies, self.size

    @property
    def kept(self) -> int:
        """Of each column its cosines, −sines, and 2πx."""
        return len(self.reads) * (2 * self.frequencies + 1)

    @property
    def units(self) -> int:
        """Columns."""
        return len(self.reads)

    @property
    def unit(self) -> int:
        """w₁, b₁, W₂ and b₂ of a column."""
        return 2 * self.frequencies + (self.size - 1) * (self.frequencies + 1)

    def draw(self, generator: np.random.Generator) -> Array:
        """Return first parameters, a row for each column."""
        found, n, bound = np.empty((self.units, self.unit)), self.frequencies, 1 / math.sqrt(self.frequencies)
        found[:, :n] = generator.normal(0.0, self.scale, (self.units, n))
        found[:, n : 2 * n] = generator.uniform(-math.pi, math.pi, (self.units, n))
        found[:, 2 * n :] = generator.uniform(-bound, bound, (self.units, self.unit - 2 * n))
        return found

    def views(self, parameters: Array) -> dict[str, Array]:
        """Return w₁, b₁, W₂ and b₂ of all columns."""
        n, linear = self.frequencies, self.size - 1
        end = 2 * n + linear * n
        return {"frequencies": parameters[:, :n], "phases": parameters[:, n : 2 * n],
                "weights": parameters[:, 2 * n : end].reshape(self.units, linear, n), "biases": parameters[:, end:]}


@dataclass(frozen=True)
class PiecewiseLinear(_Numeric):
    """A number for each bin between edges b_0 < … < b_T: e_t = (x − b_{t−1})/(b_t − b_{t−1}), within 0 … 1.

    Parameters
    ----------
    columns : int or sequence of int
        The columns of X, from 0.
    edges : sequence of float, or a sequence of these
        b_0, …, b_T, increasing, two or more: for all columns, or for each of its own. Quantiles of the column in
        training are the usual choice.

    Raises
    ------
    ValueError
        If columns or edges are none, edges do not increase or are not finite, or there are edges for another number of
        columns.

    Notes
    -----
    The piecewise linear encoding of Gorishniy, Rubachev & Babenko (2022, section 3.2, equation 1): the first e is not
    limited from below, the last not from above, so that beyond the edges it goes on in a line. Nothing of it is
    learned.

    Examples
    --------
    >>> encoder = PiecewiseLinear([0, 1], edges=[[-1, 0, 1], [0, 10, 20, 30]])
    >>> encoder.width
    5
    """

    edges: Any
    encode = kernels.piecewise_linear
    slope = kernels.piecewise_linear_slope

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "edges", self._edges(self.edges, len(self.reads)))

    def _edges(self, value: Any, columns: int) -> tuple[tuple[float, ...], ...]:
        """Return the edges of each column."""
        try:
            parts = list(value)
            nested = [isinstance(part, (Sequence, np.ndarray)) and np.ndim(part) == 1 for part in parts]
            found = [np.array(part, np.float64) for part in (parts if all(nested) and parts else [parts])]
        except (TypeError, ValueError) as error:
            raise ValueError(f"PiecewiseLinear: edges is {value!r}, expected increasing numbers, or a sequence of them "
                             "for each column") from error
        if all(nested) and parts and len(found) != columns:
            raise ValueError(f"PiecewiseLinear: edges are for {len(found)} columns, expected {columns}")
        for i, edges in enumerate(found):
            if edges.ndim != 1 or edges.size < 2 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
                raise ValueError(f"PiecewiseLinear: edges of column {i} are {edges.tolist()}, expected two or more "
                                 "finite numbers, each greater than the one before")
        each = [tuple(map(float, edges)) for edges in found]
        return tuple(each if len(each) == columns else each * columns)

    def check(self, kind: np.dtype[Any]) -> None:
        """Raise ValueError where a bin has no width in a dtype."""
        for column, edges in zip(self.reads, self.edges, strict=True):
            with np.errstate(all="ignore"):
                widths = np.diff(np.array(edges, kind))
                slopes = 1 / widths
            if not (np.isfinite(slopes).all() and np.isfinite(widths).all() and (widths > 0).all()):
                raise ValueError(f"PiecewiseLinear: edges of column {column} are {list(edges)}, between some of which "
                                 f"{kind.name} has no slope: use edges further apart, or dtype='float64'")

    @property
    def width(self) -> int:
        """A number for each bin of each column."""
        return sum(len(edges) - 1 for edges in self.edges)

    def listed(self) -> list[int]:
        """Return for each column its number, the number of its edges, and their bits."""
        found: list[int] = []
        for column, edges in zip(self.reads, self.edges, strict=True):
            found += [column, len(edges), *np.array(edges).view(np.int64).tolist()]
        return found


_ROWS = (Identity, OneHot, Embedding, Periodic, PiecewiseLinear)

ENCODERS: dict[str, Callable[..., Encoder]] = {row.__name__: row for row in _ROWS}
"""Every encoder by its name."""

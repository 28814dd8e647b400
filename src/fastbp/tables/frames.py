"""What a user's table holds, column by column: pandas, polars and Arrow through narwhals, arrays and lists without it.

A column becomes one of six kinds of `Values`, whatever library it comes from, so that a model that was fitted to a
frame of pandas predicts one of polars.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array
from sklearn.utils.validation import _num_samples

from ..util.optional import require

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

NUMBER, BOOLEAN, TEXT, MIXED, DATE, DURATION = "number", "boolean", "text", "mixed", "date", "duration"
"""Mixed are numbers or booleans among other objects, each of which counts as its text."""

EPOCH = datetime.datetime(1970, 1, 1)

FRAME = "__dataframe__", "__arrow_c_stream__", "__narwhals_dataframe__"
"""What frames have, and arrays have not."""


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a column."""

    kind: str
    numbers: Doubles
    """NaN where missing: numbers; 0 and 1; seconds since 1970 (UTC), or of a duration. Of texts what is missing."""
    texts: list[str | None] | None = None
    """Of text and of what is mixed; None where missing."""
    declared: bool = False
    """Whether the frame says that these are categories."""
    rounding: float = 0.0
    """The relative distance of two neighbours in the dtype that the numbers come from."""

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which rows are missing."""
        return np.isnan(self.numbers)

    def keys(self) -> list[Any]:
        """Return what tells categories apart: texts, or numbers; NaN or None where missing."""
        return self.numbers.tolist() if self.texts is None else self.texts

    def as_texts(self) -> list[Any]:
        """Return what tells them apart where numbers and booleans are texts, as they are among other objects."""
        if self.texts is not None:
            return self.texts
        return [text_of(bool(x) if self.kind == BOOLEAN and x == x else x) for x in self.numbers.tolist()]


@dataclass(frozen=True, eq=False)
class Frame:
    """A user's table: nothing is converted before a column is asked for."""

    names: tuple[str, ...] | None
    """Of the columns, where they are texts."""
    n_rows: int
    n_columns: int
    column: Callable[[int], Values]


def read(X: Any) -> Frame:
    """Return a user's table.

    Parameters
    ----------
    X : frame of pandas, polars, pyarrow or another that narwhals knows; or array_like, shape (n_samples, n_features)
        Of numbers, booleans, texts, dates, durations or any objects.

    Returns
    -------
    Frame

    Raises
    ------
    ValueError, TypeError
        If it is no table, or has no rows or no columns.
    ImportError
        For a frame without narwhals.
    """
    if any(hasattr(X, name) for name in FRAME) and not isinstance(X, np.ndarray):
        return _of_frame(X)
    if isinstance(X, (list, tuple)) and (cells := np.asarray(X, object)).ndim == 2:
        X = cells
    mask = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else None
    if isinstance(X, np.ndarray) and X.dtype.kind in "mMUSV" and X.ndim == 2:
        array = X
        if X.dtype.kind == "V":
            raise TypeError(f"X has dtype {X.dtype}, expected an array of two dimensions or a frame")
        _check_size(*X.shape)
    else:
        array = check_array(X, dtype=None, ensure_all_finite=False)
    return Frame(None, array.shape[0], array.shape[1],
                 lambda j: _of_array(array[:, j], None if mask is None else mask[:, j]))


def _check_size(rows: int, columns: int) -> None:
    if rows < 1:
        raise ValueError(f"Found array with {rows} sample(s) (shape=({rows}, {columns})) while a minimum of 1 is "
                         "required.")
    if columns < 1:
        raise ValueError(f"Found array with {columns} feature(s) (shape=({rows}, {columns})) while a minimum of 1 is "
                         "required.")


# ----------------------------------------------------------------------------------------------------------- frames


def _of_frame(X: Any) -> Frame:
    nw = require("narwhals.stable.v2", "table")
    try:
        frame = nw.from_native(X, eager_only=True)
    except TypeError as error:
        raise TypeError(f"X is a {type(X).__name__}, expected a frame of pandas, polars or pyarrow or an array of two "
                        "dimensions: make a frame of it first (of a Series by X.to_frame())") from error
    names = list(frame.columns)
    _check_size(_num_samples(X) if not names else len(frame), len(names))
    texts = [isinstance(name, str) for name in names]
    if any(texts) and not all(texts):
        raise TypeError("Feature names are only supported if all input features have string names, but your input has "
                        f"{sorted({type(name).__name__ for name in names})} as feature name / column name types: use "
                        "X.columns = X.columns.astype(str)")
    return Frame(tuple(names) if all(texts) else None, len(frame), len(names),
                 lambda j: _of_series(nw, frame[:, j], str(names[j])))


def _of_series(nw: Any, series: Any, name: str) -> Values:
    """Return the values of a column of a frame."""
    dtype = series.dtype
    if dtype.is_numeric():
        return _numbers(NUMBER, series.cast(nw.Float64).to_numpy(), _rounding(str(dtype).lower()))
    if dtype == nw.Boolean:
        return _numbers(BOOLEAN, series.cast(nw.Float64).to_numpy())
    if dtype == nw.Datetime or dtype == nw.Date:
        return _numbers(DATE, series.dt.timestamp("us").cast(nw.Float64).to_numpy() / 1e6)
    if dtype == nw.Duration:
        return _numbers(DURATION, series.dt.total_microseconds().cast(nw.Float64).to_numpy() / 1e6)
    if dtype.is_nested():
        raise TypeError(f"column {name!r} holds {dtype}, expected numbers, booleans, texts, categories or dates")
    values = _of_objects(series.to_list(), series.is_null().to_numpy())
    if dtype == nw.Categorical or dtype == nw.Enum:
        return Values(values.kind, values.numbers, values.texts, declared=True)
    return values


def _numbers(kind: str, values: Any, rounding: float = 0.0) -> Values:
    return Values(kind, np.asarray(values, np.float64), rounding=rounding)


def _rounding(dtype: str) -> float:
    return float(np.finfo(dtype).eps) if dtype in ("float16", "float32", "float64") else 0.0


# ---------------------------------------------------------------------------------------------- arrays and objects


def _of_array(column: Array, mask: npt.NDArray[np.bool_] | None) -> Values:
    """Return the values of a column of an array."""
    dtype = column.dtype
    missing = np.zeros(len(column), np.bool_) if mask is None else mask
    if dtype.kind in "biuf":
        values = column.astype(np.float64)
        values[missing] = np.nan
        return _numbers(BOOLEAN if dtype.kind == "b" else NUMBER, values, _rounding(dtype.name))
    if dtype.kind in "mM":
        missing = missing | np.isnat(column)
        values = column.astype("M8[us]" if dtype.kind == "M" else "m8[us]").astype(np.int64) / 1e6
        values[missing] = np.nan
        return _numbers(DATE if dtype.kind == "M" else DURATION, values)
    return _of_objects(column.tolist(), missing)


def _of_objects(values: list[Any], null: npt.NDArray[np.bool_]) -> Values:
    """Return values of any types: booleans, numbers, dates or durations where all are; else each as a text."""
    missing = null | np.fromiter((_is_missing(value) for value in values), np.bool_, len(values))
    kinds = {type(value) for value, without in zip(values, missing, strict=True) if not without}
    for kind, types, number in (
        (BOOLEAN, (bool, np.bool_), float),
        (NUMBER, (Real, Decimal, np.bool_), _number),
        (DATE, (datetime.date, np.datetime64), _seconds_since_1970),
        (DURATION, (datetime.timedelta, np.timedelta64), _seconds),
    ):
        if all(issubclass(given, types) for given in kinds):
            return _numbers(kind, _each(number, values, missing), float(np.finfo(np.float64).eps) if kind == NUMBER
                            else 0.0)
    texts = [None if without else text_of(value) for value, without in zip(values, missing, strict=True)]
    mixed = any(issubclass(given, (Real, Decimal, np.bool_)) for given in kinds)
    return Values(MIXED if mixed else TEXT, np.where(missing, np.nan, 0.0), texts)


def _is_missing(value: Any) -> bool:
    """Return whether this is None, NaN, NaT or pandas' NA, which is neither equal to itself nor unequal."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, (float, np.floating, Decimal, datetime.date, datetime.timedelta, np.generic)) \
        and bool(value != value)


def _each(number: Callable[[Any], float], values: Iterable[Any], missing: npt.NDArray[np.bool_]) -> Doubles:
    return np.fromiter((np.nan if without else number(value) for value, without in zip(values, missing, strict=True)),
                       np.float64, len(missing))


def _number(value: Any) -> float:
    """Return a number in double; one that is beyond it is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _seconds_since_1970(value: Any) -> float:
    if isinstance(value, np.datetime64):
        return float(value.astype("M8[us]").astype(np.int64)) / 1e6
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return float((value - EPOCH).total_seconds())


def _seconds(value: Any) -> float:
    if isinstance(value, np.timedelta64):
        return float(value.astype("m8[us]").astype(np.int64)) / 1e6
    return float(value.total_seconds())


def text_of(value: Any) -> str:
    """Return a category's text; 1 and 1.0 have the same, since a missing value makes floats of integers."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)

"""Targets as networks learn them: numbers standardised, classes by their index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers, whatever their units: the network learns (y − center)/scale.

    Attributes
    ----------
    center, scale : ndarray of float64, shape (n_outputs,)
        Mean and standard deviation, by weight; a scale of 1 where all numbers are the same.
    low, high : ndarray of float64, shape (n_outputs,)
        The smallest and the largest that weighs anything.
    single : bool
        Whether y had one dimension.
    """

    center: Doubles
    scale: Doubles
    low: Doubles
    high: Doubles
    single: bool

    def __post_init__(self) -> None:
        arrays = self.center, self.scale, self.low, self.high
        if not (all(np.isfinite(array).all() for array in arrays) and (self.scale > 0).all()
                and (self.low <= self.high).all() and isinstance(self.single, bool)
                and (len(self.center) == 1 or not self.single)):
            raise ValueError(f"these describe no targets: {self}")

    @property
    def n_outputs(self) -> int:
        """Of a network."""
        return len(self.center)

    @staticmethod
    def checked(y: Any) -> Doubles:
        """Return a user's y in double, (n,) or (n, n_outputs)."""
        found: Doubles = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", ensure_min_samples=1)
        if found.ndim > 2 or found.ndim == 2 and found.shape[1] == 0:
            raise ValueError(f"y has shape {found.shape}, expected (n_samples,) or (n_samples, n_outputs)")
        return found

    @classmethod
    def learn(cls, y: Doubles, weights: Doubles | None) -> Numbers:
        """Look at targets, (n,) or (n, n_outputs)."""
        rows = y.reshape(len(y), -1)
        weighing = rows if weights is None else rows[weights > 0]
        low, high = weighing.min(axis=0), weighing.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            center = np.average(rows, axis=0, weights=weights)
            scale = np.sqrt(np.average(np.square(rows - center), axis=0, weights=weights))
        if not np.isfinite(scale).all():
            raise ValueError(f"y has numbers from {low.min():g} to {high.max():g}, whose squares are not within "
                             "float64: scale y first")
        return cls(center, np.where((high > low) & (scale > 0), scale, 1.0), low, high, y.ndim == 1)

    def encoded(self, y: Doubles) -> npt.NDArray[np.float32]:
        """Return what the network learns, (n, n_outputs)."""
        rows = y.reshape(len(y), -1)
        if rows.shape[1] != len(self.center):
            raise ValueError(f"y_val has {rows.shape[1]} outputs, y has {len(self.center)}")
        return ((rows - self.center) / self.scale).astype(np.float32)

    def decoded(self, outputs: Doubles, clamp: bool) -> Doubles:
        """Return numbers in the units of y, as many dimensions as y had; ``clamp`` keeps them within its range."""
        found = self.center + self.scale * outputs.astype(np.float64)
        if clamp:
            found = np.clip(found, self.low, self.high)
        return self.shaped(found)

    def shaped(self, found: Doubles) -> Doubles:
        """Return rows (…, n_outputs) with as many dimensions as y had."""
        return found[..., 0] if self.single else found


@dataclass(frozen=True, eq=False)
class Classes:
    """Classes, whatever their names: the network learns their index among the sorted names."""

    names: Array

    def __post_init__(self) -> None:
        if self.names.ndim != 1 or len(self.names) < 2 or len(np.unique(self.names)) < len(self.names):
            raise ValueError(f"these are no names of classes: {self.names!r}, expected two different ones or more")

    @property
    def n_outputs(self) -> int:
        """Of a network."""
        return len(self.names)

    @staticmethod
    def checked(y: Any) -> Array:
        """Return a user's y, (n,)."""
        found = column_or_1d(y, warn=True)
        if found.dtype == object:
            if any(value is None or value != value for value in found.tolist() if type(value).__name__ != "NAType") \
                    or any(type(value).__name__ == "NAType" for value in found.tolist()):
                raise ValueError("Input y contains NaN: a class is missing, drop these rows")
            found = np.array(found.tolist()) if len({type(value) for value in found.tolist()}) == 1 else found
        elif found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError("Input y contains NaN or infinity: a class is missing, drop these rows")
        check_classification_targets(found)
        return found  # type: ignore[no-any-return]

    @classmethod
    def learn(cls, y: Array) -> Classes:
        """Look at the classes of rows."""
        names = np.unique(y)
        if len(names) < 2:
            raise ValueError(f"y has one class, {names.tolist()[0]!r}, and a classifier learns to tell several apart")
        return cls(names)

    def encoded(self, y: Array) -> npt.NDArray[np.int64]:
        """Return the index of each row's class."""
        places = np.minimum(np.searchsorted(self.names, y), len(self.names) - 1)
        if (wrong := self.names[places] != y).any():
            raise ValueError(f"y_val has the class {y[wrong].tolist()[0]!r}, which y has not")
        return places.astype(np.int64)


def class_factors(class_weight: Any, classes: Classes, codes: npt.NDArray[np.int64]) -> Doubles:
    """Return the factor of each class's weights, as scikit-learn has them: "balanced", or a dict by name."""
    found: Doubles = compute_class_weight(class_weight, classes=classes.names, y=classes.names[codes])
    return found

"""Partitions as an estimator's network learns them: classes and moments over all, targets and weights of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets

from ..costs import ANY
from ..estimators._base import _MLP, _scaler, _standardized
from .parts import Description, Part

Array = npt.NDArray[Any]


class Moments(NamedTuple):
    """Of the rows of a partition: their weight, and mean and variance of each column."""

    weight: float
    mean: Array
    variance: Array


@dataclass
class Preparation:
    """What partitions are prepared by: the estimator inside, and what is known of all of them."""

    local: _MLP
    width: int | None
    """Columns of y, None where it has but one number a row."""
    columns: list[Any] | None = None
    factors: Array | None = None
    """Of the weights of samples, for each class."""

    def example_targets(self) -> Array:
        """Return targets of some rows, by which outputs are counted."""
        if self.width is not None:
            return self.targets(np.eye(self.width, dtype=np.int64))
        return self.targets(self.local.classes_ if hasattr(self.local, "classes_") else np.zeros(1))

    def set_scalers(self, found: Sequence[tuple[Moments, Moments] | None]) -> None:
        """Have scalers of all partitions' moments, put together pair by pair (Chan, Golub & LeVeque 1979)."""
        known = [each for each in found if each is not None]
        if not known:
            raise ValueError("sample_weight is 0 for every sample, expected at least one positive weight")
        local = self.local
        local.input_scaler_ = joined_scaler([each[0] for each in known])
        cost = local._cost_and_output()[0]
        if cost.targets == ANY and cost.output == "identity" and not hasattr(local, "classes_"):
            local.target_scaler_ = joined_scaler([each[1] for each in known])

    def targets(self, y: Array) -> Array:
        """Return what the network learns of y."""
        found: Array = self.local._targets(y.reshape(len(y)) if self.width is None else y)
        return found

    def weights(self, y: Array, given: Array | None) -> Array | None:
        """Return the weights of samples, with the factors of their classes."""
        if self.factors is None:
            return given
        by_class: Array = self.factors[np.searchsorted(self.local.classes_, y.reshape(len(y)))]
        return by_class if given is None else given * by_class

    def validation(self, X: Any, y: Any) -> tuple[Array, Array]:
        """Return a pair of arrays in memory as the network takes them."""
        X, y = self.local._checked(X, y, reset=False)
        self.local._check_known(y)
        return _standardized(self.local.input_scaler_, X), \
            _standardized(self.local.target_scaler_, self.local._targets(y))

    def learned(self, rows: int, validated: bool) -> None:
        """Take note of what the network has recorded, as the estimator shows it after a fit of its own."""
        local, history = self.local, self.local._network.history
        local._show()
        local.n_iter_, local.t_ = len(history), rows * len(history)
        local.loss_curve_ = history.cost.tolist()
        local.validation_loss_curve_ = history.validation_cost.tolist() if validated else []
        local.loss_, local.best_loss_ = local.loss_curve_[-1], min(local.loss_curve_)


def output_columns(known: Sequence[Description]) -> int | None:
    """Return how many columns y has, None for one; raises ValueError where partitions differ."""
    shapes = {each.shapes[1][1:] for each in known}
    if len(shapes) > 1 or len(min(shapes)) > 1:
        raise ValueError(f"partitions of y have shapes {sorted({each.shapes[1] for each in known})}, expected (n,) or "
                         "(n, m), with as many columns in each")
    return None if min(shapes) in ((), (1,)) else min(shapes)[0]


def classes_in(part: Part, number: int) -> tuple[Array, Array] | None:
    """Return the classes of a partition and how many rows each has; None for one without rows, or for labels."""
    y = part[1]
    if len(y) == 0:
        return None
    try:
        several = y.ndim == 2 and y.shape[1] > 1
        check_classification_targets(y if several else y.reshape(len(y)))
        if several:
            if not np.isin(y, (0, 1)).all():
                raise ValueError("labels other than 0 and 1")
            return np.arange(y.shape[1]), y.sum(axis=0)
        return np.unique(y.reshape(len(y)), return_counts=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"partition {number} of y cannot be classes: {error}; expected whole numbers or texts, none "
                         "missing, or a matrix of 0 and 1") from error


def joined_classes(found: Sequence[tuple[Array, Array] | None]) -> tuple[Array, Array]:
    """Return the classes of all partitions, sorted, and how many rows each has."""
    known = [each for each in found if each is not None]
    if not known:
        raise ValueError("y has no rows in any partition, expected at least one sample")
    if len({isinstance(each[0].tolist()[0], str) for each in known}) > 1:
        raise ValueError("y has texts in some partitions and numbers in others: expected classes of one kind")
    classes, places = np.unique(np.concatenate([each[0] for each in known]), return_inverse=True)
    return classes, np.bincount(places, np.concatenate([each[1] for each in known]))


def moments(part: Part, number: int, own: Preparation) -> tuple[Moments, Moments] | None:
    """Return the moments of X and of the targets of a partition, by weights; None where nothing weighs anything."""
    X, y, *weights = part
    weight = own.weights(y, weights[0] if weights else None)
    if len(X) == 0 or (weight is not None and not weight.any()):
        return None
    for name, values in (("X", X), ("y", y)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"partition {number} of {name} holds numbers that are not finite: remove or impute such "
                             "rows")
    targets = own.targets(y)
    return _moments("X", X, weight), _moments("y", targets.reshape(len(targets), -1), weight)


def _moments(name: str, values: Array, weight: Array | None) -> Moments:
    scaler = _scaler(name, values, weight)
    return Moments(float(len(values) if weight is None else weight.sum()), scaler.mean_, scaler.var_)


def joined_scaler(found: Sequence[Moments]) -> StandardScaler:
    """Return the scaler of all partitions together."""
    total, mean, variance = found[0]
    for weight, other, spread in found[1:]:
        both, step = total + weight, other - mean
        variance = (variance * total + spread * weight) / both + step**2 * (total / both) * (weight / both)
        mean = mean + step * (weight / both)
        total = both
    scaler = StandardScaler()
    scaler.mean_, scaler.var_, scaler.n_samples_seen_, scaler.n_features_in_ = mean, variance, total, len(mean)
    constant = variance <= total * np.finfo(np.float64).eps * variance + (total * mean * np.finfo(np.float64).eps) ** 2
    scaler.scale_ = np.where(constant, 1.0, np.sqrt(variance))
    return scaler


def prepare(part: Part, own: Preparation) -> Part:
    """Return a partition as the network learns it."""
    X, y, *given = part
    dtype, local = own.local._network.dtype, own.local
    targets = own.targets(y) if len(y) else own.example_targets()[:0]
    weight = own.weights(y, given[0] if given else None)
    if local.input_scaler_ is not None and len(X):
        X = _standardized(local.input_scaler_, X).astype(dtype, copy=False)
    if local.target_scaler_ is not None and len(X):
        targets = _standardized(local.target_scaler_, targets).astype(dtype, copy=False)
    return (X, targets) if weight is None else (X, targets, weight)

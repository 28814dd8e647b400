"""Samples that the fits of a search share, and what is found out about them once for all of these."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_sample_weight

from . import _fit
from ._base import _MLP, Rows, _Samples
from ._prepare import hidden_layers

Array = npt.NDArray[Any]


class _Once:
    """Keeps what it has made."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made for this key, or make it."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


class Shared(_Once):
    """Samples, checked once for all estimators of a class that are trained on rows of them.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        Of that class; it is not changed.
    X, y, weight
        As `fit` takes them.
    """

    def __init__(self, mlp: _MLP, X: Any, y: Any, weight: Any) -> None:
        super().__init__()
        first = clone(mlp)
        self.X, self.y = first._checked(X, y, reset=True)
        self.weight: Array | None = None if weight is None else _check_sample_weight(weight, self.X)
        self.features = _some(first, "n_features_in_", "feature_names_in_")

    def prepare(self, mlp: _MLP, fold: int, rows: Rows) -> _fit.Prepared:
        """Prepare a fit on these rows, which are those of all fits on this fold."""
        mlp._validate_params()
        hidden_layers(mlp)
        mlp.__dict__.update(self.features)
        mlp.__dict__.update(self.once(("classes", fold), lambda: self._classes(mlp, rows)))
        loss, by_class = repr(mlp.loss), repr(getattr(mlp, "class_weight", None))
        data = _Samples(self.X, self._targets(mlp, fold, rows), self._weights(mlp, rows), rows)
        if not mlp.standardize:
            return _fit.prepare(mlp, data)
        scalers, scaled = self.once(("scaled", fold, loss, by_class), lambda: self._scaled(mlp, data.own()))
        mlp.__dict__.update(scalers)
        return _fit.prepare(mlp, data, scaled=scaled)

    def _classes(self, mlp: _MLP, rows: Rows) -> dict[str, Any]:
        """Return the attributes that tell the classes of these rows."""
        mlp._set_classes(self.y[rows], False)
        return _some(mlp, "classes_", "_label_binarizer")

    def _targets(self, mlp: _MLP, fold: int, rows: Rows) -> Array:
        """Return targets of all samples; those of classes are right in these rows, which may lack a class."""
        def numbered() -> Array:
            own = mlp._targets(self.y[rows])
            targets = np.zeros((len(self.y), *own.shape[1:]), own.dtype)
            targets[rows] = own
            return targets

        key, make = (fold, repr(mlp.loss)), numbered
        if not is_classifier(mlp):
            key, make = (-1, ""), lambda: mlp._targets(self.y)
        targets: Array = self.once(("targets", *key), make)
        return targets

    def _weights(self, mlp: _MLP, rows: Rows) -> Array | None:
        """Return weights of all samples, right in these rows."""
        own = None if self.weight is None else self.weight[rows]
        factored = mlp._with_class_weight(self.y[rows], own, False)
        if factored is own:
            return self.weight
        weights = np.zeros(len(self.y))
        weights[rows] = factored
        return weights

    def _scaled(self, mlp: _MLP, data: _Samples) -> tuple[dict[str, Any], _Samples]:
        """Return scalers, and the samples standardised by them."""
        mlp._set_scalers(data, mlp._cost_and_output()[0], True)
        return _some(mlp, "input_scaler_", "target_scaler_"), mlp._scaled(data).pick(np.arange(len(data)))


def _some(mlp: _MLP, *names: str) -> dict[str, Any]:
    """Return those of these attributes that it has."""
    return {name: vars(mlp)[name] for name in names if name in vars(mlp)}


class Estimators(_Once):
    """Makes estimators of all settings, and prepares their fits.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
    X, y, weight
        As `fit` takes them.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, weight: Any) -> None:
        super().__init__()
        self.estimator, self.X, self.y, self.weight = estimator, X, y, weight
        self.shared = None if isinstance(estimator, Pipeline) else Shared(estimator, X, y, weight)

    def made(self, settings: dict[str, Any]) -> Any:
        """Return the estimator with these settings."""
        return clone(self.estimator).set_params(**clone(settings, safe=False))

    def prepare(self, estimator: Any, settings: dict[str, Any], fold: int, rows: Rows) -> _fit.Prepared:
        """Prepare its fit on these rows; transformers of a Pipeline are fitted, or have been with the same settings.

        The same settings are the same objects: so none has to be compared, or hashed.
        """
        if self.shared is not None:
            return self.shared.prepare(estimator, fold, rows)
        name, mlp = estimator.steps[-1]
        if not isinstance(mlp, _MLP):
            raise TypeError(f"the last step is {mlp!r}, expected MLPClassifier or MLPRegressor of fastbp")
        theirs = frozenset((key, id(value)) for key, value in settings.items() if key.split("__")[0] != name)
        steps, shared = self.once((fold, theirs), lambda: self._transformed(estimator, mlp, rows))
        estimator.steps = [*steps, (name, mlp)]
        prepared: _fit.Prepared = shared.prepare(mlp, fold, np.arange(len(rows)))
        return prepared

    def _transformed(self, pipeline: Pipeline, mlp: _MLP, rows: Rows) -> tuple[list[Any], Shared]:
        """Return the transformers, fitted, and what they make of these rows."""
        X, y = _safe_indexing(self.X, rows), _safe_indexing(self.y, rows)
        before = pipeline[:-1]
        if before.steps:
            X = before.fit_transform(X, y)
        weight = None if self.weight is None else _safe_indexing(self.weight, rows)
        return before.steps, Shared(mlp, X, y, weight)

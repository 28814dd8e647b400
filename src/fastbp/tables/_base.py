"""What `TabularRegressor` and `TabularClassifier` share: parameters, checks, columns, members, records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..ensembles.ensemble import Ensemble
from ..ensembles.held_out import HeldOut
from . import recipe as recipes
from . import training
from .columns import MOST_EDGES, Floats
from .frames import Frame, read
from .importance import permutation_importances
from .matrix import ColumnDescriptions, Table
from .training import Rows, Trained

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

AUTO = StrOptions({"auto"})

MOST_FREQUENCIES = 1024
"""Of a number."""

PARTS = "training", "validation"
"""Whose losses are recorded."""


class _Tabular(BaseEstimator):
    """What `TabularRegressor` and `TabularClassifier` share."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "n_folds": [AUTO, Interval(Integral, 2, None, closed="left")],
        "hidden_layer_sizes": [AUTO, "array-like"],
        "activation": [str],
        "learning_rate": [AUTO, Interval(Real, 0, None, closed="neither")],
        "epochs": [AUTO, Interval(Integral, 1, None, closed="left")],
        "batch_size": [AUTO, Interval(Integral, 1, None, closed="left")],
        "weight_decay": [AUTO, Interval(Real, 0, None, closed="left")],
        "dropout": [AUTO, Interval(Real, 0, 1, closed="left")],
        "n_pieces": [AUTO, Interval(Integral, 0, MOST_EDGES - 1, closed="both")],
        "n_frequencies": [AUTO, Interval(Integral, 0, MOST_FREQUENCIES, closed="both")],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "callbacks": [list, tuple, callable, None],
        "verbose": ["verbose"],
        "progress": ["boolean"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }
    _settings: ClassVar[tuple[str, ...]] = ("hidden_layer_sizes", "activation", "learning_rate", "epochs", "batch_size",
                                            "weight_decay", "dropout", "n_pieces", "n_frequencies")
    """Parameters that a recipe has, too."""
    _is_classifier: ClassVar[bool]
    oof_predictions_: Doubles

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Store the constructor's arguments unchanged, as scikit-learn's contract asks for."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    # ------------------------------------------------------------------------------------------------------- a fit

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
        """Train; attributes are set once all is well, so that a fit that fails leaves the estimator as it was."""
        frame = read(X)
        y = self._checked_targets(y, frame, "y")
        weights = self._checked_weights(sample_weight, frame, "sample_weight")
        other = self._checked_validation(X_val, y_val, sample_weight_val)
        targets = self._learn_targets(y, weights)
        codes = targets.encoded(y)
        factors = self._class_factors(targets, codes)
        weights = _weighted(codes, weights, factors)
        chosen = np.arange(frame.n_rows)
        if weights is not None and not weights.all():  # what weighs nothing is not learned, nor kept back
            chosen = np.flatnonzero(weights)
            codes, weights = codes[chosen], weights[chosen]
        if len(chosen) < (2 if other is None else 1):
            some = f"{len(chosen)} sample{'s' * (len(chosen) != 1)}"
            raise ValueError(f"X has {some} (n_samples={len(chosen)}) whose "
                             "weight is not 0, expected two or more: one to learn from, and one to choose the best "
                             "epoch by where there is no X_val")
        recipe = recipes.choose(len(chosen), self._is_classifier,
                                **{name: getattr(self, name) for name in self._settings})
        table = Table.learn(frame, self.categorical_features, recipe.n_pieces)
        matrix = table.matrix(frame)
        rows = Rows(matrix if len(chosen) == len(matrix) else matrix[chosen], codes, weights, len(chosen))
        if other is not None:
            validation, validation_y, validation_weights = other
            rows = _with_validation(rows, self._inputs(table, validation, "X_val"), targets.encoded(validation_y),
                                    factors, validation_weights)
        generator = np.random.default_rng(int(check_random_state(self.random_state).randint(2**31 - 1)))
        n_folds = recipes.folds(len(chosen), int(self.n_members)) if isinstance(self.n_folds, str) \
            else int(self.n_folds)
        seconds = self.time_limit
        if table.has_pieces and isinstance(self.n_pieces, str):
            whole = table.undivided()
            seconds = None if seconds is None else seconds / (1 + recipes.TRIAL)
            if training.better_encoders([each.encoders(recipe.n_frequencies) for each in (table, whole)], rows, recipe,
                                        self._cost, targets.n_outputs, n_folds=n_folds, generator=generator,
                                        stratify=self._is_classifier, threads=self.n_threads,
                                        time_limit=None if seconds is None else recipes.TRIAL * seconds):
                table, recipe = whole, replace(recipe, n_pieces=0)
        trained = training.train(rows, recipe, self._cost, targets.n_outputs, table.encoders(recipe.n_frequencies),
                                 n_members=int(self.n_members), n_folds=n_folds, generator=generator,
                                 stratify=self._is_classifier, callbacks=self.callbacks, time_limit=seconds,
                                 verbose=int(self.verbose), progress=bool(self.progress), threads=self.n_threads)
        of_user = None if rows.has_validation else chosen[trained.rows]
        importances = permutation_importances(trained.ensemble, rows.matrix, rows.targets, rows.weights,
                                              trained.unseen, table.places, generator)
        self._finish(table, targets, recipe, trained.ensemble, importances, trained.best_epochs,
                     self._losses(targets, trained.costs))
        self._calibrate(rows, trained, of_user, frame.n_rows)

    def _finish(self, table: Table, targets: Any, recipe: recipes.Recipe, ensemble: Ensemble, importances: Doubles,
                best_epochs: npt.NDArray[np.int64], losses: Doubles) -> None:
        """Set the attributes that both estimators have."""
        self._table, self._targets, self.recipe_, self.ensemble_ = table, targets, recipe, ensemble
        self.n_features_in_ = len(table.columns)
        if table.names is not None:
            self.feature_names_in_ = np.array(table.names, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.feature_importances_ = importances
        self.best_epoch_: Any = int(best_epochs[0]) if len(best_epochs) == 1 else best_epochs
        self.evals_result_ = {part: {self._loss: values} for part, values in zip(PARTS, losses, strict=True)}

    @property
    def _held_out(self) -> HeldOut:
        """What the members predict of rows that they have not seen."""
        held = self.ensemble_._resample or self.ensemble_._calibration
        assert held is not None
        return held

    def _checked_targets(self, y: Any, frame: Frame, name: str) -> Array:
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None"
                             if name == "y" else "X_val is given without y_val: give both or none")
        found = self._target_type.checked(y)
        check_consistent_length(np.empty(frame.n_rows), found)
        return found  # type: ignore[no-any-return]

    def _checked_weights(self, weights: Any, frame: Frame, name: str) -> Doubles | None:
        if weights is None:
            return None
        rows = np.empty((frame.n_rows, 1))
        found: Doubles = _check_sample_weight(weights, rows, dtype=np.float64, copy=True)
        if found.min() < 0:
            raise ValueError(f"{name} holds {found.min():g}, expected no negative weights")
        if not found.any():
            raise ValueError(f"{name} is 0 for each of the {len(found)} rows, expected at least one positive weight")
        return found

    def _checked_validation(self, X: Any, y: Any, weights: Any) -> tuple[Frame, Array, Doubles | None] | None:
        """Return what is given to choose the best epoch by."""
        if X is None:
            if y is not None or weights is not None:
                raise ValueError("y_val or sample_weight_val is given without X_val: give X_val and y_val")
            return None
        frame = read(X)
        return frame, self._checked_targets(y, frame, "y_val"), self._checked_weights(weights, frame,
                                                                                      "sample_weight_val")

    # ------------------------------------------------------------------------------------------------- predictions

    def _matrix(self, X: Any) -> Floats:
        """Return the inputs of a user's rows."""
        check_is_fitted(self)
        return self._inputs(self._table, read(X), "X")

    def _inputs(self, table: Table, frame: Frame, name: str) -> Floats:
        """Return the inputs of a frame, which has as many columns as the table, or the same names."""
        by_name = frame.names is not None and table.names is not None
        if frame.n_columns != len(table.columns) and not by_name:
            raise ValueError(f"{name} has {frame.n_columns} features, but {type(self).__name__} is expecting "
                             f"{len(table.columns)} features as input")
        return table.matrix(frame)

    @property
    def to_onnx(self) -> NoReturn:
        """Not there: what is made of columns of any kind has no operators; networks of `ensemble_` have."""
        self._refuse_source("to_onnx", "ONNX")

    @property
    def to_c(self) -> NoReturn:
        """Not there: what is made of columns of any kind has no source; networks of `ensemble_` have."""
        self._refuse_source("to_c", "C source")

    @property
    def to_numpy(self) -> NoReturn:
        """Not there: what is made of columns of any kind has no source; networks of `ensemble_` have."""
        self._refuse_source("to_numpy", "a module of NumPy")

    def _refuse_source(self, method: str, what: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} has no {method}: what it makes of categories, dates, texts and "
                             f"missing values cannot be written as {what}. Its networks can, ensemble_[i].{method}(); "
                             "they read the inputs that describe_columns() lists. For columns of numbers use "
                             "fastbp.MLPRegressor or MLPClassifier with standardize=True")

    def describe_columns(self) -> ColumnDescriptions:
        """Return what was done with each column.

        Returns
        -------
        tuple of ColumnDescription
            For each column its name, kind, what it held, how many values were missing and infinite, the inputs of the
            networks that are made of it, and how. It prints as a table, and ``pandas.DataFrame`` takes it.

        Raises
        ------
        NotFittedError
            Before a fit.
        """
        check_is_fitted(self)
        descriptions: ColumnDescriptions = self._table.describe()
        return descriptions

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "ensemble_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # ---------------------------------------------------------------------------------- what differs between the two

    _target_type: ClassVar[Any]

    def _learn_targets(self, y: Array, weights: Doubles | None) -> Any:
        raise NotImplementedError

    def _class_factors(self, targets: Any, codes: Array) -> Doubles | None:
        """Return what the weights of each class are multiplied by, or None."""
        return None

    _cost: ClassVar[str]
    """Of the networks."""
    _loss: ClassVar[str]
    """The name of the loss that users know."""

    def _losses(self, targets: Any, costs: Doubles) -> Doubles:
        """Return this loss, of the costs of training and validation."""
        raise NotImplementedError

    def _calibrate(self, rows: Rows, trained: Trained, of_user: Array | None,
                   n_rows: int) -> None:
        """Keep what is known of rows that members have not seen; ``of_user`` are their places in the user's X."""
        raise NotImplementedError

    _target_arrays: ClassVar[frozenset[str]] = frozenset()
    """Names of tensors that describe the targets, in a file."""

    def _described_targets(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what a file says of the targets, and its tensors."""
        raise NotImplementedError

    def _read_targets(self, told: Any, read: Callable[[str, Any, list[int]], Array], n_outputs: int) -> Any:
        """Make the targets of networks with so many outputs of what a file says, checked."""
        raise NotImplementedError


def _weighted(codes: Array, weights: Doubles | None, factors: Doubles | None) -> Doubles | None:
    """Return the weights of rows times the factors of their classes."""
    if factors is None:
        return weights
    return factors[codes] if weights is None else weights * factors[codes]


def _with_validation(rows: Rows, matrix: Floats, codes: Array, factors: Doubles | None,
                     weights: Doubles | None) -> Rows:
    """Return the rows with those of X_val behind them."""
    weights = _weighted(codes, weights, factors)
    if rows.weights is not None or weights is not None:
        weights = np.concatenate([np.ones(len(part)) if given is None else given for part, given in
                                  ((rows.matrix, rows.weights), (matrix, weights))])
    return Rows(np.concatenate([rows.matrix, matrix]), np.concatenate([rows.targets, codes]), weights, len(rows.matrix))

"""`TabularClassifier`."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from . import calibration, files
from ._base import AUTO, _Tabular
from .targets import Classes, class_factors
from .training import Rows, Trained

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]


class TabularClassifier(ClassifierMixin, _Tabular):
    """Networks that tell classes apart, from a table with columns of any kind, with calibrated probabilities.

    Give it a frame as it is (pandas, polars, Arrow) or an array: numbers, texts, categories, booleans and dates, with
    missing values. Each network keeps back a part of the rows, by which its best epoch is chosen; these also tell the
    temperature with which probabilities are right as often as they say.

    Parameters
    ----------
    categorical_features : "from_dtype", array_like or None, default "from_dtype"
        Which columns are categories beside those of texts, booleans and categorical dtypes: names, indices, or a
        boolean for each column.
    n_members : int, default 1
        Networks, whose mean is predicted. Member i keeps back fold i modulo ``n_folds``.
    n_folds : int or "auto", default "auto"
        Parts into which the rows of each class are dealt at random. "auto" is ``n_members`` from six members on: then
        each row is kept back by one of them. With fewer it is 10, or down to 6 where a tenth is less than 60 rows.
        The only row of a class is never kept back.
    hidden_layer_sizes : sequence of int or "auto", default "auto"
        Neurons of each hidden layer. "auto", here and below, leaves it to the recipe: `recipe_` has what it chose.
    activation : str, default "auto"
        Of the hidden layers, a name as `Network` takes it: ``"selu"``, ``"parametric(mish)"``.
    learning_rate : float or "auto", default "auto"
        The highest; it goes up and down in four waves, each twice as long as the one before
        (`fastbp.schedules.CosLog`). Weights of a layer of n inputs learn at 1/√n of it.
    epochs : int or "auto", default "auto"
        Passes over the rows, at most: training ends after a wave of the learning rate that brings no better epoch. Then
        the network goes back to the best average of its parameters.
    batch_size : int or "auto", default "auto"
        Rows in an update.
    weight_decay : float or "auto", default "auto"
        Decoupled, see `fastbp.AdamW`; it fades in the second half of the epochs.
    dropout : float or "auto", default "auto"
        Of all hidden layers; it fades too.
    n_pieces : int or "auto", default "auto"
        Pieces into which each number is divided, beside what else is read of it, at most 256: they make steps and
        kinks easy to learn, and smooth functions hard. "auto" is 0.
    n_frequencies : int or "auto", default "auto"
        Cosines of each number and time, of which the network reads sums (`fastbp.encoders.Periodic`), at most 1024;
        with 0 they are read as they are. "auto" is 16.
    label_smoothing : float or "auto", default "auto"
        See `Regularization`. "auto" is 0.1.
    class_weight : "balanced", dict or None, default None
        A factor for the weights of each class, by its name: "balanced" makes all classes weigh the same. Probabilities
        are then those of the weighted rows.
    time_limit : float, optional
        Seconds for training all networks: learning rate, decay and dropout then go with the time, where that is shorter
        than the epochs. What is learned depends on the machine then.
    random_state : int, RandomState or None, default None
        Draws folds, first weights and the orders of the rows.
    callbacks : list of callables or callable, optional
        Called after each epoch of each network with a `fastbp.Record`; training of that network stops when one returns
        True, and an exception ends the fit. With several networks a callable that returns the list for each, by its
        index: ``lambda index: [...]``; what is in a list is called from several threads.
    verbose : int or bool, default False
        Print the cost of every so many epochs.
    progress : bool, default False
        Show a tqdm bar (``pip install fastbp[progress]``).
    n_threads : int, optional
        Threads at most; of them as many are used as pay. It changes the time, never the result.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The sorted names of the classes.
    ensemble_ : Ensemble
        The networks. Their inputs are what `describe_columns` tells, their outputs probabilities that are not yet
        calibrated.
    temperature_ : float
        What the mean logarithms of these are divided by: above 1 the networks are too sure.
    recipe_ : Recipe
        The settings that were chosen.
    best_epoch_ : int or ndarray of int
        The epoch whose parameters were kept; of several members one for each.
    evals_result_ : dict
        ``{"training": {"log_loss": …}, "validation": {"log_loss": …}}``, arrays with a number for each epoch, the mean
        over the members. That of training is taken before each update, with dropout and smoothed labels, so that it is
        more than that of validation may be.
    feature_importances_ : ndarray, shape (n_features,)
        Permutation importance: how much the log-loss of rows that a network has not seen rises when a column is mixed
        up, as shares that sum to 1. Of two columns that tell the same, each may seem to tell little.
    oof_predictions_ : ndarray, shape (n_samples, n_classes)
        The calibrated probabilities by members that have not seen a row; NaN where all have, as of most with one
        member. With X_val there are none, and all are NaN.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X was a frame.

    Raises
    ------
    InvalidParameterError
        In `fit`, if a parameter is out of range.

    Notes
    -----
    Columns are learned from all rows that are fitted, also those that a network keeps back; nothing of X_val goes in.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastbp
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = fastbp.TabularClassifier(epochs=30, random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.85
    True
    >>> model.predict(X[:2]), model.predict_proba(X[:2]).shape, model.predict_log_proba(X[:2]).shape
    (array([0, 0]), (2, 3), (2, 3))
    >>> print(model.describe_columns())
    column             kind    missing  inputs  how
    sepal length (cm)  number  0        1       (sepal length (cm) − 5.8) × 0.7692, clipped smoothly at ±3
    sepal width (cm)   number  0        1       (sepal width (cm) − 3) × 1.667, clipped smoothly at ±3
    petal length (cm)  number  0        1       (petal length (cm) − 4.5) × 0.2857, clipped smoothly at ±3
    petal width (cm)   number  0        1       (petal width (cm) − 1.3) × 0.625, clipped smoothly at ±3
    >>> model.save("iris.safetensors")
    >>> again = fastbp.TabularClassifier.load("iris.safetensors")
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Tabular._parameter_constraints,
        "label_smoothing": [AUTO, Interval(Real, 0, 1, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }
    _settings = (*_Tabular._settings, "label_smoothing")
    _is_classifier = True
    _target_type = Classes
    _cost, _loss = "cross_entropy", "log_loss"

    def __init__(self, *, categorical_features: Any = "from_dtype", n_members: Any = 1, n_folds: Any = "auto",
                 hidden_layer_sizes: Any = "auto", activation: Any = "auto", learning_rate: Any = "auto",
                 epochs: Any = "auto", batch_size: Any = "auto", weight_decay: Any = "auto", dropout: Any = "auto",
                 n_pieces: Any = "auto", n_frequencies: Any = "auto", label_smoothing: Any = "auto",
                 class_weight: Any = None, time_limit: Any = None, random_state: Any = None, callbacks: Any = None,
                 verbose: Any = False, progress: Any = False, n_threads: Any = None) -> None:
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None,
            sample_weight_val: Any = None) -> Self:
        """Learn the columns, and train the networks.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            Of pandas, polars or pyarrow, with columns of any kind; missing values are None, NaN, NaT, NA or masked.
        y : array_like, shape (n_samples,)
            Classes: numbers, texts or booleans, none missing, and two different ones at least.
        sample_weight : array_like, shape (n_samples,), optional
            Not negative. Rows that weigh 0 are neither learned nor kept back; only columns know them.
        X_val, y_val : optional
            Rows to choose the best epoch and the temperature by, in the place of folds: all rows of X are then learned
            by all members. They have no other classes than y.
        sample_weight_val : array_like, optional
            Their weights.

        Returns
        -------
        TabularClassifier
            self

        Raises
        ------
        InvalidParameterError, ValueError, TypeError
            If a parameter or an argument does not fit; the estimator is left as it was.
        DivergenceError
            If a cost becomes infinite or NaN.
        """
        self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            A frame's columns may come in another order.

        Returns
        -------
        ndarray, shape (n_samples,)

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError, TypeError
            If X does not fit.
        """
        probabilities = self.predict_proba(X)
        found: Array = self.classes_[probabilities.argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> Doubles:
        """Return the calibrated probability of each class.

        The mean over the networks of log p, divided by `temperature_`, makes the softmax p; of the n rows that it was
        learned from the uniform distribution has the share 1/(n + 1), so that no probability is 0.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            As in `predict`.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError, TypeError
            If X does not fit.
        """
        matrix = self._matrix(X)
        return self._probabilities(calibration.mean_logits(self.ensemble_, matrix))

    def predict_log_proba(self, X: Any) -> Doubles:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            As in `predict`.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError, TypeError
            If X does not fit.
        """
        return np.log(self.predict_proba(X))

    # ------------------------------------------------------------------------------------------------------- a fit

    def _learn_targets(self, y: Array, weights: Doubles | None) -> Classes:
        return Classes.learn(y)

    def _class_factors(self, targets: Classes, codes: Array) -> Doubles | None:
        return None if self.class_weight is None else class_factors(self.class_weight, targets, codes)

    def _losses(self, targets: Classes, costs: Doubles) -> Doubles:
        return costs

    def _calibrate(self, rows: Rows, trained: Trained, of_user: Array | None,
                   n_rows: int) -> None:
        self.classes_ = self._targets.names
        known = trained.rows
        logits = calibration.mean_logits(trained.ensemble, rows.matrix[known], trained.unseen[:, known])
        weights = None if rows.weights is None else rows.weights[known]
        self.temperature_ = calibration.temperature(logits, rows.targets[known], weights)
        self._n_calibrated = len(known)
        self.oof_predictions_ = np.full((n_rows, logits.shape[1]), np.nan)
        if of_user is not None:
            self.oof_predictions_[of_user] = self._probabilities(logits)

    def _probabilities(self, logits: Doubles) -> Doubles:
        return calibration.calibrated(logits, self.temperature_, self._n_calibrated)

    # ------------------------------------------------------------------------------------------------------ in a file

    save = files.save

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read an estimator that `save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        TabularClassifier

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not a whole file of a known format, or says what no estimator would; the message says what is
            wrong.
        """
        return files.load(cls, path)

    def _described_targets(self) -> tuple[dict[str, Any], dict[str, Array]]:
        names = self._targets.names
        if names.dtype.kind not in "biufU" and not all(type(name) is str for name in names.tolist()):
            raise ValueError(f"the classes {names.tolist()} are no plain values and cannot be saved: name them by "
                             "texts or numbers")
        return {"classes": names.tolist(), "dtype": names.dtype.str, "temperature": self.temperature_,
                "rows": self._n_calibrated}, {}

    def _read_targets(self, told: Any, read: Callable[[str, Any, list[int]], Array], n_outputs: int) -> Classes:
        dtype = np.dtype(told["dtype"])
        if dtype.kind not in "biufUO" or dtype.kind == "O" and not all(type(name) is str for name in told["classes"]):
            raise ValueError(f"its classes are {told['classes']!r} of dtype {dtype}, expected texts or numbers")
        if dtype.kind == "U":  # as long as the names are, whatever the file says
            dtype = np.dtype(str)
        classes = Classes(np.array(told["classes"], dtype))
        heat, rows = told["temperature"], told["rows"]
        if classes.names.tolist() != told["classes"] or classes.n_outputs != n_outputs:
            raise ValueError(f"its classes are {told['classes']!r}, expected {n_outputs} of dtype {dtype}")
        if not (type(heat) is float and 0 < heat < np.inf and type(rows) is int and rows > 0):
            raise ValueError(f"its temperature {heat!r} of {rows!r} rows is none")
        self.classes_, self.temperature_, self._n_calibrated = classes.names, heat, rows
        return classes

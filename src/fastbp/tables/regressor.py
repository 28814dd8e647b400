"""`TabularRegressor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from ..util.settings import is_number
from . import files, intervals
from ._base import _Tabular
from .targets import Numbers
from .training import Rows, Trained

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]


class TabularRegressor(RegressorMixin, _Tabular):
    """Networks that predict numbers from a table with columns of any kind.

    Give it a frame as it is (pandas, polars, Arrow) or an array: numbers, texts, categories, booleans and dates, with
    missing values. Each network keeps back a part of the rows, by which its best epoch is chosen; these also tell how
    far predictions miss, which `predict_interval`, `predict_quantiles` and ``predict(X, return_std=True)`` go by.

    Parameters
    ----------
    categorical_features : "from_dtype", array_like or None, default "from_dtype"
        Which columns are categories beside those of texts, booleans and categorical dtypes: names, indices, or a
        boolean for each column.
    n_members : int, default 1
        Networks, whose mean is predicted. Member i keeps back fold i modulo ``n_folds``.
    n_folds : int or "auto", default "auto"
        Parts into which the rows are dealt at random. "auto" is ``n_members`` from six members on: then each
        row is kept back by one of them. With fewer it is 10, or less down to 6 where a tenth is less than 60 rows.
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
        kinks easy to learn, and smooth functions hard. "auto" is 24 or 0, which a trial of two short fits decides; a
        number spares the trial.
    n_frequencies : int or "auto", default "auto"
        Cosines of each number and time, of which the network reads sums (`fastbp.encoders.Periodic`), at most 1024;
        with 0 they are read as they are. "auto" is 16.
    clamp : bool, default True
        Keep predictions, not intervals, between the smallest and the largest y of the fit: a guard against outliers
        in X, but no trend goes on beyond what was seen.
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
    ensemble_ : Ensemble
        The networks. Their inputs are what `describe_columns` tells, their outputs standardised.
    recipe_ : Recipe
        The settings that were chosen.
    best_epoch_ : int or ndarray of int
        The epoch whose parameters were kept; of several members one for each.
    evals_result_ : dict
        ``{"training": {"rmse": …}, "validation": {"rmse": …}}``, arrays with a number for each epoch, the mean over
        the members: in the units of y, for several outputs in standard deviations. That of training is taken before
        each update.
    feature_importances_ : ndarray, shape (n_features,)
        Permutation importance: how much the squared error of rows that a network has not seen rises when a column is
        mixed up, as shares that sum to 1. Of two columns that tell the same, each may seem to tell little.
    oof_predictions_ : ndarray, shape (n_samples,) or (n_samples, n_outputs)
        What members that have not seen a row predict of it; NaN where all have, as of most with one member. With X_val
        there are none, and all are NaN.
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
    Columns, and the mean and standard deviation of y, are learned from all rows that are fitted, also those that a
    network keeps back; nothing of X_val goes in.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> import fastbp
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = fastbp.TabularRegressor(epochs=30, random_state=0).fit(X[:300], y[:300])
    >>> low, high = model.predict_interval(X[300:], level=0.9)
    >>> bool(0.8 < ((low <= y[300:]) & (y[300:] <= high)).mean() < 1.0)
    True
    >>> model.predict(X[:2]).shape, model.predict_quantiles(X[:2], [0.1, 0.5, 0.9]).shape
    ((2,), (3, 2))
    >>> model.describe_columns()[0].encoding
    '(x0 − 0.005383) × 12.51, clipped smoothly at ±3'
    >>> model.save("diabetes.safetensors")
    >>> again = fastbp.TabularRegressor.load("diabetes.safetensors")
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {**_Tabular._parameter_constraints, "clamp": ["boolean"]}
    _is_classifier = False
    _target_type = Numbers
    _target_arrays = frozenset({"center", "scale", "low", "high"})
    _cost, _loss = "squared_error", "rmse"

    def __init__(self, *, categorical_features: Any = "from_dtype", n_members: Any = 1, n_folds: Any = "auto",
                 hidden_layer_sizes: Any = "auto", activation: Any = "auto", learning_rate: Any = "auto",
                 epochs: Any = "auto", batch_size: Any = "auto", weight_decay: Any = "auto", dropout: Any = "auto",
                 n_pieces: Any = "auto", n_frequencies: Any = "auto", clamp: Any = True, time_limit: Any = None,
                 random_state: Any = None, callbacks: Any = None, verbose: Any = False, progress: Any = False,
                 n_threads: Any = None) -> None:
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None,
            sample_weight_val: Any = None) -> Self:
        """Learn the columns, and train the networks.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            Of pandas, polars or pyarrow, with columns of any kind; missing values are None, NaN, NaT, NA or masked.
        y : array_like, shape (n_samples,) or (n_samples, n_outputs)
            Numbers, none missing.
        sample_weight : array_like, shape (n_samples,), optional
            Not negative. Rows that weigh 0 are neither learned nor kept back; only columns know them.
        X_val, y_val : optional
            Rows to choose the best epoch by, and to learn how far predictions miss, in the place of folds: all rows of
            X are then learned by all members.
        sample_weight_val : array_like, optional
            Their weights.

        Returns
        -------
        TabularRegressor
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

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the mean of what the networks predict.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            A frame's columns may come in another order.
        return_std : bool, default False
            Return a standard deviation of new targets too: √(mean squared miss of rows not seen + variance of the
            members), the same for all rows where there is one member.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_outputs)
            With ``return_std=True`` a pair of them, predictions and standard deviations.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError, TypeError
            If X does not fit.
        """
        matrix = self._matrix(X)
        found = self._targets.decoded(self.ensemble_.predict(matrix), self.clamp)
        if not return_std:
            return found
        deviations = intervals.spread(self.ensemble_, self._held_out, matrix) * self._targets.scale
        return found, self._targets.shaped(deviations)

    def predict_interval(self, X: Any, level: float = 0.9) -> tuple[Doubles, Doubles]:
        """Return intervals that hold a new target with a probability of about ``level``, whatever the networks are.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            As in `predict`.
        level : float, default 0.9
            Between 0 and 1; above 0.5 with several members and without X_val.

        Returns
        -------
        low, high : ndarray, shape (n_samples,) or (n_samples, n_outputs)
            Infinite where the rows not seen are too few for the level.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError, TypeError
            If X or ``level`` does not fit.

        Notes
        -----
        `Ensemble.predict_interval` states what is promised: with one member or X_val, split conformal prediction holds
        at least ``level``; with several members, no more than folds, CV+ holds at least 2 level − 1 less a small term,
        in practice about ``level``; with more members than folds, jackknife+ does. All take rows to be exchangeable
        with those that were not seen, and by these the best of some hundred epochs was chosen, which makes the
        intervals narrower by a hair.
        """
        matrix = self._matrix(X)
        low, high = (self._targets.decoded(bound, clamp=False)
                     for bound in self.ensemble_.predict_interval(matrix, level))
        return low, high

    def predict_quantiles(self, X: Any, q: float | Sequence[float] = (0.1, 0.5, 0.9)) -> Doubles:
        """Return quantiles of new targets, from the signed misses of rows that members have not seen.

        Parameters
        ----------
        X : frame or array_like, shape (n_samples, n_features)
            As in `predict`.
        q : float or sequence of float, default (0.1, 0.5, 0.9)
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_outputs), of several q with one axis more in front
            Infinite where the rows not seen are too few for a q.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError, TypeError
            If X or ``q`` does not fit.

        Notes
        -----
        Of n rows not seen the ⌈q(n + 1)⌉-th smallest of f_{-i}(x) + y_i − f_{-i}(x_i), for q below ½ the ⌊q(n + 1)⌋-th:
        of new targets at least q are below the former and at most q below the latter, where one member or X_val tells
        (the distribution of split conformal prediction, Vovk et al. 2018); of several members about q.
        """
        check_is_fitted(self)
        levels: list[Any] = [q] if np.ndim(q) == 0 else list(q)  # type: ignore[arg-type]
        if not all(is_number(level) and 0 < level < 1 for level in levels):
            raise ValueError(f"q is {q!r}, expected probabilities between 0 and 1, for instance (0.1, 0.9)")
        found = intervals.quantiles(self.ensemble_, self._held_out, self._matrix(X), [float(level) for level in levels])
        decoded: Doubles = self._targets.decoded(found, clamp=False)
        return decoded[0] if np.ndim(q) == 0 else decoded

    # ------------------------------------------------------------------------------------------------------- a fit

    def _learn_targets(self, y: Array, weights: Doubles | None) -> Numbers:
        return Numbers.learn(y, weights)

    def _losses(self, targets: Numbers, costs: Doubles) -> Doubles:
        units = float(targets.scale[0]) if targets.n_outputs == 1 else 1.0
        losses: Doubles = units * np.sqrt(2 * costs / targets.n_outputs)
        return losses

    def _calibrate(self, rows: Rows, trained: Trained, of_user: Array | None,
                   n_rows: int) -> None:
        found = np.full((n_rows, self._targets.n_outputs), np.nan)
        if of_user is not None:
            found[of_user] = trained.held_out.predictions
        self.oof_predictions_ = self._targets.decoded(found, self.clamp)

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
        TabularRegressor

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
        return {"single": self._targets.single}, {name: getattr(self._targets, name) for name in self._target_arrays}

    def _read_targets(self, told: Any, read: Callable[[str, Any, list[int]], Array], n_outputs: int) -> Numbers:
        if told.keys() != {"single"}:
            raise ValueError(f"it says {told!r} of its targets, expected single")
        arrays = {name: read(name, np.float64, [n_outputs]) for name in self._target_arrays}
        return Numbers(single=told["single"], **arrays)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

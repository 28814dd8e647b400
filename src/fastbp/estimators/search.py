"""A search over settings: each setting on each fold, all networks trained in one call."""

from __future__ import annotations

import inspect
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
from sklearn.base import is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable

from ..util import machine
from ._base import _MLP, Rows
from ._fit import Prepared
from ._shared import Estimators
from ._training import run_many

Settings = dict[str, Any]
Scorer = Callable[..., float]
Doubles = npt.NDArray[np.float64]


@dataclass
class SearchResult:
    """What `fastbp.search` has found: the attributes of a fitted `sklearn.model_selection.GridSearchCV`.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray or list
        A column for each of ``params``, ``param_<name>``, ``split<k>_test_score``, ``mean_``, ``std_`` and
        ``rank_test_score``, ``mean_`` and ``std_fit_time`` and ``_score_time``, and with ``return_train_score=True``
        the same of ``train_score``; a row for each setting. ``pandas.DataFrame(cv_results_)`` shows it.
    best_index_ : int
        The row of the highest mean test score, the first of them.
    best_params_ : dict
        Its settings.
    best_score_ : float
        Its mean test score.
    n_splits_ : int
        Folds.
    scorer_ : callable
        What has scored: ``scorer_(estimator, X, y)``.
    best_estimator_ : estimator or None
        Fitted to all samples with these settings; None with ``refit=False``.
    refit_time_ : float or None
        The seconds that this took.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.random.default_rng(0).normal(size=(80, 2))
    >>> model = fastbp.MLPRegressor(solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0)
    >>> found = fastbp.search(model, {"hidden_layer_sizes": [(2,), (8,)]}, X, X[:, 0] * X[:, 1], cv=3)
    >>> found.best_params_, found.n_splits_
    ({'hidden_layer_sizes': (8,)}, 3)
    """

    cv_results_: dict[str, Any]
    best_index_: int
    best_params_: Settings
    best_score_: float
    n_splits_: int
    scorer_: Scorer
    best_estimator_: Any = None
    refit_time_: float | None = None

    def __repr__(self) -> str:
        tried = len(self.cv_results_["params"])
        return (f"<SearchResult: the best of {tried} settings is {self.best_params_}, score {self.best_score_:.4g}, "
                f"{self.n_splits_} folds>")


def search(estimator: Any, settings: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]], X: Any, y: Any, *,
           cv: Any = 5, scoring: str | Scorer | None = None, sample_weight: Any = None, threads: int | None = None,
           refit: bool = True, return_train_score: bool = False, error_score: Any = np.nan,
           progress: bool = False) -> SearchResult:
    """Search for the best settings of an estimator by cross-validation, with all networks trained in one call.

    It finds what `sklearn.model_selection.GridSearchCV` finds, with the same scores: each network has the
    ``random_state`` of its estimator, and is trained on the rows of its fold as by a `fit` of its own, to the bit. But
    threads train all of them on rows of the same X and y, which are checked once; no process is started, and X is not
    copied, unless it is standardised or transformed, which is done once for each fold, and but for what early stopping
    keeps back, of which each fit has a copy.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        It is not changed. A Pipeline ends with one of the two; its transformers are fitted once for each fold and each
        of their own settings.
    settings : dict of str to list, or iterable of dict
        A grid, all combinations of which are tried, ``{"alpha": [0.1, 1], "activation": ["tanh", "relu"]}``; or the
        settings to try, ``[{"alpha": 0.1}, {"alpha": 1, "activation": "tanh"}]``, for instance a
        `sklearn.model_selection.ParameterGrid` of several grids, or a `ParameterSampler`.
    X : {array-like, sparse matrix}, shape (n_samples, n_features)
        Inputs.
    y : array-like, shape (n_samples,) or (n_samples, n_outputs)
        Classes or targets.
    cv : int, splitter or iterable, default 5
        The folds, as in GridSearchCV: how many (stratified for a classifier), a splitter, or pairs of index arrays,
        for instance ``GroupKFold().split(X, y, groups)``.
    scoring : str, callable or None, default None
        The score, greater is better: a name of scikit-learn's, or ``scoring(estimator, X, y)``, which several threads
        may call at the same time. None is the estimator's own.
    sample_weight : array-like, shape (n_samples,), optional
        Weights of the samples in the fits, and in the scores where ``scoring`` takes a ``sample_weight``. Of a Pipeline
        in the fits of its last step alone, as in GridSearchCV.
    threads : int, optional
        Networks that are trained at a time, and scored; None takes as many as there are processors. ``n_threads`` and
        ``progress`` of the estimator act in the last fit only.
    refit : bool, default True
        Fit the best settings to all samples at the end.
    return_train_score : bool, default False
        Score the samples of each fit, too.
    error_score : float or "raise", default nan
        The score where a fit or its score fails; "raise" raises the error.
    progress : bool, default False
        Show a tqdm bar over the networks (``pip install fastbp[progress]``).

    Returns
    -------
    SearchResult
        With the attributes of a fitted GridSearchCV.

    Raises
    ------
    TypeError
        If the estimator is another one.
    ValueError
        If there are no settings, one names no parameter, several scores are asked for, X, y or cv do not fit, or all
        fits fail. With ``error_score="raise"`` what any fit raises, with its settings and fold in a note.

    Warns
    -----
    FitFailedWarning
        If some fits fail.
    ConvergenceWarning
        As `fit` does, once for all fits that say the same.

    Notes
    -----
    ``fit_time`` is the time of a network's own training, during which other threads train others. All networks, with
    the state of their optimizers, are in memory until they are scored. Scores are GridSearchCV's to the bit, but for
    columns that ``standardize=True`` takes out of a DataFrame, where sums run in another order; those of scikit-learn's
    own MLPs agree to rounding, in float64.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastbp
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = fastbp.MLPClassifier(solver="lbfgs", standardize=True, random_state=0)
    >>> found = fastbp.search(mlp, {"hidden_layer_sizes": [2, 8], "alpha": [0.1, 1.0]}, X, y)
    >>> found.best_score_ > 0.94
    True
    >>> found.best_estimator_.predict(X[:3])
    array([0, 0, 0])
    """
    piped = isinstance(estimator, Pipeline)
    _check(estimator.steps[-1][1] if piped else estimator, estimator, scoring, error_score)
    tried = _listed(settings)
    scorer = check_scoring(estimator, scoring=scoring)
    X, y, sample_weight = indexable(X, y, sample_weight)
    rows = np.arange(len(y))
    splits = [(rows[train], rows[test])
              for train, test in check_cv(cv, y, classifier=is_classifier(estimator)).split(X, y)]
    estimators = Estimators(estimator, X, y, sample_weight)
    fits = [_Fit(params, fold) for params in tried for fold in range(len(splits))]
    for fit in fits:
        fit.prepare(estimators, splits[fit.fold][0])
    weight = None if piped else _score_weight(scorer, sample_weight)
    raises = error_score == "raise"
    if raises:
        _raise(fits)
    _train(fits, threads, progress)
    if raises:
        _raise(fits)
    told = Counter(message for fit in fits for message in fit.told)
    for (text, category), count in told.items():
        warnings.warn(f"{count} of {len(fits)} fits: {text}", category, stacklevel=2)
    _check_failures(fits, error_score)
    parts = [(_Scored(X, y, weight, test), _Scored(X, y, weight, train) if return_train_score else None)
             for train, test in splits]
    with ThreadPoolExecutor(machine.processors() if threads is None else threads) as pool:
        list(pool.map(lambda fit: fit.score(scorer, *parts[fit.fold]), fits))
    if raises:
        _raise(fits)
    for text, count in Counter(str(fit.error) for fit in fits if fit.scored and fit.error is not None).items():
        warnings.warn(f"{count} of {len(fits)} scores failed and are set to {error_score}: {text}", stacklevel=2)
    results = _table(tried, fits, len(splits), np.nan if raises else float(error_score), return_train_score)
    best = int(results["rank_test_score"].argmin())
    found = SearchResult(results, best, tried[best], float(results["mean_test_score"][best]), len(splits), scorer)
    if refit:
        began = time.perf_counter()
        name = f"{estimator.steps[-1][0]}__sample_weight" if piped else "sample_weight"
        found.best_estimator_ = estimators.made(tried[best]).fit(
            X, y, **({} if sample_weight is None else {name: sample_weight}))
        found.refit_time_ = time.perf_counter() - began
    return found


def _check(last: Any, estimator: Any, scoring: Any, error_score: Any) -> None:
    """Raise where what is asked for is another search's."""
    if not isinstance(last, _MLP):
        raise TypeError(f"estimator is {estimator!r}, expected fastbp's MLPClassifier or MLPRegressor, or a Pipeline "
                        "that ends with one: for others use sklearn.model_selection.GridSearchCV")
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise ValueError(f"scoring is {scoring!r}, expected one score: for several use "
                         "sklearn.model_selection.GridSearchCV")
    if not isinstance(error_score, Real) and error_score != "raise":
        raise ValueError(f"error_score is {error_score!r}, expected a number or 'raise'")


def _listed(settings: Any) -> list[Settings]:
    """Return the settings to try, all combinations of a grid."""
    tried = list(ParameterGrid(settings) if isinstance(settings, Mapping) else settings)
    if not tried:
        raise ValueError("settings is empty, expected a grid, or one setting at least")
    for one in tried:
        if not isinstance(one, Mapping):
            raise TypeError(f"settings has {one!r}, expected a dict of parameters and their values")
    return [dict(one) for one in tried]


class _Fit:
    """One of the settings on one of the folds."""

    def __init__(self, params: Settings, fold: int) -> None:
        self.params, self.fold = params, fold
        self.estimator: Any = None
        self.prepared: Prepared | None = None
        self.error: Exception | None = None
        self.scored = False
        self.told: list[tuple[str, type[Warning]]] = []
        self.times = {"fit_time": 0.0, "score_time": 0.0}
        self.scores: dict[str, float] = {}

    def prepare(self, estimators: Estimators, rows: Rows) -> None:
        """Make the estimator, and what is to be trained; a name that is no parameter's is an error, not a failure."""
        began = time.perf_counter()
        self.estimator = estimators.made(self.params)
        try:
            self.prepared = estimators.prepare(self.estimator, self.params, self.fold, rows)
        except Exception as error:
            self.fail(error)
        self.times["fit_time"] += time.perf_counter() - began

    def finish(self, prepared: Prepared, errors: list[Exception | None]) -> None:
        """Take over what the training has come to."""
        try:
            prepared.finish(errors)
        except Exception as error:
            self.fail(error)
        self.told = prepared.told()
        for training in prepared.trainings:
            self.times["fit_time"] += max(training.network.history.seconds, default=0.0)

    def score(self, scorer: Scorer, test: _Scored, train: _Scored | None) -> None:
        """Score the samples of the fold, perhaps those of the training, too."""
        if self.error is not None:
            return
        self.scored = True
        began = time.perf_counter()
        try:
            self.scores["test_score"] = test.score(scorer, self.estimator)
            self.times["score_time"] = time.perf_counter() - began
            if train is not None:
                self.scores["train_score"] = train.score(scorer, self.estimator)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Take note of what went wrong."""
        error.add_note(f"This concerns the settings {self.params} on fold {self.fold}.")
        self.error = error


class _Scored:
    """Samples that estimators are scored by."""

    def __init__(self, X: Any, y: Any, weight: Any, rows: Rows) -> None:
        self.X, self.y = _safe_indexing(X, rows), _safe_indexing(y, rows)
        self.options = {} if weight is None else {"sample_weight": _safe_indexing(weight, rows)}

    def score(self, scorer: Scorer, estimator: Any) -> float:
        """Return the score, a number."""
        found = scorer(estimator, self.X, self.y, **self.options)
        if not isinstance(found, Real):
            raise ValueError(f"the score is {found!r}, expected a number")
        return float(found)


def _score_weight(scorer: Any, weight: Any) -> Any:
    """Return the weights of the samples in a score: none, with a warning, if it takes none."""
    if weight is None:
        return None
    if hasattr(scorer, "_accept_sample_weight"):
        takes = scorer._accept_sample_weight()
    else:
        takes = "sample_weight" in inspect.signature(scorer).parameters
    if not takes:
        warnings.warn(f"scoring {scorer!r} takes no sample_weight: fits are weighted, scores are not", stacklevel=3)
    return weight if takes else None


def _train(fits: list[_Fit], threads: int | None, progress: bool) -> None:
    """Train the networks of all fits in one call."""
    ready = [(fit, fit.prepared) for fit in fits if fit.prepared is not None]
    trainings = [training for _, prepared in ready for training in prepared.trainings]
    errors = iter(run_many(trainings, threads, progress) if trainings else ())
    for fit, prepared in ready:
        fit.finish(prepared, [next(errors) for _ in prepared.trainings])


def _raise(fits: list[_Fit]) -> None:
    """Raise the first error, if there is one."""
    for fit in fits:
        if fit.error is not None:
            raise fit.error


def _check_failures(fits: list[_Fit], error_score: Any) -> None:
    """Warn of fits that have failed; raise if there is no other."""
    found = Counter(f"{type(fit.error).__name__}: {fit.error}" for fit in fits if fit.error is not None)
    failed = found.total()
    if not failed:
        return
    said = "\n".join(f"{count} of them: {text}" for text, count in found.items())
    if failed == len(fits):
        raise ValueError(f"all {failed} fits failed: error_score='raise' raises the first error with its "
                         f"traceback.\n{said}")
    warnings.warn(f"{failed} of {len(fits)} fits failed, and their scores are set to {error_score}: "
                  f"error_score='raise' raises the first error.\n{said}", FitFailedWarning, stacklevel=3)


# ----------------------------------------------------------------------------------------------------- the results


def _table(tried: list[Settings], fits: list[_Fit], folds: int, error_score: float, trained: bool) -> dict[str, Any]:
    """Return what `GridSearchCV.cv_results_` has."""
    results: dict[str, Any] = {}
    for name in ("fit_time", "score_time"):
        _add(results, name, np.array([fit.times[name] for fit in fits]).reshape(len(tried), folds))
    names = {name: None for params in tried for name in params}
    results |= {f"param_{name}": _column(name, tried) for name in names}
    results["params"] = tried
    for name in ("test_score", "train_score")[: 1 + trained]:
        scores = np.array([fit.scores.get(name, error_score) if fit.error is None else error_score for fit in fits])
        scores = scores.reshape(len(tried), folds)
        results |= {f"split{fold}_{name}": scores[:, fold] for fold in range(folds)}
        _add(results, name, scores)
        if name == "test_score":
            results["rank_test_score"] = _rank(results["mean_test_score"])
    return results


def _add(results: dict[str, Any], name: str, values: Doubles) -> None:
    """Add mean and standard deviation over the folds."""
    results[f"mean_{name}"], results[f"std_{name}"] = values.mean(axis=1), values.std(axis=1)


def _rank(means: Doubles) -> npt.NDArray[np.int32]:
    """Return 1 for the highest, the same for equals; NaN shares the last place."""
    lowest = np.where(np.isnan(means), -np.inf, means)
    ranks: npt.NDArray[np.int32] = scipy.stats.rankdata(-lowest, method="min").astype(np.int32)
    return ranks


def _column(name: str, tried: list[Settings]) -> Any:
    """Return the values of a setting, masked where it is not set; objects unless they are numbers."""
    values = [params[name] for params in tried if name in params]
    try:
        found = np.array(values)
    except ValueError:  # sequences of different lengths
        found = np.empty(0, object)
    dtype = found.dtype if found.ndim == 1 and found.dtype.kind != "U" else object
    column = np.ma.MaskedArray(np.empty(len(tried), dtype), mask=True)
    for i, params in enumerate(tried):
        if name in params:
            column[i] = params[name]
    return column

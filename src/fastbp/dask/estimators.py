"""`DaskMLPClassifier` and `DaskMLPRegressor`: the estimators, trained where a cluster has its data."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context, clone, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..estimators import MLPClassifier, MLPRegressor, _prepare
from ..estimators._base import _MLP, _Samples
from ..optimizers import BatchMethod
from ..optimizers.line_search import LBFGS
from ..util.optional import require
from . import parts, prediction, preparation, training

Array = npt.NDArray[Any]
OWN = "client", "average_every", "class_weight"
"""Parameters that the estimator inside does not get; factors of classes go into the weights of samples here."""


class Plateau:
    """scikit-learn's rule to stop, as a callback: a cost that has not gone down by ``tol`` for more epochs than this.

    Parameters
    ----------
    tol : float
    patience : int or inf
    """

    def __init__(self, tol: float, patience: float) -> None:
        self.tol, self.patience, self.best, self.waited = tol, patience, np.inf, 0

    def __call__(self, record: Any) -> bool:
        """Return whether to stop."""
        self.waited = 0 if record.cost <= self.best - self.tol else self.waited + 1
        self.best = min(self.best, record.cost)
        return self.waited > self.patience


class _DaskMLP(BaseEstimator):
    """What `DaskMLPClassifier` and `DaskMLPRegressor` share."""

    _local_class: ClassVar[type[_MLP]]
    _fitted: _MLP

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        name: _MLP._parameter_constraints[name] for name in (
            "hidden_layer_sizes", "activation", "solver", "alpha", "batch_size", "learning_rate_init", "max_iter",
            "random_state", "tol", "n_iter_no_change", "loss", "dtype", "standardize", "callbacks")
    } | {"client": "no_validation", "average_every": [Interval(Integral, 1, None, closed="left"), None]}

    def __init__(self, **parameters: Any) -> None:
        raise NotImplementedError

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy with the same client, which is not copied."""
        own = self.get_params(deep=False)
        client = own.pop("client")
        return type(self)(client=client, **{name: clone(value, safe=False) for name, value in own.items()})

    def __getstate__(self) -> dict[str, Any]:
        return dict(super().__getstate__()) | {"client": None}

    def __sklearn_is_fitted__(self) -> bool:
        return "_fitted" in vars(self)

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and not name.startswith("_") and "_fitted" in vars(self):
            return getattr(self._fitted, name)
        raise AttributeError(f"this {type(self).__name__} has no attribute {name!r}" + (
            ": it is not fitted yet" if name.endswith("_") and "_fitted" not in vars(self) else ""))

    @property
    def client_(self) -> Any:
        """The client that was given, or the present one; ValueError if there is none."""
        return parts.client_of(self.client)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : dask Array or DataFrame, (n, n_features)
            Inputs; partitions may be empty.
        y : dask Array, DataFrame or Series, (n,) or (n, n_outputs)
            Targets, in the same partitions; of a classifier classes, numbers or texts, or a matrix of 0 and 1 for
            several labels a sample.
        sample_weight : dask Array or Series, (n,), optional
            Weights of the samples, in the same partitions.
        validation_data : pair (X, y), optional
            Arrays in memory, whose cost goes to `validation_loss_curve_`; not with ``average_every``.

        Returns
        -------
        DaskMLPClassifier or DaskMLPRegressor
            self

        Raises
        ------
        InvalidParameterError, ValueError, TypeError
            If a parameter or a partition does not fit, or the weights do not stay finite.
        RuntimeError
            If a worker or the scheduler is lost.
        """
        self._learn(X, y, sample_weight, validation_data)
        return self

    def to_local(self) -> Any:
        """Return what has been learned as an estimator that needs no Dask.

        Returns
        -------
        MLPClassifier or MLPRegressor
            Fitted, a copy.

        Raises
        ------
        NotFittedError
            Before a fit.
        """
        check_is_fitted(self)
        return copy.deepcopy(self._fitted)

    def _unfitted(self) -> Any:
        """Return the estimator inside, before it knows any data."""
        return self._local_class(**{name: value for name, value in self.get_params(deep=False).items()
                                    if name not in OWN})

    def _optimizer(self, local: _MLP) -> Any:
        return LBFGS() if self.solver == "lbfgs" else local._make_optimizer()

    def _learn(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        """Look at the partitions, prepare them where they lie, and train."""
        client, local, averaged = self.client_, self._unfitted(), self.average_every is not None
        _prepare.hidden_layers(local)
        optimizer = self._optimizer(local)
        callbacks = list(self.callbacks or ())
        if not averaged and not isinstance(optimizer, BatchMethod):
            raise ValueError(f"{type(optimizer).__name__} takes mini-batches, whose steps are too short to be shared "
                             "by workers: use solver='lbfgs' or another full-batch method, or give average_every for "
                             "local training")
        training.check(optimizer, callbacks, None, validation_data, self.average_every, None, False)
        with parts.connection(client, "the estimator is as before"):
            futures = training.placed(client, parts.delayed_parts(X, y, sample_weight, labels=is_classifier(self)),
                                      [X, y, sample_weight])
            known: list[parts.Description] = client.gather(client.map(parts.describe, futures, pure=False))
            own = preparation.Preparation(local, preparation.output_columns(known))
            self._set_classes(own, client, futures)
            own.columns = list(X.columns) if hasattr(X, "columns") else None
            self._make_network(own, known)
            if self.standardize:
                own.set_scalers(client.gather(client.map(preparation.moments, futures, range(len(futures)),
                                                         [own] * len(futures), pure=False)))
            ready = [client.submit(preparation.prepare, future, own, workers=[owner], allow_other_workers=True,
                                   pure=False)
                     for future, owner in zip(futures, training.owners_of(client, futures), strict=True)]
            del futures
            training.finish(ready)
            validation = None if validation_data is None else own.validation(*validation_data)
            stopping = [] if averaged else [Plateau(self.tol, self.n_iter_no_change)]
            batch = 200 if self.batch_size == "auto" else int(self.batch_size)
            training.fit_parts(
                local._network, client, ready, epochs=self.max_iter, optimizer=optimizer, validation=validation,
                callbacks=[*stopping, *callbacks], resume=False, regularization=local._regularization(),
                metrics=None, average_every=self.average_every, batch_size=batch if averaged else None, timeout=120.0,
                keeps=False)
        own.learned(sum(each.rows for each in known), validation is not None)
        self._fitted = local

    def _make_network(self, own: preparation.Preparation, known: list[parts.Description]) -> None:
        """Have the estimator inside make its network, with the first weights that it would have."""
        local, dtypes = own.local, {each.dtypes[0] for each in known}
        shapes = {each.shapes[0][1:] for each in known}
        if len(shapes) > 1 or len(min(shapes)) != 1:
            raise ValueError(f"partitions of X have shapes {sorted({each.shapes[0] for each in known})}, expected (n, "
                             "n_features), with as many columns in each")
        dtype = np.float32 if {np.dtype(name) for name in dtypes} == {np.dtype(np.float32)} else np.float64
        example = _Samples(np.empty((1, *min(shapes)), dtype), own.example_targets(), None)
        local.n_features_in_, local.n_outputs_ = min(shapes)[0], local._count_outputs(example.targets)
        if own.columns is not None and all(isinstance(name, str) for name in own.columns):
            local.feature_names_in_ = np.array(own.columns, object)
        local.input_scaler_ = local.target_scaler_ = None
        _prepare.make(local, example)

    def _set_classes(self, own: preparation.Preparation, client: Any, futures: list[Any]) -> None:
        """Take note of the classes of all partitions."""

    def _predicted(self, X: Any, method: str, columns: tuple[int, ...], dtype: Any) -> Any:
        """Return what a method of the estimator inside predicts: lazily of a Dask collection, of others at once."""
        if hasattr(X, "__dask_graph__"):
            names = getattr(self._fitted, "feature_names_in_", None)
            if names is not None and hasattr(X, "columns") and list(X.columns) != names.tolist():
                raise ValueError(f"X has columns {list(X.columns)}, expected {names.tolist()}, in this order, as in "
                                 "fit")
            return prediction.by_partitions(X, self.n_features_in_, prediction.Method(self._fitted, method), columns,
                                            dtype)
        return getattr(self._fitted, method)(X)

    def _compared(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return targets, predictions and weights in memory; what arrays are made of is computed once for all."""
        check_is_fitted(self)
        given = [each.compute() if hasattr(each, "to_dask_array") else each  # a frame does not go along with arrays
                 for each in (y, self.predict(X), sample_weight)]
        found: tuple[Any, Any, Any] = require("dask", "dask").compute(*given, traverse=False)
        return found


class DaskMLPClassifier(ClassifierMixin, _DaskMLP):
    """`MLPClassifier` for Dask arrays and frames, which the workers train together where their partitions lie.

    Parameters
    ----------
    hidden_layer_sizes, activation, alpha, learning_rate_init, max_iter, random_state, tol, n_iter_no_change, loss, \
dtype, standardize
        As of `MLPClassifier`. The same ``random_state`` draws the same first weights.
    client : distributed.Client, optional
        By default the present one. It is left out of pickles; `clone` hands it on.
    solver : str or Optimizer, default "lbfgs"
        A full-batch method, "lbfgs" being `fastbp.LBFGS`; or with ``average_every`` one for mini-batches.
    batch_size : int or "auto", default "auto"
        Samples in an update of a worker, with ``average_every``; "auto" is 200.
    callbacks : list of callables, optional
        As of `fastbp.dask.fit`.
    class_weight : dict, "balanced" or None, default None
        As of `MLPClassifier`; classes are counted over all partitions.
    average_every : int, optional
        Train by mini-batches on each worker, and average after so many: see `fastbp.dask.fit`. Then all max_iter
        epochs are trained: tol and n_iter_no_change take no part.

    Attributes
    ----------
    client_ : distributed.Client
        The one that was given, or the present one.
    classes_, network_, coefs_, intercepts_, n_features_in_, feature_names_in_, n_outputs_, n_layers_, \
out_activation_, input_scaler_
        As of `MLPClassifier`.
    loss_curve_, validation_loss_curve_ : list of float
        Costs, as in the network's history: penalties are a part of the first.
    loss_, best_loss_ : float
        The last of ``loss_curve_``, and the lowest.
    n_iter_ : int
        Epochs.

    Raises
    ------
    ImportError
        Without Dask or scikit-learn.
    InvalidParameterError
        In `fit`, if a parameter is out of range.

    Notes
    -----
    Bits depend on the partitions, not on how many workers there are, but for ``average_every``. After an error in `fit`
    the estimator is as it was.

    Examples
    --------
    >>> import dask.array as da, fastbp.dask
    >>> from distributed import Client
    >>> X = da.random.default_rng(0).normal(size=(1000, 2), chunks=(250, 2))
    >>> y = da.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    ...     X, y = client.persist([X, y])
    ...     model = fastbp.dask.DaskMLPClassifier((16,), random_state=0).fit(X, y)
    ...     score, probabilities = model.score(X, y), model.predict_proba(X)  # of Dask arrays: lazy
    >>> score > 0.9, probabilities.shape
    (True, (1000, 2))
    >>> model.predict([[1, 1], [1, -1]])
    array(['same', 'other'], dtype='<U5')
    >>> here = model.to_local()  # an MLPClassifier, which needs no Dask
    """

    _local_class = MLPClassifier
    _parameter_constraints: ClassVar[dict[str, Any]] = _DaskMLP._parameter_constraints | {
        "loss": MLPClassifier._parameter_constraints["loss"], "class_weight": [StrOptions({"balanced"}), dict, None]}

    def __init__(self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, client: Any = None,
                 solver: Any = "lbfgs", alpha: Any = 0.0001, batch_size: Any = "auto",
                 learning_rate_init: Any = 0.001, max_iter: Any = 200, random_state: Any = None, tol: Any = 1e-4,
                 n_iter_no_change: Any = 10, loss: Any = "log_loss", dtype: Any = None, standardize: Any = False,
                 callbacks: Any = None, class_weight: Any = None, average_every: Any = None) -> None:
        for name in self._get_param_names():
            setattr(self, name, locals()[name])

    def predict(self, X: Any) -> Any:
        """Return the class of each sample.

        Parameters
        ----------
        X : dask Array or DataFrame, or array-like, (n, n_features)
            Inputs.

        Returns
        -------
        dask Array or ndarray, (n,) or (n, n_labels)
            Lazy where X is, with its partitions.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit; what its rows hold is looked at when they are computed.
        """
        check_is_fitted(self)
        several = self._fitted._label_binarizer.y_type_.startswith("multilabel")
        return self._predicted(X, "predict", (self.n_outputs_,) if several else (),
                               np.dtype(int) if several else self.classes_.dtype)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : dask Array or DataFrame, or array-like, (n, n_features)
            Inputs.

        Returns
        -------
        dask Array or ndarray, (n, n_classes)
            Lazy where X is, with its partitions.

        Raises
        ------
        NotFittedError, ValueError
            As `predict`.
        """
        check_is_fitted(self)
        return self._predicted(X, "predict_proba", (max(2, self.n_outputs_),), self.network_.dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X, y, sample_weight
            Samples, Dask collections or arrays; predictions, y and weights come into memory here.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError
            As `predict`.
        """
        right, found, weights = self._compared(X, y, sample_weight)
        return float(accuracy_score(right, found, sample_weight=weights))

    def _set_classes(self, own: preparation.Preparation, client: Any, futures: list[Any]) -> None:
        counted = client.gather(client.map(preparation.classes_in, futures, range(len(futures)), pure=False))
        classes, counts = preparation.joined_classes(counted)
        local, several = own.local, own.width is not None
        local._label_binarizer = LabelBinarizer().fit(np.eye(own.width or 1, dtype=np.int64) if several else classes)
        local.classes_ = local._label_binarizer.classes_
        if self.class_weight is None:
            return
        if several:
            raise ValueError(f"class_weight is {self.class_weight!r}, but y has {own.width} labels a sample: leave it "
                             "out, or give sample_weight")
        if self.class_weight == "balanced":
            own.factors = counts.sum() / (len(classes) * counts)
        else:
            own.factors = compute_class_weight(self.class_weight, classes=classes, y=classes)


class DaskMLPRegressor(RegressorMixin, _DaskMLP):
    """`MLPRegressor` for Dask arrays and frames, which the workers train together where their partitions lie.

    Parameters
    ----------
    loss, hidden_layer_sizes, activation, alpha, learning_rate_init, max_iter, random_state, tol, n_iter_no_change, \
dtype, standardize
        As of `MLPRegressor`. The same ``random_state`` draws the same first weights.
    client : distributed.Client, optional
        By default the present one. It is left out of pickles; `clone` hands it on.
    solver : str or Optimizer, default "lbfgs"
        A full-batch method, "lbfgs" being `fastbp.LBFGS`; or with ``average_every`` one for mini-batches.
    batch_size : int or "auto", default "auto"
        Samples in an update of a worker, with ``average_every``; "auto" is 200.
    callbacks : list of callables, optional
        As of `fastbp.dask.fit`.
    average_every : int, optional
        Train by mini-batches on each worker, and average after so many: see `fastbp.dask.fit`. Then all max_iter
        epochs are trained: tol and n_iter_no_change take no part.

    Attributes
    ----------
    client_ : distributed.Client
        The one that was given, or the present one.
    network_, coefs_, intercepts_, n_features_in_, feature_names_in_, n_outputs_, n_layers_, out_activation_, \
input_scaler_, target_scaler_
        As of `MLPRegressor`.
    loss_curve_, validation_loss_curve_ : list of float
        Costs, as in the network's history: penalties are a part of the first.
    loss_, best_loss_ : float
        The last of ``loss_curve_``, and the lowest.
    n_iter_ : int
        Epochs.

    Raises
    ------
    ImportError
        Without Dask or scikit-learn.
    InvalidParameterError
        In `fit`, if a parameter is out of range.

    Notes
    -----
    As of `DaskMLPClassifier`.

    Examples
    --------
    >>> import dask.dataframe as dd, pandas as pd, fastbp.dask
    >>> from distributed import Client
    >>> frame = pd.DataFrame({"a": range(200), "b": range(200, 0, -1)}).assign(y=lambda rows: rows.a * rows.b)
    >>> frame = dd.from_pandas(frame, npartitions=4)
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    ...     model = fastbp.dask.DaskMLPRegressor(standardize=True, random_state=0)
    ...     model = model.fit(frame[["a", "b"]], frame["y"])
    ...     score, outputs = model.score(frame[["a", "b"]], frame["y"]), model.predict(frame[["a", "b"]])
    >>> score > 0.99, outputs.dtype  # a Dask array, lazy
    (True, dtype('float64'))
    >>> here = model.to_local()  # an MLPRegressor, which needs no Dask
    >>> here.score(frame[["a", "b"]].compute(), frame["y"].compute()) > 0.99
    True
    """

    _local_class = MLPRegressor

    def __init__(self, loss: Any = "squared_error", hidden_layer_sizes: Any = (100,), activation: Any = "relu", *,
                 client: Any = None, solver: Any = "lbfgs", alpha: Any = 0.0001, batch_size: Any = "auto",
                 learning_rate_init: Any = 0.001, max_iter: Any = 200, random_state: Any = None, tol: Any = 1e-4,
                 n_iter_no_change: Any = 10, dtype: Any = None, standardize: Any = False, callbacks: Any = None,
                 average_every: Any = None) -> None:
        for name in self._get_param_names():
            setattr(self, name, locals()[name])

    def predict(self, X: Any) -> Any:
        """Return the targets that the network expects.

        Parameters
        ----------
        X : dask Array or DataFrame, or array-like, (n, n_features)
            Inputs.

        Returns
        -------
        dask Array or ndarray, (n,) or (n, n_outputs)
            Lazy where X is, with its partitions.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit; what its rows hold is looked at when they are computed.
        """
        check_is_fitted(self)
        return self._predicted(X, "predict", () if self.n_outputs_ == 1 else (self.n_outputs_,),
                               self.network_.dtype if self.target_scaler_ is None else np.dtype(np.float64))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R².

        Parameters
        ----------
        X, y, sample_weight
            Samples, Dask collections or arrays; predictions, y and weights come into memory here.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError
            As `predict`.
        """
        right, found, weights = self._compared(X, y, sample_weight)
        return float(r2_score(right, found, sample_weight=weights))

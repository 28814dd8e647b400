"""What `MLPClassifier` and `MLPRegressor` share: parameters, networks, copies and pickles, predictions."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_classifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from ..activations import ACTIVATIONS, Activation
from ..core.sparse import canonical
from ..costs import ANY, COSTS, Cost
from ..ensembles.ensemble import Ensemble
from ..network import Network
from ..optimizers import OPTIMIZERS, RULES, Optimizer, UpdateRule
from ..optimizers.bayesian import BayesianRegularization
from ..optimizers.update_rules import SGD, Adam
from ..regularization import Regularization
from ..training.history import Record
from . import _formats

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Score = Callable[[Record], float]

LARGEST_MOMENTUM = float(np.nextafter(1.0, 0.0))
"""scikit-learn lets a momentum of 1 pass."""

NOT_FINITE = ("Solver produced non-finite parameter weights. The input data may contain large values and need to be "
              "preprocessed.")


@dataclass
class _Samples:
    """What an estimator is given, after validation; targets as the network learns them."""

    X: Any
    targets: Array
    weight: Array | None
    rows: Rows | None = None
    """Which rows of these arrays the samples are, where many fits share them; None for all as they come."""

    def __len__(self) -> int:
        return self.X.shape[0] if self.rows is None else len(self.rows)

    def pick(self, rows: Rows) -> _Samples:
        """Return some of the samples, without a copy."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def part(self, rows: Rows) -> _Samples:
        """Return some of the samples: picked where these are, else a copy."""
        return self.pick(rows) if self.rows is not None else self.pick(rows).own()

    def own(self) -> _Samples:
        """Return the samples in arrays that hold nothing else."""
        rows = self.rows
        if rows is None:
            return self
        X = self.X.tocsr() if hasattr(self.X, "tocsr") else self.X
        return _Samples(X[rows], self.targets[rows], None if self.weight is None else self.weight[rows])


def _whole(X: Any) -> Any:
    """Return a sparse X in its one form, before scikit-learn goes where its indices point; any other as it is."""
    return canonical(X) if hasattr(X, "tocsr") else X


def _plain(array: Any, kinds: str = "f") -> bool:
    """Return whether an array is one that scikit-learn's checks, which take 20 to 90 µs, would leave as it is."""
    if type(array) is not np.ndarray or array.dtype.kind not in kinds or not array.dtype.isnative or not array.size:
        return False
    if array.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        return array.dtype.itemsize in (4, 8) and math.isfinite(array.sum())  # a sum that overflows is looked at there


def _scaler(name: str, values: Any, weight: Array | None) -> StandardScaler:
    """Fit a scaler, in double; to a sparse matrix one that divides only."""
    with np.errstate(all="ignore"):
        scaler = StandardScaler(with_mean=not hasattr(values, "tocsr"))
        scaler.fit(values.astype(np.float64, copy=False), sample_weight=weight)
        wrong = np.flatnonzero(~np.isfinite(scaler.mean_ + scaler.var_))
    if wrong.size:
        column = values[:, [wrong[0]]]
        raise ValueError(f"{name} cannot be standardised: squares of numbers as large as {abs(column).max():g}, in "
                         f"column {wrong[0]}, are not within float64; scale that column first")
    return scaler


def _standardized(scaler: StandardScaler | None, values: Any) -> Any:
    """Standardise in double, before the network narrows: of 10⁷ + x float32 keeps the 10⁷."""
    if scaler is None:
        return values
    double = values.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        return scaler.transform(double, copy=double is values)


@functools.lru_cache(256, typed=True)
def _made(kind: type[Any], *settings: Any, **named: Any) -> Any:
    """Return what never changes, made once: to look at its settings takes 10 to 20 µs, in each `partial_fit`."""
    return kind(*settings, **named)


class _MLP(BaseEstimator):
    """What `MLPClassifier` and `MLPRegressor` share."""

    _ensemble: Ensemble
    n_features_in_: int
    _given = False
    """Whether the network is a user's own, see `from_network`."""
    _noise_is_seeded = False
    """Whether what dropout draws comes from ``random_state``."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS.keys()), Activation, list, tuple],
        "solver": [StrOptions(OPTIMIZERS.keys()), Optimizer],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions(COSTS.keys()), Cost],
        "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), None],
        "precision": [StrOptions({"float32", "float64", "bfloat16"}), None],
        "coefs_init": [list, tuple, None],
        "intercepts_init": [list, tuple, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "standardize": ["boolean"],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "resample": [StrOptions({"folds", "bootstrap"}), None],
    }

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters: found once, since each copy asks, and the signature takes 0.1 ms."""
        names: list[str] = super()._get_param_names()
        return names

    @classmethod
    @functools.cache
    def _valid_defaults(cls) -> dict[str, Any]:
        """Return the defaults that fulfil their constraints, looked at once; a subclass may have others."""
        found = {}
        for name, parameter in inspect.signature(cls.__init__).parameters.items():
            if isinstance(parameter.default, (int, float, str, tuple, type(None))):
                with contextlib.suppress(ValueError):
                    validate_parameter_constraints(cls._parameter_constraints, {name: parameter.default}, cls.__name__)
                    found[name] = parameter.default
        return found

    def _validate_params(self) -> None:
        """Check the parameters, as scikit-learn does, but for those that are the defaults: all of them take 60 µs."""
        defaults = self._valid_defaults()
        given = {name: getattr(self, name) for name in self._get_param_names()}
        given = {name: value for name, value in given.items() if value is not defaults.get(name, self)}
        validate_parameter_constraints(self._parameter_constraints, given, type(self).__name__)

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Store the constructor's arguments unchanged, as scikit-learn's contract asks for."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    # ------------------------------------------------------------------------------------------------- the network

    @property
    def network_(self) -> Network:
        """The trained `fastbp.Network`; arrays that were put in `coefs_` or `intercepts_` since are copied into it."""
        if hasattr(self, "estimators_"):
            raise AttributeError(f"this {type(self).__name__} has {len(self.estimators_)} networks: they are networks_")
        if not hasattr(self, "_network"):
            check_is_fitted(self, "_network")
        self._adopt_others()
        network: Network = self._network
        return network

    @property
    def networks_(self) -> list[Network]:
        """The trained networks, one for each member."""
        return [member.network_ for member in getattr(self, "estimators_", [self])]

    @property
    def ensemble_(self) -> Ensemble:
        """The networks of the members as a `fastbp.Ensemble`, which knows which samples each has not seen."""
        networks = self.networks_
        if not hasattr(self, "estimators_"):
            raise AttributeError(f"this {type(self).__name__} has one network, network_: fit with n_members=5 or more")
        if [*map(id, networks)] != [*map(id, self._ensemble)]:  # a member has been fitted anew
            self._ensemble = Ensemble(networks)
        return self._ensemble

    def _adopt_others(self) -> None:
        """Copy arrays that have been put in `coefs_` or `intercepts_` into the network."""
        if not self._shows_all():
            self._adopt(self.coefs_, self.intercepts_)

    def _shows_all(self) -> bool:
        """Whether `coefs_` and `intercepts_` are what the network holds, and nothing was put in their place."""
        now, views = self._arrays(), self._views
        return len(now) == len(views) and all(map(operator.is_, now, views))

    def _arrays(self) -> list[Array]:
        return [*self.coefs_, *self.intercepts_]

    def _adopt(self, coefs: Sequence[Any], intercepts: Sequence[Any],
               names: tuple[str, str] = ("coefs_", "intercepts_")) -> None:
        """Copy weights into the network, and let `coefs_` and `intercepts_` show what it holds."""
        network: Network = self._network
        pairs = (coefs, [W.T for W in network.weights]), (intercepts, network.biases)
        for name, (given, own) in zip(names, pairs, strict=True):
            shapes, expected = [np.shape(array) for array in given], [array.shape for array in own]
            if shapes != expected:
                raise ValueError(f"{name} has arrays of shapes {shapes}, expected {expected}")
        for given, own in pairs:
            for array, values in zip(own, given, strict=True):
                array[:] = values
        self._show()

    def _show(self) -> None:
        self.coefs_ = [W.T for W in self._network.weights]
        self.intercepts_ = list(self._network.biases)
        self._views = self._arrays()

    def __getstate__(self) -> dict[str, Any]:
        if hasattr(self, "_network"):
            self.network_  # noqa: B018  what was put in coefs_ belongs to it
        state = dict(super().__getstate__())
        if hasattr(self, "_network"):
            for name in ("coefs_", "intercepts_", "_views"):
                del state[name]
        state.pop("_again", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "_network"):
            self._show()

    def _begin_watch(self, early: bool) -> None:
        """Forget the best score, or the best loss."""
        self.validation_scores_: Any = [] if early else None
        self.best_validation_score_: Any = -np.inf if early else None
        self.best_loss_: Any = None if early else np.inf
        self._best_parameters = self._network.parameters.copy() if early else None

    def _record(self, loss: float, validation_loss: float | None) -> None:
        """Keep and print the losses of an epoch."""
        self.loss_ = loss
        self.loss_curve_.append(loss)
        if validation_loss is not None:
            self.validation_loss_curve_.append(validation_loss)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _make_optimizer(self) -> Optimizer:
        """Return the optimizer that a name stands for; the numbers that scikit-learn has for it are parameters here."""
        if isinstance(self.solver, Optimizer):
            return self.solver
        if self.solver == "sgd":
            momentum = min(float(self.momentum), LARGEST_MOMENTUM)
            return _made(SGD, self.learning_rate_init, momentum, bool(self.nesterovs_momentum) and momentum > 0)  # type: ignore[no-any-return]
        if self.solver == "adam":
            return _made(Adam, self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon, epsilon_hat=True)  # type: ignore[no-any-return]
        if self.solver in RULES:
            rule: Any = RULES[self.solver]
            return _made(rule, self.learning_rate_init)  # type: ignore[no-any-return]
        return OPTIMIZERS[self.solver]()

    def _kind_of_optimizer(self) -> type[Optimizer]:
        """Return the class of what `_make_optimizer` makes."""
        return type(self.solver) if isinstance(self.solver, Optimizer) else OPTIMIZERS[self.solver]

    def _narrowed(self, X: Any) -> Any:
        """Return X in the network's dtype, converted once for the scores of all epochs."""
        with np.errstate(all="ignore"):
            return X.astype(self._network.dtype, copy=False)

    def _regularization(self) -> Regularization | None:
        own = issubclass(self._kind_of_optimizer(), BayesianRegularization)  # finds the weight of its penalty itself
        alpha = 0.0 if own else float(self.alpha)
        if alpha == 0 and not self._drops:
            return None
        if isinstance(self.dropout, (list, tuple)):  # a list has no hash
            return Regularization(l2=alpha, per_sample=True, dropout=self.dropout)
        return _made(Regularization, l2=alpha, per_sample=True, dropout=self.dropout)  # type: ignore[no-any-return]

    @property
    def _drops(self) -> bool:
        """Whether there is dropout: of a number said at once, since `np.any` takes 3 µs."""
        dropout = self.dropout
        return dropout != 0 if type(dropout) is float else bool(np.any(dropout))

    def _loss(self, cost: float, part: float, offset: float) -> float:
        """Return scikit-learn's loss: of squared errors the mean over outputs, of the penalty the whole."""
        outputs = self.n_outputs_ if self._network.cost_function.least_squares else 1
        return (cost - part) / outputs + part + offset if outputs > 1 else cost + offset

    def _offset(self, data: _Samples) -> float:
        """Return what a loss has beside the cost."""
        return 0.0

    def _scorer(self, kept: _Samples) -> Score:
        """Return what scores an epoch by these samples, those that a fit is validated with."""
        X, judge = self._narrowed(kept.X), self._judge(kept)
        return lambda record: judge(_columns(record.network.predict(X)))

    # ----------------------------------------------------------------------------------------------- standardising

    def _set_scalers(self, data: _Samples, cost: Cost, standardize: bool) -> None:
        self.input_scaler_: Any = None
        self.target_scaler_: Any = None
        if standardize:
            self.input_scaler_ = _scaler("X", data.X, data.weight)
            if cost.targets == ANY and cost.output == "identity" and not is_classifier(self):
                self.target_scaler_ = _scaler("y", data.targets, data.weight)

    def _scaled(self, data: _Samples) -> _Samples:
        if self.input_scaler_ is None and self.target_scaler_ is None:
            return data
        return replace(data, X=_standardized(self.input_scaler_, data.X),
                       targets=_standardized(self.target_scaler_, data.targets))

    # --------------------------------------------------------------------------------------------------- predicting

    def _inputs(self, X: Any) -> Any:
        """Return X as the networks take it, checked and standardised."""
        if not (_plain(X) and X.ndim == 2 and X.shape[1] == self.n_features_in_
                and not hasattr(self, "feature_names_in_")):
            X = validate_data(self, _whole(X), accept_sparse=["csr", "csc"], reset=False)
        return _standardized(self.input_scaler_, X)

    def _outputs(self, X: Any) -> Array:
        """Return the outputs, (n_samples, n_outputs_), of several networks their mean."""
        asked: Network | Ensemble = self.ensemble_ if hasattr(self, "estimators_") else self.network_
        return _columns(asked.predict(self._inputs(X)))

    def input_gradient(self, X: Any) -> Array:
        """Compute how the outputs change with the inputs.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Inputs; not sparse.

        Returns
        -------
        ndarray, shape (n_samples, n_outputs, n_features)
            For a classifier the derivatives of `predict_proba`, one row a class; for a regressor those of `predict`,
            also with a single output. They are in the units of X and y, also with ``standardize=True``.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit.
        """
        networks = self.networks_
        X = _standardized(self.input_scaler_, validate_data(self, X, reset=False))
        every = (_columns(network.jacobian(X), network.layers[0]) for network in networks)
        jacobian = functools.reduce(np.add, every) / len(networks)
        if self.input_scaler_ is not None:
            jacobian /= self.input_scaler_.scale_
        if self.target_scaler_ is not None:
            jacobian *= self.target_scaler_.scale_[:, np.newaxis]
        if is_classifier(self) and self.n_outputs_ == 1:
            return np.concatenate([-jacobian, jacobian], axis=1)
        return jacobian

    to_onnx = _formats.to_onnx
    to_c = _formats.to_c
    to_numpy = _formats.to_numpy

    @classmethod
    def _wrapped(cls, network: Network, settings: dict[str, Any]) -> Self:
        network._architecture.refuse_encoders("an estimator")
        self = cls(hidden_layer_sizes=network.layers[1:-1], activation=network.activations[:-1],
                   dtype=network.dtype.name, **settings)
        self.n_features_in_, self.n_outputs_ = network.layers[0], network.layers[-1]
        self.n_layers_, self.out_activation_ = len(network.layers), network.activations[-1]
        self._network, self._given = network, True
        self.n_iter_, self.t_, self.loss_curve_ = len(network.history), 0, []
        self.validation_loss_curve_, self.validation_scores_, self.best_validation_score_ = [], None, None
        self.best_loss_, self._no_improvement_count, self._best_parameters = np.inf, 0, None
        self._description = (list(network.layers), network.activations[:-1], network.activations[-1],
                             network.cost_function, network.dtype)
        self.input_scaler_ = self.target_scaler_ = None
        self._show()
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network") or hasattr(self, "estimators_")

    def _has_epochs(self) -> bool:
        if self.n_members > 1:
            raise AttributeError(f"partial_fit trains one network, but n_members is {self.n_members}.")
        if self.solver == "lbfgs" or not issubclass(self._kind_of_optimizer(), UpdateRule):
            raise AttributeError("partial_fit is only available for stochastic optimizers. "
                                 f"{self.solver} is not stochastic.")
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ----------------------------------------------------------------------------------- what the two do differently

    target_kinds: ClassVar[str]
    """The kinds of dtypes of targets that scikit-learn's checks leave as they are."""

    def _checked(self, X: Any, y: Any, *, reset: bool, **options: Any) -> tuple[Any, Any]:
        if (_plain(X) and X.ndim == 2 and not hasattr(self, "feature_names_in_") and _plain(y, self.target_kinds)
                and y.shape == X.shape[:1] and (reset or X.shape[1] == self.n_features_in_)):
            self.n_features_in_ = X.shape[1]
            return X, y
        X, y = validate_data(self, _whole(X), y, accept_sparse=["csr", "csc"], multi_output=True,
                             dtype=(np.float64, np.float32), reset=reset, **options)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _take_classes(self, y: Any, classes: Any) -> None:
        """Take note of the classes that all calls of `partial_fit` will see."""

    def _set_classes(self, y: Array, incremental: bool) -> None:
        """Take note of the classes, or check that they are those of the last fit."""

    def _check_known(self, y: Array) -> None:
        """Raise ValueError if there is a class that the samples to learn from do not have."""

    def _with_class_weight(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        return weight


def _columns(found: Array, *of_each: int) -> Array:
    """Return outputs (n_samples, n_outputs, …) also where a network that was given, `Network.flat`, has no columns."""
    return found.reshape(len(found), -1, *of_each)

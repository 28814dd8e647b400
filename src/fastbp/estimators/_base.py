"""scikit-learn estimators on the compiled core: `MLPClassifier` and `MLPRegressor`, which drop in for scikit-learn's.

They are subclasses of scikit-learn's BaseEstimator and mixins, and use its validation, its label binarizer and its
splits, but they are no subclasses of its MLP classes: of those only the constructor, the docstrings and a few one-line
methods would remain, while their private methods, which are what would have to be overridden, change their arguments
from release to release (`_fit_stochastic` and `_backprop` did in 1.7). What drop-in means is tested instead: by
scikit-learn's own tests of its MLPs, run on these classes, and by losses and weights that agree to rounding.

Everything random is drawn from ``random_state`` in scikit-learn's order: first weights, the split for early stopping,
the order of the samples in each epoch. So the same ``random_state`` trains the same network, to rounding.
"""

from __future__ import annotations

import math
import operator
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.special
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from sklearn.utils import check_random_state, column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import costs
from ..activations import ACTIVATIONS
from ..core.arrays import canonical
from ..core.objective import cost_and_gradient, evaluation
from ..costs import ANY, CLASSES, COSTS, Cost
from ..kernels.tables import HYPER_RATE
from ..network import Network
from ..optimizers import OPTIMIZERS, RULES, SGD, Adam, BatchMethod, BayesianRegularization, Optimizer, UpdateRule
from ..regularization import Regularization
from ..training.callbacks import EarlyStopping, ProgressBar, asks_to_stop
from ..training.errors import DivergenceError
from ..training.history import Record

Array = npt.NDArray[Any]
Score = Callable[[Network], float]

LARGEST_MOMENTUM = float(np.nextafter(1.0, 0.0))
"""scikit-learn lets a momentum of 1 pass."""

SMALLEST_RATE = 1e-6
"""Where ``learning_rate="adaptive"`` gives up."""

NOT_FINITE = ("Solver produced non-finite parameter weights. The input data may contain large values and need to be "
              "preprocessed.")


@dataclass
class _Samples:
    """What an estimator is given, after validation; targets as the network learns them."""

    X: Any
    targets: Array
    weight: Array | None

    def part(self, rows: npt.NDArray[np.int64]) -> _Samples:
        """Return a copy of some rows."""
        X = self.X.tocsr() if hasattr(self.X, "tocsr") else self.X
        return _Samples(X[rows], self.targets[rows], None if self.weight is None else self.weight[rows])


class _EndOfEpoch:
    """What scikit-learn does after an epoch, as a callback: the record, the stopping rule, the learning rate."""

    def __init__(self, mlp: _MLP, samples: int, score: Score | None, offset: float, other_offset: float) -> None:
        self.mlp, self.samples, self.score = mlp, samples, score
        self.offset, self.other_offset, self.stopped = offset, other_offset, False

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        mlp, other = self.mlp, record.validation_cost
        mlp.n_iter_ += 1
        mlp.t_ += self.samples
        mlp._record(mlp._loss(record.cost, record.penalty, self.offset),
                    None if other is None else mlp._loss(other, 0.0, self.other_offset))
        if self.score is None:
            waiting = not (math.isfinite(mlp.loss_) and mlp.loss_ <= mlp.best_loss_ - mlp.tol)
            if -math.inf < mlp.loss_ < mlp.best_loss_:
                mlp.best_loss_ = mlp.loss_
        else:
            score = self.score(record.network)
            mlp.validation_scores_.append(score)
            if mlp.verbose:
                print(f"Validation score: {score:f}")
            waiting = not (math.isfinite(score) and score >= mlp.best_validation_score_ + mlp.tol)
            if mlp.best_validation_score_ < score < math.inf:
                mlp.best_validation_score_ = score
                mlp._best_parameters = record.network.parameters.copy()
        mlp._no_improvement_count = mlp._no_improvement_count + 1 if waiting else 0
        sgd = mlp.solver == "sgd"
        if sgd and mlp.learning_rate == "invscaling":
            self._set_rate(record, mlp._rate())
        if mlp._no_improvement_count <= mlp.n_iter_no_change:
            return False
        what = "Training loss" if self.score is None else "Validation score"
        told = f"{what} did not improve more than tol={mlp.tol:f} for {mlp.n_iter_no_change} consecutive epochs."
        if not (sgd and mlp.learning_rate == "adaptive"):
            return self._stop(told)
        if record.learning_rate <= SMALLEST_RATE:
            return self._stop(told + " Learning rate too small.")
        self._set_rate(record, record.learning_rate / 5)
        mlp._no_improvement_count = 0
        if mlp.verbose:
            print(f"{told} Setting learning rate to {record.learning_rate / 5:f}")
        return False

    def _stop(self, told: str) -> bool:
        self.stopped = True
        if self.mlp.verbose:
            print(told + " Stopping.")
        return True

    @staticmethod
    def _set_rate(record: Record, rate: float) -> None:
        assert record.network._progress is not None
        record.network._progress.hyper[HYPER_RATE] = rate


def _reorder(generator: np.random.RandomState, order: npt.NDArray[np.int64]) -> None:
    """Shuffle as `sklearn.utils.shuffle` does, with the same random numbers."""
    places = np.arange(order.size)
    generator.shuffle(places)
    order[:] = order[places]


def _whole(X: Any) -> Any:
    """Return a sparse X in its one form, before scikit-learn goes where its indices point; any other as it is."""
    return canonical(X) if hasattr(X, "tocsr") else X


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


class _MLP(BaseEstimator):
    """What `MLPClassifier` and `MLPRegressor` share."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS.keys()), list, tuple],
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
        "coefs_init": [list, tuple, None],
        "intercepts_init": [list, tuple, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "standardize": ["boolean"],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Store the constructor's arguments unchanged, as scikit-learn's contract asks for."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    # ------------------------------------------------------------------------------------------------- the network

    @property
    def network_(self) -> Network:
        """The trained `fastbp.Network`; arrays that were put in `coefs_` or `intercepts_` since are copied into it."""
        check_is_fitted(self, "_network")
        now = self._arrays()
        if len(now) != len(self._views) or any(array is not view for array, view in zip(now, self._views, strict=True)):
            self._adopt(self.coefs_, self.intercepts_)
        network: Network = self._network
        return network

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
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "_network"):
            self._show()

    # ------------------------------------------------------------------------------------------------------- fit

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, *, incremental: bool,
             classes: Any = None) -> Self:
        before = self.__dict__.copy()
        self.n_iter_ = 0
        try:
            if incremental:
                self._take_classes(y, classes)
            self._fit_checked(X, y, sample_weight, validation_data, incremental)
        except BaseException:
            if self.n_iter_ == 0:  # nothing has been learnt: the estimator is what it was, fitted or not
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        return self

    def _fit_checked(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> None:
        hidden = self.hidden_layer_sizes
        hidden = [operator.index(n) for n in (hidden if isinstance(hidden, Iterable) else [hidden])]
        if any(n <= 0 for n in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset=first)
        self._set_classes(y, incremental)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        weight = self._with_class_weight(y, weight, incremental)
        data = _Samples(X, self._targets(y), weight)
        kept = None
        if validation_data is not None:
            if not (isinstance(validation_data, (tuple, list)) and len(validation_data) == 2):
                raise ValueError(f"validation_data is {validation_data!r}, expected a pair (X, y)")
            X, y = self._checked(*validation_data, reset=False)
            self._check_known(y)
            kept = _Samples(X, self._targets(y), None)
        self._random_state = check_random_state(self.random_state)
        self._prepare(data, hidden, first)
        data = self._scaled(data)
        kept = None if kept is None else self._scaled(kept)
        if self.solver == "lbfgs":
            self._fit_lbfgs(data, kept)
        else:
            self._fit_epochs(data, kept, incremental)
        self._show()

    def _prepare(self, data: _Samples, hidden: list[int], first: bool) -> None:
        """Make the network, and draw its first weights, or take those of the last fit."""
        self.n_outputs_ = self._count_outputs(data.targets)
        if not first and self.n_outputs_ != (had := np.shape(self.coefs_[-1])[1]):
            raise ValueError(f"y needs {self.n_outputs_} outputs, but the network that is to learn on has {had}: fit a "
                             "new one, with warm_start=False")
        cost, output = self._cost_and_output()
        if first or not hasattr(self, "input_scaler_"):  # weights that the user has put there have no scalers
            self._set_scalers(data, cost, self.standardize and first)
        if first:
            sizes, dtype = [data.X.shape[1], *hidden, self.n_outputs_], np.dtype(self.dtype or data.X.dtype)
        else:
            sizes, dtype = [*(np.shape(coef)[0] for coef in self.coefs_), self.n_outputs_], self.coefs_[0].dtype
            for name, wanted, has in (("hidden_layer_sizes", hidden, sizes[1:-1]),
                                      ("dtype", np.dtype(self.dtype or dtype).name, dtype.name)):
                if wanted != has:
                    warnings.warn(f"{name} is {wanted!r}, but the network that learns on has {has!r} and stays so: for "
                                  "another one fit anew, with warm_start=False", stacklevel=6)
        activation = self.activation if isinstance(self.activation, str) else tuple(self.activation)
        description = sizes, activation, output, cost, dtype
        if first or getattr(self, "_description", None) != description:
            self._network: Network = Network(sizes, activation, output, cost, dtype=dtype)
            self._description = description
        self.n_layers_, self.out_activation_ = len(sizes), output
        if first:
            self._initialize(sizes)
        else:
            self._adopt(self.coefs_, self.intercepts_)

    def _initialize(self, sizes: list[int]) -> None:
        """Draw first weights, in scikit-learn's order if it knows the activation; forget what was recorded."""
        network: Network = self._network
        if self.activation in ("identity", "logistic", "tanh", "relu"):
            for W, b, (n_in, n_out) in zip(network.weights, network.biases, pairwise(sizes), strict=True):
                bound = math.sqrt((2.0 if self.activation == "logistic" else 6.0) / (n_in + n_out))
                W[:] = self._random_state.uniform(-bound, bound, (n_in, n_out)).T
                b[:] = self._random_state.uniform(-bound, bound, n_out)
        else:
            network.reset(int(self._random_state.randint(2**31 - 1)))
        if np.any(self.dropout):  # drawn only then, since scikit-learn draws nothing here
            network.generator = np.random.default_rng(int(self._random_state.randint(2**31 - 1)))
        self._show()
        if self.coefs_init is not None or self.intercepts_init is not None:
            self._adopt(self.coefs_ if self.coefs_init is None else self.coefs_init,
                        self.intercepts_ if self.intercepts_init is None else self.intercepts_init,
                        ("coefs_init", "intercepts_init"))
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self._begin_watch(self.early_stopping and self.solver != "lbfgs")

    def _begin_watch(self, early: bool) -> None:
        """Forget the best score, or the best loss."""
        self.validation_scores_: Any = [] if early else None
        self.best_validation_score_: Any = -np.inf if early else None
        self.best_loss_: Any = None if early else np.inf
        self._best_parameters = self._network.parameters.copy() if early else None

    def _fit_epochs(self, data: _Samples, kept: _Samples | None, incremental: bool) -> None:
        network: Network = self._network
        score: Score | None = None
        if self.early_stopping:
            if incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            if kept is None:
                data, kept = self._split(data)
            if kept.weight is not None and not kept.weight.any():
                raise ValueError(f"all {len(kept.weight)} samples kept back for early stopping have weight 0: give "
                                 "validation_data, a larger validation_fraction or another random_state")
            score = self._scorer(kept)
        if bool(self.early_stopping) is (getattr(self, "validation_scores_", None) is None):
            self._begin_watch(self.early_stopping)  # the last fit looked at the other one, or there was none
        samples, optimizer, batch, begun = data.X.shape[0], self._make_optimizer(), None, network._progress
        if not isinstance(optimizer, BatchMethod):
            batch = 200 if self.batch_size == "auto" else int(self.batch_size)
            if self.batch_size != "auto" and batch > samples:
                warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                              stacklevel=6)
        own = begun if incremental and begun is getattr(self, "_begun", None) else None  # not trained elsewhere
        if own is not None and not optimizer.takes_over(own.optimizer):
            own = None  # another kind begins anew
        if own is not None:
            own.go_on_with(optimizer)
            if self.solver == "sgd" and self.learning_rate != "adaptive":
                own.hyper[HYPER_RATE] = self._rate()
        self.n_iter_ = 0
        end_of_epoch = _EndOfEpoch(self, samples, score, self._offset(data.targets, data.weight),
                                   0 if kept is None else self._offset(kept.targets, None))
        try:
            network.fit(data.X, data.targets, epochs=1 if incremental else self.max_iter, batch_size=batch,
                        optimizer=optimizer, sample_weight=data.weight, threads=self.n_threads,
                        validation=None if kept is None else (kept.X, kept.targets),
                        callbacks=[end_of_epoch, *(self.callbacks or ())], progress=self.progress,
                        regularization=self._regularization(), resume=own is not None,
                        shuffle=partial(_reorder, self._random_state) if self.shuffle and batch else False)
        except DivergenceError as error:
            if not self.early_stopping:
                raise ValueError(NOT_FINITE) from error
            self.n_iter_ += 1
            self._record(math.nan, math.nan)
            self.validation_scores_.append(math.nan)
            warnings.warn(f"Stochastic Optimizer: {error}", ConvergenceWarning, stacklevel=6)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
        else:
            if self.n_iter_ == self.max_iter and not end_of_epoch.stopped and not incremental:
                warnings.warn(f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                              "optimization hasn't converged yet.", ConvergenceWarning, stacklevel=6)
        finally:
            self._begun = network._progress
            if self.early_stopping and (self.n_iter_ > 0 or self._begun is not begun):
                network.parameters[:] = self._best_parameters

    def _rate(self) -> float:
        """Return the learning rate of "sgd" after the samples seen so far."""
        if self.learning_rate != "invscaling":
            return float(self.learning_rate_init)
        try:
            return float(self.learning_rate_init / (self.t_ + 1) ** self.power_t)
        except OverflowError:  # of Python's power
            return 0.0

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
            return SGD(self.learning_rate_init, momentum, bool(self.nesterovs_momentum) and momentum > 0)
        if self.solver == "adam":
            return Adam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon, epsilon_hat=True)
        if self.solver in RULES:
            return RULES[self.solver](self.learning_rate_init)
        return OPTIMIZERS[self.solver]()

    def _split(self, data: _Samples) -> tuple[_Samples, _Samples]:
        """Keep back validation_fraction of the samples, those that scikit-learn keeps."""
        stratify = data.targets == 1 if is_classifier(self) and self.n_outputs_ == 1 else None
        train, kept = train_test_split(np.arange(data.X.shape[0]), random_state=self._random_state,
                                       test_size=self.validation_fraction, stratify=stratify)
        if len(kept) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your "
                             "dataset.")
        return data.part(train), data.part(kept)

    def _narrowed(self, X: Any) -> Any:
        """Return X in the network's dtype, converted once for the scores of all epochs."""
        with np.errstate(all="ignore"):
            return X.astype(self._network.dtype, copy=False)

    def _fit_lbfgs(self, data: _Samples, kept: _Samples | None) -> None:
        """Minimise with SciPy's L-BFGS-B, as scikit-learn does: the same stopping rule, limits and messages."""
        if np.any(self.dropout):
            raise ValueError("solver='lbfgs' cannot follow a loss that is drawn anew each time: with dropout use "
                             "solver='adam' or another one for mini-batches")
        network: Network = self._network
        samples = network._samples(data.X, data.targets, data.weight, sparse=True)
        others = None if kept is None else network._samples(kept.X, kept.targets, None, sparse=True)
        gradient, nothing = np.empty_like(network.parameters), np.empty(0, network.dtype)
        offset, regularization = self._offset(data.targets, data.weight), self._regularization()
        other_offset, began = 0 if kept is None else self._offset(kept.targets, None), time.perf_counter()
        self.n_iter_, evaluations, stopped, changed = 0, 0, False, False

        def evaluate(parameters: Array) -> tuple[float, Array]:
            network.parameters[:] = parameters
            cost = loss(gradient)
            return cost, gradient.astype(np.float64)

        def listen(intermediate_result: Any) -> None:  # SciPy looks at the name of the argument
            nonlocal stopped, changed
            self.n_iter_ += 1
            network.parameters[:] = intermediate_result.x
            cost = float(intermediate_result.fun)
            other = None if others is None else cost_and_gradient(network, others, nothing, self.n_threads)
            part = 0.0 if loss.penalize is None else loss.penalize(nothing)
            self._record(self._loss(cost, part, offset),
                         None if other is None else self._loss(other, 0.0, other_offset))
            record = Record(self.n_iter_, cost, other, time.perf_counter() - began, network, self.n_iter_, math.nan,
                            lambda: float(np.linalg.norm(gradient)), part)
            left = network.parameters.copy()
            stopped = any([asks_to_stop(callback(record)) for callback in listeners])
            changed = not np.array_equal(left, network.parameters)
            if stopped or changed:
                raise StopIteration

        with ExitStack() as stack:
            loss = stack.enter_context(evaluation(network, samples, self.n_threads, regularization))
            listeners = list(self.callbacks or ())
            if self.progress:
                listeners.append(ProgressBar(self.max_iter, data.X.shape[0]))
            stack.enter_context(network._fitting())
            for listener in listeners:
                if isinstance(listener, EarlyStopping):
                    listener.watch(network)
                if isinstance(listener, AbstractContextManager):
                    stack.enter_context(listener)
            while True:
                changed = False
                found = scipy.optimize.minimize(
                    evaluate, network.parameters.astype(np.float64), method="L-BFGS-B", jac=True, callback=listen,
                    options={"maxfun": self.max_fun - evaluations, "maxiter": self.max_iter - self.n_iter_,
                             "gtol": self.tol})
                evaluations += found.nfev
                if not changed:
                    network.parameters[:] = found.x
                if not changed or stopped or self.n_iter_ >= self.max_iter or evaluations >= self.max_fun:
                    break
            found.nit = self.n_iter_
            part = 0.0 if loss.penalize is None else loss.penalize(nothing)
        if not np.isfinite(network.parameters).all():
            raise ValueError(NOT_FINITE)
        if not stopped:  # which SciPy takes for a failure
            self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        self.loss_ = self.best_loss_ = self._loss(float(found.fun), part, offset)

    def _regularization(self) -> Regularization | None:
        own = isinstance(self._make_optimizer(), BayesianRegularization)  # finds the weight of its penalty itself
        alpha = 0.0 if own else float(self.alpha)
        if alpha == 0 and not np.any(self.dropout):
            return None
        return Regularization(l2=alpha, per_sample=True, dropout=self.dropout)

    def _loss(self, cost: float, part: float, offset: float) -> float:
        """Return scikit-learn's loss: of squared errors the mean over outputs, of the penalty the whole."""
        outputs = self.n_outputs_ if self._network.cost_function.name == "squared_error" else 1
        return (cost - part) / outputs + part + offset if outputs > 1 else cost + offset

    def _offset(self, targets: Array, weight: Array | None) -> float:
        """Return what a loss has beside the cost."""
        return 0.0

    # ----------------------------------------------------------------------------------------------- standardising

    def _set_scalers(self, data: _Samples, cost: Cost, standardize: bool) -> None:
        self.input_scaler_: Any = None
        self.target_scaler_: Any = None
        if standardize:
            self.input_scaler_ = _scaler("X", data.X, data.weight)
            if cost.targets == ANY and cost.output == "identity" and not is_classifier(self):
                self.target_scaler_ = _scaler("y", data.targets, data.weight)

    def _scaled(self, data: _Samples) -> _Samples:
        return _Samples(_standardized(self.input_scaler_, data.X), _standardized(self.target_scaler_, data.targets),
                        data.weight)

    # --------------------------------------------------------------------------------------------------- predicting

    def _outputs(self, X: Any) -> Array:
        """Return the network's outputs, (n_samples, n_outputs_)."""
        network = self.network_
        X = validate_data(self, _whole(X), accept_sparse=["csr", "csc"], reset=False)
        return network.predict(_standardized(self.input_scaler_, X))

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
        network = self.network_
        X = validate_data(self, X, reset=False)
        slopes = network.jacobian(_standardized(self.input_scaler_, X))
        if self.input_scaler_ is not None:
            slopes /= self.input_scaler_.scale_
        if self.target_scaler_ is not None:
            slopes *= self.target_scaler_.scale_[:, np.newaxis]
        if is_classifier(self) and self.n_outputs_ == 1:
            return np.concatenate([-slopes, slopes], axis=1)
        return slopes

    @classmethod
    def _wrapped(cls, network: Network, settings: dict[str, Any]) -> Self:
        self = cls(hidden_layer_sizes=network.layers[1:-1], activation=network.activations[:-1],
                   dtype=network.dtype.name, **settings)
        self.n_features_in_, self.n_outputs_ = network.layers[0], network.layers[-1]
        self.n_layers_, self.out_activation_ = len(network.layers), network.activations[-1]
        self._network, self.n_iter_, self.t_, self.loss_curve_ = network, len(network.history), 0, []
        self.validation_loss_curve_, self.validation_scores_, self.best_validation_score_ = [], None, None
        self.best_loss_, self._no_improvement_count, self._best_parameters = np.inf, 0, None
        self._description = (list(network.layers), network.activations[:-1], network.activations[-1],
                             network.cost_function, network.dtype)
        self.input_scaler_ = self.target_scaler_ = None
        self._show()
        return self

    def _has_epochs(self) -> bool:
        if self.solver == "lbfgs" or not isinstance(self._make_optimizer(), UpdateRule):
            raise AttributeError("partial_fit is only available for stochastic optimizers. "
                                 f"{self.solver} is not stochastic.")
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ----------------------------------------------------------------------------------- what the two do differently

    def _checked(self, X: Any, y: Any, *, reset: bool, **options: Any) -> tuple[Any, Any]:
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


class MLPClassifier(ClassifierMixin, _MLP):
    """A classifier in the place of `sklearn.neural_network.MLPClassifier`: its parameters and attributes, and more.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Neurons of each hidden layer.
    activation : str or sequence of str, default "relu"
        Of the hidden layers: one name of `fastbp.activations.ACTIVATIONS` for all, or one for each.
    solver : str or Optimizer, default "adam"
        "sgd", "adam" and "lbfgs" are scikit-learn's, with the parameters below ("lbfgs" is SciPy's L-BFGS-B over the
        compiled cost and gradient). Every other name of `fastbp.optimizers` stands for its defaults, those for
        mini-batches with the learning rate ``learning_rate_init``; full-batch methods, "quickprop" too, keep their own
        numbers. An instance, for instance ``fastbp.Rprop()``, has settings of its own.
    alpha : float, default 0.0001
        Factor of the penalty ½Σw², divided by the number of samples of each batch. `BayesianRegularization` finds a
        factor of its own, and this one is left out.
    batch_size : int or "auto", default "auto"
        Samples in an update; "auto" is min(200, n_samples). Full-batch methods take all.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        For "sgd": μ as it is; μ/(t + 1)^power_t after t samples; or divided by 5 instead of stopping.
    learning_rate_init : float, default 0.001
        μ > 0.
    power_t : float, default 0.5
        For "invscaling".
    max_iter : int, default 200
        Epochs, or iterations of a full-batch method, at most.
    shuffle : bool, default True
        Take the samples of each epoch in a new order.
    random_state : int, RandomState or None, default None
        Draws first weights, the split for early stopping and the orders, as scikit-learn does.
    tol : float, default 1e-4
        A loss below the best so far by less than this counts as no improvement; for "lbfgs" the largest slope at which
        it stops.
    verbose : bool or int, default False
        Print the loss of each epoch.
    warm_start : bool, default False
        Let `fit` begin with the weights of the last one.
    momentum : float, default 0.9
        For "sgd".
    nesterovs_momentum : bool, default True
        For "sgd".
    early_stopping : bool, default False
        Keep back a part of the samples, stop when their score does not rise any more, and go back to the best weights.
        "lbfgs" takes no notice of it.
    validation_fraction : float, default 0.1
        The part that is kept back.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        For "adam".
    n_iter_no_change : int, default 10
        Epochs without improvement, beyond which it stops.
    max_fun : int, default 15000
        Evaluations of the loss at most, for "lbfgs".
    loss : str or Cost, default "log_loss"
        "log_loss" is the cross-entropy that goes with the outputs: softmax for three classes or more, else logistic.
        Any cost of `fastbp.costs` may take its place; the outputs stay. With logistic outputs "cross_entropy" means
        "binary_cross_entropy".
    dtype : {"float32", "float64"}, optional
        Of weights and arithmetic; by default that of X.
    coefs_init, intercepts_init : list of array_like, optional
        First weights, shaped like `coefs_` and `intercepts_`.
    dropout : float or sequence of float, default 0
        Probability, one for all hidden layers or one for each, with which the output of a hidden neuron is left out of
        a step; only in training.
    standardize : bool, default False
        Subtract the mean from every feature, and divide by the standard deviation, inside the estimator: it is
        given, and predicts, numbers in their own units. `coefs_` and `loss_` are those of the network inside. The
        first fit decides, or the first batch of `partial_fit`. Sparse X is divided only.
    callbacks : list of callables, optional
        Called after each epoch with a `fastbp.Record`; `fastbp.TimeLimit` and others. Training stops when one returns
        True.
    progress : bool, default False
        Show a tqdm bar (``pip install fastbp[progress]``).
    n_threads : int, optional
        Threads; by default the work in a batch decides, within what joblib leaves to a worker. It changes the time,
        never the result.
    class_weight : dict, list of dict, "balanced" or None, default None
        Factors of the sample weights by class; "balanced" gives all classes the same weight together.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Sorted.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: views into ``network_.parameters``. What is put in
        their place is used from then on.
    network_ : Network
        The trained network.
    loss_, best_loss_ : float
        The loss of the last epoch, and the lowest one; best_loss_ is None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    validation_loss_curve_ : list of float
        That of the samples kept back or given as validation_data, without the penalty and without sample weights,
        which `validation_scores_` do use.
    validation_scores_ : list of float or None
        Accuracy of the samples kept back, after each epoch, with early stopping.
    best_validation_score_ : float or None
        The highest of them.
    n_iter_, t_ : int
        Epochs of the last fit; samples seen since the first weights.
    n_layers_, n_outputs_, n_features_in_ : int
        Layers, inputs included; outputs; inputs.
    feature_names_in_ : ndarray of str
        Where X had names.
    out_activation_ : str
        Of the output layer.
    input_scaler_ : StandardScaler or None
        With ``standardize=True``.

    Raises
    ------
    InvalidParameterError
        In `fit`, if a parameter is out of range.

    Notes
    -----
    The same ``random_state`` gives scikit-learn's losses and weights to rounding, for "sgd" and "adam" (with
    ``sample_weight`` a loss of several batches is their mean by weight here, by number of samples there). Three more
    things differ: a probability is not clipped before its logarithm is taken; training ends with the epoch in which a
    number leaves the finite: in an error, or with early stopping in a ConvergenceWarning and the best weights; and a
    negative sample weight is an error.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import fastbp
    >>> X, y = load_digits(return_X_y=True)
    >>> float(fastbp.MLPClassifier(random_state=0).fit(X[:1500], y[:1500]).score(X[1500:], y[1500:])) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = _MLP._parameter_constraints | {
        "loss": [StrOptions({"log_loss"}), StrOptions(COSTS.keys()), Cost],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *,
                 solver: Any = "adam", alpha: Any = 0.0001, batch_size: Any = "auto",
                 learning_rate: Any = "constant", learning_rate_init: Any = 0.001, power_t: Any = 0.5,
                 max_iter: Any = 200, shuffle: Any = True, random_state: Any = None, tol: Any = 1e-4,
                 verbose: Any = False, warm_start: Any = False, momentum: Any = 0.9, nesterovs_momentum: Any = True,
                 early_stopping: Any = False, validation_fraction: Any = 0.1, beta_1: Any = 0.9, beta_2: Any = 0.999,
                 epsilon: Any = 1e-8, n_iter_no_change: Any = 10, max_fun: Any = 15000, loss: Any = "log_loss",
                 dtype: Any = None, coefs_init: Any = None, intercepts_init: Any = None, dropout: Any = 0.0,
                 standardize: Any = False, callbacks: Any = None, progress: Any = False, n_threads: Any = None,
                 class_weight: Any = None) -> None:
        self._keep(locals())

    def _take_classes(self, y: Any, classes: Any) -> None:
        if _check_partial_fit_first_call(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)

    def _set_classes(self, y: Array, incremental: bool) -> None:
        if incremental:
            self._check_known(y)  # a batch need not have all of them
            return
        if not hasattr(self, "classes_") or not self.warm_start:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return
        classes = unique_labels(y)
        if set(classes) != set(self.classes_):
            raise ValueError("warm_start can only be used where `y` has the same classes as in the previous call to "
                             f"fit. Previously got {self.classes_}, `y` has {classes}")

    def _check_known(self, y: Array) -> None:
        classes = unique_labels(y)
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has "
                             f"{classes}.")

    def _targets(self, y: Array) -> Array:
        """Return class indices, (n,), where outputs are a softmax of several classes, else 0 and 1, (n, n_outputs)."""
        if self._label_binarizer.y_type_ == "multiclass" and self._cost().targets == CLASSES:
            return np.searchsorted(self.classes_, y)
        targets: Array = self._label_binarizer.transform(y)
        return targets

    def _count_outputs(self, targets: Array) -> int:
        return len(self.classes_) if targets.ndim == 1 else targets.shape[1]

    def _cost(self) -> Cost:
        cost = COSTS["cross_entropy"] if self.loss == "log_loss" else costs.get(self.loss)
        if cost.name == "cross_entropy" and self._label_binarizer.y_type_ != "multiclass":
            return COSTS["binary_cross_entropy"]  # −y log o alone is least where every logistic output is 1
        return cost

    def _cost_and_output(self) -> tuple[Cost, str]:
        return self._cost(), "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _with_class_weight(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            raise ValueError("class_weight 'balanced' is not supported for partial_fit, which sees a part of the "
                             "samples at a time. Use compute_class_weight('balanced', classes=classes, y=y), and pass "
                             "what it gives as a dict.")
        known = self.class_weight
        if incremental:  # a batch need not have every class that has a weight
            if isinstance(known, dict):
                if strange := [name for name in known if name not in self.classes_]:
                    raise ValueError(f"class_weight has {strange}, which are not among the classes {self.classes_}")
                known = dict.fromkeys(self.classes_.tolist(), 1.0) | known
            else:
                known = [{0: 1.0, 1: 1.0} | factors for factors in known]
        by_class: Array = compute_sample_weight(known, y)
        return by_class if weight is None else weight * by_class

    def _scorer(self, kept: _Samples) -> Score:
        """Return the accuracy, from outputs: what accuracy_score makes of the classes that `predict` gives."""
        X, targets, weight = self._narrowed(kept.X), kept.targets, kept.weight
        single = len(self.classes_) == 1 and self._label_binarizer.y_type_ == "binary"

        def score(network: Network) -> float:
            out = network.predict(X)
            if self.out_activation_ == "softmax":
                right = out.argmax(axis=1) == (targets if targets.ndim == 1 else targets.argmax(axis=1))
            else:
                right = ((out > 0.5) == (targets == 1)).all(axis=1) | single
            return float(np.average(right, weights=weight))

        return score

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.
        y : array-like, shape (n_samples,) or (n_samples, n_labels)
            Classes, or a matrix of 0 and 1 for several labels a sample.
        sample_weight : array-like, shape (n_samples,), optional
            Weights of the samples in the loss of their batch.
        validation_data : pair (X, y), optional
            Samples whose loss goes to `validation_loss_curve_` after each epoch; with ``early_stopping=True`` they
            take the place of the part that is kept back.

        Returns
        -------
        MLPClassifier
            self

        Raises
        ------
        InvalidParameterError, ValueError, TypeError
            If a parameter or an array does not fit, or the weights do not stay finite.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    @available_if(_MLP._has_epochs)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch, with the optimizer as the last call left it; parameters set since then act.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like, shape (n_classes,), optional
            All classes that any call will see; needed in the first. A batch need not have all of them.

        Returns
        -------
        MLPClassifier
            self

        Raises
        ------
        InvalidParameterError, ValueError, TypeError
            As in `fit`, and if there are other classes than in the first call.
        """
        return self._fit(X, y, sample_weight, None, incremental=True, classes=classes)

    def predict(self, X: Any) -> Array:
        """Return the class of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_labels)

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit.
        """
        check_is_fitted(self)
        out = self._outputs(X)
        found: Array = self._label_binarizer.inverse_transform(out.ravel() if self.n_outputs_ == 1 else out)
        return found

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit.
        """
        check_is_fitted(self)
        out = self._outputs(X)
        return np.hstack([1 - out, out]) if self.n_outputs_ == 1 else out

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit.
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    @classmethod
    def from_network(cls, network: Network, classes: npt.ArrayLike | None = None, **parameters: Any) -> Self:
        """Wrap a trained network, which it shares: it predicts, and goes on learning by `partial_fit`.

        Parameters
        ----------
        network : Network
            With softmax outputs, one a class, or logistic ones: a single one tells two classes apart, several are
            labels of their own.
        classes : array_like, optional
            Sorted names of the classes, by default 0, 1, ... Not for labels.
        **parameters
            Of the estimator, beside those that the network fixes.

        Returns
        -------
        MLPClassifier

        Raises
        ------
        ValueError
            If the outputs are no probabilities, there are more or fewer classes than they tell apart, or labels are
            given names.
        """
        count, output = network.layers[-1], network.activations[-1]
        if output not in ("softmax", "logistic") or (output == "softmax" and count < 3):
            raise ValueError(f"the network has {count} {output} outputs, expected softmax for three classes or more, "
                             "or logistic")
        several = output == "logistic" and count > 1
        if several and classes is not None:
            raise ValueError(f"classes is {classes!r}, but {count} logistic outputs are labels of their own, which "
                             "have no names: leave classes out")
        names = np.arange(max(count, 2)) if classes is None else np.asarray(classes)
        if len(names) != max(count, 2) or not (unique_labels(names) == names).all():
            raise ValueError(f"classes is {classes!r}, expected {max(count, 2)} sorted names")
        loss = "log_loss" if network._architecture.canonical else network.cost_function
        self = cls._wrapped(network, {"loss": loss, **parameters})
        self._label_binarizer = LabelBinarizer().fit(np.eye(count, dtype=int) if several else names)
        self.classes_ = self._label_binarizer.classes_
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _MLP):
    """A regressor in the place of `sklearn.neural_network.MLPRegressor`: its parameters and attributes, and more.

    Parameters
    ----------
    loss : str or Cost, default "squared_error"
        "squared_error" and "poisson" are scikit-learn's: half the squared error, and half the Poisson deviance with
        outputs exp(net). Any other cost of `fastbp.costs` may take their place, with the outputs that go with it.
    hidden_layer_sizes : int or sequence of int, default (100,)
        Neurons of each hidden layer.
    activation : str or sequence of str, default "relu"
        Of the hidden layers: one name of `fastbp.activations.ACTIVATIONS` for all, or one for each.
    solver : str or Optimizer, default "adam"
        "sgd", "adam" and "lbfgs" are scikit-learn's, with the parameters below ("lbfgs" is SciPy's L-BFGS-B over the
        compiled cost and gradient). Every other name of `fastbp.optimizers` stands for its defaults, those for
        mini-batches with the learning rate ``learning_rate_init``; full-batch methods, "quickprop" too, keep their own
        numbers. An instance, for instance ``fastbp.Rprop()``, has settings of its own.
    alpha : float, default 0.0001
        Factor of the penalty ½Σw², divided by the number of samples of each batch. `BayesianRegularization` finds a
        factor of its own, and this one is left out.
    batch_size : int or "auto", default "auto"
        Samples in an update; "auto" is min(200, n_samples). Full-batch methods take all.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        For "sgd": μ as it is; μ/(t + 1)^power_t after t samples; or divided by 5 instead of stopping.
    learning_rate_init : float, default 0.001
        μ > 0.
    power_t : float, default 0.5
        For "invscaling".
    max_iter : int, default 200
        Epochs, or iterations of a full-batch method, at most.
    shuffle : bool, default True
        Take the samples of each epoch in a new order.
    random_state : int, RandomState or None, default None
        Draws first weights, the split for early stopping and the orders, as scikit-learn does.
    tol : float, default 1e-4
        A loss below the best so far by less than this counts as no improvement; for "lbfgs" the largest slope at which
        it stops.
    verbose : bool or int, default False
        Print the loss of each epoch.
    warm_start : bool, default False
        Let `fit` begin with the weights of the last one.
    momentum : float, default 0.9
        For "sgd".
    nesterovs_momentum : bool, default True
        For "sgd".
    early_stopping : bool, default False
        Keep back a part of the samples, stop when their score does not rise any more, and go back to the best weights.
        "lbfgs" takes no notice of it.
    validation_fraction : float, default 0.1
        The part that is kept back.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        For "adam".
    n_iter_no_change : int, default 10
        Epochs without improvement, beyond which it stops.
    max_fun : int, default 15000
        Evaluations of the loss at most, for "lbfgs".
    dtype : {"float32", "float64"}, optional
        Of weights and arithmetic; by default that of X.
    coefs_init, intercepts_init : list of array_like, optional
        First weights, shaped like `coefs_` and `intercepts_`.
    dropout : float or sequence of float, default 0
        Probability, one for all hidden layers or one for each, with which the output of a hidden neuron is left out of
        a step; only in training.
    standardize : bool, default False
        Subtract the mean from every feature and target, and divide by the standard deviation, inside the estimator: it
        is given, and predicts, numbers in their own units. `coefs_` and `loss_` are those of the network inside. The
        first fit decides, or the first batch of `partial_fit`. Sparse X is divided only. Targets of a cost whose
        outputs are not any number ("poisson", or a cost of your own with ``output="exp"``) stay as they are. The delta
        of `fastbp.huber` counts standard deviations of y.
    callbacks : list of callables, optional
        Called after each epoch with a `fastbp.Record`; `fastbp.TimeLimit` and others. Training stops when one returns
        True.
    progress : bool, default False
        Show a tqdm bar (``pip install fastbp[progress]``).
    n_threads : int, optional
        Threads; by default the work in a batch decides, within what joblib leaves to a worker. It changes the time,
        never the result.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: views into ``network_.parameters``. What is put in
        their place is used from then on.
    network_ : Network
        The trained network.
    loss_, best_loss_ : float
        The loss of the last epoch, and the lowest one; best_loss_ is None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    validation_loss_curve_ : list of float
        That of the samples kept back or given as validation_data, without the penalty and without sample weights,
        which `validation_scores_` do use.
    validation_scores_ : list of float or None
        R² of the samples kept back, after each epoch, with early stopping.
    best_validation_score_ : float or None
        The highest of them.
    n_iter_, t_ : int
        Epochs of the last fit; samples seen since the first weights.
    n_layers_, n_outputs_, n_features_in_ : int
        Layers, inputs included; outputs; inputs.
    feature_names_in_ : ndarray of str
        Where X had names.
    out_activation_ : str
        Of the output layer.
    input_scaler_, target_scaler_ : StandardScaler or None
        With ``standardize=True``.

    Raises
    ------
    InvalidParameterError
        In `fit`, if a parameter is out of range.

    Notes
    -----
    The same ``random_state`` gives scikit-learn's losses and weights to rounding, for "sgd" and "adam" (with
    ``sample_weight`` a loss of several batches is their mean by weight here, by number of samples there). Three more
    things differ: a probability is not clipped before its logarithm is taken; training ends with the epoch in which a
    number leaves the finite: in an error, or with early stopping in a ConvergenceWarning and the best weights; and a
    negative sample weight is an error.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> import fastbp
    >>> X, y = load_diabetes(return_X_y=True)
    >>> float(fastbp.MLPRegressor(standardize=True, random_state=0).fit(X, y).score(X, y)) > 0.5
    True
    """

    def __init__(self, loss: Any = "squared_error", hidden_layer_sizes: Any = (100,), activation: Any = "relu", *,
                 solver: Any = "adam", alpha: Any = 0.0001, batch_size: Any = "auto",
                 learning_rate: Any = "constant", learning_rate_init: Any = 0.001, power_t: Any = 0.5,
                 max_iter: Any = 200, shuffle: Any = True, random_state: Any = None, tol: Any = 1e-4,
                 verbose: Any = False, warm_start: Any = False, momentum: Any = 0.9, nesterovs_momentum: Any = True,
                 early_stopping: Any = False, validation_fraction: Any = 0.1, beta_1: Any = 0.9, beta_2: Any = 0.999,
                 epsilon: Any = 1e-8, n_iter_no_change: Any = 10, max_fun: Any = 15000, dtype: Any = None,
                 coefs_init: Any = None, intercepts_init: Any = None, dropout: Any = 0.0, standardize: Any = False,
                 callbacks: Any = None, progress: Any = False, n_threads: Any = None) -> None:
        self._keep(locals())

    def _checked(self, X: Any, y: Any, *, reset: bool, **options: Any) -> tuple[Any, Any]:
        return super()._checked(X, y, reset=reset, y_numeric=True, **options)

    def _targets(self, y: Array) -> Array:
        return y.reshape(len(y), -1)

    def _count_outputs(self, targets: Array) -> int:
        return int(targets.shape[1])

    def _cost_and_output(self) -> tuple[Cost, str]:
        cost = costs.get(self.loss)
        return cost, cost.output

    def _offset(self, targets: Array, weight: Array | None) -> float:
        """Return Σ y log y − y, which scikit-learn's half Poisson deviance has beside the cost."""
        if self._network.cost_function.name != "poisson":
            return 0.0
        return float(np.average(scipy.special.xlogy(targets, targets) - targets, axis=0, weights=weight).sum())

    def _scorer(self, kept: _Samples) -> Score:
        """Return R², as r2_score does, of the network's outputs; NaN where one of them is not finite."""
        X, y = self._narrowed(kept.X), kept.targets
        if len(y) < 2:
            raise ValueError(f"validation_data has {len(y)} row, but early stopping of a regressor needs two or more: "
                             "R² of a single one does not depend on the prediction")
        weight = np.ones(len(y)) if kept.weight is None else kept.weight
        with np.errstate(under="ignore"):
            spread = weight @ (y - np.average(y, axis=0, weights=weight)) ** 2

        def score(network: Network) -> float:
            out = network.predict(X)
            if not np.isfinite(out).all():
                return math.nan
            constant = spread == 0
            with np.errstate(over="ignore", under="ignore"):  # just before it diverges
                rest = weight @ (y - out) ** 2
                return float(np.mean(np.where(constant, rest == 0, 1 - rest / np.where(constant, 1, spread))))

        return score

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like, shape (n_samples,), optional
            Weights of the samples in the loss of their batch.
        validation_data : pair (X, y), optional
            Samples whose loss goes to `validation_loss_curve_` after each epoch; with ``early_stopping=True`` they
            take the place of the part that is kept back.

        Returns
        -------
        MLPRegressor
            self

        Raises
        ------
        InvalidParameterError, ValueError, TypeError
            If a parameter or an array does not fit, or the weights do not stay finite.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    @available_if(_MLP._has_epochs)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch, with the optimizer as the last call left it; parameters set since then act.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        MLPRegressor
            self

        Raises
        ------
        InvalidParameterError, ValueError, TypeError
            As in `fit`.
        """
        return self._fit(X, y, sample_weight, None, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the targets that the network expects.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit.
        """
        check_is_fitted(self)
        out = self._outputs(X)
        if self.target_scaler_ is not None:
            out = self.target_scaler_.inverse_transform(out.astype(np.float64))
        return out.ravel() if self.n_outputs_ == 1 else out

    @classmethod
    def from_network(cls, network: Network, **parameters: Any) -> Self:
        """Wrap a trained network, which it shares: it predicts, and goes on learning by `partial_fit`.

        Parameters
        ----------
        network : Network
            Any.
        **parameters
            Of the estimator, beside those that the network fixes.

        Returns
        -------
        MLPRegressor

        Raises
        ------
        ValueError
            If the network's output activation is not the one that goes with its cost.
        """
        cost = network.cost_function
        if network.activations[-1] != cost.output:
            raise ValueError(f"the network has {network.activations[-1]} outputs, expected {cost.output}, which go "
                             f"with its cost {cost}")
        return cls._wrapped(network, {"loss": cost if cost.parameter is not None else cost.name, **parameters})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

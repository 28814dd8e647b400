"""`MLPRegressor`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.special
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .. import costs
from ..costs import Cost
from ..network import Network
from . import _fit
from ._base import _MLP, Score, _columns, _Samples

Array = npt.NDArray[Any]


def _spread(y: Array, weight: Array) -> Array:
    """Return Σ w (y − ȳ)² of each output: exactly 0 where y is constant in all rows that weigh anything."""
    y, weight = y[weight > 0], weight[weight > 0]
    with np.errstate(over="ignore", under="ignore"):
        rest = y - y[0]
        found: Array = weight @ (rest - weight @ rest / weight.sum()) ** 2
    return found


class MLPRegressor(RegressorMixin, _MLP):
    """A regressor in the place of `sklearn.neural_network.MLPRegressor`: its parameters and attributes, and more.

    Parameters
    ----------
    loss : str or Cost, default "squared_error"
        "squared_error" and "poisson" are scikit-learn's: half the squared error, and half the Poisson deviance with
        outputs exp(net). Any other cost of `fastbp.costs` may take their place, with the outputs that go with it.
    hidden_layer_sizes : int or sequence of int, default (100,)
        Neurons of each hidden layer.
    activation : str, Activation or sequence of these, default "relu"
        Of the hidden layers, one for all or one for each: a name of `fastbp.activations.ACTIVATIONS`, or what
        `fastbp.parametric` gives.
    solver : str or Optimizer, default "adam"
        "sgd", "adam" and "lbfgs" are scikit-learn's, with the parameters below ("lbfgs" goes where SciPy's
        L-BFGS-B does, compiled). Every other name of `fastbp.optimizers` stands for its defaults, those for
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
    precision : {"float32", "float64", "bfloat16"}, optional
        Of the products in training; by default ``dtype``. "bfloat16" asks for ``dtype="float32"``, see `Network.fit`,
        and is not for "lbfgs" and other full-batch methods.
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
        Threads at most; by default as many as joblib leaves to a worker. The work in a batch decides how many there
        are. It changes the time, never the result.
    n_members : int, default 1
        Networks, all trained in one call, whose predictions are averaged. Each is an estimator of its own in
        `estimators_`, with one network and a ``random_state`` drawn from this one's. More than one excludes
        ``warm_start``, and there is no `partial_fit`; callbacks are copied for each.
    resample : {"bootstrap", "folds"} or None, default None
        Which samples a member is trained on: None all; "bootstrap" as many as there are, drawn with repetition (Breiman
        1996), of which early stopping keeps back some that the member does not learn from; "folds" all but a fold of
        its own. Both are drawn without regard to sample weights, and tell how good the members are together:
        `oob_score_`.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: views into ``network_.parameters``. What is put in
        their place is used from then on.
    network_ : Network
        The trained network, of an estimator without members.
    loss_, best_loss_ : float
        The loss of the last epoch, and the lowest one; ``best_loss_`` is None with early stopping.
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
    networks_ : list of Network
        The trained networks, one for each member.
    estimators_, estimators_samples_ : list
        The members, and the indices of the samples that each was given; only with members. Their `loss_curve_` and
        other records are their own; `loss_` is the mean of theirs, `n_iter_` the largest.
    ensemble_ : Ensemble
        The networks of the members as a `fastbp.Ensemble`, for intervals and more; with ``standardize=True`` in the
        units inside. Only with members.
    oob_prediction_ : ndarray, shape like y
        Mean predictions of the members that have not seen a sample, NaN where all have; with ``resample``.
    oob_score_ : float
        Their R².

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

    Of members, ``random_state`` draws with "folds" first the order in which samples are dealt out; then for one member
    after the other its ``random_state``, and with "bootstrap" its samples. So the first members of a bootstrap are the
    same however many there are.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> import fastbp
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = fastbp.MLPRegressor(standardize=True, tol=1e-2, random_state=0).fit(X, y)
    >>> float(model.score(X, y)) > 0.5
    True
    >>> model.partial_fit(X, y).input_gradient(X[:3]).shape  # after one more epoch
    (3, 1, 10)
    >>> net = fastbp.Network((1, 4, 1), seed=0).fit([[0.0], [1.0]], [0.0, 1.0], epochs=5)
    >>> wrapped = fastbp.MLPRegressor.from_network(net)
    >>> bool((wrapped.predict([[0.5]]) == net.predict([[0.5]])).all())
    True
    >>> bags = fastbp.MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", solver="lbfgs", alpha=5.0, max_iter=1000,
    ...                            standardize=True, random_state=0, n_members=20, resample="bootstrap").fit(X, y)
    >>> bags.oob_score_ > 0.4
    True
    >>> mean, std = bags.predict([[0.0] * 10, [0.5] * 10], return_std=True)
    >>> bool(std[1] > 3 * std[0])  # far from all samples the members differ
    True
    """

    def __init__(self, loss: Any = "squared_error", hidden_layer_sizes: Any = (100,), activation: Any = "relu", *,
                 solver: Any = "adam", alpha: Any = 0.0001, batch_size: Any = "auto",
                 learning_rate: Any = "constant", learning_rate_init: Any = 0.001, power_t: Any = 0.5,
                 max_iter: Any = 200, shuffle: Any = True, random_state: Any = None, tol: Any = 1e-4,
                 verbose: Any = False, warm_start: Any = False, momentum: Any = 0.9, nesterovs_momentum: Any = True,
                 early_stopping: Any = False, validation_fraction: Any = 0.1, beta_1: Any = 0.9, beta_2: Any = 0.999,
                 epsilon: Any = 1e-8, n_iter_no_change: Any = 10, max_fun: Any = 15000, dtype: Any = None,
                 precision: Any = None, coefs_init: Any = None, intercepts_init: Any = None, dropout: Any = 0.0,
                 standardize: Any = False, callbacks: Any = None, progress: Any = False, n_threads: Any = None,
                 n_members: Any = 1, resample: Any = None) -> None:
        self._keep(locals())

    target_kinds = "f"

    def _checked(self, X: Any, y: Any, *, reset: bool, **options: Any) -> tuple[Any, Any]:
        return super()._checked(X, y, reset=reset, y_numeric=True, **options)

    def _targets(self, y: Array) -> Array:
        return y.reshape(len(y), -1)

    def _count_outputs(self, targets: Array) -> int:
        return int(targets.shape[1])

    def _cost_and_output(self) -> tuple[Cost, str]:
        cost = costs.get(self.loss)
        return cost, cost.output

    def _offset(self, data: _Samples) -> float:
        """Return Σ y log y − y, which scikit-learn's half Poisson deviance has beside the cost."""
        if self._network.cost_function.name != "poisson":
            return 0.0
        own = replace(data, X=data.targets).own()  # nothing of X
        targets, weight = own.targets, own.weight
        return float(np.average(scipy.special.xlogy(targets, targets) - targets, axis=0, weights=weight).sum())

    def _scorer(self, kept: _Samples) -> Score:
        """Return R² of an epoch; of one output it is 1 − 2nC / Σ(y − ȳ)², with its cost C, which is known already."""
        y = kept.targets
        if kept.weight is None and y.shape[1] == 1 and self._network.cost_function.name == "squared_error":
            spread = float(_spread(y, np.ones(len(y)))[0])
            if 0 < spread < math.inf:
                factor = 2 * len(y) / spread

                return lambda record: 1 - factor * record.validation_cost  # type: ignore[operator]
        return super()._scorer(kept)

    def _judge(self, kept: _Samples) -> Callable[[Array], float]:
        """Return R² of outputs, as r2_score has it, but of a constant y 0 or 1; NaN where an output is not finite."""
        y = kept.targets
        if len(y) < 2:
            raise ValueError(f"validation_data has {len(y)} row, but early stopping of a regressor needs two or more: "
                             "R² of a single one does not depend on the prediction")
        weight = np.ones(len(y)) if kept.weight is None else kept.weight
        spread = _spread(y, weight)
        constant = spread == 0
        divisor, some = np.where(constant, 1, spread), bool(constant.any())

        def score(out: Array) -> float:
            if not np.isfinite(out).all():
                return math.nan
            with np.errstate(over="ignore", under="ignore"):  # just before it diverges
                rest = weight @ (y - out) ** 2
                values = 1 - rest / divisor
                return float((np.where(constant, rest == 0, values) if some else values).sum() / len(values))

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
        return _fit.fit(self, X, y, sample_weight, validation_data, incremental=False)

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
        return _fit.fit(self, X, y, sample_weight, None, incremental=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the targets that the network expects, or the mean of what the members do.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            Inputs.
        return_std : bool, default False
            Return beside the mean how far the members differ: the root of their mean squared distance from it.

        Returns
        -------
        mean : ndarray, shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray, shape like mean
            With ``return_std=True``; in the units of y. It tells where the data do not, not how far y scatters.

        Raises
        ------
        NotFittedError
            Before a fit.
        ValueError
            If X does not fit, or there is a single network, whose standard deviation would be 0.
        """
        if not hasattr(self, "_network"):
            check_is_fitted(self)
        if not return_std:
            return self._in_units(self._outputs(X))
        if not hasattr(self, "estimators_"):
            raise ValueError("return_std=True asks how far members differ, but there is one network: fit with "
                             "n_members=5 or more")
        X, ensemble = self._inputs(X), self.ensemble_
        mean, std = _columns(ensemble.predict(X)), _columns(ensemble.std(X))
        if self.target_scaler_ is not None:
            std *= self.target_scaler_.scale_
        std = std.astype(mean.dtype, copy=False)
        return self._in_units(mean), std.ravel() if self.n_outputs_ == 1 else std

    def _in_units(self, out: Array) -> Array:
        """Return outputs in the units of y."""
        if self.target_scaler_ is not None:
            out = self.target_scaler_.inverse_transform(out.astype(np.float64, copy=False))
        return out.ravel() if self.n_outputs_ == 1 else out

    def _set_oob(self, outputs: Array, score: float) -> None:
        self.oob_prediction_, self.oob_score_ = self._in_units(outputs), score

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

"""`MLPClassifier`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from .. import costs
from ..costs import CLASSES, COSTS, Cost
from ..network import Network
from . import _fit
from ._base import _MLP, _Samples

Array = npt.NDArray[Any]


class MLPClassifier(ClassifierMixin, _MLP):
    """A classifier in the place of `sklearn.neural_network.MLPClassifier`: its parameters and attributes, and more.

    Parameters
    ----------
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
    loss : str or Cost, default "log_loss"
        "log_loss" is the cross-entropy that goes with the outputs: softmax for three classes or more, else logistic.
        Any cost of `fastbp.costs` may take its place; the outputs stay. With logistic outputs "cross_entropy" means
        "binary_cross_entropy".
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
        Subtract the mean from every feature, and divide by the standard deviation, inside the estimator: it is
        given, and predicts, numbers in their own units. `coefs_` and `loss_` are those of the network inside. The
        first fit decides, or the first batch of `partial_fit`. Sparse X is divided only.
    callbacks : list of callables, optional
        Called after each epoch with a `fastbp.Record`; `fastbp.TimeLimit` and others. Training stops when one returns
        True.
    progress : bool, default False
        Show a tqdm bar (``pip install fastbp[progress]``).
    n_threads : int, optional
        Threads at most; by default as many as joblib leaves to a worker. The work in a batch decides how many there
        are. It changes the time, never the result.
    class_weight : dict, list of dict, "balanced" or None, default None
        Factors of the sample weights by class; "balanced" gives all classes the same weight together.
    n_members : int, default 1
        Networks, all trained in one call, whose probabilities are averaged. Each is an estimator of its own in
        `estimators_`, with one network and a ``random_state`` drawn from this one's. More than one excludes
        ``warm_start``, and there is no `partial_fit`; callbacks are copied for each.
    resample : {"bootstrap", "folds"} or None, default None
        Which samples a member is trained on: None all; "bootstrap" as many as there are, drawn with repetition (Breiman
        1996), of which early stopping keeps back some that the member does not learn from; "folds" all but a fold of
        its own, in which classes are as frequent as in all samples. Both are drawn without regard to sample weights,
        and tell how good the members are together: `oob_score_`.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Sorted.
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
    networks_ : list of Network
        The trained networks, one for each member.
    estimators_, estimators_samples_ : list
        The members, and the indices of the samples that each was given; only with members. Their `loss_curve_` and
        other records are their own; `loss_` is the mean of theirs, `n_iter_` the largest.
    ensemble_ : Ensemble
        The networks of the members as a `fastbp.Ensemble`, for intervals and more. Only with members.
    oob_decision_function_ : ndarray, shape (n_samples, n_classes)
        Mean probabilities by the members that have not seen a sample, NaN where all have; with ``resample``.
    oob_score_ : float
        Their accuracy.

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
    >>> from sklearn.datasets import load_digits
    >>> import fastbp
    >>> X, y = load_digits(return_X_y=True)
    >>> model = fastbp.MLPClassifier(random_state=0).fit(X[:1500], y[:1500])
    >>> float(model.score(X[1500:], y[1500:])) > 0.9
    True
    >>> model.predict(X[:2]), model.predict_proba(X[:2]).shape, model.predict_log_proba(X[:2]).shape
    (array([0, 1]), (2, 10), (2, 10))
    >>> model.partial_fit(X[1500:], y[1500:]).input_gradient(X[:2]).shape  # after an epoch of other samples
    (2, 10, 64)
    >>> fastbp.MLPClassifier.from_network(model.network_, model.classes_).predict(X[:2])
    array([0, 1])
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
                 dtype: Any = None, precision: Any = None, coefs_init: Any = None, intercepts_init: Any = None,
                 dropout: Any = 0.0, standardize: Any = False, callbacks: Any = None, progress: Any = False,
                 n_threads: Any = None, class_weight: Any = None, n_members: Any = 1, resample: Any = None) -> None:
        self._keep(locals())

    target_kinds = "iubU"
    classes_: Any

    def _take_classes(self, y: Any, classes: Any) -> None:
        if classes is not None and hasattr(self, "classes_") and np.array_equal(self.classes_, classes):
            return
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

    def _indices(self, y: Array) -> Array | None:
        """Return the number of each sample's class; None where one is unknown, or that is not told by comparing."""
        if y.ndim != 1 or y.dtype.kind not in self.target_kinds or y.dtype.kind != self.classes_.dtype.kind:
            return None
        found = np.searchsorted(self.classes_, y)
        return found if np.array_equal(self.classes_.take(found, mode="clip"), y) else None

    def _check_known(self, y: Array) -> None:
        if self._indices(y) is not None:
            return
        classes = unique_labels(y)
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has "
                             f"{classes}.")

    def _targets(self, y: Array) -> Array:
        """Return class indices, (n,), where outputs are a softmax of several classes, else 0 and 1, (n, n_outputs)."""
        if self._label_binarizer.y_type_ == "multiclass" and self._cost().targets == CLASSES:
            return np.searchsorted(self.classes_, y)
        if self._label_binarizer.y_type_ == "binary" and (indices := self._indices(y)) is not None:
            return indices.reshape(-1, 1)
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

    def _judge(self, kept: _Samples) -> Callable[[Array], float]:
        """Return the accuracy, from outputs: what accuracy_score makes of the classes that `predict` gives."""
        targets, weight = kept.targets, kept.weight
        single = len(self.classes_) == 1 and self._label_binarizer.y_type_ == "binary"

        def score(out: Array) -> float:
            if self.out_activation_ == "softmax":
                right = out.argmax(axis=1) == (targets if targets.ndim == 1 else targets.argmax(axis=1))
            else:
                right = ((out > 0.5) == (targets == 1)).all(axis=1) | single
            return np.count_nonzero(right) / len(right) if weight is None else float(np.average(right, weights=weight))

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
        return _fit.fit(self, X, y, sample_weight, validation_data, incremental=False)

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
        return _fit.fit(self, X, y, sample_weight, None, incremental=True, classes=classes)

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
        if not hasattr(self, "_network"):
            check_is_fitted(self)
        out = self._outputs(X)
        kind, classes = self._label_binarizer.y_type_, self.classes_
        found: Array
        if kind == "multiclass":
            found = classes.take(out.argmax(axis=1))
        elif kind == "binary" and len(classes) == 2:
            found = classes.take((out > 0.5).ravel())
        else:
            found = self._label_binarizer.inverse_transform(out.ravel() if self.n_outputs_ == 1 else out)
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
        if not hasattr(self, "_network"):
            check_is_fitted(self)
        return self._probabilities(self._outputs(X))

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

    def _probabilities(self, out: Array) -> Array:
        return np.concatenate((1 - out, out), axis=1) if self.n_outputs_ == 1 else out

    def _set_oob(self, outputs: Array, score: float) -> None:
        self.oob_decision_function_, self.oob_score_ = self._probabilities(outputs), score

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

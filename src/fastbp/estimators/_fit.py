"""A fit, up to the training itself: checks, the network, its first weights, what is kept back."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from ..network import Network
from . import _epochs, _lbfgs
from ._base import _MLP, _Samples

M = TypeVar("M", bound=_MLP)


def fit(mlp: M, X: Any, y: Any, sample_weight: Any, validation_data: Any, *, incremental: bool,
        classes: Any = None) -> M:
    """Train an estimator, for an epoch or for all; where nothing could be learnt it is left as it was."""
    before = mlp.__dict__.copy()
    mlp.n_iter_ = 0
    try:
        if incremental:
            mlp._take_classes(y, classes)
        _learn(mlp, X, y, sample_weight, validation_data, incremental)
    except BaseException:
        if mlp.n_iter_ == 0:  # nothing has been learnt: the estimator is what it was, fitted or not
            mlp.__dict__.clear()
            mlp.__dict__.update(before)
        raise
    return mlp


def _learn(mlp: _MLP, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> None:
    """Check what is given, make the network, and train."""
    hidden = mlp.hidden_layer_sizes
    hidden = [operator.index(n) for n in (hidden if isinstance(hidden, Iterable) else [hidden])]
    if any(n <= 0 for n in hidden):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
    first = not hasattr(mlp, "coefs_") or not (mlp.warm_start or incremental)
    X, y = mlp._checked(X, y, reset=first)
    mlp._set_classes(y, incremental)
    weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
    weight = mlp._with_class_weight(y, weight, incremental)
    data = _Samples(X, mlp._targets(y), weight)
    kept = None
    if validation_data is not None:
        if not (isinstance(validation_data, (tuple, list)) and len(validation_data) == 2):
            raise ValueError(f"validation_data is {validation_data!r}, expected a pair (X, y)")
        X, y = mlp._checked(*validation_data, reset=False)
        mlp._check_known(y)
        kept = _Samples(X, mlp._targets(y), None)
    mlp._random_state = check_random_state(mlp.random_state)
    _prepare(mlp, data, hidden, first)
    data = mlp._scaled(data)
    kept = None if kept is None else mlp._scaled(kept)
    if mlp.solver == "lbfgs":
        _lbfgs.fit(mlp, data, kept)
    else:
        _epochs.fit(mlp, data, kept, incremental)
    mlp._show()


def _prepare(mlp: _MLP, data: _Samples, hidden: list[int], first: bool) -> None:
    """Make the network, and draw its first weights, or take those of the last fit."""
    mlp.n_outputs_ = mlp._count_outputs(data.targets)
    if not first and mlp.n_outputs_ != (had := np.shape(mlp.coefs_[-1])[1]):
        raise ValueError(f"y needs {mlp.n_outputs_} outputs, but the network that is to learn on has {had}: fit a "
                         "new one, with warm_start=False")
    cost, output = mlp._cost_and_output()
    if first or not hasattr(mlp, "input_scaler_"):  # weights that the user has put there have no scalers
        mlp._set_scalers(data, cost, mlp.standardize and first)
    if first:
        sizes, dtype = [data.X.shape[1], *hidden, mlp.n_outputs_], np.dtype(mlp.dtype or data.X.dtype)
    else:
        sizes, dtype = [*(np.shape(coef)[0] for coef in mlp.coefs_), mlp.n_outputs_], mlp.coefs_[0].dtype
        for name, wanted, has in (("hidden_layer_sizes", hidden, sizes[1:-1]),
                                  ("dtype", np.dtype(mlp.dtype or dtype).name, dtype.name)):
            if wanted != has:
                warnings.warn(f"{name} is {wanted!r}, but the network that learns on has {has!r} and stays so: for "
                              "another one fit anew, with warm_start=False", stacklevel=6)
    activation = mlp.activation if isinstance(mlp.activation, str) else tuple(mlp.activation)
    description = sizes, activation, output, cost, dtype
    if first or getattr(mlp, "_description", None) != description:
        mlp._network = Network(sizes, activation, output, cost, dtype=dtype)
        mlp._description = description
    mlp.n_layers_, mlp.out_activation_ = len(sizes), output
    if first:
        _initialize(mlp, sizes)
    else:
        mlp._adopt(mlp.coefs_, mlp.intercepts_)


def _initialize(mlp: _MLP, sizes: list[int]) -> None:
    """Draw first weights, in scikit-learn's order if it knows the activation; forget what was recorded."""
    network: Network = mlp._network
    if mlp.activation in ("identity", "logistic", "tanh", "relu"):
        for W, b, (n_in, n_out) in zip(network.weights, network.biases, pairwise(sizes), strict=True):
            bound = math.sqrt((2.0 if mlp.activation == "logistic" else 6.0) / (n_in + n_out))
            W[:] = mlp._random_state.uniform(-bound, bound, (n_in, n_out)).T
            b[:] = mlp._random_state.uniform(-bound, bound, n_out)
    else:
        network.reset(int(mlp._random_state.randint(2**31 - 1)))
    if np.any(mlp.dropout):  # drawn only then, since scikit-learn draws nothing here
        network.generator = np.random.default_rng(int(mlp._random_state.randint(2**31 - 1)))
    mlp._show()
    if mlp.coefs_init is not None or mlp.intercepts_init is not None:
        mlp._adopt(mlp.coefs_ if mlp.coefs_init is None else mlp.coefs_init,
                   mlp.intercepts_ if mlp.intercepts_init is None else mlp.intercepts_init,
                   ("coefs_init", "intercepts_init"))
    mlp.t_ = 0
    mlp.loss_curve_ = []
    mlp.validation_loss_curve_ = []
    mlp._no_improvement_count = 0
    mlp._begin_watch(mlp.early_stopping and mlp.solver != "lbfgs")

"""The network of an estimator with its first weights, ready to be trained."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from sklearn.utils import check_random_state

from ..network import Network
from ..training.progress import new_key
from ._base import _MLP, _Samples
from ._epochs import Epochs
from ._lbfgs import Iterations
from ._training import Training


def hidden_layers(mlp: _MLP) -> list[int]:
    """Return the numbers of hidden neurons."""
    hidden = mlp.hidden_layer_sizes
    hidden = [operator.index(n) for n in (hidden if isinstance(hidden, Iterable) else [hidden])]
    if any(n <= 0 for n in hidden):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
    return hidden


class _Unseeded(ISeedSequence):
    """What a generator is made with that is seeded right after: the system's entropy would take 60 µs."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Return nothing of use."""
        return np.ones(n_words, dtype)


def _take_generator(mlp: _MLP, first: bool) -> None:
    """Have the generator that `check_random_state` gives: one that this made for an earlier batch is seeded anew."""
    seed = mlp.random_state
    if type(seed) is not int or not 0 <= seed < 2**32:
        mlp._random_state, mlp._own_generator = check_random_state(seed), False
        return
    if first or not getattr(mlp, "_own_generator", False):
        unseeded: Any = _Unseeded()
        mlp._random_state, mlp._own_generator = np.random.RandomState(np.random.MT19937(unseeded)), True
    mlp._random_state.seed(seed)


def make(mlp: _MLP, data: _Samples, first: bool = True) -> None:
    """Make the network, and draw its first weights, or take those of the last fit."""
    _take_generator(mlp, first)
    hidden, (cost, output) = hidden_layers(mlp), mlp._cost_and_output()
    if cost.outputs_per_target > 1:
        raise ValueError(f"loss is {mlp.loss!r}, whose networks have two outputs for each target, expected a cost with "
                         "one: train a Network or an Ensemble with it")
    if first:
        sizes, dtype = [data.X.shape[1], *hidden, mlp.n_outputs_], np.dtype(mlp.dtype or data.X.dtype)
    else:
        sizes, dtype = [*(np.shape(coef)[0] for coef in mlp.coefs_), mlp.n_outputs_], mlp.coefs_[0].dtype
        for name, wanted, has in (("hidden_layer_sizes", hidden, sizes[1:-1]),
                                  ("dtype", np.dtype(mlp.dtype or dtype), dtype)):
            if wanted != has:
                one, other = (value.name if isinstance(value, np.dtype) else value for value in (wanted, has))
                warnings.warn(f"{name} is {one!r}, but the network that learns on has {other!r} and stays so: for "
                              "another one fit anew, with warm_start=False", stacklevel=7)
    activation = tuple(mlp.activation) if isinstance(mlp.activation, (list, tuple)) else mlp.activation
    description = sizes, activation, output, cost, dtype
    anew = first or getattr(mlp, "_description", None) != description
    if anew:
        mlp._network = Network(tuple(sizes), activation, output, cost, dtype=dtype, init="zeros")  # drawn below
        mlp._network._reset_by("auto")
        mlp._description, mlp._given, mlp._noise_is_seeded = description, False, False
    mlp.n_layers_, mlp.out_activation_ = len(sizes), output
    if first:
        _initialize(mlp, sizes)
    elif anew:
        mlp._adopt(mlp.coefs_, mlp.intercepts_)
    else:
        mlp._adopt_others()
    if not first and mlp._drops and not (mlp._noise_is_seeded or mlp._given):
        _seed_noise(mlp)  # there has been none so far


def _seed_noise(mlp: _MLP) -> None:
    """Have what dropout draws come from ``random_state``, also in a training that goes on."""
    network: Network = mlp._network
    network.generator = np.random.default_rng(int(mlp._random_state.randint(2**31 - 1)))
    if network._progress is not None:
        network._progress.key = new_key(network)
    mlp._noise_is_seeded = True


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
    if mlp._drops:  # drawn only then, since scikit-learn draws nothing here
        _seed_noise(mlp)
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


def ready(mlp: _MLP, data: _Samples, kept: _Samples | None, incremental: bool = False) -> Training:
    """Return the training of the network, by the solver."""
    if mlp.solver == "lbfgs":
        return Iterations(mlp, data, kept)
    return Epochs(mlp, data, kept, incremental)

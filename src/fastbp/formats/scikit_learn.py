"""scikit-learn: the layers of a fitted MLP, and an MLP that computes what a network does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import activations
from ..core.conversion import numbers
from ..core.model import Model
from ..util import optional
from .chain import Layer, described, plain_layers

HIDDEN = "identity", "logistic", "tanh", "relu"
"""Activations that scikit-learn's MLPs have, one for all hidden layers."""


@np.errstate(all="ignore")  # NaN and infinity are told of when they are found in the network
def layers(mlp: Any) -> tuple[Layer, ...]:
    """Return the layers of a fitted MLPClassifier or MLPRegressor; see `fastbp.from_sklearn`."""
    if hasattr(mlp, "networks_"):
        raise TypeError(f"{type(mlp).__name__} of fastbp is given, expected one of scikit-learn: its network is "
                        "network_, and takes inputs that are standardised where standardize=True")
    missing = [name for name in ("coefs_", "intercepts_", "activation", "out_activation_") if not hasattr(mlp, name)]
    if missing:
        raise TypeError(f"a {type(mlp).__name__} without {', '.join(missing)} is given, expected a fitted "
                        "MLPClassifier or MLPRegressor of scikit-learn; of a Pipeline its last step")
    for name in ("coefs_", "intercepts_"):
        if not isinstance(getattr(mlp, name), (list, tuple)):
            raise TypeError(f"{name} is of type {type(getattr(mlp, name)).__name__}, expected a list of arrays")
    coefs, intercepts = [numbers("coefs_", W) for W in mlp.coefs_], [numbers("intercepts_", b) for b in mlp.intercepts_]
    if not coefs or len(coefs) != len(intercepts) or any(
            W.ndim != 2 or 0 in W.shape or b.shape != W.shape[1:] for W, b in zip(coefs, intercepts, strict=True)):
        raise ValueError(f"coefs_ have the shapes {[W.shape for W in coefs]} and intercepts_ "
                         f"{[b.shape for b in intercepts]}, expected (n, m) and (m,) of each layer")
    names = [mlp.activation] * (len(coefs) - 1) + [mlp.out_activation_]
    return tuple(Layer(W.T, b, activations.get(name)) for W, b, name in zip(coefs, intercepts, names, strict=True))


def _ascending(labels: list[Any]) -> bool:
    """Return whether each is more than the one before; not where they cannot be compared."""
    try:
        return all(a < b for a, b in itertools.pairwise(labels))
    except TypeError:
        return False


def estimator(model: Model, classes: Sequence[Any] | None) -> Any:
    """Return a fitted MLPClassifier or MLPRegressor; see `Network.to_sklearn`."""
    optional.require("sklearn", "sklearn")
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import LabelBinarizer

    chain = plain_layers(described(model), "scikit-learn's MLP")
    hidden = {"parametric" if layer.alphas is not None else layer.activation.name for layer in chain[:-1]}
    hidden = hidden or {"identity"}
    output, last = chain[-1].activation.name, chain[-1]
    if len(hidden) > 1 or not hidden <= {*HIDDEN}:
        raise ValueError(f"hidden layers have the activations {', '.join(sorted(hidden))}, expected one for all of "
                         f"{', '.join(HIDDEN)}: scikit-learn's MLP has no others")
    if last.alphas is not None or output not in ("identity", "logistic", "softmax"):
        raise ValueError(f"the output layer has {output}, expected identity, logistic or softmax, which "
                         "scikit-learn's MLP has")
    sizes = [len(layer.weights) for layer in chain]
    settings = {"hidden_layer_sizes": tuple(sizes[:-1]), "activation": hidden.pop()}
    if output == "identity":
        if classes is not None:
            raise ValueError("classes are given for a network with linear outputs, which is no classifier")
        made = MLPRegressor(**settings)
    else:
        made = MLPClassifier(**settings)
        several = output == "logistic" and sizes[-1] > 1
        count = 2 if output == "logistic" and not several else sizes[-1]
        labels = np.arange(count) if classes is None else np.asarray(classes)
        if labels.shape != (count,) or not _ascending(labels.tolist()):
            raise ValueError(f"classes are {labels.tolist()}, expected {count} different ones in ascending order, as "
                             "scikit-learn keeps them")
        made.classes_ = labels
        made._label_binarizer = LabelBinarizer().fit(np.eye(count, dtype=int) if several else labels)
    real = model.dtype
    made.coefs_ = [np.ascontiguousarray(layer.weights.T, real) for layer in chain]
    made.intercepts_ = [np.zeros(len(layer.weights), real) if layer.biases is None else layer.biases for layer in chain]
    made.n_features_in_, made.n_outputs_, made.n_layers_ = chain[0].weights.shape[1], sizes[-1], len(chain) + 1
    made.out_activation_ = output
    made.n_iter_, made.t_, made.loss_curve_, made.best_loss_ = 0, 0, [], np.inf  # as before a first epoch
    made.validation_scores_, made.best_validation_score_, made._no_improvement_count = None, None, 0
    return made

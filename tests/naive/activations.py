"""Activations (2) and their slopes."""

from __future__ import annotations

import numpy as np

from .twins import Twins

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(60)


def erf(x):
    """2/sqrt(pi) times the integral of exp(-(xt)^2) x over t from 0 to 1, by Gauss-Legendre; exact for |x| < 6."""
    t, w = (NODES + 1) / 2, NODE_WEIGHTS / 2
    return 2 / np.sqrt(np.pi) * x * (np.exp(-((np.asarray(x)[..., None] * t) ** 2)) @ w)


def logistic(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def softplus(x):
    """log(1 + exp(x)), from exp(-|x|)."""
    positive = np.real(x) > 0
    small = np.exp(np.where(positive, -x, x))
    return np.where(positive, x, 0 * x) + (np.log(1 + small) if np.iscomplexobj(x) else np.log1p(small))


def softmax(x):
    """Over the last axis."""
    e = np.exp(x - np.real(x).max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def where_positive(x, yes, no):
    return np.where(np.real(x) > 0, yes, no)


def bounded(x, low, high):
    return np.where(np.real(x) < low, low, np.where(np.real(x) > high, high, x))


def inside(x, low, high):
    return ((np.real(x) > low) & (np.real(x) < high)).astype(np.asarray(x).dtype)


def density(x):
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def distribution(x):
    return 0.5 * (1 + erf(x / np.sqrt(2)))


ACTIVATIONS = Twins("name -> (phi, phi')", {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "logistic": (logistic, lambda x: logistic(x) * logistic(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "relu": (lambda x: where_positive(x, x, 0 * x), lambda x: where_positive(x, 1.0, 0.0)),
    "leaky_relu": (lambda x: where_positive(x, x, 0.01 * x), lambda x: where_positive(x, 1.0, 0.01)),
    "elu": (lambda x: where_positive(x, x, np.exp(x) - 1), lambda x: where_positive(x, 1.0, np.exp(x))),
    "selu": (
        lambda x: SELU_SCALE * where_positive(x, x, SELU_ALPHA * (np.exp(x) - 1)),
        lambda x: SELU_SCALE * where_positive(x, 1.0, SELU_ALPHA * np.exp(x)),
    ),
    "softplus": (softplus, logistic),
    "softsign": (
        lambda x: x / (1 + where_positive(x, x, -x)),
        lambda x: 1 / (1 + where_positive(x, x, -x)) ** 2,
    ),
    "silu": (lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * logistic(-x))),
    "gelu": (lambda x: x * distribution(x), lambda x: distribution(x) + x * density(x)),
    "mish": (
        lambda x: x * np.tanh(softplus(x)),
        lambda x: np.tanh(softplus(x)) + x * logistic(x) / np.cosh(softplus(x)) ** 2,
    ),
    "hard_tanh": (lambda x: bounded(x, -1.0, 1.0), lambda x: inside(x, -1.0, 1.0)),
    "hard_sigmoid": (lambda x: bounded(x / 6 + 0.5, 0.0, 1.0), lambda x: inside(x, -3.0, 3.0) / 6),
    "gaussian": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "softmax": (softmax, None),
})
"""Name -> (phi, phi'); softmax is not element-wise, its Jacobian product stands in `output_delta`."""

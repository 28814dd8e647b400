"""Costs (3) and their derivatives."""

from __future__ import annotations

import numpy as np

from .activations import bounded
from .twins import Twins


def magnitude(x):
    return np.where(np.real(x) < 0, -x, x)


def sign(x):
    return np.sign(np.real(x))


def logarithm(x):
    return np.log(np.where(x == 0, 1, x))


def means(y, o):
    """mu, exp(-log sigma^2) and log sigma^2 of each target: all means come first."""
    m = y.shape[1]
    return o[:, :m], np.exp(-o[:, m:]), o[:, m:]


def gaussian_nll(y, o, beta):
    """-log of the normal density at y, but for log(2 pi)/2."""
    mu, precision, s = means(y, o)
    return 0.5 * (s + (y - mu) ** 2 * precision)


def gaussian_nll_slope(y, o, beta):
    """By (mu, s), both times sigma^(2 beta)."""
    mu, precision, s = means(y, o)
    by_mu, by_s = (mu - y) * precision, 0.5 * (1 - (y - mu) ** 2 * precision)
    return np.exp(beta * np.hstack([s, s])) * np.hstack([by_mu, by_s])


COSTS = Twins("name -> (C, dC/do)", {
    "squared_error": (lambda y, o, d: 0.5 * (o - y) ** 2, lambda y, o, d: o - y),
    "mean_squared_error": (lambda y, o, d: (o - y) ** 2 / o.shape[-1], lambda y, o, d: 2 * (o - y) / o.shape[-1]),
    "absolute_error": (lambda y, o, d: magnitude(o - y), lambda y, o, d: sign(o - y)),
    "huber": (
        lambda y, o, d: np.where(np.abs(np.real(o - y)) <= d, 0.5 * (o - y) ** 2, d * (magnitude(o - y) - 0.5 * d)),
        lambda y, o, d: bounded(o - y, -d, d),
    ),
    "log_cosh": (lambda y, o, d: np.log(np.cosh(o - y)), lambda y, o, d: np.tanh(o - y)),
    "quantile": (
        lambda y, o, q: np.where(np.real(o) < y, q * (y - o), (1 - q) * (o - y)),
        lambda y, o, q: np.where(np.real(o) < y, -q, np.where(np.real(o) > y, 1 - q, 0.0)),
    ),
    "binary_cross_entropy": (
        lambda y, o, d: -y * logarithm(o) - (1 - y) * logarithm(1 - o),
        lambda y, o, d: (1 - y) / (1 - o) - y / o,
    ),
    "cross_entropy": (lambda y, o, d: -y * logarithm(o), lambda y, o, d: -y / o),
    "poisson": (lambda y, o, d: o - y * logarithm(o), lambda y, o, d: 1 - y / o),
    "gaussian_nll": (gaussian_nll, gaussian_nll_slope),
})
"""Name -> (C, dC/do) of (y, o, parameter), element by element; of gaussian_nll by rows, of y (n, m) and o (n, 2m)."""

PARAMETERS = {"huber": 1.0, "quantile": 0.5, "gaussian_nll": 0.0}

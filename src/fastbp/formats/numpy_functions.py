"""Activations and encoders in plain NumPy, for any dtype: modules that `Network.to_numpy` writes hold copies of them.

So nothing here refers to anything but NumPy and `math`, and to each other as `NEEDED` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def logistic(x: np.ndarray) -> np.ndarray:
    """Return 1/(1 + exp(-x))."""
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, 1) / (1 + z)


def relu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive, else 0."""
    return np.maximum(x, 0)


def leaky_relu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive, else x/100."""
    return np.where(x > 0, x, x / 100)


def elu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive, else exp(x) - 1."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def selu(x: np.ndarray) -> np.ndarray:
    """Return l x where x is positive, else l a (exp(x) - 1)."""
    return np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473769 * np.expm1(np.minimum(x, 0)))


def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x))."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softsign(x: np.ndarray) -> np.ndarray:
    """Return x/(1 + |x|)."""
    x = np.clip(x, -1e30, 1e30)
    return x / (1 + np.abs(x))


def silu(x: np.ndarray) -> np.ndarray:
    """Return x/(1 + exp(-x))."""
    z = np.exp(-np.abs(x))
    return np.where(x < 0, np.maximum(x, -800) * z, x) / (1 + z)


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x times the normal distribution function, which is erfc of Python's: NumPy has none."""
    y = np.maximum(x.astype(np.float64), -40)
    tails = [math.erfc(-v * 0.5**0.5) for v in y.ravel().tolist()]
    return (0.5 * y * np.array(tails).reshape(y.shape)).astype(x.dtype)


def mish(x: np.ndarray) -> np.ndarray:
    """Return x tanh(log(1 + exp(x)))."""
    e = np.exp(np.minimum(x, 24))
    w = e * (e + 2)
    return np.maximum(x, -800) * (w / (w + 2))


def hard_tanh(x: np.ndarray) -> np.ndarray:
    """Return x limited to [-1, 1]."""
    return np.clip(x, -1, 1)


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """Return x/6 + 1/2 limited to [0, 1]."""
    return np.clip((x + 3) / 6, 0, 1)


def gaussian(x: np.ndarray) -> np.ndarray:
    """Return exp(-x**2)."""
    return np.exp(-x * x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Return exp(x) of each row, divided by its sum."""
    z = np.exp(x - x.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def categories(codes: np.ndarray, count: int) -> np.ndarray:
    """Return the category of each code; count for what is none of 0 ... count - 1, NaN too."""
    return np.where((codes >= 0) & (codes < count), codes, count).astype(np.int64)


def one_hot(codes: np.ndarray, count: int) -> np.ndarray:
    """Return for each code a row that is 1 at its category, and 0 all over where it is missing."""
    return np.eye(count + 1, count, dtype=codes.dtype)[categories(codes, count)]


def embedding(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return for each code the row of its category, the last one where it is missing."""
    return table[categories(codes, len(table) - 1)]


def pieces(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return where x lies in each bin, from 0 to 1, and in a line beyond the first and the last edge."""
    bins = np.arange(edges.size - 1)
    places = (x[:, None] - edges[:-1].astype(x.dtype)) * (1 / np.diff(edges)).astype(x.dtype)
    places = np.where((bins > 0) & (places < 0), 0, places)
    return np.where((bins < bins[-1]) & (places > 1), 1, places)


def periodic(x: np.ndarray, frequencies: np.ndarray, phases: np.ndarray, weights: np.ndarray,
             biases: np.ndarray) -> np.ndarray:
    """Return a linear map of the cosines of x, and x."""
    cosines = np.cos(x.dtype.type(2 * np.pi) * x[:, None] * frequencies + phases)
    return np.column_stack([cosines @ weights.T + biases, x])


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    function.__name__: function for function in (
        logistic, relu, leaky_relu, elu, selu, softplus, softsign, silu, gelu, mish, hard_tanh, hard_sigmoid, gaussian,
        softmax)
}
"""By name, without those that NumPy has."""

OF_NUMPY: dict[str, Callable[[np.ndarray], np.ndarray]] = {"tanh": np.tanh, "sin": np.sin, "exp": np.exp}

NEEDED = {"one_hot": ("categories",), "embedding": ("categories",)}
"""What functions call."""

"""What operators that go over single numbers compute, in double: by this an activation is recognised."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .functions import SELU_ALPHA, SELU_SCALE, TAIL_CENTER, TAIL_END, normal_tail

Array = npt.NDArray[Any]
Function = Callable[..., Array]


def _erf(x: Array) -> Array:
    """Return sign(x) (1 − 2 Φ(−√2 |x|))."""
    t = np.minimum(np.abs(x) * math.sqrt(2), TAIL_END)
    a, b, coefficients = normal_tail()
    tail = np.exp(-t * t / 2) * np.polynomial.polynomial.polyval(a * (t - TAIL_CENTER) / (t + TAIL_CENTER) + b,
                                                                 coefficients)
    return np.asarray(np.sign(x) * (1 - 2 * tail))


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _selu(x: Array, alpha: float = SELU_ALPHA, gamma: float = SELU_SCALE) -> Array:
    return np.asarray(gamma * _elu(x, alpha))


def _gelu(x: Array, approximate: bytes = b"none") -> Array:
    if approximate == b"tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + _erf(x * math.sqrt(0.5))))


def _prelu(x: Array, slope: Array) -> Array:
    return np.where(x < 0, slope * x, x)


def _clip(x: Array, low: Any = -np.inf, high: Any = np.inf) -> Array:
    return np.asarray(np.minimum(np.maximum(x, low), high))


FUNCTIONS: dict[str, Function] = {
    "Abs": np.abs,
    "Add": np.add,
    "Celu": lambda x, alpha=1.0: np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0),
    "Clip": _clip,
    "Div": np.divide,
    "Elu": _elu,
    "Erf": _erf,
    "Exp": np.exp,
    "Gelu": _gelu,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: _clip(alpha * x + beta, 0.0, 1.0),
    "HardSwish": lambda x: x * _clip(x / 6 + 0.5, 0.0, 1.0),
    "LeakyRelu": lambda x, alpha=0.01: _prelu(x, alpha),
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "Mul": np.multiply,
    "Neg": np.negative,
    "PRelu": _prelu,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Selu": _selu,
    "Sigmoid": _sigmoid,
    "Sin": np.sin,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Swish": lambda x, alpha=1.0: x * _sigmoid(alpha * x),
    "Tanh": np.tanh,
    "ThresholdedRelu": lambda x, alpha=1.0: np.where(x > alpha, x, 0.0),
    "Where": np.where,
}
"""By the name of the operator: a function of its inputs, and of those of its attributes that change numbers."""

ATTRIBUTES = {"alpha": float, "beta": float, "gamma": float, "epsilon": float, "approximate": bytes}
"""Attributes that functions take, and what they are."""

TAKES = {"Celu": ("alpha",), "Elu": ("alpha",), "Gelu": ("approximate",), "HardSigmoid": ("alpha", "beta"),
         "LeakyRelu": ("alpha",), "Selu": ("alpha", "gamma"), "Swish": ("alpha",), "ThresholdedRelu": ("alpha",)}
"""The attributes of each operator that has any; those of Clip before version 11 are inputs since."""

INPUTS = {"Clip": (1, 3), "Where": (3, 3)} | dict.fromkeys(
    ("Add", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "PRelu", "Pow", "Sub"),
    (2, 2))
"""How many inputs an operator takes, least and most; all others take one."""


class Arrays:
    """Operators applied to arrays at once: with `functions.activated` what an activation gives."""

    def node(self, op: str, *inputs: Array, **attributes: Any) -> Array:
        """Return what an operator makes of arrays."""
        found: Array = FUNCTIONS[op](*inputs, **attributes)
        return found

    def number(self, value: float) -> Array:
        """Return a constant."""
        return np.array(value)

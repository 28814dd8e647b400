"""Activations as operators of ONNX: one where there is one, else several.

In double only operators that onnxruntime computes in double: it has Elu, Selu, LeakyRelu, Softplus, Softsign,
HardSigmoid and Erf in float32 alone. What is written here is also what `recognition` knows an activation by.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

T = TypeVar("T")


class Operators(Protocol[T]):
    """What computes an operator: a graph that gets a node more, or arrays."""

    def node(self, op: str, *inputs: T, **attributes: Any) -> T:
        """Apply an operator."""

    def number(self, value: float) -> T:
        """Return a constant."""


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""The roundings to float32 of these are the defaults of the operator."""

OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "sin": ("Sin", {}),
    "exp": ("Exp", {}),
    "softmax": ("Softmax", {"axis": -1}),
}
"""Activations that are an operator in both precisions, with its attributes."""

SINGLE_OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}
"""Those that are one in float32."""

NEWER_OPERATORS = {"mish": (18, "Mish"), "gelu": (20, "Gelu")}
"""Those that are one in float32 from a version of the operators on."""


def _leaky_relu(graph: Operators[T], x: T) -> T:
    """Return max(x, x/100)."""
    return graph.node("Max", x, graph.node("Mul", x, graph.number(0.01)))


def _elu(graph: Operators[T], x: T) -> T:
    """Return max(x, 0) + (exp(min(x, 0)) − 1)."""
    return graph.node("Add", graph.node("Relu", x), _below(graph, x))


def _below(graph: Operators[T], x: T) -> T:
    """Return exp(min(x, 0)) − 1."""
    return graph.node("Sub", graph.node("Exp", graph.node("Min", x, graph.number(0.0))), graph.number(1.0))


def _selu(graph: Operators[T], x: T) -> T:
    """Return λ max(x, 0) + λα (exp(min(x, 0)) − 1)."""
    above = graph.node("Mul", graph.node("Relu", x), graph.number(SELU_SCALE))
    return graph.node("Add", above, graph.node("Mul", _below(graph, x), graph.number(SELU_SCALE * SELU_ALPHA)))


def _softplus(graph: Operators[T], x: T) -> T:
    """Return max(x, 0) + log(1 + exp(−|x|))."""
    small = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
    return graph.node("Add", graph.node("Relu", x), graph.node("Log", graph.node("Add", small, graph.number(1.0))))


def _softsign(graph: Operators[T], x: T) -> T:
    """Return x/(1 + |x|)."""
    return graph.node("Div", x, graph.node("Add", graph.node("Abs", x), graph.number(1.0)))


def _silu(graph: Operators[T], x: T) -> T:
    """Return x s(x), s(x) = 1/(1 + exp(−x))."""
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def _silu_double(graph: Operators[T], x: T) -> T:
    """Return x/(1 + exp(−x)): onnxruntime 1.19 fuses the product above to what it has in float32 alone."""
    small = graph.node("Exp", graph.node("Neg", x))
    return graph.node("Div", x, graph.node("Add", small, graph.number(1.0)))


def _gelu(graph: Operators[T], x: T) -> T:
    """Return x (1 + erf(x/√2))/2."""
    erf = graph.node("Erf", graph.node("Mul", x, graph.number(math.sqrt(0.5))))
    half = graph.node("Mul", x, graph.number(0.5))
    return graph.node("Mul", half, graph.node("Add", erf, graph.number(1.0)))


TAIL_CENTER, TAIL_END, TAIL_DEGREE = 4.0, 12.0, 18
"""Of the polynomial for Φ(−t), and where t Φ(−t) is less than 1e-31: so it is right to 3e-16 (`test_functions`)."""


@functools.cache
def normal_tail() -> tuple[float, float, list[float]]:
    """Return a, b and coefficients c_k for exp(t²/2) Φ(−t) = Σ c_k (a (t − 4)/(t + 4) + b)ᵏ, 0 ≤ t ≤ 12.

    Φ is the normal distribution function, and the argument of the polynomial goes from −1 to 1.
    """
    first, last = -1.0, (TAIL_END - TAIL_CENTER) / (TAIL_END + TAIL_CENTER)
    a = 2 / (last - first)
    b = -1 - a * first

    def scaled(values: Any) -> Any:
        ratio = (np.asarray(values) - b) / a
        return np.array([math.erfc(t * math.sqrt(0.5)) * math.exp(t * t / 2) / 2
                         for t in TAIL_CENTER * (1 + ratio) / (1 - ratio)])

    series = np.polynomial.chebyshev.chebinterpolate(scaled, TAIL_DEGREE)
    return a, b, np.polynomial.chebyshev.cheb2poly(series).tolist()


def _gelu_double(graph: Operators[T], x: T) -> T:
    """Return max(x, 0) − t Φ(−t), t = |x|: there is no Erf in double."""
    t = graph.node("Min", graph.node("Abs", x), graph.number(TAIL_END))
    center = graph.number(TAIL_CENTER)
    a, b, coefficients = normal_tail()
    ratio = graph.node("Div", graph.node("Sub", t, center), graph.node("Add", t, center))
    argument = graph.node("Add", graph.node("Mul", ratio, graph.number(a)), graph.number(b))
    value = graph.number(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = graph.node("Add", graph.node("Mul", value, argument), graph.number(coefficient))
    density = graph.node("Exp", graph.node("Mul", graph.node("Mul", t, t), graph.number(-0.5)))
    tail = graph.node("Mul", graph.node("Mul", t, density), value)
    return graph.node("Sub", graph.node("Relu", x), tail)


def _mish(graph: Operators[T], x: T) -> T:
    """Return x tanh(log(1 + exp(x)))."""
    return graph.node("Mul", x, graph.node("Tanh", graph.node("Softplus", x)))


def _mish_double(graph: Operators[T], x: T) -> T:
    """Return x w/(w + 2), w = e (e + 2), e = exp(x); beyond 24 the quotient is 1."""
    e = graph.node("Exp", graph.node("Min", x, graph.number(24.0)))
    w = graph.node("Mul", e, graph.node("Add", e, graph.number(2.0)))
    return graph.node("Div", graph.node("Mul", x, w), graph.node("Add", w, graph.number(2.0)))


def _hard_tanh(graph: Operators[T], x: T) -> T:
    """Return min(max(x, −1), 1)."""
    return graph.node("Clip", x, graph.number(-1.0), graph.number(1.0))


def _hard_sigmoid(graph: Operators[T], x: T) -> T:
    """Return min(max(x/6 + 1/2, 0), 1)."""
    line = graph.node("Add", graph.node("Mul", x, graph.number(1 / 6)), graph.number(0.5))
    return graph.node("Clip", line, graph.number(0.0), graph.number(1.0))


def _gaussian(graph: Operators[T], x: T) -> T:
    """Return exp(−x²)."""
    return graph.node("Exp", graph.node("Neg", graph.node("Mul", x, x)))


Composition = Callable[[Operators[Any], Any], Any]

COMPOSED: dict[str, Composition] = {"identity": lambda graph, x: x, "hard_tanh": _hard_tanh, "gaussian": _gaussian}
"""Activations of several operators, in both precisions."""

SINGLE: dict[str, Composition] = {"silu": _silu, "gelu": _gelu, "mish": _mish}

DOUBLE: dict[str, Composition] = {
    "leaky_relu": _leaky_relu, "elu": _elu, "selu": _selu, "softplus": _softplus, "softsign": _softsign,
    "silu": _silu_double, "gelu": _gelu_double, "mish": _mish_double, "hard_sigmoid": _hard_sigmoid,
}

NAMES = frozenset(OPERATORS.keys() | COMPOSED.keys() | DOUBLE.keys())
"""The activations that have operators."""


def activated(graph: Operators[T], name: str, x: T, *, double: bool, opset: int) -> T:
    """Apply an activation.

    Raises
    ------
    ValueError
        If it is a user's own, which has no operators.
    """
    if name not in NAMES:
        raise ValueError(f"activation {name!r} has no operators of ONNX: use one of fastbp.activations.ACTIVATIONS")
    first, newer = NEWER_OPERATORS.get(name, (opset + 1, ""))
    if not double and opset >= first:
        return graph.node(newer, x)
    operator = OPERATORS.get(name) or (None if double else SINGLE_OPERATORS.get(name))
    if operator is not None:
        return graph.node(operator[0], x, **operator[1])
    compose = COMPOSED.get(name) or (DOUBLE if double else SINGLE)[name]
    return compose(graph, x)  # type: ignore[no-any-return]


def mixed(graph: Operators[T], x: T, y: T, alphas: T) -> T:
    """Return x + α(y − x): of net inputs and outputs those of a parametric activation."""
    return graph.node("Add", x, graph.node("Mul", alphas, graph.node("Sub", y, x)))

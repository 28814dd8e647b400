"""Maps x ↦ gain·x + shift around layers and activations, folded into weights and biases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import activations
from .chain import Layer

Array = npt.NDArray[Any]

MOST_OUTPUTS = 4096
"""Outputs that are mapped by a layer of their own at most: its matrix holds the square of their number."""


class Function(NamedTuple):
    """A function of another library in terms of one here: ``factor·φ(gain·x + shift) + offset``."""

    phi: str
    gain: float = 1.0
    shift: float = 0.0
    factor: float = 1.0
    offset: float = 0.0


def layers(parts: Iterable[tuple[Array, Array | None, Function]]) -> tuple[Layer, ...]:
    """Return layers of W, b and function, what is around φ folded into their weights and those of the next."""
    made: tuple[Layer, ...] = ()
    factor, offset = 1.0, 0.0
    for W, b, function in parts:
        if (factor, offset) != (1.0, 0.0):
            W, b = factor * W, offset * W.sum(axis=1) + (0 if b is None else b)
        if (function.gain, function.shift) != (1.0, 0.0):
            W, b = function.gain * W, function.shift + (np.zeros(len(W)) if b is None else function.gain * b)
        made += (Layer(W, b, activations.get(function.phi)),)
        factor, offset = function.factor, function.offset
    if (factor, offset) == (1.0, 0.0):
        return made
    n = len(made[-1].weights)
    return after(made, np.full(n, factor), np.full(n, offset))


def before(made: tuple[Layer, ...], gain: Array, shift: Array) -> tuple[Layer, ...]:
    """Return layers that take x where the given ones take gain·x + shift, one number for each input."""
    first = made[0]
    b = first.weights @ shift + (0 if first.biases is None else first.biases)
    return replace(first, weights=first.weights * gain, biases=b), *made[1:]


def after(made: tuple[Layer, ...], gain: Array, shift: Array) -> tuple[Layer, ...]:
    """Return layers that give gain·o + shift where the given ones give o, one number for each output.

    Behind another activation than identity this takes a linear layer more.

    Raises
    ------
    ValueError
        If that would have more than 4096 outputs.
    """
    last = made[-1]
    if last.activation.name == "identity":
        b = shift + (0 if last.biases is None else gain * last.biases)
        return *made[:-1], replace(last, weights=gain[:, None] * last.weights, biases=b)
    if len(gain) > MOST_OUTPUTS:
        raise ValueError(f"{len(gain)} outputs of {last.activation.name} are scaled, expected at most {MOST_OUTPUTS}")
    return *made, Layer(np.diag(gain), shift, activations.get("identity"))

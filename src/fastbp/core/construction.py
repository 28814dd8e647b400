"""What a network is built with, checked: its layers, encoders and first parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import initializers
from ..encoders import ENCODERS, Encoder, Identity
from ..initializers import Constant, Given, Rule
from ..util import machine
from . import arrays
from .architecture import Architecture


def layers(value: Any, itemsize: int, bias: bool) -> tuple[int, ...]:
    """Return (n_0, ..., n_L), each at least 1, small enough for this machine."""
    sequence = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
    if not sequence or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"layers is {value!r}, expected the numbers of neurons, for instance (2, 8, 1)")
    sizes = tuple(arrays.whole(f"layers[{i}]", n) for i, n in enumerate(value))
    if len(sizes) < 2:
        raise ValueError(f"layers is {sizes}, expected at least inputs and outputs, for instance (2, 1)")
    count = sum((n + bias) * m for n, m in zip(sizes[:-1], sizes[1:], strict=True)) + sum(sizes)
    memory = machine.physical_memory()
    if count * itemsize > memory:
        raise ValueError(f"layers {sizes} need {count * itemsize:.3g} bytes, this machine has {memory:.3g}: use "
                         "smaller layers")
    return sizes


def encoders(value: Any, n_in: int, kind: np.dtype[Any], *, scaling: bool) -> tuple[Encoder, ...]:
    """Return the encoders of a network with so many columns; for scaling alone one that takes all as they are."""
    if value is None:
        found: tuple[Encoder, ...] = ()
    elif isinstance(value, (list, tuple)):
        found = tuple(value)
    else:
        raise TypeError(f"encoders is {value!r}, expected a list of encoders, for instance "
                        "[fastbp.encoders.Identity([0, 1]), fastbp.encoders.OneHot(2, categories=5)]")
    if not found:
        return (Identity(range(n_in)),) if scaling else ()
    for i, encoder in enumerate(found):
        if ENCODERS.get(type(encoder).__name__) is not type(encoder):
            raise TypeError(f"encoders[{i}] is {encoder!r}, expected one of fastbp.encoders: {', '.join(ENCODERS)}")
        if max(encoder.reads) >= n_in:
            raise ValueError(f"encoders[{i}] reads column {max(encoder.reads)} of X, which has columns 0 to {n_in - 1}")
        encoder.check(kind)
    unread = sorted(set(range(n_in)).difference(*(encoder.reads for encoder in found)))
    if unread:
        raise ValueError(f"no encoder reads column {unread[0]} of X" + (f", nor {len(unread) - 1} others" if unread[1:]
                         else "") + f": add fastbp.encoders.Identity({unread[:8]}), or leave such columns out of X")
    return found


def check_memory(architecture: Architecture) -> None:
    """Raise ValueError if the parameters of a network with encoders do not fit into this machine."""
    needed, memory = architecture.n_parameters * architecture.dtype.itemsize, machine.physical_memory()
    if needed > memory:
        raise ValueError(f"{architecture.n_parameters:.3g} parameters behind encoders with {architecture.sizes[0]} "
                         f"numbers need {needed:.3g} bytes, this machine has {memory:.3g}: use an embedding in place "
                         "of a one-hot code, or smaller layers")


def init(value: Any, sizes: Sequence[int], bias: bool, kind: np.dtype[Any]) -> Rule | tuple[Rule, ...]:
    """Return what the layers begin with: one rule for all, or one for each."""
    if isinstance(value, (str, Constant)):
        return _rule("init", value, sizes[0], sizes[1], bias, kind)
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"init is of type {type(value).__name__}, expected a name, fastbp.initializers.Constant, or a "
                        "list with an entry for each layer of weights: a name, a Constant, W or (W, b)")
    if len(value) != len(sizes) - 1:
        raise ValueError(f"init has {len(value)} entries, expected {len(sizes) - 1}: one for each layer of weights")
    return tuple(_rule(f"init[{i}]", rule, n_in, n_out, bias, kind)
                 for i, (rule, n_in, n_out) in enumerate(zip(value, sizes[:-1], sizes[1:], strict=True)))


def _rule(name: str, value: Any, n_in: int, n_out: int, bias: bool, kind: np.dtype[Any]) -> Rule:
    if isinstance(value, str):
        return value if value == "auto" else initializers.named(value)
    if isinstance(value, Constant):
        return value
    if isinstance(value, Given):  # of another network
        value = (value.weights, value.biases)
    W, b = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    W = arrays.given(f"{name}'s weights" if b is not None else name, W, (n_out, n_in), kind)
    if b is None:
        return Given(W, None)
    if not bias:
        raise ValueError(f"{name} has biases, but the network has none: give the weights alone, or leave bias=False "
                         "out")
    return Given(W, arrays.given(f"{name}'s biases", b, (n_out,), kind))

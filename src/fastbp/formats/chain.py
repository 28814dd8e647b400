"""A network as formats describe it: what encodes the columns, and layer by layer weights, biases, activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import activations
from ..activations import Activation
from ..core.model import Model
from ..costs import Cost
from ..encoders import Encoder, Identity

Array = npt.NDArray[Any]
N = TypeVar("N", bound=Model)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, o = φ(W x + b), or with α of each neuron o = x + α(φ(x) − x) of net inputs x."""

    weights: Array
    """W, (n_out, n_in)."""
    biases: Array | None
    """b, (n_out,); None for a layer without."""
    activation: Activation
    """φ, a row of the catalogue that is not parametric."""
    alphas: Array | None = None
    """α, (n_out,); None unless the activation is parametric."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Layers one after another, and before them what encodes the columns of X."""

    layers: tuple[Layer, ...]
    encoders: tuple[Encoder, ...] = ()
    encoded: tuple[dict[str, Array], ...] = ()
    """What each encoder has learned, by name, as `Network.encoder_parameters` has it."""
    factors: Array | None = None
    """Of the scaling layer, one for each encoded number; None without."""

    @property
    def n_inputs(self) -> int:
        """Columns of X."""
        if not self.encoders:
            return int(self.layers[0].weights.shape[1])
        return 1 + max(column for encoder in self.encoders for column in encoder.reads)

    @property
    def n_outputs(self) -> int:
        """Numbers that come out."""
        return int(self.layers[-1].weights.shape[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """(n_0, …, n_L), n_0 the columns of X."""
        return self.n_inputs, *(layer.weights.shape[0] for layer in self.layers)


def described(model: Model) -> Chain:
    """Return copies of what a network has learned, in its dtype.

    Raises
    ------
    ValueError
        If this process does not know a function of the user's own.
    """
    architecture = model._architecture.resolved()
    biases = [b.copy() if b.size else None for b in model.biases]
    alphas = [a.copy() if a.size else None for a in model.alphas]
    rows = [row if row.phi is None else activations.get(row.phi) for row in architecture.activations]
    layers = tuple(Layer(W.copy(), b, row, a)
                   for W, b, row, a in zip(model.weights, biases, rows, alphas, strict=True))
    encoding = architecture.encoding
    if encoding is None:
        return Chain(layers)
    encoded = tuple({name: value.copy() for name, value in views.items()}
                    for views in encoding.views(model._parameters))
    return Chain(layers, architecture.encoders, encoded,
                 encoding.factors(model._parameters).copy() if architecture.scaling else None)


def plain_layers(chain: Chain, what: str) -> tuple[Layer, ...]:
    """Return the layers alone, for what knows no encoders: factors of columns as they are go into the first W.

    Raises
    ------
    ValueError
        If there are encoders that do more.
    """
    columns = [column for encoder in chain.encoders for column in encoder.reads]
    if not all(isinstance(encoder, Identity) for encoder in chain.encoders) or columns != [*range(len(columns))]:
        raise ValueError(f"{what} has no place for encoders: {', '.join(map(repr, chain.encoders))}")
    if chain.factors is None:
        return chain.layers
    first = chain.layers[0]
    return replace(first, weights=first.weights * chain.factors), *chain.layers[1:]


def converted(values: Array, dtype: npt.DTypeLike, name: str) -> Array:
    """Return numbers in a dtype.

    Raises
    ------
    ValueError
        If one is not finite there.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = values.astype(dtype)
    if not np.isfinite(found).all():
        hint = ": use dtype='float64'" if np.isfinite(values).all() else ""
        raise ValueError(f"{name} are not finite numbers in {found.dtype}{hint}")
    return found


def build(kind: Callable[..., N], layers: Sequence[Layer], *, cost: str | Cost | None = None,
          dtype: npt.DTypeLike = "float32") -> N:
    """Return a network of these layers; ``kind`` is the class that makes it.

    The cost is by default the one that goes with the output: binary_cross_entropy for logistic, cross_entropy for
    softmax, else squared_error. Layers without biases beside others that have some get biases of 0.

    Raises
    ------
    ValueError
        If sizes of layers do not meet, or a number is not finite in this dtype.
    """
    real = np.dtype(dtype)
    sizes = (layers[0].weights.shape[1], *(layer.weights.shape[0] for layer in layers))
    for i, layer in enumerate(layers):
        if layer.weights.shape[1] != sizes[i]:
            raise ValueError(f"layer {i + 1} has {layer.weights.shape[1]} inputs, expected {sizes[i]}: as many as the "
                             "layer before has neurons")
        for name in ("weights", "biases", "alphas"):
            values = getattr(layer, name)
            if values is not None:
                converted(values, real, f"{name} of layer {i + 1}")
    if cost is None:
        cost = {"logistic": "binary_cross_entropy", "softmax": "cross_entropy"}.get(layers[-1].activation.name,
                                                                                    "squared_error")
    rows = [layer.activation if layer.alphas is None else activations.parametric(layer.activation) for layer in layers]
    bias = any(layer.biases is not None for layer in layers)
    network = kind(sizes, rows[:-1], rows[-1], cost, bias=bias, dtype=real, init="zeros")
    for i, layer in enumerate(layers):
        network.weights[i][:] = layer.weights
        if layer.biases is not None:
            network.biases[i][:] = layer.biases
        if layer.alphas is not None:
            network.alphas[i][:] = layer.alphas
    return network

"""All that a prediction is made of: a network, what standardises before and behind it, the names of classes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.model import Model
from ..encoders import Encoder
from .chain import Chain, converted, described

Array = npt.NDArray[Any]
Name = str | int | float | bool


@dataclass(frozen=True, eq=False)
class Standardization:
    """Numbers as a network has them, (x − mean)/scale, of numbers in their units; in float64."""

    mean: Array
    """(n,)."""
    scale: Array
    """(n,), none 0."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A chain of layers, and what an estimator has around it."""

    chain: Chain
    members: tuple[Chain, ...] = ()
    """Further networks of the same inputs and outputs, of which there are no encoders: the mean of all is taken."""
    inputs: Standardization | None = None
    """Of the columns of X."""
    targets: Standardization | None = None
    """Of the outputs."""
    classes: tuple[Name, ...] | None = None
    """The names of the classes, in the order of the outputs; of two classes a single output may tell."""
    labels: bool = False
    """Whether each output is the probability of a label of its own."""
    flat: bool = False
    """Whether a single output comes as (n_samples,), as estimators have it."""
    means_first: bool = False
    """Whether the outputs are means and behind them as many logarithms of variances."""

    @property
    def chains(self) -> tuple[Chain, ...]:
        """All networks."""
        return self.chain, *self.members

    @property
    def n_classes(self) -> int:
        """How many classes the outputs tell apart: 0 where they are no classes."""
        if self.classes is not None:
            return len(self.classes)
        output = self.chain.layers[-1].activation.name
        if output == "softmax":
            return self.chain.n_outputs
        return 2 if output == "logistic" and self.chain.n_outputs == 1 else 0

    def with_classes(self, classes: Any) -> Predictor:
        """Return it with names of classes.

        Raises
        ------
        ValueError
            If these are more or fewer names than there are classes, none that can be written down, or the output
            tells no classes apart.
        """
        if classes is None:
            return self
        names = class_names(classes)
        expected = max(self.chain.n_outputs, 2)
        output = self.chain.layers[-1].activation.name
        if self.chain.n_outputs == 1 and output != "logistic":
            raise ValueError(f"classes is {classes!r}, but a single output that is {output} tells no classes apart: it "
                             "takes a logistic one, or an output for each class")
        if len(names) != expected:
            raise ValueError(f"classes has {len(names)} names, expected {expected} for {self.chain.n_outputs} outputs")
        return replace(self, classes=names)

    def check(self, activations: Collection[str], encoders: Collection[type[Encoder]], what: str) -> None:
        """Raise ValueError unless a format knows all that the network is made of; ``what`` names the format."""
        for number, layer in [pair for chain in self.chains for pair in enumerate(chain.layers, 1)]:
            name = layer.activation.name
            if layer.activation.formula == "your own":
                raise ValueError(f"activation {name!r} of layer {number} is a function of your own, which cannot be "
                                 f"written as {what}: use one of fastbp.activations.ACTIVATIONS")
            if name not in activations:
                raise ValueError(f"activation {name!r} of layer {number} is not known as {what} yet")
        for encoder in self.chain.encoders:
            if type(encoder) not in encoders:
                raise ValueError(f"encoder {type(encoder).__name__} is not known as {what} yet")

    def in_dtype(self, dtype: npt.DTypeLike) -> Predictor:
        """Return it with all numbers of the network in a dtype.

        Raises
        ------
        ValueError
            If a number is not finite there.
        """
        first, *others = (_in_dtype(chain, np.dtype(dtype)) for chain in self.chains)
        return replace(self, chain=first, members=tuple(others))

    def rows(self, count: int) -> Array:
        """Return inputs to try it with, (count, n_inputs), in float64: numbers as they may well come, and codes."""
        generator = np.random.default_rng(0)
        found = generator.normal(size=(count, self.chain.n_inputs))
        for encoder in self.chain.encoders:
            if encoder.reads_codes:
                found[:, encoder.reads[0]] = generator.integers(-1, encoder.counts[0], count)
            for column, edges in zip(encoder.reads, getattr(encoder, "edges", ()), strict=False):
                found[:, column] = generator.uniform(1.5 * edges[0] - 0.5 * edges[-1], 1.5 * edges[-1] - 0.5 * edges[0],
                                                     count)
        if self.inputs is not None:
            found = self.inputs.mean + self.inputs.scale * found
        return found


def of_network(model: Model) -> Predictor:
    """Return what a network's predictions are made of.

    Raises
    ------
    ValueError
        If this process does not know a function of the user's own.
    """
    return Predictor(described(model), means_first=model._architecture.cost.outputs_per_target > 1)


def _in_dtype(chain: Chain, real: np.dtype[Any]) -> Chain:
    layers = []
    for number, layer in enumerate(chain.layers, 1):
        arrays: dict[str, Any] = {name: converted(getattr(layer, name), real, f"{name} of layer {number}")
                                  for name in ("weights", "biases", "alphas") if getattr(layer, name) is not None}
        layers.append(replace(layer, **arrays))
    encoded = tuple({name: converted(values, real, f"{name} of encoder {number}")
                     for name, values in views.items()} for number, views in enumerate(chain.encoded))
    for encoder in chain.encoders:
        encoder.check(real)
    factors = None if chain.factors is None else converted(chain.factors, real, "factors of the scaling layer")
    return replace(chain, layers=tuple(layers), encoded=encoded, factors=factors)


def class_names(classes: Any) -> tuple[Name, ...]:
    """Return the names of classes as plain values.

    Raises
    ------
    ValueError
        If they are no sequence of different strings or numbers.
    """
    if hasattr(classes, "__array__"):
        classes = np.asarray(classes).tolist()
    if not isinstance(classes, Sequence) or isinstance(classes, (str, bytes)):
        raise ValueError(f"classes is {classes!r}, expected a name for each class")
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in classes)
    for name in names:
        if not isinstance(name, (str, int, float, bool)) or (isinstance(name, float) and not math.isfinite(name)):
            raise ValueError(f"classes holds {name!r}, expected strings or numbers")
    if len({isinstance(name, str) for name in names}) > 1:
        raise ValueError(f"classes is {list(names)!r}, expected strings or numbers, not both")
    if len(set(names)) != len(names):
        raise ValueError(f"classes is {list(names)!r}, expected different names")
    return names

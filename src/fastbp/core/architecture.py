"""What a network is built of, and what follows from it: sizes, functions, and where parameters lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import activations
from ..activations import Activation
from ..costs import Cost
from ..encoders import Encoder
from ..kernels import layout, tables
from ..kernels.compile import VECTOR_BYTES
from ..kernels.compile.cached import cached_property
from ..util import machine
from ..util.names import Missing
from .encoding import Encoding

Function = str | Activation | Callable[[Any], Any]
Functions = Function | Sequence[Function]
"""Activations of the hidden layers, as a user gives them."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """Sizes, functions and dtype of a network; it never changes.

    Attributes
    ----------
    layers : tuple of int
        (n_0, …, n_L).
    activations : tuple of Activation
        The rows of the catalogue for layers 1..L.
    cost : Cost
        The row of the catalogue.
    bias : bool
        Whether neurons have biases.
    dtype : dtype
        float32 or float64, of parameters and arithmetic.
    encoders : tuple of Encoder
        What the columns of X become before the first layer reads them; none if it reads them as they are.
    scaling : bool
        Whether each encoded number is multiplied by a factor that is learned.
    """

    layers: tuple[int, ...]
    activations: tuple[Activation, ...]
    cost: Cost
    bias: bool
    dtype: np.dtype[Any]
    encoders: tuple[Encoder, ...] = ()
    scaling: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was built of alone: what follows from it is not taken from a pickle."""
        return Architecture, (self.layers, self.activations, self.cost, self.bias, self.dtype, self.encoders,
                              self.scaling)

    @cached_property
    def alike(self) -> tuple[Any, ...]:
        """Return what it has in common with those of networks that are built alike.

        Rows of activations live as long as it does, so no other one gets the id of one of them.
        """
        return (self.layers, *map(id, self.activations), self.cost, self.bias, self.dtype, self.encoders, self.scaling)

    @cached_property
    def encoding(self) -> Encoding | None:
        """Return what encodes the columns of X, if anything does."""
        return Encoding(self.layers[0], self.encoders, scaling=self.scaling) if self.encoders else None

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """(n_0, …, n_L), but in place of n_0 what the first layer reads: the encoded numbers."""
        return self.layers if self.encoding is None else (self.encoding.width, *self.layers[1:])

    def refuse_encoders(self, what: str) -> None:
        """Raise ValueError if the network has encoders, which something does not work with."""
        if self.encoding is not None:
            raise ValueError(f"{what} is not for networks with encoders: encode X beforehand, and build the network "
                             "without them")

    @cached_property
    def parametric(self) -> tuple[bool, ...]:
        """Whether every layer's activation has parameters α."""
        return tuple(row.alpha is not None for row in self.activations)

    @cached_property
    def _offsets(self) -> layout.Offsets:
        return layout.offsets(self.sizes, self.bias, self.parametric,
                              0 if self.encoding is None else self.encoding.n_parameters)

    @property
    def weights(self) -> list[int]:
        """Offset of every W^l in the flat buffer."""
        return self._offsets.weights

    @property
    def biases(self) -> list[int]:
        """Offset of every b^l in the flat buffer, -1 without biases."""
        return self._offsets.biases

    @property
    def alphas(self) -> list[int]:
        """Offset of every α^l in the flat buffer, -1 where the activation is not parametric."""
        return self._offsets.alphas

    @cached_property
    def n_parameters(self) -> int:
        """Numbers in the flat buffer."""
        return self._offsets.total

    @cached_property
    def named_ranges(self) -> dict[str, slice]:
        """Where everything in the flat buffer lies, by kind and layer, in order: "weights[0]", "biases[0]", …, no gaps.

        What encoders learn is called "encoders[0]", …, the factors of the scaling layer "scaling".

        By these names `optimizers.groups` gives factors.
        """
        kinds = {"weights": self.weights, "biases": self.biases, "alphas": self.alphas}
        starts = {} if self.encoding is None else self.encoding.starts
        starts |= {f"{kind}[{i}]": place for kind, places in kinds.items() for i, place in enumerate(places)
                   if place >= 0}
        order = sorted(starts, key=starts.__getitem__)
        ends = [*map(starts.__getitem__, order[1:]), self.n_parameters]
        return {name: slice(starts[name], end) for name, end in zip(order, ends, strict=True)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of every layer's activation."""
        return tuple(row.name for row in self.activations)

    @cached_property
    def canonical(self) -> bool:
        """Whether output and cost are a canonical link, so that δ^L = o − y."""
        return self.names[-1] in self.cost.pairs

    @cached_property
    def n_targets(self) -> int:
        """Numbers that a sample's target has: one for each output, or for each two."""
        return self.layers[-1] // self.cost.outputs_per_target

    @property
    def target_columns(self) -> int:
        """Numbers of a sample in the array of targets: its targets, and what the cost reads beside them."""
        return self.cost.columns(self.layers[-1])

    @property
    def softmax(self) -> bool:
        """Whether the output is not element-wise."""
        return not self.activations[-1].elementwise

    @cached_property
    def work(self) -> int:
        """Multiply-adds of a training step for one sample: three a weight."""
        return 3 * sum(n * m for n, m in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def check_second_order(self, what: str) -> None:
        """Raise ValueError if a layer has α, for what has no second-order terms of them."""
        if any(self.parametric):
            name = self.names[self.parametric.index(True)]
            raise ValueError(f"{what} knows no parameters of activations, but the network has {name!r}: use it with "
                             "plain activations, or train with 'adam', 'lbfgs' or another method of first order")

    def check_tangents(self, what: str) -> None:
        """Raise ValueError unless a tangent for each input can go along with each sample, and memory has room."""
        self.check_second_order(what)
        self.refuse_encoders(what)
        n_in, memory = self.layers[0], machine.physical_memory()
        needed = (1 + n_in) * VECTOR_BYTES * (4 * sum(self.layers) + n_in * self.layers[-1])
        if needed > memory:
            raise ValueError(f"training on the derivatives along {n_in} inputs needs a workspace of {needed:.3g} "
                             f"bytes, this machine has {memory:.3g}: use a smaller network, or train on values alone")

    def directions(self, kind: int) -> int:
        """Return how many directions' tangents go along with each sample in a pass of this kind."""
        return 0 if kind == tables.KIND_PLAIN else self.layers[0] if kind == tables.KIND_SOBOLEV else 1

    def _kernels(self) -> Iterator[Any]:
        yield from (row.kernel for row in self.activations)
        yield self.cost.kernel

    @cached_property
    def complete(self) -> bool:
        """Whether all functions are there."""
        return not any(isinstance(kernel, Missing) for kernel in self._kernels())

    def resolved(self) -> Architecture:
        """Return one whose functions are all there: itself, unless it came with a pickle to another process.

        Raises
        ------
        ValueError
            If this process does not know a function of the user's own.
        """
        if self.complete:
            return self
        found = replace(self, activations=tuple(row.again() for row in self.activations), cost=self.cost.again())
        for kernel in found._kernels():
            if isinstance(kernel, Missing):
                raise ValueError(kernel.why)
        return found


def named_activations(layers: tuple[int, ...], activation: Functions, output: str | Activation | None,
                      cost: Cost) -> tuple[Activation, ...]:
    """Return the row of the catalogue for each layer 1..L."""
    hidden = len(layers) - 2
    given: Any = activation
    one = isinstance(given, (str, Activation))
    if not one and not isinstance(given, Sequence):
        raise TypeError(f"activation is {given!r}, expected a name, or one for each hidden layer")
    names: list[Any] = [given] * hidden if one else list(given)
    if len(names) != hidden:
        raise ValueError(f"activation has {len(names)} names, expected {hidden}: one for each hidden layer")
    names.append(cost.output if output is None else output)
    if one:
        activations.get(given)
    rows = [activations.get(name) for name in names]
    if "|" in rows[-1].name and rows[-1].name.count("|") + 1 != layers[-1]:
        raise ValueError(f"output has {rows[-1].name.count('|') + 1} activations, expected one, or {layers[-1]}: one "
                         "for each output")
    for row in rows[:-1]:
        if "|" in row.name:
            raise ValueError(f"activation {row.name!r} has one for each output: it is for the output layer only")
        if not row.elementwise:
            raise ValueError(f"activation {row.name!r} is not element-wise: it is for the output layer only")
    if rows[-1].phi in cost.pairs:
        raise ValueError(f"output is {rows[-1].name!r}, expected {rows[-1].phi!r} with {cost.name}: the two are a "
                         "canonical link, which has no parameters; use parametric activations in hidden layers")
    if rows[-1].name == "softmax" and layers[-1] == 1:
        raise ValueError("softmax of one output is 1, whatever the input: use an output for each class, or for two "
                         "classes one output with cost 'binary_cross_entropy'")
    if layers[-1] % cost.outputs_per_target:
        raise ValueError(f"layers end with {layers[-1]}, expected an even number: {cost.name} has two outputs for each "
                         "target, all means before all logarithms of variances; where that was the number of targets, "
                         f"use {2 * layers[-1]}")
    if cost.outputs_per_target > 1 and rows[-1].name != cost.output:
        raise ValueError(f"output is {rows[-1].name!r}, expected {cost.output!r} with {cost.name}, whose outputs are "
                         "means and logarithms of variances, one activation for both: leave output out")
    return tuple(rows)

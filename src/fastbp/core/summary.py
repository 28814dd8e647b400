"""A table of what a network consists of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..costs import get
from ..initializers import Given
from .model import Model


class LayerSummary(NamedTuple):
    """One layer l = 1..L.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.Network((4, 16, 3), cost="cross_entropy").summary().layers[-1]
    LayerSummary(neurons=3, activation='softmax', parameters=51, multiply_adds=48, bytes=204)
    """

    neurons: int
    """n_l."""
    activation: str
    """Its name."""
    parameters: int
    """Weights and biases, and those of a parametric activation."""
    multiply_adds: int
    """In a forward pass (1), for one sample; a gradient takes up to three times as many."""
    bytes: int
    """That the parameters take."""


class EncoderSummary(NamedTuple):
    """What stands before the first layer."""

    numbers: int
    """Encoded numbers."""
    parameters: int
    """That the encoders learn."""
    bytes: int
    """That these take."""


class Summary(NamedTuple):
    """What `Network.summary` gives; its representation is a table.

    Examples
    --------
    >>> import fastbp
    >>> summary = fastbp.Network((4, 16, 3), cost="cross_entropy").summary()
    >>> summary.parameters, summary.multiply_adds, summary.bytes
    (131, 112, 524)
    """

    inputs: int
    """n_0."""
    layers: tuple[LayerSummary, ...]
    """One row a layer, from the first hidden one to the output."""
    cost: str
    """The cost, as it is written in code."""
    dtype: str
    """float32 or float64."""
    parameters: int
    """Those of all layers."""
    multiply_adds: int
    """In a forward pass, for one sample."""
    bytes: int
    """That all parameters take. Training takes as much again for the gradient and for each slot of the optimizer."""
    encoders: EncoderSummary | None = None
    """All encoders and the scaling layer together, if there are any; their work is not counted."""

    def __repr__(self) -> str:
        head = ("layer", "neurons", "activation", "parameters", "multiply-adds", "bytes")
        rows = [("0", f"{self.inputs:,}", "(input)", "", "", "")]
        if self.encoders is not None:
            found = self.encoders
            rows.append(("", f"{found.numbers:,}", "(encoded)", f"{found.parameters:,}", "", f"{found.bytes:,}"))
        rows += [(str(number), f"{row.neurons:,}", row.activation, f"{row.parameters:,}", f"{row.multiply_adds:,}",
                  f"{row.bytes:,}") for number, row in enumerate(self.layers, 1)]
        last = ("sum", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", f"{self.bytes:,}")
        widths = [max(map(len, column)) for column in zip(head, *rows, last, strict=True)]
        rule = "  ".join("-" * width for width in widths)
        lines = [_line(head, widths), rule, *(_line(row, widths) for row in rows), rule, _line(last, widths)]
        return "\n".join([*lines, f"cost {self.cost}, {self.dtype}"])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Numbers to the right, names to the left."""
    return "  ".join(f"{cell:<{width}}" if place == 2 else f"{cell:>{width}}"
                     for place, (cell, width) in enumerate(zip(cells, widths, strict=True))).rstrip()


def summary(self: Model) -> Summary:
    """Count what the network consists of: parameters, multiply-adds and bytes, layer by layer.

    Returns
    -------
    Summary
        A NamedTuple whose representation is a table.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.Network((784, 128, 10), cost="cross_entropy").summary()
    layer  neurons  activation  parameters  multiply-adds    bytes
    -----  -------  ----------  ----------  -------------  -------
        0      784  (input)
        1      128  tanh           100,480        100,352  401,920
        2       10  softmax          1,290          1,280    5,160
    -----  -------  ----------  ----------  -------------  -------
      sum                          101,770        101,632  407,080
    cost 'cross_entropy', float32
    """
    itemsize, sizes = self.dtype.itemsize, self._architecture.sizes
    rows = tuple(
        LayerSummary(n_out, row.name, count, n_in * n_out, count * itemsize)
        for n_in, n_out, row in zip(sizes[:-1], sizes[1:], self._architecture.activations, strict=True)
        for count in [(n_in + self.bias + (row.alpha is not None)) * n_out])
    encoding = self._architecture.encoding
    encoders = None if encoding is None else EncoderSummary(encoding.width, encoding.n_parameters,
                                                            encoding.n_parameters * itemsize)
    return Summary(self.layers[0], rows, str(self.cost_function), self.dtype.name, self.n_parameters,
                   sum(row.multiply_adds for row in rows), self.n_parameters * itemsize, encoders)


def written(self: Model) -> str:
    """Return what builds such a network, but for what is the default; in brackets without its arrays or functions."""
    parts, hidden = [repr(self.layers)], self.activations[:-1]
    if len(set(hidden)) > 1:
        parts.append(f"activation={hidden!r}")
    elif hidden and hidden[0] != "tanh":
        parts.append(f"activation={hidden[0]!r}")
    if self.activations[-1] != self.cost_function.output:
        parts.append(f"output={self.activations[-1]!r}")
    if self.cost_function != get("squared_error"):
        parts.append(f"cost={self.cost_function}")
    if not self.bias:
        parts.append("bias=False")
    if self.dtype != np.float32:
        parts.append(f"dtype={self.dtype.name!r}")
    if self.init != "auto":
        parts.append(f"init={self.init!r}")
    if self.seed is not None:
        parts.append(f"seed={self.seed!r}")
    if self.encoders:
        parts.append(f"encoders={list(self.encoders)!r}")
    if self.scaling:
        parts.append("scaling=True")
    built = f"Network({', '.join(parts)})"
    arrays = isinstance(self.init, tuple) and any(isinstance(rule, Given) for rule in self.init)
    functions = any("<" in name for name in (*self.activations, self.cost_function.name))
    return f"<{built}>" if arrays or functions else built

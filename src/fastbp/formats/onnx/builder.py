"""A graph that is being written: nodes in the order in which they are computed, and the constants that they read.

Names are identifiers of C, as ONNX asks for, by which runtimes that write source call what they compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import arrays
from . import messages
from .protobuf import Parts, block, text

Array = npt.NDArray[Any]

IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13,
               27: 13, 28: 14}
"""The lowest version of the file format that a version of the operators may stand in."""

BATCH = "N"
"""The name of the number of rows."""


class Builder:
    """Nodes, constants, inputs and outputs.

    Parameters
    ----------
    opset : int
        The version of the operators.
    dtype : {"float32", "float64"}
        Of all numbers.

    Attributes
    ----------
    opset : int
    dtype : numpy.dtype
    code : int
        The type of real numbers, as ONNX numbers them.
    part : str
        What the names of nodes begin with from here on.

    Raises
    ------
    ValueError, TypeError
        If there is no such version or dtype.
    """

    def __init__(self, opset: int, dtype: npt.DTypeLike) -> None:
        self.opset = arrays.whole("opset", opset, min(IR_VERSIONS), max(IR_VERSIONS))
        self.dtype = arrays.dtype(dtype)
        self.code, self.part = messages.CODES[self.dtype.name], ""
        self._nodes: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []
        self._tensors: dict[str, Parts] = {}
        self._numbers: dict[float, str] = {}
        self._ports: dict[int, list[Parts]] = {11: [], 12: []}
        self._taken: dict[str, int] = {}
        self._called: dict[str, str] = {}

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator; return the name of its output."""
        name = self._free(self._within(op))
        self._nodes.append((op, inputs, name, attributes))
        return name

    def _within(self, name: str) -> str:
        return f"{self.part}_{name}" if self.part else name

    def _free(self, name: str) -> str:
        """Return a name that nothing has."""
        self._taken[name] = count = self._taken.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    def real(self, name: str, values: npt.ArrayLike) -> str:
        """Add an array of real numbers, in the graph's dtype; return its name.

        Raises
        ------
        ValueError
            If a number is not finite in this dtype.
        """
        found, shown = np.asarray(values), self._within(name)
        with np.errstate(all="ignore"):
            narrowed = found.astype(self.dtype)
        if not np.isfinite(narrowed).all():
            raise ValueError(f"{shown} has numbers that are not finite in {self.dtype}" + (
                ": use dtype='float64'" if np.isfinite(found).all() else ", which ONNX' runtimes compute nothing of"))
        return self._constant(name, narrowed)

    def number(self, value: float) -> str:
        """Return the name of a single number, which all nodes share."""
        if value not in self._numbers:
            self._numbers[value] = name = f"number{len(self._numbers) + 1}"
            self._tensors[name] = messages.tensor(name, np.array(value, self.dtype))
        return self._numbers[value]

    def integers(self, name: str, values: Sequence[int] | int) -> str:
        """Add whole numbers; return the name."""
        return self._constant(name, np.array(values, np.int64))

    def texts(self, name: str, values: list[str]) -> str:
        """Add texts; return the name."""
        return self._constant(name, values)

    def _constant(self, name: str, values: Array | list[str]) -> str:
        name = self._free(self._within(name))
        self._tensors[name] = messages.tensor(name, values)
        return name

    def input(self, name: str, size: int) -> str:
        """Add an input of rows of so many numbers; return its name."""
        self._ports[11].append(messages.port(name, self.code, (BATCH, size)))
        return name

    def output(self, name: str, value: str, *shape: int, kind: int | None = None) -> None:
        """Make what a node computes an output of this name: real numbers of this shape a row, or another type."""
        self._called[value] = name
        self._ports[12].append(messages.port(name, self.code if kind is None else kind, (BATCH, *shape)))

    def content(self) -> bytes:
        """Return the content of a file.

        Raises
        ------
        ValueError
            If it would be longer than such a file can be.
        """
        called = self._called
        nodes = [messages.node(op, [called.get(name, name) for name in inputs], called.get(output, output), attributes)
                 for op, inputs, output, attributes in self._nodes]
        graph = [part for node in nodes for part in block(1, *node)] + text(2, "fastbp")
        graph += [part for tensor in self._tensors.values() for part in block(5, *tensor)]
        graph += [part for number, ports in self._ports.items() for port in ports for part in block(number, *port)]
        return messages.model(graph, self.opset, IR_VERSIONS[self.opset])

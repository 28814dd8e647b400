"""The messages of ONNX that a network needs (onnx.proto3): models, nodes, attributes and tensors, in both directions.

Numbers of fields and of types are those of the format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import protobuf
from .protobuf import Fields, Parts, Value, block, integer, single, text

Array = npt.NDArray[Any]
FLOAT, INT32, INT64, STRING, BOOL, FLOAT16, DOUBLE, BFLOAT16 = 1, 6, 7, 8, 9, 10, 11, 16
"""Types of the elements of tensors."""

CODES = {"float32": FLOAT, "float64": DOUBLE, "int64": INT64}
"""By the name of a dtype."""

ML = "ai.onnx.ml"
"""The domain of the operators for classical models."""

MOST_BYTES = 2**31 - 1
"""A message of protocol buffers is no longer."""

MOST_DIMENSIONS = 8


@dataclass(frozen=True, eq=False)
class Tensor:
    """An array in a file, not yet looked at."""

    name: str
    kind: int
    shape: Sequence[int]
    raw: memoryview | None = None
    values: dict[int, list[Value]] = field(default_factory=dict)
    """By the number of the field, where they are not raw."""
    external: bool = False

    def array(self) -> Array:
        """Return the numbers: a view into the file where they lie there as they are needed.

        Raises
        ------
        ValueError
            If there are more or fewer than the shape says, they lie in another file, or are no numbers.
        """
        if self.external:
            raise ValueError(f"tensor {self.name!r} lies in another file: save the model in one, as "
                             "onnx.save(model, path, save_as_external_data=False) does")
        if self.kind not in _LITTLE:
            raise ValueError(f"tensor {self.name!r} has elements of type {self.kind}, expected numbers")
        if len(self.shape) > MOST_DIMENSIONS or any(n < 0 for n in self.shape):
            raise ValueError(f"tensor {self.name!r} has the shape {list(self.shape)}")
        found = self._flat()
        if found.size != math.prod(self.shape):
            raise ValueError(f"tensor {self.name!r} of shape {list(self.shape)} holds {found.size} numbers")
        return found.reshape(self.shape)

    def _flat(self) -> Array:
        if self.raw is not None:
            dtype = np.dtype(_LITTLE[self.kind])
            if len(self.raw) % dtype.itemsize:
                raise ValueError(f"tensor {self.name!r} has {len(self.raw)} bytes, no multiple of {dtype.itemsize}")
            found = np.frombuffer(self.raw, dtype)
        elif self.kind in (FLOAT, DOUBLE):
            size, number = (4, 4) if self.kind == FLOAT else (8, 10)
            pieces = [part.to_bytes(8, "little")[:size] if isinstance(part, int) else bytes(part)
                      for part in self.values.get(number, [])]
            if any(len(part) % size for part in pieces):
                raise ValueError(f"tensor {self.name!r} has numbers that are cut off")
            found = np.frombuffer(b"".join(pieces), _LITTLE[self.kind])
        else:
            wide = protobuf.integers(self.values.get(7 if self.kind == INT64 else 5, []))
            found = wide.astype(_LITTLE[self.kind])
            if (found != wide).any():
                raise ValueError(f"tensor {self.name!r} has numbers that are out of range")
        if self.kind == FLOAT16:
            return found.view("<f2").astype(np.float32)
        if self.kind == BFLOAT16:
            return (found.astype("<u4") << 16).view("<f4")
        return found


_LITTLE = {FLOAT: "<f4", DOUBLE: "<f8", INT64: "<i8", INT32: "<i4", BOOL: "u1", FLOAT16: "<u2", BFLOAT16: "<u2"}
"""Dtypes of elements as they lie in a file."""


Attribute = int | float | bytes | list[int] | list[float] | Tensor | None
"""What an attribute holds; None for what this package does not read, as a graph."""


@dataclass(frozen=True)
class Node:
    """An operator, and the names of what it takes and makes."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    name: str
    attributes: dict[str, Attribute]
    domain: str

    def __str__(self) -> str:
        shown = f"{self.domain}.{self.op}" if self.domain not in ("", "ai.onnx") else self.op
        return f"node {self.name or (self.outputs[0] if self.outputs else '')!r} ({shown})"


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: its name, the type of its elements, and its shape, None where it varies."""

    name: str
    kind: int
    shape: Sequence[int | None] | None


@dataclass(frozen=True)
class Model:
    """A graph, and which versions of the operators it is written in."""

    nodes: Sequence[Node]
    tensors: dict[str, Tensor]
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    opsets: dict[str, int]


# ---------------------------------------------------------------------------------------------------------- writing

def tensor(name: str, values: Array | list[str]) -> Parts:
    """Return a tensor of numbers or of texts."""
    if isinstance(values, list):
        head = integer(1, len(values)) + integer(2, STRING)
        return head + [part for value in values for part in text(6, value)] + text(8, name)
    shape = [part for n in values.shape for part in integer(1, n)]
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return shape + integer(2, CODES[values.dtype.name]) + text(8, name) + block(9, little.tobytes())


def attribute(name: str, value: float | int | list[int]) -> Parts:
    """Return an attribute of a node."""
    head = text(1, name)
    if isinstance(value, list):
        return head + [part for number in value for part in integer(8, number)] + integer(20, 7)
    if isinstance(value, int):
        return head + integer(3, value) + integer(20, 2)
    return head + single(2, value) + integer(20, 1)


def node(op: str, inputs: Sequence[str], output: str, attributes: dict[str, Any]) -> Parts:
    """Return a node of one output, after which it is named."""
    found = [part for name in inputs for part in text(1, name)] + text(2, output) + text(3, output) + text(4, op)
    for key, value in attributes.items():
        found += block(5, *attribute(key, value))
    return found


def port(name: str, kind: int, shape: Sequence[int | str]) -> Parts:
    """Return an input or output of a graph; a text in its shape names a size that varies."""
    sizes: Parts = []
    for size in shape:
        sizes += block(1, *(text(2, size) if isinstance(size, str) else integer(1, size)))
    return text(1, name) + block(2, *block(1, *integer(1, kind), *block(2, *sizes)))


def model(graph: Parts, opset: int, ir_version: int) -> bytes:
    """Return the content of a file.

    Raises
    ------
    ValueError
        If it would be longer than such a file can be.
    """
    found = integer(1, ir_version) + text(2, "fastbp") + block(7, *graph) + block(8, *text(1, ""), *integer(2, opset))
    size = sum(map(len, found))
    if size > MOST_BYTES:
        raise ValueError(f"the file would have {size} bytes, and an ONNX file has at most {MOST_BYTES}: use smaller "
                         "layers, or dtype='float32'")
    return b"".join(found)


# ---------------------------------------------------------------------------------------------------------- reading

def read(content: memoryview, fields: Fields) -> Model:
    """Return what the bytes of a file say.

    Raises
    ------
    ValueError
        If they are no model.
    """
    graphs, opsets, functions = [], {}, False
    for number, value in fields.of(content):
        if number == 7:
            graphs.append(protobuf.to_bytes(value))
        elif number == 8:
            domain, version = _opset(fields, protobuf.to_bytes(value))
            opsets[domain] = version
        functions |= number == 25
    if len(graphs) != 1 or not opsets:
        raise ValueError("it is no ONNX model: it has no graph, or does not say the version of its operators")
    nodes, tensors = [], {}
    ports: dict[int, list[Port]] = {11: [], 12: []}
    for number, value in fields.of(graphs[0]):
        if number == 1:
            nodes.append(_node(fields, protobuf.to_bytes(value)))
        elif number == 5:
            found = _tensor(fields, protobuf.to_bytes(value))
            tensors[found.name] = found
        elif number in ports:
            ports[number].append(_port(fields, protobuf.to_bytes(value)))
        elif number == 15:
            raise ValueError("it has sparse tensors, expected dense ones")
    if functions:
        raise ValueError("it has functions of its own: inline them, as onnx.inliner.inline_local_functions does")
    return Model(nodes, tensors, ports[11], ports[12], opsets)


def _opset(fields: Fields, message: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in fields.of(message):
        if number == 1:
            domain = protobuf.to_text(value)
        elif number == 2:
            version = protobuf.to_integer(value)
    return domain if domain != "ai.onnx" else "", version


def _node(fields: Fields, message: memoryview) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [""], 4: [""], 7: [""]}
    attributes = {}
    for number, value in fields.of(message):
        if number in texts:
            texts[number].append(protobuf.to_text(value))
        elif number == 5:
            name, found = _attribute(fields, protobuf.to_bytes(value))
            attributes[name] = found
    return Node(texts[4][-1], texts[1], texts[2], texts[3][-1], attributes, texts[7][-1])


def _attribute(fields: Fields, message: memoryview) -> tuple[str, Attribute]:
    held: dict[int, list[Value]] = {}
    for number, value in fields.of(message):
        held.setdefault(number, []).append(value)
    name = protobuf.to_text(held[1][-1]) if 1 in held else ""
    kind = protobuf.to_integer(held[20][-1]) if 20 in held else 0
    if kind == 1:
        return name, protobuf.to_single(held[2][-1]) if 2 in held else 0.0
    if kind == 2:
        return name, protobuf.to_integer(held[3][-1]) if 3 in held else 0
    if kind == 3:
        return name, bytes(protobuf.to_bytes(held[4][-1])) if 4 in held else b""
    if kind == 4 and 5 in held:
        return name, _tensor(fields, protobuf.to_bytes(held[5][-1]))
    if kind == 6:
        return name, [number for value in held.get(7, []) for number in _singles(fields, value)]
    if kind == 7:
        return name, _few(fields, held.get(8, []))
    return name, None


def _singles(fields: Fields, value: Value) -> list[float]:
    """Return float32 numbers, one or many packed in a field."""
    if isinstance(value, int):
        return [protobuf.to_single(value)]
    fields.spend(len(value) // 4)
    if len(value) % 4:
        raise ValueError("numbers of an attribute are cut off")
    found: list[float] = np.frombuffer(value, "<f4").tolist()
    return found


def _tensor(fields: Fields, message: memoryview) -> Tensor:
    sizes: list[Value] = []
    kind, name, raw, external = 0, "", None, False
    values: dict[int, list[Value]] = {}
    for number, value in fields.of(message):
        if number == 1:
            sizes.append(value)
        elif number == 2:
            kind = protobuf.to_integer(value)
        elif number == 8:
            name = protobuf.to_text(value)
        elif number == 9:
            raw = protobuf.to_bytes(value)
        elif number in (4, 5, 7, 10):
            values.setdefault(number, []).append(value)
        elif number == 13 or (number == 14 and value == 1):
            external = True
    return Tensor(name, kind, _few(fields, sizes), raw, values, external)


def _few(fields: Fields, values: list[Value]) -> list[int]:
    """Return sizes or axes, of which there are few."""
    numbers = protobuf.integers(values)
    fields.spend(numbers.size)
    found: list[int] = numbers.tolist()
    return found


def _port(fields: Fields, message: memoryview) -> Port:
    name, kind, shape = "", 0, None
    for number, value in fields.of(message):
        if number == 1:
            name = protobuf.to_text(value)
        elif number == 2:
            for within, type_ in fields.of(protobuf.to_bytes(value)):
                if within == 1:
                    kind, shape = _tensor_type(fields, protobuf.to_bytes(type_))
    return Port(name, kind, shape)


def _tensor_type(fields: Fields, message: memoryview) -> tuple[int, list[int | None] | None]:
    kind, shape = 0, None
    for number, value in fields.of(message):
        if number == 1:
            kind = protobuf.to_integer(value)
        elif number == 2:
            shape = []
            for within, size in fields.of(protobuf.to_bytes(value)):
                if within == 1:
                    known = dict(fields.of(protobuf.to_bytes(size))).get(1)
                    shape.append(known if isinstance(known, int) else None)
    return kind, shape

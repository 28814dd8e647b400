"""Encoders as operators of ONNX: what the columns of X become before the first layer."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...encoders import Embedding, Encoder, Identity, OneHot, Periodic, PiecewiseLinear
from ..chain import Chain
from . import messages
from .builder import Builder

Array = npt.NDArray[Any]


def encoded(graph: Builder, chain: Chain, x: str, part: str) -> str:
    """Return what the first layer reads."""
    if not chain.encoders:
        return x
    parts = []
    for i, (encoder, learned) in enumerate(zip(chain.encoders, chain.encoded, strict=True)):
        graph.part = f"{part}encoder{i + 1}"
        parts.append(_encoded(encoder, learned, graph, x))
    graph.part = f"{part}encoders"
    found = parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1)
    return found if chain.factors is None else graph.node("Mul", found, graph.real("scaling", chain.factors))


@functools.singledispatch
def _encoded(encoder: Encoder, learned: dict[str, Array], graph: Builder, x: str) -> str:
    """Return the numbers of an encoder, (N, width)."""
    raise ValueError(f"encoder {encoder!r} has no operators of ONNX")


def _columns(graph: Builder, x: str, columns: tuple[int, ...]) -> str:
    return graph.node("Gather", x, graph.integers("columns", columns), axis=1)


@_encoded.register
def _(encoder: Identity, learned: dict[str, Array], graph: Builder, x: str) -> str:
    return _columns(graph, x, encoder.reads)


@_encoded.register
def _(encoder: OneHot, learned: dict[str, Array], graph: Builder, x: str) -> str:
    """Return which category equals the code: none where it is missing."""
    codes = graph.real("categories", np.arange(encoder.categories))
    return graph.node("Cast", graph.node("Equal", _columns(graph, x, encoder.reads), codes), to=graph.code)


@_encoded.register
def _(encoder: Embedding, learned: dict[str, Array], graph: Builder, x: str) -> str:
    """Return rows of the table, the last for what is no category, NaN too."""
    codes = graph.node("Gather", x, graph.integers("column", encoder.column), axis=1)
    count = graph.number(encoder.categories)
    known = graph.node("And", graph.node("GreaterOrEqual", codes, graph.number(0)), graph.node("Less", codes, count))
    rows = graph.node("Cast", graph.node("Where", known, codes, count), to=messages.INT64)
    return graph.node("Gather", graph.real("table", learned["table"]), rows, axis=0)


@_encoded.register
def _(encoder: Periodic, learned: dict[str, Array], graph: Builder, x: str) -> str:
    """Return (W₂ cos(2πx w₁ + b₁) + b₂, x) with columns first, as a product of matrices for each.

    A cosine is a sine here: not every onnxruntime has it in double.
    """
    turned = graph.node("Transpose", _columns(graph, x, encoder.reads), perm=[1, 0])
    last = graph.node("Unsqueeze", turned, graph.integers("axis", [2]))
    angles = graph.node("Mul", graph.node("Mul", last, graph.number(2 * math.pi)),
                        graph.real("frequencies", learned["frequencies"][:, None]))
    phases = learned["phases"][:, None].astype(np.float64) + math.pi / 2
    cosines = graph.node("Sin", graph.node("Add", angles, graph.real("phases", phases)))
    linear = graph.node("MatMul", cosines, graph.real("weights", learned["weights"].transpose(0, 2, 1)))
    linear = graph.node("Add", linear, graph.real("biases", learned["biases"][:, None]))
    rows = graph.node("Transpose", graph.node("Concat", linear, last, axis=2), perm=[1, 0, 2])
    return graph.node("Reshape", rows, graph.integers("shape", [-1, encoder.width]))


@_encoded.register
def _(encoder: PiecewiseLinear, learned: dict[str, Array], graph: Builder, x: str) -> str:
    """Return (x − b)/(c − b) of edges b and c of each bin, limited to 0 … 1 but for the first and last of a column."""
    each = list(zip(encoder.reads, encoder.edges, strict=True))
    columns = tuple(column for column, edges in each for _ in edges[1:])
    edges = [np.array(edges) for _, edges in each]
    below = np.concatenate([part[:-1] for part in edges])
    slopes = np.concatenate([1 / np.diff(part) for part in edges])
    most = np.finfo(graph.dtype).max
    floor = np.concatenate([[-most] + [0] * (len(part) - 2) for part in edges])
    roof = np.concatenate([[1] * (len(part) - 2) + [most] for part in edges])
    line = graph.node("Mul", graph.node("Sub", _columns(graph, x, columns), graph.real("edges", below)),
                      graph.real("slopes", slopes))
    return graph.node("Min", graph.node("Max", line, graph.real("floor", floor)), graph.real("roof", roof))

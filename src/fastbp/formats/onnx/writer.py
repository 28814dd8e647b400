"""A network as a graph of ONNX."""

from __future__ import annotations

from os import PathLike

import numpy.typing as npt

from ...core.model import Model
from ...util import disk
from ..chain import Chain, described
from .builder import Builder
from .encoding import encoded
from .functions import activated, mixed


def add(graph: Builder, chain: Chain, x: str, part: str = "") -> str:
    """Add a network, which reads x; return its outputs."""
    y = encoded(graph, chain, x, part)
    for i, layer in enumerate(chain.layers):
        graph.part = f"{part}layer{i + 1}"
        biases = [] if layer.biases is None else [graph.real("biases", layer.biases)]
        net = graph.node("Gemm", y, graph.real("weights", layer.weights), *biases, transB=1)
        y = activated(graph, layer.activation.name, net, double=graph.dtype == "float64", opset=graph.opset)
        if layer.alphas is not None:
            y = mixed(graph, net, y, graph.real("alphas", layer.alphas))
    graph.part = ""
    return y


def content(model: Model, opset: int, dtype: npt.DTypeLike) -> bytes:
    """Return a network as the content of a file."""
    graph = Builder(opset, dtype)
    chain = described(model)
    x = graph.input("X", chain.n_inputs)
    graph.output("Y", add(graph, chain, x), chain.n_outputs)
    return graph.content()


def written(content: bytes, path: str | PathLike[str] | None) -> bytes | None:
    """Write a file; without a path return what would be in it."""
    if path is None:
        return content
    disk.write(path, content)
    return None

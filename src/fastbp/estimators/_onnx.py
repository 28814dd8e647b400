"""An estimator as a graph of ONNX: its scalers, its networks, and of a classifier its classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.preprocessing import StandardScaler

from ..formats.chain import described
from ..formats.onnx import messages, writer
from ..formats.onnx.builder import Builder

Array = npt.NDArray[Any]


def content(mlp: Any, opset: int, dtype: npt.DTypeLike) -> bytes:
    """Return an estimator as the content of a file."""
    networks = mlp.networks_
    graph = Builder(opset, dtype)
    x = _standardized(graph, mlp.input_scaler_, graph.input("X", mlp.n_features_in_))
    outputs = [writer.add(graph, described(network), x, f"member{i + 1}_" if networks[1:] else "")
               for i, network in enumerate(networks)]
    mean = outputs[0]
    if networks[1:]:
        mean = graph.node("Div", graph.node("Sum", *outputs), graph.number(len(outputs)))
    if is_classifier(mlp):
        _classes(graph, mlp, mean)
    else:
        _targets(graph, mlp, mean)
    return graph.content()


def _standardized(graph: Builder, scaler: StandardScaler | None, x: str) -> str:
    """Return (x − μ)/σ; what rounding takes from μ is subtracted, too: of 10⁷ float32 keeps no tenths."""
    if scaler is None:
        return x
    graph.part = "input_scaler"
    if scaler.with_mean:
        mean = scaler.mean_.astype(graph.dtype)
        x = graph.node("Sub", x, graph.real("mean", mean))
        if (rest := scaler.mean_ - mean).any():
            x = graph.node("Sub", x, graph.real("mean_rest", rest))
    scale = graph.real("scale", scaler.scale_)
    if not scaler.scale_.astype(graph.dtype).all():
        raise ValueError(f"the scale of X is less than {graph.dtype} can hold: use dtype='float64'")
    return graph.node("Div", x, scale)


def _targets(graph: Builder, mlp: Any, mean: str) -> None:
    """Let the targets, in their units, be the output."""
    scaler = mlp.target_scaler_
    if scaler is not None:
        graph.part = "target_scaler"
        mean = graph.node("Mul", mean, graph.real("scale", scaler.scale_))
        mean = graph.node("Add", mean, graph.real("mean", scaler.mean_))
    graph.part = ""
    if mlp.n_outputs_ == 1:
        graph.output("variable", graph.node("Squeeze", mean, graph.integers("axis", [1])))
    else:
        graph.output("variable", mean, mlp.n_outputs_)


def _classes(graph: Builder, mlp: Any, mean: str) -> None:
    """Let classes and their probabilities be the outputs."""
    if mlp.out_activation_ == "logistic" and mlp.n_outputs_ > 1:
        above = graph.node("Greater", mean, graph.number(0.5))
        graph.output("label", graph.node("Cast", above, to=messages.INT64), mlp.n_outputs_, kind=messages.INT64)
        graph.output("probabilities", mean, mlp.n_outputs_)
        return
    names = mlp.classes_
    if mlp.n_outputs_ == 1:
        mean = graph.node("Concat", graph.node("Sub", graph.number(1.0), mean), mean, axis=1)
        names = np.resize(names, 2)  # of a single class that one, whatever its probability
    kind, constant = _names(graph, names)
    graph.output("label", graph.node("Gather", constant, graph.node("ArgMax", mean, axis=1, keepdims=0), axis=0),
                 kind=kind)
    graph.output("probabilities", mean, len(names))


def _names(graph: Builder, classes: Array) -> tuple[int, str]:
    """Return the type of the names of classes, and the constant that holds them: whole numbers or texts."""
    listed = classes.tolist()
    if all(isinstance(name, str) for name in listed):
        return messages.STRING, graph.texts("classes", listed)
    if all(isinstance(name, (bool, int, float)) and name == int(name) and abs(name) < 2**63 for name in listed):
        return messages.INT64, graph.integers("classes", [int(name) for name in listed])
    raise ValueError(f"classes are {classes}, of which ONNX has neither whole numbers nor texts: train on such names")

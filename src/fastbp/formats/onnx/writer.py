"""A prediction as a graph of ONNX: of a network, or with the scalers, members and classes of an estimator."""

from __future__ import annotations

import numpy.typing as npt

from ..chain import Chain
from ..predictor import Name, Predictor, Standardization
from . import messages
from .builder import Builder
from .encoding import encoded
from .functions import activated, mixed


def onnx_model(predictor: Predictor, opset: int, dtype: npt.DTypeLike) -> bytes:
    """Return a prediction as the content of a file.

    Raises
    ------
    ValueError, TypeError
        If there is no such version or dtype, a number is not finite in this dtype, or there are no operators for a
        function or a name of a class.
    """
    graph, chains = Builder(opset, dtype), predictor.chains
    x = _standardized(graph, predictor.inputs, graph.input("X", predictor.chain.n_inputs))
    outputs = [_network(graph, chain, x, f"member{i}_" if predictor.members else "")
               for i, chain in enumerate(chains, 1)]
    y = outputs[0]
    if predictor.members:
        y = graph.node("Div", graph.node("Sum", *outputs), graph.number(len(chains)))
    if predictor.labels:
        _labels(graph, predictor, y)
    elif predictor.classes is not None:
        _classes(graph, predictor.classes, predictor.chain.n_outputs, y)
    else:
        _values(graph, predictor, y)
    return graph.content()


def _standardized(graph: Builder, scaler: Standardization | None, x: str) -> str:
    """Return (x − μ)/σ; what rounding takes from μ is subtracted, too: of 10⁷ float32 keeps no tenths."""
    if scaler is None:
        return x
    graph.part = "input_scaler"
    if scaler.mean.any():
        mean = scaler.mean.astype(graph.dtype)
        x = graph.node("Sub", x, graph.real("mean", mean))
        if (rest := scaler.mean - mean).any():
            x = graph.node("Sub", x, graph.real("mean_rest", rest))
    scale = graph.real("scale", scaler.scale)
    if not scaler.scale.astype(graph.dtype).all():
        raise ValueError(f"the scale of X is less than {graph.dtype} can hold: use dtype='float64'")
    return graph.node("Div", x, scale)


def _network(graph: Builder, chain: Chain, x: str, part: str) -> str:
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


def _values(graph: Builder, predictor: Predictor, y: str) -> None:
    """Make what a network or a regressor predicts, in its units, the output."""
    if (scaler := predictor.targets) is not None:
        graph.part = "target_scaler"
        y = graph.node("Mul", y, graph.real("scale", scaler.scale))
        y = graph.node("Add", y, graph.real("mean", scaler.mean))
        graph.part = ""
    if not predictor.flat:
        graph.output("Y", y, predictor.chain.n_outputs)
    elif predictor.chain.n_outputs == 1:
        graph.output("variable", graph.node("Squeeze", y, graph.integers("axis", [1])))
    else:
        graph.output("variable", y, predictor.chain.n_outputs)


def _labels(graph: Builder, predictor: Predictor, y: str) -> None:
    """Make which labels are likely, and their probabilities, the outputs."""
    count, above = predictor.chain.n_outputs, graph.node("Greater", y, graph.number(0.5))
    graph.output("label", graph.node("Cast", above, to=messages.INT64), count, kind=messages.INT64)
    graph.output("probabilities", y, count)


def _classes(graph: Builder, classes: tuple[Name, ...], n_outputs: int, y: str) -> None:
    """Make the likeliest class, and the probabilities of all, the outputs."""
    if n_outputs == 1:
        y = graph.node("Concat", graph.node("Sub", graph.number(1.0), y), y, axis=1)
    kind, names = _names(graph, classes)
    graph.output("label", graph.node("Gather", names, graph.node("ArgMax", y, axis=1, keepdims=0), axis=0), kind=kind)
    graph.output("probabilities", y, len(classes))


def _names(graph: Builder, classes: tuple[Name, ...]) -> tuple[int, str]:
    """Return the type of the names of classes, and the constant that holds them: whole numbers or texts."""
    texts = [name for name in classes if isinstance(name, str)]
    if len(texts) == len(classes):
        return messages.STRING, graph.texts("classes", texts)
    numbers = [name for name in classes if not isinstance(name, str) and name == int(name) and abs(name) < 2**63]
    if len(numbers) == len(classes):
        return messages.INT64, graph.integers("classes", [int(name) for name in numbers])
    raise ValueError(f"classes are {list(classes)}, of which ONNX has neither whole numbers nor texts: train on such "
                     "names")

"""The layers of a graph of ONNX: a walk over its nodes, in their order, that follows what comes of the input.

What nodes make is a constant, a signal (what a number of dense layers make of the input), or what is no part of such
a network: that only matters where an output needs it, so the tail of a classifier that makes labels is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import activations
from ..chain import Layer
from . import constants, messages, operators
from .messages import ML, Node
from .protobuf import Fields
from .recognition import ONE, ZERO, Found, Steps
from .values import Budget, Known, Product, Signal, Sizes, Unflattened, Unread

Array = npt.NDArray[Any]

MOST_DIAGONAL = 1000
"""Outputs that are scaled behind their activation, which takes a layer of so many numbers squared."""

OLDEST = 7
"""The version of the operators from which on constants are broadcast as in NumPy."""

REUSED = 4
"""How often the numbers of a file may be used, on average, by its layers."""

ROOM, WORK = (16, 2**20), (100, 2**24)
"""Bytes that constants may take which are made of others, and numbers that may be computed to recognise activations:
so many for each byte of the file, and so many beside."""


def layers(content: bytes) -> tuple[list[Layer], np.dtype[Any]]:
    """Return the layers of a file's graph, and the dtype of its weights.

    Raises
    ------
    ValueError
        If it is no ONNX model, or no chain of dense layers; the message names what does not belong to one.
    """
    with np.errstate(all="ignore"):  # what is not finite is seen at the end
        return _Walk(content).layers()


class _Walk:
    """What is known of each name of a graph."""

    def __init__(self, content: bytes) -> None:
        self._model = messages.read(memoryview(content), Fields())
        self._size = len(content)
        self._room = Budget(ROOM[0] * self._size + ROOM[1], "it makes more of its constants")
        self._work = Budget(WORK[0] * self._size + WORK[1], "it has more between its layers")
        self._known: dict[str, Known] = {}

    def layers(self) -> tuple[list[Layer], np.dtype[Any]]:
        tensors, version = self._model.tensors, self._model.opsets.get("", 0)
        if version < OLDEST:
            raise ValueError(f"it has version {version} of ONNX' operators, expected {OLDEST} or a newer one: convert "
                             "it, as onnx.version_converter does")
        inputs = [port for port in self._model.inputs if port.name not in tensors]
        if len(inputs) != 1:
            raise ValueError(f"it has the inputs {[port.name for port in inputs][:10]}, expected one")
        shape = inputs[0].shape
        if shape is not None and len(shape) > 2:
            self._known[inputs[0].name] = Unflattened(tuple(shape))
        else:
            width = shape[1] if shape is not None and len(shape) == 2 else None
            self._known[inputs[0].name] = Signal(self._begun(None, None, width), 0)
        for node in self._model.nodes:
            try:
                found = self._made(node)
            except ValueError as error:
                found = Unread(f"{node} has no part in a chain of dense layers: {error}")
            for name in node.outputs[:1]:
                self._known[name] = found
            for name in node.outputs[1:]:
                self._known[name] = Unread(f"{node} has a second output")
        return self._chained(self._output())

    def _begun(self, weights: Array | None, source: Signal | None, width: int | None) -> Product:
        return Product(weights, source, width, Steps(self._work.spend))

    # --------------------------------------------------------------------------------------------------- the nodes

    def _value(self, name: str) -> Known:
        if name not in self._known:
            tensor = self._model.tensors.get(name)
            if tensor is None:
                raise ValueError(f"nothing before it makes {name!r}, which it takes")
            self._known[name] = tensor.array()
        return self._known[name]

    def _made(self, node: Node) -> Known:
        """Return what a node makes.

        Raises
        ------
        ValueError
            If it does not belong to a chain of dense layers.
        """
        inputs = [self._value(name) if name else None for name in node.inputs]
        if node.op != "Constant" and (not inputs or inputs[0] is None):
            raise ValueError("it has no input")
        for value in inputs:
            if isinstance(value, Unread):
                return value if node.op in _TAIL else Unread(value.reason)
            if isinstance(value, Unflattened) and node.op not in _FLATTENING:
                raise ValueError(f"it works on an input of {len(value.shape)} dimensions, expected rows of numbers, or "
                                 "that it is flattened first")
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain in ("", ML) and node.op in _HANDLERS and (node.op in _ML) == (domain == ML):
            return _HANDLERS[node.op](self, node, inputs)
        if domain == "" and node.op in operators.FUNCTIONS:
            return self._element_wise(node, inputs)
        raise ValueError("fastbp does not read this operator")

    def _computed(self, value: Known) -> Known:
        """Return a constant that was made of others, if the file has room for it."""
        if isinstance(value, np.ndarray):
            self._room.spend(value.nbytes)
        return value

    def _constant(self, node: Node, inputs: Sequence[Any]) -> Known:
        for name, value in node.attributes.items():
            if isinstance(value, messages.Tensor):
                return value.array()
            if name.startswith("value_") and isinstance(value, (int, float, list)):
                return self._computed(np.array(value))
        raise ValueError("its constant is no number")

    def _same(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Return what is given: nodes that change no number."""
        given = inputs[0]
        if node.op == "Dropout" and len(inputs) > 2 and isinstance(inputs[2], np.ndarray) and inputs[2].any():
            raise ValueError("it drops neurons, as in training: export the network for inference")
        if node.op == "Cast" and isinstance(given, Signal) and node.attributes.get("to") not in (messages.FLOAT,
                                                                                                messages.DOUBLE):
            raise ValueError("it makes other numbers than float32 or float64")
        passed = isinstance(given, (Signal, Unflattened))
        return given if passed else self._computed(constants.shaped(node, inputs))

    def _reshaped(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Return what is given: a signal must keep its rows."""
        given = inputs[0]
        if isinstance(given, Unflattened):
            return self._flattened(node, given, inputs)
        if not isinstance(given, Signal):
            return self._computed(constants.shaped(node, inputs))
        width, product = given.product.width, given.product
        sizes: list[int] = []
        if node.op == "Flatten" and node.attributes.get("axis", 1) == 1:
            return given
        if node.op == "Reshape" and len(inputs) == 2:
            sizes = constants.known_sizes(inputs[1])
            if len(sizes) == 2 and (sizes[1] == width or (sizes[1] <= 0 and sizes[0] != sizes[1]) or width is None):
                if sizes[1] > 0:
                    product.width = int(sizes[1])
                return given
            if len(sizes) == 1 and width == 1:
                return given
        if node.op in ("Squeeze", "Unsqueeze") and width == 1:
            return given
        reason = f"{node} makes other rows"
        # what skl2onnx ends a regressor of several targets with, by mistake
        return Unread(reason, given if node.op == "Reshape" and sizes == [-1, 1] else None)

    def _flattened(self, node: Node, given: Unflattened, inputs: Sequence[Any]) -> Signal:
        """Return the rows of an input of more dimensions."""
        width = math.prod(n or 0 for n in given.shape[1:]) or None
        sizes = constants.known_sizes(inputs[1]) if node.op == "Reshape" and len(inputs) == 2 else [0, -1]
        if len(sizes) != 2 or sizes[1] not in (-1, width) or node.attributes.get("axis", 1) != 1:
            raise ValueError("it does not make a row of each sample")
        return Signal(self._begun(None, None, width), 0)

    def _shape(self, node: Node, inputs: Sequence[Any]) -> Known:
        given = inputs[0]
        if isinstance(given, Unflattened):
            return Sizes((0, *(n or -1 for n in given.shape[1:])))
        if isinstance(given, Signal):
            return Sizes((0, given.product.width or -1))
        raise ValueError("it is not of the input")

    def _moved(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Return a constant, or sizes, that were turned or picked."""
        if any(isinstance(value, Signal) for value in inputs):
            raise ValueError("it moves numbers within the rows of a batch")
        return self._computed(constants.shaped(node, inputs))

    def _concatenated(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Return p of 1 − p beside p, with which a classifier for two classes ends."""
        first, *rest = inputs
        if isinstance(first, Signal) and len(rest) == 1 and isinstance(rest[0], Signal) and \
                rest[0].product is first.product and node.attributes.get("axis") in (1, -1):
            if not first.product.steps.complements(first.step, rest[0].step):
                raise ValueError("what it puts side by side is not 1 − p and p")
            return rest[0]
        return self._moved(node, inputs)

    # -------------------------------------------------------------------------------------------------- arithmetic

    def _product(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Begin a layer: MatMul, or Gemm with its biases."""
        given, weights = inputs[0], inputs[1] if len(inputs) > 1 else None
        if not isinstance(given, Signal) or not isinstance(weights, np.ndarray):
            raise ValueError("it does not multiply the outputs of a layer by constants")
        if weights.ndim != 2 or weights.size == 0 or weights.dtype.kind != "f":
            raise ValueError(f"its weights are {weights.dtype} of shape {weights.shape}, expected a matrix")
        if node.attributes.get("transA", 0):
            raise ValueError("it has samples in columns (transA)")
        weights = weights if node.op == "Gemm" and node.attributes.get("transB", 0) else weights.T
        n_out, n_in = weights.shape
        if given.product.width not in (None, n_in):
            raise ValueError(f"it has weights for {n_in} numbers, and {given.product.width} come")
        given.product.width = n_in
        made = Signal(self._begun(weights, given, n_out), 0)
        if node.op == "MatMul":
            return made
        factor, of_biases = (np.array(_number(node, name, 1.0)) for name in ("alpha", "beta"))
        biases = inputs[2] if len(inputs) > 2 else None
        if biases is not None and not isinstance(biases, np.ndarray):
            raise ValueError("its biases are no constants")
        if biases is None and factor == 1:
            return made
        offset = ZERO if biases is None else self._row(made, biases) * of_biases
        return Signal(made.product, made.product.steps.straight("Gemm", 0, factor, offset))

    def _normalized(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Apply (x − μ)/√(σ² + ε) γ + β, with numbers that training has left."""
        if len(inputs) != 5 or not isinstance(inputs[0], Signal) or node.attributes.get("training_mode", 0):
            raise ValueError("it normalises by each batch, as in training: export the network for inference")
        given = inputs[0]
        scale, shift, mean, variance = (self._row(given, value) for value in inputs[1:])
        factor = scale / np.sqrt(variance + _number(node, "epsilon", 1e-5))
        return self._straight(node, given, factor, shift - factor * mean)

    def _scaled(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Apply (x − offset) · scale."""
        given = inputs[0]
        if not isinstance(given, Signal):
            raise ValueError("it is not of the input")
        numbers = [node.attributes.get(name, default) for name, default in (("scale", [1.0]), ("offset", [0.0]))]
        if not all(isinstance(values, list) for values in numbers):
            raise ValueError("its attributes are no numbers")
        scale, offset = (self._row(given, np.array(values, np.float64)) for values in numbers)
        return self._straight(node, given, scale, -offset * scale)

    def _row(self, given: Signal, value: Any) -> Array:
        """Return a constant as one number, or one for each neuron.

        Raises
        ------
        ValueError
            If it is neither.
        """
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise ValueError("what it takes beside the outputs of a layer are no constant numbers")
        width = given.product.width
        if value.size == 1:
            return value.reshape(value.shape[:1] if width == 1 else ()).astype(np.float64)
        if value.ndim not in (1, 2) or value.size != value.shape[-1] or (width is not None and value.size != width):
            raise ValueError(f"a constant in it has the shape {value.shape}, expected one number, or {width or 'one'} "
                             "for each neuron")
        given.product.width = value.size
        self._room.spend(3 * 8 * value.size)  # with the line that it may become a part of
        return value.reshape(-1).astype(np.float64)

    def _straight(self, node: Node, given: Signal, factor: Array, offset: Array) -> Signal:
        if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
            raise ValueError("its numbers are not finite")
        return Signal(given.product, given.product.steps.straight(node.op, given.step, factor, offset))

    def _softmax(self, node: Node, inputs: Sequence[Any]) -> Known:
        given = inputs[0]
        if not isinstance(given, Signal) or node.attributes.get("axis", 1) not in (1, -1):
            raise ValueError("it is not over the outputs of each sample")
        return Signal(given.product, given.product.steps.apply("Softmax", (given.step,), {}))

    def _picked(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Return what is cut off: the number of the largest output."""
        given = inputs[0]
        return Unread(f"{node} tells classes", given if isinstance(given, Signal) else None)

    def _element_wise(self, node: Node, inputs: Sequence[Any]) -> Known:
        """Apply an operator that goes over single numbers."""
        least, most = operators.INPUTS.get(node.op, (1, 1))
        if not least <= len(inputs) <= most or any(value is None for value in inputs[:least]):
            raise ValueError(f"it has {len(inputs)} inputs")
        attributes = {name: _attribute(node, name) for name in operators.TAKES.get(node.op, ())
                      if name in node.attributes}
        if node.op == "Clip":
            attributes, inputs = _limits(node, inputs), inputs[:1]
        signals = [value for value in inputs if isinstance(value, Signal)]
        if not signals:
            return self._computed(constants.applied(node.op, inputs, attributes))
        product = signals[0].product
        if any(signal.product is not product for signal in signals):
            raise ValueError("it joins two branches")
        if any(isinstance(value, Sizes) for value in inputs):
            raise ValueError("it computes with the number of samples")
        rows = [value.step if isinstance(value, Signal) else self._row(signals[0], value) for value in inputs]
        line = _line(node.op, rows)
        if line is not None:
            return self._straight(node, signals[0], *line)
        if node.op in ("Add", "Sub") and len(signals) == 2:
            first, second = (signal.step for signal in signals)
            return Signal(product, product.steps.sum(first, second, 1.0 if node.op == "Add" else -1.0))
        return Signal(product, product.steps.apply(node.op, rows, attributes))

    # --------------------------------------------------------------------------------------------------- the chain

    def _output(self) -> Signal:
        """Return the output that is a network's."""
        found: list[Signal] = []
        unread = "it has no outputs"
        cut: list[Signal] = []
        for port in self._model.outputs:
            try:
                value = self._value(port.name)
            except ValueError as error:
                value = Unread(f"output {port.name!r}: {error}")
            if isinstance(value, Signal) and value not in found:
                found.append(value)
            elif isinstance(value, Unread):
                unread = value.reason
                cut += [value.before] if value.before is not None else []
            elif not isinstance(value, Signal):
                unread = f"output {port.name!r} does not depend on the input"
        found = found or cut[:1]
        if not found:
            raise ValueError(unread)
        if len(found) > 1:
            raise ValueError(f"it has the outputs {[port.name for port in self._model.outputs][:10]}, which are more "
                             "than one network's")
        return found[0]

    def _chained(self, signal: Signal) -> tuple[list[Layer], np.dtype[Any]]:
        """Return the layers that lead to a signal."""
        signals = [signal]
        while signals[-1].product.source is not None:
            signals.append(signals[-1].product.source)
        start, *rest = signals[::-1]
        if not rest:
            raise ValueError("it has no dense layer")
        line = start.product.steps[start.step].line
        if line is None:
            raise ValueError(f"{start.product.steps[start.step].op} works on the inputs, before any layer")
        weights = [signal.product.weights for signal in rest]
        matrices = [W for W in weights if W is not None]
        if sum(W.nbytes for W in matrices) > REUSED * self._size:
            raise ValueError("its layers use the same weights over and over")
        dtype = np.dtype(np.float64 if any(W.dtype == np.float64 for W in matrices) else np.float32)
        found, before = [], line
        for signal, W in zip(rest, matrices, strict=True):
            match = signal.product.steps.recognised(signal.step)
            found.append(_layer(W, before, match))
            before = match.factor, match.offset
        if not (np.array_equal(before[0], ONE) and np.array_equal(before[1], ZERO)):
            found.append(_diagonal(len(found[-1].weights), *before))
        return found, dtype


def _layer(weights: Array, before: tuple[Array, Array], match: Found) -> Layer:
    """Return a layer with what scales its inputs, and the lines behind it, in its weights."""
    (c, s), (q, r) = before, match.line
    n_out, n_in = weights.shape
    biases = np.broadcast_to(r, n_out).astype(np.float64)
    if s.any():
        biases = biases + np.broadcast_to(q, n_out) * (weights.astype(np.float64) @ np.broadcast_to(s, n_in))
    if (c != 1).any():
        weights = weights * c
    if (q != 1).any():
        weights = np.broadcast_to(q, n_out)[:, None] * weights
    alphas = None if match.alphas is None else np.broadcast_to(match.alphas, n_out)
    return Layer(weights, biases if r.ndim or biases.any() else None, activations.get(match.name), alphas)


def _diagonal(n: int, factor: Array, offset: Array) -> Layer:
    """Return a layer that scales the outputs of the last one."""
    if n > MOST_DIAGONAL:
        raise ValueError(f"its {n} outputs are scaled behind their activation, which fastbp does for up to "
                         f"{MOST_DIAGONAL}")
    return Layer(np.diag(np.broadcast_to(factor, n)), np.broadcast_to(offset, n) if offset.any() else None,
                 activations.get("identity"))


def _attribute(node: Node, name: str) -> Any:
    """Return an attribute that changes what an operator computes."""
    kind, value = operators.ATTRIBUTES[name], node.attributes[name]
    if not isinstance(value, kind):
        raise ValueError(f"its attribute {name} is no {kind.__name__}")
    return value


def _number(node: Node, name: str, default: float) -> float:
    return float(_attribute(node, name)) if name in node.attributes else default


def _limits(node: Node, inputs: Sequence[Any]) -> dict[str, float]:
    """Return the limits of Clip, which were attributes before version 11."""
    found = {}
    for place, old, name in ((1, "min", "low"), (2, "max", "high")):
        value = inputs[place] if len(inputs) > place else node.attributes.get(old)
        if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fi":
            found[name] = float(value.reshape(()))
        elif isinstance(value, float):
            found[name] = value
        elif value is not None:
            raise ValueError("its limits are no constant numbers")
    return found


def _line(op: str, rows: Sequence[int | Array]) -> tuple[Array, Array] | None:
    """Return factor and offset of what an operator with a constant does, None where it is no line."""
    if op == "Neg":
        return -ONE, ZERO
    if len(rows) != 2:
        return None
    first, second = rows
    if not isinstance(second, int):
        return {"Add": (ONE, second), "Sub": (ONE, -second), "Mul": (second, ZERO), "Div": (1 / second, ZERO)}.get(op)
    if not isinstance(first, int):
        return {"Add": (ONE, first), "Sub": (-ONE, first), "Mul": (first, ZERO)}.get(op)
    return None


_ML = ("ZipMap", "Scaler")
"""Operators for classical models."""

_FLATTENING = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Shape")
"""Operators that an input of more dimensions may go through."""

_TAIL = ("ArrayFeatureExtractor", "Cast", "Gather", "Identity", "Reshape", "Squeeze", "ZipMap")
"""Operators that a classifier ends with behind ArgMax."""

_HANDLERS: dict[str, Callable[[_Walk, Node, Sequence[Any]], Known]] = {
    "ArgMax": _Walk._picked, "BatchNormalization": _Walk._normalized, "Cast": _Walk._same,
    "Concat": _Walk._concatenated, "Constant": _Walk._constant, "Dropout": _Walk._same, "Flatten": _Walk._reshaped,
    "Gather": _Walk._moved, "Gemm": _Walk._product, "Identity": _Walk._same, "MatMul": _Walk._product,
    "Reshape": _Walk._reshaped, "Scaler": _Walk._scaled, "Shape": _Walk._shape, "Softmax": _Walk._softmax,
    "Squeeze": _Walk._reshaped, "Transpose": _Walk._moved, "Unsqueeze": _Walk._reshaped, "ZipMap": _Walk._same,
}
"""What is done with each operator that is not in `operators.FUNCTIONS`."""

"""Constants of a graph that others are made of: moved, cut and computed with, never more than there were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import messages
from .messages import Node
from .operators import FUNCTIONS
from .values import Sizes

Array = npt.NDArray[Any]

DTYPES = {messages.FLOAT: np.float32, messages.DOUBLE: np.float64, messages.INT64: np.int64, messages.INT32: np.int32}


def shaped(node: Node, inputs: Sequence[Any]) -> Array | Sizes:
    """Return a constant that was moved, given another shape or dtype.

    Raises
    ------
    ValueError
        If this is not possible, or not needed for a network.
    """
    given = inputs[0]
    if any(isinstance(value, Sizes) for value in inputs):
        return _of_sizes(node, inputs)
    if not all(isinstance(value, np.ndarray) for value in inputs):
        raise ValueError("it is not of constants")
    if node.op in ("Identity", "Dropout"):
        return given  # type: ignore[no-any-return]
    if node.op == "Cast":
        return _cast(given, node.attributes.get("to"))
    if node.op == "Transpose":
        order = node.attributes.get("perm", list(range(given.ndim))[::-1])
        if not isinstance(order, list) or not all(isinstance(axis, int) for axis in order) or \
                sorted(order) != list(range(given.ndim)):
            raise ValueError("its order of axes is none")
        return given.transpose(order)  # type: ignore[no-any-return]
    if node.op == "Reshape" and len(inputs) == 2:
        return _reshaped(given, inputs[1])
    if node.op in ("Squeeze", "Unsqueeze"):
        return _squeezed(node, given, inputs[1] if len(inputs) > 1 else None)
    raise ValueError("fastbp does not compute this of constants")


def _cast(given: Array, code: Any) -> Array:
    if not isinstance(code, int) or code not in DTYPES:
        raise ValueError("it makes other numbers than floats and integers")
    if given.dtype.kind == "f" and code in (messages.INT64, messages.INT32) and not \
            (np.abs(given) < 2**31).all():  # NaN too
        raise ValueError("it makes integers of numbers that are too large")
    return given.astype(DTYPES[code])


def _reshaped(given: Array, sizes: Array) -> Array:
    if sizes.dtype.kind != "i" or sizes.ndim != 1 or sizes.size > messages.MOST_DIMENSIONS:
        raise ValueError("its new shape is no list of sizes")
    wanted = [given.shape[i] if n == 0 and i < given.ndim else int(n) for i, n in enumerate(sizes.tolist())]
    known = math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) == 1 and known > 0:
        wanted[wanted.index(-1)] = given.size // known
    if min(wanted, default=0) < 0 or math.prod(wanted) != given.size:
        raise ValueError(f"its new shape {wanted} does not hold {given.size} numbers")
    return given.reshape(wanted)


def _squeezed(node: Node, given: Array, axes: Array | None) -> Array:
    """Return a constant with an axis less or more, of size 1."""
    listed = node.attributes.get("axes") if axes is None else axes.reshape(-1).tolist()
    if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], int):
        raise ValueError("its axes are not one constant")
    axis, more = listed[0], node.op == "Unsqueeze"
    if not -given.ndim - more <= axis < given.ndim + more or given.ndim + more > messages.MOST_DIMENSIONS:
        raise ValueError(f"it has no axis {axis}")
    if more:
        return np.expand_dims(given, axis)
    if given.shape[axis] != 1:
        raise ValueError(f"its axis {axis} has not the size 1")
    return given.squeeze(axis)


def known_sizes(value: Any) -> list[int]:
    """Return sizes, as far as the file tells.

    Raises
    ------
    ValueError
        If there are none in it.
    """
    if isinstance(value, Sizes):
        return list(value.sizes)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or value.size > messages.MOST_DIMENSIONS:
        raise ValueError("it takes sizes that are not known")
    found: list[int] = value.reshape(-1).tolist()
    return found


def _of_sizes(node: Node, inputs: Sequence[Any]) -> Sizes:
    """Return sizes that were picked out, or put behind each other."""
    parts = [tuple(known_sizes(value)) for value in inputs if value is not None]
    if node.op == "Gather" and len(parts) == 2 and len(parts[1]) == 1 and isinstance(inputs[0], Sizes) and \
            parts[1][0] in range(-len(parts[0]), len(parts[0])):
        return Sizes((parts[0][parts[1][0]],))
    if node.op == "Concat" and sum(map(len, parts)) <= messages.MOST_DIMENSIONS:
        return Sizes(tuple(int(n) for part in parts for n in part))
    if node.op in ("Identity", "Cast", "Unsqueeze", "Squeeze"):
        return Sizes(parts[0])
    raise ValueError("it computes with the number of samples")


def applied(op: str, inputs: Sequence[Any], attributes: dict[str, Any]) -> Array:
    """Return what an operator that goes over single numbers makes of constants.

    Raises
    ------
    ValueError
        If the result would be larger than each of them, or they are no numbers.
    """
    if not all(isinstance(value, np.ndarray) and value.dtype.kind in "fiub" for value in inputs):
        raise ValueError("it is not of numbers")
    shape = np.broadcast_shapes(*(value.shape for value in inputs)) if _fit(inputs) else None
    if shape is None or math.prod(shape) > max(value.size for value in inputs):
        raise ValueError("its constants do not fit each other")
    found = np.asarray(FUNCTIONS[op](*(value.astype(np.float64) for value in inputs), **attributes))
    kinds = {value.dtype for value in inputs}
    return found.astype(kinds.pop()) if len(kinds) == 1 and found.dtype.kind == "f" and \
        inputs[0].dtype.kind == "f" else found


def _fit(inputs: Sequence[Array]) -> bool:
    """Return whether shapes can be broadcast."""
    ranks = max(value.ndim for value in inputs)
    shapes = [(1,) * (ranks - value.ndim) + value.shape for value in inputs]
    return all(len({size for size in sizes if size != 1}) <= 1 for sizes in zip(*shapes, strict=True))

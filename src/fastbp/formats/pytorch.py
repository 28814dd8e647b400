"""PyTorch: the layers of a state_dict, also from .pt and safetensors files, and the state_dict of a network."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize

from .. import activations, costs
from ..activations import Activation
from ..core.architecture import Functions, named_activations
from ..core.conversion import numbers
from ..core.model import Model
from ..costs import Cost
from ..util import disk, optional
from . import archive, torch_pickle
from .archive import Archive
from .chain import Layer, described, plain_layers

Array = npt.NDArray[Any]

ZIP, LEGACY = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of `torch.save` begin: since version 1.6, and before."""

ANEW = "save it anew: torch.save(model.state_dict(), path)"

SAFETENSORS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
               "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}

FLOATS = "float64", "float32", "float16", "bfloat16"

MOST_SHARED = 64
"""How many times the bytes of a file all layers may take: tensors that share a storage would else fill the memory."""

HINTS = {
    "running_mean": "fold BatchNorm first: torch.nn.utils.fusion.fuse_linear_bn_eval(linear, norm)",
    "weight_g": "make weights of weight_norm first: torch.nn.utils.remove_weight_norm(linear)",
    "weight_orig": "make weights of pruned ones first: torch.nn.utils.prune.remove(linear, 'weight')",
    "original0": "make weights of parametrized ones first: "
                 "torch.nn.utils.parametrize.remove_parametrizations(linear, 'weight')",
}
"""What to do about layers that a state_dict does not tell all of, by the end of a name that gives them away."""


@dataclass(frozen=True)
class Tensor:
    """A tensor that is read when it is asked for."""

    dtype: str
    """As PyTorch calls it."""
    shape: tuple[int, ...]
    array: Callable[[], Array]
    """Its numbers; half precision widened to float32."""


@np.errstate(all="ignore")  # NaN and infinity are told of when they are found in the network
def layers(source: Any, activation: Functions | None, output: str | Activation | None, cost: str | Cost | None,
           names: Sequence[str] | None) -> tuple[Layer, ...]:
    """Return the layers of a state_dict or of a file that holds one; see `fastbp.from_torch`."""
    if names is not None and (not isinstance(names, (list, tuple)) or not names
                              or not all(isinstance(name, str) for name in names)):
        raise TypeError(f"layers is {names!r:.200}, expected a list of names")
    tensors, ordered, size = _tensors(source)
    tensors = {name if "." in name else f".{name}": tensor for name, tensor in tensors.items()}  # of a Linear alone
    listed = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in list(tensors.items())[:40]) or "nothing"
    try:
        found = _all_linear(tensors, ordered) if names is None else [(_stem(name), None) for name in names]
        _check(tensors, [name for name, _ in found])
    except ValueError as error:
        raise ValueError(f"{error}. There are: {listed}") from None
    shapes = [tensors[f"{name}.weight"].shape for name, _ in found]
    needed = sum(8 * math.prod(shape) for shape in shapes)
    if size is not None and needed > MOST_SHARED * max(size, 4096):
        raise ValueError(f"{source} has {size} bytes, and layers that would take {needed}: its tensors share their "
                         "numbers")
    sizes = shapes[0][1], *(shape[0] for shape in shapes)
    if activation is None and len(sizes) > 2:
        raise ValueError("a state_dict does not say which activations lie between its layers: give activation='relu', "
                         "or whichever it is")
    rows = named_activations(sizes, () if activation is None else activation, output,
                             costs.get("squared_error" if cost is None else cost))
    return tuple(_layer(tensors, name, prelu, row) for (name, prelu), row in zip(found, rows, strict=True))


def _layer(tensors: dict[str, Tensor], name: str, prelu: str | None, row: Activation) -> Layer:
    W = tensors[f"{name}.weight"].array()
    b = tensors[f"{name}.bias"].array() if f"{name}.bias" in tensors else None
    if prelu is None:
        if row.phi is None:
            return Layer(W, b, row)
        return Layer(W, b, activations.get(row.phi), np.full(len(W), row.alpha))
    if row.phi != "relu":
        raise ValueError(f"{prelu} has the slopes of nn.PReLU behind {name}, expected activation="
                         "fastbp.parametric('relu') there")
    return Layer(W, b, activations.get("relu"), np.broadcast_to(1 - tensors[prelu].array(), (len(W),)))


# ------------------------------------------------------------------------------------------------ which are layers

def _stem(name: str) -> str:
    """Return the name of a module, also for that of its weights; "" of a layer that is no part of one."""
    return name.removesuffix(".weight")


def _all_linear(tensors: dict[str, Tensor], ordered: bool) -> list[tuple[str, str | None]]:
    """Return the names of the linear layers in their order, each with that of the slopes of an nn.PReLU behind it.

    Every tensor must belong to one. A PReLU is a weight without a bias, of one number or one for each neuron.
    """
    linear = {_stem(name) for name, tensor in tensors.items() if name.endswith(".weight") and len(tensor.shape) == 2}
    own = {f"{stem}.{part}" for stem in linear for part in ("weight", "bias")}
    others = [name for name in tensors if name not in own]
    for end, hint in HINTS.items():
        if any(name.endswith(end) for name in others):
            raise ValueError(f"{', '.join(others[:8])} belong to no linear layer: {hint}")
    if not ordered:
        tensors = _numbered(tensors)
    found: dict[str, str | None] = {}
    last, others = "", []
    for name, tensor in tensors.items():
        stem = _stem(name)
        if stem in linear:
            found[stem], last = None, stem
        elif (last and found[last] is None and stem != name and f"{stem}.bias" not in tensors
              and tensor.shape in ((1,), tensors[f"{last}.weight"].shape[:1])):
            found[last] = name
        elif name not in own:
            others.append(name)
    if others:
        raise ValueError(f"{', '.join(others[:8])} belong to no linear layer: the network would lack them; where that "
                         "is meant, name those to read, layers=['0', '2'] for instance")
    if not found:
        raise ValueError("it has no linear layers, matrices whose names end with .weight")
    return list(found.items())


def _check(tensors: dict[str, Tensor], names: list[str]) -> None:
    """Raise unless these are layers that follow each other."""
    for name in names:
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if weight is None or len(weight.shape) != 2 or 0 in weight.shape:
            raise ValueError(f"layer {name!r} has no matrix {name}.weight")
        if weight.dtype not in FLOATS:
            raise ValueError(f"{name}.weight is of {weight.dtype}, expected one of {', '.join(FLOATS)}")
        if bias is not None and (bias.shape != weight.shape[:1] or bias.dtype not in FLOATS):
            raise ValueError(f"{name}.bias has the shape {list(bias.shape)} and is of {bias.dtype}, expected "
                             f"{list(weight.shape[:1])} of one of {', '.join(FLOATS)}")
    for before, after in itertools.pairwise(names):
        n, m = tensors[f"{before}.weight"].shape[0], tensors[f"{after}.weight"].shape[1]
        if n != m:
            raise ValueError(f"{before} has {n} outputs and {after} {m} inputs, so these do not follow each other: "
                             "name the layers in their order, layers=['fc1', 'fc2'] for instance")


def _numbered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in the order of the numbers in their names, of which safetensors keeps none."""
    stems = {name: name.rpartition(".")[0] for name in tensors}
    if len({re.sub(r"\d+", "0", stem) for stem in stems.values()}) > 1:
        raise ValueError("a safetensors file does not say in which order its layers follow each other: name them, "
                         "layers=['fc1', 'fc2', 'out'] for instance")
    return dict(sorted(tensors.items(), key=lambda item: [int(n) for n in re.findall(r"\d+", stems[item[0]])]))


# -------------------------------------------------------------------------------------------------- where they are

def _tensors(source: Any) -> tuple[dict[str, Tensor], bool, int | None]:
    """Return the tensors of a state_dict or a file, whether they are in their order, and the bytes of the file."""
    if isinstance(source, Mapping):
        return _of_mapping(source), True, None
    if hasattr(source, "state_dict"):
        raise TypeError(f"a {type(source).__name__} is given, expected what its state_dict() returns, or a path")
    if not isinstance(source, (str, PathLike)):
        raise TypeError(f"a {type(source).__name__} is given, expected a state_dict or the path of a file")
    path = Path(source)
    start = disk.read(path, 512)
    if start.startswith(ZIP):
        with archive.opened(path) as content:
            found = {name: _of_archive(view, content) for name, view in _state(content).items()}
        return found, True, content.size
    if start.startswith(LEGACY) or start[257:262] == b"ustar":
        raise ValueError(f"{path} has the format of PyTorch before version 1.6, which is not read: load it there, and "
                         f"{ANEW}")
    if start[:1] == b"\x80" and start[8:9] != b"{":  # as safetensors has it behind a length
        raise ValueError(f"{path} is a pickle, of which nothing is read, since that runs its code: {ANEW}")
    whole = disk.read(path)
    return _of_safetensors(whole, path), False, len(whole)


def _of_mapping(source: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of a state_dict; it is PyTorch's that has their methods."""
    found = {}
    for name, value in source.items():
        if not isinstance(name, str):
            raise TypeError(f"the state_dict has the name {name!r}, expected texts")
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        array = numbers(name, value)
        wide = array.astype("f4") if array.dtype == np.float16 else array
        found[name] = Tensor(array.dtype.name, array.shape, lambda wide=wide: wide)  # type: ignore[misc]
    return found


def _of_safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        parts: Any = deserialize(content)  # type: ignore[no-untyped-call]
    except (SafetensorError, UnicodeError) as error:
        raise ValueError(f"{path} is neither a file of torch.save nor a whole safetensors file: {error}") from error
    found = {}
    for name, part in parts:
        dtype = SAFETENSORS.get(part["dtype"], part["dtype"])
        found[name] = Tensor(dtype, tuple(part["shape"]), lambda part=part, dtype=dtype:  # type: ignore[misc]
                             _numbers(part["data"], dtype).reshape(part["shape"]))
    return found


def _numbers(content: bytes, dtype: str, order: Literal["<", ">"] = "<") -> Array:
    """Return the numbers in a stretch of bytes; half precision widened to float32, which holds each of them."""
    if dtype == "bfloat16":  # the upper half of a float32
        upper: Array = np.frombuffer(content, f"{order}u2").astype("u4")
        return np.left_shift(upper, 16).view("f4")
    numbers: Array = np.frombuffer(content, np.dtype(dtype).newbyteorder(order))
    return numbers.astype("f4" if dtype == "float16" else dtype)


# ------------------------------------------------------------------------------------------------------- .pt files

def _state(content: Archive) -> dict[str, torch_pickle.View]:
    """Return the state_dict in a file of `torch.save`, also where it is one of the values of a checkpoint."""
    path, root = content.path, _root(content)
    if f"{root}/constants.pkl" in content.names or any(name.startswith(f"{root}/code/") for name in content.names):
        raise ValueError(f"{path} is a TorchScript program, which is not read: load it with torch.jit.load, and {ANEW}")
    try:
        found = torch_pickle.Machine(content.read(f"{root}/data.pkl")).run()
    except ValueError as error:
        raise ValueError(f"{path} is not read: {error}") from error
    if type(found) is not dict:
        raise ValueError(f"{path} holds a {type(found).__name__}, expected a state_dict: {ANEW}")
    if not _is_state(found):
        inside = [key for key, value in found.items() if _is_state(value)]
        if len(inside) != 1:
            raise ValueError(f"{path} holds {', '.join(map(str, inside)) or 'no state_dict'}, expected one state_dict: "
                             f"{ANEW}")
        found = found[inside[0]]
    return {str(name): value for name, value in found.items() if type(value) is torch_pickle.View}


def _root(content: Archive) -> str:
    """Return the folder that all members are in."""
    return next(iter(content.names), "").partition("/")[0]


def _is_state(value: Any) -> bool:
    return type(value) is dict and any(type(part) is torch_pickle.View for part in value.values())


def _of_archive(view: torch_pickle.View, content: Archive) -> Tensor:
    """Return a tensor of a file; offset and strides must stay within the bytes that there are."""
    path, root = content.path, _root(content)
    name = f"{root}/data/{view.storage.key}"
    if view.dtype not in STORED:
        return Tensor(view.dtype, view.shape, lambda: np.empty(0))
    data = content.read(name)
    numbers = len(data) // STORED[view.dtype]
    count = math.prod(view.shape)
    last = view.offset + sum((n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True))
    if count > numbers or (count and last >= numbers):
        raise ValueError(f"{path}: a tensor of shape {list(view.shape)} reaches beyond the {numbers} numbers of {name}")
    written = content.read(f"{root}/byteorder") if f"{root}/byteorder" in content.names else b"little"
    if written not in (b"little", b"big"):
        raise ValueError(f"{path} has an unknown order of bytes")
    order: Literal["<", ">"] = "<" if written == b"little" else ">"

    def array() -> Array:
        flat = _numbers(data, view.dtype, order)
        strides = [stride * flat.itemsize for stride in view.strides]
        return np.lib.stride_tricks.as_strided(flat[view.offset :], view.shape, strides).copy()

    return Tensor(view.dtype, view.shape, array)


STORED = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
          "uint8": 1, "bool": 1}
"""Bytes of a number."""


# --------------------------------------------------------------------------------------------------------- writing

def state_dict(model: Model) -> dict[str, Any]:
    """Return the state_dict of an ``nn.Sequential``; see `Network.to_torch`."""
    torch: Any = optional.require("torch", "torch")
    found = {}
    for i, layer in enumerate(plain_layers(described(model), "a state_dict")):
        found[f"{2 * i}.weight"] = torch.from_numpy(layer.weights)
        if layer.biases is not None:
            found[f"{2 * i}.bias"] = torch.from_numpy(layer.biases)
        if layer.alphas is not None:
            if layer.activation.name != "relu":
                raise ValueError(f"parametric({layer.activation.name!r}) has no counterpart in PyTorch: only "
                                 "parametric('relu') has, nn.PReLU")
            found[f"{2 * i + 1}.weight"] = torch.from_numpy(1 - layer.alphas)
    return found

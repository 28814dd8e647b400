"""Keras: .keras archives and the older .h5 files, their JSON and their numbers read, none of their classes made."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import activations
from ..util import disk
from . import affine, archive, hdf5
from .chain import Layer

Array = npt.NDArray[Any]
Config = dict[str, Any]

FUNCTIONS = {
    "linear": "identity", "sigmoid": "logistic", "swish": "silu", "exponential": "exp",
    **{name: name for name in ("relu", "tanh", "softmax", "elu", "selu", "softplus", "softsign", "silu", "gelu", "mish",
                               "hard_tanh", "hard_sigmoid")},
}
"""Names of Keras that mean the same here; leaky_relu, which has a slope, and older hard_sigmoid apart."""

SLOPE = 0.2
"""Of leaky_relu as an activation; as a layer it has 0.3 if it does not say."""

SILENT = frozenset({"Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Flatten"})
"""Layers that change nothing in a prediction: rows of X are flat."""

FOLDERS = {"Dense": "dense", "BatchNormalization": "batch_normalization", "Normalization": "normalization",
           "PReLU": "p_re_lu"}
"""What Keras 3 calls the variables of a class; the second layer of it has _1 behind it."""

EXPECTED: dict[str, Config] = {"ReLU": {"max_value": None, "threshold": 0}, "ELU": {"alpha": 1},
                               "Softmax": {"axis": -1}}
"""Settings of layers of activations that must be as they are by default."""

EPSILON = 1e-7
"""Below which Keras' Normalization takes no standard deviation."""

MOST_SHARED = 64
"""How many times the bytes of a file all layers may take, if they share variables."""


@dataclass(frozen=True)
class Model:
    """What is in a file."""

    layers: list[Config]
    """Class name, config and name of each layer, in the order of a prediction."""
    version: int
    """Of Keras, its first number."""
    variable: Callable[[int, str, int], Array]
    """Variable of a layer, which the file may name, by its name and by its place among those of the layer."""


@np.errstate(all="ignore")  # NaN and infinity are told of when they are found in the network
def layers(path: str | PathLike[str]) -> tuple[Layer, ...]:
    """Return the layers of a model's file; see `fastbp.from_keras`."""
    place = Path(path)
    start = disk.read(place, 8)
    try:
        if start.startswith(b"PK"):
            with archive.opened(place) as content:
                return _made(_of_archive(content), content.size)
        if start == hdf5.SIGNATURE:
            whole = disk.read(place)
            return _made(_of_hdf5(hdf5.File(whole)), len(whole))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, UnicodeError,
            struct.error) as error:
        raise ValueError(f"{place} is damaged: {type(error).__name__}: {error}") from error
    except ValueError as error:
        if str(place) in str(error):
            raise
        raise ValueError(f"{place} is not read: {error}") from error
    raise ValueError(f"{place} is neither a .keras archive nor an .h5 file, expected a model that Keras has saved")


# ------------------------------------------------------------------------------------------------------------ files

def _of_archive(content: archive.Archive) -> Model:
    """Return what is in a .keras file."""
    if "model.weights.h5" not in content.names:
        other = next((name for name in content.names if "weights" in name), "no weights")
        raise ValueError(f"it has {other}, expected model.weights.h5: save the model by model.save('model.keras')")
    metadata, config = (json.loads(content.read(name)) for name in ("metadata.json", "config.json"))
    weights = hdf5.File(content.read("model.weights.h5"))
    top = "layers" if weights.has("layers") else "_layer_checkpoint_dependencies"  # which was Keras 2.13
    chain = _chain(config)
    counts: dict[str, int] = {}
    folders = {}
    for i, layer in _numbered(config, chain):
        folder = FOLDERS.get(layer["class_name"])
        if folder is not None:
            count = counts[folder] = counts.get(folder, -1) + 1
            folders[i] = f"{top}/{folder}_{count}" if count else f"{top}/{folder}"

    def variable(i: int, name: str, number: int) -> Array:
        return weights.array(f"{folders[i]}/vars/{number}")

    return Model(chain, _version(metadata["keras_version"]), variable)


def _numbered(config: Config, chain: list[Config]) -> list[tuple[int, Config]]:
    """Return the layers in the order in which Keras numbers their variables, each with its place in the chain."""
    places = {id(layer): i for i, layer in enumerate(chain)}
    return [(places.get(id(layer), -1), layer) for layer in _all_layers(config)]


def _of_hdf5(content: hdf5.File) -> Model:
    """Return what is in an .h5 file of a whole model."""
    config = content.attribute("", "model_config")
    if not isinstance(config, str):
        raise ValueError("it holds weights alone, and not what the layers are: save the whole model, "
                         "model.save('model.keras')")
    version = content.attribute("", "keras_version")
    if version is None and content.has("model_weights"):
        version = content.attribute("model_weights", "keras_version")
    chain = _chain(json.loads(config))

    def variable(i: int, name: str, number: int) -> Array:
        group = f"model_weights/{chain[i]['config']['name']}"
        names = content.attribute(group, "weight_names")
        if not isinstance(names, list):
            raise ValueError(f"{group} has no weight_names")
        found = [path for path in names if path.rpartition("/")[2].partition(":")[0] == name]
        if len(found) != 1:
            raise ValueError(f"{group} has {len(found)} variables {name}, expected one")
        return content.array(f"{group}/{found[0]}")

    return Model(chain, _version(version), variable)


def _version(text: Any) -> int:
    """Return the first number of a version."""
    if not isinstance(text, str) or not text.partition(".")[0].isdecimal() or len(text) > 40:
        raise ValueError("it does not say which version of Keras wrote it")
    return int(text.partition(".")[0])


# -------------------------------------------------------------------------------------------------- which layers

def _all_layers(config: Config) -> list[Config]:
    """Return all layers in the order of the file; before Keras 2.2.3 those of a Sequential were all of its config."""
    inside = config["config"]
    return inside if isinstance(inside, list) else inside["layers"]


def _chain(config: Config) -> list[Config]:
    """Return the layers behind the input, one after another."""
    kind, all_layers = config["class_name"], _all_layers(config)
    if not isinstance(all_layers, list) or not all(isinstance(layer, dict) for layer in all_layers):
        raise ValueError("its layers are in no list")
    if kind == "Sequential":
        return [layer for layer in all_layers if layer["class_name"] != "InputLayer"]
    if kind not in ("Functional", "Model"):
        raise ValueError(f"the model is of class {kind!r:.60}, expected Sequential or Functional")
    following: dict[str, Config] = {}
    start = ""
    for layer in all_layers:
        name = layer.get("name", layer["config"]["name"])
        sources = _sources(layer.get("inbound_nodes", []))
        if layer["class_name"] == "InputLayer" and not sources:
            if start:
                raise ValueError("it has several inputs: only chains of layers are read")
            start = str(name)
        elif len(sources) != 1 or sources[0] in following:
            raise ValueError(f"layer {name!r:.60} and those that it reads, {', '.join(sources[:8])}, are no chain: "
                             "each layer must read the one before")
        else:
            following[sources[0]] = layer
    found: list[Config] = []
    while start in following:
        layer = following.pop(start)
        start = str(layer.get("name", layer["config"]["name"]))
        found.append(layer)
    if following:
        raise ValueError("its layers are no chain from the input on")
    if (ends := _sources(config["config"]["output_layers"])) != [start]:
        raise ValueError(f"its outputs are those of {', '.join(ends[:8])}, expected the last layer's alone")
    return found


def _sources(nodes: Any) -> list[str]:
    """Return the names of the layers that a layer reads: in Keras 3 in a tensor's history, before in a list."""
    found: list[str] = []
    rest = [nodes]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            history = value.get("keras_history")
            if isinstance(history, list) and history:
                found.append(str(history[0]))
            else:
                rest += value.values()
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int:
                found.append(value[0])
            else:
                rest += value
    return found


# --------------------------------------------------------------------------------------------------- what they compute

def _made(model: Model, size: int) -> tuple[Layer, ...]:
    """Return the layers here, what is affine between them folded into them."""
    made: tuple[Layer, ...] = ()
    waiting: tuple[Array, Array] | None = None
    """An affine map behind the last layer that the next one takes in."""
    taken, real = 0, np.dtype(np.float32)
    for i, layer in enumerate(model.layers):
        kind, config = layer["class_name"], layer["config"]
        name = str(config.get("name", kind))[:80]
        n_in = len(made[-1].weights) if made else None
        if kind == "Dense":
            W, b = _dense(model, i, config, name, n_in)
            taken, real = taken + 8 * W.size, max(real, W.dtype)
            if taken > MOST_SHARED * size:
                raise ValueError("its layers share their variables, and together are too large")
            new: tuple[Layer, ...] = (Layer(W, b, activations.get("identity")),)
            if waiting is not None:
                gain, shift = (np.broadcast_to(part, W.shape[1:]) for part in waiting)
                new, waiting = affine.before(new, gain, shift), None
            made += (_activated(new[0], config["activation"], config, model.version, name),)
        elif kind in ("BatchNormalization", "Normalization", "Rescaling"):
            gain, shift = _map(model, i, kind, config, name, n_in)
            if made and waiting is None and made[-1].activation.name == "identity":
                made = affine.after(made, gain, shift)
            else:
                waiting = (gain, shift) if waiting is None else (gain * waiting[0], gain * waiting[1] + shift)
        elif kind in ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "PReLU"):
            if not made or waiting is not None or made[-1].activation.name != "identity":
                raise ValueError(f"layer {name} of class {kind} does not come right behind a linear one")
            last = made[-1]
            if kind == "PReLU":
                slopes = _checked(model.variable(i, "alpha", 0), (len(last.weights),), name)
                made = *made[:-1], _leaky(last, slopes)
            else:
                made = *made[:-1], _activated(last, _named(kind, config), config, model.version, name)
        elif kind not in SILENT:
            raise ValueError(f"layer {name} is of class {kind!r:.60}, which is not read: expected Dense, activations, "
                             "BatchNormalization, Normalization, Rescaling, Dropout, Flatten")
    if not made:
        raise ValueError("it has no Dense layer")
    made = made if waiting is None else affine.after(made, *waiting)
    return tuple(_narrowed(layer, real) for layer in made)


def _narrowed(layer: Layer, real: np.dtype[Any]) -> Layer:
    """Return a layer in the dtype of the kernels, whatever was folded into it."""
    b, alphas = (None if part is None else part.astype(real) for part in (layer.biases, layer.alphas))
    return replace(layer, weights=layer.weights.astype(real), biases=b, alphas=alphas)


def _dense(model: Model, i: int, config: Config, name: str, n_in: int | None) -> tuple[Array, Array | None]:
    """Return W and b of a layer."""
    if config.get("lora_rank") or config.get("quantization_config") or config.get("quantization_mode"):
        raise ValueError(f"layer {name} is quantised or has LoRA, which is not read")
    kernel = model.variable(i, "kernel", 0)
    units = config["units"]
    if kernel.ndim != 2 or type(units) is not int or kernel.shape[1] != units or 0 in kernel.shape:
        raise ValueError(f"the kernel of layer {name} has the shape {kernel.shape}, expected (n, {units!r:.40})")
    kernel = _checked(kernel, (n_in or kernel.shape[0], units), name)
    return kernel.T, _checked(model.variable(i, "bias", 1), (units,), name) if config.get("use_bias", True) else None


def _checked(found: Array, shape: tuple[int, ...], name: str) -> Array:
    """Return a variable; half precision widened."""
    if found.shape != shape or found.dtype.kind != "f":
        raise ValueError(f"a variable of layer {name} is {found.dtype} of shape {found.shape}, expected floats of "
                         f"{shape}")
    return found.astype(np.float64 if found.dtype.itemsize == 8 else np.float32)


def _map(model: Model, i: int, kind: str, config: Config, name: str, n: int | None) -> tuple[Array, Array]:
    """Return gain and shift of a layer that is affine in each number by itself."""
    if kind == "Rescaling":
        return np.full(n or 1, float(config["scale"])), np.full(n or 1, float(config["offset"]))
    if config.get("axis", -1) not in (-1, 1, [-1], [1]):
        raise ValueError(f"layer {name} normalises axis {config['axis']!r:.40}, expected the last one")
    if kind == "Normalization":
        if config.get("invert"):
            raise ValueError(f"layer {name} inverts a normalisation, which is not read")
        if config.get("mean") is not None:
            mean, variance = (np.array(config[part], np.float64).ravel() for part in ("mean", "variance"))
        else:
            mean, variance = (model.variable(i, part, j).astype(np.float64).ravel()
                              for j, part in enumerate(("mean", "variance")))
        gain = 1 / np.maximum(np.sqrt(variance), EPSILON)
        shift = -mean * gain
    else:
        names = [part for part, present in (("gamma", config["scale"]), ("beta", config["center"]),
                                            ("moving_mean", True), ("moving_variance", True)) if present]
        found = {part: model.variable(i, part, j).astype(np.float64) for j, part in enumerate(names)}
        gain = found.get("gamma", 1.0) / np.sqrt(found["moving_variance"] + float(config["epsilon"]))
        shift = found.get("beta", 0.0) - found["moving_mean"] * gain
    for part in (gain, shift):
        if part.ndim != 1 or part.size not in (1, n or part.size) or part.size == 0:
            raise ValueError(f"layer {name} normalises {part.shape} numbers, expected ({n},)")
    size = n or gain.size
    return np.broadcast_to(gain, size), np.broadcast_to(shift, size)


def _named(kind: str, config: Config) -> str | Any:
    """Return the activation of a layer that is nothing else."""
    for setting, value in EXPECTED.get(kind, {}).items():
        if config.get(setting, value) != value:
            raise ValueError(f"a layer {kind} with {setting}={config[setting]!r:.40} has no counterpart here, expected "
                             f"{value}")
    if kind == "ReLU" and config.get("negative_slope"):
        return "leaky_relu"
    return config["activation"] if kind == "Activation" else {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu",
                                                              "Softmax": "softmax"}[kind]


def _activated(layer: Layer, function: Any, config: Config, version: int, name: str) -> Layer:
    """Return a linear layer with an activation of Keras'."""
    if isinstance(function, dict) and function.get("class_name") == "function":
        function = function.get("config")
    if function == "leaky_relu":
        slope = config.get("negative_slope", config.get("alpha", SLOPE if "activation" in config else 0.3))
        if type(slope) not in (int, float):
            raise ValueError(f"layer {name} has the slope {slope!r:.40}, expected a number")
        return replace(layer, activation=activations.get("leaky_relu")) if slope == 0.01 else _leaky(
            layer, np.full(len(layer.weights), slope))
    if not isinstance(function, str) or function not in FUNCTIONS:
        raise ValueError(f"layer {name} has the activation {function!r:.80}, which has no counterpart here: expected "
                         f"one of {', '.join(sorted([*FUNCTIONS, 'leaky_relu']))}")
    row = activations.get(FUNCTIONS[function])
    if function == "hard_sigmoid" and version < 3:  # x/5 + ½ then, x/6 + ½ here
        return Layer(1.2 * layer.weights, None if layer.biases is None else 1.2 * layer.biases, row)
    return replace(layer, activation=row)


def _leaky(layer: Layer, slopes: Array) -> Layer:
    """Return a layer whose neurons have the slopes a below 0: x + (1 − a)(relu(x) − x)."""
    return replace(layer, activation=activations.get("relu"), alphas=1 - slopes)



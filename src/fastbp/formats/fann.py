"""FANN: layered networks in .net text files, both ways, and its files of training data.

The steepness s of a neuron is folded into its weights. What FANN's float builds do besides, limiting s·x to ±150/s
before every activation, has no counterpart here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import arrays
from ..core.model import Model
from ..util import disk
from ..util.settings import is_number
from . import affine
from .affine import Function
from .chain import Layer, converted, described, plain_layers

Array = npt.NDArray[Any]


FUNCTIONS = (
    ("LINEAR", Function("identity")),
    ("THRESHOLD", None),
    ("THRESHOLD_SYMMETRIC", None),
    ("SIGMOID", Function("logistic", 2)),
    ("SIGMOID_STEPWISE", None),
    ("SIGMOID_SYMMETRIC", Function("tanh")),
    ("SIGMOID_SYMMETRIC_STEPWISE", None),
    ("GAUSSIAN", Function("gaussian")),
    ("GAUSSIAN_SYMMETRIC", Function("gaussian", factor=2, offset=-1)),
    ("GAUSSIAN_STEPWISE", None),
    ("ELLIOT", Function("softsign", factor=0.5, offset=0.5)),
    ("ELLIOT_SYMMETRIC", Function("softsign")),
    ("LINEAR_PIECE", Function("hard_tanh", 2, -1, 0.5, 0.5)),
    ("LINEAR_PIECE_SYMMETRIC", Function("hard_tanh")),
    ("SIN_SYMMETRIC", Function("sin")),
    ("COS_SYMMETRIC", Function("sin", shift=math.pi / 2)),
    ("SIN", Function("sin", factor=0.5, offset=0.5)),
    ("COS", Function("sin", 1, math.pi / 2, 0.5, 0.5)),
    ("LINEAR_PIECE_RECT", Function("relu")),
    ("LINEAR_PIECE_RECT_LEAKY", Function("leaky_relu")),
)
"""Name and function of s·x by the numbers that files have for them; None where there is no counterpart."""

SMOOTH = {4: 3, 6: 5}
"""Functions made of straight pieces, and those that they approximate."""

WRITTEN = {"identity": 0, "logistic": 3, "tanh": 5, "gaussian": 7, "softsign": 11, "hard_tanh": 13, "sin": 14}
NEWER = {"relu": 18, "leaky_relu": 19}
"""Which releases up to 2.2.0 take for whatever they computed last."""

NUMBER = r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d{1,4})?"
"""Also with the decimal comma of some locales, in which FANN writes and reads."""

NEURON = re.compile(rf"\s*\(\s*(\d{{1,9}})\s*,\s*(\d{{1,9}})\s*,\s*({NUMBER})\s*\)\s*")
CONNECTION = re.compile(rf"\s*\(\s*(\d{{1,9}})\s*,\s*({NUMBER})\s*\)\s*")
NEURONS, CONNECTIONS = ("neurons (num_inputs, activation_function, activation_steepness)",
                        "connections (connected_to_neuron, weight)")


@np.errstate(all="ignore")  # NaN and infinity are told of when they are found in the network
def layers(path: str | PathLike[str], *, scaling: bool, stepwise: bool) -> tuple[Layer, ...]:
    """Return the layers of a .net file; see `fastbp.from_fann`."""
    scaling, stepwise = arrays.flag("scaling", scaling), arrays.flag("stepwise", stepwise)
    fields = _fields(path)
    if _one(fields, "network_type", "0") != "0":
        raise ValueError(f"{path} is a shortcut network, whose layers read all layers before; only layered ones "
                         "(network_type=0) are read")
    if _number(_one(fields, "connection_rate", "1")) != 1:
        raise ValueError(f"{path} is a sparse network (connection_rate below 1); only fully connected ones are read")
    sizes = [_whole(text) for text in _one(fields, "layer_sizes").split()]
    neurons = [(int(n), int(function), _number(s)) for n, function, s in _tuples(NEURON, fields, NEURONS)]
    links = [(int(n), _number(w)) for n, w in _tuples(CONNECTION, fields, CONNECTIONS)]
    if len(sizes) < 2 or min(sizes) < 2 or sum(sizes) != len(neurons):
        raise ValueError(f"layer_sizes are {sizes[:20]}, expected at least two layers of 2 and more, bias neurons "
                         f"included, and together the {len(neurons)} neurons that there are")
    functions, matrices = [], []
    start, at = sizes[0], 0
    for i, (before, size) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        own = neurons[start : start + size - 1]
        if neurons[start + size - 1][0] or any(n != before for n, _, _ in own):
            raise ValueError(f"layer {i + 1} is not fully connected: each neuron must have the {before} of the layer "
                             "before as inputs, its bias included, and the bias neuron none")
        functions.append(_function(path, {function for _, function, _ in own}, i + 1, stepwise))
        count = before * len(own)
        if at + count > len(links):
            raise ValueError(f"{len(links)} connections, expected more: layer {i + 1} ends with number {at + count}")
        W = np.array([w for _, w in links[at : at + count]]).reshape(len(own), before)
        sources = np.array([n for n, _ in links[at : at + count]]).reshape(W.shape) - (start - before)
        order = np.argsort(sources, axis=1)
        if (np.take_along_axis(sources, order, 1) != np.arange(before)).any():
            raise ValueError(f"layer {i + 1} has connections that are not one from each neuron of the layer before")
        matrices.append(np.take_along_axis(W, order, 1) * np.array([[s] for _, _, s in own]))
        start, at = start + size, at + count
    if at != len(links):
        raise ValueError(f"{len(links)} connections, expected {at}")
    made = affine.layers((W[:, :-1], W[:, -1], function) for W, function in zip(matrices, functions, strict=True))
    return _scaled(path, made, fields) if scaling else made


def _function(path: Any, found: set[int], layer: int, stepwise: bool) -> Function:
    """Return the function of a layer, which must be one."""
    if len(found) != 1:
        raise ValueError(f"layer {layer} of {path} has neurons with different functions, expected one function a layer")
    number = found.pop()
    if stepwise:
        number = SMOOTH.get(number, number)
    name, function = FUNCTIONS[number] if number < len(FUNCTIONS) else (str(number), None)
    if function is None:
        hint = ("; stepwise=True reads it as the smooth function that its straight pieces approximate"
                if number in SMOOTH else "")
        raise ValueError(f"layer {layer} of {path} has the function {name}, which has no counterpart here{hint}")
    return function


def _scaled(path: Any, made: tuple[Layer, ...], fields: dict[str, str]) -> tuple[Layer, ...]:
    """Return layers that scale inputs and outputs as `fann_scale_input` and `fann_descale_output` do."""
    if _one(fields, "scale_included", "0") != "1":
        raise ValueError(f"{path} has no scaling (scale_included=0): leave scaling out")
    mean, deviation, new_min, factor = _scales(path, fields, "in", made[0].weights.shape[1])
    gain = factor / np.where(deviation == 0, 1, deviation)
    made = affine.before(made, gain, factor + new_min - mean * gain)
    mean, deviation, new_min, factor = _scales(path, fields, "out", made[-1].weights.shape[0])
    if not factor.all():
        raise ValueError(f"{path} divides outputs by 0")
    gain = deviation / factor
    return affine.after(made, gain, mean - deviation - new_min * gain)


def _scales(path: Any, fields: dict[str, str], end: str, count: int) -> list[Array]:
    """Return mean, deviation, least new value and half the range of what goes in or out."""
    found = [np.array([_number(text) for text in _one(fields, f"scale_{name}_{end}").split()])
             for name in ("mean", "deviation", "new_min", "factor")]
    if any(len(part) != count for part in found):
        raise ValueError(f"{path} has scales of another size than the {count} numbers that go {end}")
    return found


# ------------------------------------------------------------------------------------------------------- text

def _fields(path: str | PathLike[str]) -> dict[str, str]:
    """Return the fields of a file by their names: FANN's releases, and others who write such files, differ in which."""
    lines = _text(path).splitlines()
    first = lines[0].strip() if lines else ""
    if first.startswith("FANN_FIX"):
        raise ValueError(f"{path} is of FANN's build for fixed point, expected one of float or double: save it by "
                         "fann_save, not fann_save_to_fixed")
    if first not in ("FANN_FLO_2.0", "FANN_FLO_2.1"):
        raise ValueError(f"{path} begins with {first[:20]!r}, expected FANN_FLO_2.1, a network of FANN 2.0 to 2.2")
    fields = {}
    for line in lines[1:]:
        name, equals, value = line.partition("=")
        if equals:
            fields[name.strip()] = value
    return fields


def _text(path: str | PathLike[str]) -> str:
    return disk.read(path).decode("latin-1")


def _one(fields: dict[str, str], name: str, default: str | None = None) -> str:
    if name not in fields:
        if default is None:
            raise ValueError(f"the file has no field {name}")
        return default
    return fields[name].strip()


def _number(text: str) -> float:
    if not re.fullmatch(NUMBER, text):
        raise ValueError(f"{text[:40]!r} is not a number")
    return float(text.replace(",", "."))


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text)


def _tuples(pattern: re.Pattern[str], fields: dict[str, str], name: str) -> Iterator[tuple[str, ...]]:
    """Yield the tuples of a list, which must be nothing else."""
    text, at = _one(fields, name), 0
    while at < len(text):
        found = pattern.match(text, at)
        if found is None:
            raise ValueError(f"{name} has {text[at : at + 40]!r}, which is not as FANN writes it")
        yield found.groups()
        at = found.end()


# ---------------------------------------------------------------------------------------------------------- writing

SETTINGS = """\
learning_rate=0.700000
connection_rate=1.000000
network_type=0
learning_momentum=0.000000
training_algorithm=2
train_error_function=1
train_stop_function=0
cascade_output_change_fraction=0.010000
quickprop_decay=-0.000100
quickprop_mu=1.750000
rprop_increase_factor=1.200000
rprop_decrease_factor=0.500000
rprop_delta_min=0.000000
rprop_delta_max=50.000000
rprop_delta_zero=0.100000
cascade_output_stagnation_epochs=12
cascade_candidate_change_fraction=0.010000
cascade_candidate_stagnation_epochs=12
cascade_max_out_epochs=150
cascade_min_out_epochs=50
cascade_max_cand_epochs=150
cascade_min_cand_epochs=50
cascade_num_candidate_groups=2
bit_fail_limit=3.50000000000000000000e-01
cascade_candidate_limit=1.00000000000000000000e+03
cascade_weight_multiplier=4.00000000000000000000e-01
cascade_activation_functions_count=10
cascade_activation_functions=3 5 7 8 10 11 14 15 16 17 
cascade_activation_steepnesses_count=4
cascade_activation_steepnesses=2.50000000000000000000e-01 5.00000000000000000000e-01 7.50000000000000000000e-01 \
1.00000000000000000000e+00 
"""  # noqa: W291
"""What FANN 2.2.0 trains by if nothing else is set, in the order in which it reads."""


def fann_network(model: Model, *, relu: bool, linear_steepness: float) -> str:
    """Return the text of a .net file; see `Network.to_fann`."""
    if not is_number(linear_steepness) or not 0 < linear_steepness <= 1:
        raise ValueError(f"linear_steepness is {linear_steepness!r}, expected a number above 0, up to 1")
    relu = arrays.flag("relu", relu)
    chain = plain_layers(described(model), "a .net file")
    n_inputs = chain[0].weights.shape[1]
    sizes = [n_inputs + 1, *(len(layer.weights) + 1 for layer in chain)]
    neurons, links = ["(0, 0, 0.00000000000000000000e+00)"] * sizes[0], []
    start = 0
    for i, layer in enumerate(chain, 1):
        number, steepness = _written_function(layer, relu, linear_steepness)  # a logistic of s = ½ has gain 1
        W = np.hstack([layer.weights, np.zeros((len(layer.weights), 1)) if layer.biases is None
                       else layer.biases[:, None]]).astype(float) / (1 if number == 3 else steepness)
        converted(W, np.float64, f"weights and biases of layer {i}, as FANN has them,")
        neurons += [f"({W.shape[1]}, {number}, {steepness:.20e})"] * len(W) + [f"(0, {number}, {0:.20e})"]
        links += [f"({start + j}, {w:.20e})" for row in W.tolist() for j, w in enumerate(row)]
        start += W.shape[1]
    return "".join([f"FANN_FLO_2.1\nnum_layers={len(sizes)}\n", SETTINGS,
                    f"layer_sizes={' '.join(map(str, sizes))} \nscale_included=0\n",
                    f"{NEURONS}={' '.join(neurons)} \n{CONNECTIONS}={' '.join(links)} \n"])


def _written_function(layer: Layer, relu: bool, linear_steepness: float) -> tuple[int, float]:
    """Return FANN's number of a layer's function, and the steepness to write."""
    name = layer.activation.name
    known = WRITTEN | NEWER if relu else WRITTEN
    if layer.alphas is not None or name not in known:
        hint = ("; relu=True writes it for a FANN that is newer than release 2.2.0" if name in NEWER else "")
        shown = f"parametric({name})" if layer.alphas is not None else name
        raise ValueError(f"FANN has no activation {shown}, expected one of {', '.join(sorted(known))}{hint}")
    return known[name], linear_steepness if name == "identity" else 0.5 if name == "logistic" else 1.0


# ----------------------------------------------------------------------------------------------------- training data

def data(path: str | PathLike[str]) -> tuple[Array, Array]:
    """Return inputs and targets; see `fastbp.read_fann_data`."""
    tokens = _text(path).replace(",", ".").split()
    counts = tokens[:3]
    if len(counts) < 3:
        raise ValueError(f"{path} begins with {' '.join(counts)[:40]!r}, expected the numbers of samples, inputs and "
                         "outputs")
    samples, n_in, n_out = map(_whole, counts)
    if not (samples and n_in and n_out) or samples * (n_in + n_out) != len(tokens) - 3:
        raise ValueError(f"{path} says that it has {samples} samples of {n_in} inputs and {n_out} outputs, and has "
                         f"{len(tokens) - 3} numbers behind that")
    try:
        numbers = np.array(tokens[3:], np.float64).reshape(samples, n_in + n_out)
    except ValueError as error:
        raise ValueError(f"{path} holds what is not a number: {error}") from error
    return np.ascontiguousarray(numbers[:, :n_in]), np.ascontiguousarray(numbers[:, n_in:])

"""MATLAB: feed-forward networks as files of genFunction and as structs of arrays, their processing folded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.conversion import numbers
from ..util import disk
from . import affine
from .affine import Function
from .chain import Layer

Array = npt.NDArray[Any]
Step = dict[str, Array]

FUNCTIONS = {
    "tansig": Function("tanh"), "logsig": Function("logistic"), "purelin": Function("identity"),
    "poslin": Function("relu"), "satlins": Function("hard_tanh"), "satlin": Function("hard_tanh", 2, -1, 0.5, 0.5),
    "radbas": Function("gaussian"), "elliotsig": Function("softsign"), "softmax": Function("softmax"),
}
"""Transfer functions."""

FIELDS = "IW", "LW", "b", "transferFcn"
SETTINGS = "inputSettings", "outputSettings"

ASSIGNMENT = re.compile(r"^[ \t]*([xy]\d+_step\d+\.\w+|b\d+|[IL]W\d+_\d+)[ \t]*=([^=\n]+)$", re.MULTILINE)
LITERAL = re.compile(r"\[([-+.\deE\s;,]*)\]|([-+.\deE]+)")
LAYER = re.compile(r"^a(\d+)=(?:(\w+)_apply\()?(?:repmat\(b(\d+),1,Q\)\+)?([IL])W(\d+)_(\d+)\*(\w+)\)?;?$",
                   re.MULTILINE)
"""``a2=tansig_apply(repmat(b2,1,Q)+LW2_1*a1);``, a linear layer without the function. Blanks have been left out."""


@dataclass
class Parts:
    """A network as MATLAB has it."""

    weights: list[Array]
    biases: list[Array | None]
    functions: list[str]
    inputs: list[Step] = field(default_factory=list)
    """Settings of what is done to inputs, one after another."""
    outputs: list[Step] = field(default_factory=list)
    """Settings of what was done to targets, one after another: undone from the last on."""
    n_inputs: int | None = None


@np.errstate(all="ignore")  # NaN and infinity are told of when they are found in the network
def layers(source: Mapping[str, Any] | str | PathLike[str]) -> tuple[Layer, ...]:
    """Return the layers of a struct or of a file of genFunction; see `fastbp.from_matlab`."""
    parts = _of_struct(_struct(source)) if not isinstance(source, (str, PathLike)) else _of_text(Path(source))
    unknown = sorted(set(parts.functions) - FUNCTIONS.keys())
    if unknown:
        raise ValueError(f"transfer function {unknown[0][:40]!r} has no counterpart here, expected one of "
                         f"{', '.join(FUNCTIONS)}")
    for i, (W, b) in enumerate(zip(parts.weights, parts.biases, strict=True)):
        if W.ndim != 2 or 0 in W.shape or (b is not None and b.shape != W.shape[:1]):
            raise ValueError(f"layer {i + 1} has weights of shape {W.shape} and biases of shape "
                             f"{None if b is None else b.shape}, expected (n, m) and (n,)")
    made = affine.layers((W, b, FUNCTIONS[name])
                         for W, b, name in zip(parts.weights, parts.biases, parts.functions, strict=True))
    for step in reversed(parts.inputs):
        made = _after_input(made, step, parts.n_inputs)
    for step in reversed(parts.outputs):
        made = _before_output(made, step)
    return made


# ------------------------------------------------------------------------------------------------------- processing

def _map(step: Step, count: int) -> tuple[Array, Array, Array]:
    """Return offset, gain and what is added of (x − offset)·gain + added, as mapminmax and mapstd have it."""
    added = step.get("ymin", step.get("ymean"))
    if "xoffset" not in step or "gain" not in step or added is None:
        raise ValueError(f"a processing step has {', '.join(sorted(step)) or 'nothing'}, expected one of mapminmax, "
                         "mapstd or removeconstantrows: train the network without others, by net.inputs{1}.processFcns")
    parts = step["xoffset"].ravel(), step["gain"].ravel(), added.ravel()
    if any(part.size not in (1, count) for part in parts):
        raise ValueError(f"a processing step has settings for {max(part.size for part in parts)} numbers, expected "
                         f"{count}")
    offset, gain, added = (np.broadcast_to(part, count) for part in parts)
    return offset, gain, added


def _after_input(made: tuple[Layer, ...], step: Step, n_inputs: int | None) -> tuple[Layer, ...]:
    """Return layers that read what is processed by a step where the given ones read its result."""
    first = made[0]
    count = first.weights.shape[1]
    if "keep" not in step:
        offset, gain, added = _map(step, count)
        return affine.before(made, gain, added - offset * gain)
    keep = _places(step["keep"])
    rows = _places(step["xrows"] if "xrows" in step else np.array([n_inputs or max(keep, default=1)]))
    if len(rows) != 1 or len(keep) != count or len(set(keep)) < count or max(keep) > rows[0]:
        raise ValueError(f"removeconstantrows keeps {keep[:20]} of {rows[:20]} inputs, expected {count} of them")
    if rows[0] > 64 * count + 64:
        raise ValueError(f"removeconstantrows keeps {count} of {rows[0]} inputs, which is hardly meant")
    W = np.zeros((len(first.weights), rows[0]), first.weights.dtype)
    W[:, np.array(keep) - 1] = first.weights
    return replace(first, weights=W), *made[1:]


def _places(values: Array) -> list[int]:
    """Return whole numbers from 1 up."""
    found = [int(value) for value in values.ravel() if 1 <= value < 2**31]
    if found != values.ravel().tolist():
        raise ValueError(f"{values.ravel()[:20].tolist()} are given as places, expected whole numbers from 1 up")
    return found


def _before_output(made: tuple[Layer, ...], step: Step) -> tuple[Layer, ...]:
    """Return layers that give what was before a step where the given ones give its result."""
    count = len(made[-1].weights)
    if "keep" in step:
        if _places(step["keep"]) != [*range(1, count + 1)] or _places(step.get("xrows", np.array(count))) != [count]:
            raise ValueError("removeconstantrows has removed outputs, which has no counterpart here: train the network "
                             "on those targets that vary")
        return made
    offset, gain, added = _map(step, count)
    if not gain.all():
        raise ValueError("a processing step of the outputs divides by 0")
    return affine.after(made, 1 / gain, offset - added / gain)


# ------------------------------------------------------------------------------------------------- files of genFunction

def _of_text(path: Path) -> Parts:
    content = disk.read(path)
    if content.startswith((b"MATLAB 5.0 MAT-file", b"\x89HDF")) or b"MATLAB 7.3 MAT-file" in content[:128]:
        raise ValueError(f"{path} is a .mat file: give what scipy.io.loadmat(path) returns; a network object in it "
                         "must be saved as a struct, see fastbp.from_matlab")
    text = content.decode("latin-1").replace("\r", "") + "\n"
    comment = re.search(r"(?:(\d{1,9})xQ|Qx(\d{1,9})) matrix, input #1", text)
    text = re.sub(r"\.\.\.[^\n]*\n", " ", re.sub(r"%[^\n]*", "", text))
    if "tapdelay" in text:
        raise ValueError(f"{path} has delays: only feed-forward networks are read")
    values: dict[str, Array] = {}
    for name, literal in ASSIGNMENT.findall(text):
        if name in values:
            raise ValueError(f"{path} says twice what {name} is")
        values[name] = _literal(path, name, literal)
    functions: dict[int, str] = {}
    for layer, function, bias, kind, target, source, read in LAYER.findall(re.sub(r"[ \t]", "", text)):
        number = int(layer)
        before = (layer, target, source, kind) == ("1", "1", "1", "I") or (
            (target, source, kind, read) == (layer, str(number - 1), "L", f"a{number - 1}"))
        if not before or bias != (layer if f"b{number}" in values else "") or number in functions:
            raise ValueError(f"{path}: layer {number} is not a layer on the one before: only such chains are read")
        functions[number] = function or "purelin"
    count = len(functions)
    names = ["IW1_1", *(f"LW{number}_{number - 1}" for number in range(2, count + 1))]
    others = {name for name in values if name[1:2] == "W"} ^ set(names)
    if not count or others or sorted(functions) != [*range(1, count + 1)]:
        raise ValueError(f"{path} is not a file that genFunction writes of a feed-forward network, or is more than a "
                         f"chain of layers: layers {sorted(functions)[:20]}, and {', '.join(sorted(others)[:20])} "
                         "without their part")
    biases = [values[f"b{number}"].ravel() if f"b{number}" in values else None for number in sorted(functions)]
    return Parts([values[name] for name in names], biases, [functions[number] for number in sorted(functions)],
                 _steps(path, values, "x"), _steps(path, values, "y"),
                 int(comment[1] or comment[2]) if comment else None)


def _literal(path: Path, name: str, text: str) -> Array:
    """Return the array that MATLAB makes of numbers in brackets, rows between semicolons."""
    text = text.strip().removesuffix(";").rstrip()
    found = LITERAL.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        rows = [row.replace(",", " ").split() for row in (found[1] or found[2] or "").split(";")]
        return np.array([row for row in rows if row], np.float64, ndmin=2)
    except ValueError:
        raise ValueError(f"{path}: {name} is {text[:40]!r}, expected numbers, and rows of one length") from None


def _steps(path: Path, values: dict[str, Array], end: str) -> list[Step]:
    """Return the settings of all steps of inputs (x) or outputs (y) in their order."""
    found: dict[int, Step] = {}
    for name, value in values.items():
        if (match := re.fullmatch(rf"{end}(\d+)_step(\d+)\.(\w+)", name)) is not None:
            if match[1] != "1":
                raise ValueError(f"{path} has more than one input or output: only one of each is read")
            found.setdefault(int(match[2]), {})[match[3]] = value
    return [found[i] for i in sorted(found)]


# ---------------------------------------------------------------------------------------------------------- structs

def _struct(source: Any) -> Mapping[str, Any]:
    """Return the mapping that has the fields: what is given, or the one struct in what `scipy.io.loadmat` gives."""
    if not isinstance(source, Mapping):
        source = _named(source)
    own = {name: value for name, value in source.items() if not str(name).startswith("__")}
    if len(own) == 1 and not set(FIELDS) & own.keys():
        own = dict(_named(next(iter(own.values()))))
    if missing := [name for name in FIELDS if name not in own]:
        raise ValueError(f"the struct has no {', '.join(missing)}, expected the fields that fastbp.from_matlab tells "
                         "of")
    return own


def _named(value: Any) -> Mapping[str, Any]:
    """Return the fields of a struct, in any of the forms in which SciPy has them."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
        if isinstance(value, Mapping):
            return value
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names:
        return {name: value[name] for name in names}
    if hasattr(value, "_fieldnames"):
        return {name: getattr(value, name) for name in value._fieldnames}
    raise TypeError(f"a {type(value).__name__} is given, expected a struct as scipy.io.loadmat returns it, or the "
                    "path of a file of genFunction")


def _cell(value: Any) -> list[Any]:
    """Return the elements of a cell, row by row; of one element SciPy may have left the cell out."""
    if isinstance(value, (list, tuple)):
        return [part for row in value for part in (row if isinstance(row, (list, tuple)) else [row])]
    if isinstance(value, np.ndarray) and (value.dtype == object or value.dtype.kind in "US"):
        return list(value.ravel())
    return [value]


def _of_struct(given: Mapping[str, Any]) -> Parts:
    functions = [_text(part) for part in _cell(given["transferFcn"])]
    count = len(functions)
    IW, LW, b = (_cell(given[name]) for name in ("IW", "LW", "b"))
    if not count or len(b) != count or len(IW) != count or len(LW) != count**2:
        raise ValueError(f"{len(IW)} input weights, {len(LW)} layer weights and {len(b)} biases for {count} transfer "
                         f"functions, expected {count}, {count**2} and {count}: a network with one input")
    for part in _cell(given.get("netInputFcn", "netsum")):
        if _text(part) != "netsum":
            raise ValueError(f"net input function {_text(part)[:40]!r} has no counterpart here, expected 'netsum'")
    weights, biases = [], []
    for k in range(count):
        row = [IW[k], *LW[k * count : (k + 1) * count]]
        found = [i for i, part in enumerate(row) if np.size(part)]
        if found != [k]:
            raise ValueError(f"layer {k + 1} reads {found} of the input (0) and the layers (from 1), expected the one "
                             "before: only such chains are read")
        W, own = _doubles(f"weights of layer {k + 1}", row[k]), _doubles(f"b of layer {k + 1}", b[k]).ravel()
        if own.size and W.ndim < 2:
            W = W.reshape(own.size, -1) if W.size % own.size == 0 else W
        weights.append(W)
        biases.append(own if own.size else None)
    inputs, outputs = ([_settings(part) for part in _cell(given.get(end, ())) if np.size(part)] for end in SETTINGS)
    return Parts(weights, biases, functions, inputs, outputs)


def _doubles(name: str, value: Any) -> Array:
    return numbers(name, value).astype(np.float64)


def _settings(part: Any) -> Step:
    """Return those settings of a processing step that say what it does."""
    return {name: _doubles(name, value) for name, value in _named(part).items()
            if name in ("xoffset", "gain", "ymin", "ymean", "keep", "xrows")}


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if not isinstance(value, str):
        raise ValueError(f"a transfer function is {value!r:.40}, expected its name")
    return str(value)

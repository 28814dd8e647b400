"""Save and load without pickle: safetensors, with the architecture as JSON in its header."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from . import costs
from .callbacks import Best
from .history import COLUMNS, History
from .initializers import Constant, Given, Rule
from .kernels.codes import HYPER_CELLS
from .method import Optimizer
from .naming import lookup
from .optimizers import OPTIMIZERS
from .schedules import SCHEDULES
from .training import Progress

if TYPE_CHECKING:
    from .network import Network

FORMAT = 1
"""Version of the format: raised when an older fastbp could not read the file."""

DTYPES = {"float32": "F32", "float64": "F64"}
"""Names of dtypes here and in safetensors."""


TRAINING = ("training.state", "training.hyper", "training.history")
"""What a training adds to a file."""

STOPPING, BEST = "training.stopping", "training.best."
"""And what `EarlyStopping` does: a row each, and under its number the best parameters."""


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that ``path`` holds the old or the new content whole, whenever the process dies.

    The content goes to a temporary file in the same folder, is synced, and renamed.
    """
    target = Path(path)
    name = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with open(name, "xb") as file:  # not tempfile, which would hide the file from others
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    if os.name == "posix":  # the rename itself must reach the disk
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _names(network: Network) -> dict[str, Any]:
    arrays = {f"weights.{i}": array for i, array in enumerate(network.weights)}
    if network.bias:
        arrays |= {f"biases.{i}": array for i, array in enumerate(network.biases)}
    return arrays


def described_init(init: Rule | tuple[Rule, ...]) -> Any:
    """Give what layers begin with as plain values; given arrays are named only."""
    if isinstance(init, tuple):
        return [described_init(rule) for rule in init]
    if isinstance(init, Constant):
        return {"constant": init.value}
    if isinstance(init, Given):
        return {"given": "weights" if init.biases is None else "weights and biases"}
    return init


def _given(init: Rule | tuple[Rule, ...]) -> dict[str, Any]:
    """Name the arrays that layers begin with."""
    arrays = {}
    for i, rule in enumerate(init if isinstance(init, tuple) else ()):
        if isinstance(rule, Given):
            arrays[f"init.weights.{i}"] = rule.weights
            if rule.biases is not None:
                arrays[f"init.biases.{i}"] = rule.biases
    return arrays


def _made_init(description: Any, arrays: dict[str, Any], layer: int = 0) -> Any:
    """Make it again."""
    if isinstance(description, list):
        return [_made_init(rule, arrays, i) for i, rule in enumerate(description)]
    if isinstance(description, dict) and "constant" in description:
        return Constant(description["constant"])
    if isinstance(description, dict):
        W = arrays[f"init.weights.{layer}"]
        return (W, arrays[f"init.biases.{layer}"]) if description["given"] == "weights and biases" else W
    return description


def save(network: Network, path: str | os.PathLike[str], training: bool) -> None:
    """Write a network's architecture and parameters, and its training if that is asked for and there is one."""
    header = {"format": FORMAT, "architecture": network.architecture()}
    tensors = {name: np.ascontiguousarray(array) for name, array in _names(network).items()}
    tensors |= _given(network.init)
    progress = network._progress
    if training and progress is not None:
        header["training"] = {"optimizer": _described(progress.optimizer), "key": progress.key,
                              "epochs": progress.epochs, "generator": network.generator.bit_generator.state,
                              "figures": list(network.history.figures)}
        tensors |= {"training.state": progress.state, "training.hyper": progress.hyper,
                    "training.history": network.history.table()}
        if progress.stopping:
            tensors[STOPPING] = np.array([[best.epoch, best.cost, best.mark, best.waited]
                                          for best in progress.stopping])
            tensors |= {f"{BEST}{i}": best.parameters for i, best in enumerate(progress.stopping)
                        if best.parameters is not None}
    write(path, to_bytes(tensors, {"fastbp": json.dumps(header)}))


def _described(settings: Any) -> dict[str, Any]:
    """Give an optimizer or schedule as its name and plain numbers."""
    found: dict[str, Any] = {"kind": type(settings).__name__.lower()}
    if found["kind"] not in OPTIMIZERS | SCHEDULES:
        raise ValueError(f"{settings!r} cannot be saved: give the optimizer a schedule of fastbp.schedules")
    for name, value in vars(settings).items():
        if isinstance(value, np.generic):
            value = value.item()
        found[name] = value if isinstance(value, (bool, int, float)) else _described(value)
    return found


def _made(kind: str, description: dict[str, Any], known: dict[str, Any]) -> Any:
    """Make the optimizer or schedule again."""
    settings = dict(description)
    made = lookup(kind, settings.pop("kind"), known)
    return made(**{name: _made("schedule", value, SCHEDULES) if isinstance(value, dict) else value
                   for name, value in settings.items()})


def _header(path: Path, metadata: dict[str, str] | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    if not metadata or "fastbp" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not one that fastbp wrote")
    try:
        header = json.loads(metadata["fastbp"])
        version, architecture = header["format"], dict(header["architecture"])
        training = dict(header["training"]) if "training" in header else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} has a corrupt header: {error}") from error
    if not isinstance(version, int) or version > FORMAT:
        raise ValueError(f"{path} has format {version}, this fastbp reads up to {FORMAT}: install a newer fastbp")
    return architecture, training


def load(kind: type[Network], path: str | os.PathLike[str]) -> Network:
    """Read a network; sizes and names are checked against the header before anything is allocated."""
    file = Path(path)
    with file.open("rb"):  # an OSError of the system's own, where there is one
        pass
    try:
        with safe_open(file, framework="numpy") as content:
            architecture, training = _header(file, content.metadata())
            found = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118
            extra = {name: found.pop(name) for name in list(found) if name.startswith("training.") and training}
            given = {name: found.pop(name) for name in list(found) if name.startswith("init.")}
            _check_tensors(file, architecture, found)
            network = _build(kind, file, architecture, {name: content.get_tensor(name) for name in given})
            if set(given) != set(_given(network.init)):
                raise ValueError(f"{file} holds {sorted(given)}, its header says {sorted(_given(network.init))}")
            for name, array in _names(network).items():
                array[...] = content.get_tensor(name)
            if training is not None:
                _check_training(file, extra, training.setdefault("figures", []))
                _resume(network, file, training, *(content.get_tensor(name) for name in TRAINING))
                _resume_stopping(network, file, {name: content.get_tensor(name) for name in extra
                                                 if name not in TRAINING})
    except SafetensorError as error:
        raise ValueError(f"{file} is not a whole safetensors file: {error}") from error
    return network


def _check_tensors(path: Path, architecture: dict[str, Any], found: dict[str, Any]) -> None:
    try:
        layers, bias, dtype = architecture["layers"], architecture["bias"], DTYPES[architecture["dtype"]]
        expected = {f"weights.{i}": [m, n] for i, (n, m) in enumerate(zip(layers[:-1], layers[1:], strict=True))}
        if bias:
            expected |= {f"biases.{i}": [m] for i, m in enumerate(layers[1:])}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has a corrupt header: {error!r}") from error
    if set(found) != set(expected):
        raise ValueError(f"{path} holds {sorted(found)}, its header says {sorted(expected)}")
    for name, shape in expected.items():
        if list(found[name].get_shape()) != shape or found[name].get_dtype() != dtype:
            raise ValueError(f"{path}: {name} is {found[name].get_dtype()} {found[name].get_shape()}, its header says "
                             f"{dtype} {shape}")


def _build(kind: type[Network], path: Path, architecture: dict[str, Any], given: dict[str, Any]) -> Network:
    try:
        architecture["init"] = _made_init(architecture["init"], given)
        cost = costs.get(architecture.pop("cost"), architecture.pop("cost_parameter"))
        seed = architecture.pop("seed")
        layers, activation, output = (architecture.pop(name) for name in ("layers", "activation", "output"))
        return kind(layers, activation, output, cost, seed=seed, **architecture)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} has a corrupt header: {error}") from error


def _check_training(path: Path, found: dict[str, Any], figures: Any) -> None:
    shapes = {name: list(array.get_shape()) for name, array in found.items()}
    needed = {name for name in found if name != STOPPING and not name.startswith(BEST)}
    good = needed == set(TRAINING) and isinstance(figures, list)
    columns = [COLUMNS + len(figures)] if good else None
    if not good or shapes["training.hyper"] != [HYPER_CELLS] or shapes["training.history"][1:] != columns:
        raise ValueError(f"{path} has a corrupt training: it holds {shapes}")


def _resume(network: Network, path: Path, training: dict[str, Any], state: Any, hyper: Any, history: Any) -> None:
    """Put a training that was saved into a network."""
    try:
        optimizer: Optimizer = _made("optimizer", training["optimizer"], OPTIMIZERS)
        if state.shape != (optimizer.slots * network.n_parameters,) or state.dtype != network.dtype:
            raise ValueError(f"its state is {state.dtype} {state.shape}")
        if hyper.dtype != np.float64:
            raise ValueError(f"its numbers are {hyper.dtype}")
        key, epochs = int(training["key"]), int(training["epochs"])
        network._progress = Progress(optimizer, np.array(state), np.array(hyper), key, epochs)
        network.generator.bit_generator.state = training["generator"]
        network.history = History(history, map(str, training["figures"]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} has a corrupt training: {error}") from error


def _resume_stopping(network: Network, path: Path, found: dict[str, Any]) -> None:
    """Put what `EarlyStopping` had seen into a network's training."""
    if not found:
        return
    table, progress = found.pop(STOPPING, np.empty(0)), network._progress
    assert progress is not None
    if table.ndim != 2 or table.shape[1] != 4 or not set(found) <= {f"{BEST}{i}" for i in range(len(table))}:
        raise ValueError(f"{path} has a corrupt training: {STOPPING} is {table.shape}, with {sorted(found)}")
    if not np.isfinite(table[:, [0, 3]]).all():
        raise ValueError(f"{path} has a corrupt training: {STOPPING} holds epochs that are not finite: "
                         f"{table.tolist()}")
    for name, parameters in found.items():
        if parameters.shape != network.parameters.shape or parameters.dtype != network.dtype:
            raise ValueError(f"{path} has a corrupt training: {name} is {parameters.dtype} {parameters.shape}")
    for i, (epoch, cost, mark, waited) in enumerate(table.tolist()):
        kept = found.get(f"{BEST}{i}")
        progress.stopping.append(Best(int(epoch), cost, mark, int(waited), None if kept is None else np.array(kept)))

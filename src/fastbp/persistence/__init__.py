"""Save and load without pickle: safetensors, with the architecture as JSON in its header."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from .. import costs
from ..core.model import Model
from ..initializers import Constant, Given, Rule
from ..optimizers import OPTIMIZERS, Optimizer
from ..schedules import SCHEDULES
from ..training.callbacks import Best, CalledLast
from ..training.history import COLUMNS, History, Record
from ..training.progress import Progress, Trainable
from ..util.names import lookup, same
from ..util.settings import LARGEST_WHOLE, count

Array = npt.NDArray[Any]
N = TypeVar("N", bound=Trainable)

FORMAT = 2
"""Version of the format: raised when an older fastbp could not read the file."""

DTYPES = {"float32": "F32", "float64": "F64"}
"""Names of dtypes here and in safetensors."""

STATE, ROWS, BEST = "training.state", "training.history", "training.best."
"""Tensors that a training adds to a file: the optimizer's state, the history, and under its number what each
`EarlyStopping` would put back."""

STOPPING = {field.name for field in fields(Best)} - {"parameters"}
"""What a header says of each `EarlyStopping`."""

TRAINING = {"optimizer", "numbers", "key", "epochs", "generator", "diagnostics", "stopping"}
"""What a header says of a training."""

LARGEST_KEY = 2**63 - 2
"""Of the keys that `training.progress.new_progress` draws."""

DEEPEST = 16
"""Schedules in one another that a file may hold: each is called by the one around it, and Python ends at 1,000."""

LEFT_BEHIND = re.compile(r"\.fastbp\.[0-9a-f]{16}")
"""Names of files that are being written."""

STALE = 3600.0
"""Seconds without a write after which such a file belongs to a save that was killed."""

_swept: dict[Path, float] = {}
"""When folders were last looked through for such files."""


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that ``path`` holds the old or the new content whole, whenever the process dies.

    The content goes to a temporary file in the same folder, is synced, and renamed. A symbolic link stays a link, and
    what it leads to is replaced; the mode of a file that is replaced is kept.
    """
    try:
        target = Path(os.path.realpath(path))
        mode = _mode(target)
        name = target.with_name(f".fastbp.{secrets.token_hex(8)}")
        try:
            with open(name, "xb") as file:  # not tempfile, which would hide the file from others
                made = os.stat(name)
                if mode not in (None, stat.S_IMODE(made.st_mode)):
                    os.chmod(name, mode)
                _sweep(target.parent, made.st_mtime)
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
    except OSError as error:  # the system names the temporary file, or none where a disk is full
        error.filename = os.fspath(path)
        del error.filename2
        raise


def _mode(target: Path) -> int | None:
    """Return the mode of a file that will be replaced, None where there is none."""
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        code = errno.EISDIR if stat.S_ISDIR(found) else errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: it is no ordinary file, and cannot be replaced by one")
    return stat.S_IMODE(found)


def _sweep(folder: Path, now: float) -> None:
    """Remove what killed saves have left in a folder, by the clock of its file system: once an hour, since it is read.

    A younger file may belong to a save that is going on.
    """
    if now - _swept.get(folder, -math.inf) < STALE:
        return
    _swept[folder] = now
    with suppress(OSError), os.scandir(folder) as entries:  # some folders may be written to, not read
        for entry in entries:
            if LEFT_BEHIND.fullmatch(entry.name):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < now - STALE:
                        os.unlink(entry)


def _names(network: Trainable) -> dict[str, Any]:
    arrays = {f"weights.{i}": array for i, array in enumerate(network.weights)}
    if network.bias:
        arrays |= {f"biases.{i}": array for i, array in enumerate(network.biases)}
    return arrays


def described(network: Model) -> dict[str, Any]:
    """Return what a network was built with, as plain values: see `Network.architecture`."""
    return {
        "layers": list(network.layers),
        "activation": list(network.activations[:-1]),
        "output": network.activations[-1],
        "cost": network.cost_function.name,
        "cost_parameter": network.cost_function.parameter,
        "bias": network.bias,
        "dtype": network.dtype.name,
        "init": _described_init(network.init),
        "seed": network.seed,
    }


def _described_init(init: Rule | tuple[Rule, ...]) -> Any:
    """Return what layers begin with as plain values; given arrays are named only."""
    if isinstance(init, tuple):
        return [_described_init(rule) for rule in init]
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


def _made_init(description: Any, arrays: Mapping[str, Array]) -> Any:
    """Make it again."""
    if isinstance(description, list):
        return [_made_rule(rule, i, arrays) for i, rule in enumerate(description)]
    return _made_rule(description, 0, arrays)


def _made_rule(description: Any, layer: int, arrays: Mapping[str, Array]) -> Any:
    """Make what one layer begins with."""
    if isinstance(description, dict) and "constant" in description:
        return Constant(description["constant"])
    if isinstance(description, dict):
        W = arrays[f"init.weights.{layer}"]
        return (W, arrays[f"init.biases.{layer}"]) if description["given"] == "weights and biases" else W
    return description


def save(self: Trainable, path: str | os.PathLike[str], *, training: bool = False) -> None:
    """Write architecture and parameters to a safetensors file.

    The file is written beside ``path``, synced and renamed, so that ``path`` always holds a whole file.

    Parameters
    ----------
    path : str or path
        Where to. An existing file is replaced: the new one has its mode, while owner and access lists are those of
        any new file, and another hard link to it keeps what it had. A symbolic link stays, and the file that it
        leads to is replaced.
    training : bool, default False
        Write also what ``fit(resume=True)`` goes on from: the optimizer and its state, the place in the random
        stream, the history.

    Raises
    ------
    OSError
        If it cannot be written; it names ``path``, and an existing file is left as it was.
    ValueError
        If the training cannot be written, since its schedule is a function and not one of `fastbp.schedules`, or
        since a parameter is not finite.

    Notes
    -----
    What is being written is called ``.fastbp.`` and 16 hexadecimal digits. A killed save leaves it behind; a later
    one into the same folder removes it after an hour.
    """
    self._architecture.resolved()
    header: dict[str, Any] = {"format": FORMAT, "architecture": described(self),
                              "functions": _fingerprints(self)}
    tensors = {name: np.ascontiguousarray(array) for name, array in _names(self).items()}
    tensors |= _given(self.init)
    progress = self._progress
    if training and progress is not None:
        if not np.isfinite(self.parameters).all():
            raise ValueError("parameters hold nan or inf, from which no training goes on: save without training=True")
        header["training"] = {
            "optimizer": _described(progress.optimizer),
            "numbers": progress.optimizer.varied(progress.hyper),
            "key": progress.key,
            "epochs": progress.epochs,
            "generator": self.generator.bit_generator.state,
            "diagnostics": list(self.history.diagnostics),
            "stopping": [{name: getattr(best, name) for name in sorted(STOPPING)} for best in progress.stopping],
        }
        tensors |= {STATE: progress.state, ROWS: self.history.table()}
        tensors |= {f"{BEST}{i}": best.parameters for i, best in enumerate(progress.stopping)
                    if best.parameters is not None}
    write(path, to_bytes(tensors, {"fastbp": json.dumps(header)}))


def _fingerprints(network: Trainable) -> dict[str, str]:
    """Return some values of each function of the user's own, by which a file tells it from another of its name."""
    rows = [("activation", row) for row in network._architecture.activations] + [("cost", network.cost_function)]
    return {f"{kind} {row.name}": row.values.hex() for kind, row in rows if row.values}


def _check_functions(path: Path, metadata: dict[str, str], network: Trainable) -> None:
    """Raise if the names of the user's own functions stand for others than when the file was written."""
    now = _fingerprints(network)
    with _blamed(path, "header"):
        functions = json.loads(metadata["fastbp"]).get("functions", {})
        saved = {name: bytes.fromhex(text) for name, text in functions.items()}
        if saved.keys() != now.keys():
            raise ValueError(f"it tells of the functions {sorted(saved)}, expected {sorted(now)}")
    for name, text in now.items():
        if not same(saved[name], bytes.fromhex(text)):
            raise ValueError(f"{path} was saved by a network with another function: in this process the {name} gives "
                             "other values; register the one that it was trained with under that name")


def _described(settings: Any, depth: int = 0) -> dict[str, Any]:
    """Return an optimizer or schedule as its name and plain numbers."""
    found: dict[str, Any] = {"kind": type(settings).__name__.lower()}
    if found["kind"] not in OPTIMIZERS | SCHEDULES:
        raise ValueError(f"{settings!r} cannot be saved: give the optimizer a schedule of fastbp.schedules")
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} schedules in one another cannot be saved")
    for name, value in vars(settings).items():
        if isinstance(value, np.generic):
            value = value.item()
        found[name] = value if isinstance(value, (bool, int, float, str)) else _described(value, depth + 1)
    return found


def _made(kind: str, description: dict[str, Any], known: dict[str, Any]) -> Any:
    """Make the optimizer or schedule again."""
    settings = dict(description)
    made = lookup(kind, settings.pop("kind"), known)
    return made(**{name: _made("schedule", value, SCHEDULES) if isinstance(value, dict) else value
                   for name, value in settings.items()})


@contextmanager
def _blamed(path: Path, part: str) -> Iterator[None]:
    """Raise what a file's nonsense leads to as a ValueError that names the file."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        text = repr(error) if isinstance(error, LookupError) else error
        raise ValueError(f"{path} has a corrupt {part}: {text}") from error


def _same(what: str, description: Any, made: Any) -> None:
    """Check that what was made of a description is described by it, to the last name and type."""
    if json.dumps(description, sort_keys=True) != json.dumps(made, sort_keys=True):
        raise ValueError(f"{what} is {description}, which is that of {made}")


def _header(path: Path, metadata: dict[str, str] | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    if not metadata or "fastbp" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not one that fastbp wrote")
    with _blamed(path, "header"):
        header = json.loads(metadata["fastbp"])
        version, architecture, training = header["format"], header["architecture"], header.get("training")
    if type(version) is int and version > FORMAT:
        raise ValueError(f"{path} has format {version}, this fastbp reads up to {FORMAT}: install a newer fastbp")
    if type(version) is int and version == 1:
        raise ValueError(f"{path} has format 1, which this fastbp does not read: train anew, or build the network, and "
                         "assign to its weights and biases what safetensors.numpy.load_file finds in the file")
    if type(version) is not int or version != FORMAT:
        raise ValueError(f"{path} has format {version}, expected {FORMAT}: its header is corrupt")
    if not isinstance(architecture, dict) or not (training is None or isinstance(training, dict)):
        raise ValueError(f"{path} has a corrupt header: architecture and training are expected to have names")
    return architecture, training


def load(kind: Callable[..., N], path: str | os.PathLike[str]) -> N:
    """Read a network; sizes and names are checked against the header before anything is allocated."""
    file = Path(path)
    with file.open("rb"):  # an OSError of the system's own, where there is one
        pass
    try:
        with safe_open(file, framework="numpy") as content:
            architecture, training = _header(file, content.metadata())
            found = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118
            extra = {name for name in found if name.startswith("training.") and training is not None}
            given = {name for name in found if name.startswith("init.")}
            _check_tensors(file, architecture, {name: found[name] for name in found.keys() - extra - given})
            with _blamed(file, "header"):
                network = _build(kind, architecture, _read_given(content, given, architecture))
            _check_functions(file, content.metadata(), network)
            if given != set(_given(network.init)):
                raise ValueError(f"{file} holds {sorted(given)}, its header says {sorted(_given(network.init))}")
            for name, array in _names(network).items():
                array[...] = content.get_tensor(name)
            if training is not None:
                with _blamed(file, "training"):
                    _resume(network, training, content, extra)
    except SafetensorError as error:
        raise ValueError(f"{file} is not a whole safetensors file: {error}") from error
    return network


def _shapes(architecture: dict[str, Any], prefix: str = "") -> dict[str, list[int]]:
    layers = architecture["layers"]
    expected = {f"{prefix}weights.{i}": [m, n]
                for i, (n, m) in enumerate(zip(layers[:-1], layers[1:], strict=True))}
    if architecture["bias"]:
        expected |= {f"{prefix}biases.{i}": [m] for i, m in enumerate(layers[1:])}
    return expected


def _check_tensors(path: Path, architecture: dict[str, Any], found: dict[str, Any]) -> None:
    try:
        dtype, expected = DTYPES[architecture["dtype"]], _shapes(architecture)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has a corrupt header: {error!r}") from error
    if set(found) != set(expected):
        raise ValueError(f"{path} holds {sorted(found)}, its header says {sorted(expected)}")
    for name, shape in expected.items():
        if list(found[name].get_shape()) != shape or found[name].get_dtype() != dtype:
            raise ValueError(f"{path}: {name} is {found[name].get_dtype()} {found[name].get_shape()}, its header says "
                             f"{dtype} {shape}")


def _read(content: Any, name: str, dtype: Any, shape: Sequence[int]) -> Array:
    """Return a tensor as an array of its own, once its dtype and shape are seen to be what they must be."""
    part = content.get_slice(name)
    found, wanted = (part.get_dtype(), list(part.get_shape())), (DTYPES[np.dtype(dtype).name], list(shape))
    if found != wanted:
        raise ValueError(f"{name} is {found[0]} {found[1]}, expected {wanted[0]} {wanted[1]}")
    return np.array(content.get_tensor(name), dtype)


def _read_given(content: Any, names: set[str], architecture: dict[str, Any]) -> dict[str, Array]:
    """Read the arrays that layers begin with."""
    shapes = _shapes(architecture, "init.")
    return {name: _read(content, name, architecture["dtype"], shapes[name]) for name in names}


def _build(kind: Callable[..., N], architecture: dict[str, Any], given: Mapping[str, Array]) -> N:
    settings = dict(architecture, init=_made_init(architecture["init"], given))
    settings["cost"] = costs.get(settings["cost"], settings.pop("cost_parameter"))
    network = kind(**settings)
    _same("architecture", architecture, described(network))
    return network


def _resume(network: Trainable, training: dict[str, Any], content: Any, names: set[str]) -> None:
    """Put a training that was saved into a network."""
    if set(training) != TRAINING:
        raise ValueError(f"it tells {sorted(training)}, expected {sorted(TRAINING)}")
    optimizer: Optimizer = _made("optimizer", training["optimizer"], OPTIMIZERS)
    _same("optimizer", training["optimizer"], _described(optimizer))
    stopping, size = training["stopping"], network.n_parameters
    best = {f"{BEST}{i}" for i in range(len(stopping))}
    if not {STATE, ROWS} <= names <= {STATE, ROWS} | best:
        raise ValueError(f"it holds {sorted(names)}, expected {STATE} and {ROWS}, and of {sorted(best)} what there is")
    state = _read(content, STATE, network.dtype, [optimizer.slots * size])
    epochs = _integer("epochs", training["epochs"], LARGEST_WHOLE)
    progress = Progress(optimizer, state, optimizer.resumed(training["numbers"]),
                        _integer("key", training["key"], LARGEST_KEY), epochs)
    history = _made_history(content, training["diagnostics"])
    told, expected = list(history.diagnostics), list(optimizer.diagnostics(progress.hyper))
    if len(history) and (history.last != epochs or set(told) != set(expected)):
        raise ValueError(f"its history ends in epoch {history.last} and has the diagnostics {told}, its optimizer is "
                         f"in epoch {epochs} and has {expected}")
    if not np.isfinite(network.parameters).all():
        raise ValueError("its parameters are not finite")
    for i, description in enumerate(stopping):
        name = f"{BEST}{i}"
        kept = _read(content, name, network.dtype, [size]) if name in names else None
        progress.stopping.append(_made_best(description, kept, epochs))
    network.generator = _made_generator(training["generator"])
    network._progress, network.history = progress, history


def _integer(name: str, value: Any, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 0 to {largest}")
    return value


def _made_history(content: Any, diagnostics: Any) -> History:
    if not isinstance(diagnostics, list) or not all(isinstance(name, str) for name in diagnostics):
        raise ValueError(f"diagnostics is {diagnostics!r}, expected a list of names")
    length = content.get_slice(ROWS).get_shape()[0]
    rows = _read(content, ROWS, np.float64, [length, COLUMNS + len(diagnostics)])
    if not np.isfinite(rows[:, [0, 1, 3]]).all():
        raise ValueError("its history holds epochs, costs or seconds that are not finite")
    return History(rows, diagnostics)


def _made_best(description: dict[str, Any], parameters: Array | None, epochs: int) -> Best:
    """Make what `EarlyStopping` had seen."""
    if set(description) != STOPPING:
        raise ValueError(f"stopping tells {sorted(description)}, expected {sorted(STOPPING)}")
    best = Best(**description, parameters=parameters)
    for name in STOPPING:
        Best.checks[name](best, name, description[name])
    best.epoch, best.waited = int(best.epoch), int(best.waited)
    if best.epoch > epochs or (parameters is not None and not (best.epoch and np.isfinite(parameters).all())):
        raise ValueError(f"stopping is {description} after {epochs} epochs, or its parameters are not finite")
    return best


def _made_generator(state: Any) -> np.random.Generator:
    """Make the generator. NumPy lets more pass: fractions, an even increment, any flag."""
    source = np.random.PCG64()
    source.state = state
    _same("generator", state, source.state)
    if state["has_uint32"] not in (0, 1) or state["state"]["inc"] % 2 == 0:
        raise ValueError(f"generator is {state}, expected has_uint32 0 or 1 and an odd inc")
    return np.random.Generator(source)


class Checkpoint(CalledLast):
    """Save the network and its training every few epochs, so that a killed process can be taken up again.

    ``Network.load(path).fit(X, Y, resume=True, ...)`` goes on from the last checkpoint, with the bits that the
    uninterrupted training would have had, given the same callbacks; it is called after the other callbacks of an epoch,
    so that it saves what `EarlyStopping` has seen. The file is replaced as a whole (`Network.save`): a kill leaves the
    old one or the new one. It holds the whole history, of 32 bytes an epoch.

    Parameters
    ----------
    path : str or path
        The file.
    every : int, default 1
        Epochs between two checkpoints, counted as the record does: a resumed training saves at the same epochs.

    Raises
    ------
    ValueError
        If ``every`` is not a whole number from 1 up; in training, if the optimizer cannot be saved (`Network.save`).
    FileNotFoundError
        If the folder does not exist.
    OSError
        In training, if the file cannot be written; the last checkpoint is left as it was.
    """

    _settings = "path", "every"

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path, self.every = Path(path), every
        count(self, "every", every)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"Checkpoint: there is no folder {self.path.parent}")

    def __call__(self, record: Record) -> None:
        """Save, if it is time."""
        if record.epoch % self.every == 0:
            save(record.network, self.path, training=True)

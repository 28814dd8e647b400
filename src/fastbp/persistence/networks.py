"""Networks in files: what is written of one, and one made of what was read."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save as to_bytes

from .. import activations
from ..core.encoding import Encoding
from ..initializers import Given, Rule
from ..training.progress import Trainable
from ..util import disk
from ..util.names import same
from . import descriptions
from . import training as trainings
from .descriptions import N, described, fingerprints
from .reading import DTYPES, FORMAT, WITHOUT_ENCODERS, File, opened

Array = npt.NDArray[Any]


def described_network(network: Trainable) -> dict[str, Any]:
    """Return what a header says of a network."""
    network._architecture.resolved()
    for name in (*network.activations, network.cost_function.name):
        if any(part.startswith("<") for part in name.split("|")):
            raise ValueError(f"{name} was given to the network as a function, which has no name to be saved by: "
                             "register it (fastbp.register_activation, fastbp.register_cost)")
    header = {"architecture": described(network), "functions": fingerprints(network)}
    return header | ({"flat": True} if network.flat else {})


def tensors(network: Trainable, prefix: str = "") -> dict[str, Array]:
    """Return the tensors of a network by their names: its parameters, and the arrays that layers begin with."""
    found = {name: np.ascontiguousarray(array) for name, array in parameters(network, prefix).items()}
    return found | _given(network.init, prefix)


def parameters(network: Trainable, prefix: str = "") -> dict[str, Array]:
    """Name the parameters: views."""
    arrays = {f"{prefix}weights.{i}": array for i, array in enumerate(network.weights)}
    if network.bias:
        arrays |= {f"{prefix}biases.{i}": array for i, array in enumerate(network.biases)}
    for i, parts in enumerate(network.encoder_parameters):
        arrays |= {f"{prefix}encoders.{i}.{name}": part for name, part in parts.items()}
    if network.scaling:
        arrays[f"{prefix}scaling"] = network.scaling_factors
    return arrays | {f"{prefix}alphas.{i}": array for i, array in enumerate(network.alphas) if array.size}


def _given(init: Rule | tuple[Rule, ...], prefix: str) -> dict[str, Any]:
    """Name the arrays that layers begin with."""
    arrays = {}
    for i, rule in enumerate(init if isinstance(init, tuple) else ()):
        if isinstance(rule, Given):
            arrays[f"{prefix}init.weights.{i}"] = rule.weights
            if rule.biases is not None:
                arrays[f"{prefix}init.biases.{i}"] = rule.biases
    return arrays


def write(path: str | PathLike[str], header: dict[str, Any], content: dict[str, Array], *, encoded: bool) -> None:
    """Write a file of fastbp's: tensors, and all else as JSON in their header; older versions know no encoders."""
    version = FORMAT if encoded else WITHOUT_ENCODERS
    disk.write(path, to_bytes(content, {"fastbp": json.dumps({"format": version, **header})}))


def save(self: Trainable, path: str | PathLike[str], *, training: bool = False) -> None:
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/net.safetensors"
    >>> net.save(path)
    >>> bool((fastbp.Network.load(path).parameters == net.parameters).all())
    True
    """
    header, content = described_network(self), tensors(self)
    if training and self._progress is not None:
        header["training"], more = trainings.described(self, self._progress)
        content |= more
    write(path, header, content, encoded=bool(self.encoders))


def load(kind: Callable[..., N], path: str | PathLike[str]) -> N:
    """Read a network; sizes and names are checked against the header before anything is allocated."""
    with opened(path) as file:
        if "ensemble" in file.header:
            raise ValueError(f"{file.path} holds an ensemble of networks: use fastbp.Ensemble.load")
        if "table" in file.header:
            raise ValueError(f"{file.path} holds an estimator: use fastbp.TabularRegressor.load, or that of "
                             "TabularClassifier")
        training = file.header.get("training")
        if not (training is None or isinstance(training, dict)):
            raise ValueError(f"{file.path} has a corrupt header: training is expected to have names")
        more = {name for name in file.names if name.startswith("training.") and training is not None}
        network = made(kind, file, file.header, file.names - more)
        if training is not None:
            with file.blamed("training"):
                trainings.resume(network, training, file, more)
    return network


def made(kind: Callable[..., N], file: File, description: dict[str, Any], names: set[str], prefix: str = "") -> N:
    """Return a network of what a file says of it, from the tensors of these names, all of which are its own."""
    with file.blamed("header"):
        architecture = description["architecture"]
    if not isinstance(architecture, dict):
        raise ValueError(f"{file.path} has a corrupt header: architecture is expected to have names")
    given = {name for name in names if name.startswith(f"{prefix}init.")}
    _check_tensors(file, architecture, names - given, prefix)
    with file.blamed("header"):
        network = descriptions.network(kind, architecture, _read_given(file, given, architecture, prefix))
    _check_functions(file, description, network)
    expected = set(_given(network.init, prefix))
    if given != expected:
        raise ValueError(f"{file.path} holds {sorted(given)}, its header says {sorted(expected)}")
    with file.blamed("header"):
        network.flat = description.get("flat", False)
    for name, array in parameters(network, prefix).items():
        array[...] = file.read(name, network.dtype, array.shape)
    return network


def _check_functions(file: File, description: dict[str, Any], network: Trainable) -> None:
    """Raise if the names of the user's own functions stand for others than when the file was written."""
    now = fingerprints(network)
    with file.blamed("header"):
        saved = {name: bytes.fromhex(text) for name, text in description.get("functions", {}).items()}
        if saved.keys() != now.keys():
            raise ValueError(f"it tells of the functions {sorted(saved)}, expected {sorted(now)}")
    for name, text in now.items():
        if not same(saved[name], bytes.fromhex(text)):
            raise ValueError(f"{file.path} was saved by a network with another function: in this process the {name} "
                             "gives other values; register the one that it was trained with under that name")


def _encoding(architecture: dict[str, Any]) -> Encoding | None:
    """Return what encodes the columns of X, of what a header says; raises ValueError where that is nonsense."""
    if "encoders" not in architecture and "scaling" not in architecture:
        return None
    encoders, scaling = descriptions.encoders(architecture), architecture["scaling"]
    if not encoders or not isinstance(scaling, bool):
        raise ValueError(f"encoders are {architecture['encoders']}, scaling is {scaling!r}")
    return Encoding(architecture["layers"][0], encoders, scaling=scaling)


def _shapes(architecture: dict[str, Any], encoding: Encoding | None, prefix: str) -> dict[str, list[int]]:
    layers = list(architecture["layers"])
    if encoding is not None:
        layers[0] = encoding.width
    expected = {f"{prefix}weights.{i}": [m, n]
                for i, (n, m) in enumerate(zip(layers[:-1], layers[1:], strict=True))}
    if architecture["bias"]:
        expected |= {f"{prefix}biases.{i}": [m] for i, m in enumerate(layers[1:])}
    functions = [*architecture["activation"], architecture["output"]]  # how many, the network says
    return expected | {f"{prefix}alphas.{i}": [m]
                       for i, (m, name) in enumerate(zip(layers[1:], functions, strict=False))
                       if activations.is_parametric(name)}


def _encoder_shapes(encoding: Encoding, prefix: str) -> dict[str, list[int]]:
    """Return the shapes of what encoders learn, of arrays that take no memory."""
    nothing = np.broadcast_to(np.zeros(1), (encoding.n_parameters,))
    expected = {f"{prefix}encoders.{i}.{name}": list(part.shape)
                for i, parts in enumerate(encoding.views(nothing)) for name, part in parts.items()}
    return expected | ({f"{prefix}scaling": [encoding.width]} if encoding.scaling >= 0 else {})


def _check_tensors(file: File, architecture: dict[str, Any], names: set[str], prefix: str) -> None:
    """Raise unless the tensors of these names are the parameters of such a network."""
    try:
        dtype, encoding = DTYPES[architecture["dtype"]], _encoding(architecture)
        expected = _shapes(architecture, encoding, prefix)
        if encoding is not None:
            expected |= _encoder_shapes(encoding, prefix)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{file.path} has a corrupt header: {error!r}") from error
    if names != set(expected):
        raise ValueError(f"{file.path} holds {sorted(names)}, its header says {sorted(expected)}")
    for name, shape in expected.items():
        found = file.found(name)
        if found != (dtype, shape):
            raise ValueError(f"{file.path}: {name} is {found[0]} {found[1]}, its header says {dtype} {shape}")


def _read_given(file: File, names: set[str], architecture: dict[str, Any], prefix: str) -> dict[str, Array]:
    """Read the arrays that layers begin with, named without the prefix."""
    if not names:
        return {}
    shapes = _shapes(architecture, _encoding(architecture), f"{prefix}init.")
    return {name.removeprefix(prefix): file.read(name, architecture["dtype"], shapes[name]) for name in names}

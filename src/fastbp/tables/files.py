"""Estimators in files: columns, targets, networks and what they say of unseen rows, in one safetensors file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from os import PathLike
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from ..ensembles import files as ensembles
from ..ensembles.ensemble import Ensemble
from ..network import Network
from ..persistence.descriptions import same_description
from ..persistence.networks import write
from ..persistence.reading import File, opened
from . import matrix
from ._base import PARTS, _Tabular
from .recipe import Recipe

Array = npt.NDArray[Any]
E = TypeVar("E", bound=_Tabular)

TOLD = {"kind", "parameters", "columns", "recipe", "targets", "ensemble"}
"""What a header says of an estimator."""

OWN = "table."
"""What the names of tensors begin with that are neither a network's nor of its unseen rows."""

ARRAYS = {"importances", "best_epochs", "losses", "oof"}
"""Those of both estimators."""

PLAIN = {"int": int, "float": float, "str": str}
"""Types of a recipe's settings."""

NOT_SAVED = "callbacks", "random_state"
"""Parameters that come back as None, unless they are plain values."""


def save(self: _Tabular, path: str | PathLike[str]) -> None:
    """Write all that predictions need to one safetensors file.

    Columns, targets, networks, what these predict of rows that they have not seen, importances and losses are in it;
    of the parameters all but callbacks and a ``random_state`` that is no whole number, and sequences come back as
    lists. The file is written beside ``path``, synced and renamed, so that ``path`` always holds a whole file.

    Parameters
    ----------
    path : str or path
        Where to; see `Network.save`.

    Raises
    ------
    NotFittedError
        Before a fit.
    OSError
        If it cannot be written; it names ``path``, and an existing file is left as it was.
    ValueError
        If a function of the user's own is missing in this process, or names of classes are no plain values.
    """
    check_is_fitted(self)
    told, content = ensembles.described(self.ensemble_)
    targets, arrays = self._described_targets()
    oof = self.oof_predictions_
    arrays |= {"importances": self.feature_importances_, "best_epochs": np.atleast_1d(self.best_epoch_),
               "losses": np.array([self.evals_result_[part][self._loss] for part in PARTS]),
               "oof": oof.reshape(len(oof), -1)}
    content |= {OWN + key: np.ascontiguousarray(array) for key, array in arrays.items()}
    write(path, {"table": {
        "kind": type(self).__name__,
        "parameters": {key: _plain(key, value) for key, value in self.get_params(deep=False).items()},
        "columns": self._table.described(), "recipe": asdict(self.recipe_), "targets": targets, "ensemble": told,
    }}, content, encoded=any(network.encoders for network in self.ensemble_))


def load(kind: Callable[..., E], path: str | PathLike[str]) -> E:
    """Read an estimator that `save` wrote; everything is checked before it is used, and no code of the file is run."""
    with opened(path) as file:
        told = file.header.get("table")
        if told is None and ("architecture" in file.header or "ensemble" in file.header):
            what = "Network" if "architecture" in file.header else "Ensemble"
            raise ValueError(f"{file.path} holds no estimator: use fastbp.{what}.load")
        if not (isinstance(told, dict) and told.keys() == TOLD):
            raise ValueError(f"{file.path} has a corrupt header: an estimator is expected to have {sorted(TOLD)}")
        name = getattr(kind, "__name__", "")
        if told["kind"] != name:
            raise ValueError(f"{file.path} holds a {told['kind']!r}, expected a {name!r}: use its own load")
        with file.blamed("header"):
            self = kind(**{key: _made(value) for key, value in told["parameters"].items()})
            self._validate_params()
            table = matrix.made(told["columns"])
            same_description("columns", told["columns"], table.described())
            recipe = _recipe(told["recipe"])
        own = {key for key in file.names if key.startswith(OWN)}
        networks, known = ensembles.made(file, told["ensemble"], file.names - own)
        with file.blamed("table"):
            _fill(self, file, told["targets"], own, table, recipe, networks, known)
    return self


def _fill(self: _Tabular, file: File, told: Any, own: set[str], table: matrix.Table, recipe: Recipe,
          networks: list[Network], known: dict[str, Any]) -> None:
    """Set the attributes of a fitted estimator."""
    expected = {OWN + name for name in ARRAYS | self._target_arrays}
    if own != expected:
        raise ValueError(f"it holds {sorted(own)}, expected {sorted(expected)}")
    if not any(known.values()):
        raise ValueError("its ensemble knows nothing of rows that the networks have not seen")
    ensemble = Ensemble(networks)
    ensemble._resample, ensemble._calibration = known["resample"], known["calibration"]
    n_inputs, n_outputs = networks[0].layers[0], networks[0].layers[-1]
    if n_inputs != table.width:
        raise ValueError(f"its networks have {n_inputs} inputs, its columns make {table.width}")
    for network in networks:
        codes = {encoder.reads[0]: encoder.counts[0] for encoder in network.encoders if encoder.reads_codes}
        if codes != table.codes:
            raise ValueError(f"its networks read codes from {codes}, its columns make {table.codes}")
    if networks[0].cost_function.name != self._cost:
        raise ValueError(f"its networks have the cost {networks[0].cost_function}, expected {self._cost}")
    targets = self._read_targets(told, lambda name, dtype, shape: file.read(OWN + name, dtype, shape), n_outputs)
    best = file.read(f"{OWN}best_epochs", np.int64, [len(networks)])
    importances = file.read(f"{OWN}importances", np.float64, [len(table.columns)])
    if best.min() < 0 or not (np.isfinite(importances).all() and importances.min() >= 0):
        raise ValueError("its best epochs or importances are negative, or not finite")
    losses = file.read(f"{OWN}losses", np.float64, [2, _length(file, f"{OWN}losses", 1)])
    oof = file.read(f"{OWN}oof", np.float64, [_length(file, f"{OWN}oof", 0), n_outputs])
    self._finish(table, targets, recipe, ensemble, importances, best, losses)
    self.oof_predictions_ = oof[:, 0] if getattr(targets, "single", False) else oof


def _length(file: File, name: str, axis: int) -> int:
    """Return a number of rows or epochs that a file is free to choose."""
    shape = file.found(name)[1]
    if len(shape) != 2 or shape[axis] < 1:
        raise ValueError(f"{name} is {shape}, expected two dimensions")
    return shape[axis]


def _recipe(told: Any) -> Recipe:
    """Make a recipe; it only tells what was done."""
    made = Recipe(**{**told, "hidden_layer_sizes": tuple(told["hidden_layer_sizes"])})
    for field in fields(Recipe):
        kind, name = PLAIN.get(str(field.type)), field.name
        if kind is not None and type(getattr(made, name)) is not kind:
            raise ValueError(f"recipe has {name} {getattr(made, name)!r}, expected a {kind.__name__}")
    return made


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)) and name != "callbacks":
        return [_plain(name, item) for item in value]
    if isinstance(value, dict):
        return {"pairs": [[_plain(name, key), _plain(name, item)] for key, item in value.items()]}
    if value is None or isinstance(value, (str, int, float)):
        return value
    if name in NOT_SAVED:
        return None
    raise ValueError(f"{name} is {value!r}, which cannot be saved: give plain values")


def _made(value: Any) -> Any:
    """Make a parameter again."""
    return {key: item for key, item in value["pairs"]} if isinstance(value, dict) else value

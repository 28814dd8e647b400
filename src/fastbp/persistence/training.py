"""The training of a network in a file: optimizer, state, history, and what `EarlyStopping` has seen."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..training.callbacks import Best
from ..training.history import COLUMNS, History
from ..training.progress import Progress, Trainable
from ..util.settings import LARGEST_WHOLE
from . import descriptions
from .reading import File

Array = npt.NDArray[Any]

STATE, ROWS, BEST = "training.state", "training.history", "training.best."
"""Tensors that a training adds to a file: the optimizer's state, the history, and under its number what each
`EarlyStopping` would put back."""

STOPPING = {field.name for field in fields(Best)} - {"parameters"}
"""What a header says of each `EarlyStopping`."""

TRAINING = {"optimizer", "numbers", "key", "epochs", "generator", "diagnostics", "metrics", "stopping"}
"""What a header says of a training."""

LARGEST_KEY = 2**63 - 2
"""Of the keys that `training.progress.new_progress` draws."""


def described(network: Trainable, progress: Progress) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what a header says of a training, and its tensors.

    Raises
    ------
    ValueError
        If a parameter is not finite, or the schedule is none of `fastbp.schedules`.
    """
    if not np.isfinite(network.parameters).all():
        raise ValueError("parameters hold nan or inf, from which no training goes on: save without training=True")
    told = {
        "optimizer": descriptions.described_settings(progress.optimizer),
        "numbers": progress.optimizer.varied(progress.hyper),
        "key": progress.key,
        "epochs": progress.epochs,
        "generator": network.generator.bit_generator.state,
        "diagnostics": list(network.history.diagnostics),
        "metrics": list(network.history.metrics),
        "stopping": [{name: getattr(best, name) for name in sorted(STOPPING)} for best in progress.stopping],
    }
    tensors = {STATE: progress.state, ROWS: network.history.table()}
    tensors |= {f"{BEST}{i}": best.parameters for i, best in enumerate(progress.stopping)
                if best.parameters is not None}
    return told, tensors


def resume(network: Trainable, training: dict[str, Any], file: File, names: set[str]) -> None:
    """Put a training that was saved into a network."""
    if set(training) != TRAINING:
        raise ValueError(f"it tells {sorted(training)}, expected {sorted(TRAINING)}")
    optimizer = descriptions.optimizer(training["optimizer"])
    optimizer.check_names(network._architecture)
    stopping, size = training["stopping"], network.n_parameters
    best = {f"{BEST}{i}" for i in range(len(stopping))}
    if not {STATE, ROWS} <= names <= {STATE, ROWS} | best:
        raise ValueError(f"it holds {sorted(names)}, expected {STATE} and {ROWS}, and of {sorted(best)} what there is")
    state = file.read(STATE, network.dtype, [optimizer.slots * size])
    epochs = _integer("epochs", training["epochs"], LARGEST_WHOLE)
    progress = Progress(optimizer, state, optimizer.resumed(training["numbers"]),
                        _integer("key", training["key"], LARGEST_KEY), epochs)
    history = _made_history(file, training["diagnostics"], training["metrics"])
    told, expected = list(history.diagnostics), list(optimizer.diagnostics(progress.hyper))
    if len(history) and (history.last != epochs or set(told) != set(expected)):
        raise ValueError(f"its history ends in epoch {history.last} and has the diagnostics {told}, its optimizer is "
                         f"in epoch {epochs} and has {expected}")
    if not np.isfinite(network.parameters).all():
        raise ValueError("its parameters are not finite")
    for i, description in enumerate(stopping):
        name = f"{BEST}{i}"
        kept = file.read(name, network.dtype, [size]) if name in names else None
        progress.stopping.append(_made_best(description, kept, epochs))
    network.generator = _made_generator(training["generator"])
    network._progress, network.history = progress, history


def _integer(name: str, value: Any, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 0 to {largest}")
    return value


def _made_history(file: File, diagnostics: Any, metrics: Any) -> History:
    for what, names in (("diagnostics", diagnostics), ("metrics", metrics)):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{what} is {names!r}, expected a list of names")
        if len(set(names)) < len(names):
            raise ValueError(f"{what} is {names!r}, expected each name once")
    length = file.found(ROWS)[1][0]
    rows = file.read(ROWS, np.float64, [length, COLUMNS + len(diagnostics) + len(metrics)])
    if not np.isfinite(rows[:, [0, 1, 3]]).all():
        raise ValueError("its history holds epochs, costs or seconds that are not finite")
    return History(rows, diagnostics, metrics)


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
    descriptions.same_description("generator", state, source.state)
    if state["has_uint32"] not in (0, 1) or state["state"]["inc"] % 2 == 0:
        raise ValueError(f"generator is {state}, expected has_uint32 0 or 1 and an odd inc")
    return np.random.Generator(source)

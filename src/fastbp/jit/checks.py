"""What is wrong with arrays for compiled code, said in Python: compiled code cannot raise cheaply."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.tables import (
    CELL_COUNT,
    CELL_MODEL,
    CELL_TARGET_COLUMNS,
    COST_INPUT_NOISE,
    ENSEMBLE_CALLS,
    ENSEMBLE_COUNT,
    ENSEMBLE_LAYERS,
    ENSEMBLE_MEMBERS,
    ENSEMBLE_MODEL,
    ENSEMBLE_N_IN,
    ENSEMBLE_SIZE,
    ENSEMBLE_TARGETS,
    ENSEMBLE_WORK_SIZE,
    ENTRY_COUNT,
    ENTRY_DEPTH,
    ENTRY_ENCODING,
    ENTRY_MODEL,
    ENTRY_N_IN,
    ENTRY_PARAMETER_VJP,
    ENTRY_SIZE,
    ENTRY_WORK_SIZE,
    HYPER_COUNT,
    LAYER_COLUMNS,
    LAYER_MODEL,
    LAYER_N_OUT,
    MEMBER_COUNT,
    MEMBER_MODEL,
    RULE_BYTES,
    RULE_SLOTS,
)
from .model import EnsembleModel, Model, State

Array = npt.NDArray[Any]

ARRAYS = ("x", "X", "y", "Y", "u", "U", "U_jacobian", "out", "gradient", "work")
"""What `check` looks at, beside a model and a state."""


def check(model: Model | EnsembleModel, *, state: State | None = None, **arrays: Array) -> None:
    """Say what is wrong with arrays that are to go to compiled code. Called from Python.

    Parameters
    ----------
    model : Model or EnsembleModel
        Its arrays are checked too: whether they belong together.
    state : State, optional
        One that is to train the model.
    **arrays
        Any of x, X, y, Y, u, U, U_jacobian, out, gradient, work, by the names of the parameters above. ``out`` may
        have n_0 or n_L numbers a sample. With one target, or output, a sample Y, U and ``out`` may be (n_samples,).
        With an EnsembleModel any of x, mean, std, work.

    Raises
    ------
    TypeError
        If one is not an array, is of another dtype than the network, strided, or read-only where it would be written;
        or if the name is none of these.
    ValueError
        If its shape does not fit the network, or an array is of another model or optimizer.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> fastbp.jit.check(fastbp.Network((2, 1), dtype="float64").compiled(), x=np.zeros(3))
    Traceback (most recent call last):
        ...
    ValueError: x has shape (3,), expected (2,)
    """
    if isinstance(model, EnsembleModel):
        _check_ensemble(model, arrays)
        return
    size, kind = _checked_model(model)
    if state is not None:
        _check_state(model, state, size, kind)
    n_in, n_out = int(model.calls[ENTRY_N_IN]), int(model.layers[-1, LAYER_N_OUT])
    one = {"x": n_in, "y": int(model.cells[CELL_TARGET_COLUMNS]), "u": n_out}
    for_slopes = bool(model.calls[ENTRY_PARAMETER_VJP])
    for name, array in arrays.items():
        if name not in ARRAYS:
            raise TypeError(f"check has no argument {name!r}: {', '.join(ARRAYS)}")
        if name == "Y" and for_slopes or name == "U_jacobian" and not for_slopes:
            raise ValueError(f"{name} is given, but this model was compiled with slope_gradients={for_slopes}: a batch "
                             "of targets goes with False, cotangents of slopes with True")
        _check_kind(name, array, kind, written=name in ("out", "gradient", "work"))
        if name == "work":
            if array.size < model.calls[ENTRY_WORK_SIZE]:
                raise ValueError(f"work has {array.size} numbers, expected {model.calls[ENTRY_WORK_SIZE]}: use "
                                 "workspace(model)")
            continue
        rows = len(array) if array.ndim else 1
        wanted: list[tuple[int, ...]] = [(one.get(name, 0),)]
        if name == "gradient":
            wanted = [(size,), (0,)]
        elif name == "U_jacobian":
            wanted = [(rows, n_out, n_in)] + ([(rows, n_in)] if n_out == 1 else [])
        elif name in ("X", "Y", "U"):
            wanted = [(rows, one[name.lower()])] + ([(rows,)] if name != "X" and one[name.lower()] == 1 else [])
        elif name == "out":
            wanted = [(n_out,), (n_in,), (rows, n_out)] + ([(rows,)] if n_out == 1 else [])
        if array.shape not in wanted:
            raise ValueError(f"{name} has shape {array.shape}, expected {' or '.join(map(str, wanted))}")


def _check_kind(name: str, array: Any, kind: np.dtype[Any], *, written: bool, whose: str = "the network") -> None:
    """Check all of an array but its shape."""
    if not isinstance(array, np.ndarray) or array.dtype != kind:
        given = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else f"type {type(array).__name__}"
        raise TypeError(f"{name} has {given}, expected an array of {kind}, the dtype of {whose}")
    if not array.flags.c_contiguous:
        raise TypeError(f"{name} is strided: use np.ascontiguousarray({name})")
    if written and not array.flags.writeable:
        raise TypeError(f"{name} is read-only, and would be overwritten")


def _checked_model(model: Model) -> tuple[int, np.dtype[Any]]:
    """Return the number of parameters and the dtype of a model whose arrays belong together."""
    tables = {"layers": (-1, LAYER_COLUMNS), "cells": (CELL_COUNT,), "cost_parameter": (COST_INPUT_NOISE,),
              "calls": (ENTRY_COUNT,), "order": (0,)}
    if not isinstance(model, Model):
        raise TypeError(f"model is of type {type(model).__name__}, expected a Model from Network.compiled")
    for name, shape in tables.items():
        array, kind = getattr(model, name), np.dtype("d" if name == "cost_parameter" else np.int64)
        _check_kind(f"{name} of the model", array, kind, written=True, whose=f"{name} in every model")
        more = 0  # behind cells and calls stands what encoders are
        if name in ("cells", "calls") and array.size > shape[-1]:
            more = int(model.calls[ENTRY_ENCODING]) if model.calls.size > ENTRY_COUNT else 0
        if array.ndim != len(shape) or array.shape[-1] != shape[-1] + more:
            raise ValueError(f"{name} of the model has shape {array.shape}: it is none of a model")
    calls = model.calls
    marks = {int(calls[ENTRY_MODEL]), int(model.cells[CELL_MODEL]), *map(int, model.layers[:1, LAYER_MODEL])}
    if len(marks) > 1 or len(model.layers) != calls[ENTRY_DEPTH]:
        raise ValueError("layers, cells and calls are of different models: take all of them from one")
    kind, size = getattr(model.none, "dtype", np.dtype("d")), int(calls[ENTRY_SIZE])
    _check_kind("parameters of the model", model.parameters, kind, written=False)
    _check_kind("none of the model", model.none, kind, written=False)
    if model.none.size:
        raise ValueError(f"none of the model has {model.none.size} numbers, expected none")
    if model.parameters.shape != (size,):
        raise ValueError(f"parameters of the model has shape {model.parameters.shape}, expected ({size},), laid out "
                         "like those of its network")
    return size, kind


def _check_ensemble(model: EnsembleModel, arrays: dict[str, Array]) -> None:
    """Check that the arrays of an ensemble's model belong together, and those that go with it to `forward_ensemble`."""
    tables = {"sizes": (ENSEMBLE_COUNT,), "members": (-1, MEMBER_COUNT), "layers": (-1, LAYER_COLUMNS),
              "calls": (-1, ENTRY_COUNT)}
    for name, shape in tables.items():
        array = getattr(model, name)
        _check_kind(f"{name} of the model", array, np.dtype(np.int64), written=True, whose=f"{name} in every model")
        if array.ndim != len(shape) or array.shape[-1] != shape[-1] or not array.size:
            raise ValueError(f"{name} of the model has shape {array.shape}: it is none of a model")
    sizes = model.sizes
    marks = {int(sizes[ENSEMBLE_MODEL]), int(model.members[0, MEMBER_MODEL]), int(model.layers[0, LAYER_MODEL]),
             int(model.calls[0, ENTRY_MODEL])}
    if len(marks) > 1 or (len(model.members), len(model.layers), len(model.calls)) != tuple(
            sizes[[ENSEMBLE_MEMBERS, ENSEMBLE_LAYERS, ENSEMBLE_CALLS]]):
        raise ValueError("sizes, members, layers and calls are of different models: take all of them from one")
    kind = getattr(model.none, "dtype", np.dtype("d"))
    _check_kind("parameters of the model", model.parameters, kind, written=False)
    if model.parameters.shape != (sizes[ENSEMBLE_SIZE],):
        raise ValueError(f"parameters of the model has shape {model.parameters.shape}, expected "
                         f"({sizes[ENSEMBLE_SIZE]},), those of all its networks")
    wanted = {"x": sizes[ENSEMBLE_N_IN], "mean": sizes[ENSEMBLE_TARGETS], "std": sizes[ENSEMBLE_TARGETS]}
    for name, array in arrays.items():
        if name not in (*wanted, "work"):
            raise TypeError(f"check has no argument {name!r} for an ensemble: x, mean, std, work")
        _check_kind(name, array, kind, written=name != "x", whose="the networks")
        if name == "work" and array.size < sizes[ENSEMBLE_WORK_SIZE]:
            raise ValueError(f"work has {array.size} numbers, expected {sizes[ENSEMBLE_WORK_SIZE]}: use "
                             "ensemble_workspace(model)")
        if name != "work" and array.shape != (wanted[name],):
            raise ValueError(f"{name} has shape {array.shape}, expected ({wanted[name]},)")


def _check_state(model: Model, state: State, size: int, kind: np.dtype[Any]) -> None:
    """Check that a state is one to train a model with."""
    if not isinstance(state, State):
        raise TypeError(f"state is of type {type(state).__name__}, expected a State from fastbp.jit.state")
    _check_kind("parameters of the model", model.parameters, kind, written=True)
    slots, itemsize = state.rule >> RULE_SLOTS, state.rule >> RULE_BYTES & 15
    if itemsize != kind.itemsize:
        raise ValueError(f"rule of the state is for numbers of {itemsize} bytes, those of the model have "
                         f"{kind.itemsize}: use fastbp.jit.state(model)")
    for name, expected in (("gradient", size), ("slots", slots * size), ("hyper", HYPER_COUNT)):
        array = getattr(state, name)
        _check_kind(f"{name} of the state", array, np.dtype("d") if name == "hyper" else kind, written=True,
                    whose="hyper in every state" if name == "hyper" else "the network")
        if array.size != expected:
            raise ValueError(f"{name} of the state has {array.size} numbers, expected {expected}: the model has {size} "
                             f"parameters, and the rule {slots} slots for each; use fastbp.jit.state(model)")

"""Whether a model, a state and arrays have sizes by which kernels may go: inlined into what compiled code calls."""

from __future__ import annotations

from typing import Any

from ..kernels.compile import inline
from ..kernels.ir import made_of, user_array
from ..kernels.tables import (
    CELL_COUNT,
    CELL_MODEL,
    COST_INPUT_NOISE,
    ENTRY_COUNT,
    ENTRY_DEPTH,
    ENTRY_ENCODING,
    ENTRY_MODEL,
    ENTRY_SIZE,
    HYPER_COUNT,
    LAYER_COLUMNS,
    LAYER_MODEL,
    RULE_BYTES,
    RULE_SLOTS,
)
from .model import Model, State

_x, _X, _y, _Y, _u = (user_array(name, readonly=True) for name in ("x", "X", "y", "Y", "u"))
_out, _gradient, _work, _state = (user_array(name, readonly=False) for name in ("out", "gradient", "work", "the state"))
_trained, _hyper = (user_array(name, readonly=False) for name in ("parameters of the model", "hyper of the state"))
_check_model = made_of("the model", {"parameters": "f", "layers": "t", "cells": "n", "cost_parameter": "d",
                                     "calls": "n", "none": "f", "order": "n"})


# Without a branch within them: inlined with one, they have Numba count references to all arguments.


@inline
def _shaped(model: Model) -> Any:
    """Whether the arrays of a model have the sizes of one."""
    _check_model(model)
    return ((model.calls.size >= ENTRY_COUNT) & (model.cells.size >= CELL_COUNT)
            & (model.layers.shape[1] == LAYER_COLUMNS) & (model.layers.shape[0] > 0)
            & (model.cost_parameter.size == COST_INPUT_NOISE) & (model.none.size == 0) & (model.order.size == 0))


@inline
def _whole(model: Model) -> Any:
    """Whether arrays of these sizes belong together."""
    return ((model.calls[ENTRY_SIZE] == model.parameters.size) & (model.calls[ENTRY_DEPTH] == model.layers.shape[0])
            & (model.calls.size == ENTRY_COUNT + model.calls[ENTRY_ENCODING])
            & (model.cells.size == CELL_COUNT + model.calls[ENTRY_ENCODING])
            & (model.calls[ENTRY_MODEL] == model.cells[CELL_MODEL])
            & (model.calls[ENTRY_MODEL] == model.layers[0, LAYER_MODEL]))


@inline
def _of(model: Model, state: State) -> Any:
    """Whether a state is one for a model, whole itself."""
    parameters, rule = model.parameters, state.rule
    gradient, slots = _state(parameters, state.gradient), _state(parameters, state.slots)
    hyper = _hyper(model.cost_parameter, state.hyper)
    return ((gradient.size == parameters.size) & (hyper.size == HYPER_COUNT)
            & (slots.size == (rule >> RULE_SLOTS) * parameters.size)
            & ((rule >> RULE_BYTES & 15) == parameters.itemsize))

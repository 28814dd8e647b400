"""A network inside your own ``@njit`` code: run it, differentiate it, train it there.

``model = net.compiled()`` is a NamedTuple of arrays over the same parameter buffer as the Network. Pass it to compiled
functions (as an argument, not as a global: Numba would freeze its arrays) and call what is below on it. Nothing is
allocated but by `workspace`; each thread, or each iteration of a ``prange``, needs a workspace of its own. The callers
may be cached, release the interpreter lock, and run in parallel.

Arrays must be C-contiguous and of the network's dtype, and writable if they are written to: anything else is an error
when the caller is compiled. The parameters may be read-only for all that does not train. Compiled code cannot raise
cheaply, so where *sizes* do not fit, or arrays are of another model or optimizer, nothing is written and what comes
back is False or NaN; `check` says why. What stands in the arrays of a model and in ``rule`` of a state are addresses
and offsets, not for changing.

>>> import numba, numpy as np, fastbp
>>> @numba.njit
... def iterate(model, x, steps):
...     work = fastbp.jit.workspace(model)
...     for _ in range(steps):
...         fastbp.jit.forward(model, x, x, work)
...     return x
>>> net = fastbp.Network((2, 2), init="zeros", dtype="float64")
>>> net.weights[0][:] = [[0, 1], [1, 0]]
>>> iterate(net.compiled(), np.array([1.0, 2.0]), 3)
array([2., 1.])
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import optimizers
from .core import arrays, link
from .core import model as core
from .core.conversion import readonly
from .kernels import embedded, prototypes, tables
from .kernels.compile import VECTOR_BYTES, address, allocating, inline, kernel
from .kernels.embedded import Model, State
from .kernels.ir import call, made_of, pointer, user_array
from .kernels.passes import predict
from .kernels.tables import (
    CELL_COST,
    CELL_COUNT,
    CELL_MODEL,
    CELL_ONES,
    ENTRY_BLOCK,
    ENTRY_COUNT,
    ENTRY_DEPTH,
    ENTRY_MODEL,
    ENTRY_SIZE,
    ENTRY_WORK_SIZE,
    HYPER_COUNT,
    LAYER_COLUMNS,
    LAYER_MODEL,
    LAYER_N_IN,
    LAYER_N_OUT,
    RULE_ADDRESS,
    RULE_BYTES,
    RULE_SLOTS,
)
from .kernels.updates import rules
from .optimizers.base import Optimizer

__all__ = ["Model", "State", "check", "cost_and_gradient", "cost_and_gradient_batch", "forward", "forward_batch",
           "input_gradient", "state", "train_batch", "train_one", "update", "vjp", "workspace"]

Array = npt.NDArray[Any]

# The model's arrays are not read after a call: Numba would then count references to all arguments, by locked
# instructions (130 of 240 ns of `cost_and_gradient` at 4-32-2).

_x, _X, _y, _Y, _u = (user_array(name, readonly=True) for name in ("x", "X", "y", "Y", "u"))
_out, _gradient, _work, _state = (user_array(name, readonly=False) for name in ("out", "gradient", "work", "the state"))
_trained, _hyper = (user_array(name, readonly=False) for name in ("parameters of the model", "hyper of the state"))
_check_model = made_of("the model", {"parameters": "f", "layers": "t", "cells": "n", "cost_parameter": "d",
                                     "calls": "n", "none": "f", "order": "n"})


def compiled(self: core.Model, batch: int = 256) -> Model:
    """Return the network for use inside your own compiled code, see `fastbp.jit`.

    Parameters
    ----------
    batch : int, default 256
        Samples that a workspace takes at once. Larger batches go through it block by block; smaller numbers make
        smaller workspaces.

    Returns
    -------
    fastbp.jit.Model
        A NamedTuple of arrays over the same `parameters`: what compiled code learns, this network knows.

    Raises
    ------
    TypeError, ValueError
        If ``batch`` is not a whole number from 1 up.
    """
    plan, calls = link.embedded_tables(self._architecture, arrays.whole("batch", batch))
    parameters = self._parameters if self.parameters.flags.writeable else readonly(self._parameters)
    return Model(parameters, plan.layers, plan.cells, plan.cost_parameter, calls,
                 readonly(np.empty(0, self.dtype)), np.empty(0, np.int64))



def state(model: Model, optimizer: str | Optimizer = "adam") -> State:
    """Make the state of an optimizer for `train_one` and `train_batch`. Called from Python, not from compiled code.

    Parameters
    ----------
    model : Model
    optimizer : str or Optimizer, default "adam"
        A name stands for its defaults.

    Returns
    -------
    State
        A NamedTuple: gradient and slots (laid out like the parameters), hyper (``hyper[0]`` is the learning rate, which
        compiled code may change), and the address of the rule.

    Raises
    ------
    ValueError
        If there is no optimizer of that name, it is a method for the full batch, which has no rule for an update, or
        its learning rate is a schedule, which `Network.fit` alone follows; or if the arrays of the model do not belong
        together.
    TypeError
        If an array of the model is of another kind than `Network.compiled` makes it.
    """
    check(model)
    method = optimizers.get(optimizer)
    if not isinstance(method, optimizers.UpdateRule):
        raise ValueError(f"{type(method).__name__} works on the full batch, through Network.fit: use an update rule "
                         "such as 'adam' in compiled code")
    if method.has_schedule:
        raise ValueError(f"learning_rate is {method.learning_rate!r}, and compiled code has no epochs for a schedule "
                         "to follow: give a number, and change hyper[0] of the state as you go")
    size, dtype = model.parameters.size, model.parameters.dtype
    made_for = method.slots << RULE_SLOTS | dtype.itemsize << RULE_BYTES
    return State(np.zeros(size, dtype), np.zeros(method.slots * size, dtype), method.hyper(),
                 address(method.rule, dtype, prototypes.update_rule) | made_for, int(method.rule is rules.sgd))


# Without a branch within them: inlined with one, they have Numba count references to all arguments.


@inline
def _shaped(model: Model) -> Any:
    """Whether the arrays of a model have the sizes of one."""
    _check_model(model)
    return ((model.calls.size == ENTRY_COUNT) & (model.cells.size == CELL_COUNT)
            & (model.layers.shape[1] == LAYER_COLUMNS) & (model.layers.shape[0] > 0)
            & (model.cost_parameter.size == 2) & (model.none.size == 0) & (model.order.size == 0))


@inline
def _whole(model: Model) -> Any:
    """Whether arrays of these sizes belong together."""
    return ((model.calls[ENTRY_SIZE] == model.parameters.size) & (model.calls[ENTRY_DEPTH] == model.layers.shape[0])
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


@allocating
def workspace(model: Model) -> Array:
    """Allocate a workspace, ``work``, of the functions below: a flat array, one for each thread.

    Parameters
    ----------
    model : Model

    Returns
    -------
    ndarray
        A flat array of the network's dtype. Its contents are of no interest. Empty where the arrays of the model do not
        belong together.
    """
    whole = _shaped(model) and _whole(model)
    work = np.zeros(model.calls[ENTRY_WORK_SIZE] if whole else 0, model.parameters.dtype)
    if whole:
        ones = model.cells[CELL_ONES]
        work[ones : ones + VECTOR_BYTES // work.itemsize] = 1
    return work


@kernel
def forward(model: Model, x: Array, out: Array, work: Array) -> bool:
    """Compute the outputs o^L for one sample (1)(2).

    Parameters
    ----------
    model : Model
    x : ndarray, shape (n_0,)
        The input.
    out : ndarray, shape (n_L,)
        Overwritten with the outputs; may be ``x``.
    work : ndarray
        A `workspace`.

    Returns
    -------
    bool
        False if a size does not fit; nothing is written then.
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != layers[0, LAYER_N_IN] or out.size != layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE]:
        return False
    call(embedded.forward_one, pointer(model.calls), pointer(layers), pointer(model.calls), pointer(model.parameters),
         pointer(_work(model.parameters, work)), pointer(_x(model.parameters, x)),
         pointer(_out(model.parameters, out)))
    return True


@kernel
def forward_batch(model: Model, X: Array, out: Array, work: Array) -> bool:
    """Compute the outputs for many samples.

    Parameters
    ----------
    model : Model
    X : ndarray, shape (n_samples, n_0)
        Inputs.
    out : ndarray, shape (n_samples, n_L)
        Overwritten with the outputs.
    work : ndarray
        A `workspace`.

    Returns
    -------
    bool
        False if a size does not fit; nothing is written then.
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) \
            or X.size != n * layers[0, LAYER_N_IN] or out.size != n * layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE]:
        return False
    call(predict.predict, pointer(model.calls), layers, model.cells, _work(model.parameters, work), model.parameters,
         _X(model.parameters, X), model.order, n, model.calls[ENTRY_BLOCK], _out(model.parameters, out))
    return True


@kernel
def cost_and_gradient(model: Model, x: Array, y: Array, gradient: Array, work: Array) -> float:
    """Compute the cost E of one pair (3) and its gradient (4)-(6).

    Parameters
    ----------
    model : Model
    x : ndarray, shape (n_0,)
        The input.
    y : ndarray, shape (n_L,)
        The target; for cross_entropy probabilities or one-hot.
    gradient : ndarray, shape (n_parameters,) or (0,)
        Overwritten with ∂E/∂parameters; an empty one asks for the cost alone.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        E; NaN if a size does not fit, and nothing is written then.
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != layers[0, LAYER_N_IN] or y.size != layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE] \
            or (gradient.size != model.parameters.size and gradient.size != 0):
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[CELL_COST]
    call(embedded.gradient_one, pointer(model.calls), pointer(layers), pointer(model.cells), pointer(model.calls),
         pointer(model.cost_parameter), pointer(model.parameters), pointer(panels), pointer(_x(model.parameters, x)),
         pointer(_y(model.parameters, y)), pointer(_gradient(model.parameters, gradient)), gradient.size)
    return float(panels[cost])


@kernel
def cost_and_gradient_batch(model: Model, X: Array, Y: Array, gradient: Array, work: Array) -> float:
    """Compute the mean cost E of many pairs and its gradient.

    Parameters
    ----------
    model : Model
    X, Y : ndarray, shape (n_samples, n_0) and (n_samples, n_L)
        Inputs and targets.
    gradient : ndarray, shape (n_parameters,) or (0,)
        Overwritten with ∂E/∂parameters; an empty one asks for the cost alone.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        E; NaN if a size does not fit or there are no samples, and nothing is written then.
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) \
            or n == 0 or X.size != n * layers[0, LAYER_N_IN] or Y.size != n * layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE] \
            or (gradient.size != model.parameters.size and gradient.size != 0):
        return np.nan
    panels, slope = _work(model.parameters, work), _gradient(model.parameters, gradient)
    cost = model.cells[CELL_COST]
    call(embedded.many, pointer(model.calls), layers, model.cells, model.cost_parameter, panels, model.parameters,
         _X(model.parameters, X), _Y(model.parameters, Y), model.none, model.order, n, model.calls[ENTRY_BLOCK], slope,
         slope, model.cost_parameter, 0)
    return float(panels[cost])


@kernel
def input_gradient(model: Model, x: Array, y: Array, out: Array, work: Array) -> float:
    """Compute the cost E of one pair and ∂E/∂x.

    Parameters
    ----------
    model : Model
    x, y : ndarray, shape (n_0,) and (n_L,)
        Input and target.
    out : ndarray, shape (n_0,)
        Overwritten with ∂E/∂x.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        E; NaN if a size does not fit, and nothing is written then.
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != layers[0, LAYER_N_IN] or y.size != layers[-1, LAYER_N_OUT] or out.size != x.size \
            or work.size < model.calls[ENTRY_WORK_SIZE]:
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[CELL_COST]
    call(embedded.input_one, pointer(model.calls), pointer(layers), pointer(model.cells), pointer(model.calls),
         pointer(model.cost_parameter), pointer(model.parameters), pointer(panels), pointer(_x(model.parameters, x)),
         pointer(_y(model.parameters, y)), pointer(_out(model.parameters, out)))
    return float(panels[cost])


@kernel
def vjp(model: Model, x: Array, u: Array, out: Array, work: Array) -> bool:
    """Compute uᵀ ∂o^L/∂x for one sample.

    Parameters
    ----------
    model : Model
    x, u : ndarray, shape (n_0,) and (n_L,)
        The input, and a weight for each output.
    out : ndarray, shape (n_0,)
        Overwritten with Σ_j u_j ∂o_j/∂x_k.
    work : ndarray
        A `workspace`.

    Returns
    -------
    bool
        False if a size does not fit; nothing is written then.
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != layers[0, LAYER_N_IN] or u.size != layers[-1, LAYER_N_OUT] or out.size != x.size \
            or work.size < model.calls[ENTRY_WORK_SIZE]:
        return False
    call(embedded.vjp_one, pointer(model.calls), pointer(layers), pointer(model.calls), pointer(model.parameters),
         pointer(_work(model.parameters, work)), pointer(_x(model.parameters, x)), pointer(_u(model.parameters, u)),
         pointer(_out(model.parameters, out)))
    return True


@kernel
def train_one(model: Model, state: State, x: Array, y: Array, work: Array) -> float:
    """Learn from one pair: one update of the network's parameters.

    Parameters
    ----------
    model : Model
    state : State
        From `state`; overwritten.
    x, y : ndarray, shape (n_0,) and (n_L,)
        Input and target.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        The cost before the update; NaN if a size does not fit, and nothing is written then.
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != layers[0, LAYER_N_IN] or y.size != layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE] or not _of(model, state):
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[CELL_COST]
    call(embedded.train_one, pointer(model.calls), pointer(layers), pointer(model.cells), pointer(model.calls),
         pointer(model.cost_parameter), pointer(_trained(model.parameters, model.parameters)), pointer(panels),
         pointer(_x(model.parameters, x)), pointer(_y(model.parameters, y)),
         pointer(_state(model.parameters, state.gradient)), pointer(_state(model.parameters, state.slots)),
         state.slots.size, pointer(_hyper(model.cost_parameter, state.hyper)), state.rule & RULE_ADDRESS, state.plain)
    return float(panels[cost])


@kernel
def train_batch(model: Model, state: State, X: Array, Y: Array, work: Array) -> float:
    """Learn from a batch: one update by the gradient of the mean cost of all its samples.

    Parameters
    ----------
    model : Model
    state : State
        From `state`; overwritten.
    X, Y : ndarray, shape (n_samples, n_0) and (n_samples, n_L)
        Inputs and targets.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        The mean cost before the update; NaN if a size does not fit or there are no samples, and nothing is written
        then.
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) \
            or n == 0 or X.size != n * layers[0, LAYER_N_IN] or Y.size != n * layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE] or not _of(model, state):
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[CELL_COST]
    call(embedded.many, pointer(model.calls), layers, model.cells, model.cost_parameter, panels,
         _trained(model.parameters, model.parameters), _X(model.parameters, X), _Y(model.parameters, Y), model.none,
         model.order, n, model.calls[ENTRY_BLOCK], _state(model.parameters, state.gradient),
         _state(model.parameters, state.slots), _hyper(model.cost_parameter, state.hyper), state.rule & RULE_ADDRESS)
    return float(panels[cost])


@kernel
def update(model: Model, state: State) -> bool:
    """Apply the optimizer to a gradient of your own making, in ``state.gradient``.

    Parameters
    ----------
    model : Model
    state : State
        Its gradient holds what to descend; its slots and powers are overwritten.

    Returns
    -------
    bool
        False if the state belongs to another network; nothing is written then.
    """
    if not _shaped(model) or not _whole(model) or not _of(model, state):
        return False
    gradient, slots = _state(model.parameters, state.gradient), _state(model.parameters, state.slots)
    hyper = _hyper(model.cost_parameter, state.hyper)
    hyper[tables.HYPER_POWER1] *= hyper[tables.HYPER_BETA1]
    hyper[tables.HYPER_POWER2] *= hyper[tables.HYPER_BETA2]
    call(prototypes.update_rule, state.rule & RULE_ADDRESS, _trained(model.parameters, model.parameters), gradient,
         slots, 0, model.parameters.size, 0, hyper)
    return True


def check(model: Model, *, state: State | None = None, **arrays: Array) -> None:
    """Say what is wrong with arrays that are to go to compiled code. Called from Python.

    Parameters
    ----------
    model : Model
        Its arrays are checked too: whether they belong together.
    state : State, optional
        One that is to train the model.
    **arrays
        Any of x, X, y, Y, u, out, gradient, work, by the names of the parameters above. ``out`` may have n_0 or n_L
        numbers a sample.

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
    size, kind = _checked_model(model)
    if state is not None:
        _check_state(model, state, size, kind)
    n_in, n_out = int(model.layers[0, LAYER_N_IN]), int(model.layers[-1, LAYER_N_OUT])
    one = {"x": n_in, "y": n_out, "u": n_out}
    for name, array in arrays.items():
        if name not in ("x", "X", "y", "Y", "u", "out", "gradient", "work"):
            raise TypeError(f"check has no argument {name!r}: x, X, y, Y, u, out, gradient, work")
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
        elif name in ("X", "Y"):
            wanted = [(rows, one[name.lower()])]
        elif name == "out":
            wanted = [(n_out,), (n_in,), (rows, n_out)]
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
    tables = {"layers": (-1, LAYER_COLUMNS), "cells": (CELL_COUNT,), "cost_parameter": (2,), "calls": (ENTRY_COUNT,),
              "order": (0,)}
    if not isinstance(model, Model):
        raise TypeError(f"model is of type {type(model).__name__}, expected a Model from Network.compiled")
    for name, shape in tables.items():
        array, kind = getattr(model, name), np.dtype("d" if name == "cost_parameter" else np.int64)
        _check_kind(f"{name} of the model", array, kind, written=True, whose=f"{name} in every model")
        if array.ndim != len(shape) or array.shape[-1] != shape[-1]:
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

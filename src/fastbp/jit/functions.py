"""The functions that compiled code calls with a `Model`: each looks at sizes, then calls a kernel by address."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import embedded, prototypes, tables
from ..kernels.compile import allocating, kernel
from ..kernels.ir import call, pointer
from ..kernels.passes import predict
from ..kernels.tables import (
    CELL_COST,
    CELL_TARGET_COLUMNS,
    ENTRY_BLOCK,
    ENTRY_N_IN,
    ENTRY_WORK_SIZE,
    LAYER_N_OUT,
    RULE_ADDRESS,
)
from .model import Model, State
from .sizes import _X, _Y, _gradient, _hyper, _of, _out, _shaped, _state, _trained, _u, _whole, _work, _x, _y

Array = npt.NDArray[Any]

# The model's arrays are not read after a call: Numba would then count references to all arguments, by locked
# instructions (130 of 240 ns of `cost_and_gradient` at 4-32-2).


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

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Network((2, 3, 1), dtype="float64").compiled()
    >>> work = fastbp.jit.workspace(model)
    >>> work.dtype, work.ndim
    (dtype('float64'), 1)
    """
    whole = _shaped(model) and _whole(model)
    return np.zeros(model.calls[ENTRY_WORK_SIZE] if whole else 0, model.parameters.dtype)


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

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> out = np.empty(1)
    >>> jit.forward(model, x, out, work), bool(np.allclose(out, net.predict(x)))
    (True, True)
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != model.calls[ENTRY_N_IN] or out.size != layers[-1, LAYER_N_OUT] \
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

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> X, Y = np.array([[0.5, -1.0], [0.0, 1.0]]), np.array([[0.2], [0.4]])
    >>> out = np.empty((2, 1))
    >>> jit.forward_batch(model, X, out, work), bool(np.allclose(out, net.predict(X)))
    (True, True)
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) \
            or X.size != n * model.calls[ENTRY_N_IN] or out.size != n * layers[-1, LAYER_N_OUT] \
            or work.size < model.calls[ENTRY_WORK_SIZE]:
        return False
    call(predict.predict, pointer(model.calls), layers, model.cells, _work(model.parameters, work), model.parameters,
         _X(model.parameters, X), pointer(model.order), model.order, n, model.calls[ENTRY_BLOCK],
         _out(model.parameters, out))
    return True


@kernel
def cost_and_gradient(model: Model, x: Array, y: Array, gradient: Array, work: Array) -> float:
    """Compute the cost E of one pair (3) and its gradient (4)-(6).

    Parameters
    ----------
    model : Model
    x : ndarray, shape (n_0,)
        The input.
    y : ndarray, shape (n_L,), or (n_L/2,) for gaussian_nll
        The target; for cross_entropy probabilities or one-hot.
    gradient : ndarray, shape (n_parameters,) or (0,)
        Overwritten with ∂E/∂parameters; an empty one asks for the cost alone.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        E; NaN if a size does not fit, and nothing is written then.

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> gradient = np.empty(net.n_parameters)
    >>> cost = jit.cost_and_gradient(model, x, y, gradient, work)
    >>> bool(np.allclose(gradient, net.gradient(x[None], y[None])))
    True
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != model.calls[ENTRY_N_IN] or y.size != model.cells[CELL_TARGET_COLUMNS] \
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
    X, Y : ndarray, shape (n_samples, n_0) and (n_samples, n_L), for gaussian_nll (n_samples, n_L/2)
        Inputs and targets.
    gradient : ndarray, shape (n_parameters,) or (0,)
        Overwritten with ∂E/∂parameters; an empty one asks for the cost alone.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        E; NaN if a size does not fit or there are no samples, and nothing is written then.

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> X, Y = np.array([[0.5, -1.0], [0.0, 1.0]]), np.array([[0.2], [0.4]])
    >>> gradient = np.empty(net.n_parameters)
    >>> cost = jit.cost_and_gradient_batch(model, X, Y, gradient, work)
    >>> bool(np.isclose(cost, net.cost(X, Y)) and np.allclose(gradient, net.gradient(X, Y)))
    True
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) \
            or n == 0 or X.size != n * model.calls[ENTRY_N_IN] or Y.size != n * model.cells[CELL_TARGET_COLUMNS] \
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
    x, y : ndarray, shape (n_0,) and (n_L,), for gaussian_nll (n_L/2,)
        Input and target.
    out : ndarray, shape (n_0,)
        Overwritten with ∂E/∂x.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        E; NaN if a size does not fit, and nothing is written then.

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> slope = np.empty(2)
    >>> cost = jit.input_gradient(model, x, y, slope, work)
    >>> bool(np.allclose(slope, net.input_gradient(x[None], y[None])[0]))
    True
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != model.calls[ENTRY_N_IN] or y.size != model.cells[CELL_TARGET_COLUMNS] or out.size != x.size \
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

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> slope = np.empty(2)
    >>> jit.vjp(model, x, np.ones(1), slope, work), bool(np.allclose(slope, net.jacobian(x[None])[0, 0]))
    (True, True)
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != model.calls[ENTRY_N_IN] or u.size != layers[-1, LAYER_N_OUT] or out.size != x.size \
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
    x, y : ndarray, shape (n_0,) and (n_L,), for gaussian_nll (n_L/2,)
        Input and target.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        The cost before the update; NaN if a size does not fit, and nothing is written then.

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> optimizer = jit.state(model, fastbp.SGD(0.1))
    >>> costs = [jit.train_one(model, optimizer, x, y, work) for _ in range(20)]
    >>> bool(costs[-1] < 0.1 * costs[0])
    True
    """
    layers = model.layers
    if not _shaped(model) or not _whole(model) \
            or x.size != model.calls[ENTRY_N_IN] or y.size != model.cells[CELL_TARGET_COLUMNS] \
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
    X, Y : ndarray, shape (n_samples, n_0) and (n_samples, n_L), for gaussian_nll (n_samples, n_L/2)
        Inputs and targets.
    work : ndarray
        A `workspace`.

    Returns
    -------
    float
        The mean cost before the update; NaN if a size does not fit or there are no samples, and nothing is written
        then.

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> X, Y = np.array([[0.5, -1.0], [0.0, 1.0]]), np.array([[0.2], [0.4]])
    >>> optimizer = jit.state(model, fastbp.Adam(0.05))
    >>> costs = [jit.train_batch(model, optimizer, X, Y, work) for _ in range(50)]
    >>> bool(costs[-1] < 0.1 * costs[0])
    True
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) \
            or n == 0 or X.size != n * model.calls[ENTRY_N_IN] or Y.size != n * model.cells[CELL_TARGET_COLUMNS] \
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

    Examples
    --------
    >>> import numba, numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=4)
    >>> work, x, y = jit.workspace(model), np.array([0.5, -1.0]), np.array([0.2])
    >>> optimizer, before = jit.state(model, fastbp.SGD(0.1)), net.parameters.copy()
    >>> optimizer.gradient[:] = 1
    >>> jit.update(model, optimizer), bool(np.allclose(net.parameters, before - 0.1))
    (True, True)
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

"""A network inside your own ``@njit`` code: run it, differentiate it, train it there.

``model = net.compiled()`` is a NamedTuple of arrays over the same parameter buffer as the Network. Pass it to compiled
functions (as an argument, not as a global: Numba would freeze its arrays) and call what is below on it. Nothing is
allocated but by `workspace`; each thread, or each iteration of a ``prange``, needs a workspace of its own. The callers
may be cached, release the interpreter lock, and run in parallel.

Arrays must be C-contiguous and of the network's dtype: anything else is an error when the caller is compiled. Compiled
code cannot raise cheaply, so where *sizes* do not fit, nothing is written and what comes back is False or NaN; `check`
says why.

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

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import optimizers
from .kernels import backprop, codes, embedded, layout, updates
from .kernels._jit import VECTOR_BYTES, address, allocating, kernel
from .kernels.activations import softmax_backward
from .kernels.codes import (
    BLOCK,
    COST,
    DEPTH,
    FORWARD_MANY,
    FORWARD_ONE,
    GRADIENT_ONE,
    INPUT_ONE,
    MANY,
    N_IN,
    N_OUT,
    ONES,
    OUTPUT,
    SIZE,
    TRAIN_ONE,
    VJP_ONE,
    WORK_SIZE,
)
from .kernels.embedded import Model, State
from .kernels.simd import call, lent, pointer
from .method import Optimizer
from .validation import readonly

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Model", "State", "check", "cost_and_gradient", "cost_and_gradient_batch", "forward", "forward_batch",
           "input_gradient", "state", "train_batch", "train_one", "update", "vjp", "workspace"]

Array = npt.NDArray[Any]

# The model's arrays are not read after a call: Numba would then count references to all arguments, by locked
# instructions (130 of 240 ns of `cost_and_gradient` at 4-32-2).

_x, _X, _y, _Y, _u = (lent(name, readonly=True) for name in ("x", "X", "y", "Y", "u"))
_out, _gradient, _work, _state = (lent(name, readonly=False) for name in ("out", "gradient", "work", "the state"))


def model(network: Network, batch: int) -> Model:
    """Build the model of a network, with workspaces for so many samples at a time: `Network.compiled`."""
    block = layout.block_samples(network.layers, network.dtype, batch)
    plan = network.new_plan(block, backward=True)
    backprop.fill_address(plan, network.dtype, codes.SCATTER)
    output = network._rows[-1]
    plan.layers[-1, codes.ACTIVATION] = network.address(output.kernel, codes.ACTIVATION_ARGUMENTS)
    calls = np.zeros(codes.CALLS, np.int64)
    calls[[WORK_SIZE, BLOCK, DEPTH, SIZE]] = plan.panels.size, block, len(plan.layers), network.n_parameters
    if output.name == "softmax":
        calls[OUTPUT] = network.address(softmax_backward, codes.ACTIVATION_ARGUMENTS)
    embedded.fill_addresses(calls, network.dtype)
    return Model(network.parameters, plan.layers, plan.cells, plan.cost_parameter, calls,
                 readonly(np.empty(0, network.dtype)), np.empty(0, np.int64))


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
        its learning rate is a schedule, which `Network.fit` alone follows.
    """
    method = optimizers.get(optimizer)
    if not isinstance(method, optimizers.UpdateRule):
        raise ValueError(f"{type(method).__name__} works on the full batch, through Network.fit: use an update rule "
                         "such as 'adam' in compiled code")
    if method.scheduled:
        raise ValueError(f"learning_rate is {method.learning_rate!r}, and compiled code has no epochs for a schedule "
                         "to follow: give a number, and change hyper[0] of the state as you go")
    size, dtype = model.parameters.size, model.parameters.dtype
    return State(np.zeros(size, dtype), np.zeros(method.slots * size, dtype), method.hyper(),
                 address(method.rule, codes.RULE_ARGUMENTS, dtype), int(method.rule is updates.sgd))


@allocating
def workspace(model: Model) -> Array:
    """Allocate a workspace, ``work``, of the functions below: a flat array, one for each thread.

    Parameters
    ----------
    model : Model

    Returns
    -------
    ndarray
        A flat array of the network's dtype. Its contents are of no interest.
    """
    work = np.zeros(model.calls[WORK_SIZE], model.parameters.dtype)
    ones = model.cells[ONES]
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
    if x.size != layers[0, N_IN] or out.size != layers[-1, N_OUT] or work.size < model.calls[WORK_SIZE]:
        return False
    call(model.calls[FORWARD_ONE], pointer(layers), pointer(model.calls), pointer(model.parameters),
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
    if X.size != n * layers[0, N_IN] or out.size != n * layers[-1, N_OUT] or work.size < model.calls[WORK_SIZE]:
        return False
    call(model.calls[FORWARD_MANY], layers, model.cells, _work(model.parameters, work), model.parameters,
         _X(model.parameters, X), model.order, n, model.calls[BLOCK], _out(model.parameters, out))
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
    if x.size != layers[0, N_IN] or y.size != layers[-1, N_OUT] or work.size < model.calls[WORK_SIZE] \
            or (gradient.size != model.parameters.size and gradient.size != 0):
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[COST]
    call(model.calls[GRADIENT_ONE], pointer(layers), pointer(model.cells), pointer(model.calls),
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
    if n == 0 or X.size != n * layers[0, N_IN] or Y.size != n * layers[-1, N_OUT] \
            or work.size < model.calls[WORK_SIZE] \
            or (gradient.size != model.parameters.size and gradient.size != 0):
        return np.nan
    panels, slope = _work(model.parameters, work), _gradient(model.parameters, gradient)
    cost = model.cells[COST]
    call(model.calls[MANY], layers, model.cells, model.cost_parameter, panels, model.parameters,
         _X(model.parameters, X), _Y(model.parameters, Y), model.none, model.order, n, model.calls[BLOCK], slope, slope,
         model.cost_parameter, 0)
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
    if x.size != layers[0, N_IN] or y.size != layers[-1, N_OUT] or out.size != x.size \
            or work.size < model.calls[WORK_SIZE]:
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[COST]
    call(model.calls[INPUT_ONE], pointer(layers), pointer(model.cells), pointer(model.calls),
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
    if x.size != layers[0, N_IN] or u.size != layers[-1, N_OUT] or out.size != x.size \
            or work.size < model.calls[WORK_SIZE]:
        return False
    call(model.calls[VJP_ONE], pointer(layers), pointer(model.calls), pointer(model.parameters),
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
    if x.size != layers[0, N_IN] or y.size != layers[-1, N_OUT] or work.size < model.calls[WORK_SIZE] \
            or state.gradient.size != model.parameters.size:
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[COST]
    call(model.calls[TRAIN_ONE], pointer(layers), pointer(model.cells), pointer(model.calls),
         pointer(model.cost_parameter), pointer(model.parameters), pointer(panels), pointer(_x(model.parameters, x)),
         pointer(_y(model.parameters, y)), pointer(_state(model.parameters, state.gradient)),
         pointer(_state(model.parameters, state.slots)), state.slots.size, pointer(state.hyper), state.rule,
         state.plain)
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
    if n == 0 or X.size != n * layers[0, N_IN] or Y.size != n * layers[-1, N_OUT] \
            or work.size < model.calls[WORK_SIZE] or state.gradient.size != model.parameters.size:
        return np.nan
    panels = _work(model.parameters, work)
    cost = model.cells[COST]
    call(model.calls[MANY], layers, model.cells, model.cost_parameter, panels, model.parameters,
         _X(model.parameters, X), _Y(model.parameters, Y), model.none, model.order, n, model.calls[BLOCK],
         _state(model.parameters, state.gradient), _state(model.parameters, state.slots), state.hyper, state.rule)
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
    if state.gradient.size != model.parameters.size:
        return False
    gradient, slots = _state(model.parameters, state.gradient), _state(model.parameters, state.slots)
    hyper = state.hyper
    hyper[codes.POWER1] *= hyper[codes.BASE1]
    hyper[codes.POWER2] *= hyper[codes.BASE2]
    call(state.rule, model.parameters, gradient, slots, 0, model.parameters.size, 0, hyper)
    return True


def check(model: Model, **arrays: Array) -> None:
    """Say what is wrong with arrays that are to go to compiled code. Called from Python.

    Parameters
    ----------
    model : Model
    **arrays
        Any of x, X, y, Y, u, out, gradient, work, by the names of the parameters above. ``out`` may have n_0 or n_L
        numbers a sample.

    Raises
    ------
    TypeError
        If one is not an array, is of another dtype than the network, strided, or read-only where it would be written;
        or if the name is none of these.
    ValueError
        If its shape does not fit the network.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> fastbp.jit.check(fastbp.Network((2, 1), dtype="float64").compiled(), x=np.zeros(3))
    Traceback (most recent call last):
        ...
    ValueError: x has shape (3,), expected (2,)
    """
    n_in, n_out = int(model.layers[0, N_IN]), int(model.layers[-1, N_OUT])
    one, size, kind = {"x": n_in, "y": n_out, "u": n_out}, model.parameters.size, model.parameters.dtype
    for name, array in arrays.items():
        if name not in ("x", "X", "y", "Y", "u", "out", "gradient", "work"):
            raise TypeError(f"check has no argument {name!r}: x, X, y, Y, u, out, gradient, work")
        if not isinstance(array, np.ndarray) or array.dtype != kind:
            given = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else f"type {type(array).__name__}"
            raise TypeError(f"{name} has {given}, expected an array of {kind}, the dtype of the network")
        if not array.flags.c_contiguous:
            raise TypeError(f"{name} is strided: use np.ascontiguousarray({name})")
        if name in ("out", "gradient", "work") and not array.flags.writeable:
            raise TypeError(f"{name} is read-only, and would be overwritten")
        if name == "work":
            if array.size < model.calls[WORK_SIZE]:
                raise ValueError(f"work has {array.size} numbers, expected {model.calls[WORK_SIZE]}: use "
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

"""A network inside the caller's own compiled code: one sample or a batch, with all that it needs as arguments.

These kernels are what `fastbp.jit` calls by address. One sample goes with neurons in lanes, as in `online`; a batch
goes block by block through the two phases of `backprop`. Costs come back in the first number of the panel of costs.
"""

from typing import NamedTuple

from . import predict
from ._jit import address, inline, kernel
from .codes import (
    BASE1,
    BASE2,
    BELOW,
    BIASES,
    COST,
    COST_KERNEL,
    DELTA,
    DELTA_BELOW,
    FORWARD_MANY,
    FORWARD_ONE,
    GRADIENT_ONE,
    INPUT_ONE,
    JACOBIAN,
    MANY,
    MATCHED,
    MY_NEURONS,
    MY_SAMPLES,
    N_IN,
    N_OUT,
    OUT,
    OUTPUT,
    POWER1,
    POWER2,
    RATE,
    SCRATCH,
    SLOPES_ONE,
    SOURCE,
    TARGET,
    THROUGH,
    TRAIN_ONE,
    VJP_ONE,
    WEIGHTS,
)
from .layout import Doubles, Floats, Integers
from .online import activate, net_input
from .simd import COLUMN_VECTORS, call, lanes, rank_one, sum_columns, view


class Model(NamedTuple):
    """A network as compiled code sees it; its parameters are those of the Network, not a copy."""

    parameters: Floats
    """The flat buffer."""
    layers: Integers
    """A row a layer, see `codes`."""
    cells: Integers
    """Single offsets and addresses, see `codes`."""
    cost_parameter: Doubles
    """The one number of a cost that has one."""
    calls: Integers
    """Sizes, and the addresses of this module's KERNELS."""
    none: Floats
    """Empty, read-only: no sample weights."""
    order: Integers
    """Empty: samples as they come."""


class State(NamedTuple):
    """An optimizer with its state."""

    gradient: Floats
    """Laid out like the parameters."""
    slots: Floats
    """The optimizer's slots, each laid out like the parameters."""
    hyper: Doubles
    """The rule's numbers, see `updates`; the first is the learning rate."""
    rule: int
    """Address of the rule."""
    plain: int
    """1 if it is plain gradient descent, which needs no gradient for one sample."""


@kernel
def through(layers, panels, parameters, x, last):
    """(1)(2) for one sample, neurons in lanes; the top layer stays at its net inputs if ``last`` = 0."""
    top = layers.shape[0] - 1
    inputs = view(panels, layers[0, SOURCE], x.size)
    for k in range(x.size):
        inputs[k] = x[k]
    for layer in range(top + 1):
        net_input(layers, layer, panels, parameters)
        if layer < top or last != 0:
            activate(layers, layer, panels)


@kernel
def below(layers, layer, panels, parameters, target):
    """δ_k = φ'(net_k) Σ_j w_jk δ_j (5) of one layer: the panel at ``target`` holds φ' and is overwritten."""
    n_in, wide = layers[layer, N_IN], COLUMN_VECTORS * lanes(panels)
    for k in range(0, n_in, wide):
        sum_columns(parameters, layers[layer, WEIGHTS] + k, n_in, layers[layer, N_OUT], panels, layers[layer, DELTA],
                    target + k, n_in - k)


@kernel
def slopes(layers, calls, panels, parameters, gradient, hyper, add):
    """(5)(6) for one sample: overwrites ``gradient``, or if ``add`` = 1 adds −μ times the slopes to it, which is (7).

    So ``gradient`` may be the parameters themselves: each δ^{l-1} is taken from W^l before W^l changes.
    """
    scale = type(panels[0])(-hyper[RATE] if add != 0 else 1.0)
    for layer in range(layers.shape[0] - 1, -1, -1):
        n_in, n_out, d = layers[layer, N_IN], layers[layer, N_OUT], layers[layer, DELTA]
        if layer > 0:
            call(calls[BELOW], layers, layer, panels, parameters, layers[layer, DELTA_BELOW])
        rank_one(gradient, layers[layer, WEIGHTS], n_out, n_in, panels, d, layers[layer, SOURCE], scale, add)
        if layers[layer, BIASES] >= 0:
            biases, delta = view(gradient, layers[layer, BIASES], n_out), view(panels, d, n_out)
            for j in range(n_out):
                slope = scale * delta[j]
                biases[j] = biases[j] + slope if add != 0 else slope


@inline
def to_cost(layers, cells, calls, cost_parameter, panels, parameters, x, y):
    """(1)-(4) for one sample: its cost goes to the panel of costs, δ^L to the top delta panel."""
    call(calls[THROUGH], layers, panels, parameters, x, 1 - cells[MATCHED])
    top = layers.shape[0] - 1
    n = layers[top, N_OUT]
    out, target = view(panels, layers[top, OUT], n), view(panels, cells[TARGET], n)
    delta = view(panels, layers[top, DELTA], n)
    for j in range(n):
        target[j] = y[j]
    call(cells[COST_KERNEL], out, target, delta, n, cost_parameter)
    if cells[JACOBIAN] != 0:
        call(cells[JACOBIAN], out, delta, n)
    cost = 0.0
    for j in range(n):
        cost += target[j]
    panels[cells[COST]] = cost


@inline
def to_input(layers, calls, panels, parameters, out):
    """From δ^L down to (W^1)ᵀ δ^1, which overwrites ``out``."""
    for layer in range(layers.shape[0] - 1, 0, -1):
        call(calls[BELOW], layers, layer, panels, parameters, layers[layer, DELTA_BELOW])
    slope = view(panels, layers[0, SOURCE], out.size)
    for k in range(out.size):
        slope[k] = 1
    call(calls[BELOW], layers, 0, panels, parameters, layers[0, SOURCE])
    for k in range(out.size):
        out[k] = slope[k]


@kernel
def forward_one(layers, calls, panels, parameters, x, out):
    """o^L for one sample (1)(2); overwrites ``out`` (n_L)."""
    call(calls[THROUGH], layers, panels, parameters, x, 1)
    outputs = view(panels, layers[layers.shape[0] - 1, OUT], out.size)
    for j in range(out.size):
        out[j] = outputs[j]


@kernel
def gradient_one(layers, cells, calls, cost_parameter, panels, parameters, x, y, gradient):
    """The cost of one pair and its gradient (1)-(6); overwrites ``gradient``, or leaves it if it is empty."""
    to_cost(layers, cells, calls, cost_parameter, panels, parameters, x, y)
    if gradient.size > 0:
        call(calls[SLOPES_ONE], layers, calls, panels, parameters, gradient, cost_parameter, 0)


@kernel
def input_one(layers, cells, calls, cost_parameter, panels, parameters, x, y, out):
    """The cost of one pair and ∂E/∂x, which overwrites ``out`` (n_0)."""
    to_cost(layers, cells, calls, cost_parameter, panels, parameters, x, y)
    to_input(layers, calls, panels, parameters, out)


@kernel
def vjp_one(layers, calls, panels, parameters, x, u, out):
    """Σ_j u_j ∂o_j/∂x_k for one sample; overwrites ``out`` (n_0)."""
    call(calls[THROUGH], layers, panels, parameters, x, 1)
    top = layers.shape[0] - 1
    n = layers[top, N_OUT]
    delta = view(panels, layers[top, DELTA], n)
    for j in range(n):
        delta[j] *= u[j]
    if calls[OUTPUT] != 0:
        call(calls[OUTPUT], view(panels, layers[top, OUT], n), delta, n)
    to_input(layers, calls, panels, parameters, out)


@kernel
def train_one(layers, cells, calls, cost_parameter, panels, parameters, x, y, gradient, slots, hyper, rule, plain):
    """One pair, one update (1)-(7): overwrites the parameters and the optimizer's state."""
    to_cost(layers, cells, calls, cost_parameter, panels, parameters, x, y)
    if plain != 0:
        call(calls[SLOPES_ONE], layers, calls, panels, parameters, parameters, hyper, 1)
        return
    call(calls[SLOPES_ONE], layers, calls, panels, parameters, gradient, hyper, 0)
    hyper[POWER1] *= hyper[BASE1]
    hyper[POWER2] *= hyper[BASE2]
    call(rule, parameters, gradient, slots, 0, parameters.size, 0, hyper)


@kernel
def many(layers, cells, cost_parameter, panels, parameters, inputs, targets, none, order, samples, block, gradient,
         slots, hyper, rule):
    """The mean cost of a batch and its gradient (1)-(6), and an update (7) unless ``rule`` = 0."""
    lane, total = lanes(panels), 0.0
    if rule != 0:
        hyper[POWER1] *= hyper[BASE1]
        hyper[POWER2] *= hyper[BASE2]
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(cells[MY_SAMPLES], layers, cells, cost_parameter, panels, parameters, inputs, targets, none, order, begin,
             end, float(samples), 0, 1 if gradient.size > 0 else 0, strips, 0, strips, cells[SCRATCH],
             order, 0)  # the order is empty: no clock
        for i in range(strips * lane):
            total += panels[cells[COST] + i]
        if gradient.size > 0:
            call(cells[MY_NEURONS], layers, cells, panels, parameters, gradient, slots, hyper,
                 rule if end == samples else 0, strips, 1 if begin > 0 else 0, 0, 1, cells[SCRATCH], inputs, order, end,
                 end, order, 0)
    panels[cells[COST]] = total


KERNELS = {
    THROUGH: (through, "tffri"),
    BELOW: (below, "tiffi"),
    SLOPES_ONE: (slopes, "tnfffdi"),
    FORWARD_ONE: (forward_one, "tnffrf"),
    FORWARD_MANY: (predict.predict, "tnffrniif"),
    GRADIENT_ONE: (gradient_one, "tnndffrrf"),
    INPUT_ONE: (input_one, "tnndffrrf"),
    VJP_ONE: (vjp_one, "tnffrrf"),
    TRAIN_ONE: (train_one, "tnndffrrffdii"),
    MANY: (many, "tndffrrrniiffdi"),
}
"""Cell of `Model.calls` -> kernel and its arguments, as letters."""


def fill_addresses(calls, dtype):
    """Write the addresses of the KERNELS into a model's calls."""
    for cell, (function, arguments) in KERNELS.items():
        calls[cell] = address(function, arguments, dtype)

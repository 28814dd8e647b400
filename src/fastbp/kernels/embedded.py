"""A network inside the caller's own compiled code: one sample or a batch, with all that it needs as arguments.

These kernels are what `fastbp.jit` calls by address. One sample goes with neurons in lanes, as in `online`; a batch
goes block by block through the two phases of `backprop`. Costs come back in the first number of the panel of costs.

Those of one sample take pointers, always in this order: ``network`` (`Model.layers`), ``stage`` (`Model.cells`),
``table`` (`Model.calls`), ``number`` (`Model.cost_parameter`), ``weights`` (the parameters), ``work`` (the workspace),
then the caller's arrays. An array takes seven words and more of a call, all of them stored and loaded again, and the
caller counts references to it by locked instructions: half of the time of a small network (4-32-2, forward: 350 ns with
arrays, 100 with pointers).
"""

import math
from typing import Any

import numpy as np

from . import prototypes
from .compile import by_address, c_function, inline
from .compile.arguments import DoublePointer, Doubles, FloatPointer, Floats, IntegerPointer, Integers, ReadOnly, Table
from .ir import (
    COLUMN_VECTORS,
    array_at,
    call,
    copy_vector,
    lanes,
    most,
    pointer,
    pointer_at,
    rank_one,
    row,
    stack,
    sum_columns,
    view,
)
from .layer import parametric
from .passes import backprop, encoded, predict
from .passes.online import activate, net_input
from .tables import (
    CELL_CANONICAL,
    CELL_COST,
    CELL_COUNT,
    CELL_JACOBIAN,
    CELL_SCRATCH,
    CELL_TARGET,
    CELL_TARGET_COLUMNS,
    ENCODING_DELTA,
    ENCODING_N_IN,
    ENCODING_RAW,
    ENCODING_SLOPES,
    ENCODING_SOURCE,
    ENSEMBLE_CALLS,
    ENSEMBLE_COUNT,
    ENSEMBLE_FORWARD,
    ENSEMBLE_LAYERS,
    ENSEMBLE_MEMBERS,
    ENSEMBLE_N_OUT,
    ENSEMBLE_OUTPUTS,
    ENSEMBLE_SIZE,
    ENSEMBLE_TARGETS,
    ENSEMBLE_WORK_SIZE,
    ENTRY_BACKPROPAGATE,
    ENTRY_BACKWARD,
    ENTRY_COUNT,
    ENTRY_DENSE_BACKPROPAGATE,
    ENTRY_DENSE_FORWARD,
    ENTRY_DEPTH,
    ENTRY_ENCODE,
    ENTRY_ENCODING,
    ENTRY_FORWARD,
    ENTRY_FORWARD_ONE,
    ENTRY_GRADIENT_MANY,
    ENTRY_GRADIENT_ONE,
    ENTRY_GRADIENTS,
    ENTRY_INPUT_ONE,
    ENTRY_OUTPUT,
    ENTRY_SIZE,
    ENTRY_SLOPES,
    ENTRY_TRAIN_ONE,
    ENTRY_VJP_ONE,
    ENTRY_WORK_SIZE,
    HYPER_BETA1,
    HYPER_BETA2,
    HYPER_COUNT,
    HYPER_POWER1,
    HYPER_POWER2,
    HYPER_RATE,
    LAYER_BIASES,
    LAYER_COLUMNS,
    LAYER_COTANGENT,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PARAMETRIC_BACKWARD,
    LAYER_SOURCE,
    LAYER_WEIGHTS,
    MEMBER_CALLS,
    MEMBER_COUNT,
    MEMBER_LAYERS,
    MEMBER_PARAMETERS,
    SLOT_CALLS,
    SLOT_COUNT,
    SLOT_FORWARD_ONE,
    SLOT_LAYERS,
    SLOT_N_IN,
    SLOT_PARAMETERS,
)


@inline
def unpack(layers, calls, parameters, panels):
    """Return the arrays behind four pointers: table of layers, calls, parameters, workspace."""
    numbers = array_at(calls, ENTRY_COUNT)
    return (array_at(layers, numbers[ENTRY_DEPTH], LAYER_COLUMNS), numbers, array_at(parameters, numbers[ENTRY_SIZE]),
            array_at(panels, numbers[ENTRY_WORK_SIZE]))


@by_address(ENTRY_FORWARD)
def forward(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer, x: FloatPointer,
            last: int) -> None:
    """(1)(2) for one sample, neurons in lanes; the top layer stays at its net inputs if ``last`` = 0."""
    layers, _, parameters, panels = unpack(network, table, weights, work)
    top, n, lane = layers.shape[0] - 1, layers[0, LAYER_N_IN], lanes(panels)
    for k in range(0, n, lane):  # by vectors, so that the loads of a vector find what was stored
        copy_vector(array_at(x, n), k, n - k, panels, layers[0, LAYER_SOURCE] + k)
    for layer in range(top + 1):
        net_input(layers, layer, panels, parameters)
        if layer < top or last != 0:
            activate(layers, layer, panels, parameters)


@by_address(ENTRY_BACKWARD)
def backward(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer, layer: int,
          target: int) -> None:
    """δ_k = φ'(net_k) Σ_j w_jk δ_j (5) of one layer: the panel at ``target`` holds φ' and is overwritten."""
    layers, _, parameters, panels = unpack(network, table, weights, work)
    n_in, wide = layers[layer, LAYER_N_IN], COLUMN_VECTORS * lanes(panels)
    for k in range(0, n_in, wide):
        sum_columns(parameters, layers[layer, LAYER_WEIGHTS] + k, n_in, layers[layer, LAYER_N_OUT], panels,
                    layers[layer, LAYER_DELTA], target + k, n_in - k)


@by_address(ENTRY_BACKPROPAGATE)
def backpropagate(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer,
                  target: FloatPointer, rate: float, add: int) -> None:
    """(5)(6) for one sample: overwrites the gradient at ``target``, or if ``add`` = 1 adds it times −μ, (7).

    So ``target`` may be the parameters themselves: each δ^{l-1} is taken from W^l before W^l changes.
    """
    layers, calls, _, panels = unpack(network, table, weights, work)
    gradient = array_at(target, calls[ENTRY_SIZE])
    scale = type(panels[0])(-rate if add != 0 else 1.0)
    for layer in range(layers.shape[0] - 1, -1, -1):
        n_in, n_out, d = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT], layers[layer, LAYER_DELTA]
        if layers[layer, LAYER_PARAMETRIC_BACKWARD] != 0:
            call(parametric.backward, row(layers, layer), row(layers, layer), panels, 0, 0, 1, 1)
            call(parametric.gradient, row(layers, layer), row(layers, layer), panels, target, -rate, add)
        if layer > 0:
            call(backward, calls, network, table, weights, work, layer, layers[layer, LAYER_DELTA_BELOW])
        rank_one(gradient, layers[layer, LAYER_WEIGHTS], n_out, n_in, panels, d, layers[layer, LAYER_SOURCE], scale,
                 add)
        if layers[layer, LAYER_BIASES] >= 0:
            biases, delta = view(gradient, layers[layer, LAYER_BIASES], n_out), view(panels, d, n_out)
            for j in range(n_out):
                slope = scale * delta[j]
                biases[j] = biases[j] + slope if add != 0 else slope


@inline
def encoding(table, calls):
    """Return where `tables.ENCODING` begins, behind the calls."""
    return pointer(view(array_at(table, ENTRY_COUNT + calls[ENTRY_ENCODING]), ENTRY_COUNT, calls[ENTRY_ENCODING]))


@by_address(ENTRY_FORWARD)
def forward_encoded(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer,
                    x: FloatPointer, last: int) -> None:
    """What `forward` does, for a network with encoders: they see a strip that holds the one sample in every lane."""
    layers, calls, parameters, panels = unpack(network, table, weights, work)
    stage, lane = encoding(table, calls), lanes(panels)
    given = array_at(x, stage[ENCODING_N_IN])
    for k in range(given.size):
        some = view(panels, stage[ENCODING_RAW] + k * lane, lane)
        for v in range(some.size):
            some[v] = given[k]
    call(encoded.encode, calls[ENTRY_ENCODE], stage, panels, parameters, 0, 1)
    source, strip = layers[0, LAYER_SOURCE], stage[ENCODING_SOURCE]
    for k in range(layers[0, LAYER_N_IN]):  # the two may begin at the same place
        panels[source + k] = panels[strip + k * lane]
    call(forward, calls[ENTRY_DENSE_FORWARD], network, table, weights, work,
         pointer(view(panels, source, layers[0, LAYER_N_IN])), last)


@inline
def to_encoded(network, table, weights, work):
    """From δ^1 to δ of the encoded numbers, in a strip that has it in the first lane, and 0 in the others."""
    layers, calls, parameters, panels = unpack(network, table, weights, work)
    stage, lane, n = encoding(table, calls), lanes(panels), layers[0, LAYER_N_IN]
    start = stage[ENCODING_DELTA]
    slope = view(panels, start, n)
    for k in range(n):
        slope[k] = 1
    call(backward, calls, network, table, weights, work, 0, start)
    for k in range(n - 1, -1, -1):
        delta = panels[start + k]
        for v in range(lane):
            panels[start + k * lane + v] = 0
        panels[start + k * lane] = delta
    encoded.unscale(stage, panels, parameters, 0, 1)


@by_address(ENTRY_BACKPROPAGATE)
def backpropagate_encoded(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer,
                          target: FloatPointer, rate: float, add: int) -> None:
    """What `backpropagate` does, and with ``add`` = 0 the gradient of the encoders' parameters."""
    _, calls, parameters, panels = unpack(network, table, weights, work)
    stage = encoding(table, calls)
    call(backpropagate, calls[ENTRY_DENSE_BACKPROPAGATE], network, table, weights, work, target, rate, add)
    if add != 0:
        return
    to_encoded(network, table, weights, work)
    call(encoded.gradients, calls[ENTRY_GRADIENTS], stage, panels, parameters, array_at(target, calls[ENTRY_SIZE]), 1,
         0, 0, 1)


@inline
def to_cost(network, stage, table, number, weights, work, x, y):
    """(1)-(4) for one sample: its cost goes to the panel of costs, δ^L to the top delta panel."""
    layers, calls, _, panels = unpack(network, table, weights, work)
    cells = array_at(stage, CELL_COUNT)
    call(forward, calls, network, table, weights, work, x, 1 - cells[CELL_CANONICAL])
    top = layers.shape[0] - 1
    n = layers[top, LAYER_N_OUT]
    delta, given = view(panels, layers[top, LAYER_COTANGENT], n), array_at(y, cells[CELL_TARGET_COLUMNS])
    out, target = view(panels, layers[top, LAYER_OUT], n), view(panels, cells[CELL_TARGET], most(n, given.size))
    for j in range(given.size):
        target[j] = given[j]
    call(prototypes.cost, cells, out, target, delta, n, array_at(number, 1))
    if cells[CELL_JACOBIAN] != 0:
        call(prototypes.jacobian_product, cells, out, delta, n)
    cost = 0.0
    for j in range(n):
        cost += target[j]
    panels[cells[CELL_COST]] = cost


@inline
def to_first(network, table, weights, work):
    """From δ^L, or the cotangents of α's layers, down to δ^1; overwrites the delta panels."""
    layers, calls, _, panels = unpack(network, table, weights, work)
    for layer in range(layers.shape[0] - 1, -1, -1):
        if layers[layer, LAYER_PARAMETRIC_BACKWARD] != 0:
            call(parametric.backward, row(layers, layer), row(layers, layer), panels, 0, 0, 1, 1)
        if layer > 0:
            call(backward, calls, network, table, weights, work, layer, layers[layer, LAYER_DELTA_BELOW])


@inline
def to_input(network, table, weights, work, out):
    """From δ^L down to (W^1)ᵀ δ^1, which overwrites ``out``."""
    layers, calls, _, panels = unpack(network, table, weights, work)
    to_first(network, table, weights, work)
    n = layers[0, LAYER_N_IN]
    slope, given = view(panels, layers[0, LAYER_SOURCE], n), array_at(out, n)
    for k in range(n):
        slope[k] = 1
    call(backward, calls, network, table, weights, work, 0, layers[0, LAYER_SOURCE])
    for k in range(n):
        given[k] = slope[k]


@inline
def to_columns(network, table, weights, work, out):
    """From δ^L down to ∂/∂x through the encoders, which overwrites ``out``."""
    _, calls, parameters, panels = unpack(network, table, weights, work)
    to_first(network, table, weights, work)
    to_encoded(network, table, weights, work)
    stage, lane = encoding(table, calls), lanes(panels)
    call(encoded.slopes, calls[ENTRY_SLOPES], stage, panels, parameters, 0, 1)
    given = array_at(out, stage[ENCODING_N_IN])
    for k in range(given.size):
        given[k] = panels[stage[ENCODING_SLOPES] + k * lane]


@by_address(ENTRY_FORWARD_ONE)
def forward_one(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer,
                x: FloatPointer, out: FloatPointer) -> None:
    """o^L for one sample (1)(2); overwrites ``out`` (n_L)."""
    layers, calls, _, panels = unpack(network, table, weights, work)
    call(forward, calls, network, table, weights, work, x, 1)
    top = layers.shape[0] - 1
    n = layers[top, LAYER_N_OUT]
    outputs, given = view(panels, layers[top, LAYER_OUT], n), array_at(out, n)
    for j in range(n):
        given[j] = outputs[j]


@by_address(ENTRY_GRADIENT_ONE)
def gradient_one(network: IntegerPointer, stage: IntegerPointer, table: IntegerPointer, number: DoublePointer,
                 weights: FloatPointer, work: FloatPointer, x: FloatPointer, y: FloatPointer, gradient: FloatPointer,
                 size: int) -> None:
    """The cost of one pair and its gradient (1)-(6); overwrites ``gradient``, or leaves it if its size is 0."""
    to_cost(network, stage, table, number, weights, work, x, y)
    calls = array_at(table, ENTRY_COUNT)
    if size > 0:
        call(backpropagate, calls, network, table, weights, work, gradient, 0.0, 0)


@by_address(ENTRY_INPUT_ONE)
def input_one(network: IntegerPointer, stage: IntegerPointer, table: IntegerPointer, number: DoublePointer,
              weights: FloatPointer, work: FloatPointer, x: FloatPointer, y: FloatPointer, out: FloatPointer) -> None:
    """The cost of one pair and ∂E/∂x, which overwrites ``out`` (n_0)."""
    to_cost(network, stage, table, number, weights, work, x, y)
    to_input(network, table, weights, work, out)


@by_address(ENTRY_INPUT_ONE)
def input_one_encoded(network: IntegerPointer, stage: IntegerPointer, table: IntegerPointer, number: DoublePointer,
                      weights: FloatPointer, work: FloatPointer, x: FloatPointer, y: FloatPointer,
                      out: FloatPointer) -> None:
    """What `input_one` does, for a network with encoders; 0 for columns of codes."""
    to_cost(network, stage, table, number, weights, work, x, y)
    to_columns(network, table, weights, work, out)


@inline
def from_outputs(network, table, weights, work, x, u):
    """(1)(2) for one sample, and δ^L of Σ_j u_j o_j."""
    layers, calls, _, panels = unpack(network, table, weights, work)
    call(forward, calls, network, table, weights, work, x, 1)
    top = layers.shape[0] - 1
    n = layers[top, LAYER_N_OUT]
    delta, given = view(panels, layers[top, LAYER_COTANGENT], n), array_at(u, n)
    for j in range(n):
        delta[j] *= given[j]
    if calls[ENTRY_OUTPUT] != 0:
        call(prototypes.jacobian_product, calls[ENTRY_OUTPUT], view(panels, layers[top, LAYER_OUT], n), delta, n)


@by_address(ENTRY_VJP_ONE)
def vjp_one(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer, x: FloatPointer,
            u: FloatPointer, out: FloatPointer) -> None:
    """Σ_j u_j ∂o_j/∂x_k for one sample; overwrites ``out`` (n_0)."""
    from_outputs(network, table, weights, work, x, u)
    to_input(network, table, weights, work, out)


@by_address(ENTRY_VJP_ONE)
def vjp_one_encoded(network: IntegerPointer, table: IntegerPointer, weights: FloatPointer, work: FloatPointer,
                    x: FloatPointer, u: FloatPointer, out: FloatPointer) -> None:
    """What `vjp_one` does, for a network with encoders; 0 for columns of codes."""
    from_outputs(network, table, weights, work, x, u)
    to_columns(network, table, weights, work, out)


@by_address(ENTRY_TRAIN_ONE)
def train_one(network: IntegerPointer, stage: IntegerPointer, table: IntegerPointer, number: DoublePointer,
              weights: FloatPointer, work: FloatPointer, x: FloatPointer, y: FloatPointer, gradient: FloatPointer,
              slots: FloatPointer, size: int, hyper: DoublePointer, rule: int, plain: int) -> None:
    """One pair, one update (1)-(7): overwrites the parameters and the optimizer's state, ``size`` numbers of slots."""
    to_cost(network, stage, table, number, weights, work, x, y)
    calls, numbers = array_at(table, ENTRY_COUNT), array_at(hyper, HYPER_COUNT)
    if plain != 0:
        call(backpropagate, calls, network, table, weights, work, weights, numbers[HYPER_RATE], 1)
        return
    call(backpropagate, calls, network, table, weights, work, gradient, 0.0, 0)
    numbers[HYPER_POWER1] *= numbers[HYPER_BETA1]
    numbers[HYPER_POWER2] *= numbers[HYPER_BETA2]
    n = calls[ENTRY_SIZE]
    call(prototypes.update_rule, rule, array_at(weights, n), array_at(gradient, n), array_at(slots, size), 0, n, 0,
         numbers)


@by_address(ENTRY_GRADIENT_MANY)
def many(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats, inputs: ReadOnly,
         targets: ReadOnly, none: ReadOnly, order: Integers, samples: int, block: int, gradient: Floats, slots: Floats,
         hyper: Doubles, rule: int) -> None:
    """The mean cost of a batch and its gradient (1)-(6), and an update (7) unless ``rule`` = 0."""
    lane, total = lanes(panels), 0.0
    if rule != 0:
        hyper[HYPER_POWER1] *= hyper[HYPER_BETA1]
        hyper[HYPER_POWER2] *= hyper[HYPER_BETA2]
    for begin in range(0, samples, block):
        end = min(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        call(backprop.my_samples, cells, layers, cells, cost_parameter, panels, parameters, inputs,
             pointer(order), targets, none, order, begin, end, float(samples), 0,
             1 if gradient.size > 0 else 0, strips, 0, strips, cells[CELL_SCRATCH],
             order, 0)  # the order is empty: no clock, no sparse rows
        for i in range(strips * lane):
            total += panels[cells[CELL_COST] + i]
        if gradient.size > 0:
            call(backprop.my_neurons, cells, layers, cells, panels, parameters, gradient, slots, hyper,
                 rule if end == samples else 0, strips, 1 if begin > 0 else 0, 0, 1, cells[CELL_SCRATCH], inputs, order,
                 end, end, order, 0)
    panels[cells[CELL_COST]] = total


@by_address(ENSEMBLE_FORWARD)
def forward_members(sizes: IntegerPointer, places: IntegerPointer, network: IntegerPointer, table: IntegerPointer,
                    weights: FloatPointer, work: FloatPointer, x: FloatPointer, mean: FloatPointer,
                    std: FloatPointer) -> None:
    """(1)(2) of all members for one sample; overwrites ``mean`` and ``std`` (targets) of o^L, in double."""
    numbers = array_at(sizes, ENSEMBLE_COUNT)
    count, n, targets = numbers[ENSEMBLE_MEMBERS], numbers[ENSEMBLE_N_OUT], numbers[ENSEMBLE_TARGETS]
    members = array_at(places, count * MEMBER_COUNT)
    layers, entries = array_at(network, numbers[ENSEMBLE_LAYERS] * LAYER_COLUMNS), numbers[ENSEMBLE_CALLS] * ENTRY_COUNT
    parameters, panels = array_at(weights, numbers[ENSEMBLE_SIZE]), array_at(work, numbers[ENSEMBLE_WORK_SIZE])
    for m in range(count):
        where = view(members, m * MEMBER_COUNT, MEMBER_COUNT)
        calls = view(array_at(table, entries), where[MEMBER_CALLS], ENTRY_COUNT)
        call(forward_one, calls,
             pointer(view(layers, where[MEMBER_LAYERS], calls[ENTRY_DEPTH] * LAYER_COLUMNS)), pointer(calls),
             pointer(view(parameters, where[MEMBER_PARAMETERS], calls[ENTRY_SIZE])), pointer(panels), x,
             pointer(view(panels, numbers[ENSEMBLE_OUTPUTS] + m * n, n)))
    outputs = view(panels, numbers[ENSEMBLE_OUTPUTS], count * n)
    average, spread = array_at(mean, targets), array_at(std, targets)
    for j in range(targets):
        total, squares = 0.0, 0.0
        for m in range(count):
            total += float(outputs[m * n + j])
        total /= count
        for m in range(count):
            difference = float(outputs[m * n + j]) - total
            squares += difference * difference
            if targets < n:
                squares += math.exp(float(outputs[m * n + targets + j]))
        average[j] = total
        spread[j] = math.sqrt(squares / count)


def c_forward(form, dtype, slot, room, width):
    """Compile `forward_one` for callers in C, its workspace on the stack: (1)(2), allocating nothing.

    Where the ``slot`` lies is a constant of its code, and so is how many numbers the workspace takes, and the inputs at
    most. In the slot stand the address of `forward_one`, where the tables and the parameters lie, and n_0: another
    network takes over the code by what it writes there.
    """
    zero = np.dtype(dtype).type(0)

    def arrays(x, out):
        where = array_at(pointer_at(0, slot), SLOT_COUNT)
        call(forward_one, where[SLOT_FORWARD_ONE], pointer_at(0, where[SLOT_LAYERS]), pointer_at(0, where[SLOT_CALLS]),
             pointer_at(zero, where[SLOT_PARAMETERS]), stack(zero, room), x, out)

    @inline
    def first(n: Any, x: Any) -> Any:
        where, found = array_at(pointer_at(0, slot), SLOT_COUNT), np.nan
        if n == where[SLOT_N_IN]:
            work, row, out = stack(zero, room), stack(zero, width), stack(zero, 1)
            given, inputs = array_at(x, n), array_at(row, n)
            for k in range(n):
                inputs[k] = given[k]
            call(forward_one, where[SLOT_FORWARD_ONE], pointer_at(0, where[SLOT_LAYERS]),
                 pointer_at(0, where[SLOT_CALLS]), pointer_at(zero, where[SLOT_PARAMETERS]), work, row, out)
            found = float(array_at(out, 1)[0])
        return found

    def quad(n, x):
        return first(n, x)

    def filtered(window, n, value, data):
        array_at(value, 1)[0] = first(n, window)
        return 1

    function, result, arguments = {"arrays": (arrays, "", "FF"), "quad": (quad, "x", "iD"),
                                   "filter": (filtered, "i", "DnDv")}[form]
    return c_function(function, result, arguments, dtype)


KERNELS = (forward, backward, backpropagate, forward_one, predict.predict, gradient_one, input_one, vjp_one, train_one,
           many)
"""What a model calls: each has its place in `Model.calls`."""

ENCODED = (forward_encoded, backpropagate_encoded, input_one_encoded, vjp_one_encoded, encoded.predict_many)
"""What takes the place of some of them where a network has encoders."""

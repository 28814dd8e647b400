"""The passes of a network with encoders: what comes before the first layer, around those of `backprop` and `predict`.

A network without encoders compiles none of this. `my_samples` and `my_neurons` have the arguments of the two phases of
a step, and stand in their places: the one encodes the strips that it is given and goes on with `backprop.my_samples`,
for which the inputs are there already (`gathered`), then takes δ one layer further down; the other sums the gradients
of the encoders' parameters, and goes on with `backprop.my_neurons`.
"""

from .. import prototypes
from ..compile import by_address, inline
from ..compile.arguments import Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..ir import array_at, call, lanes, lap, least, multiply_vector, panel, pointer, scale_vector, view
from ..layer import dense, gather
from ..tables import (
    CELL_COUNT,
    CELL_DENSE_NEURONS,
    CELL_DENSE_PREDICT,
    CELL_DENSE_SAMPLES,
    CELL_ENCODE,
    CELL_ENCODING,
    CELL_GATHER_INPUTS,
    CELL_GRADIENTS,
    CELL_MY_NEURONS,
    CELL_MY_SAMPLES,
    CELL_SLOPES,
    CELL_UPDATES,
    ENCODER_ENCODE,
    ENCODER_NUMBERS,
    ENCODER_PARAMETERS,
    ENCODER_SLOPE,
    ENCODER_UNIT,
    ENCODER_UNITS,
    ENCODING_COUNT,
    ENCODING_DELTA,
    ENCODING_ENCODED,
    ENCODING_N_IN,
    ENCODING_RAW,
    ENCODING_ROWS,
    ENCODING_SCALING,
    ENCODING_SIZE,
    ENCODING_SLOPES,
    ENCODING_SOURCE,
    ENCODING_WIDTH,
    ENTRY_FORWARD_MANY,
    LAYER_DELTA,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_PACKS,
    LAYER_SOURCE,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
    PHASE_BACKWARD,
    PHASE_GATHER,
    PHASE_GRADIENT,
    PHASE_UPDATE,
)
from . import backprop, predict


@inline
def encoding(cells):
    """Return where `tables.ENCODING` begins, behind the cells."""
    return pointer(view(cells, CELL_COUNT, cells[CELL_ENCODING]))


@inline
def encoder(stage, number):
    """Return where the row of an encoder begins."""
    return pointer(view(array_at(stage, stage[ENCODING_SIZE]), ENCODING_COUNT + number * ENCODER_NUMBERS,
                        ENCODER_NUMBERS))


@by_address(CELL_ENCODE)
def encode(stage: IntegerPointer, panels: Floats, parameters: Floats, first: int, last: int) -> None:
    """What the first layer reads of strips first..last, s_k e_k with a scaling layer, from the columns of X."""
    lane, width = lanes(panels), stage[ENCODING_WIDTH]
    for i in range(stage[ENCODING_ROWS]):
        here = encoder(stage, i)
        if here[ENCODER_ENCODE] != 0:
            call(prototypes.encoder, here, here, stage, panels, parameters, first, last)
    if stage[ENCODING_SCALING] < 0:
        return
    factors = view(parameters, stage[ENCODING_SCALING], width)
    for s in range(first, last):
        for k in range(width):
            at = (s * width + k) * lane
            scale_vector(panels, stage[ENCODING_ENCODED] + at, factors[k], panels, stage[ENCODING_SOURCE] + at, 0)


@inline
def unscale(stage, panels, parameters, first, last):
    """δ_k s_k overwrites δ_k of what the first layer reads, and δ_k e_k the encoded numbers e_k."""
    lane, width = lanes(panels), stage[ENCODING_WIDTH]
    if stage[ENCODING_SCALING] >= 0:
        factors = view(parameters, stage[ENCODING_SCALING], width)
        for s in range(first, last):
            for k in range(width):
                at = (s * width + k) * lane
                encoded, delta = stage[ENCODING_ENCODED] + at, stage[ENCODING_DELTA] + at
                multiply_vector(panels, encoded, panels, delta, panels, encoded)
                scale_vector(panels, delta, factors[k], panels, delta, 0)


@inline
def bring_in(layers, cells, panels, parameters, inputs, order, begin, end, strips, first, last):
    """Gather columns of samples order[begin:end] into strips first..last, and encode them."""
    stage = encoding(cells)
    call(gather.gather, cells, inputs, pointer(order), order, begin, end, stage[ENCODING_N_IN], panels,
         stage[ENCODING_RAW], -1, strips, first, last)
    call(encode, cells, stage, panels, parameters, first, last)
    if layers[0, LAYER_TRANSPOSED] >= 0:
        call(dense.transpose_panel, cells, panels, layers[0, LAYER_SOURCE], layers[0, LAYER_TRANSPOSED],
             layers[0, LAYER_N_IN], strips, first, last)


@by_address(CELL_GATHER_INPUTS)
def gathered(rows: ReadOnly, structure: IntegerPointer, order: Integers, begin: int, end: int, n: int, panels: Floats,
             target: int, transposed: int, strips: int, first: int, last: int) -> None:
    """Stand in for `gather.gather` where inputs are in their panels already."""


@by_address(CELL_MY_SAMPLES)
def my_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
               inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly, weights: ReadOnly, order: Integers,
               begin: int, end: int, total: float, labels: int, backward: int, strips: int, first: int, last: int,
               scratch: int, clock: Integers, start: int) -> None:
    """Phase 1: encode the columns, `backprop.my_samples`, then δ of the encoded numbers where an encoder learns."""
    if first == last:
        return
    bring_in(layers, cells, panels, parameters, inputs, order, begin, end, strips, first, last)
    lap(clock, start, 0, PHASE_GATHER)
    call(backprop.my_samples, cells[CELL_DENSE_SAMPLES], layers, cells, cost_parameter, panels, parameters, inputs,
         pointer(structure), targets, weights, order, begin, end, total, labels, backward, strips, first, last, scratch,
         clock, start)
    stage = encoding(cells)
    if backward == 0 or stage[ENCODING_DELTA] < 0:
        return
    n = layers[0, LAYER_N_IN]
    delta = panel(panels, stage[ENCODING_DELTA], n, first, last)
    for i in range(delta.size):
        delta[i] = 1
    call(dense.backward, cells, parameters, layers[0, LAYER_WEIGHTS], panels, layers[0, LAYER_DELTA],
         stage[ENCODING_DELTA], n, layers[0, LAYER_N_OUT], first, last, scratch if layers[0, LAYER_PACKS] != 0 else -1)
    unscale(stage, panels, parameters, first, last)
    lap(clock, start, 0, PHASE_BACKWARD)


@by_address(CELL_GRADIENTS)
def gradients(stage: IntegerPointer, panels: Floats, parameters: Floats, gradient: Floats, strips: int,
              accumulate: int, thread: int, threads: int) -> None:
    """The gradient of this thread's share of every encoder's parameters; overwrites it or adds to it."""
    for i in range(stage[ENCODING_ROWS]):
        here = encoder(stage, i)
        begin, end = here[ENCODER_UNITS] * thread // threads, here[ENCODER_UNITS] * (thread + 1) // threads
        if begin < end:
            call(prototypes.encoder_gradient, here, here, stage, panels, parameters, gradient, strips, accumulate,
                 begin, end)


@by_address(CELL_SLOPES)
def slopes(stage: IntegerPointer, panels: Floats, parameters: Floats, first: int, last: int) -> None:
    """∂/∂x = Σ_k δ_k ∂e_k/∂x for strips first..last, from δ of the encoded numbers; 0 for columns of codes."""
    found = panel(panels, stage[ENCODING_SLOPES], stage[ENCODING_N_IN], first, last)
    for i in range(found.size):
        found[i] = 0
    for i in range(stage[ENCODING_ROWS]):
        here = encoder(stage, i)
        if here[ENCODER_SLOPE] != 0:
            call(prototypes.encoder_slope, here, here, stage, panels, parameters, first, last)


@by_address(CELL_UPDATES)
def updates(stage: IntegerPointer, parameters: Floats, gradient: Floats, state: Floats, hyper: Doubles, rule: int,
            thread: int, threads: int) -> None:
    """(7) for the same share, by the rule at an address."""
    for i in range(stage[ENCODING_ROWS]):
        here = encoder(stage, i)
        begin, end = here[ENCODER_UNITS] * thread // threads, here[ENCODER_UNITS] * (thread + 1) // threads
        if begin < end:
            call(prototypes.update_rule, rule, parameters, gradient, state,
                 here[ENCODER_PARAMETERS] + begin * here[ENCODER_UNIT],
                 here[ENCODER_PARAMETERS] + end * here[ENCODER_UNIT], 0, hyper)


@by_address(CELL_MY_NEURONS)
def my_neurons(layers: Table, cells: Integers, panels: Floats, parameters: Floats, gradient: Floats, state: Floats,
               hyper: Doubles, update: int, strips: int, accumulate: int, thread: int, threads: int, scratch: int,
               inputs: ReadOnly, order: Integers, ahead: int, ahead_end: int, clock: Integers, start: int) -> None:
    """Phase 2: gradients and updates of this thread's share of the encoders' parameters, then `backprop.my_neurons`.

    That one applies the rule to all parameters at once where they are few and it is alone.
    """
    stage = encoding(cells)
    call(gradients, cells, stage, panels, parameters, gradient, strips, accumulate, thread, threads)
    lap(clock, start, 0, PHASE_GRADIENT)
    if update != 0 and not backprop.updates_at_once(parameters, update, threads):
        call(updates, cells, stage, parameters, gradient, state, hyper, update, thread, threads)
        lap(clock, start, 0, PHASE_UPDATE)
    call(backprop.my_neurons, cells[CELL_DENSE_NEURONS], layers, cells, panels, parameters, gradient, state, hyper,
         update, strips, accumulate, thread, threads, scratch, inputs, order, ahead, ahead, clock, start)


@by_address(ENTRY_FORWARD_MANY)
def predict_many(layers: Table, cells: Integers, panels: Floats, parameters: Floats, inputs: ReadOnly,
                    structure: IntegerPointer, order: Integers, samples: int, block: int, outputs: Floats) -> None:
    """Encode a block of samples, then `predict.predict`; overwrites ``outputs``, flat (samples, n_L)."""
    lane, n = lanes(panels), layers[layers.shape[0] - 1, LAYER_N_OUT]
    for begin in range(0, samples, block):
        end = least(begin + block, samples)
        strips = (end - begin + lane - 1) // lane
        bring_in(layers, cells, panels, parameters, inputs, order, begin, end, strips, 0, strips)
        call(predict.predict, cells[CELL_DENSE_PREDICT], layers, cells, panels, parameters, inputs, pointer(structure),
             order, end - begin, block, view(outputs, begin * n, (end - begin) * n))

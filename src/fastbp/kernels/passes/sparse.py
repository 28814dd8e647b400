"""The passes of a network whose first layer reads the non-zeros of a sparse X alone, around those of `backprop`.

`my_samples` and `my_neurons` have the arguments of the two phases of a step, and stand in their places. The one
computes the first layer's net inputs, and goes on with `backprop.my_samples`, which leaves out a layer without a source
panel; the other sums the gradient of a vector of the first layer's neurons and applies the rule to it while it is in
cache, before `backprop.my_neurons` does so with the other layers.
"""

from .. import prototypes
from ..compile import by_address, inline
from ..compile.arguments import Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..ir import array_at_address, call, lanes, lap, least, pointer, row, view
from ..layer import dense, sparse
from ..tables import (
    CELL_COUNT,
    CELL_DENSE_NEURONS,
    CELL_DENSE_PREDICT,
    CELL_DENSE_SAMPLES,
    CELL_MY_NEURONS,
    CELL_MY_SAMPLES,
    CELL_SCRATCH,
    CELL_SPARSE_ROOM,
    CELL_STRUCTURE,
    CELL_STRUCTURE_SIZE,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_TILE,
    LAYER_WEIGHTS,
    PHASE_FORWARD,
    PHASE_GRADIENT,
    PHASE_UPDATE,
)
from . import backprop, predict
from .shares import first_neuron


@inline
def ranges(cells):
    """Return where the table begins that says where the rows of a block are, behind the cells: see `layer.sparse`."""
    return pointer(view(cells, CELL_COUNT, 2 * cells[CELL_SPARSE_ROOM]))


@inline
def places(cells, thread):
    """Return where a thread's table begins that says how far it is in each row, behind the ranges."""
    return pointer(view(cells, CELL_COUNT + 2 * cells[CELL_SPARSE_ROOM] * (1 + thread), 2 * cells[CELL_SPARSE_ROOM]))


@inline
def net_inputs(layers, cells, panels, parameters, inputs, structure, order, begin, end, first, last, scratch):
    """Overwrite the first layer's net inputs (1) of samples order[begin:end], strips first..last."""
    lane, here = lanes(panels), row(layers, 0)
    call(sparse.find_rows, cells, structure, order, begin, end, ranges(cells), first * lane, last * lane)
    # threads have samples of their own, and so one table is enough for all
    call(sparse.forward, cells, parameters, here[LAYER_WEIGHTS], here[LAYER_BIASES], panels, here[LAYER_OUT],
         here[LAYER_N_IN], here[LAYER_N_OUT], inputs, structure, ranges(cells), places(cells, 0), end - begin, first,
         last, scratch)


@by_address(CELL_MY_SAMPLES)
def my_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
               inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly, weights: ReadOnly, order: Integers,
               begin: int, end: int, total: float, labels: int, backward: int, strips: int, first: int, last: int,
               scratch: int, clock: Integers, start: int) -> None:
    """Phase 1: the first layer's net inputs, then `backprop.my_samples`."""
    if first == last:
        return
    structure = pointer(structure)
    net_inputs(layers, cells, panels, parameters, inputs, structure, order, begin, end, first, last, scratch)
    lap(clock, start, 0, PHASE_FORWARD)
    call(backprop.my_samples, cells[CELL_DENSE_SAMPLES], layers, cells, cost_parameter, panels, parameters, inputs,
         structure, targets, weights, order, begin, end, total, labels, backward, strips, first, last, scratch, clock,
         start)


@by_address(CELL_MY_NEURONS)
def my_neurons(layers: Table, cells: Integers, panels: Floats, parameters: Floats, gradient: Floats, state: Floats,
               hyper: Doubles, update: int, strips: int, accumulate: int, thread: int, threads: int, scratch: int,
               inputs: ReadOnly, order: Integers, ahead: int, ahead_end: int, clock: Integers, start: int) -> None:
    """Phase 2: (6) and (7) for this thread's share of the first layer, then of the others."""
    lane, here = lanes(panels), row(layers, 0)
    n_in, n_out, w, b = here[LAYER_N_IN], here[LAYER_N_OUT], here[LAYER_WEIGHTS], here[LAYER_BIASES]
    structure = pointer(array_at_address(cells, cells[CELL_STRUCTURE], cells[CELL_STRUCTURE_SIZE]))
    found, mine = ranges(cells), places(cells, thread)
    updates = update != 0 and not backprop.updates_at_once(parameters, update, threads)
    shared = updates and accumulate == 0  # then rows may share one place, which stays in cache
    tile = here[LAYER_TILE]
    first, end = first_neuron(n_out, tile, thread, threads), first_neuron(n_out, tile, thread + 1, threads)
    for j in range(first, end, lane):
        stop, shift = least(j + lane, end), (j - first) * n_in if shared else 0
        call(sparse.gradient, cells, panels, here[LAYER_DELTA], n_in, n_out, inputs, structure, found, mine, strips, j,
             stop, gradient, w + j * n_in - shift, accumulate, scratch)
        lap(clock, start, 0, PHASE_GRADIENT)
        if updates:
            call(prototypes.update_rule, update, parameters, gradient, state, w + j * n_in, w + stop * n_in, shift,
                 hyper)
            lap(clock, start, 0, PHASE_UPDATE)
    if b >= 0 and first < end:
        call(dense.bias_gradient, cells, panels, here[LAYER_DELTA], n_out, strips, first, end, gradient, b, accumulate)
        lap(clock, start, 0, PHASE_GRADIENT)
        if updates:
            call(prototypes.update_rule, update, parameters, gradient, state, b + first, b + end, 0, hyper)
            lap(clock, start, 0, PHASE_UPDATE)
    call(backprop.my_neurons, cells[CELL_DENSE_NEURONS], layers, cells, panels, parameters, gradient, state, hyper,
         update, strips, accumulate, thread, threads, scratch, inputs, order, ahead, ahead, clock, start)


@by_address()
def predict_many(layers: Table, cells: Integers, panels: Floats, parameters: Floats, inputs: ReadOnly,
                 structure: IntegerPointer, order: Integers, samples: int, block: int, outputs: Floats) -> None:
    """The first layer's net inputs of a block of samples, then `predict.predict`; overwrites ``outputs``, flat."""
    lane, n = lanes(panels), layers[layers.shape[0] - 1, LAYER_N_OUT]
    structure = pointer(structure)
    for begin in range(0, samples, block):
        end = least(begin + block, samples)
        net_inputs(layers, cells, panels, parameters, inputs, structure, order, begin, end, 0,
                   (end - begin + lane - 1) // lane, cells[CELL_SCRATCH])
        call(predict.predict, cells[CELL_DENSE_PREDICT], layers, cells, panels, parameters, inputs, structure, order,
             end - begin, block, view(outputs, begin * n, (end - begin) * n))

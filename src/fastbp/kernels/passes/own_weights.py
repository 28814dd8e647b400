"""Phase 1 of two threads each of which reads only its own weights of the first layer, around `backprop.my_samples`.

There each thread takes its samples through all neurons, so it reads what the other has updated, and these lines of the
cache go to and fro between two cores in each step. Where the first layer has many more inputs than a block has samples
it is less to go to and fro with what its neurons have summed. Each thread brings all samples into panels of its own,
and computes the net inputs of those neurons that it updates in phase 2; then they wait for each other, and each goes on
with its samples. Sums have the order of one thread.
"""

from ..compile import by_address
from ..compile.arguments import Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..ir import call, lap, pointer, row, view, wait
from ..layer import dense, gather
from ..tables import (
    BARRIER_COUNT,
    CELL_DENSE_GATHER,
    CELL_DENSE_SAMPLES,
    CELL_MIDWAY,
    CELL_MY_SAMPLES,
    CELL_OWN_APART,
    CELL_OWN_SOURCE,
    LAYER_BIASES,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_TILE,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
    PHASE_FORWARD,
    PHASE_GATHER,
    PHASE_WAIT,
)
from . import backprop
from .barrier import stand
from .shares import first_neuron


@by_address(CELL_MY_SAMPLES)
def my_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
               inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly, weights: ReadOnly, order: Integers,
               begin: int, end: int, total: float, labels: int, backward: int, strips: int, first: int, last: int,
               scratch: int, clock: Integers, start: int) -> None:
    """Phase 1: the net inputs of this thread's neurons of the first layer, then `backprop.my_samples`.

    A thread that has all strips is alone, or the block has no more than one.
    """
    if first == last:
        return
    structure, here = pointer(structure), row(layers, 0)
    n_in, n_out, tile = here[LAYER_N_IN], here[LAYER_N_OUT], here[LAYER_TILE]
    threads = 1 if last - first == strips else 2
    thread = 1 if first > 0 else 0
    mine = thread * cells[CELL_OWN_APART]
    source = cells[CELL_OWN_SOURCE] + mine
    call(gather.gather, cells[CELL_DENSE_GATHER], inputs, structure, order, begin, end, n_in, panels, source,
         here[LAYER_TRANSPOSED] + mine, strips, 0, strips)
    lap(clock, start, 0, PHASE_GATHER)
    call(dense.forward_some, cells, parameters, here[LAYER_WEIGHTS], here[LAYER_BIASES], panels, source,
         here[LAYER_OUT], n_in, n_out, first_neuron(n_out, tile, thread, threads),
         first_neuron(n_out, tile, thread + 1, threads), strips)
    lap(clock, start, 0, PHASE_FORWARD)
    if threads > 1:
        if not wait(stand, view(cells, CELL_MIDWAY, BARRIER_COUNT), threads):
            return
        lap(clock, start, 0, PHASE_WAIT)
    call(backprop.my_samples, cells[CELL_DENSE_SAMPLES], layers, cells, cost_parameter, panels, parameters, inputs,
         structure, targets, weights, order, begin, end, total, labels, backward, strips, first, last, scratch, clock,
         start)

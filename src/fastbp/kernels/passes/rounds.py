"""A round of a team: each thread takes whole blocks of a batch through both phases, and their gradients are added up.

Where a batch has several blocks, a thread alone adds up the gradients of one block after the other. Threads that share
each block meet twice a block, and in phase 2 read panels that others have written. In a round each has panels of its
own, and leaves the gradient of each of its blocks where all can read it; then, after one barrier, each adds up those of
its share of the parameters in the order of the blocks, and updates them. The sums are those of one thread, to the bit.
"""

from .. import prototypes
from ..compile import by_address, rule
from ..compile.arguments import DoublePointer, Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..ir import atomic_add, call, lanes, lap, least, pointer, view
from ..tables import (
    BARRIER_COUNT,
    BARRIER_TAKEN,
    CELL_ADD_UP,
    CELL_APART,
    CELL_COST,
    CELL_MEASURE,
    CELL_MIDWAY,
    CELL_ROUND,
    CELL_SCRATCH,
    CELL_SHARE,
    CELL_UPDATES,
    LAYER_ALPHAS,
    LAYER_BIASES,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_WEIGHTS,
    PHASE_GRADIENT,
    PHASE_UPDATE,
    PHASE_WAIT,
    SUM_BATCH_COST,
    SUM_BLOCKS,
)
from . import backprop, encoded
from .barrier import wait
from .record import batch_cost


@rule
def add_up(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
           hyper: Doubles) -> None:
    """Add gradients that lie one behind the other, in this order, to what ``parameters`` holds: a rule for `share`."""
    mine = view(parameters, start, stop - start)
    for block in range(gradient.size // parameters.size):
        found = view(gradient, block * parameters.size + start, mine.size)
        for i in range(mine.size):
            mine[i] += found[i]


@by_address(CELL_SHARE)
def share(layers: Table, cells: Integers, parameters: Floats, gradient: Floats, state: Floats, hyper: Doubles,
          rule: int, thread: int, threads: int) -> None:
    """Apply the rule at an address to the parameters of this thread's neurons, those of phase 2."""
    if cells[CELL_UPDATES] != 0:
        call(encoded.updates, cells, encoded.encoding(cells), parameters, gradient, state, hyper, rule, thread, threads)
    for layer in range(layers.shape[0]):
        n_in, n_out = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT]
        w, b = layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES]
        first, end = n_out * thread // threads, n_out * (thread + 1) // threads
        call(prototypes.update_rule, rule, parameters, gradient, state, w + first * n_in, w + end * n_in, 0, hyper)
        for neurons in (b, layers[layer, LAYER_ALPHAS]):
            if neurons >= 0:
                call(prototypes.update_rule, rule, parameters, gradient, state, neurons + first, neurons + end, 0,
                     hyper)


@by_address(CELL_ROUND)
def take_round(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
               inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly, weights: ReadOnly, order: Integers,
               begin: int, end: int, block: int, total: float, labels: int, gradient: Floats, state: Floats,
               hyper: Doubles, sums: DoublePointer, update: int, accumulate: int, thread: int, threads: int,
               barrier: Integers, before: int, clock: Integers, start: int) -> None:
    """Both phases for samples order[begin:end], which are several blocks, as one of a team.

    Overwrites ``gradient`` or adds to it, if it has room, and the parameters by the rule at address ``update``, if that
    is not 0; adds to the cost of the batch. ``before`` counts the blocks that were asked for in rounds before: a thread
    takes the next one when it is done with one, since the processors of a machine are not equally fast.
    """
    lane, apart, count = lanes(panels), cells[CELL_APART], gradient.size
    backward = 1 if count > 0 else 0
    mine = view(panels, thread * apart, apart)
    blocks = (end - begin + block - 1) // block
    found = view(panels, threads * apart, blocks * count)
    i = atomic_add(barrier, BARRIER_TAKEN, 1) - before
    while i < blocks:
        first = begin + i * block
        last, ahead = least(first + block, end), least(first + threads * block, end)
        strips = (last - first + lane - 1) // lane
        call(backprop.my_samples, cells, layers, cells, cost_parameter, mine, parameters, inputs, pointer(structure),
             targets, weights, order, first, last, total, labels, backward, strips, 0, strips, cells[CELL_SCRATCH],
             clock, start)
        if backward != 0:
            call(backprop.my_neurons, cells, layers, cells, mine, parameters, view(found, i * count, count), state,
                 hyper, 0, strips, 0, 0, 1, cells[CELL_SCRATCH], inputs, order, ahead, least(ahead + block, end), clock,
                 start)
        sums[SUM_BLOCKS + i] = batch_cost(mine, cells[CELL_COST], strips * lane)
        i = atomic_add(barrier, BARRIER_TAKEN, 1) - before
    if thread == 0 and accumulate == 0:
        for i in range(count):
            gradient[i] = 0
    if not wait(barrier, threads):
        return
    lap(clock, start, 0, PHASE_WAIT)
    if thread == 0:
        for i in range(blocks):
            sums[SUM_BATCH_COST] += sums[SUM_BLOCKS + i]
    if backward == 0:
        return
    call(share, cells, layers, cells, gradient, found, state, hyper, cells[CELL_ADD_UP], thread, threads)
    lap(clock, start, 0, PHASE_GRADIENT)
    if update == 0:
        return
    if cells[CELL_MEASURE] != 0:
        call(share, cells, layers, cells, parameters, gradient, state, hyper, cells[CELL_MEASURE], thread, threads)
        wait(view(cells, CELL_MIDWAY, BARRIER_COUNT), threads)
    call(share, cells, layers, cells, parameters, gradient, state, hyper, update, thread, threads)
    lap(clock, start, 0, PHASE_UPDATE)

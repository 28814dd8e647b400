"""A round of a team: each thread takes whole blocks of a batch through both phases, and their gradients are added up.

Where a batch has several blocks, a thread alone adds up the gradients of one block after the other. Threads that share
each block meet twice a block, and in phase 2 read panels that others have written. In a round each has panels of its
own, and leaves the gradient of each of its blocks where all can read it; then, after one barrier, each adds up those of
its share of the parameters in the order of the blocks, and updates them. The sums are those of one thread, to the bit,
where that adds up block by block; networks with tables of embeddings, whose gradients go on from sample to sample,
take no rounds.
"""

from .. import prototypes, random
from ..compile import by_address, kernel, rule
from ..compile.arguments import DoublePointer, Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..ir import atomic_add, call, lanes, lap, least, most, pointer, row, ticks, view, wait
from ..layer import gather
from ..tables import (
    BARRIER_COUNT,
    BARRIER_TAKEN,
    CELL_ADD_UP,
    CELL_APART,
    CELL_COST,
    CELL_FOLLOW,
    CELL_MEASURE,
    CELL_MIDWAY,
    CELL_MOST_BLOCKS,
    CELL_ROUND,
    CELL_SCRATCH,
    CELL_SCRATCH_SIZE,
    CELL_SHARE,
    CELL_UPDATES,
    HYPER_BATCH_WEIGHT,
    HYPER_BETA1,
    HYPER_BETA2,
    HYPER_POWER1,
    HYPER_POWER2,
    LAYER_ALPHAS,
    LAYER_BIASES,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_TILE,
    LAYER_WEIGHTS,
    PHASE_COUNT,
    PHASE_GRADIENT,
    PHASE_UPDATE,
    PHASE_WAIT,
    PROGRESS_BLOCKS,
    PROGRESS_EPOCH,
    PROGRESS_POSITION,
    PROGRESS_STATUS,
    STATUS_RUNNING,
    SUM_BATCH_COST,
    SUM_BLOCKS,
)
from ..updates import scheduled
from . import backprop, encoded, record
from .barrier import stand
from .record import batch_cost, end_batch
from .shares import first_neuron, first_strip


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
        here = row(layers, layer)
        n_in, n_out, w, b = here[LAYER_N_IN], here[LAYER_N_OUT], here[LAYER_WEIGHTS], here[LAYER_BIASES]
        first = first_neuron(n_out, here[LAYER_TILE], thread, threads)
        end = first_neuron(n_out, here[LAYER_TILE], thread + 1, threads)
        if first == end:
            continue
        call(prototypes.update_rule, rule, parameters, gradient, state, w + first * n_in, w + end * n_in, 0, hyper)
        for neurons in (b, here[LAYER_ALPHAS]):
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
    if not wait(stand, barrier, threads):
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
        wait(stand, view(cells, CELL_MIDWAY, BARRIER_COUNT), threads)
    call(share, cells, layers, cells, parameters, gradient, state, hyper, update, thread, threads)
    lap(clock, start, 0, PHASE_UPDATE)


@kernel
def run(thread, threads, plan, parameters, data, task, learner, barrier):
    """Do what `epoch.run` does, as one of a team that takes rounds; what is left of a batch, all share block by block.

    A loop of its own: as a part of that one it would take 3 % more of the first fit of every network.
    """
    layers, cells, panels = plan.layers, pointer(plan.cells), plan.panels
    weights, order, clock = data.weights, data.order, learner.clock
    hyper, progress, sums = pointer(learner.hyper), pointer(learner.progress), pointer(learner.sums)
    lane, start = lanes(panels), thread * (1 + layers.shape[0] * PHASE_COUNT)
    if clock.size > 0:
        clock[start] = ticks()
    scratch = cells[CELL_SCRATCH] + thread * cells[CELL_SCRATCH_SIZE]
    epoch, position = progress[PROGRESS_EPOCH], progress[PROGRESS_POSITION]
    backward = 1 if learner.gradient.size > 0 else 0
    taken, updates, asked, total, known = 0, 0, 0, 0.0, -1
    while epoch < task.epochs and taken < task.blocks:
        batch = position // task.batch * task.batch
        batch_end = least(batch + task.batch, task.samples)
        if position == batch:  # threads read what happens here in both phases; and the end of the epoch before is over
            if thread == 0 and position == 0 and task.shuffle != 0:
                call(random.shuffle, cells, order, task.key, epoch)
            if thread == 0 and cells[CELL_FOLLOW] != 0:
                call(scheduled.follow, cells, cells, learner.hyper, updates)
            if not wait(stand, barrier, threads):
                break
        if progress[PROGRESS_STATUS] != STATUS_RUNNING:
            break
        left = (batch_end - position + task.block - 1) // task.block
        blocks = least(left // threads, cells[CELL_MOST_BLOCKS] // threads) * threads
        end = least(position + most(blocks, 1) * task.block, batch_end)
        last_block, accumulate = end == batch_end, 1 if position != batch else 0
        if batch != known or position == batch:
            total, known = float(batch_end - batch), batch
            if weights.size > 0:
                call(gather.total_weight, cells, weights, order, batch, batch_end, learner.hyper)
                total = hyper[HYPER_BATCH_WEIGHT]
        if thread == 0 and last_block:
            hyper[HYPER_POWER1] *= hyper[HYPER_BETA1]
            hyper[HYPER_POWER2] *= hyper[HYPER_BETA2]
            hyper[HYPER_BATCH_WEIGHT] = total
        update = learner.update if last_block else 0
        if blocks > 0:
            call(take_round, cells, layers, plan.cells, plan.cost_parameter, panels, parameters, data.inputs,
                 pointer(data.structure), data.targets, weights, order, position, end, task.block, total, task.labels,
                 learner.gradient, learner.state, learner.hyper, sums, update, accumulate, thread, threads, barrier,
                 asked, clock, start)
            asked += blocks + threads  # each has asked in vain once
        else:
            strips = (end - position + lane - 1) // lane
            call(backprop.my_samples, cells, layers, plan.cells, plan.cost_parameter, panels, parameters, data.inputs,
                 pointer(data.structure), data.targets, weights, order, position, end, total, task.labels, backward,
                 strips, first_strip(strips, thread, threads), first_strip(strips, thread + 1, threads), scratch,
                 clock, start)
            if not wait(stand, barrier, threads):
                break
            lap(clock, start, 0, PHASE_WAIT)
            if backward != 0:
                call(backprop.my_neurons, cells, layers, plan.cells, panels, parameters, learner.gradient,
                     learner.state, learner.hyper, update, strips, accumulate, thread, threads, scratch, data.inputs,
                     order, end, least(end + task.block, task.samples), clock, start)
            if thread == 0:
                sums[SUM_BATCH_COST] += batch_cost(panels, cells[CELL_COST], strips * lane)
        if thread == 0 and last_block:
            end_batch(progress, sums, learner.update, total)
        position = end
        taken += most(blocks, 1)
        updates += 1 if last_block else 0
        if not wait(stand, barrier, threads):
            break
        lap(clock, start, 0, PHASE_WAIT)
        if position == task.samples:
            if thread == 0 and progress[PROGRESS_STATUS] == STATUS_RUNNING:
                call(record.end_epoch, cells, parameters, learner.best, learner.state, learner.hyper, progress, sums,
                     learner.search, learner.costs, learner.update, epoch)
            position = 0
            epoch += 1
    if thread == 0:
        progress[PROGRESS_POSITION], progress[PROGRESS_BLOCKS] = position, taken

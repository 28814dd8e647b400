"""A chunk of epochs in one call: the two-phase step, shared by a team of threads.

Phase 1, my samples: each thread takes strips of the block forward, to the cost and back. Phase 2, my neurons: after a
barrier each thread sums the gradient of some neurons over all samples, in one order, and updates them while their rows
are in cache. After a second barrier the next block begins. So no result depends on the number of threads.
`my_neurons_clipped` takes the place of phase 2 where an update needs the norm of the whole gradient, and
`line_search.next_point` that of the end of an epoch, to which full-batch methods come with the whole gradient.
"""

from .. import prototypes, random
from ..compile import by_address, kernel
from ..compile.arguments import Doubles, Floats, Integers, ReadOnly, Table
from ..ir import call, lanes, lap, least, pointer, ticks, view, wait
from ..layer import gather
from ..tables import (
    BARRIER_ABANDONED,
    BARRIER_ARRIVED,
    BARRIER_COUNT,
    CELL_COST,
    CELL_FOLLOW,
    CELL_HANDED,
    CELL_MEASURE,
    CELL_MIDWAY,
    CELL_MY_NEURONS,
    CELL_OWN_APART,
    CELL_PARTS_HANDED,
    CELL_PARTS_READY,
    CELL_PARTS_TAKEN,
    CELL_PLAIN_NEURONS,
    CELL_SCRATCH,
    CELL_SCRATCH_SIZE,
    HYPER_BATCH_WEIGHT,
    HYPER_BETA1,
    HYPER_BETA2,
    HYPER_POWER1,
    HYPER_POWER2,
    PHASE_COUNT,
    PHASE_UPDATE,
    PHASE_WAIT,
    PROGRESS_BLOCKS,
    PROGRESS_EPOCH,
    PROGRESS_POSITION,
    PROGRESS_STATUS,
    STATUS_RUNNING,
    SUM_BATCH_COST,
)
from ..updates import scheduled
from . import backprop, record, rounds
from .barrier import stand
from .record import batch_cost, end_batch
from .shares import first_strip


@by_address(CELL_MY_NEURONS)
def my_neurons_clipped(layers: Table, cells: Integers, panels: Floats, parameters: Floats, gradient: Floats,
                       state: Floats, hyper: Doubles, update: int, strips: int, accumulate: int, thread: int,
                       threads: int, scratch: int, inputs: ReadOnly, order: Integers, ahead: int, ahead_end: int,
                       clock: Integers, start: int) -> None:
    """Phase 2 in two halves, between them a barrier of its own: the same neurons, first measured, then updated.

    The rules are `penalties.measure` and the one at address ``update``.
    """
    call(backprop.my_neurons, cells[CELL_PLAIN_NEURONS], layers, cells, panels, parameters, gradient, state, hyper, 0,
         strips, accumulate, thread, threads, scratch, inputs, order, ahead, ahead_end, clock, start)
    if update == 0:
        return
    for rule in (cells[CELL_MEASURE], update):
        if threads == 1:
            call(prototypes.update_rule, rule, parameters, gradient, state, 0, parameters.size, 0, hyper)
            continue
        call(rounds.share, cells, layers, cells, parameters, gradient, state, hyper, rule, thread, threads)
        if rule != update:
            wait(stand, view(cells, CELL_MIDWAY, BARRIER_COUNT), threads)
    lap(clock, start, 0, PHASE_UPDATE)


@kernel
def run(thread, threads, plan, parameters, data, task, learner, barrier):
    """Pass over the samples, block by block, as ``task`` says; every thread of the team calls it with its number.

    Overwrites ``learner``: the gradient if it has room, and the parameters if it has a rule. Comes back when
    ``task.epochs`` are done, ``task.blocks`` taken, or learning left the finite; called again, it goes on.
    ``progress[PROGRESS_EPOCH]`` counts the epochs that ended well.
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
    blocks, updates, total, known = 0, 0, 0.0, -1
    relayed = cells[CELL_HANDED] != 0 and backward != 0
    between = 1 if relayed else threads  # threads that wait between the phases
    if threads > 1 and (relayed or cells[CELL_OWN_APART] != 0):  # neither sees that the other could not begin
        if thread == 0:
            cells[CELL_PARTS_HANDED], cells[CELL_PARTS_READY], cells[CELL_PARTS_TAKEN] = 0, 0, 0
            cells[CELL_MIDWAY + BARRIER_ARRIVED], cells[CELL_MIDWAY + BARRIER_ABANDONED] = 0, 0
        if not wait(stand, barrier, threads):
            return
    while epoch < task.epochs and blocks < task.blocks:
        if position == 0:  # the end of the epoch before is waited for, too
            if thread == 0 and task.shuffle != 0 and task.piece == 0:
                call(random.shuffle, cells, order, task.key, epoch)
            if not wait(stand, barrier, threads):
                break
        if progress[PROGRESS_STATUS] != STATUS_RUNNING:
            break
        batch = position // task.batch * task.batch
        batch_end = least(batch + task.batch, task.samples)
        end = least(position + task.block, batch_end)
        if cells[CELL_FOLLOW] != 0 and position == batch:  # threads read these numbers in both phases
            if thread == 0:
                call(scheduled.follow, cells, cells, learner.hyper, updates)
            if not wait(stand, barrier, threads):
                break
        if batch != known or position == batch:
            total, known = float(batch_end - batch), batch
            if weights.size > 0:
                call(gather.total_weight, cells, weights, order, batch, batch_end, learner.hyper)
                total = hyper[HYPER_BATCH_WEIGHT]
        strips = (end - position + lane - 1) // lane
        last_block = end == batch_end
        part, parts = thread * task.pieces + task.piece, threads * task.pieces
        final = task.piece + 1 == task.pieces
        if thread == 0 and last_block and final:
            hyper[HYPER_POWER1] *= hyper[HYPER_BETA1]
            hyper[HYPER_POWER2] *= hyper[HYPER_BETA2]
            hyper[HYPER_BATCH_WEIGHT] = total
        call(backprop.my_samples, cells, layers, plan.cells, plan.cost_parameter, panels, parameters, data.inputs,
             pointer(data.structure), data.targets, weights, order, position, end, total,
             task.labels, backward, strips, first_strip(strips, part, parts), first_strip(strips, part + 1, parts),
             scratch, clock, start)
        if not final:  # nothing is changed yet: the next call goes on, or none does
            break
        if not wait(stand, barrier, between):
            break
        if threads > 1:
            lap(clock, start, 0, PHASE_WAIT)
        if backward != 0:
            call(backprop.my_neurons, cells, layers, plan.cells, panels, parameters, learner.gradient, learner.state,
                 learner.hyper, learner.update if last_block else 0, strips, 1 if position != batch else 0, thread,
                 threads, scratch, data.inputs, order, end, least(end + task.block, task.samples), clock, start)
        if thread == 0:
            sums[SUM_BATCH_COST] += batch_cost(panels, cells[CELL_COST], strips * lane)
            if last_block:
                end_batch(progress, sums, learner.update, total)
        position = end
        blocks += 1
        if last_block:
            updates += 1
        if not wait(stand, barrier, threads):
            break
        if threads > 1:
            lap(clock, start, 0, PHASE_WAIT)
        if position == task.samples:
            if thread == 0 and progress[PROGRESS_STATUS] == STATUS_RUNNING:
                call(record.end_epoch, cells, parameters, learner.best, learner.state, learner.hyper, progress, sums,
                     learner.search, learner.costs, learner.update, epoch)
            position = 0
            epoch += 1
    if thread == 0:
        progress[PROGRESS_POSITION], progress[PROGRESS_BLOCKS] = position, blocks

"""A chunk of epochs of a stack of networks, one in each lane: many small networks of one shape at a time.

Where a step takes less time than the calls around it, and its vectors are half full, a network is cheaper as a lane.
The order of every sum is that of a network alone, and elements are computed by the same kernels; so are its bits.
"""

from .. import prototypes, random
from ..compile import inline, kernel
from ..functions import costs
from ..ir import call, lanes, least, panel, pointer, row, stack, view
from ..layer import gather, stacked
from ..layer.gather import MOST_LANES
from ..tables import (
    CELL_CANONICAL,
    CELL_COST,
    CELL_FOLLOW,
    CELL_JACOBIAN,
    CELL_N_TARGETS,
    CELL_SPARE,
    CELL_TARGET,
    CELL_WEIGHT,
    HYPER_BATCH_WEIGHT,
    HYPER_BETA1,
    HYPER_BETA2,
    HYPER_POWER1,
    HYPER_POWER2,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_SOURCE,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
    PROGRESS_BLOCKS,
    PROGRESS_EPOCH,
    PROGRESS_FIRST_EPOCH,
    PROGRESS_POSITION,
    STATUS_DIVERGED,
    STATUS_RUNNING,
)
from ..updates import scheduled
from .record import batch_cost


@kernel
def run(plan, parameters, data, task, learner):
    """Pass over the samples of all networks of a stack, as ``task`` says; it overwrites ``learner``.

    Comes back when ``task.epochs`` are done, ``task.blocks`` batches taken, or no network is left that learns; called
    again, it goes on. A network whose numbers are no longer finite is marked; what its lane does then is of no
    account.
    """
    layers, cells, panels = plan.layers, pointer(plan.cells), plan.panels
    hyper, progress, order, apart = pointer(learner.hyper), pointer(learner.progress), learner.order, learner.apart
    status, totals, epoch_costs, weights = learner.status, learner.totals, learner.epoch_costs, learner.weights
    lane, top = lanes(panels), layers.shape[0] - 1
    n_in, classes = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT]
    epoch, position, blocks, running = progress[PROGRESS_EPOCH], progress[PROGRESS_POSITION], 0, 1
    while epoch < task.epochs and blocks < task.blocks and running > 0:
        if position == 0 and task.shuffle != 0:
            for v in range(lane):
                call(random.shuffle, cells, view(order, v * apart, apart), int(learner.keys[v]), epoch)
        if cells[CELL_FOLLOW] != 0:
            call(scheduled.follow, cells, cells, learner.hyper, blocks)
        end = least(position + task.batch, task.samples)
        samples = end - position
        if data.weights.size > 0:
            for v in range(lane):
                call(gather.total_weight, cells, data.weights, view(order, v * apart, apart), position, end,
                     learner.hyper)
                totals[v] = hyper[HYPER_BATCH_WEIGHT]
        else:
            for v in range(lane):
                totals[v] = float(samples)
        hyper[HYPER_POWER1] *= hyper[HYPER_BETA1]
        hyper[HYPER_POWER2] *= hyper[HYPER_BETA2]

        stacked.gather_stack(data.inputs, order, apart, position, samples, n_in, panels, layers[0, LAYER_SOURCE], n_in)
        if task.labels != 0:
            stacked.gather_stack_labels(data.targets, order, apart, position, samples, classes, panels,
                                        cells[CELL_TARGET])
        else:
            stacked.gather_stack(data.targets, order, apart, position, samples, cells[CELL_N_TARGETS], panels,
                                 cells[CELL_TARGET], classes)
        stacked.gather_stack_weights(data.weights, order, apart, position, samples, totals, panels, cells[CELL_WEIGHT])
        for layer in range(top + 1):
            here = row(layers, layer)
            n = here[LAYER_N_OUT]
            stacked.forward(parameters, here[LAYER_WEIGHTS], here[LAYER_BIASES], panels, here[LAYER_SOURCE],
                            here[LAYER_OUT], here[LAYER_N_IN], n, samples)
            if layer < top or cells[CELL_CANONICAL] == 0:
                out, slope = panel(panels, here[LAYER_OUT], n, 0, samples), panel(panels, here[LAYER_DELTA], n, 0,
                                                                                   samples)
                call(prototypes.activation, here, out, slope, n)
        out = panel(panels, layers[top, LAYER_OUT], classes, 0, samples)
        delta = panel(panels, layers[top, LAYER_DELTA], classes, 0, samples)
        target = panel(panels, cells[CELL_TARGET], classes, 0, samples)
        call(prototypes.cost, cells, out, target, delta, classes, plan.cost_parameter)
        if cells[CELL_JACOBIAN] != 0:
            call(prototypes.jacobian_product, cells, out, delta, classes)
        call(costs.collect, cells, target, panel(panels, cells[CELL_WEIGHT], 1, 0, samples), delta,
             panel(panels, cells[CELL_COST], 1, 0, samples), classes)
        for layer in range(top, -1, -1):
            here = row(layers, layer)
            below, n = here[LAYER_N_IN], here[LAYER_N_OUT]
            if layer > 0:
                stacked.backward(parameters, here[LAYER_WEIGHTS], panels, here[LAYER_DELTA], here[LAYER_DELTA_BELOW],
                                 below, n, samples)
            if here[LAYER_TRANSPOSED] >= 0:
                stacked.gradient(panels, here[LAYER_DELTA], here[LAYER_SOURCE], below, n, samples, learner.gradient,
                                 here[LAYER_WEIGHTS])
            else:
                stacked.gradient_by_lanes(panels, here[LAYER_DELTA], here[LAYER_SOURCE], below, n, samples,
                                          learner.gradient, here[LAYER_WEIGHTS])
            if here[LAYER_BIASES] >= 0:
                stacked.bias_gradient(panels, here[LAYER_DELTA], n, samples, learner.gradient, here[LAYER_BIASES])
        call(prototypes.update_rule, learner.update, parameters, learner.gradient, learner.state, 0, parameters.size,
             0, learner.hyper)

        padded = (samples + lane - 1) // lane * lane
        batch_costs, running = panel(panels, cells[CELL_COST], 1, 0, samples), 0
        for v in range(lane):
            own = view(panels, cells[CELL_SPARE], padded)
            for s in range(padded):  # as they lie where a network is alone, and so in the same order
                own[s] = batch_costs[s * lane + v] if s < samples else 0
            cost = batch_cost(panels, cells[CELL_SPARE], padded)
            epoch_costs[v] += cost * totals[v]
            weights[v] += totals[v]
            if cost * 0.0 != 0.0:
                status[v] = STATUS_DIVERGED
            running += 1 if status[v] == STATUS_RUNNING else 0
        position = end
        blocks += 1
        if position == task.samples:
            end_epoch(parameters, learner, epoch, progress[PROGRESS_FIRST_EPOCH])
            position = 0
            epoch += 1
    progress[PROGRESS_EPOCH], progress[PROGRESS_POSITION], progress[PROGRESS_BLOCKS] = epoch, position, blocks


@inline
def end_epoch(parameters, learner, epoch, first):
    """Record the mean cost of each network that learns, and keep its parameters, unless one is no longer finite."""
    status, lane = learner.status, lanes(parameters)
    nothing = stack(0.0, MOST_LANES)
    for v in range(lane):
        nothing[v] = learner.epoch_costs[v] * 0.0
    for i in range(0, parameters.size, lane):
        for v in range(lane):
            nothing[v] += float(parameters[i + v]) * 0.0
    for v in range(lane):
        if status[v] == STATUS_RUNNING:
            if nothing[v] == 0.0:
                for i in range(v, parameters.size, lane):
                    learner.best[i] = parameters[i]
                weight = learner.weights[v]
                learner.costs[(epoch - first) * lane + v] = learner.epoch_costs[v] / weight if weight > 0.0 else 0.0
                learner.done[v] = epoch + 1
            else:
                status[v] = STATUS_DIVERGED
        learner.epoch_costs[v] = 0.0
        learner.weights[v] = 0.0

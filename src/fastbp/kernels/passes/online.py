"""Batches of one sample, neurons in lanes: the forward pass, and online learning, one pair, one update.

A batch of one cannot fill lanes with samples. Here the lanes hold a neuron's inputs in (1) and (6), the neurons of the
layer below in (5), and with plain gradient descent (6) and (7) are one sweep over W^l that writes no gradient.
"""

from .. import prototypes, random
from ..compile import inline, kernel
from ..ir import COLUMN_VECTORS, DOT_ROWS, call, dot_rows, lanes, most, pointer, rank_one, row, sum_columns, view
from ..layer import parametric
from ..tables import (
    CELL_CANONICAL,
    CELL_FOLLOW,
    CELL_JACOBIAN,
    CELL_TARGET,
    CELL_TARGET_COLUMNS,
    HYPER_BATCH_WEIGHT,
    HYPER_BETA1,
    HYPER_BETA2,
    HYPER_POWER1,
    HYPER_POWER2,
    HYPER_RATE,
    LAYER_ALPHAS,
    LAYER_BIASES,
    LAYER_COTANGENT,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PARAMETRIC,
    LAYER_PARAMETRIC_BACKWARD,
    LAYER_SOURCE,
    LAYER_WEIGHTS,
    PROGRESS_BLOCKS,
    PROGRESS_EPOCH,
    PROGRESS_POSITION,
    PROGRESS_STATUS,
    PROGRESS_UPDATES,
    STATUS_DIVERGED,
    STATUS_RUNNING,
    SUM_EPOCH_COST,
    SUM_EPOCH_WEIGHT,
)
from ..updates import scheduled
from . import record

BEHIND = 16
"""`net_input` writes up to one number less behind an out panel."""

UPDATE_BYTES = 16 * 1024
"""Gradients that are collected before they are applied, so that they are still in L1."""


@inline
def net_input(layers, layer, panels, parameters):
    """net_j = Σ_k w_jk o_k + b_j (1); overwrites the layer's out panel, and up to 15 numbers behind it."""
    n_in, n_out, bias = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT], layers[layer, LAYER_BIASES]
    for j in range(0, n_out, DOT_ROWS):
        dot_rows(parameters, layers[layer, LAYER_WEIGHTS] + j * n_in, n_in, n_out - j, parameters,
                 bias + j if bias >= 0 else -1, panels, layers[layer, LAYER_SOURCE], n_in, layers[layer, LAYER_OUT] + j)


@inline
def activate(layers, layer, panels, parameters):
    """o = φ(net) (2) in place; φ'(net) overwrites the delta panel.

    Hidden layers go in whole vectors, since the rest of a loop would be done one by one; what lies behind is not used.
    """
    if layers[layer, LAYER_PARAMETRIC] == 0:
        n, lane = layers[layer, LAYER_N_OUT], lanes(panels)
        size = n if layer == layers.shape[0] - 1 else (n + lane - 1) // lane * lane
        call(prototypes.activation, row(layers, layer), view(panels, layers[layer, LAYER_OUT], size),
             view(panels, layers[layer, LAYER_DELTA], size), n)
    else:
        call(parametric.activate, row(layers, layer), row(layers, layer), panels, parameters, 0, 1, 1)


@kernel
def predict(layers, panels, parameters, x, output):
    """o^L for one sample x (1)(2); overwrites ``output`` (n_L)."""
    source = layers[0, LAYER_SOURCE]
    for k in range(x.size):
        panels[source + k] = x[k]
    for layer in range(layers.shape[0]):
        net_input(layers, layer, panels, parameters)
        activate(layers, layer, panels, parameters)
    out = view(panels, layers[layers.shape[0] - 1, LAYER_OUT], output.size)
    for j in range(output.size):
        output[j] = out[j]


@kernel
def run(plan, parameters, data, task, learner):
    """Like `epoch.run` for batches of one sample: each goes forward, back, and changes the parameters."""
    layers, cells, panels = plan.layers, plan.cells, plan.panels
    gradient, hyper, progress, sums = learner.gradient, learner.hyper, pointer(learner.progress), pointer(learner.sums)
    top = layers.shape[0] - 1
    n_in, classes, wanted = layers[0, LAYER_N_IN], layers[top, LAYER_N_OUT], cells[CELL_TARGET_COLUMNS]
    x, y = view(panels, layers[0, LAYER_SOURCE], n_in), view(panels, cells[CELL_TARGET], most(classes, wanted))
    out, delta = view(panels, layers[top, LAYER_OUT], classes), view(panels, layers[top, LAYER_COTANGENT], classes)
    real = type(parameters[0])
    wide = COLUMN_VECTORS * lanes(panels)
    at_once = parameters.size * parameters.itemsize <= UPDATE_BYTES
    epoch, position, steps = progress[PROGRESS_EPOCH], progress[PROGRESS_POSITION], 0
    costs, weights = sums[SUM_EPOCH_COST], sums[SUM_EPOCH_WEIGHT]
    while epoch < task.epochs and steps < task.blocks and progress[PROGRESS_STATUS] == STATUS_RUNNING:
        if position == 0 and task.shuffle != 0:
            call(random.shuffle, cells, data.order, task.key, epoch)
        while position < task.samples and steps < task.blocks:
            if cells[CELL_FOLLOW] != 0:
                call(scheduled.follow, cells, pointer(cells), hyper, steps)
            sample = data.order[position] if data.order.size > 0 else position
            for k in range(n_in):
                x[k] = data.inputs[sample * n_in + k]
            if task.labels != 0:
                for j in range(classes):
                    y[j] = real(0)
                y[int(data.targets[sample])] = real(1)
            else:
                for j in range(wanted):
                    y[j] = data.targets[sample * wanted + j]
            for layer in range(top + 1):
                net_input(layers, layer, panels, parameters)
                if layer < top or cells[CELL_CANONICAL] == 0:
                    activate(layers, layer, panels, parameters)
            call(prototypes.cost, cells, out, y, delta, classes, plan.cost_parameter)
            if cells[CELL_JACOBIAN] != 0:
                call(prototypes.jacobian_product, cells, out, delta, classes)
            cost, weight = 0.0, 1.0
            for j in range(classes):
                cost += float(y[j])
            if data.weights.size > 0:
                weight = float(data.weights[sample])
                hyper[HYPER_BATCH_WEIGHT] = weight
                if weight == 0.0:
                    cost = 0.0
                    for j in range(classes):
                        delta[j] = real(0)
            hyper[HYPER_POWER1] *= hyper[HYPER_BETA1]
            hyper[HYPER_POWER2] *= hyper[HYPER_BETA2]
            rate = real(-hyper[HYPER_RATE])
            for layer in range(top, -1, -1):
                fan_in, fan_out = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT]
                w, b = layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES]
                d, source = layers[layer, LAYER_DELTA], layers[layer, LAYER_SOURCE]
                if layers[layer, LAYER_PARAMETRIC_BACKWARD] != 0:
                    call(parametric.backward, row(layers, layer), row(layers, layer), panels, 0, 0, 1, 1)
                    call(parametric.gradient, row(layers, layer), row(layers, layer), panels,
                         pointer(parameters if task.plain != 0 else gradient), -hyper[HYPER_RATE], task.plain)
                    if task.plain == 0 and not at_once:
                        alphas = layers[layer, LAYER_ALPHAS]
                        call(prototypes.update_rule, learner.update, parameters, gradient, learner.state, alphas,
                             alphas + fan_out, 0, hyper)
                if layer > 0:
                    for k in range(0, fan_in, wide):
                        sum_columns(parameters, w + k, fan_in, fan_out, panels, d,
                                    layers[layer, LAYER_DELTA_BELOW] + k, fan_in - k)
                if task.plain != 0:
                    rank_one(parameters, w, fan_out, fan_in, panels, d, source, rate, 1)
                    if b >= 0:
                        biases, deltas = view(parameters, b, fan_out), view(panels, d, fan_out)
                        for j in range(fan_out):
                            biases[j] += rate * deltas[j]
                    continue
                rows = fan_out if at_once else max(UPDATE_BYTES // (fan_in * parameters.itemsize), 1)
                for j in range(0, fan_out, rows):
                    count = min(rows, fan_out - j)
                    rank_one(gradient, w + j * fan_in, count, fan_in, panels, d + j, source, real(1), 0)
                    if not at_once:
                        call(prototypes.update_rule, learner.update, parameters, gradient, learner.state,
                             w + j * fan_in, w + (j + count) * fan_in, 0, hyper)
                if b >= 0:
                    biases, deltas = view(gradient, b, fan_out), view(panels, d, fan_out)
                    for j in range(fan_out):
                        biases[j] = deltas[j]
                    if not at_once:
                        call(prototypes.update_rule, learner.update, parameters, gradient, learner.state, b,
                             b + fan_out, 0, hyper)
            if task.plain == 0 and at_once:
                call(prototypes.update_rule, learner.update, parameters, gradient, learner.state, 0, parameters.size, 0,
                     hyper)
            costs += cost * weight
            weights += weight
            position += 1
            steps += 1
            if cost * 0.0 != 0.0:
                progress[PROGRESS_STATUS] = STATUS_DIVERGED
                break
        sums[SUM_EPOCH_COST], sums[SUM_EPOCH_WEIGHT] = costs, weights
        if position == task.samples and progress[PROGRESS_STATUS] == STATUS_RUNNING:
            call(record.end_epoch, cells, parameters, learner.best, learner.state, hyper, progress, sums,
                 learner.search, learner.costs, learner.update, epoch)
            costs, weights = 0.0, 0.0
            position = 0
            epoch += 1
    progress[PROGRESS_POSITION], progress[PROGRESS_BLOCKS] = position, steps
    progress[PROGRESS_UPDATES] += steps

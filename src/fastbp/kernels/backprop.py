"""A block of samples through the network and back: the two phases of a step.

Phase 1, `my_samples`, takes strips of samples forward, to the cost and back; phase 2, `my_neurons`, sums the gradient
of some neurons over all samples and updates them. Between the two every thread must have finished its strips. What is
written here is the order of the equations; the loops are in `dense`, `activations`, `costs` and `updates`, called by
address (see `_jit`).
"""

from . import codes, costs, dense, noise, random, record
from ._jit import address, by_address
from .codes import (
    CELL_BACKWARD,
    CELL_CANONICAL,
    CELL_COLLECT,
    CELL_COST,
    CELL_COST_KERNEL,
    CELL_FORWARD,
    CELL_GATHER,
    CELL_GATHER_INPUTS,
    CELL_GATHER_LABELS,
    CELL_GATHER_WEIGHTS,
    CELL_GRADIENT,
    CELL_GRADIENT_BY_LANES,
    CELL_JACOBIAN,
    CELL_NOISE,
    CELL_ONES,
    CELL_TARGET,
    CELL_TRANSPOSE,
    CELL_WEIGHT,
    LAYER_ACTIVATION,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PACKS,
    LAYER_SOURCE,
    LAYER_TANGENTS,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
    PHASE_ACTIVATION,
    PHASE_BACKWARD,
    PHASE_COST,
    PHASE_FORWARD,
    PHASE_GATHER,
    PHASE_GRADIENT,
    PHASE_UPDATE,
)
from .simd import WHOLE, call, lanes, lap, least, most, panel, pointer, row

UPDATE_BYTES = 64 * 1024
"""Gradient rows that are summed before they are applied, so that they are still in L2."""


@by_address
def my_samples(layers, cells, cost_parameter, panels, parameters, inputs, targets, weights, order, begin, end, total,
               labels, backward, strips, first, last, scratch, clock, start):
    """Phase 1: bring samples order[begin:end] into strips first..last, go forward (1)(2), to the cost (3)(4), back (5).

    ``total`` holds the weight of the batch: each sample's cost and deltas are multiplied by its share of it.
    """
    if first == last:
        return
    top, cells = layers.shape[0] - 1, pointer(cells)
    bottom, output = row(layers, 0), row(layers, top)
    classes = output[LAYER_N_OUT]
    call(cells[CELL_GATHER_INPUTS], inputs, order, begin, end, bottom[LAYER_N_IN], panels, bottom[LAYER_SOURCE],
         bottom[LAYER_TRANSPOSED], strips, first, last)
    if labels != 0:
        call(cells[CELL_GATHER_LABELS], targets, order, begin, end, classes, panels, cells[CELL_TARGET], first, last)
    else:
        call(cells[CELL_GATHER], targets, order, begin, end, classes, panels, cells[CELL_TARGET], -1, strips, first,
             last)
    call(cells[CELL_GATHER_WEIGHTS], weights, order, begin, end, total, panels, cells[CELL_WEIGHT], first, last)
    lap(clock, start, 0, PHASE_GATHER)
    for layer in range(top + 1):
        here = row(layers, layer)
        n = here[LAYER_N_OUT]
        if cells[CELL_NOISE] != 0:
            call(cells[CELL_NOISE], layers, cells, cost_parameter, panels, layer, begin, strips, first, last)
        if layer > 0 and here[LAYER_TRANSPOSED] >= 0:
            call(cells[CELL_TRANSPOSE], panels, here[LAYER_SOURCE], here[LAYER_TRANSPOSED], here[LAYER_N_IN], strips,
                 first, last)
        call(cells[CELL_FORWARD], parameters, here[LAYER_WEIGHTS], here[LAYER_BIASES], panels, here[LAYER_SOURCE],
             here[LAYER_OUT], here[LAYER_N_IN], n, first, last)
        lap(clock, start, layer, PHASE_FORWARD)
        if layer < top or cells[CELL_CANONICAL] == 0:
            out, slope = panel(panels, here[LAYER_OUT], n, first, last), panel(panels, here[LAYER_DELTA], n, first,
                                                                               last)
            call(here[LAYER_ACTIVATION], out, slope, n)
            lap(clock, start, layer, PHASE_ACTIVATION)
    out, delta = panel(panels, output[LAYER_OUT], classes, first, last), panel(panels, output[LAYER_DELTA], classes,
                                                                               first, last)
    target, weight = panel(panels, cells[CELL_TARGET], classes, first, last), panel(panels, cells[CELL_WEIGHT], 1,
                                                                                    first, last)
    call(cells[CELL_COST_KERNEL], out, target, delta, classes, cost_parameter)
    if cells[CELL_JACOBIAN] != 0:
        call(cells[CELL_JACOBIAN], out, delta, classes)
    call(cells[CELL_COLLECT], target, weight, delta, panel(panels, cells[CELL_COST], 1, first, last), classes)
    lap(clock, start, top, PHASE_COST)
    if backward != 0:
        for layer in range(top, 0, -1):
            here = row(layers, layer)
            call(cells[CELL_BACKWARD], parameters, here[LAYER_WEIGHTS], panels, here[LAYER_DELTA],
                 here[LAYER_DELTA_BELOW], here[LAYER_N_IN], here[LAYER_N_OUT], first, last,
                 scratch if here[LAYER_PACKS] != 0 else -1)
            lap(clock, start, layer, PHASE_BACKWARD)


@by_address
def my_neurons(layers, cells, panels, parameters, gradient, state, hyper, update, strips, accumulate, thread, threads,
               scratch, inputs, order, ahead, ahead_end, clock, start):
    """Phase 2: ∂E/∂w_jk = δ_j o_k (6) summed over all samples for this thread's share of every layer, then (7).

    Overwrites ``gradient`` or adds to it; overwrites parameters and state by the rule at address ``update``, or leaves
    them alone if that is 0.
    """
    lane, cells = lanes(panels), pointer(cells)
    at_once = update != 0 and threads == 1 and parameters.size * parameters.itemsize <= UPDATE_BYTES
    applied = update != 0 and accumulate == 0 and not at_once  # then rows may share one place, which stays in cache
    for layer in range(layers.shape[0]):
        here = row(layers, layer)
        n_in, n_out, delta = here[LAYER_N_IN], here[LAYER_N_OUT], here[LAYER_DELTA]
        w, b = here[LAYER_WEIGHTS], here[LAYER_BIASES]
        every = strips * (1 + here[LAYER_TANGENTS])  # behind the samples' strips those of their tangents, if any
        first, end = n_out * thread // threads, n_out * (thread + 1) // threads
        some = most(UPDATE_BYTES // (n_in * parameters.itemsize) // WHOLE * WHOLE, WHOLE)
        for j in range(first, end, some):
            stop = least(j + some, end)
            shift = (j - first) * n_in if applied else 0
            if here[LAYER_TRANSPOSED] >= 0:
                call(cells[CELL_GRADIENT], panels, delta, here[LAYER_TRANSPOSED], n_in, n_out, every, j, stop, gradient,
                     w - shift, accumulate, scratch if here[LAYER_PACKS] != 0 else -1, inputs, order, ahead,
                     ahead_end if layer == 0 else ahead)
            else:
                call(cells[CELL_GRADIENT_BY_LANES], panels, delta, here[LAYER_SOURCE], n_in * lane, n_in, n_out, every,
                     j, stop, gradient, w - shift, accumulate)
            if b >= 0:
                call(cells[CELL_GRADIENT_BY_LANES], panels, delta, cells[CELL_ONES], 0, 1, n_out, strips, j, stop,
                     gradient, b, accumulate)
            lap(clock, start, layer, PHASE_GRADIENT)
            if update != 0 and not at_once:
                call(update, parameters, gradient, state, w + j * n_in, w + stop * n_in, shift, hyper)
                if b >= 0:
                    call(update, parameters, gradient, state, b + j, b + stop, 0, hyper)
                lap(clock, start, layer, PHASE_UPDATE)
    if at_once:
        call(update, parameters, gradient, state, 0, parameters.size, 0, hyper)
        lap(clock, start, 0, PHASE_UPDATE)


KERNELS = {
    codes.CELL_FORWARD: (dense.forward, "fiifiiiiii"),
    codes.CELL_BACKWARD: (dense.backward, "fifiiiiiii"),
    codes.CELL_TRANSPOSE: (dense.turn, "fiiiiii"),
    codes.CELL_GRADIENT: (dense.gradient, "fiiiiiiifiiirnii"),
    codes.CELL_GRADIENT_BY_LANES: (dense.gradient_by_lanes, "fiiiiiiiifii"),
    codes.CELL_GATHER: (dense.gather, "rniiifiiiii"),
    codes.CELL_GATHER_INPUTS: (dense.gather, "rniiifiiiii"),
    codes.CELL_GATHER_LABELS: (dense.gather_labels, "rniiifiii"),
    codes.CELL_GATHER_WEIGHTS: (dense.gather_weights, "rniixfiii"),
    codes.CELL_TOTAL_WEIGHT: (dense.total_weight, "rniid"),
    codes.CELL_COLLECT: (costs.collect, "ffffi"),
    codes.CELL_SHUFFLE: (random.shuffle, "nii"),
    codes.CELL_NOISE: (noise.before_layer, "tNdfiiiii"),
    codes.CELL_SCATTER: (dense.scatter, "fiiiif"),
    codes.CELL_END_EPOCH: (record.end_epoch, "ffdnddii"),
    codes.CELL_MY_SAMPLES: (my_samples, "tndffrrrniixiiiiiini"),
    codes.CELL_MY_NEURONS: (my_neurons, "tnffffdiiiiiirniini"),
}
"""Kernels that are called by address: cell of `layout.Plan.cells` -> kernel and its arguments, as letters."""


def fill_addresses(plan, dtype, backward):
    """Write the addresses of the KERNELS that a plan can come to need into its cells, compiling them at first.

    Each costs 0.1 to 0.5 s once, so none is compiled in vain.
    """
    across = plan.layers[:, LAYER_TRANSPOSED] >= 0
    deep = len(plan.layers) > 1
    needed = {CELL_FORWARD: True, CELL_GATHER: True, CELL_GATHER_INPUTS: True, codes.CELL_SCATTER: not backward}
    if backward:
        needed |= dict.fromkeys((CELL_GATHER_WEIGHTS, CELL_COLLECT, codes.CELL_SHUFFLE, codes.CELL_END_EPOCH,
                                 codes.CELL_MY_SAMPLES, codes.CELL_MY_NEURONS), True)
        needed |= {CELL_BACKWARD: deep, CELL_TRANSPOSE: across[1:].any(), CELL_GRADIENT: across.any()}
        needed |= {CELL_GRADIENT_BY_LANES: not across.all() or plan.layers[0, LAYER_BIASES] >= 0}
    for cell, wanted in needed.items():
        if wanted:
            fill_address(plan, dtype, cell)


def fill_address(plan, dtype, cell):
    """Write the address of one of the KERNELS into a plan's cells."""
    plan.cells[cell] = address(*KERNELS[cell], dtype)


def gather_sparse(plan, dtype):
    """Let a plan gather its inputs from the rows of a sparse matrix."""
    plan.cells[CELL_GATHER_INPUTS] = address(dense.gather_sparse, KERNELS[CELL_GATHER_INPUTS][1], dtype)

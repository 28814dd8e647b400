"""A block of samples through the network and back: the two phases of a step.

Phase 1, `my_samples`, takes strips of samples forward, to the cost and back; phase 2, `my_neurons`, sums the gradient
of some neurons over all samples and updates them. Between the two every thread must have finished its strips. What is
written here is the order of the equations; the loops are in `dense`, `activations`, `costs` and `updates`, called by
address (see `_jit`).
"""

from . import codes, costs, dense, noise, random, record
from ._jit import address, by_address
from .codes import (
    ACROSS,
    ACTIVATING,
    ACTIVATION,
    BACKWARD,
    BIASES,
    BY_LANES,
    COLLECT,
    COST,
    COST_KERNEL,
    COSTING,
    DELTA,
    DELTA_BELOW,
    FORWARD,
    FORWARDING,
    GATHER,
    GATHERING,
    GOING_BACK,
    GRADIENT,
    INPUTS,
    JACOBIAN,
    LABELS,
    MATCHED,
    N_IN,
    N_OUT,
    NOISE,
    ONES,
    OUT,
    PACKS,
    SOURCE,
    SUMMING,
    TANGENTS,
    TARGET,
    TURN,
    UPDATING,
    WEIGH,
    WEIGHT,
    WEIGHTS,
)
from .simd import WHOLE, call, lanes, lap, panel

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
    top = layers.shape[0] - 1
    classes = layers[top, N_OUT]
    call(cells[INPUTS], inputs, order, begin, end, layers[0, N_IN], panels, layers[0, SOURCE], layers[0, ACROSS],
         strips, first, last)
    if labels != 0:
        call(cells[LABELS], targets, order, begin, end, classes, panels, cells[TARGET], first, last)
    else:
        call(cells[GATHER], targets, order, begin, end, classes, panels, cells[TARGET], -1, strips, first, last)
    call(cells[WEIGH], weights, order, begin, end, total, panels, cells[WEIGHT], first, last)
    lap(clock, start, 0, GATHERING)
    for layer in range(top + 1):
        n = layers[layer, N_OUT]
        if cells[NOISE] != 0:
            call(cells[NOISE], layers, cells, cost_parameter, panels, layer, begin, strips, first, last)
        if layer > 0 and layers[layer, ACROSS] >= 0:
            call(cells[TURN], panels, layers[layer, SOURCE], layers[layer, ACROSS], layers[layer, N_IN], strips, first,
                 last)
        call(cells[FORWARD], parameters, layers[layer, WEIGHTS], layers[layer, BIASES], panels, layers[layer, SOURCE],
             layers[layer, OUT], layers[layer, N_IN], n, first, last)
        lap(clock, start, layer, FORWARDING)
        if layer < top or cells[MATCHED] == 0:
            out = panel(panels, layers[layer, OUT], n, first, last)
            slope = panel(panels, layers[layer, DELTA], n, first, last)
            call(layers[layer, ACTIVATION], out, slope, n)
            lap(clock, start, layer, ACTIVATING)
    out = panel(panels, layers[top, OUT], classes, first, last)
    delta = panel(panels, layers[top, DELTA], classes, first, last)
    target, weight = panel(panels, cells[TARGET], classes, first, last), panel(panels, cells[WEIGHT], 1, first, last)
    call(cells[COST_KERNEL], out, target, delta, classes, cost_parameter)
    if cells[JACOBIAN] != 0:
        call(cells[JACOBIAN], out, delta, classes)
    call(cells[COLLECT], target, weight, delta, panel(panels, cells[COST], 1, first, last), classes)
    lap(clock, start, top, COSTING)
    if backward != 0:
        for layer in range(top, 0, -1):
            call(cells[BACKWARD], parameters, layers[layer, WEIGHTS], panels, layers[layer, DELTA],
                 layers[layer, DELTA_BELOW], layers[layer, N_IN], layers[layer, N_OUT], first, last,
                 scratch if layers[layer, PACKS] != 0 else -1)
            lap(clock, start, layer, GOING_BACK)


@by_address
def my_neurons(layers, cells, panels, parameters, gradient, state, hyper, update, strips, accumulate, thread, threads,
               scratch, inputs, order, ahead, ahead_end, clock, start):
    """Phase 2: ∂E/∂w_jk = δ_j o_k (6) summed over all samples for this thread's share of every layer, then (7).

    Overwrites ``gradient`` or adds to it; overwrites parameters and state by the rule at address ``update``, or leaves
    them alone if that is 0.
    """
    lane = lanes(panels)
    at_once = update != 0 and threads == 1 and parameters.size * parameters.itemsize <= UPDATE_BYTES
    applied = update != 0 and accumulate == 0 and not at_once  # then rows may share one place, which stays in cache
    for layer in range(layers.shape[0]):
        n_in, n_out, delta = layers[layer, N_IN], layers[layer, N_OUT], layers[layer, DELTA]
        w, b = layers[layer, WEIGHTS], layers[layer, BIASES]
        every = strips * (1 + layers[layer, TANGENTS])  # behind the samples' strips those of their tangents, if any
        first, end = n_out * thread // threads, n_out * (thread + 1) // threads
        some = max(UPDATE_BYTES // (n_in * parameters.itemsize) // WHOLE * WHOLE, WHOLE)
        for j in range(first, end, some):
            stop = min(j + some, end)
            shift = (j - first) * n_in if applied else 0
            if layers[layer, ACROSS] >= 0:
                call(cells[GRADIENT], panels, delta, layers[layer, ACROSS], n_in, n_out, every, j, stop, gradient,
                     w - shift, accumulate, scratch if layers[layer, PACKS] != 0 else -1, inputs, order, ahead,
                     ahead_end if layer == 0 else ahead)
            else:
                call(cells[BY_LANES], panels, delta, layers[layer, SOURCE], n_in * lane, n_in, n_out, every, j, stop,
                     gradient, w - shift, accumulate)
            if b >= 0:
                call(cells[BY_LANES], panels, delta, cells[ONES], 0, 1, n_out, strips, j, stop, gradient, b, accumulate)
            lap(clock, start, layer, SUMMING)
            if update != 0 and not at_once:
                call(update, parameters, gradient, state, w + j * n_in, w + stop * n_in, shift, hyper)
                if b >= 0:
                    call(update, parameters, gradient, state, b + j, b + stop, 0, hyper)
                lap(clock, start, layer, UPDATING)
    if at_once:
        call(update, parameters, gradient, state, 0, parameters.size, 0, hyper)
        lap(clock, start, 0, UPDATING)


KERNELS = {
    codes.FORWARD: (dense.forward, "fiifiiiiii"),
    codes.BACKWARD: (dense.backward, "fifiiiiiii"),
    codes.TURN: (dense.turn, "fiiiiii"),
    codes.GRADIENT: (dense.gradient, "fiiiiiiifiiirnii"),
    codes.BY_LANES: (dense.gradient_by_lanes, "fiiiiiiiifii"),
    codes.GATHER: (dense.gather, "rniiifiiiii"),
    codes.INPUTS: (dense.gather, "rniiifiiiii"),
    codes.LABELS: (dense.gather_labels, "rniiifiii"),
    codes.WEIGH: (dense.gather_weights, "rniixfiii"),
    codes.COLLECT: (costs.collect, "ffffi"),
    codes.SHUFFLE: (random.shuffle, "nii"),
    codes.NOISE: (noise.before_layer, "tndfiiiii"),
    codes.SCATTER: (dense.scatter, "fiiiif"),
    codes.END_EPOCH: (record.end_epoch, "ffdnddii"),
    codes.MY_SAMPLES: (my_samples, "tndffrrrniixiiiiiini"),
    codes.MY_NEURONS: (my_neurons, "tnffffdiiiiiirniini"),
}
"""Kernels that are called by address: cell of `layout.Plan.cells` -> kernel and its arguments, as letters."""


def fill_addresses(plan, dtype, backward):
    """Write the addresses of the KERNELS that a plan can come to need into its cells, compiling them at first.

    Each costs 0.1 to 0.5 s once, so none is compiled in vain.
    """
    across = plan.layers[:, ACROSS] >= 0
    deep = len(plan.layers) > 1
    needed = {FORWARD: True, GATHER: True, INPUTS: True, codes.SCATTER: not backward}
    if backward:
        needed |= dict.fromkeys((WEIGH, COLLECT, codes.SHUFFLE, codes.END_EPOCH, codes.MY_SAMPLES,
                                 codes.MY_NEURONS), True)
        needed |= {BACKWARD: deep, TURN: across[1:].any(), GRADIENT: across.any()}
        needed |= {BY_LANES: not across.all() or plan.layers[0, BIASES] >= 0}
    for cell, wanted in needed.items():
        if wanted:
            fill_address(plan, dtype, cell)


def fill_address(plan, dtype, cell):
    """Write the address of one of the KERNELS into a plan's cells."""
    plan.cells[cell] = address(*KERNELS[cell], dtype)


def gather_sparse(plan, dtype):
    """Let a plan gather its inputs from the rows of a sparse matrix."""
    plan.cells[INPUTS] = address(dense.gather_sparse, KERNELS[INPUTS][1], dtype)

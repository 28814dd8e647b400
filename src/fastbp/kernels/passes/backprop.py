"""A block of samples through the network and back: the two phases of a step.

Phase 1, `my_samples`, takes strips of samples forward, to the cost and back; phase 2, `my_neurons`, sums the gradient
of some neurons over all samples and updates them. Between the two every thread must have finished its strips. What is
written here is the order of the equations; the loops are in `dense`, `activations`, `costs` and `rules`, called by
address (see `compile`).
"""

from .. import prototypes
from ..compile import by_address, inline
from ..compile.arguments import Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..functions import costs
from ..ir import WHOLE, call, lanes, lap, least, most, panel, pointer, row, view
from ..layer import dense, gather, parametric
from ..tables import (
    CELL_CANONICAL,
    CELL_COST,
    CELL_GATHER_INPUTS,
    CELL_GATHER_TARGETS,
    CELL_JACOBIAN,
    CELL_MY_NEURONS,
    CELL_MY_SAMPLES,
    CELL_NOISE,
    CELL_OWN_APART,
    CELL_TARGET,
    CELL_TARGET_COLUMNS,
    CELL_WEIGHT,
    CELL_WEIGHTS_NEURONS,
    LAYER_ALPHAS,
    LAYER_BIASES,
    LAYER_CHANGE,
    LAYER_COTANGENT,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PACKS,
    LAYER_PARAMETRIC,
    LAYER_PARAMETRIC_BACKWARD,
    LAYER_SOURCE,
    LAYER_TANGENTS,
    LAYER_TILE,
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
from . import noise
from .shares import first_neuron

UPDATE_BYTES = 64 * 1024
"""Gradient rows that are summed before they are applied, so that they are still in L2."""


@by_address(CELL_MY_SAMPLES)
def my_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
               inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly, weights: ReadOnly, order: Integers,
               begin: int, end: int, total: float, labels: int, backward: int, strips: int, first: int, last: int,
               scratch: int, clock: Integers, start: int) -> None:
    """Phase 1: bring samples order[begin:end] into strips first..last, go forward (1)(2), to the cost (3)(4), back (5).

    ``total`` holds the weight of the batch: each sample's cost and deltas are multiplied by its share of it.
    """
    if first == last:
        return
    top, cells = layers.shape[0] - 1, pointer(cells)
    bottom, output = row(layers, 0), row(layers, top)
    classes = output[LAYER_N_OUT]
    given = most(classes, cells[CELL_TARGET_COLUMNS])
    structure = pointer(structure)  # from Python it comes as an array
    call(gather.gather, cells[CELL_GATHER_INPUTS], inputs, structure, order, begin, end, bottom[LAYER_N_IN], panels,
         bottom[LAYER_SOURCE], bottom[LAYER_TRANSPOSED], strips, first, last)
    if labels != 0:
        call(gather.gather_labels, cells, targets, order, begin, end, classes, panels, cells[CELL_TARGET], first, last)
    else:
        call(gather.gather, cells[CELL_GATHER_TARGETS], targets, cells, order, begin, end, given, panels,
             cells[CELL_TARGET], -1, strips, first, last)
    call(gather.gather_weights, cells, weights, order, begin, end, total, panels, cells[CELL_WEIGHT], first, last)
    lap(clock, start, 0, PHASE_GATHER)
    for layer in range(top + 1):
        here = row(layers, layer)
        n = here[LAYER_N_OUT]
        if cells[CELL_NOISE] != 0:
            call(noise.before_layer, cells, layers, cells, cost_parameter, panels, layer, begin, strips, first, last)
        if layer > 0 and here[LAYER_TRANSPOSED] >= 0:
            call(dense.transpose_panel, cells, panels, here[LAYER_SOURCE], here[LAYER_TRANSPOSED], here[LAYER_N_IN],
                 strips, first, last)
        if here[LAYER_SOURCE] >= 0:
            call(dense.forward, cells, parameters, here[LAYER_WEIGHTS], here[LAYER_BIASES], panels, here[LAYER_SOURCE],
                 here[LAYER_OUT], here[LAYER_N_IN], n, first, last, scratch)
        lap(clock, start, layer, PHASE_FORWARD)
        if layer < top or cells[CELL_CANONICAL] == 0:
            if here[LAYER_PARAMETRIC] != 0:
                call(parametric.activate, here, here, panels, parameters, first, last, 0)
            else:
                out, slope = panel(panels, here[LAYER_OUT], n, first, last), panel(panels, here[LAYER_DELTA], n, first,
                                                                                   last)
                call(prototypes.activation, here, out, slope, n)
            lap(clock, start, layer, PHASE_ACTIVATION)
    out, delta = panel(panels, output[LAYER_OUT], classes, first, last), panel(panels, output[LAYER_COTANGENT], classes,
                                                                               first, last)
    target, weight = panel(panels, cells[CELL_TARGET], given, first, last), panel(panels, cells[CELL_WEIGHT], 1,
                                                                                  first, last)
    call(prototypes.cost, cells, out, target, delta, classes, cost_parameter)
    if cells[CELL_JACOBIAN] != 0:
        call(prototypes.jacobian_product, cells, out, delta, classes)
    call(costs.collect, cells, view(target, 0, out.size), weight, delta,
         panel(panels, cells[CELL_COST], 1, first, last), classes)
    lap(clock, start, top, PHASE_COST)
    if backward != 0:
        for layer in range(top, -1, -1):
            here = row(layers, layer)
            if here[LAYER_PARAMETRIC_BACKWARD] != 0:
                call(parametric.backward, here, here, panels, 0, first, last, 0)
            if layer > 0:
                call(dense.backward, cells, parameters, here[LAYER_WEIGHTS], panels, here[LAYER_DELTA],
                     here[LAYER_DELTA_BELOW], here[LAYER_N_IN], here[LAYER_N_OUT], first, last,
                     scratch if here[LAYER_PACKS] != 0 else -1)
                lap(clock, start, layer, PHASE_BACKWARD)


@inline
def updates_at_once(parameters, update, threads):
    """Return whether all parameters are updated together, after the last layer's gradient."""
    return update != 0 and threads == 1 and parameters.size * parameters.itemsize <= UPDATE_BYTES


@by_address(CELL_MY_NEURONS)
def my_neurons(layers: Table, cells: Integers, panels: Floats, parameters: Floats, gradient: Floats, state: Floats,
               hyper: Doubles, update: int, strips: int, accumulate: int, thread: int, threads: int, scratch: int,
               inputs: ReadOnly, order: Integers, ahead: int, ahead_end: int, clock: Integers, start: int) -> None:
    """Phase 2: ∂E/∂w_jk = δ_j o_k (6) summed over all samples for this thread's share of every layer, then (7).

    Overwrites ``gradient`` or adds to it; overwrites parameters and state by the rule at address ``update``, or leaves
    them alone if that is 0.
    """
    lane, cells = lanes(panels), pointer(cells)
    at_once = updates_at_once(parameters, update, threads)
    applied = update != 0 and accumulate == 0 and not at_once  # then rows may share one place, which stays in cache
    shared = update != 0 and threads > 1  # then others have read weights that are updated here
    for layer in range(layers.shape[0]):
        here = row(layers, layer)
        n_in, n_out, delta = here[LAYER_N_IN], here[LAYER_N_OUT], here[LAYER_DELTA]
        first = first_neuron(n_out, here[LAYER_TILE], thread, threads)
        end = first_neuron(n_out, here[LAYER_TILE], thread + 1, threads)
        if here[LAYER_SOURCE] < 0 and here[LAYER_TRANSPOSED] < 0:
            continue
        w, b, transposed = here[LAYER_WEIGHTS], here[LAYER_BIASES], here[LAYER_TRANSPOSED]
        owned = w if shared else -1
        if layer == 0 and cells[CELL_OWN_APART] != 0:
            owned = -1
            if thread > 0 and strips > 1:
                transposed += cells[CELL_OWN_APART]
        every = strips * (1 + here[LAYER_TANGENTS])  # behind the samples' strips those of their tangents, if any
        some = most(UPDATE_BYTES // (n_in * parameters.itemsize) // WHOLE * WHOLE, WHOLE)
        for j in range(first, end, some):
            stop = least(j + some, end)
            shift = (j - first) * n_in if applied else 0
            if transposed >= 0:
                call(dense.gradient, cells, panels, delta, transposed, n_in, n_out, every, j, stop, gradient, w - shift,
                     accumulate, scratch if here[LAYER_PACKS] != 0 else -1, inputs, order, ahead,
                     ahead_end if layer == 0 else ahead, every, parameters, owned)
            else:
                call(dense.gradient_by_lanes, cells, panels, delta, here[LAYER_SOURCE], n_in * lane, n_in, n_out, every,
                     j, stop, gradient, w - shift, b if every == strips else -1, accumulate)
            if b >= 0 and (transposed >= 0 or every > strips):
                call(dense.bias_gradient, cells, panels, delta, n_out, strips, j, stop, gradient, b, accumulate)
            lap(clock, start, layer, PHASE_GRADIENT)
            if update != 0 and not at_once:
                call(prototypes.update_rule, update, parameters, gradient, state, w + j * n_in, w + stop * n_in, shift,
                     hyper)
                if b >= 0:
                    call(prototypes.update_rule, update, parameters, gradient, state, b + j, b + stop, 0, hyper)
                lap(clock, start, layer, PHASE_UPDATE)
    if at_once:
        call(prototypes.update_rule, update, parameters, gradient, state, 0, parameters.size, 0, hyper)
        lap(clock, start, 0, PHASE_UPDATE)


@by_address(CELL_MY_NEURONS)
def my_neurons_parametric(layers: Table, cells: Integers, panels: Floats, parameters: Floats, gradient: Floats,
                          state: Floats, hyper: Doubles, update: int, strips: int, accumulate: int, thread: int,
                          threads: int, scratch: int, inputs: ReadOnly, order: Integers, ahead: int, ahead_end: int,
                          clock: Integers, start: int) -> None:
    """Phase 2 with ∂E/∂α_j = Σ_samples (φ(net_j) − net_j) ∂E/∂o_j for this thread's share of every layer, then (7)."""
    for layer in range(layers.shape[0]):
        here = row(layers, layer)
        n, tile = here[LAYER_N_OUT], here[LAYER_TILE]
        if here[LAYER_ALPHAS] >= 0:
            call(dense.bias_gradient, cells, panels, here[LAYER_CHANGE], n, strips,
                 first_neuron(n, tile, thread, threads), first_neuron(n, tile, thread + 1, threads), gradient,
                 here[LAYER_ALPHAS], accumulate)
            lap(clock, start, layer, PHASE_GRADIENT)
    call(my_neurons, cells[CELL_WEIGHTS_NEURONS], layers, cells, panels, parameters, gradient, state, hyper, update,
         strips, accumulate, thread, threads, scratch, inputs, order, ahead, ahead_end, clock, start)
    if update == 0 or updates_at_once(parameters, update, threads):
        return
    for layer in range(layers.shape[0]):
        here = row(layers, layer)
        n, tile, alphas = here[LAYER_N_OUT], here[LAYER_TILE], here[LAYER_ALPHAS]
        first, end = first_neuron(n, tile, thread, threads), first_neuron(n, tile, thread + 1, threads)
        if alphas >= 0 and first < end:
            call(prototypes.update_rule, update, parameters, gradient, state, alphas + first, alphas + end, 0, hyper)
            lap(clock, start, layer, PHASE_UPDATE)

"""Phase 2 of two threads that hand sums on, in the place of `backprop.my_neurons`.

There each thread sums over all samples for its neurons, so it reads half of the panels that the other has written, and
these lines of the cache go to and fro between two cores in each step. Where parameters are few beside the panels it is
less to hand sums on. The first thread sums over its strips for all neurons, some at a time, and leaves the sums behind
the panels; the second goes on from them over its own strips, in the order of one thread, and updates. Layers that sum
over lanes, which are narrow, the first one does in the end. Neither waits for the other between the phases.
"""

from .. import prototypes
from ..compile import by_address, inline
from ..compile.arguments import Doubles, Floats, Integers, ReadOnly, Table
from ..ir import WHOLE, atomic_load, atomic_store, call, give_way, lanes, lap, least, most, prefetch, row, view
from ..layer import dense
from ..tables import (
    BARRIER_YIELD,
    CELL_HANDED,
    CELL_MIDWAY,
    CELL_MY_NEURONS,
    CELL_PARTS_HANDED,
    CELL_PARTS_READY,
    CELL_PARTS_TAKEN,
    CELL_PLAIN_NEURONS,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_SOURCE,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
    PHASE_GRADIENT,
    PHASE_UPDATE,
    PHASE_WAIT,
)
from . import backprop
from .barrier import SPINS
from .shares import first_strip

SOME = 1024
"""Sums that are handed on at once, or those of WHOLE neurons: by so many the second thread is behind the first."""


@inline
def until(cells, place, count, known):
    """Wait until a count that the other thread keeps has come so far; return it, where it was ``known`` to be."""
    spins = 0
    while known < count:
        known = atomic_load(cells, place)
        spins += 1
        if spins > SPINS:
            give_way(cells[CELL_MIDWAY + BARRIER_YIELD])
    return known


@inline
def ask_for(panels, start, size):
    """Ask for the sums that come next, whose lines the other core has."""
    for i in range(0, size, lanes(panels)):
        prefetch(panels, start + i)


@inline
def add_strips(panels, delta, n_out, strips, j0, j1):
    """Add δ of neurons j0..j1 in all strips, in their order, in the place of the last; overwrites the first, too."""
    lane = lanes(panels)
    size = (j1 - j0) * lane
    total = view(panels, delta + j0 * lane, size)
    for s in range(1, strips):
        found = view(panels, delta + (s * n_out + j0) * lane, size)
        if s + 1 == strips:
            for i in range(size):
                found[i] = total[i] + found[i]
        else:
            for i in range(size):
                total[i] += found[i]


@inline
def update_layer(parameters, gradient, state, hyper, rule, here):
    """Apply the rule to all weights and biases of a layer."""
    w, b, n_out = here[LAYER_WEIGHTS], here[LAYER_BIASES], here[LAYER_N_OUT]
    end = w + n_out * here[LAYER_N_IN]
    call(prototypes.update_rule, rule, parameters, gradient, state, w, end + n_out if b == end else end, 0, hyper)


@by_address(CELL_MY_NEURONS)
def my_neurons(layers: Table, cells: Integers, panels: Floats, parameters: Floats, gradient: Floats, state: Floats,
               hyper: Doubles, update: int, strips: int, accumulate: int, thread: int, threads: int, scratch: int,
               inputs: ReadOnly, order: Integers, ahead: int, ahead_end: int, clock: Integers, start: int) -> None:
    """Phase 2: (6) over this thread's strips for all neurons, then (7) where the sums are complete.

    A step is a part of its own before those of its sums: with it a thread says that it is done with its samples.
    """
    lane, half = lanes(panels), first_strip(strips, 1, 2)
    middle = least(ahead + half * lane, ahead_end)
    parts = cells[CELL_PARTS_TAKEN if thread == 1 else CELL_PARTS_HANDED] + 1
    known = parts - 1
    if threads == 2:
        atomic_store(cells, CELL_PARTS_READY if thread == 1 else CELL_PARTS_HANDED, parts)
    if half == 0 or threads == 1:  # one thread is alone, or has the only strip
        if thread + 1 == threads:
            if threads == 2:
                until(cells, CELL_PARTS_HANDED, parts, known)
                cells[CELL_PARTS_TAKEN] = parts
            call(backprop.my_neurons, cells[CELL_PLAIN_NEURONS], layers, cells, panels, parameters, gradient, state,
                 hyper, update, strips, accumulate, 0, 1, scratch, inputs, order, ahead, ahead_end, clock, start)
        else:
            until(cells, CELL_PARTS_READY, parts, known)
        return
    step = parts
    for layer in range(layers.shape[0]):
        here = row(layers, layer)
        if here[LAYER_TRANSPOSED] < 0:
            continue
        n_in, n_out, w, b = here[LAYER_N_IN], here[LAYER_N_OUT], here[LAYER_WEIGHTS], here[LAYER_BIASES]
        delta, transposed, handed = here[LAYER_DELTA], here[LAYER_TRANSPOSED], cells[CELL_HANDED] + w
        some = most(SOME // n_in // WHOLE * WHOLE, WHOLE)
        for j in range(0, n_out, some):
            stop = least(j + some, n_out)
            parts += 1
            if thread == 0:
                call(dense.gradient, cells, panels, delta, transposed, n_in, n_out, strips, j, stop, panels, handed, 0,
                     -1, inputs, order, ahead, middle if layer == 0 else ahead, half, parameters, -1)
                if b >= 0:
                    add_strips(panels, delta, n_out, half, j, stop)
                atomic_store(cells, CELL_PARTS_HANDED, parts)
            else:
                if known < parts:
                    known = until(cells, CELL_PARTS_HANDED, parts, known)
                    lap(clock, start, 0, PHASE_WAIT)
                if known > parts:
                    ask_for(panels, handed + stop * n_in, (least(stop + some, n_out) - stop) * n_in)
                call(dense.gradient_on, cells, panels, delta, transposed, n_in, n_out, strips, j, stop, gradient, w,
                     accumulate, inputs, order, middle, ahead_end if layer == 0 else middle, half, handed, parameters,
                     w if update != 0 else -1)
                if b >= 0:
                    call(dense.bias_gradient, cells, panels, delta + (half - 1) * n_out * lane, n_out,
                         strips - half + 1, j, stop, gradient, b, accumulate)
            lap(clock, start, layer, PHASE_GRADIENT)
        if thread == 1 and update != 0:
            update_layer(parameters, gradient, state, hyper, update, here)
            lap(clock, start, layer, PHASE_UPDATE)
    if thread == 1:
        cells[CELL_PARTS_TAKEN] = parts
        return
    until(cells, CELL_PARTS_READY, step, step - 1)
    lap(clock, start, 0, PHASE_WAIT)
    for layer in range(layers.shape[0]):
        here = row(layers, layer)
        if here[LAYER_TRANSPOSED] < 0:
            n_in, n_out = here[LAYER_N_IN], here[LAYER_N_OUT]
            call(dense.gradient_by_lanes, cells, panels, here[LAYER_DELTA], here[LAYER_SOURCE], n_in * lane, n_in,
                 n_out, strips, 0, n_out, gradient, here[LAYER_WEIGHTS], here[LAYER_BIASES], accumulate)
            lap(clock, start, layer, PHASE_GRADIENT)
            if update != 0:
                update_layer(parameters, gradient, state, hyper, update, here)
                lap(clock, start, layer, PHASE_UPDATE)

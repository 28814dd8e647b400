"""Phase 1 with tangents: Hessian products, the Hessian's diagonal, training on derivatives.

Tangents are further strips of the same panels. With s strips of samples, strips 0..s hold o, and strips i·s..(i + 1)·s
the derivatives ȯ of all outputs along direction i. Backwards, strips 0..s hold the derivative of what is computed with
respect to net, and strips i·s.. that with respect to the i-th tangent of net. So phase 2, `backprop.my_neurons`, sums
δ_j o_k + Σ_i δ̇_ij ȯ_ik as it is; only for the biases, on which tangents do not depend, it leaves the further strips
out.

Each layer has one panel more, LAYER_NET: net and its tangents on the way forward; φ''(net), from there on, and what it
brings to δ on the way back.

Where one thread has all strips, those of all directions adjoin, and a product takes them at once: two vectors a tile.

The phases have the arguments of `backprop.my_samples` and lie in its cell, so `epoch.run` takes them as it is: any
number of threads, mini-batches, every optimizer.
"""

from .. import prototypes
from ..compile import by_address
from ..compile.arguments import Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from ..functions import costs
from ..functions.softmax import softmax_second
from ..ir import array_at_address, call, most, panel, pointer, row, view
from ..layer import dense, gather
from ..tables import (
    CELL_CANONICAL,
    CELL_COST,
    CELL_DIRECTION,
    CELL_FISHER,
    CELL_FORWARD_SECOND,
    CELL_GATHER_TARGETS,
    CELL_GIVEN_JACOBIAN,
    CELL_JACOBIAN,
    CELL_JACOBIAN_COLUMNS,
    CELL_JACOBIAN_TARGETS,
    CELL_KIND,
    CELL_MY_SAMPLES,
    CELL_N_TARGETS,
    CELL_PULLBACK_TANGENTS,
    CELL_SECOND_ORDER,
    CELL_SPARE,
    CELL_TARGET,
    CELL_TARGET_COLUMNS,
    CELL_TRANSPOSE_ALL,
    CELL_WEIGHT,
    COST_JACOBIAN_WEIGHT,
    KIND_DIAGONAL,
    KIND_GAUSS_NEWTON,
    KIND_HESSIAN,
    KIND_SOBOLEV,
    LAYER_BIASES,
    LAYER_DELTA,
    LAYER_DELTA_BELOW,
    LAYER_N_IN,
    LAYER_N_OUT,
    LAYER_NET,
    LAYER_OUT,
    LAYER_PACKS,
    LAYER_SECOND,
    LAYER_SOURCE,
    LAYER_TANGENTS,
    LAYER_TRANSPOSED,
    LAYER_WEIGHTS,
)
from . import shared
from .shared import panel_row


@by_address(CELL_FORWARD_SECOND)
def forward_second(layers: Table, cells: Integers, panels: Floats, parameters: Floats, inputs: ReadOnly,
                   targets: ReadOnly, weights: ReadOnly, order: Integers, begin: int, end: int, total: float,
                   labels: int, strips: int, first: int, last: int, second: int) -> None:
    """(1)(2) for samples order[begin:end], in strips first..last; with ``second`` = 1 also φ''(net).

    Overwrites the out panels, the delta panels with φ'(net), the net panels with net or φ''(net), and the targets and
    weights.
    """
    top = layers.shape[0] - 1
    classes = layers[top, LAYER_N_OUT]
    given = most(classes, cells[CELL_TARGET_COLUMNS])
    dense_rows = pointer(order)  # for want of a structure
    call(gather.gather, cells, inputs, dense_rows, order, begin, end, layers[0, LAYER_N_IN], panels,
         layers[0, LAYER_SOURCE], -1, strips, first, last)
    if labels != 0:
        call(gather.gather_labels, cells, targets, order, begin, end, classes, panels, cells[CELL_TARGET], first, last)
    else:
        call(gather.gather, cells[CELL_GATHER_TARGETS], targets, pointer(cells), order, begin, end, given, panels,
             cells[CELL_TARGET], -1, strips, first, last)
    call(gather.gather_weights, cells, weights, order, begin, end, total, panels, cells[CELL_WEIGHT], first, last)
    for layer in range(top + 1):
        n = layers[layer, LAYER_N_OUT]
        call(dense.forward, cells, parameters, layers[layer, LAYER_WEIGHTS], layers[layer, LAYER_BIASES], panels,
             layers[layer, LAYER_SOURCE], layers[layer, LAYER_NET], layers[layer, LAYER_N_IN], n, first, last, -1)
        net, out = panel(panels, layers[layer, LAYER_NET], n, first, last), panel(panels, layers[layer, LAYER_OUT], n,
                                                                                  first, last)
        slope = panel(panels, layers[layer, LAYER_DELTA], n, first, last)
        for i in range(net.size):
            out[i] = net[i]
        if layer == top:
            spare = panel(panels, cells[CELL_SPARE], n, first, last)
            for i in range(net.size):
                spare[i] = net[i]
        call(prototypes.activation, row(layers, layer), out, slope, n)
        if second != 0 and layers[layer, LAYER_SECOND] != 0:
            call(prototypes.second_derivative, row(layers, layer), net, out, slope)


@by_address(CELL_SECOND_ORDER)
def second_order(layers: Table, cells: Integers, panels: Floats, layer: int, tangents: int, strips: int, first: int,
         last: int) -> None:
    """From a_i, the derivatives with respect to ȯ_i: δ̇_i = φ' a_i, and Σ_i φ'' ṅet_i a_i, which adds to δ.

    a_i stands in strips i·s.. of the delta panel, where δ̇_i replaces it; the sum replaces φ'' in the net panel. For
    softmax the products with its first and second derivatives.
    """
    n = layers[layer, LAYER_N_OUT]
    out = panel(panels, layers[layer, LAYER_OUT], n, first, last)
    slope = panel(panels, layers[layer, LAYER_DELTA], n, first, last)
    second = panel(panels, layers[layer, LAYER_NET], n, first, last)
    zero = type(out[0])(0)
    if layer == layers.shape[0] - 1 and cells[CELL_JACOBIAN] != 0:
        for k in range(second.size):
            second[k] = zero
        for i in range(1, tangents + 1):
            a = panel(panels, layers[layer, LAYER_DELTA], n, i * strips + first, i * strips + last)
            tangent = panel(panels, layers[layer, LAYER_OUT], n, i * strips + first, i * strips + last)
            call(softmax_second, cells, second, out, tangent, a, n)
            call(prototypes.jacobian_product, cells, out, a, n)
        return
    for i in range(1, tangents + 1):
        a = panel(panels, layers[layer, LAYER_DELTA], n, i * strips + first, i * strips + last)
        net = panel(panels, layers[layer, LAYER_NET], n, i * strips + first, i * strips + last)
        total = panel(panels, layers[layer, LAYER_NET], n, strips + first, strips + last)
        for k in range(a.size):
            net[k] *= a[k]
            a[k] *= slope[k]
        if i > 1:
            for k in range(a.size):
                total[k] += net[k]
    total = panel(panels, layers[layer, LAYER_NET], n, strips + first, strips + last)
    for k in range(second.size):
        second[k] *= total[k]


@by_address(CELL_PULLBACK_TANGENTS)
def pullback(layers: Table, cells: Integers, panels: Floats, parameters: Floats, direction: Floats, moved: int,
         tangents: int, strips: int, first: int, last: int, scratch: int) -> None:
    """δ and δ̇_i of all layers from those of the top: a_i = Wᵀδ̇_i, then `second_order`; δ = φ' Wᵀδ + Σ_i φ'' ṅet_i a_i.

    With ``moved`` = 1 also + φ' Vᵀδ̇; without tangents φ' Wᵀδ alone. Overwrites the delta and net panels.
    """
    one = type(panels[0])(1)
    together = max(tangents, 1) if last - first == strips else 1
    for layer in range(layers.shape[0] - 1, 0, -1):
        n_in, n, w = layers[layer, LAYER_N_IN], layers[layer, LAYER_N_OUT], layers[layer, LAYER_WEIGHTS]
        above, below, net_below = layers[layer, LAYER_DELTA], layers[layer, LAYER_DELTA_BELOW], layers[layer - 1,
                                                                                                       LAYER_NET]
        pack = scratch if layers[layer, LAYER_PACKS] != 0 else -1
        delta, second = panel(panels, below, n_in, first, last), panel(panels, net_below, n_in, first, last)
        for i in range(1, tangents + 1, together):
            low, high = i * strips + first, (i + together - 1) * strips + last
            a = panel(panels, below, n_in, low, high)
            for k in range(a.size):
                a[k] = one
            call(dense.backward, cells, parameters, w, panels, above, below, n_in, n, low, high, pack)
        if tangents > 0:
            call(second_order, cells, layers, cells, panels, layer - 1, tangents, strips, first, last)
        if moved != 0:
            more = panel(panels, net_below, n_in, strips + first, strips + last)
            for k in range(more.size):
                more[k] = delta[k]
            call(dense.backward, cells, direction, w, panels, above, net_below, n_in, n, strips + first, strips + last,
                 pack)
            for k in range(more.size):
                second[k] += more[k]
        call(dense.backward, cells, parameters, w, panels, above, below, n_in, n, first, last, pack)
        if tangents > 0:
            for k in range(delta.size):
                delta[k] += second[k]


@by_address(CELL_TRANSPOSE_ALL)
def transpose_all(layers: Table, cells: Integers, panels: Floats, strips: int, first: int, last: int) -> None:
    """Copy all outputs that the gradient sums over, tangents too, to where neurons are in lanes."""
    for layer in range(layers.shape[0]):
        for i in range(layers[layer, LAYER_TANGENTS] + 1 if layers[layer, LAYER_TRANSPOSED] >= 0 else 0):
            call(dense.transpose_panel, cells, panels, layers[layer, LAYER_SOURCE], layers[layer, LAYER_TRANSPOSED],
                 layers[layer, LAYER_N_IN], strips * (layers[layer, LAYER_TANGENTS] + 1), i * strips + first,
                 i * strips + last)


@by_address(CELL_MY_SAMPLES)
def product_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                    inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly,
                    weights: ReadOnly, order: Integers, begin: int, end: int, total: float, labels: int, backward: int,
                    strips: int, first: int, last: int, scratch: int, clock: Integers, start: int) -> None:
    """Phase 1 of a Hessian's or Gauss–Newton matrix's product with a direction (Pearlmutter 1994, section 3).

    The Hessian's is the gradient of the cost's derivative along v, so strips 0..s end with δ̇ and strips s..2s with δ.
    The other leaves out all that δ brings, and φ''.
    """
    if first == last:
        return
    top = layers.shape[0] - 1
    n, exact = layers[top, LAYER_N_OUT], 1 if cells[CELL_KIND] == KIND_HESSIAN else 0
    direction = array_at_address(panels, cells[CELL_DIRECTION], parameters.size)
    call(forward_second, cells, layers, cells, panels, parameters, inputs, targets, weights, order, begin, end,
         total, labels, strips, first, last, exact)
    call(shared.pushforward_tangents, cells, layers, cells, panels, parameters, direction, 1, 0, 1, strips, first, last)
    low, high = strips + first, strips + last
    out, tangent = panel(panels, layers[top, LAYER_OUT], n, first, last), panel(panels, layers[top, LAYER_OUT], n, low,
                                                                                high)
    target, change = panel(panels, cells[CELL_TARGET], n, first, last), panel(panels, cells[CELL_SPARE], n, first, last)
    delta, a = panel(panels, layers[top, LAYER_DELTA], n, first, last), panel(panels, layers[top, LAYER_DELTA], n, low,
                                                                              high)
    for k in range(change.size):
        change[k] = tangent[k]
    if cells[CELL_FISHER] != 0:
        call(prototypes.fisher, cells, out, change, n)
    elif cells[CELL_CANONICAL] == 0:
        call(prototypes.cost_second, cells, out, target, change, n, cost_parameter)
    call(shared.weigh, cells, panels, cells[CELL_WEIGHT], cells[CELL_SPARE], n, first, first, last)
    if cells[CELL_CANONICAL] != 0:
        for k in range(delta.size):
            delta[k], a[k] = change[k], out[k] - target[k]
        call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n, low, first, last)
    else:
        if cells[CELL_JACOBIAN] != 0:
            call(prototypes.jacobian_product, cells, out, change, n)
        else:
            for k in range(change.size):
                change[k] *= delta[k]
        if exact != 0:
            for k in range(a.size):
                a[k] = type(a[0])(1)
            call(prototypes.cost, cells, out, target, a, n, cost_parameter)
            call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n, low, first, last)
            call(second_order, cells, layers, cells, panels, top, 1, strips, first, last)
            second = panel(panels, layers[top, LAYER_NET], n, first, last)
            for k in range(change.size):
                change[k] += second[k]
        for k in range(delta.size):
            delta[k] = change[k]
    call(pullback, cells, layers, cells, panels, parameters, direction, exact, exact, strips, first, last,
         scratch)
    call(transpose_all, cells, layers, cells, panels, strips, first, last)


@by_address(CELL_MY_SAMPLES)
def diagonal_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                     inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly,
                     weights: ReadOnly, order: Integers, begin: int, end: int, total: float, labels: int, backward: int,
                     strips: int, first: int, last: int, scratch: int, clock: Integers, start: int) -> None:
    """Phase 1 of the Hessian's diagonal: ∂²E/∂w_jk² = Σ_samples h_j o_k², h_j = ∂²E/∂net_j²; for biases Σ h_j.

    net_j is linear in w_jk, and o_k does not depend on it. Each neuron's h_j takes a tangent that starts with
    ṅet_j = 1, to the outputs and back. Overwrites the delta panels with h and the outputs with their squares.

    ∂²C/∂o² is kept in the spare panel; where it couples outputs that describe one target, the targets are.
    """
    if first == last:
        return
    top = layers.shape[0] - 1
    n, low, high = layers[top, LAYER_N_OUT], strips + first, strips + last
    together = cells[CELL_N_TARGETS] < n
    one, zero = type(panels[0])(1), type(panels[0])(0)
    call(forward_second, cells, layers, cells, panels, parameters, inputs, targets, weights, order, begin, end,
         total, labels, strips, first, last, 1)
    out, tangent = panel(panels, layers[top, LAYER_OUT], n, first, last), panel(panels, layers[top, LAYER_OUT], n, low,
                                                                                high)
    second, net = panel(panels, layers[top, LAYER_NET], n, first, last), panel(panels, layers[top, LAYER_NET], n, low,
                                                                             high)
    slope, a = panel(panels, layers[top, LAYER_DELTA], n, first, last), panel(panels, layers[top, LAYER_DELTA], n, low,
                                                                              high)
    target, change = panel(panels, cells[CELL_TARGET], n, first, last), panel(panels, cells[CELL_SPARE], n, first, last)
    if cells[CELL_CANONICAL] != 0:
        for k in range(a.size):
            a[k] = out[k] - target[k]
        call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n, low, first, last)
    else:
        for k in range(a.size):
            a[k], change[k] = one, target[k] if together else one
        if not together:
            call(prototypes.cost_second, cells, out, target, change, n, cost_parameter)
            call(shared.weigh, cells, panels, cells[CELL_WEIGHT], cells[CELL_SPARE], n, first, first, last)
        call(prototypes.cost, cells, out, target, a, n, cost_parameter)
        call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n, low, first, last)
        if cells[CELL_JACOBIAN] != 0:
            for k in range(a.size):
                second[k] = a[k]
            call(prototypes.jacobian_product, cells, out, a, n)
        else:
            for k in range(a.size):
                second[k] *= a[k]
                a[k] *= slope[k]
    # From here on the net panels hold φ'' ∂E/∂o in place of φ'': what a tangent of net adds to that of δ.
    for layer in range(top, 0, -1):
        n_in, below = layers[layer, LAYER_N_IN], layers[layer, LAYER_DELTA_BELOW]
        slope_below, a_below = panel(panels, below, n_in, first, last), panel(panels, below, n_in, low, high)
        second_below = panel(panels, layers[layer - 1, LAYER_NET], n_in, first, last)
        for k in range(a_below.size):
            a_below[k] = one
        call(dense.backward, cells, parameters, layers[layer, LAYER_WEIGHTS], panels, layers[layer, LAYER_DELTA], below,
             n_in, layers[layer, LAYER_N_OUT], low, high, scratch if layers[layer, LAYER_PACKS] != 0 else -1)
        for k in range(a_below.size):
            second_below[k] *= a_below[k]
            a_below[k] *= slope_below[k]
    for layer in range(top + 1):
        size, delta = layers[layer, LAYER_N_OUT], layers[layer, LAYER_DELTA]
        from_here = panel(panels, layers[layer, LAYER_NET if layer == top else LAYER_OUT], size, low, high)
        for j in range(size):
            for k in range(from_here.size):
                from_here[k] = zero
            for s in range(first, last):
                beginning = panel_row(panels, layers[layer, LAYER_NET if layer == top else LAYER_OUT], size, strips + s,
                                      j)
                own = panel_row(panels, delta, size, s, j)
                for v in range(own.size):
                    beginning[v] = one if layer == top else own[v]
            if layer < top:
                call(shared.pushforward_tangents, cells, layers, cells, panels, parameters, parameters, 0, layer + 1, 1,
                     strips, first, last)
            elif cells[CELL_JACOBIAN] != 0:
                for k in range(net.size):
                    tangent[k] = net[k]
                call(prototypes.jacobian_product, cells, out, tangent, n)
            else:
                for k in range(net.size):
                    tangent[k] = slope[k] * net[k]
            if together or cells[CELL_CANONICAL] != 0:
                for k in range(a.size):
                    a[k] = tangent[k]
                if together:
                    call(prototypes.cost_second, cells, out, change, a, n, cost_parameter)
                call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n, low, first, last)
            else:
                for k in range(a.size):
                    a[k] = change[k] * tangent[k]
            if cells[CELL_CANONICAL] == 0:
                if cells[CELL_JACOBIAN] != 0:
                    call(prototypes.jacobian_product, cells, out, a, n)
                    call(softmax_second, cells, a, out, tangent, second, n)
                else:
                    for k in range(a.size):
                        a[k] = slope[k] * a[k] + second[k] * net[k]
            for m in range(top, layer, -1):
                n_in, below = layers[m, LAYER_N_IN], layers[m, LAYER_DELTA_BELOW]
                slope_below, a_below = panel(panels, below, n_in, first, last), panel(panels, below, n_in, low, high)
                for k in range(a_below.size):
                    a_below[k] = slope_below[k]
                call(dense.backward, cells, parameters, layers[m, LAYER_WEIGHTS], panels, layers[m, LAYER_DELTA], below,
                     n_in, layers[m, LAYER_N_OUT], low, high, scratch if layers[m, LAYER_PACKS] != 0 else -1)
                if m - 1 > layer:
                    second_below = panel(panels, layers[m - 1, LAYER_NET], n_in, first, last)
                    net_below = panel(panels, layers[m - 1, LAYER_NET], n_in, low, high)
                    for k in range(a_below.size):
                        a_below[k] += second_below[k] * net_below[k]
            for s in range(first, last):  # φ' of this neuron is needed no more
                own, found = panel_row(panels, delta, size, s, j), panel_row(panels, delta, size, strips + s, j)
                extra = panel_row(panels, layers[layer, LAYER_NET], size, s, j)
                for v in range(own.size):
                    own[v] = found[v] if layer == top else found[v] + extra[v]
    for layer in range(top + 1):
        below = panel(panels, layers[layer, LAYER_SOURCE], layers[layer, LAYER_N_IN], first, last)
        for k in range(below.size):
            below[k] *= below[k]
    call(transpose_all, cells, layers, cells, panels, strips, first, last)


@by_address(CELL_MY_SAMPLES)
def sobolev_samples(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                    inputs: ReadOnly, structure: IntegerPointer, targets: ReadOnly,
                    weights: ReadOnly, order: Integers, begin: int, end: int, total: float, labels: int, backward: int,
                    strips: int, first: int, last: int, scratch: int, clock: Integers, start: int) -> None:
    """Phase 1 of training on derivatives: C + λ/2 Σ_ji (∂o_j/∂x_i − J_ji)² (Czarnecki et al. 2017, equation 1).

    The tangent along x_i is ∂o/∂x_i; λ stands in cost_parameter[COST_JACOBIAN_WEIGHT]. J has a row for each target, so
    outputs behind those that are compared with targets have no slope to learn. Where λ is below 0, J_ji is what
    ∂o_j/∂x_i is multiplied by, as the targets of `costs.linear` are what outputs are.
    """
    if first == last:
        return
    top = layers.shape[0] - 1
    n, n_in, compared = layers[top, LAYER_N_OUT], layers[0, LAYER_N_IN], cells[CELL_N_TARGETS]
    real = type(panels[0])
    half, factor, zero, one = real(0.5), real(cost_parameter[COST_JACOBIAN_WEIGHT]), real(0), real(1)
    call(forward_second, cells, layers, cells, panels, parameters, inputs, targets, weights, order, begin, end,
         total, labels, strips, first, last, backward)
    for i in range(n_in):
        for s in range((i + 1) * strips + first, (i + 1) * strips + last):
            for k in range(n_in):
                direction = panel_row(panels, layers[0, LAYER_SOURCE], n_in, s, k)
                for v in range(direction.size):
                    direction[v] = one if k == i else zero
    call(shared.pushforward_tangents, cells, layers, cells, panels, parameters, parameters, 0, 0, n_in, strips, first,
         last)
    columns, size = cells[CELL_JACOBIAN_COLUMNS], compared * n_in
    given = array_at_address(inputs, cells[CELL_GIVEN_JACOBIAN], inputs.size // n_in * columns)
    call(gather.gather, cells, given, structure, order, begin, end, columns, panels,
         cells[CELL_JACOBIAN_TARGETS], -1, strips, first, last)
    for i in range(n_in):
        for s in range(first, last):
            for j in range(compared, n):
                a = panel_row(panels, layers[top, LAYER_DELTA], n, (i + 1) * strips + s, j)
                for v in range(a.size):
                    a[v] = zero
            for j in range(compared):
                tangent = panel_row(panels, layers[top, LAYER_OUT], n, (i + 1) * strips + s, j)
                a = panel_row(panels, layers[top, LAYER_DELTA], n, (i + 1) * strips + s, j)
                wanted = panel_row(panels, cells[CELL_JACOBIAN_TARGETS], columns, s, j * n_in + i)
                if factor < zero:
                    for v in range(a.size):
                        a[v] = wanted[v]
                        wanted[v] *= tangent[v]
                elif columns == size:
                    for v in range(a.size):
                        error = tangent[v] - wanted[v]
                        a[v] = factor * error
                        wanted[v] = half * factor * error * error
                else:
                    own = panel_row(panels, cells[CELL_JACOBIAN_TARGETS], columns, s, size + j * n_in + i)
                    for v in range(a.size):
                        error = tangent[v] - wanted[v]
                        a[v] = own[v] * error
                        wanted[v] = half * own[v] * error * error
        call(shared.weigh, cells, panels, cells[CELL_WEIGHT], layers[top, LAYER_DELTA], n, (i + 1) * strips + first,
             first, last)
    out, delta = panel(panels, layers[top, LAYER_OUT], n, first, last), panel(panels, layers[top, LAYER_DELTA], n,
                                                                              first, last)
    weight = panel(panels, cells[CELL_WEIGHT], 1, first, last)
    target = panel(panels, cells[CELL_TARGET], most(n, cells[CELL_TARGET_COLUMNS]), first, last)
    if backward != 0:
        call(second_order, cells, layers, cells, panels, top, n_in, strips, first, last)
    if cells[CELL_CANONICAL] != 0:
        call(prototypes.cost, cells, panel(panels, cells[CELL_SPARE], n, first, last), target, delta, n,
             cost_parameter)
    else:
        call(prototypes.cost, cells, out, target, delta, n, cost_parameter)
        if cells[CELL_JACOBIAN] != 0:
            call(prototypes.jacobian_product, cells, out, delta, n)
    shares = view(target, 0, out.size)
    for s in range(first, last):
        for j in range(compared):
            cost = panel_row(shares, 0, n, s - first, j)
            for i in range(n_in):
                more = panel_row(panels, cells[CELL_JACOBIAN_TARGETS], columns, s, j * n_in + i)
                for v in range(cost.size):
                    cost[v] += more[v]
    call(costs.collect, cells, shares, weight, delta, panel(panels, cells[CELL_COST], 1, first, last), n)
    if backward != 0:
        second = panel(panels, layers[top, LAYER_NET], n, first, last)
        for k in range(delta.size):
            delta[k] += second[k]
        call(pullback, cells, layers, cells, panels, parameters, parameters, 0, n_in, strips, first, last,
             scratch)
        call(transpose_all, cells, layers, cells, panels, strips, first, last)


KERNELS = (forward_second, shared.pushforward_tangents, second_order, pullback, transpose_all, shared.weigh)
"""What such a phase calls, but for the second derivative of softmax."""

PHASES = {KIND_SOBOLEV: sobolev_samples, KIND_HESSIAN: product_samples, KIND_GAUSS_NEWTON: product_samples,
          KIND_DIAGONAL: diagonal_samples}
"""What a pass computes -> its phase 1."""

"""The linker: what a pass needs becomes a complete plan. Nothing else writes offsets and addresses of a plan.

A `request.Request` says what a pass is about; `link` lays out the panels, and writes where everything lies and which
kernels are called. Kernels are compiled when their address is asked for at first, each in 0.1 to 0.5 s: so a plan holds
those that its pass can come to call, and no others.

What depends on sizes and kinds alone is `prepared` once and kept (`workspaces`); `bind` adds what belongs to one use,
in cells of its own: where the targets of ∂o/∂x lie, a direction, penalties, what ends an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..costs import CLASSES
from ..kernels import layout, prototypes, tables
from ..kernels.compile import Kernel, address
from ..kernels.derivatives import second
from ..kernels.functions import costs, softmax
from ..kernels.layer import bfloat16, dense, gather, parametric, sparse
from ..kernels.layout import Integers, Plan
from ..kernels.passes import backprop, encoded, epoch, noise, online, own_weights, predict, record, relay, rounds
from ..kernels.passes import sparse as nonzeros
from ..kernels.random import next_order, shuffle, shuffle_picked
from ..kernels.tables import (
    CELL_CANONICAL,
    CELL_COST,
    CELL_COST_KERNEL,
    CELL_COST_SECOND,
    CELL_COUNT,
    CELL_DENSE_GATHER,
    CELL_DENSE_NEURONS,
    CELL_DENSE_PREDICT,
    CELL_DENSE_SAMPLES,
    CELL_DIRECTION,
    CELL_ENCODING,
    CELL_END_EPOCH,
    CELL_GATHER_INPUTS,
    CELL_GATHER_TARGETS,
    CELL_GIVEN_JACOBIAN,
    CELL_HANDED,
    CELL_JACOBIAN,
    CELL_JACOBIAN_COLUMNS,
    CELL_JACOBIAN_TARGETS,
    CELL_KEY,
    CELL_KIND,
    CELL_MEASURE,
    CELL_MIDWAY,
    CELL_MY_NEURONS,
    CELL_MY_SAMPLES,
    CELL_N_SCHEDULED,
    CELL_N_TARGETS,
    CELL_OWN_APART,
    CELL_OWN_SOURCE,
    CELL_PLAIN_NEURONS,
    CELL_PROGRESS,
    CELL_ROOT,
    CELL_SCHEDULED,
    CELL_SCRATCH,
    CELL_SCRATCH_SIZE,
    CELL_SPARE,
    CELL_SPARSE_ROOM,
    CELL_STRUCTURE,
    CELL_STRUCTURE_SIZE,
    CELL_TARGET,
    CELL_TARGET_COLUMNS,
    CELL_WEIGHT,
    CELL_WEIGHTS_NEURONS,
    COST_DROPOUT,
    COST_INNER,
    COST_INPUT_NOISE,
    COST_JACOBIAN_WEIGHT,
    COST_N_WEIGHTED,
    COST_PARAMETER,
    COST_SMOOTH_BASE,
    COST_SMOOTH_SHARE,
    LAYER,
    LAYER_BIASES,
    LAYER_PACKS,
    LAYER_SOURCE,
    LAYER_TANGENTS,
    LAYER_TRANSPOSED,
)
from ..kernels.updates import penalties, scheduled
from ..regularization import Regularization
from ..schedules import number
from ..util import machine
from . import thread_team
from .architecture import Architecture
from .request import Choices, Request

Array = npt.NDArray[Any]


def link(architecture: Architecture, request: Request) -> Plan:
    """Return the complete plan of a pass over one block of all its samples."""
    return bind(architecture, prepared(architecture, request, request.samples), request)


def prepared(architecture: Architecture, request: Request, samples: int) -> Plan:
    """Return a plan for blocks of up to so many samples, but for what belongs to one use (`bind`)."""
    architecture = architecture.resolved()
    if request.cost is not None:
        architecture = replace(architecture, cost=request.cost)
    plan = _laid_out(architecture, request, samples)
    dtype, cells = architecture.dtype, plan.cells
    for kernel in _kernels(architecture, request, plan):
        cells[kernel.place] = address(kernel, dtype)
    transposed = plan.layers[0, LAYER_TRANSPOSED] >= 0
    plain = bfloat16.gather if request.bfloat16 else gather.gather_transposed if transposed else gather.gather
    inputs = encoded.gathered if architecture.encoding else gather.gather_sparse if request.sparse else plain
    cells[CELL_GATHER_INPUTS] = address(inputs, dtype, gather.gather)
    if request.backward:
        fewer = architecture.target_columns < architecture.layers[-1]
        cells[CELL_GATHER_TARGETS] = address(gather.gather_columns if fewer else gather.gather, dtype, gather.gather)
        if cells[tables.CELL_MOST_BLOCKS]:
            cells[tables.CELL_ADD_UP] = address(rounds.add_up, dtype, prototypes.update_rule)
    _link_functions(architecture, request, plan)
    if any(architecture.parametric):
        _link_alphas(architecture, request, plan)
    if request.kind != tables.KIND_PLAIN:
        _link_tangents(architecture, request, plan)
    if architecture.encoding is not None:
        _link_encoders(architecture, request, plan)
    if request.of_nonzeros:
        _link_nonzeros(architecture, request, plan)
    if cells[CELL_HANDED]:
        cells[dense.gradient_on.place] = address(dense.gradient_on, dtype)
        cells[CELL_PLAIN_NEURONS] = cells[CELL_MY_NEURONS]
        cells[CELL_MY_NEURONS] = address(relay.my_neurons, dtype, backprop.my_neurons)
        cells[CELL_MIDWAY + tables.BARRIER_YIELD] = thread_team.yield_address()
    if cells[CELL_OWN_APART]:
        cells[dense.forward_some.place] = address(dense.forward_some, dtype)
        cells[CELL_DENSE_GATHER], cells[CELL_DENSE_SAMPLES] = cells[CELL_GATHER_INPUTS], cells[CELL_MY_SAMPLES]
        cells[CELL_GATHER_INPUTS] = address(encoded.gathered, dtype, gather.gather)
        cells[CELL_MY_SAMPLES] = address(own_weights.my_samples, dtype, backprop.my_samples)
        _put_midway(cells)
    return plan


def bind(architecture: Architecture, plan: Plan, request: Request) -> Plan:
    """Return a prepared plan with what belongs to one use, if anything does, in cells of its own."""
    if request.shuffles:  # others share the plan, and do not compile it
        kernel = next_order if request.ordered else shuffle_picked if request.picks else shuffle
        plan.cells[kernel.place] = address(kernel, architecture.dtype)
    if not request.binds:
        return plan
    cells, cost_parameter = plan.cells.copy(), plan.cost_parameter.copy()
    if request.jacobian is not None:
        cells[CELL_GIVEN_JACOBIAN] = request.jacobian.ctypes.data
        cost_parameter[COST_JACOBIAN_WEIGHT] = request.jacobian_weight
    if request.direction is not None:
        cells[CELL_DIRECTION] = request.direction.ctypes.data
    if request.structure is not None:
        cells[CELL_STRUCTURE], cells[CELL_STRUCTURE_SIZE] = request.structure.ctypes.data, request.structure.size
    if request.end_epoch is not record.end_epoch:
        cells[CELL_END_EPOCH] = address(request.end_epoch, architecture.dtype, record.end_epoch)
    plan = plan._replace(cells=cells, cost_parameter=cost_parameter)
    if request.scheduled is not None:
        plan = following(plan, request.scheduled, architecture.dtype)
    if request.regularization is None:
        return plan
    return _regularized(architecture, plan, request, request.regularization)


def read_jacobian(plan: Plan, jacobian: Array) -> None:
    """Have a plan whose cells are its own read other targets of ∂o/∂x."""
    plan.cells[CELL_GIVEN_JACOBIAN] = jacobian.ctypes.data


def release(plan: Plan) -> None:
    """Have no thread of a team wait for another one that has failed, until the next pass begins (`epoch.run`)."""
    plan.cells[[tables.CELL_PARTS_HANDED, tables.CELL_PARTS_READY]] = 2**62
    if plan.cells[CELL_OWN_APART]:  # no pass begins anew with the barrier of others
        plan.cells[CELL_MIDWAY + tables.BARRIER_ABANDONED] = 1


def following(plan: Plan, table: Integers, dtype: np.dtype[Any]) -> Plan:
    """Return a plan, whose cells are its own, of a pass in which numbers follow schedules, as a table says."""
    cells = plan.cells.copy()
    cells[CELL_SCHEDULED], cells[CELL_N_SCHEDULED] = table.ctypes.data, len(table)
    cells[scheduled.follow.place] = address(scheduled.follow, dtype)
    return plan._replace(cells=cells)


# --------------------------------------------------------------------------------------------------------- layout


def _laid_out(architecture: Architecture, request: Request, block: int, spare: int = 0) -> Plan:
    """Say where everything lies, and allocate the panels for blocks of up to so many samples, and spare numbers."""
    sizes, dtype, choices = architecture.sizes, architecture.dtype, request.choices
    encoding = architecture.encoding
    width, tangents, backward = layout.lanes(dtype), architecture.directions(request.kind), request.backward
    alone = layout.strips(block, dtype) * width
    samples = alone * (1 + tangents)
    total = 0

    def take(size: int) -> int:
        nonlocal total
        start = total
        total += -(-size // width) * width
        return start

    def by_lanes(n_in: int, n_out: int) -> bool:
        chosen = False if request.bfloat16 else choices.by_lanes
        return layout.sums_lanes(n_in, n_out, samples, width) if chosen is None else chosen

    def packs(n_in: int, n_out: int) -> bool:
        return layout.packs(n_in, n_out, dtype) if choices.packs is None else choices.packs

    few = request.of_nonzeros
    out = [-1 if few and i == 0 else take(n * samples + online.BEHIND) for i, n in enumerate(sizes)]
    delta = [-1] + [take(n * samples) for n in sizes[1:]]
    cotangent = [-1] + [start if not alphas else take(n * samples) if backward or request.calls else -1
                        for start, n, alphas in zip(delta[1:], sizes[1:], architecture.parametric, strict=True)]
    layers = np.zeros((len(sizes) - 1, tables.LAYER_COLUMNS), np.int64)
    for i, row in enumerate(LAYER.view(layers)):
        n_in, n_out = sizes[i], sizes[i + 1]
        row["n_in"], row["n_out"], row["tile"] = n_in, n_out, sum(map(layout.tiles, sizes[1 : i + 1]))
        row["weights"], row["biases"], row["alphas"] = (
            architecture.weights[i], architecture.biases[i], architecture.alphas[i])
        row["source"], row["out"] = out[i], out[i + 1]
        row["delta_below"], row["delta"], row["cotangent"] = cotangent[i], delta[i + 1], cotangent[i + 1]
        row["change"] = take(n_out * samples) if architecture.parametric[i] else -1
        transposes = not by_lanes(n_in, n_out) if backward else i == 0 and encoding is None and not request.bfloat16
        packed = request.bfloat16 or backward and packs(n_in, n_out)
        transposes, packed = (transposes, packed) if row["source"] >= 0 else (False, False)
        row["transposed"] = take(-(-n_in // width) * width * (samples + 1)) if transposes else -1
        row["packs"] = packed
        row["net"] = take(n_out * samples) if tangents else -1
    cells = np.zeros(tables.CELL_COUNT, np.int64)
    columns = architecture.target_columns
    cells[[CELL_TARGET, CELL_WEIGHT, CELL_COST]] = (
        take(max(sizes[-1], columns) * alone), take(alone), take(alone))
    cells[CELL_N_TARGETS], cells[CELL_TARGET_COLUMNS] = architecture.n_targets, columns
    if spare:
        cells[CELL_SPARE] = take(spare)
    if _relays(architecture, request, layers, alone):
        cells[CELL_HANDED] = take(architecture.n_parameters)
    elif _owns(architecture, request, layers, alone):
        source, transposed = layers[0, [LAYER_SOURCE, LAYER_TRANSPOSED]]
        cells[CELL_OWN_SOURCE], layers[0, LAYER_SOURCE] = source, -1
        cells[CELL_OWN_APART] = take(transposed - source + -(-sizes[0] // width) * width * (samples + 1)) - source
    if tangents:
        slopes = max(request.jacobian_columns, sizes[-1] * tangents)
        cells[[CELL_SPARE, CELL_JACOBIAN_TARGETS]] = take(sizes[-1] * alone), take(slopes * alone)
        cells[CELL_JACOBIAN_COLUMNS] = request.jacobian_columns or architecture.n_targets * sizes[0]
    size = sparse.scratch_size(width, samples) if few else 0
    if layers[:, LAYER_PACKS].any():
        widest = max(max(sizes), samples)  # a scratch holds at least eight neurons of the widest layer
        size = max(layout.SCRATCH_BYTES // dtype.itemsize, 8 * widest, size)
    if request.bfloat16:
        size = bfloat16.scratch_size(max(sizes), samples // width)
    if size:
        cells[CELL_SCRATCH_SIZE], cells[CELL_SCRATCH] = size, take(request.threads * size)
    if few:
        cells[CELL_SPARSE_ROOM] = samples
        cells = np.concatenate((cells, np.zeros(2 * samples * (1 + request.threads), np.int64)))
    if encoding is not None:
        table = encoding.table(dtype, take, samples, int(layers[0, LAYER_SOURCE]), backward=backward,
                               slopes=encoded.slopes in request.calls)
        cells[CELL_ENCODING] = table.size
        cells = np.concatenate((cells, table))
    # transposes read whole blocks of lanes x lanes, so what lies behind the last panel must be readable
    total += width * width
    blocks = layout.blocks_in_round(architecture.n_parameters, dtype, request.threads) if request.several else 0
    cells[tables.CELL_MOST_BLOCKS], cells[tables.CELL_APART] = blocks, total
    apart = total * (request.threads if blocks else 1)  # in a round each thread has panels of its own
    panels = layout.aligned(apart + blocks * architecture.n_parameters, dtype)
    panels[:] = 0
    return Plan(layers, cells, np.zeros(COST_INPUT_NOISE), panels)


def _two_share(architecture: Architecture, request: Request) -> bool:
    """Return whether two threads share each block of dense layers, forward and back, in float32 or float64."""
    return (request.threads == 2 and request.backward and request.kind == tables.KIND_PLAIN and not request.several
            and not request.calls and not request.bfloat16 and not request.of_nonzeros
            and architecture.encoding is None)


def _relays(architecture: Architecture, request: Request, layers: Integers, samples: int) -> bool:
    """Return whether two threads hand sums of the gradient on: `passes.relay`."""
    usual = (_two_share(architecture, request) and not any(architecture.parametric)
             and not layers[:, LAYER_PACKS].any())
    return usual and layout.hands_on(architecture.sizes, [bool(place >= 0) for place in layers[:, LAYER_TRANSPOSED]],
                                     samples)


def _owns(architecture: Architecture, request: Request, layers: Integers, samples: int) -> bool:
    """Return whether each of two threads has weights of the first layer: not of one strip, nor of pieces."""
    return (_two_share(architecture, request) and not request.noisy and bool(layers[0, LAYER_TRANSPOSED] >= 0)
            and samples > layout.lanes(architecture.dtype) and architecture.work * samples <= machine.PIECE_WORK
            and layout.owns_weights(architecture.sizes, architecture.dtype, samples))


def stacked(architecture: Architecture, alone: Plan, batch: int, *, picks: bool) -> Plan:
    """Return the plan of a stack of networks, one in each lane, whose sums have the order of those of ``alone``.

    A strip is one sample of all networks.
    """
    architecture = architecture.resolved()
    width = layout.lanes(architecture.dtype)
    request = Request(batch * width, choices=Choices(by_lanes=True, packs=False))
    plan = _laid_out(architecture, request, request.samples, layout.strips(batch, architecture.dtype) * width)
    plan.layers[:, LAYER_TRANSPOSED] = np.minimum(alone.layers[:, LAYER_TRANSPOSED], 0)
    for kernel in (costs.collect, gather.total_weight, shuffle_picked if picks else shuffle):
        plan.cells[kernel.place] = address(kernel, architecture.dtype)
    _link_functions(architecture, request, plan)
    return plan


# ------------------------------------------------------------------------------------------------ what it calls


def _kernels(architecture: Architecture, request: Request, plan: Plan) -> Iterator[Kernel]:
    """Yield the kernels that have a place of their own in the cells of a plan."""
    transposed = plan.layers[:, LAYER_TRANSPOSED] >= 0
    products = request.products
    yield from (products.forward, gather.gather, *request.calls)
    if not request.backward:
        yield gather.scatter
        return
    yield from (gather.gather_weights, costs.collect, record.end_epoch, backprop.my_neurons)
    yield from (rounds.take_round, rounds.share) if plan.cells[tables.CELL_MOST_BLOCKS] else ()
    if request.kind == tables.KIND_PLAIN:
        yield backprop.my_samples
    else:
        yield from second.KERNELS
        if architecture.softmax:
            yield softmax.softmax_second
        if request.kind == tables.KIND_GAUSS_NEWTON and architecture.cost.fisher is not None:
            yield architecture.cost.fisher
    if len(plan.layers) > 1:
        yield _backward(request, plan)
    if transposed.any():
        yield products.gradient
    if transposed[1:].any() or request.kind != tables.KIND_PLAIN and transposed.any():
        yield products.transpose_panel
    if not transposed.all():
        yield dense.gradient_by_lanes
    tangents = request.kind != tables.KIND_PLAIN  # which sums of biases leave out, and those beside weights cannot
    if plan.layers[0, LAYER_BIASES] >= 0 and (transposed.any() or tangents or request.of_nonzeros) or any(
            architecture.parametric):
        yield dense.bias_gradient
    if architecture.cost.targets == CLASSES:
        yield gather.gather_labels
    if request.weighted:
        yield gather.count if request.signed else gather.total_weight


def _backward(request: Request, plan: Plan) -> Kernel:
    """Return the kernel of (5)."""
    packs = not request.bfloat16 and plan.layers[:, LAYER_PACKS].any()
    kernel: Kernel = dense.backward_packed if packs else request.products.backward
    return kernel


def _link_functions(architecture: Architecture, request: Request, plan: Plan) -> None:
    """Write the addresses of activations and cost."""
    dtype, cost, cells = architecture.dtype, architecture.cost, plan.cells
    plain = request.kind == tables.KIND_PLAIN
    paired = request.backward and architecture.canonical and plain  # the cost's kernel starts from net inputs
    functions = architecture.activations[:-1] if paired else architecture.activations
    for row, function in zip(LAYER.view(plan.layers), functions, strict=False):
        row["activation"] = address(function.kernel, dtype, prototypes.activation)
    if architecture.softmax and not paired and (request.backward or request.calls):
        cells[CELL_JACOBIAN] = address(softmax.softmax_backward, dtype)
    cells[CELL_ROOT] = _root(architecture)
    if not request.backward:
        return
    cells[CELL_CANONICAL] = architecture.canonical
    cells[CELL_COST_KERNEL] = address(cost.pairs.get(architecture.names[-1], cost.kernel), dtype, prototypes.cost)
    plan.cost_parameter[COST_PARAMETER] = cost.parameter or 0.0
    if cost.inner is not None:
        inner = cost.inner.pairs.get(architecture.names[-1], cost.inner.kernel)
        plan.cost_parameter.view(np.int64)[[COST_INNER, COST_N_WEIGHTED]] = (address(inner, dtype, prototypes.cost),
                                                                             architecture.n_targets)


def _link_alphas(architecture: Architecture, request: Request, plan: Plan) -> None:
    """Write the addresses of what activations with parameters of their own take."""
    layers, dtype, cells = list(architecture.parametric), architecture.dtype, plan.cells
    plan.layers[layers, parametric.activate.place] = address(parametric.activate, dtype)
    if request.backward or request.calls:
        plan.layers[layers, parametric.backward.place] = address(parametric.backward, dtype)
    if request.backward:
        plan.layers[layers, parametric.gradient.place] = address(parametric.gradient, dtype)
        cells[CELL_WEIGHTS_NEURONS] = cells[CELL_MY_NEURONS]
        cells[CELL_MY_NEURONS] = address(backprop.my_neurons_parametric, dtype, backprop.my_neurons)


def _root(architecture: Architecture) -> int:
    """Return how the root of the cost's second derivative is taken where a Gauss–Newton matrix is made of it."""
    if architecture.canonical:
        return tables.ROOT_FISHER if architecture.softmax else tables.ROOT_OF_SLOPE
    if architecture.cost.fisher is not None:
        return tables.ROOT_OF_SLOPE
    return tables.ROOT_PRODUCT if architecture.softmax else tables.ROOT_SLOPE


def _link_tangents(architecture: Architecture, request: Request, plan: Plan) -> None:
    """Write what a pass with tangents calls: its phase 1, and second derivatives."""
    dtype, cells, kind = architecture.dtype, plan.cells, request.kind
    for row, function in zip(LAYER.view(plan.layers), architecture.activations, strict=True):
        if function.second_derivative is not None:
            row["second"] = address(function.second_derivative, dtype, prototypes.second_derivative)
    if not architecture.canonical and kind != tables.KIND_SOBOLEV:
        cells[CELL_COST_SECOND] = address(architecture.cost.second_derivative, dtype, prototypes.cost_second)
    cells[CELL_MY_SAMPLES] = address(second.PHASES[kind], dtype, backprop.my_samples)
    cells[CELL_KIND] = kind
    bottom, above = {tables.KIND_SOBOLEV: (1, 1), tables.KIND_HESSIAN: (0, 1)}.get(kind, (0, 0))
    plan.layers[0, LAYER_TANGENTS] = bottom * architecture.directions(kind)
    plan.layers[1:, LAYER_TANGENTS] = above * architecture.directions(kind)


def _put_around(passes: ModuleType, cells: Integers, dtype: np.dtype[Any]) -> None:
    """Write the two phases of a module in the places of those that they call."""
    cells[CELL_DENSE_SAMPLES], cells[CELL_DENSE_NEURONS] = cells[CELL_MY_SAMPLES], cells[CELL_MY_NEURONS]
    cells[CELL_MY_SAMPLES] = address(passes.my_samples, dtype, backprop.my_samples)
    cells[CELL_MY_NEURONS] = address(passes.my_neurons, dtype, backprop.my_neurons)


def _put_midway(cells: Integers) -> None:
    """Write a barrier in the middle of a phase, at which nobody has arrived, whatever an earlier pass has left."""
    cells[CELL_MIDWAY : CELL_MIDWAY + tables.BARRIER_COUNT] = 0
    cells[CELL_MIDWAY + tables.BARRIER_YIELD] = thread_team.yield_address()
    cells[CELL_MIDWAY + tables.BARRIER_STAND] = thread_team.stand_address()


def _link_encoders(architecture: Architecture, request: Request, plan: Plan) -> None:
    """Write what a pass with encoders calls, in the places of what it calls without: see `passes.encoded`."""
    dtype, cells = architecture.dtype, plan.cells
    if request.kind != tables.KIND_PLAIN or request.sparse:
        architecture.refuse_encoders("this pass")
    kernels = [encoded.encode]
    if plan.layers[0, LAYER_TRANSPOSED] >= 0:
        kernels.append(request.products.transpose_panel)
    if request.backward:
        kernels += [encoded.gradients, encoded.updates]
        _put_around(encoded, cells, dtype)
        if cells[CELL_COUNT + tables.ENCODING_DELTA] >= 0:
            kernels.append(_backward(request, plan))
    elif not request.calls:
        cells[CELL_DENSE_PREDICT] = address(predict.predict, dtype)
    for kernel in kernels:
        cells[kernel.place] = address(kernel, dtype)


def _link_nonzeros(architecture: Architecture, request: Request, plan: Plan) -> None:
    """Write what a pass calls whose first layer reads non-zeros alone, in the places of what it calls else."""
    dtype, cells = architecture.dtype, plan.cells
    kernels = [sparse.find_rows, sparse.forward]
    cells[CELL_GATHER_INPUTS] = address(encoded.gathered, dtype, gather.gather)
    if request.backward:
        kernels.append(sparse.gradient)
        _put_around(nonzeros, cells, dtype)
    else:
        cells[CELL_DENSE_PREDICT] = address(predict.predict, dtype)
    for kernel in kernels:
        cells[kernel.place] = address(kernel, dtype)


def _regularized(architecture: Architecture, plan: Plan, request: Request, regularization: Regularization) -> Plan:
    """Return a plan, whose cells are its own, with what a regularisation does to samples and to phase 2."""
    cells, dtype, hidden = plan.cells, architecture.dtype, len(plan.layers) - 1
    settings = np.zeros(COST_DROPOUT + hidden)
    settings[:COST_INPUT_NOISE] = plan.cost_parameter[:COST_INPUT_NOISE]
    if regularization.label_smoothing:
        classes = architecture.layers[-1] if architecture.cost.targets == CLASSES else 2
        settings[[COST_SMOOTH_SHARE, COST_SMOOTH_BASE]] = (1 - regularization.label_smoothing,
                                                           regularization.label_smoothing / classes)
    if request.progress is not None:
        cells[CELL_PROGRESS] = request.progress.ctypes.data
    if request.noise_key is not None:
        cells[CELL_KEY] = request.noise_key
        settings[COST_INPUT_NOISE] = number(regularization.input_noise)
        settings[COST_DROPOUT:] = [number(rate) for rate in regularization.of_layers("dropout", hidden)]
    noisy = [] if request.noise_key is None else list(filter(regularization.is_set, regularization.of_samples))
    if noisy or settings[COST_SMOOTH_BASE]:
        cells[noise.before_layer.place] = address(noise.before_layer, dtype)
    if "input_noise" in noisy and plan.layers[0, LAYER_TRANSPOSED] >= 0:
        cells[dense.transpose_panel.place] = address(request.products.transpose_panel, dtype)
    if request.noise_key is not None and regularization.is_set("clip_norm"):
        if cells[CELL_HANDED]:
            cells[CELL_HANDED] = 0  # the neurons of which a thread measures the gradient must be its own
        else:
            cells[CELL_PLAIN_NEURONS] = cells[CELL_MY_NEURONS]
        cells[CELL_MY_NEURONS] = address(epoch.my_neurons_clipped, dtype, backprop.my_neurons)
        cells[CELL_MEASURE] = address(penalties.measure, dtype, prototypes.update_rule)
        if request.threads > 1:
            cells[rounds.share.place] = address(rounds.share, dtype)
            _put_midway(cells)
    return plan._replace(cost_parameter=settings)

"""The linker for a user's compiled code: tables of networks that `jit.Model`, `jit.EnsembleModel` and C functions hold.

For a batch they are a plan that `link` makes; for one sample, neurons in lanes, two panels do.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ..kernels import embedded, embedded_slopes, layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.functions import softmax
from ..kernels.layer import gather, parametric
from ..kernels.layout import Integers, Plan
from ..kernels.passes import encoded, online, predict
from ..kernels.tables import CELL_COUNT, CELL_DENSE_PREDICT, CELL_MODEL, ENSEMBLE, ENTRY, LAYER, LAYER_MODEL, MEMBER
from .architecture import Architecture
from .link import prepared
from .request import Request

STACK_BYTES = 256 * 1024
"""A C function may take this much of its caller's stack: threads have 512 KB and more on all common systems but musl's.
"""

_numbers = itertools.count(1)
"""Of the models made, so that arrays of one are told from those of another."""


def embedded_tables(architecture: Architecture, batch: int, *, slopes: bool = False) -> tuple[Plan, Integers]:
    """Return plan and `tables.ENTRY` of a `jit.Model`, with workspaces for so many samples at a time.

    With ``slopes`` it is one for cotangents of ∂o/∂x, and the cost is `costs.LINEAR`.
    """
    kind = tables.KIND_SOBOLEV if slopes else tables.KIND_PLAIN
    request = Request(batch, kind=kind,
                      calls=(gather.scatter, *((encoded.slopes,) if architecture.encoders else ())))
    block = request.block(architecture)
    architecture = architecture.resolved()
    plan = prepared(architecture, request, block)
    top = LAYER.view(plan.layers)[-1]
    top["activation"] = address(architecture.activations[-1].kernel, architecture.dtype, prototypes.activation)
    calls = np.zeros(tables.ENTRY_COUNT, np.int64)
    entry = ENTRY.view(calls)
    entry["work_size"], entry["block"] = plan.panels.size, block
    entry["depth"], entry["size"] = len(plan.layers), architecture.n_parameters
    if architecture.softmax:
        entry["output"] = address(softmax.softmax_backward, architecture.dtype)
    entry["n_in"] = architecture.layers[0]
    for kernel in embedded.KERNELS:
        calls[kernel.place] = address(kernel, architecture.dtype)
    if slopes:
        entry["many"] = calls[embedded.many.place]
        plan.cost_parameter[tables.COST_JACOBIAN_WEIGHT] = -1.0
        for kernel in embedded_slopes.KERNELS:
            calls[kernel.place] = address(kernel, architecture.dtype)
    if architecture.encoding is not None:
        for kernel in embedded.ENCODED:
            calls[kernel.place] = address(kernel, architecture.dtype)
        plan.cells[CELL_DENSE_PREDICT] = address(predict.predict, architecture.dtype)
        calls = _with_encoders(architecture, calls, plan.cells[CELL_COUNT:])
    plan.layers[0, LAYER_MODEL] = plan.cells[CELL_MODEL] = calls[tables.ENTRY_MODEL] = next(_numbers)
    return plan, calls


def _with_encoders(architecture: Architecture, calls: Integers, table: Integers) -> Integers:
    """Return `tables.ENTRY` with `tables.ENCODING` behind it, and what else encoders are called by for one sample."""
    dtype, entry = architecture.dtype, ENTRY.view(calls)
    entry["encoding"], entry["encode"] = table.size, address(encoded.encode, dtype)
    if table[tables.ENCODING_DELTA] >= 0:
        entry["gradients"], entry["slopes"] = address(encoded.gradients, dtype), address(encoded.slopes, dtype)
        entry["dense_backpropagate"] = address(embedded.backpropagate, dtype)
    entry["dense_forward"] = address(embedded.forward, dtype)
    entry["forward"] = address(embedded.forward_encoded, dtype, embedded.forward)
    return np.concatenate((calls, table))


def ensemble_tables(architectures: Sequence[Architecture]) -> tuple[Integers, Integers, Integers, Integers]:
    """Return `tables.ENSEMBLE`, `tables.MEMBER`, and the LAYER and ENTRY of all members, for one sample at a time.

    However many there are, what is compiled is the same; members of one architecture share their tables.

    Raises
    ------
    ValueError
        If a function of the user's own is missing, or a network has encoders.
    """
    sizes, dtype = np.zeros(tables.ENSEMBLE_COUNT, np.int64), architectures[0].dtype
    members = np.zeros((len(architectures), tables.MEMBER_COUNT), np.int64)
    known: dict[int, tuple[int, int]] = {}
    layers: list[Integers] = []
    calls: list[Integers] = []
    whole, member = ENSEMBLE.view(sizes), MEMBER.view(members)
    for row, architecture in zip(member, architectures, strict=True):
        architecture.refuse_encoders("a compiled ensemble")
        if id(architecture) not in known:
            known[id(architecture)] = int(whole["layers"]) * tables.LAYER_COLUMNS, len(calls) * tables.ENTRY_COUNT
            for table, of_all in zip(_one_sample(architecture), (layers, calls), strict=True):
                of_all.append(table)
            whole["layers"] += len(layers[-1])
            whole["outputs"] = max(whole["outputs"], calls[-1][tables.ENTRY_WORK_SIZE])
        row["layers"], row["calls"] = known[id(architecture)]
        row["parameters"] = whole["size"]
        whole["size"] += layout.strips(architecture.n_parameters, dtype) * layout.lanes(dtype)
    whole["forward"] = address(embedded.forward_members, dtype)
    whole["members"], whole["calls"], whole["targets"] = len(members), len(calls), architectures[0].n_targets
    whole["n_in"], whole["n_out"] = architectures[0].layers[0], architectures[0].layers[-1]
    whole["work_size"] = whole["outputs"] + len(members) * whole["n_out"]
    all_layers, all_calls = np.concatenate(layers), np.stack(calls)
    number = next(_numbers)
    whole["model"] = member[0]["model"] = all_layers[0, LAYER_MODEL] = all_calls[0, tables.ENTRY_MODEL] = number
    return sizes, members, all_layers, all_calls


def c_tables(architecture: Architecture) -> tuple[Integers, Integers]:
    """Return `tables.LAYER` and `tables.ENTRY` for one sample in the least room: layers take turns in two panels.

    Raises
    ------
    ValueError
        If a function of the user's own is missing, or the room is more than a stack has.
    """
    layers, calls = _one_sample(architecture)
    room, itemsize = int(calls[tables.ENTRY_WORK_SIZE]), architecture.dtype.itemsize
    if room * itemsize > STACK_BYTES:
        raise ValueError(f"a layer of {max(architecture.sizes)} neurons takes {room * itemsize} bytes of its caller's "
                         f"stack, at most {STACK_BYTES} are taken: use fastbp.jit.forward with a workspace")
    return layers, calls


def _one_sample(architecture: Architecture) -> tuple[Integers, Integers]:
    """Return `tables.LAYER` and `tables.ENTRY` for the forward pass of one sample in two panels."""
    architecture = architecture.resolved()
    sizes, dtype = architecture.sizes, architecture.dtype
    lanes = layout.lanes(dtype)
    total = 0

    def take(size: int) -> int:
        nonlocal total
        start = total
        total += -(-size // lanes) * lanes
        return start

    panels = [take(layout.strips(max(sizes), dtype) * lanes + online.BEHIND)
              for _ in range(3 + any(architecture.parametric))]
    layers = np.zeros((len(sizes) - 1, tables.LAYER_COLUMNS), np.int64)
    for i, row in enumerate(LAYER.view(layers)):
        row["n_in"], row["n_out"] = sizes[i], sizes[i + 1]
        row["weights"], row["biases"] = architecture.weights[i], architecture.biases[i]
        row["source"], row["out"], row["delta"] = panels[i % 2], panels[1 - i % 2], panels[2]
        row["activation"] = address(architecture.activations[i].kernel, dtype, prototypes.activation)
        row["alphas"], row["change"], row["cotangent"] = architecture.alphas[i], panels[-1], -1
        row["parametric"] = address(parametric.activate, dtype) if architecture.parametric[i] else 0
    calls = np.zeros(tables.ENTRY_COUNT, np.int64)
    entry = ENTRY.view(calls)
    for kernel in (embedded.forward, embedded.forward_one):
        calls[kernel.place] = address(kernel, dtype)
    entry["n_in"] = architecture.layers[0]
    if architecture.encoding is not None:
        strip = take(sizes[0] * lanes)
        calls = _with_encoders(architecture, calls, architecture.encoding.table(dtype, take, lanes, strip,
                                                                                backward=False))
        entry = ENTRY.view(calls)
    entry["work_size"], entry["depth"], entry["size"] = total, len(layers), architecture.n_parameters
    return layers, calls

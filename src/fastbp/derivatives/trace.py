"""What each neuron does: its net input, output and δ, read from the panels that the training kernels leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import thread_team
from ..core.samples import SparseRows, flattened
from ..kernels import layout, tables
from ..kernels.layer import dense
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes.backprop import my_neurons, my_samples
from ..kernels.passes.predict import predict

if TYPE_CHECKING:
    from ..core.samples import Samples
    from ..network import Network

Array = npt.NDArray[Any]

PART = 2**19
"""Inputs that are converted at a time: so few that little memory is needed, and enough that a call weighs nothing."""


class LayerGradient(NamedTuple):
    """∂E/∂W^l, (n_l, n_{l-1}), and ∂E/∂b^l, (n_l,), of one layer (6)."""

    weights: Array
    biases: Array


class Trace(NamedTuple):
    """Lists with an entry for each layer l = 1..L."""

    net: list[Array]
    """Net inputs net_j (1), (n_samples, n_l)."""
    out: list[Array]
    """Outputs o_j (2), (n_samples, n_l)."""
    delta: list[Array]
    """δ_j (4)(5), (n_samples, n_l)."""
    gradient: list[LayerGradient]
    """Gradients (6)."""


def _backward(network: Network, samples: Samples, plan: layout.Plan, begin: int, end: int, total: float) -> None:
    """Take samples begin..end forward, to the cost and back (1)-(5), as a step of training does."""
    strips = layout.strips(end - begin, network.dtype)
    inputs, targets, weights, order = samples.data(NOT_SHUFFLED)
    my_samples(plan.layers, plan.cells, plan.cost_parameter, plan.panels, network._parameters, inputs, targets, weights,
               order, begin, end, total, int(samples.labels), 1, strips, 0, strips, plan.cells[tables.CELL_SCRATCH],
               layout.NO_CLOCK, 0)


def _strips(panels: Array, start: int, strips: int, n: int) -> Array:
    """Return a panel of n neurons as (strips, lanes, n): a view, sample i at [i // lanes, i % lanes]."""
    lanes = layout.lanes(panels.dtype)
    return panels[start : start + strips * n * lanes].reshape(strips, n, lanes).transpose(0, 2, 1)


def trace(network: Network, samples: Samples, views: bool) -> Trace:
    """Run both phases of a step, without its update, on all samples as one block; then (1) again, elsewhere."""
    n, parameters = len(samples), network._parameters
    strips = layout.strips(n, network.dtype)
    plan = network.new_plan(n, backward=True)
    net = plan.panels.size
    panels = layout.aligned(net + sum(network.layers[1:]) * strips * layout.lanes(network.dtype), network.dtype)
    panels[:net] = plan.panels
    plan = plan._replace(panels=panels)
    layers, cells = plan.layers, plan.cells
    _backward(network, samples, plan, 0, n, float(n))
    slopes = np.empty(network.n_parameters, network.dtype)
    my_neurons(layers, cells, panels, parameters, slopes, slopes, np.zeros(tables.HYPER_COUNT), 0, strips, 0, 0, 1,
               cells[tables.CELL_SCRATCH], samples.data(NOT_SHUFFLED).inputs, NOT_SHUFFLED, 0, 0, layout.NO_CLOCK, 0)

    def rows(start: int, width: int) -> Array:
        view = _strips(panels, start, strips, width)
        return view if views else view.reshape(-1, width)[:n]

    found = Trace([], [], [], [])
    for row in layers:
        n_in, n_out, w, b = row[[tables.LAYER_N_IN, tables.LAYER_N_OUT, tables.LAYER_WEIGHTS, tables.LAYER_BIASES]]
        dense.forward(parameters, w, b, panels, row[tables.LAYER_SOURCE], net, n_in, n_out, 0, strips)
        found.net.append(rows(net, n_out))
        net += n_out * strips * layout.lanes(network.dtype)
        found.out.append(rows(row[tables.LAYER_OUT], n_out))
        found.delta.append(rows(row[tables.LAYER_DELTA], n_out))
        biases = slopes[b : b + n_out] if b >= 0 else slopes[:0]
        found.gradient.append(LayerGradient(slopes[w : w + n_in * n_out].reshape(n_out, n_in), biases))
    return found


def forward(network: Network, inputs: Array | SparseRows, layer: int, out: Array) -> None:
    """Go forward through the first layers only; overwrites ``out``, (samples, n_l).

    Inputs of another dtype are converted a part at a time.
    """
    n, width, flat = len(inputs), network.layers[layer], out.reshape(-1)
    sparse = isinstance(inputs, SparseRows)
    with network.plan(max(n, 1), backward=False, sparse=sparse) as (plan, block):
        for rows in thread_team.chunks(n, block, network.work, PART // network.layers[0]):
            part, order = flattened(inputs[rows], NOT_SHUFFLED, network.dtype)
            predict(plan.layers[:layer], plan.cells, plan.panels, network._parameters, part, order,
                    rows.stop - rows.start, block, flat[rows.start * width : rows.stop * width])


def mean_abs_delta(network: Network, samples: Samples) -> list[Array]:
    """Sum |δ_j| over the samples, block by block; each δ carries its sample's share of the mean."""
    n = len(samples)
    total = samples.total_weight
    found = [np.zeros(width) for width in network.layers[1:]]
    with network.plan(n, backward=True) as (plan, block):
        for begin in range(0, n, block):
            end = min(begin + block, n)
            _backward(network, samples, plan, begin, end, total)
            strips = layout.strips(end - begin, network.dtype)
            for mean, row in zip(found, plan.layers, strict=True):
                delta = _strips(plan.panels, row[tables.LAYER_DELTA], strips, mean.size)
                mean += np.abs(delta).sum(axis=(0, 1), dtype=np.float64)
    return found

"""What each neuron did in one step of backpropagation, read from the panels that the training kernels leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .kernels import codes, dense, layout
from .kernels.backprop import my_neurons, my_samples

if TYPE_CHECKING:
    from .network import Network
    from .training import Samples

Array = npt.NDArray[Any]


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


def trace(network: Network, samples: Samples) -> Trace:
    """Run both phases of a step, without its update, on all samples as one block."""
    n, parameters = len(samples), network.parameters
    strips = layout.strips(n, network.dtype)
    plan = network.new_plan(n, backward=True)
    layers, cells, panels = plan.layers, plan.cells, plan.panels
    inputs, targets, weights, order = samples.data(np.empty(0, np.int64))
    slopes = np.empty(network.n_parameters, network.dtype)
    my_samples(layers, cells, plan.cost_parameter, panels, parameters, inputs, targets, weights, order, 0, n, float(n),
               int(samples.labels), 1, strips, 0, strips, cells[codes.SCRATCH], layout.NO_CLOCK, 0)
    my_neurons(layers, cells, panels, parameters, slopes, slopes, np.zeros(codes.HYPER_CELLS), 0, strips, 0, 0, 1,
               cells[codes.SCRATCH], inputs, order, 0, 0, layout.NO_CLOCK, 0)

    def rows(start: int, width: int) -> Array:
        values = np.empty(n * width, network.dtype)
        dense.scatter(panels, start, width, 0, n, values)
        return values.reshape(n, width)

    found = Trace([], [], [], [])
    for row in layers[::-1]:  # from the top, since a layer's net inputs then overwrite its outputs
        n_in, n_out, w, b = row[[codes.N_IN, codes.N_OUT, codes.WEIGHTS, codes.BIASES]]
        found.out.insert(0, rows(row[codes.OUT], n_out))
        found.delta.insert(0, rows(row[codes.DELTA], n_out))
        dense.forward(parameters, w, b, panels, row[codes.SOURCE], row[codes.OUT], n_in, n_out, 0, strips)
        found.net.insert(0, rows(row[codes.OUT], n_out))
        biases = slopes[b : b + n_out] if b >= 0 else slopes[:0]
        found.gradient.insert(0, LayerGradient(slopes[w : w + n_in * n_out].reshape(n_out, n_in), biases))
    return found

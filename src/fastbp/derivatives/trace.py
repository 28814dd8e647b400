"""What each neuron does: its net input, output and δ, read from the panels that the training kernels leave behind."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.link import link
from ..core.model import Model
from ..core.request import Request
from ..core.samples import Samples
from ..kernels import layout, tables
from ..kernels.layer import dense
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes import encoded
from ..kernels.passes.backprop import my_neurons, my_samples

Array = npt.NDArray[Any]


class LayerGradient(NamedTuple):
    """∂E/∂W^l, (n_l, n_{l-1}), and ∂E/∂b^l, (n_l,), of one layer (6).

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> trace = net.trace(X, Y)
    >>> [gradient.weights.shape for gradient in trace.gradient], trace.gradient[0].biases.shape
    ([(3, 2), (1, 3)], (3,))
    """

    weights: Array
    biases: Array


class Trace(NamedTuple):
    """Lists with an entry for each layer l = 1..L.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> trace = net.trace(X, Y)
    >>> bool(np.allclose(trace.net[0], X @ net.weights[0].T + net.biases[0]))  # (1)
    True
    >>> bool(np.allclose(trace.gradient[0].weights, trace.delta[0].T @ X))  # (6)
    True
    """

    net: list[Array]
    """Net inputs net_j (1), (n_samples, n_l)."""
    out: list[Array]
    """Outputs o_j (2), (n_samples, n_l)."""
    delta: list[Array]
    """δ_j (4)(5), (n_samples, n_l)."""
    gradient: list[LayerGradient]
    """Gradients (6)."""


def _backward(network: Model, samples: Samples, plan: layout.Plan, begin: int, end: int, total: float) -> None:
    """Take samples begin..end forward, to the cost and back (1)-(5), as a step of training does."""
    strips = layout.strips(end - begin, network.dtype)
    data = samples.data()
    phase = my_samples if network._architecture.encoding is None else encoded.my_samples
    phase(plan.layers, plan.cells, plan.cost_parameter, plan.panels, network._parameters, data.inputs,
               data.structure, data.targets, data.weights, data.order, begin, end, total, int(samples.labels), 1,
               strips, 0, strips, plan.cells[tables.CELL_SCRATCH], layout.NO_CLOCK, 0)


def _strips(panels: Array, start: int, strips: int, n: int) -> Array:
    """Return a panel of n neurons as (strips, lanes, n): a view, sample i at [i // lanes, i % lanes]."""
    lanes = layout.lanes(panels.dtype)
    return panels[start : start + strips * n * lanes].reshape(strips, n, lanes).transpose(0, 2, 1)


def _traced(network: Model, samples: Samples, views: bool) -> Trace:
    """Run both phases of a step, without its update, on all samples as one block; then (1) again, elsewhere."""
    n, parameters = len(samples), network._parameters
    strips = layout.strips(n, network.dtype)
    plan = link(network._architecture, Request(n, choices=network._workspaces.choices))
    net = plan.panels.size
    panels = layout.aligned(net + sum(network.layers[1:]) * strips * layout.lanes(network.dtype), network.dtype)
    panels[:net] = plan.panels
    plan = plan._replace(panels=panels)
    layers, cells = plan.layers, plan.cells
    _backward(network, samples, plan, 0, n, float(n))
    gradient = np.empty(network.n_parameters, network.dtype)
    my_neurons(layers, cells, panels, parameters, gradient, gradient, np.zeros(tables.HYPER_COUNT), 0, strips, 0, 0, 1,
               cells[tables.CELL_SCRATCH], samples.data().inputs, NOT_SHUFFLED, 0, 0, layout.NO_CLOCK, 0)

    def rows(start: int, width: int) -> Array:
        view = _strips(panels, start, strips, width)
        return view if views else view.reshape(-1, width)[:n]

    found = Trace([], [], [], [])
    for row in layers:
        n_in, n_out, w, b = row[[tables.LAYER_N_IN, tables.LAYER_N_OUT, tables.LAYER_WEIGHTS, tables.LAYER_BIASES]]
        dense.forward(parameters, w, b, panels, row[tables.LAYER_SOURCE], net, n_in, n_out, 0, strips, -1)
        found.net.append(rows(net, n_out))
        net += n_out * strips * layout.lanes(network.dtype)
        found.out.append(rows(row[tables.LAYER_OUT], n_out))
        found.delta.append(rows(row[tables.LAYER_DELTA], n_out))
        biases = gradient[b : b + n_out] if b >= 0 else gradient[:0]
        found.gradient.append(LayerGradient(gradient[w : w + n_in * n_out].reshape(n_out, n_in), biases))
    return found


def _summed(network: Model, samples: Samples) -> list[Array]:
    """Sum |δ_j| over the samples, block by block; each δ carries its sample's share of the mean."""
    n = len(samples)
    total = samples.total_weight
    found = [np.zeros(width) for width in network.layers[1:]]
    with network._borrow(Request(n)) as (plan, block):
        for begin in range(0, n, block):
            end = min(begin + block, n)
            _backward(network, samples, plan, begin, end, total)
            strips = layout.strips(end - begin, network.dtype)
            for mean, row in zip(found, plan.layers, strict=True):
                delta = _strips(plan.panels, row[tables.LAYER_DELTA], strips, mean.size)
                mean += np.abs(delta).sum(axis=(0, 1), dtype=np.float64)
    return found


def trace(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike, *, views: bool = False) -> Trace:
    """Show what each neuron did in one step of backpropagation, for teaching and debugging.

    Parameters
    ----------
    X, Y
        As in `fit`. All samples are one batch, whose panels are all in memory at once.
    views : bool, default False
        Give net, out and delta as the kernels hold them, without a copy: views of shape (strips, lanes, n_l),
        where sample i is at ``[i // lanes, i % lanes]``. Samples past the last one repeat it in net and out; their
        deltas are 0.

    Returns
    -------
    Trace
        Lists with an entry for each layer l = 1..L: net (1), out (2) and delta (4)(5), each (n_samples, n_l), and
        gradient (6). The deltas are those of the mean cost, so each carries a factor 1/n_samples.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    A strip holds as many samples as a vector of the CPU has lanes, neuron after neuron. No strides lead through
    several strips sample by sample, so that (n_samples, n_l) is a copy, and views keep the strips apart. ∂E/∂α of a
    parametric activation is in `Network.gradient`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> trace = net.trace(X, Y)
    >>> [o.shape for o in trace.out], bool((trace.out[-1] == net.predict(X)).all())
    ([(2, 3), (2, 1)], True)
    """
    return _traced(self, self._samples(X, Y), views)



def mean_abs_delta(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike,
                   sample_weight: npt.ArrayLike | None = None) -> list[Array]:
    """Return how much the cost depends on each neuron: the mean of ``|δ_j|`` over the samples.

    Parameters
    ----------
    X, Y, sample_weight
        As in `fit`.

    Returns
    -------
    list of ndarray, shape (n_l,), float64
        For each layer l = 1..L: how far, to first order, the cost E of a pair moves when net_j does, per unit, in
        the (weighted) mean over the pairs. δ_j is that of each pair's own cost (4)(5).

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> trace = net.trace(X, Y)
    >>> matters = net.mean_abs_delta(X, Y)
    >>> [deltas.shape for deltas in matters]
    [(3,), (1,)]
    """
    return _summed(self, self._samples(X, Y, sample_weight))

"""Panels, workspaces and data for tests of kernels and networks."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from fastbp import Network, activations, costs
from fastbp.core.link import link
from fastbp.core.request import Choices, Request
from fastbp.core.workspaces import Workspaces
from fastbp.kernels import layout
from fastbp.kernels.compile import JIT, multiplies_bfloat16

ACTIVATIONS = [name for name, row in activations.ACTIVATIONS.items() if row.elementwise and not row.values]
"""Those of hidden layers; what tests have registered has values."""

COSTS = [name for name, row in costs.COSTS.items() if not row.values and row.outputs_per_target == 1]
"""Those of which each output has a target; tests/test_gaussian_nll.py is about the other one."""
DTYPES = ["float32", "float64"]
ROUNDING = {"float32": 2e-5, "float64": 1e-12}
"""Largest difference to the naive twin, relative to the largest element: sums of some hundred terms, reordered."""


compiled_only = pytest.mark.skipif(not JIT, reason="what it shows does not depend on how kernels run: once is enough")
needs_bfloat16 = pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor does not multiply bfloat16")


def few(compiled, plain):
    """Choose the sizes for a compiled run or for NUMBA_DISABLE_JIT=1."""
    return compiled if JIT else plain


def close(found, expected, dtype="float64", factor=1.0):
    """Assert agreement within rounding, relative to the largest element; give the largest difference."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    scale = max(float(np.max(np.abs(expected), initial=0)), 1e-30)
    worst = float(np.max(np.abs(found - expected), initial=0)) / scale
    assert worst <= factor * ROUNDING[np.dtype(dtype).name], worst
    return worst


CANARY = 123.0
"""What lies around the panels of a `Bench`."""


class Bench:
    """An array of panels with canaries behind every panel, as the kernels are handed it."""

    def __init__(self, dtype, **sizes):
        self.dtype, self.places, total = np.dtype(dtype), {}, 7
        for name, size in sizes.items():
            self.places[name] = slice(total, total + size)
            total += size + 5
        total += layout.lanes(dtype) ** 2  # transposes read whole squares
        self.array = np.full(total, CANARY, dtype)

    def __getitem__(self, name):
        return self.array[self.places[name]]

    def at(self, name):
        return self.places[name].start

    def assert_canaries(self):
        inside = np.zeros(self.array.size, bool)
        for place in self.places.values():
            inside[place] = True
        assert (self.array[~inside] == CANARY).all()


def readonly(array):
    """A copy that kernels take as a user's numbers."""
    array = array.copy()
    array.flags.writeable = False
    return array


def to_panel(rows):
    """Lay out (samples, n) strip by strip; padding lanes hold NaN."""
    samples, n = rows.shape
    width = layout.lanes(rows.dtype)
    strips = -(-samples // width)
    padded = np.full((strips * width, n), np.nan, rows.dtype)
    padded[:samples] = rows
    return np.ascontiguousarray(padded.reshape(strips, width, n).transpose(0, 2, 1)).reshape(-1)


def from_panel(panel, samples, n):
    """Read (samples, n) back, without padding."""
    width = layout.lanes(panel.dtype)
    strips = -(-samples // width)
    return panel[: strips * n * width].reshape(strips, n, width).transpose(0, 2, 1).reshape(-1, n)[:samples].copy()


def real_data(rng, cost, output, n, n_in, n_out, dtype="float64"):
    """Inputs and targets that make sense for a cost; the cross-entropies get probabilities."""
    X = rng.normal(size=(n, n_in))
    Y = {
        costs.UNIT: lambda: rng.uniform(0.02, 0.98, (n, n_out)),
        costs.CLASSES: lambda: rng.dirichlet(np.ones(n_out), n),
        costs.COUNT: lambda: rng.poisson(2.0, (n, n_out)).astype(float),
        costs.ANY: lambda: rng.normal(size=(n, n_out)),
    }[costs.get(cost).targets]()
    return X.astype(dtype), Y.astype(dtype)


def real_outputs(rng, cost, shape, dtype="float64"):
    """Outputs that make sense for a cost: not at the edges where it takes a logarithm."""
    anywhere = costs.get(cost).targets == costs.ANY
    return (rng.normal(size=shape) if anywhere else rng.uniform(0.05, 0.95, shape)).astype(dtype)


PLACES = [(0, 1), (1, 4), (2, 9), (5, 20), (3, 36), (7, 67), (60, 67)]
"""Parts of 67 elements: what a loop over one takes in vectors, that over another takes one by one."""

SENSIBLE = {
    costs.UNIT: ["logistic"],
    costs.CLASSES: ["softmax", "logistic", "exp", "softplus"],
    costs.COUNT: ["exp", "softplus", "logistic", "softmax"],
    costs.ANY: [*ACTIVATIONS, "softmax"],
}
"""By targets: outputs that stay positive (or within 0 and 1) where the cost takes a logarithm."""

PAIRS = [(output, cost) for cost in COSTS for output in SENSIBLE[costs.COSTS[cost].targets]]


def network(sizes, hidden="tanh", output=None, cost="squared_error", *, seed=0, **options):
    """A network whose biases are not 0 either."""
    net = Network(sizes, hidden, output, cost, seed=seed, **options)
    net.parameters += (0.1 * np.random.default_rng(seed).normal(size=net.n_parameters)).astype(net.dtype)
    return net


def laid_out(net, **choices):
    """Have what the linker decides by sizes decided for a network: by_lanes, packs, block."""
    net._workspaces = Workspaces(net._architecture, Choices(**choices))
    return net


def plan_of(net, samples, **wanted):
    """The complete plan of a pass over one block of so many samples, for this test alone."""
    return link(net._architecture, Request(samples, choices=net._workspaces.choices, shuffles=True, **wanted))


def naive_layers(net):
    """The network's layers for the naive twin, in float64."""
    return naive.layers_of(net)


def naive_gradient(net, X, Y, weights=None):
    found = naive.gradient(naive_layers(net), X.astype(np.float64), Y.astype(np.float64), net.activations,
                           net.cost_function.name, weights, net.cost_function.parameter)
    return naive.flatten(found, net.bias)


def naive_cost(net, X, Y, weights=None):
    return naive.mean_cost(naive_layers(net), X.astype(np.float64), Y.astype(np.float64), net.activations,
                           net.cost_function.name, weights, net.cost_function.parameter)

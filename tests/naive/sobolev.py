"""Training on derivatives."""

from __future__ import annotations

import numpy as np

from .activations import ACTIVATIONS
from .network import forward, mean_cost, shares


def target_jacobian(layers, X, activations):
    """do/dx, (n, n_L, n_0): tangents forward, one input after the other."""
    passed, columns = forward(layers, X, activations), []
    for i in range(X.shape[1]):
        tangent = np.zeros_like(X)
        tangent[:, i] = 1
        for (W, _), name, net, out in zip(layers, activations, passed.net, passed.out[1:], strict=True):
            change = tangent @ W.T
            if name == "softmax":
                tangent = out * (change - (out * change).sum(axis=1, keepdims=True))
            else:
                tangent = ACTIVATIONS[name][1](net) * change
        columns.append(tangent)
    return np.stack(columns, axis=2)


def sobolev_cost(layers, X, Y, J, weight, activations, cost, weights=None, parameter=None):
    """Mean of C + weight/2 sum_ji (do_j/dx_i - J_ji)^2, over as many of the first outputs as J has rows."""
    values = mean_cost(layers, X, Y, activations, cost, weights, parameter)
    errors = ((target_jacobian(layers, X, activations)[:, : J.shape[1]] - J) ** 2).sum(axis=(1, 2))
    return values + weight / 2 * (shares(len(X), weights) * errors).sum()

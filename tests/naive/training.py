"""Penalties, and a training on mini-batches."""

from __future__ import annotations

import numpy as np

from .costs import magnitude, sign
from .network import flatten, gradient, mean_cost, unflatten


def penalty(parameters, sizes, bias, l2, l1, biases=False):
    """Sum over layers of l2/2 w^2 + l1 |w|, one factor a layer, and its slopes; those of |w| at 0 are 0."""
    total, slopes = 0.0, []
    for (W, b), square, size in zip(unflatten(parameters, sizes, bias), l2, l1, strict=True):
        for w, counts in ((W, 1.0), (b, float(biases))):
            total += counts * (0.5 * square * (w**2).sum() + size * magnitude(w).sum())
        slopes.append((square * W + size * sign(W), float(biases) * (square * b + size * sign(b))))
    return total, flatten(slopes, bias)


def train(parameters, sizes, bias, X, Y, activations, cost, optimizer, batch_size, orders, weights=None,
          parameter=None, penalty=None, ahead=None):
    """Mini-batch training over the given permutations, one an epoch: (parameters, cost of each epoch).

    An epoch's cost is the weighted mean of the costs of its batches, each taken before its update. ``penalty`` gives
    what is added to a batch's cost, and its slopes, from parameters and the batch's weight. ``ahead`` is called with
    the number of each update before it.
    """
    w = parameters.copy()
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    curve, updates = [], 0
    for order in orders:
        total = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            own = weights[rows]
            if ahead is not None:
                ahead(updates)
            updates += 1
            more, g = (0.0, np.zeros_like(w)) if penalty is None else penalty(w, own.sum())
            if own.sum() > 0:
                layers = unflatten(w, sizes, bias)
                total += own.sum() * (mean_cost(layers, X[rows], Y[rows], activations, cost, own, parameter) + more)
                g = g + flatten(gradient(layers, X[rows], Y[rows], activations, cost, own, parameter), bias)
            w = optimizer.step(w, g)
        curve.append(total / weights.sum())
    return w, np.array(curve)

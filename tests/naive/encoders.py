"""Encoders of inputs and the scaling layer, one sample and one column at a time, straight from their equations."""

from __future__ import annotations

import math

import numpy as np

from .network import mean_cost, unflatten
from .twins import Twins


def identity(encoder, parameters, row):
    assert parameters.size == 0
    return [row[k] for k in encoder.columns]


def known(code, categories):
    """The category of a code, None where it is missing or unseen."""
    return int(np.real(code)) if np.real(code) in range(categories) else None


def one_hot(encoder, parameters, row):
    assert parameters.size == 0
    return [float(known(row[encoder.column], encoder.categories) == c) for c in range(encoder.categories)]


def embedding(encoder, parameters, row):
    """A row of the table (categories + 1, size); the last one for what is missing."""
    table = parameters.reshape(encoder.categories + 1, encoder.size)
    c = known(row[encoder.column], encoder.categories)
    return list(table[encoder.categories if c is None else c])


def periodic(encoder, parameters, row):
    """W2 cos(2 pi w1 x + b1) + b2 and x, with w1, b1, W2 and b2 of each column behind each other."""
    n, found, start = encoder.frequencies, [], 0
    for k in encoder.columns:
        parts = []
        for size in (n, n, (encoder.size - 1) * n, encoder.size - 1):
            parts.append(parameters[start : start + size])
            start += size
        w1, b1, W2, b2 = parts
        h = [np.cos(2 * math.pi * w1[m] * row[k] + b1[m]) for m in range(n)]
        for p in range(encoder.size - 1):
            found.append(b2[p] + sum(W2[p * n + m] * h[m] for m in range(n)))
        found.append(row[k])
    assert start == parameters.size
    return found


def piecewise_linear(encoder, parameters, row):
    """Gorishniy et al. (2022), equation 1."""
    assert parameters.size == 0
    found = []
    for k, edges in zip(encoder.columns, encoder.edges, strict=True):
        bins = len(edges) - 1
        for t in range(1, bins + 1):
            if np.real(row[k]) < edges[t - 1] and t > 1:
                found.append(0.0)
            elif np.real(row[k]) >= edges[t] and t < bins:
                found.append(1.0)
            else:
                found.append((row[k] - edges[t - 1]) / (edges[t] - edges[t - 1]))
    return found


ENCODERS = Twins("ENCODERS of encoders.py", {
    "Identity": (identity, lambda e: 0),
    "OneHot": (one_hot, lambda e: 0),
    "Embedding": (embedding, lambda e: (e.categories + 1) * e.size),
    "Periodic": (periodic, lambda e: len(e.columns) * (2 * e.frequencies + (e.size - 1) * (e.frequencies + 1))),
    "PiecewiseLinear": (piecewise_linear, lambda e: 0),
})
"""Name -> a function of encoder, parameters and a row of X, and the number of its parameters."""


def encoded(encoders, scaling, parameters, X):
    """What the first layer reads, (n, width), and the parameters that are left for the layers."""
    rows = [[] for _ in X]
    for encoder in encoders:
        encode, size = ENCODERS[type(encoder).__name__]
        own, parameters = np.split(parameters, [size(encoder)])
        for found, row in zip(rows, X, strict=True):
            found += encode(encoder, own, row)
    found = np.array(rows)
    if scaling:
        factors, parameters = np.split(parameters, [found.shape[1]])
        found = factors * found
    return found, parameters


def encoded_cost(net, X, Y, parameters, weights=None):
    """The mean cost of a network with encoders at other parameters, which may be complex."""
    inputs, rest = encoded(net.encoders, net.scaling, parameters, X)
    layers = unflatten(rest, (inputs.shape[1], *net.layers[1:]), net.bias)
    return mean_cost(layers, inputs, Y, net.activations, net.cost_function.name, weights, net.cost_function.parameter)


def encoded_gradient(net, X, Y, weights=None):
    """Its gradient by complex steps."""
    found = np.empty(net.n_parameters)
    for i in range(net.n_parameters):
        moved = net.parameters.astype(complex)
        moved[i] += 1e-30j
        found[i] = encoded_cost(net, X, Y, moved, weights).imag / 1e-30
    return found

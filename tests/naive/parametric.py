"""Parametric activations o = x + a (phi(x) - x), a parameter a of each neuron: nets, costs and gradients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .activations import ACTIVATIONS
from .costs import COSTS, PARAMETERS
from .network import output_delta, sample_costs, shares


def cut(parameters, sizes, functions, bias=True):
    """Cut the flat buffer: for each layer W row by row, b, and a where its function is ('parametric', name)."""
    layers, start = [], 0

    def take(count):
        nonlocal start
        start += count
        return parameters[start - count : start]

    for (n_in, n_out), function in zip(pairwise(sizes), functions, strict=True):
        W = take(n_in * n_out).reshape(n_out, n_in)
        b = take(n_out) if bias else np.zeros(n_out, parameters.dtype)
        layers.append((W, b, take(n_out) if isinstance(function, tuple) else None))
    assert start == parameters.size
    return layers


def both(net, function, alphas):
    """Outputs o and do/dnet, by the formula as it is written."""
    if not isinstance(function, tuple):
        phi, slope = ACTIVATIONS[function]
        return phi(net), None if slope is None else slope(net)
    phi, slope = ACTIVATIONS[function[1]]
    return net + alphas * (phi(net) - net), 1 + alphas * (slope(net) - 1)


def passed(layers, X, functions):
    """Net inputs of each layer, and outputs with X before them."""
    nets, outs = [], [X]
    for (W, b, a), function in zip(layers, functions, strict=True):
        nets.append(outs[-1] @ W.T + b)
        outs.append(both(nets[-1], function, a)[0])
    return nets, outs


def costs(parameters, sizes, functions, X, Y, cost, parameter=None, bias=True):
    """E of each pair."""
    return sample_costs(Y, passed(cut(parameters, sizes, functions, bias), X, functions)[1][-1], cost, parameter)


def gradient(parameters, sizes, functions, X, Y, cost, weights=None, parameter=None, bias=True):
    """dE/dparameters of the weighted mean, by the chain rule: dE/da_j = sum of dE/do_j (phi(net_j) - net_j)."""
    layers = cut(parameters, sizes, functions, bias)
    nets, outs = passed(layers, X, functions)
    share, parts = shares(len(X), weights)[:, np.newaxis], []
    for i in reversed(range(len(layers))):
        W, _, a = layers[i]
        function, net = functions[i], nets[i]
        if i == len(layers) - 1:
            if isinstance(function, tuple):
                up = share * COSTS[cost][1](Y, outs[-1], PARAMETERS.get(cost) if parameter is None else parameter)
                delta = up * both(net, function, a)[1]
            else:
                delta = share * output_delta(net, outs[-1], Y, function, cost, parameter)
        else:
            up = delta @ layers[i + 1][0]
            delta = up * both(net, function, a)[1]
        own = [(delta.T @ outs[i]).ravel()] + ([delta.sum(axis=0)] if bias else [])
        if a is not None:
            own.append((up * (ACTIVATIONS[function[1]][0](net) - net)).sum(axis=0))
        parts[:0] = own
    return np.concatenate(parts)


def by_complex_step(value, parameters):
    """Derivatives of what some parameters give, the last axis: Im f(w + ih)/h."""
    found = []
    for i in range(parameters.size):
        shifted = parameters.astype(np.complex128)
        shifted[i] += 1e-30j
        found.append(value(shifted).imag / 1e-30)
    return np.stack(found, axis=-1)


def train(parameters, sizes, functions, X, Y, cost, optimizer, batch_size, orders, parameter=None):
    """Mini-batch training over the given permutations, one an epoch."""
    w = parameters.copy()
    for order in orders:
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            w = optimizer.step(w, gradient(w, sizes, functions, X[rows], Y[rows], cost, None, parameter))
    return w

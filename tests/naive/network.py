"""The network: nets, outputs, deltas and gradients (1)-(6), one neuron at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .activations import ACTIVATIONS
from .costs import COSTS, PARAMETERS


def unflatten(parameters, sizes, bias=True):
    """Cut the flat buffer: for each layer W row by row, then b (zeros without biases)."""
    layers, start = [], 0
    for n_in, n_out in pairwise(sizes):
        W = parameters[start : start + n_in * n_out].reshape(n_out, n_in)
        start += W.size
        b = parameters[start : start + n_out] if bias else np.zeros(n_out, parameters.dtype)
        start += n_out if bias else 0
        layers.append((W, b))
    assert start == parameters.size
    return layers


def flatten(layers, bias=True):
    parts = []
    for W, b in layers:
        parts.append(np.ravel(W))
        if bias:
            parts.append(b)
    return np.concatenate(parts)


class Pass(NamedTuple):
    net: list
    out: list
    """out[0] is the input, so out[l] belongs to net[l-1]."""


def forward(layers, X, activations, masks=None):
    """net_j = sum_k w_jk o_k + b_j (1), o_j = phi(net_j) (2), times a mask of (n, n_l) for each layer if given."""
    nets, outs = [], [X]
    for l, ((W, b), name) in enumerate(zip(layers, activations, strict=True)):  # noqa: E741 the layer's number
        net = np.stack([outs[-1] @ W[j] + b[j] for j in range(len(W))], axis=1)
        nets.append(net)
        outs.append(ACTIVATIONS[name][0](net) * (1 if masks is None else masks[l]))
    return Pass(nets, outs)


def sample_costs(Y, out, cost, parameter=None):
    """E of each pair (3)."""
    parameter = PARAMETERS.get(cost) if parameter is None else parameter
    return COSTS[cost][0](Y, out, parameter).sum(axis=1)


def shares(n, weights=None):
    weights = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    return weights / weights.sum()


def mean_cost(layers, X, Y, activations, cost, weights=None, parameter=None, masks=None):
    out = forward(layers, X, activations, masks).out[-1]
    return (shares(len(X), weights) * sample_costs(Y, out, cost, parameter)).sum()


def output_delta(net, out, Y, name, cost, parameter=None):
    """delta_j = dE/do_j phi'(net_j) (4); for softmax sum_i dE/do_i do_i/dnet_j."""
    parameter = PARAMETERS.get(cost) if parameter is None else parameter
    if (name, cost) in (("logistic", "binary_cross_entropy"), ("exp", "poisson")):
        return out - Y  # the quotient, cancelled by hand: no division by 0
    slope = COSTS[cost][1](Y, np.where(out == 0, 1e-300, out) if cost == "cross_entropy" else out, parameter)
    if name == "softmax":
        return out * (slope - (slope * out).sum(axis=1, keepdims=True))
    return slope * ACTIVATIONS[name][1](net)


def deltas(layers, passed, Y, activations, cost, weights=None, parameter=None):
    """Every delta of the mean cost, (4) at the top and (5) below."""
    share = shares(len(Y), weights)[:, None].astype(np.asarray(Y).dtype)
    found = [share * output_delta(passed.net[-1], passed.out[-1], Y, activations[-1], cost, parameter)]
    for l in range(len(layers) - 1, 0, -1):  # noqa: E741 the layer's number in the equations
        W_above, delta_above = layers[l][0], found[0]
        slope = ACTIVATIONS[activations[l - 1]][1](passed.net[l - 1])
        neurons = range(W_above.shape[1])
        found.insert(0, np.stack([slope[:, j] * (delta_above @ W_above[:, j]) for j in neurons], axis=1))
    return found


def gradient(layers, X, Y, activations, cost, weights=None, parameter=None):
    """dE/dw_jk = sum over samples of delta_j o_k, dE/db_j = sum of delta_j (6): a list of (dW, db)."""
    passed = forward(layers, X, activations)
    found = deltas(layers, passed, Y, activations, cost, weights, parameter)
    return [
        (np.stack([delta[:, j] @ out for j in range(delta.shape[1])]), delta.sum(axis=0))
        for delta, out in zip(found, passed.out[:-1], strict=True)
    ]


def complex_step_gradient(parameters, sizes, bias, X, Y, activations, cost, weights=None, parameter=None, masks=None):
    """dE/dw = Im E(w + ih)/h, exact to rounding (Squire & Trapp 1998)."""
    slopes = np.empty(parameters.size)
    for i in range(parameters.size):
        shifted = parameters.astype(np.complex128)
        shifted[i] += 1e-30j
        found = mean_cost(unflatten(shifted, sizes, bias), X, Y, activations, cost, weights, parameter, masks)
        slopes[i] = found.imag / 1e-30
    return slopes


def gauss_newton(parameters, sizes, bias, X, activations, canonical, weights=None):
    """Sum over samples of share * J' H J by complex step.

    Of a canonical link J is dnet/dw and H = df(net)/dnet, since the slope of its cost is f(net) - y; else J is do/dw
    and H = 1, as for the squared error.
    """
    columns = []
    for i in range(parameters.size):
        shifted = parameters.astype(np.complex128)
        shifted[i] += 1e-30j
        passed = forward(unflatten(shifted, sizes, bias), X, activations)
        columns.append((passed.net[-1] if canonical else passed.out[-1]).imag / 1e-30)
    J = np.stack(columns, axis=-1)
    net = forward(unflatten(parameters, sizes, bias), X, activations).net[-1]
    total = np.zeros((parameters.size, parameters.size))
    for s, share in enumerate(shares(len(X), weights)):
        H = np.eye(sizes[-1])
        if canonical:
            steps = net[s] + 1e-30j * np.eye(sizes[-1])
            H = ACTIVATIONS[activations[-1]][0](steps).imag / 1e-30
        total += share * J[s].T @ H @ J[s]
    return total

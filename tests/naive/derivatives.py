"""Derivatives of a network, complex step by complex step."""

from __future__ import annotations

import numpy as np

from .network import forward, sample_costs, unflatten
from .twins import Twins

STEP = 1e-30j


def layers_of(net):
    """Return the layers of a `fastbp.Network`, or of whatever says the same of itself, in float64."""
    return unflatten(net.parameters.astype(np.float64), net.layers, net.bias)


def own_costs(net, layers, X, Y):
    """E of each pair (3)."""
    return sample_costs(Y, forward(layers, X, net.activations).out[-1], net.cost_function.name,
                        net.cost_function.parameter)


def moved(array, place):
    """Take a step along one axis of the complex plane from an array's columns of this place."""
    array = array.astype(np.complex128)
    array[..., place] += STEP
    return array


def jacobian(net, X):
    """do/dx, (n, n_L, n_0)."""
    return np.stack([forward(layers_of(net), moved(X, k), net.activations).out[-1].imag / STEP.imag
                     for k in range(net.layers[0])], axis=2)


def input_gradient(net, X, Y):
    """dE/dx of each pair's own cost, (n, n_0)."""
    return np.stack([own_costs(net, layers_of(net), moved(X, k), Y).imag / STEP.imag
                     for k in range(net.layers[0])], axis=1)


def by_parameters(net, value):
    """Derivatives of what some layers give, with respect to each parameter: the last axis."""
    return np.stack([value(unflatten(moved(net.parameters, i), net.layers, net.bias)).imag / STEP.imag
                     for i in range(net.n_parameters)], axis=-1)


def per_sample_gradient(net, X, Y):
    """dE/dparameters of each pair's own cost, (n, P)."""
    return by_parameters(net, lambda layers: own_costs(net, layers, X, Y))


DERIVATIVES = Twins("name of the method -> function of (net, X, ...)", {
    "jacobian": jacobian,
    "vjp": lambda net, X, U: np.einsum("njk,nj->nk", jacobian(net, X), U),
    "jvp": lambda net, X, V: np.einsum("njk,nk->nj", jacobian(net, X), V),
    "input_gradient": input_gradient,
    "per_sample_gradient": per_sample_gradient,
    "gradient_norms": lambda net, X, Y: np.linalg.norm(per_sample_gradient(net, X, Y), axis=1),
    "parameter_vjp": lambda net, X, U: by_parameters(
        net, lambda layers: (U * forward(layers, X, net.activations).out[-1]).sum()),
    "parameter_jacobian": lambda net, X: by_parameters(
        net, lambda layers: forward(layers, X, net.activations).out[-1]),
})
"""Exact to rounding, for the tests of `fastbp.derivatives.first`."""

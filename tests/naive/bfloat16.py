"""Products of operands that are rounded to bfloat16: each number as a fraction and a power of two."""

from __future__ import annotations

import numpy as np

SMALLEST = 2.0**-126
"""What is smaller in size is taken for 0."""


def rounded(values):
    """Return numbers with 8 significant bits, the nearest to each; of two alike the one whose last bit is 0."""
    values = np.asarray(values, np.float32)
    fraction, exponent = np.frexp(values.astype(float))
    with np.errstate(over="ignore"):
        nearest = np.ldexp(np.rint(fraction * 256), exponent - 8).astype(np.float32)
    return np.where(np.isfinite(values), np.where(np.abs(values) < SMALLEST, np.copysign(0, values), nearest),
                    values).astype(float)


def pair_sum(initial, first, second):
    """Return initial + Σ over pairs of the products of their second and of their first numbers, each step rounded.

    Pairs are rows of (n, 2), of numbers that are rounded to bfloat16.
    """
    total = np.float32(initial)
    for a, b in zip(first, second, strict=True):
        for i in (1, 0):
            total = np.float32(float(total) + float(a[i]) * float(b[i]))
    return total


def gradient(layers, X, Y, activations, cost):
    """Return a list of (∂E/∂W, ∂E/∂b), (1)-(6), and the outputs, where operands of the three products are rounded."""
    from .activations import ACTIVATIONS
    from .network import output_delta, shares

    nets, outs = [], [np.asarray(X, float)]
    for (W, b), name in zip(layers, activations, strict=True):
        nets.append(rounded(outs[-1]) @ rounded(W).T + b)
        outs.append(ACTIVATIONS[name][0](nets[-1]))
    delta = shares(len(Y))[:, None] * output_delta(nets[-1], outs[-1], Y, activations[-1], cost)
    found = []
    for number in range(len(layers) - 1, -1, -1):
        found.insert(0, (rounded(delta).T @ rounded(outs[number]), delta.sum(axis=0)))
        if number:
            slope = ACTIVATIONS[activations[number - 1]][1](nets[number - 1])
            delta = slope * (rounded(delta) @ rounded(layers[number][0]))
    return found, outs[-1]

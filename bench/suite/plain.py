"""The same training step in plain NumPy, as one would write it by hand: the other side of `track_versus_numpy`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .workloads import LEARNING_RATE, Array, Workload, first_weights


class PlainNetwork:
    """A network of a workload with squared error and its optimizer: fancy indexing, products, one array per layer."""

    def __init__(self, workload: Workload, dtype: npt.DTypeLike) -> None:
        self.workload = workload
        self.weights = first_weights(workload, dtype)
        self.biases = [np.zeros(n_out, dtype) for n_out, _ in workload.shapes]
        self.parameters = [array for pair in zip(self.weights, self.biases, strict=True) for array in pair]
        self.first = [np.zeros_like(array) for array in self.parameters]
        self.second = [np.zeros_like(array) for array in self.parameters]
        self.updates = 0
        self.generator = np.random.default_rng(3)

    def gradient(self, X: Array, Y: Array) -> tuple[float, list[Array]]:
        """Compute the mean cost (3) and its gradient (4)-(6): for each layer that of W^l, then of b^l."""
        outs, top = [X], len(self.weights) - 1
        for layer, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            net = outs[-1] @ W.T + b
            if layer < top:
                net = np.tanh(net) if self.workload.activation == "tanh" else np.maximum(net, 0)
            outs.append(net)
        delta = (outs[-1] - Y) / len(X)
        cost = 0.5 * float(np.vdot(outs[-1] - Y, outs[-1] - Y)) / len(X)
        gradient: list[Array] = []
        for layer in range(top, -1, -1):
            gradient[:0] = [delta.T @ outs[layer], delta.sum(axis=0)]
            if layer > 0:
                out = outs[layer]
                delta = delta @ self.weights[layer] * (1 - out * out if self.workload.activation == "tanh" else out > 0)
        return cost, gradient

    def step(self, X: Array, Y: Array) -> float:
        """Update once; give the cost before the update."""
        cost, gradient = self.gradient(X, Y)
        if self.workload.optimizer == "sgd":
            for p, g in zip(self.parameters, gradient, strict=True):
                p -= LEARNING_RATE * g
            return cost
        self.updates += 1
        rate = LEARNING_RATE / (1 - 0.9**self.updates)
        scale = 1 / math.sqrt(1 - 0.999**self.updates)
        for p, g, m, v in zip(self.parameters, gradient, self.first, self.second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * m / (np.sqrt(v) * scale + 1e-8)
        return cost

    def epoch(self, X: Array, Y: Array, steps: int | None = None) -> float:
        """Take an epoch, or its first steps, in a new random order; give the mean cost."""
        order = self.generator.permutation(len(X))
        batch = self.workload.batch
        steps = self.workload.steps if steps is None else steps
        total = 0.0
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            total += self.step(X[rows], Y[rows])
        return total / steps

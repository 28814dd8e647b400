"""Quality beside speed: the cost that training reaches, and how soon. The same bits on the same type of CPU."""

from __future__ import annotations

import numpy as np

import fastbp

from .workloads import Array

EPOCHS = 400


def xor() -> tuple[fastbp.Network, Array, Array, int, float]:
    """Exclusive or: the classic that needs a hidden layer."""
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    net = fastbp.Network((2, 8, 1), output="logistic", cost="binary_cross_entropy", seed=1)
    return net, X, (X[:, :1] != X[:, 1:]).astype(np.float32), 4, 0.05


def sine() -> tuple[fastbp.Network, Array, Array, int, float]:
    """Regression of sin(3x) with noise of standard deviation 0.05, whose half square is 0.00125."""
    generator = np.random.default_rng(0)
    X = generator.uniform(-2, 2, (512, 1)).astype(np.float32)
    Y = (np.sin(3 * X) + 0.05 * generator.standard_normal(X.shape)).astype(np.float32)
    return fastbp.Network((1, 32, 32, 1), seed=1), X, Y, 32, 0.002


def spirals() -> tuple[fastbp.Network, Array, Array, int, float]:
    """Two spirals, one and a half turns, as two classes."""
    t = np.sqrt(np.random.default_rng(0).random(512)) * 3 * np.pi
    label = np.arange(512) % 2
    X = np.stack([t * np.cos(t + np.pi * label), t * np.sin(t + np.pi * label)], axis=1) / 5
    net = fastbp.Network((2, 32, 32, 2), "relu", cost="cross_entropy", seed=1)
    return net, X.astype(np.float32), np.eye(2, dtype=np.float32)[label], 32, 0.1


TASKS = {"xor": xor, "sine": sine, "spirals": spirals}


class Learning:
    """Adam at 0.01, 400 epochs."""

    version = "1"
    params = list(TASKS)
    param_names = ["task"]

    def setup(self, task: str) -> None:
        """Train."""
        net, X, Y, batch, self.target = TASKS[task]()
        self.cost = net.fit(X, Y, epochs=EPOCHS, batch_size=batch, optimizer=fastbp.Adam(0.01)).history.cost

    def track_epochs_to_target(self, task: str) -> float:
        """Count epochs until the mean cost is at the target; twice as many as there are if it never is."""
        reached = np.flatnonzero(self.cost <= self.target)
        return float(reached[0] + 1) if reached.size else 2.0 * EPOCHS

    track_epochs_to_target.unit = "epochs"  # type: ignore[attr-defined]

    def track_final_cost(self, task: str) -> float:
        """Return the mean cost of the last ten epochs."""
        return float(self.cost[-10:].mean())

    track_final_cost.unit = "cost"  # type: ignore[attr-defined]

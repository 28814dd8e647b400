"""Optimizers beside Adam and plain SGD, and full-batch methods: what a step costs, and how far some steps come."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import fastbp

from .common import best_in_turns, needs, seconds_per_epoch, trainer, warm_trainer
from .workloads import WORKLOADS

RULES: dict[str, dict[str, Any]] = {
    "SGD momentum": dict(momentum=0.9),
    "SGD nesterov": dict(momentum=0.9, nesterov=True),
    "AdamW": {}, "AMSGrad": {}, "NAdam": {}, "RAdam": {}, "AdaBelief": {}, "Lion": {}, "RMSprop": {}, "Adagrad": {},
    "Adadelta": {},
}
WORKLOAD = WORKLOADS["4-120-84-2 batch 32"]

METHODS = ["LBFGS", "ConjugateGradient", "ScaledConjugateGradient", "Rprop", "Quickprop", "LevenbergMarquardt",
           "BayesianRegularization"]
STEPS = 20


class Rules:
    """An epoch of 4-120-84-2 with each rule that turns a gradient into an update."""

    version = "1"
    params = list(RULES)
    param_names = ["optimizer"]
    number = 1  # training changes the state that it is timed on
    rounds = 2
    repeat = (6, 30, 2.0)
    warmup_time = 0

    def setup(self, name: str) -> None:
        """Compile and train a batch, once a process."""
        kind = name.split()[0]
        needs(kind)
        self.train = warm_trainer(WORKLOAD, optimizer=getattr(fastbp, kind)(1e-3, **RULES[name]))

    def time_epoch(self, name: str) -> None:
        """Train for an epoch."""
        self.train(1)

    def track_over_adam(self, name: str) -> float:
        """Divide its time by Adam's."""
        adam = trainer(WORKLOAD)
        seconds = best_in_turns(lambda: seconds_per_epoch(self.train), lambda: seconds_per_epoch(adam))
        return seconds[0] / seconds[1]

    track_over_adam.unit = "steps with Adam"  # type: ignore[attr-defined]


@functools.cache
def fitter(name: str) -> Callable[[int], fastbp.Network]:
    """Return a function that makes so many steps from the same weights; compiled."""
    generator = np.random.default_rng(0)
    X = generator.uniform(-2, 2, (1000, 4)).astype(np.float32)
    Y = np.stack([np.sin(X[:, 0] * X[:, 1]), np.cos(X[:, 2] + X[:, 3])], axis=1)
    net, method = fastbp.Network((4, 16, 2), seed=1), getattr(fastbp, name)()
    first = net.parameters.copy()

    def fit(epochs: int) -> fastbp.Network:
        net.parameters[:] = first
        return net.fit(X, Y, epochs=epochs, optimizer=method, threads=1)

    fit(1)
    return fit


class FullBatch:
    """Methods whose step takes all samples: 1,000 of them and 114 parameters."""

    version = "1"
    params = METHODS
    param_names = ["method"]

    def setup(self, name: str) -> None:
        """Compile, once a process."""
        needs(name)
        self.fit = fitter(name)

    def time_twenty_steps(self, name: str) -> None:
        """Make steps, always the same ones."""
        self.fit(STEPS)

    def track_cost(self, name: str) -> float:
        """Return the cost where 100 steps end."""
        return float(self.fit(100).history.cost[-1])

    track_cost.unit = "cost"  # type: ignore[attr-defined]

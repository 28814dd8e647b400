"""The forward pass, of one row and of many."""

from __future__ import annotations

import functools

import numpy as np

import fastbp

from .common import best_in_turns, needs, seconds_per_epoch
from .workloads import WORKLOADS

NETWORKS = {"64-100-10": "64-100-10 batch 200", "784-128-10": "784-128-10 batch 64"}


@functools.cache
def compiled(name: str, rows: int) -> tuple[fastbp.Network, np.ndarray, np.ndarray]:
    """Return a network that has predicted, its inputs and room for its outputs."""
    workload = WORKLOADS[NETWORKS[name]]
    net = fastbp.Network(workload.layers, workload.activation, seed=1)
    X = np.random.default_rng(0).standard_normal((rows, workload.layers[0]), np.float32)
    out = np.empty((rows, workload.layers[-1]), np.float32)
    net.predict(X[0])
    net.predict(X, out)
    return net, X, out


class Predict:
    """From Python, validation included."""

    version = "1"
    params = list(NETWORKS)
    param_names = ["network"]
    number = 1
    warmup_time = 0
    repeat = (6, 50, 1.0)

    def setup(self, name: str) -> None:
        """Compile, once a process."""
        self.net, self.X, self.out = compiled(name, 10_000)

    def time_thousand_single_rows(self, name: str) -> None:
        """Predict one row a thousand times: ms here are µs a call."""
        predict, x = self.net.predict, self.X[0]
        for _ in range(1000):
            predict(x)

    def time_ten_thousand_rows(self, name: str) -> None:
        """Predict 10,000 rows in one call, into given memory."""
        self.net.predict(self.X, self.out)


class Peak:
    """The forward pass beside the multiply-add peak."""

    version = "1"
    params = list(NETWORKS)
    param_names = ["network"]

    def setup(self, name: str) -> None:
        """Compile, once a process."""
        needs("training.profile.multiply_add_peak")
        self.net, self.X, self.out = compiled(name, 10_000)

    def track_rows_over_peak(self, name: str) -> float:
        """Divide the time of 10,000 rows by what their products would take at the peak."""
        from fastbp.training.profile import multiply_add_peak

        seconds, flop_time = best_in_turns(
            lambda: seconds_per_epoch(lambda passes: [self.net.predict(self.X, self.out) for _ in range(passes)]),
            lambda: 1e-9 / multiply_add_peak(rounds=3),
        )
        return seconds / (len(self.X) * WORKLOADS[NETWORKS[name]].forward_flop * flop_time)

    track_rows_over_peak.unit = "times at the peak"  # type: ignore[attr-defined]

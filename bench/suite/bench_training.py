"""Training: the time of an epoch and of a step, and ratios that survive a change of machine.

asv takes a rise for a regression and knows no figures of which more is better: every ratio is of a time to a shorter
or given one, and less is better.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .common import best_in_turns, data, has, method, needs, network, seconds_per_epoch, trainer, warm_trainer
from .plain import PlainNetwork
from .workloads import ONLINE, WORKLOADS, Workload

EVERY = {**WORKLOADS, **ONLINE}
LARGEST = list(WORKLOADS)[-4:]


PEAK = "training.profile.multiply_add_peak"
"""What steps are measured beside."""


class Epoch:
    """Wall time of `fit` for one epoch, call overhead included, on one thread."""

    version = "1"
    params = ["2-8-1 batch 1", "2-8-1 batch 32", "64-100-10 batch 200", "784-128-10 batch 64",
              "784-512-512-10 batch 256"]
    param_names = ["workload"]
    number = 1  # training changes the state that it is timed on
    rounds = 2
    repeat = (6, 30, 2.0)
    warmup_time = 0

    def setup(self, name: str) -> None:
        """Compile and train a batch, once a process."""
        self.train = warm_trainer(EVERY[name])

    def time_epoch(self, name: str) -> None:
        """Train for an epoch."""
        self.train(1)


class Steady:
    """Each workload in steady state, on one thread: the time of a step, and two ratios that a machine does not change.

    All is measured once, by `setup_cache`, in one process and in turns: fastbp, the same step in plain NumPy, the peak.
    """

    version = "1"
    params = list(EVERY)
    param_names = ["workload"]

    def setup_cache(self) -> dict[str, dict[str, float]]:
        """Measure all workloads, and the peak beside each: a busy machine lowers it, nothing raises it."""
        if not has(PEAK):
            return {}
        measured = {name: self.measure(workload) for name, workload in EVERY.items()}
        operation = min(figures["operation"] for figures in measured.values())
        return {name: {**figures, "operation": operation} for name, figures in measured.items()}

    setup_cache.timeout = 600  # type: ignore[attr-defined]

    def measure(self, workload: Workload) -> dict[str, float]:
        """Time a step, in seconds, of fastbp and of plain NumPy, and an operation at the peak."""
        from threadpoolctl import threadpool_limits

        from fastbp.training.profile import multiply_add_peak

        X, Y = data(workload)
        plain = PlainNetwork(workload, "float32")
        check_gradients(workload, plain)
        train = trainer(workload)
        # a quarter of a second of NumPy's steps is enough, and less than an epoch of the largest
        steps = max(1, min(workload.steps, 10**9 // workload.step_flop))

        # asv imports NumPy before it comes here: too late to set the threads of its products by the environment
        with threadpool_limits(1):
            step, in_numpy, operation = best_in_turns(
                lambda: seconds_per_epoch(train) / workload.steps,
                lambda: seconds_per_epoch(lambda epochs: [plain.epoch(X, Y, steps) for _ in range(epochs)]) / steps,
                lambda: 1e-9 / multiply_add_peak(rounds=2),
            )
        return {"step": step, "in_numpy": in_numpy, "operation": operation}

    def setup(self, measured: dict[str, dict[str, float]], name: str) -> None:
        """Skip commits without the peak."""
        if name not in measured:
            needs(PEAK)

    def track_step_time(self, measured: dict[str, dict[str, float]], name: str) -> float:
        """Return the time of a step."""
        return 1e6 * measured[name]["step"]

    track_step_time.unit = "µs"  # type: ignore[attr-defined]

    def track_over_peak(self, measured: dict[str, dict[str, float]], name: str) -> float:
        """Divide the time of a step by what its products would take at the tile's peak on L1-resident data."""
        return measured[name]["step"] / (EVERY[name].step_flop * measured[name]["operation"])

    track_over_peak.unit = "times at the peak"  # type: ignore[attr-defined]

    def track_over_numpy(self, measured: dict[str, dict[str, float]], name: str) -> float:
        """Divide the time of a step by that of the same step in plain NumPy."""
        return measured[name]["step"] / measured[name]["in_numpy"]

    track_over_numpy.unit = "of NumPy's time"  # type: ignore[attr-defined]


def check_gradients(workload: Workload, plain: PlainNetwork) -> None:
    """Make sure that the two sides of a ratio do the same work: one gradient at the first weights."""
    X, Y = (array[: workload.batch] for array in data(workload))
    theirs = np.concatenate([part.ravel() for part in plain.gradient(X, Y)[1]])
    ours = network(workload).gradient(X, Y)
    if not np.linalg.norm(theirs - ours) <= 1e-4 * np.linalg.norm(theirs):
        raise AssertionError(f"{workload.name}: fastbp and plain NumPy do not compute the same gradient")


class Double:
    """How float64 compares with float32."""

    version = "1"
    params = ["2-8-1 batch 32", "64-100-10 batch 200", "17-256-256-6 batch 256"]
    param_names = ["workload"]

    def track_float64_over_float32(self, name: str) -> float:
        """Divide the time of a float64 step by that of a float32 step."""
        single, double = (trainer(WORKLOADS[name], dtype) for dtype in ("float32", "float64"))
        seconds = best_in_turns(lambda: seconds_per_epoch(single), lambda: seconds_per_epoch(double))
        return seconds[1] / seconds[0]

    track_float64_over_float32.unit = "float32 steps"  # type: ignore[attr-defined]


class Team:
    """What a second thread brings, where there is a second core."""

    version = "1"
    params = LARGEST
    param_names = ["workload"]

    def setup(self, name: str) -> None:
        """Skip on a single core."""
        if len(os.sched_getaffinity(0)) < 2:
            raise NotImplementedError("one core only")

    def track_two_threads_over_one(self, name: str) -> float:
        """Divide the time of a step on two threads by that on one."""
        alone, together = (trainer(WORKLOADS[name], threads=threads) for threads in (1, 2))
        seconds = best_in_turns(lambda: seconds_per_epoch(alone), lambda: seconds_per_epoch(together))
        return seconds[1] / seconds[0]

    track_two_threads_over_one.unit = "of one thread's time"  # type: ignore[attr-defined]


class FitCall:
    """What a call of `fit` costs besides its steps: one step on one sample, from Python."""

    version = "1"
    number = 1
    repeat = (6, 100, 1.0)
    warmup_time = 0
    calls = 100

    def setup(self) -> None:
        """Compile."""
        workload = WORKLOADS["2-8-1 batch 1"]
        self.train = warm_trainer(workload)
        (X, Y), self.net = data(workload), network(workload)
        self.arguments: dict[str, Any] = {"X": X[:1], "Y": Y[:1], "epochs": 1, "optimizer": method(workload)}
        self.net.fit(**self.arguments)

    def time_hundred_calls(self) -> None:
        """Call it a hundred times, the optimizer's state kept."""
        for _ in range(self.calls):
            self.net.fit(**self.arguments, resume=True)

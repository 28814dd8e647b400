"""Many small networks in one call, beside a loop over `fit`: every ratio is of times that are taken in turns."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import fastbp

from .common import best_in_turns, needs, seconds_per_epoch
from .workloads import LEARNING_RATE, Array, Many, data_of_many, first_weights_of_many

SIZES = {
    workload.name: workload
    for workload in (
        Many((2, 8, 1), 32, 1024, count=200),
        Many((8, 32, 1), 32, 1024, count=64),
        Many((64, 100, 10), 200, 1000, count=16, cost="cross_entropy"),
    )
}

ONE_STEP = Many((2, 8, 1), 32, 32, count=200)
"""What a call for one epoch takes is what a call costs."""

EPOCHS = 10
"""Of a call, where it is steps that count."""

Train = Callable[[int], object]


@functools.cache
def data(workload: Many) -> tuple[Array, Array]:
    """Return the samples, the same arrays in each fit."""
    return data_of_many(workload, "float32")


def networks(workload: Many) -> list[fastbp.Network]:
    """Make the workload's networks, at their first weights."""
    made = [fastbp.Network(workload.layers, workload.activation, cost=workload.cost, seed=seed)
            for seed in range(workload.count)]
    for layer, weights in enumerate(first_weights_of_many(workload, "float32")):
        for network, W in zip(made, weights, strict=True):
            network.weights[layer][:] = W
    return made


@functools.cache
def in_one_call(workload: Many, threads: int = 1) -> Train:
    """Return a function that trains all networks for so many epochs; compiled, and an epoch old."""
    made, (X, Y), method = networks(workload), data(workload), fastbp.Adam(LEARNING_RATE)

    def train(epochs: int) -> None:
        fastbp.fit_many(made, X, Y, epochs=epochs, batch_size=workload.batch, optimizer=method, resume=True,
                        threads=threads)

    train(1)
    return train


@functools.cache
def in_a_loop(workload: Many) -> Train:
    """Return the same as a loop over `fit`."""
    made, (X, Y), method = networks(workload), data(workload), fastbp.Adam(LEARNING_RATE)

    def train(epochs: int) -> None:
        for network in made:
            network.fit(X, Y, epochs=epochs, batch_size=workload.batch, optimizer=method, resume=True, threads=1)

    train(1)
    return train


def seconds_a_call(train: Train, epochs: int) -> float:
    """Time calls for so many epochs each."""
    return seconds_per_epoch(lambda calls: [train(epochs) for _ in range(calls)])


class ManyNetworks:
    """Epochs of many networks, a call for all of them."""

    version = "1"
    params = list(SIZES)
    param_names = ["workload"]
    number = 1  # training changes the state that it is timed on
    rounds = 2
    repeat = (6, 30, 2.0)
    warmup_time = 0

    def setup(self, name: str) -> None:
        """Compile, once a process."""
        needs("fit_many")
        self.workload = SIZES[name]
        self.train = in_one_call(self.workload)

    def time_epoch(self, name: str) -> None:
        """Train all networks for an epoch, on one thread."""
        self.train(1)

    def track_network_step(self, name: str) -> float:
        """Return the time of a step of one network, on one thread."""
        seconds, = best_in_turns(lambda: seconds_a_call(self.train, EPOCHS))
        return 1e6 * seconds / EPOCHS / self.workload.count / self.workload.steps

    track_network_step.unit = "µs"  # type: ignore[attr-defined]

    def track_over_loop(self, name: str) -> float:
        """Divide the time of a call by that of a loop over `fit`, on one thread."""
        loop = in_a_loop(self.workload)
        ours, theirs = best_in_turns(lambda: seconds_a_call(self.train, EPOCHS), lambda: seconds_a_call(loop, EPOCHS))
        return ours / theirs

    track_over_loop.unit = "of the loop's time"  # type: ignore[attr-defined]

    def track_two_threads_over_one(self, name: str) -> float:
        """Divide the time of a call on two threads by that on one."""
        if len(os.sched_getaffinity(0)) < 2:
            raise NotImplementedError("one core only")
        together = in_one_call(self.workload, threads=2)
        one, two = best_in_turns(lambda: seconds_a_call(self.train, EPOCHS),
                                 lambda: seconds_a_call(together, EPOCHS))
        return two / one

    track_two_threads_over_one.unit = "of one thread's time"  # type: ignore[attr-defined]


class ManyCall:
    """What a call costs a network besides its steps: 200 networks that take a single step."""

    version = "1"
    number = 1
    repeat = (6, 100, 1.0)
    warmup_time = 0

    def setup(self) -> None:
        """Compile."""
        needs("fit_many")
        self.train = in_one_call(ONE_STEP)

    def time_two_hundred_networks(self) -> None:
        """Take the step of each."""
        self.train(1)

    def track_over_loop(self) -> float:
        """Divide the time of a call by that of as many calls of `fit`."""
        loop = in_a_loop(ONE_STEP)
        ours, theirs = best_in_turns(lambda: seconds_a_call(self.train, 1), lambda: seconds_a_call(loop, 1))
        return ours / theirs

    track_over_loop.unit = "of the loop's time"  # type: ignore[attr-defined]

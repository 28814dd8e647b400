"""What several benchmarks need: networks that are compiled and warm, and the best of some rounds.

asv runs the setup of a benchmark before every sample; what is slow is therefore made once a process.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import time
from collections.abc import Callable
from typing import Any

import fastbp

from . import workloads
from .workloads import Array, Workload


def has(feature: str) -> bool:
    """Return whether fastbp has a name, ``"Network.save"``, or an argument, ``"Network.save(training)"``.

    Of several that a bar separates, the names of one thing at different times, one is enough.
    """
    if "|" in feature:
        return any(map(has, feature.split("|")))
    name, _, argument = feature.rstrip(")").partition("(")
    try:
        found = operator.attrgetter(name)(fastbp)
    except (AttributeError, ImportError):
        return False
    return not argument or argument in inspect.signature(found).parameters


def needs(*features: str) -> None:
    """Have asv show n/a, not a failure, for a commit that lacks one of these features: called by `setup`.

    In an existing environment, which holds the fastbp that the suite was written for, it is a failure: a name that has
    changed is not to pass for one that is not yet there.
    """
    for feature in features:
        if not has(feature):
            raise (NotImplementedError if "ASV_COMMIT" in os.environ else LookupError)(f"fastbp has no {feature}")


@functools.cache
def data(workload: Workload, dtype: str = "float32") -> tuple[Array, Array]:
    """Return the workload's samples, read-only by convention."""
    return workloads.data(workload, dtype)


def network(workload: Workload, dtype: str = "float32") -> fastbp.Network:
    """Make the workload's network, at its first weights."""
    net = fastbp.Network(workload.layers, workload.activation, dtype=dtype, seed=1)
    for W, first in zip(net.weights, workloads.first_weights(workload, dtype), strict=True):
        W[:] = first
    return net


def method(workload: Workload) -> Any:
    """Return the workload's optimizer."""
    return {"adam": fastbp.Adam, "sgd": fastbp.SGD}[workload.optimizer](workloads.LEARNING_RATE)


def trainer(workload: Workload, dtype: str = "float32", threads: int = 1, optimizer: Any = None,
            **settings: Any) -> Callable[[int], None]:
    """Return a function that trains for so many epochs, with these settings of `fit`; compiled, and one batch old."""
    net, (X, Y), optimizer = network(workload, dtype), data(workload, dtype), optimizer or method(workload)
    some = slice(0, workload.batch)
    net.fit(X[some], Y[some], epochs=1, batch_size=workload.batch, optimizer=optimizer, threads=threads,
            **settings)

    def train(epochs: int) -> None:
        net.fit(X, Y, epochs=epochs, batch_size=workload.batch, optimizer=optimizer, threads=threads, resume=True,
                **settings)

    return train


warm_trainer = functools.cache(trainer)


def seconds_per_epoch(train: Callable[[int], object], seconds: float = 0.05) -> float:
    """Time one round of at least so long (and at least an epoch), and give the time of an epoch in it."""
    epochs = 1
    while True:
        start = time.perf_counter()
        train(epochs)
        taken = time.perf_counter() - start
        if taken >= seconds:
            return taken / epochs
        epochs *= 4 if taken < seconds / 4 else 2


def best_in_turns(*sides: Callable[[], float], rounds: int = 3, enough: float = 1.5) -> list[float]:
    """Measure the sides in turns, so that a slow spell of the machine meets all; return the least of each.

    Once ``enough`` seconds are gone no further round begins.
    """
    least, began = [float("inf")] * len(sides), time.perf_counter()
    for _ in range(rounds):
        least = [min(so_far, side()) for so_far, side in zip(least, sides, strict=True)]
        if time.perf_counter() - began > enough:
            break
    return least

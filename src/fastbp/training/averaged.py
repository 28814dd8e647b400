"""Local training: processes take steps on rows of their own, and average what they have learned every few steps.

Where gradients of single batches are too cheap to be exchanged, this exchanges one message for many steps (Haddadpour
et al. 2019). It is not the fit of one process: bits depend on which rows are in which process.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import optimizers
from ..core import arrays
from ..optimizers import BatchMethod, Optimizer
from ..regularization import Regularization
from . import fit as alone
from .history import History, Record
from .progress import Trainable, new_progress
from .together import MEANS, Companions, Talk

Array = npt.NDArray[Any]


def fit(network: Trainable, X: Array, Y: Array, sample_weight: Array | None, optimizer: str | Optimizer | None,
        resume: bool, *, rank: int, size: int, talk: Talk, most: int, epochs: int, batch_size: int, steps: int,
        threads: int | None, regularization: Regularization | None) -> None:
    """Train by mini-batches as one of several processes, each with rows of its own.

    An epoch has as many rounds as the process with the ``most`` rows needs for ``steps`` batches in each; a process
    with fewer rows takes as many rounds, with fewer batches. After a round the parameters, and the optimizer's moments,
    become the means over all processes, by the weights of the samples that each has seen.
    """
    companions = Companions(network, rank, size, talk)
    try:
        epochs, batch_size = arrays.whole("epochs", epochs), arrays.whole("batch_size", batch_size)
        history = _begin(network, optimizer, resume)
        if len(X):
            _check(network, X, Y, sample_weight, rank)
        rounds, begin = -(-most // (batch_size * arrays.whole("average_every", steps))), time.perf_counter()
        generator = np.random.default_rng((int(network.generator.integers(2**63 - 1)), rank))
        for _ in range(epochs):
            order, costs = generator.permutation(len(X)), np.zeros(2)
            for number in range(rounds):
                rows = order[len(X) * number // rounds : len(X) * (number + 1) // rounds]
                weights = None if sample_weight is None else sample_weight[rows]
                weight = float(len(rows)) if weights is None else float(weights.sum())
                cost = 0.0
                if weight > 0:
                    cost = _round(network, X[rows], Y[rows], weights, batch_size, threads, regularization)
                costs += _averaged(companions, weight, cost)
            if costs[1] == 0:
                raise ValueError("sample_weight is 0 for every sample, expected at least one positive weight")
            history.append(history.last + 1, costs[0] / costs[1], None, time.perf_counter() - begin)
        progress = network._progress
        assert progress is not None
        network.history, progress.epochs = history, history.last
        companions.end()
    except BaseException:
        companions.fail()
        raise


def _begin(network: Trainable, optimizer: str | Optimizer | None, resume: bool) -> History:
    """Have an optimizer's state, and return the history to go on with."""
    progress = network._progress if resume else None
    method = optimizers.get("adam" if optimizer is None else optimizer) if progress is None \
        else optimizers.resumed(progress.optimizer, optimizer)
    if isinstance(method, BatchMethod):
        raise ValueError(f"{type(method).__name__} takes all samples in a step: leave average_every out, or use 'adam' "
                         "or another optimizer for mini-batches")
    if method.has_schedule:
        raise ValueError("the optimizer has a schedule, which goes by epochs, but average_every divides these: give a "
                         "learning rate that is a number")
    history = History() if progress is None else network.history
    if progress is None:
        network._progress = new_progress(network, method)
    else:
        progress.go_on_with(method)
    network.history = History()  # of rounds, while this lasts
    return history


def _check(network: Trainable, X: Array, Y: Array, weights: Array | None, rank: int) -> None:
    """Look at all rows before the first step."""
    if weights is not None and not weights.any():
        weights = None  # all of them may be 0 here, if others are not
    try:
        network._samples(X, Y, weights)
    except Exception as error:
        error.add_note(f"Rows are counted in process {rank}, its partitions one behind the other.")
        raise


def _round(network: Trainable, X: Array, Y: Array, weights: Array | None, batch_size: int, threads: int | None,
           regularization: Regularization | None) -> float:
    """Take the steps of a round, and return their mean cost."""
    costs: list[float] = []

    def note(record: Record) -> None:
        costs.append(record.cost)

    alone.fit(network, X, Y, weights, None, None, True, epochs=1, batch_size=batch_size, callbacks=[note], bar=False,
              shuffle=False, threads=threads, profile=False, regularization=regularization, jacobian=(None, 1.0),
              metrics=None)
    return costs[0]


def _averaged(companions: Companions, weight: float, cost: float) -> npt.NDArray[np.float64]:
    """Average parameters and moments over all processes; return the sum of costs by weights, and that of weights."""
    network, progress = companions.network, companions.network._progress
    assert progress is not None
    if companions.size == 1:
        companions.talk(np.empty(0))  # it may have been told to stop
        return np.array([weight * cost, weight])
    parts = network._parameters, progress.state
    heard = companions.say(MEANS, progress.state.size, np.concatenate(([weight, cost], *parts)))
    total, found = sum(float(each[0]) for each in heard), np.zeros(heard[0].size)
    for each in heard:
        found += each[0] * each
    if total > 0:
        n = network.n_parameters
        parts[0][:], parts[1][:] = found[2 : 2 + n] / total, found[2 + n :] / total
    return np.array([found[1], total])

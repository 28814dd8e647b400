"""Cost and gradient of all samples at the present parameters, and what else takes the same pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import layout, tables
from ..kernels.compile import Typed
from ..kernels.passes import epoch, rounds
from ..regularization import Regularization
from ..util import machine
from . import link, penalties, thread_team
from .model import Model
from .samples import Samples
from .streamed import Streamed, Sums

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

IN_BLOCKS, IN_ROUNDS = Typed(epoch.run), Typed(rounds.run)
"""Passes block by block, and those in which a team shares the blocks of a batch."""


def run_pass(threads: int, plan: layout.Plan, parameters: Array, data: layout.Data, task: layout.Task,
             learner: layout.Learner, thread: int, barrier: npt.NDArray[np.int64]) -> None:
    """Call the kernel as one of several threads."""
    in_rounds = threads > 1 and task.pieces == 1 and plan.cells[tables.CELL_MOST_BLOCKS] > 0
    run = (IN_ROUNDS if in_rounds else IN_BLOCKS).of(parameters.dtype)
    try:
        run(thread, threads, plan, parameters, data, task, learner, barrier)
    except BaseException:  # of a kernel that is plain Python: nobody shall wait for what this thread would hand on
        link.release(plan)
        raise


@dataclass
class Evaluation:
    """What a full-batch method asks: cost and gradient at the present parameters, and of which network and samples."""

    model: Model
    samples: Samples | Streamed
    threads: int | None
    compute: Callable[[Array], float]
    regularization: Regularization | None = None
    penalize: Callable[[Array], float] | None = None
    """Returns the penalty alone, and adds its gradient to another."""

    def __call__(self, gradient: Array) -> float:
        """Overwrite a gradient and return the cost."""
        return self.compute(gradient)


def _evaluator(model: Model, threads: int, plan: layout.Plan, pieces: thread_team.Pieces, blocks: int, least: int,
               data: layout.Data | None = None, task: layout.Task | None = None,
               penalize: Callable[[Array], float] | None = None) -> Callable[..., float]:
    """Return a function that takes all samples of a task, overwrites a gradient and returns the cost.

    It is called with a gradient, and may be with data and a task. A call of the kernel takes so many ``blocks`` that it
    lasts CHUNK_SECONDS, ``least`` of them at least.
    """
    learner = layout.learner(np.empty(0, model.dtype))

    def evaluate(gradient: Array, data: Any = data, task: Any = task) -> float:
        nonlocal blocks
        learner.progress[:] = learner.sums[:] = pieces.now = 0
        while learner.progress[tables.PROGRESS_EPOCH] == 0:
            start = time.perf_counter()
            thread_team.run(threads, partial(run_pass, threads, plan, model._parameters, data,
                                             pieces.of(task._replace(blocks=blocks)),
                                             learner._replace(gradient=gradient)))
            if pieces.called() and learner.progress[tables.PROGRESS_EPOCH] == 0:
                seconds = max(time.perf_counter() - start, 1e-9)
                blocks = max(least, min(int(blocks * machine.CHUNK_SECONDS / seconds), 8 * blocks))
        return float(learner.costs[0]) + (0.0 if penalize is None else penalize(gradient))

    return evaluate


@contextmanager
def evaluation(model: Model, samples: Samples | Streamed, threads: int | None = None,
               regularization: Regularization | None = None, kind: int | None = None,
               direction: Array | None = None, penalized: bool = True) -> Iterator[Evaluation]:
    """Borrow a function that computes the mean cost (3) of all samples, at the parameters that the network has then.

    It overwrites the gradient (4)-(6) that it is called with, unless that is empty. With a regularisation, the penalty
    of the weights belongs to the cost, unless it is not to be ``penalized``. With a ``kind`` of `tables` and a
    direction, what that kind computes takes the place of the gradient. What calls have in common is made here once: of
    28 µs for a small network, 10 are left in a call. Each comes back to Python as often as a fit does.
    """
    if isinstance(samples, Streamed):
        buffers = samples.buffers(min(samples.piece(), len(samples)))
        try:
            yield _by_shards(model, samples, threads, regularization, buffers)
        finally:
            buffers.clear()  # whoever keeps the function
        return
    architecture, n = model._architecture, len(samples)
    data, request = samples.data(), samples.request(n, kind=kind)
    work = architecture.work * n * (1 + architecture.directions(request.kind))
    threads_used = thread_team.size(threads, work, work, partial(model._strips, request))
    request.threads, request.direction, request.regularization = threads_used, direction, regularization
    with model._borrow(request) as (plan, block):
        task = layout.Task(n, n, block, int(samples.labels), 0, 0, 1, 0, 0)
        blocks = max(1, machine.CHUNK_WORK // (work // n * block))
        pieces = thread_team.Pieces(work // n * block, threads_used)
        # each call adds up all weights: it takes so many blocks that this stays the lesser part of its time
        least = 1 + 16 * n * n // (work * block) if samples.weights.size else 1
        penalize = None
        if regularization is not None and penalized:
            penalize = penalties.penalty(regularization, architecture, model._parameters, samples.total_weight)

        evaluate = _evaluator(model, threads_used, plan, pieces, blocks, least, data, task, penalize)
        yield Evaluation(model, samples, threads, evaluate, regularization, penalize)


@contextmanager
def evaluation_of_rows(model: Model, samples: Streamed, most: int, threads: int | None,
                       regularization: Regularization | None) -> Iterator[Callable[[Samples, Integers, Array], float]]:
    """Borrow a function that computes the mean cost (3) and the gradient of rows of some samples, ``most`` at once.

    It is called with parts of the samples that are in memory, with the numbers of rows in these, or none for all of
    them, and with a gradient to overwrite; penalties are left out. How the sums of rows are cut depends on ``most``
    alone. To borrow a workspace for each of 64 parts would take 28 µs each time.
    """
    work, request = model._architecture.work, samples.request(most)
    threads_used = thread_team.size(threads, work * most, work * most, partial(model._strips, request))
    request.threads, request.regularization = threads_used, regularization
    with model._borrow(request) as (plan, block):
        blocks = max(1, machine.CHUNK_WORK // (work * block))
        pieces = thread_team.Pieces(work * block, threads_used)
        least = 1 + 16 * most // (work * block) if samples.weighted else 1
        run = _evaluator(model, threads_used, plan, pieces, blocks, least)

        def evaluate(part: Samples, rows: Integers, gradient: Array) -> float:
            n = rows.size or len(part)
            return run(gradient, part.data(rows), layout.Task(n, n, block, int(part.labels), 0, 0, 1, 0, 0))

        yield evaluate


def sums(model: Model, samples: Streamed, threads: int | None, regularization: Regularization | None, backward: bool,
         buffers: list[Samples] | None = None) -> Sums:
    """Sum cost and, if ``backward``, gradient over all samples, in double, without penalties: the cost comes first."""
    gradient = np.empty(model.n_parameters if backward else 0, model.dtype)

    def compute(piece: Samples) -> npt.NDArray[np.float64]:
        with evaluation(model, piece, threads, regularization, penalized=False) as evaluate:
            cost = evaluate(gradient)
        return np.concatenate(([cost], gradient))

    return samples.sums(1 + gradient.size, compute, buffers)


def _by_shards(model: Model, samples: Streamed, threads: int | None, regularization: Regularization | None,
               buffers: list[Samples]) -> Evaluation:
    """Return the same for samples that are read by blocks: sums of shards, and of these in double."""

    def evaluate(gradient: Array) -> float:
        found = sums(model, samples, threads, regularization, gradient.size > 0, buffers)
        mean = found.mean
        cost = float(mean[0])
        if gradient.size:
            gradient[:] = mean[1:]
        if regularization is None:
            return cost
        penalize = penalties.penalty(regularization, model._architecture, model._parameters, found.weight)
        asked.penalize = penalize
        return cost + penalize(gradient)

    asked = Evaluation(model, samples, threads, evaluate, regularization)
    return asked


def cost_and_gradient(model: Model, samples: Samples | Streamed, gradient: Array, threads: int | None = None,
                      regularization: Regularization | None = None, kind: int | None = None,
                      direction: Array | None = None) -> float:
    """Compute the mean cost (3) of all samples, and its gradient (4)-(6) if ``gradient`` has room for it."""
    with evaluation(model, samples, threads, regularization, kind, direction) as evaluate:
        return evaluate(gradient)


def gradient_norm(model: Model, samples: Samples | Streamed, threads: int | None,
                  regularization: Regularization | None) -> float:
    """Compute ‖∂E/∂w‖ of the mean cost of all samples."""
    gradient = np.empty(model.n_parameters, model.dtype)
    cost_and_gradient(model, samples, gradient, threads, regularization)
    return norm(gradient)


def norm(gradient: Array) -> float:
    """Return the Euclidean norm, of numbers whose squares may vanish."""
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(gradient))

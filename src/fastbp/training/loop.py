"""The training loop as one would tell it: epochs in compiled chunks, stopping, history."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack

import numpy as np

from ..core.objective import cost_and_gradient
from ..core.samples import Samples
from ..kernels import tables
from ..kernels.compile.interrupts import Held
from ..optimizers import UpdateRule
from ..optimizers.base import BatchMethod
from ..optimizers.line_search import LineSearch
from ..regularization import Regularization
from .callbacks import Callback, CalledLast, EarlyStopping, ProgressBar, asks_to_stop
from .errors import DivergenceError
from .full_batch import FullBatch
from .history import Record
from .line_search import LineSearches
from .minibatch import MiniBatches
from .progress import Progress, Trainable
from .steps import Reorder, Steps


def fit(network: Trainable, samples: Samples, kept: Samples | None, progress: Progress, *, epochs: int, batch_size: int,
        callbacks: list[Callback], bar: bool, shuffle: bool | Reorder, threads: int | None,
        profile: bool, regularization: Regularization | None, hold: Held) -> None:
    """Train ``network`` in place; ``network.history`` and ``progress`` are kept up to date, also when interrupted.

    Ctrl-C is raised in open parts of ``hold``, which are those that take time; it waits while what belongs together is
    written, and where one has been raised, others wait until all is in order.
    """
    history, last = network.history, progress.epochs + epochs
    began = time.perf_counter()
    with hold.open(), ExitStack() as stack:
        listeners = list(callbacks)
        if bar:
            listeners.append(ProgressBar(epochs, len(samples)))
        for listener in listeners:
            if isinstance(listener, AbstractContextManager):
                stack.enter_context(listener)
        savers: list[Callback] = [listener for listener in listeners if isinstance(listener, CalledLast)]
        listeners = [listener for listener in listeners if not isinstance(listener, CalledLast)]
        stoppers = [listener for listener in listeners if isinstance(listener, EarlyStopping)]
        for stopper, best in zip(stoppers, progress.stopping, strict=False):
            stopper.resume(best, network)
        progress.stopping = [stopper.best for stopper in stoppers]
        if any(stopper.stops for stopper in stoppers):
            progress.stopping = []  # this fit had its end before it began; the next begins to wait anew
            return
        steps: Steps
        method = progress.optimizer
        each = bool(listeners or savers) or callable(shuffle) or kept is not None or method.has_schedule
        chunk = 1 if each else epochs
        if isinstance(method, UpdateRule):
            steps = MiniBatches(stack, network, samples, progress, batch=min(batch_size, len(samples)), epochs=chunk,
                                shuffle=shuffle, threads=threads, profile=profile, regularization=regularization)
        elif isinstance(method, LineSearch):
            steps = LineSearches(stack, network, samples, progress, epochs=chunk, threads=threads,
                                 regularization=regularization)
        else:
            steps = FullBatch(stack, network, samples, progress, threads=threads, regularization=regularization)
        learner, keeps = steps.learner, bool(listeners) and isinstance(method, BatchMethod)

        def count(cost: float, other: float | None) -> tuple[float, dict[str, float]]:
            seconds, diagnostics = time.perf_counter() - began, method.diagnostics(progress.hyper)
            history.append(progress.epochs + 1, cost, other, seconds, diagnostics)
            progress.epochs = history.last
            method.on_epoch_end(progress.hyper, progress.epochs, cost if other is None else other)
            return seconds, diagnostics

        hold.closed = True
        try:
            while progress.epochs < last:
                with hold.open():
                    steps.run(min(progress.epochs + len(learner.costs), last))
                for cost in steps.finished(progress):
                    other = None
                    if kept is not None:
                        with hold.open():
                            other = cost_and_gradient(network, kept, np.empty(0, network.dtype), threads)
                    rate = progress.learning_rate
                    seconds, diagnostics = count(cost, other)
                    record = Record(progress.epochs, cost, other, seconds, network,
                                    int(learner.progress[tables.PROGRESS_UPDATES]), rate, steps.gradient_norm,
                                    progress.set_learning_rate, float(learner.sums[tables.SUM_EPOCH_PENALTY]),
                                    diagnostics)
                    if keeps:
                        steps.keep()
                    with hold.open():
                        stops = any([asks_to_stop(listener(record)) for listener in listeners])
                    if steps.changed():
                        steps.restart()
                    for saver in savers:  # last: what others have seen, and a direction that begins anew, is saved
                        with hold.open():
                            stops |= asks_to_stop(saver(record))
                    if stops:
                        if any(stopper.stops for stopper in stoppers):
                            progress.stopping = []  # done: who goes on, begins to wait anew
                        return
                learner.progress[tables.PROGRESS_FIRST_EPOCH] = progress.epochs
                if learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_DIVERGED:
                    raise DivergenceError(progress.epochs + 1, progress.learning_rate)
                if steps.ended:
                    return
        finally:  # Ctrl-C may come anywhere: what is trained belongs to the record, also where its validation was not
            if learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_DIVERGED:
                steps.restore()
            steps.settle()
            progress.epochs = max(progress.epochs, history.last)
            for cost in steps.finished(progress):
                count(cost, None)
            hold.closed = False  # for what listeners do at the end

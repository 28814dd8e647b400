"""The training loop as one would tell it: epochs in compiled chunks, stopping, history."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import numpy as np

from ..core.objective import cost_and_gradient, evaluation
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels import tables
from . import by_blocks, full_batch, large_batches, line_search, minibatch  # noqa: F401  each registers its kind of steps
from .callbacks import Callback, CalledLast, EarlyStopping, Patient, ProgressBar, asks_to_stop
from .errors import DivergenceError
from .history import NONE, Record
from .progress import Trainable
from .steps import Fit, steps_of


def fit(about: Fit, validation: Samples | Streamed | None, callbacks: list[Callback], bar: bool,
        measure: Callable[[], Mapping[str, float]] | None) -> None:
    """Train a network in place; its history and the progress are kept up to date, also when interrupted.

    ``measure`` returns the metrics at the present parameters.

    Ctrl-C is raised in open parts of ``hold``, which are those that take time; it waits while what belongs together is
    written, and where one has been raised, others wait until all is in order.
    """
    network, samples, progress, last, hold = about.network, about.samples, about.progress, about.last, about.hold
    history, epochs = network.history, last - progress.epochs
    began = time.perf_counter()
    with hold.open(), ExitStack() as stack:
        if bar:
            callbacks = [*callbacks, ProgressBar(epochs, len(samples))]
        listeners: list[Callback] = []
        called_last: list[Callback] = []
        stoppers: list[EarlyStopping] = []
        for listener in callbacks:
            if isinstance(listener, AbstractContextManager):
                stack.enter_context(listener)
            if isinstance(listener, EarlyStopping):
                stoppers.append(listener)
            (called_last if isinstance(listener, CalledLast) else listeners).append(listener)
        before, progress.stopping = progress.stopping, []
        if stoppers:
            for stopper, seen in zip(stoppers, before, strict=False):
                stopper.resume(seen, network)
            if any(stopper.stops for stopper in stoppers):  # this fit had its end before it began
                return  # and the next begins to wait anew
            progress.stopping = [stopper.seen for stopper in stoppers]
        method = progress.optimizer
        between = validation is not None or method.has_schedule or measure is not None
        each = bool(callbacks) or callable(about.shuffle) or between
        patient = callbacks[0] if len(callbacks) == 1 and isinstance(callbacks[0], Patient) and not between else None
        about.chunk = min(epochs, patient.patience()) if patient is not None else 1 if each else epochs
        about.stack = stack
        kind_of_steps = steps_of
        if isinstance(samples, Streamed):
            kind_of_steps = large_batches.steps_of if samples.shared else by_blocks.steps_of
        steps = kind_of_steps(method, about)
        validate = _validate(network, validation, about.threads, stack)
        learner, keeps = steps.learner, steps.restarts and bool(listeners)

        def count(cost: float, validation_cost: float | None,
                  metrics: Mapping[str, float] = NONE) -> tuple[float, dict[str, float]]:
            seconds, diagnostics = time.perf_counter() - began, method.diagnostics(progress.hyper)
            history.append(progress.epochs + 1, cost, validation_cost, seconds, diagnostics, metrics)
            progress.epochs = history.last
            method.on_epoch_end(progress.hyper, progress.epochs, cost if validation_cost is None else validation_cost,
                                metrics, last)
            return seconds, diagnostics

        def epochs_ended() -> bool:
            """Record the epochs that have ended, and call the listeners; return whether one asks to stop."""
            costs = steps.finished(progress)
            if not each and costs:
                history.extend(progress.epochs + 1, costs, time.perf_counter() - began,
                               method.diagnostics(progress.hyper))
                progress.epochs, costs = history.last, []
            elif patient is not None and len(costs) > 1:
                history.extend(progress.epochs + 1, costs[:-1], time.perf_counter() - began,
                               method.diagnostics(progress.hyper))
                progress.epochs, costs, seen = history.last, costs[-1:], costs[:-1]
                patient.passed(seen)
            for cost in costs:
                validation_cost, metrics = None, NONE
                if validate is not None:
                    with hold.open():
                        validation_cost = validate()
                rate = progress.learning_rate
                try:
                    if measure is not None:
                        with hold.open():
                            metrics = measure()
                finally:  # an epoch whose metric has raised is recorded without
                    seconds, diagnostics = count(cost, validation_cost, metrics)
                record = Record(progress.epochs, cost, validation_cost, seconds, network,
                                int(learner.progress[tables.PROGRESS_UPDATES]), rate, steps.gradient_norm,
                                progress.set_learning_rate, float(learner.sums[tables.SUM_EPOCH_PENALTY]), diagnostics,
                                metrics)
                if keeps:
                    steps.keep()
                with hold.open():
                    stops = any([asks_to_stop(listener(record)) for listener in listeners])
                if keeps and steps.changed():
                    steps.restart()
                for listener in called_last:  # what others have seen, and a direction that begins anew, is saved
                    with hold.open():
                        stops |= asks_to_stop(listener(record))
                if stops:
                    if any(stopper.stops for stopper in stoppers):
                        progress.stopping = []  # done: who goes on, begins to wait anew
                    return True
            learner.progress[tables.PROGRESS_FIRST_EPOCH] = progress.epochs
            return False

        hold.closed = True
        try:
            while progress.epochs < last:
                end = last if patient is None else min(last, progress.epochs + patient.patience())
                with hold.open():
                    steps.run(end, epochs_ended)
                if epochs_ended():
                    return
                if learner.progress.item(tables.PROGRESS_STATUS) == tables.STATUS_DIVERGED:
                    raise DivergenceError(progress.epochs + 1, progress.learning_rate)
                if steps.ended:
                    return
        finally:  # Ctrl-C may come anywhere: what is trained belongs to the record, also where its validation was not
            if learner.progress.item(tables.PROGRESS_STATUS) == tables.STATUS_DIVERGED:
                steps.restore()
            steps.settle()
            progress.epochs = max(progress.epochs, history.last)
            for cost in steps.finished(progress):
                count(cost, None)
            hold.closed = False  # for what listeners do at the end


def _validate(network: Trainable, validation: Samples | Streamed | None, threads: int | None,
              stack: ExitStack) -> Callable[[], float] | None:
    """Return what computes the cost of the validation set: made once, but of rows that are read, whose buffers are."""
    if validation is None:
        return None
    nothing = np.empty(0, network.dtype)
    if isinstance(validation, Streamed):
        return partial(cost_and_gradient, network, validation, nothing, threads)
    return partial(stack.enter_context(evaluation(network, validation, threads)), nothing)

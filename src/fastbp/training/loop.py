"""The training loop as one would tell it: epochs in compiled chunks, stopping, history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import objective, penalties, thread_team
from ..core.link import Request
from ..core.objective import cost_and_gradient, evaluation, gradient_norm, norm
from ..core.samples import Samples, readonly
from ..kernels import layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.compile.interrupts import Held
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes import line_search, online
from ..kernels.passes.predict import all_finite
from ..kernels.tables import ROW_BEFORE, ROW_GRADIENT, ROW_START
from ..kernels.updates import penalties as regular
from ..kernels.updates import rules
from ..optimizers import UpdateRule
from ..optimizers.base import BatchMethod
from ..optimizers.line_search import LineSearch
from ..regularization import Regularization
from ..util import machine
from . import profile as profiling
from .callbacks import Checkpoint, EarlyStopping, ProgressBar, asks_to_stop
from .history import Record
from .progress import Progress, Trainable

Array = npt.NDArray[Any]
Callback = Callable[[Record], object]
Reorder = Callable[[npt.NDArray[np.int64]], object]
"""Overwrites the order of the samples before an epoch."""

CHUNK_EPOCHS = 1024
"""Epochs in one call at most, where nothing has to be done between them."""


class DivergenceError(ArithmeticError):
    """The cost or a parameter became infinite or NaN; the parameters of the last finite epoch are restored.

    Attributes
    ----------
    epoch : int
        The epoch in which it happened, from 1.
    learning_rate : float
        The learning rate in use; NaN with a full-batch method that has none.
    """

    def __init__(self, epoch: int, learning_rate: float) -> None:
        rate = "" if math.isnan(learning_rate) else f" with learning rate {learning_rate:g}"
        remedy = "scale inputs and targets" if math.isnan(learning_rate) else \
            "use a smaller learning rate, or scale inputs and targets"
        super().__init__(f"training diverged in epoch {epoch}{rate}: the parameters of the last finite epoch are "
                         f"restored; {remedy}")
        self.epoch = epoch
        self.learning_rate = learning_rate

    def __reduce__(self) -> tuple[Any, ...]:
        return DivergenceError, (self.epoch, self.learning_rate)


class Steps:
    """What a fit does again and again, an epoch or many in a call of ``run``.

    Attributes
    ----------
    learner : layout.Learner
        Its record is what the fit reads: ``progress``, ``sums``, and the ``costs`` of the epochs of the last call.
    ended : bool
        Whether there is nothing left to gain.
    left : ndarray or None
        The parameters as the last step left them, where callbacks may change them.
    """

    network: Trainable
    learner: layout.Learner
    ended = False
    left: Array | None = None

    def run(self, end: int) -> None:
        """Take some steps, up to this epoch at most; where it is interrupted, all is as after the last step."""
        raise NotImplementedError

    def restore(self) -> None:
        """Go back to the parameters of the last epoch that ended well."""
        raise NotImplementedError

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖ of all samples where the last epoch ended."""
        raise NotImplementedError

    def finished(self, progress: Progress) -> list[float]:
        """Return the costs of the epochs that are done and that ``progress`` does not count yet."""
        first, done = self.learner.progress[[tables.PROGRESS_FIRST_EPOCH, tables.PROGRESS_EPOCH]]
        return [float(cost) for cost in self.learner.costs[progress.epochs - first : done - first]]

    def settle(self) -> None:
        """Undo what is not a whole step: called wherever a fit ends, since Ctrl-C may come anywhere."""

    def keep(self) -> None:
        """Take note of the parameters, which callbacks are about to see."""
        self.left = self.network._parameters.copy()

    def changed(self) -> bool:
        """Whether the parameters are no longer those that the last step left."""
        return self.left is not None and not np.array_equal(self.left, self.network._parameters)

    def restart(self) -> None:
        """Begin anew at parameters that the last step has not left."""
        raise NotImplementedError


class CompiledSteps(Steps):
    """Steps that `epoch.run` takes, in calls that last CHUNK_SECONDS: by a team, or by one thread alone.

    ``epochs`` says how many a call may have.
    """

    def __init__(self, stack: ExitStack, network: Trainable, samples: Samples, request: Request, epochs: int,
                 threads: int | None, order: npt.NDArray[np.int64] = NOT_SHUFFLED) -> None:
        architecture = network._architecture
        n, work = len(samples), architecture.work * (1 + architecture.directions(samples.kind))
        self.network, self.samples = network, samples
        self.members = thread_team.size(threads, work * request.samples, work * n * epochs, network._strips(request))
        self.plan, block = stack.enter_context(network._borrow(request._replace(threads=self.members)))
        self.task = layout.Task(n, request.samples, block, int(samples.labels), 0, 0, 2**62, 0, 0)
        self.data = samples.data(order)
        self.blocks, self.tuner, self.online = max(1, int(1e8 / (work * block))), thread_team.Tuner(self.members), False

    def call(self) -> None:
        """Call the kernel once."""
        running = self.members if self.learner.clock.size else self.tuner.choose(self.blocks)
        blocks = max(1, self.blocks // 8) if self.tuner.trying else self.blocks
        given = self.plan, self.network._parameters, self.data, self.task._replace(blocks=blocks), self.learner
        start = time.perf_counter()
        if self.online:
            online.run(*given)
        else:
            thread_team.run(running, partial(objective.run_pass, running, *given))
        seconds = max(time.perf_counter() - start, 1e-9)
        done = max(1, int(self.learner.progress[tables.PROGRESS_BLOCKS]))
        self.blocks = max(1, int(done * machine.CHUNK_SECONDS / seconds))
        self.tuner.took(running, done, seconds)


class MiniBatches(CompiledSteps):
    """An update rule after each mini-batch."""

    def __init__(self, stack: ExitStack, network: Trainable, samples: Samples, progress: Progress, *, batch: int,
                 epochs: int, shuffle: bool | Reorder, threads: int | None, profile: bool,
                 regularization: Regularization | None) -> None:
        assert isinstance(progress.optimizer, UpdateRule)
        rule, n, first = progress.optimizer.rule, len(samples), progress.epochs
        self.reorder = shuffle if callable(shuffle) else None
        shuffle = shuffle if callable(shuffle) else shuffle and batch < n  # a batch of all samples has no order
        request = samples.request(batch)._replace(regularization=regularization, noise_key=progress.key)
        super().__init__(stack, network, samples, request, epochs, threads, np.arange(n) if shuffle else NOT_SHUFFLED)
        self.threads, self.regularization = threads, regularization
        update = address(rule, network.dtype, prototypes.update_rule)
        numbers, state, place = progress.hyper, progress.state, np.zeros(tables.PROGRESS_COUNT, np.int64)
        if regularization is not None:  # a rule of ours takes its place, and calls it
            numbers, state = _regularized(network, regularization, progress, update)
            clipped = regularization.clip_norm is not None
            update = address(regular.update_clipped if clipped else regular.update, network.dtype,
                             prototypes.update_rule)
            # `noise` reads the epoch
            place = self.plan.cells[tables.CELL_PROGRESS : tables.CELL_PROGRESS + tables.PROGRESS_COUNT]
        self.learner = layout.Learner(
            gradient=np.zeros(network.n_parameters, network.dtype),
            state=state,
            hyper=numbers,
            update=update,
            best=network._parameters.copy(),
            progress=place,
            sums=np.zeros(tables.SUM_COUNT),
            costs=np.zeros(min(epochs, CHUNK_EPOCHS)),
            clock=profiling.clock(network, self.members) if profile else layout.NO_CLOCK,
        )
        place[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = first
        if profile:
            stack.callback(lambda: setattr(network.history, "profile", profiling.read(
                network, self.learner.clock, self.members, int((place[tables.PROGRESS_EPOCH] - first) * n
                                                               + place[tables.PROGRESS_POSITION]))))
        self.task = self.task._replace(shuffle=int(shuffle is True), key=progress.key,
                                       plain=int(rule is rules.sgd and regularization is None))
        self.online = (batch == 1 and samples.kind == tables.KIND_PLAIN and not samples.sparse
                       and (regularization is None or regularization.online))

    def run(self, end: int) -> None:
        """Take some."""
        if self.reorder and self.learner.progress[tables.PROGRESS_POSITION] == 0:
            _reorder(self.reorder, self.data.order[: len(self.samples)])
        self.task = self.task._replace(epochs=end)
        self.call()

    def restore(self) -> None:
        """Go back to the last epoch that left all finite."""
        self.network._parameters[:] = self.learner.best

    def gradient_norm(self) -> float:
        """Compute ‖∂E/∂w‖."""
        return gradient_norm(self.network, self.samples, self.threads, self.regularization)


class LineSearches(CompiledSteps):
    """Steps along a line, whose passes `line_search.next_point` directs."""

    def __init__(self, stack: ExitStack, network: Trainable, samples: Samples, progress: Progress, *, epochs: int,
                 threads: int | None, regularization: Regularization | None) -> None:
        request = samples.request(len(samples))._replace(regularization=regularization,
                                                         end_epoch=line_search.next_point)
        super().__init__(stack, network, samples, request, epochs, threads)
        assert isinstance(progress.optimizer, LineSearch)
        self.threads, self.regularization = threads, regularization
        numbers, state, penalize = progress.hyper, progress.state, 0
        if regularization is not None:
            numbers, state = _regularized(network, regularization, progress, 0)
            penalize = address(regular.update, network.dtype, prototypes.update_rule)
        self.rows = progress.state.reshape(-1, network.n_parameters)
        self.learner = layout.Learner(self.rows[ROW_GRADIENT], np.empty(0, network.dtype), numbers, 0, state,
                                      np.zeros(tables.PROGRESS_COUNT, np.int64),
                                      progress.optimizer.search(network.dtype, penalize),
                                      np.zeros(min(epochs, CHUNK_EPOCHS)))
        self.learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = progress.epochs
        self.blocks = max(1, min(self.blocks, int(2e6 / network.n_parameters)))  # some fifty vectors are read in a step

    def run(self, end: int) -> None:
        """Take some, or go on with one that takes longer than a call."""
        learner, search = self.learner, self.learner.sums
        learner.progress[tables.PROGRESS_STATUS] = tables.STATUS_RUNNING
        search[tables.SEARCH_LEFT] = end - learner.progress[tables.PROGRESS_EPOCH]
        if search[tables.SEARCH_DOING] == tables.DOING_RESTING:
            line_search.set_out(self.plan.cells[tables.CELL_END_EPOCH], self.network._parameters, learner.best,
                                learner.hyper, learner.progress, search, learner.costs)
        if learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_RUNNING:
            self.call()
        self.ended = bool(learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_DONE)

    def settle(self) -> None:
        """Go back to where the line begins."""
        if self.learner.sums[tables.SEARCH_DOING] in (tables.DOING_SEARCHING, tables.DOING_RETURNING):
            self.network._parameters[:], self.rows[ROW_GRADIENT] = self.rows[ROW_START], self.rows[ROW_BEFORE]

    def restore(self) -> None:
        """Go back to where the line begins, or to where the last ended if a callback has put it where nothing is."""
        self.settle()
        self.learner.sums[tables.SEARCH_DOING] = tables.DOING_RESTING
        if self.left is not None and not all_finite(readonly(self.network._parameters)):
            self.network._parameters[:] = self.left

    def restart(self) -> None:
        """Let the next pass be the one with which a fit begins, and go along the gradient then."""
        self.learner.hyper[tables.HYPER_STEPS], self.learner.sums[tables.SEARCH_DOING] = 0, tables.DOING_FRESH
        self.ended = False

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖, computed anew where a callback has changed the parameters."""
        if self.changed():
            return gradient_norm(self.network, self.samples, self.threads, self.regularization)
        return norm(self.rows[ROW_GRADIENT])


class FullBatch(Steps):
    """Steps of a method that is written in Python: one a call."""

    def __init__(self, stack: ExitStack, network: Trainable, samples: Samples, progress: Progress, *,
                 threads: int | None, regularization: Regularization | None) -> None:
        self.network, self.numbers = network, progress.hyper
        self.evaluate = stack.enter_context(evaluation(network, samples, threads, regularization))
        assert isinstance(progress.optimizer, BatchMethod)
        self.method, self.nothing = progress.optimizer, np.empty(0, network.dtype)
        self.rows = progress.state.reshape(-1, network.n_parameters)
        self.learner = layout.Learner(self.rows[ROW_GRADIENT], progress.state, self.numbers, 0,
                                      network._parameters.copy(), np.zeros(tables.PROGRESS_COUNT, np.int64),
                                      np.zeros(tables.SUM_COUNT), np.zeros(1))
        self.learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = progress.epochs
        with np.errstate(all="ignore"):  # where numbers leave the finite a method stops or diverges
            self.method.begin(self.evaluate, self.rows, self.numbers)

    def run(self, end: int) -> None:
        """Do one, whose cost is the one after it."""
        learner, parameters = self.learner, self.network._parameters
        epoch = int(learner.progress[tables.PROGRESS_EPOCH])
        start, rows, numbers = parameters.copy(), self.rows.copy(), self.numbers.copy()
        try:
            with np.errstate(all="ignore"):
                self.ended = not self.method.step(self.evaluate, parameters, self.rows, self.numbers)
            learner.costs[0] = cost = self.method.cost(self.numbers)
            if self.evaluate.penalize is not None:
                learner.sums[tables.SUM_EPOCH_PENALTY] = self.evaluate.penalize(self.nothing)
            if math.isfinite(cost) and all_finite(readonly(parameters)):
                learner.best[:] = parameters
                learner.progress[tables.PROGRESS_UPDATES] += 1
                learner.progress[tables.PROGRESS_EPOCH] = epoch + 1
            else:
                learner.progress[tables.PROGRESS_STATUS] = tables.STATUS_DIVERGED
        except BaseException:
            if learner.progress[tables.PROGRESS_EPOCH] == epoch:
                parameters[:], self.rows[:], self.numbers[:] = start, rows, numbers
            raise

    def restore(self) -> None:
        """Go back to the last step that left all finite."""
        self.network._parameters[:] = self.learner.best

    def restart(self) -> None:
        """Compute cost and gradient, and forget the way to other parameters."""
        with np.errstate(all="ignore"):
            self.method.restart(self.evaluate, self.rows, self.numbers)
        self.ended = False

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖, computed anew where a callback has changed the parameters."""
        gradient = self.rows[ROW_GRADIENT]
        if self.changed():
            self.evaluate(gradient := np.empty_like(gradient))
        return norm(gradient)


def _regularized(network: Trainable, regularization: Regularization, progress: Progress,
                 rule: int) -> tuple[npt.NDArray[np.float64], Array]:
    """Return numbers and state with what `regular` needs behind them; what is kept of the fit becomes part of them."""
    total = address(regular.total, network.dtype, prototypes.total_penalty)
    numbers = penalties.numbers(regularization, network._architecture, progress.hyper, rule=rule, total=total,
                                fixed=progress.state.size)
    state = np.concatenate((progress.state, penalties.fixed(regularization, network._parameters)))
    progress.hyper, progress.state = numbers[: tables.HYPER_COUNT], state[: progress.state.size]
    return numbers, state


def _reorder(reorder: Reorder, order: npt.NDArray[np.int64]) -> None:
    """Let the user's function overwrite a copy of the order, since it may keep it, and see that it names samples."""
    given = order.copy()
    reorder(given)
    if given.shape != order.shape:
        raise ValueError(f"shuffle left sample indices of shape {given.shape}, expected {order.shape}: overwrite them "
                         "in place")
    order[:] = given  # by which kernels index, so this is what is looked at
    if order.min() < 0 or order.max() >= order.size:
        raise ValueError(f"shuffle wrote sample indices from {order.min()} to {order.max()}, expected 0 to "
                         f"{order.size - 1}")


def learning_rate(progress: Progress) -> float:
    """Return the learning rate in use, NaN with a method that has none."""
    return float(progress.hyper[tables.HYPER_RATE]) if hasattr(progress.optimizer, "learning_rate") else math.nan


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
        savers: list[Callback] = [listener for listener in listeners if isinstance(listener, Checkpoint)]
        listeners = [listener for listener in listeners if not isinstance(listener, Checkpoint)]
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
                    rate = learning_rate(progress)
                    seconds, diagnostics = count(cost, other)
                    record = Record(progress.epochs, cost, other, seconds, network,
                                    int(learner.progress[tables.PROGRESS_UPDATES]), rate, steps.gradient_norm,
                                    float(learner.sums[tables.SUM_EPOCH_PENALTY]), diagnostics)
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
                    raise DivergenceError(progress.epochs + 1, learning_rate(progress))
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

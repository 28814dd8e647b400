"""The training loop as one would tell it: epochs in compiled chunks, stopping, history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import profiling, team, validation
from .batch_methods import GRADIENT, BatchMethod, Evaluate
from .callbacks import Best, Checkpoint, EarlyStopping, ProgressBar, asks_to_stop
from .history import Record
from .kernels import codes, epoch, layout, online, regular, updates
from .kernels.layout import NOT_SHUFFLED
from .kernels.predict import all_finite
from .method import Optimizer
from .optimizers import UpdateRule
from .regularization import Regularization

if TYPE_CHECKING:
    from .network import Network

Array = npt.NDArray[Any]
Callback = Callable[[Record], object]
Reorder = Callable[[npt.NDArray[np.int64]], object]
"""Overwrites the order of the samples before an epoch."""

CHUNK_SECONDS = 0.04
"""How long a call of the kernel may take, since Ctrl-C is answered only between calls."""

CHUNK_EPOCHS = 1024
"""Epochs in one call at most, where nothing has to be done between them."""


class DivergenceError(ArithmeticError):
    """The cost or a parameter became infinite or NaN; the parameters of the last finite epoch are restored.

    Attributes
    ----------
    epoch : int
        The epoch in which it happened, from 1.
    learning_rate : float
        The learning rate in use.
    """

    def __init__(self, epoch: int, learning_rate: float) -> None:
        super().__init__(f"training diverged in epoch {epoch} with learning rate {learning_rate:g}: the parameters of "
                         "the last finite epoch are restored; use a smaller learning rate, or scale inputs and "
                         "targets")
        self.epoch = epoch
        self.learning_rate = learning_rate

    def __reduce__(self) -> tuple[Any, ...]:
        return DivergenceError, (self.epoch, self.learning_rate)


@dataclass
class Samples:
    """A user's samples after validation."""

    inputs: Array | validation.SparseRows
    targets: Array
    labels: bool
    weights: Array
    slopes: Array | None = None
    """Targets of ∂o/∂x, (n, n_L, n_0)."""
    slope_weight: float = 0.0

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def total_weight(self) -> float:
        """The sum of their weights; of samples without, their number."""
        return float(self.weights.sum(dtype=np.float64)) if self.weights.size else float(len(self))

    @property
    def counted(self) -> int:
        """The number of samples that weigh anything."""
        return int(np.count_nonzero(self.weights)) if self.weights.size else len(self)

    def part(self, rows: slice) -> Samples:
        """Give some rows, as views."""
        slopes = None if self.slopes is None else self.slopes[rows]
        return Samples(self.inputs[rows], self.targets[rows], self.labels, self.weights[rows], slopes,
                       self.slope_weight)

    @property
    def kind(self) -> int:
        """What a pass over them computes, one of the kinds in `codes`."""
        return codes.PLAIN if self.slopes is None else codes.SOBOLEV

    def lend(self, plan: layout.Plan) -> None:
        """Tell a workspace where the targets of ∂o/∂x lie."""
        if self.slopes is not None:
            plan.cells[codes.SLOPES_GIVEN] = self.slopes.ctypes.data
            plan.cost_parameter[codes.SLOPE_WEIGHT] = self.slope_weight

    def data(self, order: npt.NDArray[np.int64]) -> layout.Data:
        """Give what the kernels read."""
        inputs, order = validation.flattened(self.inputs, order)
        return layout.Data(inputs, validation.readonly(self.targets), validation.readonly(self.weights), order)

    @property
    def sparse(self) -> bool:
        """Whether the inputs are the rows of a sparse matrix."""
        return isinstance(self.inputs, validation.SparseRows)


@dataclass
class Progress:
    """What ``fit(resume=True)`` takes up again: the optimizer with its state, and the place in the random stream."""

    optimizer: Optimizer
    state: Array
    hyper: npt.NDArray[np.float64]
    key: int
    epochs: int = 0
    stopping: list[Best] = field(default_factory=list)
    """What the `EarlyStopping` of the last fit had seen."""


def new_progress(network: Network, optimizer: Optimizer) -> Progress:
    """Begin at epoch 0 with a fresh key."""
    state = np.zeros(optimizer.slots * network.n_parameters, network.dtype)
    return Progress(optimizer, state, optimizer.hyper(), int(network.generator.integers(2**63 - 1)))


@dataclass
class Evaluation:
    """What a full-batch method asks: cost and gradient at the present parameters, and of which network and samples."""

    network: Network
    samples: Samples
    threads: int | None
    compute: Callable[[Array], float]
    regularization: Regularization | None = None

    def __call__(self, gradient: Array) -> float:
        """Overwrite a gradient and give the cost."""
        return self.compute(gradient)


@contextmanager
def evaluation(network: Network, samples: Samples, threads: int | None = None,
               regularization: Regularization | None = None, kind: int | None = None,
               direction: Array | None = None) -> Iterator[Evaluation]:
    """Lend a function that gives the mean cost (3) of all samples, at the parameters that the network has then.

    It overwrites the gradient (4)-(6) that it is called with, unless that is empty. With a regularisation, the penalty
    of the weights belongs to the cost. With a ``kind`` of `codes` and a direction, what that kind computes takes the
    place of the gradient. What calls have in common is made here once: of 28 µs for a small network, 10 are left in a
    call.
    """
    n, none = len(samples), np.empty(0, network.dtype)
    kind = samples.kind if kind is None else kind
    learner = layout.Learner(none, none, np.zeros(codes.HYPER_CELLS), 0, none,
                             np.zeros(codes.PROGRESS_CELLS, np.int64), np.zeros(codes.SUM_CELLS), np.zeros(1))
    data = samples.data(NOT_SHUFFLED)
    work = network.work * n * (1 + network.tangents(kind))
    members = team.size(threads, work, work, network.strips(n, kind))
    with network.plan(n, backward=True, threads=members, kind=kind, sparse=samples.sparse) as (plan, block):
        samples.lend(plan)
        if direction is not None:
            plan.cells[codes.DIRECTION] = direction.ctypes.data
        task = layout.Task(n, n, block, int(samples.labels), 0, 0, 1, 0, 2**62)
        if regularization is not None:
            plan = regularization.plan(plan, network.dtype, network.cost_function)

        def evaluate(gradient: Array) -> float:
            learner.progress[:] = 0
            team.run(members, partial(_run, members, plan, network.parameters, data, task,
                                      learner._replace(gradient=gradient)))
            cost = float(learner.costs[0])
            if regularization is not None:
                cost += penalty(network, samples, gradient, regularization)
            return cost

        yield Evaluation(network, samples, threads, evaluate, regularization)


def cost_and_gradient(network: Network, samples: Samples, gradient: Array, threads: int | None = None,
                      regularization: Regularization | None = None, kind: int | None = None,
                      direction: Array | None = None) -> float:
    """Compute the mean cost (3) of all samples, and its gradient (4)-(6) if ``gradient`` has room for it."""
    with evaluation(network, samples, threads, regularization, kind, direction) as evaluate:
        return evaluate(gradient)


def gradient_norm(network: Network, samples: Samples, threads: int | None,
                  regularization: Regularization | None) -> float:
    """Compute ‖∂E/∂w‖ of the mean cost of all samples."""
    gradient = np.empty(network.n_parameters, network.dtype)
    cost_and_gradient(network, samples, gradient, threads, regularization)
    return float(np.linalg.norm(gradient))


def penalty(network: Network, samples: Samples, gradient: Array, regularization: Regularization) -> float:
    """Compute the penalty of a batch of all samples, and add its gradient to ``gradient`` if that has room for it."""
    return regularization.penalty(network.layers, network.bias, network.parameters, gradient, samples.total_weight)


def _run(threads: int, plan: layout.Plan, parameters: Array, data: layout.Data, task: layout.Task,
         learner: layout.Learner, thread: int, barrier: npt.NDArray[np.int64]) -> None:
    """Call the kernel as one thread of a team."""
    epoch.run(thread, threads, plan, parameters, data, task, learner, barrier)


def finished(learner: layout.Learner, progress: Progress) -> Iterator[float]:
    """Give the costs of the epochs that the last call of the kernel finished, counting them in ``progress``."""
    for cost in learner.costs[: learner.progress[codes.EPOCH] - progress.epochs]:
        progress.epochs += 1
        yield float(cost)


class FullBatch:
    """Steps of a method that sees all samples: what `epoch.run` is for mini-batches, an epoch a call."""

    def __init__(self, network: Network, evaluate: Evaluate, penalise: Callable[[], float] | None, progress: Progress,
                 learner: layout.Learner) -> None:
        self.network, self.learner, self.evaluate, self.numbers = network, learner, evaluate, progress.hyper
        self.penalise = penalise
        assert isinstance(progress.optimizer, BatchMethod)
        self.method = progress.optimizer
        self.rows = progress.state.reshape(-1, network.n_parameters)
        self.method.begin(evaluate, self.rows, self.numbers)
        self.ended = False

    def gradient_norm(self) -> float:
        """Give ‖∂E/∂w‖ where the last step ended."""
        return float(np.linalg.norm(self.rows[GRADIENT]))

    def step(self) -> None:
        """Do one, whose cost is the one after it; where it is interrupted, all is as before it, for who resumes."""
        learner, parameters = self.learner, self.network.parameters
        places = self.method.overwritten(self.numbers)
        rows, numbers = self.rows[places], self.numbers.copy()
        try:
            self.ended = not self.method.step(self.evaluate, parameters, self.rows, self.numbers)
            learner.costs[0] = cost = self.method.cost(self.numbers)
            if self.penalise is not None:
                learner.sums[codes.EPOCH_PENALTY] = self.penalise()
        except BaseException:
            parameters[:], self.rows[places], self.numbers[:] = learner.best, rows, numbers
            raise
        if math.isfinite(cost) and all_finite(validation.readonly(parameters)):
            learner.best[:] = parameters
            learner.progress[codes.EPOCH] += 1
            learner.progress[codes.UPDATES] += 1
        else:
            learner.progress[codes.STATUS] = codes.DIVERGED


def _reorder(reorder: Reorder, order: npt.NDArray[np.int64]) -> None:
    """Let the user's function overwrite the order, and see that it names samples."""
    reorder(order)
    if order.min() < 0 or order.max() >= order.size:
        raise ValueError(f"shuffle wrote sample indices from {order.min()} to {order.max()}, expected 0 to "
                         f"{order.size - 1}")


def fit(network: Network, samples: Samples, kept: Samples | None, progress: Progress, *, epochs: int, batch_size: int,
        callbacks: list[Callback], bar: bool, shuffle: bool | Reorder, threads: int | None,
        profile: bool, regularization: Regularization | None) -> None:
    """Train ``network`` in place; ``network.history`` and ``progress`` are kept up to date, also when interrupted."""
    n, batch = len(samples), min(batch_size, len(samples))
    shuffle = shuffle if callable(shuffle) else shuffle and batch < n  # a batch of all samples has no order
    history, first, last = network.history, progress.epochs, progress.epochs + epochs
    began = time.perf_counter()
    with ExitStack() as stack:
        listeners = list(callbacks)
        if bar:
            listeners.append(ProgressBar(epochs, n))
        for listener in listeners:
            if isinstance(listener, AbstractContextManager):
                stack.enter_context(listener)
        listeners.sort(key=lambda listener: isinstance(listener, Checkpoint))  # last: it saves what others have seen
        stoppers = [listener for listener in listeners if isinstance(listener, EarlyStopping)]
        for stopper, best in zip(stoppers, progress.stopping, strict=False):
            stopper.resume(best, network)
        progress.stopping = [stopper.best for stopper in stoppers]
        if any(stopper.stops for stopper in stoppers):
            progress.stopping = []  # this fit had its end before it began; the next begins to wait anew
            return
        rule = progress.optimizer.rule if isinstance(progress.optimizer, UpdateRule) else None
        reorder = shuffle if callable(shuffle) else None
        each = bool(listeners or reorder) or kept is not None or rule is None or progress.optimizer.scheduled
        work = network.work * (1 + network.tangents(samples.kind))
        members = team.size(threads, work * batch, work * n * (1 if each else epochs),
                            network.strips(batch, samples.kind))
        plan, block = stack.enter_context(network.plan(batch, backward=True, threads=members, kind=samples.kind,
                                                       sparse=samples.sparse))
        samples.lend(plan)
        update = 0 if rule is None else network.address(rule, codes.RULE_ARGUMENTS)
        numbers, state, place = progress.hyper, progress.state, np.zeros(codes.PROGRESS_CELLS, np.int64)
        if regularization is not None and rule is not None:  # a rule of ours takes its place, and calls it
            total = network.address(regular.total, codes.TOTAL_ARGUMENTS)
            numbers = regularization.numbers(network.layers, network.bias, progress.hyper, update, total, state.size)
            state = np.concatenate((state, regularization.fixed(network.parameters)))
            progress.hyper, progress.state = numbers[: codes.HYPER_CELLS], state[: progress.state.size]
            clipped = regularization.clip_norm is not None
            update = network.address(regular.update_clipped if clipped else regular.update, codes.RULE_ARGUMENTS)
            plan = regularization.plan(plan, network.dtype, network.cost_function, threads=members, key=progress.key)
            place = plan.cells[codes.PROGRESS : codes.PROGRESS + codes.PROGRESS_CELLS]  # where `noise` reads the epoch
        learner = layout.Learner(
            gradient=np.zeros(network.n_parameters, network.dtype),
            state=state,
            hyper=numbers,
            update=update,
            best=network.parameters.copy(),
            progress=place,
            sums=np.zeros(codes.SUM_CELLS),
            costs=np.zeros(1 if each else min(epochs, CHUNK_EPOCHS)),
            clock=profiling.clock(network, members) if profile else layout.NO_CLOCK,
        )
        learner.progress[[codes.EPOCH, codes.FIRST_EPOCH]] = first
        if profile:
            stack.callback(lambda: setattr(history, "profile", profiling.read(
                network, learner.clock, members, int((learner.progress[codes.EPOCH] - first) * n
                                                     + learner.progress[codes.POSITION]))))
        data = samples.data(np.arange(n) if shuffle else NOT_SHUFFLED)
        blocks = max(1, int(1e8 / (work * block)))
        plain = int(rule is updates.sgd and regularization is None)
        full = None
        if rule is None:
            evaluate = stack.enter_context(evaluation(network, samples, threads, regularization))
            nothing = np.empty(0, network.dtype)
            penalise = None if regularization is None else partial(penalty, network, samples, nothing, regularization)
            full = FullBatch(network, evaluate, penalise, progress, learner)
        norm = full.gradient_norm if full else partial(gradient_norm, network, samples, threads, regularization)
        parameters, pace = network.parameters, team.Pace(members)
        while progress.epochs < last:
            end = min(progress.epochs + len(learner.costs), last)
            running = members if profile else pace.choose(blocks)
            task = layout.Task(n, batch, block, int(samples.labels), int(shuffle is True), progress.key, end, plain,
                               max(1, blocks // 8) if pace.trying else blocks)
            if reorder and learner.progress[codes.POSITION] == 0:
                _reorder(reorder, data.order[:n])
            start = time.perf_counter()
            try:
                if full:
                    full.step()
                elif (batch == 1 and samples.kind == codes.PLAIN and not samples.sparse
                      and (regularization is None or regularization.online)):
                    online.run(plan, parameters, data, task, learner)
                else:
                    team.run(running, partial(_run, running, plan, parameters, data, task, learner))
            except BaseException:  # Ctrl-C comes when the kernel returns: its epochs are done, and belong to the record
                for cost in finished(learner, progress):
                    history.append(progress.epochs, cost, None, time.perf_counter() - began,
                                   progress.optimizer.figures(progress.hyper))
                    progress.optimizer.follow(progress.hyper, progress.epochs, cost)
                raise
            seconds = max(time.perf_counter() - start, 1e-9)
            done = max(1, int(learner.progress[codes.BLOCKS]))
            blocks = max(1, int(done * CHUNK_SECONDS / seconds))
            pace.took(running, done, seconds)
            for cost in finished(learner, progress):
                other = None
                try:
                    if kept is not None:
                        other = cost_and_gradient(network, kept, np.empty(0, network.dtype), threads)
                finally:  # where Ctrl-C ends the validation, the epoch is done all the same
                    record = Record(progress.epochs, cost, other, time.perf_counter() - began, network,
                                    int(learner.progress[codes.UPDATES]), float(progress.hyper[codes.RATE]), norm,
                                    float(learner.sums[codes.EPOCH_PENALTY]))
                    history.append(*record[:4], progress.optimizer.figures(progress.hyper))
                    progress.optimizer.follow(progress.hyper, progress.epochs, cost if other is None else other)
                if any([asks_to_stop(listener(record)) for listener in listeners]) or (full and full.ended):
                    if any(stopper.stops for stopper in stoppers):
                        progress.stopping = []  # done: who goes on, begins to wait anew
                    return
            learner.progress[codes.FIRST_EPOCH] = progress.epochs
            if learner.progress[codes.STATUS] == codes.DIVERGED:
                parameters[:] = learner.best
                raise DivergenceError(progress.epochs + 1, float(progress.hyper[codes.RATE]))

"""What a fit does again and again: kinds of steps, each for a kind of optimizer."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..core import objective, penalties, thread_team
from ..core.penalties import Stretch
from ..core.request import Request
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..core.workspaces import Borrowed
from ..kernels import layout, prototypes, tables
from ..kernels.compile import Typed, address
from ..kernels.compile.interrupts import Held
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes import online
from ..kernels.updates import groups
from ..kernels.updates import penalties as regular
from ..optimizers.base import Optimizer
from ..regularization import Regularization
from ..util import machine
from .progress import Progress, Trainable

Array = npt.NDArray[Any]
Reorder = Callable[[npt.NDArray[np.int64]], object]
"""Overwrites the order of the samples before an epoch."""

ONE_BY_ONE = Typed(online.run)
"""Batches of one sample each."""

CHUNK_EPOCHS = 1024
"""Epochs in one call at most, where nothing has to be done between them."""


@dataclass(slots=True)
class Fit:
    """What a fit is about, and what lives as long as it does."""

    network: Trainable
    samples: Samples | Streamed
    progress: Progress
    last: int
    """Number of the last epoch."""
    batch_size: int
    shuffle: bool | Reorder
    threads: int | None
    profile: bool
    regularization: Regularization | None
    hold: Held
    bfloat16: bool
    """Whether operands of products are rounded to it."""
    chunk: int = field(init=False)
    """Epochs in a call at most: what the loop has found."""
    stack: ExitStack = field(init=False)
    """What ends with the loop."""


@functools.singledispatch
def steps_of(optimizer: Optimizer, fit: Fit) -> Steps:
    """Return the steps with which an optimizer trains: a kind of steps is registered with what it is for."""
    raise TypeError(f"there are no steps for {optimizer!r}: register some with training.steps.steps_of")


class Steps:
    """What a fit does again and again, an epoch or many in a call of ``run``.

    Attributes
    ----------
    learner : layout.Learner
        Its record is what the loop reads: ``progress``, ``sums``, and the ``costs`` of the epochs of the last call.
    restarts : bool
        Whether they begin anew where a callback has changed the parameters.
    ended : bool
        Whether there is nothing left to gain.
    left : ndarray or None
        The parameters as the last step left them, where callbacks may change them.
    """

    learner: layout.Learner
    restarts: ClassVar[bool] = False
    ended = False
    left: Array | None = None

    def __init__(self, fit: Fit) -> None:
        self.fit, self.network = fit, fit.network

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Take some steps, up to this epoch at most; where it is interrupted, all is as after the last step.

        ``epochs_ended`` records epochs and calls callbacks, and returns whether the fit is to stop. It is the loop that
        calls it, whenever steps come back. Those that do not come back between epochs, since their loop is that of
        another library, call it there, with ``hold`` shut.
        """
        raise NotImplementedError

    def restore(self) -> None:
        """Go back to the parameters of the last epoch that ended well."""
        raise NotImplementedError

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖ of all samples where the last epoch ended."""
        raise NotImplementedError

    def finished(self, progress: Progress) -> list[float]:
        """Return the costs of the epochs that are done and that ``progress`` does not count yet."""
        place = self.learner.progress
        first = place.item(tables.PROGRESS_FIRST_EPOCH)
        costs = self.learner.costs[progress.epochs - first : place.item(tables.PROGRESS_EPOCH) - first]
        return costs.tolist()  # type: ignore[no-any-return]

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


def regularized(fit: Fit, rule: int = 0, factors: Sequence[Stretch] = ()) -> tuple[npt.NDArray[np.float64], Array]:
    """Return numbers and state with what penalties and groups need behind; the progress keeps its part of both."""
    network, progress, regularization = fit.network, fit.progress, fit.regularization or Regularization()
    total = address(regular.total, network.dtype, prototypes.total_penalty)
    grouped = address(groups.update, network.dtype, prototypes.update_rule) if factors else rule
    numbers = penalties.numbers(regularization, network._architecture, progress.hyper, rule=grouped, total=total,
                                fixed=progress.state.size, factors=factors, ungrouped=rule)
    fixed, state = penalties.fixed(regularization, network._parameters), progress.state
    if fixed.size:
        state = np.concatenate((state, fixed))
        progress.state = state[: progress.state.size]
    progress.hyper = numbers[: tables.HYPER_COUNT]
    return numbers, state


class CompiledSteps(Steps):
    """Steps that `epoch.run` takes, in calls that last CHUNK_SECONDS: by several threads, or by one alone.

    Attributes
    ----------
    shuffles : bool
        Whether each epoch has an order of its own.
    plain : bool
        Whether the rule is plain gradient descent.
    online : bool
        Whether a batch is one sample, which `online.run` takes.
    end : int
        The epoch before which a call ends.
    """

    shuffles = plain = online = False
    end = 2**62

    def __init__(self, fit: Fit, batch: int, request: Callable[[], Request],
                 order: npt.NDArray[np.int64] = NOT_SHUFFLED) -> None:
        super().__init__(fit)
        network, samples, architecture = fit.network, fit.samples, fit.network._architecture
        self.batch = batch
        n, self.work = len(samples), architecture.work * (1 + architecture.directions(samples.kind))
        self.threads = self.running = thread_team.size(fit.threads, self.work * batch, self.work * n * fit.chunk,
                                                       lambda: network._strips(request()))
        self.data, self.tuner = samples.data(order), self.tuned()
        self.began = 0.0

    def tuned(self) -> thread_team.Tuner:
        """Return what is known of threads from the last fit like this one; it is kept for the next when this one ends.

        No two fits have it at the same time.
        """
        if self.threads == 1:
            return thread_team.Tuner(1)
        tuners, samples = self.network._workspaces.tuners, self.fit.samples
        like = self.batch, self.threads, self.fit.bfloat16, samples.kind, samples.sparse
        tuner = tuners.pop(like, None) or thread_team.Tuner(self.threads)
        self.fit.stack.callback(tuners.__setitem__, like, tuner)
        return tuner

    def borrow(self, request: Request) -> Borrowed:
        """Borrow the workspace that the passes need, as long as the fit lasts."""
        request.threads = self.threads
        borrowed = self.network._borrow(request)
        self.work_in(*self.fit.stack.enter_context(borrowed))
        return borrowed

    def work_in(self, plan: layout.Plan, block: int) -> None:
        """Take the plan of a workspace, for blocks of so many samples."""
        samples, work = self.fit.samples, self.work * block
        self.plan = plan
        self.task = layout.Task(len(samples), self.batch, block, int(samples.labels), int(self.shuffles),
                                self.fit.progress.key, 0, int(self.plain), 0)
        self.blocks = machine.CHUNK_WORK // work or 1
        self.pieces = thread_team.Pieces(0 if self.online else work, self.threads)  # `online.run` takes whole steps

    @property
    def written(self) -> layout.Learner:
        """What the kernel writes to: what the loop reads, unless that is put together of several calls."""
        return self.learner

    def call(self) -> None:
        """Call the kernel once."""
        learner, tuner, pieces = self.written, self.tuner, self.pieces
        if pieces.now == 0:
            self.running = self.threads if learner.clock.size else tuner.choose(self.blocks)
            self.began = time.perf_counter()
        blocks, running = max(1, self.blocks // 8) if tuner.trying else self.blocks, self.running
        task = pieces.of(self.task.up_to(self.end, blocks))
        given = self.plan, self.network._parameters, self.data, task, learner
        if self.online:
            ONE_BY_ONE.of(self.network.dtype)(*given)
        elif running == 1:
            objective.run_pass(1, *given, 0, thread_team.ALONE)
        else:
            thread_team.run(running, partial(objective.run_pass, running, *given))
        if not pieces.called():
            return
        seconds = time.perf_counter() - self.began or 1e-9
        done = learner.progress.item(tables.PROGRESS_BLOCKS) or 1
        self.blocks = int(done * machine.CHUNK_SECONDS / seconds) or 1
        tuner.took(running, done, seconds)

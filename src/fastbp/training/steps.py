"""What a fit does again and again, and what of it is compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import objective, penalties, thread_team
from ..core.link import Request
from ..core.samples import Samples
from ..kernels import layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes import online
from ..kernels.updates import penalties as regular
from ..regularization import Regularization
from ..util import machine
from .progress import Progress, Trainable

Array = npt.NDArray[Any]
Reorder = Callable[[npt.NDArray[np.int64]], object]
"""Overwrites the order of the samples before an epoch."""

CHUNK_EPOCHS = 1024
"""Epochs in one call at most, where nothing has to be done between them."""


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


def regularized(network: Trainable, regularization: Regularization, progress: Progress,
                rule: int) -> tuple[npt.NDArray[np.float64], Array]:
    """Return numbers and state with what `regular` needs behind them; what is kept of the fit becomes part of them."""
    total = address(regular.total, network.dtype, prototypes.total_penalty)
    numbers = penalties.numbers(regularization, network._architecture, progress.hyper, rule=rule, total=total,
                                fixed=progress.state.size)
    state = np.concatenate((progress.state, penalties.fixed(regularization, network._parameters)))
    progress.hyper, progress.state = numbers[: tables.HYPER_COUNT], state[: progress.state.size]
    return numbers, state

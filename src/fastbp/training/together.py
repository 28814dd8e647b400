"""A fit that several processes share: what they say to each other, so that all of them take the same steps, and end.

A process says one message at a time to all others, and hears theirs: sums of its shards, what its callbacks have
answered, that its fit has ended, or that it has failed. Whoever hears that another one has failed ends too, so that
nobody waits for who does not come.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.model import Model
from ..core.shards import COUNT, EndedWithOthers, Team
from ..kernels import tables
from ..optimizers import Optimizer
from ..regularization import Regularization
from . import fit as alone
from .callbacks import Callback, CalledLast, EarlyStopping, asks_to_stop
from .history import Record
from .progress import Trainable

Doubles = npt.NDArray[np.float64]
Talk = Callable[[Doubles], list[Doubles]]
"""Sends numbers, (m,), to all processes, and returns what each has sent, in the order of ranks; all call it together,
each with an m of its own."""

SUMS, ANSWER, MEANS, ENDED, FAILED = 0.0, 1.0, 2.0, 3.0, 4.0
"""What a message begins with."""


class Companions:
    """The processes that share a fit, as one of them sees them.

    Parameters
    ----------
    network : Trainable
        This process's, whose parameters must be those of all.
    rank, size : int
        Number of this process, and of all.
    talk : callable
    """

    def __init__(self, network: Trainable, rank: int, size: int, talk: Talk) -> None:
        self.network, self.rank, self.size, self.talk = network, rank, size, talk
        self.over = size == 1
        """Whether nobody listens any more."""

    def say(self, what: float, about: float = 0.0, numbers: Doubles | None = None) -> list[Doubles]:
        """Send a message, and return the numbers of all.

        Raises
        ------
        RuntimeError
            If a process has failed, says something else, or has other parameters: all of them hear so, and end.
        """
        mark = float(zlib.crc32(self.network._parameters.tobytes()))
        message = np.concatenate(([what, about, mark], np.empty(0) if numbers is None else numbers))
        try:
            heard = self.talk(message)
        except BaseException:
            self.over = True
            raise
        kinds = [float(each[0]) for each in heard]
        self.over = FAILED in kinds or ENDED in kinds
        if what == FAILED:
            return heard
        if FAILED in kinds:
            raise EndedWithOthers(f"process {kinds.index(FAILED)} of {self.size} has failed, and says why; this one, "
                                  f"{self.rank}, ends with it")
        for rank, each in enumerate(heard):
            if each[0] != heard[0][0] or each[1] != heard[0][1]:
                self.over = True
                raise RuntimeError(f"process {rank} of {self.size} is not where process 0 is: expected the same call "
                                   "of fit in all processes, with the same arguments")
            if what == SUMS and each[2] != heard[0][2]:
                self.over = True
                raise RuntimeError(f"the network of process {rank} of {self.size} has other parameters than that of "
                                   "process 0: begin with the same ones (give the same seed), and take processors "
                                   "with the same vector units")
        return [each[3:] for each in heard]

    def gather(self, mine: Doubles) -> Doubles:
        """Return the sums of all processes: see `Team`."""
        width = mine.shape[1]
        return np.concatenate(self.say(SUMS, width, mine.reshape(-1))).reshape(-1, width)

    def end(self) -> None:
        """Say that the fit has ended, and hear that it has for all."""
        if not self.over:
            self.say(ENDED)

    def fail(self) -> None:
        """Say that this process has failed, if anybody listens."""
        if not self.over:
            self.say(FAILED)


class Led(AbstractContextManager["Led"]):
    """Callbacks that process 0 calls alone: what they answer, and do to the parameters, holds for all."""

    def __init__(self, companions: Companions, listeners: Iterable[Callback]) -> None:
        self.companions = companions
        self.listeners = list(listeners) if companions.rank == 0 else []
        self._stack = ExitStack()

    def __enter__(self) -> Led:
        for listener in self.listeners:
            if isinstance(listener, AbstractContextManager):
                self._stack.enter_context(listener)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def __call__(self, record: Record) -> bool:
        """Call them in process 0, and do in all what they have done there."""
        stops = any([asks_to_stop(listener(record)) for listener in self.listeners])
        if self.companions.size == 1:
            return stops
        network = self.companions.network
        parameters, progress = network._parameters, network._progress
        rate = np.nan if progress is None else progress.learning_rate
        answer = self.companions.say(ANSWER, 0.0, np.concatenate(([float(stops), rate], parameters)))[0]
        parameters[:] = answer[2:]
        if progress is not None and answer[1] == answer[1]:
            progress.hyper[tables.HYPER_RATE] = answer[1]
        return bool(answer[0])


class LedLast(Led, CalledLast):
    """The same of callbacks that see what others have changed."""

    def check(self, network: Model, optimizer: Optimizer) -> None:
        """Ask them."""
        for listener in self.listeners:
            assert isinstance(listener, CalledLast)
            listener.check(network, optimizer)


def led(companions: Companions, callbacks: Iterable[Callback]) -> list[Callback]:
    """Return what all processes call in place of callbacks: an `EarlyStopping` sees the same numbers everywhere."""
    found = list(callbacks)
    every: list[Callback] = [listener for listener in found if isinstance(listener, EarlyStopping)]
    others = [listener for listener in found if not isinstance(listener, (EarlyStopping, CalledLast))]
    last = [listener for listener in found if isinstance(listener, CalledLast)]
    if others:
        every.append(Led(companions, others))
    if last:
        every.append(LedLast(companions, last))
    return every


def fit(network: Trainable, X: Any, Y: Any, sample_weight: Any, validation: Any, optimizer: str | Optimizer | None,
        resume: bool, *, rank: int, size: int, talk: Talk, epochs: int, callbacks: Iterable[Callback], bar: bool,
        threads: int | None, regularization: Regularization | None, metrics: Any, memory: Any, check_finite: Any,
        missing: Any = None, batch_size: int | None = None, owners: tuple[int, ...] | None = None,
        cuts: tuple[int, ...] | None = None) -> None:
    """Train as one of several processes, which all call this with the same arguments.

    By a full-batch method, or by an update rule with large batches: see `large_batches`.

    Each computes the sums of its shards, see `Team`, and all come to the same end: the same parameters, bit for bit, or
    an error in each.
    """
    companions = Companions(network, rank, size, talk)
    try:
        if optimizer is None and not (resume and network._progress is not None):
            optimizer = "lbfgs"
        count = COUNT if owners is None else len(owners)
        team = Team(rank, size, companions.gather, count, owners, cuts)
        alone.fit(network, X, Y, sample_weight, validation, optimizer, resume, epochs=epochs, batch_size=batch_size,
                  callbacks=led(companions, callbacks), bar=bar and rank == 0, shuffle=True, threads=threads,
                  profile=False, regularization=regularization, jacobian=(None, 1.0), metrics=metrics, memory=memory,
                  check_finite=check_finite, missing=missing, team=team)
        companions.end()
    except BaseException:
        companions.fail()
        raise

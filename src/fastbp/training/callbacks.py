"""Callbacks: called with a `Record` after each epoch; returning True stops the training.

Any callable serves. One that is a context manager too is entered when a fit begins, and left when it ends, however it
does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..core.model import Model
from ..util.optional import require
from ..util.settings import Check, between, count, is_number, not_negative, positive, whole
from .history import Record

Callback = Callable[[Record], object]
"""Called after each epoch."""


class ProgressBar:
    """A tqdm bar with the cost and samples per second; what ``fit(progress=True)`` shows.

    Parameters
    ----------
    epochs : int
        How many epochs the bar is long.
    samples : int
        Samples in an epoch.

    Raises
    ------
    ImportError
        Without tqdm (``pip install fastbp[progress]``).
    """

    def __init__(self, epochs: int, samples: int) -> None:
        self._samples = samples
        self._bar: Any = require("tqdm.auto", "progress").tqdm(total=epochs, unit="epoch", dynamic_ncols=True)
        self._first = 0

    def __repr__(self) -> str:
        return f"<ProgressBar at epoch {self._bar.n} of {self._bar.total}>"

    def __call__(self, record: Record) -> None:
        """Move on to the record's epoch."""
        if not self._first:
            self._first = record.epoch
        done = record.epoch - self._first + 1
        figures = {"cost": f"{record.cost:.4g}"}
        if record.validation_cost is not None:
            figures["validation"] = f"{record.validation_cost:.4g}"
        figures["samples/s"] = f"{done * self._samples / max(record.seconds, 1e-9):.3g}"
        self._bar.set_postfix(figures, refresh=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()


class _Shown:
    """Shows the settings of a callback as they are given to it."""

    _settings: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self._settings}
        values |= {name: value.item() for name, value in values.items() if isinstance(value, np.generic)}
        values |= {name: str(value) for name, value in values.items() if isinstance(value, Path)}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


class CalledLast(_Shown):
    """A callback that is called after the others of an epoch, and so sees what they have changed."""

    def __call__(self, record: Record) -> object:
        """Act on an epoch that is over."""
        raise NotImplementedError


def asks_to_stop(answer: object) -> bool:
    """Return whether a callback has returned True, its own or NumPy's; other values that count as true stop nothing."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def watched(record: Record) -> float:
    """Return the cost that tells how training goes: that of the validation set, or the training cost without one."""
    return record.cost if record.validation_cost is None else record.validation_cost


@dataclass
class Best:
    """What `EarlyStopping` has seen: saved with the training."""

    epoch: int = 0
    cost: float = math.inf
    mark: float = math.inf
    """The cost that counts as progress to fall below, by ``min_delta``."""
    waited: int = 0
    """Epochs since then."""
    parameters: npt.NDArray[Any] | None = None
    """Those of the epoch, where they are to be restored."""
    checks: ClassVar[dict[str, Check]] = {
        "epoch": whole(0), "cost": between(-math.inf, math.inf), "mark": between(-math.inf, math.inf),
        "waited": whole(0),
    }
    """What a file may say of each."""


_WATCH = threading.Lock()
"""Held while an `EarlyStopping` is given a network."""


class EarlyStopping(_Shown):
    """Stop when the cost has not gone down for some epochs, and go back to the best parameters.

    It watches the validation cost where there is one, else the training cost. However the fit ends, by itself, after
    all epochs or by an error, the network is left with the parameters of the best epoch. What it has seen is part of a
    `Checkpoint`: ``fit(resume=True)`` with an EarlyStopping goes on waiting, and has the best parameters still. A cost
    that is not finite is never the best. It watches one fit at a time.

    With mini-batches and without ``validation`` the cost of an epoch is what the record has, the mean of its batches,
    each taken before its update, which no single set of parameters has; those that are put back are the ones with which
    that epoch ended, and their cost is another one, most often a lower. ``validation=(X, Y)`` with the training samples
    themselves watches, for a pass forward an epoch, the cost that the parameters of each epoch have. Callbacks that
    change parameters (pruning, say) belong behind it in the list: it keeps those that it is called with.

    Parameters
    ----------
    patience : int, default 10
        Epochs without progress after which it stops.
    min_delta : float, default 0
        Progress is a cost below the best so far by more than this.
    restore_best : bool, default True
        Whether to go back; the optimizer's state stays that of the last epoch.

    Attributes
    ----------
    best_epoch : int
        The epoch of the lowest cost, 0 before the first. What is put back are the parameters at its end.
    best_cost : float
        Its cost, as in the record: with a validation set, or a full-batch method, that of the parameters at its end;
        else the mean of its batches, each before its update.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    _settings = "patience", "min_delta", "restore_best"

    def __init__(self, patience: int = 10, min_delta: float = 0.0, restore_best: bool = True) -> None:
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        count(self, "patience", patience)
        not_negative(self, "min_delta", min_delta)
        self.best = Best()
        self._network: Model | None = None

    def watch(self, network: Model) -> None:
        """Take note of the network whose fit begins: of one at a time.

        Parameters
        ----------
        network : Network
            It, while its fit is locked.

        Raises
        ------
        RuntimeError
            If the fit of another one, which it watches, has not ended.
        """
        with _WATCH:
            other = self._network
            if other is not None and other is not network and other._lock.locked():
                raise RuntimeError("this EarlyStopping watches the fit of another network, whose best parameters it "
                                   "holds: give each fit one of its own")
            self._network = network

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest cost, 0 before the first."""
        return self.best.epoch

    @property
    def best_cost(self) -> float:
        """Its cost."""
        return self.best.cost

    @property
    def stops(self) -> bool:
        """Whether patience is at its end."""
        return self.best.waited >= self.patience

    def resume(self, best: Best, network: Model) -> None:
        """Go on where the fit that is resumed had stopped."""
        self.best, self._network = best, network

    def __enter__(self) -> EarlyStopping:
        self.best = Best()
        return self

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        cost, best = watched(record), self.best
        if -math.inf < cost < best.cost:
            best.epoch, best.cost = record.epoch, cost
            if self.restore_best:
                self._network, best.parameters = record.network, record.network._parameters.copy()
        if -math.inf < cost < best.mark - self.min_delta:
            best.mark, best.waited = cost, 0
        else:
            best.waited += 1
        return self.stops

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.restore_best and self._network is not None and self.best.parameters is not None:
            self._network._parameters[:] = self.best.parameters
        self._network = None


class GradientNorm(_Shown):
    """Stop where the cost is flat: at a Euclidean norm of the gradient of so much, or less.

    It is the gradient of the mean cost of all training samples at the parameters after the epoch, not that of a
    mini-batch, whose noise does not vanish at a minimum. A full-batch method has it at hand; with another optimizer
    each look takes a pass over the samples, forward and back.

    Parameters
    ----------
    norm : float, default 1e-5
        Not negative. float32 reaches about 1e-6 of the gradient at the start.
    every : int, default 1
        Epochs between two looks.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    _settings = "norm", "every"

    def __init__(self, norm: float = 1e-5, every: int = 1) -> None:
        self.norm, self.every = norm, every
        not_negative(self, "norm", norm)
        count(self, "every", every)

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        return record.epoch % self.every == 0 and record.gradient_norm() <= self.norm


class TargetCost(_Shown):
    """Stop when the cost is low enough: that of the validation set where there is one, else the training cost.

    Parameters
    ----------
    cost : float
        It stops at this cost, or below.

    Raises
    ------
    ValueError
        If it is not a number.
    """

    _settings = ("cost",)

    def __init__(self, cost: float) -> None:
        self.cost = cost
        if not is_number(cost):
            raise ValueError(f"TargetCost: cost is {cost!r}, expected a number")

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        return watched(record) <= self.cost


class TimeLimit(_Shown):
    """Stop after the first epoch that ends later than so many seconds after the fit began.

    Parameters
    ----------
    seconds : float
        > 0.

    Raises
    ------
    ValueError
        If it is not a positive number.
    """

    _settings = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        positive(self, "seconds", seconds)

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        return record.seconds >= self.seconds


class MaxUpdates(_Shown):
    """Stop after the first epoch with which the fit has made so many updates of the parameters.

    Parameters
    ----------
    updates : int
        At least 1.

    Raises
    ------
    ValueError
        If it is not a whole number, or less than 1.
    """

    _settings = ("updates",)

    def __init__(self, updates: int) -> None:
        self.updates = updates
        count(self, "updates", updates)

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        return record.updates >= self.updates

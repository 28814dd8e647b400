"""Callbacks: called with a `Record` after each epoch; returning True stops the training.

Any callable serves. One that is a context manager too is entered when a fit begins, and left when it ends, however it
does.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from .checks import count, is_number, not_negative, positive
from .history import Record
from .optional import require


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


def watched(record: Record) -> float:
    """Give the cost that tells how training goes: that of the validation set, or the training cost without one."""
    return record.cost if record.validation_cost is None else record.validation_cost


class EarlyStopping:
    """Stop when the cost has not gone down for some epochs, and go back to the best parameters.

    It watches the validation cost where there is one, else the training cost. However the fit ends, by itself, after
    all epochs or by an error, the network is left with the parameters of the best epoch.

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
        The epoch of the lowest cost, 0 before the first.
    best_cost : float
        Its cost.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0, restore_best: bool = True) -> None:
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        count(self, "patience", patience)
        not_negative(self, "min_delta", min_delta)
        self._start()

    def _start(self) -> None:
        self.best_epoch, self.best_cost = 0, math.inf
        self._mark, self._waited = math.inf, 0
        self._network: Any = None
        self._parameters: Any = None

    def __enter__(self) -> EarlyStopping:
        self._start()
        return self

    def __call__(self, record: Record) -> bool:
        """Tell whether to stop."""
        cost = watched(record)
        if cost < self.best_cost:
            self.best_epoch, self.best_cost = record.epoch, cost
            if self.restore_best:
                self._network, self._parameters = record.network, record.network.parameters.copy()
        if cost < self._mark - self.min_delta:
            self._mark, self._waited = cost, 0
        else:
            self._waited += 1
        return self._waited >= self.patience

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._network is not None:
            self._network.parameters[:] = self._parameters
        self._network = self._parameters = None


class TargetCost:
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

    def __init__(self, cost: float) -> None:
        self.cost = cost
        if not is_number(cost):
            raise ValueError(f"TargetCost: cost is {cost!r}, expected a number")

    def __call__(self, record: Record) -> bool:
        """Tell whether to stop."""
        return watched(record) <= self.cost


class TimeLimit:
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

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        positive(self, "seconds", seconds)

    def __call__(self, record: Record) -> bool:
        """Tell whether to stop."""
        return record.seconds >= self.seconds


class MaxUpdates:
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

    def __init__(self, updates: int) -> None:
        self.updates = updates
        count(self, "updates", updates)

    def __call__(self, record: Record) -> bool:
        """Tell whether to stop."""
        return record.updates >= self.updates


class Checkpoint:
    """Save the network and its training every few epochs, so that a killed process can be taken up again.

    ``Network.load(path).fit(X, Y, resume=True, ...)`` goes on from the last checkpoint, with the bits that the
    uninterrupted training would have had. The file is replaced as a whole (`Network.save`): a kill leaves the old one
    or the new one.

    Parameters
    ----------
    path : str or path
        The file.
    every : int, default 1
        Epochs between two checkpoints, counted as the record does: a resumed training saves at the same epochs.

    Raises
    ------
    ValueError
        If ``every`` is not a whole number from 1 up; in training, if the optimizer cannot be saved (`Network.save`).
    FileNotFoundError
        If the folder does not exist.
    OSError
        In training, if the file cannot be written; the last checkpoint is left as it was.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path, self.every = Path(path), every
        count(self, "every", every)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"Checkpoint: there is no folder {self.path.parent}")

    def __call__(self, record: Record) -> None:
        """Save, if it is time."""
        if record.epoch % self.every == 0:
            record.network.save(self.path, training=True)

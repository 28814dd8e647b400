"""Callbacks: called with a `Record` after each epoch; returning True stops the training.

Any callable serves. One that is a context manager too is entered when a fit begins, and left when it ends, however it
does.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..core.model import Model
from ..metrics import direction
from ..optimizers import Optimizer
from ..util import keywords
from ..util.optional import require
from ..util.settings import Check, between, choice, count, is_number, not_negative, optional, positive, text, whole
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, x**2, epochs=5, progress=True)  # 100%|██████████| 5/5 [00:00<00:00, cost=0.0503]
    >>> bar = fastbp.ProgressBar(5, len(x))  # what it makes; in loops of your own a callback like any other
    >>> bar
    <ProgressBar at epoch 0 of 5>
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
        figures |= {name: f"{value:.4g}" for name, value in record.metrics.items()}
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

    def check(self, network: Model, optimizer: Optimizer) -> None:
        """Raise ValueError if it cannot do its work with a network and its training: before a fit changes anything."""

    def __call__(self, record: Record) -> object:
        """Act on an epoch that is over."""
        raise NotImplementedError


class Patient(ABC):
    """A callback that has nothing to do for some epochs but to look at their costs: they are taken in one call.

    So it is where it is the only callback, and nothing else is done between epochs.
    """

    @abstractmethod
    def patience(self) -> int:
        """Return the number of the next epochs, at least 1, of which only the last one asks for a call."""

    @abstractmethod
    def passed(self, costs: list[float]) -> None:
        """Take note of epochs that have ended, before the one that it is called with next."""

    @abstractmethod
    def __call__(self, record: Record) -> object:
        """Act on an epoch that is over."""


def asks_to_stop(answer: object) -> bool:
    """Return whether a callback has returned True, its own or NumPy's; other values that count as true stop nothing."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def watched(record: Record) -> float:
    """Return the cost that tells how training goes: that of the validation set, or the training cost without one."""
    return record.cost if record.validation_cost is None else record.validation_cost


@dataclass
class Best:
    """What `EarlyStopping` has seen: saved with the training."""

    metric: str | None = None
    """What is watched, None for the cost."""
    epoch: int = 0
    least: float = math.inf
    """The cost or metric of the epoch, the latter negated where more of it is better."""
    mark: float = math.inf
    """What counts as progress to fall below, by ``min_delta``."""
    waited: int = 0
    """Epochs since then."""
    parameters: npt.NDArray[Any] | None = None
    """Those of the epoch, where they are to be restored."""
    checks: ClassVar[dict[str, Check]] = {
        "metric": optional(text), "epoch": whole(0), "least": between(-math.inf, math.inf),
        "mark": between(-math.inf, math.inf), "waited": whole(0),
    }
    """What a file may say of each."""


_WATCH = threading.Lock()
"""Held while an `EarlyStopping` is given a network."""


@keywords.answers(keywords.EARLY_STOPPING)
class EarlyStopping(_Shown):
    """Stop when the cost has not gone down for some epochs, and go back to the best parameters.

    It watches the validation cost where there is one, else the training cost; or a metric. However the fit ends, by
    itself, after all epochs or by an error, the network is left with the parameters of the best epoch. What it has seen
    is part of a `Checkpoint`: ``fit(resume=True)`` with an EarlyStopping that watches the same goes on waiting, and has
    the best parameters still. What is not finite is never the best. It watches one fit at a time.

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
        Progress is a cost below the best so far by more than this, or a metric that is better by more.
    restore_best : bool, default True
        Whether to go back; the optimizer's state stays that of the last epoch.
    metric : str, optional
        The name of a metric to watch in place of the cost, one of those that the fit records: ``fit(...,
        metrics=["r2"], callbacks=[EarlyStopping(metric="r2")])``.
    higher_is_better : bool, optional
        Whether more of the metric is better: to be said of a function of your own, known of all others.
    best : {"first", "last"}, default "first"
        Which of several epochs is the best that are equally good: a metric as coarse as the accuracy has many of them,
        and the last has been trained longest. None but the first is progress.

    Attributes
    ----------
    best_epoch : int
        The best epoch, 0 before the first. What is put back are the parameters at its end.
    best_value : float
        Its cost, as in the record: with a validation set, or a full-batch method, that of the parameters at its end;
        else the mean of its batches, each before its update. Or its metric.

    Raises
    ------
    ValueError
        If a number is out of range, or it is not known whether more of the metric is better; in `Network.fit`, if it
        does not record the metric.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> net = fastbp.Network((2, 16, 2), cost="cross_entropy", seed=0)
    >>> stopping = fastbp.EarlyStopping(20, metric="accuracy", best="last")
    >>> _ = net.fit(X, y, epochs=200, optimizer=fastbp.Adam(0.01), validation=0.3, metrics=["accuracy"],
    ...             callbacks=[stopping])
    >>> right = net.predict(X[210:]).argmax(axis=1) == y[210:]
    >>> bool(0.9 < stopping.best_value == right.mean())
    True
    """

    _settings = "patience", "min_delta", "restore_best", "metric", "higher_is_better", "best"

    def __init__(self, patience: int = 10, min_delta: float = 0.0, restore_best: bool = True, *,
                 metric: str | None = None, higher_is_better: bool | None = None,
                 best: Literal["first", "last"] = "first") -> None:
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        count(self, "patience", patience)
        not_negative(self, "min_delta", min_delta)
        choice("first", "last")(self, "best", best)
        self.metric, self._sign = direction(self, metric, higher_is_better)
        self.higher_is_better, self.best = higher_is_better, best
        self.seen = Best(self.metric)
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
        """The best epoch, 0 before the first."""
        return self.seen.epoch

    @property
    def best_value(self) -> float:
        """Its cost, or its metric."""
        return self._sign * self.seen.least

    @property
    def stops(self) -> bool:
        """Whether patience is at its end."""
        return self.seen.waited >= self.patience

    def resume(self, seen: Best, network: Model) -> None:
        """Go on where the fit that is resumed had stopped, if it is the same that is watched."""
        if seen.metric == self.metric:
            self.seen, self._network = seen, network

    def __enter__(self) -> EarlyStopping:
        self.seen = Best(self.metric)
        return self

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        value = watched(record) if self.metric is None else self._sign * record.metrics[self.metric]
        seen = self.seen
        if -math.inf < value < seen.least or (self.best == "last" and value == seen.least and seen.epoch):
            seen.epoch, seen.least = record.epoch, value
            if self.restore_best:
                self._network, seen.parameters = record.network, record.network._parameters.copy()
        if -math.inf < value < seen.mark - self.min_delta:
            seen.mark, seen.waited = value, 0
        else:
            seen.waited += 1
        return self.stops

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.restore_best and self._network is not None and self.seen.parameters is not None:
            self._network._parameters[:] = self.seen.parameters
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, x**2, epochs=1000, optimizer="rprop", callbacks=[fastbp.GradientNorm(1e-3)])
    >>> bool(np.linalg.norm(net.gradient(x, x**2)) <= 1e-3), len(net.history) < 1000
    (True, True)
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, x**2, epochs=1000, optimizer="lbfgs", callbacks=[fastbp.TargetCost(1e-4)])
    >>> net.history.cost[-1] <= 1e-4 < net.history.cost[-2]
    np.True_
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, x**2, epochs=10**7, callbacks=[fastbp.TimeLimit(0.05)])
    >>> len(net.history) < 10**7
    True
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, x**2, epochs=100, batch_size=10, callbacks=[fastbp.MaxUpdates(12)])
    >>> len(net.history)  # five updates an epoch
    3
    """

    _settings = ("updates",)

    def __init__(self, updates: int) -> None:
        self.updates = updates
        count(self, "updates", updates)

    def __call__(self, record: Record) -> bool:
        """Return whether to stop."""
        return record.updates >= self.updates

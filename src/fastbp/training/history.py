"""What training recorded."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..metrics import TRAINING
from ..util.optional import require
from ..util.settings import LARGEST_WHOLE

if TYPE_CHECKING:
    from .profile import Profile


COLUMNS = 4
"""Epoch, cost, validation cost, seconds; then the optimizer's diagnostics, and behind them the metrics."""

NONE: Mapping[str, float] = MappingProxyType({})
"""No diagnostics, or no metrics."""


class Record(NamedTuple):
    """What a callback is given after each epoch.

    Examples
    --------
    >>> import fastbp
    >>> def tell(record):
    ...     if record.epoch % 10 == 0:
    ...         print(record.epoch, record.cost < 10, record.validation_cost, record.learning_rate)
    ...     return record.cost < 1e-30  # True ends the fit
    >>> X = [[0.0], [0.5], [1.0]]
    >>> net = fastbp.Network((1, 4, 1), seed=0).fit(X, X, epochs=20, optimizer=fastbp.Adam(0.01), callbacks=[tell])
    10 True None 0.01
    20 True None 0.01
    """

    epoch: int
    """Number of the epoch, from 1."""
    cost: float
    """Mean cost of the epoch's batches, each taken before its update; with a full-batch method, the cost after it."""
    validation_cost: float | None
    """Cost of the validation set after the epoch, if there is one."""
    seconds: float
    """Time since the fit began."""
    network: Any
    """The `fastbp.Network` being trained."""
    updates: int
    """Updates of the parameters since the fit began."""
    learning_rate: float
    """The learning rate of the epoch; NaN with a full-batch method that has none."""
    gradient_norm: Callable[[], float]
    """Returns ‖∂E/∂parameters‖ of the mean cost of all training samples, at the present parameters: at hand with a
    full-batch method, else computed when it is called, in a pass over the samples."""
    set_learning_rate: Callable[[float], None]
    """Sets the learning rate of the epochs that follow, also of a fit that resumes: a number that is not negative. A
    ValueError with a full-batch method, which has none to set, and where a schedule says each epoch's; from what is set
    `ReduceOnPlateau` goes on."""
    penalty: float = 0.0
    """The part of the cost that penalties make up (`Regularization`)."""
    diagnostics: Mapping[str, float] = NONE
    """What a full-batch method tells of its step: ``step_length`` along the direction (`LBFGS`, `ConjugateGradient`,
    `ScaledConjugateGradient`); ``damping`` (`LevenbergMarquardt`), and ``effective_parameters``, ``alpha``, ``beta``,
    ``evidence`` (`BayesianRegularization`)."""
    metrics: Mapping[str, float] = NONE
    """Those that ``fit(metrics=...)`` asks for, by name, after the epoch."""


class History:
    """One row an epoch.

    Attributes
    ----------
    epoch : ndarray of int64
        From 1.
    cost : ndarray of float64
        Mean cost of the epoch's batches, each taken before its update; with a full-batch method, the cost after it.
    validation_cost : ndarray of float64
        NaN in epochs without a validation set.
    seconds : ndarray of float64
        Time since the fit began, at the end of the epoch.
    last : int
        Number of the last epoch, 0 before the first.
    diagnostics : dict of str to ndarray of float64
        What else the optimizer tells of each epoch, by name: `BayesianRegularization` does.
    metrics : dict of str to ndarray of float64
        Those that ``fit(metrics=...)`` asks for, by name; NaN in epochs in which one was not asked for.
    profile : Profile or None
        Where the time of the last fit went, after ``fit(profile=True)``.

    Raises
    ------
    ValueError
        If a row has not as many numbers as there are columns, epochs do not increase from 1 up, or seconds are
        negative.

    Examples
    --------
    >>> import fastbp
    >>> X = [[0.0], [0.5], [1.0]]
    >>> net = fastbp.Network((1, 4, 1), seed=0).fit(X, X, epochs=20, validation=(X, X), metrics=["r2"])
    >>> history = net.history
    >>> len(history), history.epoch[-1], history.cost.shape, history.metrics["r2"].shape
    (20, np.int64(20), (20,), (20,))
    >>> bool(history.validation_cost[-1] == net.cost(X, X))
    True
    >>> history.table().shape  # epoch, cost, validation cost, seconds, r2
    (20, 5)
    >>> ax = history.plot()  # matplotlib
    """

    def __init__(self, rows: Iterable[Sequence[float]] = (), names: Iterable[str] = (),
                 metrics: Iterable[str] = ()) -> None:
        self._names = tuple(names)
        self._metrics = {name: array("d") for name in metrics}
        """By name, a number for each row up to the last that has one: so that a fit that resumes may ask for others."""
        self._cells = array("d")
        """The rows, one behind the other: so that a row more costs as much after a million epochs as after ten."""
        self.profile: Profile | None = None
        given = list(rows)
        if given:
            self._take(np.array(given, np.float64))

    def _take(self, table: npt.NDArray[np.float64]) -> None:
        """Take all rows, if they are such."""
        width = self._width + len(self._metrics)
        if table.ndim != 2 or table.shape[1] != width:
            raise ValueError(f"History: rows have shape {table.shape}, expected (epochs, {width})")
        epochs, seconds = table[:, 0], table[:, 3]
        if not (epochs[0] >= 1 and epochs[-1] <= LARGEST_WHOLE and (np.diff(epochs) > 0).all()
                and (epochs == np.floor(epochs)).all()):
            raise ValueError("History: epochs are expected to be whole numbers that increase, from 1 up")
        if (seconds < 0).any():
            raise ValueError(f"History: seconds are {seconds.min()}, expected no negative ones")
        self._cells.frombytes(table[:, : self._width].tobytes())
        for i, column in enumerate(self._metrics.values(), self._width):
            column.frombytes(table[:, i].tobytes())

    @property
    def _width(self) -> int:
        return COLUMNS + len(self._names)

    def table(self) -> npt.NDArray[np.float64]:
        """Return all of it as one array, a column for each attribute and figure.

        ``History(table, names, metrics)``, with the names of the diagnostics and of the metrics, makes it again.
        """
        cells = self._cells[:]  # NumPy may copy without the lock of Python, and what it reads cannot grow meanwhile
        table = np.array(cells).reshape(-1, self._width)
        if not self._metrics:
            return table
        return np.column_stack([table, *(_filled(column, len(table)) for column in list(self._metrics.values()))])

    def append(self, epoch: int, cost: float, validation_cost: float | None, seconds: float,
               diagnostics: Mapping[str, float] = NONE, metrics: Mapping[str, float] = NONE) -> None:
        """Add a row; the diagnostics are of the same names in all of them."""
        if not self._cells:
            self._names = tuple(diagnostics)
        row = array("d", (epoch, cost, np.nan if validation_cost is None else validation_cost, seconds,
                          *[diagnostics[name] for name in self._names]))
        for name, value in metrics.items() if metrics else ():
            column = self._metrics.setdefault(name, array("d"))
            column += array("d", [np.nan] * (len(self) - len(column)) + [value])
        self._cells += row

    def extend(self, first: int, costs: Sequence[float] | npt.NDArray[np.float64],
               seconds: npt.NDArray[np.float64] | float, diagnostics: Mapping[str, float] = NONE) -> None:
        """Add a row for each epoch from ``first`` on, without validation; the diagnostics are those of the last one."""
        if len(costs) == 1 and isinstance(seconds, float):  # arrays take four times as long
            self.append(first, costs[0], None, seconds, diagnostics)
            return
        if not self._cells:
            self._names = tuple(diagnostics)
        rows = np.full((len(costs), self._width), np.nan)
        rows[:, 0], rows[:, 1], rows[:, 3] = np.arange(first, first + len(costs)), costs, seconds
        rows[:, COLUMNS:] = [diagnostics[name] for name in self._names]
        self._cells.frombytes(rows.tobytes())

    def _cut(self, rows: int) -> None:
        """Drop all rows but the first ones."""
        del self._cells[rows * self._width :]
        for column in self._metrics.values():
            del column[rows:]

    @property
    def last(self) -> int:
        """Number of the last epoch, 0 before the first."""
        return int(self._cells[-COLUMNS - len(self._names)]) if self._cells else 0

    @property
    def diagnostics(self) -> dict[str, npt.NDArray[np.float64]]:
        """What the optimizer tells of each epoch."""
        return {name: self._column(COLUMNS + i) for i, name in enumerate(self._names)}

    @property
    def metrics(self) -> dict[str, npt.NDArray[np.float64]]:
        """Metrics of each epoch."""
        return {name: _filled(column, len(self)) for name, column in list(self._metrics.items())}

    def __len__(self) -> int:
        return len(self._cells) // self._width

    def __repr__(self) -> str:
        if not self._cells:
            return "<History: no epochs>"
        first, last = self._cells[1], self._cells[1 - self._width]
        return f"<History: {len(self)} epochs, cost {first:.4g} -> {last:.4g}>"

    def _column(self, index: int, dtype: Any = np.float64) -> npt.NDArray[Any]:
        return self.table()[:, index].astype(dtype)

    @property
    def epoch(self) -> npt.NDArray[np.int64]:
        """Numbers of the epochs."""
        return self._column(0, np.int64)

    @property
    def cost(self) -> npt.NDArray[np.float64]:
        """Training costs."""
        return self._column(1)

    @property
    def validation_cost(self) -> npt.NDArray[np.float64]:
        """Validation costs."""
        return self._column(2)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Times since the fit began."""
        return self._column(3)

    def plot(self, ax: Any = None, *, metric: str | None = None) -> Any:
        """Draw the cost curves, or those of a metric.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        metric : str, optional
            The name of a recorded metric, which is drawn in place of the cost: with "r2" also "training_r2" if it has
            been recorded.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            If there is no such metric.
        ImportError
            Without matplotlib (``pip install fastbp[plot]``).
        """
        metrics = self.metrics
        if metric is not None and metric not in metrics:
            raise ValueError(f"metric is {metric!r}, but {', '.join(map(repr, metrics)) or 'none'} has been recorded: "
                             "fit(..., metrics=[...])")
        if ax is None:
            ax = require("matplotlib.pyplot", "plot").subplots()[1]
        if metric is not None:
            for name in dict.fromkeys((f"{TRAINING}{metric}", metric)):
                if name in metrics:
                    ax.plot(self.epoch, metrics[name], label=name)
            ax.legend()
            ax.set_xlabel("epoch")
            ax.set_ylabel(metric)
            return ax
        ax.plot(self.epoch, self.cost, label="training")
        if not np.isnan(self.validation_cost).all():
            ax.plot(self.epoch, self.validation_cost, label="validation")
            ax.legend()
        ax.set_xlabel("epoch")
        ax.set_ylabel("cost")
        costs = np.concatenate([self.cost, self.validation_cost[~np.isnan(self.validation_cost)]])
        if len(self) and (costs > 0).all():
            ax.set_yscale("log")
        return ax


def _filled(column: array[float], rows: int) -> npt.NDArray[np.float64]:
    """Return a number for each row, NaN where the column has none."""
    found = np.full(rows, np.nan)
    known = np.array(column[:rows])
    found[: known.size] = known
    return found

"""What training recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .optional import require

if TYPE_CHECKING:
    from .network import Network
    from .profiling import Profile


COLUMNS = 4
"""Epoch, cost, validation cost, seconds; then the optimizer's figures."""

NONE: Mapping[str, float] = MappingProxyType({})
"""No figures."""


class Record(NamedTuple):
    """What a callback is given after each epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    cost: float
    """Mean cost of the epoch's batches, each taken before its update; with a full-batch method, the cost after it."""
    validation_cost: float | None
    """Cost of the validation set after the epoch, if there is one."""
    seconds: float
    """Time since the fit began."""
    network: Network
    """The network being trained."""
    updates: int
    """Updates of the parameters since the fit began."""
    learning_rate: float
    """The learning rate of the epoch; with a line search, how far along its direction the last step went; with
    Levenberg–Marquardt, the damping that it left."""
    gradient_norm: Callable[[], float]
    """Gives ‖∂E/∂parameters‖ of the mean cost of all training samples, at the present parameters: at hand with a
    full-batch method, else computed when it is called, in a pass over the samples."""
    penalty: float = 0.0
    """The part of the cost that penalties make up (`Regularization`)."""


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
    figures : dict of str to ndarray of float64
        What else the optimizer tells of each epoch, by name: `BayesianRegularization` does.
    profile : Profile or None
        Where the time of the last fit went, after ``fit(profile=True)``.
    """

    def __init__(self, rows: Iterable[Sequence[float]] = (), names: Iterable[str] = ()) -> None:
        self._names = tuple(names)
        self._rows = [(int(row[0]), *map(float, row[1:])) for row in rows]
        self.profile: Profile | None = None

    def table(self) -> npt.NDArray[np.float64]:
        """Give all of it as one array, a column for each attribute and figure.

        ``History(table, names)``, with the names of the figures, makes it again.
        """
        return np.array(self._rows, np.float64).reshape(-1, COLUMNS + len(self._names))

    def append(self, epoch: int, cost: float, validation_cost: float | None, seconds: float,
               figures: Mapping[str, float] = NONE) -> None:
        """Add a row; the figures are of the same names in all of them."""
        if not self._rows:
            self._names = tuple(figures)
        self._rows.append((epoch, cost, np.nan if validation_cost is None else validation_cost, seconds,
                           *(figures[name] for name in self._names)))

    @property
    def last(self) -> int:
        """Number of the last epoch, 0 before the first."""
        return int(self._rows[-1][0]) if self._rows else 0

    @property
    def figures(self) -> dict[str, npt.NDArray[np.float64]]:
        """What the optimizer tells of each epoch."""
        return {name: self._column(COLUMNS + i) for i, name in enumerate(self._names)}

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        if not self._rows:
            return "<History: no epochs>"
        return f"<History: {len(self)} epochs, cost {self._rows[0][1]:.4g} -> {self._rows[-1][1]:.4g}>"

    def _column(self, index: int, dtype: Any = np.float64) -> npt.NDArray[Any]:
        return np.array([row[index] for row in self._rows], dtype)

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

    def plot(self, ax: Any = None) -> Any:
        """Draw the cost curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            Without matplotlib (``pip install fastbp[plot]``).
        """
        if ax is None:
            ax = require("matplotlib.pyplot", "plot").subplots()[1]
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

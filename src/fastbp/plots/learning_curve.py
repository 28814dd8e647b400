"""The losses of an estimator's fit, epoch by epoch, in the units that its user knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .display import Display


class LearningCurveDisplay(Display):
    """Losses of training and validation, epoch by epoch, with the epoch whose parameters were kept.

    Parameters
    ----------
    losses : dict of str to dict of str to array_like
        As ``evals_result_`` of `TabularRegressor` and of LightGBM: ``{"training": {"rmse": [...]}, ...}``.
    best_epochs : sequence of int, optional
        Epochs to mark, counted from 1.
    name : str, optional
        A title.

    Attributes
    ----------
    losses : dict
    best_epochs : tuple of int
    name : str or None
    ax_, figure_
        Where it was drawn last.

    Examples
    --------
    >>> import fastbp
    >>> losses = {"training": {"rmse": [3.0, 2.0, 1.0]}, "validation": {"rmse": [3.1, 2.4, 2.6]}}
    >>> display = fastbp.plots.LearningCurveDisplay(losses, best_epochs=[2]).plot()
    >>> display.best_epochs
    (2,)
    """

    def __init__(self, losses: Mapping[str, Mapping[str, npt.ArrayLike]], best_epochs: Any = (), *,
                 name: str | None = None) -> None:
        self.losses = losses
        self.best_epochs = tuple(int(epoch) for epoch in np.atleast_1d(np.asarray(best_epochs, np.int64)))
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, *, name: str | None = None, ax: Any = None) -> LearningCurveDisplay:
        """Draw ``evals_result_`` and ``best_epoch_`` of a fitted estimator.

        Parameters
        ----------
        estimator
            Anything with an ``evals_result_``.
        name : str, optional
            A title, by default the estimator's class.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        LearningCurveDisplay

        Raises
        ------
        TypeError
            If it has no ``evals_result_``.
        ImportError
            Without matplotlib.
        """
        losses = getattr(estimator, "evals_result_", None)
        if losses is None:
            raise TypeError(f"{type(estimator).__name__} has no evals_result_: fit it first")
        return cls(losses, getattr(estimator, "best_epoch_", ()),
                   name=type(estimator).__name__ if name is None else name).plot(ax)

    def plot(self, ax: Any = None) -> LearningCurveDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        LearningCurveDisplay
            self

        Raises
        ------
        ValueError
            If there is nothing to draw.
        """
        curves = {(part, loss): np.asarray(values, np.float64) for part, of_part in self.losses.items()
                  for loss, values in of_part.items()}
        if not any(len(values) for values in curves.values()):
            raise ValueError("there are no epochs to draw: fit first")
        axes = self._axes(ax, (6, 4))
        for (part, _), values in curves.items():
            axes.plot(np.arange(1, len(values) + 1), values, label=part)
        for i, epoch in enumerate(self.best_epochs):
            axes.axvline(epoch, color="0.7", linewidth=1, zorder=0, label="best epoch" if i == 0 else None)
        if all((values > 0).all() for values in curves.values()):
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(", ".join(dict.fromkeys(loss for _, loss in curves)).replace("_", "-"))
        axes.legend()
        if self.name:
            axes.set_title(self.name)
        return self

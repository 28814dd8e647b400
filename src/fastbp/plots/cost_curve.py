"""The costs of a fit, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..training.history import History
from .display import Display, Drawn, fitted_network


class CostCurveDisplay(Display):
    """The costs of the last fit, epoch by epoch.

    Parameters
    ----------
    history : History
        What to show.
    name : str, optional
        A title.

    Attributes
    ----------
    history : History
    name : str or None
    ax_, figure_
        Where it was drawn last.

    Examples
    --------
    >>> import fastbp
    >>> X = [[0.0], [0.5], [1.0]]
    >>> net = fastbp.Network((1, 4, 1), seed=0).fit(X, X, epochs=20)
    >>> display = fastbp.plots.CostCurveDisplay.from_network(net, name="three points")
    >>> display.ax_.get_title()
    'three points'
    """

    def __init__(self, history: History, *, name: str | None = None) -> None:
        self.history = history
        self.name = name

    @classmethod
    def from_network(cls, network: Drawn, *, name: str | None = None, ax: Any = None) -> CostCurveDisplay:
        """Draw the history of a network's last fit.

        Parameters
        ----------
        network : Network
        name : str, optional
            A title.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        CostCurveDisplay

        Raises
        ------
        ValueError
            If it has not been fitted.
        ImportError
            Without matplotlib.
        """
        return cls(network.history, name=name).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, name: str | None = None, ax: Any = None) -> CostCurveDisplay:
        """Draw the ``loss_curve_`` of a fitted estimator, or the history of its ``network_`` where it has none.

        ``validation_loss_curve_`` is drawn where it has a loss for every epoch.

        Parameters
        ----------
        estimator
            Anything with a ``network_``.
        name : str, optional
            A title, by default the estimator's class.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        CostCurveDisplay

        Raises
        ------
        TypeError
            If it has no ``network_``.
        ValueError
            If there is nothing to draw.
        ImportError
            Without matplotlib.
        """
        history = fitted_network(estimator).history  # of its last training, perhaps before it was wrapped, or in part
        if curve := getattr(estimator, "loss_curve_", None):
            others = getattr(estimator, "validation_loss_curve_", ())
            others = others if len(others) == len(curve) else [np.nan] * len(curve)  # not of every fit
            history = History((epoch, *costs, np.nan) for epoch, costs in enumerate(zip(curve, others, strict=True), 1))
        return cls(history, name=type(estimator).__name__ if name is None else name).plot(ax)

    def plot(self, ax: Any = None) -> CostCurveDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        CostCurveDisplay
            self

        Raises
        ------
        ValueError
            If there is nothing to draw.
        """
        if not len(self.history):
            raise ValueError("there are no epochs to draw: fit first")
        self.history.plot(self._axes(ax, (6, 4)))
        if self.name:
            self.ax_.set_title(self.name)
        return self

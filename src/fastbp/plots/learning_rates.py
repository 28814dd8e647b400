"""The costs of a range test of learning rates."""

from __future__ import annotations

from typing import Any

from .display import Display


class LearningRateDisplay(Display):
    """The cost beside the learning rate of a range test, and the rate that it suggests.

    Parameters
    ----------
    found : LearningRateRange
        What `fastbp.Network.learning_rate_range` has found.

    Attributes
    ----------
    found : LearningRateRange
    ax_, figure_
        Where it was drawn last.

    Raises
    ------
    TypeError
        If ``found`` is something else.

    Examples
    --------
    >>> import fastbp
    >>> X = [[0.0], [0.5], [1.0]]
    >>> display = fastbp.plots.LearningRateDisplay.from_network(fastbp.Network((1, 4, 1), seed=0), X, X)
    >>> display.ax_.get_xscale()
    'log'
    """

    def __init__(self, found: Any) -> None:
        if not hasattr(found, "suggested"):
            raise TypeError(f"found is {found!r:.80}, expected what Network.learning_rate_range returns; "
                            "LearningRateDisplay.from_network(network, X, Y) makes the test itself")
        self.found = found

    @classmethod
    def from_network(cls, network: Any, X: Any, Y: Any, *, ax: Any = None, **settings: Any) -> LearningRateDisplay:
        """Make the test with a network, which stays as it is, and draw it.

        Parameters
        ----------
        network : Network
        X, Y : array_like
            Samples.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        **settings
            Of `fastbp.Network.learning_rate_range`.

        Returns
        -------
        LearningRateDisplay

        Raises
        ------
        ValueError, TypeError
            As the test does.
        ImportError
            Without matplotlib.
        """
        return cls(network.learning_rate_range(X, Y, **settings)).plot(ax)

    def plot(self, ax: Any = None) -> LearningRateDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        LearningRateDisplay
            self
        """
        found, axes = self.found, self._axes(ax, (6, 4))
        axes.plot(found.rates, found.costs, color="0.8", label="of a batch")
        axes.plot(found.rates, found.smoothed, label="smoothed")
        axes.axvline(found.suggested, color="black", linestyle=":", label=f"suggested: {found.suggested:.2g}")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("cost")
        axes.set_ylim(top=min(float(found.costs.max()), 2 * float(found.smoothed[0])))
        axes.legend()
        return self

"""Neurons, weights and deltas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..util.optional import require
from .display import Display, Drawn, fitted_network

Array = npt.NDArray[Any]


class NetworkDisplay(Display):
    """A network with its weights, and the deltas of its neurons for one pair: which of them matter to the error.

    Parameters
    ----------
    weights : list of ndarray, shape (n_l, n_{l-1})
        W^l of each layer.
    deltas : list of ndarray, shape (n_l,), optional
        δ_j of each neuron of layers 1 to L.
    most : int, default 12
        Neurons that are drawn of a layer at most: those with the largest ``|δ_j|``, or without deltas those with the
        largest weights.

    Attributes
    ----------
    weights, deltas, most
        As given.
    shown : list of ndarray of int
        Which neurons of each layer, from the inputs on, are drawn.
    lines_ : matplotlib LineCollection
        The weights.
    neurons_ : list of matplotlib PathCollection
        The neurons, layer by layer.
    ax_, figure_
        Where it was drawn last.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 20, 1), seed=0)
    >>> display = fastbp.plots.NetworkDisplay.from_network(net, [0.0, 1.0], [1.0], most=5)
    >>> [len(shown) for shown in display.shown]
    [2, 5, 1]
    """

    def __init__(self, weights: list[Array], deltas: list[Array] | None = None, *, most: int = 12) -> None:
        if most < 1:
            raise ValueError(f"most is {most!r}, expected 1 or more neurons of a layer")
        self.weights, self.deltas, self.most = weights, deltas, most
        sizes = [weights[0].shape[1], *(len(W) for W in weights)]
        matter = [np.abs(W).sum(axis=0) for W in weights]
        matter += [np.abs(weights[-1]).sum(axis=1)]
        if deltas is not None:
            matter[1:] = [np.abs(delta) for delta in deltas]
        self.shown = [np.sort(np.argsort(-value, kind="stable")[:most]) for value in matter]
        self._sizes = sizes
        self.lines_: Any = None
        self.neurons_: list[Any] = []

    @classmethod
    def from_network(cls, network: Drawn, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, *,
                     most: int = 12, ax: Any = None) -> NetworkDisplay:
        """Draw a network, and for a pair (x, y) its deltas (4)(5).

        Parameters
        ----------
        network : Network
        x, y : array_like, shape (n_0,) and (n_L,), optional
            A pair; without it the neurons have no colours. For classes, y may be a class index.
        most : int, default 12
            Neurons that are drawn of a layer at most: those that matter most.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        ValueError
            If one of x and y is given without the other, they do not fit the network, or most is less than 1.
        ImportError
            Without matplotlib.
        """
        if (x is None) != (y is None):
            raise ValueError("deltas belong to a pair: give both x and y, or neither")
        deltas = None
        if x is not None and y is not None:
            deltas = [delta[0] for delta in network.trace(np.reshape(x, (1, -1)), np.reshape(y, (1, -1))).delta]
        return cls([W.copy() for W in network.weights], deltas, most=most).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, *,
                       most: int = 12, ax: Any = None) -> NetworkDisplay:
        """Draw the ``network_`` of a fitted estimator.

        Parameters
        ----------
        estimator
            Anything with a ``network_``.
        x, y : array_like, optional
            A pair as the network takes it: inputs as they are after any scaling, class indices for classes.
        most : int, default 12
            Neurons that are drawn of a layer at most: those that matter most.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        TypeError
            If it has no ``network_``.
        ValueError
            As `from_network`.
        """
        return cls.from_network(fitted_network(estimator), x, y, most=most, ax=ax)

    def plot(self, ax: Any = None) -> NetworkDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        NetworkDisplay
            self
        """
        depth, tallest = len(self.shown), max(map(len, self.shown))
        ax = self._axes(ax, (2.0 + 1.6 * depth, 1.8 + 0.42 * tallest))
        colours = require("matplotlib.colors", "plot")
        height = float(max(tallest - 1, 1))
        places = []
        for shown in self.shown:
            span = min(height, 1.6 * (len(shown) - 1))  # narrow layers stand a little wider apart
            places.append(np.linspace(span / 2, -span / 2, len(shown)))
        ends, values = [], []
        for layer, W in enumerate(self.weights):
            for j, high in zip(self.shown[layer + 1], places[layer + 1], strict=True):
                for k, low in zip(self.shown[layer], places[layer], strict=True):
                    ends.append([(layer, low), (layer + 1, high)])
                    values.append(W[j, k])
        strength = np.abs(values)
        limit = float(strength.max()) or 1.0
        order = np.argsort(strength)  # the strongest on top
        lines = require("matplotlib.collections", "plot").LineCollection
        self.lines_ = lines(np.array(ends)[order], array=np.array(values)[order], cmap="RdBu_r",
                            norm=colours.Normalize(-limit, limit), linewidths=0.3 + 2.2 * strength[order] / limit,
                            zorder=1)
        ax.add_collection(self.lines_)
        bound = max((float(np.abs(delta).max()) for delta in self.deltas or [np.zeros(1)]), default=0.0) or 1.0
        self.neurons_ = []
        for layer, (shown, at) in enumerate(zip(self.shown, places, strict=True)):
            deltas = None if layer == 0 or self.deltas is None else self.deltas[layer - 1][shown]
            own = {"color": "white"} if deltas is None else {"c": deltas, "cmap": "PuOr_r",
                                                             "norm": colours.Normalize(-bound, bound)}
            self.neurons_.append(ax.scatter(np.full(len(shown), layer), at, s=190, edgecolors="0.2", linewidths=1,
                                            zorder=2, **own))
            dark = np.zeros(len(shown), bool) if deltas is None else np.abs(deltas) > 0.6 * bound
            self._label(ax, layer, np.where(dark, "white", "black"), at, height)
        if self.deltas is not None:
            self.figure_.colorbar(self.neurons_[-1], ax=ax, label="δ of the neuron", fraction=0.04, pad=0.02)
        self.figure_.colorbar(self.lines_, ax=ax, label="weight", fraction=0.04, pad=0.02)
        ax.set_xlim(-0.35, depth - 0.65)
        ax.set_ylim(-height / 2 - 1.5, height / 2 + 0.8)
        ax.set_axis_off()
        return self

    def _label(self, ax: Any, layer: int, inks: Array, high: Array, height: float) -> None:
        """Write the neurons' numbers, and below the layer what it is and how many of it are drawn."""
        shown = self.shown[layer]
        for j, y, ink in zip(shown, high, inks, strict=True):
            ax.annotate(str(j + 1), (layer, y), ha="center", va="center", fontsize=7, color=ink, zorder=3)
        kind = "inputs" if layer == 0 else "outputs" if layer == len(self.shown) - 1 else f"layer {layer}"
        size = self._sizes[layer]
        count = str(size) if len(shown) == size else f"{len(shown)} of {size}"
        ax.annotate(f"{kind}\n{count}", (layer, -height / 2 - 0.7), ha="center", va="top", fontsize=9)

"""Pictures of networks, in the manner of scikit-learn's Displays (``pip install fastbp[plot]``).

Each display is made by ``from_network``, or by ``from_estimator`` from anything with a ``network_``, keeps what it
shows as attributes, and draws itself: ``plot(ax)`` draws again, elsewhere. After drawing, ``ax_`` and ``figure_`` are
matplotlib's.

>>> import fastbp
>>> net = fastbp.Network((2, 3, 1), seed=0).fit([[0, 0], [1, 1]], [0, 1], epochs=5)
>>> display = fastbp.plots.CostCurveDisplay.from_network(net)
>>> display.ax_.get_xlabel()
'epoch'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .training.history import History
from .util.optional import require

if TYPE_CHECKING:
    from .network import Network

__all__ = ["CostCurveDisplay", "DecisionRegionDisplay", "NetworkDisplay"]

Array = npt.NDArray[Any]


class _Display:
    """What the displays share: where they were drawn."""

    ax_: Any = None
    figure_: Any = None

    def _axes(self, ax: Any, size: tuple[float, float]) -> Any:
        if ax is None:
            ax = require("matplotlib.pyplot", "plot").subplots(figsize=size, layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def _network(estimator: Any) -> Network:
    network: Network | None = getattr(estimator, "network_", None)
    if network is None:
        raise TypeError(f"{type(estimator).__name__} has no network_: fit it first, or use from_network for a Network")
    return network


def _edges(points: Array) -> tuple[float, float]:
    """Return where the outer pixels of a grid end, whose middles are at its outer points."""
    low, high = float(points.min()), float(points.max())
    half = (high - low) / (max(points.shape) - 1) / 2 if max(points.shape) > 1 else 0.5
    return low - half, high + half


class CostCurveDisplay(_Display):
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
    """

    def __init__(self, history: History, *, name: str | None = None) -> None:
        self.history = history
        self.name = name

    @classmethod
    def from_network(cls, network: Network, *, name: str | None = None, ax: Any = None) -> CostCurveDisplay:
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
        history = _network(estimator).history  # of its last training, perhaps before it was wrapped, or in part
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


class DecisionRegionDisplay(_Display):
    """The classes that a classifier of two inputs gives to the points of a plane.

    Parameters
    ----------
    xx0, xx1 : ndarray, shape (m, m)
        The points: first and second input.
    chances : ndarray, shape (m, m, n_classes)
        The probabilities of the classes at each point; the largest is shown as depth of colour.
    classes : sequence
        What the classes are called.

    Attributes
    ----------
    xx0, xx1, chances, classes
        As given.
    response : ndarray of int, shape (m, m)
        Index of the most probable class of each point.
    surface_ : matplotlib image
        The regions.
    scatter_ : list of matplotlib collections
        The samples, class by class; empty without samples.
    ax_, figure_
        Where it was drawn last.
    """

    def __init__(self, *, xx0: Array, xx1: Array, chances: Array, classes: Sequence[Any]) -> None:
        self.xx0, self.xx1, self.chances, self.classes = xx0, xx1, chances, list(classes)
        self.response = chances.argmax(axis=2)
        self.surface_: Any = None
        self.scatter_: list[Any] = []

    @classmethod
    def from_network(cls, network: Network, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
                     grid_resolution: int = 200, margin: float = 0.1, ax: Any = None) -> DecisionRegionDisplay:
        """Draw the regions of a network, and samples in them.

        Parameters
        ----------
        network : Network
            With two inputs. The class is its largest output; with one output, 1 from 0.5 up, and 0 below.
        X : array_like, shape (n_samples, 2)
            Samples, which the picture holds, with a margin.
        y : array_like, shape (n_samples,), optional
            Class indices of the samples, which are then drawn.
        grid_resolution : int, default 200
            Points along each side.
        margin : float, default 0.1
            Of the range of the samples, on each side.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        DecisionRegionDisplay

        Raises
        ------
        ValueError
            If there are not two inputs.
        ImportError
            Without matplotlib.
        """
        def chances(points: Array) -> Array:
            out = network.predict(points)
            return np.concatenate([1 - out, out], axis=1) if out.shape[1] == 1 else out

        return cls._drawn(chances, range(max(network.layers[-1], 2)), X, y, grid_resolution, margin, ax)

    @classmethod
    def from_estimator(cls, estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
                       grid_resolution: int = 200, margin: float = 0.1, ax: Any = None) -> DecisionRegionDisplay:
        """Draw the regions of a fitted classifier, and samples in them.

        Parameters
        ----------
        estimator
            Anything with a ``network_``, ``classes_`` and ``predict_proba``.
        X : array_like, shape (n_samples, 2)
            Samples, which the picture holds, with a margin.
        y : array_like, shape (n_samples,), optional
            Classes of the samples, which are then drawn.
        grid_resolution : int, default 200
            Points along each side.
        margin : float, default 0.1
            Of the range of the samples, on each side.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        DecisionRegionDisplay

        Raises
        ------
        TypeError
            If it has no ``network_``, or is no classifier.
        ValueError
            If there are not two inputs, or the classes are labels, several of which a sample may have.
        ImportError
            Without matplotlib.
        """
        network = _network(estimator)
        name = type(estimator).__name__
        if not (hasattr(estimator, "classes_") and hasattr(estimator, "predict_proba")):
            raise TypeError(f"{name} has no classes_ and predict_proba: regions are those of a classifier")
        if network.layers[-1] > 1 and network.activations[-1] == "logistic":
            raise ValueError(f"{name} gives each sample {network.layers[-1]} labels of their own, which overlap: "
                             "regions are those of a classifier that chooses one class")
        classes = list(estimator.classes_)
        found = None if y is None else np.array([classes.index(label) for label in np.asarray(y).ravel()])
        return cls._drawn(estimator.predict_proba, classes, X, found, grid_resolution, margin, ax)

    @classmethod
    def _drawn(cls, chances: Any, classes: Sequence[Any], X: Any, y: Any, resolution: int, margin: float,
               ax: Any) -> DecisionRegionDisplay:
        samples = np.asarray(X, float)
        if samples.ndim != 2 or samples.shape[1] != 2:
            raise ValueError(f"X has shape {samples.shape}, expected (n_samples, 2): regions lie in a plane")
        low, high = samples.min(axis=0), samples.max(axis=0)
        room = np.where(high > low, high - low, 1.0) * margin
        sides = [np.linspace(a, b, resolution) for a, b in zip(low - room, high + room, strict=True)]
        xx0, xx1 = np.meshgrid(*sides)
        found = np.asarray(chances(np.column_stack([xx0.ravel(), xx1.ravel()])), float)
        display = cls(xx0=xx0, xx1=xx1, chances=found.reshape(*xx0.shape, -1), classes=classes)
        return display.plot(samples, None if y is None else np.asarray(y).ravel(), ax)

    def plot(self, X: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None,
             ax: Any = None) -> DecisionRegionDisplay:
        """Draw it.

        Parameters
        ----------
        X : array_like, shape (n_samples, 2), optional
            Samples.
        y : array_like of int, shape (n_samples,), optional
            Indices of their classes; without them no samples are drawn.
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        DecisionRegionDisplay
            self
        """
        ax = self._axes(ax, (6, 5))
        colours = require("matplotlib", "plot").colormaps["tab10" if len(self.classes) <= 10 else "tab20"]
        shades = np.array([colours(i % colours.N)[:3] for i in range(len(self.classes))])
        chance = 1 / max(len(self.classes), 2)
        depth = 0.1 + 0.5 * np.clip((self.chances.max(axis=2, keepdims=True) - chance) / (1 - chance), 0, 1)
        picture = 1 - depth * (1 - shades[self.response])
        extent = (*_edges(self.xx0), *_edges(self.xx1))
        self.surface_ = ax.imshow(picture, origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
        if len(np.unique(self.response)) > 1:
            for i in np.unique(self.response):
                lead = self.chances[..., i] - np.delete(self.chances, i, axis=2).max(axis=2)
                ax.contour(self.xx0, self.xx1, lead, [0], colors="0.3", linewidths=0.8)
        self.scatter_ = []
        if X is not None and y is not None:
            samples, labels = np.asarray(X), np.asarray(y)
            for i, label in enumerate(self.classes):
                mine = samples[labels == i]
                self.scatter_.append(ax.scatter(mine[:, 0], mine[:, 1], s=18, color=shades[i], edgecolors="white",
                                                linewidths=0.5, label=str(label)))
            ax.legend(title="class", loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
        ax.set_xlabel("input 1")
        ax.set_ylabel("input 2")
        ax.locator_params(nbins=6)
        return self


class NetworkDisplay(_Display):
    """A network with its weights, and the deltas of its neurons for one pair: which of them matter to the error.

    Parameters
    ----------
    weights : list of ndarray, shape (n_l, n_{l-1})
        W^l of each layer.
    deltas : list of ndarray, shape (n_l,), optional
        δ_j of each neuron of layers 1 to L.
    most : int, default 12
        Neurons that are drawn of a layer at most: those with the largest |δ_j|, or without deltas those with the
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
    def from_network(cls, network: Network, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, *,
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
        return cls.from_network(_network(estimator), x, y, most=most, ax=ax)

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

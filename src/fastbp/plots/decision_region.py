"""The classes of the points of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..util.optional import require
from .display import Display, Drawn, fitted_network

Array = npt.NDArray[Any]


def _edges(points: Array) -> tuple[float, float]:
    """Return where the outer pixels of a grid end, whose middles are at its outer points."""
    low, high = float(points.min()), float(points.max())
    half = (high - low) / (max(points.shape) - 1) / 2 if max(points.shape) > 1 else 0.5
    return low - half, high + half


class DecisionRegionDisplay(Display):
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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = (X[:, 0] > 0).astype(int)
    >>> net = fastbp.Network((2, 4, 2), cost="cross_entropy", seed=0).fit(X, y, epochs=20)
    >>> display = fastbp.plots.DecisionRegionDisplay.from_network(net, X, y)
    >>> len(display.scatter_)
    2
    """

    def __init__(self, *, xx0: Array, xx1: Array, chances: Array, classes: Sequence[Any]) -> None:
        self.xx0, self.xx1, self.chances, self.classes = xx0, xx1, chances, list(classes)
        self.response = chances.argmax(axis=2)
        self.surface_: Any = None
        self.scatter_: list[Any] = []

    @classmethod
    def from_network(cls, network: Drawn, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
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
            out = network.predict(points).reshape(len(points), -1)
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
        network = fitted_network(estimator)
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

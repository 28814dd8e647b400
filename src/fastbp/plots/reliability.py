"""How often classes come true, beside the probability that was said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .display import Display

Doubles = npt.NDArray[np.float64]


class ReliabilityDisplay(Display):
    """How often what is predicted comes true, by the probability that is said of it (Murphy & Winkler 1977).

    Points below the diagonal are of predictions that are too sure. Their areas are the numbers of rows.

    Parameters
    ----------
    said, came_true : array_like, shape (n_bins,)
        The mean probability of the rows of each bin, and the share of those that came true.
    counts : array_like of int, shape (n_bins,)
        Rows of each.
    name : str, optional
        A title.

    Attributes
    ----------
    said, came_true, counts : ndarray
        Without empty bins.
    calibration_error : float
        The expected calibration error, ``Σ counts |came_true − said| / Σ counts`` (Naeini et al. 2015).
    name : str or None
    ax_, figure_
        Where it was drawn last.

    Examples
    --------
    >>> import fastbp
    >>> display = fastbp.plots.ReliabilityDisplay([0.25, 0.75], [0.25, 0.5], [4, 4]).plot()
    >>> display.calibration_error
    0.125
    """

    def __init__(self, said: npt.ArrayLike, came_true: npt.ArrayLike, counts: npt.ArrayLike, *,
                 name: str | None = None) -> None:
        self.counts = np.asarray(counts, np.int64)
        some = self.counts > 0
        self.said, self.came_true = np.asarray(said, np.float64)[some], np.asarray(came_true, np.float64)[some]
        self.counts = self.counts[some]
        total = max(int(self.counts.sum()), 1)
        self.calibration_error = float(self.counts @ np.abs(self.came_true - self.said) / total)
        self.name = name

    @classmethod
    def from_predictions(cls, came_true: npt.ArrayLike, probabilities: npt.ArrayLike, *, n_bins: int = 10,
                         name: str | None = None, ax: Any = None) -> ReliabilityDisplay:
        """Draw what came true of predictions.

        Parameters
        ----------
        came_true : array_like, shape (n_samples,)
            Class indices; or booleans, where there is one probability a row.
        probabilities : array_like, shape (n_samples,) or (n_samples, n_classes)
            Of being true; or of each class: of two the second counts, of more the most probable of each row.
        n_bins : int, default 10
            Bins of equal width between 0 and 1.
        name : str, optional
            A title.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If the arrays do not fit each other, or hold no probabilities.
        ImportError
            Without matplotlib.
        """
        p, truth = np.asarray(probabilities, np.float64), np.asarray(came_true)
        if p.ndim not in (1, 2) or truth.shape != p.shape[:1] or not len(p):
            raise ValueError(f"came_true has shape {truth.shape} and probabilities {p.shape}, expected (n,) and (n,), "
                             "or (n, n_classes)")
        if not (p.min() >= 0 and p.max() <= 1):
            raise ValueError(f"probabilities are from {p.min():g} to {p.max():g}, expected 0 to 1")
        if not (isinstance(n_bins, (int, np.integer)) and n_bins > 0):
            raise ValueError(f"n_bins is {n_bins!r}, expected a whole number from 1 up")
        if p.ndim == 2 and p.shape[1] == 2:
            p, truth = p[:, 1], truth == 1
        elif p.ndim == 2:
            p, truth = p.max(axis=1), truth == p.argmax(axis=1)
        place = np.minimum((p * n_bins).astype(np.int64), n_bins - 1)
        counts = np.bincount(place, minlength=n_bins)
        said, right = (np.bincount(place, values, n_bins) / np.maximum(counts, 1) for values in (p, truth))
        return cls(said, right, counts, name=name).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: npt.ArrayLike, *, n_bins: int = 10, name: str | None = None,
                       ax: Any = None) -> ReliabilityDisplay:
        """Draw what came true of ``predict_proba``.

        Parameters
        ----------
        estimator
            A fitted classifier, with ``predict_proba`` and ``classes_``.
        X : frame or array_like
            Rows that it has not been fitted to.
        y : array_like, shape (n_samples,)
            Their classes.
        n_bins : int, default 10
            Bins of equal width between 0 and 1.
        name : str, optional
            A title, by default the estimator's class.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If a class is none of the estimator's.
        ImportError
            Without matplotlib.
        """
        names, given = np.asarray(estimator.classes_), np.asarray(y)
        codes = np.minimum(np.searchsorted(names, given), len(names) - 1)
        if (wrong := names[codes] != given).any():
            raise ValueError(f"y has the class {given[wrong].tolist()[0]!r}, which the estimator does not know")
        return cls.from_predictions(codes, estimator.predict_proba(X), n_bins=n_bins, ax=ax,
                                    name=type(estimator).__name__ if name is None else name)

    def plot(self, ax: Any = None) -> ReliabilityDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        ReliabilityDisplay
            self
        """
        axes = self._axes(ax, (4.5, 4.5))
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
        axes.plot(self.said, self.came_true, linewidth=1, color="C0",
                  label=f"calibration error {self.calibration_error:.3f}")
        axes.scatter(self.said, self.came_true, 20 + 180 * self.counts / max(int(self.counts.sum()), 1), color="C0")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel="probability that was said",
                 ylabel="share that came true")
        axes.legend(loc="upper left")
        if self.name:
            axes.set_title(self.name)
        return self

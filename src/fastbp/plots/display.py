"""What the displays share."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

from ..derivatives.trace import Trace
from ..training.history import History
from ..util.optional import require

Array = npt.NDArray[Any]


class Drawn(Protocol):
    """What is drawn of a `Network`."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Neurons of each layer."""

    @property
    def activations(self) -> tuple[str, ...]:
        """Their names."""

    @property
    def weights(self) -> tuple[Array, ...]:
        """W^l of each layer."""

    @property
    def history(self) -> History:
        """The record of the last fit."""

    def predict(self, X: npt.ArrayLike) -> Array:
        """Compute the outputs."""

    def trace(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> Trace:
        """Show what each neuron did."""


class Display:
    """What the displays share: where they were drawn."""

    ax_: Any = None
    figure_: Any = None

    def _axes(self, ax: Any, size: tuple[float, float]) -> Any:
        if ax is None:
            ax = require("matplotlib.pyplot", "plot").subplots(figsize=size, layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def fitted_network(estimator: Any) -> Drawn:
    """Return the ``network_`` of an estimator."""
    network: Drawn | None = getattr(estimator, "network_", None)
    if network is None:
        raise TypeError(f"{type(estimator).__name__} has no network_: fit it first, or use from_network for a Network")
    return network

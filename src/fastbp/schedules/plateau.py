"""A schedule that watches the cost or a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kernels.tables import HYPER_BEST_COST, HYPER_RATE, HYPER_WAITED
from ..metrics import direction
from ..util.settings import Check, between, count, not_negative, positive, share, whole
from .curves import Schedule


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """μ is multiplied by a factor whenever the cost has not gone down for some epochs.

    It watches the validation cost where there is one, else the training cost; or a metric.

    Parameters
    ----------
    learning_rate : float
        μ > 0, of the first epochs.
    factor : float, default 0.1
        Above 0, up to 1.
    patience : int, default 10
        Epochs without progress after which μ falls.
    min_delta : float, default 0
        Progress is a cost below the best so far by more than this, or a metric that is better by more.
    lowest : float, default 0
        μ does not fall below it.
    metric : str, optional
        The name of a metric to watch in place of the cost, one of those that ``fit(metrics=...)`` records.
    higher_is_better : bool, optional
        Whether more of the metric is better: to be said of a function of your own, known of all others.

    Raises
    ------
    ValueError
        If a number is out of range, or it is not known whether more of the metric is better; in `Network.fit`, if it
        does not record the metric.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> rate = fastbp.schedules.ReduceOnPlateau(10.0, patience=2)
    >>> rates = []
    >>> net = fastbp.Network((1, 4, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, x**2, epochs=30, optimizer=fastbp.Adam(rate),
    ...               callbacks=[lambda record: rates.append(record.learning_rate)])
    >>> bool(rates[-1] < rates[0] == 10)
    True
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    lowest: float = 0.0
    metric: str | None = None
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "metric", direction(self, self.metric, self.higher_is_better)[0])
        positive(self, "learning_rate", self.learning_rate)
        share(self, "factor", self.factor)
        count(self, "patience", self.patience)
        not_negative(self, "min_delta", self.min_delta)
        not_negative(self, "lowest", self.lowest)

    @property
    def varying(self) -> dict[str, tuple[Check, int]]:
        """What it remembers, with the optimizer's numbers: what each must be, and its cell.

        A metric of which more is better is negated there.
        """
        return {"best_cost": (between(-math.inf, math.inf), HYPER_BEST_COST),
                "waited": (whole(-1, self.patience - 1), HYPER_WAITED)}

    def watch(self, hyper: npt.NDArray[np.float64], cost: float, values: Mapping[str, float]) -> None:
        """Take note of an epoch's cost or metric; what it remembers lies in ``hyper``, with the optimizer's numbers."""
        if self.metric is not None:  # there is none where a function of the user's has raised
            cost = direction(self, self.metric, self.higher_is_better)[1] * values.get(self.metric, math.nan)
        if hyper[HYPER_WAITED] < 0:
            hyper[HYPER_BEST_COST], hyper[HYPER_WAITED] = math.inf, 0
        if -math.inf < cost < hyper[HYPER_BEST_COST] - self.min_delta:
            hyper[HYPER_BEST_COST], hyper[HYPER_WAITED] = cost, 0
            return
        hyper[HYPER_WAITED] += 1
        if hyper[HYPER_WAITED] == self.patience:
            hyper[HYPER_RATE] = min(max(hyper[HYPER_RATE] * self.factor, self.lowest), hyper[HYPER_RATE])
            hyper[HYPER_WAITED] = 0

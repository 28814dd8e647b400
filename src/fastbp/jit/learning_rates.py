"""A range test of learning rates: `Network.learning_rate_range`."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import optimizers
from ..core import arrays
from ..optimizers import Optimizer, UpdateRule
from ..training.errors import DivergenceError
from ..training.progress import Trainable
from ..util.settings import is_number
from .make import check_rule
from .on_batch import train_on_batch

Doubles = npt.NDArray[np.float64]

SMOOTH = 0.9
"""Weight of the past in the running mean of the costs."""

BEYOND = 4.0
"""How many times its least the smoothed cost may be before the test ends."""


class LearningRateRange(NamedTuple):
    """What a range test has found; see `Network.learning_rate_range`."""

    rates: Doubles
    """The learning rate of each step."""
    costs: Doubles
    """The mean cost of each batch before its step."""
    smoothed: Doubles
    """Their running mean, which the suggestion goes by."""
    suggested: float
    """A tenth of the rate at which the smoothed cost is least."""


def learning_rate_range(self: Trainable, X: npt.ArrayLike, Y: npt.ArrayLike, *, smallest: float = 1e-6,
                        largest: float = 10.0, steps: int = 200, batch_size: int = 32,
                        optimizer: str | Optimizer = "adam") -> LearningRateRange:
    """Train a copy while the learning rate grows from step to step, and tell how the cost went (Smith 2017, section 3).

    Parameters
    ----------
    X, Y : array_like
        As in `train_on_batch`: samples to draw batches from, in a new order in each pass.
    smallest, largest : float, default 1e-6 and 10
        The first and the last learning rate; between them each is the same multiple of the one before.
    steps : int, default 200
        Updates, at least 20.
    batch_size : int, default 32
        Samples in each.
    optimizer : str or Optimizer, default "adam"
        An update rule; its learning rate is not used.

    Returns
    -------
    LearningRateRange
        A NamedTuple of rates, costs, smoothed and suggested. It ends where the smoothed cost is 4 times its least, or
        the copy diverges.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or the first steps diverge already.

    Notes
    -----
    This network stays as it is. The suggestion is a rate to begin with, not the best one: compare a third and three
    times of it. Where the cost is least the rate is about to be too large; the steepest place, which others take, is
    one of noise where batches are small. `fastbp.plots.LearningRateDisplay` draws it.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    >>> found = fastbp.Network((2, 16, 1), seed=0).learning_rate_range(X, X[:, 0] * X[:, 1])
    >>> 1e-3 < found.suggested < 0.1
    True
    """
    for name, value in (("smallest", smallest), ("largest", largest)):
        if not (is_number(value) and value > 0):
            raise ValueError(f"{name} is {value!r}, expected a positive number")
    if largest <= smallest:
        raise ValueError(f"largest is {largest!r}, expected more than smallest, {smallest!r}")
    rates = np.geomspace(smallest, largest, arrays.whole("steps", steps, 20))
    size = arrays.whole("batch_size", batch_size)
    method = optimizers.get(optimizer)
    if isinstance(method, UpdateRule):
        method = dataclasses.replace(method, learning_rate=smallest)
    method = check_rule(method)
    samples, copy = self._samples(X, Y), self.copy()  # type: ignore[attr-defined]
    costs, smoothed, n = [], [], len(samples)
    mean, order, at = 0.0, copy.generator.permutation(n), 0
    inputs: Any = samples.inputs
    targets = samples.targets
    for i, rate in enumerate(rates):
        if at + size > n:
            order, at = copy.generator.permutation(n), 0
        rows, at = order[at : at + size], at + size
        if i:
            copy._progress.set_learning_rate(float(rate))
        try:
            cost = train_on_batch(copy, inputs[rows], targets[rows], optimizer=method)
        except DivergenceError:
            break
        mean = SMOOTH * mean + (1 - SMOOTH) * cost
        costs.append(cost)
        smoothed.append(mean / (1 - SMOOTH ** (i + 1)))
        if i > 10 and smoothed[-1] > BEYOND * min(smoothed):
            break
    if len(costs) < 12:
        raise ValueError(f"the first steps, with a learning rate of {smallest!r}, diverge: give a smaller one, or "
                         "standardise X and Y")
    used = rates[: len(costs)]
    return LearningRateRange(used, np.array(costs), np.array(smoothed), float(used[int(np.argmin(smoothed))]) / 10)

"""How far a network is trained: its history, and what a fit that resumes takes up again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.conversion import owned
from ..core.model import Model
from ..kernels import tables
from ..optimizers.base import Optimizer
from .callbacks import Best
from .history import History

Array = npt.NDArray[Any]


@dataclass
class Progress:
    """What ``fit(resume=True)`` takes up again: the optimizer with its state, and the place in the random stream."""

    optimizer: Optimizer
    state: Array
    hyper: npt.NDArray[np.float64]
    key: int
    epochs: int = 0
    stopping: list[Best] = field(default_factory=list)
    """What the `EarlyStopping` of the last fit had seen."""

    def go_on_with(self, optimizer: Optimizer) -> None:
        """Go on with the settings of an optimizer that takes this one's state over (`Optimizer.takes_over`)."""
        hyper = self.hyper.copy()
        optimizer.write_changes(self.optimizer, hyper, self.epochs)
        self.optimizer, self.hyper = optimizer, hyper

    @property
    def learning_rate(self) -> float:
        """The learning rate in use, NaN with a method that has none."""
        return float(self.hyper[tables.HYPER_RATE]) if hasattr(self.optimizer, "learning_rate") else math.nan

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the epochs that follow, also of a fit that resumes."""
        self.optimizer.set_learning_rate(self.hyper, rate)

    def own(self, n_parameters: int, dtype: np.dtype[Any]) -> None:
        """Have arrays of its own, that kernels can write to, of the sizes that they write."""
        self.state = owned("the optimizer's state", self.state, (self.optimizer.slots * n_parameters,), dtype)
        self.hyper = owned("the optimizer's numbers", self.hyper, (tables.HYPER_COUNT,), np.dtype("d"))
        for best in self.stopping:
            if best.parameters is not None:
                best.parameters = owned("the best parameters", best.parameters, (n_parameters,), dtype)


class Trainable(Model):
    """A model with the record of its training: what `training.loop` takes.

    Attributes
    ----------
    history : History
        The record of the last fit.
    """

    history: History
    _progress: Progress | None

    def _begin(self, seed: int | None) -> None:
        """Draw first weights; forget history and training."""
        super()._begin(seed)
        self._forget()

    def _forget(self, progress: Progress | None = None) -> None:
        """Forget history and training, but for what a fit begins with."""
        self.__dict__.update(history=History(), _progress=progress)  # `Network.__setattr__` looks at each

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what single steps are made with: addresses, and views of what is copied."""
        state = super().__getstate__()
        state.pop("_steppers", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what was pickled, with arrays of our own."""
        super().__setstate__(state)
        if self._progress is not None:
            self._progress.own(self.n_parameters, self.dtype)


def new_progress(network: Trainable, optimizer: Optimizer) -> Progress:
    """Begin at epoch 0 with a fresh key."""
    state = np.zeros(optimizer.slots * network.n_parameters, network.dtype)
    return Progress(optimizer, state, optimizer.hyper(), new_key(network))


LARGEST_KEY = 2**63 - 1
"""Keys are below it."""


def new_key(network: Trainable) -> int:
    """Draw the key of a training: of shuffles and noise.

    It is what ``integers(LARGEST_KEY)`` of NumPy's generator draws, by the same multiplication of 64 random bits
    (Lemire 2019), in a fifth of its time.
    """
    bits = network.generator.bit_generator
    if type(bits) is not np.random.PCG64:
        return int(network.generator.integers(LARGEST_KEY))
    while (product := bits.random_raw() * LARGEST_KEY) % 2**64 < 2:
        pass
    return product >> 64

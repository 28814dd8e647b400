"""How a network is built and trained for a table of so many rows: every setting is a named constant with its reason.

The recipe is RealMLP's (Holzmüller et al. 2024) as far as it pays here; what differs says why.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..costs import Cost
from ..network import Network
from ..optimizers.update_rules import Adam
from ..regularization import Regularization
from ..schedules import Cosine

AUTO = "auto"

N_PIECES = {False: 24, True: 0}
"""Of each number, for regression and for classes: in the place of RealMLP's periodic embedding, without which its paper
has a fifth more error in regression and 2 % in classification. In trials on one split of development
sets they helped regression, and classes not clearly."""

HIDDEN_LAYERS = (128, 128, 128)
"""Three hidden layers as RealMLP's, of half their width, with a quarter of the weights between them; other widths have
not been compared."""

ACTIVATION = "mish"
"""RealMLP's of regression; its SELU of classes is another one to try."""

LEARNING_RATE = 0.003
"""Of weights that begin with unit variance of the net inputs: RealMLP's 0.04 and 0.2 are of weights √n_in times as
large. In the same trials it did a little better than 0.01."""

WEIGHT_DECAY = 0.1
"""λ of each update's share μλ: RealMLP's 0.02 with rates thirty times as large."""

DROPOUT = 0.15
"""RealMLP's: in the same trials errors were larger without it and decay."""

BETA_2 = 0.95
"""RealMLP's: a default 0.999 costs it 2 % of error with classes and 23 % with numbers, by its paper."""

EPOCHS = 256
"""RealMLP's, for up to `FEW_ROWS` rows; fewer for more have not been compared."""

LEAST_EPOCHS = 24
"""With however many rows."""

FEW_ROWS = 4_000
"""Rows up to which epochs are `EPOCHS`; beyond, they fall with the square root of the rows."""

BATCH_SIZES = ((1_000, 64), (8_000, 128), (30_000, 256), (100_000, 512))
"""Up to so many rows, so many samples in an update; RealMLP's automatic sizes."""

LARGEST_BATCH = 1024

LABEL_SMOOTHING = 0.0
"""RealMLP's 0.1 is for accuracy alone: what is chosen by here is the log-loss."""

N_FOLDS = 6
"""One member keeps back one row in six to choose its epoch by, where RealMLP has one in five; not compared."""


@dataclass(frozen=True)
class Recipe:
    """The settings of the networks of one estimator."""

    hidden_layer_sizes: tuple[int, ...]
    activation: str
    learning_rate: float
    epochs: int
    batch_size: int
    weight_decay: float
    dropout: float
    label_smoothing: float
    n_pieces: int

    def network(self, n_inputs: int, n_outputs: int, cost: str | Cost, seed: int) -> Network:
        """Return an untrained network."""
        return Network((n_inputs, *self.hidden_layer_sizes, n_outputs), self.activation, cost=cost, seed=seed)

    def schedule(self) -> Callable[[float], float]:
        """Return the learning rate after a part of the epochs, between 0 and 1."""
        wave = Cosine(self.learning_rate, self.epochs)
        return lambda part: wave(part * self.epochs) if part < 1 else 0.0  # type: ignore[arg-type]

    def optimizer(self, schedule: Callable[[int], float] | None = None) -> Adam:
        """Return the update rule, with a schedule of the caller's in place of the recipe's."""
        return Adam(Cosine(self.learning_rate, self.epochs) if schedule is None else schedule, beta2=BETA_2)

    def regularization(self) -> Regularization | None:
        """Return what is done against overfitting, or None."""
        if not (self.weight_decay or self.dropout or self.label_smoothing):
            return None
        return Regularization(weight_decay=self.weight_decay, dropout=self.dropout,
                              label_smoothing=self.label_smoothing)


def choose(n_rows: int, is_classifier: bool, **settings: Any) -> Recipe:
    """Return the recipe for so many rows to train on, with the settings that are not "auto" in the place of its own."""
    batch_size = next((size for rows, size in BATCH_SIZES if n_rows <= rows), LARGEST_BATCH)
    epochs = EPOCHS if n_rows <= FEW_ROWS else max(LEAST_EPOCHS, round(EPOCHS * (FEW_ROWS / n_rows) ** 0.5))
    chosen = Recipe(HIDDEN_LAYERS, ACTIVATION, LEARNING_RATE, epochs, min(batch_size, n_rows),
                    WEIGHT_DECAY, DROPOUT, LABEL_SMOOTHING, N_PIECES[is_classifier])
    own = {name: value for name, value in settings.items() if not (isinstance(value, str) and value == AUTO)}
    if "hidden_layer_sizes" in own:
        own["hidden_layer_sizes"] = tuple(operator.index(size) for size in own["hidden_layer_sizes"])
    return replace(chosen, **{name: type(getattr(chosen, name))(value) for name, value in own.items()})

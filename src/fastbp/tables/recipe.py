"""How a network is built and trained for a table of so many rows: every setting is a named constant with its reason.

The recipe is RealMLP's (Holzmüller, Grinsztajn & Steinwart 2024, "Better by default", arXiv 2407.04491), with what pays
here changed. Figures are of docs/tables.md, "What each part is worth": development sets, rows that nothing was chosen
by, and no row of the test parts of `bench.tables`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..costs import Cost
from ..encoders import Encoder, Periodic
from ..network import Network
from ..optimizers.update_rules import AdamW
from ..regularization import Regularization
from ..schedules import Cosine, CosLog

AUTO = "auto"

N_PIECES = {False: 24, True: 0}
N_FREQUENCIES = {False: 16, True: 16}
HIDDEN_LAYERS = (128, 128, 128)
ACTIVATION = {False: "parametric(mish)", True: "parametric(selu)"}
LEARNING_RATE = {False: 0.05, True: 0.04}
WEIGHT_DECAY = 0.02
DROPOUT = 0.15
LABEL_SMOOTHING = {False: 0.0, True: 0.1}
BETA_2 = 0.95
WAVES = 4
WAVE_ENDS = tuple((2**i - 1) / (2**WAVES - 1) for i in range(1, WAVES + 1))
LEAST_WAVE = 5
FIRST_PEAK = (2**0.5 - 1) / (2**WAVES - 1)
FLAT = 0.5
AVERAGE = 0.9
WARM_UP = 10
RATES = {"biases": 0.1, "alphas": 0.1, "scaling": 6.0}
PERIODIC_RATE = 0.1
EPOCHS = 256
LEAST_EPOCHS = 24
TRIAL = 0.25
FEW_ROWS = 4_000
BATCH_SIZES = ((1_000, 64), (8_000, 128), (30_000, 256), (100_000, 512))
LARGEST_BATCH = 1024
N_FOLDS = 10
LEAST_KEPT = 60
LEAST_FOLDS = 6


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
    n_frequencies: int

    def of_trial(self) -> Recipe:
        """Return it with the epochs of a trial."""
        return replace(self, epochs=max(round(TRIAL * self.epochs), 1))

    def network(self, n_inputs: int, n_outputs: int, cost: str | Cost, seed: int,
                encoders: Sequence[Encoder]) -> Network:
        """Return an untrained network."""
        return Network((n_inputs, *self.hidden_layer_sizes, n_outputs), self.activation, cost=cost, seed=seed,
                       encoders=encoders, scaling=True)

    def optimizer(self, network: Network, part: Callable[[int], float] | None = None) -> AdamW:
        """Return the update rule for a network.

        RealMLP divides each layer's net inputs by the square root of its n inputs, so that weights are √n times as
        large as here: an Adam step of μ there is one of μ/√n here, and a share μλ of a weight is the same.

        Parameters
        ----------
        network : Network
        part : callable, optional
            Takes the number of epochs done and returns which part of the fit is done; without it the rate and the
            decay go with the updates.
        """
        rates = {name: rate for name, rate in RATES.items() if name != "alphas" or any(a.size for a in network.alphas)}
        rates |= {f"encoders[{i}]": PERIODIC_RATE for i, encoder in enumerate(network.encoders)
                  if isinstance(encoder, Periodic)}
        decays = rates | {"biases": 0.0}
        for layer, weights in enumerate(network.weights):
            rates[f"weights[{layer}]"] = of_layer(weights.shape[1])
            decays[f"weights[{layer}]"] = 1 / of_layer(weights.shape[1])
        return AdamW(_along(CosLog(self.learning_rate, waves=WAVES), part), beta2=BETA_2,
                     weight_decay=_fading(self.weight_decay, part), rate_factors=rates, decay_factors=decays)

    def regularization(self, part: Callable[[int], float] | None = None) -> Regularization | None:
        """Return what is done against overfitting beside weight decay, or None."""
        if not (self.dropout and self.hidden_layer_sizes or self.label_smoothing):
            return None
        dropout = _fading(self.dropout, part) if self.hidden_layer_sizes else 0.0
        return Regularization(dropout=dropout, label_smoothing=self.label_smoothing)


def of_layer(n_inputs: int) -> float:
    """Return the factor of the learning rate of a layer's weights."""
    return 1 / math.sqrt(n_inputs)


def _fading(value: float, part: Callable[[int], float] | None) -> Any:
    """Return a value that fades in the second half of the fit."""
    return _along(Cosine(value, flat=FLAT, per="update"), part) if value else 0.0


def _along(curve: CosLog | Cosine, part: Callable[[int], float] | None) -> Any:
    """Return a curve that goes with the updates, or with the part of the fit that is done."""
    return curve if part is None else lambda epoch: curve(part(epoch), 1)  # type: ignore[arg-type]


def choose(n_rows: int, is_classifier: bool, **settings: Any) -> Recipe:
    """Return the recipe for so many rows to train on, with the settings that are not "auto" in the place of its own."""
    batch_size = next((size for rows, size in BATCH_SIZES if n_rows <= rows), LARGEST_BATCH)
    epochs = EPOCHS if n_rows <= FEW_ROWS else max(LEAST_EPOCHS, round(EPOCHS * (FEW_ROWS / n_rows) ** 0.5))
    chosen = Recipe(HIDDEN_LAYERS, ACTIVATION[is_classifier], LEARNING_RATE[is_classifier], epochs,
                    min(batch_size, n_rows), WEIGHT_DECAY, DROPOUT, LABEL_SMOOTHING[is_classifier],
                    N_PIECES[is_classifier], N_FREQUENCIES[is_classifier])
    own = {name: value for name, value in settings.items() if not (isinstance(value, str) and value == AUTO)}
    if "hidden_layer_sizes" in own:
        own["hidden_layer_sizes"] = tuple(operator.index(size) for size in own["hidden_layer_sizes"])
    return replace(chosen, **{name: type(getattr(chosen, name))(value) for name, value in own.items()})


def folds(n_rows: int, n_members: int) -> int:
    """Return into how many parts so many rows are dealt."""
    return max(n_members, min(N_FOLDS, max(n_rows // LEAST_KEPT, LEAST_FOLDS)))

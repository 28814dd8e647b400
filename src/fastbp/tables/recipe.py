"""How a network is built and trained for a table of so many rows: every setting is a named constant with its reason.

The recipe is RealMLP's (Holzmüller, Grinsztajn & Steinwart 2024, "Better by default", arXiv 2407.04491), with what pays
here changed. Figures are of docs/explanation/tables.md, "What each part is worth", unless they are called those of
trials: one inner split of development sets, without any test row of `bench.tables`. Another seed alone changes RMSE by
1 %, errors of classes by 4 % and their log-loss by 1 %.
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

HIDDEN_LAYERS = (128, 128, 128)
"""Three, as RealMLP's, of half their width: with 256 errors were the same, log-loss 5 % less, and a fit took twice as
long."""

ACTIVATION = {False: "parametric(mish)", True: "parametric(selu)"}
"""RealMLP's, for numbers and for classes. Without α the log-loss was 3 % more and RMSE the same; in trials Mish was no
better for classes."""

N_FREQUENCIES = {False: 16, True: 16}
"""Of a number, in `Periodic`: RealMLP's. Without it RMSE was 1 % more, on smooth functions much more (0.15 in place of
0.10, in trials), and of classes the log-loss 18 %."""

N_PIECES = {False: 24, True: 0}
"""Of a number, at most, beside its periodic embedding, where a trial speaks for them: RMSE was 3 % more without any,
and on smooth functions, in trials, 37 % more with pieces always. Classes gained nothing by them in trials."""

TRIAL = 0.25
"""The part of the epochs that each of the two networks of the trial has: it takes 0.6 s of 3,000 rows on one core."""

LEARNING_RATE = {False: 0.05, True: 0.04}
"""RealMLP has 0.2 and 0.04, with larger batches and so fewer updates; in trials on five sets RMSE was 2 % less with
0.05 than with 0.2. Half and twice as much were no better."""

RATES = {"biases": 0.1, "alphas": 0.1, "scaling": 6.0}
"""Factors of the learning rate and of the decay, by group: RealMLP's. With biases as fast as weights the log-loss was 5
% more; without a scaling layer RMSE was 1 % more and log-loss 4 % less, which is little beside another seed."""

PERIODIC_RATE = 0.1
"""The same of the periodic embedding; RealMLP's."""

WAVES = 4
"""Of the learning rate, each twice as long as the one before (coslog4): RealMLP's. One wave alone was as good for
numbers, and took 1.3 and 2.3 times as long, as there is no early end."""

WAVE_ENDS = tuple((2**i - 1) / (2**WAVES - 1) for i in range(1, WAVES + 1))
"""Parts of the fit after which the learning rate is 0. Where a wave has brought no better epoch, training ends: with
all of them errors were the same, and a fit took 1.4 (numbers) and 2.5 times (classes) as long."""

LEAST_WAVE = 5
"""Epochs of such a wave: what fewer bring is chance."""

FIRST_PEAK = (2**0.5 - 1) / (2**WAVES - 1)
"""The part of the fit at which the learning rate is at its first highest: where time is limited, and one epoch may be
all there is, it begins there."""

BETA_2 = 0.95
"""RealMLP's. Against 0.999, where its paper has 23 % and 2 % more error, it is worth 0.2 % and 1 % here: there are more
updates, and the average below."""

AVERAGE = 0.9
"""The share that the mean of the epochs so far has in the next one. Without an average RMSE was 2.5 % more, errors of
classes 6 %."""

WARM_UP = 10
"""After n epochs that share is n/(n + 10), if that is less."""

WEIGHT_DECAY = 0.02
"""RealMLP's: without it RMSE was 3 % more, log-loss 4 %."""

DROPOUT = 0.15
"""RealMLP's; without it errors were the same."""

FLAT = 0.5
"""The part of the fit in which decay and dropout stay what they are before they fade: RealMLP's. Where they stay errors
were the same."""

LABEL_SMOOTHING = {False: 0.0, True: 0.1}
"""RealMLP's for accuracy. As probabilities are divided by a temperature, log-loss gains by it too: without it errors
were 21 % more, and log-loss 12 %."""

EPOCHS = 256
"""RealMLP's, for up to `FEW_ROWS` rows: twice as many brought nothing in trials. For more rows fewer, so that 50,000
rows of 50 numbers take 20 s of one core."""

LEAST_EPOCHS = 24
"""With however many rows."""

FEW_ROWS = 4_000
"""Rows up to which epochs are `EPOCHS`; beyond, they fall with the square root of the rows."""

BATCH_SIZES = ((1_000, 64), (8_000, 128), (30_000, 256), (100_000, 512))
"""Up to so many rows, so many samples in an update; RealMLP's automatic sizes."""

LARGEST_BATCH = 1024
"""For more rows."""

N_FOLDS = 10
"""One member keeps back one row in ten to choose its epoch by, where RealMLP has one in five: with one in six RMSE was
1 % more, log-loss 2 %."""

LEAST_KEPT = 60
"""Rows that are kept back, at least, if that is not more than one in `LEAST_FOLDS`: by fewer the choice is chance."""

LEAST_FOLDS = 6
"""Folds, at least; with as many members, each row is kept back by one."""


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
    return n_members if n_members >= LEAST_FOLDS else min(N_FOLDS, max(n_rows // LEAST_KEPT, LEAST_FOLDS))

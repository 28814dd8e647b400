"""Regularisation: what is added to the cost, and done to weights and samples, so that a network generalises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .core import thread_team
from .costs import CLASSES, UNIT, Cost
from .kernels import layout, prototypes, tables
from .kernels.compile import address
from .kernels.passes import backprop, epoch
from .kernels.updates import penalties as regular
from .util.settings import Check, flag, fraction, not_negative, optional, plain_number, plain_numbers, positive

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


SHORT = 32
"""Neurons with at most so many weights have a cell for each of them, and no sums: those would take longer."""


def _continues(row: Numbers, before: Numbers) -> bool:
    """Return whether one row of the table of `fastbp.kernels.updates.penalties` could end where the other does."""
    alone = row[tables.SEGMENT_LARGEST] or max(part.view(np.int64)[tables.SEGMENT_PIECE] for part in (row, before)) > 1
    follows = row.view(np.int64)[tables.SEGMENT_BEGIN] == before.view(np.int64)[tables.SEGMENT_END]
    return bool(follows and not alone and (row[tables.SEGMENT_L2 :] == before[tables.SEGMENT_L2 :]).all())


@dataclass(frozen=True, eq=False)
class Regularization:
    """What a fit does against overfitting and divergence, beside minimising the cost E of the samples.

    With penalties it minimises E + Σ_l (λ₂/2 Σ_jk (w^l_jk)² + λ₁ Σ_jk |w^l_jk|). They belong to the training cost that
    the history records, each batch's with the weights before its update; validation costs and `Network.cost` are
    without them. A setting that is said to be *by layer* is one value for all layers, or a sequence of one for each
    layer l = 1..L.

    Parameters
    ----------
    l2 : float, by layer, default 0
        λ₂ ≥ 0: pulls weights towards 0 in proportion to their size (Krogh & Hertz 1991).
    l1 : float, by layer, default 0
        λ₁ ≥ 0: pulls all weights equally, so that many end near 0. The slope at 0 is taken as 0.
    weight_decay : float, by layer, default 0
        λ ≥ 0 of decoupled decay: each update first takes the share μλ from the weights, μ being the learning rate
        (Loshchilov & Hutter 2019, section 2). Unlike ``l2`` it is no part of the cost and not rescaled by Adam. To
        that of `AdamW` and `Lion` it is added.
    penalize_biases : bool, default False
        Whether ``l2``, ``l1`` and ``weight_decay`` act on the biases b^l_j too.
    per_sample : bool, default False
        Whether the penalty is averaged with the costs of the samples, that is divided by their number in the batch (by
        their summed weight with ``sample_weight``), as scikit-learn's ``alpha`` is; a smaller last batch then has the
        stronger penalty.
    max_norm : float or None, by layer, default None
        c > 0: after each update a neuron whose weights (w_j1, w_j2, …) have a norm above c has them scaled to c
        (Srivastava et al. 2014, section 5.1). None, also for a single layer, sets no bound.
    non_negative : bool, by layer, default False
        After each update, weights (not biases) below 0 become 0 (projected gradient; Chorowski & Zurada 2015).
    trainable : sequence of bool, optional
        False keeps something as it is, whatever else is asked for: one for each layer, or one for each parameter, a
        flat mask laid out like `Network.parameters`.
    clip_value : float, optional
        Slopes ∂E/∂w beyond ±clip_value, those of penalties included, become ±clip_value.
    clip_norm : float, optional
        c > 0: where the norm of the gradient over all parameters, those of penalties included, is above c, it is scaled
        to c (Pascanu, Mikolov & Bengio 2013, algorithm 1); after ``clip_value``, if both are given.
    dropout : float, one for all hidden layers or a sequence of one for each, default 0
        p in [0, 1): in each step an output of a hidden layer becomes 0 with probability p, anew for each sample, and
        o/(1 − p) otherwise (Srivastava et al. 2014, section 10 for the quotient). Only while training: predictions and
        validation costs drop nothing.
    input_noise : float, default 0
        Standard deviation of normal noise that each step adds to the inputs (Bishop 1995); scale inputs alike first.
    label_smoothing : float, default 0
        ε in [0, 1): targets become (1 − ε)y + ε/n_L with cost cross_entropy (Szegedy et al. 2016, section 7), and
        (1 − ε)y + ε/2 with binary_cross_entropy. Training costs are those of the smoothed targets.

    Raises
    ------
    ValueError
        If a setting is out of range; by `Network.fit` also if it does not fit the network or the optimizer.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((1, 8, 1), seed=0)
    >>> X = [[-1.0], [0.0], [1.0]]
    >>> settings = fastbp.Regularization(l2=1e-3, max_norm=(3.0, None))
    >>> history = net.fit(X, X, epochs=5, regularization=settings).history
    """

    l2: float | Sequence[float] = 0.0
    l1: float | Sequence[float] = 0.0
    weight_decay: float | Sequence[float] = 0.0
    penalize_biases: bool = False
    per_sample: bool = False
    max_norm: float | None | Sequence[float | None] = None
    non_negative: bool | Sequence[bool] = False
    trainable: Sequence[bool] | npt.NDArray[np.bool_] | None = None
    clip_value: float | None = None
    clip_norm: float | None = None
    dropout: float | Sequence[float] = 0.0
    input_noise: float = 0.0
    label_smoothing: float = 0.0

    by_layer: ClassVar[dict[str, Check]] = {
        "l2": not_negative,
        "l1": not_negative,
        "weight_decay": not_negative,
        "max_norm": optional(positive),
        "non_negative": flag,
        "dropout": fraction,
    }
    """Settings that may be one value or one for each layer (dropout: each hidden layer), and what each must be."""
    for_all: ClassVar[dict[str, Check]] = {
        "penalize_biases": flag,
        "per_sample": flag,
        "clip_value": optional(positive),
        "clip_norm": optional(positive),
        "input_noise": not_negative,
        "label_smoothing": fraction,
    }
    """The others."""
    of_samples: ClassVar[tuple[str, ...]] = ("dropout", "input_noise")
    """Settings that draw random numbers, anew for each evaluation of the cost."""
    of_steps: ClassVar[tuple[str, ...]] = ("weight_decay", "max_norm", "non_negative", "clip_value",
                                          "clip_norm")
    """Settings that change an optimizer's steps, which a full-batch method could not foresee."""

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name, check in self.for_all.items():
            check(self, name, getattr(self, name))
        for name, check in self.by_layer.items():
            value = getattr(self, name)
            sequence = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)
            if sequence and getattr(value, "ndim", 1) > 0:
                object.__setattr__(self, name, tuple(map(plain_number, value)))
                for i, one in enumerate(value):
                    check(self, f"{name}[{i}]", one)
            else:
                check(self, name, value)
        if self.trainable is not None:
            if np.ma.is_masked(self.trainable):
                raise ValueError("Regularization: trainable has masked entries, expected True or False for each: use "
                                 "trainable.filled(False), or True")
            mask = np.array(self.trainable)
            if mask.dtype != np.bool_ or mask.ndim != 1:
                raise ValueError(f"Regularization: trainable is {self.trainable!r}, expected True or False for each "
                                 "layer, or a flat boolean mask over Network.parameters")
            if not mask.any():
                raise ValueError("Regularization: trainable is False throughout: nothing would be trained")
            mask.flags.writeable = False
            object.__setattr__(self, "trainable", mask)

    def _layers(self, name: str, count: int) -> tuple[Any, ...]:
        """Return a setting of each of so many layers."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * count

    def _is_set(self, name: str) -> bool:
        return any(value not in (None, False, 0) for value in self._layers(name, 1))

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        names = ("l2", "l1", "label_smoothing", *self.of_samples, *self.of_steps)
        return self.trainable is not None or any(self._is_set(name) for name in names)

    def check(self, sizes: Sequence[int], n_parameters: int, cost: Cost) -> None:
        """Raise ValueError if a setting does not fit a network."""
        count = len(sizes) - 1
        for name in self.by_layer:
            expected, kind = (count - 1, "hidden layer") if name == "dropout" else (count, "layer")
            if (given := len(self._layers(name, expected))) != expected:
                raise ValueError(f"Regularization: {name} has {given} values, expected {expected}: one for each {kind} "
                                 "of the network, or a single one")
        if count == 1 and self._is_set("dropout"):
            raise ValueError("Regularization: dropout acts on hidden layers, and the network has none: use input_noise "
                             "or l2")
        if self.label_smoothing and cost.targets not in (CLASSES, UNIT):
            raise ValueError("Regularization: label_smoothing is for classes, and the cost of the network is "
                             f"{cost.name}: use cross_entropy or binary_cross_entropy")
        if self.trainable is not None and len(self.trainable) not in (count, n_parameters):
            raise ValueError(f"Regularization: trainable has {len(self.trainable)} values, expected {count}, one for "
                             f"each layer, or {n_parameters}, one for each parameter of the network")

    def check_slopes(self) -> None:
        """Raise ValueError if a setting changes samples, whose slopes are then not those of the targets."""
        for name in ("label_smoothing", *self.of_samples):
            if self._is_set(name):
                raise ValueError(f"Regularization: {name} changes the samples, and the targets of their slopes do not "
                                 f"follow: use l2, l1 or a constraint with target_jacobian, or {name} without it")

    def check_full_batch(self, method: str) -> None:
        """Raise ValueError if a setting changes cost or steps in a way that a full-batch method cannot foresee."""
        for name in self.of_samples:
            if self._is_set(name):
                raise ValueError(f"Regularization: {name} changes the cost from one evaluation to the next, and "
                                 f"{method} compares them: use l2 or l1 with it, or 'adam' or another optimizer for "
                                 f"mini-batches with {name}")
        for name in self.of_steps:
            if self._is_set(name):
                raise ValueError(f"Regularization: {name} changes the steps of the optimizer, which {method} computes "
                                 "for the cost as it is: use l2, l1 or trainable with it, or 'adam' or another "
                                 f"optimizer for mini-batches with {name}")

    def numbers(self, sizes: Sequence[int], bias: bool, hyper: Numbers, rule: int, total: int,
                fixed: int) -> Numbers:
        """Return what `fastbp.kernels.updates.penalties` reads: an optimizer's numbers, and behind them ours.

        Parameters
        ----------
        sizes
            n_0 .. n_L.
        bias
            Whether there are biases.
        hyper
            The optimizer's numbers; they are copied.
        rule, total
            Addresses of the rule and of `fastbp.kernels.updates.rules.penalties.total`, or 0 for penalties alone.
        fixed
            Where in the state the values of fixed parameters lie, if there are any.
        """
        count = len(sizes) - 1
        masked = self.trainable is not None and len(self.trainable) != count
        trained = (True,) * count if self.trainable is None or masked else self.trainable
        pulls = np.transpose([self._layers(name, count) for name in ("l2", "l1", "weight_decay")])
        largest = [bound or 0.0 for bound in self._layers("max_norm", count)]
        non_negative = self._layers("non_negative", count)
        table: list[Numbers] = []
        cells = 0
        for layer, (w, b) in enumerate(zip(*layout.offsets(sizes, bias)[:2], strict=True)):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            for begin, length in ((w, n_in), (b, 1)) if bias else ((w, n_in),):
                row = np.zeros(tables.SEGMENT_COLUMNS)
                row[tables.SEGMENT_TRAINED] = trained[layer]
                if begin == w:
                    row[[tables.SEGMENT_LARGEST, tables.SEGMENT_NON_NEGATIVE]] = largest[layer], non_negative[layer]
                if begin == w or self.penalize_biases:
                    row[tables.SEGMENT_L2 : tables.SEGMENT_DECAY + 1] = pulls[layer]
                if not (row[tables.SEGMENT_L2 : tables.SEGMENT_TRAINED].any() or not row[tables.SEGMENT_TRAINED]
                        or self.clip_norm):
                    continue
                end, piece = begin + length * n_out, length if length > SHORT else 1
                row.view(np.int64)[: tables.SEGMENT_L2] = begin, end, length, piece, cells
                if row[[tables.SEGMENT_L2, tables.SEGMENT_L1]].any() or self.clip_norm:
                    cells += length * n_out // piece
                if table and _continues(row, table[-1]):
                    table[-1].view(np.int64)[tables.SEGMENT_END] = end
                else:
                    table.append(row)
        first = tables.REGULAR_TABLE + tables.SEGMENT_COLUMNS * len(table) + cells
        found = np.zeros(first + cells)
        found[: tables.HYPER_COUNT] = hyper
        found[tables.HYPER_BATCH_WEIGHT] = 1  # which `online` writes only where samples have weights
        found[[tables.REGULAR_AVERAGED, tables.REGULAR_CLIP, tables.REGULAR_CLIP_NORM]] = (
            self.per_sample, self.clip_value or 0.0, self.clip_norm or 0.0)
        found.view(np.int64)[[tables.REGULAR_RULE, tables.REGULAR_TOTAL, tables.REGULAR_FIXED, tables.REGULAR_SEGMENTS,
                              tables.REGULAR_PENALTIES]] = (rule, total, fixed if masked else -1, len(table), first)
        for start, row in zip(range(tables.REGULAR_TABLE, first, tables.SEGMENT_COLUMNS), table, strict=False):
            row.view(np.int64)[tables.SEGMENT_CELL] += first
            found[start : start + tables.SEGMENT_COLUMNS] = row
        return found

    @property
    def online(self) -> bool:
        """Whether `fastbp.kernels.passes.online` can do it, which has no phases."""
        return not any(map(self._is_set, ("clip_norm", "label_smoothing", *self.of_samples)))

    def plan(self, plan: layout.Plan, dtype: np.dtype[Any], cost: Cost, *, key: int | None = None) -> layout.Plan:
        """Return a plan with what this regularisation calls; the one that is given stays as it is.

        Parameters
        ----------
        plan : layout.Plan
            Of the network.
        dtype : numpy dtype
            Of the network.
        cost : Cost
            Of the network: label smoothing depends on what its targets are.
        key : int, optional
            The key of a fit's random numbers; without it nothing in the plan is random.

        Returns
        -------
        layout.Plan
        """
        cells = plan.cells.copy()
        settings = np.zeros(tables.COST_DROPOUT + len(plan.layers) - 1)
        settings[: tables.COST_INPUT_NOISE] = plan.cost_parameter[: tables.COST_INPUT_NOISE]
        plan = plan._replace(cells=cells, cost_parameter=settings)
        if self.label_smoothing:
            classes = plan.layers[-1, tables.LAYER_N_OUT] if cost.targets == CLASSES else 2
            settings[[tables.COST_SMOOTH_SHARE,
                      tables.COST_SMOOTH_BASE]] = 1 - self.label_smoothing, self.label_smoothing / classes
        if key is not None:
            cells[tables.CELL_KEY] = key
            settings[tables.COST_INPUT_NOISE] = self.input_noise
            settings[tables.COST_DROPOUT :] = self._layers("dropout", len(plan.layers) - 1)
        if settings[tables.COST_INPUT_NOISE :].any():
            backprop.fill_address(plan, dtype, tables.CELL_NOISE)
        if settings[tables.COST_INPUT_NOISE] and plan.layers[0, tables.LAYER_TRANSPOSED] >= 0:
            backprop.fill_address(plan, dtype, tables.CELL_TRANSPOSE)
        if key is not None and self._is_set("clip_norm"):
            cells[tables.CELL_PLAIN_NEURONS] = cells[tables.CELL_MY_NEURONS]
            cells[tables.CELL_MY_NEURONS] = address(epoch.my_neurons_clipped, dtype, backprop.my_neurons)
            cells[tables.CELL_MEASURE] = address(regular.measure, dtype, prototypes.update_rule)
            cells[tables.CELL_MIDWAY + tables.BARRIER_YIELD] = thread_team.yield_address()
        return plan

    def fixed(self, parameters: Array) -> Array:
        """Return the values of single parameters that are fixed, NaN for the others; empty where none is."""
        if self.trainable is None or len(self.trainable) != parameters.size:
            return parameters[:0]
        return np.where(self.trainable, np.array(np.nan, parameters.dtype), parameters)

    @property
    def penalizes(self) -> bool:
        """Whether there is a penalty beside the cost."""
        return self._is_set("l2") or self._is_set("l1")

    def second(self, sizes: Sequence[int], bias: bool, weight: float) -> Numbers:
        """Return the penalty's second derivatives for a batch of this total weight, laid out like the parameters."""
        count = len(sizes) - 1
        weights, biases, total = layout.offsets(sizes, bias)
        found = np.zeros(total)
        for layer, l2 in enumerate(self._layers("l2", count)):
            size = sizes[layer] * sizes[layer + 1]
            found[weights[layer] : weights[layer] + size] = l2
            if bias and self.penalize_biases:
                found[biases[layer] : biases[layer] + sizes[layer + 1]] = l2
        return found / weight if self.per_sample else found

    def untrained(self, sizes: Sequence[int], bias: bool) -> npt.NDArray[np.bool_]:
        """Return which parameters stay as they are."""
        weights, _, total = layout.offsets(sizes, bias)
        if self.trainable is None:
            return np.zeros(total, np.bool_)
        if len(self.trainable) == total:
            return ~np.asarray(self.trainable)
        return ~np.repeat(np.asarray(self.trainable), np.diff([*weights, total]))

    def penalty(self, sizes: Sequence[int], bias: bool, parameters: Array,
                weight: float) -> Callable[[Array], float]:
        """Return the function that computes a batch's penalty and adds its slopes to a gradient, if that has room."""
        numbers, fixed = self.numbers(sizes, bias, np.zeros(tables.HYPER_COUNT), 0, 0, 0), self.fixed(parameters)
        numbers[[tables.HYPER_BATCH_WEIGHT, tables.REGULAR_CLIP]] = weight, 0.0
        penalties = numbers[numbers.view(np.int64)[tables.REGULAR_PENALTIES] :]

        def penalize(gradient: Array) -> float:
            penalties[:] = 0
            slopes = gradient if gradient.size else np.zeros_like(parameters)
            regular.update(parameters, slopes, fixed, 0, parameters.size, 0, numbers)
            return float(penalties.sum()) / weight

        return penalize

"""Regularisation: what is added to the cost, and done to weights and samples, so that a network generalises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from . import schedules
from .costs import CLASSES, UNIT, Cost
from .kernels.compile.cached import cached_property
from .schedules import Setting
from .util.settings import Check, flag, fraction, not_negative, optional, plain_number, plain_numbers, positive


@dataclass(frozen=True, eq=False)
class Regularization:
    """What a fit does against overfitting and divergence, beside minimising the cost E of the samples.

    With penalties it minimises ``E + Σ_l (λ₂/2 Σ_jk (w^l_jk)² + λ₁ Σ_jk |w^l_jk|)``. They belong to the training cost
    that the history records, each batch's with the weights before its update; validation costs and `Network.cost` are
    without them. A setting that is said to be *by layer* is one value for all layers, or a sequence of one for each
    layer l = 1..L. ``l2``, ``l1``, ``weight_decay``, ``dropout`` and ``input_noise`` may be schedules
    (`fastbp.schedules`, or any callable that takes the number of epochs done), also those of single layers, in a fit on
    mini-batches.

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

    l2: Setting | Sequence[Setting] = 0.0
    l1: Setting | Sequence[Setting] = 0.0
    weight_decay: Setting | Sequence[Setting] = 0.0
    penalize_biases: bool = False
    per_sample: bool = False
    max_norm: float | None | Sequence[float | None] = None
    non_negative: bool | Sequence[bool] = False
    trainable: Sequence[bool] | npt.NDArray[np.bool_] | None = None
    clip_value: float | None = None
    clip_norm: float | None = None
    dropout: Setting | Sequence[Setting] = 0.0
    input_noise: Setting = 0.0
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
    checks: ClassVar[dict[str, Check]] = by_layer | for_all
    """What each value of a setting must be."""
    of_samples: ClassVar[tuple[str, ...]] = ("dropout", "input_noise")
    """Settings that draw random numbers, anew for each evaluation of the cost."""
    of_steps: ClassVar[tuple[str, ...]] = ("weight_decay", "max_norm", "non_negative", "clip_value",
                                          "clip_norm")
    """Settings that change an optimizer's steps, which a full-batch method could not foresee."""
    scheduled: ClassVar[tuple[str, ...]] = ("l2", "l1", "weight_decay", *of_samples)
    """Settings that may follow a schedule."""

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name, check in self.for_all.items():
            self._check(name, name, getattr(self, name), check)
        for name, check in self.by_layer.items():
            value = getattr(self, name)
            sequence = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)
            if sequence and getattr(value, "ndim", 1) > 0:
                object.__setattr__(self, name, tuple(map(plain_number, value)))
                for i, one in enumerate(value):
                    self._check(name, f"{name}[{i}]", one, check)
            else:
                self._check(name, name, value, check)
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

    def _check(self, name: str, place: str, value: Any, check: Check) -> None:
        """Check a value of a setting, which stands in this place."""
        if name in self.scheduled:
            schedules.check(self, place, value, check)
        else:
            check(self, place, value)

    def at(self, updates: int, total: int, epoch: int) -> Regularization:
        """Return it with numbers for schedules: those of an update of ``total``, of which ``epoch`` make an epoch."""
        def number(value: Any, name: str) -> Any:
            if not callable(value):
                return value
            return float(schedules.of_updates(self, name, value, self.checks[name], updates, 1, total, epoch)[0])

        found: dict[str, Any] = {}
        for name in self.follows:
            value = getattr(self, name)
            found[name] = tuple(number(one, name) for one in value) if isinstance(value, tuple) else number(value, name)
        return replace(self, **found)

    @cached_property
    def follows(self) -> tuple[str, ...]:
        """Names of the settings that follow a schedule."""
        return tuple(name for name in self.scheduled if any(map(callable, self.of_layers(name, 1))))

    def of_layers(self, name: str, count: int) -> tuple[Any, ...]:
        """Return a setting of each of so many layers."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * count

    def is_set(self, name: str) -> bool:
        """Return whether a setting does anything."""
        value = getattr(self, name)
        return any(one not in (None, False, 0) for one in value) if isinstance(value, tuple) else \
            value not in (None, False, 0)

    @cached_property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        names = ("l2", "l1", "label_smoothing", *self.of_samples, *self.of_steps)
        return self.trainable is not None or any(self.is_set(name) for name in names)

    def check(self, sizes: Sequence[int], n_parameters: int, cost: Cost) -> None:
        """Raise ValueError if a setting does not fit a network."""
        count = len(sizes) - 1
        for name in self.by_layer:
            expected, kind = (count - 1, "hidden layer") if name == "dropout" else (count, "layer")
            if (given := len(self.of_layers(name, expected))) != expected:
                raise ValueError(f"Regularization: {name} has {given} values, expected {expected}: one for each {kind} "
                                 "of the network, or a single one")
        if count == 1 and self.is_set("dropout"):
            raise ValueError("Regularization: dropout acts on hidden layers, and the network has none: use input_noise "
                             "or l2")
        if self.label_smoothing and cost.targets not in (CLASSES, UNIT):
            raise ValueError("Regularization: label_smoothing is for classes, and the cost of the network is "
                             f"{cost.name}: use cross_entropy or binary_cross_entropy")
        if self.trainable is not None and len(self.trainable) not in (count, n_parameters):
            raise ValueError(f"Regularization: trainable has {len(self.trainable)} values, expected {count}, one for "
                             f"each layer, or {n_parameters}, one for each parameter of the network")

    def check_penalties(self, what: str) -> None:
        """Raise ValueError if a penalty follows a schedule where there are no updates to follow it in."""
        for name in ("l2", "l1"):
            if name in self.follows:
                raise ValueError(f"Regularization: {name} is a schedule, which a fit on mini-batches follows from "
                                 f"update to update, and {what} has none: give a number as {name}")

    def check_jacobian(self) -> None:
        """Raise ValueError if a setting changes samples, whose slopes are then not those of the targets."""
        for name in ("label_smoothing", *self.of_samples):
            if self.is_set(name):
                raise ValueError(f"Regularization: {name} changes the samples, and the targets of their slopes do not "
                                 f"follow: use l2, l1 or a constraint with target_jacobian, or {name} without it")

    def check_full_batch(self, method: str) -> None:
        """Raise ValueError if a setting changes cost or steps in a way that a full-batch method cannot foresee."""
        self.check_penalties(method)
        for name in self.of_samples:
            if self.is_set(name):
                raise ValueError(f"Regularization: {name} changes the cost from one evaluation to the next, and "
                                 f"{method} compares them: use l2 or l1 with it, or 'adam' or another optimizer for "
                                 f"mini-batches with {name}")
        for name in self.of_steps:
            if self.is_set(name):
                raise ValueError(f"Regularization: {name} changes the steps of the optimizer, which {method} computes "
                                 "for the cost as it is: use l2, l1 or trainable with it, or 'adam' or another "
                                 f"optimizer for mini-batches with {name}")

    @property
    def online(self) -> bool:
        """Whether `kernels.passes.online` can do it, which has no phases."""
        return not any(map(self.is_set, ("clip_norm", "label_smoothing", *self.of_samples)))

    @property
    def penalizes(self) -> bool:
        """Whether there is a penalty beside the cost."""
        return self.is_set("l2") or self.is_set("l1")

"""Regularisation: what is added to the cost, and done to weights and samples, so that a network generalises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .checks import Check, not_negative
from .kernels import codes, layout, regular

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]
PerLayer = float | Sequence[float]
"""One number, or one for each layer l = 1..L."""


@dataclass(frozen=True, eq=False)
class Regularization:
    """Penalties of the weights: ``fit`` minimises E + Σ_l (λ₂/2 Σ_jk (w^l_jk)² + λ₁ Σ_jk |w^l_jk|).

    The penalty belongs to the training cost that the history records, each batch's with the weights before its update;
    validation costs and `Network.cost` are without it.

    Parameters
    ----------
    l2 : float or sequence of float, default 0
        λ₂ ≥ 0, one number or one for each layer: pulls weights towards 0 in proportion to their size (weight decay;
        Krogh & Hertz 1991).
    l1 : float or sequence of float, default 0
        λ₁ ≥ 0, likewise: pulls all weights equally, so that many end near 0. The slope of |w| at 0 is taken as 0.
    penalize_biases : bool, default False
        Whether the sums take in the biases b^l_j.
    averaged : bool, default False
        Whether the penalty is averaged with the costs of the samples, that is divided by their number in the batch (by
        their summed weight with ``sample_weight``), as scikit-learn's ``alpha`` is; a smaller last batch then has the
        stronger penalty.

    Raises
    ------
    ValueError
        If a number is negative or not finite.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((1, 8, 1), seed=0)
    >>> X = [[-1.0], [0.0], [1.0]]
    >>> history = net.fit(X, X, epochs=5, regularization=fastbp.Regularization(l2=1e-3)).history
    """

    l2: PerLayer = 0.0
    l1: PerLayer = 0.0
    penalize_biases: bool = False
    averaged: bool = False

    each_layer: ClassVar[dict[str, Check]] = {"l2": not_negative, "l1": not_negative}
    """Settings that may be one number or one for each layer, and what each must be."""

    def __post_init__(self) -> None:
        for name, check in self.each_layer.items():
            value = getattr(self, name)
            if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
                object.__setattr__(self, name, tuple(value))
                for i, number in enumerate(value):
                    check(self, f"{name}[{i}]", number)
            else:
                check(self, name, value)

    def per_layer(self, name: str, layers: int) -> tuple[float, ...]:
        """Give a setting of every layer of a network that has so many."""
        value = getattr(self, name)
        if not isinstance(value, tuple):
            return (float(value),) * layers
        if len(value) != layers:
            raise ValueError(f"Regularization: {name} has {len(value)} numbers, expected {layers}: one for each layer "
                             "of the network, or one number for all")
        return tuple(map(float, value))

    @property
    def penalizes(self) -> bool:
        """Whether there is a penalty at all."""
        return bool(np.any(self.l2) or np.any(self.l1))

    def check(self, sizes: Sequence[int]) -> None:
        """Raise ValueError if a setting does not fit the layers of a network."""
        for name in self.each_layer:
            self.per_layer(name, len(sizes) - 1)

    def numbers(self, sizes: Sequence[int], bias: bool, hyper: Numbers, rule: int) -> Numbers:
        """Give what `fastbp.kernels.regular` reads: an optimizer's numbers, and behind them ours.

        Parameters
        ----------
        sizes
            n_0 .. n_L.
        bias
            Whether there are biases.
        hyper
            The optimizer's numbers; they are copied.
        rule
            Address of the rule, or 0 for penalties alone.
        """
        self.check(sizes)
        count = len(sizes) - 1
        weights, biases, _ = layout.offsets(sizes, bias)
        segments = count * (1 + bias)
        first = codes.TABLE + codes.SEGMENT_COLUMNS * segments
        found = np.zeros(first + sum(sizes[1:]) * (1 + bias))
        found[: codes.HYPER_CELLS], found[codes.AVERAGED] = hyper, self.averaged
        found.view(np.int64)[[codes.RULE, codes.SEGMENTS, codes.PENALTIES]] = rule, segments, first
        table = found[codes.TABLE : first].reshape(count, 1 + bias, codes.SEGMENT_COLUMNS)
        factors = [self.per_layer(name, count) for name in ("l2", "l1")]
        cell = first
        for layer, rows in enumerate(table):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            parts = (weights[layer], n_in, True), (biases[layer], 1, self.penalize_biases)
            for row, (begin, length, penalized) in zip(rows, parts, strict=False):
                row.view(np.int64)[: codes.L2] = begin, begin + length * n_out, length, cell
                if penalized:
                    row[codes.L2 : codes.L1 + 1] = [numbers[layer] for numbers in factors]
                cell += n_out
        return found

    def penalty(self, sizes: Sequence[int], bias: bool, parameters: Array, gradient: Array, weight: float) -> float:
        """Give the penalty of a batch of this total weight, and add its slopes to ``gradient`` if that has room."""
        numbers = self.numbers(sizes, bias, np.zeros(codes.HYPER_CELLS), 0)
        numbers[codes.BATCH_WEIGHT] = weight
        slopes = gradient if gradient.size else np.zeros_like(parameters)
        regular.update(parameters, slopes, parameters[:0], 0, parameters.size, 0, numbers)
        return float(numbers[numbers.view(np.int64)[codes.PENALTIES] :].sum()) / weight

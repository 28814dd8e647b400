"""Samples of which a part is known or counts: weights of single outputs, missing targets, slopes without values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..costs import CLASSES, by_output
from . import arrays
from .architecture import Architecture
from .conversion import numbers
from .samples import Samples

Array = npt.NDArray[Any]


def plain(Y: Any, weights: Any, J: Any, J_weight: Any, missing: Any) -> bool:
    """Return whether all targets are given, samples have one weight each or none, and slopes one for all."""
    return (missing is None and (Y is not None or J is None) and (weights is None or np.ndim(weights) < 2)
            and (J is None or np.ndim(J_weight) == 0))


def samples(architecture: Architecture, X: Any, Y: Any, weights: Any, J: Any, J_weight: Any, missing: Any, *,
            sparse: bool) -> Samples:
    """Return a user's samples, checked, of which not all is observed, or single outputs have weights.

    With w_sj the weight of target j of sample s, 0 where it is missing, the cost is m Σ_sj w_sj C_sj / Σ_sj w_sj for m
    targets a sample: samples weigh the mean of these w_sj, and each output w_sj divided by that. Where there are
    targets of ∂o/∂x, samples keep their own weights, since slopes may be known where values are not.
    """
    if missing not in (None, "ignore"):
        raise ValueError(f"missing is {missing!r}, expected None, or 'ignore' where NaN in Y or target_jacobian is "
                         "what has not been observed")
    sizes, kind, encoding = architecture.layers, architecture.dtype, architecture.encoding
    if J is not None:
        if hasattr(X, "tocsr"):
            raise TypeError("X is a sparse matrix, and target_jacobian is given: they do not go together; use "
                            "X.toarray() with it, or leave target_jacobian out")
        architecture.refuse_encoders("target_jacobian")
    inputs = arrays.rows(X, sizes[0], kind, encoding) if sparse else arrays.inputs(X, sizes[0], kind, encoding)
    n, count = len(inputs), architecture.n_targets
    targets, labels, known = _values(architecture, Y, n, missing, alone=J is None)
    own, of_outputs = _weights(weights, n, count, kind)
    wanted, factor = _slopes(architecture, J, J_weight, n, missing)
    flat = None if Y is None else arrays.is_flat(Y, n, architecture)
    if known is not None:  # what is missing weighs nothing
        of_outputs = np.where(known, 1.0 if own is None else own[:, None], 0.0) if of_outputs is None else np.where(
            known, of_outputs, 0.0)
    if of_outputs is None:
        one = np.empty(0, kind) if own is None else own.astype(kind)
        return Samples(inputs, targets, labels, one, wanted, factor, flat=flat)
    mean = of_outputs.mean(axis=1)
    if J is None and mean.max() == 0:
        raise ValueError("no target counts: all are missing, or have weight 0; expected one at least")
    if J is None and (labels or (of_outputs == of_outputs[:, :1]).all()):  # whole rows
        return Samples(inputs, targets, labels, mean.astype(kind), flat=flat)
    rows = mean
    if J is not None:
        rows = np.ones(n) if own is None else own
        mean = rows * (mean.sum() / rows.sum())
    architecture.cost.refuse_data("weights of single outputs, or missing targets,")
    if architecture.cost.targets == CLASSES:
        raise ValueError(f"{architecture.cost.name} compares all classes of a row: its targets are missing together, "
                         "or not, and have one weight")
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(of_outputs > 0, of_outputs / mean[:, None], 0.0)
    cost = by_output(architecture.resolved().cost)
    return Samples(inputs, _beside(targets, shares, cost.columns(sizes[-1])), False, rows.astype(kind), wanted, factor,
                   flat=flat, cost=cost)


def signed(architecture: Architecture, X: Any, Y: Any, weights: Any, J: Any, missing: Any, kept: Any) -> Samples:
    """Return a user's samples whose weights are factors of either sign."""
    if J is not None or missing is not None or not isinstance(kept, (tuple, list, type(None))):
        raise ValueError("signed_weights goes with one weight a sample and all targets: leave out target_jacobian, "
                         "missing, and a fraction as validation")
    found = arrays.samples(architecture, X, Y, None, None, 0.0, sparse=True, empty=False)
    array = np.ones(len(found)) if weights is None else weights
    own = arrays.numbers_of_each("sample_weight", array, len(found), architecture.dtype, "sample")
    return replace(found, weights=own, signed=True)


def without_weights(samples: Samples, n_targets: int) -> Samples:
    """Return samples some of whose targets are missing for passes that know no weights of rows."""
    weights = samples.weights
    if not weights.size:
        return samples
    if samples.cost is None:  # 1 or 0
        known = weights > 0
        return replace(samples, inputs=samples.inputs[known], targets=samples.targets[known],  # type: ignore[index]
                       weights=weights[:0])
    targets, first = samples.targets.copy(), samples.targets.shape[1] - n_targets
    targets[:, first:] *= (weights * (len(weights) / weights.sum(dtype=np.float64)))[:, None]
    return replace(samples, targets=targets, weights=weights[:0])


def _beside(targets: Array, shares: Array, columns: int) -> Array:
    """Return targets with the weight of each in the last columns, as `costs.by_output` reads them."""
    found = np.zeros((len(targets), columns), targets.dtype)
    found[:, : targets.shape[1]] = targets
    found[:, columns - shares.shape[1] :] = shares
    return found


def _values(architecture: Architecture, Y: Any, n: int, missing: Any,
            alone: bool) -> tuple[Array, bool, npt.NDArray[np.bool_] | None]:
    """Return targets without NaN, whether they are class indices, and which are known, (n, n_targets); None: all."""
    sizes, kind, cost, canonical = architecture.layers, architecture.dtype, architecture.cost, architecture.canonical
    count = architecture.n_targets
    if Y is None:
        if alone:
            raise ValueError("Y is None: there are no targets; without values give target_jacobian")
        cost.refuse_data("Y=None")
        return np.zeros((n, count), kind), False, np.zeros((n, count), np.bool_)
    array = numbers("Y", Y)
    gone = np.isnan(array) if missing is not None and array.dtype.kind == "f" else None
    if gone is None or not gone.any():
        found, labels = arrays.targets(array, n, sizes[-1], kind, cost, canonical)
        return found, labels, None
    filled = np.where(gone, 0, array)
    if cost.targets == CLASSES and array.shape == (n, count) and count > 1:
        filled[gone.all(axis=1), 0] = 1  # a row that sums to 1
    found, labels = arrays.targets(filled, n, sizes[-1], kind, cost, canonical)
    if labels:
        return found, labels, np.broadcast_to(~gone.reshape(n, 1), (n, count))
    gone = gone.reshape(found.shape)
    if (cost.extra or cost.whole) and (gone != gone[:, :1]).any():
        row = int((gone != gone[:, :1]).any(axis=1).argmax())
        raise ValueError(f"row {row} of Y is missing in part, but {cost} reads all of it: a row may be missing as a "
                         "whole")
    return found, labels, ~gone[:, :1] & np.ones(count, np.bool_) if cost.extra or cost.whole else ~gone


def _weights(value: Any, n: int, count: int, kind: np.dtype[Any]) -> tuple[Array | None, Array | None]:
    """Return one weight a sample and none a target, or the mean of its targets' and these, in double."""
    if value is None:
        return None, None
    array = numbers("sample_weight", value)
    if array.ndim < 2:
        return arrays.sample_weight(array, n, kind).astype(np.float64), None
    if array.shape != (n, count):
        raise ValueError(f"sample_weight has shape {array.shape}, expected ({n},), one for each row of X, or ({n}, "
                         f"{count}), one for each target")
    found = arrays.sample_weight(array.reshape(-1), n * count, kind).astype(np.float64).reshape(n, count)
    return found.mean(axis=1), found


def _slopes(architecture: Architecture, J: Any, weight: Any, n: int, missing: Any) -> tuple[Array | None, float]:
    """Return targets of ∂o/∂x, behind those of a sample the λ of each where these differ, and λ."""
    if J is None:
        return None, 0.0
    count, n_in, kind = architecture.n_targets, architecture.layers[0], architecture.dtype
    array = numbers("target_jacobian", J)
    gone = np.isnan(array) if missing is not None and array.dtype.kind == "f" else np.zeros(1, np.bool_)
    found = arrays.target_jacobian(np.where(gone, 0, array) if gone.any() else array, n, architecture)
    if np.ndim(weight) == 0:
        factors = np.asarray(arrays.jacobian_weight(weight))
        if not gone.any():
            return found, float(factors)
    else:
        factors = numbers("jacobian_weight", weight).astype(np.float64)
        if factors.shape not in ((count, n_in), (n_in,)) or factors.ndim == 1 and count > 1:
            raise ValueError(f"jacobian_weight has shape {factors.shape}, expected a number, or ({count}, {n_in}), one "
                             "for each ∂o_j/∂x_i" + (f", or ({n_in},)" if count == 1 else ""))
        if not np.isfinite(factors).all() or factors.min() < 0:
            wrong = factors[~(factors >= 0) | np.isinf(factors)][0]
            raise ValueError(f"jacobian_weight holds {wrong}, expected finite numbers that are not negative")
    both = np.empty((n, 2, count, n_in), kind)
    both[:, 0] = found
    both[:, 1] = np.where(gone.reshape(found.shape), 0.0, factors) if gone.any() else factors
    return both, 1.0

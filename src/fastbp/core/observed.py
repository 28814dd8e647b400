"""Samples of which a part is known or counts: weights of single outputs, missing targets, slopes without values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..costs import CLASSES, Cost, by_output
from ..kernels.compile.cached import cached_property
from . import arrays
from .architecture import Architecture
from .conversion import numbers
from .samples import Samples, SparseRows

Array = npt.NDArray[Any]


def plain(Y: Any, weights: Any, J: Any, J_weight: Any, missing: Any) -> bool:
    """Return whether all targets are given, samples have one weight each or none, and slopes one for all."""
    return (missing is None and (Y is not None or J is None) and (weights is None or np.ndim(weights) < 2)
            and (J is None or np.ndim(J_weight) == 0))


def checked(missing: Any) -> bool:
    """Return whether NaN is what has not been observed."""
    if missing is None or isinstance(missing, str) and missing == "ignore":
        return missing is not None
    raise ValueError(f"missing is {missing!r:.80}, expected None, or 'ignore' where NaN in Y or target_jacobian is "
                     "what has not been observed")


@dataclass
class Observed:
    """A user's samples, checked, and the weight of each of their targets; many fits may pick rows of them.

    With w_sj the weight of target j of sample s, 0 where it is missing, the cost is m Σ_sj w_sj C_sj / Σ_sj w_sj for m
    targets a sample: samples weigh the mean of these w_sj, and each output w_sj divided by that.
    """

    architecture: Architecture
    inputs: Array | SparseRows
    targets: Array
    """Without NaN."""
    labels: bool
    known: npt.NDArray[np.bool_] | None
    """Which targets are, (n, n_targets); None where all are."""
    own: Array | None
    """A weight for each sample in double, the mean of its targets' where these have weights; None without."""
    of_outputs: Array | None
    """A weight for each target in double, or None."""
    flat: bool | None
    missing: bool
    """Whether targets may be missing."""
    made: dict[str, Samples] = field(default_factory=dict)

    @cached_property
    def weights(self) -> Array | None:
        """Return a weight for each target in double, 0 where it is missing; None where samples have one each."""
        if self.known is None:
            return self.of_outputs
        if self.of_outputs is not None:
            return np.where(self.known, self.of_outputs, 0.0)
        return np.where(self.known, 1.0 if self.own is None else self.own[:, None], 0.0)

    def samples(self, rows: npt.NDArray[Any] | slice = slice(None)) -> Samples:
        """Return all samples, as they are computed where these rows are those that count."""
        known = self.known is None or bool(self.known[rows].all())
        if self.weights is None or known and self.of_outputs is None:
            return self._once("plain", self._plain)
        weights = self.weights[rows]
        if weights.max() == 0:
            raise ValueError("no target counts: all are missing, or have weight 0; expected one at least")
        if bool((weights == weights[:, :1]).all()):
            return self._once("whole rows", self._whole)
        return self._once("single outputs", self._single)

    def _once(self, kind: str, make: Callable[[], Samples]) -> Samples:
        if kind not in self.made:
            self.made[kind] = make()
        return self.made[kind]

    def _plain(self) -> Samples:
        kind = self.architecture.dtype
        one = np.empty(0, kind) if self.own is None else self.own.astype(kind)
        return Samples(self.inputs, self.targets, self.labels, one, flat=self.flat, holes=self.missing)

    def _whole(self) -> Samples:
        assert self.weights is not None
        mean = self.weights.mean(axis=1).astype(self.architecture.dtype)
        return Samples(self.inputs, self.targets, self.labels, mean, flat=self.flat, holes=self.missing)

    def _single(self) -> Samples:
        assert self.weights is not None
        return self.single(self.weights, self.weights.mean(axis=1))

    def single(self, weights: Array, mean: Array) -> Samples:
        """Return samples whose targets have weights of their own, of which this is the mean of each."""
        cost = weighted_cost(self.architecture)
        targets = beside(self.targets, weights, mean, cost.columns(self.architecture.layers[-1]))
        return Samples(self.inputs, targets, False, mean.astype(self.architecture.dtype), flat=self.flat, cost=cost)


def weighted_cost(architecture: Architecture) -> Cost:
    """Return the cost with weights of single outputs, if it can have some."""
    architecture.cost.refuse_data("weights of single outputs, or missing targets,")
    if architecture.cost.targets == CLASSES:
        raise ValueError(f"{architecture.cost.name} compares all classes of a row: its targets are missing together, "
                         "or not, and have one weight")
    return by_output(architecture.resolved().cost)


def observed(architecture: Architecture, inputs: Array | SparseRows, Y: Any, weights: Any, missing: Any) -> Observed:
    """Return a user's samples of which not all is observed, or single outputs have weights."""
    n, count = len(inputs), architecture.n_targets
    targets, labels, known = _values(architecture, Y, n, checked(missing))
    own, of_outputs = _weights(weights, n, count, architecture.dtype)
    flat = None if Y is None else arrays.is_flat(Y, n, architecture)
    return Observed(architecture, inputs, targets, labels, known, own, of_outputs, flat, checked(missing))


def samples(architecture: Architecture, X: Any, Y: Any, weights: Any, J: Any, J_weight: Any, missing: Any, *,
            sparse: bool) -> Samples:
    """Return a user's samples, checked, of which not all is observed, or single outputs have weights.

    Where there are targets of ∂o/∂x, samples keep their own weights, since slopes may be known where values are not.
    """
    checked(missing)
    if J is not None:
        if hasattr(X, "tocsr"):
            raise TypeError("X is a sparse matrix, and target_jacobian is given: they do not go together; use "
                            "X.toarray() with it, or leave target_jacobian out")
    elif Y is None:
        raise ValueError("Y is None: there are no targets; without values give target_jacobian")
    sizes, kind, encoding = architecture.layers, architecture.dtype, architecture.encoding
    inputs = arrays.rows(X, sizes[0], kind, encoding) if sparse else arrays.inputs(X, sizes[0], kind, encoding)
    found = observed(architecture, inputs, Y, weights, missing)
    if J is None:
        return found.samples()
    n, own = len(inputs), found.own
    wanted, factor = _slopes(architecture, J, J_weight, n, missing)
    if found.weights is None:
        return replace(found.samples(), jacobian=wanted, jacobian_weight=factor)
    rows = np.ones(n) if own is None else own
    mean = rows * (found.weights.mean(axis=1).sum() / rows.sum())
    return replace(found.single(found.weights, mean), weights=rows.astype(kind), jacobian=wanted,
                   jacobian_weight=factor)


def fill(architecture: Architecture, part: Samples, Y: Array, weights: Array | None, missing: bool, first: int,
         check: bool) -> None:
    """Overwrite targets and weights of samples by what was read of them, from row ``first`` of all on.

    ``part`` has weights and inputs, and a cost if its targets are to have weights of their own; ``Y``, of the network's
    dtype, is overwritten, too.
    """
    gone = np.isnan(Y) if missing else np.zeros(Y.shape, np.bool_)
    Y[gone] = 0
    if part.labels:
        known = ~gone[:, None] & np.ones(architecture.n_targets, np.bool_)
    else:
        known = _known(architecture, gone, first)
        if architecture.cost.targets == CLASSES and Y.shape[1] > 1:
            Y[gone.all(axis=1), 0] = 1
    counts = np.where(known, 1.0 if weights is None else weights.reshape(len(Y), -1).astype(np.float64), 0.0)
    if part.cost is None and (counts != counts[:, :1]).any():
        weighted_cost(architecture)  # there is none
    if part.labels:
        arrays.class_indices(Y, architecture.layers[-1], first)
    if check:
        given = np.empty(0) if weights is None else weights
        arrays.part(architecture, replace(part, targets=Y, weights=given), first)
    mean = counts.mean(axis=1)
    part.weights[:] = mean
    part.targets[:] = Y if part.cost is None else beside(Y, counts, mean, part.targets.shape[1])


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


def beside(targets: Array, weights: Array, mean: Array, columns: int) -> Array:
    """Return targets and, behind them, the weight of each relative to its sample's, as `costs.by_output` reads."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(weights > 0, weights / mean[:, None], 0.0)
    found = np.zeros((len(targets), columns), targets.dtype)
    found[:, : targets.shape[1]] = targets
    found[:, columns - shares.shape[1] :] = shares
    return found


def _values(architecture: Architecture, Y: Any, n: int,
            missing: bool) -> tuple[Array, bool, npt.NDArray[np.bool_] | None]:
    """Return targets without NaN, whether they are class indices, and which are known, (n, n_targets); None: all."""
    sizes, kind, cost, canonical = architecture.layers, architecture.dtype, architecture.cost, architecture.canonical
    count = architecture.n_targets
    if Y is None:
        cost.refuse_data("Y=None")
        return np.zeros((n, count), kind), False, np.zeros((n, count), np.bool_)
    array = numbers("Y", with_holes(Y) if missing else Y)
    gone = np.isnan(array) if missing and array.dtype.kind == "f" else None
    if gone is None or not gone.any():
        found, labels = arrays.targets(array, n, sizes[-1], kind, cost, canonical)
        return found, labels, None
    filled = np.where(gone, 0, array)
    if cost.targets == CLASSES and array.shape == (n, count) and count > 1:
        filled[gone.all(axis=1), 0] = 1  # a row that sums to 1
    found, labels = arrays.targets(filled, n, sizes[-1], kind, cost, canonical)
    if labels:
        return found, labels, np.broadcast_to(~gone.reshape(n, 1), (n, count))
    return found, labels, _known(architecture, gone.reshape(found.shape))


def with_holes(value: Any) -> Any:
    """Return numbers with NaN for what is masked."""
    if not isinstance(value, np.ma.MaskedArray) or value.dtype.kind not in "fiub":
        return value
    array: Any = value.astype(np.result_type(value.dtype, np.float32))
    return array.filled(np.nan)


def _known(architecture: Architecture, gone: npt.NDArray[np.bool_], first: int = 0) -> npt.NDArray[np.bool_]:
    """Return which targets are known, (n, n_targets), by which numbers are missing of rows from ``first`` on."""
    cost = architecture.cost
    if not (cost.extra or cost.whole):
        return ~gone
    if (gone != gone[:, :1]).any():
        row = int((gone != gone[:, :1]).any(axis=1).argmax())
        raise ValueError(f"row {first + row} of Y is missing in part, but {cost} reads all of it: a row may be missing "
                         "as a whole")
    return ~gone[:, :1] & np.ones(architecture.n_targets, np.bool_)


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
    array = numbers("target_jacobian", J if missing is None else with_holes(J))
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

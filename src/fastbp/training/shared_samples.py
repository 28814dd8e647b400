"""The samples of the fits of `fit_many`: what each network is given, and arrays that are checked once for all."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..core import arrays, observed
from ..core.conversion import numbers
from ..core.observed import Observed
from ..core.samples import Samples
from ..data.stream import Stream
from .progress import Trainable

Array = npt.NDArray[Any]


def each(name: str, value: Any, count: int) -> list[Any]:
    """Return one value for each network: those of a sequence, or one for all."""
    if isinstance(value, (list, tuple)) or isinstance(value, np.ndarray) and value.ndim:
        if len(value) != count:
            raise ValueError(f"{name} has {len(value)} values, expected one for all networks, or {count}, one for each")
        return list(value)
    return [value] * count


def one_each(value: Any, dimensions: int, *, lists: bool = False) -> bool:
    """Return whether this is a sequence of arrays of so many dimensions at least, or of None, and not one array.

    Sources count as arrays, and with ``lists`` so do lists.
    """
    def is_array(item: Any) -> bool:
        of_list = int(lists and isinstance(item, (list, tuple, range)))
        return item is None or isinstance(item, Stream) or getattr(item, "ndim", of_list) >= dimensions

    if isinstance(value, np.ndarray):
        return value.ndim > dimensions
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(is_array, value))


def weights_of_each(value: Any, count: int, X: Any, n_targets: int) -> list[Any]:
    """Return the weights for each network: one array for all, or one for each, of which an array is (count, n_samples).

    An array with one for each target, (n_samples, n_targets), looks like these, and is for all.
    """
    if isinstance(value, np.ndarray) and value.shape == (_length(X), n_targets) != (count, _length(X)):
        return [value] * count
    return each("sample_weight", value, count) if one_each(value, 1, lists=True) else [value] * count


class Given:
    """What each network is given: X, Y, weights and rows, one for all or one for each."""

    def __init__(self, networks: list[Trainable], X: Any, Y: Any, sample_weight: Any, rows: Any,
                 validation_rows: Any, missing: bool) -> None:
        self.networks, self.missing, count = networks, "ignore" if missing else None, len(networks)
        several = one_each(X, 2)
        several_targets = one_each(Y, 2) if isinstance(Y, np.ndarray) else one_each(Y, 1) and (
            several or all(_length(item) == _length(X) for item in Y if item is not None))
        for given, place, what in ((several, 0, "inputs"), (several_targets, -1, "outputs")):
            for i, network in enumerate(networks if not given else ()):
                if (other := network.layers[place]) != (one := networks[0].layers[place]):
                    raise ValueError(f"networks[{i}] has {other} {what} and networks[0] has {one}: networks that are "
                                     f"trained on the same {'XY'[place]} have as many {what}")
        self.X = each("X", X, count) if several else [X] * count
        self.Y = each("Y", Y, count) if several_targets else [Y] * count
        self.weights = weights_of_each(sample_weight, count, X, networks[0]._architecture.n_targets)
        self.rows = each("rows", rows, count) if one_each(rows, 1, lists=True) else [rows] * count
        self.validation_rows = each("validation_rows", validation_rows, count) \
            if one_each(validation_rows, 1, lists=True) else [validation_rows] * count
        self.several_inputs, self.several_targets = several, several_targets
        self._known: dict[Any, Any] = {}

    def _once(self, key: Any, make: Callable[..., Any], *arguments: Any) -> Any:
        """Return what was made for this key before, or make it."""
        if key not in self._known:
            self._known[key] = make(*arguments)
        return self._known[key]


class SharedSamples(Given):
    """The arrays of all networks, each converted and checked once for all networks that it is for."""

    def __init__(self, networks: list[Trainable], X: Any, Y: Any, sample_weight: Any, rows: Any,
                 validation_rows: Any, missing: bool) -> None:
        super().__init__(networks, X, Y, sample_weight, rows, validation_rows, missing)
        alike = {(each.dtype, each.cost, each.canonical) for each in (network._architecture for network in networks)}
        if len(alike) == 1 and not (self.several_inputs or self.several_targets):
            self._all(0)  # what is wrong with arrays that all share concerns all

    def _all(self, i: int, weighted: bool = True) -> Samples | Observed:
        """Return all samples that network i may be trained on; where a part may be missing, what has been observed."""
        architecture, X, Y = self.networks[i]._architecture, self.X[i], self.Y[i]
        weights = self.weights[i] if weighted else None
        dtype, cost, canonical = architecture.dtype, architecture.cost, architecture.canonical
        n_in, n_out, encoding = architecture.layers[0], architecture.layers[-1], architecture.encoding
        read = None if encoding is None else (tuple(encoding.codes), tuple(encoding.numeric))
        inputs = self._once(("X", id(X), n_in, dtype, read), arrays.rows, X, n_in, dtype, encoding)
        n, of_targets = len(inputs), (n_out, dtype, cost, canonical)
        if not observed.plain(Y, weights, None, 1.0, self.missing):
            return cast(Observed, self._once(("observed", id(inputs), id(Y), id(weights), *of_targets),
                                             observed.observed, architecture, inputs, Y, weights, self.missing))
        targets, labels = self._once(("Y", id(Y), n, *of_targets), arrays.targets, Y, n, *of_targets)
        shares = self._once(("sample_weight", id(weights), n, dtype), arrays.sample_weight, weights, n, dtype)
        key = id(inputs), id(targets), id(shares)
        samples = cast(Samples, self._once(key, Samples, inputs, targets, labels, shares))
        samples.flat = arrays.is_flat(Y, n, architecture)
        return samples

    def _picked(self, i: int, name: str, rows: Any, weighted: bool = True) -> Samples:
        """Return these rows of all, computed as if they were all."""
        every = self._all(i, weighted)
        if rows is None:
            return every.samples() if isinstance(every, Observed) else every
        picked = self._once((name, id(rows), len(every.inputs)), indices, name, rows, len(every.inputs))
        if isinstance(every, Observed):
            every = every.samples(picked)
        every.data()  # what kernels read of them is then that of all rows picked from them
        return every.pick(picked)

    def samples(self, i: int) -> Samples:
        """Return what network i is trained on."""
        picked = self._picked(i, "rows", self.rows[i])
        if picked.weights.size and picked.own_weights.max() == 0:
            raise ValueError(f"sample_weight is 0 for each of the {len(picked)} rows, expected at least one positive "
                             "weight")
        return picked

    def validation(self, i: int) -> Samples | None:
        """Return what network i is validated with."""
        rows = self.validation_rows[i]
        return None if rows is None else self._picked(i, "validation_rows", rows, weighted=False)


def _length(X: Any) -> int:
    """Return the number of rows; −1 of what has none."""
    shape = getattr(X, "shape", None)
    if shape is None:
        return len(X) if isinstance(X, Sized) else -1
    return int(shape[0]) if shape else -1


def indices(name: str, value: Any, n: int) -> Array:
    """Return the rows that are named, of n, as the user has them; those of a mask in an array of their own."""
    found = numbers(name, value)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}, expected indices of rows, (m,), or a mask, ({n},)")
    if found.dtype.kind == "b":
        if found.size != n:
            raise ValueError(f"{name} is a mask of {found.size} rows, but X has {n}")
        found = np.flatnonzero(found)
    if not found.size:
        raise ValueError(f"{name} names no row, expected at least one")
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {found.dtype}, expected indices of rows: whole numbers, or a mask")
    _check_range(name, found, n)
    return found


def _check_range(name: str, found: Array, n: int) -> None:
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n:
        raise ValueError(f"{name} holds {low if low < 0 else high}, expected indices from 0 to {n - 1}: X has {n} rows")


def own_rows(samples: Samples) -> Samples:
    """Return the samples with indices of their own, by which kernels may go: what is looked at is the copy."""
    if samples.picked is None:
        return samples
    own = np.array(samples.picked, np.int64)
    _check_range("rows", own, len(samples.inputs))
    return samples.pick(own)

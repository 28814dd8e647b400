"""The only place where a user's arrays are converted and checked, with all its messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from ..costs import CLASSES, COUNT, UNIT, Cost
from ..kernels import layout
from ..kernels.passes.predict import all_finite
from ..util import machine
from .architecture import Architecture
from .conversion import MAY_BE_MISSING, converted, hold, numbers, readonly
from .encoding import Encoding, check_codes
from .samples import Samples, SparseRows
from .sparse import canonical

Array = npt.NDArray[Any]


def dtype(value: Any) -> np.dtype[Any]:
    """Return the dtype of a network: float32 or float64."""
    try:
        kind: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise ValueError(f"dtype is {value!r}, expected 'float32' or 'float64'") from error
    if kind.char not in "fd":
        raise ValueError(f"dtype is {kind.name!r}, expected 'float32' or 'float64'")
    return kind if kind.isnative else kind.newbyteorder("=")


def flag(name: str, value: Any) -> bool:
    """Return True or False, which it must be: a text such as "no" would count as True."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}, expected True or False")
    return bool(value)


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return an integer of at least ``least``, and at most ``most``."""
    number: int = value
    if type(value) is not int:  # to ask for a protocol takes 4 µs
        if isinstance(value, (bool, np.bool_, type)) or not isinstance(value, SupportsIndex):
            raise TypeError(f"{name} is {value!r}, expected a whole number")
        try:
            number = value.__index__()
        except TypeError as error:  # NumPy's arrays have one, which is for single numbers only
            raise TypeError(f"{name} is {value!r}, expected a whole number") from error
    if number < least:
        raise ValueError(f"{name} is {number}, expected at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{name} is {number}, expected at most {most}")
    return number


def callbacks(value: Any) -> list[Any]:
    """Return a list of callables."""
    if type(value) is tuple and not value:
        return []
    if callable(value) or not isinstance(value, Iterable) or isinstance(value, np.ndarray):
        raise TypeError(f"callbacks is {value!r}, expected a list of callables")
    found = list(value)
    for i, callback in enumerate(found):
        if not callable(callback):
            raise TypeError(f"callbacks[{i}] is {callback!r}, expected a callable that takes a Record")
    return found


def shuffle(value: Any) -> Any:
    """Return True, False or a callable."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not callable(value):
        raise TypeError(f"shuffle is {value!r}, expected True, False or a callable that overwrites the sample indices; "
                        "an order of your own is written by one: def shuffle(order): order[:] = mine")
    return value


def all_parameters(value: Any, count: int, kind: np.dtype[Any]) -> Array:
    """Return all parameters of a network, laid out like its buffer, of its dtype."""
    array = numbers("parameters", value)
    if array.shape != (count,):
        raise ValueError(f"parameters has shape {array.shape}, expected ({count},): for each layer W row by row, then "
                         "b; a single layer is written by weights[i][:] = W")
    return converted(array, kind)


def given(name: str, value: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Return a copy of a user's first weights or biases, which the user may change later."""
    array = numbers(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    return _finite(name, converted(array, kind).copy())


def _finite(name: str, array: Array) -> Array:
    """Return numbers that are no samples, if they are finite."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds {array[~np.isfinite(array)][0]}, expected finite numbers within "
                         f"{array.dtype.name}")
    return array


def _check_inputs(array: Array, encoding: Encoding | None, first: int = 0) -> None:
    """Raise ValueError unless X is finite, but for columns of codes, in which only codes may be."""
    if encoding is None or not encoding.codes:
        _check_finite("X", array, first)
        return
    if not all_finite(readonly(array)):
        _check_finite("X", np.ascontiguousarray(array[:, encoding.numeric]), first)
    check_codes(array, encoding.codes, first)


def _check_finite(name: str, array: Array, first: int = 0) -> None:
    if array.size and not all_finite(readonly(array)):
        row = next(i for i in range(len(array)) if not np.isfinite(array[i]).all())
        value = np.ravel(array[row])
        bad = value[~np.isfinite(value)][0]
        unknown = ", or give missing='ignore' to a fit or cost" if np.isnan(bad) and name in MAY_BE_MISSING else ""
        raise ValueError(f"{name} holds {bad} in row {first + row}: expected finite numbers within {array.dtype.name}; "
                         f"remove or impute such rows{unknown}")


def own_row(x: Array, n_in: int, kind: np.dtype[Any]) -> Array:
    """Return one row as a flat read-only copy, which no other thread can resize; a view takes as long."""
    row = x.flatten() if x.dtype == kind else converted(x, kind).reshape(-1)
    if row.size != n_in:
        raise ValueError(f"X has {row.size} numbers by now, expected {n_in}: another thread has resized it")
    row.setflags(write=False)
    return row


def directions(name: str, value: Any, n: int, size: int, kind: np.dtype[Any], of: str) -> Array:
    """Return V or U as (n, size) of the network's dtype: one direction a sample."""
    array = numbers(name, value)
    if array.ndim == 1 and (n == 1 or size == 1):
        array = array.reshape(n, size) if array.size == n * size else array
    if array.shape != (n, size):
        raise ValueError(f"{name} has shape {array.shape}, expected ({n}, {size}): X has {n} rows and the network "
                         f"{size} {of}")
    array = converted(array, kind)
    _check_finite(name, array)
    return array


def numbers_of_each(name: str, value: Any, size: int, kind: np.dtype[Any], each: str = "parameter") -> Array:
    """Return one number for each parameter, as a direction has, or each of something else, of the network's dtype."""
    array = numbers(name, value)
    if array.shape != (size,):
        raise ValueError(f"{name} has shape {array.shape}, expected ({size},): one number for each {each}")
    return _finite(name, converted(array, kind))


def square_matrix(size: int, kind: np.dtype[Any]) -> None:
    """Check that a Hessian fits into this machine."""
    needed, memory = size * size * kind.itemsize, machine.physical_memory()
    if needed > memory:
        raise ValueError(f"the Hessian of {size} parameters needs {needed:.3g} bytes, this machine has {memory:.3g}: "
                         "use hessian_vector_product or hessian_diagonal")


def inputs(X: Any, n_in: int, kind: np.dtype[Any], encoding: Encoding | None = None, *, empty: bool = False) -> Array:
    """Return X as (n, n_0) numbers of the network's dtype; one row of shape (n_0,) becomes (1, n_0).

    All must be finite, but for what encoders read as codes. No rows are an error, unless ``empty`` is set.
    """
    array = dense(X, n_in)
    _check_rows(array.shape, empty)
    array = converted(array, kind)
    _check_inputs(array, encoding)
    return array


def dense(X: Any, n_in: int) -> Array:
    """Return X as (n, n_0) numbers of any kind, for passes that convert a part at a time."""
    if hasattr(X, "tocsr"):
        raise TypeError("X is a sparse matrix, which fit, predict and the cost take, but not this: use X.toarray()")
    return _shaped(X, n_in)


def _shaped(X: Any, n_in: int) -> Array:
    array = numbers("X", X)
    if array.ndim == 1 and array.size == n_in:
        array = array.reshape(1, n_in)
    if array.ndim != 2 or array.shape[1] != n_in:
        raise ValueError(f"X has shape {np.shape(array)}, expected (n_samples, {n_in}): the network has {n_in} inputs")
    return array


def _check_rows(shape: tuple[int, ...], empty: bool) -> None:
    if not (shape[0] or empty):
        raise ValueError(f"X has shape {shape}: no rows; expected at least one sample")


def rows(X: Any, n_in: int, kind: np.dtype[Any], encoding: Encoding | None = None) -> Array | SparseRows:
    """Return X as `inputs` does, or by its rows if it is a matrix or an array of scipy.sparse."""
    if not hasattr(X, "tocsr"):
        return inputs(X, n_in, kind, encoding)
    _check_not_encoded(encoding)
    return _sparse(X, n_in, kind)


def dense_or_sparse(X: Any, n_in: int, encoding: Encoding | None = None) -> Array | SparseRows:
    """Return X as `dense` does, or by its rows if it is sparse; codes for encoders are looked at."""
    if hasattr(X, "tocsr"):
        _check_not_encoded(encoding)
        return _sparse(X, n_in)
    found = _shaped(X, n_in)
    if encoding is not None:
        check_codes(found, encoding.codes)
    return found


def _check_not_encoded(encoding: Encoding | None) -> None:
    if encoding is not None:
        raise TypeError("X is a sparse matrix, and the network has encoders, which read dense columns: use X.toarray()")


def _sparse(X: Any, n_in: int, kind: np.dtype[Any] | None = None) -> SparseRows:
    """Return the rows of a sparse matrix; with a dtype, at least one row, of finite numbers of it."""
    if X.ndim != 2 or X.shape[1] != n_in:
        raise ValueError(f"X has shape {X.shape}, expected (n_samples, {n_in}): the network has {n_in} inputs")
    _check_rows(X.shape, kind is None)
    if X.dtype.kind not in "fiub":
        raise TypeError(f"X has dtype {X.dtype}, expected numbers (float, integer or bool)")
    csr = canonical(X)
    values = csr.data
    if kind is not None:
        values = converted(values, kind)
        if not all_finite(readonly(values)):
            wrong = int(np.isfinite(values).argmin())
            row = int(np.searchsorted(csr.indptr, wrong, "right")) - 1
            raise ValueError(f"X holds {values[wrong]} in row {row}: expected finite numbers within {kind.name}; "
                             "remove or impute such rows")
    return SparseRows(values, csr.indices, csr.indptr, layout.few_nonzeros(len(values), *csr.shape))


def targets(Y: Any, n: int, outputs: int, kind: np.dtype[Any], cost: Cost, canonical_link: bool) -> tuple[Array, bool]:
    """Return Y as (n, n_targets), or (n,) class indices, of the network's dtype, and whether they are class indices."""
    if Y is None:
        raise ValueError("Y is None: there are no targets; expected an array of them")
    array, n_out = numbers("Y", Y), cost.columns(outputs)
    if array.size == 0 and n == 0 and array.shape in ((0,), (0, n_out)):
        return np.empty((0, n_out), kind), False
    if cost.targets == CLASSES and n_out > 1 and array.shape in ((n,), (n, 1)):
        return _labels(array.reshape(n), n_out, kind), True
    if array.ndim == 0 and n == n_out == 1:
        array = array.reshape(1, 1)
    if array.ndim == 1 and (n_out == 1 or n == 1):
        array = array.reshape(-1, n_out) if array.size == n * n_out else array
    if array.shape != (n, n_out):
        raise ValueError(f"Y has shape {array.shape}, expected ({n}, {n_out}): X has {n} rows and the network "
                         f"{outputs} outputs" + (f", or ({n},) class indices" if cost.targets == CLASSES else "")
                         + (f", two for each target of {cost.name}" if cost.outputs_per_target > 1 else "")
                         + (f", and {cost} reads {n_out} numbers a sample" if cost.extra or cost.whole else ""))
    array = converted(array, kind)
    _check_finite("Y", array)
    _check_range(array, cost, canonical_link)
    return array, False


def output(out: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> object:
    """Check an array that results are to be written to, and give what holds it, see `hold`."""
    held = hold(out) if isinstance(out, np.ndarray) else None  # from now on its shape holds
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != kind:
        array = isinstance(out, np.ndarray)
        given = f"shape {out.shape} and dtype {out.dtype}" if array else f"type {type(out).__name__}"
        raise ValueError(f"out has {given}, expected shape {shape} and dtype {kind}")
    flags = out.flags
    if not (flags.c_contiguous and flags.writeable and flags.aligned):
        raise ValueError("out must be C-contiguous, aligned and writable")
    return held


def overlap(out: Array, rows: Array | SparseRows, parameters: Array) -> bool:
    """Return whether results may overwrite what a pass has yet to read."""
    values = rows.values if isinstance(rows, SparseRows) else rows
    return np.may_share_memory(out, values) or np.may_share_memory(out, parameters)


def _labels(labels: Array, classes: int, kind: np.dtype[Any]) -> Array:
    labels = labels.copy()  # by which kernels index: what is checked is what they read, whatever the user writes later
    if labels.dtype.kind == "f":
        _check_finite("Y", np.require(labels, np.float64, ["C", "A"]))
        if not np.array_equal(labels, np.floor(labels)):
            raise ValueError("Y holds fractions: class indices must be whole numbers")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"Y holds class index {low if low < 0 else high}, expected 0 to {classes - 1}: the network "
                         f"has {classes} outputs")
    if classes > 2**24 and kind == np.float32:
        raise ValueError(f"{classes} classes cannot be told apart in float32: use dtype='float64'")
    return converted(labels, kind)


def _check_range(array: Array, cost: Cost, canonical_link: bool, first: int = 0) -> None:
    if cost.targets not in (UNIT, COUNT, CLASSES):
        return
    low, high = float(array.min()), float(array.max())
    if cost.targets == UNIT and (low < 0 or high > 1):
        raise ValueError(f"Y holds {low if low < 0 else high:g}, expected probabilities from 0 to 1 for {cost.name}")
    if cost.targets in (COUNT, CLASSES) and low < 0:
        raise ValueError(f"Y holds {low:g}, expected numbers that are not negative for {cost.name}")
    if cost.targets == CLASSES and canonical_link:
        sums = array.sum(axis=1, dtype=np.float64)
        if (worst := int(np.argmax(abs(sums - 1)))) >= 0 and abs(sums[worst] - 1) > 1e-3:
            raise ValueError(f"row {first + worst} of Y sums to {sums[worst]:g}, expected 1: give one-hot rows, "
                             "probabilities or class indices")


def sample_weight(value: Any, n: int, kind: np.dtype[Any]) -> Array:
    """Return one weight a sample, none negative and not all zero; an empty array where None is given."""
    if value is None:
        return np.empty(0, kind)
    array = numbers("sample_weight", value)
    if array.shape != (n,):
        raise ValueError(f"sample_weight has shape {array.shape}, expected ({n},): one for each row of X")
    array = converted(array, kind)
    _check_finite("sample_weight", array)
    if array.min() < 0:
        raise ValueError(f"sample_weight holds {array.min():g}, expected no negative weight")
    if array.max() == 0:
        raise ValueError("sample_weight is 0 for every sample, expected at least one positive weight")
    return array


def target_jacobian(J: Any, n: int, architecture: Architecture, name: str = "target_jacobian") -> Array:
    """Return targets of ∂o/∂x as (n, n_targets, n_0) of the network's dtype; the workspace they ask for must fit."""
    layers, kind = architecture.layers, architecture.dtype
    n_in, n_out = layers[0], architecture.n_targets
    array = numbers(name, J)
    if array.shape == (n, n_in) and n_out == 1:
        array = array.reshape(n, 1, n_in)
    if array.shape != (n, n_out, n_in):
        raise ValueError(f"{name} has shape {array.shape}, expected ({n}, {n_out}, {n_in})"
                         + (f" or ({n}, {n_in})" if n_out == 1 else "")
                         + f": X has {n} rows, the network {n_out} "
                         + ("outputs" if n_out == layers[-1] else "targets") + f" and {n_in} inputs")
    architecture.check_tangents(name)
    array = converted(array, kind)
    _check_finite(name, array)
    return array


def jacobian_weight(value: Any) -> float:
    """Return the weight of the costs of ∂o/∂x: a finite number, not negative."""
    if isinstance(value, (bool, str, type)) or not isinstance(value, SupportsFloat):
        raise TypeError(f"jacobian_weight is {value!r}, expected a number")
    if not 0 <= float(value) < float("inf"):
        raise ValueError(f"jacobian_weight is {value!r}, expected a finite number that is not negative")
    return float(value)


def validation_split(value: Any, n: int) -> int:
    """Return how many of n samples a validation fraction keeps back."""
    if not isinstance(value, (float, np.floating)) or not 0 < value < 1:
        raise ValueError(f"validation is {value!r}, expected a pair (X, Y), a triple (X, Y, J) or a fraction "
                         "between 0 and 1")
    kept = max(int(round(n * float(value))), 1)
    if kept >= n:
        raise ValueError(f"validation={value} of {n} samples leaves none to train on")
    return kept


def samples(architecture: Architecture, X: Any, Y: Any, weights: Any, J: Any, J_weight: float, *, sparse: bool,
            empty: bool) -> Samples:
    """Return a user's samples, checked; X may be sparse, or have no rows, where that is allowed."""
    if J is not None and hasattr(X, "tocsr"):
        raise TypeError("X is a sparse matrix, and target_jacobian is given: they do not go together; use "
                        "X.toarray() with it, or leave target_jacobian out")
    sizes, kind, encoding = architecture.layers, architecture.dtype, architecture.encoding
    found = rows(X, sizes[0], kind, encoding) if sparse else inputs(X, sizes[0], kind, encoding, empty=empty)
    n = len(found)
    wanted, labels = targets(Y, n, sizes[-1], kind, architecture.cost, architecture.canonical)
    shares = sample_weight(weights, n, kind)
    flat = is_flat(Y, n, architecture)
    if J is None:
        return Samples(found, wanted, labels, shares, flat=flat)
    return Samples(found, wanted, labels, shares, target_jacobian(J, n, architecture), jacobian_weight(J_weight),
                   flat=flat)


def is_flat(Y: Any, n: int, architecture: Architecture) -> bool | None:
    """Return whether targets that have been checked are one number a sample, given as (n,); of one row None."""
    if architecture.n_targets > 1:
        return False
    return (Y.ndim if type(Y) is np.ndarray else np.ndim(Y)) == 1 if n > 1 else None


def part(architecture: Architecture, samples: Samples, first: int) -> None:
    """Check samples of the network's dtype that are a part of all, from row ``first`` on, and were read into memory.

    Their class indices have been looked at (`class_indices`), and their weights may all be 0.
    """
    _check_inputs(samples.inputs, architecture.encoding, first)  # type: ignore[arg-type]
    if not samples.labels:
        _check_finite("Y", samples.targets, first)
        _check_range(samples.targets, architecture.cost, architecture.canonical, first)
    _check_finite("sample_weight", samples.weights, first)
    if samples.jacobian is not None:
        _check_finite("target_jacobian", samples.jacobian, first)
    if samples.weights.size and (least := samples.weights.min()) < 0:
        row = int(samples.weights.argmin()) // (samples.weights.size // len(samples.weights))
        raise ValueError(f"sample_weight holds {least:g} in row {first + row}, expected no negative weight")


def class_indices(labels: Array, classes: int, first: int) -> None:
    """Check class indices in an array that no one else can change, since kernels go where they say."""
    wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"Y holds class index {labels[row]:g} in row {first + row}, expected whole numbers from 0 to "
                         f"{classes - 1}: the network has {classes} outputs")


def inputs_only(architecture: Architecture, X: Any, weights: Any, *, empty: bool = False) -> Samples:
    """Return samples without targets."""
    found = inputs(X, architecture.layers[0], architecture.dtype, architecture.encoding, empty=empty)
    shares = sample_weight(weights, len(found), architecture.dtype)
    return Samples(found, np.empty((len(found), 0), architecture.dtype), False, shares)

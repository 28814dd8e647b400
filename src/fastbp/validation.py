"""The only place where a user's arrays are converted and checked, with all its messages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import initializers
from .costs import CLASSES, COUNT, UNIT, Cost
from .initializers import Constant, Given, Rule
from .kernels._jit import VECTOR_BYTES
from .kernels.predict import all_finite

Array = npt.NDArray[Any]


@dataclass
class SparseRows:
    """The rows of a sparse matrix (CSR), after validation."""

    values: Array
    columns: npt.NDArray[np.int64]
    """The column of each value."""
    starts: npt.NDArray[np.int64]
    """Where each row begins, and the last one ends."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: slice) -> SparseRows:
        first, stop, _ = rows.indices(len(self))
        starts = self.starts[first : stop + 1]
        values = slice(starts[0], starts[-1])
        return SparseRows(self.values[values], self.columns[values], starts - starts[0])

    def table(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give the order with what `dense.gather_sparse` reads behind it."""
        order = order if order.size else np.arange(len(self))
        return np.concatenate([order, self.starts, self.columns, [len(self)]])


def dtype(value: Any) -> np.dtype[Any]:
    """Give the dtype of a network: float32 or float64."""
    try:
        kind = np.dtype(value)
    except TypeError as error:
        raise ValueError(f"dtype is {value!r}, expected 'float32' or 'float64'") from error
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype is {kind.name!r}, expected 'float32' or 'float64'")
    native: np.dtype[Any] = kind.newbyteorder("=")
    return native


MOST_THREADS = 1024
"""Threads in a fit at most: more than any machine has processors, and few enough to be started."""


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return an integer of at least ``least``, and at most ``most``."""
    if isinstance(value, (bool, np.bool_, type)) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} is {value!r}, expected a whole number")
    number = value.__index__()
    if number < least:
        raise ValueError(f"{name} is {number}, expected at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{name} is {number}, expected at most {most}")
    return number


def callbacks(value: Any) -> list[Any]:
    """Give a list of callables."""
    if callable(value) or not isinstance(value, Iterable) or isinstance(value, np.ndarray):
        raise TypeError(f"callbacks is {value!r}, expected a list of callables")
    found = list(value)
    for i, callback in enumerate(found):
        if not callable(callback):
            raise TypeError(f"callbacks[{i}] is {callback!r}, expected a callable that takes a Record")
    return found


def shuffle(value: Any) -> Any:
    """Give True, False or a callable."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not callable(value):
        raise TypeError(f"shuffle is {value!r}, expected True, False or a callable that overwrites the sample indices; "
                        "an order of your own is written by one: def shuffle(order): order[:] = mine")
    return value


def layers(value: Any, itemsize: int, bias: bool) -> tuple[int, ...]:
    """Give (n_0, ..., n_L), each at least 1, small enough for this machine."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"layers is {value!r}, expected the numbers of neurons, for instance (2, 8, 1)")
    sizes = tuple(whole(f"layers[{i}]", n) for i, n in enumerate(value))
    if len(sizes) < 2:
        raise ValueError(f"layers is {sizes}, expected at least inputs and outputs, for instance (2, 1)")
    count = sum((n + bias) * m for n, m in zip(sizes[:-1], sizes[1:], strict=True)) + sum(sizes)
    memory = physical_memory()
    if count * itemsize > memory:
        raise ValueError(f"layers {sizes} need {count * itemsize:.3g} bytes, this machine has {memory:.3g}: use "
                         "smaller layers")
    return sizes


def init(value: Any, sizes: Sequence[int], bias: bool, kind: np.dtype[Any]) -> Rule | tuple[Rule, ...]:
    """Give what the layers begin with: one rule for all, or one for each."""
    if isinstance(value, (str, Constant)):
        return _rule("init", value, sizes[0], sizes[1], bias, kind)
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"init is of type {type(value).__name__}, expected a name, fastbp.initializers.Constant, or a "
                        "list with an entry for each layer of weights: a name, a Constant, W or (W, b)")
    if len(value) != len(sizes) - 1:
        raise ValueError(f"init has {len(value)} entries, expected {len(sizes) - 1}: one for each layer of weights")
    return tuple(_rule(f"init[{i}]", rule, n_in, n_out, bias, kind)
                 for i, (rule, n_in, n_out) in enumerate(zip(value, sizes[:-1], sizes[1:], strict=True)))


def _rule(name: str, value: Any, n_in: int, n_out: int, bias: bool, kind: np.dtype[Any]) -> Rule:
    if isinstance(value, str):
        return value if value == "auto" else initializers.named(value)
    if isinstance(value, Constant):
        return value
    if isinstance(value, Given):  # of another network
        value = (value.weights, value.biases)
    W, b = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    W = _given(f"{name}'s weights" if b is not None else name, W, (n_out, n_in), kind)
    if b is None:
        return Given(W, None)
    if not bias:
        raise ValueError(f"{name} has biases, but the network has none: give the weights alone, or leave bias=False "
                         "out")
    return Given(W, _given(f"{name}'s biases", b, (n_out,), kind))


def all_parameters(value: Any, count: int, kind: np.dtype[Any]) -> Array:
    """Give all parameters of a network, laid out like its buffer, of its dtype."""
    array = _numbers("parameters", value)
    if array.shape != (count,):
        raise ValueError(f"parameters has shape {array.shape}, expected ({count},): for each layer W row by row, then "
                         "b; a single layer is written by weights[i][:] = W")
    return _converted(array, kind)


def _given(name: str, value: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Give a copy of a user's first weights or biases, which he may change later."""
    array = _numbers(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    array = _converted(array, kind).copy()
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds {array[~np.isfinite(array)][0]}, expected finite numbers within {kind.name}")
    return array


def physical_memory() -> int:
    """Give the bytes of memory of this machine, or the largest array size where that is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**44


def _numbers(name: str, value: Any) -> Array:
    """Give an array of real numbers, or say why it cannot be."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array of numbers: {error}") from error
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} has dtype object and holds what is not a number ({error}); convert it first, for "
                            f"instance with {name}.astype('float32')") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, expected numbers (float, integer or bool)")
    return array


def _converted(array: Array, kind: np.dtype[Any]) -> Array:
    """Give the array in C order, native and aligned; itself where it is that already."""
    with np.errstate(over="ignore"):  # what overflows float32 becomes infinite, and is named as such
        return np.require(array, kind, ["C", "A"])


def _check_finite(name: str, array: Array) -> None:
    if array.size and not all_finite(readonly(array)):
        row = next(i for i in range(len(array)) if not np.isfinite(array[i]).all())
        value = np.ravel(array[row])
        bad = value[~np.isfinite(value)][0]
        raise ValueError(f"{name} holds {bad} in row {row}: expected finite numbers within {array.dtype.name}; remove "
                         "or impute such rows")


def readonly(array: Array) -> Array:
    """Give a flat read-only view: the one kind of array that kernels read a user's numbers from."""
    view = array.reshape(-1)
    if view is array:
        view = array.view()
    view.flags.writeable = False
    return view


def directions(name: str, value: Any, n: int, size: int, kind: np.dtype[Any], of: str) -> Array:
    """Give V or U as (n, size) of the network's dtype: one direction a sample."""
    array = _numbers(name, value)
    if array.ndim == 1 and n == 1:
        array = array.reshape(1, -1)
    if array.shape != (n, size):
        raise ValueError(f"{name} has shape {array.shape}, expected ({n}, {size}): X has {n} rows and the network "
                         f"{size} {of}")
    array = _converted(array, kind)
    _check_finite(name, array)
    return array


def parameters(name: str, value: Any, size: int, kind: np.dtype[Any]) -> Array:
    """Give a direction in the space of parameters, flat, of the network's dtype."""
    array = _numbers(name, value)
    if array.shape != (size,):
        raise ValueError(f"{name} has shape {array.shape}, expected ({size},): one number for each parameter")
    array = _converted(array, kind)
    _check_finite(name, array)
    return array


def square_matrix(size: int, kind: np.dtype[Any]) -> None:
    """Check that a Hessian fits into this machine."""
    needed, memory = size * size * kind.itemsize, physical_memory()
    if needed > memory:
        raise ValueError(f"the Hessian of {size} parameters needs {needed:.3g} bytes, this machine has {memory:.3g}: "
                         "use hessian_vector_product or hessian_diagonal")


def inputs(X: Any, n_in: int, kind: np.dtype[Any], *, finite: bool = True) -> Array:
    """Give X as (n, n_0) of the network's dtype; one row of shape (n_0,) becomes (1, n_0)."""
    if hasattr(X, "tocsr"):
        raise TypeError("X is a sparse matrix, which fit, predict and the cost take, but not this: use X.toarray()")
    array = _numbers("X", X)
    if array.ndim == 1 and array.size == n_in:
        array = array.reshape(1, n_in)
    if array.ndim != 2 or array.shape[1] != n_in:
        raise ValueError(f"X has shape {np.shape(array)}, expected (n_samples, {n_in}): the network has {n_in} inputs")
    if not len(array):
        raise ValueError(f"X has shape {array.shape}: no rows; expected at least one sample")
    array = _converted(array, kind)
    if finite:
        _check_finite("X", array)
    return array


def rows(X: Any, n_in: int, kind: np.dtype[Any], *, finite: bool = True) -> Array | SparseRows:
    """Give X as `inputs` does, or by its rows if it is a matrix or an array of scipy.sparse."""
    return (_sparse if hasattr(X, "tocsr") else inputs)(X, n_in, kind, finite=finite)


def flattened(rows: Array | SparseRows, order: npt.NDArray[np.int64]) -> tuple[Array, npt.NDArray[np.int64]]:
    """Give what the kernels read of X: the numbers, and the order with the table of a sparse matrix behind it."""
    if isinstance(rows, SparseRows):
        return readonly(rows.values), rows.table(order)
    return readonly(rows), order


def _sparse(X: Any, n_in: int, kind: np.dtype[Any], *, finite: bool) -> SparseRows:
    if X.ndim != 2 or X.shape[1] != n_in:
        raise ValueError(f"X has shape {X.shape}, expected (n_samples, {n_in}): the network has {n_in} inputs")
    if not X.shape[0]:
        raise ValueError(f"X has shape {X.shape}: no rows; expected at least one sample")
    if X.dtype.kind not in "fiub":
        raise TypeError(f"X has dtype {X.dtype}, expected numbers (float, integer or bool)")
    csr = X.tocsr()
    values = _converted(csr.data[: csr.indptr[-1]], kind)
    if finite and not all_finite(readonly(values)):
        raise ValueError(f"X holds {values[~np.isfinite(values)][0]}: expected finite numbers within {kind.name}; "
                         "remove or impute such rows")
    return SparseRows(values, csr.indices[: len(values)].astype(np.int64), csr.indptr.astype(np.int64))


def targets(Y: Any, n: int, n_out: int, kind: np.dtype[Any], cost: Cost, matched: bool) -> tuple[Array, bool]:
    """Give Y as (n, n_L), or (n,) class indices, of the network's dtype, and whether they are class indices."""
    array = _numbers("Y", Y)
    if cost.targets == CLASSES and n_out > 1 and array.shape in ((n,), (n, 1)):
        return _labels(array.reshape(n), n_out, kind), True
    if array.ndim == 0 and n == n_out == 1:
        array = array.reshape(1, 1)
    if array.ndim == 1 and (n_out == 1 or n == 1):
        array = array.reshape(-1, n_out) if array.size == n * n_out else array
    if array.shape != (n, n_out):
        raise ValueError(f"Y has shape {array.shape}, expected ({n}, {n_out}): X has {n} rows and the network {n_out} "
                         "outputs" + (f", or ({n},) class indices" if cost.targets == CLASSES else ""))
    array = _converted(array, kind)
    _check_finite("Y", array)
    _check_range(array, cost, matched)
    return array, False


def output(out: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    """Check an array that results are to be written to."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != kind:
        array = isinstance(out, np.ndarray)
        given = f"shape {out.shape} and dtype {out.dtype}" if array else f"type {type(out).__name__}"
        raise ValueError(f"out has {given}, expected shape {shape} and dtype {kind}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out must be C-contiguous, aligned and writable")


def _labels(labels: Array, classes: int, kind: np.dtype[Any]) -> Array:
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
    return _converted(labels, kind)


def _check_range(array: Array, cost: Cost, matched: bool) -> None:
    low, high = float(array.min()), float(array.max())
    if cost.targets == UNIT and (low < 0 or high > 1):
        raise ValueError(f"Y holds {low if low < 0 else high:g}, expected probabilities from 0 to 1 for {cost.name}")
    if cost.targets in (COUNT, CLASSES) and low < 0:
        raise ValueError(f"Y holds {low:g}, expected numbers that are not negative for {cost.name}")
    if cost.targets == CLASSES and matched:
        sums = array.sum(axis=1, dtype=np.float64)
        if (worst := int(np.argmax(abs(sums - 1)))) >= 0 and abs(sums[worst] - 1) > 1e-3:
            raise ValueError(f"row {worst} of Y sums to {sums[worst]:g}, expected 1: give one-hot rows, probabilities "
                             "or class indices")


def sample_weight(value: Any, n: int, kind: np.dtype[Any]) -> Array:
    """Give one weight a sample, none negative and not all zero; an empty array where None is given."""
    if value is None:
        return np.empty(0, kind)
    array = _numbers("sample_weight", value)
    if array.shape != (n,):
        raise ValueError(f"sample_weight has shape {array.shape}, expected ({n},): one for each row of X")
    array = _converted(array, kind)
    _check_finite("sample_weight", array)
    if array.min() < 0:
        raise ValueError(f"sample_weight holds {array.min():g}, expected no negative weight")
    if array.max() == 0:
        raise ValueError("sample_weight is 0 for every sample, expected at least one positive weight")
    return array


def slopes(J: Any, n: int, layers: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Give targets of ∂o/∂x as (n, n_L, n_0) of the network's dtype; the workspace that they ask for must fit."""
    n_in, n_out = layers[0], layers[-1]
    array = _numbers("input_jacobian", J)
    if array.shape == (n, n_in) and n_out == 1:
        array = array.reshape(n, 1, n_in)
    if array.shape != (n, n_out, n_in):
        raise ValueError(f"input_jacobian has shape {array.shape}, expected ({n}, {n_out}, {n_in})"
                         + (f" or ({n}, {n_in})" if n_out == 1 else "")
                         + f": X has {n} rows, the network {n_out} outputs and {n_in} inputs")
    needed = (1 + n_in) * VECTOR_BYTES * (4 * sum(layers) + n_in * n_out)
    if needed > (memory := physical_memory()):
        raise ValueError(f"training on the derivatives along {n_in} inputs needs a workspace of {needed:.3g} bytes, "
                         f"this machine has {memory:.3g}: use a smaller network, or train on values alone")
    array = _converted(array, kind)
    _check_finite("input_jacobian", array)
    return array


def jacobian_weight(value: Any) -> float:
    """Give the weight of the costs of ∂o/∂x: a finite number, not negative."""
    if isinstance(value, (bool, str, type)) or not isinstance(value, SupportsFloat):
        raise TypeError(f"jacobian_weight is {value!r}, expected a number")
    if not 0 <= float(value) < float("inf"):
        raise ValueError(f"jacobian_weight is {value!r}, expected a finite number that is not negative")
    return float(value)


def validation_split(value: Any, n: int) -> int:
    """Give how many of n samples a validation fraction keeps back."""
    if not isinstance(value, (float, np.floating)) or not 0 < value < 1:
        raise ValueError(f"validation is {value!r}, expected a pair (X, Y), a triple (X, Y, J) or a fraction "
                         "between 0 and 1")
    kept = max(int(round(n * float(value))), 1)
    if kept >= n:
        raise ValueError(f"validation={value} of {n} samples leaves none to train on")
    return kept

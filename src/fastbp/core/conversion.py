"""A user's array as one that kernels can read: of numbers, converted where it must be, and kept where it lies."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.base import Rows
from ..data.source import adapter
from ..data.stream import Stream

Array = npt.NDArray[Any]

SAMPLES = ("X", "Y", "sample_weight")
"""Arguments that may be read by blocks."""

MAY_BE_MISSING = ("Y", "target_jacobian")
"""Arguments that fits and costs take with ``missing="ignore"``."""


def numbers(name: str, value: Any) -> Array:
    """Return an array of real numbers, or say why it cannot be."""
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return fixed(value)
    if type(value) is not np.ndarray and _masked(value):
        unknown = "; missing='ignore' takes them for not observed" if name in MAY_BE_MISSING else ""
        raise ValueError(f"{name} has masked entries: leave out their rows, or fill them with numbers, for instance "
                         f"by {name}.filled(0){unknown}")
    if value is None:
        raise TypeError(f"{name} is None, expected an array of numbers")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array of numbers: {error}") from error
    if array.dtype.kind in "OU" and name in SAMPLES and (instead := adapter(value)) is not None:
        raise TypeError(f"{name} is of type {type(value).__name__}, expected an array of numbers, or to be read by "
                        f"blocks {instead}")
    if array.dtype.kind == "O":
        if isinstance(value, (Rows, Stream)):
            raise TypeError(f"{name} is read by blocks, as fit, cost, gradient, score and predict take it, but not "
                            "this: use an array of some of its rows")
        for entry in array.flat:  # which float() would take for a number
            if entry is np.ma.masked:
                raise ValueError(f"{name} has masked entries: leave out their rows, or fill them with numbers")
            if isinstance(entry, (str, bytes, bytearray)):
                raise TypeError(f"{name} has dtype object and holds what is not a number (the string {entry!r}); "
                                f"convert it first, for instance with {name}.astype('float32')")
        try:
            array = array.astype(np.float64)
        except (OverflowError, TypeError, ValueError) as error:
            raise TypeError(f"{name} has dtype object and holds what is not a number ({error}); convert it first, for "
                            f"instance with {name}.astype('float32')") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, expected numbers (float, integer or bool)")
    return array if array.base is None and array is not value else fixed(array)


def _masked(value: Any) -> bool:
    """Return whether any entry of an array is masked, or of the arrays in a list."""
    if isinstance(value, np.ma.MaskedArray):
        return value.dtype.names is None and bool(np.ma.is_masked(value))  # records are no numbers anyway
    return isinstance(value, (list, tuple)) and any(map(_masked, value))


def converted(array: Array, kind: np.dtype[Any]) -> Array:
    """Return the array in C order, native and aligned; itself where it is that already."""
    flags = array.flags
    if array.dtype == kind and flags.c_contiguous and flags.aligned:
        return array
    with np.errstate(all="ignore"):  # what overflows float32 becomes infinite, and is named as such
        return array.astype(kind, order="C")


def readonly(array: Array) -> Array:
    """Return a flat read-only view: the one kind of array that kernels read a user's numbers from."""
    view = array.ravel()
    if view is array:
        view = array.view()
    view.setflags(False)  # type: ignore[call-arg]  # a keyword would take as long again
    return view


class _Held(np.ndarray[Any, Any]):
    """A view of a user's array, with what `hold` gives for it."""

    hold: object


def fixed(array: Array) -> Array:
    """Return a view that stays what it is, as do views of it: nobody else can reshape it, resize or unmap its memory.

    Two of a class of their own lie between, since NumPy passes over one to the array behind it.
    """
    kept = hold(array)
    between = array.view(_Held).view(_Held)
    between.hold = kept
    return between.view(np.ndarray)


def hold(array: Array) -> object:
    """Return what forbids, while it lives, that the memory which an array is in is resized or unmapped.

    Compiled code runs beside other threads and between callbacks; ``ndarray.resize(refcheck=False)`` takes no notice of
    references and views, but refuses an array that is weakly referenced.
    """
    while (base := array.base) is not None:
        if not isinstance(base, np.ndarray):
            try:
                return memoryview(base)  # of a mmap or a bytearray, which count them
            except (TypeError, BufferError):
                return base
        array = base
    return weakref.ref(array)


def pickled(name: str, array: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Return an array that was pickled if it is what it should be."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.newbyteorder("=") != kind:
        given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else f"of type {type(array).__name__}"
        raise ValueError(f"this pickle is corrupt: {name} is {given}, expected {kind} {shape}")
    return array


def owned(name: str, array: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Return an array that was pickled as one that owns its memory, and that kernels can write to.

    An array that came as a map of a file, or in a buffer outside of the pickle, is read-only, or is others' too.
    """
    flags = pickled(name, array, shape, kind).flags
    own = flags.owndata and flags.c_contiguous and flags.aligned and flags.writeable
    return array if own and type(array) is np.ndarray and array.dtype == kind else np.array(array, kind, order="C")

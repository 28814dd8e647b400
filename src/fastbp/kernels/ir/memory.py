"""Where numbers lie: arrays whose references nobody counts, pointers, parts of panels; a user's arrays."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import TypingError, types

from ..compile import VECTOR_BYTES, scalar
from ..compile.numba_internals import cgutils, field
from ..compile.options import COUNTED
from .builder import Builder, constant, twin, unowned_array, vector_type


def _lanes(typing: Any, array: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return constant(vector_type(signature.args[0].dtype).count)

    return types.intp(array), generate


@twin(_lanes)
def lanes(array: Any) -> int:
    """Return the number of elements in a vector of this CPU, for the dtype of an array."""
    return VECTOR_BYTES // int(array.itemsize)


def _bounded(emit: Callable[..., Any]) -> Callable[..., Any]:
    """Return the decorator of a slice: `twin`, but where bounds are checked the plain slice is compiled."""
    return scalar if COUNTED else twin(emit)


def _view(typing: Any, array: Any, start: Any, size: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        data = field(context, builder, signature.args[0], arguments[0], "data")
        return unowned_array(context, builder, signature.return_type, builder.gep(data, [arguments[1]]), arguments[2])

    return array(array, types.intp, types.intp), generate


@_bounded(_view)
def view(array: Any, start: int, size: int) -> Any:
    """Return array[start:start+size] without the cost of a slice: neither wrap-around nor reference count."""
    return array[start : start + size]


def _part(typing: Any, array: Any, number: Any, size: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        data = field(context, builder, signature.args[0], arguments[0], "data")
        start = builder.mul(arguments[1], arguments[2], flags=["nsw"])
        return unowned_array(context, builder, signature.return_type, builder.gep(data, [start]), arguments[2])

    return array(array, types.intp, types.intp), generate


@_bounded(_part)
def part(array: Any, number: int, size: int) -> Any:
    """Return one of the parts of an array that are all of this size, as `view` would."""
    return array[number * size : (number + 1) * size]


def _panel(typing: Any, panels: Any, start: Any, n: Any, first: Any, last: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        panels, start, n, first, last = arguments
        strip = builder.mul(n, constant(vector_type(signature.return_type.dtype).count))
        data = field(context, builder, signature.args[0], panels, "data")
        begin, size = builder.add(start, builder.mul(first, strip)), builder.mul(builder.sub(last, first), strip)
        return unowned_array(context, builder, signature.return_type, builder.gep(data, [begin]), size)

    return panels(panels, types.intp, types.intp, types.intp, types.intp), generate


@_bounded(_panel)
def panel(panels: Any, start: int, n: int, first: int, last: int) -> Any:
    """Return strips first..last of a panel of n rows as one array."""
    strip = n * lanes(panels)
    return panels[start + first * strip : start + last * strip]


def _pointer(typing: Any, array: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        if isinstance(signature.args[0], types.CPointer):
            return arguments[0]
        return field(context, builder, signature.args[0], arguments[0], "data")

    return types.CPointer(array.dtype)(array), generate


@twin(_pointer)
def pointer(array: Any) -> Any:
    """Return where an array begins; of a pointer, itself, so that a kernel that takes one takes an array from Python.

    An array takes seven words and more in a call by address, a pointer one, and to compile ``p[i]`` takes a seventh
    of the time of ``a[i]``.
    """
    return array.reshape(-1)


def _row(typing: Any, table: Any, number: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        shape = field(context, builder, table, arguments[0], "shape")
        start = builder.mul(arguments[1], builder.extract_value(shape, 1))
        return builder.gep(field(context, builder, table, arguments[0], "data"), [start])

    return types.CPointer(table.dtype)(table, types.intp), generate


@twin(_row)
def row(table: Any, number: int) -> Any:
    """Return where a row of a table begins."""
    return table[number]


def _pointer_at(typing: Any, like: Any, address: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[1], context.get_value_type(signature.return_type))

    return types.CPointer(types.unliteral(like))(like, types.intp), generate


@twin(_pointer_at)
def pointer_at(like: Any, address: Any) -> Any:
    """Return a pointer to numbers of the type of ``like`` that lie at an address, given by `compile.place`."""
    return address.reshape(-1)


def _array_at(typing: Any, pointer: Any, *shape: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        sizes = cgutils.unpack_tuple(builder, arguments[1])
        return unowned_array(context, builder, signature.return_type, arguments[0], *sizes)

    sizes = types.UniTuple(types.intp, len(shape))
    return types.Array(pointer.dtype, len(shape), "C")(pointer, sizes), generate


@twin(_array_at)
def array_at(pointer: Any, *shape: int) -> Any:
    """Return the array of this shape that begins at a pointer."""
    return pointer[: math.prod(shape)].reshape(shape)


def _array_at_address(typing: Any, like: Any, address: Any, size: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        data = builder.inttoptr(arguments[1], context.get_value_type(types.CPointer(like.dtype)))
        return unowned_array(context, builder, signature.return_type, data, arguments[2])

    return like(like, types.intp, types.intp), generate


@twin(_array_at_address)
def array_at_address(like: Any, address: int, size: int) -> Any:
    """Return the array, of the type of ``like``, whose first element lies at an address."""
    return np.frombuffer((ctypes.c_char * (size * like.itemsize)).from_address(int(address)), like.dtype)


def _address_of(typing: Any, array: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        data = field(context, builder, signature.args[0], arguments[0], "data")
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


@twin(_address_of)
def address_of(array: Any) -> int:
    """Return where the first element of an array lies, for `array_at_address`."""
    return int(array.ctypes.data)


def _stack(typing: Any, like: Any, count: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return cgutils.alloca_once(builder, context.get_value_type(like), constant(count.literal_value))

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.CPointer(like)(like, count), generate


@twin(_stack)
def stack(like: Any, count: int) -> Any:
    """Return where so many numbers of the type of ``like`` lie until the function returns."""
    return np.empty(count, type(like))


def user_array(name: str, *, readonly: bool) -> Any:
    """Return a function ``(like, array)`` for use in compiled code: a user's array, flat, of the dtype of ``like``.

    An array of another dtype, strided, or read-only where it would be written, is an error when the caller is compiled.
    """
    def emit(typing: Any, like: Any, array: Any) -> Any:
        if not (isinstance(array, types.Array) and array.dtype == like.dtype and array.layout == "C"
                and (readonly or array.mutable)):
            kind = "array" if readonly else "writable array"
            raise TypingError(f"fastbp.jit: {name} is {array}, expected a C-contiguous {kind} of {like.dtype}, the "
                              "dtype of the network")

        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            source = cgutils.create_struct_proxy(array)(context, builder, arguments[1])
            return unowned_array(context, builder, signature.return_type, source.data, source.nitems)

        return types.Array(like.dtype, 1, "C", readonly=readonly)(like, array), generate

    @twin(emit)
    def checked(like: Any, array: Any) -> Any:
        if array.dtype != like.dtype or not array.flags.c_contiguous or not (readonly or array.flags.writeable):
            kind = "array" if readonly else "writable array"
            raise TypeError(f"fastbp.jit: {name} is no C-contiguous {kind} of {like.dtype}, the dtype of the network")
        return array.reshape(-1)

    return checked


KINDS = {"f": "one dimension and the network's dtype", "d": "one dimension and float64",
         "n": "one dimension and int64", "t": "two dimensions and int64"}
"""What `made_of` expects, by the letters of `arguments`."""


def made_of(what: str, letters: dict[str, str]) -> Any:
    """Return a function of a NamedTuple for use in compiled code, which checks its arrays when the caller is compiled.

    ``letters`` say what its fields must be, as in `arguments`; of the network's dtype is what its field ``none`` is.
    """
    def emit(typing: Any, given: Any) -> Any:
        fields = dict(zip(getattr(given, "fields", ()), getattr(given, "types", ()), strict=True))
        real = getattr(fields.get("none"), "dtype", None)
        dtypes = {"f": real, "d": types.float64, "n": types.int64, "t": types.int64}
        for name, letter in letters.items():
            kind = fields.get(name)
            if not (isinstance(kind, types.Array) and kind.dtype == dtypes[letter] and kind.layout == "C"
                    and kind.ndim == (2 if letter == "t" else 1)):
                raise TypingError(f"fastbp.jit: {name} of {what} is {kind}, expected a C-contiguous array of "
                                  f"{KINDS[letter]}")

        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            return context.get_dummy_value()

        return types.none(given), generate

    @twin(emit)
    def check(given: Any) -> None:
        for name, letter in letters.items():
            kind, array = {"f": given.none.dtype, "d": np.float64}.get(letter, np.int64), getattr(given, name)
            if not (array.dtype == kind and array.flags.c_contiguous and array.ndim == (2 if letter == "t" else 1)):
                raise TypeError(f"fastbp.jit: {name} of {what} is {array.dtype} {array.shape}, expected a C-contiguous "
                                f"array of {KINDS[letter]}")

    return check

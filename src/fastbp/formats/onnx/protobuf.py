"""The wire format of protocol buffers: messages written as lists of bytes, and read without trust.

A message is a sequence of fields. Each begins with its number and its type: a varint, 4 or 8 bytes, or a length and so
many bytes, which may be a message again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Parts = list[bytes]
"""A message in pieces, which are joined once, at the end."""

Value = int | memoryview
"""What a field holds: a number (of 4 or 8 bytes their bits), or bytes."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

MOST_FIELDS = 250_000
"""That are read of a file: each becomes objects of Python, far larger than the two bytes that a field may take."""

LONGEST_TEXT = 10_000


# ---------------------------------------------------------------------------------------------------------- writing

def varint(value: int) -> bytes:
    """Return a whole number, seven bits a byte, the lowest first; a negative one as 64 bits."""
    value &= 2**64 - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def integer(field: int, value: int) -> Parts:
    """Return a field that holds a whole number."""
    return [varint(field << 3 | VARINT) + varint(value)]


def single(field: int, value: float) -> Parts:
    """Return a field that holds a float32."""
    return [varint(field << 3 | FIXED32) + struct.pack("<f", value)]


def block(field: int, *parts: bytes) -> Parts:
    """Return a field that holds bytes, or a message."""
    return [varint(field << 3 | BYTES) + varint(sum(map(len, parts))), *parts]


def text(field: int, value: str) -> Parts:
    """Return a field that holds a text."""
    return block(field, value.encode())


# ---------------------------------------------------------------------------------------------------------- reading

class Fields:
    """Takes messages apart, and counts what it has found, so that a file cannot ask for more than `MOST_FIELDS`."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def spend(self, count: int) -> None:
        """Count what becomes objects of Python.

        Raises
        ------
        ValueError
            If there are too many.
        """
        self._left -= count
        if self._left < 0:
            raise ValueError(f"there are more than {MOST_FIELDS} fields, or numbers in attributes")

    def of(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Yield number and value of each field.

        Raises
        ------
        ValueError
            If the bytes are no such message, or the file has too many fields.
        """
        place = 0
        while place < len(message):
            key, place = self._varint(message, place)
            kind, size = key & 7, 0
            if kind == VARINT:
                value, place = self._varint(message, place)
                yield key >> 3, value
                continue
            if kind == BYTES:
                size, place = self._varint(message, place)
            elif kind == FIXED32:
                size = 4
            elif kind == FIXED64:
                size = 8
            else:
                raise ValueError(f"a field has the type {kind}, which ONNX does not use")
            if size > len(message) - place:
                raise ValueError(f"a field of {size} bytes begins where {len(message) - place} are left")
            found = message[place : place + size]
            place += size
            yield key >> 3, found if kind == BYTES else int.from_bytes(found, "little")

    def _varint(self, message: memoryview, place: int) -> tuple[int, int]:
        """Return a whole number of 64 bits, and where the next byte lies."""
        self.spend(1)
        value = 0
        for shift in range(0, 70, 7):
            if place == len(message):
                raise ValueError("a number is cut off")
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (2**64 - 1), place
        raise ValueError("a number has more than ten bytes")


def integers(values: Sequence[Value]) -> npt.NDArray[np.int64]:
    """Return whole numbers with sign, each a field of its own or many packed in one.

    Raises
    ------
    ValueError
        If bytes are no such numbers.
    """
    found = [np.array([signed(value)]) if isinstance(value, int) else _unpacked(value) for value in values]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _unpacked(value: memoryview) -> npt.NDArray[np.int64]:
    """Return the numbers of varints behind each other, all at once: there may be as many as weights."""
    data = np.frombuffer(value, np.uint8)
    ends = np.flatnonzero(data < 0x80)
    if data.size and (not ends.size or ends[-1] != data.size - 1):
        raise ValueError("a number is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])[: ends.size]
    lengths = ends - starts + 1
    if lengths.max(initial=0) > 10:
        raise ValueError("a number has more than ten bytes")
    found = np.zeros(ends.size, np.uint64)
    for k in range(lengths.max(initial=0)):
        longer = lengths > k
        found[longer] |= (data[starts[longer] + k] & 0x7F).astype(np.uint64) << np.uint64(7 * k)
    return found.view(np.int64)


def signed(value: int) -> int:
    """Return what 64 bits are with a sign."""
    return value - 2**64 if value >= 2**63 else value


def to_single(value: Value) -> float:
    """Return the float32 of a field's bits.

    Raises
    ------
    ValueError
        If the field holds no 4 bytes.
    """
    if not isinstance(value, int) or value >= 2**32:
        raise ValueError("a field that should hold a float32 does not")
    found: float = struct.unpack("<f", value.to_bytes(4, "little"))[0]
    return found


def to_bytes(value: Value) -> memoryview:
    """Return the bytes of a field.

    Raises
    ------
    ValueError
        If the field holds a number.
    """
    if isinstance(value, int):
        raise ValueError("a field that should hold bytes holds a number")
    return value


def to_text(value: Value) -> str:
    """Return the text of a field; what is no UTF-8 in it is shown as such.

    Raises
    ------
    ValueError
        If the field holds a number, or is longer than any name.
    """
    found = to_bytes(value)
    if len(found) > LONGEST_TEXT:
        raise ValueError(f"a name has {len(found)} bytes")
    return bytes(found).decode("utf-8", "backslashreplace")


def to_integer(value: Value) -> int:
    """Return the whole number of a field, with its sign.

    Raises
    ------
    ValueError
        If the field holds bytes.
    """
    if not isinstance(value, int):
        raise ValueError("a field that should hold a number holds bytes")
    return signed(value)

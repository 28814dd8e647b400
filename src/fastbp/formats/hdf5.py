"""What Keras writes of HDF5, read without a library: groups, texts in attributes, and whole arrays of numbers.

The layout is that of the HDF5 File Format Specification 3.0, in its older form (superblock 0: symbol tables and
B-trees) and its newer one (superblocks 2 and 3: links in object headers, or in fractal heaps where there are many).
Links to other files or paths, chunks, filters and external storage are refused. Every address is checked against the
bytes that there are, and all that is read together is at most 64 times as many, so that nothing here goes round in
circles. HDF5's own library does: within 1,000 files in which some bytes were changed h5py 3.14 hung twice.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
LONGEST_NAME, MOST_TEXTS = 1024, 1000

MOST_READ = 64
"""How many times the bytes of a file may be read: blocks that overlap would else take the time of their product."""

FLOATS = {(2, 16, 10, 5, 0, 10, 15): "f2", (4, 32, 23, 8, 0, 23, 127): "f4", (8, 64, 52, 11, 0, 52, 1023): "f8"}
"""Size, precision, and place and size of exponent and mantissa, and bias, of the numbers that NumPy has."""

SPACE, LINK_INFO, TYPE, LINK, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, SYMBOLS = (
    1, 2, 3, 6, 7, 8, 11, 12, 16, 17)
"""Messages of an object header."""


@dataclass(frozen=True)
class Type:
    """The type of the elements of an array: numbers or texts."""

    size: int
    dtype: str | None = None
    """Of numbers, as NumPy calls it."""
    text: bool = False
    variable: bool = False
    """Whether the elements lie in a global heap."""


@dataclass
class Object:
    """A group or an array: the messages of its header."""

    messages: list[tuple[int, bytes]]
    children: dict[str, int] | None = field(default=None, repr=False)
    attributes: dict[str, tuple[Type, tuple[int, ...], bytes]] | None = field(default=None, repr=False)

    def find(self, kind: int) -> bytes | None:
        """Return the message of a kind, of which there may be one."""
        found = [data for number, data in self.messages if number == kind]
        if len(found) > 1:
            raise ValueError(f"an object has {len(found)} messages of kind {kind}")
        return found[0] if found else None


class File:
    """The bytes of a file, and what has been read of them."""

    def __init__(self, content: bytes) -> None:
        self.content, self._left = content, MOST_READ * len(content)
        self._objects: dict[int, Object] = {}
        try:
            self.root = self._superblock()
        except struct.error as error:
            raise ValueError(f"it ends too early: {error}") from error

    # ------------------------------------------------------------------------------------------------- what is asked

    def attribute(self, path: str, name: str) -> Any:
        """Return a text, or a list of texts, that an object has as an attribute; None where there is none."""
        found = self._at(path)
        if found.attributes is None:
            found.attributes = dict(self._attribute(data) for kind, data in found.messages if kind == ATTRIBUTE)
        if name not in found.attributes:
            return None
        own, shape, data = found.attributes[name]
        count = math.prod(shape)
        if count > MOST_TEXTS:
            raise ValueError(f"the attribute {name} has {count} texts, expected {MOST_TEXTS} at most")
        texts = self._texts(own, count, data)
        return texts[0] if shape == () else texts

    def array(self, path: str) -> Array:
        """Return an array of real numbers."""
        found = self._at(path)
        own, shape, data = self._stored(path, found)
        if own.dtype is None:
            raise ValueError(f"{path} has no numbers that are read: floats of 16, 32 or 64 bits, or integers")
        return np.frombuffer(data, own.dtype).reshape(shape)

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the shape of an array whose numbers are there."""
        return self._stored(path, self._at(path))[1]

    def has(self, path: str) -> bool:
        """Return whether there is an object."""
        try:
            self._at(path)
        except KeyError:
            return False
        return True

    # ------------------------------------------------------------------------------------------------------- bytes

    def stretch(self, at: int, count: int) -> bytes:
        """Return a stretch of the file."""
        if at < 0 or count < 0 or at + count > len(self.content):
            raise ValueError(f"bytes {at} to {at + count} are beyond its {len(self.content)}")
        self._left -= count
        if self._left < 0:
            raise ValueError("its parts overlap, so that reading them does not end")
        return self.content[at : at + count]

    def unpack(self, form: str, at: int) -> tuple[Any, ...]:
        """Return numbers from a place, in the notation of `struct`."""
        return struct.unpack(form, self.stretch(at, struct.calcsize(form)))

    def signed(self, at: int, signature: bytes) -> None:
        """Raise unless a block begins as one of its kind."""
        if self.stretch(at, 4) != signature:
            raise ValueError(f"there is no {signature.decode()} at byte {at}")

    def _superblock(self) -> int:
        """Return the address of the root group's header."""
        if not self.content.startswith(SIGNATURE):
            raise ValueError("it does not begin as HDF5")
        version = self.content[8]
        if version == 0:
            offsets, lengths = self.unpack("<BB", 13)
            base, root = self.unpack("<Q", 24) + self.unpack("<Q", 64)
        elif version in (2, 3):
            offsets, lengths = self.unpack("<BB", 9)
            base, _, _, root = self.unpack("<4Q", 12)
        else:
            raise ValueError(f"its superblock has version {version}, expected 0, 2 or 3")
        if (offsets, lengths, base) != (8, 8, 0):
            raise ValueError(f"it has addresses of {offsets} bytes, lengths of {lengths}, and begins at {base}; "
                             "expected 8, 8 and 0")
        return int(root)

    # ------------------------------------------------------------------------------------------------------ objects

    def _at(self, path: str) -> Object:
        """Return the object at a path from the root."""
        found = self._object(self.root)
        for name in path.split("/") if path else ():
            children = self._children(found)
            if name not in children:
                raise KeyError(f"there is no {path}")
            found = self._object(children[name])
        return found

    def _object(self, at: int) -> Object:
        if at not in self._objects:
            self._objects[at] = Object(self._newer(at) if self.stretch(at, 4) == b"OHDR" else self._older(at))
        return self._objects[at]

    def _older(self, at: int) -> list[tuple[int, bytes]]:
        """Return the messages of a header of version 1."""
        version, _, size = self.unpack("<BxHxxxxI", at)
        if version != 1:
            raise ValueError(f"there is no object header at byte {at}")
        found: list[tuple[int, bytes]] = []
        blocks, seen = [(at + 16, size)], {at + 16}
        while blocks:
            start, size = blocks.pop(0)
            block = self.stretch(start, size)
            place = 0
            while place + 8 <= size:
                kind, length, flags = struct.unpack_from("<HHB", block, place)
                data = block[place + 8 : place + 8 + length]
                place += 8 + length
                self._note(found, blocks, seen, kind, flags, data, length)
        return found

    def _newer(self, at: int) -> list[tuple[int, bytes]]:
        """Return the messages of a header of version 2."""
        version, flags = self.unpack("<BB", at + 4)
        if version != 2:
            raise ValueError(f"the object header at byte {at} has version {version}, expected 2")
        place = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.stretch(place, width), "little")
        head = 6 if flags & 4 else 4
        found: list[tuple[int, bytes]] = []
        blocks, seen, first = [(place + width, size)], {place + width}, True
        while blocks:
            start, size = blocks.pop(0)
            if not first:
                self.signed(start, b"OCHK")
                start, size = start + 4, size - 8
            first = False
            block = self.stretch(start, size)
            place = 0
            while place + head <= size:
                kind, length, own = struct.unpack_from("<BHB", block, place)
                data = block[place + head : place + head + length]
                place += head + length
                self._note(found, blocks, seen, kind, own, data, length)
        return found

    def _note(self, found: list[tuple[int, bytes]], blocks: list[tuple[int, int]], seen: set[int], kind: int,
              flags: int, data: bytes, length: int) -> None:
        """Keep a message, or the place of further ones."""
        if len(data) < length:
            raise ValueError("a message is longer than its object header")
        if kind == CONTINUATION:
            start, size = struct.unpack_from("<QQ", data)
            if start in seen:
                raise ValueError("an object header continues where it was")
            seen.add(start)
            blocks.append((start, size))
        elif kind and flags & 2:
            raise ValueError("an object has a shared message, which is not read")
        elif kind:
            found.append((kind, data))

    # -------------------------------------------------------------------------------------------------------- groups

    def _children(self, group: Object) -> dict[str, int]:
        """Return the addresses of what is in a group, by name."""
        if group.children is None:
            group.children = found = {}
            for name, at in self._links(group):
                if name in found:
                    raise ValueError(f"a group has two members {name[:80]!r}")
                found[name] = at
        return group.children

    def _links(self, group: Object) -> Iterator[tuple[str, int]]:
        symbols, info = group.find(SYMBOLS), group.find(LINK_INFO)
        if symbols is not None:
            yield from self._symbols(*struct.unpack_from("<QQ", symbols))
        for kind, data in group.messages:
            if kind == LINK:
                yield self._link(data)
        if info is not None:
            heap, index = struct.unpack_from("<QQ", info, 2 + (8 if info[1] & 1 else 0))
            if heap != UNDEFINED:
                yield from self._dense(heap, index)

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """Yield the members of a group of the older form: leaves of a B-tree, with names in a local heap."""
        self.signed(heap, b"HEAP")
        size, _, start = self.unpack("<3Q", heap + 8)
        names = self.stretch(start, size)
        nodes, seen = [tree], {tree}
        while nodes:
            at = nodes.pop()
            if self.stretch(at, 4) == b"TREE":
                kind, _, count = self.unpack("<BBH", at + 4)
                if kind != 0:
                    raise ValueError(f"the B-tree at byte {at} is not one of a group")
                below = self.unpack(f"<{2 * count}Q", at + 32)[::2] if count else ()
                for child in below:
                    if child in seen:
                        raise ValueError("a B-tree goes round in a circle")
                    seen.add(child)
                    nodes.append(child)
                continue
            self.signed(at, b"SNOD")
            for i in range(self.unpack("<H", at + 6)[0]):
                name, header, cached = self.unpack("<QQI", at + 8 + 40 * i)
                if cached == 2:
                    raise ValueError("it has a soft link, which is not followed")
                end = names.find(b"\0", name, name + LONGEST_NAME)
                if end < 0:
                    raise ValueError("a name in a group has no end")
                self._left -= end - name
                yield names[name:end].decode("utf-8", "replace"), header

    def _link(self, data: bytes) -> tuple[str, int]:
        """Return name and address of what a link leads to."""
        version, flags = data[0], data[1]
        at = 2
        if version != 1:
            raise ValueError(f"a link has version {version}, expected 1")
        if flags & 8:
            if data[at] != 0:
                raise ValueError("it has a soft or an external link, which is not followed")
            at += 1
        at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(data[at : at + width], "little")
        at += width
        (address,) = struct.unpack_from("<Q", data, at + length)
        return data[at : at + length].decode("utf-8", "replace"), address

    def _dense(self, heap: int, index: int) -> Iterator[tuple[str, int]]:
        """Yield the members of a group with many: records of a B-tree of version 2, links in a fractal heap."""
        found = _FractalHeap(self, heap)
        self.signed(index, b"BTHD")
        kind, node, record, depth = self.unpack("<BIHH", index + 5)
        root, count = self.unpack("<QH", index + 16)
        if kind != 5 or record < 11 or depth > 1:
            raise ValueError("a group has more members than are read, or an index of their names that is damaged")
        leaves = [(root, count)] if depth == 0 and count else []
        records = []
        if depth:
            self.signed(root, b"BTIN")
            records += [root + 6 + record * i for i in range(count)]
            width = -(-((node - 10) // record).bit_length() // 8)
            place = root + 6 + record * count
            for _ in range(count + 1):
                leaves.append((self.unpack("<Q", place)[0], int.from_bytes(self.stretch(place + 8, width), "little")))
                place += 8 + width
        if len({at for at, _ in leaves}) < len(leaves):
            raise ValueError("an index of names has a leaf twice")
        for at, count in leaves:
            self.signed(at, b"BTLF")
            records += [at + 6 + record * i for i in range(count)]
        for at in records:
            yield self._link(found.read(self.stretch(at + 4, record - 4)))

    # ------------------------------------------------------------------------------------------------- types and arrays

    def _type(self, data: bytes) -> Type:
        head, bits, size = struct.unpack_from("<BB2xI", data)
        kind = head & 15
        order = ">" if bits & 1 else "<"
        if kind == 0 and size in (1, 2, 4, 8):
            return Type(size, f"{order}{'i' if bits & 8 else 'u'}{size}")
        if kind == 1:
            _, precision, place, exponent, start, mantissa, bias = struct.unpack_from("<HHBBBBI", data, 8)
            name = FLOATS.get((size, precision, place, exponent, start, mantissa, bias))
            return Type(size, name and order + name)
        if kind == 3:
            return Type(size, text=True)
        if kind == 9 and bits & 15 == 1 and size == 16:
            return Type(16, text=True, variable=True)
        return Type(size)

    def _space(self, data: bytes) -> tuple[int, ...]:
        """Return a shape; of nothing at all that of one dimension without elements."""
        version, rank = data[0], data[1]
        if version == 2 and data[3] == 2:
            return (0,)
        if version not in (1, 2) or rank > 32:
            raise ValueError("a shape is in no form that is read")
        return struct.unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)

    def _stored(self, path: str, found: Object) -> tuple[Type, tuple[int, ...], bytes]:
        """Return type, shape and bytes of an array."""
        own, space, layout = found.find(TYPE), found.find(SPACE), found.find(LAYOUT)
        if own is None or space is None or layout is None:
            raise ValueError(f"{path} is no array")
        if found.find(FILTERS) is not None or found.find(EXTERNAL) is not None:
            raise ValueError(f"{path} is compressed or lies in another file, expected an array as Keras writes it")
        kind, shape = self._type(own), self._space(space)
        size = math.prod(shape) * kind.size
        if layout[0] not in (3, 4) or layout[1] not in (0, 1):
            raise ValueError(f"{path} is in chunks, or in another layout than Keras writes")
        if layout[1] == 0:
            (length,) = struct.unpack_from("<H", layout, 2)
            data = layout[4 : 4 + length]
        else:
            start, length = struct.unpack_from("<QQ", layout, 2)
            data = b"" if start == UNDEFINED else self.stretch(start, length)
        if len(data) != size or length != size:
            raise ValueError(f"{path} has the shape {shape}, and {len(data)} bytes, expected {size}")
        return kind, shape, data

    def _attribute(self, data: bytes) -> tuple[str, tuple[Type, tuple[int, ...], bytes]]:
        """Return the name of an attribute, and its type, shape and bytes."""
        version, shared, *sizes = struct.unpack_from("<BBHHH", data)
        if version not in (1, 2, 3) or (version > 1 and shared):
            raise ValueError("an attribute is in no form that is read")
        at, parts = 9 if version == 3 else 8, []
        for size in sizes:
            parts.append(data[at : at + size])
            at += -(-size // 8) * 8 if version == 1 else size
        name = parts[0].split(b"\0")[0].decode("utf-8", "replace")
        return name, (self._type(parts[1]), self._space(parts[2]), data[at:])

    def _texts(self, kind: Type, count: int, data: bytes) -> list[str]:
        """Return the texts in the bytes of an attribute."""
        if count == 0:
            return []
        if not kind.text or count * kind.size > len(data) or kind.size == 0:
            raise ValueError("an attribute is expected to be a text, and is none, or is damaged")
        if not kind.variable:
            return [data[i * kind.size : (i + 1) * kind.size].rstrip(b"\0 ").decode("utf-8", "replace")
                    for i in range(count)]
        found = []
        for i in range(count):
            length, collection, index = struct.unpack_from("<IQI", data, 16 * i)
            found.append(self._global(collection, index, length).decode("utf-8", "replace") if length else "")
        return found

    def _global(self, at: int, index: int, length: int) -> bytes:
        """Return an object of a global heap."""
        self.signed(at, b"GCOL")
        (size,) = self.unpack("<Q", at + 8)
        place, end = at + 16, min(at + size, len(self.content))
        while place + 16 <= end:
            number, own = self.unpack("<H6xQ", place)
            if number == 0:
                break
            if number == index:
                if length > own:
                    raise ValueError("a text is longer than its place in a global heap")
                return self.stretch(place + 16, length)
            place += 16 + -(-own // 8) * 8
        raise ValueError("a text is not where it should be, in a global heap")


class _FractalHeap:
    """Where a group of the newer form has its links: blocks in rows, the first two of the first size, then doubled."""

    def __init__(self, file: File, at: int) -> None:
        file.signed(at, b"FRHP")
        self.file = file
        self.id_length, filters, self.flags = file.unpack("<HHB", at + 5)
        self.width, self.first, self.largest, bits = file.unpack("<HQQH", at + 110)
        self.root, self.rows = file.unpack("<QH", at + 132)
        self.offset_size = -(-bits // 8)
        largest_managed = file.unpack("<I", at + 10)[0]
        longest = min(self.largest, largest_managed)
        self.length_size = (longest.bit_length() + 7) // 8
        if filters or not 0 < self.offset_size <= 8 or not 0 < self.width <= 1024 or not 0 < self.first <= self.largest:
            raise ValueError("a fractal heap is filtered, or damaged")

    def read(self, place: bytes) -> bytes:
        """Return the object of an id, which is managed: it lies at an offset into all blocks together."""
        if not place or place[0] & 0x30 or place[0] >> 6:
            raise ValueError("a link is not in the blocks of its heap")
        offset = int.from_bytes(place[1 : 1 + self.offset_size], "little")
        length = int.from_bytes(place[1 + self.offset_size : 1 + self.offset_size + self.length_size], "little")
        block, size, start = self._block(offset)
        if offset - start + length > size:
            raise ValueError("a link is longer than its block")
        return self.file.stretch(block + offset - start, length)

    def _block(self, offset: int) -> tuple[int, int, int]:
        """Return address, size and first offset of the block with an offset."""
        if self.rows == 0:
            self.file.signed(self.root, b"FHDB")
            return self.root, self.first, 0
        self.file.signed(self.root, b"FHIB")
        entries = self.root + 13 + self.offset_size
        start, number = 0, 0
        for row in range(min(self.rows, 64)):
            size = self.first << max(row - 1, 0)
            if size > self.largest:
                break
            if offset < start + self.width * size:
                column = (offset - start) // size
                (at,) = self.file.unpack("<Q", entries + 8 * (number + column))
                self.file.signed(at, b"FHDB")
                return at, size, start + column * size
            start, number = start + self.width * size, number + self.width
        raise ValueError("a link is in blocks of blocks, which are not read")

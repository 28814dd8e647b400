"""The pickle inside a PyTorch file, read by a machine that knows tensors and plain values and can call nothing.

The opcodes are those that `torch.save` writes with protocols 2 to 4 for dictionaries, lists, tuples, numbers, texts and
tensors; of the globals that a pickle names only a fixed few mean anything.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

STORAGES = {"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
            "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool"}
"""Dtype of each typed storage, torch.FloatStorage and so on; of an untyped one the tensor says it."""

DTYPES = frozenset({f"torch {name}" for name in STORAGES.values()}
                   | {"torch uint16", "torch uint32", "torch uint64", "torch complex64", "torch complex128"})
DICTIONARY = "collections OrderedDict"
UNTYPED = "torch.storage UntypedStorage"
PLAIN = "torch Size", "torch device"
"""Globals whose arguments say all."""


@dataclass(frozen=True)
class Global:
    """A global that a pickle names, by module and name; it is never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A stretch of numbers, a member of the archive."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class View:
    """A tensor: where its numbers lie in a storage."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


MARK: Final = object()


class Machine:
    """The stack and the memo of one reading."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return what the pickle describes; raises ValueError for what is none, or more than tensors."""
        try:
            while (code := self.take(1)) != b".":
                if code not in STEPS:
                    raise ValueError(f"it has the opcode {code!r}, which tensors and plain values do not need")
                STEPS[code](self)
            return self.pop()
        except (ArithmeticError, AttributeError, LookupError, TypeError, struct.error) as error:
            raise ValueError(f"it is damaged: {type(error).__name__} before byte {self.at}") from error

    # ----------------------------------------------------------------------------------------- bytes and the stack

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self.content[self.at : self.at + count]
        if len(found) < count:
            raise ValueError("it ends before its end")
        self.at += count
        return found

    def number(self, form: str) -> Any:
        """Return the next number, in the notation of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Return the text up to the end of the line."""
        end = self.content.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode()

    def pop(self) -> Any:
        """Take what was pushed last; a mark is no value."""
        found = self.stack.pop()
        if found is MARK:
            raise ValueError("it has a mark where a value belongs")
        return found

    def marked(self) -> list[Any]:
        """Take all that was pushed since the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise ValueError("it lacks a mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def remember(self, index: int) -> None:
        """Put what was pushed last under a number."""
        self.memo[index] = self.stack[-1]

    # ------------------------------------------------------------------------------------- what is made of arguments

    def set_items(self, items: list[Any]) -> None:
        """Put keys and values into the dictionary on top of the stack."""
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("it puts items into what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):  # the hash of tuples deep in each other overflows the stack of C
                raise ValueError(f"it has a dictionary with a key of type {type(key).__name__}")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        """Put values at the end of the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(items)

    def named(self, module: Any, name: Any) -> None:
        """Push a global that is known."""
        if type(module) is not str or type(name) is not str:
            raise ValueError("it names a global by what is no text")
        found = f"{module} {name}"
        storage = name.removesuffix("Storage") if module == "torch" and name.endswith("Storage") else ""
        if found not in CALLS and found not in DTYPES and found != UNTYPED and storage not in STORAGES:
            raise ValueError(
                f"it holds {module[:80]}.{name[:80]}, expected tensors and plain values: of a whole module or a "
                "training save model.state_dict() alone, torch.save(model.state_dict(), path)")
        self.stack.append(Global(found))

    def call(self) -> None:
        """Push what a known global makes of its arguments."""
        arguments, function = self.pop(), self.pop()
        if type(function) is not Global or type(arguments) is not tuple or function.name not in CALLS:
            raise ValueError("it calls what cannot be called")
        self.stack.append(CALLS[function.name](arguments))

    def build(self) -> None:
        """Leave out what is set on an object: a state_dict's versions of modules."""
        self.pop()
        if type(self.stack[-1]) is not dict:
            raise ValueError("it sets attributes of what is no dictionary")

    def persistent(self) -> None:
        """Push the storage that a persistent id describes."""
        kind, global_, key, _, count = self.pop()
        if kind != "storage" or type(global_) is not Global or type(key) is not str or type(count) is not int:
            raise ValueError("it has a persistent id that is no storage")
        name = global_.name.rpartition(" ")[2].removesuffix("Storage")
        self.stack.append(Storage(STORAGES.get(name, "uint8"), key, count))


# ------------------------------------------------------------------------------------------- globals and opcodes

def _view(arguments: tuple[Any, ...]) -> View:
    """Return the tensor of ``torch._utils._rebuild_tensor_v2``, or of v3, which also says the dtype."""
    storage, offset, shape, strides = arguments[:4]
    whole = all(type(n) is int and n >= 0 for n in (offset, *shape, *strides))
    if type(storage) is not Storage or not whole or len(shape) != len(strides) or len(shape) > 64:
        raise ValueError("it has a tensor that is none")
    dtype = storage.dtype
    if len(arguments) > 6 and type(arguments[6]) is Global:
        dtype = arguments[6].name.removeprefix("torch ")
    return View(storage, dtype, offset, tuple(shape), tuple(strides))


def _dictionary(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise ValueError("it fills a dictionary where it makes it")
    return {}


CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    DICTIONARY: _dictionary,
    "torch._utils _rebuild_tensor_v2": _view,
    "torch._utils _rebuild_tensor_v3": _view,
    "torch._utils _rebuild_parameter": lambda arguments: arguments[0],
    "torch._utils _rebuild_parameter_with_state": lambda arguments: arguments[0],
    **dict.fromkeys(PLAIN, lambda arguments: arguments),
}
"""What each global that is called makes of its arguments."""


def _pushed(read: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(read(machine))


def _tuple_of(count: int) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        machine.stack.append(tuple(machine.pop() for _ in range(count))[::-1])

    return step


STEPS: dict[bytes, Callable[[Machine], None]] = {
    b"\x80": lambda machine: machine.number("<B"),                                                   # PROTO
    b"\x95": lambda machine: machine.number("<Q"),                                                   # FRAME
    b"(": _pushed(lambda machine: MARK),
    b"N": _pushed(lambda machine: None),
    b"\x88": _pushed(lambda machine: True),
    b"\x89": _pushed(lambda machine: False),
    b"K": _pushed(lambda machine: machine.number("<B")),                                             # BININT1
    b"M": _pushed(lambda machine: machine.number("<H")),                                             # BININT2
    b"J": _pushed(lambda machine: machine.number("<i")),                                             # BININT
    b"\x8a": _pushed(lambda machine: int.from_bytes(machine.take(machine.number("<B")), "little", signed=True)),
    b"G": _pushed(lambda machine: machine.number(">d")),                                             # BINFLOAT
    b"X": _pushed(lambda machine: machine.take(machine.number("<I")).decode("utf-8", "surrogatepass")),
    b"\x8c": _pushed(lambda machine: machine.take(machine.number("<B")).decode("utf-8", "surrogatepass")),
    b"}": _pushed(lambda machine: {}),
    b"]": _pushed(lambda machine: []),
    b")": _pushed(lambda machine: ()),
    b"t": _pushed(lambda machine: tuple(machine.marked())),
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"a": lambda machine: machine.append([machine.pop()]),
    b"e": lambda machine: machine.append(machine.marked()),
    b"s": lambda machine: machine.set_items([machine.pop(), machine.pop()][::-1]),
    b"u": lambda machine: machine.set_items(machine.marked()),
    b"q": lambda machine: machine.remember(machine.number("<B")),
    b"r": lambda machine: machine.remember(machine.number("<I")),
    b"\x94": lambda machine: machine.remember(len(machine.memo)),
    b"h": _pushed(lambda machine: machine.memo[machine.number("<B")]),
    b"j": _pushed(lambda machine: machine.memo[machine.number("<I")]),
    b"c": lambda machine: machine.named(machine.line(), machine.line()),
    b"\x93": lambda machine: machine.named(*[machine.pop(), machine.pop()][::-1]),                   # STACK_GLOBAL
    b"R": lambda machine: machine.call(),
    b"b": lambda machine: machine.build(),
    b"Q": lambda machine: machine.persistent(),
}
"""What each opcode does."""

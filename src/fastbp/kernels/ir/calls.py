"""Calls of kernels by address, of the types that the kernels declare."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import TypingError, types
from numba.extending import models, register_model, typeof_impl

from ..compile import BY_ADDRESS, Kernel, numba_types
from ..compile.arguments import DESCRIPTIONS
from ..compile.numba_internals import call_address, cgutils, field, lower_constant
from ..tables import BARRIER_ABANDONED
from .builder import Builder, constant, twin


class _KernelType(types.Opaque):  # type: ignore[misc]
    """The type of a kernel that compiled code names: `call` knows by it what it calls."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        super().__init__(f"kernel({kernel.__module__}.{kernel.__name__})")


@typeof_impl.register(Kernel)
def _typeof_kernel(kernel: Kernel, context: Any) -> _KernelType:
    return _KernelType(kernel)


register_model(_KernelType)(models.OpaqueModel)


@lower_constant(_KernelType)
def _kernel_constant(context: Any, builder: Builder, ty: Any, value: Any) -> Any:
    return context.get_dummy_value()


def _accepted(letter: str, given: Any, real: Any) -> Any:
    """Return the type of an argument that is declared by a letter, if what is given will do for it, else None."""
    if letter in "frF" and real is None and given.__class__ in (types.Array, types.CPointer):
        real = given.dtype if given.dtype in (types.float32, types.float64) else None
    kind = numba_types(real or types.float64)[letter]
    if given == kind:
        return kind
    if letter == "i":
        fits = isinstance(given, (types.Integer, types.Boolean))
    elif letter == "x":
        fits = isinstance(given, types.Number)
    else:  # a writable array serves where a read-only one is expected
        fits = letter == "r" and given == numba_types(real or types.float64)["f"]
    return kind if fits else None


def _accept(kernel: Kernel, arguments: tuple[Any, ...]) -> list[Any]:
    """Return the types by which a kernel takes arguments of these types."""
    expected = kernel.arguments
    if len(arguments) != len(expected):
        raise TypingError(f"call({kernel.__name__}): {len(arguments)} arguments are given, it takes {len(expected)}: "
                          f"{', '.join(argument.name for argument in expected)}")
    real, kinds = None, []
    for argument, given in zip(expected, map(types.unliteral, arguments), strict=True):
        kind = _accepted(argument.letter, given, real)
        if kind is None:
            of = f" of {real}" if real is not None and argument.letter in "frF" else ""
            raise TypingError(f"call({kernel.__name__}): {argument.name} is {given}, expected "
                              f"{DESCRIPTIONS[argument.letter]}{of}")
        real = kind.dtype if argument.letter in "frF" else real
        kinds.append(kind)
    return kinds


def _call(typing: Any, kernel: Any, where: Any, *arguments: Any) -> Any:
    if not isinstance(kernel, _KernelType):
        raise TypingError(f"call({kernel}): expected a kernel that is called by address")
    kinds, table = _accept(kernel.kernel, arguments), isinstance(where, (types.CPointer, types.Array))
    if table and kernel.kernel.place < 0:
        raise TypingError(f"call({kernel.kernel.__name__}): it has no place of its own in a table: give its address")

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        address = values[1]
        if table:
            begin = field(context, builder, where, address, "data") if isinstance(where, types.Array) else address
            address = builder.load(builder.gep(begin, [constant(kernel.kernel.place)]))
        call_address(context, builder, address, types.none, kinds, cgutils.unpack_tuple(builder, values[2]))
        return context.get_dummy_value()

    return types.void(kernel, where if table else types.intp, types.BaseTuple.from_types(kinds)), generate


def _wait(typing: Any, kernel: Any, barrier: Any, threads: Any) -> Any:
    kinds = _accept(kernel.kernel, (barrier, threads))

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        cells = field(context, builder, signature.args[1], values[1], "data")
        whole = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 1))
        with builder.if_then(builder.icmp_signed(">", values[2], constant(1)), likely=False):
            address = builder.load(builder.gep(cells, [constant(kernel.kernel.place)]))
            call_address(context, builder, address, types.none, kinds, values[1:])
            abandoned = builder.load_atomic(builder.gep(cells, [constant(BARRIER_ABANDONED)]), "seq_cst", 8)
            builder.store(builder.icmp_signed("==", abandoned, constant(0)), whole)
        return builder.load(whole)

    return types.boolean(kernel, barrier, types.intp), generate


PLAIN_KINDS: dict[str, Any] = {"n": np.int64, "t": np.int64, "N": np.int64, "d": np.float64, "D": np.float64}
"""Letter of an array -> its dtype, where it is not the network's."""


def _check_plainly(kernel: Kernel, given: tuple[Any, ...]) -> None:
    """Compare arguments with a kernel's signature, as `_accept` does where code is compiled."""
    expected, real = kernel.arguments, None
    if len(given) != len(expected):
        raise TypeError(f"call({kernel.__name__}): {len(given)} arguments are given, it takes {len(expected)}: "
                        f"{', '.join(argument.name for argument in expected)}")
    for (name, letter), value in zip(expected, given, strict=True):
        if letter in "ix":
            fits = isinstance(value, (int, np.integer, np.bool_) if letter == "i" else (int, float, np.number))
        else:
            wanted = PLAIN_KINDS.get(letter, real)
            fits = (isinstance(value, np.ndarray) and value.ndim == (2 if letter == "t" else 1)
                    and (value.dtype == wanted if wanted else value.dtype in (np.float32, np.float64))
                    and (value.flags.writeable or letter in "rFDN"))  # a pointer says nothing of it
            real = value.dtype if fits and letter in "frF" else real
        if not fits:
            shown = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"{value!r}"
            raise TypeError(f"call({kernel.__name__}): {name} is {shown}, expected {DESCRIPTIONS[letter]}")


@twin(_call)
def call(kernel: Kernel, where: Any, *arguments: Any) -> None:
    """Call a kernel by its address, or by the table that holds it at the kernel's place.

    Number and types of the arguments are compared with its signature; compiled code does so when it is compiled.
    """
    _check_plainly(kernel, arguments)
    if isinstance(where, np.ndarray) and kernel.place < 0:
        raise TypeError(f"call({kernel.__name__}): it has no place of its own in a table: give its address")
    address = where[kernel.place] if isinstance(where, np.ndarray) else where
    BY_ADDRESS[int(address)](*arguments)


@twin(_wait)
def wait(kernel: Kernel, barrier: Any, threads: int) -> bool:
    """Wait for the whole team by a kernel whose address the barrier holds; return whether no thread of it has failed.

    One thread alone waits for none, and needs no such kernel: to compile it took a fiftieth of a first fit.
    """
    if threads == 1:
        return True
    BY_ADDRESS[int(barrier[kernel.place])](barrier, threads)
    return bool(barrier[BARRIER_ABANDONED] == 0)

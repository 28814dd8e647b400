"""Kernels that are called by address: their decorators, and where their machine code lies.

``by_address``
    Loops over arrays that only `ir.call` calls; nothing is made of them before one is needed.
``by_element``
    One of these whose elements are independent, and take much arithmetic each.
``rule``
    An update rule: called by address, and its arithmetic keeps its order.

Kernels that do the work (a layer's products, an activation, a cost, an update rule) are called by address: see
`address`. Numba compiles a callee again inside every caller, so that five levels of ordinary calls took 20 s before
the first fit; by address each kernel is compiled once, and only the functions that a network uses are compiled at all.
A call costs 3 ns or more. A function that a user defines takes the same way, so there is no second path for it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import numpy.typing as npt
from numba import types

from .arguments import Argument, arguments
from .cached import cached_property
from .interrupts import Held
from .numba_internals import code_address, global_compiler_lock, hold_compiler, release_compiler, settings
from .options import COUNTED, EXACT, JIT, QUIET, SUMS, compile_loops

TOGETHER = 4
"""Vectors that a loop over elements takes side by side. An operation of a long chain waits for the one before, and so
many wait that the processor sees no further: tanh takes 3.1 ns a vector one by one, 2.9, 2.5 and 3.1 by 2, 4 and 8 of
them, the other activations 10 to 25 % less by 4."""


class Kernel:
    """A kernel that is called by address. It costs nothing until its address is asked for, or Python calls it.

    To make one of Numba's dispatchers takes 0.6 ms, and fastbp has some hundred such kernels: 0.05 s of every start.

    Attributes
    ----------
    place : int
        Where its address lies in the table that its callers have; -1 if it has no place of its own.
    """

    __name__: str

    def __init__(self, function: Callable[..., Any], place: int, fastmath: set[str], together: int = 0) -> None:
        functools.update_wrapper(self, function)
        self.py_func, self.place, self.fastmath, self.together = function, place, fastmath, together

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """Its arguments, as its annotations declare them."""
        return arguments(self.py_func)

    @cached_property
    def compiled(self) -> Any:
        """What Python calls."""
        return compile_loops(self.py_func, fastmath=self.fastmath, _nrt=COUNTED) if JIT else QUIET(self.py_func)

    def __call__(self, *arguments: Any) -> Any:
        """Call it from Python, as tests do."""
        return self.compiled(*arguments)


def by_address(place: int = -1) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile loops over arrays that only `ir.call` calls."""
    return lambda function: Kernel(function, place, SUMS)


def by_element(place: int = -1) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile a loop over independent elements that only `ir.call` calls, some vectors side by side."""
    return lambda function: Kernel(function, place, SUMS, TOGETHER)


def rule(function: Callable[..., Any]) -> Kernel:
    """Compile an update rule: a kernel, called by address, whose arithmetic keeps its order."""
    return Kernel(function, -1, EXACT)


TWINS: dict[Any, Any] = {}
"""Kernel -> the same compiled without a wrapper for Python, for those that machine code calls."""


def _bare(function: Any) -> Any:
    """Return the twin of a kernel, or a user's loop as it is, which no cache holds."""
    lazy = isinstance(function, Kernel)
    if not lazy and settings(function).get("_nrt", True):
        return function
    if function not in TWINS:
        fastmath = function.fastmath if lazy else settings(function)["fastmath"]
        TWINS[function] = compile_loops(function.py_func, fastmath=fastmath, _nrt=COUNTED, no_cpython_wrapper=True)
    return TWINS[function]


BY_ADDRESS: dict[int, Any] = {}
"""Every kernel that has an address; it keeps the machine code alive."""


@functools.cache
def numba_types(real: Any) -> dict[str, Any]:
    """Return the type of each letter of `arguments`, ``real`` being that of the network's numbers."""
    return {
        "f": types.Array(real, 1, "C"),
        "r": types.Array(real, 1, "C", readonly=True),
        "d": types.Array(types.float64, 1, "C"),
        "n": types.Array(types.int64, 1, "C"),
        "t": types.Array(types.int64, 2, "C"),
        "i": types.int64,
        "x": types.float64,
        "F": types.CPointer(real),
        "D": types.CPointer(types.float64),
        "N": types.CPointer(types.int64),
    }


@functools.cache
def address(kernel: Any, dtype: np.dtype[Any], prototype: Kernel | None = None) -> int:
    """Compile a kernel and return the address of its machine code, which `ir.call` calls.

    Kept, since to ask Numba for what it has compiled takes 40 µs, and the first step of a network asks for twenty.

    Parameters
    ----------
    kernel
        A `Kernel`, or a loop around a user's function.
    dtype
        float32 or float64.
    prototype
        The kernel that it stands in for, whose arguments it must take; needed for a user's loop, which has no
        annotations.

    Raises
    ------
    TypeError
        If it takes other arguments than its prototype.
    """
    declared = (kernel if prototype is None else prototype).arguments
    if prototype is not None and isinstance(kernel, Kernel):
        own, wanted = ("".join(letter for _, letter in k.arguments) for k in (kernel, prototype))
        if own != wanted:
            raise TypeError(f"{kernel.__name__} takes {own}, expected {wanted} as {prototype.__name__}")
    if not JIT:
        BY_ADDRESS[id(kernel)] = kernel
        return id(kernel)
    kinds = numba_types(numba.from_dtype(np.dtype(dtype)))
    signature = tuple(kinds[letter] for _, letter in declared)
    # One thread at a time: of two twins of a kernel one would be lost with its code, and the option is the process's.
    # Ctrl-C waits, so that it is put back.
    with Held(), global_compiler_lock:
        bare, vectors = _bare(kernel), getattr(kernel, "together", 0)
        try:
            if vectors:
                llvm.set_option("fastbp", f"-force-vector-interleave={vectors}")
            bare.compile(signature)
        finally:
            if vectors:
                llvm.set_option("fastbp", "-force-vector-interleave=0")  # leaves it to LLVM
        where = code_address(bare, signature)
        BY_ADDRESS[where] = kernel
    return where


def place(array: npt.NDArray[Any]) -> Any:
    """Return where an array lies, for use as a constant of compiled code; the caller keeps it alive."""
    return array.ctypes.data if JIT else array


if JIT and hasattr(os, "register_at_fork"):  # in a child, what another thread compiles would stay half done, and locked
    os.register_at_fork(before=hold_compiler, after_in_parent=release_compiler, after_in_child=release_compiler)

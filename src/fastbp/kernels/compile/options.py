"""The only place where Numba's options are chosen: decorators, addresses, the vector width of this CPU.

Kinds of compiled function:

``kernel``
    Loops over arrays, called from Python or by name from other kernels. Compiled for float32 and float64 at most.
``by_address``
    The same for kernels that only `ir.call` calls; nothing is made of them before one is needed.
``by_element``
    One of these whose elements are independent, and take much arithmetic each.
``rule``
    An update rule: called by address, and its arithmetic keeps its order.
``scalar``, ``inline``
    A function of one element (exp, tanh ...), and one of arrays: always part of the loop that calls it.
``allocating``
    The one kind of kernel that makes an array.

Kernels that do the work (a layer's products, an activation, a cost, an update rule) are called by address: see
`address`. Numba compiles a callee again inside every caller, so that five levels of ordinary calls took 20 s before
the first fit; by address each kernel is compiled once, and only the functions that a network uses are compiled at all.
A call costs 3 ns or more. A function that a user defines takes the same way, so there is no second path for it.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import math
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba
import numpy as np
import numpy.typing as npt
from numba import config, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from .arguments import Argument, arguments
from .cache import Entries
from .interrupts import Held

F = TypeVar("F", bound=Callable[..., Any])

JIT = not config.DISABLE_JIT
"""False under NUMBA_DISABLE_JIT=1, when every kernel is the plain Python function that it reads as."""

QUIET = np.errstate(all="ignore")
"""Compiled code warns of no overflow, and neither do plain kernels."""

SUMS = {"reassoc", "contract", "arcp", "nsz", "afn"}
"""Fast-math of the kernels: sums may be reordered. NaN and infinity keep their meaning."""

FUSES_ALIKE = llvm.get_process_triple().startswith("x86_64")
"""Whether LLVM fuses the same products in the vectors of a loop and in its scalar rest. For AArch64 it does not: of
a b - c d vectors fuse the second product, scalars the first, and threads that share a loop otherwise got other bits."""

EXACT = {"contract"} if FUSES_ALIKE else set()
"""Fast-math of scalars and update rules: multiply-add may fuse where that is done alike, nothing is reordered.
Error-free transformations stay error-free, and an element has the same bits in a vector as in the scalar rest of a
loop."""

TOGETHER = 4
"""Vectors that a loop over elements takes side by side. An operation of a long chain waits for the one before, and so
many wait that the processor sees no further: tanh takes 3.1 ns a vector one by one, 2.9, 2.5 and 3.1 by 2, 4 and 8 of
them, the other activations 10 to 25 % less by 4."""

COUNTED = bool(config.BOUNDSCHECK)
"""Whether arrays in kernels count references: only where `ir.view` is a slice, for its bounds to be checked."""


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    """Decorate, and keep on disk what is compiled, if the function is one of this package."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)(function)
    if function.__module__.startswith("fastbp."):
        dispatcher._cache = Entries(function, options.get("no_cpython_wrapper", False))
    return dispatcher


def kernel(function: F) -> F:
    """Compile loops over arrays; the interpreter lock is released while they run.

    Arrays are borrowed and none is made, so Numba counts no references: that took a sixth of the time to compile.
    """
    if not JIT:
        return QUIET(function)
    return _compile(function, fastmath=SUMS, _nrt=COUNTED)  # type: ignore[no-any-return]


def allocating(function: F) -> F:
    """Compile a kernel that makes an array, the one kind that counts references."""
    if not JIT:
        return QUIET(function)
    return _compile(function, fastmath=SUMS)  # type: ignore[no-any-return]


def inline(function: F) -> F:
    """Compile a function as part of each kernel that calls it: no machine code of its own, nothing compiled twice."""
    if not JIT:
        return function
    return numba.njit(error_model="numpy", fastmath=SUMS, inline="always")(function)  # type: ignore[no-any-return]


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

    @functools.cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """Its arguments, as its annotations declare them."""
        return arguments(self.py_func)

    @functools.cached_property
    def compiled(self) -> Any:
        """What Python calls."""
        return _compile(self.py_func, fastmath=self.fastmath, _nrt=COUNTED) if JIT else QUIET(self.py_func)

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


def scalar(function: F) -> F:
    """Compile a function of single elements, inlined wherever it is called."""
    if not JIT:
        return function
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": EXACT, "forceinline": True,
                               "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(**options)(function)  # type: ignore[no-any-return]


def reason(error: Exception) -> str:
    """Return the line of a Numba error, or of any other, that tells what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Failed in", "During:", "File ", "[1]", "-"))]
    first, *more = telling or lines or [type(error).__name__]
    return f"{first} {more[0].strip('> ')}" if first.endswith("signature:") and more else first


def one_by_one(loop: Any) -> str | None:
    """Return why a compiled loop takes one number at a time; None if it runs in vectors, or nothing is compiled."""
    if not JIT:
        return None
    code = loop.inspect_llvm(loop.signatures[-1])
    calls = re.findall(r"call [^@\n]*@(?:(\w+)\(|llvm\.(pow|exp|log|sin|cos|tan)\b)", code)
    called = {own or known for own, known in calls if known or own != "sqrt" and hasattr(math, own)}
    if called:
        return f"it calls {', '.join(sorted(called))} of the C library"
    return None if re.search(r"<\d+ x (float|double)>", code) else "its branches or loops differ from number to number"


TWINS: dict[Any, Any] = {}
"""Kernel -> the same compiled without a wrapper for Python, for those that machine code calls."""


def _bare(function: Any) -> Any:
    """Return the twin of a kernel, or a user's loop as it is, which no cache holds."""
    lazy = isinstance(function, Kernel)
    if not lazy and function.targetoptions.get("_nrt", True):
        return function
    if function not in TWINS:
        fastmath = function.fastmath if lazy else function.targetoptions["fastmath"]
        TWINS[function] = _compile(function.py_func, fastmath=fastmath, _nrt=COUNTED, no_cpython_wrapper=True)
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
    # One thread at a time: of two twins of a kernel one would be lost with its code, and collector and option are the
    # process's. Ctrl-C waits, so that both are put back.
    with Held(), global_compiler_lock:
        bare, collects, vectors = _bare(kernel), gc.isenabled(), getattr(kernel, "together", 0)
        try:
            gc.disable()  # it would go again and again through all that a compilation holds: 12 % of it
            if vectors:
                llvm.set_option("fastbp", f"-force-vector-interleave={vectors}")
            bare.compile(signature)
        finally:
            if vectors:
                llvm.set_option("fastbp", "-force-vector-interleave=0")  # leaves it to LLVM
            if collects:
                gc.enable()
        compiled = bare.overloads[signature]
        where: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        BY_ADDRESS[where] = kernel
    return where


def place(array: npt.NDArray[Any]) -> Any:
    """Return where an array lies, for use as a constant of compiled code; the caller keeps it alive."""
    return array.ctypes.data if JIT else array


C_TYPES: dict[str, Any] = {"i": ctypes.c_int, "n": ctypes.c_ssize_t, "x": ctypes.c_double, "v": ctypes.c_void_p,
                           "D": ctypes.POINTER(ctypes.c_double), "": None}


def c_function(function: Any, result: str, arguments: str, dtype: npt.DTypeLike) -> Any:
    """Compile a function for callers in C, and give it as an object of ctypes, which keeps its machine code alive.

    Letters name result and arguments: ``i`` an int, ``n`` an ssize_t, ``x`` a double, ``v`` a void pointer, ``D``
    one to doubles, ``F`` one to numbers of ``dtype``; no letter is void.
    """
    single = np.dtype(dtype) == np.float32
    of_c = C_TYPES | {"F": ctypes.POINTER(ctypes.c_float if single else ctypes.c_double)}
    prototype = ctypes.CFUNCTYPE(of_c[result], *(of_c[letter] for letter in arguments))
    if not JIT:

        def plain(*given: Any) -> Any:
            # how many numbers lie behind a pointer is known to the function alone
            return function(*(np.ctypeslib.as_array(value, (2**32,)) if letter in "DF" else value
                              for letter, value in zip(arguments, given, strict=True)))

        return prototype(plain)
    kinds = {"i": types.intc, "n": types.intp, "x": types.float64, "v": types.voidptr, "": types.void,
             "D": types.CPointer(types.float64), "F": types.CPointer(types.float32 if single else types.float64)}
    signature = kinds[result](*(kinds[letter] for letter in arguments))
    compiled = numba.cfunc(signature, error_model="numpy")(function)
    entry: Any = prototype(compiled.address)
    entry.code = compiled
    return entry


def vector_unit(machine: llvm.TargetMachine) -> tuple[int, int]:
    """Ask LLVM for the bytes of a vector register and the number of registers of a target.

    A 64-byte addition is compiled for the target; the registers in its assembly tell. Unlike a table of features
    it holds for whatever NUMBA_CPU_NAME and NUMBA_CPU_FEATURES make of the machine.
    """
    source = """
        define void @probe(<16 x float>* %p) {
          %x = load <16 x float>, <16 x float>* %p
          %y = fadd <16 x float> %x, %x
          store <16 x float> %y, <16 x float>* %p
          ret void
        }""".replace("<16 x float>*", "ptr")
    module = llvm.parse_assembly(source)
    module.triple = machine.triple
    assembly = machine.emit_assembly(module)
    if "%zmm" in assembly:
        return 64, 32
    if "%ymm" in assembly:
        return 32, 16
    return 16, 32 if machine.triple.startswith(("aarch64", "arm64")) else 16


def _before_fork() -> None:
    """Wait until no other thread compiles: in the child that work would stay half done, and locked."""
    global_compiler_lock.acquire()
    llvm.ffi.lib._lock.__enter__()


def _after_fork() -> None:
    """Let compile again, in parent and child."""
    llvm.ffi.lib._lock.__exit__(None, None, None)
    global_compiler_lock.release()


if JIT and hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

VECTOR_BYTES, VECTOR_REGISTERS = vector_unit(cpu_target.target_context.codegen()._tm) if JIT else (16, 16)

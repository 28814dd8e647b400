"""The only place where Numba's options are chosen: decorators of what is compiled.

Kinds of compiled function:

``kernel``
    Loops over arrays, called from Python or by name from other kernels. Compiled for float32 and float64 at most.
``by_address``, ``by_element``, ``rule``
    The same for kernels that only `ir.call` calls, see `addresses`.
``inner``
    The same for what other kernels alone call, by name.
``scalar``, ``inline``
    A function of one element (exp, tanh ...), and one of arrays: always part of the loop that calls it.
``allocating``
    The one kind of kernel that makes an array.

Numba does not document the options ``_nrt``, ``forceinline``, ``no_cpython_wrapper`` and ``no_cfunc_wrapper``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import config

from .cache import Entries
from .numba_internals import Compiler, KernelCompiler, keep_code

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

COUNTED = bool(config.BOUNDSCHECK)
"""Whether arrays in kernels count references: only where `ir.view` is a slice, for its bounds to be checked."""

SCALAR: dict[str, Any] = {"error_model": "numpy", "fastmath": EXACT, "forceinline": True, "no_cpython_wrapper": True,
                          "no_cfunc_wrapper": True}
"""Options of a function that is always part of another."""


def _is_ours(function: Callable[..., Any]) -> bool:
    """Return whether this is a function of fastbp, and not one of a user."""
    return function.__module__.startswith("fastbp.")


def compiler(function: Callable[..., Any]) -> type[Compiler]:
    """Return what compiles a function."""
    return KernelCompiler if _is_ours(function) else Compiler


def compile_loops(function: Callable[..., Any], **options: Any) -> Any:
    """Decorate, and keep on disk what is compiled, if the function is one of this package."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, pipeline_class=compiler(function),
                            **options)(function)
    if _is_ours(function):
        bare, counts = options.get("no_cpython_wrapper", False), options.get("_nrt", True)
        keep_code(dispatcher, Entries(function, bare, counts))
    return dispatcher


def kernel(function: F) -> F:
    """Compile loops over arrays; the interpreter lock is released while they run.

    Arrays are the caller's and none is made, so Numba counts no references: that took a sixth of the time to compile.
    """
    if not JIT:
        return QUIET(function)
    return compile_loops(function, fastmath=SUMS, _nrt=COUNTED)  # type: ignore[no-any-return]


def inner(function: F) -> F:
    """Compile what kernels alone call, by name: once, where `inline` has Numba copy it into each of these.

    Numba takes longer for a copy than for a function of its own, as soon as that has a dozen statements. Python must
    not call it: there is no code for that, and the process would end.
    """
    if not JIT:
        return QUIET(function)
    return compile_loops(function, fastmath=SUMS, _nrt=COUNTED, no_cpython_wrapper=True)  # type: ignore[no-any-return]


def allocating(function: F) -> F:
    """Compile a kernel that makes an array, the one kind that counts references."""
    if not JIT:
        return QUIET(function)
    return compile_loops(function, fastmath=SUMS)  # type: ignore[no-any-return]


def inline(function: F) -> F:
    """Compile a function as part of each kernel that calls it: no machine code of its own, nothing compiled twice."""
    if not JIT:
        return function
    return numba.njit(error_model="numpy", fastmath=SUMS, inline="always")(function)  # type: ignore[no-any-return]


def scalar(function: F) -> F:
    """Compile a function of single elements, inlined wherever it is called."""
    if not JIT:
        return function
    return numba.njit(pipeline_class=compiler(function), **SCALAR)(function)  # type: ignore[no-any-return]


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

"""Functions for callers in C."""

from __future__ import annotations

import ctypes
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from .options import JIT

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

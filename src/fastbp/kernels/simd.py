"""The vector tiles, in LLVM IR behind Numba intrinsics, and their plain-Python twins for NUMBA_DISABLE_JIT=1.

This is the one file that holds IR. Everything else in fastbp is loops over neurons and samples that call it.

A *strip* is one vector of samples: the panel of a layer with n neurons is stored strip by strip, each strip n rows of
``lanes`` samples, contiguous. A tile keeps rows x vectors of sums in registers and adds one product per step of k,
a scalar broadcast times a contiguous vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import JIT, VECTOR_BYTES

Builder = Any
INDEX = ir.IntType(64)


def _bits(ty: Any) -> int:
    return 32 if ty == types.float32 else 64


def _vector(ty: Any) -> ir.VectorType:
    """Give the vector type of this CPU for a Numba float type."""
    element = ir.FloatType() if ty == types.float32 else ir.DoubleType()
    return ir.VectorType(element, VECTOR_BYTES * 8 // _bits(ty))


def _index(value: int) -> ir.Constant:
    return ir.Constant(INDEX, value)


# ---------------------------------------------------------------------------------------------- single elements


def _is_single(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(signature.args[0] == types.float32))

    return types.boolean(x), generate


def _fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        ty = context.get_value_type(signature.args[0])
        name = f"llvm.fma.f{_bits(signature.args[0])}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ty, [ty] * 3), name)
        return builder.call(function, arguments)

    return a(a, a, a), generate


def _to_bits(typing: Any, x: Any) -> Any:
    integer = types.int32 if x == types.float32 else types.int64

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(_bits(signature.args[0])))

    return integer(x), generate


def _from_bits(typing: Any, i: Any, like: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        ty = context.get_value_type(signature.return_type)
        return builder.bitcast(builder.trunc(arguments[0], ir.IntType(_bits(like))), ty)

    return like(types.int64, like), generate


if JIT:
    is_single = intrinsic(_is_single)
    fused = intrinsic(_fused)
    to_bits = intrinsic(_to_bits)
    from_bits = intrinsic(_from_bits)
else:

    def is_single(x: Any) -> bool:
        """Tell whether x is a float32: a constant of the compiled function, so a branch on it costs nothing."""
        return isinstance(x, np.float32)

    def fused(a: Any, b: Any, c: Any) -> Any:
        """Compute a*b + c, rounded once."""
        if isinstance(a, np.float32):
            return np.float32(np.float64(a) * np.float64(b) + np.float64(c))
        return np.float64(np.longdouble(a) * np.longdouble(b) + np.longdouble(c))

    def to_bits(x: Any) -> Any:
        """Reinterpret a float32 as int32, a float64 as int64."""
        return x.view(np.int32 if isinstance(x, np.float32) else np.int64)

    def from_bits(i: Any, like: Any) -> Any:
        """Reinterpret the low bits of an integer as a float of the type of ``like``."""
        if isinstance(like, np.float32):
            return np.int64(i).astype(np.int32).view(np.float32)
        return np.int64(i).view(np.float64)

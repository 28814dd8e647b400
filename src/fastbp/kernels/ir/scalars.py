"""Single numbers: their bits, a multiply-add that rounds once, polynomials, the smaller of two integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..compile.numba_internals import cgutils
from ..compile.options import FUSES_ALIKE
from .builder import IN_ORDER, Builder, bit_width, twin


def _wrapped(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return arguments[0]

    return types.int64(types.int64), generate


@twin(_wrapped)
def wrapped(x: Any) -> int:
    """Return an integer modulo 2⁶⁴, signed, as compiled code does of itself."""
    return (int(x) + 2**63) % 2**64 - 2**63


def _is_single(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(signature.args[0] == types.float32))

    return types.boolean(x), generate


@twin(_is_single)
def is_single(x: Any) -> bool:
    """Return whether x is a float32: a constant of the compiled function, so a branch on it costs nothing."""
    return isinstance(x, np.float32)


def _fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        ty = context.get_value_type(signature.args[0])
        name = f"llvm.fma.f{bit_width(signature.args[0])}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ty, [ty] * 3), name)
        return builder.call(function, arguments)

    return a(a, a, a), generate


@twin(_fused)
def fused(a: Any, b: Any, c: Any) -> Any:
    """Compute a*b + c, rounded once."""
    if isinstance(a, np.float32):
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))
    return np.float64(np.longdouble(a) * np.longdouble(b) + np.longdouble(c))


def _to_bits(typing: Any, x: Any) -> Any:
    integer = types.int32 if x == types.float32 else types.int64

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(bit_width(signature.args[0])))

    return integer(x), generate


@twin(_to_bits)
def to_bits(x: Any) -> Any:
    """Reinterpret a float32 as int32, a float64 as int64."""
    return x.view(np.int32 if isinstance(x, np.float32) else np.int64)


def _from_bits(typing: Any, i: Any, like: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        ty = context.get_value_type(signature.return_type)
        return builder.bitcast(builder.trunc(arguments[0], ir.IntType(bit_width(like))), ty)

    return like(types.int64, like), generate


@twin(_from_bits)
def from_bits(i: Any, like: Any) -> Any:
    """Reinterpret the low bits of an integer as a float of the type of ``like``."""
    if isinstance(like, np.float32):
        return np.int64(i).astype(np.int32).view(np.float32)
    return np.int64(i).view(np.float64)


def polynomial(*, single: tuple[float, ...], double: tuple[float, ...]) -> Any:
    """Return a function ``p(x)``: the polynomial with these coefficients, the highest first, by x's type (Horner).

    In LLVM IR, since as a function of its own each took 40 ms of a first fit. Fused where LLVM does so alike in vectors
    and scalars; where it does not, it is asked for each step, which for x86-64 made loops 2 to 18 % slower.
    """

    def horner(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            ty = arguments[0].type
            first, *rest = (ir.Constant(ty, c) for c in (single if x == types.float32 else double))
            name = f"llvm.fmuladd.f{bit_width(x)}"
            step = None if FUSES_ALIKE else cgutils.get_or_insert_function(builder.module,
                                                                           ir.FunctionType(ty, [ty] * 3), name)
            for coefficient in rest:
                if step is not None:
                    first = builder.call(step, [first, arguments[0], coefficient])
                else:
                    product = builder.fmul(first, arguments[0], flags=IN_ORDER)
                    first = builder.fadd(product, coefficient, flags=IN_ORDER)
            return first

        return x(x), generate

    @twin(horner)
    def plain(x: Any) -> Any:
        first, *rest = map(type(x), single if isinstance(x, np.float32) else double)
        for coefficient in rest:
            first = first * x + coefficient
        return first

    return plain


def _chosen(condition: str) -> Callable[..., Any]:
    """Return what emits the second of two numbers where the condition holds for it and the first, else the first."""
    def choose(typing: Any, a: Any, b: Any) -> Any:
        kind = types.float64 if isinstance(a, types.Float) else types.intp

        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            compare = builder.fcmp_ordered if kind == types.float64 else builder.icmp_signed
            first, second = arguments
            return builder.select(compare(condition, second, first), second, first)

        return kind(kind, kind), generate

    return choose


@twin(_chosen("<"))
def least(a: Any, b: Any) -> Any:
    """Return the smaller of two integers or doubles; Numba's own takes three times as long to compile, each call."""
    return min(a, b)


@twin(_chosen(">"))
def most(a: Any, b: Any) -> Any:
    """Return the larger of two integers or doubles."""
    return max(a, b)

"""Operands of products in bfloat16: two of them, a pair, take the place of one float32 in a panel or a scratch.

A product of pairs adds to each float32 of a vector the products of the second and of the first numbers of a pair:
Σ_k w_k o_k with k in pairs, where a pair is of two neurons or of two samples. Numbers are rounded to the nearest, ties
to even; infinities stay what they are, NaN stays NaN.

With AVX512_BF16 (Zen 4 and 5, Sapphire Rapids) the second product is added first, each by a fused multiply-add that
rounds to the nearest, and what is smaller in size than 2⁻¹²⁶ is taken for 0 wherever it comes in or out. A product of
two bfloat16 is exact in float32, so the plain twin, which multiplies and then adds, has the same bits. NEON's bfdot
adds the two products first: there it has not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from ..compile import VECTOR_BYTES, host_pair_product
from ..compile.numba_internals import cgutils
from .builder import Builder, Pointers, constant, transposed, twin


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's type, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


BFLOAT = _BFloat()


def _rounded(p: Pointers, value: Any) -> Any:
    """Emit a vector of float32 as bfloat16."""
    return p.b.fptrunc(value, ir.VectorType(BFLOAT, value.type.count))


def _as_words(p: Pointers, value: Any) -> Any:
    """Return pairs as float32 of the same bits, which are moved and never computed with."""
    return p.b.bitcast(value, ir.VectorType(p.vector.element, value.type.count // 2))


def plain_rounded(values: Any) -> Any:
    """Return the bits of float32 rounded to bfloat16, as uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    bits = np.where(magnitude < 0x00800000, bits & np.uint32(0x80000000), bits)
    nearest = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    quiet = bits >> np.uint32(16) | np.uint32(0x40)
    return np.where(magnitude > 0x7F800000, quiet, nearest).astype(np.uint16)


def plain_pairs(first: Any, second: Any) -> Any:
    """Return pairs as float32 of the same bits."""
    return np.stack((plain_rounded(first), plain_rounded(second)), axis=-1).reshape(-1).view(np.float32)


# ------------------------------------------------------------------------------------------------------- products


class Product(NamedTuple):
    """What a step of a tile adds to a sum: in LLVM IR, and in plain Python."""

    emit: Callable[[Pointers, Any, Any, Any], Any]
    """Of a vector that holds one operand in all lanes, a vector, and the sum."""
    plain: Callable[[Any, Any, Any], Any]
    """Of arrays of one number, or one pair, and of a vector; and the sum."""
    numbers: int
    """How many operands a float32 of a panel holds."""


def _emit_pairs(p: Pointers, one: Any, vector: Any, total: Any) -> Any:
    kind = ir.VectorType(BFLOAT, 2 * p.lanes)
    name = host_pair_product()
    assert name is not None, "Model.precision looks whether there is such an instruction"
    function = cgutils.get_or_insert_function(p.b.module, ir.FunctionType(p.vector, [p.vector, kind, kind]), name)
    return p.b.call(function, [total, p.b.bitcast(vector, kind), p.b.bitcast(one, kind)])


def _plain_pairs(one: Any, vector: Any, total: Any) -> Any:
    one, vector, half = one.view(np.uint32), vector.view(np.uint32), np.uint32(16)
    for shift in (half, np.uint32(0)):
        a, b = one >> shift << half, vector >> shift << half
        total = total + a.view(np.float32) * b.view(np.float32)
    return total


SINGLES = Product(lambda p, one, vector, total: p.b.call(p.multiply_add, [one, vector, total]),
                  lambda one, vector, total: total + one * vector, 1)
PAIRS = Product(_emit_pairs, _plain_pairs, 2)


# ------------------------------------------------------------------------------------------------------- operands


def _join_rows(typing: Any, source: Any, first: Any, second: Any, valid: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, first, second, valid, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        mask, there = p.mask(valid), builder.icmp_signed(">=", second, constant(0))
        low = _rounded(p, p.masked_load(p.at(source, A, first), mask))
        none = p.mask(builder.select(there, valid, constant(0)))
        high = _rounded(p, p.masked_load(p.at(source, A, builder.select(there, second, first)), none))
        order = [i for v in range(p.lanes) for i in (v, p.lanes + v)]
        p.store(_as_words(p, p.shuffle(low, high, order)), p.at(target, B, t))
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, i, i, target, i), generate


@twin(_join_rows)
def join_rows(A: Any, first: int, second: int, valid: int, B: Any, t: int) -> None:
    """Write a vector of pairs (A[first + v], A[second + v]), for the first ``valid`` lanes v; 0 follows.

    The second number of each is 0 where ``second`` is -1.
    """
    n = VECTOR_BYTES // B.itemsize
    low, high = np.zeros(n, A.dtype), np.zeros(n, A.dtype)
    some = max(0, min(n, valid))
    low[:some] = A[first : first + some]
    if second >= 0:
        high[:some] = A[second : second + some]
    B[t : t + n] = plain_pairs(low, high)


def _join_columns(typing: Any, source: Any, s: Any, valid: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, valid, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        start, lanes = p.at(source, A, s), constant(p.lanes)
        parts = [_rounded(p, p.masked_load(p.shift(start, shift), p.mask(builder.sub(valid, shift))))
                 for shift in (constant(0), lanes)]
        p.store(_as_words(p, p.joined(*parts)), p.at(target, B, t))
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, i, target, i), generate


@twin(_join_columns)
def join_columns(A: Any, s: int, valid: int, B: Any, t: int) -> None:
    """Write a vector of pairs of neighbours (A[s + 2v], A[s + 2v + 1]), of which ``valid`` numbers count; 0 follows."""
    n = VECTOR_BYTES // B.itemsize
    numbers = np.zeros(2 * n, A.dtype)
    some = max(0, min(2 * n, valid))
    numbers[:some] = A[s : s + some]
    B[t : t + n] = plain_pairs(numbers[0::2], numbers[1::2])


def _join_lanes(typing: Any, source: Any, s: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        words = _as_words(p, _rounded(p, p.load(p.at(source, A, s))))
        p.b.store(words, p.b.bitcast(p.at(target, B, t), words.type.as_pointer())).align = p.bits // 8
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target, i), generate


@twin(_join_lanes)
def join_lanes(A: Any, s: int, B: Any, t: int) -> None:
    """Write a vector as half a vector of pairs of neighbours."""
    n = VECTOR_BYTES // B.itemsize
    B[t : t + n // 2] = plain_pairs(A[s : s + n : 2], A[s + 1 : s + n : 2])


def _transpose_pairs(typing: Any, source: Any, s: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        half = p.lanes // 2
        rows = [_as_words(p, _rounded(p, p.load(p.at(source, A, builder.add(s, constant(i * p.lanes))))))
                for i in range(p.lanes)]
        block = [p.joined(rows[i], rows[i + half]) for i in range(half)]  # two squares of words, side by side
        for i, row in enumerate(transposed(p, block)):
            p.store(row, p.at(target, B, builder.add(t, constant(i * p.lanes))))
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target, i), generate


@twin(_transpose_pairs)
def transpose_pairs(A: Any, s: int, B: Any, t: int) -> None:
    """Write the transpose of a square of vectors at s: for each pair of lanes a vector of the rows' pairs, to t."""
    n = VECTOR_BYTES // A.itemsize
    square = A[s : s + n * n].reshape(n, n)
    for i in range(n // 2):
        B[t + i * n : t + (i + 1) * n] = plain_pairs(square[:, 2 * i], square[:, 2 * i + 1])

"""Vectors copied, transposed and gathered, from arrays into panels and from panel to panel."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..compile import VECTOR_BYTES
from .builder import Builder, Pointers, constant, transposed, twin
from .tiles import WHOLE

FEW = 4
"""Numbers of each sample that `gather_few` takes at once, or as many as a vector has: squares of so many, side by side,
are transposed with a quarter of the shuffles, and the rows of tiny networks are no wider."""


def _store_rows(p: Pointers, block: list[Any], ty: Any, target: Any, t: Any, rows: Any) -> None:
    """Emit the stores of the first ``rows`` vectors of a block, one behind the other."""
    for i, row in enumerate(block):
        with p.b.if_then(p.b.icmp_signed("<", constant(i), rows)):
            p.store(row, p.at(ty, target, p.b.add(t, constant(i * p.lanes))))


def _transpose(typing: Any, source: Any, s: Any, target: Any, t: Any, rows: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, t, rows = arguments
        p = Pointers(context, builder, source.dtype)
        block = [p.load(p.at(source, A, builder.add(s, constant(i * p.lanes)))) for i in range(p.lanes)]
        _store_rows(p, transposed(p, block), target, B, t, rows)
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target, i, i), generate


@twin(_transpose)
def transpose(A: Any, s: int, B: Any, t: int, rows: int) -> None:
    """Write the first ``rows`` rows of the transpose of a square of vectors at s, one behind the other, to t."""
    n = VECTOR_BYTES // A.itemsize
    transposed = A[s : s + n * n].reshape(n, n).T[:rows]
    B[t : t + transposed.size] = transposed.reshape(-1)


def _copy_vector(typing: Any, source: Any, s: Any, valid: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, valid, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        p.store(p.masked_load(p.at(source, A, s), p.mask(valid)), p.at(target, B, t))
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, i, target, i), generate


@twin(_copy_vector)
def copy_vector(A: Any, s: int, valid: int, B: Any, t: int) -> None:
    """Copy a vector of which ``valid`` numbers count; zeros follow them."""
    n = VECTOR_BYTES // B.itemsize
    values = A[s : s + min(n, valid)].copy()  # both may be the same place
    B[t : t + n] = 0
    B[t : t + values.size] = values


def _copy_tile(typing: Any, source: Any, s: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        kind = ir.VectorType(p.vector.element, WHOLE).as_pointer()
        value = builder.load(builder.bitcast(p.at(source, A, s), kind))
        value.align = p.bits // 8
        builder.store(value, builder.bitcast(p.at(target, B, t), kind)).align = p.bits // 8
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target, i), generate


@twin(_copy_tile)
def copy_tile(A: Any, s: int, B: Any, t: int) -> None:
    """Copy WHOLE numbers."""
    B[t : t + WHOLE] = A[s : s + WHOLE]


def _multiply_vector(typing: Any, first: Any, s: Any, second: Any, a: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, a, C, t = arguments
        p = Pointers(context, builder, target.dtype)
        p.store(builder.fmul(p.load(p.at(first, A, s)), p.load(p.at(second, B, a))), p.at(target, C, t))
        return context.get_dummy_value()

    i = types.intp
    return types.void(first, i, second, i, target, i), generate


@twin(_multiply_vector)
def multiply_vector(A: Any, s: int, B: Any, a: int, C: Any, t: int) -> None:
    """Write the product of two vectors, element by element."""
    n = VECTOR_BYTES // C.itemsize
    C[t : t + n] = A[s : s + n] * B[a : a + n]


def _mix_vectors(typing: Any, a: Any, panels: Any, first: Any, second: Any, slope: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        a, panels_, *places = arguments
        p = Pointers(context, builder, panels.dtype)
        x_at, y_at, d_at = (p.at(panels, panels_, place) for place in places)
        x, y, share = p.load(x_at), p.load(y_at), p.broadcast(a)
        rest = p.broadcast(builder.fsub(ir.Constant(a.type, 1.0), a))
        p.store(builder.call(p.multiply_add, [share, y, builder.fmul(rest, x)]), y_at)
        p.store(builder.fsub(y, x), x_at)
        p.store(builder.call(p.multiply_add, [share, p.load(d_at), rest]), d_at)
        return context.get_dummy_value()

    i = types.intp
    return types.void(panels.dtype, panels, i, i, i), generate


@twin(_mix_vectors)
def mix_vectors(a: Any, A: Any, x: int, y: int, slope: int) -> None:
    """y <- x + a (y - x), x <- y - x and slope <- 1 + a (slope - 1), each a vector of A; y stays exact where a is 1."""
    n = VECTOR_BYTES // A.itemsize
    rest, change = type(a)(1) - a, A[y : y + n] - A[x : x + n]
    A[y : y + n] = a * A[y : y + n] + rest * A[x : x + n]
    A[slope : slope + n] = a * A[slope : slope + n] + rest
    A[x : x + n] = change


def _scale_vector(typing: Any, source: Any, s: Any, factor: Any, target: Any, t: Any, add: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, factor, B, t, add = arguments
        p = Pointers(context, builder, target.dtype)
        where = p.at(target, B, t)
        old = builder.select(builder.icmp_signed("!=", add, constant(0)), p.load(where), p.zero())
        p.store(builder.call(p.multiply_add, [p.load(p.at(source, A, s)), p.broadcast(factor), old]), where)
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target.dtype, target, i, i), generate


@twin(_scale_vector)
def scale_vector(A: Any, s: int, factor: Any, B: Any, t: int, add: int) -> None:
    """Write a vector times a number, or add it."""
    n = VECTOR_BYTES // B.itemsize
    B[t : t + n] = A[s : s + n] * factor + (B[t : t + n] if add else 0)


def _clip_line(typing: Any, source: Any, s: Any, start: Any, slope: Any, low: Any, high: Any, target: Any,
               t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, start, slope, low, high, B, t = arguments
        p = Pointers(context, builder, target.dtype)
        start, slope, low, high = map(p.broadcast, (start, slope, low, high))
        line = builder.fmul(builder.fsub(p.load(p.at(source, A, s)), start), slope)
        line = builder.select(builder.fcmp_ordered("<", line, low), low, line)
        line = builder.select(builder.fcmp_ordered(">", line, high), high, line)
        p.store(line, p.at(target, B, t))
        return context.get_dummy_value()

    i, real = types.intp, target.dtype
    return types.void(source, i, real, real, real, real, target, i), generate


@twin(_clip_line)
def clip_line(A: Any, s: int, start: Any, slope: Any, low: Any, high: Any, B: Any, t: int) -> None:
    """Write (x − start)·slope of each x of a vector, not below ``low`` nor above ``high``; NaN stays NaN."""
    n = VECTOR_BYTES // B.itemsize
    B[t : t + n] = np.clip((A[s : s + n] - start) * slope, low, high)


def _gather(columns: int) -> Any:
    """Return the copy of so many numbers of each sample, or as many as a vector has."""
    def emit(typing: Any, rows: Any, starts: Any, k: Any, valid: Any, panels: Any, t: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            rows_, starts_, k, valid, panels_, t = arguments
            p = Pointers(context, builder, panels.dtype)
            width = min(columns, p.lanes)
            mask, first = p.mask(valid, width), p.at(rows, rows_, k)
            parts = [p.masked_load(p.shift(first, builder.load(builder.gep(starts_, [constant(v)]))), mask)
                     for v in range(p.lanes)]
            block = []
            for i in range(width):  # samples i, i + width, i + 2 width ...: squares that are turned side by side
                group = parts[i::width]
                while len(group) > 1:
                    group = [p.joined(a, b) for a, b in zip(group[0::2], group[1::2], strict=True)]
                block += group
            _store_rows(p, transposed(p, block), panels, panels_, t, valid)
            return constant(width)

        i = types.intp
        return i(rows, starts, i, i, panels, i), generate

    @twin(emit)
    def gather(rows: Any, starts: Any, k: int, valid: int, panels: Any, t: int) -> int:
        """Bring numbers k to k + columns of a strip's samples into rows of a panel at t; return how many it took.

        Sample v begins at starts[v] of ``rows``; of its numbers ``valid`` count.
        """
        lane = VECTOR_BYTES // panels.itemsize
        width: int = min(columns, lane)
        valid = min(width, valid)
        for v in range(lane):
            panels[t + v : t + v + valid * lane : lane] = rows[starts[v] + k : starts[v] + k + valid]
        return width

    return gather


gather_square, gather_few = _gather(VECTOR_BYTES), _gather(FEW)

"""The tiles of a stack of networks, one in each lane: weights, too, are vectors, and nothing is broadcast.

A sum runs in the order in which the tiles of one network take it, so that a network has the same bits in a stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..compile import VECTOR_BYTES, VECTOR_REGISTERS
from .builder import IN_ORDER, Builder, Pointers, constant, counted_loop, plain_lane_sum, twin

STACKED_ROWS, STACKED_COLUMNS = (4, 4) if VECTOR_REGISTERS >= 32 else (3, 3)
"""Sums of a tile that stay in registers beside a column of the one operand and a number of the other."""

STACKED_WIDE = 8
"""Columns of the tile of a single row."""


def _clamped(p: Pointers, some: Any, count: int) -> list[Any]:
    """Return the number of each of so many rows: where a tile has fewer, the last one again, with the same result."""
    last = p.b.sub(some, constant(1))
    return [constant(0)] + [p.b.select(p.b.icmp_signed("<", constant(m), last), constant(m), last)
                            for m in range(1, count)]


def _tile(finish: Callable[[Pointers, Any, Any], Any], biased: bool) -> Any:
    """Return the emitter of a tile: ``finish`` makes of a sum, and of what is there, what is stored."""
    def emit(typing: Any, A: Any, a: Any, a_row: Any, a_step: Any, B: Any, b: Any, b_column: Any, b_step: Any,
             size: Any, C: Any, c: Any, c_row: Any, c_column: Any, biases: Any, bias: Any, rows: Any,
             columns: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            (A_, a, a_row, a_step, B_, b, b_column, b_step, size, C_, c, c_row, c_column, biases_, bias, rows,
             columns) = arguments
            p = Pointers(context, builder, C.dtype)

            def put(most_rows: int, most_columns: int) -> None:
                row, column = _clamped(p, rows, most_rows), _clamped(p, columns, most_columns)
                a_at, b_at = p.at(A, A_, a), p.at(B, B_, b)
                a_rows = [builder.mul(a_row, m) for m in row]
                b_columns = [builder.mul(b_column, n) for n in column]
                places = [p.at(C, C_, builder.add(c, builder.add(builder.mul(c_row, m), builder.mul(c_column, n))))
                          for m in row for n in column]
                initial = [p.zero()] * len(places)
                if biased:
                    has = builder.icmp_signed(">=", bias, constant(0))
                    first = builder.select(has, p.at(biases, biases_, bias), a_at)  # which can be read in any case
                    stride = builder.select(has, constant(p.lanes), constant(0))
                    each = [builder.select(has, p.load(p.shift(first, builder.mul(stride, m))), p.zero()) for m in row]
                    initial = [value for value in each for _ in column]

                def step(values: list[Any]) -> list[Any]:
                    a_at, b_at, sums = values[0], values[1], values[2:]
                    right = [p.load(p.shift(b_at, offset)) for offset in b_columns]
                    new = []
                    for m, offset in enumerate(a_rows):
                        left = p.load(p.shift(a_at, offset))
                        new += [builder.call(p.multiply_add, [left, right[n], sums[m * most_columns + n]])
                                for n in range(most_columns)]
                    return [p.shift(a_at, a_step), p.shift(b_at, b_step), *new]

                carried = [(a_at.type, a_at), (b_at.type, b_at)] + [(p.vector, value) for value in initial]
                sums = counted_loop(builder, size, carried, step, "stacked", unroll=False)[2:]
                results = [finish(p, total, where) for total, where in zip(sums, places, strict=True)]
                for result, where in zip(results, places, strict=True):
                    p.store(result, where)

            with builder.if_else(builder.icmp_signed(">", rows, constant(1))) as (several, one):
                with several:
                    put(STACKED_ROWS, STACKED_COLUMNS)
                with one:
                    put(1, STACKED_WIDE)
            return context.get_dummy_value()

        i = types.intp
        return types.void(A, i, i, i, B, i, i, i, i, C, i, i, i, biases, i, i, i), generate

    return emit


def _plain(A: Any, a: int, a_row: int, a_step: int, B: Any, b: int, b_column: int, b_step: int, size: int, m: int,
           n: int, initial: Any, lane: int) -> Any:
    total = initial
    for r in range(size):
        left, right = a + m * a_row + r * a_step, b + n * b_column + r * b_step
        total = total + A[left : left + lane] * B[right : right + lane]
    return total


@twin(_tile(lambda p, total, where: total, biased=True))
def stacked_forward(A: Any, a: int, a_row: int, a_step: int, B: Any, b: int, b_column: int, b_step: int, size: int,
                    C: Any, c: int, c_row: int, c_column: int, biases: Any, bias: int, rows: int, columns: int) -> None:
    """Write C_mn = b_m + Σ_r A_mr B_rn, r from 0 to ``size``, all of them vectors: a tile of net inputs (1).

    A begins at a, its rows a_row and steps a_step apart; so do B and C. No biases if ``bias`` is negative. ``rows`` are
    1 to STACKED_ROWS, ``columns`` 1 to STACKED_COLUMNS, or to STACKED_WIDE in a tile of one row.
    """
    lane = VECTOR_BYTES // C.itemsize
    for m in range(rows):
        first = biases[bias + m * lane : bias + (m + 1) * lane] if bias >= 0 else np.zeros(lane, C.dtype)
        for n in range(columns):
            where = c + m * c_row + n * c_column
            C[where : where + lane] = _plain(A, a, a_row, a_step, B, b, b_column, b_step, size, m, n, first, lane)


@twin(_tile(lambda p, total, where: p.b.fmul(total, p.load(where)), biased=False))
def stacked_backward(A: Any, a: int, a_row: int, a_step: int, B: Any, b: int, b_column: int, b_step: int, size: int,
                     C: Any, c: int, c_row: int, c_column: int, biases: Any, bias: int, rows: int,
                     columns: int) -> None:
    """Multiply C_mn, φ'(net), by Σ_r A_mr B_rn (5); biases are not used."""
    lane = VECTOR_BYTES // C.itemsize
    for m in range(rows):
        for n in range(columns):
            where, none = c + m * c_row + n * c_column, np.zeros(lane, C.dtype)
            C[where : where + lane] *= _plain(A, a, a_row, a_step, B, b, b_column, b_step, size, m, n, none, lane)


@twin(_tile(lambda p, total, where: p.b.fadd(p.zero(), total, flags=IN_ORDER), biased=False))
def stacked_gradient(A: Any, a: int, a_row: int, a_step: int, B: Any, b: int, b_column: int, b_step: int, size: int,
                     C: Any, c: int, c_row: int, c_column: int, biases: Any, bias: int, rows: int,
                     columns: int) -> None:
    """Write C_mn = 0 + Σ_r A_mr B_rn (6), r counting samples; biases are not used."""
    lane = VECTOR_BYTES // C.itemsize
    for m in range(rows):
        for n in range(columns):
            where, none = c + m * c_row + n * c_column, np.zeros(lane, C.dtype)
            C[where : where + lane] = _plain(A, a, a_row, a_step, B, b, b_column, b_step, size, m, n, none, lane)


def _lanes_sum(typing: Any, D: Any, d: Any, d_step: Any, A: Any, a: Any, a_step: Any, samples: Any, G: Any,
               g: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        D_, d, d_step, A_, a, a_step, samples, G_, g = arguments
        p = Pointers(context, builder, D.dtype)
        width = constant(p.lanes)
        multiplied = builder.icmp_signed(">", a_step, constant(0))
        one = p.broadcast(ir.Constant(p.vector.element, 1.0))

        def added(d_at: Any, a_at: Any, total: Any) -> Any:
            out = builder.select(multiplied, p.load(a_at), one)
            return builder.call(p.multiply_add, [p.load(d_at), out, total])

        def one_strip(values: list[Any]) -> list[Any]:
            d_at, a_at, sums, new = values[0], values[1], values[2:], []
            for total in sums:
                new.append(added(d_at, a_at, total))
                d_at, a_at = p.shift(d_at, d_step), p.shift(a_at, a_step)
            return [d_at, a_at, *new]

        d_at, a_at = p.at(D, D_, d), p.at(A, A_, a)
        carried = [(d_at.type, d_at), (a_at.type, a_at)] + [(p.vector, p.zero())] * p.lanes
        d_at, a_at, *sums = counted_loop(builder, builder.sdiv(samples, width), carried, one_strip, "strip",
                                         unroll=False, may_be_none=True)
        rest = builder.srem(samples, width)
        for v in range(p.lanes - 1):  # what is left of the samples; a lane past them adds nothing, and reads what is
            valid = builder.icmp_signed("<", constant(v), rest)
            delta = builder.select(valid, d_at, p.at(D, D_, d))
            out = builder.select(valid, a_at, p.at(A, A_, a))
            sums[v] = builder.select(valid, added(delta, out, sums[v]), sums[v])
            d_at, a_at = p.shift(d_at, d_step), p.shift(a_at, a_step)
        while len(sums) > 1:
            pairs = zip(sums[0::2], sums[1::2], strict=True)
            sums = [builder.fadd(left, right, flags=IN_ORDER) for left, right in pairs]
        p.store(builder.fadd(p.zero(), sums[0], flags=IN_ORDER), p.at(G, G_, g))
        return context.get_dummy_value()

    i = types.intp
    return types.void(D, i, i, A, i, i, i, G, i), generate


@twin(_lanes_sum)
def stacked_lanes_sum(D: Any, d: int, d_step: int, A: Any, a: int, a_step: int, samples: int, G: Any, g: int) -> None:
    """Write the vector 0 + Σ_samples δ o (6): samples v, v + lanes, … first, then pairs of these sums, pairs of pairs.

    Samples are d_step and a_step apart; with a_step = 0 every o is 1.
    """
    lane = VECTOR_BYTES // G.itemsize
    sums = [np.zeros(lane, G.dtype) for _ in range(lane)]
    for s in range(samples):
        delta = D[d + s * d_step : d + s * d_step + lane]
        sums[s % lane] += delta * A[a + s * a_step : a + s * a_step + lane] if a_step else delta
    G[g : g + lane] = plain_lane_sum(sums) + 0

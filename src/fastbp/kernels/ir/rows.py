"""One sample, neurons in lanes: products of rows of weights with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..compile import VECTOR_BYTES, VECTOR_REGISTERS
from ..compile.numba_internals import cgutils
from .builder import IN_ORDER, Builder, Pointers, add_neighbours, constant, lane_halves, twin

DOT_ROWS, COLUMN_VECTORS = VECTOR_REGISTERS // 2, 4
"""Neurons that `dot_rows` computes at once, vectors of neurons that `sum_columns` does: enough sums under way to hide
the latency of a multiply-add, and the former a whole number of vectors, so that the loads after the store find it."""

FEW_ROWS = sorted({4, 8, DOT_ROWS})
"""Tiles of `dot_rows`: what is left goes to the smallest that takes all of it, with one store. Of the 330 instructions
of a tile of 16 rows an output of one neuron needs 60."""

SHORT_ROWS = (2, 4)
"""Rows of so few inputs lie several in a vector: `dot_rows` takes them all at once, and adds one or two times in lanes
where it adds log2(lanes) times otherwise."""


def _by_vectors(p: Pointers, count: Any, body: Callable[[Any, Any], None]) -> None:
    """Emit ``body(offset, mask)`` for each whole vector of ``count`` elements (mask None) and for the rest."""
    lanes = constant(p.lanes)
    whole = p.b.sdiv(count, lanes)
    with cgutils.for_range(p.b, whole) as loop:
        body(p.b.mul(loop.index, lanes), None)
    done = p.b.mul(whole, lanes)
    with p.b.if_then(p.b.icmp_signed("<", done, count)):
        body(done, p.mask(p.b.sub(count, done)))


def _dot_rows(typing: Any, weights: Any, w: Any, row: Any, rows: Any, biases: Any, bias: Any, panels: Any, x: Any,
              size: Any, out: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        W, w, row, rows, biases_, bias, A, x, size, out = arguments
        p = Pointers(context, builder, panels.dtype)
        last, source = builder.sub(rows, constant(1)), p.at(panels, A, x)
        has = builder.select(builder.icmp_signed(">=", bias, constant(0)), rows, constant(0))

        def tile(at_once: int) -> None:
            number = [constant(m) for m in range(at_once)]
            number = [builder.select(builder.icmp_signed("<", m, last), m, last) for m in number]  # repeat the last row
            starts = [p.at(weights, W, builder.add(w, builder.mul(m, row))) for m in number]
            sums = [cgutils.alloca_once_value(builder, p.zero()) for _ in number]
            for total in sums:
                builder.store(p.zero(), total)

            def add(offset: Any, mask: Any) -> None:
                def load(pointer: Any) -> Any:
                    return p.load(pointer) if mask is None else p.masked_load(pointer, mask)

                inputs = load(p.shift(source, offset))
                for start, total in zip(starts, sums, strict=True):
                    new = builder.call(p.multiply_add, [load(p.shift(start, offset)), inputs, builder.load(total)])
                    builder.store(new, total)

            _by_vectors(p, size, add)
            halves = lane_halves(p, [builder.load(total) for total in sums], p.lanes.bit_length() - 1)
            for v, (even, odd) in enumerate(halves):
                lane = constant(v * p.lanes)
                first = p.masked_load(p.at(biases, biases_, builder.add(bias, lane)), p.mask(builder.sub(has, lane)))
                # in this order whatever LLVM finds better: it is what it made of a single tile
                one, two, three = (odd, first, even) if (v + 1) * p.lanes >= DOT_ROWS else (even, odd, first)
                total = builder.fadd(builder.fadd(one, two, flags=IN_ORDER), three, flags=IN_ORDER)
                p.store(total, p.at(panels, A, builder.add(out, lane)))

        def fitting(sizes: list[int]) -> None:
            if len(sizes) == 1:
                tile(sizes[0])
                return
            with builder.if_else(builder.icmp_signed("<=", rows, constant(sizes[0]))) as (few, more):
                with few:
                    tile(sizes[0])
                with more:
                    fitting(sizes[1:])

        def short(n: int) -> None:
            inputs = p.masked_load(source, p.mask(size))
            inputs = p.shuffle(inputs, inputs, [lane % n for lane in range(p.lanes)])
            start, left = p.at(weights, W, w), builder.mul(rows, size)
            for v in range(DOT_ROWS // p.lanes):
                parts = []
                for offset in range(v * n * p.lanes, (v + 1) * n * p.lanes, p.lanes):
                    mask = p.mask(builder.sub(left, constant(offset)))
                    part = p.masked_load(p.shift(start, constant(offset)), mask)
                    parts.append(builder.call(p.multiply_add, [part, inputs, p.zero()]))
                while len(parts) > 1:
                    parts = [add_neighbours(p, a, b) for a, b in zip(parts[0::2], parts[1::2], strict=True)]
                lane = constant(v * p.lanes)
                first = p.masked_load(p.at(biases, biases_, builder.add(bias, lane)), p.mask(builder.sub(has, lane)))
                total = builder.fadd(parts[0], first, flags=IN_ORDER)
                p.store(total, p.at(panels, A, builder.add(out, lane)))

        def by_size(sizes: list[int]) -> None:
            if not sizes:
                fitting(FEW_ROWS)
                return
            dense = builder.icmp_signed("==", row, size)
            with builder.if_else(builder.and_(dense, builder.icmp_signed("==", size, constant(sizes[0])))) as (yes, no):
                with yes:
                    short(sizes[0])
                with no:
                    by_size(sizes[1:])

        by_size([n for n in SHORT_ROWS if n < p.lanes])
        return context.get_dummy_value()

    i = types.intp
    return types.void(weights, i, i, i, biases, i, panels, i, i, i), generate


@twin(_dot_rows)
def dot_rows(W: Any, w: int, row: int, rows: int, biases: Any, bias: int, A: Any, x: int, size: int, out: int) -> None:
    """Compute net_j (1) of up to DOT_ROWS neurons for one sample, to ``out`` of the panel.

    Rows of weights are at w, ``row`` apart, biases at ``bias``, none if that is negative; ``size`` outputs are at x.
    """
    for m in range(min(rows, DOT_ROWS)):
        total = W[w + m * row : w + m * row + size] @ A[x : x + size]
        A[out + m] = total + biases[bias + m] if bias >= 0 else total


def _sum_columns(typing: Any, weights: Any, w: Any, row: Any, rows: Any, panels: Any, d: Any, t: Any,
                 valid: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        W, w, row, rows, A, d, t, valid = arguments
        p = Pointers(context, builder, panels.dtype)
        shifts = [constant(v * p.lanes) for v in range(COLUMN_VECTORS)]
        masks = [p.mask(builder.sub(valid, shift)) for shift in shifts]
        sums = [cgutils.alloca_once_value(builder, p.zero()) for _ in shifts]
        start, deltas = p.at(weights, W, w), p.at(panels, A, d)
        with cgutils.for_range(builder, rows) as loop:
            delta = p.broadcast(builder.load(p.shift(deltas, loop.index)))
            place = p.shift(start, builder.mul(loop.index, row))
            for shift, mask, total in zip(shifts, masks, sums, strict=True):
                weight = p.masked_load(p.shift(place, shift), mask)
                builder.store(builder.call(p.multiply_add, [delta, weight, builder.load(total)]), total)
        for shift, mask, total in zip(shifts, masks, sums, strict=True):
            where = p.at(panels, A, builder.add(t, shift))
            p.masked_store(builder.fmul(builder.load(total), p.masked_load(where, mask)), where, mask)
        return context.get_dummy_value()

    i = types.intp
    return types.void(weights, i, i, i, panels, i, i, i), generate


@twin(_sum_columns)
def sum_columns(W: Any, w: int, row: int, rows: int, A: Any, d: int, t: int, valid: int) -> None:
    """Multiply φ'(net_k) at t by Σ_j w_jk δ_j (5) for one sample and COLUMN_VECTORS vectors of neurons k.

    Of these ``valid`` neurons count. Rows j of weights are at w, ``row`` apart; their deltas are at d.
    """
    size = min(valid, COLUMN_VECTORS * VECTOR_BYTES // A.itemsize)
    total = np.zeros(size, A.dtype)
    for j in range(rows):
        total += A[d + j] * W[w + j * row : w + j * row + size]
    A[t : t + size] *= total


def _rank_one(typing: Any, target: Any, t: Any, rows: Any, size: Any, panels: Any, d: Any, x: Any, scale: Any,
              add: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        T, t, rows, size, A, d, x, scale, add = arguments
        p = Pointers(context, builder, panels.dtype)
        deltas, inputs, start = p.at(panels, A, d), p.at(panels, A, x), p.at(target, T, t)
        keep = builder.icmp_signed("!=", add, constant(0))
        narrow = builder.icmp_signed("<", size, constant(p.lanes // 2))
        with builder.if_else(narrow) as (one_by_one, by_vectors):
            with one_by_one, cgutils.for_range(builder, rows) as loop:
                # a masked vector over short rows would wait for the store of the row before
                delta = builder.fmul(builder.load(p.shift(deltas, loop.index)), scale)
                place = p.shift(start, builder.mul(loop.index, size))
                with cgutils.for_range(builder, size) as inner:
                    where = p.shift(place, inner.index)
                    old = builder.select(keep, builder.load(where), ir.Constant(p.vector.element, 0.0))
                    part = builder.fmul(delta, builder.load(p.shift(inputs, inner.index)))
                    builder.store(builder.fadd(old, part, flags=IN_ORDER), where)
            with by_vectors, cgutils.for_range(builder, rows) as loop:
                delta = p.broadcast(builder.fmul(builder.load(p.shift(deltas, loop.index)), scale))
                place = p.shift(start, builder.mul(loop.index, size))

                def one(offset: Any, mask: Any, delta: Any = delta, place: Any = place) -> None:
                    where, source = p.shift(place, offset), p.shift(inputs, offset)
                    x_part = p.load(source) if mask is None else p.masked_load(source, mask)
                    old = p.load(where) if mask is None else p.masked_load(where, mask)
                    old = builder.select(keep, old, p.zero())
                    new = builder.call(p.multiply_add, [delta, x_part, old])
                    if mask is None:
                        p.store(new, where)
                    else:
                        p.masked_store(new, where, mask)

                _by_vectors(p, size, one)
        return context.get_dummy_value()

    i = types.intp
    return types.void(target, i, i, i, panels, i, i, panels.dtype, i), generate


@twin(_rank_one)
def rank_one(T: Any, t: int, rows: int, size: int, A: Any, d: int, x: int, scale: Any, add: int) -> None:
    """Write the scaled products δ_j o_k (6) of one sample, deltas at d and outputs at x, to rows at t, or add them."""
    for j in range(rows):
        where = T[t + j * size : t + (j + 1) * size]
        where[:] = (where if add else 0) + (A[d + j] * scale) * A[x : x + size]

"""The vector tiles: products of a layer's weights, or of its deltas, with panels of samples.

A *strip* is one vector of samples: the panel of a layer with n neurons is stored strip by strip, each strip n rows of
``lanes`` samples, contiguous. A tile keeps rows x vectors of sums in registers and adds one product per step of k,
a scalar broadcast times a contiguous vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..compile import VECTOR_BYTES, VECTOR_REGISTERS
from ..compile.numba_internals import cgutils
from .bfloat16 import PAIRS, SINGLES, Product
from .builder import Builder, Pointers, constant, counted_loop, emit_prefetch, lane_sums, plain_lane_sum, twin

WHOLE, LANES_COLUMNS = (8, 4) if VECTOR_REGISTERS >= 32 else (6, 2)
"""Rows of the tiles n x 2 and n x 1, which are always full, and columns of the tile 4 x n that sums over lanes.

What is left of the rows goes to a tile of 4, 1 to 4 at a time: its 8 sums with two vectors are just enough to hide the
latency of a multiply-add, so fewer would not be faster. The sums of a tile, one vector of each operand and one more
fit the registers. With 16 of them, 8 x 2 spills 5: 81 GFLOP/s with AVX2 (of 128) and 39 with SSE (of 64), 6 x 2 none:
127 and 46. Of the tiles that sum over lanes 4 x 4 spills 6: 81 and 25; 4 x 2 reaches 112 and 49, 4 x 3 122 and 34."""

ROW_STRIPS = 8 if VECTOR_REGISTERS >= 32 else 4
"""Strips of the tile of one row, for layers of one neuron: as many sums as hide the latency of a multiply-add."""


def _numbers(count: int) -> list[Any]:
    """Return 0, 1, … as numbers of compiled code."""
    return [constant(m) for m in range(count)]


def _up_to(p: Pointers, some: Any, count: int) -> list[Any]:
    """Return ``count`` numbers from 0 on, of which there are ``some``: the last one is repeated."""
    last = p.b.sub(some, constant(1))
    return [constant(0)] + [p.b.select(p.b.icmp_signed("<", m, last), m, last) for m in _numbers(count)[1:]]


def _row_numbers(p: Pointers, some: Any, rows: int) -> list[Any]:
    """Return the row of each row of a tile: WHOLE tiles have all, others ``some``, and repeat the last one."""
    return _numbers(rows) if rows == WHOLE else _up_to(p, some, rows)


@contextmanager
def _valid_row(p: Pointers, some: Any, m: int, rows: int) -> Iterator[None]:
    """Emit code that runs for row m only if the tile has it."""
    if rows == WHOLE or m == 0:
        yield
    else:
        with p.b.if_then(p.b.icmp_signed("<", constant(m), some)):
            yield


def _products(product: Product, p: Pointers, initial: list[Any], w: Any, row: Any, step: Any, a: Any, vector: Any,
              steps: Any, rounds: Any, w_round: Any, a_round: Any, numbers: list[Any],
              strips: list[Any], *, unroll: bool = True) -> list[Any]:
    """Emit initial[m, v] + sum over rounds and steps of w[m*row + k*step] * a[v*vector + k*lanes].

    Each m is one of the ``numbers``, each v one of the ``strips``.
    """
    b = p.b
    rows, vectors = len(numbers), len(strips)
    offsets = [b.mul(row, m) for m in numbers]
    columns = [b.mul(vector, v) for v in strips]

    def one_step(values: list[Any]) -> list[Any]:
        w_at, a_at, sums = values[0], values[1], values[2:]
        panel = [p.load(p.shift(a_at, column)) for column in columns]
        new = []
        for m in range(rows):
            weight = p.broadcast(b.load(p.shift(w_at, offsets[m])))
            new += [product.emit(p, weight, panel[v], sums[m * vectors + v]) for v in range(vectors)]
        return [p.shift(w_at, step), p.shift(a_at, constant(p.lanes)), *new]

    def one_round(values: list[Any]) -> list[Any]:
        w_at, a_at, sums = values[0], values[1], values[2:]
        carried = [(w_at.type, w_at), (a_at.type, a_at)] + [(p.vector, s) for s in sums]
        inner = counted_loop(b, steps, carried, one_step, "step")
        return [p.shift(w_at, w_round), p.shift(a_at, a_round), *inner[2:]]

    if rounds is None:
        carried = [(w.type, w), (a.type, a)] + [(p.vector, s) for s in initial]
        return counted_loop(b, steps, carried, one_step, "step", unroll=unroll)[2:]
    carried = [(w.type, w), (a.type, a)] + [(p.vector, s) for s in initial]
    return counted_loop(b, rounds, carried, one_round, "round")[2:]


def _plain_products(product: Product, initial: Any, W: Any, w: int, row: int, step: int, A: Any, a: int, a_vector: int,
                    steps: int, rounds: int, w_round: int, a_round: int, rows: int, vectors: int) -> Any:
    n = VECTOR_BYTES // A.itemsize
    sums = np.empty((rows, vectors, n), A.dtype)
    for m in range(rows):
        sums[m] = initial[m]
        for v in range(vectors):
            total = sums[m, v]
            for r in range(rounds):
                for k in range(steps):
                    at = a + r * a_round + v * a_vector + k * n
                    one = w + r * w_round + m * row + k * step
                    total = product.plain(W[one : one + 1], A[at : at + n], total)
            sums[m, v] = total
    return sums


def _fitting(builder: Builder, some: Any, vectors: Any, emit: Callable[[int, int], None]) -> Any:
    """Emit the tile for what is left: WHOLE rows or up to four, two vectors or one. Return the rows that it takes.

    So a loop in `layer.dense` calls one tile, not four, and a first fit takes 0.35 s less.
    """
    whole, pair = builder.icmp_signed(">=", some, constant(WHOLE)), builder.icmp_signed(">=", vectors, constant(2))
    with builder.if_else(whole) as (many, few):
        for rows, branch in (WHOLE, many), (4, few):
            with branch, builder.if_else(pair) as (two, one):
                with two:
                    emit(rows, 2)
                with one:
                    emit(rows, 1)
    return builder.select(whole, constant(WHOLE), constant(4))


def _forward_tile(product: Product) -> Any:
    """Return the tile of (1) for operands that are single numbers, or pairs."""
    def emitted(typing: Any, weights: Any, w: Any, row: Any, step: Any, panels: Any, a: Any, a_strip: Any, c: Any,
                c_strip: Any, size: Any, biases: Any, bias: Any, some: Any, vectors: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            W, w, row, step, A, a, a_strip, c, c_strip, size, B, bias, some, vectors = arguments
            p = Pointers(context, builder, panels.dtype)
            has = builder.icmp_signed(">=", bias, constant(0))
            zero = cgutils.alloca_once_value(builder, ir.Constant(p.vector.element, 0.0))
            first = builder.select(has, p.at(biases, B, bias), zero)
            stride = builder.select(has, constant(1), constant(0))

            def emit(rows: int, vectors: int) -> None:
                numbers = _row_numbers(p, some, rows)
                initial = []
                for m in numbers:
                    value = p.broadcast(builder.load(p.shift(first, builder.mul(stride, m))))
                    initial += [value] * vectors
                sums = _products(product, p, initial, p.at(weights, W, w), row, step, p.at(panels, A, a), a_strip, size,
                                 None, None, None, numbers, _numbers(vectors))
                for m in range(rows):
                    with _valid_row(p, some, m, rows):
                        for v in range(vectors):
                            strip = builder.mul(c_strip, constant(v))
                            offset = builder.add(c, builder.add(strip, constant(m * p.lanes)))
                            p.store(sums[m * vectors + v], p.at(panels, A, offset))

            return _fitting(builder, some, vectors, emit)

        i = types.intp
        return i(weights, i, i, i, panels, i, i, i, i, i, biases, i, i, i), generate

    @twin(emitted)
    def tile(W: Any, w: int, row: int, step: int, A: Any, a: int, a_strip: int, c: int, c_strip: int, size: int, B:
             Any, b: int, some: int, vectors: int) -> int:
        """Compute net_j (1) of up to ``some`` neurons for one or two strips; return how many it takes.

        Weight k of neuron m is at w + m·row + k·step, biases are at b, none if that is negative. The panels of ``size``
        outputs below and of net inputs begin at a and c, strips a_strip and c_strip apart.
        """
        n = VECTOR_BYTES // A.itemsize
        rows = WHOLE if some >= WHOLE else 4
        some = min(rows, some)
        initial = B[b : b + some] if b >= 0 else np.zeros(some, A.dtype)
        sums = _plain_products(product, initial, W, w, row, step, A, a, a_strip, size, 1, 0, 0, some, vectors)
        for m in range(some):
            for v in range(vectors):
                A[c + v * c_strip + m * n : c + v * c_strip + m * n + n] = sums[m, v]
        return rows

    return tile


def _forward_row(typing: Any, weights: Any, w: Any, panels: Any, a: Any, a_strip: Any, c: Any, c_strip: Any,
                 size: Any, biases: Any, bias: Any, some: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        W, w, A, a, a_strip, c, c_strip, size, B, bias, some = arguments
        p = Pointers(context, builder, panels.dtype)
        has = builder.icmp_signed(">=", bias, constant(0))
        zero = cgutils.alloca_once_value(builder, ir.Constant(p.vector.element, 0.0))
        first = p.broadcast(builder.load(builder.select(has, p.at(biases, B, bias), zero)))
        strips = _up_to(p, some, ROW_STRIPS)
        sums = _products(SINGLES, p, [first] * ROW_STRIPS, p.at(weights, W, w), constant(0), constant(1),
                         p.at(panels, A, a), a_strip, size, None, None, None, [constant(0)], strips, unroll=False)
        for strip, total in zip(strips, sums, strict=True):
            p.store(total, p.at(panels, A, builder.add(c, builder.mul(c_strip, strip))))
        whole = constant(ROW_STRIPS)
        return builder.select(builder.icmp_signed("<", some, whole), some, whole)

    i = types.intp
    return i(weights, i, panels, i, i, i, i, i, biases, i, i), generate


@twin(_forward_row)
def forward_row(W: Any, w: int, A: Any, a: int, a_strip: int, c: int, c_strip: int, size: int, B: Any, b: int,
                some: int) -> int:
    """Compute net_j (1) of one neuron, whose weights begin at w, for up to ``some`` strips; return how many it takes.

    All else is as in `forward_tile`, whose bits it has.
    """
    n, some = VECTOR_BYTES // A.itemsize, min(some, ROW_STRIPS)
    initial = B[b : b + 1] if b >= 0 else np.zeros(1, A.dtype)
    sums = _plain_products(SINGLES, initial, W, w, 0, 1, A, a, a_strip, size, 1, 0, 0, 1, some)
    for v in range(some):
        A[c + v * c_strip : c + v * c_strip + n] = sums[0, v]
    return some


def _backward_tile(product: Product) -> Any:
    """Return the tile of (5) for operands that are single numbers, or pairs."""
    def emitted(typing: Any, weights: Any, w: Any, row: Any, step: Any, panels: Any, a: Any, a_strip: Any, c: Any,
                c_strip: Any, size: Any, some: Any, vectors: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            W, w, row, step, A, a, a_strip, c, c_strip, size, some, vectors = arguments
            p = Pointers(context, builder, panels.dtype)

            def emit(rows: int, vectors: int) -> None:
                strips = [builder.add(c, builder.mul(c_strip, constant(v))) for v in range(vectors)]
                places = [[p.at(panels, A, builder.add(strip, constant(m * p.lanes))) for strip in strips]
                          for m in range(rows)]
                for where in sum(places, []):  # the slopes are read last, and would be waited for (512 neurons: 4 %)
                    emit_prefetch(builder, where, 3)
                sums = _products(product, p, [p.zero()] * (rows * vectors), p.at(weights, W, w), row, step,
                                 p.at(panels, A, a), a_strip, size, None, None, None, _row_numbers(p, some, rows),
                                 _numbers(vectors))
                for m in range(rows):
                    with _valid_row(p, some, m, rows):
                        for v, where in enumerate(places[m]):
                            p.store(builder.fmul(sums[m * vectors + v], p.load(where)), where)

            return _fitting(builder, some, vectors, emit)

        i = types.intp
        return i(weights, i, i, i, panels, i, i, i, i, i, i, i), generate

    @twin(emitted)
    def tile(W: Any, w: int, row: int, step: int, A: Any, a: int, a_strip: int, c: int, c_strip: int, size: int,
             some: int, vectors: int) -> int:
        """Multiply φ'(net_k) in a panel by Σ_j w_jk δ_j (5), for up to ``some`` neurons k; return how many it takes.

        All is laid out as in `forward_tile`: the panels of the ``size`` deltas and of φ' begin at a and c.
        """
        n = VECTOR_BYTES // A.itemsize
        rows = WHOLE if some >= WHOLE else 4
        some = min(rows, some)
        sums = _plain_products(product, [0.0] * some, W, w, row, step, A, a, a_strip, size, 1, 0, 0, some, vectors)
        for m in range(some):
            for v in range(vectors):
                A[c + v * c_strip + m * n : c + v * c_strip + m * n + n] *= sums[m, v]
        return rows

    return tile


def _gradient_tile(product: Product, goes_on: bool = False) -> Any:
    """Return the tile of (6) for operands that are single numbers, or pairs.

    That which ``goes_on`` begins with sums of earlier samples. It is one of its own: to load them or not, by a branch
    or from zeros, took 1 to 2 % off the speed of 784-128-10.
    """
    def emitted(typing: Any, deltas: Any, d: Any, d_row: Any, d_strip: Any, transposed: Any, a: Any, a_vector: Any,
                strips: Any, before: Any, gradient: Any, g: Any, g_row: Any, valid: Any, accumulate: Any,
                some: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            D, d, d_row, d_strip, A, a, a_vector, strips, before, G, g, g_row, valid, accumulate, some = arguments
            p = Pointers(context, builder, transposed.dtype)
            lanes, steps = constant(p.lanes), p.lanes // product.numbers
            add = builder.icmp_signed("!=", accumulate, constant(0))

            def emit(rows: int, vectors: int) -> None:
                numbers, initial = _row_numbers(p, some, rows), [p.zero()] * (rows * vectors)
                if goes_on:
                    places = [p.at(transposed, A, builder.add(before, builder.mul(g_row, m))) for m in numbers]
                    initial = [p.load(p.shift(at, constant(v * p.lanes))) for at in places for v in range(vectors)]
                sums = _products(product, p, initial, p.at(deltas, D, d), d_row, constant(1), p.at(transposed, A, a),
                                 a_vector, constant(steps), strips, d_strip, constant(steps * p.lanes), numbers,
                                 _numbers(vectors))
                whole = builder.icmp_signed(">=", valid, constant(p.lanes * vectors))
                masks = [p.mask(builder.sub(valid, constant(v * p.lanes))) for v in range(vectors)]

                def put(load: Callable[[Any, Any], Any], store: Callable[[Any, Any, Any], None]) -> None:
                    for m in range(rows):
                        with _valid_row(p, some, m, rows):
                            start = p.at(gradient, G, builder.add(g, builder.mul(g_row, constant(m))))
                            for v, mask in enumerate(masks):
                                where = p.shift(start, constant(v * p.lanes))
                                old = builder.select(add, load(where, mask), p.zero())
                                store(builder.fadd(old, sums[m * vectors + v]), where, mask)

                with builder.if_else(whole) as (then, otherwise):
                    with then:
                        put(lambda where, _: p.load(where), lambda value, where, _: p.store(value, where))
                    with otherwise:
                        put(p.masked_load, p.masked_store)

            vectors = builder.select(builder.icmp_signed(">", valid, lanes), constant(2), constant(1))
            return _fitting(builder, some, vectors, emit)

        i = types.intp
        return i(deltas, i, i, i, transposed, i, i, i, i, gradient, i, i, i, i, i), generate

    @twin(emitted)
    def tile(D: Any, d: int, d_row: int, d_strip: int, A: Any, a: int, a_vector: int, strips: int, before: int, G: Any,
             g: int, g_row: int, valid: int, accumulate: int, some: int) -> int:
        """Write Σ_samples δ_j o_k (6), or add it, for up to ``some`` neurons j; return how many it takes.

        Deltas are at d, neurons d_row and strips d_strip apart. Outputs have neurons in lanes: one or two vectors of k,
        of which ``valid`` numbers count, at a, a_vector apart. The gradient's rows are at g, g_row apart. Only a tile
        that goes on reads the sums ``before`` in A, in rows just as far apart.
        """
        n = VECTOR_BYTES // A.itemsize
        rows, vectors, steps = WHOLE if some >= WHOLE else 4, 2 if valid > n else 1, n // product.numbers
        some = min(rows, some)
        initial = [A[before + m * g_row :][: vectors * n].reshape(vectors, n) if goes_on else 0.0 for m in range(some)]
        sums = _plain_products(product, initial, D, d, d_row, 1, A, a, a_vector, steps, strips, d_strip, steps * n,
                               some, vectors)
        for m in range(some):
            row = sums[m].reshape(-1)[:valid]
            where = G[g + m * g_row : g + m * g_row + row.size]
            where[:] = where + row if accumulate else row
        return rows

    return tile


_MAKERS = _forward_tile, _backward_tile, _gradient_tile
forward_tile, backward_tile, gradient_tile = (make(SINGLES) for make in _MAKERS)
gradient_on_tile = _gradient_tile(SINGLES, goes_on=True)
forward_pairs, backward_pairs, gradient_pairs = (make(PAIRS) for make in _MAKERS)
"""The same with pairs of bfloat16 for operands, which are counted in pairs and lie where float32 would."""


def _own_tile(typing: Any, numbers: Any, start: Any, row: Any, valid: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, start, row, valid = arguments
        p = Pointers(context, builder, numbers.dtype)
        with builder.if_then(builder.icmp_signed(">=", start, constant(0)), likely=False):
            for v in range(2):
                with builder.if_then(builder.icmp_signed(">", valid, constant(v * p.lanes))):
                    for m in range(WHOLE):
                        where = p.at(numbers, A, builder.add(start, builder.add(builder.mul(row, constant(m)),
                                                                                constant(v * p.lanes))))
                        word = builder.bitcast(where, ir.IntType(p.bits).as_pointer())
                        size = p.bits // 8
                        builder.store_atomic(builder.load_atomic(word, "monotonic", size), word, "monotonic", size)
        return context.get_dummy_value()

    return types.void(numbers, types.intp, types.intp, types.intp), generate


@twin(_own_tile)
def own_tile(A: Any, start: int, row: int, valid: int) -> None:
    """Have the cache lines of a tile of two vectors, rows apart, for this core alone; they will be written.

    Of each line in the first ``valid`` columns a number is written that is there already: the processor takes the line
    from the other core while the tile is computed. To ask for it does nothing on Zen 4 where the other has read it.
    None if ``start`` is negative.
    """


def _lanes_tile(rows: int, columns: int) -> Any:
    """Return the tile of so many rows and columns that sums over lanes."""
    def emit(typing: Any, deltas: Any, d: Any, d_strip: Any, outs: Any, a: Any, a_strip: Any, strips: Any,
             gradient: Any, g: Any, g_row: Any, b: Any, accumulate: Any, some_rows: Any, some_columns: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            D, d, d_strip, A, a, a_strip, strips, G, g, g_row, b, accumulate, some_rows, some_columns = arguments
            p = Pointers(context, builder, outs.dtype)
            d_rows = [builder.mul(m, constant(p.lanes)) for m in _row_numbers(p, some_rows, rows)]
            a_rows = [builder.mul(k, constant(p.lanes)) for k in _row_numbers(p, some_columns, columns)]

            def one_strip(values: list[Any]) -> list[Any]:
                d_at, a_at, sums = values[0], values[1], values[2:]
                out = [p.load(p.shift(a_at, row)) for row in a_rows]
                new, alone = [], []
                for m in range(rows):
                    delta = p.load(p.shift(d_at, d_rows[m]))
                    new += [builder.call(p.multiply_add, [delta, out[k], sums[m * columns + k]])
                            for k in range(columns)]
                    alone.append(builder.fadd(sums[rows * columns + m], delta))
                return [p.shift(d_at, d_strip), p.shift(a_at, a_strip), *new, *alone]

            d_at, a_at = p.at(deltas, D, d), p.at(outs, A, a)
            carried = [(d_at.type, d_at), (a_at.type, a_at)] + [(p.vector, p.zero())] * (rows * columns + rows)
            # unrolled, LLVM would load four strips ahead and spill sixteen vectors: 158 GFLOP/s of 245, against 236
            sums = counted_loop(builder, strips, carried, one_strip, "strip", unroll=False)[2:]
            totals = lane_sums(p, sums[: rows * columns])
            add = builder.icmp_signed("!=", accumulate, constant(0))
            mask = p.mask(some_columns, columns)

            def some_of(totals: list[Any], first: int, count: int) -> Any:
                some = ir.Constant(ir.VectorType(p.vector.element, count), ir.Undefined)
                for k in range(count):
                    vector, lane = divmod(first + k, p.lanes)
                    total = builder.extract_element(totals[vector], ir.Constant(ir.IntType(32), lane))
                    some = builder.insert_element(some, total, ir.Constant(ir.IntType(32), k))
                return some

            for m in range(rows):
                with _valid_row(p, some_rows, m, rows):
                    row = some_of(totals, m * columns, columns)
                    where = p.at(gradient, G, builder.add(g, builder.mul(g_row, constant(m))))
                    old = builder.select(add, p.masked_load(where, mask), ir.Constant(row.type, None))
                    p.masked_store(builder.fadd(old, row), where, mask)
            with builder.if_then(builder.icmp_signed(">=", b, constant(0))):
                total = some_of(lane_sums(p, sums[rows * columns :]), 0, rows)
                where, mask = p.at(gradient, G, b), p.mask(some_rows, rows)
                old = builder.select(add, p.masked_load(where, mask), ir.Constant(total.type, None))
                p.masked_store(builder.fadd(old, total), where, mask)
            return context.get_dummy_value()

        i = types.intp
        return types.void(deltas, i, i, outs, i, i, i, gradient, i, i, i, i, i, i), generate

    @twin(emit)
    def tile(D: Any, d: int, d_strip: int, A: Any, a: int, a_strip: int, strips: int, G: Any, g: int, g_row: int,
             b: int, accumulate: int, some_rows: int, some_columns: int) -> None:
        """Write or add Σ_samples δ_j o_k (6), each sum over lanes taken last, for a few neurons j and k.

        The panels of δ and of outputs begin at d and a, their strips d_strip and a_strip apart, the rows of the
        gradient at g, g_row apart. Σ_samples δ_j goes to b, unless that is negative: additions take no place of a
        multiply-add, and δ is at hand.
        """
        n = VECTOR_BYTES // A.itemsize
        for m in range(min(rows, some_rows)):
            if b >= 0:
                total = np.zeros(n, A.dtype)
                for s in range(strips):
                    total += D[d + s * d_strip + m * n : d + s * d_strip + m * n + n]
                G[b + m] = (G[b + m] if accumulate else 0) + plain_lane_sum(total)
            for k in range(min(columns, some_columns)):
                total = np.zeros(n, A.dtype)
                for s in range(strips):
                    delta, out = d + s * d_strip + m * n, a + s * a_strip + k * n
                    total += D[delta : delta + n] * A[out : out + n]
                where = g + m * g_row + k
                G[where] = (G[where] if accumulate else 0) + plain_lane_sum(total)

    return tile


lanes_4xn, lanes_4x1 = _lanes_tile(4, LANES_COLUMNS), _lanes_tile(4, 1)


def _sum_samples(typing: Any, deltas: Any, d: Any, d_strip: Any, strips: Any, gradient: Any, g: Any, accumulate: Any,
                 some: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        D, d, d_strip, strips, G, g, accumulate, some = arguments
        p = Pointers(context, builder, deltas.dtype)
        last = builder.sub(some, constant(1))
        each = [constant(m) for m in range(p.lanes)]
        numbers = [builder.select(builder.icmp_signed("<", m, last), m, last) for m in each]
        places = [builder.mul(m, constant(p.lanes)) for m in numbers]

        def one_strip(values: list[Any]) -> list[Any]:
            at, *sums = values
            return [p.shift(at, d_strip), *(builder.fadd(total, p.load(p.shift(at, place)))
                                            for total, place in zip(sums, places, strict=True))]

        at = p.at(deltas, D, d)
        carried = [(at.type, at)] + [(p.vector, p.zero())] * p.lanes
        total, = lane_sums(p, counted_loop(builder, strips, carried, one_strip, "strip", unroll=False)[1:])
        where, mask = p.at(gradient, G, g), p.mask(some)
        old = builder.select(builder.icmp_signed("!=", accumulate, constant(0)), p.masked_load(where, mask), p.zero())
        p.masked_store(builder.fadd(old, total), where, mask)
        return context.get_dummy_value()

    i = types.intp
    return types.void(deltas, i, i, i, gradient, i, i, i), generate


@twin(_sum_samples)
def sum_samples(D: Any, d: int, d_strip: int, strips: int, G: Any, g: int, accumulate: int, some: int) -> None:
    """Write or add Σ_samples δ_j for up to ``some`` neurons j, and no more than a vector has lanes.

    As many sums side by side as a vector has lanes, since an addition waits for the one before: 128 neurons over 4
    strips take 120 ns, and 201 with four of them, 100 over 13 strips 391 and 431.
    """
    n = VECTOR_BYTES // D.itemsize
    for m in range(min(n, some)):
        total = np.zeros(n, D.dtype)
        for s in range(strips):
            total += D[d + s * d_strip + m * n : d + s * d_strip + m * n + n]
        G[g + m] = (G[g + m] if accumulate else 0) + plain_lane_sum(total)

"""What the neurons of a sample have in common, samples in lanes: the largest row of a strip, sums over its rows.

A strip is so many rows of one vector, one behind the other, or of fewer samples where a panel has no more, of one alone
for example. Sums keep the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from .builder import IN_ORDER, Builder, Pointers, constant, counted_loop, twin

Load = Callable[[Any], Any]
Store = Callable[[Any, Any], None]


def _by_width(p: Pointers, width: Any, emit: Callable[[Load, Store], None]) -> None:
    """Emit something for whole vectors, and once more for rows of fewer numbers; it is given how to load and store."""
    some = p.mask(width)
    with p.b.if_else(p.b.icmp_signed("==", width, constant(p.lanes))) as (whole, narrower):
        with whole:
            emit(p.load, p.store)
        with narrower:
            emit(lambda place: p.masked_load(place, some), lambda row, place: p.masked_store(row, place, some))


def _reduced(combine: Callable[[Builder, Any, Any], Any]) -> Any:
    """Return the emitter of a reduction over rows that begins with the first one."""
    def emit(typing: Any, panel: Any, a: Any, rows: Any, width: Any, target: Any, t: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            A, a, rows, width, T, t = arguments
            p = Pointers(context, builder, panel.dtype)
            start, place = p.at(panel, A, a), p.at(target, T, t)

            def reduce(load: Load, store: Store) -> None:
                def one(values: list[Any]) -> list[Any]:
                    row, found = values
                    return [p.shift(row, width), combine(builder, found, load(row))]

                carried = [(start.type, p.shift(start, width)), (p.vector, load(start))]
                store(counted_loop(builder, builder.sub(rows, constant(1)), carried, one, "row", may_be_none=True)[1],
                      place)

            _by_width(p, width, reduce)
            return context.get_dummy_value()

        i = types.intp
        return types.void(panel, i, i, i, target, i), generate

    return emit


def _larger(builder: Builder, found: Any, row: Any) -> Any:
    return builder.select(builder.fcmp_unordered(">", row, found), row, found)


@twin(_reduced(_larger))
def largest_row(A: Any, a: int, rows: int, width: int, T: Any, t: int) -> None:
    """Write the largest number of each column to t: of ``rows`` rows of ``width`` numbers at a. A NaN may be lost."""
    strip, found = A[a : a + rows * width].reshape(rows, width), T[t : t + width]
    found[:] = strip[0]
    for row in strip[1:]:
        found[:] = np.where(row <= found, found, row)


@twin(_reduced(lambda builder, found, row: builder.fadd(found, row, flags=IN_ORDER)))
def sum_rows(A: Any, a: int, rows: int, width: int, T: Any, t: int) -> None:
    """Write the sum of ``rows`` rows of ``width`` numbers at a to t."""
    strip, found = A[a : a + rows * width].reshape(rows, width), T[t : t + width]
    found[:] = strip[0]
    for row in strip[1:]:
        found += row


def _with_row(combine: Callable[[Builder, Any, Any], Any]) -> Any:
    """Return the emitter of a loop over rows that combines each with one row."""
    def emit(typing: Any, panel: Any, a: Any, rows: Any, width: Any, source: Any, s: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            A, a, rows, width, S, s = arguments
            p = Pointers(context, builder, panel.dtype)
            start, place = p.at(panel, A, a), p.at(source, S, s)

            def change(load: Load, store: Store) -> None:
                other = load(place)

                def one(values: list[Any]) -> list[Any]:
                    store(combine(builder, load(values[0]), other), values[0])
                    return [p.shift(values[0], width)]

                counted_loop(builder, rows, [(start.type, start)], one, "row")

            _by_width(p, width, change)
            return context.get_dummy_value()

        i = types.intp
        return types.void(panel, i, i, i, source, i), generate

    return emit


@twin(_with_row(lambda builder, row, other: builder.fsub(row, other, flags=IN_ORDER)))
def subtract_row(A: Any, a: int, rows: int, width: int, S: Any, s: int) -> None:
    """Subtract ``width`` numbers at s from each of ``rows`` rows at a."""
    A[a : a + rows * width].reshape(rows, width)[:] -= S[s : s + width]


@twin(_with_row(lambda builder, row, other: builder.fmul(row, other, flags=IN_ORDER)))
def multiply_by_row(A: Any, a: int, rows: int, width: int, S: Any, s: int) -> None:
    """Multiply each of ``rows`` rows at a by the ``width`` numbers at s."""
    A[a : a + rows * width].reshape(rows, width)[:] *= S[s : s + width]


def _weigh_rows(typing: Any, parts: Any, a: Any, slopes: Any, b: Any, rows: Any, width: Any, weights: Any, w: Any,
                target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, a, B, b, rows, width, W, w, T, t = arguments
        p = Pointers(context, builder, parts.dtype)
        part, slope, place = p.at(parts, A, a), p.at(slopes, B, b), p.at(target, T, t)
        weight_at = p.at(weights, W, w)

        def weigh(load: Load, store: Store) -> None:
            weight = load(weight_at)
            counts = builder.fcmp_unordered("!=", weight, p.zero())

            def one(values: list[Any]) -> list[Any]:
                part, slope, total = values
                weighted = builder.fmul(weight, load(slope), flags=IN_ORDER)
                store(builder.select(counts, weighted, p.zero()), slope)
                more = builder.call(p.multiply_add, [weight, load(part), total])
                return [p.shift(part, width), p.shift(slope, width), builder.select(counts, more, total)]

            carried = [(part.type, part), (slope.type, slope), (p.vector, p.zero())]
            store(counted_loop(builder, rows, carried, one, "row")[2], place)

        _by_width(p, width, weigh)
        return context.get_dummy_value()

    i = types.intp
    return types.void(parts, i, slopes, i, i, i, weights, i, target, i), generate


@twin(_weigh_rows)
def weigh_rows(A: Any, a: int, B: Any, b: int, rows: int, width: int, W: Any, w: int, T: Any, t: int) -> None:
    """Write the sum of the rows at a, times the ``width`` weights at w, to t, and multiply the rows at b by these.

    Weight 0 makes 0 of any number.
    """
    parts, slopes = A[a : a + rows * width].reshape(rows, width), B[b : b + rows * width].reshape(rows, width)
    weight, total = W[w : w + width], np.zeros(width, A.dtype)
    for row in parts:
        total += np.where(weight != 0, weight * row, 0)
    slopes[:] = np.where(weight != 0, weight * slopes, 0)
    T[t : t + width] = total

"""Products of the non-zeros of a row with vectors of neurons, and the way back from such vectors to rows of weights."""

from __future__ import annotations

from typing import Any

from numba import types

from ..compile import VECTOR_BYTES
from .builder import Builder, Pointers, constant, counted_loop, transposed, twin


def _nonzeros(p: Pointers, values: Any, X: Any, x: Any, columns: Any, c: Any, count: Any, carried: list[Any],
              product: Any) -> list[Any]:
    """Emit a loop over non-zeros: ``product(value in all lanes, offset of the column's vector, carried)``."""
    def one(now: list[Any]) -> list[Any]:
        x_at, c_at, *carried = now
        new = product(p.broadcast(p.b.load(x_at)), p.b.mul(p.b.load(c_at), constant(p.lanes)), carried)
        return [p.shift(x_at, constant(1)), p.shift(c_at, constant(1)), *new]

    x_at, c_at = p.at(values, X, x), p.shift(columns, c)
    first = [(x_at.type, x_at), (c_at.type, c_at)] + [(p.vector, value) for value in carried]
    return counted_loop(p.b, count, first, one, "nonzero", unroll=False)[2:]


def _sum_nonzeros(typing: Any, values: Any, x: Any, columns: Any, c: Any, count: Any, k: Any, panels: Any, w: Any,
                  w_vector: Any, t: Any, t_vector: Any, vectors: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        X, x, columns, c, count, k, A, w, w_vector, t, t_vector, vectors = arguments
        p = Pointers(context, builder, panels.dtype)
        first = p.at(panels, A, builder.sub(w, builder.mul(k, constant(p.lanes))))
        weights, targets = [first, p.shift(first, w_vector)], [p.at(panels, A, t)]
        targets.append(p.shift(targets[0], t_vector))

        def emit(many: int) -> None:
            def product(value: Any, column: Any, sums: list[Any]) -> list[Any]:
                return [builder.call(p.multiply_add, [p.load(p.shift(weights[v], column)), value, sums[v]])
                        for v in range(many)]

            sums = _nonzeros(p, values, X, x, columns, c, count, [p.load(at) for at in targets[:many]], product)
            for value, target in zip(sums, targets, strict=False):
                p.store(value, target)

        with builder.if_else(builder.icmp_signed(">=", vectors, constant(2))) as (two, one):
            with two:
                emit(2)
            with one:
                emit(1)
        return context.get_dummy_value()

    i = types.intp
    return types.void(values, i, columns, i, i, i, panels, i, i, i, i, i), generate


@twin(_sum_nonzeros)
def sum_nonzeros(X: Any, x: int, columns: Any, c: int, count: int, k: int, A: Any, w: int, w_vector: int, t: int,
                 t_vector: int, vectors: int) -> None:
    """Add Σ_i x_i w_k(i) to one or two vectors of neurons at t, t_vector apart, for ``count`` >= 1 non-zeros of a row.

    They stand in X from x on, their columns from c on. The weights of column k begin at w, each next column's a vector
    further, the next neurons' w_vector further.
    """
    n = VECTOR_BYTES // A.itemsize
    for i in range(count):
        for v in range(vectors):
            at, to = w + v * w_vector + (columns[c + i] - k) * n, t + v * t_vector
            A[to : to + n] += A[at : at + n] * X[x + i]


def _spread_nonzeros(typing: Any, values: Any, x: Any, columns: Any, c: Any, count: Any, k: Any, panels: Any, d: Any,
                     g: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        X, x, columns, c, count, k, A, d, g = arguments
        p = Pointers(context, builder, panels.dtype)
        delta, first = p.load(p.at(panels, A, d)), p.at(panels, A, builder.sub(g, builder.mul(k, constant(p.lanes))))

        def product(value: Any, column: Any, _: list[Any]) -> list[Any]:
            where = p.shift(first, column)
            p.store(builder.call(p.multiply_add, [delta, value, p.load(where)]), where)
            return []

        _nonzeros(p, values, X, x, columns, c, count, [], product)
        return context.get_dummy_value()

    i = types.intp
    return types.void(values, i, columns, i, i, i, panels, i, i), generate


@twin(_spread_nonzeros)
def spread_nonzeros(X: Any, x: int, columns: Any, c: int, count: int, k: int, A: Any, d: int, g: int) -> None:
    """Add δ x_i to the sums of column k(i) for ``count`` >= 1 non-zeros of a row: `sum_nonzeros` backwards.

    δ of a vector of neurons is at d, the sums of column k at g, each next column's a vector further.
    """
    n = VECTOR_BYTES // A.itemsize
    for i in range(count):
        to = g + (columns[c + i] - k) * n
        A[to : to + n] += A[d : d + n] * X[x + i]


def _scatter_square(typing: Any, panels: Any, s: Any, rows: Any, g: Any, apart: Any, some: Any, valid: Any,
                    add: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, G, g, apart, some, valid, add = arguments
        p = Pointers(context, builder, panels.dtype)
        block = [p.load(p.at(panels, A, builder.add(s, constant(i * p.lanes)))) for i in range(p.lanes)]
        mask, adds = p.mask(valid), builder.icmp_signed("!=", add, constant(0))
        for i, row in enumerate(transposed(p, block)):
            with builder.if_then(builder.icmp_signed("<", constant(i), some)):
                where = p.at(rows, G, builder.add(g, builder.mul(apart, constant(i))))
                with builder.if_else(adds) as (then, otherwise):
                    with then:
                        p.masked_store(builder.fadd(p.masked_load(where, mask), row), where, mask)
                    with otherwise:
                        p.masked_store(row, where, mask)
        return context.get_dummy_value()

    i = types.intp
    return types.void(panels, i, rows, i, i, i, i, i), generate


@twin(_scatter_square)
def scatter_square(A: Any, s: int, G: Any, g: int, apart: int, some: int, valid: int, add: int) -> None:
    """Write the transpose of a square of vectors at s as rows at g, ``apart`` from each other, or add it to them.

    ``some`` rows count, and ``valid`` numbers of each; both may be more than a square has.
    """
    n = VECTOR_BYTES // A.itemsize
    for i, row in enumerate(A[s : s + n * n].reshape(n, n).T[:some, :valid]):
        where = G[g + i * apart : g + i * apart + row.size]
        where[:] = where + row if add else row

"""What IR is built of: twins, types, arrays without reference counts, vectors in memory, loops."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..compile import JIT, VECTOR_BYTES
from ..compile.numba_internals import cgutils, field

F = TypeVar("F", bound=Callable[..., Any])
Builder = Any
INDEX = ir.IntType(64)

IN_ORDER = ("contract",)
"""Flags of arithmetic that stays as it is, −0 + 0 too: Numba gives those of the kernel to what has none."""


def twin(emit: Callable[..., Any]) -> Callable[[F], F]:
    """Return a decorator of a plain function: in compiled code it is what ``emit`` makes in LLVM IR.

    ``emit`` is what `numba.extending.intrinsic` takes. The plain function says what both compute, and is what runs
    under NUMBA_DISABLE_JIT=1.
    """
    def chosen(plain: F) -> F:
        if not JIT:
            return plain
        compiled: F = intrinsic(emit)
        functools.update_wrapper(compiled, plain)
        return compiled

    return chosen


def bit_width(ty: Any) -> int:
    """Return the bits of a Numba float type."""
    return 32 if ty == types.float32 else 64


def vector_type(ty: Any) -> ir.VectorType:
    """Return the vector type of this CPU for a Numba float type."""
    element = ir.FloatType() if ty == types.float32 else ir.DoubleType()
    return ir.VectorType(element, VECTOR_BYTES * 8 // bit_width(ty))


def constant(value: int) -> ir.Constant:
    """Return an integer of compiled code."""
    return ir.Constant(INDEX, value)


def unowned_array(context: Any, builder: Builder, kind: Any, data: Any, *shape: Any) -> Any:
    """Emit an array over numbers that another array owns: no references are counted."""
    array = cgutils.create_struct_proxy(kind)(context, builder)
    strides, nitems = [constant(bit_width(kind.dtype) // 8)], shape[0]
    for size in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], size))
        nitems = builder.mul(nitems, size)
    array.data, array.itemsize, array.nitems = data, strides[-1], nitems
    array.shape, array.strides = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def emit_prefetch(builder: Builder, where: Any, near: int, write: bool = False) -> None:
    """Emit a prefetch, to L1 if ``near`` is 3, to L2 if it is 2; for reading, or for writing if ``write``."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(where, byte), *(ir.Constant(number, n) for n in (int(write), near, 1))])


class Pointers:
    """Vector loads, stores and arithmetic at element offsets of an array, for one float type."""

    def __init__(self, context: Any, builder: Builder, dtype: Any) -> None:
        self.context, self.b, self.bits = context, builder, bit_width(dtype)
        self.vector = vector_type(dtype)
        self.lanes = self.vector.count
        three = ir.FunctionType(self.vector, [self.vector] * 3)
        # fmuladd rather than fma: a target without the instruction multiplies and adds, it calls no library
        self.multiply_add = cgutils.get_or_insert_function(builder.module, three,
                                                           f"llvm.fmuladd.v{self.lanes}f{self.bits}")

    def at(self, ty: Any, array: Any, offset: Any) -> Any:
        """Return a pointer to an element of an array."""
        return self.b.gep(field(self.context, self.b, ty, array, "data"), [offset])

    def shift(self, pointer: Any, elements: Any) -> Any:
        """Return a pointer so many elements further."""
        return self.b.gep(pointer, [elements])

    def load(self, pointer: Any) -> Any:
        """Read a vector."""
        value = self.b.load(self.b.bitcast(pointer, self.vector.as_pointer()))
        value.align = self.bits // 8
        return value

    def store(self, value: Any, pointer: Any) -> None:
        """Write a vector."""
        self.b.store(value, self.b.bitcast(pointer, self.vector.as_pointer())).align = self.bits // 8

    def broadcast(self, value: Any) -> Any:
        """Return a vector of one number in all lanes."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.b.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return self.b.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        """Return lanes of two vectors, those of the second counted on."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
        return self.b.shuffle_vector(a, b, mask)

    def joined(self, a: Any, b: Any) -> Any:
        """Return two vectors as one of twice the lanes."""
        return self.shuffle(a, b, list(range(2 * a.type.count)))

    def zero(self) -> Any:
        """Return a vector of zeros."""
        return ir.Constant(self.vector, None)

    def mask(self, valid: Any, count: int | None = None) -> Any:
        """Return the mask of the first ``valid`` of ``count`` lanes, of a whole vector by default."""
        count = count or self.lanes
        wide = ir.VectorType(ir.IntType(32), count)
        nothing = ir.Constant(wide, ir.Undefined)
        first = self.b.insert_element(nothing, self.b.trunc(valid, ir.IntType(32)), ir.Constant(ir.IntType(32), 0))
        limit = self.b.shuffle_vector(first, nothing, ir.Constant(wide, None))
        return self.b.icmp_signed("<", ir.Constant(wide, list(range(count))), limit)

    def masked_load(self, pointer: Any, mask: Any) -> Any:
        """Read the lanes of a vector that a mask has; the others are 0."""
        kind = ir.VectorType(self.vector.element, mask.type.count)
        where = self.b.bitcast(pointer, kind.as_pointer())
        signature = ir.FunctionType(kind, [where.type, ir.IntType(32), mask.type, kind])
        name = f"llvm.masked.load.v{kind.count}f{self.bits}.p0"
        function = cgutils.get_or_insert_function(self.b.module, signature, name)
        align = ir.Constant(ir.IntType(32), self.bits // 8)
        return self.b.call(function, [where, align, mask, ir.Constant(kind, None)])

    def masked_store(self, value: Any, pointer: Any, mask: Any) -> None:
        """Write the lanes of a vector that a mask has."""
        where = self.b.bitcast(pointer, value.type.as_pointer())
        signature = ir.FunctionType(ir.VoidType(), [value.type, where.type, ir.IntType(32), mask.type])
        name = f"llvm.masked.store.v{mask.type.count}f{self.bits}.p0"
        function = cgutils.get_or_insert_function(self.b.module, signature, name)
        self.b.call(function, [value, where, ir.Constant(ir.IntType(32), self.bits // 8), mask])


def counted_loop(builder: Builder, count: Any, carried: list[tuple[Any, Any]],
                 body: Callable[[list[Any]], list[Any]], name: str, *, unroll: bool = True,
                 may_be_none: bool = False) -> list[Any]:
    """Emit a loop of ``count`` >= 1 rounds over carried values; return their values after the last round.

    Without ``unroll`` LLVM is asked to leave the loop as it is. With ``may_be_none`` there may be no round.
    """
    before = builder.basic_block
    start, done = builder.append_basic_block(name), builder.append_basic_block(name + "_done")
    if may_be_none:
        builder.cbranch(builder.icmp_signed(">", count, constant(0)), start, done)
    else:
        builder.branch(start)
    builder.position_at_end(start)
    number = builder.phi(INDEX)
    number.add_incoming(constant(0), before)
    values = [builder.phi(ty) for ty, _ in carried]
    for phi, (_, initial) in zip(values, carried, strict=True):
        phi.add_incoming(initial, before)
    new = body(values)
    after = builder.add(number, constant(1))
    end = builder.basic_block
    number.add_incoming(after, end)
    for phi, value in zip(values, new, strict=True):
        phi.add_incoming(value, end)
    again = builder.cbranch(builder.icmp_signed("<", after, count), start, done)
    if not unroll:
        words = builder.module.add_metadata(["llvm.loop.unroll.disable"])
        loop = ir.MDValue(builder.module, [words], str(len(builder.module.metadata)))
        loop.operands = (loop, words)  # that it names itself tells this loop from others
        again.set_metadata("llvm.loop", loop)
    builder.position_at_end(done)
    if not may_be_none:
        return new
    last = []
    for (ty, initial), value in zip(carried, new, strict=True):
        phi = builder.phi(ty)
        phi.add_incoming(initial, before)
        phi.add_incoming(value, end)
        last.append(phi)
    return last


def transposed(p: Pointers, block: list[Any]) -> list[Any]:
    """Emit the transpose of each square, side by side, of a block of vectors held in registers."""
    n, lanes = len(block), range(p.lanes)
    block = block[:]
    half = n // 2
    while half:  # swap the off-diagonal halves of every 2 half x 2 half block
        low = [i if not i & half else p.lanes + i - half for i in lanes]
        high = [i + half if not i & half else p.lanes + i for i in lanes]
        for i in range(n):
            if not i & half:
                a, b = block[i], block[i + half]
                block[i], block[i + half] = p.shuffle(a, b, low), p.shuffle(a, b, high)
        half //= 2
    return block


def _neighbours(p: Pointers, a: Any, b: Any) -> tuple[Any, Any]:
    """Emit the first of each two neighbouring lanes of two vectors, one vector behind the other, and the second."""
    evens, odds = list(range(0, 2 * p.lanes, 2)), list(range(1, 2 * p.lanes, 2))
    return p.shuffle(a, b, evens), p.shuffle(a, b, odds)


def add_neighbours(p: Pointers, a: Any, b: Any) -> Any:
    """Emit the sums of each two neighbouring lanes of two vectors, those of the second behind those of the first."""
    return p.b.fadd(*_neighbours(p, a, b), flags=IN_ORDER)


def lane_halves(p: Pointers, values: list[Any], levels: int = 1) -> list[tuple[Any, Any]]:
    """Emit the sums of 2ⁿ⁻¹ neighbouring lanes, n being the levels: vectors of the first ones and of those beside them.

    Neighbouring lanes are added first, in every case, so that an element has the same bits whichever tile it is in.
    """
    group = values[:]
    while len(group) % p.lanes:  # fill up to whole vectors with zeros, which the optimiser removes
        group.append(p.zero())
    while True:
        halves = [_neighbours(p, a, b) for a, b in zip(group[0::2], group[1::2], strict=True)]
        levels -= 1
        if levels == 0:
            return halves
        group = [p.b.fadd(even, odd) for even, odd in halves]


def lane_sums(p: Pointers, values: list[Any]) -> list[Any]:
    """Emit the sum over lanes of each vector: vectors that hold them one after the other."""
    return [p.b.fadd(even, odd) for even, odd in lane_halves(p, values, p.lanes.bit_length() - 1)]


def plain_lane_sum(values: Any) -> Any:
    """Return the sum of a vector's lanes, or of the vectors in a list, in that order."""
    while len(values) > 1:
        values = [left + right for left, right in zip(values[0::2], values[1::2], strict=True)]
    return values[0]

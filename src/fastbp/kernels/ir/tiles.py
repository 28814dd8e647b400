"""The vector tiles, in LLVM IR behind Numba intrinsics, and their plain-Python twins for NUMBA_DISABLE_JIT=1.

This is the one file that holds IR. Everything else in fastbp is loops over neurons and samples that call it.

A *strip* is one vector of samples: the panel of a layer with n neurons is stored strip by strip, each strip n rows of
``lanes`` samples, contiguous. A tile keeps rows x vectors of sums in registers and adds one product per step of k,
a scalar broadcast times a contiguous vector.
"""

from __future__ import annotations

import ctypes
import math
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, register_model, typeof_impl

from ..compile import JIT, VECTOR_BYTES, VECTOR_REGISTERS, Kernel, options
from ..compile.arguments import DESCRIPTIONS
from ..tables import PHASE_COUNT

Builder = Any
INDEX = ir.IntType(64)
_LOCK = threading.Lock()


def _bits(ty: Any) -> int:
    return 32 if ty == types.float32 else 64


def _vector(ty: Any) -> ir.VectorType:
    """Return the vector type of this CPU for a Numba float type."""
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


def _wrapped(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return arguments[0]

    return types.int64(types.int64), generate


if JIT:
    wrapped = intrinsic(_wrapped)
    is_single = intrinsic(_is_single)
    fused = intrinsic(_fused)
    to_bits = intrinsic(_to_bits)
    from_bits = intrinsic(_from_bits)
else:

    def wrapped(x: Any) -> int:
        """Return an integer modulo 2⁶⁴, signed, as compiled code does of itself."""
        return (int(x) + 2**63) % 2**64 - 2**63

    def is_single(x: Any) -> bool:
        """Return whether x is a float32: a constant of the compiled function, so a branch on it costs nothing."""
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


def polynomial(*, single: tuple[float, ...], double: tuple[float, ...]) -> Any:
    """Return a function ``p(x)``: the polynomial with these coefficients, the highest first, by x's type (Horner).

    In LLVM IR, since as a function of its own each took 40 ms of a first fit.
    """
    if not JIT:

        def plain(x: Any) -> Any:
            first, *rest = map(type(x), single if isinstance(x, np.float32) else double)
            for coefficient in rest:
                first = first * x + coefficient
            return first

        return plain

    def horner(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            ty = arguments[0].type
            step = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ty, [ty] * 3),
                                                  f"llvm.fmuladd.f{_bits(x)}")
            first, *rest = (ir.Constant(ty, c) for c in (single if x == types.float32 else double))
            for coefficient in rest:
                first = builder.call(step, [first, arguments[0], coefficient])
            return first

        return x(x), generate

    return intrinsic(horner)


# --------------------------------------------------------------------------------------------- arrays and calls


def _chosen(condition: str) -> Callable[..., Any]:
    def choose(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            return builder.select(builder.icmp_signed(condition, *arguments), *arguments)

        return types.intp(types.intp, types.intp), generate

    return choose


def _lanes(typing: Any, array: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return _index(_vector(signature.args[0].dtype).count)

    return types.intp(array), generate


def _lend(context: Any, builder: Builder, kind: Any, data: Any, *shape: Any) -> Any:
    """Emit an array over numbers that another array owns: no references are counted."""
    array = cgutils.create_struct_proxy(kind)(context, builder)
    strides, nitems = [_index(_bits(kind.dtype) // 8)], shape[0]
    for size in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], size))
        nitems = builder.mul(nitems, size)
    array.data, array.itemsize, array.nitems = data, strides[-1], nitems
    array.shape, array.strides = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def _view(typing: Any, array: Any, start: Any, size: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        data = _data(context, builder, signature.args[0], arguments[0])
        return _lend(context, builder, signature.return_type, builder.gep(data, [arguments[1]]), arguments[2])

    return array(array, types.intp, types.intp), generate


def _panel(typing: Any, panels: Any, start: Any, n: Any, first: Any, last: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        panels, start, n, first, last = arguments
        strip = builder.mul(n, _index(_vector(signature.return_type.dtype).count))
        data = _data(context, builder, signature.args[0], panels)
        begin, size = builder.add(start, builder.mul(first, strip)), builder.mul(builder.sub(last, first), strip)
        return _lend(context, builder, signature.return_type, builder.gep(data, [begin]), size)

    return panels(panels, types.intp, types.intp, types.intp, types.intp), generate


def _pointer(typing: Any, array: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return _data(context, builder, signature.args[0], arguments[0])

    return types.CPointer(array.dtype)(array), generate


def _row(typing: Any, table: Any, number: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        shape = builder.extract_value(arguments[0], context.data_model_manager[table].get_field_position("shape"))
        start = builder.mul(arguments[1], builder.extract_value(shape, 1))
        return builder.gep(_data(context, builder, table, arguments[0]), [start])

    return types.CPointer(table.dtype)(table, types.intp), generate


def _array_at(typing: Any, pointer: Any, *shape: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        sizes = cgutils.unpack_tuple(builder, arguments[1])
        return _lend(context, builder, signature.return_type, arguments[0], *sizes)

    sizes = types.UniTuple(types.intp, len(shape))
    return types.Array(pointer.dtype, len(shape), "C")(pointer, sizes), generate


def _borrowed(typing: Any, like: Any, address: Any, size: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        data = builder.inttoptr(arguments[1], context.get_value_type(types.CPointer(like.dtype)))
        return _lend(context, builder, signature.return_type, data, arguments[2])

    return like(like, types.intp, types.intp), generate


def _lent(name: str, readonly: bool) -> Callable[..., Any]:
    """Make the intrinsic that hands a caller's array to a kernel: flat, of the one type that the kernel is made for."""

    def lend(typing: Any, like: Any, array: Any) -> Any:
        if not (isinstance(array, types.Array) and array.dtype == like.dtype and array.layout == "C"
                and (readonly or array.mutable)):
            kind = "array" if readonly else "writable array"
            raise TypingError(f"fastbp.jit: {name} is {array}, expected a C-contiguous {kind} of {like.dtype}, the "
                              "dtype of the network")

        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            source = _struct(context, builder, array, arguments[1])
            return _lend(context, builder, signature.return_type, source.data, source.nitems)

        return types.Array(like.dtype, 1, "C", readonly=readonly)(like, array), generate

    return lend


KINDS = {"f": "one dimension and the network's dtype", "d": "one dimension and float64",
         "n": "one dimension and int64", "t": "two dimensions and int64"}
"""What `made_of` expects, by the letters of `arguments`."""


def _pointer_at(typing: Any, like: Any, address: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[1], context.get_value_type(signature.return_type))

    return types.CPointer(types.unliteral(like))(like, types.intp), generate


def _made_of(what: str, letters: dict[str, str]) -> Callable[..., Any]:
    """Make the intrinsic that checks, when its caller is compiled, the types of the arrays of a NamedTuple."""

    def check(typing: Any, given: Any) -> Any:
        fields = dict(zip(getattr(given, "fields", ()), getattr(given, "types", ()), strict=True))
        real = getattr(fields.get("none"), "dtype", None)
        dtypes = {"f": real, "d": types.float64, "n": types.int64, "t": types.int64}
        for name, letter in letters.items():
            kind = fields.get(name)
            if not (isinstance(kind, types.Array) and kind.dtype == dtypes[letter] and kind.layout == "C"
                    and kind.ndim == (2 if letter == "t" else 1)):
                raise TypingError(f"fastbp.jit: {name} of {what} is {kind}, expected a C-contiguous array of "
                                  f"{KINDS[letter]}")

        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            return context.get_dummy_value()

        return types.none(given), generate

    return check


def _stack(typing: Any, like: Any, count: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return cgutils.alloca_once(builder, context.get_value_type(like), _index(count.literal_value))

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.CPointer(like)(like, count), generate


class _KernelType(types.Opaque):  # type: ignore[misc]
    """The type of a kernel that compiled code names: `call` knows by it what it calls."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        super().__init__(f"kernel({kernel.__module__}.{kernel.__name__})")


@typeof_impl.register(Kernel)
def _typeof_kernel(kernel: Kernel, context: Any) -> _KernelType:
    return _KernelType(kernel)


register_model(_KernelType)(models.OpaqueModel)


@lower_constant(_KernelType)
def _kernel_constant(context: Any, builder: Builder, ty: Any, value: Any) -> Any:
    return context.get_dummy_value()


def _accepted(letter: str, given: Any, real: Any) -> Any:
    """Return the type of an argument that is declared by a letter, if what is given will do for it, else None."""
    if letter in "frF" and real is None and given.__class__ in (types.Array, types.CPointer):
        real = given.dtype if given.dtype in (types.float32, types.float64) else None
    kind = options.numba_types(real or types.float64)[letter]
    if given == kind:
        return kind
    if letter == "i":
        fits = isinstance(given, (types.Integer, types.Boolean))
    elif letter == "x":
        fits = isinstance(given, types.Number)
    else:  # a writable array serves where a read-only one is expected
        fits = letter == "r" and given == options.numba_types(real or types.float64)["f"]
    return kind if fits else None


def _accept(kernel: Kernel, arguments: tuple[Any, ...]) -> list[Any]:
    """Return the types by which a kernel takes arguments of these types."""
    expected = kernel.arguments
    if len(arguments) != len(expected):
        raise TypingError(f"call({kernel.__name__}): {len(arguments)} arguments are given, it takes {len(expected)}: "
                          f"{', '.join(argument.name for argument in expected)}")
    real, kinds = None, []
    for argument, given in zip(expected, map(types.unliteral, arguments), strict=True):
        kind = _accepted(argument.letter, given, real)
        if kind is None:
            of = f" of {real}" if real is not None and argument.letter in "frF" else ""
            raise TypingError(f"call({kernel.__name__}): {argument.name} is {given}, expected "
                              f"{DESCRIPTIONS[argument.letter]}{of}")
        real = kind.dtype if argument.letter in "frF" else real
        kinds.append(kind)
    return kinds


def _call(typing: Any, kernel: Any, where: Any, *arguments: Any) -> Any:
    if not isinstance(kernel, _KernelType):
        raise TypingError(f"call({kernel}): expected a kernel that is called by address")
    kinds, table = _accept(kernel.kernel, arguments), isinstance(where, (types.CPointer, types.Array))
    if table and kernel.kernel.place < 0:
        raise TypingError(f"call({kernel.kernel.__name__}): it has no place of its own in a table: give its address")

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        convention, address = context.call_conv, values[1]
        if table:
            begin = _data(context, builder, where, address) if isinstance(where, types.Array) else address
            address = builder.load(builder.gep(begin, [_index(kernel.kernel.place)]))
        function = builder.inttoptr(address, convention.get_function_type(types.none, kinds).as_pointer())
        given = cgutils.unpack_tuple(builder, values[2])
        status, _ = convention.call_function(builder, function, types.none, kinds, given)
        with cgutils.if_unlikely(builder, status.is_error):  # only with NUMBA_BOUNDSCHECK=1
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(kernel, where if table else types.intp, types.BaseTuple.from_types(kinds)), generate


def _struct(context: Any, builder: Builder, ty: Any, value: Any) -> Any:
    return cgutils.create_struct_proxy(ty)(context, builder, value)


def _data(context: Any, builder: Builder, ty: Any, array: Any) -> Any:
    """Emit where an array begins. Taken from the value: through a struct in memory LLVM has more to clear away."""
    return builder.extract_value(array, context.data_model_manager[ty].get_field_position("data"))


def _atomic_add(typing: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(_data(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        return builder.atomic_rmw("add", where, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


def _atomic_load(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(_data(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        return builder.load_atomic(where, "seq_cst", 8)

    return types.int64(array, types.intp), generate


def _ticks(typing: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        name = "llvm.readcyclecounter" if platform.machine() in ("x86_64", "AMD64") else "llvm.readsteadycounter"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INDEX, []), name)
        return builder.call(function, [])

    return types.int64(), generate


def _lap(typing: Any, clock: Any, start: Any, layer: Any, phase: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        clock = _struct(context, builder, signature.args[0], arguments[0])
        _, start, layer, phase = arguments
        with builder.if_then(builder.icmp_signed(">", clock.nitems, ir.Constant(INDEX, 0)), likely=False):
            now = _ticks(typing)[1](context, builder, None, ())
            last = builder.gep(clock.data, [start])
            row = builder.add(builder.mul(layer, ir.Constant(INDEX, PHASE_COUNT)),
                              builder.add(start, ir.Constant(INDEX, 1)))
            cell = builder.gep(clock.data, [builder.add(row, phase)])
            builder.store(builder.add(builder.load(cell), builder.sub(now, builder.load(last))), cell)
            builder.store(now, last)
        return context.get_dummy_value()

    return types.void(clock, types.intp, types.intp, types.intp), generate


def _prefetch(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(_data(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        _ask_for(builder, where, 2)
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _ask_for(builder: Builder, where: Any, near: int) -> None:
    """Emit a prefetch for reading, to L1 if ``near`` is 3, to L2 if it is 2."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(where, byte), *(ir.Constant(number, n) for n in (0, near, 1))])


def _give_way(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.intp), generate


# ------------------------------------------------------------------------------------------------------- tiles


WHOLE, LANES_COLUMNS = (8, 4) if VECTOR_REGISTERS >= 32 else (6, 2)
"""Rows of the tiles n x 2 and n x 1, which are always full, and columns of the tile 4 x n that sums over lanes.

What is left of the rows goes to a tile of 4, 1 to 4 at a time: its 8 sums with two vectors are just enough to hide the
latency of a multiply-add, so fewer would not be faster. The sums of a tile, one vector of each operand and one more
fit the registers. With 16 of them, 8 x 2 spills 5: 81 GFLOP/s with AVX2 (of 128) and 39 with SSE (of 64), 6 x 2 none:
127 and 46. Of the tiles that sum over lanes 4 x 4 spills 6: 81 and 25; 4 x 2 reaches 112 and 49, 4 x 3 122 and 34."""


FEW = 4
"""Numbers of each sample that `gather_few` takes at once, or as many as a vector has: squares of so many, side by side,
are turned with a quarter of the shuffles, and the rows of tiny networks are no wider."""


class _Pointers:
    """Vector loads, stores and arithmetic at element offsets of an array, for one float type."""

    def __init__(self, context: Any, builder: Builder, dtype: Any) -> None:
        self.context, self.b, self.bits = context, builder, _bits(dtype)
        self.vector = _vector(dtype)
        self.lanes = self.vector.count
        three = ir.FunctionType(self.vector, [self.vector] * 3)
        # fmuladd rather than fma: a target without the instruction multiplies and adds, it calls no library
        self.multiply_add = cgutils.get_or_insert_function(builder.module, three,
                                                           f"llvm.fmuladd.v{self.lanes}f{self.bits}")

    def at(self, ty: Any, array: Any, offset: Any) -> Any:
        return self.b.gep(_data(self.context, self.b, ty, array), [offset])

    def shift(self, pointer: Any, elements: Any) -> Any:
        return self.b.gep(pointer, [elements])

    def load(self, pointer: Any) -> Any:
        value = self.b.load(self.b.bitcast(pointer, self.vector.as_pointer()))
        value.align = self.bits // 8
        return value

    def store(self, value: Any, pointer: Any) -> None:
        self.b.store(value, self.b.bitcast(pointer, self.vector.as_pointer())).align = self.bits // 8

    def broadcast(self, value: Any) -> Any:
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.b.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return self.b.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
        return self.b.shuffle_vector(a, b, mask)

    def joined(self, a: Any, b: Any) -> Any:
        return self.shuffle(a, b, list(range(2 * a.type.count)))

    def zero(self) -> Any:
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
        kind = ir.VectorType(self.vector.element, mask.type.count)
        where = self.b.bitcast(pointer, kind.as_pointer())
        signature = ir.FunctionType(kind, [where.type, ir.IntType(32), mask.type, kind])
        name = f"llvm.masked.load.v{kind.count}f{self.bits}.p0"
        function = cgutils.get_or_insert_function(self.b.module, signature, name)
        align = ir.Constant(ir.IntType(32), self.bits // 8)
        return self.b.call(function, [where, align, mask, ir.Constant(kind, None)])

    def masked_store(self, value: Any, pointer: Any, mask: Any) -> None:
        where = self.b.bitcast(pointer, value.type.as_pointer())
        signature = ir.FunctionType(ir.VoidType(), [value.type, where.type, ir.IntType(32), mask.type])
        name = f"llvm.masked.store.v{mask.type.count}f{self.bits}.p0"
        function = cgutils.get_or_insert_function(self.b.module, signature, name)
        self.b.call(function, [value, where, ir.Constant(ir.IntType(32), self.bits // 8), mask])


def _counted(builder: Builder, count: Any, carried: list[tuple[Any, Any]], body: Callable[[list[Any]], list[Any]],
             name: str, *, unroll: bool = True) -> list[Any]:
    """Emit a loop of ``count`` >= 1 rounds over carried values; return their values after the last round.

    Without ``unroll`` LLVM is asked to leave the loop as it is.
    """
    before = builder.basic_block
    start, done = builder.append_basic_block(name), builder.append_basic_block(name + "_done")
    builder.branch(start)
    builder.position_at_end(start)
    turn = builder.phi(INDEX)
    turn.add_incoming(_index(0), before)
    values = [builder.phi(ty) for ty, _ in carried]
    for phi, (_, initial) in zip(values, carried, strict=True):
        phi.add_incoming(initial, before)
    new = body(values)
    after = builder.add(turn, _index(1))
    end = builder.basic_block
    turn.add_incoming(after, end)
    for phi, value in zip(values, new, strict=True):
        phi.add_incoming(value, end)
    again = builder.cbranch(builder.icmp_signed("<", after, count), start, done)
    if not unroll:
        words = builder.module.add_metadata(["llvm.loop.unroll.disable"])
        loop = ir.MDValue(builder.module, [words], str(len(builder.module.metadata)))
        loop.operands = (loop, words)  # that it names itself tells this loop from others
        again.set_metadata("llvm.loop", loop)
    builder.position_at_end(done)
    return new


def _row_numbers(p: _Pointers, some: Any, rows: int) -> list[Any]:
    """Return the row of each row of a tile: WHOLE tiles have all, others ``some``, and repeat the last one."""
    if rows == WHOLE:
        return [_index(m) for m in range(rows)]
    last = p.b.sub(some, _index(1))
    return [_index(0)] + [p.b.select(p.b.icmp_signed("<", _index(m), last), _index(m), last) for m in range(1, rows)]


@contextmanager
def _valid_row(p: _Pointers, some: Any, m: int, rows: int) -> Iterator[None]:
    """Emit code that runs for row m only if the tile has it."""
    if rows == WHOLE or m == 0:
        yield
    else:
        with p.b.if_then(p.b.icmp_signed("<", _index(m), some)):
            yield


def _products(p: _Pointers, initial: list[Any], w: Any, row: Any, step: Any, a: Any, vector: Any, steps: Any,
              rounds: Any, w_round: Any, a_round: Any, numbers: list[Any], vectors: int) -> list[Any]:
    """Emit initial[m, v] + sum over rounds and steps of w[m*row + k*step] * a[v*vector + k*lanes]."""
    b = p.b
    rows = len(numbers)
    offsets = [b.mul(row, m) for m in numbers]
    columns = [b.mul(vector, _index(v)) for v in range(vectors)]

    def one_step(values: list[Any]) -> list[Any]:
        w_at, a_at, sums = values[0], values[1], values[2:]
        panel = [p.load(p.shift(a_at, column)) for column in columns]
        new = []
        for m in range(rows):
            weight = p.broadcast(b.load(p.shift(w_at, offsets[m])))
            new += [b.call(p.multiply_add, [weight, panel[v], sums[m * vectors + v]]) for v in range(vectors)]
        return [p.shift(w_at, step), p.shift(a_at, _index(p.lanes)), *new]

    def one_round(values: list[Any]) -> list[Any]:
        w_at, a_at, sums = values[0], values[1], values[2:]
        carried = [(w_at.type, w_at), (a_at.type, a_at)] + [(p.vector, s) for s in sums]
        inner = _counted(b, steps, carried, one_step, "step")
        return [p.shift(w_at, w_round), p.shift(a_at, a_round), *inner[2:]]

    if rounds is None:
        carried = [(w.type, w), (a.type, a)] + [(p.vector, s) for s in initial]
        return _counted(b, steps, carried, one_step, "step")[2:]
    carried = [(w.type, w), (a.type, a)] + [(p.vector, s) for s in initial]
    return _counted(b, rounds, carried, one_round, "round")[2:]


def _fitting(builder: Builder, some: Any, vectors: Any, emit: Callable[[int, int], None]) -> Any:
    """Emit the tile for what is left: WHOLE rows or up to four, two vectors or one. Give the rows that it takes.

    So a loop in `dense` calls one tile, not four, and a first fit takes 0.35 s less.
    """
    whole, pair = builder.icmp_signed(">=", some, _index(WHOLE)), builder.icmp_signed(">=", vectors, _index(2))
    with builder.if_else(whole) as (many, few):
        for rows, branch in (WHOLE, many), (4, few):
            with branch, builder.if_else(pair) as (two, one):
                with two:
                    emit(rows, 2)
                with one:
                    emit(rows, 1)
    return builder.select(whole, _index(WHOLE), _index(4))


def _forward_tile(typing: Any, weights: Any, w: Any, row: Any, step: Any, panels: Any, a: Any, a_strip: Any, c: Any,
                  c_strip: Any, size: Any, biases: Any, bias: Any, some: Any, vectors: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        W, w, row, step, A, a, a_strip, c, c_strip, size, B, bias, some, vectors = arguments
        p = _Pointers(context, builder, panels.dtype)
        has = builder.icmp_signed(">=", bias, _index(0))
        zero = cgutils.alloca_once_value(builder, ir.Constant(p.vector.element, 0.0))
        first = builder.select(has, p.at(biases, B, bias), zero)
        stride = builder.select(has, _index(1), _index(0))

        def emit(rows: int, vectors: int) -> None:
            numbers = _row_numbers(p, some, rows)
            initial = []
            for m in numbers:
                value = p.broadcast(builder.load(p.shift(first, builder.mul(stride, m))))
                initial += [value] * vectors
            sums = _products(p, initial, p.at(weights, W, w), row, step, p.at(panels, A, a), a_strip, size, None,
                             None, None, numbers, vectors)
            for m in range(rows):
                with _valid_row(p, some, m, rows):
                    for v in range(vectors):
                        offset = builder.add(c, builder.add(builder.mul(c_strip, _index(v)), _index(m * p.lanes)))
                        p.store(sums[m * vectors + v], p.at(panels, A, offset))

        return _fitting(builder, some, vectors, emit)

    i = types.intp
    return i(weights, i, i, i, panels, i, i, i, i, i, biases, i, i, i), generate


def _backward_tile(typing: Any, weights: Any, w: Any, row: Any, step: Any, panels: Any, a: Any, a_strip: Any, c: Any,
                   c_strip: Any, size: Any, some: Any, vectors: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        W, w, row, step, A, a, a_strip, c, c_strip, size, some, vectors = arguments
        p = _Pointers(context, builder, panels.dtype)

        def emit(rows: int, vectors: int) -> None:
            strips = [builder.add(c, builder.mul(c_strip, _index(v))) for v in range(vectors)]
            places = [[p.at(panels, A, builder.add(strip, _index(m * p.lanes))) for strip in strips]
                      for m in range(rows)]
            for where in sum(places, []):  # the slopes are read last, and would be waited for (512 neurons: 4 %)
                _ask_for(builder, where, 3)
            sums = _products(p, [p.zero()] * (rows * vectors), p.at(weights, W, w), row, step, p.at(panels, A, a),
                             a_strip, size, None, None, None, _row_numbers(p, some, rows), vectors)
            for m in range(rows):
                with _valid_row(p, some, m, rows):
                    for v, where in enumerate(places[m]):
                        p.store(builder.fmul(sums[m * vectors + v], p.load(where)), where)

        return _fitting(builder, some, vectors, emit)

    i = types.intp
    return i(weights, i, i, i, panels, i, i, i, i, i, i, i), generate


def _gradient_tile(typing: Any, deltas: Any, d: Any, d_row: Any, d_strip: Any, transposed: Any, a: Any, a_vector: Any,
                   strips: Any, gradient: Any, g: Any, g_row: Any, valid: Any, accumulate: Any, some: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        D, d, d_row, d_strip, A, a, a_vector, strips, G, g, g_row, valid, accumulate, some = arguments
        p = _Pointers(context, builder, transposed.dtype)
        lanes = _index(p.lanes)
        add = builder.icmp_signed("!=", accumulate, _index(0))

        def emit(rows: int, vectors: int) -> None:
            sums = _products(p, [p.zero()] * (rows * vectors), p.at(deltas, D, d), d_row, _index(1),
                             p.at(transposed, A, a), a_vector, lanes, strips, d_strip, _index(p.lanes * p.lanes),
                             _row_numbers(p, some, rows), vectors)
            whole = builder.icmp_signed(">=", valid, _index(p.lanes * vectors))
            masks = [p.mask(builder.sub(valid, _index(v * p.lanes))) for v in range(vectors)]

            def put(load: Callable[[Any, Any], Any], store: Callable[[Any, Any, Any], None]) -> None:
                for m in range(rows):
                    with _valid_row(p, some, m, rows):
                        start = p.at(gradient, G, builder.add(g, builder.mul(g_row, _index(m))))
                        for v, mask in enumerate(masks):
                            where = p.shift(start, _index(v * p.lanes))
                            old = builder.select(add, load(where, mask), p.zero())
                            store(builder.fadd(old, sums[m * vectors + v]), where, mask)

            with builder.if_else(whole) as (then, otherwise):
                with then:
                    put(lambda where, _: p.load(where), lambda value, where, _: p.store(value, where))
                with otherwise:
                    put(p.masked_load, p.masked_store)

        vectors = builder.select(builder.icmp_signed(">", valid, lanes), _index(2), _index(1))
        return _fitting(builder, some, vectors, emit)

    i = types.intp
    return i(deltas, i, i, i, transposed, i, i, i, gradient, i, i, i, i, i), generate


def _lane_sums(p: _Pointers, values: list[Any]) -> list[Any]:
    """Emit the sum over lanes of each vector: vectors that hold them one after the other.

    Neighbouring lanes are added first, in every case, so that an element has the same bits whichever tile it is in.
    """
    evens, odds = list(range(0, 2 * p.lanes, 2)), list(range(1, 2 * p.lanes, 2))
    group = values[:]
    while len(group) % p.lanes:  # fill up to whole vectors with zeros, which the optimiser removes
        group.append(p.zero())
    for _ in range(p.lanes.bit_length() - 1):
        pairs = zip(group[0::2], group[1::2], strict=True)
        group = [p.b.fadd(p.shuffle(a, b, evens), p.shuffle(a, b, odds)) for a, b in pairs]
    return group


def _lanes_tile(rows: int, columns: int) -> Any:
    def tile(typing: Any, deltas: Any, d: Any, d_strip: Any, outs: Any, a: Any, a_strip: Any, strips: Any,
             gradient: Any, g: Any, g_row: Any, accumulate: Any, some_rows: Any, some_columns: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            D, d, d_strip, A, a, a_strip, strips, G, g, g_row, accumulate, some_rows, some_columns = arguments
            p = _Pointers(context, builder, outs.dtype)
            d_rows = [builder.mul(m, _index(p.lanes)) for m in _row_numbers(p, some_rows, rows)]
            a_rows = [builder.mul(k, _index(p.lanes)) for k in _row_numbers(p, some_columns, columns)]

            def one_strip(values: list[Any]) -> list[Any]:
                d_at, a_at, sums = values[0], values[1], values[2:]
                out = [p.load(p.shift(a_at, row)) for row in a_rows]
                new = []
                for m in range(rows):
                    delta = p.load(p.shift(d_at, d_rows[m]))
                    new += [builder.call(p.multiply_add, [delta, out[k], sums[m * columns + k]])
                            for k in range(columns)]
                return [p.shift(d_at, d_strip), p.shift(a_at, a_strip), *new]

            d_at, a_at = p.at(deltas, D, d), p.at(outs, A, a)
            carried = [(d_at.type, d_at), (a_at.type, a_at)] + [(p.vector, p.zero())] * (rows * columns)
            # unrolled, LLVM would load four strips ahead and spill sixteen vectors: 158 GFLOP/s of 245, against 236
            totals = _lane_sums(p, _counted(builder, strips, carried, one_strip, "strip", unroll=False)[2:])
            add = builder.icmp_signed("!=", accumulate, _index(0))
            mask = p.mask(some_columns, columns)
            for m in range(rows):
                with _valid_row(p, some_rows, m, rows):
                    row = ir.Constant(ir.VectorType(p.vector.element, columns), ir.Undefined)
                    for k in range(columns):
                        vector, lane = divmod(m * columns + k, p.lanes)
                        total = builder.extract_element(totals[vector], ir.Constant(ir.IntType(32), lane))
                        row = builder.insert_element(row, total, ir.Constant(ir.IntType(32), k))
                    where = p.at(gradient, G, builder.add(g, builder.mul(g_row, _index(m))))
                    old = builder.select(add, p.masked_load(where, mask), ir.Constant(row.type, None))
                    p.masked_store(builder.fadd(old, row), where, mask)
            return context.get_dummy_value()

        i = types.intp
        return types.void(deltas, i, i, outs, i, i, i, gradient, i, i, i, i, i), generate

    return tile


def _turned(p: _Pointers, block: list[Any]) -> list[Any]:
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


def _store_rows(p: _Pointers, block: list[Any], ty: Any, target: Any, t: Any, rows: Any) -> None:
    """Emit the stores of the first ``rows`` vectors of a block, one behind the other."""
    for i, row in enumerate(block):
        with p.b.if_then(p.b.icmp_signed("<", _index(i), rows)):
            p.store(row, p.at(ty, target, p.b.add(t, _index(i * p.lanes))))


def _transpose(typing: Any, source: Any, s: Any, target: Any, t: Any, rows: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, t, rows = arguments
        p = _Pointers(context, builder, source.dtype)
        block = [p.load(p.at(source, A, builder.add(s, _index(i * p.lanes)))) for i in range(p.lanes)]
        _store_rows(p, _turned(p, block), target, B, t, rows)
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target, i, i), generate


def _copy_vector(typing: Any, source: Any, s: Any, valid: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, valid, B, t = arguments
        p = _Pointers(context, builder, target.dtype)
        p.store(p.masked_load(p.at(source, A, s), p.mask(valid)), p.at(target, B, t))
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, i, target, i), generate


def _copy_tile(typing: Any, source: Any, s: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, t = arguments
        p = _Pointers(context, builder, target.dtype)
        kind = ir.VectorType(p.vector.element, WHOLE).as_pointer()
        value = builder.load(builder.bitcast(p.at(source, A, s), kind))
        value.align = p.bits // 8
        builder.store(value, builder.bitcast(p.at(target, B, t), kind)).align = p.bits // 8
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, target, i), generate


def _multiply_vector(typing: Any, first: Any, s: Any, second: Any, a: Any, target: Any, t: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        A, s, B, a, C, t = arguments
        p = _Pointers(context, builder, target.dtype)
        p.store(builder.fmul(p.load(p.at(first, A, s)), p.load(p.at(second, B, a))), p.at(target, C, t))
        return context.get_dummy_value()

    i = types.intp
    return types.void(first, i, second, i, target, i), generate


def _gather(columns: int) -> Any:
    def gather(typing: Any, rows: Any, starts: Any, k: Any, valid: Any, panels: Any, t: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            rows_, starts_, k, valid, panels_, t = arguments
            p = _Pointers(context, builder, panels.dtype)
            width = min(columns, p.lanes)
            mask, first = p.mask(valid, width), p.at(rows, rows_, k)
            parts = [p.masked_load(p.shift(first, builder.load(builder.gep(starts_, [_index(v)]))), mask)
                     for v in range(p.lanes)]
            block = []
            for i in range(width):  # samples i, i + width, i + 2 width ...: squares that are turned side by side
                group = parts[i::width]
                while len(group) > 1:
                    group = [p.joined(a, b) for a, b in zip(group[0::2], group[1::2], strict=True)]
                block += group
            _store_rows(p, _turned(p, block), panels, panels_, t, valid)
            return _index(width)

        i = types.intp
        return i(rows, starts, i, i, panels, i), generate

    return gather


# ---------------------------------------------------------------------------- one sample, neurons in lanes

DOT_ROWS, COLUMN_VECTORS = VECTOR_REGISTERS // 2, 4
"""Neurons that `dot_rows` computes at once, vectors of neurons that `sum_columns` does: enough sums under way to hide
the latency of a multiply-add, and the former a whole number of vectors, so that the loads after the store find it."""


def _by_vectors(p: _Pointers, count: Any, body: Callable[[Any, Any], None]) -> None:
    """Emit ``body(offset, mask)`` for each whole vector of ``count`` elements (mask None) and for the rest."""
    lanes = _index(p.lanes)
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
        p = _Pointers(context, builder, panels.dtype)
        last = builder.sub(rows, _index(1))
        number = [_index(m) for m in range(DOT_ROWS)]
        number = [builder.select(builder.icmp_signed("<", m, last), m, last) for m in number]  # repeat the last row
        starts = [p.at(weights, W, builder.add(w, builder.mul(m, row))) for m in number]
        sums = [cgutils.alloca_once_value(builder, p.zero()) for _ in number]
        source = p.at(panels, A, x)

        def add(offset: Any, mask: Any) -> None:
            def load(pointer: Any) -> Any:
                return p.load(pointer) if mask is None else p.masked_load(pointer, mask)

            inputs = load(p.shift(source, offset))
            for start, total in zip(starts, sums, strict=True):
                new = builder.call(p.multiply_add, [load(p.shift(start, offset)), inputs, builder.load(total)])
                builder.store(new, total)

        _by_vectors(p, size, add)
        has = builder.select(builder.icmp_signed(">=", bias, _index(0)), rows, _index(0))
        for v, total in enumerate(_lane_sums(p, [builder.load(total) for total in sums])):
            lane = _index(v * p.lanes)
            first = p.masked_load(p.at(biases, biases_, builder.add(bias, lane)), p.mask(builder.sub(has, lane)))
            p.store(builder.fadd(total, first), p.at(panels, A, builder.add(out, lane)))
        return context.get_dummy_value()

    i = types.intp
    return types.void(weights, i, i, i, biases, i, panels, i, i, i), generate


def _sum_columns(typing: Any, weights: Any, w: Any, row: Any, rows: Any, panels: Any, d: Any, t: Any,
                 valid: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        W, w, row, rows, A, d, t, valid = arguments
        p = _Pointers(context, builder, panels.dtype)
        shifts = [_index(v * p.lanes) for v in range(COLUMN_VECTORS)]
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


def _rank_one(typing: Any, target: Any, t: Any, rows: Any, size: Any, panels: Any, d: Any, x: Any, scale: Any,
              add: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        T, t, rows, size, A, d, x, scale, add = arguments
        p = _Pointers(context, builder, panels.dtype)
        deltas, inputs, start = p.at(panels, A, d), p.at(panels, A, x), p.at(target, T, t)
        keep = builder.icmp_signed("!=", add, _index(0))
        narrow = builder.icmp_signed("<", size, _index(p.lanes // 2))
        with builder.if_else(narrow) as (one_by_one, by_vectors):
            with one_by_one, cgutils.for_range(builder, rows) as loop:
                # a masked vector over short rows would wait for the store of the row before
                delta = builder.fmul(builder.load(p.shift(deltas, loop.index)), scale)
                place = p.shift(start, builder.mul(loop.index, size))
                with cgutils.for_range(builder, size) as inner:
                    where = p.shift(place, inner.index)
                    old = builder.select(keep, builder.load(where), ir.Constant(p.vector.element, 0.0))
                    part = builder.fmul(delta, builder.load(p.shift(inputs, inner.index)))
                    builder.store(builder.fadd(old, part, flags=("contract",)), where)
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


# ------------------------------------------------------------------------------- the same in plain Python, JIT off


def _plain_products(initial: Any, W: Any, w: int, row: int, step: int, A: Any, a: int, a_vector: int, steps: int,
                    rounds: int, w_round: int, a_round: int, rows: int, vectors: int) -> Any:
    n = VECTOR_BYTES // A.itemsize
    sums = np.empty((rows, vectors, n), A.dtype)
    for m in range(rows):
        for v in range(vectors):
            total = np.full(n, initial[m], A.dtype)
            for r in range(rounds):
                for k in range(steps):
                    at = a + r * a_round + v * a_vector + k * n
                    total += W[w + r * w_round + m * row + k * step] * A[at : at + n]
            sums[m, v] = total
    return sums


def _plain_forward_tile(W: Any, w: int, row: int, step: int, A: Any, a: int, a_strip: int, c: int, c_strip: int,
                        size: int, B: Any, b: int, some: int, vectors: int) -> int:
    n = VECTOR_BYTES // A.itemsize
    rows = WHOLE if some >= WHOLE else 4
    some = min(rows, some)
    initial = B[b : b + some] if b >= 0 else np.zeros(some, A.dtype)
    sums = _plain_products(initial, W, w, row, step, A, a, a_strip, size, 1, 0, 0, some, vectors)
    for m in range(some):
        for v in range(vectors):
            A[c + v * c_strip + m * n : c + v * c_strip + m * n + n] = sums[m, v]
    return rows


def _plain_backward_tile(W: Any, w: int, row: int, step: int, A: Any, a: int, a_strip: int, c: int, c_strip: int,
                         size: int, some: int, vectors: int) -> int:
    n = VECTOR_BYTES // A.itemsize
    rows = WHOLE if some >= WHOLE else 4
    some = min(rows, some)
    sums = _plain_products([0.0] * some, W, w, row, step, A, a, a_strip, size, 1, 0, 0, some, vectors)
    for m in range(some):
        for v in range(vectors):
            A[c + v * c_strip + m * n : c + v * c_strip + m * n + n] *= sums[m, v]
    return rows


def _plain_gradient_tile(D: Any, d: int, d_row: int, d_strip: int, A: Any, a: int, a_vector: int, strips: int, G: Any,
                         g: int, g_row: int, valid: int, accumulate: int, some: int) -> int:
    n = VECTOR_BYTES // A.itemsize
    rows, vectors = WHOLE if some >= WHOLE else 4, 2 if valid > n else 1
    some = min(rows, some)
    sums = _plain_products([0.0] * some, D, d, d_row, 1, A, a, a_vector, n, strips, d_strip, n * n, some, vectors)
    for m in range(some):
        row = sums[m].reshape(-1)[:valid]
        where = G[g + m * g_row : g + m * g_row + row.size]
        where[:] = where + row if accumulate else row
    return rows


def _plain_lanes_tile(rows: int, columns: int) -> Any:
    def tile(D: Any, d: int, d_strip: int, A: Any, a: int, a_strip: int, strips: int, G: Any, g: int, g_row: int,
             accumulate: int, some_rows: int, some_columns: int) -> None:
        n = VECTOR_BYTES // A.itemsize
        for m in range(min(rows, some_rows)):
            for k in range(min(columns, some_columns)):
                total = np.zeros(n, A.dtype)
                for s in range(strips):
                    delta, out = d + s * d_strip + m * n, a + s * a_strip + k * n
                    total += D[delta : delta + n] * A[out : out + n]
                where = g + m * g_row + k
                G[where] = G[where] + total.sum() if accumulate else total.sum()

    return tile


def _plain_transpose(A: Any, s: int, B: Any, t: int, rows: int) -> None:
    n = VECTOR_BYTES // A.itemsize
    turned = A[s : s + n * n].reshape(n, n).T[:rows]
    B[t : t + turned.size] = turned.reshape(-1)


def _plain_copy_vector(A: Any, s: int, valid: int, B: Any, t: int) -> None:
    n = VECTOR_BYTES // B.itemsize
    B[t : t + n] = 0
    B[t : t + min(n, valid)] = A[s : s + min(n, valid)]


def _plain_copy_tile(A: Any, s: int, B: Any, t: int) -> None:
    B[t : t + WHOLE] = A[s : s + WHOLE]


def _plain_multiply_vector(A: Any, s: int, B: Any, a: int, C: Any, t: int) -> None:
    n = VECTOR_BYTES // C.itemsize
    C[t : t + n] = A[s : s + n] * B[a : a + n]


def _plain_gather(columns: int) -> Any:
    def gather(rows: Any, starts: Any, k: int, valid: int, panels: Any, t: int) -> int:
        lane = VECTOR_BYTES // panels.itemsize
        width: int = min(columns, lane)
        valid = min(width, valid)
        for v in range(lane):
            panels[t + v : t + v + valid * lane : lane] = rows[starts[v] + k : starts[v] + k + valid]
        return width

    return gather


def _plain_dot_rows(W: Any, w: int, row: int, rows: int, biases: Any, bias: int, A: Any, x: int, size: int,
                    out: int) -> None:
    for m in range(min(rows, DOT_ROWS)):
        total = W[w + m * row : w + m * row + size] @ A[x : x + size]
        A[out + m] = total + biases[bias + m] if bias >= 0 else total


def _plain_sum_columns(W: Any, w: int, row: int, rows: int, A: Any, d: int, t: int, valid: int) -> None:
    size = min(valid, COLUMN_VECTORS * VECTOR_BYTES // A.itemsize)
    total = np.zeros(size, A.dtype)
    for j in range(rows):
        total += A[d + j] * W[w + j * row : w + j * row + size]
    A[t : t + size] *= total


def _plain_rank_one(T: Any, t: int, rows: int, size: int, A: Any, d: int, x: int, scale: Any, add: int) -> None:
    for j in range(rows):
        where = T[t + j * size : t + (j + 1) * size]
        where[:] = (where if add else 0) + (A[d + j] * scale) * A[x : x + size]


PLAIN_KINDS: dict[str, Any] = {"n": np.int64, "t": np.int64, "N": np.int64, "d": np.float64, "D": np.float64}
"""Letter of an array -> its dtype, where it is not the network's."""


def _check_plainly(kernel: Kernel, given: tuple[Any, ...]) -> None:
    """Compare arguments with a kernel's signature, as `_accept` does where code is compiled."""
    expected, real = kernel.arguments, None
    if len(given) != len(expected):
        raise TypeError(f"call({kernel.__name__}): {len(given)} arguments are given, it takes {len(expected)}: "
                        f"{', '.join(argument.name for argument in expected)}")
    for (name, letter), value in zip(expected, given, strict=True):
        if letter in "ix":
            fits = isinstance(value, (int, np.integer, np.bool_) if letter == "i" else (int, float, np.number))
        else:
            wanted = PLAIN_KINDS.get(letter, real)
            fits = (isinstance(value, np.ndarray) and value.ndim == (2 if letter == "t" else 1)
                    and (value.dtype == wanted if wanted else value.dtype in (np.float32, np.float64))
                    and (value.flags.writeable or letter in "rFDN"))  # a pointer says nothing of it
            real = value.dtype if fits and letter in "frF" else real
        if not fits:
            shown = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"{value!r}"
            raise TypeError(f"call({kernel.__name__}): {name} is {shown}, expected {DESCRIPTIONS[letter]}")


# ------------------------------------------------------------------------------------------------------- names

if JIT:
    least, most = intrinsic(_chosen("<")), intrinsic(_chosen(">"))
    lanes = intrinsic(_lanes)
    borrowed = intrinsic(_borrowed)
    call = intrinsic(_call)
    pointer = intrinsic(_pointer)
    row = intrinsic(_row)
    array_at = intrinsic(_array_at)
    pointer_at = intrinsic(_pointer_at)
    stack = intrinsic(_stack)
    forward_tile, backward_tile = intrinsic(_forward_tile), intrinsic(_backward_tile)
    gradient_tile = intrinsic(_gradient_tile)
    transpose = intrinsic(_transpose)
    gather_square, gather_few = intrinsic(_gather(VECTOR_BYTES)), intrinsic(_gather(FEW))
    copy_vector, copy_tile = intrinsic(_copy_vector), intrinsic(_copy_tile)
    multiply_vector = intrinsic(_multiply_vector)
    dot_rows = intrinsic(_dot_rows)
    sum_columns = intrinsic(_sum_columns)
    rank_one = intrinsic(_rank_one)
    atomic_add = intrinsic(_atomic_add)
    atomic_load = intrinsic(_atomic_load)
    give_way = intrinsic(_give_way)
    prefetch = intrinsic(_prefetch)
    ticks = intrinsic(_ticks)
    lap = intrinsic(_lap)
else:
    least, most = min, max  # of two integers: Numba's own take three times as long to compile, call by call

    def lanes(array: Any) -> int:
        """Return the number of elements in a vector of this CPU, for the dtype of an array."""
        return VECTOR_BYTES // int(array.itemsize)

    def borrowed(like: Any, address: int, size: int) -> Any:
        """Return the array, of the type of ``like``, whose first element lies at an address."""
        return np.frombuffer((ctypes.c_char * (size * like.itemsize)).from_address(int(address)), like.dtype)

    def call(kernel: Kernel, where: Any, *arguments: Any) -> None:
        """Call a kernel by its address, or by the table that holds it at the kernel's place.

        Number and types of the arguments are compared with its signature; compiled code does so when it is compiled.
        """
        _check_plainly(kernel, arguments)
        if isinstance(where, np.ndarray) and kernel.place < 0:
            raise TypeError(f"call({kernel.__name__}): it has no place of its own in a table: give its address")
        address = where[kernel.place] if isinstance(where, np.ndarray) else where
        options.BY_ADDRESS[int(address)](*arguments)

    def pointer(array: Any) -> Any:
        """Return where an array begins.

        An array takes seven words and more in a call by address, a pointer one, and to compile ``p[i]`` takes a seventh
        of the time of ``a[i]``.
        """
        return array.reshape(-1)

    def row(table: Any, number: int) -> Any:
        """Return where a row of a table begins."""
        return table[number]

    def array_at(pointer: Any, *shape: int) -> Any:
        """Return the array of this shape that begins at a pointer."""
        return pointer[: math.prod(shape)].reshape(shape)

    def pointer_at(like: Any, address: Any) -> Any:
        """Return a pointer to numbers of the type of ``like`` that lie at an address, given by `options.place`."""
        return address.reshape(-1)

    def stack(like: Any, count: int) -> Any:
        """Return where so many numbers of the type of ``like`` lie until the function returns."""
        return np.empty(count, type(like))

    forward_tile, backward_tile, gradient_tile = _plain_forward_tile, _plain_backward_tile, _plain_gradient_tile
    transpose = _plain_transpose
    gather_square, gather_few = _plain_gather(VECTOR_BYTES), _plain_gather(FEW)
    copy_vector, copy_tile = _plain_copy_vector, _plain_copy_tile
    multiply_vector = _plain_multiply_vector
    dot_rows = _plain_dot_rows
    sum_columns = _plain_sum_columns
    rank_one = _plain_rank_one

    def atomic_add(array: Any, index: int, value: int) -> int:
        """Add to an int64 that other threads see; return what it was."""
        with _LOCK:
            before = int(array[index])
            array[index] += value
            return before

    def atomic_load(array: Any, index: int) -> int:
        """Read an int64 that other threads write."""
        return int(array[index])

    def ticks() -> int:
        """Read the processor's clock; how long a tick is, it does not say."""
        return time.perf_counter_ns()

    def lap(clock: Any, start: int, layer: int, phase: int) -> None:
        """Add the ticks since the last lap to a phase of a layer, in a thread's part of the clock; none if it is empty.

        In LLVM IR like the tiles, as a dozen laps written in Python were a tenth of the time to compile a first fit.
        """
        if clock.size > 0:
            now = ticks()
            clock[start + 1 + layer * PHASE_COUNT + phase] += now - clock[start]
            clock[start] = now

    def prefetch(array: Any, index: int) -> None:
        """Ask for the cache line of an element that will be read soon."""

    def give_way(address: int) -> None:
        """Let another thread have the processor: calls the operating system's function at ``address``."""
        time.sleep(0)

if JIT and not config.BOUNDSCHECK:
    view, panel = intrinsic(_view), intrinsic(_panel)
else:

    def _slice(array: Any, start: int, size: int) -> Any:
        """Return array[start:start+size] without the cost of a slice: neither wrap-around nor reference count."""
        return array[start : start + size]

    def _strips(panels: Any, start: int, n: int, first: int, last: int) -> Any:
        """Return strips first..last of a panel of n rows as one array."""
        strip = n * lanes(panels)
        return panels[start + first * strip : start + last * strip]

    view, panel = options.scalar(_slice), options.scalar(_strips)


def lent(name: str, *, readonly: bool) -> Any:
    """Return a function ``(like, array)`` for use in compiled code: the array flat, borrowed, of the dtype of ``like``.

    An array of another dtype, strided, or read-only where it would be written, is an error when the caller is compiled.
    """
    if JIT:
        return intrinsic(_lent(name, readonly))

    def lend(like: Any, array: Any) -> Any:
        if array.dtype != like.dtype or not array.flags.c_contiguous or not (readonly or array.flags.writeable):
            kind = "array" if readonly else "writable array"
            raise TypeError(f"fastbp.jit: {name} is no C-contiguous {kind} of {like.dtype}, the dtype of the network")
        return array.reshape(-1)

    return lend


def made_of(what: str, letters: dict[str, str]) -> Any:
    """Return a function of a NamedTuple for use in compiled code, which checks its arrays when the caller is compiled.

    ``letters`` say what its fields must be, as in `arguments`; of the network's dtype is what its field ``none`` is.
    """
    if JIT:
        return intrinsic(_made_of(what, letters))

    def check(given: Any) -> None:
        for name, letter in letters.items():
            kind, array = {"f": given.none.dtype, "d": np.float64}.get(letter, np.int64), getattr(given, name)
            if not (array.dtype == kind and array.flags.c_contiguous and array.ndim == (2 if letter == "t" else 1)):
                raise TypeError(f"fastbp.jit: {name} of {what} is {array.dtype} {array.shape}, expected a C-contiguous "
                                f"array of {KINDS[letter]}")

    return check


def _tiles(emit: Callable[[int, int], Any], plain: Callable[[int, int], Any],
           shapes: list[tuple[int, int]]) -> list[Any]:
    return [intrinsic(emit(*shape)) if JIT else plain(*shape) for shape in shapes]


lanes_4xn, lanes_4x1 = _tiles(_lanes_tile, _plain_lanes_tile, [(4, LANES_COLUMNS), (4, 1)])

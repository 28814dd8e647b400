"""What threads see of each other, the processor's clock, and what it is asked for ahead."""

from __future__ import annotations

import platform
import threading
import time
from typing import Any

from llvmlite import ir
from numba import types

from ..compile.numba_internals import cgutils, field
from ..tables import PHASE_COUNT
from .builder import INDEX, Builder, emit_prefetch, twin

_LOCK = threading.Lock()


def _atomic_add(typing: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(field(context, builder, signature.args[0], arguments[0], "data"), [arguments[1]])
        return builder.atomic_rmw("add", where, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


@twin(_atomic_add)
def atomic_add(array: Any, index: int, value: int) -> int:
    """Add to an int64 that other threads see; return what it was."""
    with _LOCK:
        before = int(array[index])
        array[index] += value
        return before


def _atomic_store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(field(context, builder, signature.args[0], arguments[0], "data"), [arguments[1]])
        builder.store_atomic(arguments[2], where, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@twin(_atomic_store)
def atomic_store(array: Any, index: int, value: int) -> None:
    """Write an int64 that other threads read; who sees it also sees what was written before."""
    array[index] = value


def _atomic_load(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(field(context, builder, signature.args[0], arguments[0], "data"), [arguments[1]])
        return builder.load_atomic(where, "seq_cst", 8)

    return types.int64(array, types.intp), generate


@twin(_atomic_load)
def atomic_load(array: Any, index: int) -> int:
    """Read an int64 that other threads write."""
    return int(array[index])


def _read_clock(builder: Builder) -> Any:
    if platform.machine() not in ("aarch64", "arm64", "ARM64"):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INDEX, []), "llvm.readcyclecounter")
        return builder.call(function, [])
    # there the system alone may read the counter of cycles, and llvm.readsteadycounter is always 0
    register = builder.module.add_metadata(["cntvct_el0"])
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INDEX, [register.type]),
                                              "llvm.read_volatile_register.i64")
    return builder.call(function, [register])


def _ticks(typing: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return _read_clock(builder)

    return types.int64(), generate


@twin(_ticks)
def ticks() -> int:
    """Read the processor's clock; how long a tick is, it does not say."""
    return time.perf_counter_ns()


def _lap(typing: Any, clock: Any, start: Any, layer: Any, phase: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        clock = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        _, start, layer, phase = arguments
        with builder.if_then(builder.icmp_signed(">", clock.nitems, ir.Constant(INDEX, 0)), likely=False):
            now = _read_clock(builder)
            last = builder.gep(clock.data, [start])
            row = builder.add(builder.mul(layer, ir.Constant(INDEX, PHASE_COUNT)),
                              builder.add(start, ir.Constant(INDEX, 1)))
            cell = builder.gep(clock.data, [builder.add(row, phase)])
            builder.store(builder.add(builder.load(cell), builder.sub(now, builder.load(last))), cell)
            builder.store(now, last)
        return context.get_dummy_value()

    return types.void(clock, types.intp, types.intp, types.intp), generate


@twin(_lap)
def lap(clock: Any, start: int, layer: int, phase: int) -> None:
    """Add the ticks since the last lap to a phase of a layer, in a thread's part of the clock; none if it is empty.

    In LLVM IR like the tiles, as a dozen laps written in Python were a tenth of the time to compile a first fit.
    """
    if clock.size > 0:
        now = ticks()
        clock[start + 1 + layer * PHASE_COUNT + phase] += now - clock[start]
        clock[start] = now


def _prefetch(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        where = builder.gep(field(context, builder, signature.args[0], arguments[0], "data"), [arguments[1]])
        emit_prefetch(builder, where, 2)
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@twin(_prefetch)
def prefetch(array: Any, index: int) -> None:
    """Ask for the cache line of an element that will be read soon."""


def _give_way(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@twin(_give_way)
def give_way(address: int) -> None:
    """Yield the processor to another thread: calls the operating system's function at ``address``."""
    time.sleep(0)

"""The processor that is compiled for: its vectors, and whether it multiplies bfloat16."""

from __future__ import annotations

import functools

import llvmlite.binding as llvm

from .numba_internals import host_machine
from .options import JIT


def vector_unit(machine: llvm.TargetMachine) -> tuple[int, int]:
    """Ask LLVM for the bytes of a vector register and the number of registers of a target.

    A 64-byte addition is compiled for the target; the registers in its assembly tell. Unlike a table of features
    it holds for whatever NUMBA_CPU_NAME and NUMBA_CPU_FEATURES make of the machine.
    """
    source = """
        define void @probe(<16 x float>* %p) {
          %x = load <16 x float>, <16 x float>* %p
          %y = fadd <16 x float> %x, %x
          store <16 x float> %y, <16 x float>* %p
          ret void
        }""".replace("<16 x float>*", "ptr")
    module = llvm.parse_assembly(source)
    module.triple = machine.triple
    assembly = machine.emit_assembly(module)
    if "%zmm" in assembly:
        return 64, 32
    if "%ymm" in assembly:
        return 32, 16
    return 16, 32 if machine.triple.startswith(("aarch64", "arm64")) else 16


VECTOR_BYTES, VECTOR_REGISTERS = vector_unit(host_machine()) if JIT else (16, 16)


def pair_product(machine: llvm.TargetMachine, vector_bytes: int) -> str | None:
    """Ask LLVM for the instruction of a target that adds products of pairs of bfloat16 to float32; None without it.

    To ask for it where there is none would end the process, so another of the same extension is compiled: the
    conversion to bfloat16. Some x86 have that alone, in an encoding of its own.
    """
    source = """
        define void @probe(ptr %p) {
          %x = load <16 x float>, ptr %p
          %y = fptrunc <16 x float> %x to <16 x bfloat>
          store <16 x bfloat> %y, ptr %p
          ret void
        }"""
    module = llvm.parse_assembly(source)
    module.triple = machine.triple
    assembly = machine.emit_assembly(module)
    if "bfcvtn" in assembly and vector_bytes == 16:
        return "llvm.aarch64.neon.bfdot.v4f32.v8bf16"
    if "vcvtneps2bf16" in assembly and "{vex}" not in assembly and vector_bytes == 64:
        return "llvm.x86.avx512bf16.dpbf16ps.512"
    return None


@functools.cache
def host_pair_product() -> str | None:
    """Return that of the target that Numba compiles for; asked for when bfloat16 is, at the earliest."""
    return pair_product(host_machine(), VECTOR_BYTES)


def multiplies_bfloat16() -> bool:
    """Return whether products of bfloat16 can be compiled, or are plain Python."""
    return not JIT or host_pair_product() is not None

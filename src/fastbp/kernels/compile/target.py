"""The processor that is compiled for: its vectors."""

from __future__ import annotations

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

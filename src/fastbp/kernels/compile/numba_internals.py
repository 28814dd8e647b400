"""The one place that touches what Numba and llvmlite do not promise to keep.

``tests/kernels/compile/test_numba_internals.py`` names each such thing, and says which is missing or has changed. The
rest of fastbp uses what Numba documents: ``numba.njit``, ``cfunc``, ``types``, ``config`` and ``numba.extending``; but
four options of a decorator, which `options` names.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from numba import typeof
from numba.core import cgutils
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler as NumbaCompiler
from numba.core.compiler import CompileResult, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.dispatcher import Dispatcher
from numba.core.imputils import lower_constant
from numba.core.lowering import Lower
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.core.targetconfig import ConfigStack
from numba.core.typeconv import Conversion
from numba.core.typed_passes import NativeLowering
from numba.core.types.functions import BaseFunction

from .interrupts import Held

__all__ = [
    "Compiler",
    "Conversion",
    "KernelCompiler",
    "NullCache",
    "call_address",
    "can_compile",
    "cgutils",
    "code_address",
    "code_key",
    "dump_code",
    "entry_point",
    "field",
    "global_compiler_lock",
    "has_addresses",
    "hold_compiler",
    "host_machine",
    "keep_code",
    "load_code",
    "lower_constant",
    "release_compiler",
    "settings",
]

# ------------------------------------------------------------------------------------------- how Numba compiles


class Compiler(NumbaCompiler):  # type: ignore[misc]
    """Numba's compiler, during whose work Python's garbage collector rests.

    It would go again and again through all that a compilation holds: 12 % of it.
    """

    def compile_extra(self, func: Any) -> Any:
        """Compile, for Numba.

        Its lock is held, so that no other thread puts the collector back meanwhile. Ctrl-C waits until it is put back.
        """
        with Held():
            collects = gc.isenabled()
            try:
                gc.disable()
                return super().compile_extra(func)
            finally:
                if collects:
                    gc.enable()


_ask = BaseFunction.get_call_type
_KNOWN: dict[Any, dict[Any, tuple[Any, Any]]] = {}
"""Options of a compilation -> a function of Numba's and the types of its arguments -> its signature, and what it is
implemented by. To find these Numba tries one rule after the other, up to ten for a sum of two integers, each for
literals and without: remembered, this takes a seventh off a first fit."""


@contextmanager
def _remembering() -> Iterator[None]:
    """Have Numba find out but once what its functions are for arguments of the same types, with the same options.

    Its lock is held, so that nobody else compiles meanwhile. What is compiled on the way, Numba's own code or a user's,
    may have options of its own.
    """
    before, flags, known = BaseFunction.get_call_type, None, dict[Any, tuple[Any, Any]]()

    def get_call_type(function: Any, context: Any, args: Any, kws: Any) -> Any:
        nonlocal flags, known
        present = ConfigStack.top_or_none()
        if present is None:
            return _ask(function, context, args, kws)
        if present is not flags:
            flags, known = present, _KNOWN.setdefault(present.copy(), {})
        asked = function, tuple(args), tuple(kws.items())
        if asked not in known:
            signature = _ask(function, context, args, kws)
            known[asked] = signature, function.get_impl_key(signature)
        signature, implementation = known[asked]
        function._impl_keys[signature.args] = implementation
        return signature

    BaseFunction.get_call_type = get_call_type  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        BaseFunction.get_call_type = before  # type: ignore[method-assign]


LEFT_OUT = {"AnnotateTypes", "DeadBranchPrune", "DumpParforDiagnostics", "FindLiterallyCalls", "InlineClosureLikes",
            "InlineOverloads", "LiteralPropagationSubPipelinePass", "LiteralUnroll", "MakeFunctionToJitFunction",
            "NopythonRewrites", "RewriteDynamicRaises", "RewriteSemanticConstants", "WithLifting"}
"""Passes that find nothing in a kernel: closures, comprehensions, expressions of arrays, None, isinstance, with, raise.
Most of them find the lifetime of each variable anew: without them a first fit takes a tenth less, and the same code
comes out of LLVM."""


DELETES = "IRLegalization"
"""The pass that marks where a variable is used last, to release what it refers to. Where nothing is counted it has
variables overwritten with 0, a tenth of all that LLVM is given, and throws away."""


WRAPPER = "7cpython"
"""In the name of the function that Python calls, which unpacks the arguments."""


class KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The LLVM IR of a kernel that counts no references.

    Before all functions of a kernel are optimised together, Numba has each of them simplified by most of the same
    passes: a twelfth of a first fit. Here three are run that shorten it most, and the kernels are as fast. The
    function that Python calls is not optimised.
    """

    def add_ir_module(self, ir_module: Any) -> None:
        """Take functions, for Numba."""
        for function in ir_module.functions:
            if WRAPPER in function.name and not function.is_declaration:
                for attribute in ("noinline", "optnone"):
                    function.attributes.add(attribute)
        super().add_ir_module(ir_module)

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout
        builder = llvm.create_pass_builder(self._codegen._tm, llvm.create_pipeline_tuning_options())
        for function in ll_module.functions:
            if WRAPPER not in function.name and not function.is_declaration:
                passes = llvm.create_new_function_pass_manager()
                passes.add_sroa_pass()
                passes.add_simplify_cfg_pass()
                passes.add_instruction_combine_pass()
                passes.run(function, builder)


class KernelLower(Lower):  # type: ignore[misc]
    """What emits the IR of a kernel that counts no references: without what these and debuggers ask for."""

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:
        """Emit a store to a variable. Numba's own first loads what was there, for it to be released."""
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))

    def alloca_lltype(self, name: str, lltype: Any, datamodel: Any = None) -> Any:
        """Emit the place of a variable. Numba's own has LLVM tell its size, for debuggers, by a module each time."""
        return cgutils.alloca_once(self.builder, lltype, name=name)


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(NativeLowering):  # type: ignore[misc]
    """The pass in which a kernel's IR is emitted."""

    _name = "kernel_lowering"
    lowering_class = KernelLower


class KernelCompiler(Compiler):
    """What compiles fastbp's own functions: without the passes that have nothing to do there."""

    def compile_extra(self, func: Any) -> Any:
        """Compile, for Numba."""
        if self._is_bare:
            library = self.state.library = KernelLibrary(self.state.targetctx.codegen(), func.__qualname__)
            library.enable_object_caching()
        with _remembering():
            return super().compile_extra(func)

    @property
    def _is_bare(self) -> bool:
        """Whether it counts no references, and is for no debugger."""
        return not (self.state.flags.nrt or self.state.flags.debuginfo)

    def define_pipelines(self) -> list[Any]:
        """Return the passes, for Numba."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        left_out = LEFT_OUT | {DELETES} if self._is_bare else LEFT_OUT
        passes.passes = [(KernelLowering if self._is_bare and kind is NativeLowering else kind, text)
                         for kind, text in passes.passes if kind.__name__ not in left_out]
        passes.finalize()
        return [passes]


# ---------------------------------------------------------------------------------- what a decorator has made


def keep_code(dispatcher: Any, entries: NullCache) -> None:
    """Have a function's machine code kept by ``entries``."""
    dispatcher._cache = entries


def settings(dispatcher: Any) -> dict[str, Any]:
    """Return the options that a function was decorated with."""
    options: dict[str, Any] = dispatcher.targetoptions
    return options


def can_compile(value: Any) -> bool:
    """Return whether this is a function that Numba compiles for types it has not met yet."""
    return isinstance(value, Dispatcher) and getattr(value, "_can_compile", True)


def code_address(dispatcher: Any, signature: tuple[Any, ...]) -> int:
    """Return where the machine code lies that was compiled for a signature."""
    compiled = dispatcher.overloads[signature]
    address: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return address


def entry_point(dispatcher: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what Python calls with arguments of the types of these, for which it has been compiled."""
    return dispatcher.overloads[tuple(map(typeof, arguments))].entry_point


# ----------------------------------------------------------------------------------------- machine code on disk


def code_key(codegen: Any) -> tuple[Any, ...]:
    """Return what tells the machine code of one processor and its settings from that of others."""
    key: tuple[Any, ...] = codegen.magic_tuple()
    return key


def has_addresses(compiled: Any) -> bool:
    """Return whether machine code holds addresses that are of this process only."""
    found: bool = compiled.library.has_dynamic_globals
    return found


def dump_code(key: Any, compiled: Any) -> bytes:
    """Return a pickle of a key and what was compiled, for `load_code`."""
    content: bytes = dumps((key, compiled._reduce()))
    return content


def load_code(target_context: Any, reduced: Any, counts: bool) -> Any:
    """Return what was compiled from what `dump_code` made of it; ``counts`` where it counts references to arrays.

    Numba's own caches first load all that its compiler knows (``refresh``), which nothing that is linked already asks
    for: 0.1 s of the 0.14 that the first fit of a process took.
    """
    if counts:
        rtsys.initialize(target_context)
    return CompileResult._rebuild(target_context, *reduced)


# ------------------------------------------------------------------------------------------ compiler and target


def host_machine() -> llvm.TargetMachine:
    """Return the target that Numba compiles for."""
    return cpu_target.target_context.codegen()._tm


def hold_compiler() -> None:
    """Wait until no other thread compiles, and let none begin."""
    global_compiler_lock.acquire()
    llvm.ffi.lib._lock.__enter__()


def release_compiler() -> None:
    """Allow compilation again."""
    llvm.ffi.lib._lock.__exit__(None, None, None)
    global_compiler_lock.release()


# ------------------------------------------------------------------------------------------------- emitted code


def field(context: Any, builder: Any, ty: Any, value: Any, name: str) -> Any:
    """Emit a field of a value. Taken from the value: through a struct in memory LLVM has more to clear away."""
    return builder.extract_value(value, context.data_model_manager[ty].get_field_position(name))


def call_address(context: Any, builder: Any, address: Any, result: Any, kinds: list[Any], given: Any) -> None:
    """Emit a call of the compiled function at an address, of arguments of these types, whose result is dropped."""
    convention = context.call_conv
    function = builder.inttoptr(address, convention.get_function_type(result, kinds).as_pointer())
    status, _ = convention.call_function(builder, function, result, kinds, given)
    with cgutils.if_unlikely(builder, status.is_error):  # only with NUMBA_BOUNDSCHECK=1
        convention.return_status_propagate(builder, status)

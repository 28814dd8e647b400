"""What fastbp needs of Numba and llvmlite that neither promises to keep: a release that changes it is seen here.

Where fastbp itself can no longer be imported,
``pytest --noconftest tests/kernels/compile/test_numba_internals.py`` still tells why.
"""

import ast
import operator
from importlib import import_module
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numba
import pytest
from numba import types
from numba.extending import models

KERNELS = Path(__file__).resolve().parents[3] / "src" / "fastbp" / "kernels"
PLACE = KERNELS / "compile" / "numba_internals.py"

IMPORTED = {
    "numba.core": "cgutils",
    "numba.core.caching": "NullCache",
    "numba.core.codegen": "JITCodeLibrary",
    "numba.core.compiler": "CompileResult Compiler DefaultPassBuilder",
    "numba.core.compiler_lock": "global_compiler_lock",
    "numba.core.compiler_machinery": "register_pass",
    "numba.core.dispatcher": "Dispatcher",
    "numba.core.imputils": "lower_constant",
    "numba.core.lowering": "Lower",
    "numba.core.registry": "cpu_target",
    "numba.core.runtime": "rtsys",
    "numba.core.serialize": "dumps",
    "numba.core.targetconfig": "ConfigStack",
    "numba.core.typeconv": "Conversion",
    "numba.core.typed_passes": "NativeLowering",
    "numba.core.types.functions": "BaseFunction",
}
"""Module -> names that fastbp imports from it."""

MEMBERS = {
    "numba.core.callconv.CPUCallConv": "call_function get_function_type return_status_propagate",
    "numba.core.caching.NullCache": "load_overload save_overload",
    "numba.core.cgutils": "alloca_once alloca_once_value create_struct_proxy for_range get_null_value "
                          "get_or_insert_function if_unlikely pack_array unpack_tuple",
    "numba.core.codegen.CPUCodegen": "magic_tuple",
    "numba.core.codegen.JITCodeLibrary": "_optimize_functions add_ir_module enable_object_caching "
                                         "get_pointer_to_function has_dynamic_globals",
    "numba.core.compiler.CompileResult": "_rebuild _reduce codegen entry_point fndesc library target_context",
    "numba.core.compiler.Compiler": "compile_extra define_pipelines",
    "numba.core.compiler.DefaultPassBuilder": "define_nopython_pipeline",
    "numba.core.compiler_lock.global_compiler_lock": "__enter__ __exit__ acquire release",
    "numba.core.cpu.CPUTargetOptions": "_nrt forceinline no_cfunc_wrapper no_cpython_wrapper",
    "numba.core.datamodel.DataModelManager": "__getitem__",
    "numba.core.datamodel.models.StructModel": "get_field_position",
    "numba.core.dispatcher.Dispatcher": "compile",
    "numba.core.funcdesc.FunctionDescriptor": "llvm_func_name",
    "numba.core.lowering.Lower": "alloca_lltype getvar storevar",
    "numba.core.registry.cpu_target.target_context": "call_conv cast codegen data_model_manager get_constant "
                                                     "get_dummy_value get_value_type",
    "numba.core.runtime.rtsys": "initialize",
    "numba.core.targetconfig.ConfigStack": "top_or_none",
    "numba.core.typeconv.Conversion": "safe",
    "numba.core.typed_passes.NativeLowering": "lowering_class",
    "numba.core.types.functions.BaseFunction": "get_call_type get_impl_key",
    "llvmlite.binding.ffi.lib": "_lock",
}
"""Class, module or object -> members of it that fastbp uses."""

ARRAY = "data itemsize meminfo nitems parent shape strides"
"""Fields of an array in compiled code."""

PRIVATE = {"_cache", "_impl_keys", "get_call_type", "get_impl_key", "targetoptions", "overloads", "_can_compile",
           "library", "fndesc", "magic_tuple", "_reduce", "_rebuild", "entry_point", "has_dynamic_globals", "_tm",
           "ffi", "call_conv", "data_model_manager"}
"""Attributes of Numba's objects that one file alone touches."""


def found(path):
    """Return a module, or what lies in one."""
    try:
        return import_module(path)
    except ImportError:
        owner, _, name = path.rpartition(".")
        return getattr(found(owner), name)


def names(table):
    return [(owner, name) for owner, members in table.items() for name in members.split()]


@pytest.mark.parametrize(("owner", "name"), names(IMPORTED) + names(MEMBERS))
def test_it_is_there(owner, name):
    try:
        there = hasattr(found(owner), name)
    except (ImportError, AttributeError):
        there = False
    assert there, (f"numba {numba.__version__}, llvmlite {llvmlite.__version__}: {owner} has no {name}, which "
                   "kernels/compile/numba_internals.py and what it names are made of")


def test_an_array_has_these_fields():
    array = numba.core.datamodel.default_manager[types.Array(types.float64, 1, "C")]
    assert isinstance(array, models.StructModel)
    missing = set(ARRAY.split()) - set(array._fields)
    assert not missing, f"numba {numba.__version__}: an array has no {missing}, see kernels/ir"


def test_what_a_dispatcher_is():
    """Options, machine code by signature, a cache that is asked before a function is compiled and told afterwards."""
    compiler = numba.core.registry.CPUDispatcher
    assert isinstance(numba.njit(lambda x: x), compiler) or numba.config.DISABLE_JIT
    dispatcher = compiler(lambda x: x + x, targetoptions={"nopython": True, "nogil": True})
    assert dispatcher.targetoptions["nogil"] is True and dispatcher._can_compile is True
    base, calls = numba.core.caching.NullCache, []

    class Noted(base):
        def load_overload(self, sig, target_context):
            calls.append(("load", sig, target_context is dispatcher.targetctx))

        def save_overload(self, sig, data):
            calls.append(("save", sig, isinstance(data, numba.core.compiler.CompileResult)))

    assert type(dispatcher._cache) is base
    dispatcher._cache, signature = Noted(), (types.float64,)
    dispatcher.compile(signature)
    assert calls == [("load", signature, True), ("save", signature, True)]
    compiled = dispatcher.overloads[signature]
    assert compiled.library.has_dynamic_globals is False
    assert compiled.entry_point(1.5) == 3.0 and tuple(map(numba.typeof, (1.5,))) == signature
    assert compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name) > 0
    assert compiled.codegen.magic_tuple() == compiled.target_context.codegen().magic_tuple()


def test_passes():
    """Those that kernels are compiled without are Numba's: one that has another name by now would be run again."""
    numba_internals = pytest.importorskip("fastbp.kernels.compile.numba_internals")
    state = numba.core.compiler.StateDict()
    state.func_ir, state.flags = None, numba.core.compiler.Flags()
    passes = numba.core.compiler.DefaultPassBuilder.define_nopython_pipeline(state)
    missing = numba_internals.LEFT_OUT | {numba_internals.DELETES, "NativeLowering"}
    missing -= {entry[0].__name__ for entry in passes.passes}
    assert not missing, f"numba {numba.__version__} has no passes {missing}"


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_kernels_are_simplified_less():
    """What counts references, or is a user's, takes Numba's way; what Python calls is there, and left as it is."""
    numba_internals = pytest.importorskip("fastbp.kernels.compile.numba_internals")

    def double(x):
        n = 0
        for _ in range(x):
            n += 2
        return n

    found = []
    for pipeline, counts in ((numba_internals.KernelCompiler, False), (numba_internals.KernelCompiler, True),
                             (numba_internals.Compiler, False)):
        function = numba.njit(pipeline_class=pipeline, _nrt=counts, debug=False)(double)
        assert function(21) == 42
        library = function.overloads[function.signatures[0]].library
        unchanged = "optnone" in library.get_llvm_str()
        found.append((isinstance(library, numba_internals.KernelLibrary), unchanged))
    assert found == [(True, True), (False, False), (False, False)]
    assert numba_internals.WRAPPER in library.get_llvm_str()


def test_what_a_function_returns_is_remembered_for_the_same_options():
    """And no longer than a kernel is compiled, whatever becomes of it."""
    numba_internals = pytest.importorskip("fastbp.kernels.compile.numba_internals")
    function, flags = numba.core.types.functions.BaseFunction, numba.core.compiler.Flags()
    ask, asked = function.get_call_type, []
    context = numba.core.registry.cpu_target.typing_context
    numba.core.registry.cpu_target.target_context.refresh()
    plus, one = context.resolve_value_type(operator.add), types.literal(1)

    def noted(*arguments):
        asked.append(arguments)
        return ask(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_internals, "_ask", noted)
        patch.setattr(numba_internals, "_KNOWN", {})
        stack = numba_internals.ConfigStack()
        with pytest.raises(KeyError), numba_internals._remembering(), stack.enter(flags):
            for arguments in ((types.int64, one), (types.int64, types.int64), (types.float32, types.int64)) * 2:
                signature = plus.get_call_type(context, arguments, {})
                assert signature == ask(plus, context, arguments, {})
            with pytest.raises(numba.TypingError):
                plus.get_call_type(context, (types.int64, types.none), {})
            assert len(asked) == 4
            other = flags.copy()
            other.release_gil = True
            for _ in range(2):
                with stack.enter(other):  # what is compiled on the way with other options, a user's function
                    plus.get_call_type(context, (types.int64, one), {})
                assert len(asked) == 5
                plus.get_call_type(context, (types.int64, one), {})
            assert len(asked) == 5
            raise KeyError
    assert function.get_call_type is ask


def test_compiler_and_target():
    assert isinstance(numba.core.registry.cpu_target.target_context.codegen()._tm, llvm.TargetMachine)
    assert numba.core.compiler_lock.global_compiler_lock.is_locked() is False
    assert llvm.ffi.lib._lock.__enter__() is None
    llvm.ffi.lib._lock.__exit__(None, None, None)


def test_the_tables_name_all_that_is_used():
    """What is imported from Numba's inner modules, by one file only, and every member of `cgutils` that is used."""
    imported, used = set(), set()
    for path in KERNELS.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("numba.core"):
                assert path == PLACE, path
                imported |= {(node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("numba.") for alias in node.names), path
            elif isinstance(node, ast.Attribute):
                owner, member = ast.unparse(node.value), node.attr
                assert owner != "numba" or member in ("njit", "jit", "cfunc", "from_dtype", "__version__"), path
                if owner == "cgutils":
                    used.add(member)
                if member in PRIVATE:
                    assert path == PLACE, f"{path}: {owner}.{member}"
    assert imported == set(names(IMPORTED))
    assert used == set(MEMBERS["numba.core.cgutils"].split())

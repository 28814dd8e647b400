"""What the source must keep to, read from the source itself."""

import ast
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

import fastbp

PACKAGE = Path(fastbp.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(PACKAGE.rglob("*.py"))
COMPILER = "kernels/compile/", "kernels/ir/", "kernels/functions/dual/"
"""Where Numba and LLVM are known."""
ONE_FOR_EACH_NAME = "updates.rules", "passes.directions", "derivatives.first", "layer.encoders", "prototypes"
"""Modules whose kernels the page of kernels does not list one by one: they belong to the rows of a catalogue."""
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def imported(tree):
    """Every module that a file names in an import, relative ones with their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (module + ("" if module.endswith(".") else ".") + alias.name for alias in node.names)


def test_import_contracts():
    """The layers, as stated in pyproject.toml."""
    command = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint(['--no-cache']))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_no_circle_between_files():
    """Imports that only type checkers see are counted."""
    graph = grimp.build_graph("fastbp", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports) > 100
    assert len(list(graphlib.TopologicalSorter(imports).static_order())) >= len(imports)  # a CycleError names the files


@pytest.mark.parametrize("name", TREES)
def test_only_these_files_know_the_compiler(name):
    compilers = {module for module in imported(TREES[name]) if module.split(".")[0] in ("numba", "llvmlite")}
    assert not compilers or name.startswith(COMPILER)


@pytest.mark.parametrize("name", [name for name in TREES if name.startswith("kernels/")])
def test_kernels_know_nothing_above_them(name):
    for module in imported(TREES[name]):
        depth = name.count("/")
        assert not module.startswith(("." * (depth + 1), "fastbp")), module
        allowed = {"numpy", "numba", "llvmlite"} | sys.stdlib_module_names
        assert module.startswith(".") or module.split(".")[0] in allowed, module


def test_the_page_of_kernels_lists_them_all():
    """Under the name of its module; those of the catalogues' rows stand there as one for each name."""
    sections, module = {}, ""
    for line in ast.get_docstring(TREES["kernels/__init__.py"]).splitlines():
        module = line if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)?", line) else module
        sections[module] = sections.get(module, "") + line + "\n"
    for name, tree in TREES.items():
        module = name.removeprefix("kernels/").removesuffix(".py").replace("/", ".")
        if not name.startswith("kernels/") or module.startswith("functions.") or module in ONE_FOR_EACH_NAME:
            continue
        for node in tree.body:
            decorators = {ast.unparse(found).partition("(")[0] for found in getattr(node, "decorator_list", ())}
            if decorators & {"kernel", "allocating", "by_address", "by_element", "inner", "rule"}:
                assert re.search(rf"\b{node.name}\b", sections.get(module, "")), f"{module}.{node.name}"


def test_every_module_has_a_layer():
    """A module that no contract names would be free to import anything."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    named = {module.strip() for contract in settings["contracts"] if contract["type"] == "layers"
             for layer in contract["layers"] for module in re.split("[|:]", layer)}
    for package in ("fastbp", "fastbp.kernels"):
        folder = PACKAGE.parent.joinpath(*package.split("."))
        present = {f"{package}.{path.stem}" for path in folder.iterdir()
                   if path.suffix == ".py" or any(path.glob("*.py"))}
        assert present - {f"{package}.__init__"} == {name for name in named if name.rpartition(".")[0] == package}


@pytest.mark.parametrize("name", TREES)
def test_kernels_are_decorated_in_one_way(name):
    """`numba` options are chosen in compile/options.py; nothing else calls njit, prange or parallel."""
    if name.startswith(COMPILER):
        return
    for node in ast.walk(TREES[name]):
        if isinstance(node, (ast.Name, ast.Attribute)):
            text = node.id if isinstance(node, ast.Name) else node.attr
            assert text not in ("njit", "prange", "vectorize"), text  # `jit` is the name of a module here


@pytest.mark.parametrize("name", [name for name in TREES if not name.startswith("kernels/")])
def test_the_linker_alone_writes_the_tables_of_a_plan(name):
    """And of what it is to a user's compiled code."""
    written = {ast.unparse(target.value) for node in ast.walk(TREES[name])
               if isinstance(node, (ast.Assign, ast.AugAssign))
               for goal in (node.targets if isinstance(node, ast.Assign) else [node.target])
               for target in ast.walk(goal) if isinstance(target, ast.Subscript)}
    tables = {text for text in written if re.search(r"(^|\.)(cells|calls|cost_parameter)$|(plan|model)\.layers$", text)}
    assert (name in ("core/link.py", "core/link_compiled.py")) is bool(tables), tables


def test_nothing_unpickles_or_evaluates():
    """But the cache of machine code, which may run what it finds anyway."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), name
        found = {m for m in imported(tree) if m.split(".")[0] in ("pickle", "marshal", "shelve", "joblib")}
        assert found == ({"pickle"} if name == "kernels/compile/cache.py" else set()), name


def test_public_names():
    listed = set(fastbp.__all__)
    bound = {name for name, value in vars(fastbp).items()
             if not name.startswith("_") and (name in listed or not inspect.ismodule(value))}
    assert len(fastbp.__all__) == len(listed), "listed twice"
    assert bound | {"__version__"} == listed | {"__version__"}
    assert all(hasattr(fastbp, name) for name in listed)
    assert set(fastbp._LAZY) <= set(dir(fastbp)) - listed and all(getattr(fastbp, name) for name in fastbp._LAZY)
    imports = [node for node in ast.walk(TREES["__init__.py"]) if isinstance(node, ast.ImportFrom)]
    assert not any(alias.name == "*" for node in imports for alias in node.names)


def test_the_two_layers_import_nothing_optional():
    """`import fastbp` loads neither tqdm, nor matplotlib, scikit-learn, pandas, Dask, MPI, nor formats of others."""
    formats = [f"fastbp.formats.{name}" for name in ("pytorch", "keras", "hdf5", "scikit_learn", "fann", "matlab")]
    modules = ["tqdm", "matplotlib", "sklearn", "pandas", "dask", "distributed", "mpi4py", "fastbp.dask", "fastbp.mpi",
               *formats]
    script = f"import sys, fastbp; print([m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def public():
    for name in sorted({*fastbp.__all__, *fastbp._LAZY} - {"__version__"}):
        thing = getattr(fastbp, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod)):
                    yield f"{name}.{member}", getattr(thing, member)


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_have_their_sections(name):
    """numpydoc: a summary line; every parameter; what is returned; Raises where an error is raised."""
    thing = PUBLIC[name]
    assert thing.__doc__, "no docstring"
    text = inspect.cleandoc(thing.__doc__)
    assert text.split("\n")[0].endswith((".", ":")), "the summary is a sentence on one line"
    if "." in name and "\n" not in text:
        return  # one line says it: trivial members
    sections = set(re.findall(r"^([A-Z][A-Za-z ]+)\n-+$", text, re.M))
    parameters = [p for p in inspect.signature(thing).parameters.values() if p.name not in ("self", "cls")
                  and p.annotation != "Never"]  # what nobody may give is there for its error
    fields = getattr(thing, "_fields", None) or (issubclass(thing, tuple) if inspect.isclass(thing) else False)
    if parameters and not fields and "Attributes" not in sections:
        assert "Parameters" in sections
    if "Parameters" in sections:
        body = re.split(r"^[A-Z][A-Za-z ]+\n-+$", text.split("Parameters\n----------\n", 1)[1], flags=re.M)[0]
        listed = {n.strip().lstrip("*") for line in re.findall(r"^(\S.*)$", body, re.M)
                  for n in line.split(" : ")[0].split(",")}
        assert listed == {p.name for p in parameters}, listed ^ {p.name for p in parameters}
    if inspect.isfunction(thing) or inspect.ismethod(thing):
        returns = inspect.signature(thing).return_annotation
        if returns not in (None, "None", inspect.Signature.empty) and "." in name and len(text.split("\n")) > 4:
            assert {"Returns", "Yields"} & sections or text.startswith("Return")
    source = inspect.getsource(thing) if not inspect.isclass(thing) else ""
    if re.search(r"^\s+raise \w", source, re.M):
        assert "Raises" in sections


@pytest.mark.parametrize("name", [n for n in TREES if n.startswith("kernels/")])
def test_every_kernel_says_what_it_computes(name):
    for node in TREES[name].body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@pytest.mark.parametrize("name", TREES)
def test_every_module_says_what_it_is_for(name):
    if TREES[name].body:
        assert ast.get_docstring(TREES[name])


@pytest.mark.parametrize("name", ["Network", "SGD", "Adam", "History", "Record", "Trace"])
def test_public_things_are_importable_from_the_top(name):
    assert getattr(importlib.import_module("fastbp"), name).__name__ == name

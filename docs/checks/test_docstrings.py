"""Every public name has an example, and every example in a docstring prints what it shows."""

import doctest
import importlib
import inspect
import pkgutil
import re
import types
import zlib
from pathlib import Path

import pytest
from foreign_files import path_of
from matplotlib import pyplot as plt

import fastbp

SITE = Path(__file__).resolve().parents[1] / "_build" / "html"
PUBLIC = ("fastbp", "fastbp.dask", "fastbp.data", "fastbp.encoders", "fastbp.jit", "fastbp.mpi", "fastbp.plots",
          "fastbp.schedules")
"""Modules whose names users write; of the others, those that `fastbp` has."""
FOR_OTHERS = {
    "fastbp.encoders.ENCODERS", "fastbp.encoders.Encoder", "fastbp.schedules.Curve", "fastbp.schedules.LearningRate",
    "fastbp.schedules.NAMES", "fastbp.schedules.SCHEDULES", "fastbp.schedules.Schedule", "fastbp.schedules.Setting",
    "fastbp.schedules.check", "fastbp.schedules.check_rate", "fastbp.schedules.first", "fastbp.schedules.follow",
    "fastbp.schedules.number", "fastbp.schedules.of_updates", "fastbp.schedules.within_epochs", "fastbp.Optimizer",
}
"""Base classes, catalogues and what other packages of fastbp call: nobody writes them in a script."""
MODULES = sorted(found.name for found in pkgutil.walk_packages(fastbp.__path__, "fastbp."))
EXAMPLES = [test for name in MODULES
            for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)) if test.examples]
NEEDS = {"fastbp.formats.methods.to_torch": "torch", "fastbp.mpi": "mpi4py"}
"""What examples need that the site does not have: PyTorch is large, and pip brings an MPI on Linux alone."""
READ = {"fastbp.readers.from_keras": ("model.keras", "functional.keras")}
"""Files that examples read, and which of tests/formats/files they are."""


def public_names():
    for module in PUBLIC:
        found = importlib.import_module(module)
        for name in [*found.__all__, *getattr(found, "_LAZY", ())]:
            thing, whole = getattr(found, name), f"{module}.{name}"
            if not isinstance(thing, (types.ModuleType, str)) and whole not in FOR_OTHERS:
                yield whole, thing


def without_example():
    """Return public names, and what a user calls of `Network` and `Ensemble`, that have none."""
    found = [name for name, thing in public_names() if ">>>" not in (thing.__doc__ or "")]
    for kind in (fastbp.Network, fastbp.Ensemble):
        for name, member in inspect.getmembers(kind, inspect.isroutine):
            if not name.startswith("_") and ">>>" not in (member.__doc__ or ""):
                found.append(f"fastbp.{kind.__name__}.{name}")
    return found


def methods():
    """Return the methods that the pages of the reference show."""
    inventory = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    found = re.findall(r"^(\S+) py:method ", zlib.decompress(inventory).decode(), re.MULTILINE)
    assert len(found) > 50
    return found


def test_every_public_name_has_an_example():
    assert not without_example()


def test_every_method_in_the_reference_is_called_in_an_example():
    """Its own, or that of its class."""
    lost = set()
    for name in methods():
        of, _, method = name.rpartition(".")
        text = (pkgutil.resolve_name(of).__doc__ or "") + (pkgutil.resolve_name(name).__doc__ or "")
        if not re.search(rf"^ *(>>>|\.\.\.) .*\.{method}\b", text, re.MULTILINE):
            lost.add(name)
    assert not lost


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_in_docstrings_print_what_they_show(example, tmp_path, monkeypatch):
    for name, package in NEEDS.items():
        if f"{example.name}.".startswith(f"{name}."):
            pytest.importorskip(package)
    if example.name in READ:
        name, of = READ[example.name]
        (tmp_path / name).write_bytes(path_of(of, tmp_path).read_bytes())
    monkeypatch.chdir(tmp_path)
    output = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=output.append)
    assert not failed, "".join(output)
    plt.close("all")

"""Every public name has an example, and every example in a docstring prints what it shows."""

import doctest
import importlib
import inspect
import pkgutil
import types

import pytest
from matplotlib import pyplot as plt

import fastbp

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
NEEDS = {"fastbp.mpi": "mpi4py"}
"""Modules whose examples need what the site has on Linux alone, where pip brings an MPI as well."""


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
            if not name.startswith("_") and name != "architecture" and ">>>" not in (member.__doc__ or ""):
                found.append(f"fastbp.{kind.__name__}.{name}")
    return found


def test_every_public_name_has_an_example():
    assert not without_example()


@pytest.mark.parametrize("module", [name for name in MODULES
                                    if doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))])
def test_examples_in_docstrings_print_what_they_show(module, tmp_path, monkeypatch):
    if module in NEEDS:
        pytest.importorskip(NEEDS[module], reason="the extra docs has it on Linux alone")
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not found.failed
    plt.close("all")

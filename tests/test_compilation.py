"""What is compiled, and when: few specialisations, a cache that is hit and never stale, nothing allocated."""

import ast
import os
import shutil
import stat
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers import few

import fastbp
from fastbp import SGD, Adam, Network
from fastbp.kernels import _jit

compiled_only = pytest.mark.skipif(not _jit.JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
posix_user = pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")

KERNELS = """
import importlib, pkgutil
import fastbp.kernels
from fastbp.kernels._jit import TWINS
def kernels():
    for kernel, twin in TWINS.items():
        yield kernel.__module__ + "." + kernel.__name__ + " by address", twin
    for module in pkgutil.iter_modules(fastbp.kernels.__path__):
        content = importlib.import_module("fastbp.kernels." + module.name)
        for name, value in vars(content).items():
            # a scalar is part of the kernels that call it: what is counted has machine code of its own
            own = hasattr(value, "signatures") and value.__module__ == content.__name__
            if own and value.targetoptions.get("nogil"):
                yield content.__name__ + "." + name, value
"""

MIXED = """
import copy, pickle
import numpy as np
from fastbp import SGD, Adam, Network, Regularization, huber
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for cost, output in (("squared_error", None), ("cross_entropy", None), ("squared_error", "softmax"),
                         (huber(2), "relu")):
        for bias in (True, False):
            net = Network((5, 130, 300, 3), ("tanh", "relu"), output, cost, bias=bias, dtype=dtype, seed=1)
            X, Y = rng.normal(size=(40, 5)), np.eye(3)[rng.integers(0, 3, 40)]
            X.flags.writeable = False
            for optimizer in ("adam", "sgd", SGD(1e-3, 0.9), SGD(1e-3, 0.9, nesterov=True)):
                for batch in (1, 7, 100):
                    for shuffle in (True, False):
                        net.fit(np.asfortranarray(X), Y.astype(int), epochs=1, batch_size=batch, optimizer=optimizer,
                                shuffle=shuffle, threads=batch % 2 + 1, sample_weight=np.ones(40))
                        net.fit(X[::2], Y[::2], epochs=1, batch_size=np.int32(batch), validation=0.3, resume=True)
            if cost == "cross_entropy":
                net.fit(X, Y.argmax(1), epochs=1)
            net.predict(X), net.predict(X[0]), net.predict(X.tolist()), net.predict(X.astype(dtype)[0])
            net.gradient(X, Y), net.cost(X, Y, np.ones(40)), net.trace(X, Y)
            pickle.loads(pickle.dumps(net)).fit(X, Y, epochs=1)
    for settings in (dict(l2=0.1, dropout=0.5, max_norm=1.0), dict(clip_norm=1.0, input_noise=0.1)):
        for batch in (1, 7):
            net.fit(X, Y, epochs=1, batch_size=batch, regularization=Regularization(**settings))
    net.fit(X, Y, epochs=1, optimizer="lbfgs", regularization=Regularization(l1=0.1))
"""


@compiled_only
def test_at_most_two_specialisations(run_python):
    """float32 and float64, after every member has been called with every kind of array, in one process."""
    script = KERNELS + MIXED + """
counts = {name: len(kernel.signatures) for name, kernel in kernels()}
assert max(counts.values()) <= 2, {name: count for name, count in counts.items() if count > 2}
assert sum(counts.values()) > 50 and counts["fastbp.kernels.epoch.run"] == 2, counts
print(counts)
"""
    run_python(script, timeout=300)


@compiled_only
def test_a_second_process_only_hits_the_cache(run_python):
    """Whatever the first process used, the next one finds, whichever arrays it comes with."""
    script = KERNELS + """
import numpy as np
from fastbp import Network
from fastbp.kernels import _jit
X, Y = np.ones((40, 3)), np.zeros((40, 2))
for dtype in ("float32", "float64"):
    for batch in (1, 16):
        Network((3, 40, 2), dtype=dtype).fit(X, Y, epochs=2, batch_size=batch).predict(X)
    Network((3, 40, 2), dtype=dtype).predict(X[0].astype(dtype))
hits = misses = 0
for name, kernel in kernels():
    hits += sum(kernel.stats.cache_hits.values())
    misses += sum(kernel.stats.cache_misses.values())
print(_jit.CACHE is not None, hits, misses)
"""
    run_python(script)
    cached, hits, misses = run_python(script).split()
    assert cached == "True" and int(hits) > 20 and int(misses) == 0


ALLOCATIONS = """
import tracemalloc
import numpy as np
from numba.core.runtime import rtsys
from fastbp import Network
X, Y = np.ones((400, 3), "float32"), np.zeros((400, 2), "float32")
for batch in (1, 16):
    net = Network((3, 8, 2), seed=0).fit(X, Y, epochs=2, batch_size=batch)
    peaks, allocations = [], []
    for epochs in (2, 100):  # one call of the kernel each
        before = rtsys.get_allocation_stats()
        tracemalloc.start()
        net.fit(X, Y, epochs=epochs, batch_size=batch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        after = rtsys.get_allocation_stats()
        allocations.append(after.alloc - before.alloc)
        assert after.free - before.free == allocations[-1], "leaked"
    assert allocations[0] == allocations[1] <= 30, allocations  # handles of the arrays that a call is given
    assert peaks[1] - peaks[0] < 98 * 300, peaks
"""


@compiled_only
def test_nothing_is_allocated_per_epoch(run_python):
    """Compiled code makes handles of its arguments, a call; Python a row of the record an epoch, some 200 bytes."""
    run_python(ALLOCATIONS, environment={"NUMBA_NRT_STATS": "1"})


@pytest.fixture
def installed(tmp_path):
    """A copy of the package in a folder of its own, and an environment that sees it and a fresh cache."""
    folder = tmp_path / "site"
    shutil.copytree(Path(fastbp.__file__).parent, folder / "fastbp", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    cache.mkdir()
    path = os.pathsep.join([str(folder), *[p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]])
    environment = {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    return folder / "fastbp", cache, environment


ONE_STEP = """
import numpy as np, fastbp
from fastbp.kernels import _jit
net = fastbp.Network((1, 1), dtype="float64", init="zeros")
net.fit([[2.0], [2.0]], [[1.0], [1.0]], epochs=1, batch_size=2, optimizer=fastbp.SGD(0.25), threads=1)
print(fastbp.__file__)
print(net.parameters.tolist())
print(_jit.CACHE)
"""


def test_an_edited_helper_gives_the_new_answer(installed, run_python):
    """The stale cache: a fresh process with the same NUMBA_CACHE_DIR must not run the old machine code.

    Helpers in other files than the kernel that a process enters by: `updates.sgd`, and the inlined `record.end_batch`.
    """
    package, cache, environment = installed
    where, first, folder = run_python(ONE_STEP, environment=environment).split("\n")[:3]
    assert Path(where).parent == package and eval(first) == [0.5, 0.25]
    assert run_python(ONE_STEP, environment=environment).split("\n")[1] == first
    rule = package / "kernels" / "updates.py"
    text = rule.read_text(encoding="utf-8")
    assert text.count("p[i] -= rate * g[i]") == 1
    rule.write_text(text.replace("p[i] -= rate * g[i]", "p[i] += rate * g[i]"), encoding="utf-8")
    _, second, other = run_python(ONE_STEP, environment=environment).split("\n")[:3]
    assert eval(second) == [-0.5, -0.25]
    if _jit.JIT:
        assert folder != other and Path(folder).parent == Path(other).parent == cache / "fastbp"
        cost = package / "kernels" / "elementwise.py"
        cost.write_text(cost.read_text(encoding="utf-8") + "\n# another comment\n", encoding="utf-8")
        third = run_python(ONE_STEP, environment=environment).split("\n")[2]
        assert third not in (folder, other)


def test_all_that_is_cached_names_the_cache():
    """A file that uses one of the decorators is among those whose hash names the folder of machine code."""
    decorators = {"kernel", "by_address", "by_element", "rule", "scalar", "inline", "allocating", "_compile"}
    root, named = Path(fastbp.__file__).parent, set(_jit.sources())
    compiled = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("_jit"):
                if decorators & {alias.name for alias in node.names}:
                    compiled.add(path)
    assert len(compiled) > 15 and compiled <= named


def test_an_edit_above_the_kernels_recompiles_nothing(installed, run_python):
    package, _, environment = installed
    folder = run_python(ONE_STEP, environment=environment).split("\n")[2]
    plots = package / "plots.py"
    plots.write_text(plots.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")
    assert run_python(ONE_STEP, environment=environment).split("\n")[2] == folder


@posix_user
def test_read_only_install_without_a_home(installed, run_python):
    """Nowhere to cache: import and fit work, uncached."""
    package, _, environment = installed
    for path in [*package.rglob("*"), package, package.parent]:
        path.chmod(stat.S_IREAD | stat.S_IEXEC if path.is_dir() else stat.S_IREAD)
    try:
        environment |= {"NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None, "HOME": "/proc/nowhere"}  # even for root
        found = run_python(ONE_STEP, environment=environment).split("\n")
        assert eval(found[1]) == [0.5, 0.25] and found[2] == "None"
    finally:
        for path in [package.parent, package, *package.rglob("*")]:
            path.chmod(0o700)


def test_no_home_at_all(monkeypatch):
    """Path.home() raises where there is neither HOME nor an entry for the user."""
    monkeypatch.setattr(_jit.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(_jit.Path, "home", fail)
    assert _jit._cache_directory() is None


@posix_user
@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_that_others_may_write_is_refused(which, tmp_path, monkeypatch):
    """Cached code is unpickled and run: whoever writes there runs code as us."""
    monkeypatch.setattr(_jit.config, "CACHE_DIR", str(tmp_path))
    folder = _jit.cache_directory()
    assert folder is not None and Path(folder).parent == tmp_path / "fastbp"
    assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    (Path(folder) if which == "folder" else Path(folder).parent).chmod(0o777)
    assert _jit.cache_directory() is None


@posix_user
def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_jit.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_jit.os, "getuid", lambda: os.geteuid() + 1)
    assert _jit.cache_directory() is None


def test_numba_keeps_its_own_cache_folder():
    """Numba's setting is borrowed while a kernel is decorated, and given back."""
    assert _jit.config.CACHE_DIR == os.environ.get("NUMBA_CACHE_DIR", "")


@pytest.mark.parametrize("method", [SGD(0.1), Adam()], ids=str)
def test_fit_copies_no_state_it_need_not(method):
    """Parameters, gradient, best parameters, and the optimizer's slots: nothing else of that size."""
    sizes = few((700, 300, 5), (100, 60, 5))
    X, Y = np.ones((8, sizes[0]), "float32"), np.ones((8, 5), "float32")
    net = Network(sizes, seed=0)
    net.fit(X, Y, epochs=1, optimizer=method)
    tracemalloc.start()
    net.fit(X, Y, epochs=2, optimizer=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < net.parameters.nbytes * (2 + method.slots) + 150_000, (peak, net.parameters.nbytes)

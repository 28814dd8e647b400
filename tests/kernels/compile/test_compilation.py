"""What is compiled, and when: few specialisations, a cache that is hit and never stale, nothing allocated."""

import ast
import hashlib
import os
import pickle
import shutil
import stat
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import types
from numba.core.registry import CPUDispatcher

import fastbp
from fastbp import SGD, Adam, Network
from fastbp.kernels.compile import cache, options, place

compiled_only = pytest.mark.skipif(not options.JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
posix_user = pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")

KERNELS = """
import importlib, pkgutil
import fastbp.kernels
from fastbp.kernels.compile import TWINS, Kernel
def kernels():
    for kernel, twin in TWINS.items():
        yield kernel.__module__ + "." + kernel.__name__ + " by address", twin
    for module in pkgutil.walk_packages(fastbp.kernels.__path__, "fastbp.kernels."):
        content = importlib.import_module(module.name)
        for name, value in vars(content).items():
            value = vars(value).get("compiled", value) if isinstance(value, Kernel) else value
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
assert sum(counts.values()) > 50 and counts["fastbp.kernels.passes.epoch.run"] == 2, counts
print(counts)
"""
    run_python(script, timeout=300)


@compiled_only
def test_a_second_process_only_hits_the_cache(run_python):
    """Whatever the first process used, the next one finds, whichever arrays it comes with."""
    script = KERNELS + """
import sys
import numba
import numpy as np
from numba.core.runtime import rtsys
from fastbp import Network
from fastbp.kernels.compile import cache
X, Y = np.ones((40, 3)), np.zeros((40, 2))
for dtype in ("float32", "float64"):
    for batch in (1, 16):
        Network((3, 40, 2), dtype=dtype).fit(X, Y, epochs=2, batch_size=batch).predict(X)
    Network((3, 40, 2), dtype=dtype).predict(X[0].astype(dtype))
hits = misses = 0
for name, kernel in kernels():
    hits += sum(kernel.stats.cache_hits.values())
    misses += sum(kernel.stats.cache_misses.values())
idle = "numba.cpython.cmathimpl" not in sys.modules and not rtsys._init
print(cache.CACHE is not None, hits, misses, idle)
mean_of_outputs = numba.njit(lambda X: X.mean())  # a user's own, which asks for all of the compiler
assert mean_of_outputs(np.ones((3, 4))) == 1.0
"""
    run_python(script)
    cached, hits, misses, idle = run_python(script).split()
    assert cached == "True" and int(hits) > 20 and int(misses) == 0
    assert idle == "True", "what Numba's compiler needs was loaded, though nothing was compiled"


ALLOCATIONS = """
import tracemalloc
import numpy as np
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from fastbp import Network
rtsys.initialize(cpu_target.target_context)  # which begins to count; kernels from the cache do not ask for it
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
from fastbp.kernels.compile import cache
net = fastbp.Network((1, 1), dtype="float64", init="zeros")
net.fit([[2.0], [2.0]], [[1.0], [1.0]], epochs=1, batch_size=2, optimizer=fastbp.SGD(0.25), threads=1)
print(fastbp.__file__)
print(net.parameters.tolist())
print(cache.CACHE)
"""


FOLDER = """
import fastbp
from fastbp.kernels.compile import cache
print(cache.CACHE)
"""


def test_an_edited_helper_gives_the_new_answer(installed, run_python):
    """The stale cache: a fresh process with the same NUMBA_CACHE_DIR must not run the old machine code.

    Helpers in other files than the kernel that a process enters by: `rules.sgd`, and the inlined `record.end_batch`.
    """
    package, cache, environment = installed
    where, first, folder = run_python(ONE_STEP, environment=environment).split("\n")[:3]
    assert Path(where).parent == package and eval(first) == [0.5, 0.25]
    assert run_python(ONE_STEP, environment=environment).split("\n")[1] == first
    rule = package / "kernels" / "updates" / "rules.py"
    text = rule.read_text(encoding="utf-8")
    assert text.count("p[i] -= rate * g[i]") == 1
    rule.write_text(text.replace("p[i] -= rate * g[i]", "p[i] += rate * g[i]"), encoding="utf-8")
    _, second, other = run_python(ONE_STEP, environment=environment).split("\n")[:3]
    assert eval(second) == [-0.5, -0.25]
    if options.JIT:
        assert folder != other and Path(folder).parent == Path(other).parent == cache / "fastbp"
        cost = package / "kernels" / "elementwise.py"
        cost.write_text(cost.read_text(encoding="utf-8") + "\n# another comment\n", encoding="utf-8")
        assert run_python(FOLDER, environment=environment).strip() not in (folder, other)


def test_all_that_is_cached_names_the_cache():
    """A file that uses one of the decorators is among those whose hash names the folder of machine code."""
    decorators = {"kernel", "by_address", "by_element", "rule", "inner", "scalar", "inline", "allocating",
                  "compile_loops"}
    root, named = Path(fastbp.__file__).parent, set(cache.sources())
    compiled = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and "compile" in (node.module or "").split("."):
                if decorators & {alias.name for alias in node.names}:
                    compiled.add(path)
    assert len(compiled) > 15 and compiled <= named


def test_an_edit_above_the_kernels_recompiles_nothing(installed, run_python):
    package, _, environment = installed
    folder = run_python(FOLDER, environment=environment)
    plots = package / "plots/network.py"
    plots.write_text(plots.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")
    assert run_python(FOLDER, environment=environment) == folder


@posix_user
def test_read_only_install_without_a_home(installed, run_python):
    """Nowhere to cache: import and fit work, uncached, and one warning says why."""
    package, _, environment = installed
    for path in [*package.rglob("*"), package, package.parent]:
        path.chmod(stat.S_IREAD | stat.S_IEXEC if path.is_dir() else stat.S_IREAD)
    try:
        environment |= {"NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None, "HOME": "/proc/nowhere"}  # even for root
        found = run_python(COUNT_WARNINGS.replace("SCRIPT", repr(ONE_STEP)), environment=environment).split("\n")
        assert eval(found[1]) == [0.5, 0.25] and found[2] == "None"
        if options.JIT:
            assert found[3].startswith("1 fastbp cannot keep its machine code on disk") and "/proc/nowhere" in found[3]
    finally:
        for path in [package.parent, package, *package.rglob("*")]:
            path.chmod(0o700)


def test_no_home_at_all(monkeypatch):
    """Path.home() raises where there is neither HOME nor an entry for the user."""
    monkeypatch.setattr(cache.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.Path, "home", fail)
    assert cache.usable() == (None, "Could not determine home directory.")


@posix_user
@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_that_others_may_write_is_refused(which, tmp_path, monkeypatch):
    """Cached code is unpickled and run: whoever writes there runs code as us."""
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    folder, why = cache.usable()
    assert folder.parent == tmp_path / "fastbp" and why == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    refused = folder if which == "folder" else folder.parent
    refused.chmod(0o777)
    folder, why = cache.usable()
    assert folder is None and why.startswith(f"{refused} is another user's, or others may write there")


@posix_user
def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache.os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(PermissionError, match="another user's"):
        cache.cache_directory()


def test_the_folder_does_not_follow_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache.config, "CACHE_DIR", "here")
    assert cache.cache_directory().parent == tmp_path / "here" / "fastbp"


def aged(path, days):
    """Let a file or folder seem so many days old."""
    os.utime(path, (time.time() - days * cache.DAY,) * 2, follow_symlinks=False)


def test_folders_of_other_versions_go_after_a_month(tmp_path, monkeypatch):
    """But nothing that fastbp has not made: other names, folders with other files in them, what a link leads to."""
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    own, home = cache.cache_directory(), tmp_path / "fastbp"
    (own / "f-0123456789abcdef.nbc").touch()
    left, fresh = own / "f-0123456789abcdef.nbc.tmp.00ff", own / "g-0123456789abcdef.nbc.tmp.00ff"
    for part, days in ((left, 2), (fresh, 0)):
        part.touch()
        aged(part, days)
    precious = tmp_path / "elsewhere" / "0123456789abcdef"
    precious.mkdir(parents=True)
    (precious / "f-0123456789abcdef.nbc").touch()
    aged(precious, 99)
    there = {}
    for name, files in (("0" * 16, ["f-1.py311.nbi", "bare/f-1.py311.1.nbc", ".probe-17"]), ("1" * 16, []),
                        ("2" * 16, ["notes.txt"]), ("3" * 16, ["deep/er/photo.nbc.jpg"]), ("mine", ["f.nbc"]),
                        ("4" * 16, ["f-0123456789abcdef.nbc"]), ("A" * 16, ["f.nbc"])):
        there[name] = home / name
        for file in files or ["x.nbc"]:
            (home / name / file).parent.mkdir(parents=True, exist_ok=True)
            (home / name / file).touch()
        aged(home / name, 31)
    aged(there["4" * 16], 29)
    (home / ("5" * 16)).symlink_to(precious, target_is_directory=True)
    aged(home / ("5" * 16), 31)
    (there["1" * 16] / "link").symlink_to(precious)
    aged(there["1" * 16], 31)
    (home / ("6" * 16)).touch()
    aged(home / ("6" * 16), 31)
    before = {path.name for path in home.iterdir()}

    cache.tidy(own)  # marked within the last day
    assert {path.name for path in home.iterdir()} == before and left.exists()
    aged(own, 2)
    cache.tidy(own)
    assert time.time() - own.stat().st_mtime < cache.DAY
    assert before - {path.name for path in home.iterdir()} == {"0" * 16}
    assert (precious / "f-0123456789abcdef.nbc").exists()
    assert {path.name for path in own.iterdir()} == {"f-0123456789abcdef.nbc", fresh.name}
    cache.tidy(tmp_path / "not there")


def test_a_new_folder_is_tidied_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    old = tmp_path / "fastbp" / ("0" * 16)
    old.mkdir(parents=True)
    aged(old, 31)
    assert cache.usable()[0].is_dir() and not old.exists()


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """The cache of a function in a folder of its own, a signature, and what is compiled for it."""
    function = options.reason
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(cache, "GUARD", cache.Guard(str(tmp_path)))
    monkeypatch.setattr(cache.Entries, "told", False)

    def twice(x):
        return x + x

    compiler = CPUDispatcher(twice, targetoptions={"nopython": True, "nogil": True})
    signature = (types.float64,)
    compiler.compile(signature)
    return cache.Entries(function, False), signature, compiler.overloads[signature]


def test_an_entry_is_what_was_compiled(entries):
    store, signature, compiled = entries
    target = compiled.target_context
    assert store.load_overload(signature, target) is None and store.cache_path == str(cache.CACHE)
    store.save_overload(signature, compiled)
    found = store.load_overload(signature, target)
    assert found.signature == compiled.signature and found.entry_point(1.5) == 3.0
    assert store.load_overload((types.float32,), target) is None
    assert cache.Entries(options.reason, True).load_overload(signature, target) is None
    assert cache.Entries(place, False).load_overload(signature, target) is None
    assert [path.suffix for path in cache.CACHE.iterdir()] == [".nbc"]


def test_no_damaged_entry_is_unpickled(entries, monkeypatch):
    """A flipped bit in any byte, any length that is too short, and whole files of something else."""
    store, signature, compiled = entries
    store.save_overload(signature, compiled)
    (path,), target = cache.CACHE.iterdir(), compiled.target_context
    whole = path.read_bytes()
    with monkeypatch.context() as patch:

        def fail(content):
            raise AssertionError("unpickled")

        patch.setattr(cache.pickle, "loads", fail)
        patch.setattr(cache, "load_code", fail)
        for place in [*range(64), *range(64, len(whole), 97)]:
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            assert store.load_overload(signature, target) is None
            path.write_bytes(whole[:place])
            assert store.load_overload(signature, target) is None
    own, other = (store._entry(given, compiled.codegen)[1] for given in (signature, (types.int64,)))
    for content in (b"no pickle", *map(pickle.dumps, (3, (other, compiled._reduce()), (own, (1, 2))))):
        path.write_bytes(hashlib.sha256(content).digest() + content)
        assert store.load_overload(signature, target) is None
    store.save_overload(signature, compiled)
    assert store.load_overload(signature, target).entry_point(2.0) == 4.0


def test_a_full_disk_costs_one_warning(entries, monkeypatch):
    store, signature, compiled = entries

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "replace", fail)
        with pytest.warns(RuntimeWarning, match="cannot keep its machine code on disk.*No space left") as seen:
            store.save_overload(signature, compiled)
            store.save_overload((types.float32,), compiled)
        assert len(seen) == 1 and list(cache.CACHE.iterdir()) == []
        patch.setattr(cache.GUARD, "take", fail)  # processes that keep nothing need not compile one after the other
        assert store.load_overload(signature, compiled.target_context) is None
    store.save_overload(signature, compiled)
    monkeypatch.setattr(cache.Entries, "told", False)
    monkeypatch.setattr(cache.os, "replace", fail)
    store.save_overload(signature, compiled)  # another process was faster: nothing is lost
    assert store.load_overload(signature, compiled.target_context) is not None


def test_without_a_folder_a_warning_says_why(entries, monkeypatch):
    store, signature, compiled = entries
    monkeypatch.setattr(cache, "CACHE", None)
    monkeypatch.setattr(cache, "REFUSED", "the moon is full")
    assert store.load_overload(signature, compiled.target_context) is None and store.cache_path is None
    with pytest.warns(RuntimeWarning, match="the moon is full. NUMBA_CACHE_DIR may name"):
        store.save_overload(signature, compiled)


def test_addresses_are_not_kept(entries):
    """Machine code with addresses of this process in it would crash another."""
    store, signature, compiled = entries
    library = SimpleNamespace(has_dynamic_globals=True)
    store.save_overload(signature, SimpleNamespace(library=library, codegen=compiled.codegen, _reduce=compiled._reduce))
    assert not cache.CACHE.exists()


COUNT_WARNINGS = """
import warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    exec(SCRIPT)
print(len(seen), *[warning.message for warning in seen])
"""

PREDICT = """
import numpy as np, fastbp
from fastbp.kernels.compile import cache
net = fastbp.Network((1, 1), dtype="float64", init="zeros")
net.parameters = [2.0, 1.0]
print(net.predict([[1.0], [3.0]]).ravel().tolist())
print(cache.CACHE)
"""

@compiled_only
def test_a_damaged_cache_is_compiled_anew(installed, run_python):
    """Flipped bits, truncated and empty files, none at all: the answer is right, and the next process finds it all."""
    _, _, environment = installed
    counted = KERNELS + PREDICT + """
print(*(sum(sum(count.values()) for count in counts) for counts in
        zip(*((kernel.stats.cache_hits, kernel.stats.cache_misses) for _, kernel in kernels()))))
"""
    folder = Path(run_python(counted, environment=environment).split("\n")[1])
    whole = {path: path.read_bytes() for path in folder.rglob("*.nb*")}
    assert len(whole) >= 4
    random = np.random.default_rng(0)

    def flipped(content):
        content = bytearray(content)
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        return content

    damages = flipped, lambda content: content[:random.integers(1, len(content))], lambda content: b""
    for turn in range(2):
        for i, (path, content) in enumerate(whole.items()):
            path.write_bytes(damages[(i + turn) % 3](content))
        for expected in (f"0 {len(whole)}", f"{len(whole)} 0"):
            answer, _, counts = run_python(counted, environment=environment).split("\n")[:3]
            assert eval(answer) == [3.0, 7.0] and counts == expected
        assert set(folder.iterdir()) == set(whole)


@compiled_only
@posix_user
def test_a_cache_on_a_full_or_read_only_disk(installed, run_python):
    """No file may grow: what is there is read without a word; where nothing is there, one warning, and nothing left."""
    _, cache, environment = installed
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    script = COUNT_WARNINGS.replace("SCRIPT", repr(PREDICT))
    answer, folder, told = run_python(limit + script, environment=environment).split("\n")[:3]
    assert eval(answer) == [3.0, 7.0]
    assert told.startswith("1 fastbp cannot keep its machine code on disk") and "File too large" in told
    assert list(Path(folder).iterdir()) == []
    run_python(PREDICT, environment=environment)
    assert len(list(Path(folder).iterdir())) >= 4
    Path(folder).chmod(0o500)
    try:
        assert run_python(limit + script, environment=environment).split("\n")[2] == "0"
    finally:
        Path(folder).chmod(0o700)


@compiled_only
def test_killed_while_an_entry_is_written(installed, run_python):
    """What the kill left behind is no entry, and the next process writes its own."""
    _, _, environment = installed
    kill = """
import os
os.replace = lambda *names: os._exit(0)
"""
    run_python(kill + PREDICT, environment=environment)
    found = run_python(PREDICT, environment=environment).split("\n")
    assert eval(found[0]) == [3.0, 7.0]
    left = [path.name for path in Path(found[1]).iterdir() if ".tmp." in path.name]
    assert len(left) == 1 and cache.FILE_NAME.fullmatch(left[0])


def test_numba_keeps_its_own_cache_folder():
    """The folder of fastbp is its own business; Numba's setting is left alone."""
    assert options.config.CACHE_DIR == os.environ.get("NUMBA_CACHE_DIR", "")


@pytest.mark.skipif(not options.JIT, reason="plain kernels allocate, so that nothing can be told from a peak")
@pytest.mark.parametrize("method", [SGD(0.1), Adam()], ids=str)
def test_fit_copies_no_state_it_need_not(method):
    """Parameters, gradient, best parameters, and the optimizer's slots: nothing else of that size."""
    sizes = 700, 300, 5
    X, Y = np.ones((8, sizes[0]), "float32"), np.ones((8, 5), "float32")
    net = Network(sizes, seed=0)
    net.fit(X, Y, epochs=1, optimizer=method)
    tracemalloc.start()
    net.fit(X, Y, epochs=2, optimizer=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < net.parameters.nbytes * (2 + method.slots) + 150_000, (peak, net.parameters.nbytes)

"""Save and load: whole or not at all, everything checked, nothing run."""

import copy
import errno
import json
import math
import os
import pickle
import stat
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import compiled_only, few, network
from safetensors.numpy import save as to_bytes

import fastbp
from fastbp import Network
from fastbp.persistence.networks import tensors as tensors_of
from fastbp.persistence.reading import FORMAT
from fastbp.util import disk

NETS = [
    network((2, 1)),
    network((3, 5, 4, 2), ("relu", "tanh"), seed=7),
    network((3, 4), cost="cross_entropy", dtype="float64", bias=False),
    network((2, 3, 1), "gelu", cost=fastbp.huber(0.25), init="he_normal", seed=np.int64(3)),
]


@pytest.mark.parametrize("net", NETS, ids=repr)
def test_round_trip(net, tmp_path):
    for path in (tmp_path / "net.safetensors", str(tmp_path / "name with spaces, ö")):
        net.save(path)
        again = Network.load(path)
        assert again.parameters.dtype == net.dtype and (again.parameters == net.parameters).all()
        assert again.architecture() == net.architecture() and repr(again) == repr(net)
        x = np.ones(net.layers[0])
        assert (again.predict(x) == net.predict(x)).all()
        again.fit(np.ones((4, net.layers[0])), np.full((4, net.layers[-1]), 1 / net.layers[-1]), epochs=1)
    assert sorted(os.listdir(tmp_path)) == ["name with spaces, ö", "net.safetensors"], "temporary files remain"


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_the_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    NETS[0].save(tmp_path / "n")
    assert (tmp_path / "n").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_values_that_are_not_finite_are_kept(tmp_path):
    net = network((2, 2))
    net.parameters[:3] = np.nan, np.inf, -0.0
    net.save(tmp_path / "n")
    assert Network.load(tmp_path / "n").parameters.tobytes() == net.parameters.tobytes()


def test_subclass(tmp_path):
    class Mine(Network):
        pass

    NETS[0].save(tmp_path / "n")
    assert type(Mine.load(tmp_path / "n")) is Mine


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_failing_write_leaves_the_old_file(where, tmp_path, monkeypatch):
    path = tmp_path / "n"
    NETS[0].save(path)
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "write":
        real = open

        class Full:
            def __init__(self, *arguments):
                self.file = real(*arguments)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                self.file.close()

            def write(self, content):
                self.file.write(content[:10])
                fail()

        monkeypatch.setattr(disk, "open", Full, raising=False)
    else:
        monkeypatch.setattr(disk.os, where, fail)
    with pytest.raises(OSError, match="No space left"):
        NETS[1].save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["n"]
    with pytest.raises(OSError):
        NETS[1].save(tmp_path / "no such folder" / "n")


@compiled_only
def test_killed_while_saving(tmp_path, run_python):
    """The process dies at every step of a save: the file is always the old one or the new one, whole.

    What is left behind is gone after the first save that comes an hour later.
    """
    path = tmp_path / "n"
    script = f"""
import os, sys
import numpy as np
from fastbp import Network
from fastbp.persistence import networks
from fastbp.util import disk
step = {{step}}
count = 0
def tracer(frame, event, argument):
    global count
    if frame.f_code.co_filename in (disk.__file__, networks.__file__) and event == "line":
        count += 1
        if count == step:
            os._exit(0)
    return tracer
net = Network((3, 2), seed=1)
net.parameters[:] = 1
sys.settrace(tracer)
net.save({str(path)!r})
sys.settrace(None)
print("finished", count)
"""
    old = Network((3, 2), seed=0)
    outcomes, step, left = set(), 1, 0
    while True:
        old.save(path)
        printed = run_python(script.replace("{step}", str(step)), timeout=60)
        found = Network.load(path).parameters
        outcomes.add("new" if (found == 1).all() else "old")
        assert (found == 1).all() or (found == old.parameters).all()
        for name in set(os.listdir(tmp_path)) - {"n"}:
            os.utime(tmp_path / name, (time.time() - 7200,) * 2)
            left += 1
        if "finished" in printed:
            break
        step += 3
    assert outcomes == {"old", "new"} and step > 10
    assert left > 0 and os.listdir(tmp_path) == ["n"]


def saved(tmp_path, net=NETS[1]):
    net.save(tmp_path / "n")
    return (tmp_path / "n").read_bytes()


def refused(tmp_path, content, message):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        Network.load(path)
    assert str(path) in str(caught.value)


def test_truncated_anywhere(tmp_path):
    content = saved(tmp_path)
    for length in [*range(0, 40), len(content) // 2, len(content) - 1]:
        refused(tmp_path, content[:length], "not a whole safetensors file")


def test_oversized(tmp_path):
    refused(tmp_path, saved(tmp_path) + b"\0", "not a whole safetensors file")


def test_any_byte_of_the_header_changed(tmp_path):
    """Either it is refused with a ValueError, or what loads is a network of that very shape."""
    content, rng = saved(tmp_path), np.random.default_rng(0)
    header = struct.unpack("<Q", content[:8])[0]
    refusals = 0
    for position in rng.choice(8 + header, 150, replace=False):
        spoilt = bytearray(content)
        spoilt[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad").write_bytes(spoilt)
        try:
            net = Network.load(tmp_path / "bad")
        except ValueError:
            refusals += 1
        else:
            assert net.layers == NETS[1].layers
    assert refusals > 100


def test_lengths_beyond_the_file(tmp_path):
    content = saved(tmp_path)
    for length in (2**63, 2**40, 10**8 + 1, len(content)):
        refused(tmp_path, struct.pack("<Q", length) + content[8:], "not a whole safetensors file")


def test_foreign_files(tmp_path):
    refused(tmp_path, to_bytes({"a": np.ones(3)}), "not one that fastbp wrote")
    refused(tmp_path, to_bytes({"a": np.ones(3)}, {"format": "pt"}), "not one that fastbp wrote")
    refused(tmp_path, b"PK\x03\x04 a zip archive, say" * 10, "not a whole safetensors file")
    refused(tmp_path, b"", "not a whole safetensors file")


def test_never_runs_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "bomb"),)

    refused(tmp_path, pickle.dumps(Bomb()), "not a whole safetensors file")
    architecture = NETS[0].architecture() | {"cost": "__import__('os').abort()"}
    header = {"format": FORMAT, "architecture": architecture}
    tensors = tensors_of(NETS[0])
    refused(tmp_path, to_bytes(tensors, {"fastbp": json.dumps(header)}), "unknown cost")
    assert not (tmp_path / "bomb").exists()


def forged(net=NETS[1], tensors=None, header=None, **architecture):
    own = tensors_of(net)
    whole = {"format": FORMAT, "architecture": net.architecture() | architecture}
    return to_bytes(own | (tensors or {}), {"fastbp": json.dumps(whole | header if header else whole)})


NESTED = []
for _ in range(900):
    NESTED = [NESTED]

HEADERS = [
    (dict(header={"format": 4}), "format 4, this fastbp reads up to 3: install a newer fastbp"),
    (dict(header={"format": 1}), "has format 1, which this fastbp does not read: train anew, or build the network"),
    (dict(header={"format": -5}), "has format -5, expected 2 or 3: its header is corrupt"),
    (dict(header={"format": True}), "has format True"),
    (dict(header={"format": 2.0}), "has format 2.0"),
    (dict(header={"format": "1"}), "has format 1"),
    (dict(header={"format": None}), "has format None"),
    (dict(header={"architecture": 5}), "corrupt header"),
    (dict(header={"architecture": {}}), "corrupt header"),
    (dict(layers=[3, 5, 4, 3]), "weights.2 is F32 .*its header says"),
    (dict(layers=[3, 5, 2]), "its header says"),
    (dict(layers=[10**9, 10**9, 10**9, 10**9]), "its header says"),
    (dict(layers=None), "corrupt header"),
    (dict(layers="35"), "its header says"),
    (dict(dtype="float64"), "weights.0 is F32 .*its header says F64"),
    (dict(dtype="complex64"), "corrupt header"),
    (dict(dtype=[]), "corrupt header"),
    (dict(bias=False), "its header says"),
    (dict(activation=["relu"]), "activation has 1 names"),
    (dict(activation=["relu", "sotfmax"]), "unknown activation"),
    (dict(activation=5), "corrupt header"),
    (dict(output="x"), "unknown activation"),
    (dict(init="x"), "unknown init"),
    (dict(seed="x"), "corrupt header"),
    (dict(cost_parameter="x", cost="huber"), "corrupt header"),
    (dict(extra=1), "corrupt header"),
    (dict(layers=[3.0, 5, 4, 2]), "corrupt header"),
    (dict(bias=1), "corrupt header"),
    (dict(activation="tanh"), "corrupt header"),
    (dict(cost_parameter=2.0), "corrupt header"),
    (dict(cost_parameter=10**400, cost="huber"), "corrupt header"),
    (dict(cost_parameter=True, cost="huber"), "corrupt header"),
    (dict(init=[["tanh"], "auto", "auto"]), "corrupt header"),
    (dict(init=NESTED), "corrupt header"),
    (dict(init=[{"constant": 10**400}, "auto", "auto"]), "corrupt header"),
    (dict(init=[{"constant": 1}, "auto", "auto"]), "corrupt header"),
    (dict(init=[{"given": "weights"}, "auto", "auto"]), "corrupt header"),
    (dict(init=[{"given": "weights"}, "auto", "auto"], tensors={"init.weights.0": np.ones((5, 3), np.complex64)}),
     "init.weights.0 is C64"),
    (dict(tensors={"init.weights.0": np.ones((5, 3), "float32")}), "its header says"),
    (dict(tensors={"init.weights.7": np.ones((5, 3), "float32")}), "corrupt header"),
    (dict(header={"training": []}), "corrupt header"),
    (dict(tensors={"weights.0": np.ones((3, 5), "float32")}),
     r"weights.0 is F32 \[3, 5\], its header says F32 \[5, 3\]"),
    (dict(tensors={"weights.0": np.ones((5, 3), "float64")}), "weights.0 is F64"),
    (dict(tensors={"weights.0": np.ones(15, "float32")}), "weights.0 is F32"),
    (dict(tensors={"more": np.ones(1)}), "its header says"),
]


@pytest.mark.parametrize(("changes", "message"), HEADERS, ids=[str(list(row[0].items()))[:50] for row in HEADERS])
def test_forged_headers(changes, message, tmp_path):
    refused(tmp_path, forged(**changes), message)


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "null", '{"format": 2}', "[" * 100_000, "NaN",
                                  '"' + "x" * 1000 + '"'])
def test_headers_that_are_not_ours(text, tmp_path):
    tensors = tensors_of(NETS[1])
    refused(tmp_path, to_bytes(tensors, {"fastbp": text}), "corrupt header")


def test_missing_file_folder_and_file_object(tmp_path):
    with pytest.raises(FileNotFoundError):
        Network.load(tmp_path / "none")
    with pytest.raises(OSError):
        Network.load(tmp_path)
    with open(tmp_path / "f", "wb") as file:
        pass
    with pytest.raises(TypeError):
        Network.load(file)
    with pytest.raises(TypeError):
        NETS[0].save(file)


# --------------------------------------------------------------------------------------- what a training's file may say

OPTIMIZERS = [*fastbp.optimizers.OPTIMIZERS, fastbp.SGD(0.02, 0.9, nesterov=True), fastbp.LBFGS(3),
              fastbp.Adam(fastbp.schedules.ReduceOnPlateau(0.02, 0.5, 2))]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer_goes_on_from_a_file(optimizer, tmp_path):
    """With the bits of the uninterrupted fit, also in its scalars; and all that was read is an array of its own."""
    X = np.random.default_rng(0).normal(size=(20, 2))
    Y = np.sin(X.sum(axis=1, keepdims=True))
    whole, first = (network((2, 4, 1), dtype="float64") for _ in range(2))
    whole.fit(X, Y, epochs=9, optimizer=optimizer, batch_size=None)
    first.fit(X, Y, epochs=5, optimizer=optimizer)
    first.save(tmp_path / "n", training=True)
    loaded = Network.load(tmp_path / "n")
    held = loaded._progress
    for array in (held.state, held.hyper, loaded.parameters):
        assert array.flags.owndata or array.base.flags.owndata
        assert array.flags.writeable and array.flags.aligned and array.dtype.isnative
    loaded.fit(X, Y, epochs=4, resume=True)
    assert loaded.parameters.tobytes() == whole.parameters.tobytes()
    assert loaded.history.cost.tobytes() == whole.history.cost.tobytes()
    assert held.optimizer.varied(loaded._progress.hyper) == whole._progress.optimizer.varied(whole._progress.hyper)


EVERYWHERE = """
import copy, json, math, struct, sys, warnings
import numpy as np
import fastbp
from fastbp import Network

warnings.simplefilter("ignore")
path, name = sys.argv[1:]
X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.sin(X.sum(axis=1))
net = Network((2, 3, 1), dtype="float64", seed=0)
net.fit(X, Y, epochs=4, optimizer=name, callbacks=[fastbp.EarlyStopping(5)])
net.save(path, training=True)
content = open(path, "rb").read()
size = struct.unpack("<Q", content[:8])[0]
table, data = json.loads(content[8 : 8 + size]), content[8 + size :]
header = json.loads(table["__metadata__"]["fastbp"])

def leaves(value, path=()):
    if isinstance(value, (dict, list)):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(below, (*path, key))
    else:
        yield path

def attempt(header, data):
    table["__metadata__"]["fastbp"] = json.dumps(header)
    text = json.dumps(table).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
    try:
        net = Network.load(path)
    except ValueError as error:
        assert str(error).startswith(path), error
        return 1
    if net.layers == (2, 3, 1):
        try:
            net.fit(X, Y, epochs=2, resume=True)
        except fastbp.DivergenceError:
            pass
    return 0

refused = tried = 0
for tensor in ("training.hyper", "training.history", "training.stopping"):
    begin, end = table.get(tensor, {}).get("data_offsets", (0, 0))
    for cell in range(begin, end, 8):
        for number in (-1.0, 0.5, 9.0, 11.0, 1e6, 2.0**53, 2.0**62, 1e300, math.inf, -math.inf, math.nan):
            changed = bytearray(data)
            changed[cell : cell + 8] = struct.pack("<d", number)
            refused, tried = refused + attempt(header, bytes(changed)), tried + 1
for place in leaves(header["training"]):
    for value in (None, True, "1", [], {}, -1, 1.5, 9, 10**6, 2**53, 2**63, 10**400, -1e300, 1e300, math.inf, math.nan):
        changed = copy.deepcopy(header)
        inner = changed["training"]
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        refused, tried = refused + attempt(changed, data), tried + 1
print(refused, tried)
"""


@compiled_only
@pytest.mark.parametrize("name", ["lbfgs", "scaledconjugategradient", "adam"])
def test_nonsense_in_any_place_of_a_training(name, tmp_path):
    """Nothing crashes, and nothing is raised but a ValueError that names the file."""
    done = subprocess.run([sys.executable, "-c", EVERYWHERE, tmp_path / "n", name], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    refused, tried = map(int, done.stdout.split())
    assert 0.5 * tried < refused < tried


PLATEAU = fastbp.SGD(fastbp.schedules.ReduceOnPlateau(0.1, patience=3))


@pytest.mark.parametrize(("optimizer", "name", "value", "expected"), [
    (fastbp.Adam(), "learning_rate", -1.0, "a number that is not negative"),
    (fastbp.Adam(), "power1", 1.5, "a number from 0 to 1"),
    (fastbp.Lion(), "power2", math.nan, "a number from 0 to 1"),
    (PLATEAU, "best_cost", math.nan, "a number from -inf to inf"),
    (PLATEAU, "waited", 3, "a whole number from -1 to 2"),
    (PLATEAU, "waited", 0.5, "a whole number from -1 to 2"),
    (fastbp.LBFGS(), "steps", -1, "a whole number from 0 to"),
    (fastbp.LBFGS(), "pairs", math.inf, "a whole number from 0 to"),
    (fastbp.LBFGS(), "pairs", 2.0**53 + 2, "a whole number from 0 to"),
    (fastbp.ConjugateGradient(), "step_length", math.inf, "a number that is not negative"),
    (fastbp.ConjugateGradient(), "last_slope", math.nan, "a finite number"),
    (fastbp.ScaledConjugateGradient(), "scale", -1e-9, "a number from 0 to inf"),
    (fastbp.ScaledConjugateGradient(), "curvature", math.nan, "a finite number"),
    (fastbp.ScaledConjugateGradient(), "refused", True, "a whole number from 0 to 1"),
    (fastbp.Rprop(), "begun", 2, "a whole number from 0 to 1"),
    (fastbp.Rprop(), "last_cost", None, "a finite number"),
    (fastbp.LevenbergMarquardt(), "damping", -1, "a number that is not negative"),
    (fastbp.LevenbergMarquardt(), "growth", 10**400, "a number that is not negative"),
    (fastbp.BayesianRegularization(), "alpha", math.inf, "a number that is not negative"),
], ids=lambda value: str(value)[:20])  # fmt: skip
def test_a_number_that_no_training_leaves(optimizer, name, value, expected):
    numbers = optimizer.varied(optimizer.hyper())
    assert optimizer.resumed(numbers).tobytes() == optimizer.hyper().tobytes()
    with pytest.raises(ValueError, match=f"{type(optimizer).__name__}: {name} is .*, expected {expected}"):
        optimizer.resumed(numbers | {name: value})
    for wrong in ({**numbers, "memory": 3}, {other: numbers[other] for other in numbers if other != name}):
        with pytest.raises(ValueError, match="its numbers are .*, expected"):
            optimizer.resumed(wrong)


def test_damaged_files():
    """A few hundred of those of which `tests/fuzz/files.py` makes ten thousand."""
    script = Path(__file__).parent / "fuzz" / "files.py"
    done = subprocess.run([sys.executable, script, "--count", str(few(400, 40)), "--workers", "1"],
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("make", [
    lambda: fastbp.Adam(10**400), lambda: fastbp.Adam(0.1, np.complex64(0.5)), lambda: fastbp.Rprop(10**400),
    lambda: fastbp.initializers.Constant(10**400), lambda: fastbp.huber(10**400), lambda: fastbp.huber("1"),
    lambda: fastbp.quantile(None), lambda: fastbp.SGD(0.1, 0.9, nesterov=1), lambda: fastbp.Rprop(variant="no"),
    lambda: fastbp.LevenbergMarquardt(geodesic_acceleration=0),
], ids=lambda make: None)  # fmt: skip
def test_what_a_constructor_refuses_it_refuses_by_a_value_error(make):
    with pytest.raises(ValueError, match=r"10{20}|expected|must"):
        make()


def test_a_training_from_which_none_goes_on_is_not_written(tmp_path):
    net = network((2, 1)).fit(np.eye(2), np.ones(2), epochs=1)
    net.parameters[0] = np.nan
    with pytest.raises(ValueError, match="parameters hold nan or inf.*save without training=True"):
        net.save(tmp_path / "n", training=True)
    net.save(tmp_path / "n")
    rate = 0.1
    for _ in range(17):
        rate = fastbp.schedules.WarmUp(rate, 2)
    net = network((2, 1)).fit(np.eye(2), np.ones(2), epochs=1, optimizer=fastbp.Adam(rate))
    with pytest.raises(ValueError, match="more than 16 schedules in one another cannot be saved"):
        net.save(tmp_path / "n", training=True)
    net = network((2, 1)).fit(np.eye(2), np.ones(2), epochs=1, optimizer=fastbp.Adam(rate.learning_rate))
    net.save(tmp_path / "n", training=True)
    assert Network.load(tmp_path / "n")._progress.optimizer == net._progress.optimizer


def test_a_history_that_was_put_aside(tmp_path):
    """Epochs go on counting where the record is begun anew."""
    net = network((2, 1)).fit(np.eye(2), np.ones(2), epochs=3)
    net.history = fastbp.History()
    net.save(tmp_path / "n", training=True)
    for again in (net, Network.load(tmp_path / "n")):
        assert again.fit(np.eye(2), np.ones(2), epochs=2, resume=True).history.epoch.tolist() == [4, 5]
    net.save(tmp_path / "n", training=True)
    assert Network.load(tmp_path / "n").history.epoch.tolist() == [4, 5]


# ------------------------------------------------------------------------------------------------ links, modes, debris

posix = pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays(exists, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "links").mkdir()
    path, target = tmp_path / "links" / "n", tmp_path / "far" / "net"
    path.symlink_to("../far/between")
    (tmp_path / "far" / "between").symlink_to("net")
    if exists:
        target.write_bytes(b"old")
    NETS[0].save(path)
    assert path.is_symlink() and not target.is_symlink()
    assert (Network.load(target).parameters == NETS[0].parameters).all()
    assert sorted(os.listdir(tmp_path / "far")) == ["between", "net"] and os.listdir(tmp_path / "links") == ["n"]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o400])
def test_the_mode_of_a_file_stays(mode, tmp_path, monkeypatch):
    """Also while it is written: what nobody else may read is not readable for a moment."""
    path, seen, sync = tmp_path / "n", [], os.fsync

    def look(handle):
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        sync(handle)

    path.write_bytes(b"old")
    path.chmod(mode)
    monkeypatch.setattr(os, "fsync", look)
    NETS[0].save(path)
    assert stat.S_IMODE(path.stat().st_mode) == seen[0] == mode


@posix
def test_another_hard_link_keeps_what_it_had(tmp_path):
    (tmp_path / "n").write_bytes(b"old")
    os.link(tmp_path / "n", tmp_path / "other")
    NETS[0].save(tmp_path / "n")
    assert (tmp_path / "other").read_bytes() == b"old" and Network.load(tmp_path / "n").layers == NETS[0].layers


@posix
def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, code in (("folder", errno.EISDIR), ("pipe", errno.EINVAL), ("loop", errno.ELOOP)):
        with pytest.raises(OSError, match=name) as caught:
            NETS[0].save(tmp_path / name)
        assert caught.value.errno == code and caught.value.filename == str(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "loop", "pipe"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_failing_write_names_the_file(where, checkpoint, tmp_path, monkeypatch):
    """The one that was asked for, and no temporary one."""
    path = tmp_path / "n"

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", *map(str, arguments[:1]))

    monkeypatch.setattr(disk.os, where, fail)
    with pytest.raises(OSError, match="No space left") as caught:
        if checkpoint:
            network((2, 1)).fit(np.eye(2), np.ones(2), epochs=1, callbacks=[fastbp.Checkpoint(path)])
        NETS[0].save(str(path))
    assert caught.value.filename == str(path) and caught.value.filename2 is None
    assert str(caught.value) == f"[Errno 28] No space left on device: {str(path)!r}"
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named_by_the_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        NETS[0].save(tmp_path / "none" / "n")
    assert caught.value.filename == str(tmp_path / "none" / "n")


def test_what_killed_saves_leave_is_removed(tmp_path, monkeypatch):
    """Once it is an hour old: a younger file may be of a save that is going on. Other files stay whatever their age."""

    def leave(age, name=".fastbp.0123456789abcdef"):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    leave(7200)
    leave(7200, "old")
    leave(7200, ".fastbp.0123")
    leave(7200, ".fastbp.notes.of.mine")
    NETS[0].save(tmp_path / "n")
    assert sorted(os.listdir(tmp_path)) == [".fastbp.0123", ".fastbp.notes.of.mine", "n", "old"]
    leave(1800)
    leave(7200, ".fastbp.0123456789abcdea")
    NETS[0].save(tmp_path / "n")  # the folder has been looked through a moment ago
    assert len(os.listdir(tmp_path)) == 6
    monkeypatch.setattr(disk, "_swept", {})
    NETS[0].save(tmp_path / "n")
    assert sorted(os.listdir(tmp_path)) == [".fastbp.0123", ".fastbp.0123456789abcdef", ".fastbp.notes.of.mine", "n",
                                            "old"]


# ---------------------------------------------------------------------------------------------------------- the history

class Counted:
    """A number that counts how often it is read."""

    read = 0

    def __float__(self):
        Counted.read += 1
        return 1.0


def test_a_row_of_the_history_is_converted_once():
    """However many epochs follow: else `Checkpoint`, which saves the whole history, grows with their square."""
    history, Counted.read = fastbp.History(), 0
    for epoch in range(1, 21):
        history.append(epoch, Counted(), None, 0.0)
        history.table()
        assert history.cost[-1] == 1 and history.last == len(history) == epoch
    assert Counted.read == 20


def test_the_history_is_read_while_a_fit_adds_to_it():
    """By another thread, which looks at what was there."""
    history, ended = fastbp.History(), threading.Event()

    def look():
        while not ended.is_set():
            table = history.table()
            assert (np.diff(table[:, 0]) == 1).all()

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        for epoch in range(1, few(100_000, 5_000)):
            history.append(epoch, 1.0, None, 0.0)
        ended.set()
        looking.result()


@pytest.mark.parametrize(("rows", "says"), [
    ([(1, 2, 3)], r"rows have shape \(1, 3\), expected \(epochs, 4\)"),
    ([(1, 2, 3, 4, 5, 6, 7, 8)], r"rows have shape \(1, 8\)"),
    ([1, 2, 3, 4], r"rows have shape \(4,\)"),
    ([(1, 2, 3, 4), (1, 2)], "inhomogeneous"),
    ([(0, 2, 3, 4)], "epochs are expected"),
    ([(1.5, 2, 3, 4)], "epochs are expected"),
    ([(2, 2, 3, 4), (2, 2, 3, 4)], "epochs are expected"),
    ([(math.nan, 2, 3, 4)], "epochs are expected"),
    ([(1, 2, 3, 4), (math.inf, 2, 3, 4)], "epochs are expected"),
    ([(1, 2, 3, -4)], "seconds are -4.0, expected no negative ones"),
], ids=str)
def test_rows_that_are_no_history(rows, says):
    with pytest.raises(ValueError, match=says):
        fastbp.History(rows)


def test_a_history_is_copied_and_pickled():
    history = fastbp.History([(1, 2.0, math.nan, 0.5), (2, 1.0, 3.0, 0.75)])
    for other in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history), fastbp.History(history.table())):
        other.append(3, 0.5, None, 1.0)
        assert other.epoch.tolist() == [1, 2, 3] and len(history) == 2 and other.cost.tolist() == [2, 1, 0.5]
    assert repr(history) == "<History: 2 epochs, cost 2 -> 1>" and repr(fastbp.History()) == "<History: no epochs>"

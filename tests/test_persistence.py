"""Save and load: whole or not at all, everything checked, nothing run."""

import errno
import json
import os
import pickle
import struct
import time

import numpy as np
import pytest
from helpers import network
from safetensors.numpy import save as to_bytes

import fastbp
from fastbp import Network, persistence

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

        monkeypatch.setattr(persistence, "open", Full, raising=False)
    else:
        monkeypatch.setattr(persistence.os, where, fail)
    with pytest.raises(OSError, match="No space left"):
        NETS[1].save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["n"]
    with pytest.raises(OSError):
        NETS[1].save(tmp_path / "no such folder" / "n")


def test_killed_while_saving(tmp_path, run_python):
    """The process dies at every step of a save: the file is always the old one or the new one, whole.

    What is left behind is gone after the first save that comes an hour later.
    """
    path = tmp_path / "n"
    script = f"""
import os, sys
import numpy as np
from fastbp import Network, persistence
step = {{step}}
count = 0
def tracer(frame, event, argument):
    global count
    if frame.f_code.co_filename == persistence.__file__ and event == "line":
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
    header = {"format": persistence.FORMAT, "architecture": NETS[0].architecture() | {"cost": "__import__('os').abort()"}}
    tensors = {name: np.ascontiguousarray(a) for name, a in persistence._names(NETS[0]).items()}
    refused(tmp_path, to_bytes(tensors, {"fastbp": json.dumps(header)}), "unknown cost")
    assert not (tmp_path / "bomb").exists()


def forged(net=NETS[1], tensors=None, header=None, **architecture):
    own = {name: np.ascontiguousarray(a) for name, a in persistence._names(net).items()}
    whole = {"format": persistence.FORMAT, "architecture": net.architecture() | architecture}
    return to_bytes(own | (tensors or {}), {"fastbp": json.dumps(whole | header if header else whole)})


NESTED = []
for _ in range(900):
    NESTED = [NESTED]

HEADERS = [
    (dict(header={"format": 3}), "format 3, this fastbp reads up to 2: install a newer fastbp"),
    (dict(header={"format": 1}), "has format 1, which this fastbp does not read: train anew, or build the network"),
    (dict(header={"format": -5}), "has format -5, expected 2: its header is corrupt"),
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


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "null", '{"format": 1}', "[" * 100_000, "NaN",
                                  '"' + "x" * 1000 + '"'])
def test_headers_that_are_not_ours(text, tmp_path):
    tensors = {name: np.ascontiguousarray(a) for name, a in persistence._names(NETS[1]).items()}
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

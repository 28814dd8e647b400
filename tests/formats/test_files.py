"""What writes files replaces them whole; what reads them takes no more than an ordinary file has."""

import errno
import inspect
import os

import numpy as np
import pytest

import fastbp
from fastbp.util import disk

SUFFIXES = {"to_c": ".c", "to_numpy": ".py"}
"""Which these ask for."""


def writers(owner):
    """Return the names of all methods that may be told where to write."""
    return sorted(name for name, method in inspect.getmembers(type(owner), inspect.isfunction)
                  if "path" in inspect.signature(method).parameters and not name.startswith("_"))


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Of every method of networks and estimators that writes, and nothing half written beside it."""
    mlp = fastbp.MLPClassifier(4, solver="lbfgs", tol=0.1, random_state=0).fit(np.eye(2), ["no", "yes"])
    found = [(owner, name) for owner in (fastbp.Network((2, 3, 1), "tanh", seed=0), mlp) for name in writers(owner)]
    assert [name for _, name in found] == ["save", "to_c", "to_fann", "to_numpy", "to_onnx",
                                           "to_c", "to_numpy", "to_onnx"]

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    for number, (owner, name) in enumerate(found):
        path = tmp_path / str(number) / f"net{SUFFIXES.get(name, '')}"
        path.parent.mkdir()
        path.write_text("old")
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left") as caught:
            patch.setattr(disk.os, "fsync", full)
            getattr(owner, name)(path)
        assert caught.value.filename == str(path)
        assert [file.read_text() for file in path.parent.iterdir()] == ["old"], name
        getattr(owner, name)(path)
        assert path.read_bytes() != b"old", name


READERS = [fastbp.from_onnx, fastbp.from_torch, fastbp.from_keras, fastbp.from_fann, fastbp.read_fann_data,
           fastbp.from_matlab]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_what_is_no_ordinary_file_is_not_read(read, tmp_path, monkeypatch):
    """A device has no end, and a pipe nothing to read until somebody writes."""
    places = [tmp_path / "folder", tmp_path / "pipe", *(p for p in ["/dev/zero"] if os.path.exists(p))]
    places[0].mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(places[1])
    for place in places:
        with pytest.raises(OSError) as caught:
            read(place)
        assert caught.value.filename == str(place)
    (tmp_path / "large").write_bytes(bytes(1000))
    monkeypatch.setattr(disk.machine, "physical_memory", lambda: 2000)
    with pytest.raises(ValueError, match="has 1000 bytes, expected at most 500"):
        disk.read(tmp_path / "large")

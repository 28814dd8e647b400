"""What writes files replaces them whole."""

import errno
import inspect

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

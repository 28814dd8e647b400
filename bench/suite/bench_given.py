"""What `fit` may be given beside rows and targets of the network's own type: each kind beside the plain fit."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

import fastbp

from .common import best_in_turns, needs, seconds_per_epoch

KINDS: dict[str, tuple[str, ...]] = {
    "class indices": (),
    "sample weights": ("Network.fit(sample_weight)",),
    "sparse rows": ("core.samples.SparseRows|validation.SparseRows",),
    "memory-mapped rows": (),
    "float64 rows": (),
    "columns first": (),
    "validation": ("Network.fit(validation)",),
    "a callback": ("Network.fit(callbacks)",),
    "EarlyStopping": ("EarlyStopping", "Network.fit(validation)"),
    "a schedule": ("schedules.Cosine",),
}
"""Kind -> the features that it needs."""

BATCH = 200


def sparse(X: np.ndarray) -> np.ndarray:
    """Return the rows with one number in twenty left."""
    return np.where(np.random.default_rng(1).random(X.shape) < 0.05, X, 0).astype(X.dtype)


def mapped(X: np.ndarray) -> np.ndarray:
    """Return the rows as they lie in a file, which has no name any more."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "X.npy")
        np.save(path, X)
        return np.load(path, mmap_mode="r")


@functools.cache
def sides(kind: str) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """Return a plain fit of 64-100-10 and one of this kind, as functions of the number of epochs; compiled."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((20_000, 64), np.float32)
    labels = (X @ generator.standard_normal((64, 10))).argmax(axis=1)
    Y = np.eye(10, dtype=np.float32)[labels]
    plain: dict[str, Any] = dict(X=X, Y=Y, optimizer=fastbp.Adam(1e-3))
    given = dict(plain)
    if kind == "class indices":
        given["Y"] = labels
    elif kind == "sample weights":
        given["sample_weight"] = generator.random(len(X)).astype(np.float32)
    elif kind == "sparse rows":
        from scipy.sparse import csr_array

        plain["X"] = sparse(X)
        given["X"] = csr_array(plain["X"])
    elif kind == "memory-mapped rows":
        given["X"] = mapped(X)
    elif kind == "float64 rows":
        given["X"] = X.astype(np.float64)
    elif kind == "columns first":
        given["X"] = np.asfortranarray(X)
    elif kind == "a callback":
        given["callbacks"] = [lambda record: None]
    elif kind == "a schedule":
        given["optimizer"] = fastbp.Adam(fastbp.schedules.Cosine(1e-3, epochs=1000))
    else:
        given["validation"] = X[:4000], Y[:4000]
        if kind == "EarlyStopping":
            given["callbacks"] = [fastbp.EarlyStopping(patience=10**9)]

    def trainer(settings: dict[str, Any]) -> Callable[[int], object]:
        net = fastbp.Network((64, 100, 10), "relu", cost="cross_entropy", seed=1)
        common = dict(settings, batch_size=BATCH, threads=1)
        net.fit(**common, epochs=1)
        return lambda epochs: net.fit(**common, epochs=epochs, resume=True)

    return trainer(plain), trainer(given)


class Given:
    """An epoch of 64-100-10 with 20,000 samples, on one thread; validation takes 4,000 more."""

    version = "1"
    params = list(KINDS)
    param_names = ["given"]
    number = 1  # training changes the state that it is timed on
    rounds = 2
    repeat = (6, 30, 2.0)
    warmup_time = 0

    def setup(self, kind: str) -> None:
        """Compile and train an epoch, once a process."""
        needs(*KINDS[kind])
        self.plain, self.given = sides(kind)

    def time_epoch(self, kind: str) -> None:
        """Train for an epoch."""
        self.given(1)

    def track_over_plain(self, kind: str) -> float:
        """Divide the time of an epoch by that of a plain one; of sparse rows, by that of the same rows in full."""
        seconds = best_in_turns(*(lambda side=side: seconds_per_epoch(side) for side in (self.plain, self.given)))
        return seconds[1] / seconds[0]

    track_over_plain.unit = "plain epochs"  # type: ignore[attr-defined]


class SparsePredict:
    """The forward pass of sparse rows, one number in twenty."""

    version = "1"

    def setup(self) -> None:
        """Compile."""
        needs("core.samples.SparseRows|validation.SparseRows")
        from scipy.sparse import csr_array

        self.net = fastbp.Network((64, 100, 10), "relu", seed=1)
        self.X = csr_array(sparse(np.random.default_rng(0).standard_normal((10_000, 64), np.float32)))
        self.net.predict(self.X)

    def time_ten_thousand_rows(self) -> None:
        """Predict 10,000 rows in one call."""
        self.net.predict(self.X)

"""Epochs from a file that is read by blocks, beside epochs from memory, and the file read alone.

``python -m bench.streaming --bytes 2GB --memory 256MB`` writes a file of random rows for 100-64-1, then times epochs of
Adam with batches of 256 on one thread: from the file with its pages in memory, from the file with none (Linux), and
from an array that holds all of it; and one pass of the reader alone, with and without pages. Sides take turns, and the
best round counts. The first epoch of a fit looks at every number; each time is of the epochs after it.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastbp import Network, data
from fastbp.core.streamed import READ_BYTES
from fastbp.util.settings import memory as memory_of

INPUTS, HIDDEN, BATCH = 100, 64, 256


def write(folder: Path, rows: int) -> None:
    """Write X.npy and Y.npy, a part at a time."""
    generator = np.random.default_rng(0)
    with open(folder / "X.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, INPUTS)})
        for first in range(0, rows, 100_000):
            file.write(generator.standard_normal((min(100_000, rows - first), INPUTS), np.float32).tobytes())
    np.save(folder / "Y.npy", generator.standard_normal(rows, np.float32))


def forget(folder: Path) -> None:
    """Have no page of the files in memory."""
    for path in folder.glob("*.npy"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def most_memory(begin: bool = False) -> int:
    """Return the bytes of memory that this process has had at most (Linux), or begin to count them anew."""
    if begin:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return 1024 * int(found[1]) if found else 0


def epoch_seconds(X: Any, Y: Any, before: Any = lambda: None, **settings: Any) -> float:
    """Return the time of the second epoch of a fit."""
    at: list[float] = []

    def note(record: Any) -> None:
        at.append(time.perf_counter())
        if record.epoch == 1:
            before()
            at[0] = time.perf_counter()

    Network((INPUTS, HIDDEN, 1), seed=0).fit(X, Y, epochs=2, batch_size=BATCH, callbacks=[note], **settings)
    return at[1] - at[0]


def reading_seconds(folder: Path) -> float:
    """Return the time of a pass of reads alone."""
    start = time.perf_counter()
    rows = data.npy(folder / "X.npy")
    some = READ_BYTES // (4 * INPUTS)
    buffer = np.empty((some, INPUTS), np.float32)
    for first in range(0, rows.shape[0], some):
        stop = min(first + some, rows.shape[0])
        rows.read_into(first, stop, buffer[: stop - first])
    return time.perf_counter() - start


def main() -> None:
    """Write the files, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bytes", default="2GB")
    parser.add_argument("--memory", default="256MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    rows = memory_of("bytes", options.bytes) // (4 * INPUTS)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(folder, rows)
        X, Y = data.npy(folder / "X.npy"), data.npy(folder / "Y.npy")
        small = Network((INPUTS, HIDDEN, 1), seed=0)
        small.fit(np.zeros((BATCH, INPUTS)), np.zeros(BATCH), epochs=1, batch_size=BATCH)
        compiled = most_memory(begin=True)
        streamed = {"memory": options.memory, "threads": options.threads}
        epoch_seconds(X, Y, **streamed)
        grown = most_memory() - compiled
        whole = np.load(folder / "X.npy"), np.load(folder / "Y.npy")
        sides = {
            "memory": lambda: epoch_seconds(*whole, threads=options.threads),
            "by blocks, pages in memory": lambda: epoch_seconds(X, Y, **streamed),
            "by blocks, from the disk": lambda: epoch_seconds(X, Y, lambda: forget(folder), **streamed),
            "reading alone, pages in memory": lambda: reading_seconds(folder),
            "reading alone, from the disk": lambda: (forget(folder), reading_seconds(folder))[1],
        }
        best = dict.fromkeys(sides, float("inf"))
        for _ in range(options.rounds):
            for side, measure in sides.items():
                best[side] = min(best[side], measure())
    print(f"{rows} rows, {rows * 4 * INPUTS / 1e9:.3g} GB; memory grew by {grown / 1e6:.0f} MB with {options.memory}")
    for side, seconds in best.items():
        print(f"| {side} | {seconds:.3g} s | {rows / seconds / 1e6:.3g} million rows/s | "
              f"{rows * 4 * INPUTS / seconds / 1e9:.3g} GB/s | {best['memory'] / seconds:.0%} |")


if __name__ == "__main__":
    main()

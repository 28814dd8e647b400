"""What compilation costs: CPU seconds kernel by kernel, and the wall time of a first fit in a fresh process.

``python -m bench.compile_time --dtype float32``. A kernel's own seconds exclude the functions compiled on its way,
which have lines of their own; functions that are inlined count where they are inlined.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST_FIT = """
import numpy as np
import fastbp
X = np.linspace(-1, 1, 128, dtype={dtype!r}).reshape(64, 2)
fastbp.Network((2, 8, 1), dtype={dtype!r}, seed=1).fit(X, X[:, :1], epochs=1)
"""


def by_kernel(dtype: str) -> None:
    """Fit in this process and print who compiled for how long; for a fresh process with an empty cache."""
    from numba.core import event

    class Clock(event.Listener):
        """Adds up the CPU time of each compilation less that of the compilations nested in it."""

        def __init__(self) -> None:
            self.open: list[list[float]] = []
            self.own: dict[str, float] = {}
            self.count: dict[str, int] = {}

        def on_start(self, event: event.Event) -> None:
            self.open.append([time.process_time(), 0.0])

        def on_end(self, event: event.Event) -> None:
            start, nested = self.open.pop()
            seconds = time.process_time() - start
            if self.open:
                self.open[-1][1] += seconds
            function = event.data["dispatcher"].py_func
            name = f"{function.__module__}.{function.__qualname__}"
            self.own[name] = self.own.get(name, 0.0) + seconds - nested
            self.count[name] = self.count.get(name, 0) + 1

    clock = Clock()
    import_start = time.process_time()
    import fastbp  # noqa: F401

    imported = time.process_time()
    with event.install_listener("numba:compile", clock):
        exec(FIRST_FIT.format(dtype=dtype), {})
    total = sum(clock.own.values())
    print(f"{'CPU s':>7}  {'times':>5}  compiled for the first fit, {dtype}")
    for name, seconds in sorted(clock.own.items(), key=lambda item: -item[1]):
        print(f"{seconds:7.3f}  {clock.count[name]:5d}  {name}")
    print(f"{total:7.3f}  {sum(clock.count.values()):5d}  all")
    print(f"{imported - import_start:7.3f}         import fastbp")
    rest = time.process_time() - imported - total
    print(f"{rest:7.3f}         the rest of the first fit: addresses, files, the fit itself")


def wall(code: str, cache: str) -> tuple[float, float]:
    """Time a fresh process, from its start to the end of ``code`` and to its own end.

    The bytecode of fastbp lies on disk, as after an installation.
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code + "\nimport time; print(time.monotonic())"], check=True,
                          env=environment, stdout=subprocess.PIPE, text=True)
    return float(told.stdout) - start, time.monotonic() - start


def main() -> None:
    """Read the options; compile in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.compile_time", description=__doc__)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many first fits (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        code = f"from bench.compile_time import by_kernel; by_kernel({options.dtype!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1],
                       env={**os.environ, "NUMBA_CACHE_DIR": folder})
        first_fit, rounds = FIRST_FIT.format(dtype=options.dtype), range(options.rounds)
        wall("import fastbp", folder)  # writes the bytecode
        cold = min(wall(first_fit, os.path.join(folder, str(i))) for i in rounds)
        cached = min(wall(first_fit, os.path.join(folder, "0")) for _ in rounds)
        bare = min(wall("import numba", folder) for _ in rounds)
    print("\nwall seconds of a fresh process, interpreter and import included, until the code is done (and the process "
          "has ended)")
    for name, (done, ended) in (("first fit, empty cache", cold), ("first fit from the cache", cached),
                                ("`import numba` alone", bare)):
        print(f"{done:7.2f} ({ended:.2f})  {name}")


if __name__ == "__main__":
    main()

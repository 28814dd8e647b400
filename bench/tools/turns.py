"""How long things take with this checkout beside another one, the two taking turns on the same machine.

    python bench/tools/turns.py --against ../before            # everything, a line each
    python bench/tools/turns.py --against ../before --select 2-8-1 predict --rounds 20

A ratio above 1 means that this checkout takes longer. Each side is a process that stays; a round asks both for the same
job, in an order that changes from round to round. The median of the rounds' ratios is what to read, since a noisy
neighbour slows both sides of a round; run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 0.15
"""How long a job is repeated in a round."""


def jobs() -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return the name of each job and a function that prepares it and returns what is timed."""
    sys.path.insert(0, str(ROOT))
    import numba

    import fastbp
    from bench.suite.workloads import WORKLOADS, data

    found: dict[str, Callable[[], Callable[[], Any]]] = {}
    rng = np.random.default_rng(0)

    def epoch(workload: Any) -> Callable[[], Any]:
        X, Y = data(workload, "float32")
        net = fastbp.Network(workload.layers, workload.activation, dtype=X.dtype, seed=1)
        options = {"epochs": 1, "batch_size": workload.batch, "optimizer": workload.optimizer, "threads": 1}
        net.fit(X, Y, **options)
        return lambda: net.fit(X, Y, resume=True, **options)

    for workload in WORKLOADS.values():
        if max(workload.layers) <= 512:
            found[f"epoch of {workload.name}"] = lambda w=workload: epoch(w)

    def predict(rows: int, layers: tuple[int, ...] = (64, 100, 10)) -> Callable[[], Any]:
        net = fastbp.Network(layers, "relu", seed=0)
        X = rng.normal(size=(rows, layers[0])).astype("float32")
        x = X[0] if rows == 1 else X
        return lambda: net.predict(x)

    for rows in (1, 1000):
        found[f"predict {rows} of 64-100-10"] = lambda n=rows: predict(n)

    def fit_call() -> Callable[[], Any]:
        net = fastbp.Network((2, 8, 1), seed=0)
        X, Y = np.ones((32, 2), "float32"), np.ones((32, 1), "float32")
        return lambda: net.fit(X, Y, epochs=1, batch_size=32)

    found["fit call, 2-8-1, one step"] = fit_call
    found["Network(2-8-1)"] = lambda: lambda: fastbp.Network((2, 8, 1), seed=0)

    def compiled(name: str) -> Callable[[], Any]:
        net = fastbp.Network((4, 32, 2), dtype="float32", seed=0)
        model = net.compiled()
        work, state = fastbp.jit.workspace(model), fastbp.jit.state(model, "sgd")
        x, y = np.ones(4, "float32"), np.ones(2, "float32")
        gradient = np.zeros(net.n_parameters, "float32")
        jit = fastbp.jit

        @numba.njit
        def forward(model, state, x, y, gradient, work):  # type: ignore[no-untyped-def]
            for _ in range(10_000):
                jit.forward(model, x, y, work)

        @numba.njit
        def cost_and_gradient(model, state, x, y, gradient, work):  # type: ignore[no-untyped-def]
            for _ in range(10_000):
                jit.cost_and_gradient(model, x, y, gradient, work)

        @numba.njit
        def train_one(model, state, x, y, gradient, work):  # type: ignore[no-untyped-def]
            for _ in range(10_000):
                jit.train_one(model, state, x, y, work)

        call = {"forward": forward, "cost_and_gradient": cost_and_gradient, "train_one": train_one}[name]
        call(model, state, x, y, gradient, work)
        return lambda: call(model, state, x, y, gradient, work)

    for name in ("forward", "cost_and_gradient", "train_one"):
        found[f"jit.{name} of 4-32-2, 10,000 times"] = lambda n=name: compiled(n)
    return found


def serve() -> None:
    """Do jobs as they are asked for on standard input; answer with the seconds of the fastest repetition."""
    known, ready = jobs(), {}
    print(json.dumps(list(known)), flush=True)
    for line in sys.stdin:
        name = json.loads(line)
        if name not in ready:
            ready[name] = known[name]()
            ready[name]()
        best, end = float("inf"), time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            ready[name]()
            best = min(best, time.perf_counter() - start)
        print(json.dumps(best), flush=True)


class Side:
    """A process that does jobs with the fastbp of a checkout."""

    def __init__(self, checkout: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
        self.process = subprocess.Popen([sys.executable, __file__, "--serve"], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.jobs = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def seconds(self, name: str) -> float:
        """Return how long a job takes."""
        assert self.process.stdin is not None
        print(json.dumps(name), file=self.process.stdin, flush=True)
        return float(self._read())

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Compare, and print a line for each job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="the other checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only jobs whose name contains one of these")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    if options.against is None:
        parser.error("--against is missing: the other checkout")
    mine, other = Side(ROOT), Side(options.against)
    for name in mine.jobs:
        if options.select and not any(text in name for text in options.select):
            continue
        times: dict[Side, list[float]] = {mine: [], other: []}
        for turn in range(options.rounds):
            for side in (mine, other) if turn % 2 else (other, mine):
                times[side].append(side.seconds(name))
        ratios = [a / b for a, b in zip(times[mine], times[other], strict=True)]
        print(f"{name:45} {min(times[other]) * 1e6:12.2f} -> {min(times[mine]) * 1e6:12.2f} µs, "
              f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)
    mine.close()
    other.close()


if __name__ == "__main__":
    main()

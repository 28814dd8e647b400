"""Training with products in bfloat16, beside float32 and beside JAX and PyTorch in bfloat16; and what is learned so.

    python -m bench.bfloat16 speed --threads 1 2 --markdown docs/explanation/performance.md
    python -m bench.bfloat16 learning --markdown docs/explanation/performance.md

``speed`` takes the peers' environment of `bench.peers`, whose rounds it has: each side in a process of its own, taking
turns. ``learning`` trains the same networks from the same first weights in both precisions, with 10 seeds each; rows
that are judged by are not trained on, and the network is judged in float32.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import sides
from .peers import PAUSE_SECONDS, ROUND_SECONDS, Side, between, number, processor, set_threads, versions
from .suite import workloads
from .suite.workloads import WORKLOADS, Array, Workload

WIDE = "17-256-256-6 batch 256", "784-512-512-10 batch 256", "1024-2048-2048-1024 batch 1024"

SIDES = {
    "fastbp, float32": sides.fastbp,
    "fastbp": partial(sides.fastbp, precision="bfloat16"),
    "JAX": partial(sides.jax, precision="bfloat16"),
    "PyTorch, autocast": partial(sides.pytorch, precision="autocast"),
    "PyTorch, all bfloat16": partial(sides.pytorch, precision="bfloat16"),
}

PEAK = "fastbp"
"""The side that measures the peak."""


# ------------------------------------------------------------------------------------------------------------- speed


def _answer(state: dict[str, Any], side: str, dtype: str, request: str, *arguments: Any) -> Any:
    """Answer the requests prepare, round and peak in a side's process."""
    if request == "peak":
        from fastbp.training.profile import multiply_add_peak

        return multiply_add_peak("bfloat16")
    if request == "prepare":
        workload: Workload = arguments[0]
        state["train"] = train = SIDES[side](workload, *workloads.data(workload, dtype))
        first = train(1)
        start = time.perf_counter()
        train(1)
        state["epochs"] = max(1, math.ceil(ROUND_SECONDS / (time.perf_counter() - start)))
        return first
    start = time.perf_counter()
    cost = state["train"](state["epochs"])
    return (time.perf_counter() - start) / state["epochs"], cost


def speed(threads: list[int], rounds: int, names: list[str]) -> str:
    """Return a table of microseconds a step."""
    cores, lines = sorted(os.sched_getaffinity(0)), []
    for count in threads:
        set_threads(count, cores)
        running = {name: Side(name, "float32", _answer) for name in SIDES}
        heads = [f"{count} thread{'s' * (count > 1)}: µs a step", *SIDES, "float32 ÷ bfloat16",
                 "best peer ÷ fastbp", "GFLOP/s", "share of peak"]
        lines += ["", "| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
        peak = running[PEAK].ask("peak")
        for workload in (WORKLOADS[name] for name in names):
            first = {name: side.ask("prepare", workload) for name, side in running.items()}
            if max(first.values()) > 1.4 * min(first.values()):
                print(f"sides do other work on {workload.name}: {first}", file=sys.stderr)
            best = dict.fromkeys(running, math.inf)
            for _ in range(rounds):
                for name, side in running.items():
                    time.sleep(PAUSE_SECONDS)
                    best[name] = min(best[name], 1e6 * side.ask("round")[0] / workload.steps)
            peak = max(peak, running[PEAK].ask("peak"))
            own, peers = best["fastbp"], [value for name, value in best.items() if not name.startswith("fastbp")]
            flops = workload.step_flop / own / 1e3
            row = [workload.name, *map(number, best.values()), f"{best['fastbp, float32'] / own:.2f}",
                   f"{min(peers) / own:.2f}", f"{flops:.0f}", f"{100 * flops / peak / count:.0f} %"]
            lines.append("| " + " | ".join(row) + " |")
            print(lines[-1], flush=True)
        for side in running.values():
            side.close()
    return "\n".join(lines[1:]) + (
        "\n\nColumns without a precision are in bfloat16. Adam, squared error, shuffling and gathering included; best "
        f"of {rounds} rounds, the sides taking turns. The peak of a core, as the tile of pairs reaches it on data in "
        f"L1, is {peak:.0f} GFLOP/s.")


# ---------------------------------------------------------------------------------------------------------- learning


class Problem(NamedTuple):
    """A task, and how a network is judged: by what is better when less."""

    layers: tuple[int, ...]
    options: dict[str, Any]
    data: Callable[[], tuple[Array, Array, Array, Array]]
    epochs: int
    batch: int
    rate: float
    judge: str


def digits() -> tuple[Array, Array, Array, Array]:
    """Return scikit-learn's digits, every fourth row to judge by."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    X, test = (X / 16).astype(np.float32), np.arange(len(X)) % 4 == 0
    return X[~test], y[~test], X[test], y[test]


def divided(X: Array, Y: Array) -> tuple[Array, Array, Array, Array]:
    """Return every fifth row apart, targets with mean 0 and deviation 1."""
    Y = ((Y - Y.mean()) / Y.std()).astype(np.float32)[:, None]
    X, test = X.astype(np.float32), np.arange(len(X)) % 5 == 0
    return X[~test], Y[~test], X[test], Y[test]


def friedman() -> tuple[Array, Array, Array, Array]:
    """Return 20,000 rows of Friedman's first problem, with noise of deviation 1."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(20_000, 10))
    Y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return divided(2 * X - 1, Y + rng.normal(size=len(X)))


def smooth() -> tuple[Array, Array, Array, Array]:
    """Return 20,000 rows of a smooth function without noise, which shows how exactly a network can be trained."""
    X = np.random.default_rng(1).uniform(-1, 1, (20_000, 6))
    return divided(X, np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2] + np.exp(-4 * X[:, 3] ** 2) * X[:, 4] + X[:, 5] ** 3)


def surface() -> tuple[Array, Array, Array, Array]:
    """Return the first example of the README: the last fifth is kept back."""
    X = np.random.default_rng(0).uniform(-2, 2, (5000, 2)).astype(np.float32)
    Y = np.sin(X[:, :1]) * np.cos(X[:, 1:])
    return X[:4000], Y[:4000], X[4000:], Y[4000:]


def xor() -> tuple[Array, Array, Array, Array]:
    """Return exclusive or, whose four rows are all that there is."""
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    Y = np.array([[0], [1], [1], [0]], np.float32)
    return X, Y, X, Y


CLASSES = {"activation": "relu", "cost": "cross_entropy"}
PROBLEMS = {
    "digits, 64-100-10": Problem((64, 100, 10), CLASSES, digits, 60, 64, 0.003, "errors in %"),
    "digits, 64-512-10 (README)": Problem((64, 512, 10), CLASSES, digits, 60, 64, 0.001, "errors in %"),
    "20,000 rows with noise, 10-128-128-1": Problem((10, 128, 128, 1), {}, friedman, 40, 128, 0.001, "RMSE"),
    "20,000 rows without noise, 6-256-256-1": Problem((6, 256, 256, 1), {}, smooth, 60, 128, 0.001, "RMSE"),
    "a surface, 2-32-32-1 (README)": Problem((2, 32, 32, 1), {}, surface, 300, 64, 0.001, "RMSE"),
    "XOR, 2-4-1 (README)": Problem((2, 4, 1), {"output": "logistic", "cost": "binary_cross_entropy"}, xor, 300, 4, 0.1,
                                   "RMSE"),
}


def judged(problem: Problem, seed: int, precision: str) -> tuple[float, float]:
    """Train, and return the last cost and how wrong the network is on rows that it has not seen."""
    import fastbp

    X, Y, X_test, Y_test = problem.data()
    net = fastbp.Network(problem.layers, seed=seed, **problem.options)
    rate = fastbp.schedules.Cosine(problem.rate)
    net.fit(X, Y, epochs=problem.epochs, batch_size=problem.batch, optimizer=fastbp.Adam(rate), threads=1,
            precision=precision)
    out = net.predict(X_test)
    if problem.judge == "RMSE":
        return float(net.history.cost[-1]), float(np.sqrt(((out - Y_test) ** 2).mean()))
    return float(net.history.cost[-1]), float(100 * (out.argmax(axis=1) != Y_test).mean())


def learning(seeds: int, names: list[str]) -> str:
    """Return a table: mean and standard deviation over the seeds."""
    heads = ["problem", "judged by", "float32", "bfloat16", "difference", "cost in training, float32", "bfloat16"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for name in names:
        found = {precision: np.array([judged(PROBLEMS[name], seed, precision) for seed in range(seeds)])
                 for precision in ("float32", "bfloat16")}

        def shown(precision: str, column: int, found: dict[str, Array] = found) -> str:
            values = found[precision][:, column]
            return f"{statistics.mean(values):.3g} ± {statistics.stdev(values):.1g}"

        change = found["bfloat16"][:, 1] - found["float32"][:, 1]
        row = [name, PROBLEMS[name].judge, shown("float32", 1), shown("bfloat16", 1),
               f"{change.mean():+.2g} ± {change.std(ddof=1) / math.sqrt(seeds):.1g}", shown("float32", 0),
               shown("bfloat16", 0)]
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + (
        f"\n\nMean ± standard deviation over {seeds} seeds, on rows that were not trained on; the difference is that "
        "of the same seed, ± its standard error. Adam, its rate falling to 0 by a cosine; RMSE in deviations of the "
        "targets, but for the README's; both judged in float32.")


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.bfloat16", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "learning"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=5, help="of each side (default: 5)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--select", nargs="+", help="workloads or problems that have one of these words in their names")
    parser.add_argument("--markdown", nargs="+", type=Path, default=[], metavar="FILE",
                        help="write the table between its markers in these files")
    options = parser.parse_args()
    names = [name for name in (WIDE if options.what == "speed" else PROBLEMS)
             if options.select is None or any(word in name for word in options.select)]
    libraries = ["numba", "numpy"]
    if options.what == "speed":
        text, libraries = speed(options.threads, options.rounds, names), ["jax", "torch", *libraries]
    else:
        text = learning(options.seeds, names)
    import fastbp

    command = " ".join(["python -m bench.bfloat16", *sys.argv[1:]])
    text += (f" {processor()}; fastbp {fastbp.__version__}, "
             + ", ".join(f"{name} {version}" for name, version in versions(libraries).items())
             + f". {datetime.date.today().isoformat()}, `{command}`.")
    for path in options.markdown:
        between(path, f"<!-- bfloat16 {options.what} -->", f"<!-- /bfloat16 {options.what} -->", text)


if __name__ == "__main__":
    main()

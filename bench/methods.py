"""Every optimizer of the catalogue on six problems: how many epochs and seconds to the solution, and how often.

``python -m bench.methods`` prints a Markdown table, and what cost each method reaches in the same time, by size; with
``--markdown`` it writes both between the markers of docs/measured/methods.md. Learning rates, sizes of the networks and
numbers of epochs were chosen with seeds 0 to 9, and with the division of digits and diabetes that seed 0 draws; what is
reported begins at seed 100, and no setting was changed after it. A run ends where the problem counts as solved, or
after as many epochs as its family may take.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of NumPy's factors and of scikit-learn: one thread is measured

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

import fastbp
from fastbp.optimizers import OPTIMIZERS
from fastbp.optimizers.line_search import BatchMethod

from .peers import ROOT, between, processor, versions
from .suite.workloads import Array

BEGIN, END = "<!-- methods -->", "<!-- /methods -->"

VARIANTS = {
    "sgd, momentum": ("sgd", {"momentum": 0.9}),
    "sgd, Nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
    "rprop, iRprop−": ("rprop", {"variant": "irprop-"}),
    "rprop, Rprop+": ("rprop", {"variant": "rprop+"}),
    "rprop, Rprop−": ("rprop", {"variant": "rprop-"}),
}
"""Rows beside those of the catalogue, in which each name stands for its defaults (iRprop+ for rprop)."""


RATES = {  # XOR, parity-4, two spirals, sin, digits, diabetes
    "sgd": (3.0, 3.0, 0.3, 0.3, 0.3, 0.01),
    "sgd, momentum": (3.0, 3.0, 0.03, 0.1, 0.1, 0.01),
    "sgd, Nesterov": (1.0, 1.0, 0.03, 0.1, 0.1, 0.01),
    "adam": (0.1, 0.1, 0.01, 0.03, 0.01, 0.01),
    "adamw": (0.1, 0.1, 0.003, 0.03, 0.01, 0.01),
    "amsgrad": (0.1, 0.1, 0.01, 0.03, 0.01, 0.01),
    "nadam": (0.1, 0.1, 0.01, 0.03, 0.01, 0.01),
    "radam": (0.1, 0.1, 0.01, 0.03, 0.01, 0.01),
    "adabelief": (0.1, 0.1, 0.01, 0.03, 0.01, 0.01),
    "lion": (0.03, 0.03, 0.001, 0.003, 0.001, 0.001),
    "rmsprop": (0.1, 0.1, 0.01, 0.01, 0.01, 0.001),
    "adagrad": (1.0, 1.0, 0.1, 0.3, 0.1, 0.03),
    "adadelta": (10.0, 10.0, 3.0, 10.0, 3.0, 0.3),
    "quickprop": (1.0, 1.0, 0.003, 0.01, 0.1, 0.01),
}
"""Learning rates, where a method has one."""


Folds = list[tuple[Array, Array, Array, Array]]


@dataclass
class Problem:
    """Data, a network, what counts as solved, and the settings."""

    name: str
    what: str
    layers: tuple[int, ...]
    options: dict[str, Any]
    folds: Callable[[int], Folds]
    """Returns (X, Y, test X, test Y) of each, by the seed."""
    score: Callable[[list[fastbp.Network], Folds], float]
    least: float
    """The score from which on it counts as solved."""
    stop: Callable[[], list[Any]] = list
    """Makes the callbacks that end a run before its time."""
    batch: int = 32
    epochs: dict[str, int] = field(default_factory=dict)
    """Epochs at most, for mini-batches and for full-batch methods, or by the name of a method."""
    cosine: bool = False
    """Whether the rates of mini-batch methods fall to 0 along half a cosine."""
    l2: float = 0.0
    smaller: tuple[int, ...] = ()
    """Layers for the methods of SYSTEMS, where the others' have too many parameters."""


FIRST_SEED = 100
"""Those of the table; none below was used by it."""

SYSTEMS = ("levenbergmarquardt", "bayesianregularization")
"""Methods that solve a linear system of all parameters in each step."""


def all_right(nets: list[fastbp.Network], folds: Folds) -> float:
    """Return the share of samples on their own side of ½."""
    X, Y = folds[0][2:]
    return float(((nets[0].predict(X).ravel() > 0.5) == (Y > 0.5)).mean())


def accuracy(nets: list[fastbp.Network], folds: Folds) -> float:
    """Return the share of right classes."""
    X, Y = folds[0][2:]
    return float((nets[0].predict(X).argmax(axis=1) == Y).mean())


def explained(nets: list[fastbp.Network], folds: Folds) -> float:
    """Return the mean R² over the folds."""
    return float(np.mean([1 - np.square(net.predict(X).ravel() - Y).mean() / Y.var()
                          for net, (_, _, X, Y) in zip(nets, folds, strict=True)]))


def boolean(inputs: int, hidden: int, epochs: int) -> Problem:
    """Parity of so many bits."""
    X = (np.arange(2**inputs)[:, None] >> np.arange(inputs) & 1).astype(float)
    Y = X.sum(axis=1) % 2
    name = "XOR" if inputs == 2 else f"parity-{inputs}"
    return Problem(name, f"{inputs}-{hidden}-1, all patterns right", (inputs, hidden, 1),
                   {"cost": "binary_cross_entropy"}, lambda seed: [(2 * X - 1, Y, 2 * X - 1, Y)], all_right, 1.0,
                   # one sample on the wrong side costs log 2 at least
                   lambda: [fastbp.TargetCost(math.log(2) / len(X))], batch=len(X),
                   epochs={"mini": epochs, "full": epochs // 2})


def spirals() -> Problem:
    """Make the two spirals of Lang & Witbrock (1988): 97 points each, three turns."""
    i = np.arange(97)
    angle, radius = i * np.pi / 16, 6.5 * (104 - i) / 104
    one = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1) / 6.5
    X, Y = np.concatenate([one, -one]), np.repeat([0.0, 1.0], 97)
    return Problem("two spirals", "2-50-50-1 (systems: 2-20-20-1), all 194 points right", (2, 50, 50, 1),
                   {"cost": "binary_cross_entropy", "init": ["nguyen_widrow", "auto", "auto"]},
                   lambda seed: [(X, Y, X, Y)], all_right, 1.0, lambda: [fastbp.TargetCost(math.log(2) / len(X))],
                   epochs={"mini": 6000, "adagrad": 30_000, "full": 3000, "levenbergmarquardt": 400,
                           "bayesianregularization": 2000}, cosine=True,
                   smaller=(2, 20, 20, 1))


def sine() -> Problem:
    """Regression of a sine without noise."""
    X = np.linspace(-math.pi, math.pi, 200)[:, None]
    Y = np.sin(X[:, 0])
    return Problem("sin", "1-12-1, half mean square ≤ 1e-3", (1, 12, 1), {}, lambda seed: [(X, Y, X, Y)],
                   lambda nets, folds: -nets[0].cost(X, Y), -1e-3,
                   lambda: [fastbp.TargetCost(1e-3)], epochs={"mini": 3000, "full": 3000})


def digits() -> Problem:
    """Handwritten digits of 8 by 8 pixels, a quarter of them kept for the test."""
    X, Y = load_digits(return_X_y=True)
    test = np.arange(len(X)) % 4 == 0

    def folds(seed: int) -> Folds:
        order = np.random.default_rng(seed).permutation(len(X))
        x, y = X[order] / 16, Y[order]
        return [(x[~test], y[~test], x[test], y[test])]

    return Problem("digits", "64-40-10 (systems: 64-16-10), test accuracy ≥ 97 %", (64, 40, 10),
                   {"cost": "cross_entropy"}, folds, accuracy, 0.97,
                   epochs={"mini": 60, "full": 200} | dict.fromkeys(SYSTEMS, 20), cosine=True, l2=1e-3,
                   smaller=(64, 16, 10))


def diabetes() -> Problem:
    """Progression of a disease from ten standardised variables, five folds."""
    X, Y = load_diabetes(return_X_y=True)
    X, Y = X / X.std(axis=0), (Y - Y.mean()) / Y.std()
    fold = np.arange(len(X)) % 5

    def folds(seed: int) -> Folds:
        order = np.random.default_rng(seed).permutation(len(X))
        x, y = X[order], Y[order]
        return [(x[fold != k], y[fold != k], x[fold == k], y[fold == k]) for k in range(5)]

    return Problem("diabetes", "10-4-1, mean test R² of 5 folds ≥ 0.45", (10, 4, 1), {}, folds, explained, 0.45,
                   epochs={"mini": 60, "full": 60}, l2=0.1)


PROBLEMS = {problem.name: problem for problem in (
    boolean(2, 4, 2000), boolean(4, 16, 4000), spirals(), sine(), digits(), diabetes())}


def run(problem: Problem, method: str, seed: int) -> tuple[float, int, float]:
    """Train a network for each fold; give the score, the epochs and the seconds."""
    name, settings = VARIANTS.get(method, (method, {}))
    kind = OPTIMIZERS[name]
    full = issubclass(kind, BatchMethod)
    rate = dict(zip(PROBLEMS, RATES.get(method, ()), strict=False)).get(problem.name)
    epochs = problem.epochs.get(method, problem.epochs["full" if full else "mini"])
    schedule = fastbp.schedules.Cosine(rate, epochs) if rate and problem.cosine and not full else rate
    optimizer = kind(**settings, **({} if rate is None else {"learning_rate": schedule}))
    own = name == "bayesianregularization"
    penalty = fastbp.Regularization(l2=problem.l2) if problem.l2 and not own else None
    nets, taken, seconds, folds = [], 0, 0.0, problem.folds(seed)
    for X, Y, _, _ in folds:
        layers = problem.smaller if problem.smaller and name in SYSTEMS else problem.layers
        net = fastbp.Network(layers, dtype="float64" if full else "float32", seed=seed, **problem.options)
        X, Y = X.astype(net.dtype), Y.astype(net.dtype)
        start = time.perf_counter()
        try:
            net.fit(X, Y, epochs=epochs, optimizer=optimizer, threads=1,
                    batch_size=None if full else problem.batch, regularization=penalty, callbacks=problem.stop(),
                    validation=(X, Y) if problem.stop is not list and not full else None)  # the cost after the epoch
        except fastbp.DivergenceError:
            pass
        seconds += time.perf_counter() - start
        taken += len(net.history)
        nets.append(net)
    return problem.score(nets, folds), taken // len(folds), seconds


def cell(problem: Problem, method: str, seeds: int) -> str:
    """Return the median epochs and seconds of the runs that solve it, how many do, and the mean score of a test."""
    try:
        run(problem, method, 0)  # compiles
    except ValueError as error:  # what the method does not take, a penalty for instance
        print(f"{method}, {problem.name}: {error}", flush=True)
        return "n/a"
    found = [run(problem, method, FIRST_SEED + i) for i in range(seeds)]
    failed = [f"{FIRST_SEED + i}: {score:.4g}" for i, (score, _, _) in enumerate(found) if score < problem.least]
    if failed:
        print(f"{method}, {problem.name}: failed with seeds {', '.join(failed)}", flush=True)
    good = [(epochs, seconds) for score, epochs, seconds in found if score >= problem.least]
    notes = [] if len(good) == seeds else [f"{len(good)} of {seeds}"]
    if problem.stop is list:
        notes.append(f"{np.mean([score for score, _, _ in found]):.3f}")
    rest = f" ({'; '.join(notes)})" if notes else ""
    if not good:
        return f"none{rest}"
    epochs, seconds = median(e for e, _ in good), median(s for _, s in good)
    return f"{epochs:,.0f}, {seconds:.2g} s{rest}"


def table(methods: list[str], problems: list[Problem], seeds: int) -> str:
    """Write it in Markdown."""
    lines = ["| method | " + " | ".join(problem.name for problem in problems) + " |",
             "|---" + "|---:" * len(problems) + "|"]
    for method in methods:
        cells = []
        for problem in problems:
            cells.append(cell(problem, method, seeds))
            print(f"{method}, {problem.name}: {cells[-1]}", flush=True)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


SIZES = (((4, 8, 1), 500, 0.1), ((6, 30, 30, 2), 500, 0.3), ((6, 30, 30, 2), 20_000, 2.0),
         ((20, 150, 150, 5), 2_000, 3.0), ((20, 150, 150, 5), 50_000, 5.0))
"""Layers, samples, and seconds that each method is given."""

RACERS: dict[str, dict[str, Any]] = {
    "adam": {"batch_size": 32}, "adam, 256": {"batch_size": 256}, "rprop": {}, "conjugategradient": {},
    "scaledconjugategradient": {}, "lbfgs": {}, "levenbergmarquardt": {}, "bayesianregularization": {},
}
"""Columns, as far as the catalogue has them."""


LARGEST_SYSTEM = 5000
"""Parameters up to which methods that solve linear systems take part: one of 26,000 equations takes minutes."""


def race(layers: tuple[int, ...], samples: int, seconds: float, method: str, seeds: int) -> str:
    """Return the geometric mean over seeds of the cost, after so many seconds of fitting a smooth function."""
    size = sum((n + 1) * m for n, m in zip(layers[:-1], layers[1:], strict=True))
    if method in SYSTEMS and size > LARGEST_SYSTEM:
        return "n/a"
    rng = np.random.default_rng(5)
    X = rng.normal(size=(samples, layers[0]))
    Y = np.sin(X @ rng.normal(size=(layers[0], layers[-1])) / math.sqrt(layers[0]) * 2)
    kind = OPTIMIZERS[method.split(",")[0]]
    logs = []
    for seed in range(-1, seeds):  # the first compiles
        net = fastbp.Network(layers, dtype="float64" if method in SYSTEMS else "float32",
                             seed=abs(seed))
        inputs, targets = X.astype(net.dtype), Y.astype(net.dtype)
        net.fit(inputs, targets, epochs=10**6 if seed >= 0 else 2, optimizer=kind(), threads=1,
                callbacks=[fastbp.TimeLimit(seconds)], **RACERS[method])
        if seed >= 0:
            logs.append(math.log10(net.cost(inputs, targets)))
    return f"{10 ** np.mean(logs):.1e}"


def races(methods: list[str], seeds: int) -> str:
    """Write the table of costs after the same time."""
    methods = [name for name in RACERS if name.split(",")[0] in methods]
    lines = ["| network, samples, seconds | " + " | ".join(methods) + " |", "|---" + "|---:" * len(methods) + "|"]
    for layers, samples, seconds in SIZES:
        costs = [race(layers, samples, seconds, method, seeds) for method in methods]
        lines.append(f"| {'-'.join(map(str, layers))}, {samples:,}, {seconds:g} s | " + " | ".join(costs) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def note(problems: list[Problem], seeds: int) -> str:
    """Say what the figures are."""
    used = ", ".join(f"{name} {version}" for name, version in versions(("fastbp", "numba", "numpy")).items())
    each = " ".join(f"{p.name}: {p.what}{f', l2={p.l2:g}' if p.l2 else ''}." for p in problems)
    return (f"Median epochs (of a fold) and seconds of the runs that solved the problem; {seeds} seeds from "
            f"{FIRST_SEED} on, all of which did unless a number is given; on digits and diabetes, which each seed "
            f"divides anew, also the mean score of the test, over all runs. {each} One thread of {processor()}; "
            f"{used}. {datetime.date.today()}, `{' '.join(['python -m bench.methods', *sys.argv[1:]])}`.")


def main() -> None:
    """Read the options, run, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.methods", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument("--problems", nargs="+", metavar="TEXT", help="only those whose name contains one of these")
    parser.add_argument("--markdown", nargs="?", type=Path, metavar="FILE",
                        const=ROOT / "docs" / "measured" / "methods.md",
                        help=f"write the table between {BEGIN} and {END} of this file "
                             "(default: docs/measured/methods.md)")
    options = parser.parse_args()
    methods = [name for kind in OPTIMIZERS
               for name in (kind, *(variant for variant, (base, _) in VARIANTS.items() if base == kind))]
    methods = [name for name in methods if not options.methods or name in options.methods]
    problems = [p for p in PROBLEMS.values() if not options.problems or any(t in p.name for t in options.problems)]
    text = table(methods, problems, options.seeds)
    print(f"\n{text}")
    second, few = "", min(options.seeds, 3)
    if not options.problems:
        second = (f"\n\n{races(methods, few)}\n\nHalf mean square that is left after so many seconds, from the same "
                  f"start, with the defaults of each method (geometric mean of {few} seeds; float32, but float64 where "
                  "linear systems are solved).")
    if options.markdown is not None:
        between(options.markdown, BEGIN, END, f"{text}\n\n{note(problems, options.seeds)}{second}")


if __name__ == "__main__":
    main()

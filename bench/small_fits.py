"""MLPRegressor and MLPClassifier beside scikit-learn's where there is little to compute: few rows, single calls.

    OMP_NUM_THREADS=1 python -m bench.small_fits --markdown

As a loop of Bayesian optimisation asks for them: fits with the defaults on 10, 35 and 100 rows, and then `partial_fit`
and predictions of one row. Both take turns in one process; of each the fastest of some rounds counts, in CPU time,
which other processes disturb least; float64, and scikit-learn's iterations, which both take.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import neural_network

import fastbp

from .peers import ROOT, between, conditions

BEGIN, END = "<!-- small fits -->", "<!-- /small fits -->"
SIDES = (neural_network, fastbp)
ROWS = (10, 35, 100)
SIZES = ((10,), (100,), (100, 100))
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam"}, "sgd": {"solver": "sgd"}, "lbfgs": {"solver": "lbfgs"},
    "adam, early stopping": {"solver": "adam", "early_stopping": True},
    "sgd, early stopping": {"solver": "sgd", "early_stopping": True},
}


def data(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs of four columns, a number for each row, and one of three classes."""
    X = np.random.default_rng(0).uniform(-1, 1, (rows, 4))
    y = np.sin(X @ [1, 2, 3, 4.0])
    return X, y, np.digitize(y, [-0.5, 0.5])


def fastest(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Return the seconds of the fastest call of each, which take turns."""
    found = [float("inf")] * len(calls)
    for call in calls:
        call()
    for _ in range(rounds):
        for i, call in enumerate(calls):
            began = time.process_time()
            call()
            found[i] = min(found[i], time.process_time() - began)
    return found


def fitter(module: Any, rows: int, settings: dict[str, Any]) -> Callable[[], object]:
    """Return a fit of a new regressor."""
    X, y, _ = data(rows)
    return lambda: module.MLPRegressor(random_state=0, **settings).fit(X, y)


def calls_of(module: Any) -> dict[str, Callable[[], object]]:
    """Return calls of estimators that are fitted, on 32 rows and on one."""
    X, y, classes = data(32)
    regressor = module.MLPRegressor(random_state=0).partial_fit(X, y)
    classifier = module.MLPClassifier(random_state=0).partial_fit(X, classes, classes=[0, 1, 2])
    return {
        "MLPRegressor.partial_fit, 32 rows": lambda: regressor.partial_fit(X, y),
        "MLPClassifier.partial_fit, 32 rows": lambda: classifier.partial_fit(X, classes),
        "MLPRegressor.predict, one row": lambda: regressor.predict(X[:1]),
        "MLPClassifier.predict, one row": lambda: classifier.predict(X[:1]),
        "MLPClassifier.predict_proba, one row": lambda: classifier.predict_proba(X[:1]),
    }


def table(rounds: int) -> str:
    """Measure, and write both tables in Markdown."""
    lines = ["| scikit-learn ÷ fastbp (ms of fastbp's fit) | " + " | ".join(f"{rows} rows" for rows in ROWS) + " |",
             "|---|" + "---:|" * len(ROWS)]
    for name, settings in SOLVERS.items():
        for sizes in SIZES:
            cells = []
            for rows in ROWS:
                if settings.get("early_stopping") and rows < 20:
                    cells.append("")  # a tenth of the rows has to be two
                    continue
                theirs, ours = fastest([fitter(side, rows, {"hidden_layer_sizes": sizes, **settings})
                                        for side in SIDES], rounds)
                cells.append(f"{theirs / ours:.1f} ({1e3 * ours:.2f})")
            lines.append(f"| {name}, {sizes} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    lines += ["", "| µs of a call | scikit-learn | fastbp | ratio |", "|---|---:|---:|---:|"]
    theirs_by_name, ours_by_name = map(calls_of, SIDES)
    for name in theirs_by_name:
        theirs, ours = fastest([theirs_by_name[name], ours_by_name[name]], 100 * rounds)
        lines.append(f"| {name} | {1e6 * theirs:.0f} | {1e6 * ours:.0f} | {theirs / ours:.1f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.small_fits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts (default: 5)")
    parser.add_argument("--markdown", nargs="*", type=Path, metavar="FILE",
                        help=f"write the tables between {BEGIN} and {END} of these files "
                             "(default: docs/measured/small-fits.md)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # not all fits converge within their epochs
    written = f"{table(options.rounds)}\n\n" + conditions(
        "bench.small_fits", ("fastbp", "scikit-learn", "numba", "numpy"))
    if options.markdown is not None:
        for path in options.markdown or [ROOT / "docs" / "measured" / "small-fits.md"]:
            between(path, BEGIN, END, written)


if __name__ == "__main__":
    main()

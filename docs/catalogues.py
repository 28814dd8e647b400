"""The tables of README.md that have a row for each row of a catalogue: ``python tests/readme.py`` writes them anew."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastbp import activations, costs, metrics, optimizers
from fastbp.optimizers.update_rules import GROUPED

README = Path(__file__).resolve().parents[1] / "README.md"
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


def call(kind: type) -> str:
    """Return how a class is called; what it has from another optimizer, or all rules have, is left out."""
    parent = kind.__base__ if kind.__base__ in optimizers.OPTIMIZERS.values() else None
    known = dict.fromkeys(GROUPED) | ({} if parent is None else {field.name: field.default
                                                                 for field in dataclasses.fields(parent)})
    own = [f"{field.name}={field.default!r}" for field in dataclasses.fields(kind)
           if known.get(field.name, dataclasses.MISSING) != field.default]
    return f"`fastbp.{kind.__name__}({', '.join((['…'] if parent else []) + own)})`"


def built_in(catalogue: dict[str, Any]) -> list[Any]:
    """Return the rows of a catalogue without functions that were registered."""
    return [row for row in catalogue.values() if not row.values]


def activation_rows() -> Iterator[list[str]]:
    """Two columns of them."""
    cells = [[f"`{row.name}`", text(row.formula) + ("" if row.elementwise else "; output layer only")]
             for row in built_in(activations.ACTIVATIONS)]
    half = -(-len(cells) // 2)
    for i in range(half):
        yield [*cells[i], "", *(cells[half + i] if half + i < len(cells) else ["", ""])]


def cost_rows() -> Iterator[list[str]]:
    """Each with its output and targets."""
    for row in built_in(costs.COSTS):
        more = "" if row.parameter is None else f"; `fastbp.{row.name}({row.parameter_name}={row.parameter})`"
        each = "" if row.outputs_per_target == 1 else f"; one for {row.outputs_per_target} outputs"
        yield [f"`{row.name}`", text(row.formula) + more, f"`{row.output}`", row.targets + each]


TABLES = {
    "activations": lambda: table(["activation", "φ(x)", "", "activation", "φ(x)"], activation_rows()),
    "costs": lambda: table(["cost", "C of one output, e = o − y", "default output", "targets"], cost_rows()),
    "metrics": lambda: table(["metric", "what it is", "better", "outputs"], (
        [f"`{row.name}`", text(row.formula), "more" if row.higher_is_better else "less",
         "probabilities" if row.of_classes else "numbers, or each a probability"]
        for row in metrics.METRICS.values())),
    "optimizers": lambda: table(["optimizer", "what it is", "rule"], (
        [call(kind), summary(kind), SOURCE.sub("", summary(kind().rule))] for kind in optimizers.RULES.values())),
    "methods": lambda: table(["full-batch method", "what it is"], (
        [call(kind), summary(kind)] for kind in optimizers.BATCH_METHODS.values())),
}


def written(page: str) -> str:
    """Return the page with its tables as they have to be."""
    for name, made in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        assert page.count(begin) == page.count(end) == 1, f"README.md has no place for {name}"
        page = page[: page.index(begin)] + begin + made() + page[page.index(end) :]
    return page


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")

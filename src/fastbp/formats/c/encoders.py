"""Encoders of inputs in C: their functions, and the statements that call them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...encoders import Embedding, Encoder, Identity, OneHot, Periodic, PiecewiseLinear

Array = npt.NDArray[Any]

ENCODERS = (Identity, OneHot, Embedding, Periodic, PiecewiseLinear)
"""All that there is C of."""

FUNCTIONS = {
    "category": """
/* The category of a code; count for what is none of 0 ... count - 1, NaN too. */
static int $category($real code, int count)
{
    return code >= 0.0 && code < ($real)count ? (int)code : count;
}
""",
    "one_hot": """
/* 1 for the category, 0 for the others; all 0 where it is missing. */
static void $one_hot($real code, $real *e, int count)
{
    const int category = $category(code, count);
    for (int i = 0; i < count; ++i)
        e[i] = i == category ? 1.0 : 0.0;
}
""",
    "embedding": """
/* The row of the category, the last one where it is missing. */
static void $embedding($real code, $const $real *rows, $real *e, int count, int size)
{
    const int category = $category(code, count);
    rows += category * size;
    for (int i = 0; i < size; ++i)
        e[i] = rows[i];
}
""",
    "periodic": """
/* A linear map of cosines of x, then x; p is the bias of the map, then of each cosine frequency, phase and weights. */
static void $periodic($real x, $const $real *p, $real *e, int cosines, int linear)
{
    const $real turn = x * 6.2831853071795865;
    for (int j = 0; j < linear; ++j)
        e[j] = *p++;
    for (int i = 0; i < cosines; ++i) {
        const $real c = $cos(turn * p[0] + p[1]);
        p += 2;
        for (int j = 0; j < linear; ++j)
            e[j] += c * *p++;
    }
    e[linear] = x;
}
""",
    "pieces": """
/* Where x lies in each bin, from 0 to 1, beyond the first and the last edge in a line; p is edge and slope of each. */
static void $pieces($real x, $const $real *p, $real *e, int bins)
{
    for (int i = 0; i < bins; ++i) {
        const $real u = (x - p[0]) * p[1];
        e[i] = u < 0.0 && i > 0 ? 0.0 : u > 1.0 && i < bins - 1 ? 1.0 : u;
        p += 2;
    }
}
""",
}
"""Templates as in `functions`; $const is what constants are declared with."""


@dataclass
class Step:
    """What an encoder needs."""

    statements: list[str]
    functions: set[str] = field(default_factory=set)
    arrays: dict[str, Array] = field(default_factory=dict)
    multiply_adds: int = 0


def step(encoder: Encoder, learned: dict[str, Array], number: int, source: str, into: str, place: int,
         real: np.dtype[Any]) -> Step:
    """Return how an encoder writes its numbers.

    Parameters
    ----------
    encoder : Encoder
    learned : dict of ndarray
        Its parameters.
    number : int
        Which of the encoders it is, for names.
    source, into : str
        What the columns and the encoded numbers are called in C.
    place : int
        Where its numbers begin among the encoded ones.
    real : dtype
    """
    columns = encoder.reads
    if isinstance(encoder, Identity):
        return Step(_copies(columns, source, into, place))
    if isinstance(encoder, OneHot):
        return Step([f"$one_hot({source}[{columns[0]}], {into} + {place}, {encoder.categories});"], {"one_hot"})
    if isinstance(encoder, Embedding):
        call = f"$embedding({source}[{columns[0]}], $table{number}, {into} + {place}, {encoder.categories}, "
        return Step([f"{call}{encoder.size});"], {"embedding"}, {f"table{number}": learned["table"]})
    if isinstance(encoder, PiecewiseLinear):
        found = Step([], {"pieces"}, multiply_adds=encoder.width)
        for i, (column, edges) in enumerate(zip(columns, encoder.edges, strict=True), 1):
            name, bins = f"pieces{number}_{i}", len(edges) - 1
            found.arrays[name] = np.column_stack([edges[:-1], 1 / np.diff(edges)]).astype(real)
            found.statements.append(f"$pieces({source}[{column}], ${name}, {into} + {place}, {bins});")
            place += bins
        return found
    assert isinstance(encoder, Periodic)
    found = Step([], {"periodic"}, multiply_adds=len(columns) * encoder.frequencies * encoder.size)
    for i, column in enumerate(columns):
        name = f"periodic{number}_{i + 1}"
        of_cosines = np.column_stack([learned["frequencies"][i], learned["phases"][i], learned["weights"][i].T])
        found.arrays[name] = np.concatenate([learned["biases"][i], of_cosines.reshape(-1)])
        found.statements.append(f"$periodic({source}[{column}], ${name}, {into} + {place}, {encoder.frequencies}, "
                                f"{encoder.size - 1});")
        place += encoder.size
    return found


def _copies(columns: tuple[int, ...], source: str, into: str, place: int) -> list[str]:
    """Return statements that copy columns, each run of neighbours by a loop."""
    lines, start = [], 0
    for end in range(1, len(columns) + 1):
        if end < len(columns) and columns[end] == columns[end - 1] + 1:
            continue
        count, first = end - start, columns[start]
        if count == 1:
            lines.append(f"{into}[{place + start}] = {source}[{first}];")
        else:
            lines.append(f"for (i = 0; i < {count}; ++i)\n        {into}[{place + start} + i] = {source}[{first} + i];")
        start = end
    return lines

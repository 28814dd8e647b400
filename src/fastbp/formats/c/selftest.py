"""Rows by which the source tests itself, with the outputs that they should have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.conversion import numbers
from ..evaluation import evaluate
from ..predictor import Predictor

Array = npt.NDArray[Any]

MOST_ROWS = 10_000


@np.errstate(all="ignore")  # rows whose outputs are not finite are looked for
def tests(predictor: Predictor, real: np.dtype[Any], selftest: Any) -> dict[str, Array]:
    """Return rows (inputs), their outputs, and how far those of C may be from these (tolerance), or nothing.

    The outputs are NumPy's in float64, of the numbers that the source holds.
    """
    n_inputs = predictor.chain.n_inputs
    drawn = isinstance(selftest, (int, np.integer))
    if drawn:
        if not 0 <= selftest <= MOST_ROWS:
            raise ValueError(f"selftest is {selftest}, expected a number of rows from 0, for none, to {MOST_ROWS}, or "
                             "rows of inputs")
        rows = predictor.rows(int(selftest))
    else:
        rows = numbers("selftest", selftest)
        if rows.ndim != 2 or rows.shape[1] != n_inputs:
            raise ValueError(f"selftest has shape {rows.shape}, expected (n_samples, {n_inputs}), or a number of rows")
    rows = rows.astype(real)
    outputs = evaluate(predictor, rows, np.float64)
    noise = _noise(predictor, rows, outputs)
    finite = np.isfinite(rows).all(1) & np.isfinite(outputs.astype(real)).all(1)
    if not drawn and not finite.all():
        raise ValueError(f"row {int(np.argmin(finite))} of selftest, or its outputs, are not finite in {real}")
    if not finite.any():
        return {}
    rows, outputs = rows[finite], outputs[finite]
    tolerance = 1e-5 * np.abs(outputs).max(axis=0) + 32 * noise[finite].max(axis=0)
    if real != np.float32:
        tolerance *= np.finfo(real).eps / np.finfo(np.float32).eps
    return {"inputs": rows, "outputs": outputs.astype(real),
            "tolerance": np.maximum(tolerance, np.finfo(real).tiny).astype(real)}


def _noise(predictor: Predictor, rows: Array, outputs: Array) -> Array:
    """Return what rounding comes to in float32; where that does not reach, what rounding of the rows alone would."""
    moved = rows * (1 + float(np.finfo(np.float32).eps))
    found = np.abs(evaluate(predictor, moved, np.float64) - outputs)
    try:
        rounded = np.abs(evaluate(predictor, rows, np.float32) - outputs)
    except ValueError:  # a weight is too large for it
        rounded = np.full_like(outputs, np.nan)
    return np.where(np.isfinite(rounded), rounded, np.where(np.isfinite(found), found, 0))

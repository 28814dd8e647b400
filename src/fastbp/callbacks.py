"""Callbacks: called with a `Record` after each epoch; returning True stops the training."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from .history import Record
from .optional import require


class ProgressBar:
    """A tqdm bar with the cost and samples per second; what ``fit(progress=True)`` shows.

    Parameters
    ----------
    epochs : int
        How many epochs the bar is long.
    samples : int
        Samples in an epoch.

    Raises
    ------
    ImportError
        Without tqdm (``pip install fastbp[progress]``).
    """

    def __init__(self, epochs: int, samples: int) -> None:
        self._samples = samples
        self._bar: Any = require("tqdm.auto", "progress").tqdm(total=epochs, unit="epoch", dynamic_ncols=True)
        self._first = 0

    def __call__(self, record: Record) -> None:
        """Move on to the record's epoch."""
        if not self._first:
            self._first = record.epoch
        done = record.epoch - self._first + 1
        figures = {"cost": f"{record.cost:.4g}"}
        if record.validation_cost is not None:
            figures["validation"] = f"{record.validation_cost:.4g}"
        figures["samples/s"] = f"{done * self._samples / max(record.seconds, 1e-9):.3g}"
        self._bar.set_postfix(figures, refresh=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()

"""Numbers that follow schedules from update to update: computed here, for as many updates as a call may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import schedules
from ..core import penalties
from ..core.architecture import Architecture
from ..kernels.tables import COST_DROPOUT, COST_INPUT_NOISE, SCHEDULED_COLUMNS, SCHEDULED_NUMBER, SCHEDULED_VALUES
from ..optimizers import Optimizer, UpdateRule
from ..regularization import Regularization
from ..util.settings import Check, not_negative

Numbers = npt.NDArray[np.float64]


NONE = np.empty((0, SCHEDULED_COLUMNS), np.int64)
"""The table of a fit that nothing follows."""


class Place(NamedTuple):
    """A number that follows a schedule, and where it lies."""

    owner: object
    setting: str
    schedule: Callable[..., float]
    accept: Check
    """What each value must be."""
    of_samples: bool
    """Whether it lies with the settings of the cost, not with the optimizer's numbers."""
    cell: int
    factor: float = 1.0
    """What the values of the schedule are multiplied by."""


def _of_optimizer(optimizer: Optimizer) -> list[Place]:
    if not isinstance(optimizer, UpdateRule) or not (followed := optimizer.followed):
        return []
    return [Place(optimizer, name, schedule, not_negative, False, cell) for name, schedule, cell in followed]


def _of_samples(regularization: Regularization, hidden: int) -> Iterator[Place]:
    settings = [("input_noise", regularization.input_noise, COST_INPUT_NOISE)]
    settings += [("dropout", rate, COST_DROPOUT + i)
                 for i, rate in enumerate(regularization.of_layers("dropout", hidden))]
    for name, schedule, cell in settings:
        if callable(schedule):
            yield Place(regularization, name, schedule, regularization.checks[name], True, cell)


def places(optimizer: Optimizer, regularization: Regularization | None, architecture: Architecture,
           numbers: Numbers, factors: Sequence[penalties.Stretch] = ()) -> list[Place]:
    """Return all numbers of a fit that follow schedules; ``numbers`` are the optimizer's, with what lies behind."""
    found = _of_optimizer(optimizer)
    if regularization is not None and regularization.follows:
        found += [Place(regularization, name, schedule, regularization.checks[name], False, cell, factor)
                  for name, schedule, cell, factor in penalties.followed(regularization, architecture, numbers,
                                                                          factors)]
        found += _of_samples(regularization, len(architecture.layers) - 2)
    return found


def check(optimizer: Optimizer, regularization: Regularization | None, start: int, total: int, epoch: int) -> None:
    """Raise ValueError if the first value of a schedule is none that its setting may have."""
    if regularization is not None and regularization.follows:
        regularization.at(start, total, epoch)
    for place in _of_optimizer(optimizer):
        schedules.of_updates(*place[:4], start, 1, total, epoch)


class Ahead:
    """What numbers are in the updates that come next.

    Parameters
    ----------
    places : list of Place
    epoch, total : int
        Updates in an epoch, and number of all until the fit has ended.

    Attributes
    ----------
    table : ndarray of int64
        What kernels read, a row of `tables.SCHEDULED` for each number.
    """

    def __init__(self, places: list[Place], epoch: int, total: int) -> None:
        self.places, self.epoch, self.total = places, epoch, total
        self.table = np.zeros((len(places), SCHEDULED_COLUMNS), np.int64) if places else NONE
        self._arrays: tuple[Any, ...] = ()
        self._values: dict[Any, Numbers] = {}

    def write_to(self, numbers: Numbers, settings: Numbers) -> None:
        """Have the numbers written into these arrays: an optimizer's with what lies behind, and a cost's."""
        if not self.places:
            return
        self._arrays = numbers, settings
        for row, place in zip(self.table, self.places, strict=True):
            row[SCHEDULED_NUMBER] = self._arrays[place.of_samples][place.cell:].ctypes.data

    def write(self, update: int, numbers: Numbers) -> None:
        """Overwrite an optimizer's numbers, with what lies behind, by those of one update, which no kernel follows."""
        self.look(update, 1)
        for place in self.places:
            numbers[place.cell] = self._values[place.setting, id(place.schedule), place.factor][0]

    def look(self, start: int, count: int) -> None:
        """Compute the values of ``count`` updates, from number ``start`` on."""
        self._values = {}
        for row, place in zip(self.table, self.places, strict=True):
            key = place.setting, id(place.schedule), place.factor
            if key not in self._values:
                found = schedules.of_updates(*place[:4], start, count, self.total, self.epoch)
                self._values[key] = found * place.factor
            row[SCHEDULED_VALUES] = self._values[key].ctypes.data

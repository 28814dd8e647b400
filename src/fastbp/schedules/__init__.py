"""Schedules: settings that change while a network is trained, learning rates above all.

A schedule is given where a number could be: for the ``learning_rate`` of an optimizer for mini-batches, the
``weight_decay`` of `fastbp.AdamW` and `fastbp.Lion`, and ``l2``, ``l1``, ``weight_decay``, ``dropout`` and
``input_noise`` of `fastbp.Regularization`. Its first setting is called ``learning_rate`` whatever it is given for.

A curve is a function of time. It changes from epoch to epoch, or with ``per="update"`` from update to update; lengths
are in epochs in either case, and ``epochs=None`` is as long as the fit: from the first epoch to the last one of a fit,
for a fit that resumes including those that were done before. Any callable that takes the number t of epochs that are
done, 0 before the first, is a schedule too: ``fastbp.Adam(lambda t: 0.01 / (1 + t))``; `Function` makes one of a
function of updates. `ReduceOnPlateau` watches the cost or a metric instead, for a learning rate.

What an update needs is computed ahead, for as many updates as the kernel takes before it comes back anyhow. A learning
rate that changes between epochs has it come back after each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.tables import HYPER_RATE
from ..util import keywords
from ..util.names import lookup, names
from ..util.settings import Check, not_negative, positive
from .composed import Chain, Function, WarmUp
from .curves import UPDATE, Cosine, CosLog, Curve, Exponential, InverseScaling, OneCycle, Schedule, Step
from .plateau import ReduceOnPlateau

__all__ = ["Chain", "CosLog", "Cosine", "Curve", "Exponential", "Function", "InverseScaling", "LearningRate", "NAMES",
           "OneCycle", "ReduceOnPlateau", "SCHEDULES", "Schedule", "Setting", "Step", "WarmUp", "check", "check_rate",
           "first", "follow", "number", "of_updates", "within_epochs"]

SCHEDULES = {kind.__name__.lower(): kind
             for kind in (Step, Exponential, InverseScaling, Cosine, CosLog, OneCycle, WarmUp, Chain, Function,
                          ReduceOnPlateau)}
"""Lower-case name -> class."""

for _kind in SCHEDULES.values():
    keywords.answers(keywords.SCHEDULE)(_kind)

NAMES = names(
    SCHEDULES,
    {
        "step": "step_lr step_decay",
        "exponential": "exponential_lr exponential_decay",
        "inversescaling": "invscaling inverse_time_decay inverse_sqrt",
        "cosine": "cosine_annealing cosine_annealing_lr cosine_annealing_warm_restarts cosine_decay "
                  "cosine_decay_restarts cosine_decay_schedule sgdr flat_cos",
        "coslog": "coslog4 cos_log_4",
        "warmup": "linear_warmup",
        "onecycle": "one_cycle_lr cosine_onecycle_schedule",
        "chain": "chained chained_scheduler sequential_lr join_schedules",
        "reduceonplateau": "reduce_lr_on_plateau plateau adaptive",
    },
    {
        "a number": "constant constant_lr constant_schedule",
        "a function of the number of epochs so far": "lambda_lr multiplicative_lr",
        "'step'": "multistep multistep_lr piecewise piecewise_constant piecewise_constant_decay "
                  "piecewise_constant_schedule",
        "fastbp.schedules.WarmUp(fastbp.schedules.Cosine(...), epochs)":
            "warmup_cosine_decay_schedule warmup_cosine cosine_warmup",
        "fastbp.schedules.WarmUp(fastbp.schedules.InverseScaling(...), epochs)": "noam",
        "'onecycle'": "cyclic cyclic_lr triangular",
        "'inversescaling'": "polynomial polynomial_lr polynomial_decay polynomial_schedule linear_schedule optimal",
    },
)
"""What other libraries call them."""

Setting = float | Callable[..., float]
"""What a setting takes that may follow a schedule."""

LearningRate = float | Callable[..., float] | ReduceOnPlateau
"""What an optimizer takes."""


def number(value: Any) -> float:
    """Return the number that a setting is; 0 for a schedule, which is followed before anything is done."""
    return 0.0 if callable(value) else float(value)


def check(owner: object, name: str, value: Any, accept: Check, accept_number: Check | None = None) -> None:
    """Check a setting that is a number or a schedule: its highest value, or its first one where that is not known.

    ``accept`` is what each of its values must pass, ``accept_number`` what a number must if that is not the same.
    """
    if isinstance(value, type) and issubclass(value, Schedule):
        raise ValueError(f"{type(owner).__name__}: {name} is a kind of schedule, expected a positive number or "
                         f"a schedule with its settings: fastbp.schedules.{value.__name__}("
                         f"{', '.join(inspect.signature(value).parameters)})")
    if isinstance(value, Curve):
        highest = value.highest
        if highest == highest:
            _accepted(owner, name, value, accept, highest, "at most")
    elif callable(value):
        _accepted(owner, name, value, accept, value(0), "after 0 epochs")
    else:
        (accept_number or accept)(owner, name, value)


def check_rate(owner: object, rate: Any) -> None:
    """Check an optimizer's learning rate."""
    if isinstance(rate, str) and rate.strip("0123456789."):  # a name, not a number in quotes
        rate = lookup("schedule", rate, SCHEDULES, NAMES)
    if not isinstance(rate, ReduceOnPlateau):
        check(owner, "learning_rate", rate, not_negative, positive)


def _accepted(owner: object, name: str, schedule: Any, accept: Check, value: Any, when: str) -> float:
    """Return a value of a schedule, once it is seen to be what the setting must be."""
    try:
        accept(owner, name, value)
    except ValueError as error:
        raise ValueError(f"{type(owner).__name__}: the schedule {schedule!r} gave the {name.replace('_', ' ')} "
                         f"{value!r} {when}, expected {str(error).rpartition('expected ')[2]}") from None
    return float(value)


# ------------------------------------------------------------------------------------------- from epoch to epoch


def within_epochs(value: Any) -> bool:
    """Return whether a learning rate changes from update to update."""
    return isinstance(value, Curve) and value.unit == UPDATE


def first(owner: object, rate: LearningRate, epochs: int = 0, total: int | None = None) -> float:
    """Return the learning rate of the first epoch, or of the first that it has after so many, of ``total``.

    0 where it is not known yet: without the number of all epochs that of a curve, and what each update is told.
    """
    if isinstance(rate, Curve) and (total is None or within_epochs(rate)):
        return 0.0
    if callable(rate):
        return _after(owner, rate, epochs, total)
    return float(rate.learning_rate if isinstance(rate, ReduceOnPlateau) else rate)


def follow(owner: object, rate: LearningRate, hyper: npt.NDArray[np.float64], epochs: int, cost: float,
           values: Mapping[str, float], total: int | None = None) -> None:
    """Write the learning rate of the next epoch into ``hyper``, after epochs the last of which has this cost."""
    if isinstance(rate, ReduceOnPlateau):
        rate.watch(hyper, cost, values)
    elif callable(rate) and not within_epochs(rate):
        hyper[HYPER_RATE] = _after(owner, rate, epochs, total)


def _after(owner: object, schedule: Callable[..., float], epochs: int, total: int | None) -> float:
    value = schedule(epochs, total) if isinstance(schedule, Curve) else schedule(epochs)
    return _accepted(owner, "learning_rate", schedule, not_negative, value, f"after {epochs} epochs")


# ----------------------------------------------------------------------------------------- from update to update


def of_updates(owner: object, name: str, schedule: Callable[..., float], accept: Check, start: int, count: int,
               total: int, epoch: int) -> npt.NDArray[np.float64]:
    """Return the values of a schedule for ``count`` updates, from number ``start`` on of ``total``.

    ``epoch`` of them make an epoch; a schedule that counts epochs keeps its value as long.

    Raises
    ------
    ValueError
        If one is not what ``accept`` wants the setting to be.
    """
    if within_epochs(schedule):
        steps, when = range(start, start + count), "updates"
        arguments: tuple[int, ...] = total, epoch
    else:
        steps, when = range(start // epoch, (start + max(count, 1) - 1) // epoch + 1), "epochs"
        arguments = (total // epoch, 1) if isinstance(schedule, Curve) else ()
    values = [schedule(step, *arguments) for step in steps]
    try:
        for value in values:
            accept(owner, name, value)
    except ValueError:
        for step, value in zip(steps, values, strict=True):
            _accepted(owner, name, schedule, accept, value, f"after {step} {when}")
        raise
    found = np.array(values, np.float64)
    return found if within_epochs(schedule) else found[np.arange(start, start + count) // epoch - start // epoch]

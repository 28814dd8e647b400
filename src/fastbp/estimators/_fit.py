"""A fit of an estimator: checks, what is trained, and what is known at its end."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from . import _members
from ._base import _MLP, _Samples
from ._prepare import hidden_layers, make, ready
from ._training import Training, run_many

M = TypeVar("M", bound=_MLP)


def fit(mlp: M, X: Any, y: Any, sample_weight: Any, validation_data: Any, *, incremental: bool,
        classes: Any = None) -> M:
    """Train an estimator, for an epoch or for all; where nothing could be learnt it is left as it was."""
    before = mlp.__dict__.copy()
    mlp.n_iter_ = 0
    try:
        if incremental:
            mlp._take_classes(y, classes)
        _learn(mlp, X, y, sample_weight, validation_data, incremental)
    except BaseException:
        if mlp.n_iter_ == 0:  # nothing has been learnt: the estimator is what it was, fitted or not
            mlp.__dict__.clear()
            mlp.__dict__.update(before)
        raise
    return mlp


def _learn(mlp: _MLP, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> None:
    """Check what is given, make the network or networks, and train."""
    hidden_layers(mlp)
    first = not hasattr(mlp, "coefs_") or not (mlp.warm_start or incremental)
    X, y = mlp._checked(X, y, reset=first)
    mlp._set_classes(y, incremental)
    weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
    weight = mlp._with_class_weight(y, weight, incremental)
    data = _Samples(X, mlp._targets(y), weight)
    kept = None
    if validation_data is not None:
        if not (isinstance(validation_data, (tuple, list)) and len(validation_data) == 2):
            raise ValueError(f"validation_data is {validation_data!r}, expected a pair (X, y)")
        X, y = mlp._checked(*validation_data, reset=False)
        mlp._check_known(y)
        kept = _Samples(X, mlp._targets(y), None)
    prepared = prepare(mlp, data, kept, first=first, incremental=incremental)
    for text, category in prepared.told():
        warnings.warn(text, category, stacklevel=5)
    if prepared.single:
        prepared.trainings[0].run()
        if not mlp._shows_all():
            mlp._show()
    else:
        prepared.finish(run_many(prepared.trainings, mlp.n_threads, mlp.progress))
    for text, category in prepared.told():
        warnings.warn(text, category, stacklevel=5)


@dataclass
class Prepared:
    """An estimator before its networks are trained."""

    mlp: _MLP
    data: _Samples
    """What they are trained on, all together; standardised."""
    trainings: list[Training]
    """Of its network, or of those of its members."""

    @property
    def single(self) -> bool:
        """Whether it has one network, which is its own."""
        return self.trainings[0].mlp is self.mlp

    def finish(self, errors: Sequence[BaseException | None]) -> None:
        """Do what is done at the end of all trainings, where they have been trained with others; may raise."""
        for training, error in zip(self.trainings, errors, strict=True):
            training.end(error)
        if self.single:
            self.mlp._show()
        else:
            _members.join(self.mlp, self.data)

    def told(self) -> list[tuple[str, type[Warning]]]:
        """Return the warnings that have come up since the last call."""
        if not any(training.messages for training in self.trainings):
            return []
        found = Counter(message for training in self.trainings for message in training.messages)
        for training in self.trainings:
            training.messages.clear()
        if self.single:
            return list(found)
        return [(f"{count} of {len(self.trainings)} members: {text}", category)
                for (text, category), count in found.items()]


def prepare(mlp: _MLP, data: _Samples, kept: _Samples | None = None, *, scaled: _Samples | None = None,
            first: bool = True, incremental: bool = False) -> Prepared:
    """Make the network, or those of the members, with first weights.

    ``scaled`` are the samples standardised where the estimator has its scalers already.
    """
    mlp.n_outputs_ = mlp._count_outputs(data.targets)
    if not first and mlp.n_outputs_ != (had := np.shape(mlp.coefs_[-1])[1]):
        raise ValueError(f"y needs {mlp.n_outputs_} outputs, but the network that is to learn on has {had}: fit a "
                         "new one, with warm_start=False")
    if scaled is None:
        if first or not hasattr(mlp, "input_scaler_"):  # weights that the user has put there have no scalers
            mlp._set_scalers(data, mlp._cost_and_output()[0], mlp.standardize and first)
        scaled = mlp._scaled(data)
    kept = None if kept is None else mlp._scaled(kept)
    if mlp.n_members > 1:
        return Prepared(mlp, scaled, _members.prepare(mlp, data, scaled, kept))
    if mlp.resample is not None:
        raise ValueError(f"resample is {mlp.resample!r}, by which members see different samples, but n_members is 1: "
                         "ask for more, or leave resample out")
    _members.forget(mlp)
    make(mlp, data, first)
    return Prepared(mlp, scaled, [ready(mlp, scaled, kept, incremental)])

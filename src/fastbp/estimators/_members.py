"""Several networks in one estimator: what each is trained on, and what they know together.

A member is an estimator of the same parameters with one network, a ``random_state`` of its own, and the scalers and
classes of all. So it is trained as by a fit of its own on its rows, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state

from ..ensembles.ensemble import Ensemble
from ..ensembles.held_out import BOOTSTRAP, FOLDS, hold_out
from ..ensembles.resampling import dealt, unseen
from ..util import machine
from ._base import _MLP, Rows, _Samples
from ._epochs import _split
from ._prepare import hidden_layers, make, ready
from ._training import Training

SHARED = ("n_features_in_", "feature_names_in_", "n_outputs_", "classes_", "_label_binarizer", "input_scaler_",
          "target_scaler_")
"""What members have of their estimator."""

OF_MEMBERS = ("estimators_", "estimators_samples_", "_ensemble", "oob_score_", "oob_prediction_",
              "oob_decision_function_")
"""What an estimator has that has members."""

OF_ONE = ("_network", "coefs_", "intercepts_", "_views", "_description", "_begun", "_again", "_like", "_random_state",
          "_own_generator", "_given", "_noise_is_seeded",
          "t_", "loss_curve_", "validation_loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_",
          "_best_parameters", "_no_improvement_count")
"""What one has that has a single network."""


def forget(mlp: _MLP, names: tuple[str, ...] = OF_MEMBERS) -> None:
    """Forget what another kind of fit has left."""
    for name in names:
        mlp.__dict__.pop(name, None)


def prepare(mlp: _MLP, data: _Samples, scaled: _Samples, kept: _Samples | None) -> list[Training]:
    """Make the members, each with first weights; ``data`` are the samples before they were standardised."""
    if mlp.warm_start:
        raise ValueError(f"warm_start=True begins with the weights of one network, but n_members is {mlp.n_members}: "
                         "leave one of them out")
    n = len(scaled)
    _check_memory(mlp, data.X.shape[1], n)
    forget(mlp, OF_ONE + OF_MEMBERS)
    shared = scaled if scaled.rows is not None else scaled.pick(np.arange(n))
    if kept is not None:
        shared, kept = _stacked(scaled, kept)
    mlp.estimators_, mlp.estimators_samples_, trainings = [], [], []
    for seed, rows in _drawn(mlp, scaled):
        member = clone(mlp)  # with copies of the callbacks
        member.n_members, member.resample, member.random_state = 1, None, seed
        member.__dict__.update((name, getattr(mlp, name)) for name in SHARED if hasattr(mlp, name))
        make(member, data)
        samples, held = shared.pick(rows), kept
        if mlp.resample == "bootstrap" and mlp.early_stopping and mlp.solver != "lbfgs" and kept is None:
            learnt, held = _split(member, shared.pick(np.unique(rows)))  # no sample is in both parts
            assert learnt.rows is not None and samples.rows is not None
            samples = samples.pick(np.flatnonzero(np.isin(samples.rows, learnt.rows)))
        trainings.append(ready(member, samples, held))
        mlp.estimators_.append(member)
        mlp.estimators_samples_.append(rows)
    first = mlp.estimators_[0]
    mlp.n_layers_, mlp.out_activation_ = first.n_layers_, first.out_activation_
    return trainings


def _check_memory(mlp: _MLP, features: int, rows: int) -> None:
    """Raise ValueError if so many networks, with the numbers of the rows that each sees, are more than memory has."""
    sizes = [features, *hidden_layers(mlp), mlp.n_outputs_]
    weights = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    needed, memory = (4 * weights + 8 * rows) * mlp.n_members, machine.physical_memory()
    if needed > memory:
        raise ValueError(f"n_members is {mlp.n_members}: so many networks, and the numbers of the {rows} samples that "
                         f"each sees, need {needed:.3g} bytes and more, this machine has {memory:.3g}")


def _drawn(mlp: _MLP, data: _Samples) -> Iterator[tuple[int, Rows]]:
    """Draw for each member its ``random_state``, and the rows that it sees."""
    generator, n, count = check_random_state(mlp.random_state), len(data), mlp.n_members
    folds = _folds(mlp, data, generator) if mlp.resample == "folds" else None
    for i in range(count):
        seed = int(generator.randint(2**31 - 1))
        if folds is not None:
            yield seed, np.flatnonzero(folds != i)
        else:
            yield seed, generator.randint(n, size=n) if mlp.resample == "bootstrap" else np.arange(n)


def _folds(mlp: _MLP, data: _Samples, generator: np.random.RandomState) -> Rows:
    """Return the fold of each sample: dealt out in turn in a drawn order, of a classifier one class after the other."""
    n, count = len(data), mlp.n_members
    if count > n:
        raise ValueError(f"resample='folds' makes n_members={count} folds, but there are {n} samples: ask for at most "
                         "as many members")
    order = generator.permutation(n)
    if is_classifier(mlp):
        targets = data.targets if data.rows is None else data.targets[data.rows]
        classes = np.unique(targets, axis=0, return_inverse=True)[1].reshape(n)
        return dealt(n, order, count, classes)
    return dealt(n, order, count)


def _stacked(data: _Samples, kept: _Samples) -> tuple[_Samples, _Samples]:
    """Return both as rows of arrays that hold one behind the other."""
    n, m = len(data), len(kept)
    sparse = any(hasattr(part.X, "tocsr") for part in (data, kept))
    X: Any = scipy.sparse.vstack([data.X, kept.X], "csr") if sparse else np.concatenate([data.X, kept.X])
    weight = None if data.weight is None else np.concatenate([data.weight, np.ones(m)])
    both = _Samples(X, np.concatenate([data.targets, kept.targets]), weight)
    return both.pick(np.arange(n)), both.pick(np.arange(n, n + m))


def join(mlp: _MLP, data: _Samples) -> None:
    """Sum up what the members have learnt, and what they predict of the samples that they have not seen."""
    members = mlp.estimators_
    for member in members:
        member._show()
    mlp.loss_ = float(np.mean([member.loss_ for member in members]))
    mlp.n_iter_ = max(member.n_iter_ for member in members)
    mlp._ensemble = Ensemble(member._network for member in members)
    if mlp.resample is not None:
        _predict_unseen(mlp, data.own())


def _predict_unseen(mlp: _MLP, data: _Samples) -> None:
    """Average over the members that have not seen a sample; NaN where all have."""
    samples = mlp._ensemble[0]._samples(data.X, data.targets, data.weight, sparse=True)
    held = hold_out(mlp._ensemble, samples, FOLDS if mlp.resample == "folds" else BOOTSTRAP,
                    unseen(mlp.estimators_samples_, len(data)))
    mlp._ensemble._resample = held
    known = np.flatnonzero(held.known)
    kept = data.pick(known).own()
    some = known.size > 1 and (kept.weight is None or kept.weight.any())  # R² of one sample is none
    mlp._set_oob(mlp._ensemble.oob_predictions, mlp._judge(kept)(held.predictions[known]) if some else np.nan)

"""Ensembles made of one network: copies with first weights of their own, each trained on some of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import arrays
from ..core.samples import Samples, SparseRows
from ..network import Network
from ..training.many import fit_many
from ..util import machine
from .held_out import check_targets
from .members import BERNOULLI, DISTRIBUTION, kind_of

Indices = npt.NDArray[np.int64]

SETTINGS = ("epochs", "batch_size", "optimizer", "shuffle", "regularization", "callbacks", "metrics", "threads",
            "progress")
"""Of a fit, that a user may choose; rows are chosen here."""


class Resampling:
    """One network's samples, checked, and what draws rows and first weights."""

    def __init__(self, network: Network, X: Any, Y: Any, sample_weight: Any, seed: int | None,
                 settings: dict[str, Any]) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network is {network!r}, expected a Network, copies of which are trained")
        for name in settings:
            if name not in SETTINGS:
                raise TypeError(f"{name} is no argument here, expected {', '.join(SETTINGS)}: which rows a network is "
                                "trained on is drawn")
        check_targets(network.cost_function)
        self.network, self.settings = network, settings
        self.samples: Samples = network._samples(X, Y, sample_weight, sparse=True)
        self.X = X if isinstance(self.samples.inputs, SparseRows) else self.samples.inputs
        self.generator = np.random.default_rng(None if seed is None else arrays.whole("seed", seed, 0))

    def __len__(self) -> int:
        return len(self.samples)

    def check_memory(self, name: str, count: int) -> None:
        """Raise if so many networks, with the indices of their rows, are more than this machine's memory."""
        needed = count * (self.network.n_parameters * self.network.dtype.itemsize + 9 * len(self))
        if needed > (memory := machine.physical_memory()):
            raise ValueError(f"{name} is {count}: so many networks and the indices of their {len(self)} rows need "
                             f"{needed:.3g} bytes, this machine has {memory:.3g}")

    def new(self) -> Network:
        """Return a copy of the network with new first weights."""
        return self.network.copy().reset(int(self.generator.integers(2**63)))

    def fit(self, networks: list[Network], rows: list[Indices]) -> None:
        """Train each network on its rows."""
        weights, targets = self.samples.weights, self.samples.targets
        fit_many(networks, self.X, targets[:, 0] if self.samples.flat and targets.ndim > 1 else targets, rows=rows,
                 sample_weight=weights if weights.size else None, **self.settings)

    def classes(self) -> Indices:
        """Return the class of each row."""
        kind, targets = kind_of(self.network.cost_function), self.samples.targets
        if kind not in (DISTRIBUTION, BERNOULLI):
            raise ValueError("stratify=True deals out classes evenly, but the network is for numbers, with cost "
                             f"{self.network.cost_function}: leave it out")
        if self.samples.labels:
            return targets.astype(np.int64)
        if kind == DISTRIBUTION:
            classes: Indices = targets.argmax(axis=1)
            return classes
        answers: Indices = np.unique(targets > 0.5, axis=0, return_inverse=True)[1].reshape(-1)
        return answers


def dealt(n: int, order: Indices, k: int, classes: Indices | None = None) -> Indices:
    """Return the fold of each of n rows, dealt out in turn in this order, class by class if asked for.

    It is −1 for rows that are not in the order.
    """
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    fold = np.full(n, -1, np.int64)
    fold[order] = np.arange(len(order)) % k
    return fold


def unseen(rows: Iterable[Indices], n: int) -> npt.NDArray[np.bool_]:
    """Return which network has not seen which of n rows, from the rows that each was trained on."""
    return np.array([np.bincount(seen, minlength=n) == 0 for seen in rows])


def bootstrap(drawn: Resampling, n: int) -> tuple[list[Network], npt.NDArray[np.bool_]]:
    """Train n networks on resamples, and return which has not seen which row."""
    number = arrays.whole("n", n)
    drawn.check_memory("n", number)
    networks, rows = [], []
    for _ in range(number):
        networks.append(drawn.new())
        rows.append(drawn.generator.integers(len(drawn), size=len(drawn)))
    drawn.fit(networks, rows)
    return networks, unseen(rows, len(drawn))


def folds(drawn: Resampling, k: int, stratify: bool) -> tuple[list[Network], npt.NDArray[np.bool_]]:
    """Train k networks, each on all rows but one fold, and return which has not seen which row."""
    number = arrays.whole("k", k, 2)
    if number > len(drawn):
        raise ValueError(f"k is {number}, but X has {len(drawn)} rows: each fold needs one at least")
    drawn.check_memory("k", number)
    if not isinstance(stratify, (bool, np.bool_)):
        raise TypeError(f"stratify is {stratify!r}, expected True or False")
    order = drawn.generator.permutation(len(drawn))
    fold = dealt(len(drawn), order, number, drawn.classes() if stratify else None)
    networks = [drawn.new() for _ in range(number)]
    rows = [np.flatnonzero(fold != i) for i in range(number)]
    drawn.fit(networks, rows)
    return networks, unseen(rows, len(drawn))

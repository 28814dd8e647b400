"""The members of an ensemble: checked once, and asked in one order, a part of the rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import arrays, forward
from ..core.conversion import converted
from ..core.samples import SparseRows
from ..costs import CLASSES, UNIT, Cost
from ..network import Network

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

REGRESSION = "numbers"
GAUSSIAN = "a mean and a log variance for each target"
DISTRIBUTION = "the probabilities of classes"
BERNOULLI = "a probability for each output"

QUIET = np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
"""Outputs that are not finite give statistics that are not."""

PART = 2**18
"""Numbers that are in memory at once, of whatever grows with the rows: 2 MB of float64."""


def kind_of(cost: Cost) -> str:
    """Return what the outputs of a network with such a cost are."""
    if cost.outputs_per_target > 1:
        return GAUSSIAN
    return {CLASSES: DISTRIBUTION, UNIT: BERNOULLI}.get(cost.targets, REGRESSION)


def checked(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return the members of an ensemble, or say why they make none."""
    if isinstance(networks, (Network, np.ndarray)) or not isinstance(networks, Iterable):
        raise TypeError(f"networks is {networks!r}, expected a list of Networks")
    found = tuple(networks)
    for i, network in enumerate(found):
        if not isinstance(network, Network):
            raise TypeError(f"networks[{i}] is {network!r}, expected a Network")
    if not found:
        raise ValueError("networks is empty, expected at least one Network")
    places: dict[int, int] = {}
    for i, network in enumerate(found):
        if (before := places.setdefault(id(network), i)) != i:
            raise ValueError(f"networks[{i}] and networks[{before}] are the same network, which would count twice: "
                             "train a copy() from other first weights, see Network.reset")
    first = found[0]
    for what, of in (("inputs", lambda network: network.layers[0]), ("outputs", lambda network: network.layers[-1]),
                     ("dtype", lambda network: network.dtype.name),
                     ("what its outputs are", lambda network: kind_of(network.cost_function))):
        for i, network in enumerate(found):
            if of(network) != of(first):
                raise ValueError(f"networks[{i}] differs from networks[0] in {what}: {of(network)}, not {of(first)}; "
                                 "the members of an ensemble answer the same question")
    return found


class Members:
    """Networks of the same inputs and outputs, in their order."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = checked(networks)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The members, in their order: the networks that were given, no copies."""
        return self._networks

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the networks and of `predict`; what is counted from their outputs is float64."""
        return self._networks[0].dtype

    @property
    def _kind(self) -> str:
        return kind_of(self._networks[0].cost_function)

    @property
    def _n_in(self) -> int:
        return self._networks[0].layers[0]

    @property
    def _n_out(self) -> int:
        return self._networks[0].layers[-1]

    @property
    def flat(self) -> bool:
        """Whether results have no axis for the outputs: all networks were fitted on targets of shape (n_samples,)."""
        return self._n_targets == 1 and all(network._flat for network in self._networks)

    def _shown(self, found: Any, single: bool) -> Any:
        """Return results (n_samples, n_targets) of one row without their first axis, if flat without the last."""
        if self.flat:
            found = found[..., 0]
        return found[0] if single else found

    @property
    def _n_targets(self) -> int:
        return self._networks[0]._architecture.n_targets


def rows(members: Members, X: Any) -> tuple[Array | SparseRows, bool]:
    """Return a user's inputs, checked, and whether they are one row of shape (n_0,)."""
    return arrays.dense_or_sparse(X, members._n_in), np.ndim(X) == 1


def parts(members: Members, inputs: Array | SparseRows,
          numbers: int = 1) -> Iterator[tuple[slice, Array | SparseRows]]:
    """Yield some rows at a time, so few that ``numbers`` of each come to no more than `PART`."""
    some = max(PART // max(members._n_in, members._n_out, numbers), 1)
    for begin in range(0, len(inputs), some):
        wanted = slice(begin, min(begin + some, len(inputs)))
        part = inputs[wanted]
        yield wanted, part if isinstance(part, SparseRows) else converted(part, members.dtype)


def outputs(members: Members, part: Array | SparseRows, single: bool) -> Iterator[Array]:
    """Yield the outputs (rows, n_L) of each member in turn, in one array that the next one overwrites.

    One row is computed as `Network.predict` computes one, so that an ensemble has the mean of what its networks say.
    """
    out = np.empty((len(part), members._n_out), members.dtype)
    for network in members._networks:
        if single and not isinstance(part, SparseRows):
            forward.predict(network, part.reshape(-1), out.reshape(-1))
        else:
            forward.outputs(network, part, len(network.layers) - 1, out)
        yield out

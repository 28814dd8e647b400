"""A user's samples, once they are checked: what passes read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..costs import Cost
from ..kernels import layout, tables
from ..kernels.layout import NOT_SHUFFLED
from .conversion import converted, readonly
from .request import Request

Array = npt.NDArray[Any]


@dataclass
class SparseRows:
    """The rows of a sparse matrix (CSR), after validation.

    Kernels go where ``columns`` and ``starts`` say, so these are never the user's own arrays.
    """

    values: Array
    columns: npt.NDArray[np.signedinteger[Any]]
    """The column of each value."""
    starts: npt.NDArray[np.signedinteger[Any]]
    """Where each row begins, and the last one ends."""
    few: bool
    """Whether products are of the non-zeros alone (`layout.few_nonzeros`): decided once for a whole matrix, so that
    its parts are computed alike."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: slice) -> SparseRows:
        first, stop, _ = rows.indices(len(self))
        starts = self.starts[first : stop + 1]
        values = slice(starts[0], starts[-1])
        return SparseRows(self.values[values], self.columns[values], starts - starts[0], self.few)


@dataclass
class Samples:
    """A user's samples after validation."""

    inputs: Array | SparseRows
    targets: Array
    labels: bool
    weights: Array
    jacobian: Array | None = None
    """Targets of ∂o/∂x, (n, n_targets, n_0); or, (n, 2, n_targets, n_0), behind those of a sample its λ of each."""
    jacobian_weight: float = 0.0
    picked: npt.NDArray[np.int64] | None = None
    """Which rows of these arrays the samples are, some perhaps more than once; None for all of them as they come."""
    flat: bool | None = None
    """Whether there is one target a sample, given as (n,), and not as (n, 1); None where nobody can tell."""
    cost: Cost | None = None
    """That of the network with weights of single outputs, `costs.by_output`, where `targets` have these."""
    signed: bool = False
    """Whether weights are factors of either sign, and means those over the samples."""
    holes: bool = False
    """Whether a weight of 0 may say that the targets of a sample are missing, and 0 stands in their place."""
    read: layout.Data | None = None
    """What kernels read of these arrays, once it has been asked for: many fits may pick rows of them."""

    def __len__(self) -> int:
        return len(self.inputs) if self.picked is None else len(self.picked)

    @property
    def own_weights(self) -> Array:
        """Those of these samples, or none."""
        return self.weights if self.picked is None or not self.weights.size else self.weights[self.picked]

    @property
    def own_targets(self) -> Array:
        """Those of these samples."""
        return self.targets if self.picked is None else self.targets[self.picked]

    @property
    def total_weight(self) -> float:
        """The sum of their weights; of samples without, their number."""
        weighed = self.weights.size and not self.signed
        return float(self.own_weights.sum(dtype=np.float64)) if weighed else float(len(self))

    @property
    def counted(self) -> int:
        """The number of samples that weigh anything."""
        return int(np.count_nonzero(self.own_weights)) if self.weights.size else len(self)

    def pick(self, rows: npt.NDArray[np.int64]) -> Samples:
        """Return these rows of all, without a copy; whoever calls this has looked whether there are such rows."""
        return replace(self, picked=rows)

    def gathered(self) -> Samples:
        """Return samples in arrays of their own where they are picked rows of larger ones, which are dense."""
        if self.picked is None:
            return self
        jacobian = None if self.jacobian is None else self.jacobian[self.picked]
        assert not isinstance(self.inputs, SparseRows)
        return replace(self, inputs=self.inputs[self.picked], targets=self.own_targets,
                       weights=self.own_weights, jacobian=jacobian, picked=None, read=None)

    def part(self, rows: slice) -> Samples:
        """Return some rows, as views."""
        if self.picked is not None:
            return self.pick(self.picked[rows])
        jacobian = None if self.jacobian is None else self.jacobian[rows]
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows], weights=self.weights[rows],
                       jacobian=jacobian, read=None)

    @property
    def kind(self) -> int:
        """What a pass over them computes, one of the kinds in `tables`."""
        return tables.KIND_PLAIN if self.jacobian is None else tables.KIND_SOBOLEV

    def request(self, batch: int, threads: int = 1, kind: int | None = None) -> Request:
        """Return what a pass forward and back needs for batches of them; it computes ``kind``, or what they ask for."""
        return Request(batch, True, threads, self.kind if kind is None else kind, self.sparse, self.weights.size > 0,
                       self.picked is not None, few_nonzeros=self.few_nonzeros,
                       structure=self.data().structure if self.few_nonzeros else None,
                       jacobian=self.jacobian, jacobian_weight=self.jacobian_weight,
                       jacobian_columns=0 if self.jacobian is None or self.jacobian.ndim == 3
                       else self.jacobian[0].size, cost=self.cost, signed=self.signed)

    def order(self) -> npt.NDArray[np.int64]:
        """Return what a pass that shuffles overwrites: an index a sample, behind them the rows that are picked."""
        n = len(self)
        if self.picked is None:
            return np.arange(n)
        order = np.empty(2 * n, np.int64)
        order[:n] = order[n:] = self.picked
        return order

    def data(self, order: npt.NDArray[np.int64] = NOT_SHUFFLED) -> layout.Data:
        """Return what the kernels read, the samples in this order, or as they come."""
        if not order.size and self.picked is not None:
            order = self.picked
        if self.read is not None:
            return self.read._replace(order=order)
        inputs, structure = flattened(self.inputs, self.targets.dtype)
        self.read = layout.Data(inputs, readonly(self.targets), readonly(self.weights), order, structure)
        return self.read

    @property
    def usual(self) -> bool:
        """Whether they are rows of arrays with one target of each output, and of weights none is negative."""
        return self.jacobian is None and self.cost is None and not self.signed and type(self.inputs) is not SparseRows

    @property
    def sparse(self) -> bool:
        """Whether the inputs are the rows of a sparse matrix."""
        return isinstance(self.inputs, SparseRows)

    @property
    def few_nonzeros(self) -> bool:
        """Whether they are, and products are of their non-zeros alone."""
        return isinstance(self.inputs, SparseRows) and self.inputs.few


def flattened(rows: Array | SparseRows, kind: np.dtype[Any]) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return what the kernels read of X: the numbers, and the structure of a sparse matrix (`layout.Data`)."""
    if isinstance(rows, SparseRows):
        structure = np.concatenate([rows.starts + np.int64(len(rows.starts)), rows.columns], dtype=np.int64)
        return readonly(converted(rows.values, kind)), structure
    return readonly(converted(rows, kind)), layout.NO_STRUCTURE

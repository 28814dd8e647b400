"""Full-batch methods that are a direction and a search along it, which runs compiled: L-BFGS, conjugate gradients.

A new direction is a `LineSearch` with two kernels of `kernels.passes.directions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.model import Model
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels import prototypes, tables
from ..kernels.compile import address
from ..kernels.passes import directions, line_search
from ..kernels.tables import HYPER_STEP_LENGTH
from ..kernels.updates import vectors
from ..regularization import Regularization
from ..util.settings import count, finite, not_negative, whole
from .base import BatchMethod, Numbers


@dataclass(frozen=True)
class LineSearch(BatchMethod):
    """A direction, and a step to where the strong Wolfe conditions hold along it: `kernels.passes.line_search`."""

    direct: ClassVar[Any] = None
    remember: ClassVar[Any] = None
    """The kernels of the direction."""
    next_point: ClassVar[Any] = staticmethod(line_search.next_point)
    """The kernel that says after each pass where the next one goes."""
    c2: ClassVar[float] = 0.9
    """c₂ of the Wolfe conditions."""
    reports = {"step_length": HYPER_STEP_LENGTH}
    varying = {"step_length": (not_negative, HYPER_STEP_LENGTH), "steps": (whole(0), tables.HYPER_STEPS)}

    @property
    def cells(self) -> int:
        """Numbers that the direction needs during a fit."""
        return 0

    def search(self, dtype: np.dtype[Any], penalize: int = 0) -> Numbers:
        """Return the numbers of a search that is about to begin; with a regularisation it is told what to call."""
        found = np.zeros(tables.SEARCH_COUNT + self.cells)
        found[[tables.SEARCH_C2, tables.SEARCH_EPSILON]] = self.c2, np.finfo(dtype).eps
        found.view(np.int64)[[tables.SEARCH_DIRECT, tables.SEARCH_REMEMBER, tables.SEARCH_PENALIZE]] = (
            *(address(kernel, dtype, prototypes.direction) for kernel in (self.direct, self.remember)), penalize)
        return found


@dataclass(frozen=True)
class LBFGS(LineSearch):
    """L-BFGS with a line search to the strong Wolfe conditions (Nocedal 1980; Liu & Nocedal 1989).

    Each epoch is one step with all samples. It stops by itself when no lower cost is to be found.

    Parameters
    ----------
    memory : int, default 10
        Pairs of steps and changes of gradient that it remembers.

    Raises
    ------
    ValueError
        If the number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-2, 2, 100)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, np.sin(2 * x), epochs=100, optimizer=fastbp.LBFGS())
    >>> bool(net.cost(x, np.sin(2 * x)) < 1e-3)
    True
    """

    memory: int = 10
    checks = {"memory": count}
    varying = LineSearch.varying | {"pairs": (whole(0), tables.HYPER_PAIRS)}
    direct = staticmethod(directions.lbfgs_direction)
    remember = staticmethod(directions.lbfgs_note)

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Buffers of state."""
        return tables.ROW_OWN + 2 * self.memory

    @property
    def cells(self) -> int:
        """Two addresses, and products of the pairs."""
        return directions.PAIRS - tables.SEARCH_COUNT + 2 * self.memory**2 + 5 * self.memory

    def search(self, dtype: np.dtype[Any], penalize: int = 0) -> Numbers:
        """Return the numbers of a search that is about to begin."""
        found = super().search(dtype, penalize)
        found.view(np.int64)[[directions.PRODUCTS, directions.MIX]] = (
            address(vectors.products, dtype), address(vectors.mix, dtype))
        return found

    def hyper(self) -> Numbers:
        """Return the numbers that it begins with."""
        found = super().hyper()
        found[tables.HYPER_MEMORY] = self.memory
        return found

    def check(self, network: Model, samples: Samples | Streamed, regularization: Regularization | None,
              memory: int) -> None:
        """See that the pairs fit into memory."""
        needed = self.slots * network.n_parameters * network.dtype.itemsize + 8 * self.cells
        if needed > memory:
            raise ValueError(f"LBFGS: memory={self.memory} on {network.n_parameters} parameters needs {needed:.3g} "
                             f"bytes, more than half of this machine's memory, {memory:.3g}: remember fewer pairs")


@dataclass(frozen=True)
class ConjugateGradient(LineSearch):
    """Nonlinear conjugate gradients after Polak and Ribière, β ≥ 0, restarted where directions lose conjugacy.

    Nocedal & Wright (2006), algorithm 5.4 with (5.45) and the restart (5.52). Each epoch is one step with all samples.
    It stops by itself when no lower cost is to be found.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-2, 2, 100)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> net = net.fit(x, np.sin(2 * x), epochs=100, optimizer=fastbp.ConjugateGradient())
    >>> bool(net.cost(x, np.sin(2 * x)) < 1e-3)
    True
    """

    slots = tables.ROW_OWN + 2
    c2 = 0.1
    varying = LineSearch.varying | {"last_slope": (finite, tables.HYPER_LAST_SLOPE)}
    direct = staticmethod(directions.conjugate_direction)
    remember = staticmethod(directions.conjugate_note)


METHODS = (LBFGS, ConjugateGradient)

"""What a pass is asked for: samples in a batch, forward alone or both ways, threads, kind, functions of its own.

`link` makes a complete plan of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from ..costs import Cost
from ..kernels import layout, tables
from ..kernels.compile import Kernel
from ..kernels.layer import bfloat16, dense
from ..kernels.layout import Integers
from ..kernels.passes import record
from ..regularization import Regularization
from .architecture import Architecture

Array = npt.NDArray[Any]


class Choices(NamedTuple):
    """What the linker decides by sizes, unless it is told."""

    by_lanes: bool | None = None
    """Whether gradients are summed over lanes, in all layers; else `layout.sums_lanes` decides for each."""
    packs: bool | None = None
    """Whether products copy their broadcast operand, in all layers; else `layout.packs`."""
    block: int | None = None
    """Samples in a block; else `layout.block_samples`."""


@dataclass(slots=True)
class Request:
    """What a pass needs."""

    samples: int
    """In a batch."""
    backward: bool = True
    """Whether deltas and gradients are computed, or the forward pass only."""
    threads: int = 1
    """How many threads share the workspace; each has a scratch where a layer needs packing."""
    kind: int = tables.KIND_PLAIN
    """What is computed, one of the kinds in `tables`."""
    sparse: bool = False
    """Whether the inputs are the rows of a sparse matrix."""
    weighted: bool = False
    """Whether samples have weights."""
    picks: bool = False
    """Whether samples are rows that are picked from larger arrays, by indices behind their order."""
    calls: tuple[Kernel, ...] = ()
    """Kernels that it calls beside those of forward and backward pass."""
    choices: Choices = Choices()
    few_nonzeros: bool = False
    """Whether these have so few that the first layer's products are of them alone, where they can be."""
    structure: Integers | None = None
    """Then `layout.Data.structure`, which a pass forward and back must be told of."""
    jacobian: Array | None = None
    """Targets of ∂o/∂x."""
    jacobian_weight: float = 0.0
    jacobian_columns: int = 0
    """Numbers of a sample in these, where they are not one for each ∂o_j/∂x_i."""
    cost: Cost | None = None
    """In the place of the network's own: the same with weights of single outputs."""
    signed: bool = False
    """Whether weights of samples are factors of either sign, and the mean is one over the samples."""
    direction: Array | None = None
    """Laid out like the parameters, for a product with it."""
    regularization: Regularization | None = None
    noise_key: int | None = None
    """Key of the random numbers of a regularised fit; without it nothing is random, and no norm is clipped."""
    progress: Integers | None = None
    """`layout.Learner.progress` of a regularised fit, whose noise depends on the epoch."""
    end_epoch: Kernel = record.end_epoch
    scheduled: Integers | None = None
    """Rows of `tables.SCHEDULED` for numbers that follow schedules; who owns these and their values fills them."""
    several: bool = False
    """Whether a batch has as many blocks as there are threads, at least: then they may take `passes.rounds`."""
    bfloat16: bool = False
    """Whether operands of products are rounded to bfloat16."""
    shuffles: bool = False
    """Whether each epoch takes the samples in an order of its own."""
    ordered: bool = False
    """Whether these orders are given, behind the one of the samples."""

    def block(self, architecture: Architecture) -> int:
        """Return the number of samples that go through a pass together: of the network alone, never of threads."""
        if self.choices.block is not None:
            return self.choices.block
        if self.kind == tables.KIND_PLAIN:
            more = 0 if architecture.encoding is None else architecture.encoding.kept
            return layout.block_samples(architecture.sizes, architecture.dtype, self.samples, backward=self.backward,
                                        more=more, inputs=not self.of_nonzeros)
        return layout.block_with_tangents(architecture.layers, architecture.dtype, self.samples,
                                          architecture.directions(self.kind))

    @property
    def products(self) -> Any:
        """The module of kernels that multiply: forward, backward, gradient, and transpose_panel for that."""
        return bfloat16 if self.bfloat16 else dense

    @property
    def prepared_by(self) -> tuple[Any, ...]:
        """What a prepared plan depends on, beside its room."""
        return (self.backward, self.threads, self.several, self.kind, self.sparse, self.of_nonzeros, self.weighted,
                self.picks, self.calls, self.cost, self.jacobian_columns, self.signed, self.bfloat16,
                self.ordered, self.noisy)

    @property
    def noisy(self) -> bool:
        """Whether inputs have noise."""
        return (self.noise_key is not None and self.regularization is not None
                and self.regularization.is_set("input_noise"))

    @property
    def of_nonzeros(self) -> bool:
        """Whether the first layer's products are of the non-zeros of a sparse X: noise of inputs would leave none 0."""
        return self.few_nonzeros and self.kind == tables.KIND_PLAIN and not self.noisy

    @property
    def binds(self) -> bool:
        """Whether anything belongs to one use."""
        return (self.jacobian is not None or self.direction is not None or self.regularization is not None
                or self.end_epoch is not record.end_epoch or self.scheduled is not None or self.structure is not None)

"""Where everything lies: W^l and b^l in the flat buffer, the panels of a block in the workspace.

The kernels see a network as a `Plan`, the samples as `Data`, a task as a `Task` and what learning changes as a
`Learner`: NamedTuples of a few arrays and integers, which Numba passes as they are. Few arrays, since each one adds to
the time of every compilation that it goes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import addressof, c_byte
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import tables
from .compile import VECTOR_BYTES

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

BLOCK_BYTES = 384 * 1024
"""Panels of one block fit this: half of a 1 MB L2 cache, leaving room for weights."""

SCRATCH_BYTES = 256 * 1024
"""Weights or deltas that one sweep over the strips keeps in L2, and the size of a thread's scratch."""

ROUND_BYTES = 2 * 1024 * 1024
"""Gradients of the blocks of a round."""

LARGEST_BLOCK = 2048
"""Samples in a block; more bring nothing."""

SMALLEST_BLOCK, SMALLEST_LARGE_BLOCK, SMALLEST_FORWARD_BLOCK = 256, 1024, 64
"""Samples in a block at least: where weights are read and gradients added up once a block; where the weights exceed
LARGE_WEIGHTS and come from memory each time (2048-wide layers: 187 GFLOP/s with 512 samples, 198 with 1024); in a
forward pass, which changes nothing."""

TILE = 4
"""Neurons of the tiles that take what is left of a layer: fewer at once cost as much."""

OWN_BYTES = 1024 * 1024
"""Weights of a first layer that two cores still hold when these are updated: both their L2 caches. One that must take
such a line from the other before it writes waited 7 to 14 ns for it on Zen 4, however early it was asked for."""

LARGE_WEIGHTS = 4 * 1024 * 1024
"""Bytes of weights that no cache of one core holds."""

FEW_NONZEROS = 0.1
"""Share of the numbers of a sparse X below which products are of its non-zeros alone.

A step then takes, of one that makes blocks dense (float32; float64 alike): with 5000 columns and 100 neurons 0.16 of
the time at 1 %, 0.41 at 5 %, 0.74 at 10 %, 1.23 at 20 %; with 64 columns 0.74, 0.91, 1.06, 1.45."""

NOT_SHUFFLED: Integers = np.empty(0, np.int64)
"""For `Data.order`: take the samples as they come."""

NO_STRUCTURE: Integers = np.empty(0, np.int64)
"""For `Data.structure` where inputs are dense."""

NO_CLOCK: Integers = np.empty(0, np.int64)
"""For `Learner.clock` when nobody asks where the time goes."""

NO_SEARCH: Doubles = np.empty(0)
"""For `Learner.search` where no line is searched."""


class Plan(NamedTuple):
    """A network and the room for one block of samples."""

    layers: Integers
    """A row a layer, see `tables`."""
    cells: Integers
    """Single offsets and addresses, see `tables`."""
    cost_parameter: Doubles
    """The number of a cost that has one (huber, quantile, gaussian_nll); the weight of the costs of ∂o/∂x (`second`).

    Where a fit is regularised also input noise, label smoothing and the dropout of each hidden layer (`noise`)."""
    panels: Floats
    """The one allocation: panels of n rows, strip by strip, each strip n rows of one vector of samples."""


class Data(NamedTuple):
    """The user's samples, flattened and read-only, and the order in which to take them."""

    inputs: Floats
    """n_0 numbers a sample, or the values of a sparse matrix."""
    targets: Floats
    """So many numbers a sample as tables.CELL_TARGET_COLUMNS says, or one class index."""
    weights: Floats
    """One a sample, or empty."""
    order: Integers
    """Sample indices, shuffled in place; empty to take the samples as they come."""
    structure: Integers = NO_STRUCTURE
    """Where the inputs are sparse (CSR): for each row where in this table its columns begin, and where the last one's
    end; then the column of each of the inputs. Else empty."""


class Task(NamedTuple):
    """What a pass over the data does."""

    samples: int
    batch: int
    block: int
    labels: int
    """1 if targets are class indices."""
    shuffle: int
    key: int
    """Seed of the counter-based generator that shuffles."""
    epochs: int
    """The pass ends before this epoch."""
    plain: int
    """1 if the rule is plain gradient descent, which `online` applies without writing a gradient."""
    blocks: int
    """Blocks to take before coming back, so that Python sees Ctrl-C."""
    pieces: int = 1
    """Where one block takes too long for that: in how many calls its phase 1 is done, the last one with phase 2."""
    piece: int = 0
    """Which of these calls this is, 0 to ``pieces`` − 1."""

    def up_to(self, epochs: int, blocks: int) -> Task:
        """Return the same pass with other ends; `_replace` takes three times as long."""
        samples, batch, block, labels, shuffle, key, _, plain, _, pieces, piece = self
        return Task(samples, batch, block, labels, shuffle, key, epochs, plain, blocks, pieces, piece)


class Learner(NamedTuple):
    """What a pass changes: the gradient, the optimizer's state, the record."""

    gradient: Floats
    """Laid out like the parameters; empty to compute the cost only."""
    state: Floats
    """The optimizer's slots, each laid out like the parameters."""
    hyper: Doubles
    """The rule's numbers, see `rules`."""
    update: int
    """Address of the rule, or 0 to leave the parameters alone."""
    best: Floats
    """Parameters after the last epoch that left them finite."""
    progress: Integers
    """Where the pass stands."""
    sums: Doubles
    """Running costs."""
    search: Doubles
    """A search along lines and what its direction keeps; empty where no line is searched."""
    costs: Doubles
    """Mean cost of each epoch."""
    clock: Integers = NO_CLOCK
    """Ticks for each thread: the last reading, then a row of `tables.PHASE_COUNT` a layer; empty when nobody asks."""


class StackedLearner(NamedTuple):
    """What a pass over a stack of networks changes: as in `Learner`, with a number for each network, in lanes."""

    gradient: Floats
    """A vector for each parameter, and so are the other two."""
    state: Floats
    best: Floats
    hyper: Doubles
    """One for all networks."""
    update: int
    order: Integers
    """Of each network its order, as `Data` has it, one behind the other."""
    apart: int
    """How long each of them is."""
    keys: Integers
    progress: Integers
    """Where the pass stands, all networks together."""
    status: Integers
    """One of `tables.STATUS_RUNNING` … for each network."""
    done: Integers
    """Epochs that ended well."""
    totals: Doubles
    """The weight of the present batch."""
    epoch_costs: Doubles
    """Summed cost of the present epoch."""
    weights: Doubles
    """Weight of the samples of the present epoch."""
    costs: Doubles
    """Mean cost of each epoch, one number a network."""


def learner(gradient: Floats, state: Floats | None = None, hyper: Doubles | None = None, update: int = 0,
            best: Floats | None = None, progress: Integers | None = None, *, search: Doubles | None = None,
            epochs: int = 1, clock: Integers = NO_CLOCK) -> Learner:
    """Return a `Learner` before its first pass, with what it has need of, and room for the costs of so many epochs."""
    return Learner(
        gradient,
        gradient[:0] if state is None else state,
        np.zeros(tables.HYPER_COUNT) if hyper is None else hyper,
        update,
        gradient[:0] if best is None else best,
        np.zeros(tables.PROGRESS_COUNT, np.int64) if progress is None else progress,
        np.zeros(tables.SUM_COUNT),
        NO_SEARCH if search is None else search,
        np.zeros(epochs),
        clock,
    )


class Offsets(NamedTuple):
    """Where a network's parameters lie in the flat buffer, a number a layer."""

    weights: list[int]
    biases: list[int]
    """-1 without biases."""
    alphas: list[int]
    """-1 where the activation is not parametric."""
    total: int
    """The number of parameters."""


def offsets(sizes: Sequence[int], bias: bool, parametric: Sequence[bool], start: int = 0) -> Offsets:
    """Return the offsets of every W^l, b^l and α^l in the flat buffer, in this order layer by layer.

    Those of encoders come first: ``start`` counts them.
    """
    found = Offsets([], [], [], 0)
    total = start
    for n_in, n_out, has_alphas in zip(sizes[:-1], sizes[1:], parametric, strict=True):
        found.weights.append(total)
        total += n_in * n_out
        for starts, there in ((found.biases, bias), (found.alphas, has_alphas)):
            starts.append(total if there else -1)
            total += n_out if there else 0
    return found._replace(total=total)


def lanes(dtype: npt.DTypeLike) -> int:
    """Return the number of elements in a vector of this CPU."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def strips(samples: int, dtype: npt.DTypeLike) -> int:
    """Return the number of vectors that hold so many samples."""
    return -(-samples * np.dtype(dtype).itemsize // VECTOR_BYTES)


def block_samples(sizes: Sequence[int], dtype: npt.DTypeLike, batch: int, *, backward: bool = True,
                  more: int = 0, inputs: bool = True) -> int:
    """Return the number of samples that go through both phases together: of the network alone, never of threads.

    Of each sample the panels hold so many numbers ``more`` than those of the layers; not its inputs, unless ``inputs``.
    """
    itemsize = np.dtype(dtype).itemsize
    width = VECTOR_BYTES // itemsize
    numbers = 2 * sum(sizes) + sum(sizes[:-1]) + more - (0 if inputs else 3 * sizes[0])
    fitting = BLOCK_BYTES // (itemsize * numbers)
    weights = itemsize * sum(n * m for n, m in zip(sizes[:-1], sizes[1:], strict=True))
    least = SMALLEST_LARGE_BLOCK if weights > LARGE_WEIGHTS else SMALLEST_BLOCK if backward else SMALLEST_FORWARD_BLOCK
    block = min(max(fitting // width * width, least), LARGEST_BLOCK)
    return min(block, -(-batch // width) * width)


def block_with_tangents(sizes: Sequence[int], dtype: npt.DTypeLike, batch: int, tangents: int) -> int:
    """Return the same where a sample's tangents fill the block like further samples; at least one vector of samples."""
    width = lanes(dtype)
    every = block_samples(sizes, dtype, -(-batch // width) * width * (1 + tangents))
    return max(every // (1 + tangents) // width * width, width)


def blocks_in_round(parameters: int, dtype: npt.DTypeLike, threads: int) -> int:
    """Return how many blocks a round of a team has at most, as many for each thread; 0 if gradients are too large."""
    fitting = ROUND_BYTES // (parameters * np.dtype(dtype).itemsize)
    return min(fitting, tables.MOST_BLOCKS) // threads * threads


def hands_on(sizes: Sequence[int], transposed: Sequence[bool], samples: int) -> bool:
    """Return whether two threads that share a block hand sums of the gradient on, and do not read each other's panels.

    Parameters
    ----------
    transposed
        For each layer whether its gradient is summed with neurons in lanes; one thread sums the others.
    samples
        In a block.
    """
    weights = [n_in * n_out for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True)]
    handed = sum(n for n, there in zip(weights, transposed, strict=True) if there)
    return 3 * handed > 2 * sum(weights) and 2 * sum(weights) < samples * sum(sizes)


def owns_weights(sizes: Sequence[int], dtype: npt.DTypeLike, samples: int) -> bool:
    """Return whether two threads that share a block each have weights of the first layer that the other never reads.

    They exchange what these neurons have summed, and both gather all samples. With sixteen neurons each has a whole
    tile.

    Parameters
    ----------
    samples
        In a block.
    """
    n_in, n_out = sizes[:2]
    return n_in >= samples // 2 and n_out >= 16 and n_in * n_out * np.dtype(dtype).itemsize <= OWN_BYTES


def room(samples: int, dtype: npt.DTypeLike) -> int:
    """Return the number of samples that a workspace is made for, so that few sizes serve all: 2ⁿ vectors of them."""
    return lanes(dtype) << (strips(samples, dtype) - 1).bit_length()


def tiles(n: int) -> int:
    """Return in how many tiles the n neurons of a layer are dealt out to threads."""
    return -(-n // TILE)


def sums_lanes(n_in: int, n_out: int, samples: int, width: int) -> bool:
    """Return which gradient tile is cheaper for a layer: the one that sums over lanes, or the broadcast one.

    Counted in vector instructions per block. The broadcast tile pads rows to whole vectors and needs the outputs
    transposed (about 6 instructions a vector, measured); the other adds about 3 to sum up each weight's lanes.
    """
    count = -(-samples // width)
    vectors = -(-n_in // width)
    broadcast = (n_out + 6) * vectors * count * width
    return n_out * n_in * (1.25 * count + 3) < broadcast


def few_nonzeros(nonzeros: int, rows: int, n_in: int) -> bool:
    """Return whether a sparse matrix has so few that products of them alone are cheaper than those of dense blocks."""
    return nonzeros < FEW_NONZEROS * rows * n_in


def packs(n_in: int, n_out: int, dtype: npt.DTypeLike) -> bool:
    """Return whether a layer's products copy their broadcast operand: its weights then exceed a scratch, or nearly."""
    return 2 * n_in * n_out * np.dtype(dtype).itemsize > 3 * SCRATCH_BYTES


def aligned(size: int, dtype: npt.DTypeLike) -> Floats:
    """Allocate an uninitialised array that starts on a 64-byte boundary."""
    kind = np.dtype(dtype)
    raw = np.empty(size * kind.itemsize + 64, np.uint8)
    start = -addressof(c_byte.from_buffer(raw)) % 64  # type: ignore[arg-type]  # `raw.ctypes` takes 1 µs, this 0.3
    found: Floats = np.ndarray(size, kind, raw, start)
    return found

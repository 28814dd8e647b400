"""JᵀJ, the Gauss–Newton matrix of the mean cost, and the rows of J: what the methods of second order work with.

The matrix is that of Σ_s ω_s C(y_s, o_s): Σ_s ω_s J_sᵀ H_s J_s with ω_s the sample's share of the mean. For the squared
error J_s is ∂o^L/∂parameters and H_s = 1; for a canonical link J_s is ∂net^L/∂parameters and H_s the second derivative
of the cost with respect to net^L: diag(p) − ppᵀ for softmax with cross_entropy, o(1 − o) for logistic with
binary_cross_entropy, o for exp with poisson (generalised Gauss–Newton: Schraudolph 2002; Martens 2020). For
gaussian_nll, whose second derivative has a negative eigenvalue wherever a target is not its mean, H_s is the mean of it
over targets as the outputs have them, Fisher's information: 1/σ² for μ, ½ for log σ².
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import thread_team
from ..core.model import Model
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels import layout
from ..kernels.compile import Kernel
from ..kernels.derivatives import gauss_newton as kernels
from ..kernels.derivatives import shared
from ..kernels.ir import WHOLE
from ..kernels.layer import dense, gather
from .first import by_blocks, directions, room_for_rows

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

CHUNK_WORK = 2_000_000_000
"""Multiply-adds in one call, since Ctrl-C is answered only between calls: 50 ms or so."""

PIECE_BYTES = 640 * 1024
"""Rows of J and their transposed copy that lie in L2 while they are multiplied."""

SMALLEST_PIECE, LARGEST_PIECE = 64, 256
"""Samples in a piece: with fewer, adding the sums up weighs; with more, a tile's operands leave L1."""


def supported(network: Model) -> bool:
    """Return whether the cost has such an H_s: the squared error, the canonical links and gaussian_nll have."""
    cost = network.cost_function
    return cost.least_squares or network._architecture.canonical or cost.fisher is not None


def _workspace(network: Model, samples: int, *calls: Kernel) -> AbstractContextManager[tuple[layout.Plan, int]]:
    """Borrow a workspace for blocks of samples twice over, and the samples in a block."""
    fisher = network.cost_function.fisher
    return directions(network, samples, gather.gather_weights, shared.pullback, dense.backward,
                      *(() if fisher is None else (fisher,)), *calls)


def normal_matrix(network: Model, samples: Samples | Streamed, matrix: Doubles, threads: int | None = None) -> None:
    """Compute JᵀJ at the present parameters; overwrites the lower triangle of ``matrix``, and what is above it.

    Beside the matrix it uses a workspace as `fit` does, and 640 kB or 64 rows of J, whichever is more, twice. Of
    samples that are read by blocks it is the mean over shards, whose sums are as large as the matrix.
    """
    if isinstance(samples, Streamed):

        def of_piece(piece: Samples) -> Doubles:
            normal_matrix(network, piece, matrix, threads)
            return matrix.reshape(-1)

        matrix[...] = samples.sums(matrix.size, of_piece).mean.reshape(matrix.shape)
        return
    n, size, width = len(samples), network.n_parameters, layout.lanes(network.dtype)
    tiles = math.lcm(2 * width, WHOLE)
    padded = -(-size // tiles) * tiles
    piece = PIECE_BYTES // (2 * padded * network.dtype.itemsize)
    piece = min(max(piece, SMALLEST_PIECE), LARGEST_PIECE, -(-n // width) * width) // width
    work = network.layers[-1] * size * (size + 1) // 2
    n_threads = thread_team.size(threads, work * piece * width, work * n, lambda: -(-size // (2 * width)))
    column = (piece * width + 1) * width
    rows = layout.aligned(padded * piece * width + padded // width * column + n_threads * WHOLE * 2 * width,
                          network.dtype)
    rows[:] = 0
    matrix[...] = 0
    data = samples.data()
    total = samples.total_weight
    with _workspace(network, n, dense.transpose_panel) as (plan, block):
        some = max(CHUNK_WORK // (work * block), 1) * block

        def chunk(begin: int, thread: int, barrier: npt.NDArray[np.int64]) -> None:
            kernels.normal_matrix(thread, n_threads, plan.layers, plan.cells, plan.panels, network._parameters,
                                  data.inputs, data.weights, data.order, begin, min(begin + some, n), total, block,
                                  rows, padded, piece, matrix.reshape(-1), barrier)

        for begin in range(0, n, some):
            thread_team.run(n_threads, partial(chunk, begin))


def jacobian_rows(network: Model, samples: Samples, total: float) -> Array:
    """Compute J at the present parameters, (n_samples · n_L, n_parameters), for samples that share in a total weight.

    With ``samples.total_weight``, JᵀJ is `normal_matrix`.
    """
    samples, n, n_out = samples.gathered(), len(samples), network.layers[-1]
    out = np.empty((n, n_out, network.n_parameters), network.dtype)
    with _workspace(network, n, shared.panel_rows, shared.outer_products) as (plan, block):
        by_blocks(network, kernels.jacobian_rows, plan, block, network._architecture.work * (1 + n_out), out,
                  samples.inputs, weights=samples.weights, total=total, rows=room_for_rows(network, block))
    return out.reshape(-1, network.n_parameters)


def directional_second_derivative(network: Model, samples: Samples | Streamed, step: Array, part: float) -> Array:
    """Compute Jᵀ d²o/dt² along parameters + t·step, from the outputs at t = ``part``; for the squared error."""
    if isinstance(samples, Streamed):
        return samples.sums(step.size, lambda piece: directional_second_derivative(
            network, piece, step, part).astype(np.float64)).mean
    out = np.zeros(network.n_parameters, network.dtype)
    direction = step.astype(network.dtype)
    ahead = (network._parameters + part * step).astype(network.dtype)
    data = samples.data()
    calls = shared.pushforward_tangents, shared.weigh, dense.gradient_by_lanes
    with _workspace(network, len(samples), *calls) as (plan, block):
        kernels.directional_second_derivative(plan.layers, plan.cells, plan.panels, network._parameters, ahead,
                                              direction, part, data.inputs, data.weights, data.order, len(samples),
                                              samples.total_weight, block, out)
    return out


def factorise(matrix: Doubles) -> Doubles:
    """Return L with LLᵀ = matrix, of which the lower triangle is read; LinAlgError if it is not positive definite."""
    return np.asarray(np.linalg.cholesky(matrix), np.float64)


def solve(factor: Doubles, right: Doubles) -> Doubles:
    """Return (LLᵀ)⁻¹ times a vector, for the lower triangle L."""
    out = right.copy()
    kernels.substitute(factor.reshape(-1), out)
    return out

"""Derivatives of a network's outputs and cost: methods of `Network`.

Samples are taken block by block, at most `layout.LARGEST_BLOCK` at a time, so that beside the result no more memory is
used than a fit needs. One thread computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import arrays, thread_team
from ..core.conversion import readonly
from ..core.link import Request
from ..core.model import Model
from ..kernels import layout
from ..kernels.compile import Kernel
from ..kernels.derivatives import first as derivatives
from ..kernels.layer import dense
from ..kernels.layout import NOT_SHUFFLED

Array = npt.NDArray[Any]


@contextmanager
def _directions(network: Model, samples: int, *calls: Kernel) -> Iterator[tuple[layout.Plan, int]]:
    """Borrow a workspace whose panels hold a block of samples and as many directions, with the kernels it calls."""
    width = layout.lanes(network.dtype)
    request = Request(2 * max(samples, width), backward=False, calls=(derivatives.forward_slopes, *calls))
    with network._borrow(request) as (plan, room):
        yield plan, room // (2 * width) * width


def _by_chunks(block: int, work: int, out: Array, call: Callable[..., None], *given: Any) -> None:
    """Call ``call(rows of each array, their number, rows of out)`` for all rows, flat, a chunk at a time."""
    for rows in thread_team.chunks(len(out), block, work):
        call(*(readonly(array[rows]) for array in given), rows.stop - rows.start, out[rows].reshape(-1))


def input_gradient(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute ∂E/∂x: how the cost of each pair changes with its input.

    Parameters
    ----------
    X, Y : array_like
        As in `fit`.

    Returns
    -------
    ndarray, shape (n_samples, n_0)
        Row s is the derivative of the cost E = C(y, o^L) (3) of pair s alone, without the factor 1/n_samples of the
        mean: (W^1)ᵀ δ^1.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.
    """
    samples = self._samples(X, Y, empty=True)
    n, none = len(samples), readonly(samples.weights)
    out = np.empty((n, self.layers[0]), self.dtype)
    with self._borrow(Request(max(n, 1), calls=(dense.backward,))) as (plan, block):

        def call(inputs: Array, targets: Array, some: int, rows: Array) -> None:
            derivatives.input_gradient(plan.layers, plan.cells, plan.cost_parameter, plan.panels, self._parameters,
                                       inputs, targets, NOT_SHUFFLED, some, block, int(samples.labels), none, rows)

        _by_chunks(block, self._architecture.work, out, call, samples.inputs, samples.targets)
    return out


def vjp(self: Model, X: npt.ArrayLike, U: npt.ArrayLike) -> Array:
    """Compute uᵀ ∂o^L/∂x for each sample (reverse mode): one forward and one backward pass.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs.
    U : array_like, shape (n_samples, n_L)
        A weight for each output.

    Returns
    -------
    ndarray, shape (n_samples, n_0)
        Σ_j u_j ∂o_j/∂x_k.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.
    """
    X = arrays.inputs(X, self.layers[0], self.dtype, empty=True)
    U = arrays.directions("U", U, len(X), self.layers[-1], self.dtype, "outputs")
    out = np.empty((len(X), self.layers[0]), self.dtype)
    with _directions(self, len(X), dense.backward, derivatives.pullback) as (plan, block):

        def call(inputs: Array, cotangents: Array, some: int, rows: Array) -> None:
            derivatives.vjp(plan.layers, plan.cells, plan.panels, self._parameters, inputs, NOT_SHUFFLED, cotangents,
                            some, block, rows)

        _by_chunks(block, self._architecture.work, out, call, X, U)
    return out


def jvp(self: Model, X: npt.ArrayLike, V: npt.ArrayLike) -> Array:
    """Compute ∂o^L/∂x · v for each sample (forward mode): how the outputs change as the input moves along v.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs.
    V : array_like, shape (n_samples, n_0)
        A direction for each sample.

    Returns
    -------
    ndarray, shape (n_samples, n_L)
        Σ_k ∂o_j/∂x_k v_k.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.
    """
    X = arrays.inputs(X, self.layers[0], self.dtype, empty=True)
    V = arrays.directions("V", V, len(X), self.layers[0], self.dtype, "inputs")
    out = np.empty((len(X), self.layers[-1]), self.dtype)
    with _directions(self, len(X), derivatives.pushforward) as (plan, block):

        def call(inputs: Array, tangents: Array, some: int, rows: Array) -> None:
            derivatives.jvp(plan.layers, plan.cells, plan.panels, self._parameters, inputs, NOT_SHUFFLED, tangents,
                            some, block, rows)

        _by_chunks(block, self._architecture.work, out, call, X, V)
    return out


def jacobian(self: Model, X: npt.ArrayLike) -> Array:
    """Compute ∂o^L/∂x for each sample.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs.

    Returns
    -------
    ndarray, shape (n_samples, n_L, n_0)
        Element [s, j, k] is ∂o_j/∂x_k.

    Raises
    ------
    ValueError, TypeError
        If the array does not fit, or is not finite.

    Notes
    -----
    One forward pass, then n_L passes back or n_0 forward, whichever are fewer. Beside the result it uses a workspace of
    at most 2048 samples, as `fit` does.
    """
    X, n_in, n_out = arrays.inputs(X, self.layers[0], self.dtype, empty=True), self.layers[0], self.layers[-1]
    out = np.empty((len(X), n_out, n_in), self.dtype)
    by_rows = n_out <= n_in
    calls = (dense.backward, derivatives.pullback) if by_rows else (derivatives.pushforward,)
    with _directions(self, len(X), *calls) as (plan, block):

        def call(inputs: Array, some: int, rows: Array) -> None:
            derivatives.jacobian(plan.layers, plan.cells, plan.panels, self._parameters, inputs, NOT_SHUFFLED, some,
                                 block, int(by_rows), rows)

        _by_chunks(block, self._architecture.work * (1 + min(n_in, n_out)), out, call, X)
    return out


def _rows(network: Model, block: int) -> Array:
    """Return room for the outputs and the deltas of a block, as rows, of the widest pair of layers."""
    return np.empty(block * max(map(sum, pairwise(network.layers))), network.dtype)


def per_sample_gradient(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute the gradient of the cost of each pair alone (6).

    Parameters
    ----------
    X, Y : array_like
        As in `fit`.

    Returns
    -------
    ndarray, shape (n_samples, n_parameters)
        Row s is ∂E/∂parameters of pair s, laid out like `parameters`; their mean is `gradient`.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does, and a copy of one layer's outputs and
    deltas.
    """
    samples = self._samples(X, Y, empty=True)
    n, none = len(samples), readonly(samples.weights)
    out = np.empty((n, self.n_parameters), self.dtype)
    request = Request(max(n, 1), calls=(derivatives.panel_rows, derivatives.outer_products))
    with self._borrow(request) as (plan, block):
        room = _rows(self, block)

        def call(inputs: Array, targets: Array, some: int, rows: Array) -> None:
            derivatives.per_sample_gradient(plan.layers, plan.cells, plan.cost_parameter, plan.panels, self._parameters,
                                            inputs, targets, NOT_SHUFFLED, some, block, int(samples.labels), none, room,
                                            rows)

        _by_chunks(block, self._architecture.work, out, call, samples.inputs, samples.targets)
    return out


def gradient_norms(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute the Euclidean norm of each pair's own gradient, without forming the gradient.

    A weight's slope is δ_j o_k (6), so a layer's sum of squares is ‖δ‖² (‖o‖² + 1), where the 1 stands for the biases
    (Goodfellow 2015, "Efficient per-example gradient computations", section 4).

    Parameters
    ----------
    X, Y : array_like
        As in `fit`.

    Returns
    -------
    ndarray, shape (n_samples,)
        Norms of the rows of `per_sample_gradient`.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.
    """
    samples = self._samples(X, Y, empty=True)
    n, none = len(samples), readonly(samples.weights)
    out = np.empty(n, self.dtype)
    with self._borrow(Request(max(n, 1))) as (plan, block):
        room = np.empty(3 * block)

        def call(inputs: Array, targets: Array, some: int, rows: Array) -> None:
            derivatives.gradient_norms(plan.layers, plan.cells, plan.cost_parameter, plan.panels, self._parameters,
                                       inputs, targets, NOT_SHUFFLED, some, block, int(samples.labels), none, room,
                                       rows)

        _by_chunks(block, self._architecture.work, out, call, samples.inputs, samples.targets)
    return out


def parameter_jacobian(self: Model, X: npt.ArrayLike) -> Array:
    """Compute ∂o^L/∂parameters for each sample.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs.

    Returns
    -------
    ndarray, shape (n_samples, n_L, n_parameters)
        Element [s, j, i] is ∂o_j/∂parameters[i].

    Raises
    ------
    ValueError, TypeError
        If the array does not fit, or is not finite.

    Notes
    -----
    One forward pass and n_L passes back. Beside the result it uses a workspace of at most 2048 samples, as `fit` does,
    and a copy of one layer's outputs and deltas.
    """
    X, n_out = arrays.inputs(X, self.layers[0], self.dtype, empty=True), self.layers[-1]
    out = np.empty((len(X), n_out, self.n_parameters), self.dtype)
    with _directions(self, len(X), dense.backward, derivatives.pullback, derivatives.panel_rows,
                     derivatives.outer_products) as (plan, block):
        room = _rows(self, block)

        def call(inputs: Array, some: int, rows: Array) -> None:
            derivatives.parameter_jacobian(plan.layers, plan.cells, plan.panels, self._parameters, inputs, NOT_SHUFFLED,
                                           some, block, room, rows)

        _by_chunks(block, self._architecture.work * (1 + n_out), out, call, X)
    return out

"""Derivatives of a network's outputs and cost: methods of `Network`.

Of one row of shape (n_0,) there is one result, without the axis of samples; of a network with one output that was
fitted on targets of shape (n_samples,), `Network.flat`, results have no axis of outputs.

Samples are taken block by block, at most `layout.LARGEST_BLOCK` at a time, so that beside the result no more memory is
used than a fit needs. One thread computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import arrays, objective, thread_team
from ..core.conversion import readonly
from ..core.model import Model
from ..core.request import Request
from ..core.samples import Samples
from ..costs import LINEAR
from ..kernels import layout, prototypes
from ..kernels.compile import Kernel, address
from ..kernels.derivatives import encoded as columns
from ..kernels.derivatives import first as derivatives
from ..kernels.derivatives import shared
from ..kernels.layer import dense, gather
from ..kernels.passes import encoded

Array = npt.NDArray[Any]


@contextmanager
def directions(network: Model, samples: int, *calls: Kernel) -> Iterator[tuple[layout.Plan, int]]:
    """Borrow a workspace whose panels hold a block of samples and as many directions, with the kernels it calls."""
    width = layout.lanes(network.dtype)
    request = Request(2 * max(samples, width), backward=False, calls=(shared.forward_slopes, *calls))
    with network._borrow(request) as (plan, room):
        yield plan, room // (2 * width) * width


def by_blocks(network: Model, kernel: Kernel, plan: layout.Plan, block: int, work: int, out: Array, inputs: Any,
              given: Array | None = None, *, labels: bool = False, weights: Array | None = None, total: float = 1.0,
              rows: Array | None = None) -> None:
    """Overwrite ``out``, a row for each sample, by what a kernel like `prototypes.block` makes of the other arrays.

    A call takes a chunk of samples, of so much ``work`` each.
    """
    where, room = address(kernel, network.dtype, prototypes.block), network._parameters[:0] if rows is None else rows
    for part in thread_team.chunks(len(out), block, work):
        own = readonly(inputs[part])
        none = own[:0]
        shared.by_blocks(where, plan.layers, plan.cells, plan.cost_parameter, plan.panels, network._parameters, own,
                         none if given is None else readonly(given[part]),
                         none if weights is None else readonly(weights[part]), total, part.stop - part.start, block,
                         int(labels), room, out[part].reshape(-1))


def room_for_rows(network: Model, block: int) -> Array:
    """Return room for the outputs and the deltas of a block, as rows, of the widest pair of layers."""
    return np.empty(block * max(map(sum, pairwise(network.layers))), network.dtype)


def input_gradient(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute ∂E/∂x: how the cost of each pair changes with its input.

    Parameters
    ----------
    X, Y : array_like
        As in `fit`, or one pair.

    Returns
    -------
    ndarray, shape (n_samples, n_0), or (n_0,) for one row of shape (n_0,)
        Row s is the derivative of the cost E = C(y, o^L) (3) of pair s alone, without the factor 1/n_samples of the
        mean: (W^1)ᵀ δ^1.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> net.input_gradient(X, Y).shape
    (2, 2)
    """
    single = np.ndim(X) == 1
    samples = self._samples(X, Y, empty=True)
    n = len(samples)
    out = np.empty((n, self.layers[0]), self.dtype)
    kernel, calls = derivatives.input_gradient, [dense.backward, gather.scatter]
    if self._architecture.encoding is not None:
        kernel, calls = columns.input_gradient, [*calls, encoded.slopes]
    with self._borrow(Request(max(n, 1), calls=tuple(calls))) as (plan, block):
        by_blocks(self, kernel, plan, block, self._architecture.work, out, samples.inputs,
                  samples.targets, labels=samples.labels)
    return out[0] if single else out


def vjp(self: Model, X: npt.ArrayLike, U: npt.ArrayLike) -> Array:
    """Compute uᵀ ∂o^L/∂x for each sample (reverse mode): one forward and one backward pass.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs.
    U : array_like, shape (n_samples, n_L), or (n_samples,) if n_L is 1
        A weight for each output.

    Returns
    -------
    ndarray, shape (n_samples, n_0), or (n_0,) for one row
        Σ_j u_j ∂o_j/∂x_k.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> bool(np.allclose(net.vjp(X, np.ones((2, 1))), net.jacobian(X)[:, 0]))
    True
    """
    single = np.ndim(X) == 1
    X = arrays.inputs(X, self.layers[0], self.dtype, self._architecture.encoding, empty=True)
    U = arrays.directions("U", U, len(X), self.layers[-1], self.dtype, "outputs")
    out = np.empty((len(X), self.layers[0]), self.dtype)
    kernel, calls = derivatives.vjp, [dense.backward, shared.pullback]
    if self._architecture.encoding is not None:
        kernel, calls = columns.vjp, [*calls, encoded.slopes]
    with directions(self, len(X), *calls) as (plan, block):
        by_blocks(self, kernel, plan, block, self._architecture.work, out, X, U)
    return out[0] if single else out


def parameter_vjp(self: Model, X: npt.ArrayLike, U: npt.ArrayLike | None,
                  U_jacobian: npt.ArrayLike | None = None) -> Array:
    """Compute uᵀ ∂o^L/∂parameters, summed over the samples: the gradient of a cost of your own from its ∂E/∂o.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs.
    U : array_like, shape (n_samples, n_L), or (n_samples,) if n_L is 1
        A weight for each output of each sample: ∂E/∂o, of whatever sign. None, with U_jacobian, where E depends on
        slopes alone.
    U_jacobian : array_like, shape (n_samples, n_L, n_0), or (n_samples, n_0) if n_L is 1, optional
        A weight for each slope: ∂E/∂(∂o_j/∂x_i), for costs that depend on these, as those of physics do.

    Returns
    -------
    ndarray, shape (n_parameters,)
        Σ_s Σ_j u_sj ∂o_sj/∂parameters, laid out like `parameters`; with U_jacobian plus
        Σ_s Σ_ji u_sji ∂²o_sj/∂x_i∂parameters.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite.

    Notes
    -----
    One forward and one backward pass (4)-(6), with δ_j^L = φ'(net_j) u_j, on as many threads as `gradient` takes.
    `train_on_output_gradients` makes an update of it. With U_jacobian a tangent for each input goes along, as in a fit
    on ``target_jacobian``; not for networks with encoders or `fastbp.parametric` activations.

    Examples
    --------
    Of a likelihood that fastbp does not have, Σ log cosh(o − y):

    >>> import numpy as np, fastbp
    >>> net, X, y = fastbp.Network((2, 3, 1), seed=0), np.eye(2), np.array([[1.0], [2.0]])
    >>> net.parameter_vjp(X, np.tanh(net.predict(X) - y)).shape
    (13,)
    """
    X = arrays.inputs(X, self.layers[0], self.dtype, self._architecture.encoding, empty=True)
    if U is None and U_jacobian is not None:
        U = np.zeros((len(X), self.layers[-1]), self.dtype)
    U = arrays.directions("U", U, len(X), self.layers[-1], self.dtype, "outputs")
    gradient, linear, J = np.zeros(self.n_parameters, self.dtype), self._with_cost(LINEAR), None
    if U_jacobian is not None:
        J = arrays.target_jacobian(U_jacobian, len(X), linear._architecture, "U_jacobian")
    if len(X):
        samples = Samples(X, U, False, np.empty(0, self.dtype), J, -1.0)
        objective.cost_and_gradient(linear, samples, gradient)
        with np.errstate(over="ignore"):
            gradient *= len(X)  # of the mean
    return gradient


def jvp(self: Model, X: npt.ArrayLike, V: npt.ArrayLike) -> Array:
    """Compute ∂o^L/∂x · v for each sample (forward mode): how the outputs change as the input moves along v.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs.
    V : array_like, shape (n_samples, n_0)
        A direction for each sample.

    Returns
    -------
    ndarray, shape (n_samples, n_L), or (n_L,) for one row
        Σ_k ∂o_j/∂x_k v_k. Of a network that is `Network.flat` (n_samples,).

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does. With encoders it is `jacobian` times
    V, for so many samples at a time.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> v = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> bool(np.allclose(net.jvp(X, v), net.jacobian(X)[:, :, 0]))
    True
    """
    single = np.ndim(X) == 1
    X = arrays.inputs(X, self.layers[0], self.dtype, self._architecture.encoding, empty=True)
    V = arrays.directions("V", V, len(X), self.layers[0], self.dtype, "inputs")
    out = np.empty((len(X), self.layers[-1]), self.dtype)
    if self._architecture.encoding is not None:
        for begin in range(0, len(X), layout.LARGEST_BLOCK):
            rows = slice(begin, begin + layout.LARGEST_BLOCK)
            np.einsum("sjk,sk->sj", _jacobian(self, X[rows]), V[rows], out=out[rows])
        return self._without_axes(out, single)  # type: ignore[no-any-return]
    with directions(self, len(X), shared.pushforward) as (plan, block):
        by_blocks(self, derivatives.jvp, plan, block, self._architecture.work, out, X, V)
    return self._without_axes(out, single)  # type: ignore[no-any-return]


def jacobian(self: Model, X: npt.ArrayLike) -> Array:
    """Compute ∂o^L/∂x for each sample.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs.

    Returns
    -------
    ndarray, shape (n_samples, n_L, n_0), or (n_L, n_0) for one row
        Element [s, j, k] is ∂o_j/∂x_k. Of a network that is `Network.flat` (n_samples, n_0).

    Raises
    ------
    ValueError, TypeError
        If the array does not fit, or is not finite.

    Notes
    -----
    One forward pass, then n_L passes back or n_0 forward, whichever are fewer; with encoders always back. Beside the
    result it uses a workspace of at most 2048 samples, as `fit` does.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> net.jacobian(X).shape  # samples, outputs, inputs
    (2, 1, 2)
    """
    inputs = arrays.inputs(X, self.layers[0], self.dtype, self._architecture.encoding, empty=True)
    return self._without_axes(_jacobian(self, inputs), np.ndim(X) == 1)  # type: ignore[no-any-return]


def _jacobian(model: Model, X: Array) -> Array:
    """Return it with all axes, of rows that are checked."""
    encoding, n_in, n_out = model._architecture.encoding, model.layers[0], model.layers[-1]
    out = np.empty((len(X), n_out, n_in), model.dtype)
    kernel, calls = derivatives.jacobian_by_columns, [shared.pushforward]
    if encoding is not None:
        kernel, calls = columns.jacobian, [dense.backward, shared.pullback, encoded.slopes]
    elif n_out <= n_in:
        kernel, calls = derivatives.jacobian_by_rows, [dense.backward, shared.pullback]
    with directions(model, len(X), *calls) as (plan, block):
        by_blocks(model, kernel, plan, block, model._architecture.work * (1 + min(n_in, n_out)), out, X)
    return out


def per_sample_gradient(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute the gradient of the cost of each pair alone (6).

    Parameters
    ----------
    X, Y : array_like
        As in `fit`, or one pair.

    Returns
    -------
    ndarray, shape (n_samples, n_parameters), or (n_parameters,) for one row of shape (n_0,)
        Row s is ∂E/∂parameters of pair s, laid out like `parameters`; their mean is `gradient`.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does, and a copy of one layer's outputs and
    deltas.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> each = net.per_sample_gradient(X, Y)
    >>> bool(np.allclose(each.mean(axis=0), net.gradient(X, Y)))
    True
    """
    self._architecture.refuse_encoders("per_sample_gradient")
    single = np.ndim(X) == 1
    samples = self._samples(X, Y, empty=True)
    n = len(samples)
    out = np.empty((n, self.n_parameters), self.dtype)
    with self._borrow(Request(max(n, 1), calls=(shared.panel_rows, shared.outer_products))) as (plan, block):
        by_blocks(self, derivatives.per_sample_gradient, plan, block, self._architecture.work, out, samples.inputs,
                  samples.targets, labels=samples.labels, rows=room_for_rows(self, block))
    return out[0] if single else out


def gradient_norms(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute the Euclidean norm of each pair's own gradient, without forming the gradient.

    A weight's slope is δ_j o_k (6), so a layer's sum of squares is ‖δ‖² (‖o‖² + 1), where the 1 stands for the biases
    (Goodfellow 2015, "Efficient per-example gradient computations", section 4).

    Parameters
    ----------
    X, Y : array_like
        As in `fit`, or one pair.

    Returns
    -------
    ndarray, shape (n_samples,), or a number for one row of shape (n_0,)
        Norms of the rows of `per_sample_gradient`.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Beside the result it uses a workspace of at most 2048 samples, as `fit` does.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> bool(np.allclose(net.gradient_norms(X, Y), np.linalg.norm(net.per_sample_gradient(X, Y), axis=1)))
    True
    """
    self._architecture.refuse_encoders("gradient_norms")
    single = np.ndim(X) == 1
    samples = self._samples(X, Y, empty=True)
    n = len(samples)
    out = np.empty(n, self.dtype)
    with self._borrow(Request(max(n, 1))) as (plan, block):
        by_blocks(self, derivatives.gradient_norms, plan, block, self._architecture.work, out, samples.inputs,
                  samples.targets, labels=samples.labels)
    return out[0] if single else out


def parameter_jacobian(self: Model, X: npt.ArrayLike) -> Array:
    """Compute ∂o^L/∂parameters for each sample.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs.

    Returns
    -------
    ndarray, shape (n_samples, n_L, n_parameters), or (n_L, n_parameters) for one row
        Element [s, j, i] is ∂o_j/∂parameters[i]. Of a network that is `Network.flat` (n_samples, n_parameters).

    Raises
    ------
    ValueError, TypeError
        If the array does not fit, or is not finite.

    Notes
    -----
    One forward pass and n_L passes back. Beside the result it uses a workspace of at most 2048 samples, as `fit` does,
    and a copy of one layer's outputs and deltas.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> net.parameter_jacobian(X).shape  # samples, outputs, parameters
    (2, 1, 13)
    """
    self._architecture.refuse_encoders("parameter_jacobian")
    single = np.ndim(X) == 1
    X, n_out = arrays.inputs(X, self.layers[0], self.dtype, empty=True), self.layers[-1]
    out = np.empty((len(X), n_out, self.n_parameters), self.dtype)
    calls = dense.backward, shared.pullback, shared.panel_rows, shared.outer_products
    with directions(self, len(X), *calls) as (plan, block):
        by_blocks(self, derivatives.parameter_jacobian, plan, block, self._architecture.work * (1 + n_out), out, X,
                  rows=room_for_rows(self, block))
    return self._without_axes(out, single)  # type: ignore[no-any-return]

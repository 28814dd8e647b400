"""Second derivatives of the cost with respect to the parameters: methods of `Network`.

Each is a pass of the same two phases as a gradient, with tangents as further samples (`kernels.derivatives.second`):
block by block, shared by a thread team, the same bits for any number of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import arrays, objective
from ..core.model import Model
from ..core.samples import Samples
from ..kernels import tables

Array = npt.NDArray[Any]


def _product(network: Model, samples: Samples, kind: int, direction: Array | None = None) -> Array:
    found = np.zeros(network.n_parameters, network.dtype)
    objective.cost_and_gradient(network, samples, found, kind=kind, direction=direction)
    return found


def hessian_vector_product(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike, v: npt.ArrayLike,
                           sample_weight: npt.ArrayLike | None = None) -> Array:
    """Compute H v: how the gradient changes as the parameters move along v (Pearlmutter 1994, section 3).

    Parameters
    ----------
    X, Y, sample_weight
        As in `fit`.
    v : array_like, shape (n_parameters,)
        A direction, laid out like `parameters`.

    Returns
    -------
    ndarray, shape (n_parameters,)
        Σ_j ∂²E/∂w_i∂w_j v_j for the mean cost E (3), exact to rounding: no differences are taken.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite, or the cost is gaussian_nll with β > 0, or a layer has α
        (`fastbp.parametric`).

    Notes
    -----
    At the kinks of relu, leaky_relu, hard_tanh and hard_sigmoid φ'' is 0, and so is ∂²C/∂o² of absolute_error and
    quantile. It takes at most 8/3 times the multiply-adds of a gradient, 3/2 in the first layer. Beside the result it
    uses a workspace of at most 1024 samples and as many tangents, whatever the number of samples.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> v = np.arange(13.0)
    >>> bool(np.allclose(net.hessian_vector_product(X, Y, v), net.hessian(X, Y) @ v))
    True
    """
    self.cost_function.check_gradient("hessian_vector_product")
    self.cost_function.refuse_data("hessian_vector_product")
    self._architecture.check_second_order("hessian_vector_product")
    self._architecture.refuse_encoders("hessian_vector_product")
    samples = self._samples(X, Y, sample_weight)
    return _product(self, samples, tables.KIND_HESSIAN, arrays.numbers_of_each("v", v, self.n_parameters, self.dtype))


def gauss_newton_vector_product(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike, v: npt.ArrayLike,
                                sample_weight: npt.ArrayLike | None = None) -> Array:
    """Compute G v, with the generalised Gauss–Newton matrix G = mean Jᵀ B J (Schraudolph 2002, section 2.2).

    Parameters
    ----------
    X, Y, sample_weight
        As in `fit`.
    v : array_like, shape (n_parameters,)
        A direction, laid out like `parameters`.

    Returns
    -------
    ndarray, shape (n_parameters,)
        J = ∂o^L/∂parameters and B = ∂²C/∂o² of each sample. For the canonical links (softmax with cross_entropy,
        logistic with binary_cross_entropy, exp with poisson) J = ∂net^L/∂parameters and B = ∂²C/∂net². For gaussian_nll
        B is Fisher's information, 1/σ² for μ and ½ for log σ², the mean of ∂²C/∂o² over y as the outputs have it, so
        that G v is what a natural gradient is made with. G is positive semi-definite for every built-in cost; for
        squared_error B is the identity, for absolute_error and quantile 0.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or are not finite, or the cost is gaussian_nll with β > 0, or a layer has α
        (`fastbp.parametric`).

    Notes
    -----
    It takes at most 5/3 times the multiply-adds of a gradient; the workspace is that of `hessian_vector_product`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> J = net.parameter_jacobian(X)[:, 0]
    >>> v = np.arange(13.0)
    >>> bool(np.allclose(net.gauss_newton_vector_product(X, Y, v), J.T @ (J @ v) / 2))
    True
    """
    self.cost_function.check_gradient("gauss_newton_vector_product")
    self.cost_function.refuse_data("gauss_newton_vector_product")
    self._architecture.check_second_order("gauss_newton_vector_product")
    self._architecture.refuse_encoders("gauss_newton_vector_product")
    samples = self._samples(X, Y, sample_weight)
    return _product(self, samples, tables.KIND_GAUSS_NEWTON,
                    arrays.numbers_of_each("v", v, self.n_parameters, self.dtype))


@np.errstate(under="ignore")
def hessian(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Array:
    """Compute the whole Hessian of the mean cost, for small networks: one Hessian-vector product a parameter.

    Parameters
    ----------
    X, Y, sample_weight
        As in `fit`.

    Returns
    -------
    ndarray, shape (n_parameters, n_parameters)
        ∂²E/∂w_i∂w_j, exactly symmetric: the mean of two that differ by rounding.

    Raises
    ------
    ValueError
        If it would be larger than the machine's memory, before anything is computed.
    ValueError, TypeError
        If the arrays do not fit, or the cost is gaussian_nll with β > 0, or a layer has α (`fastbp.parametric`).

    Notes
    -----
    n_parameters² numbers, beside the workspace of `hessian_vector_product`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> H = net.hessian(X, Y)
    >>> H.shape, bool(np.allclose(H, H.T))
    ((13, 13), True)
    """
    self.cost_function.check_gradient("hessian")
    self.cost_function.refuse_data("hessian")
    self._architecture.check_second_order("hessian")
    self._architecture.refuse_encoders("hessian")
    arrays.square_matrix(self.n_parameters, self.dtype)
    samples, P = self._samples(X, Y, sample_weight), self.n_parameters
    H, direction = np.empty((P, P), self.dtype), np.zeros(P, self.dtype)
    with objective.evaluation(self, samples, kind=tables.KIND_HESSIAN, direction=direction) as product:
        for i in range(P):
            direction[i] = 1
            product(H[i])
            direction[i] = 0
    for i in range(P):
        H[i, i:] = H[i:, i] = (H[i, i:] + H[i:, i]) / 2
    return H


def hessian_diagonal(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike,
                     sample_weight: npt.ArrayLike | None = None) -> Array:
    """Compute the diagonal of the Hessian of the mean cost, exactly, without the rest of it.

    A neuron's net input is linear in its weights, so ∂²E/∂w_jk² = Σ_samples h_j o_k² with h_j = ∂²E/∂net_j²; each
    neuron's h_j takes one tangent from there to the outputs and back. (Becker & Le Cun 1989 leave out what other
    neurons contribute to h_j; here nothing is left out.)

    Parameters
    ----------
    X, Y, sample_weight
        As in `fit`.

    Returns
    -------
    ndarray, shape (n_parameters,)
        ∂²E/∂w_i², laid out like `parameters`.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit, or the cost is gaussian_nll with β > 0, or a layer has α (`fastbp.parametric`).

    Notes
    -----
    It costs less than one gradient for each *neuron*, where `hessian` takes a product for each parameter. The workspace
    is that of `hessian_vector_product`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> bool(np.allclose(net.hessian_diagonal(X, Y), np.diag(net.hessian(X, Y))))
    True
    """
    self.cost_function.check_gradient("hessian_diagonal")
    self.cost_function.refuse_data("hessian_diagonal")
    self._architecture.check_second_order("hessian_diagonal")
    self._architecture.refuse_encoders("hessian_diagonal")
    return _product(self, self._samples(X, Y, sample_weight), tables.KIND_DIAGONAL)

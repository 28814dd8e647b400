"""Cost and gradient at the present parameters, of a user's samples: methods of `Network`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.source import in_memory
from ..regularization import Regularization
from . import objective
from .model import Model
from .samples import Samples
from .streamed import Streamed

Array = npt.NDArray[Any]


def _samples(model: Model, X: Any, Y: Any, sample_weight: Any, target_jacobian: Any, jacobian_weight: Any,
             memory: Any, missing: Any) -> Samples | Streamed:
    if in_memory(X, Y, memory, target_jacobian):
        return model._observed(X, Y, sample_weight, target_jacobian, jacobian_weight, missing)
    return model._by_blocks(X, Y, sample_weight, target_jacobian, jacobian_weight, memory=memory, missing=missing)


def cost(self: Model, X: Any, Y: Any = None, sample_weight: Any = None, *, target_jacobian: npt.ArrayLike | None = None,
         jacobian_weight: npt.ArrayLike = 1.0, missing: str | None = None, memory: int | str | None = None) -> float:
    """Compute the mean cost E (3).

    Parameters
    ----------
    X, Y, sample_weight, target_jacobian, jacobian_weight, missing, memory
        As in `fit`.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> bool(np.isclose(net.cost(X, Y), np.mean((net.predict(X) - Y) ** 2) / 2))
    True
    """
    samples = _samples(self, X, Y, sample_weight, target_jacobian, jacobian_weight, memory, missing)
    return objective.cost_and_gradient(self, samples, np.empty(0, self.dtype))


def cost_and_gradient(self: Model, X: Any, Y: Any = None, sample_weight: Any = None, *,
                      target_jacobian: npt.ArrayLike | None = None, jacobian_weight: npt.ArrayLike = 1.0,
                      regularization: Regularization | None = None, missing: str | None = None,
                      memory: int | str | None = None) -> tuple[float, Array]:
    """Compute the mean cost E (3) and its gradient (4)-(6).

    Parameters
    ----------
    X, Y, sample_weight, target_jacobian, jacobian_weight, missing, memory
        As in `fit`.
    regularization : Regularization, optional
        Its penalty is added to E, targets are smoothed, and fixed parameters have a gradient of 0. What it does to
        steps and samples (clipping, constraints, decay, dropout, noise) is left out.

    Returns
    -------
    cost : float
    gradient : ndarray, shape (n_parameters,)
        ∂E/∂parameters, laid out like `parameters`.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Notes
    -----
    Of samples that are read by blocks, sums are those of 64 shards of them, in double and added in one order.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> E, gradient = net.cost_and_gradient(X, Y)
    >>> bool(E == net.cost(X, Y)), gradient.shape
    (True, (13,))
    """
    regularization = self._regularization(regularization)
    samples = _samples(self, X, Y, sample_weight, target_jacobian, jacobian_weight, memory, missing)
    if regularization is not None:
        regularization.check_penalties("cost_and_gradient")
        if samples.jacobian is not None:
            regularization.check_jacobian()
    found = np.zeros(self.n_parameters, self.dtype)
    return objective.cost_and_gradient(self, samples, found, None, regularization), found


def gradient(self: Model, X: Any, Y: Any = None, sample_weight: Any = None, *,
             target_jacobian: npt.ArrayLike | None = None, jacobian_weight: npt.ArrayLike = 1.0,
             missing: str | None = None, memory: int | str | None = None) -> Array:
    """Compute the gradient of the mean cost: the second part of `cost_and_gradient`.

    Parameters
    ----------
    X, Y, sample_weight, target_jacobian, jacobian_weight, missing, memory
        As in `cost_and_gradient`.

    Returns
    -------
    ndarray, shape (n_parameters,)

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> net.gradient(X, Y).shape == net.parameters.shape
    True
    """
    return cost_and_gradient(self, X, Y, sample_weight, target_jacobian=target_jacobian,
                             jacobian_weight=jacobian_weight, missing=missing, memory=memory)[1]

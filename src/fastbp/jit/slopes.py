"""A gradient from cotangents of outputs and slopes inside a user's compiled code, for costs that depend on both."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..kernels import embedded_slopes
from ..kernels.compile import kernel
from ..kernels.ir import call, pointer, user_array
from ..kernels.tables import ENTRY_N_IN, ENTRY_PARAMETER_VJP, ENTRY_WORK_SIZE, LAYER_N_OUT
from .model import Model
from .sizes import _X, _gradient, _shaped, _whole, _work

Array = npt.NDArray[Any]

_U, _U_jacobian = user_array("U", readonly=True), user_array("U_jacobian", readonly=True)


@kernel
def parameter_vjp(model: Model, X: Array, U: Array, U_jacobian: Array, gradient: Array, work: Array) -> bool:
    """Compute Σ_s (Σ_j u_sj ∂o_sj/∂parameters + Σ_ji u_sji ∂²o_sj/∂x_i∂parameters), as `Network.parameter_vjp` does.

    That is the gradient of a cost E of your own from ∂E/∂o and ∂E/∂(∂o/∂x): those of physics, forces, deltas of prices.
    `update` learns by it.

    Parameters
    ----------
    model : Model
        From ``compiled(output_gradients=True, slope_gradients=True)``.
    X : ndarray, shape (n_samples, n_0)
        Inputs.
    U : ndarray, shape (n_samples, n_L)
        A weight for each output of each sample: ∂E/∂o.
    U_jacobian : ndarray, shape (n_samples, n_L, n_0)
        A weight for each slope: ∂E/∂(∂o_j/∂x_i).
    gradient : ndarray, shape (n_parameters,)
        Overwritten; that of a state, ``state.gradient``, or another.
    work : ndarray
        A `workspace`.

    Returns
    -------
    bool
        False if a size does not fit, there are no samples, or the model is none for slopes; nothing is written then.

    Examples
    --------
    A step towards ∂o/∂x = 2x, of which E is ½ Σ_s (∂o_s/∂x − 2x_s)²:

    >>> import numpy as np, fastbp
    >>> from fastbp import jit
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> model = net.compiled(batch=16, output_gradients=True, slope_gradients=True)
    >>> optimizer, work = jit.state(model, fastbp.Adam(0.02)), jit.workspace(model)
    >>> X = np.linspace(-1, 1, 16).reshape(-1, 1)
    >>> for _ in range(300):
    ...     U_jacobian = net.jacobian(X) - 2 * X[:, :, None]
    ...     _ = jit.parameter_vjp(model, X, np.zeros((16, 1)), U_jacobian, optimizer.gradient, work)
    ...     _ = jit.update(model, optimizer)
    >>> bool(np.abs(net.jacobian(X) - 2 * X[:, :, None]).max() < 0.2)
    True
    """
    layers = model.layers
    n = len(X)
    if not _shaped(model) or not _whole(model) or model.calls[ENTRY_PARAMETER_VJP] == 0 \
            or n == 0 or X.size != n * model.calls[ENTRY_N_IN] or U.size != n * layers[-1, LAYER_N_OUT] \
            or U_jacobian.size != U.size * model.calls[ENTRY_N_IN] or work.size < model.calls[ENTRY_WORK_SIZE] \
            or gradient.size != model.parameters.size:
        return False
    call(embedded_slopes.parameter_vjp, pointer(model.calls), layers, model.cells, model.cost_parameter,
         _work(model.parameters, work), model.parameters, _X(model.parameters, X), _U(model.parameters, U),
         _U_jacobian(model.parameters, U_jacobian), model.none, model.order, n, model.calls,
         _gradient(model.parameters, gradient))
    return True

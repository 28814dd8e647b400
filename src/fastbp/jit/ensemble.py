"""An ensemble inside a user's compiled code: all networks for one sample, in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import embedded
from ..kernels.compile import allocating, inline, kernel
from ..kernels.ir import call, made_of, pointer, user_array
from ..kernels.tables import (
    ENSEMBLE_CALLS,
    ENSEMBLE_COUNT,
    ENSEMBLE_LAYERS,
    ENSEMBLE_MEMBERS,
    ENSEMBLE_MODEL,
    ENSEMBLE_N_IN,
    ENSEMBLE_SIZE,
    ENSEMBLE_TARGETS,
    ENSEMBLE_WORK_SIZE,
    ENTRY_COUNT,
    ENTRY_MODEL,
    LAYER_COLUMNS,
    LAYER_MODEL,
    MEMBER_COUNT,
    MEMBER_MODEL,
)
from .model import EnsembleModel

Array = npt.NDArray[Any]

_x = user_array("x", readonly=True)
_mean, _std, _work = (user_array(name, readonly=False) for name in ("mean", "std", "work"))
_check_model = made_of("the ensemble's model", {"parameters": "f", "sizes": "n", "members": "t", "layers": "t",
                                                "calls": "t", "none": "f"})


@inline
def _shaped(model: EnsembleModel) -> Any:
    """Whether the arrays of a model have the sizes of one."""
    _check_model(model)
    return ((model.sizes.size == ENSEMBLE_COUNT) & (model.members.shape[1] == MEMBER_COUNT)
            & (model.layers.shape[1] == LAYER_COLUMNS) & (model.calls.shape[1] == ENTRY_COUNT)
            & (model.members.shape[0] > 0) & (model.layers.shape[0] > 0) & (model.calls.shape[0] > 0))


@inline
def _whole(model: EnsembleModel) -> Any:
    """Whether arrays of these sizes belong together."""
    sizes, number = model.sizes, model.sizes[ENSEMBLE_MODEL]
    return ((sizes[ENSEMBLE_MEMBERS] == model.members.shape[0]) & (sizes[ENSEMBLE_LAYERS] == model.layers.shape[0])
            & (sizes[ENSEMBLE_CALLS] == model.calls.shape[0]) & (sizes[ENSEMBLE_SIZE] == model.parameters.size)
            & (number == model.members[0, MEMBER_MODEL]) & (number == model.layers[0, LAYER_MODEL])
            & (number == model.calls[0, ENTRY_MODEL]))


@allocating
def ensemble_workspace(model: EnsembleModel) -> Array:
    """Allocate a workspace, ``work``, of `forward_ensemble`: a flat array, one for each thread.

    Parameters
    ----------
    model : EnsembleModel

    Returns
    -------
    ndarray
        A flat array of the networks' dtype. Its contents are of no interest. Empty where the arrays of the model do not
        belong together.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), dtype="float64", seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> model = ensemble.compiled()
    >>> work = fastbp.jit.ensemble_workspace(model)
    >>> work.ndim
    1
    """
    whole = _shaped(model) and _whole(model)
    return np.zeros(model.sizes[ENSEMBLE_WORK_SIZE] if whole else 0, model.parameters.dtype)


@kernel
def forward_ensemble(model: EnsembleModel, x: Array, mean: Array, std: Array, work: Array) -> bool:
    """Compute mean and standard deviation of all networks' outputs for one sample, see `Ensemble.std`.

    Parameters
    ----------
    model : EnsembleModel
        From `Ensemble.compiled`.
    x : ndarray, shape (n_0,)
        The input.
    mean, std : ndarray, shape (n_L,)
        Overwritten; may be ``x``. For networks with cost ``"gaussian_nll"`` of the mixture, shape (n_L/2,).
    work : ndarray
        An `ensemble_workspace`.

    Returns
    -------
    bool
        False if a size does not fit; nothing is written then.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), dtype="float64", seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> model = ensemble.compiled()
    >>> work = fastbp.jit.ensemble_workspace(model)
    >>> mean, std = np.empty(1), np.empty(1)
    >>> fastbp.jit.forward_ensemble(model, np.array([0.5]), mean, std, work)
    True
    >>> bool(np.allclose(mean, ensemble.predict([0.5])) and np.allclose(std, ensemble.std([0.5])))
    True
    """
    if not _shaped(model) or not _whole(model) \
            or x.size != model.sizes[ENSEMBLE_N_IN] or mean.size != model.sizes[ENSEMBLE_TARGETS] \
            or std.size != mean.size or work.size < model.sizes[ENSEMBLE_WORK_SIZE]:
        return False
    call(embedded.forward_members, pointer(model.sizes), pointer(model.sizes), pointer(model.members),
         pointer(model.layers), pointer(model.calls), pointer(model.parameters),
         pointer(_work(model.parameters, work)), pointer(_x(model.parameters, x)),
         pointer(_mean(model.parameters, mean)), pointer(_std(model.parameters, std)))
    return True

"""Outputs of a network for Dask arrays and frames, partition by partition."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..network import Network
from ..util.optional import require


def predict(network: Network, X: Any) -> Any:
    """Compute outputs for a Dask array or frame, lazily, each partition where it lies.

    Parameters
    ----------
    network : Network
        As it is now: what it learns later changes nothing.
    X : dask Array or DataFrame, (n, n_0)
        Inputs.

    Returns
    -------
    dask Array, shape (n, n_L)
        In the network's dtype, with the partitions of X; call its ``compute()``.

    Raises
    ------
    ImportError
        Without Dask.
    TypeError, ValueError
        If X is no such collection, or has not n_0 columns.
    """
    dask = require("dask", "dask")
    require("dask.array", "dask")
    if hasattr(X, "to_dask_array"):
        X = X.to_dask_array()
    if not hasattr(X, "map_blocks") or not hasattr(X, "chunks"):
        raise TypeError(f"X is of type {type(X).__name__}, expected a Dask array or frame; Network.predict takes "
                        "arrays")
    if X.ndim != 2 or X.shape[1] != network.layers[0]:
        raise ValueError(f"X has shape {X.shape}, expected (n_samples, {network.layers[0]}): the network has "
                         f"{network.layers[0]} inputs")
    n_out, dtype = network.layers[-1], network.dtype
    return X.rechunk({1: -1}).map_blocks(_outputs, dask.delayed(network.copy()), dtype=dtype,
                                         chunks=(X.chunks[0], (n_out,)), meta=np.empty((0, n_out), dtype))


def _outputs(rows: npt.ArrayLike, network: Network) -> npt.NDArray[Any]:
    """Return the outputs of a partition, none of an empty one."""
    found = np.asarray(rows)
    return network.predict(found) if len(found) else np.empty((0, network.layers[-1]), network.dtype)

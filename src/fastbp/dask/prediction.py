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
    dask Array, shape (n, n_L), or (n,) where the network is `Network.flat`
        In the network's dtype, with the partitions of X; call its ``compute()``.

    Raises
    ------
    ImportError
        Without Dask.
    TypeError, ValueError
        If X is no such collection, or has not n_0 columns.

    Examples
    --------
    >>> import dask.array as da, fastbp, fastbp.dask
    >>> X = da.linspace(-1, 1, 200, chunks=50)[:, None]
    >>> outputs = fastbp.dask.predict(fastbp.Network((1, 8, 1), seed=0), X)
    >>> outputs.chunks, outputs.dtype, outputs.compute().shape
    (((50, 50, 50, 50), (1,)), dtype('float32'), (200, 1))
    """
    columns = () if network.flat and network.layers[-1] == 1 else (network.layers[-1],)
    return by_partitions(X, network.layers[0], Method(network.copy(), "predict"), columns, network.dtype)


class Method:
    """A method of what has been learned, called with the rows of a partition.

    Parameters
    ----------
    learned : Network or estimator
    name : str
    """

    def __init__(self, learned: Any, name: str) -> None:
        self.learned, self.name = learned, name

    def __call__(self, rows: Any) -> npt.NDArray[Any]:
        """Return what it predicts."""
        found: npt.NDArray[Any] = getattr(self.learned, self.name)(rows)
        return found


def by_partitions(X: Any, n_in: int, method: Method, columns: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Return, lazily, what a method predicts of each partition: (n, *columns).

    Raises TypeError and ValueError as `predict`.
    """
    dask = require("dask", "dask")
    array = require("dask.array", "dask")
    if not (hasattr(X, "to_dask_array") or hasattr(X, "map_blocks") and hasattr(X, "chunks")):
        raise TypeError(f"X is of type {type(X).__name__}, expected a Dask array or frame; the predict of a network "
                        "or of an estimator takes arrays")
    if X.ndim != 2 or X.shape[1] != n_in:
        raise ValueError(f"X has shape {X.shape}, expected (n_samples, {n_in}): the network has {n_in} inputs")
    learned, empty = dask.delayed(method), np.empty((0, *columns), dtype)
    if hasattr(X, "to_dask_array"):
        outputs = dask.delayed(_outputs, pure=True)
        return array.concatenate([
            array.from_delayed(outputs(part, learned, empty), (np.nan, *columns), dtype, meta=empty)
            for part in X.to_delayed()], allow_unknown_chunksizes=True)
    chunks = {"chunks": (X.chunks[0], *((each,) for each in columns))} if columns else {"drop_axis": 1}
    return X.rechunk({1: -1}).map_blocks(_outputs, learned, empty, dtype=dtype, meta=empty, **chunks)


def _outputs(rows: Any, method: Method, empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what is predicted of a partition, nothing of an empty one."""
    return method(rows).astype(empty.dtype, copy=False) if len(rows) else empty

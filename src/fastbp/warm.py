"""Compile what fits will need before they do: in the image of a container, or before workers start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from .core import arrays
from .costs import CLASSES
from .network import Network
from .optimizers import BatchMethod
from .optimizers import get as optimizer_of


def warm_up(network: Network | Mapping[str, Any], *, batch_size: int | None = None, rows: int | None = None,
            **settings: Any) -> float:
    """Compile, or load from disk, what fits of such a network and its predictions call.

    Machine code is kept on disk (`~/.cache/fastbp`, or under NUMBA_CACHE_DIR), so that later processes load it: call
    this while a container is built, or once before a script starts workers. Workers that come to a cold cache together
    need no call: each kernel is compiled by one of them, and the others wait for it.

    Parameters
    ----------
    network : Network or mapping
        It stays as it is; or what `Network` is to be built with, ``{"layers": (4, 32, 1), "activation": "relu"}``.
    batch_size : int, optional
        As in `Network.fit`: batches of one sample have kernels of their own, and wide layers others for large batches.
    rows : int, optional
        Samples of the fit, by default two batches, of a full-batch method 256.
    **settings
        Other arguments of `Network.fit`: optimizer, regularization, threads, metrics …

    Returns
    -------
    float
        The seconds that it took.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.

    Notes
    -----
    It trains a copy for an epoch on random numbers, whose outcome is of no interest, and predicts with it. Functions
    of your own are compiled in every process, warmed up or not.

    Examples
    --------
    >>> import fastbp
    >>> seconds = fastbp.warm_up(fastbp.Network((2, 8, 1)), optimizer="adam", batch_size=32)
    >>> fastbp.warm_up({"layers": (2, 8, 1)}) < 5  # by now it is known
    True
    """
    start = time.perf_counter()
    if isinstance(network, Mapping):
        copy = Network(**network)
    elif isinstance(network, Network):
        copy = network.copy()
    else:
        raise TypeError(f"network is {network!r}, expected a Network, or a mapping of what one is built with; "
                        "an estimator is warm after a fit of its own on a few rows")
    for name in ("epochs", "resume"):
        if name in settings:
            raise TypeError(f"warm_up has no argument {name!r}: it trains a copy for an epoch")
    full = isinstance(optimizer_of(settings.get("optimizer") or "adam"), BatchMethod)
    size = None if full and batch_size is None else 32 if batch_size is None else arrays.whole("batch_size", batch_size)
    count = arrays.whole("rows", 256 if full else 2 * (size or 32)) if rows is None else arrays.whole("rows", rows)
    architecture, draw = copy._architecture, np.random.default_rng(0)
    X = draw.uniform(0, 1, (count, copy.layers[0])).astype(copy.dtype)
    if architecture.encoding is not None:
        X[:] = 0  # a code of every encoder
    Y = np.zeros((count, architecture.target_columns), copy.dtype)
    if architecture.cost.targets == CLASSES:
        Y[:, 0] = 1
    with np.errstate(all="ignore"):
        copy.fit(X, Y, epochs=1, batch_size=size, **settings)
        copy.predict(X)
        copy.predict(X[0])
    return time.perf_counter() - start

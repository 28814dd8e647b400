"""Calls of kernels whose arguments have the types that a network's dtype gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .numba_internals import entry_point
from .options import JIT


class Typed:
    """A kernel that Python calls with arguments of one type each for each dtype of networks.

    Numba looks at the type of every field of every NamedTuple in each call: 3.2 µs for those of `epoch.run`, which take
    0.3 to be handed over. Here it looks at those of the first call. No array may come that is not contiguous.

    Parameters
    ----------
    kernel
        What `compile.kernel` has made.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self.kernel = kernel
        self._entries: dict[np.dtype[Any], Callable[..., Any]] = {}

    def of(self, dtype: np.dtype[Any]) -> Callable[..., Any]:
        """Return what is called for networks of a dtype."""
        return self._entries.get(dtype) or partial(self._first, dtype)

    def _first(self, dtype: np.dtype[Any], *arguments: Any) -> Any:
        """Call it as Numba does, which compiles it, and keep what it has found."""
        result = self.kernel(*arguments)
        self._entries[dtype] = entry_point(self.kernel, arguments) if JIT else self.kernel
        return result

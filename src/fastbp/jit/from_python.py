"""The functions for compiled code, called from Python: there a size that does not fit is an error."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from ..kernels.compile import JIT
from .checks import check


class FromPython:
    """A function for compiled code, which compiled code calls as it is; Python is told what False or NaN means.

    Parameters
    ----------
    function
        The dispatcher.
    """

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)
        self.__module__ = "fastbp.jit"
        self.function, self.names = function, list(inspect.signature(function.py_func).parameters)

    @property
    def _numba_type_(self) -> Any:
        """What Numba sees."""
        return self.function._numba_type_

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it; where it has written nothing, raise ValueError."""
        found = self.function(*arguments, **named)
        if found is False or found != found:  # NaN may also be what has been computed
            _explain(**dict(zip(self.names, arguments, strict=False)), **named)
            if found is False:
                raise ValueError(f"{self.__name__}: sizes do not fit")
        return found

    def __getattr__(self, name: str) -> Any:
        """Return what the dispatcher has: signatures, statistics."""
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> str:
        return str(self.__name__)


def _explain(model: Any, work: Any = None, **arrays: Any) -> None:
    """Raise ValueError, or TypeError, if something does not fit."""
    more = {} if work is None else {"work": work}
    check(model, **arrays, **more)
    counts = {name: len(arrays[name]) for name in ("X", "Y", "U", "U_jacobian") if name in arrays}
    if len(set(counts.values())) > 1:
        raise ValueError(f"{', '.join(f'{name} has {count} rows' for name, count in counts.items())}: expected as many")
    if 0 in counts.values():
        raise ValueError("X has no rows, expected at least one sample")
    if "U_jacobian" in arrays and not np.size(arrays["gradient"]):
        raise ValueError("gradient has no numbers, expected one for each parameter")
    if "x" in arrays and "out" in arrays and ("u" in arrays or "y" in arrays) and np.size(arrays["out"]) != np.size(
            arrays["x"]):
        raise ValueError(f"out has {np.size(arrays['out'])} numbers, expected {np.size(arrays['x'])}, as many as x")


def from_python(function: Any) -> Any:
    """Return a function that tells Python what is wrong; with the JIT off, where nobody knows who calls, itself."""
    return FromPython(function) if JIT else function

"""Dual numbers of this process, compiled or plain, and the user's functions compiled for them."""

from __future__ import annotations

import inspect
import types as python
from collections.abc import Callable
from typing import Any

import numba

from ...compile import EXACT, JIT, scalar
from ...compile.numba_internals import Compiler

if JIT:
    from .compiled import dual, dual_row, plain_row, slope_of, value_of
else:
    from .plain import dual, dual_row, plain_row, slope_of, value_of, with_duals

__all__ = ["compiled_loop", "dual", "dual_row", "on_duals", "on_numbers", "plain_row", "slope_of", "value_of"]


def on_duals(function: Callable[..., Any]) -> Any:
    """Return the user's function as one of dual numbers."""
    if JIT:
        return scalar(function) if inspect.isfunction(function) else function
    if not inspect.isfunction(function):
        return with_duals(function)
    known = {name: with_duals(thing) for name, thing in function.__globals__.items()}
    return python.FunctionType(function.__code__, known, None, function.__defaults__, function.__closure__)


def compiled_loop(function: Any) -> Any:
    """Compile a loop over panels; it is called from Python too, and no cache holds it."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": EXACT, "no_cfunc_wrapper": True}
    return numba.njit(pipeline_class=Compiler, **options)(function) if JIT else function


def on_numbers(function: Callable[..., Any]) -> Any:
    """Compile a user's plain function; one that is compiled already, or a ufunc, is called as it is."""
    return numba.njit(error_model="numpy")(function) if JIT and inspect.isfunction(function) else function

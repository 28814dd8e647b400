"""The user's functions as they are now, whatever becomes of what they refer to."""

from __future__ import annotations

import inspect
import sys
import types as python
from contextlib import suppress
from functools import partial
from typing import Any

import numba
import numpy as np

from ...compile import JIT
from ...compile.numba_internals import can_compile, settings

LIBRARIES = frozenset({"numba", "numpy", "scipy", *sys.stdlib_module_names})
"""Modules whose numbers nobody changes, and whose functions Numba knows by the module."""


class Fixed:
    """What a user's function refers to, as it is now: closures, globals, defaults, and the functions that it calls.

    Numba reads them when it compiles a function, for each dtype when that is first used, and plain Python reads them at
    each call; so a loop's variable in a closure would be the last one.
    """

    def __init__(self) -> None:
        self.done: dict[int, tuple[Any, Any]] = {}
        """What functions and modules became, by the number of the original: they may refer to each other."""

    def of(self, value: Any, names: frozenset[str] = frozenset()) -> tuple[Any, Any]:
        """Return what a value will stay, and a key that tells it from others; ``names`` are those asked of a module."""
        if inspect.ismodule(value) and value.__name__.partition(".")[0] not in LIBRARIES:
            return self._module(value, names)
        if id(value) in self.done:
            return self.done[id(value)]
        if inspect.isfunction(value):
            return self._function(value)
        if JIT and can_compile(value):  # else it has been compiled
            return self._function(value.py_func, value)
        if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
            return value.copy(), (value.dtype.str, value.shape, value.tobytes())
        if type(value) in (tuple, list):
            parts = [self.of(part) for part in value]
            return type(value)(part for part, _ in parts), (type(value), *(key for _, key in parts))
        plain = value is None or isinstance(value, (bool, int, float, complex, str, bytes))
        return value, (type(value), repr(value)) if plain else ("itself", id(value))

    def _function(self, function: Any, compiled: Any = None) -> tuple[Any, Any]:
        code, cells = function.__code__, tuple(python.CellType() for _ in function.__closure__ or ())
        names = _names(code)
        known: dict[str, Any] = {name: function.__globals__[name] for name in ("__builtins__", "__name__")
                                 if name in function.__globals__}
        plain = made = python.FunctionType(code, known, function.__name__, None, cells)
        plain.__defaults__, key = self.of(function.__defaults__)
        plain.__kwdefaults__, plain.__qualname__ = function.__kwdefaults__, function.__qualname__
        keys: list[Any] = [code, key, repr(function.__kwdefaults__)]
        if compiled is not None:
            made = numba.jit(**settings(compiled))(plain)
            keys.append(repr(sorted(settings(compiled).items())))
        self.done[id(function if compiled is None else compiled)] = made, ("again", len(self.done))
        for name in sorted(names & function.__globals__.keys() - known.keys()):
            known[name], key = self.of(function.__globals__[name], names)
            keys += [name, key]
        for cell, given in zip(cells, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # an empty one
                cell.cell_contents, key = self.of(given.cell_contents, names)
                keys.append(key)
        return made, tuple(keys)

    def _module(self, module: Any, names: frozenset[str]) -> tuple[Any, Any]:
        if id(module) not in self.done:
            made = python.ModuleType(module.__name__)
            vars(made)["__getattr__"] = partial(getattr, module)  # what it makes when it is asked
            self.done[id(module)] = made, None
        made, keys = self.done[id(module)][0], [module.__name__]
        for name in sorted(names & vars(module).keys() - vars(made).keys()):
            vars(made)[name] = None  # begun
            vars(made)[name], key = self.of(vars(module)[name], names)
            keys += [name, key]
        return made, tuple(keys)


def _names(code: python.CodeType) -> frozenset[str]:
    """Return the names that code uses, and that of the functions within it."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, python.CodeType)]
    return frozenset(code.co_names).union(*inner)

"""What the arguments of a kernel that is called by address are: annotations, which stand in its signature alone.

Numba ignores them; `compile.address` compiles by them, and `ir.call` compares each call with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

Floats = Annotated[npt.NDArray[Any], "f"]
"""An array of the network's dtype."""
ReadOnly = Annotated[npt.NDArray[Any], "r"]
"""A read-only array of the network's dtype: the user's numbers."""
Doubles = Annotated[npt.NDArray[np.float64], "d"]
Integers = Annotated[npt.NDArray[np.int64], "n"]
Table = Annotated[npt.NDArray[np.int64], "t"]
"""Two dimensions of int64: a row a layer."""
FloatPointer = Annotated[Any, "F"]
"""Where an array of the network's dtype begins, see `ir.pointer`."""
DoublePointer = Annotated[Any, "D"]
IntegerPointer = Annotated[Any, "N"]

DESCRIPTIONS = {"f": "a writable array of the network's dtype", "r": "an array of the network's dtype",
                "d": "an array of float64", "n": "an array of int64", "t": "a table of int64", "i": "an integer",
                "x": "a number", "F": "a pointer to numbers of the network's dtype", "D": "a pointer to float64",
                "N": "a pointer to int64"}
"""Letter of a kind of argument -> how an error names it."""


class Argument(NamedTuple):
    """An argument of a kernel."""

    name: str
    letter: str


def arguments(function: Callable[..., Any]) -> tuple[Argument, ...]:
    """Return the arguments of a kernel as its annotations declare them.

    Raises
    ------
    TypeError
        If one has no annotation of this module, int or float; or the kernel returns something.
    """
    hints = get_type_hints(function, include_extras=True)
    name = f"{function.__module__}.{function.__name__}"
    if hints.pop("return", None) is not type(None):
        raise TypeError(f"{name} is called by address: annotate it with -> None")
    found = []
    for parameter in inspect.signature(function).parameters:
        hint: Any = hints.get(parameter)
        letter = {int: "i", float: "x"}.get(hint) or getattr(hint, "__metadata__", [""])[0]
        if letter not in DESCRIPTIONS:
            raise TypeError(f"{name} is called by address: annotate {parameter} as kernels.arguments has it")
        found.append(Argument(parameter, letter))
    return tuple(found)

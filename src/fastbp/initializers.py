"""First weights of a layer, drawn from a NumPy generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .naming import lookup

Array = npt.NDArray[Any]
Initializer = Callable[[np.random.Generator, int, int], Array]


def _uniform(scale: Callable[[int, int], float]) -> Initializer:
    def draw(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
        bound = np.sqrt(3.0) * scale(n_in, n_out)
        return generator.uniform(-bound, bound, (n_out, n_in))

    return draw


def _normal(scale: Callable[[int, int], float]) -> Initializer:
    def draw(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
        return generator.normal(0.0, scale(n_in, n_out), (n_out, n_in))

    return draw


def _zeros(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
    return np.zeros((n_out, n_in))


def _glorot(n_in: int, n_out: int) -> float:
    return float(np.sqrt(2.0 / (n_in + n_out)))


def _he(n_in: int, n_out: int) -> float:
    return float(np.sqrt(2.0 / n_in))


def _lecun(n_in: int, n_out: int) -> float:
    return float(np.sqrt(1.0 / n_in))


INITIALIZERS: dict[str, Initializer] = {
    "zeros": _zeros,
    "glorot_uniform": _uniform(_glorot),
    "glorot_normal": _normal(_glorot),
    "he_uniform": _uniform(_he),
    "he_normal": _normal(_he),
    "lecun_uniform": _uniform(_lecun),
    "lecun_normal": _normal(_lecun),
}
"""Name -> function of (generator, n_out, n_in).

Standard deviations: glorot √(2/(n_in + n_out)) (Glorot & Bengio 2010, eq. 16), he √(2/n_in) (He et al. 2015, eq. 10),
lecun √(1/n_in) (LeCun et al. 1998, section 4.6). Biases start at 0.
"""


def get(name: str) -> Initializer:
    """Look up an initializer.

    Parameters
    ----------
    name : str
        One of `INITIALIZERS`.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    """
    return lookup("init", name, INITIALIZERS)

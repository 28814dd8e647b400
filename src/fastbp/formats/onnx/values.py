"""What is known of the names in a graph that is read, and what a file may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from .recognition import Steps

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Sizes:
    """The shape of a batch, or a part of it; 0 stands for the number of samples, as it does in Reshape."""

    sizes: tuple[int, ...]


class Budget:
    """What a file may ask for, which is in proportion to its size."""

    def __init__(self, left: int, what: str) -> None:
        self._left, self._what = left, what

    def spend(self, amount: int) -> None:
        """Take some of it.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        self._left -= amount
        if self._left < 0:
            raise ValueError(f"{self._what} than its size accounts for")


class Product:
    """A product with weights, and the operators behind it; without weights the input of the graph.

    Attributes
    ----------
    weights : ndarray or None
        (n_out, n_in), as they lie in the file.
    source : Signal or None
        What is multiplied.
    width : int or None
        Numbers that come out, None where the file does not say how many the input has.
    steps : Steps
    """

    def __init__(self, weights: Array | None, source: Signal | None, width: int | None, steps: Steps) -> None:
        self.weights, self.source, self.width, self.steps = weights, source, width, steps


@dataclass(frozen=True)
class Signal:
    """What the operators behind a product have made of it, up to one of them."""

    product: Product
    step: int


@dataclass(frozen=True)
class Unread:
    """What no network of dense layers makes, why, and what it was made of if that is one's output."""

    reason: str
    before: Signal | None = None


@dataclass(frozen=True)
class Unflattened:
    """An input that has several numbers in each place, as pictures do, before it is flattened."""

    shape: tuple[int | None, ...]


Known = Array | Signal | Sizes | Unflattened | Unread

"""Where the encoders of a network have their numbers: parameters in the flat buffer, tables for the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..encoders import Encoder
from ..kernels import prototypes
from ..kernels.compile import address
from ..kernels.layer import encoders as kernels
from ..kernels.layout import Integers
from ..kernels.tables import ENCODER, ENCODING

Array = npt.NDArray[Any]


class Encoding:
    """The encoders of a network and its scaling layer; without either there is nothing of it.

    Parameters
    ----------
    n_in : int
        Columns of X.
    encoders : tuple of Encoder
    scaling : bool
        Whether each encoded number is multiplied by a factor that is learned.

    Attributes
    ----------
    width : int
        Encoded numbers, which the first layer reads.
    offsets : list of int
        Where the parameters of each encoder begin in the flat buffer, in which they come first.
    scaling : int
        Where the factors begin, -1 without.
    n_parameters : int
        All of them together; the first layer's weights come behind.
    kept : int
        Numbers that the panels hold of a sample beside those of the layers.
    learns : bool
        Whether there are any.
    by_sample : bool
        Whether a gradient is added up sample by sample, across blocks: that of a table.
    codes : list of int
        The columns that hold codes.
    numeric : list of int
        The columns whose numbers must be finite.
    """

    def __init__(self, n_in: int, encoders: Sequence[Encoder], *, scaling: bool) -> None:
        self.n_in, self.encoders = n_in, encoders
        self.width = sum(encoder.width for encoder in encoders)
        self.offsets: list[int] = []
        total = 0
        for encoder in encoders:
            self.offsets.append(total)
            total += encoder.units * encoder.unit
        self.scaling = total if scaling else -1
        self.n_parameters = total + (self.width if scaling else 0)
        self.kept = n_in + 2 * self.width + sum(encoder.kept for encoder in encoders)
        self.learns = self.n_parameters > 0
        self.by_sample = any(encoder.gradient is kernels.embedding_gradient for encoder in encoders)
        self.codes = sorted({encoder.reads[0] for encoder in encoders if encoder.reads_codes})
        self.numeric = sorted({k for encoder in encoders if not encoder.reads_codes for k in encoder.reads})

    def views(self, parameters: Array) -> tuple[dict[str, Array], ...]:
        """Return the parameters of each encoder by name: views."""
        return tuple(encoder.views(parameters[start : start + encoder.units * encoder.unit]
                                   .reshape(encoder.units, encoder.unit))
                     for encoder, start in zip(self.encoders, self.offsets, strict=True))

    def factors(self, parameters: Array) -> Array:
        """Return the factors of the scaling layer: a view, empty without."""
        return parameters[self.scaling : self.n_parameters] if self.scaling >= 0 else parameters[:0]

    def draw(self, parameters: Array, generator: np.random.Generator) -> None:
        """Overwrite all of these parameters with first ones."""
        for encoder, start in zip(self.encoders, self.offsets, strict=True):
            drawn = encoder.draw(generator)
            parameters[start : start + drawn.size] = drawn.reshape(-1)
        self.factors(parameters)[:] = 1

    @property
    def starts(self) -> dict[str, int]:
        """Where what each encoder learns begins, and the factors of the scaling layer, by name."""
        found = {f"encoders[{i}]": start for i, start in enumerate(self.offsets) if self.encoders[i].units}
        return found | ({"scaling": self.scaling} if self.scaling >= 0 else {})

    def segments(self) -> list[tuple[int, int, int]]:
        """Return where the parameters of each encoder begin, how many units there are, and of how many numbers."""
        found = [(start, encoder.units, encoder.unit)
                 for encoder, start in zip(self.encoders, self.offsets, strict=True) if encoder.units]
        return found + ([(self.scaling, self.width, 1)] if self.scaling >= 0 else [])

    def table(self, dtype: np.dtype[Any], take: Callable[[int], int], samples: int, source: int, *, backward: bool,
              slopes: bool = False) -> Integers:
        """Return `tables.ENCODING` and what follows it.

        Parameters
        ----------
        dtype
            Of the network.
        take
            Called with a size, it returns where so many numbers lie in the panels.
        samples
            That the panels have room for.
        source
            Offset in the panels of what the first layer reads.
        backward
            Whether the gradients of parameters are to be summed.
        slopes
            Whether derivatives by the columns are asked for.
        """
        scaled, backward = self.scaling >= 0, backward and self.learns
        rows = np.zeros((len(self.encoders) + scaled, ENCODER.count), np.int64)
        behind: list[int] = []
        first = 0
        start = ENCODING.count + rows.size
        for encoder, offset, row in zip(self.encoders, self.offsets, ENCODER.view(rows), strict=False):
            row["encode"] = address(encoder.encode, dtype, prototypes.encoder)
            row["first"], row["columns"], row["list"] = first, len(encoder.reads), start + len(behind)
            row["count"], row["size"] = encoder.counts
            row["parameters"], row["unit"] = offset, encoder.unit
            row["kept"] = take(encoder.kept * samples) if encoder.kept else -1
            if slopes and encoder.slope is not None:
                row["slope"] = address(encoder.slope, dtype, prototypes.encoder_slope)
            if backward and encoder.gradient is not None:
                row["units"] = encoder.units
                row["gradient"] = address(encoder.gradient, dtype, prototypes.encoder_gradient)
            first += encoder.width
            behind += encoder.listed()
        if scaled and backward:
            row = ENCODER.view(rows)[-1]
            row["parameters"], row["units"], row["unit"] = self.scaling, self.width, 1
            row["gradient"] = address(kernels.scaling_gradient, dtype, prototypes.encoder_gradient)
        found = np.zeros(start + len(behind), np.int64)
        stage = ENCODING.view(found)
        stage["size"], stage["rows"], stage["n_in"], stage["width"] = found.size, len(rows), self.n_in, self.width
        stage["raw"], stage["source"] = take(self.n_in * samples), source
        stage["encoded"] = take(self.width * samples) if scaled else source
        stage["delta"] = take(self.width * samples) if backward or slopes else -1
        stage["slopes"] = take(self.n_in * samples) if slopes else -1
        stage["scaling"] = self.scaling
        found[ENCODING.count : start] = rows.reshape(-1)
        found[start:] = behind
        return found


def check_codes(X: Array, columns: Sequence[int], first: int = 0) -> None:
    """Raise ValueError unless these columns hold whole numbers from −1 up, or NaN."""
    for k in columns:
        codes = X[:, k]
        wrong = ~(np.isnan(codes) | ((codes >= -1) & (codes == np.floor(codes)) & np.isfinite(codes))) \
            if codes.dtype.kind == "f" else codes < -1 if codes.dtype.kind == "i" else np.zeros(len(codes), np.bool_)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"X holds {codes[row]} in row {first + row} of column {k}, whose encoder reads codes: "
                             "expected whole numbers from 0 up, and NaN or -1 where the category is missing")

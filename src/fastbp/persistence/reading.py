"""A safetensors file of fastbp's, open for reading: nothing that it says is taken on trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

Array = npt.NDArray[Any]

FORMAT, WITHOUT_ENCODERS = 3, 2
"""Versions of the format, the newest first; a file has the lowest that can say what is in it, for older versions."""

DTYPES = {"float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL"}
"""Names of dtypes here and in safetensors."""


class File:
    """The header, and tensors that are read once they are seen to be what they must be.

    Attributes
    ----------
    path : Path
    header : dict
        What fastbp wrote, of a format that it reads.
    names : set of str
        Of the tensors.
    """

    def __init__(self, path: Path, content: Any) -> None:
        self.path, self._content = path, content
        self.names = set(content.keys())
        self.header = self._header(content.metadata())

    def _header(self, metadata: dict[str, str] | None) -> dict[str, Any]:
        path = self.path
        if not metadata or "fastbp" not in metadata:
            raise ValueError(f"{path} is a safetensors file, but not one that fastbp wrote")
        with self.blamed("header"):
            header: dict[str, Any] = json.loads(metadata["fastbp"])
            version = header["format"]
        if type(version) is int and version > FORMAT:
            raise ValueError(f"{path} has format {version}, this fastbp reads up to {FORMAT}: install a newer fastbp")
        if type(version) is int and version == 1:
            raise ValueError(f"{path} has format 1, which this fastbp does not read: train anew, or build the network, "
                             "and assign to its weights and biases what safetensors.numpy.load_file finds in the file")
        if type(version) is not int or version < WITHOUT_ENCODERS:
            raise ValueError(f"{path} has format {version}, expected {WITHOUT_ENCODERS} or {FORMAT}: its header is "
                             "corrupt")
        return header

    @contextmanager
    def blamed(self, part: str) -> Iterator[None]:
        """Raise what a file's nonsense leads to as a ValueError that names the file."""
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            text = repr(error) if isinstance(error, LookupError) else error
            raise ValueError(f"{self.path} has a corrupt {part}: {text}") from error

    def found(self, name: str) -> tuple[str, list[int]]:
        """Return dtype and shape of a tensor, by their names in safetensors."""
        part = self._content.get_slice(name)
        return part.get_dtype(), list(part.get_shape())

    def read(self, name: str, dtype: Any, shape: Sequence[int]) -> Array:
        """Return a tensor as an array of its own, once its dtype and shape are seen to be what they must be."""
        found, wanted = self.found(name), (DTYPES[np.dtype(dtype).name], list(shape))
        if found != wanted:
            raise ValueError(f"{name} is {found[0]} {found[1]}, expected {wanted[0]} {wanted[1]}")
        return np.array(self._content.get_tensor(name), dtype)


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[File]:
    """Open a file; an OSError is the system's own, all else that is wrong with it a ValueError that names it."""
    place = Path(path)
    with place.open("rb"):  # an OSError of the system's own, where there is one
        pass
    try:
        with safe_open(place, framework="numpy") as content:
            yield File(place, content)
    except SafetensorError as error:
        raise ValueError(f"{place} is not a whole safetensors file: {error}") from error

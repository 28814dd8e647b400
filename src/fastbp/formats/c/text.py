"""Numbers, arrays and strings as C writes them, whatever the locale."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*", re.ASCII)
"""What may stand before an underscore: no name that C or C++ keep for themselves."""

_STEM = re.compile(r"[A-Za-z0-9_.+ -]+", re.ASCII)


def check_prefix(prefix: Any) -> None:
    """Raise ValueError unless names of C may begin with this."""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix is {prefix!r}, expected letters and digits, a letter first, with single underscores "
                         "between them: the names in the source begin with it")


def check_stem(stem: str) -> None:
    """Raise ValueError unless a source may include the header of this name, whatever the compiler's characters are."""
    if not _STEM.fullmatch(stem):
        raise ValueError(f"path is named {stem!r}, expected letters from a to z, digits, spaces and any of _.+-: the "
                         "source includes its header by this name")


def literal(value: Any) -> str:
    """Return the shortest decimal that C reads as this float32 or float64."""
    if isinstance(value, np.float32):
        return f"{value!s}f"
    return repr(float(value))


def array(name: str, values: Array, const: str) -> str:
    """Return the definition of an array, each of its rows on lines of its own."""
    real, per_line = ("float", 7) if values.dtype == np.float32 else ("double", 4)
    rows = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)
    lines = []
    for row in rows:
        texts = [literal(value) for value in row]
        lines += ["    " + ", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
    return f"static {const} {real} {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def string(text: str) -> str:
    """Return a string literal of the UTF-8 of a text, in ASCII; three octal digits end an escape."""
    plain = {*range(0x20, 0x7F)} - {ord(c) for c in "\"\\?"}  # two question marks may begin a trigraph
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode("utf-8", "surrogatepass")) + '"'

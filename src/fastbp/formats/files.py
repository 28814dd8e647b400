"""Names of files that are sources."""

from __future__ import annotations

import os
import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_.+ -]+", re.ASCII)


def named(path: str | os.PathLike[str], suffix: str) -> Path:
    """Return a path whose name ends in this suffix, and can be written in a source.

    Raises
    ------
    ValueError
        If it does not, or cannot.
    TypeError
        If it is no path.
    """
    found = Path(path)
    if found.suffix != suffix or not _NAME.fullmatch(found.name):
        raise ValueError(f"path is {os.fspath(path)!r}, expected a file that is named by letters, digits, spaces and "
                         f"any of _.+- and ends in {suffix}")
    return found

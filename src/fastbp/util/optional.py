"""Modules that fastbp can use and does not need."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Raises
    ------
    ImportError
        If it is not installed; the message names the pip extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module.partition('.')[0]} is needed for this: pip install fastbp[{extra}]") from error

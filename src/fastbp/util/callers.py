"""Whose line a warning is about."""

from __future__ import annotations

import sys

PACKAGE = __name__.partition(".")[0]


def stacklevel() -> int:
    """Return the ``stacklevel`` with which a warning of the function that calls this names the user's line.

    That is the first one outside of this package, however many functions lie between.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame, level = frame.f_back, level + 1
    return level

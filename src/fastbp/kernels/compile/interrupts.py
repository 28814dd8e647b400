"""Ctrl-C that waits until something has been brought to its end.

Python answers Ctrl-C in the main thread after any call, also in an ``__enter__`` that has taken a lock, in ``except``
and in ``finally``: none of them alone keeps things whole where interrupts come again and again.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

_python: Any = sys.modules.get("_signal", signal)
_handler: Callable[[int], Any] = _python.getsignal
_set_handler: Callable[[int, Any], Any] = _python.signal
"""The functions of Python's `signal` without its enums, which would be asked for each handler: 6 µs a block."""


class Held:
    """A block in which Ctrl-C waits, but for the parts within that are `open`; at its end it is answered.

    An interrupt that is raised in an open part closes it in the same moment, so that no second one comes while the
    first is being answered. Threads other than the main one are never interrupted, and hold nothing.

    Attributes
    ----------
    closed : bool
        Whether interrupts wait.
    """

    def __init__(self) -> None:
        self.closed, self._came, self._within = True, False, True
        self._before: Any = None

    def _answer(self, number: int, frame: Any) -> None:
        """Take note of an interrupt, or pass it on."""
        if self.closed:
            self._came = True
            return
        self.closed = self._within
        self._before(number, frame)
        self.closed = False  # it has raised nothing

    def open(self) -> Open:
        """Return a context in which an interrupt is raised at once, also one that has waited."""
        return Open(self)

    def shut(self) -> Shut:
        """Return a context, for an open part, in which interrupts wait again."""
        return Shut(self)

    def __enter__(self) -> Held:
        before = _handler(signal.SIGINT)
        if callable(before) and threading.get_ident() == threading.main_thread().ident:
            self._before = before
            _set_handler(signal.SIGINT, self._answer)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self._before is not None and (found := _set_handler(signal.SIGINT, self._before)) != self._answer:
            _set_handler(signal.SIGINT, found)  # somebody else's by now
        self.closed = self._within = False  # somebody may have kept the handler, and put it back later
        self.answer()

    def answer(self) -> None:
        """Raise the interrupt that has waited."""
        if self._came:
            self._came = False
            signal.raise_signal(signal.SIGINT)


def interrupted() -> bool:
    """Return whether Ctrl-C waits for the end of a `Held` block, of this one or of one around it."""
    handler = _handler(signal.SIGINT)
    while isinstance(held := getattr(handler, "__self__", None), Held):
        if held._came:
            return True
        handler = held._before
    return False


class Relayed(Held):
    """What a thread that is never interrupted holds: in its open parts it is, once another one has been.

    Parameters
    ----------
    stop : threading.Event
        Set by the thread that was interrupted.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def __enter__(self) -> Relayed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.closed = False

    def answer(self) -> None:
        """Raise the interrupt of the other thread."""
        if self._stop.is_set():
            raise KeyboardInterrupt


class Open:
    """A part of a `Held` block in which interrupts do not wait."""

    def __init__(self, held: Held) -> None:
        self.held = held

    def __enter__(self) -> None:
        self.held.closed = False
        self.held.answer()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.held.closed = True


class Shut:
    """A part of an `Open` one in which interrupts wait again; if an error leaves it, until all is in order."""

    def __init__(self, held: Held) -> None:
        self.held = held

    def __enter__(self) -> None:
        self.held.closed = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if kind is None:
            self.held.closed = False
            self.held.answer()

"""The pool of workspaces: plans that a network has used, for the next pass of their kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..kernels import layout
from ..kernels.layout import Plan
from . import link
from .architecture import Architecture
from .link import Choices, Request


class Workspaces:
    """Plans of one architecture, to be borrowed: several threads may predict with one network, each in one of its own.

    They are kept, so their sizes are powers of two up to the largest: all together take less than three times that one.

    Parameters
    ----------
    architecture : Architecture
    choices : Choices, optional
        What all of them are laid out by, where it is not for the sizes to decide.
    """

    def __init__(self, architecture: Architecture, choices: Choices | None = None) -> None:
        self.architecture = architecture
        self.choices = Choices() if choices is None else choices
        self._pools: dict[Any, list[Plan]] = {}

    def block(self, request: Request) -> int:
        """Return the number of samples that go through such a pass together."""
        return request._replace(choices=self.choices).block(self.architecture)

    @contextmanager
    def borrow(self, request: Request) -> Iterator[tuple[Plan, int]]:
        """Borrow a workspace for a pass, and the number of samples in a block.

        Parameters
        ----------
        request : Request

        Yields
        ------
        plan : layout.Plan
            Its cells belong to this use alone.
        block : int
        """
        architecture = self.architecture
        request = request._replace(choices=self.choices)
        block = request.block(architecture)
        room = min(layout.room(block, architecture.dtype),
                   request._replace(samples=layout.LARGEST_BLOCK).block(architecture))
        pool = self._pools.setdefault((room, *request[1:7]), [])
        try:
            plan = pool.pop()
        except IndexError:
            plan = link.prepared(architecture, request._replace(samples=room))
        try:
            yield link.bind(architecture, plan, request), block
        finally:
            pool.append(plan)

    def take_single(self) -> Plan:
        """Take a workspace for one sample forward; `give_back` returns it to the pool."""
        pool = self._pools.setdefault(None, [])
        return pool.pop() if pool else link.prepared(self.architecture, Request(1, backward=False))

    def give_back(self, plan: Plan) -> None:
        """Return a workspace that `take_single` has given."""
        self._pools[None].append(plan)

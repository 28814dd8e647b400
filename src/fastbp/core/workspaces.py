"""The pool of workspaces: plans that networks of one architecture have used, for the next pass of their kind."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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

    __slots__ = "__weakref__", "_blocks", "_pools", "architecture", "choices", "single"

    def __init__(self, architecture: Architecture, choices: Choices | None = None) -> None:
        self.architecture = architecture
        self.choices = Choices() if choices is None else choices
        self.single: list[Plan] = []
        """Plans for one sample forward."""
        self._pools: dict[Any, list[Plan]] = {}
        self._blocks: dict[tuple[int, bool, int, bool], tuple[int, int]] = {}

    def block(self, request: Request) -> tuple[int, int]:
        """Return the number of samples that go through such a pass together, and for how many a plan is made."""
        samples = min(request.samples, layout.LARGEST_BLOCK)
        known = samples, request.backward, request.kind, request.of_nonzeros
        if known not in self._blocks:
            asked = replace(request, samples=samples, choices=self.choices)
            block, dtype = asked.block(self.architecture), self.architecture.dtype
            largest = replace(asked, samples=layout.LARGEST_BLOCK).block(self.architecture)
            self._blocks[known] = block, min(layout.room(block, dtype), largest)
        return self._blocks[known]

    @contextmanager
    def borrow(self, request: Request) -> Iterator[tuple[Plan, int]]:
        """Borrow a workspace for a pass, and the number of samples in a block.

        Parameters
        ----------
        request : Request
            Its choices are those of all workspaces.

        Yields
        ------
        plan : layout.Plan
            While it is borrowed it belongs to this use alone; what the request binds, in cells that are thrown away.
        block : int
        """
        block, room = self.block(request)
        # the tables of non-zeros are of one block, and there is one set of them for all threads
        request.several = (request.backward and not request.of_nonzeros
                           and request.threads > 1 and request.samples > (request.threads - 1) * block)
        pool = self._pools.setdefault((room, *request.prepared_by), [])
        try:
            plan = pool.pop()
        except IndexError:
            request.choices = self.choices
            plan = link.prepared(self.architecture, request, room)
        try:
            yield link.bind(self.architecture, plan, request), block
        finally:
            pool.append(plan)


_SHARED: weakref.WeakValueDictionary[Any, Workspaces] = weakref.WeakValueDictionary()


def shared(architecture: Architecture) -> Workspaces:
    """Return the workspaces of all networks that are built alike: as many as threads work with such networks at a time.

    They live as long as one of these networks.
    """
    key = (architecture.layers, *map(id, architecture.activations), architecture.cost, architecture.bias,
           architecture.dtype, architecture.encoders, architecture.scaling)
    # the rows of activations live as long as the workspaces, so that no other one gets the id of one of them
    found = _SHARED.get(key)
    return _SHARED.setdefault(key, Workspaces(architecture)) if found is None else found

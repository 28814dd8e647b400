"""The pool of workspaces: plans that networks of one architecture have used, for the next pass of their kind."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any, NamedTuple

from ..kernels import layout
from ..kernels.layout import Plan
from . import link
from .architecture import Architecture
from .request import Choices, Request
from .thread_team import Tuner


class Arrangement(NamedTuple):
    """What fits with the same settings have together, whose plans have nothing of one use bound to them."""

    block: int
    """Samples in a block."""
    pool: list[Plan]
    """Where the plan is borrowed."""
    update: int
    """Address of the rule."""


class Workspaces:
    """Plans of one architecture, to be borrowed: several threads may predict with one network, each in one of its own.

    They are kept, so their sizes are powers of two up to the largest: all together take less than three times that one.

    Parameters
    ----------
    architecture : Architecture
    choices : Choices, optional
        What all of them are laid out by, where it is not for the sizes to decide.
    """

    __slots__ = "__weakref__", "_blocks", "_pools", "architecture", "arrangements", "choices", "single", "tuners"

    def __init__(self, architecture: Architecture, choices: Choices | None = None) -> None:
        self.architecture = architecture
        self.choices = Choices() if choices is None else choices
        self.single: list[Plan] = []
        """Plans for one sample forward."""
        self.arrangements: dict[Any, Arrangement] = {}
        """What a fit need not find out again, by all that it depends on."""
        self.tuners: dict[Any, Tuner] = {}
        """How fast threads were in fits that have ended, by batch size, number of threads, precision and kind."""
        self._pools: dict[Any, list[Plan]] = {}
        self._blocks: dict[tuple[int, bool, int, bool], tuple[int, int]] = {}

    def contents(self) -> dict[str, Any]:
        """Return the plans, and what is known of fits, by the names of its attributes."""
        return {name: getattr(self, name) for name in ("single", "arrangements", "tuners", "_pools", "_blocks")}

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

    def borrow(self, request: Request) -> Borrowed:
        """Return a context in which a workspace is borrowed for a pass.

        Parameters
        ----------
        request : Request
            Its choices are those of all workspaces.
        """
        return Borrowed(self, request)

    def take(self, request: Request) -> tuple[list[Plan], Plan, int]:
        """Take a plan from its pool, or make one; return both, and the number of samples in a block."""
        block, room = self.block(request)
        # the tables of non-zeros are of one block, and there is one set of them for all threads; sums that go on from
        # sample to sample through all blocks have other bits than sums of blocks
        encoding = self.architecture.encoding
        request.several = (request.backward and not request.of_nonzeros
                           and not (encoding is not None and encoding.by_sample)
                           and request.threads > 1 and request.samples > (request.threads - 1) * block)
        pool = self._pools.setdefault((room, *request.prepared_by), [])
        try:
            plan = pool.pop()
        except IndexError:
            request.choices = self.choices
            plan = link.prepared(self.architecture, request, room)
        return pool, plan, block


class Borrowed:
    """A workspace for as long as a block lasts: a plan, and the number of samples in a block of them.

    The plan belongs to this use alone; what the request binds, in cells that are thrown away.
    """

    __slots__ = "plan", "pool", "request", "workspaces"

    def __init__(self, workspaces: Workspaces, request: Request) -> None:
        self.workspaces, self.request = workspaces, request

    def __enter__(self) -> tuple[Plan, int]:
        self.pool, self.plan, block = self.workspaces.take(self.request)
        try:
            return link.bind(self.workspaces.architecture, self.plan, self.request), block
        except BaseException:
            self.pool.append(self.plan)
            raise

    def __exit__(self, *_: object) -> None:
        self.pool.append(self.plan)


_SHARED: weakref.WeakValueDictionary[Any, Workspaces] = weakref.WeakValueDictionary()
"""Those that networks have, by what these have in common."""

KEPT, KEPT_BYTES = 8, 2 * 1024 * 1024
"""How many are kept without a network, and how large the plans of each may be."""

_KEPT: dict[Any, Workspaces] = {}
"""Those whose last network is gone, the latest last: who makes one network after the other, as a search over settings
does, would have all plans made anew each time, a fifth of a fit of a hundred rows."""


def shared(architecture: Architecture) -> Workspaces:
    """Return the workspaces of all networks that are built alike: as many as threads work with such networks at a time.

    They live as long as one of these networks; those of small networks until others are kept after them.
    """
    key = architecture.alike
    found = _SHARED.get(key)
    if found is None:
        new = _KEPT.pop(key, None) or Workspaces(architecture)
        found = _SHARED.setdefault(key, new)
        if found is new and architecture.encoding is None:
            weakref.finalize(new, _keep, key, new.architecture, new.contents()).atexit = False
    return found


def _keep(key: Any, architecture: Architecture, contents: dict[str, Any]) -> None:
    """Keep what workspaces that are gone have held, for the next network built alike; of the plans, small ones."""
    size = 0
    for pool in (contents["single"], *contents["_pools"].values()):
        small = []
        for plan in pool:
            if size + plan.panels.nbytes <= KEPT_BYTES:
                size += plan.panels.nbytes
                small.append(plan)
        pool[:] = small  # in its place: arrangements know it
    if size > 0:
        heir = Workspaces(architecture)
        for name, value in contents.items():
            setattr(heir, name, value)
        _KEPT.pop(key, None)
        _KEPT[key] = heir
        for oldest in list(_KEPT)[:-KEPT]:
            _KEPT.pop(oldest, None)

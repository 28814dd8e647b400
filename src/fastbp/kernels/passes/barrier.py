"""Where the threads of a team wait for each other."""

from ..compile import by_address
from ..compile.arguments import Integers
from ..ir import atomic_add, atomic_load, give_way
from ..tables import BARRIER_ABANDONED, BARRIER_ARRIVED, BARRIER_STAND, BARRIER_YIELD

SPINS = 2000
"""Rounds before a waiting thread gives way: far more than a barrier takes when all are running."""


@by_address(BARRIER_STAND)
def stand(barrier: Integers, threads: int) -> None:
    """Stand at the barrier until the whole team has arrived, or a thread of it has failed."""
    arrivals = (atomic_add(barrier, BARRIER_ARRIVED, 1) // threads + 1) * threads
    spins = 0
    while atomic_load(barrier, BARRIER_ARRIVED) < arrivals and atomic_load(barrier, BARRIER_ABANDONED) == 0:
        spins += 1
        if spins > SPINS:
            give_way(barrier[BARRIER_YIELD])

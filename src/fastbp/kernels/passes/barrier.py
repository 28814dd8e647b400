"""Where the threads of a team wait for each other."""

from ..compile import kernel
from ..ir import atomic_add, atomic_load, give_way
from ..tables import BARRIER_ABANDONED, BARRIER_ARRIVED, BARRIER_YIELD

SPINS = 2000
"""Rounds before a waiting thread gives way: far more than a barrier takes when all are running."""


@kernel
def wait(barrier, threads):
    """Stand at the barrier until the whole team has arrived; False if a thread of it has failed."""
    if threads == 1:
        return True
    arrivals = (atomic_add(barrier, BARRIER_ARRIVED, 1) // threads + 1) * threads
    spins = 0
    while atomic_load(barrier, BARRIER_ARRIVED) < arrivals and atomic_load(barrier, BARRIER_ABANDONED) == 0:
        spins += 1
        if spins > SPINS:
            give_way(barrier[BARRIER_YIELD])
    return atomic_load(barrier, BARRIER_ABANDONED) == 0

"""What is known of the machine, and the constants that were measured on one.

Read them as ``machine.NAME``, so that a test which sets one sets it for all.
"""

from __future__ import annotations

import os

MOST_THREADS = 1024
"""Threads in a fit at most: more than any machine has processors, and few enough to be started."""

CHUNK_SECONDS = 0.04
"""How long a call of a kernel may take, since Ctrl-C is answered only between calls."""

CHUNK_WORK = 100_000_000
"""Multiply-adds in the first call, before it is known how long they take: 1 to 20 ms."""

PIECE_WORK = 6_000_000_000
"""Multiply-adds of phase 1 of a block that a thread does in a call at most: 0.05 s of a core with AVX-512."""

STEP_WORK = 400_000
"""Multiply-adds of a batch from which a second thread pays for two barriers and a cold share of the weights."""

PASS_WORK = 20_000_000
"""Multiply-adds of a call from which it pays to start a thread: about 50 µs."""


def physical_memory() -> int:
    """Return the bytes of memory of this machine, or the largest array size where that is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**44


def processors() -> int:
    """Return the number of processors that this process may use.

    Where NUMBA_NUM_THREADS or OMP_NUM_THREADS name a smaller number, it is that: joblib tells its worker processes so
    that they share the machine.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        limit = os.environ.get(name, "")
        if limit.isdecimal() and int(limit) > 0:
            count = min(count, int(limit))
    return count

"""Counter-based random numbers: a function of a key and a counter, so bits never depend on threads or on history."""

import numpy as np

from .compile import by_address, inline, scalar
from .compile.arguments import Integers
from .ir import pointer, wrapped
from .tables import CELL_SHUFFLE

GOLDEN = -7046029254386353131
"""2⁶⁴ divided by the golden ratio, odd: successive multiples spread evenly (Steele, Lea & Flood 2014, section 3)."""


@scalar
def mix(x):
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea & Flood 2014, figure 16)."""
    x = wrapped((x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687)
    x = wrapped((x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685)
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@scalar
def low(x):
    """Return the low 32 bits."""
    return np.uint32(x & 0xFFFFFFFF)


STEP = 0x9E3779B9
"""The same for 32 bits: `hashed` makes neighbours of counters that step so independent, not of those that step by 1."""


@scalar
def hashed(x, key):
    """Scramble a counter of 32 bits (Wellons 2018, "lowbias32"), between its two rounds by a key.

    Products of 32 bits are what every vector unit has; those of 64 took 1.4 times as long even where there are any.
    """
    x = low((x ^ (x >> 16)) * 0x7FEB352D)
    x = low(x ^ key)
    x = low((x ^ (x >> 15)) * 0x846CA68B)
    return low(x ^ (x >> 16))


@inline
def exchange(order, n, key, epoch):
    """Permute order[0:n] by exchanges that depend on key and epoch only (Fisher & Yates)."""
    stream = mix(wrapped(key + wrapped(epoch) * GOLDEN))
    for i in range(n - 1, 0, -1):
        # 32 random bits times i+1, shifted down: a bias below n/2³² and no division
        bits = mix(wrapped(stream + i * GOLDEN)) & 0xFFFFFFFF
        j = (bits * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]


@by_address(CELL_SHUFFLE)
def shuffle(order: Integers, key: int, epoch: int) -> None:
    """Overwrite ``order`` with a permutation of 0..n−1 that depends on key and epoch only (Fisher & Yates)."""
    n, order = order.size, pointer(order)
    for i in range(n):
        order[i] = i
    exchange(order, n, key, epoch)


@by_address(CELL_SHUFFLE)
def shuffle_picked(order: Integers, key: int, epoch: int) -> None:
    """Overwrite the first half of ``order`` with the second, permuted as `shuffle` permutes 0..n−1."""
    n, order = order.size // 2, pointer(order)
    for i in range(n):
        order[i] = order[n + i]
    exchange(order, n, key, epoch)


@by_address(CELL_SHUFFLE)
def next_order(order: Integers, key: int, epoch: int) -> None:
    """Overwrite the beginning of ``order`` with one of those behind it, which are of the epochs from ``key`` on.

    The last number says how long each of them is.
    """
    n = order[order.size - 1]
    start = n * (1 + epoch - key)
    for i in range(n):
        order[i] = order[start + i]

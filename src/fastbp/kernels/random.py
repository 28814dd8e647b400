"""Counter-based random numbers: a function of a key and a counter, so bits never depend on threads or on history."""

from ._jit import by_address, scalar
from .simd import wrapped

GOLDEN = -7046029254386353131
"""2⁶⁴ divided by the golden ratio, odd: successive multiples spread evenly (Steele, Lea & Flood 2014, section 3)."""


@scalar
def mix(x):
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea & Flood 2014, figure 16)."""
    x = wrapped((x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687)
    x = wrapped((x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685)
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@by_address
def shuffle(order, key, epoch):
    """Overwrite ``order`` with a permutation of 0..n−1 that depends on key and epoch only (Fisher & Yates)."""
    n = order.size
    for i in range(n):
        order[i] = i
    stream = mix(wrapped(key + wrapped(epoch) * GOLDEN))
    for i in range(n - 1, 0, -1):
        # 32 random bits times i+1, shifted down: a bias below n/2³² and no division
        bits = mix(wrapped(stream + i * GOLDEN)) & 0xFFFFFFFF
        j = (bits * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]

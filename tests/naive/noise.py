"""The random numbers of a fit: noise, dropout, the order of samples."""

from __future__ import annotations

import numpy as np


def hashed(counter, first, second):
    """Scramble a counter by two keys, 32 bits each."""
    x = (int(counter) * 0x9E3779B9 + int(first)) % 2**32
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32 ^ int(second)
    x = (x ^ x >> 15) * 0x846CA68B % 2**32
    return x ^ x >> 16


def streams(key, epoch, layer, begin):
    """Two pairs of keys for a batch that begins at a place of the epoch."""
    golden, whole = 0x9E3779B97F4A7C15, 2**64
    start = mix((whole - 1 - key + epoch * golden) % whole)
    start = mix((mix((start + layer) % whole) + begin * golden) % whole)
    return [(word % 2**32, word >> 32) for word in (start, mix((start + golden) % whole))]


def panel(samples, neurons, lanes):
    """Number the elements of a panel: strips of lanes, each strip neuron by neuron."""
    s, j = np.mgrid[:samples, :neurons]
    return (s // lanes * neurons + j) * lanes + s % lanes


def mask(rate, key, epoch, layer, begin, *shape):
    """0 with this probability, else 1/(1 - p), p being the rate in units of 2^-32."""
    limit = int(rate * 2**32)
    keys, _ = streams(key, epoch, layer, begin)
    return (np.vectorize(hashed)(panel(*shape), *keys) >= limit) / (1 - limit / 2**32)


RADIUS = [-0.062209763, 0.11092018, -0.19605309, 0.44326597, -1.333393, -0.81091356]
SINE = [-0.004371312, 0.07950118, -0.64592624, 1.5707952]
COSINE = [-0.01909602, 0.25258073, -1.2334847, 0.9999933]
"""Minimax polynomials of -2 log(f) in f - 3/2, of sin(pi x/2)/x and of cos(pi x/2) in x^2."""


def normal(key, epoch, begin, *shape):
    """Box & Muller 1958, the radius from one hash of a pair of elements and a reflection, a direction from another."""
    pairs, odd = np.divmod(panel(*shape), 2)
    first, second = (np.vectorize(hashed)(pairs, *keys).astype(np.uint32).view(np.int32).astype(float)
                     for keys in streams(key, epoch, 0, begin))
    fraction, exponent = np.frexp(abs(first + 0.5))
    radius = np.sqrt(np.polyval(RADIUS, 2 * fraction - 1.5) + 2 * np.log(2) * (32 - exponent))
    x = second / 2**31
    return radius * np.where(odd, x * np.polyval(SINE, x**2), np.sign(first + 0.5) * np.polyval(COSINE, x**2))

def mix(x):
    """The finaliser of SplitMix64 on unsigned integers modulo 2**64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def permutation(n, key, epoch):
    """Fisher-Yates with counter-based numbers: draw number i is a function of key, epoch and i alone."""
    golden = 0x9E3779B97F4A7C15
    stream = mix((key + epoch * golden) % 2**64)
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = (mix((stream + i * golden) % 2**64) % 2**32) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return np.array(order)

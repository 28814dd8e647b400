"""The shuffle: a permutation, a function of key and epoch, and fair; the hash behind noise and dropout."""

import naive
import numpy as np
import pytest
from helpers import few

from fastbp.kernels.compile import kernel
from fastbp.kernels.passes import noise
from fastbp.kernels.random import STEP, hashed, low, shuffle


def shuffled(n, key, epoch):
    order = np.full(n, -1)
    shuffle(order, key, epoch)
    return order


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000])
@pytest.mark.parametrize(("key", "epoch"), [(0, 0), (1, 0), (2**63 - 2, 5), (12345678901234567, 1000)])
def test_agrees_with_the_twin(n, key, epoch):
    assert (shuffled(n, key, epoch) == naive.permutation(n, key, epoch)).all()


def test_is_a_permutation_that_forgets_what_was_there():
    order = np.zeros(500, np.int64)
    shuffle(order, 3, 4)
    assert (np.sort(order) == np.arange(500)).all()
    again = order[::-1].copy()
    shuffle(again, 3, 4)
    assert (again == order).all()


def test_depends_on_key_and_epoch():
    orders = {tuple(shuffled(20, key, epoch)) for key in range(10) for epoch in range(10)}
    assert len(orders) == 100


@pytest.mark.parametrize("vary", ["key", "epoch"])
def test_every_place_is_equally_likely(vary):
    """Chi-square over place x value; the number of degrees of freedom is (n-1)^2.

    The bound is 5 standard deviations, sqrt(2 (n-1)^2), from the mean: the draw is fixed, so this cannot flicker.
    """
    n, draws = 8, few(20000, 1000)
    counts = np.zeros((n, n))
    for i in range(draws):
        counts[np.arange(n), shuffled(n, i if vary == "key" else 7, i if vary == "epoch" else 7)] += 1
    statistic = ((counts - draws / n) ** 2 / (draws / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(statistic - freedom) < 5 * np.sqrt(2 * freedom), statistic


def test_every_permutation_is_equally_likely():
    draws = few(24000, 2400)
    counts = {}
    for i in range(draws):
        order = tuple(shuffled(4, 99, i))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    statistic = sum((c - draws / 24) ** 2 / (draws / 24) for c in counts.values())
    assert abs(statistic - 23) < 5 * np.sqrt(2 * 23), statistic


@kernel
def fill(out, epoch, layer, begin):
    """What a block's elements get: 32 bits each."""
    keys = noise.stream(12345, epoch, layer, begin)
    counter, key = low(keys), low(keys >> 32)
    for i in range(out.size):
        out[i] = hashed(counter, key)
        counter = low(counter + STEP)


def block(n, epoch=0, layer=1, begin=0):
    out = np.zeros(n, np.int64)
    fill(out, epoch, layer, begin)
    return out


def chi_square(values):
    """Standard deviations of the statistic over 256 values from its mean."""
    expected = values.size / 256
    statistic = ((np.bincount(values, minlength=256) - expected) ** 2 / expected).sum()
    return abs(statistic - 255) / np.sqrt(2 * 255)


def test_the_hash_agrees_with_the_twin():
    keys, _ = naive.streams(12345, 3, 2, 40)
    assert block(50, 3, 2, 40).tolist() == [naive.hashed(i, *keys) for i in range(50)]


@pytest.mark.parametrize("shift", [28, 14, 0])
def test_bits_are_fair_and_neighbours_independent(shift):
    """Pairs of four bits at some distances, and the same place of neighbouring blocks, layers and epochs.

    With a counter in steps of 1 some keys fail at distances 16 and 64, from 2^20 numbers on; the draw is fixed.
    """
    n = few(2**20, 2**13)
    bits = block(n) >> shift & 15
    for distance in (1, 2, 16, 64):
        assert chi_square(bits[:-distance] * 16 + bits[distance:]) < 5
    for other in (dict(epoch=1), dict(layer=2), dict(begin=1), dict(begin=32)):
        assert chi_square(bits * 16 + (block(n, **other) >> shift & 15)) < 5


def test_a_place_has_another_number_in_each_block():
    n = few(20_000, 3000)
    first = np.array([block(1, begin=32 * i)[0] for i in range(n)])
    assert chi_square(first >> 24) < 5 and chi_square(first & 255) < 5

"""The shuffle: a permutation, a function of key and epoch, and fair."""

import naive
import numpy as np
import pytest
from helpers import few

from fastbp.kernels.random import shuffle


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

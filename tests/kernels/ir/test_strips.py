"""Reductions over the rows of a strip, for whole vectors of samples and for fewer."""

import numpy as np
import pytest
from helpers import CANARY, DTYPES

from fastbp.kernels import ir, layout
from fastbp.kernels.compile import kernel


@kernel
def reduced(strip, rows, width, largest, total):
    ir.largest_row(strip, 3, rows, width, largest, 1)
    ir.sum_rows(strip, 3, rows, width, total, 1)


@kernel
def subtracted(strip, rows, width, row):
    ir.subtract_row(strip, 3, rows, width, row, 1)


@kernel
def multiplied(strip, rows, width, row):
    ir.multiply_by_row(strip, 3, rows, width, row, 1)


@kernel
def weighed(parts, slopes, rows, width, weights, total):
    ir.weigh_rows(parts, 3, slopes, 3, rows, width, weights, 1, total, 1)


def among_canaries(numbers, before, dtype):
    """Return an array that holds these numbers with so many canaries before them, and some behind."""
    array = np.full(before + numbers.size + 9, CANARY, dtype)
    array[before : before + numbers.size] = numbers.ravel()
    return array


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_a_strip(dtype, rows, rng):
    """Whatever the width: the largest, the sum from the first row on, difference, product, what weights make of it."""
    lanes = layout.lanes(dtype)
    for width in (1, lanes - 1, lanes):
        numbers = rng.normal(size=(rows, width)).astype(dtype)
        strip, empty = among_canaries(numbers, 3, dtype), np.full(width, CANARY, dtype)
        largest, total = among_canaries(empty, 1, dtype), among_canaries(empty, 1, dtype)
        reduced(strip, rows, width, largest, total)
        in_order = numbers[0].copy()
        for row in numbers[1:]:
            in_order += row
        np.testing.assert_array_equal(largest, among_canaries(numbers.max(axis=0), 1, dtype))
        np.testing.assert_array_equal(total, among_canaries(in_order, 1, dtype))
        subtracted(strip, rows, width, total)
        np.testing.assert_array_equal(strip, among_canaries(numbers - in_order, 3, dtype))
        multiplied(strip, rows, width, total)
        np.testing.assert_array_equal(strip, among_canaries((numbers - in_order) * in_order, 3, dtype))

        weights, parts = rng.integers(0, 3, width).astype(dtype), numbers.copy()
        parts[0, weights == 0] = np.inf  # a sample without weight has no cost, whatever its numbers are
        slopes = among_canaries(parts, 3, dtype)
        weighed(among_canaries(parts, 3, dtype), slopes, rows, width, among_canaries(weights, 1, dtype), total)
        product = np.where(weights != 0, weights * numbers, 0)
        np.testing.assert_array_equal(slopes, among_canaries(product, 3, dtype))
        np.testing.assert_allclose(total, among_canaries(product.sum(axis=0), 1, dtype), 4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_handed_on(dtype):
    """The largest row may lose a NaN that is not in the last row; a sum does not, nor the difference to it."""
    strip = among_canaries(np.array([np.nan, 1.0, 2.0]), 3, dtype)
    largest, total = np.zeros(2, dtype), np.zeros(2, dtype)
    reduced(strip, 3, 1, largest, total)
    assert np.isnan(total[1]) and not total[0]
    strip[3], strip[5] = 1, np.nan
    reduced(strip, 3, 1, largest, total)
    assert np.isnan(largest[1]) and np.isnan(total[1])

"""Update rules (7) against the naive twin, slice by slice."""

from dataclasses import astuple

import numpy as np
import pytest

import naive
from fastbp import SGD, Adam
from fastbp.kernels import codes
from helpers import DTYPES, close

METHODS = [SGD(0.1), SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True), Adam(), Adam(0.02, 0.8, 0.99, 1e-4)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slices", [[(0, 37)], [(0, 1), (1, 18), (18, 37)]])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_ten_steps(method, slices, dtype, rng):
    twin = (naive.SGD if isinstance(method, SGD) else naive.Adam)(*astuple(method))
    w = rng.normal(size=37).astype(dtype)
    expected = w.astype(float)
    state, hyper = np.zeros(method.slots * 37, dtype), method.hyper()
    for _ in range(10):
        g = rng.normal(size=37).astype(dtype)
        kept = g.copy()
        hyper[codes.POWER1] *= hyper[codes.BASE1]
        hyper[codes.POWER2] *= hyper[codes.BASE2]
        for start, stop in slices:
            method.rule(w, g, state, start, stop, 0, hyper)
        expected = twin.step(expected, g.astype(float))
        assert (g == kept).all()
        close(w, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_only_the_slice_changes_and_bits_do_not_depend_on_it(method, dtype, rng):
    n, hyper = 61, method.hyper()
    hyper[[codes.POWER1, codes.POWER2]] = 0.9, 0.999
    w, g = rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)
    state = rng.uniform(size=method.slots * n).astype(dtype)
    whole, whole_state = w.copy(), state.copy()
    method.rule(whole, g, whole_state, 0, n, 0, hyper)
    part, part_state = w.copy(), state.copy()
    method.rule(part, g, part_state, 13, 50, 0, hyper)
    assert (part[13:50] == whole[13:50]).all()
    assert (part[:13] == w[:13]).all() and (part[50:] == w[50:]).all()
    slots = part_state.reshape(method.slots, n)
    assert (slots[:, 13:50] == whole_state.reshape(method.slots, n)[:, 13:50]).all()
    assert (slots[:, :13] == state.reshape(method.slots, n)[:, :13]).all()
    assert (slots[:, 50:] == state.reshape(method.slots, n)[:, 50:]).all()


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_gradient_may_lie_earlier(method, rng):
    n, hyper = 61, method.hyper()
    hyper[[codes.POWER1, codes.POWER2]] = 0.9, 0.999
    w, g, state = rng.normal(size=n), rng.normal(size=n), rng.uniform(size=method.slots * n)
    expected, kept = w.copy(), state.copy()
    method.rule(expected, g, kept, 20, 50, 0, hyper)
    moved = np.full(n, np.nan)
    moved[5:35] = g[20:50]
    method.rule(w, moved, state, 20, 50, 15, hyper)
    assert (w == expected).all() and (state == kept).all()

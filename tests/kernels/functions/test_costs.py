"""The cost kernels on panels, against the naive twin, and where they are hard: far out, at 0, at the kinks."""

import naive
import numpy as np
import pytest
from helpers import COSTS, DTYPES, PLACES, close, from_panel, real_data, real_outputs, to_panel

from fastbp import costs, huber, quantile
from fastbp.kernels import layout
from fastbp.kernels.functions import costs as kernels

EPSILON = {"float32": 2**-23, "float64": 2**-52}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 5, 16, 40])
@pytest.mark.parametrize("name", COSTS)
def test_against_naive(name, samples, dtype, rng):
    _, Y = real_data(rng, name, None, samples, 1, 3, dtype)
    O = real_outputs(rng, name, Y.shape, dtype)  # noqa: E741
    slope = rng.normal(size=Y.shape).astype(dtype)
    out, target, delta = to_panel(O), to_panel(Y), to_panel(slope)
    parameter = np.array([naive.PARAMETERS.get(name, 0.0)])
    costs.get(name).kernel(out, target, delta, 3, parameter)
    C, derivative = naive.COSTS[name]
    close(from_panel(target, samples, 3), C(Y.astype(float), O.astype(float), parameter[0]), dtype)
    close(from_panel(delta, samples, 3), slope * derivative(Y.astype(float), O.astype(float), parameter[0]), dtype)
    assert (from_panel(out, samples, 3) == O).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 5, 16, 40])
@pytest.mark.parametrize(("output", "cost"), [(output, cost) for cost in COSTS for output in costs.COSTS[cost].pairs])
def test_matched_pairs(output, cost, samples, dtype, rng):
    _, Y = real_data(rng, cost, None, samples, 1, 4, dtype)
    net = rng.normal(size=Y.shape).astype(dtype)
    out, target, delta = to_panel(net), to_panel(Y), np.full(to_panel(Y).size, np.nan, dtype)
    costs.get(cost).pairs[output](out, target, delta, 4, np.zeros(1))
    O = naive.ACTIVATIONS[output][0](net.astype(float))  # noqa: E741
    close(from_panel(out, samples, 4), O, dtype)
    close(from_panel(target, samples, 4), naive.COSTS[cost][0](Y.astype(float), O, None), dtype)
    close(from_panel(delta, samples, 4), O - Y, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COSTS)
def test_the_same_bits_at_any_place(name, dtype, rng):
    cost, parameter = costs.get(name), np.array([naive.PARAMETERS.get(name, 0.0)])
    out, Y, slope = rng.uniform(0.05, 0.95, (3, 67)).astype(dtype)

    def found(part):
        target, first, second = Y[part].copy(), slope[part].copy(), slope[part].copy()
        cost.kernel(out[part].copy(), target, first, 1, parameter)
        cost.second_derivative(out[part].copy(), Y[part].copy(), second, 1, parameter)
        return np.array([target, first, second])

    whole = found(slice(None))
    for start, stop in PLACES:
        assert (found(slice(start, stop)) == whole[:, start:stop]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_cosh_keeps_its_accuracy(dtype):
    """Relative error: near 0, where log(1 + tiny) would cancel, and far out, where cosh would overflow."""
    errors = np.concatenate([10.0 ** np.arange(-15, 4), -(10.0 ** np.arange(-15, 4)), np.linspace(0.5, 1.5, 21)])
    errors = errors.astype(dtype)
    target, delta, o = np.zeros_like(errors), np.ones_like(errors), errors.copy()
    kernels.log_cosh(o, target, delta, 1, np.zeros(1))
    e = np.abs(errors.astype(np.longdouble))
    series = e**2 / 2 - e**4 / 12 + e**6 / 45
    exact = np.where(e < 1e-2, series, e + np.log1p(np.exp(-2 * e)) - np.log(np.longdouble(2)))
    assert (np.abs(target - exact) <= 6 * EPSILON[dtype] * exact).all()
    assert (np.abs(delta - np.tanh(errors.astype(np.longdouble))) <= 4 * EPSILON[dtype] * np.abs(delta)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("cost", "slope"), [("absolute_error", 0.0), ("quantile", 0.0), ("huber", 0.0)])
def test_no_error_has_no_slope(cost, slope, dtype):
    o, target, delta = (np.full(4, v, dtype) for v in (1.5, 1.5, 3.0))
    costs.get(cost).kernel(o, target, delta, 1, np.array([0.5]))
    assert (target == 0).all() and (delta == slope).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COSTS)
def test_nan_stays_nan(name, dtype):
    for where in ("out", "target"):
        o, y = np.full(20, 0.5, dtype), np.full(20, 0.25, dtype)
        (o if where == "out" else y)[3] = np.nan
        delta = np.ones(20, dtype)
        costs.get(name).kernel(o, y, delta, 1, np.array([0.5]))
        assert np.isnan(y[3]) and np.isnan(delta[3])
        assert np.isfinite(np.delete(y, 3)).all() and np.isfinite(np.delete(delta, 3)).all()


@pytest.mark.parametrize("name", [name for name in COSTS if costs.COSTS[name].targets != costs.ANY])
def test_outputs_of_0_and_1_stay_finite(name):
    for o in (0.0, 1.0):
        for y in (0.0, 1.0):
            out, target, delta = np.array([o]), np.array([y]), np.array([1.0])
            costs.get(name).kernel(out, target, delta, 1, np.zeros(1))
            assert np.isfinite(target).all() and np.isfinite(delta).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_collect(dtype, rng):
    lane, n = layout.lanes(dtype), 3
    C, slope = (rng.normal(size=(2 * lane, n)).astype(dtype) for _ in range(2))
    w = rng.uniform(size=2 * lane).astype(dtype)
    w[-2:] = 0
    C[-1], slope[-1] = np.inf, np.nan
    delta, cost = to_panel(slope), np.full(2 * lane, np.nan, dtype)
    kernels.collect(to_panel(C), w, delta, cost, n)
    close(cost[:-2], w[:-2] * C[:-2].sum(axis=1, dtype=float), dtype)
    close(from_panel(delta, 2 * lane, n)[:-2], w[:-2, None] * slope[:-2], dtype)
    assert (cost[-2:] == 0).all() and (from_panel(delta, 2 * lane, n)[-2:] == 0).all(), "weight 0 counts nothing"


def test_parameters_are_checked():
    for wrong in (0, -1, np.nan, np.inf, {}, "1", None, np.array([1.0])):
        with pytest.raises(ValueError, match="delta must be a positive number"):
            huber(wrong)
    for wrong in (0, 1, -0.5, np.nan, {}, "0.5", None):
        with pytest.raises(ValueError, match="between 0 and 1, exclusive"):
            quantile(wrong)

"""The kernels of the cost of which two outputs describe a target, against the naive twin."""

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, from_panel, to_panel

from fastbp import costs
from fastbp.kernels import layout

STEP = 1e-30j
BETAS = [0.0, 0.5, 1.0]


def panels(rng, samples, m, dtype):
    """Targets (n, m), outputs and a factor (n, 2m) as rows and as panels; what targets leave open is NaN."""
    Y, O, some = (rng.normal(size=(samples, k)).astype(dtype) for k in (m, 2 * m, 2 * m))  # noqa: E741
    open_ended = np.hstack([Y, np.full_like(Y, np.nan)])
    return (Y.astype(float), O.astype(float), some.astype(float)), [to_panel(rows) for rows in (O, open_ended, some)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 5, 16, 40])
@pytest.mark.parametrize("beta", BETAS)
def test_cost_and_slopes(beta, samples, dtype, rng):
    (Y, O, some), (out, target, delta) = panels(rng, samples, 3, dtype)  # noqa: E741
    before = out.copy()
    costs.get("gaussian_nll").kernel(out, target, delta, 6, np.array([beta]))
    close(from_panel(target, samples, 6).sum(axis=1), naive.COSTS["gaussian_nll"][0](Y, O, beta).sum(axis=1), dtype)
    close(from_panel(delta, samples, 6), some * naive.COSTS["gaussian_nll"][1](Y, O, beta), dtype)
    np.testing.assert_array_equal(out, before)


def test_slopes_of_the_twin_are_derivatives(rng):
    (Y, O, _), _ = panels(rng, 20, 3, "float64")  # noqa: E741
    C, slope = naive.COSTS["gaussian_nll"]
    for j in range(6):
        moved = O + STEP * np.eye(6)[j]
        close(slope(Y, O, 0.0)[:, j], C(Y, moved, 0.0).sum(axis=1).imag / STEP.imag)
    s = np.hstack([O[:, 3:]] * 2)
    close(slope(Y, O, 0.25), slope(Y, O, 0.0) * np.sqrt(np.exp(s)) ** 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 5, 40])
def test_second_derivative_couples_mean_and_variance(samples, dtype, rng):
    (Y, O, some), (out, target, delta) = panels(rng, samples, 3, dtype)  # noqa: E741
    costs.get("gaussian_nll").second_derivative(out, target, delta, 6, np.zeros(1))
    along = naive.COSTS["gaussian_nll"][1](Y, O + STEP * some, 0.0).imag / STEP.imag
    close(from_panel(delta, samples, 6), along, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fishers_information_is_the_mean_second_derivative(dtype, rng):
    """Over y of mean μ and variance σ², by Gauss–Hermite quadrature, which is exact for a square."""
    (_, O, some), (out, _, delta) = panels(rng, 21, 2, dtype)  # noqa: E741
    points, weights = np.polynomial.hermite_e.hermegauss(5)
    mean = np.zeros_like(some)
    for point, weight in zip(points, weights / weights.sum(), strict=True):
        y = O[:, :2] + point * np.exp(O[:, 2:] / 2)
        mean += weight * naive.COSTS["gaussian_nll"][1](y, O + STEP * some, 0.0).imag / STEP.imag
    costs.get("gaussian_nll").fisher(out, delta, 4)
    close(from_panel(delta, 21, 4), mean, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_a_strip_and_alone(dtype, rng):
    """Panels of one number a neuron are those of a single sample."""
    samples, cost, parameter = 2 * layout.lanes(dtype), costs.get("gaussian_nll"), np.array([0.5])
    _, strips = panels(rng, samples, 2, dtype)
    rows = [from_panel(panel, samples, 4) for panel in strips]

    def found(out, target, delta):
        second, fisher = delta.copy(), delta.copy()
        cost.second_derivative(out, target, second, 4, parameter)
        cost.fisher(out, fisher, 4)
        cost.kernel(out, target, delta, 4, parameter)
        return target, delta, second, fisher

    whole = [from_panel(panel, samples, 4) for panel in found(*strips)]
    for i in range(samples):
        for all_of_them, alone in zip(whole, found(*(row[i].copy() for row in rows)), strict=True):
            assert (all_of_them[i] == alone).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", ["out", "target"])
def test_nan_stays_nan_where_it_is(where, dtype):
    for j in (0, 2) if where == "out" else (0,):  # μ and s of the first of two targets
        rows = {"out": np.full((3, 4), 0.5, dtype), "target": np.full((3, 4), 0.25, dtype)}
        rows[where][1, j] = np.nan
        out, target, delta = to_panel(rows["out"]), to_panel(rows["target"]), to_panel(np.ones((3, 4), dtype))
        costs.get("gaussian_nll").kernel(out, target, delta, 4, np.array([0.5]))
        target, delta = from_panel(target, 3, 4), from_panel(delta, 3, 4)
        assert np.isnan(target[1, [0, 2]]).any() and np.isnan(delta[1, [0, 2]]).all()
        assert np.isfinite(delta[1, [1, 3]]).all() and np.isfinite(delta[[0, 2]]).all()
        assert np.isfinite(target[[0, 2]]).all()

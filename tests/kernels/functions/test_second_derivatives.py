"""Second derivatives of activations and costs: complex step on the naive first ones, away from kinks and at them."""

import mpmath as mp
import naive
import numpy as np
import pytest
import ulp
from helpers import ACTIVATIONS, COSTS, DTYPES, PLACES, close, few, real_data, real_outputs

import fastbp
from fastbp import activations, costs

STEP = 1e-30j
KINKED = {"elu": 1.0, "selu": 1.0507009873554805 * 1.6732632423543772, "softsign": 0.0}
"""What phi'' is at 0, where it jumps: that of the lower side, or between both."""

activated = {name: activations.ACTIVATIONS[name] for name in ACTIVATIONS}


def second_derivative(name, net):
    """Return phi'' by the kernels, from a net input as they leave it."""
    out, slope, found = net.copy(), np.empty_like(net), net.copy()
    with np.errstate(all="ignore"):
        activations.get(name).kernel(out, slope, 1)
        activations.get(name).second_derivative(found, out, slope)
    return found


def test_each_activation_and_each_cost_has_one():
    for name, row in activations.ACTIVATIONS.items():
        assert (row.second_derivative is not None) == row.elementwise, name
    assert [name for name, row in costs.COSTS.items() if row.second_derivative is None] == []
    assert fastbp.huber(2.0).second_derivative and fastbp.quantile(0.2).second_derivative


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_of_every_activation(name, dtype, rng):
    net = np.concatenate([rng.normal(size=few(400, 60)) * 3, np.linspace(-5, 5, 40)]).astype(dtype)
    exact = naive.ACTIVATIONS[name][1](net.astype(np.float64) + STEP).imag / STEP.imag
    close(second_derivative(name, net), exact, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_same_bits_at_any_place(name, dtype, rng):
    net = rng.uniform(-4, 4, 67).astype(dtype)
    whole = second_derivative(name, net)
    for start, stop in PLACES:
        assert (second_derivative(name, net[start:stop]) == whole[start:stop]).all()


@pytest.mark.parametrize("name", KINKED)
def test_at_jumps(name):
    assert second_derivative(name, np.zeros(1))[0] == pytest.approx(KINKED[name], rel=1e-15)


@pytest.mark.parametrize("name", [name for name, row in activated.items()
                                  if row.second_derivative is activations.kernels.straight])
def test_piecewise_linear_ones_have_none(name):
    assert (second_derivative(name, np.array([-4.0, -3, -1, -0.5, 0, 0.5, 1, 3, 4])) == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(name for name, (case, _) in ulp.ACTIVATIONS.items() if case.limits))
def test_far_out(name, dtype):
    """Nothing bends there but exp; softsign at 800 still does a little."""
    def exact(x):
        return mp.diff(ulp.ACTIVATIONS[name][1], x)

    far = np.array([-np.inf, -np.finfo(dtype).max, -800, 800, np.finfo(dtype).max, np.inf], dtype)
    ends = [[ulp.limit(exact, end, dtype)] * 2 for end in (-1, 1)]
    found = [*ends[0], *(dtype(exact(mp.mpf(x))) for x in (-800, 800)), *ends[1]]
    np.testing.assert_allclose(second_derivative(name, far), found, rtol=8 * np.finfo(dtype).eps, atol=1e-18)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COSTS)
def test_of_every_cost(name, dtype, rng):
    _, Y = real_data(rng, name, None, 40, 1, 3, dtype)
    O = real_outputs(rng, name, Y.shape, dtype)  # noqa: E741
    some = rng.normal(size=Y.shape).astype(dtype)
    parameter = naive.PARAMETERS.get(name, 0.0)
    delta = some.reshape(-1).copy()
    costs.get(name).second_derivative(O.reshape(-1), Y.reshape(-1), delta, 3, np.array([parameter]))
    exact = naive.COSTS[name][1](Y.astype(float), O.astype(float) + STEP, parameter).imag / STEP.imag
    close(delta, (some * exact).reshape(-1), dtype)

"""Activations: outputs and slopes against independent formulas, softmax's structure, the catalogue."""

import math

import mpmath as mp
import numpy as np
import pytest
import ulp

from fastbp import activations
from fastbp.kernels.compile import JIT, VECTOR_BYTES
from fastbp.kernels.functions import activations as kernels
from fastbp.kernels.functions import softmax

DTYPES = (np.float32, np.float64)
COUNT = 1500 if JIT else 400
DENSE = 200_000 if JIT else 1000
DEMANDED = {np.float32: 2.5, np.float64: 3.0}
NAMES = sorted(ulp.ACTIVATIONS)
LIMITED = [name for name in NAMES if ulp.ACTIVATIONS[name][0].limits]


@pytest.mark.parametrize("name", [name for name, row in activations.ACTIVATIONS.items() if not row.values])
def test_every_activation_is_tested(name):
    """Only softmax is not, whose exponent is itself rounded."""
    assert (name in ulp.ACTIVATIONS and name in ulp.WIDE) != (name == "softmax"), f"tests/ulp.py has no {name}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_output_and_slope(name, dtype):
    x, of_out, of_slope = ulp.activation_errors(name, dtype, COUNT, seed=1)
    bound = activations.get(name).ulp[dtype == np.float64]
    assert of_out.max() <= bound, f"{name}({x[np.argmax(of_out)]!r}) is {of_out.max():.2f} ulp off"
    # tanh' = 1 - o**2 has the error of o, which is bound * eps/2 where o is large, doubled, and a rounding of its own
    limit = bound + 0.5 if name == "tanh" else 2
    assert of_slope.max() <= limit, f"the slope of {name} at {x[np.argmax(of_slope)]!r} is {of_slope.max():.2f} eps off"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_dense_search_stays_below_the_stated_bound(name, dtype):
    if not ulp.WIDE_ENOUGH[dtype]:
        pytest.skip("a long double is no wider than a float64 here: test_output_and_slope has to do")
    x, error = ulp.dense_errors(name, dtype, DENSE)
    bound = activations.get(name).ulp[dtype == np.float64]
    assert bound <= DEMANDED[dtype]
    assert error.max() <= bound, f"{name}({x[np.argmax(error)]!r}) is {error.max():.2f} ulp off"


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if ulp.WIDE_ENOUGH[dtype]])
@pytest.mark.parametrize("name", NAMES)
def test_formulas_of_the_dense_search_are_exact_to_a_hundredth_of_an_ulp(name, dtype):
    case = ulp.ACTIVATIONS[name][0]
    x = ulp.arguments(case, dtype, 400)
    for v, wide in zip(x, ulp.WIDE[name](x.astype(ulp.WIDER[dtype])), strict=True):
        exact = case.exact(mp.mpf(float(v)))
        if abs(exact) > case.tiny[dtype == np.float64]:
            head = float(wide)
            got = mp.mpf(head) + mp.mpf(float(wide - type(wide)(head)))  # mpmath takes no long double
            assert abs(got / exact - 1) < np.finfo(dtype).eps / 100, f"{name}({v!r})"


@pytest.mark.parametrize("name", NAMES)
def test_slope_is_the_derivative_of_the_output(name):
    """Eighth-order central differences of the output itself, away from kinks."""
    x = np.random.default_rng(2).uniform(-6, 6, 200)
    for kink in ulp.ACTIVATIONS[name][0].kinks:
        x = x[np.abs(x - kink) > 0.2]
    step = 2.0**-6
    numeric = np.zeros_like(x)
    for k, weight in enumerate((4 / 5, -1 / 5, 4 / 105, -1 / 280), start=1):
        numeric += weight * (ulp.activate(name, x + k * step)[0] - ulp.activate(name, x - k * step)[0]) / step
    np.testing.assert_allclose(ulp.activate(name, x)[1], numeric, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITED)
def test_limits(name, dtype):
    biggest, (case, derivative) = np.finfo(dtype).max, ulp.ACTIVATIONS[name]
    low, low_slope, high, high_slope = (ulp.limit(f, end, dtype) for end in (-1, 1) for f in (case.exact, derivative))
    out, slope = ulp.activate(name, np.array([-np.inf, np.inf], dtype))
    np.testing.assert_array_equal(out, np.array([low, high], dtype))
    info = np.finfo(dtype)
    np.testing.assert_allclose(slope, np.array([low_slope, high_slope], dtype), info.eps, float(info.tiny))
    out, slope = ulp.activate(name, np.array([-biggest, biggest], dtype))
    assert not np.isnan(out).any()
    assert not np.isnan(slope).any()


def test_limits_of_the_formulas_are_those_one_knows():
    known = {"identity": (-np.inf, 1, np.inf, 1), "logistic": (0, 0, 1, 0), "leaky_relu": (-np.inf, 0.01, np.inf, 1),
             "selu": (-1.7580993408473769, 0, np.inf, 1.0507009873554805), "gelu": (0, 0, np.inf, 1),
             "softsign": (-1, 0, 1, 0), "gaussian": (0, 0, 0, 0), "exp": (0, 0, np.inf, np.inf)}
    for name, limits in known.items():
        case, derivative = ulp.ACTIVATIONS[name]
        found = [ulp.limit(f, end, np.float64) for end in (-1, 1) for f in (case.exact, derivative)]
        np.testing.assert_allclose(found, limits, rtol=2**-52)


def test_sine_of_infinity_is_nan():
    out, slope = ulp.activate("sin", np.array([-np.inf, np.inf]))
    assert np.isnan([out, slope]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_nan_in_nan_out(name, dtype):
    net = np.linspace(-2, 2, 35).astype(dtype)
    net[[0, 17, 34]] = np.nan
    out, slope = ulp.activate(name, net)
    assert np.flatnonzero(np.isnan(out)).tolist() == [0, 17, 34]
    assert set(np.flatnonzero(np.isnan(slope))) <= {0, 17, 34}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 7, 16, 33])
def test_any_size_and_the_same_bits_at_any_place(name, dtype, size):
    net = np.random.default_rng(size).uniform(-4, 4, 33).astype(dtype)
    guard = dtype(77)
    panel, slope = np.full(size + 2, guard), np.full(size + 2, guard)
    panel[1:-1] = net[:size]
    with np.errstate(all="ignore"):
        getattr(kernels, name)(panel[1:-1], slope[1:-1], 1)
    whole_out, whole_slope = ulp.activate(name, net)
    np.testing.assert_array_equal(panel[1:-1], whole_out[:size])
    np.testing.assert_array_equal(slope[1:-1], whole_slope[:size])
    assert (panel[[0, -1]] == guard).all()
    assert (slope[[0, -1]] == guard).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["relu", "hard_tanh", "hard_sigmoid", "leaky_relu"])
def test_slope_at_kinks(name, dtype):
    net = np.array(ulp.ACTIVATIONS[name][0].kinks, dtype)
    at_kink = {"relu": 0, "hard_tanh": 0, "hard_sigmoid": 0, "leaky_relu": 0.01}[name]
    np.testing.assert_array_equal(ulp.activate(name, net)[1], np.full(net.size, at_kink, dtype))


# ------------------------------------------------------------------------------------------------------- softmax


def strips(samples, dtype):
    """Lay out (neurons, n) strip by strip; n is a multiple of the lanes."""
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    neurons, n = samples.shape
    return samples.reshape(neurons, n // lanes, lanes).transpose(1, 0, 2).astype(dtype).ravel()


def unstrip(panel, neurons):
    """Return back (neurons, n)."""
    lanes = VECTOR_BYTES // panel.itemsize
    return panel.reshape(-1, neurons, lanes).transpose(1, 0, 2).reshape(neurons, -1)


def softmax_input(neurons, dtype, seed=0):
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(neurons, 3 * lanes)) * 4).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("neurons", [1, 2, 3, 10])
def test_softmax(neurons, dtype):
    net = softmax_input(neurons, dtype)
    wide = net.astype(np.longdouble)
    exact = np.exp(wide) / np.exp(wide).sum(axis=0)
    out, slope = ulp.activate("softmax", strips(net, dtype), neurons)
    eps = float(np.finfo(dtype).eps)
    # the difference from the maximum is rounded: half an eps for each unit of it
    spread = float((wide.max(axis=0) - wide).max())
    np.testing.assert_allclose(unstrip(out, neurons), exact.astype(float), rtol=eps * (3 + neurons / 2 + spread / 2))
    np.testing.assert_allclose(unstrip(out, neurons).sum(axis=0), 1, rtol=eps * (1 + neurons))
    np.testing.assert_array_equal(slope, np.ones_like(slope))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_large_nets_does_not_overflow(dtype):
    net = np.zeros_like(softmax_input(4, dtype))
    net[1] = np.finfo(dtype).max / 4
    net[2] = -np.finfo(dtype).max / 4
    out = unstrip(ulp.activate("softmax", strips(net, dtype), 4)[0], 4)
    np.testing.assert_array_equal(out, np.array([0, 1, 0, 0], dtype)[:, None] + 0 * net)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", [0, 1, 3])
def test_softmax_keeps_nan_to_its_sample(dtype, row):
    net = softmax_input(4, dtype)
    net[row, 1] = np.nan
    out = unstrip(ulp.activate("softmax", strips(net, dtype), 4)[0], 4)
    assert np.isnan(out[:, 1]).all()
    assert np.isnan(out).sum() == 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("neurons", [1, 2, 3, 10])
def test_softmax_backward_is_the_jacobian_product(neurons, dtype):
    net = softmax_input(neurons, dtype)
    delta = softmax_input(neurons, dtype, seed=1)
    out = ulp.activate("softmax", strips(net, dtype), neurons)[0]
    panel = strips(delta, dtype)
    softmax.softmax_backward(out, panel, neurons)
    o = unstrip(out, neurons).astype(np.longdouble)
    jacobian = np.einsum("ij,jn->ijn", np.eye(neurons), o) - np.einsum("in,jn->ijn", o, o)
    exact = np.einsum("ijn,in->jn", jacobian, delta.astype(np.longdouble))
    size = float(np.abs(delta).max() * np.finfo(dtype).eps)
    np.testing.assert_allclose(unstrip(panel, neurons), exact.astype(float), rtol=0, atol=(neurons + 2) * size)


def test_softmax_backward_is_the_derivative():
    """Sixth-order central differences of sum_j g_j softmax(net)_j."""
    net, g = softmax_input(3, np.float64) / 4, softmax_input(3, np.float64, seed=1)
    panel = strips(g, np.float64)
    softmax.softmax_backward(ulp.activate("softmax", strips(net, np.float64), 3)[0], panel, 3)
    step = 2.0**-6
    for j in range(3):
        numeric = np.zeros(net.shape[1])
        for k, weight in enumerate((3 / 4, -3 / 20, 1 / 60), start=1):
            for sign in (1, -1):
                moved = net.copy()
                moved[j] += sign * k * step
                out = unstrip(ulp.activate("softmax", strips(moved, np.float64), 3)[0], 3)
                numeric += sign * weight * (g * out).sum(axis=0) / step
        np.testing.assert_allclose(unstrip(panel, 3)[j], numeric, rtol=1e-9, atol=1e-9)


# ----------------------------------------------------------------------------------------------------- catalogue


def test_catalogue_rows_are_complete():
    for name, row in activations.ACTIVATIONS.items():
        assert row.name == name
        assert row.kernel is getattr(softmax if name == "softmax" else kernels, name)
        assert row.formula
        assert row.derivative
        assert row.initializer in {"glorot_uniform", "he_uniform", "lecun_normal"}
        assert row.kernel.__doc__.startswith("Overwrite") or name == "identity"


def test_selu_constants_are_the_fixed_point():
    """Mean 0 and variance 1 of the net give mean 0 and variance 1 of the output."""
    row = activations.get("selu").formula
    assert str(float(ulp.SELU_SCALE)) in row
    assert str(float(ulp.SELU_ALPHA)) in row
    selu = ulp.ACTIVATIONS["selu"][0].exact
    for power, moment in ((1, 0), (2, 1)):
        got = mp.quad(lambda x, power=power: selu(x) ** power * ulp.density(x), [-12, -3, 0, 3, 12])
        assert math.isclose(got, moment, abs_tol=1e-12)


def test_get():
    assert activations.get("tanh") is activations.ACTIVATIONS["tanh"]
    with pytest.raises(ValueError, match=r"unknown activation 'tahn': did you mean 'tanh'\? Known: .*elu, exp"):
        activations.get("tahn")
    assert activations.get("ReLU") is activations.ACTIVATIONS["relu"]
    told = r"unknown activation 'qqq': Known: .*elu, .*; your own by fastbp.register_activation"
    with pytest.raises(ValueError, match=told):
        activations.get("qqq")
    with pytest.raises(TypeError, match=r"activation is 3, expected one of the names .*elu, exp"):
        activations.get(3)

"""Functions of one element: errors in ulp, limits, NaN, and that the loops around them are vector code."""

import re

import mpmath as mp
import numpy as np
import pytest
import ulp

from fastbp.kernels import elementwise
from fastbp.kernels.compile import JIT, VECTOR_BYTES

DTYPES = (np.float32, np.float64)
LIMIT = {np.float32: 2.5, np.float64: 3.0}
COUNT = 3000 if JIT else 500
INF = np.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ulp.ELEMENTS)
def test_error_in_ulp(name, dtype):
    x, error = ulp.element_errors(name, dtype, COUNT)
    assert x.size > COUNT / 2
    worst = np.argmax(error)
    assert error.max() <= LIMIT[dtype], f"{name}({x[worst]!r}) is {error[worst]:.2f} ulp off"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("exp", {-INF: 0, 0: 1, INF: INF}),
        ("expm1", {-INF: -1, 0: 0, INF: INF}),
        ("tanh", {-INF: -1, 0: 0, INF: 1}),
        ("logistic", {-INF: 0, 0: 0.5, INF: 1}),
        ("softplus", {-INF: 0, INF: INF}),
        ("log", {0: -INF, 1: 0, INF: INF}),
        ("log1p", {-1: -INF, 0: 0, INF: INF}),
        ("log1p_unit", {0: 0}),
        ("sin", {0: 0}),
        ("cos", {0: 1}),
    ],
)
def test_limits(name, limits, dtype):
    x = np.array(list(limits), dtype)
    np.testing.assert_array_equal(ulp.evaluate(name, x), np.array(list(limits.values()), dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1", "tanh", "logistic", "softplus"])
def test_far_arguments_reach_the_limits(name, dtype):
    far = np.array([90, 100, 800, 1e4, 1e30, np.finfo(dtype).max])
    x = np.concatenate([-far, far]).astype(dtype)
    with np.errstate(over="ignore"):
        exact = np.array([float(ulp.ELEMENTS[name].exact(mp.mpf(float(np.clip(v, -2000, 2000))))) for v in x])
        exact = np.where((x > 2000) & (name == "softplus"), x, exact).astype(dtype)
    got = ulp.evaluate(name, x)
    # subnormal results may be flushed to 0
    np.testing.assert_allclose(got, exact, rtol=3 * np.finfo(dtype).eps, atol=float(np.finfo(dtype).tiny))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ulp.ELEMENTS)
def test_nan_in_nan_out(name, dtype):
    assert np.isnan(ulp.evaluate(name, np.full(37, np.nan, dtype))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_outside_the_domain_of_a_logarithm(dtype):
    assert np.isnan(ulp.evaluate("log", np.array([-1e-30, -1, -INF], dtype))).all()
    assert np.isnan(ulp.evaluate("log1p", np.array([-1.001, -7, -INF], dtype))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormals(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = tiny * np.array([1, 2, 3, 77], dtype)
    exact = np.array([float(mp.log(mp.mpf(float(v)))) for v in x], dtype)
    np.testing.assert_allclose(ulp.evaluate("log", x), exact, rtol=2 * np.finfo(dtype).eps)
    for name in ("tanh", "sin"):
        assert (np.abs(ulp.evaluate(name, x) - x) <= tiny).all()
    assert (np.abs(ulp.evaluate("expm1", x) - x) <= 2 * tiny).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sine_stays_bounded_where_it_is_meaningless(dtype):
    x = np.array([1e8, 1e17, 1e30, -1e30, np.finfo(dtype).max], dtype)
    assert (np.abs(ulp.evaluate("sin", x)) <= 1).all()
    assert np.isnan(ulp.evaluate("sin", np.array([INF, -INF], dtype))).all()


@pytest.mark.skipif(JIT, reason="Numba returns a Python float; the vector code below tells")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ulp.ELEMENTS)
def test_type_is_kept(name, dtype):
    assert type(getattr(elementwise, name)(dtype(0.5))) is dtype


@pytest.mark.skipif(not JIT, reason="there is no machine code")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ulp.ELEMENTS)
def test_loop_is_vector_code_of_full_width_and_of_one_type(name, dtype):
    loop = ulp.over_array(name)
    x = np.full(64, 0.5, dtype)
    loop(x, x.copy())
    (signature,) = (s for s in loop.signatures if s[0].dtype.name == np.dtype(dtype).name)
    kinds = set(re.findall(r"<(\d+) x (float|double)>", loop.inspect_llvm(signature)))
    lanes = VECTOR_BYTES // x.itemsize
    assert {kind for _, kind in kinds} == {"float" if dtype == np.float32 else "double"}
    assert max(int(width) for width, _ in kinds) == lanes
    assert not re.search(r"\b(expf?|expm1f?|log1?p?f?|tanhf?|sinf?|cosf?|fmaf?)@", loop.inspect_asm(signature))

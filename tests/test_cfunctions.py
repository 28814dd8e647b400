"""The network as a C function: for ctypes, cffi and SciPy's LowLevelCallable, from several threads."""

import ctypes
import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import DTYPES, close, compiled_only, few, network

from fastbp import Network, cfunctions
from fastbp.cfunctions import FORMS
from fastbp.kernels.compile import JIT

SHAPES = [(1, 1), (4, 17, 5, 2), (70, 33, 1, 40)]


def pointer(array):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float if array.dtype == np.float32 else ctypes.c_double))


def outputs(function, X, n_out):
    """Call it for each row."""
    out = np.full((len(X), n_out + 8), 77, X.dtype)
    for x, o in zip(X, out, strict=True):
        function(pointer(x), pointer(o))
    assert (out[:, n_out:] == 77).all()
    return out[:, :n_out]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays(shape, bias, dtype, rng):
    net = network(shape, bias=bias, dtype=dtype)
    X = rng.normal(size=(few(9, 3), shape[0])).astype(dtype)
    before = X.copy()
    close(outputs(net.cfunc().ctypes, X, shape[-1]), net.predict(X), dtype, 5)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("name", ["softmax", "exp"])
def test_outputs_that_are_not_identity(name, rng):
    net = network((3, 6, 4), "relu", output=name, dtype="float64")
    X = rng.normal(size=(3, 3))
    close(outputs(net.cfunc().ctypes, X, 4), net.predict(X), "float64", 5)


def test_it_follows_the_parameters_and_keeps_them_alive(rng):
    net = network((3, 5, 2), dtype="float64")
    X = rng.normal(size=(4, 3))
    function = net.cfunc().ctypes
    net.parameters[:] = rng.normal(size=net.n_parameters)
    expected = net.predict(X)
    del net
    gc.collect()
    Network((30, 50, 20), dtype="float64", seed=0).predict(np.ones(30))  # would take its place in memory
    close(outputs(function, X, 2), expected, "float64", 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_quad(dtype, rng):
    net = network((3, 9, 1), dtype=dtype)
    x = rng.normal(size=3)
    numbers = (ctypes.c_double * 3)(*x)
    quad = net.cfunc("quad").ctypes
    close(quad(3, numbers), net.predict(x)[0], dtype, 5)
    assert np.isnan(quad(2, numbers))


def test_threads_at_once(rng):
    net = network((8, 40, 30, 3), dtype="float64")
    X = rng.normal(size=(few(4000, 40), 8))
    function = net.cfunc().ctypes
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda part: outputs(function, part, 3), np.array_split(X, 4)))
    np.testing.assert_array_equal(np.concatenate(parts), outputs(function, X, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scipy_integrates_it(dtype):
    scipy = pytest.importorskip("scipy", reason="comes with scikit-learn, in the test extra")
    from scipy import integrate

    net = network((2, 6, 1), dtype=dtype)
    function = scipy.LowLevelCallable(net.cfunc("quad").ctypes)
    assert function.signature == "double (int, double *)"
    found, _ = integrate.nquad(function, [[-1, 1], [0, 1]], opts={"epsabs": 1e-4, "epsrel": 1e-4})
    nodes, weights = np.polynomial.legendre.leggauss(20)
    x, y = np.meshgrid(nodes, (nodes + 1) / 2, indexing="ij")
    values = net.predict(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(20, 20)
    assert abs(found - weights @ values @ weights / 2) < 1e-4


@pytest.mark.parametrize("dtype", few(["float64"], DTYPES))
def test_scipy_filters_an_image_by_it(dtype, rng):
    scipy = pytest.importorskip("scipy", reason="comes with scikit-learn, in the test extra")
    from scipy import ndimage

    net = network((9, 5, 1), dtype=dtype)
    image = rng.normal(size=(6, 7))
    function = scipy.LowLevelCallable(net.cfunc("filter").ctypes)
    found = ndimage.generic_filter(image, function, size=3)
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3)).reshape(-1, 9)
    close(found[1:-1, 1:-1].ravel(), net.predict(windows).ravel(), dtype, 5)
    wrong = ndimage.generic_filter(image, function, size=2)
    assert np.isnan(wrong).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cffi_casts_its_address(dtype, rng):
    cffi = pytest.importorskip("cffi", reason="no dependency of ours")
    net = network((3, 5, 2), dtype=dtype)
    found = net.cfunc()
    ffi = cffi.FFI()
    x, out = rng.normal(size=3).astype(dtype), np.empty(2, dtype)
    real = "float *" if dtype == "float32" else "double *"
    ffi.cast(found.declaration, found.address)(ffi.cast(real, x.ctypes.data), ffi.cast(real, out.ctypes.data))
    close(out, net.predict(x), dtype, 5)


def test_a_network_has_one_of_each_form():
    net, other = Network((2, 1), dtype="float64"), Network((2, 1), dtype="float64")
    kept = net.cfunc()
    assert net.cfunc().ctypes is kept.ctypes and net.cfunc().address == kept.address
    assert len({net.cfunc(form).address for form in FORMS} | {other.cfunc().address, kept.address}) <= 4
    assert other.cfunc().address != kept.address and net.copy().cfunc().ctypes.network is not net


@compiled_only
@pytest.mark.parametrize("form", FORMS)
def test_code_that_nobody_uses_is_taken_over(form, rng):
    """Numba never frees machine code: 0.4 MB a function."""
    def value(net, function, x):
        window, out = (ctypes.c_double * len(x))(*x), np.zeros(1)
        if form == "arrays":
            function(pointer(x), pointer(out))
        elif form == "quad":
            out[0] = function(len(x), window)
        else:
            assert function(window, len(x), out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), None) == 1
        return out

    addresses, kept = set(), []
    for i in range(12):
        net = network((3, 5 + i % 2, 1), dtype="float64", seed=i)
        function = net.cfunc(form).ctypes
        if i < 3:
            kept.append((net, function))
        addresses.add(ctypes.cast(function, ctypes.c_void_p).value)
        for one, call in [*kept, (net, function)]:
            x = rng.normal(size=3)
            close(value(one, call, x), one.predict(x), "float64", 5)
        del net, function, one, call
        gc.collect()
    assert len(addresses) == 4


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 15, 17, 100, 1000, 8191, 8193])
def test_few_sizes_of_stacks(size):
    assert size <= cfunctions._rounded(size) <= max(1.25 * size, size)
    assert len({cfunctions._rounded(n) for n in range(1, 1 + 2**10)}) <= 40


def test_its_declaration():
    net = Network((2, 1), seed=3)
    assert repr(net.cfunc()) == "<Network((2, 1), seed=3).cfunc('arrays'): void (*)(const float *x, float *out)>"
    assert net.cfunc("quad").declaration == "double (*)(int n, double *x)"
    assert net.cfunc().address > 0


def test_what_cannot_be_a_c_function():
    net = Network((2, 2))
    with pytest.raises(ValueError, match="unknown form 'array': did you mean 'arrays'"):
        net.cfunc("array")
    for form in ("quad", "filter"):
        with pytest.raises(ValueError, match=r"has 2 outputs: use form='arrays'"):
            net.cfunc(form)
    with pytest.raises(ValueError, match=r"30000 neurons takes \d+ bytes .* fastbp.jit.forward"):
        Network((2, 30000, 1)).cfunc()


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_it_needs_no_lock(rng):
    """Here ctypes lets go of the interpreter lock, so compiled code may call its address too."""
    import numba

    net = network((3, 5, 2), dtype="float64")
    function, x, out = net.cfunc().ctypes, rng.normal(size=3), np.empty(2)

    @numba.njit(nogil=True)
    def caller(x, out):
        function(x.ctypes, out.ctypes)

    caller(x, out)
    close(out, net.predict(x), "float64", 5)

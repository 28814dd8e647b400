"""Odd data: a full-batch method lowers the cost, stops or diverges; statistics are finite or an error."""

from contextlib import nullcontext
from functools import cache, partial

import numpy as np
import pytest
from helpers import DTYPES, few

from fastbp import DivergenceError, LevenbergMarquardt, Network, Regularization, Rprop, ScaledConjugateGradient
from fastbp.kernels.compile import JIT
from fastbp.optimizers import BATCH_METHODS, LineSearch

METHODS = [*(kind() for kind in BATCH_METHODS.values()), Rprop(variant="irprop-"),
           LevenbergMarquardt(geodesic_acceleration=False)]
FALLING = (LineSearch, ScaledConjugateGradient)
SIZES = few([1, 30], [1, 3])
SCALES = few([1e-320, 1e-160, 1e-20, 1e20, 1e150, 1e160], [1e-160, 1e20, 1e160])


def odd(n, dtype):
    """Inputs, targets and weights by name; None for targets stands for the outputs that the network begins with."""
    rng = np.random.default_rng(n)
    X, Y, first = rng.normal(size=(n, 2)), rng.normal(size=(n, 1)), np.eye(n)[0]
    found = {
        "equal targets": (X, np.ones((n, 1)), None),
        "targets 0": (X, np.zeros((n, 1)), None),
        "all 0": (0 * X, np.zeros((n, 1)), None),
        "fitted": (X, None, None),
        "one row again and again": (np.ones((n, 2)), Y, None),
        "one weight": (X, Y, first),
        "tiny weights": (X, Y, np.full(n, 1e-300)),
        "huge weights": (X, Y, np.full(n, 1e300)),
    }
    for scale in SCALES:
        found |= {f"targets {scale}": (X, Y * scale, None), f"inputs {scale}": (X * scale, Y, None),
                  f"both {scale}": (X * scale, Y * scale, None)}
    with np.errstate(over="ignore"):
        converted = {name: [None if array is None else array.astype(dtype) for array in arrays]
                     for name, arrays in found.items()}
    return {name: arrays for name, arrays in converted.items()
            if all(array is None or (np.isfinite(array).all() and array.size) for array in arrays)
            and (arrays[2] is None or arrays[2].any())}


def networks(dtype):
    for hidden in ((3,), ()):
        for cost in ("squared_error", "binary_cross_entropy", "poisson"):
            for init in few(["auto", "zeros"], ["auto"]):
                yield Network((2, *hidden, 1), cost=cost, dtype=dtype, init=init, seed=1)


def fitting(net, Y, X):
    """Targets that the cost takes."""
    Y = net.predict(X) if Y is None else Y
    name = net.cost_function.name
    return Y if name == "squared_error" else np.clip(abs(Y), 0, 1) if name == "binary_cross_entropy" else abs(Y)


def quiet():
    """With the JIT off NumPy reports what kernels, too, let overflow."""
    return nullcontext() if JIT else np.errstate(all="ignore")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_step_is_finite_or_none(method, dtype):
    """Nothing else is raised, and no warning, which pytest makes an error."""
    outcomes = set()
    for n in SIZES:
        for name, (X, Y, weights) in odd(n, dtype).items():
            for net in networks(dtype):
                with quiet():
                    Y_ = fitting(net, Y, X)
                    before = net.cost(X, Y_, weights)
                    try:
                        net.fit(X, Y_, epochs=few(20, 4), optimizer=method, sample_weight=weights)
                        diverged = False
                    except DivergenceError:
                        diverged = True
                    after = net.cost(X, Y_, weights)
                where = name, n, net
                outcomes.add(diverged)
                assert np.isfinite(net.parameters).all(), where
                assert np.isfinite(net.history.cost).all(), where
                assert all(np.isfinite(values).all() for values in net.history.diagnostics.values()), where
                if not diverged:
                    assert np.isfinite(after), where
                if isinstance(method, FALLING) and np.isfinite(before):
                    assert after <= before, where
    assert outcomes == {True, False}


def statistics(net, X, Y, weights, regularization):
    posterior = cache(partial(net.posterior, X, Y, weights, regularization=regularization))
    yield lambda: posterior().covariance
    yield lambda: posterior().effective_parameters
    yield lambda: posterior().leverage(X, weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("l2", [None, 1e-3, 1e300])
def test_statistics_are_finite_or_an_error(l2, dtype):
    regularization = None if l2 is None else Regularization(l2=l2)
    said = set()
    for n in SIZES:
        for name, (X, Y, weights) in odd(n, dtype).items():
            for net in networks(dtype):
                for call in statistics(net, X, fitting(net, Y, X), weights, regularization):
                    try:
                        with quiet():
                            found = call()
                    except ValueError as error:
                        assert not isinstance(error, np.linalg.LinAlgError), (name, n, net)
                        said.add(str(error)[:13])
                    else:
                        assert np.isfinite(found).all(), (name, n, net)
    assert {"JᵀJ is not fi", "the mean cost"} <= said

"""Gradients from cotangents of outputs and slopes inside the user's compiled code."""

import numba
import numpy as np
import pytest
from helpers import DTYPES, close, few, network

import fastbp
from fastbp import Network, jit
from fastbp.kernels.compile import JIT

N = few(70, 9)


@numba.njit
def run(model, X, U, V, gradient, work):
    return jit.parameter_vjp(model, X, U, V, gradient, work)


@numba.njit
def descend(model, state, X, U, V, work, steps):
    """As a loop of the user's would, cotangents staying what they are."""
    fits = True
    for _ in range(steps):
        fits = jit.parameter_vjp(model, X, U, V, state.gradient, work) and jit.update(model, state) and fits
    return fits


def cotangents(rng, dtype="float64", n=N, sizes=(3, 2)):
    X, U, V = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[1])), rng.normal(size=(n, sizes[1], sizes[0]))
    return X.astype(dtype), U.astype(dtype), V.astype(dtype)


def for_slopes(net, batch=4):
    model = net.compiled(batch, output_gradients=True, slope_gradients=True)
    return model, jit.workspace(model)


def test_slopes_alone_have_a_cotangent(rng):
    net, other = network((3, 5, 2), dtype="float64"), network((3, 5, 2), dtype="float64")
    X, U, V = cotangents(rng)
    np.testing.assert_array_equal(net.parameter_vjp(X, None, V), net.parameter_vjp(X, 0 * U, V))
    net.train_on_output_gradients(X, None, V)
    other.train_on_output_gradients(X, 0 * U, V)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    for call in (net.parameter_vjp, net.train_on_output_gradients):
        with pytest.raises(TypeError, match="^U is None, expected an array"):
            call(X, None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", ["identity", "softmax", "logistic"])
def test_gradients_are_those_of_differences_and_of_the_network(output, dtype, rng):
    net = network((3, 5, 2), output=output, dtype=dtype)
    X, U, V = cotangents(rng, dtype)
    model, work = for_slopes(net)
    gradient = np.full(net.n_parameters, np.nan, dtype)
    assert run(model, X, U, V, gradient, work)
    close(gradient, net.parameter_vjp(X, U, V), dtype, factor=4)
    found, places = [], np.linspace(0, net.n_parameters - 1, few(12, 4)).astype(int)
    exact = network((3, 5, 2), output=output, dtype="float64")
    exact.parameters = net.parameters
    for k in places:
        before, sides = exact.parameters[k], []
        for step in (1e-5, -1e-5):
            exact.parameters[k] = before + step
            sides.append((U * exact.predict(X)).sum() + (V * exact.jacobian(X)).sum())
        exact.parameters[k] = before
        found.append((sides[0] - sides[1]) / 2e-5)
    close(gradient[places], found, dtype, factor=1e5 if dtype == "float64" else 20)
    assert run(model, X, U, 0 * V, gradient, work)
    close(gradient, net.parameter_vjp(X, U), dtype, factor=4)


def test_steps_are_those_of_the_network(rng):
    net, other = network((3, 5, 2), dtype="float64"), network((3, 5, 2), dtype="float64")
    X, U, V = cotangents(rng)
    U, V = 0.01 * U, 0.01 * V
    model, work = for_slopes(net, batch=256)
    assert descend(model, jit.state(model, fastbp.Adam(0.01)), X, U, V, work, 3)
    for _ in range(3):
        other.train_on_output_gradients(X, U, V, optimizer=fastbp.Adam(0.01))
    close(net.parameters, other.parameters)
    one = network((3, 1), dtype="float64")
    model, work = for_slopes(one)
    gradient = np.empty(one.n_parameters)
    assert run(model, X, U[:, 0].copy(), V[:, 0].copy(), gradient, work)
    close(gradient, one.parameter_vjp(X, U[:, 0], V[:, 0]))


def test_such_a_model_does_what_others_do_of_one_sample(rng):
    net = network((3, 5, 2), dtype="float64")
    (model, work), plain = for_slopes(net), net.compiled(4, output_gradients=True)
    X, U, _ = cotangents(rng)
    found, expected = np.empty((2, net.n_parameters)), np.empty((2, net.n_parameters))
    out, outputs = np.empty((N, 2)), net.predict(X)
    other = jit.workspace(plain)
    assert jit.cost_and_gradient(model, X[0], U[0], found[0], work) == jit.cost_and_gradient(
        plain, X[0], U[0], expected[0], other)
    assert (found[0] == expected[0]).all() and jit.forward_batch(model, X, out, work)
    close(out, outputs)
    slope = np.empty(3)
    assert jit.vjp(model, X[0], U[0], slope, work)
    close(slope, U[0] @ net.jacobian(X[0]))


@pytest.mark.parametrize("wrong", ["X", "U", "V", "gradient", "work", "rows", "plain model", "other model"])
def test_what_does_not_fit_writes_nothing(wrong, rng):
    net = network((3, 5, 2), dtype="float64")
    model, work = for_slopes(net)
    X, U, V = cotangents(rng)
    gradient = np.full(net.n_parameters, 7.0)
    before = net.parameters.copy()
    if wrong == "plain model":
        model = net.compiled(4, output_gradients=True)
    if wrong == "other model":
        model = model._replace(calls=for_slopes(net)[0].calls)
    arguments = {"X": X, "U": U, "V": V, "gradient": gradient, "work": work}
    if wrong in arguments:
        arguments[wrong] = arguments[wrong][:-1]
    if wrong == "rows":
        arguments |= {"X": X[:0], "U": U[:0], "V": V[:0]}
    assert not run(model, *arguments.values())
    assert (gradient == 7).all() and (net.parameters == before).all()
    if JIT:
        with pytest.raises(ValueError):
            jit.parameter_vjp(model, *arguments.values())


def test_batches_of_targets_are_refused(rng):
    """There are no cotangents of slopes in them, at whose place kernels would read."""
    net = network((3, 5, 2), dtype="float64")
    model, work = for_slopes(net)
    X, U, V = cotangents(rng)
    gradient, state = np.full(net.n_parameters, 7.0), jit.state(model, "sgd")
    before = net.parameters.copy()
    if JIT:
        for call in (lambda: jit.cost_and_gradient_batch(model, X, U, gradient, work),
                     lambda: jit.train_batch(model, state, X, U, work)):
            with pytest.raises(ValueError, match="Y is given, but this model was compiled with slope_gradients=True"):
                call()
    else:
        assert np.isnan(jit.cost_and_gradient_batch(model, X, U, gradient, work))
        assert np.isnan(jit.train_batch(model, state, X, U, work))
    assert (gradient == 7).all() and (net.parameters == before).all()
    with pytest.raises(ValueError, match=r"U_jacobian has shape \(9, 3, 2\)"):
        jit.check(model, U_jacobian=np.zeros((9, 3, 2)))
    with pytest.raises(ValueError, match="U_jacobian is given, but this model was compiled with slope_gradients=False"):
        jit.check(net.compiled(), U_jacobian=V)


def test_networks_that_have_no_such_model():
    for net, settings, wrong in (
            (Network((3, 2)), {}, "slope_gradients is True, but output_gradients is not"),
            (Network((3, 2, 2), fastbp.parametric("mish")), {"output_gradients": True},
             "slope_gradients knows no parameters of activations"),
            (Network((3, 2), scaling=True), {"output_gradients": True}, "slope_gradients is not for networks with")):
        with pytest.raises(ValueError, match=wrong):
            net.compiled(slope_gradients=True, **settings)

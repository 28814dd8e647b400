"""Derivatives with respect to inputs and parameters: complex step on the naive twin."""

import inspect

import naive
import numpy as np
import pytest
from helpers import ACTIVATIONS, DTYPES, PAIRS, close, few, laid_out, naive_layers, network, real_data

from fastbp import Network, huber, quantile
from fastbp.derivatives import first
from fastbp.kernels import layout

SHAPES = [(1, 1), (3, 2), (2, 5, 3), (4, 7, 5, 2), (3, 9, 1, 17, 6), (19, 33, 4)]


METHODS = [name for name, found in vars(first).items()
           if inspect.isfunction(found) and next(iter(inspect.signature(found).parameters), None) == "self"]
NETWORKS = [((3, 5, 4), {"output": "logistic"}), ((2, 4, 3), {"cost": "cross_entropy", "bias": False}),
            ((4, 6, 2), {"hidden": "softsign", "cost": "huber"})]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "options"), NETWORKS, ids=lambda value: str(value))
@pytest.mark.parametrize("name", METHODS)
def test_every_method(name, shape, options, dtype, rng):
    """Each is a method of Network, told apart by the names of its arguments: inputs, targets, cotangents, tangents."""
    assert getattr(Network, name) is getattr(first, name), f"derivatives/first.py has {name}, methods.py has not"
    net = network(shape, dtype=dtype, **options)
    X, Y = real_data(rng, net.cost_function.name, None, few(37, 5), shape[0], shape[-1], dtype)
    data = {"X": X, "Y": Y, "U": rng.normal(size=Y.shape).astype(dtype), "V": rng.normal(size=X.shape).astype(dtype)}
    given = [data[argument.name] for argument in list(inspect.signature(getattr(first, name)).parameters.values())[1:]
             if argument.default is argument.empty]
    before = [array.copy() for array in given]
    found = getattr(net, name)(*given)
    assert found.dtype == dtype
    close(found, naive.DERIVATIVES[name](net, *(array.astype(float) for array in given)), dtype, 5)
    for array, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_input_gradient_of_every_pair(output, cost, dtype, rng):
    net = network((3, 6, 4), "tanh", output, cost, dtype=dtype)
    X, Y = real_data(rng, cost, output, few(37, 5), 3, 4, dtype)
    X_before, Y_before = X.copy(), Y.copy()
    close(net.input_gradient(X, Y), naive.input_gradient(net, X, Y), dtype, 5)
    assert (X == X_before).all() and (Y == Y_before).all()


@pytest.mark.parametrize("cost", [huber(0.3), quantile(0.9)], ids=str)
def test_input_gradient_with_a_parameter(cost, rng):
    net = network((2, 5, 2), cost=cost, dtype="float64")
    X, Y = real_data(rng, cost.name, None, 20, 2, 2)
    close(net.input_gradient(X, Y), naive.input_gradient(net, X, Y))


def test_input_gradient_of_class_indices(rng):
    net = network((3, 6, 4), cost="cross_entropy", dtype="float64")
    X, labels = rng.normal(size=(11, 3)), rng.integers(0, 4, 11)
    close(net.input_gradient(X, labels), naive.input_gradient(net, X, np.eye(4)[labels]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_every_depth(shape, bias, rng):
    net = network(shape, "tanh", "logistic", bias=bias, dtype="float64")
    X, Y = real_data(rng, "squared_error", None, few(53, 5), shape[0], shape[-1])
    J = naive.jacobian(net, X)
    U, V = rng.normal(size=Y.shape), rng.normal(size=X.shape)
    close(net.jacobian(X), J)
    close(net.vjp(X, U), np.einsum("njk,nj->nk", J, U))
    close(net.jvp(X, V), np.einsum("njk,nk->nj", J, V))
    close(net.input_gradient(X, Y), naive.input_gradient(net, X, Y))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_every_activation(hidden, dtype, rng):
    for output in (hidden, "softmax"):
        for shape in ((2, 5, 4, 3), (4, 5, 3)):  # more outputs than inputs, and fewer
            net = network(shape, hidden, output, dtype=dtype)
            net.parameters *= 0.5  # so that exp of exp of exp stays finite
            X = rng.normal(size=(few(21, 5), shape[0])).astype(dtype)
            J = naive.jacobian(net, X.astype(np.float64))
            U = rng.normal(size=(len(X), 3)).astype(dtype)
            V = rng.normal(size=X.shape).astype(dtype)
            close(net.jacobian(X), J, dtype, 5)
            close(net.vjp(X, U), np.einsum("njk,nj->nk", J, U), dtype, 5)
            close(net.jvp(X, V), np.einsum("njk,nk->nj", J, V), dtype, 5)
            assert net.jacobian(X).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_gradients_of_single_pairs(output, cost, dtype, rng):
    net = network((3, 6, 4), "tanh", output, cost, dtype=dtype)
    X, Y = real_data(rng, cost, output, few(19, 5), 3, 4, dtype)
    expected = naive.per_sample_gradient(net, X.astype(np.float64), Y.astype(np.float64))
    close(net.per_sample_gradient(X, Y), expected, dtype, 5)
    close(net.gradient_norms(X, Y), np.linalg.norm(expected, axis=1), dtype, 5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_parameters_at_every_depth(shape, bias, rng):
    net = laid_out(network(shape, "tanh", "logistic", bias=bias, dtype="float64"), block=2 * layout.lanes("float64"))
    X, Y = real_data(rng, "squared_error", None, few(21, 5), shape[0], shape[-1])
    expected = naive.per_sample_gradient(net, X, Y)
    close(net.per_sample_gradient(X, Y), expected)
    close(net.per_sample_gradient(X, Y).mean(axis=0), net.gradient(X, Y))
    close(net.gradient_norms(X, Y), np.linalg.norm(expected, axis=1))
    close(net.parameter_jacobian(X), naive.DERIVATIVES["parameter_jacobian"](net, X))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_parameter_jacobian_of_every_activation(hidden, dtype, rng):
    for output in (hidden, "softmax"):
        net = network((2, 5, 4, 3), hidden, output, dtype=dtype)
        net.parameters *= 0.5
        X = rng.normal(size=(few(21, 5), 2)).astype(dtype)
        J = net.parameter_jacobian(X)
        assert J.dtype == dtype
        close(J, naive.DERIVATIVES["parameter_jacobian"](net, X.astype(np.float64)), dtype, 5)


def test_gradients_of_single_pairs_with_class_indices(rng):
    net = network((3, 6, 4), cost="cross_entropy", dtype="float64")
    X, labels = rng.normal(size=(11, 3)), rng.integers(0, 4, 11)
    expected = naive.per_sample_gradient(net, X, np.eye(4)[labels])
    close(net.per_sample_gradient(X, labels), expected)
    close(net.gradient_norms(X, labels), np.linalg.norm(expected, axis=1))


def test_tiny_gradients_keep_their_norm():
    """Squares of float32 would underflow."""
    net = Network((1, 1), init="zeros")
    norms = net.gradient_norms([[0.0], [0.0]], [[1e-25], [2e-25]])
    np.testing.assert_allclose(norms, [1e-25, 2e-25], rtol=1e-6)


@pytest.mark.parametrize("n", few([511, 512, 513, 1025, 2500], [7]))
def test_the_edges_of_blocks(n, rng):
    net = network((2, 4, 3), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, n, 2, 3)
    J = naive.jacobian(net, X)
    U, V = rng.normal(size=Y.shape), rng.normal(size=X.shape)
    close(net.jacobian(X), J)
    close(net.vjp(X, U), np.einsum("njk,nj->nk", J, U))
    close(net.jvp(X, V), np.einsum("njk,nk->nj", J, V))
    close(net.input_gradient(X, Y), naive.input_gradient(net, X, Y))


def test_several_blocks(rng):
    net = network((3, 9, 2), "sin", "softmax", "cross_entropy", dtype="float64")
    laid_out(net, block=4 * layout.lanes("float64"))
    X, Y = real_data(rng, "cross_entropy", None, few(101, 21), 3, 2)
    close(net.jacobian(X), naive.jacobian(net, X))
    close(net.input_gradient(X, Y), naive.input_gradient(net, X, Y))


def test_a_layer_that_packs(rng):
    if not (shape := few((700, 701, 3), ())):
        pytest.skip("a layer as large takes minutes in plain Python")
    net = network(shape, dtype="float64")
    assert layout.packs(700, 701, "float64")
    X, Y = rng.normal(size=(9, 700)), rng.normal(size=(9, 3))
    (W1, b1), (W2, b2) = naive_layers(net)
    hidden = np.tanh(X @ W1.T + b1)
    expected = (((hidden @ W2.T + b2 - Y) @ W2) * (1 - hidden**2)) @ W1
    close(net.input_gradient(X, Y), expected)
    close(net.vjp(X, hidden @ W2.T + b2 - Y), expected)


def test_the_mean_of_the_gradients_of_bias_shifts(rng):
    """Moving all inputs by c is moving the first biases by W c: the chain rule joins both gradients."""
    net = network((3, 4, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2)
    first_biases = net.gradient(X, Y)[12:16]
    close(net.input_gradient(X, Y).mean(axis=0), net.weights[0].T @ first_biases)


def test_one_sample_and_converted_arrays(rng):
    net = network((3, 4, 2))
    J = net.jacobian([1, 2, 3])
    assert J.shape == (2, 3) and J.dtype == np.float32
    np.testing.assert_array_equal(net.vjp([1, 2, 3], [1, 0]), J[0])
    np.testing.assert_array_equal(net.vjp(np.array([[1, 2, 3]], ">i4"), np.array([[0, 1]], order="F")), J[1:])
    close(net.jvp([[1, 2, 3]], [0, 0, 1]), J[None, :, 2], "float32")


@pytest.mark.parametrize(("call", "message"), [
    (lambda net: net.vjp([[0, 0]], [[1, 1]]), r"X has shape \(1, 2\), expected \(n_samples, 3\)"),
    (lambda net: net.vjp([[0, 0, 0]], [[1, 1, 1]]), r"U has shape \(1, 3\), expected \(1, 2\).*2 outputs"),
    (lambda net: net.jvp([[0, 0, 0]], [[1, 1]]), r"V has shape \(1, 2\), expected \(1, 3\).*3 inputs"),
    (lambda net: net.jvp([[0, 0, 0]], [[1, np.nan, 1]]), "V holds nan in row 0"),
    (lambda net: net.jacobian([[0, np.nan, 0]]), "X holds nan in row 0"),
    (lambda net: net.input_gradient([[0, 0, 0]], [[1]]), r"Y has shape \(1, 1\)"),
])
def test_arrays_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(Network((3, 4, 2)))

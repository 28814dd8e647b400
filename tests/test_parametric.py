"""Parametric activations: a parameter α of each neuron, in each pass that knows it; those that do not refuse it."""

import ctypes
import json
import pickle

import naive
import numpy as np
import pytest
from helpers import ACTIVATIONS, DTYPES, close, few, laid_out, plan_of, real_data
from naive import parametric as twin
from safetensors import safe_open
from safetensors.numpy import save_file

import fastbp
from fastbp import Network, Regularization, activations, fit_many, jit, optimizers, parametric
from fastbp.kernels import layout, tables
from fastbp.kernels.compile import JIT
from fastbp.kernels.layer import parametric as kernels
from fastbp.training import many
from fastbp.training.stacked import shape_of_stack

FUNCTIONS = [name for name in ACTIVATIONS if name != "identity"]
SIZES, MIXED = (3, 9, 17, 5, 2), ("mish", ("parametric", "selu"), ("parametric", "tanh"), "identity")
"""A network with both kinds of layers; 17 neurons are no whole vector."""


def built(sizes=SIZES, functions=MIXED, cost="squared_error", *, seed=0, alpha=1.0, **options):
    """A network, all of whose parameters differ from what it began with."""
    rows = [parametric(f[1], alpha) if isinstance(f, tuple) else f for f in functions]
    net = Network(sizes, rows[:-1], rows[-1], cost, seed=seed, **options)
    net.parameters += (0.2 * np.random.default_rng(seed).normal(size=net.n_parameters)).astype(net.dtype)
    return net


def data(rng, n, sizes=SIZES, dtype="float64"):
    return real_data(rng, "squared_error", None, n, sizes[0], sizes[-1], dtype)


def twin_gradient(net, functions, X, Y, weights=None):
    return twin.gradient(net.parameters.astype(float), net.layers, functions, X.astype(float), Y.astype(float),
                         net.cost_function.name, weights, net.cost_function.parameter, net.bias)


# ------------------------------------------------------------------------------------------------- the twin, kernels


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_twin_by_complex_step(name, rng):
    functions = (("parametric", name), "tanh", ("parametric", name))
    net = built((2, 4, 3, 2), functions, dtype="float64")
    X, Y = data(rng, 4, net.layers)
    w, weights = net.parameters.copy(), rng.uniform(0.1, 1, 4)
    share = weights / weights.sum()
    by_step = twin.by_complex_step(lambda v: share @ twin.costs(v, net.layers, functions, X, Y, "squared_error"), w)
    close(twin.gradient(w, net.layers, functions, X, Y, "squared_error", weights), by_step)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strips", [(0, 1), (0, 3), (1, 3)])
def test_kernels_keep_to_their_strips(strips, dtype, rng):
    """What other threads have, and what lies between panels, stays as it is."""
    net = built(dtype=dtype)
    lane = layout.lanes(dtype)
    plan = plan_of(net, 3 * lane)
    row, (first, last) = tables.LAYER.view(plan.layers)[1], strips
    n, panels = int(row["n_out"]), plan.panels
    panels[:] = rng.normal(size=panels.size)
    mine = np.zeros(panels.size, bool)
    for name in ("out", "delta", "change", "cotangent"):
        mine[row[name] + first * n * lane : row[name] + last * n * lane] = True
    before = panels.copy()
    kernels.activate(plan.layers[1], panels, net._parameters, first, last, 0)
    np.testing.assert_array_equal(panels[~mine], before[~mine])
    net_input, shape = before[row["out"] :][: 3 * n * lane].reshape(3, n, lane)[first:last].astype(float), (3, n, lane)
    phi, slope = naive.ACTIVATIONS["selu"]
    alpha = net.alphas[1].astype(float)[:, np.newaxis]
    found = {name: panels[row[name] :][: 3 * n * lane].reshape(shape)[first:last] for name in
             ("out", "delta", "change", "cotangent")}
    close(found["out"], net_input + alpha * (phi(net_input) - net_input), dtype)
    close(found["delta"], 1 + alpha * (slope(net_input) - 1), dtype)
    close(found["change"], phi(net_input) - net_input, dtype)
    assert (found["cotangent"] == 1).all()
    panels[mine] = rng.normal(size=mine.sum())
    before = panels.copy()
    expected = {name: (values * found["cotangent"]).copy() for name, values in found.items()}
    kernels.backward(plan.layers[1], panels, 0, first, last, 0)
    for name in ("delta", "change"):
        np.testing.assert_array_equal(found[name], expected[name])
        mine[row[name] + first * n * lane : row[name] + last * n * lane] = False
    np.testing.assert_array_equal(panels[mine], before[mine])


# --------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_of_every_activation(name, dtype, rng, largest):
    functions = (("parametric", name), ("parametric", name), "identity")
    net = built((4, 7, 5, 2), functions, dtype=dtype)
    X, Y = data(rng, few(37, 9), net.layers, dtype)
    weights = rng.uniform(0.1, 2, len(X)).astype(dtype)
    worst = close(net.gradient(X, Y, weights), twin_gradient(net, functions, X, Y, weights), dtype)
    largest(f"relative difference of gradients with α to the naive twin, {dtype}", worst)
    close(net.cost(X, Y), twin.costs(net.parameters.astype(float), net.layers, functions, X.astype(float),
                                     Y.astype(float), "squared_error").mean(), dtype)


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_several_blocks(bias, packs, by_lanes, rng):
    net = laid_out(built(bias=bias, dtype="float64"), by_lanes=by_lanes, packs=packs,
                   block=2 * layout.lanes("float64"))
    X, Y = data(rng, few(101, 13))
    close(net.gradient(X, Y), twin_gradient(net, MIXED, X, Y))


@pytest.mark.parametrize(("function", "cost"), [
    ("tanh", "squared_error"), ("mish", "log_cosh"), ("softsign", fastbp.huber(0.3)), ("logistic", "squared_error"),
], ids=str)  # fmt: skip
def test_outputs(function, cost, rng):
    """An output without a canonical link may have α too."""
    functions = ("tanh", ("parametric", function))
    net = built((3, 6, 4), functions, cost, dtype="float64")
    X, Y = data(rng, 21, net.layers)
    close(net.gradient(X, Y), twin_gradient(net, functions, X, Y))
    close(net.per_sample_gradient(X, Y).mean(axis=0), net.gradient(X, Y))
    J = twin.by_complex_step(
        lambda w: twin.passed(twin.cut(w, net.layers, functions), X, functions)[1][-1], net.parameters)
    close(net.parameter_jacobian(X), J)
    for batch in (1, 5):
        fitted_like_the_twin(net, functions, X, Y, batch)


def test_classes(rng):
    functions = (("parametric", "mish"), "softmax")
    net = built((3, 8, 4), functions, "cross_entropy", dtype="float64")
    X, Y = rng.normal(size=(29, 3)), rng.integers(0, 4, 29)
    close(net.gradient(X, Y), twin_gradient(net, functions, X, np.eye(4)[Y]))


def test_two_outputs_a_target(rng):
    functions = (("parametric", "mish"), "identity")
    net = built((3, 8, 4), functions, fastbp.gaussian_nll(0.0), dtype="float64")
    X, Y = rng.normal(size=(29, 3)), rng.normal(size=(29, 2))
    gradient, numeric = net.gradient(X, Y), np.empty(net.n_parameters)
    w = net.parameters.copy()
    for i in range(w.size):
        ends = []
        for step in (1e-5, -1e-5):
            moved = w.copy()
            moved[i] += step
            net.parameters = moved
            ends.append(net.cost(X, Y))
        numeric[i] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-8 * np.abs(gradient).max())


def test_it_begins_as_the_plain_network(rng):
    """α = 1 gives φ to the last bit, α = 0 a linear network."""
    X = rng.normal(size=(50, 3))
    for name in FUNCTIONS:
        plain = Network((3, 9, 5, 2), name, seed=1)
        net = Network((3, 9, 5, 2), parametric(name), seed=1)
        np.testing.assert_array_equal(net.predict(X), plain.predict(X))
        np.testing.assert_array_equal(net.predict(X[0]), plain.predict(X[0]))
    linear = Network((3, 9, 5, 2), parametric("mish", alpha=0.0), seed=1, dtype="float64")
    close(linear.predict(X), Network((3, 9, 5, 2), "identity", init=list(linear.weights), dtype="float64").predict(X))


# ------------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("functions", [MIXED, (("parametric", "mish"),) * 3 + ("tanh",)], ids=["mixed", "all"])
def test_first_derivatives(functions, rng):
    net = built(functions=functions, dtype="float64")
    X, Y = data(rng, few(37, 9))
    w, sizes = net.parameters.copy(), net.layers

    def outputs(w, X):
        return twin.passed(twin.cut(w, sizes, functions), X, functions)[1][-1]

    def moved(k):
        shifted = X.astype(complex)
        shifted[:, k] += 1e-30j
        return shifted

    jacobian = np.stack([outputs(w, moved(k)).imag / 1e-30 for k in range(3)], axis=2)
    close(net.jacobian(X), jacobian)
    close(net.vjp(X, Y), np.einsum("njk,nj->nk", jacobian, Y))
    close(net.jvp(X, X), np.einsum("njk,nk->nj", jacobian, X))
    close(net.input_gradient(X, Y), np.einsum("njk,nj->nk", jacobian, outputs(w, X) - Y))
    close(net.parameter_jacobian(X), twin.by_complex_step(lambda v: outputs(v, X), w))
    per_sample = twin.by_complex_step(lambda v: twin.costs(v, sizes, functions, X, Y, "squared_error"), w)
    close(net.per_sample_gradient(X, Y), per_sample)
    close(net.gradient_norms(X, Y), np.linalg.norm(per_sample, axis=1))
    wide = Network((1, 4, 6), parametric("mish"), seed=0, dtype="float64")  # ∂o/∂x by columns
    close(wide.jacobian(X[:, :1])[:, :, 0], wide.jvp(X[:, :1], np.ones((len(X), 1))))


def test_neurons_one_by_one(rng):
    net = built(dtype="float64")
    X, Y = data(rng, 11)
    nets, outs = twin.passed(twin.cut(net.parameters, net.layers, MIXED), X, MIXED)
    trace, gradient = net.trace(X, Y), net.gradient(X, Y)
    for layer in range(4):
        close(trace.net[layer], nets[layer])
        close(trace.out[layer], outs[layer + 1])
        start = net._architecture.weights[layer]
        close(trace.gradient[layer].weights.ravel(), gradient[start : start + trace.gradient[layer].weights.size])
        close(trace.delta[layer].sum(axis=0), trace.gradient[layer].biases)
        close(net.layer_outputs(X, layer + 1), outs[layer + 1])


@pytest.mark.parametrize("call", [
    lambda net, X, Y: net.hessian(X, Y),
    lambda net, X, Y: net.hessian_diagonal(X, Y),
    lambda net, X, Y: net.hessian_vector_product(X, Y, net.parameters),
    lambda net, X, Y: net.gauss_newton_vector_product(X, Y, net.parameters),
    lambda net, X, Y: net.posterior(X, Y),
    lambda net, X, Y: net.fit(X, Y, optimizer="levenbergmarquardt"),
    lambda net, X, Y: net.fit(X, Y, optimizer="bayesianregularization"),
    lambda net, X, Y: net.fit(X, Y, target_jacobian=np.zeros((len(X), 2, 3))),
    lambda net, X, Y: net.cost(X, Y, target_jacobian=np.zeros((len(X), 2, 3))),
    lambda net, X, Y: net.gradient(X, Y, target_jacobian=np.zeros((len(X), 2, 3))),
], ids=range(10))  # fmt: skip
def test_what_has_second_order_refuses(call, rng):
    net = built(dtype="float64")
    X, Y = data(rng, 9)
    net.fit(X, Y, epochs=1)
    before = net.parameters.copy(), net.generator.bit_generator.state, len(net.history)
    with pytest.raises(ValueError, match=r"knows no parameters of activations, .* 'parametric\(selu\)': use it with"):
        call(net, X, Y)
    assert (net.parameters == before[0]).all() and net.generator.bit_generator.state == before[1]
    assert len(net.history) == before[2]


# ---------------------------------------------------------------------------------------------------------- training


def orders(net, n, epochs):
    key = int(net.copy().generator.integers(2**63 - 1))
    return [naive.permutation(n, key, epoch) for epoch in range(epochs)]


def fitted_like_the_twin(net, functions, X, Y, batch, method=None, epochs=2):
    method = fastbp.Adam(0.01) if method is None else method
    rule = naive.twin(type(method).__name__)
    settings = {name: getattr(method, name) for name in ("learning_rate", "momentum") if hasattr(method, name)}
    steps = orders(net, len(X), epochs) if batch < len(X) else [np.arange(len(X))] * epochs
    expected = twin.train(net.parameters.copy(), net.layers, functions, X, Y, net.cost_function.name,
                          rule(**settings), batch, steps, net.cost_function.parameter)
    found = net.copy().fit(X, Y, epochs=epochs, batch_size=batch, optimizer=method)
    np.testing.assert_allclose(found.parameters, expected, rtol=1e-9, atol=1e-11)
    return found


@pytest.mark.parametrize("batch", [1, 7, 16, 100])
@pytest.mark.parametrize("method", [fastbp.SGD(0.01), fastbp.SGD(0.001, 0.9), fastbp.Adam(0.01)], ids=str)
def test_training_like_the_twin(method, batch, rng):
    X, Y = data(rng, few(50, 17))
    net = built(dtype="float64")
    found = fitted_like_the_twin(net, MIXED, X, Y, batch, method)
    for before, after in zip(net.alphas, found.alphas, strict=True):
        assert before.size == 0 or (before != after).all()


@pytest.mark.parametrize("batch", [1, 16])
def test_training_a_network_that_is_updated_part_by_part(batch, rng):
    """Where the parameters exceed what is updated at once, slices of α have updates of their own."""
    sizes, functions = (3, 90, 80, 2), (("parametric", "mish"), ("parametric", "tanh"), "identity")
    net = built(sizes, functions, dtype="float64")
    net.parameters *= 0.2
    X, Y = data(rng, few(33, 4), sizes)
    fitted_like_the_twin(net, functions, X, Y, batch, epochs=1)


@pytest.mark.parametrize("name", optimizers.RULES)
def test_every_update_rule_moves_alpha(name, rng):
    """A rule changes α by what it would do to any parameter with such slopes: those of a network of one big batch."""
    X, Y = data(rng, 20)
    net = built(dtype="float64")
    method = optimizers.RULES[name]()
    g, w = net.gradient(X, Y), net.parameters.copy()
    state, hyper = np.zeros(method.slots * w.size), method.hyper()
    hyper[tables.HYPER_POWER1] *= hyper[tables.HYPER_BETA1]
    hyper[tables.HYPER_POWER2] *= hyper[tables.HYPER_BETA2]
    hyper[tables.HYPER_BATCH_WEIGHT] = 20
    method.rule(w, g, state, 0, w.size, 0, hyper)
    for threads in (1, 3):
        found = net.copy().fit(X, Y, epochs=1, batch_size=20, optimizer=method, threads=threads)
        np.testing.assert_array_equal(found.parameters, w)


@pytest.mark.parametrize("name", [name for name in optimizers.BATCH_METHODS
                                  if name not in ("levenbergmarquardt", "bayesianregularization")])
def test_every_full_batch_method(name, rng):
    X, Y = data(rng, 40)
    net = built(dtype="float64")
    before = net.cost(X, Y)
    net.fit(X, Y, epochs=few(30, 5), optimizer=name)
    assert net.history.cost[-1] < 0.9 * before
    assert (net.alphas[1] != built(dtype="float64").alphas[1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", few([SIZES, (5, 130, 300, 40, 3), (7, 33, 20, 9, 2)], [SIZES]), ids=str)
@pytest.mark.parametrize("regularization", [
    None, Regularization(clip_norm=0.1), Regularization(l2=0.01, penalize_biases=True, clip_value=0.05),
    Regularization(dropout=0.3, input_noise=0.1),
], ids=["plain", "clipped", "penalised", "noise"])  # fmt: skip
def test_threads(regularization, sizes, dtype, rng):
    X, Y = data(rng, few(150, 40), sizes, dtype)
    found = [built(sizes, dtype=dtype).fit(X, Y, epochs=2, batch_size=few(64, 20), threads=threads,
                                           regularization=regularization) for threads in (1, 2, 3)]
    for other in found[1:]:
        np.testing.assert_array_equal(other.parameters, found[0].parameters)
        np.testing.assert_array_equal(other.history.cost, found[0].history.cost)
    assert not (found[0].alphas[1] == built(sizes, dtype=dtype).alphas[1]).any()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 10])
def test_clipping_counts_alpha(batch, threads, rng):
    """The norm is that of the whole gradient; the step is one of plain descent of this length."""
    X, Y = data(rng, 10)
    net = built(dtype="float64")
    rows = slice(0, batch)
    g = net.gradient(X[rows], Y[rows])
    clipped = net.copy().fit(X[rows], Y[rows], epochs=1, batch_size=batch, optimizer=fastbp.SGD(1.0), threads=threads,
                             regularization=Regularization(clip_norm=1e-3))
    np.testing.assert_allclose(net.parameters - clipped.parameters, 1e-3 * g / np.linalg.norm(g), atol=1e-15)
    limited = net.copy().fit(X[rows], Y[rows], epochs=1, batch_size=batch, optimizer=fastbp.SGD(1.0), threads=threads,
                             regularization=Regularization(clip_value=1e-3))
    np.testing.assert_allclose(net.parameters - limited.parameters, np.clip(g, -1e-3, 1e-3), atol=1e-15)


def test_penalties_leave_alpha_alone(rng):
    X, Y = data(rng, 10)
    net = built(dtype="float64")
    regularization = Regularization(l2=0.3, l1=0.1, penalize_biases=True)
    E, gradient = net.cost_and_gradient(X, Y, regularization=regularization)
    expected = sum(0.15 * (part**2).sum() + 0.1 * np.abs(part).sum() for part in (*net.weights, *net.biases))
    assert E - net.cost(X, Y) == pytest.approx(expected)
    more = (gradient - net.gradient(X, Y))
    for start, alphas in zip(net._architecture.alphas, net.alphas, strict=True):
        assert start < 0 or (more[start : start + alphas.size] == 0).all()
    assert np.count_nonzero(more) == net.n_parameters - sum(alphas.size for alphas in net.alphas)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_layers_that_are_not_trained(optimizer, rng):
    X, Y = data(rng, 10)
    net = built(dtype="float64")
    kept = net.copy().fit(X, Y, epochs=2, optimizer=optimizer,
                          regularization=Regularization(trainable=(True, False, True, True)))
    assert (kept.alphas[1] == net.alphas[1]).all() and (kept.alphas[2] != net.alphas[2]).all()
    mask = np.ones(net.n_parameters, bool)
    mask[net._architecture.alphas[1] + 3] = False
    kept = net.copy().fit(X, Y, epochs=2, optimizer=optimizer, regularization=Regularization(trainable=mask))
    assert ((kept.alphas[1] == net.alphas[1]) == (np.arange(17) == 3)).all()


@pytest.mark.parametrize("batch", [1, 8, 20])
def test_a_group_of_its_own(batch, rng):
    """Factors by the names of ranges: with 0 every α stays, with ½ its first step of plain descent is half as long."""
    X, Y = data(rng, 20)
    net = built(dtype="float64")
    ranges, flat = net._architecture.named_ranges, np.arange(net.n_parameters)
    assert [i for part in ranges.values() for i in flat[part]] == list(flat)
    assert [name for name in ranges if name.startswith("alphas")] == ["alphas[1]", "alphas[2]"]
    assert (net.parameters[ranges["alphas[2]"]] == net.alphas[2]).all()
    one = dict(epochs=1, batch_size=batch, shuffle=False)
    for threads in (1, 2):
        fixed = net.copy().fit(X, Y, optimizer=fastbp.Adam(0.01, rate_factors={"alphas": 0.0}), threads=threads, **one)
        assert all((a == b).all() for a, b in zip(fixed.alphas, net.alphas, strict=True))
        assert (fixed.weights[1] != net.weights[1]).all()
        rows = slice(0, batch)
        whole, half = (net.copy().fit(X[rows], Y[rows], threads=threads, optimizer=fastbp.SGD(0.01, rate_factors={
            "alphas[1]": factor, "biases": 1.0}), **one) for factor in (1.0, 0.5))
        np.testing.assert_allclose(half.alphas[1] - net.alphas[1], (whole.alphas[1] - net.alphas[1]) / 2, atol=1e-15)
        np.testing.assert_array_equal(half.alphas[2], whole.alphas[2])


def test_many(rng, monkeypatch):
    """Each is trained alone: a stack has no α."""
    X, Y = data(rng, 40, dtype="float32")
    shapes = []
    monkeypatch.setattr(many, "shape_of_stack", lambda *given: shapes.append(shape_of_stack(*given)))
    together, alone = [[built(seed=i) for i in range(3)] for _ in range(2)]
    assert fit_many(together, X, Y, epochs=3, batch_size=8) == [None] * 3
    for net, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(net.parameters, other.fit(X, Y, epochs=3, batch_size=8).parameters)
    assert shapes == [None] * 3


def test_sparse_rows(rng):
    sparse = pytest.importorskip("scipy.sparse")
    X, Y = data(rng, 30)
    X[rng.random(X.shape) < 0.5] = 0
    one, other = built(dtype="float64"), built(dtype="float64")
    one.fit(X, Y, epochs=2, batch_size=8)
    other.fit(sparse.csr_array(X), Y, epochs=2, batch_size=8)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    np.testing.assert_array_equal(one.predict(sparse.csr_array(X)), one.predict(X))


def test_a_profile(rng):
    X, Y = data(rng, 64)
    net = built(dtype="float64")
    other = net.copy().fit(X, Y, epochs=1, batch_size=32)
    net.fit(X, Y, epochs=1, batch_size=32, profile=True)
    np.testing.assert_array_equal(net.parameters, other.parameters)


# ------------------------------------------------------------------------------------------- single rows, jit, C


@pytest.mark.parametrize("dtype", DTYPES)
def test_single_rows(dtype, rng):
    net = built(dtype=dtype)
    X, _ = data(rng, 9, dtype=dtype)
    close(np.stack([net.predict(x) for x in X]), net.predict(X), dtype)


@pytest.mark.parametrize("functions", [MIXED, ("mish", "tanh", ("parametric", "selu"), ("parametric", "tanh"))],
                         ids=["hidden", "output"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_compiled_code(functions, dtype, rng):
    net = built(functions=functions, dtype=dtype)
    X, Y = data(rng, few(21, 5), dtype=dtype)
    model = net.compiled()
    work = jit.workspace(model)
    out, gradient, down = np.empty((len(X), 2), dtype), np.empty(net.n_parameters, dtype), np.empty((len(X), 3), dtype)
    assert jit.forward_batch(model, X, out, work)
    close(out, net.predict(X), dtype)
    E = jit.cost_and_gradient_batch(model, X, Y, gradient, work)
    close(E, net.cost(X, Y), dtype)
    close(gradient, net.gradient(X, Y), dtype)
    total = np.zeros(net.n_parameters)
    for x, y, o, d in zip(X, Y, out, down, strict=True):
        assert jit.forward(model, x, o, work)
        jit.cost_and_gradient(model, x, y, gradient, work)
        total += gradient / len(X)
        jit.input_gradient(model, x, y, d, work)
    close(out, net.predict(X), dtype)
    close(total, net.gradient(X, Y), dtype)
    close(down, net.input_gradient(X, Y), dtype)
    for x, u, d in zip(X, Y, down, strict=True):
        assert jit.vjp(model, x, u, d, work)
    close(down, net.vjp(X, Y), dtype, 5)


@pytest.mark.parametrize("method", [fastbp.SGD(0.01), fastbp.SGD(0.001, 0.9), fastbp.Adam(0.01)], ids=str)
def test_training_in_compiled_code(method, rng):
    X, Y = data(rng, few(21, 5))
    one, many, expected = (built(dtype="float64") for _ in range(3))
    model = one.compiled()
    state = jit.state(model, method)
    work = jit.workspace(model)
    for x, y in zip(X, Y, strict=True):
        jit.train_one(model, state, x, y, work)
    expected.fit(X, Y, epochs=1, batch_size=1, shuffle=False, optimizer=method)
    close(one.parameters, expected.parameters)
    model = many.compiled()
    state = jit.state(model, method)
    work = jit.workspace(model)
    jit.train_batch(model, state, X, Y, work)
    expected = built(dtype="float64").fit(X, Y, epochs=1, batch_size=len(X), shuffle=False, optimizer=method)
    close(many.parameters, expected.parameters)


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_c(dtype, rng):
    net = built(dtype=dtype)
    kind = ctypes.c_float if dtype == "float32" else ctypes.c_double
    for x in data(rng, 4, dtype=dtype)[0]:
        out = np.full(10, 77, dtype)
        net.cfunc().ctypes(x.ctypes.data_as(ctypes.POINTER(kind)), out.ctypes.data_as(ctypes.POINTER(kind)))
        close(out[:2], net.predict(x), dtype)
        assert (out[2:] == 77).all()


def test_an_ensemble_in_compiled_code(rng):
    X, Y = data(rng, 30, dtype="float32")
    nets = [built(seed=1), built((3, 5, 2), ("tanh", "identity"), seed=2), built(seed=3)]
    ensemble = fastbp.Ensemble(nets)
    model, mean, std = ensemble.compiled(), np.empty(2, "float32"), np.empty(2, "float32")
    work = jit.ensemble_workspace(model)
    for x in X:
        assert jit.forward_ensemble(model, x, mean, std, work)
        outputs = [net.predict(x) for net in nets]
        close(mean, np.mean(outputs, axis=0), "float32")
        close(std, np.std(outputs, axis=0), "float32", 5)


# --------------------------------------------------------------------------------- files, names, what it is built of


def test_what_a_network_shows():
    net = Network((3, 4, 2), parametric("mish", alpha=0.5), seed=0)
    assert [alphas.shape for alphas in net.alphas] == [(4,), (0,)]
    assert (net.alphas[0] == 0.5).all() and np.shares_memory(net.alphas[0], net.parameters)
    assert net._architecture.alphas == [16, -1] and net.n_parameters == 30
    assert net.activations == ("parametric(mish, alpha=0.5)", "identity")
    assert net.summary().layers[0].parameters == 20 and net.summary().parameters == 30
    again = eval(repr(net), {"Network": Network})
    assert (again.parameters == net.parameters).all() and again._architecture.names == net._architecture.names
    assert again._workspaces is net._workspaces
    net.alphas[0][:] = 7
    assert (net.parameters[16:20] == 7).all()
    assert (net.reset(0).parameters == again.parameters).all()
    with pytest.raises(AttributeError, match=r"alphas of a Network is fixed .* alphas\[i\]\[:\] = a"):
        net.alphas = ()
    assert [a.size for a in Network((3, 4, 2)).alphas] == [0, 0]
    assert [a.size for a in Network((3, 4, 2), parametric("mish"), bias=False).alphas] == [4, 0]


@pytest.mark.parametrize("name", ["parametric(selu)", "parametric(SELU)", "parametric(selu, alpha=1)"])
def test_names(name):
    assert activations.get(name) is parametric("selu")
    assert Network((2, 3, 1), name).activations[0] == "parametric(selu)"
    assert activations.get(parametric("silu", 0.25)) is parametric("swish", alpha=0.25)


def test_files(tmp_path, rng):
    X, Y = data(rng, 20, dtype="float32")
    net = built(alpha=0.75).fit(X, Y, epochs=2)
    net.save(tmp_path / "net", training=True)
    for other in (Network.load(tmp_path / "net"), net.copy(), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.parameters, net.parameters)
        assert other.activations == net.activations and other.architecture() == net.architecture()
        assert repr(other) == repr(net)
        np.testing.assert_array_equal(other.fit(X, Y, epochs=1, resume=True).parameters,
                                      net.copy().fit(X, Y, epochs=1, resume=True).parameters)
        assert (other.reset(0).alphas[1] == 0.75).all()
    with safe_open(tmp_path / "net", framework="numpy") as content:
        assert (content.get_tensor("alphas.1") == net.alphas[1]).all()
        assert "alphas.0" not in content.keys()  # noqa: SIM118


@pytest.mark.parametrize("edit", [
    lambda tensors, header: tensors.pop("alphas.1"),
    lambda tensors, header: tensors.update({"alphas.0": tensors["alphas.1"]}),
    lambda tensors, header: tensors.update({"alphas.1": tensors["alphas.2"]}),
    lambda tensors, header: tensors.update({"alphas.1": tensors["alphas.1"].astype("float64")}),
    lambda tensors, header: header["activation"].__setitem__(1, "selu"),
    lambda tensors, header: header["activation"].__setitem__(0, "parametric(mish)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(selu, alpha=nan)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(selu, alpha=1e999)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(selu, alpha=1.0)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(selu, alpha=)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(nonesuch)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(softmax)"),
    lambda tensors, header: header["activation"].__setitem__(1, "parametric(" * 5000 + "selu" + ")" * 5000),
    lambda tensors, header: header["activation"].append("selu"),
    lambda tensors, header: header.update(activation="parametric(selu)"),
    lambda tensors, header: header.update(activation=7),
    lambda tensors, header: header.update(output="parametric(tanh)"),
    lambda tensors, header: header.update(output=["tanh"]),
], ids=range(18))  # fmt: skip
def test_a_corrupt_file_is_named(edit, tmp_path):
    path = tmp_path / "net"
    built().save(path)
    with safe_open(path, framework="numpy") as content:
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        header = json.loads(content.metadata()["fastbp"])
    edit(tensors, header["architecture"])
    save_file(tensors, path, {"fastbp": json.dumps(header)})
    with pytest.raises(ValueError, match="net(: | has a corrupt header| holds)"):
        Network.load(path)


def test_functions_of_a_users_own(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(activations, "ACTIVATIONS", dict(activations.ACTIVATIONS))
    fastbp.register_activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, name="bent")
    monkeypatch.setitem(naive.ACTIVATIONS, "bent", (lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x,
                                                    lambda x: x / (2 * np.sqrt(x * x + 1)) + 1))
    functions = (("parametric", "bent"), "identity")
    net = built((3, 5, 2), functions, dtype="float64")
    X, Y = data(rng, 20, net.layers)
    close(net.gradient(X, Y), twin_gradient(net, functions, X, Y))
    net.save(tmp_path / "net")
    packed = pickle.dumps(net)
    assert (Network.load(tmp_path / "net").predict(X) == net.predict(X)).all()
    fastbp.register_activation(lambda x: x * x, name="bent")
    with pytest.raises(ValueError, match="another function"):
        Network.load(tmp_path / "net")
    activations.ACTIVATIONS.pop("bent")
    with pytest.raises(ValueError, match="unknown activation 'bent'"):
        Network.load(tmp_path / "net")
    lost = pickle.loads(packed)
    assert lost.activations == net.activations
    with pytest.raises(ValueError, match="there is no activation 'bent' in this process"):
        lost.predict(X)
    fastbp.register_activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, name="bent")
    assert (pickle.loads(packed).predict(X) == net.predict(X)).all()
    with pytest.raises(ValueError, match="is the name of a parametric activation"):
        fastbp.register_activation(lambda x: x, name="parametric(mish)")


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: parametric("softmax"), ValueError, "'softmax' is not element-wise: it cannot be parametric"),
    (lambda: parametric("linear"), ValueError, "is the identity, whatever alpha is"),
    (lambda: parametric(parametric("mish")), ValueError, r"'parametric\(mish\)' is parametric already"),
    (lambda: parametric("parametric(mish)"), ValueError, "is parametric already"),
    (lambda: activations.get("parametric(parametric(mish))"), ValueError, "is parametric twice"),
    (lambda: parametric("misch"), ValueError, "did you mean 'mish'"),
    (lambda: parametric(3), TypeError, "activation is 3, expected one of the names"),
    (lambda: parametric("mish", alpha=np.nan), ValueError, "alpha=nan.: alpha must be a finite number"),
    (lambda: parametric("mish", alpha="1"), ValueError, "alpha must be a finite number"),
    (lambda: activations.get("parametric(mish, alpha=x)"), ValueError, "alpha=x is not a number"),
    (lambda: Network((2, 3, 1), [parametric("mish")] * 2), ValueError, "activation has 2 names, expected 1"),
    (lambda: Network((2, 3, 1), output=parametric("logistic"), cost="binary_cross_entropy"), ValueError,
     r"output is 'parametric\(logistic\)', expected 'logistic' with binary_cross_entropy: .* canonical link"),
    (lambda: Network((2, 3, 1), output=parametric("exp"), cost="poisson"), ValueError, "canonical link"),
    (lambda: Network((2, 3, 2), output=parametric("tanh"), cost="gaussian_nll"), ValueError, "expected 'identity'"),
    (lambda: Network((2, 3, 1), activation=3.5), TypeError, "activation is 3.5, expected a name"),
], ids=range(15))  # fmt: skip
def test_what_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.skipif(not JIT, reason="plain kernels are not compiled")
def test_networks_without_it_compile_nothing_for_it(run_python):
    run_python("""
import numpy as np, fastbp
from fastbp.kernels.compile import addresses
from fastbp.kernels.layer import parametric
from fastbp.kernels.passes import backprop
def compiled():
    return {kernel for kernel in (parametric.activate, parametric.backward, backprop.my_neurons_parametric)
            if kernel in addresses.TWINS}
X = np.ones((8, 2), np.float32)
net = fastbp.Network((2, 3, 1)).fit(X, X[:, 0], epochs=1)
net.predict(X[0]), net.jacobian(X), net.compiled()
assert not compiled()
fastbp.Network((2, 3, 1), "parametric(tanh)").predict(X)
assert compiled() == {parametric.activate}
""")


def test_estimators(rng):
    base = pytest.importorskip("sklearn.base")
    X, Y = data(rng, 60)
    mlp = fastbp.MLPRegressor(activation=parametric("mish"), hidden_layer_sizes=(5, 4), max_iter=few(20, 2),
                              random_state=0, tol=0.0, n_iter_no_change=99)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        mlp = base.clone(mlp).fit(X, Y)
    assert mlp.network_.activations[:2] == ("parametric(mish)",) * 2 and (mlp.network_.alphas[0] != 1).all()
    before = mlp.network_.alphas[0].copy()
    assert (mlp.partial_fit(X, Y).network_.alphas[0] != before).all()
    named = fastbp.MLPClassifier(activation=["parametric(selu)"], hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        assert named.fit(X, X[:, 0] > 0).network_.alphas[0].size == 4
    wrapped = fastbp.MLPRegressor.from_network(built(alpha=0.5))
    np.testing.assert_array_equal(wrapped.predict(X), wrapped.network_.predict(X))

"""Encoders of inputs and the scaling layer: naive twin, complex steps, every way to train and to predict, refusals."""

import copy
import json
import pickle
import re

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, plan_of
from naive.encoders import ENCODERS as TWINS
from naive.encoders import encoded, encoded_cost, encoded_gradient
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

import fastbp
from fastbp import Network, Regularization, encoders, optimizers, persistence
from fastbp.core.samples import Samples
from fastbp.encoders import Embedding, Identity, OneHot, Periodic, PiecewiseLinear
from fastbp.kernels import layout, tables
from fastbp.kernels.passes import encoded as passes

EACH = {
    "Identity": [Identity(range(4))],
    "OneHot": [OneHot(1, 4), OneHot(2, 1), Identity((0, 3))],
    "Embedding": [Embedding(1, 4, 3), Embedding(2, 2, 1), Identity((0, 3))],
    "Periodic": [Periodic((0, 3), 5, 4, 0.3), Identity((1, 2))],
    "PiecewiseLinear": [PiecewiseLinear((3, 0), [[-1, 0, 0.5, 2], [-0.5, 0.1]]), Identity((1, 2))],
}
"""For each encoder some with which the columns of `data` are read: 0 and 3 are numbers, 1 and 2 codes."""

ALL = [Periodic(3, 16), Embedding(1, 4, 3), Identity(0), OneHot(2, 3), Periodic((0, 3), 1, 2), OneHot(1, 2),
       PiecewiseLinear(0, [-1, 0, 0.5, 2]), Embedding(1, 6, 9)]
"""All of them, columns more than once, fewer categories than there are codes, and more."""


def data(rng, n, dtype="float64", n_out=2):
    """Numbers in columns 0 and 3, codes from −1 up in 1 and 2."""
    X = rng.normal(size=(n, 4))
    X[:, 1], X[:, 2] = rng.integers(-1, 4, n), rng.integers(-1, 3, n)
    return X.astype(dtype), rng.normal(size=(n, n_out)).astype(dtype)


def network(coded, sizes=(4, 7, 2), hidden="tanh", *, scaling=True, dtype="float64", **options):
    """A network none of whose parameters is what it begins with."""
    net = Network(sizes, hidden, encoders=coded, scaling=scaling, dtype=dtype, seed=1, **options)
    net.parameters += (0.3 * np.random.default_rng(2).normal(size=net.n_parameters)).astype(dtype)
    return net


# ------------------------------------------------------------------------------------------ numbers and gradients


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_every_encoder_has_a_twin_and_a_case(name):
    assert any(type(encoder).__name__ == name for encoder in EACH[name])
    assert TWINS[name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("name", [*EACH, "all"])
def test_cost_and_gradient(name, scaling, dtype, rng):
    """Against the twin, and that against its complex steps; with weights, for a few samples and some strips of them."""
    net = network(EACH.get(name, ALL), scaling=scaling, dtype=dtype)
    for n in (1, few(45, 9)):
        X, Y = data(rng, n, dtype)
        weights = rng.uniform(0.1, 2, n).astype(dtype)
        E, gradient = net.cost_and_gradient(X, Y, weights)
        close(E, encoded_cost(net, X.astype(float), Y, net.parameters.astype(float), weights), dtype)
        close(gradient, encoded_gradient(net, X.astype(float), Y.astype(float), weights), dtype, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_the_first_layer_reads(dtype, rng):
    """A network that is one identity layer shows it."""
    X, _ = data(rng, 21, dtype)
    n = Network((4, 1), encoders=ALL, scaling=True).encoded_size
    net = Network((4, n), encoders=ALL, scaling=True, bias=False, init=[np.eye(n)], dtype=dtype, seed=1)
    expected, rest = encoded(ALL, True, net.parameters.astype(float), X.astype(float))
    assert rest.size == n * n
    close(net.predict(X), expected, dtype)
    assert np.array_equal(net.predict(X[3]), net.predict(X)[3])
    assert np.array_equal(net.predict(X.astype(object)), net.predict(X))


def test_a_scaling_layer_alone(rng):
    """Reads all columns as they are; its factors begin at 1, so at first the network is that without."""
    plain, net = Network((3, 5, 2), seed=4, dtype="float64"), Network((3, 5, 2), seed=4, dtype="float64", scaling=True)
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    assert net.encoders == (Identity((0, 1, 2)),) and np.array_equal(net.scaling_factors, np.ones(3))
    close(net.predict(X), plain.predict(X))
    g = net.gradient(X, Y)
    close(g[3:], plain.gradient(X, Y))
    close(g[:3], np.sum(plain.weights[0] * plain.gradient(X, Y)[:15].reshape(5, 3), axis=0))


def test_identity_is_nothing(rng):
    """Encoders without parameters change no bit of what the first layer reads."""
    plain, net = Network((3, 5, 2), seed=4), Network((3, 5, 2), seed=4, encoders=[Identity([0, 1, 2])])
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    for one in (plain, net):
        one.fit(X, Y, epochs=3, batch_size=7)
    assert np.array_equal(plain.parameters, net.parameters)


@pytest.mark.parametrize("by_lanes", [True, False])
@pytest.mark.parametrize("packs", [True, False])
def test_several_blocks_and_every_product(by_lanes, packs, rng):
    net = network(ALL, (4, 19, 9, 2), ("mish", "relu"))
    laid_out(net, by_lanes=by_lanes, packs=packs, block=2 * layout.lanes("float64"))
    X, Y = data(rng, few(75, 20))
    E, gradient = net.cost_and_gradient(X, Y)
    close(gradient, encoded_gradient(net, X, Y), factor=3)
    close(E, encoded_cost(net, X, Y, net.parameters))


def test_padding_and_what_lies_outside(rng):
    """Both phases on a workspace full of NaN between canaries."""
    net = network(ALL)
    X, Y = data(rng, 11)
    plan, gradient = plan_of(net, 11), np.full(net.n_parameters, np.nan)
    guarded = np.full(plan.panels.size + 128, 777.0)
    panels = guarded[64:-64]
    panels[:] = np.nan
    read = Samples(X, Y, False, np.empty(0)).data()
    strips = layout.strips(11, "float64")
    passes.my_samples(plan.layers, plan.cells, plan.cost_parameter, panels, net._parameters, read.inputs,
                      read.structure, read.targets, read.weights, read.order, 0, 11, 11.0, 0, 1, strips, 0, strips,
                      plan.cells[tables.CELL_SCRATCH], layout.NO_CLOCK, 0)
    passes.my_neurons(plan.layers, plan.cells, panels, net._parameters, gradient, gradient[:0],
                      np.zeros(tables.HYPER_COUNT), 0, strips, 0, 0, 1, plan.cells[tables.CELL_SCRATCH], read.inputs,
                      read.order, 0, 0, layout.NO_CLOCK, 0)
    assert (guarded[:64] == 777).all() and (guarded[-64:] == 777).all()
    close(gradient, net.gradient(X, Y))


# ------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regularization", [None, Regularization(clip_norm=0.05, l2=0.01)], ids=["plain", "clipped"])
@pytest.mark.parametrize(("sizes", "batch"), few([((4, 7, 2), 20), ((4, 130, 150, 2), 64)], [((4, 7, 2), 20)]), ids=str)
def test_threads(sizes, batch, regularization, dtype, rng):
    """The same bits for any number of them: parameters, costs, costs of validation."""
    X, Y = data(rng, 2 * batch + 3, dtype)
    found = set()
    for threads in (1, 2, 3):
        net = network(ALL, sizes, dtype=dtype).fit(X, Y, epochs=2, batch_size=batch, threads=threads, validation=0.3,
                                                   regularization=regularization)
        found.add((net.parameters.tobytes(), net.history.cost.tobytes(), net.history.validation_cost.tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_steps_of_plain_gradient_descent(batch, rng):
    """Each is −μ times the gradient of its batch, a batch of one too."""
    X, Y = data(rng, few(40, 7))
    net = network(ALL)
    expected = net.copy()
    net.fit(X, Y, epochs=1, batch_size=batch, optimizer=fastbp.SGD(0.05), shuffle=False)
    for start in range(0, len(X), batch):
        part = slice(start, start + batch)
        expected.parameters -= 0.05 * expected.gradient(X[part], Y[part])
    close(net.parameters, expected.parameters)


@pytest.mark.parametrize("optimizer", [name for name, kind in optimizers.OPTIMIZERS.items()
                                       if not issubclass(kind, fastbp.LevenbergMarquardt)])
def test_optimizers(optimizer, rng):
    """Those that need gradients alone lower the cost, and resume with the same bits."""
    X, Y = data(rng, 30)
    net = network(ALL)
    before, halves = net.cost(X, Y), net.copy()
    net.fit(X, Y, epochs=6, optimizer=optimizer)
    assert net.cost(X, Y) < before
    halves.fit(X, Y, epochs=3, optimizer=optimizer).fit(X, Y, epochs=3, optimizer=optimizer, resume=True)
    assert np.array_equal(net.parameters, halves.parameters)


def test_every_parameter_is_clipped_and_can_be_fixed(rng):
    X, Y = data(rng, 20)
    net = network(ALL)
    before, gradient = net.parameters.copy(), net.gradient(X, Y)
    net.fit(X, Y, epochs=1, batch_size=20, optimizer=fastbp.SGD(1.0), regularization=Regularization(clip_norm=0.01))
    close(net.parameters, before - 0.01 * gradient / np.linalg.norm(gradient))
    trainable = np.arange(net.n_parameters) % 3 > 0
    fixed = net.parameters[~trainable].copy()
    net.fit(X, Y, epochs=2, regularization=Regularization(trainable=trainable))
    assert np.array_equal(net.parameters[~trainable], fixed)
    by_layer = net.parameters.copy()
    net.fit(X, Y, epochs=2, regularization=Regularization(trainable=[False, True]))
    start, end = net._architecture.weights
    assert np.array_equal(net.parameters[start:end], by_layer[start:end])
    assert (net.parameters[:start] != by_layer[:start]).any()
    _, masked = net.cost_and_gradient(X, Y, regularization=Regularization(trainable=[False, True]))
    close(masked[:start], net.gradient(X, Y)[:start])


def test_groups_of_parameters(rng):
    """What encoders learn and the factors have learning rates of their own, by name."""
    X, Y = data(rng, 20)
    net = network(ALL)
    ranges = net._architecture.named_ranges
    assert [name for name in ranges if name.startswith("enc")] == [f"encoders[{i}]" for i in (0, 1, 4, 7)]
    assert [part.start for part in ranges.values()] == [0, *(part.stop for part in ranges.values())][:-1]
    before, gradient = net.parameters.copy(), net.gradient(X, Y)
    factors = {"encoders": 0.0, "encoders[4]": 5.0, "scaling": 6.0, "biases": 0.5}
    net.fit(X, Y, epochs=1, batch_size=20, optimizer=fastbp.SGD(0.1, rate_factors=factors))
    rates = np.ones(net.n_parameters)
    for name, part in ranges.items():
        rates[part] = {"encoders": 0.0, "scaling": 6.0, "biases": 0.5}.get(name.partition("[")[0], 1.0)
    close(net.parameters, before - 0.1 * rates * gradient)
    net.fit(X, Y, epochs=1, batch_size=20, optimizer=fastbp.SGD(0.1, rate_factors={"encoders[4]": 0.0}))
    assert np.array_equal(net.parameters[ranges["encoders[4]"]], before[ranges["encoders[4]"]])


@pytest.mark.parametrize("threads", [1, 2])
def test_parametric_activations(threads, rng):
    """α and encoders both stand around phase 2: each has its own gradient and update."""
    X, Y = data(rng, 30)
    net = network(ALL, (4, 7, 5, 2), [fastbp.parametric("mish")] * 2)
    before, gradient = net.parameters.copy(), net.gradient(X, Y)
    for i in range(0, net.n_parameters, 7):
        steps = []
        for h in (1e-6, -1e-6):
            net.parameters[i] = before[i] + h
            steps.append(net.cost(X, Y))
        net.parameters[i] = before[i]
        assert abs((steps[0] - steps[1]) / 2e-6 - gradient[i]) < 1e-7
    net.fit(X, Y, epochs=1, batch_size=30, optimizer=fastbp.SGD(0.1), threads=threads)
    close(net.parameters, before - 0.1 * gradient)


def test_parameters_that_are_fitted_to_data(rng):
    """Each neuron of the first layer has a standard deviation of 1 over what it reads, which is encoded."""
    X, _ = data(rng, 50)
    net = network(ALL).initialize(X)
    n = net.encoded_size
    shown = Network((4, n), encoders=ALL, scaling=True, bias=False, init=[np.eye(n)], dtype="float64")
    start = net._architecture.weights[0]
    shown.parameters[:start] = net.parameters[:start]
    close((shown.predict(X) @ net.weights[0].T).std(axis=0), np.ones(7), factor=100)


def test_metrics(rng):
    """Of picked rows, too, they are those of predictions."""
    X, Y = data(rng, 30, n_out=1)
    rows = np.arange(0, 30, 2)
    one, other = network(ALL, (4, 7, 1)), network(ALL, (4, 7, 1))
    one.fit(X[rows], Y[rows], epochs=2, validation=(X[rows], Y[rows]), metrics=["r2"])
    fastbp.fit_many([other], X, Y, rows=rows, validation_rows=rows, epochs=2, metrics=["r2"])
    assert np.array_equal(one.parameters, other.parameters)
    assert one.history.metrics.keys() == other.history.metrics.keys() != set()
    for name, values in one.history.metrics.items():
        assert np.array_equal(values, other.history.metrics[name])
    expected = 1 - np.sum((Y - one.predict(X))[rows] ** 2) / np.sum((Y[rows] - Y[rows].mean()) ** 2)
    close(one.history.metrics[next(iter(one.history.metrics))][-1], expected, factor=100)


def test_penalties_and_dropout_concern_layers(rng):
    X, Y = data(rng, 20)
    net, start = network(ALL), network(ALL)._architecture.weights[0]
    E, gradient = net.cost_and_gradient(X, Y, regularization=Regularization(l2=0.5, penalize_biases=True))
    plain, without = net.cost_and_gradient(X, Y)
    close(gradient[:start], without[:start])
    close(E, plain + 0.25 * np.sum(net.parameters[start:] ** 2))
    net.fit(X, Y, epochs=2, regularization=Regularization(dropout=0.3, max_norm=1.0, non_negative=[True, False]))
    assert (net.weights[0] >= 0).all()


def test_many(rng):
    """Networks with encoders and without, in one call: each has the bits of its own fit."""
    X, Y = data(rng, 40)
    X = np.where(X < 0, 0, X)
    rows = [np.arange(0, 40, 2), np.arange(30), np.arange(5, 40)]
    nets = [network(ALL), Network((4, 7, 2), dtype="float64", seed=1), network(EACH["Periodic"])]
    alone = [net.copy().fit(X[own], Y[own], epochs=3) for net, own in zip(nets, rows, strict=True)]
    fastbp.fit_many(nets, X, Y, rows=rows, epochs=3)
    for net, other in zip(nets, alone, strict=True):
        assert np.array_equal(net.parameters, other.parameters)


def test_missing_codes_of_networks_in_one_call(rng):
    """What one may read is an error for the other."""
    X, Y = data(rng, 20)
    X[3, 1] = np.nan
    fastbp.fit_many([network(ALL), network(EACH["Embedding"])], X, Y, epochs=1)
    with pytest.raises(ValueError, match="nan"):
        fastbp.fit_many([network(ALL), network(EACH["Identity"])], X, Y, epochs=1)


def test_a_profile(rng):
    X, Y = data(rng, 30)
    rows = network(ALL).fit(X, Y, epochs=2, profile=True).history.profile.rows
    assert {"gather", "backward", "gradient", "update"} <= {row.phase for row in rows if row.layer == 1}


def test_trace_and_what_it_is_made_of(rng):
    X, Y = data(rng, 9)
    net = network(ALL)
    traced, gradient = net.trace(X, Y), net.gradient(X, Y)
    close(traced.out[-1], net.predict(X))
    close(np.ravel(traced.gradient[0].weights), gradient[net._architecture.weights[0] :][: net.weights[0].size])
    assert len(net.mean_abs_delta(X, Y)) == 2
    close(net.layer_outputs(X, 1), traced.out[0])


# -------------------------------------------------------------------------------------------------- codes and numbers


@pytest.mark.parametrize("dtype", DTYPES)
def test_missing_and_unseen_codes(dtype):
    net = network([Embedding(0, 3, 2), OneHot(0, 3), Identity(1)], (2, 4, 1), dtype=dtype)
    missing = net.predict(np.array([[np.nan, 1.0]]))
    for code in (-1, 3, 4, 2**24, 1e30):
        assert np.array_equal(net.predict(np.array([[code, 1.0]])), missing)
    known = [net.predict(np.array([[code, 1.0]])) for code in range(3)]
    assert len({found.tobytes() for found in (*known, missing)}) == 4
    assert np.array_equal(net.predict(np.array([[2, 1]])), known[2])
    assert np.array_equal(net.predict(np.array([[True, True]])), known[1])
    assert np.isnan(net.predict(np.array([[0.0, np.nan]]))).all()


def test_the_row_of_what_is_missing():
    """Begins at 0, stays there where nothing is missing, and is learned where something is."""
    X, Y = np.arange(6.0).reshape(6, 1) % 3, np.ones((6, 1))
    net = Network((1, 4, 1), encoders=[Embedding(0, 3)], seed=0)
    table = net.encoder_parameters[0]["table"]
    assert table.shape == (4, 8) and not table[3].any() and table[:3].all()
    net.fit(X, Y, epochs=2)
    assert not table[3].any()
    X[0] = -1
    net.fit(X, Y, epochs=2)
    assert table[3].all()


@pytest.mark.parametrize("code", [0.5, -2, np.inf, -np.inf, -0.5])
def test_what_is_no_code(code, rng):
    net = network(ALL)
    X, Y = data(rng, 5)
    X[2, 1] = code
    before = net.parameters.copy()
    for call in (lambda: net.predict(X), lambda: net.predict(X[2]), lambda: net.fit(X, Y), lambda: net.cost(X, Y),
                 lambda: net.layer_outputs(X, 1), lambda: net.trace(X, Y)):
        with pytest.raises(ValueError, match=r"X holds .* of column 1, whose encoder reads codes"):
            call()
    assert np.array_equal(net.parameters, before) and len(net.history) == 0


def test_numbers_that_are_not_finite(rng):
    """In a column of numbers they are an error of a fit; also where another encoder reads it as codes."""
    X, Y = data(rng, 6)
    X[4, 3] = np.nan
    with pytest.raises(ValueError, match="nan in row 4"):
        network(ALL).fit(X, Y)
    X, Y = data(rng, 6)
    X[5, 1] = np.nan
    network(ALL).fit(X, Y, epochs=1)
    with pytest.raises(ValueError, match="nan in row 5"):
        network([*ALL, Identity(1)]).fit(X, Y)
    assert np.isnan(network(ALL).predict(np.where(np.arange(4) == 3, np.nan, X))).all()


def test_numbers_beyond_the_edges_go_on_in_a_line():
    net = Network((1, 3), encoders=[PiecewiseLinear(0, [0, 1, 3, 4])], bias=False, init=[np.eye(3)], dtype="float64")
    x = np.array([[-2.0], [0.0], [0.5], [1.0], [2.0], [3.0], [3.5], [4.0], [6.0]])
    expected = [[-2, 0, 0], [0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 0.5, 0], [1, 1, 0], [1, 1, 0.5], [1, 1, 1],
                [1, 1, 3]]
    assert np.array_equal(net.predict(x), expected)
    assert np.isnan(net.predict(np.array([[np.nan]]))).all()


def test_no_rows_and_out(rng):
    net = network(ALL)
    assert net.predict(np.empty((0, 4))).shape == (0, 2)
    X, _ = data(rng, 5)
    out = np.empty((5, 2))
    assert net.predict(X, out=out) is out and np.array_equal(out, net.predict(X))
    one = np.empty(2)
    assert net.predict(X[1], out=one) is one and np.array_equal(one, out[1])


# ---------------------------------------------------------------------------------------------- derivatives by X


def naive_jacobian(net, X):
    """∂o/∂x of the numbers in columns 0 and 3 by complex steps, 0 for codes; (n, n_L, n_0)."""
    found = np.zeros((len(X), net.layers[-1], net.layers[0]))
    for k in (0, 3):
        moved = X.astype(complex)
        moved[:, k] += 1e-30j
        inputs, rest = encoded(net.encoders, net.scaling, net.parameters.astype(float), moved)
        layers = naive.unflatten(rest, (inputs.shape[1], *net.layers[1:]), net.bias)
        found[:, :, k] = naive.forward(layers, inputs, net.activations).out[-1].imag / 1e-30
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("name", [*EACH, "all"])
def test_derivatives_by_columns(name, scaling, dtype, rng):
    """Codes have none: they are 0 for their columns, unless another encoder reads these as numbers."""
    coded = EACH.get(name, ALL)
    net = network(coded, (4, 7, 3), scaling=scaling, dtype=dtype)
    for n in (1, few(37, 9)):
        X, Y = data(rng, n, dtype, 3)
        V = rng.normal(size=X.shape).astype(dtype)
        found, expected = net.jacobian(X), naive_jacobian(net, X.astype(float))
        for k in (1, 2):
            read_as_number = any(k in encoder.reads and not encoder.reads_codes for encoder in coded)
            assert found[:, :, k].any() == read_as_number
        close(found[:, :, [0, 3]], expected[:, :, [0, 3]], dtype, 3)
        close(net.vjp(X, Y), np.einsum("sjk,sj->sk", found, Y), dtype, 3)
        close(net.jvp(X, V), np.einsum("sjk,sk->sj", found, V), dtype, 3)
        close(net.input_gradient(X, Y), np.einsum("sjk,sj->sk", found, net.predict(X) - Y), dtype, 3)


@pytest.mark.parametrize("output", [None, fastbp.parametric("tanh")], ids=["identity", "parametric"])
@pytest.mark.parametrize("name", ["Periodic", "all"])
def test_derivatives_by_columns_through_parametric_activations(name, output, rng):
    """Beside central differences of `predict`; and one sample in compiled code beside these."""
    from fastbp import jit

    net = network(EACH.get(name, ALL), (4, 7, 5, 3), fastbp.parametric("mish"), output=output)
    X, Y = data(rng, 11, "float64", 3)
    found, step = net.jacobian(X), 1e-6
    for k in (0, 3):
        above, below = X.copy(), X.copy()
        above[:, k] += step
        below[:, k] -= step
        np.testing.assert_allclose(found[:, :, k], (net.predict(above) - net.predict(below)) / (2 * step), rtol=1e-6,
                                   atol=1e-7)
    close(net.vjp(X, Y), np.einsum("sjk,sj->sk", found, Y), factor=3)
    close(net.jvp(X, X), np.einsum("sjk,sk->sj", found, X), factor=3)
    close(net.input_gradient(X, Y), np.einsum("sjk,sj->sk", found, net.predict(X) - Y), factor=3)
    model = net.compiled()
    work, slope = jit.workspace(model), np.full(4, np.nan)
    for i in range(11):
        assert jit.vjp(model, X[i], Y[i], slope, work)
        close(slope, net.vjp(X[i], Y[i]))
        close(jit.input_gradient(model, X[i], Y[i], slope, work), net.cost(X[i], Y[i]))
        close(slope, net.input_gradient(X[i], Y[i]))


def test_derivatives_with_softmax_and_of_no_samples(rng):
    net = network(ALL, (4, 6, 3), cost="cross_entropy")
    X, _ = data(rng, 9)
    labels = np.arange(9) % 3
    close(net.jacobian(X)[:, :, [0, 3]], naive_jacobian(net, X)[:, :, [0, 3]])
    slope = np.einsum("sjk,sj->sk", net.jacobian(X), -np.eye(3)[labels] / net.predict(X))
    close(net.input_gradient(X, labels), slope, factor=10)
    assert net.jacobian(np.empty((0, 4))).shape == (0, 3, 4) and net.vjp(np.empty((0, 4)), np.empty((0, 3))).size == 0


# ------------------------------------------------------------------------------------------- how networks are built


def test_the_flat_buffer():
    """First what encoders learn, in their order, then the factors, then W^1; views by name write into it."""
    net = Network((4, 7, 2), encoders=ALL, scaling=True, seed=0)
    sizes = [sum(part.size for part in parts.values()) for parts in net.encoder_parameters]
    assert sizes == [TWINS[type(encoder).__name__][1](encoder) for encoder in ALL]
    assert net._architecture.weights[0] == sum(sizes) + net.encoded_size
    assert net.n_parameters == sum(sizes) + net.encoded_size * 8 + 7 + 16
    assert net.weights[0].shape == (7, net.encoded_size) == (7, 4 + 3 + 1 + 3 + 4 + 2 + 3 + 9)
    for i, parts in enumerate(net.encoder_parameters):
        for part in parts.values():
            part[...] = 1000 + i
    net.scaling_factors[:] = 2000
    start = net._architecture.weights[0]
    assert (net.parameters[:start] >= 1000).all() and (net.parameters[start:] < 1000).all()
    assert np.array_equal(np.repeat(np.arange(8), sizes) + 1000, net.parameters[: sum(sizes)])


def test_first_parameters():
    """As in RealMLP; from the seed, before the weights."""
    net = Network((2, 3, 1), encoders=[Periodic((0, 1), 400, 4, 0.1), Embedding(0, 900, 4)], scaling=True, seed=5,
                  dtype="float64")
    parts, table = net.encoder_parameters[0], net.encoder_parameters[1]["table"][:-1]
    assert 0.09 < parts["frequencies"].std() < 0.11 and abs(parts["frequencies"].mean()) < 0.02
    assert np.abs(parts["phases"]).max() <= np.pi and parts["phases"].std() > 1.6
    for name in ("weights", "biases"):
        assert np.abs(parts[name]).max() <= 1 / 20
    assert parts["weights"].std() > 0.027
    assert 0.95 < table.std() < 1.05
    again = Network((2, 3, 1), encoders=net.encoders, scaling=True, seed=5, dtype="float64")
    assert np.array_equal(net.parameters, again.parameters)
    net.parameters[:] = 0
    assert np.array_equal(net.reset(5).parameters, again.parameters)


def test_init_that_is_given():
    W = np.ones((3, 5))
    net = Network((2, 3), encoders=[Identity((0, 1)), OneHot(1, 3)], init=[(W, [1, 2, 3])])
    assert np.array_equal(net.weights[0], W)
    with pytest.raises(ValueError, match=re.escape("expected (3, 5)")):
        Network((2, 3), encoders=[Identity((0, 1)), OneHot(1, 3)], init=[np.ones((3, 2))])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Identity([]), "columns is empty"),
    (lambda: Identity(-1), "columns is -1"),
    (lambda: Identity([0, 1.5]), r"columns\[1\] is 1.5"),
    (lambda: Identity("ab"), "columns is 'ab'"),
    (lambda: Identity(True), "columns is True"),
    (lambda: OneHot(0, 0), "categories is 0"),
    (lambda: OneHot(-1, 2), "column is -1"),
    (lambda: OneHot([0], 2), "column is"),
    (lambda: OneHot(0, 2**25), "categories is"),
    (lambda: Embedding(0, 3, 0), "size is 0"),
    (lambda: Embedding(0, 3, 2.5), "size is 2.5"),
    (lambda: Periodic(0, 0), "frequencies is 0"),
    (lambda: Periodic(0, size=1), "size is 1"),
    (lambda: Periodic(0, scale=0), "scale is 0"),
    (lambda: Periodic(0, scale=np.nan), "scale is nan"),
    (lambda: PiecewiseLinear(0, [1]), "two or more"),
    (lambda: PiecewiseLinear(0, []), "two or more"),
    (lambda: PiecewiseLinear(0, [1, 1]), "greater than the one before"),
    (lambda: PiecewiseLinear(0, [0, np.nan, 1]), "finite"),
    (lambda: PiecewiseLinear(0, 3), "increasing numbers"),
    (lambda: PiecewiseLinear(0, ["a", "b"]), "increasing numbers"),
    (lambda: PiecewiseLinear([0, 1], [[0, 1]]), "edges are for 1 columns, expected 2"),
    (lambda: PiecewiseLinear([0, 1], [[0, 1], 2]), "increasing numbers"),
])
def test_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"encoders": Identity(0)}, TypeError, "expected a list of encoders"),
    ({"encoders": ["onehot"]}, TypeError, r"encoders\[0\] is 'onehot', expected one of fastbp.encoders: Identity"),
    ({"encoders": [encoders.Encoder()]}, TypeError, r"encoders\[0\]"),
    ({"encoders": [Identity([0, 1, 2])]}, ValueError, r"encoders\[0\] reads column 2 of X, which has columns 0 to 1"),
    ({"encoders": [Identity(0)]}, ValueError, r"no encoder reads column 1 of X: add fastbp.encoders.Identity\(\[1\]\)"),
    ({"scaling": 1}, TypeError, "scaling is 1"),
    ({"encoders": [PiecewiseLinear([0, 1], [1, 1 + 1e-9])]}, ValueError, "float32 has no slope"),
    ({"encoders": [OneHot(i, 2**24) for i in (0, 1)] * 1000}, ValueError, "this machine has"),
])
def test_networks(options, error, message):
    with pytest.raises(error, match=message):
        Network((2, 50, 1), **options)


def test_numpys_numbers_will_do():
    assert Identity(np.arange(2)) == Identity((0, 1)) and OneHot(np.int8(1), np.uint16(3)) == OneHot(1, 3)
    assert Periodic(np.int64(0), np.int32(3), np.int64(2), np.float32(0.5)) == Periodic((0,), 3, 2, 0.5)
    assert PiecewiseLinear([0, 1], np.arange(6.0).reshape(2, 3)) == PiecewiseLinear((0, 1), [[0, 1, 2], [3, 4, 5]])


def test_what_is_fixed_and_shown(rng):
    net = network(ALL)
    for name in ("encoders", "scaling", "encoded_size", "encoder_parameters", "scaling_factors"):
        with pytest.raises(AttributeError, match=f"{name} of a Network is fixed"):
            setattr(net, name, None)
    shown = eval(repr(net), {**vars(encoders), "Network": Network})
    assert shown.encoders == net.encoders and shown.scaling and shown.layers == net.layers
    summary = net.summary()
    assert summary.encoders.numbers == net.encoded_size
    assert summary.encoders.parameters + sum(row.parameters for row in summary.layers) == net.n_parameters
    assert "(encoded)" in repr(summary) and "(encoded)" not in repr(Network((2, 1)).summary())
    assert "encoders" not in Network((2, 1)).architecture()


# ------------------------------------------------------------------------------------------- copies, files, code


def test_copies_and_pickles(rng):
    X, Y = data(rng, 20)
    net = network(ALL).fit(X, Y, epochs=1)
    for other in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.encoders == net.encoders and np.array_equal(other.parameters, net.parameters)
        other.fit(X, Y, epochs=1, resume=True)
        assert np.array_equal(other.parameters, net.copy().fit(X, Y, epochs=1, resume=True).parameters)
    for encoder in ALL:
        assert pickle.loads(pickle.dumps(encoder)) == encoder
    state = pickle.dumps(OneHot(7, 5)).replace(b"K\x05", b"K\x00")
    with pytest.raises(ValueError, match="categories is 0"):
        pickle.loads(state)


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("name", [*EACH, "all"])
def test_files(name, scaling, rng, tmp_path):
    X, Y = data(rng, 20)
    net = network(EACH.get(name, ALL), scaling=scaling).fit(X, Y, epochs=2)
    net.save(tmp_path / "net", training=True)
    other = Network.load(tmp_path / "net")
    assert other.encoders == net.encoders and other.scaling is net.scaling
    assert np.array_equal(other.parameters, net.parameters)
    assert np.array_equal(other.fit(X, Y, epochs=2, resume=True).parameters,
                          net.fit(X, Y, epochs=2, resume=True).parameters)


def _with(**settings):
    return lambda saved: saved["encoders"][1].update(settings)


@pytest.mark.parametrize("forge", [
    _with(kind="Bomb"), _with(kind=["OneHot"]), _with(kind="Identity"), _with(kind="OneHot"), _with(column=9),
    _with(column=-1), _with(column="1"), _with(categories=5), _with(categories=2**24), _with(categories=2**70),
    _with(categories=None), _with(categories=3.0), _with(size=0), _with(size=2**62), _with(more=1),
    lambda saved: saved.update(encoders=[]), lambda saved: saved.update(encoders=5),
    lambda saved: saved.update(encoders=[1]), lambda saved: saved["encoders"].pop(),
    lambda saved: saved["encoders"].reverse(), lambda saved: saved.update(scaling=False),
    lambda saved: saved.update(scaling=1), lambda saved: saved.pop("scaling"), lambda saved: saved.pop("encoders"),
    lambda saved: saved["encoders"][0].update(frequencies=10**30),
    lambda saved: saved["encoders"][6].update(edges=[[0, "x"]]), lambda saved: saved["encoders"][6].update(edges=None),
    lambda saved: saved["encoders"][2].update(columns=list(range(9))),
    lambda saved: saved["layers"].__setitem__(0, 5), lambda saved: saved["layers"].__setitem__(0, 2**40),
])
def test_forged_files(forge, tmp_path):
    """What a header says of encoders is what a constructor takes and the tensors have, or the file is refused."""
    net = network(ALL)
    net.save(tmp_path / "net")
    header = persistence.networks.described_network(net)
    forge(header["architecture"])
    content = persistence.networks.tensors(net)
    (tmp_path / "net").write_bytes(to_bytes(content, {"fastbp": json.dumps({"format": 3, **header})}))
    with pytest.raises(ValueError, match="header|its header says"):
        Network.load(tmp_path / "net")


def test_files_without_encoders_are_those_of_before(tmp_path):
    for net, version in ((Network((2, 1)), 2), (Network((2, 1), scaling=True), 3)):
        net.save(tmp_path / "net")
        with safe_open(tmp_path / "net", "numpy") as content:
            assert json.loads(content.metadata()["fastbp"])["format"] == version


def test_files_of_ensembles(rng, tmp_path):
    X, Y = data(rng, 20)
    ensemble = fastbp.Ensemble.folds(network(ALL), X, Y, k=2, seed=0, epochs=1)
    ensemble.save(tmp_path / "ensemble")
    other = fastbp.Ensemble.load(tmp_path / "ensemble")
    assert np.array_equal(other.predict(X), ensemble.predict(X))
    with pytest.raises(ValueError, match="a compiled ensemble is not for networks with encoders"):
        ensemble.compiled()


@pytest.mark.parametrize("name", [*EACH, "all"])
def test_jit(name, rng):
    """One sample and a batch: outputs, cost, gradient, ∂E/∂x."""
    from fastbp import jit

    X, Y = data(rng, 11)
    net = network(EACH.get(name, ALL))
    for batch in (4, 256):
        model = net.compiled(batch)
        work = jit.workspace(model)
        jit.check(model, X=X, Y=Y, x=X[0], y=Y[0], work=work)
        out, gradient = np.empty((11, 2)), np.full(net.n_parameters, np.nan)
        assert jit.forward_batch(model, X, out, work)
        close(out, net.predict(X))
        close(jit.cost_and_gradient_batch(model, X, Y, gradient, work), net.cost(X, Y))
        close(gradient, net.gradient(X, Y))
        for i in range(11):
            assert jit.forward(model, X[i], out[i], work)
            gradient[:] = np.nan
            close(jit.cost_and_gradient(model, X[i], Y[i], gradient, work), net.cost(X[i : i + 1], Y[i : i + 1]))
            close(gradient, net.gradient(X[i : i + 1], Y[i : i + 1]))
        close(out, net.predict(X))
    assert not jit.functions.forward(model, X[0, :3].copy(), out[0], work)
    slope = np.full(4, np.nan)
    for i in range(11):
        close(jit.input_gradient(model, X[i], Y[i], slope, work), net.cost(X[i], Y[i]))
        close(slope, net.input_gradient(X[i], Y[i]))
        assert jit.vjp(model, X[i], Y[i], slope, work)
        close(slope, net.vjp(X[i], Y[i]))


@pytest.mark.parametrize("optimizer", [fastbp.SGD(0.1), fastbp.Adam(0.01)], ids=str)
def test_learning_in_compiled_code(optimizer, rng):
    from fastbp import jit

    X, Y = data(rng, 8)
    net, expected = network(ALL), network(ALL)
    model = net.compiled()
    state, work = jit.state(model, optimizer), jit.workspace(model)
    for i in range(4):
        jit.train_one(model, state, X[i], Y[i], work)
    expected.fit(X[:4], Y[:4], epochs=1, batch_size=1, optimizer=optimizer, shuffle=False)
    close(net.parameters, expected.parameters)
    jit.train_batch(model, state, X, Y, work)
    expected.fit(X, Y, epochs=1, batch_size=8, optimizer=optimizer, shuffle=False, resume=True)
    close(net.parameters, expected.parameters)


def test_models_that_do_not_belong_together(rng):
    from fastbp import jit

    X, _ = data(rng, 1)
    with_encoders, without = network(ALL).compiled(), Network((4, 7, 2), dtype="float64").compiled()
    work = np.zeros(10**6)
    for part in ("cells", "calls", "layers", "parameters"):
        mixed = without._replace(**{part: getattr(with_encoders, part)})
        assert not jit.functions.forward(mixed, X[0], np.empty(2), work)
        with pytest.raises(ValueError, match="of the model|different models"):
            jit.check(mixed)
    cut = with_encoders._replace(calls=with_encoders.calls[:-1].copy())
    assert not jit.functions.forward(cut, X[0], np.empty(2), work)
    with pytest.raises(ValueError, match="calls of the model"):
        jit.check(cut)


@pytest.mark.parametrize("dtype", DTYPES)
def test_c_functions(dtype, rng):
    import ctypes

    net = network(ALL, dtype=dtype)
    X, _ = data(rng, 3, dtype)
    real = ctypes.c_float if dtype == "float32" else ctypes.c_double
    function, out = net.cfunc(), (real * 2)()
    for row in X:
        function.ctypes((real * 4)(*row), out)
        close(np.array(out), net.predict(row), dtype)


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("call", [
    lambda net, X, Y: net.per_sample_gradient(X, Y),
    lambda net, X, Y: net.gradient_norms(X, Y),
    lambda net, X, Y: net.parameter_jacobian(X),
    lambda net, X, Y: net.hessian(X, Y),
    lambda net, X, Y: net.hessian_diagonal(X, Y),
    lambda net, X, Y: net.hessian_vector_product(X, Y, net.parameters),
    lambda net, X, Y: net.gauss_newton_vector_product(X, Y, net.parameters),
    lambda net, X, Y: net.posterior(X, Y),
    lambda net, X, Y: net.fit(X, Y, optimizer="levenbergmarquardt"),
    lambda net, X, Y: net.fit(X, Y, optimizer="bayesianregularization"),
    lambda net, X, Y: net.fit(X, Y, target_jacobian=np.zeros((5, 2, 4))),
    lambda net, X, Y: net.cost(X, Y, target_jacobian=np.zeros((5, 2, 4))),
    lambda net, X, Y: net.fit(X, Y, regularization=Regularization(input_noise=0.1)),
    lambda net, X, Y: fastbp.MLPRegressor.from_network(net),
])
def test_what_does_not_work_with_encoders(call, rng):
    """It says so before anything is changed."""
    X, Y = data(rng, 5)
    net = network(ALL)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="is not for networks with encoders"):
        call(net, X, Y)
    assert np.array_equal(net.parameters, before) and len(net.history) == 0


def test_sparse_inputs(rng):
    from scipy import sparse

    X, Y = data(rng, 5)
    net = network(ALL)
    for call in (lambda X: net.fit(X, Y), lambda X: net.predict(X), lambda X: net.cost(X, Y)):
        with pytest.raises(TypeError, match=r"X is a sparse matrix, and the network has encoders.*use X.toarray\(\)"):
            call(sparse.csr_array(X))

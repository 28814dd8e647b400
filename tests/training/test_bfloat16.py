"""fit and predict with precision="bfloat16": the steps of the naive twin, and what goes with it."""

import naive
import numpy as np
import pytest
from helpers import close, compiled_only, few, laid_out, naive_layers, needs_bfloat16, network, real_data
from scipy.sparse import csr_array

import fastbp
from fastbp import Network, Regularization
from fastbp.core import precision
from fastbp.core.link import link
from fastbp.core.request import Request
from fastbp.kernels.compile import address
from fastbp.kernels.layer import bfloat16, dense
from fastbp.optimizers import BATCH_METHODS

BFLOAT16 = {"precision": "bfloat16"}


def step(net, X, Y, **options):
    """∂E/∂w of all samples: what one step of length 1 against it subtracts."""
    before = net.parameters.copy()
    net.fit(X, Y, epochs=1, batch_size=len(X), optimizer=fastbp.SGD(1.0), **options)
    return before.astype(float) - net.parameters


def far(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@needs_bfloat16
@pytest.mark.parametrize(("sizes", "hidden", "output", "cost", "n"), few(
    [((3, 2), (), "identity", "squared_error", 33), ((5, 17, 3), ("relu",), "softmax", "cross_entropy", 90),
     ((7, 33, 20, 2), ("tanh", "gelu"), "identity", "squared_error", 150),
     ((40, 9, 4), ("silu",), "softmax", "squared_error", 20)],
    [((3, 2), (), "identity", "squared_error", 9), ((5, 9, 7, 3), ("relu", "tanh"), "softmax", "cross_entropy", 13)]))
def test_a_step_is_that_of_the_twin(sizes, hidden, output, cost, n, rng):
    net = network(sizes, list(hidden), output, cost)
    X, Y = real_data(rng, cost, output, n, sizes[0], sizes[-1], "float32")
    expected, out = naive.bfloat16.gradient(naive_layers(net), X, Y, net.activations, cost)
    exact = naive.gradient(naive_layers(net), X.astype(float), Y, net.activations, cost)
    close(net.predict(X, **BFLOAT16), out, "float32")
    found = step(net, X, Y, **BFLOAT16)
    # a number at the middle between two bfloat16 may go either way: one of 2^15 is so near to it
    assert far(found, naive.flatten(expected)) < 3e-5
    assert far(found, naive.flatten(exact)) > 3e-4


@needs_bfloat16
def test_threads_and_blocks_do_not_change_the_bits(rng):
    n = few(700, 41)
    X, Y = rng.normal(size=(n, 6)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)
    start, found = network((6, 21, 18, 3)), []
    for threads in (1, 2, 3):
        net = laid_out(start.copy(), block=few(64, 12))
        net.fit(X, Y, epochs=2, batch_size=few(300, 30), threads=threads, **BFLOAT16)
        found.append((net.parameters.copy(), net.history.cost))
    assert all((parameters == found[0][0]).all() and (cost == found[0][1]).all() for parameters, cost in found)
    halves = laid_out(start.copy(), block=few(64, 12))
    for _ in range(2):
        halves.fit(X, Y, epochs=1, batch_size=few(300, 30), resume=True, **BFLOAT16)
    assert (halves.parameters == found[0][0]).all()
    blocks = start.copy().fit(fastbp.data.rows(X), Y, epochs=2, batch_size=few(300, 30), **BFLOAT16)
    whole = start.copy().fit(X, Y, epochs=2, batch_size=few(300, 30), **BFLOAT16)
    assert (blocks.parameters == whole.parameters).all()


@needs_bfloat16
def test_fit_many_has_the_bits_of_fit(rng):
    X, Y = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(40, 2)).astype(np.float32)
    nets = [Network((3, 5 + i, 2), seed=i) for i in range(3)]
    alone = [net.copy() for net in nets]
    fastbp.fit_many(nets, X, Y, epochs=2, precision=["bfloat16", None, "bfloat16"], threads=2)
    for net, other, asked in zip(nets, alone, ("bfloat16", "float32", "bfloat16"), strict=True):
        other.fit(X, Y, epochs=2, precision=asked)
        assert (net.parameters == other.parameters).all()
    with pytest.raises(ValueError, match="precision has 2 values"):
        fastbp.fit_many(nets, X, Y, precision=["bfloat16", None])


@needs_bfloat16
def test_predictions(rng):
    net = network((6, 21, 3))
    X = rng.normal(size=(70, 6)).astype(np.float32)
    found = net.predict(X, **BFLOAT16)
    assert not np.array_equal(found, net.predict(X)) and far(found, net.predict(X)) < 0.02
    assert (net.predict(X[5], **BFLOAT16) == found[5]).all(), "a single row goes like several"
    assert (net.predict(X.astype(float), **BFLOAT16) == found).all()
    assert (net.predict(fastbp.data.rows(X), **BFLOAT16) == found).all()
    assert net.predict(X[:0], **BFLOAT16).shape == (0, 3)
    assert np.isnan(net.predict(np.where(np.arange(70)[:, None] == 4, np.nan, X), **BFLOAT16)).any(axis=1).sum() == 1
    square = network((4, 4))
    inputs = X[:, :4].copy()
    expected = square.predict(inputs, **BFLOAT16)
    assert (square.predict(inputs, out=inputs, **BFLOAT16) == expected).all(), "out may overlap X"
    for name in ("float32", None):
        assert (net.predict(X, precision=name) == net.predict(X)).all()
        assert (net.predict(X[5], precision=name) == net.predict(X[5])).all()


@needs_bfloat16
@pytest.mark.parametrize("name", ["dropout", "input_noise", "clip_norm", "l2"])
def test_regularization_goes_with_it(name, rng):
    X, Y = rng.normal(size=(60, 5)).astype(np.float32), rng.normal(size=(60, 2)).astype(np.float32)
    start, settings = network((5, 18, 2)), Regularization(**{name: 0.1})
    found, exact = (step(start.copy(), X, Y, regularization=settings, **more) for more in (BFLOAT16, {}))
    assert 1e-5 < far(found, exact) < 0.02, "the same random numbers, another rounding"
    assert far(step(start.copy(), X, Y), exact) > 0.03, "the setting changes more"


@needs_bfloat16
def test_encoders_and_parametric_activations_go_with_it(rng):
    X, Y = rng.normal(size=(60, 3)).astype(np.float32), rng.normal(size=(60, 2)).astype(np.float32)
    X[:, 0] = rng.integers(0, 4, 60)
    start = Network((3, 18, 2), fastbp.parametric("tanh"), seed=1, scaling=True,
                    encoders=[fastbp.encoders.Embedding(0, 4, 3), fastbp.encoders.Periodic([1, 2])])
    exact, found = step(start.copy(), X, Y), step(start.copy(), X, Y, **BFLOAT16)
    for name, range_ in start._architecture.named_ranges.items():
        assert 1e-5 < far(found[range_], exact[range_]) < 0.05 or name == "biases[1]" and far(
            found[range_], exact[range_]) < 0.05, name
    assert 1e-5 < far(start.predict(X, **BFLOAT16), start.predict(X)) < 0.02


@needs_bfloat16
def test_a_batch_may_be_one_sample(rng):
    X, Y = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    one, other = (network((3, 9, 2)).fit(X, Y, epochs=1, batch_size=1, **more).parameters for more in (BFLOAT16, {}))
    assert 1e-6 < far(one, other) < 0.01


@needs_bfloat16
def test_float32_links_none_of_it():
    net = network((6, 21, 3))
    rounded = {address(kernel, net.dtype) for kernel in vars(bfloat16).values() if hasattr(kernel, "place")}
    plain = {address(kernel, net.dtype) for kernel in (dense.forward, dense.backward)}
    cells = {bits: set(link(net._architecture, Request(40, bfloat16=bits)).cells.tolist()) for bits in (False, True)}
    assert not cells[False] & rounded and plain <= cells[False]
    assert rounded <= cells[True] and not cells[True] & plain


X, Y = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)


@pytest.mark.parametrize(("dtype", "options", "kind", "told"), [
    ("float64", BFLOAT16, ValueError, "but the network is of float64: build it with dtype='float32'"),
    ("float64", {"precision": "float32"}, ValueError, "but the network is of float64: build it with dtype='float32'"),
    ("float32", {"precision": "float64"}, ValueError, "but the network is of float32: build it with dtype='float64'"),
    ("float32", {"precision": "bf16"}, ValueError, "'bf16', expected one of 'float32', 'float64', 'bfloat16', or None"),
    ("float32", {"precision": np.float32}, TypeError, "expected a name, one of 'float32', 'float64', 'bfloat16'"),
])
def test_what_precision_may_be(dtype, options, kind, told):
    net = network((3, 2), dtype=dtype)
    for call in (net.fit, lambda X, Y, **more: net.predict(X, **more), lambda *data, **more: fastbp.fit_many(
            [net], *data, **more)):
        with pytest.raises(kind) as caught:
            call(X, Y, **options)
        assert told in str(caught.value)
    assert len(net.history) == 0


@needs_bfloat16
@pytest.mark.parametrize(("options", "told"), [
    *(({"optimizer": name}, "follows the gradient of all samples until it is nearly 0") for name in BATCH_METHODS),
    ({"target_jacobian": np.ones((4, 2, 3))}, "target_jacobian asks for second derivatives"),
    ({"X": csr_array(X)}, "but X is sparse"),
])
def test_what_it_does_not_go_with(options, told):
    net = network((3, 2))
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="precision is 'bfloat16', ") as caught:
        net.fit(**{"X": X, "Y": Y} | options, **BFLOAT16)
    assert told in str(caught.value) and "precision='float32'" in str(caught.value)
    assert (net.parameters == before).all() and len(net.history) == 0
    with pytest.raises(ValueError, match="but X is sparse"):
        net.predict(csr_array(X), **BFLOAT16)


def test_a_processor_without_the_instruction(monkeypatch):
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    net = network((3, 2))
    for call in (lambda: net.fit(X, Y, **BFLOAT16), lambda: net.predict(X, **BFLOAT16)):
        with pytest.raises(ValueError, match="this processor has no instruction .*: use precision='float32'"):
            call()
    assert len(net.history) == 0
    net.fit(X, Y, epochs=1, precision="float32")


@compiled_only
@needs_bfloat16
@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_estimators_hand_it_on(rng):
    from fastbp import MLPRegressor

    X, y = rng.normal(size=(60, 3)).astype(np.float32), rng.normal(size=60).astype(np.float32)
    settings = dict(hidden_layer_sizes=(9,), max_iter=3, tol=0, n_iter_no_change=9, random_state=0, dtype="float32")
    plain, rounded = (MLPRegressor(**settings, precision=name).fit(X, y) for name in (None, "bfloat16"))
    assert 1e-6 < far(rounded.network_.parameters, plain.network_.parameters) < 0.01
    members = MLPRegressor(**settings, precision="bfloat16", n_members=2).fit(X, y)
    again = MLPRegressor(**settings | {"random_state": members.estimators_[0].random_state}, precision="bfloat16")
    assert (again.fit(X, y).network_.parameters == members.estimators_[0].network_.parameters).all()
    for more, told in (({"solver": "lbfgs"}, "follows the gradient"), ({"dtype": "float64"}, "network is of float64")):
        with pytest.raises(ValueError, match=told):
            MLPRegressor(**settings | more, precision="bfloat16").fit(X, y)


@needs_bfloat16
def test_missing_targets_and_class_indices_go_with_it(rng):
    X, Y = rng.normal(size=(60, 3)).astype(np.float32), rng.normal(size=(60, 2)).astype(np.float32)
    Y[::7, 1] = np.nan
    start = network((3, 18, 2))
    found, exact = (step(start.copy(), X, Y, missing="ignore", **more) for more in (BFLOAT16, {}))
    assert 1e-5 < far(found, exact) < 0.02
    start, labels = network((3, 18, 4), cost="cross_entropy", output="softmax"), rng.integers(0, 4, 60)
    found, exact = (step(start.copy(), X, labels, sample_weight=np.arange(60), **more) for more in (BFLOAT16, {}))
    assert 1e-5 < far(found, exact) < 0.02

"""Batches of one: each pair an update, by its own kernels; against the naive twin, amid canaries."""

import naive
import numpy as np
import pytest
from helpers import DTYPES, ROUNDING, few, network, plan_of, readonly, real_data

from fastbp import SGD, Adam
from fastbp.core.samples import Samples
from fastbp.kernels import layout, prototypes, tables
from fastbp.kernels.compile import address
from fastbp.kernels.passes import online

CANARY = 99.0
METHODS = {
    "plain": (SGD(0.02), lambda: naive.SGD(0.02)),
    "momentum": (SGD(0.02, 0.8), lambda: naive.SGD(0.02, 0.8)),
    "adam": (Adam(0.01), lambda: naive.Adam(0.01)),
}
NETS = few([(1, 1), (2, 8, 1), (3, 4, 5, 2), (17, 16, 15, 3), (9, 33, 7), (64, 100, 10), (100, 70, 90, 3)],
           [(1, 1), (3, 4, 5, 2), (9, 17, 3)])


def run(net, X, Y, method, epochs, *, labels=False, weights=None, blocks=2**62, shuffle=0):
    """online.run in a workspace full of NaN between canaries: (parameters, costs)."""
    dtype = net.dtype
    plan = plan_of(net, 1)
    array = np.full(plan.panels.size + 128, CANARY, dtype)
    panels = array[64:-64]
    panels[:] = np.nan
    parameters = np.full(net.n_parameters + 64, CANARY, dtype)
    parameters[: net.n_parameters] = net.parameters
    gradient = np.full(net.n_parameters + 64, CANARY, dtype)
    own, slopes = parameters[: net.n_parameters], gradient[: net.n_parameters]
    learner = layout.learner(slopes, state=np.zeros(method.slots * net.n_parameters, dtype), hyper=method.hyper(),
                             update=address(method.rule, dtype, prototypes.update_rule), best=own.copy(), epochs=epochs)
    given = np.empty(0, dtype) if weights is None else weights.astype(dtype)
    data = Samples(X, Y, labels, given).data(np.arange(len(X)) if shuffle else np.empty(0, np.int64))
    plain = int(isinstance(method, SGD) and method.momentum == 0)
    task = layout.Task(len(X), 1, layout.lanes(dtype), int(labels), shuffle, 41, epochs, plain, blocks)
    while learner.progress[tables.PROGRESS_EPOCH] < epochs:
        online.run(plan._replace(panels=panels), own, data, task, learner)
        assert learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_RUNNING
    assert learner.progress[tables.PROGRESS_UPDATES] == epochs * len(X)
    assert (array[:64] == CANARY).all() and (array[-64:] == CANARY).all()
    assert (parameters[net.n_parameters :] == CANARY).all() and (gradient[net.n_parameters :] == CANARY).all()
    assert (learner.best == own).all()
    return own, learner.costs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", NETS, ids=str)
def test_against_naive(sizes, method, bias, dtype, rng):
    ours, twin = METHODS[method]
    net = network(sizes, dtype=dtype, bias=bias)
    X, Y = real_data(rng, "squared_error", None, 6, sizes[0], sizes[-1], dtype)
    weights = np.array([1, 2, 0, 0.5, 1, 3.0])
    found, costs = run(net, X, Y, ours, 2, weights=weights)
    expected, curve = naive.train(net.parameters.astype(float), sizes, bias, X.astype(float), Y.astype(float),
                                  net.activations, "squared_error", twin(), 1, [np.arange(6)] * 2, weights)
    factor = 20 * ROUNDING[dtype]  # a dozen updates, each from what the last one left
    assert np.abs(found - expected).max() <= factor * np.abs(expected).max()
    assert np.abs(costs - curve).max() <= factor * np.abs(curve).max()


@pytest.mark.parametrize(("output", "cost"), [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy"),
                                              ("softmax", "squared_error"), ("exp", "poisson"), ("tanh", "huber")])
def test_output_stages(output, cost, rng):
    sizes = (3, 10, 4)
    net = network(sizes, "relu", output, cost, dtype="float64")
    X, Y = real_data(rng, cost, output, 8, 3, 4)
    found, costs = run(net, X, Y, SGD(0.01), 2)
    expected, curve = naive.train(net.parameters, sizes, True, X, Y, net.activations, cost, naive.SGD(0.01), 1,
                                  [np.arange(8)] * 2)
    assert np.abs(found - expected).max() <= 1e-12 and np.abs(costs - curve).max() <= 1e-12 * curve.max()


def test_class_indices(rng):
    net = network((3, 10, 4), cost="cross_entropy", dtype="float64")
    X, classes = rng.normal(size=(8, 3)), rng.integers(0, 4, 8)
    by_index = run(net, X, classes.astype(float), SGD(0.05), 2, labels=True)
    one_hot = run(net, X, np.eye(4)[classes], SGD(0.05), 2)
    assert (by_index[0] == one_hot[0]).all() and (by_index[1] == one_hot[1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_comes_back_after_so_many_updates_and_goes_on(method, rng):
    net = network((3, 10, 2))
    X, Y = real_data(rng, "squared_error", None, 10, 3, 2, "float32")
    whole = run(net, X, Y, METHODS[method][0], 3, shuffle=1)
    for blocks in (1, 7, 10):
        parts = run(net, X, Y, METHODS[method][0], 3, shuffle=1, blocks=blocks)
        assert (whole[0] == parts[0]).all() and (whole[1] == parts[1]).all()


@pytest.mark.parametrize("method", [SGD(0.05), SGD(0.05, 0.9), Adam(0.01)], ids=str)
def test_rows_of_large_layers_are_applied_in_parts(method, rng):
    """More parameters than UPDATE_BYTES: gradient and rule go row by row, with the same result."""
    sizes = few((40, 200, 30), (40, 60, 3))
    net = network(sizes, dtype="float64")
    assert net.parameters.nbytes > online.UPDATE_BYTES
    X, Y = real_data(rng, "squared_error", None, 3, sizes[0], sizes[-1])
    found, _ = run(net, X, Y, method, 1)
    twin = naive.Adam(0.01) if isinstance(method, Adam) else naive.SGD(0.05, method.momentum)
    expected, _ = naive.train(net.parameters, sizes, True, X, Y, net.activations, "squared_error", twin, 1, [range(3)])
    assert np.abs(found - expected).max() <= 1e-11


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("sizes", "output"), [(sizes, output) for sizes in NETS
                                               for output in ("identity", "softmax", "relu")
                                               if output != "softmax" or sizes[-1] > 1], ids=str)
def test_predict(sizes, output, dtype, rng):
    net = network(sizes, output=output, dtype=dtype)
    plan = plan_of(net, 1, backward=False)
    array = np.full(plan.panels.size + 128, CANARY, dtype)
    panels = array[64:-64]
    panels[:] = np.nan
    x, out = readonly(rng.normal(size=sizes[0]).astype(dtype)), np.full(sizes[-1] + 5, CANARY, dtype)
    online.predict(plan.layers, panels, net.parameters, x, out[:-5])
    layers = naive.unflatten(net.parameters.astype(float), sizes)
    expected = naive.forward(layers, x[None].astype(float), net.activations).out[-1][0]
    assert np.abs(out[:-5] - expected).max() <= ROUNDING[dtype] * max(np.abs(expected).max(), 1e-30)
    assert (out[-5:] == CANARY).all() and (array[:64] == CANARY).all() and (array[-64:] == CANARY).all()


def test_divergence_stops_at_once(rng):
    net = network((2, 3, 1), "relu", dtype="float32")
    plan = plan_of(net, 1)
    X, Y = np.full((5, 2), 1e20, "float32"), np.full((5, 1), 1e30, "float32")
    parameters = net.parameters.copy()
    learner = layout.learner(np.zeros(net.n_parameters, "float32"), hyper=SGD(1.0).hyper(), best=parameters.copy(),
                             update=address(SGD(1.0).rule, net.dtype, prototypes.update_rule))
    data = Samples(X, Y, False, np.empty(0, "float32")).data(np.empty(0, np.int64))
    online.run(plan, parameters, data, layout.Task(5, 1, 16, 0, 0, 0, 1, 1, 100), learner)
    assert learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_DIVERGED
    assert learner.progress[tables.PROGRESS_EPOCH] == 0
    assert (learner.best == net.parameters).all()

"""The two phases of a step on workspaces full of NaN: padding never reaches a result, nothing is written outside."""

import itertools

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, naive_cost, naive_gradient, naive_layers, network, plan_of, real_data

from fastbp.core import thread_team
from fastbp.core.request import Choices
from fastbp.core.samples import Samples
from fastbp.kernels import layout, prototypes, tables
from fastbp.kernels.compile import JIT, address
from fastbp.kernels.layer import dense, gather
from fastbp.kernels.layout import NO_STRUCTURE, NOT_SHUFFLED
from fastbp.kernels.passes import barrier, epoch, online
from fastbp.kernels.passes.backprop import my_neurons, my_samples
from fastbp.kernels.passes.predict import all_finite, predict
from fastbp.kernels.updates import rules

CANARY = 777.0
NETS = few([((1, 1), ()), ((3, 2), ()), ((2, 8, 1), ("tanh",)), ((5, 9, 4), ("relu",)),
            ((17, 16, 15, 3), ("tanh", "gelu")), ((4, 33, 8, 7, 2), ("silu", "logistic", "softplus"))],
           [((1, 1), ()), ((3, 5, 2), ("tanh",)), ((2, 3, 4, 9, 2), ("silu", "logistic", "softplus"))])


def guarded(net, samples, fill, *, outside=64, **wanted):
    """A plan whose panels hold ``fill`` and lie between canaries; the canaries and the slack as views to check."""
    plan = plan_of(net, samples, **wanted)
    size, lane = plan.panels.size, layout.lanes(net.dtype)
    array = np.full(size + 2 * outside, CANARY, net.dtype)
    panels = array[outside : outside + size]
    panels[:] = fill
    around = (array[:outside], array[outside + size :])
    return plan._replace(panels=panels), around, panels[size - lane * lane :]


def both_phases(net, samples, fill, parts):
    """One block through both phases, strips and neurons shared out over ``parts``: (gradient, costs of samples)."""
    n, lane = len(samples), layout.lanes(net.dtype)
    strips = layout.strips(n, net.dtype)
    plan, around, slack = guarded(net, n, fill)
    gradient = np.full(net.n_parameters + 20, CANARY, net.dtype)
    data = samples.data(NOT_SHUFFLED)
    total = float(samples.weights.sum(dtype=float)) if samples.weights.size else float(n)
    before = net.parameters.copy()
    no_clock = np.empty(0, np.int64)
    for part in range(parts):
        my_samples(plan.layers, plan.cells, plan.cost_parameter, plan.panels, net.parameters, data.inputs,
                   data.structure, data.targets, data.weights, data.order, 0, n, total, int(samples.labels), 1, strips,
                   strips * part // parts, strips * (part + 1) // parts, plan.cells[tables.CELL_SCRATCH], no_clock, 0)
    for part in range(parts):
        my_neurons(plan.layers, plan.cells, plan.panels, net.parameters, gradient, gradient,
                   np.zeros(tables.HYPER_COUNT), 0, strips, 0, part, parts,
                   plan.cells[tables.CELL_SCRATCH], data.inputs, data.order, 0, 0, no_clock, 0)
    costs = plan.panels[plan.cells[tables.CELL_COST] : plan.cells[tables.CELL_COST] + strips * lane]
    assert (net.parameters == before).all()
    assert all((canaries == CANARY).all() for canaries in around), "written outside the workspace"
    assert (gradient[net.n_parameters :] == CANARY).all(), "written outside the gradient"
    assert np.array_equal(slack, np.full(slack.size, fill, net.dtype), equal_nan=True), "written past the last panel"
    return gradient[: net.n_parameters], costs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", ["broadcast", "packed", "by lanes"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("sizes", "hidden"), NETS, ids=str)
def test_a_block(sizes, hidden, bias, path, dtype, rng):
    lane = layout.lanes(dtype)
    net = laid_out(network(sizes, hidden, dtype=dtype, bias=bias), by_lanes=path == "by lanes", packs=path == "packed")
    for n in sorted({1, 2, lane - 1, lane, lane + 1, 2 * lane, 3 * lane + 1} - {0}):
        X, Y = real_data(rng, "squared_error", None, n, sizes[0], sizes[-1], dtype)
        weights = rng.uniform(0.1, 2, n).astype(dtype) if n % 2 else np.empty(0, dtype)
        samples = Samples(X, Y, False, weights)
        gradient, costs = both_phases(net, samples, np.nan, 1)
        given = weights if weights.size else None
        close(gradient, naive_gradient(net, X, Y, given), dtype)
        close(costs.sum(dtype=float), naive_cost(net, X, Y, given), dtype)
        assert (costs[n:] == 0).all(), "padding costs nothing"
        clean, _ = both_phases(net, samples, 0.0, 1)
        assert (gradient == clean).all(), "what lay in the workspace mattered"
        shared, _ = both_phases(net, samples, np.nan, 3)
        assert (gradient == shared).all(), "shares of strips and neurons mattered"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_classes(output, dtype, rng):
    """Class indices and the Jacobian product of an unmatched softmax, in a workspace full of NaN."""
    for cost, labels in (("cross_entropy", True), ("squared_error", False)):
        net = network((4, 7, 5), "tanh", output, cost, dtype=dtype)
        for n in (1, 21):
            X = rng.normal(size=(n, 4)).astype(dtype)
            classes = rng.integers(0, 5, n)
            Y = np.eye(5, dtype=dtype)[classes]
            given = Samples(X, classes.astype(dtype) if labels else Y, labels, np.empty(0, dtype))
            gradient, costs = both_phases(net, given, np.nan, 2)
            close(gradient, naive_gradient(net, X, Y), dtype)
            close(costs.sum(dtype=float), naive_cost(net, X, Y), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("sizes", "hidden"), NETS, ids=str)
def test_predict(sizes, hidden, dtype, rng):
    lane = layout.lanes(dtype)
    net = network(sizes, hidden, dtype=dtype)
    for n, block in ((1, lane), (lane, lane), (2 * lane + 1, lane), (3 * lane - 1, 2 * lane)):
        X = rng.normal(size=(n, sizes[0])).astype(dtype)
        plan, around, _ = guarded(net, block, np.nan, backward=False)
        outputs = np.full(n * sizes[-1] + 9, CANARY, dtype)
        flat = X.reshape(-1).copy()
        flat.flags.writeable = False
        predict(plan.layers, plan.cells, plan.panels, net.parameters, flat, NO_STRUCTURE, NOT_SHUFFLED, n, block,
                outputs[:-9])
        expected = naive.forward(naive_layers(net), X.astype(float), net.activations).out[-1]
        close(outputs[:-9].reshape(n, -1), expected, dtype)
        assert (outputs[-9:] == CANARY).all()
        assert all((canaries == CANARY).all() for canaries in around)
        plan, around, _ = guarded(net, 1, np.nan, backward=False)
        one, row = np.empty(sizes[-1], dtype), X[-1].copy()
        row.flags.writeable = False
        online.predict(plan.layers, plan.panels, net.parameters, row, one)
        close(one, expected[-1], dtype)
        assert all((canaries == CANARY).all() for canaries in around)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_finite(dtype):
    for n in (0, 1, 5, 64, 1000):
        values = np.full(n, np.finfo(dtype).max, dtype)
        values.flags.writeable = False
        assert all_finite(values)
        for bad in (np.nan, np.inf, -np.inf):
            for where in {0, n // 2, n - 1} if n else ():
                spoilt = values.copy()
                spoilt[where] = bad
                spoilt.flags.writeable = False
                assert not all_finite(spoilt)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_lanes", [True, False])
def test_run_adds_up_the_blocks_of_a_batch(by_lanes, dtype, rng):
    """epoch.run on batches of several blocks, the last one ragged, in a workspace full of NaN."""
    net = laid_out(network((3, 10, 2), dtype=dtype), by_lanes=by_lanes)
    lane = layout.lanes(dtype)
    n = 5 * lane + 3
    X, Y = real_data(rng, "squared_error", None, n, 3, 2, dtype)
    weights = rng.uniform(0.1, 2, n).astype(dtype)
    for block in (lane, 2 * lane, 6 * lane):
        plan, around, _ = guarded(net, block, np.nan, weighted=True)
        learner = layout.learner(np.full(net.n_parameters, np.nan, dtype))
        task = layout.Task(n, n, block, 0, 0, 0, 1, 0, 2**62)
        samples = Samples(X, Y, False, weights)
        data = samples.data(NOT_SHUFFLED)
        epoch.run(0, 1, plan, net.parameters, data, task, learner, np.zeros(tables.BARRIER_COUNT, np.int64))
        close(learner.gradient, naive_gradient(net, X, Y, weights), dtype)
        close(learner.costs[0], naive_cost(net, X, Y, weights), dtype)
        assert learner.progress[tables.PROGRESS_EPOCH] == 1 and learner.progress[tables.PROGRESS_BLOCKS] == -(-n
                                                                                                              // block)
        assert all((canaries == CANARY).all() for canaries in around)


def test_run_comes_back_after_so_many_blocks_and_goes_on(rng):
    net = network((2, 3, 1), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 50, 2, 1)
    results = []
    for blocks in (2**62, 1, 3):
        plan, _, _ = guarded(net, 8, np.nan)
        parameters, calls = net.parameters.copy(), 0
        learner = layout.learner(np.zeros(net.n_parameters), best=parameters.copy(), epochs=4,
                                 update=address(rules.sgd, net.dtype, prototypes.update_rule))
        learner.hyper[tables.HYPER_RATE] = 0.1
        data = Samples(X, Y, False, np.empty(0)).data(np.arange(50))
        while learner.progress[tables.PROGRESS_EPOCH] < 4:
            epoch.run(0, 1, plan, parameters, data, layout.Task(50, 20, 8, 0, 1, 77, 4, 0, blocks), learner,
                      np.zeros(tables.BARRIER_COUNT, np.int64))
            calls += 1
        assert learner.progress[tables.PROGRESS_UPDATES] == 4 * 3
        assert calls == {2**62: 1, 1: 4 * 8, 3: 11}[blocks]
        results.append((parameters.tobytes(), learner.costs.tobytes(), learner.best.tobytes()))
    assert results[0] == results[1] == results[2]
    assert results[0][0] == results[0][2]


@pytest.mark.parametrize("target", [1e30, 1e10])
def test_run_stops_where_learning_left_the_finite(target):
    """A cost, or a parameter at the end of an epoch, that is not finite ends the pass before the next batch."""
    net = network((2, 1), dtype="float32")
    X, Y = np.full((8, 2), 1e15, "float32"), np.full((8, 1), target, "float32")
    batch = 4 if target == 1e30 else 8  # the cost overflows in the first batch; or the only update of the epoch does
    plan, parameters = plan_of(net, batch), net.parameters.copy()
    learner = layout.learner(np.zeros(net.n_parameters, "float32"), best=parameters.copy(), epochs=5,
                             update=address(rules.sgd, net.dtype, prototypes.update_rule))
    learner.hyper[tables.HYPER_RATE] = 1e30
    data = Samples(X, Y, False, np.empty(0, "float32")).data(NOT_SHUFFLED)
    epoch.run(0, 1, plan, parameters, data, layout.Task(8, batch, batch, 0, 0, 0, 5, 0, 2**62), learner,
              np.zeros(tables.BARRIER_COUNT, np.int64))
    assert learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_DIVERGED
    assert learner.progress[tables.PROGRESS_EPOCH] == 0
    assert learner.progress[tables.PROGRESS_UPDATES] == learner.progress[tables.PROGRESS_BLOCKS] == 1
    assert (learner.best == net.parameters).all() and (learner.costs == 0).all()


@pytest.mark.skipif(JIT, reason="which kernels a plan holds does not depend on it, and to compile all takes seconds")
def test_a_plan_holds_the_kernels_that_its_layout_needs():
    """Those of packed layers and of transposed copies are others, and a thread alone waits for none."""
    net = network((3, 9, 9, 2), dtype="float64")
    plain = address(gather.gather, net.dtype)
    for by_lanes, packs in itertools.product((True, False), repeat=2):
        net._workspaces.choices = Choices(by_lanes=by_lanes, packs=packs)
        cells = plan_of(net, 40).cells
        backward = dense.backward_packed if packs else dense.backward
        inputs = gather.gather if by_lanes else gather.gather_transposed
        assert cells[tables.CELL_BACKWARD] == address(backward, net.dtype)
        assert cells[tables.CELL_GATHER_INPUTS] == address(inputs, net.dtype)
        assert cells[tables.CELL_GATHER] == cells[tables.CELL_GATHER_TARGETS] == plain
    assert thread_team.ALONE[tables.BARRIER_STAND] == 0
    stands = []
    thread_team.run(2, lambda thread, barrier: stands.append(int(barrier[tables.BARRIER_STAND])))
    assert stands == [address(barrier.stand, np.dtype("f"))] * 2

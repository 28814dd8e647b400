"""Full-batch methods: directions and rules against their twins, the line search, and what training makes of them."""

import math
from contextlib import contextmanager
from dataclasses import astuple

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, network, real_data

from fastbp import (
    LBFGS,
    BayesianRegularization,
    Checkpoint,
    DivergenceError,
    History,
    LevenbergMarquardt,
    Network,
    Quickprop,
    Regularization,
    Rprop,
    ScaledConjugateGradient,
    jit,
    optimizers,
)
from fastbp.core import penalties
from fastbp.kernels import tables
from fastbp.kernels.compile import JIT, kernel
from fastbp.kernels.passes import directions, line_search
from fastbp.kernels.tables import HYPER_PAIRS, HYPER_STEPS, ROW_BEFORE, ROW_DIRECTION, ROW_GRADIENT, ROW_OWN, ROW_START
from fastbp.kernels.updates import vectors
from fastbp.optimizers.line_search import LineSearch
from fastbp.training import full_batch
from fastbp.training.line_search import LineSearches
from fastbp.training.steps import CompiledSteps

EVERY = [kind() for kind in optimizers.BATCH_METHODS.values()]
SECOND_ORDER = [LevenbergMarquardt(), BayesianRegularization()]
SEARCHING = [*(method for method in EVERY if isinstance(method, LineSearch)), LBFGS(3)]
FALLING = [*(method for method in EVERY if not isinstance(method, Rprop | Quickprop | LevenbergMarquardt)), LBFGS(3)]
"""No step raises the cost, and without anything to gain they end."""
VARIANTS = {
    "irprop+": Rprop(),
    "irprop-": Rprop(variant="irprop-"),
    "rprop+": Rprop(variant="rprop+"),
    "rprop-": Rprop(variant="rprop-"),
}
METHODS = [*FALLING, *VARIANTS.values(), Quickprop()]


def search(method, function, w, steps, look=None):
    """Search along lines through a function that gives cost and gradient, which w follows, as `epoch.run` does.

    Gives the cost of every pass, and those where steps ended. ``look`` is shown rows and numbers where a line begins.
    """
    state, numbers, cells = np.zeros(method.slots * w.size, w.dtype), method.hyper(), method.search(w.dtype)
    progress, path, seen = np.zeros(tables.PROGRESS_COUNT, np.int64), np.zeros(steps), []
    sums, best = np.zeros(tables.SUM_COUNT), w[:0]
    cells[tables.SEARCH_LEFT] = steps
    while progress[tables.PROGRESS_STATUS] == tables.STATUS_RUNNING:
        cost, state[: w.size] = function(w)
        seen.append(cost)
        sums[[tables.SUM_EPOCH_COST, tables.SUM_EPOCH_WEIGHT]] = cost, 1
        line_search.next_point(w, best, state, numbers, progress, sums, cells, path, 0, 0)
        if look and cells[tables.SEARCH_DOING] == tables.DOING_SEARCHING and cells[tables.SEARCH_TRIES] == 0:
            look(state.reshape(-1, w.size), numbers)
    assert progress[tables.PROGRESS_STATUS] == (tables.STATUS_PAUSED if progress[tables.PROGRESS_EPOCH] == steps
                                               else tables.STATUS_DONE)
    found, slope = function(w)
    assert numbers[tables.HYPER_COST] == found and (state[: w.size]
                                                    == slope).all(), "cost and gradient belong to the parameters"
    return seen, path[: progress[tables.PROGRESS_EPOCH]]


def minimise(method, function, w, steps):
    """Run a method on a function that gives cost and gradient; give the costs before and after each step."""
    w = np.array(w, np.float64)
    if isinstance(method, LineSearch):
        seen, path = search(method, function, w, steps)
        return w, [seen[0], *path]
    rows, numbers = np.zeros((method.slots, w.size)), method.hyper()

    def evaluate(gradient):
        cost, gradient[:] = function(w)
        return cost

    method.begin(evaluate, rows, numbers)
    path = [method.cost(numbers)]
    for _ in range(steps):
        more = method.step(evaluate, w, rows, numbers)
        path.append(method.cost(numbers))
        if not more:
            break
    found, slope = function(w)
    assert path[-1] == found, "the cost belongs to the parameters"
    assert (rows[ROW_GRADIENT] == slope).all() or (isinstance(method, Rprop | Quickprop) and len(path) == 1)
    return w, path


def rosenbrock(w):
    x, y = w
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)])


def bowl(n):
    rng = np.random.default_rng(n)
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    A = Q @ np.diag(np.geomspace(1, 30, n)) @ Q.T
    return lambda w: (0.5 * w @ A @ w, A @ w)


# ----------------------------------------------------------------------------------------------------------- directions


@pytest.mark.parametrize("n", [2, 8, 31])
@pytest.mark.parametrize("method", SEARCHING, ids=str)
def test_every_direction_is_that_of_the_twin(method, n):
    """Which is told the points since the start, their gradients, and the directions that led from one to the next."""
    twin, function = naive.twin(type(method).__name__)(*astuple(method)), rosenbrock if n == 2 else bowl(n)
    path, lines = ([], [], []), []

    def look(rows, numbers):
        if numbers[HYPER_STEPS] == 0:
            for kept in path:
                kept.clear()
        for kept, row in zip(path, (ROW_START, ROW_BEFORE, ROW_DIRECTION), strict=True):
            kept.append(rows[row].copy())
        *begun, directions = path
        close(directions[-1], twin.direction(*map(np.array, begun), directions[:-1]), factor=1e4)
        lines.append(numbers[HYPER_STEPS])

    search(method, function, np.linspace(-1.2, 1.0, n), 12, look)
    assert max(lines) > 3


def pairs_of(rng, memory, n, condition=4.0):
    """Steps and changes of gradient along a bowl whose axes differ, with s·y = 1."""
    steps = rng.normal(size=(memory, n))
    changes = steps * np.geomspace(1, condition, n)
    size = np.sqrt((steps * changes).sum(axis=1, keepdims=True))
    return steps / size, changes / size


def direct(method, rows, kept, cells=None):
    """Let L-BFGS overwrite its direction from so many pairs in their places."""
    numbers = method.hyper()
    numbers[[HYPER_STEPS, HYPER_PAIRS]] = kept, kept
    directions.lbfgs_direction(rows[0].copy(), rows.reshape(-1), numbers,
                             method.search(rows.dtype) if cells is None else cells)
    return rows[ROW_DIRECTION]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kept", "memory", "n"), [(1, 5, 13), (4, 5, 13), (5, 5, 13), (8, 5, 2100), (3, 1, 7),
                                                   (27, 10, 31)])
def test_the_direction(kept, memory, n, dtype, rng):
    """Pairs in a ring, the newest in the middle; those of bygone days, and places never used, do not count."""
    method, count = LBFGS(memory), min(kept, memory)
    rows = np.zeros((method.slots, n), dtype)
    steps, changes = (pairs.astype(dtype) for pairs in pairs_of(rng, kept, n))
    rows[ROW_GRADIENT], rows[ROW_DIRECTION] = rng.normal(size=n), np.nan
    for k in range(kept):
        rows[ROW_OWN + k % memory], rows[ROW_OWN + memory + k % memory] = steps[k], changes[k]
    found = direct(method, rows, kept)
    args = rows[ROW_GRADIENT].astype(float), steps[-count:].astype(float), changes[-count:].astype(float)
    plain = naive.two_loops(*args)
    close(found, plain, dtype, factor=100)
    if n < 100:
        close(plain, naive.bfgs_direction(args[0], list(zip(*args[1:], strict=True))), factor=1000)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("condition", [1e2, 1e6])
def test_the_direction_is_as_exact_as_the_plain_recursion(dtype, condition, rng):
    """Products of vectors stand for vectors there, which could cancel: beside the recursion in the same dtype."""
    method, n, errors = LBFGS(10), 200, []
    for _ in range(20):
        rows = np.zeros((method.slots, n), dtype)
        rows[ROW_OWN:] = np.concatenate(pairs_of(rng, 10, n, condition))
        rows[ROW_GRADIENT] = rng.normal(size=n)
        wide = rows.astype(np.longdouble)
        exact = naive.two_loops(wide[ROW_GRADIENT], wide[ROW_OWN : ROW_OWN + 10], wide[ROW_OWN + 10 :])
        plain = naive.two_loops(rows[ROW_GRADIENT], rows[ROW_OWN : ROW_OWN + 10], rows[ROW_OWN + 10 :])
        errors.append([np.linalg.norm(one - exact) for one in (direct(method, rows, 10), plain)])
    mine, theirs = np.exp(np.log(errors).mean(axis=0))
    assert mine < 3 * theirs


@pytest.mark.parametrize("memory", [3, 6])
def test_the_direction_does_not_depend_on_when_products_were_computed(memory, rng):
    """A resumed fit makes its tables of products anew: they have the same bits as those kept from step to step."""
    method, n = LBFGS(memory), 50
    rows, kept_cells = np.zeros((method.slots, n)), method.search(np.dtype(float))
    for kept, (s, y) in enumerate(zip(*pairs_of(rng, 11, n), strict=True), 1):
        place = (kept - 1) % memory
        rows[ROW_OWN + place], rows[ROW_OWN + memory + place], rows[ROW_GRADIENT] = s, y, rng.normal(size=n)
        found = direct(method, rows, kept, kept_cells).copy()
        assert (found == direct(method, rows, kept)).all()
        rows[ROW_GRADIENT] = rng.normal(size=n)  # a step from which no pair was kept
        found = direct(method, rows, kept, kept_cells).copy()
        assert (found == direct(method, rows, kept)).all()


def test_without_a_pair_the_direction_is_downhill(rng):
    """After a step whose pair was refused, whatever the tables held before the restart."""
    method = LBFGS(3)
    rows, cells = rng.normal(size=(method.slots, 5)), method.search(np.dtype(float))
    cells[directions.PAIRS :] = 7.0
    numbers = method.hyper()
    numbers[[HYPER_STEPS, HYPER_PAIRS]] = 2, 0
    directions.lbfgs_direction(rows[0].copy(), rows.reshape(-1), numbers, cells)
    np.testing.assert_array_equal(rows[ROW_DIRECTION], -rows[ROW_GRADIENT])
    assert cells[tables.SEARCH_ALPHA] == pytest.approx(min(1, 1 / np.linalg.norm(rows[ROW_GRADIENT])))


@pytest.mark.parametrize("change", [-1.0, 0.0, 1e-18])
def test_a_pair_that_cannot_be_kept_leaves_the_others(change, rng):
    """Where the slope does not grow along a step, or by rounding only; the step may even seem to go uphill."""
    method, n = LBFGS(3), 5
    rows, numbers, w = np.zeros((method.slots, n)), method.hyper(), rng.normal(size=n)
    cells = method.search(rows.dtype)

    def remember(w):
        directions.lbfgs_note(w, rows.reshape(-1), numbers, cells)
        numbers[HYPER_STEPS] += 1

    for _ in range(4):
        before, slope = w.copy(), rng.normal(size=n)
        step = rng.normal(size=n)
        w = before + step
        rows[ROW_START], rows[ROW_BEFORE], rows[ROW_GRADIENT] = before, slope, slope + 2 * step
        remember(w)
    kept, count = rows[ROW_OWN:].copy(), numbers[HYPER_PAIRS]
    assert count == 4 and (np.abs(kept).sum(axis=1) > 0).all()
    np.testing.assert_allclose((kept[:3] * kept[3:]).sum(axis=1), 1, rtol=1e-12)
    for uphill in (1, -1):
        rows[ROW_START], rows[ROW_BEFORE], rows[ROW_GRADIENT] = w, uphill * step, uphill * step + change * step
        remember(w + step)
        assert numbers[HYPER_PAIRS] == count and (rows[ROW_OWN:] == kept).all()
    numbers[HYPER_STEPS] = 0
    rows[ROW_START], rows[ROW_BEFORE], rows[ROW_GRADIENT] = w, slope, slope + 2 * step
    remember(w + step)
    assert numbers[HYPER_PAIRS] == 1, "after a restart the others are forgotten"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("count", "n"), [(1, 5), (4, 70), (6, 2048), (9, 4100), (11, 3)])
def test_products_and_mixtures(count, n, dtype, rng):
    """Any number of vectors, shorter and longer than a block; what is not asked for is not looked at."""
    rows = rng.normal(size=(count + 5, n)).astype(dtype)
    a, b, weights = rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype), rng.normal(size=count + 5)
    with_a, with_b, all_a, all_b = np.full((4, count + 5), np.nan)
    vectors.products(rows.reshape(-1), count + 5, count, n, a, b, with_a, with_b)
    vectors.products(rows.reshape(-1), count + 5, count + 5, n, a, b, all_a, all_b)
    assert (with_a[:count] == all_a[:count]).all() and (with_b[:count] == all_b[:count]).all()
    wide = rows.astype(float)
    np.testing.assert_allclose(all_a, wide @ a.astype(float), atol=1e-11)
    np.testing.assert_allclose(all_b, wide @ b.astype(float), atol=1e-11)
    out = np.full(n, np.nan, dtype)
    vectors.mix(out, n, 0.5, a, rows.reshape(-1), weights, count + 5)
    close(out, 0.5 * a.astype(float) + weights @ wide, dtype, factor=100)


def test_sums_of_vectors_are_double():
    a = np.array([1e8, 1.0, -1e8], np.float32)
    assert vectors.dot(a, np.ones(3, np.float32)) == 1.0
    a = np.float32([1e25, 1e-25])
    assert vectors.dot(a, a) == pytest.approx(1e50), "and so is each product"
    assert vectors.dot(a[1:], a[1:]) == pytest.approx(1e-50)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rprop(variant):
    """A bowl that is not along the axes, whose slopes change sign all the time."""
    function, method = bowl(6), VARIANTS[variant]
    twin, w = naive.Rprop(variant, 6), np.linspace(-2, 3, 6)
    rows, numbers = np.zeros((4, 6)), method.hyper()
    mine, retreats = w.copy(), 0

    def evaluate(gradient):
        cost, gradient[:] = function(mine)
        return cost

    method.begin(evaluate, rows, numbers)
    for _ in range(100):
        before = twin.move.copy()
        cost, slope = function(w)
        retreats += ((slope * twin.before < 0) & (before != 0)).sum()
        w = twin.step(w, slope, cost)
        assert method.step(evaluate, mine, rows, numbers)
        close(mine, w, factor=100)
        assert numbers[tables.HYPER_COST] == function(mine)[0]
    assert retreats > 20


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("growth", [1.75, 1.2])
def test_quickprop(growth, dtype, rng):
    """Slopes that keep their sign and change it, grow and vanish, and a weight that has none."""
    n, steps = 31, 60
    twin, method = naive.Quickprop(0.1, growth, n), Quickprop(0.1, growth)
    w = rng.normal(size=n).astype(dtype)
    mine, expected, rows, numbers = w.copy(), w.astype(float), np.zeros((3, n), dtype), method.hyper()
    slopes = (rng.normal(size=(steps, n)) + 2 * rng.normal(size=n)).astype(dtype)
    slopes[:, 0] = 0
    slopes[rng.uniform(size=slopes.shape) < 0.05] = 0
    cases = set()
    for before, slope in zip(slopes, slopes[1:], strict=False):
        rows[ROW_GRADIENT] = before
        method.step(lambda gradient: 0.0, mine, rows, numbers)  # noqa: B023
        expected = twin.step(expected, before.astype(float), 0.0)
        close(rows[2], twin.move, dtype, factor=100)
        rows[2], mine[:] = twin.move, expected  # each step on its own: a parabola magnifies the last digits
        cases |= set(zip(twin.move != 0, slope * before > 0, abs(slope) > abs(before), strict=True))
    assert len(cases) == 6, "of eight: where there was no step there was no slope that could keep its sign"
    bad = slopes[-1].copy()
    bad[[0, 5]] = np.nan
    rows[ROW_GRADIENT] = bad
    method.step(lambda gradient: 0.0, mine, rows, numbers)
    assert (np.isnan(mine) == np.isnan(bad)).all()


def test_quickprop_jumps_to_the_minimum_of_a_parabola():
    """By the slope, past the minimum since the slope kept its sign, and back into it."""
    w, path = minimise(Quickprop(0.1, growth=100), lambda w: (0.5 * w @ w, w.copy()), [3.0, -1.0], 3)
    np.testing.assert_allclose(path, [5.0, 0.81 * 5, 0.0081 * 5, 0], atol=1e-14)


@pytest.mark.parametrize("length", [1e-200, 1e200, math.nan])
def test_a_direction_whose_square_is_0_or_infinite_gives_way_to_the_gradient(length, rng):
    """As a file may hold it: of the scaled conjugate gradients, which divide by its length."""
    X, Y = real_data(rng, "squared_error", None, 12, 2, 1)
    net = network((2, 3, 1), dtype="float64").fit(X, Y, epochs=3, optimizer=ScaledConjugateGradient())
    before = net.history.cost[-1]
    rows = net._progress.state.reshape(-1, net.n_parameters)
    rows[ROW_DIRECTION] = -np.sign(rows[ROW_GRADIENT]) * length
    net.fit(X, Y, epochs=5, resume=True)
    assert net.history.cost[-1] < before


@pytest.mark.parametrize("method", [*(method for method in FALLING if not isinstance(method, LBFGS)), LBFGS(20)],
                         ids=str)
def test_a_parabola_takes_about_as_many_steps_as_it_has_axes(method):
    w, path = minimise(method, bowl(8), np.linspace(-2, 3, 8), 24)
    assert path[-1] < 1e-7 * path[0] and len(path) > 5


@pytest.mark.parametrize("method", [method for method in FALLING if method != LBFGS(3)], ids=str)
def test_rosenbrock(method):
    w, path = minimise(method, rosenbrock, [-1.2, 1.0], 400)
    assert np.abs(w - 1).max() < 1e-6
    assert (np.diff(path) <= 0).all()


# ---------------------------------------------------------------------------------------------------------- line search

FUNCTIONS = {
    "moré-thuente 1": (lambda a: -a / (a * a + 2), lambda a: (a * a - 2) / (a * a + 2) ** 2),
    "moré-thuente 2": (lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
                       lambda a: 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3),
    "waves": (lambda a: a * a - 3 * a + 0.2 * np.sin(9 * a), lambda a: 2 * a - 3 + 1.8 * np.cos(9 * a)),
    "barrier": (lambda a: -a - np.log(1 - a) * 0.5 if a < 1 else np.nan,
                lambda a: -1 + 0.5 / (1 - a) if a < 1 else np.nan),
    "overflow": (lambda a: (a - 1) ** 2 if a < 50 else np.inf, lambda a: 2 * (a - 1)),
}  # fmt: skip


judge = kernel(line_search.judge.py_func) if JIT else line_search.judge  # Python cannot call what kernels alone call


def along(cost, slope, first, c2):
    """Search a line; give what becomes of it, where, and the points that were tried."""
    cells, seen = np.zeros(tables.SEARCH_COUNT), []
    cells[[tables.SEARCH_C2, tables.SEARCH_ALPHA]] = c2, first
    with np.errstate(all="ignore"):
        cells[[tables.SEARCH_START_COST, tables.SEARCH_LOW_COST]] = cost(0.0)
        cells[[tables.SEARCH_START_SLOPE, tables.SEARCH_LOW_SLOPE]] = slope(0.0)
        verdict = tables.LINE_GOES_ON
        while verdict == tables.LINE_GOES_ON:
            seen.append(float(cells[tables.SEARCH_ALPHA]))
            verdict = judge(cells, float(cost(seen[-1])), float(slope(seen[-1])))
    return verdict, cells[tables.SEARCH_ALPHA], seen


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("c2", [0.9, 0.1])
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_strong_wolfe(name, c2, first):
    cost, slope = FUNCTIONS[name]
    verdict, alpha, seen = along(cost, slope, first, c2)
    assert verdict == tables.LINE_FOUND and alpha == seen[-1] > 0
    assert cost(alpha) <= cost(0.0) + line_search.DECREASE * alpha * slope(0.0)
    assert abs(slope(alpha)) <= -c2 * slope(0.0)
    assert len(seen) <= 20


def test_a_line_that_does_not_fall_gives_nothing():
    assert along(lambda a: a, lambda a: 1.0 if a else -1.0, 1.0, 0.9)[0] == tables.LINE_NOTHING


def test_a_line_without_end_gives_the_lowest_point():
    verdict, alpha, seen = along(lambda a: -a, lambda a: -1.0, 1.0, 0.9)
    assert verdict == tables.LINE_FOUND and alpha == seen[-1] > 1e6


def test_a_line_whose_minimum_has_a_kink_gives_the_lowest_point():
    """Where the last try is not the lowest one, it is gone back to."""
    verdict, alpha, seen = along(lambda a: abs(a - 0.3), lambda a: -1.0 if a < 0.3 else 1.0, 1.0, 0.1)
    assert verdict in (tables.LINE_FOUND, tables.LINE_LOWEST)
    assert alpha == min(seen, key=lambda a: abs(a - 0.3)) and (alpha == seen[-1]) == (verdict == tables.LINE_FOUND)


def test_steps_over_kinks_end_where_they_are_lowest():
    """Passes go back to the lowest point of a line where none fulfils the second condition."""
    w = np.array([3.0, -2.0])
    seen, path = search(LBFGS(), lambda w: (abs(w[0]) + 3 * abs(w[1]), np.sign(w) * [1.0, 3.0]), w, 30)
    assert (np.diff(path) <= 0).all() and path[-1] < 0.2 * seen[0]
    assert len(seen) > len(set(seen)), "it went back"


# ------------------------------------------------------------------------------------------------------------- training


def waves(dtype="float64", samples=few(200, 16)):  # noqa: B008
    x = np.linspace(-3, 3, samples).reshape(-1, 1)
    return x.astype(dtype), (np.sin(2 * x) + 0.1 * x).astype(dtype)


@pytest.mark.parametrize("dtype", few(DTYPES, ["float64"]))
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_regression(method, dtype):
    X, Y = waves(dtype)
    net = Network((1, 12, 1), dtype=dtype, seed=1)
    before = net.cost(X, Y)
    net.fit(X, Y, epochs=few(300, 200), optimizer=method)
    assert net.history.cost[-1] < (0.05 if method in FALLING else 0.2) * before
    assert net.history.cost[-1] == net.cost(X, Y), "the cost after the step"
    if method in FALLING:
        assert (np.diff(net.history.cost) <= 0).all()


@pytest.mark.parametrize("method", FALLING, ids=str)
def test_a_minimum_ends_training(method, rng):
    """Linear regression with weighted samples, where the minimum is known."""
    X, Y = real_data(rng, "squared_error", None, 40, 4, 2)
    weights = rng.uniform(0.1, 2, 40)
    net = Network((4, 2), dtype="float64", seed=0)
    net.fit(X, Y, epochs=1000, optimizer=method, sample_weight=weights)
    assert len(net.history) < 200
    root = np.sqrt(weights)[:, None]
    exact = np.linalg.lstsq(root * np.column_stack([X, np.ones(40)]), root * Y, rcond=None)[0]
    np.testing.assert_allclose(np.column_stack([net.weights[0], net.biases[0]]), exact.T, atol=1e-6)


@pytest.mark.parametrize("method", FALLING, ids=str)
def test_where_there_is_nothing_to_gain_nothing_changes(method):
    net = Network((2, 3, 1), dtype="float64", seed=0)
    X = np.ones((5, 2))
    Y, before = net.predict(X), net.parameters.copy()
    for layer in net.gradient(X, Y):
        assert layer == 0
    net.fit(X, Y, epochs=9, optimizer=method)
    assert (net.parameters == before).all() and len(net.history) == 1 and net.history.cost[0] == 0


def trained(net, X, Y):
    """Return the function of the parameters that a fit minimises."""
    def function(w):
        net.parameters[:] = w
        return net.cost_and_gradient(X, Y)

    return function


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", SEARCHING, ids=str)
def test_a_fit_has_the_bits_of_a_search_from_python(method, dtype):
    """Many steps in a call of the kernel, with 3 threads, and one pass at a time in Python."""
    X, Y = waves(dtype)
    net = Network((1, 6, 1), dtype=dtype, seed=3)
    w = net.parameters.copy()
    _, path = search(method, trained(net.copy(), X, Y), w, 40)
    net.fit(X, Y, epochs=40, optimizer=method, threads=3)
    assert (net.parameters == w).all() and (net.history.cost == path).all()


def test_lbfgs_takes_no_more_evaluations_than_scipy():
    """To the cost that both reach from the same start, over several: single runs end in different minima."""
    optimize = pytest.importorskip("scipy.optimize")
    X, Y = waves(samples=few(200, 40))
    ratios = []
    for seed in range(few(8, 4)):
        net = Network((1, 6, 1), dtype="float64", seed=seed)
        function, theirs = trained(net.copy(), X, Y), []

        def listed(w, function=function, theirs=theirs):
            cost, gradient = function(w)
            theirs.append(cost)
            return cost, gradient

        optimize.minimize(listed, net.parameters.copy(), jac=True, method="L-BFGS-B",
                          options={"maxiter": 60, "maxcor": 10, "ftol": 0, "gtol": 0})
        mine, _ = search(LBFGS(), function, net.parameters.copy(), 60)
        assert len(mine) <= 1.2 * len(theirs)
        both = max(min(mine), min(theirs))
        ratios.append(np.argmax(np.array(mine) <= both) / np.argmax(np.array(theirs) <= both))
    assert np.exp(np.mean(np.log(ratios))) <= 1.2


@pytest.mark.parametrize("seed", range(3))
def test_the_line_is_not_searched_below_the_resolution_of_the_cost(seed, rng):
    """At the minimum it used to try 25 steps along each of two directions, and to come there again."""
    X, Y = real_data(rng, "squared_error", None, 40, 4, 2, "float32")
    net = Network((4, 2), seed=seed)
    costs, path = search(LBFGS(), trained(net, X, Y), net.parameters.copy(), 100)
    assert 5 < len(path) < 20 and len(costs) < len(path) + 15


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_resumption_and_threads_change_no_bit(method, tmp_path):
    X, Y = waves()
    whole = Network((1, 6, 1), dtype="float64", seed=1).fit(X, Y, epochs=25, optimizer=method)
    first = Network((1, 6, 1), dtype="float64", seed=1)
    first.fit(X, Y, epochs=13, optimizer=method, threads=2, callbacks=[Checkpoint(tmp_path / "net", 12)])
    for net, done in ((first, 13), (Network.load(tmp_path / "net"), 12)):
        assert len(net.history) == done
        net.fit(X, Y, epochs=25 - done, resume=True)
        assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


@contextmanager
def interrupted(monkeypatch, method, after):
    """Press Ctrl-C when so many passes over the samples are done; here a call of the kernel has one."""
    calls, call, known = [], CompiledSteps.call, full_batch.evaluation

    def interrupt():
        calls.append(None)
        if len(calls) == after:
            raise KeyboardInterrupt

    def one_pass(self):
        self.blocks = 1
        call(self)
        interrupt()

    @contextmanager
    def evaluation(*arguments):
        with known(*arguments) as evaluate:
            def told(gradient):
                cost = evaluate(gradient)
                interrupt()
                return cost

            vars(told).update(vars(evaluate))  # network and samples, which some methods ask for
            yield told

    with monkeypatch.context() as patch:
        if isinstance(method, LineSearch):
            patch.setattr(CompiledSteps, "call", one_pass)
        else:
            patch.setattr(full_batch, "evaluation", evaluation)
        yield


REGULAR = Regularization(l2=1e-3, trainable=np.arange(19) != 4)


@pytest.mark.parametrize(("method", "regularization"), [
    *((method, None) for method in (*METHODS, *SECOND_ORDER)),
    *((method, REGULAR) for method in (*SEARCHING, Rprop())),
], ids=lambda value: "regularised" if value is REGULAR else str(value))  # fmt: skip
def test_who_resumes_after_an_interrupt_has_the_uninterrupted_training(method, regularization, monkeypatch):
    """Ctrl-C while a cost is computed, twice, with the method's state half moved on."""
    X, Y = waves()
    whole = Network((1, 6, 1), dtype="float64", seed=1).fit(X, Y, epochs=40, optimizer=method,
                                                            regularization=regularization)
    net = Network((1, 6, 1), dtype="float64", seed=1)
    for resume, after in ((False, 12), (True, 5), (True, 12)):
        done = len(net.history)
        with pytest.raises(KeyboardInterrupt), interrupted(monkeypatch, method, after):
            net.fit(X, Y, epochs=40, optimizer=method, resume=resume, regularization=regularization)
        assert done < len(net.history) < done + after
        cost, _ = net.cost_and_gradient(X, Y, regularization=regularization)
        assert abs(cost - net.history.cost[-1]) <= (0 if regularization is None else 1e-15)
    net.fit(X, Y, epochs=40 - len(net.history), resume=True, regularization=regularization)
    assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


@pytest.mark.parametrize("method", SEARCHING, ids=str)
def test_every_pass_can_be_the_last(method, monkeypatch):
    """Ctrl-C after each pass in turn, also those of a restart: parameters of the last step, and its bits from there."""
    X, Y = waves()
    passes = few(30, 12)
    whole = Network((1, 3, 1), dtype="float64", seed=2).fit(X, Y, epochs=passes, optimizer=method)
    for after in range(1, passes):
        net = Network((1, 3, 1), dtype="float64", seed=2)
        with pytest.raises(KeyboardInterrupt), interrupted(monkeypatch, method, after):
            net.fit(X, Y, epochs=passes, optimizer=method)
        if len(net.history):
            assert net.cost(X, Y) == net.history.cost[-1]
        net.fit(X, Y, epochs=passes - len(net.history), resume=True)
        assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


@pytest.mark.parametrize("method", SEARCHING, ids=str)
def test_an_interrupt_between_two_passes_undoes_the_line(method, monkeypatch):
    """Where Python has the word: parameters go back to where the line began."""
    X, Y = waves()
    whole = Network((1, 3, 1), dtype="float64", seed=2).fit(X, Y, epochs=12, optimizer=method)
    run = LineSearches.run
    for after in range(2, 9):
        net, calls = Network((1, 3, 1), dtype="float64", seed=2), []

        def one_pass(self, last, epochs_ended, after=after, calls=calls):
            self.blocks = 1
            run(self, last, epochs_ended)
            calls.append(None)
            if len(calls) == after:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(LineSearches, "run", one_pass)
            with pytest.raises(KeyboardInterrupt):
                net.fit(X, Y, epochs=12, optimizer=method)
        if len(net.history):
            assert net.cost(X, Y) == net.history.cost[-1]
        net.fit(X, Y, epochs=12 - len(net.history), resume=True)
        assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "scaledconjugategradient"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_an_interrupt_while_epochs_are_noted_loses_none(where, optimizer, monkeypatch):
    """Of the many that a call has finished, before or after they stand in the history."""
    X, Y = waves()
    settings = dict(epochs=20, batch_size=len(X), optimizer=optimizer)
    whole = Network((1, 3, 1), dtype="float64", seed=2).fit(X, Y, **settings)
    net, extend, calls = Network((1, 3, 1), dtype="float64", seed=2), History.extend, []

    def noted(self, *rows):
        calls.append(None)
        if len(calls) == 1 and where == "before":
            raise KeyboardInterrupt
        extend(self, *rows)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(History, "extend", noted)
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, **settings)
    assert len(net.history) >= 1 and net.history.epoch.tolist() == list(range(1, len(net.history) + 1))
    if len(net.history) < 20:
        net.fit(X, Y, **settings | {"epochs": 20 - len(net.history)}, resume=True)
    assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


def test_an_interrupt_after_the_step_takes_it_back(monkeypatch):
    """Where the penalty is computed for the record, after all of the method's state."""
    X, Y = waves()
    settings = dict(optimizer=Rprop(), regularization=Regularization(l2=1e-3))
    whole = Network((1, 6, 1), dtype="float64", seed=1).fit(X, Y, epochs=30, **settings)
    net, real, calls = Network((1, 6, 1), dtype="float64", seed=1), penalties.penalty, []

    def penalty(*arguments):
        penalize = real(*arguments)

        def interrupt(gradient):
            calls.append(gradient.size)
            if calls.count(0) == 10:
                raise KeyboardInterrupt
            return penalize(gradient)

        return interrupt

    with monkeypatch.context() as patch:
        patch.setattr(penalties, "penalty", penalty)
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, epochs=30, **settings)
    assert len(net.history) == 9
    net.fit(X, Y, epochs=21, resume=True, regularization=settings["regularization"])
    assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


@pytest.mark.parametrize("method", SEARCHING, ids=str)
def test_steps_one_by_one_are_those_of_one_call(method):
    """A listener is told of each step, for which the kernel comes back; several threads, blocks and weights."""
    X, Y = np.tile(waves("float32")[0], (15, 1)), np.tile(waves("float32")[1], (15, 1))
    options = dict(epochs=few(30, 5), optimizer=method, sample_weight=np.linspace(0.1, 2, len(X)))
    whole = Network((1, 7, 1), seed=1).fit(X, Y, **options)
    costs = []
    net = Network((1, 7, 1), seed=1).fit(X, Y, threads=2, callbacks=[lambda record: costs.append(record.cost)],
                                         **options)
    assert (net.parameters == whole.parameters).all() and costs == whole.history.cost.tolist()


def test_divergence_restores():
    X, Y = waves("float32")
    net = Network((1, 1), dtype="float32", seed=0)
    with pytest.raises(DivergenceError), np.errstate(over="ignore"):  # which NumPy reports with the JIT off
        net.fit(X, Y, epochs=5, optimizer=Rprop(first_step=1e30, largest=1e38))
    assert np.isfinite(net.parameters).all()


def prune(*epochs, then=None):
    """A callback that sets the smaller half of the parameters to 0 after some epochs."""

    def callback(record):
        if record.epoch in epochs:
            w = record.network.parameters
            w[abs(w) < np.median(abs(w))] = 0
            return then
        return None

    return callback


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [*METHODS, *SECOND_ORDER], ids=str)
def test_a_callback_may_change_the_parameters(method, dtype):
    """The step after it starts from the cost and the gradient there, and nothing ends before its time."""
    X, Y = waves(dtype)
    net, seen, epochs = Network((1, 5, 1), dtype=dtype, seed=1), [], few(30, 12)

    def look(record):
        gradient = net.cost_and_gradient(X, Y)[1]
        seen.append((net.cost(X, Y), record.gradient_norm() / np.linalg.norm(gradient.astype(float))))

    net.fit(X, Y, epochs=epochs, optimizer=method, callbacks=[prune(4, 5, 9), look])
    costs, norms = np.array(seen).T
    np.testing.assert_allclose(norms, 1, rtol=1e-3)
    assert len(net.history) == epochs
    assert (costs[[3, 8]] != net.history.cost[[3, 8]]).all()
    close(net.history.cost[9:], costs[9:], dtype)
    if isinstance(method, tuple(map(type, [*FALLING, LevenbergMarquardt()]))):
        assert (net.history.cost[[4, 5, 9]] <= costs[[3, 4, 8]]).all()
    assert net.history.cost[-1] < costs[8]


@pytest.mark.parametrize("regularization", [None, Regularization(l2=1e-3)], ids=["plain", "l2"])
@pytest.mark.parametrize("method", [*SEARCHING, Quickprop()], ids=str)
def test_after_a_callback_has_changed_the_parameters_a_method_begins_anew(method, regularization):
    """With the bits of a new fit from there, where it remembers directions only; also one that resumes."""
    X, Y = waves()
    settings = {"optimizer": method, "regularization": regularization}
    net, stopped, anew = (Network((1, 5, 1), dtype="float64", seed=1) for _ in range(3))
    net.fit(X, Y, epochs=12, callbacks=[prune(5)], **settings)
    stopped.fit(X, Y, epochs=12, callbacks=[prune(5, then=True)], **settings)
    assert len(stopped.history) == 5
    anew.parameters = stopped.parameters
    anew.fit(X, Y, epochs=7, **settings)
    stopped.fit(X, Y, epochs=7, resume=True, regularization=regularization)
    for found in (net, stopped):
        assert (found.parameters == anew.parameters).all()
        assert (found.history.cost[5:] == anew.history.cost).all()


@pytest.mark.parametrize("method", [*METHODS, *SECOND_ORDER], ids=str)
def test_a_checkpoint_of_parameters_that_a_callback_has_changed_goes_on_bit_for_bit(method, tmp_path):
    """What is saved begins its direction anew, as the training that goes on does."""
    X, Y = waves()
    whole, path = Network((1, 5, 1), dtype="float64", seed=1), tmp_path / "training"
    killed = whole.copy()
    whole.fit(X, Y, epochs=12, optimizer=method, callbacks=[Checkpoint(path, 5), prune(5, 7)])
    killed.fit(X, Y, epochs=5, optimizer=method, callbacks=[Checkpoint(path, 5), prune(5)])
    found = Network.load(path).fit(X, Y, epochs=7, resume=True, callbacks=[prune(7)])
    assert (found.parameters == whole.parameters).all()
    assert (found.history.cost == whole.history.cost).all()


@pytest.mark.parametrize("method", [*METHODS, *SECOND_ORDER], ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_callback_that_leaves_the_finite_is_divergence(value, method):
    X, Y = waves()
    net, alone = (Network((1, 5, 1), dtype="float64", seed=1) for _ in range(2))

    def spoil(record):
        if record.epoch == 4:
            net.parameters[2:4] = value

    with pytest.raises(DivergenceError, match="epoch 5"), np.errstate(all="ignore"):
        net.fit(X, Y, epochs=9, optimizer=method, callbacks=[spoil])
    alone.fit(X, Y, epochs=4, optimizer=method)
    assert (net.parameters == alone.parameters).all()


@pytest.mark.parametrize("method", [*FALLING, LevenbergMarquardt()], ids=str)
def test_a_method_that_was_at_its_end_goes_on_where_a_callback_has_moved_it(method):
    X = np.linspace(-1, 1, 20).reshape(-1, 1)
    net, ended = Network((1, 1), dtype="float64", seed=1), 0
    net.fit(X, 2 * X + 1, epochs=200, optimizer=method)
    ended = len(net.history)
    assert ended < 200
    net.reset(1).fit(X, 2 * X + 1, epochs=200, optimizer=method, callbacks=[prune(ended)])
    assert len(net.history) > ended
    np.testing.assert_allclose(net.parameters, [2, 1], rtol=1e-4)


def test_validation_and_records_of_steps():
    X, Y = waves()
    seen = []
    net = network((1, 4, 1), dtype="float64")
    net.fit(X, Y, epochs=4, optimizer="lbfgs", validation=(X[:7], Y[:7]), callbacks=[seen.append])
    assert [record.updates for record in seen] == [1, 2, 3, 4]
    assert seen[-1].validation_cost == net.cost(X[:7], Y[:7])
    assert all(record.diagnostics["step_length"] > 0 and np.isnan(record.learning_rate) for record in seen)


@pytest.mark.parametrize(("options", "says"), [
    ({"batch_size": 12}, "LBFGS takes all samples in a step, but batch_size is 12 of .*: leave it out, or use 'adam'"),
    ({"profile": True}, "profile=True tells the phases of mini-batches"),
], ids=str)  # fmt: skip
def test_what_does_not_fit(options, says):
    with pytest.raises(ValueError, match=says):
        Network((1, 1)).fit(*waves(), optimizer=LBFGS(), **options)
    Network((1, 1)).fit(*waves(), optimizer=LBFGS(), batch_size=200, epochs=1)


@pytest.mark.parametrize(("make", "says"), [
    (lambda: LBFGS(0), "LBFGS: memory is 0, expected a whole number"),
    (lambda: Rprop(first_step=0), "Rprop: first_step is 0, expected a positive"),
    (lambda: Rprop(increase=0.9), "Rprop: decrease and increase are 0.5 and 0.9"),
    (lambda: Rprop(decrease=1.0), "Rprop: decrease and increase are 1.0 and 1.2"),
    (lambda: Rprop(first_step=100.0), "Rprop: first_step is 100.0, expected 1e-06 to 50.0"),
    (lambda: Rprop(largest=math.inf), "Rprop: largest is inf"),
    (lambda: Quickprop(growth=1), "Quickprop: growth is 1, expected a number above 1"),
    (lambda: Quickprop(0), "Quickprop: learning_rate is 0, expected a positive"),
], ids=range(8))  # fmt: skip
def test_bad_settings(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_compiled_code_is_told():
    with pytest.raises(ValueError, match="LBFGS works on the full batch"):
        jit.state(Network((1, 1)).compiled(), "lbfgs")


def test_names():
    assert optimizers.get("lbfgs") == LBFGS()
    assert optimizers.get("scaledconjugategradient") == ScaledConjugateGradient()

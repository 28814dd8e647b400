"""Full-batch methods: directions and rules against their twins, the line search, and what training makes of them."""

import math
from contextlib import contextmanager

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, network, real_data

from fastbp import (
    LBFGS,
    BayesianRegularization,
    Checkpoint,
    ConjugateGradient,
    DivergenceError,
    LevenbergMarquardt,
    Network,
    Quickprop,
    Regularization,
    Rprop,
    ScaledConjugateGradient,
    jit,
    optimizers,
    training,
)
from fastbp.batch_methods import BEFORE, COST, DECREASE, GRADIENT, OWN_ROW, SECOND, START, Point, strong_wolfe
from fastbp.kernels import vectors

SEARCHING = [LBFGS(), LBFGS(3), ConjugateGradient()]
FALLING = [*SEARCHING, ScaledConjugateGradient()]
VARIANTS = {
    "irprop+": Rprop(),
    "irprop-": Rprop(retreat=False),
    "rprop+": Rprop(improved=False),
    "rprop-": Rprop(improved=False, retreat=False),
}
METHODS = [*FALLING, *VARIANTS.values(), Quickprop()]


def minimise(method, function, w, steps):
    """Run a method on a function that gives cost and gradient; give the costs before and after each step."""
    w = np.array(w, np.float64)
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
    assert (rows[GRADIENT] == slope).all() or (isinstance(method, Rprop | Quickprop) and len(path) == 1)
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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_two_loops(count, dtype, rng):
    """Pairs in a ring of five rows, the newest in the middle."""
    n, memory, newest = 13, 5, 2
    steps, changes = rng.normal(size=(memory, n)), rng.normal(size=(memory, n))
    changes += 2 * steps
    size = np.sqrt((steps * changes).sum(axis=1, keepdims=True))
    assert (size > 0).all()
    steps, changes = steps / size, changes / size
    steps, changes, gradient = steps.astype(dtype), changes.astype(dtype), rng.normal(size=n).astype(dtype)
    direction = np.full(n, np.nan, dtype)
    vectors.two_loops(direction, gradient, steps, changes, np.empty(memory), count, newest)
    order = [(newest - k) % memory for k in range(count)][::-1]
    expected = naive.bfgs_direction(gradient.astype(float), [(steps[k].astype(float), changes[k].astype(float))
                                                             for k in order])
    close(direction, expected, dtype, factor=100)


@pytest.mark.parametrize("change", [-1.0, 0.0, 1e-18])
def test_a_pair_that_cannot_be_kept_leaves_the_others(change, rng):
    """Where the slope does not grow along a step, or by rounding only; the step may even seem to go uphill."""
    method, n = LBFGS(3), 5
    rows, numbers, w = np.zeros((method.slots, n)), method.hyper(), rng.normal(size=n)
    for _ in range(4):
        before, slope = w.copy(), rng.normal(size=n)
        step = rng.normal(size=n)
        w = before + step
        rows[START], rows[BEFORE], rows[GRADIENT] = before, slope, slope + 2 * step
        method.remember(w, rows, numbers)
    kept, count = rows[OWN_ROW:].copy(), numbers[SECOND]
    assert count == 4 and (np.abs(kept).sum(axis=1) > 0).all()
    np.testing.assert_allclose((kept[:3] * kept[3:]).sum(axis=1), 1, rtol=1e-12)
    for uphill in (1, -1):
        rows[START], rows[BEFORE], rows[GRADIENT] = w, uphill * step, uphill * step + change * step
        method.remember(w + step, rows, numbers)
        assert numbers[SECOND] == count and (rows[OWN_ROW:] == kept).all()


def test_sums_of_vectors_are_double():
    a = np.array([1e8, 1.0, -1e8], np.float32)
    assert vectors.dot(a, np.ones(3, np.float32)) == 1.0


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
        assert numbers[COST] == function(mine)[0]
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
        rows[GRADIENT] = before
        method.step(lambda gradient: 0.0, mine, rows, numbers)  # noqa: B023
        expected = twin.step(expected, before.astype(float), 0.0)
        close(rows[2], twin.move, dtype, factor=100)
        rows[2], mine[:] = twin.move, expected  # each step on its own: a parabola magnifies the last digits
        cases |= set(zip(twin.move != 0, slope * before > 0, abs(slope) > abs(before), strict=True))
    assert len(cases) == 6, "of eight: where there was no step there was no slope that could keep its sign"
    bad = slopes[-1].copy()
    bad[[0, 5]] = np.nan
    rows[GRADIENT] = bad
    method.step(lambda gradient: 0.0, mine, rows, numbers)
    assert (np.isnan(mine) == np.isnan(bad)).all()


def test_quickprop_jumps_to_the_minimum_of_a_parabola():
    """By the slope, past the minimum since the slope kept its sign, and back into it."""
    w, path = minimise(Quickprop(0.1, growth=100), lambda w: (0.5 * w @ w, w.copy()), [3.0, -1.0], 3)
    np.testing.assert_allclose(path, [5.0, 0.81 * 5, 0.0081 * 5, 0], atol=1e-14)


@pytest.mark.parametrize("method", [ConjugateGradient(), ScaledConjugateGradient(), LBFGS(20)], ids=str)
def test_a_parabola_takes_about_as_many_steps_as_it_has_axes(method):
    w, path = minimise(method, bowl(8), np.linspace(-2, 3, 8), 24)
    assert path[-1] < 1e-7 * path[0] and len(path) > 5


@pytest.mark.parametrize("method", [LBFGS(), ConjugateGradient(), ScaledConjugateGradient()], ids=str)
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


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("curvature", [0.9, 0.1])
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_strong_wolfe(name, curvature, first):
    cost, slope = FUNCTIONS[name]
    seen = []

    def along(alpha):
        seen.append(alpha)
        return Point(alpha, float(cost(alpha)), float(slope(alpha)))

    start = Point(0.0, float(cost(0.0)), float(slope(0.0)))
    found = strong_wolfe(along, start, first, curvature)
    assert found.alpha == seen[-1] > 0
    assert found.cost <= start.cost + DECREASE * found.alpha * start.slope
    assert abs(found.slope) <= -curvature * start.slope
    assert len(seen) <= 20


def test_a_line_that_does_not_fall_gives_nothing():
    assert strong_wolfe(lambda a: Point(a, a, 1.0), Point(0.0, 0.0, -1.0), 1.0, 0.9) is None


def test_a_line_without_end_gives_the_lowest_point():
    found = strong_wolfe(lambda a: Point(a, -a, -1.0), Point(0.0, 0.0, -1.0), 1.0, 0.9)
    assert found.cost < -1e6


# ------------------------------------------------------------------------------------------------------------- training


def waves(dtype="float64"):
    x = np.linspace(-3, 3, few(200, 40)).reshape(-1, 1)
    return x.astype(dtype), (np.sin(2 * x) + 0.1 * x).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
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


@contextmanager
def listening(monkeypatch, listener):
    """Call the listener with the cost of every evaluation."""
    known = training.evaluation

    @contextmanager
    def evaluation(*arguments):
        with known(*arguments) as evaluate:
            def told(gradient):
                cost = evaluate(gradient)
                listener(cost)
                return cost

            vars(told).update(vars(evaluate))  # network and samples, which some methods ask for
            yield told

    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluation", evaluation)
        yield


def test_lbfgs_takes_no_more_evaluations_than_scipy(monkeypatch):
    """To the cost that both reach from the same start, over several: single runs end in different minima."""
    optimize = pytest.importorskip("scipy.optimize")
    X, Y = waves()
    ratios = []
    for seed in range(few(8, 4)):
        net = Network((1, 6, 1), dtype="float64", seed=seed)
        trial, theirs, mine = net.copy(), [], []

        def function(w, trial=trial, theirs=theirs):
            trial.parameters[:] = w
            cost, gradient = trial.cost_and_gradient(X, Y)
            theirs.append(cost)
            return cost, gradient

        optimize.minimize(function, net.parameters.copy(), jac=True, method="L-BFGS-B",
                          options={"maxiter": 60, "maxcor": 10, "ftol": 0, "gtol": 0})
        with listening(monkeypatch, mine.append):
            net.fit(X, Y, epochs=60, optimizer=LBFGS())
        assert len(mine) <= 1.2 * len(theirs)
        both = max(min(mine), min(theirs))
        ratios.append(np.argmax(np.array(mine) <= both) / np.argmax(np.array(theirs) <= both))
    assert np.exp(np.mean(np.log(ratios))) <= 1.2


@pytest.mark.parametrize("seed", range(3))
def test_the_line_is_not_searched_below_the_resolution_of_the_cost(seed, rng, monkeypatch):
    """At the minimum it used to try 25 steps along each of two directions, and to come there again."""
    X, Y = real_data(rng, "squared_error", None, 40, 4, 2, "float32")
    net, costs = Network((4, 2), seed=seed), []
    with listening(monkeypatch, costs.append):
        net.fit(X, Y, epochs=100, optimizer=LBFGS())
    assert 5 < len(net.history) < 20 and len(costs) < len(net.history) + 15


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


@pytest.mark.parametrize("method", [*METHODS, LevenbergMarquardt(), BayesianRegularization()], ids=str)
def test_who_resumes_after_an_interrupt_has_the_uninterrupted_training(method, monkeypatch):
    """Ctrl-C while a cost is computed, twice, with the method's state half moved on."""
    X, Y = waves()
    whole = Network((1, 6, 1), dtype="float64", seed=1).fit(X, Y, epochs=40, optimizer=method)
    net, calls = Network((1, 6, 1), dtype="float64", seed=1), []

    def interrupt(cost):
        calls.append(cost)
        if len(calls) == 12:
            raise KeyboardInterrupt

    for resume in (False, True):
        calls.clear()
        done = len(net.history)
        with pytest.raises(KeyboardInterrupt), listening(monkeypatch, interrupt):
            net.fit(X, Y, epochs=40, optimizer=method, resume=resume)
        assert done < len(net.history) < done + 12
        assert net.cost(X, Y) == net.history.cost[-1]
    net.fit(X, Y, epochs=40 - len(net.history), resume=True)
    assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


@pytest.mark.parametrize("method", [LBFGS(2), ConjugateGradient(), Rprop()], ids=str)
def test_an_interrupt_after_the_step_takes_it_back(method, monkeypatch):
    """Where the penalty is computed for the record, after all of the method's state, a pair of L-BFGS's too."""
    X, Y = waves()
    settings = dict(optimizer=method, regularization=Regularization(l2=1e-3))
    whole = Network((1, 6, 1), dtype="float64", seed=1).fit(X, Y, epochs=30, **settings)
    net, real, calls = Network((1, 6, 1), dtype="float64", seed=1), training.penalty, []

    def interrupt(network, samples, gradient, regularization):
        calls.append(gradient.size)
        if calls.count(0) == 10:
            raise KeyboardInterrupt
        return real(network, samples, gradient, regularization)

    with monkeypatch.context() as patch:
        patch.setattr(training, "penalty", interrupt)
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, epochs=30, **settings)
    assert len(net.history) == 9
    net.fit(X, Y, epochs=21, resume=True, regularization=settings["regularization"])
    assert (net.parameters == whole.parameters).all() and (net.history.cost == whole.history.cost).all()


def test_divergence_restores():
    X, Y = waves("float32")
    net = Network((1, 1), dtype="float32", seed=0)
    with pytest.raises(DivergenceError), np.errstate(over="ignore"):  # which NumPy reports with the JIT off
        net.fit(X, Y, epochs=5, optimizer=Rprop(first_step=1e30, largest=1e38))
    assert np.isfinite(net.parameters).all()


def test_validation_and_records_of_steps():
    X, Y = waves()
    seen = []
    net = network((1, 4, 1), dtype="float64")
    net.fit(X, Y, epochs=4, optimizer="lbfgs", validation=(X[:7], Y[:7]), callbacks=[seen.append])
    assert [record.updates for record in seen] == [1, 2, 3, 4]
    assert seen[-1].validation_cost == net.cost(X[:7], Y[:7])
    assert all(record.learning_rate > 0 for record in seen)


@pytest.mark.parametrize(("options", "says"), [
    ({"batch_size": 32}, "LBFGS takes all samples in a step, but batch_size is 32 of .*: leave it out, or use 'adam'"),
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

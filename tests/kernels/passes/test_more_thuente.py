"""Steps of L-BFGS-B beside SciPy's: every point that is looked at, the number of steps, and how they end."""

import numpy as np
import pytest
import scipy.optimize
from helpers import few

from fastbp.estimators._lbfgs import ScipyLBFGS
from fastbp.kernels import tables
from fastbp.kernels.passes import more_thuente


def rosenbrock(x):
    return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)


def waves(x):
    """Many minima, so that lines are searched in all ways."""
    k = 1.0 + np.arange(x.size)
    return float(np.sum(1 - np.cos(3 * x * k)) + 0.05 * x @ x), 3 * k * np.sin(3 * x * k) + 0.1 * x


def kinks(x):
    k = 1.0 + np.arange(x.size)
    return float(np.sum(k * abs(x - 0.3))), k * np.sign(x - 0.3)


def long_valley(x):
    k = 10.0 ** np.arange(x.size)
    return float(0.5 * np.sum(k * (x - 1) ** 2)), k * (x - 1)


def tails(x):
    """Steps of 1 are much too short: the search goes far out."""
    return float(-np.sum(1 / (1 + (x / 1e3) ** 2))), 2 * x / 1e6 / (1 + (x / 1e3) ** 2) ** 2


def uphill(x):
    """The gradient has the wrong sign: there is no lower cost along any line."""
    return float(x @ x), -2 * x


FUNCTIONS = {f.__name__: f for f in (rosenbrock, waves, kinks, long_valley, tails, uphill)}
ENDS = {tables.OUTCOME_NONE: "ITERATIONS", tables.OUTCOME_FLAT: "NORM", tables.OUTCOME_STEADY: "REDUCTION",
        tables.OUTCOME_EVALUATIONS: "EVALUATIONS", tables.OUTCOME_LOST: "ABNORMAL"}


def ours(function, x, method, steps):
    """Return the points, the costs where steps ended, and the outcome, as `epoch.run` would have them."""
    w = x.copy()
    state, numbers, cells = np.zeros(method.slots * w.size), method.hyper(), method.search(w.dtype)
    progress, path = np.zeros(tables.PROGRESS_COUNT, np.int64), np.zeros(steps)
    sums, points = np.zeros(tables.SUM_COUNT), []
    cells[tables.SEARCH_LEFT] = steps
    while progress[tables.PROGRESS_STATUS] == tables.STATUS_RUNNING:
        if not points or (points[-1] != w).any():  # SciPy keeps cost and gradient of the last point
            points.append(w.copy())
        cost, state[: w.size] = function(w)
        sums[[tables.SUM_EPOCH_COST, tables.SUM_EPOCH_WEIGHT]] = cost, 1.0
        more_thuente.next_iterate(w, w[:0], state, numbers, progress, sums, cells, path, 0, 0)
    outcome = int(tables.WOLFE.view(cells[-tables.WOLFE_COUNT :])["outcome"])
    return points, path[: int(progress[tables.PROGRESS_EPOCH])], outcome, w


def theirs(function, x, method, steps):
    points, path = [], []

    def evaluate(x):
        points.append(x.copy())
        return function(x)

    found = scipy.optimize.minimize(evaluate, x, method="L-BFGS-B", jac=True, callback=lambda intermediate_result:
                                    path.append(intermediate_result.fun),
                                    options={"maxiter": steps, "maxfun": method.max_fun, "gtol": method.tol})
    return points, path, found


@pytest.mark.parametrize(("name", "n", "together"), [
    ("rosenbrock", 2, 30), ("rosenbrock", 7, 30), ("waves", 1, 6), ("waves", 7, 12), ("kinks", 1, 20), ("kinks", 2, 40),
    ("long_valley", 5, 12), ("tails", 2, 20), ("uphill", 2, 40)])  # fmt: skip
def test_points_are_scipys(name, n, together, rng):
    """As many as rounding leaves together; where these are all, the steps, the end and where it lies, too."""
    function = FUNCTIONS[name]
    for scale in few([0.1, 1.0, 30.0], [1.0]):
        x = scale * rng.normal(size=n)
        for method, steps in ((ScipyLBFGS(tol=1e-5), 300), (ScipyLBFGS(tol=1e-5), 4),
                              (ScipyLBFGS(tol=0.0, max_fun=9), 300)):
            mine, path, outcome, w = ours(function, x, method, steps)
            points, other, found = theirs(function, x, method, steps)
            shared = min(len(mine), len(points), together)
            np.testing.assert_allclose(mine[:shared], points[:shared], rtol=1e-6, atol=1e-6 * scale)
            if len(points) <= together:
                assert len(mine) == len(points) and len(path) == len(other)
                assert ENDS[outcome] in found.message.upper(), found.message
                np.testing.assert_allclose(path, other, rtol=1e-6, atol=1e-12)
                np.testing.assert_allclose(w, found.x, rtol=1e-6, atol=1e-6 * scale)

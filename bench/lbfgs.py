"""L-BFGS beside SciPy's L-BFGS-B and scikit-learn's solver "lbfgs": evaluations of the cost, and time.

``python -m bench.lbfgs`` prints its tables in Markdown and, with ``--markdown``, writes them between the markers of
docs/measured/lbfgs.md. Evaluations: both minimise the same cost from the same start,
and what counts is how many evaluations each needs to the cost that both reach; single runs differ widely, since the
problems have many minima, hence many seeds and their geometric mean. Time: as many iterations from the same start,
SciPy with the cost and gradient of `bench.plain` (NumPy), with scikit-learn's, and with fastbp's own. Sides take turns,
the best counts, in CPU time, which other processes disturb least. ``--times`` measures that table alone.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

import fastbp
from fastbp.kernels import tables
from fastbp.kernels.passes import line_search

from .peers import ROOT, between, processor, versions
from .suite.plain import PlainNetwork
from .suite.workloads import Array, Workload

UNLIMITED = {"ftol": 0.0, "gtol": 0.0, "maxfun": 10**7, "maxcor": 10}
"""SciPy stops after so many iterations, or where it finds nothing lower, as fastbp does."""

RACES = (((1, 6, 1), 200, 150), ((5, 30, 30, 2), 200, 150), ((10, 50, 50, 5), 200, 150), ((20, 80, 80, 5), 200, 100),
         ((100, 250, 250, 50), 200, 60), ((100, 250, 250, 50), 2000, 30))
"""Layers, samples and iterations of the networks that are timed."""

BEGIN, END = "<!-- lbfgs -->", "<!-- /lbfgs -->"
BEGIN_TIMES, END_TIMES = "<!-- lbfgs times -->", "<!-- /lbfgs times -->"

FLOOR = 1e-7
"""Costs below it are the same: they fall to 0 where classes can be told apart."""


class Problem(NamedTuple):
    """A network to be trained."""

    name: str
    layers: tuple[int, ...]
    options: dict[str, Any]
    X: Array
    Y: Array

    def network(self, seed: int, dtype: str) -> fastbp.Network:
        """Make it."""
        return fastbp.Network(self.layers, dtype=dtype, seed=seed, **self.options)


def problems() -> Iterator[Problem]:
    """Regressions and classifications, smooth and with kinks, one to three layers deep."""
    rng = np.random.default_rng(0)
    x = np.linspace(-3, 3, 200).reshape(-1, 1)
    wave = np.sin(2 * x) + 0.1 * x
    yield Problem("1-6-1 wave", (1, 6, 1), {}, x, wave)
    yield Problem("1-20-1 wave", (1, 20, 1), {}, x, wave)
    X = rng.normal(size=(300, 5))
    Y = np.sin(X @ rng.normal(size=(5, 2)))
    yield Problem("5-12-2 sines", (5, 12, 2), {}, X, Y)
    yield Problem("5-12-12-2 sines", (5, 12, 12, 2), {}, X, Y)
    yield Problem("5-12-2 sines, logistic", (5, 12, 2), {"activation": "logistic"}, X, Y)
    t, label = np.sqrt(rng.random(200)) * 3 * np.pi, np.arange(200) % 2
    S = np.stack([t * np.cos(t + np.pi * label), t * np.sin(t + np.pi * label)], axis=1) / 5
    yield Problem("2-16-16-2 spirals", (2, 16, 16, 2), {"cost": "cross_entropy"}, S, label)
    yield Problem("2-16-16-2 spirals, relu", (2, 16, 16, 2), {"activation": "relu", "cost": "cross_entropy"}, S, label)
    P = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(float)
    yield Problem("4-6-1 parity", (4, 6, 1), {"cost": "binary_cross_entropy"}, P, P.sum(axis=1) % 2)
    D, classes = load_digits(return_X_y=True)
    yield Problem("64-20-10 digits", (64, 20, 10), {"cost": "cross_entropy"}, D[:500] / 16, classes[:500])


def through_fastbp(net: fastbp.Network, X: Array, Y: Array, costs: list[float]) -> Callable[[Array], Any]:
    """Return the function that SciPy minimises, on fastbp's kernels; it lists the costs."""
    def function(parameters: Array) -> tuple[float, Array]:
        net.parameters[:] = parameters
        cost, gradient = net.cost_and_gradient(X, Y)
        costs.append(cost)
        return cost, gradient.astype(np.float64)

    return function


def passes(function: Callable[[Array], tuple[float, Array]], parameters: Array, steps: int) -> int:
    """Minimise a function that lists its costs as a fit by L-BFGS does, bit for bit (a test says so); count steps."""
    method, dtype = fastbp.LBFGS(), parameters.dtype
    state, numbers, cells = np.zeros(method.slots * parameters.size, dtype), method.hyper(), method.search(dtype)
    progress, path = np.zeros(tables.PROGRESS_COUNT, np.int64), np.zeros(steps)
    sums, best = np.zeros(tables.SUM_COUNT), parameters[:0]
    cells[tables.SEARCH_LEFT] = steps
    while progress[tables.PROGRESS_STATUS] == tables.STATUS_RUNNING:
        cost, state[: parameters.size] = function(parameters)
        sums[[tables.SUM_EPOCH_COST, tables.SUM_EPOCH_WEIGHT]] = cost, 1
        line_search.next_point(parameters, best, state, numbers, progress, sums, cells, path, 0, 0)
    return int(progress[tables.PROGRESS_EPOCH])


def count(problem: Problem, seeds: int, iterations: int, dtype: str) -> str:
    """Return a row of the table of evaluations."""
    ratios, mine_a_step, theirs_a_step, lower = [], [], [], 0
    for seed in range(seeds):
        net, mine, theirs = problem.network(seed, dtype), list[float](), list[float]()
        found = minimize(through_fastbp(net.copy(), problem.X, problem.Y, theirs), net.parameters.astype(float),
                         jac=True, method="L-BFGS-B", options=UNLIMITED | {"maxiter": iterations})
        steps = passes(through_fastbp(net.copy(), problem.X, problem.Y, mine), net.parameters.copy(), iterations)
        mine_a_step.append(len(mine) / steps)
        theirs_a_step.append(len(theirs) / found.nit)
        common = max(min(mine), min(theirs), FLOOR)
        lower += min(mine) < min(theirs)
        ratios.append((np.argmax(np.array(mine) <= common) + 1) / (np.argmax(np.array(theirs) <= common) + 1))
    low, high = np.quantile(ratios, [0.25, 0.75])
    return (f"| {problem.name}, {dtype} | {np.mean(mine_a_step):.2f} | {np.mean(theirs_a_step):.2f} | "
            f"{math.exp(np.mean(np.log(ratios))):.2f} ({low:.2f} to {high:.2f}) | {lower} of {seeds} |")


class Plain:
    """Cost and gradient of a network with tanh and squared error in NumPy, as SciPy wants them."""

    def __init__(self, net: fastbp.Network, X: Array, Y: Array) -> None:
        workload = Workload(net.layers, len(X), len(X))
        self.plain, self.X, self.Y = PlainNetwork(workload, np.float64), X.astype(float), Y.astype(float)

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        """Return both."""
        start = 0
        for array in self.plain.parameters:
            array[:] = parameters[start : start + array.size].reshape(array.shape)
            start += array.size
        cost, gradient = self.plain.gradient(self.X, self.Y)
        return cost, np.concatenate([g.ravel() for g in gradient])


class ScikitLearn:
    """The same of scikit-learn's MLPRegressor, as its solver "lbfgs" hands it to SciPy; parameters in its own order."""

    def __init__(self, net: fastbp.Network, X: Array, Y: Array) -> None:
        self.mlp = MLPRegressor(hidden_layer_sizes=net.layers[1:-1], activation="tanh", solver="lbfgs", alpha=0.0,
                                max_iter=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mlp.fit(X, Y.ravel() if Y.shape[1] == 1 else Y)
        self.outputs, coefs, intercepts = Y.shape[1], [W.T for W in net.weights], list(net.biases)
        self.start = self.pack(coefs, intercepts)
        nothing = [None] * len(coefs)
        self.arguments = (X, Y, None, [X, *nothing], nothing[:], [np.empty_like(W) for W in coefs],
                          [np.empty_like(b) for b in intercepts])

    @staticmethod
    def pack(coefs: list[Array], intercepts: list[Array]) -> Array:
        """Return all parameters in a row."""
        return np.concatenate([array.ravel() for array in (*coefs, *intercepts)])

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        """Return both; its loss is a mean over outputs, but its gradient is that of the sum."""
        loss, gradient = self.mlp._loss_grad_lbfgs(parameters, *self.arguments)
        return loss * self.outputs, gradient


def clock(work: Callable[[], Any], now: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
    """Return the seconds, and what came out."""
    start = now()
    found = work()
    return now() - start, found


def race(layers: tuple[int, ...], samples: int, iterations: int, rounds: int) -> str:
    """Return a row of the table of times."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(samples, layers[0]))
    Y = np.sin(X @ rng.normal(size=(layers[0], layers[-1])) / math.sqrt(layers[0]))
    networks = {dtype: fastbp.Network(layers, dtype=dtype, seed=0) for dtype in ("float64", "float32")}
    data = {dtype: (X.astype(dtype), Y.astype(dtype)) for dtype in networks}
    start = networks["float64"].copy()
    options = UNLIMITED | {"maxiter": iterations}

    def fit(dtype: str) -> tuple[int, float]:
        net = networks[dtype]
        net.fit(*data[dtype], epochs=iterations, optimizer=fastbp.LBFGS(), threads=1)
        return len(net.history), float(net.history.cost[-1])

    def scipy(function: Callable[[Array], Any], begin: Array) -> tuple[int, float]:
        found = minimize(function, begin.copy(), jac=True, method="L-BFGS-B", options=options)
        return found.nit, float(found.fun)

    plain, theirs = Plain(start, X, Y), ScikitLearn(start, X, Y)
    cost, gradient = plain(start.parameters)
    own, own_gradient = start.cost_and_gradient(X, Y)
    np.testing.assert_allclose(own, cost, rtol=1e-10)
    np.testing.assert_allclose(own_gradient, gradient, atol=1e-10)
    other = start.copy()
    other.parameters[:] = own_gradient
    cost, gradient = theirs(theirs.start)
    np.testing.assert_allclose(cost, own, rtol=1e-10)
    np.testing.assert_allclose(gradient, theirs.pack([W.T for W in other.weights], list(other.biases)), atol=1e-10)
    sides: dict[str, Callable[[], tuple[int, float]]] = {
        "float64": lambda: fit("float64"), "float32": lambda: fit("float32"),
        "NumPy": lambda: scipy(plain, start.parameters), "scikit-learn": lambda: scipy(theirs, theirs.start),
        "own cost": lambda: scipy(through_fastbp(start.copy(), X, Y, []), start.parameters),
    }
    best, reached = dict.fromkeys(sides, math.inf), {}
    for turn in range(rounds + 1):
        for net in networks.values():
            net.reset(0)
        for name, side in sides.items():
            with threadpool_limits(1):
                seconds, (steps, reached[name]) = clock(side, time.process_time)
            if turn > 0:  # the first compiles
                best[name] = min(best[name], seconds / steps)
    shape = "-".join(map(str, layers))
    return (f"| {shape}, {samples} samples | {start.n_parameters:,} | "
            + " | ".join(f"{1e6 * best[name]:,.0f} ({reached[name]:.1e})" for name in sides)
            + "".join(f" | {best[name] / best['float64']:.1f}" for name in ("NumPy", "scikit-learn", "own cost"))
            + f" | {best['NumPy'] / best['float32']:.1f} |")


def digits(iterations: int, rounds: int, threads: int) -> list[str]:
    """Return the rows of the table beside scikit-learn: its network 64-100-10 with relu, from its own start.

    As many iterations as scikit-learn makes of its own accord.
    """
    X, classes = load_digits(return_X_y=True)
    X = X / 16
    rows = {}
    for turn in range(rounds + 1):
        for dtype in ("float64", "float32"):
            inputs = X.astype(dtype)
            with warnings.catch_warnings(), threadpool_limits(threads):
                warnings.simplefilter("ignore", ConvergenceWarning)
                theirs = MLPClassifier(solver="lbfgs", alpha=0.0, max_iter=1, warm_start=True, random_state=0, tol=0.0)
                theirs.fit(inputs, classes)
                net = fastbp.Network((64, 100, 10), "relu", cost="cross_entropy", dtype=dtype)
                for W, b, theirs_W, theirs_b in zip(net.weights, net.biases, theirs.coefs_, theirs.intercepts_,
                                                    strict=True):
                    W[:], b[:] = theirs_W.T, theirs_b
                theirs.set_params(max_iter=iterations)
                seconds, _ = clock(lambda: theirs.fit(inputs, classes))  # noqa: B023
            own, _ = clock(lambda: net.fit(inputs, classes, epochs=theirs.n_iter_, optimizer=fastbp.LBFGS(),  # noqa: B023
                                           threads=threads))
            if turn > 0:
                both = own / len(net.history), seconds / theirs.n_iter_
                kept = rows.get(dtype, (both, None))[0]
                rows[dtype] = (tuple(map(min, both, kept)), (len(net.history), net.history.cost[-1], theirs.n_iter_,
                                                             theirs.loss_))
    return [f"| {dtype}, {threads} | {1e6 * best[0]:,.0f} ({ends[0]}, {ends[1]:.1e}) | {1e6 * best[1]:,.0f} "
            f"({ends[2]}, {ends[3]:.1e}) | {best[1] / best[0]:.1f} |" for dtype, (best, ends) in rows.items()]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.lbfgs", description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="starts of each problem (default: 60)")
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--threads", type=int, nargs="+", default=[1],
                        help="of both sides on digits; more than one on an idle machine only (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many (default: 3)")
    parser.add_argument("--markdown", nargs="?", type=Path, metavar="FILE",
                        const=ROOT / "docs" / "measured" / "lbfgs.md",
                        help=f"write the tables between {BEGIN} and {END} of this file "
                             "(default: docs/measured/lbfgs.md)")
    parser.add_argument("--times", action="store_true", help=f"the table of times beside SciPy alone, {BEGIN_TIMES}")
    options = parser.parse_args()
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    used = ", ".join(f"{name} {version}" for name, version in
                     versions(("fastbp", "scipy", "scikit-learn", "numba", "numpy")).items())
    if options.times:
        tell("| µs of CPU an iteration (cost reached) | parameters | fastbp float64 | fastbp float32 | SciPy, NumPy's "
             "cost | SciPy, scikit-learn's | SciPy, fastbp's | NumPy's ÷ float64 | scikit-learn's ÷ float64 "
             "| fastbp's ÷ float64 | NumPy's ÷ float32 |")
        tell("|---" + "|---:" * 10 + "|")
        for layers, samples, iterations in RACES:
            tell(race(layers, samples, iterations, options.rounds))
        tell(f"\nOne thread; the best of {options.rounds} rounds, the sides taking turns. {processor()}; {used}. "
             f"{datetime.date.today()}, `python -m bench.lbfgs --times --rounds {options.rounds} --markdown`.")
        if options.markdown is not None:
            between(options.markdown, BEGIN_TIMES, END_TIMES, "\n".join(lines))
        return
    tell("| L-BFGS | evaluations a step | SciPy | to the same cost, fastbp ÷ SciPy (quartiles) | lower in the end |")
    tell("|---|---:|---:|---:|---:|")
    for problem in problems():
        for dtype in ("float64", "float32"):
            tell(count(problem, options.seeds, options.iterations, dtype))
    tell("\n| digits 64-100-10 relu, threads: µs an iteration (iterations, cost) | fastbp | scikit-learn | ratio |")
    tell("|---|---:|---:|---:|")
    for threads in options.threads:
        for line in digits(200, options.rounds, threads):
            tell(line)
    tell(f"\n{options.seeds} starts of each problem, {options.iterations} iterations; "
         f"the best of {options.rounds} rounds, the sides taking turns. {processor()}; {used}. "
         f"{datetime.date.today()}, `python -m bench.lbfgs --markdown`.")
    if options.markdown is not None:
        between(options.markdown, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()

"""Levenberg–Marquardt beside SciPy's and one written with torch.func, from the same starts on one core in float64.

``python -m bench.levenberg_marquardt`` prints milliseconds an iteration on 1-20-1 with 20,000 points of sin(x)/x and on
10-50-1 with 10,000; the half mean square that 100 iterations reach from ten starts, beside SciPy's 100 evaluations; and
how much faster the same cost is reached. A peer that is not installed is left out. It takes some minutes with both.
"""

from __future__ import annotations

import argparse
import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ.setdefault(name, "1")

import importlib.util  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

import fastbp  # noqa: E402

HIDDEN, POINTS, ITERATIONS = 20, 20_000, 100
Array = Any


def problem() -> tuple[Array, Array]:
    """Sin(x)/x on [−10, 10], with the inputs scaled by 1/5."""
    x = np.linspace(-10, 10, POINTS).reshape(-1, 1)
    return x / 5, np.sinc(x / np.pi)


def network(seed: int) -> fastbp.Network:
    return fastbp.Network((1, HIDDEN, 1), dtype="float64", seed=seed)


def ours(seed: int, X: Array, Y: Array, iterations: int = ITERATIONS) -> tuple[Array, Array]:
    """Return cost and seconds after each iteration."""
    net = network(seed).fit(X, Y, epochs=iterations, optimizer="levenbergmarquardt", threads=1)
    return net.history.cost, net.history.seconds


def scipy_side(seed: int, X: Array, Y: Array) -> tuple[float, float, int]:
    """MINPACK's method with the Jacobian in NumPy: cost, seconds, evaluations."""
    from scipy.optimize import least_squares

    x, y, h = X[:, 0], Y[:, 0], HIDDEN

    def residual(p: Array) -> Array:
        return np.tanh(np.outer(x, p[:h]) + p[h : 2 * h]) @ p[2 * h : 3 * h] + p[3 * h] - y

    def jacobian(p: Array) -> Array:
        out = np.tanh(np.outer(x, p[:h]) + p[h : 2 * h])
        delta = (1 - out * out) * p[2 * h : 3 * h]
        return np.hstack([delta * x[:, None], delta, out, np.ones((len(x), 1))])

    start = time.perf_counter()
    found = least_squares(residual, network(seed).parameters.copy(), jacobian, method="lm", max_nfev=ITERATIONS,
                          ftol=1e-15, xtol=1e-15, gtol=1e-15)
    return float(found.cost) / len(x), time.perf_counter() - start, int(found.nfev)


def torch_side(seed: int, X: Array, Y: Array) -> tuple[float, float, int]:
    """Damp in the same way, with vmap(jacrev(…)): cost, seconds, iterations."""
    import torch

    torch.set_num_threads(1)
    h = HIDDEN
    x, y = torch.from_numpy(X[:, 0].copy()), torch.from_numpy(Y[:, 0].copy())
    p = torch.from_numpy(network(seed).parameters.copy())
    identity = torch.eye(len(p), dtype=torch.float64)

    def output(p: Any, x: Any) -> Any:
        return torch.tanh(p[:h] * x + p[h : 2 * h]) @ p[2 * h : 3 * h] + p[3 * h]

    outputs = torch.func.vmap(output, in_dims=(None, 0))
    jacobian = torch.func.vmap(torch.func.jacrev(output), in_dims=(None, 0))
    start = time.perf_counter()
    e = outputs(p, x) - y
    cost, damping, growth = 0.5 * float(e @ e) / len(x), None, 2.0
    for _ in range(ITERATIONS):
        J = jacobian(p, x)
        A, g = J.T @ J / len(x), J.T @ e / len(x)
        damping = 1e-3 * float(A.diagonal().max()) if damping is None else damping
        while True:
            factor, failed = torch.linalg.cholesky_ex(A + damping * identity)
            if not failed:
                step = -torch.cholesky_solve(g[:, None], factor)[:, 0]
                trial = outputs(p + step, x) - y
                now = 0.5 * float(trial @ trial) / len(x)
                if now < cost:
                    gain = (cost - now) / (0.5 * float(step @ (damping * step - g)))
                    damping, growth = damping * max(1 / 3, 1 - (2 * min(gain, 1.0) - 1) ** 3), 2.0
                    p, e, cost = p + step, trial, now
                    break
            damping, growth = damping * growth, 2 * growth
            if damping > 1e30:
                return cost, time.perf_counter() - start, ITERATIONS
    return cost, time.perf_counter() - start, ITERATIONS


def seconds_to(cost: float, path: tuple[Array, Array]) -> float:
    """When our costs were as low; infinite where they never were."""
    reached = np.flatnonzero(path[0] <= cost)
    return float(path[1][reached[0]]) if len(reached) else float("inf")


def compare(name: str, side: Any, starts: int, paths: list[tuple[Array, Array]], X: Array, Y: Array) -> None:
    ratios, theirs, each = [], [], []
    for seed in range(starts):
        cost, seconds, count = side(seed, X, Y)
        theirs.append(cost)
        each.append(1e3 * seconds / count)
        ratios.append(seconds / seconds_to(cost, paths[seed]))
    mine = [path[0][-1] for path in paths[:starts]]
    print(f"{name}: {min(each):.1f} ms an iteration at best, {np.median(each):.1f} in the median; it reaches "
          f"{np.median(theirs):.1e} in the median, {min(theirs):.1e} to {max(theirs):.1e}")
    print(f"  starts that end worse here: {sum(a > b for a, b in zip(mine, theirs, strict=True))} of {starts}; to the "
          f"same cost fastbp is {min(ratios):.0f} to {max(ratios):.0f} times as fast, "
          f"{np.exp(np.mean(np.log(ratios))):.0f} in the geometric mean")


def processor(fit: Callable[[], int]) -> float:
    """Milliseconds of processor time an iteration: what a machine that others use as well does not change much."""
    start = time.process_time()
    iterations = fit()
    return 1e3 * (time.process_time() - start) / iterations


def wide(rounds: int) -> tuple[float, float]:
    """Least milliseconds an iteration on 10-50-1 with 10,000 points: wall and processor."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (10_000, 10))
    Y = np.sin(X @ rng.normal(size=(10, 1)))
    walls, processors = [], []
    for seed in range(rounds):
        net = fastbp.Network((10, 50, 1), dtype="float64", seed=seed)
        processors.append(processor(lambda net=net: len(
            net.fit(X, Y, epochs=12, optimizer="levenbergmarquardt", threads=1).history)))
        walls.append(1e3 * float(np.diff(net.history.seconds).min()))
    return min(walls), min(processors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=10, help="how many starts, SciPy's side included")
    parser.add_argument("--torch-starts", type=int, default=3, help="how many of them torch.func takes")
    options = parser.parse_args()
    X, Y = problem()
    ours(0, X, Y, 2)  # compiles
    paths = [ours(seed, X, Y) for seed in range(options.starts)]
    final = [path[0][-1] for path in paths]
    times = [1e3 * np.diff(path[1]) for path in paths]
    print(f"1-20-1, {POINTS} points: {min(t.min() for t in times):.2f} ms an iteration at best, "
          f"{np.median(np.concatenate(times)):.2f} in the median, {min(t.mean() for t in times):.2f} over the fastest "
          f"start's {ITERATIONS}, steps not made included")
    print(f"  half mean square after {ITERATIONS} iterations: {np.median(final):.1e} in the median of {options.starts} "
          f"starts, {min(final):.1e} to {max(final):.1e}")
    used = min(processor(lambda: len(ours(0, X, Y, 50)[0])) for _ in range(3))
    print(f"  processor time: {used:.2f} ms an iteration, steps not made included")
    print("10-50-1, 10,000 points: {:.1f} ms an iteration at best; processor time {:.1f}".format(*wide(3)))
    if importlib.util.find_spec("scipy"):
        compare("SciPy", scipy_side, options.starts, paths, X, Y)
    if importlib.util.find_spec("torch"):
        compare("torch.func", torch_side, min(options.torch_starts, options.starts), paths, X, Y)


if __name__ == "__main__":
    main()

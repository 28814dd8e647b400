"""Single predictions in C: what `Network.to_c` writes, beside `predict` of one row and emlearn's C of the same weights.

Needs gcc; emlearn and scikit-learn where they are installed. Times are the least of several rounds, in turn; errors are
the largest beside the same network in float64, relative to the largest output.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import fastbp

SHAPES = [((4, 32, 2), "tanh"), ((20, 32, 32, 1), "relu"), ((20, 32, 32, 1), "tanh"), ((64, 128, 128, 10), "relu")]
LOOP = """
#include <time.h>
double {name}_time(const float *x, float *y, int n);
double {name}_time(const float *x, float *y, int n)
{{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < n; ++i)
        {call};
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
}}
"""
Timed = Callable[[np.ndarray, np.ndarray, int], float]


def theirs(layers: tuple[int, ...], activation: str) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
    """Return a regressor of scikit-learn's after one step, its weights and biases."""
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, layers[0])).astype(np.float32), rng.normal(size=(50, layers[-1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(hidden_layer_sizes=layers[1:-1], activation=activation, max_iter=1, random_state=0)
        model.fit(X, y.squeeze())
    return model, [W.T for W in model.coefs_], list(model.intercepts_)


def sources(folder: Path, net: fastbp.Network, model: Any) -> dict[str, str]:
    """Write the sources, and return how each is called."""
    net.to_c(folder / "fast.c", prefix="fast")
    net.to_c(folder / "alone.c", prefix="alone", libm=False)
    found = {"fast": "fast_predict(x, y)", "alone": "alone_predict(x, y)"}
    if model is not None:
        import emlearn

        code = emlearn.convert(model, method="inline").save(name="em")
        (folder / "em.c").write_text(code)
        found["em"] = f"em_regress(x, {net.layers[0]}, y, {net.layers[-1]})"
    for name, call in found.items():
        with open(folder / f"{name}.c", "a") as file:
            file.write(LOOP.format(name=name, call=call))
    return found


def library(folder: Path, names: list[str], flags: list[str]) -> dict[str, Timed]:
    """Compile them, each by itself, into one library."""
    include = []
    if "em" in names:
        import emlearn

        include = [f"-I{emlearn.includedir}"]
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C")
    path = folder / "all.so"
    subprocess.run(["gcc", "-std=gnu99", *flags, *include, "-fPIC", "-shared", "-o", path,
                    *(folder / f"{name}.c" for name in names), "-lm"], check=True)
    loaded, found = ctypes.CDLL(str(path)), {}
    for name in names:
        function = getattr(loaded, f"{name}_time")
        function.argtypes, function.restype = [pointer, pointer, ctypes.c_int], ctypes.c_double
        found[name] = function
    return found


def python_loop(net: fastbp.Network) -> Timed:
    """Return the same loop over `predict`."""
    def run(x: np.ndarray, y: np.ndarray, n: int) -> float:
        begin = time.perf_counter_ns()
        for _ in range(n):
            net.predict(x, out=y)
        return float(time.perf_counter_ns() - begin)

    return run


def measure(layers: tuple[int, ...], activation: str, flags: list[str], rounds: int) -> list[str]:
    """Return a row of the table."""
    model = None
    net = fastbp.Network(layers, activation, seed=0)
    if find_spec("emlearn") and find_spec("sklearn"):
        model, weights, biases = theirs(layers, activation)
        net = fastbp.Network(layers, activation, init=list(zip(weights, biases, strict=True)))
    exact = fastbp.Network(layers, activation, dtype="float64", init=[(W.astype(float), b.astype(float)) for W, b in
                                                                      zip(net.weights, net.biases, strict=True)])
    rows = np.random.default_rng(1).normal(size=(20, layers[0])).astype(np.float32)
    y = np.empty(layers[-1], np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed = library(folder, list(sources(folder, net, model)), flags) | {"predict": python_loop(net)}
    work = sum(a * b for a, b in zip(layers, layers[1:], strict=False))
    best = dict.fromkeys(timed, np.inf)
    for _ in range(rounds):
        for name, run in timed.items():
            n = max(20, 300_000 // (work + (5000 if name == "predict" else 100)))
            best[name] = min(best[name], run(rows[0], y, n) / n)
    errors = dict.fromkeys(timed, 0.0)
    scale = np.abs(exact.predict(rows)).max()
    for name, run in timed.items():
        for x in rows:
            run(x, y, 1)
            errors[name] = max(errors[name], float(np.abs(y - exact.predict(x)).max() / scale))
    cells = [f"{best[name]:.0f} ({errors[name]:.1g})" if name in best else "–"
             for name in ("predict", "fast", "alone", "em")]
    return ["-".join(map(str, layers)), activation, *cells]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--flags", default="-O2", help="of gcc, separated by spaces")
    arguments = parser.parse_args()
    if shutil.which("gcc") is None:
        sys.exit("gcc is not installed")
    print("| network | activation | `predict` of one row | `to_c` | `to_c`, libm=False | emlearn |")
    print("|---|---|---|---|---|---|")
    for layers, activation in SHAPES:
        print("| " + " | ".join(measure(layers, activation, arguments.flags.split(), arguments.rounds)) + " |")


if __name__ == "__main__":
    main()

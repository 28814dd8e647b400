"""Hashes of what some two hundred fits and passes leave behind, to show that a change leaves every bit as it was.

Bits depend on the type of CPU, so there is no table to compare with: the two checkouts are run side by side.

    python bench/tools/bits.py                      # print the table of the fastbp that is imported
    python bench/tools/bits.py --against ../before  # and of another checkout; exit status 1 where they differ
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

N = 203
"""Samples: no multiple of a vector, of a batch or of a block."""

UPDATE_RULES = ["sgd", "adam", "adamw", "amsgrad", "nadam", "radam", "adabelief", "lion", "rmsprop", "adagrad",
                "adadelta"]
FULL_BATCH = ["lbfgs", "conjugategradient", "scaledconjugategradient", "rprop", "quickprop", "levenbergmarquardt",
              "bayesianregularization"]
PENALTIES: list[dict[str, Any]] = [
    {"l2": 0.01}, {"l1": 0.01}, {"weight_decay": 0.01}, {"l2": [0.01, 0.0, 0.1], "penalize_biases": True},
    {"max_norm": 0.5}, {"non_negative": True}, {"trainable": [False, True, True]}, {"clip_value": 0.01},
    {"clip_norm": 0.1}, {"dropout": 0.3}, {"input_noise": 0.1},
]


def digest(*arrays: Any) -> str:
    """Return a short hash of the bytes of some arrays."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def data(dtype: str, n_in: int = 5, n_out: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, positive targets that sum to 1, and class indices."""
    rng = np.random.default_rng(7)
    return (rng.normal(size=(N, n_in)).astype(dtype), rng.dirichlet(np.ones(n_out), N).astype(dtype),
            rng.integers(0, n_out, N))


def fits() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the name of each entry and a function that computes it."""
    import fastbp
    from fastbp import activations, costs

    def outputs_per_target(cost: Any) -> int:
        return getattr(costs.get(cost), "outputs_per_target", 1)  # which older checkouts have not

    def fit(dtype: str, *, layers: tuple[int, ...] = (5, 17, 9, 3), activation: Any = "tanh", output: Any = None,
            cost: Any = "squared_error", bias: bool = True, labels: bool = False, inputs: Any = None,
            **options: Any) -> str:
        X, Y, classes = data(dtype, layers[0], layers[-1])
        sizes = (*layers[:-1], outputs_per_target(cost) * layers[-1])
        net = fastbp.Network(sizes, activation, output, cost, bias=bias, dtype=dtype, seed=3)
        options = {"epochs": 3, "batch_size": 32, "threads": 1} | options
        net.fit(X if inputs is None else inputs(X), classes if labels else Y, **options)
        return digest(net.parameters, net.history.cost, net.predict(X), net.predict(X[0]))

    for dtype in ("float32", "float64"):
        for name in sorted(activations.ACTIVATIONS):
            if name != "softmax" and activations.ACTIVATIONS[name].formula != "your own":
                yield f"{dtype} activation {name}", lambda a=name, d=dtype: fit(
                    d, activation=a, optimizer=fastbp.SGD(1e-4))
        for cost, output in itertools.product(sorted(costs.COSTS), (None, "logistic", "softmax", "softplus")):
            if costs.COSTS[cost].formula != "your own" and (output is None or outputs_per_target(cost) == 1):
                yield (f"{dtype} cost {cost} {output}",
                       lambda c=cost, o=output, d=dtype: fit(d, cost=c, output=o))
        for rule, batch in itertools.product(UPDATE_RULES, (1, 32, N)):
            yield (f"{dtype} {rule} batch {batch}",
                   lambda r=rule, b=batch, d=dtype: fit(d, optimizer=r, batch_size=b))
        for momentum, nesterov in ((0.9, False), (0.9, True)):
            yield (f"{dtype} sgd {momentum} {nesterov}", lambda m=momentum, n=nesterov, d=dtype: fit(
                d, optimizer=fastbp.SGD(0.01, m, n)))
        for method in FULL_BATCH:
            yield (f"{dtype} {method}",
                   lambda m=method, d=dtype: fit(d, optimizer=m, batch_size=None, epochs=12))
        for settings in PENALTIES:
            for rule, batch in (("adam", 32), ("sgd", 1)):
                yield (f"{dtype} {rule} batch {batch} {settings}", lambda s=settings, r=rule, b=batch, d=dtype: fit(
                    d, optimizer=r, batch_size=b, regularization=fastbp.Regularization(**s)))
        yield f"{dtype} smoothing", lambda d=dtype: fit(
            d, cost="cross_entropy", regularization=fastbp.Regularization(label_smoothing=0.1))
        yield f"{dtype} lbfgs l2 l1", lambda d=dtype: fit(
            d, optimizer="lbfgs", batch_size=None, epochs=9, regularization=fastbp.Regularization(l2=0.01, l1=0.001))
        yield f"{dtype} labels", lambda d=dtype: fit(d, cost="cross_entropy", labels=True)
        yield f"{dtype} no bias", lambda d=dtype: fit(d, bias=False)
        yield f"{dtype} in order", lambda d=dtype: fit(d, shuffle=False)
        yield f"{dtype} weights", lambda d=dtype: fit(d, sample_weight=np.linspace(0, 2, N))
        yield f"{dtype} validation", lambda d=dtype: fit(
            d, validation=0.3, epochs=9, callbacks=[fastbp.EarlyStopping(2)])
        yield f"{dtype} schedule", lambda d=dtype: fit(d, optimizer=fastbp.Adam(fastbp.schedules.Cosine(0.01, 5)))
        yield f"{dtype} rates by update", lambda d=dtype: fit(d, optimizer=fastbp.AdamW(
            fastbp.schedules.CosLog(0.01), weight_decay=fastbp.schedules.Cosine(0.1, flat=0.5, per="update")))
        yield f"{dtype} noise by update", lambda d=dtype: fit(d, regularization=fastbp.Regularization(
            dropout=fastbp.schedules.Cosine(0.3, flat=0.5, per="update"), l2=fastbp.schedules.CosLog(0.01)))
        for rule, batch in itertools.product(("adamw", "sgd"), (1, 32)):
            yield f"{dtype} factors {rule} batch {batch}", lambda r=rule, b=batch, d=dtype: fit(
                d, batch_size=b, optimizer=fastbp.optimizers.RULES[r](rate_factors={"biases": 0.1, "weights[0]": 2.0}))
        yield f"{dtype} slopes", lambda d=dtype: fit(
            d, **{_jacobian_keyword(): np.random.default_rng(1).normal(size=(N, 3, 5))})
        yield f"{dtype} sparse", lambda d=dtype: fit(d, inputs=_sparse)
        for threads in (1, 2):
            yield f"{dtype} wide, {threads} threads", lambda t=threads, d=dtype: fit(
                d, layers=(64, 300, 130, 10), threads=t, batch_size=100, epochs=2)
        yield f"{dtype} derivatives", lambda d=dtype: _derivatives(d)
        yield f"{dtype} compiled", lambda d=dtype: _compiled(d)
    for solver in ("adam", "sgd", "lbfgs"):
        for kind in ("MLPClassifier", "MLPRegressor"):
            yield f"{kind} {solver}", lambda k=kind, s=solver: _estimator(k, s)


def _jacobian_keyword() -> str:
    import inspect

    import fastbp

    names = inspect.signature(fastbp.Network.fit).parameters
    return "target_jacobian" if "target_jacobian" in names else "input_jacobian"


def _sparse(X: np.ndarray) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix(np.where(np.abs(X) > 0.7, X, 0))


def _derivatives(dtype: str) -> str:
    import fastbp

    X, Y, _ = data(dtype)
    net = fastbp.Network((5, 17, 9, 3), "tanh", dtype=dtype, seed=3)
    v = np.linspace(-1, 1, net.n_parameters)
    return digest(net.jacobian(X), net.jvp(X, X), net.vjp(X, Y), net.input_gradient(X, Y),
                  net.per_sample_gradient(X, Y), net.gradient_norms(X, Y), net.parameter_jacobian(X),
                  net.hessian_vector_product(X, Y, v), net.gauss_newton_vector_product(X, Y, v),
                  net.hessian_diagonal(X, Y), *net.trace(X, Y).delta)


def _compiled(dtype: str) -> str:
    import fastbp

    X, Y, _ = data(dtype)
    net = fastbp.Network((5, 17, 9, 3), "tanh", dtype=dtype, seed=3)
    model = net.compiled()
    work, state = fastbp.jit.workspace(model), fastbp.jit.state(model, "adam")
    out, gradient = np.zeros(3, dtype), np.zeros(net.n_parameters, dtype)
    found = []
    for x, y in zip(X[:20], Y[:20], strict=True):
        found.append(fastbp.jit.train_one(model, state, x, y, work))
    found.append(fastbp.jit.train_batch(model, state, X, Y, work))
    fastbp.jit.forward(model, X[0], out, work)
    found.append(fastbp.jit.cost_and_gradient(model, X[0], Y[0], gradient, work))
    return digest(net.parameters, out, gradient, np.array(found, dtype))


def _estimator(kind: str, solver: str) -> str:
    import fastbp

    X, Y, classes = data("float64")
    model = getattr(fastbp, kind)(hidden_layer_sizes=(11,), solver=solver, random_state=1, max_iter=7)
    model.fit(X, classes if kind == "MLPClassifier" else Y)
    return digest(*model.coefs_, *model.intercepts_, np.atleast_1d(model.loss_))


def table() -> dict[str, str]:
    """Return name -> hash, or the error that there was in its place."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, compute in fits():
            try:
                found[name] = compute()
            except Exception as error:  # an entry that one of the two checkouts does not have
                found[name] = f"{type(error).__name__}: {error}"[:90]
    return found


def main() -> int:
    """Print one table, or compare two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--json", action="store_true", help="print the table for a program to read")
    options = parser.parse_args()
    found = table()
    if options.json:
        print(json.dumps(found))
        return 0
    if options.against is None:
        for name, value in found.items():
            print(f"{value:20} {name}")
        return 0
    environment = os.environ | {"PYTHONPATH": str(options.against.resolve() / "src")}
    text = subprocess.run([sys.executable, __file__, "--json"], env=environment, check=True, capture_output=True,
                          text=True).stdout
    before = json.loads(text)
    differing = [name for name in before | found if before.get(name) != found.get(name)]
    for name in differing:
        print(f"{name}: {before.get(name)} became {found.get(name)}")
    print(f"{len(found) - len(differing)} of {len(found)} entries have the same bits")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())

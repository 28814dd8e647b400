"""Training on sparse rows beside others: milliseconds a step of Adam on a classifier with 100 hidden neurons.

    .venv-peers/bin/python -m bench.sparse --markdown

All sides take turns in one process, on one thread, with batches of 200 of the same rows, in both dtypes. All compute
the first layer's products from the non-zeros alone: scikit-learn by SciPy's products, PyTorch by `embedding_bag` with
weights and its fused Adam, JAX by gathered rows of weights in a compiled scan over the batches. "dense blocks" is
fastbp without: a block of rows is made dense. A step is the difference between a long fit and a short one, the best of
the rounds of each.

The bound is Adam's: a step reads and writes each parameter and its two moments, whether its column has a non-zero or
not. GB/s are these six transfers over the time of the whole step.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
if hasattr(os, "sched_setaffinity"):  # JAX takes all cores there are
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402

import fastbp  # noqa: E402
from fastbp.kernels import layout  # noqa: E402

from .peers import between, processor, versions  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "measured" / "sparse.md"
BEGIN, END = "<!-- sparse -->", "<!-- /sparse -->"
HIDDEN, CLASSES, BATCH, ROWS = 100, 10, 200, 1000
WORKLOADS = {"20,000 columns, 0.5 %": (20_000, 0.005), "5,000 columns, 1 %": (5_000, 0.01),
             "20,000 columns, 0.1 %": (20_000, 0.001)}
Train = Callable[[int], None]
"""Trains for so many epochs."""


def rows(columns: int, density: float, dtype: str) -> tuple[Any, Any]:
    """Return a CSR matrix of normal numbers at random places, and classes."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((ROWS, columns), density=density, format="csr", rng=rng,
                                  data_sampler=rng.standard_normal)
    return scipy.sparse.csr_matrix(X.astype(dtype)), rng.integers(0, CLASSES, ROWS)


def network(X: Any, y: Any, share: float = layout.FEW_NONZEROS) -> Train:
    """Return fastbp's Network; products are of non-zeros where their share of all numbers is below this one."""
    net = fastbp.Network((X.shape[1], HIDDEN, CLASSES), "relu", cost="cross_entropy", dtype=X.dtype, seed=0)

    def train(epochs: int) -> None:
        kept, layout.FEW_NONZEROS = layout.FEW_NONZEROS, share
        net.fit(X, y, epochs=epochs, batch_size=BATCH, threads=1, resume=True)
        layout.FEW_NONZEROS = kept

    return train


def estimator(module: Any) -> Callable[[Any, Any], Train]:
    """Return a side that is an MLPClassifier."""
    def side(X: Any, y: Any) -> Train:
        def train(epochs: int) -> None:
            module.MLPClassifier((HIDDEN,), batch_size=BATCH, max_iter=epochs, tol=0, n_iter_no_change=epochs,
                                 random_state=0).fit(X, y)

        return train

    return side


def torch(X: Any, y: Any) -> Train:
    """Return PyTorch's side."""
    import torch
    from torch.nn.functional import cross_entropy, embedding_bag

    torch.set_num_threads(1)
    kind, rng = getattr(torch, X.dtype.name), np.random.default_rng(0)
    columns, values, targets = torch.tensor(X.indices, dtype=torch.int64), torch.tensor(X.data), torch.tensor(y)
    parameters = [torch.nn.Parameter(0.02 * torch.randn(shape, dtype=kind))
                  for shape in ((X.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,))]
    W1, b1, W2, b2 = parameters
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def train(epochs: int) -> None:
        for _ in range(epochs):
            order = rng.permutation(ROWS)
            for begin in range(0, ROWS, BATCH):
                batch = order[begin : begin + BATCH]
                lengths = X.indptr[batch + 1] - X.indptr[batch]
                starts = np.cumsum(lengths) - lengths
                places = torch.from_numpy(np.repeat(X.indptr[batch] - starts, lengths) + np.arange(lengths.sum()))
                net = embedding_bag(columns[places], W1, torch.from_numpy(starts.astype(np.int64)), mode="sum",
                                    per_sample_weights=values[places])
                cost = cross_entropy(torch.relu(net + b1) @ W2 + b2, targets[batch])
                adam.zero_grad()
                cost.backward()
                adam.step()

    return train


def jax(X: Any, y: Any) -> Train:
    """Return JAX's side: each row's non-zeros, padded to as many as the longest has."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", X.dtype == np.float64)
    longest = int(np.diff(X.indptr).max())
    columns, values = np.zeros((ROWS, longest), np.int32), np.zeros((ROWS, longest), X.dtype)
    for row in range(ROWS):
        part = slice(X.indptr[row], X.indptr[row + 1])
        columns[row, : part.stop - part.start], values[row, : part.stop - part.start] = X.indices[part], X.data[part]
    columns, values, targets = jnp.asarray(columns), jnp.asarray(values), jnp.asarray(y)
    rng = np.random.default_rng(0)
    weights = [jnp.asarray(0.02 * rng.standard_normal(shape), X.dtype)
               for shape in ((X.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,))]
    state: list[Any] = [weights, [jnp.zeros_like(w) for w in weights], [jnp.zeros_like(w) for w in weights],
                        jnp.zeros((), X.dtype)]

    def cost(weights: Any, batch: Any) -> Any:
        W1, b1, W2, b2 = weights
        net = jnp.einsum("bk,bkh->bh", values[batch], W1[columns[batch]]) + b1
        out = jax.nn.log_softmax(jax.nn.relu(net) @ W2 + b2)
        return -out[jnp.arange(BATCH), targets[batch]].mean()

    def step(state: Any, batch: Any) -> Any:
        weights, means, squares, t = state
        slopes, t = jax.grad(cost)(weights, batch), t + 1
        means = [0.9 * m + 0.1 * g for m, g in zip(means, slopes, strict=True)]
        squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, slopes, strict=True)]
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = [w - rate * m / (jnp.sqrt(v) + 1e-8) for w, m, v in zip(weights, means, squares, strict=True)]
        return [weights, means, squares, t], None

    epoch = jax.jit(lambda state, order: jax.lax.scan(step, state, order)[0], donate_argnums=0)

    def train(epochs: int) -> None:
        nonlocal state
        for _ in range(epochs):
            state = epoch(state, rng.permutation(ROWS).astype(np.int32).reshape(-1, BATCH))
        jax.block_until_ready(state)

    return train


def sides() -> dict[str, Callable[[Any, Any], Train]]:
    """Return what is compared, as far as it is installed."""
    from sklearn import neural_network

    found: dict[str, Callable[[Any, Any], Train]] = {
        "fastbp": network, "fastbp.MLPClassifier": estimator(fastbp),
        "dense blocks": lambda X, y: network(X, y, 0.0), "scikit-learn": estimator(neural_network)}
    for name, side in (("PyTorch", torch), ("JAX", jax)):
        try:
            __import__(side.__name__)
        except ImportError:
            continue
        found[name] = side
    return found


def milliseconds(X: Any, y: Any, rounds: int, epochs: int = 4) -> dict[str, float]:
    """Return milliseconds a step of each side, the best of so many rounds in which they take turns."""
    trains = {name: side(X, y) for name, side in sides().items()}
    best: dict[str, dict[int, float]] = {name: {} for name in trains}
    for train in trains.values():
        train(1)
    for _ in range(rounds):
        for name, train in trains.items():
            for count in (1, 1 + epochs):
                began = time.perf_counter()
                train(count)
                seconds = time.perf_counter() - began
                best[name][count] = min(seconds, best[name].get(count, np.inf))
            time.sleep(0.05)
    steps = epochs * ROWS // BATCH
    return {name: 1e3 * (found[1 + epochs] - found[1]) / steps for name, found in best.items()}


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Write the table in Markdown."""
    names = list(next(iter(next(iter(found.values())).values())))
    lines = ["| ms a step | | " + " | ".join(names) + " | scikit-learn ÷ fastbp | ÷ MLPClassifier | GB/s |",
             "|---|---|" + "---:|" * (len(names) + 3)]
    for workload, (columns, _) in WORKLOADS.items():
        for dtype, row in found.get(workload, {}).items():
            moved = 6 * np.dtype(dtype).itemsize * ((columns + 1) * HIDDEN + (HIDDEN + 1) * CLASSES)
            ratios = [row["scikit-learn"] / row[name] for name in ("fastbp", "fastbp.MLPClassifier")]
            lines.append(f"| {workload} | {dtype} | " + " | ".join(f"{row[name]:.3g}" for name in names)
                         + f" | {ratios[0]:.1f} | {ratios[1]:.1f} | {moved / row['fastbp'] / 1e6:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.sparse", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only workloads whose name contains one of these")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="add to what this file has, and write that")
    parser.add_argument("--markdown", nargs="?", type=Path, metavar="FILE", const=PAGE,
                        help=f"write the table between {BEGIN} and {END} of this file (default: {PAGE})")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # fits of some epochs do not converge
    found: dict[str, dict[str, dict[str, float]]] = {}
    if options.json and options.json.exists():
        found = json.loads(options.json.read_text(encoding="utf-8"))
    for workload, (columns, density) in WORKLOADS.items():
        if options.select and not any(text in workload for text in options.select):
            continue
        for dtype in options.dtypes:
            row = milliseconds(*rows(columns, density, dtype), options.rounds)
            found.setdefault(workload, {})[dtype] = row
            print(workload, dtype, {name: round(value, 3) for name, value in row.items()}, flush=True)
    if options.json:
        options.json.write_text(json.dumps(found), encoding="utf-8")
    used = ", ".join(f"{name} {version}" for name, version in versions((
        "fastbp", "scikit-learn", "scipy", "torch", "jax", "numba", "numpy")).items())
    command = " ".join(["python -m bench.sparse", *sys.argv[1:]])
    written = (f"{table(found)}\n\n1 thread. {processor()}; {used}. {datetime.date.today().isoformat()}, `{command}`, "
               f"{platform.platform(aliased=True, terse=True)}.")
    print(f"\n{written}")
    if options.markdown is not None:
        between(options.markdown, BEGIN, END, written)


if __name__ == "__main__":
    main()

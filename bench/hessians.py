"""Second derivatives: a Hessian-vector product beside a gradient, and beside torch.func; Sobolev training.

``python -m bench.hessians`` prints times in microseconds, one thread, float32. Target: a product takes at most 2.5
times a gradient; by multiply-adds alone it is 8/3 where the first layer weighs nothing. PyTorch's product is ``jvp`` of
``grad``, run eagerly; it is left out where torch is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastbp
from fastbp.core import objective
from fastbp.core.samples import Samples
from fastbp.kernels import tables

SIZES = (((2, 8, 1), 32), ((1, 32, 32, 1), 256), ((64, 100, 10), 200), ((784, 128, 10), 256), ((17, 256, 256, 6), 256),
         ((64, 64, 64, 64, 64, 4), 512))
"""(layers, samples)."""

SLOPES = (((2, 32, 32, 1), 256), ((4, 64, 64, 1), 256), ((10, 64, 64, 2), 256))


def once(work: Callable[[], object]) -> float:
    """Time one call in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def least(sides: list[Callable[[], object]], seconds: float) -> list[float]:
    """Time the sides in turns for so long; give the least of each, in seconds."""
    for side in sides:
        side()
    best, began = [float("inf")] * len(sides), time.perf_counter()
    while time.perf_counter() - began < seconds:
        for i, side in enumerate(sides):
            best[i] = min(best[i], *(once(side) for _ in range(3)))
    return best


def multiply_adds(layers: tuple[int, ...]) -> float:
    """Return those of a Hessian-vector product ÷ those of a gradient."""
    first, *rest = (n * m for n, m in zip(layers[:-1], layers[1:], strict=True))
    return (3 * first + 8 * sum(rest)) / (2 * first + 3 * sum(rest))


def torch_sides(net: fastbp.Network, X: Any, Y: Any, v: Any) -> list[Callable[[], object]]:
    """Return PyTorch's gradient and Hessian-vector product of the same network, checked against fastbp's."""
    import torch
    from torch.func import grad, jvp

    torch.set_num_threads(1)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    shapes = [shape for n, m in zip(net.layers[:-1], net.layers[1:], strict=True) for shape in ((m, n), (m,))]

    def parts(flat: Any) -> tuple[Any, ...]:
        pieces = torch.split(torch.from_numpy(flat.copy()), [int(np.prod(shape)) for shape in shapes])
        return tuple(piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True))

    def cost(weights: tuple[Any, ...]) -> Any:
        out = x
        for i in range(0, len(weights), 2):
            out = out @ weights[i].T + weights[i + 1]
            if i + 2 < len(weights):
                out = torch.tanh(out)
        return 0.5 * ((out - y) ** 2).sum() / len(x)

    weights, direction = parts(net.parameters), parts(v)

    def product() -> Any:
        return jvp(grad(cost), (weights,), (direction,))[1]

    found = np.concatenate([part.detach().numpy().ravel() for part in product()])
    expected = net.hessian_vector_product(X, Y, v)
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max(), "PyTorch computes something else"
    return [lambda: grad(cost)(weights), product]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.hessians", description=__doc__)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line (default: 1)")
    options = parser.parse_args()
    dtype, rng = options.dtype, np.random.default_rng(0)
    torch = importlib.util.find_spec("torch") is not None
    print("| network, samples | gradient µs | H v ÷ gradient | by multiply-adds | G v ÷ gradient "
          "| diagonal ÷ gradient, a neuron | torch H v ÷ fastbp |\n|---|---:|---:|---:|---:|---:|---:|")
    for layers, n in SIZES:
        net = fastbp.Network(layers, dtype=dtype, seed=0)
        X, Y, v = (rng.standard_normal(shape).astype(dtype)
                   for shape in ((n, layers[0]), (n, layers[-1]), net.n_parameters))
        samples, found = Samples(X, Y, False, np.empty(0, dtype)), np.empty(net.n_parameters, dtype)

        def side(kind: int, net: Any = net, samples: Any = samples, found: Any = found, v: Any = v) -> Any:
            return lambda: objective.cost_and_gradient(net, samples, found, 1, kind=kind, direction=v)

        sides = [side(kind) for kind in (tables.KIND_PLAIN, tables.KIND_HESSIAN, tables.KIND_GAUSS_NEWTON,
                                         tables.KIND_DIAGONAL)]
        times = least(sides + (torch_sides(net, X, Y, v) if torch else []), options.seconds)
        gradient, hessian, gauss_newton, diagonal = times[:4]
        beside = f"{times[5] / hessian:.1f}" if torch else "n/a"
        print(f"| {'-'.join(map(str, layers))}, {n} | {1e6 * gradient:,.0f} | {hessian / gradient:.2f} "
              f"| {multiply_adds(layers):.2f} | {gauss_newton / gradient:.2f} "
              f"| {diagonal / gradient / sum(layers[1:]):.2f} | {beside} |")
    print("\n| network, samples | gradient µs | on values and slopes ÷ that | 1 + inputs |\n|---|---:|---:|---:|")
    for layers, n in SLOPES:
        net = fastbp.Network(layers, dtype=dtype, seed=0)
        X, Y, J = (rng.standard_normal(shape).astype(dtype)
                   for shape in ((n, layers[0]), (n, layers[-1]), (n, layers[-1], layers[0])))
        found = np.empty(net.n_parameters, dtype)
        with_slopes = Samples(X, Y, False, np.empty(0, dtype), J, 1.0)
        alone = Samples(X, Y, False, np.empty(0, dtype))

        def pass_over(samples: Any, net: Any = net, found: Any = found) -> Any:
            return lambda: objective.cost_and_gradient(net, samples, found, 1)

        values, both = least([pass_over(alone), pass_over(with_slopes)], options.seconds)
        print(f"| {'-'.join(map(str, layers))}, {n} | {1e6 * values:,.0f} | {both / values:.1f} | {1 + layers[0]} |")


if __name__ == "__main__":
    main()

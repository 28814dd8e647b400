"""Networks inside compiled code, derivatives and functions of the user's own: each figure beside its target.

    python -m bench.embedded [--rounds 15]

PyTorch's side is left out where torch is not installed. Each figure is the least of several rounds, the sides of a
ratio taking turns. All run on one thread and are timed in seconds of the processor, so that other work on the machine
disturbs little.
"""

from __future__ import annotations

import argparse

import numpy as np

import fastbp

from .suite.bench_embedded import (
    LARGE,
    WIDE,
    Side,
    by_one_thread,
    calls,
    data,
    forward_and_gradient,
    gradient_and_norms,
    one_sample,
    own_activation,
    per_sample_and_writing,
)
from .suite.common import Array, best_in_turns


def torch_per_sample(layers: tuple[int, ...], X: Array, Y: Array) -> Side | None:
    """Return the measurement of torch.func.vmap(grad) of the same network, or None without torch."""
    try:
        import torch
        from torch.func import functional_call, grad, vmap
    except ImportError:
        return None
    torch.set_num_threads(1)
    parts: list[torch.nn.Module] = []
    for n_in, n_out in zip(layers[:-1], layers[1:], strict=True):
        parts += [torch.nn.Linear(n_in, n_out), torch.nn.Tanh()]
    module = torch.nn.Sequential(*parts[:-1])
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def cost(values: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((functional_call(module, values, (x.unsqueeze(0),)).squeeze(0) - y) ** 2).sum() / 2

    gradients = vmap(grad(cost), in_dims=(None, 0, 0))
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    return calls(lambda: gradients(parameters, x, y))


def show(name: str, value: float, unit: str, target: str = "") -> None:
    """Print a line."""
    print(f"{name:<62}{value:>10.3g} {unit:<6}{target}")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    def best(*sides: Side) -> list[float]:
        return best_in_turns(*sides, rounds=rounds, enough=20.0)

    forward, train = best(*one_sample((4, 32, 2)))
    show("jit.forward, 4-32-2, float32, one sample", forward * 1e6, "µs", "<= 0.15")
    show("jit.train_one, the same, Adam", train * 1e6, "µs", "<= 0.5")
    forward, train = best(*one_sample((64, 64, 64, 4)))
    show("jit.forward, 64-64-64-4", forward * 1e6, "µs", "<= 1.0")
    show("jit.train_one, the same, Adam", train * 1e6, "µs")

    net, (X, Y) = fastbp.Network(WIDE, seed=0), data(WIDE, 256)
    forward, gradient, tangent, cost = best(*forward_and_gradient(), calls(lambda: net.jvp(X, X)),
                                            calls(by_one_thread(net, X, Y, X[0, :0])))
    many = net.n_parameters
    show("forward pass, 784-512-512-10, 256 samples", forward * 1e3, "ms")
    show("gradient / forward pass", gradient / forward, "", "<= 3.2")
    show(f"one chain rule a weight ({many:,} tangents, from one) / forward pass", many * tangent / forward, "")
    show("central differences (two costs a weight, from one) / forward pass", 2 * many * cost / forward, "")

    gradient, norms = best(*gradient_and_norms())
    show("gradient_norms / gradient, 784-512-512-10, 256 samples", norms / gradient, "", "<= 1.3")

    room = np.empty((256, fastbp.Network(LARGE).n_parameters), np.float32)
    sides = [*per_sample_and_writing(), calls(lambda: room.fill(1))]
    peer = torch_per_sample(LARGE, *data(LARGE, 256))
    found = best(*sides, *([peer] if peer else []))
    show("per_sample_gradient, 784-128-10, 256 samples", room.nbytes / found[0] / 1e9, "GB/s")
    show("writing as much to new memory, as it does", room.nbytes / found[1] / 1e9, "GB/s")
    show("writing as much to the same memory", room.nbytes / found[2] / 1e9, "GB/s")
    if peer:
        show("torch.func.vmap(grad) / per_sample_gradient", found[3] / found[0], "", ">= 5")

    built_in, own, seconds = own_activation()
    built_in, own = best(built_in, own)  # type: ignore[assignment]
    show("own tanh / built-in tanh, a step of 32-128-128-4", own / built_in, "", "<= 1.5")  # type: ignore[operator]
    show("its first use: checked in float64, compiled for float32", seconds, "s", "<= 1.5")


if __name__ == "__main__":
    main()

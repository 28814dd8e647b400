"""Networks inside compiled code, derivatives and functions of the user's own: each figure beside its target.

    python -m bench.embedded [--rounds 15]

PyTorch's side is left out where torch is not installed. Each figure is the least of several rounds, the sides of a
ratio taking turns. All run on one thread and are timed in seconds of the processor, so that other work on the machine
disturbs little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np

import fastbp
from fastbp import jit, training

from .common import Array, best_in_turns

Side = Callable[[], float]

WIDE, LARGE = (784, 512, 512, 10), (784, 128, 10)


@numba.njit
def run_forward(model: jit.Model, x: Array, out: Array, work: Array, times: int) -> None:
    for _ in range(times):
        jit.forward(model, x, out, work)


@numba.njit
def run_train(model: jit.Model, state: jit.State, x: Array, y: Array, work: Array, times: int) -> None:
    for _ in range(times):
        jit.train_one(model, state, x, y, work)


def timed(function: Callable[[int], object], seconds: float = 0.02) -> Side:
    """Give a measurement of one call, from as many in a row as take so long; called once before."""
    function(1)
    times = 1
    while True:
        start = time.process_time()
        function(times)
        if time.process_time() - start > seconds:
            break
        times *= 2

    def measure() -> float:
        start = time.process_time()
        function(times)
        return (time.process_time() - start) / times

    return measure


def calls(function: Callable[[], object]) -> Side:
    """Measure a call from Python."""

    def repeat(times: int) -> None:
        for _ in range(times):
            function()

    return timed(repeat)


def one_sample(layers: tuple[int, ...]) -> tuple[Side, Side]:
    """Give the measurements of `jit.forward` and `jit.train_one` with Adam, float32."""
    net = fastbp.Network(layers, seed=0)
    model = net.compiled(1)
    state, work = jit.state(model), jit.workspace(model)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(n, np.float32) for n in (layers[0], layers[-1]))
    out = np.empty_like(y)
    return (timed(lambda times: run_forward(model, x, out, work, times)),
            timed(lambda times: run_train(model, state, x, y, work, times)))


def data(layers: tuple[int, ...], n: int) -> tuple[Array, Array]:
    """Give normal inputs and targets."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, layers[0]), np.float32), rng.standard_normal((n, layers[-1]), np.float32)


def by_one_thread(net: fastbp.Network, X: Array, Y: Array, gradient: Array) -> Callable[[], object]:
    """Give what `Network.cost_and_gradient` does, into given memory and never with two threads: so does predict.

    An empty gradient asks for the cost alone.
    """
    samples = training.Samples(X, Y, False, np.empty(0, X.dtype))
    return lambda: training.cost_and_gradient(net, samples, gradient, 1)


def forward_and_gradient(layers: tuple[int, ...] = WIDE, n: int = 256) -> tuple[Side, Side]:
    """Give the measurements of a forward pass of a batch and of its gradient."""
    net, (X, Y) = fastbp.Network(layers, seed=0), data(layers, n)
    out = np.empty((n, layers[-1]), np.float32)
    return calls(lambda: net.predict(X, out)), calls(by_one_thread(net, X, Y, np.empty_like(net.parameters)))


def gradient_and_norms(layers: tuple[int, ...] = WIDE, n: int = 256) -> tuple[Side, Side]:
    """Give the measurements of a gradient and of the norms of its samples' gradients."""
    net, (X, Y) = fastbp.Network(layers, seed=0), data(layers, n)
    return calls(by_one_thread(net, X, Y, np.empty_like(net.parameters))), calls(lambda: net.gradient_norms(X, Y))


def per_sample_and_writing(layers: tuple[int, ...] = LARGE, n: int = 256) -> tuple[Side, Side]:
    """Give the measurements of each sample's gradient and of writing as many numbers to new memory, as that does."""
    net, (X, Y) = fastbp.Network(layers, seed=0), data(layers, n)
    return (calls(lambda: net.per_sample_gradient(X, Y)),
            calls(lambda: np.empty((n, net.n_parameters), np.float32).fill(1)))


def torch_per_sample(layers: tuple[int, ...], X: Array, Y: Array) -> Side | None:
    """Give the measurement of torch.func.vmap(grad) of the same network, or None without torch."""
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


def own_activation() -> tuple[Side, Side, float]:
    """Give the measurements of a step with the built-in tanh and with one's own, and the seconds of its first use."""
    start = time.process_time()
    row = fastbp.activation(lambda x: np.tanh(x), name="own_tanh")
    row.kernel(np.zeros(64, np.float32), np.zeros(64, np.float32), 1)
    seconds = time.process_time() - start
    sides = []
    X, Y = data((32, 4), 4096)
    for name in ("tanh", "own_tanh"):
        net = fastbp.Network((32, 128, 128, 4), name, seed=0)

        def fit(epochs: int, net: fastbp.Network = net) -> None:
            net.fit(X, Y, epochs=epochs, batch_size=64, threads=1)

        sides.append(timed(fit))
    return sides[0], sides[1], seconds


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

"""Networks inside compiled code, ratios of derivatives, functions of the user's own: as `bench.embedded` shows them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np

import fastbp

from .common import Array, best_in_turns, needs

try:
    from fastbp import jit
except ImportError:  # a commit before it, which `setup` skips
    jit = None  # type: ignore[assignment]

LAYERS = {"4-32-2": (4, 32, 2), "64-64-64-4": (64, 64, 64, 4)}

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
    """Return a measurement of one call, from as many in a row as take so long; called once before."""
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
    """Return the measurements of `jit.forward` and `jit.train_one` with Adam, float32."""
    net = fastbp.Network(layers, seed=0)
    model = net.compiled(1)
    state, work = jit.state(model), jit.workspace(model)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(n, np.float32) for n in (layers[0], layers[-1]))
    out = np.empty_like(y)
    return (timed(lambda times: run_forward(model, x, out, work, times)),
            timed(lambda times: run_train(model, state, x, y, work, times)))


def data(layers: tuple[int, ...], n: int) -> tuple[Array, Array]:
    """Return normal inputs and targets."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, layers[0]), np.float32), rng.standard_normal((n, layers[-1]), np.float32)


def by_one_thread(net: fastbp.Network, X: Array, Y: Array, gradient: Array) -> Callable[[], object]:
    """Return what `Network.cost_and_gradient` does, into given memory and never with two threads: so does predict.

    An empty gradient asks for the cost alone.
    """
    from fastbp.core import objective
    from fastbp.core.samples import Samples

    samples = Samples(X, Y, False, np.empty(0, X.dtype))
    return lambda: objective.cost_and_gradient(net, samples, gradient, 1)


def forward_and_gradient(layers: tuple[int, ...] = WIDE, n: int = 256) -> tuple[Side, Side]:
    """Return the measurements of a forward pass of a batch and of its gradient."""
    net, (X, Y) = fastbp.Network(layers, seed=0), data(layers, n)
    out = np.empty((n, layers[-1]), np.float32)
    return calls(lambda: net.predict(X, out)), calls(by_one_thread(net, X, Y, np.empty_like(net.parameters)))


def gradient_and_norms(layers: tuple[int, ...] = WIDE, n: int = 256) -> tuple[Side, Side]:
    """Return the measurements of a gradient and of the norms of its samples' gradients."""
    net, (X, Y) = fastbp.Network(layers, seed=0), data(layers, n)
    return calls(by_one_thread(net, X, Y, np.empty_like(net.parameters))), calls(lambda: net.gradient_norms(X, Y))


def per_sample_and_writing(layers: tuple[int, ...] = LARGE, n: int = 256) -> tuple[Side, Side]:
    """Return the measurements of each sample's gradient and of writing as many numbers to new memory, as that does."""
    net, (X, Y) = fastbp.Network(layers, seed=0), data(layers, n)
    return (calls(lambda: net.per_sample_gradient(X, Y)),
            calls(lambda: np.empty((n, net.n_parameters), np.float32).fill(1)))


def own_activation() -> tuple[Side, Side, float]:
    """Return the measurements of a step with the built-in tanh and with one's own, and the seconds of its first use."""
    start = time.process_time()
    row = fastbp.register_activation(lambda x: np.tanh(x), name="own_tanh")
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


class OneSample:
    """One sample inside ``@njit``, float32."""

    version = "1"
    params = list(LAYERS)
    param_names = ["network"]

    def setup(self, name: str) -> None:
        """Compile."""
        needs("jit.train_one", "Network.compiled")
        self.forward, self.train = one_sample(LAYERS[name])

    def track_forward(self, name: str) -> float:
        """Time `jit.forward`."""
        return best_in_turns(self.forward, rounds=15)[0] * 1e6

    def track_train_one(self, name: str) -> float:
        """Time `jit.train_one` with Adam."""
        return best_in_turns(self.train, rounds=15)[0] * 1e6

    track_forward.unit = track_train_one.unit = "µs"  # type: ignore[attr-defined]


RATIOS: dict[str, tuple[Callable[[], tuple[Side, Side]], tuple[str, ...]]] = {
    "a gradient, in forward passes": (forward_and_gradient, ("core.objective.cost_and_gradient",)),
    "gradient norms, in gradients": (gradient_and_norms,
                                     ("core.objective.cost_and_gradient", "Network.gradient_norms")),
    "per-sample gradients, in writing as much": (lambda: per_sample_and_writing()[::-1],
                                                 ("Network.per_sample_gradient",)),
    "a step with one's own tanh, in steps": (lambda: own_activation()[:2], ("register_activation|activation",)),
}
"""What is measured, as a multiple of what -> the other side and this one, and the features that it needs."""


class Ratios:
    """Figures that survive a change of machine."""

    version = "1"
    params = list(RATIOS)
    param_names = ["ratio"]
    timeout = 120

    def setup(self, name: str) -> None:
        """Compile."""
        make, features = RATIOS[name]
        needs(*features)
        self.sides = make()

    def track_ratio(self, name: str) -> float:
        """Divide the time of the one by that of the other."""
        other, this = best_in_turns(*self.sides, rounds=15)
        return this / other


class OwnFunction:
    """An activation of the user's own."""

    version = "1"
    timeout = 120

    def setup(self) -> None:
        """Skip commits without."""
        needs("register_activation|activation")

    def track_first_use(self) -> float:
        """Time registration and first compilation of a user's tanh."""
        return own_activation()[2]

    track_first_use.unit = "s"  # type: ignore[attr-defined]

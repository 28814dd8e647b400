"""Second derivatives, as ratios inside one process."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

import fastbp

from .common import best_in_turns, needs, seconds_per_epoch

NETWORKS = {"784-128-10": (784, 128, 10), "17-256-256-6": (17, 256, 256, 6)}


@functools.cache
def sides(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a gradient and a Hessian-vector product of 256 samples, both compiled."""
    net, rng = fastbp.Network(NETWORKS[name], seed=0), np.random.default_rng(0)
    X, Y = (rng.standard_normal((256, n), np.float32) for n in (net.layers[0], net.layers[-1]))
    v = rng.standard_normal(net.n_parameters, np.float32)
    both = (lambda: net.gradient(X, Y)), (lambda: net.hessian_vector_product(X, Y, v))
    for side in both:
        side()
    return both


class HessianVectorProduct:
    """One product beside one gradient, from Python, validation included."""

    version = "1"
    params = list(NETWORKS)
    param_names = ["network"]

    def setup(self, name: str) -> None:
        """Compile, once a process."""
        needs("Network.hessian_vector_product")
        self.gradient, self.product = sides(name)

    def time_product(self, name: str) -> None:
        """Multiply once."""
        self.product()

    def track_versus_gradient(self, name: str) -> float:
        """Return the time of a product as a multiple of a gradient's."""
        gradient, product = best_in_turns(*(
            lambda side=side: seconds_per_epoch(lambda passes: [side() for _ in range(passes)])
            for side in (self.gradient, self.product)))
        return product / gradient

    track_versus_gradient.unit = "gradients"  # type: ignore[attr-defined]

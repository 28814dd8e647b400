"""Networks inside compiled code, ratios of derivatives, functions of the user's own: see `bench.embedded`."""

from __future__ import annotations

from typing import Any

from .common import best_in_turns

LAYERS = {"4-32-2": (4, 32, 2), "64-64-64-4": (64, 64, 64, 4)}


def _embedded() -> Any:
    """Give the script whose measurements these are; versions without what it uses are skipped."""
    try:
        from . import embedded
    except ImportError as error:
        raise NotImplementedError from error
    return embedded


class OneSample:
    """One sample inside ``@njit``, float32."""

    version = "1"
    params = list(LAYERS)
    param_names = ["network"]

    def setup(self, name: str) -> None:
        """Compile."""
        self.forward, self.train = _embedded().one_sample(LAYERS[name])

    def track_forward(self, name: str) -> float:
        """Time `jit.forward`."""
        return best_in_turns(self.forward, rounds=15)[0] * 1e6

    def track_train_one(self, name: str) -> float:
        """Time `jit.train_one` with Adam."""
        return best_in_turns(self.train, rounds=15)[0] * 1e6

    track_forward.unit = track_train_one.unit = "µs"  # type: ignore[attr-defined]


class Ratios:
    """Figures that survive a change of machine."""

    version = "1"
    timeout = 120

    def setup(self) -> None:
        """Find the script."""
        self.embedded = _embedded()

    def track_gradient_versus_forward(self) -> float:
        """Compare a gradient of 784-512-512-10 beside a forward pass, by one thread."""
        forward, gradient = best_in_turns(*self.embedded.forward_and_gradient(), rounds=15)
        return gradient / forward

    def track_gradient_norms_versus_gradient(self) -> float:
        """Compare norms of each sample's gradient beside the gradient of all."""
        gradient, norms = best_in_turns(*self.embedded.gradient_and_norms(), rounds=15)
        return norms / gradient

    def track_per_sample_gradient_versus_writing(self) -> float:
        """Compare gradients of 256 samples of 784-128-10 with writing as many numbers to new memory."""
        gradients, writing = best_in_turns(*self.embedded.per_sample_and_writing(), rounds=15)
        return gradients / writing

    def track_own_tanh_versus_built_in(self) -> float:
        """Compare a step with a user's tanh beside one with the built-in."""
        built_in, own, _ = self.embedded.own_activation()
        least = best_in_turns(built_in, own, rounds=15)
        return least[1] / least[0]

    def track_first_use_of_own_function(self) -> float:
        """Time registration and first compilation of a user's tanh."""
        return float(self.embedded.own_activation()[2])

    track_first_use_of_own_function.unit = "s"  # type: ignore[attr-defined]

"""What is measured: twelve workloads from 33 to ten million parameters, three online ones, four of many networks.

Shared by the asv suite and by `bench.peers`. A name, a size or a seed that has been published is not changed: add a new
workload instead, or the history of figures breaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Workload:
    """A network, a batch size and the size of a data set; an epoch is a whole number of full batches."""

    layers: tuple[int, ...]
    batch: int
    samples: int
    activation: str = "tanh"
    optimizer: str = "adam"
    shuffled: bool = True
    """Whether every side draws a new order for each epoch, even of samples that are all in one batch."""

    def __post_init__(self) -> None:
        if self.samples % self.batch:
            raise ValueError(f"{self.samples} samples are not a whole number of batches of {self.batch}")
        if not self.shuffled and self.samples > self.batch:
            raise ValueError(f"{self.samples} samples in batches of {self.batch} need an order: shuffle them")

    @property
    def name(self) -> str:
        """Name it in tables, and for ``--select``."""
        name = f"{'-'.join(map(str, self.layers))} batch {self.batch}"
        name = name if self.optimizer == "adam" else f"{name} {self.optimizer}"
        return name if self.shuffled else f"{name} in order"

    @property
    def steps(self) -> int:
        """Mini-batch steps in an epoch."""
        return self.samples // self.batch

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes (n_l, n_{l-1}) of the weights."""
        return list(zip(self.layers[1:], self.layers[:-1], strict=True))

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(n_out * n_in + n_out for n_out, n_in in self.shapes)

    @property
    def forward_flop(self) -> int:
        """Floating-point operations of the forward products of one sample: two a weight."""
        return 2 * sum(n_out * n_in for n_out, n_in in self.shapes)

    @property
    def step_flop(self) -> int:
        """Floating-point operations of the products of one step, two a multiply-add.

        Forward (1), backward (5) and gradient (6) take one multiply-add a weight and sample each; the input layer has
        no delta. Activations, cost and update are left out, so a share of peak stays below 1 by what they take.
        """
        first = self.layers[0] * self.layers[1]
        return self.batch * (3 * self.forward_flop - 2 * first)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload((2, 8, 1), 1, 2048),
        Workload((2, 8, 1), 32, 8192),
        Workload((1, 32, 32, 1), 32, 8192),
        Workload((24, 8, 2), 200, 20_000),
        Workload((4, 32, 16, 4), 10_000, 10_000),
        Workload((4, 32, 16, 4), 10_000, 10_000, shuffled=False),
        Workload((4, 120, 84, 2), 32, 6400),
        Workload((64, 100, 10), 200, 20_000, "relu"),
        Workload((784, 128, 10), 64, 12_800, "relu"),
        Workload((17, 256, 256, 6), 256, 25_600, "relu"),
        Workload((784, 512, 512, 10), 256, 8192, "relu"),
        Workload((1024, 2048, 2048, 1024), 1024, 2048, "relu"),
    )
}
"""Adam, squared error, by size."""

ONLINE = {
    workload.name: workload
    for workload in (
        Workload((2, 8, 1), 1, 16_384, optimizer="sgd"),
        Workload((64, 100, 10), 1, 4096, optimizer="sgd"),
        Workload((784, 128, 10), 1, 1024, optimizer="sgd"),
    )
}
"""Plain SGD, one sample an update: what FANN's incremental training does."""


@dataclass(frozen=True)
class Many(Workload):
    """Networks of one shape, each with weights and orders of its own, that are trained on the same samples."""

    count: int = 1
    cost: str = "squared_error"

    @property
    def name(self) -> str:
        """Name it in tables, and for ``--select``."""
        return f"{self.count} × {super().name}"


MANY = {
    workload.name: workload
    for workload in (
        Many((8, 32, 1), 32, 4096, count=256),
        Many((2, 8, 1), 32, 4096, count=1000),
        Many((17, 64, 64, 1), 128, 4096, count=64),
        Many((64, 100, 10), 200, 4000, count=50, cost="cross_entropy"),
    )
}
"""Many networks at once: what `fastbp.fit_many` is measured on. tanh, Adam."""

LEARNING_RATE = 1e-3


def data(workload: Workload, dtype: npt.DTypeLike) -> tuple[Array, Array]:
    """Draw inputs from a normal distribution, and targets that depend on them: the same for every side.

    Returns
    -------
    X : ndarray, shape (samples, n_0)
    Y : ndarray, shape (samples, n_L)
        tanh(A x / √n_0) for a random matrix A.
    """
    generator = np.random.default_rng(1)
    n_0, n_top = workload.layers[0], workload.layers[-1]
    X = generator.standard_normal((workload.samples, n_0))
    Y = np.tanh(X @ generator.standard_normal((n_0, n_top)) / np.sqrt(n_0))
    return X.astype(dtype), Y.astype(dtype)


def first_weights(workload: Workload, dtype: npt.DTypeLike) -> list[Array]:
    """Draw W^l of each layer, (n_l, n_{l-1}), so that every side starts from the same point; biases start at 0."""
    generator = np.random.default_rng(2)
    return [generator.uniform(-1, 1, shape).astype(dtype) * np.sqrt(6 / sum(shape)).astype(dtype)
            for shape in workload.shapes]


def data_of_many(workload: Many, dtype: npt.DTypeLike) -> tuple[Array, Array]:
    """Draw the samples as `data` does; with cross_entropy the targets are the indices of the largest."""
    X, Y = data(workload, dtype)
    return X, Y.argmax(axis=1) if workload.cost == "cross_entropy" else Y


def first_weights_of_many(workload: Many, dtype: npt.DTypeLike) -> list[Array]:
    """Draw W^l of each layer for all networks, (count, n_l, n_{l-1}); biases start at 0."""
    generator = np.random.default_rng(2)
    return [(generator.uniform(-1, 1, (workload.count, *shape)) * np.sqrt(6 / sum(shape))).astype(dtype)
            for shape in workload.shapes]

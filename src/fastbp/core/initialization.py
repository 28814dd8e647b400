"""First parameters that are fitted to data, layer by layer along one forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..initializers import FittedInitializer
from . import arrays, forward
from .model import Model
from .samples import SparseRows

Array = npt.NDArray[Any]


def some_rows(network: Model, X: Any, most: int) -> tuple[Array, Any]:
    """Return at most so many rows of X, drawn without replacement, and the state of the generator before that.

    Nothing else of the network is changed.
    """
    n_in, kind = network.layers[0], network.dtype
    found, before = arrays.rows(X, n_in, kind, network._architecture.encoding), network.generator.bit_generator.state
    rows = np.arange(len(found))
    if len(found) > most:
        rows = np.sort(network.generator.choice(len(found), most, replace=False))
    if not isinstance(found, SparseRows):
        return found[rows], before
    dense = np.zeros((len(rows), n_in), kind)
    for row, i in zip(dense, rows, strict=True):
        part = slice(found.starts[i], found.starts[i + 1])
        row[found.columns[part]] = found.values[part]
    return dense, before


@np.errstate(all="ignore")
def initialize(network: Model, inputs: Array, fitted: FittedInitializer) -> bool:
    """Draw W^l, b^l and begin with α^l, each layer with the outputs of the ones before it; False if they overflow.

    Outputs that no target is compared with, as log σ², are 0 at first, whatever x is.
    """
    architecture = network._architecture
    parameters = zip(network.weights, network.biases, network.alphas, architecture.activations, strict=True)
    for layer, (W, b, alphas, row) in enumerate(parameters):
        below = forward.encoded_inputs(network, inputs) if layer == 0 else inputs
        if layer > 0:
            below = np.empty((len(inputs), W.shape[1]), network.dtype)
            forward.outputs(network, inputs, layer, below)
        if not np.isfinite(below).all():
            return False
        W[:], first = fitted(network.generator, len(W), below.astype(np.float64))
        if b.size:
            b[:] = first
        if alphas.size:
            alphas[:] = row.alpha
    if architecture.n_targets < architecture.layers[-1]:
        network.weights[-1][architecture.n_targets :] = 0
        network.biases[-1][architecture.n_targets :] = 0
    return bool(np.isfinite(network._parameters).all())


def seed(value: Any) -> int | None:
    """Return the seed of a network: None draws from the operating system, a generator of NumPy's is asked for one."""
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**63))
    if isinstance(value, np.random.RandomState):
        raise TypeError("seed is a RandomState of NumPy's older kind, expected a whole number, for instance its "
                        "randint(2**31), or a numpy.random.Generator")
    return None if value is None else arrays.whole("seed", value, 0)

"""First weights and biases of a layer: by name, drawn from a NumPy generator; one number; given; or fitted to data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .util.names import canonical, lookup, names
from .util.settings import is_number

Array = npt.NDArray[Any]
Initializer = Callable[[np.random.Generator, int, int], "Array | tuple[Array, Array]"]
"""Called with generator, n_out, n_in; gives W (n_out, n_in), or W and b (n_out,)."""
FittedInitializer = Callable[[np.random.Generator, int, Array], tuple[Array, Array]]
"""Called with generator, n_out, and the layer's inputs (n_samples, n_in) in double; gives W (n_out, n_in) and b."""


@dataclass(frozen=True)
class Constant:
    """All weights of a layer are one number; its biases start at 0.

    Parameters
    ----------
    value : float
        The number. The neurons of a layer then do the same, and learn the same.

    Raises
    ------
    ValueError
        If it is not a finite number.
    """

    value: float

    def __post_init__(self) -> None:
        if not is_number(self.value):
            raise ValueError(f"Constant: value is {self.value!r}, expected a finite number")
        object.__setattr__(self, "value", float(self.value))


@dataclass(frozen=True, eq=False)
class Given:
    """First weights and biases that a user gave for a layer; biases start at 0 where there are None."""

    weights: Array
    biases: Array | None

    def __repr__(self) -> str:
        return f"<given {self.weights.shape}>"


Rule = str | Constant | Given
"""What one layer begins with."""


def _uniform(scale: Callable[[int, int], float]) -> Initializer:
    def draw(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
        bound = math.sqrt(3.0) * scale(n_in, n_out)
        return generator.uniform(-bound, bound, (n_out, n_in))

    return draw


def _normal(scale: Callable[[int, int], float]) -> Initializer:
    def draw(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
        return generator.normal(0.0, scale(n_in, n_out), (n_out, n_in))

    return draw


def _zeros(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
    return np.zeros((n_out, n_in))


def _orthogonal(generator: np.random.Generator, n_out: int, n_in: int) -> Array:
    Q, R = np.linalg.qr(generator.normal(size=(max(n_out, n_in), min(n_out, n_in))))
    Q *= np.where(np.diag(R) < 0, -1.0, 1.0)  # else it is not uniform (Mezzadri 2007, section 5)
    return Q if n_out >= n_in else Q.T


def _nguyen_widrow(generator: np.random.Generator, n_out: int, n_in: int) -> tuple[Array, Array]:
    length = 0.7 * n_out ** (1 / n_in)
    W = generator.uniform(-1.0, 1.0, (n_out, n_in))
    W *= length / np.linalg.norm(W, axis=1, keepdims=True)
    return W, generator.uniform(-length, length, n_out)


def _with_biases(scale: Callable[[int, int], float]) -> Initializer:
    """Draw biases like weights, uniformly within ± ``scale``."""
    def draw(generator: np.random.Generator, n_out: int, n_in: int) -> tuple[Array, Array]:
        bound = scale(n_in, n_out)
        return generator.uniform(-bound, bound, (n_out, n_in)), generator.uniform(-bound, bound, n_out)

    return draw


def _glorot(n_in: int, n_out: int) -> float:
    return math.sqrt(2.0 / (n_in + n_out))


def _he(n_in: int, n_out: int) -> float:
    return math.sqrt(2.0 / n_in)


def _lecun(n_in: int, n_out: int) -> float:
    return math.sqrt(1.0 / n_in)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": _zeros,
    "glorot_uniform": _uniform(_glorot),
    "glorot_normal": _normal(_glorot),
    "he_uniform": _uniform(_he),
    "he_normal": _normal(_he),
    "lecun_uniform": _uniform(_lecun),
    "lecun_normal": _normal(_lecun),
    "orthogonal": _orthogonal,
    "nguyen_widrow": _nguyen_widrow,
    "pytorch": _with_biases(_lecun),
    "scikit_learn": _with_biases(lambda n_in, n_out: math.sqrt(6.0 / (n_in + n_out))),
    "scikit_learn_logistic": _with_biases(_glorot),
}
"""Name -> function of (generator, n_out, n_in).

Standard deviations: glorot √(2/(n_in + n_out)) (Glorot & Bengio 2010, eq. 16), he √(2/n_in) (He et al. 2015, eq. 10),
lecun √(1/n_in) (LeCun et al. 1998, section 4.6). orthogonal: W Wᵀ = 1, or WᵀW = 1 if n_out > n_in (Saxe, McClelland &
Ganguli 2014). nguyen_widrow: rows of length 0.7 n_out^(1/n_in) in random directions, and biases up to that length, so
that the bends of the layer's neurons spread over inputs within -1 to 1 (Nguyen & Widrow 1990); for tanh and its like.
What layers of other libraries begin with unless told otherwise, weights and biases uniform within ±: pytorch 1/√n_in
(torch.nn.Linear), scikit_learn √(6/(n_in + n_out)), scikit_learn_logistic √(2/(n_in + n_out)), which it takes for
activation "logistic"; Keras' is glorot_uniform. With all others, biases start at 0.
"""

NAMES = names(
    INITIALIZERS,
    {
        "zeros": "zero",
        "glorot_uniform": "xavier_uniform keras tensorflow",
        "glorot_normal": "xavier_normal",
        "he_uniform": "kaiming_uniform",
        "he_normal": "kaiming_normal",
        "orthogonal": "random_orthogonal",
        "nguyen_widrow": "initnw nw",
        "pytorch": "torch",
        "scikit_learn": "sklearn",
        "scikit_learn_logistic": "sklearn_logistic",
    },
    {
        "'glorot_uniform'": "glorot xavier uniform random_uniform rands",
        "'glorot_normal'": "normal random_normal truncated_normal trunc_normal gaussian narrow_normal",
        "'he_uniform'": "he kaiming variance_scaling",
        "'lecun_normal'": "lecun",
        "'nguyen_widrow'": "nguyen widrow",
        "fastbp.initializers.Constant(1.0)": "ones one constant",
        "the weights themselves, for instance [np.eye(n), ...], an entry for each layer": "eye identity",
    },
)
"""What other libraries call them. Keras' and JAX' he_normal, glorot_normal and lecun_normal cut the distribution off at
two standard deviations.
"""


def _lsuv(generator: np.random.Generator, n_out: int, inputs: Array) -> tuple[Array, Array]:
    W = _orthogonal(generator, n_out, inputs.shape[1])
    return W / _varying(inputs @ W.T, None), np.zeros(n_out)


def _realmlp(generator: np.random.Generator, n_out: int, inputs: Array) -> tuple[Array, Array]:
    samples, n_in = inputs.shape
    W = generator.normal(size=(n_out, n_in)) / np.sqrt(n_in)
    W /= _varying(inputs @ W.T, 0)[:, np.newaxis]
    net = inputs @ W.T
    some, shares = generator.integers(samples, size=(FIVE, n_out)), generator.exponential(size=(FIVE, n_out))
    return W, -(shares / shares.sum(axis=0) * net[some, np.arange(n_out)]).sum(axis=0)


def _varying(net: Array, axis: int | None) -> Array:
    """Return the standard deviation of net inputs, 1 where they vary by no more than rounding, NaN on overflow."""
    deviation = net.std(axis=axis)
    least = np.abs(net).max(axis=axis) * np.finfo(np.float32).eps
    return np.where(deviation <= least, 1.0, np.where(np.isfinite(deviation), deviation, np.nan))


FIVE = 5
"""Samples between whose net inputs a bias of "realmlp" lies."""

FITTED_INITIALIZERS: dict[str, FittedInitializer] = {"lsuv": _lsuv, "realmlp": _realmlp}
"""Name -> function of (generator, n_out, inputs): what `Network.initialize` takes, layer by layer.

lsuv: orthogonal weights, divided by one number so that the net inputs of the layer have variance 1 over samples and
neurons; biases are 0 (layer-sequential unit variance: Mishkin & Matas 2016, "All you need is a good init", ICLR,
algorithm 1; as net inputs are linear in the weights, the division that it repeats is exact at once). realmlp: normal
weights, those of each neuron divided so that its net input has variance 1 without the bias, and b_j = −Σ_k λ_k z_k,
with z_k the net input of neuron j for five samples, drawn for each neuron, and λ_k of an exponential distribution,
divided by their sum, so that every neuron bends among the data ("he+5"; Holzmüller, Grinsztajn & Steinwart 2024,
"Better by default: strong pre-tuned MLPs and boosted trees on tabular data", NeurIPS; Steinwart 2019, "A sober look at
neural network initializations"). Where net inputs do not vary, weights stay as they are drawn.
"""

FITTED_NAMES = names(
    FITTED_INITIALIZERS,
    {"lsuv": "layer_sequential_unit_variance unit_variance", "realmlp": "he+5 he5 std"},
    {"Network(init=...), which takes no data": " ".join(INITIALIZERS)},
)


def fitted(name: str) -> FittedInitializer:
    """Look up an initializer that sees data.

    Parameters
    ----------
    name : str
        One of `FITTED_INITIALIZERS`; case, underscores and hyphens do not matter.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    """
    return lookup("method", name, FITTED_INITIALIZERS, FITTED_NAMES)


def get(name: str) -> Initializer:
    """Look up an initializer.

    Parameters
    ----------
    name : str
        One of `INITIALIZERS`, or what other libraries call it; case, underscores and hyphens do not matter.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    """
    return lookup("init", name, INITIALIZERS, NAMES)


def named(name: str) -> str:
    """Return the name in `INITIALIZERS`, by any name of it."""
    return canonical("init", name, INITIALIZERS, NAMES)


def draw(rule: Rule, generator: np.random.Generator, n_out: int, n_in: int,
         dtype: np.dtype[Any]) -> tuple[Array, Array | None]:
    """Return first weights of a layer, and its biases, None where they begin at 0.

    What is drawn is float64, and never so small that float32 does not hold it.
    """
    if isinstance(rule, Given):
        return rule.weights, rule.biases
    if isinstance(rule, Constant):
        with np.errstate(under="ignore"):
            return np.full((n_out, n_in), rule.value, dtype), None
    found = get(rule)(generator, n_out, n_in)
    return found if isinstance(found, tuple) else (found, None)

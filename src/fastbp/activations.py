"""The public catalogue of activations: formula, derivative, kernel, initializer, accuracy.

`NAMES` says what other libraries call them; where those mean something else by a name, docs/from/names.md tells.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .kernels.functions import activations as kernels
from .kernels.functions.softmax import softmax
from .util.names import Missing, lookup, names, same
from .util.settings import is_number

__all__ = ["ACTIVATIONS", "Activation", "get", "parametric"]


@dataclass(frozen=True)
class Activation:
    """One activation function phi, o_j = phi(net_j) (equation 2).

    Attributes
    ----------
    name : str
        The name by which a network asks for it.
    formula : str
        The output o as text, a function of the net input x.
    derivative : str
        The slope phi'(x) as text; o is the output.
    initializer : str
        The name of the weight initializer that suits a layer with this activation.
    ulp : tuple of float or None
        Bounds of the error of the output in units in the last place, for float32 and float64, as the tests verify
        them. None for softmax, whose exponent net_j - m is itself rounded.
    kernel : callable
        ``kernel(panel, slope, neurons)`` overwrites ``panel``, which holds net inputs, with outputs and ``slope``
        with derivatives.
    second_derivative : callable or None
        ``second_derivative(net, out, slope)`` overwrites ``net`` with the second derivatives phi''(net). None for
        softmax, which is not element-wise.
    values : bytes
        Of a function of the user's own what it gave at some points, as doubles: by these another process tells whether
        its name stands for the same function there.
    elementwise : bool
        Whether an output depends on its own net input alone, as all do but softmax.
    alpha : float or None
        What α of each neuron begins with where the activation is `parametric`; the kernels are then those of φ, around
        which `kernels.layer.parametric` stands. Else None.
    phi : str or None
        The name of that φ.
    """

    name: str
    formula: str
    derivative: str
    initializer: str
    ulp: tuple[float, float] | None
    kernel: Callable[[Any, Any, int], None]
    second_derivative: Callable[[Any, Any, Any], None] | None = None
    values: bytes = field(default=b"", repr=False)
    elementwise: bool = field(default=True, repr=False)
    alpha: float | None = field(default=None, repr=False)
    phi: str | None = field(default=None, repr=False)

    def __copy__(self) -> Activation:
        """Return itself: what a network computes does not change by copying."""
        return self

    def __deepcopy__(self, memo: Any) -> Activation:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.name, self.initializer, self.values)

    def again(self) -> Activation:
        """Return what its name stands for, if it was missing in this process and has been registered since."""
        return _restored(self.name, self.initializer, self.values) if isinstance(self.kernel, Missing) else self


_GLOROT, _HE, _LECUN = "glorot_uniform", "he_uniform", "lecun_normal"

_ROWS = (
    Activation("identity", "x", "1", _GLOROT, (0, 0), kernels.identity, kernels.straight),
    Activation("logistic", "s(x) = 1/(1 + exp(-x))", "o (1 - o)", _GLOROT, (2.5, 2.5),
               kernels.logistic, kernels.logistic_second),
    Activation("tanh", "tanh(x)", "1 - o**2", _GLOROT, (2.5, 2.5), kernels.tanh, kernels.tanh_second),
    Activation("relu", "max(x, 0)", "1 if x > 0 else 0", _HE, (0, 0), kernels.relu, kernels.straight),
    Activation("leaky_relu", "x if x > 0 else x/100", "1 if x > 0 else 1/100", _HE, (1, 1),
               kernels.leaky_relu, kernels.straight),
    Activation("elu", "x if x > 0 else exp(x) - 1", "1 if x > 0 else exp(x)", _HE, (1.5, 1.5),
               kernels.elu, kernels.exponential_second),
    Activation(
        "selu",
        "l x if x > 0 else l a (exp(x) - 1), with l = 1.0507009873554805, a = 1.6732632423543772",
        "l if x > 0 else l a exp(x)",
        _LECUN,
        (2.5, 2.5),
        kernels.selu,
        kernels.exponential_second,
    ),
    Activation("softplus", "log(1 + exp(x))", "s(x) = 1/(1 + exp(-x))", _HE, (2, 2),
               kernels.softplus, kernels.softplus_second),
    Activation("softsign", "x/(1 + |x|)", "1/(1 + |x|)**2", _GLOROT, (2, 2),
               kernels.softsign, kernels.softsign_second),
    Activation("silu", "x s(x), s(x) = 1/(1 + exp(-x))", "s(x) (1 + x (1 - s(x)))", _HE, (2.5, 2),
               kernels.silu, kernels.silu_second),
    Activation("gelu", "x Phi(x), Phi(x) = (1 + erf(x/sqrt(2)))/2", "Phi(x) + x Phi'(x)", _HE, (2.5, 2.5),
               kernels.gelu, kernels.gelu_second),
    Activation(
        "mish",
        "x t, t = tanh(log(1 + exp(x)))",
        "t + x (1 - t**2) s(x), s(x) = 1/(1 + exp(-x))",
        _HE,
        (2.5, 2.5),
        kernels.mish,
        kernels.mish_second,
    ),
    Activation("hard_tanh", "min(max(x, -1), 1)", "1 if |x| < 1 else 0", _GLOROT, (0, 0),
               kernels.hard_tanh, kernels.straight),
    Activation("hard_sigmoid", "min(max(x/6 + 1/2, 0), 1)", "1/6 if |x| < 3 else 0", _GLOROT, (1.5, 1.5),
               kernels.hard_sigmoid, kernels.straight),
    Activation("gaussian", "exp(-x**2)", "-2 x o", _GLOROT, (1.5, 1.5), kernels.gaussian, kernels.gaussian_second),
    Activation("sin", "sin(x)", "cos(x)", _GLOROT, (2.5, 2.5), kernels.sin, kernels.sin_second),
    Activation("exp", "exp(x)", "o", _GLOROT, (1.5, 1.5), kernels.exp, kernels.exp_second),
    Activation(
        "softmax",
        "exp(x_j - m)/sum_i exp(x_i - m), m = max_i x_i",
        "Jacobian: do_j/dx_i = o_j ((1 if i = j else 0) - o_i)",
        _GLOROT,
        None,
        softmax,
        elementwise=False,
    ),
)

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
"""Every activation by its name."""

NAMES = names(
    ACTIVATIONS,
    {
        "identity": "linear id purelin",
        "logistic": "sigmoid logistic_sigmoid expit logsig sigm",
        "tanh": "tansig hyperbolic_tangent",
        "relu": "rectifier rectified_linear poslin",
        "leaky_relu": "lrelu",
        "silu": "swish sigmoid_linear_unit",
        "hard_tanh": "satlins",
        "gaussian": "radbas rbf gauss",
        "sin": "sine",
        "exp": "exponential",
        "softplus": "smooth_relu",
    },
    {
        "'relu', which has no upper limit": "relu6",
        "fastbp.parametric('relu', alpha=0.75), whose slope below 0 begins with 1/4": "prelu parametric_relu",
        "'leaky_relu', whose slope is fixed at 1/100": "rrelu",
        "'elu', which is celu with alpha=1": "celu",
        "'silu'": "hard_swish hard_silu",
        "'mish'": "hard_mish",
        "'gelu', which is exact": "gelu_tanh gelu_new approximate_gelu quick_gelu",
        "'relu'": "relu_squared squared_relu",
        "'softplus'": "squareplus sparse_plus",
        "'softmax'": "softmin compet sparsemax",
        "'identity'": "none softshrink soft_shrink hard_shrink tanh_shrink",
        "'softmax' with the cost 'cross_entropy', which take the logarithm together": "log_softmax",
        "'logistic' with the cost 'binary_cross_entropy', which take the logarithm together": "log_sigmoid",
        "'hard_sigmoid', which is x/6 + 1/2 limited to [0, 1]": "satlin",
        "'logistic', since a step has no slope to train by": "hardlim hardlims heaviside step sign threshold binary",
        "'softsign'": "elliot elliotsig",
        "'tanh'": "arctan atan erf",
    },
)
"""What other libraries call them. Keras' leaky_relu has slope 0.2 (0.3 as a layer), and its hard_sigmoid before version
3 was x/5 + ½ limited to [0, 1]; JAX' gelu is an approximation by tanh unless ``approximate=False``.
"""


_PARAMETRIC = re.compile(r"parametric\((.+?)(?:, alpha=([^,]+))?\)", re.DOTALL)
"""The name of a parametric activation."""


def is_parametric(name: object) -> bool:
    """Return whether this is the name of a parametric activation, which is in no catalogue."""
    return isinstance(name, str) and name not in ACTIVATIONS and _PARAMETRIC.fullmatch(name) is not None


def parametric(activation: str | Activation, alpha: float = 1.0) -> Activation:
    """Return an activation with a parameter α of each neuron, o = x + α(φ(x) − x), that is learned with the weights.

    With α = 1 a neuron is the plain one, with α = 0 it is linear (Holzmüller, Grinsztajn & Steinwart 2024, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", NeurIPS, section 3: in RealMLP with SELU and
    Mish). ∂C/∂α_j is the sum over the samples of (φ(x_j) − x_j) ∂C/∂o_j, and the slope is 1 + α(φ'(x) − 1).

    Parameters
    ----------
    activation : str or Activation
        φ, element-wise: a name of `ACTIVATIONS`, also of a function of your own, or its row.
    alpha : float, default 1.0
        What every α begins with.

    Returns
    -------
    Activation
        For `Network`: the activation of all hidden layers, or of one. Its name, ``"parametric(mish)"`` or
        ``"parametric(mish, alpha=0.5)"``, stands for it too.

    Raises
    ------
    ValueError
        If ``activation`` is unknown, parametric already, identity, of which α changes nothing, or not element-wise, as
        softmax; or if ``alpha`` is not a finite number. In `Network`, if it is the output that makes a canonical link
        with the cost.

    Notes
    -----
    α^l, (n_l,), lies behind b^l in `Network.parameters`; `Network.alphas` are views. Every optimizer trains it and all
    first derivatives know it. Penalties and constraints of `Regularization` leave it alone, ``trainable``, clipping
    and the weight decay of an optimizer do not. What has terms of second order refuses such networks: Hessian products,
    Gauss–Newton products, Levenberg–Marquardt, Bayesian regularisation, the posterior, training on derivatives.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((1, 3, 1), activation=fastbp.parametric("mish"), seed=0)
    >>> net.alphas[0]
    array([1., 1., 1.], dtype=float32)
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> bool((net.fit(X, 2 * X, epochs=20).alphas[0] != 1).all())
    True
    """
    row = activation if isinstance(activation, Activation) else get(activation)
    if row.alpha is not None:
        raise ValueError(f"activation {row.name!r} is parametric already")
    if not row.elementwise:
        raise ValueError(f"activation {row.name!r} is not element-wise: it cannot be parametric")
    if row.name == "identity":
        raise ValueError("parametric('identity') is the identity, whatever alpha is: use another activation")
    if not is_number(alpha):
        raise ValueError(f"parametric({row.name!r}, alpha={alpha!r}): alpha must be a finite number")
    return _made_parametric(row, float(alpha))


@functools.cache
def _made_parametric(row: Activation, alpha: float) -> Activation:
    """Return one row for the same φ and α, so that networks that are built alike share their workspaces."""
    first = "" if alpha == 1 else f", alpha={alpha!r}"
    return replace(row, name=f"parametric({row.name}{first})", formula=f"x + a (phi(x) - x), phi = {row.name}",
                   derivative="1 + a (phi'(x) - 1)", ulp=None, second_derivative=None, alpha=alpha, phi=row.name)


def _of_parametric(name: str, found: Callable[[str], Activation]) -> Activation:
    """Return the parametric activation of a name, its φ as ``found`` looks it up."""
    match = _PARAMETRIC.fullmatch(name)
    assert match is not None
    if is_parametric(match[1]):
        raise ValueError(f"activation {name!r} is parametric twice")
    try:
        alpha = 1.0 if match[2] is None else float(match[2])
    except ValueError:
        raise ValueError(f"activation {name!r}: alpha={match[2]} is not a number") from None
    return parametric(found(match[1]), alpha)


MOST_MIXED = 64
"""Outputs that may have activations of their own: each is code that is compiled in every process that uses it."""


def mixed(rows: Sequence[str | Activation]) -> Activation:
    """Return the activation of an output layer whose outputs have one each, as ``Network(output=[...])`` takes them.

    Parameters
    ----------
    rows : sequence of str or Activation
        One for each output, element-wise and not parametric.

    Returns
    -------
    Activation
        Its name joins theirs by "|", and stands for it too.

    Raises
    ------
    ValueError
        If one is unknown, parametric or softmax, or there are more than 64.
    """
    if not 0 < len(rows) <= MOST_MIXED:
        raise ValueError(f"output has {len(rows)} activations, expected one for each output, of which there may be "
                         f"{MOST_MIXED}: give outputs of one kind a network of their own")
    found = [get(row) for row in rows]
    for row in found:
        if not row.elementwise or row.alpha is not None:
            raise ValueError(f"output holds {row.name!r}, expected activations that are element-wise and have no "
                             "parameters")
    return found[0] if len(set(map(id, found))) == 1 else _made_mixed(tuple(found))


@functools.cache
def _made_mixed(rows: tuple[Activation, ...]) -> Activation:
    from .kernels.functions import dual  # on use: it teaches Numba a type, which takes a moment

    runs = [(row, len(list(alike))) for row, alike in itertools.groupby(rows)]
    seconds = [(row.second_derivative, count) for row, count in runs]
    return Activation("|".join(row.name for row in rows), "one for each output", "one for each output", _GLOROT, None,
                      dual.mixed_activation([(row.kernel, count) for row, count in runs]),
                      None if None in [second for second, _ in seconds] else dual.mixed_second_derivative(seconds),
                      b"".join(row.values for row in rows))


def _restored_mixed(name: str, initializer: str, values: bytes) -> Activation:
    """Return the activations of a name, if they are the same functions, or one that is missing."""
    names = name.split("|")
    rows = [ACTIVATIONS[part] for part in names if part in ACTIVATIONS]
    if len(rows) == len(names) and same(b"".join(row.values for row in rows), values):
        return mixed(rows)
    absent = [part for part in names if part not in ACTIVATIONS]
    own = [row.name for row in rows if row.values]
    missing = Missing("activation", (absent or own or names)[0], known=not absent)
    return Activation(name, "your own", "your own", initializer, None, missing, missing, values)


def _restored(name: str, initializer: str, values: bytes) -> Activation:
    """Return what was pickled: the activation of that name, if it is the same function, or one that is missing."""
    if is_parametric(name):
        return _of_parametric(name, lambda phi: _restored(phi, initializer, values))
    found = ACTIVATIONS.get(name)
    if found is not None and same(found.values, values):
        return found
    if found is None and "|" in name:
        return _restored_mixed(name, initializer, values)
    missing = Missing("activation", name, known=found is not None)
    return Activation(name, "your own", "your own", initializer, None, missing, missing, values)


def get(name: str | Activation) -> Activation:
    """Look up an activation; an `Activation` is given back as it is.

    Parameters
    ----------
    name : str or Activation
        A key of ``ACTIVATIONS``, or what other libraries call it; case, underscores and hyphens do not matter. Or
        ``"parametric(…)"``, as `parametric` names it, or names of single outputs, joined by "|".

    Returns
    -------
    Activation
        Its row in the catalogue.

    Raises
    ------
    ValueError
        If no activation has this name; the message names the nearest that exists.
    TypeError
        If it is no string.

    Examples
    --------
    >>> get("tanh").derivative
    '1 - o**2'
    """
    if isinstance(name, Activation):
        return name
    if is_parametric(name):
        return _of_parametric(name, get)
    if isinstance(name, str) and "|" in name and name not in ACTIVATIONS:
        return mixed(name.split("|"))
    try:
        return lookup("activation", name, ACTIVATIONS, NAMES)
    except ValueError as error:
        raise ValueError(f"{error}; your own by fastbp.register_activation.") from None

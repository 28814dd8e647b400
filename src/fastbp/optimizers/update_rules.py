"""Optimizers for mini-batches: frozen dataclasses that check their settings and say which update rule (7) to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import schedules
from ..kernels import tables
from ..kernels.updates import rules
from ..util.settings import flag, fraction, not_negative, positive
from .base import UpdateRule


@dataclass(frozen=True)
class SGD(UpdateRule):
    """Stochastic gradient descent (7), with momentum.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.01
        μ > 0.
    momentum : float, default 0
        β in [0, 1): v ← βv − μ ∂E/∂w, Δw = v (Polyak 1964). 0 is plain gradient descent, which keeps no state.
    nesterov : bool, default False
        Look ahead: Δw = βv − μ ∂E/∂w with the new v (Nesterov 1983; Bengio et al. 2013, eq. 7).
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range, or ``nesterov`` is asked for without momentum.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.SGD(0.1))
    >>> bool(np.allclose(net.parameters, w - 0.1 * g))
    True
    """

    learning_rate: schedules.LearningRate = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    settings = {"momentum": (fraction, tables.HYPER_MOMENTUM)}

    def __post_init__(self) -> None:
        super().__post_init__()
        flag(self, "nesterov", self.nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD: nesterov=True needs a momentum above 0, for instance momentum=0.9")

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Buffers of state: the velocity, if there is momentum."""
        return int(self.momentum > 0)

    @property
    def slot_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The velocity."""
        return ("v",)[: self.slots]

    @property
    def rule(self) -> Any:
        """The kernel that it runs."""
        if self.momentum == 0:
            return rules.sgd
        return rules.nesterov if self.nesterov else rules.momentum


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam (Kingma & Ba 2015, algorithm 1).

    Parameters
    ----------
    learning_rate : float or schedule, default 1e-3
        μ > 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the running means of g and g², in [0, 1).
    epsilon : float, default 1e-8
        Added to √v̂.
    epsilon_hat : bool, default False
        Add it to √v instead, before the bias correction: the ε̂ at the end of the paper's section 2, which is what
        scikit-learn and TensorFlow compute. The first steps are then shorter where gradients are tiny.
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.Adam(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 * np.sign(g), atol=1e-5))  # the first step is as long for all
    True
    """

    learning_rate: schedules.LearningRate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = field(default=False, kw_only=True)
    slots = 2
    slot_names: ClassVar[tuple[str, ...]] = "m", "v"
    squares = frozenset("v")
    settings = {
        "beta1": (fraction, tables.HYPER_BETA1),
        "beta2": (fraction, tables.HYPER_BETA2),
        "epsilon": (positive, tables.HYPER_EPSILON),
        "epsilon_hat": (flag, tables.HYPER_EPSILON_HAT),
    }
    rule = staticmethod(rules.adam)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, epsilon_hat, rate_factors, decay_factors
        As for `Adam`.
    weight_decay : float or schedule, default 0.01
        λ ≥ 0: each step takes the share μλ from every parameter, biases too.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.AdamW(0.01, weight_decay=0.5))
    >>> bool(np.allclose(net.parameters, w - 0.01 * (np.sign(g) + 0.5 * w), atol=1e-5))
    True
    """

    weight_decay: schedules.Setting = 0.01
    settings = Adam.settings | {"weight_decay": (not_negative, tables.HYPER_WEIGHT_DECAY)}
    rule = staticmethod(rules.adamw)


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam whose divisor never shrinks (Reddi, Kale & Kumar 2018), with the bias corrections of Adam.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, epsilon_hat, rate_factors, decay_factors
        As for `Adam`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.AMSGrad(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 * np.sign(g), atol=1e-5))  # the first step is Adam's
    True
    """

    slots = 3
    slot_names = "m", "v", "u"
    squares = frozenset("vu")
    rule = staticmethod(rules.amsgrad)


@dataclass(frozen=True)
class NAdam(Adam):
    """Adam that looks ahead as Nesterov's momentum does (Dozat 2016, with a constant β₁).

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, epsilon_hat, rate_factors, decay_factors
        As for `Adam`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.NAdam(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 * (0.09 / 0.19 + 1) * np.sign(g), atol=1e-5))  # it looks ahead
    True
    """

    rule = staticmethod(rules.nadam)


@dataclass(frozen=True)
class RAdam(Adam):
    """Adam with rectified variance: its first steps are those of momentum (Liu et al. 2020, algorithm 2).

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, epsilon_hat, rate_factors, decay_factors
        As for `Adam`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.RAdam(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 * g))  # at first the variance is not trusted
    True
    """

    rule = staticmethod(rules.radam)


@dataclass(frozen=True)
class AdaBelief(Adam):
    """Adam that divides by how far g is from its running mean (Zhuang et al. 2020, algorithm 2).

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon_hat, rate_factors, decay_factors
        As for `Adam`.
    epsilon : float, default 1e-16
        Added to the running mean of (g − m)², and to the root.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.AdaBelief(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 / 0.9 * np.sign(g), atol=1e-5))  # g is 0.9 g from its mean, 0.1 g
    True
    """

    epsilon: float = 1e-16
    slot_names = "m", "s"
    squares = frozenset("s")
    rule = staticmethod(rules.adabelief)


@dataclass(frozen=True)
class Lion(UpdateRule):
    """Signs of a momentum (Chen et al. 2023, algorithm 2): all parameters move equally far.

    Parameters
    ----------
    learning_rate : float or schedule, default 1e-4
        μ > 0: how far a parameter moves in a step.
    beta1, beta2 : float, default 0.9 and 0.99
        Share of the momentum in the direction, and its decay, in [0, 1).
    weight_decay : float or schedule, default 0
        λ ≥ 0: each step takes the share μλ from every parameter, biases too.
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.Lion(0.001))
    >>> bool(np.allclose(net.parameters, w - 0.001 * np.sign(g)))
    True
    """

    learning_rate: schedules.LearningRate = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: schedules.Setting = 0.0
    slots = 1
    slot_names = ("m",)
    settings = {
        "beta1": (fraction, tables.HYPER_BETA1),
        "beta2": (fraction, tables.HYPER_BETA2),
        "weight_decay": (not_negative, tables.HYPER_WEIGHT_DECAY),
    }
    rule = staticmethod(rules.lion)


@dataclass(frozen=True)
class RMSprop(UpdateRule):
    """Division by the root of a running mean of g² (Tieleman & Hinton 2012, lecture 6.5).

    Parameters
    ----------
    learning_rate : float or schedule, default 1e-3
        μ > 0.
    decay : float, default 0.9
        ρ in [0, 1) of the running mean.
    epsilon : float, default 1e-8
        Added to the root.
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.RMSprop(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 / np.sqrt(0.1) * np.sign(g), atol=1e-5))  # the mean of g² is 0.1 g²
    True
    """

    decay: float = 0.9
    epsilon: float = 1e-8
    slots = 1
    slot_names = ("v",)
    squares = frozenset("v")
    settings = {"decay": (fraction, tables.HYPER_DECAY), "epsilon": (positive, tables.HYPER_EPSILON)}
    rule = staticmethod(rules.rmsprop)


@dataclass(frozen=True)
class Adagrad(UpdateRule):
    """Division by the root of the sum of all g² (Duchi, Hazan & Singer 2011, diagonal).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.01
        μ > 0.
    epsilon : float, default 1e-10
        Added to the root.
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.Adagrad(0.01))
    >>> bool(np.allclose(net.parameters, w - 0.01 * np.sign(g), atol=1e-5))
    True
    """

    learning_rate: schedules.LearningRate = 0.01
    epsilon: float = 1e-10
    slots = 1
    slot_names = ("v",)
    squares = frozenset("v")
    settings = {"epsilon": (positive, tables.HYPER_EPSILON)}
    rule = staticmethod(rules.adagrad)


@dataclass(frozen=True)
class Adadelta(UpdateRule):
    """Steps in the units of the parameters: the ratio of running means of Δw² and g² (Zeiler 2012, algorithm 1).

    Parameters
    ----------
    learning_rate : float or schedule, default 1
        μ > 0, a factor that the paper leaves at 1.
    decay : float, default 0.9
        ρ in [0, 1) of both running means.
    epsilon : float, default 1e-6
        Added under both roots.
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), dtype="float64", seed=0)
    >>> g, w = net.gradient(x, x**2), net.parameters.copy()
    >>> net = net.fit(x, x**2, epochs=1, batch_size=50, optimizer=fastbp.Adadelta())
    >>> bool(np.allclose(net.parameters, w - 1e-3 * g / np.sqrt(0.1 * g**2 + 1e-6)))  # the units of w come with time
    True
    """

    learning_rate: schedules.LearningRate = 1.0
    decay: float = 0.9
    epsilon: float = 1e-6
    slots = 2
    slot_names = "v", "u"
    squares = frozenset("vu")
    settings = {"decay": (fraction, tables.HYPER_DECAY), "epsilon": (positive, tables.HYPER_EPSILON)}
    rule = staticmethod(rules.adadelta)


RULES = (SGD, Adam, AdamW, AMSGrad, NAdam, RAdam, AdaBelief, Lion, RMSprop, Adagrad, Adadelta)
"""All of them; a name is a class's in lower case."""

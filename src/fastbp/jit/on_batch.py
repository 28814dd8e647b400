"""One update from Python, for loops of the user's own: `Network.train_on_batch` and its like, by `train_batch`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Never

import numpy as np
import numpy.typing as npt

from .. import optimizers
from ..core import arrays, observed
from ..core.model import Model
from ..core.samples import Samples
from ..costs import LINEAR, Cost
from ..derivatives import first
from ..optimizers import Optimizer
from ..training.errors import DivergenceError
from ..training.history import History
from ..training.progress import Progress, Trainable, new_progress
from ..util import keywords
from . import functions, make
from . import model as jit

Array = npt.NDArray[Any]


class Stepper(NamedTuple):
    """What one update after another is made with; it lives as long as the training that it goes on with."""

    progress: Progress
    """Whose state and numbers the updates write."""
    model: jit.Model
    state: jit.State
    work: Array
    before: Array
    """Room for the parameters that a diverging update would lose."""

    def goes_on(self, progress: Progress | None, method: Optimizer) -> bool:
        """Whether the next update of a training is made with it: a fit that resumes writes to numbers of its own."""
        return (self.progress is progress and progress.optimizer is method
                and self.state.hyper is progress.hyper and self.state.slots is progress.state)


def train_on_batch(self: Trainable, X: npt.ArrayLike, Y: npt.ArrayLike, *,
                   optimizer: str | Optimizer | None = None, missing: str | None = None, **unknown: Never) -> float:
    """Make one update by the gradient of the mean cost of some samples: a step of a loop of your own.

    Parameters
    ----------
    X, Y : array_like
        As in `fit`, but for a sparse X: the samples of the update, in their order.
    optimizer : str or Optimizer, optional
        An update rule whose settings are numbers. By default the one that this network's training goes on with, by
        `train_on_batch` or by a `fit` before it; else Adam. Another rule begins anew, the same one with other settings
        goes on with its state; its name alone, with its settings too.
    missing : {None, "ignore"}, default None
        As in `fit`: "ignore" learns by the targets that are not NaN, as those of the actions that were taken.

    Returns
    -------
    float
        The mean cost E (3) before the update.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; nothing has been changed then.
    DivergenceError
        If the cost or a parameter becomes infinite or NaN; the parameters are those before the update.
    RuntimeError
        If this network is being fitted.

    Notes
    -----
    It takes about 15 µs beside the arithmetic, on one thread; a `fit` of one epoch takes six times as long. The bits
    are those of ``fit(X, Y, epochs=1, batch_size=len(X), shuffle=False, resume=True)``. No history is kept, and there
    are no weights of samples and no regularisation; ``fit(resume=True)`` goes on with the optimizer's state. Compiled
    code of your own trains by `fastbp.jit.train_batch`, without Python between the steps.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng, net = np.random.default_rng(0), fastbp.Network((2, 8, 1), seed=0)
    >>> costs = []
    >>> for _ in range(300):
    ...     X = rng.normal(size=(32, 2))
    ...     costs.append(net.train_on_batch(X, X[:, :1] * X[:, 1:], optimizer="adam"))
    >>> costs[-1] < costs[0]
    True
    """
    keywords.check(train_on_batch, "train_on_batch", (), unknown, keywords.STEP)
    if missing is None:
        return _step(self, None, self._samples(X, Y), optimizer)
    known = self._observed(X, Y, None, None, 1.0, missing, sparse=False)
    return _step(self, None, observed.without_weights(known, self._architecture.n_targets), optimizer)


def train_on_output_gradients(self: Trainable, X: npt.ArrayLike, U: npt.ArrayLike | None,
                              U_jacobian: npt.ArrayLike | None = None, *,
                              optimizer: str | Optimizer | None = None) -> None:
    """Make one update by Σ_s Σ_j u_sj ∂o_sj/∂parameters: learn by a cost of your own, from its ∂E/∂o.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs.
    U : array_like, shape (n_samples, n_L), or (n_samples,) if n_L is 1
        ∂E/∂o at the outputs that `predict` has for X. E is yours: a likelihood, an advantage times log π, what a
        simulation says. It need not be known. None, with U_jacobian, where E depends on slopes alone.
    U_jacobian : array_like, shape (n_samples, n_L, n_0), or (n_samples, n_0) if n_L is 1, optional
        ∂E/∂(∂o/∂x) at the slopes that `jacobian` has for X, see `parameter_vjp`.
    optimizer : str or Optimizer, optional
        As in `train_on_batch`, whose training this goes on with.

    Raises
    ------
    ValueError, TypeError, DivergenceError, RuntimeError
        As in `train_on_batch`.

    Notes
    -----
    The gradient is `parameter_vjp`: a sum over the samples, not their mean.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.random.default_rng(0).normal(size=(64, 2))
    >>> y, net = X[:, :1] * X[:, 1:], fastbp.Network((2, 8, 1), seed=0)
    >>> before = net.cost(X, y)
    >>> for _ in range(300):
    ...     net.train_on_output_gradients(X, np.tanh(net.predict(X) - y) / len(X), optimizer="adam")
    >>> net.cost(X, y) < before
    True
    """
    inputs = arrays.inputs(X, self.layers[0], self.dtype, self._architecture.encoding)
    if U_jacobian is not None:
        gradient = first.parameter_vjp(self, inputs, U, U_jacobian)
        if self._lock.locked():
            raise self._busy()
        with self._lock:
            stepper = _begin_step(self, LINEAR, optimizer)
            stepper.state.gradient[:] = gradient
            functions.update(stepper.model, stepper.state)
            _check_finite(self, stepper, 0.0)
        return

    weights = arrays.directions("U", U, len(inputs), self.layers[-1], self.dtype, "outputs")
    with np.errstate(over="ignore"):  # the step diverges, then
        weights = weights * self.dtype.type(len(inputs))
    _step(self, LINEAR, Samples(inputs, weights, False, np.empty(0, self.dtype)), optimizer)


def _step(network: Trainable, cost: Cost | None, samples: Samples, optimizer: str | Optimizer | None) -> float:
    """Make one update for a cost, by default the network's own, by the stepper that it has for it, or by a new one."""
    inputs: Any = samples.inputs
    cost = samples.cost or cost
    if network._lock.locked():
        raise network._busy()
    with network._lock:
        stepper = _begin_step(network, cost, optimizer)
        if cost is not LINEAR:
            network._take_shape(samples)
        mean = float(functions.train_batch(stepper.model, stepper.state, inputs, _rows(network, samples), stepper.work))
        _check_finite(network, stepper, mean)
        return mean


def _begin_step(network: Trainable, cost: Cost | None, optimizer: str | Optimizer | None) -> Stepper:
    """Return the stepper that a locked network has for a cost, or a new one, with the parameters as they are."""
    network._check_writable()
    method = _rule(network._progress, optimizer)
    steppers: dict[Cost | None, Stepper] = network.__dict__.setdefault("_steppers", {})
    stepper = steppers.get(cost)
    if stepper is None or not stepper.goes_on(network._progress, method):
        model = network if cost is None else network._with_cost(cost)
        stepper = steppers[cost] = _stepper(network, model, method)
    stepper.before[:] = network._parameters
    return stepper


def _check_finite(network: Trainable, stepper: Stepper, mean: float) -> None:
    """Raise DivergenceError after an update that has left the finite, and undo it."""
    if math.isfinite(mean) and np.isfinite(network._parameters).all():
        return
    network._parameters[:] = stepper.before
    rate = stepper.progress.learning_rate
    network._progress = None  # the optimizer's state is not finite either
    raise DivergenceError(1, rate)


def _rule(progress: Progress | None, optimizer: str | Optimizer | None) -> Optimizer:
    """Return the update rule of the next step: the one that was asked for, else that of the training, else Adam."""
    if progress is None:
        method = optimizers.get("adam" if optimizer is None else optimizer)
    else:
        method = progress.optimizer if optimizer is None else optimizers.get(optimizer)
        if method == progress.optimizer or isinstance(optimizer, str) and type(method) is type(progress.optimizer):
            method = progress.optimizer
    make.check_rule(method)
    return method


def _stepper(network: Trainable, model: Model, method: Optimizer) -> Stepper:
    """Go on with the network's training, or begin a new one where it is another rule's; ``model`` has the cost."""
    progress = network._progress
    if progress is None or not method.takes_over(progress.optimizer):
        progress = new_progress(network, method)
        network._progress, network.history = progress, History()
    elif method is not progress.optimizer:
        progress.go_on_with(method)
    compiled = make.compiled(model)
    state = make.state(compiled, method)._replace(slots=progress.state, hyper=progress.hyper)
    return Stepper(progress, compiled, state, functions.workspace(compiled), np.empty_like(network._parameters))


def _rows(network: Trainable, samples: Samples) -> Array:
    """Return targets as rows, also those of classes."""
    if not samples.labels:
        return samples.targets
    rows = np.zeros((len(samples), network.layers[-1]), network.dtype)
    rows[np.arange(len(samples)), samples.targets.astype(np.int64)] = 1
    return rows

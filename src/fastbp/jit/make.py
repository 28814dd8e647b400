"""Models and states are made here, in Python, and go to compiled code as arguments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import optimizers
from ..core import arrays, link_compiled
from ..core import model as core
from ..core.conversion import readonly
from ..costs import LINEAR
from ..kernels import layout, prototypes
from ..kernels.compile import address
from ..kernels.tables import ENSEMBLE_SIZE, ENTRY_ENCODING, MEMBER_PARAMETERS, RULE_BYTES, RULE_SLOTS
from ..kernels.updates import rules
from ..optimizers import Optimizer, UpdateRule
from ..optimizers.base import GROUPED
from .checks import check
from .model import EnsembleModel, Model, State


def compiled(self: core.Model, batch: int = 256, *, output_gradients: bool = False,
             slope_gradients: bool = False) -> Model:
    """Return the network for use inside your own compiled code, see `fastbp.jit`.

    Parameters
    ----------
    batch : int, default 256
        Samples that a workspace takes at once. Larger batches go through it block by block; smaller numbers make
        smaller workspaces.
    output_gradients : bool, default False
        Take ∂E/∂o for targets, of a cost E of your own: what `cost_and_gradient` writes is then uᵀ ∂o/∂parameters,
        what `cost_and_gradient_batch` writes its mean over the samples, and `train_one` and `train_batch` learn by
        these; the cost that they return is uᵀo.
    slope_gradients : bool, default False
        With ``output_gradients``: take ∂E/∂(∂o/∂x), too, in `fastbp.jit.parameter_vjp`, for which this model is then;
        a batch trains by it and `fastbp.jit.update`. A workspace has room for a tangent for each input of a sample.

    Returns
    -------
    fastbp.jit.Model
        A NamedTuple of arrays over the same `parameters`: what compiled code learns, this network knows.

    Raises
    ------
    TypeError, ValueError
        If ``batch`` is not a whole number from 1 up; with ``slope_gradients`` if the network has encoders or
        `fastbp.parametric` activations, or ``output_gradients`` is False.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> model = net.compiled()  # an argument for @njit functions that call fastbp.jit
    >>> out = np.empty(1)
    >>> fastbp.jit.forward(model, np.array([0.0, 1.0]), out, fastbp.jit.workspace(model))
    True
    """
    if slope_gradients and not output_gradients:
        raise ValueError("slope_gradients is True, but output_gradients is not: a model for the gradients of slopes "
                         "takes those of outputs, which may be 0, with them; expected both")
    if output_gradients:
        self = self._with_cost(LINEAR)
    if slope_gradients:
        self._architecture.check_tangents("slope_gradients")
    plan, calls = link_compiled.embedded_tables(self._architecture, arrays.whole("batch", batch),
                                                slopes=slope_gradients)
    parameters = self._parameters if self.parameters.flags.writeable else readonly(self._parameters)
    return Model(parameters, plan.layers, plan.cells, plan.cost_parameter, calls,
                 readonly(np.empty(0, self.dtype)), np.empty(0, np.int64))


def compiled_ensemble(networks: Sequence[core.Model]) -> EnsembleModel:
    """Return networks of one dtype, n_0, n_L and number of targets for `forward_ensemble`; parameters are copied.

    Where targets are half of n_L, a log variance stands behind each.
    """
    architectures = [network._architecture for network in networks]
    sizes, members, layers, calls = link_compiled.ensemble_tables(architectures)
    parameters = layout.aligned(int(sizes[ENSEMBLE_SIZE]), networks[0].dtype)
    parameters[:] = 0
    for network, row in zip(networks, members, strict=True):
        start = row[MEMBER_PARAMETERS]
        parameters[start : start + network.n_parameters] = network._parameters
    return EnsembleModel(parameters, sizes, members, layers, calls, readonly(np.empty(0, networks[0].dtype)))


def check_rule(method: Optimizer) -> UpdateRule:
    """Return an update rule whose settings are numbers, alike for all parameters; raise ValueError for another one."""
    if not isinstance(method, UpdateRule):
        raise ValueError(f"{type(method).__name__} works on the full batch, through Network.fit: use an update rule "
                         "such as 'adam' for single steps")
    if method.has_schedule or method.followed:
        name, cell = ("learning_rate", 0) if method.has_schedule else (method.followed[0].setting,
                                                                       method.followed[0].cell)
        raise ValueError(f"{name} is {getattr(method, name)!r}, and single steps have no epochs for a schedule to "
                         f"follow: give a number; in compiled code change hyper[{cell}] of the state as you go, and "
                         "give train_on_batch an optimizer with another number")
    for name in GROUPED:
        if getattr(method, name) is not None:
            raise ValueError(f"{name} is {getattr(method, name)!r}, and in single steps all parameters have the same "
                             "learning rate: leave it out, or train with Network.fit")
    return method


def state(model: Model, optimizer: str | Optimizer = "adam") -> State:
    """Make the state of an optimizer for `train_one` and `train_batch`. Called from Python, not from compiled code.

    Parameters
    ----------
    model : Model
    optimizer : str or Optimizer, default "adam"
        A name stands for its defaults.

    Returns
    -------
    State
        A NamedTuple: gradient and slots (laid out like the parameters), hyper (``hyper[0]`` is the learning rate, which
        compiled code may change), and the address of the rule.

    Raises
    ------
    ValueError
        If there is no optimizer of that name, it is a method for the full batch, which has no rule for an update, or
        its learning rate or decay is a schedule or has factors, which `Network.fit` alone knows; or if the arrays of
        the model do not belong together.
    TypeError
        If an array of the model is of another kind than `Network.compiled` makes it.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Network((2, 3, 1), dtype="float64").compiled()
    >>> optimizer = fastbp.jit.state(model, fastbp.Adam(0.01))
    >>> float(optimizer.hyper[0]), optimizer.gradient.shape
    (0.01, (13,))
    """
    check(model)
    method = check_rule(optimizers.get(optimizer))
    size, dtype = model.parameters.size, model.parameters.dtype
    made_for = method.slots << RULE_SLOTS | dtype.itemsize << RULE_BYTES
    plain = method.rule is rules.sgd and not model.calls[ENTRY_ENCODING]
    return State(np.zeros(size, dtype), np.zeros(method.slots * size, dtype), method.hyper(),
                 address(method.rule, dtype, prototypes.update_rule) | made_for, int(plain))

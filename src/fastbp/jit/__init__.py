"""A network inside your own ``@njit`` code: run it, differentiate it, train it there.

``model = net.compiled()`` is a NamedTuple of arrays over the same parameter buffer as the Network. Pass it to compiled
functions (as an argument, not as a global: Numba would freeze its arrays) and call what is below on it. Nothing is
allocated but by `workspace` and `ensemble_workspace`; each thread, or each iteration of a ``prange``, needs a workspace
of its own. The callers may be cached, release the interpreter lock, and run in parallel. `Ensemble.compiled` makes an
`EnsembleModel`, for `forward_ensemble`: many networks in one call, however many and of whatever sizes.

Arrays must be C-contiguous and of the network's dtype, and writable if they are written to: anything else is an error
when the caller is compiled. The parameters may be read-only for all that does not train. Compiled code cannot raise
cheaply, so where *sizes* do not fit, or arrays are of another model or optimizer, nothing is written and what comes
back is False or NaN; `check` says why. Called from Python they raise ValueError then. What stands in the arrays of a
model and in ``rule`` of a state are addresses and offsets, not for changing.

>>> import numba, numpy as np, fastbp
>>> @numba.njit
... def iterate(model, x, steps):
...     work = fastbp.jit.workspace(model)
...     for _ in range(steps):
...         fastbp.jit.forward(model, x, x, work)
...     return x
>>> net = fastbp.Network((2, 2), init="zeros", dtype="float64")
>>> net.weights[0][:] = [[0, 1], [1, 0]]
>>> iterate(net.compiled(), np.array([1.0, 2.0]), 3)
array([2., 1.])
"""

from . import ensemble, functions, slopes
from .checks import check
from .ensemble import ensemble_workspace
from .from_python import from_python
from .functions import workspace
from .make import state
from .model import EnsembleModel, Model, State

forward, forward_batch = from_python(functions.forward), from_python(functions.forward_batch)
cost_and_gradient = from_python(functions.cost_and_gradient)
cost_and_gradient_batch = from_python(functions.cost_and_gradient_batch)
input_gradient, vjp = from_python(functions.input_gradient), from_python(functions.vjp)
parameter_vjp = from_python(slopes.parameter_vjp)
train_one, train_batch = from_python(functions.train_one), from_python(functions.train_batch)
update, forward_ensemble = from_python(functions.update), from_python(ensemble.forward_ensemble)

__all__ = ["EnsembleModel", "Model", "State", "check", "cost_and_gradient", "cost_and_gradient_batch",
           "ensemble_workspace", "forward", "forward_batch", "forward_ensemble", "input_gradient",
           "parameter_vjp", "state", "train_batch", "train_one", "update", "vjp", "workspace"]

"""What compiled code is given: a network and an optimizer as NamedTuples of arrays, made outside of it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, NoReturn

from ..kernels.layout import Doubles, Floats, Integers


def _stays(given: Model | EnsembleModel | State, again: str) -> NoReturn:
    """Refuse to pickle addresses: in another process they point anywhere."""
    raise TypeError(f"fastbp.jit.{type(given).__name__} holds addresses of this process and cannot be pickled: send "
                    f"the Network, and call {again} there")


class Model(NamedTuple):
    """A network as compiled code sees it; its parameters are those of the Network, not a copy.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64")
    >>> model = net.compiled()
    >>> model.parameters[:] = 0  # the network's own
    >>> net.predict([1.0, 2.0])
    array([0.])
    """

    parameters: Floats
    """The flat buffer."""
    layers: Integers
    """A row a layer, see `tables`."""
    cells: Integers
    """Single offsets and addresses, see `tables`."""
    cost_parameter: Doubles
    """The one number of a cost that has one."""
    calls: Integers
    """Sizes, and the addresses of `kernels.embedded.KERNELS`."""
    none: Floats
    """Empty, read-only: no sample weights."""
    order: Integers
    """Empty: samples as they come."""

    def __reduce__(self) -> NoReturn:
        _stays(self, "compiled()")

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: Any) -> Model:
        return Model._make(copy.deepcopy(part, memo) for part in self)


class EnsembleModel(NamedTuple):
    """An ensemble as compiled code sees it: one type, however many networks there are; its parameters are a copy.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), dtype="float64", seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> model = ensemble.compiled()
    >>> work = fastbp.jit.ensemble_workspace(model)
    >>> mean, std = np.empty(1), np.empty(1)
    >>> fastbp.jit.forward_ensemble(model, np.array([0.5]), mean, std, work)
    True
    >>> bool(np.allclose(mean, ensemble.predict([0.5])) and np.allclose(std, ensemble.std([0.5])))
    True
    """

    parameters: Floats
    """Those of all networks, one behind the other."""
    sizes: Integers
    """Sizes, and the address of the kernel, see `tables.ENSEMBLE`."""
    members: Integers
    """A row a network, where its parts lie in the arrays here, see `tables.MEMBER`."""
    layers: Integers
    """A row a layer of all networks, see `tables.LAYER`."""
    calls: Integers
    """A row an architecture, see `tables.ENTRY`."""
    none: Floats
    """Empty, read-only: of the networks' dtype."""

    def __reduce__(self) -> NoReturn:
        _stays(self, "compiled()")

    def __copy__(self) -> EnsembleModel:
        return self

    def __deepcopy__(self, memo: Any) -> EnsembleModel:
        return EnsembleModel._make(copy.deepcopy(part, memo) for part in self)


class State(NamedTuple):
    """An optimizer with its state.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Network((2, 3, 1), dtype="float64").compiled()
    >>> optimizer = fastbp.jit.state(model, fastbp.SGD(0.1, momentum=0.9))
    >>> optimizer.hyper[0] = 0.05  # the learning rate
    """

    gradient: Floats
    """Laid out like the parameters."""
    slots: Floats
    """The optimizer's slots, each laid out like the parameters."""
    hyper: Doubles
    """The rule's numbers, see `rules`; the first is the learning rate."""
    rule: int
    """Address of the rule, and above it what it is made for, see `tables.RULE_ADDRESS`."""
    plain: int
    """1 if it is plain gradient descent, which needs no gradient for one sample."""

    def __reduce__(self) -> NoReturn:
        _stays(self, "compiled() and fastbp.jit.state()")

    def __copy__(self) -> State:
        return self

    def __deepcopy__(self, memo: Any) -> State:
        return State._make(copy.deepcopy(part, memo) for part in self)

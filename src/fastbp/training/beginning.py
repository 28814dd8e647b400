"""First parameters drawn anew, and training forgotten: methods of `Network`."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .. import initializers
from ..core import arrays, initialization
from .progress import Trainable

T = TypeVar("T", bound=Trainable)


def reset(self: T, seed: int | np.random.Generator | None = None) -> T:
    """Draw new first weights (or put back those that were given), forget the history and the optimizer's state.

    Parameters
    ----------
    seed : int or numpy.random.Generator, optional
        Seed of the generator; None draws one from the operating system, a Generator is asked for one.

    Returns
    -------
    Network
        self

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> first = net.parameters.copy()
    >>> net = net.fit(X, Y, epochs=1).reset(0)
    >>> bool((net.parameters == first).all()), len(net.history)
    (True, 0)
    """
    drawn = initialization.seed(seed)
    with self._fitting():
        self._begin(drawn)
    return self


def initialize(self: T, X: npt.ArrayLike, method: str = "realmlp", *, rows: int = 2048) -> T:
    """Draw first parameters that are fitted to data, forget the history and the optimizer's state.

    Layer by layer along one forward pass, so that net inputs have variance 1 on X.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs, as in `fit`: dense or sparse, of which every row is looked at for NaN.
    method : {"realmlp", "lsuv"}, default "realmlp"
        See `fastbp.initializers.FITTED_INITIALIZERS`. "realmlp": normal weights, each neuron's net input of
        variance 1, and biases between the net inputs of five samples. "lsuv": orthogonal weights, each layer's net
        inputs of variance 1, biases 0.
    rows : int, default 2048
        Rows of X that are used at most; of more, so many are drawn without replacement.

    Returns
    -------
    Network
        self

    Raises
    ------
    ValueError, TypeError
        If X does not fit, ``method`` is unknown, or outputs overflow on the way; nothing has been changed then.
    RuntimeError
        If this network is being fitted.

    Notes
    -----
    It draws from `generator`, as a fit does, so the network's seed decides; a later fit, `fit_many` too, goes on
    from there. Parameters α of activations begin anew, the outputs log σ² of gaussian_nll with 0. `init` stays what
    it was, and `reset` draws by it.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = 100 + 50 * np.random.default_rng(0).normal(size=(500, 3))
    >>> net = fastbp.Network((3, 8, 1), activation="relu", seed=0).initialize(X)
    >>> bool(np.allclose((X @ net.weights[0].T).std(axis=0), 1, atol=1e-3))
    True
    """
    fitted, most = initializers.fitted(method), arrays.whole("rows", rows)
    with self._fitting():
        inputs, state = initialization.some_rows(self, X, most)
        before = self._parameters.copy()
        if not initialization.initialize(self, inputs, fitted):
            self._parameters[:], self.generator.bit_generator.state = before, state
            raise ValueError("net inputs or outputs of a layer overflow, so that no parameters can be fitted to "
                             "them: standardise X, or use another activation")
        self._forget()
    return self

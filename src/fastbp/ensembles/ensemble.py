"""Ensemble: several networks that answer together."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from typing import Any, overload

from ..network import Network
from . import predictions
from .members import Members


class Ensemble(Members):
    """Several networks that answer together: their mean, and how far they differ.

    Deep ensembles (Lakshminarayanan et al. 2017) are networks that were trained from different first weights; those of
    `bootstrap` and `folds` have seen different rows too, and know from the rows which each has *not* seen how far
    their predictions miss.

    Parameters
    ----------
    networks : iterable of Network
        The members. They have the same number of inputs and outputs, the same dtype, and costs of the same kind: for
        numbers, for classes (cross_entropy), for outputs that are probabilities (binary_cross_entropy) or for means and
        variances (gaussian_nll). In all else they may differ. They are not copied: an ensemble says what they say now.

    Raises
    ------
    ValueError
        If there is none, one is there twice, or they differ in what they must share.
    TypeError
        If one is not a Network.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> networks = [fastbp.Network((1, 8, 1), dtype="float64", seed=seed) for seed in range(5)]
    >>> for network in networks:
    ...     _ = network.fit(X, X**2, epochs=200, optimizer="lbfgs")
    >>> ensemble = fastbp.Ensemble(networks)
    >>> ensemble.predict([0.5]).round(2)
    array([0.25])
    >>> near, far = ensemble.std([[0.5], [5.0]])
    >>> bool(far > 100 * near)  # where there are no data, the members differ
    True
    >>> ensemble[:2]
    Ensemble of 2 networks: Network((1, 8, 1), dtype='float64')
    """

    predict = predictions.predict
    predict_all = predictions.predict_all
    std = predictions.std
    quantiles = predictions.quantiles
    uncertainty = predictions.uncertainty

    def __len__(self) -> int:
        return len(self._networks)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    @overload
    def __getitem__(self, index: int) -> Network: ...

    @overload
    def __getitem__(self, index: slice) -> Ensemble: ...

    def __getitem__(self, index: Any) -> Network | Ensemble:
        """Return a member, or an ensemble of some of them."""
        if isinstance(index, slice):
            return type(self)(self._networks[index])
        try:
            place = operator.index(index)
        except TypeError as error:
            raise TypeError(f"index is {index!r}, expected a whole number or a slice") from error
        if not -len(self) <= place < len(self):
            raise IndexError(f"index is {place}, this ensemble has {len(self)} networks")
        return self._networks[place]

    def copy(self) -> Ensemble:
        """Return an ensemble of copies of the networks. So do `copy.copy` and `copy.deepcopy`."""
        return copy.deepcopy(self)

    __copy__ = copy

    def __repr__(self) -> str:
        layers = {network.layers for network in self._networks}
        count = f"{len(self)} network" + "s" * (len(self) > 1)
        if len(layers) > 1:
            return f"{type(self).__name__} of {count} of {len(layers)} sizes, the first {_unseeded(self._networks[0])}"
        return f"{type(self).__name__} of {count}: {_unseeded(self._networks[0])}"


def _unseeded(network: Network) -> str:
    """Return how a network was built, but for its seed, which is another in each member."""
    text = repr(network)
    return text if network.seed is None else text.replace(f", seed={network.seed!r}", "")

"""Ensemble: several networks that answer together."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from os import PathLike
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..jit.make import compiled_ensemble
from ..jit.model import EnsembleModel
from ..network import Network
from . import files, intervals, predictions, resampling
from .held_out import BOOTSTRAP, CALIBRATION, FOLDS, HeldOut, check_targets, hold_out, score
from .intervals import Informed
from .members import Doubles


class Ensemble(Informed):
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
        Where all were fitted on targets of shape (n_samples,), see `Network.flat`, results have no axis for them.

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
    ...     _ = network.fit(X, X**2, epochs=60, optimizer="lbfgs")
    >>> ensemble = fastbp.Ensemble(networks)
    >>> ensemble.predict([0.5]).round(2)
    array([0.25])
    >>> near, far = ensemble.std([[0.5], [5.0]])
    >>> bool(far > 100 * near)  # where there are no data, the members differ
    True
    >>> ensemble[:2]
    Ensemble of 2 networks: Network((1, 8, 1), dtype='float64')
    """

    @classmethod
    def bootstrap(cls, network: Network, X: npt.ArrayLike, Y: npt.ArrayLike, *, n: int = 20, seed: int | None = None,
                  sample_weight: npt.ArrayLike | None = None, **settings: Any) -> Ensemble:
        """Train copies of a network, each on a bootstrap resample of the rows (Breiman 1996).

        Each row is left out by about 37 % of the networks, which tell of it what new rows have to expect:
        `oob_predictions`, `oob_score`, and the intervals of `predict_interval`.

        Parameters
        ----------
        network : Network
            It is not changed; its copies have new first weights.
        X, Y : array_like
            As in `Network.fit`. All networks read the same arrays, by indices.
        n : int, default 20
            Networks.
        seed : int, optional
            Of ``g = numpy.random.default_rng(seed)``, from which for one network after the other are drawn the seed of
            its `Network.reset`, ``g.integers(2**63)``, and its rows, ``g.integers(n_samples, size=n_samples)``. So the
            first networks are the same whatever ``n``. None draws it from the operating system.
        sample_weight : array_like, shape (n_samples,), optional
            As in `Network.fit`, for the fits and for `oob_score`; rows are drawn without regard to it.
        **settings
            epochs, batch_size, optimizer, shuffle, regularization, callbacks, metrics, threads and progress of
            `fit_many`.

        Returns
        -------
        Ensemble

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, see `fit_many`.
        DivergenceError
            If the cost or a parameter of a network becomes infinite or NaN.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> X = np.random.default_rng(0).uniform(-1, 1, (100, 2))
        >>> network = fastbp.Network((2, 6, 1), dtype="float64")
        >>> ensemble = fastbp.Ensemble.bootstrap(network, X, X[:, 0] * X[:, 1], n=10, seed=0, epochs=60,
        ...                                      optimizer="lbfgs")
        >>> ensemble.oob_score > 0.9
        True
        """
        drawn = resampling.Resampling(network, X, Y, sample_weight, seed, settings)
        networks, unseen = resampling.bootstrap(drawn, n)
        ensemble = cls(networks)
        ensemble._resample = hold_out(ensemble, drawn.samples, BOOTSTRAP, unseen)
        return ensemble

    @classmethod
    def folds(cls, network: Network, X: npt.ArrayLike, Y: npt.ArrayLike, *, k: int = 5, stratify: bool = False,
              seed: int | None = None, sample_weight: npt.ArrayLike | None = None, **settings: Any) -> Ensemble:
        """Train k copies of a network, each on all rows but one fold (cross-validation).

        Each row is in one fold, so one network has not seen it, and tells what new rows have to expect:
        `oob_predictions`, `oob_score`, and the intervals of `predict_interval`.

        Parameters
        ----------
        network : Network
            It is not changed; its copies have new first weights.
        X, Y : array_like
            As in `Network.fit`. All networks read the same arrays, by indices.
        k : int, default 5
            Folds, from 2 to n_samples, and networks. The first n_samples % k folds have a row more.
        stratify : bool, default False
            Whether each class is dealt out evenly, to within a row; for networks with several outputs that are each a
            probability, each combination of answers.
        seed : int, optional
            Of ``g = numpy.random.default_rng(seed)``, from which are drawn the order ``g.permutation(n_samples)`` in
            which rows are dealt out to the folds in turn (sorted by class if ``stratify``), then for one network after
            the other the seed of its `Network.reset`, ``g.integers(2**63)``. None draws it from the operating system.
        sample_weight : array_like, shape (n_samples,), optional
            As in `Network.fit`, for the fits and for `oob_score`.
        **settings
            epochs, batch_size, optimizer, shuffle, regularization, callbacks, metrics, threads and progress of
            `fit_many`.

        Returns
        -------
        Ensemble

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, see `fit_many`; or ``stratify`` is asked for, but the network is for numbers.
        DivergenceError
            If the cost or a parameter of a network becomes infinite or NaN.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (100, 1))
        >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
        >>> network = fastbp.Network((1, 8, 1), dtype="float64")
        >>> folds = fastbp.Ensemble.folds(network, X, Y, k=4, seed=0, epochs=50, optimizer="lbfgs")
        >>> folds.unseen.sum(axis=0).tolist() == [1] * 100, bool(folds.oob_score > 0.8)
        (True, True)
        """
        drawn = resampling.Resampling(network, X, Y, sample_weight, seed, settings)
        networks, unseen = resampling.folds(drawn, k, stratify)
        ensemble = cls(networks)
        ensemble._resample = hold_out(ensemble, drawn.samples, FOLDS, unseen)
        return ensemble

    def calibrate(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> Ensemble:
        """Take rows that no network has been trained on as the measure of what new rows have to expect.

        `predict_interval` and `predict_set` then go by how far the ensemble misses these (split conformal prediction).

        Parameters
        ----------
        X, Y : array_like
            As in `Network.fit`. Rows that a network has seen make the intervals too narrow, and nobody can tell.

        Returns
        -------
        Ensemble
            self

        Raises
        ------
        ValueError, TypeError
            If they do not fit.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (100, 1))
        >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
        >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X[:60], Y[:60], epochs=20) for seed in range(3)]
        >>> ensemble = fastbp.Ensemble(networks)
        >>> ensemble = ensemble.calibrate(X[60:], Y[60:])
        >>> low, high = ensemble.predict_interval(X[60:], level=0.8)
        >>> bool(((low <= Y[60:]) & (Y[60:] <= high)).mean() >= 0.8)
        True
        """
        check_targets(self._networks[0].cost_function)
        samples = self._networks[0]._samples(X, Y, sparse=True)
        self._calibration = hold_out(self, samples, CALIBRATION, np.ones((len(self), 1), np.bool_))
        return self

    @property
    def unseen(self) -> npt.NDArray[np.bool_]:
        """Which network has not seen which row of `bootstrap` or `folds`, (B, n_samples)."""
        return self._resampled().unseen.copy()

    @property
    def oob_predictions(self) -> Doubles:
        """The mean over the networks that have not seen a row, (n_samples, n_L); NaN where all of them have.

        Of `bootstrap` that is called out of bag, of `folds` out of fold. Shape (n_samples, n_L/2) for gaussian_nll,
        (n_samples,) for targets that were given so.
        """
        return self._shown(self._resampled().predictions.copy(), False)  # type: ignore[no-any-return]

    @property
    def oob_score(self) -> float:
        """How good `oob_predictions` are: for numbers R², the mean over the outputs; for classes the accuracy.

        By the sample weights, on the rows that some network has not seen; NaN if there are none. As in scikit-learn, R²
        of constant targets is 1 if they are met, else 0, and of several outputs that are each a probability all must be
        right.
        """
        return score(self, self._resampled())

    def _resampled(self) -> HeldOut:
        if self._resample is None:
            raise AttributeError("this ensemble was not made by Ensemble.bootstrap or Ensemble.folds, or is a part of "
                                 "one: it does not know which rows its networks have not seen")
        return self._resample

    predict = predictions.predict
    predict_all = predictions.predict_all
    std = predictions.std
    quantiles = predictions.quantiles
    uncertainty = predictions.uncertainty
    predict_interval = intervals.predict_interval
    predict_set = intervals.predict_set

    def __len__(self) -> int:
        return len(self._networks)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    @overload
    def __getitem__(self, index: int) -> Network: ...

    @overload
    def __getitem__(self, index: slice) -> Ensemble: ...

    def __getitem__(self, index: Any) -> Network | Ensemble:
        """Return a member, or an ensemble of some of them, which knows of no rows that they have not seen."""
        if isinstance(index, slice):
            return type(self)(self._networks[index])
        try:
            place = operator.index(index)
        except TypeError as error:
            raise TypeError(f"index is {index!r}, expected a whole number or a slice") from error
        if not -len(self) <= place < len(self):
            raise IndexError(f"index is {place}, this ensemble has {len(self)} networks")
        return self._networks[place]

    def compiled(self) -> EnsembleModel:
        """Return the ensemble for use inside your own compiled code, see `fastbp.jit`.

        Returns
        -------
        fastbp.jit.EnsembleModel
            A NamedTuple of arrays for `fastbp.jit.forward_ensemble`. Its type does not depend on the networks, so that
            the caller is compiled once for all ensembles of a dtype. It holds the present parameters, a copy: after
            training call this again.

        Raises
        ------
        ValueError
            If a function of the user's own is missing in this process, or a network has encoders.

        Examples
        --------
        >>> import numba, numpy as np, fastbp
        >>> @numba.njit
        ... def most_uncertain(model, X):
        ...     mean, std = np.empty(1), np.empty(1)
        ...     work, found, largest = fastbp.jit.ensemble_workspace(model), -1, 0.0
        ...     for i in range(len(X)):
        ...         fastbp.jit.forward_ensemble(model, X[i], mean, std, work)
        ...         if std[0] > largest:
        ...             found, largest = i, std[0]
        ...     return found
        >>> ensemble = fastbp.Ensemble([fastbp.Network((2, 3, 1), dtype="float64", seed=seed) for seed in range(4)])
        >>> X = np.array([[0.0, 0.0], [3.0, 1.0], [0.1, 0.0]])
        >>> most_uncertain(ensemble.compiled(), X)
        1
        """
        return compiled_ensemble(self._networks)

    save = files.save

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Ensemble:
        """Read an ensemble that `save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Ensemble
            With the networks, `oob_predictions` and `predict_interval` of the one that was saved.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not a whole file of a known format, or says what no ensemble would; the message says what is wrong.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (100, 1))
        >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
        >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
        >>> ensemble = fastbp.Ensemble(networks)
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/ensemble.safetensors"
        >>> ensemble.save(path)
        >>> bool((fastbp.Ensemble.load(path).predict(X) == ensemble.predict(X)).all())
        True
        """
        networks, known = files.load(path)
        ensemble = cls(networks)
        ensemble._resample, ensemble._calibration = known["resample"], known["calibration"]
        return ensemble

    def copy(self) -> Ensemble:
        """Return an ensemble of copies of the networks. So do `copy.copy` and `copy.deepcopy`.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (100, 1))
        >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
        >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
        >>> ensemble = fastbp.Ensemble(networks)
        >>> other = ensemble.copy()
        >>> _ = other[0].fit(X, Y, epochs=5)
        >>> bool((other[0].parameters == ensemble[0].parameters).all())
        False
        """
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

"""Intervals and sets beside those of MAPIE, where that is installed: it is not among the requirements.

MAPIE fits estimators itself. Here it is given ones that are the networks of an ensemble: which one is told by the rows
that it is fitted to, whose numbers are a column more.
"""

import numpy as np
import pytest
from helpers import network

import fastbp
from fastbp import Ensemble

pytest.importorskip("mapie")
from mapie.classification import CrossConformalClassifier, SplitConformalClassifier  # noqa: E402
from mapie.regression import (  # noqa: E402
    CrossConformalRegressor,
    JackknifeAfterBootstrapRegressor,
    SplitConformalRegressor,
)
from mapie.subsample import Subsample  # noqa: E402
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.model_selection import PredefinedSplit  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::Warning")

SETTINGS = {"epochs": 20, "optimizer": fastbp.Adam(0.01)}


class Known(RegressorMixin, BaseEstimator):
    """The network of an ensemble that has not seen the rows which this is not fitted to; of all rows the ensemble."""

    def __init__(self, ensemble=None):
        self.ensemble = ensemble

    def fit(self, X, y):
        new = ~np.isin(np.arange(self.ensemble.unseen.shape[1]), X[:, 0].astype(int))
        same = (self.ensemble.unseen == new).all(axis=1)
        self.model_ = self.ensemble[int(np.flatnonzero(same)[0])] if same.any() else self.ensemble
        return self

    def predict(self, X):
        return self.model_.predict(X[:, 1:])[:, 0]


class KnownClassifier(ClassifierMixin, Known):
    def fit(self, X, y):
        self.classes_ = np.arange(3)
        return Known.fit(self, X, y)

    def predict_proba(self, X):
        return self.model_.predict(X[:, 1:])

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


class Drawn(Subsample):
    """The rows that an ensemble was trained on."""

    def __init__(self, unseen):
        super().__init__(len(unseen))
        self.unseen = unseen

    def split(self, X, *arguments, **more):
        for new in self.unseen:
            yield np.flatnonzero(~new), np.flatnonzero(new)


def numbered(X):
    return np.column_stack([np.arange(len(X)), X])


def regression(rng, n=60):
    X = rng.normal(size=(n, 2))
    return network((2, 5, 1), seed=1, dtype="float64"), X, X[:, :1] * X[:, 1:] + 0.3 * rng.normal(size=(n, 1))


def classification(rng, n=90):
    Y = rng.permutation(np.arange(n) % 3)
    return network((2, 5, 3), cost="cross_entropy", dtype="float64"), rng.normal(size=(n, 2)) + np.eye(3)[Y][:, :2], Y


def same_interval(ensemble, made, new, level):
    _, expected = made.predict_interval(numbered(new))
    np.testing.assert_allclose(np.concatenate(ensemble.predict_interval(new, level), axis=1), expected[:, :, 0],
                               rtol=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_cv_plus(level, rng):
    net, X, Y = regression(rng)
    ensemble = Ensemble.folds(net, X, Y, k=5, seed=0, **SETTINGS)
    theirs = CrossConformalRegressor(Known(ensemble), confidence_level=level, method="plus",
                                     cv=PredefinedSplit(ensemble.unseen.argmax(axis=0)))
    theirs.fit_conformalize(numbered(X), Y[:, 0])
    same_interval(ensemble, theirs, rng.normal(size=(50, 2)), level)


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_jackknife_plus_after_bootstrap(level, rng):
    net, X, Y = regression(rng)
    ensemble = Ensemble.bootstrap(net, X, Y, n=20, seed=0, **SETTINGS)
    assert ensemble.unseen.any(axis=0).all()
    theirs = JackknifeAfterBootstrapRegressor(Known(ensemble), confidence_level=level, method="plus",
                                              resampling=Drawn(ensemble.unseen))
    theirs.fit_conformalize(numbered(X), Y[:, 0])
    same_interval(ensemble, theirs, rng.normal(size=(50, 2)), level)


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_split(level, rng):
    net, X, Y = regression(rng)
    ensemble = Ensemble.folds(net, X[:30], Y[:30], k=3, seed=0, **SETTINGS).calibrate(X[30:], Y[30:])
    whole = Known(ensemble).fit(numbered(X[:30]), Y[:30, 0])
    theirs = SplitConformalRegressor(whole, confidence_level=level, prefit=True)
    theirs.conformalize(numbered(X[30:]), Y[30:, 0])
    same_interval(ensemble, theirs, rng.normal(size=(50, 2)), level)


@pytest.mark.parametrize("level", [0.6, 0.8, 0.9])
def test_sets(level, rng):
    net, X, Y = classification(rng)
    ensemble = Ensemble.folds(net, X[:40], Y[:40], k=4, seed=0, **SETTINGS).calibrate(X[40:], Y[40:])
    whole = KnownClassifier(ensemble).fit(numbered(X[:40]), Y[:40])
    theirs = SplitConformalClassifier(whole, confidence_level=level, prefit=True, conformity_score="lac")
    theirs.conformalize(numbered(X[40:]), Y[40:])
    new = rng.normal(size=(50, 2))
    _, expected = theirs.predict_set(numbered(new))
    np.testing.assert_array_equal(ensemble.predict_set(new, level, "lac"), expected[:, :, 0])


@pytest.mark.parametrize("level", [0.6, 0.8, 0.9])
def test_sets_of_folds(level, rng):
    net, X, Y = classification(rng)
    ensemble = Ensemble.folds(net, X, Y, k=4, seed=0, stratify=True, **SETTINGS)
    theirs = CrossConformalClassifier(KnownClassifier(ensemble), confidence_level=level, conformity_score="lac",
                                      cv=PredefinedSplit(ensemble.unseen.argmax(axis=0)))
    theirs.fit_conformalize(numbered(X), Y)
    new = rng.normal(size=(50, 2))
    _, expected = theirs.predict_set(numbered(new), agg_scores="crossval")
    np.testing.assert_array_equal(ensemble.predict_set(new, level, "lac"), expected[:, :, 0])

"""The estimators, with what scikit-learn's interface adds: checks, encoded classes, scores."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fastbp

from .common import needs

SOLVERS = ["adam", "sgd", "lbfgs"]


@functools.cache
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 1,000 rows of 64 numbers, ten classes of them as strings, and a number for each."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((1000, 64))
    scores = X @ generator.standard_normal((64, 10))
    return X, np.array([f"class {label}" for label in scores.argmax(axis=1)]), scores[:, 0]


@functools.cache
def fitter(kind: str, solver: str) -> Callable[[], Any]:
    """Return a function that fits for ten iterations, always the same ones; compiled."""
    X, classes, numbers = data()
    estimator = getattr(fastbp, kind)(solver=solver, max_iter=10, random_state=0)
    y = classes if kind == "MLPClassifier" else numbers

    def fit() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ten iterations do not converge
            return estimator.fit(X, y)

    fit()
    return fit


class Fit:
    """Fits of 1,000 samples with one hidden layer of 100, float64."""

    version = "1"
    params = [["MLPClassifier", "MLPRegressor"], SOLVERS]
    param_names = ["estimator", "solver"]

    def setup(self, kind: str, solver: str) -> None:
        """Compile, once a process."""
        needs(kind)
        self.fit = fitter(kind, solver)

    def time_ten_iterations(self, kind: str, solver: str) -> None:
        """Fit from the beginning."""
        self.fit()


class SmallFit:
    """Fits of 35 rows with the defaults, as Bayesian optimisation asks for them, float64."""

    version = "1"
    params = [SOLVERS, [False, True]]
    param_names = ["solver", "early_stopping"]

    def setup(self, solver: str, early: bool) -> None:
        """Compile, once a process."""
        needs("MLPRegressor")
        if solver == "lbfgs" and early:
            raise NotImplementedError("lbfgs keeps no samples back")
        X, _, y = data()
        self.X, self.y, self.settings = X[:35, :4], y[:35], {"solver": solver, "early_stopping": early}
        self.time_fit(solver, early)

    def time_fit(self, solver: str, early: bool) -> None:
        """Fit a new regressor."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fastbp.MLPRegressor(random_state=0, **self.settings).fit(self.X, self.y)


class Classifier:
    """Calls of a fitted classifier."""

    version = "1"

    def setup(self) -> None:
        """Fit."""
        needs("MLPClassifier")
        self.classifier = fitter("MLPClassifier", "adam")()
        self.X, self.y, _ = data()

    def time_predict_one_row(self) -> None:
        """Predict a single row."""
        self.classifier.predict(self.X[:1])

    def time_predict_proba(self) -> None:
        """Return the probabilities of 1,000 rows."""
        self.classifier.predict_proba(self.X)

    def time_partial_fit(self) -> None:
        """Go on by 50 samples, as online learning does."""
        self.classifier.partial_fit(self.X[:50], self.y[:50])


class Search:
    """Four settings on five folds, float64."""

    version = "1"

    def setup(self) -> None:
        """Compile, once a process."""
        needs("search")
        self.X, self.y, _ = data()
        self.estimator = fastbp.MLPClassifier(hidden_layer_sizes=(50,), max_iter=10, random_state=0)
        self.time_search()

    def time_search(self) -> None:
        """Train and score 20 networks, and the best."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fastbp.search(self.estimator, {"alpha": [1e-4, 1e-3, 1e-2, 0.1]}, self.X, self.y)

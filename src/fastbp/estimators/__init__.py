"""scikit-learn estimators on the compiled core."""

from ._base import MLPClassifier, MLPRegressor

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
]

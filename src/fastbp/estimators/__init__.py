"""scikit-learn estimators on the compiled core: `MLPClassifier` and `MLPRegressor`, which drop in for scikit-learn's.

`search` trains them with many settings, on all folds, in one call.

They are subclasses of scikit-learn's BaseEstimator and mixins, and use its validation, its label binarizer and its
splits, but they are no subclasses of its MLP classes: of those only the constructor, the docstrings and a few one-line
methods would remain, while their private methods, which are what would have to be overridden, change their arguments
from release to release (`_fit_stochastic` and `_backprop` did in 1.7). What drop-in means is tested instead: by
scikit-learn's own tests of its MLPs, run on these classes, and by losses and weights that agree to rounding.

Everything random is drawn from ``random_state`` in scikit-learn's order: first weights, the split for early stopping,
the order of the samples in each epoch. So the same ``random_state`` trains the same network, to rounding.
"""

from .classifier import MLPClassifier
from .regressor import MLPRegressor
from .search import SearchResult, search

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "SearchResult",
    "search",
]

"""Tables of data as people have them: `TabularRegressor` and `TabularClassifier` (``pip install fastbp[table]``).

frames
    What a frame or an array holds, column by column.
columns, matrix
    What a column is and how it was learned; all of them as one matrix.
targets
    Numbers standardised, classes by their index.
recipe
    How a network is built and trained for so many rows.
training
    The members' fits: folds, the best epoch of each.
calibration, intervals, importance
    Probabilities and bounds that are right as often as they say, and how much each column tells, from rows that members
    have not seen.
regressor, classifier
    The estimators.
files
    An estimator in a file.
"""

from .classifier import TabularClassifier
from .regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]

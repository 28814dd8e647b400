"""Tables of data as people have them: `TabularRegressor` and `TabularClassifier` (``pip install fastbp[table]``).

frames
    What a frame or an array holds, column by column.
columns, matrix
    What a column is and how it was learned; all of them as one matrix.
recipe
    How a network is built and trained for so many rows.
calibration, intervals
    Probabilities and bounds that are right as often as they say, from rows that members have not seen.
training
    A fit from its arguments to its end.
regressor, classifier
    The estimators.
files
    An estimator in a file.
"""

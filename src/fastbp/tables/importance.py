"""How much each column tells: the loss of rows not seen, once the column is mixed up among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..ensembles.ensemble import Ensemble
from ..ensembles.members import Doubles
from .columns import Floats

MOST_ROWS = 1000
"""Rows of each member: the importance is a mean over them, and need not be more exact than the folds are."""

LEAST_ROWS = 50
"""With however many columns."""

ROWS_AND_COLUMNS = 200_000
"""Rows times columns of each member, about: so that a wide table does not take longer to explain than to learn."""


def permutation_importances(ensemble: Ensemble, matrix: Floats, targets: npt.NDArray[np.generic],
                            weights: Doubles | None, unseen: npt.NDArray[np.bool_], places: Sequence[slice],
                            generator: np.random.Generator) -> Doubles:
    """Return the share of each column in what all do, (columns,): not negative, their sum 1, or 0 if none tells much.

    Of each member's rows that it has not seen the inputs of one column are mixed up (Breiman 2001, section 10), and the
    cost rises by so much; the mean over the members, and what is negative by chance is 0.
    """
    found = np.zeros(len(places))
    most = int(np.clip(ROWS_AND_COLUMNS // max(len(places), 1), LEAST_ROWS, MOST_ROWS))
    for network, own in zip(ensemble.networks, unseen, strict=True):
        rows = np.flatnonzero(own)
        rows = rows if len(rows) <= most else np.sort(generator.choice(rows, most, replace=False))
        inputs, kept = matrix[rows], matrix[rows]
        order, given = generator.permutation(len(rows)), None if weights is None else weights[rows]
        before = network.cost(inputs, targets[rows], given)
        for i, place in enumerate(places):
            if place.stop > place.start:
                inputs[:, place] = kept[order, place]
                found[i] += network.cost(inputs, targets[rows], given) - before
                inputs[:, place] = kept[:, place]
    found = np.maximum(found, 0)
    return found / found.sum() if found.sum() > 0 else found

"""What a fit raises."""

from __future__ import annotations

import math
from typing import Any


class DivergenceError(ArithmeticError):
    """The cost or a parameter became infinite or NaN; the parameters of the last finite epoch are restored.

    Attributes
    ----------
    epoch : int
        The epoch in which it happened, from 1.
    learning_rate : float
        The learning rate in use; NaN with a full-batch method that has none.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((1, 4, 1), "relu", seed=0)
    >>> try:
    ...     net.fit([[1e6], [-1e6]], [[1.0], [0.0]], epochs=50, optimizer=fastbp.SGD(10.0))
    ... except fastbp.DivergenceError as error:
    ...     print("diverged in epoch", error.epoch)
    diverged in epoch 2
    """

    def __init__(self, epoch: int, learning_rate: float) -> None:
        rate = "" if math.isnan(learning_rate) else f" with learning rate {learning_rate:g}"
        remedy = "scale inputs and targets" if math.isnan(learning_rate) else \
            "use a smaller learning rate, or scale inputs and targets"
        super().__init__(f"training diverged in epoch {epoch}{rate}: the parameters of the last finite epoch are "
                         f"restored; {remedy}")
        self.epoch = epoch
        self.learning_rate = learning_rate

    def __reduce__(self) -> tuple[Any, ...]:
        return DivergenceError, (self.epoch, self.learning_rate)

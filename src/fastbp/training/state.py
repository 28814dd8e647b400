"""What a training keeps between fits, by name; and parameters that follow those of another network: methods of it."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..core import arrays
from ..core.model import Model
from ..util.settings import is_number
from .progress import Progress, Trainable

Array = npt.NDArray[Any]


def optimizer_state(self: Trainable) -> dict[str, Any]:
    """Return what ``fit(resume=True)`` and `train_on_batch` go on from, by name.

    Returns
    -------
    dict
        Copies: the numbers that change while the optimizer trains, of one for mini-batches ``learning_rate``, with Adam
        and its like ``power1`` and ``power2``, β₁ᵗ and β₂ᵗ; and, (n_parameters,) each, laid out like `parameters`, what
        it keeps of every parameter, by the letters of its rule: ``m`` and ``v`` of Adam, ``v`` of SGD with momentum.
        Empty before a fit. A full-batch method tells its numbers alone.

    See Also
    --------
    set_optimizer_state

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), seed=0)
    >>> _ = net.train_on_batch(np.eye(2), [1, 2], optimizer="adam")
    >>> {name: np.shape(value) for name, value in net.optimizer_state().items()}
    {'learning_rate': (), 'power1': (), 'power2': (), 'm': (13,), 'v': (13,)}
    """
    progress = self._progress
    if progress is None:
        return {}
    found: dict[str, Any] = progress.optimizer.varied(progress.hyper)
    return found | {name: row.copy() for name, row in _rows(self, progress).items()}


def set_optimizer_state(self: Trainable, **state: Any) -> None:
    """Write some of what `optimizer_state` returns, by name; the next step or resumed fit goes on from there.

    Parameters
    ----------
    **state
        A ``learning_rate``, the optimizer's other numbers, or arrays (n_parameters,).

    Raises
    ------
    ValueError, TypeError
        If there is no training to go on from, or no such name, or a value is none that it could have; nothing has been
        changed then.
    RuntimeError
        If this network is being fitted: a callback has ``record.set_learning_rate``.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), seed=0)
    >>> for rate in (0.01, 0.001):
    ...     for _ in range(10):
    ...         _ = net.train_on_batch(np.eye(2), [1, 2])
    ...     net.set_optimizer_state(learning_rate=rate)
    >>> net.optimizer_state()["learning_rate"]
    0.001
    """
    if self._lock.locked():
        raise RuntimeError("this network is being fitted: a callback says record.set_learning_rate(rate), others wait "
                           "for the end of the fit")
    with self._fitting():
        progress = self._progress
        if progress is None:
            raise ValueError("this network has no training to go on from: fit, or train_on_batch, begins one")
        optimizer, rows = progress.optimizer, _rows(self, progress)
        checked: dict[str, Array] = {}
        for name, value in state.items():
            if name in rows:
                checked[name] = arrays.numbers_of_each(name, value, self.n_parameters, self.dtype)
                if name in optimizer.squares and checked[name].min() < 0:
                    raise ValueError(f"{type(optimizer).__name__}: {name} holds {checked[name].min()}, expected no "
                                     "negative number: it is a mean or a sum of squares")
            elif name not in optimizer.varying:
                raise ValueError(f"{type(optimizer).__name__} keeps no {name!r}, expected one of "
                                 f"{', '.join([*optimizer.varying, *rows])}")
            else:
                optimizer.varying[name][0](optimizer, name, value)
        before = progress.hyper.copy()
        try:
            for name in state.keys() - checked.keys():
                if name == "learning_rate":
                    progress.set_learning_rate(state[name])
                else:
                    progress.hyper[optimizer.varying[name][1]] = state[name]
        except ValueError:  # a schedule gives the learning rate
            progress.hyper[:] = before
            raise
        for name, row in checked.items():
            rows[name][:] = row


def move_to(self: Model, other: Model, tau: float = 1.0) -> None:
    """Move the parameters to those of another network, or a part of the way: w ← (1 − τ)w + τ w_other.

    A target network follows the one that learns (Mnih et al. 2015 with τ = 1 now and then; Lillicrap et al. 2016,
    section 3, with a small τ at each step).

    Parameters
    ----------
    other : Network
        Of the same architecture; it may have another dtype.
    tau : float, default 1.0
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        If ``other`` has other layers, activations or encoders, or ``tau`` is no such number; if the parameters are
        read-only.
    RuntimeError
        If this network is being fitted.

    Notes
    -----
    History and optimizer stay what they were.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((4, 16, 2), seed=0)
    >>> target = net.copy()
    >>> net.parameters += 1
    >>> target.move_to(net, 0.005)
    """
    if not isinstance(other, Model):
        raise TypeError(f"other is {other!r}, expected a Network")
    if not (is_number(tau) and 0 <= tau <= 1):
        raise ValueError(f"tau is {tau!r}, expected a number from 0 to 1")
    mine, theirs = self._architecture, other._architecture
    if mine.named_ranges != theirs.named_ranges or mine.layers != theirs.layers or mine.names != theirs.names:
        raise ValueError(f"other has layers {theirs.layers} with {theirs.names}, expected {mine.layers} with "
                         f"{mine.names}, and the same bias, scaling and encoders: it is to be built as this network is")
    with self._fitting():
        if tau == 1:
            self._parameters[:] = other._parameters
        else:
            self._parameters += self.dtype.type(tau) * (other._parameters - self._parameters).astype(self.dtype)


def _rows(network: Trainable, progress: Progress) -> dict[str, Array]:
    """Return what an update rule keeps of every parameter: views, by name."""
    names = progress.optimizer.slot_names
    return dict(zip(names, progress.state.reshape(-1, network.n_parameters), strict=True)) if names else {}

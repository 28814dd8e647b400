"""Checkpoint: the network and its training in a file, again and again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..optimizers import Optimizer
from ..training.callbacks import CalledLast
from ..training.history import Record
from ..util.settings import count
from .descriptions import described_settings
from .networks import described_network, save


class Checkpoint(CalledLast):
    """Save the network and its training every few epochs, so that a killed process can be taken up again.

    ``Network.load(path).fit(X, Y, resume=True, ...)`` goes on from the last checkpoint, with the bits that the
    uninterrupted training would have had, given the same callbacks; it is called after the other callbacks of an epoch,
    so that it saves what `EarlyStopping` has seen. The file is replaced as a whole (`Network.save`): a kill leaves the
    old one or the new one. It holds the whole history, of 32 bytes an epoch and 8 more for each metric.

    Parameters
    ----------
    path : str or path
        The file.
    every : int, default 1
        Epochs between two checkpoints, counted as the record does: a resumed training saves at the same epochs.

    Raises
    ------
    ValueError
        If ``every`` is not a whole number from 1 up; before a training, if the network or its optimizer cannot be saved
        (`Network.save`).
    FileNotFoundError
        If the folder does not exist.
    OSError
        In training, if the file cannot be written; the last checkpoint is left as it was.

    Examples
    --------
    >>> import tempfile, numpy as np, fastbp
    >>> path = tempfile.mkdtemp() + "/fit.safetensors"
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), seed=0)
    >>> net = net.fit(x, x**2, epochs=10, callbacks=[fastbp.Checkpoint(path, every=5)])
    >>> again = fastbp.Network.load(path).fit(x, x**2, epochs=5, resume=True)
    >>> bool((again.parameters == net.fit(x, x**2, epochs=5, resume=True).parameters).all())
    True
    """

    _settings = "path", "every"

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path, self.every = Path(path), every
        count(self, "every", every)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"Checkpoint: there is no folder {self.path.parent}")

    def check(self, network: Any, optimizer: Optimizer) -> None:
        """Raise ValueError if they cannot be saved, for want of a name for what they compute with."""
        described_network(network)
        if optimizer.resumes:
            described_settings(optimizer)

    def __call__(self, record: Record) -> None:
        """Save, if it is time."""
        if record.epoch % self.every == 0:
            save(record.network, self.path, training=True)

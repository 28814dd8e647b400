"""The training of a network between its preparation and its end: alone, or in one call with many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..network import Network
from ..optimizers import Optimizer
from ..training.callbacks import Callback
from ..training.many import fit_many
from ..training.steps import Reorder
from ._base import _MLP, Array, _Samples


class Training:
    """A network that is ready to be trained, and what scikit-learn does when that ends.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        With a single network, which has its first weights.
    data, kept : _Samples
        To train on, and to validate with or None.
    epochs, batch_size, optimizer, shuffle, resume
        As in `Network.fit`.
    end_of_epoch : callable or None
        Called after each epoch, before the callbacks of the user.

    Attributes
    ----------
    messages : list of (str, class)
        Warnings to be given at the end, and their category.
    """

    def __init__(self, mlp: _MLP, data: _Samples, kept: _Samples | None, *, epochs: int, optimizer: Optimizer,
                 end_of_epoch: Callback | None, batch_size: int | None = None, shuffle: bool | Reorder = True,
                 resume: bool = False) -> None:
        self.mlp, self.data, self.kept = mlp, data, kept
        self.network: Network = mlp._network
        self.resume = resume
        self.settings: dict[str, Any] = dict(epochs=epochs, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle,
                                             regularization=mlp._regularization(), precision=mlp.precision)
        self.callbacks = [*([] if end_of_epoch is None else [end_of_epoch]), *(mlp.callbacks or ())]
        self.messages: list[tuple[str, type[Warning]]] = []
        mlp.n_iter_ = 0

    def run(self) -> None:
        """Train the network alone."""
        try:
            self.train(self.data.own())
        except BaseException as error:
            self.end(error)
        else:
            self.end(None)

    def train(self, data: _Samples) -> None:
        """Train it by a fit."""
        mlp, kept = self.mlp, None if self.kept is None else self.kept.own()
        self.network.fit(data.X, self.shaped(data.targets), sample_weight=data.weight,
                         validation=None if kept is None else (kept.X, kept.targets), resume=self.resume,
                         callbacks=self.callbacks, threads=mlp.n_threads, progress=mlp.progress, **self.settings)

    def shaped(self, targets: Array) -> Array:
        """Return targets as the network has had them: a user's may be flat, and stays."""
        return targets.reshape(-1) if self.network.flat else targets

    def end(self, error: BaseException | None) -> None:
        """Do what scikit-learn does at the end of a fit, or where one fails; raises what `fit` raises."""
        raise NotImplementedError


def run_many(trainings: Sequence[Training], threads: int | None, progress: bool) -> list[Exception | None]:
    """Train all networks in one call, and return for each what it has raised; the ends are yet to come."""
    def each(name: str) -> list[Any]:
        return [training.settings[name] for training in trainings]

    def rows(samples: Iterable[_Samples | None]) -> list[Any]:
        return [None if part is None else part.rows for part in samples]

    data = [training.data for training in trainings]
    for training in trainings:
        assert not training.resume and (training.kept is None or training.kept.X is training.data.X)
    return fit_many([training.network for training in trainings], [part.X for part in data],
                    [part.targets for part in data], sample_weight=[part.weight for part in data], rows=rows(data),
                    validation_rows=rows(training.kept for training in trainings), epochs=each("epochs"),
                    batch_size=each("batch_size"), optimizer=each("optimizer"), shuffle=each("shuffle"),
                    regularization=each("regularization"), precision=each("precision"),
                    callbacks=lambda i: trainings[i].callbacks, threads=threads, progress=progress, on_error="keep")

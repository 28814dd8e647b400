"""A fit from its arguments to its end: everything is looked at before anything is changed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .. import optimizers
from ..core import arrays, observed
from ..core.precision import rounds
from ..core.samples import Samples
from ..core.shards import Team
from ..core.streamed import Streamed
from ..data.source import MEMORY, beyond_memory, in_memory
from ..kernels.compile.interrupts import Held
from ..optimizers import BatchMethod, Optimizer
from ..regularization import Regularization
from ..util import machine
from ..util.optional import require
from . import ahead, large_batches, loop
from .callbacks import Callback, CalledLast, EarlyStopping
from .errors import DivergenceError
from .metrics import Metrics
from .progress import Progress, Trainable, new_progress
from .steps import Fit, Reorder


def fit(network: Trainable, X: Any, Y: Any, sample_weight: Any, kept: Any, optimizer: str | Optimizer | None,
        resume: bool, *, epochs: int, batch_size: int | None, callbacks: Iterable[Callback], bar: bool,
        shuffle: bool | Reorder, threads: int | None, profile: bool, regularization: Regularization | None,
        jacobian: tuple[Any, Any], metrics: Any, memory: Any = None, check_finite: Any = True,
        missing: Any = None, signed_weights: Any = False, precision: str | None = None,
        team: Team | None = None) -> None:
    """Check all arguments of `Network.fit`, and train.

    ``kept`` is what is kept back for validation, ``bar`` whether there is a bar of the progress, ``jacobian`` the
    targets of ∂o/∂x and the weight of their cost, ``metrics`` what is recorded beside the cost; ``memory`` what samples
    that are read by blocks may take, ``missing`` whether NaN is what has not been observed, ``precision`` that of the
    products. With a ``team`` processes share the passes of a full-batch method, or large batches, which are then all
    samples if no ``batch_size`` is given: all call this with the same arguments, and come to the same end.
    """
    training = Training(network, optimizer, resume, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
                        threads=threads, regularization=regularization, callbacks=callbacks,
                        metrics=Metrics(metrics), precision=precision)
    if bar:
        require("tqdm.auto", "progress")
    samples: Samples | Streamed
    other: Samples | Streamed | None = None
    as_arrays = team is None and in_memory(X, Y, memory, jacobian[0])
    if as_arrays and check_finite is True:
        if arrays.flag("signed_weights", signed_weights):
            samples = observed.signed(network._architecture, X, Y, sample_weight, jacobian[0], missing, kept)
        else:
            samples = network._observed(X, Y, sample_weight, jacobian[0], jacobian[1], missing)
    else:
        if signed_weights:
            raise ValueError("signed_weights is given, but the samples are read by blocks: give arrays in memory")
        samples = network._by_blocks(X, Y, sample_weight, *jacobian, memory=memory, check_finite=check_finite,
                                     missing=missing, team=team)
    if samples.jacobian is not None and profile:
        raise ValueError("profile=True tells apart the phases of training on values: leave out target_jacobian")
    if isinstance(kept, (tuple, list)) and len(kept) in (2, 3):
        inputs, targets, slopes = (*kept, None)[:3]
        if not in_memory(inputs, targets, None, slopes) or not as_arrays and any(map(beyond_memory, kept)):
            other = network._by_blocks(inputs, targets, None, slopes, jacobian[1], missing=missing,
                                       memory=MEMORY if memory is None else memory, check_finite=check_finite)
        else:
            weight = 1.0 if slopes is None else jacobian[1]
            other = network._observed(inputs, targets, None, slopes, weight, missing, sparse=len(kept) == 2)
    elif kept is not None:
        first = len(samples) - arrays.validation_split(kept, len(samples))
        samples, other = samples.part(slice(None, first)), samples.part(slice(first, None))
        for part, use in ((samples, "train on"), (other, "validate with")):
            if part.weights.size and part.weights.max() == 0:
                raise ValueError(f"validation={kept!r} keeps back the last {len(other)} of {first + len(other)} "
                                 f"rows, and sample_weight is 0 for all rows to {use}: shuffle the rows and their "
                                 "weights, or give validation=(X, Y)")
    training.check(samples, profile=bool(profile))
    if isinstance(samples, Streamed) or isinstance(other, Streamed):
        training.check_blocks(samples, other)
    with network._fitting() as hold:
        training.run(samples, other, hold, bar=bar, profile=bool(profile))


class Before:
    """A network as it is before a fit whose samples have not been looked at, to go back to if they are wrong."""

    def __init__(self, network: Trainable) -> None:
        self.network, self.history, self.progress = network, network.history, network._progress
        self.epochs, self.parameters, self.flat = len(network.history), network._parameters.copy(), network._flat
        self.generator = network.generator.bit_generator.state
        self.kept = None if self.progress is None else copy.deepcopy(self.progress)

    def learned(self) -> bool:
        """Whether an epoch of the fit has come to its end."""
        before = self.epochs if self.network.history is self.history else 0
        return len(self.network.history) > before

    def restore(self) -> None:
        """Go back."""
        network = self.network
        network._parameters[:], network._flat = self.parameters, self.flat
        network.history, network._progress = self.history, self.kept
        self.history._cut(self.epochs)
        network.generator.bit_generator.state = self.generator


@dataclass(slots=True)
class Training:
    """The settings of a fit of one network, looked at; and the fit itself."""

    network: Trainable
    progress: Progress | None
    """What it goes on with."""
    method: Optimizer
    epochs: int
    asked: int | None
    """The batch size that was given."""
    batch_size: int = field(init=False)
    """The one that the fit has, from `check` on."""
    by_blocks: bool
    """Whether samples, or those for validation, are read by blocks."""
    shuffle: bool | Reorder
    threads: int | None
    regularization: Regularization | None
    callbacks: list[Callback]
    metrics: Metrics
    precision: str | None
    bfloat16: bool
    """Whether operands of products are rounded to it."""

    def __init__(self, network: Trainable, optimizer: str | Optimizer | None, resume: bool, *, epochs: int,
                 batch_size: int | None, shuffle: bool | Reorder, threads: int | None,
                 regularization: Regularization | None, callbacks: Iterable[Callback], metrics: Metrics,
                 precision: str | None = None) -> None:
        self.network, self.by_blocks = network, False
        self.precision, self.bfloat16 = precision, rounds(network._architecture, precision)
        self.epochs = arrays.whole("epochs", epochs)
        self.asked = None if batch_size is None else arrays.whole("batch_size", batch_size)
        self.threads = None if threads is None else arrays.whole("threads", threads, most=machine.MOST_THREADS)
        self.shuffle = arrays.shuffle(shuffle)
        self.progress = network._progress if resume else None
        if self.progress is not None:
            self.method = optimizers.resumed(self.progress.optimizer, optimizer)
        else:
            self.method = optimizers.DEFAULT if optimizer is None else optimizers.get(optimizer)
        self.regularization = network._regularization(regularization)
        self.callbacks = arrays.callbacks(callbacks)
        self.metrics = metrics
        metrics.check(network.cost_function)
        if self.method.watches is not None:
            metrics.check_watched(self.method, self.method.watches)
        for listener in self.callbacks:
            if isinstance(listener, EarlyStopping):
                metrics.check_watched(listener, listener.metric)

    def check_blocks(self, samples: Samples | Streamed, validation: Samples | Streamed | None) -> None:
        """Check that the settings go with samples that are read by blocks; raises ValueError."""
        self.by_blocks = True
        self.metrics.check_blocks(samples, validation)
        if isinstance(samples, Streamed):
            if callable(self.shuffle):
                raise ValueError("shuffle is a function of all rows, but these are read by blocks: use True or False")
            if not isinstance(self.method, BatchMethod):
                if samples.shared:
                    large_batches.check(samples, self.regularization)
                else:
                    samples.group(min(self.batch_size, len(samples)))  # the budget holds two groups of whole batches

    def check(self, samples: Samples | Streamed, *, profile: bool = False) -> None:
        """Check that the settings go together, and with the samples to train on; raises ValueError."""
        method, batch_size, n, regularization = self.method, self.asked, len(samples), self.regularization
        method.check_names(self.network._architecture)
        for listener in self.callbacks:
            if isinstance(listener, CalledLast):
                listener.check(self.network, method)
        if self.bfloat16:
            self.check_rounding(samples)
        if samples.jacobian is not None and regularization is not None:
            regularization.check_jacobian()
        if samples.cost is not None and regularization is not None and regularization.label_smoothing:
            raise ValueError("Regularization: label_smoothing changes all targets, but some are missing or have "
                             "weights of their own: leave it out")
        if isinstance(method, BatchMethod):
            if batch_size is not None and batch_size < n:
                raise ValueError(f"{type(method).__name__} takes all samples in a step, but batch_size is {batch_size} "
                                 f"of {n}: leave it out, or use 'adam' or another optimizer for mini-batches")
            if profile:
                raise ValueError("profile=True tells the phases of mini-batches apart: use 'adam' or 'sgd'")
            if callable(self.shuffle):
                raise ValueError(f"shuffle is a function, but {type(method).__name__} takes all samples in a step and "
                                 "knows no order: leave it out, or use 'adam' or another optimizer for mini-batches")
            if regularization is not None:
                regularization.check_full_batch(type(method).__name__)
            if method.compares_costs:
                self.network.cost_function.check_gradient(type(method).__name__)
            method.check(self.network, samples, regularization, machine.physical_memory() // 2)
            batch_size = n
        elif batch_size is None and isinstance(samples, Streamed) and samples.shared:
            batch_size = n
        self.batch_size = 32 if batch_size is None else batch_size
        epoch, done = -(-n // min(self.batch_size, n)), 0 if self.progress is None else self.progress.epochs
        ahead.check(method, regularization, done * epoch, (done + self.epochs) * epoch, epoch)
        if profile and min(self.batch_size, n) == 1:
            raise ValueError(f"profile=True tells the phases of mini-batches apart, but batch_size is "
                             f"{self.batch_size} with {n} samples to train on, one a batch: use batch_size=2 or more, "
                             "and samples for it")

    def check_rounding(self, samples: Samples | Streamed) -> None:
        """Check that method and samples go with operands that are rounded to bfloat16; raises ValueError."""
        rounds(self.network._architecture, self.precision, sparse=samples.sparse)
        leave_out = "leave precision out, or use precision='float32'"
        if isinstance(self.method, BatchMethod):
            raise ValueError(f"precision is 'bfloat16', and {type(self.method).__name__} follows the gradient of all "
                             "samples until it is nearly 0, where rounding changes its direction and the cost does not "
                             f"fall along it: {leave_out}, or 'adam' or another optimizer for mini-batches")
        if samples.jacobian is not None:
            raise ValueError(f"precision is 'bfloat16', and target_jacobian asks for second derivatives, which are "
                             f"computed in the network's dtype alone: {leave_out}")

    def run(self, samples: Samples | Streamed, validation: Samples | Streamed | None, hold: Held, *, bar: bool = False,
            profile: bool = False) -> None:
        """Train, while the network is locked."""
        network = self.network
        measure = self.metrics.of(network, samples, validation) if self.metrics.columns else None
        before = Before(network) if self.by_blocks else None
        progress = self.begin(samples)
        try:
            loop.fit(Fit(network, samples, progress, progress.epochs + self.epochs, self.batch_size, self.shuffle,
                         self.threads, profile, self.regularization, hold, self.bfloat16),
                     validation, self.callbacks, bar, measure)
        except DivergenceError:
            network._progress = None  # the optimizer's state is not finite either
            raise
        except Exception:
            unread = isinstance(validation, Streamed) and not validation.checked
            if before is not None and (unread or not before.learned()):
                before.restore()
            raise

    def begin(self, samples: Samples | Streamed) -> Progress:
        """Begin, while the network is locked, or go on: return what it goes on from."""
        network, progress, method = self.network, self.progress, self.method
        if progress is not None and network._progress is not progress:  # whose state may be of another size
            raise RuntimeError("this network has been fitted or reset while its arguments were looked at (by "
                               "another thread, or by an argument): resume again, or use a copy()")
        for listener in self.callbacks:
            if isinstance(listener, EarlyStopping):
                listener.watch(network)
        if progress is not None:
            progress.go_on_with(method)
        else:
            progress = new_progress(network, method)
            network._forget(progress if method.resumes else None)
        method.foresee(progress.hyper, progress.epochs, progress.epochs + self.epochs)
        network._take_shape(samples)
        return progress

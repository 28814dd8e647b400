"""Many networks in one call: each is trained as by a fit of its own, on rows of arrays that all share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import arrays, observed
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..kernels import layout
from ..kernels.compile.interrupts import Held, Relayed
from ..kernels.layout import Plan
from ..optimizers import Optimizer
from ..regularization import Regularization
from ..util import machine
from ..util.optional import require
from .callbacks import Callback, EarlyStopping
from .fit import Training
from .metrics import Metrics, Wanted
from .progress import Trainable
from .shared_samples import each, own_rows
from .shared_sources import samples_of
from .stacked import Member, Stack, shape_of_stack
from .steps import Reorder

Array = npt.NDArray[Any]

STACK_LANES = 0.5
"""The part of its lanes that a stack has networks in, at least: it takes as long with fewer."""

STACK_STEPS = 100_000
"""Steps of all fits of one shape from which they are stacked. Each saves about half a microsecond, and a network saves
25; the kernel of stacks takes 1.7 s to compile once, 10 ms to load."""


def fit_many(networks: Sequence[Trainable], X: Any, Y: Any = None, *, rows: Any = None, sample_weight: Any = None,
             validation_rows: Any = None, epochs: int | Sequence[int] = 100,
             batch_size: int | Sequence[int | None] | None = None,
             optimizer: str | Optimizer | Sequence[str | Optimizer | None] | None = None,
             shuffle: bool | Reorder | Sequence[bool | Reorder] = True,
             regularization: Regularization | Sequence[Regularization | None] | None = None,
             callbacks: Callable[[int], Iterable[Callback]] | None = None, metrics: Wanted | None = None,
             missing: str | None = None, resume: bool = False, threads: int | None = None, progress: bool = False,
             on_error: Literal["raise", "keep"] = "raise",
             precision: str | None | Sequence[str | None] = None,
             memory: int | str | None = None) -> list[Exception | None]:
    """Train many networks in one call, each as by a `Network.fit` of its own on rows of the same arrays.

    Each network ends with the bits of ``network.fit(X[rows], Y[rows], ...)``, whatever its neighbours, and whatever the
    number of threads. Settings, from ``rows`` to ``regularization``, are one value for all networks, or a sequence with
    one for each.

    Parameters
    ----------
    networks : sequence of Network
        They may differ in everything but the numbers of inputs and outputs, and in those too where X and Y are one for
        each. They are trained in place.
    X : array_like, shape (n_samples, n_0)
        Inputs as in `Network.fit`; or a list with one array for each network, or one of shape (networks, n_samples,
        n_0). Also a source of `fastbp.data`, with ``memory`` a memory map, an h5py dataset and the like, or a list with
        one for each network: see Notes. To join several use `fastbp.data.rows`.
    Y : array_like, shape (n_samples, n_L), or (n_samples,)
        Targets as in `Network.fit`; or a list with one array for each network, or one of shape (networks, n_samples,
        n_L).
    rows : array_like of int or bool, or a sequence of these, optional
        Indices of the rows to train on, some more than once if you like (folds, bootstrap), or a mask of them. None
        takes all rows. X and Y are read where they lie; no network has a copy of its rows. In a file rows that ascend
        are read faster.
    sample_weight : array_like, shape (n_samples,), array (n_samples, n_L), or a sequence of these, optional
        A weight for each row of X, or for each target, as in `Network.fit`. An array (networks, n_samples) has a row
        for each network.
    validation_rows : array_like of int or bool, or a sequence of these, optional
        Rows whose cost is computed after each epoch, without weights.
    epochs, batch_size, optimizer, shuffle, regularization
        As in `Network.fit`. A function that shuffles is given the numbers 0 … m − 1 of a network's m rows.
    callbacks : callable, optional
        Called with the index of each network before the first is trained, it returns the callbacks of that network's
        fit: ``lambda index: [fastbp.EarlyStopping(5)]``. They are called in the thread that trains the network.
    metrics : list of str, callable or pair (str, callable), optional
        What is recorded of each network after each epoch, as in `Network.fit`: one list for all. They are of the
        validation rows where there are any. A function of your own is called by several threads at a time.
    missing : {None, "ignore"}, default None
        As in `Network.fit`, for all: "ignore" takes NaN in Y for what has not been observed.
    resume : bool, default False
        As in `Network.fit`, for all.
    threads : int, optional
        Networks that are trained at a time, at most 1024. None takes as many as there are processors, or one where the
        whole work is less than starting threads. With fewer networks than threads, several threads share each fit.
    progress : bool, default False
        Show a tqdm bar over the networks, with the time left (``pip install fastbp[progress]``).
    on_error : {"raise", "keep"}, default "raise"
        What happens where one network's arguments do not fit it, or its fit fails (it diverges, or a callback raises).
        "raise": such arguments are an error before anything is trained; after the failure of a fit those that run come
        to their end, no other is begun, and the error is raised. "keep": all others are trained, and the error is
        returned in the network's place.
    precision : {"float32", "float64", "bfloat16"}, or a sequence with one for each, optional
        Of the products, as in `Network.fit`.
    memory : int or str, optional
        Bytes that buffers of samples may take, as in `Network.fit`; sources take "256MB" where none is given.

    Returns
    -------
    list of Exception or None
        For each network None, or with ``on_error="keep"`` what its fit has raised.

    Raises
    ------
    ValueError, TypeError
        If there are no networks, one comes twice, they differ in inputs or outputs, a sequence has another length, rows
        are out of range or none, or an argument does not fit; nothing has been changed then. What concerns one network
        names its index in a note.
    DivergenceError, RuntimeError
        As in `Network.fit`, with the network's index in a note.

    Notes
    -----
    A thread takes one network after the other, the longest fits first, and trains it alone, so there is nothing to wait
    for between them. Small networks of one architecture with the same update rule and as many rows, with which nothing
    is done between epochs (no callbacks, validation or metrics, no learning rate that changes there, no
    regularization), and not in bfloat16, are trained as a stack, one in each lane of a vector, where that is faster:
    their sums keep their order, and so their bits. Networks of one architecture share their workspaces: there are as
    many as threads. Ctrl-C leaves every network after whole updates, and its history with all epochs that are done.

    With sources, or ``memory``, each network has the bits of ``network.fit(source, ..., memory=memory)``. Samples are
    loaded once for all, if there is room for all at a time; else the fits are done in turn, each with all threads, and
    each loads its own samples, or reads them by blocks, in an order of its own: then the file is read once for each
    network and epoch. Numbers are looked at as they are read, so that NaN is an error of a fit, and not one before
    anything is trained. ``rows`` do not go with a `fastbp.data.Stream` that does not fit.

    Examples
    --------
    >>> import fastbp, numpy as np
    >>> X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    >>> Y = X**2
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed) for seed in range(10)]
    >>> rows = [np.random.default_rng(seed).integers(0, 64, 64) for seed in range(10)]
    >>> errors = fastbp.fit_many(networks, X, Y, rows=rows, epochs=50, optimizer=fastbp.Adam(0.02))
    >>> bool(networks[3].cost(X, Y) < 0.05)
    True
    """
    if on_error not in ("raise", "keep"):
        raise ValueError(f"on_error is {on_error!r}, expected 'raise' or 'keep'")
    nets = _distinct(networks)
    if callbacks is not None and not callable(callbacks):
        raise TypeError(f"callbacks is {callbacks!r}, expected a function that returns the callbacks of a network by "
                        "its index, for instance lambda index: [fastbp.EarlyStopping(5)]: each fit needs callbacks of "
                        "its own, since they keep what they have seen")
    if not isinstance(resume, (bool, np.bool_)):
        raise TypeError(f"resume is {resume!r}, expected True or False for all networks")
    threads = None if threads is None else arrays.whole("threads", threads, most=machine.MOST_THREADS)
    if progress:
        require("tqdm.auto", "progress")
    recorded = Metrics(metrics)
    data, room = samples_of(nets, X, Y, sample_weight, rows, validation_rows, observed.checked(missing), memory,
                            machine.processors() if threads is None else threads)
    settings = {name: each(name, value, len(nets)) for name, value in (
        ("epochs", epochs), ("batch_size", batch_size), ("optimizer", optimizer), ("shuffle", shuffle),
        ("regularization", regularization), ("precision", precision))}
    errors: list[Exception | None] = [None] * len(nets)
    jobs, watchers = [], dict[int, int]()
    for i, network in enumerate(nets):
        try:
            network._check_trainable()
            training = Training(network, resume=resume, threads=1, metrics=recorded,
                                callbacks=() if callbacks is None else callbacks(i),
                                **{name: values[i] for name, values in settings.items()})
            samples, other = data.samples(i), data.validation(i)
            training.check(samples)
            if isinstance(samples, Streamed):
                training.threads = threads
                _check_blocks(training, samples, other)
            recorded.check_samples(samples, other)
            for listener in training.callbacks:
                if isinstance(listener, EarlyStopping) and (one := watchers.setdefault(id(listener), i)) != i:
                    raise ValueError(f"callbacks returns the same EarlyStopping for networks[{one}] and networks[{i}], "
                                     "expected one for each: it holds the best parameters of one network")
        except Exception as error:
            error.add_note(f"This concerns networks[{i}].")
            if on_error == "raise":
                raise
            errors[i] = error
            continue
        jobs.append(_Job(i, training, samples, other))
    del data  # each fit has its own
    _train(jobs, errors, threads, progress, on_error == "raise", room)
    return errors


@dataclass(slots=True)
class _Job:
    """A fit to come: its samples name the rows as the user has, and are looked at again once they are its own."""

    index: int
    training: Training
    samples: Samples | Streamed
    """Those that need not lie in memory are loaded, or read by blocks, as the fit begins."""
    validation: Samples | Streamed | None

    @property
    def work(self) -> int:
        """Multiply-adds, about."""
        return self.training.epochs * len(self.samples) * self.training.network._architecture.work

    @property
    def steps(self) -> int:
        """What a stack saves of it, in steps."""
        return 50 + self.training.epochs * -(-len(self.samples) // self.training.batch_size)

    def run(self, hold: Held) -> None:
        """Train, on copies of the indices that nobody else can change."""
        with self.training.network._fitting(hold):
            if not isinstance(self.samples, Streamed):
                self.training.run(own_rows(self.samples), _begun(self.validation), hold)
                return
            try:
                with hold.open():
                    samples, other = _begun(self.samples), _begun(self.validation)
                assert samples is not None
                self.training.run(samples, other, hold)
            finally:
                self.samples.source.forget()


def _begun(samples: Samples | Streamed | None) -> Samples | Streamed | None:
    """Return samples as a fit takes them: with indices of their own, and in memory if they fit there."""
    if isinstance(samples, Streamed):
        return samples.load() if samples.fits else samples
    return None if samples is None else own_rows(samples)


def _check_blocks(training: Training, samples: Streamed, validation: Samples | Streamed | None) -> None:
    """Check that the settings go with samples that are read by blocks, where they are not loaded; raises ValueError."""
    rows = samples.nothing() if samples.fits else samples
    others = validation.nothing() if isinstance(validation, Streamed) and validation.fits else validation
    if isinstance(rows, Streamed) or isinstance(others, Streamed):
        training.check_blocks(rows, others)


Failed = list[tuple[int, Exception]]
"""Indices of networks, and what their fits have raised."""


class _Alone(NamedTuple):
    """A fit by itself."""

    jobs: tuple[_Job]

    def run(self, hold: Held) -> Failed:
        """Train the network."""
        try:
            self.jobs[0].run(hold)
        except Exception as error:
            return [(self.jobs[0].index, error)]
        return []


class _Stacked(NamedTuple):
    """Fits of small networks of one shape, one in each lane of a vector."""

    jobs: list[_Job]
    pool: dict[Any, list[Plan]]

    def run(self, hold: Held) -> Failed:
        """Train the networks."""
        failed, members, indices = [], [], []
        with ExitStack() as locks:
            for job in self.jobs:
                try:
                    locks.enter_context(job.training.network._fitting(hold))
                    assert isinstance(job.samples, Samples)
                    samples = own_rows(job.samples)
                    members.append(Member(job.training, job.training.begin(samples), samples))
                    indices.append(job.index)
                except Exception as error:
                    failed.append((job.index, error))
            ends: Sequence[Exception | None] = []
            try:
                ends = Stack(members, self.pool).run(hold) if members else []
            except Exception as error:  # want of memory, say, which leaves all of them where they were
                ends = [error] * len(members)
        return failed + [(i, error) for i, error in zip(indices, ends, strict=True) if error is not None]


def _grouped(jobs: list[_Job], room: float) -> list[_Alone | _Stacked]:
    """Return the fits in the order in which they are begun, small networks of one shape together.

    ``room`` is what the orders of the samples of a stack may take, in bytes.
    """
    shapes: dict[Any, list[_Job]] = {}
    units: list[_Alone | _Stacked] = []
    pool: dict[Any, list[Plan]] = {}
    for job in jobs:
        shape = None if isinstance(job.samples, Streamed) or isinstance(job.validation, Streamed) \
            else shape_of_stack(job.training, job.samples, job.validation)
        if shape is None:
            units.append(_Alone((job,)))
        else:
            shapes.setdefault(shape, []).append(job)
    for alike in shapes.values():
        lane, samples = layout.lanes(alike[0].training.network.dtype), alike[0].samples
        orders = lane * len(samples) * (8 if samples.picked is None else 16)
        pays = orders <= room and sum(job.steps for job in alike) >= STACK_STEPS
        for first in range(0, len(alike), lane):
            some = alike[first : first + lane]
            if pays and len(some) >= max(2, STACK_LANES * lane):
                units.append(_Stacked(some, pool))
            else:
                units += [_Alone((job,)) for job in some]
    return sorted(units, key=lambda unit: unit.jobs[0].index)


def _train(jobs: list[_Job], errors: list[Exception | None], threads: int | None, progress: bool, stops: bool,
           room: float) -> None:
    """Run all fits, each in one of several threads; what they raise goes to ``errors``, or is raised here.

    Those whose samples need not lie in memory are run in turn, each by all threads. ``room`` is what the orders of
    samples in memory may take, in bytes.
    """
    if not jobs:
        return
    total, count = sum(job.work for job in jobs), machine.processors() if threads is None else threads
    in_turn = isinstance(jobs[0].samples, Streamed)
    if in_turn or threads is None and total < machine.PASS_WORK:
        count = 1
    for job in jobs if len(jobs) < count else ():
        batch = min(job.training.batch_size, len(job.samples)) * job.training.network._architecture.work
        if threads is not None or batch >= machine.STEP_WORK:
            job.training.threads = count // len(jobs)
    tqdm = require("tqdm.auto", "progress").tqdm if progress else None
    bar = None if tqdm is None else tqdm(total=len(jobs), unit="network", dynamic_ncols=True)
    units = _grouped(jobs, room / count)
    jobs.clear()  # so that a fit takes no memory once it is done
    count = min(count, len(units))
    left = deque(sorted(units, key=lambda unit: -sum(job.work for job in unit.jobs)) if count > 1 else units)
    units.clear()
    stop, done = threading.Event(), threading.Lock()
    failures: list[Exception] = []
    interrupts: list[BaseException] = []

    def work(hold: Held) -> None:
        while left and not stop.is_set() and not failures:
            try:
                unit = left.popleft()
            except IndexError:  # another thread took it
                return
            for index, error in unit.run(hold):
                error.add_note(f"This concerns networks[{index}].")
                errors[index] = error
                if stops:
                    failures.append(error)
            if bar is not None:
                with done:
                    bar.update(len(unit.jobs))

    def help_out() -> None:
        try:
            with Relayed(stop) as hold:
                work(hold)
        except BaseException as error:
            stop.set()
            interrupts.append(error)

    helpers = [threading.Thread(target=help_out, daemon=True) for _ in range(1, count)]
    with Held() as hold:
        try:
            for helper in helpers:
                helper.start()
            work(hold)
            for helper in helpers:
                while helper.is_alive():
                    helper.join(machine.CHUNK_SECONDS)
                    with hold.open():  # Ctrl-C is answered here: within join Python 3.11 would take it for the end
                        pass
        except BaseException:
            stop.set()
            raise
        finally:
            for helper in helpers:
                if helper.ident is not None:
                    helper.join()
            if bar is not None:
                bar.close()
    if interrupts:
        raise interrupts[0]
    if failures:
        raise failures[0]


def _distinct(networks: Any) -> list[Trainable]:
    """Return the networks as a list: at least one, none twice."""
    if isinstance(networks, Trainable) or not isinstance(networks, Iterable) or getattr(networks, "ndim", 1) == 0:
        raise TypeError(f"networks is {networks!r}, expected a list of fastbp.Network")
    found = list(networks)
    if not found:
        raise ValueError("networks is empty, expected at least one fastbp.Network")
    first: dict[int, int] = {}
    for i, network in enumerate(found):
        if not isinstance(network, Trainable):
            raise TypeError(f"networks[{i}] is {network!r}, expected a fastbp.Network")
        if first.setdefault(id(network), i) != i:
            raise ValueError(f"networks[{i}] is networks[{first[id(network)]}]: a network is trained once in a call, "
                             "use a copy()")
    return found

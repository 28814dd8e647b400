"""Many networks in one call: each is trained as by a fit of its own, on rows of arrays that all share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Sized
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..core import arrays
from ..core.conversion import numbers
from ..core.samples import Samples
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
from .stacked import Member, Stack, shape_of_stack
from .steps import Reorder

Array = npt.NDArray[Any]

STACK_LANES = 0.5
"""The part of its lanes that a stack has networks in, at least: it takes as long with fewer."""

STACK_STEPS = 100_000
"""Steps of all fits of one shape from which they are stacked. Each saves about half a microsecond, and a network saves
25; the kernel of stacks takes 1.7 s to compile once, 10 ms to load."""


def fit_many(networks: Sequence[Trainable], X: Any, Y: Any, *, rows: Any = None, sample_weight: Any = None,
             validation_rows: Any = None, epochs: int | Sequence[int] = 100,
             batch_size: int | Sequence[int | None] | None = None,
             optimizer: str | Optimizer | Sequence[str | Optimizer | None] | None = None,
             shuffle: bool | Reorder | Sequence[bool | Reorder] = True,
             regularization: Regularization | Sequence[Regularization | None] | None = None,
             callbacks: Callable[[int], Iterable[Callback]] | None = None, metrics: Wanted | None = None,
             resume: bool = False, threads: int | None = None, progress: bool = False,
             on_error: Literal["raise", "keep"] = "raise",
             precision: str | None | Sequence[str | None] = None) -> list[Exception | None]:
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
        n_0).
    Y : array_like, shape (n_samples, n_L), or (n_samples,)
        Targets as in `Network.fit`; or a list with one array for each network, or one of shape (networks, n_samples,
        n_L).
    rows : array_like of int or bool, or a sequence of these, optional
        Indices of the rows to train on, some more than once if you like (folds, bootstrap), or a mask of them. None
        takes all rows. X and Y are read where they lie; no network has a copy of its rows.
    sample_weight : array_like, shape (n_samples,), or a sequence of these, optional
        A weight for each row of X, as in `Network.fit`.
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
    data = _Arrays(nets, X, Y, sample_weight, rows, validation_rows)
    settings = {name: _each(name, value, len(nets)) for name, value in (
        ("epochs", epochs), ("batch_size", batch_size), ("optimizer", optimizer), ("shuffle", shuffle),
        ("regularization", regularization), ("precision", precision))}
    errors: list[Exception | None] = [None] * len(nets)
    jobs, watchers = [], dict[int, int]()
    for i, network in enumerate(nets):
        try:
            training = Training(network, resume=resume, threads=1, metrics=recorded,
                                callbacks=() if callbacks is None else callbacks(i),
                                **{name: values[i] for name, values in settings.items()})
            samples, other = data.samples(i), data.validation(i)
            training.check(samples)
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
    _train(jobs, errors, threads, progress, on_error == "raise")
    return errors


@dataclass(slots=True)
class _Job:
    """A fit to come: its samples name the rows as the user has, and are looked at again once they are its own."""

    index: int
    training: Training
    samples: Samples
    validation: Samples | None

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
            other = None if self.validation is None else _own_rows(self.validation)
            self.training.run(_own_rows(self.samples), other, hold)


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
                    samples = _own_rows(job.samples)
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


def _grouped(jobs: list[_Job]) -> list[_Alone | _Stacked]:
    """Return the fits in the order in which they are begun, small networks of one shape together."""
    shapes: dict[Any, list[_Job]] = {}
    units: list[_Alone | _Stacked] = []
    pool: dict[Any, list[Plan]] = {}
    for job in jobs:
        shape = shape_of_stack(job.training, job.samples, job.validation)
        if shape is None:
            units.append(_Alone((job,)))
        else:
            shapes.setdefault(shape, []).append(job)
    for alike in shapes.values():
        lane, pays = layout.lanes(alike[0].training.network.dtype), sum(job.steps for job in alike) >= STACK_STEPS
        for first in range(0, len(alike), lane):
            some = alike[first : first + lane]
            if pays and len(some) >= max(2, STACK_LANES * lane):
                units.append(_Stacked(some, pool))
            else:
                units += [_Alone((job,)) for job in some]
    return sorted(units, key=lambda unit: unit.jobs[0].index)


def _train(jobs: list[_Job], errors: list[Exception | None], threads: int | None, progress: bool, stops: bool) -> None:
    """Run all fits, each in one of several threads; what they raise goes to ``errors``, or is raised here."""
    if not jobs:
        return
    total, count = sum(job.work for job in jobs), machine.processors() if threads is None else threads
    if threads is None and total < machine.PASS_WORK:
        count = 1
    for job in jobs if len(jobs) < count else ():
        batch = min(job.training.batch_size, len(job.samples)) * job.training.network._architecture.work
        if threads is not None or batch >= machine.STEP_WORK:
            job.training.threads = count // len(jobs)
    bar = _bar(len(jobs)) if progress else None
    units = _grouped(jobs)
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


def _bar(count: int) -> Any:
    return require("tqdm.auto", "progress").tqdm(total=count, unit="network", dynamic_ncols=True)


# ---------------------------------------------------------------------------------------------------- what is given


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


def _each(name: str, value: Any, count: int) -> list[Any]:
    """Return one value for each network: those of a sequence, or one for all."""
    if isinstance(value, (list, tuple)) or isinstance(value, np.ndarray) and value.ndim:
        if len(value) != count:
            raise ValueError(f"{name} has {len(value)} values, expected one for all networks, or {count}, one for each")
        return list(value)
    return [value] * count


def _one_each(value: Any, dimensions: int, *, lists: bool = False) -> bool:
    """Return whether this is a sequence of arrays of so many dimensions at least, or of None, and not one array.

    With ``lists``, lists count as arrays.
    """
    def is_array(item: Any) -> bool:
        of_list = int(lists and isinstance(item, (list, tuple, range)))
        return item is None or getattr(item, "ndim", of_list) >= dimensions

    if isinstance(value, np.ndarray):
        return value.ndim > dimensions
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(is_array, value))


class _Arrays:
    """The arrays of all networks, each converted and checked once for all networks that it is for."""

    def __init__(self, networks: list[Trainable], X: Any, Y: Any, sample_weight: Any, rows: Any,
                 validation_rows: Any) -> None:
        self.networks, count = networks, len(networks)
        several = _one_each(X, 2)
        several_targets = _one_each(Y, 2) if isinstance(Y, np.ndarray) else _one_each(Y, 1) and (
            several or all(_length(item) == _length(X) for item in Y if item is not None))
        for given, place, what in ((several, 0, "inputs"), (several_targets, -1, "outputs")):
            for i, network in enumerate(networks if not given else ()):
                if (other := network.layers[place]) != (one := networks[0].layers[place]):
                    raise ValueError(f"networks[{i}] has {other} {what} and networks[0] has {one}: networks that are "
                                     f"trained on the same {'XY'[place]} have as many {what}")
        self.X = _each("X", X, count) if several else [X] * count
        self.Y = _each("Y", Y, count) if several_targets else [Y] * count
        self.weights = _each("sample_weight", sample_weight, count) if _one_each(sample_weight, 1, lists=True) \
            else [sample_weight] * count
        self.rows = _each("rows", rows, count) if _one_each(rows, 1, lists=True) else [rows] * count
        self.validation_rows = _each("validation_rows", validation_rows, count) \
            if _one_each(validation_rows, 1, lists=True) else [validation_rows] * count
        self._known: dict[Any, Any] = {}
        alike = {(each.dtype, each.cost, each.canonical) for each in (network._architecture for network in networks)}
        if len(alike) == 1 and not (several or several_targets):
            self._all(0)  # what is wrong with arrays that all share concerns all

    def _once(self, key: Any, make: Callable[..., Any], *arguments: Any) -> Any:
        """Return what was made for this key before, or make it."""
        if key not in self._known:
            self._known[key] = make(*arguments)
        return self._known[key]

    def _all(self, i: int) -> Samples:
        """Return all samples that network i may be trained on."""
        architecture, X, Y, weights = self.networks[i]._architecture, self.X[i], self.Y[i], self.weights[i]
        dtype, cost, canonical = architecture.dtype, architecture.cost, architecture.canonical
        n_in, n_out, encoding = architecture.layers[0], architecture.layers[-1], architecture.encoding
        read = None if encoding is None else (tuple(encoding.codes), tuple(encoding.numeric))
        inputs = self._once(("X", id(X), n_in, dtype, read), arrays.rows, X, n_in, dtype, encoding)
        n = len(inputs)
        targets, labels = self._once(("Y", id(Y), n, n_out, dtype, cost, canonical), arrays.targets, Y, n, n_out,
                                     dtype, cost, canonical)
        shares = self._once(("sample_weight", id(weights), n, dtype), arrays.sample_weight, weights, n, dtype)
        key = id(inputs), id(targets), id(shares)
        samples = cast(Samples, self._once(key, _readable, inputs, targets, labels, shares))
        samples.flat = arrays.is_flat(Y, n, architecture)
        return samples

    def samples(self, i: int) -> Samples:
        """Return what network i is trained on."""
        every, rows = self._all(i), self.rows[i]
        if rows is None:
            return every
        picked = every.pick(self._once(("rows", id(rows), len(every)), _indices, "rows", rows, len(every)))
        if every.weights.size and picked.own_weights.max() == 0:
            raise ValueError(f"sample_weight is 0 for each of the {len(picked)} rows, expected at least one positive "
                             "weight")
        return picked

    def validation(self, i: int) -> Samples | None:
        """Return what network i is validated with."""
        rows = self.validation_rows[i]
        if rows is None:
            return None
        every = self._all(i)
        own = id(every), "without weights"
        every = cast(Samples, self._once(own, _readable, every.inputs, every.targets, every.labels, every.weights[:0]))
        return every.pick(self._once(("validation_rows", id(rows), len(every)), _indices, "validation_rows", rows,
                                     len(every)))


def _readable(inputs: Any, targets: Array, labels: bool, weights: Array) -> Samples:
    """Return samples with what kernels read of them, which is then that of all rows picked from them."""
    samples = Samples(inputs, targets, labels, weights)
    samples.data()
    return samples


def _length(X: Any) -> int:
    """Return the number of rows; −1 of what has none."""
    shape = getattr(X, "shape", None)
    if shape is None:
        return len(X) if isinstance(X, Sized) else -1
    return int(shape[0]) if shape else -1


def _indices(name: str, value: Any, n: int) -> Array:
    """Return the rows that are named, of n, as the user has them; those of a mask in an array of their own."""
    found = numbers(name, value)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}, expected indices of rows, (m,), or a mask, ({n},)")
    if found.dtype.kind == "b":
        if found.size != n:
            raise ValueError(f"{name} is a mask of {found.size} rows, but X has {n}")
        found = np.flatnonzero(found)
    if not found.size:
        raise ValueError(f"{name} names no row, expected at least one")
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {found.dtype}, expected indices of rows: whole numbers, or a mask")
    _check_range(name, found, n)
    return found


def _check_range(name: str, found: Array, n: int) -> None:
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n:
        raise ValueError(f"{name} holds {low if low < 0 else high}, expected indices from 0 to {n - 1}: X has {n} rows")


def _own_rows(samples: Samples) -> Samples:
    """Return the samples with indices of their own, by which kernels may go: what is looked at is the copy."""
    if samples.picked is None:
        return samples
    own = np.array(samples.picked, np.int64)
    _check_range("rows", own, len(samples.inputs))
    return samples.pick(own)

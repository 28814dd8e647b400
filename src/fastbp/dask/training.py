"""One fit that the workers of a cluster share: a long task on each, whose sums go from worker to worker."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import optimizers
from ..core.observed import checked
from ..core.shards import EndedWithOthers
from ..network import Network
from ..optimizers import BatchMethod, Optimizer
from ..regularization import Regularization
from ..training import averaged, together
from ..training.callbacks import Callback, CalledLast, EarlyStopping
from ..training.history import Record
from ..training.metrics import Wanted
from ..util.optional import require
from . import parts, wire

LOOK_SECONDS = 1.0
"""How often the client looks whether the workers live."""

END_SECONDS = 5.0
"""How long the workers have to end once one has failed, so that the cause is known."""


def fit(network: Network, X: Any, y: Any, *, client: Any = None, epochs: int = 100,
        optimizer: str | Optimizer | None = None, sample_weight: Any = None, validation: Any = None,
        callbacks: Iterable[Callback] = (), resume: bool = False, regularization: Regularization | None = None,
        metrics: Wanted | None = None, missing: str | None = None, average_every: int | None = None,
        batch_size: int | None = None, memory: int | str | None = None, timeout: float = 120.0) -> Network:
    """Train on Dask arrays or frames, whose partitions stay on the workers where they lie: full-batch or large batches.

    Partitions are computed, and each worker that has some is given one task, which lasts as long as the fit. The bits
    depend on the partitions and their order, and not on how many workers there are, nor on who has which.

    Parameters
    ----------
    network : Network
        It is trained in copies, and takes over what they have learned at the end.
    X, y, sample_weight : dask Array, DataFrame or Series
        As in `Network.fit`, with the same partitions; some may be empty. Arrays of known chunks are brought to those of
        X. What is not persisted is computed in stretches of neighbouring partitions, one a worker.
    client : distributed.Client, optional
        By default the present one.
    epochs : int, default 100
        Steps of a full-batch method, or passes over the samples.
    optimizer : str or Optimizer, optional
        A full-batch method, by default L-BFGS; or one for mini-batches, whose batches workers share: see
        `fastbp.optimizers`.
    validation : pair (X, Y), optional
        Arrays in memory, which are sent to all workers.
    callbacks : iterable of callables
        Sent to the first worker, and called there; what they answer or do to the parameters holds for all, and what
        they remember stays there. An `EarlyStopping` is sent to all.
    resume, regularization, metrics, missing
        As in `Network.fit`.
    average_every : int, optional
        Mini-batches instead, by local training: each worker takes so many steps on rows of its own, then parameters
        and moments become the mean over the workers; see Notes. With it there are no callbacks, metrics, validation,
        missing targets, nor schedules of the learning rate, and ``optimizer`` is one for mini-batches, by default Adam.
    batch_size : int, optional
        Samples in a batch of all workers together, with an optimizer for mini-batches, by default all samples: see
        Notes. With ``average_every`` samples in an update of a worker, by default 32.
    memory : int or str, default "256MB"
        With an optimizer for mini-batches, and no ``average_every``: what a worker may take for the order of its rows,
        and for copies of those that do not lie in memory in the network's dtype and in C order. With a full-batch
        method: for what is read at a time.
    timeout : float, default 120
        Seconds that workers wait for each other before they begin.

    Returns
    -------
    Network
        network

    Raises
    ------
    ImportError
        Without Dask.
    ValueError, TypeError, DivergenceError
        As in `Network.fit`; or if X, y and weights do not belong together, a worker lacks a function of your own that
        the network has, or, with an optimizer for mini-batches, there is dropout or input noise, or a worker's rows do
        not fit into ``memory``.
    RuntimeError
        If a worker dies or is lost, or workers do not reach each other. After the loss of a worker the network is as
        after the last epoch, if one is left that knows it, and the message says so; after all other errors it is as
        before.

    Notes
    -----
    A worker takes as many threads as Dask gives it. Two fits on a cluster wait for each other. Sums go over TCP
    connections between the workers, to the one with the first partition and back, unencrypted. A partition is a shard:
    its sums are in double, and those of partitions are added in pairs, pairs of pairs and so on.

    With large batches each step exchanges the gradient of one batch, and all workers take the same step. The rows of
    each partition are shuffled among themselves, by seed and epoch; of k batches each takes every k-th of them, so that
    sizes differ by a row at most. So batches do not depend on how many workers there are, and are not those of
    `Network.fit`. An exchange pays where a batch takes longer than the message: use batches of thousands. A callback
    cannot ask for `Record.gradient_norm`.

    Local training (Haddadpour et al. 2019, NeurIPS) is another method than the fit of one process: with many steps
    between averages workers drift apart where their rows are unlike, so spread rows over partitions at random. The bits
    depend on which partitions are on which worker. Workers with fewer rows take fewer steps, and count for less in
    the mean. The history has the mean of all workers' costs.

    Examples
    --------
    >>> import dask.array as da, fastbp, fastbp.dask
    >>> from distributed import Client
    >>> X = da.linspace(-1, 1, 200, chunks=50)[:, None]
    >>> net = fastbp.Network((1, 8, 1), seed=0)
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    ...     net = fastbp.dask.fit(net, X, X**2, epochs=20, client=client)
    >>> round(float(net.predict([0.5])[0]), 1), len(net.history)
    (0.3, 20)
    """
    client = parts.client_of(client)
    check(optimizer, callbacks := list(callbacks), metrics, validation, average_every, batch_size,
          resume and network._progress is not None, missing)
    with parts.connection(client):
        parts.check_functions(client, [network])
        futures = placed(client, parts.delayed_parts(X, y, sample_weight), [X, y, sample_weight])
        fit_parts(network, client, futures, epochs=epochs, optimizer=optimizer, validation=validation,
                  callbacks=callbacks, resume=resume, regularization=regularization, metrics=metrics, missing=missing,
                  average_every=average_every, batch_size=batch_size, memory=memory, timeout=timeout)
    return network


def check(optimizer: str | Optimizer | None, callbacks: list[Callback], metrics: Any, validation: Any,
          average_every: int | None, batch_size: int | None, going_on: bool, missing: str | None = None) -> None:
    """Check that the settings go together, before partitions are computed; raises ValueError."""
    if average_every is not None and (callbacks or metrics is not None or validation is not None or checked(missing)):
        raise ValueError("average_every is given, with which there are no callbacks, metrics, validation and missing "
                         "targets: leave them out")
    checked(missing)
    full_batch = isinstance(optimizers.get("lbfgs" if optimizer is None else optimizer), BatchMethod)
    if average_every is None and batch_size is not None and full_batch and not going_on:
        raise ValueError(f"batch_size is {batch_size!r}, but a full-batch method takes all samples in a step: leave it "
                         "out, or use 'adam' or another optimizer for mini-batches")
    if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
        raise ValueError(f"validation is {validation!r}, expected a pair (X, Y) of arrays in memory")


def fit_parts(network: Network, client: Any, futures: list[Any], *, epochs: int, optimizer: str | Optimizer | None,
              validation: Any, callbacks: list[Callback], resume: bool, regularization: Regularization | None,
              metrics: Wanted | None, average_every: int | None, batch_size: int | None, timeout: float,
              missing: str | None = None, memory: int | str | None = None, keeps: bool = True) -> None:
    """Train on parts that lie on workers: what `fit` does with partitions that have been computed.

    Where a worker is lost the network ``keeps`` what it has learned, or is as before.
    """
    descriptions: list[parts.Description] = client.gather(client.map(parts.describe, futures, pure=False))
    if sum(each.rows for each in descriptions) == 0:
        raise ValueError("X has no rows in any partition, expected at least one sample")
    settings = {"optimizer": optimizer, "resume": resume, "epochs": epochs, "callbacks": callbacks, "bar": False,
                "regularization": regularization, "metrics": metrics, "memory": memory, "check_finite": True,
                "missing": missing, "batch_size": batch_size,
                "validation": None if validation is None else tuple(validation)}
    if average_every is not None:
        settings = {"optimizer": optimizer, "resume": resume, "epochs": epochs, "regularization": regularization,
                    "steps": average_every, "batch_size": 32 if batch_size is None else batch_size}
    owners = owners_of(client, futures)
    with _lease(client):
        trained = _run(client, network, futures, descriptions, owners, settings, timeout, keeps)
    parts.take_over(network, trained)


@contextmanager
def _lease(client: Any) -> Iterator[None]:
    """Hold the cluster's one lease of a shared fit: Dask takes it back from a client that dies, unlike a lock."""
    with client.as_current():
        lease = require("distributed", "dask").Semaphore(1, name="fastbp.dask.fit")
        lease.acquire()
    try:
        yield
    finally:
        if client.status == "running":
            lease.release()
        lease.refresh_callback.stop()


def placed(client: Any, delayed: list[Any], collections: list[Any]) -> list[Any]:
    """Compute the partitions and return their futures: where data lie, or neighbours on one worker."""
    distributed = require("distributed", "dask")
    workers = sorted(client.nthreads())
    if not workers:
        raise RuntimeError("the cluster has no workers: start some, or wait for them (client.wait_for_workers)")
    if distributed.futures_of([each for each in collections if each is not None]):
        futures = client.compute(delayed)
    else:
        futures = [client.compute(part, workers=[workers[i * len(workers) // len(delayed)]], allow_other_workers=True)
                   for i, part in enumerate(delayed)]
    finish(futures)
    return futures  # type: ignore[no-any-return]


def finish(futures: list[Any]) -> None:
    """Wait until partitions are computed, and raise what any of them raises."""
    require("distributed", "dask").wait(futures)
    for future in futures:
        if future.status != "finished":
            future.result()  # raises


def owners_of(client: Any, futures: list[Any]) -> list[str]:
    """Return the worker that has each partition."""
    places = client.who_has(futures)
    owners = [min(places.get(future.key, ()), default="") for future in futures]
    if "" in owners:
        raise RuntimeError(f"partition {owners.index('')} is on no worker: the one that had it has gone, fit again")
    return owners


def _run(client: Any, network: Network, futures: list[Any], descriptions: list[parts.Description],
         owners: list[str], settings: dict[str, Any], timeout: float, keeps: bool) -> Network:
    """Start a task on each worker, wait for their end, and return what the first has trained."""
    workers, threads = sorted(set(owners), key=owners.index), client.nthreads()
    count = 1
    while count < len(futures):
        count *= 2
    ranks = [workers.index(owner) for owner in owners]
    ranks += ranks[-1:] * (count - len(ranks))  # of empty shards
    cuts = [0]
    for each in descriptions:
        cuts.append(cuts[-1] + each.rows)
    cuts += cuts[-1:] * (count - len(futures))
    token = secrets.token_bytes(wire.TOKEN_BYTES)
    tasks: dict[str, Any] = {}
    try:
        address = _address(client, workers[0], token)
        for rank, worker in enumerate(workers):
            own = {i: future for i, future in enumerate(futures) if owners[i] == worker}
            tasks[worker] = client.submit(
                train, network, own, descriptions, rank=rank, size=len(workers), address=address, token=token,
                seconds=timeout, owners=tuple(ranks), cuts=tuple(cuts), threads=threads.get(worker, 1),
                settings=_of_others(settings) if rank else settings,
                workers=[worker], allow_other_workers=False, pure=False, retries=0)
        return _result(client, network, tasks, keeps=keeps)
    finally:
        _stop(client, workers, tasks, token)


def _address(client: Any, worker: str, token: bytes) -> tuple[str, int]:
    """Have a worker listen, and return where; a task, since what is broadcast waits half a minute for one that died."""
    listening = client.submit(_listen, token, workers=[worker], allow_other_workers=False, pure=False, retries=0)
    try:
        while not listening.done():
            _wait([listening], LOOK_SECONDS, "FIRST_COMPLETED")
            if gone := _gone(client, {worker: listening}):
                raise RuntimeError(f"{gone}; {parts.AS_BEFORE}: fit again, its partitions are then computed elsewhere")
        found: tuple[str, int] = listening.result()
        return found
    except (OSError, ValueError) as error:
        raise RuntimeError(f"worker {worker} cannot listen at its address: {error}") from error
    finally:
        if client.status == "running" and not listening.done():
            client.cancel([listening])


def _listen(token: bytes) -> tuple[str, int]:
    return wire.listen(token, require("distributed", "dask").get_worker())


def _of_others(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of other processes than the first, which do not call the user's callbacks."""
    return settings | {"callbacks": [
        each if isinstance(each, EarlyStopping) else _Last() if isinstance(each, CalledLast) else _nothing
        for each in settings["callbacks"]]} if "callbacks" in settings else settings


def _nothing(record: Record) -> None:
    """Stand where the first process has a callback."""


class _Last(CalledLast):
    def __call__(self, record: Record) -> None:
        """Stand where the first process has one that is called last."""


class Left(NamedTuple):
    """What a worker that ends because another one is lost has: all have the same after each epoch."""

    network: Network
    why: str


def _result(client: Any, network: Network, tasks: dict[str, Any], *, keeps: bool) -> Network:
    """Wait until all tasks have ended, and return what the first returns; raise the cause where one fails.

    Where a worker is lost, and the network ``keeps`` what it has learned, it takes over what another worker has.
    """
    gone = ""
    while not gone and (running := [task for task in tasks.values() if not task.done()]):
        if any(task.done() and task.status != "finished" for task in tasks.values()):
            break
        _wait(running, LOOK_SECONDS, "FIRST_COMPLETED")
        gone = _gone(client, tasks)
    _wait([task for worker, task in tasks.items() if not gone or worker in client.nthreads()], END_SECONDS,
          "ALL_COMPLETED")
    gone = gone or _gone(client, tasks)
    if not gone and any(task.status == "cancelled" for task in tasks.values()):
        raise CancelledError
    errors = [task.exception() for task in tasks.values() if task.status == "error"]
    causes = [error for error in errors if not isinstance(error, EndedWithOthers)]
    if causes and not gone:
        raise causes[0]
    found = [task.result() for task in tasks.values() if task.status == "finished"]
    left = [each for each in found if isinstance(each, Left)]
    if not (gone or errors or left):
        return found[0]  # type: ignore[no-any-return]
    why = gone or f"the fit was given up: {errors[0] if errors else left[0].why}"
    if not (left and keeps):
        raise RuntimeError(f"{why}; {parts.AS_BEFORE}: fit again, its partitions are then computed elsewhere")
    furthest = max((each.network for each in left), key=lambda each: each.history.last)
    parts.take_over(network, furthest)
    raise RuntimeError(f"{why}; the network is as after epoch {furthest.history.last}: fit again with resume=True, the "
                       "partitions are then computed elsewhere")


def _wait(tasks: list[Any], seconds: float, until: str) -> None:
    """Wait for tasks, at most so long."""
    try:
        require("distributed", "dask").wait(tasks, timeout=seconds, return_when=until)
    except (TimeoutError, CancelledError):
        pass  # the caller looks at each


def _gone(client: Any, tasks: dict[str, Any]) -> str:
    """Return which worker is lost, or nothing; raise RuntimeError if the scheduler is."""
    if client.status != "running":
        raise RuntimeError(f"{parts.LOST}; {parts.AS_BEFORE}")
    alive = client.nthreads()
    gone = [worker for worker, task in tasks.items() if worker not in alive and task.status != "finished"]
    return f"worker {gone[0]} has died or left the cluster during the fit" if gone else ""


def _stop(client: Any, workers: list[str], tasks: dict[str, Any], token: bytes) -> None:
    """Close all connections of a fit, so that no task goes on or waits; and the first one's, if there is none yet."""
    if client.status != "running":
        return  # workers end with their scheduler
    try:
        alive = [worker for worker in client.nthreads() if worker in workers]
        if alive:
            client.run(wire.stop, token, workers=alive, on_error="ignore")
        client.cancel([task for task in tasks.values() if not task.done()])
    except OSError:
        pass  # the scheduler is lost, which is being raised


def train(network: Network, own: dict[int, parts.Part], descriptions: list[parts.Description], *, rank: int,
          size: int, address: tuple[str, int], token: bytes, seconds: float, owners: tuple[int, ...],
          cuts: tuple[int, ...], threads: int, settings: dict[str, Any]) -> Network | Left | None:
    """Take part in a fit, on a worker; process 0 returns the network, and where one is lost all others do."""
    network = network.copy()  # workers of one process may have been given the same
    history, epochs = network.history, len(network.history)
    worker = require("distributed", "dask").get_worker()
    key = worker.get_current_task()

    def talk(mine: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
        task = worker.state.tasks.get(key)
        if worker.status.name.startswith("clos") or task is None or task.state == "cancelled":
            raise EndedWithOthers(f"nobody waits for process {rank} any more: client or scheduler are lost")
        return connected.talk(mine)

    def look(record: Record) -> None:
        talk(np.empty(0))

    given = dict(settings)
    if size == 1 and "callbacks" in given:  # who has all shards says nothing to others, and would not hear that it ends
        given["callbacks"] = [*given["callbacks"], look]
    method, resume = given.pop("optimizer"), given.pop("resume")
    with closing(wire.Wire(token, rank, size, address, seconds)) as connected:
        if "steps" in given:
            counts = np.bincount(owners, weights=np.diff(cuts), minlength=size)
            mine = [np.concatenate(arrays) for arrays in zip(*(own[number] for number in sorted(own)), strict=True)]
            averaged.fit(network, mine[0], mine[1], mine[2] if len(mine) == 3 else None, method, resume, rank=rank,
                         size=size, talk=talk, threads=threads, most=int(counts.max()), **given)
        else:
            X, Y, *weights = parts.joined(own, descriptions)
            try:
                together.fit(network, X, Y, weights[0] if weights else None, given.pop("validation"), method, resume,
                             rank=rank, size=size, talk=talk, threads=threads, owners=owners, cuts=cuts, **given)
            except EndedWithOthers as error:
                if len(network.history) > (epochs if network.history is history else 0):
                    return Left(network, str(error))
                raise
    return network if rank == 0 else None

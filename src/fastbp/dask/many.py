"""Thousands of fits on the workers of a cluster, some in each task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any, Literal

import numpy as np

from ..data.stream import Stream
from ..network import Network
from ..optimizers import Optimizer
from ..regularization import Regularization
from ..training import many, shared_samples
from ..training.callbacks import Callback
from ..training.metrics import Wanted
from ..util.optional import require
from .parts import check_functions, client_of, connection, take_over

TASK_SECONDS = 2.0
"""How long a task is to last: Dask takes about a millisecond for one."""

AHEAD = 2
"""Tasks that a thread of a worker has, so that it never waits for the next."""

TRIES = 3
"""How often arrays are sent, where a worker that has them dies before others do."""

SEND_SECONDS = 10
"""How long a worker is waited for that is to get them."""

KEPT = "networks whose tasks had ended are trained, the others as before"

FIRST, STACK = 64, 16
"""Networks in the first tasks, by which the others are measured; and what others are multiples of. `fit_many` trains
small networks in stacks of 16, with AVX-512: of 8-16-1 each takes 2.5 times as long where there are fewer, and in a
short fit twice as long where there is but one stack."""

SHORT_SECONDS, LONG_SECONDS = 0.2, 1.0
"""First tasks that take less are as small as tasks become; where a stack takes more, tasks may have parts of one."""


def fit_many(networks: Sequence[Network], X: Any, Y: Any = None, *, client: Any = None, rows: Any = None,
             sample_weight: Any = None, validation_rows: Any = None, epochs: int | Sequence[int] = 100,
             batch_size: int | Sequence[int | None] | None = None,
             optimizer: str | Optimizer | Sequence[str | Optimizer | None] | None = None,
             shuffle: bool | Sequence[bool] = True,
             regularization: Regularization | Sequence[Regularization | None] | None = None,
             callbacks: Callable[[int], Iterable[Callback]] | None = None, metrics: Wanted | None = None,
             missing: str | None = None, resume: bool = False,
             on_error: Literal["raise", "keep"] = "raise",
             precision: str | None | Sequence[str | None] = None,
             memory: int | str | None = None) -> list[Exception | None]:
    """Train many networks on the workers of a cluster, each with the bits of its own `Network.fit`.

    Parameters
    ----------
    networks, rows, sample_weight, validation_rows, epochs, batch_size, optimizer, shuffle, regularization, callbacks, \
metrics, missing, resume, on_error, precision
        As in `fastbp.fit_many`. Callbacks are made and called on the workers, and what they remember stays there.
    X : array_like, shape (n_samples, n_0)
        Inputs: an array in memory for all networks, which each worker gets once; or, as in `fastbp.fit_many`, one for
        each network, sent with it. Also sources of `fastbp.data`: of a file its name is sent, and the worker reads it.
    Y : array_like, shape (n_samples, n_L), or (n_samples,)
        Targets, in the same way.
    memory : int or str, optional
        As in `fastbp.fit_many`, in each thread of a worker.
    client : distributed.Client, optional
        By default the present one.

    Returns
    -------
    list of Exception or None
        As `fastbp.fit_many`.

    Raises
    ------
    ImportError
        Without Dask.
    ValueError, TypeError, DivergenceError, RuntimeError
        As `fastbp.fit_many`, or if the scheduler is lost, or a worker lacks a function of your own that a network has;
        the latter before anything is sent. Those networks whose tasks had ended are trained, all others
        are as before.
    distributed.KilledWorker
        If workers die of a task again and again (Dask's ``allowed-failures``).

    Notes
    -----
    Each thread of a worker takes a task of some networks at a time; the first tasks are small and tell how many
    networks make two seconds. A task whose worker dies is begun anew elsewhere, with the same result.

    Examples
    --------
    >>> import numpy as np, fastbp, fastbp.dask
    >>> from distributed import Client
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> networks = [fastbp.Network((1, 8, 1), seed=i) for i in range(20)]
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    ...     errors = fastbp.dask.fit_many(networks, X, X**2, epochs=5, client=client)
    >>> errors.count(None), len(networks[19].history)
    (20, 5)
    """
    distributed, pickle = require("distributed", "dask"), require("distributed.protocol.pickle", "dask")
    client = client_of(client)
    nets: list[Any] = many._distinct(networks)
    if on_error not in ("raise", "keep"):
        raise ValueError(f"on_error is {on_error!r}, expected 'raise' or 'keep'")
    given = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "shuffle": shuffle,
             "regularization": regularization, "precision": precision}
    each = {name: shared_samples.each(name, value, len(nets)) for name, value in given.items()}
    own = shared_samples.Given(nets, X, Y, sample_weight, rows, validation_rows, missing is not None)
    each |= {"rows": own.rows, "validation_rows": own.validation_rows, "sample_weight": own.weights}
    arrays: dict[str, Any] = {}
    for name, value, of_each, several in (("X", X, own.X, own.several_inputs), ("Y", Y, own.Y, own.several_targets)):
        if hasattr(value, "__dask_graph__"):
            raise TypeError(f"{name} is a Dask collection, expected an array in memory, which all networks share: "
                            f"{name}.compute() has it")
        if several:
            each[name] = of_each
        elif value is not None:
            arrays[name] = value if hasattr(value, "shape") or isinstance(value, Stream) else np.asarray(value)
    threads = sum(client.nthreads().values())
    if not threads:
        raise RuntimeError("the cluster has no workers: start some, or wait for them (client.wait_for_workers)")
    errors: list[Exception | None] = [None] * len(nets)
    data: list[Any] = []
    running: dict[Any, tuple[int, int, int]] = {}
    again: list[tuple[int, int]] = []
    results = distributed.as_completed()
    begun, sent, size = 0, 0, min(FIRST, -(-len(nets) // (AHEAD * threads)))

    def send() -> None:
        """Send the arrays to one worker, from which others fetch them: a broadcast never ends if a worker dies."""
        nonlocal sent
        if data:
            client.cancel(data)
        for left in reversed(range(TRIES)):
            try:
                data[:] = client.scatter(list(arrays.values()), workers=min(client.nthreads(), default=None),
                                         hash=False, timeout=SEND_SECONDS) if arrays else []
                break
            except OSError as error:
                if client.status != "running":
                    raise
                if not left:
                    raise RuntimeError(f"no worker is left that takes the arrays ({error}); {KEPT}") from error
        sent += 1

    def begin() -> None:
        """Begin tasks, until each thread has enough."""
        nonlocal begun
        while (again or begun < len(nets)) and len(running) < AHEAD * threads:
            first, last = again.pop() if again else (begun, min(begun + size, len(nets)))
            begun = max(begun, last)
            given = nets[first:last], {name: values[first:last] for name, values in each.items()}
            future = client.submit(_task, pickle.dumps(given), first=first, callbacks=callbacks, metrics=metrics,
                                   missing=missing, resume=resume, memory=memory, pure=False,
                                   **dict(zip(arrays, data, strict=True)))
            running[future] = first, last, sent
            results.add(future)

    with connection(client, KEPT):
        try:
            check_functions(client, nets)
            send()
            begin()
            for future in results:
                first, last, number = running.pop(future)
                try:
                    trained, raised, seconds = pickle.loads(future.result())
                except CancelledError:  # a worker has died that alone had the arrays
                    if client.status != "running" or number == sent == TRIES:
                        raise
                    if number == sent:
                        send()
                    again.append((first, last))
                    begin()
                    continue
                errors[first:last] = raised
                for network, learned in zip(nets[first:last], trained, strict=True):
                    take_over(network, learned)
                failed = next((error for error in raised if error is not None), None)
                if failed is not None and on_error == "raise":
                    raise failed
                size = _size(seconds / (last - first), (len(nets) - begun) / (AHEAD * threads))
                begin()
        finally:
            client.cancel([*running, *data])
    return errors


def _size(seconds: float, share: float) -> int:
    """Return how many networks the next task has, of which one takes so long: two seconds of work, or a fair share.

    The share is of those that are left: so tasks become small, and all threads end together.
    """
    least = FIRST if FIRST * seconds < SHORT_SECONDS else STACK if STACK * seconds < LONG_SECONDS else 1
    return max(int(min(TASK_SECONDS / max(seconds, 1e-6), share)) // least * least, least)


def _task(given: bytes, X: Any = None, Y: Any = None, **settings: Any) -> bytes:
    """Train some networks on a worker; return what `_train` does.

    They come and go as bytes: Dask looks into lists, and takes 0.3 ms for a network in one, there and back.
    """
    pickle = require("distributed.protocol.pickle", "dask")
    networks, each = pickle.loads(given)
    found: bytes = pickle.dumps(_train(networks, each=({"X": X, "Y": Y} | each), **settings))
    return found


def _train(networks: list[Network], *, first: int, callbacks: Callable[[int], Iterable[Callback]] | None,
           metrics: Wanted | None, missing: str | None, resume: bool, memory: int | str | None,
           each: dict[str, Any]) -> tuple[list[Network], list[Exception | None], float]:
    """Train some networks in place; return them, their errors and the seconds that it took."""
    begin = time.perf_counter()
    errors = many.fit_many(networks, callbacks=None if callbacks is None else lambda i: callbacks(first + i),
                           metrics=metrics, missing=missing, resume=resume, threads=1, on_error="keep", memory=memory,
                           **each)
    for i, error in enumerate(errors):
        if error is not None:
            error.__notes__ = [f"This concerns networks[{first + i}]."]
    return networks, errors, time.perf_counter() - begin

"""One fit that processes under MPI share: ``mpiexec -n 4 python script.py``, full-batch or with large batches.

Needs ``pip install fastbp[mpi]`` (mpi4py), and an MPI: ``pip install mpich`` has one. docs/how-to/scaling.md says when
it pays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .core.shards import EndedWithOthers
from .data.base import Elsewhere, Joined, Rows
from .data.source import Blocks, source
from .network import Network
from .optimizers import Optimizer
from .regularization import Regularization
from .training import together
from .training.callbacks import Callback
from .training.metrics import Wanted
from .util import machine
from .util.optional import require

__all__ = ["fit"]

Doubles = npt.NDArray[np.float64]


def fit(network: Network, X: Any, Y: Any, *, comm: Any = None, epochs: int = 100,
        optimizer: str | Optimizer | None = None, sample_weight: Any = None, validation: Any = None,
        callbacks: Iterable[Callback] = (), progress: bool = False, threads: int | None = None, resume: bool = False,
        regularization: Regularization | None = None, metrics: Wanted | None = None, memory: int | str | None = None,
        check_finite: bool = True, missing: str | None = None, own_rows: bool = False,
        batch_size: int | None = None) -> Network:
    """Train by a full-batch method or with large batches, whose passes all processes of a communicator share.

    All of them call this with the same arguments, and end with the same network: the bits are those of one process, of
    two or of three. A process reads the rows of its shards alone; so give a memory map or a source of `fastbp.data`
    where rows are many.

    Parameters
    ----------
    network : Network
        The same in all processes: give them the same ``seed``.
    X, Y, sample_weight
        All samples, as in `Network.fit` where samples are read by blocks: arrays, memory maps, sources of
        `fastbp.data`, but no `fastbp.data.Stream`, sparse matrix or frame.
    comm : mpi4py.MPI.Comm, optional
        Whose processes, 64 at most. By default ``MPI.COMM_WORLD``. Messages go through a duplicate of it.
    epochs : int, default 100
        Steps of a full-batch method, or passes over the samples.
    optimizer : str or Optimizer, optional
        A full-batch method, by default L-BFGS; or one for mini-batches, whose batches are shared: see
        `fastbp.optimizers`.
    validation, resume, regularization, metrics, memory, check_finite, missing
        As in `Network.fit`. Each process computes the cost of a pair (X, Y) on its own; that of a fraction is shared.
    callbacks : iterable of callables
        As in `Network.fit`; give them to all processes. The first process calls them alone, and what they answer or do
        to the parameters holds for all. An `EarlyStopping` is called in each, where it sees the same numbers.
    progress : bool, default False
        Show a tqdm bar, in the first process (``pip install fastbp[progress]``).
    own_rows : bool, default False
        Whether X, Y and ``sample_weight`` are rows that this process alone has, and not all samples: perhaps none. The
        bits then depend on who has which. ``validation`` is a pair (X, Y), the same in all processes.
    batch_size : int, optional
        Samples in a batch of all processes together, with an optimizer for mini-batches; by default all samples. An
        epoch has n/batch_size batches, rounded up, whose sizes differ by one at most. Each process holds its rows in
        memory: what does not lie there in the network's dtype is copied, and has to fit into ``memory``.
    threads : int, optional
        Threads of this process. By default its share of the processors: those that it may use, divided by the number of
        processes on this machine.

    Returns
    -------
    Network
        network

    Raises
    ------
    ImportError
        Without mpi4py.
    ValueError, TypeError, DivergenceError
        As in `Network.fit`; or if there is dropout or input noise, or the rows of a process do not fit into ``memory``,
        with an optimizer for mini-batches. Nothing has been changed by the first two.
    RuntimeError
        If another process has failed, which says why, has a network with other parameters, or has called this with
        other arguments. The network is as before, or as after its last epoch.

    Notes
    -----
    Sums of 64 shards of the samples are in double and are added in pairs, pairs of pairs and so on, whoever has
    computed which. An evaluation exchanges cost and gradient once, as buffers: nothing is pickled.

    With large batches each step exchanges the gradient of one batch, and all processes take the same step. The rows of
    each shard are shuffled among themselves, by seed and epoch; of k batches each takes every k-th of them. So batches
    do not depend on how many processes there are, and are not those of `Network.fit`. An exchange pays where a batch
    takes longer than the message: use batches of thousands. A callback cannot ask for `Record.gradient_norm`.

    What raises within this call is heard by the others, which raise too. For errors elsewhere in a script run
    ``python -m mpi4py script.py``, which ends all processes. A process that is killed ends all through ``mpiexec``.

    Examples
    --------
    Run by ``mpiexec -n 4 python script.py`` four processes share it; by ``python`` alone it is one process.

    >>> import numpy as np, fastbp, fastbp.mpi
    >>> X = np.linspace(-1, 1, 1000).reshape(-1, 1)
    >>> net = fastbp.Network((1, 8, 1), seed=0)
    >>> net = fastbp.mpi.fit(net, X, X**2, epochs=20)
    >>> round(float(net.predict([0.5])[0]), 1), len(net.history)
    (0.3, 20)
    """
    MPI = require("mpi4py.MPI", "mpi")
    comm = (MPI.COMM_WORLD if comm is None else comm).Dup()
    try:
        if threads is None:
            near = comm.Split_type(MPI.COMM_TYPE_SHARED)
            threads = max(1, machine.processors() // near.Get_size())
            near.Free()
        owners = cuts = None
        if len(set(comm.allgather(bool(own_rows)))) > 1:
            raise RuntimeError(f"own_rows is {own_rows!r} here, but not in all processes: expected the same call of "
                               "fit in all, with the same arguments")
        if own_rows:
            (X, Y, sample_weight), owners, cuts = _joined(comm, (X, Y, sample_weight), validation)
        together.fit(network, X, Y, sample_weight, validation, optimizer, resume, rank=comm.Get_rank(),
                     size=comm.Get_size(), talk=lambda mine: _talk(MPI, comm, mine), epochs=epochs,
                     callbacks=callbacks, bar=progress, threads=threads, regularization=regularization,
                     metrics=metrics, memory=memory, check_finite=check_finite, missing=missing,
                     batch_size=batch_size, owners=owners, cuts=cuts)
    finally:
        comm.Free()
    return network


def _joined(comm: Any, own: tuple[Any, ...],
            validation: Any) -> tuple[tuple[Any, ...], tuple[int, ...], tuple[int, ...]]:
    """Return X, Y and weights of all processes, of which this one can read its own rows; owners and cuts of shards.

    A process has a shard, and the last one those that make them a power of 2, which are empty. Raises ValueError and
    TypeError where rows do not belong together, and RuntimeError in those processes whose own are right.
    """
    mine: list[Rows] = []
    error: Exception | None = None
    try:
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
            raise ValueError(f"validation is {validation!r}, but each process has rows of its own: expected a pair "
                             "(X, Y), the same in all")
        found = source(*own)
        if not isinstance(found, Blocks):
            raise TypeError("X is a Stream, which is read from its first row on: it cannot be shared by processes")
        mine = list(found.parts)
    except (ValueError, TypeError) as raised:
        error = raised
    known = comm.allgather([(rows.shape, rows.dtype.str) for rows in mine])
    if error is not None:
        raise error
    failed = [rank for rank, each in enumerate(known) if not each]
    if failed:
        raise EndedWithOthers(f"process {failed[0]} of {len(known)} has failed, and says why")
    if len({len(each) for each in known}) > 1:
        raise ValueError(f"sample_weight is given in processes {[r for r, each in enumerate(known) if len(each) == 3]} "
                         f"of {len(known)}, expected it in all or in none: give numpy.ones(len(X)) in the others")
    for name, *of_each in zip(("X", "Y", "sample_weight"), *known, strict=False):
        for rank, (shape, _) in enumerate(of_each):
            if shape[1:] != of_each[0][0][1:]:
                raise ValueError(f"{name} has shape {shape} in process {rank} and {of_each[0][0]} in process 0, "
                                 "expected rows of as many columns in all: give each process some rows of the same "
                                 "table, if it has none numpy.empty((0, columns))")
    everything = [Joined([mine[k] if rank == comm.Get_rank() else Elsewhere(each[k][0], each[k][1], mine[k].name)
                          for rank, each in enumerate(known)], mine[k].name) for k in range(len(mine))]
    size, count = len(known), 1 << (len(known) - 1).bit_length()
    cuts = np.cumsum([0, *(each[0][0][0] for each in known)]).tolist()
    empty = count - size
    return ((*everything, *[None] * (3 - len(everything))), (*range(size), *[size - 1] * empty),
            (*cuts, *cuts[-1:] * empty))


def _talk(MPI: Any, comm: Any, mine: Doubles) -> list[Doubles]:
    """Send numbers to all processes, and return those of each, in the order of ranks."""
    sizes = np.empty(comm.Get_size(), np.int64)
    comm.Allgather(np.array([mine.size]), sizes)
    everything, starts = np.empty(int(sizes.sum())), np.cumsum(sizes) - sizes
    comm.Allgatherv(mine, [everything, sizes, starts, MPI.DOUBLE])
    return np.split(everything, starts[1:])

"""Partitions of a user's collections: X, y and weights side by side, on the worker where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.base import ArrayRows, Elsewhere, Joined, Rows
from ..network import Network
from ..util.optional import require

Array = npt.NDArray[Any]
Part = tuple[Array, ...]
"""X and Y of a partition, and perhaps weights."""

LOST, AS_BEFORE = "the connection to Dask's scheduler is lost", "the network is as before"


@dataclass(frozen=True)
class Description:
    """What all workers know of a partition: rows, and shapes and dtypes of its arrays."""

    rows: int
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]


def client_of(client: Any) -> Any:
    """Return a client, the present one by default."""
    distributed = require("distributed", "dask")
    if client is None:
        try:
            return distributed.get_client()
        except ValueError as error:
            raise ValueError("there is no Dask client: make one, client = distributed.Client(...), or give "
                             "client=") from error
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client is of type {type(client).__name__}, expected a distributed.Client")
    if client.asynchronous:
        raise ValueError("client is asynchronous, expected one that waits: Client(..., asynchronous=False)")
    return client


def check_functions(client: Any, networks: Iterable[Network]) -> None:
    """Raise ValueError if a worker lacks a function of the user's own that a network has: it would know it by name."""
    found = {id(network._architecture): network._architecture for network in networks}
    own = [each for each in found.values() if each.cost.values or any(row.values for row in each.activations)]
    if not own:
        return
    given = require("distributed.protocol.pickle", "dask").dumps(own)
    _known(given)  # what was given as a function is nowhere
    for worker, why in sorted(client.run(_missing, given).items()):
        if why:
            raise ValueError(f"worker {worker}: {why}")


def _known(given: bytes) -> None:
    for architecture in require("distributed.protocol.pickle", "dask").loads(given):
        architecture.resolved()


def _missing(given: bytes) -> str:
    """Return what this worker lacks, or nothing."""
    try:
        _known(given)
    except ValueError as error:
        return str(error)
    return ""


@contextmanager
def connection(client: Any, kept: str = AS_BEFORE) -> Iterator[None]:
    """Raise RuntimeError where the scheduler is lost, or tasks are cancelled, whatever Dask raises then.

    The error names a worker that has gone since, with whom data may have gone, and says what has been ``kept``.
    """
    before: set[str] = set()
    try:
        before.update(client.nthreads())
        yield
    except (OSError, CancelledError) as error:
        if client.status != "running":
            raise RuntimeError(f"{LOST}; {kept}") from error
        if isinstance(error, CancelledError):
            gone = sorted(before.difference(client.nthreads()))
            what = f"worker {gone[0]} has died or left the cluster, and what it alone had is lost" if gone \
                else f"tasks have been cancelled ({error})"
            raise RuntimeError(f"{what}; {kept}") from error
        raise


def delayed_parts(X: Any, y: Any, weights: Any, *, labels: bool = False) -> list[Any]:
    """Return a delayed `Part` for each partition; y may be texts where it is ``labels`` of classes.

    Raises
    ------
    TypeError, ValueError
        If these are no Dask arrays or frames, or have other partitions than X.
    """
    dask = require("dask", "dask")
    columns = [str(column) for column in X.columns] if hasattr(X, "columns") else None
    given = {"X": X, "y": y} | ({} if weights is None else {"sample_weight": weights})
    lists = {name: _partitions(name, value, X) for name, value in given.items()}
    for name, found in lists.items():
        if len(found) != len(lists["X"]):
            raise ValueError(f"{name} has {len(found)} partitions, but X has {len(lists['X'])}: expected as many, with "
                             "as many rows in each")
    part = dask.delayed(make_part, pure=False)
    return [part(number, columns, *each, labels=labels)
            for number, each in enumerate(zip(*lists.values(), strict=True))]


def _partitions(name: str, value: Any, X: Any) -> list[Any]:
    """Return the partitions of a Dask collection, delayed."""
    if not hasattr(value, "to_delayed") or not hasattr(value, "__dask_graph__"):
        raise TypeError(f"{name} is of type {type(value).__name__}, expected a Dask array, frame or series: "
                        "dask.array.from_array(...) makes one, and Network.fit takes arrays")
    if hasattr(value, "chunks") and value.ndim == 2 and value.numblocks[1] > 1:
        value = value.rechunk({1: -1})
    known = hasattr(value, "chunks") and hasattr(X, "chunks") and not np.isnan([*value.chunks[0], *X.chunks[0]]).any()
    if known and sum(value.chunks[0]) == sum(X.chunks[0]):
        value = value.rechunk({0: X.chunks[0]})
    # Arrays as they are: each optimized by itself, what X and y are both made of would be computed for each. Of frames
    # fewer columns are read when they are optimized.
    return list(np.ravel(np.asarray(value.to_delayed(optimize_graph=not hasattr(value, "chunks")), object)))


def make_part(number: int, columns: list[str] | None, *each: Any, labels: bool = False) -> Part:
    """Return the arrays of a partition, looked at; on the worker where it lies."""
    if columns is not None and list(map(str, each[0].columns)) != columns:
        raise ValueError(f"partition {number} of X has columns {list(each[0].columns)}, expected {columns}, in this "
                         "order, as in the others")
    arrays = []
    for name, value in zip(("X", "y", "sample_weight"), each, strict=False):
        array = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
        if array.dtype.kind not in "fiub" and not (labels and name == "y"):
            raise TypeError(f"partition {number} of {name} has dtype {array.dtype}, expected numbers (float, integer "
                            "or bool)")
        if len(array) != len(each[0]):
            raise ValueError(f"partition {number} of {name} has {len(array)} rows, but that of X has {len(each[0])}: "
                             "expected as many")
        arrays.append(array)
    return tuple(arrays)


def describe(part: Part) -> Description:
    """Return what other workers know of a partition."""
    return Description(len(part[0]), tuple(array.shape for array in part), tuple(array.dtype.str for array in part))


def joined(own: dict[int, Part], descriptions: list[Description]) -> list[Rows]:
    """Return X, Y and perhaps weights of all partitions, of which this worker can read its own."""
    return [Joined([ArrayRows(own[number][k], name) if number in own
                    else Elsewhere(each.shapes[k], each.dtypes[k], name)
                    for number, each in enumerate(descriptions)], name)
            for k, name in enumerate(("X", "y", "sample_weight")[: len(descriptions[0].shapes)])]


def take_over(network: Network, learned: Network) -> None:
    """Write to a network what its copy has learned on a worker."""
    with network._fitting():
        network._parameters[:], network._flat = learned._parameters, learned._flat
        network.history, network._progress, network.generator = learned.history, learned._progress, learned.generator

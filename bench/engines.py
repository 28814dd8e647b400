"""One fit that processes share, and many fits on a Dask cluster, beside one process.

``python -m bench.engines dask --rows 2000000`` times steps of L-BFGS on 50-64-64-1 with one worker and with two, of one
thread each, in turns; ``mpiexec -n P python -m bench.engines mpi`` does the same for P processes, and says how long
the first one waits for the others' sums; with ``--batch 65536`` it times epochs of Adam with batches of so many;
``python -m bench.engines many --fits 2000`` times as many fits of 8-16-1 in one process on one thread, and through Dask
with two workers. All sides are called once before, so that nothing is compiled while the clock runs.
"""

from __future__ import annotations

import argparse
import operator
import time
from typing import Any

import numpy as np

from fastbp import Network, fit_many

LAYERS, SMALL = (50, 64, 64, 1), (8, 16, 1)


def cluster(workers: int) -> Any:
    """Return a cluster of processes with a thread each."""
    from distributed import LocalCluster

    return LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")


def samples(rows: int, columns: int, seed: int = 0) -> Any:
    """Return X and Y."""
    X = np.random.default_rng(seed).standard_normal((rows, columns), np.float32)
    return X, np.sin(X[:, :1]) * X[:, 1:2]


def step_seconds(network: Network) -> float:
    """Return the median time of the steps of the last fit but its first."""
    return float(np.median(np.diff(network.history.seconds)))


def shared_by_dask(rows: int, steps: int, rounds: int) -> None:
    """Print the time of a step with one worker and with two of the same cluster."""
    import dask.array as da
    from distributed import Client, wait

    import fastbp.dask

    best = {1: np.inf, 2: np.inf}
    with cluster(2) as found, Client(found) as client:
        workers, data = sorted(client.nthreads()), {}
        for count in best:
            halves = []
            for half in range(2):
                places = {"workers": [workers[half % count]], "pure": False}
                pairs = [client.submit(samples, rows // 16, LAYERS[0], 8 * half + i, **places) for i in range(8)]
                wait(pairs)
                halves += [[client.submit(operator.itemgetter(k), pair, **places) for pair in pairs] for k in range(2)]
            wait(halves)
            data[count] = [da.concatenate([da.from_delayed(each, (rows // 16, columns), np.float32)
                                           for each in halves[k] + halves[2 + k]])
                           for k, columns in ((0, LAYERS[0]), (1, 1))]
        for epochs in [2] + [steps] * rounds:
            for count in best:
                net = fastbp.dask.fit(Network(LAYERS, seed=0), *data[count], epochs=epochs, client=client)
                if epochs > 2:
                    best[count] = min(best[count], step_seconds(net))
    print(f"a step, {rows} rows: {best[1]:.3f} s with one worker, {best[2]:.3f} s with two: "
          f"{best[1] / best[2]:.2f} times")


def shared_by_mpi(rows: int, steps: int, rounds: int, batch: int | None) -> None:
    """Print the time of a step, or of an epoch of batches, of one process and of all together, and what is in reach.

    The bound is what processes reach that have their part of the rows and never speak: it shows what cores, memory and
    caches give when all of them work. An exchange takes what the last one that comes to it waits; all else is waiting
    for each other.
    """
    from mpi4py import MPI

    import fastbp.mpi

    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    X, Y = samples(rows, LAYERS[0])
    own = slice(rows * rank // size, rows * (rank + 1) // size)
    waits: list[float] = []
    talk = fastbp.mpi._talk

    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        found = talk(*arguments)
        waits.append(time.perf_counter() - begin)
        return found

    def fit(comm: Any, some: slice, epochs: int) -> float:
        waits.clear()
        given: dict[str, Any] = {}
        if batch is not None:
            given = {"optimizer": "adam", "batch_size": batch * len(X[some]) // rows}
        net = fastbp.mpi.fit(Network(LAYERS, seed=0), X[some], Y[some], epochs=epochs, comm=comm, threads=1, **given)
        return step_seconds(net) if epochs > 2 else 0.0

    def together() -> None:
        request = world.Ibarrier()
        while not request.Test():  # MPI's own wait would take a core
            time.sleep(0.01)

    fastbp.mpi._talk = timed
    best = {"one process": np.inf, "shared": np.inf, "apart": np.inf}
    exchange = waiting = np.inf
    for epochs in [2] + [steps] * rounds:
        for name in best:
            together()
            if name == "one process":
                seconds = fit(MPI.COMM_SELF, slice(None), epochs) if rank == 0 else 0.0
            else:
                seconds = fit(world if name == "shared" else MPI.COMM_SELF, slice(None) if name == "shared" else own,
                              epochs)
            together()
            seconds = world.allreduce(seconds, MPI.MAX)
            if epochs > 2 and seconds < best[name]:
                best[name] = seconds
                if name == "shared":
                    all_waits = np.array(world.allgather(waits))
                    a_step = all_waits.shape[1] / steps
                    exchange = np.median(all_waits.min(axis=0)) * a_step
                    waiting = np.median(all_waits.max(axis=0)) * a_step
    if rank == 0:
        one, shared, apart = best.values()
        what = "a step" if batch is None else f"an epoch of batches of {batch}"
        print(f"{rows} rows, {what}: {one:.3f} s in one process, {shared:.3f} s in {size}: {one / shared:.2f} times; "
              f"{apart:.3f} s in {size} that never speak: {one / apart:.2f} times; exchanges take "
              f"{100 * exchange / shared:.1f} %, waiting for each other {100 * waiting / shared:.1f} %")


def own_fits(fits: int, epochs: int) -> float:
    """Return how long networks take that a worker makes and keeps."""
    X, Y = samples(1000, SMALL[0])
    networks = [Network(SMALL, seed=i) for i in range(fits)]
    begin = time.perf_counter()
    fit_many(networks, X, Y, epochs=epochs, threads=1)
    return time.perf_counter() - begin


def processor_seconds(client: Any) -> float:
    """Return the processor time that this process and all workers have had."""
    return time.process_time() + sum(client.run(time.process_time).values())


def many_by_dask(fits: int, epochs: int, rounds: int) -> None:
    """Print the time of many fits in one process, through Dask with two workers, and of half of them on each worker.

    And the processor time of the first two, of all processes together: what Dask takes, also on a busy machine.
    """
    from distributed import Client

    import fastbp.dask

    X, Y = samples(1000, SMALL[0])
    best = {"one process": np.inf, "Dask": np.inf, "apart": np.inf}
    processor = dict.fromkeys(best, np.inf)

    def networks(count: int) -> list[Network]:
        return [Network(SMALL, seed=i) for i in range(count)]

    with cluster(2) as found, Client(found) as client:
        for count in [min(fits, 128), *[fits] * rounds]:
            for name in best:
                nets = networks(count)
                used, begin = -processor_seconds(client), time.perf_counter()
                if name == "apart":
                    times = [client.submit(own_fits, count // 2, epochs, workers=[worker], pure=False)
                             for worker in sorted(client.nthreads())]
                    seconds = max(client.gather(times))
                else:
                    if name == "Dask":
                        fastbp.dask.fit_many(nets, X, Y, epochs=epochs, client=client)
                    else:
                        fit_many(nets, X, Y, epochs=epochs, threads=1)
                    seconds = time.perf_counter() - begin
                used += processor_seconds(client)
                if count == fits:
                    best[name], processor[name] = min(best[name], seconds), min(processor[name], used)
    one, two, apart = best.values()
    print(f"{fits} fits: {one:.2f} s in one process, {two:.2f} s through Dask with two workers: {one / two:.2f} times; "
          f"{apart:.2f} s where each worker makes half of them and keeps them: {one / apart:.2f} times; processor "
          f"time {processor['one process']:.2f} s in one process, {processor['Dask']:.2f} s through Dask")


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["dask", "mpi", "many"])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--fits", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if given.what == "dask":
        shared_by_dask(given.rows, given.steps, given.rounds)
    elif given.what == "mpi":
        shared_by_mpi(given.rows, given.steps, given.rounds, given.batch)
    else:
        many_by_dask(given.fits, given.epochs, given.rounds)


if __name__ == "__main__":
    main()

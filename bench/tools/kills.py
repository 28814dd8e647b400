"""Workers and schedulers of a Dask cluster killed at random moments of a fit, or of many: how these end.

``python -m bench.tools.kills worker --times 20`` kills one of two workers, while a fit is set up or runs;
``python -m bench.tools.kills scheduler`` kills the scheduler of a cluster that is started anew each time. Each line
says when it was killed, how many seconds later the fit had ended, and how: in an error, or as if nothing had been. Exit
status 1 if an error takes longer than --limit or is anything but a RuntimeError, or leaves the network as it is neither
before the fit nor after the epoch that the message names.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

import fastbp
import fastbp.dask

KINDS = [{"optimizer": "rprop"}, {"average_every": 5}, {}]
"""Settings of a fit; without any, many small fits."""


def rows(seed: int) -> Any:
    """Return X of a partition."""
    return np.random.default_rng(seed).normal(size=(5000, 3)).astype("float32")


def collections(client: Any) -> Any:
    """Return X and y, of which each worker has a half: so that one that is killed has taken part."""
    parts = [client.submit(rows, i, workers=[worker], allow_other_workers=True, pure=False)
             for worker in sorted(client.nthreads()) for i in range(2)]
    wait(parts)
    X = da.concatenate([da.from_delayed(part, (5000, 3), np.float32) for part in parts])
    return X, da.sin(X[:, :1])


def trial(client: Any, kill: Callable[[], None], delay: float, settings: dict[str, Any], limit: float) -> bool:
    """Kill during a fit, print how it ends, and return whether that is well."""
    networks, killed = [fastbp.Network((3, 6, 1), seed=i) for i in range(1 if settings else 400)], [0.0]
    x, y = collections(client)

    def act() -> None:
        killed[0] = time.monotonic()
        kill()

    timer = threading.Timer(delay, act)
    timer.start()
    try:
        if settings:
            fastbp.dask.fit(networks[0], x, y, epochs=10**9 if delay > 0.3 else 50, **settings)
        else:
            X = rows(0)[:500]
            fastbp.dask.fit_many(networks, X, np.sin(X[:, :1]), epochs=20, client=client)
        said, well = "went on to its end", True
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
        well = isinstance(error, RuntimeError)
    seconds = time.monotonic() - killed[0] if killed[0] else 0.0
    timer.join()
    if settings and not said.startswith("went on"):
        expected = fastbp.Network((3, 6, 1), seed=0)
        if found := re.search("as after epoch ([0-9]+)", said):
            fastbp.dask.fit(expected, x, y, epochs=int(found[1]), **settings)
        well = well and np.array_equal(networks[0].parameters, expected.parameters)
    well = well and (seconds < limit or said.startswith("went on"))
    print(f"killed at {delay:.2f} s, {seconds:4.1f} s later, {'well' if well else 'NOT WELL'}: {said}", flush=True)
    return well


def workers(times: int, limit: float) -> list[bool]:
    """Kill one of two workers each time."""
    found = []
    # A LocalCluster closes for good what it does not see 15 s after a loss, as where it has just died again.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}), \
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster, \
            Client(cluster) as client:
        fastbp.dask.fit(fastbp.Network((3, 6, 1), seed=0), *collections(client), epochs=2)
        for i in range(times):
            client.wait_for_workers(2)
            who = random.choice(sorted(client.nthreads()))
            pid = client.run(os.getpid, workers=[who])[who]
            delay = random.uniform(0, 0.3) if i % 2 else random.uniform(0.3, 1.5)
            found.append(trial(client, lambda pid=pid: os.kill(pid, signal.SIGKILL), delay, KINDS[i // 2 % 3], limit))
            while who in client.nthreads():  # as long as the scheduler has not seen that it is gone
                time.sleep(0.1)
        client.wait_for_workers(2)
        fastbp.dask.fit(fastbp.Network((3, 6, 1), seed=0), *collections(client), epochs=2)
        print("and then a fit of two workers", flush=True)
    return found


def schedulers(times: int, limit: float) -> list[bool]:
    """Kill the scheduler each time; its workers end by themselves."""
    found, dask_command = [], [sys.executable, "-m", "dask"]
    for i in range(times):
        port = random.randrange(20000, 30000)
        address, quiet = f"tcp://127.0.0.1:{port}", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        scheduler = subprocess.Popen([*dask_command, "scheduler", "--host", "127.0.0.1", "--port", str(port),
                                      "--no-dashboard"], **quiet)
        workers = [subprocess.Popen([*dask_command, "worker", address, "--nthreads", "1", "--no-dashboard",
                                     "--death-timeout", "5"], **quiet) for _ in range(2)]
        try:
            client = Client(address, timeout=30)
            client.wait_for_workers(2, timeout=30)
            fastbp.dask.fit(fastbp.Network((3, 6, 1), seed=0), *collections(client), epochs=2)
            delay = random.uniform(0, 0.3) if i % 2 else random.uniform(0.3, 1.5)
            found.append(trial(client, scheduler.kill, delay, KINDS[i // 2 % 3], limit))
            begin = time.monotonic()
            for worker in workers:
                worker.wait(30)
            print(f"  its workers had ended {time.monotonic() - begin:.1f} s later", flush=True)
            client.close(timeout=1)
        finally:
            for process in (scheduler, *workers):
                process.kill()
                process.wait()
    return found


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["worker", "scheduler"])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=10.0)
    given = parser.parse_args()
    random.seed(given.seed)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL + 1)  # which says at length what fit says
    found = (workers if given.what == "worker" else schedulers)(given.times, given.limit)
    print(f"{sum(found)} of {len(found)} ended well")
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())

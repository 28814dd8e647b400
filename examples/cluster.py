"""On a Dask cluster
=================

Many fits, and one fit of rows that lie on several workers, on a Dask cluster of two local processes.

.. image:: /_static/drawings/shards.svg
   :alt: Each worker sums its own rows; the sums are added in pairs.

The build of this site does not run it: ``pip install 'fastbp[dask]'``.
"""

# sphinx_gallery_thumbnail_path = "_static/drawings/shards.svg"

import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import fastbp
import fastbp.dask

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (100_000, 5)).astype("float32")
    Y = np.sin(3 * X[:, :1]) * X[:, 1:2] + X[:, 2:3] ** 2

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        # Ten partitions, which stay on the workers; each evaluation of cost and gradient is shared.
        x, y = da.from_array(X, chunks=(10_000, 5)), da.from_array(Y, chunks=(10_000, 1))
        net = fastbp.Network((5, 16, 16, 1), seed=0)
        begin = time.perf_counter()
        fastbp.dask.fit(net, x, y, epochs=30, client=client)
        print(f"one fit: cost {net.history.cost[-1]:.6f} after {len(net.history)} steps in "
              f"{time.perf_counter() - begin:.2f} s")
        error = abs(fastbp.dask.predict(net, x) - y).mean().compute()
        print(f"mean error of predictions: {error:.4f}")

        # Fits on bootstrap samples, some in each task.
        networks = [fastbp.Network((5, 8, 1), seed=i) for i in range(64)]
        rows = [rng.integers(0, 2000, 2000) for _ in networks]
        begin = time.perf_counter()
        fastbp.dask.fit_many(networks, X[:2000], Y[:2000], rows=rows, epochs=20, client=client)
        costs = [network.history.cost[-1] for network in networks]
        print(f"{len(networks)} fits: cost {min(costs):.4f} to {max(costs):.4f} in {time.perf_counter() - begin:.2f} s")

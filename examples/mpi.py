"""One fit shared by processes
===========================

Under MPI: ``mpiexec -n 2 python examples/mpi.py``.

.. image:: /_static/drawings/shards.svg
   :alt: Each process sums its own rows; the sums are added in pairs.

The build of this site does not run it: ``pip install 'fastbp[mpi]' mpich``.
"""

# sphinx_gallery_thumbnail_path = "_static/drawings/shards.svg"

import tempfile
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

import fastbp
import fastbp.mpi

ROWS = 200_000

comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()

# One file that all processes can read, as on a shared disk: each of them reads the rows of its shards alone.
folder = Path(comm.bcast(tempfile.mkdtemp() if rank == 0 else None))
if rank == 0:
    X = np.random.default_rng(0).uniform(-1, 1, (ROWS, 5)).astype("float32")
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", np.sin(3 * X[:, :1]) * X[:, 1:2] + X[:, 2:3] ** 2)
comm.Barrier()

net = fastbp.Network((5, 16, 16, 1), seed=0)
begin = time.perf_counter()
fastbp.mpi.fit(net, fastbp.data.npy(folder / "x.npy"), fastbp.data.npy(folder / "y.npy"), epochs=30)
seconds = time.perf_counter() - begin

if rank == 0:
    print(f"{size} processes: cost {net.history.cost[-1]:.6f} after {len(net.history)} steps of L-BFGS in "
          f"{seconds:.2f} s")
parameters = comm.gather(net.parameters.tobytes())
if rank == 0:
    print(f"processes with the same parameters: {parameters.count(parameters[0])} of {size}")
    for name in ("x.npy", "y.npy"):
        (folder / name).unlink()
    folder.rmdir()

"""A fit that processes under MPI share: `make engines`; by hand: pip install -e '.[mpi]' mpich."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import compiled_only

import fastbp

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

pytestmark = [compiled_only, pytest.mark.skipif(find_spec("mpi4py") is None or MPIEXEC is None,
                                                reason="needs mpi4py and mpiexec: pip install fastbp[mpi] mpich")]

SCRIPT = """
import json, sys, zlib
from pathlib import Path
import numpy as np
from mpi4py import MPI
import fastbp, fastbp.mpi

rank, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
X = np.random.default_rng(0).normal(size=(1001, 3)).astype("float32")
Y = np.sin(X[:, :1] * X[:, 1:2])
whole, Y_whole, said_here = X, Y, []

def fit(X=X, seed=2, Y=Y, **settings):
    net = fastbp.Network((3, 6, 1), seed=seed)
    try:
        fastbp.mpi.fit(net, X, Y, **({"epochs": 3, "metrics": ["training_r2"]} | settings))
        r2 = net.history.metrics.get("training_r2", np.empty(0))
        assert not r2.size or abs(r2[-1] - net.score(whole, Y_whole)) < 1e-12
        said = f"{zlib.crc32(net.parameters.tobytes())} {zlib.crc32(net.history.cost.tobytes() + r2.tobytes())}"
    except Exception as error:
        said = str(error)
    MPI.COMM_WORLD.Barrier()  # all have ended
    said_here.append(said)
    Path(f"{size}-{rank}.json").write_text(json.dumps(said_here))

def bad(record):
    raise ZeroDivisionError("mine")

own = slice(*{1: (0, 1001), 2: (700 * rank, 700 + 301 * rank), 3: ([0, 700, 700, 1001][rank : rank + 2])}[size])
fit(X=X[own], Y=Y[own], own_rows=True, sample_weight=np.ones(1001)[own], validation=(X[:9], Y[:9]))  # one has none
for settings in ({"validation": 0.1}, {"X": X[: 5 + rank]}, {"own_rows": rank == 0}, {"X": X[:, : 3 - rank % 2]},
                 {"sample_weight": None if rank else np.ones(1001)}, {"X": X * np.where(rank == size - 1, np.nan, 1)}):
    fit(**({"own_rows": True} | settings))
for method in ("lbfgs", "levenbergmarquardt", "rprop"):
    fit(optimizer=method)
fit(Y=np.where(np.arange(1001)[:, None] % 3 == 0, np.nan, Y), missing="ignore", metrics=None)
fit(optimizer="adam", batch_size=100)
if size > 1:
    fit(callbacks=[bad])
    fit(seed=rank)
    fit(X=X[: 1001 - rank])
    sys.exit(fastbp.mpi.fit(fastbp.Network((3, 6, 1), seed=0), X if rank else X * np.nan, Y))
"""


def run(count, arguments, folder):
    environment = os.environ | {"PYTHONPATH": str(Path(fastbp.__file__).parents[1])}
    return subprocess.run([MPIEXEC, "-n", str(count), sys.executable, "-W", "error", *arguments], cwd=folder,
                          capture_output=True, text=True, env=environment, timeout=600)


def test_one_two_and_three_processes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    expected = []
    for count in (1, 2, 3):
        done = run(count, ["-m", "mpi4py", "script.py"], tmp_path)
        by_rank = [json.loads((tmp_path / f"{count}-{rank}.json").read_text()) for rank in range(count)]
        look_at_own_rows([own[:7] for own in by_rank], count)
        by_rank = [own[7:] for own in by_rank]
        expected = expected or by_rank[0][:5]
        assert all(re.fullmatch(r"\d+ \d+", one) for one in expected), done.stderr
        assert all(own[:5] == expected for own in by_rank)
        if count == 1:
            assert done.returncode == 0, done.stderr
            continue
        last = count - 1
        assert by_rank[0][5] == "mine" and "process 0 of" in by_rank[last][5]
        assert all("process 1 of" in own[6] and "other parameters" in own[6] for own in by_rank)
        assert "Y has shape" in by_rank[1][7] and "process 1 of" in by_rank[0][7]
        assert done.returncode != 0 and "X holds nan in row 0" in done.stderr  # and nobody is left waiting


def look_at_own_rows(by_rank, count):
    """Rows of a process's own: the same network in all; what is wrong in one is said by it, and all end."""
    first, last = by_rank[0], by_rank[-1]
    assert all(own[0] == first[0] for own in by_rank) and re.fullmatch(r"\d+ \d+", first[0])
    assert all("validation is 0.1" in own[1] for own in by_rank) and "Y has shape" in first[2]
    if count > 1:
        assert all("not in all processes" in own[3] for own in by_rank)
        assert all("X has shape (1001, 2) in process 1 and (1001, 3) in process 0" in own[4] for own in by_rank)
        assert all("sample_weight is given in processes [0]" in own[5] for own in by_rank)
        assert "process " in first[6]
    assert f"X holds nan in row {1001 * (count - 1)}" in last[6]


def test_the_example_runs(tmp_path):
    done = run(2, [Path(__file__).resolve().parents[1] / "examples/mpi.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "processes with the same parameters: 2 of 2" in done.stdout
    assert float(re.search(r"cost (\S+)", done.stdout)[1]) < 0.03

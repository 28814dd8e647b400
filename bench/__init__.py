"""Benchmarks of fastbp: the asv suite (bench_*.py) and scripts to be run as ``python -m bench.peers`` and so on.

Importing the package fixes the environment, so it comes before NumPy and Numba: one thread for NumPy's products, since
the ratios to plain NumPy compare core with core, and machine code of each commit in a folder of its own. Numba stamps a
cache entry with the function's own file only, so a shared folder would run one commit's helpers in another commit.
"""

import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

if _commit := os.environ.get("ASV_COMMIT"):
    _folder = Path(os.environ.get("ASV_CONF_DIR", ".")) / ".asv" / "numba" / _commit
    _folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(_folder)

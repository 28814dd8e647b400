"""Benchmarks of fastbp: the asv suite (bench_*.py) and scripts to be run as ``python -m bench.peers`` and so on.

Importing the package under asv gives the machine code of each commit a folder of its own, before Numba is imported.
Numba stamps a cache entry with the function's own file only, so in a shared folder one commit would run another's
helpers.
"""

import os
from pathlib import Path

if _commit := os.environ.get("ASV_COMMIT"):
    _folder = Path(os.environ.get("ASV_CONF_DIR", ".")).resolve() / ".asv" / "numba" / _commit
    _folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(_folder)

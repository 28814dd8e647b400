"""The asv suite, and what it measures with; asv imports every module of this folder, for every commit that it measures.

So a module imports nothing at its top that an old commit may lack (`common.needs`) or that the matrix of asv.conf.json
does not install.

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

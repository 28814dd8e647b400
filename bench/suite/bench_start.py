"""Import and first fit, each in a fresh process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

FIRST_FIT = """
import numpy as np
import fastbp
X = np.linspace(-1, 1, 128, dtype=np.float32).reshape(64, 2)
fastbp.Network((2, 8, 1), seed=1).fit(X, X[:, :1], epochs=1)
"""

EMPTY_CACHE = """
import atexit, os, shutil, tempfile
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()
atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"])
"""

# asv takes its own path away from processes that it starts; they must find the fastbp that is measured here
PATH = {"PYTHONPATH": str(Path(importlib.util.find_spec("fastbp").origin).parents[1])}


class Start:
    """What a user waits for before the first step."""

    version = "1"
    env = PATH
    number = 1
    rounds = 1
    repeat = (3, 10, 10.0)
    warmup_time = 0
    timeout = 300

    def timeraw_import(self) -> str:
        """Import the package."""
        return "import fastbp"

    def timeraw_import_numba(self) -> str:
        """Import Numba alone: the part of the import that is not fastbp's."""
        return "import numba"

    def timeraw_first_fit_cold(self) -> tuple[str, str]:
        """Import, compile everything and fit: the first use on a machine."""
        return FIRST_FIT, EMPTY_CACHE


class Cached:
    """The same with machine code on disk."""

    version = "1"
    env = PATH
    number = 1
    rounds = 1
    repeat = (6, 20, 10.0)
    warmup_time = 0
    timeout = 300

    def setup_cache(self) -> None:
        """Fill the cache, once a commit."""
        subprocess.run([sys.executable, "-c", FIRST_FIT], check=True, env={**os.environ, **PATH})

    def timeraw_first_fit_cached(self) -> str:
        """Import, load and fit: every later first use."""
        return FIRST_FIT

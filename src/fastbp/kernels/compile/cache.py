"""Machine code on disk: where it lies, and how the code of one function is kept there, whole or not at all.

Numba's own caches are told their folder by a setting of the process, ask nothing of an entry before they run it, and
raise what a disk raises. Here a function's `Entries` know their folder; an entry begins with a checksum, which is
compared before anything of it is unpickled or run; what cannot be read is compiled, and takes its place; what cannot be
written costs one warning.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import shutil
import stat
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import config

from .guard import Guard
from .numba_internals import NullCache, code_key, dump_code, has_addresses, load_code

DAY = 86400.0
"""Seconds after which a folder in use is marked anew, and looked through for what was left behind."""

MONTH = 30 * DAY
"""Seconds without a mark after which a folder of another version is removed."""

FOLDER_NAME = re.compile("[0-9a-f]{16}")
FILE_NAME = re.compile(r".+\.nb[ci](\.tmp\.[0-9a-f]+)?|\.probe-\d+")
"""What fastbp and Numba, which wrote these files before, have called theirs."""


def sources() -> list[Path]:
    """Return every file that cached machine code is made of: the kernels, and the functions of `fastbp.jit`."""
    kernels = Path(__file__).resolve().parents[1]
    return [*sorted(kernels.rglob("*.py")), *sorted((kernels.parent / "jit").rglob("*.py"))]


def source_hash() -> str:
    """Return a name for the code: a hash over `sources`, the compiler, its settings and the processor."""
    root = Path(__file__).resolve().parents[2]
    options = config.CPU_NAME, config.CPU_FEATURES, config.BOUNDSCHECK, config.OPT  # two not in an entry's key
    digest = hashlib.sha256(f"{numba.__version__} {sys.version} {options}".encode())
    for path in sources():
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    """Return the folder for machine code, and make it where it is missing.

    A folder named by all sources cannot hold stale code, also after an edit of a helper in another file. Entries are
    unpickled: a folder that others may write is refused.

    Raises
    ------
    OSError
        If it cannot be made, or is not safe.
    RuntimeError
        If the user has no home directory.
    """
    if config.CACHE_DIR:
        base = Path(config.CACHE_DIR)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base.absolute() / "fastbp" / source_hash()  # whatever the current directory will be
    for part in (folder.parent, folder):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = part.stat()
        if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH):
            raise PermissionError(f"{part} is another user's, or others may write there, and what is read from it is "
                                  "run")
    return folder


def tidy(folder: Path) -> None:
    """Mark a folder as used; where it is new or a day has passed, remove what nobody has used for long.

    That is folders of other versions without a mark for a month, and files whose writing a kill has ended. Nothing is
    removed that is not named as fastbp names its own, no link is followed, and what cannot be done is left.
    """
    now = time.time()
    with contextlib.suppress(OSError):
        files = list(os.scandir(folder))
        if files and now - folder.stat().st_mtime < DAY:
            return
        os.utime(folder)
        for file in files:
            if ".tmp." in file.name and now - file.stat(follow_symlinks=False).st_mtime > DAY:
                os.unlink(file)
        for other in list(os.scandir(folder.parent)):
            if (FOLDER_NAME.fullmatch(other.name) and other.name != folder.name and _all_ours(other)
                    and now - other.stat(follow_symlinks=False).st_mtime > MONTH):
                shutil.rmtree(other, ignore_errors=True)


def _all_ours(entry: os.DirEntry[str]) -> bool:
    """Return whether this is a folder, not a link to one, in which all files have names that fastbp or Numba gives."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return all(_all_ours(part) if part.is_dir(follow_symlinks=False) else bool(FILE_NAME.fullmatch(part.name))
               for part in list(os.scandir(entry)))


def usable() -> tuple[Path | None, str]:
    """Return the folder, or None and the reason why there is none."""
    try:
        folder = cache_directory()
    except (OSError, RuntimeError) as error:
        return None, str(error)
    tidy(folder)
    return folder, ""


CACHE, REFUSED = (None, "NUMBA_DISABLE_JIT is set") if config.DISABLE_JIT else usable()
"""The folder of this process, or None, and why."""

GUARD = Guard(str(CACHE.parent if CACHE else ""))
"""The locks of its entries."""


class Entries(NullCache):  # type: ignore[misc]
    """The machine code of one function, a file for each signature.

    Parameters
    ----------
    function
        A function of this package: its sources are in the folder's name.
    bare
        Whether it is compiled without a wrapper for Python, of which a signature says nothing.
    counts
        Whether it counts references to arrays.
    """

    told = False
    """Whether this process has been told that code is not kept: then nobody waits for it either."""

    def __init__(self, function: Callable[..., Any], bare: bool, counts: bool = True) -> None:
        self.counts = counts
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self.key = function.__module__, function.__qualname__, function.__code__.co_firstlineno, bare

    @property
    def cache_path(self) -> str | None:
        """The folder."""
        return str(CACHE) if CACHE else None

    def _entry(self, signature: Any, codegen: Any) -> tuple[str, Any]:
        """Return a signature's file, and what the file must say that it is."""
        key = *self.key, signature, code_key(codegen)
        name = f"{self.name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        return os.path.join(CACHE or "", name), key

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled for a signature, or None where there is no entry that is whole."""
        if CACHE is None:
            return None
        path, key = self._entry(sig, target_context.codegen())
        found = self._read(path, key, target_context)
        if found is None and not Entries.told:  # to be compiled: by this process, or by one that has begun to
            GUARD.take(path, lambda: os.path.exists(path))
            found = self._read(path, key, target_context)
            if found is not None:
                GUARD.give_back(path)
        return found

    def _read(self, path: str, key: Any, target_context: Any) -> Any:
        """Return what a file holds, or None if it is not whole, or says that it is something else."""
        try:
            with open(path, "rb") as file:
                digest, content = file.read(32), file.read()
            if hashlib.sha256(content).digest() != digest:
                return None
            found, reduced = pickle.loads(content)
            return load_code(target_context, reduced, self.counts) if found == key else None
        except Exception:  # whatever it is that another machine or version has left there: it is compiled anew
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature; where that fails, say so once."""
        path, key = self._entry(sig, data.codegen)
        if has_addresses(data):  # addresses that are of this process only
            GUARD.give_back(path)
            return
        content, part = dump_code(key, data), f"{path}.tmp.{os.urandom(8).hex()}"
        try:
            if CACHE is None:
                raise OSError(REFUSED)
            CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(part, "xb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            os.replace(part, path)
        except OSError as error:
            if not Entries.told and not os.path.exists(path):  # another process may have been faster
                Entries.told = True
                warnings.warn(f"fastbp cannot keep its machine code on disk, so every process compiles it anew: "
                              f"{error}. NUMBA_CACHE_DIR may name a folder of your own for it", RuntimeWarning,
                              stacklevel=2)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(part)
            GUARD.give_back(path)

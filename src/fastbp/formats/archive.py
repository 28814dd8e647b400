"""A zip archive from elsewhere, open for reading: no more comes out of it than lies in the file."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class Archive:
    """Members of an archive, which are read only if they are stored as they are, as PyTorch and Keras do.

    Attributes
    ----------
    path : Path
    size : int
        Bytes of the file.
    names : dict of str to None
        Of the members, in the order of the file.
    """

    def __init__(self, path: Path, content: zipfile.ZipFile) -> None:
        self.path, self._content = path, content
        self._read: dict[str, bytes] = {}
        self.size = os.stat(path).st_size
        self.names = dict.fromkeys(content.namelist())
        if len(self.names) < len(content.namelist()):
            raise ValueError(f"{path} has two members of one name")
        if sum(member.compress_size for member in content.infolist()) > self.size:
            raise ValueError(f"{path} has members that overlap: together they are larger than the file")

    def read(self, name: str) -> bytes:
        """Return a member, which is read once; its checksum must be right."""
        if name not in self._read:
            if name not in self.names:
                raise ValueError(f"{self.path} has no member {name}")
            member = self._content.getinfo(name)
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ValueError(f"{self.path}: {name} is compressed, expected members that are stored as they are: "
                                 "save it again with the library that it comes from")
            with _blamed(self.path):
                self._read[name] = self._content.read(member)
        return self._read[name]


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive; an OSError is the system's own, all else that is wrong with it a ValueError that names it."""
    with ExitStack() as stack:
        with _blamed(path):
            archive = Archive(path, stack.enter_context(zipfile.ZipFile(path)))
        yield archive


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Raise what a damaged archive leads to as a ValueError that names it."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, ArithmeticError, AttributeError,
            NotImplementedError, RuntimeError, TypeError, UnicodeError) as error:
        raise ValueError(f"{path} is not a whole zip archive: {type(error).__name__}: {error}") from error

"""NumPy archives (.npz) that a stranger may have made, read within limits of memory."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.system import open_zip

# What NumPy's, zip's and gzip's readers raise on a broken file.
BROKEN = (
    OSError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class Archive:
    """An open archive; each array is read when it is asked for."""

    def __init__(self, arrays: Any) -> None:
        """Takes what `open_archive` has checked."""
        self._arrays = arrays

    @property
    def names(self) -> list[str]:
        """The names of its arrays."""
        return list(self._arrays.files)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Reads an array; Python objects are never read."""
        array: NDArray[Any] = self._arrays[name]
        return array


@contextmanager
def open_archive(path: Path, most_bytes: int) -> Iterator[Archive]:
    """Opens an archive, after refusing a pipe, which would block, and one that fills the memory.

    Raises:
        BROKEN: If it is no archive of arrays, or unpacks to more bytes.
    """
    _check_size(path, most_bytes)
    with np.load(path, allow_pickle=False) as arrays:
        yield Archive(arrays)


def _check_size(path: Path, most_bytes: int) -> None:
    prefix = np.lib.format.MAGIC_PREFIX
    with open_zip(path) as archive:
        if sum(file.file_size for file in archive.infolist()) > most_bytes:
            raise ValueError(f"it unpacks to more than {most_bytes:,} bytes")
        for name in archive.namelist():
            with archive.open(name) as member:
                if member.read(len(prefix)) != prefix:
                    raise ValueError(f"{name[:100]!r} in it is no NumPy array")

"""Zip files that a stranger may have made, opened within limits of memory."""

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lab.errors import InputError

MOST_LISTED = 8 * 2**20  # 50,000 files have names of 100 letters in it.
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip file whose files can all be read piece by piece.

    Raises:
        InputError: If it is not a plain file, or is made to fill the memory.
        zipfile.BadZipFile: If it is not a zip file.
        OSError: If it cannot be read.
    """
    if not path.is_file():
        raise InputError("it is not a plain file")
    with _Limited(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        # With other compressions, zipfile unpacks at once all that a few bytes hold.
        if odd := [e.filename for e in archive.infolist() if e.compress_type not in PACKED]:
            raise InputError(
                f"{odd[0][:100]!r} in it is packed in another way than deflate, "
                f"the usual method of zip programs"
            )
        yield archive


class _Limited(io.BufferedReader):
    """A file that is read in small pieces; zipfile asks for the list of all files in one."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_LISTED:
            raise InputError(f"its list of files has {size:,} bytes, more than {MOST_LISTED:,}")
        return super().read(size)

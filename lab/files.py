"""Writing a file in one step: what is there stays until the new content is whole."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a file beside another, whose place it takes once it is written.

    Raises:
        OSError: If the place cannot be written to; no part of a file is left there.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # No one can put a link there.
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()

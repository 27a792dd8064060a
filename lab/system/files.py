"""Where files are, and writing one in one step: the old one stays until the new one is whole."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lab.errors import InputError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")  # A drive's name has one letter.


def at_home(path: str | Path, wanted: str = "A path must be one of this machine,") -> Path:
    """Returns a path as a shell reads it: `~` at its beginning is the user's home.

    Args:
        path: As a user gives it.
        wanted: What it must be: the beginning of the sentence that refuses an address.

    Raises:
        InputError: If it is an address, such as `s3://bucket/runs`.
    """
    if ADDRESS.match(str(path)):
        raise InputError(f"{wanted} and not an address, such as {path}.")
    return Path(os.path.expanduser(path))


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

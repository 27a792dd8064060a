"""Where a page or file of the lab is written: it replaces only a file of its own kind."""

import os
from pathlib import Path
from typing import Any

from lab.errors import InputError, StoreError
from lab.system import at_home, replacing

MARK_WITHIN = 2000


def free_place(path: Any, mark: str, what: str = "report", example: str = "report.html") -> Path:
    """Returns the file to write to; of a link, the file that it leads to.

    Args:
        path: As the user gives it.
        mark: What the beginning of a file of this kind holds.
        what: What is written, in a word.
        example: A name for it.

    Raises:
        InputError: If it is not a path.
        StoreError: If the place holds anything but a file of this kind, or cannot be read.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"The {what} must be a file, such as {example!r}, not {path!r}.")
    place = at_home(path, f"The {what} must be a file of this machine, such as {example!r},")
    try:
        real = Path(os.path.realpath(place))
        _check(real, mark, what)
    except (OSError, ValueError) as error:
        raise _unwritable(place, what, error) from None
    return real


def write_text(place: Path, text: str, what: str = "report") -> None:
    """Writes a file in one step; one that is there is replaced.

    Raises:
        StoreError: If it cannot be written.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as file:
            file.write(text.encode())
    except (OSError, ValueError) as error:
        raise _unwritable(place, what, error) from None


def _check(place: Path, mark: str, what: str) -> None:
    if place.is_dir():
        raise StoreError(f"The {what} must be a file, and {place} is a folder. Name a file.")
    if not place.exists():
        return
    with place.open(encoding="utf-8", errors="replace") as file:
        if mark not in file.read(MARK_WITHIN):
            raise StoreError(
                f"{place} is not a {what} of the lab, so it is not overwritten. Name another file."
            )


def _unwritable(path: str | Path, what: str, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(f"The {what} cannot be written to {str(path)!r}: {reason}.")

"""Errors that tell the user, in one sentence, what is wrong and what to do.

A message names the argument, its value, and the choices or limits.
"""

import contextlib
import difflib
import textwrap
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from typing import Any, TypeGuard


class LabError(Exception):
    """Any error whose message is written for the user; the command line shows it unchanged."""


class InputError(LabError, ValueError):
    """A setting, name or file content that the lab cannot use."""


class DatasetMissingError(LabError, FileNotFoundError):
    """A data set that is not available."""


class RunError(LabError, ValueError):
    """A run that cannot be read, or an epoch, layer or array that it does not hold."""


class StoreError(LabError, RuntimeError):
    """A store that cannot be written to."""


class RunBusyError(StoreError):
    """A run that another process is writing."""


class WorkerError(LabError, RuntimeError):
    """Worker processes that cannot start, or that ended before their work was done."""


def is_whole(value: Any) -> TypeGuard[int]:
    """Tells whether a value is a whole number: Python's or NumPy's, but not True."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Checks a whole number.

    Raises:
        InputError: If it is not a whole number, or beyond its limits.
    """
    if not is_whole(value) or not least <= value <= most:
        limits = f"from {least:,} to {most:,}"
        raise InputError(f"{name} must be a whole number {limits}, not {value!r}.")


def unknown(kind: str, name: Any, choices: Iterable[str]) -> InputError:
    """Returns the error for a name that is not one of the choices, with the nearest of them."""
    choices, name = list(choices), str(name)
    near = difflib.get_close_matches(name[:100].lower(), choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = repr(name if len(name) <= 100 else f"{name[:97]}...")
    return InputError(f"Unknown {kind} {shown}.{hint} Choose from: {', '.join(choices)}.")


def reason_of(error: Exception) -> str:
    """Returns kind and first line of an error that a user's own code raised."""
    reason = textwrap.shorten(str(error).strip().split("\n")[0], 200)
    return f"{type(error).__name__}: {reason}"


@contextlib.contextmanager
def refusing(words: str, reason: Callable[[Exception], str] = reason_of) -> Iterator[None]:
    """Turns whatever a user's own code raises into a refusal; the lab's own refusals pass.

    Args:
        words: The sentence, up to the reason.
        reason: Says why, given the error.

    Raises:
        InputError: If anything is raised.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{words}{reason(error)}") from error

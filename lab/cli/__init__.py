"""The command line, `lab …`: a module for each kind of commands; `lab --help` lists them.

A command reads its options, calls a function of another wing, and prints the result.
"""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TextIO

import typer

# isort: off
from lab.cli import training, records, checks, outside, classroom  # In the order of `lab --help`.

# isort: on
from lab.cli.shared import INTERRUPTED, app, err, plain
from lab.errors import LabError
from lab.system import ignore_more, own_process

__all__ = ["app", "checks", "classroom", "main", "outside", "records", "training"]


def main() -> None:
    """Runs the command line; every error a user can cause is one sentence and exit code 2."""
    own_process()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Not every output can take an α.
    try:
        with _plain_warnings():
            code = app(standalone_mode=False)
        sys.stdout.flush()
    except LabError as error:
        _complain(f"Error: {error}")
        code = 2
    except OSError as error:
        _let_go(sys.stdout)
        code = 1 if isinstance(error, BrokenPipeError) else 2
        if code == 2:
            where = error.filename or "The output"
            _complain(f"Error: {where} cannot be written or read: {error.strerror or error}.")
    except KeyboardInterrupt:
        ignore_more()
        err.print("Stopped.")
        code = INTERRUPTED
    except typer.Abort:
        err.print("Nothing was done.")
        code = 1
    except typer.exceptions.TyperException as error:
        if message := error.format_message():
            _complain(f"Error: {message}")
        code = 2
    _leave(code or 0)


def _complain(message: str, style: str = "bold red") -> None:
    for line in message.splitlines():
        err.print(plain(line, style), soft_wrap=True)


def _let_go(stream: TextIO) -> None:
    """Drops what is left in a stream, so that Python does not try to write it again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _leave(code: int) -> None:
    """Ends the process; at once where TensorFlow is loaded, whose clean-up takes over a second."""
    if "tensorflow" not in sys.modules:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows warnings as one loud line."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: _complain(str(message), "bold yellow")
        yield

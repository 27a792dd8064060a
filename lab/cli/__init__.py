"""The command line, `lab …`: a module for each kind of commands; `lab --help` lists them."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.text import Text

# isort: off
from lab.cli import training, records, checks, classroom  # In the order of `lab --help`.

# isort: on
from lab.cli.shared import INTERRUPTED, app, err
from lab.errors import LabError
from lab.interrupts import ignore_more

__all__ = ["app", "checks", "classroom", "main", "records", "training"]


def main() -> None:
    """Runs the command line; every error a user can cause is one sentence and exit code 2."""
    try:
        with _plain_warnings():
            code = app(standalone_mode=False)
    except LabError as error:
        err.print(Text(f"Error: {error}", style="bold red"), soft_wrap=True)
        code = 2
    except KeyboardInterrupt:
        ignore_more()
        err.print("Stopped.")
        code = INTERRUPTED
    except typer.Abort:
        err.print("Nothing was done.")
        code = 1
    except typer.exceptions.TyperException as error:
        if message := error.format_message():
            err.print(Text(f"Error: {message}", style="bold red"), soft_wrap=True)
        code = 2
    _leave(code or 0)


def _leave(code: int) -> None:
    """Ends the process; at once where TensorFlow is loaded, whose clean-up takes over a second."""
    if "tensorflow" not in sys.modules:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows warnings as one loud line."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: err.print(
            Text(str(message), style="bold yellow"), soft_wrap=True
        )
        yield

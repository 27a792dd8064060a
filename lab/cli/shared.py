"""What the commands share: the app, its two consoles, options, and reading what the user typed."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from lab.config import RunConfig
from lab.errors import InputError
from lab.terminal import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from lab.store import RunStore
    from lab.studies import Study

INTERRUPTED = 130
MOST_ROWS = 200

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train the same network with different activation functions and compare the runs.",
)
out = Console()
err = Console(stderr=True)


def setting(field: str, *flags: str) -> Any:
    """Makes a command line option of a field of `RunConfig`, which checks its value."""
    about = RunConfig.model_fields[field]
    default = about.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    title = f"{(about.title or field).capitalize()}: {about.description}."
    note = "" if default is None else f" [dim]\\[default: {shown}][/dim]"
    return typer.Option(*flags, help=title + note, metavar="VALUE")


StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder that keeps the runs.", metavar="DIR"),
]

RunArgument = Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")]


def train_or_stop(study: "Study") -> None:
    """Trains what is missing; Ctrl-C ends the command."""
    try:
        _train(study)
    except KeyboardInterrupt:
        err.print(
            "Interrupted: all finished epochs are kept. Run the same command again to go on.",
            style="bold yellow",
        )
        raise typer.Exit(INTERRUPTED) from None


def _train(study: "Study") -> None:
    """Trains what is missing, with a line of live progress for every run."""
    missing = study.missing()
    recorded = len(study.configs) - len(missing)
    if recorded:
        out.print(f"{recorded} of {len(study.configs)} runs are recorded already and are loaded.")
    if missing:
        with closing(study.events()) as events:
            show_progress(events, missing, out)


def print_text(frame: "pd.DataFrame") -> None:
    """Prints the first rows of a table."""
    sys.stdout.write(frame.head(MOST_ROWS).to_string(index=False) + "\n")
    if len(frame) > MOST_ROWS:
        err.print(
            f"{MOST_ROWS} of {len(frame):,} rows. For all of them: --format csv", style="bold"
        )


def open_store(path: Path | None) -> "RunStore":
    """Opens a store for reading, and lists what cannot be read in it."""
    from lab.store import RunStore

    store = RunStore(path)
    refused = store.refused
    for run_id, reason in refused.items():
        err.print(Text(f"{run_id} cannot be read: {reason}", style="yellow"), soft_wrap=True)
    if not refused and not len(store.runs):
        raise InputError(f"The store {store.path} holds no runs. Record some with: lab compare")
    return store

"""What the commands share: the app, its two consoles, options, and reading what the user typed."""

import functools
import inspect
import itertools
import shlex
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from lab.cli.terminal import show_progress, verdict_table
from lab.errors import InputError
from lab.experiment import NAMES, VARIABLE, RunConfig, spelling
from lab.system import at_home, ignore_more, in_whole_steps

if TYPE_CHECKING:
    import pandas as pd

    from lab.runs import Runs
    from lab.stats import Verdict
    from lab.store import RunStore
    from lab.studies import Study
    from lab.training import Event

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


def setting(field: str) -> Any:
    """Makes a command line option of a field of `RunConfig`, which checks its value."""
    about = RunConfig.model_fields[field]
    default = about.default
    shown = spelling.value_words(default)
    title = about.title or field
    words = f"{title[0].upper()}{title[1:]}: {about.description}."
    # An empty or zero default is that of other networks or optimisers: leave it out.
    has_default = default or isinstance(default, float)
    note = f" [dim]\\[default: {shown}][/dim]" if has_default else ""
    read = _read_widths if isinstance(default, tuple) else str
    return typer.Option(spelling.option_of(field), help=words + note, metavar="VALUE", parser=read)


def _read_widths(text: str) -> tuple[str, ...]:
    return tuple(spelling.read_widths(text))


SETTINGS = {
    name: inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, setting(name)],
    )
    for name in VARIABLE
    if name not in ("activation", "parameter")  # Each command has its own --activation NAME=PARAM.
}


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command with `**settings` an option for each of `SETTINGS`; it gets those given.

    Typer reads its options off a function's signature. So this extends the signature: written
    out, every command would repeat each field of `RunConfig`.
    """

    @functools.wraps(command)
    def with_settings(**given: Any) -> None:
        command(**{n: v for n, v in given.items() if v is not None or n not in SETTINGS})

    *own, _ = inspect.signature(command).parameters.values()
    with_settings.__signature__ = inspect.Signature([*own, *SETTINGS.values()])  # type: ignore[attr-defined]
    return with_settings


def read_path(text: str) -> Path:
    """Reads the path of an option or argument; see `at_home`."""
    try:
        return at_home(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Folder that keeps the runs.", metavar="DIR"),
]
SeedsOption = Annotated[
    str, typer.Option(help="How many seeds, from 0; or the first and last.", metavar="N|A-B")
]
DatasetOption = Annotated[
    str,
    typer.Option(
        help=f"{', '.join(NAMES)}; auto: mnist if it is available, else mnist-5k. Or the path of "
        f"your own: an .npz file, or a folder with a folder of images for each class. Or several "
        f"of these, joined by +.",
        metavar="NAME|PATH",
    ),
]
RunArgument = Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")]


def train_or_stop(study: "Study", events: "Generator[Event] | None" = None) -> None:
    """Trains what is missing, with live progress; Ctrl-C ends the command.

    Args:
        study: The study.
        events: Its training; by default in this process.
    """
    missing = study.missing()
    if words := study.recorded_words(missing):
        out.print(words)
    if not missing:
        return
    try:
        with in_whole_steps(events or study.events()) as happening:
            show_progress(happening, missing, out)
    except KeyboardInterrupt:
        ignore_more()
        err.print(
            "Interrupted: all finished epochs are kept. Run the same command again to go on.",
            style="bold yellow",
        )
        raise typer.Exit(INTERRUPTED) from None


def print_findings(runs: "Runs") -> None:
    """Prints what a study has found: verdicts, also at the best of several learning rates."""
    from lab import stats

    print_verdicts(stats.verdicts(runs))
    if len({run.config.learning_rate for run in runs}) > 1:
        print_text(best_rates_in_words(runs))
        print_verdicts(stats.verdicts(runs, best_rate=True))


def print_verdicts(verdicts: "Sequence[Verdict]") -> None:
    """Prints verdicts: for each comparison a table, then the sentences."""
    for _, some in itertools.groupby(verdicts, key=lambda one: one.where):
        of_one = list(some)
        out.print(verdict_table(of_one))
        for one in of_one:
            out.print(plain(one.sentence), soft_wrap=True)
        out.print()


def best_rates_in_words(runs: "Runs") -> "pd.DataFrame":
    """Returns the best learning rate of each activation function, rounded for reading."""
    from lab import stats

    in_percent = {"validation_accuracy": "validation %", "test_accuracy": "test %"}
    return stats.best_rates(runs).rename(columns=in_percent).drop(columns="diverged")


def plain(text: str, style: str = "") -> Text:
    """Returns a text unchanged: markup is not read, and control characters are written out."""
    return Text("".join(c if c.isprintable() else repr(c)[1:-1] for c in text), style)


def print_text(frame: "pd.DataFrame", more: str = "") -> None:
    """Prints the first rows of a table, with `more` to say how to see all columns."""
    from lab.cli.frames import print_frame

    print_frame(frame.head(MOST_ROWS), out, more)
    if len(frame) > MOST_ROWS:
        err.print(
            f"{MOST_ROWS} of {len(frame):,} rows. For all of them: --format csv", style="bold"
        )


def with_store(command: str, store: str | None) -> str:
    """Returns a command that reads the store that was named.

    >>> with_store("lab table runs", "my runs"), with_store("lab report", None)
    ("lab table runs --store 'my runs'", 'lab report')
    """
    return command if store is None else f"{command} --store {shlex.quote(store)}"


def open_store(path: str | None) -> "RunStore":
    """Opens a store for reading, and lists what cannot be read in it."""
    from lab.store import RunStore

    store = RunStore(path)
    refused = store.refused
    for run_id, reason in refused.items():
        err.print(plain(f"{run_id} cannot be read: {reason}", style="yellow"), soft_wrap=True)
    if not refused and not len(store.runs):
        command = with_store("lab compare", path)
        raise InputError(f"The store {store.path} holds no runs. Record some with: {command}")
    return store

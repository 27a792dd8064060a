"""Commands for what is recorded: tables, one run, labels, deletion, figures, the report."""

import json
import math
import sys
from collections.abc import Hashable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lab.cli.shared import (
    RunArgument,
    StoreOption,
    app,
    best_rates_in_words,
    err,
    open_store,
    out,
    plain,
    print_text,
    print_verdicts,
    read_path,
    with_store,
)
from lab.errors import InputError
from lab.runs import to_csv

if TYPE_CHECKING:
    import pandas as pd

PANEL = "What is recorded"


class TableName(StrEnum):
    """The tables of a store."""

    RUNS = "runs"
    EPOCHS = "epochs"
    LAYERS = "layers"
    UNITS = "units"
    LIVES = "lives"
    FLOWS = "flows"
    TASKS = "tasks"


class Format(StrEnum):
    """How a table is written."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"


FormatOption = Annotated[
    Format,
    typer.Option("--format", help="In csv, NaN is written NaN; in json, null (infinity: text)."),
]
CommaOption = Annotated[
    bool,
    typer.Option(
        "--decimal-comma",
        help="In csv, write 0,5 and put semicolons between cells.",
        show_default=False,
    ),
]


@app.command(rich_help_panel=PANEL)
def table(
    name: Annotated[TableName, typer.Argument(help="Which table.")],
    store: StoreOption = None,
    form: FormatOption = Format.TEXT,
    decimal_comma: CommaOption = False,
) -> None:
    """Print a table of the recorded runs: runs, epochs, layers, units, lives, flows or tasks.

    lives: when each neuron died and revived, and why it is dead; flows: how many did, by epoch;
    tasks: how well each was learned, where runs learn one after the other.

    [bold]lab table layers --format csv > layers.csv[/bold]
    """
    _check_comma(decimal_comma, form)
    kept = open_store(store)
    frame: pd.DataFrame = getattr(kept.runs, name.value)()
    if form is not Format.TEXT:
        _write(frame, form, decimal_comma)
    else:
        print_text(
            _eventful(frame) if name is TableName.LIVES else frame,
            " All columns: --format csv.",
        )


def _check_comma(decimal_comma: bool, form: Format) -> None:
    if decimal_comma and form is not Format.CSV:
        raise InputError("decimal-comma is for CSV files: add --format csv.")


def _write(frame: "pd.DataFrame", form: Format, decimal_comma: bool) -> None:
    """Writes a table for another program."""
    if form is Format.CSV:
        typer.echo(to_csv(frame, decimal_comma).encode(), nl=False)
    else:
        json.dump([_plain(row) for row in frame.to_dict("records")], sys.stdout, indent=1)
        sys.stdout.write("\n")


def _eventful(lives: "pd.DataFrame") -> "pd.DataFrame":
    """Leaves out the neurons to which nothing has happened, and says so."""
    eventful = lives[(lives.epochs_dead > 0) | (lives.cause != "")]
    left_out = len(lives) - len(eventful)
    err.print(f"{left_out:,} neurons that were alive at every epoch are left out.", style="bold")
    return eventful


def _plain(row: dict[Hashable, Any]) -> dict[str, Any]:
    """Makes strict JSON of a row: NaN becomes null, infinity the text Infinity or -Infinity."""
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    numbers = {
        str(name): getattr(value, "item", lambda v=value: v)() for name, value in row.items()
    }
    return {name: None if v != v else words.get(v, v) for name, v in numbers.items()}


@app.command(rich_help_panel=PANEL)
def verdict(
    measure: Annotated[
        str, typer.Option(help="What to compare, such as test_accuracy or dead.", metavar="NAME")
    ] = "test_accuracy",
    layer: Annotated[
        int | None, typer.Option(help="The hidden layer, from 1, of a layer's measure.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="What to compare with [dim]\\[default: relu][/dim].", metavar="NAME"),
    ] = None,
    best_rate: Annotated[
        bool,
        typer.Option("--best-rate", help="Each at its best learning rate, chosen on validation."),
    ] = False,
    store: StoreOption = None,
    form: FormatOption = Format.TEXT,
    decimal_comma: CommaOption = False,
) -> None:
    """Say whether activation functions can be told apart: paired differences, seed by seed.

    Everywhere that runs differ only in activation function and seed, each function is compared
    with the baseline. The 95 % t interval decides, after Holm's correction for all comparisons.

    [bold]lab verdict --measure dead_fraction --layer 1[/bold]
    """
    from lab import stats

    _check_comma(decimal_comma, form)
    runs = open_store(store).runs
    found = stats.verdicts(runs, measure, layer, baseline, best_rate)
    if not found:
        raise InputError(
            "There is nothing to compare: two activation functions with the same other settings "
            f"are needed. Record some with: {with_store('lab compare', store)}"
        )
    if form is not Format.TEXT:
        _write(stats.table(found), form, decimal_comma)
        return
    print_verdicts(found)
    if best_rate:
        print_text(best_rates_in_words(runs))


@app.command(rich_help_panel=PANEL)
def show(run: RunArgument, store: StoreOption = None) -> None:
    """Show one run: its settings, where and how it was trained, and its epochs."""
    from lab.runs import IDENTITY, Runs

    kept = open_store(store)[run]
    record = kept.record
    facts: dict[str, Any] = {
        "run": kept.run_id,
        "status": kept.divergence or kept.status,
        "label": record.label or "",
        "dataset": f"{record.dataset} ({record.train_images:,} to train on, "
        f"{record.validation_images:,} to validate, {record.test_images:,} to test, "
        f"probe of {record.probe_images:,})",
        **record.settings.model_dump(),
        "test loss": record.test_loss,
        "test accuracy": record.test_accuracy,
        "recorded": record.created,
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        "processor": record.processor,
        "threads per operation": record.threads_per_operation or "TensorFlow's default",
        "environment": ", ".join(f"{n}={v}" for n, v in record.environment.items()) or "plain",
        "size on disk": f"{kept.size() / 2**20:.1f} MiB in {kept.folder}",
    }
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(plain(name, style="bold"), plain(str(value)))
    out.print(grid)
    runs = Runs([kept])
    for frame in (runs.epochs(), runs.layers()):
        sys.stdout.write("\n")
        print_text(frame.drop(columns=list(IDENTITY)))


@app.command(rich_help_panel=PANEL)
def label(
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="The label; an empty text takes it away.")],
    store: StoreOption = None,
) -> None:
    """Give a run a label, which the tables show."""
    labelled = open_store(store).label(run, text)
    out.print(plain(f"{labelled.run_id}: {labelled.record.label or 'no label'}"))


@app.command(rich_help_panel=PANEL)
def delete(
    runs: Annotated[list[str], typer.Argument(help="The ids of the runs, or their beginnings.")],
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete runs; asks first."""
    kept = open_store(store)
    chosen = list(dict.fromkeys(kept.folder(run).name for run in runs))
    if not yes:
        typer.confirm(f"Delete {', '.join(chosen)}? They cannot be brought back.", abort=True)
    for run_id in chosen:
        kept.delete(run_id)
        out.print(plain(f"Deleted {run_id}."))


@app.command(rich_help_panel=PANEL)
def figures(
    store: StoreOption = None,
    out_folder: Annotated[
        Path,
        typer.Option("--out", parser=read_path, help="Folder for the pictures.", metavar="DIR"),
    ] = Path("figures"),
) -> None:
    """Draw the figures of the recorded runs, with their words beside them.

    Pictures are SVG and PNG; the race of each comparison is an animated GIF. A page, `README.md`,
    shows them all.
    """
    from lab.figures import pictures, write_gallery

    for picture in pictures(open_store(store).runs):
        picture.save(out_folder)
        endings = ", ".join(picture.endings)
        out.print(plain(f"{out_folder / picture.name}{endings}"), soft_wrap=True)
    write_gallery(out_folder)


@app.command(rich_help_panel=PANEL)
def report(
    store: StoreOption = None,
    file: Annotated[
        Path,
        typer.Option("-o", "--out", parser=read_path, help="The file to write.", metavar="FILE"),
    ] = Path("report.html"),
    question: Annotated[
        str | None,
        typer.Option(
            help="The question that the runs answer; by default, what they compare.",
            metavar="TEXT",
        ),
    ] = None,
) -> None:
    """Write what the recorded runs show as one HTML page, to hand out, to hang up, to print.

    The page is one file: reading it needs no network and no Python.
    """
    from lab.report import write_report

    kept = open_store(store)
    with out.status("Reading the runs") as status:
        write_report(
            kept.runs, file, question, kept.refused, lambda words: status.update(plain(words))
        )
    out.print(plain(f"{file}, {file.stat().st_size / 2**20:.1f} MiB"), soft_wrap=True)

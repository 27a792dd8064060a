"""The command line: `lab compare` and what looks after the recorded runs."""

import json
import math
import os
import sys
import warnings
from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab import activations
from lab.config import RunConfig
from lab.errors import InputError, LabError
from lab.terminal import comparison, show_progress

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


def main() -> None:
    """Runs the command line; every error a user can cause is one sentence and exit code 2."""
    try:
        with _plain_warnings():
            code = app(standalone_mode=False)
    except LabError as error:
        err.print(Text(f"Error: {error}", style="bold red"), soft_wrap=True)
        code = 2
    except KeyboardInterrupt:
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


def _setting(field: str, *flags: str) -> Any:
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


@app.command()
def compare(
    activation: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Activation function, with a parameter if wanted (leaky_relu=0.1). Repeat it for "
            f"several: {', '.join(activations.names())}. "
            f"[dim]\\[default: relu, leaky_relu, elu][/dim]",
            metavar="NAME[=PARAM]",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="How many seeds, from 0; or the first and last.", metavar="N|A-B")
    ] = "3",
    epochs: Annotated[str | None, _setting("epochs")] = None,
    dataset: Annotated[
        str,
        typer.Option(
            help="mnist, mnist-5k or fashion-mnist; auto: mnist if it can be had, else mnist-5k.",
            metavar="NAME",
        ),
    ] = "auto",
    learning_rate: Annotated[str | None, _setting("learning_rate")] = None,
    hidden: Annotated[str | None, _setting("hidden")] = None,
    optimizer: Annotated[str | None, _setting("optimizer")] = None,
    momentum: Annotated[str | None, _setting("momentum")] = None,
    initializer: Annotated[str | None, _setting("initializer", "--init")] = None,
    first_bias: Annotated[str | None, _setting("first_bias", "--bias")] = None,
    batch_size: Annotated[str | None, _setting("batch_size")] = None,
    validation_split: Annotated[str | None, _setting("validation_split")] = None,
    train_size: Annotated[str | None, _setting("train_size")] = None,
    probe_size: Annotated[str | None, _setting("probe_size", "--probe")] = None,
    keep_weights: Annotated[str | None, _setting("keep_weights")] = None,
    store: StoreOption = None,
) -> None:
    """Train one network with several activation functions and compare accuracy and dead neurons.

    Runs that are recorded already are loaded; an interrupted comparison goes on where it was.

    [bold]lab compare[/bold]
    [bold]lab compare --activation relu --activation leaky_relu=0.1 --seeds 6[/bold]
    [bold]lab compare --learning-rate 0.005 --epochs 5[/bold]
    """
    from lab.studies import TRIO, plan

    given = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "hidden": tuple(hidden.split(",")) if hidden is not None else None,
        "optimizer": optimizer,
        "momentum": momentum,
        "initializer": initializer,
        "first_bias": first_bias,
        "batch_size": batch_size,
        "validation_split": validation_split,
        "train_size": train_size,
        "probe_size": probe_size,
        "keep_weights": keep_weights,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    study = plan(activation or TRIO, _seeds(seeds), dataset, store, **settings)
    _train_or_stop(study)
    out.print(comparison(study.runs()))
    out.print(Text(f"Kept in {study.store.path}. See them again: lab table runs", style="dim"))


def _seeds(text: str) -> list[int]:
    """Reads `N` as the seeds 0 to N - 1 and `A-B` as the seeds A to B."""
    from lab.studies import MOST_SEEDS

    first, dash, last = text.partition("-")
    try:
        low, high = (int(first), int(last) + 1) if dash else (0, int(first))
    except ValueError:
        low, high = 0, 0
    if not low < high <= low + MOST_SEEDS:
        raise InputError(
            f"seeds must be a number from 1 to 10,000, or the first and the last seed "
            f"as in 5-9, not {text!r}."
        )
    return list(range(low, high))


def _train_or_stop(study: "Study") -> None:
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


class TableName(StrEnum):
    """The tables of a store."""

    RUNS = "runs"
    EPOCHS = "epochs"
    LAYERS = "layers"
    UNITS = "units"
    LIVES = "lives"
    FLOWS = "flows"


class Format(StrEnum):
    """How a table is written."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"


@app.command()
def table(
    name: Annotated[TableName, typer.Argument(help="Which table.")],
    store: StoreOption = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format", help="In csv, NaN is written NaN; in json, null (infinity: text)."
        ),
    ] = Format.TEXT,
) -> None:
    """Print a table of the recorded runs: runs, epochs, layers, units, lives or flows.

    lives: when each neuron died and revived, and why it is dead; flows: how many did, by epoch.

    [bold]lab table layers --format csv > layers.csv[/bold]
    """
    kept = _open(store)
    frame: pd.DataFrame = getattr(kept.runs, name.value)()
    if form is Format.CSV:
        frame.to_csv(sys.stdout, index=False, na_rep="NaN")
    elif form is Format.JSON:
        json.dump([_plain(row) for row in frame.to_dict("records")], sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        _print_text(_eventful(frame) if name is TableName.LIVES else frame)


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


def _print_text(frame: "pd.DataFrame") -> None:
    sys.stdout.write(frame.head(MOST_ROWS).to_string(index=False) + "\n")
    if len(frame) > MOST_ROWS:
        err.print(
            f"{MOST_ROWS} of {len(frame):,} rows. For all of them: --format csv", style="bold"
        )


def _open(path: Path | None) -> "RunStore":
    """Opens a store for reading, and lists what cannot be read in it."""
    from lab.store import RunStore

    store = RunStore(path)
    refused = store.refused
    for run_id, reason in refused.items():
        err.print(Text(f"{run_id} cannot be read: {reason}", style="yellow"), soft_wrap=True)
    if not refused and not len(store.runs):
        raise InputError(f"The store {store.path} holds no runs. Record some with: lab compare")
    return store


RunArgument = Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")]


@app.command()
def show(run: RunArgument, store: StoreOption = None) -> None:
    """Show one run: its settings, where and how it was trained, and its epochs."""
    from lab.tables import IDENTITY, Runs

    kept = _open(store)[run]
    record = kept.record
    facts: dict[str, Any] = {
        "run": kept.run_id,
        "status": kept.status,
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
        "size on disk": f"{kept.size() / 2**20:.1f} MiB in {kept.folder}",
    }
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(Text(name, style="bold"), Text(str(value)))
    out.print(grid)
    runs = Runs([kept])
    for frame in (runs.epochs(), runs.layers()):
        sys.stdout.write("\n")
        _print_text(frame.drop(columns=list(IDENTITY)))


@app.command()
def label(
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="The label; an empty text takes it away.")],
    store: StoreOption = None,
) -> None:
    """Give a run a label, which the tables show."""
    labelled = _open(store).label(run, text)
    out.print(Text(f"{labelled.run_id}: {labelled.record.label or 'no label'}"))


@app.command()
def delete(
    runs: Annotated[list[str], typer.Argument(help="The ids of the runs, or their beginnings.")],
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete runs for ever; asks first."""
    kept = _open(store)
    chosen = list(dict.fromkeys(kept.folder(run).name for run in runs))
    if not yes:
        typer.confirm(f"Delete {', '.join(chosen)} for ever?", abort=True)
    for run_id in chosen:
        kept.delete(run_id)
        out.print(Text(f"Deleted {run_id}."))


@app.command()
def figures(
    store: StoreOption = None,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the pictures.", metavar="DIR")
    ] = Path("figures"),
) -> None:
    """Draw the figures of the recorded runs, with their words beside them.

    Pictures are SVG and PNG; the race of each comparison is an animated GIF.
    """
    from lab.figures import pictures

    for picture in pictures(_open(store).runs):
        picture.save(out_folder)
        endings = ", ".join(picture.endings)
        out.print(Text(f"{out_folder / picture.name}{endings}"), soft_wrap=True)


@app.command()
def student_copies(
    out_folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="OUT")],
    lessons: Annotated[
        Path, typer.Option(help="Folder of the teacher's lessons.", metavar="DIR")
    ] = Path("notebooks"),
) -> None:
    """Write the students' copies of the lessons: without solutions and outputs.

    [bold]lab student-copies for-students[/bold]
    """
    from lab.classroom.copies import student_copies

    for path in student_copies(out_folder, lessons):
        out.print(Text(str(path)), soft_wrap=True)


@app.command()
def doctor() -> None:
    """Check whether this machine is ready for a lesson, and say what to do if not."""
    from lab.classroom.doctor import CHECKS, examine

    colours = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    findings = []
    for name in CHECKS:
        with err.status(f"Looking at: {name} …"):
            finding = examine(name)
        findings.append(finding)
        line = Text(f"{name:<12}{finding.state:<9}", style=colours[finding.state])
        out.print(line + Text(finding.found, style="default"), soft_wrap=True)
        if finding.advice:
            out.print(Text(f"{'':<21}{finding.advice}."), soft_wrap=True)
    failed = sum(finding.state == "failed" for finding in findings)
    ready = "This machine is ready." if not failed else f"Not ready: {failed} of the checks failed."
    out.print(Text(ready, style="bold"))
    if failed:
        raise typer.Exit(1)


@app.command()
def prepare_class(
    folder: Annotated[Path, typer.Argument(help="Folder for the class.", metavar="DIR")],
    dataset: Annotated[
        str, typer.Option(help="The data set of the runs.", metavar="NAME")
    ] = "mnist",
    seeds: Annotated[
        str, typer.Option(help="How many seeds, from 0; or the first and last.", metavar="N|A-B")
    ] = "3",
    learning_rate: Annotated[
        list[str] | None,
        typer.Option(
            help="Learning rate; repeat it for several. [dim]\\[default: 0.001, 0.005][/dim]",
            metavar="VALUE",
        ),
    ] = None,
    epochs: Annotated[str | None, _setting("epochs")] = None,
) -> None:
    """Fill a shared folder with full MNIST and recorded runs, for a room without network.

    Ctrl-C keeps every finished epoch; the same command goes on.

    [bold]lab prepare-class /shared/activation-lab[/bold]
    """
    from lab.classroom import setup
    from lab.sources import load_dataset
    from lab.studies import TRIO, plan

    setup.check(folder)
    images = load_dataset(dataset)
    more = {} if epochs is None else {"epochs": epochs}
    runs = folder / setup.RUNS
    studies = [
        plan(TRIO, _seeds(seeds), images, runs, learning_rate=rate, **more)
        for rate in learning_rate or setup.RATES
    ]
    setup.write_data(images, folder)
    for study in studies:
        _train_or_stop(study)
    setup.make_readable(folder)
    for study in studies:
        out.print(comparison(study.runs()))
    out.print(Text(setup.guide(folder)), soft_wrap=True)


@app.command()
def validate(
    long: Annotated[
        bool, typer.Option("--long", help="Also what takes some 20 minutes: trains on full MNIST.")
    ] = False,
) -> None:
    """Check published and closed-form numbers against the lab's own; exit code 1 if one fails.

    The long form trains the learning-rate ladder on full MNIST and keeps the runs.
    """
    from lab import validation

    table = Table("quantity", "source", "expected", "the lab's", "errors", "")
    failed = 0
    for name, check_all in (validation.LONG if long else validation.SHORT).items():
        with err.status(f"Checking: {name} …"):
            for check in check_all():
                failed += not check.passed
                word = Text("pass", "green") if check.passed else Text("FAIL", "bold red")
                numbers = (f"{check.expected:.5g}", f"{check.found:.5g}", f"{check.errors:+.1f}")
                table.add_row(check.quantity, check.source, *numbers, word)
    out.print(table)
    out.print("All are as they should be." if not failed else f"{failed} of the checks failed.")
    if failed:
        raise typer.Exit(1)


@app.command()
def kill_map(
    vary: Annotated[
        list[str],
        typer.Option(
            help="Twice: a setting and its values. For hidden, widths are joined by x.",
            metavar="NAME=V1,V2,…",
        ),
    ],
    seeds: Annotated[
        str, typer.Option(help="How many seeds, from 0; or the first and last.", metavar="N|A-B")
    ] = "1",
    activation: Annotated[str, typer.Option(help="Activation function.")] = "relu",
    dataset: Annotated[str, typer.Option(help="As for compare.", metavar="NAME")] = "auto",
    epochs: Annotated[str, _setting("epochs")] = "3",
    hidden: Annotated[str | None, _setting("hidden")] = None,
    learning_rate: Annotated[str | None, _setting("learning_rate")] = None,
    store: StoreOption = None,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the picture.", metavar="DIR")
    ] = Path("figures"),
) -> None:
    """Map how many neurons die, and the accuracy, over two settings.

    [bold]lab kill-map --vary learning_rate=1e-3,1e-2,0.1 --vary first_bias=-1,-0.5,0[/bold]
    [bold]lab kill-map --vary hidden=128,128x128x128 --vary first_bias=-0.5,0[/bold]
    """
    from lab.maps import MEASURES, KillMap, plan_map

    given = {"hidden": hidden.split(",") if hidden else None, "learning_rate": learning_rate}
    settings = {name: value for name, value in given.items() if value is not None}
    study, axes = plan_map(
        _varied(vary),
        _seeds(seeds),
        dataset,
        store,
        activation=activation,
        epochs=epochs,
        **settings,
    )
    _train_or_stop(study)
    found = KillMap(*axes, study.runs())
    for measure in MEASURES:
        out.print(Text(measure + ", %", style="bold"))
        _print_text(found.table(measure).round(1).reset_index())
    picture = found.picture()
    picture.save(out_folder)
    out.print(Text(f"{out_folder / picture.name}{', '.join(picture.endings)}"), soft_wrap=True)


def _varied(texts: list[str]) -> dict[str, list[Any]]:
    """Reads `learning_rate=0.1,0.2`; of `hidden` every value may be several widths, as 64x64."""
    from lab.maps import read_values

    varied: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"vary must be NAME=VALUE,VALUE,…, not {text!r}.")
        if name in varied:
            raise InputError(f"vary must name two different settings, not {name} twice.")
        varied[name] = read_values(name, values)
    return varied


@app.command()
def ablate(
    run: RunArgument,
    store: StoreOption = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for a picture of it.", metavar="DIR")
    ] = None,
) -> None:
    """Take the dead neurons out of a trained network: would it miss them?

    Then ever more neurons, in three orders, with the test accuracy of what is left.
    """
    from lab.surgery import ablate, removal_curve, removal_picture

    chosen = _open(store)[run]
    with err.status("Taking neurons out …"):
        cut, curve = ablate(chosen), removal_curve(chosen)
    out.print(Text(cut.sentence), soft_wrap=True)
    orders = list(curve.order.unique())
    table = Table("neurons removed", *(f"{order}, test accuracy %" for order in orders))
    wide = curve.pivot(index="removed", columns="order", values="test_accuracy")
    for count, row in wide[orders].iterrows():
        table.add_row(f"{count:,}", *(f"{100 * value:.2f}" for value in row))
    out.print(table)
    if out_folder:
        removal_picture(chosen, curve).save(out_folder)


@app.command()
def data() -> None:
    """List the datasets: which are on this machine, and where from."""
    from lab.sources import available

    table = Table("dataset", "here", "where from")
    for name, source in available().items():
        table.add_row(name, "yes" if source else "no", Text(source or "needs the internet once"))
    out.print(table)

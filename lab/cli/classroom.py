"""Commands for a class: students' copies, a machine's check-up, a shared folder."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from lab.cli.shared import app, err, out, plain, read_path, setting, train_or_stop
from lab.cli.terminal import comparison
from lab.experiment import read_seeds
from lab.words import counted

if TYPE_CHECKING:
    from lab.classroom import collect as collecting

PANEL = "For a class"
COLOURS = {"refused": "bold red", "double": "yellow", "beside": "yellow"}
OUTCOMES = {
    "taken": "taken",
    "double": "there already",
    "beside": "kept beside",
    "refused": "refused",
}


@app.command(rich_help_panel=PANEL)
def student_copies(
    out_folder: Annotated[
        Path, typer.Argument(parser=read_path, help="A new folder.", metavar="OUT")
    ],
    lessons: Annotated[
        Path, typer.Option(parser=read_path, help="Folder of the teacher's lessons.", metavar="DIR")
    ] = Path("notebooks"),
) -> None:
    """Write the students' copies of the lessons: without solutions and outputs.

    [bold]lab student-copies for-students[/bold]
    """
    from lab.classroom import copies

    for path in copies.student_copies(out_folder, lessons):
        out.print(plain(str(path)), soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def doctor() -> None:
    """Check whether this machine is ready for a lesson, and say what to do if not."""
    from lab.classroom import doctor as checks

    colours = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    results = []
    for name in checks.CHECKS:
        with err.status(f"Looking at: {name} …"):
            result = checks.examine(name)
        results.append(result)
        line = plain(f"{name:<12}{result.state:<9}", style=colours[result.state])
        out.print(line + plain(result.found, style="default"), soft_wrap=True)
        if result.advice:
            out.print(plain(f"{'':<21}{result.advice}."), soft_wrap=True)
    failed = sum(result.state == "failed" for result in results)
    ready = "This machine is ready." if not failed else f"Not ready: {failed} of the checks failed."
    out.print(plain(ready, style="bold"))
    if failed:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def prepare_class(
    folder: Annotated[
        Path, typer.Argument(parser=read_path, help="Folder for the class.", metavar="DIR")
    ],
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
    epochs: Annotated[str | None, setting("epochs")] = None,
) -> None:
    """Fill a shared folder with full MNIST and recorded runs, for a room without network.

    Ctrl-C keeps every finished epoch; the same command goes on.

    [bold]lab prepare-class /shared/activation-lab[/bold]
    """
    from lab.classroom import setup
    from lab.experiment import load_dataset
    from lab.studies import TRIO, plan

    setup.check(folder)
    images = load_dataset(dataset)
    more = {} if epochs is None else {"epochs": epochs}
    runs = folder / setup.RUNS
    studies = [
        plan(TRIO, read_seeds(seeds), images, runs, learning_rate=rate, **more)
        for rate in learning_rate or setup.RATES
    ]
    setup.write_data(images, folder)
    for study in studies:
        train_or_stop(study)
    setup.make_readable(folder)
    for study in studies:
        out.print(comparison(study.runs(), out.width))
    for line in setup.guide(folder).splitlines():
        out.print(plain(line), soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def collect(
    submissions: Annotated[
        list[Path],
        typer.Argument(
            parser=read_path, help="Folders and zip files with runs.", metavar="SUBMISSIONS…"
        ),
    ],
    store: Annotated[
        str, typer.Option(help="Folder that keeps the class's runs.", metavar="DIR")
    ] = "class",
) -> None:
    """Collect the runs of a class into one store: from folders and zip files of the students.

    It refuses what it cannot read, with the reason, and keeps no run twice.

    [bold]lab collect submissions/ --store class[/bold]
    """
    from lab.classroom import collect as collecting
    from lab.store import RunStore

    place, collected = RunStore(store), []
    try:
        with err.status("Reading …") as status:
            for one in collecting.collect(submissions, place):
                collected.append(one)
                status.update(f"Reading … {len(collected):,} runs so far")
    finally:
        _print_collected(collected)
    kept = len(place.runs)
    out.print(plain(f"{store} holds {counted(kept, 'run')} now.", "bold"), soft_wrap=True)
    if kept:
        out.print(plain(f"A handout of them: lab report --store {store}", style="dim"))


def _print_collected(collected: "Sequence[collecting.Collected]") -> None:
    table = Table("submission", "labels", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for words in OUTCOMES.values():
        table.add_column(words.replace(" ", "\n", 1), justify="right")
    for source, group in itertools.groupby(collected, key=lambda one: one.source):
        table.add_row(*map(plain, _row(source, list(group))))
    out.print(table)
    for one in collected:
        if one.outcome != "taken":
            where = " ".join(filter(None, (one.source, one.name)))
            words = f"{where}: {OUTCOMES[one.outcome]}: {one.words}."
            out.print(plain(words, style=COLOURS[one.outcome]), soft_wrap=True)


def _row(source: str, collected: "Sequence[collecting.Collected]") -> list[str]:
    """Returns a row of the table: what became of the runs of one submission."""
    labels = dict.fromkeys(one.label for one in collected if one.label)
    counts = Counter(one.outcome for one in collected)
    return [
        source,
        ", ".join(labels),
        *(str(counts[outcome] or "-") for outcome in OUTCOMES),
    ]

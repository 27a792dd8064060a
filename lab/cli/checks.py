"""Commands that check: published numbers, a network without its dead neurons, the data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lab.cli.shared import (
    RunArgument,
    StoreOption,
    app,
    err,
    open_store,
    out,
    plain,
    read_path,
    train_or_stop,
)

if TYPE_CHECKING:
    from lab.experiment import Dataset

PANEL = "Look into it"
ImagesOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="What the run was trained on; by default it is found by its name.",
        metavar="NAME|PATH",
    ),
]


def _images(dataset: str | None) -> "Dataset | None":
    from lab.experiment import load_dataset

    return None if dataset is None else load_dataset(dataset)


@app.command(rich_help_panel=PANEL)
def validate(
    long: Annotated[
        bool, typer.Option("--long", help="Also train on full MNIST, some 20 minutes.")
    ] = False,
) -> None:
    """Check published and closed-form numbers against the lab's own; exit code 1 if one fails.

    The long form trains the learning-rate ladder on full MNIST and keeps the runs.
    """
    from lab.analysis import validation

    table = Table("quantity", "source", "expected", "the lab's", "errors", "")
    failed = 0
    for name, check_all in (validation.LONG if long else validation.SHORT).items():
        with err.status(f"Checking: {name} …"):
            for check in check_all():
                failed += not check.passed
                word = plain("pass", "green") if check.passed else plain("FAIL", "bold red")
                numbers = (f"{check.expected:.5g}", f"{check.found:.5g}", f"{check.errors:+.1f}")
                table.add_row(check.quantity, check.source, *numbers, word)
    out.print(table)
    out.print("All checks passed." if not failed else f"{failed} of the checks failed.")
    if failed:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def verify(run: RunArgument, dataset: ImagesOption = None, store: StoreOption = None) -> None:
    """Train a recorded run again: does the same come out? Exit code 1 if it is different."""
    from lab.studies import judge, repetition

    recorded = open_store(store)[run]
    with repetition(recorded, _images(dataset)) as study:
        train_or_stop(study)
        found = judge(recorded, study.runs()[0])
    out.print(plain(found.sentence), soft_wrap=True)
    if found.outcome == "different":
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def ablate(
    run: RunArgument,
    dataset: ImagesOption = None,
    store: StoreOption = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", parser=read_path, help="Folder for a picture of it.", metavar="DIR"),
    ] = None,
) -> None:
    """Take the dead neurons out of a trained network: would it miss them?

    Then take out more and more neurons, in three orders, and test what is left.
    """
    from lab.analysis import ablate, removal_curve
    from lab.figures import removal

    chosen, images = open_store(store)[run], _images(dataset)
    with err.status("Taking neurons out …"):
        cut, curve = ablate(chosen, dataset=images), removal_curve(chosen, images)
    out.print(plain(cut.sentence), soft_wrap=True)
    orders = list(curve.order.unique())
    table = Table("neurons removed", *(f"{order}, test accuracy %" for order in orders))
    wide = curve.pivot(index="removed", columns="order", values="test_accuracy")
    for count, row in wide[orders].iterrows():
        table.add_row(f"{count:,}", *(f"{100 * value:.2f}" for value in row))
    out.print(table)
    if out_folder:
        removal(curve, chosen.title).save(out_folder)


@app.command(rich_help_panel=PANEL)
def data() -> None:
    """List the data sets: which are on this machine, and where they come from."""
    from lab.experiment import available, sources

    table = Table("dataset", "here", "where from")
    for name, source in available().items():
        once = name in sources.SERVERS
        need = "needs the internet once" if once else f"needs {name}.npz in LAB_DATA_DIR"
        table.add_row(name, "yes" if source else "no", plain(source or need))
    out.print(table)

"""The command for networks that were trained outside the lab: `lab census`."""

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.checks import PANEL
from lab.cli.shared import StoreOption, app, err, out, plain, read_path
from lab.cli.terminal import census_table


@app.command(rich_help_panel=PANEL)
def census(
    model: Annotated[
        Path,
        typer.Argument(
            parser=read_path, help="A model that Keras saved: model.keras.", metavar="MODEL"
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            parser=read_path,
            help="An .npz file with an array x of inputs, and y of labels if you like; for a model "
            "of several inputs, an array for each, by name.",
            metavar="NPZ",
        ),
    ],
    store: StoreOption = None,
) -> None:
    """Count the dead neurons of a network that Keras trained anywhere.

    Nothing that the file brings along is run. With --store the census is recorded as a run.

    [bold]lab census model.keras --data my.npz[/bold]
    """
    from lab.outside import Census, read_model, read_probe

    with err.status("Reading …"):
        network, probe = read_model(model), read_probe(data)
    with err.status("Taking the census …"):
        found = Census.of(network, probe, store=store, name=data.stem)
    out.print(census_table(found.run))
    for layer, reason in found.unseen.items():
        out.print(plain(f"Not seen: {layer}: {reason}.", "yellow"), soft_wrap=True)
    if store:
        words = f"Kept as {found.run.run_id}. See it again: lab table layers --store {store}"
        out.print(plain(words, "dim"), soft_wrap=True)

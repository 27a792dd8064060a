"""The commands for networks that were trained outside the lab: `lab census`, `lab diagnose`."""

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.checks import PANEL
from lab.cli.shared import StoreOption, app, err, out, plain, read_path
from lab.cli.terminal import census_table, health_table

ModelArgument = Annotated[
    Path,
    typer.Argument(
        parser=read_path, help="A model that Keras saved: model.keras.", metavar="MODEL"
    ),
]
DataOption = Annotated[
    Path,
    typer.Option(
        parser=read_path,
        help="An .npz file with an array x of inputs, and y of labels if you like; for a model of "
        "several inputs, an array for each, by name.",
        metavar="NPZ",
    ),
]


@app.command(rich_help_panel=PANEL)
def census(
    model: ModelArgument,
    data: DataOption,
    store: StoreOption = None,
) -> None:
    """Count the dead neurons of a network that Keras trained anywhere.

    No code in the file is run. With --store the census is recorded as a run.

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


@app.command(rich_help_panel=PANEL)
def diagnose(
    model: ModelArgument,
    data: DataOption,
    json: Annotated[
        Path | None,
        typer.Option(parser=read_path, help="Write it as JSON, too.", metavar="FILE"),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            parser=read_path, help="Write it as an HTML page that loads nothing.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Check the health of a network that Keras trained: exit code 1 if something is wrong.

    Dead, constant, dormant and saturated layers, numbers that are not finite; with labels in the
    data, also gradients that explode or vanish. No code in the model's file is run.

    [bold]lab diagnose model.keras --data my.npz --html health.html[/bold]
    """
    from lab.outside import Census, diagnose, read_model, read_probe
    from lab.report import DIAGNOSIS_MARK, diagnosis_page, free_place, write_text

    places = [
        free_place(path, mark, "diagnosis", path.name) if path else None
        for path, mark in ((json, "activation-lab diagnosis"), (html, DIAGNOSIS_MARK))
    ]
    with err.status("Reading …"):
        network, probe = read_model(model), read_probe(data)
    with err.status("Taking the census …"):
        found = diagnose(Census.of(network, probe, name=data.stem))
    json_place, html_place = places
    if json_place:
        write_text(json_place, found.model_dump_json(indent=2), "diagnosis")
    if html_place:
        write_text(html_place, diagnosis_page(found), "diagnosis")
    out.print(health_table(found))
    for finding in found.findings:
        out.print(plain(f"{finding.layer}: {finding.kind}", "bold"), soft_wrap=True)
        for words in (finding.what, *(f"{name}: {text}" for name, text in finding.parts)):
            out.print(plain(f"  {words}"), soft_wrap=True)
    for words in found.not_checked:
        out.print(plain(words, "yellow"), soft_wrap=True)
    out.print(plain(found.summary, "bold"), soft_wrap=True)
    for place in filter(None, places):
        out.print(plain(f"Written to {place}.", "dim"), soft_wrap=True)
    if found.findings:
        raise typer.Exit(1)

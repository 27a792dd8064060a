"""Commands that train: `lab compare`, `lab kill-map`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lab import activations
from lab.cli.shared import StoreOption, app, out, print_text, setting, train_or_stop
from lab.grids import read_seeds, read_vary
from lab.terminal import comparison

PANEL = "Train and compare"


@app.command(rich_help_panel=PANEL)
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
    epochs: Annotated[str | None, setting("epochs")] = None,
    dataset: Annotated[
        str,
        typer.Option(
            help="mnist, mnist-5k or fashion-mnist; auto: mnist if it can be had, else mnist-5k.",
            metavar="NAME",
        ),
    ] = "auto",
    learning_rate: Annotated[str | None, setting("learning_rate")] = None,
    hidden: Annotated[str | None, setting("hidden")] = None,
    optimizer: Annotated[str | None, setting("optimizer")] = None,
    momentum: Annotated[str | None, setting("momentum")] = None,
    initializer: Annotated[str | None, setting("initializer", "--init")] = None,
    first_bias: Annotated[str | None, setting("first_bias", "--bias")] = None,
    batch_size: Annotated[str | None, setting("batch_size")] = None,
    validation_split: Annotated[str | None, setting("validation_split")] = None,
    train_size: Annotated[str | None, setting("train_size")] = None,
    probe_size: Annotated[str | None, setting("probe_size", "--probe")] = None,
    keep_weights: Annotated[str | None, setting("keep_weights")] = None,
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
    study = plan(activation or TRIO, read_seeds(seeds), dataset, store, **settings)
    train_or_stop(study)
    out.print(comparison(study.runs()))
    out.print(Text(f"Kept in {study.store.path}. See them again: lab table runs", style="dim"))


@app.command(rich_help_panel=PANEL)
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
    epochs: Annotated[str, setting("epochs")] = "3",
    hidden: Annotated[str | None, setting("hidden")] = None,
    learning_rate: Annotated[str | None, setting("learning_rate")] = None,
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
        read_vary(vary),
        read_seeds(seeds),
        dataset,
        store,
        activation=activation,
        epochs=epochs,
        **settings,
    )
    train_or_stop(study)
    found = KillMap(*axes, study.runs())
    for measure in MEASURES:
        out.print(Text(measure + ", %", style="bold"))
        print_text(found.table(measure).round(1).reset_index())
    picture = found.picture()
    picture.save(out_folder)
    out.print(Text(f"{out_folder / picture.name}{', '.join(picture.endings)}"), soft_wrap=True)

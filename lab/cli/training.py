"""Commands that train: `lab compare`, `lab sweep`, `lab continual`, `lab kill-map`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lab import activations
from lab.cli.shared import (
    DatasetOption,
    SeedsOption,
    StoreOption,
    app,
    out,
    plain,
    print_findings,
    print_text,
    read_path,
    takes_settings,
    train_or_stop,
    with_store,
)
from lab.cli.terminal import comparison, study_table, tasks_table
from lab.errors import InputError
from lab.experiment import Plan, grid, read_plan, read_seeds, read_vary

PANEL = "Train and compare"
EPOCHS_OF_A_MAP = 3
ActivationOption = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Activation function, with a parameter if wanted (leaky_relu=0.1). Repeat it for "
        f"several: {', '.join(activations.names())}. "
        f"[dim]\\[default: relu, leaky_relu, elu][/dim]",
        metavar="NAME[=PARAM]",
    ),
]


@app.command(rich_help_panel=PANEL)
@takes_settings
def compare(
    activation: ActivationOption = None,
    seeds: SeedsOption = "3",
    dataset: DatasetOption = "auto",
    student: Annotated[
        str | None,
        typer.Option(
            help="Your name: gives you seeds of your own, and labels your runs with it.",
            metavar="NAME",
        ),
    ] = None,
    store: StoreOption = None,
    **settings: Any,
) -> None:
    """Train one network with several activation functions and compare accuracy and dead neurons.

    Runs that are recorded already are loaded; an interrupted comparison goes on where it was.

    [bold]lab compare[/bold]
    [bold]lab compare --activation relu --activation leaky_relu=0.1 --seeds 6[/bold]
    [bold]lab compare --learning-rate 0.005 --epochs 5[/bold]
    """
    from lab.studies import TRIO, plan

    chosen = read_seeds(seeds)
    if student is not None:
        from lab.classroom import collect

        if "-" in seeds:
            raise InputError(
                f"seeds must be how many where student is given, not {seeds!r}: the seeds "
                f"themselves are the student's own."
            )
        chosen, student = collect.seeds_of(student, len(chosen)), collect.name_of(student)
    study = plan(activation or TRIO, chosen, dataset, store, student, **settings)
    train_or_stop(study)
    out.print(comparison(study.runs(), out.width))
    again = with_store("lab table runs", store)
    out.print(plain(f"Kept in {study.store.path}. See them again: {again}", style="dim"))


@app.command(rich_help_panel=PANEL)
@takes_settings
def sweep(
    study: Annotated[
        Path | None,
        typer.Argument(
            parser=read_path,
            help="A study as a TOML file; options change it.",
            metavar="[STUDY.toml]",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting and its values; repeat it for several settings. For hidden, widths are "
            "joined by -.",
            metavar="NAME=V1,V2,…",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="How many seeds, from 0; or the first and last. [dim]\\[default: 6, the fewest "
            "with a verdict][/dim]",
            metavar="N|A-B",
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="As for compare.", metavar="NAME")] = None,
    activation: Annotated[
        str | None, typer.Option(help="Activation function, if it is not varied.", metavar="NAME")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of processes to train in, one core each; by default this one."),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(help="Train on a Dask cluster: its scheduler's address.", metavar="ADDRESS"),
    ] = None,
    store: StoreOption = None,
    **settings: Any,
) -> None:
    """Train a network at every combination of some settings, with every seed.

    Ctrl-C keeps what is finished; the same command goes on.

    [bold]lab sweep --vary learning_rate=1e-4,1e-3,1e-2 --vary activation=relu,elu --seeds 10[/bold]
    [bold]lab sweep study.toml --workers 2[/bold]
    """
    from lab.stats import FEWEST_SEEDS
    from lab.studies import gather
    from lab.studies import workers as pools

    plan = read_plan(study) if study else Plan()
    if activation is not None:
        settings["activation"] = activation
    axes = {**plan.vary, **read_vary(vary or [])}
    fixed = {name: value for name, value in plan.settings.items() if name not in settings}
    chosen = read_seeds(seeds) if seeds is not None else plan.seeds
    chosen = FEWEST_SEEDS if chosen is None else chosen
    found = gather(grid(axes, chosen, {**fixed, **settings}), dataset or plan.dataset, store)
    with pools.executor_of(workers, dask) as executor:
        train_or_stop(found, pools.events(found, executor) if executor else None)
    if plan.question:
        out.print(plain(plan.question, style="bold"), soft_wrap=True)
    out.print(study_table(found.runs()))
    print_findings(found.runs())
    handout = with_store("lab report", store)
    out.print(plain(f"Kept in {found.store.path}. A handout of it: {handout}", style="dim"))


@app.command(rich_help_panel=PANEL)
@takes_settings
def continual(
    activation: ActivationOption = None,
    number: Annotated[int, typer.Option(help="How many tasks.")] = 20,
    seeds: SeedsOption = "3",
    dataset: DatasetOption = "mnist-5k",
    store: StoreOption = None,
    **settings: Any,
) -> None:
    """Train networks on one task after the other, and see whether they go on learning.

    --tasks says what changes from task to task: by default the order of the pixels. Ctrl-C keeps
    what is finished; the same command goes on.

    [bold]lab continual[/bold]
    [bold]lab continual --number 100 --learning-rate 0.005 --activation relu[/bold]
    [bold]lab continual --tasks class_pairs --task-epochs 2[/bold]
    """
    from lab.studies import TRIO, plan_tasks

    study = plan_tasks(
        activation or TRIO, read_seeds(seeds), dataset, store, None, number, **settings
    )
    train_or_stop(study)
    out.print(tasks_table(study.runs()))
    again = with_store("lab table tasks", store)
    out.print(plain(f"Kept in {study.store.path}. Every task: {again}", style="dim"))


@app.command(rich_help_panel=PANEL)
@takes_settings
def kill_map(
    vary: Annotated[
        list[str],
        typer.Option(
            help="Twice: a setting and its values. For hidden, widths are joined by -.",
            metavar="NAME=V1,V2,…",
        ),
    ],
    seeds: SeedsOption = "1",
    activation: Annotated[str, typer.Option(help="Activation function.")] = "relu",
    measure: Annotated[
        list[str],
        typer.Option(
            help="What to map, once for each: dead, accuracy, clones_fraction, "
            "effective_rank_fraction or stable_rank_fraction."
        ),
    ] = ["dead", "accuracy"],  # noqa: B006
    dataset: DatasetOption = "auto",
    store: StoreOption = None,
    out_folder: Annotated[
        Path, typer.Option("--out", parser=read_path, help="Folder for the picture.", metavar="DIR")
    ] = Path("figures"),
    **settings: Any,
) -> None:
    """Map how many neurons die, and the accuracy, over two settings; by default after 3 epochs.

    [bold]lab kill-map --vary learning_rate=1e-3,1e-2,0.1 --vary first_bias=-1,-0.5,0[/bold]
    [bold]lab kill-map --vary hidden=128,128-128-128 --vary first_bias=-0.5,0[/bold]
    [bold]lab kill-map --vary hidden=64,128 --vary first_bias=-1,0 --measure clones_fraction[/bold]
    """
    from lab.analysis import maps

    settings.setdefault("epochs", EPOCHS_OF_A_MAP)
    for name in measure:
        maps.measure_of(name)  # Refuses an unknown measure before any training.
    study, axes = maps.plan_map(
        read_vary(vary),
        read_seeds(seeds),
        dataset,
        store,
        activation=activation,
        **settings,
    )
    train_or_stop(study)
    found = maps.SettingsMap(*axes, study.runs(), study.dataset)
    for name in measure:
        out.print(plain(name + ", %", style="bold"))
        print_text(found.table(name).round(1).reset_index())
    picture = found.picture(mapped=measure)
    picture.save(out_folder)
    out.print(plain(f"{out_folder / picture.name}{', '.join(picture.endings)}"), soft_wrap=True)

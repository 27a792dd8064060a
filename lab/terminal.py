"""What the command line draws: live progress, and the table of a comparison."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from lab import units
from lab.config import RunConfig
from lab.runs import Runs
from lab.training import EpochEnd, Event, Phase, RunEnd
from lab.training import Progress as Step


def show_progress(events: Iterator[Event], configs: Sequence[RunConfig], console: Console) -> None:
    """Pulls all events and draws a bar for every run: epoch, loss, accuracy, dead units.

    Where the output is not a terminal, it prints a line for each run that ends.

    Args:
        events: The events of `studies.Study.events`.
        configs: The runs that the events are about.
        console: Where to draw.
    """
    with _bars(console) as bars:
        tasks = [_add(bars, config) for config in configs]
        phase = bars.add_task("", total=len(configs), name="all runs", facts="")
        for event in events:
            _draw(event, bars, tasks, phase, configs)
            if isinstance(event, RunEnd) and not console.is_terminal:
                config = configs[event.run]
                console.print(
                    f"{config.title}, seed {config.seed}: test accuracy {event.test_accuracy:.2%}"
                )


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[name]}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=4,
        transient=True,
        disable=not console.is_terminal,
    )


def _add(bars: Progress, config: RunConfig) -> TaskID:
    name = f"{config.title}, seed {config.seed}"
    return bars.add_task("", total=config.epochs, name=name, facts="")


def _draw(
    event: Event,
    bars: Progress,
    tasks: Sequence[TaskID],
    total: TaskID,
    configs: Sequence[RunConfig],
) -> None:
    if isinstance(event, Phase):
        bars.update(total, facts=event.text)
    elif isinstance(event, Step):
        facts = f"epoch {event.epoch} loss {event.loss:.4f} accuracy {event.accuracy:.2%}"
        done = event.epoch - 1 + event.share
        bars.update(tasks[event.run], completed=done, facts=facts)
        bars.update(total, facts="training")
    elif isinstance(event, EpochEnd):
        dead = " / ".join(f"{units.dead(layer).mean():.1%}" for layer in event.layers)
        facts = (
            f"epoch {event.epoch} loss {event.train_loss:.4f} "
            f"validation {event.validation_accuracy:.2%} dead {dead}"
        )
        bars.update(tasks[event.run], completed=event.epoch, facts=facts)
    elif isinstance(event, RunEnd):
        bars.update(tasks[event.run], completed=configs[event.run].epochs)
        bars.advance(total)


def comparison(runs: Runs) -> Table:
    """Returns the table of a comparison: one row for each activation function."""
    run = runs[0]
    config, record = run.config, run.record
    table = Table(
        title=f"{record.dataset}: {'-'.join(map(str, config.layer_sizes))}, {config.optimizer}, "
        f"learning rate {config.learning_rate:g}, {config.epochs} epochs, {_seed_words(runs)}",
        caption=f"dead, by layer: no gradient on all {record.train_images:,} training images\n"
        f"nearly dead: gate at most 0.001 of its largest, on a probe of {record.probe_images:,}\n"
        f"means over seeds; seconds of one core for one run",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    layers = " / ".join(map(str, run.layers))
    table.add_column("\nactivation", no_wrap=True)
    headers = ("test\nloss", "accuracy\nmean %", f"dead %\n{layers}", f"nearly %\n{layers}")
    for header in (*headers, "\nseconds"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("accuracy %\neach seed", min_width=11)
    for row in runs.summary().to_dict("records"):
        diverged = f"\n{row['diverged']} of {row['runs']} diverged" if row["diverged"] else ""
        table.add_row(
            f"{row['activation']}{diverged}",
            f"{row['test_loss']:.4f}",
            f"{100 * row['test_accuracy']:.2f}",
            " / ".join(f"{100 * share:.1f}" for share in row["dead_confirmed"]),
            " / ".join(f"{100 * share:.1f}" for share in row["nearly_dead"]),
            f"{row['seconds']:.1f}",
            " ".join(f"{100 * accuracy:.2f}" for accuracy in row["every_test_accuracy"]),
        )
    return table


def _seed_words(runs: Runs) -> str:
    seeds = sorted({run.config.seed for run in runs})
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]}-{seeds[-1]}"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"

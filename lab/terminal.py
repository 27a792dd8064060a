"""What the command line draws: live progress, and the table of a comparison."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from lab import units
from lab.config import RunConfig
from lab.tables import Runs, counted
from lab.training import EpochEnd, Event, Phase, RunEnd
from lab.training import Progress as Step


def show_progress(events: Iterator[Event], configs: Sequence[RunConfig], console: Console) -> None:
    """Pulls all events and shows how every run comes along, and the time left for all.

    Where the output is not a terminal, it prints a line for each run that ends.

    Args:
        events: The events of `studies.Study.events`.
        configs: The runs that the events are about.
        console: Where to draw.
    """
    with _Bars(configs, console) as bars:
        for event in events:
            bars.draw(event)
            if isinstance(event, RunEnd) and not console.is_terminal:
                config = configs[event.run]
                console.print(
                    f"{config.title}, seed {config.seed}: test accuracy {event.test_accuracy:.2%}"
                )


class _Bars(Progress):
    """A bar for each run and one for all; narrow enough for a terminal of 80 columns."""

    def __init__(self, configs: Sequence[RunConfig], console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[where]}"),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[units]}"),
            console=console,
            refresh_per_second=4,
            transient=True,
            disable=not console.is_terminal,
        )
        self.configs = configs
        self.rows = [
            self._row(f"{config.title}, seed {config.seed}", config.epochs) for config in configs
        ]
        self.all = self._row("all runs", sum(config.epochs for config in configs))

    def _row(self, name: str, epochs: int) -> TaskID:
        return self.add_task(name, total=epochs, where="", loss="", units="")

    def draw(self, event: Event) -> None:
        """Shows an event."""
        if isinstance(event, Phase):
            self.update(self.all, where=event.text)
        elif isinstance(event, Step):
            where = f"{event.epoch}/{self.configs[event.run].epochs}"
            done = event.epoch - 1 + event.share
            loss = f"loss {event.loss:.3f}"
            self.update(self.rows[event.run], completed=done, where=where, loss=loss)
            self._draw_total()
        elif isinstance(event, EpochEnd):
            dead = " ".join(f"{100 * units.dead(layer).mean():.1f}" for layer in event.layers)
            facts = f"val {event.validation_accuracy:.1%} dead % {dead}"
            self.update(self.rows[event.run], completed=event.epoch, units=facts)

    def _draw_total(self) -> None:
        done = sum(self._tasks[row].completed for row in self.rows)
        left = self._tasks[self.all].time_remaining
        clock = "" if left is None else f"{timedelta(seconds=round(left))} left"
        self.update(self.all, completed=done, where="training", loss=clock)


def comparison(runs: Runs) -> Table:
    """Returns the table of a comparison: one row for each activation function."""
    run = runs[0]
    config, record = run.config, run.record
    table = Table(
        title=Text(
            f"{record.dataset}: {'-'.join(map(str, config.layer_sizes))}, {config.optimizer}, "
            f"learning rate {config.learning_rate:g}, {counted(config.epochs, 'epoch')}, "
            f"{runs.seed_words()}"
        ),
        caption=f"dead, by layer: no gradient on all {record.train_images:,} training images\n"
        f"nearly dead: gate at most 0.001 of its largest, on a probe of {record.probe_images:,}\n"
        f"means over seeds; seconds of one core for one run",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    slash = "/" if len(run.layers) < 3 else " / "  # Many layers need places to break the line.
    layers = slash.join(map(str, run.layers))
    table.add_column("\nactivation", no_wrap=True)
    table.add_column("test\nloss", justify="right", no_wrap=True)
    table.add_column("accuracy\nmean %", justify="right", no_wrap=True)
    table.add_column(f"dead\n{layers} %", justify="right")
    table.add_column(f"nearly dead\n{layers} %", justify="right")
    table.add_column("time\ns", justify="right", no_wrap=True)
    table.add_column("accuracy %\neach seed", min_width=11)
    for row in runs.summary().to_dict("records"):
        diverged = f"\n{row['diverged']} of {row['runs']} diverged" if row["diverged"] else ""
        table.add_row(
            f"{row['activation']}{diverged}",
            f"{row['test_loss']:.4f}",
            f"{100 * row['test_accuracy']:.2f}",
            slash.join(f"{100 * share:.1f}" for share in row["dead_confirmed"]),
            slash.join(f"{100 * share:.1f}" for share in row["nearly_dead"]),
            f"{row['seconds']:.1f}",
            " ".join(f"{100 * accuracy:.2f}" for accuracy in row["every_test_accuracy"]),
        )
    return table

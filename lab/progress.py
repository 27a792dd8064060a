"""Live progress of training on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lab import units
from lab.config import RunConfig
from lab.training import EpochEnd, Event, Phase, RunEnd
from lab.training import Progress as Step


def show(events: Iterator[Event], configs: Sequence[RunConfig], console: Console) -> None:
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

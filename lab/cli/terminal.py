"""What the command line draws: live progress, the tables of a study, and verdicts."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from lab.census import units
from lab.experiment import RunConfig, differences, differing, remedies, value_words, words_of
from lab.outside import LAYER_COLUMNS, LAYER_LEGEND, Diagnosis, layer_rows
from lab.runs import BY_LAYER, TASK_RESULTS, Run, Runs, tasks_words
from lab.stats import Verdict
from lab.studies import HowFar
from lab.training import EpochEnd, Event, Phase, RunEnd
from lab.training import Progress as Step
from lab.words import by_layer, counted

MOST_BARS = 12
ALL = "all runs"
MOST_GROUPS = 200
UNBOUNDED = 10_000
MANY_LAYERS = 3
MOST_DIVERGENCES = 3


def show_progress(events: Iterator[Event], configs: Sequence[RunConfig], console: Console) -> None:
    """Pulls all events and shows the progress of every run, and the time left for all.

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
                tested = f"test accuracy {event.test_accuracy:.2%}"
                result = "diverged" if event.diverged else tested
                console.print(f"{bars.names[event.run]}: {result}")


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
        self.configs, self.far = configs, HowFar(configs)
        self.names = [
            ", ".join([config.title, *differing, f"seed {config.seed}"])
            for config, differing in zip(configs, differences(configs), strict=True)
        ]
        self.rows = [
            self._row(name, config.epochs) for name, config in zip(self.names, configs, strict=True)
        ]
        self.all = self._row(ALL, self.far.total)

    def _row(self, name: str, epochs: int) -> TaskID:
        shown = len(self.configs) <= MOST_BARS or name == ALL  # A terminal has few lines.
        return self.add_task(name, total=epochs, visible=shown, where="", loss="", units="")

    def draw(self, event: Event) -> None:
        """Shows an event."""
        if isinstance(event, Phase):
            self.update(self.all, where=event.text)
            return
        self.far.add(event)
        facts = _facts(event, self.configs[event.run])
        self.update(self.rows[event.run], completed=self.far.done[event.run], **facts)
        ended = f"{self.far.ended}/{len(self.rows)} runs done"
        done, left = sum(self.far.done), self.far.left
        self.update(self.all, completed=done, where=ended, units=left)


def _facts(event: Step | EpochEnd | RunEnd, config: RunConfig) -> dict[str, Any]:
    """Returns what an event changes beside the bar of its run."""
    if isinstance(event, Step):
        return {"where": _where(event.epoch, config), "loss": f"loss {event.loss:.3f}"}
    if isinstance(event, RunEnd):
        return {}
    dead = " ".join(f"{100 * units.dead(layer).mean():.1f}" for layer in event.layers)
    return {"units": f"val {event.validation_accuracy:.1%} dead % {dead}"}


def _where(epoch: int, config: RunConfig) -> str:
    """Returns how far a run is: in tasks, if it learns some."""
    if config.tasks == "none":
        return f"{epoch}/{config.epochs}"
    return f"task {config.task_at(epoch)}/{config.task_count}"


def _table(title: str, caption: str | None = None) -> Table:
    return Table(
        title=Text(title),
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _layer_names(run: Run) -> str:
    """Returns a line with the names of the hidden layers, where they are not simply numbered."""
    names = [run.layer_words(layer) for layer in run.layers]
    return f"\n{', '.join(names)}" if any("·" in name for name in names) else ""


def comparison(runs: Runs, width: int = 80) -> Table:
    """Returns the table of a comparison: one row for each activation function.

    Args:
        runs: The runs of one comparison.
        width: How many letters the terminal has side by side: the seeds of a row stay on its line,
            and where there is no room for all there are the lowest and the highest.
    """
    for gap in (1, 0):
        table = _comparison(runs, every_seed=True)
        table.padding = (0, gap, 0, 0)
        needs = Console(width=UNBOUNDED).measure(table)
        most = needs.maximum if len(runs[0].layers) < MANY_LAYERS else needs.minimum
        if most <= width:
            return table
    return _comparison(runs, every_seed=False)


def _comparison(runs: Runs, every_seed: bool) -> Table:
    run = runs[0]
    config, record = run.config, run.record
    table = _table(
        f"{record.dataset}: {config.size}, {config.optimizer}, "
        f"learning rate {config.learning_rate:g}, {counted(config.epochs, 'epoch')}, "
        f"{', '.join([*remedies(config), runs.seed_words()])}",
        f"dead, by layer: no gradient on all {record.train_images:,} training images\n"
        f"nearly dead: gate at most 0.001 of its largest, on a probe of {record.probe_images:,}\n"
        f"means over seeds; seconds of one core for one run{_layer_names(run)}{_divergences(runs)}",
    )
    slash = (
        "/" if len(run.layers) < MANY_LAYERS else " / "
    )  # Many layers need places to break the line.
    layers = slash.join(map(str, run.layers))
    table.add_column("\n\nactivation", no_wrap=True)
    table.add_column("\ntest\nloss", justify="right", no_wrap=True)
    table.add_column("\naccuracy\nmean %", justify="right", no_wrap=True)
    table.add_column(f"\ndead\n{layers} %", justify="right")
    table.add_column(f"nearly\ndead\n{layers} %", justify="right")
    table.add_column("\ntime\ns", justify="right", no_wrap=True)
    rows = runs.summary().to_dict("records")
    seeds = "\naccuracy %\neach seed" if every_seed else "accuracy %\nlowest,\nhighest"
    table.add_column(seeds, no_wrap=True)
    for row in rows:
        diverged = f"\n{row['diverged']} of {row['runs']} diverged" if row["diverged"] else ""
        table.add_row(
            f"{row['activation']}{diverged}",
            f"{row['test_loss']:.4f}",
            f"{100 * row['test_accuracy']:.2f}",
            slash.join(f"{100 * share:.1f}" for share in row["dead_confirmed"]),
            slash.join(f"{100 * share:.1f}" for share in row["nearly_dead"]),
            f"{row['seconds']:.1f}",
            _seeds(row["every_test_accuracy"], every_seed),
        )
    return table


def _seeds(accuracies: Sequence[float], every_seed: bool) -> str:
    shown = accuracies if every_seed or not accuracies else (min(accuracies), max(accuracies))
    return " ".join(f"{100 * accuracy:.2f}" for accuracy in shown)


def _divergences(runs: Runs) -> str:
    """Says when and where the first runs diverged, one line for each."""
    found = runs.divergences()
    more = [f"{len(found) - MOST_DIVERGENCES} more diverged"] * (len(found) > MOST_DIVERGENCES)
    return "".join(f"\n{sentence}" for sentence in [*found[:MOST_DIVERGENCES], *more])


def tasks_table(runs: Runs) -> Table:
    """Returns the table of runs that learn tasks: one row for each activation function."""
    run = runs[0]
    config = run.config
    table = _table(
        f"{run.record.dataset}: {config.size}, {config.optimizer}, "
        f"learning rate {config.learning_rate:g}, {counted(config.task_count, 'task')}, "
        f"{', '.join([*remedies(config), runs.seed_words()])}",
        textwrap.fill(tasks_words(runs), 78) + _layer_names(run) + _divergences(runs),
    )
    for head in TASK_RESULTS:
        by = by_layer(run.layers) if head in BY_LAYER else ""
        table.add_column(f"{head}\n{by}")
    for row in runs.task_results().to_numpy().tolist():
        table.add_row(*map(Text, row))
    return table


def census_table(run: Run) -> Table:
    """Returns the table of a network's last census: one row for each layer."""
    outside, images = run.record.outside, run.record.probe_images
    name = outside.model if outside else run.title
    table = _table(
        f"{name}, on {images:,} inputs",
        "dead: no gradient on any input; nearly dead: gate at most 0.001 of its largest\n"
        "always negative: z is never above 0; zero: share of all values that are 0\n"
        "a channel of a convolution is a unit, at all places; -: not known",
    )
    table.add_column("layer")
    table.add_column("function")
    for head in ("units", "dead", "nearly\ndead", "always\nnegative", "zero\n%"):
        table.add_column(head, justify="right")
    for number in run.layers:
        table.add_row(*map(Text, _census_row(run, number)))
    return table


def _census_row(run: Run, number: int) -> list[str]:
    layer, site = run.last_summaries(number), run.layout.sites[number - 1]
    function = site.function or run.config.title
    broken = int(units.nonfinite(layer).sum())
    if broken:
        return [site.name, function, f"{site.units:,}", f"{broken:,} not finite", "-", "-", "-"]
    counts = [
        f"{units.UNIT_MEASURES[name](layer).sum():,}" if units.applies(layer, name) else "-"
        for name in ("dead", "nearly_dead", "always_negative")
    ]
    return [
        site.name,
        function,
        f"{site.units:,}",
        *counts,
        f"{100 * units.zero_fraction(layer):.1f}",
    ]


def health_table(diagnosis: Diagnosis) -> Table:
    """Returns the table of a health check: one row for each layer."""
    legend = LAYER_LEGEND.replace("; ", "\n")
    table = _table(f"{diagnosis.model}, on {counted(diagnosis.inputs, 'input')}", legend)
    for number, name in enumerate(LAYER_COLUMNS):
        head = name.replace("saturated", "satu-\nrated").replace("nearly ", "nearly\n")
        table.add_column(head, justify="left" if number < 2 else "right")
    for row in layer_rows(diagnosis):
        table.add_row(*map(Text, row))
    return table


def study_table(runs: Runs) -> Table:
    """Returns the table of a study: one row for each combination of settings."""
    groups = runs.groups()
    names = differing([group[0].config for group in groups])
    images = runs[0].record.train_images
    table = _table(
        f"{runs[0].record.dataset}, {runs.seed_words()}",
        f"means over seeds; dead, by layer: no gradient on all {images:,} training images"
        + (f"\n{MOST_GROUPS} of {len(groups):,} rows" if len(groups) > MOST_GROUPS else ""),
    )
    for name in ("activation", *map(words_of, names)):
        table.add_column(name)
    for name in ("runs", "validation %", "test %", "dead %"):
        table.add_column(name, justify="right")
    for group in groups[:MOST_GROUPS]:
        settings = [value_words(getattr(group[0].config, name)) for name in names]
        table.add_row(group[0].config.title, *settings, *_study_numbers(group))
    return table


def _study_numbers(group: Runs) -> list[str]:
    (row,) = group.summary().to_dict("records")
    if row["diverged"]:
        return [str(len(group)), f"{row['diverged']} diverged", "-", "-"]
    validation = [100 * run.record.epochs[-1].validation_accuracy for run in group]
    dead = " / ".join(f"{100 * share:.1f}" for share in row["dead_confirmed"])
    numbers = [f"{sum(validation) / len(group):.2f}", f"{100 * row['test_accuracy']:.2f}"]
    return [str(len(group)), *numbers, dead]


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Returns the table of the verdicts of one comparison."""
    measure = verdicts[0].measure
    title = f"{measure.label}, difference from {verdicts[0].baseline}"
    unit = f", {measure.unit}" if measure.unit else ""
    table = _table(f"{verdicts[0].where}\n{title}{unit}")
    table.add_column("\nactivation", no_wrap=True)
    for head in ("\nmean", "95 %\ninterval", "p\n(Holm)", "p\n(signs)", "chance\nbetter", "\nn"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in verdicts:
        table.add_row(*map(Text, _verdict_row(one)))
    return table


def _verdict_row(one: Verdict) -> list[str]:
    found = one.paired
    if one.problem:
        return [one.name, *["-"] * 5, f"{found.n}"]
    interval, share = f"{one.amount(found.low)} to {one.amount(found.high)}", "-"
    if one.measure.better != "neither":
        share = f"{100 * found.probability_of_improvement:.0f} %"
    numbers = (one.p_holm, found.p_sign_flip)
    p_values = ["-" if math.isnan(p) else f"{p:.2g}" for p in numbers]
    shown_interval = interval if found.n > 1 else "-"
    return [one.name, one.amount(found.mean), shown_interval, *p_values, share, f"{found.n}"]

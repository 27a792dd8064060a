"""Measures over the epochs: every seed thin, their mean thick, named where it ends."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.census import units
from lab.errors import unknown
from lab.experiment import Dataset, RunConfig
from lab.plots import touch
from lab.plots.canvas import Limits, Values, axes, in_lines, log_scale, whole_epochs
from lab.plots.palette import PAPER
from lab.plots.styles import Style, check_some, styles_of
from lab.runs import BY_TASK, CURVES, Run, Runs, by_task, data_of, layer_words, recorded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REDUNDANCY_CURVES = ("clones_fraction", "effective_rank", "stable_rank")
LINE_INCHES = 0.22
BESIDE = 20  # Letters of a line beside the curves: `learning rate 0.005` stays on one.
DIVERGED = " (diverged)"
SEED: Any = {"lw": 0.9, "alpha": 0.5}


def learning_curves(
    runs: Runs, measure: str = "validation_accuracy", ax: "Axes | None" = None
) -> "Axes":
    """Draws a loss or accuracy over the epochs: every seed thin, their mean thick.

    Args:
        runs: The runs; those that differ only in their seed share a colour and a line style.
        measure: One of `CURVES`. In epoch 0 training values are measured on the probe set.
        ax: Where to draw.

    Raises:
        InputError: If there is no such measure, or if there are no runs.
    """
    if measure not in CURVES:
        raise unknown("measure", measure, CURVES)
    return curves(_grouped(runs, lambda run: recorded(run, measure)), measure, ax=ax)


def dead_neurons(
    runs: Runs, layer: int, measure: str = "dead_fraction", ax: "Axes | None" = None
) -> "Axes":
    """Draws the share of a layer's neurons that are dead over the epochs, on the probe set.

    A ring at the end is the mean share that is dead on all training images.

    Args:
        runs: The runs.
        layer: The hidden layer, from 1.
        measure: Another measure of a layer, one of `units.LAYER_MEASURES`.
        ax: Where to draw.

    Raises:
        InputError: If there is no such measure, or if there are no runs.
        RunError: If a run has no such layer.
    """
    if measure not in units.LAYER_MEASURES:
        raise unknown("measure", measure, units.LAYER_MEASURES)
    groups = _grouped(runs, lambda run: recorded(run, measure, layer))
    with axes(ax) as ax:
        if measure == "dead_fraction":
            _ring_confirmed(ax, runs, layer)
        return curves(groups, measure, layer, ax)


def redundancy(
    runs: Runs,
    layer: int,
    measure: str = "clones_fraction",
    dataset: Dataset | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws how many units of a layer are clones, or its rank, over the epochs, on the probe set.

    Args:
        runs: Runs that kept the weights of every epoch.
        layer: The hidden layer, from 1.
        measure: One of `REDUNDANCY_CURVES`: `clones_fraction`, the share of the units that could be
            taken away so that one of each group of clones is left, `effective_rank` or
            `stable_rank`.
        dataset: What the runs were trained on; by default it is loaded by its name.
        ax: Where to draw.

    Raises:
        InputError: If there is no such measure, or if there are no runs.
        RunError: If a run has no such layer, if it did not keep the weights of every epoch, or if
            the data set is another one.
    """
    if measure not in REDUNDANCY_CURVES:
        raise unknown("measure", measure, REDUNDANCY_CURVES)
    for run in runs:
        run.check_unit(layer, 0)
        run.weights(0)  # Refuses runs without the weights of every epoch, before any work.
    data, name = data_of(dataset), measure.removesuffix("_fraction")

    def values(run: Run) -> Values:
        of = [run.redundancy(data(run), epoch)[layer - 1] for epoch in range(run.last_epoch + 1)]
        units = run.layout.widths[layer - 1] if measure != name else 1
        return np.array([found[name] for found in of]) / units

    return curves(_grouped(runs, values), measure, layer, ax)


def over_tasks(
    runs: Runs, measure: str = "online_accuracy", layer: int = 1, ax: "Axes | None" = None
) -> "Axes":
    """Draws a measure over the tasks that runs learn: every seed thin, their mean thick.

    Args:
        runs: Runs that learn tasks.
        measure: One that `measures.by_task` takes.
        layer: The hidden layer of a layer's measure, from 1.
        ax: Where to draw. Task 0 is the untrained network, shown the first task.

    Raises:
        InputError: If there is no such measure, or if there are no runs.
        RunError: If a run has no such layer.
    """
    groups = _grouped(runs, lambda run: by_task(run, measure, layer))
    with axes(ax) as ax:
        curves(groups, measure, layer, ax).set_xlabel("task")
    return ax


def survival(runs: Runs, layer: int, ax: "Axes | None" = None) -> "Axes":
    """Draws the share of a layer's neurons that were never dead so far, on the probe set.

    Args:
        runs: The runs.
        layer: The hidden layer, from 1.
        ax: Where to draw.

    Raises:
        InputError: If there are no runs.
        RunError: If a run has no such layer.
    """
    groups = _grouped(runs, lambda run: run.lives(layer).survival)
    return curves(groups, "never_dead_fraction", layer, ax)


def _grouped(runs: Runs, values: Callable[[Run], Values]) -> dict[RunConfig, list[Values]]:
    check_some(runs)
    return {group[0].config: [values(run) for run in group] for group in runs.groups()}


def _ring_confirmed(ax: "Axes", runs: Runs, layer: int) -> None:
    groups = runs.groups()
    for group, style in zip(groups, styles_of([g[0].config for g in groups]), strict=True):
        shares = [100 * run.confirmed_fractions()[layer - 1] for run in group]
        at = [group[0].last_epoch], [np.mean(shares)]
        ax.plot(*at, "o", mfc=PAPER, mec=style.colour, ms=8, zorder=3)


def curves(
    groups: Mapping[RunConfig, Sequence[Values]],
    measure: str,
    layer: int = 1,
    ax: "Axes | None" = None,
    limits: Limits | None = None,
    live: bool = False,
) -> "Axes":
    """Draws a measure over the epochs, of runs recorded or still in training.

    Args:
        groups: For each kind of run (its settings, whatever the seed) the curve of every seed,
            arrays of shape (epochs,), from epoch 0.
        measure: One of `CURVES` or of `units.LAYER_MEASURES`.
        layer: The hidden layer of a layer's measure, from 1.
        ax: Where to draw.
        limits: What the axes show, from left to right and from bottom to top; by default what
            fits the curves.
        live: Whether the axes show all epochs asked for, and change in few large steps while the
            curves grow; a legend elsewhere names the curves.
    """
    scale = _scale(measure)
    with axes(ax) as ax:
        looks = zip(styles_of(list(groups)), groups.values(), strict=True)
        ends = [_draw_group(ax, style, seeds, scale) for style, seeds in looks]
        whole_epochs(ax)
        ax.set_ylabel(axis_label(measure, layer, list(groups)))
        _set_scale(ax, measure, [end for end, _ in ends if np.isfinite(end)])
        if limits is not None:
            ax.set(xlim=limits[0], ylim=limits[1])
        if live:
            _hold_still(ax, measure, max(config.epochs for config in groups))
        else:
            label_ends(ax, ends)
    return ax


def renew(ax: "Axes", groups: Mapping[RunConfig, Sequence[Values]], measure: str) -> None:
    """Gives the curves of a live picture the values that are known now.

    Moving its lines takes half the time of drawing it again.

    Args:
        ax: What `curves` has drawn, live, of the same groups and as many seeds.
        groups: As for `curves`.
        measure: As for `curves`.
    """
    lines, scale = iter(ax.lines), _scale(measure)
    for seeds in groups.values():
        mean = mean_curve(seeds)
        for values in (*seeds, mean):
            line = next(lines)
            line.set_data(np.arange(len(values)), scale * np.asarray(values))
        if len(mean) > 1:
            line.set_marker("")  # It was a dot while it had one point.
    _hold_still(ax, measure, max(config.epochs for config in groups))


def _scale(measure: str) -> float:
    return 100.0 if measure.endswith(("accuracy", "fraction")) else 1.0


# Where the axes of a live figure may end: they change in these steps only.
ACCURACIES_FROM = ((97.0, 90.0), (90.0, 80.0))  # Once all are as good as the first.
SHARES_TO = (5.0, 10.0, 25.0, 50.0, 100.0)


def _hold_still(ax: "Axes", measure: str, epochs: int) -> None:
    """Gives the axes limits that stay while the curves grow, or change in few large steps."""
    from matplotlib.ticker import LogLocator

    values = np.array([y for line in ax.lines for y in np.asarray(line.get_ydata(), float)])
    values = values[np.isfinite(values)]
    least, most = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    if measure.endswith("loss"):
        decades = (math.floor(math.log10(max(least, 1e-12))), math.ceil(math.log10(max(most, 1))))
        ax.set_ylim(10.0 ** min(decades[0], -1), 3 * 10.0 ** max(decades[1] - 1, 0))
        if most > ax.get_ylim()[1]:
            ax.set_ylim(top=10.0 ** decades[1])
        if ax.get_ylim()[1] / ax.get_ylim()[0] > 400:
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0,), numticks=8))
    elif measure.endswith("accuracy"):
        last = [np.asarray(line.get_ydata(), float)[-1] for line in ax.lines]
        ax.set_ylim(next((low for good, low in ACCURACIES_FROM if min(last) >= good), 0.0), 100.0)
    elif measure.endswith("fraction"):
        top = next((high for high in SHARES_TO if most <= high), 100.0)
        ax.set_ylim(-0.02 * top, top)
    ax.set_xlim(-0.02 * epochs, 1.02 * epochs)


def _draw_group(
    ax: "Axes", style: Style, seeds: Sequence[Values], scale: float
) -> tuple[float, Style]:
    """Draws curves of one style; returns where their mean ends, and the style to name it with."""
    for curve in seeds:
        thin = ax.plot(scale * np.asarray(curve), ls=style.line, color=style.colour, **SEED)
        touch.mark(touch.RUN, style.label, *thin)
    mean = scale * mean_curve(seeds)
    dot = "" if len(mean) > 1 else style.marker  # A line of one point has no length.
    thick = ax.plot(mean, ls=style.line, marker=dot, color=style.colour, lw=3, ms=8)
    touch.mark(touch.MEAN, style.label, *thick)
    if any(not np.isfinite(curve).all() for curve in seeds):
        style = replace(style, label=f"{style.label}{DIVERGED}")
    finite = mean[np.isfinite(mean)]
    return float(finite[-1]) if len(finite) else np.nan, style


def axis_label(measure: str, layer: int = 1, configs: Sequence[RunConfig] = ()) -> str:
    """Returns the words for a measure on an axis; the layer has a name if all networks agree."""
    named = CURVES | BY_TASK
    if measure in named:
        return named[measure]
    share = measure.endswith("_fraction")
    names = {config.layer_words(layer) for config in configs}
    name = names.pop() if len(names) == 1 else f"layer {layer}"
    return f"{layer_words(measure)}, {'% of ' if share else ''}{name}"


def _set_scale(ax: "Axes", measure: str, ends: Sequence[float]) -> None:
    """Makes losses logarithmic, accuracies begin well below the lowest end, shares at 0."""
    from matplotlib.ticker import LogLocator, NullLocator

    if measure.endswith("loss"):
        log_scale(ax)
        low, high = ax.get_ylim()
        subs = (1.0, 2.0, 5.0) if high / low < 1e4 else (1.0,)
        ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        ax.yaxis.set_minor_locator(NullLocator())
    elif measure.endswith("accuracy"):
        ax.set_ylim(max(0.0, 100 - 4 * max(100 - min(ends, default=0.0), 1.0)), 100.0)
    elif measure.endswith("fraction"):
        top = max(ax.get_ylim()[1], 2.0)
        ax.set_ylim(-0.02 * top, top)


def mean_curve(seeds: Sequence[Values]) -> Values:
    """Returns the mean over seeds; NaN wherever a seed has ended or has no finite value."""
    longest = max(map(len, seeds))
    padded = [np.pad(c, (0, longest - len(c)), constant_values=np.nan) for c in seeds]
    return np.asarray(np.mean(padded, axis=0))


def label_ends(ax: "Axes", ends: list[tuple[float, Style]]) -> None:
    """Names each curve at its right end, with a piece of its line; names keep a distance."""
    low, high = ax.get_ylim()
    scale = np.log if ax.get_yscale() == "log" else np.asarray
    bottom, top = scale(low), scale(high)
    shown = sorted(((end if np.isfinite(end) else low, style) for end, style in ends), key=_end)
    wanted = [float(np.clip((scale(end) - bottom) / (top - bottom), 0, 1)) for end, _ in shown]
    names = [in_lines(style.label, BESIDE) for _, style in shown]
    line = LINE_INCHES * ax.figure.dpi / ax.get_window_extent().height
    line = min(line, 0.98 / max(sum(map(_lines, names)), 1))
    heights = _apart(wanted, [line * _lines(name) for name in names], 1 + line / 2)
    beyond = _inches_beyond(ax)
    for height, name, (_, style) in zip(heights, names, shown, strict=True):
        piece = [height, height]
        drawn = ax.plot(
            [0.08, 0.5],
            piece,
            ls=style.line,
            color=style.colour,
            lw=3,
            transform=beyond,
            clip_on=False,
        )
        text = ax.text(0.58, height, name, transform=beyond, va="center", linespacing=1.0)
        touch.mark(touch.NAME, style.label.removesuffix(DIVERGED), text, *drawn)


def _lines(text: str) -> int:
    return 1 + text.count("\n")


def _end(pair: tuple[float, Style]) -> float:
    return pair[0]


def _apart(wanted: Sequence[float], sizes: Sequence[float], top: float) -> list[float]:
    """Moves the middles of names, from the lowest on, up and then down until none overlap."""
    placed: list[float] = []
    for number, (middle, size) in enumerate(zip(wanted, sizes, strict=True)):
        floor = placed[-1] + (sizes[number - 1] + size) / 2 if placed else -np.inf
        placed.append(max(middle, floor))
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], top - sizes[number] / 2)
        top = placed[number] - sizes[number] / 2
    return placed


def _inches_beyond(ax: "Axes") -> Any:
    """Returns where x is in inches from the right edge, so that a layout is right at once."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    edge: Any = ax.transAxes
    from_edge = ax.figure.dpi_scale_trans + ScaledTranslation(1, 0, edge)
    return blended_transform_factory(from_edge, edge)

"""Pictures of functions and of recorded runs, each on one pair of Matplotlib axes.

Every function takes `ax=None`, draws on it or on axes of its own, and returns the axes. Nothing
here trains, and nothing calls `pyplot`. An activation function keeps its colour and line style in
every picture; thin lines are seeds, thick lines their mean. To save a picture: `ax.figure.savefig`.
"""

import html
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab import activations, lives, measures, stats, units
from lab.activations import LINES, OKABE_ITO
from lab.config import RunConfig
from lab.errors import InputError, unknown
from lab.measures import CURVES, layer_words, recorded
from lab.runs import Run
from lab.stats import Verdict
from lab.tables import Runs, differences

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
Limits = tuple[tuple[float, float], tuple[float, float]]
MARKERS = "osD^vPX*"
STYLE: Mapping[str, Any] = {
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # To look for a free place above the ticks takes a tenth of a drawing.
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # A name from a file is text, never a formula.
    "svg.hashsalt": "activation-lab",  # One picture, one file: its ids do not depend on chance.
}


@contextmanager
def style() -> Iterator[None]:
    """Draws in the lab's style inside a `with` block."""
    import matplotlib

    settings: Any = dict(STYLE)
    inside = matplotlib.rcParams["svg.hashsalt"] == STYLE["svg.hashsalt"]
    # To enter twice changes nothing, and costs a portrait a tenth of its time.
    with nullcontext() if inside else matplotlib.rc_context(settings):
        yield


@contextmanager
def axes(ax: "Axes | None", size: tuple[float, float] = (7.0, 4.3)) -> Iterator["Axes"]:
    """Gives the axes to draw on, in the lab's style: those given, or some of their own."""
    from matplotlib.figure import Figure

    with style():
        yield ax if ax is not None else Figure(figsize=size).subplots()


@dataclass(frozen=True)
class _Look:
    """How a group of runs, or a function, is drawn."""

    label: str
    colour: str
    line: str


def functions(
    choices: Iterable[str] = ("relu", "leaky_relu", "elu"),
    derivative: bool = False,
    ax: "Axes | None" = None,
    reach: float = 4.0,
) -> "Axes":
    """Draws several activation functions f(z), or their derivatives f'(z), around z = 0.

    Args:
        choices: Names, each with a parameter if wanted: `leaky_relu=0.1`.
        derivative: Whether to draw f' in place of f.
        ax: Where to draw.
        reach: The largest |z|.

    Raises:
        InputError: If a name or a parameter is not valid.
    """
    configs = [RunConfig(activation=choice) for choice in choices]
    z = np.linspace(-reach, reach, 801)
    with axes(ax) as ax:
        for config, look in zip(configs, looks_of(configs), strict=True):
            f = config.function.derivative if derivative else config.function.function
            parameter = config.parameter or 0.0
            values = broken(f(z, parameter)) if derivative else f(z, parameter)
            ax.plot(z, values, look.line, color=look.colour, lw=2.5, label=look.label)
        ax.set(xlabel="pre-activation z", ylabel="gate f'(z)" if derivative else "activation f(z)")
        if configs:
            ax.legend(handlelength=3)
    return ax


def function_pair(choices: Iterable[str], z: NDArray[Any] | None = None) -> "Figure":
    """Draws activation functions on the left and their derivatives on the right.

    Args:
        choices: Names, each with a parameter if wanted.
        z: Pre-activations of any shape, drawn as a histogram behind the curves. Both reach as far
            as 99 % of them.
    """
    choices = list(choices)
    reach = 4.0 if z is None else _reach(z)
    figure = fixed_figure((11, 4), left=0.06, right=0.94, bottom=0.14, top=0.97, wspace=0.3)
    with style():
        for ax, derivative in zip(figure.subplots(1, 2), (False, True), strict=True):
            functions(choices, derivative, ax, reach)
            if derivative and (legend := ax.get_legend()):
                legend.remove()  # The one on the left speaks for both.
            if z is not None:
                _histogram_behind(ax, z, reach)
    return figure


def fixed_figure(size: tuple[float, float], **edges: float) -> "Figure":
    """Returns a figure whose axes stand where they are told: drawn in a third of the time."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=size, constrained_layout=False)
        figure.subplots_adjust(**edges)
    return figure


def _reach(z: NDArray[Any]) -> float:
    finite = np.abs(z[np.isfinite(z)])
    return max(4.0, math.ceil(np.percentile(finite, 99))) if finite.size else 4.0


def _histogram_behind(ax: "Axes", z: NDArray[Any], reach: float) -> None:
    behind = ax.twinx()
    counts, edges = np.histogram(z, bins=100, range=(-reach, reach))
    behind.stairs(100 * counts / z.size, edges, fill=True, color="#bbbbbb", alpha=0.6)
    behind.set_ylabel("share of pre-activations, %")
    behind.grid(visible=False)
    behind.spines["right"].set_visible(True)
    ax.set_zorder(behind.get_zorder() + 1)
    ax.patch.set_visible(False)


def with_derivative(choice: str, ax: "Axes | None" = None) -> "Axes":
    """Draws one activation function, thick, and its derivative, thin and black.

    Args:
        choice: Its name, with a parameter if wanted.
        ax: Where to draw.
    """
    config = RunConfig(activation=choice)
    f, parameter = config.function, config.parameter or 0.0
    z = np.linspace(-4.0, 4.0, 801)
    with axes(ax, (4.5, 4.0)) as ax:
        ax.plot(z, f.function(z, parameter), color=f.colour, lw=4, label="f(z)")
        ax.plot(z, broken(f.derivative(z, parameter)), color="black", lw=1.4, label="f'(z)")
        ax.set(title=config.title, xlim=(-4, 4), ylim=(-1.9, 4), xlabel="z")
    return ax


def broken(values: NDArray[Any]) -> NDArray[Any]:
    """Breaks a line where it jumps, so that a jump is not drawn as a slope."""
    steps = np.abs(np.diff(values, prepend=values[0], append=values[-1]))
    beside = np.maximum(steps[:-2], steps[2:])
    jumps = (steps[1:-1] > 0.1) & (steps[1:-1] > 5 * beside)
    return np.where(np.append(jumps, False), np.nan, values)


def learning_curves(
    runs: Runs, measure: str = "validation_accuracy", ax: "Axes | None" = None
) -> "Axes":
    """Draws a loss or accuracy over the epochs: every seed thin, their mean thick.

    Args:
        runs: The runs; those that differ in their seed alone share a colour and a line style.
        measure: One of `CURVES`. Of epoch 0 training values are measured on the probe set.
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


def flows(run: Run, layer: int, ax: "Axes | None" = None) -> "Axes":
    """Draws how many neurons of a layer died and revived in each epoch, and how many are dead.

    Bars up: died (in epoch 0: born dead); hatched bars down: revived; line: dead, on the probe set.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        ax: Where to draw.

    Raises:
        RunError: If the run has no such layer.
    """
    lived = run.lives(layer)
    died, revived, dead = (f.sum(axis=1) for f in (lived.died, lived.revived, lived.dead))
    died[0] = lived.born_dead.sum()
    epochs = range(len(dead))
    with axes(ax) as ax:
        ax.bar(epochs, died, color=OKABE_ITO["vermillion"], label="died")
        ax.bar(epochs, -revived, color=OKABE_ITO["sky blue"], hatch="//", label="revived")
        ax.plot(epochs, dead, "o-", color="black", label="dead")
        ax.axhline(0, color="black", lw=1)
        ax.set(title=f"{run.config.title}, layer {layer}", ylabel="neurons")
        ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
        whole_epochs(ax)
    return ax


def _grouped(runs: Runs, values: Callable[[Run], Values]) -> dict[RunConfig, list[Values]]:
    _some(runs)
    return {group[0].config: [values(run) for run in group] for group in runs.groups()}


def _ring_confirmed(ax: "Axes", runs: Runs, layer: int) -> None:
    groups = runs.groups()
    for group, look in zip(groups, looks_of([g[0].config for g in groups]), strict=True):
        shares = [100 * run.confirmed_fractions()[layer - 1] for run in group]
        at = [group[0].last_epoch], [np.mean(shares)]
        ax.plot(*at, "o", mfc="white", mec=look.colour, ms=8, zorder=3)


def curves(
    groups: Mapping[RunConfig, Sequence[Values]],
    measure: str,
    layer: int = 1,
    ax: "Axes | None" = None,
    limits: Limits | None = None,
) -> "Axes":
    """Draws a measure over the epochs, of runs recorded or still in training.

    Args:
        groups: For each kind of run (its settings, whatever the seed) the curve of every seed,
            arrays of shape (epochs,), from epoch 0.
        measure: One of `CURVES` or of `units.LAYER_MEASURES`.
        layer: The hidden layer that a layer's measure is of, from 1.
        ax: Where to draw.
        limits: What the axes show, from left to right and from bottom to top; by default what
            fits the curves.
    """
    scale = 100.0 if measure.endswith(("accuracy", "fraction")) else 1.0
    with axes(ax) as ax:
        ends = []
        for own, seeds in zip(looks_of(list(groups)), groups.values(), strict=True):
            look = own
            for curve in seeds:
                ax.plot(scale * np.asarray(curve), color=look.colour, lw=0.9, alpha=0.5)
            mean = scale * _mean_curve(seeds)
            ax.plot(mean, look.line, color=look.colour, lw=3)
            finite = mean[np.isfinite(mean)]
            if any(not np.isfinite(curve).all() for curve in seeds):
                look = replace(look, label=f"{look.label} (diverged)")
            ends.append((float(finite[-1]) if len(finite) else np.nan, look))
        whole_epochs(ax)
        ax.set_ylabel(axis_label(measure, layer))
        _set_scale(ax, measure, [end for end, _ in ends if np.isfinite(end)])
        if limits is not None:
            ax.set(xlim=limits[0], ylim=limits[1])
        _label_ends(ax, ends)
    return ax


def axis_label(measure: str, layer: int = 1) -> str:
    """Returns the words for a measure on an axis."""
    if measure in CURVES:
        return CURVES[measure]
    share = measure.endswith("_fraction")
    return f"{layer_words(measure)}, {'% of ' if share else ''}layer {layer}"


def _set_scale(ax: "Axes", measure: str, ends: Sequence[float]) -> None:
    """Losses are logarithmic, accuracies begin well below the lowest end, shares begin at 0."""
    from matplotlib.ticker import LogLocator, NullLocator

    if measure.endswith("loss"):
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        subs = (1.0, 2.0, 5.0) if high / low < 1e4 else (1.0,)
        ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter("{x:g}")  # Powers of ten would need formulas.
    elif measure.endswith("accuracy"):
        ax.set_ylim(max(0.0, 100 - 4 * max(100 - min(ends, default=0.0), 1.0)), 100.0)
    elif measure.endswith("fraction"):
        top = max(ax.get_ylim()[1], 2.0)
        ax.set_ylim(-0.02 * top, top)


def _mean_curve(seeds: Sequence[Values]) -> Values:
    """Returns the mean over seeds; NaN wherever a seed has ended or has no finite value."""
    longest = max(map(len, seeds))
    padded = [np.pad(c, (0, longest - len(c)), constant_values=np.nan) for c in seeds]
    return np.asarray(np.mean(padded, axis=0))


def _label_ends(ax: "Axes", ends: list[tuple[float, _Look]]) -> None:
    """Names each curve at its right end, with a piece of its line; names keep a distance."""
    low, high = ax.get_ylim()
    scale = np.log if ax.get_yscale() == "log" else np.asarray
    bottom, top = scale(low), scale(high)
    gap = min(0.09, 0.98 / max(len(ends), 1))
    placed: list[tuple[float, _Look]] = []
    shown = [(end if np.isfinite(end) else low, look) for end, look in ends]
    for end, look in sorted(shown, key=lambda pair: pair[0]):
        wanted = float(np.clip((scale(end) - bottom) / (top - bottom), 0, 1))
        placed.append((max([wanted] + [at + gap for at, _ in placed[-1:]]), look))
    for above, (at, look) in enumerate(reversed(placed)):
        height = min(at, 1.0 - above * gap)  # Names that would stand above the axes move down.
        ax.plot(
            [1.02, 1.16],
            [height, height],
            look.line,
            color=look.colour,
            lw=3,
            transform=ax.transAxes,
            clip_on=False,
        )
        ax.text(1.18, height, look.label, transform=ax.transAxes, va="center")


GATE = OKABE_ITO["vermillion"]
LIFE_MARKERS = "oDsXP"
LIFE_COLOURS = ("#f0f0f0", OKABE_ITO["sky blue"], OKABE_ITO["orange"], "#000000", "#CC79A7")


def heat_map(
    mean: "pd.DataFrame",
    spread: "pd.DataFrame",
    title: str,
    ax: "Axes",
    empty: NDArray[np.bool_] | None = None,
) -> "Axes":
    """Draws a table of percentages as coloured cells, with each mean ± spread written in.

    Args:
        mean: The colours, 0 to 100; grey where NaN. Its index and columns name the axes.
        spread: Of the same shape; not written where NaN.
        title: What the numbers are.
        ax: Where to draw.
        empty: Which cells have no run; by default none, so that NaN means a run that diverged.
    """
    scale = _map_scale()
    with axes(ax) as ax:
        ax.grid(visible=False)
        values, around = mean.to_numpy(float), spread.to_numpy(float)
        ax.imshow(values, cmap=scale, vmin=0, vmax=100, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            words = "diverged" if np.isnan(value) else f"{value:.1f}"
            if empty is not None and empty[row, column]:
                words = "no run"
            if not np.isnan(around[row, column]):
                words += f"\n± {around[row, column]:.1f}"
            colour = "black" if value > 55 or np.isnan(value) else "white"
            ax.text(column, row, words, ha="center", va="center", color=colour, fontsize=10)
        ax.set_xticks(range(mean.shape[1]), mean.columns)
        ax.set_yticks(range(mean.shape[0]), mean.index)
        ax.set(title=title, xlabel=words_of(mean.columns.name), ylabel=words_of(mean.index.name))
    return ax


def map_colour(percent: float) -> str:
    """Returns the colour of a cell of a heat map, as CSS writes it."""
    from matplotlib.colors import to_hex

    return to_hex(_map_scale()(percent / 100))


def _map_scale() -> Any:
    from matplotlib import colormaps

    return colormaps["cividis"].with_extremes(bad="#999999")


def by_depth(
    groups: Mapping[RunConfig, NDArray[np.float64]],
    title: str,
    log: bool,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws a measure by layer, dashed before the training and solid after it.

    Args:
        groups: For each kind of network the values, shape (2, layers): before and after.
        title: What they are.
        log: Whether their axis is logarithmic.
        ax: Where to draw.
    """
    with axes(ax) as ax:
        looks = zip(groups.values(), looks_of(list(groups)), itertools.cycle(MARKERS))
        for (before, after), look, marker in looks:
            layers = np.arange(1, len(before) + 1)
            ax.plot(layers, before, "--", color=look.colour, marker=marker, mfc="white")
            ax.plot(layers, after, color=look.colour, marker=marker, lw=2.5, label=look.label)
        ax.plot([], "--", color="black", marker="o", mfc="white", label="untrained")
        _scale(ax, log)
        ax.set(title=title, xlabel="layer", xticks=layers)
    return ax


def layers_over_epochs(
    values: NDArray[np.float64], title: str, log: bool, ax: "Axes | None" = None
) -> "Axes":
    """Draws a measure of every layer over the epochs: first layers dark, last ones light.

    Args:
        values: Shape (epochs, layers), from epoch 0.
        title: What they are.
        log: Whether their axis is logarithmic.
        ax: Where to draw.
    """
    from matplotlib import colormaps

    with axes(ax) as ax:
        shades = colormaps["viridis"](np.linspace(0, 0.85, values.shape[1]))
        looks = zip(values.T, shades, itertools.cycle(MARKERS))
        for layer, (curve, shade, marker) in enumerate(looks, start=1):
            ax.plot(curve, color=shade, marker=marker, lw=2, label=f"layer {layer}")
        _scale(ax, log)
        whole_epochs(ax)
        ax.set_ylabel(title)
    return ax


def _scale(ax: "Axes", log: bool) -> None:
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")  # Powers of ten would need formulas.
    else:
        ax.set_ylim(bottom=0)


def removal(curve: "pd.DataFrame", ax: "Axes | None" = None) -> "Axes":
    """Draws test accuracy against the share of hidden neurons that were taken out.

    Args:
        curve: What `surgery.removal_curve` returns.
        ax: Where to draw.
    """
    with axes(ax) as ax:
        looks = zip(("-", "--", ":"), "osD", ("blue", "orange", "green"), strict=True)
        for (order, part), (line, marker, colour) in zip(
            curve.groupby("order", sort=False), looks, strict=False
        ):
            x, y = 100 * part.share, 100 * part.test_accuracy
            ax.plot(x, y, line, marker=marker, color=OKABE_ITO[colour], lw=2.5, label=order)
        ax.set(xlabel="hidden neurons taken out, %", ylabel="test accuracy, %", ylim=(0, 102))
        ax.legend(title="which first", handlelength=4)
    return ax


def words_of(setting: Any) -> str:
    """Returns the name of a setting as words: `learning_rate` as `learning rate`."""
    return str(setting).replace("_", " ")


def life_map(run: Run, layer: int, ax: "Axes | None" = None, legend: bool = True) -> "Axes":
    """Draws the neurons of a layer, a row each, over the epochs, a column each.

    Only neurons that are not plainly alive at some epoch have a row; the title counts them. Rows
    are sorted by the state at the last epoch, then by the epochs that the neuron is dead.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        ax: Where to draw.
        legend: Whether to explain the colours beside the map.

    Raises:
        RunError: If the run has no such layer.
    """
    from matplotlib.colors import ListedColormap

    states = lives.states(run.layer(layer))
    epochs, neurons = states.shape
    eventful = states[:, states.any(axis=0)]
    dead_epochs = (eventful == lives.STATES.index("dead")).sum(axis=0)
    order = np.lexsort([-dead_epochs, -eventful[-1]])
    with axes(ax) as ax:
        ax.grid(visible=False)
        ax.imshow(
            eventful[:, order].T,
            cmap=ListedColormap(LIFE_COLOURS),
            vmin=0,
            vmax=len(lives.STATES) - 1,
            aspect="auto",
            interpolation="nearest",
            extent=(-0.5, epochs - 0.5, max(len(order), 1), 0),
        )
        title = f"{run.config.title}, layer {layer}: {len(order)} of {neurons}"
        ax.set(title=title, ylabel="neurons, a row each")
        whole_epochs(ax)
        if legend:
            ax.legend(handles=life_legend(states), loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def life_legend(states: NDArray[np.int8]) -> list[Any]:
    """Returns legend entries for the states that occur, alive included."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=LIFE_COLOURS[state], edgecolor="#777777", label=lives.STATES[state])
        for state in np.union1d(states, [0])
    ]


def whole_epochs(ax: "Axes") -> None:
    """Makes the horizontal axis one of epochs."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    ax.set_xlabel("epoch")


def accuracy_against_dead(runs: Runs, ax: "Axes | None" = None) -> "Axes":
    """Draws each run's test accuracy against its share of dead hidden neurons.

    Dead on all training images, over all hidden layers together. Runs of one activation function
    share colour and marker; large: the mean of each learning rate, named where there is room.

    Args:
        runs: Runs that have ended.
        ax: Where to draw.

    Raises:
        InputError: If there are no runs.
    """
    _some(runs)
    by_title = _by_title(runs)
    means: dict[tuple[float, float], str] = {}
    with axes(ax) as ax:
        looks = looks_of([group[0].config for group in by_title.values()])
        for (title, group), look, marker in zip(by_title.items(), looks, itertools.cycle(MARKERS)):
            points = np.array([_point(run) for run in group])
            ends = {tuple(np.mean([_point(r) for r in g], axis=0)): g for g in group.groups()}
            means |= {end: f"{g[0].config.learning_rate:g}" for end, g in ends.items()}
            ax.plot(*points.T, marker, mfc="none", mec=look.colour, ms=6)
            line = np.array(list(ends))
            ax.plot(*line.T, look.line, marker=marker, color=look.colour, ms=10, label=title)
        ax.set(xlabel="hidden neurons dead on all training images, %", ylabel="test accuracy, %")
        ax.legend(handlelength=4)
        if len({run.config.learning_rate for run in runs}) > 1:
            _label_where_there_is_room(ax, means)
    return ax


def _by_title(runs: Runs) -> dict[str, Runs]:
    """Returns the runs of each activation function, by its title, in the order of their rates."""
    by_title: dict[str, Runs] = {}
    for run in sorted(runs, key=lambda run: run.config.learning_rate):
        by_title[run.config.title] = Runs([*by_title.get(run.config.title, ()), run])
    return by_title


def over_rates(
    runs: Runs,
    measure: str = "validation_accuracy",
    layer: int | None = None,
    only: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws a measure at the end over the learning rates: every seed small, their mean large.

    A ring is at the best learning rate, chosen on validation; see `stats.best_rates`. A cross at
    the bottom is at a rate with a run that diverged.

    Args:
        runs: Runs that have ended and differ in activation function, learning rate and seed.
        measure: One of `measures.NAMES`.
        layer: The hidden layer of a layer's measure, from 1.
        only: The title of an activation function, such as `ReLU`: all others are grey lines.
        ax: Where to draw.

    Raises:
        InputError: If there is no such measure, layer or activation function, or no runs.
    """
    _some(runs)
    wanted, by_title = measures.measure(measure, layer), _by_title(runs.in_order())
    if only is not None and only not in by_title:
        raise unknown("activation function", only, by_title)
    order = sorted(by_title, key=lambda title: title == only)  # The one in colour is on top.
    looks = dict(zip(by_title, looks_of([g[0].config for g in by_title.values()]), strict=True))
    markers = dict(zip(by_title, itertools.cycle(MARKERS)))
    best = {run.run_id for run in stats.at_best_rates(runs)}
    with axes(ax) as ax:
        ax.set_xscale("log")
        for title in order:
            rates = by_title[title].groups()
            x = [rate[0].config.learning_rate for rate in rates]
            means = np.array([np.mean([wanted.shown(run) for run in rate]) for rate in rates])
            if only not in (None, title):
                ax.plot(x, means, "-", color="#cccccc", lw=1.5)
                continue
            look = looks[title]
            points = [(run.config.learning_rate, wanted.shown(run)) for run in by_title[title]]
            ax.plot(*zip(*points, strict=True), ".", color=look.colour, ms=5, alpha=0.6)
            line: dict[str, Any] = {
                "color": look.colour,
                "lw": 2.5,
                "marker": markers[title],
                "ms": 8,
            }
            ax.plot(x, means, look.line, label=title, **line)
            ringed = [place for place, rate in enumerate(rates) if rate[0].run_id in best]
            ring: dict[str, Any] = {"mfc": "none", "mec": "black", "mew": 1.5}
            ax.plot(np.take(x, ringed), means[ringed], "o", ms=16, **ring)
            lost = np.array(x)[np.isnan(means)]
            at = ax.get_xaxis_transform()
            ax.plot(
                lost, np.full(len(lost), 0.03), "x", color=look.colour, ms=9, mew=2, transform=at
            )
        _rate_axis(ax, {run.config.learning_rate for run in runs})
        ax.set_ylabel(wanted.axis)
        if only is None:
            ax.legend(handlelength=4)
        else:
            ax.set_title(only)
    return ax


def _rate_axis(ax: "Axes", rates: Iterable[float]) -> None:
    """Names the learning rates that were run, unless they stand too close."""
    from matplotlib.ticker import NullLocator

    named: list[float] = []
    for rate in sorted(rates):
        if not named or rate >= 2.5 * named[-1]:
            named.append(rate)
    ax.set_xticks(named, [f"{rate:g}" for rate in named], rotation=45)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("learning rate")


def forest(verdicts: Sequence[Verdict], ax: "Axes | None" = None) -> "Axes":
    """Draws the paired differences of verdicts, a row each: seeds small, mean and 95 % interval.

    The mean is filled where the two can be told apart, and white where they cannot. With fewer
    than six seeds there is no interval.

    Args:
        verdicts: Verdicts on one measure.
        ax: Where to draw.

    Raises:
        InputError: If there are no verdicts, or they are on several measures.
    """
    labels = {verdict.measure.label for verdict in verdicts}
    if len(labels) != 1:
        told = f"on {len(labels)}: {', '.join(sorted(labels))}" if labels else "none"
        raise InputError(f"verdicts must be one or more on one measure, and they are {told}.")
    baselines = {verdict.baseline: verdict.against for verdict in verdicts}
    configs = baselines | {verdict.name: verdict.config for verdict in verdicts}
    looks = dict(zip(configs, looks_of(list(configs.values())), strict=True))
    markers = dict(zip(configs, itertools.cycle(MARKERS)))
    with axes(ax, (9.0, 1.6 + 0.75 * len(verdicts))) as ax:
        ax.axvline(0, color="black", lw=1)
        for row, verdict in enumerate(verdicts):
            _forest_row(ax, row, verdict, looks[verdict.name].colour, markers[verdict.name])
        ax.set_yticks(range(len(verdicts)), _row_names(verdicts))
        ax.set_ylim(len(verdicts) - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(_forest_axis(verdicts))
        _say_which_side_is_better(ax, verdicts[0].measure.better)
    return ax


def _forest_row(ax: "Axes", row: int, verdict: Verdict, colour: str, marker: str) -> None:
    found = verdict.paired
    seeds = found.differences[np.isfinite(found.differences)]
    ax.plot(seeds, np.full(len(seeds), row + 0.24), ".", color=colour, ms=7, alpha=0.6)
    if verdict.decidable:
        ax.plot([found.low, found.high], [row, row], "-", color=colour, lw=3)
    fill = colour if verdict.distinguishable else "white"
    ax.plot([found.mean], [row], marker, color=colour, mfc=fill, ms=10, mew=2)
    words = _forest_numbers(verdict)
    ax.text(1.02, row, words, transform=ax.get_yaxis_transform(), va="center", fontsize=11)


def _forest_numbers(verdict: Verdict) -> str:
    found = verdict.paired
    if verdict.problem:
        return "no verdict: diverged" if "diverged" in verdict.problem else "no verdict"
    if not verdict.decidable:
        return f"too few seeds, n = {found.n}"
    mean, low, high = map(verdict.amount, (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high}), n = {found.n}"


def _row_names(verdicts: Sequence[Verdict]) -> list[str]:
    """Names each row by its function; by where it was made, too, if that is not the same."""
    several = len({verdict.where for verdict in verdicts}) > 1
    return [f"{verdict.name}\n{verdict.where}" if several else verdict.name for verdict in verdicts]


def _forest_axis(verdicts: Sequence[Verdict]) -> str:
    measure, baselines = verdicts[0].measure, {verdict.baseline for verdict in verdicts}
    baseline = baselines.pop() if len(baselines) == 1 else "the baseline"
    return f"{measure.label}: difference from {baseline}{', points' if measure.unit else ''}"


def _say_which_side_is_better(ax: "Axes", better: str) -> None:
    sides = {"larger": ("worse", "better"), "smaller": ("better", "worse")}
    left, right = sides.get(better, ("less", "more"))
    ax.text(0, 1.02, f"← {left}", transform=ax.transAxes, fontsize=11)
    ax.text(1, 1.02, f"{right} →", transform=ax.transAxes, ha="right", fontsize=11)


def _label_where_there_is_room(ax: "Axes", points: Mapping[tuple[float, float], str]) -> None:
    """Writes a text beside each point, unless a text stands too near already."""
    ax.get_xlim(), ax.get_ylim()  # Settles the limits, which the places depend on.
    placed: list[NDArray[Any]] = []
    for point, text in points.items():
        at = ax.transAxes.inverted().transform(ax.transData.transform(point))
        if all(np.abs((at - other) / (0.09, 0.06)).max() > 1 for other in placed):
            ax.annotate(text, point, (9, 6), textcoords="offset points")
            placed.append(at)


def _point(run: Run) -> tuple[float, float]:
    return measures.measure("dead").shown(run), measures.measure("test_accuracy").shown(run)


def _some(runs: Runs) -> None:
    if not len(runs):
        raise InputError("runs must hold at least one run, and it is empty.")


def looks_of(configs: Sequence[RunConfig]) -> list[_Look]:
    """Returns a look for each: the function's own, or the next free one of its colour.

    Where a function comes more than once, the one with its default parameter keeps its own look.
    """
    looks: dict[int, _Look] = {}
    names = labels(configs)
    free = list(itertools.product(OKABE_ITO.values(), LINES))
    for place in sorted(range(len(configs)), key=lambda i: not _is_default(configs[i])):
        own = _own_look(configs[place])
        alike = [pair for pair in free if pair[0] == own[0]]
        look = next(iter([own] * (own in free) + alike + free), own)
        free = [pair for pair in free if pair != look]
        looks[place] = _Look(names[place], *look)
    return [looks[place] for place in range(len(configs))]


def _is_default(config: RunConfig) -> bool:
    known = config.source_sha256 is None
    return known and config.parameter == activations.get(config.activation).default


def _own_look(config: RunConfig) -> tuple[str, str]:
    if config.source_sha256:
        return activations.own_style(config.activation)
    activation = activations.get(config.activation)
    return activation.colour, activation.line


def labels(configs: Sequence[RunConfig]) -> list[str]:
    """Returns a label for each: its activation function, and the settings that differ."""
    differing = differences(configs)
    return [", ".join([c.title, *more]) for c, more in zip(configs, differing, strict=True)]


def png(figure: "Figure", dpi: int = 100) -> bytes:
    """Returns a figure as PNG."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(figure: "Figure", words: str) -> str:
    """Returns a figure as inline SVG that a screen reader reads as `words`.

    Its texts stay text, so that it is small, quick to make and can be searched; it is never wider
    than its page.
    """
    import matplotlib

    buffer = io.StringIO()
    with style(), matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    body = text[text.index("<svg") + len("<svg") :]
    size = re.search(r'width="([0-9.]+pt)" height="[0-9.]+pt"', body)
    if size:  # It shrinks where the page is narrower.
        body = body.replace(size[0], f'style="width: 100%; max-width: {size[1]}"', 1)
    return f'<svg role="img" aria-label="{html.escape(words)}" {body}'

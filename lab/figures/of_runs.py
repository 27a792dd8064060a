"""The figures of a store, each with a caption and a description in words."""

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab import activations, plots
from lab.census import lives, units
from lab.experiment import RunConfig, differences
from lab.figures.captioned import (
    COLUMNS,
    AnimatedFigure,
    CaptionedFigure,
    add_caption,
    draw_table,
    heads,
    panel_grid,
    setting_words,
)
from lab.figures.of_studies import (
    dead_and_accuracy,
    forest,
    learning_rates,
    rate_maps,
    seeds_to_pair,
)
from lab.figures.of_tasks import over_tasks
from lab.network import layout_of
from lab.plots import canvas, neuron_lives, palette
from lab.runs import Run, Runs, measures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FRAMES = 60
Curve = Callable[[str, int], canvas.Values]  # (measure, hidden layer) -> its value at every epoch.
RESULTS = ("activation", "test accuracy, %", "each seed, %", "dead, %", "nearly dead, %")


def pictures(runs: Runs) -> Iterator[CaptionedFigure]:
    """Draws every figure that the runs give, one after the other.

    The activation functions; for each comparison (runs that differ only in activation function
    and seed) a summary, learning curves, dead neurons, life maps, who died and revived, and the
    race as a film, with two seeds or more a forest plot, and of runs that learn tasks the measures
    over the tasks; and where comparisons differ only in their learning rate, dead neurons beside
    accuracy, and measures over the learning rates as curves and as maps.

    Args:
        runs: Recorded runs; those that have not ended or cannot be read are left out.
    """
    yield functions()
    ended = runs.ended().readable().in_order()
    comparisons = ended.comparisons()
    for name, comparison in zip(_names(comparisons), comparisons, strict=True):
        for draw in (summary, learning_curves, dead_neurons, life_maps, lives_and_deaths, race):
            yield draw(comparison, name)
        if seeds_to_pair(comparison):
            yield forest(comparison, name)
        if comparison.learning_tasks():
            yield over_tasks(comparison, name)
    by_rate = ladders(ended)
    for name, ladder in zip(_names(by_rate, rate=False), by_rate, strict=True):
        for draw_rates in (dead_and_accuracy, learning_rates, rate_maps):
            yield draw_rates(ladder, name)


def ladders(runs: Runs) -> list[Runs]:
    """Returns the comparisons that differ only in their learning rate, joined."""
    groups = runs.comparisons("learning_rate")
    return [group for group in groups if len(group.comparisons()) > 1]


def _names(groups: Sequence[Runs], rate: bool = True) -> list[str]:
    """Names each group by data set, learning rate and the settings in which it differs."""
    runs = [group[0] for group in groups]
    differing = differences([run.config for run in runs], "learning_rate")
    names: list[str] = []
    for run, others in zip(runs, differing, strict=True):
        rates = [f"lr {run.config.learning_rate:g}"] if rate else []
        name = re.sub(r"[^a-z0-9.]+", "-", "-".join([run.record.dataset, *rates, *others]).lower())
        names.append(f"{name[:100]}-{names.count(name) + 1}" if name in names else name[:100])
    return names


def functions() -> CaptionedFigure:
    """Draws every registered activation function with its derivative, a panel each."""
    from matplotlib.lines import Line2D

    names = activations.names()
    with canvas.style():
        figure, axes = panel_grid(
            len(names), min(COLUMNS, len(names)), (canvas.WIDTH / COLUMNS, 2.6), share=True
        )
        for name, ax in zip(names, axes, strict=True):
            plots.with_derivative(name, ax)
            ax.label_outer()
        lines = (
            Line2D([], [], color=palette.GREY, lw=4, label="f(z)"),
            Line2D([], [], color=palette.INK, lw=1.4, label="its derivative f'(z)"),
        )
        figure.legend(handles=lines, loc="outside lower right", ncols=2)
    words = "; ".join(_function_in_words(name) for name in names)
    return CaptionedFigure(
        "functions",
        figure,
        f"Panels with one activation function each, f as a thick and its derivative as a thin "
        f"line, for z from -4 to 4. {words}.",
    )


def _function_in_words(name: str) -> str:
    function = activations.get(name)
    gates = function.derivative(np.linspace(-4.0, 4.0, 801), function.default or 0.0)
    title = function.title(function.default)
    return (
        f"{title}: {function.formula}; derivative from {gates.min() + 0.0:.2f} to {gates.max():.2f}"
    )


def summary(runs: Runs, name: str = "comparison") -> CaptionedFigure:
    """Draws a comparison on one page: accuracy, loss, dead neurons, and the table of results."""
    from matplotlib.figure import Figure

    layers = sorted({1, len(runs[0].layers)})
    rows = runs.results()[list(RESULTS)].to_numpy().tolist()
    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 8.4 + 0.35 * len(rows)))
        grid = figure.add_gridspec(3, 2, height_ratios=(10, 10, 3 + len(rows)))
        axes = [figure.add_subplot(grid[row, column]) for row in (0, 1) for column in (0, 1)]
        plots.learning_curves(runs, "validation_accuracy", axes[0])
        plots.learning_curves(runs, "validation_loss", axes[1])
        for layer, ax in itertools.zip_longest(layers, axes[2:]):
            plots.dead_neurons(runs, layer, ax=ax) if layer else ax.set_axis_off()
        head = heads(RESULTS, [name for name in RESULTS if "dead" in name], runs)
        widths = (0.19, 0.15, 0.38, 0.13, 0.15)
        draw_table(figure.add_subplot(grid[2, :]), head, rows, widths)
        add_caption(figure, runs, SEEDS, _dead_words(runs), NEARLY)
    words = "; ".join(f"{r[0]}: test accuracy, %: {r[1]}; dead by layer, %: {r[3]}" for r in rows)
    return CaptionedFigure(
        f"{name}-summary",
        figure,
        f"Validation accuracy, validation loss and dead neurons over the epochs, and a table. "
        f"{words}. {setting_words(runs)}",
    )


def learning_curves(runs: Runs, name: str = "comparison") -> CaptionedFigure:
    """Draws training and validation loss and accuracy over the epochs."""
    with canvas.style():
        figure, axes = panel_grid(4, 2, (canvas.WIDTH / 2, 3.6))
        for measure, ax in zip(measures.CURVES, axes, strict=True):
            plots.learning_curves(runs, measure, ax)
        add_caption(figure, runs, SEEDS, EPOCH_0)
    ends = _ends(runs, lambda run: 100 * run.record.epochs[-1].validation_accuracy)
    return CaptionedFigure(
        f"{name}-learning-curves",
        figure,
        f"Curves of loss and accuracy, training and validation, over the epochs. Validation "
        f"accuracy at the end: {ends}. {setting_words(runs)}",
    )


def dead_neurons(runs: Runs, name: str = "comparison") -> CaptionedFigure:
    """Draws the dead neurons of every hidden layer over the epochs."""
    layers = runs[0].layers
    columns = min(2, len(layers))
    with canvas.style():
        figure, axes = panel_grid(len(layers), columns, (canvas.WIDTH / columns, 4))
        for layer, ax in zip(layers, axes, strict=True):
            plots.dead_neurons(runs, layer, ax=ax)
        add_caption(figure, runs, SEEDS, _dead_words(runs))
    words = " ".join(
        f"{_capital(runs[0].layer_words(n))}, dead on all training images at the end: "
        f"{_ends(runs, lambda run, n=n: 100 * run.confirmed_fractions()[n - 1])}."  # type: ignore
        for n in layers
    )
    return CaptionedFigure(
        f"{name}-dead-neurons",
        figure,
        f"Curves of the share of dead neurons over the epochs, a panel for each hidden layer. "
        f"{words} {setting_words(runs)}",
    )


def life_maps(runs: Runs, name: str = "comparison") -> CaptionedFigure:
    """Draws the life map of the first and last hidden layer, of each function's first seed."""
    firsts = Runs([group[0] for group in runs.groups()])
    layers = sorted({1, len(runs[0].layers)})
    wide = len(firsts) > COLUMNS  # Many functions are drawn one below the other.
    panels = [(layer, run) for run in firsts for layer in layers]
    if not wide:
        panels = list(itertools.product(layers, firsts))
    columns = len(layers) if wide else len(firsts)
    states = [lives.states(run.layer(layer)) for layer, run in panels]
    with canvas.style():
        figure, axes = panel_grid(len(panels), columns, (canvas.WIDTH / columns, 3.4))
        for (layer, run), ax in zip(panels, axes, strict=True):
            plots.life_map(run, layer, ax, legend=False)
        longest = max(ax.get_xlim()[1] for ax in axes)
        for place, ax in enumerate(axes):  # One scale, so that areas compare.
            ax.set_xlim(-0.5, longest)
            if place % columns:
                ax.set_ylabel("")
        handles = neuron_lives.life_legend(np.concatenate([s.ravel() for s in states]))
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
        add_caption(figure, firsts, LIVES, _dead_words(runs, ring=False), NEARLY)
    words = " ".join(
        _lives_in_words(run, layer, s) for (layer, run), s in zip(panels, states, strict=True)
    )
    return CaptionedFigure(
        f"{name}-life-maps",
        figure,
        f"Maps with a row for each neuron and a column for each epoch, its state as colour. "
        f"{words} {setting_words(firsts)}",
    )


def _lives_in_words(run: Run, layer: int, states: NDArray[np.int8]) -> str:
    dead = states == lives.STATES.index("dead")
    return (
        f"{run.config.title}, layer {layer}: of {dead.shape[1]} neurons {dead[0].sum()} dead "
        f"untrained, {dead[-1].sum()} at the end, {dead.any(axis=0).sum()} at some epoch."
    )


def lives_and_deaths(runs: Runs, name: str = "comparison") -> CaptionedFigure:
    """Draws who died and revived in each epoch, and the survival curves.

    The flows are those of one run, of the first seed of the function whose neurons died most.
    """
    firsts = [group[0] for group in runs.groups()]
    run = max(firsts, key=_deaths)
    layers = sorted({1, len(run.layers)})
    with canvas.style():
        figure, axes = panel_grid(2 * len(layers), len(layers), (canvas.WIDTH / len(layers), 3.6))
        for layer, above, below in zip(layers, axes, axes[len(layers) :], strict=False):
            plots.flows(run, layer, above)
            plots.survival(runs, layer, below)
        add_caption(figure, runs, FLOWS.format(run.config.seed), SEEDS, _dead_words(runs, False))
    words = " ".join(_flows_in_words(run, layer) for layer in layers)
    return CaptionedFigure(
        f"{name}-lives",
        figure,
        f"Above, bars of the neurons that died and revived in each epoch, for {run.config.title}, "
        f"seed {run.config.seed}. {words} Below, the share of neurons that were never dead so far. "
        f"{setting_words(runs)}",
    )


def _deaths(run: Run) -> int:
    return sum(int(run.lives(n).died.sum() + run.lives(n).born_dead.sum()) for n in run.layers)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _flows_in_words(run: Run, layer: int) -> str:
    lived, name = run.lives(layer), _capital(run.layer_words(layer))
    return (
        f"{name}: {lived.born_dead.sum()} born dead, {lived.died.sum()} deaths, "
        f"{lived.revived.sum()} revivals, {lived.dead[-1].sum()} dead at the end, "
        f"{lived.never_dead[-1].sum()} never dead."
    )


def race(runs: Runs, name: str = "comparison") -> AnimatedFigure:
    """Draws what the front end `Race` shows while these runs are trained, a frame for an epoch.

    With very many epochs, some have no frame. The axes have their final limits from the start.
    """
    last = max(run.last_epoch for run in runs)
    limits = [(ax.get_xlim(), ax.get_ylim()) for ax in race_figure(_racers(runs, last)).axes]

    def after(epoch: int) -> "Figure":
        figure = race_figure(_racers(runs, epoch), limits)
        figure.set_size_inches(11, 6.2)
        figure.subplots_adjust(bottom=0.16, top=0.9, right=0.8, wspace=1.2, hspace=0.4)
        figure.text(0.015, 0.945, f"Epoch {epoch} of {last}", fontsize=canvas.TITLE, weight="bold")
        figure.text(0.015, 0.025, _race_caption(runs), fontsize=canvas.CAPTION)
        return figure

    return AnimatedFigure(
        f"{name}-race",
        after(last),
        f"The race, epoch by epoch: curves of training loss, validation accuracy and dead neurons "
        f"by layer. At the end: {_race_words(runs)}. {setting_words(runs)}",
        np.unique(np.linspace(0, last, min(last + 1, MOST_FRAMES)).astype(int)).tolist(),
        after,
    )


def _racers(runs: Runs, epoch: int) -> dict[RunConfig, list[Curve]]:
    return {
        group[0].config: [functools.partial(_until, run, epoch) for run in group]
        for group in runs.groups()
    }


def _until(run: Run, epoch: int, measure: str, layer: int) -> canvas.Values:
    return measures.recorded(run, measure, layer)[: epoch + 1]


def _race_words(runs: Runs) -> str:
    """Means over the seeds at the last epoch, as the curves show them."""

    def mean(group: Runs, measure: str, layer: int = 1) -> float:
        return float(np.mean([measures.recorded(run, measure, layer)[-1] for run in group]))

    def words(group: Runs) -> str:
        if lost := sum(run.diverged for run in group):
            return f"{group[0].config.title}: {lost} of {len(group)} diverged"
        return (
            f"{group[0].config.title}: training loss {mean(group, 'train_loss'):.4f}, validation "
            f"accuracy {100 * mean(group, 'validation_accuracy'):.2f} %, dead on the probe "
            + " / ".join(f"{100 * mean(group, 'dead_fraction', n):.1f}" for n in group[0].layers)
            + " %"
        )

    return "; ".join(map(words, runs.groups()))


def _race_caption(runs: Runs) -> str:
    record, config = runs[0].record, runs[0].config
    network = config.size
    return (
        f"{record.dataset}, network {network}, learning rate {config.learning_rate:g}, "
        f"{runs.seed_words()}. {SEEDS}"
    )


def race_figure(
    racers: Mapping[RunConfig, Sequence[Curve]], limits: Sequence[canvas.Limits] = ()
) -> "Figure":
    """Draws a race so far, live or recorded: training loss, validation accuracy, dead neurons.

    Args:
        racers: For each kind of run (its settings, whatever the seed) the curves of every seed.
        limits: What each pair of axes shows; by default what fits the curves.
    """
    figure = canvas.fixed_figure(
        (11.6, 5.4), left=0.07, right=0.745, bottom=0.1, top=0.97, wspace=1.35, hspace=0.25
    )
    with canvas.style():
        for place, (measure, layer) in enumerate(_panels(racers)):
            curves = _values(racers, measure, layer)
            ax = figure.add_subplot(2, 2, place + 1)
            plots.curves(curves, measure, layer, ax, limits[place] if limits else None)
    return figure


def live_figure(
    racers: Mapping[RunConfig, Sequence[Curve]], last: "Figure | None" = None
) -> "Figure":
    """Draws a race that goes on: as `race_figure`, with one legend and axes that hold still.

    Args:
        racers: For each kind of run (its settings, whatever the seed) the curves of every seed.
        last: The figure of the same racers a moment before; only its curves are moved.
    """
    if last is not None:
        for ax, (measure, layer) in zip(last.axes, _panels(racers), strict=True):
            plots.renew(ax, _values(racers, measure, layer), measure)
        return last
    figure = canvas.fixed_figure(
        (11, 4.94), left=0.075, right=0.985, bottom=0.115, top=0.95, wspace=0.2, hspace=0.32
    )
    with canvas.style():
        for place, (measure, layer) in enumerate(_panels(racers)):
            curves = _values(racers, measure, layer)
            ax = figure.add_subplot(2, 2, place + 1)
            plots.curves(curves, measure, layer, ax, live=True)
            if place < 2:
                ax.set_xlabel("")
        plots.styles.legend_above(figure, plots.styles.styles_of(list(racers)))
    return figure


def _values(
    racers: Mapping[RunConfig, Sequence[Curve]], measure: str, layer: int
) -> dict[RunConfig, list[canvas.Values]]:
    return {c: [curve(measure, layer) for curve in group] for c, group in racers.items()}


def _panels(racers: Mapping[RunConfig, Sequence[Curve]]) -> list[tuple[str, int]]:
    """Returns measure and layer of each panel: loss, accuracy, and the dead of two layers."""
    layers = sorted({1, layout_of(next(iter(racers))).layers[-1]})
    dead = [("dead_fraction", layer) for layer in layers]
    return [("train_loss", 0), ("validation_accuracy", 0), *dead]


def _ends(runs: Runs, value: Callable[[Run], float]) -> str:
    return ", ".join(
        f"{group[0].config.title} {np.mean([value(run) for run in group]):.2f} %"
        for group in runs.groups()
    )


SEEDS = "Thin lines: each seed; thick lines: their mean."
EPOCH_0 = "Epoch 0: the untrained network, its training values measured on the probe."
LIVES = "One row is one neuron; counted: those not plainly alive at some epoch."
NEARLY = f"Nearly dead: gate at most {units.NEARLY:g} of its largest."
FLOWS = "Above: seed {}. Below: the share of neurons that were never dead so far."


def _dead_words(runs: Runs, ring: bool = True) -> str:
    record = runs[0].record
    words = f"Dead: no gradient on any image of a probe of {record.probe_images:,}"
    return (
        f"{words}; ring: on any of all {record.train_images:,} training images."
        if ring
        else f"{words}."
    )

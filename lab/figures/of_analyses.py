"""Figures of experiments on trained networks: removal, probe sizes, depth and kill maps."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab import plots
from lab.experiment import RunConfig, words_of
from lab.figures import captioned
from lab.figures.captioned import CaptionedFigure
from lab.plots import canvas, styles

if TYPE_CHECKING:
    import pandas as pd

LEGEND_COLUMNS = 5
HALF = 50.0  # Per cent.
LINEAR = "mean gate f'(z)"  # The measure by depth whose axis is not logarithmic.


def removal(curve: "pd.DataFrame", title: str) -> CaptionedFigure:
    """Draws test accuracy against neurons taken out.

    Args:
        curve: What `surgery.removal_curve` returns.
        title: The run.
    """
    from matplotlib.figure import Figure

    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 5))
        plots.removal(curve, figure.subplots()).set_title(title)
    lines = [
        f"{order}: "
        + ", ".join(
            f"{100 * s:.0f} % out: {100 * a:.1f} %"
            for s, a in rows.to_numpy()[:: max(1, len(rows) // 5)]
        )
        for order, rows in curve.groupby("order", sort=False)[["share", "test_accuracy"]]
    ]
    words = f"Test accuracy against the share of hidden neurons taken out, {title}."
    return CaptionedFigure("neurons-removed", figure, f"{words} {'; '.join(lines)}.")


def probe_sizes(tables: "Mapping[int, pd.DataFrame]", title: str) -> CaptionedFigure:
    """Draws the share of neurons that look dead by the number of images.

    Args:
        tables: For each hidden layer what `probes.by_size` returns.
        title: The run.
    """
    from matplotlib.figure import Figure

    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 5))
        plots.probe_sizes(tables, figure.subplots()).set_title(title)
    layers = "; ".join(f"layer {layer}: {_sizes(table)}" for layer, table in tables.items())
    words = f"Share of neurons that look dead by the number of images, {title}. {layers}."
    return CaptionedFigure("probe-size", figure, words)


def _sizes(table: "pd.DataFrame") -> str:
    pairs = zip(table.images.tolist(), table.dead_fraction.tolist(), strict=True)
    return ", ".join(f"{size:,} images {100 * share:.1f} %" for size, share in pairs)


def by_depth(
    measures: Mapping[str, Mapping[RunConfig, NDArray[np.float64]]], settings: str, name: str
) -> CaptionedFigure:
    """Draws measures by layer: thin untrained, thick after the last epoch.

    Args:
        measures: For each measure's title and each kind of network the values, shape
            (epochs, layers), from epoch 0.
        settings: What was trained, in words.
        name: The file's name.
    """
    from matplotlib.figure import Figure

    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 4.6))
        for ax, (title, values) in zip(
            figure.subplots(1, len(measures)), measures.items(), strict=True
        ):
            ends = {config: found[[0, -1]] for config, found in values.items()}
            plots.by_depth(ends, title, title != LINEAR, ax)
        _settle(figure, settings)
    return CaptionedFigure(name, figure, _depth_words(measures, settings))


def over_epochs(
    title: str, values: Mapping[RunConfig, NDArray[np.float64]], settings: str, name: str
) -> CaptionedFigure:
    """Draws a measure over the epochs, a panel for each kind of network, a line for each layer.

    Args:
        title: The measure.
        values: As for `by_depth`.
        settings: What was trained, in words.
        name: The file's name.
    """
    from matplotlib.figure import Figure

    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 4.6))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        for ax, (config, found) in zip(axes, values.items(), strict=True):
            plots.layers_over_epochs(found, title, title != LINEAR, ax)
            ax.set_title(config.title)
        _settle(figure, settings)
    return CaptionedFigure(name, figure, _depth_words({title: values}, settings))


def _settle(figure: Any, settings: str) -> None:
    """Draws one legend for all panels, above them, and the settings below."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    columns = min(len(names), LEGEND_COLUMNS)
    figure.legend(handles, names, loc="outside upper left", ncols=columns, handlelength=3)
    captioned.write_caption(figure, settings)


def _depth_words(
    measures: Mapping[str, Mapping[RunConfig, NDArray[np.float64]]], settings: str
) -> str:
    parts = [
        f"{title}, {label}, by layer: untrained {_numbers(found[0])}; "
        f"at the end {_numbers(found[-1])}"
        for title, values in measures.items()
        for label, found in zip(styles.labels(list(values)), values.values(), strict=True)
    ]
    return f"{settings}. {'. '.join(parts)}."


def kill_map(
    maps: "Mapping[str, tuple[pd.DataFrame, pd.DataFrame, bool]]",
    dead: "pd.DataFrame",
    settings: str,
    name: str,
) -> CaptionedFigure:
    """Draws maps side by side, two in a row, with the mean and the spread in each cell.

    Rows grow upwards, as on any axis. A line in all goes around the cells where more than half of
    the neurons are dead.

    Args:
        maps: For each title the means and the standard deviations over seeds, and whether fewer is
            better.
        dead: The share of dead neurons, in %, of the same cells.
        settings: What is the same in all cells, in words.
        name: The file's name.
    """
    from matplotlib.figure import Figure

    below = -(-len(maps) // 2)
    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 0.5 + below * (1.4 + 0.5 * len(dead))))
        axes = list(figure.subplots(below, 2, squeeze=False).ravel())
        for ax in axes[len(maps) :]:
            ax.set_axis_off()
        for ax, (title, found) in zip(axes, maps.items(), strict=False):
            mean, spread, fewer = found
            plots.heat_map(mean, spread, title, ax, fewer_is_better=fewer).invert_yaxis()
            plots.heat_maps.outline(ax, dead.to_numpy(float) > HALF)
        notes = (
            "The stronger the colour, the more. Outlined: more than half of the neurons are dead."
        )
        caption = f"{settings}. {notes}"
        captioned.write_caption(figure, caption)
    words = [_map_words(title, mean) for title, (mean, _, _) in maps.items()]
    return CaptionedFigure(name, figure, f"{len(maps)} maps. {settings}. {'. '.join(words)}.")


def _map_words(title: str, table: "pd.DataFrame") -> str:
    rows = (
        f"{words_of(table.index.name)} {name}: {', '.join(map(_cell, values))}"
        for name, values in table.iterrows()
    )
    columns = f"{words_of(table.columns.name)} {', '.join(table.columns)}"
    return f"{title}, for {columns}: {'; '.join(rows)}"


def _cell(value: float) -> str:
    return "diverged" if np.isnan(value) else f"{value:.1f}"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2g}" for value in values)

"""Figures of neurons and of digits."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.figures.captioned import (
    CaptionedFigure,
    draw_table,
    panel_grid,
    setting_words,
    write_caption,
)
from lab.plots import canvas, one_neuron, pictures
from lab.runs import Neuron, Run, Runs, neurons
from lab.words import number

if TYPE_CHECKING:
    import pandas as pd

LIFE = ("when", "state", "gate open, % of the probe", "mean activation", "events")


def digits(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], columns: int = 10
) -> CaptionedFigure:
    """Draws images in rows, each under its label.

    Args:
        images: Images of shape (n, height, width), grey, or (n, height, width, channels).
        labels: Their classes, of shape (n,).
        columns: How many images a row has.
    """
    with canvas.style():
        figure, axes = panel_grid(len(images), min(columns, len(images)), (0.9, 1.1))
        for image, label, ax in zip(images, labels, axes, strict=True):
            pictures.draw(ax, image)
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{label}", loc="center")
    look = "in colour" if pictures.is_coloured(images) else "dark on white"
    listed = ", ".join(str(label) for label in labels)
    return CaptionedFigure(
        "digits", figure, f"{len(images)} images, {look}. Their labels: {listed}."
    )


def portrait(neuron: Neuron) -> CaptionedFigure:
    """Draws one neuron: weights, pre-activations and gate, its history, what excites it most."""
    on_positions = neuron.feature_map is not None
    size, heights = ((11.5, 5.9), (1.5, 1)) if on_positions else ((11.5, 4.8), (2.5, 1))
    figure = canvas.fixed_figure(
        size, left=0.05, right=0.99, bottom=0.09, top=0.94, wspace=0.55, hspace=0.5
    )
    with canvas.style():
        grid = figure.add_gridspec(2, 3, height_ratios=heights, width_ratios=(0.8, 1, 1))
        panels = (one_neuron.weights, one_neuron.histogram, one_neuron.history)
        for column, draw in enumerate(panels):
            draw(neuron, figure.add_subplot(grid[0, column]))
        if on_positions:
            one_neuron.feature_map(neuron, figure.add_subplot(grid[1, 0]))
        one_neuron.exciting(neuron, figure.add_subplot(grid[1, int(on_positions) :]))
    return CaptionedFigure(f"{neuron.name}, epoch {neuron.epoch}", figure, _portrait_words(neuron))


def life_over_tasks(run: Run, layer: int, unit: int) -> CaptionedFigure:
    """Draws one neuron's life from task to task, with a table of its states and its words.

    Args:
        run: A run that learns tasks.
        layer: The hidden layer, from 1.
        unit: The unit in it, from 0.

    Raises:
        InputError: If the run learns no tasks.
        RunError: If there is no such layer or unit, or if the arrays cannot be read.
    """
    from matplotlib.figure import Figure

    words = neurons.tasks_story(run, layer, unit)
    neuron = neurons.look(run, layer).neuron(unit)
    rows = _stretch_rows(run, layer, unit)
    panels = (one_neuron.history, one_neuron.open_share, one_neuron.mean_activation)
    heights = (2.6, 2.0, 2.0, 0.5 + 0.32 * len(rows))
    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, sum(heights) + 1.8))
        *axes, below = figure.subplots(len(heights), 1, height_ratios=heights)
        for draw, ax in zip(panels, axes, strict=True):
            draw(neuron, ax)
            ax.set_xlim(-0.5, run.last_epoch + 0.5)
        draw_table(below, LIFE, rows, (0.16, 0.16, 0.24, 0.22, 0.22), wide=1.0)
        title = f"{neuron.name[0].upper()}{neuron.name[1:]}"
        figure.suptitle(f"{title}: {run.title}", x=0.01, ha="left")
        note = (
            f"All on the probe of {run.record.probe_images:,} images, as each task shows it. Left "
            f"of task 1: the untrained network. Pale: from the lowest to the highest z. The table "
            f"is of the ends of tasks in a row, from the first of them → to the last."
        )
        write_caption(figure, f"{setting_words(Runs([run]))} {note}")
    listed = "; ".join(", ".join(filter(None, row)) for row in rows)
    return CaptionedFigure(
        f"{neuron.name}, over the tasks",
        figure,
        f"{title} of {run.title}, over {run.config.task_count} tasks: its pre-activations, the "
        f"share of images on which its gate is open, and its mean activation, with its state. "
        f"{words} Table ({', '.join(LIFE)}): {listed}. {note}",
    )


def _stretch_rows(run: Run, layer: int, unit: int) -> list[list[str]]:
    """Returns a row for each stretch of tasks in one state; of many the first and the last."""
    table, half = neurons.over_tasks(run, layer, unit), neurons.MOST_STRETCHES // 2
    rows = [_stretch_row(piece) for piece in neurons.stretches(table)]
    if (more := len(rows) - 2 * half) > 0:
        rows[half:-half] = [[f"… {more} more …", *[""] * (len(LIFE) - 1)]]
    return rows


def _stretch_row(piece: "pd.DataFrame") -> list[str]:
    events = ", ".join(filter(None, piece.events)).split(", ")
    counts = {event: events.count(event) for event in events if event}
    return [
        neurons.stretch_words(piece),
        piece.state.iloc[0],
        _span(100 * piece.open_share),
        _span(piece.mean_activation),
        ", ".join(f"{event} {n}×" if n > 1 else event for event, n in counts.items()),
    ]


def _span(values: "pd.Series") -> str:
    """Writes the first and the last of some numbers, or the only one."""
    ends = [number(values.iloc[place]) for place in ((0, -1) if len(values) > 1 else (0,))]
    return " → ".join("-" if words == "nan" else words for words in ends)


def _portrait_words(neuron: Neuron) -> str:
    title = neuron.name[0].upper() + neuron.name[1:]
    words = [
        f"{title} at {neuron.run.config.epoch_words(neuron.epoch)}.",
        neuron.story,
        neuron.by_position,
    ]
    if neuron.bias is not None:
        words.append(f"Its bias is {number(neuron.bias)}.")
    if neuron.labels is not None:
        of = "" if neuron.image_noun == "digits" else " of the classes"
        listed = ", ".join(neuron.classes)
        words.append(f"It is excited most by the {neuron.image_noun}{of} {listed}.")
    return " ".join(filter(None, [*words, *neuron.missing]))

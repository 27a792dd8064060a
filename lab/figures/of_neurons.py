"""Figures of neurons and of digits."""

import numpy as np
from numpy.typing import NDArray

from lab.figures.captioned import CaptionedFigure, panel_grid
from lab.plots import canvas, one_neuron, pictures
from lab.runs import Neuron
from lab.words import number


def digits(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], columns: int = 10
) -> CaptionedFigure:
    """Draws images in rows, each under its label.

    Args:
        images: Images of shape (n, height, width), grey, or (n, height, width, channels).
        labels: Their classes, of shape (n,).
        columns: How many stand in a row.
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


def _portrait_words(neuron: Neuron) -> str:
    title = neuron.name[0].upper() + neuron.name[1:]
    words = [f"{title} at epoch {neuron.epoch}.", neuron.story, neuron.by_position]
    if neuron.bias is not None:
        words.append(f"Its bias is {number(neuron.bias)}.")
    if neuron.labels is not None:
        of = "" if neuron.shown == "digits" else " of the classes"
        listed = ", ".join(neuron.classes)
        words.append(f"It is excited most by the {neuron.shown}{of} {listed}.")
    return " ".join(filter(None, [*words, *neuron.missing]))

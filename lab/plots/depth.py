"""Measures of the layers of a network: from the first to the last, and over the epochs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lab.experiment import RunConfig
from lab.plots.canvas import Values, axes, in_lines, log_scale, whole_epochs
from lab.plots.styles import marker, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def by_depth(
    groups: Mapping[RunConfig, Values],
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
        for (before, after), style in zip(groups.values(), styles_of(list(groups)), strict=True):
            layers = np.arange(1, len(before) + 1)
            ax.plot(layers, before, "--", color=style.colour, marker=style.marker, mfc="white")
            ax.plot(
                layers,
                after,
                color=style.colour,
                marker=style.marker,
                lw=2.5,
                label=in_lines(style.label),
            )
        ax.plot([], "--", color="black", marker="o", mfc="white", label="untrained")
        _scale(ax, log)
        ax.set(title=title, xlabel="layer", xticks=layers)
    return ax


def layers_over_epochs(values: Values, title: str, log: bool, ax: "Axes | None" = None) -> "Axes":
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
        for place, (curve, shade) in enumerate(zip(values.T, shades, strict=True)):
            ax.plot(curve, color=shade, marker=marker(place), lw=2, label=f"layer {place + 1}")
        _scale(ax, log)
        whole_epochs(ax)
        ax.set_ylabel(title)
    return ax


def _scale(ax: "Axes", log: bool) -> None:
    if log:
        log_scale(ax)
    else:
        ax.set_ylim(bottom=0)

"""Measures of the layers of a network: from the first to the last, and over the epochs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lab.experiment import RunConfig
from lab.plots.canvas import Values, axes, log_scale, whole_epochs
from lab.plots.palette import GREY, PAPER, shades
from lab.plots.styles import marker, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def by_depth(
    groups: Mapping[RunConfig, Values],
    title: str,
    log: bool,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws a measure by layer, thin and hollow before the training, thick and full after it.

    Args:
        groups: For each kind of network the values, shape (2, layers): before and after.
        title: What they are.
        log: Whether their axis is logarithmic.
        ax: Where to draw.
    """
    with axes(ax) as ax:
        for (before, after), style in zip(groups.values(), styles_of(list(groups)), strict=True):
            layers = np.arange(1, len(before) + 1)
            ax.plot(layers, before, lw=1.2, mfc=PAPER, **(style.options | {"label": "_untrained"}))
            ax.plot(layers, after, lw=2.5, **style.options)
        ax.plot([], "-", color=GREY, marker="o", mfc=PAPER, lw=1.2, label="thin: untrained")
        _scale(ax, log)
        ax.set(title=title, xlabel="layer", xticks=layers)
    return ax


def layers_over_epochs(values: Values, title: str, log: bool, ax: "Axes | None" = None) -> "Axes":
    """Draws a measure of every layer over the epochs: first layers violet, last ones brown.

    Args:
        values: Shape (epochs, layers), from epoch 0.
        title: What they are.
        log: Whether their axis is logarithmic.
        ax: Where to draw.
    """
    with axes(ax) as ax:
        for place, (curve, shade) in enumerate(zip(values.T, shades(values.shape[1]), strict=True)):
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

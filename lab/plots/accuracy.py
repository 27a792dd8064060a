"""Test accuracy against the neurons that are dead, or that were taken out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.activations import OKABE_ITO
from lab.plots.canvas import axes
from lab.plots.styles import styles_by_title
from lab.runs import Run, Runs, measure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


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
    by_title = styles_by_title(runs)
    means: dict[tuple[float, float], str] = {}
    with axes(ax) as ax:
        for group, style in by_title.values():
            points = np.array([_point(run) for run in group])
            ends = {tuple(np.mean([_point(r) for r in g], axis=0)): g for g in group.groups()}
            means |= {end: f"{g[0].config.learning_rate:g}" for end, g in ends.items()}
            ax.plot(*points.T, style.marker, mfc="none", mec=style.colour, ms=6)
            ax.plot(*np.array(list(ends)).T, ms=10, **style.options)
        ax.set(xlabel="hidden neurons dead on all training images, %", ylabel="test accuracy, %")
        ax.legend(handlelength=4)
        if len({run.config.learning_rate for run in runs}) > 1:
            _label_where_there_is_room(ax, means)
    return ax


def _point(run: Run) -> tuple[float, float]:
    return measure("dead").printed(run), measure("test_accuracy").printed(run)


def _label_where_there_is_room(ax: "Axes", points: Mapping[tuple[float, float], str]) -> None:
    """Writes a text beside each point, unless another text is too near."""
    ax.get_xlim(), ax.get_ylim()  # Settles the limits, which the places depend on.
    placed: list[NDArray[Any]] = []
    for point, text in points.items():
        at = ax.transAxes.inverted().transform(ax.transData.transform(point))
        if all(np.abs((at - other) / (0.09, 0.06)).max() > 1 for other in placed):
            ax.annotate(text, point, (9, 6), textcoords="offset points")
            placed.append(at)


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

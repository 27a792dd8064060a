"""A measure over the learning rates."""

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import stats
from lab.errors import unknown
from lab.plots.canvas import Values, axes, error_scale, in_lines
from lab.plots.palette import INK, SILVER
from lab.plots.styles import Style, styles_by_title
from lab.runs import Measure, Runs, measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 4  # As many learning rates have room side by side.


def over_rates(
    runs: Runs,
    measure: str = "validation_accuracy",
    layer: int | None = None,
    only: str | None = None,
    rings: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws a measure at the end over the learning rates: every seed small, their mean large.

    A ring marks the best learning rate, chosen on validation; see `stats.best_rates`. A cross at
    the bottom marks a rate at which a run diverged. Accuracies have the scale of their errors.

    Args:
        runs: Runs that have ended and differ in activation function, learning rate and seed.
        measure: One of `measures.NAMES`.
        layer: The hidden layer of a layer's measure, from 1.
        only: The title of an activation function, such as `ReLU`: all others are grey lines.
        rings: Whether to mark the best rates.
        ax: Where to draw.

    Raises:
        InputError: If there is no such measure, layer or activation function, or no runs.
    """
    by_title, wanted = styles_by_title(runs.in_order()), measures.measure(measure, layer)
    if only is not None and only not in by_title:
        raise unknown("activation function", only, by_title)
    best = {run.run_id for run in stats.at_best_rates(runs)} if rings else set()
    with axes(ax) as ax:
        ax.set_xscale("log")
        for title in sorted(by_title, key=lambda title: title == only):  # In colour: on top.
            own, style = by_title[title]
            if only in (None, title):
                _draw_function(ax, own, wanted, style, best)
            else:
                ax.plot(*_means(own.groups(), wanted), "-", color=SILVER, lw=1.5)
        if measure.endswith("accuracy"):
            error_scale(ax)
        _rate_axis(ax, {run.config.learning_rate for run in runs})
        ax.set_ylabel(wanted.axis)
        if only is None:
            ax.legend(handlelength=4)
        else:
            ax.set_title(in_lines(only))
    return ax


def _draw_function(
    ax: "Axes", runs: Runs, wanted: Measure, style: Style, best: Container[str]
) -> None:
    """Draws every seed, the means, a ring at the best rate, and crosses where a run diverged."""
    points = [(run.config.learning_rate, wanted.printed(run)) for run in runs]
    ax.plot(*zip(*points, strict=True), ".", color=style.colour, ms=5, alpha=0.6)
    groups = runs.groups()
    rates, means = _means(groups, wanted)
    ax.plot(rates, means, lw=2.5, ms=8, **style.options)
    ringed = [place for place, group in enumerate(groups) if group[0].run_id in best]
    ax.plot(rates[ringed], means[ringed], "o", ms=16, mfc="none", mec=INK, mew=1.5)
    lost = rates[np.isnan(means)]
    at = ax.get_xaxis_transform()
    ax.plot(lost, np.full(len(lost), 0.03), "x", color=style.colour, ms=9, mew=2, transform=at)


def _means(groups: Sequence[Runs], wanted: Measure) -> tuple[Values, Values]:
    """The learning rate of each group, and its mean."""
    rates = [group[0].config.learning_rate for group in groups]
    return np.array(rates), np.array([wanted.mean(group) for group in groups])


def _rate_axis(ax: "Axes", rates: Iterable[float]) -> None:
    """Names the learning rates that were run, unless they are too close."""
    from matplotlib.ticker import NullLocator

    named: list[float] = []
    for rate in sorted(rates):
        if not named or rate >= 2.5 * named[-1]:
            named.append(rate)
    turn = 45 if len(named) > FEW else 0
    ax.set_xticks(named, [f"{rate:g}" for rate in named], rotation=turn)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("learning rate")

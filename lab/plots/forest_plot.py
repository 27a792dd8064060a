"""Verdicts as a forest plot: paired differences and their intervals, a row each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab.errors import InputError
from lab.plots.canvas import axes, in_lines
from lab.plots.palette import GREY, INK, PAPER
from lab.plots.styles import Style, styles_of
from lab.stats import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    looks = dict(zip(configs, styles_of(list(configs.values())), strict=True))
    with axes(ax, (9.0, 1.6 + 0.75 * len(verdicts))) as ax:
        ax.axvline(0, color=INK, lw=1)
        for row, verdict in enumerate(verdicts):
            _draw_row(ax, row, verdict, looks[verdict.name])
        ax.set_yticks(range(len(verdicts)), _row_names(verdicts))
        ax.set_ylim(len(verdicts) - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(_axis_label(verdicts))
        _say_which_side_is_better(ax, verdicts[0].measure.better)
    return ax


def _draw_row(ax: "Axes", row: int, verdict: Verdict, style: Style) -> None:
    found, colour = verdict.paired, style.colour
    seeds = found.differences[np.isfinite(found.differences)]
    ax.plot(seeds, np.full(len(seeds), row + 0.24), ".", color=colour, ms=7, alpha=0.6)
    if verdict.decidable:
        ax.plot([found.low, found.high], [row, row], "-", color=GREY, lw=3)
    fill = colour if verdict.distinguishable else PAPER
    ax.plot([found.mean], [row], style.marker, color=colour, mfc=fill, ms=10, mew=2)
    words = _numbers(verdict)
    ax.text(1.02, row, words, transform=ax.get_yaxis_transform(), va="center")


def _numbers(verdict: Verdict) -> str:
    found = verdict.paired
    if verdict.problem:
        return "no verdict: diverged" if "diverged" in verdict.problem else "no verdict"
    if not verdict.decidable:
        return f"too few seeds, n = {found.n}"
    mean, low, high = map(verdict.amount, (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high}), n = {found.n}"


def _row_names(verdicts: Sequence[Verdict]) -> list[str]:
    """Names each row by its function, and by where it was run if that differs."""
    several = len({verdict.where for verdict in verdicts}) > 1
    return [
        "\n".join([in_lines(verdict.name), *([verdict.where] if several else [])])
        for verdict in verdicts
    ]


def _axis_label(verdicts: Sequence[Verdict]) -> str:
    measure, baselines = verdicts[0].measure, {verdict.baseline for verdict in verdicts}
    baseline = baselines.pop() if len(baselines) == 1 else "the baseline"
    return f"{measure.label}: difference from {baseline}{', points' if measure.unit else ''}"


def _say_which_side_is_better(ax: "Axes", better: str) -> None:
    sides = {"larger": ("worse", "better"), "smaller": ("better", "worse")}
    left, right = sides.get(better, ("less", "more"))
    ax.text(0, 1.02, f"← {left}", transform=ax.transAxes)
    ax.text(1, 1.02, f"{right} →", transform=ax.transAxes, ha="right")

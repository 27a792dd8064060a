"""The figures of studies: verdicts as a forest plot, and what the learning rate does."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab import plots, stats
from lab.figures.captioned import COLUMNS, CaptionedFigure, add_caption, panel_grid, setting_words
from lab.plots import canvas
from lab.runs import Measure, Runs, measures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

OVER_RATES = ("validation_accuracy", "dead")
FOREST = (
    "Small: the difference of each seed; large: their mean, filled where they can be told apart; "
    "line: its 95 % t interval, from six seeds on{}."
)
LADDER = (
    "Small: each seed; large: their mean. The accuracies' scale is that of the errors, so that 97 "
    "and 98 % lie as far apart as 40 and 60 %. Dead: no gradient on any training image."
)
RATES = (
    "Small: each seed; large: their mean; grey: the other functions. Ring: the best learning rate, "
    "chosen on validation. Cross: a run diverged. Dead: no gradient on any training image."
)
MAPS = "Means over seeds ± their standard deviation. Dead: no gradient on any training image."


def seeds_to_pair(runs: Runs) -> bool:
    """Tells whether two activation functions of a comparison have two seeds in common."""
    return any(verdict.paired.n >= 2 for verdict in stats.verdicts(runs))


def forest(
    runs: Runs, name: str = "comparison", verdicts: list[stats.Verdict] | None = None
) -> CaptionedFigure:
    """Draws the paired differences in test accuracy of a comparison, a row for each function.

    Args:
        runs: The runs of the comparison.
        name: The picture's name.
        verdicts: The verdicts on them; by default corrected only for those of these runs.
    """
    verdicts = verdicts or stats.verdicts(runs)
    with canvas.style():
        figure, [ax] = panel_grid(1, 1, (canvas.WIDTH, 1.8 + 0.75 * len(verdicts)))
        plots.forest(verdicts, ax)
        add_caption(figure, runs, FOREST.format(_correction(verdicts)))
    sentences = " ".join(verdict.sentence for verdict in verdicts)
    return CaptionedFigure(
        f"{name}-forest",
        figure,
        f"Paired differences in test accuracy from {verdicts[0].baseline}, a row for each "
        f"activation function. {sentences} {setting_words(runs)}",
    )


def forests(runs: Runs, verdicts: list[stats.Verdict], name: str = "comparison") -> CaptionedFigure:
    """Draws verdicts on several measures, a panel for each measure.

    Args:
        runs: The runs of the baseline, whose settings the caption gives.
        verdicts: The verdicts, corrected together.
        name: The picture's name.
    """
    panels: dict[str, list[stats.Verdict]] = {}
    for verdict in verdicts:
        panels.setdefault(verdict.measure.label, []).append(verdict)
    rows = max(map(len, panels.values()))
    with canvas.style():
        figure, axes = panel_grid(len(panels), 1, (canvas.WIDTH, 1.5 + 0.5 * rows))
        for some, ax in zip(panels.values(), axes, strict=True):
            plots.forest(some, ax)
        add_caption(figure, runs, FOREST.format(_correction(verdicts)))
    sentences = " ".join(verdict.sentence for verdict in verdicts)
    return CaptionedFigure(
        f"{name}-forests",
        figure,
        f"Paired differences from {verdicts[0].baseline} in {' and '.join(panels)}, a row for "
        f"each. {sentences} The baseline: {setting_words(runs)}",
    )


def _correction(verdicts: list[stats.Verdict]) -> str:
    count = max(verdict.comparisons for verdict in verdicts)
    return f". Corrected for {count} comparisons after Holm" if count > 1 else ""


def dead_and_accuracy(runs: Runs, name: str = "learning-rates") -> CaptionedFigure:
    """Draws dead neurons and, beside them, test accuracy over the learning rates.

    Args:
        runs: Runs that have ended and differ in activation function, learning rate and seed.
        name: The picture's name.
    """
    with canvas.style():
        figure, axes = panel_grid(2, 2, (canvas.WIDTH / 2, 4.4))
        for measure, ax in zip(("dead", "test_accuracy"), axes, strict=True):
            plots.over_rates(runs, measure, rings=False, ax=ax)
            ax.set_title(ax.get_ylabel())
            ax.set_ylabel("")
            if legend := ax.get_legend():
                legend.remove()  # One above serves both.
        handles, names = axes[0].get_legend_handles_labels()
        columns = min(len(names), COLUMNS)
        figure.legend(handles, names, loc="outside upper left", ncols=columns, handlelength=4)
        add_caption(figure, runs, LADDER)
    words = "; ".join(
        f"{group[0].config.title} at {group[0].config.learning_rate:g}: {_point_words(group)}"
        for group in runs.groups()
    )
    return CaptionedFigure(
        f"{name}-dead-and-accuracy",
        figure,
        f"Two panels over the learning rate: the share of dead hidden neurons, and test accuracy. "
        f"Means over seeds: {words}. {setting_words(runs)}",
    )


def _point_words(group: Runs) -> str:
    """Says how many neurons are dead and how accurate the runs are, on average."""
    if lost := sum(run.diverged for run in group):
        return f"{lost} of {len(group)} diverged"
    dead, accuracy = map(measures.measure, ("dead", "test_accuracy"))
    return (
        f"{np.mean([dead.printed(run) for run in group]):.1f} % dead, "
        f"{np.mean([accuracy.printed(run) for run in group]):.2f} %"
    )


def learning_rates(runs: Runs, name: str = "learning-rates") -> CaptionedFigure:
    """Draws validation accuracy and dead neurons over the learning rates, a panel each function.

    Args:
        runs: Runs that have ended and differ in activation function, learning rate and seed.
        name: The picture's name.
    """
    titles = list(dict.fromkeys(run.config.title for run in runs.in_order()))
    columns = min(COLUMNS, len(titles))
    rows = math.ceil(len(titles) / columns)
    with canvas.style():
        figure, axes = panel_grid(2 * rows * columns, columns, (canvas.WIDTH / columns, 3.0))
        for block, measure in enumerate(OVER_RATES):
            some = axes[block * rows * columns : (block + 1) * rows * columns]
            for title, ax in zip(titles, some, strict=False):
                plots.over_rates(runs, measure, only=title, ax=ax)
            _one_scale(some[: len(titles)], columns)
            for ax in some[len(titles) :]:
                ax.set_axis_off()
        add_caption(figure, runs, RATES)
    best = "; ".join(map(_best_words, stats.best_rates(runs).to_dict("records")))
    return CaptionedFigure(
        f"{name}-learning-rates",
        figure,
        f"Validation accuracy and the share of dead neurons over the learning rate, a panel for "
        f"each activation function. Best learning rate on validation: {best}. "
        f"{setting_words(runs)}",
    )


def _one_scale(axes: "list[Axes]", columns: int) -> None:
    """Gives panels of one measure the same scale, to compare heights; labels only the left one."""
    lows, highs = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for place, ax in enumerate(axes):
        ax.set_ylim(min(lows), max(highs))
        if place % columns:
            ax.set_ylabel("")


def _best_words(row: "dict[Any, Any]") -> str:
    if math.isnan(row["learning_rate"]):
        return f"{row['activation']}: none, a run diverged at each"
    note = f" ({row['note']})" if row["note"] else ""
    return (
        f"{row['activation']}: {row['learning_rate']:g}, with validation accuracy "
        f"{row['validation_accuracy']:.2f} % and test accuracy {row['test_accuracy']:.2f} %{note}"
    )


def rate_maps(runs: Runs, name: str = "learning-rates") -> CaptionedFigure:
    """Draws validation accuracy and dead neurons as maps of function and learning rate.

    Args:
        runs: Runs that have ended and differ in activation function, learning rate and seed.
        name: The picture's name.
    """
    wanted = [measures.measure(measure) for measure in OVER_RATES]
    tables = [by_rate(runs, measure) for measure in wanted]
    rows = len(tables[0][0])
    with canvas.style():
        figure, axes = panel_grid(2, 2, (canvas.WIDTH / 2, 1.6 + 0.5 * rows))
        for measure, (mean, spread, empty), ax in zip(wanted, tables, axes, strict=True):
            fewer = measure.better == "smaller"
            plots.heat_map(mean, spread, measure.axis, ax, empty, fewer)
        add_caption(figure, runs, MAPS)
    told = zip(wanted, tables, strict=True)
    words = ". ".join(f"{m.axis}: {_map_words(mean, empty)}" for m, (mean, _, empty) in told)
    return CaptionedFigure(
        f"{name}-rate-maps",
        figure,
        f"Two maps, a row for each activation function and a column for each learning rate. "
        f"{words}. {setting_words(runs)}",
    )


def by_rate(runs: Runs, measure: Measure) -> "tuple[pd.DataFrame, pd.DataFrame, NDArray[np.bool_]]":
    """Returns a measure's mean and spread over the seeds, by activation function and rate.

    Args:
        runs: Runs that have ended and differ in activation function, learning rate and seed.
        measure: The measure.

    Returns:
        Two tables with a row for each activation function and a column for each learning rate: the
        mean, NaN where a run diverged, and the standard deviation, NaN with one seed; and which
        cells have no run.
    """
    import pandas as pd

    rows, columns = "activation function", "learning_rate"
    values = [(r.config.title, r.config.learning_rate, measure.printed(r)) for r in runs.in_order()]
    frame = pd.DataFrame(values, columns=[rows, columns, "value"])
    groups = frame.groupby([rows, columns], sort=False).value
    titles = frame[rows].unique()

    def spread_out(cells: "pd.Series[Any]") -> "pd.DataFrame":
        table = cells.unstack().reindex(titles).sort_index(axis=1)
        return table.rename(columns="{:g}".format)

    mean = spread_out(groups.agg(lambda cell: cell.mean(skipna=False)))
    spread = spread_out(groups.agg(lambda cell: cell.std(skipna=False)))
    return mean, spread, spread_out(groups.size()).isna().to_numpy()


def _map_words(table: "pd.DataFrame", empty: "NDArray[np.bool_]") -> str:
    def told(value: float, missing: bool) -> str:
        return "no run" if missing else "diverged" if math.isnan(value) else f"{value:.1f}"

    return "; ".join(
        f"{title} at "
        + ", ".join(
            f"{rate}: {told(value, missing)}"
            for rate, value, missing in zip(table.columns, values, gaps, strict=True)
        )
        for title, values, gaps in zip(table.index, table.to_numpy(), empty, strict=True)
    )

"""Figures of units that are alive and add little: clones and ranks beside the dead."""

from typing import TYPE_CHECKING

from lab import plots
from lab.census import clones
from lab.experiment import Dataset
from lab.figures.captioned import CaptionedFigure, add_caption, draw_table, setting_words
from lab.plots import canvas
from lab.runs import Runs

if TYPE_CHECKING:
    import pandas as pd

HEAD = ("activation", "layer", "neurons", "dead", "clones", "effective rank", "stable rank")
WIDTHS = (0.2, 0.08, 0.1, 0.155, 0.155, 0.155, 0.155)


def redundancy(
    runs: Runs, dataset: Dataset | None = None, name: str = "comparison"
) -> CaptionedFigure:
    """Draws dead neurons, clones and ranks over the epochs, with a table of the last one.

    Args:
        runs: Runs of one comparison that kept the weights of every epoch.
        dataset: What they were trained on; by default it is loaded by its name.
        name: The beginning of the figure's name.

    Raises:
        InputError: If there are no runs.
        RunError: If a run did not keep the weights of every epoch, or if the data set is another.
        DatasetMissingError: If the data set is not given and not available.
    """
    plots.styles.check_some(runs)
    from matplotlib.figure import Figure

    for run in runs:
        run.weights(0)  # Refuses runs without the weights of every epoch, before any work.
    dataset = runs[0].trained_on(dataset)
    cells = at_the_end(runs, dataset)
    layers = sorted({1, len(runs[0].layers)})
    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 12.6 + 0.5 * len(cells)))
        grid = figure.add_gridspec(5, 2, height_ratios=(*[10] * 4, 2 + 2 * len(cells)))
        for column, layer in enumerate(layers):
            plots.dead_neurons(runs, layer, ax=figure.add_subplot(grid[0, column]))
            for row, measure in enumerate(plots.REDUNDANCY_CURVES, start=1):
                ax = figure.add_subplot(grid[row, column])
                plots.redundancy(runs, layer, measure, dataset, ax)
        draw_table(figure.add_subplot(grid[4, :]), HEAD, cells, WIDTHS)
        add_caption(figure, runs, SEEDS, _words(runs))
    words = "; ".join(
        f"{activation}, layer {layer} of {neurons} neurons: "
        + ", ".join(
            f"{name} {' '.join(cell.split())}" for name, cell in zip(HEAD[3:], others, strict=True)
        )
        for activation, layer, neurons, *others in cells
    )
    return CaptionedFigure(
        f"{name}-redundancy",
        figure,
        f"Curves over the epochs of dead neurons, clones, effective and stable rank, by hidden "
        f"layer; below them a table of the last epoch. {words}. {setting_words(runs)} "
        f"{_words(runs)}",
    )


def at_the_end(runs: Runs, dataset: Dataset | None = None) -> list[list[str]]:
    """Returns a row for each activation function and hidden layer, as `HEAD` names the columns.

    Args:
        runs: Runs that kept their weights.
        dataset: What they were trained on; by default it is loaded by its name.
    """
    rows = []
    for group in runs.groups():
        found = Runs(group).redundancy(dataset)
        last = found[found.epoch == found.groupby("run_id").epoch.transform("max")]
        for layer, seeds in last.groupby("layer"):
            numbers = [_over_seeds(seeds[column]) for column in ("dead", *clones.MEASURES)]
            rows.append([group[0].config.title, str(layer), str(seeds.units.iloc[0]), *numbers])
    return rows


def _over_seeds(values: "pd.Series") -> str:
    """Writes the mean over seeds, and the smallest and the largest value."""
    if values.isna().any():
        return "diverged"
    mean, low, high = (f"{value:.1f}" for value in (values.mean(), values.min(), values.max()))
    return mean if low == high else f"{mean}\n({low} to {high})"


SEEDS = "Thin lines: each seed; thick lines: their mean; in the table: mean (least to most)."


def _words(runs: Runs) -> str:
    record = runs[0].record
    return (
        f"All on a probe of {record.probe_images:,} images. Dead: no gradient on any of them; "
        f"ring: on any of all {record.train_images:,} training images. Clones: neurons that could "
        f"be taken away so that one of each group is left whose activations rise and fall together "
        f"(|correlation| above {clones.THRESHOLD:g}). Ranks: how many directions the activations "
        f"of a layer take up; effective: by the entropy of their singular values, stable: by their "
        f"squares against the largest."
    )

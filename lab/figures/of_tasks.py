"""Figures of runs that learn tasks one after the other."""

from collections.abc import Sequence

from lab import plots
from lab.figures.captioned import CaptionedFigure, add_caption, draw_table, heads, setting_words
from lab.plots import canvas
from lab.runs import BY_LAYER, TASK_RESULTS, Run, Runs, tasks_words

OF_A_LAYER = ("dead_fraction", "weight_norm", "effective_rank")
WIDTHS = (0.16, 0.24, 0.24, 0.18, 0.18)


def over_tasks(
    runs: Runs, name: str = "comparison", panels: Sequence[tuple[str, int]] = ()
) -> CaptionedFigure:
    """Draws how well each task is learned, and dead neurons, weights and rank at its end.

    A table is below the curves.

    Args:
        runs: Runs of one comparison that learn tasks.
        name: The beginning of the figure's name.
        panels: Measures that `measures.by_task` takes, each with its hidden layer; by default
            the accuracies, and dead neurons, weights and rank of the first and the last layer.

    Raises:
        InputError: If there are no runs that learn tasks.
    """
    plots.styles.check_some(runs.learning_tasks())
    from matplotlib.figure import Figure

    panels = panels or _usual_panels(runs[0])
    cells, below = runs.task_results().to_numpy().tolist(), -(-len(panels) // 2)
    with canvas.style():
        figure = Figure(figsize=(canvas.WIDTH, 3.6 * below + 1.6 + 0.6 * len(cells)))
        grid = figure.add_gridspec(below + 1, 2, height_ratios=(*[10] * below, 3 + 2 * len(cells)))
        for place, (measure, layer) in enumerate(panels):
            plots.over_tasks(runs, measure, layer, figure.add_subplot(grid[divmod(place, 2)]))
        drawn = "; ".join(ax.get_ylabel() for ax in figure.axes)
        head = heads(TASK_RESULTS, BY_LAYER, runs)
        narrow = [[cell.replace(" → ", " →\n") for cell in row] for row in cells]
        draw_table(figure.add_subplot(grid[below, :]), head, narrow, WIDTHS)
        add_caption(figure, runs, tasks_words(runs))
    words = ". ".join(
        f"{activation}: {', '.join(map(' '.join, zip(TASK_RESULTS[1:], others, strict=True)))}"
        for activation, *others in cells
    )
    return CaptionedFigure(
        f"{name}-over-tasks",
        figure,
        f"Curves over the tasks ({drawn}), below them a table. {words}. {setting_words(runs)} "
        f"{tasks_words(runs)}",
    )


def _usual_panels(run: Run) -> list[tuple[str, int]]:
    layers = sorted({1, len(run.layers)})
    of_layers = [(name, layer) for name in OF_A_LAYER for layer in layers]
    return [("online_accuracy", 1), ("end_accuracy", 1), *of_layers]

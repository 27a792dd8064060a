"""The lives of a layer's neurons: their states as a map, and how many died and revived."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.census import lives
from lab.plots.canvas import axes, in_lines, whole_epochs, whole_tasks
from lab.plots.palette import BROWN, GREY, INK, PLUM, VIOLET
from lab.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIFE_MARKERS = "oDsXP"
LIFE_COLOURS = ("#ececec", VIOLET, BROWN, INK, PLUM)


def life_map(run: Run, layer: int, ax: "Axes | None" = None, legend: bool = True) -> "Axes":
    """Draws all neurons of a layer, a row each, over the epochs, a column each.

    Rows are sorted by the state at the last epoch, then by the epochs that the neuron is dead or
    not plainly alive: so the height of a colour at the right is the share of the layer. The title
    counts the neurons that are not plainly alive at some epoch.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        ax: Where to draw.
        legend: Whether to explain the colours beside the map.

    Raises:
        RunError: If the run has no such layer.
    """
    from matplotlib.patches import PathPatch

    states = lives.states(run.layer(layer))
    epochs, neurons = states.shape
    eventful = states.any(axis=0)
    rows = states[:, _order(states)].T
    with axes(ax) as ax:
        ax.grid(visible=False)
        for state in np.unique(rows):
            ax.add_patch(
                PathPatch(_cells(rows == state), facecolor=LIFE_COLOURS[state], edgecolor="none")
            )
        title = f"{in_lines(run.config.title, 30)}\nlayer {layer}: {eventful.sum()} of {neurons}"
        ax.set(title=title, ylabel="neurons, a row each")
        ax.set(xlim=(-0.5, epochs - 0.5), ylim=(0, neurons))
        epochs_or_tasks(ax, run)
        if legend:
            ax.legend(handles=life_legend(states), loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def epochs_or_tasks(ax: "Axes", run: Run) -> None:
    """Makes a horizontal axis of epochs show whole epochs, or the tasks of a run that learns some.

    Args:
        ax: The axes.
        run: The run.
    """
    if run.config.tasks == "none":
        whole_epochs(ax)
    else:
        whole_tasks(ax, run.config.task_at(run.last_epoch), run.config.task_epochs)


def _order(states: NDArray[np.int8]) -> NDArray[np.intp]:
    """Returns the order in which neurons with similar lives are neighbours, the gravest first."""
    dead_epochs = (states == lives.STATES.index("dead")).sum(axis=0)
    return np.lexsort([-(states > 0).sum(axis=0), -dead_epochs, -states[-1]])


def _cells(where: NDArray[np.bool_]) -> Any:
    """Returns one path around the cells that are true; those in one column that touch are joined.

    Args:
        where: Shape (rows, columns); the lower left corner of the first cell is at (-0.5, 0).
    """
    from matplotlib.path import Path

    edges = np.diff(where.astype(int), axis=0, prepend=0, append=0).T  # 1: begins, -1: is over.
    (columns, bottoms), (_, tops) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    left, right = columns - 0.5, columns + 0.5
    corners = [(left, bottoms), (right, bottoms), (right, tops), (left, tops), (left, bottoms)]
    vertices = np.array(corners, float).transpose(2, 0, 1).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(columns)
    return Path(vertices, codes)


def life_legend(states: NDArray[np.int8]) -> list[Any]:
    """Returns legend entries for the states that occur, alive included."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=LIFE_COLOURS[state], edgecolor=GREY, label=lives.STATES[state])
        for state in np.union1d(states, [0])
    ]


def flows(run: Run, layer: int, ax: "Axes | None" = None) -> "Axes":
    """Draws how many neurons of a layer died and revived in each epoch, and how many are dead.

    Bars up: died (in epoch 0: born dead); hatched bars down: revived; line: dead, on the probe set.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        ax: Where to draw.

    Raises:
        RunError: If the run has no such layer.
    """
    lived = run.lives(layer)
    died, revived, dead = (f.sum(axis=1) for f in (lived.died, lived.revived, lived.dead))
    died[0] = lived.born_dead.sum()
    epochs = range(len(dead))
    with axes(ax) as ax:
        ax.bar(epochs, died, color=BROWN, label="died")
        ax.bar(epochs, -revived, color=VIOLET, hatch="//", label="revived")
        ax.plot(epochs, dead, "o-", color=INK, label="dead")
        ax.axhline(0, color=INK, lw=1)
        ax.set(title=in_lines(f"{run.config.title}, layer {layer}", 40), ylabel="neurons")
        ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
        epochs_or_tasks(ax, run)
    return ax

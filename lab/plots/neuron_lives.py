"""The lives of a layer's neurons: their states as a map, and how many died and revived."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.activations import OKABE_ITO
from lab.census import lives
from lab.plots.canvas import axes, in_lines, whole_epochs
from lab.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIFE_MARKERS = "oDsXP"
LIFE_COLOURS = ("#f0f0f0", OKABE_ITO["sky blue"], OKABE_ITO["orange"], "#000000", "#CC79A7")


def life_map(run: Run, layer: int, ax: "Axes | None" = None, legend: bool = True) -> "Axes":
    """Draws the neurons of a layer, a row each, over the epochs, a column each.

    Only neurons that are not plainly alive at some epoch have a row; the title counts them. Rows
    are sorted by the state at the last epoch, then by the epochs that the neuron is dead.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        ax: Where to draw.
        legend: Whether to explain the colours beside the map.

    Raises:
        RunError: If the run has no such layer.
    """
    from matplotlib.colors import ListedColormap

    states = lives.states(run.layer(layer))
    epochs, neurons = states.shape
    eventful = states[:, states.any(axis=0)]
    dead_epochs = (eventful == lives.STATES.index("dead")).sum(axis=0)
    order = np.lexsort([-dead_epochs, -eventful[-1]])
    with axes(ax) as ax:
        ax.grid(visible=False)
        ax.imshow(
            eventful[:, order].T,
            cmap=ListedColormap(LIFE_COLOURS),
            vmin=0,
            vmax=len(lives.STATES) - 1,
            aspect="auto",
            interpolation="nearest",
            extent=(-0.5, epochs - 0.5, max(len(order), 1), 0),
        )
        title = f"{run.config.title}, layer {layer}: {len(order)} of {neurons}"
        ax.set(title=in_lines(title, 40), ylabel="neurons, a row each")
        whole_epochs(ax)
        if legend:
            ax.legend(handles=life_legend(states), loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def life_legend(states: NDArray[np.int8]) -> list[Any]:
    """Returns legend entries for the states that occur, alive included."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=LIFE_COLOURS[state], edgecolor="#777777", label=lives.STATES[state])
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
        ax.bar(epochs, died, color=OKABE_ITO["vermillion"], label="died")
        ax.bar(epochs, -revived, color=OKABE_ITO["sky blue"], hatch="//", label="revived")
        ax.plot(epochs, dead, "o-", color="black", label="dead")
        ax.axhline(0, color="black", lw=1)
        ax.set(title=in_lines(f"{run.config.title}, layer {layer}", 40), ylabel="neurons")
        ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
        whole_epochs(ax)
    return ax

"""Tables of percentages as coloured cells."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.experiment import words_of
from lab.plots.canvas import CAPTION, axes, in_lines
from lab.plots.palette import INK, PAPER

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BAD, GOOD = "#7a1f55", "#3f3093"  # 100 % of what should be small, and of what should be large.
BRIGHT = 117  # The least brightness, of 255, on which black is easier to read than white.
NOT_FINITE = "#999999"


def heat_map(
    mean: "pd.DataFrame",
    spread: "pd.DataFrame",
    title: str,
    ax: "Axes",
    empty: NDArray[np.bool_] | None = None,
    fewer_is_better: bool = False,
) -> "Axes":
    """Draws a table of percentages as coloured cells, with each mean ± spread written in.

    White is 0 %. Plum is 100 % of what should be small, violet of what should be large.

    Args:
        mean: What the colours show, 0 to 100; grey where NaN. Its index and columns name the axes.
        spread: The same shape; not written where NaN.
        title: What the numbers are.
        ax: Where to draw.
        empty: Which cells have no run; by default none, so that NaN means a run that diverged.
        fewer_is_better: Whether it should be small.
    """
    scale = _map_scale(fewer_is_better)
    with axes(ax) as ax:
        ax.grid(visible=False)
        values, around = mean.to_numpy(float), spread.to_numpy(float)
        ax.imshow(values, cmap=scale, vmin=0, vmax=100, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            words = "diverged" if np.isnan(value) else f"{value:.1f}"
            if empty is not None and empty[row, column]:
                words = "no run"
            if not np.isnan(around[row, column]):
                words += f"\n± {around[row, column]:.1f}"
            colour = _ink_on(scale(value / 100))
            ax.text(column, row, words, ha="center", va="center", color=colour, fontsize=CAPTION)
        ax.set_xticks(range(mean.shape[1]), mean.columns)
        ax.set_yticks(range(mean.shape[0]), [in_lines(str(name)) for name in mean.index])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(title=title, xlabel=words_of(mean.columns.name), ylabel=words_of(mean.index.name))
    return ax


def outline(ax: "Axes", inside: NDArray[np.bool_]) -> None:
    """Draws a thick line around some cells of a heat map.

    Args:
        ax: Where the heat map is.
        inside: The cells, of shape (rows, columns).
    """
    from matplotlib.collections import LineCollection

    padded = np.pad(inside, 1).astype(int)
    across = np.argwhere(np.diff(padded, axis=0)[:, 1:-1]) - 0.5  # Edges at the top of a cell.
    along = np.argwhere(np.diff(padded, axis=1)[1:-1]) - 0.5
    edges = [[(x, y), (x + 1, y)] for y, x in across] + [[(x, y), (x, y + 1)] for y, x in along]
    lines = LineCollection(edges, colors=INK, linewidths=3, capstyle="projecting", clip_on=False)
    ax.add_collection(lines, autolim=False)


def map_colour(percent: float, fewer_is_better: bool = False) -> str:
    """Returns the colour of a cell of a heat map, as CSS writes it."""
    from matplotlib.colors import to_hex

    return to_hex(_map_scale(fewer_is_better)(percent / 100))


def _map_scale(fewer_is_better: bool) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("map", [PAPER, BAD if fewer_is_better else GOOD])
    return scale.with_extremes(bad=NOT_FINITE)


def _ink_on(colour: tuple[float, float, float, float]) -> str:
    """Returns what is easier to read on a colour, given as red, green, blue and opacity."""
    brightness = 255 * np.dot(colour[:3], (0.299, 0.587, 0.114))
    return INK if brightness > BRIGHT else PAPER

"""Tables of percentages as coloured cells."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.experiment import words_of
from lab.plots.canvas import axes, in_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def heat_map(
    mean: "pd.DataFrame",
    spread: "pd.DataFrame",
    title: str,
    ax: "Axes",
    empty: NDArray[np.bool_] | None = None,
    fewer_is_better: bool = False,
) -> "Axes":
    """Draws a table of percentages as coloured cells, with each mean ± spread written in.

    What is good is bright.

    Args:
        mean: What the colours show, 0 to 100; grey where NaN. Its index and columns name the axes.
        spread: Of the same shape; not written where NaN.
        title: What the numbers are.
        ax: Where to draw.
        empty: Which cells have no run; by default none, so that NaN means a run that diverged.
        fewer_is_better: Whether 0 is the bright end, and not 100.
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
            share = 100 - value if fewer_is_better else value
            colour = "black" if share > 55 or np.isnan(value) else "white"
            ax.text(column, row, words, ha="center", va="center", color=colour, fontsize=10)
        ax.set_xticks(range(mean.shape[1]), mean.columns)
        ax.set_yticks(range(mean.shape[0]), [in_lines(str(name)) for name in mean.index])
        ax.set(title=title, xlabel=words_of(mean.columns.name), ylabel=words_of(mean.index.name))
    return ax


def map_colour(percent: float, fewer_is_better: bool = False) -> str:
    """Returns the colour of a cell of a heat map, as CSS writes it."""
    from matplotlib.colors import to_hex

    return to_hex(_map_scale(fewer_is_better)(percent / 100))


def _map_scale(fewer_is_better: bool) -> Any:
    from matplotlib import colormaps

    scale = colormaps["cividis_r" if fewer_is_better else "cividis"]
    return scale.with_extremes(bad="#999999")

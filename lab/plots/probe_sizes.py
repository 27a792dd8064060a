"""How many images it takes to know a dead neuron: the share that looks dead, by their number."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab.plots.canvas import axes
from lab.plots.palette import shades
from lab.plots.styles import marker

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


APART = 1.25  # Marks whose sizes differ by less would touch on the logarithmic axis.


def probe_sizes(tables: "Mapping[int, pd.DataFrame]", ax: "Axes | None" = None) -> "Axes":
    """Draws for each hidden layer the share of units that look dead, by the number of images.

    Args:
        tables: For each hidden layer what `probes.by_size` returns.
        ax: Where to draw.
    """
    with axes(ax) as ax:
        for (layer, table), colour in zip(tables.items(), shades(len(tables)), strict=True):
            ax.plot(
                table.images,
                100 * table.dead_fraction,
                color=colour,
                marker=marker(layer - 1),
                markevery=_apart(table.images.tolist()),
                lw=2.5,
                label=f"layer {layer}",
            )
        ax.set(xscale="log", xlabel="probe images", ylabel="neurons that look dead, %")
        ax.set_ylim(bottom=0)
        most = int(table.images.max())
        ticks = [*(size for size in (10, 100, 1_000, 10_000) if size < most), most]
        ax.set_xticks(ticks, [f"{size:,}" for size in ticks], minor=False)
        ax.minorticks_off()
        ax.legend()
    return ax


def _apart(sizes: Sequence[int]) -> list[int]:
    """Returns the places of the sizes to mark: the last, and before it those that are apart."""
    marked = [len(sizes) - 1]
    for place in reversed(range(len(sizes) - 1)):
        if APART * sizes[place] <= sizes[marked[-1]]:
            marked.append(place)
    return marked[::-1]

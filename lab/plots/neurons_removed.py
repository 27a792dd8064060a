"""Test accuracy against the neurons that were taken out."""

from typing import TYPE_CHECKING

from lab.plots.canvas import axes
from lab.plots.palette import BROWN, GREY, VIOLET

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def removal(curve: "pd.DataFrame", ax: "Axes | None" = None) -> "Axes":
    """Draws test accuracy against the share of hidden neurons that were taken out.

    Args:
        curve: What `surgery.removal_curve` returns.
        ax: Where to draw.
    """
    with axes(ax) as ax:
        looks = zip(("-", "--", ":"), "osD", (VIOLET, BROWN, GREY), strict=True)
        for (order, part), (line, marker, colour) in zip(
            curve.groupby("order", sort=False), looks, strict=False
        ):
            x, y = 100 * part.share, 100 * part.test_accuracy
            ax.plot(x, y, line, marker=marker, color=colour, lw=2.5, label=order)
        ax.set(xlabel="hidden neurons taken out, %", ylabel="test accuracy, %", ylim=(0, 102))
        ax.legend(title="which first", handlelength=4)
    return ax

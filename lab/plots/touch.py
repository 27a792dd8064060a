"""What a picture needs to answer a pointer or the keyboard: which of its artists is which curve.

Artists are marked by their label, which legends leave out as it begins with an underscore.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.plots.palette import by_theme

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

RUN, MEAN, NAME = "_run ", "_mean ", "_name "  # One seed's curve, their mean, its legend entry.
MARKS = (RUN, MEAN, NAME)
DIGITS = 6


def mark(kind: str, group: str, *artists: "Artist") -> None:
    """Marks artists as belonging to the curves of a group of runs.

    Args:
        kind: One of `MARKS`.
        group: What the group is called.
        *artists: What is drawn of it.
    """
    for artist in artists:
        artist.set_label(f"{kind}{group}")


@contextlib.contextmanager
def marks_in_svg(figure: "Figure") -> Iterator[None]:
    """Writes the marks into an SVG that is saved inside a `with` block."""
    marked = _marked(figure)
    for artist in marked:
        artist.set_gid(str(artist.get_label()))
    try:
        yield
    finally:
        for artist in marked:
            artist.set_gid(None)


def _marked(figure: "Figure") -> "list[Artist]":
    """Returns what is marked; looking through all ticks, too, would take a tenth of a drawing."""
    drawn: list[Artist] = [part for ax in figure.axes for part in (*ax.lines, *ax.texts)]
    for legend in figure.legends:
        drawn += filter(None, (*legend.texts, *legend.legend_handles))
    return [artist for artist in drawn if str(artist.get_label()).startswith(MARKS)]


def as_data(svg: str) -> str:
    """Turns the ids of marks into `data-run`, `data-mean` and `data-name`, which may repeat."""
    return re.sub(r"""<g id=(["'])_(run|mean|name) (.*?)\1""", r"<g data-\2=\1\3\1", svg)


def panels(figure: "Figure") -> list[dict[str, Any]]:
    """Returns of each pair of axes with marked curves where they are and what they show, for JSON.

    Boxes are left, top, width and height as shares of the figure.
    """
    return [_panel(ax) for ax in figure.axes if _curves(ax)]


def zoom(figure: "Figure", title: str, x: Sequence[float], y: Sequence[float]) -> None:
    """Lets the panel of this title show a part only; without such a panel nothing changes."""
    from matplotlib.ticker import MaxNLocator

    for ax in figure.axes:
        if _curves(ax) and ax.get_ylabel() == title:
            ax.set(xlim=x, ylim=y)
            if ax.get_yscale() == "log":
                ax.yaxis.set_major_locator(MaxNLocator(6))  # Few powers of ten lie in it.


def _curves(ax: "Axes") -> "list[Line2D]":
    return [line for line in ax.lines if str(line.get_label()).startswith((RUN, MEAN))]


def _panel(ax: "Axes") -> dict[str, Any]:
    box = ax.get_position()
    return {
        "box": [float(share) for share in (box.x0, 1 - box.y1, box.width, box.height)],
        "x": [float(end) for end in ax.get_xlim()],
        "y": [float(end) for end in ax.get_ylim()],
        "log": ax.get_yscale() == "log",
        "title": ax.get_ylabel(),
        "curves": [_curve(line) for line in _curves(ax)],
    }


def _curve(line: "Line2D") -> dict[str, Any]:
    from matplotlib.colors import to_hex

    kind, _, group = str(line.get_label()).partition(" ")
    values = np.asarray(line.get_ydata(), float)
    return {
        "group": group,
        "mean": f"{kind} " == MEAN,
        "colour": by_theme(to_hex(line.get_color())),
        "values": [float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in values],
    }

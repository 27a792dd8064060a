"""Figures and axes in the lab's style, and how they become files."""

import html
import io
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.plots import touch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
Limits = tuple[tuple[float, float], tuple[float, float]]
STYLE: Mapping[str, Any] = {
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # Looking for a free place above the ticks takes a tenth of a drawing.
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # A name from a file is text, never a formula.
    "svg.hashsalt": "activation-lab",  # One picture, one file: its ids do not depend on chance.
}


@contextmanager
def style() -> Iterator[None]:
    """Draws in the lab's style inside a `with` block."""
    import matplotlib

    settings: Any = dict(STYLE)
    inside = matplotlib.rcParams["svg.hashsalt"] == STYLE["svg.hashsalt"]
    # Entering twice changes nothing, and takes a tenth of a portrait's time.
    with nullcontext() if inside else matplotlib.rc_context(settings):
        yield


@contextmanager
def axes(ax: "Axes | None", size: tuple[float, float] = (7.0, 4.3)) -> Iterator["Axes"]:
    """Yields the axes to draw on, in the lab's style: those given, or new ones."""
    from matplotlib.figure import Figure

    with style():
        yield ax if ax is not None else Figure(figsize=size).subplots()


def fixed_figure(size: tuple[float, float], **edges: float) -> "Figure":
    """Returns a figure whose axes have fixed places: it is drawn in a third of the time."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=size, constrained_layout=False)
        figure.subplots_adjust(**edges)
    return figure


def whole_epochs(ax: "Axes") -> None:
    """Makes the horizontal axis show whole epochs."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    ax.set_xlabel("epoch")


def log_scale(ax: "Axes") -> None:
    """Makes the vertical axis logarithmic, with plain numbers: powers of ten need formulas."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")


def beside(ax: "Axes") -> "Axes":
    """Returns axes over those given, with their own scale at the right."""
    other = ax.twinx()
    other.grid(visible=False)
    other.spines["right"].set_visible(True)
    return other


def in_lines(name: str, width: int = 18) -> str:
    """Returns a name in as many lines as it needs to fit beside or above a picture."""
    return textwrap.fill(name, width)


def png(figure: "Figure", dpi: int = 100) -> bytes:
    """Returns a figure as PNG."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(figure: "Figure", words: str, salt: str = STYLE["svg.hashsalt"]) -> str:
    """Returns a figure as inline SVG that a screen reader reads as `words`.

    Its texts stay text, so that it is small, quick to make and can be searched; it is never wider
    than its page. On a page with several figures, each needs a salt of its own: it goes into the
    ids.
    """
    import matplotlib

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with (
        style(),
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}),
        touch.marks_in_svg(figure),
    ):
        figure.savefig(buffer, format="svg", metadata=nothing)
    _, start, body = touch.as_data(buffer.getvalue()).partition("<svg")
    body = re.sub('<g id="[^"]*"', "<g", body)  # Every figure has the same; nothing refers to them.
    shrinks = 'style="max-width: 100%; height: auto"'
    return f'{start} role="img" aria-label="{html.escape(words)}" {shrinks}{body}'

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

from lab.plots import palette, touch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
Limits = tuple[tuple[float, float], tuple[float, float]]
WIDTH = 11.0  # Inches of a whole figure: shown side by side, all have letters of one size.
TITLE, TEXT, CAPTION = 13, 12, 10  # The only sizes of letters, in points.
STYLE: Mapping[str, Any] = {
    "figure.constrained_layout.use": True,
    "font.size": TEXT,
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": TITLE,
    "figure.titlesize": TEXT,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # Looking for a free place above the ticks takes a tenth of a drawing.
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": palette.PALE,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # A name from a file is text, never a formula.
    "svg.hashsalt": "activation-lab",  # One picture, one file: its ids do not depend on chance.
}
MARGIN = 0.07  # Above and below the values, and between two ticks, of the height of all.
MOST_BORDERS = 50  # Lines between tasks.
LEAST_ERROR = 0.05  # Per cent: smaller errors, 0 too, are drawn as this one.
LEAST_SPAN = 0.1  # Powers of ten of the error: accuracies that are all alike get this much room.
ACCURACIES = (0, 30, 50, 70, 80, 90, 93, 95, 96, 97, 98, 99, 99.5, 99.8, 99.9)
# Pictures of pixels, such as digits, turn dark: their lightness changes, and their hue does not.
IN_THE_DARK = "filter: invert(0.93) hue-rotate(180deg)"


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


def whole_tasks(ax: "Axes", tasks: int, each: int) -> None:
    """Makes a horizontal axis of epochs show tasks: the number of each in its middle, and borders.

    Args:
        ax: The axes; x is in epochs, 0 being the untrained network.
        tasks: How many tasks there are.
        each: The epochs of each. If a task has more than one, lines are drawn between the
            tasks, but not between very many.
    """
    from matplotlib.ticker import MaxNLocator

    places = MaxNLocator(integer=True, nbins=10).tick_values(1, tasks)
    shown = [int(task) for task in places if 1 <= task <= tasks]
    middles = [each * task - (each - 1) / 2 for task in shown]
    ax.set_xticks(middles, list(map(str, shown)))
    ax.set_xlabel("task" if each == 1 else f"task, each of {each} epochs")
    if each == 1:
        return
    ax.grid(visible=False, axis="x")
    for task in range(tasks) if tasks <= MOST_BORDERS else ():
        ax.axvline(task * each + 0.5, color=palette.SILVER, lw=1, zorder=0.5)


def log_scale(ax: "Axes") -> None:
    """Makes the vertical axis logarithmic, with plain numbers: powers of ten need formulas."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")


def error_scale(ax: "Axes") -> None:
    """Makes the vertical axis of accuracies in % logarithmic in what is missing to 100 %."""
    from matplotlib.ticker import FixedLocator, NullLocator

    def height(accuracy: Values) -> Values:
        return np.asarray(-np.log10(np.maximum(100.0 - accuracy, LEAST_ERROR)))

    ends = np.array(ax.dataLim.intervaly if np.isfinite(ax.dataLim.intervaly).all() else (0, 100))
    low, high = height(ends)
    margin = MARGIN * max(high - low, LEAST_SPAN)
    shown: list[float] = []
    for tick, at in zip(ACCURACIES, height(np.array(ACCURACIES)), strict=True):
        if not shown or at - height(np.array(shown[-1])) > margin:
            shown.append(tick)
    ax.set_yscale("function", functions=(height, lambda h: 100.0 - 10.0 ** -np.asarray(h)))
    ax.yaxis.set_major_locator(FixedLocator(shown))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylim(*(100.0 - 10.0 ** -np.array([low - margin, high + margin])))


def beside(ax: "Axes") -> "Axes":
    """Returns axes over those given, with their own scale at the right."""
    other = ax.twinx()
    other.grid(visible=False)
    other.spines["right"].set_visible(True)
    return other


def in_lines(name: str, width: int = 18) -> str:
    """Returns a name in as many lines as it needs to fit beside or above a picture.

    A name that needs more than one begins a new one after each comma.

    >>> in_lines("ReLU, first bias -0.5").splitlines()
    ['ReLU,', 'first bias -0.5']
    """
    if len(name) <= width:
        return name
    return "\n".join(textwrap.fill(part, width) for part in re.split(r"(?<=,) ", name))


@contextmanager
def _saving(settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Saves figures in the lab's style inside a `with` block.

    After it, a figure without a layout engine has none as before: otherwise Matplotlib would give
    it the style's, and it would take twice the time to draw it again.
    """
    import matplotlib

    own: Any = {"figure.constrained_layout.use": False} | dict(settings or {})
    with style(), matplotlib.rc_context(own):
        yield


def png(figure: "Figure", dpi: int = 100) -> bytes:
    """Returns a figure as PNG."""
    buffer = io.BytesIO()
    with _saving():
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(figure: "Figure", words: str, salt: str = STYLE["svg.hashsalt"]) -> str:
    """Returns a figure as inline SVG that a screen reader reads as `words`.

    Its texts stay text, so that it is small, quick to make and can be searched; it is never wider
    than its page, and dark where the page's `color-scheme` is. On a page with several figures, each
    needs a salt of its own: it goes into the ids.
    """
    start, body = _drawn(figure, salt, transparent=True)
    shrinks = f'style="max-width: 100%; height: auto; {_ink()}"'
    return f'{start} role="img" aria-label="{html.escape(words)}" {shrinks}{body}'


def svg_file(figure: "Figure") -> str:
    """Returns a figure as SVG that is shown as an image, dark where the page around it is."""
    start, body = _drawn(figure, STYLE["svg.hashsalt"])
    dark = f"<style>@media (prefers-color-scheme: dark) {{image {{{IN_THE_DARK}}}}}</style>"
    tag, end, rest = body.partition(">")
    return f'{start} style="color-scheme: light dark; {_ink()}"{tag}{end}{dark}{rest}'


def _ink() -> str:
    """Returns the colour of texts and of what has none of its own, for a style."""
    return palette.follow_theme(f"fill: {palette.INK}")


def _drawn(figure: "Figure", salt: str, transparent: bool = False) -> tuple[str, str]:
    """Returns a figure as SVG, cut after the name of its first tag."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with (
        _saving({"svg.fonttype": "none", "svg.hashsalt": salt}),
        touch.marks_in_svg(figure),
    ):
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=transparent)
    _, start, body = touch.as_data(buffer.getvalue()).partition("<svg")
    body = re.sub('<g id="[^"]*"', "<g", body)  # Every figure has the same; nothing refers to them.
    return start, palette.follow_theme(body)

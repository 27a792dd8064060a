"""How functions and groups of runs look: colour, line style, marker and label."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab import activations
from lab.activations import LINES, OKABE_ITO
from lab.errors import InputError
from lab.experiment import RunConfig, differences
from lab.plots import touch
from lab.plots.canvas import in_lines
from lab.runs import Run, Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*"
Line = str | tuple[float, tuple[float, ...]]  # As Matplotlib writes it: a name, or its dashes.
# Lines that no function has, for one with other settings than its own.
MORE_LINES: tuple[Line, ...] = (
    (0, (8, 2)),
    (0, (1, 3)),
    (0, (6, 1, 1, 1, 1, 1)),
    (0, (3, 3)),
    (0, (10, 2, 4, 2)),
    (0, (4, 1, 4, 4)),
    (0, (1, 1, 1, 4)),
)
LEGEND_COLUMNS, LEGEND_INCHES = 4, 0.27


@dataclass(frozen=True)
class Style:
    """How a group of runs, or a function, is drawn."""

    label: str
    colour: str
    line: Line
    marker: str

    @property
    def options(self) -> dict[str, Any]:
        """Matplotlib's options for a line with markers in this style."""
        return {
            "ls": self.line,
            "marker": self.marker,
            "color": self.colour,
            "label": in_lines(self.label),
        }


def styles_of(configs: Sequence[RunConfig]) -> list[Style]:
    """Returns a style for each: the function's own, or one of its colour that no function has.

    Where a function occurs more than once, the one with its default parameter keeps its own style.
    """
    styles: dict[int, Style] = {}
    names = labels(configs)
    free = _free_looks()
    for place in sorted(range(len(configs)), key=lambda i: not _is_default(configs[i])):
        own = _own_style(configs[place])
        taken = any((style.colour, style.line) == own for style in styles.values())
        alike = [look for look in free if look[0] == own[0]]
        look = next(iter([own] * (not taken) + alike + free), own)
        free = [other for other in free if other != look]
        styles[place] = Style(names[place], *look, marker(place))
    return [styles[place] for place in range(len(configs))]


def _free_looks() -> list[tuple[str, Line]]:
    """Returns the pairs of colour and line that no registered function has."""
    known = map(activations.get, activations.names())
    taken = {(function.colour, function.line) for function in known}
    pairs = itertools.product(OKABE_ITO.values(), (*LINES, *MORE_LINES))
    return [pair for pair in pairs if pair not in taken]


def _is_default(config: RunConfig) -> bool:
    known = config.source_sha256 is None
    return known and config.parameter == activations.get(config.activation).default


def _own_style(config: RunConfig) -> tuple[str, Line]:
    if config.source_sha256:
        return activations.own_style(config.activation)
    activation = activations.get(config.activation)
    return activation.colour, activation.line


def marker(place: int) -> str:
    """Returns the marker of the line that is drawn at this place, from 0."""
    return MARKERS[place % len(MARKERS)]


def labels(configs: Sequence[RunConfig]) -> list[str]:
    """Returns a label for each: its activation function, and the settings that differ."""
    differing = differences(configs)
    return [", ".join([c.title, *more]) for c, more in zip(configs, differing, strict=True)]


def legend_above(figure: "Figure", styles: Sequence[Style]) -> None:
    """Names lines above the axes of a figure of `canvas.fixed_figure`, and makes room for the rows.

    The axes keep their size; the figure grows.
    """
    from matplotlib.lines import Line2D

    labels = [in_lines(style.label) for style in styles]
    handles = [
        Line2D([], [], color=style.colour, ls=style.line, lw=3, label=label)
        for style, label in zip(styles, labels, strict=True)
    ]
    _add_above(figure, LEGEND_INCHES * _height_in_columns(labels))
    legend = figure.legend(
        handles=handles,
        loc="upper left",
        ncols=LEGEND_COLUMNS,
        bbox_to_anchor=(0.06, 1.0),
        handlelength=2.3,  # As long as a dash and a dot need.
        handletextpad=0.4,
        columnspacing=0.8,
    )
    for style, text, line in zip(styles, legend.texts, legend.legend_handles, strict=True):
        touch.mark(touch.NAME, style.label, *filter(None, (text, line)))


def _height_in_columns(labels: Sequence[str]) -> int:
    """Returns the number of lines of text below one another."""
    rows = max(-(-len(labels) // LEGEND_COLUMNS), 1)
    columns = [labels[at : at + rows] for at in range(0, len(labels), rows)]
    return max((len("\n".join(column).splitlines()) for column in columns), default=0)


def _add_above(figure: "Figure", inches: float) -> None:
    """Makes a figure higher; what is in it stays as it is."""
    places = figure.subplotpars
    before = figure.get_figheight()
    after = before + inches
    figure.set_figheight(after)
    figure.subplots_adjust(bottom=places.bottom * before / after, top=places.top * before / after)


def styles_by_title(runs: Runs) -> dict[str, tuple[Runs, Style]]:
    """Returns the runs of each activation function in the order of their rates, and its style.

    Raises:
        InputError: If there are no runs.
    """
    check_some(runs)
    by_title: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.config.learning_rate):
        by_title.setdefault(run.config.title, []).append(run)
    styles = styles_of([group[0].config for group in by_title.values()])
    return {
        title: (Runs(group), replace(style, label=title))
        for (title, group), style in zip(by_title.items(), styles, strict=True)
    }


def check_some(runs: Runs) -> None:
    """Checks that there are runs to draw.

    Raises:
        InputError: If there are none.
    """
    if not len(runs):
        raise InputError("runs must hold at least one run, and it is empty.")

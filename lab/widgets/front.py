"""What all front ends share: a status line, a picture with its words, a table, a line of Python."""

import asyncio
import contextlib
import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from IPython.display import DisplayHandle, display
from ipywidgets import HTML, Button, Dropdown, HBox, Layout, VBox, Widget

from lab.errors import LabError
from lab.experiment import differences
from lab.figures import captioned
from lab.plots import canvas, touch
from lab.runs import Run, Runs
from lab.store import RunStore
from lab.widgets import cells
from lab.widgets.names import Names
from lab.widgets.picture import Picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LIVE, STILL = "lab-front", "lab-still"
LONG, LETTERS = "lab-long", 40  # A cell of more letters than this may have several lines.
_OUTPUT = ".jp-OutputArea-child"
# The arrow of a list of choices: that of ipywidgets is black on black in the dark theme.
ARROW = (
    "url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E"
    "%3Cpath d='M5 7l4 4 4-4' fill='none' stroke='%23e8e8e8' stroke-width='2'/%3E%3C/svg%3E\")"
)
# Where a front end is live, the page hides its still copy in the two outputs after it.
LIVE_STYLE = (
    f"<style>{_OUTPUT}:has(.{LIVE}) + {_OUTPUT}, {_OUTPUT}:has(.{LIVE}) + {_OUTPUT} + {_OUTPUT} "
    f"{{display: none}} .{LIVE} .widget-html-content {{min-width: 0; max-width: 100%}} "
    f".lab-table {{overflow-x: auto}} .lab-table table {{border-collapse: collapse}} "
    f".lab-table th, .lab-table td {{padding: 2px 10px; text-align: right; line-height: 1.3}} "
    f"[data-jp-theme-light=false] .{LIVE} {{--jp-widgets-dropdown-arrow: {ARROW}}} "
    f".lab-table td {{white-space: nowrap}} .lab-table td.{LONG} {{white-space: normal}}"
    f"{captioned.IN_JUPYTERLAB}</style>"
)
STILL_STYLE = (
    f"<style>{_OUTPUT}:not(:has(.{LIVE})):has(+ {_OUTPUT} + {_OUTPUT} .{STILL}) "
    f"{{display: none}} {captioned.IN_JUPYTERLAB}</style>"
)
NO_FORMULAS = "mathjax_ignore"  # So JupyterLab does not typeset a name that is LaTeX.
ASLEEP = "This is from the last time this cell ran. Run it to use its controls."
STILL_SECONDS = 1.5


class Front(VBox):
    """A front end: its controls, then status line, picture, table and the same in Python.

    Attributes:
        status: One sentence: what goes on, or what is wrong.
        picture: Inline SVG that a screen reader reads in words; its curves answer to a touch.
        table: The picture's numbers.
        code: The Python that does the same.
        figure: What the picture shows; None before there is one.
        frame: What the table shows; None before there is one.
        loop: The notebook's event loop; None outside of one.
    """

    # Set here, because a front end that refuses its input is closed before `__init__` ends.
    _soon: asyncio.TimerHandle | None = None
    _handles: tuple[DisplayHandle, ...] = ()

    def __init__(self, controls: Sequence[Widget], views: Sequence[Widget] = ()) -> None:
        """Stacks the controls, the status line, what else there is to see, and the other parts."""
        self.status, self.table, self.code = (HTML() for _ in range(3))
        self.picture = Picture()
        self.picture.observe(lambda _: self.draw(), names="zoom")
        parts = (self.status, *views, self.picture, self.table, self.code)
        self._parts = [HTML(LIVE_STYLE), *controls, *parts, Names()]
        super().__init__(self._parts)
        self.add_class(LIVE)
        self.loop = running_loop()
        self.figure: Figure | None = None
        self.frame: pd.DataFrame | None = None
        self._words = ""

    def add_below(self, widget: Widget) -> None:
        """Puts a widget below everything else."""
        self._parts = [*self._parts, widget]
        self.children = self._parts

    def draw(self) -> None:
        """Draws again; overridden by each front end."""

    def say(self, text: str) -> None:
        """Shows a sentence in the status line; screen readers read it out."""
        self.status.value = f'<div role="status">{html.escape(text)}</div>'

    @contextlib.contextmanager
    def sentences(self) -> Iterator[None]:
        """Shows what goes wrong inside a `with` block as a sentence in the status line."""
        try:
            yield
        except LabError as error:
            self.say(str(error))
        except Exception as error:  # A student never meets a traceback.
            self.say(f"This did not work ({type(error).__name__}: {error}). Change a setting.")

    def show(self, figure: "Figure", words: str) -> None:
        """Shows a figure, with its words for screen readers."""
        if self.picture.zoom:
            touch.zoom(figure, **self.picture.zoom)
        self.figure, self._words = figure, words
        with self.picture.hold_sync():
            self.picture.value = canvas.svg(figure, words)
            self.picture.panels = touch.panels(figure)

    def show_table(self, frame: "pd.DataFrame") -> None:
        """Shows a table; what comes from files is escaped."""
        self.frame = frame
        text = frame.to_html(index=False, escape=True, border=0)
        text = text.replace(", %</th>", ",&nbsp;%</th>")
        text = re.sub(rf"<td>(?=[^<]{{{LETTERS + 1}}})", f'<td class="{LONG}">', text)
        reachable = 'role="group" aria-label="table" tabindex="0"'  # Otherwise no key scrolls it.
        self.table.value = f'<div class="lab-table {NO_FORMULAS}" {reachable}>{text}</div>'

    def clear(self) -> None:
        """Takes picture and table away."""
        self.clear_picture()
        self.frame, self.table.value = None, ""

    def clear_picture(self) -> None:
        """Takes the picture away."""
        self.figure = None
        self.picture.value, self.picture.panels, self._words = "", [], ""

    def show_code(self, line: str) -> None:
        """Shows the line of Python that does the same."""
        self.code.value = f"The same in Python: <code>{html.escape(line)}</code>"

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the current picture and words as two outputs that need no kernel."""
        words = f"<details><summary>In words</summary>{html.escape(self._words)}</details>"
        told = f"{ASLEEP}{self.table.value}{words}"
        text = f'{STILL_STYLE}<div class="{STILL} {NO_FORMULAS}">{told}</div>'
        picture = captioned.as_images(self.figure) if self.figure else {}
        return {**picture, "text/plain": ""}, {"text/html": text, "text/plain": self._words}

    def keep_still_soon(self) -> None:
        """Updates the still copy, a moment after the last of several changes."""
        if self.loop is not None and self.loop.is_running():
            self.loop.call_soon_threadsafe(self._keep_still_later, self.loop)

    def _keep_still_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._soon is not None:
            self._soon.cancel()
        self._soon = loop.call_later(STILL_SECONDS, self.keep_still)

    def keep_still(self) -> None:
        """Updates the still copy in the output of the cell that shows this."""
        for handle, output in zip(self._handles, self.still(), strict=False):
            handle.update(output, raw=True)

    def close(self) -> None:
        """Takes it out of the page and frees all that it is made of."""
        if self._soon is not None:
            self._soon.cancel()
        cells.close_all(self)

    def _ipython_display_(self) -> None:
        cells.now_shown(self)
        display(self._repr_mimebundle_() | {"text/plain": type(self).__name__}, raw=True)
        self._handles = self._handles or (DisplayHandle(), DisplayHandle())
        for handle, output in zip(self._handles, self.still(), strict=True):
            handle.display(output, raw=True)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Returns the loop that runs here: in a notebook there is one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def on_change(controls: Sequence[Any], do: Callable[[], None]) -> None:
    """Calls a function whenever a control's value changes."""
    for control in controls:
        control.observe(lambda _: do(), names="value")


def offer(box: Dropdown, options: Iterable[Any]) -> None:
    """Gives a box new options; its value stays if it is among them, else it is the first.

    An option is a value, or a pair of its words and its value.
    """
    options = list(options)
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    kept = box.value if box.value in values else None
    box.options = options
    box.value = kept if kept is not None else next(iter(values), None)


def box(kind: Any, value: Any, description: str, width: str = "200px", **more: Any) -> Any:
    """Returns a control just wide enough, so that controls and picture fit on one screen."""
    layout = Layout(width=width, max_width="96%", margin="2px 10px 2px 2px")
    style = {"description_width": "initial"}
    return kind(value=value, description=description, layout=layout, style=style, **more)


def button(words: str, icon: str, **more: Any) -> Button:
    """Returns a button as wide as its words need."""
    return Button(description=words, icon=icon, layout=Layout(width="auto"), **more)


def row(*controls: Widget) -> HBox:
    """Puts controls side by side; on a narrow screen they wrap."""
    return HBox(controls, layout=Layout(flex_flow="row wrap"))


def given_runs(runs: Run | RunStore | Iterable[Run] | None) -> Runs:
    """Returns the runs of a store in their order, and others in the order given.

    Raises:
        InputError: If they are not runs.
    """
    if isinstance(runs, Run):
        return Runs([runs])
    if runs is None or isinstance(runs, RunStore):
        return (RunStore() if runs is None else runs).runs
    return Runs(runs)


def run_names(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    """Names runs, to pick one from a list, by their settings and by what else differs."""
    differing = differences([run.config for run in runs], "learning_rate")
    told = [_words(run, more) for run, more in zip(runs, differing, strict=True)]
    return [
        (f"{name} ({run.run_id})" if told.count(name) > 1 else name, run)
        for name, run in zip(told, runs, strict=True)
    ]


def _words(run: Run, differing: Sequence[str]) -> str:
    config = run.config
    rate = f"learning rate {config.learning_rate:g}"
    return ", ".join([config.title, run.record.dataset, rate, f"seed {config.seed}", *differing])

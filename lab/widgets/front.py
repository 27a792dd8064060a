"""What all front ends share: a status line, a picture with its words, a table, a line of Python."""

import contextlib
import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Dropdown, HBox, Layout, VBox, Widget

from lab import plots
from lab.errors import LabError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LIVE, STILL = "lab-front", "lab-still"
# The still copy is for a notebook that is opened again: while the front end lives, it is hidden.
HIDE_STILL = (
    f"<style>.jp-OutputArea-child:has(.{LIVE}) ~ .jp-OutputArea-child:has(.{STILL}) "
    f"{{ display: none }}</style>"
)
TABLE_STYLE = (
    "<style>.lab-table table {border-collapse: collapse} "
    ".lab-table th, .lab-table td {padding: 2px 10px; text-align: right}</style>"
)


class Front(VBox):
    """A front end: its controls, then status line, picture, table and the same in Python.

    Attributes:
        status: One sentence: what goes on, or what is wrong.
        picture: Inline SVG that a screen reader reads in words.
        table: The picture's numbers.
        code: The Python that does the same.
    """

    def __init__(self, controls: Sequence[Widget]) -> None:
        """Stacks the controls and the parts below them."""
        self.status, self.picture, self.table, self.code = (HTML() for _ in range(4))
        super().__init__([*controls, self.status, self.picture, self.table, self.code])
        self.add_class(LIVE)

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
        self.picture.value = plots.svg(figure, words)

    def show_table(self, frame: "pd.DataFrame") -> None:
        """Shows a table; what comes from files is escaped."""
        text = frame.to_html(index=False, escape=True, border=0)
        self.table.value = f'{TABLE_STYLE}<div class="lab-table">{text}</div>'

    def show_code(self, line: str) -> None:
        """Shows the line of Python that does the same."""
        self.code.value = f"The same in Python: <code>{html.escape(line)}</code>"

    def still(self) -> str:
        """Returns the picture and the table as they are now, as HTML that needs no kernel."""
        parts = self.picture.value + self.table.value
        return f'{HIDE_STILL}<div class="{STILL}">{parts}</div>'

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(), raw=True)
        display({"text/html": self.still(), "text/plain": ""}, raw=True)


def on_change(controls: Sequence[Any], do: Callable[[], None]) -> None:
    """Calls a function whenever a control's value changes."""
    for control in controls:
        control.observe(lambda _: do(), names="value")


def offer(box: Dropdown, options: Iterable[Any]) -> None:
    """Gives a box new options; its value stays if it is among them, else it is the first."""
    options = list(options)
    kept = box.value if box.value in options else None
    box.options = options
    box.value = kept if kept is not None else next(iter(options), None)


def row(*controls: Widget) -> HBox:
    """Puts controls side by side; on a narrow screen they wrap."""
    return HBox(controls, layout=Layout(flex_flow="row wrap"))

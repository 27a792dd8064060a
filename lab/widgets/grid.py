"""`Grid`: cells, one of which is picked by mouse or keyboard: a layer's neurons, or a map."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


class Grid(anywidget.AnyWidget):
    """Coloured cells in rows; arrows, Home, End and clicks move the pick.

    Attributes:
        colours: The colour of each cell, as CSS writes it.
        marks: A letter or a number in each cell, so that colour does not speak alone.
        names: What each cell is, in words.
        columns: Cells in a row.
        size: The side of a cell, in pixels; of a map with titles its numbers decide.
        column_names: The titles above the columns.
        row_names: The titles before the rows.
        corner: What the rows and columns are.
        label: What the whole grid shows, in words.
        picked: The cell that is picked, from 0.
    """

    # As text: with a path, anywidget would watch the file and keep every grid in memory.
    _esm = (HERE / "grid.js").read_text(encoding="utf-8")
    _css = (HERE / "grid.css").read_text(encoding="utf-8")
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    marks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.Int(32).tag(sync=True)
    size = traitlets.Int(16).tag(sync=True)
    column_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    row_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    corner = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    picked = traitlets.Int(0).tag(sync=True)

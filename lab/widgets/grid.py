"""`NeuronGrid`: the neurons of a layer as cells, one of which is picked by mouse or keyboard."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


class NeuronGrid(anywidget.AnyWidget):
    """A cell for each neuron; arrows, Home, End and clicks move the pick.

    Attributes:
        colours: The colour of each cell, as CSS writes it.
        marks: A letter in each cell, so that colour does not speak alone.
        names: What each cell is, in words.
        columns: Cells in a row.
        label: What the whole grid shows, in words.
        picked: The neuron that is picked, from 0.
    """

    _esm = HERE / "grid.js"
    _css = HERE / "grid.css"
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    marks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.Int(32).tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    picked = traitlets.Int(0).tag(sync=True)

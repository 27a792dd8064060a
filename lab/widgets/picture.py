"""`Picture`: a figure as inline SVG whose curves answer to the pointer and to the keyboard.

It is the lab's own and no plotting library: some kilobytes that work offline and with a screen
reader, on Matplotlib's own picture, so that what is live looks like what is still.
"""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


class Picture(anywidget.AnyWidget):
    """Point at the curves, or move with the arrow keys, to read the values of an epoch.

    The names of the curves hide and show them; Up and Down go to another panel, Escape leaves. To
    see what lies together, draw a frame with the mouse, or press + and -.

    Attributes:
        value: The SVG; a screen reader reads its words.
        panels: Its axes with curves, as `lab.plots.touch.panels` gives them.
        hidden: The names of the groups whose curves are hidden.
        zoom: The title of the panel that shows a part, and the ends of its x and y; or nothing.
        picked: The curve that was clicked: the name of its group, and the seed's place in it.
    """

    _esm = (HERE / "picture.js").read_text(encoding="utf-8")  # See `Grid`.
    _css = (HERE / "picture.css").read_text(encoding="utf-8")
    value = traitlets.Unicode().tag(sync=True)
    panels = traitlets.List().tag(sync=True)
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)
    zoom = traitlets.Dict().tag(sync=True)
    picked = traitlets.List().tag(sync=True)

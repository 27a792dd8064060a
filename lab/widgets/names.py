"""Names for controls that ipywidgets leaves without one, so that screen readers can tell them."""

from pathlib import Path

import anywidget


class Names(anywidget.AnyWidget):
    """Gives every slider of its front end the name beside it, and every button its purpose."""

    _esm = (Path(__file__).parent / "names.js").read_text(encoding="utf-8")  # See `Grid`.

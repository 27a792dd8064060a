"""Which cell of a notebook shows which front ends: when it runs again, the old ones are closed.

Widgets live until they are closed, though a cell that runs again has replaced them on the page.
"""

from typing import Any

from ipywidgets import Widget

_shown: dict[str, tuple[str, list[Widget]]] = {}


def now_shown(widget: Widget) -> None:
    """Notes that the running cell shows a widget; closes what only its last run showed."""
    place = _running_cell()
    if place is None:
        return
    cell, execution = place
    last, widgets = _shown.get(cell, ("", []))
    if last == execution:
        widgets.append(widget)
        return
    _shown[cell] = execution, [widget]
    still_shown = [one for _, some in _shown.values() for one in some]
    for old in widgets:
        if old not in still_shown:
            old.close()


def in_notebook() -> bool:
    """Whether a kernel runs this, for a notebook."""
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def _running_cell() -> tuple[str, str] | None:
    """Returns the ids of the running cell and of this run of it; None where there are none."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId")
    return (cell, parent["header"]["msg_id"]) if cell else None


def close_all(widget: Widget) -> None:
    """Closes a widget and all that it is made of: controls, layouts, styles, links."""
    for one in _parts(widget, set()):
        Widget.close(one)


def _parts(widget: Widget, seen: set[int]) -> list[Widget]:
    if widget.comm is None or id(widget) in seen:  # Closed already.
        return []
    seen.add(id(widget))
    # Not `trait_values`, which would make the missing ones, even while Python ends.
    held: list[Any] = [*widget._trait_values.values(), *vars(widget).values()]
    listed = [value if isinstance(value, list | tuple) else [value] for value in held]
    inside = [one for some in listed for one in some if isinstance(one, Widget)]
    return [widget, *(part for one in inside for part in _parts(one, seen))]

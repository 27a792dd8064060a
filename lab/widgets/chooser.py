"""`Chooser`: tick activation functions and slide their parameters."""

from collections.abc import Callable, Iterable
from typing import Any

from ipywidgets import Checkbox, FloatSlider, Layout, VBox

from lab import activations
from lab.activations import Activation
from lab.errors import InputError
from lab.widgets.front import box, on_change, row

RANGES = {"leaky_relu": (0.0, 1.0, 0.01), "elu": (0.0, 3.0, 0.1), "prelu": (0.0, 1.0, 0.05)}
OTHER_RANGE = (-2.0, 2.0, 0.1)


class Chooser(VBox):
    """A box to tick for every registered activation function, and a slider for each parameter."""

    def __init__(self, choices: str | Iterable[str]) -> None:
        """Ticks the functions given, each with a parameter if wanted: `leaky_relu=0.1`."""
        pairs = [activations.parse(choice) for choice in activations.checked_names(choices)]
        parsed = dict(pairs)
        if len(parsed) < len(pairs):
            raise InputError(
                "Each activation function can be chosen once here, with one parameter. For several "
                "parameters of one function use lab.compare."
            )
        known = [activations.get(name) for name in activations.names()]
        self.boxes = {a.name: _tick_box(a, a.name in parsed) for a in known}
        self.sliders = {a.name: _slider(a, parsed.get(a.name)) for a in known if a.parameter}
        self.parameters = row(*self.sliders.values())
        super().__init__([row(*self.boxes.values())])

    @property
    def choices(self) -> list[str]:
        """The functions that are ticked, each with its parameter."""
        chosen = [name for name, box in self.boxes.items() if box.value]
        return [f"{n}={self.sliders[n].value:.10g}" if n in self.sliders else n for n in chosen]

    def on_change(self, do: Callable[[], None]) -> None:
        """Calls a function whenever the choice changes."""
        on_change([*self.boxes.values(), *self.sliders.values()], do)


def _tick_box(activation: Activation, ticked: bool) -> Checkbox:
    layout = Layout(width="auto", margin="0 12px 0 0")
    return Checkbox(ticked, description=activation.label, indent=False, layout=layout)


def _slider(activation: Activation, value: float | None) -> Any:
    low, high, step = RANGES.get(activation.name, OTHER_RANGE)
    start = float((activation.default if value is None else value) or 0.0)
    label = f"{activation.label} {activation.parameter}"
    limits = {"min": min(low, start), "max": max(high, start), "step": step}
    return box(FloatSlider, start, label, "280px", **limits)

"""`Settings`: a control for each setting of a run, made of what `RunConfig` says of it."""

from collections.abc import Callable, Iterable
from typing import Any, get_args

from ipywidgets import HTML, Accordion, Checkbox, Dropdown, Layout, Text, VBox

from lab.errors import InputError
from lab.experiment import SHAPES, VARIABLE, RunConfig, spelling
from lab.network import own_names
from lab.widgets.front import box, on_change, row

WRONG = "lab-wrong"
STYLE = (
    f"<style>.{WRONG} input {{outline: 3px solid #D55E00}} "
    f".{WRONG} label::before {{content: '! '; color: #D55E00; font-weight: bold}}</style>"
)
SHORT = {
    "learning_rate": "learning rate",
    "hidden": "hidden units",
    "initializer": "first weights",
    "batch_size": "batch size",
    "input_scale": "pixels",
    "clip_norm": "gradient norm at most",
}
WIDTHS = {"hidden": "200px", "initializer": "230px", "clip_norm": "240px"}
# What is no setting of the network or of its training, but of the recording.
ASIDE = ("activation", "parameter", "validation_split", "train_size", "probe_size", "keep_weights")
ORDER = ("network", "hidden", "filters", "depth")


class Settings:
    """Controls for the settings of a run; those that are not shown first fold away.

    Attributes:
        controls: The control of each setting, by the setting's name.
        more: The controls that fold away.
    """

    def __init__(self, given: dict[str, Any], first: Iterable[str], *others: Any) -> None:
        """Makes a control for each setting, with the value given or else the default.

        Args:
            given: Fields of `RunConfig`.
            first: The settings that are shown at once.
            *others: What else folds away, above the settings.
        """
        start, self._given, self._wrong = RunConfig(**given), given, ""
        names = [*ORDER, *(name for name in VARIABLE if name not in (*ORDER, *ASIDE))]
        self.controls = {name: _control(name, getattr(start, name)) for name in names}
        folded = [self.controls[name] for name in names if name not in tuple(first)]
        self.more = Accordion(
            [VBox([*others, row(*folded)])], titles=("More settings",), selected_index=None
        )
        self.style = HTML(STYLE, layout=Layout(display="none"))
        on_change([self.controls["network"]], self._fit)

    def values(self) -> dict[str, Any]:
        """Returns the settings as `RunConfig` takes them; what is empty is left out.

        Raises:
            InputError: If a setting is not valid, in the words of the screen; its box is marked.
        """
        values = {name: _value(name, control) for name, control in self.controls.items()}
        chosen = {
            name: value for name, value in (self._given | values).items() if value is not None
        }
        try:
            RunConfig(**chosen)
        except InputError as error:
            raise InputError(self._mark_and_name(str(error))) from None
        self._mark("")
        return chosen

    def on_change(self, do: Callable[[], None]) -> None:
        """Calls a function whenever a setting changes."""
        on_change(list(self.controls.values()), do)

    def _mark_and_name(self, sentence: str) -> str:
        """Marks the box that a sentence is about, and calls the setting as its box does."""
        name, _, rest = sentence.partition(" ")
        self._mark(name if name in self.controls else "")
        return f"{_words(name)} {rest}" if self._wrong else sentence

    def _mark(self, name: str) -> None:
        """Marks a box; without a change nothing is sent, which would undo what is being typed."""
        if name != self._wrong:
            if self._wrong:
                self.controls[self._wrong].remove_class(WRONG)
            if name:
                self.controls[name].add_class(WRONG)
            self._wrong = name

    def _fit(self) -> None:
        """Gives the network that was chosen its own widths, filters and depth."""
        shape = SHAPES.get(self.controls["network"].value, {})
        for name in ORDER[1:]:
            self.controls[name].value = spelling.value_words(shape.get(name, ""))


def _words(name: str) -> str:
    return SHORT.get(name, spelling.words_of(name))


def _control(name: str, value: Any) -> Any:
    """Returns a list of choices, a box to tick, or a text, by the kind of a setting."""
    kind = RunConfig.model_fields[name].annotation
    words, width = _words(name), WIDTHS.get(name, "190px")
    if name == "network":
        return box(Dropdown, value, words, width, options=(*SHAPES, *own_names()))
    if kind is bool:
        return box(Checkbox, value, words, "150px", indent=False)
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return box(Dropdown, value, words, width, options=choices)
    text = spelling.value_words(value) if value or isinstance(value, float) else ""
    return box(Text, text, words, width, continuous_update=False)


def _value(name: str, control: Any) -> Any:
    """Returns what a control says, as `RunConfig` reads it; None for an empty text."""
    if not isinstance(control, Text):
        return control.value
    text = control.value.strip()
    if not text:
        return None
    return tuple(spelling.read_widths(text)) if name in ("hidden", "filters") else text

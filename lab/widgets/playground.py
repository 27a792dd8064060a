"""`Playground`: activation functions and their derivatives, over what a network feeds them."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from ipywidgets import Dropdown, Play, SelectionSlider, jslink
from numpy.typing import NDArray

from lab import activations, plots
from lab.census import units
from lab.experiment import Dataset, load_recorded
from lab.store import RunStore
from lab.widgets.chooser import Chooser
from lab.widgets.front import Front, box, offer, on_change, row, run_names

if TYPE_CHECKING:
    import pandas as pd

NO_RUN = "no run"
FRAME_MILLISECONDS = 700


class Playground(Front):
    """Choose activation functions, slide their parameter, see f and f' side by side.

    With a recorded run, the histogram behind the curves shows the pre-activations that one of its
    layers had at an epoch whose weights it kept, and the table the share of them at which each
    function's gate is shut. The play button goes through the epochs, and the hill moves.
    """

    def __init__(
        self,
        choices: str | Iterable[str] = ("relu", "leaky_relu", "elu"),
        store: RunStore | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        """Lays the controls out and draws.

        Args:
            choices: The functions shown first, each with a parameter if wanted.
            store: Where runs for the histogram are taken from.
            dataset: The data set of those runs; by default it is loaded by its name.
        """
        self.chooser = Chooser(choices)
        self._runs = dict(run_names([run for run in store or () if run.kept_epochs]))
        self._dataset = dataset
        self._pre_activations = functools.lru_cache(maxsize=2)(self._compute)
        names = [NO_RUN, *self._runs]
        self.run = box(Dropdown, NO_RUN, "histogram of", "500px", options=names)
        self.layer = box(Dropdown, None, "layer", "120px")
        self.epoch = box(SelectionSlider, 0, "epoch", "330px", options=(0,))
        self.play = Play(value=0, min=0, max=0, interval=FRAME_MILLISECONDS)
        self.of_run = row(self.layer, self.epoch, self.play)
        self.of_run.layout.display = "none"
        extra = [row(self.run, self.of_run)] if self._runs else []
        super().__init__([self.chooser, self.chooser.parameters, *extra])
        self.link = jslink((self.play, "value"), (self.epoch, "index"))
        self.chooser.on_change(self.draw)
        on_change([self.layer, self.epoch], self.draw)
        on_change([self.run], self._choose_run)
        self.draw()

    def _choose_run(self) -> None:
        run = self._runs.get(self.run.value)
        self.of_run.layout.display = "flex" if run else "none"
        offer(self.layer, run.layers if run else ())
        if run:
            self.epoch.options = run.kept_epochs
            self.epoch.index = self.play.max = len(run.kept_epochs) - 1
        self.draw()

    def draw(self) -> None:
        """Draws the picture and the table again."""
        with self.sentences():
            z = self._pre_activations(self.run.value, self.layer.value, self.epoch.value)
            figure = plots.function_pair(self.chooser.choices, z, self._reach())
            table = _table(self.chooser.choices, z)
            self.show(figure, _words(table))
            self.show_table(table)
            self.keep_still_soon()
            self.show_code(f"plots.function_pair({self.chooser.choices})")
            self.say("" if self.chooser.choices else "Tick an activation function to see it.")

    def _reach(self) -> float | None:
        """How far the axes reach, the same at every epoch, so that the hill moves and they do not.

        At any epoch, half of the neurons have no z beyond it.
        """
        run, layer = self._runs.get(self.run.value), self.layer.value
        if run is None or layer is None:
            return None
        found = run.layer(layer)
        furthest = np.where(found.finite, np.maximum(-found.min_z, found.max_z), 0)
        return float(np.median(furthest, axis=1).max())

    def _compute(self, name: str, layer: int | None, epoch: int) -> NDArray[np.float32] | None:
        if layer is None:
            return None
        run = self._runs[name]
        dataset = self._dataset or load_recorded(run.record.dataset)
        return run.pre_activations(dataset, layer, epoch)


def _words(table: "pd.DataFrame") -> str:
    rows = (", ".join(f"{name} {value}" for name, value in row.items()) for row in _records(table))
    return "Curves of activation functions and their derivatives. " + "; ".join(rows)


def _records(table: "pd.DataFrame") -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _table(choices: list[str], z: NDArray[np.float32] | None) -> "pd.DataFrame":
    """One row for each function: f and f' at -2 and 2; with z, how often the gate is shut."""
    import pandas as pd

    return pd.DataFrame([_row(choice, z) for choice in choices])


def _row(choice: str, z: NDArray[np.float32] | None) -> dict[str, Any]:
    name, parameter = activations.parse(choice)
    activation, at = activations.get(name), [-2, 2]
    f, gate = activations.activate(choice, at), activations.gate(choice, at)
    facts = {
        "activation": activation.title(activation.resolve(parameter)),
        "f(-2)": f"{f[0]:.3f}",
        "f(2)": f"{f[1]:.3f}",
        "gate f'(-2)": f"{gate[0]:.3f}",
        "gate f'(2)": f"{gate[1]:.3f}",
    }
    if z is None:
        return facts
    gates = np.abs(activations.gate(choice, z))
    nearly = units.NEARLY * activation.largest_gate(parameter)
    return facts | {
        "gate is 0": f"{100 * (gates == 0).mean():.1f} %",
        "gate nearly 0": f"{100 * (gates <= nearly).mean():.1f} %",
    }

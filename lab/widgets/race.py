"""`Race`: networks that differ in their activation function train side by side, live."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from ipywidgets import BoundedIntText, Dropdown, FloatSlider, FloatText, Text

from lab.errors import InputError
from lab.experiment import Dataset, Initializer, RunConfig, spelling
from lab.store import RunStore
from lab.studies import TRIO, Study, plan
from lab.widgets import jobs
from lab.widgets.chooser import Chooser
from lab.widgets.front import box, row
from lab.widgets.live import Live

if TYPE_CHECKING:
    import pandas as pd

REPLAY, AGAIN = "Replay", "Train again"
CONTROLS = ("learning_rate", "epochs", "initializer", "first_bias")
DATASETS = ("mnist-5k", "mnist", "fashion-mnist")


class Race(Live):
    """Choose activation functions and settings, press Train, and watch the networks race.

    Training goes on in the background, so that the notebook stays usable. Every finished epoch is
    kept in the store. `await race.finished()` waits for the end.
    """

    def __init__(
        self,
        activations: str | Iterable[str] = TRIO,
        seeds: int = 1,
        dataset: str | Dataset = "mnist-5k",
        store: RunStore | None = None,
        **settings: Any,
    ) -> None:
        """Lays the controls out.

        Args:
            activations: The functions ticked first, each with a parameter if wanted.
            seeds: How many seeds.
            dataset: What to train on: a name, or a data set.
            store: Where runs are kept; by default where `lab compare` keeps them.
            **settings: Further fields of `RunConfig`; those without a control stay as given.
        """
        start = RunConfig(**settings)
        self._store, self._settings, self._dataset = store, settings, dataset
        self.chooser = Chooser(activations)
        names = (dataset.name,) if isinstance(dataset, Dataset) else DATASETS
        name = dataset.name if isinstance(dataset, Dataset) else dataset
        self.dataset = box(Dropdown, name, "dataset", options=names)
        self.seeds = box(BoundedIntText, seeds, "seeds", "120px", min=1, max=20)
        self.epochs = box(BoundedIntText, start.epochs, "epochs", "140px", min=1, max=10_000)
        self.learning_rate = box(
            FloatText, start.learning_rate, "learning rate", "190px", step=0.001
        )
        self.hidden = box(Text, spelling.value_words(start.hidden), "hidden units", "260px")
        self.initializer = box(
            Dropdown, start.initializer, "first weights", "230px", options=get_args(Initializer)
        )
        self.first_bias = box(FloatText, start.first_bias, "first bias", "150px", step=0.1)
        self.recorded = box(Dropdown, REPLAY, "a recorded run", "260px", options=(REPLAY, AGAIN))
        self.speed = box(FloatSlider, 3, "replayed epochs a second", "400px", min=1, max=20, step=1)
        super().__init__(
            [
                self.chooser,
                row(self.dataset, self.seeds, self.epochs, self.learning_rate),
                row(self.hidden, self.initializer, self.first_bias),
                row(self.recorded, self.speed),
            ]
        )

    def job(self) -> jobs.Job:
        """Returns what is to run: a training, a replay, or a training once more."""
        if not self.chooser.choices:
            raise InputError("Tick one or more activation functions to train.")
        study = self._study()
        self.show_code(self._call())
        if study.missing():
            return jobs.training(study)
        if self.recorded.value == REPLAY:
            return jobs.replay(study, lambda: float(self.speed.value))
        return jobs.again(study)

    def _chosen_settings(self) -> dict[str, Any]:
        controls = {name: getattr(self, name).value for name in CONTROLS}
        hidden = tuple(spelling.read_widths(self.hidden.value))
        return self._settings | controls | {"hidden": hidden}

    def _study(self) -> Study:
        settings = self._chosen_settings()
        given = self._dataset
        dataset = given if isinstance(given, Dataset) else self.dataset.value
        return plan(self.chooser.choices, self.seeds.value, dataset, self._store, **settings)

    def draw(self) -> None:
        """Draws the current curves and table; at the end, the table of results."""
        lines = [line for line in self.lines if line.rows]
        if lines:
            table = _table(self.lines)
            self.show(jobs.figure(lines), _words(table))
            self.show_table(self.runs.results() if len(self.runs) else table)

    def _call(self) -> str:
        """Returns the Python that trains the same runs."""
        config, defaults = RunConfig(**self._chosen_settings()), RunConfig()
        more = "".join(
            f", {name}={value!r}" for name, value in config if value != getattr(defaults, name)
        )
        return (
            f"lab.compare({self.chooser.choices}, seeds={self.seeds.value}, "
            f"dataset={self.dataset.value!r}{more})"
        )


def _table(lines: Sequence[jobs.Line]) -> "pd.DataFrame":
    """One row for each run: where it is and how it does."""
    import pandas as pd

    return pd.DataFrame([_facts(line) for line in lines])


def _facts(line: jobs.Line) -> dict[str, str]:
    config, last = line.config, line.rows[-1] if line.rows else {}
    dead = [_number(100 * v, ".1f") for (name, _), v in last.items() if name == "dead_fraction"]
    return {
        "activation": config.title,
        "seed": str(config.seed),
        "epoch": f"{line.done:.1f} of {config.epochs}",
        "training loss": _number(last["train_loss", 0], ".4f") if last else "",
        "validation accuracy": _number(last["validation_accuracy", 0], ".2%") if last else "",
        "dead by layer, %": " / ".join(dead),
        "result": line.result,
    }


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "not finite"


def _words(table: "pd.DataFrame") -> str:
    rows = "; ".join(
        f"{row[0]}, seed {row[1]}: epoch {row[2]}, validation accuracy {row[4]}, dead {row[5]} %"
        for row in table.itertuples(index=False, name=None)
    )
    return f"Curves of training loss, validation accuracy and dead neurons by layer. {rows}."

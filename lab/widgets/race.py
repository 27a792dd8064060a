"""`Race`: networks that differ in their activation function train side by side, live."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import BoundedIntText, Dropdown, FloatSlider

from lab.errors import InputError
from lab.experiment import VARIABLE, Dataset, RunConfig, load_dataset
from lab.runs import Runs
from lab.store import RunStore
from lab.studies import TRIO, Study, plan
from lab.widgets import jobs
from lab.widgets.chooser import Chooser
from lab.widgets.front import box, button, on_change, row
from lab.widgets.live import Live
from lab.widgets.opened import Opened
from lab.widgets.settings import Settings
from lab.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIRST = ("learning_rate", "epochs")
DATASETS = ("mnist-5k", "mnist", "fashion-mnist", "digits", "cifar10")


class Race(Live):
    """Choose activation functions and settings, press Train, and watch the networks race.

    Training goes on in the background, so that the notebook stays usable. Every finished epoch is
    kept in the store. Replay shows recorded runs again; Train again trains them once more, and
    compares the two to the last bit. `await race.finished()` waits for the end.
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
            dataset: What to train on: a name, the path of your own pictures, or a data set.
            store: Where runs are kept; by default where `lab compare` keeps them.
            **settings: Further fields of `RunConfig`; those without a control stay as given.
        """
        if not isinstance(dataset, Dataset) and dataset not in DATASETS:
            dataset = load_dataset(dataset)
        self._store, self._dataset = store, dataset
        self._shown: list[RunConfig] = []
        self.chooser = Chooser(activations)
        names = (dataset.name,) if isinstance(dataset, Dataset) else DATASETS
        name = dataset.name if isinstance(dataset, Dataset) else dataset
        self.dataset = box(Dropdown, name, "dataset", options=names)
        self.seeds = box(BoundedIntText, seeds, "seeds", "120px", min=1, max=20)
        self.speed = box(FloatSlider, 3, "replayed epochs a second", "400px", min=1, max=20, step=1)
        self.settings = Settings(settings, FIRST, self.chooser.parameters, self.speed)
        self.learning_rate, self.epochs = (self.settings.controls[name] for name in FIRST)
        self.replay = button("Replay", "history")
        self.again = button("Train again", "refresh")
        super().__init__(
            [
                self.chooser,
                row(self.dataset, self.seeds, self.learning_rate, self.epochs),
                self.settings.style,
            ],
            below=[self.settings.more],
            more=(self.replay, self.again),
        )
        self.opened = Opened(self, self._drawn)
        self.replay.on_click(lambda _: self._start(lambda: self._replayed(self._recorded())))
        self.again.on_click(lambda _: self._start(lambda: jobs.again(self._recorded())))
        self.settings.on_change(self._check)
        self.settings.on_change(self.prepare_soon)
        self.chooser.on_change(self.prepare_soon)
        on_change([self.dataset], self.prepare_soon)

    def _drawn(self) -> Runs:
        """The runs of a race that has ended, in the order in which its curves are drawn."""
        return Runs([r for line in self.lines for r in self.runs if r.config == line.config])

    def _check(self) -> None:
        """Says at once what is wrong with a setting, and what takes it back."""
        if self.busy:
            return
        with self.sentences():
            self.progress.value = 0
            self.settings.values()
            self.say("Choose, then press Train.")

    def job(self) -> jobs.Job:
        """Returns what is to run: a training, or a replay if nothing is left to train."""
        study = self._shown_study()
        return jobs.training(study) if study.missing() else self._replayed(study)

    def _replayed(self, study: Study) -> jobs.Job:
        return jobs.replay(study, lambda: float(self.speed.value))

    def _recorded(self) -> Study:
        """Returns the study that is chosen, if all its runs are recorded."""
        study = self._shown_study()
        if missing := len(study.missing()):
            runs = counted(len(study.configs), "run")
            raise InputError(f"Not recorded yet: {missing} of {runs}. Press Train first.")
        return study

    def _shown_study(self) -> Study:
        study = self.study()
        self.show_code(self._call())
        return study

    def study(self) -> Study:
        """Returns the study that is chosen."""
        if not self.chooser.choices:
            raise InputError("Tick one or more activation functions to train.")
        settings, given = self.settings.values(), self._dataset
        dataset = given if isinstance(given, Dataset) else self.dataset.value
        return plan(self.chooser.choices, self.seeds.value, dataset, self._store, **settings)

    def draw(self) -> None:
        """Draws the current curves and table; at the end, the table of results."""
        lines = [line for line in self.lines if line.rows]
        if lines:
            table = _table(self.lines)
            self.show(self._figure(lines), _words(table))
            self.show_table(self.runs.results() if len(self.runs) else table)

    def _figure(self, lines: Sequence[jobs.Line]) -> "Figure":
        """Draws the curves; the figure that is there is kept while the same runs go on."""
        shown = [line.config for line in lines]
        same = shown == self._shown and not self.picture.zoom
        self._shown = [] if self.picture.zoom else shown  # Where a part is shown, ticks differ.
        return jobs.figure(lines, self.figure if same else None)

    def _call(self) -> str:
        """Returns the Python that trains the same runs."""
        config = RunConfig(**self.settings.values())
        plain = RunConfig()
        alike = RunConfig(network=config.network, optimizer=config.optimizer)
        more = "".join(
            f", {name}={value!r}"
            for name, value in config
            if name in VARIABLE
            and value != getattr(plain if name in ("network", "optimizer") else alike, name)
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

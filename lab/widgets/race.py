"""`Race`: networks that differ in their activation function train side by side, live."""

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from ipywidgets import (
    BoundedIntText,
    Button,
    Dropdown,
    FloatSlider,
    FloatText,
    IntProgress,
    Text,
)

from lab import figures, heats
from lab.background import Background, running
from lab.config import Initializer, RunConfig
from lab.data import Dataset
from lab.errors import InputError, RunBusyError
from lab.store import RunStore
from lab.studies import TRIO, Study, plan
from lab.tables import Runs
from lab.training import EpochEnd, Phase
from lab.widgets.chooser import Chooser
from lab.widgets.front import Front, box, row, running_loop

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

REPLAY, AGAIN = "Replay", "Train again"
PAUSE, RESUME = "Pause", "Resume"
CONTROLS = ("learning_rate", "epochs", "initializer", "first_bias")
DATASETS = ("mnist-5k", "mnist", "fashion-mnist")
LOOK_SECONDS = 0.1
DRAW_SHARE = 0.06


class Race(Front):
    """Choose activation functions and settings, press Train, and watch the networks race.

    Training goes on in the background, so that the notebook stays usable. Every finished epoch is
    kept in the store. `await race.finished()` waits for the end.

    Attributes:
        runs: The recorded runs of the last race that came to its end.
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
        self.runs = Runs([])
        self._store, self._settings, self._dataset = store, settings, dataset
        self._heat = heats.Heat((), lambda: (_ for _ in ()), lambda: (Runs([]), ""), "")
        self._background: Background | None = None
        self._watching: Future[None] | None = None
        self._since: tuple[float, float] | None = None  # When it began or went on, and where.
        self._drew = self._draw_cost = 0.0
        self.chooser = Chooser(activations)
        names = (dataset.name,) if isinstance(dataset, Dataset) else DATASETS
        name = dataset.name if isinstance(dataset, Dataset) else dataset
        self.dataset = box(Dropdown, name, "dataset", options=names)
        self.seeds = box(BoundedIntText, seeds, "seeds", "120px", min=1, max=20)
        self.epochs = box(BoundedIntText, start.epochs, "epochs", "140px", min=1, max=10_000)
        self.learning_rate = box(
            FloatText, start.learning_rate, "learning rate", "190px", step=0.001
        )
        self.hidden = box(Text, ", ".join(map(str, start.hidden)), "hidden units", "260px")
        self.initializer = box(
            Dropdown, start.initializer, "first weights", "230px", options=get_args(Initializer)
        )
        self.first_bias = box(FloatText, start.first_bias, "first bias", "150px", step=0.1)
        self.recorded = box(Dropdown, REPLAY, "a recorded run", "260px", options=(REPLAY, AGAIN))
        self.speed = box(FloatSlider, 3, "replayed epochs a second", "400px", min=1, max=20, step=1)
        self.train = Button(description="Train", button_style="primary", icon="play")
        self.pause = Button(description="Pause", icon="pause", disabled=True)
        self.stop = Button(description="Stop", icon="stop", disabled=True)
        self.progress = box(IntProgress, 0, "progress", "330px", max=1000)
        self.train.on_click(lambda _: self.start())
        self.pause.on_click(lambda _: self._pause_or_resume())
        self.stop.on_click(lambda _: self._stop())
        super().__init__(
            [
                self.chooser,
                row(self.dataset, self.seeds, self.epochs, self.learning_rate),
                row(self.hidden, self.initializer, self.first_bias),
                row(self.recorded, self.speed),
                row(self.train, self.pause, self.stop, self.progress),
            ]
        )
        self.say("Choose, then press Train.")

    def start(self) -> None:
        """Begins the race, as the Train button does; returns at once."""
        with self.sentences():
            if self.busy:
                raise InputError("This race goes on already. Stop it to begin another one.")
            if not self.chooser.choices:
                raise InputError("Tick one or more activation functions to train.")
            study = self._study()
            self.show_code(self._call())
            self._begin(study)

    def _chosen_settings(self) -> dict[str, Any]:
        controls = {name: getattr(self, name).value for name in CONTROLS}
        hidden = tuple(part.strip() for part in self.hidden.value.split(","))
        return self._settings | controls | {"hidden": hidden}

    def _study(self) -> Study:
        settings = self._chosen_settings()
        given = self._dataset
        dataset = given if isinstance(given, Dataset) else self.dataset.value
        return plan(self.chooser.choices, self.seeds.value, dataset, self._store, **settings)

    def _begin(self, study: Study) -> None:
        if study.missing():
            heat = heats.training(study)
        elif self.recorded.value == REPLAY:
            heat = heats.replay(study, lambda: float(self.speed.value))
        else:
            heat = heats.again(study)
        background = Background(heat.events)
        try:
            background.start()
        except RunBusyError:
            self.stop.disabled = False  # Its own front end may be gone from the page.
            raise
        self._heat, self._background = heat, background
        self._since = None
        self.runs = Runs([])
        self.say("Beginning …")
        self._set_buttons(going=True)
        if self.loop is None or not self.loop.is_running():
            self.loop = running_loop()  # It was made elsewhere than it is run.
        if self.loop is not None:
            self._watching = asyncio.run_coroutine_threadsafe(self._watch(), self.loop)

    @property
    def busy(self) -> bool:
        """Whether a race goes on, or its end is not shown yet."""
        return self._background is not None

    async def finished(self) -> Runs:
        """Waits until the race has ended and is shown; returns its runs."""
        while self.busy:
            await asyncio.sleep(LOOK_SECONDS / 4)
        return self.runs

    async def _watch(self) -> None:
        while self.look():
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> bool:
        """Shows what has happened since the last look; returns whether the race goes on."""
        if self._background is None:
            return False
        alive = self._background.alive  # Asked before the events are taken, so that none is lost.
        with self.sentences():
            self._take(self._background.take())
            if not alive:
                self._finish()
        if not alive:
            self._background = None
            self._set_buttons(going=False)
        return alive

    def _take(self, events: list[Any]) -> None:
        epochs = 0
        for event in events:
            if not isinstance(event, Phase):
                self._heat.lines[event.run].take(event)
                epochs += isinstance(event, EpochEnd | heats.Replayed)
            elif self._goes_on:
                self.say(f"{event.text[0].upper()}{event.text[1:]} …")
        if any(not isinstance(event, Phase) for event in events):
            self._show_progress()
        rested = time.monotonic() - self._drew
        if epochs and rested * DRAW_SHARE >= self._draw_cost:
            self.draw()

    @property
    def _goes_on(self) -> bool:
        """Whether it is neither paused nor about to stop."""
        background = self._background
        return background is not None and not (background.stopping or background.paused)

    def _show_progress(self) -> None:
        lines = self._heat.lines
        total = sum(line.config.epochs for line in lines)
        share = sum(line.done for line in lines) / total
        self.progress.value = round(1000 * share)
        if self._since is None:
            self._since = time.monotonic(), share
        if self._goes_on:
            began, first = self._since
            spent = time.monotonic() - began
            seconds = spent * (1 - share) / (share - first) if share > first else None
            left = "some time" if seconds is None else timedelta(seconds=math.ceil(seconds))
            self.say(f"{share:.0%} done, about {left} left.")

    def draw(self) -> None:
        """Draws the curves and the table as they are now."""
        began = time.monotonic()
        lines = [line for line in self._heat.lines if line.rows]
        if lines:
            table = _table(self._heat.lines)
            self.show(_figure(lines), _words(table))
            self.show_table(table)
        self._drew = time.monotonic()
        self._draw_cost = self._drew - began

    def _finish(self) -> None:
        background = self._background
        if background is not None and background.complaint:
            self.say(background.complaint)
            self.draw()
        elif background is not None and background.stopping:
            self.say(self._heat.stopped)
            self.draw()
        else:
            self.runs, sentence = self._heat.end()
            self.progress.value = 1000
            self.draw()
            self.show_table(self.runs.results())
            self.say(sentence)
        self.keep_still()

    def _pause_or_resume(self) -> None:
        if self._background is None:
            return
        pausing = not self._background.paused
        self._since = None
        (self._background.pause if pausing else self._background.resume)()
        self.pause.description = RESUME if pausing else PAUSE
        self.pause.icon = "play" if pausing else "pause"
        self.say("Paused. Press Resume to go on." if pausing else "Going on …")

    def _stop(self) -> None:
        if self._background is not None:
            self.say("Stopping, as soon as the piece of work that has begun is done …")
            self._background.stop()
        elif other := running():
            other.stop()
            self.stop.disabled = True
            self.say("The other training stops. Then press Train to begin this one.")

    def _set_buttons(self, going: bool) -> None:
        self.train.disabled = going
        self.pause.disabled = self.stop.disabled = not going
        self.pause.description, self.pause.icon = PAUSE, "pause"

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


def _figure(lines: Sequence[heats.Line]) -> "Figure":
    racers: dict[RunConfig, list[figures.Curve]] = {}
    for line in lines:
        racers.setdefault(line.config.model_copy(update={"seed": 0}), []).append(line.curve)
    return figures.race_figure(racers)


def _table(lines: Sequence[heats.Line]) -> "pd.DataFrame":
    """One row for each run: where it is and how it does."""
    import pandas as pd

    return pd.DataFrame([_facts(line) for line in lines])


def _facts(line: heats.Line) -> dict[str, str]:
    config, last = line.config, line.rows[-1] if line.rows else {}
    dead = [f"{100 * value:.1f}" for (name, _), value in last.items() if name == "dead_fraction"]
    return {
        "activation": config.title,
        "seed": str(config.seed),
        "epoch": f"{line.done:.1f} of {config.epochs}",
        "training loss": f"{last['train_loss', 0]:.4f}" if last else "",
        "validation accuracy": f"{last['validation_accuracy', 0]:.2%}" if last else "",
        "dead by layer, %": " / ".join(dead),
        "result": line.result,
    }


def _words(table: "pd.DataFrame") -> str:
    rows = "; ".join(
        f"{row[0]}, seed {row[1]}: epoch {row[2]}, validation accuracy {row[4]}, dead {row[5]} %"
        for row in table.itertuples(index=False, name=None)
    )
    return f"Curves of training loss, validation accuracy and dead neurons by layer. {rows}."

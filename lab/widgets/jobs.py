"""What a race runs: a training, the replay of recorded runs, or their training once more."""

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab import figures
from lab.census import units
from lab.experiment import RunConfig
from lab.plots import canvas
from lab.runs import CURVES, Run, Runs, have_the_same_bits, recorded
from lab.store import RunStore, temporary_folder
from lab.studies import Study, epochs_done
from lab.training import EpochEnd, Event, Progress, RunEnd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = tuple[str, int]
Row = dict[Key, float]
DIVERGED = "diverged"


@dataclass(frozen=True, eq=False)
class Replayed:
    """An epoch of a recorded run, shown again."""

    run: int
    epoch: int
    row: Row


class Line:
    """What is known of one run of a race so far.

    Attributes:
        config: Its settings.
        rows: For each epoch the measures, by name and hidden layer (0 for the whole network).
        done: Epochs done, the running one in part.
        result: What is said of it at its end.
    """

    def __init__(self, config: RunConfig) -> None:
        """Begins with nothing."""
        self.config = config
        self.rows: list[Row] = []
        self.done = 0.0
        self.result = ""

    def add(self, event: Event | Replayed) -> None:
        """Adds what an event reports of this run."""
        if isinstance(event, Progress):
            self.done = epochs_done(event)
        elif isinstance(event, EpochEnd | Replayed):
            row = event.row if isinstance(event, Replayed) else _row(event)
            self.rows[event.epoch :] = [row]
            self.done = float(event.epoch)
        elif isinstance(event, RunEnd):
            self.result = DIVERGED if event.diverged else _tested(event.test_accuracy)
            if event.diverged and self.rows:  # As `measures.recorded` gives it.
                self.rows[-1] |= {(n, 0): np.nan for n in CURVES if n.endswith("accuracy")}

    def curve(self, measure: str, layer: int) -> canvas.Values:
        """Returns a measure at every epoch so far."""
        return np.array([row[measure, layer] for row in self.rows])


def figure(lines: Iterable[Line], last: "Figure | None" = None) -> "Figure":
    """Draws the curves so far: those of one kind of run, whatever the seed, in one colour.

    Args:
        lines: The runs.
        last: The figure of these runs a moment before: only its curves are moved.
    """
    racers: dict[RunConfig, list[figures.Curve]] = {}
    for line in lines:
        racers.setdefault(line.config.model_copy(update={"seed": 0}), []).append(line.curve)
    return figures.live_figure(racers, last)


@dataclass(frozen=True, eq=False)
class Job:
    """What a race runs.

    Attributes:
        lines: One for each run.
        events: Makes the events; their `run` is a position in `lines`.
        end: Called at the end: gives the runs, and a sentence about them.
        stopped: What to say if it is stopped.
    """

    lines: tuple[Line, ...]
    events: Callable[[], Generator[Any]]
    end: Callable[[], tuple[Runs, str]]
    stopped: str


def training(study: Study) -> Job:
    """Trains what is missing of a study; recorded runs are shown beside it from the start."""
    lines = [_begun_line(study, config) for config in study.missing()]
    lines += [_finished_line(run) for run in study.runs()]
    stopped = "Stopped. What is finished is kept; press Train to go on."
    return Job(tuple(lines), study.events, lambda: (study.runs(), _kept(study)), stopped)


def replay(study: Study, speed: Callable[[], float]) -> Job:
    """Shows the recorded runs of a study again, at `speed()` epochs a second."""
    runs = list(study.runs())
    rows = [_rows(run) for run in runs]

    def events() -> Generator[Replayed]:
        for epoch in range(max(map(len, rows), default=0)):
            for index, of_run in enumerate(rows):
                if epoch < len(of_run):
                    yield Replayed(index, epoch, of_run[epoch])
            time.sleep(1 / speed())

    lines = tuple(Line(run.config) for run in runs)
    stopped = "Stopped. Press Replay to see it from its beginning."
    ended = "Replayed from the record. Train again compares it with a second training."
    return Job(lines, events, lambda: (study.runs(), ended), stopped)


def again(study: Study) -> Job:
    """Trains recorded runs again, keeps the record, and compares the two to the last bit."""
    folder = temporary_folder()
    fresh = replace(study, store=RunStore(folder.name))

    def end() -> tuple[Runs, str]:
        with folder:
            pairs = [
                (new, old)
                for new in fresh.runs()
                for old in study.runs()
                if new.config == old.config
            ]
            same = sum(have_the_same_bits(*pair) for pair in pairs)
        words = "" if same == len(pairs) else " Bits agree on one kind of processor only."
        text = f"Trained again: {same} of {len(pairs)} runs are as recorded, to the last bit."
        return study.runs(), text + words

    lines = tuple(Line(config) for config in study.configs)
    stopped = "Stopped. The record is as it was; this second training is dropped."
    return Job(lines, fresh.events, end, stopped)


def _kept(study: Study) -> str:
    place, here = study.store.path, Path.cwd()
    place = place.relative_to(here) if place.is_relative_to(here) else place
    kept = f"Finished: all {len(study.configs)} runs are kept in {place}."
    return " ".join([kept, *study.runs().divergences()])


def _begun_line(study: Study, config: RunConfig) -> Line:
    """Begins with the epochs of an interrupted run, from which the training resumes."""
    line = Line(config)
    run = study.store.unfinished(config, study.dataset)
    if run is not None and run.record.epochs:
        line.rows, line.done = _rows(run), float(run.last_epoch)
    return line


def _finished_line(run: Run) -> Line:
    line = Line(run.config)
    line.rows, line.done = _rows(run), float(run.last_epoch)
    diverged = run.diverged
    line.result = f"{DIVERGED if diverged else _tested(run.record.test_accuracy)}, recorded"
    return line


def _tested(accuracy: float | None) -> str:
    return f"test {accuracy:.2%}"


def _row(event: EpochEnd) -> Row:
    dead = enumerate(map(units.LAYER_MEASURES["dead_fraction"], event.layers), start=1)
    return {(name, 0): getattr(event, name) for name in CURVES} | {
        ("dead_fraction", number): float(share) for number, share in dead
    }


def _rows(run: Run) -> list[Row]:
    keys = [(name, 0) for name in CURVES] + [("dead_fraction", n) for n in run.layers]
    columns = {key: recorded(run, *key) for key in keys}
    return [{k: float(c[epoch]) for k, c in columns.items()} for epoch in range(run.last_epoch + 1)]

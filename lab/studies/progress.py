"""How far a training is, and its progress on stderr, for callers from Python."""

import contextlib
import time
from collections.abc import Generator, Sequence

from lab.experiment import Dataset, RunConfig
from lab.system import progress_bar
from lab.training import EpochEnd, Event, Phase, Progress, RunEnd
from lab.words import time_left

FIRST_SHARE = 0.01  # Before this share of the work is done, the time left is not known.


def epochs_done(event: Progress | EpochEnd) -> float:
    """Returns how many epochs of its run are done after an event, the running one in part."""
    return event.epoch - 1 + event.share if isinstance(event, Progress) else event.epoch


class HowFar:
    """How far a training is: what every display of it shows.

    Attributes:
        total: The epochs of all runs.
        done: The epochs that each run has done, the running one in part.
        ended: How many runs have ended.
    """

    def __init__(self, configs: Sequence[RunConfig], done: Sequence[float] | None = None) -> None:
        """Begins before the first event.

        Args:
            configs: The runs.
            done: Their epochs that are done already; by default none.
        """
        self._epochs = [config.epochs for config in configs]
        self.total, self.ended = sum(self._epochs), 0
        self.done = list(done or [0.0] * len(configs))
        self.restart()

    def restart(self) -> None:
        """Begins to count the time again, with the next event."""
        self._began = 0.0
        self._first: dict[int, float] = {}  # What a run had done when its time began to count.

    def add(self, event: Progress | EpochEnd | RunEnd) -> None:
        """Counts what an event reports."""
        # A run that diverged has nothing left to do, either.
        done = self._epochs[event.run] if isinstance(event, RunEnd) else epochs_done(event)
        self.ended += isinstance(event, RunEnd)
        self._began = self._began if self._first else time.monotonic()
        self._first.setdefault(event.run, done)
        self.done[event.run] = done

    @property
    def share(self) -> float:
        """Share of the work that is done, from 0 to 1."""
        return sum(self.done) / self.total

    @property
    def left(self) -> str:
        """How long the rest takes, in words; empty before that is known, and at the end."""
        trained = sum(self.done[run] - first for run, first in self._first.items())
        if trained < min(FIRST_SHARE * self.total, 1.0):
            return ""
        seconds = (time.monotonic() - self._began) / trained * (self.total - sum(self.done))
        return time_left(seconds)


def with_progress(
    events: Generator[Event], configs: Sequence[RunConfig], dataset: Dataset
) -> Generator[Event]:
    """Passes on the events of a training, and shows its progress on stderr."""
    far = HowFar(configs)
    unit = "tasks" if all(c.task_count == c.epochs > 1 for c in configs) else "epochs"
    with contextlib.closing(events), progress_bar(far.total, dataset.name, unit) as bar:
        for event in events:
            if isinstance(event, Phase):
                bar.set_description(event.text, refresh=True)
            else:
                far.add(event)
                bar.set_description(f"{dataset.name}, training", refresh=False)
                bar.set_postfix_str(far.left, refresh=False)
                bar.update(int(sum(far.done)) - bar.n)
            yield event

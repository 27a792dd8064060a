"""Studies: which runs to train, which are recorded already, and the training of the rest."""

import contextlib
import dataclasses
import sys
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from lab.activations import checked_names
from lab.errors import InputError
from lab.experiment import Dataset, RunConfig, fitted, grid, load_dataset, split
from lab.network import network_of
from lab.runs import Runs
from lab.store import RunStore, RunWriter, check_label
from lab.studies.progress import with_progress
from lab.system import check_backend, in_whole_steps, is_tensorflow_loaded, load_tensorflow
from lab.training import EpochEnd, Event, Phase, RunEnd, prepare, train

TRIO = ("relu", "leaky_relu", "elu")
WAVE = 60  # Runs side by side: each holds memory and an open file.


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """Runs to compare: what is recorded is loaded, the rest is trained and kept.

    Attributes:
        configs: The runs.
        dataset: What they are trained on.
        store: Where they are kept.
        label: What is written on the runs that are trained.
    """

    configs: tuple[RunConfig, ...]
    dataset: Dataset
    store: RunStore
    label: str | None = None

    def missing(self) -> list[RunConfig]:
        """Returns the settings of the runs that are not recorded, or not to their end."""
        return [config for config in self.configs if not self.store.find(config, self.dataset)]

    def recorded_words(self, missing: Sequence[RunConfig]) -> str:
        """Says how many runs are recorded; empty if none is.

        Args:
            missing: What `missing` returned.
        """
        recorded, planned = len(self.configs) - len(missing), len(self.configs)
        return f"{recorded} of {planned} runs are recorded already and are loaded." * bool(recorded)

    def events(self) -> Generator[Event]:
        """Trains what is missing and keeps it, epoch by epoch.

        Stop pulling (close the iterator) to stop: what is finished is kept, and the next call
        goes on from there.

        Yields:
            The trainer's events; `run` is a position in `missing()` as it was at the beginning.

        Raises:
            StoreError: If the store cannot be written to, or another process writes a run.
        """
        configs = self.missing()
        if not configs:
            return
        check_backend()
        self.store.check_writable()
        if not is_tensorflow_loaded():
            yield Phase("loading TensorFlow")
        load_tensorflow()
        for first in range(0, len(configs), WAVE):
            wave = configs[first : first + WAVE]
            with contextlib.ExitStack() as stack:
                writers = [
                    stack.enter_context(contextlib.closing(self._writer(config))) for config in wave
                ]
                events = _keep(wave, self.dataset, writers)
                for event in stack.enter_context(contextlib.closing(events)):
                    yield event if isinstance(event, Phase) else _moved(event, first)

    def prepare(self) -> Generator[None]:
        """Does beforehand what `events` would wait for; see `lab.training.prepare`."""
        if missing := self.missing():
            yield from prepare(missing, self.dataset)

    def _writer(self, config: RunConfig) -> RunWriter:
        return self.store.writer(config, self.dataset, self.label)

    def runs(self) -> Runs:
        """Returns the recorded runs of the study, in its order."""
        found = (self.store.find(config, self.dataset) for config in self.configs)
        return Runs([run for run in found if run])


def _moved(event: Any, by: int) -> Event:
    moved: Event = dataclasses.replace(event, run=event.run + by)
    return moved


def _keep(
    configs: Sequence[RunConfig], dataset: Dataset, writers: Sequence[RunWriter]
) -> Generator[Event]:
    states = {i: writer.state for i, writer in enumerate(writers) if writer.state}
    with contextlib.closing(train(configs, dataset, states)) as events:
        for event in events:
            if isinstance(event, EpochEnd):
                writers[event.run].add(event)
            elif isinstance(event, RunEnd):
                writers[event.run].end(event)
            yield event


def plan(
    activations: Iterable[str] = TRIO,
    seeds: int | Iterable[int] = 3,
    dataset: str | Dataset = "auto",
    store: str | Path | RunStore | None = None,
    label: str | None = None,
    **settings: Any,
) -> Study:
    """Checks all settings and returns the study, before any work is done.

    Args:
        activations: Names, each with a parameter if wanted: `leaky_relu=0.1`.
        seeds: How many seeds, from 0; or the seeds themselves.
        dataset: A name for `load_dataset`, or a data set.
        store: The folder that keeps the runs; by default `store.default_path()`.
        label: What is written on the runs that are trained.
        **settings: Further fields of `RunConfig`, the same for all runs.

    Raises:
        InputError: If a setting is not valid, in one sentence.
        DatasetMissingError: If the data set is not available.
    """
    names = checked_names(activations)
    if "activation" in settings:
        raise InputError(
            f"activation must be given as activations, such as "
            f"activations=[{settings['activation']!r}]."
        )
    configs = grid({"activation": names}, seeds, settings)
    return gather(configs, dataset, store, label)


def gather(
    configs: Iterable[RunConfig],
    dataset: str | Dataset = "auto",
    store: str | Path | RunStore | None = None,
    label: str | None = None,
) -> Study:
    """Makes a study of runs, after checking that they fit the data set; otherwise like `plan`."""
    check_label(label or "")
    store = store if isinstance(store, RunStore) else RunStore(store)
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    unique = tuple(dict.fromkeys(fitted(config, data) for config in configs))
    for config in unique:
        split(data, config)
        network_of(config)
    return Study(unique, data, store, label)


def compare(
    activations: Iterable[str] = TRIO,
    seeds: int | Iterable[int] = 3,
    dataset: str | Dataset = "auto",
    store: str | Path | RunStore | None = None,
    **settings: Any,
) -> Runs:
    """Trains the same network with several activation functions and returns the recorded runs.

    Runs that are recorded already are loaded. An interrupted comparison goes on where it was.

    Args:
        activations: As for `plan`.
        seeds: As for `plan`.
        dataset: As for `plan`.
        store: As for `plan`.
        **settings: As for `plan`.

    Returns:
        The runs, with their tidy tables: `.runs()`, `.epochs()`, `.layers()`, `.units()`.

    Raises:
        InputError: If a setting is not valid, in one sentence, before any training.
        DatasetMissingError: If the data set is not available.
        StoreError: If the store cannot be written to, or another process writes a run.
    """
    study = plan(activations, seeds, dataset, store, **settings)
    finish(study)
    return study.runs()


def finish(study: Study, events: Generator[Event] | None = None) -> None:
    """Trains the missing runs of a study, with a progress bar; prints how many are recorded.

    Args:
        study: The study.
        events: Its training; by default in this process.
    """
    missing = study.missing()
    if words := study.recorded_words(missing):
        sys.stdout.write(f"{words}\n")  # JupyterLab paints stderr red.
    if missing:
        happening = with_progress(events or study.events(), missing, study.dataset)
        with in_whole_steps(happening) as steps:
            for _ in steps:
                pass

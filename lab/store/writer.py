"""Writing a run, so that a finished epoch is never lost.

The commit rule: arrays go into new files with new names, flushed and renamed into place; then
`run.json`, which names them, is replaced atomically. What `run.json` names exists; any other file
is litter and is removed.
"""

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from safetensors.numpy import save

from lab.activations import OwnActivation
from lab.census import units
from lab.errors import LabError, RunBusyError, RunError
from lab.experiment import Dataset, RunConfig, split
from lab.network import layout_of, network_of
from lab.runs import LOCK, RECORD, ArrayFile, Arrays, EpochNumbers, Record, Run, read_record
from lab.store.disk import disk, flush_folder, make_folder, take_lock, write_file
from lab.system import conditions
from lab.training import EpochEnd, RunEnd, State

COMMIT_SECONDS = 2.0
RESUME_SECONDS = 10.0


class RunWriter:
    """Writes one run, which no other process can write meanwhile.

    Epochs are committed every two seconds; the state to resume from, which is large, every ten. A
    run that was killed goes on from that state and repeats the epochs since, bit for bit.

    Attributes:
        record: What is committed so far.
        state: The state after the last epoch taken, or the one to resume from; None for a new run.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        """Takes the run's lock and reads how far it has come.

        Args:
            folder: The run's folder.
            record: The record of a run that begins; one that goes on has its own.

        Raises:
            RunBusyError: If another process has the lock, or has just finished the run.
        """
        self.record = record
        make_folder_of(folder)
        self.folder = folder
        self._lock = take_lock(folder)
        self._pending: list[EpochEnd] = []
        self._committed, self._resumable = -math.inf, time.monotonic()
        self.state: State | None = None
        if os.path.exists(folder / RECORD):  # Path.exists raises without permission.
            try:
                self._go_on()
            except LabError:
                self._lock.release()
                raise

    def _go_on(self) -> None:
        run = Run(self.folder, read_record(self.folder))
        if run.record.ended:
            raise RunBusyError(f"Run {run.run_id} was finished by another process just now.")
        if not run.is_whole():
            raise RunError(f"Run {run.run_id} is damaged and cannot go on.")
        self.record = run.record.model_copy(update={"status": "running"})
        if run.record.resume:
            epoch = run.record.resume.last
            self.state = State(epoch, run.weights(epoch), *run.resume_arrays())

    def add(self, event: EpochEnd) -> None:
        """Takes a finished epoch; commits if the last commit is at least two seconds old."""
        self.state = event.state
        if event.epoch < len(self.record.epochs):
            return  # Repeated after a kill: it is kept already.
        self._pending.append(event)
        now = time.monotonic()
        if now - self._resumable >= RESUME_SECONDS:
            self._commit(self._resume())
        elif now - self._committed >= COMMIT_SECONDS:
            self._commit({})

    @property
    def waiting(self) -> int:
        """How many epochs were taken since the last commit."""
        return len(self._pending)

    def flush(self) -> None:
        """Commits the epochs that were taken since the last commit."""
        if self._pending:
            self._commit({})

    def end(self, event: RunEnd) -> None:
        """Commits the run as finished or diverged."""
        epoch = self._last.epoch
        confirmed = {f"layer{n}.confirmed": v for n, v in enumerate(event.confirmed, start=1)}
        changes: dict[str, Any] = {
            "status": "diverged" if event.diverged else "finished",
            "test_loss": event.test_loss,
            "test_accuracy": event.test_accuracy,
            "confirmed": self._array_file("confirmed", epoch, epoch, confirmed),
            "resume": None,
        }
        if self.record.settings.keep_weights == "last":
            changes["weights"] = (self._state_file("weights", self._last),)
        self._commit(changes)

    def close(self) -> None:
        """Frees the run; one that has not ended is kept as interrupted."""
        try:
            if self.record.status == "running" and self.state is not None:
                self._commit({"status": "interrupted", **self._resume(), **self._kept()})
        finally:
            let_go(self.folder, self._lock)

    def _kept(self) -> dict[str, Any]:
        """Returns the last weights of a run that was interrupted and that nobody can go on with."""
        if not self.record.outside or self.record.settings.keep_weights != "last":
            return {}
        return {"weights": (self._state_file("weights", self._last),)}

    @property
    def _last(self) -> State:
        if self.state is None:
            raise ValueError("No epoch was added.")
        return self.state

    def _resume(self) -> dict[str, Any]:
        self._resumable = time.monotonic()
        if self.record.outside:
            return {}  # The lab cannot go on with it.
        return {"resume": self._state_file("resume", self._last)}

    def _commit(self, changes: dict[str, Any]) -> None:
        """Writes what is pending, then the record that names it, and removes the litter."""
        pending, record = self._pending, self.record
        if pending:
            arrays = _unit_arrays(pending)
            file = self._array_file("units", pending[0].epoch, pending[-1].epoch, arrays)
            changes["units"] = (*record.units, file)
            changes["epochs"] = (*record.epochs, *map(_numbers, pending))
        if pending and record.settings.keep_weights == "every":
            files = [self._state_file("weights", event.state) for event in pending]
            changes["weights"] = (*record.weights, *files)
        changed = record.model_copy(update=changes)
        write_record(self.folder, changed)
        self.record, self._pending = changed, []
        self._committed = time.monotonic()
        remove_litter(self.folder, changed)

    def _state_file(self, kind: str, state: State) -> ArrayFile:
        arrays = state.weights.named
        if kind == "resume":
            layout, optimizer = self.record.layout, self.record.settings.optimizer
            for of, some in (
                (layout.slots(optimizer), state.slots),
                (layout.replacement if state.replacement else [], state.replacement),
            ):
                arrays |= {one.name: array for one, array in zip(of, some, strict=True)}
        return self._array_file(kind, state.epoch, state.epoch, arrays)

    def _array_file(self, kind: str, first: int, last: int, arrays: Arrays) -> ArrayFile:
        # Safetensors writes wrong numbers for arrays that do not lie in memory row by row.
        content = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
        file = ArrayFile(
            name=f"{kind}-e{last:04d}.safetensors",
            first=first,
            last=last,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        write_file(self.folder / file.name, content)
        return file


def write_record(folder: Path, record: Record) -> None:
    """Replaces a run's `run.json` in one step, after all that it names is on disk."""
    with disk(folder):
        flush_folder(folder)
    write_file(folder / RECORD, record.model_dump_json(indent=1).encode())
    with disk(folder):
        flush_folder(folder)


def remove_litter(folder: Path, record: Record | None) -> None:
    """Removes the files of a run's folder that its record does not name: without one, all."""
    named = {RECORD, LOCK, *(file.name for file in (record.files if record else ()))}
    for path in folder.iterdir():
        if path.name not in named:
            with contextlib.suppress(OSError):
                path.unlink()


def let_go(folder: Path, lock: filelock.BaseFileLock) -> None:
    """Frees a run: removes litter and the lock, and the folder if nothing was kept in it."""
    with contextlib.suppress(LabError, OSError):  # Left by a commit that failed.
        begun = os.path.lexists(folder / RECORD)
        remove_litter(folder, read_record(folder) if begun else None)
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink()
        folder.rmdir()
    lock.release()


def make_folder_of(run: Path) -> None:
    """Makes the folder of a run, if it is not there.

    Raises:
        StoreError: If the disk refuses it; then it leaves nothing.
    """
    with disk(run):
        try:
            make_folder(run)
        except OSError:
            with contextlib.suppress(OSError):
                run.rmdir()
            raise


def first_record(
    name: str, config: RunConfig, dataset: Dataset, label: str | None = None
) -> Record:
    """Returns the record of a run that begins.

    Raises:
        InputError: If its activation function or its network is not registered here.
    """
    parts = split(dataset, config)
    return Record(
        run_id=name,
        settings=config,
        own_activation=_own_activation(config),
        own_network=network_of(config).source,
        network=None if config.is_textbook else layout_of(config),
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        train_images=len(parts.train),
        validation_images=len(parts.validation),
        test_images=len(dataset.x_test),
        probe_images=len(parts.probe),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        label=label,
        **conditions(),
    )


def _own_activation(config: RunConfig) -> OwnActivation | None:
    activation = config.function
    if activation.source is None:
        return None
    return OwnActivation(
        source=activation.source,
        sup_gate=activation.largest_gate(None),
        overflows=activation.overflows,
    )


def _numbers(event: EpochEnd) -> EpochNumbers:
    return EpochNumbers(**{name: getattr(event, name) for name in EpochNumbers.model_fields})


def _unit_arrays(events: Sequence[EpochEnd]) -> Arrays:
    """Stacks the summaries and biases of some epochs: arrays of shape (epochs, units)."""
    summaries = {
        f"layer{number}.{name}": np.stack([getattr(layer, name) for layer in layers])
        for number, layers in enumerate(zip(*(e.layers for e in events), strict=True), start=1)
        for name in units.ARRAYS
    }
    layout = events[0].state.weights.layout
    slopes = {
        f"layer{number}.slope": np.stack(
            [event.state.weights.named[site.slope].reshape(-1) for event in events]
        )
        for number, site in enumerate(layout.sites, start=1)
        if site.slope
    }
    return (
        slopes
        | summaries
        | _of_tasks(events)
        | {
            f"layer{number}.bias": np.stack([event.state.weights.bias(number) for event in events])
            for number in layout.layers
            if layout.sites[number - 1].bias
        }
    )


def _of_tasks(events: Sequence[EpochEnd]) -> Arrays:
    """Stacks what a run that learns tasks records of each layer, shape (epochs,)."""
    return {
        f"layer{number}.{name}": np.array(column, np.float32)
        for name in events[0].by_layer
        for number, column in enumerate(zip(*(e.by_layer[name] for e in events), strict=True), 1)
    }

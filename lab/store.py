"""The store: a folder of runs, written so that a finished epoch is never lost.

The commit rule: arrays go into new files with new names, flushed and renamed into place; then
`run.json`, which names them, is replaced atomically. What `run.json` names exists; any other file
is litter and is removed.
"""

import contextlib
import difflib
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from safetensors.numpy import save

from lab import units
from lab.config import RunConfig
from lab.data import Dataset, split
from lab.errors import InputError, RunBusyError, RunError, StoreError
from lab.machine import processor, threads_per_operation, versions
from lab.runs import (
    LOCK,
    RECORD,
    ArrayFile,
    Arrays,
    EpochNumbers,
    Record,
    Run,
    Runs,
    iterate,
    read_record,
    slot_shapes,
    weight_shapes,
)
from lab.training import EpochEnd, RunEnd, State

COMMIT_SECONDS = 2.0
RESUME_SECONDS = 10.0
ENDED = ("finished", "diverged")
PROJECT = 'name = "activation-lab"'


def default_path() -> Path:
    """Returns where runs are kept if no place is named.

    `LAB_STORE` if it is set; else `runs` in the nearest folder upwards that has one or holds this
    project; else `runs` in the current folder.
    """
    if place := os.environ.get("LAB_STORE"):
        return Path(place)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "runs").is_dir() or _is_project(folder / "pyproject.toml"):
            return folder / "runs"
    return here / "runs"


def _is_project(path: Path) -> bool:
    try:
        return PROJECT in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


class RunStore:
    """A folder of recorded runs, one folder for each.

    Iterate over it for the runs that can be read; `refused` tells which cannot, and why.

    >>> RunStore("no-such-folder")
    RunStore('no-such-folder')
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Names the folder; it need not exist.

        Args:
            path: The folder; by default `default_path()`.

        Raises:
            InputError: If it is there but is not a store.
        """
        self.path = Path(path) if path is not None else default_path()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"The store must be a folder, and {self.path} is a file.")
        try:
            entries = [p for p in self.path.iterdir() if not p.name.startswith(".")]
        except FileNotFoundError:
            entries = []
        except OSError as error:
            raise InputError(f"The store {self.path} cannot be read: {error.strerror}.") from None
        if entries and not any(self._is_run_folder(entry) for entry in entries):
            raise InputError(
                f"The store must be a new or empty folder or one that holds runs; "
                f"{self.path} holds other things, such as {entries[0].name!r}. Name another one."
            )

    def __repr__(self) -> str:
        """Shows the folder."""
        return f"RunStore({str(self.path)!r})"

    def __iter__(self) -> Iterator[Run]:
        """Yields the runs that can be read, in the order of their ids."""
        return (run for _, run in self._entries() if isinstance(run, Run))

    def __getitem__(self, run_id: str) -> Run:
        """Returns the run of this id, or of the only id that begins so.

        Raises:
            RunError: If there is none, with the nearest id.
        """
        folders = {folder.name: run for folder, run in self._entries()}
        matches = [name for name in folders if name.startswith(run_id)] if run_id else []
        exact = [run_id] if run_id in folders else matches
        if len(exact) != 1:
            raise RunError(_not_found(run_id, list(folders), matches, self.path))
        run = folders[exact[0]]
        if isinstance(run, RunError):
            raise RunError(f"Run {exact[0]} cannot be read: {run}")
        return run

    @property
    def runs(self) -> Runs:
        """All runs that can be read."""
        return Runs(tuple(self))

    @property
    def refused(self) -> dict[str, str]:
        """The folders that look like runs and cannot be read, with the reason for each."""
        return {f.name: str(run) for f, run in self._entries() if isinstance(run, RunError)}

    def find(self, config: RunConfig, dataset: Dataset) -> Run | None:
        """Returns the run of these settings and this dataset that has ended, if there is one."""
        for _, run in iterate(self._variants(run_id(config, dataset))):
            if isinstance(run, Run) and run.config == config and run.record.status in ENDED:
                return run
        return None

    def label(self, name: str, text: str) -> Run:
        """Gives a run a label, which its tables show; an empty text takes it away.

        Raises:
            RunError: If there is no such run.
            InputError: If the text is too long or has control characters.
        """
        if len(text) > 200 or not (text.isprintable()):
            raise InputError(f"label must be at most 200 printable characters, not {text[:50]!r}.")
        run = self[name]
        with _take_lock(run.folder):
            record = run.record.model_copy(update={"label": text or None})
            write_record(run.folder, record)
        return Run(run.folder, record)

    def delete(self, name: str) -> None:
        """Deletes a run.

        Raises:
            RunError: If there is no such run.
            RunBusyError: If it is being trained.
        """
        folder = self[name].folder
        with _take_lock(folder):
            shutil.rmtree(folder)

    def check_writable(self) -> None:
        """Checks that runs can be written here.

        Raises:
            StoreError: If not, with the reason.
        """
        probe = self.path / f".{os.getpid()}.tmp"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"The store {self.path} cannot be written to: {error.strerror}. "
                f"Name another folder with --store, store= or LAB_STORE."
            ) from None

    def writer(self, config: RunConfig, dataset: Dataset) -> "RunWriter":
        """Opens a run for writing: the one that was interrupted, or else a new one.

        A run interrupted on another kind of processor, or under other versions, could not go on
        to the same bits: it is left as it is, and a new one is kept beside it.

        Raises:
            RunBusyError: If another process is training the run.
            StoreError: If the store cannot be written to.
        """
        self.check_writable()
        name = run_id(config, dataset)
        taken = self._variants(name)
        for folder, run in iterate(taken):
            if isinstance(run, Run) and run.config == config and is_exactly_resumable(run):
                return RunWriter(folder, config, dataset)
        number = 1 + max((int(f.name.partition(".")[2] or 1) for f in taken), default=0)
        return RunWriter(self.path / (f"{name}.{number}" if taken else name), config, dataset)

    def _variants(self, name: str) -> list[Path]:
        """Returns the folders of all runs of one id: its own and those kept beside it."""
        folders = sorted(self.path.glob(f"{name}*"))
        return [f for f in folders if f.name.partition(".")[0] == name and (f / RECORD).exists()]

    def _entries(self) -> Iterator[tuple[Path, Run | RunError]]:
        if not self.path.is_dir():
            return iter(())
        folders = sorted(f for f in self.path.iterdir() if self._is_run_folder(f))
        return iterate([f for f in folders if not _has_just_begun(f)])

    @staticmethod
    def _is_run_folder(folder: Path) -> bool:
        return folder.is_dir() and ((folder / RECORD).exists() or (folder / LOCK).exists())


def _has_just_begun(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == [LOCK]


def _not_found(name: str, known: list[str], matches: list[str], path: Path) -> str:
    if matches:
        return f"{name!r} is not one run but several: {', '.join(matches)}."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f" Did you mean {near[0]}?" if near else " It holds no runs." if not known else ""
    return f"There is no run {name!r} in {path}.{hint}"


def run_id(config: RunConfig, dataset: Dataset) -> str:
    """Returns a run's readable, content-addressed id, such as `relu-seed0-3f2a1c9b`."""
    settings = {"dataset": dataset.digest, **config.model_dump(mode="json")}
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    return f"{config.activation}-seed{config.seed}-{digest}"


def is_exactly_resumable(run: Run) -> bool:
    """Tells whether this machine can go on with an unfinished run to the same bits."""
    record = run.record
    machine = (record.processor, record.versions, record.threads_per_operation)
    here = (processor(), versions(), threads_per_operation())
    return record.status not in ENDED and machine == here


class RunWriter:
    """Writes one run, which no other process can write meanwhile.

    Epochs are committed every two seconds; the state to go on from, which is large, every ten.
    A run that was killed goes on from that state and repeats the epochs since, bit for bit.

    Attributes:
        record: What is committed so far.
        state: The state after the last epoch taken, or from which the run goes on; None for a
            run that begins.
    """

    def __init__(self, folder: Path, config: RunConfig, dataset: Dataset) -> None:
        """Takes the run's lock and reads how far it has come.

        Raises:
            RunBusyError: If another process has the lock, or has just finished the run.
        """
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._lock = _take_lock(folder)
        self._pending: list[EpochEnd] = []
        self._committed, self._resumable = -math.inf, time.monotonic()
        self.state: State | None = None
        self.record = _new_record(folder.name, config, dataset)
        if (folder / RECORD).exists():
            self._go_on()

    def _go_on(self) -> None:
        run = Run(self.folder, read_record(self.folder))
        if run.record.status in ENDED:
            self.close()
            raise RunBusyError(f"Run {run.run_id} was finished by another process just now.")
        self.record = run.record.model_copy(update={"status": "running"})
        if run.record.resume:
            weights, slots = run.weights(run.record.resume.last), run.resume_slots()
            self.state = State(run.record.resume.last, tuple(weights), tuple(slots))

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
                self._commit({"status": "interrupted", **self._resume()})
        finally:
            with contextlib.suppress(OSError):
                (self.folder / LOCK).unlink()
                self.folder.rmdir()
            self._lock.release()

    @property
    def _last(self) -> State:
        if self.state is None:
            raise ValueError("No epoch was added.")
        return self.state

    def _resume(self) -> dict[str, Any]:
        self._resumable = time.monotonic()
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
        self.record = record.model_copy(update=changes)
        write_record(self.folder, self.record)
        self._pending = []
        self._committed = time.monotonic()
        self._remove_litter()

    def _state_file(self, kind: str, state: State) -> ArrayFile:
        config = self.record.settings
        named = list(zip(weight_shapes(config), state.weights, strict=True))
        if kind == "resume":
            named += zip(slot_shapes(config), state.slots, strict=True)
        arrays = {name: array for (name, _), array in named}
        return self._array_file(kind, state.epoch, state.epoch, arrays)

    def _array_file(self, kind: str, first: int, last: int, arrays: Arrays) -> ArrayFile:
        content = save(arrays)
        file = ArrayFile(
            name=f"{kind}-e{last:04d}.safetensors",
            first=first,
            last=last,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        _write(self.folder / file.name, content)
        return file

    def _remove_litter(self) -> None:
        record = self.record
        files = [*record.units, *record.weights, record.resume, record.confirmed]
        named = {RECORD, LOCK, *(file.name for file in files if file)}
        for path in self.folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)


def write_record(folder: Path, record: Record) -> None:
    """Replaces a run's `run.json` in one step, after all that it names is on disk."""
    _flush_folder(folder)
    _write(folder / RECORD, record.model_dump_json(indent=1).encode())
    _flush_folder(folder)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(
            f"Run {path.parent.name} could not be kept in {path.parent.parent}: "
            f"{error.strerror}. The epochs kept before are safe."
        ) from error


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows has no such call, and renames there are journaled.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_lock(folder: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise RunBusyError(
            f"Run {folder.name} is being trained by another process. Wait until it is done."
        ) from None
    return lock


def _new_record(name: str, config: RunConfig, dataset: Dataset) -> Record:
    parts = split(dataset, config)
    return Record(
        run_id=name,
        settings=config,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        train_images=len(parts.train),
        validation_images=len(parts.validation),
        test_images=len(dataset.x_test),
        probe_images=len(parts.probe),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        processor=processor(),
        threads_per_operation=threads_per_operation(),
    )


def _numbers(event: EpochEnd) -> EpochNumbers:
    return EpochNumbers(**{name: getattr(event, name) for name in EpochNumbers.model_fields})


def _unit_arrays(events: Sequence[EpochEnd]) -> Arrays:
    """Stacks the summaries of some epochs: arrays of shape (epochs, units)."""
    return {
        f"layer{number}.{name}": np.stack([getattr(layer, name) for layer in layers])
        for number, layers in enumerate(zip(*(e.layers for e in events), strict=True), start=1)
        for name in units.ARRAYS
    }

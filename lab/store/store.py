"""The store: a folder of recorded runs, a folder for each."""

import contextlib
import difflib
import glob
import hashlib
import json
import os
import re
import reprlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from lab.errors import InputError, RunBusyError, RunError, StoreError
from lab.experiment import Dataset, RunConfig, fitted
from lab.runs import (
    ARRAY_FILE,
    LOCK,
    RECORD,
    RUN_ID,
    Record,
    Run,
    Runs,
    iterate,
    one_run,
    read_record,
)
from lab.store.disk import make_folder, take_lock
from lab.store.importer import RunImporter
from lab.store.writer import RunWriter, first_record, write_record
from lab.system import at_home, conditions

Opened = TypeVar("Opened", RunWriter, RunImporter)
DELETED = ".deleted-"
PROJECT = 'name = "activation-lab"'
# Files that a first commit writes before the record that names them: of epoch 0, or of a run
# that was trained elsewhere, whose lock is beside it.
AT_FIRST = rf"{LOCK}|({RECORD}|[a-z]+-e0000\.safetensors)\.tmp|[a-z]+-e0000\.safetensors"
UNDER_A_LOCK = rf"{LOCK}|({RECORD}|{ARRAY_FILE})\.tmp|{ARRAY_FILE}"
HERE = "The store must be a folder of this machine, such as 'runs',"


def default_path() -> Path:
    """Returns where runs are kept if no place is named.

    `LAB_STORE` if it is set and not empty; else `runs` in the nearest folder upwards that has one
    or holds this project; else `runs` in the current folder.

    Raises:
        InputError: If `LAB_STORE` is an address, or if the current folder is gone.
    """
    if place := os.environ.get("LAB_STORE"):
        return at_home(place, HERE)
    try:
        here = Path.cwd()
    except OSError as error:
        raise InputError(
            f"The current folder cannot be read: {error.strerror}. "
            f"Go to another one, or name a store with --store, store= or LAB_STORE."
        ) from None
    for folder in (here, *here.parents):
        if os.path.isdir(folder / "runs") or _is_project(folder / "pyproject.toml"):
            return folder / "runs"
    return here / "runs"


def _can_be_a_path(path: Any) -> bool:
    if not isinstance(path, str | Path | None) or path == "":
        return False
    try:
        return b"\0" not in os.fsencode(path or "")
    except UnicodeEncodeError:
        return False


def _is_project(path: Path) -> bool:
    try:
        return PROJECT in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


class RunStore:
    """A folder of recorded runs, one folder for each.

    Iterate over it for the runs that can be read; `refused` lists the others, with reasons.

    >>> RunStore("no-such-folder")
    RunStore('no-such-folder')
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Names the folder; it need not exist.

        Args:
            path: The folder; by default `default_path()`.

        Raises:
            InputError: If it is not a folder of this machine, or exists and is not a store.
        """
        if not _can_be_a_path(path):
            raise InputError(f"The store must be a folder, such as 'runs', not {path!r}.")
        self.path = at_home(path, HERE) if path is not None else default_path()
        try:
            entries = [p for p in self.path.iterdir() if not p.name.startswith(".")]
        except FileNotFoundError:
            entries = []
        except NotADirectoryError:
            raise InputError(f"The store must be a folder, and {self.path} is a file.") from None
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
        folder = self.folder(run_id)
        try:
            return Run(folder, read_record(folder))
        except RunError as error:
            raise RunError(f"Run {folder.name} cannot be read: {error}") from None

    def folder(self, run_id: str) -> Path:
        """Returns the folder of a run, which need not be readable, as `[]` finds it.

        Raises:
            RunError: If there is none, with the nearest id.
            InputError: If it is not text.
        """
        if not isinstance(run_id, str):
            raise InputError(
                f"A run must be named by its id, such as 'relu-seed0-3f2a1c9b', or the beginning "
                f"of it, not {reprlib.repr(run_id)}."
            )
        known = [folder.name for folder in self._folders()]
        matches = [name for name in known if run_id and name.startswith(run_id)]
        if run_id in known:
            return self.path / run_id
        if len(matches) != 1:
            raise RunError(_not_found(run_id, known, matches, self.path))
        return self.path / matches[0]

    @property
    def runs(self) -> Runs:
        """All runs that can be read, in the order of `Runs.in_order`."""
        return Runs(tuple(self)).in_order()

    @property
    def refused(self) -> dict[str, str]:
        """The folders that look like runs and cannot be read, with the reason for each."""
        return {f.name: str(run) for f, run in self._entries() if isinstance(run, RunError)}

    def find(self, config: RunConfig, dataset: Dataset) -> Run | None:
        """Returns the run of these settings and this data set that has ended, if there is one."""
        return _ended(self._variants(fitted(config, dataset), dataset))

    def unfinished(self, config: RunConfig, dataset: Dataset) -> Run | None:
        """Returns the run of these settings and this data set that was interrupted, if any."""
        runs = [run for _, run in self._variants(fitted(config, dataset), dataset) if run]
        return next((run for run in runs if not run.record.ended), None)

    def label(self, name: str, text: str | None) -> Run:
        """Gives a run a label, which its tables show; an empty text or None takes it away.

        Raises:
            RunError: If there is no such run.
            InputError: If the text is too long or has control characters.
        """
        check_label(text or "")
        folder = self[name].folder  # Before its lock is made: only a run gets one.
        with take_lock(folder):
            record = self[folder.name].record.model_copy(update={"label": text or None})
            write_record(folder, record)
        return Run(folder, record)

    def add_copy(self, run: Run, weights: bool = True, beside: bool = False) -> Run:
        """Copies a run that has ended into this store, to hand it on.

        Args:
            run: The run, of another store.
            weights: Whether its weights go along; they are most of its size.
            beside: Whether to keep it beside a run of this id that is here already.

        Raises:
            InputError: If it is not a run.
            RunError: If the run has not ended or cannot be read.
            StoreError: If this store holds the run already, or cannot be written to.
        """
        run = one_run(run)
        if not run.ended or not run.is_whole():
            raise RunError(f"Run {run.run_id} has not ended or cannot be read: it is not copied.")
        self.check_writable()
        folder = self.path / run.run_id
        if folder in self._folders_of(run.run_id.partition(".")[0]):
            if not beside:
                raise StoreError(f"{self.path} holds the run {run.run_id} already.")
            folder = self._beside(run.run_id.partition(".")[0])
        with contextlib.closing(RunImporter(folder)) as importer:
            return importer.keep(run, weights)

    def variants(self, run_id: str) -> list[Run]:
        """Returns the runs of an id that can be read: its own, and those kept beside it."""
        found = (run for _, run in iterate(self._folders_of(run_id.partition(".")[0])))
        return [run for run in found if isinstance(run, Run)]

    def delete(self, name: str) -> None:
        """Deletes a run, even one that cannot be read.

        Raises:
            RunError: If there is no such run.
            RunBusyError: If it is being trained.
            StoreError: If the disk refuses it; then it is still there, or in no list.
        """
        folder = self.folder(name)
        try:
            if os.path.islink(folder):
                folder.unlink()
                return
            with take_lock(folder):
                self._delete(folder)
        except OSError as error:
            raise StoreError(
                f"Run {folder.name} could not be deleted from {self.path}: {error.strerror}."
            ) from None

    def _delete(self, folder: Path) -> None:
        """Takes a folder out of the store in one step, then deletes it.

        If a deletion stops between the two steps, the next deletion removes the rest.
        """
        left = list(self.path.glob(f"{DELETED}*"))
        removed = folder.rename(self.path / f"{DELETED}{secrets.token_hex(8)}")
        with contextlib.suppress(FileNotFoundError):  # Another process removes it, too.
            shutil.rmtree(removed)
        for path in left:
            shutil.rmtree(path, ignore_errors=True)

    def check_writable(self) -> None:
        """Checks that runs can be written here.

        Raises:
            StoreError: If not, with the reason.
        """
        try:
            make_folder(self.path)
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise StoreError(
                f"The store {self.path} cannot be written to: {error.strerror}. "
                f"Name another folder with --store, store= or LAB_STORE."
            ) from None

    def writer(self, config: RunConfig, dataset: Dataset, label: str | None = None) -> RunWriter:
        """Opens a run for writing: the one that was interrupted, or else a new one.

        A run interrupted on another kind of processor, or under other versions, could not resume to
        the same bits: it stays unchanged, and a new one is kept beside it.

        Raises:
            RunBusyError: If another process is training the run.
            StoreError: If the store cannot be written to.
        """
        return self._opened(
            config,
            dataset,
            lambda folder: RunWriter(folder, first_record(folder.name, config, dataset, label)),
            is_exactly_resumable,
        )

    def writer_outside(self, record: Record) -> RunWriter:
        """Opens a new run of a network that is trained outside the lab.

        Raises:
            StoreError: If the store cannot be written to.
        """
        self.check_writable()
        name = id_of(record.settings, record.dataset_digest)
        folder = self._beside(name) if self._folders_of(name) else self.path / name
        return RunWriter(folder, record.model_copy(update={"run_id": folder.name}))

    def importer(self, config: RunConfig, dataset: Dataset, beside: bool = False) -> RunImporter:
        """Opens a run that is trained elsewhere: what is kept of it, or else a new one.

        Args:
            config: The run's settings.
            dataset: What it is trained on.
            beside: Whether to keep it beside what is there.

        Raises:
            RunBusyError: If another process is training the run.
            StoreError: If the store cannot be written to.
        """
        return self._opened(config, dataset, RunImporter, lambda _: not beside)

    def _opened(
        self,
        config: RunConfig,
        dataset: Dataset,
        opened: Callable[[Path], Opened],
        goes_on: Callable[[Run], bool],
    ) -> Opened:
        self.check_writable()
        name = run_id(config, dataset)
        variants = self._variants(config, dataset)  # Once: another process may end it meanwhile.
        if run := _ended(variants):
            raise RunBusyError(f"Run {run.run_id} was finished by another process just now.")
        for folder, run in variants:
            if run and not run.record.ended and goes_on(run):
                with contextlib.suppress(RunError):  # Damaged: a new one is kept beside it.
                    return opened(folder)
        return opened(self._beside(name) if variants else self.path / name)

    def _beside(self, name: str) -> Path:
        """Returns the next free folder beside those of a run's id."""
        numbers = [int(f.name.partition(".")[2] or 1) for f in self._folders_of(name)]
        return self.path / f"{name}.{1 + max(numbers, default=0)}"

    def _variants(self, config: RunConfig, dataset: Dataset) -> list[tuple[Path, Run | None]]:
        """Returns the folders of a run's id, its own and those kept beside it.

        Each comes with its run, or with None if it cannot be read or is a different run.
        """
        folders = self._folders_of(run_id(config, dataset))
        return [
            (folder, run if isinstance(run, Run) and _is_of(run, config, dataset) else None)
            for folder, run in iterate(folders)
        ]

    def _folders_of(self, name: str) -> list[Path]:
        return [
            folder
            for folder in sorted(self.path.glob(f"{glob.escape(name)}*"))
            if re.fullmatch(rf"{re.escape(name)}(\.[0-9]+)?", folder.name)
            and (os.path.islink(folder) or not _has_just_begun(folder))
        ]

    def _entries(self) -> Iterator[tuple[Path, Run | RunError]]:
        return iterate([folder for folder in self._folders() if not _has_just_begun(folder)])

    def _folders(self) -> list[Path]:
        if not os.path.isdir(self.path):
            return []
        return sorted(folder for folder in self.path.iterdir() if self._is_run_folder(folder))

    @staticmethod
    def _is_run_folder(folder: Path) -> bool:
        named = re.fullmatch(RUN_ID, folder.name) is not None
        hidden = folder.name.startswith(".")
        shown = named or (not hidden and os.path.exists(folder / RECORD))
        return shown and os.path.isdir(folder)  # Path.is_dir raises without permission.


def check_label(text: str) -> None:
    """Checks that a text can be a label.

    Raises:
        InputError: If it is not a text, is too long or has control characters.
    """
    if not isinstance(text, str) or len(text) > 200 or not text.isprintable():
        raise InputError(f"label must be at most 200 printable characters, not {str(text)[:50]!r}.")


def _ended(variants: list[tuple[Path, Run | None]]) -> Run | None:
    runs = [run for _, run in variants if run]
    return next((r for r in runs if r.record.ended and r.is_whole()), None)


def _is_of(run: Run, config: RunConfig, dataset: Dataset) -> bool:
    return run.config == config and run.record.dataset_digest == dataset.digest


def _has_just_begun(folder: Path) -> bool:
    """Tells whether a folder holds no epoch yet: its writer is, or was stopped, at its start."""
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return True  # Deleted meanwhile.
    except OSError:
        return False  # Reading it will say why.
    expected = UNDER_A_LOCK if LOCK in names else AT_FIRST
    return all(re.fullmatch(expected, name) for name in names)


def _not_found(name: str, known: list[str], matches: list[str], path: Path) -> str:
    if matches:
        return f"{name!r} is not one run but several: {', '.join(matches)}."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f" Did you mean {near[0]}?" if near else " It holds no runs." if not known else ""
    return f"There is no run {name!r} in {path}.{hint}"


def run_id(config: RunConfig, dataset: Dataset) -> str:
    """Returns a run's readable, content-addressed id, such as `relu-seed0-3f2a1c9b`."""
    return id_of(config, dataset.digest)


def id_of(config: RunConfig, dataset_digest: str) -> str:
    """Returns the id of a run by its settings and its data set's digest.

    Settings at their defaults are left out of the hash, so that a setting added later leaves the
    ids of recorded runs unchanged.
    """
    settings = {
        "dataset": dataset_digest,
        "activation": config.activation,
        "parameter": config.parameter,
        **config.model_dump(mode="json", exclude_defaults=True),
    }
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    return f"{config.activation}-seed{config.seed}-{digest}"


def is_exactly_resumable(run: Run) -> bool:
    """Tells whether this machine can go on with an unfinished run to the same bits."""
    record = run.record
    same = all(getattr(record, name) == here for name, here in conditions().items())
    return not record.ended and same

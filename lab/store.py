"""The store: a folder of recorded runs, a folder for each."""

import difflib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab.config import RunConfig
from lab.data import Dataset
from lab.errors import InputError, RunError, StoreError
from lab.machine import processor, threads_per_operation, versions
from lab.records import LOCK, RECORD
from lab.runs import Run, iterate
from lab.tables import Runs
from lab.writer import ENDED, RunWriter, take_lock, write_record

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
        with take_lock(run.folder):
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
        with take_lock(folder):
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

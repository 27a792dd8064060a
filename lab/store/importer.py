"""Keeping a run that was trained elsewhere: by a worker process, or by somebody else."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.errors import RunBusyError, RunError, StoreError
from lab.runs import RECORD, Record, Run, read_content, read_record
from lab.store.disk import disk, take_lock, write_file
from lab.store.writer import let_go, make_folder_of, remove_litter, write_record

Files = dict[str, bytes]


class RunImporter:
    """Keeps one run as it grows elsewhere; no other process can write it meanwhile.

    As for the writer, all files that the record names are on disk before the record is.

    Attributes:
        folder: Where it is kept.
        run: What is kept so far; None of a run that begins.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the run's lock and reads how far it has come.

        Raises:
            RunBusyError: If another process has the lock, or has just finished the run.
            RunError: If what is kept cannot be read.
        """
        make_folder_of(folder)
        self.folder = folder
        self._lock = take_lock(folder)
        try:
            begun = os.path.exists(folder / RECORD)  # Path.exists raises without permission.
            self.run = Run(folder, read_record(folder)) if begun else None
            if self.run and self.run.record.ended:
                raise RunBusyError(f"Run {folder.name} was finished by another process just now.")
            if self.run and not self.run.is_whole():
                raise RunError(f"Run {folder.name} is damaged.")
        except (RunBusyError, RunError):
            self._lock.release()
            raise

    def goes_on_with(self, run: Run) -> bool:
        """Tells whether a run holds every epoch that is kept here, to the same bits."""
        return self.run is None or set(self.run.record.units) <= set(run.record.units)

    def keep(self, run: Run, weights: bool = True) -> Run:
        """Takes over all that a run elsewhere holds, then its record; returns the kept run.

        Args:
            run: A run that goes on with what is kept here.
            weights: Whether its weights are taken over, too.

        Raises:
            RunError: If one of its files was changed.
            StoreError: If the disk refuses one.
        """
        named = run.record.weights if weights else ()
        record = run.record.model_copy(update={"run_id": self.folder.name, "weights": named})
        kept = self.run.record.files if self.run else ()
        for file in record.files:
            if file not in kept:
                content = read_content(run.folder, run.record, file)
                write_file(self.folder / file.name, content)
        write_record(self.folder, record)
        remove_litter(self.folder, record)
        self.run = Run(self.folder, record)
        return self.run

    def close(self) -> None:
        """Frees the run; a run that was not kept leaves nothing behind."""
        if self.run is None:
            for path in self.folder.glob("*.safetensors*"):
                path.unlink(missing_ok=True)
        let_go(self.folder, self._lock)


def files_of(run: Run) -> Files:
    """Returns the files of a run by name, to send it to another process.

    Raises:
        RunError: If one of them was changed.
    """
    arrays = {file.name: read_content(run.folder, run.record, file) for file in run.record.files}
    return {RECORD: _as_json(run.record), **arrays}


def _as_json(record: Record) -> bytes:
    return record.model_dump_json(indent=1).encode()


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Returns a folder for a `with` block, which removes it at its end.

    Raises:
        StoreError: If there is no place for one.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(
            f"No temporary folder can be made: {error.strerror}. Set TMPDIR to one with room."
        ) from None


@contextlib.contextmanager
def unpacked(files: Files) -> Iterator[Run]:
    """Yields the run that some files hold, checked as if a stranger had sent them.

    Raises:
        RunError: If they are not the files of a run.
        StoreError: If the disk refuses them.
    """
    with temporary_folder() as folder:
        run = unpack(files, Path(folder))
        if not run.is_whole():
            raise RunError(f"Run {run.run_id} is damaged.")
        yield run


def unpack(files: Files, store: Path) -> Run:
    """Writes the files of a run into a folder of runs, and returns it.

    Raises:
        RunError: If they are not the files of a run.
        StoreError: If the disk refuses them.
    """
    name = Record.model_validate_json(files[RECORD]).run_id
    with disk(store / name):
        (store / name).mkdir(parents=True)
        for file, content in files.items():
            (store / name / Path(file).name).write_bytes(content)
    return Run(store / name, read_record(store / name))

"""Collecting a class's runs: folders and zip files of others, read as hostile input."""

import errno
import hashlib
import itertools
import lzma
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.errors import InputError, LabError, RunError, StoreError
from lab.runs import (
    ARRAY_FILE,
    LARGEST_RECORD,
    RECORD,
    RUN_ID,
    Record,
    Run,
    have_the_same_bits,
    most_bytes,
    read_arrays,
    read_record,
)
from lab.store import RunStore, id_of
from lab.system import at_home, open_zip

MOST_ENTRIES = 50_000
MOST_BYTES = 4 * 2**30
DEPTH = 6
OUTCOMES = ("taken", "double", "beside", "refused")
BROKEN_ZIP = (
    *(OSError, EOFError, ValueError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class Collected:
    """What became of one run, or of a whole folder or zip file.

    Attributes:
        source: The folder or zip file that was read.
        name: The run's folder in it; empty for the whole.
        label: The run's label, such as the student's name; empty if it has none.
        outcome: One of `OUTCOMES`.
        words: The id under which it is kept, or the reason why it is not.
    """

    source: str
    name: str
    label: str
    outcome: str
    words: str


def seeds_of(student: str, number: int) -> list[int]:
    """Returns a student's own seeds: the same for the same name, others for another name.

    Args:
        student: The student's name; capitals and spaces around it do not matter.
        number: How many, up to 1,000.

    Raises:
        InputError: If it is no name, or if there are too many.

    >>> seeds_of("Ada", 3) == seeds_of(" ada ", 3)
    True
    """
    name = name_of(student).casefold()
    if not 1 <= number <= 1000:
        raise InputError(f"seeds must be from 1 to 1,000 for a student, not {number}.")
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    first = 1000 * (1 + place % 4_000_000)  # In 1 of 10,000 classes two of 30 share seeds.
    return list(range(first, first + number))


def name_of(student: str) -> str:
    """Returns a student's name as the label of their runs, without needless spaces.

    Raises:
        InputError: If it is no name.
    """
    name = " ".join(student.split())
    if not (0 < len(name) <= 100 and name.isprintable()):
        raise InputError(
            f"student must be a name of 1 to 100 printable characters, not {student[:50]!r}."
        )
    return name


def collect(submissions: Iterable[str | Path], store: RunStore) -> Iterator[Collected]:
    """Takes the finished runs of a class into one store, one by one.

    Args:
        submissions: Folders and zip files that hold runs, at any of the upper levels; a folder may
            hold zip files, too.
        store: Where they are kept. A run with the same bits as one that is there is not kept
            twice; one of the same settings with other bits is kept beside it.

    Yields:
        What became of each run, and of each submission that holds none or is refused.

    Raises:
        InputError: If a submission is an address.
        StoreError: If the store cannot be written to.
    """
    places = [at_home(submission) for submission in submissions]
    store.check_writable()
    for submission in places:
        found = False
        for one in _of_submission(submission, store):
            found = True
            yield one
        if not found:
            yield _refused(submission, "it holds no runs")


def _of_submission(place: Path, store: RunStore) -> Iterator[Collected]:
    if place.is_symlink() or not place.exists():
        reason = "it is a symbolic link" if place.is_symlink() else "it is not there"
        yield _refused(place, reason)
    elif place.is_dir():
        yield from _of_folder(place, place, DEPTH, store)
    else:
        yield from _of_zip(place, store)


def _of_folder(folder: Path, source: Path, depth: int, store: RunStore) -> Iterator[Collected]:
    """Takes the runs and zip files in a folder; one that cannot be read hides no other."""
    if re.fullmatch(RUN_ID, folder.name) and os.path.lexists(folder / RECORD):
        yield _taken(folder, source, store)
        return
    try:
        folders, files = _listed(folder)
    except (LabError, OSError) as error:
        yield _refused(folder, _reason(error))
        return
    for path in sorted(folders + files):
        if path in files:
            yield from _of_zip(path, store)
        elif depth:
            yield from _of_folder(path, source, depth - 1, store)


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the folders and the zip files in a folder, without following a symbolic link."""
    with os.scandir(folder) as entries:
        few = list(itertools.islice(entries, MOST_ENTRIES + 1))
    if len(few) > MOST_ENTRIES:
        raise InputError(f"it holds more than {MOST_ENTRIES:,} files")
    files = [entry for entry in few if entry.name.lower().endswith(".zip")]
    return (
        [Path(entry) for entry in few if entry.is_dir(follow_symlinks=False)],
        [Path(entry) for entry in files if entry.is_file(follow_symlinks=False)],
    )


def _of_zip(path: Path, store: RunStore) -> Iterator[Collected]:
    try:
        with open_zip(path) as archive:
            runs = _runs_in(archive)
            for folder, entries in sorted(runs.items()):
                yield _of_entries(path, archive, folder, entries, store)
            if not runs:
                packed = any(name.lower().endswith(".zip") for name in archive.namelist())
                more = ": zip files within are not opened, so unpack it first" if packed else ""
                yield _refused(path, f"it holds no runs{more}")
    except StoreError:  # Not the zip file's fault, but a RuntimeError, like zipfile's.
        raise
    except BROKEN_ZIP as error:
        yield _refused(path, _reason(error))


def _runs_in(archive: zipfile.ZipFile) -> dict[PurePosixPath, list[zipfile.ZipInfo]]:
    """Returns the files of each run in a zip file, by the run's folder.

    Raises:
        InputError: If the zip file is too large, encrypted, or holds links or odd names.
    """
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise InputError(f"it holds more than {MOST_ENTRIES:,} files")
    if len({entry.filename for entry in entries}) < len(entries):
        raise InputError("it holds two files of one name")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise InputError(f"it unpacks to more than {MOST_BYTES // 2**30} GiB")
    runs: dict[PurePosixPath, list[zipfile.ZipInfo]] = {}
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise InputError(f"it names a file outside of itself: {entry.filename[:100]!r}")
        if entry.flag_bits & 1:
            raise InputError("it is encrypted: a password is asked for")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"it holds a symbolic link: {entry.filename[:100]!r}")
        is_of_run = path.name == RECORD or re.fullmatch(ARRAY_FILE, path.name)
        if is_of_run and re.fullmatch(RUN_ID, path.parent.name):
            runs.setdefault(path.parent, []).append(entry)
    return runs


def _of_entries(
    path: Path,
    archive: zipfile.ZipFile,
    folder: PurePosixPath,
    entries: list[zipfile.ZipInfo],
    store: RunStore,
) -> Collected:
    with tempfile.TemporaryDirectory(prefix="lab-") as place:
        target = Path(place) / folder.name
        try:
            target.mkdir()
            _unpack(archive, {PurePosixPath(e.filename).name: e for e in entries}, target)
        except BROKEN_ZIP as error:
            return _refused(path, _reason(error), folder.name)
        return _taken(target, path, store)


def _unpack(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], target: Path) -> None:
    """Unpacks a run's record, then the files that it names, up to the first that is bad.

    It unpacks no file that is larger than such a file can be.
    """

    def unpack(name: str, most: int) -> None:
        if name not in entries:
            return
        if entries[name].file_size > most:
            size = entries[name].file_size
            raise RunError(f"{name} has {size:,} bytes, more than {most:,}.")
        with archive.open(entries[name]) as packed, (target / name).open("wb") as file:
            shutil.copyfileobj(packed, file)

    unpack(RECORD, LARGEST_RECORD)
    record = read_record(target)
    _check(record)
    for file in record.files:
        unpack(file.name, most_bytes(record.layout, record.settings, file))
        read_arrays(target, record, file)


def _taken(folder: Path, source: Path, store: RunStore) -> Collected:
    """Takes one run into the store, after reading it as if a stranger had written it."""
    try:
        run = Run(folder, read_record(folder))
        _check(run.record)
        run.check_whole()
        known = store.variants(run.run_id)
        whole = (one for one in known if one.is_whole())
        double = next((one for one in whole if have_the_same_bits(one, run)), None)
        about = (str(source), folder.name, run.record.label or "")
        if double:
            owner = f" of {double.record.label}" if double.record.label else ""
            return Collected(*about, "double", f"the same as {double.run_id}{owner}")
        kept = store.add_copy(run, beside=True)
        return Collected(*about, "beside" if known else "taken", kept.run_id)
    except RunError as error:
        return _refused(source, _reason(error), folder.name)
    except MemoryError:
        return _refused(source, "it does not fit into the memory", folder.name)


def _refused(source: Path, reason: str, name: str = "") -> Collected:
    return Collected(str(source), name, "", "refused", reason)


def _check(record: Record) -> None:
    if not record.ended:
        raise RunError(f"it has not ended: its last epoch is {record.epochs[-1].epoch}")
    if record.run_id.partition(".")[0] != id_of(record.settings, record.dataset_digest):
        raise RunError("its id is not the one of its settings")


def _reason(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile | zlib.error | lzma.LZMAError | EOFError):
        return "it is not a zip file, or a damaged one"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{tempfile.gettempdir()} has no room to unpack it"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.removesuffix(".") or type(error).__name__

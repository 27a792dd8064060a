"""Folders, files and locks on the disk: what is written survives a power cut."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from lab.errors import RunBusyError, StoreError
from lab.runs import LOCK, NO_FILE_INSTEAD, lock_of

NO_FLUSH_OF_FOLDERS = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)  # Answers of network disks.


NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)


LOCK_SECONDS = 0.5  # To see whether a run is being written, a reader holds its lock for a moment.


def write_file(path: Path, content: bytes) -> None:
    """Writes a file and flushes it, under another name until it is whole.

    Raises:
        StoreError: If the disk refuses it.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with disk(path.parent):
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as file:  # Never through a link that someone put there.
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def make_folder(folder: Path) -> None:
    """Makes a folder and its missing parents, so that they survive a power cut.

    Raises:
        OSError: If the disk refuses it.
    """
    missing = [path for path in (folder, *folder.parents) if not os.path.isdir(path)]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        with contextlib.suppress(PermissionError):  # It may be writable but not readable.
            flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Flushes the names in a folder, where the disk can do that.

    Raises:
        OSError: If the disk fails.
    """
    if os.name == "nt":
        return  # Windows has no such call, and renames there are journaled.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FLUSH_OF_FOLDERS:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Run {folder.name} could not be kept in {folder.parent}: {error.strerror}. "
            f"The epochs kept before are safe."
        ) from error


def take_lock(folder: Path) -> filelock.BaseFileLock:
    """Takes the lock of a run, which is free again when its holder releases it or ends.

    Raises:
        RunBusyError: If another holds it.
        StoreError: If the disk refuses it, or has no locks.
    """
    lock = lock_of(folder, LOCK_SECONDS)
    with disk(folder):
        try:
            _acquire(lock)
        except filelock.Timeout:
            raise RunBusyError(
                f"Run {folder.name} is being trained by another process. Wait until it is done."
            ) from None
        except OSError as error:
            if error.errno in NO_LOCKS:
                raise _without_locks(folder) from None
            raise
    return lock


def _acquire(lock: filelock.BaseFileLock) -> None:
    """Takes a lock; versions of filelock differ in what they do where the disk has none."""
    try:
        lock.acquire(poll_interval=0.01)
    except NotImplementedError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if not NO_FILE_INSTEAD and isinstance(lock, filelock.SoftFileLock):
        lock.release()
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _without_locks(folder: Path) -> StoreError:
    with contextlib.suppress(OSError):  # It was made for the lock if nothing else is in it.
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
    return StoreError(
        f"The disk of the store {folder.parent} has no locks, which keep two processes from "
        f"writing one run. Name a folder on another disk with --store, store= or LAB_STORE."
    )

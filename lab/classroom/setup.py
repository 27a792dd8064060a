"""A folder for a class: full MNIST and recorded runs, so that a room needs no network."""

import contextlib
from pathlib import Path

from lab.errors import InputError
from lab.experiment import Dataset, write_npz

DATA, RUNS = "data", "runs"
BUNDLED = "mnist-5k"
RATES = (0.001, 0.005)


def check(folder: Path) -> None:
    """Checks that a path is a folder, or free for one.

    Raises:
        InputError: If it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file. Name a folder for the class.")


def write_data(dataset: Dataset, folder: Path) -> None:
    """Writes a data set for `LAB_DATA_DIR`, unless it comes with the installation.

    Raises:
        InputError: If the folder cannot be written.
    """
    place = folder / DATA / f"{dataset.name}.npz"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if dataset.name != BUNDLED and not place.exists():
            write_npz(place, (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test))
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}. Name a folder that you may write to."
        ) from None


def make_readable(folder: Path) -> None:
    """Lets everyone read the folder's content, but changes nothing that belongs to others.

    It follows no links: they lead out of this folder.
    """
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            with contextlib.suppress(OSError):
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def guide(folder: Path) -> str:
    """Returns what the students have to know."""
    place = folder.absolute()
    return (
        f"Students set, before they start JupyterLab:\n"
        f"    LAB_DATA_DIR={place / DATA}\n"
        f"and open the runs of the class in a notebook:\n"
        f"    from lab import RunStore\n"
        f"    from lab.widgets import Compare\n"
        f"    Compare(RunStore({str(place / RUNS)!r}))"
    )

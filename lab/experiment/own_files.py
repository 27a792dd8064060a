"""A user's own data set, by its path: an .npz archive, or a folder of class folders."""

import math
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.errors import DatasetMissingError, InputError
from lab.experiment import folders
from lab.experiment.archives import BROKEN, open_archive
from lab.experiment.data import PARTS, ByteArray, Dataset, converted, stratified_order
from lab.words import join_words

ENDING = ".npz"
MOST_BYTES = 2 * 10**9  # CIFAR-10 has 184 million as bytes, and 1.5 billion as float64.
TRAINING_SHARE = 0.8
# Names of the four parts: Keras's, and MedMNIST's.
NAMED: tuple[Sequence[str], ...] = (
    PARTS,
    ("train_images", "train_labels", "test_images", "test_labels"),
)
SHUFFLED = "training images, which were sorted by class, put in a fixed random order"
Read = tuple[list[ByteArray], tuple[str, ...], list[str]]


def is_path(name: object) -> bool:
    """Tells whether what names a data set is the path of one, and not a name."""
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    separated = any(mark and mark in name for mark in ("/", os.sep, os.altsep))
    return separated or name.endswith(ENDING) or name in (".", "..", "~")


def find(name: str, places: Iterable[Path]) -> Path | None:
    """Looks in some folders for a data set of this name: an archive, or a folder.

    Nothing outside of these folders is found: a stranger may have written the name.
    """
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        return None
    for place in places:
        if os.path.isfile(path := place / f"{name}{ENDING}") or os.path.isdir(path := place / name):
            return path
    return None


def load(path: Path, name: str | None = None) -> Dataset:
    """Loads a data set from a path; a warning says in one line what was done with it.

    Args:
        path: An .npz archive or a folder.
        name: What to call it; by default as the file or folder is called.

    Raises:
        InputError: If it cannot be used, with the reason.
        DatasetMissingError: If nothing is there.
    """
    if not os.path.exists(path):
        raise DatasetMissingError(
            f"There is no file or folder {path}. Name an {ENDING} file, or a folder with a folder "
            f"of PNG or JPEG images for each class."
        )
    name = name or (path.stem if path.suffix == ENDING else path.resolve().name)
    read = _from_folder if os.path.isdir(path) else _from_archive
    parts, classes, notes = read(path, name)
    if len(parts) == 2:
        parts, divided = _divided(*parts)
        notes.append(divided)
    elif _is_sorted(parts[1]):
        order = stratified_order(parts[1])
        parts[:2] = parts[0][order], parts[1][order]
        notes.append(SHUFFLED)
    x_train, y_train, x_test, y_test = parts
    dataset = Dataset(name, x_train, y_train, x_test, y_test, str(path), classes)
    if notes:
        warnings.warn(f"{name}: {'; '.join(notes)}.", stacklevel=4)
    return dataset


def _from_folder(path: Path, name: str) -> Read:
    pictures, left_out = folders.read(folders.parts(path), MOST_BYTES)
    parts, notes = converted(name, [a for one in pictures for a in (one.images, one.labels)])
    return parts, pictures[0].classes, notes + left_out


def _from_archive(path: Path, name: str) -> Read:
    if path.suffix != ENDING:
        raise InputError(
            f"{path} must be an {ENDING} file or a folder: np.savez_compressed('my{ENDING}', "
            f"x_train=…, y_train=…, x_test=…, y_test=…) makes one."
        )
    arrays = _arrays(path)
    parts, notes = converted(name, list(arrays.values()), list(arrays))
    return parts, (), notes


def _arrays(path: Path) -> dict[str, Any]:
    """Reads the four parts of an archive, or images and labels where it holds two arrays."""
    try:
        with open_archive(path, MOST_BYTES) as archive:
            held = archive.names
            alone = held if len(held) == 2 else ()
            wanted = next((names for names in NAMED if set(names) <= set(held)), alone)
            arrays = {name: archive[name] for name in wanted}
    except BROKEN as error:
        raise InputError(
            f"{path} is broken: expected a NumPy archive of arrays of numbers ({error}). Replace "
            f"or remove the file."
        ) from None
    if not arrays:
        raise InputError(
            f"{path} must hold {join_words(PARTS)}, or two arrays, images and labels, not "
            f"{join_words(map(repr, held)) or 'nothing'}: give its arrays these names."
        )
    if len(arrays) == len(PARTS):
        return arrays
    return dict(sorted(arrays.items(), key=lambda pair: np.ndim(pair[1]), reverse=True))


def _divided(images: ByteArray, labels: ByteArray) -> tuple[list[ByteArray], str]:
    """Divides a data set into images to train on and to test on, each stratified by class."""
    order = stratified_order(labels)
    boundary = math.floor(TRAINING_SHARE * len(order))
    train, test = order[:boundary], order[boundary:]
    note = (
        f"divided by chance, by class and always in the same way, into {len(train):,} images to "
        f"train on and {len(test):,} to test"
    )
    return [images[train], labels[train], images[test], labels[test]], note


def _is_sorted(labels: ByteArray) -> bool:
    """Tells whether each class comes in one piece, so that the last part lacks the others."""
    changes = int(np.count_nonzero(labels[1:] != labels[:-1]))
    return changes == len(np.unique(labels)) - 1

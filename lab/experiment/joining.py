"""Several data sets joined into one: its classes are those of the first, then of the second."""

import reprlib
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from lab.errors import InputError
from lab.experiment.config import MOST_MEMBERS
from lab.experiment.data import ByteArray, Dataset

JOINT = "+"


def join_datasets(datasets: Iterable[Dataset]) -> Dataset:
    """Joins data sets into one, for `tasks="datasets"` or for one task with all their classes.

    The labels of the second are moved up by the classes of the first, and so on. Images keep their
    order among those of their data set, and are mixed evenly, so that validation has its share of
    each. Smaller images are enlarged by the largest whole number that fits, and get a black rim;
    a warning says so.

    Args:
        datasets: The data sets, 2 to 10, all grey or all with as many channels.

    Returns:
        The joined data set; its `members` are the numbers of classes of each.

    Raises:
        InputError: If they cannot be joined.
    """
    members = _checked(datasets)
    if len({dataset.image_shape[2:] for dataset in members}) > 1:
        shapes = ", ".join(f"{dataset.name} {dataset.image_shape}" for dataset in members)
        raise InputError(
            f"Data sets that are joined must all be grey or all have as many channels, not "
            f"{shapes}: join others."
        )
    height, width = (max(dataset.image_shape[side] for dataset in members) for side in (0, 1))
    name = JOINT.join(dataset.name for dataset in members)
    smaller = [d.name for d in members if d.image_shape[:2] != (height, width)]
    if smaller:
        warnings.warn(
            f"{name}: images of {', '.join(smaller)} enlarged to {height} × {width} pixels, with a "
            f"black rim.",
            stacklevel=2,
        )
    first = np.cumsum([0, *(dataset.classes for dataset in members)]).tolist()
    return Dataset(
        name,
        _mixed([enlarged(dataset.x_train, height, width) for dataset in members]),
        _mixed([d.y_train.astype(np.int64) + n for d, n in zip(members, first, strict=False)]),
        _mixed([enlarged(dataset.x_test, height, width) for dataset in members]),
        _mixed([d.y_test.astype(np.int64) + n for d, n in zip(members, first, strict=False)]),
        JOINT.join(dataset.source for dataset in members),
        tuple(called for dataset in members for called in _class_names(dataset)),
        tuple(dataset.classes for dataset in members),
    )


def _checked(datasets: Iterable[Dataset]) -> list[Dataset]:
    """Returns the data sets as a list, if each is one that is not joined itself."""
    members = list(datasets) if isinstance(datasets, Iterable) else [datasets]
    check_number(len(members))
    for dataset in members:
        if not isinstance(dataset, Dataset):
            raise InputError(
                f"Data sets that are joined must be loaded ones, not {reprlib.repr(dataset)}: "
                f"lab.load_dataset loads one by its name."
            )
        if dataset.members:
            raise InputError(
                f"{dataset.name} is joined already: join its members and the others in one go."
            )
    return members


def check_number(members: int) -> None:
    """Checks how many data sets are joined.

    Raises:
        InputError: If they are fewer than 2 or too many.
    """
    if not 2 <= members <= MOST_MEMBERS:
        raise InputError(f"2 to {MOST_MEMBERS} data sets can be joined, not {members:,}.")


def enlarged(images: ByteArray, height: int, width: int) -> ByteArray:
    """Repeats each pixel as a square, as large as fits, in the middle of a black image.

    >>> enlarged(np.array([[[7, 8]]], np.uint8), 3, 4).tolist()
    [[[7, 7, 8, 8], [7, 7, 8, 8], [0, 0, 0, 0]]]

    Args:
        images: uint8 of shape (n, rows, columns) or (n, rows, columns, channels).
        height: The height of the new images.
        width: The width of the new images.
    """
    side = min(height // images.shape[1], width // images.shape[2])
    whole = np.zeros((len(images), height, width, *images.shape[3:]), np.uint8)
    top, left = (
        (n - side * m) // 2 for n, m in zip((height, width), images.shape[1:], strict=False)
    )
    inside = whole[:, top : top + side * images.shape[1], left : left + side * images.shape[2]]
    inside[:] = images.repeat(side, axis=1).repeat(side, axis=2)
    return whole


def _mixed(parts: Sequence[ByteArray]) -> ByteArray:
    """Returns all images or labels in one order, the k-th of n at (k + ½) / n."""
    place = np.concatenate([(np.arange(len(part)) + 0.5) / len(part) for part in parts])
    return np.concatenate(parts)[np.argsort(place, kind="stable")]


def _class_names(dataset: Dataset) -> tuple[str, ...]:
    """Returns the names of the classes; without any, such as `3 of mnist-5k`."""
    numbered = tuple(f"{number} of {dataset.name}" for number in range(dataset.classes))
    return dataset.class_names[: dataset.classes] or numbered

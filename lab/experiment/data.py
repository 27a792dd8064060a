"""Data sets of images in classes, and how a run splits them."""

import functools
import hashlib
import math
import reprlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError
from lab.experiment.config import RunConfig
from lab.experiment.conversion import BLOCK, as_bytes, as_classes, same_type
from lab.words import join_words

ByteArray = NDArray[np.uint8]
IndexArray = NDArray[np.intp]
PARTS = ("x_train", "y_train", "x_test", "y_test")
STRATIFY_SEED = 0
# Where tasks show groups of classes: what a group is, what a task shows, how many groups that is.
GROUPED = {
    "class_pairs": ("class", "a pair of classes", 2),
    "datasets": ("data set", "each data set", 1),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training and testing, converted once to bytes and class numbers.

    Images may be given as whole numbers from 0 to 255 or as floats from 0 to 1, which are rounded
    to 8 bits, with 4 to 1,024 pixels a side. Labels may be whole numbers of any type, or one-hot.
    The last part of the training images is for validation, so their order should be random.

    Attributes:
        name: Its name in every table and on every figure.
        x_train: Training images, uint8 of shape (n, height, width) or (n, height, width,
            channels), 0 to 255.
        y_train: Their classes, from 0, uint8 of shape (n,); uint16 where there are over 256.
            At least two classes occur.
        x_test: Test images, as `x_train`.
        y_test: Their classes, as `y_train`.
        source: Where the images were found.
        class_names: What the classes are called, in their order; empty if that is not known.
        members: How many classes each of the data sets has that were joined, in their order; empty
            if it is a single one.
    """

    name: str
    x_train: ByteArray = field(repr=False)
    y_train: ByteArray = field(repr=False)
    x_test: ByteArray = field(repr=False)
    y_test: ByteArray = field(repr=False)
    source: str = "made by hand"
    class_names: tuple[str, ...] = field(default=(), repr=False)
    members: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Checks and converts; a warning says what was converted.

        Raises:
            InputError: If a part is not as described above.
        """
        named = isinstance(self.name, str) and self.name.isprintable()
        if not (named and 0 < len(self.name) <= 200):
            raise InputError(
                f"A data set's name must be 1 to 200 printable characters, "
                f"not {reprlib.repr(self.name)}."
            )
        parts, notes = converted(self.name, [getattr(self, part) for part in PARTS])
        for part, array in zip(PARTS, parts, strict=True):
            object.__setattr__(self, part, array)
        if notes:
            warnings.warn(f"{self.name}: {'; '.join(notes)}.", stacklevel=3)
        if self.image_shape != self.x_test.shape[1:]:
            raise InputError(
                f"Images of {self.name} must be of one shape, for training and for testing, "
                f"not {self.image_shape} and {self.x_test.shape[1:]}: give all one size first."
            )
        if self.class_names and len(self.class_names) < self.classes:
            raise InputError(
                f"class_names of {self.name} must name all {self.classes:,} classes, not "
                f"{len(self.class_names):,} of them: leave them out, or complete them."
            )
        if self.members and sum(self.members) < self.classes:
            raise InputError(
                f"members of {self.name} must add up to its {self.classes:,} classes, not be "
                f"{self.members}: join_datasets sets them."
            )
        if self.y_train.min() == self.y_train.max():
            raise InputError(
                f"y_train of {self.name} must hold at least 2 classes, not only class "
                f"{self.y_train[0]}: add images of another class."
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height and width of an image, and its channels if it has any."""
        return self.x_train.shape[1:]

    @functools.cached_property
    def classes(self) -> int:
        """How many classes there are: the largest label and one, or those of all members."""
        largest = int(max(self.y_train.max(), self.y_test.max()))
        return max(largest + 1, sum(self.members))

    @functools.cached_property
    def pixels(self) -> tuple[float, float]:
        """Mean and standard deviation of the training pixels, in 0 to 1."""
        step = max(1, BLOCK // math.prod(self.image_shape))
        blocks = (self.x_train[start : start + step] for start in range(0, len(self.x_train), step))
        counts = sum(np.bincount(block.reshape(-1), minlength=256) for block in blocks)
        values = np.arange(256) / 255
        mean = np.average(values, weights=counts)
        return float(mean), float(np.average((values - mean) ** 2, weights=counts) ** 0.5)

    @functools.cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each part, written as an IDX file."""
        return tuple(idx_digest(getattr(self, part)) for part in PARTS)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the whole content."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """Which images of `x_train` a run uses for what: three arrays of indices.

    Attributes:
        train: Images to train on.
        validation: Images to validate on: the last part, as Keras's `validation_split` takes it.
        probe: Those of `train` on which the units are observed after each epoch.
    """

    train: IndexArray
    validation: IndexArray
    probe: IndexArray


def fitted(config: RunConfig, dataset: Dataset) -> RunConfig:
    """Returns the settings of a run with what they take from the data set that it trains on."""
    pixels = dataset.pixels if config.input_scale == "standard" else None
    return RunConfig(
        **config.model_dump() | _taken(config, dataset) | {"pixels": pixels},
    )


def _taken(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Returns what the settings of a run say of its images."""
    members = dataset.members if config.tasks == "datasets" else ()
    return {"image_shape": dataset.image_shape, "classes": dataset.classes, "members": members}


def split(dataset: Dataset, config: RunConfig) -> Split:
    """Splits the training images as the run's settings say.

    Smaller training sets and probes are nested: each is a class-stratified prefix of one fixed
    order of the images that are not for validation.

    Raises:
        InputError: If the settings do not fit the data set's size.
    """
    wanted = _taken(config, dataset)
    found = {name: getattr(config, name) for name in wanted}
    if found != wanted:
        raise InputError(
            f"image_shape, classes and members must be those of {dataset.name}, "
            f"{join_words(map(str, wanted.values()))}, not {join_words(map(str, found.values()))}: "
            f"fitted(config, dataset) returns such settings."
        )
    images = len(dataset.x_train)
    boundary = math.floor(images * (1 - config.validation_split))
    if not 0 < boundary < images:
        raise InputError(
            f"validation_split must leave images to train on and to validate on: "
            f"{config.validation_split} of the {images:,} images of {dataset.name} does not."
        )
    size = config.train_size or boundary
    if size > boundary:
        raise InputError(
            f"train_size must be at most {boundary:,}, the images of {dataset.name} "
            f"that are not kept for validation, not {size:,}."
        )
    if config.batch_size > size:
        raise InputError(
            f"batch_size must be at most {size:,}, the number of training images "
            f"of {dataset.name}, not {config.batch_size:,}."
        )
    order = stratified_order(dataset.y_train[:boundary])
    train = np.arange(boundary) if size == boundary else np.sort(order[:size])
    if config.tasks in GROUPED:
        _check_groups(dataset, config, train, boundary)
    probe = size if config.probe_size == "all" else min(config.probe_size, size)
    return Split(train, np.arange(boundary, images), np.sort(order[:probe]))


def groups_of(config: RunConfig, labels: ByteArray) -> IndexArray:
    """Returns the group of classes of each label, from 0; a task shows some groups.

    A group is a class, or the classes of one of the data sets that were joined.
    """
    if config.tasks == "datasets":
        return np.searchsorted(np.cumsum(config.members), labels, side="right")
    return labels.astype(np.intp)


def fewest_of_a_group(config: RunConfig, labels: ByteArray) -> int:
    """Returns how many images the smallest group has: a task trains on as many of each group."""
    return int(_sizes(config, labels).min())


def _sizes(config: RunConfig, labels: ByteArray) -> IndexArray:
    groups = len(config.members) if config.tasks == "datasets" else config.classes
    return np.bincount(groups_of(config, labels), minlength=groups)


def _check_groups(dataset: Dataset, config: RunConfig, train: IndexArray, boundary: int) -> None:
    """Checks that the groups make tasks: any two classes, or each of the data sets."""
    if config.tasks == "datasets" and len(config.members) < 2:
        raise InputError(
            f"tasks must not be datasets for {dataset.name}, which is one data set: join two or "
            f"more by +, such as mnist-5k+digits."
        )
    one, shown, in_a_task = GROUPED[config.tasks]
    parts = {
        "to train on": dataset.y_train[train],
        "to validate on": dataset.y_train[boundary:],
        "to test on": dataset.y_test,
    }
    for what, labels in parts.items():
        if not fewest_of_a_group(config, labels):
            missing = int(_sizes(config, labels).argmin()) + (config.tasks == "datasets")
            raise InputError(
                f"tasks must not be {config.tasks} where a {one} has no images {what}: "
                f"{one} {missing} of {dataset.name} has none."
            )
    most = in_a_task * fewest_of_a_group(config, parts["to train on"])
    if config.batch_size > most:
        raise InputError(
            f"batch_size must be at most {most:,}, the training images of {shown} "
            f"of {dataset.name}, not {config.batch_size:,}."
        )


def converted(
    name: str, parts: Sequence[Any], called: Sequence[str] = PARTS
) -> tuple[list[ByteArray], list[str]]:
    """Returns the parts of a data set as bytes and class numbers, and what was converted.

    Args:
        name: The data set's name, for errors.
        parts: Images and labels for training, and then for testing, of any type.
        called: What the user calls the parts.

    Raises:
        InputError: If a part cannot be used.
    """
    parts = list(parts)
    notes: dict[str, None] = {}
    for index in range(0, len(parts), 2):
        images, labels = (f"{part} of {name}" for part in called[index : index + 2])
        parts[index], on_images = as_bytes(parts[index], images)
        count = len(parts[index])
        parts[index + 1], on_labels = as_classes(parts[index + 1], count, labels)
        notes |= dict.fromkeys(filter(None, (on_images, on_labels)))
    parts[1::2] = same_type(parts[1::2])
    return parts, list(notes)


def stratified_order(labels: ByteArray) -> IndexArray:
    """Returns a fixed random order; every prefix of it is stratified by class.

    Args:
        labels: Classes, uint8 or uint16 of shape (n,).

    Returns:
        A permutation of 0 to n - 1, read-only. The k-th of a class's n_c images is placed at
        (k + ½) / n_c.
    """
    return _order(labels.tobytes(), labels.dtype.str)


@functools.lru_cache(maxsize=8)
def _order(labels: bytes, kind: str) -> IndexArray:
    """Makes the order once for all runs that have the same labels; nobody can change it."""
    classes = np.frombuffer(labels, kind)
    shuffled = np.random.default_rng(STRATIFY_SEED).permutation(len(classes))
    place = np.empty(len(classes))
    for label in np.unique(classes):
        members = shuffled[classes[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffled[np.argsort(place[shuffled], kind="stable")]
    order.flags.writeable = False
    return order


def idx_digest(array: ByteArray) -> str:
    """Returns the SHA-256 of an array, written as an IDX file: header and content.

    An IDX file holds bytes (type 8) or, for uint16, big-endian numbers of two bytes (type 11).
    """
    kind, stored = (8, np.uint8) if array.dtype.itemsize == 1 else (11, ">u2")
    header = bytes((0, 0, kind, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(array, stored).data)
    return digest.hexdigest()

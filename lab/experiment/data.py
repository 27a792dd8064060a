"""Datasets of images in classes, and how a run splits them."""

import functools
import hashlib
import math
import reprlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError
from lab.experiment.config import MOST_CLASSES, MOST_PIXELS, RunConfig

ByteArray = NDArray[np.uint8]
IndexArray = NDArray[np.intp]
PARTS = ("x_train", "y_train", "x_test", "y_test")
STRATIFY_SEED = 0


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training and testing.

    Attributes:
        name: Its name in every table and on every figure.
        x_train: Training images, uint8 of shape (n, height, width) or (n, height, width,
            channels), 0 to 255.
        y_train: Their classes, from 0, uint8 of shape (n,); uint16 where there are over 256.
        x_test: Test images, as `x_train`.
        y_test: Their classes, as `y_train`.
        source: Where the images were found.
    """

    name: str
    x_train: ByteArray = field(repr=False)
    y_train: ByteArray = field(repr=False)
    x_test: ByteArray = field(repr=False)
    y_test: ByteArray = field(repr=False)
    source: str = "made by hand"

    def __post_init__(self) -> None:
        """Checks types and shapes.

        Raises:
            InputError: If a part is not as described above.
        """
        named = isinstance(self.name, str) and self.name.isprintable()
        if not (named and 0 < len(self.name) <= 200):
            raise InputError(
                f"A dataset's name must be 1 to 200 printable characters, "
                f"not {reprlib.repr(self.name)}."
            )
        for part in PARTS:
            if not isinstance(getattr(self, part), np.ndarray):
                raise InputError(
                    f"{part} of {self.name} must be a NumPy array, "
                    f"not a {type(getattr(self, part)).__name__}."
                )
        for images, labels in ((self.x_train, self.y_train), (self.x_test, self.y_test)):
            if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
                raise InputError(
                    f"Images of {self.name} must be uint8 of shape (n, height, width) or "
                    f"(n, height, width, channels), not {images.dtype} of shape {images.shape}."
                )
            if max(images.shape[1:]) > MOST_PIXELS:
                raise InputError(
                    f"Images of {self.name} must be at most {MOST_PIXELS:,} pixels a side, "
                    f"not {images.shape[1:]}."
                )
            if labels.dtype not in (np.uint8, np.uint16) or labels.shape != images.shape[:1]:
                raise InputError(
                    f"Labels of {self.name} must be uint8 of shape ({len(images)},), "
                    f"not {labels.dtype} of shape {labels.shape}."
                )
            if labels.max() >= MOST_CLASSES:
                raise InputError(
                    f"Labels of {self.name} must be below {MOST_CLASSES:,}, not {labels.max()}."
                )
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise InputError(
                f"Images of {self.name} must be of one shape, for training and for testing, "
                f"not {self.x_train.shape[1:]} and {self.x_test.shape[1:]}."
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height and width of an image, and its channels if it has any."""
        return self.x_train.shape[1:]

    @functools.cached_property
    def classes(self) -> int:
        """How many classes there are: the largest label and one, at least 2."""
        return max(2, int(max(self.y_train.max(), self.y_test.max())) + 1)

    @functools.cached_property
    def pixels(self) -> tuple[float, float]:
        """Mean and standard deviation of the training pixels, in 0 to 1."""
        blocks = (self.x_train[start : start + 1000] for start in range(0, len(self.x_train), 1000))
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
        **config.model_dump()
        | {
            "image_shape": dataset.image_shape,
            "classes": dataset.classes,
            "pixels": pixels,
        }
    )


def split(dataset: Dataset, config: RunConfig) -> Split:
    """Splits the training images as the run's settings say.

    Smaller training sets and probes are nested: each is a class-stratified prefix of one fixed
    order of the images that are not for validation.

    Raises:
        InputError: If the settings do not fit the dataset's size.
    """
    if (config.image_shape, config.classes) != (dataset.image_shape, dataset.classes):
        raise InputError(
            f"image_shape and classes must be those of {dataset.name}, {dataset.image_shape} and "
            f"{dataset.classes}, not {config.image_shape} and {config.classes}: "
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
    probe = size if config.probe_size == "all" else min(config.probe_size, size)
    return Split(train, np.arange(boundary, images), np.sort(order[:probe]))


def stratified_order(labels: ByteArray) -> IndexArray:
    """Returns a fixed random order; every prefix of it is stratified by class.

    Args:
        labels: Classes, uint8 of shape (n,).

    Returns:
        A permutation of 0 to n - 1, read-only. The k-th of a class's n_c images is placed at
        (k + ½) / n_c.
    """
    return _order(labels.tobytes())


@functools.lru_cache(maxsize=8)
def _order(labels: bytes) -> IndexArray:
    """Makes the order once for all runs that have the same labels; nobody can change it."""
    classes = np.frombuffer(labels, np.uint8)
    shuffled = np.random.default_rng(STRATIFY_SEED).permutation(len(classes))
    place = np.empty(len(classes))
    for label in np.unique(classes):
        members = shuffled[classes[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffled[np.argsort(place[shuffled], kind="stable")]
    order.flags.writeable = False
    return order


def idx_digest(array: ByteArray) -> str:
    """Returns the SHA-256 of an array of bytes, written as an IDX file: header and content."""
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

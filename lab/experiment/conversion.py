"""Checks images and labels of any type, and converts them to bytes and class numbers.

Nothing here copies more than a block of images as floats.
"""

import math
import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError
from lab.experiment.config import MOST_CLASSES, MOST_PIXELS

FEWEST_PIXELS = 4
BLOCK = 2**20  # Values that are converted at a time.
FROM_FLOATS = "pixels from 0 to 1 are rounded to 8 bits, 0 to 255"
FROM_BOOLEANS = "pixels that are true or false become 255 or 0"
FROM_ONE_HOT = "one-hot labels become class numbers"

Values = NDArray[Any]


def as_bytes(images: Any, what: str) -> tuple[NDArray[np.uint8], str]:
    """Returns images as uint8, 0 to 255, and what was done in words; empty if nothing was lost.

    Args:
        images: Whole numbers from 0 to 255, floats from 0 to 1, or booleans, of shape (n, height,
            width) or (n, height, width, channels).
        what: What to call them in an error, such as `x_train of mine`.

    Raises:
        InputError: If they are anything else.
    """
    _check_array(images, what)
    kind = images.dtype.kind
    if kind not in "buif":
        raise InputError(
            f"{what} must be uint8, or floats from 0 to 1, not {images.dtype}: make all images "
            f"arrays of numbers, of one size."
        )
    _check_shape(images, what)
    if kind == "b":
        return images.astype(np.uint8) * np.uint8(255), FROM_BOOLEANS
    if kind == "f":
        return _rounded(images, what), FROM_FLOATS
    _check_range(images, what, 255)
    return images.astype(np.uint8, copy=False), ""


def as_classes(labels: Any, images: int, what: str) -> tuple[Values, str]:
    """Returns labels as whole numbers from 0, of shape (n,), and what was done in words.

    Args:
        labels: Whole numbers of shape (n,) or (n, 1), or one-hot rows of shape (n, classes).
        images: How many there must be.
        what: What to call them in an error, such as `y_train of mine`.

    Raises:
        InputError: If they are anything else.
    """
    _check_array(labels, what)
    if labels.dtype.kind not in "buif":
        example = (
            f", such as {reprlib.repr(labels.reshape(-1)[:1].tolist()[0])}" if labels.size else ""
        )
        raise InputError(
            f"{what} must be whole numbers from 0, not {labels.dtype}{example}: number the "
            f"classes, such as by np.unique(labels, return_inverse=True)."
        )
    if labels.ndim not in (1, 2) or len(labels) != images:
        raise InputError(
            f"{what} must be of shape ({images},), a class for each image, or one-hot of shape "
            f"({images}, classes), not {labels.dtype} of shape {labels.shape}."
        )
    if labels.ndim == 2 and labels.shape[1] != 1:
        return _from_one_hot(labels, what), FROM_ONE_HOT
    labels = labels.reshape(-1)
    _check_whole(labels, what)
    return labels, ""


def same_type(labels: list[Values]) -> list[Values]:
    """Returns labels as uint8, or all as uint16 if there are over 256 classes."""
    most = max(int(some.max()) for some in labels)
    return [some.astype(np.uint8 if most < 256 else np.uint16, copy=False) for some in labels]


def _check_array(values: Any, what: str) -> None:
    if not isinstance(values, np.ndarray):
        raise InputError(
            f"{what} must be a NumPy array, not a {type(values).__name__}: np.asarray makes one."
        )


def _check_shape(images: Values, what: str) -> None:
    shape = images.shape
    fits = images.ndim in (3, 4) and images.size
    if not (fits and min(shape[1:3]) >= FEWEST_PIXELS and max(shape[1:]) <= MOST_PIXELS):
        raise InputError(
            f"{what} must be of shape (n, height, width) or (n, height, width, channels), with "
            f"{FEWEST_PIXELS} to {MOST_PIXELS:,} pixels a side, not {images.dtype} of shape "
            f"{shape}{_advice(shape)}."
        )


def _advice(shape: tuple[int, ...]) -> str:
    """Says what to do about some common shapes."""
    if len(shape) == 2:
        return ": give each image its height and width, as x.reshape(-1, height, width) does"
    if len(shape) == 4 and shape[1] < FEWEST_PIXELS <= min(shape[2:]):
        return ": the channels come last, as np.moveaxis(x, 1, -1) puts them"
    return ""


def _check_range(values: Values, what: str, most: int) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > most:
        raise InputError(
            f"{what} must be whole numbers from 0 to {most:,}, or floats from 0 to 1, "
            f"not {low:,} to {high:,}: bring them into these limits first."
        )


def _rounded(images: Values, what: str) -> NDArray[np.uint8]:
    low, high = np.float32(images.min()), np.float32(images.max())
    if not (low >= 0 and high <= 1):
        raise InputError(_not_from_0_to_1(images, low, high, what))
    rounded = np.empty(images.shape, np.uint8)
    step = max(1, BLOCK // math.prod(images.shape[1:]))
    for first in range(0, len(images), step):
        block = images[first : first + step].astype(np.float32, copy=False)
        rounded[first : first + step] = np.rint(block * np.float32(255))
    return rounded


def _not_from_0_to_1(images: Values, low: np.float32, high: np.float32, what: str) -> str:
    if np.isnan(low):
        first = next(number for number, image in enumerate(images) if np.isnan(image).any())
        return f"{what} must hold no NaN, as image {first} does: replace it by a number first."
    advice = (
        "bring them into these limits"
        if low < 0
        else "divide them by the largest possible value, such as 255,"
    )
    return (
        f"{what} must be floats from 0 to 1, or uint8 from 0 to 255, not floats from {low:g} to "
        f"{high:g}: {advice} first."
    )


def _from_one_hot(labels: Values, what: str) -> Values:
    hot = labels != 0
    if not ((np.count_nonzero(hot, axis=1) == 1).all() and (labels[hot] == 1).all()):
        raise InputError(
            f"{what} must have a single 1 in each row where they are one-hot, and else 0, as "
            f"shape {labels.shape} says: give one class for each image."
        )
    classes: Values = hot.argmax(axis=1)
    return classes


def _check_whole(labels: Values, what: str) -> None:
    low, high = labels.min(), labels.max()
    whole = labels.dtype.kind != "f" or (np.isfinite((low, high)).all() and (labels % 1 == 0).all())
    if not whole or low < 0 or high >= MOST_CLASSES:
        found = f"from {low} to {high}" if whole else "fractions, NaN or infinity"
        raise InputError(
            f"{what} must be whole numbers from 0 to below {MOST_CLASSES:,}, not {found}: "
            f"number the classes from 0."
        )

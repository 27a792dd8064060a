"""CIFAR-10 in the files in which its authors publish it and Keras keeps it (Krizhevsky 2009)."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError

FOLDER = "cifar-10-batches-py"
KERAS_FOLDER = f"{FOLDER}-target"
# MD5 of each file, as torchvision publishes them.
TRAINING = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST = {"test_batch": "40351d587109b95175f43aff81a1287e"}
MOST_BYTES = 32 * 10**6  # Each file has some 31 million.
Values = NDArray[Any]


def read_batches(folder: Path) -> tuple[Values, ...] | None:
    """Reads the files in a folder; None if one of them is not there.

    Raises:
        InputError: If a file's content is not the published one.
    """
    if not all(os.path.isfile(folder / name) for name in (*TRAINING, *TEST)):
        return None
    return *_joined(folder, TRAINING), *_joined(folder, TEST)


def _joined(folder: Path, files: dict[str, str]) -> tuple[Values, Values]:
    batches = [_batch(folder / name, md5) for name, md5 in files.items()]
    images = np.concatenate([batch[b"data"] for batch in batches])
    labels = np.concatenate([batch[b"labels"] for batch in batches])
    # A row holds 1,024 red values, then the green, then the blue ones.
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def _batch(path: Path, md5: str) -> dict[bytes, Any]:
    """Unpickles a file, which could run code were its content not known to the last byte."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise InputError(
            f"{path} does not hold CIFAR-10: expected MD5 {md5}, found {found}. Remove its folder, "
            f"and it is downloaded again."
        )
    batch: dict[bytes, Any] = pickle.loads(content, encoding="bytes")  # noqa: S301
    return batch

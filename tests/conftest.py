"""What the tests share: a small data set made by hand, and folders of their own."""

from pathlib import Path

import numpy as np
import pytest

from lab import Dataset


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a test's runs and caches out of the user's folders."""
    monkeypatch.setenv("LAB_STORE", str(tmp_path_factory.mktemp("store") / "runs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_cache(tmp_path_factory)))


def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """300 training and 100 test images: a bright 7 x 7 patch, its place set by the class."""
    return make_dataset(300, 100)


def make_dataset(train: int, test: int) -> Dataset:
    rng = np.random.default_rng(7)
    labels = rng.permutation(np.arange(train + test) % 10).astype(np.uint8)
    images = rng.integers(0, 60, (train + test, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[7 * row : 7 * row + 7, 7 * column : 7 * column + 7] += 150
    return Dataset("tiny", images[:train], labels[:train], images[train:], labels[train:])

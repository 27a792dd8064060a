"""CIFAR-10 as Keras keeps it: small files made by hand in the published form."""

import hashlib
import pickle

import numpy as np
import pytest

from lab.errors import InputError
from lab.experiment import cifar


def batch(seed: int, images: int = 4) -> dict:
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (images, 3072), np.uint8)
    return {b"data": data, b"labels": rng.integers(0, 10, images).tolist(), b"batch_label": b"x"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six files of a few images, which take the place of the published ones."""
    for number, files in enumerate((cifar.TRAINING, cifar.TEST)):
        for place, name in enumerate(files):
            content = pickle.dumps(batch(10 * number + place), protocol=2)
            (tmp_path / name).write_bytes(content)
            monkeypatch.setitem(files, name, hashlib.md5(content).hexdigest())
    return tmp_path


def test_rows_of_red_green_and_blue_become_images_in_the_order_of_the_files(folder):
    x_train, y_train, x_test, y_test = cifar.read_batches(folder)
    assert (x_train.shape, x_test.shape) == ((20, 32, 32, 3), (4, 32, 32, 3))
    assert y_train.tolist() == [label for seed in range(5) for label in batch(seed)[b"labels"]]
    assert y_test.tolist() == batch(10)[b"labels"]
    row = batch(2)[b"data"][1]
    assert x_train[9][3, 7].tolist() == [row[32 * 3 + 7 + 1024 * colour] for colour in range(3)]
    np.testing.assert_array_equal(x_test[0][..., 1].reshape(-1), batch(10)[b"data"][0][1024:2048])


def test_without_one_of_the_files_there_is_no_data_set(folder, tmp_path):
    (folder / "data_batch_3").unlink()
    assert cifar.read_batches(folder) is None
    assert cifar.read_batches(tmp_path / "elsewhere") is None


def test_another_content_is_refused_before_it_is_unpickled(folder, monkeypatch):
    class Evil:
        def __reduce__(self):
            return pytest.fail, ("code of the file ran",)

    expected = cifar.TEST["test_batch"]
    (folder / "test_batch").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError) as refused:
        cifar.read_batches(folder)
    assert str(refused.value).startswith(
        f"{folder / 'test_batch'} does not hold CIFAR-10: expected MD5 {expected}, found "
    )


def test_a_file_that_is_too_long_is_not_read_whole(folder, monkeypatch):
    monkeypatch.setattr(cifar, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="data_batch_1 does not hold CIFAR-10"):
        cifar.read_batches(folder)


def test_the_published_files_are_known_by_their_md5():
    assert len({*cifar.TRAINING.values(), *cifar.TEST.values()}) == 6
    assert all(len(md5) == 32 for md5 in (*cifar.TRAINING.values(), *cifar.TEST.values()))

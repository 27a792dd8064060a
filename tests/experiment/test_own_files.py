"""A user's own archive or folder: what is read of it, how it is divided, what is refused."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_sources import coloured, same, write_npz

from lab import Dataset, load_dataset
from lab.errors import DatasetMissingError, InputError
from lab.experiment import own_files
from lab.experiment.own_files import SHUFFLED, is_path, load

MEDMNIST = dict(
    zip(coloured(), ("train_images", "train_labels", "test_images", "test_labels"), strict=True)
)
DIVIDED = (
    "divided by chance, by class and always in the same way, into {} images to train on and "
    "{} to test"
)


@pytest.fixture
def one_set():
    """50 images, told apart by their first pixel, sorted by class: 30, 15 and 5."""
    images = np.zeros((50, 6, 4), np.uint8)
    images[:, 0, 0] = np.arange(50)
    return images, np.repeat([0, 1, 2], [30, 15, 5])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", False), ("my", False), ("my.v2", False), (3, False), (None, False),
        ("my.npz", True), ("./my", True), ("a/b", True), (".", True), ("..", True), ("~", True),
        (Path("my"), True), ("s3://bucket/my", True), ("", False),
    ],
)  # fmt: skip
def test_a_path_is_no_name(name, expected):
    assert is_path(name) == expected


# Archives


@pytest.mark.parametrize("names", [dict(zip(coloured(), coloured(), strict=True)), MEDMNIST])
def test_four_parts_are_taken_as_they_are(tmp_path, names, recwarn):
    arrays = {names[part]: array for part, array in coloured().items()}
    found = load(write_npz(tmp_path / "my.npz", arrays | {"extra": np.zeros(3)}))
    assert same(found, coloured())
    assert (found.name, found.source, found.classes) == ("my", str(tmp_path / "my.npz"), 3)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("names", [("images", "labels"), ("y", "x"), ("arr_0", "arr_1")])
def test_images_and_labels_alone_are_divided_by_class_always_in_the_same_way(
    tmp_path, one_set, names
):
    path = write_npz(tmp_path / "my.npz", dict(zip(names, one_set, strict=True)))
    with pytest.warns(UserWarning, match="my") as warned:
        found = load_dataset(path)
    assert [str(warning.message) for warning in warned] == [f"my: {DIVIDED.format(40, 10)}."]
    assert warned[0].filename == __file__
    assert np.bincount(found.y_train).tolist() == [24, 12, 4]
    assert np.bincount(found.y_test).tolist() == [6, 3, 1]
    seen = np.concatenate([found.x_train, found.x_test])[:, 0, 0]
    assert sorted(seen) == list(range(50))
    assert one_set[1][seen].tolist() == [*found.y_train, *found.y_test]
    assert np.bincount(found.y_train[32:]).tolist() == [5, 2, 1]  # What is kept for validation.
    with pytest.warns(UserWarning, match="my"):
        assert load(path).digest == found.digest


def test_a_training_set_sorted_by_class_is_shuffled_and_one_that_is_not_is_left(tmp_path, one_set):
    images, labels = one_set
    parts = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    with pytest.warns(UserWarning, match="my") as warned:
        found = load(write_npz(tmp_path / "my.npz", parts))
    assert str(warned[0].message) == f"my: {SHUFFLED}."
    assert same(found, {"x_test": images, "y_test": labels})
    assert labels[found.x_train[:, 0, 0]].tolist() == found.y_train.tolist()
    assert set(found.y_train[40:]) == {0, 1, 2}
    parts |= {"x_train": images[::7], "y_train": labels[::7], "y_test": labels % 2}
    parts["y_train"] = parts["y_train"][[0, 7, 1, 6, 2, 5, 3, 4]]
    assert same(load(write_npz(tmp_path / "my.npz", parts)), {"y_train": parts["y_train"]})


def test_all_that_was_done_is_said_in_one_line(tmp_path, one_set):
    images, labels = one_set
    arrays = {"images": images / 255, "labels": np.eye(3)[labels]}
    with pytest.warns(UserWarning, match="my") as warned:
        load(write_npz(tmp_path / "my.npz", arrays))
    assert [str(warning.message) for warning in warned] == [
        f"my: pixels from 0 to 1 are rounded to 8 bits, 0 to 255; one-hot labels become class "
        f"numbers; {DIVIDED.format(40, 10)}."
    ]


def test_what_is_not_there_is_said_with_what_can_be_named(tmp_path):
    with pytest.raises(DatasetMissingError) as missing:
        load(tmp_path / "my.npz")
    assert str(missing.value) == (
        f"There is no file or folder {tmp_path / 'my.npz'}. Name an .npz file, or a folder with a "
        f"folder of PNG or JPEG images for each class."
    )


def test_another_kind_of_file_is_refused_with_how_to_make_one(tmp_path):
    (tmp_path / "my.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"my\.csv must be an \.npz file or a folder: np\.savez"):
        load(tmp_path / "my.csv")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(3)}, "not 'a': give its arrays these names."),
        ({"a": np.zeros(3), "b": np.zeros(3), "c": np.zeros(3)}, "not 'a', 'b' and 'c': give"),
        ({}, "not nothing: give"),
    ],
)
def test_an_archive_of_other_arrays_is_refused_with_their_names(tmp_path, arrays, words):
    with pytest.raises(InputError) as refused:
        load(write_npz(tmp_path / "my.npz", arrays))
    assert str(refused.value).startswith(
        f"{tmp_path / 'my.npz'} must hold x_train, y_train, x_test and y_test, or two arrays, "
        f"images and labels, {words}"
    )


def test_text_and_objects_in_an_archive_are_one_sentence(tmp_path):
    images, cats = np.zeros((3, 4, 4), np.uint8), np.array(["cat", "dog", "cat"])
    path = write_npz(tmp_path / "my.npz", {"images": images, "labels": cats})
    with pytest.raises(InputError, match=r"^labels of my must be whole numbers from 0, not <U3"):
        load(path)
    np.savez(path, images=images, labels=cats.astype(object), allow_pickle=True)
    with pytest.raises(InputError, match=r"my\.npz is broken: .*allow_pickle=False"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\3\4"])
def test_a_damaged_archive_is_one_sentence(tmp_path, content):
    (tmp_path / "my.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"my\.npz is broken: expected .* or remove the file\.$"):
        load(tmp_path / "my.npz")


def test_an_archive_that_would_fill_the_memory_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(own_files, "MOST_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "my.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(10**6 + 1))
    with pytest.raises(InputError, match=r"is broken: .*it unpacks to more than 1,000,000 bytes"):
        load(tmp_path / "my.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "my.npz")
    with pytest.raises(InputError, match="it is not a plain file"):
        load(tmp_path / "my.npz")


# Folders


def test_a_folder_is_one_set_divided_or_what_train_and_test_hold(tmp_path):
    for part, count in (("train", 8), ("test", 4)):
        for name, grey in (("cats", 10), ("dogs", 200)):
            folder = tmp_path / "pets" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = np.full((5, 4), grey + number, np.uint8)
                Image.fromarray(image).save(folder / f"{number}.png")
    with pytest.warns(UserWarning, match="pets") as warned:
        both = load(tmp_path / "pets")
    assert str(warned[0].message) == f"pets: {SHUFFLED}."
    assert (both.name, both.class_names, both.image_shape) == ("pets", ("cats", "dogs"), (5, 4))
    assert both.y_test.tolist() == [0] * 4 + [1] * 4
    assert both.x_test[:, 0, 0].tolist() == [10, 11, 12, 13, 200, 201, 202, 203]
    assert ((both.x_train[:, 0, 0] >= 200) == both.y_train).all()
    assert set(both.y_train[-3:]) == {0, 1}
    with pytest.warns(UserWarning, match="train") as warned:
        one = load(tmp_path / "pets" / "train")
    assert str(warned[0].message) == f"train: {DIVIDED.format(12, 4)}."
    assert ((one.x_train[:, 0, 0] >= 200) == one.y_train).all()
    assert isinstance(one, Dataset)
    with pytest.warns(UserWarning, match="pets"):
        assert load_dataset(str(tmp_path / "pets") + "/").name == "pets"

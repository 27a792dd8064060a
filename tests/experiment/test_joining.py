"""Data sets joined into one: its labels, its order and its sizes, by hand."""

import re

import numpy as np
import pytest

from lab import Dataset, RunConfig, join_datasets
from lab.errors import InputError
from lab.experiment import fitted, split


def numbered(name: str, classes: int, train: int, shape=(4, 4), first=0, **more) -> Dataset:
    """Images whose every pixel is their number; labels in turn."""
    x = np.broadcast_to(
        (first + np.arange(train, dtype=np.uint8)).reshape(-1, *[1] * len(shape)), (train, *shape)
    )
    y = np.arange(train) % classes
    return Dataset(name, x, y, x[: train // 2], y[: train // 2], **more)


def corner(images: np.ndarray) -> list[int]:
    return images.reshape(len(images), -1)[:, 0].tolist()


def test_labels_of_the_second_are_moved_up_and_images_are_mixed_evenly(recwarn):
    one, two = numbered("one", 2, 4), numbered("two", 3, 8, first=100)
    both = join_datasets([one, two])
    assert (both.name, both.members, both.classes) == ("one+two", (2, 3), 5)
    assert corner(both.x_train) == [100, 0, 101, 102, 1, 103, 104, 2, 105, 106, 3, 107]
    assert both.y_train.tolist() == [2, 0, 3, 4, 1, 2, 3, 0, 4, 2, 1, 3]
    assert corner(both.x_test) == [100, 0, 101, 102, 1, 103]
    assert both.y_test.tolist() == [2, 0, 3, 4, 1, 2]
    assert not recwarn.list


def test_validation_has_its_share_of_each():
    both = join_datasets([numbered("one", 2, 20), numbered("two", 3, 40, first=100)])
    config = fitted(RunConfig(tasks="datasets", batch_size=2), both)
    pixels = both.x_train[split(both, config).validation]
    assert sorted(corner(pixels)) == [*range(16, 20), *range(132, 140)]


def test_the_content_alone_is_its_identity():
    one, two = numbered("one", 2, 4), numbered("two", 3, 8)
    both = join_datasets([one, two])
    arrays = (both.x_train, both.y_train, both.x_test, both.y_test)
    assert both.digest == Dataset("by hand", *arrays).digest
    assert both.digest != join_datasets([two, one]).digest


def test_smaller_images_are_enlarged_by_a_whole_number_and_get_a_black_rim():
    small = Dataset(
        "small", np.arange(1, 33, dtype=np.uint8).reshape(2, 4, 4), np.array([0, 1]),
        np.full((2, 4, 4), 9, np.uint8), np.array([1, 0]),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="enlarged") as said:
        both = join_datasets([numbered("large", 2, 2, (9, 14)), small])
    assert str(said[0].message) == (
        "large+small: images of small enlarged to 9 × 14 pixels, with a black rim."
    )
    image = next(
        image for image, label in zip(both.x_train, both.y_train, strict=True) if label == 2
    )
    by_hand = np.zeros((9, 14), int)
    for row in range(8):
        for column in range(8):
            by_hand[row, 3 + column] = 1 + 4 * (row // 2) + column // 2
    assert image.tolist() == by_hand.tolist()


def test_coloured_images_are_enlarged_with_their_channels():
    small = numbered("small", 2, 4, (4, 4, 3), first=50)
    with pytest.warns(UserWarning, match="images of small enlarged"):
        both = join_datasets([numbered("large", 2, 4, (8, 8, 3)), small])
    assert both.x_train[both.y_train > 1].tolist() == np.repeat(
        np.arange(50, 54), 8 * 8 * 3
    ).reshape(4, 8, 8, 3).tolist()  # fmt: skip


def test_classes_without_a_name_are_called_by_their_number_and_data_set():
    named = numbered("pets", 2, 4, class_names=("cat", "dog", "never seen"))
    both = join_datasets([numbered("one", 2, 4), named])
    assert both.class_names == ("0 of one", "1 of one", "cat", "dog")


def test_what_was_joined_is_not_joined_again():
    """It would have the name of the three joined in one go, and another order."""
    one, two, three = (numbered(name, n, 12) for name, n in (("a", 2), ("b", 3), ("c", 4)))
    with pytest.raises(
        InputError, match=r"a\+b is joined already: join its members and the others"
    ):
        join_datasets([join_datasets([one, two]), three])


def test_what_is_no_loaded_data_set_is_refused():
    with pytest.raises(InputError, match=r"must be loaded ones, not 'mnist-5k': lab\.load_dataset"):
        join_datasets(["mnist-5k", "digits"])
    with pytest.raises(InputError, match="2 to 10 data sets can be joined, not 1"):
        join_datasets(numbered("a", 2, 12))


def test_over_256_classes_together_are_split_and_observed():
    both = join_datasets([numbered("a", 200, 200), numbered("b", 200, 200)])
    config = fitted(RunConfig(tasks="datasets", batch_size=2, probe_size=90), both)
    parts = split(both, config)
    assert both.y_train.dtype == np.uint16
    assert len(parts.probe) == 90
    assert set(parts.probe) <= set(parts.train)


@pytest.mark.parametrize("number", [0, 1, 11])
def test_too_few_and_too_many_are_refused(number):
    sentence = f"2 to 10 data sets can be joined, not {number}."
    with pytest.raises(InputError, match=re.escape(sentence)):
        join_datasets([numbered("a", 2, 4)] * number)


def test_grey_and_coloured_images_are_refused():
    sentence = (
        "Data sets that are joined must all be grey or all have as many channels, not grey (4, 4), "
        "coloured (4, 4, 3): join others."
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        join_datasets([numbered("grey", 2, 4), numbered("coloured", 2, 4, (4, 4, 3))])


def test_members_that_do_not_add_up_are_refused(tiny):
    arrays = (tiny.x_train, tiny.y_train, tiny.x_test, tiny.y_test)
    with pytest.raises(InputError, match=r"members of mine must add up to its 10 classes, not be"):
        Dataset("mine", *arrays, members=(4, 5))
    assert Dataset("mine", *arrays, members=(4, 7)).classes == 11

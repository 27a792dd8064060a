"""Images and labels as people have them: what becomes of them, and what is refused."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.experiment.conversion import (
    BLOCK,
    FROM_BOOLEANS,
    FROM_FLOATS,
    FROM_ONE_HOT,
    as_bytes,
    as_classes,
    same_type,
)

GREY = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)


def filled(values, shape=(2, 4, 5), kind=None):
    return np.resize(np.asarray(values, kind), shape)


# Images


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_floats_become_the_nearest_byte(values):
    found, note = as_bytes(filled(values), "x")
    assert note == FROM_FLOATS
    off = found.astype(float) - 255 * filled(values)
    assert (np.abs(off) <= 0.5 + 1e-4).all()


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_a_float_that_is_a_byte_over_255_becomes_that_byte(kind):
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    found, _ = as_bytes((every / 255).astype(kind), "x")
    np.testing.assert_array_equal(found, every)


def test_true_is_white_and_false_is_black():
    found, note = as_bytes(filled([True, False]), "x")
    assert (sorted(set(found.flat)), note) == ([0, 255], FROM_BOOLEANS)


@pytest.mark.parametrize("kind", ["u1", "i2", ">u2", "i8", "u8"])
def test_whole_numbers_up_to_255_stay_what_they_are(kind):
    found, note = as_bytes(GREY.astype(kind), "x")
    np.testing.assert_array_equal(found, GREY)
    assert (found.dtype, note) == (np.uint8, "")


def test_images_become_bytes_block_by_block():
    images = np.full((40, 512, 512), 0.5, np.float64)
    tracemalloc.start()
    found, _ = as_bytes(images, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < found.nbytes + 5 * 4 * BLOCK < images.nbytes + found.nbytes
    assert (found == 128).all()


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([[0, 1]], "x must be a NumPy array, not a list: np.asarray makes one."),
        (
            filled(0.0, kind="f4") - 0.5,
            "not floats from -0.5 to -0.5: bring them into these limits first.",
        ),
        (
            filled([0.0, 255.0]),
            "x must be floats from 0 to 1, or uint8 from 0 to 255, not floats from 0 to 255: "
            "divide them by the largest possible value, such as 255, first.",
        ),
        (filled([0.0, 1.5]), "not floats from 0 to 1.5: divide them by"),
        (filled([0.0, np.inf]), "not floats from 0 to inf: "),
        (
            filled([-1, 300]),
            "x must be whole numbers from 0 to 255, or floats from 0 to 1, not -1 to 300: "
            "bring them into these limits first.",
        ),
        (filled([1j]), "x must be uint8, or floats from 0 to 1, not complex128: "),
        (filled(["a"]), "x must be uint8, or floats from 0 to 1, not <U1: "),
        (
            np.array([GREY[0], GREY[1][:2]], object),
            "not object: make all images arrays of numbers, of one size.",
        ),
        (
            np.zeros((12, 784), np.uint8),
            "with 4 to 1,024 pixels a side, not uint8 of shape (12, 784): "
            "give each image its height and width, as x.reshape(-1, height, width) does.",
        ),
        (
            np.zeros((12, 3, 32, 32), np.uint8),
            "not uint8 of shape (12, 3, 32, 32): "
            "the channels come last, as np.moveaxis(x, 1, -1) puts them.",
        ),
        (np.zeros((2, 3, 4), np.uint8), "not uint8 of shape (2, 3, 4)."),
        (np.zeros((2, 4, 3), np.uint8), "not uint8 of shape (2, 4, 3)."),
        (np.zeros((1, 4, 1025), np.uint8), "not uint8 of shape (1, 4, 1025)."),
        (np.zeros((1, 4, 4, 1025), np.uint8), "not uint8 of shape (1, 4, 4, 1025)."),
        (np.zeros((0, 28, 28), np.uint8), "not uint8 of shape (0, 28, 28)."),
        (np.zeros((2, 4, 4, 0)), "not float64 of shape (2, 4, 4, 0)."),
        (np.uint8(7) * np.ones((), np.uint8), "must be a NumPy array, not a uint8"),
        (np.array(7, np.uint8), "not uint8 of shape ()."),
    ],
)
def test_images_that_cannot_be_used_are_refused(images, sentence):
    with pytest.raises(InputError) as refused:
        as_bytes(images, "x")
    assert str(refused.value).startswith("x must be ")
    assert sentence in str(refused.value)


def test_the_first_image_with_nan_is_named():
    images = np.full((5, 4, 4), 0.5)
    images[3, 2, 1] = np.nan
    with pytest.raises(InputError) as refused:
        as_bytes(images, "x_train of mine")
    assert str(refused.value) == (
        "x_train of mine must hold no NaN, as image 3 does: replace it by a number first."
    )


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 1024, 4), (1, 4, 1024), (2, 4, 4, 1024)])
def test_the_limits_are_taken(shape):
    assert as_bytes(np.zeros(shape, np.uint8), "x")[0].shape == shape


# Labels


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.sampled_from(["i1", "u2", ">i4", "f2", "f8", "column", "one-hot"]),
)
def test_labels_of_every_form_are_the_same_classes(classes, form):
    given = np.array(classes)
    if form == "column":
        given = given[:, None]
    elif form == "one-hot":
        given = np.eye(31, dtype=np.float32)[given]
    else:
        given = given.astype(form)
    found, note = as_classes(given, len(classes), "y")
    assert found.tolist() == classes
    assert note == (FROM_ONE_HOT if form == "one-hot" else "")


def test_booleans_are_two_classes():
    found, _ = as_classes(np.array([True, False]), 2, "y")
    assert same_type([found])[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1], "y must be a NumPy array, not a list: np.asarray makes one."),
        (
            np.array(["cat", "dog"]),
            "y must be whole numbers from 0, not <U3, such as 'cat': number the classes, "
            "such as by np.unique(labels, return_inverse=True).",
        ),
        (np.array([b"cat", b"dog"]), "y must be whole numbers from 0, not |S3, such as "),
        (np.array(["cat", 3], object), "y must be whole numbers from 0, not object, such as 'cat'"),
        (np.array([0, -1]), "from 0 to below 10,000, not from -1 to 0: number the classes from 0."),
        (np.array([0, 10_000]), "not from 0 to 10000: number the classes from 0."),
        (np.array([0.5, 1]), "not fractions, NaN or infinity: number the classes from 0."),
        (np.array([np.nan, 1]), "not fractions, NaN or infinity: number the classes from 0."),
        (np.array([np.inf, 1]), "not fractions, NaN or infinity: number the classes from 0."),
        (
            np.array([0, 1, 0]),
            "y must be of shape (2,), a class for each image, or one-hot of shape (2, classes), "
            "not int64 of shape (3,).",
        ),
        (np.array(1), "not int64 of shape ()."),
        (np.zeros((2, 3, 1), int), "not int64 of shape (2, 3, 1)."),
        (
            np.array([[1, 0], [1, 1]]),
            "y must have a single 1 in each row where they are one-hot, and else 0, as "
            "shape (2, 2) says: give one class for each image.",
        ),
        (np.array([[0.9, 0.1], [0, 1]]), "must have a single 1 in each row"),
        (np.array([[2, 0], [0, 1]]), "must have a single 1 in each row"),
        (np.array([[np.nan, 0], [0, 1]]), "must have a single 1 in each row"),
        (np.array([[0, 0], [0, 1]]), "must have a single 1 in each row"),
        (np.zeros((2, 0)), "must have a single 1 in each row"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels, sentence):
    with pytest.raises(InputError) as refused:
        as_classes(labels, 2, "y")
    assert sentence in str(refused.value)

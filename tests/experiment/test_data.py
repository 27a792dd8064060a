"""Datasets made by hand, and how a run splits a dataset."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_sources import PUBLISHED, sha256, small

from lab import Dataset, RunConfig
from lab.errors import InputError
from lab.experiment.data import idx_digest, split, stratified_order
from lab.system.machine import load_tensorflow


def test_a_datasets_digests_are_those_of_its_idx_files():
    parts = small()
    dataset = Dataset("mine", **parts)
    assert dataset.digests == tuple(sha256(array) for array in parts.values())
    assert dataset.digest == Dataset("yours", **small(), source="elsewhere").digest


@pytest.mark.parametrize("shape", [(3, 28, 28), (4,), (0, 28, 28), (2, 0)])
def test_a_digest_is_the_sha_256_of_header_and_bytes_in_order(shape):
    plain = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    header = bytes((0, 0, 8, len(shape))) + b"".join(n.to_bytes(4, "big") for n in shape)
    for array in (plain, np.asfortranarray(plain), plain[::-1]):
        assert idx_digest(array) == hashlib.sha256(header + array.tobytes()).hexdigest()


@pytest.mark.parametrize("part", list(PUBLISHED))
def test_one_changed_byte_changes_a_datasets_digest(part):
    parts = small()
    parts[part].flat[3] = (parts[part].flat[3] + 1) % 10
    assert Dataset("mine", **parts).digest != Dataset("mine", **small()).digest


@pytest.mark.parametrize(
    ("part", "value", "sentence"),
    [
        (
            "x_test",
            np.zeros((5, 27, 28), np.uint8),
            "for testing, not (28, 28) and (27, 28): give all one size first.",
        ),
        (
            "x_test",
            np.zeros((5, 28, 28, 1), np.uint8),
            "not (28, 28) and (28, 28, 1): give all one size first.",
        ),
        (
            "y_train",
            np.full(12, 3),
            "y_train of mine must hold at least 2 classes, not only class 3: "
            "add images of another class.",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(part, value, sentence):
    with pytest.raises(InputError) as refused:
        Dataset("mine", **small() | {part: value})
    assert str(refused.value).endswith(sentence)


@pytest.mark.parametrize("part", list(PUBLISHED))
def test_a_part_that_cannot_be_used_is_named(part):
    with pytest.raises(InputError, match=f"^{part} of mine must be .*number"):
        Dataset("mine", **small() | {part: np.array(["cat"] * 12)})


# What people have

SHAPES = st.tuples(st.integers(4, 9), st.integers(4, 9)) | st.tuples(
    st.integers(4, 9), st.integers(4, 9), st.integers(1, 4)
)
PIXELS = st.sampled_from(["u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f4", "f8", "g"])
LABEL_FORMS = st.sampled_from(
    ["u1", "i1", ">i2", "u4", "i8", "f4", "f8", "column", "one-hot f4", "one-hot ?", "one-hot i8"]
)


def as_people_have_them(images, labels, pixels, form, classes):
    images = (
        images / np.dtype(pixels).type(255) if pixels[-2:] in ("f2", "f4", "f8", "g") else images
    )
    if form.startswith("one-hot"):
        return images.astype(pixels), np.eye(classes)[labels].astype(form.split()[1])
    labels = labels[:, None].astype(np.int64) if form == "column" else labels.astype(form)
    return images.astype(pixels), labels


@pytest.mark.filterwarnings("ignore:mine")
@given(SHAPES, PIXELS, LABEL_FORMS, st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_equal_images_and_labels_have_one_digest_however_they_are_given(
    shape, pixels, form, classes, seed
):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2 * classes + 3, *shape), np.uint8)
    labels = (np.arange(2 * classes + 3) % classes).astype(np.uint8)
    cut = classes + 2
    plain = Dataset("plain", images[:cut], labels[:cut], images[cut:], labels[cut:])
    given_x, given_y = as_people_have_them(images, labels, pixels, form, classes)
    mine = Dataset("mine", given_x[:cut], given_y[:cut], given_x[cut:], given_y[cut:])
    assert mine.digest == plain.digest
    assert (mine.image_shape, mine.classes) == (shape, plain.classes)
    assert {getattr(mine, part).dtype for part in PUBLISHED} == {np.dtype(np.uint8)}


def test_what_is_converted_is_said_in_one_line_at_the_callers_line():
    parts = small()
    parts |= {"x_train": parts["x_train"] / 255, "x_test": parts["x_test"] / np.float32(255)}
    with pytest.warns(UserWarning, match="mine") as warned:
        Dataset("mine", **parts | {"y_test": np.eye(10)[parts["y_test"]]})
    [warning] = warned
    assert str(warning.message) == (
        "mine: pixels from 0 to 1 are rounded to 8 bits, 0 to 255; "
        "one-hot labels become class numbers."
    )
    assert warning.filename == __file__


@pytest.mark.parametrize("labels", ["u1", "u2", "i8", "f8"])
def test_what_loses_nothing_goes_without_saying(labels, recwarn):
    parts = small()
    parts |= {"x_train": parts["x_train"].astype(int), "y_test": parts["y_test"].astype(labels)}
    assert Dataset("mine", **parts).digest == Dataset("mine", **small()).digest
    assert [str(warning.message) for warning in recwarn] == []


def test_bytes_are_not_copied():
    parts = small()
    assert Dataset("mine", **parts).x_train is parts["x_train"]


def test_over_256_classes_take_two_bytes_for_training_and_testing():
    images = np.zeros((300, 4, 4), np.uint8)
    many = Dataset("many", images, np.arange(300), images[:5], np.arange(5))
    assert (many.classes, many.y_train.dtype, many.y_test.dtype) == (300, np.uint16, np.uint16)
    assert Dataset("many", images, np.arange(300) % 256, images[:5], np.arange(5)).classes == 256
    header = bytes((0, 0, 11, 1)) + (300).to_bytes(4, "big")
    content = b"".join(label.to_bytes(2, "big") for label in range(300))
    assert many.digests[1] == hashlib.sha256(header + content).hexdigest()


def test_class_names_name_every_class():
    parts = small() | {"y_train": np.arange(12) % 3, "y_test": np.array([2, 1, 0, 0, 0])}
    assert Dataset("mine", **parts, class_names=("a", "b", "c")).class_names[2] == "c"
    with pytest.raises(InputError) as refused:
        Dataset("mine", **parts, class_names=("a", "b"))
    assert str(refused.value) == (
        "class_names of mine must name all 3 classes, not 2 of them: leave them out, or complete "
        "them."
    )


def test_a_dataset_is_shown_without_its_pixels():
    assert repr(Dataset("mine", **small())) == "Dataset(name='mine', source='made by hand')"


# Order and split


LABELS = st.lists(st.integers(0, 9), min_size=1, max_size=300).map(
    lambda labels: np.array(labels, np.uint8)
)


@given(LABELS)
def test_every_prefix_is_stratified(labels):
    """The k-th of n_c images at (k + ½) / n_c gives n_c · t ± ½ images of class c up to place t.

    So a prefix of m images has m = N · t ± C/2, and is off by at most ½ + C/2 · n_c / N.
    """
    order = stratified_order(labels)
    assert sorted(order) == list(range(len(labels)))
    sizes = np.bincount(labels, minlength=10)
    share = sizes / len(labels)
    seen = np.cumsum(np.eye(10)[labels[order]], axis=0)
    expected = np.arange(1, len(labels) + 1)[:, None] * share
    assert (np.abs(seen - expected) <= 0.5 + np.count_nonzero(sizes) / 2 * share + 1e-9).all()


@given(st.integers(1, 10), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_prefix_of_equal_classes_is_within_one_image_of_its_share(classes, each, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), each))
    order = stratified_order(labels.astype(np.uint8))
    seen = np.cumsum(np.eye(classes)[labels[order]], axis=0)
    expected = np.arange(1, len(labels) + 1)[:, None] / classes
    assert (np.abs(seen - expected) < 1 + 1e-9).all()


def test_the_stratified_order_is_fixed_and_not_the_files_order():
    labels = np.arange(1000, dtype=np.uint8) % 10
    order = stratified_order(labels)
    assert order.tolist() == stratified_order(labels.copy()).tolist()
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.2
    first_of_each = order[:10]
    assert sorted(labels[first_of_each]) == list(range(10))


def test_the_order_is_made_once_for_all_runs_and_nobody_can_change_it(monkeypatch):
    dataset = blank(3000)
    dataset.y_train[:10] = dataset.y_train[9::-1]  # Labels that no other test has.
    first = split(dataset, RunConfig(seed=0, train_size=1000))
    monkeypatch.setattr(np.random, "default_rng", None)
    again = split(dataset, RunConfig(seed=1, activation="elu", train_size=1000))
    assert again.train.tolist() == first.train.tolist()
    assert again.probe.tolist() == first.probe.tolist()
    first.train[0] = 77  # A part is the caller's own.
    assert split(dataset, RunConfig(train_size=1000)).train.tolist() == again.train.tolist()
    with pytest.raises(ValueError, match="read-only"):
        stratified_order(dataset.y_train[:2400])[0] = 1


def test_labels_that_changed_in_place_have_an_order_of_their_own():
    labels = np.arange(100, dtype=np.uint8) % 10
    before = stratified_order(labels).tolist()
    labels[:] = labels // 5
    assert stratified_order(labels).tolist() != before


def blank(images: int) -> Dataset:
    """Images that take no memory."""
    x = np.broadcast_to(np.uint8(0), (images, 28, 28))
    y = (np.arange(images) % 10).astype(np.uint8)
    return Dataset("blank", x, y, x[:1], y[:1])


def test_the_last_fifth_is_for_validation_as_in_keras():
    parts = split(blank(60_000), RunConfig())
    assert parts.train.tolist() == list(range(48_000))
    assert parts.validation.tolist() == list(range(48_000, 60_000))


@pytest.mark.parametrize(
    ("images", "share", "boundary"),
    [(10_000, 0.1, 9000), (1001, 0.2, 800), (999, 0.5, 499), (1000, 0.3, 700), (1000, 0.9, 99)],
)
def test_the_boundary_is_keras_own(images, share, boundary):
    """Keras takes floor(n · (1 - split)); 1 - 0.9 is a little below 0.1."""
    load_tensorflow()
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    parts = split(blank(images), RunConfig(validation_split=share, batch_size=32))
    (train,), (validation,) = train_validation_split((np.arange(images),), share)
    assert parts.train.tolist() == train.tolist() == list(range(boundary))
    assert parts.validation.tolist() == validation.tolist() == list(range(boundary, images))


def test_the_probe_is_ten_thousand_stratified_training_images():
    dataset = blank(60_000)
    parts = split(dataset, RunConfig())
    assert len(set(parts.probe.tolist())) == 10_000
    assert set(parts.probe.tolist()) <= set(range(48_000))
    assert np.bincount(dataset.y_train[parts.probe]).tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, 800),
        ({"probe_size": "all"}, 800),
        ({"probe_size": 200}, 200),
        ({"probe_size": 200, "train_size": 150}, 150),
        ({"probe_size": "all", "train_size": 150}, 150),
        ({"probe_size": 1}, 1),
    ],
)
def test_the_probe_is_part_of_the_training_images_and_all_of_them_where_they_are_few(
    settings, size
):
    parts = split(blank(1000), RunConfig(batch_size=10, **settings))
    assert len(parts.probe) == size
    assert set(parts.probe) <= set(parts.train)
    assert parts.probe.tolist() == sorted(parts.probe)


def test_smaller_training_sets_are_nested_and_stratified_and_leave_validation_alone():
    dataset = blank(1000)
    sizes = (10, 20, 100, 330, 799, 800)
    splits = [split(dataset, RunConfig(batch_size=10, train_size=size)) for size in sizes]
    for size, parts in zip(sizes, splits, strict=True):
        assert len(parts.train) == len(set(parts.train)) == size
        counts = np.bincount(dataset.y_train[parts.train], minlength=10)
        assert counts.max() - counts.min() <= 1
        assert parts.validation.tolist() == list(range(800, 1000))
    for smaller, larger in itertools.pairwise(splits):
        assert set(smaller.train) < set(larger.train)


def test_the_probe_depends_on_neither_the_seed_nor_the_activation():
    dataset = blank(1000)
    probes = [
        split(dataset, RunConfig(seed=seed, activation=name, probe_size=100)).probe.tolist()
        for seed in (0, 7)
        for name in ("relu", "elu")
    ]
    assert all(probe == probes[0] for probe in probes)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"train_size": 801},
            "train_size must be at most 800, the images of blank that are not kept for "
            "validation, not 801.",
        ),
        (
            {"batch_size": 801},
            "batch_size must be at most 800, the number of training images of blank, not 801.",
        ),
        (
            {"batch_size": 51, "train_size": 50},
            "batch_size must be at most 50, the number of training images of blank, not 51.",
        ),
        (
            {"validation_split": 0.9999},
            "validation_split must leave images to train on and to validate on: "
            "0.9999 of the 1,000 images of blank does not.",
        ),
        (
            {"validation_split": 1e-20},
            "validation_split must leave images to train on and to validate on: "
            "1e-20 of the 1,000 images of blank does not.",
        ),
    ],
)
def test_settings_that_do_not_fit_the_dataset_are_refused(settings, sentence):
    with pytest.raises(InputError) as refused:
        split(blank(1000), RunConfig(**settings))
    assert str(refused.value) == sentence


def test_sizes_that_just_fit_are_taken():
    parts = split(blank(1000), RunConfig(train_size=800, batch_size=800))
    assert parts.train.tolist() == list(range(800))
    assert len(split(blank(1000), RunConfig(validation_split=0.001, batch_size=9)).validation) == 1


@pytest.mark.parametrize("name", [5, None, "", "a\nb", "x" * 201])
def test_what_is_no_name_of_a_data_set_is_refused(name):
    with pytest.raises(InputError, match="A data set's name must be 1 to 200 printable characters"):
        Dataset(name, **small())


def test_a_name_of_200_characters_is_one(tiny):
    parts = (tiny.x_train, tiny.y_train, tiny.x_test, tiny.y_test)
    assert Dataset("n" * 200, *parts).name == "n" * 200
    with pytest.raises(InputError, match="1 to 200 printable characters"):
        Dataset("n" * 201, *parts)


@pytest.mark.parametrize("whites", [[0, 0], [0, 255], [255, 0], [255, 255]])
def test_mean_and_deviation_are_of_all_blocks_whichever_holds_the_whitest_pixel(whites):
    size = 1024  # An image of it fills a block by itself.
    images = np.zeros((2, size, size), np.uint8)
    images[:, 0, 0] = whites
    dataset = Dataset("two", images, np.array([0, 1]), images, np.array([0, 1]))
    assert dataset.pixels == pytest.approx((images.mean() / 255, images.std() / 255))


def test_an_image_that_is_larger_than_a_block_is_one_by_itself():
    images = np.zeros((2, 1024, 1024, 2), np.uint8)
    images[0, 0, 0] = 255, 51
    dataset = Dataset("two", images, np.array([0, 1]), images, np.array([0, 1]))
    assert dataset.pixels == pytest.approx((images.mean() / 255, images.std() / 255))
